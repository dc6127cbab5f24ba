"""int8 of a run's exported file: calibrated on images chosen by kind of defect, gated on decisions, tried otherwise
where the gate fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...deploy.bench import latency
from ...deploy.quantise import Quantised, heavy, quantised, simulated
from ...deploy.runtime import predictor
from ...events import event
from ...learn.data.dataset import Dataset
from ...learn.data.splits import Parts
from ...proof.gate import Answered, gate
from ..door import evenly, originals
from ..request import Tell
from .point import groups_of

CALIBRATED = 200  # training samples that give the ranges
PROBED = 60  # of them, on which single nodes are tried
GATED = 600  # validation samples of the gate
LEFT_OUT = (1, 3)  # most sensitive nodes in float32
SATURATED = 0.02  # what int8 may differ from its own simulation in float32 beyond what it differs from float32
TURNS = 5  # in which the times of two files are taken


@dataclass(frozen=True)
class Tried:
    """A try at int8: what was made, and what the gate says."""

    made: Quantised
    gate: dict[str, Any]


def calibrating(data: Dataset, parts: Parts, good: str | None, count: int = CALIBRATED) -> np.ndarray:
    """Indices of training samples by which ranges are found: half of them good, and the other half defects, evenly
    from every kind; without a good class evenly from every class."""
    kinds = [k for k in range(len(data.classes)) if (data.labels[parts.train] == k).any()]
    others = [k for k in kinds if good is None or data.classes[k] != good]
    share = {k: count // (2 * max(1, len(others))) if good is not None else count // len(kinds) for k in others}
    if good is not None:
        share[data.classes.index(good)] = count - count // 2
    chosen = [evenly(parts.train[data.labels[parts.train] == k], max(1, n)) for k, n in share.items()]
    return np.sort(np.concatenate(chosen))


def to_int8(file: bytes, data: Dataset, parts: Parts, good: str | None, margin: float, tell: Tell) -> list[Tried]:
    """The tries at int8, the last of which passed the gate or was the last that there is."""
    opened = predictor(file)
    ranges = originals(data, calibrating(data, parts, good))
    held = evenly(parts.val, GATED)
    samples, labels, groups = originals(data, held), data.labels[held], groups_of(data, held)
    before = opened.probabilities(samples)
    order = [opened.classes.index(name) for name in data.classes]

    def judge(made: Quantised) -> Tried:
        after = predictor(made.file).probabilities(samples)
        ours, theirs = (
            Answered(p[:, order].astype(np.float64), opened.operating, opened.calibration) for p in (before, after)
        )
        told = gate(ours, theirs, labels, data.classes, groups, margin, same_network=True)
        told["saturation"] = saturation(made, samples, before, after)
        told["checks"]["saturation"] = told["saturation"]["passed"]
        told["passed"] = all(told["checks"].values())
        told["turned_names"] = [data.names[held[i]] for i in told["turned_at"]]
        told["turned_index"] = [int(held[i]) for i in told["turned_at"]]
        return Tried(made, told)

    tries = []
    for make in ways(file, ranges, before, samples):
        tries.append(judge(make()))
        verdict = "passed" if tries[-1].gate["passed"] else "failed"
        tell(event("note", text=f"int8, {tries[-1].made.way}: the gate {verdict}; {turned_text(tries[-1].gate)}"))
        if tries[-1].gate["passed"]:
            break
    return tries


def ways(
    file: bytes, ranges: list[np.ndarray], before: np.ndarray, samples: list[np.ndarray]
) -> Iterator[Callable[[], Quantised]]:
    """The ways to quantise, the cheapest first."""
    yield lambda: quantised(file, ranges)
    yield lambda: quantised(file, ranges, "entropy")
    worst = sensitive(file, ranges[:: max(1, len(ranges) // PROBED)], before, samples)
    for count in LEFT_OUT:
        left = tuple(worst[:count])
        yield lambda left=left: quantised(file, ranges, "min-max", left)  # type: ignore[misc]


def sensitive(file: bytes, ranges: list[np.ndarray], before: np.ndarray, samples: list[np.ndarray]) -> list[str]:
    """The nodes with weights, the most sensitive first: by how much probabilities change on average when that node
    alone is quantised."""
    nodes, few = heavy(file), slice(None, None, max(1, len(samples) // PROBED))
    change = {}
    for node in nodes:
        alone = quantised(file, ranges, "min-max", tuple(other for other in nodes if other != node))
        change[node] = float(np.abs(predictor(alone.file).probabilities(samples[few]) - before[few]).mean())
    return sorted(nodes, key=lambda node: -change[node])


def saturation(made: Quantised, samples: list[np.ndarray], before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """How far int8 is from its own simulation in float32, beside how far that is from float32: more would be the sums
    of this machine running over."""
    few = slice(None, None, max(1, len(samples) // PROBED))
    plain = simulated(made.file, samples[few])
    own, usual = (float(np.abs(each[few] - plain).max()) for each in (after, before))
    return {"from_simulation": own, "simulation_from_float": usual, "passed": own <= max(usual, SATURATED) + SATURATED}


def turned_text(told: dict[str, Any]) -> str:
    """What the gate saw, in a few words."""
    return (
        f"{told['turned']} of {told['samples']} decisions turned, {told['same_class']} classes stay, the largest "
        f"change of a probability is {told['largest_change']:.2g}"
    )


def in_turns(files: dict[str, bytes], repeats: int = 20) -> dict[str, list[dict[str, Any]]]:
    """Milliseconds of files, on one thread and on all, taken in turns, so that a busy moment meets all of them."""
    opened = {name: predictor(file) for name, file in files.items()}
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in files}
    for threads in sorted({1, torch.get_num_threads()}):
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in files}
        for _ in range(TURNS):
            for name, each in opened.items():
                rows[name].append(latency(each, threads, 1, repeats))
        for name, taken in rows.items():
            told[name].append(taken[0] | {"ms": float(np.median([row["ms"] for row in taken]))})
    return told
