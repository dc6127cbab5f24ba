"""The cells of a manifest, whatever its form: CSV, Parquet, JSON, or a list with a line an image."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ...inputs.columns import is_label
from ...inputs.files import is_image_name, printable
from ...inputs.tables import open_table
from .foreign import json_boxes

LISTS = (".txt", ".jsonl", ".json")  # of images: lines `path label`, or records {"file_name": ..., "label": ...}
NO_LIST = (
    "is no list of images; needed: a line an image, its path, a space and its label, neither with spaces inside, or "
    'records {"file_name": ..., "label": ...} of JSON, in UTF-8; or a .csv table with the columns path and label'
)
HEAD = 1 << 16  # characters of JSON that tell whether it is a list
LOOKED_AT = 50  # lines that tell what a text holds
_LINE = re.compile(r"(\S+\.\w+)[ \t]+([^\s./\\]+)")
_WHERE = {"annotations", "bbox", "shapes", "regions"}  # keys of what says where things are

Cells = Mapping[str, Sequence[str]]
Named = list[tuple[str, Sequence[str] | None]]  # columns, None for one that holds lists or records


def read_cells(path: Path) -> tuple[Cells, str]:
    """The cells of each column, and what was guessed to read the file."""
    read = {".parquet": _parquet_cells, ".jsonl": _json_cells, ".json": _json_cells, ".txt": _line_cells}.get(
        path.suffix.lower()
    )
    columns, guessed = (read(path), "") if read else _csv_cells(path)
    return _named(printable(path.name), columns), guessed


def _named(called: str, columns: Named) -> Cells:
    """The cells of columns by their names. ValueError where only a column of lists may be the label, for another would
    be taken for it, and for two columns of one name that differ."""
    cells: dict[str, Sequence[str]] = {}
    nested = [name for name, values in columns if values is None and is_label(name)]
    for name, values in columns:
        if name and values is not None and cells.get(name, values) != values:
            raise ValueError(f"{called} has two columns called {printable(name)} that differ; rename or remove one")
        cells |= {} if values is None else {name: values}
    if nested and not any(map(is_label, cells)):
        raise ValueError(
            f"{called} has lists or records in its column {printable(nested[0])}, and an image has one class; needed: "
            "a column label with a word in each row"
        )
    return cells


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


def _line_cells(path: Path) -> Named:
    rows = _lines(path)
    if not rows:
        raise ValueError(f"{printable(path.name)} {NO_LIST}")
    return [("path", [name for name, _ in rows]), ("label", [label for _, label in rows])]


def _json_cells(path: Path) -> Named:
    """The columns of records: a line each (Hugging Face), in a list, by a key each, or as pairs of a file and a label.
    Lists and records in cells are no columns. ValueError for a key that is there twice, of which one would be lost."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        by_line = path.suffix.lower() == ".jsonl"
        lines = [*filter(str.strip, text.split("\n"))] if by_line else [text]
        read = [json.loads(line, object_pairs_hook=_once) for line in lines]
    except ValueError as error:
        raise ValueError(f"{printable(path.name)} is no JSON: {error}") from None
    rows = read if by_line else read[0]
    if isinstance(rows, dict):
        rows = [_record(name, value) for name, value in rows.items()]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f'{printable(path.name)} needs records of images: {{"file_name": ..., "label": ...}}')
    names = dict.fromkeys(name for row in rows for name in row)
    nested = {name for name in names if any(isinstance(row.get(name), list | dict) for row in rows)}
    return [(name.strip().lower(), None if name in nested else [cell(row.get(name)) for row in rows]) for name in names]


def _record(name: str, value: Any) -> Any:
    """The record that stands under a key: the key may be the image's name, and what stands there the label alone."""
    if isinstance(value, str | int):
        return {"path": name, "label": value}
    named = isinstance(value, dict) and not any(is_image_name(each) for each in value.values() if isinstance(each, str))
    return {"path": name} | value if named and is_image_name(name) else value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A record of JSON, none of whose keys is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i]))
        raise ValueError(f"the key {printable(twice)} is there twice")
    return found


def _csv_cells(path: Path) -> tuple[Named, str]:
    table = open_table(path)
    rows = [cells for _, cells in table.rows()]
    return [(name, [row[i] for row in rows]) for i, name in enumerate(table.header or ())], table.remark


def _parquet_cells(path: Path) -> Named:
    import pyarrow.parquet  # a quarter of a second, for those who bring such a table

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            nested = {field.name for field in file.schema_arrow if is_nested(field.type)}
            table = file.read(columns=[name for name in file.schema_arrow.names if name not in nested])
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {printable(path.name)} as a Parquet table: {error}") from error
    plain = [
        (field.name, [*map(cell, column.to_pylist())])
        for field, column in zip(table.schema, table.columns, strict=True)
    ]
    columns = [*plain, *((name, None) for name in nested)]
    return [(name.strip().lower(), values) for name, values in columns]


def is_nested(kind: object) -> bool:
    """Whether a column of this type of Arrow holds lists, records or bytes."""
    import pyarrow.types

    return bool(pyarrow.types.is_nested(kind) or pyarrow.types.is_binary(kind))


def cell(value: object) -> str:
    """A value as the text of a cell."""
    return "" if value is None else str(value).strip()
