"""Small networks of every kind, and what the contract suite asks of them."""

import torch

from zansa.arch.branches import BRANCHES
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step

KINDS = [(branch, scale) for branch in BRANCHES for scale in (False, True)]
SIZES = {1: (19,), 2: (9, 11), 3: (5, 6, 7)}


def a_block(kind: str, width: int = 4, groups: int = 1) -> Block:
    return Block(kind=kind, hidden=(width,) * BRANCHES[kind].hidden, groups=groups)


def small_net(kind: str, scale: bool = False, dims: int = 2, shortcut: str = "project", groups: int = 1,
              pool: str = "average", contrast: int = 0) -> Net:  # fmt: skip
    """Two stages, three blocks: an identity stage, then one that changes width and size."""
    act = BRANCHES[kind].after
    step = Step(scale=scale)
    block = a_block(kind, groups=groups)
    return Net(
        input=Input(channels=2, size=SIZES[dims]),
        stem=Stem(width=6, act=act, contrast=contrast),
        stages=(
            Stage(width=6, blocks=(block, block), step=step),
            Stage(width=8, stride=2, shortcut=shortcut, blocks=(block,), step=step),
        ),
        head=Head(classes=3, act=not act, pool=pool),
    )


def trained(module: torch.nn.Module, seed: int = 1) -> torch.nn.Module:
    """The module with weights, running statistics and scalars away from their special starting values, in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                noise = 0.2 * torch.rand(value.shape, generator=generator)
                value.add_(noise if "running_var" in name else noise - 0.1)
    return module.double().eval()


def images_for(net: Net, count: int = 3, seed: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, net.input.channels, *net.input.size, generator=generator, dtype=torch.float64)
