"""What work takes from the socket: measured where this machine tells it, else an estimate to a factor of 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")  # of the processor's package; often only for root
USUAL_WATTS = 65.0  # of a desktop processor at work
UNSURE = 2.0  # factor of an estimate


@contextmanager
def joules() -> Iterator[dict[str, float]]:
    """After it, the value has "joules" where the machine tells them."""
    found: dict[str, float] = {}
    before = _counter()
    yield found
    after = _counter()
    if before is not None and after is not None and after > before:
        found["joules"] = (after - before) / 1e6


def power(asked: float | None, used: dict[str, float], seconds: float) -> dict[str, Any]:
    """Watts as a range, and where they come from."""
    if asked is not None:
        return {"watts": (asked, asked, asked), "from": "given"}
    if "joules" in used and seconds > 0:
        value = used["joules"] / seconds
        return {"watts": (value, value, value), "from": "measured"}
    return {"watts": (USUAL_WATTS / UNSURE, USUAL_WATTS, USUAL_WATTS * UNSURE), "from": "estimate"}


def kwh(watts: tuple[float, float, float], seconds: float) -> tuple[float, float, float]:
    """Kilowatt-hours of so many seconds."""
    low, likely, high = (value * seconds / 3.6e6 for value in watts)
    return low, likely, high


def _counter() -> int | None:
    try:
        return int(COUNTER.read_text())
    except (OSError, ValueError):
        return None
