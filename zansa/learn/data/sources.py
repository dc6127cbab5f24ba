"""Where labelled images come from: folders, manifests and array files, each read into one plain value."""

import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...inputs.images import EXTENSIONS, images_below, is_hidden, printable, walk
from ...inputs.tables import Table, open_table

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
MANIFESTS = (".csv", ".tsv", ".parquet")
COLUMNS = ("path", "label", "group", "split")
NEEDED = (
    "needed: one row per image with the columns path, label and, when known, group and split; or, for series, a column "
    "sequence or columns of numbers in place of path"
)
BESIDE = ("labels", "classes", "groups", "split", "names")  # what stands beside the samples in an .npz


@dataclass(frozen=True)
class Listing:
    """Files with what is known of each; all tuples are of one length. `problems` are sentences on what was left out."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    split: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()


def split_word(word: str, where: str) -> str:
    """ "train", "val" or "test" for the words people use; ValueError names `where` for any other."""
    known = SPLIT_WORDS.get(word.strip().lower())
    if known is None:
        raise ValueError(f"{where}: the split is {word!r}; allowed: train, val (valid, validation), test")
    return known


def shortened(items: Sequence[str], most: int = 5) -> str:
    """The first few of a list, for a message."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


# --- folders -------------------------------------------------------------------------------------------------------


def list_folder(root: Path) -> Listing:
    """A folder per class, or train/ val/ test/ folders of them. Subfolders of a class belong to it; hidden files and
    files that are no images by their ending are passed over. ValueError when no class has an image."""
    folders = [folder for folder in _subfolders(root) if _has_image(folder)]
    parts = {folder: SPLIT_WORDS.get(folder.name.lower()) for folder in folders}
    if "train" in parts.values():
        return _list_split(root, parts)
    if not folders:
        raise ValueError(_no_classes(root))
    return _listing(root, [(folder, None) for folder in folders], _outside(root, root))


def _list_split(root: Path, parts: dict[Path, str | None]) -> Listing:
    strangers = [printable(folder.name) for folder, part in parts.items() if part is None]
    if strangers:
        raise ValueError(
            f"{printable(str(root))} holds a folder 'train' beside {shortened(strangers)}; allowed: either one folder "
            "per class, or only train, val and test folders with one folder per class inside"
        )
    classes = [(folder, split) for part, split in parts.items() for folder in _subfolders(part)]
    found = [(folder, split) for folder, split in classes if _has_image(folder)]
    if not found:
        raise ValueError(f"the train, val and test folders of {printable(str(root))} hold no folder per class")
    outside = [sentence for part in (root, *parts) for sentence in _outside(root, part, skip_empty=part == root)]
    return _listing(root, found, outside)


def _listing(root: Path, folders: list[tuple[Path, str | None]], problems: list[str]) -> Listing:
    rows = [(file, folder.name, split) for folder, split in folders for file in images_below(folder)]
    files, labels, splits = zip(*rows, strict=True)
    return Listing(
        files=tuple(file.absolute() for file in files),
        names=tuple(printable(file.relative_to(root).as_posix()) for file in files),
        labels=tuple(printable(label) for label in labels),
        split=splits if splits[0] is not None else None,
        problems=tuple(problems),
    )


def _subfolders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))


def _has_image(folder: Path) -> bool:
    return next(images_below(folder), None) is not None


def _outside(root: Path, folder: Path, skip_empty: bool = False) -> list[str]:
    """Sentences on what stands in `folder` and belongs to no class: loose images, and class folders without any."""
    where = "the folder itself" if folder == root else printable(folder.relative_to(root).as_posix())
    loose = sum(path.suffix.lower() in EXTENSIONS and not is_hidden(path.name) for path in folder.iterdir())
    empty = [] if skip_empty else [path for path in _subfolders(folder) if not _has_image(path)]
    sentences = [f"{printable(path.relative_to(root).as_posix())}: no image in this folder, left out" for path in empty]
    return [f"{loose} images in {where} stand in no class folder, left out"] * (loose > 0) + sentences


def _no_classes(root: Path) -> str:
    endings = Counter(path.suffix.lower() or "no ending" for path in walk(root))
    seen = ", ".join(f"{count} × {printable(ending)}" for ending, count in endings.most_common(4)) or "no files at all"
    return (
        f"no class folder with images in {printable(str(root))} (found: {seen}); needed: one folder per class with "
        f"{', '.join(sorted(EXTENSIONS))} files in it, or a manifest ({', '.join(MANIFESTS)})"
    )


# --- manifests -----------------------------------------------------------------------------------------------------


def list_manifest(path: Path) -> Listing:
    """A .csv, .tsv or .parquet table with the columns path, label and, optionally, group and split; others are passed
    over. Relative paths start at the manifest's folder. ValueError names the row and what is wrong."""
    columns = _parquet_columns(path) if path.suffix.lower() == ".parquet" else _csv_columns(open_table(path))
    called = printable(path.name)
    if not columns["path"]:
        raise ValueError(f"{called} has no rows; {NEEDED}")
    _refuse_empty(called, columns)
    files = tuple((path.absolute().parent / name) for name in columns["path"])
    _refuse_missing(called, files, columns["path"])
    split = columns.get("split")
    return Listing(
        files=files,
        names=tuple(printable(name) for name in columns["path"]),
        labels=tuple(printable(label) for label in columns["label"]),
        groups=tuple(printable(group) for group in columns["group"]) if "group" in columns else None,
        split=split and tuple(split_word(word, _row(called, i)) for i, word in enumerate(split)),
    )


def _csv_columns(table: Table) -> dict[str, tuple[str, ...]]:
    rows = [cells for _, cells in table.rows()]
    return _needed(table.called, {name: [row[i] for row in rows] for i, name in enumerate(table.header or ())})


def _parquet_columns(path: Path) -> dict[str, tuple[str, ...]]:
    import pyarrow.parquet  # a quarter of a second, for those who bring such a table

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            wanted = [name for name in file.schema_arrow.names if name.strip().lower() in COLUMNS]
            table = file.read(columns=wanted)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {printable(path.name)} as a Parquet table: {error}") from error
    cells = {name.strip().lower(): table.column(name).to_pylist() for name in wanted}
    return _needed(printable(path.name), {name: [_cell(v) for v in values] for name, values in cells.items()})


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip()


def _needed(called: str, columns: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        has = printable(", ".join(columns)) or "nothing"
        raise ValueError(f"{called} has no column {' and no column '.join(missing)} (it has: {has}); {NEEDED}")
    return {name: tuple(columns[name]) for name in COLUMNS if name in columns}


def _row(called: str, index: int) -> str:
    return f"{called}, image {index + 1}"


def _refuse_empty(called: str, columns: dict[str, tuple[str, ...]]) -> None:
    for name, values in columns.items():
        if "" in values:
            raise ValueError(f"{_row(called, values.index(''))}: the {name} is empty; every row needs one")


def _refuse_missing(called: str, files: Sequence[Path], names: Sequence[str]) -> None:
    missing = [printable(name) for file, name in zip(files, names, strict=True) if not _is_file(file)]
    if missing:
        raise ValueError(
            f"{called} names {len(missing)} of {len(files)} files that are not there: {shortened(missing)}; "
            "relative paths start at the manifest's folder"
        )


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


# --- array files ---------------------------------------------------------------------------------------------------


def image_arrays(path: Path, found: dict[str, np.ndarray]) -> dict[str, Any]:
    """What from_arrays takes, out of an .npz with images, labels and, optionally, classes, groups, split, names."""
    missing = [name for name in ("images", "labels") if name not in found]
    if missing:
        raise ValueError(
            f"{printable(path.name)} has no array {' and no array '.join(missing)} (it has: {', '.join(found)}); "
            "needed: images (N, H, W[, C]), or signals (N, length) or (N, channels, length), and labels (N,), "
            "optional: classes, groups, split, names"
        )
    return {name: found[name] for name in ("images", *BESIDE) if name in found}
