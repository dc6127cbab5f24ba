"""Lines that are drawn anew, so that a network in another precision decides as it did before."""

import numpy as np

from ..arch.use import OperatingPoint
from .decide import as_probability, lines_of

CLEAR = 0.01  # of log odds


def redrawn(point: OperatingPoint, before: np.ndarray, after: np.ndarray) -> OperatingPoint:
    """The point whose lines decide about the scores `after`, (N,), as those of `point` decide about the scores `before`
    of the same samples, as far as any line can. What `point` promises by its counts then holds of these samples too.
    Scores are log odds of a defect; a line that turns no decision stays where it is."""
    ask, reject = lines_of(point)
    moved = _line(reject, before, after)
    lower = moved if ask == reject else min(moved, _line(ask, before, after))
    odds = None if point.ask is None else as_probability(lower)
    return point.model_copy(update={"threshold": as_probability(moved), "ask": odds, "odds": (lower, moved)})


def _line(line: float, before: np.ndarray, after: np.ndarray) -> float:
    """The line with the fewest turned decisions that is nearest to the old one. It goes past a score by CLEAR, or by
    half of the way to the next one: further away it would turn decisions on other samples."""
    order = np.concatenate([[-np.inf], np.unique(after), [np.inf]])
    clear = np.minimum(np.diff(order) / 2, CLEAR)
    lines = np.append(line, np.clip(line, order[:-1] + clear, order[1:] - clear))
    turned = ((after >= lines[:, None]) != (before >= line)).sum(axis=1)
    fewest = lines[turned == turned.min()]
    return float(fewest[np.abs(fewest - line).argmin()])
