"""Two images laid on each other: how well they agree, as they are, and at the best small shift, scale and turn.

Phase correlation over a few warps finds the place (Kuglin & Hines 1975; Reddy & Chatterji 1996); the agreement there is
a weighted correlation of high-pass images, so that lighting and gradients do not count.
"""

from functools import cache

import numpy as np
from scipy.fft import rfft2
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array, vstack

from .look import SIDE
from .neighbours import on_all_cores

# standard deviations, in pixels: what is finer than the first and coarser than the second is left out
FINE, COARSE = (0.0, 3.0), (1.5, 4.0)
SHIFT = 6  # pixels, each way
SCALES, TURNS = (0.905, 0.95, 1.05, 1.105), (-2.0, -1.0, 1.0, 2.0)  # times, degrees
WARPS = ((1.0, 0.0), *((scale, 0.0) for scale in SCALES), *((1.0, turn) for turn in TURNS))
BLOCK = 128  # pairs at a time
INNER = slice(SHIFT, SIDE - SHIFT)


def band(gray: np.ndarray, fine: float, coarse: float) -> np.ndarray:
    """(N, 64, 64) float32 of (N, 64, 64): what is coarser and what is finer is taken away."""
    whole = gray.astype(np.float32)
    return np.asarray(gaussian_filter(whole, (0, fine, fine)) - gaussian_filter(whole, (0, coarse, coarse)))


def agreement(gray: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs (P, 2) of images (N, 64, 64) uint8: the correlation as they are, and after alignment; each (P,).

    As they are, a coarser band is compared: an image of half the size has lost its finest detail.
    """
    plain, aligned = np.zeros(len(pairs), np.float32), np.zeros(len(pairs), np.float32)
    order = np.argsort(pairs[:, 1], kind="stable")

    def some(i: int) -> None:
        rows = order[i : i + BLOCK]
        plain[rows], aligned[rows] = _block(gray, pairs[rows])

    on_all_cores(some, range(0, len(order), BLOCK))
    return plain, aligned


def _block(gray: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, place = np.unique(pairs, return_inverse=True)
    one, other = place.reshape(pairs.shape).T
    images, coarse = band(gray[rows], *FINE), band(gray[rows], *COARSE)
    moved, at_moved = np.unique(other, return_inverse=True)
    warped = warps(images[moved])
    best, at = _places(images[one], warped, at_moved)
    plain = _correlations(coarse[one], coarse[other], np.zeros((len(pairs), 2), int))
    return plain, _correlations(images[one], warped[at_moved, best], at)


def warps(images: np.ndarray) -> np.ndarray:
    """(N, warps, 64, 64) of (N, 64, 64), bilinear; the first is the image itself."""
    flat = _operator() @ images.reshape(len(images), -1).T
    return np.ascontiguousarray(flat.T).reshape(len(images), len(WARPS), SIDE, SIDE)


@cache
def _operator() -> csr_array:
    """All warps as one sparse matrix (warps * 4096, 4096)."""
    return csr_array(vstack([_warp(scale, turn) for scale, turn in WARPS]))


def _warp(scale: float, turn: float) -> csr_array:
    middle, angle = (SIDE - 1) / 2, np.deg2rad(turn)
    y, x = np.mgrid[:SIDE, :SIDE] - middle
    source = np.stack([np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x]) / scale + middle
    source = np.clip(source, 0, SIDE - 1.001).reshape(2, -1)
    low = source.astype(int)
    share = source - low
    rows, columns, values = [], [], []
    for dy in (0, 1):
        for dx in (0, 1):
            rows.append(np.arange(SIDE * SIDE))
            columns.append((low[0] + dy) * SIDE + low[1] + dx)
            values.append(np.where(dy, share[0], 1 - share[0]) * np.where(dx, share[1], 1 - share[1]))
    data = np.concatenate(values).astype(np.float32)
    return csr_array((data, (np.concatenate(rows), np.concatenate(columns))), shape=(SIDE * SIDE, SIDE * SIDE))


def _places(one: np.ndarray, warped: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best warp of each pair, and the shift (rows, columns) of the other image that lays it on the one."""
    still, moving = _spectra(one), _spectra(warped.reshape(-1, SIDE, SIDE)).reshape(*warped.shape[:2], SIDE, -1)
    rows, columns = _waves()
    products = still[:, None] * np.conj(moving[of])
    surface = np.real(rows @ products @ columns)  # (P, warps, 13, 13)
    flat = surface.reshape(len(one), len(WARPS), -1)
    norm = np.linalg.norm(warped * _window(), axis=(2, 3))[of]
    best = (flat.max(axis=2) / np.maximum(norm, 1e-6)).argmax(axis=1)
    place = flat[np.arange(len(one)), best].argmax(axis=1)
    return best, np.stack(np.divmod(place, 2 * SHIFT + 1), axis=1) - SHIFT


def _spectra(images: np.ndarray) -> np.ndarray:
    return np.asarray(rfft2(images * _window()), np.complex64)


@cache
def _window() -> np.ndarray:
    side = np.hanning(SIDE + 2)[1:-1]
    return np.outer(side, side).astype(np.float32)


@cache
def _waves() -> tuple[np.ndarray, np.ndarray]:
    """The inverse transform at the few shifts that are allowed, as two matrices (13, 64) and (33, 13)."""
    shifts = np.arange(-SHIFT, SHIFT + 1)
    rows = np.exp(2j * np.pi * np.outer(shifts, np.arange(SIDE)) / SIDE)
    half = np.arange(SIDE // 2 + 1)
    columns = np.exp(2j * np.pi * np.outer(half, shifts) / SIDE)
    columns[1:-1] *= 2  # the other half of the spectrum is its mirror image
    return rows.astype(np.complex64), columns.astype(np.complex64)


def _correlations(one: np.ndarray, other: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Weighted correlations of the inner part of images (P, 64, 64) with others that are moved by shifts (P, 2)."""
    weight = _window()[INNER, INNER]
    still = _centred(one[:, INNER, INNER], weight)
    cut = [
        image[SHIFT - dy : SIDE - SHIFT - dy, SHIFT - dx : SIDE - SHIFT - dx]
        for image, (dy, dx) in zip(other, shifts, strict=True)
    ]
    moved = _centred(np.stack(cut), weight)
    norm = np.sqrt((weight * still**2).sum(axis=(1, 2)) * (weight * moved**2).sum(axis=(1, 2)))
    return np.asarray((weight * still * moved).sum(axis=(1, 2)) / np.maximum(norm, 1e-6))


def _centred(images: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return images - ((images * weight).sum(axis=(1, 2)) / weight.sum())[:, None, None]
