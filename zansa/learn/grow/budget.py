"""(being written)"""

from dataclasses import dataclass

from ...arch.cost import cost
from ...arch.spec import Net


@dataclass(frozen=True)
class Budget:
    unit: str
    limit: float


def parse(text: str) -> tuple[Budget, ...]:
    unit, _, values = text.partition("=")
    scale = {"k": 1e3, "M": 1e6, "G": 1e9}
    return tuple(
        sorted(
            (Budget(unit, float(v.rstrip("kMG")) * scale.get(v[-1], 1)) for v in values.split(",")),
            key=lambda b: b.limit,
        )
    )


def price(net: Net, unit: str) -> float:
    c = cost(net)
    return float({"macs": c.macs, "params": c.params, "bytes": 4 * c.params}[unit])
