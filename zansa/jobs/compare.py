"""Several runs side by side, and which of them to take: the verb `compare`."""

import math
from typing import Any

import numpy as np

from ..proof.costs import parse_costs
from ..proof.pairs import against, front, not_worse, one_standard_error
from ..proof.rates import rate
from ..record import Run
from ..runs import branches_of, finished
from .making.candidates import Candidate, candidates, smaller_would_do, weights
from .making.predictions import Predictions
from .request import GrowRequest, read_request
from .trained_request import CompareRequest


def compare(request: CompareRequest) -> dict[str, Any]:
    """The candidates' figures with intervals, whether differences are real, and one recommendation with its runner-up.

    All is decided on validation samples; figures on test samples are those that each run has told already. ValueError
    for runs that cannot be compared.
    """
    made = candidates(request.runs)
    seen = [each.seen for each in made]
    prices = prices_of(request, seen[0])
    weight = weights(seen[0], prices, request.defect_rate)
    costs = np.stack([np.where(each.right, 0.0, weight) for each in seen])
    groups = seen[0].groups
    names = [each.name for each in made]
    limit = math.inf if request.most_ms is None else request.most_ms
    taken = one_standard_error(
        names, costs, [each.ms for each in made], [each.metrics["cost"]["macs"] for each in made], groups, limit
    )
    best = names.index(taken["best"])
    tests = against(costs, best, groups, level=1 - request.confidence)
    margins = [None if k == best else beside(seen[k], seen[best], request) for k in range(len(made))]
    ahead = front(np.column_stack([costs.mean(axis=1), [each.ms for each in made]]))
    rows = [
        row(each, float(costs[k].mean()), tests[k], margins[k], bool(ahead[k]), request) for k, each in enumerate(made)
    ]
    parts = len(seen[0].right) if groups is None else len(set(groups.tolist()))
    offers = {each.name: smaller_would_do(each.run, parts) for each in made}
    return {
        "rows": rows,
        "recommendation": taken,
        "parts": parts,
        "unit": made[0].run.read_json("data.json").get("noun", "image") if groups is None else "part",
        "inspected": seen[0].score is not None,
        "priced": prices is not None,
        "margin": request.margin,
        "confidence": request.confidence,
        "offers": {name: offer for name, offer in offers.items() if offer is not None and name == taken["chosen"]},
    }


def prices_of(request: CompareRequest, seen: Predictions) -> tuple[float, float] | None:
    """Costs of a miss and of a false alarm, where they were given. ValueError where half of what they need is there."""
    if request.cost is None:
        return None
    if seen.score is None:
        raise ValueError("--cost was given, and no class is known as the good one; compare without it")
    if request.defect_rate is None:
        raise ValueError("--cost was given without the production defect rate; add --defect-rate, for example 0.02")
    costs = parse_costs(request.cost)
    return costs.miss, costs.false_alarm


def beside(one: Predictions, best: Predictions, request: CompareRequest) -> dict[str, Any]:
    """Whether one is right on at most the margin fewer parts; a part is right when all its samples are."""
    mine, theirs = by_part(one), by_part(best)
    worse, better = int((theirs & ~mine).sum()), int((mine & ~theirs).sum())
    return not_worse(worse, better, len(mine), request.margin, request.confidence)


def by_part(seen: Predictions) -> np.ndarray:
    """Whether every sample of a part is decided rightly, for each part."""
    if seen.groups is None:
        return seen.right
    _, place = np.unique(seen.groups, return_inverse=True)
    return np.bincount(place, ~seen.right) == 0


def row(
    each: Candidate,
    cost: float,
    test: dict[str, Any] | None,
    margin: dict[str, Any] | None,
    ahead: bool,
    request: CompareRequest,
) -> dict[str, Any]:
    """One candidate's figures."""
    right = by_part(each.seen)
    figures = {part: (each.metrics[part].get("inspection") or {}) for part in ("validation", "test")}
    return {
        "name": each.name,
        "run": str(each.run.path),
        "budget": each.budget,
        "cost": cost,
        "right": rate(int(right.sum()), len(right), request.confidence),
        "figures": {
            part: {name: told.get(name) for name in ("detection", "false_alarms")} for part, told in figures.items()
        },
        "accuracy": {part: each.metrics[part]["balanced_accuracy"] for part in figures},
        "macs": each.metrics["cost"]["macs"],
        "params": each.metrics["cost"]["params"],
        "ms": each.ms,
        "threads": each.threads,
        "bytes": each.size,
        "seconds": each.seconds,
        "difference": test,
        "not_worse": margin,
        "front": ahead,
    }


def frontier(run: Run) -> list[dict[str, Any]]:
    """A row for each budget of a growth, the smallest first: what its network costs, and its figures."""
    rows = []
    for each in filter(finished, [*branches_of(run), run]):
        metrics = each.read_json("metrics.json")
        request = read_request(each.read_json("request.json"))
        assert isinstance(request, GrowRequest)
        rows.append(
            {
                "budget": str(request.budget[-1]),
                "run": str(each.path),
                "macs": metrics["cost"]["macs"],
                "params": metrics["cost"]["params"],
                "ms": metrics["latency"][0]["ms"],
                "test": metrics["test"],
                "noun": each.read_json("data.json")["noun"],
            }
        )
    return rows
