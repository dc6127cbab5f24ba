"""From an exported file in float32 to one in int8: weights per channel, activations by the ranges that real samples
have, both by onnxruntime's own quantiser (QDQ).

Defects are the outliers of an inspection, so ranges are those of the largest values ever seen among images that include
defects; means and percentiles of ranges cut just them off. What stands before the network's first activation (contrast,
first convolution) stays in float32: quantised, it destroys small differences of gray. So do pooling, classifier and
calibration behind the last stage: they cost nothing, and logits in 255 steps turn decisions near the line.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from ..arch.use import OperatingPoint
from .portable import folded, merged
from .runtime import Predictor, predictor
from .slim import slim

FLOAT = ("network/stem", "network/head", "network/calibration", "network/map/")  # what is never quantised


@dataclass(frozen=True)
class Quantised:
    """A way to quantise, and what came of it.

    way: in words: the calibration, and the nodes that were left in float32.
    file: the content of the file.
    left: the names of the nodes that were left in float32 although they could have been quantised.
    """

    way: str
    file: bytes
    left: tuple[str, ...] = ()


@contextmanager
def _silence() -> Iterator[None]:
    """The quantiser prints its progress, and advises to prepare the file by a tool that raises its version, so that
    old runtimes refuse it."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


class _Samples(CalibrationDataReader):
    """Decoded samples, one at a time, as the exported file takes them."""

    def __init__(self, name: str, samples: Sequence[np.ndarray]) -> None:
        self.rest: Iterator[dict[str, np.ndarray]] = iter([{name: sample[None]} for sample in samples])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rest, None)


def quantised(
    file: bytes,
    samples: Sequence[np.ndarray],
    left: tuple[str, ...] = (),
    method: CalibrationMethod = CalibrationMethod.MinMax,
) -> Quantised:
    """The exported file in int8, with ranges found by `method` on decoded samples (H, W, C); the nodes `left` stay in
    float32."""
    source = prepared(file)
    nodes = [name for name in quantisable(source) if name not in left]
    with TemporaryDirectory() as folder, _silence():
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(source.SerializeToString())
        quantize_static(
            before,
            after,
            _Samples(source.graph.input[0].name, samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,  # AVX2 adds pairs of products in 16 bits, which saturate with full 8-bit weights
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=method,
            nodes_to_quantize=nodes,
        )
        made = slim(onnx.load(after))
    way = {CalibrationMethod.MinMax: "min-max"}.get(method, method.name.lower())
    way += f", {len(left)} node{'s' * (len(left) > 1)} in float32" if left else ""
    return Quantised(way, made.SerializeToString(), left)


def with_point(file: bytes, point: OperatingPoint) -> bytes:
    """An exported file with another operating point in its header."""
    model = onnx.load_from_string(file)
    for each in model.metadata_props:
        if each.key == "operating":
            each.value = point.model_dump_json()
    return model.SerializeToString()


def prepared(file: bytes) -> onnx.ModelProto:
    """The exported file with norms folded and shortcuts merged: what is quantised."""
    return merged(folded(onnx.load_from_string(file)))


def quantisable(model: onnx.ModelProto) -> list[str]:
    """The names of the network's nodes behind its stem and before its answers, in order."""
    return [
        node.name for node in model.graph.node if node.name.startswith("network/") and not node.name.startswith(FLOAT)
    ]


def heavy(file: bytes) -> list[str]:
    """The nodes that have weights, which are those worth leaving out."""
    model = prepared(file)
    kept = set(quantisable(model))
    return [node.name for node in model.graph.node if node.name in kept and node.op_type in ("Conv", "Gemm")]


def simulated(file: bytes, samples: Sequence[np.ndarray]) -> np.ndarray:
    """What an int8 file answers when its integers are computed in float32, where nothing saturates: (N, classes)."""
    opened: Predictor = predictor(file)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    plain = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = opened.session.get_inputs()[0].name
    return np.concatenate([plain.run(["probability"], {name: sample[None]})[0] for sample in samples])
