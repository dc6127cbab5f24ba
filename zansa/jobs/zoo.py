"""The verb `zoo`: the catalogue of published networks."""

from typing import Any

from ..arch.cost import cost
from ..arch.spec import Net
from ..arch.zoo import ZOO, make


def rows() -> list[dict[str, Any]]:
    """The catalogue, one row a network, with its counted and its published sizes."""
    return [row(name) for name in ZOO]


def row(name: str) -> dict[str, Any]:
    """One network's counted and published sizes."""
    entry = ZOO[name]
    c = cost(entry.make())
    return {
        "name": name,
        "params": c.params,
        "macs": c.macs,
        "depth": c.depth,
        "data": entry.data,
        "published_params": entry.params,
        "published_error": entry.error,
        "paper": entry.paper,
    }


def entry(name: str) -> tuple[Net, dict[str, Any]]:
    """The description of one network, and its row; ValueError for a name that is not in the catalogue."""
    return make(name), row(name)
