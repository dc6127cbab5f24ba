"""The answers of a model explained: what is explained of each sample, its map, and the verdict on that."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...arch.use import Preprocess
from ...inputs import heat
from ...nets.files import Model
from ...proof.decide import lines_of
from . import verdict
from .blocks import gates
from .maps import MAPS, enlarged
from .rows import Subject, score, subject
from .verdict import Place

BATCH = 16
LEVELS = 2  # of an image: the deviation of noise that nobody sees
OF_RANGE = 1 / 128  # of a series: the same, as a share of its range


@dataclass(frozen=True, eq=False)
class Answers:
    """Samples with what a model answers to them.

    kind: of the maps, a key of maps.MAPS.
    x: the samples as the network takes them, (N, C, *size).
    subjects: what is explained of each: that it is a defect, or where no class is the good one, the class it is named.
    maps: (N, *size).
    odds: the log-odds of what is explained, (N,).
    ranked: the classes by their logits, highest first, (N, K).
    """

    kind: str
    x: Tensor
    subjects: list[Subject]
    maps: np.ndarray
    odds: np.ndarray
    ranked: np.ndarray

    @property
    def named(self) -> np.ndarray:
        """The places of the classes that the samples are named, (N,)."""
        return np.asarray(self.ranked[:, 0])


def answers(model: Model, kind: str, x: Tensor) -> Answers:
    """Explain samples (N, C, *size) by maps of a kind."""
    with torch.inference_mode():
        logits = torch.cat([model.module(part) for part in x.split(64)]).numpy()
    ranked = np.argsort(-logits, axis=1, kind="stable")
    subjects = _subjects(model, ranked[:, 0])
    maps, odds = np.zeros((len(x), *x.shape[2:]), np.float32), np.zeros(len(x))
    for seen, rows in batches(subjects):
        maps[rows] = enlarged(MAPS[kind](seen, x[rows]), tuple(x.shape[2:]))
        odds[rows] = score(seen, x[rows]).numpy()
    return Answers(kind, x, subjects, maps, odds, ranked)


def _subjects(model: Model, named: np.ndarray) -> list[Subject]:
    """What is explained of samples that are named so."""
    every = range(len(model.classes))
    if model.operating is None:
        each = {k: subject(model.module, (k,), model.calibration) for k in set(named.tolist())}
        return [each[k] for k in named.tolist()]
    good = model.classes.index(model.operating.good)
    one = subject(model.module, tuple(k for k in every if k != good), model.calibration)
    return [one] * len(named)


def batches(subjects: list[Subject]) -> Iterator[tuple[Subject, list[int]]]:
    """The samples of which the same is explained, at most BATCH at once."""
    same: dict[tuple[int, ...], list[int]] = {}
    for n, seen in enumerate(subjects):
        same.setdefault(seen.ours, []).append(n)
    for rows in same.values():
        for start in range(0, len(rows), BATCH):
            yield subjects[rows[0]], rows[start : start + BATCH]


def gated(found: Answers) -> tuple[np.ndarray, np.ndarray]:
    """What each block added (N, blocks), and by how much their sum misses the whole (N,): see blocks.gates."""
    parts = [(rows, *gates(seen, found.x[rows])) for seen, rows in batches(found.subjects)]
    order = np.argsort(np.concatenate([rows for rows, _, _ in parts]))
    added, missed = (np.concatenate([part[k] for part in parts])[order] for k in (1, 2))
    return added, missed


def likeness(found: Answers) -> float | None:
    """How much the maps are like those of shuffled networks: see verdict.likeness."""
    first = found.subjects[: verdict.MOST]
    return verdict.likeness([(seen, found.x[rows]) for seen, rows in batches(first)], found.kind)


def rejected(model: Model, found: Answers) -> np.ndarray:
    """Which samples (N,) are no good parts by the model's line, and so have a place to mark; all, without a line."""
    return found.odds >= (lines_of(model.operating)[0] if model.operating else -np.inf)


def judged(
    model: Model, found: Answers, n: int, place: Place, alike: float | None, labels: np.ndarray | None
) -> dict[str, Any]:
    """The verdict on the map of one sample: its word, and what each check measured, with its grade.

    place: where the sample lies in the network's input.
    alike: what `likeness` found of this model.
    labels: the classes of its nearest known samples, nearest first; None where none are at hand.
    """
    if not rejected(model, found)[n]:
        return {"word": verdict.NOTHING, "checks": {}, "grades": {}}
    seen, x, values = found.subjects[n], found.x[n], found.maps[n]
    noise = _noise(model.preprocess, x)
    checks: dict[str, verdict.Check] = {
        "complete": tuple(verdict.missed(seen, found.kind, x[None])),
        "specific": (alike,),
        "faithful": verdict.faithfulness(seen, x, values, place, np.random.default_rng(0)),
        "stable": (verdict.unsteadiness(seen, found.kind, x, values, place, noise, np.random.default_rng(0)),),
        "neighbours": (None if labels is None else verdict.agreeing(labels, seen.ours),),
    }
    grades = verdict.graded(checks)
    return {
        "word": verdict.word(grades),
        "checks": {name: list(each) for name, each in checks.items()},
        "grades": grades,
    }


def _noise(pre: Preprocess, x: Tensor) -> float:
    """The deviation of noise that nobody sees, as the network takes a sample (C, *size)."""
    if pre.series:
        return float(x.max() - x.min()) * OF_RANGE
    return LEVELS * (257 if pre.depth == 16 else 1) / float(np.mean(pre.std))


def inside(shape: tuple[int, ...], pre: Preprocess) -> Place:
    """Where a sample of this height and width lies in the network's input; a series fills it."""
    if pre.series:
        return (slice(0, pre.size[0]),)
    return heat.inside(shape, pre)
