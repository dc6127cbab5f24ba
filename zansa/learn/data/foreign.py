"""Forms that other programs write: boxes and outlines, one column a class, arrays with their part in the name."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from ...inputs.files import Found, printable, walk
from ...inputs.tables import is_missing
from .sources import DOUBTFUL, SPLIT_WORDS, shortened

FILES = 5000  # that are looked at in a folder
EACH = 20  # of an ending
HEAD = 1 << 16  # bytes of a file that tell what it is
_IMAGES = re.compile(rb'"images"\s*:\s*\[\s*\{')  # of COCO
_YOLO = re.compile(rb"\d+(?: +[01]?\.?\d+){4,}+\s*")  # a line; possessive, so that no text takes long
_MARKS = {"0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}
_BOX = ("xmin", "x_min", "xmax", "x_max", "bbox", "box", "region_shape_attributes", "encodedpixels", "rle", "rle_mask")
_SAMPLES = {
    "images": "images", "image": "images", "imgs": "images", "img": "images", "x": "images", "data": "images",
    "signals": "signals", "series": "signals",
    "labels": "labels", "label": "labels", "y": "labels", "targets": "labels", "target": "labels",
}  # fmt: skip
_PARTED = re.compile(rf"(?P<a>[a-z]+)_?(?P<b>{'|'.join(w for w in SPLIT_WORDS if w.isascii())})")
_PARTED_BY_DOUBT = re.compile("|".join(sorted(DOUBTFUL)))
_PARTED_BEFORE = re.compile(rf"(?P<b>{'|'.join(w for w in SPLIT_WORDS if w.isascii())})_?(?P<a>[a-z]+)")


# --- boxes ----------------------------------------------------------------------------------------------------------


def refuse_boxes(path: Path) -> None:
    """ValueError where a file, or what lies in a folder, tells where things are in images; YOLO has its labels beside
    a folder `images`."""
    kind = _annotations(path)
    if kind is None and path.name.lower() == "images":
        kind = _annotations(path.with_name("labels"))
    if kind is not None:
        raise ValueError(_no_boxes(printable(str(path)), kind))


def _no_boxes(called: str, kind: str) -> str:
    return (
        f"{called} holds boxes or outlines ({kind}), which say where things are, and zansa learns one class for each "
        "whole image; needed: one folder per class, or a manifest with the columns path and label: cut the boxes out "
        "as images of their own, or give each image the class of what it shows"
    )


def _annotations(path: Path) -> str | None:
    seen: dict[str, int] = {}
    for file in islice([path] if path.is_file() else walk(path), FILES):
        ending = file.suffix.lower()
        look = _LOOKS.get(ending)
        if look is None or seen.get(ending, 0) >= EACH or not file.is_file():  # to open a pipe would wait for ever
            continue
        try:
            with file.open("rb") as stream:
                head = stream.read(HEAD)
        except OSError:
            continue
        seen[ending] = seen.get(ending, 0) + bool(head)  # an image without a defect has an empty file of labels
        kind = look(head)
        if kind is not None:
            return kind
    return None


def _voc(text: bytes) -> str | None:
    return "annotations as Pascal VOC has them" if b"<annotation" in text else None


def json_boxes(text: bytes) -> str | None:
    """Whose boxes or outlines the beginning of a JSON file holds; None where it shows none. COCO lists its images
    first, and there may be more of them than the beginning holds."""
    if b'"shapes"' in text and b'"points"' in text:
        return "shapes of labelme"
    if b'"regions"' in text and b'"shape_attributes"' in text:
        return "regions of VIA"
    known = any(word in text for word in (b'"bbox"', b'"segmentation"', b'"annotations"'))
    return "annotations as COCO has them" if (known and b'"images"' in text) or _IMAGES.search(text) else None


def _yolo(text: bytes) -> str | None:
    lines = [line for line in (text.rpartition(b"\n")[0] or text).splitlines() if line.strip()]
    return "labels of YOLO" if lines and all(map(_YOLO.fullmatch, lines)) else None


_LOOKS = {".xml": _voc, ".json": json_boxes, ".txt": _yolo}


def told_boxes(root: Path, found: Found) -> list[str]:
    """A sentence on boxes or outlines that are kept in a file beside most images, as sets for detection have them."""
    if not _LOOKS.keys() & {*found.others}:
        return []
    stems = {path.stem for path in found.images}
    beside = Counter(path.suffix.lower() for path in walk(root) if path.suffix.lower() in _LOOKS and path.stem in stems)
    ending, count = beside.most_common(1)[0] if beside else ("", 0)
    if 2 * count < max(2, len(stems)):
        return []
    return [
        f"{count} images have a {ending} file of their name, as boxes or outlines for detection are kept: these are "
        "not read, since zansa gives each whole image one class"
    ]


def refuse_boxed(names: Iterable[str], called: str) -> None:
    """ValueError where a column of a manifest holds boxes or outlines."""
    column = next((name for name in names if name.strip().lower() in _BOX), None)
    if column is not None:
        raise ValueError(_no_boxes(called, f"column {printable(column)}"))


# --- one column a class -----------------------------------------------------------------------------------------------


def one_hot(cells: Mapping[str, Sequence[str]], names: Sequence[str], called: str) -> list[str] | None:
    """The class of each row, where columns are the classes and hold 1 for the row's own and 0; None where they are not.
    ValueError where a row has several ones, or none."""
    if len(names) < 2 or not all(cell.lower() in _MARKS for name in names for cell in cells[name]):
        return None
    marked = np.array([[_MARKS[cell.lower()] for cell in cells[name]] for name in names]).T  # (rows, classes)
    wrong = np.flatnonzero(marked.sum(axis=1) != 1)
    if len(wrong):
        several = marked[wrong[0]].sum() > 1
        raise ValueError(
            f"{called}: the columns {shortened([*map(printable, names)])} are marks of classes, and {len(wrong)} rows "
            f"have {'several' if several else 'none'} of them, row {wrong[0] + 1} first; an image has one class: write "
            "a column label with it, for example the worst defect, and good where there is none"
        )
    return [names[k] for k in marked.argmax(axis=1)]


def refuse_gaps(cells: Mapping[str, Sequence[str]], names: Sequence[str], called: str) -> None:
    """ValueError where columns are marks of classes but for cells that are empty or missing."""
    if len(names) < 2 or not all(_has_mark(cells[name]) for name in names):
        return
    gaps = [(k, name) for name in names for k, cell in enumerate(cells[name]) if is_missing(cell)]
    if gaps:
        (row, name), columns = min(gaps), shortened([*map(printable, names)])
        more = f" and {len(gaps) - 1} more cells are" if len(gaps) > 1 else " is"
        raise ValueError(
            f"{called}: the columns {columns} are marks of classes, and {printable(name)} in "
            f"row {row + 1}{more} empty; write 1 in the column of each row's class, and 0 in the others"
        )


def _has_mark(column: Sequence[str]) -> bool:
    """Whether a column holds marks, at least one of them a 1, beside cells that are empty."""
    values = {_MARKS.get(cell.lower(), -1.0) for cell in column if not is_missing(cell)}
    return 1.0 in values and values <= {0.0, 1.0}


# --- arrays -----------------------------------------------------------------------------------------------------------


def usual(arrays: dict[str, np.ndarray], called: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The arrays of an .npz by the names that zansa knows (images, signals, labels, split), and what was done for that,
    in sentences: x_train, y_train, x_test, y_test are joined, x and y renamed, labels of the shape (N, 1) flattened and
    one-hot labels (N, K) read. ValueError for labels (N, K) that are not one-hot."""
    arrays, told = _joined(arrays, called)
    labels = arrays.get("labels")
    if labels is None or labels.ndim != 2 or labels.dtype.kind not in "iufb":
        return arrays, told
    if labels.shape[1] == 1:
        return arrays | {"labels": labels[:, 0]}, told
    if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
        raise ValueError(
            f"{called}: labels of the shape {labels.shape} are no marks of one class in each row; needed: labels (N,), "
            "or a one and zeros in each row"
        )
    own = f"{called}: labels of the shape {labels.shape} are read as marks of one class among {labels.shape[1]}"
    return arrays | {"labels": labels.argmax(axis=1)}, (*told, own)


def _joined(arrays: dict[str, np.ndarray], called: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Arrays under other names, and those of parts one behind the other, with their parts as `split`."""
    if "labels" in arrays and ({"images", "signals"} & arrays.keys()):
        return arrays, ()
    roles = {name: role for name in arrays if (role := _role(name)) is not None}
    parts: dict[str, dict[str, str]] = {}
    for name, (what, part) in roles.items():
        if what in parts.setdefault(part, {}):
            raise ValueError(f"{called} has two arrays of {what}, {parts[part][what]} and {name}; rename one")
        parts[part][what] = name
    whole = {part: found for part, found in parts.items() if len(found) == 2}
    numbers = any(arrays[name].ndim == 0 for name in roles)
    if numbers or not whole or len(whole) < len(parts) or ("" in whole and len(whole) > 1) or not _alike(arrays, whole):
        return arrays, ()
    samples = next(name for name in next(iter(whole.values())) if name != "labels")
    if samples == "images" and arrays[next(iter(whole.values()))["images"]].dtype.kind == "f":
        raise ValueError(
            f"{called}: {', '.join(roles)} could be images or series; rename them: images as uint8 (0 to 255) or "
            "uint16, signals (N, length) or (N, channels, length), labels, and split with train, val, test"
        )
    _refuse_torn(arrays, whole, called)
    found = {name: array for name, array in arrays.items() if name not in roles}
    if len(whole) > 1 and "split" in found:
        raise ValueError(f"{called} tells the parts twice, by the array split and by {', '.join(roles)}; leave one out")
    for what in (samples, "labels"):
        found[what] = np.concatenate([arrays[names[what]] for names in whole.values()])
    if len(whole) > 1:
        counts = {part: len(arrays[names["labels"]]) for part, names in whole.items()}
        found["split"] = np.repeat(list(counts), list(counts.values()))
    told = f"{called}: {samples} and labels from the arrays {', '.join(roles)}"
    doubtful = [name for name in roles if _PARTED_BY_DOUBT.search(name.lower())]
    return found, (told, *([f"{called}: {', '.join(doubtful)} were taken for the test part"] if doubtful else []))


def _refuse_torn(arrays: Mapping[str, np.ndarray], whole: Mapping[str, Mapping[str, str]], called: str) -> None:
    """ValueError where a part has not as many labels as samples: joined, all behind it would get another's label."""
    for names in whole.values():
        counts = {name: len(arrays[name]) for name in names.values()}
        if len({*counts.values()}) > 1:
            told = " and ".join(f"{count} in {name}" for name, count in counts.items())
            raise ValueError(f"{called} has {told}; one label for each sample is needed")


def _alike(arrays: Mapping[str, np.ndarray], whole: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether all parts have samples and labels of equal forms."""
    shapes = {(what, arrays[name].shape[1:]) for names in whole.values() for what, name in names.items()}
    return len(shapes) == 2


def _role(name: str) -> tuple[str, str] | None:
    """(images, signals or labels; the part, "": none) that an array is called after."""
    plain = name.lower().strip()
    if plain in _SAMPLES:
        return _SAMPLES[plain], ""
    found = _PARTED.fullmatch(plain) or _PARTED_BEFORE.fullmatch(plain)
    if found is None or found["a"].rstrip("_") not in _SAMPLES:
        return None
    return _SAMPLES[found["a"].rstrip("_")], SPLIT_WORDS[found["b"]]
