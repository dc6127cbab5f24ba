"""How fresh weights begin: layer by layer, and then as each stage's step asks for (see `Step.start`)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..arch.lower import Row, lower
from ..arch.spec import Net

LENGTH = 0.1  # of the Gaussian process over depth, in units of a stage
Layers = list[list[nn.Parameter]]  # for each place in a block the weights of all blocks of a stage that are alike


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
def begin(net: Net, module: nn.Module, generator: torch.Generator) -> None:
    """Change the fresh weights of each stage as the start of its step says; "fixup" makes the classifier zero too."""
    count = sum(len(stage.blocks) for stage in net.stages)
    for i, stage in enumerate(net.stages):
        rows = [row for row in lower(net).rows if row.path.startswith(f"stages.{i}.") and not row.module]
        match stage.step.start:
            case "fixup":
                _fixup(rows, module, count)
            case "tied":
                for weights in _alike(rows, module):
                    for weight in weights:
                        weight.copy_(weights[0])
            case "smooth":
                for weights in _alike(rows, module):
                    _smooth(weights, generator)
        if stage.step.start in ("zero", "fixup", "tied"):
            _zero(rows, module)
    if any(stage.step.start == "fixup" for stage in net.stages):
        for parameter in module.get_submodule("head.linear").parameters():
            parameter.zero_()


@torch.no_grad()
def start_as_identity(net: Net, stage: int, at: int, block: nn.Module) -> None:
    """Make zero what lets a block's branches vanish: their learned scalars, or else what their tables name."""
    path = f"stages.{stage}.{at}."
    _zero([row for row in lower(net).rows if row.path.startswith(path) and not row.module], block, path)


def _zero(rows: list[Row], module: nn.Module, prefix: str = "") -> None:
    for row in rows:
        if row.zero:
            module.get_parameter(f"{row.path.removeprefix(prefix)}.weight").zero_()


def _weighted(rows: list[Row], ops: tuple[str, ...] = ("conv",)) -> list[list[Row]]:
    """The convolutions of each branch, and what else is asked for."""
    branches: dict[str, list[Row]] = {}
    for row in rows:
        if row.op in ops and ".branch" in row.path:
            branches.setdefault(".".join(row.path.split(".")[:4]), []).append(row)
    return list(branches.values())


def _fixup(rows: list[Row], module: nn.Module, blocks: int) -> None:
    """Scale fresh weights as in Zhang et al. 2019 (1901.09321), section 3: all but the last convolution of the m in a
    branch are multiplied by L^(-1 / (2m - 2)). The last is made zero by its row."""
    for convolutions in _weighted(rows):
        power = -1 / (2 * len(convolutions) - 2)
        for row in convolutions[:-1]:
            module.get_parameter(f"{row.path}.weight").mul_(blocks**power)


def _alike(rows: list[Row], module: nn.Module) -> Iterator[list[Tensor]]:
    """The weights of the blocks of a stage, one list for each layer of a block."""
    by_layer: dict[tuple[str, torch.Size], list[Tensor]] = {}
    for branch in _weighted(rows, ("conv", "linear")):
        for row in branch:
            weight = module.get_parameter(f"{row.path}.weight")
            by_layer.setdefault((row.path.split(".", 3)[3], weight.shape), []).append(weight)
    yield from by_layer.values()


def _smooth(weights: list[Tensor], generator: torch.Generator) -> None:
    """Make every entry a Gaussian process in depth s with the kernel exp(-(s - s')^2 / (2 l^2)), of the variance that
    the fresh weights have (Marion et al. 2024, 2309.01213, section 3)."""
    depth = torch.linspace(0, 1, len(weights), dtype=torch.float64)
    kernel = torch.exp(-((depth[:, None] - depth) ** 2) / (2 * LENGTH**2)) if len(weights) > 1 else torch.ones(1, 1)
    values, vectors = torch.linalg.eigh(kernel.double())
    root = vectors * values.clamp_min(0).sqrt()  # the kernel is nearly singular, so no Cholesky factor
    fresh = torch.stack(weights).double()
    for weight, smooth in zip(weights, torch.einsum("kj,j...->k...", root, fresh), strict=True):
        weight.copy_(smooth)
