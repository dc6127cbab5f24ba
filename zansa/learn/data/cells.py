"""The cells of a manifest, whatever its form: CSV, Parquet, JSON, or a list with a line an image."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ...inputs.files import is_image_name, printable
from ...inputs.tables import open_table
from .foreign import json_boxes

LISTS = (".txt", ".jsonl", ".json")  # of images: lines `path label`, or records {"file_name": ..., "label": ...}
HEAD = 1 << 16  # bytes of JSON that tell whether it is a list
LOOKED_AT = 50  # lines that tell what a text holds
_LINE = re.compile(r"(\S+\.\w+)[ \t]+([^\s./\\]+)")
_WHERE = {"annotations", "bbox", "shapes", "regions"}  # keys of what says where things are

Cells = Mapping[str, Sequence[str]]


def read_cells(path: Path) -> tuple[Cells, str]:
    """The cells of each column, and what was guessed to read the file."""
    read = {".parquet": _parquet_cells, ".jsonl": _json_cells, ".json": _json_cells, ".txt": _line_cells}.get(
        path.suffix.lower()
    )
    return (read(path), "") if read else _csv_cells(path)


def is_list(path: Path) -> bool:
    """Whether a text has a line an image: a path and a label, or a record with the name of an image."""
    if path.suffix.lower() == ".txt":
        return bool(_lines(path, LOOKED_AT))
    with path.open("rb") as file:
        head = file.readline() if path.suffix.lower() == ".jsonl" else file.read(HEAD)
    words = re.findall(r'"([^"]*)"', head.decode("utf-8", "replace"))
    return any(map(is_image_name, words)) and _WHERE.isdisjoint(words) and json_boxes(head) is None


def _lines(path: Path, most: int | None = None) -> list[tuple[str, str]]:
    """The path and the label of each line of a list; [] where some line is none such."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.strip() for line in islice(file, most) if line.strip()]
    except UnicodeError:
        return []
    found = [_LINE.fullmatch(line) for line in lines]
    return [(one[1], one[2]) for one in found if one and is_image_name(one[1])] if all(found) else []


def _line_cells(path: Path) -> Cells:
    rows = _lines(path)
    if not rows:
        raise ValueError(
            f"{printable(path.name)} is no list of images; needed: a line an image, its path, a space and its label, "
            "or a .csv table with the columns path and label"
        )
    return {"path": [name for name, _ in rows], "label": [label for _, label in rows]}


def _json_cells(path: Path) -> Cells:
    """The columns of records: a line each (Hugging Face), in a list, by a key each, or as pairs of a file and a label.
    Lists and records in cells are no columns."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        by_line = path.suffix.lower() == ".jsonl"
        rows = [*map(json.loads, filter(str.strip, text.splitlines()))] if by_line else json.loads(text)
    except ValueError as error:
        raise ValueError(f"{printable(path.name)} is no JSON: {error}") from None
    if isinstance(rows, dict):
        rows = [_record(name, value) for name, value in rows.items()]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f'{printable(path.name)} needs records of images: {{"file_name": ..., "label": ...}}')
    names = dict.fromkeys(name for row in rows for name in row)
    plain = [name for name in names if not any(isinstance(row.get(name), list | dict) for row in rows)]
    return {name.strip().lower(): [_cell(row.get(name)) for row in rows] for name in plain}


def _record(name: str, value: Any) -> Any:
    """The record that stands under a key: the key may be the image's name, and what stands there the label alone."""
    if isinstance(value, str | int):
        return {"path": name, "label": value}
    named = isinstance(value, dict) and not any(is_image_name(each) for each in value.values() if isinstance(each, str))
    return {"path": name} | value if named and is_image_name(name) else value


def _csv_cells(path: Path) -> tuple[Cells, str]:
    table = open_table(path)
    rows = [cells for _, cells in table.rows()]
    return {name: [row[i] for row in rows] for i, name in enumerate(table.header or ())}, table.remark


def _parquet_cells(path: Path) -> Cells:
    import pyarrow.parquet  # a quarter of a second, for those who bring such a table

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            wanted = [name for name in file.schema_arrow.names if not _is_nested(file.schema_arrow.field(name).type)]
            table = file.read(columns=wanted)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {printable(path.name)} as a Parquet table: {error}") from error
    return {name.strip().lower(): [_cell(v) for v in table.column(name).to_pylist()] for name in wanted}


def _is_nested(kind: object) -> bool:
    import pyarrow.types

    return bool(pyarrow.types.is_nested(kind) or pyarrow.types.is_binary(kind))


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip()
