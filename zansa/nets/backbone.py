"""Features of a network at several scales: the trunk of networks that segment or detect."""

import copy
from functools import partial
from math import log2
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork

from ..arch.lower import Row, lower, shrink
from ..arch.spec import Net
from .build import CoarseMean, Network


class Backbone(nn.Module):
    """The last map of a network at every stride.

    It takes float images (N, channels, *size) in one, two or three directions, of any size, and gives a list of maps
    (N, C, *size/stride), rounded up; `strides` and `channels` tell stride and C of each. The maps are the stream
    itself, so those of a pre-activation network come before the norm and the activation of its head.

    It holds a copy of `network` (build(net), or the `module` of a loaded model) without the head; training one leaves
    the other alone. `output_stride`, one of the network's strides, lets no map be coarser: later strides become 1, and
    the layers after them are dilated (Chen et al. 2017, 1706.05587, section 3.1), so that the values of the old maps
    stand in the new ones, with new values between them. Gates and group norms look at whole maps, and so at more
    positions than before. ValueError for what is no network, and for other strides.
    """

    def __init__(self, network: nn.Module, output_stride: int | None = None):
        super().__init__()
        if not isinstance(network, Network):
            raise ValueError(
                f"a network is needed, as build(net) or load(path).module; given: {type(network).__name__}"
            )
        last = {stride: (k, channels) for k, (stride, channels) in enumerate(_maps(network.net))}
        self.network = copy.deepcopy(network)
        self.network.head = nn.Identity()
        if output_stride is not None:
            last = _cut(last, output_stride)
            _dilate(self.network, output_stride)
        self.strides = tuple(last)
        self.channels = tuple(channels for _, channels in last.values())
        self.indices = tuple(k for k, _ in last.values())

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.network.features(x)
        return [maps[k] for k in self.indices]


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al. 2017, 1612.03144, section 3): the backbone of torchvision's detectors.

    It takes images (N, channels, height, width) and gives {"0": map, "1": map, ...} of `width` channels at the given
    strides of `features`, the finest first. It has batch norms, as torchvision's second version has, since the maps of
    a pre-activation network are of any scale.
    """

    def __init__(self, features: Backbone, strides: tuple[int, ...], width: int = 256):
        super().__init__()
        unknown = [stride for stride in strides if stride not in features.strides]
        if unknown or not strides:
            raise ValueError(f"strides {strides} were asked; this network has maps at {features.strides}")
        self.features = features
        self.indices = tuple(k for k, stride in enumerate(features.strides) if stride in strides)
        channels = [features.channels[k] for k in self.indices]
        self.pyramid = FeaturePyramidNetwork(channels, width, norm_layer=nn.BatchNorm2d)
        self.out_channels = width  # read by torchvision

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.features(x)
        return self.pyramid({str(level): maps[k] for level, k in enumerate(self.indices)})


class Encoder(nn.Module):
    """The encoder that segmentation-models-pytorch expects; that library reads the names of its attributes.

    It gives maps at strides 1, 2, 4, ... 2**depth, none beyond the output stride. Where the network has no map of a
    stride, it gives the image itself at stride 1, a map of no channels between two others (as that library's own
    encoders do), and after the last map that map once more, by a max pool.
    """

    def __init__(self, network: nn.Module, depth: int, output_stride: int = 32):
        super().__init__()
        self.features = Backbone(network)
        net = self.features.network.net
        odd = [stride for stride in self.features.strides if not log2(stride).is_integer()]
        if len(net.input.size) != 2 or odd:
            raise ValueError(
                f"an encoder halves images at each level; this network takes input of size {net.input.size} and has "
                f"strides {self.features.strides}; use Backbone with a decoder of your own"
            )
        self.depth, self.output_stride, self.in_channels = depth, min(output_stride, 2**depth), net.input.channels

    @property
    def out_channels(self) -> list[int]:
        """The channels of every level."""
        known = {1: self.in_channels} | dict(zip(self.features.strides, self.features.channels, strict=True))
        return [known[max(known)] if stride > max(known) else known.get(stride, 0) for stride in self._levels()]

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Refuse another number of channels than the network's."""
        if in_channels != self.in_channels:
            raise ValueError(f"in_channels={in_channels} was asked; the network takes {self.in_channels}: give that")

    def make_dilated(self, output_stride: int) -> None:
        """Let no map be coarser than `output_stride`."""
        if output_stride < self.features.strides[-1]:
            self.features = Backbone(self.features.network, output_stride)

    def forward(self, x: Tensor) -> list[Tensor]:
        known = {1: x} | dict(zip(self.features.strides, self.features(x), strict=True))
        return [self._level(stride, known, x) for stride in self._levels()]

    def _levels(self) -> list[int]:
        return [min(2**level, self.output_stride) for level in range(self.depth + 1)]

    def _level(self, stride: int, known: dict[int, Tensor], x: Tensor) -> Tensor:
        if stride in known:
            return known[stride]
        last = max(known)
        if stride > last:
            return functional.max_pool2d(known[last], stride // last, ceil_mode=True)
        return x.new_empty(len(x), 0, *shrink(tuple(x.shape[2:]), stride))


class OpenMean(nn.Module):
    """An average pool of stride 1 over `kernel` values `dilation` apart, from each position onwards; what lies outside
    the map does not count."""

    def __init__(self, kernel: int, dilation: int):
        super().__init__()
        self.kernel, self.dilation = kernel, dilation

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N C *size
        for d in range(2, x.ndim):
            steps = self.dilation * torch.arange(self.kernel, device=x.device)[:, None]
            at = torch.arange(x.shape[d], device=x.device) + steps  # kernel, size
            inside = (at < x.shape[d]).to(x.dtype)
            shares = (inside / inside.sum(0)).reshape(self.kernel, *(-1 if k == d else 1 for k in range(1, x.ndim)))
            indices = at.clamp(max=x.shape[d] - 1)
            x = sum((x.index_select(d, indices[k]) * shares[k] for k in range(self.kernel)), torch.zeros_like(x))
        return x


def smp_entry(network: nn.Module) -> dict[str, Any]:
    """What segmentation-models-pytorch keeps of an encoder under a name of your choice:

        smp.encoders.encoders["mine"] = smp_entry(network)
        model = smp.Unet("mine", encoder_weights=None, in_channels=3, classes=1)

    Every model made by that name gets a copy of `network` with its weights. When such a model is made, there is a
    ValueError for networks that do not halve images, or take another number of channels than `in_channels`.
    """
    return {"encoder": partial(Encoder, network), "pretrained_settings": {}, "params": {}}


def _maps(net: Net) -> list[tuple[int, int]]:
    """Stride and channels of every map that Network.features gives."""
    stride = net.stem.stride
    maps = [(stride, net.stem.width)]
    if net.stem.pool:
        stride *= 2
        maps.append((stride, net.stem.width))
    for stage in net.stages:
        stride *= stage.stride
        maps.append((stride, stage.width))
    return maps


def _cut(last: dict[int, tuple[int, int]], output_stride: int) -> dict[int, tuple[int, int]]:
    """The last maps when none is coarser than `output_stride`."""
    if output_stride not in last:
        raise ValueError(f"output_stride={output_stride} was asked; this network has the strides {tuple(last)}")
    finer = {stride: last_map for stride, last_map in last.items() if stride < output_stride}
    return {**finer, output_stride: list(last.values())[-1]}


def _dilate(network: Network, output_stride: int) -> None:
    """Strides beyond `output_stride` become 1, and each later window opens as far as they took it."""
    strides = {"input": 1}  # the stride of what each row writes, as the network's description has it
    for row in lower(network.net).rows:
        before = strides[row.reads[0]]
        strides[row.path] = before * row.stride
        if strides[row.path] > output_stride and row.op in ("conv", "pool", "pad"):
            _open(network, row, before // output_stride)


def _open(network: Network, row: Row, dilation: int) -> None:
    """Stride 1 for one layer, and a window of every `dilation`-th value."""
    path = row.module or row.path
    layer: Any = network.get_submodule(path)
    if isinstance(layer, CoarseMean):
        network.set_submodule(path, OpenMean(row.kernel, dilation))
        return
    layer.stride = 1
    if row.op != "pad":
        layer.dilation, layer.padding = dilation, dilation * (row.kernel // 2)
