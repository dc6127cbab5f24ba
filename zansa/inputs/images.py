"""Image files to arrays: decoding, orientation, channels, depth, and the fit to a network's input.

What comes out is always (height, width, channels), uint8 or uint16, and never a crop. Training, prediction and the
exported graph all follow the arithmetic of this file.
"""

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from ..arch.use import Preprocess

# Only decoders that read pixels: Pillow's full list holds formats that start other programs (EPS) or never end.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"}
)
MAX_PIXELS = 100_000_000  # read from the header: a small file can claim a terabyte
GREY = 128  # what shows through transparent pixels

_GRAY_MODES = frozenset({"1", "L", "LA", "La"})
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: Path | bytes, channels: int | None = None, depth: int | None = None, name: str | None = None
) -> np.ndarray:
    """A file, or a file's bytes, as (H, W, C) uint8 or uint16.

    `channels` None keeps gray at 1 and everything else (palettes too) at 3; 1 or 3 converts (luma 0.299 R + 0.587 G +
    0.114 B). `depth` None keeps 8-bit and 16-bit gray as they are; 8 or 16 converts (times 257, or divided by 257 and
    rounded). Colour is read at 8 bits. EXIF orientation is applied; of several frames the first is read; transparent
    pixels show mid grey, so that the colour hidden under them never counts. ValueError names the file (or `name`)
    and the reason: missing, empty, truncated, no image, more than MAX_PIXELS, levels that are no 16-bit integers.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels={channels} was asked; an image file gives 1 (gray) or 3 (colour)")
    if depth not in (None, 8, 16):
        raise ValueError(f"depth={depth} was asked; allowed: 8 or 16 bits")
    with _opened(source, name) as image:
        levels = _levels(image)
    return to_depth(to_channels(levels, channels), depth)


def image_header(path: Path) -> tuple[int, int, int, int]:
    """(height, width, channels, depth) that read_image(path) would give, from the header alone; the same errors."""
    with _opened(path, None) as image:
        width, height = image.size
        if "exif" in image.info and _orientation(image) >= 5:
            height, width = width, height
        return height, width, 1 if _is_gray(image.mode) else 3, 16 if image.mode[0] == "I" else 8


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
    image = read_image(source, preprocess.channels, preprocess.depth, name)
    return fit_image(image, preprocess.size, preprocess.fit, preprocess.fill)


def printable(text: str) -> str:
    """A file name for people and JSON: bytes that are no UTF-8 become \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """The files as they are, and for a folder all images below it. ValueError for a folder without any."""
    return [file for path in map(Path, paths) for file in (_of_folder(path) if path.is_dir() else [path])]


def images_below(folder: Path) -> Iterator[Path]:
    """Every file with an image's ending below a folder, in a fixed order; hidden files are passed over."""
    return (path for path in walk(folder) if path.suffix.lower() in EXTENSIONS and not _is_special(path))


def walk(folder: Path) -> Iterator[Path]:
    """Every visible file below, in a fixed order; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        folders[:] = [] if real in seen else sorted(name for name in folders if not is_hidden(name))
        yield from (Path(where, name) for name in sorted(files) if real not in seen and not is_hidden(name))
        seen.add(real)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of the data."""
    return name.startswith(".") or name == "__MACOSX"


def _is_special(path: Path) -> bool:
    """A pipe or a device, whatever its name: reading it would never end. A broken link is none, and told later."""
    return path.exists() and not path.is_file()


def _of_folder(folder: Path) -> list[Path]:
    files = list(images_below(folder))
    if not files:
        raise ValueError(f"no images in {printable(str(folder))}; looked for {', '.join(sorted(EXTENSIONS))}")
    return files


# --- opening -------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: Path | bytes, name: str | None) -> Iterator[Image.Image]:
    called = name or (f"these {len(source)} bytes" if isinstance(source, bytes) else printable(str(source)))
    try:
        with _quiet(), _stream(source) as stream, Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
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


# --- pixels --------------------------------------------------------------------------------------------------------


def _is_gray(mode: str) -> bool:
    return mode in _GRAY_MODES or mode[0] == "I"


def _levels(image: Image.Image) -> np.ndarray:
    image = _upright(image)
    if image.mode[0] == "I":
        return _levels16(np.asarray(image))
    if image.mode == "F":
        raise ValueError("its levels are fractions (32-bit float); save it as 8-bit or 16-bit integers")
    opaque = "L" if _is_gray(image.mode) else "RGB"
    if image.has_transparency_data:
        return _over_grey(np.asarray(image.convert("LA" if opaque == "L" else "RGBA")))
    pixels = np.asarray(image.convert(opaque))
    return pixels[..., None] if opaque == "L" else pixels


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # a TIFF turns itself here, and a PNG may carry its EXIF behind the pixels
    turn = _TURNS.get(_orientation(image))
    return image.transpose(turn) if turn is not None else image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata around good pixels: as if there were none
        return 1
    return value if isinstance(value, int) else 1


def _levels16(levels: np.ndarray) -> np.ndarray:
    low, high = int(levels.min()), int(levels.max())
    if low < 0 or high > 65535:
        raise ValueError(f"its levels reach from {low} to {high}; a 16-bit image holds 0 to 65535; scale it to that")
    return levels.astype(np.uint16)[..., None]


def _over_grey(image: np.ndarray) -> np.ndarray:
    color, alpha = image[..., :-1].astype(np.uint32), image[..., -1:].astype(np.uint32)
    return ((color * alpha + GREY * (255 - alpha) + 127) // 255).astype(np.uint8)


def to_channels(image: np.ndarray, channels: int | None) -> np.ndarray:
    if channels is None or channels == image.shape[2]:
        return image
    if channels == 3 and image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if channels != 1 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"an image of {image.shape[2]} channels of {image.dtype} cannot be made one of {channels}; allowed: gray "
            "to colour, and 8-bit colour to gray"
        )
    return np.asarray(Image.fromarray(image).convert("L"))[..., None]


def to_depth(image: np.ndarray, depth: int | None) -> np.ndarray:
    if depth is None or depth == image.dtype.itemsize * 8:
        return image
    if depth == 16:
        return image.astype(np.uint16) * np.uint16(257)
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


# --- size ----------------------------------------------------------------------------------------------------------


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([_resize_plane(image[..., c], size) for c in range(image.shape[2])], axis=-1)


def _resize_plane(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # in float32, rounded once: Pillow's 8-bit path rounds between its two passes too, in an order that changed between
    # versions, and an exported graph could only follow it to a level
    smooth = np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR))
    return np.clip(np.floor(smooth + 0.5), 0, np.iinfo(plane.dtype).max).astype(plane.dtype)
