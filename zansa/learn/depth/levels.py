"""Multi-level training: a network begins with fewer, longer steps, which become twice as many at each level (Chang et
al. 2018, 1710.10348). The coarse levels are cheap, so the whole training is."""

from collections.abc import Iterable

from ...arch.apply import apply
from ...arch.cost import cost
from ...arch.edits import Regrid
from ...arch.spec import Net, Stage, in_short
from ..state import Change, Policy, State
from .measure import first_step


def coarse(net: Net, levels: int) -> Net:
    """The network with which a training in so many levels begins. ValueError where no stage can have fewer blocks."""
    return at_level(net, levels - 1)


def at_level(net: Net, level: int) -> Net:
    """The network with 2^level times fewer steps, rounded up; at level 0 it is the network itself."""
    stages = tuple(stage.but({"blocks": stage.blocks[: _kept(stage, level)]}) for stage in net.stages)
    made = net.but({"stages": stages})
    if level and made == net:
        raise ValueError(
            "levels were asked, and no stage has two plain steps of blocks that are alike, after one that changes the "
            "shape; leave levels out, or take a deeper network"
        )
    return made


def _kept(stage: Stage, level: int) -> int:
    """How many blocks of a stage are there at a level."""
    first = first_step(stage)
    steps = stage.blocks[first:]
    if stage.step.kind != "plain" or len(set(steps)) != 1:
        return len(stage.blocks)
    return first + -(-len(steps) // 2**level)


def refining(fine: Net, levels: int) -> Policy:
    """A policy that makes the steps of each stage finer when their level begins, until the network is `fine`. All
    levels last equally long."""

    def policy(state: State, steps: int) -> Iterable[Change]:
        for k in range(1, levels):
            if state.step == round(steps * k / levels):
                return list(_changes(state, fine, levels - 1 - k, state.step / steps, levels - 1))
        return ()

    return policy


def _changes(state: State, fine: Net, level: int, progress: float, moments: int) -> Iterable[Change]:
    """The edits that bring the network to a level."""
    net, wanted = state.module.net, at_level(fine, level) if level else fine
    edits = []
    for i, (now, then) in enumerate(zip(net.stages, wanted.stages, strict=True)):
        first = first_step(now)
        if len(now.blocks) != len(then.blocks):
            edits.append(
                Regrid(stage=i, at=first, count=len(now.blocks) - first, blocks=len(then.blocks) - first)
            )  # fmt: skip
    for k, edit in enumerate(edits):
        after = apply(net, edit)
        before, price = cost(net), cost(after)
        why = {
            "progress": progress,
            "move": "regrid",
            "gain": None,
            "error": None,
            "spent": price.macs - before.macs,
            "price_before": before.macs,
            "price_after": price.macs,
            "moments": moments,
            "allowance": None,
            "limit": cost(fine).macs,
            "unit": "macs",
            "macs": price.macs,
            "params": price.params,
            "val_loss": None,
            "seed": state.recipe.seed,
            "structure": in_short(after),
            "last": k == len(edits) - 1,
            "reason": f"level {moments - level + 1} begins: twice as many steps, of half the length",
        }
        yield Change(edit, why)
        net = after
