"""Several runs side by side."""

from typing import Any

from ..record import Run
from ..runs import branches_of, finished
from .request import GrowRequest, read_request


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
