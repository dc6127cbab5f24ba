"""What a working point promises and costs, and how far its probabilities can be trusted: for the page."""

from collections.abc import Iterable
from typing import Any

from ..phrases import say
from ..proof.decide import as_probability
from ..words import count, percent, plain_percent, rate_text
from . import plots
from .facts import Facts, have
from .page import Content

WHAT = {
    "recall": "at least {share} of defective parts are found",
    "false_alarms": "at most {share} of good parts are rejected",
}


def told(facts: Facts, inspection: Content) -> Content:
    """The content of the section: promises, price, reliability; each empty where the record has none."""
    point = have(facts, "metrics", "point") or {}
    price = inspection.get("cost") or {}
    bins = inspection.get("reliability") or []
    return {
        "promises": [_promise(row) for row in point.get("promises") or []],
        "price": list(_price(price)),
        "price_plot": plots.cost_of_lines(_lines(price), _now(price), "Cost of lines") if price else "",
        "rates": [_rate(row) for row in (point.get("by_rate") or [])[::4]],
        "reliability": plots.reliability(bins, "Reliability") if len(bins) > 1 else "",
        "calibrated": _calibrated(have(facts, "metrics", "calibration") or {}),
    }


def _promise(row: Content) -> Content:
    sure = row["confidence"]
    basis = say("on average") if sure is None else say("with {share} confidence", share=plain_percent(sure))
    cells = {"detection": "–", "false_alarms": "–", "line": say("cannot be promised")}
    if row["reject"] is not None:
        cells |= {key: rate_text(row[key]) for key in ("detection", "false_alarms")}
        cells["line"] = f"{as_probability(row['reject']):.4g}"
    now = say("so many can promise {share}", share=percent(row["now"]))
    return cells | {
        "what": say(WHAT[row["what"]], share=plain_percent(row["share"], 4)),
        "basis": basis,
        "needed": f"{count(row['count'])} / {count(row['needed'])}",
        "now": now,
    }


def _price(price: Content) -> Iterable[tuple[str, str]]:
    if not price:
        return
    costs = price["costs"]
    yield say("cost of a miss"), f"{costs['miss']:g}"
    yield say("cost of a false alarm"), f"{costs['false_alarm']:g}"
    if costs["ask"] is not None:
        yield say("cost of asking a person"), f"{costs['ask']:g}"
    yield say("production defect rate"), plain_percent(price["defect_rate"])
    yield say("expected cost per 1,000 parts"), _money(price)
    yield (
        say("missed, rejected for nothing, and shown to a person per 1,000 parts"),
        " · ".join(f"{price[key]:.3g}" for key in ("missed", "false_alarms", "asked")),
    )
    name, blind = price["cheapest_blind"]
    yield say("cheapest without a model"), f"{say(name)}: {blind:,.0f}"


def _money(price: Content) -> str:
    sure = plain_percent(price["confidence"])
    return say(
        "{cost} ({sure} interval {low} to {high})",
        sure=sure,
        **{k: f"{price[k]:,.0f}" for k in ("cost", "low", "high")},
    )


def _lines(price: Content) -> plots.Points:
    return [(row["false_alarms"], row["cost"]) for row in price.get("by_line") or []]


def _now(price: Content) -> tuple[float, float] | None:
    share = price["false_alarms"] / 1000 / (1 - price["defect_rate"]) if price else 0.0
    return (share, price["cost"]) if price else None


def _rate(row: Content) -> tuple[str, str, str, str]:
    return plain_percent(row["defect_rate"], 2), *(f"{row[key]:,.0f}" for key in ("cost", "best", "blind"))  # type: ignore[return-value]


def _calibrated(made: Content) -> str:
    if not made:
        return say("The probabilities of this model are not calibrated: it was made by an older version.")
    if not made["fitted"]:
        text = "Not calibrated: {count} validation parts are too few, 50 are needed."
        return say(text, count=count(made["count"]))
    raw: dict[str, Any] = made.get("raw") or {}
    text = (
        "Calibrated on {count} validation parts: their log loss fell from {before} to {after}. Before, certainty was "
        "off by {gap} (a perfect network: about {chance})."
    )
    return say(
        text,
        count=count(made["count"]),
        before=f"{made['before']:.3f}",
        after=f"{made['after']:.3f}",
        gap=percent(raw.get("error", 0.0)),
        chance=percent(raw.get("error_chance", 0.0)),
    )
