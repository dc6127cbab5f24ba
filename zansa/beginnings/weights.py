"""Weights learned from drawn pictures for a network: all of them for the default networks, what fits for others.

Channels that a narrower network lacks are left out by their importance, channels that a wider one has more are new and
read with zeros, blocks that a deeper one has more begin as the identity (as Net2Net does it, Chen et al. 2016,
1511.05641). So each part that is taken computes nearly what it did. A part behind one that does not fit would read
what it has never seen, and begins anew.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..arch.lower import Row, lower
from ..arch.spec import Net, Stage, Step
from ..learn.data.dataset import Dataset
from ..learn.data.splits import Parts
from ..learn.recipe import Recipe, Tuning
from ..nets.build import Network, build
from ..nets.files import read
from ..nets.initial_weights import start_as_identity
from .making import Course, network_for

DRAWN = Path(__file__).with_name("drawn.safetensors")
PROJECTIONS = ("project", "average")  # both a 1-wide convolution and a norm
RATE = 0.5  # of the recipe's rate from nothing; below, weights from drawn pictures learn too little (card.md)
LEAST = 0.05  # of a network's numbers; so few learned ones would change the recipe and help little
NOTHING = "No weights from drawn pictures fit this network"
GRAY = "the colours of its first filters summed for gray images"
SPREAD = "the colours of its first filters spread over the channels"
FEW_A_CLASS = 200  # training images of a class, up to which a network begins with weights from drawn pictures
SUITED = ("surface", "natural")  # kinds of images; letters and digits learn better from nothing
State = dict[str, Tensor]


@dataclass(frozen=True)
class Beginning:
    """What a network begins with.

    state: for build(net), with a fresh classifier; None when nothing fits. share: of the numbers outside the
    classifier that were learned, 0 to 1. told: one sentence for people.
    """

    state: State | None
    share: float
    told: str


def load(net: Net, generator: torch.Generator | None = None, path: Path = DRAWN) -> Beginning:
    """The weights learned from drawn pictures, as far as they fit a network of any size, channels and classes.

    What is new is drawn from `generator` (default: a new one of seed 0). ValueError when the file cannot be read.
    """
    found = []
    for lesson in Course().lessons:
        learned = {name: value for name, value in _tensors(path).items() if name.startswith(lesson.name + "/")}
        if learned:
            donor = {name.partition("/")[2]: value for name, value in learned.items()}
            found.append(_fitted(donor, network_for(lesson.side), net, generator))
    if not found:
        raise ValueError(
            f"{path} has no weights learned from drawn pictures; make them with python -m zansa.beginnings"
        )
    return max(found, key=lambda beginning: beginning.share)


def with_drawn(net: Net, generator: torch.Generator | None = None) -> Network:
    """The network, with what fits it of the weights learned from drawn pictures."""
    state, module = load(net, generator).state, build(net, generator)
    if state is not None:
        module.load_state_dict(state)
    return module


def suited(data: Dataset, parts: Parts) -> bool:
    """Whether a network begins with weights learned from drawn pictures where nobody says otherwise: where training
    images are few and are no letters or digits. There they were measured to be better, for trainings
    (benchmarks/few_images.py) and for growths (benchmarks/grow.py), and nowhere else."""
    return len(parts.train) <= FEW_A_CLASS * len(data.classes) and data.kind in SUITED


def begun(recipe: Recipe) -> Recipe:
    """A recipe for weights from drawn pictures: all parts learn at one rate, half of that from nothing, which falls
    from the beginning."""
    return recipe.model_copy(update={"rate": recipe.rate * RATE, "hold": 0.0, "tuning": Tuning()})


@lru_cache(maxsize=4)
def _tensors(path: Path) -> State:
    return {name: value.float() for name, value in read(path)[1].items()}


def _fitted(donor: State, of: Net, net: Net, generator: torch.Generator | None) -> Beginning:
    reasons = [_unfit_stem(of, net), *(_unfit_stage(of, net, i) for i in range(len(net.stages)))]
    count = next((k for k, reason in enumerate(reasons) if reason), len(reasons))
    if count == 0:
        return Beginning(None, 0.0, f"{NOTHING}, because {reasons[0]}; it begins from nothing.")
    module = build(net, generator)
    for i, j in _new_blocks(of, net, count - 1):
        start_as_identity(net, i, j, module.get_submodule(f"stages.{i}.{j}"))
    state = module.state_dict()
    taken = _take(donor, of, net, state, ("stem.", *(f"stages.{i}." for i in range(count - 1))))
    body = sum(p.numel() for name, p in module.named_parameters() if not name.startswith("head."))
    if taken < LEAST * body and count < len(reasons):
        told = f"{NOTHING} but {_parts(count)}, less than {100 * LEAST:.0f} % of it, because {reasons[count]}"
        return Beginning(None, 0.0, f"{told}; it begins from nothing.")
    return Beginning(state, taken / body, _told(net, count, taken / body, reasons))


def _told(net: Net, count: int, share: float, reasons: list[str]) -> str:
    """What was taken, in one sentence."""
    begins = "The network begins with weights that were learned from drawn pictures"
    if count < len(reasons):
        share_text = f"{100 * share:.0f} % of its numbers"
        return f"{begins}: {_parts(count)}, {share_text}; what follows is new, because {reasons[count]}."
    changes = [] if share > 0.999 else [f"{100 * share:.0f} % of its numbers, the others are new"]
    colours = {3: "", 1: GRAY}.get(net.input.channels, SPREAD)
    said = ", ".join(filter(None, [*changes, colours]))
    return f"{begins}: all parts but the classifier{f' ({said})' if said else ''}."


def _parts(count: int) -> str:
    """The first parts of a network by their names."""
    return "the stem" if count == 1 else f"the stem and stage{'s 0 to' if count > 2 else ''} {count - 2}"


def _unfit_stem(of: Net, net: Net) -> str:
    """Why the learned stem does not fit; "" where it does."""
    if len(net.input.size) != 2:
        return f"it takes {'series' if len(net.input.size) == 1 else 'volumes'}, and images were drawn"
    if (net.norm, net.act) != (of.norm, of.act):
        return f"it has norm {net.norm!r} and activation {net.act!r}, and {of.norm!r} and {of.act!r} were learned"
    if net.stem.deep or net.stem.kernel != of.stem.kernel or net.stem.act != of.stem.act:
        return f"its stem is no {of.stem.kernel}-wide convolution with an activation"
    return ""


def _unfit_stage(of: Net, net: Net, i: int) -> str:
    """Why the learned stage i does not fit; "" where it does."""
    if i >= len(of.stages):
        return f"{len(of.stages)} stages were learned"
    learned, stage = of.stages[i], net.stages[i]
    odd = {block.kind for block in stage.blocks} - {"basic"}
    if odd or stage.step != Step() or any(block.groups > 1 for block in stage.blocks):
        kinds = f"{', '.join(sorted(odd))} blocks" if odd else "another step or groups"
        return f"stage {i} has {kinds}, and basic blocks were learned"
    if not _alike(learned, stage):
        return f"stage {i} begins with shortcut {stage.shortcut!r}, and {learned.shortcut!r} was learned"
    return ""


def _alike(learned: Stage, stage: Stage) -> bool:
    """Whether the stream enters both stages alike; a projection can do what an identity does."""
    if stage.shortcut in PROJECTIONS:
        return learned.shortcut in ("identity", *PROJECTIONS)
    return stage.shortcut == learned.shortcut


def _new_blocks(of: Net, net: Net, stages: int) -> list[tuple[int, int]]:
    """Stage and place of the blocks that were not learned, in the stages that are taken."""
    return [(i, j) for i in range(stages) for j in range(len(of.stages[i].blocks), len(net.stages[i].blocks))]


def _take(donor: State, of: Net, net: Net, state: State, parts: tuple[str, ...]) -> int:
    """Put what was learned into the state, in place; returns how many learned parameters it has then."""
    theirs, ours = lower(of), lower(net)
    learned = {row.path: row for row in theirs.rows}
    order = {axis: _important(donor, theirs.rows, axis, width) for axis, width in theirs.width.items()}
    taken = 0
    for row in ours.rows:
        if not row.path.startswith(parts) or row.op not in ("conv", "norm"):
            continue
        if row.path not in learned:
            if row.path.startswith(tuple(f"stages.{i}.0.shortcut" for i in range(len(net.stages)))):
                _as_identity(row, donor, order, state)
            continue
        source = learned[row.path]
        y = order[source.y][: ours.width[row.y]].sort().values
        x = order[source.x][: ours.width[row.x]].sort().values
        for name in ("weight", "bias", "running_mean", "running_var"):
            full = f"{row.path}.{name}"
            if full in donor:
                taken += _put(donor[full], state[full], y, x, row) * (not name.startswith("running"))
    return taken


def _important(donor: State, rows: tuple[Row, ...], axis: str, width: int) -> Tensor:
    """The channels of an axis, the one that is read most first."""
    read_by = torch.zeros(width)
    for row in rows:
        if row.op == "conv" and row.x == axis and axis != "input":
            read_by += donor[f"{row.path}.weight"].square().sum((0, 2, 3))
    return read_by.argsort(descending=True, stable=True)


def _put(learned: Tensor, fresh: Tensor, y: Tensor, x: Tensor, row: Row) -> int:
    """Fill a tensor, in place, with the learned channels y that read channels x; how many numbers are learned."""
    if row.op == "norm":
        fresh[: len(y)] = learned[y]
        return len(y)
    if row.x == "input":  # a gray picture is one whose channels are equal
        channels = fresh.shape[1]
        fresh[: len(y)] = learned[y] if channels == 3 else learned[y].sum(1, keepdim=True) / channels
        return fresh[: len(y)].numel()
    fresh[: len(y), len(x) :] = 0
    fresh[: len(y), : len(x)] = learned[y][:, x]
    return fresh[: len(y), : len(x)].numel()


def _as_identity(row: Row, donor: State, order: dict[str, Tensor], state: State) -> None:
    """Let a projection that was not learned hand on the stream of the stem: its norm gives each channel the mean and
    deviation that it has, those of a rectified normal variable."""
    if row.op == "conv":
        weight = state[f"{row.path}.weight"]
        weight.zero_()
        for k in range(min(weight.shape[:2])):
            weight[k, k] = 1
        return
    at, spread = (donor[f"stem.norm.{name}"].double() for name in ("bias", "weight"))
    spread = spread.abs().clamp_min(1e-3)
    below = 0.5 * (1 + torch.erf(at / spread / math.sqrt(2)))
    density = torch.exp(-0.5 * (at / spread) ** 2) / math.sqrt(2 * math.pi)
    mean = at * below + spread * density
    variance = ((at**2 + spread**2) * below + at * spread * density - mean**2).clamp_min(1e-4)
    kept = order["stem"][: len(state[f"{row.path}.bias"])].sort().values
    learned = {"bias": mean, "running_mean": mean, "weight": variance.sqrt(), "running_var": variance}
    for name, value in learned.items():
        state[f"{row.path}.{name}"][: len(kept)] = value[kept].float()
