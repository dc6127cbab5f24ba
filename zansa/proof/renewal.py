"""Learn again, or not: a decision from what was measured, with its gain against its cost. "Do nothing" is an answer.

Triggers in the order of their authority: measured misses above what is accepted, a new kind of defect that people have
named, drift that does harm (too many false alarms), drift that does none (the line alone is moved), the calendar
(look, do not train). Drift alone is no reason to train: of eleven simulated changes none cost more than 1.4 points of
detection.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

NAMED = 10  # parts of a new kind of defect that people have named
FIXED = (0.2, 0.8)  # share of today's mistakes that a training on them mends: a guess, told as one
ENOUGH = 0.9  # the chance of a gain that is asked for
DRAWS = 4000
CALENDAR = 365  # days after which a look is due


@dataclass(frozen=True)
class Seen:
    """What was measured since a network acts.

    parts: how many it judged.
    defects: how many defects it has found.
    misses: {value, low, high} of defects among accepted parts, None where nobody has looked.
    false_alarms: the same of good parts among rejected ones.
    named: parts of each new kind that people have named.
    drifted: statistics with an open alarm.
    days: since it acts.
    """

    parts: int
    defects: float
    misses: dict[str, Any] | None
    false_alarms: dict[str, Any] | None
    named: dict[str, int]
    drifted: tuple[str, ...]
    days: float


@dataclass(frozen=True)
class Accepted:
    """What is accepted; None: not said.

    misses: the share of defects that may be missed.
    false_alarms: the share of good parts that may be rejected.
    """

    misses: float | None = None
    false_alarms: float | None = None


@dataclass(frozen=True)
class Price:
    """What mistakes and renewals cost, in one currency.

    miss, false_alarm: of one part each.
    renewal: training, labels and approval together.
    parts: so many are judged until the next decision.
    """

    miss: float
    false_alarm: float
    renewal: float
    parts: float


def decide(seen: Seen, accepted: Accepted, price: Price | None = None, seed: int = 0) -> dict[str, Any]:
    """What to do: {"do": "train", "line", "look", "clean" or "nothing", "why": triggers, "gain": ..., "rates": ...}.

    "look" means that labels are needed first; "clean" that there is drift whose cause should be found before anything
    is learned from it.
    """
    rates = {"misses": _missed(seen), "false_alarms": _alarmed(seen)}
    why = _triggers(seen, accepted, rates)
    do = _wanted(why, seen)
    gain = None if price is None else expected_gain(seen, price, seed)
    if do == "train" and gain is not None and (gain["chance"] < ENOUGH or gain["expected"] <= 0):
        do, why = "nothing", [*why, "the gain does not pay"]
    return {"do": do, "why": why, "gain": gain, "rates": rates}


def _triggers(seen: Seen, accepted: Accepted, rates: dict[str, Any]) -> list[str]:
    found = []
    for name, most in (("misses", accepted.misses), ("false_alarms", accepted.false_alarms)):
        if most is not None and rates[name] is not None:
            if rates[name]["low"] > most:
                found.append(name)
            elif rates[name]["high"] > most and name == "misses":
                found.append("misses not shown")
    found += [f"new class {name}" for name, count in seen.named.items() if count >= NAMED]
    found += ["drift"] if seen.drifted else []
    found += ["calendar"] if seen.days >= CALENDAR else []
    return found


def _wanted(why: list[str], seen: Seen) -> str:
    if "misses" in why or any(each.startswith("new class") for each in why):
        return "train"
    if "drift" in why:  # with harm it must be learned or removed; without, the line is enough once its cause is known
        harm = "false_alarms" in why or "misses not shown" in why
        return "clean" if harm or seen.misses is None else "line"
    if "false_alarms" in why:
        return "line"
    return "look" if "misses not shown" in why or "calendar" in why or seen.misses is None else "nothing"


def _missed(seen: Seen) -> dict[str, float] | None:
    """The share of defects that is missed; a miss is a defect that was not found."""
    if seen.misses is None:
        return None
    ends = {name: float(seen.misses[name]) for name in ("value", "low", "high")}
    return {name: end / (end + seen.defects) if end else 0.0 for name, end in ends.items()}


def _alarmed(seen: Seen) -> dict[str, float] | None:
    if seen.false_alarms is None:
        return None
    good = max(1.0, seen.parts - seen.defects)
    return {name: min(1.0, float(seen.false_alarms[name]) / good) for name in ("value", "low", "high")}


def expected_gain(seen: Seen, price: Price, seed: int = 0) -> dict[str, float]:
    """What a renewal saves until the next look, less its cost: the mean, and the chance that it is above 0. Rates are
    drawn from their intervals (as logarithms, normal), the share that is mended uniformly from FIXED."""
    rng = np.random.default_rng(seed)
    lost = np.zeros(DRAWS)
    for counts, cost in ((seen.misses, price.miss), (seen.false_alarms, price.false_alarm)):
        if counts is not None:
            lost += cost * _drawn(counts, rng) / max(1, seen.parts) * price.parts
    saved = lost * rng.uniform(*FIXED, DRAWS) - price.renewal
    return {"expected": float(saved.mean()), "chance": float((saved > 0).mean()), "cost": price.renewal}


def _drawn(counts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    high = max(float(counts["high"]), 1e-9)
    value = max(float(counts["value"]), high / 10)
    return np.exp(np.log(value) + rng.standard_normal(DRAWS) * np.log(max(high / value, 1 + 1e-9)) / 1.96)
