"""A series that was explained, drawn with its map behind it as SVG."""

from collections.abc import Iterator
from html import escape

import numpy as np

from ..phrases import say

SIDE = 224  # pixels of the longer side of a picture on the page
STRIPES, MOST = 240, 600  # of a series: stripes of colour, and points of a line, at most
FAINT = 0.03  # of the full colour: weaker stripes are left out
LEFT, TOP, LONG, HIGH = 44, 6, 420, 92  # of the drawing of a series, in pixels
SMALLEST = 6.0  # letters in pixels


def curve(levels: np.ndarray, alphabet: str, values: np.ndarray | None = None) -> str:
    """An SVG of a series (L, C): a line a channel, or the letters of a sequence; with `values` (L,) behind it, in -1 to
    1."""
    length = len(levels)
    parts = [] if values is None else list(_stripes(values))
    if alphabet:
        parts += list(_letters(levels, alphabet))
        ends = ["", ""]
    else:
        low, high = float(levels.min()), float(levels.max())
        parts += [_line(line, low, high) for line in levels.T]
        ends = [f"{high:.3g}", f"{low:.3g}"]
    marks: list[tuple[float, int, str, str]] = [
        (LEFT - 5, TOP + 8, "end", ends[0]),
        (LEFT - 5, TOP + HIGH, "end", ends[1]),
    ]
    marks += [(_x(at, length), TOP + HIGH + 15, "middle", str(at)) for at in sorted({1, (length + 1) // 2, length})]
    parts += [f'<text x="{x:.1f}" y="{y}" text-anchor="{side}">{text}</text>' for x, y, side, text in marks if text]
    box = f'viewBox="0 0 {LEFT + LONG + 14} {TOP + HIGH + 22}"'
    return f'<svg {box} role="img" aria-label="{say("map of a series")}">{"".join(parts)}</svg>'


def _x(place: float, length: int) -> float:
    """Where a place, counted from 1, is drawn."""
    return LEFT + (place - 0.5) / length * LONG


def _line(values: np.ndarray, low: float, high: float) -> str:
    """A channel, with at most MOST points: of more, the lowest and the highest of each group."""
    groups = np.array_split(np.arange(len(values)), min(len(values), MOST // 2))
    chosen = sorted({int(g[pick(values[g])]) for g in groups for pick in (np.argmin, np.argmax)})
    y = TOP + HIGH - (values.astype(float) - low) / ((high - low) or 1) * HIGH
    points = " ".join(f"{_x(k + 1, len(values)):.1f},{y[k]:.1f}" for k in chosen)
    return f'<polyline points="{points}" fill="none" stroke="var(--ink)" stroke-width="1.2"/>'


def _stripes(values: np.ndarray) -> Iterator[str]:
    """Colours behind a series; each stripe has the strongest value of its places."""
    for group in np.array_split(np.arange(len(values)), min(STRIPES, len(values))):
        strongest = float(np.clip(values[group][np.abs(values[group]).argmax()], -1, 1))
        if abs(strongest) >= FAINT:
            left, right = (_x(at, len(values)) for at in (group[0] + 0.5, group[-1] + 1.5))
            colour = "var(--wrong)" if strongest > 0 else "var(--right)"
            place = f'x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HIGH}"'
            yield f'<rect {place} fill="{colour}" fill-opacity="{0.75 * abs(strongest):.2f}"/>'


def _letters(levels: np.ndarray, alphabet: str) -> Iterator[str]:
    """The letters of a sequence, where there is room for them."""
    size = min(11.0, 1.5 * LONG / len(levels))
    if size >= SMALLEST:
        for k, letter in enumerate(letters_of(levels, alphabet)):
            place = f'x="{_x(k + 1, len(levels)):.1f}" y="{TOP + HIGH / 2 + 4}"'
            yield f'<text {place} text-anchor="middle" style="font-size:{size:.1f}px">{escape(letter)}</text>'


def letters_of(levels: np.ndarray, alphabet: str) -> str:
    """The letters of a sequence (L, C) of twelfths; a place that may be one of several, or is nothing, is a dot."""
    return "".join(alphabet[int(row.argmax())] if row.max() == row.sum() > 0 else "·" for row in levels)
