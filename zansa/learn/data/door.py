"""The way in: what a source is, by its name, its columns or its arrays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ...arch.use import Preprocess
from ...inputs.images import printable
from ...inputs.tables import ARCHIVED, TABLES, open_npz
from .cells import LISTS, NO_LIST
from .dataset import Dataset, from_arrays, from_listing
from .folders import list_folder
from .foreign import refuse_boxes, usual
from .hub import list_pictures, picture_tables
from .manifests import is_manifest, list_manifest, list_manifests, manifests_in, manifests_of_parts
from .public import SETS, read_public
from .series import from_series, list_arrays, list_tables, series_tables
from .sources import MANIFESTS, Listing, image_arrays, shortened, unused_arrays, way_out

Tables = list[tuple[Path, str | None]]  # of series, with the part that each is for
Size = int | tuple[int, ...] | None


def load(
    source: str | Path,
    *,
    size: Size = None,
    fit: str = "stretch",
    channels: int | None = None,
    kind: str | None = None,
    like: Preprocess | None = None,
    cache: Path | None = None,
    root: Path | None = None,
    download: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """A data set from a folder, a table, an .npz, or the name of a public set; ValueError for bad input.

    Images:
    - A folder holds one folder per class, or train/ val/ test/ folders of them, or a manifest and its images.
    - A .csv, .tsv or .parquet manifest has the columns path, label and, optionally, group and split; other names of
      them (filename, class), cells that are image names, and in place of a label one column of marks for each class are
      understood, and told in `remarks`. Each of train/ val/ test/ folders may hold one.
    - A Parquet table may hold the pictures themselves (a column of {bytes, path}), as those of Hugging Face; a list has
      a line an image (.txt: path and label; .jsonl, .json: file_name and label).
    - An .npz holds images, labels and, optionally, classes, groups, split, names; x_train, y_train, x_test, y_test and
      one-hot labels are understood, and told.
    - mnist, fashion_mnist, emnist, cifar10, cifar100 and svhn are read from `root`, and fetched into it only with
      `download`; a folder of such a name is written "./mnist".

    Series:
    - A .csv or .tsv has one row per sample: a column `sequence` of letters, or columns of numbers
      (inputs.series.columns says which of them is the label); optionally group, split and id. A folder may hold one
      such table per part, their names ending in train, val or test, as in the UCR archive (GunPoint_TRAIN.tsv, .ts or
      .arff).
    - An .npz holds signals (N, length) or (N, channels, length), labels and, optionally, the same as for images.

    `size` is (height, width), or one number for both, and of series the length; None takes default_size or
    default_length. `channels` None is 1 when every image is gray, otherwise 3, and of images with other numbers of
    bands theirs. `like` brings the samples to the form that a trained model takes, in place of size, fit, channels and
    kind. Image files are decoded once, into `cache` (default $ZANSA_CACHE or ~/.cache/zansa); `progress(done, total)`
    is called for each file that is decoded. Unreadable files, and those of another bit depth or number of bands than
    most (or than `like`), are left out and told in `problems`, at most one in ten and never a whole class.
    """
    if like is not None:
        size, fit, channels = like.size, like.fit, like.channels
    depth, alphabet = (None, None) if like is None else (like.depth, like.alphabet)
    if isinstance(source, str) and source in SETS:
        content, kind = read_public(source, root, download), kind or SETS[source].kind
        _refuse_channels(channels, like)
        return from_arrays(**content, size=_sides(size, like), fit=fit, channels=channels, kind=kind, depth=depth)
    if root is not None or download:
        raise ValueError(f"root and download are for public sets ({', '.join(sorted(SETS))}), not for {source}")
    path = Path(source)
    found = open_npz(path) if path.suffix.lower() == ".npz" and path.is_file() else {}
    arrays, renamed = usual(found, printable(path.name))
    if pictures := picture_tables(path):
        sides = _sides(size, like)
        _refuse_channels(channels, like)
        shown, told, left_out = list_pictures(pictures)
        data = from_arrays(**shown, size=sides, fit=fit, channels=channels, kind=kind, depth=depth)
        return replace(data, problems=(*data.problems, *left_out), remarks=(told, *data.remarks))
    tables, listing = ([], None) if arrays else _read(path)
    if tables or "signals" in arrays:
        if like is not None and not like.series:
            raise ValueError(f"the model takes images, and {printable(str(path))} holds series")
        rows = list_tables(tables, like) if tables else list_arrays(path, arrays)
        data = from_series(**rows, size=size, fit=fit, channels=channels, kind=kind, alphabet=alphabet)
        unread = (_unread(tables, listing),) if listing else unused_arrays(path, arrays, "signals")
        unread += _other_tables(path, [file for file, _ in tables])
        return replace(data, problems=(*data.problems, *unread), remarks=(*renamed, *data.remarks))
    sides = _sides(size, like)
    _refuse_channels(channels, like)
    if listing is None:
        shown = image_arrays(path, arrays)
        data = from_arrays(**shown, size=sides, fit=fit, channels=channels, kind=kind, depth=depth)
        unread = unused_arrays(path, arrays, "images")
        return replace(data, problems=(*data.problems, *unread), remarks=(*renamed, *data.remarks))
    return from_listing(path, listing, sides, fit, channels, kind, cache, progress, depth)


def listed(path: Path) -> Listing | None:
    """The image files of a folder or a manifest, unread; None where the source holds arrays, pictures or series."""
    if (path.suffix.lower() == ".npz" and path.is_file()) or picture_tables(path):
        return None
    return _read(path)[1]


def _refuse_channels(channels: int | None, like: Preprocess | None) -> None:
    if like is None and channels not in (None, 1, 3):
        raise ValueError(f"channels={channels} was asked; allowed: 1 (gray) or 3 (colour)")


def _sides(size: Size, like: Preprocess | None) -> int | tuple[int, int] | None:
    """What was asked of images, once it is known that the data are some."""
    if like is not None and like.series:
        raise ValueError(f"the model takes {like.noun}s, and these data are images, or no table of series")
    if isinstance(size, tuple) and len(size) != 2:
        raise ValueError(f"size={size} was asked; allowed: a side, or (height, width), in pixels from 1 up")
    return size if size is None or isinstance(size, int) else (size[0], size[1])


def _read(path: Path) -> tuple[Tables, Listing | None]:
    """Tables of series, or a listing of images; where there are both in a folder, the tables are meant."""
    if path.is_dir():
        return _read_folder(path)
    if path.is_file() and path.suffix.lower() in ARCHIVED:
        return [(path, None)], None
    if path.is_file() and path.suffix.lower() in LISTS and is_manifest(path):
        return [], list_manifest(path)
    if path.is_file() and path.suffix.lower() in MANIFESTS:
        tables = [] if is_manifest(path) else series_tables(path)
        return tables, None if tables else list_manifest(path)
    if path.is_file():
        refuse_boxes(path)
    if path.is_file() and path.suffix.lower() in LISTS:
        raise ValueError(f"{printable(path.name)} {NO_LIST}")
    reason = "a file of another kind" if path.exists() else "not there"
    raise ValueError(
        f"{printable(str(path))} is {reason}; allowed: a folder with a folder per class, a "
        f"{', '.join(MANIFESTS)} manifest, a {', '.join(LISTS)} list of images, a table of series "
        f"({', '.join((*TABLES, *ARCHIVED))}), an .npz, or one of {', '.join(sorted(SETS))}"
        f"{way_out([path.suffix.lower()])}"
    )


def _read_folder(path: Path) -> tuple[Tables, Listing | None]:
    """ValueError where folders of classes and a table contradict each other: only people know which is meant."""
    manifests = manifests_in(path)
    tables = [table for table in series_tables(path) if table[0] not in manifests]
    try:
        listing = list_folder(path)
    except ValueError as error:
        if not tables and not manifests and (of_parts := manifests_of_parts(path)):
            return [], list_manifests(of_parts)
        if not tables and not manifests:
            raise ValueError(f"{error}{_texts_beside(path, str(error))}") from None
        return tables, None if tables else list_manifests(manifests)
    classes = sorted(set(listing.labels))
    lists = [printable(file.name) for file in manifests if file.suffix.lower() in LISTS]
    if len(classes) > 1 and lists:  # their labels are numbers, as often as not
        manifests = [file for file in manifests if file.suffix.lower() not in LISTS]
        told = f"{shortened(lists)} name images and labels too, and were passed over: the folders say the classes"
        listing = replace(listing, problems=(*listing.problems, told))
    if not tables and not manifests:
        return [], listing
    if len(classes) < 2:
        return tables, listing if tables else list_manifests(manifests)
    names = [printable(file.name) for file in ([file for file, _ in tables] or manifests)]
    other = None if tables else _agreeing(listing, manifests)
    if other is None:
        raise ValueError(
            f"{printable(str(path))} holds images in the folders {shortened(classes)} and a table that says something "
            f"else, {shortened(names)}: name {printable(str(path / names[0]))} to learn from the table, or move it "
            "away to learn from the folders"
        )
    if listing.split is None and other.split is not None and {*other.files} == {*listing.files}:
        return [], other
    told = f"{shortened(names)} has the same labels as the folders; to use its groups and parts too, name it instead"
    return [], replace(listing, remarks=(*listing.remarks, told))


def _texts_beside(path: Path, error: str) -> str:
    """What to say of texts in a folder without classes that may hold the labels."""
    files = sorted(file.name for file in path.iterdir() if file.suffix.lower() in (*TABLES, *LISTS))
    if not files or "folder" not in error or "begin with one of" in error or "boxes" in error:
        return ""
    return (
        f". Where {shortened([*map(printable, files)])} say what the images show: write a .csv with the columns path "
        "(the image's file, from the folder of the .csv) and label, and optionally group and split (train, val, test)"
    )


def _agreeing(listing: Listing, manifests: Sequence[Path]) -> Listing | None:
    """The images of manifests that say of each what its folder says; None where they say otherwise."""
    try:
        other = list_manifests(manifests)
    except ValueError:
        return None
    of_folder = dict(zip(listing.files, listing.labels, strict=True))
    agree = all(of_folder.get(file) == label for file, label in zip(other.files, other.labels, strict=True))
    return other if agree else None


def _other_tables(folder: Path, used: Sequence[Path]) -> tuple[str, ...]:
    """A sentence on the tables of a folder beside those that were read."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    others = [printable(file.name) for file in files if file.suffix.lower() in TABLES and file not in used]
    return (f"tables beside {printable(used[0].name)} were passed over: {shortened(others)}",) if others else ()


def _unread(tables: Tables, listing: Listing) -> str:
    names = shortened([printable(file.name) for file, _ in tables])
    return f"{len(listing.files)} images beside {names} were passed over: the table was read"
