"""Learning again for `retrain`: the old data, the judged parts of a store beside them, and the run's own recipe."""

import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..deploy.serve.pictures import place
from ..deploy.watch import queue
from ..deploy.watch.contest import Part
from ..events import event
from ..learn.class_sampling import more_often
from ..learn.data.dataset import Dataset
from ..proof.points import least_parts
from ..record import Run, write_atomic
from ..report.watching.words import LINE_BY
from ..runs import all_finished
from .door import FEW_TO_DECIDE, door, good_of
from .making.point import requirement
from .request import FinetuneRequest, GrowRequest, Request, Tell, folds_of, read_request, silent
from .train import resume, train

HELD = {"train": 5, "val": 2, "test": 3}  # tenths of the lots of the audit
COLUMNS = ("path", "label", "group", "split", "lot")
RARE = 0.1  # share of the training samples below which a class is shown more often (docs/decisions/0025)
OF_EVEN = 0.5  # and of the share that each of many classes has where they are even: these are no rare ones
CHOSEN = ("recipe", "false_alarms_at_most", "on_average", "below_learned")  # of a request, what learning again chooses
# beside a run that learned again: these as people asked for them, and the first run's epochs
ASKED = "first_asked.json"
EPOCH_FACTOR = 2  # times as many epochs where there is such a class: what it needs is steps


class Choices(NamedTuple):
    """What was chosen for a network that learned again.

    line_by: by what its line is drawn, a key of `report.watching.words.LINE_BY`.
    repeated: the rare classes that were shown more often than once an epoch, and how many times as often.
    epoch_factor: times as many epochs as the run has.
    last_weights_for: the class which has so few validation parts that the last weights are kept; "" where the best
        ones are.
    """

    line_by: str
    repeated: dict[str, float]
    epoch_factor: int
    last_weights_for: str

    def record(self) -> dict[str, Any]:
        """These as the store's records of changes keep them."""
        return {
            "line_by": self.line_by,
            "shown": self.repeated,
            "longer": self.epoch_factor,
            "last": self.last_weights_for,
        }


def learn(
    store: Path, reference: Path, finetune: bool = False, most: float | None = None, tell: Tell = silent
) -> tuple[Run, list[Part], Choices]:
    """Learn again in STORE/learn, from the old data and the judged parts. Returns the run, the parts to compare on, and
    what was chosen for it.

    Old data keep their parts; new ones go by whole lots; parts that were selected, and not drawn, are for training
    only. Rare classes are shown more often, and the last weights are kept where validation has too few of a class to
    find the best: unless the run asked for something else. A run that has begun on the same rows, and was killed, is
    gone on with. ValueError where the run's data cannot be read or nobody has judged a part.

    reference: the run whose data and recipe are used again.
    finetune: go on from its weights.
    most: the share of false alarms that is accepted, which the line takes where the run asked for none.
    """
    run = Run.open(reference)
    request, epochs = _as_asked(run)
    new = judged_rows(store)
    if not new:
        raise ValueError(f"nobody has judged a part of {store} yet; `zansa review {store} --plan 50` begins it")
    data, parts = door(request, tell)
    last = len(list((store / "learn").glob("*/data.csv")))
    for number in (last, last + 1) if last else (1,):
        folder = store / "learn" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [*_old(folder, data, parts), *new]
        pointed, line_by = _pointed(request, most, _good_parts(rows, good_of(request.good, data)))
        request_now, repeated, last_weights_for = _for_rare_classes(pointed, rows, epochs)
        wanted = _request(request_now, folder / "data.csv", run, finetune)
        if number > last or _same(folder, rows, wanted):
            break
    write_atomic(folder / "data.csv", _text(rows).encode())
    own = request.model_dump(include={*CHOSEN}) | {"epochs": epochs}
    write_atomic(folder / ASKED, json.dumps(own, ensure_ascii=False).encode())
    tell(event("note", text=f"the line of the new network: {LINE_BY[line_by]}"))
    if last_weights_for:
        text = f"the last weights are kept: too few validation parts of {last_weights_for} to find the best"
        tell(event("note", text=text))
    epoch_factor = EPOCH_FACTOR if _first_rare(request, repeated) else 1
    if epoch_factor > 1:
        text = f"{epoch_factor} times as many epochs as the run has, because of {', '.join(repeated)}"
        tell(event("note", text=text))
    choices = Choices(line_by, repeated, epoch_factor, last_weights_for)
    return _learned(wanted, folder, tell), _parts(rows), choices


def _as_asked(run: Run) -> tuple[Request, int]:
    """The run's request, with a test part, as people asked for it, and the epochs of the first network: a run that
    learned again has in its own request what was chosen for it then, and that is chosen anew each time."""
    request = _with_a_test_part(read_request(run.read_json("request.json")))
    epochs = run.read_json("recipe.json")["epochs"]
    kept = run.path.parent / ASKED
    if not kept.is_file():
        return request, epochs
    own = json.loads(kept.read_bytes())
    return type(request).model_validate(request.model_dump() | {name: own[name] for name in CHOSEN}), own["epochs"]


def _pointed(request: Request, most: float | None, good: int) -> tuple[Request, str]:
    """The request with the line of what is accepted, and by what the line is drawn. What a run asked for stays; so many
    good validation parts must be enough for the share."""
    if requirement(request).anything or request.on_average:
        return request, "run"
    if most is None:
        return request, "usual"
    if good < least_parts(most):
        return request, "few"
    accepted = {"false_alarms_at_most": most, "on_average": True, "below_learned": True}
    return request.model_copy(update=accepted), "accepted"


def _good_parts(rows: list[dict[str, str]], good: str | None) -> int:
    return len({row["group"] for row in rows if row["split"] == "val" and row["label"] == good})


def _for_rare_classes(
    request: Request, rows: list[dict[str, str]], epochs: int
) -> tuple[Request, dict[str, float], str]:
    """The request with what a new kind of defect needs; the rare classes and how many times as often they are shown;
    and the class for which the last weights are kept. Where a class is rare it is learned for longer than the `epochs`
    of the run, once: a network that learned so is the next run. What the run asked for stays, and a growth or a
    classifier alone chooses for itself."""
    if isinstance(request, GrowRequest) or getattr(request, "linear", False):
        return request, {}, ""
    asked = request.recipe
    names = sorted({row["label"] for row in rows})
    labels = np.array([names.index(row["label"]) for row in rows if row["split"] == "train"])
    rare = min(RARE, OF_EVEN / len(names))
    repeat = asked.get("repeat", rare if asked.get("balance", "logit") == "logit" else 0.0)
    repeated = more_often(labels, names, repeat)
    parts = Counter(label for label, _ in {(row["label"], row["group"]) for row in rows if row["split"] == "val"})
    rarest = min(names, key=lambda name: parts[name])
    last_weights_for = rarest if "keep" not in asked and parts[rarest] < FEW_TO_DECIDE else ""
    more: dict[str, Any] = {"keep": "last"} if last_weights_for else {}
    if _first_rare(request, repeated):
        more |= {"repeat": repeat, "epochs": EPOCH_FACTOR * epochs}
    return request.model_copy(update={"recipe": asked | more}), repeated, last_weights_for


def _first_rare(request: Request, repeated: dict[str, float]) -> bool:
    """Whether a class is rare and the run's recipe does not know of it yet."""
    return bool(repeated) and "repeat" not in request.recipe


def held_out_parts(store: Path) -> list[Part]:
    """The parts that no network of the store has learned from: the test samples of the last learning, and the judged
    parts of lots that are held out."""
    last = max((store / "learn").glob("*/data.csv"), key=lambda path: int(path.parent.name), default=None)
    rows = [] if last is None else list(csv.DictReader(io.StringIO(last.read_text(encoding="utf-8"))))
    return _parts([*{row["path"]: row for row in [*rows, *judged_rows(store)]}.values()])


def _parts(rows: list[dict[str, str]]) -> list[Part]:
    return [
        Part(Path(row["path"]), row["label"], row.get("lot", row["group"])) for row in rows if row["split"] == "test"
    ]


def _text(rows: list[dict[str, str]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _same(folder: Path, rows: list[dict[str, str]], wanted: Request) -> bool:
    """Whether a run of this folder learns, or has learned, just this."""
    asked = folder / "run" / "request.json"
    if not asked.is_file() or (folder / "data.csv").read_text(encoding="utf-8") != _text(rows):
        return False
    return read_request(json.loads(asked.read_bytes())) == wanted


def _learned(wanted: Request, folder: Path, tell: Tell) -> Run:
    if not (folder / "run" / "request.json").is_file():
        shutil.rmtree(folder / "run", ignore_errors=True)  # it was killed before its training began
        return train(wanted, folder, "run", tell)
    run = Run.open(folder / "run")
    if all_finished(run):
        tell(event("note", text=f"{run.path} has learned just this already"))
        return run
    tell(event("note", text=f"{run.path} was stopped while it learned this, and goes on"))
    return resume(run.path, tell)


def _request(request: Request, source: Path, run: Run, finetune: bool) -> Request:
    """The run's own request on other data; the parts are given, and the size stays. What was made of another network
    goes on from its own weights, because no training finds its structure again."""
    changed: dict[str, Any] = {
        "source": str(source.absolute()),
        "root": None,
        "size": run.read_json("data.json")["size"],
    }
    if not finetune and not _made_of_another(run):
        return type(request).model_validate(request.model_dump() | changed)
    known = {name: value for name, value in request.model_dump().items() if name in FinetuneRequest.model_fields}
    own = {"verb": "finetune", "weights": str(run.path.absolute()), "begin": "auto"}
    return FinetuneRequest.model_validate(known | changed | own)


def _made_of_another(run: Run) -> bool:
    """Whether `zansa compress` or `zansa depth` made this run of another network."""
    files = run.files()
    return "compress.json" in files or ("depth.json" in files and "made" in run.read_json("depth.json"))


def _with_a_test_part(request: Request) -> Request:
    """The request, where the run was proven by folds without these: two networks are compared on one test part. The
    network that acts has learned from the old samples in it, which can only speak for staying with it."""
    return request.model_copy(update={"folds": None}) if folds_of(request) else request


def judged_rows(store: Path) -> list[dict[str, str]]:
    """The judged parts of a store as rows of a manifest; undecided ones and those without an image are left out."""
    why = {row["answer"]: row["why"] for row in queue.items(store) if row["truth"] is None}
    found = []
    for row in queue.judged(store):
        drawn = why.get(row["id"]) in ("audit", "rejected")
        lot = row["lot"] or row["local"][:13]
        image = place(store / "images", row["image"], row["suffix"])
        if row["kept"] == 1:
            told = {"path": str(image.absolute()), "label": row["verdict"], "lot": f"lot {lot}"}
            told["group"] = (
                f"part {row['part'] or row['id']} of lot {lot}"  # pictures of a part count once, lots do not
            )
            found.append(told | {"split": _split(lot) if drawn else "train"})
    return _whole_lots(found)


def _whole_lots(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """No lot stands in two parts: selected parts of a lot that is held out are left out."""
    held = {row["lot"] for row in rows if row["split"] != "train"}
    return [row for row in rows if row["split"] != "train" or row["lot"] not in held]


def _split(lot: str) -> str:
    """The part of a lot, by its name alone, so that it stays the same at the next time."""
    tenth = int(hashlib.sha256(lot.encode()).hexdigest(), 16) % 10
    return "train" if tenth < HELD["train"] else "val" if tenth < HELD["train"] + HELD["val"] else "test"


def _old(folder: Path, data: Dataset, parts: Any) -> list[dict[str, str]]:
    """The old data as rows; samples without a file of their own are written beside."""
    found = []
    for split in ("train", "val", "test"):
        for i in getattr(parts, split):
            path = data.files[i] if data.files else _drawn(folder, data, int(i))
            group = data.names[i] if data.groups is None else data.groups[i]
            told = {"path": str(path), "label": data.classes[data.labels[i]], "split": split}
            found.append(told | {"group": f"old {group}", "lot": f"old {group}"})
    return found


def _drawn(folder: Path, data: Dataset, i: int) -> Path:
    path = folder / "old" / f"{i}.png"
    path.parent.mkdir(exist_ok=True)
    levels = data.images[i]
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(path)
    return path.absolute()
