"""What a new part of a network promises: see `signals` for the currency.

Candidates are put into an extended network together: wider axes into one, new blocks and gates on blocks into another.
All of them are read with zeros, so the function stays what it was and no candidate knows of another. One backward pass
over training samples gives each its direction, the steepest for the zeros (as in GradMax, Evci et al. 2022,
2201.05125); one over held-out samples tells how far each sample's loss would fall along it.

What the network could learn with the layers that it has is no merit of a candidate. With X the falls of the present
layers along their own directions and f that of the candidate, the quadratic model's best step gains half the R^2 of the
regression of 1 on (X, f); the candidate's promise is what f adds to it (the expansion score of Mitchell et al. 2023,
2307.04526, in one direction per layer).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional, grad

from ...arch.axes import group_of
from ...arch.edits import Insert, Rekind, Widen
from ...arch.lower import Row, Table, lower
from ...nets.build import Network
from ...nets.transfer import edited
from .signals import WeightedSamples, batches, branches, recorded

WEIGHT_GRADIENT: dict[int, Callable[..., Tensor]] = {
    1: grad.conv1d_weight,
    2: grad.conv2d_weight,
    3: grad.conv3d_weight,
}
CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
Addition = Widen | Insert | Rekind


@dataclass(frozen=True)
class Promise:
    """What a candidate promises. gain / error is the number of standard errors by which its slope differs from zero.

    gain: the fall of the loss, in nats.
    error: the part of the gain that one standard error of the slope is worth.
    """

    gain: float
    error: float


@dataclass(frozen=True)
class Reader:
    """A layer that reads what a candidate writes.

    row: the layer.
    end: the path of the row at whose output the slope is taken: the layer itself, or the end of a branch whose last
        norm is zero.
    channels: which channels of its input are the candidate's.
    """

    row: Row
    end: str
    channels: tuple[int, ...]


def promises(
    module: Network,
    candidates: Sequence[Addition],
    train: WeightedSamples,
    held: WeightedSamples,
    few: WeightedSamples,
    seed: int,
) -> tuple[list[Promise], Promise]:
    """What each candidate promises, and what all wider axes promise together, by one step along the gradient.

    train: samples that give the directions.
    held: samples that measure wider axes.
    few: samples that measure new blocks and gates, with which the network is several times as dear.
    seed: draws the new weights.

    The promise of all together does not leave out what the present layers can learn. The module stays as it is.
    """
    by_index: dict[int, Promise] = {}
    together = Promise(0.0, 0.0)
    for kind, extend, judges in ((Widen, widened, held), (Insert | Rekind, deepened, few)):
        indices = [k for k, candidate in enumerate(candidates) if isinstance(candidate, kind)]
        if indices:
            extended, readers = extend(module, [candidates[k] for k in indices], seed)
            each, alike = measured(extended, readers, len(indices), train, judges)
            by_index |= zip(indices, each, strict=True)
            together = alike if kind is Widen else together
    return [by_index[k] for k in range(len(candidates))], together


def widened(module: Network, candidates: Sequence[Any], seed: int) -> tuple[Network, list[list[Reader]]]:
    """The network with every axis as wide as its candidate says, and the layers that read the new channels."""
    extended, before = edited(module, candidates, seed), lower(module.net)
    table = lower(extended.net)
    rows, fresh = weighted(table), {axis: range(before.width[axis], width) for axis, width in table.width.items()}
    readers = [
        [
            Reader(row, row.path, of_copies(row, table, fresh[row.x]))
            for row in rows
            if row.x in group_of(before, edit.axis)[1]
        ]
        for edit in candidates
    ]
    old = [Reader(row, row.path, of_copies(row, table, range(before.width[row.x]))) for row in rows]
    return extended, [*readers, *([reader] for reader in old)]


def weighted(table: Table) -> list[Row]:
    """The layers whose every output reads every input."""
    return [row for row in table.rows if row.op in ("conv", "linear") and row.groups == 1 and not row.module]


def of_copies(row: Row, table: Table, channels: range) -> tuple[int, ...]:
    """The indices of channels in what a layer reads, where they stand there several times side by side."""
    return tuple(copy * table.width[row.x] + channel for copy in range(row.copies) for channel in channels)


def deepened(module: Network, candidates: Sequence[Any], seed: int) -> tuple[Network, list[list[Reader]]]:
    """The network with all new blocks and gates, and its readers: of each block the last convolutions of its branches,
    of each gate the layer that is zero."""
    gates = [edit for edit in candidates if isinstance(edit, Rekind)]
    inserts = sorted((edit for edit in candidates if isinstance(edit, Insert)), key=lambda edit: (edit.stage, -edit.at))
    extended = edited(module, [*gates, *inserts], seed)
    table = lower(extended.net)
    readers = [ends(edit, inserts, table) for edit in candidates]
    new = {reader.row.path for each in readers for reader in each}
    return extended, [*readers, *([every(row, row.path, table)] for row in weighted(table) if row.path not in new)]


def ends(edit: Insert | Rekind, inserts: Sequence[Insert], table: Table) -> list[Reader]:
    """The layers that read a new block's or gate's last values with zeros, in the network after all inserts."""
    before = [insert.at for insert in inserts if insert.stage == edit.stage]
    if isinstance(edit, Rekind):
        block = f"stages.{edit.stage}.{edit.at + sum(at <= edit.at for at in before)}.branch"
        rows = [row for row in table.rows if row.path.startswith(block) and row.path.endswith(".up")]
        return [every(row, row.path, table) for row in rows]
    readers = []
    for end in branches(table)[edit.stage, edit.at + sum(at < edit.at for at in before)]:
        branch = ".".join(end.split(".")[:4]) + "."
        row = [row for row in table.rows if row.path.startswith(branch) and row.op == "conv"][-1]
        readers.append(every(row, end, table))
    return readers


def every(row: Row, end: str, table: Table) -> Reader:
    """A layer with all that it reads."""
    return Reader(row, end, of_copies(row, table, range(table.width[row.x])))


Pairs = dict[
    tuple[int, int], list[tuple[Tensor, Tensor]]
]  # candidate and reader -> (what it reads, slope) of each call


def measured(
    extended: Network, readers: list[list[Reader]], count: int, train: WeightedSamples, held: WeightedSamples
) -> tuple[list[Promise], Promise]:
    """What each of the first `count` entries promises beyond what the other entries can do, and what one step along all
    of them at once promises by itself. Each entry is given by its readers."""
    directions: dict[tuple[int, int], Tensor] = {}
    for pairs in passes(extended, readers, train, power=1.0):
        for key, calls in pairs.items():
            for x, slope in calls:
                step = -weight_slope(readers[key[0]][key[1]].row, x, slope)
                directions[key] = directions[key] + step if key in directions else step
    falls: list[list[Tensor]] = [[] for _ in readers]
    for pairs in passes(extended, readers, held, power=0.5):
        total = [torch.zeros(()) for _ in readers]
        for key, calls in pairs.items():
            for x, slope in calls:
                total[key[0]] = total[key[0]] - along(readers[key[0]][key[1]].row, directions[key], x, slope)
        for each, fall in zip(falls, total, strict=True):
            each.append(fall.cpu())
    columns = torch.stack([torch.cat(each) for each in falls], 1).double()
    root = torch.from_numpy(held.weight).sqrt()
    alone = [promise(columns[:, k], columns[:, count:], root) for k in range(count)]
    return alone, promise(columns[:, :count].sum(1), columns[:, :0], root)


def promise(fall: Tensor, known: Tensor, root: Tensor) -> Promise:
    """What a fall (N,) adds to the known ones (N, L), all times the root (N,) of the samples' weights: half the rise of
    R^2. It is nothing where the best step is backwards, or where there are too few samples to tell."""
    scale = known.square().mean(0).sqrt()
    known = known[:, scale > 0] / scale[scale > 0]
    if len(fall) <= known.shape[1] + 1:
        return Promise(0.0, 0.0)
    projector = torch.linalg.pinv(known, rtol=1e-6)
    rest = root - known @ (projector @ root)  # what no present layer explains
    own = fall - known @ (projector @ fall)
    square = own.square().mean()
    if square <= 1e-12 * fall.square().mean():
        return Promise(0.0, 0.0)  # nothing new: what is left is rounding
    mean = (own * rest).mean()
    free = len(fall) - known.shape[1]  # dimensions in which what is left can lie: as many samples tell of it
    error = (own * rest).std() / free**0.5
    return Promise(float(mean.clamp_min(0) ** 2 / (2 * square)), float(mean.abs() * error / (2 * square)))


def of_several(certain: float, count: int) -> float:
    """The number of standard errors that one of `count` values must have to be as sure as one value alone with
    `certain` of them (Bonferroni's correction)."""
    normal = NormalDist()
    return normal.inv_cdf(1 - (1 - normal.cdf(certain)) / max(1, count))


def passes(extended: Network, readers: list[list[Reader]], held: WeightedSamples, power: float) -> Iterator[Pairs]:
    """Go forward and backward over all batches. Each gives what every reader read, and the slope at its end of every
    sample's loss times this power of the sample's weight."""
    device = next(extended.parameters()).device
    rows = {reader.row.path for each in readers for reader in each}
    ends = {reader.end for each in readers for reader in each}
    for samples, labels, weight in batches(held, device):
        with recorded(extended, rows, inputs=True) as read, recorded(extended, ends) as ended, torch.enable_grad():
            losses = functional.cross_entropy(extended(samples.requires_grad_()), labels, reduction="none")
            (losses * weight**power).sum().backward()
        yield {
            (k, j): [
                (x[:, list(reader.channels)], slope)
                for (x, _), (_, slope) in zip(read[reader.row.path], ended[reader.end], strict=True)
            ]
            for k, each in enumerate(readers)
            for j, reader in enumerate(each)
        }


def weight_slope(row: Row, x: Tensor, slope: Tensor) -> Tensor:
    """The gradient of the columns of a layer's weight that read x (N, C, *size)."""
    if row.op == "linear":
        return slope.T @ x
    shape = (slope.shape[1], x.shape[1], *[row.kernel] * (x.ndim - 2))
    return WEIGHT_GRADIENT[x.ndim - 2](x, shape, slope, row.stride, row.kernel // 2)


def along(row: Row, direction: Tensor, x: Tensor, slope: Tensor) -> Tensor:
    """The derivative of every sample's loss (N,) as these columns go in a direction."""
    if row.op == "linear":
        return ((x @ direction.T) * slope).sum(1)
    out = CONVOLVE[x.ndim - 2](x, direction, None, row.stride, row.kernel // 2)
    return (out * slope).flatten(1).sum(1)
