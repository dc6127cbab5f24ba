"""Two candidates on the same parts: is the difference real, is one not worse, and which to take.

Images of one part are alike, so whole parts are the unit: tests over images reject true equality in 21 % of cases at
60 parts of 6 images, where they promise 5 %.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, t

from ..words import counted
from .exact import lower_limit, upper_limit

ALL_FLIPS = 12  # up to so many differing parts every pattern of signs is tried
DRAWS = 10_000
CHUNK = 2**22  # signs at a time
FEW = 20  # differing parts with which a difference of the usual size can be seen
NUISANCE = 0.001  # share of the level spent on the range of the nuisance share (Berger & Boos 1994)
GRID = 40
TIE = 1e-9


def sign_flip(
    difference: ArrayLike, groups: ArrayLike | None = None, seed: int = 0, confidence: float = 0.95
) -> dict[str, Any]:
    """Whether the mean of (N,) paired differences is other than 0: the signs of whole parts are flipped.

    Returns `difference` (the mean over images) with `low` and `high`, the two-sided `p`, and how many parts there are
    and `differ`. The p-value is exact up to 12 differing parts, beyond that by 10,000 draws with 1 added to both counts
    (Phipson & Smyth 2010). It is exact for parts whose difference is as likely as its opposite; the interval is that
    of Student over parts, and None with fewer than 20 that differ, where it would be too narrow.
    """
    sums, sizes = _by_part(difference, groups)
    told = sums[abs(sums) > TIE]
    p = _all_flips(told) if len(told) <= ALL_FLIPS else _drawn_flips(told, np.random.default_rng(seed))
    mean = float(sums.sum() / sizes.sum())
    low, high = _student(sums, sizes, confidence) if len(told) >= FEW else (None, None)
    return {
        "difference": mean,
        "low": low,
        "high": high,
        "confidence": confidence,
        "p": p,
        "parts": len(sums),
        "differ": len(told),
    }


def mcnemar(first_only: int, second_only: int) -> dict[str, float]:
    """Two-sided p-values of equal rates, from the parts that only one of two candidates gets right: `exact`, and
    `mid`, which is less shy and held its level in 9,595 scenarios of Fagerland, Lydersen & Laake 2013."""
    if min(first_only, second_only) < 0:
        raise ValueError(f"counts of parts are {first_only} and {second_only}; allowed: 0 and above")
    n, low = first_only + second_only, min(first_only, second_only)
    exact = min(1.0, 2 * float(binom.cdf(low, n, 0.5)))
    at = float(binom.pmf(low, n, 0.5))
    # With equal counts both tails hold the middle: half of its mass is taken from each.
    return {"exact": exact, "mid": 1 - at / 2 if 2 * low == n and n else min(1.0, exact - at) if n else 1.0}


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, so adjusted that a true equality is called a difference in at most the level of
    cases, all tests together (Holm 1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, stepped)
    return [float(value) for value in adjusted]


def not_worse(worse: int, better: int, parts: int, margin: float, confidence: float = 0.95) -> dict[str, Any]:
    """Whether a candidate is right on at most `margin` fewer of the parts than its reference.

    `worse` parts only the reference gets right, `better` parts only the candidate, out of `parts`, decided part by
    part. Exact and one-sided: the score test of Tango 1998, whose p-value is the largest over all shares of parts that
    differ. `low` is the limit of the difference of the rates: not worse when low > -margin.
    """
    if not 0 < margin < 1:
        raise ValueError(
            f"the margin is {margin:g}; allowed: a share above 0 and below 1, for example 0.02 for 2 points"
        )
    if min(worse, better) < 0 or parts < max(1, worse + better):
        raise ValueError(f"{worse} + {better} differing parts of {parts} cannot be")
    p = _tango(worse, better, parts, -margin)
    low = _low(worse, better, parts, confidence)
    return {
        "difference": (better - worse) / parts,
        "low": low,
        "confidence": confidence,
        "margin": margin,
        "p": p,
        "not_worse": p <= 1 - confidence,
        "parts": parts,
        "differ": worse + better,
    }


def against(
    values: ArrayLike, reference: int, groups: ArrayLike | None = None, seed: int = 0, level: float = 0.05
) -> list[dict[str, Any] | None]:
    """Every candidate against one: (M, N) values of M candidates on the same N images (1 for right, or a cost).

    One row a candidate, None for the reference: as `sign_flip`, with `p_holm` and what it means in words.
    """
    v = np.asarray(values, dtype=float)
    rows = {i: sign_flip(v[i] - v[reference], groups, seed) for i in range(len(v)) if i != reference}
    adjusted = dict(zip(rows, holm([row["p"] for row in rows.values()]), strict=True))
    told = {i: row | {"p_holm": adjusted[i], "text": _said(row, adjusted[i], level)} for i, row in rows.items()}
    return [told.get(i) for i in range(len(v))]


def one_standard_error(
    names: Sequence[str],
    costs: ArrayLike,
    ms: Sequence[float | None],
    macs: Sequence[float],
    groups: ArrayLike | None = None,
    most_ms: float = math.inf,
) -> dict[str, Any]:
    """Which candidate to take, by the one-standard-error rule (Breiman et al. 1984, section 3.4.3), paired and by part.

    `costs` are (M, N): what each candidate costs on each image (mistakes, or expected cost). Among those whose cost is
    within one standard error of their difference to the best, the fewest milliseconds win, then the fewest
    multiply-adds, then the lowest cost; candidates over `most_ms` are out. Returns `chosen`, `runner_up` (None when
    there is one candidate), `best`, the names `within`, and `text` with what would change the choice. ValueError where
    no candidate is fast enough.
    """
    value = np.asarray(costs, dtype=float)
    times = [math.inf if time is None else time for time in ms]  # not measured: last in the order, never in a limit
    fit = [i for i, time in enumerate(times) if time <= most_ms]
    if not fit:
        raise ValueError(
            f"no candidate takes at most {most_ms:g} ms; the fastest takes {min(times):g}: raise the limit"
        )
    best = min(fit, key=lambda i: (value[i].mean(), i))
    gaps = {i: _gap(value[i] - value[best], groups) for i in fit}
    within = [i for i in fit if gaps[i][0] <= gaps[i][1] + TIE]

    def order(i: int) -> tuple[float, float, float]:
        return times[i], macs[i], value[i].mean()

    ranked = sorted(within, key=order) + sorted(set(fit) - set(within), key=lambda i: value[i].mean())
    chosen, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    parts = len(_by_part(value[best], groups)[0])
    return {
        "chosen": names[chosen],
        "runner_up": None if second is None else names[second],
        "best": names[best],
        "within": [names[i] for i in within],
        "text": _why(names, chosen, best, second, gaps, parts, within),
    }


def front(values: ArrayLike) -> np.ndarray:
    """Which of M candidates are beaten by no other: (M, D) values, the lower the better, as (M,) bool."""
    v = np.asarray(values, dtype=float)
    below = np.all(v[None] <= v[:, None], axis=2) & np.any(v[None] < v[:, None], axis=2)
    return np.asarray(~np.any(below, axis=1))


# --- flips and limits by part ---------------------------------------------------------------------------------------


def _by_part(values: ArrayLike, groups: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values and number of images of every part."""
    v = np.asarray(values, dtype=float)
    if v.ndim != 1 or len(v) == 0 or not np.isfinite(v).all():
        raise ValueError(
            f"values of shape {v.shape} were given; needed: one finite number for each of one or more images"
        )
    if groups is None:
        return v, np.ones(len(v))
    _, part = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(part, v), np.bincount(part).astype(float)


def _all_flips(sums: np.ndarray) -> float:
    signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
    return float((abs(signs @ sums) >= abs(sums.sum()) - TIE).mean())


def _drawn_flips(sums: np.ndarray, rng: np.random.Generator) -> float:
    # Parts of equal difference, such as all of one more right answer, are flipped together.
    sizes, counts = np.unique(abs(sums).round(12), return_counts=True)
    as_far, left, step = 1, DRAWS, max(1, CHUNK // len(sizes))
    while left:
        kept = rng.binomial(counts, 0.5, (min(step, left), len(sizes)))
        as_far += int((abs((2 * kept - counts) @ sizes) >= abs(sums.sum()) - TIE).sum())
        left -= len(kept)
    return as_far / (DRAWS + 1)


def _gap(difference: np.ndarray, groups: ArrayLike | None) -> tuple[float, float]:
    """Mean difference over images, and its standard error over parts."""
    sums, sizes = _by_part(difference, groups)
    mean, count = sums.sum() / sizes.sum(), len(sums)
    spread = np.square(sums - mean * sizes).sum() * count / max(1, count - 1)
    return float(mean), float(math.sqrt(spread) / sizes.sum())


def _student(sums: np.ndarray, sizes: np.ndarray, confidence: float) -> tuple[float, float]:
    count, mean = len(sums), float(sums.sum() / sizes.sum())
    error = math.sqrt(np.square(sums - mean * sizes).sum() * count / (count - 1)) / sizes.sum()
    reach = float(t.ppf((1 + confidence) / 2, count - 1)) * error
    return float(mean - reach), float(mean + reach)


# --- the exact test of "not worse" ----------------------------------------------------------------------------------


def _score(worse: np.ndarray, better: np.ndarray, n: int, gap: float) -> np.ndarray:
    """Tango's statistic of "rate of better - rate of worse <= gap"; the larger, the less so."""
    b = -better - worse + (2 * n - better + worse) * gap
    root = np.sqrt(np.maximum(0, b * b + 8 * n * worse * gap * (1 - gap)))
    rare = np.maximum((root - b) / (4 * n), max(0.0, -gap))  # the share of worse parts at this gap
    variance = n * (2 * rare + gap * (1 - gap))
    # Without a differing part and a gap there is nothing to see.
    return (better - worse - n * gap) / np.sqrt(np.where(variance <= 0, 1, variance))


def _tango(worse: int, better: int, n: int, gap: float) -> float:
    seen = float(_score(np.array([worse]), np.array([better]), n, gap)[0])
    side = 1 - NUISANCE / 2
    least, most = max(0.0, -gap), (1 - gap) / 2
    low = min(max(float(lower_limit(worse, n, side)), least), most)
    high = max(min(float(upper_limit(worse, n, side)), most), least)
    shares = np.unique(np.linspace(math.sqrt(low), math.sqrt(high), GRID) ** 2)[:, None]
    c = np.arange(int(binom.ppf(1e-10, n, low)), int(binom.isf(1e-10, n, high)) + 1)
    least_better = _first(c, n, gap, seen)
    other = np.clip((shares + gap) / np.maximum(1 - shares, TIE), 0, 1)
    chance = binom.pmf(c, n, shares) * binom.sf(least_better - 1, n - c, other)
    return min(1.0, float(chance.sum(axis=1).max()) + NUISANCE)


def _first(worse: np.ndarray, n: int, gap: float, seen: float) -> np.ndarray:
    """For each number of worse parts the least number of better ones that says as much; n + 1 where none does."""
    low, high = np.full(len(worse), -1), n - worse + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = _score(worse, np.maximum(middle, 0), n, gap) >= seen - TIE
        low, high = np.where(enough & (middle > low), low, middle), np.where(enough & (middle > low), middle, high)
    return np.where(high > n - worse, n + 1, high)


def _low(worse: int, better: int, n: int, confidence: float) -> float:
    low, high = -1 + 1e-6, (better - worse) / n
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _tango(worse, better, n, middle) <= 1 - confidence else (low, middle)
    return low


# --- words ----------------------------------------------------------------------------------------------------------


def _said(row: dict[str, Any], p: float, level: float) -> str:
    if p <= level:
        return f"the difference is real (p = {p:.2g}, {row['differ']} of {row['parts']} parts differ)"
    few = row["differ"] < FEW
    return f"no difference can be seen ({'only ' * few}{row['differ']} of {row['parts']} parts differ, p = {p:.2g})"


def _why(
    names: Sequence[str],
    chosen: int,
    best: int,
    second: int | None,
    gaps: dict[int, tuple[float, float]],
    parts: int,
    within: list[int],
) -> str:
    said = f"take {names[chosen]}: of {counted(len(within), 'candidate')} within one standard error of the lowest cost "
    said += "it is the fastest" if len(within) > 1 else "it is the only one"
    if second is not None:
        said += f"; the runner-up is {names[second]}"
    gap, error = gaps[chosen]
    if chosen != best and gap > TIE:
        more = math.ceil(parts * (error / gap) ** 2)
        said += f"; {names[best]} would be chosen if its lead of {gap:.3g} (±{error:.2g}) held on about {more} parts"
    elif second is not None and second not in within:
        gap, error = gaps[second]
        said += f"; it costs {gap:.3g} (±{error:.2g}) more, and would be chosen if that were not so"
    return said
