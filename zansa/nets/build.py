"""build(net) is the module: its parts are made from the rows of the lowered table, and have the rows' paths."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..arch.lower import Row, Table, lower
from ..arch.spec import Net
from ..arch.steps import STEPS
from .initial_weights import begin, initialise

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MEAN: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
ACT = {"relu": nn.ReLU, "relu6": nn.ReLU6, "gelu": nn.GELU, "silu": nn.SiLU, "sigmoid": nn.Sigmoid}


class Subsampling(nn.Conv2d):
    """A 1-wide convolution with a stride. Where gradients are asked for it strides first: torch 2.15 dies (SIGSEGV) in
    the backward pass of such a layer with fewer than 16 channels, in float32 and channels_last on the CPU."""

    def forward(self, x: Tensor) -> Tensor:  # N C H W -> N C H/stride W/stride
        if not torch.is_grad_enabled() or torch.compiler.is_exporting():
            return super().forward(x)
        down, across = self.stride if isinstance(self.stride, tuple) else (self.stride, self.stride)
        return functional.conv2d(x[:, :, ::down, ::across], self.weight)


class SamePadding(nn.Conv2d):
    """A convolution with a stride that pads what is missing, an odd pixel more at the end: "same" of TensorFlow."""

    def forward(self, x: Tensor) -> Tensor:  # N C H W -> N C H/stride W/stride
        return super().forward(functional.pad(x, [n for side in (3, 2) for n in self.missing(x, side)]))

    def missing(self, x: Tensor, side: int) -> tuple[int, int]:
        """Pixels before and after, in this direction of x."""
        size, kernel, stride = x.shape[side], self.kernel_size[side - 2], self.stride[side - 2]
        missing = max((size - 1) // stride * stride + kernel - size, 0)
        return missing // 2, missing - missing // 2


class Contrast(nn.Module):
    """Local contrast normalisation (Jarrett et al. 2009, section 2): (x - mean) / sqrt(variance + noise). The mean is
    taken over about `window` pixels, the variance over twice as many. Both vary slowly, so they are taken on a grid
    four times coarser. The noise floor, 0.05 of the images' standard deviation, keeps even surfaces even."""

    COARSE = 4
    NOISE = 0.05

    def __init__(self, window: int):
        super().__init__()
        self.width = window // self.COARSE | 1

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N C *size
        centred = x - self.smooth(x, self.width)
        return centred * torch.rsqrt(self.smooth(centred * centred, 2 * self.width + 1) + self.NOISE**2)

    def smooth(self, x: Tensor, width: int) -> Tensor:
        """A box mean over `width` cells of the coarse grid, back at full size."""
        dims = x.ndim - 2
        coarse = coarse_mean(x, self.COARSE)
        for d in range(dims):  # one direction after the other
            odd = (coarse.shape[2 + d] - 1) | 1  # no wider than the grid
            kernel = [min(width, odd) if k == d else 1 for k in range(dims)]
            coarse = MEAN[dims](coarse, kernel, 1, [n // 2 for n in kernel], count_include_pad=False)
        return functional.interpolate(coarse, x.shape[2:], mode=LINEAR[dims], align_corners=False)


def coarse_mean(x: Tensor, side: int) -> Tensor:  # N C *size -> N C *size/side
    """Means over cells of so many positions in every direction; cells at the far edges are smaller."""
    kernel = [min(side, n) for n in x.shape[2:]]
    return MEAN[x.ndim - 2](x, kernel, side, ceil_mode=True, count_include_pad=False)


class CoarseMean(nn.Module):
    """`coarse_mean` as a module."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return coarse_mean(x, self.side)


class Pad(nn.Module):
    """Option A of He et al. 2015, section 4.2: every stride-th pixel, and zeros for the new channels."""

    def __init__(self, stride: int, channels: int):
        super().__init__()
        self.stride, self.channels = stride, channels

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N C+channels *size/stride
        if self.stride > 1:
            every = slice(None, None, self.stride)
            x = x[(slice(None), slice(None), *(every for _ in range(x.ndim - 2)))]
        return functional.pad(x, [0, 0] * (x.ndim - 2) + [0, self.channels])


class GlobalPool(nn.Module):
    """All positions to one value per channel: their mean, their maximum, or both side by side."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N C (or N 2C)
        x = x.flatten(2)
        if self.kind == "average":
            return x.mean(2)
        return x.amax(2) if self.kind == "max" else torch.cat([x.mean(2), x.amax(2)], 1)


class Bias(nn.Module):
    """A number added to every channel: what is left of a norm in a network without norms."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N C *size
        return x + self.bias.reshape(-1, *[1] * (x.ndim - 2))


class Scale(nn.Module):
    """The input times one learned number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight  # in this order onnxruntime folds it into the convolution


class Gate(nn.Sequential):
    """Squeeze and excitation: every channel times what the layers make of the means of all channels."""

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N C *size
        gate = super().forward(x)
        return x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))


class Line(NamedTuple):
    """One line of a block's program: tensor `out` is what the module `part` makes of tensor reads[0], or, where `part`
    is "", the sum of `reads` times `weights`."""

    out: str
    part: str
    reads: tuple[str, ...]
    weights: tuple[float, ...]


class Block(nn.Module):
    """One block: its branches, shortcuts and activations, and the program that joins them to the streams."""

    def __init__(self, parts: dict[str, nn.Module], lines: Sequence[Line], takes: Sequence[str], gives: Sequence[str]):
        super().__init__()
        for name in sorted(parts, key=_place_of):  # fresh weights are drawn in this order
            self.add_module(name, parts[name])
        self.lines, self.takes, self.gives = tuple(lines), tuple(takes), tuple(gives)

    def forward(self, *streams: Tensor) -> tuple[Tensor, ...]:  # N X *size each -> N Y *size/stride each
        tensors = dict(zip(self.takes, streams, strict=True))
        for out, part, reads, weights in self.lines:
            if part:
                tensors[out] = self._modules[part](tensors[reads[0]])  # type: ignore[misc]
            else:
                tensors[out] = weighted_sum([tensors[name] for name in reads], weights)
        return tuple(tensors[name] for name in self.gives)


def _place_of(part: str) -> tuple[int, str]:
    order = ("shared", "branch", "shortcut", "after")
    return next(k for k, name in enumerate(order) if part.startswith(name)), part


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The sum of tensors of one shape times numbers."""
    total = tensors[0] if weights[0] == 1 else weights[0] * tensors[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total + tensor if weight == 1 else torch.add(total, tensor, alpha=weight)
    return total


class Network(nn.Module):
    """A network as a module: the stem, the stages of blocks, the head. `net` is its description."""

    def __init__(self, net: Net, stem: nn.Module, stages: nn.ModuleList, head: nn.Module):
        super().__init__()
        self.net, self.stem, self.stages, self.head = net, stem, stages, head

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N classes
        streams: tuple[Tensor, ...] = (self.stem(x),)
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                streams = block(*streams)
        return self.concluded(streams)

    def concluded(self, streams: tuple[Tensor, ...]) -> Tensor:  # N C *size each -> N classes
        """The logits of what leaves the last stage."""
        if len(streams) == 1:
            return self.head(streams[0])
        pooled = [self.head.pool(stream) for stream in streams]  # type: ignore[operator]
        return self.head.linear(torch.cat(pooled, 1))  # type: ignore[operator]

    def become(self, other: "Network") -> None:
        """Take over another network's description and layers, so that whoever holds this module now holds those."""
        self.net, self.stem, self.stages, self.head = other.net, other.stem, other.stages, other.head

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps of a batch: what leaves the stem before its pool (where it has one), the stem, and each stage, (N,
        C, *size) each. Of two streams that go on it is their mean, or the first where the second is no picture
        (momentum)."""
        maps = []
        for name, layer in self.stem.named_children():
            if name == "pool":
                maps.append(x)
            x = layer(x)
        maps.append(x)
        streams: tuple[Tensor, ...] = (x,)
        for stage, module in zip(self.net.stages, self.stages, strict=True):
            for block in module:  # type: ignore[attr-defined]
                streams = block(*streams)
            alike = STEPS[stage.step.kind].fills == "copy"
            maps.append(sum(streams[1:], streams[0]) / len(streams) if alike else streams[0])
        return maps


def build(net: Net, generator: torch.Generator | None = None) -> Network:
    """The module of a network, freshly initialised.

    Convolutions are normal with variance 2 / fan out (He et al. 2015, 1502.01852), linear layers uniform within 1 /
    sqrt(fan in), norms one and zero; then each stage begins as its step says. All randomness comes from `generator`
    (default: a new one of seed 0). The module takes float samples (N, channels, *size), of other sizes too, and gives
    logits (N, classes).
    """
    table = lower(net)
    paths = [[f"stages.{i}.{j}" for j in range(len(stage.blocks))] for i, stage in enumerate(net.stages)]
    flows = _flows([path for stage in paths for path in stage], table)
    stages = nn.ModuleList(nn.ModuleList(_block(path, table, *flows[path]) for path in stage) for stage in paths)
    network = Network(
        net, _chain("stem", _rows_of("stem", table), table), stages, _chain("head", _rows_of("head", table), table)
    )
    generator = generator or torch.Generator().manual_seed(0)
    initialise(network, generator)
    begin(net, network, generator)
    return network


def build_block(net: Net, stage: int, at: int) -> Block:
    """One block of a network, its weights not yet initialised."""
    table, path = lower(net), f"stages.{stage}.{at}"
    paths = [f"stages.{i}.{j}" for i, s in enumerate(net.stages) for j in range(len(s.blocks))]
    return _block(path, table, *_flows(paths, table)[path])


def _flows(blocks: Sequence[str], table: Table) -> dict[str, tuple[list[str], list[str]]]:
    """The tensors that each block takes, and those that it gives: what the next one, or the head, takes."""
    takes = [_taken(_rows_of(part, table)) for part in (*blocks, "head")]
    return {path: (takes[k], takes[k + 1]) for k, path in enumerate(blocks)}


def _taken(rows: Sequence[Row]) -> list[str]:
    """Paths of the tensors that rows read and do not write, in the order of the streams (add, add1)."""
    written = {row.path for row in rows}
    return sorted({path for row in rows for path in row.reads} - written, key=lambda path: path.split(".")[-1])


def _rows_of(path: str, table: Table) -> list[Row]:
    return [row for row in table.rows if row.path.startswith(path + ".")]


def _block(path: str, table: Table, takes: Sequence[str], gives: Sequence[str]) -> Block:
    parts: dict[str, nn.Module] = {}
    lines = []
    for name, group in groupby(_rows_of(path, table), key=lambda row: row.path.split(".")[3]):
        rows = list(group)
        if rows[0].op == "add":
            lines += [Line(row.path, "", row.reads, row.weights) for row in rows]
            continue
        part = rows[0].module.split(".")[3] if rows[0].module else name
        if not rows[0].module:
            chain = len(rows) > 1 or len(rows[0].path.split(".")) > 4
            parts[name] = _chain(f"{path}.{name}", rows, table) if chain else _layer(rows[0], table)
        lines.append(Line(rows[-1].path, part, rows[0].reads, ()))
    return Block(parts, lines, takes, gives)


def _chain(path: str, rows: Sequence[Row], table: Table) -> nn.Module:
    layers = [(row.path.removeprefix(path + "."), row) for row in rows]
    gates = {name for name, row in layers if row.op == "times"}
    named: list[tuple[str, nn.Module]] = []
    for name, row in layers:
        if row.op == "times":
            inner = [(n.removeprefix(name + "."), r) for n, r in layers if n.startswith(name + ".")]
            named.append((name, _named(((n, _layer(r, table)) for n, r in inner), Gate())))
        elif name.partition(".")[0] not in gates:
            named.append((name, _layer(row, table)))
    return _named(named, nn.Sequential())


def _named(layers: Iterable[tuple[str, nn.Module]], sequence: nn.Sequential) -> nn.Sequential:
    for name, layer in layers:
        sequence.add_module(name, layer)
    return sequence


def _layer(row: Row, table: Table) -> nn.Module:
    x, y, dims = table.width[row.x], table.width[row.y], len(row.size_in)
    match row.op:
        case "contrast":
            return Contrast(row.kernel)
        case "conv":
            half, make = row.kernel // 2, CONV[dims]
            if row.kind == "same":
                half, make = 0, SamePadding
            if (dims, row.kernel, row.groups) == (2, 1, 1) and row.stride > 1:
                make = Subsampling
            return make(x, y, row.kernel, row.stride, half, groups=row.groups, bias=False)
        case "norm":
            return nn.GroupNorm(row.groups, y) if row.kind == "group" else NORM[dims](y)
        case "bias":
            return Bias(y)
        case "act":
            return ACT[row.kind]()
        case "scale":
            return Scale()
        case "pool" if row.kind == "average":
            return CoarseMean(row.stride)
        case "pool":
            return POOL[dims](row.kernel, row.stride, row.kernel // 2)
        case "pad":
            return Pad(row.stride, y - x)
        case "globalpool":
            return GlobalPool(row.kind)
        case "linear":
            return nn.Linear(row.copies * x, y)
    raise AssertionError(row.op)
