"""The limit of infinitely many blocks: dx/dt = f(x), solved. It is there for comparison, and needs torchdiffeq (extra
"ode")."""

import copy

import torch
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

from ..arch.steps import STEPS
from .build import Block, Network


class Flow(nn.Module):
    """x(time) for dx/dt = branch(x), x(0) = x, by an adaptive method (Chen et al. 2018, 1806.07366).

    `evaluations` counts how often the last call asked for the slope. With `adjoint`, the gradient is that of the
    backward equation: memory does not grow with the number of steps, but the gradient is not exactly that of the
    forward pass.
    """

    def __init__(self, branch: nn.Module, time: float = 1.0, tolerance: float = 1e-4, adjoint: bool = False):
        super().__init__()
        self.branch, self.time, self.tolerance = branch, time, tolerance
        self.solve = odeint_adjoint if adjoint else odeint
        self.evaluations = 0

    def slope(self, t: Tensor, x: Tensor) -> Tensor:
        self.evaluations += 1
        return self.branch(x)

    def forward(self, x: Tensor) -> tuple[Tensor]:  # N C *size -> N C *size
        self.evaluations = 0
        times = torch.tensor([0.0, self.time], dtype=x.dtype, device=x.device)
        settings = {"adjoint_params": tuple(self.branch.parameters())} if self.solve is odeint_adjoint else {}
        func = _Slope(self) if self.solve is odeint_adjoint else self.slope
        return (self.solve(func, x, times, rtol=self.tolerance, atol=self.tolerance, **settings)[-1],)


class _Slope(nn.Module):
    """The branch as a module, which the adjoint method asks for."""

    def __init__(self, flow: Flow):
        super().__init__()
        self.flow = (flow,)  # in a tuple: not a submodule

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.flow[0].slope(t, x)


def continuous(network: Network, stage: int, tolerance: float = 1e-4, adjoint: bool = False) -> Network:
    """A copy of a network in which the blocks of a stage, but for one that changes the shape, are one flow along the
    branch of the first of them. The flow takes as much time as the blocks' steps are long together.

    ValueError where blocks are no steps along one branch (two streams, or an activation after the sum).
    """
    spec = network.net.stages[stage]
    blocks: list[Block] = list(network.stages[stage])  # type: ignore[call-overload]
    first = 0 if spec.shortcut == "identity" else 1
    kind = STEPS[spec.step.kind]
    if kind.branches > 1 or len(kind.streams) > 1 or any("after" in block._modules for block in blocks):
        raise ValueError(
            f"stage {stage} has {spec.step.kind} steps of {spec.blocks[0].kind} blocks; a flow needs plain or heun "
            "steps and blocks without an activation after the sum, such as preact_basic"
        )
    if len(blocks) == first:
        raise ValueError(f"stage {stage} has no block after the one that changes the shape")
    changed = copy.deepcopy(network)
    kept = [changed.stages[stage][k] for k in range(first)]  # type: ignore[index]
    branch = copy.deepcopy(blocks[first].get_submodule("branch"))
    flow = Flow(branch, spec.step.h * (len(blocks) - first), tolerance, adjoint)
    changed.stages[stage] = nn.ModuleList([*kept, flow])
    return changed
