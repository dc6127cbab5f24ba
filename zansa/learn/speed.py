"""Device, precision and memory layout of a training, chosen by timing them."""

import copy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from .data.dataset import Dataset
from .data.splits import Parts
from .predict import to_tensor
from .recipe import Recipe


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA when there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used ({reason}); allowed: auto, cpu, cuda") from None
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """A context in which torch computes in this precision; weights and sums stay in float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def choose_speed(module: nn.Module, data: Dataset, parts: Parts, recipe: Recipe, device: torch.device) -> Recipe:
    """The recipe with the fastest precision and layout here in place of "auto", measured in turns on copies of the
    network."""
    backwards = recipe.memory in ("reversible", "adjoint")  # which must be exact
    options_of = ("float32",) if backwards else ("float32", "bfloat16")
    precisions = options_of if recipe.precision == "auto" else (recipe.precision,)
    layouts = ("channels_first", "channels_last") if recipe.layout == "auto" else (recipe.layout,)
    if len(data.preprocess.size) != 2:
        layouts = ("channels_first",)  # torch knows the other for images alone
    options = [recipe.model_copy(update={"precision": p, "layout": x}) for p in precisions for x in layouts]
    if len(options) == 1:
        return options[0]
    index = parts.train[: recipe.batch]
    steps = [trial_step(copy.deepcopy(module), data, index, option, device) for option in options]
    rounds = [[step() for step in steps] for _ in range(6)][1:]  # the first warms up
    seconds = [min(times) for times in zip(*rounds, strict=True)]
    best = 0
    for k in range(1, len(options)):
        if seconds[k] < 0.95 * seconds[best]:  # a near tie always falls the same way
            best = k
    return options[best]


def trial_step(
    module: nn.Module, data: Dataset, index: np.ndarray, recipe: Recipe, device: torch.device
) -> Callable[[], float]:
    """A training step without an optimiser, which returns the seconds that it took."""
    module.to(memory_format=memory_format(recipe))
    samples = to_tensor(data, index, device, memory_format(recipe))

    def step() -> float:
        began = time.perf_counter()
        with autocast(device, recipe.precision):
            total = module(samples).float().square().mean()
        total.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    return step


def memory_format(recipe: Recipe) -> torch.memory_format:
    """The recipe's layout as torch calls it."""
    return torch.channels_last if recipe.layout == "channels_last" else torch.contiguous_format
