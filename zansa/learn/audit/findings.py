"""What an audit finds, as values. Their sentences stand in `report/check_words.py`."""

from dataclasses import dataclass, field
from typing import Any

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, doubtful or worth knowing.

    kind: a key of `report.check_words.FINDINGS`.
    severity: "error" (mend it before training), "warning" (look at it) or "note" (nothing need be done).
    items: the images concerned, as sets of row numbers: one row each, or the two or more rows that belong together.
    facts: the numbers and names that the sentences of this kind mention; plain JSON values.
    count: how many images are concerned; by default those of `items`.
    """

    kind: str
    severity: str
    items: tuple[tuple[int, ...], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    count: int = -1

    def __post_init__(self) -> None:
        assert self.severity in SEVERITIES
        if self.count < 0:
            object.__setattr__(self, "count", len({row for item in self.items for row in item}))


def single(rows: Any) -> tuple[tuple[int, ...], ...]:
    """Items of one row each."""
    return tuple((int(row),) for row in rows)
