"""The answers of a store as a table: parts with their statistics, in lots; or in hours where no lots are named."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...proof.decide import log_odds
from ..serve import stored
from ..serve.models import names_in

CALM = 40  # lots of the calm time
SMALL = 0.25  # of the usual size; smaller lots are left out
WATCHED = ("http", "v2", "folder")  # sources of parts that come from the line


@dataclass(frozen=True)
class Unit:
    """A lot or an hour.

    name: of the lot, or the hour as 2026-11-27 14.
    start, local: when its first part came, in UTC and on the clock.
    rows: indices of its parts.
    """

    name: str
    start: str
    local: str
    rows: np.ndarray


@dataclass(frozen=True)
class Answers:
    """The parts that one version of a model has judged.

    model: its name.
    sha: of its file.
    version: its number.
    rows: the store's rows.
    names: of the statistics.
    values: (N, S), NaN where a part lacks one.
    units: lots or hours, in their order.
    kind: "lot" or "hour".
    left_out: parts in lots that are too small to count.
    """

    model: str
    sha: str
    version: int
    rows: Sequence[dict[str, Any]]
    names: tuple[str, ...]
    values: np.ndarray
    units: tuple[Unit, ...]
    kind: str
    left_out: int

    def means(self) -> np.ndarray:
        """The mean of every statistic in every unit: (U, S)."""
        if not self.units:
            return np.empty((0, len(self.names)))
        with np.errstate(invalid="ignore"):
            return np.stack([_mean(self.values[unit.rows]) for unit in self.units])


def answers(store: Path, model: str | None = None) -> Answers:
    """The parts that the newest version of a model has judged, of the only one where none is named. ValueError where
    the store has no such model or no answers."""
    known = names_in(store)
    if model is None and len(known) > 1:
        raise ValueError(f"the store has several models; name one with --model: {', '.join(known)}")
    found = stored.rows(store, {"model": model})
    rows = [_timed(row) for row in found if row["error"] is None and row["source"] in WATCHED]
    if not rows:
        raise ValueError(f"the store {store} has no answers{f' of a model {model}' if model else ''} yet")
    newest = rows[-1]
    rows = [row for row in rows if row["sha"] == newest["sha"] and row["version"] == newest["version"]]
    names, values = statistics(rows)
    units, kind, left_out = _units(rows)
    return Answers(newest["model"], newest["sha"], newest["version"], rows, names, values, units, kind, left_out)


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    """A row at the moment when its picture was taken, where the client told that."""
    taken = row.get("field_taken")
    if taken is None:
        return row
    moment = datetime.fromisoformat(str(taken))
    utc = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return row | {"time": utc, "local": moment.isoformat(timespec="milliseconds")}


def statistics(rows: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of what is watched, and (N, S) values: the score as log odds, whether it was rejected, what the server
    has measured of picture and answer, and whether a shadow disagrees. Statistics that never move are left out."""
    features = [name for name in rows[0] if name.startswith("f_") and name != "f_since"]
    columns = {name[2:]: _column(rows, name) for name in features}
    if any(row["score"] is not None for row in rows):
        columns = {"score": log_odds(1 - _column(rows, "score")), "rejected": _rejected(rows)} | columns
    if any(row["shadow_decision"] is not None for row in rows):
        columns["disagrees"] = np.array([_disagrees(row) for row in rows])
    moving = {name: column for name, column in columns.items() if np.nanmin(column) < np.nanmax(column)}
    return tuple(moving), np.stack([*moving.values()], axis=1) if moving else np.empty((len(rows), 0))


def _column(rows: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], float)


def _rejected(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.array([row["decision"] == "reject" for row in rows], float)


def _disagrees(row: dict[str, Any]) -> float:
    """Whether a second network that answers beside decides otherwise; NaN where none has answered."""
    return float("nan") if row["shadow_decision"] is None else float(row["shadow_decision"] != row["decision"])


def _units(rows: Sequence[dict[str, Any]]) -> tuple[tuple[Unit, ...], str, int]:
    """Lots where most parts name theirs, otherwise hours. The last one may not have ended: it counts from half of the
    usual size on."""
    named = sum(row["lot"] is not None for row in rows) * 2 > len(rows)
    keys: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        key = row["lot"] if named else row["local"][:13].replace("T", " ")
        if key is not None:
            keys.setdefault(key, []).append(place)
    usual = float(np.median([len(places) for places in keys.values()]))
    last = next(reversed(keys))
    kept = {k: v for k, v in keys.items() if len(v) >= usual * (0.5 if k == last else SMALL)}
    units = [Unit(k, rows[v[0]]["time"], rows[v[0]]["local"], np.array(v)) for k, v in kept.items()]
    return tuple(units), "lot" if named else "hour", len(rows) - sum(len(unit.rows) for unit in units)


def _mean(values: np.ndarray) -> np.ndarray:
    there = ~np.isnan(values)
    count = there.sum(0)
    return np.where(count > 0, np.where(there, values, 0).sum(0) / np.maximum(count, 1), np.nan)
