"""How long a network takes for a sample, from its exported file."""

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..inputs.images import fitted
from .engines import Run, openvino_whole
from .runtime import Predictor, input_of, session_of

WARM_UP = 5
ENGINES = ("ort", "openvino")


def latency(
    predictor: Predictor,
    threads: int = 1,
    batch: int = 1,
    repeats: int = 50,
    size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Milliseconds per sample, from decoded pixels to probabilities: the median of `repeats` runs after a warm-up.

    `size` is the (height, width) of images before they are fitted; by default it is the network's own, so nothing is
    resized. ONNX Runtime gets fitted images, as `zansa predict` and `zansa serve` fit them, and the fitting is timed
    too; other engines fit in the graph. Series always have the network's length.
    """
    return measured(predictor, threads, batch, repeats, size)[0]


def measured(
    predictor: Predictor,
    threads: int = 1,
    batch: int = 1,
    repeats: int = 50,
    size: tuple[int, int] | None = None,
    engine: str = "ort",
) -> tuple[dict[str, Any], list[float]]:
    """The figures of `latency`, and the milliseconds per sample of every run. `engine` is one of ENGINES; ValueError
    where it is not installed."""
    for name, value in (("threads", threads), ("batch", batch), ("repeats", repeats)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: 1 or more")
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} was asked; allowed: {', '.join(ENGINES)}")
    preprocess = predictor.preprocess
    shape = preprocess.size if size is None or preprocess.series else size
    levels = np.random.default_rng(0).integers(0, 256, (batch, *shape, preprocess.channels)).astype(preprocess.dtype)
    run, what = _running(predictor, threads, engine)
    took = [_seconds(run, levels) for _ in range(WARM_UP + repeats)][WARM_UP:]
    times = [1e3 * wall / batch for wall, _ in took]
    return {
        "what": what,
        "device": "cpu",
        "threads": threads,
        "precision": "int8" if b"QLinear" in predictor.file or b"DequantizeLinear" in predictor.file else "float32",
        "batch": batch,
        "size": list(shape),
        "ms": median(times),
        "work_ms": 1e3 * median(work for _, work in took) / batch,  # of all threads; less than ms where one has to wait
        "repeats": repeats,
    }, times


def _running(predictor: Predictor, threads: int, engine: str) -> tuple[Run, str]:
    name = input_of(predictor.preprocess)
    if engine == "openvino":
        return openvino_whole(predictor.file, threads), "OpenVINO"
    session = session_of(predictor.file, threads, "the model")

    def run(levels: np.ndarray) -> np.ndarray:
        if not predictor.preprocess.series:
            levels = np.stack([fitted(image, predictor.preprocess) for image in levels])
        return session.run(["probability"], {name: levels})[0]

    return run, "ONNX Runtime"


def _seconds(run: Run, levels: np.ndarray) -> tuple[float, float]:
    """Seconds that pass, and seconds of work."""
    start, work = time.perf_counter(), time.process_time()
    run(levels)
    return time.perf_counter() - start, time.process_time() - work


def memory() -> int:
    """Bytes of this process in memory now; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
