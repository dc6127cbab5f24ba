"""ResBuilder (Burghoff et al. 2023, 2308.08504) as the authors' code has it, each of its known faults behind a switch.

Seven cycles. A cycle trains a network from scratch, then three times inserts a block at random and trains on. Blocks
whose weights have shrunk go; between two cycles dead channels go, and all widths are stretched toward the budget
(see `morphnet`). The same constants for all data.

What has no place in our networks. Segments: the authors cut a net at its pools, draw a segment evenly and then a place
in it; here a stage is a segment, whatever halves its maps, and the segment of the last, global pool is left out, since
nothing but the classifier stands behind that pool: its share falls on the stages evenly. A stage keeps a block and an
axis a channel, and the first block of a stage that changes the shape stays, however dead. Convolutions have no
biases, the norm before the stem is the normalisation of the data, and there is one linear layer at the end.
Left out, because nothing depends on them: the two side runs without the group LASSO beside every run, whose only use
is the price of the unshrunk network, counted here; and the epoch with frozen weights at the end of a cycle.
"""

import json
import math
import pickle
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from ...arch.branches import BRANCHES
from ...arch.cost import cost
from ...arch.edits import AnyEdit, Delete, Insert, Remap, Widen, apply, inexact
from ...arch.lower import lower
from ...arch.spec import Block, Head, Input, Net, Stage, Step
from ...arch.zoo import stem_for
from ...nets.build import Network, Scale, build
from ...nets.transfer import transfer
from ...record import write_atomic
from ..data.augment import Augment
from ..data.dataset import Dataset
from ..data.splits import Parts
from ..predict import logits
from ..train import Event, Recipe, choose_device, training
from .morphnet import exact_widths, limit, published_widths, term, worths

LAMBDA_MORPH, LAMBDA_1, LAMBDA_2 = 1e-7, 1e-8, 1e-5  # group LASSO; sum of |W|; sum of W^2
KILL = 1e-3  # mean |W| of a kernel below which its block goes
GAIN = 0.015  # rise of the accuracy above which no block goes
DRAWS = 9  # of a place, until it gives a network that was not there before
FINEST = 8  # pixels: an empty network halves its maps until their shorter side has no more
EMPTY_WIDTH = 16

Place = tuple[int, int]  # stage, block


class Switches(BaseModel):
    """The faults of the published code. False reproduces one, True mends it.

    prompt_deletion: blocks are judged by the weights of the run before; by those of this run.
    any_block_deletable: only inserted blocks can go; all can.
    relative_thresholds: a weight counts as dead below one size for all widths; in proportion to fresh weights.
    exact_budget: widths are stretched by what was needed before they shrank, and half of the way; by the largest factor
    that the budget allows.
    decisions_apart: decisions read the images whose accuracy is claimed; others. No decision of ours may read the test
    part, so the validation part is cut in two (see `halves`): one half plays the role of the authors' test set, whose
    accuracy they both claim and decide by; the other half decides when this is on. Trainings are the same.
    preserving_insertion: a new block begins with Glorot's weights; as the identity, by a learned scalar if steps have
    one.
    duplicates_allowed: the search stops with an error when nine draws gave only networks that were there before; the
    ninth is taken.
    kept_weights: every cycle begins with fresh weights; with the weights that are left.
    preactivation: a branch ends in a ReLU (branch "resbuilder"); the pre-activation form (branch "preact_basic").
    annealed_sgd: Adam at a constant 1e-3; the recipe's optimiser at its constant peak rate, and its schedule at last.
    natural_augmentation: all images are mirrored; only what the recipe says.
    best_selected: the last network is the result, with its weights, whatever it costs; the best within the budget,
    trained once more by the recipe without the regularisers.

    Left to our own policy: a better place for a block, a scalar on each block in place of the LASSO on its weights,
    other groups than those of the maximum.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_deletion: bool = False
    any_block_deletable: bool = False
    relative_thresholds: bool = False
    exact_budget: bool = False
    decisions_apart: bool = False
    preserving_insertion: bool = False
    duplicates_allowed: bool = False
    kept_weights: bool = False
    preactivation: bool = False
    annealed_sgd: bool = False
    natural_augmentation: bool = False
    best_selected: bool = False


PUBLISHED = Switches()
MENDED = Switches(**dict.fromkeys(Switches.model_fields, True))


class Plan(BaseModel):
    """How long to search: cycles of 1 + `inserts` trainings ("runs") of so many epochs each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycles: Annotated[int, Field(ge=1)] = 7
    inserts: Annotated[int, Field(ge=0)] = 3
    epochs: Annotated[int, Field(ge=1)] = 20

    @property
    def runs(self) -> int:
        """Trainings of the whole search, without a final one."""
        return self.cycles * (1 + self.inserts)


class Rank(BaseModel):
    """The channels of an axis, the largest first, and how many of them are alive."""

    order: list[int]
    alive: int


class Mark(BaseModel):
    """What is known of a block: whether it was inserted, the size of its smallest kernel after the last run in units
    of the size below which it goes (None: it has not been through one), and the ranks of its inner axes."""

    inserted: bool = False
    size: float | None = None
    ranks: list[Rank] = []


class Best(BaseModel):
    """The best network within the budget: its description, the accuracy that decided, and how many edits led to it."""

    net: str
    accuracy: float
    edits: int


class Search(BaseModel):
    """All that is known between two runs. `run`: how many are done; `step`: of all trainings together; `work`:
    multiply-adds so far, three forward passes for a step; `unshrunk`: multiply-adds of the network of the last run;
    `accuracy`: by which it was judged; `used`: the widths of all networks so far, layer by layer; `best_weights`: of
    the best network."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    key: str
    run: int = 0
    step: int = 0
    work: int = 0
    marks: list[list[Mark]]
    streams: dict[str, Rank] = {}
    unshrunk: int = 0
    accuracy: float = 0.0
    figures: Event = {}
    used: list[list[int]] = []
    best: Best | None = None
    journal: list[Event] = []
    best_weights: dict[str, Tensor] | None = Field(default=None, exclude=True)


class Task(NamedTuple):
    """What the search is about; the module changes, the rest stays."""

    module: Network
    data: Dataset
    parts: Parts
    decide: np.ndarray  # indices of the images by which is decided
    claim: np.ndarray  # of those whose accuracy is claimed
    recipe: Recipe
    macs: int
    switches: Switches
    plan: Plan
    checkpoint: Path | None

    @property
    def batch(self) -> int:
        return min(self.recipe.batch, len(self.parts.train))

    def steps(self, epochs: int) -> int:
        """Steps of a training of so many epochs."""
        return len(self.parts.train) // self.batch * epochs

    @property
    def all_runs(self) -> int:
        return self.plan.runs + self.switches.best_selected

    @property
    def all_steps(self) -> int:
        return self.steps(self.plan.epochs) * self.plan.runs + (self.all_runs > self.plan.runs) * self.steps(
            self.recipe.epochs
        )


def resbuilder(module: Network, data: Dataset, parts: Parts, recipe: Recipe, macs: int, switches: Switches = PUBLISHED,
               plan: Plan | None = None, checkpoint: Path | None = None) -> Generator[Event]:  # fmt: skip
    """Search in place from the network in `module` toward `macs` multiply-adds, half the authors' FLOPs; yields what
    happens: "start" (or "resumed"), "edit", "step", "epoch", "run" and "done".

    parts.test must be empty: nothing here may see it. `recipe` gives batch, device and seed; with the switches also how
    the runs and the final network are trained. With `checkpoint` the state after every run is kept in that file, and
    that within a run beside it; a later call with the same arguments goes on to the same result. "resumed" and "done"
    carry the journal up to there: edits that were told since the last finished run are told again, and the selection
    takes back those that came after the chosen network. ValueError for networks, parts or budgets that cannot be.
    """
    task = task_of(module, data, parts, recipe, macs, switches, plan or Plan(), checkpoint)
    key = json.dumps([module.net.to_json(), macs, recipe.model_dump_json(), switches.model_dump_json(),
                      task.plan.model_dump_json()])  # fmt: skip
    search = _read(task, key)
    begun = "start" if search is None else "resumed"
    search = search or Search(key=key, marks=[[Mark() for _ in stage.blocks] for stage in module.net.stages])
    yield {"event": begun, **_place(task, search), "journal": list(search.journal)}
    while search.run < task.all_runs:
        final = search.run == task.plan.runs
        yield from _choose(task, search) if final else prepare(task, search)
        yield from _train(task, search, final)
        yield {"event": "run", **_place(task, search), "final": final, **_result(task, search)}
        if not final:
            yield from judge(task, search)
        search.run += 1
        _write(task, search)
    module.eval()
    yield {"event": "done", **_place(task, search), **_result(task, search), "journal": list(search.journal)}


def empty_net(size: tuple[int, ...], channels: int, classes: int, switches: Switches = PUBLISHED) -> Net:
    """The authors' "EmptyNet" (one convolution, pools, a linear layer; its widths are not published) as near as our
    networks come: a stem of 16 channels, and behind it one stage for each map that is halved until its shorter side has
    8 pixels. A stage must have a block, so each gets one with a single inner channel; a halving one takes the mean of
    2x2 and a 1x1 convolution as its way around."""
    stem = stem_for(size, EMPTY_WIDTH, act=not switches.preactivation)
    side = -(-min(size) // (stem.stride * (2 if stem.pool else 1)))
    first = Stage(
        width=EMPTY_WIDTH, blocks=(Block(kind=_kind(switches), hidden=(1,)),),
        step=Step(scale=switches.preserving_insertion),  # a scalar, so that kernels that are judged need not be zero
    )  # fmt: skip
    halving = first.but({"stride": 2, "shortcut": "average"})
    return Net(
        input=Input(channels=channels, size=size), stem=stem,
        stages=(first, *[halving] * max(1, math.ceil(math.log2(side / FINEST)))),
        head=Head(classes=classes, act=switches.preactivation),
    )  # fmt: skip


def halves(data: Dataset, val: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The validation part cut in two, class by class, groups kept together: the half that decides when decisions are
    taken apart, and the half whose accuracy is claimed. ValueError when there are not two images or groups."""
    units = np.arange(len(val)) if data.groups is None else np.unique(data.groups[val], return_inverse=True)[1]
    first = np.unique(units, return_index=True)[1]
    if len(first) < 2:
        raise ValueError(
            f"the validation part has {len(first)} image(s) or group(s); the search needs two, one to decide by and "
            "one to claim: give it a larger share"
        )
    order = np.lexsort((np.random.default_rng(seed).permutation(len(first)), data.labels[val][first]))
    claimed = np.zeros(len(first), bool)
    claimed[order[::2]] = True
    return val[~claimed[units]], val[claimed[units]]


# --- what is refused -------------------------------------------------------------------------------------------------


def task_of(module: Network, data: Dataset, parts: Parts, recipe: Recipe, macs: int, switches: Switches, plan: Plan,
          checkpoint: Path | None) -> Task:  # fmt: skip
    if len(parts.test):
        raise ValueError(
            f"the search was given {len(parts.test)} test images; it must not see them: pass Parts with an empty test"
        )
    _refuse_net(module.net, switches)
    exact_widths(module.net, dict.fromkeys(_free(module.net), 1), 2 * macs)  # too small a budget is refused now
    apart, claimed = halves(data, parts.val, recipe.seed)
    decide = apart if switches.decisions_apart else claimed
    return Task(module, data, parts, decide, claimed, recipe, macs, switches, plan, checkpoint)


def _refuse_net(net: Net, switches: Switches) -> None:
    if net.norm != "batch":
        raise ValueError(f"the network has norm {net.norm!r}; ResBuilder is known of batch norms: use norm='batch'")
    for i, stage in enumerate(net.stages):
        if stage.step.kind != "plain" or stage.shortcut == "pad":
            raise ValueError(
                f"stages.{i} has a {stage.step.kind} step and shortcut {stage.shortcut!r}; ResBuilder needs plain "
                "steps, and widths that are free: use 'conv', 'project' or 'average' in place of 'pad'"
            )
        for block in stage.blocks:
            if block.groups > 1 or BRANCHES[block.kind].gated:
                raise ValueError(f"stages.{i} has {block.kind} blocks with groups or gates; ResBuilder knows none")
    why = inexact(net, _insertion(net, 0, len(net.stages[0].blocks), switches))
    if switches.preserving_insertion and why:
        raise ValueError(f"preserving_insertion cannot be: {why}")


def _free(net: Net) -> list[str]:
    """The axes whose widths are learned."""
    return [axis for axis in lower(net).width if axis not in ("input", "classes")]


# --- before a run ----------------------------------------------------------------------------------------------------


def prepare(task: Task, search: Search) -> Iterator[Event]:
    cycle, inserted = divmod(search.run, 1 + task.plan.inserts)
    if inserted:
        yield insert(task, search)
    elif cycle:
        yield from morph(task, search, task.switches.exact_budget)
    if not inserted and not task.switches.kept_weights:
        _start_anew(task, search)
    search.used.append(signature(task.module.net))


def insert(task: Task, search: Search) -> Event:
    """A block at a random place; drawn again while the network's widths are those of an earlier one."""
    rng = np.random.default_rng([task.recipe.seed, search.run])
    for _ in range(DRAWS):
        edit = draw_insertion(task.module.net, task.switches, rng)
        if signature(apply(task.module.net, edit)) not in search.used:
            break
    else:
        if not task.switches.duplicates_allowed:
            raise ValueError(
                f"{DRAWS} places were drawn for a new block, and each gives the widths of an earlier network; the "
                "published search ends here: switch duplicates_allowed on to go on"
            )
    count = len(task.module.net.stages)
    event = change(task, search, edit, "insert", f"a place at random: stage {edit.stage} of {count}, place {edit.at}")
    search.marks[edit.stage][edit.at].inserted = True
    if not task.switches.preserving_insertion:
        glorot(task.module.stages[edit.stage][edit.at], _generator(task, search))  # type: ignore[index]
    return event


def draw_insertion(net: Net, switches: Switches, rng: np.random.Generator) -> Insert:
    """A new block: a stage drawn evenly, then a place in it; as wide inside as the stream is."""
    i = int(rng.integers(len(net.stages)))
    stage = net.stages[i]
    return _insertion(net, i, int(rng.integers(_first(stage), len(stage.blocks) + 1)), switches)


def _insertion(net: Net, stage: int, at: int, switches: Switches) -> Insert:
    return Insert(stage=stage, at=at, block=Block(kind=_kind(switches), hidden=(net.stages[stage].width,)))


def _kind(switches: Switches) -> str:
    return "preact_basic" if switches.preactivation else "resbuilder"


def _first(stage: Stage) -> int:
    """The first place where a block may come or go: not before the one that sets the stage's shape."""
    return 0 if stage.shortcut == "identity" else 1


def signature(net: Net) -> list[int]:
    """The widths of all convolutions but those of shortcuts, in order."""
    table = lower(net)
    return [table.width[row.y] for row in table.rows if row.op == "conv" and ".shortcut" not in row.path]


def morph(task: Task, search: Search, exact: bool) -> Iterator[Event]:
    """What is dead goes, and what is left is stretched toward the budget."""
    yield from _clear(task, search)
    ranks = _ranks(task.module.net, search)
    alive = {axis: max(1, rank.alive) for axis, rank in ranks.items()}
    if exact:
        widths = exact_widths(task.module.net, alive, 2 * task.macs)
    else:
        widths = published_widths(alive, search.unshrunk, task.macs)
    anew = not task.switches.kept_weights  # with fresh weights it does not matter which channels stay
    for axis, rank in ranks.items():
        kept = sorted(rank.order[: min(alive[axis], widths[axis])])
        if len(kept) < len(rank.order) and not (anew and widths[axis] == len(rank.order)):
            reason = f"{rank.alive} of {len(rank.order)} channels of {axis} are alive; {widths[axis]} are wanted"
            yield change(task, search, Remap(axis=axis, index=tuple(kept)), "narrow", reason)
    for axis, width in widths.items():
        if more := width - lower(task.module.net).width[axis]:
            reason = f"{axis} is stretched from {alive[axis]} living channels to {width}, toward the budget"
            yield change(task, search, Widen(axis=axis, count=more), "widen", reason)


def _clear(task: Task, search: Search) -> Iterator[Event]:
    """Blocks with an inner axis without a living channel go, where they may."""
    for i, j in _places(task.module.net):
        if any(rank.alive == 0 for rank in search.marks[i][j].ranks) and _may_go(task.module.net, (i, j)):
            yield change(task, search, Delete(stage=i, at=j), "delete", "no inner channel of the block is alive")


def _places(net: Net) -> list[Place]:
    """All blocks, the last first, so that those to come keep their places when one goes."""
    return [(i, j) for i, stage in enumerate(net.stages) for j in reversed(range(len(stage.blocks)))]


def _may_go(net: Net, place: Place) -> bool:
    stage = net.stages[place[0]]
    return len(stage.blocks) > 1 and place[1] >= _first(stage)


def _ranks(net: Net, search: Search) -> dict[str, Rank]:
    """The ranks of all axes by their present names."""
    inner = {f"stage{i}.block{j}.hidden{k}": rank for i, stage in enumerate(search.marks)
             for j, mark in enumerate(stage) for k, rank in enumerate(mark.ranks)}  # fmt: skip
    return {axis: (search.streams | inner)[axis] for axis in _free(net)}


def _start_anew(task: Task, search: Search) -> None:
    generator = _generator(task, search)
    task.module.become(build(task.module.net, generator))
    glorot(task.module, generator)


@torch.no_grad()
def glorot(module: nn.Module, generator: torch.Generator) -> None:
    """Weights as the authors' library draws them: uniform within sqrt(6 / fans), biases 0, norms and scales 1."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            layer.reset_parameters()
        elif isinstance(layer, Scale):
            layer.weight.fill_(1)


def _generator(task: Task, search: Search) -> torch.Generator:
    seed = (task.recipe.seed * 1_000_003 + search.run) * 1009 + len(search.journal)
    return torch.Generator().manual_seed(seed)


def change(task: Task, search: Search, edit: AnyEdit, move: str, reason: str) -> Event:
    """Change the network, what is known of its blocks, and the journal, whose line is returned. The method predicts
    nothing, so gain and error are None."""
    module = task.module
    before, weights = cost(module.net).macs, module.state_dict()
    weights = transfer(weights, module.net, edit, generator=_generator(task, search))
    module.become(build(apply(module.net, edit)))
    module.load_state_dict(weights)
    if isinstance(edit, Insert):
        search.marks[edit.stage].insert(edit.at, Mark())
    elif isinstance(edit, Delete):
        search.marks[edit.stage].pop(edit.at)
    after = _costs(module.net)
    line = {
        "event": "edit", "step": search.step, "edit": edit.model_dump(mode="json"),
        "progress": search.step / task.all_steps, "move": move, "gain": None, "error": None,
        "spent": after["macs"] - before, "price_before": before, "price_after": after["macs"], "allowance": task.macs,
        "unit": "macs", **after, "val_loss": search.figures.get("val_loss"),
        "val_accuracy": search.figures.get("val_accuracy"), "seed": task.recipe.seed, "reason": reason,
    }  # fmt: skip
    search.journal.append(line)
    return line


def _costs(net: Net) -> Event:
    price = cost(net)
    return {"macs": price.macs, "params": price.params}


# --- a run -----------------------------------------------------------------------------------------------------------


def _train(task: Task, search: Search, final: bool) -> Iterator[Event]:
    """One training; steps are counted through all of them."""
    recipe = run_recipe(task.recipe, task.plan, task.switches, search.run, final)
    regularisers = None if final else penalty(task.switches.relative_thresholds)
    parts, file = task.parts, _within(task, search.run)
    with closing(training(task.module, task.data, parts, recipe, file, penalty=regularisers)) as events:
        for event in events:
            if event["event"] == "step":
                step = search.step + event["step"]
                yield event | {"step": step, "steps": task.all_steps, "run": search.run}
            elif event["event"] == "epoch":
                yield event | {"progress": step / task.all_steps, "run": search.run}
    steps = task.steps(recipe.epochs)
    search.step += steps
    search.work += 3 * cost(task.module.net).macs * steps * task.batch
    search.figures = _figures(task)


def run_recipe(recipe: Recipe, plan: Plan, switches: Switches, run: int, final: bool = False) -> Recipe:
    """How a run is trained: to its last epoch, at a constant rate; the final one as the recipe says."""
    changes: dict[str, Any] = {"seed": (recipe.seed * 1009 + run) % 2**31}
    if not (final and switches.annealed_sgd):
        changes |= {"keep": "last", "patience": 0.0, "hold": 1 - recipe.warmup}
    if not switches.annealed_sgd:
        changes |= {"optimizer": "adamw", "rate": 1e-3, "decay": 0.0, "warmup": 0.0, "hold": 1.0, "smoothing": 0.0,
                    "average": 0.0, "balance": "none", "clip": 1e9}  # fmt: skip
    if not switches.natural_augmentation:
        changes["augment"] = Augment(flip_x=True, shift=0.1)
    if not final:
        changes["epochs"] = plan.epochs
    return recipe.model_copy(update=changes)


def penalty(relative: bool = False) -> Callable[[Network], Tensor]:
    """What is added to the loss: the group LASSO on channels and the LASSO on layers."""
    return lambda network: LAMBDA_MORPH * term(network, relative) + layer_lasso(network)


def layer_lasso(network: Network) -> Tensor:
    """LAMBDA_1 sum |W| + LAMBDA_2 sum W^2 over the kernels of all convolutions but those of shortcuts."""
    rows = [row for row in lower(network.net).rows if row.op == "conv" and ".shortcut" not in row.path]
    kernels = [network.get_parameter(f"{row.path}.weight") for row in rows]
    return torch.stack([LAMBDA_1 * w.abs().sum() + LAMBDA_2 * w.square().sum() for w in kernels]).sum()


def _figures(task: Task) -> Event:
    """Loss and accuracy on the validation part, and the accuracies by which is decided and which are claimed."""
    device = choose_device(task.recipe.device)
    found = logits(task.module.to(device), task.data, task.parts.val)
    task.module.cpu()
    labels = torch.from_numpy(task.data.labels[task.parts.val])
    right = (found.argmax(1) == labels).double().numpy()
    return {
        "val_loss": functional.cross_entropy(found, labels).item(), "val_accuracy": float(right.mean()),
        "decided_by": float(right[np.isin(task.parts.val, task.decide)].mean()),
        "claimed": float(right[np.isin(task.parts.val, task.claim)].mean()),
    }  # fmt: skip


# --- after a run -----------------------------------------------------------------------------------------------------


def judge(task: Task, search: Search) -> Iterator[Event]:
    """Measure the run, remember the network when it is the best, and let blocks go."""
    before, sizes = search.accuracy, [[mark.size for mark in stage] for stage in search.marks]
    search.accuracy = search.figures["decided_by"]
    measure(task, search)
    _remember(task, search)
    if not may_delete(search.run, task.plan, search.accuracy - before):
        return
    if task.switches.prompt_deletion:
        sizes = [[mark.size for mark in stage] for stage in search.marks]
    for i, j in _places(task.module.net):
        size, mark = sizes[i][j], search.marks[i][j]
        listed = mark.inserted or task.switches.any_block_deletable
        if size is not None and size < 1 and listed and _may_go(task.module.net, (i, j)):
            whose = "this run" if task.switches.prompt_deletion else "the run before"
            reason = f"after {whose} a kernel's mean size was {size:.2g} of the least"
            yield change(task, search, Delete(stage=i, at=j), "delete", reason)


def may_delete(run: int, plan: Plan, rise: float) -> bool:
    """Not in the first run of all, and not while the accuracy rises by more than GAIN, but for the first of a cycle."""
    return run > 0 and (run % (1 + plan.inserts) == 0 or rise <= GAIN)


def measure(task: Task, search: Search) -> None:
    """The sizes of all blocks and the ranks of all channels, by the weights of now."""
    net, relative = task.module.net, task.switches.relative_thresholds
    search.unshrunk = cost(net).macs
    found = worths(task.module, relative)
    ranks = {axis: Rank(order=found[axis].argsort(descending=True, stable=True).tolist(),
                        alive=int((found[axis] > 1).sum())) for axis in _free(net)}  # fmt: skip
    search.streams = {axis: rank for axis, rank in ranks.items() if ".block" not in axis}
    for i, stage in enumerate(net.stages):
        for j, block in enumerate(stage.blocks):
            mark = search.marks[i][j]
            mark.size = block_size(task.module, (i, j), relative)
            mark.ranks = [ranks[f"stage{i}.block{j}.hidden{k}"] for k in range(len(block.hidden))]


def block_size(network: Network, place: Place, relative: bool = False) -> float:
    """The smallest mean |W| among the kernels of a block's branch, in units of the size below which it goes."""
    path = f"stages.{place[0]}.{place[1]}.branch"
    rows = [row for row in lower(network.net).rows if row.op == "conv" and row.path.startswith(path)]
    kernels = [network.get_parameter(f"{row.path}.weight").detach() for row in rows]
    return min(float(w.abs().mean()) / limit(KILL, w, relative) for w in kernels)


def _remember(task: Task, search: Search) -> None:
    if not task.switches.best_selected or search.unshrunk > task.macs:
        return
    if search.best is None or search.accuracy > search.best.accuracy:
        search.best = Best(net=task.module.net.to_json(), accuracy=search.accuracy, edits=len(search.journal))
        search.best_weights = {name: value.clone() for name, value in task.module.state_dict().items()}


def _choose(task: Task, search: Search) -> Iterator[Event]:
    """The best network within the budget; where none was, the last one, made to fit."""
    if search.best is None:
        yield from morph(task, search, exact=True)
    else:
        task.module.become(build(Net.from_json(search.best.net)))
        assert search.best_weights is not None
        task.module.load_state_dict(search.best_weights)
        search.journal = search.journal[: search.best.edits]
    if not task.switches.kept_weights:
        _start_anew(task, search)


def _result(task: Task, search: Search) -> Event:
    return {**search.figures, **_costs(task.module.net), "work": search.work, "net": str(task.module.net)}


def _place(task: Task, search: Search) -> Event:
    return {"run": search.run, "runs": task.all_runs, "step": search.step, "steps": task.all_steps}


# --- files -----------------------------------------------------------------------------------------------------------


def _within(task: Task, run: int) -> Path | None:
    """The checkpoint of a training."""
    return None if task.checkpoint is None else task.checkpoint.with_suffix(f".run{run}{task.checkpoint.suffix}")


def _write(task: Task, search: Search) -> None:
    """Save all that is known, whole or not at all; then the checkpoint of the training that is done may go."""
    if task.checkpoint is None:
        return
    buffer = BytesIO()
    torch.save({"search": search.model_dump_json(), "net": task.module.net.to_json(),
                "weights": task.module.state_dict(), "best_weights": search.best_weights}, buffer)  # fmt: skip
    write_atomic(task.checkpoint, buffer.getvalue())
    for run in (search.run - 2, search.run - 1):  # that of the run before may be there still, from a kill
        done = _within(task, run)
        assert done is not None
        done.unlink(missing_ok=True)


def _read(task: Task, key: str) -> Search | None:
    """Take up a saved search; None when there is none."""
    if task.checkpoint is None or not task.checkpoint.exists():
        return None
    try:
        value = torch.load(task.checkpoint, map_location="cpu", weights_only=True)
        search = Search.model_validate_json(value["search"])
        network = build(Net.from_json(value["net"]))
        network.load_state_dict(value["weights"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        fault = type(error).__name__
        raise ValueError(f"{task.checkpoint} is damaged ({fault}); delete it to begin anew") from None
    if search.key != key:
        raise ValueError(f"{task.checkpoint} belongs to a search with other settings; delete it to begin anew")
    search.best_weights = value["best_weights"]
    task.module.become(network)
    return search
