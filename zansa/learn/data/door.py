"""The way in: what a source is, by its name, its columns or its arrays."""

from collections.abc import Callable
from pathlib import Path

from ...arch.use import Preprocess
from ...inputs.images import printable
from ...inputs.tables import TABLES, open_npz
from .dataset import Dataset, from_arrays, from_listing
from .public import SETS, read_public
from .series import from_series, list_arrays, list_tables, series_tables
from .sources import MANIFESTS, Listing, image_arrays, list_folder, list_manifest

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
    - A folder holds one folder per class, or train/ val/ test/ folders of them.
    - A .csv, .tsv or .parquet manifest has the columns path, label and, optionally, group and split.
    - An .npz holds images, labels and, optionally, classes, groups, split, names.
    - mnist, fashion_mnist, emnist, cifar10, cifar100 and svhn are read from `root`, and fetched into it only with
      `download`; a folder of such a name is written "./mnist".

    Series:
    - A .csv or .tsv has one row per sample: a column `sequence` of letters, or columns of numbers
      (inputs.series.columns says which of them is the label); optionally group, split and id. A folder may hold one
      such table per part, their names ending in train, val or test, as in the UCR archive (GunPoint_TRAIN.tsv).
    - An .npz holds signals (N, length) or (N, channels, length), labels and, optionally, the same as for images.

    `size` is (height, width), or one number for both, and of series the length; None takes default_size or
    default_length. `channels` None is 1 when every image is gray, otherwise 3; 16-bit gray makes the set 16-bit.
    `like` brings the samples to the form that a trained model takes, in place of size, fit, channels and kind.
    Image files are decoded once, into `cache` (default $ZANSA_CACHE or ~/.cache/zansa); `progress(done, total)` is
    called for each file that is decoded. Unreadable files are left out and told in `problems`, at most one in ten and
    never a whole class.
    """
    if like is not None:
        size, fit, channels = like.size, like.fit, like.channels
    if isinstance(source, str) and source in SETS:
        content, kind = read_public(source, root, download), kind or SETS[source].kind
        return from_arrays(**content, size=_sides(size, like), fit=fit, channels=channels, kind=kind)
    if root is not None or download:
        raise ValueError(f"root and download are for public sets ({', '.join(sorted(SETS))}), not for {source}")
    path = Path(source)
    arrays = open_npz(path) if path.suffix.lower() == ".npz" and path.is_file() else {}
    tables = [] if arrays else series_tables(path)
    if tables or "signals" in arrays:
        if like is not None and not like.series:
            raise ValueError(f"the model takes images, and {printable(str(path))} holds series")
        rows = list_tables(tables, like) if tables else list_arrays(path, arrays)
        return from_series(
            **rows, size=size, fit=fit, channels=channels, kind=kind, alphabet=like.alphabet if like else None
        )
    sides = _sides(size, like)
    if arrays:
        return from_arrays(**image_arrays(path, arrays), size=sides, fit=fit, channels=channels, kind=kind)
    return from_listing(path, _listing(path), sides, fit, channels, kind, cache, progress)


def _sides(size: Size, like: Preprocess | None) -> int | tuple[int, int] | None:
    """What was asked of images, once it is known that the data are some."""
    if like is not None and like.series:
        raise ValueError(f"the model takes {like.noun}s, and these data are images, or no table of series")
    if isinstance(size, tuple) and len(size) != 2:
        raise ValueError(f"size={size} was asked; allowed: a side, or (height, width), in pixels from 1 up")
    return size if size is None or isinstance(size, int) else (size[0], size[1])


def _listing(path: Path) -> Listing:
    if path.is_dir():
        return list_folder(path)
    if path.is_file() and path.suffix.lower() in MANIFESTS:
        return list_manifest(path)
    reason = "a file of another kind" if path.exists() else "not there"
    raise ValueError(
        f"{printable(str(path))} is {reason}; allowed: a folder with a folder per class, a {', '.join(MANIFESTS)} "
        f"manifest, a {' or '.join(TABLES)} table of series, an .npz, or one of {', '.join(sorted(SETS))}"
    )
