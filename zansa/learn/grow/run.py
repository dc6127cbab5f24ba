"""Growing from Python, in one call."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ...arch.spec import Net
from ...nets.build import build
from ...nets.files import Model
from ..data.dataset import Dataset
from ..data.seal import sealed
from ..data.splits import Parts
from ..defaults import default_net, default_recipe
from ..train import Recipe, choose_device, choose_speed, training
from .budget import parse, price
from .policy import HEALING, Plan, Policy, annealed, lengthened
from .race import beginning, last
from .start import refuse_too_dear


def grow(data: Dataset, parts: Parts, budget: str, recipe: Recipe | None = None, net: Net | None = None,
         milliseconds: Callable[[Net], float] | None = None, quantum: int = 1) -> Model:  # fmt: skip
    """A network whose depth, widths and kinds of blocks are found while it learns, within a budget such as "macs=20M".

    `data` must be normalised on parts.train; parts.test is not read. `net`: the network to begin with (default: the
    winner of a race between variants of the usual one, each `Plan.first` times the budget). `milliseconds`: for budgets
    in ms, what tells the time of a network (deploy.timing.timer(folder).ms), and `quantum` in which lots channels are
    faster (deploy.timing.multiples). ValueError for a budget that cannot be understood or met.
    """
    limit, *others = parse(budget)
    if others:
        raise ValueError(f"budget {budget!r} names several limits; name one here, or use the command line for several")
    if limit.unit == "ms" and milliseconds is None:
        raise ValueError("a budget in ms needs `milliseconds`, for example zansa.deploy.timing.timer(folder).ms")
    pricing = partial(price, unit=limit.unit, milliseconds=milliseconds)
    plan = Plan(quantum=quantum) if net is None else Plan(quantum=quantum, end=HEALING)
    if net is not None:
        refuse_too_dear(net, pricing, limit.limit, quantum)
    if recipe is None:
        usual = default_recipe(data, parts)
        recipe = lengthened(usual) if net is None else annealed(usual, plan)
    closed, open_parts = sealed(data, parts)
    with TemporaryDirectory() as folder:
        state = None
        if net is None:
            pre = data.preprocess
            first = default_net(pre.size, pre.channels, len(data.classes), data.kind)
            device = choose_device(recipe.device)
            recipe = choose_speed(build(first).to(device), closed, open_parts, recipe, device)
            winner = last(beginning(first, pricing, limit.limit, plan, closed, open_parts, recipe, Path(folder)))
            net, state = winner.net, winner.state
        module = build(net, torch.Generator().manual_seed(recipe.seed))
        policy = Policy(pricing, pricing(net), limit.limit, limit.unit, plan, closed, open_parts, recipe)
        for _ in training(module, closed, open_parts, recipe, state, policy):
            pass
    return Model(module.net, module, data.classes, data.preprocess)
