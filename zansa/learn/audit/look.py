"""One look at an image: all that an audit knows of it, from one reading of its file."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ...inputs.images import digest, read_told

SIDE = 64  # pixels of the small grey image that images are compared by
SEEN = 512  # pixels a side, about, that levels are measured on
DATE = 36867, 306  # EXIF tags DateTimeOriginal and DateTime
_EXIF = 0x8769


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of an image.

    grey: (64, 64) uint8, the whole image made small, 16-bit levels by their high byte.
    of_file, of_pixels: SHA-256 of the file's bytes and of the upright decoded pixels with their shape and type.
    size: height and width in pixels.
    channels, depth: as decoded; depth in bits.
    low, high: the 1 % and 99 % quantiles of levels.
    spread: their standard deviation; all as shares of the range.
    grain: mean absolute second difference of neighbours, a share of the range; what blur takes away.
    format, quality: the file's format, and of a JPEG the sum of its tables (0 for others).
    weight: bytes of the file per pixel.
    taken: seconds since 1970 from the EXIF data; NaN without them.
    changed: the same of the file's last change.
    lost: what was lost in reading ("": nothing).
    problem: why it could not be read; all else is empty then.
    """

    grey: np.ndarray
    of_file: str = ""
    of_pixels: str = ""
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    depth: int = 0
    low: float = 0.0
    high: float = 0.0
    spread: float = 0.0
    grain: float = 0.0
    format: str = ""
    quality: int = 0
    weight: float = 0.0
    taken: float = float("nan")
    changed: float = float("nan")
    lost: str = ""
    problem: str = ""


EMPTY = np.zeros((SIDE, SIDE), np.uint8)


def look_at_file(path: Path, name: str) -> Look:
    """The look of an image file; its `problem` where it cannot be read."""
    try:
        content = path.read_bytes()
        levels, lost = read_told(content, None, name)
        told = _header(content)
        changed = path.stat().st_mtime
    except (ValueError, OSError) as error:
        return Look(
            EMPTY, problem=str(error) if isinstance(error, ValueError) else f"cannot read {name}: {error.strerror}"
        )
    pixels = levels.shape[0] * levels.shape[1]
    known = {"weight": len(content) / pixels, "changed": changed, "lost": lost, **told}
    return _look(levels, digest(levels), hashlib.sha256(content).hexdigest(), known)


def look_at_array(levels: np.ndarray, of_pixels: str) -> Look:
    """The look of an image (H, W, C), uint8 or uint16, whose pixels have this digest."""
    return _look(levels, of_pixels, of_pixels, {})


def _look(levels: np.ndarray, of_pixels: str, of_file: str, known: dict) -> Look:
    grey = grey_of(levels)
    few = grey[:: max(1, grey.shape[0] // SEEN), :: max(1, grey.shape[1] // SEEN)]
    below, seen = np.cumsum(np.bincount(few.ravel(), minlength=256)), few.astype(np.float32)
    low, high = (int(np.searchsorted(below, round(q * (seen.size - 1)), "right")) / 255 for q in (0.01, 0.99))
    bend = np.abs(seen[:, 2:] - 2 * seen[:, 1:-1] + seen[:, :-2])
    return Look(
        grey=small(grey),
        of_file=of_file,
        of_pixels=of_pixels,
        size=(levels.shape[0], levels.shape[1]),
        channels=levels.shape[2],
        depth=levels.dtype.itemsize * 8,
        low=low,
        high=high,
        spread=float(seen.std()) / 255,
        grain=float(bend.mean()) / 255 if bend.size else 0.0,
        **known,
    )


def grey_of(levels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of an image (H, W, C)."""
    if levels.dtype == np.uint16:
        levels = (levels >> 8).astype(np.uint8)
    if levels.shape[2] == 1:
        return levels[..., 0]
    if levels.shape[2] == 3:
        return np.asarray(Image.fromarray(levels).convert("L"))
    return levels.mean(axis=2).astype(np.uint8)


def small(grey: np.ndarray) -> np.ndarray:
    """(64, 64) uint8 of (H, W) uint8; proportions are not kept."""
    return np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _header(content: bytes) -> dict:
    """Format, tables and date, as far as Pillow knows the file."""
    try:
        with Image.open(BytesIO(content)) as image:
            tables = getattr(image, "quantization", None) or {}
            told = {"format": image.format or "", "quality": int(sum(map(sum, tables.values())))}
            exif = image.getexif() if "exif" in image.info else None
            dates = [] if exif is None else [exif.get_ifd(_EXIF).get(DATE[0]), exif.get(DATE[1])]
    except Exception:  # a TIFF of bands, or damaged metadata: the pixels were read
        return {}
    return told | {"taken": next((_seconds(date) for date in dates if date), float("nan"))}


def _seconds(date: object) -> float:
    try:
        return datetime.strptime(str(date)[:19], "%Y:%m:%d %H:%M:%S").timestamp()
    except ValueError:
        return float("nan")
