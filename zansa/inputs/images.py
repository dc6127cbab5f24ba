"""Image files to arrays: decoding, orientation, channels, depth, and the fit to a network's input.

What comes out is always (height, width, channels), uint8 or uint16, and never a crop. Training, prediction and the
exported graph all follow the arithmetic of this file.
"""

import hashlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from scipy.sparse import csr_array

from ..arch.use import Preprocess
from .decode import FORMATS, MAX_PIXELS, Header, decode, header
from .files import image_files as image_files  # read with the images, and asked for here
from .files import printable as printable

AS_COLOUR = "it is gray, and was read as colour"
COLOURS_LOST = "its colours were turned to gray"
ENLARGED = "it is less than half as large as the network's images, and was enlarged"
DISTORTED = "its proportions were changed more than twofold"
HALF = 0.5 + 1e-6  # what lies on a tie is rounded up in spite of the last bits of a sum


def read_image(
    source: Path | bytes, channels: int | None = None, depth: int | None = None, name: str | None = None
) -> np.ndarray:
    """A file, or a file's bytes, as (H, W, C) uint8 or uint16.

    `channels` None keeps gray at 1, colour (palettes too) at 3 and a TIFF's bands as they are; 1 or 3 converts (luma
    0.299 R + 0.587 G + 0.114 B). `depth` None keeps 8 and 16 bits as they are; 8 or 16 converts (times 257, or divided
    by 257 and rounded). EXIF orientation is applied; of several pages or frames the first is read; transparent pixels
    show mid gray, so that the colour hidden under them never counts. ValueError names the file (or `name`) and the
    reason: missing, empty, truncated, no image, more than MAX_PIXELS, levels that are no 16-bit integers.
    """
    if depth not in (None, 8, 16):
        raise ValueError(f"depth={depth} was asked; allowed: 8 or 16 bits")
    levels, _ = read_told(source, channels, name)
    return to_depth(levels, depth)


def read_told(source: Path | bytes, channels: int | None = None, name: str | None = None) -> tuple[np.ndarray, str]:
    """read_image of the file's own depth, and what was lost of the file ("": nothing)."""
    with _naming(source, name), _stream(source) as stream:
        levels, lost = decode(stream)
        return to_channels(levels, channels), "; ".join(filter(None, (lost, _of_channels(levels, channels))))


def read_like(source: Path | bytes, preprocess: Preprocess, name: str | None = None) -> tuple[np.ndarray, str]:
    """A file as `preprocess` takes it before its fit, and what is lost of it or changed by the fit. ValueError for
    other bit depths and numbers of channels, where what a level means would have to be guessed."""
    levels, lost = read_told(source, None, name)
    with _naming(source, name):
        levels, told = taken(levels, preprocess)
    return levels, "; ".join(filter(None, (lost, told)))


def taken(levels: np.ndarray, preprocess: Preprocess) -> tuple[np.ndarray, str]:
    """Decoded levels (H, W, C) as `preprocess` takes them before its fit, and what is told of them; the errors of
    read_like."""
    refuse_depth(levels, preprocess.depth)
    told = filter(None, (_of_channels(levels, preprocess.channels), _of_fit(levels, preprocess)))
    return to_channels(levels, preprocess.channels), "; ".join(told)


def _of_channels(levels: np.ndarray, channels: int | None) -> str:
    if channels == 3 and levels.shape[2] == 1:
        return AS_COLOUR
    return COLOURS_LOST if channels == 1 and _has_colours(levels) else ""


def _of_fit(levels: np.ndarray, preprocess: Preprocess) -> str:
    """What the fit makes of an image that has hardly the size or the proportions of those that the network knows."""
    down, across = (now / given for now, given in zip(preprocess.size, levels.shape[:2], strict=True))
    distorted = preprocess.fit == "stretch" and not 0.5 <= down / across <= 2
    return "; ".join([ENLARGED] * (min(down, across) > 2) + [DISTORTED] * distorted)


def refuse_depth(levels: np.ndarray, depth: int) -> None:
    """ValueError for levels of another depth than is needed."""
    bits = levels.dtype.itemsize * 8
    if bits != depth:
        raise ValueError(f"it has {bits} bits, and {depth} are needed: take images of one camera setting, or convert")


def digest(levels: np.ndarray) -> str:
    """SHA-256 of decoded pixels: equal for the same picture in other files, whatever their format."""
    return hashlib.sha256(f"{levels.shape} {levels.dtype}".encode() + levels.tobytes()).hexdigest()


def image_header(path: Path | bytes, name: str | None = None) -> Header:
    """(height, width, channels, depth) that read_image(path) would give, from the header alone; the same errors."""
    with _naming(path, name), _stream(path) as stream:
        return header(stream)


def fit_image(
    image: np.ndarray, size: tuple[int, ...], fit: str = "letterbox", fill: tuple[int, ...] = (0,)
) -> np.ndarray:
    """(H, W, C) to (*size, C) of the same type, bilinear with antialiasing, never a crop.

    "stretch" changes the proportions. "letterbox" keeps them: the image is centred (offset = room // 2) and the rest
    has the levels `fill`.
    """
    size = (size[0], size[1])
    inner = inner_size((image.shape[0], image.shape[1]), size) if fit == "letterbox" else size
    resized = image if image.shape[:2] == inner else _resize(image, inner)
    if inner == size:
        return resized
    canvas = np.empty((*size, image.shape[2]), image.dtype)
    canvas[:] = fill
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[0], left : left + inner[1]] = resized
    return canvas


def inner_size(image: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image inside its letterbox: one side fills the box, the other is rounded half up.

    Whole numbers throughout, so that an exported graph finds the same size.
    """
    (height, width), (h, w) = image, size
    if h * width <= w * height:
        return h, max(1, (2 * width * h + height) // (2 * height))
    return max(1, (2 * height * w + width) // (2 * width)), w


def prepare(source: Path | bytes, preprocess: Preprocess, name: str | None = None) -> np.ndarray:
    """A file, or its bytes, as the network's input before normalisation: (*preprocess.size, channels)."""
    return fitted(read_like(source, preprocess, name)[0], preprocess)


def fitted(image: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """(H, W, C) as the network's input before normalisation."""
    return fit_image(image, preprocess.size, preprocess.fit, preprocess.fill)


# --- opening -------------------------------------------------------------------------------------------------------


@contextmanager
def _naming(source: Path | bytes, name: str | None) -> Iterator[None]:
    """Errors inside become a ValueError that names the file."""
    called = name or (f"these {len(source)} bytes" if isinstance(source, bytes) else printable(str(source)))
    try:
        with _quiet():
            yield
    except Exception as error:  # a decoder raises anything at all on broken input
        raise ValueError(f"cannot read {called}: {_reason(error, source)}") from error


def _stream(source: Path | bytes) -> IO[bytes]:
    return BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _reason(error: Exception, source: Path | bytes) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MAX_PIXELS / 1e6:.0f} million pixels; cut it into smaller images"
    if isinstance(error, Image.UnidentifiedImageError):
        empty = not source if isinstance(source, bytes) else source.stat().st_size == 0
        return "it is empty" if empty else f"it is no image of a known format ({', '.join(FORMATS)})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


class _Silence:
    """How many threads are inside `_quiet`, and the filters to put back when the last one leaves."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0
        self.before: warnings.catch_warnings = warnings.catch_warnings()


_SILENCE = _Silence()


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns about odd metadata; nobody can act on that. catch_warnings alone would lose the filters when
    threads overlap, hence the count."""
    with _SILENCE.lock:
        _SILENCE.count += 1
        if _SILENCE.count == 1:
            _SILENCE.before = warnings.catch_warnings()
            _SILENCE.before.__enter__()
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _SILENCE.lock:
            _SILENCE.count -= 1
            if _SILENCE.count == 0:
                _SILENCE.before.__exit__(None, None, None)


# --- channels and depth ---------------------------------------------------------------------------------------------


def is_gray(file: Path) -> bool:
    """Whether an image file shows gray alone; so does one that cannot be read, which is told when all are decoded."""
    try:
        return shows_gray(read_image(file))
    except ValueError:
        return True


def shows_gray(levels: np.ndarray) -> bool:
    """Whether an image (height, width, channels) has one channel, or three that are equal everywhere."""
    return levels.shape[2] in (1, 3) and bool((levels == levels[..., :1]).all())


def _has_colours(levels: np.ndarray) -> bool:
    """Whether channels differ by more than lossy compression makes of gray (a sixteenth of the range)."""
    if levels.shape[2] != 3:
        return False
    red, green, blue = np.moveaxis(levels, 2, 0).astype(np.int32)  # np.ptp is twenty times as slow
    apart = max(int(np.abs(red - green).max()), int(np.abs(green - blue).max()))
    return apart > np.iinfo(levels.dtype).max // 16


def to_channels(image: np.ndarray, channels: int | None) -> np.ndarray:
    """Levels (H, W, C) with 1 or 3 channels (luma 0.299 R + 0.587 G + 0.114 B), None as they are; ValueError for what
    is neither gray nor colour."""
    if channels is None or channels == image.shape[2]:
        return image
    if channels == 3 and image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if channels != 1 or image.shape[2] != 3:
        raise ValueError(
            f"it has {image.shape[2]} channels, and {channels} were asked; allowed: gray to colour, and colour to gray"
        )
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).convert("L"))[..., None]
    luma = image.astype(np.uint64) @ np.array([19595, 38470, 7471], np.uint64)  # Pillow's, in 65536ths
    return ((luma + 32768) >> 16).astype(np.uint16)[..., None]


def to_depth(image: np.ndarray, depth: int | None) -> np.ndarray:
    """Levels with 8 or 16 bits (times 257, or divided by 257 and rounded), None as they are."""
    if depth is None or depth == image.dtype.itemsize * 8:
        return image
    if depth == 16:
        return image.astype(np.uint16) * np.uint16(257)
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


# --- size ----------------------------------------------------------------------------------------------------------


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (triangles(given, target) for given, target in zip(image.shape[:2], size, strict=True))
    return np.stack([_resize_plane(image[..., c], rows, columns) for c in range(image.shape[2])], axis=-1)


def _resize_plane(plane: np.ndarray, rows: csr_array, columns: csr_array) -> np.ndarray:
    """In float64, rounded once, as the exported graph does it. In float32 the last bits depend on the order of a sum,
    and one pixel in some thousands falls on the other side of a half."""
    smooth = (columns @ (rows @ plane.astype(np.float64)).T).T
    return np.clip(np.floor(smooth + HALF), 0, np.iinfo(plane.dtype).max).astype(plane.dtype)


@lru_cache(maxsize=64)
def triangles(given: int, target: int) -> csr_array:
    """The weights (target, given) by which the pixels of a side become those of another: triangles around the new
    pixels' centres, as wide as a pixel of the coarser grid. They are those of Pillow's bilinear filter."""
    ratio = given / target
    reach = max(ratio, 1.0)
    centre = (np.arange(target) + 0.5)[:, None] * ratio
    first = np.maximum(0, np.ceil(centre - reach - 0.5)).astype(np.int64)
    at = first + np.arange(2 * int(np.ceil(reach)) + 1)
    weight = np.maximum(1 - np.abs(at + 0.5 - centre) / reach, 0.0) * (at < given)
    weight /= weight.sum(axis=1, keepdims=True)
    row = np.broadcast_to(np.arange(target)[:, None], at.shape)
    kept = weight > 0
    return csr_array((weight[kept], (row[kept], at[kept])), shape=(target, given))
