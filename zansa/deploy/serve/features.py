"""What watching needs to know of a part, from its levels and its probabilities: cheap, NumPy alone.

Image statistics see changes of light, focus and noise that the network's answers do not show.
"""

import numpy as np

SIDE = 512  # pixels that are looked at along a side: an even grid for levels, the centre for sharpness


def image_features(levels: np.ndarray) -> dict[str, float]:
    """Statistics of a decoded image (H, W, C), uint8 or uint16, in shares of the full range.

    mean, deviation: of the levels. sharpness: log10 of the variance of the Laplacian. low, high: the 1 % and 99 %
    quantiles. saturated: share of pixels at the end of the range. tilt: mean of the upper half minus that of the lower.
    """
    top = float(np.iinfo(levels.dtype).max)
    step = [max(1, -(-size // SIDE)) for size in levels.shape[:2]]
    grid = levels[:: step[0], :: step[1]].mean(2, dtype=np.float32) / top
    y, x = (max(0, (size - SIDE) // 2) for size in levels.shape[:2])
    centre = levels[y : y + SIDE, x : x + SIDE].mean(2, dtype=np.float32) / top
    low, high = np.quantile(grid, [0.01, 0.99])
    half = grid.shape[0] // 2
    return {
        "mean": float(grid.mean()),
        "deviation": float(grid.std()),
        "sharpness": _sharpness(centre),
        "low": float(low),
        "high": float(high),
        "saturated": float((grid >= 1).mean()),
        "tilt": float(grid[:half].mean() - grid[half:].mean()) if half else 0.0,
    }


def answer_features(probabilities: np.ndarray) -> dict[str, float]:
    """margin: the two largest probabilities apart. entropy: in nats."""
    ordered = np.sort(probabilities.astype(np.float64))[::-1]
    shares = np.clip(ordered, 1e-12, 1)
    margin = ordered[0] - ordered[1] if len(ordered) > 1 else 1.0
    return {"margin": float(margin), "entropy": float(-(shares * np.log(shares)).sum())}


def packed(reads: np.ndarray) -> bytes:
    """What the last layer read of a part, (D,), as it is kept: in half precision, which costs a thousandth."""
    most = float(np.finfo(np.float16).max)
    return reads.clip(-most, most).astype("<f2").tobytes()


def unpacked(kept: bytes) -> np.ndarray:
    """What the last layer read of a part, (D,) float32, from the bytes that `packed` has made of it."""
    return np.frombuffer(kept, "<f2").astype(np.float32)


def _sharpness(levels: np.ndarray) -> float:
    if min(levels.shape) < 3:
        return -12.0
    inner = levels[1:-1, 1:-1]
    laplacian = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * inner
    return float(np.log10(laplacian.var() + 1e-12))
