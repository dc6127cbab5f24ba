"""Every sample held out once: a training for each fold, on all other samples.

Few samples prove more so, and the network that is handed over learns from all of them.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from ..arch.use import Calibration, OperatingPoint
from ..events import Event, event
from ..nets.build import Network
from ..proof.calibration import apply
from ..proof.decide import logits_of
from ..record import write_atomic
from .data.dataset import Dataset
from .data.seal import sealed
from .data.splits import Parts
from .predict import probabilities
from .recipe import Recipe
from .train import training


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What networks say of samples that they have not seen.

    index: the samples, each once.
    probabilities: (N, classes), calibrated, of the network that has not seen the sample.
    line: (N,) the threshold of that network, chosen on its own validation part; nan where no line is drawn.
    """

    index: np.ndarray
    probabilities: np.ndarray
    line: np.ndarray


def holding_out(
    begin: Callable[[], Network],
    data: Dataset,
    folds: Sequence[Parts],
    recipe: Recipe,
    choose: Callable[[np.ndarray, np.ndarray], tuple[Calibration, OperatingPoint | None]],
    folder: Path,
) -> Generator[Event]:
    """Train a network for each fold, and keep in the folder what it says of the fold's test part. Folds that are there
    already are not trained again, and a training that was killed goes on.

    begin: makes the first network.
    choose: calibration and operating point for (N, classes) probabilities and the indices (N,) of a validation part.
    """
    folder.mkdir(exist_ok=True)
    for k, parts in enumerate(folds):
        if _file(folder, k).exists():
            continue
        yield event("stage", text=f"fold {k + 1} of {len(folds)}: {len(parts.test)} held out of {len(data)}")
        own, module = data.normalised(parts.train), begin()
        closed, open_parts = sealed(own, parts)
        checkpoint = folder / f"{k}.pt"
        for each in training(module, closed, open_parts, recipe, checkpoint):
            if each["event"] == "step":
                told = {key: each[key] for key in ("steps", "step")} | {"name": f"fold {k + 1}", "macs": 0}
                yield event("trial", told, done=k, total=len(folds))
            elif each["event"] in ("again", "warning"):
                yield event("warning", text=f"fold {k + 1}: {each['text']}")
        calibration, point = choose(probabilities(module, own, parts.val), parts.val)
        saved = BytesIO()
        np.savez(
            saved,
            index=parts.test,
            probabilities=apply(logits_of(probabilities(module, own, parts.test)), calibration),
            line=np.full(len(parts.test), np.nan if point is None else point.threshold),
        )
        write_atomic(_file(folder, k), saved.getvalue())
        checkpoint.unlink(missing_ok=True)


def held_out(folder: Path, count: int) -> HeldOut:
    """What `holding_out` has left of all folds, in the order of the samples."""
    found = [np.load(_file(folder, k), allow_pickle=False) for k in range(count)]
    index, p, line = (np.concatenate([each[name] for each in found]) for name in ("index", "probabilities", "line"))
    order = index.argsort()
    return HeldOut(index[order], p[order], line[order])


def to_one_line(held: HeldOut, good: int, line: float) -> np.ndarray:
    """The probabilities (N, classes), moved so that one line decides of each sample as its own network's line does: the
    odds of a defect are divided by those at their line and multiplied by those at the new one."""
    score = 1 - held.probabilities[:, good]
    odds = np.log(_inside(score)) - np.log(_inside(1 - score))
    at = [np.log(_inside(each)) - np.log(_inside(1 - each)) for each in (held.line, np.asarray(line))]
    moved = 1 / (1 + np.exp(-(odds - at[0] + at[1])))
    moved = np.where(score >= held.line, np.maximum(moved, line), np.minimum(moved, np.nextafter(line, -1)))
    others = np.maximum(held.probabilities, 1e-300)  # where all of it is good, the rest is shared evenly
    others[:, good] = 0
    others *= (moved / others.sum(axis=1))[:, None]
    others[:, good] = 1 - moved
    return others


def _inside(share: np.ndarray) -> np.ndarray:
    return np.clip(share, 1e-12, 1 - 1e-12)


def _file(folder: Path, k: int) -> Path:
    return folder / f"{k}.npz"
