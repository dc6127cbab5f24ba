"""A request with all that follows from it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ...arch import zoo
from ...arch.budget import parse
from ...arch.spec import Input, Net
from ...inputs.series import DNA
from ...learn.data.dataset import Dataset
from ...learn.data.splits import Parts
from ...learn.defaults import default_net, default_recipe, gentler
from ...learn.grow.policy import annealed, lengthened
from ...learn.grow.resbuilder.search import empty_net
from ...learn.grow.start import refuse_too_dear, seed_net
from ...learn.recipe import Recipe, Tuning
from ...learn.speed import choose_device
from ...nets.build import Network, build
from ...nets.donor import Donor, read_donor
from ...nets.start import initialise
from ..door import door, good_of, refuse_blind_line
from ..request import Request, Tell, free
from .budget import plan_of, price_of, published


@dataclass(frozen=True)
class Job:
    """A request with all that follows from it: the data and their parts, the first network and, where its weights were
    learned elsewhere, the network itself, and the recipe."""

    request: Request
    data: Dataset
    parts: Parts
    net: Net
    recipe: Recipe
    start: Network | None = None


def smaller(job: Job) -> list[Job]:
    """The same job for each budget but the largest."""
    budgets = parse(job.request.budget)[:-1] if job.request.budget else ()
    requests = (job.request.model_copy(update={"budget": str(b)}) for b in budgets)
    return [replace(job, request=request) for request in requests]


def prepare(request: Request, tell: Tell) -> Job:
    """All that can be known before anything is written."""
    donor = None if request.weights is None else read_donor(request.weights)
    data, parts = door(request, tell)
    refuse_blind_line(good_of(request, data), data, parts)
    start = None if donor is None else adopted(donor, request, data)
    net = chosen_net(request, data) if start is None else start.net
    if request.budget is not None and request.method == "zansa":
        budget = parse(request.budget)[0]
        price, quantum = price_of(budget, data, net)
        refuse_too_dear(net, price, budget.limit, quantum)
    return Job(request, data, parts, net, chosen_recipe(request, data, parts, len(net.stages) + 2), start)


def check(request: Request, out: Path, name: str | None) -> None:
    """Refuse what can be refused before any data are read."""
    recipe = Recipe.model_validate(request.recipe)
    if request.budget is not None:
        parse(request.budget)
        if request.method == "resbuilder":
            published(request)
        elif request.mend:
            raise ValueError("faults to mend were named; they are those of --method resbuilder")
        if recipe.compile:
            raise ValueError("a network that grows cannot be compiled: leave --compile out")
    choose_device(recipe.device)
    if request.net is not None:
        zoo.read(request.net)
    if name is not None and (out / name).exists():
        raise ValueError(f"a run {out / name} exists; choose another --name, or leave it out for the next free one")


def chosen_recipe(request: Request, data: Dataset, parts: Parts, count: int = 6) -> Recipe:
    """The default recipe with what was asked for in its place; switches of the augmentation one by one, {} for none.
    Learned weights get a gentler one, for a network of so many parts (stem, stages, head)."""
    recipe = default_recipe(data, parts, request.seed)
    if free(request):
        recipe = lengthened(recipe)
    if request.weights is not None:
        recipe = gentler(recipe, len(parts.train) / len(data.classes), count)
        if request.budget is not None:
            recipe = recipe.model_copy(update={"tuning": Tuning()})  # all that may change must learn
    default, asked = recipe.model_dump(), dict(request.recipe)
    if asked.get("optimizer") == "adamw":
        default["rate"] /= 50  # 0.002 for 0.1: steps of a size of their own
    for name in ("augment", "tuning"):
        if asked.get(name):
            asked[name] = default[name] | asked[name]
    if "warmup" in asked and "hold" not in asked:
        default["hold"] = min(default["hold"], 1 - asked["warmup"])
    recipe = Recipe.model_validate(default | asked)
    if request.budget is not None and request.method == "zansa" and "hold" not in asked:
        recipe = annealed(recipe, plan_of(request))
    if recipe.augment.reverse_complement and data.preprocess.alphabet != DNA:
        raise ValueError(f"reverse_complement was asked; allowed: for DNA, and these are {data.preprocess.noun}s of "
                         f"{data.preprocess.alphabet or 'numbers'}")  # fmt: skip
    return recipe


def chosen_net(request: Request, data: Dataset) -> Net:
    """The network that was named (a zoo entry, a JSON file), fitted to the data, or the default one."""
    channels, size = data.preprocess.channels, data.preprocess.size
    if request.net is None:
        net = default_net(size, channels, len(data.classes), data.kind)
        if request.budget is None:
            return net
        if request.method == "resbuilder":
            return empty_net(size, channels, len(data.classes), published(request)[1])
        budget = parse(request.budget)[0]
        price, quantum = price_of(budget, data, net)
        return seed_net(net, price, budget.limit, plan_of(request).first, quantum)
    net = zoo.read(request.net)
    stem = zoo.suited(net.stem, size) if request.net in zoo.ZOO else net.stem
    head = net.head.but({"classes": len(data.classes)})
    return net.but({"input": Input(channels=channels, size=size), "stem": stem, "head": head})


def adopted(donor: Donor, request: Request, data: Dataset) -> Network:
    """The donor's network for these data, with a fresh classifier drawn by the request's seed; whole where it is to be
    brought to a budget and knows these very classes."""
    given = Input(channels=data.preprocess.channels, size=data.preprocess.size)
    if (
        request.budget
        and request.net is None
        and donor.net is not None
        and (donor.classes, donor.net.input) == (data.classes, given)
    ):
        module = build(donor.net)
        module.load_state_dict(donor.state)
        return module
    named = None if request.net is None else zoo.read(request.net)
    module = donor.network(data.preprocess.size, data.preprocess.channels, len(data.classes), named)
    initialise(module.head, torch.Generator().manual_seed(request.seed))
    return module
