"""A sample as a small PNG for the report: an image as it is, a signal as lines, a sequence as rows of letters; a series
also with what each of its places added to a decision."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..arch.use import Preprocess
from .heat import ACCEPT, COVER, REJECT
from .series import WHOLE

WIDTH, HEIGHT = 480, 320  # of a signal's picture, in pixels; the page shows it at about a third of that
COLORS = ("#2a78b8", "#d1603d", "#3f9b5f", "#8d5fb0", "#b8912a", "#3aa5a5", "#c0487f", "#7a7f87")
INK = "#14171c"  # of the first line and of letters on colours that say something
LETTER = 24  # pixels of a letter's cell
FEWEST, MOST = 10, 60  # letters in a row
ROWS = 40  # of letters, at most


def picture(sample: np.ndarray, preprocess: Preprocess, values: np.ndarray | None = None) -> bytes:
    """A PNG of an image (H, W, C) or a series (L, C) of a data set; of a series with `values` (n,), from -1 to 1, of
    any number of cells that share its length: red behind what speaks for a decision, blue behind what is against it."""
    if not preprocess.series:
        return _png(_image(sample))
    shares = None if values is None else _spread(values, len(sample))
    return _png(_letters(sample, preprocess.alphabet, shares) if preprocess.alphabet else _lines(sample, shares))


def _spread(values: np.ndarray, length: int) -> np.ndarray:
    """Values (n,) at each place (length,), linear between the middles of the cells."""
    middles = (np.arange(len(values)) + 0.5) / len(values)
    return np.interp((np.arange(length) + 0.5) / length, middles, np.clip(values, -1, 1))


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


def _lines(signal: np.ndarray, shares: np.ndarray | None) -> Image.Image:
    """A line for each channel, from the lowest number to the highest of all channels, on a transparent ground, or on
    the colours of shares (L,)."""
    low, high = float(signal.min()), float(signal.max())
    margin = 24
    canvas = Image.new("RGBA", (2 * WIDTH, 2 * HEIGHT), "#80808000") if shares is None else _stripes(shares, margin)
    draw = ImageDraw.Draw(canvas)
    x = margin + np.linspace(0, 1, len(signal)) * (2 * WIDTH - 2 * margin)
    for channel in reversed(range(signal.shape[1])):
        share = (
            (signal[:, channel].astype(np.float64) - low) / (high - low) if high > low else np.full(len(signal), 0.5)
        )
        y = 2 * HEIGHT - margin - share * (2 * HEIGHT - 2 * margin)
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        ink = COLORS[channel % len(COLORS)] if shares is None or channel else INK
        draw.line(points if len(points) > 1 else points * 2, ink, 6, "curve")
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _stripes(shares: np.ndarray, margin: int) -> Image.Image:
    """Colours (L,) behind lines that begin and end at the margin."""
    places = (np.arange(2 * WIDTH) - margin) / max(1, 2 * WIDTH - 2 * margin) * (len(shares) - 1)
    inside = (places >= -0.5) & (places <= len(shares) - 0.5)
    strength = np.where(inside, shares[np.clip(places.round().astype(int), 0, len(shares) - 1)], 0)
    return Image.fromarray(np.tile(_tinted(strength), (2 * HEIGHT, 1, 1)))


def _letters(levels: np.ndarray, alphabet: str, shares: np.ndarray | None) -> Image.Image:
    """Coloured cells with their letters, in rows; a letter of several is gray, and where there is none nothing is. With
    shares (L,) the cells have their colours instead."""
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
        ground, ink = COLORS[best % len(COLORS)] if sure else "#9a9a9a", "white"
        if shares is not None:
            ground, ink = "#{:02x}{:02x}{:02x}".format(*_tinted(shares[i : i + 1])[0].tolist()), INK
        draw.rectangle((x, y, x + LETTER - 2, y + LETTER - 2), ground)
        draw.text((x + LETTER / 2 - 1, y + LETTER / 2 - 1), alphabet[best] if sure else "?", ink, font, anchor="mm")
    return canvas


def _tinted(shares: np.ndarray) -> np.ndarray:
    """White, so far covered by the colours of shares (n,) from -1 to 1: (n, 3) uint8."""
    cover = COVER * abs(shares)[:, None]
    return np.round(255 * (1 - cover) + np.where(shares[:, None] > 0, REJECT, ACCEPT) * cover).astype(np.uint8)
