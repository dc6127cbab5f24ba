"""How a growth begins: networks of equal price learn side by side for a short while, and the best goes on with what it
has learned. No exact edit leads from one of them to another.

Kinds of branches and shortcuts, the activation, and where the maps are halved are decided here, while networks are
small and a trial is cheap. First each variant runs alone, then all together that did better. Every trial is a whole
training, if a short one: its rate falls to zero at the end, because at a high rate noise hides what a variant is worth.
"""

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ...arch.branches import BRANCHES
from ...arch.cost import cost
from ...arch.spec import Net, Stage
from ...events import Event, event
from ...nets.build import Network, build
from ..data.dataset import Dataset
from ..data.splits import Parts
from ..recipe import Recipe
from ..state import Change, Saved, State, load_state
from ..train import FEW, Diverged, steps_per_epoch, training
from .growth import Growth
from .promise import of_several
from .signals import WeightedSamples, held_out, losses
from .start import seed_net

JUDGED = 2000  # held-out samples that tell who is better, at most
PREACTIVATED = {"basic": "preact_basic", "bottleneck": "preact_bottleneck"}


def pooled(net: Net) -> Net:
    """The network with shortcuts that average before they project (ResNet-D: He et al. 2018, 1812.01187, fig. 2 c)."""
    return _with_stages(
        net, [stage.but({"shortcut": "average"}) if stage.shortcut == "project" else stage for stage in net.stages]
    )


def silu(net: Net) -> Net:
    """The network with x sigmoid(x) for activation (Elfwing et al. 2017, 1702.03118). No block can be inserted exactly
    after it, so such a network grows in width alone."""
    return net.but({"act": "silu"})


def preactivated(net: Net) -> Net:
    """The network with norm and activation before the convolutions (He et al. 2016, 1603.05027)."""
    stages = [
        stage.but(
            {"blocks": tuple(block.but({"kind": PREACTIVATED.get(block.kind, block.kind)}) for block in stage.blocks)}
        )
        for stage in net.stages
    ]
    after = BRANCHES[stages[-1].blocks[-1].kind].after
    return _with_stages(net, stages).but({"head": net.head.but({"act": not after})})


def later(net: Net) -> Net:
    """The network with maps halved one stage later: larger maps, paid for with thinner layers."""
    return _strided(net, [1, *(stage.stride for stage in net.stages[:-1])])


USUAL = "the usual shape"
VARIANTS: dict[str, Callable[[Net], Net]] = {
    "shortcuts that average": pooled,
    "SiLU": silu,
    "pre-activation": preactivated,
    "maps halved later": later,
}


def _with_stages(net: Net, stages: Sequence[Stage]) -> Net:
    return net.but({"stages": tuple(stages)})


def _strided(net: Net, strides: Sequence[int]) -> Net:
    """The network with these strides; shortcuts are projections where the shape changes."""
    width, stages = net.stem.width, []
    entering = next((s.shortcut for s in net.stages if s.shortcut != "identity"), "project")
    for stage, stride in zip(net.stages, strides, strict=True):
        same = (stride, stage.width) == (1, width)
        stages.append(stage.but({"stride": stride, "shortcut": "identity" if same else entering}))
        width = stage.width
    return _with_stages(net, stages)


@dataclass(frozen=True)
class Rival:
    """A network in the race.

    variants: the names of the variants that made it of the usual network.
    net: its description.
    """

    variants: tuple[str, ...]
    net: Net

    @property
    def name(self) -> str:
        """Its variants in words."""
        return " + ".join(self.variants)


def rival(net: Net, fit: Callable[[Net], Net], *names: str) -> Rival | None:
    """The network with these variants, brought to the price by `fit`; None where the grammar or the price does not
    allow it, or where nothing would change."""
    varied = net
    try:
        for name in names:
            varied = VARIANTS[name](varied)
        return None if varied == net else Rival(names, fit(varied))
    except ValueError:
        return None


def rivals(net: Net, fit: Callable[[Net], Net]) -> list[Rival]:
    """The usual network, and each variant of it alone."""
    return [Rival((USUAL,), fit(net)), *(each for name in VARIANTS if (each := rival(net, fit, name)) is not None)]


Pick = Callable[[list[Rival]], list[Rival]]


@dataclass(frozen=True)
class Race:
    """What all rivals have in common.

    data, parts: what they learn from, and what judges them.
    recipe: how they learn, for a short while.
    until: the step at which the growth goes on with what the winner has learned.
    certain: a variant must be better than the usual network by more than so many standard errors.
    folder: where the rivals leave their states, so that a race that was killed goes on.
    build: makes a rival with the weights with which it begins.
    """

    data: Dataset
    parts: Parts
    recipe: Recipe
    until: int
    certain: float
    folder: Path
    build: Callable[[Net, torch.Generator | None], Network] = build


@dataclass(frozen=True)
class Winner:
    """The network that a growth begins with.

    name: its variants in words.
    net: its description.
    state: all that it has learned (see state.State.value); None where it begins anew.
    table: a row for each rival that ran.
    """

    name: str
    net: Net
    state: Saved | None
    table: list[Event]


def race(net: Net, fit: Callable[[Net], Net], course: Race, pick: Pick = list) -> Generator[Event, None, Winner]:
    """Let the network and its variants, each brought to the same price by `fit`, learn for a while; returns the winner.

    The best on held-out samples wins among those that are better than the usual one by more standard errors of the
    difference than chance gives to the best of so many. Where several are, one with all their variants runs too. The
    standard errors are those of so few held-out samples; they say nothing of another training. `pick` says which of the
    rivals run. A race that was killed goes on to the same winner.
    """
    field = pick(rivals(net, fit))
    held = held_out(course.data, course.parts.val, course.recipe.balance != "none", JUDGED)
    ran: list[tuple[Rival, Saved, Tensor]] = []
    for k, each in enumerate(field):
        ran += yield from trial(each, k, len(field), course, held)
    needed = of_several(course.certain, len(field) - 1)
    better = [each.name for each, _, losses in ran if surely(compared(ran[0][2], losses), needed)]
    united = rival(net, fit, *better) if len(better) > 1 else None
    if united is not None:
        ran += yield from trial(united, len(field), len(field) + 1, course, held)
    gains = [compared(ran[0][2], losses) for _, _, losses in ran]
    best = max(range(len(ran)), key=lambda k: gains[k][0] if surely(gains[k], needed) else 0.0)
    table = [row(each, *gains[k], k == best) for k, (each, _, _) in enumerate(ran)]
    return Winner(ran[best][0].name, ran[best][0].net, ran[best][1], table)


def beginning(
    growth: Growth, data: Dataset, parts: Parts, recipe: Recipe, folder: Path, pick: Pick = list
) -> Generator[Event, None, Winner]:
    """The network that a growth begins with: the winner of a race at the price with which the schedule begins.

    Each rival learns for about half as long as it is until the first event, in whole epochs, at least one. There is no
    race, and the usual network begins, where the first event comes before half an epoch, or where fewer than FEW
    held-out samples would decide.
    """
    assert growth.usual is not None
    per_epoch = steps_per_epoch(recipe, parts)
    schedule, smallest = growth.schedule, growth.budgets[0].limit
    until = schedule.step(1, recipe.epochs * per_epoch)
    first = seed_net(growth.usual, growth.price, smallest, schedule.first, growth.quantum)
    if round(until / per_epoch) < 1 or len(parts.val) < FEW:
        return Winner(USUAL, first, None, [])
    short = recipe.model_copy(update={"epochs": max(1, round(until / per_epoch / 2)), "hold": 0.0})
    course = Race(data, parts, short, until, schedule.certain, folder, growth.build)
    fit = partial(seed_net, price=growth.price, limit=growth.price(first), quantum=growth.quantum)
    return (yield from race(growth.usual, fit, course, pick))


def trial(
    each: Rival, k: int, count: int, course: Race, held: WeightedSamples
) -> Generator[Event, None, list[tuple[Rival, Saved, Tensor]]]:
    """Let a rival learn; returns it with what it has learned and its held-out losses. Returns nothing where its
    training diverged, unless it is the usual one or the only one."""
    try:
        saved = yield from learned(each, k, count, course)
    except Diverged:
        if each.variants == (USUAL,) or count == 1:
            raise
        yield event("warning", text=f"{each.name}: its training diverged, so it is out of the race")
        return []
    return [(each, saved, judged(each.net, saved, held))]


def learned(each: Rival, k: int, count: int, course: Race) -> Generator[Event, None, Saved]:
    """Let one rival learn; returns its state at the end. Where an interrupted race has left that state, it is read."""
    name = hashlib.sha256(each.net.to_json().encode()).hexdigest()[:16]
    path = course.folder / f"{name}.pt"
    steps = course.recipe.epochs * steps_per_epoch(course.recipe, course.parts)
    told = {"name": each.name, "done": k, "total": count, "steps": steps, "macs": cost(each.net).macs}
    yield event("trial", told, step=0)
    if path.exists():
        return load_state(path)

    def leave(state: State, steps: int) -> list[Change]:
        if state.step == steps - 1:
            state.fork(path, course.until)
        return []

    module = course.build(each.net, torch.Generator().manual_seed(course.recipe.seed))
    checkpoint = course.folder / f"{name}-half.pt"
    for each_event in training(module, course.data, course.parts, course.recipe, checkpoint, leave):
        if each_event["event"] == "step":
            yield event("trial", told, step=each_event["step"])
    checkpoint.unlink(missing_ok=True)
    return load_state(path)


def judged(net: Net, saved: Saved, held: WeightedSamples) -> Tensor:
    """Every held-out sample's weighted loss (N,) with the average of the weights that were saved."""
    module = build(net).eval()
    module.load_state_dict(saved["average"])
    return losses(module, held)


def compared(usual: Tensor, other: Tensor) -> tuple[float, float]:
    """By how much the second losses are lower, in nats, and the standard error of that."""
    fall = usual - other
    return float(fall.mean()), float(fall.std() / len(fall) ** 0.5)


def surely(gain: tuple[float, float], needed: float) -> bool:
    """Whether a gain is more than so many of its standard errors."""
    return gain[0] > needed * gain[1]


def row(each: Rival, gain: float, error: float, won: bool) -> Event:
    """What the record says of a rival."""
    size = cost(each.net)
    return {
        "name": each.name,
        "net": each.net.to_json(None),
        "macs": size.macs,
        "params": size.params,
        "gain": gain,
        "error": error,
        "won": won,
    }
