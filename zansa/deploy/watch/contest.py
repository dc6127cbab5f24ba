"""A served network and one that wants its place, on the same parts; and the change, with its records."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...inputs.images import digest, read_like
from ...proof.challenge import challenge
from ...runs import KNOWN_BY
from ..runtime import Predictor, predictor
from ..serve.models import names_in
from ..serve.pictures import place
from . import chain, queue
from .pictures import thumbnail

BATCH = 64
PICTURES = 40  # of parts that were right before and are wrong now


@dataclass(frozen=True)
class Part:
    """A part that neither network has learned from.

    path: of its image.
    label: its class.
    lot: its lot or group.
    """

    path: Path
    label: str
    lot: str


def compare(
    store: Path,
    champion: Predictor,
    challenger: Predictor,
    parts: Sequence[Part],
    margin: float,
    costs: tuple[float, float, float] | None = None,
    accepted: float | None = None,
    waived: Collection[int] = (),
    made_with: Collection[str] | None = None,
) -> dict[str, Any]:
    """What `proof.challenge` says of the challenger on parts and on every confirmed escape of the store, with the parts
    that it alone judges wrongly, and the counts at both lines. `accepted`: the share of false alarms that people
    accept. `waived`: answers to escapes that people let it miss. `made_with`: the first signs of the digests of the
    pictures that it has learned from or that have drawn its line, None where nobody knows. ValueError where there are
    no parts or one of the networks draws no line."""
    old, new = champion.operating, challenger.operating
    if old is None or new is None:
        raise ValueError("champion and challenger both need a line between good and defect")
    if not parts:
        raise ValueError(
            "there are no parts to compare on: neither test samples of the run nor judged ones of the audit"
        )
    before, after = (1 - _good(model, [part.path for part in parts]) for model in (champion, challenger))
    defect = np.array([part.label != old.good for part in parts])
    right = [(score >= line) == defect for score, line in ((before, old.threshold), (after, new.threshold))]
    again, escapes = missed(store, challenger), _gone(store, old.good)
    against = [named(row) for row in again if row["id"] not in waived]
    told = challenge(right[0], right[1], defect, [part.lot for part in parts], margin, against, costs, accepted)
    same = (after >= old.threshold) == defect
    lines = {"champion": old.threshold, "challenger": new.threshold}
    counts = {name: _counts(each, defect) for name, each in (("old", right[0]), ("new", right[1]), ("same_line", same))}
    flips = [{"path": str(parts[k].path), "label": parts[k].label, "lot": parts[k].lot} for k in told["negative_flips"]]
    told |= {"parts": len(parts), "escapes": len(escapes), "lines": lines, "rule": new.rule}
    told["escapes_waived"] = [named(row) for row in again if row["id"] in waived]
    pixels = [] if made_with is None else [_pixels(_image(store, row), challenger) for row in escapes]
    told["escapes_learned"] = None if made_with is None else sum(each in made_with for each in pixels)
    return told | {"counts": counts, "negative_flips": flips}


def pictured(told: dict[str, Any]) -> dict[str, Any]:
    """A comparison with pictures of the first parts that were right before and are wrong now."""
    flips = [
        row | {"png": thumbnail(Path(row["path"])) if k < PICTURES else None}
        for k, row in enumerate(told["negative_flips"])
    ]
    return told | {"negative_flips": flips}


def missed(store: Path, network: Predictor) -> list[dict[str, Any]]:
    """The confirmed escapes of a store, whichever network let them through, that a network would accept again."""
    assert network.operating is not None
    gone = _gone(store, network.operating.good)
    score = 1 - _good(network, [_image(store, row) for row in gone])
    return [row for row, each in zip(gone, score, strict=True) if each < network.operating.threshold]


def named(row: Mapping[str, Any]) -> str:
    """An escape as people name it."""
    return f"{row['part'] or row['id']} ({row['verdict']})"


def waived(store: Path, sha: str) -> set[int]:
    """The answers to escapes that people let a file miss, by the records of the store."""
    found = [row for row in chain.records(store) if row["kind"] == "waived" and row["challenger"] == sha]
    return {answer for row in found for answer in row["answers"]}


def _image(store: Path, row: Mapping[str, Any]) -> Path:
    return place(store / "images", row["image"], row["suffix"]).absolute()


def _pixels(file: Path, model: Predictor) -> str:
    """The first signs of the digest by which the run of a model knows the picture of a file."""
    return digest(read_like(file, model.preprocess)[0])[:KNOWN_BY]


def contradicted(store: Path, network: Predictor) -> list[int]:
    """Answers that one person alone has judged, and where a network thinks the other side the more probable: most are
    slips of the person."""
    assert network.operating is not None
    alone = queue.alone(store)
    rows = [row for row in queue.judged(store) if row["id"] in alone and row["kept"] == 1]
    good = _good(network, [_image(store, row) for row in rows]) > 0.5
    called = [row["verdict"] == network.operating.good for row in rows]
    return [row["id"] for row, is_good, said in zip(rows, good, called, strict=True) if is_good != said]


def _gone(store: Path, good: str) -> list[dict[str, Any]]:
    """The confirmed escapes whose images are kept."""
    return [row for row in queue.escapes(store, good) if row["kept"] == 1]


def _counts(right: np.ndarray, defect: np.ndarray) -> dict[str, int]:
    return {
        "defects": int(defect.sum()),
        "missed": int((~right & defect).sum()),
        "good": int((~defect).sum()),
        "false_alarms": int((~right & ~defect).sum()),
    }


def _good(model: Predictor, paths: Sequence[Path]) -> np.ndarray:
    """p(good) of image files: (N,)."""
    assert model.operating is not None
    column, found = model.classes.index(model.operating.good), [np.zeros(0)]
    for start in range(0, len(paths), BATCH):
        levels = [read_like(path, model.preprocess)[0] for path in paths[start : start + BATCH]]
        found.append(model.probabilities(levels)[:, column])
    return np.concatenate(found)


def acting(store: Path, name: str | None) -> tuple[str, Path]:
    """The name and the file of the model that acts. ValueError where it is not told which of several."""
    known = names_in(store)
    if name is None and len(known) != 1:
        raise ValueError(f"name a model with --model; the store has: {', '.join(known) or 'none'}")
    chosen = name or known[0]
    if chosen not in known:
        raise ValueError(f"the store has no model {chosen} in {store / 'models'}; it has: {', '.join(known) or 'none'}")
    state = _state(store, chosen)
    return chosen, store / "models" / chosen / str(state["active"]) / "model.onnx"


def _state(store: Path, name: str) -> dict[str, Any]:
    return json.loads((store / "models" / name / "active.json").read_bytes())


def last_comparison(store: Path, sha: str) -> dict[str, Any] | None:
    """What the last comparison said of a file; None where it was never compared."""
    found = [row for row in chain.records(store) if row["kind"] == "compared" and row["challenger"] == sha]
    return found[-1] if found else None


def sha_of(file: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def load(file: Path) -> Predictor:
    """The network of an exported file, on one thread."""
    return predictor(file, threads=1)
