"""What a network may cost: in multiply-adds, parameters, bytes of weights, or milliseconds on this machine."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, Self

from .cost import cost
from .spec import Net

UNITS = {"macs": "multiply-adds", "params": "parameters", "bytes": "bytes of weights", "ms": "milliseconds"}
SUFFIXES = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
FORM = "write macs=20M, params=300k, bytes=1.2M or ms=2.5, and several with commas: macs=5M,10M"


@dataclass(frozen=True)
class Budget:
    """So much at most of a unit: `macs` for one image, `params`, `bytes` (of the weights as float32; an exported file
    has some kilobytes more) or `ms` for one image on one thread. `str` is what `parse` reads."""

    unit: str
    limit: float

    def __str__(self) -> str:
        return f"{self.unit}={self.limit:.12g}"

    @property
    def text(self) -> str:
        """For people: "20M multiply-adds"."""
        suffix = max((s for s in SUFFIXES if SUFFIXES[s] <= self.limit), key=SUFFIXES.__getitem__, default="")
        return f"{self.limit / SUFFIXES[suffix]:.12g}{suffix} {UNITS[self.unit]}"


class Clock(Protocol):
    """What tells the milliseconds of networks on a machine (see deploy.timing.Timer): `ms` foretells them, `right_for`
    is the clock set right for a network, and channels are faster in lots of `lot`."""

    def ms(self, net: Net) -> float: ...
    def right_for(self, net: Net) -> Self: ...
    def lot(self) -> int: ...


def parse(text: str) -> tuple[Budget, ...]:
    """The budgets of a text such as "macs=5M,10M", the smallest first; k, M and G are thousands, millions, billions.
    ValueError when it cannot be understood."""
    unit, equals, values = (part.strip() for part in text.partition("="))
    if not equals or unit not in UNITS:
        raise ValueError(f"budget {text!r} is not understood; {FORM}")
    if "=" in values:
        raise ValueError(f"budget {text!r} has two units; give limits of one; {FORM}")
    limits = sorted(_number(value.strip(), text) for value in values.split(","))
    if len(set(limits)) < len(limits):
        raise ValueError(f"budget {text!r} names one limit twice; name each once")
    return tuple(Budget(unit, limit) for limit in limits)


def _number(value: str, text: str) -> float:
    found = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([kMG]?)", value, re.ASCII)
    if not found:
        raise ValueError(f"budget {text!r}: {value!r} is no number; {FORM}")
    number = float(Decimal(found[1]) * SUFFIXES[found[2]])  # in decimals 1.13M is 1130000, and in floats it is less
    if not 0 < number < math.inf:
        raise ValueError(f"budget {text!r}: a limit must be above 0, and finite; {FORM}")
    return number


def figure(price: float) -> str:
    """A price in a message: counts whole, times in four digits."""
    return f"{price:.0f}" if price >= 1000 else f"{price:.4g}"


def price(net: Net, unit: str) -> float:
    """What a network costs in multiply-adds, parameters, or bytes of its weights in float32."""
    found = cost(net)
    return float({"macs": found.macs, "params": found.params, "bytes": 4 * found.params}[unit])
