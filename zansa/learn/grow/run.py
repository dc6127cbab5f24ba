"""The one growth: command line, Python (beginnings.growing) and benchmarks call the same generator."""

import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

import torch

from ...arch.budget import Budget, Clock
from ...arch.spec import Net
from ...events import Event, event
from ...nets.build import Network
from .. import defaults
from .. import state as states
from ..data.dataset import Dataset
from ..data.splits import Parts
from ..distil import Teaching
from ..recipe import Recipe
from ..train import training
from .growth import HEALING, Growth, Schedule
from .policy import Fork, Policy
from .race import Pick, beginning
from .start import pricing, refuse_too_dear, seed_net

Around = Callable[[Policy], states.Policy]


def growth_of(
    budgets: tuple[Budget, ...],
    data: Dataset,
    net: Net | None = None,
    clock: Clock | None = None,
    usual: Net | None = None,
) -> tuple[Net, Growth]:
    """The network to begin with, and all that is decided of its growth before it begins.

    `net` is the network that was given; None leaves it to zansa, which takes `usual`, or its default where that is None
    too. `clock` tells milliseconds. ValueError where the smallest budget cannot be met.
    """
    pre, smallest = data.preprocess, budgets[0]
    shape = net or usual or defaults.default_net(pre.size, pre.channels, len(data.classes), data.kind)
    price, quantum = pricing(smallest.unit, shape, clock)
    clock = clock if smallest.unit == "ms" else None
    if net is None:
        growth = Growth(budgets, Schedule(), price, quantum, clock, usual=shape)
        return seed_net(shape, price, smallest.limit, growth.schedule.first, quantum), growth
    refuse_too_dear(net, price, smallest.limit, quantum)
    return net, Growth(budgets, Schedule(end=HEALING), price, quantum, clock)


def growing(
    module: Network,
    data: Dataset,
    parts: Parts,
    recipe: Recipe,
    growth: Growth,
    folder: Path,
    forks: Sequence[Path] = (),
    pick: Pick = list,
    around: Around = lambda policy: policy,
    teaching: Teaching | None = None,
) -> Generator[Event]:
    """Train the network while it grows, yielding what happens; a growth that was killed goes on to the same result.

    Where growth.usual is there, variants of it race first ("trial" events), and a "raced" event tells the winner. Then
    come the events of training, and a "warning" where the network ends above its limit.

    module: the first network; it becomes the last one.
    folder: where the states of the race and checkpoint.pt are kept.
    forks: the files where the smaller budgets leave, the smallest first.
    pick: says which rivals run; for benchmarks.
    around: puts something around the policy; for benchmarks.
    teaching: what is learned from other networks beside the labels; a race does without.
    """
    checkpoint, begin = folder / "checkpoint.pt", None
    if growth.usual is not None and not checkpoint.exists():
        began = time.perf_counter()
        (folder / "race").mkdir(exist_ok=True)
        winner = yield from beginning(growth, data, parts, recipe, folder / "race", pick)
        yield event(
            "raced",
            name=winner.name,
            net=json.loads(winner.net.to_json()),
            table=winner.table,
            learned=winner.state is not None,
            race_seconds=round(time.perf_counter() - began, 3),
        )
        module.become(growth.build(winner.net, torch.Generator().manual_seed(recipe.seed)))
        begin = winner.state
    net = module.net
    price = growth.right_price(net)
    left = tuple(Fork(smaller.limit, path) for smaller, path in zip(growth.budgets, forks, strict=False))
    policy = Policy(growth, price, price(net), data, parts, recipe, left)
    learning = training(module, data, parts, recipe, checkpoint, around(policy), begin=begin, teaching=teaching)
    with closing(learning) as events:
        yield from events
    if text := policy.excess(module.net):
        yield event("warning", text=text)
