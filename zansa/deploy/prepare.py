"""What an exported file does before its network, in ONNX's own text: decoded images or series become the network's
input."""

import numpy as np
import onnx
import onnx.parser

from ..arch.use import Preprocess
from ..inputs.images import HALF
from .clock.twin import IR, OPSET

# From images as decoded to the network's input: zansa.inputs.images.fit_image and the normalisation.
# The resize is two products with matrices of Pillow's triangle weights, in float64, so that both sides round alike.
# The columns' matrix is made as it is used, since onnxruntime 1.16 joins a product and a turning before it into a node
# that it has for float32 alone.
# ONNX's Resize with antialias is up to three times as fast on large colour images, but its float32 positions miss
# 16-bit levels by two, and engines other than onnxruntime's CPU lack it or compute it differently.
PREPARE = """
<ir_version: {ir}, opset_import: ["": {opset}]>
prepare (uint{depth}[N, H, W, {channels}] image) => (float[N, {channels}, {height}, {width}] pixels)
<int64[2] target = {{{height}, {width}}}, int64[1] first = {{0}}, int64[1] last = {{1}}, int64[1] two = {{2}},
 double height = {{{height}}}, double width = {{{width}}},
 double zero = {{0}}, double half = {{0.5}}, double one = {{1}}, double half_level = {{{half}}},
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
    planes = Transpose <perm = [0, 3, 1, 2]> (image)
    decoded = Cast <to = 11> (planes)
    lowered = MatMul (rows_weights, decoded)
    resized = MatMul (lowered, columns_weights)
    raised = Add (resized, half_level)
    floored = Floor (raised)
    rounded = Cast <to = 1> (floored)
    inside = And (rows_inside, columns_inside)
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
    least = Constant <value = int64[2] {1, 1}> ()
    at_least = Max (nearest, least)
    inner = Min (at_least, target)""",
}
# weights, (target, given) of rows and (given, target) of columns: along the given pixels they are a triangle around a
# new pixel's centre, as wide as a pixel of the coarser grid. inside, (target, 1) and (target): whether it is a pixel of
# the image or of the border of the letterbox. A pixel's triangle sums to a half at least; the lower bound only keeps
# border pixels from 0 / 0.
AXIS = """
    {axis}_at = Constant <value = int64 {{{at}}}> ()
    {axis}_whole = Gather (whole, {axis}_at)
    {axis}_part = Gather (part, {axis}_at)
    {axis}_offset = Gather (offset, {axis}_at)
    {axis}_ratio = Gather (ratio, {axis}_at)
    {axis}_reach = Gather (reach, {axis}_at)
    {axis}_given = Range (half, {axis}_whole, one)
    {axis}_target = Range (half, {size}, one)
    {axis}_{upright}_column = Unsqueeze ({axis}_{upright}, last)
    {axis}_new = Sub ({axis}_{target}, {axis}_offset)
    {axis}_begun = Greater ({axis}_new, zero)
    {axis}_not_ended = Less ({axis}_new, {axis}_part)
    {axis}_inside = And ({axis}_begun, {axis}_not_ended)
    {axis}_centre = Mul ({axis}_new, {axis}_ratio)
    {axis}_apart = Sub ({axis}_{given}, {axis}_centre)
    {axis}_distance = Abs ({axis}_apart)
    {axis}_relative = Div ({axis}_distance, {axis}_reach)
    {axis}_slope = Sub (one, {axis}_relative)
    {axis}_triangle = Max ({axis}_slope, zero)
    {axis}_sum = ReduceSum ({axis}_triangle, {along})
    {axis}_total = Max ({axis}_sum, half)
    {axis}_weights = Div ({axis}_triangle, {axis}_total)"""


def preparation(preprocess: Preprocess) -> onnx.ModelProto:
    """The preprocessing alone, as an ONNX model: `image` (N, H, W, C) or `series` (N, L, C) -> `pixels` (N, C, *size).

    Every node has a name: onnxruntime 1.18 to 1.20 gives the nodes that it makes of nameless ones the same name, and
    then refuses the file (microsoft/onnxruntime#24217).
    """
    model = onnx.parser.parse_model(_text(preprocess))
    for node in model.graph.node:
        node.name = f"prepare/{node.output[0]}"
    return model


def _text(preprocess: Preprocess) -> str:
    channels = preprocess.channels
    mean, std = _numbers(preprocess.mean, channels), _numbers(preprocess.std, channels)
    if preprocess.series:
        kind, length = "uint8" if preprocess.alphabet else "float", preprocess.size[0]
        return PREPARE_SERIES.format(
            ir=IR,
            opset=OPSET,
            kind=kind,
            channels=channels,
            length=length,
            mean=mean,
            std=std,
        )
    height, width = preprocess.size
    return PREPARE.format(
        ir=IR,
        opset=OPSET,
        depth=preprocess.depth,
        channels=channels,
        height=height,
        width=width,
        fill=_numbers(preprocess.fill, channels),
        mean=mean,
        std=std,
        half=repr(HALF),
        inner=INNER[preprocess.fit],
        rows=AXIS.format(
            axis="rows", at=0, size="height", upright="target", target="target_column", given="given", along="last"
        ),
        columns=AXIS.format(
            axis="columns", at=1, size="width", upright="given", target="target", given="given_column", along="first"
        ),
    )


def _numbers(values: tuple[float, ...], channels: int) -> str:
    return ", ".join(repr(float(value)) for value in np.broadcast_to(values, channels))  # repr is read back exactly
