"""The most similar images of each image, by two small features that need no training."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.fft import dctn

from ...proof.traits import thumbnails
from ..data.cache import cores

BITS = 16  # a hash of 16 x 16 bits
ROWS = 2**22  # similarities at a time
WHOLE = 2048  # images up to which each similarity is ranked by itself; beyond, the best of blocks of them
PROJECTED, AXES = 20_000, 128  # images beyond which features are brought to fewer numbers

T = TypeVar("T")


class Kin(NamedTuple):
    """Which of N images may show one part: those whose values are at most `reach` apart.

    values: (N,) int64, groups or places in the order of names.
    reach: 0 for groups.
    """

    values: np.ndarray
    reach: int = 0

    def all_of(self, rows: np.ndarray) -> np.ndarray:
        """(n, N) bool: of each of these rows, its kin."""
        if not self.reach:
            return np.asarray(self.values[rows][:, None] == self.values)
        return np.asarray(abs(self.values[rows][:, None] - self.values) <= self.reach)

    def are(self, pairs: np.ndarray) -> np.ndarray:
        """(P,) bool: whether the two of each pair are kin."""
        return np.asarray(abs(self.values[pairs[:, 0]] - self.values[pairs[:, 1]]) <= self.reach)


def on_all_cores(work: Callable[[int], T], starts: range) -> list[T]:
    """The results in order; NumPy and SciPy compute outside the interpreter's lock, so threads help."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(work, starts))


def thumbs(grey: np.ndarray) -> np.ndarray:
    """(N, 256) float32 of length 1: 16x16 thumbnails without their mean."""
    return thumbnails(grey[..., None])


def hashes(grey: np.ndarray) -> np.ndarray:
    """(N, 256) float32 of length 1: signs of the low frequencies about their median (pHash with 256 bits)."""
    step = 4096
    parts = [
        dctn(grey[i : i + step].astype(np.float32), axes=(1, 2))[:, :BITS, :BITS] for i in range(0, len(grey), step)
    ]
    low = np.concatenate(parts).reshape(len(grey), -1)
    return np.where(low > np.median(low, axis=1, keepdims=True), 1, -1).astype(np.float32) / BITS


def axes_of(features: np.ndarray) -> np.ndarray | None:
    """(256, AXES) leading components of very many images, found on a part of them; None for fewer images."""
    if len(features) <= PROJECTED:
        return None
    some = features[:: len(features) // 5000].astype(np.float64)
    return np.asarray(np.linalg.eigh(some.T @ some)[1][:, -AXES:], np.float32)


def along(features: np.ndarray, axes: np.ndarray | None) -> np.ndarray:
    """Features of length 1 along these axes alone, where there are any."""
    if axes is None:
        return features
    small = features @ axes
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6))


def nearest(
    features: np.ndarray, count: int, never: Kin | None = None, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Of each row (all, or `rows`): the `count` most similar others (n, count), best first, and their similarities.

    Exact up to 2,048 images; beyond, the columns are dealt to 2,048 piles, and of two neighbours in one pile only the
    better one is found. Where fewer than `count` are allowed, the similarity is -inf.
    """
    known = along(features, axes_of(features))
    asked = np.arange(len(known)) if rows is None else rows
    wide = -(-len(known) // WHOLE)
    piles = -(-len(known) // wide)
    full = np.concatenate([known, np.zeros((wide * piles - len(known), known.shape[1]), known.dtype)])
    step = max(1, ROWS // len(known))

    def some(i: int) -> tuple[np.ndarray, np.ndarray]:
        return _best(full, len(known), asked[i : i + step], min(count, piles), wide, never)

    found = on_all_cores(some, range(0, len(asked), step))
    return np.concatenate([index for index, _ in found]), np.concatenate([values for _, values in found])


def _best(
    full: np.ndarray, known: int, rows: np.ndarray, count: int, wide: int, never: Kin | None
) -> tuple[np.ndarray, np.ndarray]:
    """Of the images `full`, of which all but the first `known` are filling; pile p holds columns p, p + piles, ..."""
    like = full[rows] @ full.T
    like[:, known:] = -np.inf
    like[np.arange(len(rows)), rows] = -np.inf
    if never is not None:
        np.copyto(like[:, :known], -np.inf, where=never.all_of(rows))
    piles = like.reshape(len(rows), wide, -1)
    best = piles.max(axis=1)
    chosen = np.argpartition(-best, min(count, best.shape[1]) - 1, axis=1)[:, :count]
    values = np.take_along_axis(best, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    chosen, values = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(values, order, axis=1)
    inside = np.take_along_axis(piles, chosen[:, None, :], axis=2).argmax(axis=1)
    return np.minimum(inside * best.shape[1] + chosen, known - 1), values
