"""How a network gets good: one loop that reads from top to bottom.

Every random number is a function of (seed, step, rank of the process), so a run that was killed goes on to the same
result.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from ..arch.spec import Net
from ..events import Event, event
from ..nets.build import Network, build
from ..nets.files import Model
from ..nets.memory import passing, refuse_memory, refuse_wrong
from ..nets.noise import add_noise
from . import seeds, several
from .class_sampling import epoch_order
from .data.augment import augment
from .data.dataset import Dataset
from .data.splits import Parts
from .depth.fuse import refuse_alone
from .distil import Batch, Lessons, Teaching
from .loss import Criterion, validate
from .predict import to_tensor
from .recipe import Recipe
from .speed import autocast, choose_device, choose_speed, memory_format
from .state import Penalty, Policy, Saved, State, floats
from .tune import first_to_learn, let_learn, parts_of

PROBE = 16  # samples on which a way back is measured at the beginning of each epoch
FEW = 30  # validation samples below which the last epoch is kept: the best of so few would be chosen by chance

SAFER = 0.2  # of the rate, where a training begins again; and the share of it in which the rate then rises
LEFT = 0.98  # of the loss of chance; above that nothing has been learned
TRIED = 40  # steps before which a training never begins again
AGAIN = (
    "the training begins again at a fifth of the rate ({rate:g}), because nothing was learned in {step} steps: the "
    "loss is {level:.3f}, and always answering with the shares of the classes has {chance:.3f}"
)
NOTHING = (
    "nothing was learned: at two rates the loss stayed where it is for a network that only knows how frequent each "
    "class is. The labels may not belong to the samples, or what tells the classes apart is lost at this size (--size)"
)


class Diverged(ValueError):
    """The loss of a training is no longer a finite number."""


class Order(NamedTuple):
    """What the leading process tells the others at a step (see several).

    net: the network as it is.
    recipe: how it is trained.
    first: the first part that learns.
    step: the step.
    samples: the indices of the batch's samples.
    """

    net: Net
    recipe: Recipe
    first: int
    step: int
    samples: np.ndarray


def fit(net: Net, data: Dataset, parts: Parts, recipe: Recipe) -> Model:
    """Train a fresh network of description `net` on parts.train; returns it with the average of weights that was best
    on parts.val."""
    module = build(net, torch.Generator().manual_seed(recipe.seed))
    for _ in training(module, data, parts, recipe):
        pass
    return Model(net, module, data.classes, data.preprocess)


def training(
    module: Network,
    data: Dataset,
    parts: Parts,
    recipe: Recipe,
    checkpoint: Path | None = None,
    policy: Policy | None = None,
    penalty: Penalty | None = None,
    begin: Saved | None = None,
    teaching: Teaching | Lessons | None = None,
) -> Generator[Event]:
    """Train in place, yielding what happens: "start" or "resumed", "edit", "step", "epoch" and "done" events.

    A training whose loss has not left chance after a third of its steps begins again from the same weights, once, at a
    safer rate ("again"); where that fails too, a "warning" says so. Diverged when the loss stops being finite.

    At the end, or when the caller stops, the module holds the best average of the weights so far, on the CPU and in
    evaluation mode.

    data: must be normalised on parts.train.
    checkpoint: the file in which the state is kept; a later call with the same arguments goes on from it.
    policy: is asked before every step which changes of the structure are due; weights, their average and the
        optimiser's moments follow.
    penalty: gives what is added to the loss.
    begin: the state of another training, from which this one goes on where it has none of its own yet.
    teaching: what is learned from other networks beside the labels.
    """
    course = prepared(module, data, parts, recipe, policy)
    recipe, steps, per_epoch = course.recipe, course.steps, course.per_epoch
    fresh = {name: value.clone() for name, value in module.state_dict().items()}
    state, chance = State(module, recipe), torch.Generator(course.device)
    answer = torch.compile(module) if recipe.compile else passing(module, recipe.memory, chance)
    resumed = checkpoint is not None and state.read(checkpoint)
    if begin is not None and not resumed:
        state.take(begin)
    state.follow(course.layout)
    noise = add_noise(module, recipe.dropout, recipe.stochastic_depth, chance)
    pace, order, first = Pace(state.step), None, None
    yield start_event(state, course, resumed)
    try:
        while state.step < steps and not (policy is None and out_of_patience(state, state.step // per_epoch, recipe)):
            if policy is None and must_begin_again(state, course):
                pace.first_step -= state.step
                yield begin_again(state, course, fresh)
            for change in () if policy is None else policy(state, steps):
                line = state.edit(change, course.device, course.layout)
                noise, first = renewed(noise, module, recipe, chance), None
                yield line
            epoch, batch = divmod(state.step, per_epoch)
            if batch == 0 or order is None:
                order = epoch_order(parts.train, data.labels, len(data.classes), recipe, epoch)
            if batch == 0:
                refuse_wrong_way_back(module, course, data, order, chance)
            if first != (first := first_to_learn(recipe.tuning, len(parts_of(module)), state.step / steps)):
                let_learn(module, first)
            index = np.sort(order[batch * course.batch : (batch + 1) * course.batch])
            several.broadcast_order(Order(module.net, recipe, first, state.step, index))
            several.broadcast(state.fast)
            losses = loss_of(answer, data, several.share(index), state.step, recipe, course.criterion, chance, teaching)
            rate = rate_at(state, course)
            told = state.descend(losses[0], rate, course.criterion.share(data.labels, index), penalty)
            state.advance(told, recipe.average * steps, told if teaching is None else losses[1].item())
            refuse_divergence(state, course)
            yield event("step", step=state.step, steps=steps, loss=state.loss / state.counted)
            if state.step % per_epoch == 0:
                yield epoch_event(state, course, data, parts, rate, pace)
            if checkpoint is not None and (state.step % per_epoch == 0 or pace.since_saved() > recipe.checkpoint):
                state.write(checkpoint)
                pace.saved = time.monotonic()
        yield from end_events(state, course)
    finally:
        for handle in noise:
            handle.remove()
        module.load_state_dict(state.best or state.average.state_dict())
        module.cpu().to(memory_format=torch.contiguous_format).eval().requires_grad_(True)


@dataclass(frozen=True)
class Course:
    """What stays the same from the first step of a training to its last.

    recipe: with its precision and layout named.
    device, layout: where the network is, and in which order its values are.
    batch: samples of a step.
    per_epoch: steps of an epoch.
    steps: steps of the whole training.
    criterion: the loss.
    chance: the loss of a network that has learned nothing.
    """

    recipe: Recipe
    device: torch.device
    layout: torch.memory_format
    batch: int
    per_epoch: int
    steps: int
    criterion: Criterion
    chance: float


@dataclass
class Pace:
    """How fast a training is.

    first_step: the step at which this process began.
    began: the second at which it began.
    saved: the second at which it last saved the state.
    """

    first_step: int
    began: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def since_saved(self) -> float:
        """Seconds since the state was last saved."""
        return time.monotonic() - self.saved

    def per_second(self, step: int) -> float:
        """Steps in a second so far."""
        return (step - self.first_step) / (time.monotonic() - self.began)


def prepared(module: Network, data: Dataset, parts: Parts, recipe: Recipe, policy: Policy | None) -> Course:
    """Put the network where it trains, and name all that stays the same. ValueError for settings that cannot be."""
    if policy is not None and recipe.compile:
        raise ValueError("a network that grows cannot be compiled: leave compile out")
    refuse_memory(module.net, recipe.memory)
    if recipe.fuse:
        refuse_alone(module)
    device = choose_device(recipe.device)
    module.to(device).train()
    recipe = choose_speed(module, data, parts, recipe, device)
    layout = memory_format(recipe)
    module.to(memory_format=layout)
    batch, world = min(recipe.batch, len(parts.train)), several.world_size()
    if world > 1 and batch < 2 * world:
        raise ValueError(f"{world} processes share batches of {batch}; allowed: 2 samples for each, or more")
    per_epoch = steps_per_epoch(recipe, parts)
    criterion = Criterion(data.labels[parts.train], len(data.classes), recipe, device)
    chance = criterion.chance()
    return Course(recipe, device, layout, batch, per_epoch, per_epoch * recipe.epochs, criterion, chance)


def end_events(state: State, course: Course) -> Iterator[Event]:
    """The last events: a warning where nothing was learned though the training began again, and the end."""
    if state.attempt and at_chance(state, course):
        yield event("warning", text=NOTHING, nothing=True)
    yield event("done", step=state.step, steps=course.steps, best=state.best_epoch)


def renewed(
    noise: list[RemovableHandle], module: Network, recipe: Recipe, chance: torch.Generator
) -> list[RemovableHandle]:
    """The noise of a network whose structure has changed, in place of the one that it had."""
    for handle in noise:
        handle.remove()
    return add_noise(module, recipe.dropout, recipe.stochastic_depth, chance)


def refuse_wrong_way_back(
    module: Network, course: Course, data: Dataset, order: np.ndarray, chance: torch.Generator
) -> None:
    """ValueError where a recipe that saves memory would compute wrong gradients, by the epoch's first samples."""
    probe = to_tensor(data, np.sort(order[:PROBE]), course.device, course.layout)
    refuse_wrong(module, probe, course.recipe.memory, chance)


def start_event(state: State, course: Course, resumed: bool) -> Event:
    """The event of a training that begins or goes on."""
    return event(
        "resumed" if resumed else "start",
        step=state.step,
        steps=course.steps,
        per_epoch=course.per_epoch,
        journal=list(state.journal),
        precision=course.recipe.precision,
        layout=course.recipe.layout,
        device=str(course.device),
        threads=torch.get_num_threads(),
        processes=several.world_size(),
    )


def refuse_divergence(state: State, course: Course) -> None:
    """Diverged when the loss is no longer a finite number."""
    if not math.isfinite(state.loss):
        raise Diverged(
            f"the loss is {state.loss} at step {state.step} of {course.steps}: training diverged; try a smaller rate "
            f"(now {course.recipe.rate:g}) or a longer warmup (now {course.recipe.warmup:g})"
        )


def rate_at(state: State, course: Course) -> float:
    """The rate of the state's step; that of a training which began again is smaller and rises for longer."""
    recipe, progress = course.recipe, state.step / course.steps
    if state.attempt:
        return recipe.rate * SAFER * warmup_cosine(progress, max(recipe.warmup, SAFER))
    return recipe.rate * warmup_cosine(progress, recipe.warmup, recipe.hold)


def at_chance(state: State, course: Course) -> bool:
    """Whether the loss by the labels is still that of a network which has learned nothing."""
    return state.level > LEFT * course.chance


def must_begin_again(state: State, course: Course) -> bool:
    """Whether a third of the first attempt has passed, and nothing has been learned by then."""
    return state.attempt == 0 and state.step == max(TRIED, course.steps // 3) and at_chance(state, course)


def begin_again(state: State, course: Course, fresh: dict[str, Tensor]) -> Event:
    """Take the state back to the first weights; returns the event of it."""
    text = AGAIN.format(level=state.level, step=state.step, chance=course.chance, rate=course.recipe.rate * SAFER)
    told = event("again", text=text, step=state.step, level=state.level, chance=course.chance)
    state.again(fresh)
    state.follow(course.layout)
    return told


def epoch_event(state: State, course: Course, data: Dataset, parts: Parts, rate: float, pace: Pace) -> Event:
    """The event of an epoch: validation figures of the average of the weights, which is kept when it is the best."""
    recipe, epoch = course.recipe, state.step // course.per_epoch
    measured = validate(state.average, data, parts.val, recipe, course.layout)
    last = recipe.keep == "last" or len(parts.val) < FEW
    loss, error = (1 - epoch, 0.0) if last else (measured["val_tempered"], measured["val_error"])
    state.keep_best(loss, epoch, error)
    told = event(
        "epoch",
        measured,
        epoch=epoch,
        epochs=recipe.epochs,
        progress=state.step / course.steps,
        rate=rate,
        loss=state.loss / state.counted,
        best=state.best_epoch,
        last=last,
        seconds=round(state.elapsed(), 3),
        images_per_second=round(pace.per_second(state.step) * course.batch, 1),
    )
    state.loss, state.counted = 0.0, 0
    return told


def loss_of(
    answer: Callable[[Tensor], Tensor],
    data: Dataset,
    index: np.ndarray,
    step: int,
    recipe: Recipe,
    criterion: Criterion,
    chance: torch.Generator,
    teaching: Teaching | Lessons | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss of these training samples, augmented at random, in the recipe's precision; and that by their labels
    alone, which differs where a teacher speaks. All that is random depends on the seed, the step and the rank of the
    process."""
    seed = seeds.of_step(recipe.seed, step, several.rank())
    chance.manual_seed(seed)
    samples = to_tensor(data, index, chance.device, memory_format(recipe))
    samples = augment(samples, recipe.augment, torch.Generator().manual_seed(seed))
    labels = torch.from_numpy(data.labels[index]).to(chance.device)

    def student(samples: Tensor) -> Tensor:
        with autocast(chance.device, recipe.precision):
            logits: Tensor = answer(samples)
        return logits.float()

    logits = student(samples)
    loss = criterion(logits, labels)
    return (loss if teaching is None else teaching(student, Batch(samples, logits, labels, loss, seed, index))), loss


def helping(data: Dataset, parts: Parts) -> None:
    """Do this process's share of every step of the trainings that the leading process makes (see several), until it
    makes no more."""
    known: tuple[Net, Recipe, int] | None = None
    while (order := several.receive_order()) is not None:
        recipe = order.recipe
        if known != (known := (order.net, recipe, order.first)):
            device = choose_device(recipe.device)
            module = build(order.net).to(device).to(memory_format=memory_format(recipe)).train()
            let_learn(module, order.first)
            chance = torch.Generator(device)
            answer = torch.compile(module) if recipe.compile else passing(module, recipe.memory, chance)
            add_noise(module, recipe.dropout, recipe.stochastic_depth, chance)
            criterion = Criterion(data.labels[parts.train], len(data.classes), recipe, device)
        several.broadcast(floats(module))
        module.zero_grad()
        loss, _ = loss_of(answer, data, several.share(order.samples), order.step, recipe, criterion, chance)
        loss.backward()
        several.reduce(module, loss, criterion.share(data.labels, order.samples))


def steps_per_epoch(recipe: Recipe, parts: Parts) -> int:
    """How many whole batches the training part has."""
    return len(parts.train) // min(recipe.batch, len(parts.train))


def warmup_cosine(progress: float, warmup: float, hold: float = 0.0) -> float:
    """The factor of the rate at progress in [0, 1): it rises linearly to 1 at `warmup`, stays there for a share of
    `hold`, then falls to 0 as half a cosine."""
    if progress < warmup:
        return (progress + 0.01) / (warmup + 0.01)
    falling = max(0.0, progress - warmup - hold) / max(1 - warmup - hold, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * falling))


def out_of_patience(state: State, epoch: int, recipe: Recipe) -> bool:
    """Whether validation has not improved for the recipe's share of the training, counted from the end of the hold."""
    since = max(state.best_epoch, (recipe.warmup + recipe.hold) * recipe.epochs if recipe.hold else 0)
    return recipe.patience > 0 and epoch - since > max(1.0, recipe.patience * recipe.epochs)
