"""What few labels tell: which parts to look at again, what the finds say of all parts, and how good the people are.

Parts are chosen by chance, and each chance is kept; then the count of misses is estimated without bias, however wrong
the scores are that the chances were made of (Horvitz & Thompson 1952).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from .exact import lower_limit, needed, upper_limit

UNIFORM = 0.2  # share of the looks that no score decides; with 0.02 new kinds of defects cost three times the labels


def chances(suspicion: ArrayLike, looks: float, uniform: float = UNIFORM) -> np.ndarray:
    """The chance with which each of (N,) parts is looked at, `looks` in total on average, the more the more suspicious
    it is: in proportion to the square root of its probability of being a defect, beside a uniform share."""
    root = np.sqrt(np.clip(np.asarray(suspicion, float), 1e-12, 1))
    if not len(root):
        return root
    wanted = uniform * looks / len(root) + (1 - uniform) * looks * root / root.sum()
    return np.minimum(1.0, wanted)


def drawn(chance: ArrayLike, seed: int) -> np.ndarray:
    """The indices of the parts that were chosen, each by itself with its chance."""
    share = np.asarray(chance, float)
    return np.flatnonzero(np.random.default_rng(seed).random(len(share)) < share)


def total(found: ArrayLike, chance: ArrayLike, least: float | None = None, confidence: float = 0.95) -> dict[str, Any]:
    """How many of all parts are like the found ones, by (n,) finds (0 or 1) of the parts looked at, and their chances.

    The interval is that of a weighted sum of Poisson counts (Fay & Feuer 1997, Statistics in Medicine 16), which holds
    also where two or none were found. `least` is the smallest chance that any part had; without it, of those that were
    looked at. Parts that are certain to be looked at are counted and add no doubt.
    """
    y, share = np.asarray(found, float), np.asarray(chance, float)
    sure = share >= 1
    counted, weights = float(y[sure].sum()), 1 / share[~sure]
    value, spread = float((y[~sure] * weights).sum()), float((y[~sure] * weights**2).sum())
    largest = 1 / least if least else float(weights.max(initial=0.0))
    low, high = _gamma(value, spread, largest if least is None or least < 1 else 0.0, 1 - confidence)
    return {
        "value": counted + value,
        "low": counted + low,
        "high": counted + high,
        "confidence": confidence,
        "looked": len(y),
        "found": int(y.sum()),
    }


def _gamma(value: float, spread: float, largest: float, level: float) -> tuple[float, float]:
    low = spread / (2 * value) * chi2.ppf(level / 2, 2 * value**2 / spread) if value > 0 else 0.0
    if not largest:
        return value, value
    top, more = value + largest, spread + largest**2
    return float(low), float(more / (2 * top) * chi2.ppf(1 - level / 2, 2 * top**2 / more))


def reviewed(estimate: dict[str, Any], recognised: int, shown: int) -> dict[str, Any]:
    """An estimate corrected for what people miss, who recognised so many of the known defects that were shown among
    the others; unchanged where none was shown. The level is shared by both intervals."""
    if not shown:
        return estimate | {"reviewer": None}
    level = 1 - (1 - estimate["confidence"]) / 4
    low = max(float(lower_limit(recognised, shown, level)), 1e-3)
    high, share = float(upper_limit(recognised, shown, level)), max(recognised, 0.5) / shown
    wider = {"value": estimate["value"] / share, "low": estimate["low"] / high, "high": estimate["high"] / low}
    return estimate | wider | {"reviewer": {"recognised": recognised, "shown": shown, "low": low, "high": high}}


def plan(accepted_a_day: float, share: float, looks_a_day: float, confidence: float = 0.95) -> dict[str, Any]:
    """What a number of looks a day shows: after how many days without a find the share of defects among accepted parts
    is shown to be below `share`, and how many looks that takes."""
    looks = int(needed(share, confidence))
    day = min(looks_a_day, accepted_a_day)
    return {"share": share, "looks": looks, "days": looks / day if day > 0 else float("inf"), "confidence": confidence}


def kappa(first: ArrayLike, second: ArrayLike) -> float | None:
    """Cohen's kappa of two people's verdicts on the same parts (1960); None where chance alone agrees fully."""
    a, b = np.asarray(first), np.asarray(second)
    if not len(a):
        return None
    names = sorted({*a.tolist(), *b.tolist()})
    by_chance = sum(float((a == name).mean() * (b == name).mean()) for name in names)
    return None if by_chance >= 1 else float(((a == b).mean() - by_chance) / (1 - by_chance))
