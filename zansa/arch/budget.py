"""What a network may cost: in multiply-adds, parameters, bytes of weights, or milliseconds on this machine."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, Self

from .cost import cost
from .spec import Net

UNITS = {"macs": "multiply-adds", "params": "parameters", "bytes": "bytes of weights", "ms": "milliseconds"}
SUFFIXES = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
FORM = "write macs=20M, params=300k, bytes=1.2M or ms=2.5, and several with commas: macs=5M,10M"


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost.

    unit: "macs" (multiply-adds for one image), "params", "bytes" (of the weights as float32; an exported file has some
        kilobytes more) or "ms" (milliseconds for one image on one thread).
    limit: so many of them.
    typed: the limit as it was typed, such as "20M"; `str` gives it back.
    """

    unit: str
    limit: float
    typed: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.unit}={self.typed or f'{self.limit:.12g}'}"

    @property
    def text(self) -> str:
        """For people: "20M multiply-adds"."""
        suffix = max((s for s in SUFFIXES if SUFFIXES[s] <= self.limit), key=SUFFIXES.__getitem__, default="")
        return f"{self.limit / SUFFIXES[suffix]:.12g}{suffix} {UNITS[self.unit]}"


class Clock(Protocol):
    """Tells the milliseconds of networks on a machine (see deploy.clock.timing.Timer).

    ms: predicts the milliseconds of a network.
    right_for: gives the clock that is set right for a network, which it runs as a whole.
    lot: tells how many channels the machine computes at once, so that widths are best in lots of so many.
    """

    def ms(self, net: Net) -> float: ...
    def right_for(self, net: Net) -> Self: ...
    def lot(self) -> int: ...


def parse(text: str) -> tuple[Budget, ...]:
    """The budgets of a text such as "macs=5M,10M", the smallest first; k, M and G are thousands, millions and billions.
    ValueError when the text cannot be understood."""
    unit, equals, values = (part.strip() for part in text.partition("="))
    if not equals or unit not in UNITS:
        raise ValueError(f"budget {text!r} is not understood; {FORM}")
    if "=" in values:
        raise ValueError(f"budget {text!r} has two units; give limits of one; {FORM}")
    if re.fullmatch(r"\d{1,3},\d*[1-9][kMG]?", values):
        raise ValueError(
            f"budget {text!r} may be one limit or two; write {unit}={values.replace(',', '.')}, or "
            f"{unit}={values.replace(',', '.0,')}"
        )
    budgets = [Budget(unit, _number(value.strip(), text), value.strip()) for value in values.split(",")]
    if len(set(budgets)) < len(budgets):
        raise ValueError(f"budget {text!r} names one limit twice; name each once")
    return tuple(sorted(budgets, key=lambda budget: budget.limit))


def written(budgets: Sequence[Budget]) -> str:
    """Budgets of one unit as `parse` reads them, with the limits as they were typed: "macs=5M,10M"."""
    first, *others = map(str, budgets)
    return ",".join([first, *(other.partition("=")[2] for other in others)])


def _number(value: str, text: str) -> float:
    match = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([kMG]?)", value, re.ASCII)
    if not match:
        raise ValueError(f"budget {text!r}: {value!r} is no number; {FORM}")
    number = float(Decimal(match[1]) * SUFFIXES[match[2]])  # in decimals 1.13M is 1130000, and in floats it is less
    if not 0 < number < math.inf:
        raise ValueError(f"budget {text!r}: a limit must be above 0, and finite; {FORM}")
    return number


def figure(price: float) -> str:
    """A price as a message shows it: a count in whole numbers, a time in four digits."""
    return f"{price:.0f}" if price >= 1000 else f"{price:.4g}"


def price(net: Net, unit: str) -> float:
    """What a network costs in multiply-adds, parameters, or bytes of its weights in float32."""
    counts = cost(net)
    return float({"macs": counts.macs, "params": counts.params, "bytes": 4 * counts.params}[unit])
