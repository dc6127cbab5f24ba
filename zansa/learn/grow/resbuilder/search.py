"""ResBuilder (Burghoff et al. 2023, 2308.08504) as the authors' code has it; each of its known faults can be switched
off.

There are seven cycles. A cycle trains a network from scratch, then three times inserts a block at random and trains on.
Blocks whose weights have shrunk go. Between two cycles dead channels go, and all widths are stretched toward the budget
(see `morphnet`). The same constants serve all data.

Some of it cannot be expressed in our networks. The authors cut a net into segments at its pools, draw a segment evenly
and then an index in it. Here a stage is a segment, whatever halves its maps; the segment of the last, global pool is
left out, because only the classifier follows that pool, and its share falls on the stages evenly. A stage keeps one
block and an axis one channel, and the first block of a stage that changes the shape stays, however dead. Convolutions
have no biases, the norm before the stem is the normalisation of the data, and there is one linear layer at the end.

Two things are left out because nothing depends on them: the side runs without the group LASSO beside every run, whose
only use is the price of the unshrunk network, which is counted here; and the epoch with frozen weights at the end of a
cycle.
"""

import json
import math
import pickle
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ....arch.apply import inexact
from ....arch.branches import BRANCHES
from ....arch.cost import cost
from ....arch.lower import lower
from ....arch.spec import Block, Head, Input, Net, Stage, Step
from ....arch.zoo import stem_for
from ....events import Event, event
from ....nets.build import Network, build
from ....record import write_atomic
from ... import seeds
from ...data.dataset import Dataset
from ...data.splits import Parts
from ...predict import logits
from ...recipe import Augment, Recipe
from ...speed import choose_device
from ...train import training
from .changes import costs_of, free_widths, insertion, judge, kind_of, morph, prepare, start_anew
from .morphnet import exact_widths, term
from .values import (
    EMPTY_WIDTH,
    FINEST,
    LAMBDA_1,
    LAMBDA_2,
    LAMBDA_MORPH,
    PUBLISHED,
    Length,
    Mark,
    Search,
    Switches,
    Task,
)


def resbuilder(
    module: Network,
    data: Dataset,
    parts: Parts,
    recipe: Recipe,
    macs: int,
    switches: Switches = PUBLISHED,
    length: Length | None = None,
    checkpoint: Path | None = None,
) -> Generator[Event]:
    """Search in place from the network in `module` toward `macs` multiply-adds, which are half the authors' FLOPs;
    yields "start" (or "resumed"), "edit", "step", "epoch", "trained" and "done" events.

    parts.test must be empty, because nothing here may see it. `recipe` gives batch, device and seed; together with the
    switches it says how the runs and the final network are trained. With `checkpoint` the state after every run is kept
    in that file, and the state within a run beside it; a later call with the same arguments goes on to the same result.
    "resumed" and "done" carry the journal up to there: edits that were told since the last finished run are told again,
    and the selection takes back those that came after the chosen network. ValueError for networks, parts or budgets
    that cannot be.
    """
    task = task_of(module, data, parts, recipe, macs, switches, length or Length(), checkpoint)
    key = json.dumps(
        [
            module.net.to_json(),
            macs,
            recipe.model_dump_json(),
            switches.model_dump_json(),
            task.length.model_dump_json(),
        ]
    )
    search = _read(task, key)
    begun = "start" if search is None else "resumed"
    search = search or Search(key=key, marks=[[Mark() for _ in stage.blocks] for stage in module.net.stages])
    yield event(begun, _place(task, search), journal=list(search.journal))
    while search.run < task.all_runs:
        final = search.run == task.length.runs
        yield from _choose(task, search) if final else prepare(task, search)
        yield from _train(task, search, final)
        yield event("trained", _place(task, search) | _result(task, search), final=final)
        if not final:
            yield from judge(task, search)
        search.run += 1
        _write(task, search)
    module.eval()
    yield event("done", _place(task, search) | _result(task, search), journal=list(search.journal))


def empty_net(size: tuple[int, ...], channels: int, classes: int, switches: Switches = PUBLISHED) -> Net:
    """The authors' "EmptyNet" as nearly as our networks can be: one convolution, pools, and a linear layer, whose
    widths are not published.

    It is a stem of 16 channels, followed by one stage for each time that the map is halved until its shorter side has 8
    pixels. A stage must have a block, so each gets one with a single inner channel. In a stage that halves, the
    shortcut takes the mean of 2x2 and a 1x1 convolution.
    """
    stem = stem_for(size, EMPTY_WIDTH, act=not switches.preactivation)
    side = -(-min(size) // (stem.stride * (2 if stem.pool else 1)))
    first = Stage(
        width=EMPTY_WIDTH,
        blocks=(Block(kind=kind_of(switches), hidden=(1,)),),
        step=Step(scale=switches.preserving_insertion),  # a scalar, so that kernels that are judged need not be zero
    )
    halving = first.but({"stride": 2, "shortcut": "average"})
    return Net(
        input=Input(channels=channels, size=size),
        stem=stem,
        stages=(first, *[halving] * max(1, math.ceil(math.log2(side / FINEST)))),
        head=Head(classes=classes, act=switches.preactivation),
    )


def halves(data: Dataset, val: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The validation part cut in two, class by class, with groups kept together.

    Returns the half that decides when decisions are taken apart, and the half whose accuracy is claimed. ValueError
    when there are not two samples or groups.
    """
    units = np.arange(len(val)) if data.groups is None else np.unique(data.groups[val], return_inverse=True)[1]
    first = np.unique(units, return_index=True)[1]
    if len(first) < 2:
        raise ValueError(
            f"the validation part has {len(first)} sample(s) or group(s); the search needs two, one to decide by and "
            "one to claim: give it a larger share"
        )
    order = np.lexsort((np.random.default_rng(seed).permutation(len(first)), data.labels[val][first]))
    claimed = np.zeros(len(first), bool)
    claimed[order[::2]] = True
    return val[~claimed[units]], val[claimed[units]]


# --- what is refused -------------------------------------------------------------------------------------------------


def task_of(
    module: Network,
    data: Dataset,
    parts: Parts,
    recipe: Recipe,
    macs: int,
    switches: Switches,
    length: Length,
    checkpoint: Path | None,
) -> Task:
    """What a search is about; ValueError where test samples were given, and for networks and budgets that cannot be."""
    if len(parts.test):
        raise ValueError(
            f"the search was given {len(parts.test)} test samples; it must not see them: pass Parts with an empty test"
        )
    _refuse_net(module.net, switches)
    exact_widths(module.net, dict.fromkeys(free_widths(module.net), 1), 2 * macs)  # too small a budget is refused now
    apart, claimed = halves(data, parts.val, recipe.seed)
    decide = apart if switches.decisions_apart else claimed
    return Task(module, data, parts, decide, claimed, recipe, macs, switches, length, checkpoint)


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
    why = inexact(net, insertion(net, 0, len(net.stages[0].blocks), switches))
    if switches.preserving_insertion and why:
        raise ValueError(f"preserving_insertion cannot be: {why}")


# --- a run -----------------------------------------------------------------------------------------------------------


def _train(task: Task, search: Search, final: bool) -> Iterator[Event]:
    """One training; steps are counted through all of them."""
    recipe = run_recipe(task.recipe, task.length, task.switches, search.run, final)
    regularisers = None if final else penalty(task.switches.relative_thresholds)
    parts, file = task.parts, _within(task, search.run)
    with closing(training(task.module, task.data, parts, recipe, file, penalty=regularisers)) as events:
        for each in events:
            if each["event"] == "step":
                step = search.step + each["step"]
                yield each | {"step": step, "steps": task.all_steps, "run": search.run}
            elif each["event"] == "epoch":
                yield each | {"progress": step / task.all_steps, "run": search.run}
    steps = task.steps(recipe.epochs)
    search.step += steps
    search.work += 3 * cost(task.module.net).macs * steps * task.batch
    search.figures = _figures(task)


def run_recipe(recipe: Recipe, length: Length, switches: Switches, run: int, final: bool = False) -> Recipe:
    """How a run is trained: to its last epoch, at a constant rate. The final run is trained as the recipe says."""
    changes: dict[str, Any] = {"seed": seeds.of_run(recipe.seed, run)}
    if not (final and switches.annealed_sgd):
        changes |= {"keep": "last", "patience": 0.0, "hold": 1 - recipe.warmup}
    if not switches.annealed_sgd:
        changes |= {
            "optimizer": "adamw",
            "rate": 1e-3,
            "decay": 0.0,
            "warmup": 0.0,
            "hold": 1.0,
            "smoothing": 0.0,
            "average": 0.0,
            "balance": "none",
            "clip": 1e9,
        }
    if not switches.natural_augmentation:
        changes["augment"] = Augment(flip_x=True, shift=0.1)
    if not final:
        changes["epochs"] = length.epochs
    return recipe.model_copy(update=changes)


def penalty(relative: bool = False) -> Callable[[Network], Tensor]:
    """A function that gives what is added to the loss: the group LASSO on channels and the LASSO on layers."""
    return lambda network: LAMBDA_MORPH * term(network, relative) + layer_lasso(network)


def layer_lasso(network: Network) -> Tensor:
    """LAMBDA_1 sum |W| + LAMBDA_2 sum W^2 over the kernels of all convolutions but those of shortcuts."""
    rows = [row for row in lower(network.net).rows if row.op == "conv" and ".shortcut" not in row.path]
    kernels = [network.get_parameter(f"{row.path}.weight") for row in rows]
    return torch.stack([LAMBDA_1 * w.abs().sum() + LAMBDA_2 * w.square().sum() for w in kernels]).sum()


def _figures(task: Task) -> Event:
    """Loss and accuracy on the validation part, the accuracy that decides, and the accuracy that is claimed."""
    device = choose_device(task.recipe.device)
    answers = logits(task.module.to(device), task.data, task.parts.val)
    task.module.cpu()
    labels = torch.from_numpy(task.data.labels[task.parts.val])
    right = (answers.argmax(1) == labels).double().numpy()
    return {
        "val_loss": functional.cross_entropy(answers, labels).item(),
        "val_accuracy": float(right.mean()),
        "decided_by": float(right[np.isin(task.parts.val, task.decide)].mean()),
        "claimed": float(right[np.isin(task.parts.val, task.claim)].mean()),
    }


def _choose(task: Task, search: Search) -> Iterator[Event]:
    """Take the best network within the budget; where there was none, take the last one and make it fit."""
    if search.best is None:
        yield from morph(task, search, exact=True)
    else:
        task.module.become(build(Net.from_json(search.best.net)))
        assert search.best_weights is not None
        task.module.load_state_dict(search.best_weights)
        search.journal = search.journal[: search.best.edits]
    if not task.switches.kept_weights:
        start_anew(task, search)


def _result(task: Task, search: Search) -> Event:
    return {**search.figures, **costs_of(task.module.net), "work": search.work, "net": str(task.module.net)}


def _place(task: Task, search: Search) -> Event:
    return {"run": search.run, "runs": task.all_runs, "step": search.step, "steps": task.all_steps}


# --- files -----------------------------------------------------------------------------------------------------------


def _within(task: Task, run: int) -> Path | None:
    """The file of the checkpoint of one training."""
    return None if task.checkpoint is None else task.checkpoint.with_suffix(f".run{run}{task.checkpoint.suffix}")


def _write(task: Task, search: Search) -> None:
    """Save all that is known, whole or not at all. Then the checkpoint of the training that is done may go."""
    if task.checkpoint is None:
        return
    buffer = BytesIO()
    torch.save(
        {
            "search": search.model_dump_json(),
            "net": task.module.net.to_json(),
            "weights": task.module.state_dict(),
            "best_weights": search.best_weights,
        },
        buffer,
    )
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
