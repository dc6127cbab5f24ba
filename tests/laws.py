"""Small networks of every kind, and what the contract suite asks of them."""

import torch

from zansa.arch.branches import BRANCHES
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.arch.steps import STEPS

NORMS = ("batch", "group", "none")
# every branch in every step with every norm: what the grammar cannot carry is in REFUSED
ALL = [(branch, step, norm) for branch in BRANCHES for step in STEPS for norm in NORMS]
REFUSED = [
    (branch, step, norm)
    for branch, step, norm in ALL
    if (BRANCHES[branch].after and not STEPS[step].after) or (STEPS[step].repeats and norm == "batch")
]
KINDS = [kinds for kinds in ALL if kinds not in REFUSED]
SIZES = {1: (19,), 2: (9, 11), 3: (5, 6, 7)}


def a_block(kind: str, step: str = "plain", width: int = 4, groups: int = 1, mix: float | None = None) -> Block:
    return Block(kind=kind, hidden=(width,) * BRANCHES[kind].hidden * STEPS[step].branches, groups=groups, mix=mix)


def another_block(net: Net, stage: int, mix: float | None = None) -> Block:
    """A block that the stage can take."""
    block = net.stages[stage].blocks[0]
    return a_block(block.kind, net.stages[stage].step.kind, mix=mix)


def small_net(
    kind: str,
    step: str = "plain",
    norm: str = "batch",
    dims: int = 2,
    *,
    scale: bool = False,
    shortcut: str = "project",
    groups: int = 1,
    pool: str = "average",
    contrast: int = 0,
    join: str = "sum",
    start: str = "random",
    act: str = "relu",
    deep: tuple[int, ...] = (),
) -> Net:
    """Two stages, three blocks: an identity stage, then one that changes width and size."""
    preact = not BRANCHES[kind].after
    start = "zero" if norm == "none" and start == "random" else start
    scale = scale or (start == "zero" and not BRANCHES[kind].vanishes)
    how = Step(kind=step, scale=scale, start=start)
    block = a_block(kind, step, groups=groups)
    return Net(
        input=Input(channels=2, size=SIZES[dims]),
        stem=Stem(width=6, act=not preact, contrast=contrast, deep=deep),
        stages=(
            Stage(width=6, blocks=(block, block), step=how),
            Stage(width=8, stride=2, shortcut=shortcut, blocks=(block,), step=how),
        ),
        head=Head(classes=3, act=preact and join == "sum", pool=pool, join=join),
        norm=norm,
        **({"group": 2} if norm == "group" else {}),
        act=act,
    )


def mobile_net(channels: int = 2) -> Net:
    """Two stages as mobile networks have them: a separable stem, uneven padding, ReLU6, a wide head."""
    stages = (
        Stage(width=6, blocks=(Block(kind="inverted5", hidden=(8, 8)),) * 2),
        Stage(width=8, stride=2, shortcut="none", blocks=(Block(kind="inverted", hidden=(12, 12)),)),
    )
    stem = Stem(width=6, deep=(4, 4), separable=True, stride=2)
    return Net(input=Input(channels=channels, size=SIZES[2]), stem=stem, stages=stages,
               head=Head(classes=3, width=10), act="relu6", padding="same")  # fmt: skip


def one_stage(
    kind: str, step: Step, blocks: int, width: int = 4, branch: str = "preact_basic", norm: str = "batch"
) -> Net:
    block = a_block(branch, kind, width)
    return Net(
        input=Input(channels=2, size=(8, 8)),
        stem=Stem(width=width, act=False),
        stages=(Stage(width=width, step=step, blocks=(block,) * blocks),),
        head=Head(classes=3),
        norm=norm,
        **({"group": 2} if norm == "group" else {}),
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
