"""One look at a store: charts since the calm time, the last lots against it, and what people and seeds say."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...proof.audit import plan as audit_plan
from ...proof.drift import LEAST, Alarm, chart, evidence, limit, paths, window
from ...proof.rates import rate
from ...proof.without_labels import accuracy, defect_share
from . import chain, queue
from .components import NAMES, featured
from .pictures import differences, levels_png, medians, typical
from .units import CALM, Answers, Unit

LAST = 10  # lots of the window
WINDOWS = 365  # windows a year of which at most one alarms falsely
SAME = 20  # equal or empty pictures in a row: the camera is dead
EMPTY = 0.004  # deviation of levels below which a picture shows nothing
POINTS = 160  # of a time line
YEAR = 365.25 * 86400


def look(
    store: Path, seen: Answers, validation: dict[str, Any] | None, calm: int = CALM, alarms_a_year: float = 1.0
) -> dict[str, Any]:
    """What a look shows: see `report.watch`. `validation` holds what labels said of the run's validation samples."""
    said = [r for r in chain.records(store) if r["kind"] == "acknowledge" and r["sha"] == seen.sha]
    begin = max((r["until"] for r in said if r["calm_again"]), default="")
    units = [unit for unit in seen.units if unit.start > begin]
    record = _head(store, seen, units, calm, alarms_a_year)
    if len(units) <= calm:
        learning = {"state": "learning", "charts": [], "windows": [], "pictures": {}}
        return record | learning | _labels(store, seen, None, False)
    seen = featured(store, seen, [unit.rows for unit in units[:calm]])
    table, shots = _table(store, seen, units, calm)
    spread = ("spread",) if "score" in seen.names else ()
    names = (*seen.names, *spread, *(("place",) if shots is not None else ()))
    record["threshold"] = limit(len(names), record["units_a_year"], alarms_a_year)
    charts = [_chart(name, table[:, k], units, calm, record["threshold"], said) for k, name in enumerate(names)]
    windows = _windows(seen, units, calm)
    alarms = [row for row in charts if row["alarm"]]
    record |= {"charts": sorted(charts, key=_rank), "windows": windows}
    record |= {"state": "alarm" if alarms or record["dead"] else "calm"}
    record["pictures"] = _shown(store, seen, units, calm, shots, [row["name"] for row in alarms])
    return record | _labels(store, seen, validation, not alarms)


def acknowledge(store: Path, seen: Answers, what: str, who: str, why: str, calm_again: bool) -> dict[str, Any]:
    """Record that a warning was looked into; its charts begin anew. `what`: a statistic, or "all"."""
    until = seen.units[-1].start if seen.units else ""
    detail = {"what": what, "sha": seen.sha, "until": until, "calm_again": calm_again}
    return chain.append(store, "acknowledge", who, why, **detail)


def refuse_unknown(seen: Answers, what: str) -> None:
    """ValueError for what no chart is called."""
    known = ("all", "place", "spread", *seen.names, *NAMES)
    if what not in known:
        raise ValueError(f"no chart is called {what!r}; allowed: {', '.join(known)}")


def _head(store: Path, seen: Answers, units: Sequence[Unit], calm: int, alarms_a_year: float) -> dict[str, Any]:
    return {
        "store": str(store),
        "model": seen.model,
        "version": seen.version,
        "sha": seen.sha,
        "parts": len(seen.rows),
        "left_out": seen.left_out,
        "kind": seen.kind,
        "units": len(units),
        "calm": calm,
        "calm_parts": int(sum(len(unit.rows) for unit in units[:calm])),
        "units_a_year": _a_year(units),
        "alarms_a_year": alarms_a_year,
        "last": None if not units else {"name": units[-1].name, "local": units[-1].local},
        "dead": _dead(seen),
        "head": chain.check(store)["head"],
    }


def _a_year(units: Sequence[Unit]) -> float:
    """How many units a year would have at the pace so far; at least one a working day."""
    if len(units) < 2:
        return 250.0
    begin, end = (datetime.fromisoformat(unit.start).timestamp() for unit in (units[0], units[-1]))
    return float(max(250.0, min((len(units) - 1) * YEAR / max(end - begin, 1.0), 1e6)))


def _dead(seen: Answers) -> str:
    """Why the camera is dead, or ""."""
    last = seen.rows[-SAME:]
    if len(last) == SAME and len({row["image"] for row in last}) == 1:
        return "the same picture again and again"
    if len(last) == SAME and all((row.get("f_deviation") or 1.0) < EMPTY for row in last):
        return "pictures without anything in them"
    return ""


def _table(store: Path, seen: Answers, units: Sequence[Unit], calm: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The statistics of all units (U, S), with the spread of the score within each and, where there are any, how far
    the median pictures moved; and these pictures."""
    first = len(seen.units) - len(units)
    table = seen.means()[first:]
    if "score" in seen.names:
        column = seen.values[:, seen.names.index("score")]
        table = np.column_stack([table, [np.nanstd(column[unit.rows]) for unit in units]])
    shots = medians(store, seen, first + calm)[first:]
    place = differences(shots, calm)
    if np.isnan(place[:calm]).sum() > calm - LEAST:
        return table, None
    return np.column_stack([table, place]), shots


def _chart(
    name: str, values: np.ndarray, units: Sequence[Unit], calm: int, threshold: float, said: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The chart of a statistic since it was last acknowledged."""
    until = max((r["until"] for r in said if r["what"] in (name, "all")), default="")
    first = max(calm, sum(unit.start <= until for unit in units))
    reference, new = values[:calm], values[first:]
    if (~np.isnan(reference)).sum() < LEAST:
        found, path = Alarm(None, None, 0.0, threshold, ""), np.zeros(0)
    else:
        found, path = chart(reference, new, threshold), paths(evidence(reference, new))
    where = {"at": found.at, "since": found.since}
    told = {key: None if k is None else _moment(units[first + k]) for key, k in where.items()}
    points = path[np.linspace(0, len(path) - 1, min(POINTS, len(path))).astype(int)] if len(path) else path
    return {
        "name": name,
        "alarm": found.at is not None,
        "evidence": found.log_evidence,
        "way": found.way,
        **told,
        "acknowledged": until,
        "path": [round(float(value), 3) for value in points],
    }


def _rank(row: dict[str, Any]) -> tuple[bool, bool, float]:
    """Warnings first, of them those that people can see before the features, then by evidence."""
    return not row["alarm"], row["alarm"] and row["name"] in NAMES, -row["evidence"]


def _moment(unit: Unit) -> dict[str, str]:
    return {"name": unit.name, "local": unit.local}


def _windows(seen: Answers, units: Sequence[Unit], calm: int) -> list[dict[str, Any]]:
    """The last lots against the calm time, the statistic that moved most first."""
    old, new = units[:calm], units[max(calm, len(units) - LAST) :]
    level = 1 / (WINDOWS * max(1, len(seen.names)))
    rows = [np.concatenate([unit.rows for unit in some]) for some in (old, new)]
    lots = [np.concatenate([np.full(len(unit.rows), k) for k, unit in enumerate(some)]) for some in (old, new)]
    found = []
    for k, name in enumerate(seen.names):
        pairs = [(seen.values[r, k], lot) for r, lot in zip(rows, lots, strict=True)]
        (a, lot_a), (b, lot_b) = [(x[~np.isnan(x)], lot[~np.isnan(x)]) for x, lot in pairs]
        if len(a) and len(b):
            told = window(a, lot_a, b, lot_b, level)
            found.append({"name": name, "p": told.p, "alarm": told.alarm, "shift": told.shift, "parts": told.parts})
    return sorted(found, key=lambda row: -abs(row["shift"]))


def _shown(
    store: Path, seen: Answers, units: Sequence[Unit], calm: int, shots: np.ndarray | None, alarmed: Sequence[str]
) -> dict[str, Any]:
    """Median pictures then, now and their difference; and of the first culprit six parts beside the nearest of the
    calm time."""
    told: dict[str, Any] = {}
    if shots is not None and not np.isnan(shots[calm:, 0, 0]).all():
        then, now = (np.nanmedian(each, axis=0) for each in (shots[:calm], shots[calm:][-LAST:]))
        gap = max(0.1, float(abs(now - then).max()))
        told["median"] = [levels_png(then), levels_png(now), levels_png(now - then, -gap, gap)]
    culprit = next((name for name in alarmed if name in seen.names), None)
    if culprit is not None:
        late, early = (np.concatenate([unit.rows for unit in some]) for some in (units[-LAST:], units[:calm]))
        told["culprit"] = culprit
        pairs = typical(store, seen, seen.names.index(culprit), late, early)
        told["typical"] = [[(seen.rows[row]["id"], png) for row, png in pair if png] for pair in pairs]
    return told


def _labels(store: Path, seen: Answers, validation: dict[str, Any] | None, calm: bool) -> dict[str, Any]:
    """What needs labels: gauges by validation samples, estimates by people, seeded parts whose class was known."""
    told: dict[str, Any] = {"gauges": None, "audit": None, "known": None, "plan": None}
    if validation is not None:
        sure = np.array([row["probability"] for row in seen.rows])
        told["gauges"] = {"accuracy": accuracy(validation["sure"], validation["right"], sure)}
        if validation["defect"] is not None and seen.rows[-1]["score"] is not None:
            now = np.array([row["score"] for row in seen.rows[-5000:]])
            line = float(seen.rows[-1]["line"])
            told["gauges"]["share"] = defect_share(validation["score"], validation["defect"], now, line, calm)
    good = good_of(seen)
    if good is not None:
        told["audit"] = queue.estimates(store, good, seen.sha)
        known = [row for row in seen.rows if row.get("field_known") not in (None, good)]
        if known:
            told["known"] = rate(sum(row["decision"] != "accept" for row in known), len(known))
        days = max(1.0, (len({row["local"][:10] for row in seen.rows})))
        accepted = sum(row["decision"] == "accept" for row in seen.rows) / days
        told["plan"] = [audit_plan(accepted, share, 50) for share in (0.02, 0.01, 0.005)]
    return told


def good_of(seen: Answers) -> str | None:
    """The good class, from an answer's score, which is 1 - p(good); None where no line is drawn."""
    row = seen.rows[-1]
    if row["score"] is None:
        return None
    shares = {name[2:]: value for name, value in row.items() if name.startswith("p_")}
    return min(shares, key=lambda name: abs(1 - shares[name] - row["score"]))
