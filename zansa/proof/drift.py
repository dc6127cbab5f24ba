"""Has something changed since a calm time? Charts over lots with a promise of false alarms, and tests of a window.

Parts of one lot are alike, so a lot (or an hour) is the unit of a chart, and never a part: at an intra-lot correlation
of 0.05 thresholds for independent parts alarm 17 times as often as they promise. A statistic is a number of a part,
such as its score; of a lot it is the mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kstwobign

STAKES = (0.25, 0.5, 0.95)  # shares of the largest bet that cannot lose all
TAIL_STAKES = (0.5, 0.9)  # bets on "beyond everything in the reference"
SURE = 0.001  # chance that a new lot is beyond the reference more often than the bets allow for
SPREAD = 3 * 12**-0.5  # three standard deviations of a rank
LEAST = 20  # lots of a reference; fewer tell nothing of the tails


@dataclass(frozen=True)
class Alarm:
    """What a chart says.

    at: index of the unit at which it alarms; None: it does not.
    since: index of the unit from which on the change is there, by the chart's own path.
    log_evidence: the largest logarithm of the evidence so far.
    limit: what it alarms at.
    way: "higher", "lower" or "wider"; "" where nothing speaks.
    """

    at: int | None
    since: int | None
    log_evidence: float
    limit: float
    way: str


@dataclass(frozen=True)
class Windowed:
    """A statistic of a window against the reference.

    p: of Kolmogorov and Smirnov, with the number of parts that correlated lots are worth.
    alarm: it is below the level that is shared by all statistics.
    shift: effect size, the mean rank in the reference less 1/2: -0.5 to 0.5.
    parts: how many independent parts the window is worth.
    """

    p: float
    alarm: bool
    shift: float
    parts: float


def margin(reference: int) -> float:
    """How far mean ranks may lie from 1/2 without being a change: three standard errors of a reference of so many
    lots."""
    return SPREAD / reference**0.5


def evidence(reference: ArrayLike, values: ArrayLike) -> np.ndarray:
    """Logarithms of bets against "nothing has changed": (K, U) for the units' (U,) values and a reference of (R,) lots.

    Each bet wins at most 1 on average while nothing changes, with a margin for what a finite reference does not tell:
    in ranks by `margin`, in the tails by the exact limit of the chance to exceed the largest of R (Wilks 1941). A
    value that is NaN is no bet.
    """
    old, new = np.sort(np.asarray(reference, float)), np.asarray(values, float)
    old = old[~np.isnan(old)]
    assert len(old) >= LEAST, len(old)
    rank = (np.searchsorted(old, new, "left") + np.searchsorted(old, new, "right")) / (2 * len(old))
    gap, most = np.stack([rank - 0.5, 0.5 - rank, abs(2 * rank - 1) - 0.5]), margin(len(old))
    stakes = np.array(STAKES) / (0.5 + most)
    ranked = np.log1p(stakes[None, :, None] * (gap - most)[:, None])
    beyond = np.stack([new > old[-1], new < old[0]])
    bets = np.concatenate([ranked.reshape(-1, len(new)), _tails(beyond, len(old))])
    return np.where(np.isnan(new), 0.0, bets)


def _tails(beyond: np.ndarray, reference: int) -> np.ndarray:
    chance = 1 - SURE ** (1 / reference)
    stakes = np.maximum(TAIL_STAKES, chance)[None, :, None]
    won, lost = np.log(stakes / chance), np.log((1 - stakes) / (1 - chance) + 1e-12)
    return np.where(beyond[:, None], won, lost).reshape(-1, beyond.shape[1])


WAYS = ("higher",) * len(STAKES) + ("lower",) * len(STAKES) + ("wider",) * len(STAKES)
WAYS += ("higher",) * len(TAIL_STAKES) + ("lower",) * len(TAIL_STAKES)


def limit(statistics: int, units_a_year: float, alarms_a_year: float = 1.0) -> float:
    """What a chart's log evidence must reach, so that so many charts together alarm at most so often a year while
    nothing changes."""
    return float(np.log(max(2.0, statistics * units_a_year / alarms_a_year)))


def paths(bets: np.ndarray) -> np.ndarray:
    """The log evidence of charts after each unit: (..., K, U) bets -> (..., U).

    The e-detector of Shin, Ramdas & Rinaldo 2024 (New England Journal of Statistics in Data Science), in its CUSUM
    form: M = e max(1, M), as the mean of K bets. While nothing changes it takes at least A units on average to reach
    A, however the units depend on each other's past.
    """
    running = np.zeros(bets.shape[:-1])
    found = np.empty((*bets.shape[:-2], bets.shape[-1]))
    for unit, bet in enumerate(np.ascontiguousarray(np.moveaxis(bets, -1, 0))):
        running = np.maximum(running, 0) + bet
        top = running.max(-1)
        found[..., unit] = top + np.log(np.exp(running - top[..., None]).mean(-1))
    return found


def chart(reference: ArrayLike, values: ArrayLike, threshold: float) -> Alarm:
    """Watch the (U,) values of units after a reference; the first alarm counts. ValueError for a short reference."""
    if np.sum(~np.isnan(np.asarray(reference, float))) < LEAST:
        raise ValueError(f"a calm time of {len(np.asarray(reference))} lots was given; needed: {LEAST} or more")
    bets = evidence(reference, values)
    path = paths(bets)
    over = np.flatnonzero(path >= threshold)
    at = int(over[0]) if len(over) else None
    if not len(path):
        return Alarm(None, None, 0.0, threshold, "")
    last = len(path) - 1 if at is None else at
    strongest, since = _strongest(bets[:, : last + 1])
    way = WAYS[strongest] if path[last] > 0 else ""
    return Alarm(at, since if at is not None else None, float(path[: last + 1].max()), threshold, way)


def _strongest(bets: np.ndarray) -> tuple[int, int]:
    """The bet that says most at the end, and the unit at which it began to win: the change point."""
    total = np.concatenate([np.zeros((len(bets), 1)), bets.cumsum(1)], axis=1)
    lowest = total.argmin(1)
    for bet in range(len(bets)):  # the last of equal minima
        lowest[bet] = total.shape[1] - 1 - int(total[bet, ::-1].argmin())
    gained = total[:, -1] - total[np.arange(len(bets)), lowest]
    best = int(gained.argmax())
    return best, min(int(lowest[best]), bets.shape[1] - 1)


def correlation(values: ArrayLike, lots: ArrayLike) -> float:
    """The intra-lot correlation of (N,) values by the analysis of variance; 0 to 1, 0 where no lot has two parts."""
    x, groups = np.asarray(values, float), np.unique(np.asarray(lots), return_inverse=True)[1]
    sizes = np.bincount(groups).astype(float)
    n, k = sizes.sum(), len(sizes)
    if k < 2 or n <= k:
        return 0.0
    means = np.bincount(groups, x) / sizes
    between = float((sizes * (means - x.mean()) ** 2).sum() / (k - 1))
    within = float(((x - means[groups]) ** 2).sum() / (n - k))
    usual = (n - (sizes**2).sum() / n) / (k - 1)
    share = between + (usual - 1) * within
    return float(np.clip((between - within) / share, 0, 1)) if share > 0 else 0.0


def worth(lots: ArrayLike, icc: float) -> float:
    """How many independent parts the parts of these lots are worth (Kish 1965)."""
    sizes = np.unique(np.asarray(lots), return_counts=True)[1].astype(float)
    return float(sizes.sum() / (1 + ((sizes**2).sum() / sizes.sum() - 1) * icc))


def window(
    reference: ArrayLike, reference_lots: ArrayLike, values: ArrayLike, lots: ArrayLike, level: float
) -> Windowed:
    """A statistic of a window's parts against that of the reference's. `level`: the chance of a false alarm, already
    shared among the statistics (Bonferroni)."""
    old, new = np.sort(np.asarray(reference, float)), np.sort(np.asarray(values, float))
    icc = correlation(reference, reference_lots)
    many, few = worth(reference_lots, icc), worth(lots, icc)
    both = np.concatenate([old, new])
    gap = abs(np.searchsorted(old, both, "right") / len(old) - np.searchsorted(new, both, "right") / len(new)).max()
    p = float(kstwobign.sf(gap * (many * few / (many + few)) ** 0.5))
    rank = (np.searchsorted(old, new, "left") + np.searchsorted(old, new, "right")) / (2 * len(old))
    return Windowed(p, p < level, float(rank.mean() - 0.5), few)
