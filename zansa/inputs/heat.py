"""Heat maps over images: what each place of the network's input adds to a decision, in colour, on the image as it came.

Values are signed and in shares of the full colour, which one number for all images of a model gives: scaled image by
image, a good part would look as alarming as a bad one.
"""

from io import BytesIO

import numpy as np
from PIL import Image

from ..arch.use import Preprocess
from .images import inner_size

REJECT, ACCEPT = (214, 39, 40), (31, 119, 180)  # colours of what speaks for a defect, and against it
STRONGEST = 0.995  # quantile of all maps that has the full colour
COVER = 0.75  # of the image that the full colour hides


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
    shown = levels[..., :3] if levels.shape[2] >= 3 else np.repeat(levels[..., :1], 3, axis=2)
    if shown.dtype == np.uint16:
        shown = (shown // 257).astype(np.uint8)
    height, width = shown.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    base = np.asarray(Image.fromarray(np.ascontiguousarray(shown)).resize(size, Image.Resampling.BILINEAR), np.float64)
    if values is not None and pre is not None:
        cut = _resized(values, (pre.size[1], pre.size[0]))[inside((height, width), pre)]
        strength = np.clip(_resized(cut, size), -1, 1)[..., None]
        colour = np.where(strength > 0, np.array(REJECT), np.array(ACCEPT))
        base = base * (1 - COVER * abs(strength)) + colour * COVER * abs(strength)
    stored = BytesIO()
    Image.fromarray(base.round().astype(np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values at another (width, height), linear between them."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
