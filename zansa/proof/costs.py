"""What a working point costs, and the cheapest one.

Costs are those of one part: a defect let through, a good part rejected, a part that a person looks at (errors of the
person included). The production defect rate is asked, never taken from the data: folders hold more defects than lines.
Scores are log odds of a defect, as in `points`.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from ..words import plain_percent
from .exact import lower_limit, upper_limit
from .points import Point, ScoredParts, counts_text

EXAMPLE = "miss=500,false_alarm=8,ask=2"
NAMES = ("miss", "false_alarm", "ask")
FIT_PARTS = 50  # fewer validation parts fit no probability
EXTREME = 35.0  # log odds beyond this count as this in fits


@dataclass(frozen=True)
class Costs:
    """Costs of one part, in any one currency."""

    miss: float  # a defective part is let through
    false_alarm: float  # a good part is rejected
    ask: float | None = None  # a person looks at a part; None: nobody does

    @property
    def dearest_ask(self) -> float:
        """Asking pays below this price alone (Chow 1970, generalised to unequal costs)."""
        return self.miss * self.false_alarm / (self.miss + self.false_alarm)

    @property
    def asks(self) -> bool:
        """Whether asking pays anywhere."""
        return self.ask is not None and self.ask < self.dearest_ask


def parse_costs(text: str) -> Costs:
    """Costs from "miss=500,false_alarm=8" with or without ",ask=2"; ValueError, saying what to type, for others."""
    found: dict[str, float] = {}
    for term in text.split(","):
        name, _, word = (piece.strip() for piece in term.partition("="))
        if name not in NAMES or name in found:
            raise ValueError(
                f"{term.strip()!r} is no cost; allowed: {', '.join(NAMES)}, each once, for example {EXAMPLE}"
            )
        found[name] = _amount(name, word)
    missing = [name for name in NAMES[:2] if name not in found]
    if missing:
        raise ValueError(f"the costs {text!r} have no {' and no '.join(missing)}; type for example {EXAMPLE}")
    return Costs(**found)


def _amount(name: str, word: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?(e\d+)?", word) or float(word) == 0:
        raise ValueError(f"{name}={word} was given; allowed: a number above 0, without unit, for example {EXAMPLE}")
    return float(word)


def by_cost(parts: ScoredParts, costs: Costs, defect_rate: float, calibrated: bool = False) -> Point:
    """The cheapest point by Elkan 2001 ("The foundations of cost-sensitive learning"): reject where the odds of a
    defect in production are at least false_alarm / miss; with `ask`, a person sees what is between two such lines.

    `defect_rate` is that of production, in (0, 1). `calibrated`: the scores are log odds of calibrated probabilities of
    single parts; otherwise (and for parts of several images) a slope and an offset are fitted to the parts (Platt
    1999), which costs less than searching the line of least cost on them. ValueError where there are only defects or
    only good parts, or where higher scores do not mean more defects.
    """
    _refuse(parts, defect_rate)
    few = len(parts.score) < FIT_PARTS
    slope, offset = (1.0, 0.0) if (calibrated and not parts.joined) or few else platt(parts.score, parts.defect)
    if slope <= 0:
        raise ValueError(
            "no line by cost: on validation parts higher scores do not mean more defects; "
            f"the cheapest without a model is to {cheapest_blind(costs, defect_rate)[0]}"
        )
    offset += logit(defect_rate) - logit(_data_rate(parts))
    ask, reject = ((line - offset) / slope for line in _odds_lines(costs))
    said = f"least expected cost for {_priced(costs)} when {plain_percent(defect_rate)} of parts are defective"
    said += "; not calibrated, for lack of validation parts" if few else ""
    if costs.ask is not None and not costs.asks:
        said += f"; nobody is asked, since that pays below a price of {costs.dearest_ask:.3g} only"
    return Point(float(reject), float(ask), "by cost", f"{said}; {counts_text(parts, reject, ask)}")


def expected_cost(
    parts: ScoredParts, point: Point, costs: Costs, defect_rate: float, confidence: float = 0.95
) -> dict[str, Any]:
    """Expected cost of 1,000 production parts at a point, with its interval, the shares behind it, and what rejecting,
    accepting and asking about every part would cost.

    The interval adds up exact limits of the shares (Zou, Huang & Zhang 2009): within a kind of part as they are, as
    they may err together, between the two kinds by squares. Raises ValueError where there are only defects or only
    good parts.
    """
    _refuse(parts, defect_rate)
    ask_price = costs.ask if costs.ask is not None else 0.0
    if point.asks and costs.ask is None:
        raise ValueError(f"the point asks a person, and the costs have no price of it; type for example {EXAMPLE}")
    shown, rejected = parts.score >= point.ask, parts.score >= point.reject
    # A defect let through costs its price; good and defective parts between the lines cost a look each.
    missed, asked = ~shown & parts.defect, shown & ~rejected
    defects, good = int(parts.defect.sum()), int((~parts.defect).sum())
    terms = [
        [(costs.miss, int(missed.sum()), defects), (ask_price, int((asked & parts.defect).sum()), defects)],
        [
            (costs.false_alarm, int((rejected & ~parts.defect).sum()), good),
            (ask_price, int((asked & ~parts.defect).sum()), good),
        ],
    ]
    shares = (defect_rate, 1 - defect_rate)
    value, below, above = (
        _summed(1000 * np.array([s * _ends(t, confidence)[i] for s, t in zip(shares, terms, strict=True)]), i)
        for i in range(3)
    )
    per_thousand = {
        name: 1000 * s * hits / count
        for name, s, (_, hits, count) in (("missed", shares[0], terms[0][0]), ("false_alarms", shares[1], terms[1][0]))
    }
    looks = 1000 * sum(s * t[1][1] / t[1][2] for s, t in zip(shares, terms, strict=True))
    return {
        "cost": value,
        "low": max(0.0, value - below),
        "high": value + above,
        "confidence": confidence,
        **per_thousand,
        "asked": looks,
        "blind": dict(_blind(costs, defect_rate)),
    }


def cost_curve(parts: ScoredParts, costs: Costs, defect_rate: float, most: int = 200) -> list[dict[str, float]]:
    """Expected cost of 1,000 parts for lines without asking, from one that rejects all to one that rejects none: at
    most so many rows {"line", "cost", "detection", "false_alarms"}, evenly spaced in rank."""
    _refuse(parts, defect_rate)
    score = np.unique(parts.score)
    lines = np.concatenate([score, score[-1:] + 1])
    if len(lines) > most:
        lines = lines[np.linspace(0, len(lines) - 1, most).round().astype(int)]
    missed = np.searchsorted(parts.faulty, lines) / len(parts.faulty)
    alarms = 1 - np.searchsorted(parts.good, lines) / len(parts.good)
    cost = 1000 * (defect_rate * missed * costs.miss + (1 - defect_rate) * alarms * costs.false_alarm)
    rows = zip(lines, cost, 1 - missed, alarms, strict=True)
    return [dict(zip(("line", "cost", "detection", "false_alarms"), map(float, row), strict=True)) for row in rows]


def cost_by_rate(
    parts: ScoredParts,
    point: Point,
    costs: Costs,
    defect_rate: float,
    rates: Sequence[float] | None = None,
    calibrated: bool = False,
) -> list[dict[str, float]]:
    """Expected cost of 1,000 parts when the production defect rate is another than was said: of the point as it is,
    of the one that would be chosen then, and of the cheapest without a model. Default: from a tenth to ten times."""
    rates = rates or [rate for rate in defect_rate * np.geomspace(0.1, 10, 21) if rate < 0.9]
    rows = []
    for rate in map(float, rates):
        best = by_cost(parts, costs, rate, calibrated)
        rows.append(
            {
                "defect_rate": rate,
                "cost": expected_cost(parts, point, costs, rate)["cost"],
                "best": expected_cost(parts, best, costs, rate)["cost"],
                "blind": cheapest_blind(costs, rate)[1],
            }
        )
    return rows


def cheapest_blind(costs: Costs, defect_rate: float) -> tuple[str, float]:
    """What is cheapest without a model, and its cost of 1,000 parts."""
    return min(_blind(costs, defect_rate), key=lambda row: row[1])


def platt(score: np.ndarray, defect: np.ndarray) -> tuple[float, float]:
    """Slope and offset that make log odds of scores, fitted with the softened labels of Platt 1999."""
    bad, good = defect.sum(), (~defect).sum()
    target = np.where(defect, (bad + 1) / (bad + 2), 1 / (good + 2))
    s = np.clip(score, -EXTREME, EXTREME)
    centre, spread = s.mean(), s.std() or 1.0
    z = (s - centre) / spread

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        f = ab[0] * z + ab[1]
        error = expit(f) - target
        return float((np.logaddexp(0, f) - target * f).mean()), np.array([(error * z).mean(), error.mean()])

    a, b = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return float(a / spread), float(b - a * centre / spread)


# --- parts of the above ---------------------------------------------------------------------------------------------


def _refuse(parts: ScoredParts, defect_rate: float) -> None:
    if not 0 < defect_rate < 1:
        hint = f" (for {defect_rate:g} % type {defect_rate / 100:g})" if 1 <= defect_rate < 100 else ""
        raise ValueError(
            f"the defect rate is {defect_rate:g}; allowed: a share above 0 and below 1, such as 0.02{hint}"
        )
    if parts.defect.all() or not parts.defect.any():
        kind = "good" if parts.defect.all() else "defective"
        raise ValueError(f"no cost can be estimated: none of the {len(parts.score)} parts is {kind}; add {kind} parts")


def _data_rate(parts: ScoredParts) -> float:
    return float((parts.defect.sum() + 1) / (len(parts.defect) + 2))


def _odds_lines(costs: Costs) -> tuple[float, float]:
    """Log odds in production from which to ask and to reject."""
    if not costs.asks:
        return (math.log(costs.false_alarm / costs.miss),) * 2
    ask = float(costs.ask or 0)
    return math.log(ask / (costs.miss - ask)), math.log((costs.false_alarm - ask) / ask)


def _blind(costs: Costs, defect_rate: float) -> list[tuple[str, float]]:
    rows = [
        ("accept every part", 1000 * defect_rate * costs.miss),
        ("reject every part", 1000 * (1 - defect_rate) * costs.false_alarm),
    ]
    return rows + ([("ask about every part", 1000 * costs.ask)] if costs.ask is not None else [])


def _ends(terms: list[tuple[float, int, int]], confidence: float) -> tuple[float, float, float]:
    """Cost of one part, and how far it may lie below and above."""
    side = (1 + confidence) / 2
    price, hits, count = np.array(terms, dtype=float).T
    share = hits / count
    low, high = lower_limit(hits, count, side), upper_limit(hits, count, side)
    return float(price @ share), float(price @ (share - low)), float(price @ (high - share))


def _summed(values: np.ndarray, which: int) -> float:
    return float(values.sum() if which == 0 else np.linalg.norm(values))


def _priced(costs: Costs) -> str:
    return ", ".join(f"{name}={value:g}" for name in NAMES if (value := getattr(costs, name)) is not None)
