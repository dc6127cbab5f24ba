"""Dropout and stochastic depth. They are choices of the training, so they stand beside the network and not in it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .build import Network


def add_noise(
    network: Network, dropout: float, stochastic_depth: float, generator: torch.Generator
) -> list[RemovableHandle]:
    """Let a network in training lose values and branches at random; returns handles that take the noise away again.

    dropout: the chance of each value that a branch's last convolution reads (Zagoruyko and Komodakis 2016, 1605.07146,
        section 2.4).
    stochastic_depth: the chance, for each sample, that the branches of the last block are left out; it rises evenly
        from zero at the first block (Huang et al. 2016, 1603.09382, section 3).
    generator: gives all randomness, on the device of the network.

    What is left is scaled up, so that the mean stays.
    """
    handles: list[RemovableHandle] = []
    blocks = [(at, block) for stage in network.stages for at, block in enumerate(stage)]  # type: ignore[arg-type, var-annotated]
    bare = [spec.shortcut == "none" for spec in network.net.stages for _ in spec.blocks]
    for k, (at, block) in enumerate(blocks):
        # where nothing leads around the branches, leaving them out would leave the sample out
        chance = 0.0 if bare[k] and at == 0 else stochastic_depth * (k + 1) / len(blocks)
        for branch in (layer for name, layer in block.named_children() if name.startswith("branch")):
            if dropout:
                handles.append(_last_convolution(branch).register_forward_pre_hook(_dropping(dropout, generator)))
            if chance:
                handles.append(branch.register_forward_hook(_skipping(chance, generator)))
    return handles


def _last_convolution(branch: nn.Module) -> nn.Module:
    return [layer for layer in branch.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)][-1]


def _kept(shape: list[int], like: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Zeros with this chance, and elsewhere the number that makes the mean 1."""
    kept = torch.rand(shape, generator=generator, device=like.device) >= chance
    return kept.to(like.dtype) / (1 - chance)


def _dropping(chance: float, generator: torch.Generator) -> Callable[[nn.Module, tuple[Tensor, ...]], Tensor | None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor | None:
        x = inputs[0]
        return x * _kept(list(x.shape), x, chance, generator) if module.training else None

    return hook


def _skipping(
    chance: float, generator: torch.Generator
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor | None:
        each = [len(out)] + [1] * (out.ndim - 1)
        return out * _kept(each, out, chance, generator) if module.training else None

    return hook
