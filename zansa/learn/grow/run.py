"""Growing from Python, in one call."""

from collections.abc import Callable
from functools import partial

import torch

from ...arch.spec import Net
from ...nets.build import build
from ...nets.files import Model
from ..data.dataset import Dataset
from ..data.seal import sealed
from ..data.splits import Parts
from ..defaults import default_net, default_recipe
from ..train import Recipe, training
from .budget import parse, price
from .policy import Plan, Policy
from .start import seed_net


def grow(data: Dataset, parts: Parts, budget: str, recipe: Recipe | None = None, net: Net | None = None,
         milliseconds: Callable[[Net], float] | None = None) -> Model:  # fmt: skip
    """A network whose depth and widths are found while it learns, within a budget such as "macs=20M".

    `data` must be normalised on parts.train; parts.test is not read. `net`: the shape to begin with (default: the usual
    one, `Plan.first` times the budget). `milliseconds`: for budgets in ms, what tells the time of a network
    (deploy.timing.timer(folder).ms). ValueError for a budget that cannot be understood or met.
    """
    limit, *others = parse(budget)
    if others:
        raise ValueError(f"budget {budget!r} names several limits; name one here, or use the command line for several")
    if limit.unit == "ms" and milliseconds is None:
        raise ValueError("a budget in ms needs `milliseconds`, for example zansa.deploy.timing.timer(folder).ms")
    pricing, plan, pre = partial(price, unit=limit.unit, milliseconds=milliseconds), Plan(), data.preprocess
    recipe = recipe or default_recipe(data, parts).model_copy(update={"patience": 0.0})
    if net is None:
        usual = default_net(pre.size, pre.channels, len(data.classes), data.kind)
        net = seed_net(usual, pricing, limit.limit, plan.first)
    closed, open_parts = sealed(data, parts)
    module = build(net, torch.Generator().manual_seed(recipe.seed))
    policy = Policy(pricing, pricing(net), limit.limit, limit.unit, plan, closed, open_parts, recipe)
    for _ in training(module, closed, open_parts, recipe, policy=policy):
        pass
    return Model(module.net, module, data.classes, pre)
