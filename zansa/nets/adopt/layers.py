"""The layers of a state dict, ours or another author's: tensors that share a path, in the order of their first."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

# what authors and frameworks call the tensors of a layer, and what PyTorch does
_ROLES = {
    "weight": "weight|w|kernel|gamma|scale",
    "bias": "bias|b|beta|offset",
    "running_mean": "running_mean|moving_mean|mean",
    "running_var": "running_var|moving_variance|moving_var|variance|var",
    "num_batches_tracked": "num_batches_tracked",
}
_NAME = re.compile(
    r"^(?P<path>.*?)(?:^|[./_])(?:" + "|".join(f"(?P<{role}>{names})" for role, names in _ROLES.items()) + r")(?::0)?$"
)
_WRAPPERS = re.compile(r"^(?:(?:module|model|backbone|encoder|net|_orig_mod)\.)+")
NORM = {"weight", "bias", "running_mean", "running_var"}


@dataclass(frozen=True)
class Layer:
    """A convolution, linear layer or norm.

    path: its name without those of its tensors.
    shape: the shape of its weight.
    names: the names of its tensors by role ("weight", "bias", ...).
    """

    path: str
    shape: tuple[int, ...] = ()
    names: dict[str, str] = field(default_factory=dict)

    @property
    def is_norm(self) -> bool:
        """Whether it is a norm, which has one number for each channel."""
        return len(self.shape) == 1

    @property
    def is_linear(self) -> bool:
        """Whether its weight is a matrix, or a 1-wide convolution, which is the same at one position."""
        return len(self.shape) >= 2 and set(self.shape[2:]) <= {1}

    def __str__(self) -> str:
        kind = "norm" if self.is_norm else "linear" if len(self.shape) == 2 else "convolution"
        return f"{self.path} ({kind} {self.shape}{', with bias' if 'bias' in self.names and not self.is_norm else ''})"


def layers_of(state: dict[str, Tensor]) -> list[Layer]:
    """The layers of a state dict, without the prefixes that wrappers put before their paths; ValueError for tensors
    that belong to no convolution, linear layer or norm."""
    layers: dict[str, Layer] = {}
    for name, value in state.items():
        path, role = _parts(name)
        layer = layers.setdefault(path, Layer(path))
        if role in layer.names:
            raise ValueError(f"{name} and {layer.names[role]} are both the {role} of {path!r}")
        layer.names[role] = name
        if role in ("weight", "bias") and len(value.shape) >= len(layer.shape):
            layers[path] = Layer(path, tuple(value.shape), layer.names)
    return [layer for layer in layers.values() if set(layer.names) - {"num_batches_tracked"}]


def _parts(name: str) -> tuple[str, str]:
    match = _NAME.match(_WRAPPERS.sub("", name))
    if not match:
        raise ValueError(
            f"{name} is no weight, bias, running_mean or running_var: zansa adopts networks of convolutions, linear "
            "layers and norms"
        )
    return match["path"], next(role for role in _ROLES if match[role])


def fits(theirs: Layer, ours: Layer, entry: bool) -> bool:
    """Whether the tensors of one layer can be those of another. For the layer that reads the samples (`entry`), the
    numbers of channels may differ, where one of them is 1."""
    if ours.is_norm:
        roles = set(theirs.names) - {"num_batches_tracked"}
        return theirs.shape == ours.shape and roles == set(ours.names) - {"num_batches_tracked"}
    if "running_mean" in theirs.names:
        return False
    if len(ours.shape) == 2:
        return theirs.is_linear and theirs.shape[:2] == ours.shape
    if entry and len(theirs.shape) == len(ours.shape) and 1 in (theirs.shape[1], ours.shape[1]):
        return (theirs.shape[0], *theirs.shape[2:]) == (ours.shape[0], *ours.shape[2:])
    return theirs.shape == ours.shape


def listed(faults: Iterable[str]) -> str:
    """The first five of many faults."""
    faults = list(faults)
    return "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")
