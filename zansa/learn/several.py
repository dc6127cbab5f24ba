"""Several processes at one training: `torchrun --nproc-per-node 4 -m zansa grow DATA ...`, as a rule one a GPU.

The first one leads. It alone reads weights, decides, measures and writes, as if it were alone. At every step the others
get its weights and the numbers of the images, and give back what their share of these images makes of the gradients
(data parallel, with the sums in one place). So a network that changes, races, resumes and forks as ever. The norms see
each share by itself.
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

WAIT = timedelta(days=7)  # others have nothing to do while the leader decides
CPU = torch.device("cpu")


@cache
def _joined() -> list[str]:
    """What this process has joined for."""
    return []


def join(device: str) -> int:
    """Join the processes that torchrun has started, if it has, for one job on this device (a Recipe's); the place of
    this one, 0 leads. ValueError for a second job, and where there are not enough GPUs."""
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
    return place()


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def place() -> int:
    """The place of this process among them."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(index: np.ndarray) -> np.ndarray:
    """What this process does of a batch."""
    return index[place() :: count()]


def ask(order: Any) -> None:
    """Tell the others what is to be done."""
    if count() > 1:
        distributed.broadcast_object_list([order], 0, device=CPU)


def asked() -> Any:
    """What the leader wants to have done; None when it wants no more, or has gone."""
    order: list[Any] = [None]
    try:
        distributed.broadcast_object_list(order, 0, device=CPU)
    except RuntimeError:
        return None
    if order[0] is None:
        _part()
    return order[0]


def dismiss() -> None:
    """Let the others go: nothing is left to do."""
    if count() > 1:
        distributed.broadcast_object_list([None], 0, device=CPU)
        _part()


def _part() -> None:
    """Leave the others, when all have come so far: one that goes early takes down who still listens to it."""
    distributed.all_reduce(torch.zeros(1))
    distributed.destroy_process_group()


def hand_out(tensors: Sequence[Tensor]) -> None:
    """The leader's values into everybody's tensors."""
    if count() > 1:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.broadcast(flat, 0)
        if place() != 0:
            _put(flat, tensors)


def gather(module: Network, loss: Tensor, weight: float) -> Tensor:
    """Sums over all processes, by the weights of their shares, into the leader's tensors: gradients and the running
    values of norms that learn; and the sum of the losses, which is returned."""
    if count() == 1:
        return loss.detach()
    held = [p.grad for p in module.parameters() if p.grad is not None]
    learning = [layer for layer in module.modules() if layer.training]
    held += [value for layer in learning for value in layer.buffers(recurse=False) if value.is_floating_point()]
    flat = weight * torch.cat([*(tensor.flatten() for tensor in held), loss.detach().reshape(1)])
    distributed.reduce(flat, 0)
    if place() == 0:
        _put(flat, held)
    return flat[-1]


@torch.no_grad()
def _put(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """The first values of one long tensor into many."""
    at = 0
    for tensor in tensors:
        tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
        at += tensor.numel()
