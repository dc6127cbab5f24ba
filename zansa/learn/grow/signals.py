"""What a part of a network is worth, and what a new part would be: one currency, the predicted change of the loss.

Both are read from one quadratic model of the loss on held-out samples, whose curvature is that of the samples' own
gradients (the empirical Fisher information). With g_n the derivative of sample n's loss by a gate on the part:

    removing a part (gate from 1 to 0) costs  E[g_n^2] / 2           (Theis et al. 2018, 1801.05787, eq. 8)
    adding one along its best direction gains E[g_n]^2 / (2 E[g_n^2]), and less where others do the same (see `promise`)

A new part's direction is read from training samples, its gain from held-out ones, so the gain of a part that would only
fit noise is within its error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...arch.axes import remappable
from ...arch.lower import Table, lower
from ...nets.build import Network
from ..data.dataset import Dataset
from ..predict import to_tensor

BATCH = 128


@dataclass(frozen=True)
class WeightedSamples:
    """Held-out samples, each with its weight.

    data: where they are from.
    index: which they are.
    weight: how much each one's loss counts, 1 on average. Sums of squares of derivatives count a sample of weight w as
        w samples, because its derivatives are taken times the root of w.
    """

    data: Dataset
    index: np.ndarray
    weight: np.ndarray


def held_out(data: Dataset, index: np.ndarray, balanced: bool, most: int = 500) -> WeightedSamples:
    """At most `most` samples of an index, spread over it; with `balanced` every class counts the same."""
    index = index[np.linspace(0, len(index) - 1, min(most, len(index))).astype(int)]
    labels = data.labels[index]
    if not balanced:
        return WeightedSamples(data, index, np.ones(len(index)))
    counts = np.bincount(labels, minlength=len(data.classes))
    return WeightedSamples(data, index, len(index) / (counts > 0).sum() / counts[labels])


def batches(held: WeightedSamples, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of samples, labels and weights."""
    for k in range(0, len(held.index), BATCH):
        index = held.index[k : k + BATCH]
        samples = to_tensor(held.data, index, device, torch.contiguous_format)
        labels = torch.from_numpy(held.data.labels[index]).to(device)
        yield samples, labels, torch.from_numpy(held.weight[k : k + BATCH]).to(device, torch.float32)


@torch.inference_mode()
def losses(module: Network, held: WeightedSamples) -> Tensor:
    """The weighted loss (N,) of every held-out sample, with a network in evaluation mode."""
    device = next(module.parameters()).device
    return torch.cat(
        [
            weight * functional.cross_entropy(module(samples).float(), labels, reduction="none")
            for samples, labels, weight in batches(held, device)
        ]
    ).cpu()


def writers(table: Table) -> dict[str, list[str]]:
    """For every axis the rows at whose output a gate on its channels stands: the convolutions that write the axis, or
    the norms that follow them. A module that computes twice is there once."""
    by_axis: dict[str, list[str]] = {}
    for row, after in zip(table.rows, (*table.rows[1:], None), strict=True):
        if not row.module and (row.op == "conv" or (row.op == "linear" and ".hidden" in row.y)):
            alone = sum(row.path in other.reads for other in table.rows) == 1  # a stream goes around the norm after it
            normed = alone and after is not None and after.op in ("norm", "bias") and after.reads == (row.path,)
            by_axis.setdefault(row.y, []).append(after.path if normed and after is not None else row.path)
    return by_axis


def branches(table: Table) -> dict[tuple[int, int], list[str]]:
    """For every block the rows that end its branches: a branch writes them and an addition reads them."""
    by_block: dict[tuple[int, int], list[str]] = {}
    for row in table.rows:
        for path in row.reads if row.op == "add" else ():
            parts = path.split(".")
            if parts[0] == "stages" and parts[3].startswith("branch"):
                by_block.setdefault((int(parts[1]), int(parts[2])), []).append(path)
    return by_block


@dataclass(frozen=True)
class Gates:
    """Derivatives of every held-out sample's loss, times the root of its weight, by gates on parts of a network.

    channels: (N, C) for every axis.
    blocks: (N,) for every block, by stage and index.
    loss: the weighted mean of the losses.
    accuracy: the weighted share of right answers.
    """

    channels: dict[str, Tensor]
    blocks: dict[tuple[int, int], Tensor]
    loss: float
    accuracy: float


def gates(module: Network, held: WeightedSamples) -> Gates:
    """Gate derivatives of a network in evaluation mode, on its device; the network is left as it was."""
    table = lower(module.net)
    free = remappable(module.net)
    rows = {path: axis for axis, paths in writers(table).items() if axis in free for path in paths}
    ends = {path: place for place, paths in branches(table).items() for path in paths}
    channels: dict[str, list[Tensor]] = {axis: [] for axis in rows.values()}
    blocks: dict[tuple[int, int], list[Tensor]] = {place: [] for place in ends.values()}
    losses, right = 0.0, 0.0
    device = next(module.parameters()).device
    for samples, labels, weight in batches(held, device):
        with recorded(module, {*rows, *ends}) as seen, torch.enable_grad():
            answers = module(samples.requires_grad_()).float()
            each = functional.cross_entropy(answers, labels, reduction="none")
            (each * weight.sqrt()).sum().backward()
        losses += float((each.detach() * weight).sum())
        right += float(((answers.argmax(1) == labels) * weight).sum())
        for axis in channels:
            channels[axis].append(sum(_by_channel(seen[path]) for path, a in rows.items() if a == axis))  # type: ignore[arg-type]
        for place in blocks:
            blocks[place].append(sum(_by_channel(seen[path]).sum(1) for path, p in ends.items() if p == place))  # type: ignore[arg-type]
    count = len(held.index)
    return Gates(
        {axis: torch.cat(g) for axis, g in channels.items()},
        {place: torch.cat(g) for place, g in blocks.items()},
        losses / count,
        right / count,
    )


def _by_channel(values: list[tuple[Tensor, Tensor]]) -> Tensor:
    """(N, C): output times its gradient, summed over all positions and all calls of the layer."""
    each = [(out * slope).flatten(2).sum(2) if out.ndim > 2 else out * slope for out, slope in values]
    return torch.stack(each).sum(0).cpu()


@contextmanager
def recorded(
    module: nn.Module, paths: set[str], inputs: bool = False
) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """While the context lasts, record for each of these layers the pairs (output, or input; gradient of the output) of
    every backward pass. The module is in evaluation mode, and its parameters get no gradients."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {path: [] for path in paths}
    training, learn = module.training, [p.requires_grad for p in module.parameters()]

    def watch(path: str):
        def hook(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            kept = (given[0] if inputs else out).detach()
            out.register_hook(lambda slope: seen[path].append((kept, slope)))

        return hook

    handles = [module.get_submodule(path).register_forward_hook(watch(path)) for path in paths]
    module.eval().requires_grad_(False)
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
        module.train(training)
        for parameter, learns in zip(module.parameters(), learn, strict=True):
            parameter.requires_grad_(learns)
