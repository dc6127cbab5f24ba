"""build(net) -> the module. Modules are made from the rows of the lowered table; their paths are the rows' paths."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..arch.branches import BRANCHES
from ..arch.lower import Row, Table, lower
from ..arch.spec import Block, Net

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MEAN: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


class Contrast(nn.Module):
    """Local contrast normalisation (Jarrett et al. 2009, section 2): (x - mean) / sqrt(variance + noise), mean over
    about `window` pixels, variance over twice as many. Both vary slowly, so they are taken on a grid four times
    coarser. The noise floor keeps even surfaces even: 0.05 of the images' standard deviation."""

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
        coarse = MEAN[dims](x, self.COARSE, ceil_mode=True)
        for d in range(dims):  # one direction after the other
            odd = (coarse.shape[2 + d] - 1) | 1  # no wider than the grid
            kernel = [min(width, odd) if k == d else 1 for k in range(dims)]
            coarse = MEAN[dims](coarse, kernel, 1, [n // 2 for n in kernel], count_include_pad=False)
        return functional.interpolate(coarse, x.shape[2:], mode=LINEAR[dims], align_corners=False)


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


class Residual(nn.Module):
    """One block: after(shortcut(x') + s branch(x')), where x' = shared(x)."""

    def __init__(self, shared: nn.Module, branch: nn.Module, shortcut: nn.Module, scaled: bool, after: nn.Module):
        super().__init__()
        self.shared, self.branch, self.shortcut, self.after = shared, branch, shortcut, after
        self.scale = nn.Parameter(torch.ones(())) if scaled else None

    def forward(self, x: Tensor) -> Tensor:  # N X *size -> N Y *size/stride
        x = self.shared(x)
        out = self.branch(x)
        if self.scale is not None:
            out = self.scale * out
        return self.after(self.shortcut(x) + out)


class Network(nn.Module):
    """Stem, stages of blocks, head. `net` is its description."""

    def __init__(self, net: Net, stem: nn.Module, stages: nn.ModuleList, head: nn.Module):
        super().__init__()
        self.net, self.stem, self.stages, self.head = net, stem, stages, head

    def forward(self, x: Tensor) -> Tensor:  # N C *size -> N classes
        x = self.stem(x)
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                x = block(x)
        return self.head(x)


def build(net: Net, generator: torch.Generator | None = None) -> Network:
    """The module of a network, freshly initialised: convolutions normal with variance 2 / fan out (He et al. 2015,
    1502.01852), the linear layer uniform within 1 / sqrt(fan in), norms one and zero.

    Takes float images (N, channels, *size), of other sizes too, and gives logits (N, classes). All randomness comes
    from `generator` (default: a new one of seed 0).
    """
    table = lower(net)
    stages = nn.ModuleList(
        nn.ModuleList(_block(f"stages.{i}.{j}", block, table) for j, block in enumerate(stage.blocks))
        for i, stage in enumerate(net.stages)
    )
    network = Network(net, _chain("stem", table), stages, _chain("head", table))
    initialise(network, generator or torch.Generator().manual_seed(0))
    return network


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Fresh weights in place, drawn in the order of the module's layers."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            fan_out = layer.weight[0, 0].numel() * layer.out_channels // layer.groups
            layer.weight.normal_(0, math.sqrt(2 / fan_out), generator=generator)


@torch.no_grad()
def start_as_identity(net: Net, stage: int, at: int, block: nn.Module) -> None:
    """Zero what makes a block's branch vanish: its learned scalar, or else what the branch's table names."""
    path = f"stages.{stage}.{at}."
    rows = [row for row in lower(net).rows if row.path.startswith(path)]
    zeros = (
        ["scale"]
        if any(row.scale for row in rows)
        else [f"{row.path.removeprefix(path)}.weight" for row in rows if row.zero]
    )
    for name in zeros:
        block.get_parameter(name).zero_()


def build_block(net: Net, stage: int, at: int) -> Residual:
    """One block of a network, its weights not yet initialised."""
    return _block(f"stages.{stage}.{at}", net.stages[stage].blocks[at], lower(net))


def _block(path: str, block: Block, table: Table) -> Residual:
    (add,) = (row for row in table.rows if row.path == f"{path}.add")
    shared, branch, shortcut = (_chain(f"{path}.{part}", table) for part in ("shared", "branch", "shortcut"))
    after = nn.ReLU() if BRANCHES[block.kind].after else nn.Identity()
    return Residual(shared, branch, shortcut, add.scale, after)


def _chain(path: str, table: Table) -> nn.Module:
    rows = [row for row in table.rows if row.path.startswith(path + ".")]
    return _named((row.path.removeprefix(path + "."), _layer(row, table)) for row in rows) if rows else nn.Identity()


def _named(layers: Iterable[tuple[str, nn.Module]]) -> nn.Sequential:
    sequence = nn.Sequential()
    for name, layer in layers:
        sequence.add_module(name, layer)
    return sequence


def _layer(row: Row, table: Table) -> nn.Module:
    x, y, dims = table.width[row.x], table.width[row.y], len(row.size_in)
    match row.op:
        case "contrast":
            return Contrast(row.kernel)
        case "conv":
            half = row.kernel // 2
            return CONV[dims](x, y, row.kernel, row.stride, half, groups=row.groups, bias=False)
        case "norm":
            return NORM[dims](y)
        case "act":
            return nn.ReLU()
        case "pool":
            return POOL[dims](row.kernel, row.stride, row.kernel // 2)
        case "pad":
            return Pad(row.stride, y - x)
        case "globalpool":
            return GlobalPool(row.pool)
        case "linear":
            return nn.Linear(2 * x if row.pool == "both" else x, y)
    raise AssertionError(row.op)
