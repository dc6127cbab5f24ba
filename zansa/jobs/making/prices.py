"""costs.yaml: the prices of the manager's table, as a file to be edited; written with dated defaults where it is not
there yet."""

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from ...proof.money import Money, Range
from ...record import write_atomic

ASKED = ("parts", "defect_rate", "miss", "false_alarm")  # nobody but the user knows these
TODAY = ("missed_today", "false_alarms_today")  # the table compares with these
SHARES = ("defect_rate", "missed_today", "false_alarms_today", "asked_today", "asked", "missed", "false_alarms")
TEMPLATE = """\
# What the inspection costs a year. Each value is one number, or [low, likely, high].
# Replace every ~ by a number; the other values are defaults of the date below: change what does not fit.
date: {date}
currency: JPY
years: 5                              # over which the investment is looked at

# --- to be filled in ---
parts: ~                              # parts that are inspected in a year
defect_rate: ~                        # share of them that is defective, in production: 0.02 is 2 %
miss: ~                               # cost of a defective part that gets through
false_alarm: ~                        # cost of a good part that is rejected

# --- today (an estimate: measure it with 50 known parts, shown three times) ---
missed_today: [0.05, 0.15, 0.3]       # share of defective parts that people miss; studies of inspection by eye
false_alarms_today: [0.01, 0.03, 0.08]
asked_today: 0
operators_today: 1                    # people who inspect

# --- with the model; missed and false_alarms come from the plan where they are left out ---
asked: 0                              # share of parts that a person looks at once more
operators: [0.2, 0.5, 1]
ask: 10                               # cost of such a look

# --- prices ---
hours: 2000                           # paid hours of one operator in a year
wage: [1121, 1500, 2200]              # of an hour; 1121 is the Japanese minimum wage of 2025
watts: [7, 15, 65]                    # of the device: small computers 7 to 15, an industrial PC 65
hours_on: [2000, 4000, 8760]
kwh: [25, 31, 40]                     # price of a kilowatt-hour
maintenance: [50000, 100000, 200000]
retraining: [0, 50000, 200000]
investment: [200000, 500000, 2000000] # device, camera, light, fitting in, labelling; small firms can carry 500,000
"""


@dataclass(frozen=True)
class Sheet:
    """A costs.yaml that was read.

    prices: ranges by the names of Money; those that the plan gives may be missing.
    missing: names that are to be filled in.
    currency, date: as written there.
    years: over which the investment is looked at.
    file: where it stands.
    """

    prices: dict[str, Range]
    missing: tuple[str, ...]
    currency: str
    date: str
    years: float
    file: Path


def read_costs(path: str | Path) -> tuple[Sheet, str | None]:
    """The sheet of a costs.yaml, and what to tell where it was not there and has been written. ValueError for what is
    no such file."""
    file, told = Path(path).expanduser(), None
    if not file.exists():
        if not file.parent.is_dir():
            raise ValueError(f"{file}: there is no folder {file.parent} to write the costs to; name another --costs")
        write_atomic(file, TEMPLATE.format(date=date.today().isoformat()).encode())
        told = (
            f"{file} was written with defaults; replace each ~ in it by a number ({', '.join(ASKED)}) and ask again "
            "for the manager's table"
        )
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} is no YAML ({error}); delete it, and it is written anew") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold names and values; delete it, and it is written anew")
    return _sheet(file, values), told


def _sheet(file: Path, values: dict[str, Any]) -> Sheet:
    known = {field.name for field in fields(Money)}
    unknown = sorted(map(str, values.keys() - known - {"date", "currency", "years"}))
    if unknown:
        raise ValueError(f"{file} sets {', '.join(unknown)}; it knows: {', '.join(sorted(known))}, currency, years")
    prices = {name: _range(file, name, value) for name, value in values.items() if name in known and value is not None}
    return Sheet(
        prices,
        tuple(name for name in ASKED + TODAY if name not in prices),
        str(values.get("currency", "JPY")),
        str(values.get("date", "")),
        _range(file, "years", values.get("years", 5))[1],
        file,
    )


def _range(file: Path, name: str, value: Any) -> Range:
    ends = [_number(end) for end in (value if isinstance(value, list) else [value] * 3)]
    if len(ends) != 3 or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise ValueError(f"{file}: {name} is {value!r}; allowed: a number, or [low, likely, high]")
    low, likely, high = map(float, ends)
    if not 0 <= low <= likely <= high < float("inf"):
        raise ValueError(f"{file}: {name} is {value!r}; allowed: numbers from 0 up, rising: [low, likely, high]")
    if name in SHARES and high > 1:
        hint = f"; for {high:g} % type {high / 100:g}" if high <= 100 else ""
        raise ValueError(f"{file}: {name} is {value!r}; a share from 0 to 1 is meant{hint}")
    if name == "years" and likely == 0:
        raise ValueError(f"{file}: years is 0; allowed: a number above 0")
    return low, likely, high


def _number(value: Any) -> Any:
    """A number that was written as text, as 1,000,000 or 1e6 are in YAML; anything else as it is."""
    try:
        return float(value.replace(",", "")) if isinstance(value, str) else value
    except ValueError:
        return value


def money_of(sheet: Sheet, missed: Range, false_alarms: Range) -> Money:
    """The prices of the table; what the sheet leaves out of the model's rates is as planned. Nothing may be missing."""
    return Money(**{"missed": missed, "false_alarms": false_alarms} | sheet.prices)
