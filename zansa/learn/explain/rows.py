"""A network computed row by row of its lowered table, so that every tensor on the way can be read or changed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...arch.lower import Row, lower
from ...arch.use import Calibration
from ...nets.build import Network, weighted_sum

Rule = Callable[[Network, Row, list[Tensor]], Tensor]


@dataclass(frozen=True)
class Subject:
    """A network whose decision is explained.

    network: in evaluation mode.
    weight, bias: of its last layer, (K, D) and (K,), with the calibration inside.
    ours: the classes whose log-odds against all others are explained: the defects, or a class that was named.
    """

    network: Network
    weight: Tensor
    bias: Tensor
    ours: tuple[int, ...]


def subject(network: Network, ours: tuple[int, ...], calibration: Calibration | None = None) -> Subject:
    """What is explained of a network."""
    last: nn.Linear = network.head.get_submodule("linear")  # type: ignore[assignment]
    weight, bias = last.weight.detach(), last.bias.detach()
    if calibration is not None:
        weight, bias = weight * calibration.scale, bias * calibration.scale + bias.new_tensor(calibration.shift)
    return Subject(network, weight, bias, ours)


def coefficients(seen: Subject, logits: Tensor) -> Tensor:
    """(N, K) calibrated logits -> how much each counts in the decision: the gradient of its log-odds."""
    shares = [each.softmax(1) for each in _sides(seen, logits.detach())]
    return shares[0] - shares[1]


def _sides(seen: Subject, logits: Tensor) -> list[Tensor]:
    """The logits (N, K) of the classes that are explained, and those of all others; the rest is minus infinity."""
    ours = torch.zeros(logits.shape[1], dtype=torch.bool)
    ours[list(seen.ours)] = True
    return [torch.where(side, logits, -torch.inf) for side in (ours, ~ours)]


def decision(seen: Subject, pooled: Tensor) -> Tensor:
    """(N, D) pooled features -> (N,) log-odds of the decision."""
    both = [each.logsumexp(1) for each in _sides(seen, pooled @ seen.weight.T + seen.bias)]
    return both[0] - both[1]


def score(seen: Subject, x: Tensor, batch: int = 64) -> Tensor:
    """(N, C, *size) samples -> (N,) log-odds of the decision, without gradients."""
    with torch.inference_mode():
        return torch.cat([decision(seen, pooled(seen.network, part)) for part in x.split(batch)])


def pooled(network: Network, x: Tensor) -> Tensor:
    """(N, C, *size) samples -> (N, D): what the last layer reads."""
    return tensors(network, x)["head.pool"]


def plain(network: Network, row: Row, reads: list[Tensor]) -> Tensor:
    """What a row computes."""
    if row.op == "add":
        return weighted_sum(reads, row.weights)
    if row.op == "times":
        return reads[0] * reads[1].reshape(*reads[1].shape, *[1] * (reads[0].ndim - 2))
    module = network.get_submodule(row.module or row.path)
    return torch.cat([module(each) for each in reads], 1) if row.op == "globalpool" else module(reads[0])


def tensors(network: Network, x: Tensor, rule: Rule = plain, leaves: Collection[str] = ()) -> dict[str, Tensor]:
    """What every row writes, by its path, up to the logits. At the paths `leaves` gradients begin."""
    found = {"input": x}
    for row in lower(network.net).rows:
        value = rule(network, row, [found[path] for path in row.reads])
        found[row.path] = value.detach().requires_grad_() if row.path in leaves else value
    return found
