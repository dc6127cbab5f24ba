"""Growing from Python, in one call."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ...arch.budget import Clock, parse
from ...arch.spec import Net
from ...nets.build import build
from ...nets.files import Model
from ..data.dataset import Dataset
from ..data.seal import sealed
from ..data.splits import Parts
from ..defaults import default_net, default_recipe
from ..recipe import Recipe
from ..speed import choose_device, choose_speed
from ..train import training
from .policy import HEALING, Plan, Policy, annealed, lengthened
from .race import beginning, last
from .start import pricing, refuse_too_dear


def grow(data: Dataset, parts: Parts, budget: str, recipe: Recipe | None = None, net: Net | None = None,
         clock: Clock | None = None) -> Model:  # fmt: skip
    """A network whose depth, widths and kinds of blocks are found while it learns, within a budget such as "macs=20M".

    `data` must be normalised on parts.train; parts.test is not read. `net`: the network to begin with (default: the
    winner of a race between variants of the usual one, each `Plan.first` times the budget). `clock`: for budgets in ms,
    what tells the time of a network: zansa.timer(folder, data.preprocess), which keeps in the folder what it has
    measured. ValueError for a budget that cannot be understood or met.
    """
    limit, *others = parse(budget)
    if others:
        raise ValueError(f"budget {budget!r} names several limits; name one here, or use the command line for several")
    pre = data.preprocess
    first = net or default_net(pre.size, pre.channels, len(data.classes), data.kind)
    price, quantum = pricing(limit.unit, first, clock)
    clock = clock if limit.unit == "ms" else None
    plan = Plan(quantum=quantum) if net is None else Plan(quantum=quantum, end=HEALING)
    if net is not None:
        refuse_too_dear(net, price, limit.limit, quantum)
    if recipe is None:
        usual = default_recipe(data, parts)
        recipe = lengthened(usual) if net is None else annealed(usual, plan)
    closed, open_parts = sealed(data, parts)
    with TemporaryDirectory() as folder:
        state = None
        if net is None:
            device = choose_device(recipe.device)
            recipe = choose_speed(build(first).to(device), closed, open_parts, recipe, device)
            winner = last(beginning(first, price, limit.limit, plan, closed, open_parts, recipe, Path(folder)))
            net, state = winner.net, winner.state
        module = build(net, torch.Generator().manual_seed(recipe.seed))
        if clock is not None:
            price = clock.right_for(net).ms
        policy = Policy(price, price(net), limit.limit, limit.unit, plan, closed, open_parts, recipe, clock=clock)
        for _ in training(module, closed, open_parts, recipe, state, policy):
            pass
        if text := policy.excess(module.net):
            warnings.warn(text, stacklevel=2)
    return Model(module.net, module, data.classes, data.preprocess)
