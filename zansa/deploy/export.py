"""Export to one ONNX file that takes decoded images of any size, or series, and gives probabilities; and the proof that
it answers as the network does from which it was made."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.compose
import torch

from ..inputs.heat import full_colour
from ..inputs.images import fitted
from ..nets.build import Network
from ..nets.class_maps import with_class_maps
from ..nets.files import Model
from ..proof.decide import decision_maps, decisions
from ..record import write_atomic
from . import runtime
from .clock.twin import IR, twin
from .prepare import preparation

ROUNDING = 1e-5  # of a probability in float32, by two libraries
CHUNK = 64  # samples that the eager network takes at once
TIED = 0.05  # of the samples may have other maps: of two places that are nearly equal, rounding says which is highest


class Own(NamedTuple):
    """What a network answers without its file.

    probabilities: (N, classes), calibrated.
    maps: (N, classes, *cells), what each place adds to each calibrated logit.
    """

    probabilities: np.ndarray
    maps: np.ndarray


def export(model: Model, path: str | Path, images: Sequence[np.ndarray], tolerance: float = 1e-3) -> dict[str, Any]:
    """Write the model as ONNX, and prove it.

    The file of a model of images takes `image` (N, H, W, C) uint8 or uint16, for any N, H and W. That of a model of
    series takes `series` (N, length, channels) float32 or uint8 (twelfths of letters), for any N. Both give
    `probability` (N, classes), and `map` (N, classes, *cells): what each place of the network's input adds to each
    class's calibrated logit (zansa.nets.class_maps).

    `images` are decoded real images (H, W, C) in their native sizes, or series at the model's length. The file is run
    on them before it is kept: ValueError, and nothing is written, when a probability differs from the network's by more
    than `tolerance`, when the file prefers another class where the network's is ahead by more than that, or when its
    maps are others. Returns what was compared.
    """
    _refuse_none(images)
    own = own_answers(model, images)
    file = to_onnx(model, own)
    told = compare(file, model, images, tolerance, own)
    write_atomic(Path(path), file)
    return {"file": Path(path).name, "bytes": len(file), **told}


def to_onnx(model: Model, own: Own | None = None) -> bytes:
    """The content of an ONNX file: preprocessing, network, calibration, softmax, class maps, and what is needed to read
    its answers. The maps of `own` answers to real images say which value has the full colour in pictures; without them
    it is 1."""
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
        "notes": model.notes,
        "strongest": repr(_strongest(model, own)) if own else "1",
    }
    onnx.helper.set_model_props(file, header)
    onnx.checker.check_model(file)
    return file.SerializeToString()


def _strongest(model: Model, own: Own) -> float:
    good = model.classes.index(model.operating.good) if model.operating else None
    return full_colour(decision_maps(*own, good, model.calibration))


def compare(
    file: bytes, model: Model, samples: Sequence[np.ndarray], tolerance: float = 1e-3, own: Own | None = None
) -> dict[str, Any]:
    """The gate: run an exported file and the network on the same samples; ValueError when they answer differently.
    `own` are the network's answers where they are known."""
    _refuse_none(samples)
    answers, maps = runtime.predictor(file).outputs(samples, ["probability", "map"])
    expected = own or own_answers(model, samples)
    difference = np.abs(answers - expected.probabilities).max(axis=1)
    same = answers.argmax(axis=1) == expected.probabilities.argmax(axis=1)
    best = np.sort(expected.probabilities, axis=1)
    clear = best[:, -1] - best[:, -2] > tolerance
    changed = turned(expected.probabilities, answers, model)
    wrong = ~(difference <= tolerance) | (~same & clear) | changed  # not a number is wrong as well
    if wrong.any():
        raise ValueError(
            f"the exported network answers differently on {wrong.sum()} of {len(samples)} {model.preprocess.noun}s: "
            f"probabilities differ by up to {difference.max():.2g} (allowed: {tolerance:g}), "
            f"{(~same & clear).sum()} classes and {changed.sum()} decisions differ; nothing was written"
        )
    apart = _apart(maps, expected.maps)
    if (other := ~(apart <= tolerance)).mean() > TIED:
        raise ValueError(
            f"the class maps of the exported network differ on {other.sum()} of {len(samples)} "
            f"{model.preprocess.noun}s by more than {tolerance:g} of their strongest place; nothing was written"
        )
    return {
        "images": len(samples),
        "largest_difference": float(difference.max()),
        "same_class": int(same.sum()),
        "tolerance": tolerance,
        "map_difference": float(apart.max()),
        "noun": model.preprocess.noun,
    }


def _refuse_none(samples: Sequence[np.ndarray]) -> None:
    if not len(samples):
        raise ValueError("an export is proven on real images or series, and none were given; give some of validation")


def _apart(maps: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """By how much the maps of each sample differ, (N,), in shares of their strongest place, or of 1 where that is
    weaker."""
    axes = tuple(range(1, maps.ndim))
    return np.asarray(np.abs(maps - expected).max(axes) / np.maximum(np.abs(expected).max(axes), 1.0))


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
    network = twin(model.net, state, model.calibration, maps=True)
    return onnx.compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)


def _on_cpu(model: Model) -> Network:
    return copy.deepcopy(model.module).to("cpu", torch.float32).eval()


def answers_of(model: Model, samples: Sequence[np.ndarray]) -> np.ndarray:
    """(N, classes) probabilities of the network itself, on samples prepared as for training."""
    return own_answers(model, samples).probabilities


@torch.inference_mode()
def own_answers(model: Model, samples: Sequence[np.ndarray]) -> Own:
    """What the network itself answers, on samples prepared as for training."""
    module, preprocess, calibration = _on_cpu(model), model.preprocess, model.calibration
    ones = (1,) * len(preprocess.size)
    mean, std = (torch.tensor(values).view(1, -1, *ones) for values in (preprocess.mean, preprocess.std))
    scale = 1.0 if calibration is None else calibration.scale
    shift = torch.tensor(0.0 if calibration is None else calibration.shift, dtype=torch.float32)
    found = []
    for start in range(0, len(samples), CHUNK):
        chunk = samples[start : start + CHUNK]
        levels = chunk if preprocess.series else [fitted(image, preprocess) for image in chunk]
        pixels = torch.from_numpy(np.stack(levels).astype(np.float32)).movedim(-1, 1)
        logits, maps = with_class_maps(module, (pixels - mean) / std)
        found.append(((logits * scale + shift).softmax(1).numpy(), (maps * scale).numpy()))
    return Own(*(np.concatenate(each) for each in zip(*found, strict=True)))
