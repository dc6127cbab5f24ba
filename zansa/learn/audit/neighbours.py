"""The most similar images of each image, by two small features that need no training."""

from collections.abc import Callable

import numpy as np
from scipy.fft import dctn

from ...proof.traits import thumbnails

BITS = 16  # a hash of 16 x 16 bits
ROWS = 2**22  # similarities at a time
WHOLE = 2048  # images up to which each similarity is ranked by itself; beyond, the best of blocks of them
PROJECTED, AXES = 20_000, 64  # images beyond which features are brought to fewer numbers

Apart = Callable[[np.ndarray], np.ndarray]  # of rows (n,): (n, N) bool, which images they may not be paired with


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


def nearest(
    features: np.ndarray, count: int, never: Apart | None = None, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Of each row (all, or `rows`): the `count` most similar others (n, count), best first, and their similarities.

    Exact up to 2,048 images; beyond, of two neighbours that share a block of N / 2,048 columns only the better one
    is found. Where fewer than `count` are allowed, the similarity is -inf.
    """
    known = _projected(features)
    asked = np.arange(len(known)) if rows is None else rows
    wide = -(-len(known) // WHOLE)
    count = min(count, -(-len(known) // wide))
    step = max(1, ROWS // len(known))
    found = [_best(known, asked[i : i + step], count, wide, never) for i in range(0, len(asked), step)]
    return np.concatenate([index for index, _ in found]), np.concatenate([values for _, values in found])


def _best(
    known: np.ndarray, rows: np.ndarray, count: int, wide: int, never: Apart | None
) -> tuple[np.ndarray, np.ndarray]:
    like = known[rows] @ known.T
    like[np.arange(len(rows)), rows] = -np.inf
    if never is not None:
        like[never(rows)] = -np.inf
    if wide > 1:
        like = np.pad(like, ((0, 0), (0, -like.shape[1] % wide)), constant_values=-np.inf)
    blocks = like.reshape(len(rows), -1, wide)
    best = blocks.max(axis=2) if wide > 1 else blocks[:, :, 0]
    chosen = np.argpartition(-best, min(count, best.shape[1]) - 1, axis=1)[:, :count]
    values = np.take_along_axis(best, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    chosen, values = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(values, order, axis=1)
    inside = np.take_along_axis(blocks, chosen[:, :, None], axis=1).argmax(axis=2) if wide > 1 else 0
    return np.minimum(chosen * wide + inside, len(known) - 1), values


def _projected(features: np.ndarray) -> np.ndarray:
    """Of very many images the leading components alone, found on a part of them."""
    if len(features) <= PROJECTED:
        return features
    some = features[:: len(features) // 5000].astype(np.float64)
    axes = np.linalg.eigh(some.T @ some)[1][:, -AXES:].astype(np.float32)
    small = features @ axes
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6))
