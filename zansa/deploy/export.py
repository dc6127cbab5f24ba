"""Export to one ONNX file that takes decoded images of any size, or series, and gives probabilities; and the proof that
it answers as the network does from which it was made."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import torch
from torch import nn

from ..arch.use import Calibration
from ..inputs.images import fit_image
from ..nets.files import Model
from ..proof.decide import decisions
from ..record import write_atomic
from . import runtime
from .clock.twin import IR, twin
from .prepare import preparation

ROUNDING = 1e-5  # of a probability in float32, by two libraries
CHUNK = 64  # samples that the eager network takes at once


def export(model: Model, path: str | Path, images: Sequence[np.ndarray], tolerance: float = 1e-3) -> dict[str, Any]:
    """Write the model as ONNX, and prove it.

    The file of a model of images takes `image` (N, H, W, C) uint8 or uint16, for any N, H and W. That of a model of
    series takes `series` (N, length, channels) float32 or uint8 (twelfths of letters), for any N. Both give
    `probability` (N, classes).

    `images` are decoded real images (H, W, C) in their native sizes, or series at the model's length. The file is run
    on them before it is kept: ValueError, and nothing is written, when a probability differs from the network's by more
    than `tolerance`, or when the file prefers another class where the network's is ahead by more than that. Returns
    what was compared.
    """
    file = to_onnx(model)
    told = compare(file, model, images, tolerance)
    write_atomic(Path(path), file)
    return {"file": Path(path).name, "bytes": len(file), **told}


def to_onnx(model: Model) -> bytes:
    """The content of an ONNX file: preprocessing, network, calibration, softmax, and what is needed to read its
    answers."""
    if len(model.net.input.size) > 2:
        raise ValueError(f"networks of images and series are exported; this one takes inputs of {model.net.input.size}")
    network = _network(model)
    prepare = preparation(model.preprocess)
    graph = onnx.compose.merge_graphs(prepare.graph, network.graph, [("pixels", "pixels")], name="zansa")
    file = onnx.helper.make_model(graph, opset_imports=network.opset_import, ir_version=IR, producer_name="zansa")
    header = {
        "zansa": runtime.FORMAT,
        "net": model.net.to_json(indent=None),
        "classes": json.dumps(model.classes),
        "preprocess": model.preprocess.model_dump_json(),
        "operating": model.operating.model_dump_json() if model.operating else "",
        "calibration": model.calibration.model_dump_json() if model.calibration else "",
    }
    onnx.helper.set_model_props(file, header)
    onnx.checker.check_model(file)
    return file.SerializeToString()


def compare(file: bytes, model: Model, samples: Sequence[np.ndarray], tolerance: float = 1e-3) -> dict[str, Any]:
    """The gate: run an exported file and the network on the same samples; ValueError when they answer differently."""
    if not len(samples):
        raise ValueError("an export is proven on real images or series, and none were given; give some of validation")
    answers = runtime.predictor(file).by_graph(samples)
    expected = answers_of(model, samples)
    difference = np.abs(answers - expected).max(axis=1)
    same = answers.argmax(axis=1) == expected.argmax(axis=1)
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > tolerance
    changed = turned(expected, answers, model)
    wrong = ~(difference <= tolerance) | (~same & clear) | changed  # not a number is wrong as well
    if wrong.any():
        raise ValueError(
            f"the exported network answers differently on {wrong.sum()} of {len(samples)} {model.preprocess.noun}s: "
            f"probabilities differ by up to {difference.max():.2g} (allowed: {tolerance:g}), "
            f"{(~same & clear).sum()} classes and {changed.sum()} decisions differ; nothing was written"
        )
    return {
        "images": len(samples),
        "largest_difference": float(difference.max()),
        "same_class": int(same.sum()),
        "tolerance": tolerance,
        "noun": model.preprocess.noun,
    }


def turned(expected: np.ndarray, answers: np.ndarray, model: Model) -> np.ndarray:
    """On which samples the two decide differently, but for those within rounding of a line."""
    if model.operating is None:
        return np.zeros(len(expected), bool)
    good = model.classes.index(model.operating.good)
    ours, theirs = (decisions(p[:, good], model.operating) for p in (expected, answers))
    lines = np.array([model.operating.threshold, model.operating.ask or 0.0])
    near = np.abs(1 - expected[:, [good]] - lines).min(axis=1) <= ROUNDING
    return (ours != theirs) & ~near


def _network(model: Model) -> onnx.ModelProto:
    """The network with its weights and its calibration, as ONNX, with names that cannot clash with those of the
    preparation."""
    state = {name: value.numpy() for name, value in _on_cpu(model).state_dict().items()}
    network = twin(model.net, state, model.calibration)
    return onnx.compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)


class Calibrated(nn.Module):
    """Logits, scaled and shifted by a calibration."""

    shift: torch.Tensor

    def __init__(self, calibration: Calibration):
        super().__init__()
        self.scale = calibration.scale
        self.register_buffer("shift", torch.tensor(calibration.shift, dtype=torch.float32))

    def forward(self, f: torch.Tensor) -> torch.Tensor:
        """(N, K) logits -> the same."""
        return f * self.scale + self.shift


def _answering(model: Model) -> nn.Module:
    """The network with calibrated probabilities as its answer."""
    calibrated = [Calibrated(model.calibration)] if model.calibration else []
    return nn.Sequential(_on_cpu(model), *calibrated, nn.Softmax(1)).eval()


def _on_cpu(model: Model) -> nn.Module:
    return copy.deepcopy(model.module).to("cpu", torch.float32).eval()


@torch.inference_mode()
def answers_of(model: Model, samples: Sequence[np.ndarray]) -> np.ndarray:
    """(N, classes) probabilities of the network itself, on samples prepared as for training."""
    module, preprocess = _answering(model), model.preprocess
    ones = (1,) * len(preprocess.size)
    mean, std = (torch.tensor(values).view(1, -1, *ones) for values in (preprocess.mean, preprocess.std))
    answers = []
    for start in range(0, len(samples), CHUNK):
        chunk = samples[start : start + CHUNK]
        fitted = (
            chunk
            if preprocess.series
            else [fit_image(image, preprocess.size, preprocess.fit, preprocess.fill) for image in chunk]
        )
        pixels = torch.from_numpy(np.stack(fitted).astype(np.float32)).movedim(-1, 1)
        answers.append(module((pixels - mean) / std).numpy())
    return np.concatenate(answers)
