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
    faults: the classes that are defects; () where no class is the good one: the class that is named is explained then.
    """

    network: Network
    weight: Tensor
    bias: Tensor
    faults: tuple[int, ...] = ()


def subject(network: Network, calibration: Calibration | None = None, good: int | None = None) -> Subject:
    """What is explained of a network: the log-odds of rejection, where `good` is the class without a defect."""
    last: nn.Linear = network.head.get_submodule("linear")  # type: ignore[assignment]
    weight, bias = last.weight.detach(), last.bias.detach()
    if calibration is not None:
        weight, bias = weight * calibration.scale, bias * calibration.scale + bias.new_tensor(calibration.shift)
    faults = () if good is None else tuple(k for k in range(len(bias)) if k != good)
    return Subject(network, weight, bias, faults)


def coefficients(seen: Subject, logits: Tensor) -> Tensor:
    """(N, K) calibrated logits -> how much each counts in the decision: the gradient of its log-odds."""
    logits = logits.detach()
    ours = torch.zeros_like(logits, dtype=torch.bool)
    if seen.faults:
        ours[:, list(seen.faults)] = True
    else:
        ours[torch.arange(len(logits)), logits.argmax(1)] = True
    shares = [torch.where(side, logits, -torch.inf).softmax(1) for side in (ours, ~ours)]
    return shares[0] - shares[1]


def decision(seen: Subject, pooled: Tensor) -> Tensor:
    """(N, D) pooled features -> (N,) log-odds of the decision."""
    logits = pooled @ seen.weight.T + seen.bias
    side = coefficients(seen, logits) > 0
    both = [torch.where(mask, logits, -torch.inf).logsumexp(1) for mask in (side, ~side)]
    return both[0] - both[1]


def score(seen: Subject, x: Tensor, batch: int = 64) -> Tensor:
    """(N, C, *size) samples -> (N,) log-odds of the decision, without gradients. Of a network without a good class the
    class is the one that each sample is named."""
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
