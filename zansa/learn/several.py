"""Several processes at one training: `torchrun --nproc-per-node 4 -m zansa grow DATA ...`, as a rule one process a GPU.

The process of rank 0 leads. It alone reads weights, decides, measures and writes, as if it were alone. At every step it
broadcasts its weights and the indices of the batch's samples. Each other process computes the gradients of its share of
these samples, and the sums are reduced to rank 0 (data parallelism with the sums in one place). That is why nothing
else in zansa needs to know of it: a network changes, races, forks and resumes as with one process. Batch norms see each
share by itself.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from ..nets.build import Network

WAIT = timedelta(days=7)  # the other ranks have nothing to do while rank 0 decides
CPU = torch.device("cpu")


@cache
def _joined() -> list[str]:
    """The devices of the process groups that this process has joined."""
    return []


def join(device: str) -> int:
    """Join the process group that torchrun has started, if it has, for one job on this device (the recipe's).

    Returns the rank of this process; rank 0 leads. ValueError for a second job, and where there are not enough GPUs.
    """
    if not distributed.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        return 0
    if _joined():
        raise ValueError("several processes do one job; start torchrun again for the next")
    _joined().append(device)
    gpus, local = torch.cuda.device_count(), int(os.environ["LOCAL_RANK"])
    if device.startswith("cuda:"):
        raise ValueError(f"all processes were given {device}; take cuda, and each has its own")
    if device != "cpu" and 0 < gpus <= local:
        raise ValueError(f"process {local + 1} has no GPU, there are {gpus}; start fewer, or take the device cpu")
    on_gpus = device != "cpu" and gpus > 0
    if on_gpus:
        torch.cuda.set_device(local)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=WAIT)
    return rank()


def world_size() -> int:
    """How many processes train together: 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The rank of this process among them: 0 without torchrun."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(index: np.ndarray) -> np.ndarray:
    """The part of a batch's samples that this process computes: every world_size-th of them, from its rank on."""
    return index[rank() :: world_size()]


def broadcast_order(order: Any) -> None:
    """Rank 0 tells the other ranks what they shall do next."""
    if world_size() > 1:
        distributed.broadcast_object_list([order], 0, device=CPU)


def receive_order() -> Any:
    """Another rank waits for what rank 0 tells it; None when rank 0 has no more orders, or has gone."""
    order: list[Any] = [None]
    try:
        distributed.broadcast_object_list(order, 0, device=CPU)
    except RuntimeError:
        return None
    if order[0] is None:
        _leave()
    return order[0]


def dismiss() -> None:
    """Rank 0 lets the other ranks go: nothing is left to do."""
    if world_size() > 1:
        distributed.broadcast_object_list([None], 0, device=CPU)
        _leave()


def _leave() -> None:
    """Leave the process group once all ranks have come so far: a rank that goes early takes down those that still
    listen."""
    distributed.all_reduce(torch.zeros(1))
    distributed.destroy_process_group()


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Copy the values of rank 0 into the tensors of every rank."""
    if world_size() > 1:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.broadcast(flat, 0)
        if rank() != 0:
            _put(flat, tensors)


def reduce(module: Network, loss: Tensor, weight: float) -> Tensor:
    """Sum the gradients, and the running statistics of norms that learn, over all ranks into the tensors of rank 0.

    Each rank counts with the weight of its share of the batch. Returns the sum of the losses, weighted alike.
    """
    if world_size() == 1:
        return loss.detach()
    held = [p.grad for p in module.parameters() if p.grad is not None]
    learning = [layer for layer in module.modules() if layer.training]
    held += [value for layer in learning for value in layer.buffers(recurse=False) if value.is_floating_point()]
    flat = weight * torch.cat([*(tensor.flatten() for tensor in held), loss.detach().reshape(1)])
    distributed.reduce(flat, 0)
    if rank() == 0:
        _put(flat, held)
    return flat[-1]


@torch.no_grad()
def _put(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Copy the first values of one long tensor into many tensors, one after the other."""
    at = 0
    for tensor in tensors:
        tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
        at += tensor.numel()
