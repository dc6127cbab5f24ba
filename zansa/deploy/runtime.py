"""Predict from an exported file: onnxruntime, numpy and Pillow, never torch."""

import csv
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import numpy as np
import onnxruntime

from ..arch.use import OperatingPoint, Preprocess
from ..images import printable, read_image

FORMAT = "1"
COLUMNS = ("image", "class", "probability", "decision", "score", "error")
BATCH = 32  # images in one run, at most
PIXELS = 2**24  # pixels in one run, at most (unless one image has more): large photographs are not to fill the memory
WARM_UP = 5


@dataclass(frozen=True)
class Predictor:
    """An exported network, ready to run on the CPU. `file` is the file's content."""

    classes: tuple[str, ...]
    preprocess: Preprocess
    operating: OperatingPoint | None
    file: bytes
    session: onnxruntime.InferenceSession

    def probabilities(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Decoded images (H, W, C) of any sizes -> (N, classes) float32. Images of equal size run together."""
        for image in images:
            _check(image, self.preprocess)
        answers = np.empty((len(images), len(self.classes)), np.float32)
        for batch in _batches(images):
            stacked = np.stack([images[i] for i in batch])
            answers[batch] = self.session.run(["probability"], {"image": stacked})[0]
        return answers


def predictor(source: str | Path | bytes, threads: int | None = None) -> Predictor:
    """The network of an exported file, or of its content, on `threads` threads (default: one per usable core).

    ValueError when the file is missing, foreign, damaged or too new for this version.
    """
    name = "this content" if isinstance(source, bytes) else str(source)
    file = source if isinstance(source, bytes) else _content(Path(source))
    session = _session(file, threads or _cores(), name)
    header = session.get_modelmeta().custom_metadata_map
    if "zansa" not in header:
        raise ValueError(f"{name} is an ONNX file, but not one of zansa: export a trained model with 'zansa export'")
    if header["zansa"] != FORMAT:
        raise ValueError(
            f"{name} has format {header['zansa']}; this version of zansa reads format {FORMAT}: update zansa"
        )
    try:
        return _predictor(header, file, session)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{name} is damaged, export it again: {type(error).__name__}: {error}") from None


def predict(predictor: Predictor, files: Iterable[str | Path]) -> Iterator[dict[str, Any]]:
    """One row per image file, in the given order, with the keys COLUMNS.

    `score` is 1 - p(good), and `decision` is "reject" when it reaches the threshold, else "accept"; both are None in
    a model without operating point. A file that cannot be read has only `image` and `error`.
    """
    for chunk in _chunks(_read(file, predictor.preprocess) for file in files):
        answers = iter(predictor.probabilities([image for _, image, _ in chunk if image is not None]))
        for name, image, error in chunk:
            yield _row(name, error, None if image is None else next(answers), predictor)


def write_csv(rows: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Rows of `predict` as CSV with a header; None is an empty field. Open `out` with newline="". Returns how many
    images were answered."""
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    return sum(bool(writer.writerow(row)) and row["error"] is None for row in rows)


def write_jsonl(rows: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Rows of `predict` as JSON, one object per line. Returns how many images were answered."""
    return sum(bool(out.write(json.dumps(row, ensure_ascii=False) + "\n")) and row["error"] is None for row in rows)


def latency(
    predictor: Predictor,
    threads: int = 1,
    batch: int = 1,
    repeats: int = 50,
    size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Milliseconds per image, from decoded pixels to probabilities: the median of `repeats` runs after a warm-up.

    `size` is the images' (height, width) before they are fitted; default: the network's own, so nothing is resized.
    """
    for name, value in (("threads", threads), ("batch", batch), ("repeats", repeats)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: 1 or more")
    height, width = size or predictor.preprocess.size
    levels = np.random.default_rng(0).integers(0, 256, (batch, height, width, predictor.preprocess.channels))
    feed = {"image": levels.astype(_dtype(predictor.preprocess))}
    session = _session(predictor.file, threads, "the model")
    seconds = [_seconds(session, feed) for _ in range(WARM_UP + repeats)][WARM_UP:]
    return {
        "what": "ONNX Runtime",
        "device": "cpu",
        "threads": threads,
        "precision": "float32",
        "batch": batch,
        "size": [height, width],
        "ms": 1e3 * median(seconds) / batch,
        "repeats": repeats,
    }


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path.read_bytes()


def _cores() -> int:
    # not onnxruntime's own default: it pins its threads to cores that this process may not use (containers, taskset)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _session(file: bytes, threads: int, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what matters comes as an exception
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise ValueError(
            f"{name} is no ONNX file, is damaged, or is too new for onnxruntime {onnxruntime.__version__}: {error}"
        ) from None


def _predictor(header: dict[str, str], file: bytes, session: onnxruntime.InferenceSession) -> Predictor:
    classes = tuple(json.loads(header["classes"]))
    preprocess = Preprocess.model_validate_json(header["preprocess"])
    operating = OperatingPoint.model_validate_json(header["operating"]) if header["operating"] else None
    outputs = {value.name: value.shape[-1] for value in session.get_outputs()}
    if outputs != {"probability": len(classes)}:
        raise ValueError(f"it names {len(classes)} classes, and its outputs are {outputs}")
    if operating and operating.good not in classes:
        raise ValueError(f"its good class {operating.good!r} is not among {classes}")
    return Predictor(classes, preprocess, operating, file, session)


def _dtype(preprocess: Preprocess) -> type[np.unsignedinteger]:
    return np.uint16 if preprocess.depth == 16 else np.uint8


def _check(image: np.ndarray, preprocess: Preprocess) -> None:
    dtype = np.dtype(_dtype(preprocess))
    if image.ndim != 3 or image.shape[2] != preprocess.channels or image.dtype != dtype or not image.size:
        raise ValueError(
            f"an image is {image.dtype} {image.shape}; this model takes {dtype} (height, width, "
            f"{preprocess.channels}): read files with "
            f"read_image(file, channels={preprocess.channels}, depth={preprocess.depth})"
        )


def _batches(images: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Indices of images of equal size, at most BATCH images and PIXELS pixels at once."""
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        by_shape[image.shape].append(i)
    for (height, width, _), indices in by_shape.items():
        count = max(1, min(BATCH, PIXELS // (height * width)))
        yield from (indices[i : i + count] for i in range(0, len(indices), count))


Read = tuple[str, np.ndarray | None, str | None]  # name, image, error


def _read(file: str | Path, preprocess: Preprocess) -> Read:
    name = printable(str(file))
    try:
        return name, read_image(Path(file), preprocess.channels, preprocess.depth), None
    except ValueError as error:
        return name, None, str(error)


def _chunks(items: Iterable[Read]) -> Iterator[list[Read]]:
    """As many decoded images as are held in memory at once."""
    chunk: list[Read] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == BATCH or sum(image.size for _, image, _ in chunk if image is not None) > PIXELS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _row(name: str, error: str | None, answer: np.ndarray | None, predictor: Predictor) -> dict[str, Any]:
    row: dict[str, Any] = {**dict.fromkeys(COLUMNS), "image": name, "error": error}
    if answer is None:
        return row
    best = int(answer.argmax())
    row |= {"class": predictor.classes[best], "probability": float(answer[best])}
    if point := predictor.operating:
        score = 1 - float(answer[predictor.classes.index(point.good)])
        row |= {"score": score, "decision": "reject" if score >= point.threshold else "accept"}
    return row


def _seconds(session: onnxruntime.InferenceSession, feed: dict[str, np.ndarray]) -> float:
    start = time.perf_counter()
    session.run(["probability"], feed)
    return time.perf_counter() - start
