"""The one form of a data set behind this door, and the way into it for images."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np

from ...arch.use import Preprocess
from ...inputs.images import (
    AS_COLOUR,
    COLOURS_LOST,
    ENLARGED,
    digest,
    fit_image,
    is_gray,
    refuse_depth,
    shows_gray,
    to_channels,
)
from ...inputs.series import WHOLE
from . import cache as caching
from .kinds import likely_kind
from .sources import Listing, shortened, split_word
from .spelling import one_spelling

Asked = tuple[tuple[int, int] | None, str, int | None, int | None]  # size, fit, channels and depth
KINDS = ("surface", "symbol", "natural")  # of images
SERIES_KINDS = ("signal", "sequence")
UNREADABLE = 0.10  # the share of images that may be left out before loading is refused
GRAY_ALONE = "the images have three channels and show gray alone, so one is learned from (--channels 3 keeps three)"
LOOKED_AT = 32  # files by which it is told that all show gray alone
MIXED = 0.9  # share of samples in groups of several classes, from which each sample is judged by itself
SEVERAL = 0.10  # the least share of images that is told as a kind of its own


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images or series, all of one size, in memory or mapped read-only; all columns have one length N.

    `classes` are sorted by name (10 after 9) and labels index them; `digests` are SHA-256 of the pixels as decoded, or
    of a series' values, so that a copy in another file format is known; `preprocess.mean` and `std` are placeholders
    until `normalised`. `kind` says which augmentations are safe. `problems` are sentences about what was left out,
    `remarks` about what was decided.
    """

    images: np.ndarray  # (N, H, W, C) uint8 | uint16; series: (N, L, C) float32, or uint8 twelfths of letters
    labels: np.ndarray  # (N,) int64
    classes: tuple[str, ...]
    names: tuple[str, ...]  # path relative to the source, or "row 17"
    digests: tuple[str, ...]
    preprocess: Preprocess
    kind: str
    groups: np.ndarray | None = None  # (N,) str
    split: np.ndarray | None = None  # (N,) "train" | "val" | "test"
    files: tuple[Path, ...] = ()  # absolute
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def in_mixed_groups(self) -> float:
        """The share of samples in groups that have samples of several classes."""
        if self.groups is None:
            return 0.0
        several = Counter(group for group, _ in {*zip(self.groups.tolist(), self.labels.tolist(), strict=True)})
        return float(np.mean([several[group] > 1 for group in self.groups.tolist()]))

    @property
    def judged_apart(self) -> bool:
        """Whether groups tell what must not be torn apart, as the cells of a panel, and not what is judged as a whole:
        nearly all samples stand in groups of several classes. A part of which pictures show one defect is none such,
        for then the pictures of good parts are alone."""
        return self.in_mixed_groups >= MIXED

    def __post_init__(self) -> None:
        columns = (
            self.images,
            self.labels,
            self.names,
            self.digests,
            self.groups,
            self.split,
            self.files or None,
        )
        assert {len(column) for column in columns if column is not None} == {len(self.labels)}
        assert self.kind in (SERIES_KINDS if self.preprocess.series else KINDS)
        assert self.images.shape[1:] == (*self.preprocess.size, self.preprocess.channels)

    def __len__(self) -> int:
        return len(self.labels)

    def normalised(self, indices: np.ndarray) -> "Dataset":
        """With mean and standard deviation, per channel in raw levels, of these images (those of the training part);
        letters become shares of 1."""
        mean, std = ((0.0,), (float(WHOLE),)) if self.preprocess.alphabet else _moments(self.images, indices)
        settings = self.preprocess.model_dump() | {"mean": mean, "std": std}
        return replace(self, preprocess=Preprocess.model_validate(settings))


def normalised_for(data: Dataset, mean: float | Sequence[float], std: float | Sequence[float]) -> Dataset:
    """The images with this mean and deviation, in levels of 0 to 255, of all channels or of each: those that learned
    weights are used to."""
    scale = 257 if data.preprocess.depth == 16 else 1
    each = {
        name: tuple(np.broadcast_to(np.multiply(values, scale), data.preprocess.channels).tolist())
        for name, values in (("mean", mean), ("std", std))
    }
    settings = data.preprocess.model_dump() | each
    return replace(data, preprocess=Preprocess.model_validate(settings))


def from_arrays(
    images: np.ndarray | Sequence[np.ndarray],
    labels: Sequence | np.ndarray,
    *,
    classes: Sequence[str] | None = None,
    groups: Sequence | np.ndarray | None = None,
    split: Sequence[str] | np.ndarray | None = None,
    names: Sequence[str] | None = None,
    size: int | tuple[int, int] | None = None,
    fit: str = "stretch",
    channels: int | None = None,
    kind: str | None = None,
    depth: int | None = None,
) -> Dataset:
    """A data set from images (N, H, W) or (N, H, W, C), or a list of (H, W[, C]) of several sizes, uint8 or uint16.

    `labels` are names, or whole numbers: indices into `classes` when these are given, otherwise names themselves.
    Classes without an image are dropped. An array that needs no change is not copied. ValueError for bad input, and for
    another depth than `depth`, where that is given.
    """
    _refuse_settings(size, fit, kind)
    pictures = _pictures(images, channels)
    gray = channels is None and pictures[0].shape[2] == 3 and all(map(shows_gray, pictures))
    if gray:
        pictures = [picture[..., :1] for picture in pictures]
    if depth is not None:
        refuse_depth(pictures[0], depth)
    count = len(pictures)
    words, respelled = one_spelling(label_names(labels, classes))
    for what, column in (("labels", words), ("groups", groups), ("split", split), ("names", names)):
        if column is not None and len(column) != count:
            raise ValueError(f"{count} images, but {len(column)} {what}; one for each is needed")
    target = _size(size) or default_size([picture.shape[:2] for picture in pictures])
    shown = tuple(map(str, names)) if names is not None else tuple(f"row {i}" for i in range(count))
    numbers, found = number(words)
    grouped, regrouped = one_group(groups)
    preprocess = _preprocess(pictures[0].shape[2], target, fit, pictures[0].dtype.itemsize * 8)
    likely = likely_kind(found, preprocess.channels)
    fitting = _fitted(pictures, target, fit)
    return Dataset(
        images=fitting,
        labels=numbers,
        classes=found,
        names=shown,
        digests=tuple(digest(picture) for picture in pictures),
        preprocess=preprocess,
        kind=kind or likely.name,
        groups=grouped,
        split=None if split is None else np.array([split_word(str(w), n) for w, n in zip(split, shown, strict=True)]),
        problems=_scales(fitting),
        remarks=(
            *(() if kind else (likely.reason,)),
            *respelled,
            *regrouped,
            *_channels_told(preprocess),
            *([GRAY_ALONE] if gray else []),
        ),
    )


def default_size(shapes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """(height, width) for images of these (height, width).

    One size of at most 64 stays. Otherwise the longer side is the median's, rounded to a multiple of 32 and at most
    160, and the shorter side keeps the median's proportions to a multiple of 16.
    """
    sizes = np.array([shape[:2] for shape in shapes])
    if (sizes == sizes[0]).all() and sizes[0].max() <= 64:
        return int(sizes[0, 0]), int(sizes[0, 1])
    median = np.median(sizes, axis=0)
    longer = min(160, max(32, 32 * round(median.max() / 32)))
    height, width = (longer if side == median.max() else _shorter(side * longer / median.max()) for side in median)
    return height, width


def _shorter(side: float) -> int:
    return max(16, 16 * round(side / 16))


# --- settings ------------------------------------------------------------------------------------------------------


def _refuse_settings(size: int | tuple[int, int] | None, fit: str, kind: str | None) -> None:
    sides = _size(size)
    if sides is not None and (len(sides) != 2 or min(sides) < 1):
        raise ValueError(f"size={size} was asked; allowed: a side, or (height, width), in pixels from 1 up")
    if fit not in ("letterbox", "stretch"):
        raise ValueError(f"fit={fit!r} was asked; allowed: letterbox (keeps the proportions) or stretch")
    if kind not in (None, *KINDS):
        raise ValueError(f"kind={kind!r} was asked; allowed: {', '.join(KINDS)}")


def _size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _preprocess(channels: int, size: tuple[int, int], fit: str, depth: int) -> Preprocess:
    return Preprocess(
        channels=channels,
        size=size,
        fit=cast(Literal["letterbox", "stretch"], fit),
        depth=cast(Literal[8, 16], depth),
    )


# --- files ---------------------------------------------------------------------------------------------------------


def from_listing(
    source: Path,
    listing: Listing,
    size: int | tuple[int, int] | None,
    fit: str,
    channels: int | None,
    kind: str | None,
    cache: Path | None,
    progress: Callable[[int, int], None] | None,
    depth: int | None = None,
) -> Dataset:
    """A data set from image files; decoded once, into `cache`. `depth` None is the bit depth of most of them."""
    _refuse_settings(size, fit, kind)
    decoded = _decoded(source, listing, (_size(size), fit, channels, depth), cache, progress)
    _refuse_unreadable(listing, decoded)
    words, respelled = one_spelling([listing.labels[i] for i in decoded.kept])
    labels, classes = number(words)
    likely = likely_kind(classes, decoded.preprocess.channels)
    names = tuple(listing.names[i] for i in decoded.kept)
    groups, regrouped = one_group(None if listing.groups is None else [listing.groups[i] for i in decoded.kept])
    return Dataset(
        images=decoded.images,
        labels=labels,
        classes=classes,
        names=names,
        digests=decoded.digests,
        preprocess=decoded.preprocess,
        kind=kind or likely.name,
        groups=groups,
        split=None if listing.split is None else np.array(listing.split)[decoded.kept],
        files=tuple(listing.files[i] for i in decoded.kept),
        problems=listing.problems + decoded.problems + _lost(decoded.lost, names) + _scales(decoded.images),
        remarks=(
            *(() if kind else (likely.reason,)),
            *listing.remarks,
            *respelled,
            *regrouped,
            *_channels_told(decoded.preprocess),
            *(_gray_told(listing.files) if channels is None and decoded.preprocess.channels == 1 else ()),
        ),
    )


def _gray_told(files: Sequence[Path]) -> tuple[str, ...]:
    """What to say of files that were read as gray though their headers say colour."""
    return () if all(header[2] == 1 for header in caching.headers(_some(files))) else (GRAY_ALONE,)


def _scales(images: np.ndarray) -> tuple[str, ...]:
    """What to say of 16-bit images (N, H, W, C) of which some use 12 bits at most, and others many more."""
    if images.dtype != np.uint16:
        return ()
    highest = np.array([int(image.max()) for image in images])
    low, most = int((highest < 4096).sum()), int(highest.max())
    if not SEVERAL * len(images) <= low <= (1 - SEVERAL) * len(images) or most < 4 * 4096:
        return ()
    return (
        f"{low} of {len(images)} images have no level above 4095, and others reach {most}: where these are two camera "
        "settings, 12 and 16 bits, bring all to one",
    )


def _lost(lost: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """What was lost of images that were read, counted; with the names of some."""
    by_kind: dict[str, list[str]] = {}
    for several, name in zip(lost, names, strict=True):
        for what in filter(None, several.split("; ")):
            by_kind.setdefault(what, []).append(name)
    for what in (AS_COLOUR, ENLARGED):
        if len(by_kind.get(what, ())) == len(names):
            del by_kind[what]  # it was asked for
    return tuple(f"{len(some)} of {len(names)} images: {what} ({shortened(some, 3)})" for what, some in by_kind.items())


def _decoded(
    source: Path,
    listing: Listing,
    asked: Asked,
    cache: Path | None,
    progress: Callable[[int, int], None] | None,
) -> caching.Decoded:
    folder = cache or caching.default_folder()
    name = caching.entry_name(source, listing.files, asked)
    made = caching.find(folder, name)
    if made is None:
        made = caching.build(folder, name, listing.files, listing.names, _settle(listing.files, asked), progress)
    if asked[2] is None and any(COLOURS_LOST in lost for lost in made.lost):
        # some show gray alone, but not all; a start that was killed here has kept the gray ones
        preprocess = made.preprocess.model_copy(update={"channels": 3})
        made = caching.build(folder, name, listing.files, listing.names, preprocess, progress)
    return made


def _settle(files: Sequence[Path], asked: Asked) -> Preprocess:
    """What was not asked, from the headers of all files: of bit depths the most frequent, and of numbers of channels
    too, unless all are gray or colour; then it is 3, but where files of colour show gray alone."""
    size, fit, channels, depth = asked
    headers = caching.headers(files) or [(32, 32, 1, 8)]  # none is readable: decoding tells why
    target = size or default_size([header[:2] for header in headers])
    several, depths = Counter(header[2] for header in headers), Counter(header[3] for header in headers)
    channels = channels or (max(several) if several.keys() <= {1, 3} else several.most_common(1)[0][0])
    if asked[2] is None and channels == 3 and all(map(is_gray, _some(files))):
        channels = 1
    return _preprocess(channels, target, fit, depth or depths.most_common(1)[0][0])


def _some(files: Sequence[Path]) -> list[Path]:
    """A few files, spread over all: those by which it is told that files of colour show none."""
    return [files[i] for i in np.linspace(0, len(files) - 1, min(LOOKED_AT, len(files))).astype(int)]


def _refuse_unreadable(listing: Listing, decoded: caching.Decoded) -> None:
    count, bad = len(listing.files), len(decoded.problems)
    lost = sorted(set(listing.labels) - {listing.labels[i] for i in decoded.kept})
    if lost or bad > UNREADABLE * count:
        what = f"every image of class {shortened(lost)}" if lost else f"{bad} of {count} images"
        raise ValueError(
            f"{what} cannot be read; allowed: at most one in ten, and never a whole class. Mend or remove: "
            + "; ".join(decoded.problems[:3])
        )


# --- arrays --------------------------------------------------------------------------------------------------------


def _pictures(images: np.ndarray | Sequence[np.ndarray], channels: int | None) -> np.ndarray | list[np.ndarray]:
    """(H, W, C) each, of one type and number of channels."""
    if not len(images):
        raise ValueError("no images were given; at least two classes of two images are needed")
    if isinstance(images, np.ndarray) and images.ndim in (3, 4):
        images = images if images.ndim == 4 else images[..., None]
    else:
        images = [picture[..., None] if picture.ndim == 2 else picture for picture in map(np.asarray, images)]
    for picture in images:
        _refuse_array(picture, images[0])
    return images if channels in (None, images[0].shape[2]) else [to_channels(picture, channels) for picture in images]


def _refuse_array(picture: np.ndarray, first: np.ndarray) -> None:
    if picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"the images are {picture.dtype}; allowed: uint8 (0 to 255) or uint16 (0 to 65535); scale and round them"
        )
    first_is_channels = picture.ndim == 3 and _may_be_channels_first(*picture.shape)
    if picture.ndim != 3 or 0 in picture.shape or first_is_channels:
        hint = "; move the channels to the end: np.moveaxis(images, 1, -1)" if first_is_channels else ""
        raise ValueError(f"an image has the shape {picture.shape}; allowed: (H, W) or (H, W, C){hint}")
    if picture.dtype != first.dtype or picture.shape[2] != first.shape[2]:
        raise ValueError(
            f"images of {first.shape[2]} channels {first.dtype} and of {picture.shape[2]} channels {picture.dtype} are "
            "mixed; bring them to one form"
        )


def _may_be_channels_first(height: int, width: int, channels: int) -> bool:
    """Whether (height, width, channels) is rather (channels, side, side), or (1 to 4, height, width)."""
    return channels > 4 and (height <= 4 or (channels == width and height != width))


def _channels_told(preprocess: Preprocess) -> tuple[str, ...]:
    count = preprocess.channels
    return () if count in (1, 3) else (f"the images have {count} channels, neither gray nor colour: each is an input",)


def label_names(labels: Sequence | np.ndarray, classes: Sequence[str] | None) -> list[str]:
    """The class of each sample by its name; ValueError for labels that name none."""
    array = np.asarray(labels if np.ndim(labels) == 0 else list(labels))
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise ValueError(f"labels are {array.dtype} of shape {array.shape}; allowed: N names or N whole numbers")
    if array.dtype.kind != "U" and classes is not None:
        if array.size and not 0 <= array.min() <= array.max() < len(classes):
            raise ValueError(
                f"labels reach from {array.min()} to {array.max()}; {len(classes)} classes are named: allowed are 0 to "
                f"{len(classes) - 1}"
            )
        return [str(classes[label]) for label in array]
    names = [str(label).strip() for label in array]
    unknown = sorted(set(names) - set(map(str, classes)) if classes is not None else {""} & set(names))
    if unknown:
        raise ValueError(f"labels hold {shortened([repr(name) for name in unknown])}; each must name a class")
    return names


def one_group(groups: Sequence | np.ndarray | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Each sample's group in one spelling, so that 1 and 1.0 are never learned from and tested on; what was done."""
    if groups is None:
        return None, ()
    names, told = one_spelling([str(group) for group in groups], "group")
    return np.array(names), told


def number(names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels, and the classes they index in natural order."""
    classes = tuple(sorted(set(names), key=_natural))
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[name] for name in names], np.int64), classes


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    parts = re.findall("[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts], name


def _fitted(pictures: np.ndarray | list[np.ndarray], size: tuple[int, int], fit: str) -> np.ndarray:
    if isinstance(pictures, np.ndarray) and pictures.shape[1:3] == size:
        return pictures
    return np.stack([fit_image(picture, size, fit) for picture in pictures])


def _moments(images: np.ndarray, indices: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel; of images from sums of whole numbers: exact, so the same in every
    order."""
    channels = images.shape[-1]
    if images.dtype == np.float32:
        numbers = images[indices].reshape(-1, channels).astype(np.float64)
        return tuple(numbers.mean(axis=0).tolist()), tuple(d or 1.0 for d in numbers.std(axis=0).tolist())
    total = [0] * channels
    square = [0] * channels
    for start in range(0, len(indices), 64):  # float64 holds the sums of 64 16-bit images of 180 x 180 exactly
        flat = images[indices[start : start + 64]].reshape(-1, channels).astype(np.float64)
        sums, squares = flat.sum(axis=0), (flat.T @ flat).diagonal()
        total = [t + int(s) for t, s in zip(total, sums, strict=True)]
        square = [t + int(s) for t, s in zip(square, squares, strict=True)]
    count = len(indices) * images.shape[1] * images.shape[2]
    deviations = [((q * count - t * t) ** 0.5) / count for t, q in zip(total, square, strict=True)]
    return tuple(t / count for t in total), tuple(d or 1.0 for d in deviations)  # a constant channel: no scale
