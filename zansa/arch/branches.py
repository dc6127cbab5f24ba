"""What a block computes: each kind is a short table of layers over named channel axes, its paper in the line above.

A table function gets the axis `x` it reads, the axis `y` it writes, its own `hidden` axes, the stride of the
block and the groups. To add a kind: write its table, and one line in BRANCHES.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple


class Conv(NamedTuple):
    """A convolution from axis x to axis y, padded so that it keeps the size at stride 1.

    name: what it is called within its branch.
    x, y: the axes that it reads and writes.
    kernel: how wide it is in every direction.
    stride, groups: as torch understands them.
    zero: whether its weights are zero where a block must start as the identity.
    """

    name: str
    x: str
    y: str
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    zero: bool = False


class Norm(NamedTuple):
    """A normalisation with a scale and a shift for every channel.

    name: what it is called within its branch.
    axis: the axis that it reads and writes.
    zero: whether its scale is zero where a block must start as the identity.
    """

    name: str
    axis: str
    zero: bool = False


class Act(NamedTuple):
    """The network's activation."""

    name: str


class Gate(NamedTuple):
    """Squeeze and excitation: every channel of an axis is multiplied by a number in (0, 1) that follows from the means
    of all channels.

    name: what it is called within its branch.
    axis: the axis that it reads and writes.
    hidden: the axis between the means and these numbers.
    """

    name: str
    axis: str
    hidden: str


Layers = tuple[Conv | Norm | Act | Gate, ...]
Hidden = tuple[str, ...]


# He et al. 2015 (1512.03385), fig. 5 left
def basic(x: str, y: str, hidden: Hidden, stride: int, groups: int) -> Layers:
    (h,) = hidden
    return (
        Conv("conv1", x, h, 3, stride), Norm("norm1", h), Act("act1"),
        Conv("conv2", h, y, 3), Norm("norm2", y, zero=True),
    )  # fmt: skip


# He et al. 2015, fig. 5 right, with the stride in the wide convolution; groups: Xie et al. 2016 (1611.05431); with wide
# inner axes and a group for each channel it is the inverted residual of Sandler et al. 2018 (1801.04381), fig. 3 b
def bottleneck(x: str, y: str, hidden: Hidden, stride: int, groups: int, kernel: int = 3) -> Layers:
    h, g = hidden
    return (
        Conv("conv1", x, h, 1), Norm("norm1", h), Act("act1"),
        Conv("conv2", h, g, kernel, stride, groups), Norm("norm2", g), Act("act2"),
        Conv("conv3", g, y, 1), Norm("norm3", y, zero=True),
    )  # fmt: skip


# Hu et al. 2018 (1709.01507), fig. 3, on both of He et al. 2015; the last hidden axis is that of the gate
def se_basic(x: str, y: str, hidden: Hidden, stride: int, groups: int) -> Layers:
    return (*basic(x, y, hidden[:1], stride, groups), Gate("se", y, hidden[1]))


def se_bottleneck(x: str, y: str, hidden: Hidden, stride: int, groups: int) -> Layers:
    return (*bottleneck(x, y, hidden[:2], stride, groups), Gate("se", y, hidden[2]))


# He et al. 2016 (1603.05027), fig. 4 e
def preact_basic(x: str, y: str, hidden: Hidden, stride: int, groups: int) -> Layers:
    (h,) = hidden
    return (
        Norm("norm1", x), Act("act1"), Conv("conv1", x, h, 3, stride),
        Norm("norm2", h), Act("act2"), Conv("conv2", h, y, 3, zero=True),
    )  # fmt: skip


# He et al. 2016, the bottleneck of ResNet-164 and -1001
def preact_bottleneck(x: str, y: str, hidden: Hidden, stride: int, groups: int) -> Layers:
    h, g = hidden
    return (
        Norm("norm1", x), Act("act1"), Conv("conv1", x, h, 1),
        Norm("norm2", h), Act("act2"), Conv("conv2", h, g, 3, stride, groups),
        Norm("norm3", g), Act("act3"), Conv("conv3", g, y, 1, zero=True),
    )  # fmt: skip


# Burghoff et al. 2023 (ResBuilder), the authors' code: the branch ends in an activation, so it can only add
def resbuilder(x: str, y: str, hidden: Hidden, stride: int, groups: int) -> Layers:
    (h,) = hidden
    return (
        Norm("norm1", x), Conv("conv1", x, h, 3, stride), Act("act1"),
        Norm("norm2", h), Conv("conv2", h, y, 3), Act("act2"),
    )  # fmt: skip


@dataclass(frozen=True)
class Branch:
    """A kind of branch.

    layers: gives the table of its layers.
    hidden: how many inner axes it has.
    after: whether an activation follows the sum with the stream.
    shared: how many of its first layers it shares with a shortcut that changes the shape, which reads what they write.
    grouped: whether its wide convolution can have groups.
    gated: whether its last inner axis is that of a gate.
    depthwise: whether its wide convolution filters every channel by itself: its groups are the inner width.
    """

    layers: Callable[[str, str, Hidden, int, int], Layers]
    hidden: int
    after: bool = True
    shared: int = 0
    grouped: bool = False
    gated: bool = False
    depthwise: bool = False

    @property
    def starts_with_norm(self) -> bool:
        """Whether it reads the stream through a norm."""
        return isinstance(self.layers("x", "y", ("hidden",) * self.hidden, 1, 1)[0], Norm)

    @property
    def vanishes(self) -> bool:
        """Whether the branch can be zero at the start and still learn, without a scalar."""
        layers = self.layers("x", "y", ("hidden",) * self.hidden, 1, 1)
        return any(isinstance(layer, Conv | Norm) and layer.zero for layer in layers)


BRANCHES = {
    "basic": Branch(basic, hidden=1),
    "bottleneck": Branch(bottleneck, hidden=2, grouped=True),
    "se_basic": Branch(se_basic, hidden=2, gated=True),
    "se_bottleneck": Branch(se_bottleneck, hidden=3, grouped=True, gated=True),
    "preact_basic": Branch(preact_basic, hidden=1, after=False, shared=2),
    "preact_bottleneck": Branch(preact_bottleneck, hidden=2, after=False, shared=2, grouped=True),
    "resbuilder": Branch(resbuilder, hidden=1, after=False),
    "inverted": Branch(bottleneck, hidden=2, after=False, depthwise=True),
    "inverted5": Branch(partial(bottleneck, kernel=5), hidden=2, after=False, depthwise=True),
}
