"""What a search by ResBuilder does to the network: insertions, MorphNet, deletions."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ....arch.apply import apply
from ....arch.cost import cost
from ....arch.edits import AnyEdit, Delete, Insert, Remap, Widen
from ....arch.lower import lower
from ....arch.spec import Block, Net, Stage, in_short
from ....events import Event, event
from ....nets.build import Network, Scale, build
from ....nets.transfer import transfer
from ... import seeds
from .morphnet import exact_widths, limit, published_widths, worths
from .values import DRAWS, GAIN, KILL, Best, Length, Mark, Place, Rank, Search, Switches, Task


def free_widths(net: Net) -> list[str]:
    """The axes whose widths are learned."""
    return [axis for axis in lower(net).width if axis not in ("input", "classes")]


# --- before a run ----------------------------------------------------------------------------------------------------


def prepare(task: Task, search: Search) -> Iterator[Event]:
    """Change the network before the next run: the first run of a cycle prunes it and begins with fresh weights, each
    further one inserts a block."""
    cycle, inserted = divmod(search.run, 1 + task.length.inserts)
    if inserted:
        yield insert(task, search)
    elif cycle:
        yield from morph(task, search, task.switches.exact_budget)
    if not inserted and not task.switches.kept_weights:
        start_anew(task, search)
    search.used.append(signature(task.module.net))


def insert(task: Task, search: Search) -> Event:
    """Insert a block at a random index, drawn again while the network's widths would be those of an earlier one."""
    rng = seeds.insertion(task.recipe.seed, search.run)
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
    """A new block: its stage is drawn evenly, then its index in the stage. It is as wide inside as the stream is."""
    i = int(rng.integers(len(net.stages)))
    stage = net.stages[i]
    return insertion(net, i, int(rng.integers(_first(stage), len(stage.blocks) + 1)), switches)


def insertion(net: Net, stage: int, at: int, switches: Switches) -> Insert:
    """The insertion of a block that is as wide inside as the stream is."""
    return Insert(stage=stage, at=at, block=Block(kind=kind_of(switches), hidden=(net.stages[stage].width,)))


def kind_of(switches: Switches) -> str:
    """The kind of the blocks of a search, a key of `arch.branches.BRANCHES`."""
    return "preact_basic" if switches.preactivation else "resbuilder"


def _first(stage: Stage) -> int:
    """The first index where a block may come or go: the block that sets the stage's shape stays first."""
    return 0 if stage.shortcut == "identity" else 1


def signature(net: Net) -> list[int]:
    """The widths of all convolutions but those of shortcuts, in order."""
    table = lower(net)
    return [table.width[row.y] for row in table.rows if row.op == "conv" and ".shortcut" not in row.path]


def morph(task: Task, search: Search, exact: bool) -> Iterator[Event]:
    """Take away what is dead, and stretch what is left toward the budget."""
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
    """Take away blocks that have an inner axis without a living channel, where they may go."""
    for i, j in _places(task.module.net):
        if any(rank.alive == 0 for rank in search.marks[i][j].ranks) and _may_go(task.module.net, (i, j)):
            yield change(task, search, Delete(stage=i, at=j), "delete", "no inner channel of the block is alive")


def _places(net: Net) -> list[Place]:
    """Stage and index of all blocks, the last first, so that the others keep their indices when one goes."""
    return [(i, j) for i, stage in enumerate(net.stages) for j in reversed(range(len(stage.blocks)))]


def _may_go(net: Net, place: Place) -> bool:
    stage = net.stages[place[0]]
    return len(stage.blocks) > 1 and place[1] >= _first(stage)


def _ranks(net: Net, search: Search) -> dict[str, Rank]:
    """The ranks of all axes by their present names."""
    inner = {
        f"stage{i}.block{j}.hidden{k}": rank
        for i, stage in enumerate(search.marks)
        for j, mark in enumerate(stage)
        for k, rank in enumerate(mark.ranks)
    }
    return {axis: (search.streams | inner)[axis] for axis in free_widths(net)}


def start_anew(task: Task, search: Search) -> None:
    """Give the network fresh weights."""
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
    seed = seeds.of_edit(task.recipe.seed, search.run, len(search.journal))
    return torch.Generator().manual_seed(seed)


def change(task: Task, search: Search, edit: AnyEdit, move: str, reason: str) -> Event:
    """Change the network, what is known of its blocks, and the journal; returns the journal's line. The method predicts
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
    after = costs_of(module.net)
    line = event(
        "edit",
        {
            "step": search.step,
            "edit": edit.model_dump(mode="json"),
            "progress": search.step / task.all_steps,
            "move": move,
            "gain": None,
            "error": None,
            "spent": after["macs"] - before,
            "price_before": before,
            "price_after": after["macs"],
            "moments": 0,
            "allowance": task.macs,
            "limit": task.macs,
            "unit": "macs",
            **after,
            "val_loss": search.figures.get("val_loss"),
            "val_accuracy": search.figures.get("val_accuracy"),
            "seed": task.recipe.seed,
            "structure": in_short(module.net),
            "last": True,
            "reason": reason,
        },
    )
    search.journal.append(line)
    return line


def costs_of(net: Net) -> Event:
    """What the events of a search say of the cost of a network."""
    price = cost(net)
    return {"macs": price.macs, "params": price.params}


# --- after a run -----------------------------------------------------------------------------------------------------


def judge(task: Task, search: Search) -> Iterator[Event]:
    """Measure the run, remember the network when it is the best, and let blocks go."""
    before, sizes = search.accuracy, [[mark.size for mark in stage] for stage in search.marks]
    search.accuracy = search.figures["decided_by"]
    measure(task, search)
    _remember(task, search)
    if not may_delete(search.run, task.length, search.accuracy - before):
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


def may_delete(run: int, length: Length, rise: float) -> bool:
    """Whether blocks may go after this run: after the first run of a cycle, or when the accuracy rises by no more than
    GAIN; never after the very first run."""
    return run > 0 and (run % (1 + length.inserts) == 0 or rise <= GAIN)


def measure(task: Task, search: Search) -> None:
    """Measure the sizes of all blocks and the ranks of all channels by their present weights."""
    net, relative = task.module.net, task.switches.relative_thresholds
    search.unshrunk = cost(net).macs
    by_axis = worths(task.module, relative)
    ranks = {
        axis: Rank(
            order=by_axis[axis].argsort(descending=True, stable=True).tolist(), alive=int((by_axis[axis] > 1).sum())
        )
        for axis in free_widths(net)
    }
    search.streams = {axis: rank for axis, rank in ranks.items() if ".block" not in axis}
    for i, stage in enumerate(net.stages):
        for j, block in enumerate(stage.blocks):
            mark = search.marks[i][j]
            mark.size = block_size(task.module, (i, j), relative)
            mark.ranks = [ranks[f"stage{i}.block{j}.hidden{k}"] for k in range(len(block.hidden))]


def block_size(network: Network, place: Place, relative: bool = False) -> float:
    """The smallest mean |W| among the kernels of a block's branch, in units of the size below which the block goes."""
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
