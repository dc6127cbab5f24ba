"""Champion against challenger on the same parts: may the new network act?

Four questions, and each must be answered yes: it misses not more than before (by a margin), it raises not more false
alarms than before or than is accepted (by a margin), it finds every escape that was ever confirmed, and its expected
cost is not higher. Parts of a lot are alike, so a limit over lots must hold beside the exact one over parts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from .exact import needed, upper_limit
from .pairs import mcnemar, not_worse

FEW_LOTS = 8  # with fewer lots no limit over lots is told


def challenge(
    old: ArrayLike,
    new: ArrayLike,
    defect: ArrayLike,
    lots: ArrayLike,
    margin: float,
    escapes_missed: Sequence[str] = (),
    costs: tuple[float, float, float] | None = None,
    accepted: float | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Whether a challenger may act: (N,) whether champion and challenger decide rightly, which parts are defects, and
    their lots. `escapes_missed` names confirmed escapes that the challenger misses; `costs` are those of a miss and of
    a false alarm, and the share of defects; `accepted` is the share of false alarms that people accept, whatever the
    champion raises.

    Returns `passed`, the `reasons` against it, and per kind of part (`misses`, `false_alarms`) what was compared.
    """
    was, is_now, bad = (np.asarray(each, bool) for each in (old, new, defect))
    where = np.asarray(lots)
    kinds = {"misses": bad, "false_alarms": ~bad}
    told = {name: _kind(was[kind], is_now[kind], where[kind], margin, confidence) for name, kind in kinds.items()}
    if accepted is not None and told["false_alarms"] is not None:
        within = _within(is_now[~bad], where[~bad], accepted, margin, confidence)
        told["false_alarms"] |= within | {"passed": told["false_alarms"]["passed"] or within["within"]}
    reasons = [name for name, row in told.items() if row is None or not row["passed"]]
    reasons += ["escapes"] if escapes_missed else []
    gain = _gain(told, costs) if costs and None not in told.values() else None
    reasons += ["cost"] if gain is not None and gain < 0 else []
    flips = np.flatnonzero(was & ~is_now)
    return {
        "passed": not reasons,
        "reasons": reasons,
        "margin": margin,
        **told,
        "escapes_missed": list(escapes_missed),
        "negative_flips": flips.tolist(),
        "mcnemar": mcnemar(int((was & ~is_now).sum()), int((~was & is_now).sum())),
        "gain": gain,
    }


def _kind(
    old: np.ndarray, new: np.ndarray, lots: np.ndarray, margin: float, confidence: float
) -> dict[str, Any] | None:
    """Whether the challenger is not worse on the parts of a kind; None where there are none."""
    if not len(old):
        return None
    worse, better = int((old & ~new).sum()), int((~old & new).sum())
    told = not_worse(worse, better, len(old), margin, confidence)
    by_lot = _by_lot(new.astype(float) - old, lots, confidence)
    passed = told["not_worse"] and (by_lot is None or by_lot > -margin)
    return told | {
        "worse": worse,
        "better": better,
        "low_by_lot": by_lot,
        "passed": passed,
        "needed": int(needed(margin, confidence)),
    }


def _within(right: np.ndarray, lots: np.ndarray, accepted: float, margin: float, confidence: float) -> dict[str, Any]:
    """Whether the mistakes on the parts of a kind are shown to be at most `margin` more than is accepted: a share that
    is higher passes in at most 1 - confidence of all trials."""
    high = float(upper_limit(int((~right).sum()), len(right), confidence))
    by_lot = _by_lot(right.astype(float) - 1, lots, confidence)
    highest = high if by_lot is None else max(high, -by_lot)
    return {
        "accepted": accepted,
        "rate": float((~right).mean()),
        "high": highest,
        "within": highest <= accepted + margin,
    }


def _by_lot(difference: np.ndarray, lots: np.ndarray, confidence: float) -> float | None:
    """The lower limit of the mean difference, with lots as the unit; None with few lots."""
    groups = np.unique(lots, return_inverse=True)[1]
    sums, sizes = np.bincount(groups, difference), np.bincount(groups)
    count, mean = len(sums), float(difference.mean())
    if count < FEW_LOTS:
        return None
    error = np.sqrt(np.square(sums - mean * sizes).sum() * count / (count - 1)) / sizes.sum()
    return float(mean - t.ppf(confidence, count - 1) * error)


def _gain(told: dict[str, Any], costs: tuple[float, float, float]) -> float:
    """What a part costs less with the challenger, on average."""
    miss, false_alarm, share = costs
    gained = miss * share * told["misses"]["difference"]
    return float(gained + false_alarm * (1 - share) * told["false_alarms"]["difference"])
