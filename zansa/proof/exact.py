"""Exact binomial limits: what so many misses of so many parts show, allow and take.

All functions work on numbers and on arrays. A "share" is the chance of a miss (or of a false alarm) of one part; parts
are independent. One-sided, Clopper & Pearson 1934, "The use of confidence or fiducial limits".
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv
from scipy.stats import binom

MOST = 2**40  # no search goes beyond so many parts
TIE = 1e-12  # tails that are equal but for rounding


def lower_limit(hits: ArrayLike, count: ArrayLike, confidence: float = 0.95) -> np.ndarray:
    """What the true share of hits is at least, with this confidence, after `hits` of `count` >= 1 parts."""
    h, n = np.asarray(hits, float), np.asarray(count, float)
    return np.where(h <= 0, 0.0, betaincinv(np.where(h <= 0, 1.0, h), n - h + 1, 1 - confidence))


def upper_limit(hits: ArrayLike, count: ArrayLike, confidence: float = 0.95) -> np.ndarray:
    """What the true share of hits is at most, with this confidence, after `hits` of `count` >= 1 parts."""
    return 1 - lower_limit(np.asarray(count, float) - np.asarray(hits, float), count, confidence)


def tail(misses: ArrayLike, count: ArrayLike, share: ArrayLike) -> np.ndarray:
    """The chance of at most `misses` misses among `count` parts that are missed with the chance `share`: the p-value
    of "they are missed at least that often"."""
    return np.asarray(binom.cdf(misses, count, share))


def allowed(count: ArrayLike, share: ArrayLike, confidence: float = 0.95) -> np.ndarray:
    """The most misses among `count` parts that still show a share below `share`; -1 where even none shows it."""
    level = 1 - confidence
    first = binom.ppf(level, count, share)  # the least number whose tail reaches the level
    return np.where(binom.cdf(first, count, share) <= level + TIE, first, first - 1).astype(int)


def needed(share: float, confidence: float = 0.95, misses: ArrayLike = 0) -> np.ndarray:
    """The least number of parts of which `misses` may be missed and a share below `share` is still shown."""
    k = np.asarray(misses, dtype=np.int64)
    low, high = k, np.full_like(k, MOST)  # the tail is above the level at `low` parts, and not at `high`
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = betainc(np.maximum(middle - k, 1), k + 1, 1 - share) <= 1 - confidence + TIE
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def checked_confidence(confidence: float) -> float:
    """The confidence itself, when it is one; ValueError where it is a percentage or no share."""
    if 0.5 <= confidence < 1:
        return confidence
    hint = f"; did you mean {confidence / 100:g}?" if 50 <= confidence < 100 else ""
    raise ValueError(f"confidence is {confidence:g}; allowed: from 0.5 to below 1, for example 0.95{hint}")
