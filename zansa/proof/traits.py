"""Traits of an image: two dozen plain statistics, which the rivals of every network know it by.

Levels, gradients and coarse differences: what a rule of thumb would look at. Where they tell the classes as well as
the network does, nothing deep is needed, or the data gives itself away.
"""

import numpy as np

COARSE = 4  # an image is 4 x 4 blocks
CHUNK = 2**22  # values at a time
SEEN = 4096  # values of an image that quantiles are read from, evenly spaced
TRAITS = (
    "mean",
    "sd",
    "darkest",
    "1 %",
    "25 %",
    "median",
    "75 %",
    "99 %",
    "brightest",
    "step across",
    "step down",
    "99 % step",
    "largest step",
    "grain",
    "block sd",
    "block range",
    "darkest block",
    "brightest block",
    "block step across",
    "block step down",
    "middle - border",
    "left - right",
    "top - bottom",
    "colour",
    "most colour",
)


def traits(images: np.ndarray) -> np.ndarray:
    """(N, 25) float64, named by TRAITS, of images (N, H, W, C) or series (N, L, C), of any number type.

    A series is an image one row high; its channels are as colours. Traits that a shape cannot have (a step down in one
    row) are 0. Levels are as stored; who learns from traits brings them to one scale.
    """
    whole = images[:, None] if images.ndim == 3 else images
    if whole.ndim != 4 or 0 in whole.shape:
        raise ValueError(
            f"images of shape {images.shape} were given; needed: (N, height, width, channels), none of it 0"
        )
    step = max(1, CHUNK // int(np.prod(whole.shape[1:])))
    return np.concatenate([_traits(whole[i : i + step]) for i in range(0, len(whole), step)])


def thumbnails(images: np.ndarray, size: int = 16) -> np.ndarray:
    """(N, size * size) float32, or (N, size) of series: block means of gray images, less their mean, of length 1 (0 for
    an even image)."""
    whole = images[:, None] if images.ndim == 3 else images
    step = max(1, CHUNK // int(np.prod(whole.shape[1:])))
    small = [_blocks(_gray(whole[i : i + step]), size) for i in range(0, len(whole), step)]
    flat = np.concatenate(small).reshape(len(whole), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6 * (1 + abs(flat).max(initial=0))))


def _gray(images: np.ndarray) -> np.ndarray:
    # Channel by channel: NumPy is ten times slower along an axis of three.
    total = images[..., 0].astype(np.float32)
    for channel in range(1, images.shape[3]):
        total += images[..., channel]
    return np.asarray(total / images.shape[3])


def _colour(images: np.ndarray) -> np.ndarray:
    """The largest less the smallest channel of every point."""
    low, high = images[..., 0], images[..., 0]
    for channel in range(1, images.shape[3]):
        low, high = np.minimum(low, images[..., channel]), np.maximum(high, images[..., channel])
    return (high - low).astype(np.float32).reshape(len(images), -1)


def _blocks(gray: np.ndarray, size: int) -> np.ndarray:
    """Means of (at most) size x size blocks of (N, H, W)."""
    for axis in (1, 2):
        count = gray.shape[axis]
        edges = np.arange(min(size, count)) * count // min(size, count)
        shape = [-1 if a == axis else 1 for a in range(3)]
        gray = np.add.reduceat(gray, edges, axis=axis) / np.diff(edges, append=count).reshape(shape)
    return gray


def _traits(images: np.ndarray) -> np.ndarray:
    gray = _gray(images)
    colour = _colour(images)
    columns = [*_levels(gray), *_steps(gray), *_coarse(_blocks(gray, COARSE)), colour.mean(axis=1), colour.max(axis=1)]
    found = np.stack(columns, axis=1).astype(np.float64)
    assert found.shape[1] == len(TRAITS)
    return found


def _levels(gray: np.ndarray) -> list[np.ndarray]:
    flat = gray.reshape(len(gray), -1)
    return [
        flat.mean(axis=1),
        flat.std(axis=1),
        flat.min(axis=1),
        *_quantiles(flat, (0.01, 0.25, 0.5, 0.75, 0.99)),
        flat.max(axis=1),
    ]


def _quantiles(flat: np.ndarray, at: tuple[float, ...]) -> np.ndarray:
    flat = flat[:, :: max(1, flat.shape[1] // SEEN)]
    places = [round(q * (flat.shape[1] - 1)) for q in at]
    return np.sort(flat, axis=1)[:, places].T


def _steps(gray: np.ndarray) -> list[np.ndarray]:
    across, down = abs(np.diff(gray, axis=2)), abs(np.diff(gray, axis=1))
    across, down, bend = _flat(across), _flat(down), _flat(abs(np.diff(gray, n=2, axis=2)))
    high = np.maximum(*(_quantiles(steps, (0.99,))[0] for steps in (across, down)))
    return [
        across.mean(axis=1),
        down.mean(axis=1),
        high,
        np.maximum(across.max(axis=1), down.max(axis=1)),
        bend.mean(axis=1),
    ]


def _coarse(blocks: np.ndarray) -> list[np.ndarray]:
    flat, mean = _flat(blocks), blocks.mean(axis=(1, 2))
    inner = blocks[:, *(slice(n // 4, n - n // 4) for n in blocks.shape[1:])]
    rows, columns = blocks.shape[1] // 2, blocks.shape[2] // 2
    border = (flat.sum(axis=1) - _flat(inner).sum(axis=1)) / max(1, flat.shape[1] - inner[0].size)
    return [
        flat.std(axis=1),
        np.ptp(flat, axis=1),
        flat.min(axis=1) - mean,
        flat.max(axis=1) - mean,
        _flat(abs(np.diff(blocks, axis=2))).max(axis=1),
        _flat(abs(np.diff(blocks, axis=1))).max(axis=1),
        inner.mean(axis=(1, 2)) - border if flat.shape[1] > inner[0].size else np.zeros(len(blocks)),
        _halves(blocks[:, :, :columns], blocks[:, :, -columns or None :], columns),
        _halves(blocks[:, :rows], blocks[:, -rows or None :], rows),
    ]


def _halves(one: np.ndarray, other: np.ndarray, size: int) -> np.ndarray:
    return one.mean(axis=(1, 2)) - other.mean(axis=(1, 2)) if size else np.zeros(len(one))


def _flat(values: np.ndarray) -> np.ndarray:
    """(N, everything else), one 0 where there is nothing else."""
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    return flat if flat.shape[1] else np.zeros((len(values), 1), values.dtype)
