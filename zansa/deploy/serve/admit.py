"""Encoded images from outside: which formats are read, and how many pixels, before anything is decoded."""

import hashlib
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from ...arch.use import Preprocess
from ...inputs.images import image_header, read_like
from .limits import Limits, Refused

# how the files begin that are read; every other format is refused before a decoder sees it
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
ALLOWED = "PNG, JPEG, BMP and TIFF"


class Content(NamedTuple):
    """The bytes of a sample as they are kept: of an image file, or of a NumPy file of a series.

    data: the bytes.
    suffix: of the file's name.
    sha: SHA-256 of the bytes, in hexadecimal.
    """

    data: bytes
    suffix: str
    sha: str


def content(data: bytes, suffix: str) -> Content:
    """Bytes with their hash."""
    return Content(data, suffix, hashlib.sha256(data).hexdigest())


def admit(data: bytes, limits: Limits) -> Content:
    """An encoded image that may be decoded. Refused: another format (415), too many pixels (413), broken (400)."""
    suffix = next((suffix for start, suffix in SIGNATURES.items() if data.startswith(start)), None)
    if suffix is None:
        raise Refused(415, f"these {len(data)} bytes are no image of a known format; allowed: {ALLOWED}")
    try:
        height, width, channels, _ = image_header(data, "the image")
    except ValueError as error:
        raise Refused(400, str(error)) from None
    if height * width > limits.pixels or channels > 64:
        raise Refused(413, f"an image has {height} × {width} pixels; at most {limits.pixels} are allowed")
    return content(data, suffix)


def decoded(image: Content, preprocess: Preprocess) -> tuple[np.ndarray, str]:
    """The levels of an admitted image as the network takes them, and what was lost of it. Refused with 400."""
    if preprocess.series:
        raise Refused(400, f"this model takes {preprocess.noun}s and no images; send them as a tensor `series`")
    try:
        return read_like(image.data, preprocess, "the image")
    except ValueError as error:
        raise Refused(400, str(error)) from None


def encoded(levels: np.ndarray) -> Content:
    """Levels (H, W, C), or a series, as a file that keeps every one of them: PNG where it can, NumPy's format else."""
    stream = io.BytesIO()
    if levels.ndim == 3 and (levels.shape[2] == 1 or (levels.shape[2] == 3 and levels.dtype == np.uint8)):
        picture = levels[..., 0] if levels.shape[2] == 1 else levels
        Image.fromarray(np.ascontiguousarray(picture)).save(stream, "PNG", compress_level=1)
        return content(stream.getvalue(), ".png")
    np.save(stream, levels, allow_pickle=False)
    return content(stream.getvalue(), ".npy")
