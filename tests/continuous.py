"""The limit of infinitely many blocks: dx/dt = f(x), solved by torchdiffeq; what chains of blocks are compared with."""

import copy

import torch
from torch import Tensor, nn
from torchdiffeq import odeint

from zansa.nets.build import Network


class Flow(nn.Module):
    """x(time) for dx/dt = branch(x), x(0) = x, by an adaptive method (Chen et al. 2018, 1806.07366)."""

    def __init__(self, branch: nn.Module, time: float, tolerance: float):
        super().__init__()
        self.branch, self.time, self.tolerance = branch, time, tolerance

    def forward(self, x: Tensor) -> tuple[Tensor]:  # N C *size -> N C *size
        times = torch.tensor([0.0, self.time], dtype=x.dtype, device=x.device)
        return (odeint(lambda t, x: self.branch(x), x, times, rtol=self.tolerance, atol=self.tolerance)[-1],)


def continuous(network: Network, stage: int, tolerance: float) -> Network:
    """A copy of a network in which the blocks of a stage are one flow along the branch of the first of them, as long as
    the blocks' steps are together."""
    spec, changed = network.net.stages[stage], copy.deepcopy(network)
    branch = changed.stages[stage][0].get_submodule("branch")
    changed.stages[stage] = nn.ModuleList([Flow(branch, spec.step.h * len(spec.blocks), tolerance)])
    return changed
