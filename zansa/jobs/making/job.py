"""A resolved request: all that can be known before a training begins, as one frozen value."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from ...arch import zoo
from ...arch.spec import Input, Net
from ...beginnings.weights import Beginning, begun, load, suited, with_drawn
from ...deploy.clock.timing import timer
from ...learn import several
from ...learn.beginnings import Candidate
from ...learn.data.cache import default_folder
from ...learn.data.dataset import Dataset
from ...learn.data.seal import sealed
from ...learn.data.splits import Parts
from ...learn.defaults import default_net, recipe_of
from ...learn.doubts import Doubt, doubts, levelled, undoubted
from ...learn.grow.growth import Growth
from ...learn.grow.resbuilder.search import empty_net
from ...learn.grow.resbuilder.values import Length, Switches
from ...learn.grow.run import growth_of
from ...learn.recipe import Recipe
from ...learn.speed import choose_device, choose_speed
from ...nets.build import Network, build
from ...nets.donor import Donor, read_donor
from ...nets.files import load as load_model
from ...nets.initial_weights import initialise
from ...nets.installed_weights import ready_file
from ...record import refuse_unwritable
from ...runs import model_file
from ..door import door, good_of, refuse_blind_line
from ..request import (
    BEGINNINGS,
    FinetuneRequest,
    GrowRequest,
    Request,
    Tell,
    TrainRequest,
    folds_of,
    learned_weights,
    teacher_named,
)
from .point import refuse_point, requirement


class Search(NamedTuple):
    """A search by ResBuilder.

    macs: the multiply-adds that are allowed.
    switches: which faults are mended.
    length: how long it takes.
    """

    macs: int
    switches: Switches
    length: Length


@dataclass(frozen=True)
class Job:
    """A request with all that follows from it; nothing after it is parsed or decided again.

    request: what was asked.
    data: the data set, normalised on its training part.
    parts: which samples train, decide and test.
    good: the class without a defect; None where no class is known as that.
    net: the first network.
    recipe: how it is trained.
    growth: what is decided of a network that grows; None where the structure stays, or ResBuilder searches.
    search: what is decided of a search by ResBuilder; None otherwise.
    start: the first network with weights that were learned elsewhere; None where they are fresh.
    beginning: what of these weights was learned from drawn pictures; None where nothing was.
    doubts: the defaults that were changed because the data speak against them.
    race: the beginnings that it could have had, as they stand, the best first; () where none were compared.
    """

    request: Request
    data: Dataset
    parts: Parts
    good: str | None
    net: Net
    recipe: Recipe
    growth: Growth | None = None
    search: Search | None = None
    start: Network | None = None
    beginning: Beginning | None = None
    doubts: tuple[Doubt, ...] = ()
    race: tuple[Candidate, ...] = ()


def resolve(request: Request, tell: Tell) -> Job:
    """The job of a request. ValueError for what cannot be done; nothing is written."""
    weights = learned_weights(request)
    donor = None if weights is None else read_donor(weights)
    data, parts = door(request, tell)
    refuse_teacher(request, data)
    good = good_of(request.good, data)
    refuse_blind_line(good, data, parts)
    refuse_point(request, good, data, parts.val)
    start = None if donor is None else adopted(donor, request, data)
    raised = doubted(request, data, parts)
    usual = levelled(usual_net(data), raised)
    net, growth, search = structure(request, data, parts, None if start is None else start.net, usual)
    beginning = None if request.recipe.get("levels", 1) > 1 else drawn(request, data, parts, net)
    prepared = (beginning is not None and beginning.state is not None) or (isinstance(request, TrainRequest) and start)
    recipe = recipe_of(
        data,
        parts,
        request.seed,
        request.recipe,
        growth=growth,
        learned=len(net.stages) + 2 if start and not isinstance(request, TrainRequest) else 0,
        fixed=not isinstance(request, GrowRequest),
        adjust=lambda default: undoubted(begun(default) if prepared else default, raised),
    )
    if isinstance(request, FinetuneRequest) and request.linear:
        recipe = recipe.model_copy(update={"epochs": 1})
    if beginning is not None and beginning.state is not None and (growth is None or growth.usual is None):
        start = build(net)
        start.load_state_dict(beginning.state)
    return with_speed(Job(request, data, parts, good, net, recipe, growth, search, start, beginning, tuple(raised)))


def refuse_teacher(request: Request, data: Dataset) -> None:
    """ValueError for a teacher that cannot teach these data."""
    name = teacher_named(request)
    if name is None:
        return
    if data.preprocess.series:
        raise ValueError(f"a teacher was named for {data.preprocess.noun}s; allowed: for images")
    if name in zoo.READY:
        ready_file(name)
        return
    known = load_model(model_file(name)).classes
    if known != data.classes:
        raise ValueError(
            f"the teacher {name} knows the classes {', '.join(known)}; the data have {', '.join(data.classes)}; "
            "allowed: the same"
        )


def doubted(request: Request, data: Dataset, parts: Parts) -> list[Doubt]:
    """The defaults that the data speak against. A switch that was asked for is told and stays; a network that was named
    or learned elsewhere keeps its stem, and one that ResBuilder begins with has none to doubt."""
    if request.race == "none":
        return []
    augment, asked = recipe_of(data, parts, request.seed, request.recipe).augment, request.recipe.get("augment")
    published = isinstance(request, GrowRequest) and request.method == "resbuilder"
    ours = request.net is None and learned_weights(request) is None and not published
    return doubts(data, parts.train, augment, usual_net(data).stem.contrast if ours else 0, asked)


def usual_net(data: Dataset) -> Net:
    """The network that zansa takes where none was named."""
    return default_net(data.preprocess.size, data.preprocess.channels, len(data.classes), data.kind)


def drawn(request: Request, data: Dataset, parts: Parts, net: Net) -> Beginning | None:
    """What a network of this shape gets of the weights learned from drawn pictures; None where it begins otherwise."""
    if not from_drawn(request, data, parts):
        return None
    beginning = load(net, torch.Generator().manual_seed(request.seed))
    if beginning.state is None and request.begin == "drawn":
        raise ValueError(f"--begin drawn was asked: {beginning.told[0].lower()}{beginning.told[1:]}")
    return beginning


def from_drawn(request: Request, data: Dataset, parts: Parts) -> bool:
    """Whether a network begins with weights learned from drawn pictures.

    They are the default of `train` and `grow` where they suit the data (beginnings.weights.suited). `finetune` begins
    with them where no weights were named.
    """
    if learned_weights(request) is not None or request.begin == "none":
        return False
    if isinstance(request, GrowRequest) and request.method == "resbuilder":
        if request.begin == "drawn":
            raise ValueError("resbuilder as published begins every cycle with fresh weights; leave --begin drawn out")
        return False
    if request.begin == "drawn" or isinstance(request, FinetuneRequest):
        return True
    return suited(data, parts)


def structure(
    request: Request, data: Dataset, parts: Parts, given: Net | None, usual: Net
) -> tuple[Net, Growth | None, Search | None]:
    """The first network, and what is decided of its growth or search. `given` is the network with learned weights, or
    None; `usual` is zansa's, which is taken where none was given or named."""
    pre = data.preprocess
    net = given or named_net(request, data)
    if not isinstance(request, GrowRequest):
        return net or usual, None, None
    if request.method == "zansa":
        clock = timer(default_folder(), pre) if request.budget[0].unit == "ms" else None
        first, growth = growth_of(request.budget, data, net, clock, usual)
        return first, replace(growth, build=with_drawn) if from_drawn(request, data, parts) else growth, None
    search = search_of(request)
    return net or empty_net(pre.size, pre.channels, len(data.classes), search.switches), None, search


def with_speed(job: Job) -> Job:
    """The job with a recipe that names precision and layout: those that are fastest here, where nobody named them."""
    device = choose_device(job.recipe.device)
    module = build(job.net, torch.Generator().manual_seed(job.recipe.seed)).to(device)
    return replace(job, recipe=choose_speed(module, *sealed(job.data, job.parts), job.recipe, device))


def smaller(job: Job) -> list[Job]:
    """The jobs of the smaller budgets of a growth, the smallest first; [] for other jobs."""
    if job.growth is None or not isinstance(job.request, GrowRequest):
        return []
    return [
        replace(
            job,
            request=job.request.model_copy(update={"budget": (budget,)}),
            growth=replace(job.growth, budgets=(budget,)),
        )
        for budget in job.growth.budgets[:-1]
    ]


def check(request: Request, out: Path, name: str | None) -> None:
    """Refuse what can be refused before any data are read."""
    refuse_unwritable(out)
    requirement(request)
    choose_device(Recipe.model_validate(request.recipe).device)
    if isinstance(request, GrowRequest) and request.method == "resbuilder":
        search_of(request)
    levels = request.recipe.get("levels", 1)
    if levels > 1 and (not isinstance(request, TrainRequest) or request.begin not in ("auto", "none")):
        raise ValueError(
            f"levels={levels} was asked; allowed: in `zansa train` from fresh weights; learned weights are of the "
            "whole network, and `zansa grow` changes the network by itself"
        )
    if folds_of(request) and several.world_size() > 1:
        raise ValueError("folds were asked of several processes; allowed: one process, or no --folds")
    if request.net is not None:
        zoo.read(request.net)
    weights = learned_weights(request)
    if weights is not None and weights not in zoo.READY and not Path(weights).exists():
        known = ", ".join((*BEGINNINGS, *zoo.READY))
        raise ValueError(f"there is no run or file {weights} to begin with; allowed too: {known}")
    teacher = teacher_named(request)
    if teacher is not None and teacher not in zoo.READY and not Path(teacher).exists():
        raise ValueError(f"there is no run or file {teacher} to learn from; allowed too: {', '.join(zoo.READY)}")
    if teacher is not None and several.world_size() > 1:
        raise ValueError("a teacher was named for several processes; allowed: one process")
    if name is not None and (out / name).exists():
        raise ValueError(f"a run {out / name} exists; choose another --name, or leave it out for the next free one")


def search_of(request: GrowRequest) -> Search:
    """What is decided of a search by ResBuilder; ValueError for what the method cannot do."""
    if len(request.budget) > 1:
        raise ValueError("resbuilder was asked for several budgets; allowed: one, it begins anew for another")
    (budget,) = request.budget
    if budget.unit != "macs":
        raise ValueError(f"resbuilder was asked for {budget}; allowed: macs, the only price that it knows")
    if learned_weights(request) is not None and not {"all", "kept_weights"} & set(request.mend):
        raise ValueError(
            "resbuilder as published begins every cycle with fresh weights, so those of --from would be lost; name the "
            "shape with --net, or mend the fault kept_weights"
        )
    mended = Switches.model_fields if request.mend == ("all",) else request.mend
    unknown = sorted(set(mended) - Switches.model_fields.keys())
    if unknown:
        known = ", ".join(Switches.model_fields)
        raise ValueError(f"resbuilder has no fault {', '.join(unknown)} to mend; allowed: all, or some of {known}")
    length = Length(epochs=request.recipe["epochs"]) if "epochs" in request.recipe else Length()
    return Search(int(budget.limit), Switches(**dict.fromkeys(mended, True)), length)


def named_net(request: Request, data: Dataset) -> Net | None:
    """The network that was named (a zoo entry, a JSON file), fitted to the data; None where none was."""
    if request.net is None:
        return None
    net, size = zoo.read(request.net), data.preprocess.size
    stem = zoo.suited(net.stem, size) if request.net in zoo.ZOO else net.stem
    head = net.head.but({"classes": len(data.classes)})
    return net.but({"input": Input(channels=data.preprocess.channels, size=size), "stem": stem, "head": head})


def adopted(donor: Donor, request: Request, data: Dataset) -> Network:
    """The donor's network for these data, with a fresh classifier that the request's seed draws. It keeps its own
    classifier where it is to be brought to a budget and knows these very classes, and the rows of its classes where all
    of them are still asked for."""
    given = Input(channels=data.preprocess.channels, size=data.preprocess.size)
    if (
        isinstance(request, GrowRequest)
        and request.net is None
        and donor.net is not None
        and (donor.classes, donor.net.input) == (data.classes, given)
    ):
        module = build(donor.net)
        module.load_state_dict(donor.state)
        return module
    named = None if request.net is None else zoo.read(request.net)
    module = donor.network(data.preprocess.size, data.preprocess.channels, len(data.classes), named)
    linear = module.get_submodule("head.linear")
    initialise(linear, torch.Generator().manual_seed(request.seed))
    if donor.classes and set(donor.classes) <= set(data.classes):
        rows = [data.classes.index(name) for name in donor.classes]
        with torch.no_grad():
            for name, value in linear.named_parameters():
                value[rows] = donor.state[f"head.linear.{name}"]
    return module
