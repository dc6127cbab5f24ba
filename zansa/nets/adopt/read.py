"""Files of weights from elsewhere, read as tensors. Nothing in them is ever executed."""

import re
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from ..files import read

# what training scripts put around a state dict
_AROUND = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "ema", "model_ema", "state_dict_ema")
# the inputs of ONNX operators that are weights, from input 1 on
_INPUTS = {
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
    "MatMul": ("weight",),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file from elsewhere.

    The file is safetensors, ONNX (.onnx: the weights of its layers alone, by the order of computation), or a torch
    checkpoint that is read with weights_only=True. Dicts around the tensors ("state_dict", "model", ...) are opened.
    ValueError when the file is none of these.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix == ".safetensors":
        return read(path)[1]
    if path.suffix == ".onnx":
        return _onnx(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # about old formats
            value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file makes of the reader can be any
        raise ValueError(
            f"{path} cannot be read as weights alone ({type(error).__name__}): it is no torch checkpoint, or holds "
            "more than tensors; zansa never executes what a file contains: save the state_dict as safetensors instead"
        ) from None
    return _opened(value, path)


def _opened(value: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(value, dict) and (inner := [key for key in _AROUND if isinstance(value.get(key), dict)]):
        value = value[inner[0]]
    if not isinstance(value, dict) or not value or not all(isinstance(v, Tensor) for v in value.values()):
        raise ValueError(f"{path} holds no state dict: a dictionary of tensors is expected")
    return value


def _onnx(path: Path) -> dict[str, Tensor]:
    try:
        graph = onnx.load(path).graph
        values = {
            tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer
        }
    except Exception as error:  # as above
        raise ValueError(f"{path} is no ONNX file, or is damaged: {error}") from None
    state: dict[str, Tensor] = {}
    for number, node in enumerate(graph.node):
        if node.op_type in ("Identity", "Transpose") and node.input[0] in values:
            value = values[node.input[0]]  # exporters store equal tensors once, and turn matrices
            values[node.output[0]] = value.T if node.op_type == "Transpose" and value.ndim == 2 else value
        state |= _weights_of(node, number, values)
    if not any(name.endswith(".running_mean") for name in state):
        raise ValueError(
            f"{path} holds no batch norms: its exporter has folded them into the convolutions, and they cannot be "
            "told again; give the checkpoint that it was exported from"
        )
    return state


def _weights_of(node: Any, number: int, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one node under the author's path, where a name of theirs tells it."""
    roles = _INPUTS.get(node.op_type, ())
    by_role = {role: (name, values[name]) for role, name in zip(roles, node.input[1:], strict=False) if name in values}
    if "weight" not in by_role:
        return {}
    paths = [match[1] for role, (name, _) in by_role.items() if (match := re.fullmatch(rf"(.+)\.{role}", name))]
    path = paths[-1] if paths else f"{node.op_type.lower()}{number}"  # the mean of a norm is never shared
    attributes = {attribute.name: attribute for attribute in node.attribute}
    tensors = {f"{path}.{role}": value for role, (_, value) in by_role.items()}
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not _integer(attributes, "transB")):
        tensors[f"{path}.weight"] = tensors[f"{path}.weight"].T
    if "running_var" in by_role and "epsilon" in attributes:  # ours is 1e-5
        tensors[f"{path}.running_var"] = tensors[f"{path}.running_var"] + attributes["epsilon"].f - 1e-5
    return tensors


def _integer(attributes: dict[str, Any], name: str) -> int:
    return attributes[name].i if name in attributes else 0
