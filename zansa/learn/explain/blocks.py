"""Which block decided: integrated gates (Aumann and Shapley 1974). Every branch of block b is multiplied by a gate t,
and phi_b is the integral of the derivative of the log-odds by the gate of b, while all gates open together.

The sum of phi is the log-odds of the whole network without those of one whose branches are all shut.
"""

import numpy as np
import torch
from torch import Tensor

from ...arch.lower import Row, lower
from ...nets.build import Network
from .rows import Subject, decision, plain, tensors

POINTS = (16, 64, 256)  # midpoints of the integral, one number after the other
MISSED = 0.01


def blocks(network: Network) -> list[str]:
    """The paths of the blocks, "stages.0.0" and so on."""
    return [f"stages.{i}.{j}" for i, stage in enumerate(network.net.stages) for j in range(len(stage.blocks))]


def gates(seen: Subject, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N, C, *size) samples -> what each block added to the log-odds (N, blocks), and by how much their sum misses the
    whole (N,), as a share of the sum of their sizes.

    Activations make the derivative jump on the way, so the number of points is raised until every sample misses at most
    MISSED, up to the last of POINTS; a sample that still misses more must not be told as complete.
    """
    ends = [_gated(seen, x, _opened(seen, x, value)).detach() for value in (1.0, 0.0)]
    whole = ends[0] - ends[1]
    for points in POINTS:
        added = _integrated(seen, x, points)
        missed = (added.sum(1) - whole).abs() / added.abs().sum(1).clamp(min=1e-12)
        if bool((missed <= MISSED).all()):
            break
    return added.numpy(), missed.numpy()


def _opened(seen: Subject, x: Tensor, value: float) -> Tensor:
    """All gates at one value, (N, blocks)."""
    return torch.full((len(x), len(blocks(seen.network))), value, dtype=x.dtype)


def _integrated(seen: Subject, x: Tensor, points: int) -> Tensor:
    """The integral (N, blocks) by so many midpoints."""
    total = _opened(seen, x, 0.0)
    for k in range(points):
        t = _opened(seen, x, (k + 0.5) / points).requires_grad_()
        total += torch.autograd.grad(_gated(seen, x, t).sum(), t)[0] / points
    return total


def _gated(seen: Subject, x: Tensor, t: Tensor) -> Tensor:
    """The log-odds (N,) where the branches of each block are multiplied by its gate, t (N, blocks)."""
    at = {name: k for k, name in enumerate(blocks(seen.network))}
    branches = branch_ends(lower(seen.network.net).rows)

    def rule(network: Network, row: Row, reads: list[Tensor]) -> Tensor:
        value = plain(network, row, reads)
        if row.path not in branches:
            return value
        gate = t[:, at[_block(row.path)]]
        return value * gate.reshape(-1, *[1] * (value.ndim - 1))

    return decision(seen, tensors(seen.network, x, rule)["head.pool"])


def branch_ends(rows: tuple[Row, ...]) -> set[str]:
    """The paths of what the branches of blocks give into sums."""
    made = {row.path: row for row in rows}
    return {
        path
        for row in rows
        if row.op == "add"
        for path in row.reads
        if _block(path) == _block(row.path)
        and made[path].op != "add"
        and not path.split(".")[3].startswith(("shortcut", "shared", "after"))
    }


def _block(path: str) -> str:
    return ".".join(path.split(".")[:3])
