"""Where padded shortcuts put their zero channels. Here they come after the others (He et al. 2015, the authors' code);
in akamaster/pytorch_resnet_cifar10 half of them come before and half after. This is a matter of the order of channels
alone."""

import torch
from torch import Tensor

from ...arch.lower import Row, lower
from ...arch.spec import Net


def widening(net: Net) -> list[Row]:
    """The padded shortcuts that add channels."""
    table = lower(net)
    return [row for row in table.rows if row.op == "pad" and table.width[row.x] < table.width[row.y]]


def recentred(tensors: dict[str, Tensor], net: Net) -> dict[str, Tensor]:
    """A state dict whose author puts zero channels on both sides, with the channels in our order."""
    table = lower(net)
    order: dict[str, Tensor] = {}  # of an axis: the author's channel at each index of ours
    for row in widening(net):
        before = order.get(row.x, torch.arange(table.width[row.x]))
        first = (table.width[row.y] - len(before)) // 2
        new = torch.arange(table.width[row.y])
        new = torch.cat([new[:first], new[first + len(before) :]])
        order[row.y] = torch.cat([before + first, new])
    moved = dict(tensors)
    for row in table.rows:
        for name in [name for name in tensors if name.rpartition(".")[0] == row.path]:
            moved[name] = _reordered(moved[name], row, order)
    return moved


def _reordered(value: Tensor, row: Row, order: dict[str, Tensor]) -> Tensor:
    if value.ndim and row.y in order:
        value = value[order[row.y]]
    if value.ndim > 1 and row.x in order:
        width = len(order[row.x])  # a pooled axis can stand there several times
        value = value[:, torch.cat([order[row.x] + k * width for k in range(row.copies)])]
    return value
