"""The network alone as ONNX, float and channels first, for engines that cannot read the whole exported file: its
preprocessing stands beside it as data, with readers in Python and C++."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..nets.files import Model
from .clock.twin import twin


class Target(NamedTuple):
    """What an engine reads.

    opset, ir: the versions of ONNX that it certainly knows.
    logits: the file ends before the softmax, which small integers compute poorly.
    native: OpenVINO's own files are written beside the ONNX file.
    """

    opset: int
    ir: int
    logits: bool = False
    native: bool = False


TARGETS = {
    "onnx": Target(17, 8),
    "opencv": Target(17, 8),
    "openvino": Target(17, 8, native=True),
    "tensorrt": Target(17, 8),
    "npu": Target(13, 7, logits=True),
}


def portable(model: Model, target: str, batch: int = 1) -> bytes:
    """The network as an ONNX file for a target: `pixels` float32 (batch, C, *size), normalised, -> `probability`
    (batch, classes), or `logits` of the same shape, calibrated, where the target computes no softmax.

    Norms are folded into the convolutions before them.
    """
    asked = TARGETS[target]
    state = {name: value.detach().cpu().float().numpy() for name, value in model.module.state_dict().items()}
    made = folded(twin(model.net, state, model.calibration, batch))
    if asked.logits:
        _without_softmax(made.graph)
    made.ir_version = asked.ir
    del made.opset_import[:]
    made.opset_import.append(helper.make_opsetid("", asked.opset))
    made.producer_name = "zansa"
    onnx.checker.check_model(made)
    return made.SerializeToString()


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every batch norm folded into the convolution whose only reader it is; others stay."""
    graph = model.graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    writer = {name: node for node in graph.node for name in node.output}
    new = []
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = writer.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or readers[norm.input[0]] != 1 or conv.input[1] not in values:
            continue
        weight, bias = _folded(conv, norm, values)
        path = conv.name.rpartition("/")[0]
        names = [f"{path}/folded_weight", f"{path}/folded_bias"]
        new += [numpy_helper.from_array(value, name) for name, value in zip(names, (weight, bias), strict=True)]
        del conv.input[1:]
        conv.input.extend(names)
        conv.output[0] = norm.output[0]
        graph.node.remove(norm)
    graph.initializer.extend(new)
    return _used(model)


def merged(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every shortcut that averages before it projects as the one convolution which that is, where the
    maps are divided evenly; others stay. In integers averages take longer than convolutions, and round once more."""
    graph = model.graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    maps = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim][2:] for each in inferred}
    for pool in [node for node in graph.node if node.op_type == "AveragePool" and readers[node.output[0]] == 1]:
        conv = next(node for node in graph.node if pool.output[0] in node.input)
        kernel, strides = _attribute(pool, "kernel_shape"), _attribute(pool, "strides")
        even = all(n and n % k == 0 for n, k in zip(maps.get(pool.input[0], [0]), kernel, strict=False))
        projects = conv.op_type == "Conv" and {*_attribute(conv, "kernel_shape"), *_attribute(conv, "strides")} == {1}
        if kernel != strides or not even or not projects:
            continue
        weight = values[conv.input[1]] / np.float32(np.prod(kernel))
        wide = np.tile(weight, (1, 1, *kernel))
        graph.initializer.append(numpy_helper.from_array(wide, f"{conv.name}/merged_weight"))
        for each in conv.attribute:
            if each.name in ("kernel_shape", "strides"):
                each.ints[:] = kernel
        conv.input[:] = [pool.input[0], f"{conv.name}/merged_weight", *conv.input[2:]]
        graph.node.remove(pool)
    return _used(model)


def _attribute(node: Any, name: str) -> list[int]:
    return next((list(each.ints) for each in node.attribute if each.name == name), [])


def _used(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without weights that no node reads."""
    used = _read(model.graph)
    kept = [each for each in model.graph.initializer if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def _read(graph: onnx.GraphProto) -> set[str]:
    """The names that a graph's nodes read, and those of the graphs inside them."""
    inside = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    return {name for node in graph.node for name in node.input}.union(*map(_read, inside))


def _folded(conv: Any, norm: Any, values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a convolution that does what it and the norm behind it do; computed in float64."""
    scale, shift, mean, variance = (values[name].astype(np.float64) for name in norm.input[1:])
    epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    weight = values[conv.input[1]].astype(np.float64)
    bias = values[conv.input[2]].astype(np.float64) if len(conv.input) > 2 else 0.0
    wide = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    return wide.astype(np.float32), (shift + (bias - mean) * factor).astype(np.float32)


def _without_softmax(graph: onnx.GraphProto) -> None:
    last = graph.node[-1]
    assert last.op_type == "Softmax"
    before = next(node for node in graph.node if last.input[0] in node.output)
    graph.node.remove(last)
    before.output[0] = "logits"
    graph.output[0].name = "logits"


def preprocessing(model: Model, target: str, batch: int = 1) -> dict[str, Any]:
    """All that a program needs to feed the file and to read its answers, as plain values."""
    pre, asked = model.preprocess, TARGETS[target]
    wide = lambda values: list(values) if len(values) > 1 else list(values) * pre.channels  # noqa: E731
    return {
        "input": {"name": "pixels", "dtype": "float32", "shape": [batch, pre.channels, *pre.size], "layout": "NCHW"},
        "output": {"name": "logits" if asked.logits else "probability", "softmax": asked.logits},
        "decode": {"channels": pre.channels, "order": "gray" if pre.channels == 1 else "RGB", "depth": pre.depth},
        "resize": {
            "size": list(pre.size),
            "fit": pre.fit,
            "fill": wide(pre.fill),
            "filter": "triangle, as wide as a pixel of the coarser grid (Pillow's BILINEAR), rounded half up",
        },
        "normalise": {"mean": wide(pre.mean), "std": wide(pre.std), "formula": "(level - mean) / std"},
        "classes": list(model.classes),
        "decision": None if model.operating is None else model.operating.model_dump(mode="json"),
    }
