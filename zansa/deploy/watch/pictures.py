"""Median pictures of lots: dirt on the lens and a shifted camera stay where they are while the parts change."""

import base64
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...inputs.images import read_image
from ..serve.pictures import place
from .units import Answers

SIDE = 32  # points along a side of a median picture
EACH = 9  # pictures of a lot
TOP = 10  # points that differ most
MOST = 400  # lots that are looked at; the newest, and those of the calm time


def medians(store: Path, seen: Answers, calm: int) -> np.ndarray:
    """The median picture of every lot: (U, SIDE, SIDE) in shares of the full range, NaN where none is kept or the lot
    is too long ago."""
    found = np.full((len(seen.units), SIDE, SIDE), np.nan, np.float32)
    for index, unit in enumerate(seen.units):
        if index < calm or index >= len(seen.units) - MOST:
            few = [small(store, seen.rows[row]) for row in _spread(unit.rows, EACH)]
            there = [each for each in few if each is not None]
            if len(there) >= EACH // 2:
                found[index] = np.median(there, axis=0)
    return found


def differences(pictures: np.ndarray, calm: int) -> np.ndarray:
    """How far the median picture of each of (U,) lots is from that of the calm time, where it differs most. A lot of
    the calm time is compared with the others of it."""
    there = ~np.isnan(pictures[:, 0, 0])
    base = np.flatnonzero(there[:calm])
    found = np.full(len(pictures), np.nan)
    if len(base) < 2:
        return found
    for index in np.flatnonzero(there):
        others = base[base != index]
        gap = abs(pictures[index] - np.median(pictures[others], axis=0)).ravel()
        found[index] = np.sort(gap)[-TOP:].mean()
    return found


def small(store: Path, row: dict[str, Any]) -> np.ndarray | None:
    """A kept image as SIDE x SIDE gray levels from 0 to 1; None where it is not there."""
    if row["kept"] != 1 or not row["image"]:
        return None
    with suppress(ValueError, OSError):
        levels = read_image(place(store / "images", row["image"], row["suffix"]), 1)
        gray = Image.fromarray(levels[..., 0].astype(np.float32) / np.iinfo(levels.dtype).max)
        return np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BOX))
    return None


def shown(store: Path, row: dict[str, Any], side: int = 160) -> str | None:
    """A kept image as a small PNG in base64; None where it is not there."""
    if row["kept"] != 1 or not row["image"]:
        return None
    return thumbnail(place(store / "images", row["image"], row["suffix"]), side)


def thumbnail(path: Path, side: int = 160) -> str | None:
    """An image file as a small PNG in base64; None where it cannot be read."""
    with suppress(ValueError, OSError):
        with Image.open(path) as image:
            made = image.convert("RGB")
        made.thumbnail((side, side))
        return _png(made)
    return None


def levels_png(picture: np.ndarray, low: float = 0.0, high: float = 1.0) -> str:
    """A (H, W) picture as a PNG in base64, `low` black and `high` white."""
    scaled = np.clip((picture - low) / max(high - low, 1e-9), 0, 1) * 255
    return _png(Image.fromarray(scaled.astype(np.uint8)).resize((160, 160), Image.Resampling.NEAREST))


def typical(store: Path, seen: Answers, column: int, rows: np.ndarray, calm: np.ndarray, count: int = 6) -> Any:
    """Kept pictures of parts near the median of a statistic in `rows`, each as (row, PNG) beside the nearest one of the
    calm time: what changed is seen in their difference."""
    values = seen.values[:, column]
    kept = rows[[seen.rows[row]["kept"] == 1 for row in rows]] if len(rows) else rows
    order = kept[np.argsort(abs(values[kept] - np.nanmedian(values[rows])), kind="stable")] if len(kept) else kept
    pairs = []
    for row in order[:count]:
        old = _nearest(seen, int(row), calm)
        pairs.append([(int(each), shown(store, seen.rows[each])) for each in (row, *old)])
    return pairs


def _nearest(seen: Answers, row: int, calm: np.ndarray) -> Sequence[int]:
    kept = np.array([each for each in calm if seen.rows[each]["kept"] == 1], int)
    if not len(kept):
        return ()
    spread = np.nanstd(seen.values[kept], axis=0) + 1e-9
    gap = np.nansum(np.square((seen.values[kept] - seen.values[row]) / spread), axis=1)
    return (int(kept[gap.argmin()]),)


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
