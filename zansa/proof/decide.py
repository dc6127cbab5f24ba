"""From probabilities to decisions: what the network names a sample, and what is done with it. numpy alone, for use.

A score is the log odds of a defect, the higher the worse: near a probability of 1 only they tell one line from another.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..arch.use import Calibration, OperatingPoint

DECISIONS = ("accept", "ask", "reject")
LEAST = 1e-300  # a probability below this counts as this: log odds stay finite


def logits_of(probabilities: ArrayLike) -> np.ndarray:
    """(N, K) log probabilities, for where logits are gone; finite also where a probability is 0."""
    return np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), LEAST))


def named(probabilities: ArrayLike, calibration: Calibration | None) -> np.ndarray:
    """The class, (N,), that the network names, from (N, K) calibrated probabilities: the most probable one, were all as
    common as the training made them. The shares of the classes are to move the line between good and defect, and not to
    hide rare kinds of defects behind common ones."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray((p if calibration is None else logits_of(p) - np.asarray(calibration.shift)).argmax(axis=1))


def decision_maps(
    probabilities: ArrayLike, maps: np.ndarray, good: int | None, calibration: Calibration | None
) -> np.ndarray:
    """What each place adds to the log odds of a defect, (N, *cells), or where no class is the good one, of the class
    that is named: class maps (N, K, *cells) by the gradient of the log odds at (N, K) calibrated probabilities."""
    f = logits_of(probabilities)
    ours = np.zeros(f.shape, bool)
    if good is None:
        ours[np.arange(len(f)), named(probabilities, calibration)] = True
    else:
        ours[:] = np.arange(f.shape[1]) != good
    shares = _shares(np.where(ours, f, -np.inf)) - _shares(np.where(ours, -np.inf, f))
    return np.einsum("nk,nk...->n...", shares.astype(maps.dtype), maps)


def _shares(f: np.ndarray) -> np.ndarray:
    """softmax of (N, K); a class at -inf has no share."""
    each = np.exp(f - f.max(axis=1, keepdims=True))
    return np.asarray(each / each.sum(axis=1, keepdims=True))


def log_odds(p_good: ArrayLike) -> np.ndarray:
    """Scores from p(good), (N,): log of (1 - p) / p, finite also where p is 0 or 1."""
    p = np.clip(np.asarray(p_good, dtype=np.float64), LEAST, 1 - 2**-53)
    return np.log1p(-p) - np.log(p)


def as_probability(line: float) -> float:
    """The line as a threshold of 1 - p(good), which model files hold."""
    return 1 / (1 + math.exp(-line)) if line > -700 else 0.0


def lines_of(point: OperatingPoint) -> tuple[float, float]:
    """The log odds from which a person is asked and from which a part is rejected; equal where nobody is asked."""
    if point.odds is not None:
        return point.odds
    reject = _odds_of(point.threshold)
    return (reject if point.ask is None else _odds_of(point.ask)), reject


def _odds_of(threshold: float) -> float:
    return -math.inf if threshold == 0 else float(log_odds(1 - threshold))


def decisions(p_good: ArrayLike, point: OperatingPoint) -> np.ndarray:
    """What is done with parts by their p(good), (N,): places in DECISIONS, 0 to 2."""
    ask, reject = lines_of(point)
    score = log_odds(p_good)
    if point.odds is None:  # the thresholds themselves, to the last digit
        ask, reject = point.threshold if point.ask is None else point.ask, point.threshold
        score = 1 - np.asarray(p_good, dtype=np.float64)
    return np.asarray((score >= ask).astype(int) + (score >= reject))
