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

POINTS = 16  # of the integral: midpoints


def blocks(network: Network) -> list[str]:
    """The paths of the blocks, "stages.0.0" and so on."""
    return [f"stages.{i}.{j}" for i, stage in enumerate(network.net.stages) for j in range(len(stage.blocks))]


def gates(seen: Subject, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N, C, *size) samples -> what each block added to the log-odds (N, blocks), and how much of the whole the sum
    leaves unexplained (N,), as a share of the whole."""
    names = blocks(seen.network)
    total = torch.zeros(len(x), len(names), dtype=x.dtype)
    for k in range(POINTS):
        t = torch.full((len(x), len(names)), (k + 0.5) / POINTS, dtype=x.dtype, requires_grad=True)
        total += torch.autograd.grad(_gated(seen, x, t).sum(), t, allow_unused=False)[0] / POINTS
    with torch.no_grad():
        ends = [_gated(seen, x, torch.full((len(x), len(names)), value, dtype=x.dtype)) for value in (1.0, 0.0)]
    whole = ends[0] - ends[1]
    missing = (total.sum(1) - whole).abs() / whole.abs().clamp(min=1e-6)
    return total.numpy(), missing.numpy()


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
