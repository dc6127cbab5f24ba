"""What was explained, drawn: an image with its map over it as a PNG, a series with its map behind it as SVG."""

import base64
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from ..phrases import phrase
from . import plots

SIDE = 224  # pixels of the longer side of a picture on the page
REJECT, ACCEPT = (214, 39, 40), (31, 119, 180)  # colours of what speaks for what is explained, and against it
STRIPES = 120  # of a series, at most
FAINT = 0.03  # of the full colour: weaker stripes are left out
WIDE = (5.2, 1.9)  # inches of 72 pixels
LETTERS = 70  # the longest sequence whose letters are written below it
Cut = tuple[slice, ...]


def picture(levels: np.ndarray, values: np.ndarray | None = None) -> str:
    """A PNG in base64 of an image (H, W, C), at most SIDE pixels a side; with `values` (h, w) over it, in -1 to 1."""
    shown = levels[..., :3] if levels.shape[2] >= 3 else np.repeat(levels[..., :1], 3, axis=2)
    if shown.dtype == np.uint16:
        shown = (shown // 257).astype(np.uint8)
    factor = SIDE / max(shown.shape[:2])
    size = (max(1, round(shown.shape[1] * factor)), max(1, round(shown.shape[0] * factor)))
    base = np.asarray(Image.fromarray(np.ascontiguousarray(shown)).resize(size, Image.Resampling.BILINEAR), np.float64)
    if values is not None:
        over = Image.fromarray(np.ascontiguousarray(values, np.float32)).resize(size, Image.Resampling.BILINEAR)
        strength = np.clip(np.asarray(over), -1, 1)[..., None]
        colour = np.where(strength > 0, np.array(REJECT), np.array(ACCEPT))
        base = base * (1 - 0.75 * abs(strength)) + colour * 0.75 * abs(strength)
    stored = BytesIO()
    Image.fromarray(base.round().astype(np.uint8)).save(stored, "PNG")
    return base64.b64encode(stored.getvalue()).decode()


def curve(levels: np.ndarray, alphabet: str, values: np.ndarray | None = None) -> str:
    """An SVG of a series (L, C): a line a channel, or of a sequence its letters; with `values` (L,) behind it, in -1 to
    1."""
    style: dict[Any, Any] = plots.STYLE | {"axes.grid": False, "lines.linewidth": 1.2}
    with matplotlib.rc_context(style):
        figure, axes = plots.canvas(*WIDE)
        if alphabet:
            _letters(axes, levels, alphabet, values)
        else:
            low, high = float(levels.min()), float(levels.max())
            axes.set_ylim(low - 0.05 * (high - low or 1), high + 0.05 * (high - low or 1))
            for line in levels.T:
                axes.plot(np.arange(1, len(line) + 1), line, color=plots.COLOURS["--ink"])
            if values is not None:
                _stripes(axes, values)
        axes.set_xlim(0.5, len(levels) + 0.5)
        return plots.svg(figure, phrase("map of a series"), "place in the series")


def _stripes(axes: Any, values: np.ndarray) -> None:
    """Colours behind a line; each stripe has the strongest value of its places."""
    for part in np.array_split(np.arange(len(values)), min(STRIPES, len(values))):
        strongest = float(values[part][np.abs(values[part]).argmax()])
        if abs(strongest) >= FAINT:
            colour = plots.COLOURS["--wrong" if strongest > 0 else "--right"]
            alpha = min(1.0, abs(strongest)) * 0.7
            axes.axvspan(part[0] + 0.5, part[-1] + 1.5, color=colour, alpha=alpha, linewidth=0, zorder=0)


def _letters(axes: Any, levels: np.ndarray, alphabet: str, values: np.ndarray | None) -> None:
    """The letters of a sequence, on a bar each; without a map no bars."""
    places = np.arange(1, len(levels) + 1)
    heights = np.zeros(len(levels)) if values is None else np.clip(values, -1, 1)
    colours = [plots.COLOURS["--wrong" if each > 0 else "--right"] for each in heights]
    axes.bar(places, heights, 0.9, color=colours)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([])
    if len(levels) <= LETTERS:
        axes.set_xticks(places, letters_of(levels, alphabet), fontsize=6.5)


def letters_of(levels: np.ndarray, alphabet: str) -> str:
    """The letters of a sequence (L, C) of twelfths; a place that may be one of several, or is nothing, is a dot."""
    return "".join(alphabet[int(row.argmax())] if row.max() == row.sum() > 0 else "·" for row in levels)
