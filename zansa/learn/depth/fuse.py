"""Fused Layer-LASSO: the penalty strength * sum over k of |theta_{k+1} - theta_k| on the weights of neighbouring
blocks, which makes neighbours exactly equal, so that they can be tied.

A penalty in the loss would only bring them near; here its proximal step follows each step of the optimiser.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from ...nets.build import Network


def neighbours(module: Network) -> Iterator[list[list[nn.Parameter]]]:
    """The parameters of each run of two or more neighbouring blocks whose parameters have the same shapes."""
    for stage in module.stages:
        run: list[list[nn.Parameter]] = []
        for block in stage:  # type: ignore[attr-defined]
            own = list(block.parameters())
            if run and [p.shape for p in run[-1]] != [p.shape for p in own]:
                if len(run) > 1:
                    yield run
                run = []
            run.append(own)
        if len(run) > 1:
            yield run


def refuse_alone(module: Network) -> None:
    """ValueError where no block has a neighbour like it."""
    if not any(neighbours(module)):
        raise ValueError("fuse was asked, and no stage has two neighbouring blocks of one shape; leave it out")


def fusing(module: Network, strength: float) -> Callable[..., None]:
    """What is to be done after each step of an optimiser."""

    @torch.no_grad()
    def hook(optimizer: torch.optim.Optimizer, *_: object) -> None:
        rate = optimizer.param_groups[0]["lr"]
        for run in neighbours(module):
            vectors = torch.stack([torch.cat([p.reshape(-1) for p in own]) for own in run])  # whatever their layout is
            for own, vector in zip(run, pulled(vectors, rate * strength), strict=True):
                for p, values in zip(own, vector.split([p.numel() for p in own]), strict=True):
                    p.copy_(values.view_as(p))

    return hook


def pulled(vectors: Tensor, by: float) -> Tensor:  # blocks P -> blocks P
    """Neighbours after a proximal step of this size: those that are near enough are equal, the others are nearer.

    Two groups of equal blocks become one where each would reach the other, as in the path algorithm for the fused LASSO
    (Hoefling 2010, 0910.0526)."""
    sizes, values = [1] * len(vectors), list(vectors)
    while len(values) > 1:
        room = [by / a + by / b - float((y - x).norm()) for (a, x), (b, y) in pairwise(zip(sizes, values, strict=True))]
        k = max(range(len(room)), key=room.__getitem__)
        if room[k] < 0:
            break
        (a, b), (x, y) = sizes[k : k + 2], values[k : k + 2]
        sizes[k : k + 2], values[k : k + 2] = [a + b], [(a * x + b * y) / (a + b)]
    moved = [value.clone() for value in values]
    for k, (x, y) in enumerate(pairwise(values)):
        way = (y - x) / (y - x).norm()
        moved[k] += by / sizes[k] * way
        moved[k + 1] -= by / sizes[k + 1] * way
    return torch.stack(moved).repeat_interleave(torch.tensor(sizes, device=vectors.device), 0)
