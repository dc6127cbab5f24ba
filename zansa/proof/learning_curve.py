"""The learning curve: what would more data bring?

Errors of small trainings on nested shares of the data are extended by a power law, at most to four times the data. The
honest range is that of benchmarks, not of a bootstrap: the law is wrong more often than the errors are (a bootstrap of
folds covered 29 to 58 % of what it called 90 %).
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from ..words import plain_percent

FARTHEST = 4.0  # times the data
# true error / predicted error, 5 % and 95 %, over 72 measured cases
BAND = {1.0: (1.0, 1.0), 2.0: (0.8, 1.5), 4.0: (0.75, 1.8)}
GROUPS = 5  # of the rarest class in the smallest share
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)


def shares(rarest: int) -> tuple[float, ...]:
    """Which shares of the data to train on, for so many groups (or images) of the rarest class. ValueError where there
    are too few for three shares."""
    found = tuple(share for share in SHARES if rarest * share >= GROUPS)
    if len(found) < 3:
        raise ValueError(
            f"no learning curve: the rarest class has {rarest} separate parts, and {4 * GROUPS} are needed for a "
            "quarter, a half and the whole of the data; collect more of it"
        )
    return found


def nested(labels: np.ndarray, groups: np.ndarray | None, parts: Sequence[float], seed: int) -> list[np.ndarray]:
    """Indices of nested shares of images, (n,) labels: each share holds the one before, whole groups and about the
    share of every class (a group counts for its commonest class)."""
    names = np.arange(len(labels)) if groups is None else groups
    _, place = np.unique(names, return_inverse=True)
    votes = np.zeros((place.max() + 1, labels.max() + 1), dtype=int)
    np.add.at(votes, (place, labels), 1)
    rank = np.empty(len(votes))  # within its class, in (0, 1], at random
    for kind in np.unique(votes.argmax(axis=1)):
        members = np.flatnonzero(votes.argmax(axis=1) == kind)
        rank[np.random.default_rng([seed, kind]).permutation(members)] = np.arange(1, len(members) + 1) / len(members)
    return [np.flatnonzero(rank[place] <= share + 1e-9) for share in parts]


def extrapolate(
    sizes: Sequence[float], errors: Sequence[float], times: float = 2.0, judged: int = 1000
) -> dict[str, Any]:
    """The error to expect with `times` the largest of these sizes, with an honest range.

    `sizes` are numbers of parts, rising, at least three; `errors` the share of mistakes of a training with each (means
    over seeds), on `judged` held-out parts. The value is the geometric mean of b n^-c and a + b n^-c. Where the errors
    do not fall, the value is None and `text` says so. ValueError for fewer sizes and beyond four times.
    """
    n, e = np.asarray(sizes, dtype=float), np.asarray(errors, dtype=float)
    _refuse(n, e, times)
    floor = 0.5 / judged  # no mistake among so many is not an error of 0
    e = np.clip(e, floor, 1 - floor)
    ratio, noise = n / n[-1], np.sqrt(e * (1 - e) / judged)
    slope = np.polyfit(np.log(ratio), np.log(e), 1, w=e / noise)[0]
    if slope >= 0:
        return {
            "times": times,
            "error": None,
            "low": None,
            "high": None,
            "text": "more of the same data does not help: the error does not fall with it",
        }
    value = float(np.sqrt(_plain(ratio, e, noise, times) * _levelling(ratio, e, noise, times)))
    low, high = (value * factor for factor in band(times))
    told, least, most, now = (plain_percent(float(v), 2) for v in (value, low, min(1.0, high), e[-1]))
    text = f"with {times:g} times the data the error would be about {told} ({least} to {most}), and it is {now} now"
    return {"times": times, "error": value, "low": low, "high": min(1.0, high), "text": text}


def band(times: float) -> tuple[float, float]:
    """True over predicted error at so many times the data: 5 % and 95 %; between the measured ones by logarithms."""
    at = np.log(list(BAND))
    low, high = (
        float(np.exp(np.interp(np.log(times), at, np.log([ends[i] for ends in BAND.values()])))) for i in (0, 1)
    )
    return low, high


def _refuse(n: np.ndarray, e: np.ndarray, times: float) -> None:
    if len(n) < 3 or n.shape != e.shape or (np.diff(n) <= 0).any() or n[0] <= 0:
        raise ValueError(
            f"a learning curve of {len(n)} sizes was given; needed: three or more, rising, an error for each"
        )
    if not ((e >= 0) & (e <= 1)).all():
        raise ValueError("errors of a learning curve are shares from 0 to 1")
    if not 1 <= times <= FARTHEST:
        raise ValueError(
            f"the error at {times:g} times the data was asked; allowed: 1 to {FARTHEST:g} times, since no curve of "
            "small trainings can be trusted beyond"
        )


def _plain(ratio: np.ndarray, e: np.ndarray, noise: np.ndarray, times: float) -> float:
    slope, level = np.polyfit(np.log(ratio), np.log(e), 1, w=e / noise)
    return float(np.exp(level + slope * np.log(times)))


def _levelling(ratio: np.ndarray, e: np.ndarray, noise: np.ndarray, times: float) -> float:
    def law(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        return a + b * x**-c

    starts = ((0.0, e[-1], 0.3), (e[-1] / 2, e[-1] / 2, 0.5), (0.9 * e[-1], e[-1] / 4, 1.0))
    with warnings.catch_warnings(action="ignore", category=OptimizeWarning):  # the covariance is not used
        fits = [
            curve_fit(
                law,
                ratio,
                e,
                start,
                noise,
                bounds=([0, 0, 0.05], [e[-1], 1, 2]),
                method="trf",
                loss="soft_l1",
                full_output=True,
            )
            for start in starts
        ]
    best = min(fits, key=lambda fit: float(np.square(fit[2]["fvec"]).sum()))[0]
    return float(law(np.array(times), *best))
