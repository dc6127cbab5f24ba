"""Heat maps over images, and below series: what each place of the network's input adds to a decision, in colour.

Values are signed and in shares of the full colour, which one number for all images of a model gives: scaled image by
image, a good part would look as alarming as a bad one.
"""

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..arch.use import Preprocess
from .images import inner_size

REJECT, ACCEPT = (214, 39, 40), (31, 119, 180)  # colours of what speaks for a defect, and against it
STRONGEST = 0.995  # quantile of all maps that has the full colour
COVER = 0.75  # of the image that the full colour hides
GAP, KEY = 8, 24  # pixels between an image and its map, and under them for the scale of the colours
FINE = 8  # pixels a cell in a layer
WIDE, HIGH, FINER = 640, 180, 2  # pixels of the drawing of a series; it is made this many times larger, for fine lines
LINES = ((34, 34, 34), (148, 103, 189), (44, 140, 44), (227, 119, 194), (188, 142, 34), (23, 160, 180))


def inside(shape: tuple[int, ...], pre: Preprocess) -> tuple[slice, slice]:
    """Where an image of this height and width lies in the network's input."""
    size = (pre.size[0], pre.size[1])
    inner = inner_size((shape[0], shape[1]), size) if pre.fit == "letterbox" else size
    rows, columns = (
        slice((whole - part) // 2, (whole - part) // 2 + part) for whole, part in zip(size, inner, strict=True)
    )
    return rows, columns


def full_colour(maps: np.ndarray) -> float:
    """The value that has the full colour, from the maps of many images; 1 where they are empty."""
    return float(np.quantile(np.abs(maps), STRONGEST)) or 1.0


def drawn(levels: np.ndarray, side: int, values: np.ndarray | None = None, pre: Preprocess | None = None) -> bytes:
    """A PNG of an image (H, W, C), `side` pixels at its longer side; with `values` (h, w) of any number of cells over
    it, from -1 to 1, which cover the network's input: the border of a letterbox is cut off."""
    base = _shown(levels, side)
    return _png(base if values is None or pre is None else _covered(base, levels.shape, values, pre))


def drawn_beside(levels: np.ndarray, side: int, values: np.ndarray, pre: Preprocess) -> bytes:
    """A PNG of an image as it is, and beside it as `drawn` with its values, over the scale of the colours."""
    base = _shown(levels, side)
    both = [base, np.full((len(base), GAP, 3), 255.0), _covered(base, levels.shape, values, pre)]
    canvas = Image.fromarray(np.concatenate(both, 1).round().astype(np.uint8))
    framed = Image.new("RGB", (canvas.width, canvas.height + KEY), "white")
    framed.paste(canvas)
    left = base.shape[1] + GAP
    scale = np.tile(np.linspace(-1, 1, max(1, base.shape[1] - 2 * KEY)), (KEY - 8, 1))
    bar = _coloured(np.full((*scale.shape, 3), 255.0), scale)
    framed.paste(Image.fromarray(bar.round().astype(np.uint8)), (left + KEY, canvas.height + 4))
    draw, font = ImageDraw.Draw(framed), ImageFont.load_default(KEY - 4)
    for x, sign in ((left + KEY / 2, "-"), (framed.width - KEY / 2, "+")):
        draw.text((x, canvas.height + KEY / 2), sign, "black", font, anchor="mm")
    return _png(np.asarray(framed))


def layer(values: np.ndarray) -> bytes:
    """A small PNG that lies over a picture of the network's input, whatever its size: the colours of values (h, w) of
    any number of cells, from -1 to 1, and nothing where they are 0."""
    strength = np.clip(_resized(values, (FINE * values.shape[1], FINE * values.shape[0])), -1, 1)[..., None]
    colours = np.concatenate([np.where(strength > 0, REJECT, ACCEPT), 255 * COVER * abs(strength)], 2)
    return _png(colours)


def drawn_series(levels: np.ndarray, values: np.ndarray | None = None) -> bytes:
    """A PNG of a prepared series (L, C): a line a channel, all on one scale, or of a sequence of letters (uint8) a row
    a letter, dark where it stands; with `values` (n,), from -1 to 1, of any number of cells, a strip of colours below.
    """
    letters = levels.dtype == np.uint8
    shown = _rows(levels) if letters else _curves(levels.astype(np.float64))
    if values is not None:
        strip = np.clip(_resized(np.tile(values, (2, 1)), (WIDE, KEY)), -1, 1)
        gap = np.full((GAP, WIDE, 3), 255.0)
        shown = np.concatenate([shown, gap, _coloured(np.full((KEY, WIDE, 3), 255.0), strip)])
    return _png(shown)


def _rows(levels: np.ndarray) -> np.ndarray:
    """Twelfths (L, C) as rows of gray, (HIGH, WIDE, 3)."""
    gray = Image.fromarray((255 - levels.T.astype(np.int64) * 255 // 12).clip(0, 255).astype(np.uint8))
    return np.repeat(np.asarray(gray.resize((WIDE, HIGH), Image.Resampling.BOX), np.float64)[..., None], 3, axis=2)


def _curves(levels: np.ndarray) -> np.ndarray:
    """Lines of (L, C), (HIGH, WIDE, 3)."""
    canvas = Image.new("RGB", (FINER * WIDE, FINER * HIGH), "white")
    draw, low, span = ImageDraw.Draw(canvas), levels.min(), float(np.ptp(levels)) or 1.0
    x = (np.arange(len(levels)) + 0.5) / len(levels) * canvas.width
    for channel, line in enumerate(levels.T):
        y = (1 - (line - low) / span) * (canvas.height - 2 * GAP) + GAP
        draw.line(list(zip(x, y, strict=True)), LINES[channel % len(LINES)], FINER + 1)
    return np.asarray(canvas.resize((WIDE, HIGH), Image.Resampling.LANCZOS), np.float64)


def _shown(levels: np.ndarray, side: int) -> np.ndarray:
    """An image (H, W, C) as colours (h, w, 3), `side` pixels at its longer side."""
    shown = levels[..., :3] if levels.shape[2] >= 3 else np.repeat(levels[..., :1], 3, axis=2)
    if shown.dtype == np.uint16:
        shown = (shown // 257).astype(np.uint8)
    height, width = shown.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(shown)).resize(size, Image.Resampling.BILINEAR), np.float64)


def _covered(base: np.ndarray, shape: tuple[int, ...], values: np.ndarray, pre: Preprocess) -> np.ndarray:
    cut = _resized(values, (pre.size[1], pre.size[0]))[inside(shape, pre)]
    return _coloured(base, np.clip(_resized(cut, (base.shape[1], base.shape[0])), -1, 1))


def _coloured(base: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Colours (h, w, 3) under what speaks for a defect or against it, (h, w) from -1 to 1."""
    covering = COVER * abs(strength)[..., None]
    return base * (1 - covering) + np.where(strength[..., None] > 0, REJECT, ACCEPT) * covering


def _png(colours: np.ndarray) -> bytes:
    stored = BytesIO()
    Image.fromarray(colours.round().astype(np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values at another (width, height), linear between them."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
