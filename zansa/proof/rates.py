"""Rates with exact binomial intervals."""

from typing import Any

import numpy as np

from .exact import lower_limit, upper_limit


def rate(hits: int, count: int, confidence: float = 0.95) -> dict[str, Any]:
    """hits / count (count >= 1) with its exact two-sided interval, Clopper & Pearson 1934; all in [0, 1]."""
    if not 0 <= hits <= count or count < 1:
        raise ValueError(f"cannot make a rate of {hits}/{count}: it takes count >= 1 and 0 <= hits <= count")
    low, high = _limits(np.array([hits]), np.array([count]), confidence)
    return {
        "value": float(hits / count),
        "hits": int(hits),
        "count": int(count),
        "low": float(low[0]),
        "high": float(high[0]),
        "confidence": confidence,
    }


def _limits(hits: np.ndarray, counts: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; allowed: between 0 and 1, for example 0.95")
    side = (1 + confidence) / 2
    return lower_limit(hits, counts, side), upper_limit(hits, counts, side)


def rate_or_none(hits: int, count: int, confidence: float) -> dict[str, Any] | None:
    """A rate; None where nothing was counted."""
    return rate(hits, count, confidence) if count else None


def mean_rate(hits: np.ndarray, counts: np.ndarray, confidence: float) -> dict[str, Any]:
    """The mean of the shares (K,) of hits (K,) of counts (K,), each >= 1, with its interval: Zou, Huang & Zhang 2009,
    "A note on confidence interval estimation for a linear function of binomial proportions", over exact limits."""
    # Not a bootstrap: where all of a few samples are right it has nothing to draw from and claims 100 % to 100 %
    # (tests/test_evaluate.py measures both).
    low, high = _limits(hits, counts, confidence)
    shares = hits / counts
    below, above = (float(np.linalg.norm(end - shares)) / len(hits) for end in (low, high))
    value = float(shares.mean())
    return {
        "value": value,
        "low": max(0.0, value - below),
        "high": min(1.0, value + above),
        "confidence": confidence,
    }


def mean_or_none(values: list[float]) -> float | None:
    """The mean; None of nothing."""
    return float(np.mean(values)) if values else None
