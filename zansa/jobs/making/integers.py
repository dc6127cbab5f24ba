"""int8 of a run's exported file: calibrated on images chosen by kind of defect, gated on decisions, tried otherwise
where the gate fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ...deploy.bench import latency
from ...deploy.quantise import Quantised, heavy, quantised, simulated, with_point
from ...deploy.runtime import Predictor, predictor
from ...events import event
from ...learn.data.dataset import Dataset
from ...learn.data.splits import Parts
from ...proof.decide import log_odds
from ...proof.gate import Answered, gate
from ...proof.redraw import redrawn
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


@dataclass(frozen=True)
class Reference:
    """What the file in float32 answers to samples.

    opened: the file.
    data, held: the samples: which of the data set.
    samples: these, as decoded.
    answers: what the file answers to them, (N, K) in the order of its classes.
    margin: see the gate.
    """

    opened: Predictor
    data: Dataset
    held: np.ndarray
    samples: list[np.ndarray]
    answers: np.ndarray
    margin: float

    def judge(self, made: Quantised) -> Tried:
        """What the gate says of a file in int8; where it turns decisions, with a line of its own that turns fewer."""
        tried = self.judged(made)
        point, turned = self.opened.operating, tried.gate["turned"]
        if point is None or not turned:
            return tried
        good = self.opened.classes.index(point.good)
        scores = (log_odds(p[:, good]) for p in (self.answers, predictor(made.file).probabilities(self.samples)))
        own = redrawn(point, *scores)
        drawn = replace(made, way=f"{made.way}, line drawn anew", file=with_point(made.file, own))
        again = self.judged(drawn)
        if again.gate["turned"] >= turned or (tried.gate["passed"] and not again.gate["passed"]):
            return tried
        again.gate["line"] = {"before": point.threshold, "after": own.threshold, "turned": turned}
        return again

    def judged(self, made: Quantised) -> Tried:
        """What the gate says of a file in int8, as it is."""
        data, held, opened = self.data, self.held, self.opened
        order, theirs = [opened.classes.index(name) for name in data.classes], predictor(made.file)
        after = theirs.probabilities(self.samples)
        ours, answer = (p[:, order].astype(np.float64) for p in (self.answers, after))
        told = gate(
            Answered(ours, opened.operating, opened.calibration),
            Answered(answer, theirs.operating, opened.calibration),
            data.labels[held],
            data.classes,
            groups_of(data, held),
            self.margin,
            same_network=True,
        )
        told["saturation"] = saturation(made, self.samples, self.answers, after)
        told["checks"]["saturation"] = told["saturation"]["passed"]
        told["passed"] = all(told["checks"].values())
        told["turned_names"] = [data.names[held[i]] for i in told["turned_at"]]
        told["turned_index"] = [int(held[i]) for i in told["turned_at"]]
        return Tried(made, told)


def reference(file: bytes, data: Dataset, held: np.ndarray, margin: float) -> Reference:
    """Ask a file in float32 about these samples of a data set."""
    opened, samples = predictor(file), originals(data, held)
    return Reference(opened, data, held, samples, opened.probabilities(samples), margin)


def to_int8(file: bytes, data: Dataset, parts: Parts, good: str | None, margin: float, tell: Tell) -> list[Tried]:
    """The tries at int8. The last of them is the best: it passed the gate, if any did, and turned the fewest decisions.
    Where decisions are made at a line, there are tries until none is turned; else until one passes."""
    ranges = originals(data, calibrating(data, parts, good))
    given = reference(file, data, evenly(parts.val, GATED), margin)
    tries = []
    for make in ways(file, ranges, given.answers, given.samples):
        tries.append(given.judge(make()))
        told = tries[-1].gate
        verdict = "passed" if told["passed"] else "failed"
        tell(event("note", text=f"int8, {tries[-1].made.way}: the gate {verdict}; {turned_text(told)}"))
        if told["passed"] and not (told["turned"] and given.opened.operating):
            break
    best = min(tries, key=lambda each: (not each.gate["passed"], each.gate["turned"]))
    return [*(each for each in tries if each is not best), best]


def ways(
    file: bytes, ranges: list[np.ndarray], before: np.ndarray, samples: list[np.ndarray]
) -> Iterator[Callable[[], Quantised]]:
    """The ways to quantise, the cheapest first."""
    yield lambda: quantised(file, ranges)
    worst = sensitive(file, ranges[:: max(1, len(ranges) // PROBED)], before, samples)
    for count in LEFT_OUT:
        left = tuple(worst[:count])
        yield lambda left=left: quantised(file, ranges, left)  # type: ignore[misc]


def sensitive(file: bytes, ranges: list[np.ndarray], before: np.ndarray, samples: list[np.ndarray]) -> list[str]:
    """The nodes with weights, the most sensitive first: by how much probabilities change on average when that node
    alone is quantised."""
    nodes, few = heavy(file), slice(None, None, max(1, len(samples) // PROBED))
    change = {}
    for node in nodes:
        alone = quantised(file, ranges, tuple(other for other in nodes if other != node))
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
        f"{told['turned']} of {told['samples']} decisions turned, {told['same_class']} keep their class, the largest "
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
