"""The working point that was asked for: by costs, by a promise, or by the usual rule; and what each promise takes."""

from dataclasses import dataclass
from typing import Any

from .costs import EXAMPLE, Costs, by_cost, cheapest_blind, cost_by_rate, cost_curve, expected_cost, parse_costs
from .points import (
    Point,
    ScoredParts,
    by_both,
    by_false_alarms,
    by_recall,
    least_parts,
    look,
    promised_now,
    spare,
    usual,
)

USUAL = 0.02  # of good parts are rejected at most, where nothing was asked
SURE = 0.95
SHARES = {"--defect-rate": "0.02", "--recall-at-least": "0.99", "--false-alarms-at-most": "0.02"}


@dataclass(frozen=True)
class Requirement:
    """What a working point is asked for; nothing: the usual rule.

    costs, defect_rate: of one part each, and the share of defective parts in production.
    recall: the share of defective parts to be found, at least.
    false_alarms: the share of good parts to be rejected, at most.
    confidence: with which the shares are promised; None: on average.
    """

    costs: Costs | None = None
    defect_rate: float | None = None
    recall: float | None = None
    false_alarms: float | None = None
    confidence: float | None = SURE

    @property
    def anything(self) -> bool:
        """Whether a rule was asked."""
        return self.costs is not None or self.recall is not None or self.false_alarms is not None


def requirement_of(
    cost: str | None = None,
    defect_rate: float | None = None,
    recall: float | None = None,
    false_alarms: float | None = None,
    on_average: bool = False,
) -> Requirement:
    """What was typed, as a value; ValueError, which says what to type, for what contradicts itself or has no effect."""
    for option, share in zip(SHARES, (defect_rate, recall, false_alarms), strict=True):
        if share is not None:
            _refuse_share(option, share)
    costs = None if cost is None else parse_costs(cost)
    if costs is not None and (recall is not None or false_alarms is not None):
        raise ValueError(
            "a line by cost and a line by a promise were asked, and they are two lines; type --cost with "
            "--defect-rate, or --recall-at-least and --false-alarms-at-most"
        )
    if costs is not None and defect_rate is None:
        raise ValueError(
            f"--cost {cost} needs the share of defective parts in production, which folders do not tell; type for "
            "example --defect-rate 0.02"
        )
    if defect_rate is not None and costs is None:
        raise ValueError(f"--defect-rate has an effect with costs alone; type for example --cost {EXAMPLE}")
    if on_average and costs is not None:
        raise ValueError("--on-average has no effect on a line by cost; leave it out")
    return Requirement(costs, defect_rate, recall, false_alarms, None if on_average else SURE)


def _refuse_share(option: str, share: float) -> None:
    if 0 < share < 1:
        return
    if 1 < share < 100:
        meant = f"for {share:g} % type {option} {share / 100:g}"
    elif (option, share) in (("--recall-at-least", 1), ("--false-alarms-at-most", 0)):
        meant = f"no number of parts can promise that; type for example {option} {SHARES[option]}"
    else:
        meant = f"type for example {option} {SHARES[option]}"
    raise ValueError(f"{option} is {share:g}; allowed: a share above 0 and below 1: {meant}")


def refuse_unreachable(asked: Requirement, good: int, defective: int) -> None:
    """ValueError where so many good and defective validation parts cannot promise what was asked. It takes counts
    alone, so that nobody trains for an hour to be told."""
    if asked.false_alarms is not None:
        spare(good, asked.false_alarms, asked.confidence, "good")
    if asked.recall is not None:
        spare(defective, round(1 - asked.recall, 12), asked.confidence, "defective")
    if asked.costs is not None and not (good and defective):
        kind = "good" if not good else "defective"
        raise ValueError(f"no line by cost: none of the validation parts is {kind}; add {kind} parts")


def choose(parts: ScoredParts, asked: Requirement, calibrated: bool = False) -> Point:
    """The point on validation parts; ValueError where they cannot promise it."""
    if asked.costs is not None and asked.defect_rate is not None:
        return by_cost(parts, asked.costs, asked.defect_rate, calibrated)
    if asked.recall is not None and asked.false_alarms is not None:
        return by_both(parts, asked.recall, asked.false_alarms, asked.confidence)
    if asked.recall is not None:
        return by_recall(parts, asked.recall, asked.confidence)
    if asked.false_alarms is not None:
        return by_false_alarms(parts, asked.false_alarms, asked.confidence)
    return by_false_alarms(parts, USUAL) if asked.confidence is None else usual(parts, USUAL, asked.confidence)


def promises(parts: ScoredParts, asked: Requirement) -> list[dict[str, Any]]:
    """The promises that were asked, or the usual one, each on average and with 95 % confidence.

    Each is {"what": "recall" or "false_alarms", "share", "confidence" (None: on average), "needed" (the smallest number
    of parts at which it can be given), "count" (of those that there are), "now" (the share that they can promise),
    "reject" (the line as log odds, None where it cannot be promised), "detection", "false_alarms" (there, as rates)}.
    """
    wanted = {"recall": asked.recall, "false_alarms": asked.false_alarms}
    if asked.recall is None and asked.false_alarms is None:
        wanted["false_alarms"] = USUAL
    return [
        _promise(parts, what, share, confidence)
        for what, share in wanted.items()
        if share is not None
        for confidence in (None, SURE)
    ]


def _promise(parts: ScoredParts, what: str, share: float, confidence: float | None) -> dict[str, Any]:
    rule, kind = (by_recall, parts.faulty) if what == "recall" else (by_false_alarms, parts.good)
    mistakes = round(1 - share, 12) if what == "recall" else share
    now = promised_now(len(kind), confidence)
    needed = least_parts(mistakes, confidence)
    row: dict[str, Any] = {"what": what, "share": share, "confidence": confidence, "needed": needed, "count": len(kind)}
    row |= {"now": 1 - now if what == "recall" else now, "reject": None, "detection": None, "false_alarms": None}
    if len(kind) < needed:
        return row
    line = rule(parts, share, confidence).reject
    seen = look(parts, line)
    return row | {"reject": line, "detection": seen["detection"], "false_alarms": seen["false_alarms"]}


def priced(parts: ScoredParts, point: Point, asked: Requirement) -> dict[str, Any] | None:
    """What a point costs for 1,000 production parts, by these parts, and how that changes with the line; None where no
    costs were given or a kind of parts is missing."""
    costs, rate = asked.costs, asked.defect_rate
    if costs is None or rate is None or parts.defect.all() or not parts.defect.any():
        return None
    return {
        "costs": {"miss": costs.miss, "false_alarm": costs.false_alarm, "ask": costs.ask},
        "defect_rate": rate,
        **expected_cost(parts, point, costs, rate),
        "cheapest_blind": list(cheapest_blind(costs, rate)),
        "by_line": cost_curve(parts, costs, rate),
    }


def priced_by_rate(
    parts: ScoredParts, point: Point, asked: Requirement, calibrated: bool = False
) -> list[dict[str, float]] | None:
    """How the cost of a point changes with the production defect rate, which is the least known of all numbers, on the
    validation parts that it was chosen on; None where no costs were given."""
    if asked.costs is None or asked.defect_rate is None:
        return None
    return cost_by_rate(parts, point, asked.costs, asked.defect_rate, calibrated=calibrated)
