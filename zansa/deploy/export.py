"""Export to one ONNX file that takes decoded images of any size, or series, and gives probabilities, and prove that it
answers as the network it was made from."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.parser
import torch
from torch import nn

from ..arch.use import Preprocess
from ..inputs.images import fit_image
from ..nets.files import Model
from ..record import write_atomic
from . import runtime

OPSET = 18  # read by onnxruntime since 1.14
ROUNDING = 1e-5  # of a probability in float32, by two libraries
CHUNK = 64  # images that the eager network takes at once

# From images as decoded to the network's input: zansa.inputs.images.fit_image and the normalisation,
# in ONNX's own text.
# The resize is two products with matrices of Pillow's triangle weights, in float64 until they are normalised. ONNX's
# Resize with antialias is up to twice as fast on large colour images, but its float32 positions miss 16-bit levels by
# two, and engines other than onnxruntime's CPU lack it or compute it differently.
PREPARE = """
<ir_version: {ir}, opset_import: ["": {opset}]>
prepare (uint{depth}[N, H, W, {channels}] image) => (float[N, {channels}, {height}, {width}] pixels)
<int64[2] target = {{{height}, {width}}}, int64[1] last = {{1}}, int64[1] two = {{2}}, int64[2] least = {{1, 1}},
 double height = {{{height}}}, double width = {{{width}}},
 double zero = {{0}}, double half = {{0.5}}, double one = {{1}}, float half_level = {{0.5}},
 float[{channels}, 1, 1] fill = {{{fill}}},
 float[{channels}, 1, 1] mean = {{{mean}}}, float[{channels}, 1, 1] std = {{{std}}}>
{{
    given = Shape <start = 1, end = 3> (image)
    {inner}
    gap = Sub (target, inner)
    before = Div (gap, two)
    whole = Cast <to = 11> (given)
    part = Cast <to = 11> (inner)
    offset = Cast <to = 11> (before)
    ratio = Div (whole, part)
    reach = Max (ratio, one)
    {rows}
    {columns}
    columns_turned = Transpose <perm = [1, 0]> (columns_weights)
    planes = Transpose <perm = [0, 3, 1, 2]> (image)
    decoded = Cast <to = 1> (planes)
    lowered = MatMul (rows_weights, decoded)
    resized = MatMul (lowered, columns_turned)
    raised = Add (resized, half_level)
    rounded = Floor (raised)
    inside_column = Transpose <perm = [1, 0]> (columns_inside)
    inside = And (rows_inside, inside_column)
    levels = Where (inside, rounded, fill)
    centred = Sub (levels, mean)
    pixels = Div (centred, std)
}}
"""
# From series as zansa.inputs.series.prepare_series gives them to the network's input.
PREPARE_SERIES = """
<ir_version: {ir}, opset_import: ["": {opset}]>
prepare ({kind}[N, {length}, {channels}] series) => (float[N, {channels}, {length}] pixels)
<float[{channels}, 1] mean = {{{mean}}}, float[{channels}, 1] std = {{{std}}}>
{{
    planes = Transpose <perm = [0, 2, 1]> (series)
    levels = Cast <to = 1> (planes)
    centred = Sub (levels, mean)
    pixels = Div (centred, std)
}}
"""
# (height, width) of the image within the target; for "letterbox" zansa.inputs.images.inner_size of both sides at once
INNER = {
    "stretch": "inner = Identity (target)",
    "letterbox": """
    crosswise = Constant <value = int64[2] {1, 0}> ()
    other = Gather (given, crosswise)
    room = Gather (target, crosswise)
    product = Mul (given, room)
    doubled = Mul (product, two)
    above_half = Add (doubled, other)
    twice = Mul (other, two)
    nearest = Div (above_half, twice)
    at_least = Max (nearest, least)
    inner = Min (at_least, target)""",
}
# weights (target, given): each row is a triangle around a new pixel's centre, as wide as a pixel of the coarser grid;
# inside (target, 1): whether that pixel belongs to the image or to the border of the letterbox. A pixel's triangle sums
# to a half at least; the lower bound only keeps border pixels from 0 / 0.
AXIS = """
    {axis}_at = Constant <value = int64 {{{at}}}> ()
    {axis}_whole = Gather (whole, {axis}_at)
    {axis}_part = Gather (part, {axis}_at)
    {axis}_offset = Gather (offset, {axis}_at)
    {axis}_ratio = Gather (ratio, {axis}_at)
    {axis}_reach = Gather (reach, {axis}_at)
    {axis}_given = Range (half, {axis}_whole, one)
    {axis}_target = Range (half, {size}, one)
    {axis}_target_column = Unsqueeze ({axis}_target, last)
    {axis}_new = Sub ({axis}_target_column, {axis}_offset)
    {axis}_begun = Greater ({axis}_new, zero)
    {axis}_not_ended = Less ({axis}_new, {axis}_part)
    {axis}_inside = And ({axis}_begun, {axis}_not_ended)
    {axis}_centre = Mul ({axis}_new, {axis}_ratio)
    {axis}_apart = Sub ({axis}_given, {axis}_centre)
    {axis}_distance = Abs ({axis}_apart)
    {axis}_relative = Div ({axis}_distance, {axis}_reach)
    {axis}_slope = Sub (one, {axis}_relative)
    {axis}_triangle = Max ({axis}_slope, zero)
    {axis}_sum = ReduceSum ({axis}_triangle, last)
    {axis}_total = Max ({axis}_sum, half)
    {axis}_share = Div ({axis}_triangle, {axis}_total)
    {axis}_weights = Cast <to = 1> ({axis}_share)"""


def export(model: Model, path: str | Path, images: Sequence[np.ndarray], tolerance: float = 1e-3) -> dict[str, Any]:
    """Write the model as ONNX: `image` (N, H, W, C) uint8 or uint16, any N, H and W -> `probability` (N, classes); of a
    model of series, `series` (N, length, channels) float32 or uint8 (twelfths of letters), any N.

    `images` are decoded real images (H, W, C) in their native sizes, or series at the model's length. The file is run
    on them before it is kept: ValueError, and nothing written, when a probability differs from the network's by more
    than `tolerance`, or a class that the network prefers by more than that. Returns what was compared.
    """
    file = to_onnx(model)
    told = compare(file, model, images, tolerance)
    write_atomic(Path(path), file)
    return {"file": Path(path).name, "bytes": len(file), **told}


def to_onnx(model: Model) -> bytes:
    """The content of an ONNX file: preprocessing, network, softmax, and how its answers are read."""
    if len(model.net.input.size) > 2:
        raise ValueError(f"networks of images and series are exported; this one takes inputs of {model.net.input.size}")
    network = _strip(_network(model))
    prepare = preparation(model.preprocess, network.ir_version)
    graph = onnx.compose.merge_graphs(prepare.graph, network.graph, [("pixels", "pixels")], name="zansa")
    file = onnx.helper.make_model(
        graph, opset_imports=network.opset_import, ir_version=network.ir_version, producer_name="zansa"
    )
    header = {
        "zansa": runtime.FORMAT,
        "net": model.net.to_json(indent=None),
        "classes": json.dumps(model.classes),
        "preprocess": model.preprocess.model_dump_json(),
        "operating": model.operating.model_dump_json() if model.operating else "",
    }
    onnx.helper.set_model_props(file, header)
    onnx.checker.check_model(file)
    return file.SerializeToString()


def compare(file: bytes, model: Model, images: Sequence[np.ndarray], tolerance: float = 1e-3) -> dict[str, Any]:
    """The gate: run an exported file and the network on the same images; ValueError when they answer differently."""
    if not len(images):
        raise ValueError("an export is proven on real images or series, and none were given; give some of validation")
    found = runtime.predictor(file).probabilities(images)
    expected = _eager(model, images)
    difference = np.abs(found - expected).max(axis=1)
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > tolerance
    turned = _turned(expected, found, model)
    wrong = ~(difference <= tolerance) | (~same & clear) | turned  # not a number is wrong as well
    if wrong.any():
        raise ValueError(
            f"the exported network answers differently on {wrong.sum()} of {len(images)} {model.preprocess.noun}s: "
            f"probabilities differ by up to {difference.max():.2g} (allowed: {tolerance:g}), "
            f"{(~same & clear).sum()} classes and {turned.sum()} decisions differ; nothing was written"
        )
    return {
        "images": len(images),
        "largest_difference": float(difference.max()),
        "same_class": int(same.sum()),
        "tolerance": tolerance,
        "noun": model.preprocess.noun,
    }


def _turned(expected: np.ndarray, found: np.ndarray, model: Model) -> np.ndarray:
    """Which images would be rejected by one and accepted by the other, though not within rounding of the line."""
    if model.operating is None:
        return np.zeros(len(expected), bool)
    good, line = model.classes.index(model.operating.good), model.operating.threshold
    ours, theirs = 1 - expected[:, good], 1 - found[:, good]
    return ((ours >= line) != (theirs >= line)) & (np.abs(ours - line) > ROUNDING)


def _network(model: Model) -> onnx.ModelProto:
    preprocess = model.preprocess
    example = torch.zeros(2, preprocess.channels, *preprocess.size)  # two: an example of one would fix N at 1
    program = torch.onnx.export(
        nn.Sequential(_on_cpu(model), nn.Softmax(1)).eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["pixels"],
        output_names=["probability"],
        dynamic_shapes=({0: torch.export.Dim("N")},),
        verbose=False,
    )
    assert program is not None
    assert not program.model_proto.functions
    # own names for the values inside, so that none can clash with those of PREPARE
    return onnx.compose.add_prefix(program.model_proto, "network/", rename_inputs=False, rename_outputs=False)


def _on_cpu(model: Model) -> nn.Module:
    return copy.deepcopy(model.module).to("cpu", torch.float32).eval()


def preparation(preprocess: Preprocess, ir: int) -> onnx.ModelProto:
    """The preprocessing alone, as an ONNX model of version `ir`: `image` (N, H, W, C) or `series` (N, L, C) -> `pixels`
    (N, C, *size)."""
    channels = preprocess.channels
    mean, std = _numbers(preprocess.mean, channels), _numbers(preprocess.std, channels)
    if preprocess.series:
        kind, length = "uint8" if preprocess.alphabet else "float", preprocess.size[0]
        return onnx.parser.parse_model(PREPARE_SERIES.format(
            ir=ir, opset=OPSET, kind=kind, channels=channels, length=length, mean=mean, std=std,
        ))  # fmt: skip
    height, width = preprocess.size
    text = PREPARE.format(
        ir=ir, opset=OPSET, depth=preprocess.depth, channels=channels, height=height, width=width,
        fill=_numbers(preprocess.fill, channels), mean=mean, std=std,
        inner=INNER[preprocess.fit],
        rows=AXIS.format(axis="rows", at=0, size="height"), columns=AXIS.format(axis="columns", at=1, size="width"),
    )  # fmt: skip
    return onnx.parser.parse_model(text)


def _numbers(values: tuple[float, ...], channels: int) -> str:
    return ", ".join(repr(float(value)) for value in np.broadcast_to(values, channels))  # repr is read back exactly


def _strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes, among them stack traces with paths of the machine it ran on."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model


@torch.inference_mode()
def _eager(model: Model, images: Sequence[np.ndarray]) -> np.ndarray:
    """(N, classes) probabilities of the network itself, on images prepared as for training."""
    module, preprocess = _on_cpu(model), model.preprocess
    ones = (1,) * len(preprocess.size)
    mean, std = (torch.tensor(values).view(1, -1, *ones) for values in (preprocess.mean, preprocess.std))
    answers = []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        fitted = chunk if preprocess.series else [
            fit_image(image, preprocess.size, preprocess.fit, preprocess.fill) for image in chunk
        ]  # fmt: skip
        pixels = torch.from_numpy(np.stack(fitted).astype(np.float32)).movedim(-1, 1)
        answers.append(module((pixels - mean) / std).softmax(1).numpy())
    return np.concatenate(answers)
