"""A description as an ONNX file, row by row, without torch. With the weights of a network it is that network's export.
With arbitrary weights it takes onnxruntime as long as the export would. The nodes are those that torch.onnx.export
writes for zansa.nets.build."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...arch.lower import Row, Table, lower, shrink
from ...arch.spec import Net
from ...arch.use import Calibration

OPSET, IR = 18, 8  # of exported files: every onnxruntime from 1.16 on reads both; 1.16 and 1.17 refuse IR 10
COARSE = 4  # zansa.nets.build.Contrast.COARSE
POOLS = {"average": ("Mean",), "max": ("Max",), "both": ("Mean", "Max")}
State = Mapping[str, np.ndarray]  # weights by their names
NUMBERS = np.random.default_rng(0).normal(size=4099).astype(np.float32)  # a prime: no two channels get the same ones


class Draft:
    """Nodes and constants of an ONNX graph in the making. Names begin with the path of the row that they stand for.
    `state` has the weights under their names in the network's state; None: arbitrary ones are made. `batch` is a fixed
    number of samples, with which only operators are used that mean the same in every opset from 13 on; None: any."""

    def __init__(self, state: State | None = None, batch: int | None = None) -> None:
        self.state = state
        self.batch = batch
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.named: dict[str, str] = {}

    def put(self, op: str, path: str, *reads: str, **attributes: Any) -> str:
        """Add a node; returns the name of what it writes."""
        name = f"{path}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, reads, [name], name=f"{name}/{op}", **attributes))
        return name

    def constant(self, path: str, value: object, dtype: type = np.float32) -> str:
        """Add a constant; returns its name."""
        name = f"{path}/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weights(self, row: Row, name: str, *shape: int, arbitrary: float | None = None) -> str:
        """Add what a layer has learned under this name, once for a layer that computes twice; returns its name.

        Arbitrary weights keep activations about as large as they are, because arithmetic is slow only with the smallest
        numbers; `arbitrary` is one number for all of them."""
        key = f"{row.module or row.path}.{name}"
        if key not in self.named:
            if self.state is not None:
                value = self.state[key].reshape(shape)
            elif arbitrary is not None:
                value = np.full(shape, arbitrary)
            else:
                value = np.resize(NUMBERS, shape) / prod(shape[1:]) ** 0.5
            self.named[key] = self.constant(row.path, value)
        return self.named[key]


def twin(
    net: Net,
    state: State | None = None,
    calibration: Calibration | None = None,
    batch: int | None = None,
    maps: bool = False,
) -> onnx.ModelProto:
    """A network as ONNX: `pixels` float (N, C, *size) -> `probability` (N, classes). `state` has the arrays of its
    module's `state_dict`; None: weights are arbitrary. With a calibration the probabilities are calibrated. With a
    `batch` N is that number, and the operators are those that engines beside onnxruntime know. With `maps` a second
    output `map` (N, classes, *cells) has the class maps of zansa.nets.class_maps, by calibrated logits."""
    draft, layers = Draft(state, batch), lower(net)
    named = {"input": "pixels"}
    for row in layers.rows:
        named[row.path] = _row(draft, row, [named[path] for path in row.reads], layers)
    logits = named["head.linear"]
    if calibration is not None:
        scaled = draft.put("Mul", "calibration", logits, draft.constant("calibration", calibration.scale))
        logits = draft.put("Add", "calibration", scaled, draft.constant("calibration", calibration.shift))
    beside = [_class_maps(draft, layers, named, calibration.scale if calibration else 1.0)] if maps else []
    draft.nodes.append(helper.make_node("Softmax", [logits], ["probability"], name="head/Softmax", axis=1))
    many = batch or "N"
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [many, net.input.channels, *net.input.size])
    answer = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [many, net.head.classes])
    graph = helper.make_graph(draft.nodes, "twin", [pixels], [answer, *beside], draft.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _row(draft: Draft, row: Row, reads: list[str], table: Table) -> str:
    x, y, dims, path = table.width[row.x], table.width[row.y], len(row.size_in), row.path
    match row.op:
        case "contrast":
            return _contrast(draft, row, reads[0], x)
        case "conv":
            kernel = [row.kernel] * dims
            weights = draft.weights(row, "weight", y, x // row.groups, *kernel)
            return draft.put(
                "Conv",
                path,
                *reads,
                weights,
                kernel_shape=kernel,
                group=row.groups,
                strides=[row.stride] * dims,
                pads=_pads(row),
            )
        case "norm":
            return _norm(draft, row, reads[0], y)
        case "bias":
            return draft.put("Add", path, *reads, draft.weights(row, "bias", y, *[1] * dims))
        case "act":
            return _act(draft, row, reads[0])
        case "scale":
            weight = draft.weights(row, "weight", arbitrary=0.5)
            return draft.put("Mul", path, *reads, weight)  # turned round it would not be folded
        case "pool":
            return _pool(draft, row, reads[0])
        case "pad":
            return _pad(draft, row, reads[0], y - x)
        case "add":
            return _add(draft, row, reads)
        case "times":
            column = draft.put("Reshape", path, reads[1], draft.constant(path, [-1, y, *[1] * dims], np.int64))
            return draft.put("Mul", path, reads[0], column)
        case "globalpool":
            return _globalpool(draft, row, reads, x)
        case "linear":
            weights, bias = draft.weights(row, "weight", y, row.copies * x), draft.weights(row, "bias", y)
            return draft.put("Gemm", path, *reads, weights, bias, transB=1)
    raise AssertionError(row.op)


def _pads(row: Row) -> list[int]:
    """Positions that a convolution pads: before it in every direction, then after it."""
    if row.kind != "same":
        return [row.kernel // 2] * 2 * len(row.size)
    missing = [max((m - 1) * row.stride + row.kernel - n, 0) for n, m in zip(row.size_in, row.size, strict=True)]
    return [n // 2 for n in missing] + [n - n // 2 for n in missing]


def _norm(draft: Draft, row: Row, x: str, y: int) -> str:
    path, dims = row.path, len(row.size_in)
    if row.kind == "batch":
        usual = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
        learned = [draft.weights(row, name, y, arbitrary=value) for name, value in usual.items()]
        return draft.put("BatchNormalization", path, x, *learned)
    groups, shape = draft.constant(path, np.ones(row.groups)), (y, *[1] * dims)
    rows = draft.put("Reshape", path, x, draft.constant(path, [0, row.groups, -1], np.int64))
    normed = draft.put("InstanceNormalization", path, rows, groups, draft.constant(path, np.zeros(row.groups)))
    planes = draft.put("Reshape", path, normed, draft.put("Shape", path, x))
    scaled = draft.put("Mul", path, planes, draft.weights(row, "weight", *shape))
    return draft.put("Add", path, scaled, draft.weights(row, "bias", *shape))


def _act(draft: Draft, row: Row, x: str) -> str:
    path = row.path
    match row.kind:
        case "relu":
            return draft.put("Relu", path, x)
        case "relu6":
            return draft.put("Clip", path, x, draft.constant(path, 0), draft.constant(path, 6))
        case "sigmoid":
            return draft.put("Sigmoid", path, x)
        case "silu":
            return draft.put("Mul", path, x, draft.put("Sigmoid", path, x))
    error = draft.put("Erf", path, draft.put("Div", path, x, draft.constant(path, 2**0.5)))
    share = draft.put("Mul", path, draft.constant(path, 0.5), draft.put("Add", path, error, draft.constant(path, 1)))
    return draft.put("Mul", path, x, share)


def _pool(draft: Draft, row: Row, x: str) -> str:
    if row.kind == "average":
        return _mean(draft, row.path, x, [min(row.stride, n) for n in row.size_in], row.stride)
    dims, half = len(row.size_in), row.kernel // 2
    return draft.put(
        "MaxPool", row.path, x, kernel_shape=[row.kernel] * dims, strides=[row.stride] * dims, pads=[half] * 2 * dims
    )


def _mean(draft: Draft, path: str, x: str, kernel: list[int], stride: int) -> str:
    pads = [0] * len(kernel) if stride > 1 else [n // 2 for n in kernel]
    return draft.put(
        "AveragePool",
        path,
        x,
        kernel_shape=kernel,
        strides=[stride] * len(kernel),
        pads=pads * 2,
        ceil_mode=int(stride > 1),
    )


def _contrast(draft: Draft, row: Row, x: str, channels: int) -> str:
    path, width = row.path, row.kernel // COARSE | 1
    centred = draft.put("Sub", path, x, _smooth(draft, row, x, width, channels))
    variance = _smooth(draft, row, draft.put("Mul", path, centred, centred), 2 * width + 1, channels)
    deviation = draft.put("Sqrt", path, draft.put("Add", path, variance, draft.constant(path, 0.0025)))
    return draft.put("Mul", path, centred, draft.put("Reciprocal", path, deviation))


def _smooth(draft: Draft, row: Row, x: str, width: int, channels: int) -> str:
    path, dims = row.path, len(row.size)
    size, coarse = row.size, shrink(row.size, COARSE)
    x = _mean(draft, path, x, [min(COARSE, n) for n in size], COARSE)
    for d in range(dims):
        x = _mean(draft, path, x, [min(width, (coarse[d] - 1) | 1) if k == d else 1 for k in range(dims)], 1)
    if draft.batch is None:
        whole = draft.constant(path, size, np.int64)
        shape = draft.put("Concat", path, draft.put("Shape", path, x, end=2), whole, axis=0)
    else:
        shape = draft.constant(path, [draft.batch, channels, *size], np.int64)
    return draft.put("Resize", path, x, "", "", shape, mode="linear")


def _pad(draft: Draft, row: Row, x: str, channels: int) -> str:
    path, dims = row.path, len(row.size)
    every, begin, end = (draft.constant(path, [n], np.int64) for n in (row.stride, 0, 2**62))
    for axis in range(2, 2 + dims) if row.stride > 1 else ():
        x = draft.put("Slice", path, x, begin, end, draft.constant(path, [axis], np.int64), every)
    room = [0] * (2 + dims) + [0, channels] + [0] * dims
    return draft.put("Pad", path, x, draft.constant(path, room, np.int64))


def _add(draft: Draft, row: Row, reads: list[str]) -> str:
    terms = [
        name if weight == 1 else draft.put("Mul", row.path, name, draft.constant(row.path, weight))
        for name, weight in zip(reads, row.weights, strict=True)
    ]
    total = terms[0]
    for term in terms[1:]:
        total = draft.put("Add", row.path, total, term)
    return total


def _globalpool(draft: Draft, row: Row, reads: list[str], x: int) -> str:
    path, pooled = row.path, []
    if draft.batch is not None:
        kinds = {"Mean": "GlobalAveragePool", "Max": "GlobalMaxPool"}
        pooled = [
            draft.put("Flatten", path, draft.put(kinds[kind], path, name)) for name in reads for kind in POOLS[row.kind]
        ]
        return pooled[0] if len(pooled) == 1 else draft.put("Concat", path, *pooled, axis=1)
    last = draft.constant(path, [2], np.int64)
    for name in reads:
        if len(row.size_in) > 1:
            name = draft.put("Reshape", path, name, draft.constant(path, [-1, x, prod(row.size_in)], np.int64))
        pooled += [draft.put("Reduce" + kind, path, name, last, keepdims=0) for kind in POOLS[row.kind]]
    return pooled[0] if len(pooled) == 1 else draft.put("Concat", path, *pooled, axis=1)


def _class_maps(draft: Draft, layers: Table, named: Mapping[str, str], scale: float) -> onnx.ValueInfoProto:
    """Add the output `map`: the last layer before its sum over places, with what each place gives to what is pooled in
    place of the pooled."""
    pool, last = layers.rows[-2:]
    classes, channels, path = layers.width[last.y], layers.width[pool.x], "map"
    shape = draft.constant(path, [-1, channels, prod(pool.size_in)], np.int64)
    rows = [draft.put("Reshape", path, named[each], shape) for each in pool.reads]
    parts = [_placed(draft, path, each, kind, prod(pool.size_in)) for each in rows for kind in POOLS[pool.kind]]
    whole = parts[0] if len(parts) == 1 else draft.put("Concat", path, *parts, axis=1)
    found = draft.put("MatMul", path, draft.weights(last, "weight", classes, last.copies * channels), whole)
    if scale != 1:
        found = draft.put("Mul", path, found, draft.constant(path, scale))
    cells = draft.constant(path, [-1, classes, *pool.size_in], np.int64)
    draft.nodes.append(helper.make_node("Reshape", [found, cells], ["map"], name=f"{path}/Reshape"))
    return helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", classes, *pool.size_in])


def _placed(draft: Draft, path: str, x: str, kind: str, places: int) -> str:
    """A stream (N, C, places) so that its sum over places is its mean or its maximum, which the places share that have
    it."""
    if kind == "Mean":
        return draft.put("Mul", path, x, draft.constant(path, 1 / places))
    last = draft.constant(path, [2], np.int64)
    highest = draft.put("Equal", path, x, draft.put("ReduceMax", path, x, last, keepdims=1))
    marked = draft.put("Cast", path, highest, to=TensorProto.FLOAT)
    share = draft.put("Div", path, marked, draft.put("ReduceSum", path, marked, last, keepdims=1))
    return draft.put("Mul", path, x, share)
