"""The manager's table (投資対効果): what an inspection costs a year today and with a model, and when that pays.

Every price is a range: (low, likely, high). A row's range is that of its own prices at their ends; the range of the
yearly saving is exact too, with prices that two rows share at one value in both. "Does not pay" is an answer.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from typing import Any

import numpy as np

Range = tuple[float, float, float]
Prices = Mapping[str, np.ndarray]
NOTHING: Range = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Money:
    """What the table is made of: ranges (low, likely, high), in one currency, of one year.

    parts: parts that are inspected.
    defect_rate: share of them that is defective.
    miss: cost of a defective part that is let through.
    false_alarm: cost of a good part that is rejected.
    ask: cost of a part that a person looks at once more.
    missed_today, missed: share of defective parts that is let through, today and with the model.
    false_alarms_today, false_alarms: share of good parts that is rejected.
    asked_today, asked: share of all parts that a person looks at once more.
    operators_today, operators: people who inspect.
    hours: paid hours of one of them.
    wage: cost of such an hour.
    watts: power of the device.
    hours_on: hours in which it is on.
    kwh: price of a kilowatt-hour.
    maintenance, retraining: costs of these.
    investment: what is paid once.
    """

    parts: Range
    defect_rate: Range
    miss: Range
    false_alarm: Range
    missed: Range
    false_alarms: Range
    missed_today: Range
    false_alarms_today: Range
    ask: Range = NOTHING
    asked_today: Range = NOTHING
    asked: Range = NOTHING
    operators_today: Range = NOTHING
    operators: Range = NOTHING
    hours: Range = NOTHING
    wage: Range = NOTHING
    watts: Range = NOTHING
    hours_on: Range = NOTHING
    kwh: Range = NOTHING
    maintenance: Range = NOTHING
    retraining: Range = NOTHING
    investment: Range = NOTHING


Term = Callable[[Prices], np.ndarray]


def _defects(v: Prices, share: str) -> np.ndarray:
    return v["parts"] * v["defect_rate"] * v["miss"] * v[share]


def _alarms(v: Prices, share: str) -> np.ndarray:
    return v["parts"] * (1 - v["defect_rate"]) * v["false_alarm"] * v[share]


def _asks(v: Prices, share: str) -> np.ndarray:
    return v["parts"] * v["ask"] * v[share]


def _labour(v: Prices, people: str) -> np.ndarray:
    return v["hours"] * v["wage"] * v[people]


def _energy(v: Prices) -> np.ndarray:
    return v["watts"] / 1000 * v["hours_on"] * v["kwh"]


def _none(v: Prices) -> np.ndarray:
    return np.zeros(())


# a row: what it costs today and with the model
ROWS: dict[str, tuple[Term, Term]] = {
    "misses": (lambda v: _defects(v, "missed_today"), lambda v: _defects(v, "missed")),
    "false_alarms": (lambda v: _alarms(v, "false_alarms_today"), lambda v: _alarms(v, "false_alarms")),
    "asked": (lambda v: _asks(v, "asked_today"), lambda v: _asks(v, "asked")),
    "labour": (lambda v: _labour(v, "operators_today"), lambda v: _labour(v, "operators")),
    "energy": (_none, _energy),
    "maintenance": (_none, lambda v: v["maintenance"]),
    "retraining": (_none, lambda v: v["retraining"]),
}
# rows that share prices: the ends of their sum are those of all their prices together
TOGETHER = (("misses", "false_alarms", "asked"), ("labour",), ("energy",), ("maintenance",), ("retraining",))
YEARS = 5.0


def table(money: Money, years: float = YEARS) -> dict[str, Any]:
    """The manager's table over so many years.

    rows: {"row", "today", "proposed", "difference"}, each a range; the difference is what is saved.
    saving: of a year. payback: years until the investment is back, a range whose ends are None where it never is.
    roi: what is left of `years` of savings, as a multiple of the investment. break_even: the cost of a miss and the
    number of parts from which it pays within `years`, at the likely prices; None where none does.
    decides: prices by how much the saving moves when only they go from low to high, the largest first.
    """
    rows: list[dict[str, Any]] = [
        {
            "row": name,
            "today": _range(money, today),
            "proposed": _range(money, then),
            "difference": _range(money, partial(_saved, (name,))),
        }
        for name, (today, then) in ROWS.items()
    ]
    saving = _added([_range(money, partial(_saved, names)) for names in TOGETHER])
    return {
        "rows": rows,
        "total": {side: _added([row[side] for row in rows]) for side in ("today", "proposed")},
        "saving": saving,
        "investment": money.investment,
        "payback": payback(saving, money.investment),
        "years": years,
        "roi": tuple(_return(s, i, years) for s, i in zip(saving, reversed(money.investment), strict=True))
        if money.investment[1]
        else None,
        "pays": saving[1] > 0 and years * saving[1] >= money.investment[1],
        "break_even": {name: break_even(money, name, years) for name in ("miss", "parts")},
        "decides": decides(money),
    }


def payback(saving: Range, investment: Range) -> tuple[float | None, float | None, float | None]:
    """Years until the investment is back: at best, likely, at worst; None where the saving never brings it back."""
    pairs = zip(investment, reversed(saving), strict=True)
    low, _, high = ((i / s if s > 0 else None) for i, s in pairs)
    return low, investment[1] / saving[1] if saving[1] > 0 else None, high


def break_even(money: Money, name: str, years: float = YEARS) -> float | None:
    """The value of one price at which `years` of likely savings are the likely investment; None where none above 0 is.
    The saving is linear in the price."""
    likely = _likely(money)

    def left(value: float) -> float:
        v = likely | {name: np.asarray(value)}
        return float(years * _saved(tuple(ROWS), v) - money.investment[1])

    start, slope = left(0.0), left(1.0) - left(0.0)
    return None if slope <= 0 else max(0.0, -start / slope)


def decides(money: Money, most: int = 3) -> list[dict[str, Any]]:
    """The prices that move the yearly saving most, each with its saving at its low and its high end."""
    likely = _likely(money)
    moved: list[dict[str, Any]] = []
    for field in fields(money):
        low, _, high = getattr(money, field.name)
        ends = [float(_saved(tuple(ROWS), likely | {field.name: np.asarray(end)})) for end in (low, high)]
        moved.append({"price": field.name, "low": ends[0], "high": ends[1]})
    moved.sort(key=lambda row: -abs(row["high"] - row["low"]))
    return [row for row in moved[:most] if row["high"] != row["low"]]


def _return(saving: float, investment: float, years: float) -> float | None:
    return (years * saving - investment) / investment if investment > 0 else None


def _saved(names: tuple[str, ...], v: Prices) -> np.ndarray:
    return np.asarray(sum(ROWS[name][0](v) - ROWS[name][1](v) for name in names))


def _added(ranges: list[Range]) -> Range:
    low, likely, high = (math.fsum(each[i] for each in ranges) for i in range(3))
    return low, likely, high


def _likely(money: Money) -> dict[str, np.ndarray]:
    return {field.name: np.asarray(getattr(money, field.name)[1]) for field in fields(money)}


def _range(money: Money, term: Term) -> Range:
    """The least, the likely and the largest value of a term. It is linear in each price by itself, so its ends are at
    corners of the box of all prices that it reads."""
    likely = _likely(money)
    read = _Reads(likely)
    value = float(term(read))
    open_ = [name for name in read.names if getattr(money, name)[0] < getattr(money, name)[2]]
    if not open_:
        return value, value, value
    corners = np.array(list(product(*(getattr(money, name)[::2] for name in open_)))).T
    values = term(likely | dict(zip(open_, corners, strict=True)))
    return float(values.min()), value, float(values.max())


class _Reads(dict[str, np.ndarray]):
    """Prices that know which of them were read."""

    def __init__(self, prices: Mapping[str, np.ndarray]):
        super().__init__(prices)
        self.names: list[str] = []

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            self.names.append(name)
        return super().__getitem__(name)
