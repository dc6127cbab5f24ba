"""Parquet tables that hold the pictures themselves, as data sets of Hugging Face have them."""

import json
from pathlib import Path
from typing import Any

from ...inputs.columns import is_label
from ...inputs.files import printable
from ...inputs.images import read_image
from .sources import part_of, shortened


def picture_tables(path: Path) -> list[Path]:
    """The Parquet tables of a source that hold pictures: itself, or those of a folder or of its folder `data`."""
    if path.suffix.lower() == ".parquet":
        return [path] if path.is_file() and _columns(path)[0] else []
    tables = sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")]) if path.is_dir() else []
    return tables if tables and all(_columns(table)[0] for table in tables) else []


def list_pictures(tables: list[Path]) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """What from_arrays takes, what the columns were taken for, and what was left out: rows without a label, which is -1
    in test tables whose labels are kept secret. All pictures are held in memory. The part of a table is the first word
    of its name (test-00000-of-00001); where a table with labels is called after none, there are no parts, which is
    told. ValueError names the row and what is wrong."""
    import pyarrow.parquet  # a quarter of a second, for those who bring such a table

    parts = [part_of(table.stem.split("-")[0]) for table in tables]
    rows: dict[str, list[Any]] = {name: [] for name in ("images", "labels", "names", "split")}
    unlabelled = 0
    for path, part in zip(tables, parts, strict=True):
        pictures, label, classes = _columns(path)
        if label is None:
            raise ValueError(
                f"{printable(path.name)} has pictures in its column {pictures}; needed beside it: one column label"
            )
        cells = pyarrow.parquet.read_table(path, columns=[pictures, label])
        for i, (picture, number) in enumerate(zip(cells[pictures].to_pylist(), cells[label].to_pylist(), strict=True)):
            where = f"{printable(path.name)}, row {i + 1}"
            if number is None or (classes and number < 0):
                unlabelled += 1
                continue
            if not (picture and picture["bytes"]):
                raise ValueError(f"{where} has no picture in its column {pictures}")
            if classes and number >= len(classes):
                raise ValueError(f"{where} has the label {number}; the table names {len(classes)} classes, from 0 up")
            rows["images"].append(read_image(picture["bytes"], name=where))
            rows["labels"].append(classes[number] if classes else str(number))
            rows["names"].append(f"{path.stem} row {i + 1}")
            rows["split"].append(part)
    left_out = [f"rows without a label were left out: {unlabelled}"] * bool(unlabelled)
    if None in rows["split"] or len({*rows["split"]}) == 1:
        named = {*rows.pop("split")} - {None}
        nameless = shortened([printable(table.name) for table, part in zip(tables, parts, strict=True) if part is None])
        if nameless and named:
            left_out.append(f"parts are drawn anew, because tables are called after none: {nameless}")
    told = f"{printable(tables[0].name)}: pictures from column {pictures}, labels from column {label}"
    return rows, told, tuple(left_out)


def _columns(path: Path) -> tuple[str | None, str | None, list[str]]:
    """The names of the columns of pictures and of labels, and the names of the classes where the table has them."""
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {printable(path.name)} as a Parquet table: {error}") from error
    pictures = [field.name for field in schema if pyarrow.types.is_struct(field.type) and _has_bytes(field.type)]
    labels = [name for name in schema.names if is_label(name.lower())]
    said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = said.get("info", {}).get("features", {})
    label = labels[0] if len(labels) == 1 else None
    return (pictures or [None])[0], label, features.get(label, {}).get("names") or []


def _has_bytes(kind: Any) -> bool:
    return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
