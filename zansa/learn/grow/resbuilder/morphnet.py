"""MorphNet (Gordon et al. 2018, 1711.06798) as ResBuilder uses it: a group LASSO on filters, weighted by the FLOPs that
they cost, and the arithmetic that makes a network narrower by what is dead and wider toward a budget.

A FLOP is half a multiply-add here, as in the authors' code: every price is twice that of `arch.cost`. What a channel is
worth is the root mean square r of the weights of the filter that writes it. Convolutions whose outputs are added share
their channels: such a residual group has the largest r of its members. A padded shortcut ties the channels of the
stream before it to the first channels of the stream after it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from math import floor, prod

import torch
from torch import Tensor
from torch.nn import functional

from ....arch.lower import Row, Table, lower
from ....arch.spec import Net
from ....nets.build import Network

ALIVE = 1e-2  # a filter is alive above this root mean square
EPSILON = 1e-12  # inside the root, whose gradient at 0 is undefined
BLEND = 0.5  # e: the share of the expansion that is taken
FANS_AT_64 = 2 * 9 * 64  # inputs and outputs of a weight of a 3x3 convolution from 64 to 64 channels


def term(network: Network, relative: bool = False) -> Tensor:
    """The regulariser R, a scalar: the sum over convolutions and linear layers of C (A_in sum r_out + A_out sum r_in).

    C is the FLOPs of one weight; A counts alive channels, which are constants here. The gradient of a residual group's
    r reaches only the member with the largest r. Channels of the input have r = 0. For `relative` see `limit`.
    ValueError for steps other than plain ones.
    """
    table = _plain(network.net)
    count = {axis: mask.sum() for axis, mask in alive(network, relative).items()}
    total = {axis: r.sum() for axis, r in _worth(network, table, lambda weight: 1.0).items()}
    return torch.stack(
        [coefficient(row) * (count[row.x] * total[row.y] + count[row.y] * total[row.x]) for row in weighted(table)]
    ).sum()


def alive(network: Network, relative: bool = False) -> dict[str, Tensor]:
    """For every axis which channels are alive, as booleans: those for which the r of any member of the residual group
    is above ALIVE. Channels of the input always are. For `relative` see `limit`."""
    return {axis: worth > 1 for axis, worth in worths(network, relative).items()}


@torch.no_grad()
def worths(network: Network, relative: bool = False) -> dict[str, Tensor]:
    """For every axis the r of its channels, in units of the limit above which they are alive."""
    table = _plain(network.net)
    by_axis = _worth(network, table, lambda weight: limit(ALIVE, weight, relative))
    by_axis["input"] = torch.full_like(by_axis["input"], torch.inf)
    return by_axis


def limit(base: float, weight: Tensor, relative: bool) -> float:
    """The size below which a weight counts as dead.

    It is `base`, as published. With `relative` it is in proportion to the size of Glorot's fresh weights, and equal to
    `base` for 3x3 convolutions from 64 to 64 channels.
    """
    return base * math.sqrt(FANS_AT_64 / fans(weight)) if relative else base


def fans(weight: Tensor) -> int:
    """Inputs of an output plus outputs of an input: Glorot's weights are uniform within sqrt(6 / fans)."""
    return weight[0].numel() + len(weight) * weight[0, 0].numel()


def flops(net: Net, count: Mapping[str, int] | None = None) -> int:
    """FLOPs of one sample when each axis has so many channels alive (default: all), by convolutions and linear layers;
    twice the multiply-adds of `arch.cost`."""
    table = lower(net)
    width = table.width | dict(count or {})
    return round(sum(coefficient(row) * width[row.x] * width[row.y] for row in weighted(table)))


def coefficient(row: Row) -> float:
    """FLOPs of one weight from one channel to another: 2 for each position where it is applied; 2 of a linear layer."""
    return 2 * row.copies * row.kernel ** len(row.size) * prod(row.size) / row.groups


def weighted(table: Table) -> Iterator[Row]:
    """The convolutions, shortcuts among them, and the linear layers."""
    return (row for row in table.rows if row.op in ("conv", "linear"))


def _plain(net: Net) -> Table:
    for i, stage in enumerate(net.stages):
        if stage.step.kind != "plain":
            raise ValueError(f"stages.{i} has a {stage.step.kind} step; MorphNet's groups are known of plain steps")
    return lower(net)


def _worth(network: Network, table: Table, unit: Callable[[Tensor], float]) -> dict[str, Tensor]:
    """For every axis the largest r of each channel among the layers that write it, each in a unit of its own."""
    tied = _tied(table)
    members: dict[str, list[Tensor]] = {}
    for row in weighted(table):
        weight = network.get_parameter(f"{row.path}.weight")
        r = (weight.float().square().flatten(1).mean(1) + EPSILON).sqrt()
        members.setdefault(tied[row.y], []).append(r / unit(weight))
    members["input"] = [torch.zeros_like(r[:1]).expand(table.width["input"]) for r in members["classes"]]
    group = {axis: _largest(values) for axis, values in members.items()}
    return {axis: group[tied[axis]][:width] for axis, width in table.width.items()}


def _tied(table: Table) -> dict[str, str]:
    """The axis that stands for each axis's residual group: that before the first padded shortcut."""
    tied = {axis: axis for axis in table.width}
    for row in table.rows:
        if row.op == "pad":
            tied[row.y] = tied[row.x]
    return tied


def _largest(members: list[Tensor]) -> Tensor:
    """The element-wise maximum; padded channels of the shorter ones are zero."""
    longest = max(map(len, members))
    return torch.stack([functional.pad(r, (0, longest - len(r))) for r in members]).max(0).values


def published_widths(alive: Mapping[str, int], unshrunk: int, target: int, blend: float = BLEND) -> dict[str, int]:
    """New widths as published: floor(e floor(w c) + (1 - e) c) with w = sqrt(target / unshrunk) of the alive counts c,
    and at least 1.

    `unshrunk` is the price of the network before anything dead was taken from it, so the target is missed. Both prices
    are in the same unit, whichever it is.
    """
    factor = math.sqrt(target / unshrunk)
    return {axis: max(1, floor(blend * floor(factor * c) + (1 - blend) * c)) for axis, c in alive.items()}


def exact_widths(net: Net, alive: Mapping[str, int], target: int) -> dict[str, int]:
    """The widths max(1, floor(w c)) of the alive counts c, for the largest floating-point number w at which the FLOPs
    are no more than the target, by bisection. ValueError when one channel everywhere is too much."""
    low, high = 0.0, 1.0
    if (least := flops(net, _times(alive, low))) > target:
        raise ValueError(
            f"a budget of {target / 2:g} multiply-adds was asked; with one channel on every axis the network costs "
            f"{least / 2:g}: ask for more, or begin with fewer blocks or smaller images"
        )
    while flops(net, _times(alive, high)) <= target:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if flops(net, _times(alive, middle)) <= target else (low, middle)
    return _times(alive, low)


def _times(alive: Mapping[str, int], factor: float) -> dict[str, int]:
    return {axis: max(1, floor(factor * c)) for axis, c in alive.items()}
