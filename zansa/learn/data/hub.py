"""Parquet tables that hold the pictures themselves, as data sets of Hugging Face have them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...inputs.columns import is_label
from ...inputs.files import printable
from ...inputs.images import AS_COLOUR, read_image, to_channels
from ...inputs.tables import is_missing
from .cells import cell, is_nested
from .sources import part_of, shortened, split_word


class Columns(NamedTuple):
    """What the columns of a table are.

    pictures: the name of the column of pictures.
    label: that of the labels.
    classes: the names of the classes, where labels are numbers and the table says what they mean.
    group: the name of the column of groups, if there is one.
    split: that of the parts.
    others: the names of those that are passed over.
    """

    pictures: str
    label: str
    classes: list[str]
    group: str | None
    split: str | None
    others: list[str]


def picture_tables(path: Path) -> list[Path]:
    """The Parquet tables of a source that hold pictures: itself, or those of a folder or of its folder `data`."""
    if path.suffix.lower() == ".parquet":
        return [path] if path.is_file() and _of_pictures(_schema(path)) else []
    files = sorted([*path.glob("*"), *path.glob("data/*")]) if path.is_dir() else []
    tables = [file for file in files if file.suffix.lower() == ".parquet"]
    return tables if tables and all(_of_pictures(_schema(table)) for table in tables) else []


def list_pictures(tables: list[Path]) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """What from_arrays takes, what the columns were taken for, and what was left out: rows without a label, which is -1
    in test tables whose labels are kept secret, and tables that are of no part by their names where others are. All
    pictures are held in memory. The part of a table is the first word of its name (test-00000-of-00001), or stands in
    its column split. ValueError names the row and what is wrong."""
    parts = {path: part_of(path.stem.split("-")[0]) for path in tables}
    columns = {path: _columns(path) for path in tables}
    strangers = [path for path in tables if "train" in parts.values() and not (parts[path] or columns[path].split)]
    rows: dict[str, list[Any]] = {name: [] for name in ("images", "labels", "names", "split", "groups")}
    read = [path for path in tables if path not in strangers]
    unlabelled = sum(_add(rows, path, columns[path], parts[path]) for path in read)
    if len({*rows["split"]}) > 1 and None in rows["split"]:
        raise ValueError(
            f"of the tables {shortened([printable(path.name) for path in tables])} some are of a part and others of "
            "none; call each train-..., validation-... or test-..., or name one of them"
        )
    for name, needed in (("split", len({*rows["split"]}) > 1), ("groups", any(columns[p].group for p in read))):
        if not needed:
            rows.pop(name)
    rows["images"], gray = _of_one_kind(rows["images"])
    left_out = [f"{printable(path.name)} was left out: its name says no part" for path in strangers]
    left_out += [f"rows without a label were left out: {unlabelled}"] * bool(unlabelled)
    left_out += [f"{gray} of {len(rows['images'])} images: {AS_COLOUR}"] * bool(gray)
    return rows, _told(read[0], columns[read[0]]), tuple(left_out)


def _add(rows: dict[str, list[Any]], path: Path, found: Columns, part: str | None) -> int:
    """Add what a table holds to `rows`; how many rows have no label."""
    import pyarrow.parquet  # a quarter of a second, for those who bring such a table

    wanted = [name for name in (found.pictures, found.label, found.group, found.split) if name]
    unlabelled = 0
    for i, row in enumerate(pyarrow.parquet.read_table(path, columns=wanted).to_pylist()):
        where = f"{printable(path.name)}, row {i + 1}"
        label, picture = row[found.label], row[found.pictures]
        if is_missing(cell(label)) or (found.classes and isinstance(label, int) and label < 0):
            unlabelled += 1
            continue
        if not (picture and picture["bytes"]):
            raise ValueError(f"{where} has no picture in its column {printable(found.pictures)}")
        rows["images"].append(read_image(picture["bytes"], name=where))
        rows["labels"].append(_class(label, found.classes, where))
        rows["names"].append(f"{path.stem} row {i + 1}")
        rows["split"].append(part or (split_word(cell(row[found.split]), where) if found.split else None))
        if found.group is not None:
            if is_missing(cell(row[found.group])):
                raise ValueError(f"{where}: the group is empty; every row needs one")
            rows["groups"].append(cell(row[found.group]))
    return unlabelled


def _class(label: object, classes: list[str], where: str) -> str:
    """A label by the name that the table has for it."""
    if not classes or cell(label) in classes:
        return cell(label)
    if not isinstance(label, int | float) or label not in range(len(classes)):
        raise ValueError(
            f"{where}: the label is {label!r}; allowed: whole numbers from 0 to {len(classes) - 1}, since the table "
            f"names the classes {shortened([*map(printable, classes)])}"
        )
    return classes[int(label)]


def _of_one_kind(images: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Gray images as colour where others are colour, and how many these are."""
    gray = sum(image.shape[2] == 1 for image in images)
    if {image.shape[2] for image in images} != {1, 3}:
        return images, 0
    return [to_channels(image, 3) for image in images], gray


def _told(path: Path, found: Columns) -> str:
    roles = {"pictures": found.pictures, "labels": found.label, "groups": found.group, "parts": found.split}
    used = ", ".join(f"{role} from column {printable(name)}" for role, name in roles.items() if name)
    passed = f"; passed over: {shortened([*map(printable, found.others)])}" if found.others else ""
    return f"{printable(path.name)}: {used}{passed}"


# --- columns ---------------------------------------------------------------------------------------------------------


def _schema(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {printable(path.name)} as a Parquet table: {error}") from error


def _of_pictures(schema: Any) -> list[str]:
    """The names of the columns of pictures."""
    import pyarrow.types

    return [field.name for field in schema if pyarrow.types.is_struct(field.type) and _has_bytes(field.type)]


def _has_bytes(kind: Any) -> bool:
    return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))


def _columns(path: Path) -> Columns:
    """What the columns of a table are; ValueError where it is not clear which are the pictures and the labels."""
    schema = _schema(path)
    plain = [field.name for field in schema if not is_nested(field.type)]
    pictures = _one(path, _of_pictures(schema), "image", "pictures")
    label = _one(path, [name for name in plain if is_label(name.lower())], "label", "labels with one in each row")
    group, split = (next((n for n in plain if n.lower() == role), None) for role in ("group", "split"))
    others = [name for name in schema.names if name not in (pictures, label, group, split)]
    return Columns(pictures, label, _classes(schema, label), group, split, others)


def _one(path: Path, names: list[str], best: str, what: str) -> str:
    if best in names or len(names) == 1:
        return best if best in names else names[0]
    has = f"several columns of {what} ({shortened([*map(printable, names)])})" if names else f"no column of {what}"
    raise ValueError(f"{printable(path.name)} has {has}; call the one that counts {best}")


def _classes(schema: Any, label: str) -> list[str]:
    """The names of classes that stand beside a table of Hugging Face; [] where there are none."""
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:
        return []
    for name in ("info", "features", label, "names"):
        said = said.get(name) if isinstance(said, dict) else None
    return [*map(str, said)] if isinstance(said, list) else []
