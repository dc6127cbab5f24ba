"""Reading a store back, while a server writes it or not: rows as CSV or Parquet, and whether all is there."""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from .pictures import place
from .schema import FILE, TABLES, VERDICTS

FILTERS = {
    "since": "a.time >= ?",
    "until": "a.time < ?",
    "model": "a.model = ?",
    "decision": "a.decision = ?",
    "part": "a.part = ?",
    "lot": "a.lot = ?",
}
UNSAID = ("reads",)  # columns that are no text
PACKED = {"probabilities": "p", "features": "f", "fields": "field"}  # JSON columns and how their parts are called


def rows(store: Path, wanted: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
    """Every answer that fits `wanted` (keys of FILTERS), oldest first, with the person's verdict and the shadow's
    answer; probabilities, features and fields are columns p_CLASS, f_NAME and field_NAME. ValueError where there is no
    store."""
    asked = {name: value for name, value in wanted.items() if value is not None}
    where = " AND ".join(FILTERS[name] for name in asked) or "1"
    columns = ", ".join(f'a."{name}"' for name in TABLES["answers"] if name not in UNSAID)
    statement = (
        f"SELECT {columns}, v.verdict, v.who AS judged_by, v.time AS judged, s.sha AS shadow_sha, "
        "s.decision AS shadow_decision, s.class AS shadow_class, s.score AS shadow_score "
        f"FROM answers a LEFT JOIN ({VERDICTS}) v ON v.answer = a.id "
        f"LEFT JOIN shadows s ON s.answer = a.id WHERE {where} ORDER BY a.id"
    )
    with closing(opened(store)) as connection:
        for row in connection.execute(statement, list(asked.values())):
            yield _flat(dict(row))


def reads(store: Path, sha: str) -> dict[int, bytes]:
    """What the last layer of a file read of each part that it judged, as `features.unpacked` takes it, by the number of
    the answer; without those of a server that did not keep it."""
    with closing(opened(store)) as connection:
        there = {row[1] for row in connection.execute("PRAGMA table_info(answers)")}
        if "reads" not in there:
            return {}
        found = connection.execute("SELECT id, reads FROM answers WHERE sha = ? AND reads IS NOT NULL", (sha,))
        return {row["id"]: row["reads"] for row in found}


def write_csv(found: Sequence[dict[str, Any]], out: TextIO) -> None:
    """Rows as CSV with a header; columns that a row lacks are empty."""
    writer = csv.DictWriter(out, _columns(found), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)


def write_parquet(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Rows as a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    names = _columns(found)
    table = pyarrow.table({name: [row.get(name) for row in found] for name in names})
    parquet.write_table(table, path)


def log(store: Path) -> list[dict[str, Any]]:
    """What happened to the models: starts, changes, refusals, golden runs."""
    with closing(opened(store)) as connection:
        found = [dict(row) for row in connection.execute("SELECT * FROM log ORDER BY id")]
    return [row | {"detail": json.loads(row["detail"])} for row in found]


def check(store: Path) -> dict[str, Any]:
    """Whether the store is whole: SQLite's own check, images that a row names and that are not there or are not what
    their name says, and images that no row names."""
    with closing(opened(store)) as connection:
        sound = connection.execute("PRAGMA integrity_check").fetchone()[0]
        counts = connection.execute("SELECT count(*), count(error) FROM answers").fetchone()
        kept = connection.execute("SELECT DISTINCT image, suffix FROM answers WHERE kept = 1").fetchall()
    places = {place(store / "images", row["image"], row["suffix"]): row["image"] for row in kept}
    missing = [path.name for path in places if not path.is_file()]
    damaged = [
        path.name
        for path, sha in places.items()
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != sha
    ]
    on_disk = [path for path in (store / "images").glob("[0-9a-f][0-9a-f]/*") if path.is_file()]
    return {
        "sound": sound == "ok",
        "answers": counts[0],
        "errors": counts[1],
        "images": len(places),
        "missing": missing,
        "damaged": damaged,
        "unnamed": sum(path not in places for path in on_disk),
    }


def opened(store: Path) -> sqlite3.Connection:
    """A connection that only reads. ValueError where there is no store."""
    file = store / FILE
    if not file.is_file():
        raise ValueError(f"{store} is no store: it has no {FILE}")
    connection = sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    return connection


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    for column, short in PACKED.items():
        packed = row.pop(column)
        row |= {f"{short}_{name}": value for name, value in json.loads(packed or "{}").items()}
    return row


def _columns(found: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in found for name in row))
