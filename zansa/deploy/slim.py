"""An int8 file in fewer bytes, with the same answers to the last bit: what the quantiser wrote twice, or at length."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

INTEGERS = ("QuantizeLinear", "DequantizeLinear")


def slim(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with equal constants of the quantiser stored once, weights that are equal at all places of their kernel
    stored at one, names of its nodes that are short, and shapes left to the engine, which finds them itself."""
    graph = model.graph
    added = [node for node in graph.node if node.op_type in INTEGERS]
    names = {node.output[0]: f"int8/{number}" for number, node in enumerate(added)}
    for node in added:
        node.name = names[node.output[0]]
    names |= _stored_once(graph, {name for node in added for name in node.input})
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    _spread(graph)
    del graph.value_info[:]
    return model


def _stored_once(graph: onnx.GraphProto, asked: set[str]) -> dict[str, str]:
    """Keep one of the equal constants among those asked. Returns their new names by their old ones."""
    found: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names, kept = {}, []
    for each in graph.initializer:
        if each.name in asked:
            key = (each.data_type, tuple(each.dims), numpy_helper.to_array(each).tobytes())
            old, new = each.name, key not in found
            each.name = names[old] = found.setdefault(key, f"int8/constant{len(found)}")
            if not new:
                continue
        kept.append(each)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return names


def _spread(graph: onnx.GraphProto) -> None:
    """Store the integers of a merged shortcut, which averages, at one place of the kernel; engines spread them over all
    places once, as they load the file."""
    spread = []
    for each in graph.initializer:
        if each.data_type != onnx.TensorProto.INT8 or len(each.dims) < 3:
            continue
        value = numpy_helper.to_array(each)
        places = value.reshape(*value.shape[:2], -1)
        if places.shape[2] == 1 or (places != places[:, :, :1]).any():
            continue
        one = places[:, :, :1].reshape(*value.shape[:2], *[1] * (value.ndim - 2))
        shape = numpy_helper.from_array(np.array(value.shape, np.int64), f"{each.name}/shape")
        wide = helper.make_node("Expand", [each.name, shape.name], [f"{each.name}/wide"], name=f"{each.name}/wide")
        spread.append((each, numpy_helper.from_array(one, each.name), shape, wide))
    for each, one, shape, wide in spread:
        each.CopyFrom(one)
        graph.initializer.append(shape)
        for node in graph.node:
            node.input[:] = [wide.output[0] if name == each.name else name for name in node.input]
        graph.node.insert(0, wide)
