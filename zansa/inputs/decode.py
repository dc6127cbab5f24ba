"""Encoded images to levels, nothing lost in silence: 16-bit colour and any number of bands too, which Pillow cuts."""

import logging
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import IO

import numpy as np
from PIL import Image, ImageFile, features

# Only decoders that read pixels: Pillow's full list holds formats that start other programs (EPS) or never end.
FORMATS = (
    *("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM"),
    *(name for name, feature in (("JPEG2000", "jpg_2000"), ("AVIF", "avif")) if features.check(feature)),
)
MAX_PIXELS = 100_000_000  # read from the header: a small file can claim a terabyte
MAX_LEVELS = 4 * MAX_PIXELS  # of all bands together
CLEAR = "its transparent pixels were read as mid gray"
FRACTIONS = "its levels are fractions (32-bit float); save it as 8-bit or 16-bit integers"
GRAY = 128  # what shows through transparent pixels

Header = tuple[int, int, int, int]  # height, width, channels, depth

_GRAY_MODES = frozenset({"1", "L", "LA", "La"})
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what matters comes as an exception, or is no fault here

_ORIENTATION = 0x0112
_REDUCED, _SAMPLES, _PHOTOMETRIC, _PLANAR, _EXTRA, _BITS, _SIGN = 254, 277, 262, 284, 338, 258, 339  # of TIFF 6.0
_COLOURS = {2: 3, 5: 4, 6: 3, 8: 3}  # samples that a photometric interpretation explains; of all others one
_MPO_ENTRIES = 0xB002  # of CIPA DC-007, section 5.2.3.3
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# Pillow keeps the high byte of 16-bit colour; with the bytes taken for swapped it keeps the low one
_LOW_BYTES = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
_FOUR_BYTES = {"LA;16B": "RGBA"}  # gray and alpha of 16 bits each, as four bytes
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF 2.3, tag 274
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def decode(stream: IO[bytes]) -> tuple[np.ndarray, str]:
    """(H, W, C) uint8 or uint16 as it is stored, upright, and what was lost of it ("": nothing).

    Gray has one channel, colour three, a TIFF of bands as many as it has. Transparent pixels show mid gray, so that the
    colour hidden under them never counts. Of several pages or frames the first is read.
    """
    image = _open(stream)
    if image is None:
        return _bands(stream)
    pages = _pages(image)
    levels, lost = _levels(image, stream)
    return levels, "; ".join(filter(None, (_of_pages(pages), lost)))


def header(stream: IO[bytes]) -> Header:
    """What decode would give, without reading the pixels."""
    image = _open(stream)
    if image is None:
        return _band_header(stream)
    width, height = image.size
    if "exif" in image.info and _orientation(image) >= 5:
        height, width = width, height
    if image.mode == "F":
        raise ValueError(FRACTIONS)
    raw = _raw_mode(image)
    gray = _is_gray(image.mode) or raw in _FOUR_BYTES
    return height, width, 1 if gray else 3, 16 if image.mode[0] == "I" or _is_deep(image) else 8


def over_gray(levels: np.ndarray, alpha: np.ndarray, multiplied: bool = False) -> np.ndarray:
    """Colour (H, W, C) under alpha (H, W, 1) before mid gray; `multiplied` says that colour holds its alpha already."""
    most = np.iinfo(levels.dtype).max
    gray, color, alpha = GRAY * (most // 255), levels.astype(np.uint64), alpha.astype(np.uint64)
    shown = color * most if multiplied else color * alpha
    return np.minimum((shown + gray * (most - alpha) + most // 2) // most, most).astype(levels.dtype)


# --- opening -------------------------------------------------------------------------------------------------------


def _open(stream: IO[bytes]) -> Image.Image | None:
    """The image, its pixels unread; None for a TIFF whose bands Pillow cannot read, or would drop."""
    stream.seek(0)
    head = stream.read(12)
    stream.seek(0)
    formats = FORMATS
    if head[4:8] == b"ftyp" and head[8:] in _HEIF:
        formats = _heif()
    try:
        image = Image.open(stream, formats=formats)
    except Image.UnidentifiedImageError:
        if head.startswith(_TIFF):
            return None
        raise
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return None if image.format == "TIFF" and _has_bands(image) else image


@cache
def _heif() -> tuple[str, ...]:
    try:
        import pi_heif
    except ImportError:
        raise ValueError("it is a HEIF image; to read these: pip install 'zansa[heif]'") from None
    pi_heif.register_heif_opener()
    return ("HEIF",)


def _has_bands(image: Image.Image) -> bool:
    tags = image.tag_v2  # type: ignore[attr-defined]
    samples, extra = tags.get(_SAMPLES, 1), tags.get(_EXTRA, ())
    more = samples - _COLOURS.get(tags.get(_PHOTOMETRIC, 1), 1)
    explained = more <= 0 or (more == 1 and extra in ((1,), (2,)))
    apart = tags.get(_PLANAR, 1) == 2 and samples > 1 and max(tags.get(_BITS, (8,))) > 8
    signed = tags.get(_SIGN, (1,))[0] == 2 and max(tags.get(_BITS, (8,))) == 8  # Pillow takes -1 for 255
    return not explained or apart or signed or _raw_mode(image).startswith("RGBa;16")


def _tag(image: Image.Image, tag: int, default: int) -> int:
    return int(image.tag_v2.get(tag, default))  # type: ignore[attr-defined]


def _raw_mode(image: Image.Image) -> str:
    args = _tile(image).args
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def _tile(image: Image.Image) -> ImageFile._Tile:
    """How the first piece of an image is encoded."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return tiles[0] if tiles else ImageFile._Tile("", None)


def _is_deep(image: Image.Image) -> bool:
    return _raw_mode(image) in _LOW_BYTES | _FOUR_BYTES or _ppm_most(image) > 255


def _ppm_most(image: Image.Image) -> int:
    """The highest level of a colour PPM that the raw decoder does not take; 0 for other images."""
    codec, _, _, args = _tile(image)
    return int(args[1]) if image.mode == "RGB" and codec == "ppm" and isinstance(args, tuple) else 0


# --- pixels --------------------------------------------------------------------------------------------------------


def _is_gray(mode: str) -> bool:
    return mode in _GRAY_MODES or mode[0] == "I"


def _levels(image: Image.Image, stream: IO[bytes]) -> tuple[np.ndarray, str]:
    raw, most = _raw_mode(image), _ppm_most(image)
    mark = image.info.get("transparency")
    if most > 255:
        return _deep_ppm(image, stream, most), ""
    if raw in _LOW_BYTES:
        low = _loaded(image, stream, _LOW_BYTES[raw])
        return _shown(_joined(np.asarray(_loaded(image, stream, raw)), np.asarray(low)), mark)
    if raw in _FOUR_BYTES:
        four = np.asarray(_loaded(image, stream, _FOUR_BYTES[raw]))
        both = _joined(four[..., ::2], four[..., 1::2])
        return _over_gray(both)
    depth = _stored_depth(image, raw, stream)
    image.load()  # a TIFF turns itself here, and a PNG may carry its EXIF behind the pixels
    plain, lost = _plain(image)
    levels = _turned(plain, _orientation(image))
    shallow = f"its {depth}-bit levels were read at 8 bits" if depth > 8 and levels.dtype == np.uint8 else ""
    return levels, "; ".join(filter(None, (shallow, lost)))


def _over_gray(both: np.ndarray, multiplied: bool = False) -> tuple[np.ndarray, str]:
    """Colour and alpha (H, W, C + 1) before mid gray, and whether that shows anywhere."""
    levels, alpha = both[..., :-1], both[..., -1:]
    return over_gray(levels, alpha, multiplied), CLEAR if alpha.min() < np.iinfo(both.dtype).max else ""


def _plain(image: Image.Image) -> tuple[np.ndarray, str]:
    """Levels of an image that Pillow holds whole, and what was lost of them."""
    if image.mode[0] == "I":
        levels = levels16(np.asarray(image))[..., None]
        white = image.format == "TIFF" and _tag(image, _PHOTOMETRIC, 1) == 0  # white is 0
        return 65535 - levels if white else levels, ""
    if image.mode == "F":
        raise ValueError(FRACTIONS)
    opaque = "L" if _is_gray(image.mode) else "RGB"
    if image.has_transparency_data:
        return _over_gray(np.asarray(image.convert("LA" if opaque == "L" else "RGBA")))
    pixels = np.asarray(image.convert(opaque))
    return pixels[..., None] if opaque == "L" else pixels, ""


def _loaded(image: Image.Image, stream: IO[bytes], raw: str) -> np.ndarray:
    """The pixels of a fresh opening of the same image, its bytes taken for those of another raw mode."""
    stream.seek(0)
    with Image.open(stream, formats=(image.format or "",)) as again:
        args = [tile.args for tile in again.tile]
        again.tile = [
            tile._replace(args=(raw, *arg[1:]) if isinstance(arg, tuple) else raw)
            for tile, arg in zip(again.tile, args, strict=True)
        ]
        again.load()
        return _turned(np.asarray(again), _orientation(again))


def _joined(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    return high.astype(np.uint16) << 8 | low


def _shown(levels: np.ndarray, mark: object) -> tuple[np.ndarray, str]:
    """16-bit colour before mid gray, and whether that shows; `mark`: the colour that a PNG declares transparent."""
    if levels.shape[2] == 4:
        return _over_gray(levels)
    if isinstance(mark, tuple):
        clear = (levels == np.array(mark)).all(axis=2, keepdims=True)
        return np.where(clear, np.uint16(GRAY * 257), levels), CLEAR if clear.any() else ""
    return levels, ""


def _deep_ppm(image: Image.Image, stream: IO[bytes], most: int) -> np.ndarray:
    stream.seek(_tile(image).offset)
    count = image.width * image.height * 3
    data = stream.read(2 * count)
    if len(data) < 2 * count:
        raise ValueError(f"it is truncated: {len(data)} of {2 * count} bytes of pixels are there")
    levels = np.frombuffer(data, ">u2").reshape(image.height, image.width, 3).astype(np.uint32)
    return np.minimum((levels * 65535 + most // 2) // most, 65535).astype(np.uint16)


def levels16(levels: np.ndarray) -> np.ndarray:
    """Whole numbers as uint16; ValueError when they do not fit."""
    low, high = int(levels.min()), int(levels.max())
    if low < 0 or high > 65535:
        raise ValueError(f"its levels reach from {low} to {high}; a 16-bit image holds 0 to 65535; scale it to that")
    return levels.astype(np.uint16)


def _turned(levels: np.ndarray, orientation: int) -> np.ndarray:
    return np.ascontiguousarray(_TURNS[orientation](levels)) if orientation in _TURNS else levels


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata around good pixels: as if there were none
        return 1
    return value if isinstance(value, int) else 1


def _stored_depth(image: Image.Image, raw: str, stream: IO[bytes]) -> int:
    """Bits of a level in the file, as far as they may be more than the 8 that Pillow keeps of colour."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format in ("AVIF", "JPEG2000"):
        place = stream.tell()
        stream.seek(0)
        head = stream.read(1 << 14)
        stream.seek(place)
        mark, offset = (b"pixi", 9) if image.format == "AVIF" else (b"\xff\x4f\xff\x51", 42)
        at = head.find(mark)
        return (head[at + offset] & 0x7F) + (image.format == "JPEG2000") if 0 <= at < len(head) - offset else 8
    codec, _, _, args = _tile(image)
    most = args[-1] if codec == "ppm_plain" and isinstance(args, tuple) else 0
    return 16 if ";16" in raw or most > 255 else 8


# --- several pages -------------------------------------------------------------------------------------------------


def _pages(image: Image.Image) -> int:
    """How many pages or frames an image has, without smaller copies of the first; 0: unknown, more."""
    try:
        count = getattr(image, "n_frames", 1)
        if count == 1:
            return 1
        if image.format == "MPO":
            kinds = [entry["Attribute"]["MPType"] for entry in image.mpinfo[_MPO_ENTRIES]]  # type: ignore[attr-defined]
            count -= sum("Thumbnail" in kind for kind in kinds[1:])
        if image.format == "TIFF":
            count -= sum(_is_reduced(image, page) for page in range(1, count))
        image.seek(0)
        return count
    except (EOFError, KeyError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        image.seek(0)
        return 0


def _is_reduced(image: Image.Image, page: int) -> bool:
    image.seek(page)
    return bool(image.tag_v2.get(_REDUCED, 0) & 1)  # type: ignore[attr-defined]


def _of_pages(count: int) -> str:
    return "" if count == 1 else f"only the first of {count or 'several'} pages was read"


# --- bands ---------------------------------------------------------------------------------------------------------


def _bands(stream: IO[bytes]) -> tuple[np.ndarray, str]:
    with _tiff(stream) as tiff:
        page = tiff.pages.first
        _, _, bands, _ = _page_header(page)
        levels = page.asarray()
        levels = np.moveaxis(levels, 0, -1) if page.axes == "SYX" else levels.reshape(*levels.shape[:2], bands)
        orientation = page.tags.valueof(_ORIENTATION, 1)
        extra = page.extrasamples if _has_alpha(page) else ()
        pages = sum(not other.is_reduced for other in tiff.pages)
    levels = _turned(levels if levels.dtype == np.uint8 else levels16(levels), orientation)
    lost = ""
    if extra:
        levels, lost = _over_gray(levels, multiplied=int(extra[0]) == 1)
    return np.ascontiguousarray(levels), "; ".join(filter(None, (_of_pages(pages), lost)))


def _band_header(stream: IO[bytes]) -> Header:
    with _tiff(stream) as tiff:
        page = tiff.pages.first
        height, width, bands, depth = _page_header(page)
        if page.tags.valueof(_ORIENTATION, 1) >= 5:
            height, width = width, height
        return height, width, bands - _has_alpha(page), depth


def _tiff(stream: IO[bytes]):
    import tifffile  # 0.1 s, for those who bring such files

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # nobody can act on odd metadata
    stream.seek(0)
    return tifffile.TiffFile(stream)


def _page_header(page) -> Header:
    height, width, bands = page.imagelength, page.imagewidth, page.samplesperpixel
    if height * width > MAX_PIXELS or height * width * bands > MAX_LEVELS:
        raise Image.DecompressionBombError
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"its axes are {page.axes}; allowed: height, width and bands")
    if page.dtype is None or page.dtype.kind not in "iu":
        raise ValueError(f"its levels are {page.dtype}; save it as 8-bit or 16-bit integers")
    return height, width, bands, 8 if page.dtype == np.uint8 else 16


def _has_alpha(page) -> bool:
    more = page.samplesperpixel - _COLOURS.get(int(page.photometric), 1)
    return more == 1 and tuple(map(int, page.extrasamples)) in ((1,), (2,))
