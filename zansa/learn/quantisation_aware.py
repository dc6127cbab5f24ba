"""Training that knows of the integers to come: layers between stem and head compute with weights and inputs that are
rounded as an int8 file rounds them, and gradients pass the rounding as if it were not there (Jacob et al. 2018,
1712.05877).

A norm behind a convolution is not folded here: it multiplies each channel by one number, and so does the rounding of
weights channel by channel, which therefore is the same before and after folding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

WEIGHTS = 63  # largest integer of a weight: 7 bits, as files have it for processors whose sums would run over
LEVELS = 255  # largest integer of an input
SHARE = 0.1  # of the epochs and of the rate of a usual training


def add_integers(module: nn.Module) -> list[RemovableHandle]:
    """Let convolutions and linear layers between stem and head compute as in int8, until the handles are removed.
    Ranges of inputs are the smallest and largest values that were ever seen."""
    handles: list[RemovableHandle] = []
    for name, layer in module.named_modules():
        if not name.startswith(("stem", "head")) and isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            rounding = _Rounding()
            handles.append(layer.register_forward_pre_hook(rounding.before))
            handles.append(layer.register_forward_hook(rounding.after))
    return handles


class _Rounding:
    """Rounds the input and the weight of one layer while it computes."""

    def __init__(self) -> None:
        self.low, self.high, self.weight = 0.0, 0.0, torch.zeros(0)

    def before(self, layer: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (x,) = inputs
        self.low, self.high = min(self.low, float(x.detach().min())), max(self.high, float(x.detach().max()))
        scale = max(self.high - self.low, 1e-8) / LEVELS
        zero = max(0, min(LEVELS, round(-self.low / scale)))
        self.weight = layer.weight.data
        layer.weight.data = rounded(self.weight)
        return (torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, LEVELS),)

    def after(self, layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        layer.weight.data = self.weight


def rounded(weight: Tensor) -> Tensor:
    """A weight (out, in, ...) in whole multiples of one number for each output channel."""
    flat = weight.flatten(1).abs().amax(1).clamp_min(1e-12) / WEIGHTS
    scale = flat.view(-1, *[1] * (weight.ndim - 1))
    return (weight / scale).round().clamp(-WEIGHTS - 1, WEIGHTS) * scale
