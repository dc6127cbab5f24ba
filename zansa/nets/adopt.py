"""Weights from elsewhere for a network of ours."""

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor

from ..arch.spec import Net
from .build import Network, build
from .files import fill, read

# torchvision's names (torchvision/models/resnet.py) and ours
_TORCHVISION = (
    (r"^conv1\.", "stem.conv."),
    (r"^bn1\.", "stem.norm."),
    (r"^layer(\d+)\.(\d+)\.downsample\.0\.", r"stages.\1.\2.shortcut.conv."),
    (r"^layer(\d+)\.(\d+)\.downsample\.1\.", r"stages.\1.\2.shortcut.norm."),
    (r"^layer(\d+)\.(\d+)\.conv(\d)\.", r"stages.\1.\2.branch.conv\3."),
    (r"^layer(\d+)\.(\d+)\.bn(\d)\.", r"stages.\1.\2.branch.norm\3."),
    (r"^fc\.", "head.linear."),
)


def adopt(state: dict[str, Tensor], net: Net) -> Network:
    """build(net) with the weights of torchvision's ResNet of the same architecture, in evaluation mode.

    Prefixes such as `module.` are dropped. ValueError, naming what does not fit, when the architectures differ.
    """
    renamed = {_our_name(name): value for name, value in state.items()}
    module = build(net)
    fill(module, renamed, "the adopted state dict")
    return module.eval()


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file from elsewhere: safetensors, or a torch checkpoint read with weights_only=True, so that
    nothing in it is executed. A dict around the tensors ("state_dict", "model") is opened."""
    if Path(path).suffix == ".safetensors":
        return read(path)[1]
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read as weights alone ({type(error).__name__}): it is no torch checkpoint, or holds "
            "more than tensors; zansa never executes what a file contains: save the state_dict as safetensors instead"
        ) from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not value or not all(isinstance(v, Tensor) for v in value.values()):
        raise ValueError(f"{path} holds no state dict: a dictionary of tensors is expected")
    return value


def _our_name(name: str) -> str:
    name = re.sub(r"^(module\.|model\.|_orig_mod\.)+", "", name)
    for pattern, ours in _TORCHVISION:
        if re.match(pattern, name):
            # torchvision counts its layers from 1, we count stages from 0
            return re.sub(r"^stages\.(\d+)", lambda m: f"stages.{int(m[1]) - 1}", re.sub(pattern, ours, name))
    return name
