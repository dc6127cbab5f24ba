"""zansa's growth as one call from Python, begun as `zansa grow` begins it."""

import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from ..arch.budget import Clock, parse
from ..arch.spec import Net
from ..learn import defaults
from ..learn.data.dataset import Dataset
from ..learn.data.seal import sealed
from ..learn.data.splits import Parts
from ..learn.doubts import doubts, levelled, undoubted
from ..learn.grow.run import growing, growth_of
from ..learn.recipe import Recipe
from ..learn.speed import choose_device, choose_speed
from ..nets.files import Model
from .weights import begun, load, suited, with_drawn


def grow(
    data: Dataset,
    parts: Parts,
    budget: str,
    recipe: Recipe | None = None,
    net: Net | None = None,
    clock: Clock | None = None,
    begin: Literal["auto", "drawn", "none"] = "auto",
) -> Model:
    """A network whose depth, widths and kinds of blocks are found while it learns, within a budget such as "macs=20M".

    data: must be normalised on parts.train.
    parts: which samples train and decide; parts.test is not read.
    budget: one limit, as on the command line.
    recipe: the fields that were set in it are taken; all others are chosen as `zansa grow` chooses them.
    net: the network to begin with; None: the winner of a race between variants of the usual one, each at
        `Schedule.first` times the budget.
    clock: for budgets in ms, what tells the time of a network: zansa.timer(folder, data.preprocess), which keeps what
        it has measured in the folder.
    begin: what the network begins with: weights learned from drawn pictures ("drawn"), fresh ones ("none"), or what was
        measured to be better for such data ("auto").

    ValueError for a budget that cannot be understood or met, and where "drawn" was asked and nothing fits.
    """
    budgets = parse(budget)
    if len(budgets) > 1:
        raise ValueError(f"budget {budget!r} names several limits; name one here, or use the command line for several")
    asked = {} if recipe is None else recipe.model_dump(exclude_unset=True)
    usual = defaults.default_net(data.preprocess.size, data.preprocess.channels, len(data.classes), data.kind)
    augment = defaults.recipe_of(data, parts, 0, asked).augment
    raised = doubts(data, parts.train, augment, 0 if net else usual.stem.contrast, asked.get("augment"))
    for doubt in raised:
        warnings.warn(doubt.told, stacklevel=2)
    first, growth = growth_of(budgets, data, net, clock, levelled(usual, raised))
    learned = begin == "drawn" or (begin == "auto" and suited(data, parts))
    growth = replace(growth, build=with_drawn) if learned else growth
    beginning = load(first) if learned else None
    prepared = beginning is not None and beginning.state is not None
    if beginning is not None and begin == "drawn" and not prepared:
        raise ValueError(f"begin='drawn' was asked: {beginning.told[0].lower()}{beginning.told[1:]}")
    chosen = defaults.recipe_of(
        data,
        parts,
        asked.get("seed", 0),
        asked,
        growth=growth,
        adjust=lambda default: undoubted(begun(default) if prepared else default, raised),
    )
    closed, open_parts = sealed(data, parts)
    device = choose_device(chosen.device)
    module = growth.build(first, torch.Generator().manual_seed(chosen.seed))
    chosen = choose_speed(module.to(device), closed, open_parts, chosen, device)
    with TemporaryDirectory() as folder:
        for each in growing(module, closed, open_parts, chosen, growth, Path(folder)):
            if each["event"] == "warning":
                warnings.warn(each["text"], stacklevel=2)
    return Model(module.net, module, data.classes, data.preprocess)
