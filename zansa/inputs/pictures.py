"""A sample as a small PNG for the report: an image as it is, a signal as lines, a sequence as rows of letters."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..arch.use import Preprocess
from .series import WHOLE

WIDTH, HEIGHT = 480, 320  # of a signal's picture, in pixels; the page shows it at about a third of that
COLORS = ("#2a78b8", "#d1603d", "#3f9b5f", "#8d5fb0", "#b8912a", "#3aa5a5", "#c0487f", "#7a7f87")
LETTER = 24  # pixels of a letter's cell
FEWEST, MOST = 10, 60  # letters in a row
ROWS = 40  # of letters, at most


def picture(sample: np.ndarray, preprocess: Preprocess) -> bytes:
    """A PNG of an image (H, W, C) or a series (L, C) of a data set."""
    if not preprocess.series:
        return _png(_image(sample))
    return _png(_letters(sample, preprocess.alphabet) if preprocess.alphabet else _lines(sample))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _image(levels: np.ndarray) -> Image.Image:
    """16-bit levels are shown from the image's lowest to its highest."""
    if levels.dtype == np.uint16:
        low, high = int(levels.min()), int(levels.max())
        levels = ((levels.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)
    return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels[..., :3])


def _lines(signal: np.ndarray) -> Image.Image:
    """A line for each channel, from the lowest number to the highest of all channels, on a transparent ground."""
    low, high = float(signal.min()), float(signal.max())
    canvas = Image.new("RGBA", (2 * WIDTH, 2 * HEIGHT), "#80808000")
    draw, margin = ImageDraw.Draw(canvas), 24
    x = margin + np.linspace(0, 1, len(signal)) * (2 * WIDTH - 2 * margin)
    for channel in reversed(range(signal.shape[1])):
        share = (
            (signal[:, channel].astype(np.float64) - low) / (high - low) if high > low else np.full(len(signal), 0.5)
        )
        y = 2 * HEIGHT - margin - share * (2 * HEIGHT - 2 * margin)
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        draw.line(points if len(points) > 1 else points * 2, COLORS[channel % len(COLORS)], 6, "curve")
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _letters(levels: np.ndarray, alphabet: str) -> Image.Image:
    """Coloured cells with their letters, in rows; a letter of several is grey, and where there is none nothing is."""
    used = np.flatnonzero(levels.any(axis=1)).max(initial=0) + 1
    wide = int(np.clip(10 * round((1.5 * used) ** 0.5 / 10), FEWEST, MOST))
    rows = min(ROWS, -(-used // wide))
    canvas = Image.new("RGBA", (wide * LETTER, rows * LETTER), "#80808000")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(LETTER * 2 / 3)
    for i in range(min(used, rows * wide)):
        if not levels[i].any():
            continue
        best = int(levels[i].argmax())
        sure = levels[i, best] == WHOLE
        x, y = i % wide * LETTER, i // wide * LETTER
        draw.rectangle((x, y, x + LETTER - 2, y + LETTER - 2), COLORS[best % len(COLORS)] if sure else "#9a9a9a")
        draw.text((x + LETTER / 2 - 1, y + LETTER / 2 - 1), alphabet[best] if sure else "?", "white", font, anchor="mm")
    return canvas
