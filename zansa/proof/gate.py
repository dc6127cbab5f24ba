"""Whether a smaller network may take the place of a larger one: by its decisions, part by part, and never by accuracy
alone, because a detection rate can vanish behind an accuracy that stays."""

from typing import Any, NamedTuple

import numpy as np

from ..arch.use import Calibration, OperatingPoint
from .decide import decisions, named
from .pairs import not_worse
from .rates import rate

USUAL = 0.95  # share of samples whose change of probability is at most the usual one
AGREE = 0.99  # of samples whose class stays
MARGIN = 0.02


class Answered(NamedTuple):
    """What a network answers to labelled samples.

    p: (N, K) calibrated probabilities.
    point: where its lines are; None where no class is the good one.
    calibration: how p was calibrated, by which classes are named; None where it was not.
    """

    p: np.ndarray
    point: OperatingPoint | None
    calibration: Calibration | None = None

    @property
    def classes(self) -> np.ndarray:
        """(N,) the class that is named."""
        return named(self.p, self.calibration)


def gate(
    before: Answered,
    after: Answered,
    labels: np.ndarray,
    classes: tuple[str, ...],
    groups: np.ndarray | None = None,
    margin: float = MARGIN,
    same_network: bool = False,
) -> dict[str, Any]:
    """Compare the answers of two networks to the same samples, (N, K), with true labels (N,).

    Checks: `detection` (the share of defective parts found is within the 95 % interval of the first network's),
    `not_worse` (right on at most `margin` fewer of the parts; where parts are too few to show that, no more of them may
    be wrong than before). Where both shall be one network in two precisions, also `agreement` (99 % of the classes
    stay, or all but one) and `clear` (no decision is turned that was farther from the line than the usual change of
    probability); there it is enough that the parts lost are within the margin, whether or not so few can show it.
    `passed` is true when all hold. Without a good class a decision is the class.
    """
    right, found = (_judged(each, labels, classes, groups) for each in (before, after))
    change = np.abs(before.p - after.p).max(axis=1)
    same = int((before.classes == after.classes).sum())
    worse, better = int((right.right & ~found.right).sum()), int((~right.right & found.right).sum())
    tested = not_worse(worse, better, len(right.right), margin)
    turned = _decided(before, classes) != _decided(after, classes)
    usual = float(np.quantile(change, USUAL))
    clear = int((turned & (_distance(before, classes) > usual)).sum())
    within = same_network and worse - better <= margin * len(right.right)
    checks = {"not_worse": bool(tested["not_worse"] or worse <= better or within)}
    if right.found is not None and found.found is not None:
        checks["detection"] = found.found["value"] >= right.found["low"]
    if same_network:
        checks |= {"agreement": len(labels) - same <= max(1, (1 - AGREE) * len(labels)), "clear": clear == 0}
    return {
        "samples": len(labels),
        "parts": len(right.right),
        "largest_change": float(change.max()),
        "usual_change": usual,
        "same_class": same,
        "turned": int(turned.sum()),
        "turned_clear": clear,
        "turned_at": [int(i) for i in np.flatnonzero(turned)],
        "before": right.told,
        "after": found.told,
        "not_worse": tested,
        "checks": checks,
        "passed": all(checks.values()),
    }


class _Judged(NamedTuple):
    """What one network does to the parts.

    right: (P,) whether it decides rightly.
    found: the rate of defective parts found; None where no class is the good one, or no part is defective.
    told: what the record says of it.
    """

    right: np.ndarray
    found: dict[str, Any] | None
    told: dict[str, Any]


def _judged(given: Answered, labels: np.ndarray, classes: tuple[str, ...], groups: np.ndarray | None) -> _Judged:
    part = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    accuracy = rate(int((given.classes == labels).sum()), len(labels))
    wrong = np.bincount(part, given.classes != labels) > 0
    if given.point is None:
        return _Judged(~wrong, None, {"accuracy": accuracy, "found": None, "false_alarms": None})
    place = classes.index(given.point.good)
    faulty = np.bincount(part, labels != place) > 0
    shown = np.bincount(part, _decided(given, classes) > 0) > 0
    found = rate(int((shown & faulty).sum()), int(faulty.sum())) if faulty.any() else None
    alarms = rate(int((shown & ~faulty).sum()), int((~faulty).sum())) if (~faulty).any() else None
    return _Judged(shown == faulty, found, {"accuracy": accuracy, "found": found, "false_alarms": alarms})


def _decided(given: Answered, classes: tuple[str, ...]) -> np.ndarray:
    """What is done with every sample: its decision, or its class where no class is the good one."""
    if given.point is None:
        return given.classes
    return decisions(given.p[:, classes.index(given.point.good)], given.point)


def _distance(given: Answered, classes: tuple[str, ...]) -> np.ndarray:
    """How far each sample's probability is from turning its decision."""
    if given.point is None:
        best = np.sort(given.p, axis=1)
        return np.asarray((best[:, -1] - best[:, -2]) / 2)
    score = 1 - given.p[:, classes.index(given.point.good)]
    lines = [given.point.threshold, *([] if given.point.ask is None else [given.point.ask])]
    return np.asarray(np.abs(score[:, None] - np.array(lines)).min(axis=1))
