"""How long a network takes for a sample, from its exported file."""

import time
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

from .runtime import Predictor, _input, _session

WARM_UP = 5


def latency(
    predictor: Predictor,
    threads: int = 1,
    batch: int = 1,
    repeats: int = 50,
    size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Milliseconds per sample, from decoded pixels to probabilities: the median of `repeats` runs after a warm-up.

    `size` is the (height, width) of images before they are fitted; by default it is the network's own, so nothing is
    resized. Series always have the network's length.
    """
    for name, value in (("threads", threads), ("batch", batch), ("repeats", repeats)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: 1 or more")
    preprocess = predictor.preprocess
    shape = preprocess.size if size is None or preprocess.series else size
    levels = np.random.default_rng(0).integers(0, 256, (batch, *shape, preprocess.channels))
    feed = {_input(preprocess): levels.astype(preprocess.dtype)}
    session = _session(predictor.file, threads, "the model")
    seconds = [_seconds(session, feed) for _ in range(WARM_UP + repeats)][WARM_UP:]
    return {
        "what": "ONNX Runtime",
        "device": "cpu",
        "threads": threads,
        "precision": "float32",
        "batch": batch,
        "size": list(shape),
        "ms": 1e3 * median(seconds) / batch,
        "repeats": repeats,
    }


def _seconds(session: onnxruntime.InferenceSession, feed: dict[str, np.ndarray]) -> float:
    start = time.perf_counter()
    session.run(["probability"], feed)
    return time.perf_counter() - start
