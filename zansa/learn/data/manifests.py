"""Tables of images: which columns hold the files and their labels, and where the files are."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from ...inputs.columns import PART, THINGS, is_id, is_label
from ...inputs.files import is_hidden, is_image_name, printable
from ...inputs.tables import TABLES, is_missing, is_number, open_table, refuse_dashes
from .cells import LISTS, Cells, is_list, read_cells
from .foreign import one_hot, refuse_boxed, refuse_gaps
from .sources import MANIFESTS, NEEDED, SPLIT_WORDS, Listing, part_of, shortened, split_word

PATHS = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "image_name",
    "imagename",
    "image_file",
    "image_id",
    "imageid",
    "id_code",
    "image_filename",
    "fname",
    "img",
    "img_path",
    "img_name",
    "picture",
    "photo",
    "id",
    "name",
    "画像",
    "ファイル",
    "ファイル名",
)
LABELS = (
    *("label", "class", "target", "category", "class_name", "classname", "label_name", "choice", "ラベル", "クラス"),
    "判定",
)
SPLITS = (  # where all cells name a part
    *("subset", "partition", "data_set", "dataset", "set", "phase", "usage"),
    *("区分", "データ区分", "分割", "用途", "データセット"),
)
ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".JPG", ".JPEG", ".PNG", ".TIF", ".TIFF", ".BMP")
_TO_FILL_IN = re.compile(r"sub(mission)?|.*[_. -]?submission|submission.*", re.IGNORECASE)  # of a competition
LOOKED_AT = 50  # rows that tell what a column holds


@dataclass(frozen=True)
class Columns:
    """The names of a manifest's columns."""

    path: str
    label: str
    group: str | None
    split: str | None
    marks: tuple[str, ...] = ()  # one column for each class, in place of a label


def is_manifest(path: Path) -> bool:
    """Whether a table names image files, and is none of series: one of its columns is called path, or a cell of its
    first rows has the ending of an image, or is the name of one beside it without the ending."""
    if path.suffix.lower() in LISTS:
        return is_list(path)
    if path.suffix.lower() not in TABLES:
        return path.suffix.lower() in MANIFESTS
    table = open_table(path)
    if table.header is None or table.place("sequence", "seq") is not None:
        return False
    if table.place("path") is not None:
        return True
    if any(map(is_image_name, [*table.header, *table.first])):
        return True
    head = [cells for _, cells in islice(table.rows(), LOOKED_AT)]
    named = [[cells[i] for cells in head] for i, name in enumerate(table.header) if _plain(name) in PATHS]
    return any(_beside(path.absolute().parent, cells) for cells in named if cells and all(cells))


def manifests_in(folder: Path) -> list[Path]:
    """The manifests that stand in a folder itself; none where all are forms of a competition, to be filled in."""
    kinds = (*TABLES, *LISTS)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in kinds and not is_hidden(path.name))
    found = [path for path in files if path.is_file() and is_manifest(path)]
    return [] if all(_TO_FILL_IN.fullmatch(path.stem) for path in found) else found


def manifests_of_parts(folder: Path) -> list[Path]:
    """The manifests of train, val and test folders, where each of them holds one; else []."""
    parts = [path for path in sorted(folder.iterdir()) if path.is_dir() and part_of(path.name)]
    found = [manifests_in(path) for path in parts]
    named = any(part_of(path.name) == "train" for path in parts)
    return [path for (path,) in found] if named and all(len(each) == 1 for each in found) else []


def list_manifest(path: Path) -> Listing:
    """The images of one manifest (see _listed), without rows that say again what another says; images that lie beside
    those it names, and that it does not name, are told."""
    return _with_others(_listed(path), printable(path.name))


def _listed(path: Path) -> Listing:
    """A .csv, .tsv or .parquet table with a column of image files, one of labels and, optionally, group and split;
    others are passed over, which `remarks` tell. Relative paths start at the manifest's folder, or at the one folder
    beside it that holds all of the files. ValueError names the row and what is wrong."""
    called = printable(path.name)
    cells, guessed = read_cells(path)
    found = columns(called, cells)
    cells = {**cells, **_marked(cells, found, called)}
    used = {role: list(cells[name]) for role, name in _roles(found).items()}
    if not used["path"]:
        raise ValueError(f"{called} has no rows; {NEEDED}")
    _refuse_empty(called, used)
    refuse_dashes(used["label"], called)
    files, remarks = _found_files(path, called, used["path"])
    split = used.get("split")
    listing = Listing(
        files=files,
        names=tuple(printable(name) for name in used["path"]),
        labels=tuple(printable(label) for label in used["label"]),
        groups=tuple(printable(group) for group in used["group"]) if "group" in used else None,
        split=None if split is None else tuple(split_word(word, _row(called, i)) for i, word in enumerate(split)),
        remarks=(*filter(None, [guessed]), _told(called, cells, found), *remarks),
    )
    _refuse_several_boxes(listing, cells, called)
    return _once(listing, called)


def _roles(found: Columns) -> dict[str, str]:
    """The columns that are used, by their roles."""
    return {role: name for role, name in vars(found).items() if name is not None and role != "marks"}


def _marked(cells: Cells, found: Columns, called: str) -> Cells:
    """A column of labels in place of one column for each class."""
    labels = one_hot(cells, found.marks, called) if found.marks else None
    return {} if labels is None else {found.label: labels}


def _refuse_several_boxes(listing: Listing, cells: Cells, called: str) -> None:
    """ValueError for boxes by which an image has several classes. One box an image leaves no doubt, and is told."""
    said = zip(listing.files, listing.labels, strict=True)
    if len({*said}) > len({*listing.files}):
        refuse_boxed(cells, called)


def list_manifests(paths: Sequence[Path]) -> Listing:
    """One manifest, or one for each part (train.csv, val.csv, test.csv, or labels.csv in folders called so); those
    without labels, and those that are called after no part (sample_submission.csv), are left out."""
    if len(paths) == 1:
        return list_manifest(paths[0])
    problems = [
        f"{printable(path.name)} was left out: its name says that answers are to be written into it"
        for path in paths
        if _TO_FILL_IN.fullmatch(path.stem)
    ]
    paths = [path for path in paths if not _TO_FILL_IN.fullmatch(path.stem)]
    if len(paths) == 1:
        listing = list_manifest(paths[0])
        return replace(listing, problems=(*problems, *listing.problems))
    parts = {path: part for path in paths if (part := part_of(path.stem) or part_of(path.parent.name))}
    names = shortened([printable(path.name) for path in paths])
    if "train" not in parts.values() or len(set(parts.values())) < len(parts):
        raise ValueError(f"{printable(str(paths[0].parent))} holds several manifests: {names}; name one of them")
    listings = []
    problems += [f"{printable(path.name)} was left out: its name says no part" for path in paths if path not in parts]
    for path, part in parts.items():
        try:
            listing = _listed(path)
        except ValueError as error:
            if part == "train":
                raise
            problems.append(f"{printable(path.name)} was left out: {error}")
            continue
        if listing.split is not None and {*listing.split} != {part}:
            problems.append(
                f"{printable(path.name)} is the {part} part by its name or its folder's; its column of parts, "
                "which says otherwise, is passed over"
            )
        listings.append((listing, part))
    return _with_others(_joined(listings, problems), names)


def columns(called: str, cells: Cells) -> Columns:
    """The columns by their names and, where several names are possible, by what they hold; ValueError when it stays
    unclear which is the file or the label."""
    if any(map(is_image_name, cells)):
        raise ValueError(f"the first row of {called} names an image: write the names of the columns above it; {NEEDED}")
    images = [name for name in cells if _holds_images(cells[name])]
    known = [name for name in images if _plain(name) in PATHS]
    path = "path" if "path" in cells else _one(called, known or images, "image files")
    path = path or min((n for n in cells if _plain(n) in PATHS), key=lambda n: PATHS.index(_plain(n)), default=None)
    labels = [name for name in cells if _plain(name) in LABELS and name != path]
    labels = labels or [name for name in cells if is_label(name) and name != path]
    label = "label" if "label" in cells else _one(called, labels, "labels")
    group = "group" if "group" in cells else None
    parts = [
        name for name in cells if _plain(name) in SPLITS and all(cell.lower() in SPLIT_WORDS for cell in cells[name])
    ]
    split = "split" if "split" in cells else next(iter(parts), None)
    others = [name for name in cells if name not in (path, group, split, "") and name not in images]
    words = [name for name in others if not all(map(is_number, cells[name]))]
    if label is None and path is not None:
        refuse_gaps(cells, others, called)
    if label is None and path is not None and 1 in (len(others), len(words)):
        label = (words or others)[0]
    if path is not None and label is None and (marks := _marks(called, cells, others)):
        return Columns(path, "label", group, split, marks)
    missing = [role for role, name in (("path", path), ("label", label)) if name is None]
    if path is None or label is None:
        refuse_boxed(cells, called)
        has = printable(", ".join(cells)) or "nothing"
        raise ValueError(
            f"{called} has no column {' and no column '.join(missing)} (it has: {has}); {NEEDED}{_units(cells)}"
        )
    return Columns(path, label, group, split)


def _marks(called: str, cells: Cells, others: Sequence[str]) -> tuple[str, ...]:
    """The columns that mark the class of each row with a 1, where all that are left do; () where they do not."""
    return tuple(others) if one_hot(cells, others, called) is not None else ()


def _units(cells: Cells) -> str:
    """What to say of a table of numbers with a row of something else below its header, such as units."""
    odd = [name for name, values in cells.items() if len(values) > 1 and not is_number(values[0])]
    name = next((name for name in odd if all(map(is_number, cells[name][1:]))), None)
    if name is None:
        return ""
    return f". Column {printable(name)} holds numbers but for {cells[name][0]!r} in its first row: remove that row"


def _plain(name: str) -> str:
    """A column's name as the tables of this file have it: "File Names" is file_name."""
    return re.sub(r"[\s-]+", "_", name.strip()).removesuffix("s") if name != "class" else name


def _one(called: str, names: list[str], what: str) -> str | None:
    if len(names) > 1:
        raise ValueError(
            f"{called} has several columns of {what}: {printable(', '.join(names))}; call the one that counts "
            f"{'path' if what == 'image files' else 'label'}"
        )
    return names[0] if names else None


def _holds_images(values: Sequence[str]) -> bool:
    head = [value for value in islice(values, LOOKED_AT) if value]
    return bool(head) and all(map(is_image_name, head))


# --- rows -------------------------------------------------------------------------------------------------------------


def _row(called: str, index: int) -> str:
    return f"{called}, image {index + 1}"


def _refuse_empty(called: str, used: Mapping[str, Sequence[str]]) -> None:
    for role, values in used.items():
        missing = [i for i, value in enumerate(values) if not value or (role != "path" and is_missing(value))]
        if missing:
            how = f"is missing ({values[missing[0]]!r})" if values[missing[0]] else "is empty"
            raise ValueError(f"{_row(called, missing[0])}: the {role} {how}; every row needs one")


# --- files ---------------------------------------------------------------------------------------------------------


def _found_files(manifest: Path, called: str, names: Sequence[str]) -> tuple[tuple[Path, ...], list[str]]:
    """The files, and how the paths were understood where they are not what they say."""
    folder = manifest.absolute().parent
    files = [_at(folder, name) for name in names]
    remarks = []
    if not any(files) and (beside := _beside(folder, names, part_of(manifest.stem))):
        files = [_at(place, name) for place, name in zip(beside, names, strict=True)]
        found_in = [printable(place.name) for place in dict.fromkeys(beside)]
        some = "folders" if len(found_in) > 1 else "folder"
        remarks.append(f"the images of {called} were found in the {some} {shortened(found_in)}")
    absent = [name for name, file in zip(names, files, strict=True) if file is None]
    if absent:
        raise ValueError(
            f"{called} names {len(absent)} of {len(files)} files that are not there: "
            f"{shortened([*map(printable, absent)])}; relative paths start at the manifest's folder"
        )
    found = [file for file in files if file is not None]
    turned = sum("\\" in name and "\\" not in str(file) for name, file in zip(names, found, strict=True))
    completed = sum(
        file.suffix != "" and not name.endswith(file.suffix) for name, file in zip(names, found, strict=True)
    )
    remarks += [f"paths of {called} with backslashes, read as slashes: {turned}"] * (turned > 0)
    remarks += [f"names of {called} without an ending, to which the images' was added: {completed}"] * (completed > 0)
    return tuple(found), remarks


def _at(folder: Path, name: str) -> Path | None:
    """The file of this name: as it stands, with slashes for backslashes, in another Unicode form (a Mac's), or with the
    ending of an image."""
    slashed = name.replace("\\", "/")
    for written in dict.fromkeys((name, slashed, normalize("NFC", slashed), normalize("NFD", slashed))):
        if _is_file(folder / written):
            return folder / written
        if not is_image_name(written):
            for ending in ENDINGS:
                if _is_file(folder / (written + ending)):
                    return folder / (written + ending)
    return None


def _beside(folder: Path, names: Sequence[str], part: str | None = None) -> list[Path] | None:
    """For each of these files the folder in which it is: all in this one, the one around it, or one in it, where only
    one has them or is called after `part`; or each in another of those in it, where no two have it."""
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_hidden(path.name)]
    for path in (folder, folder.parent):
        if all(_at(path, name) for name in names):
            return [path] * len(names)
    having = [[path for path in folders if _at(path, name)] for name in names]
    whole = [path for path in folders if all(path in each for each in having)]
    alike = [path for path in whole if part_of(path.name) == part] if len(whole) > 1 and part else whole
    if len(alike) == 1:
        return alike * len(names)
    return [path for (path,) in having] if all(len(each) == 1 for each in having) else None


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


# --- rows and files that are left out -------------------------------------------------------------------------------


def _once(listing: Listing, called: str) -> Listing:
    """A listing without rows that repeat another in file, label, group and split: a picture that counts twice makes
    every figure look surer than it is."""
    known = [column for column in (listing.files, listing.labels, listing.groups, listing.split) if column is not None]
    first = {row: i for i, row in reversed([*enumerate(zip(*known, strict=True))])}
    kept = sorted(first.values())
    problems = []
    if len(kept) < len(listing.files):
        problems.append(f"rows of {called} that repeat another were left out: {len(listing.files) - len(kept)}")
    if len({listing.files[i] for i in kept}) < len(kept):
        count = len(kept) - len({listing.files[i] for i in kept})
        told = f"rows of {called} that say something else of an image that was named before: {count}, and each counts"
        problems.append(told)
    return Listing(
        files=tuple(listing.files[i] for i in kept),
        names=tuple(listing.names[i] for i in kept),
        labels=tuple(listing.labels[i] for i in kept),
        groups=None if listing.groups is None else tuple(listing.groups[i] for i in kept),
        split=None if listing.split is None else tuple(listing.split[i] for i in kept),
        problems=(*listing.problems, *problems),
        remarks=listing.remarks,
    )


def _with_others(listing: Listing, called: str) -> Listing:
    """The listing, with a sentence on the images that lie in the folders of its files, and that it does not name."""
    named = set(map(str, listing.files))
    folders = {os.path.dirname(name) for name in named}
    others = [
        entry.path
        for folder in sorted(folders)
        for entry in os.scandir(folder)
        if is_image_name(entry.name) and not is_hidden(entry.name) and entry.path not in named
    ]
    if not others:
        return listing
    told = f"images beside those that {called} names were passed over: {len(others)} ({printable(others[0])} ...)"
    return replace(listing, problems=(*listing.problems, told))


# --- telling -------------------------------------------------------------------------------------------------------


def _told(called: str, cells: Cells, found: Columns) -> str:
    roles = {"images": found.path, "labels": found.label, "groups": found.group, "parts": found.split}
    sources = {role: f"column {printable(name)}" for role, name in roles.items() if name is not None}
    if found.marks:
        sources["labels"] = f"the marks {shortened([*map(printable, found.marks)])}"
    used = ", ".join(f"{role} from {source}" for role, source in sources.items())
    own = {*roles.values(), *found.marks}
    others = [printable(name) or "without a name" for name in cells if name not in own]
    things = [printable(name) for name in cells if name not in roles.values() and _names_things(name, cells[name])]
    parts = [printable(name) for name in cells if name not in roles.values() and PART.fullmatch(name)]
    hint = f" (call {things[0]} group if rows of one {things[0]} show one part)" if things and not found.group else ""
    if parts and not found.split:
        hint += f" (call {parts[0]} split, with the words train, val and test, to use it)"
    if others and not (_plain(found.label) in LABELS or is_label(found.label)):
        hint += " (call another column label if it is the one to be learned)"
    return f"{called}: {used}" + (f"; passed over: {shortened(others)}{hint}" if others else "")


def _names_things(name: str, cells: Sequence[str]) -> bool:
    return (is_id(name) or name in THINGS) and 1 < len(set(cells)) < len(cells)


def _joined(listings: Sequence[tuple[Listing, str | None]], problems: list[str]) -> Listing:
    grouped = all(listing.groups is not None for listing, _ in listings)
    if len(listings) == 1:
        return replace(listings[0][0], problems=(*problems, *listings[0][0].problems))
    return Listing(
        files=tuple(file for listing, _ in listings for file in listing.files),
        names=tuple(name for listing, _ in listings for name in listing.names),
        labels=tuple(label for listing, _ in listings for label in listing.labels),
        groups=tuple(group for listing, _ in listings for group in listing.groups or ()) if grouped else None,
        split=tuple(part or "" for listing, part in listings for _ in listing.files),
        problems=(*problems, *(problem for listing, _ in listings for problem in listing.problems)),
        remarks=tuple(remark for listing, _ in listings for remark in listing.remarks),
    )
