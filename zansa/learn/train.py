"""How a network gets good: one loop that reads from top to bottom.

Every random number is a function of (seed, step, place among the processes that train together), so a run that was
killed goes on to the same result.
"""

import copy
import json
import math
import pickle
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from ..arch.edits import AnyEdit, apply
from ..arch.spec import Net
from ..nets.build import Network, build
from ..nets.files import Model
from ..nets.noise import add_noise
from ..nets.transfer import transfer, transfer_optimizer
from ..record import write_atomic
from . import several
from .data.augment import Augment, augment
from .data.dataset import Dataset
from .data.splits import Parts
from .predict import logits, to_tensor
from .tune import Tuning, first_to_learn, let_learn, parts_of

Share = Annotated[float, Field(ge=0, le=1)]
Event = dict[str, Any]
FEW = 30  # validation samples below which the last epoch is kept: the best of so few would be chosen by chance


class Diverged(ValueError):
    """The loss of a training is no number any more."""


class Change(NamedTuple):
    """A change of the network in the middle of its training, and what the journal says of it."""

    edit: AnyEdit
    why: Event


class Order(NamedTuple):
    """What the leading process tells the others at a step (see several): its network, its recipe, the first part that
    learns, and the images of the batch."""

    net: Net
    recipe: "Recipe"
    first: int
    step: int
    images: np.ndarray


class Recipe(BaseModel):
    """How to train. Rates are functions of progress in [0, 1); every share is of the whole training.

    rate: the peak, for a batch of `batch`; warmup: share of the steps on the way up to it, hold: share in which it
    stays there, then a cosine to zero. keep: the weights of the epoch that was best on validation, or of the last.
    decay: weight decay, on weights of convolutions and linear layers only. smoothing: of the labels.
    average: half-life of the running average of weights that is evaluated and kept, as a share of the training.
    balance: "none"; "logit" adds the log of each class's share to the logits in training (Menon et al. 2020,
    2007.07314), so that rare classes count as much as common ones; "weights" divides each class's loss by the square
    root of its share. clip: largest norm of the gradient. patience: stop when validation has not improved for this
    share of the training, behind the hold (0: never). dropout, stochastic_depth: chances (see nets.noise). tuning:
    which parts learn, and how fast. compile: let torch write code for this network (torch.compile; needs a C++
    compiler, and a minute or two before the first step; two runs may differ in the last bits). checkpoint: seconds
    between two saved states.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=2)] = 64
    optimizer: Literal["sgd", "adamw"] = "sgd"
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    momentum: Share = 0.9
    decay: Annotated[float, Field(ge=0)] = 5e-4
    warmup: Share = 0.05
    hold: Share = 0.0
    keep: Literal["best", "last"] = "best"
    smoothing: Share = 0.05
    average: Share = 0.01
    balance: Literal["none", "logit", "weights"] = "logit"
    clip: Annotated[float, Field(gt=0)] = 5.0
    patience: Share = 0.5
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    stochastic_depth: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tuning: Tuning = Tuning()
    augment: Augment = Augment()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    layout: Literal["auto", "channels_first", "channels_last"] = "auto"
    compile: bool = False
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    checkpoint: Annotated[float, Field(ge=0)] = 30.0

    @model_validator(mode="after")
    def _falls(self) -> "Recipe":
        if self.warmup + self.hold > 1 + 1e-9:
            raise ValueError(f"warmup={self.warmup:g} and hold={self.hold:g} were given; allowed: at most 1 together")
        return self


def fit(net: Net, data: Dataset, parts: Parts, recipe: Recipe) -> Model:
    """Train a fresh network of description `net` on parts.train, keep the best average by parts.val."""
    module = build(net, torch.Generator().manual_seed(recipe.seed))
    for _ in training(module, data, parts, recipe):
        pass
    return Model(net, module, data.classes, data.preprocess)


def training(module: Network, data: Dataset, parts: Parts, recipe: Recipe, checkpoint: Path | None = None,
             policy: "Policy | None" = None, penalty: "Penalty | None" = None) -> Generator[Event]:  # fmt: skip
    """Train in place, yielding what happens: "start", "edit", "step", "epoch" and "done" events.

    `data` must be normalised on parts.train. At the end, or when the caller stops, the module holds the best average
    of the weights so far, on the CPU and in evaluation mode. With `checkpoint`, the state is kept in that file, and a
    later call with the same arguments goes on from it. `policy` is asked before every step which changes of the
    structure are due; weights, their average and the optimiser's moments follow. `penalty` is added to the loss.
    Diverged when the loss stops being a number.
    """
    if policy is not None and recipe.compile:
        raise ValueError("a network that grows cannot be compiled: leave compile out")
    device = choose_device(recipe.device)
    module.to(device).train()
    recipe = choose_speed(module, data, parts, recipe, device)
    layout = memory_format(recipe)
    module.to(memory_format=layout)
    batch = min(recipe.batch, len(parts.train))
    if several.world_size() > 1 and batch < 2 * several.world_size():
        raise ValueError(
            f"{several.world_size()} processes share batches of {batch}; allowed: 2 images for each, or more"
        )
    per_epoch = steps_per_epoch(recipe, parts)
    steps = per_epoch * recipe.epochs
    criterion = Criterion(data.labels[parts.train], len(data.classes), recipe, device)
    state = State(module, recipe)
    chance = torch.Generator(device)
    answer = torch.compile(module) if recipe.compile else module
    resumed = checkpoint is not None and state.read(checkpoint)
    state.follow(layout)
    noise = add_noise(module, recipe.dropout, recipe.stochastic_depth, chance)
    saved = began = time.monotonic()
    first_step = state.step
    order = first = None
    yield {"event": "resumed" if resumed else "start", "step": state.step, "steps": steps, "per_epoch": per_epoch,
           "journal": list(state.journal),
           "precision": recipe.precision, "layout": recipe.layout, "device": str(device),
           "threads": torch.get_num_threads(), "processes": several.world_size()}  # fmt: skip
    try:
        while state.step < steps and not (policy is None and out_of_patience(state, state.step // per_epoch, recipe)):
            for change in () if policy is None else policy(state, steps):
                line = state.edit(change, device, layout)
                for handle in noise:
                    handle.remove()
                noise, first = add_noise(module, recipe.dropout, recipe.stochastic_depth, chance), None
                yield line
            epoch, place = divmod(state.step, per_epoch)
            if place == 0 or order is None:
                order = np.random.default_rng([recipe.seed, epoch]).permutation(parts.train)
            if first != (first := first_to_learn(recipe.tuning, len(parts_of(module)), state.step / steps)):
                let_learn(module, first)
            index = np.sort(order[place * batch : (place + 1) * batch])
            several.broadcast_order(Order(module.net, recipe, first, state.step, index))
            several.broadcast(state.fast)
            loss = passed(answer, data, several.share(index), state.step, recipe, criterion, chance)
            rate = recipe.rate * warmup_cosine(state.step / steps, recipe.warmup, recipe.hold)
            told = state.descend(loss, rate, criterion.share(data.labels, index), penalty)
            state.advance(told, recipe.average * steps)
            if not math.isfinite(state.loss):
                raise Diverged(
                    f"the loss is {state.loss} at step {state.step} of {steps}: training diverged; try a smaller rate "
                    f"(now {recipe.rate:g}) or a longer warmup (now {recipe.warmup:g})"
                )
            yield {"event": "step", "step": state.step, "steps": steps, "loss": state.loss / state.counted}
            if state.step % per_epoch == 0:
                measured = validate(state.average, data, parts.val, recipe, layout)
                last = recipe.keep == "last" or len(parts.val) < FEW
                state.keep_best(-epoch if last else measured["val_loss"], epoch + 1)
                yield {
                    "event": "epoch", "epoch": epoch + 1, "epochs": recipe.epochs, "progress": state.step / steps,
                    "rate": rate, "loss": state.loss / state.counted, **measured,
                    "best": state.best_epoch, "few": len(parts.val) < FEW, "seconds": round(state.elapsed(), 3),
                    "images_per_second": round((state.step - first_step) * batch / (time.monotonic() - began), 1),
                }  # fmt: skip
                state.loss, state.counted = 0.0, 0
            if checkpoint is not None and (state.step % per_epoch == 0 or time.monotonic() - saved > recipe.checkpoint):
                saved = time.monotonic()
                state.write(checkpoint)
        yield {"event": "done", "step": state.step, "steps": steps, "best": state.best_epoch}
    finally:
        for handle in noise:
            handle.remove()
        module.load_state_dict(state.best or state.average.state_dict())
        module.cpu().to(memory_format=torch.contiguous_format).eval().requires_grad_(True)


def passed(answer: Callable[[Tensor], Tensor], data: Dataset, index: np.ndarray, step: int, recipe: Recipe,
           criterion: "Criterion", chance: torch.Generator) -> Tensor:  # fmt: skip
    """The loss of these training images, augmented at random, in the recipe's precision. All that is random depends on
    the seed, the step and the rank of the process."""
    seed = recipe.seed * 1_000_003 + step + several.rank() * 2**24
    chance.manual_seed(seed)
    images = to_tensor(data, index, chance.device, memory_format(recipe))
    images = augment(images, recipe.augment, torch.Generator().manual_seed(seed))
    labels = torch.from_numpy(data.labels[index]).to(chance.device)
    with autocast(chance.device, recipe.precision):
        found = answer(images)
    return criterion(found.float(), labels)


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
            answer = torch.compile(module) if recipe.compile else module
            chance = torch.Generator(device)
            add_noise(module, recipe.dropout, recipe.stochastic_depth, chance)
            criterion = Criterion(data.labels[parts.train], len(data.classes), recipe, device)
        several.broadcast(floats(module))
        module.zero_grad()
        loss = passed(answer, data, several.share(order.images), order.step, recipe, criterion, chance)
        loss.backward()
        several.reduce(module, loss, criterion.share(data.labels, order.images))


def steps_per_epoch(recipe: Recipe, parts: Parts) -> int:
    """How many whole batches the training part has."""
    return len(parts.train) // min(recipe.batch, len(parts.train))


class State:
    """All that a killed training needs to go on: weights, their average and the best one, the optimiser, counters, and
    the journal of changes."""

    def __init__(self, module: Network, recipe: Recipe):
        self.module, self.recipe = module, recipe
        self.average = copy.deepcopy(module).eval().requires_grad_(False)
        self.optimizer = make_optimizer(module, recipe)
        self.slow, self.fast = floats(self.average), floats(module)
        self.journal: list[Event] = []
        self.best: dict[str, Tensor] | None = None
        self.best_loss, self.best_epoch = math.inf, 0
        self.step, self.began = 0, time.monotonic()
        self.loss, self.counted = 0.0, 0  # the sum over so many steps

    def descend(self, loss: Tensor, rate: float, share: float, penalty: "Penalty | None") -> float:
        """One step of the optimiser down the loss of the batch, of which this one is that of a share, and down the
        penalty. Returns the loss without the penalty."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad()
        (loss if penalty is None else loss + penalty(self.module) / share).backward()
        whole = several.reduce(self.module, loss, share)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip)
        self.optimizer.step()
        return whole.item()

    @torch.no_grad()
    def advance(self, loss: float, half_life: float) -> None:
        """One step further: count it and move the average; early steps move it faster, so that it forgets the start."""
        self.step += 1
        self.loss += loss
        self.counted += 1
        decay = min(0.5 ** (1 / max(half_life, 1e-9)), (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.slow, self.fast, 1 - decay)

    def edit(self, change: Change, device: torch.device, layout: torch.memory_format) -> Event:
        """Change the network; what was learned follows. Returns the journal's line. New weights are drawn by the
        seed, the step and the line, so that a training that goes on draws the same."""
        net, names = self.module.net, self._names()
        seed = (self.recipe.seed * 1_000_003 + self.step) * 1009 + len(self.journal)
        moments = self.optimizer.state_dict()["state"]
        after = []
        for module in (self.module, self.average):
            fresh = torch.Generator().manual_seed(seed)
            after.append(build(apply(net, change.edit)))
            after[-1].load_state_dict(transfer(module.state_dict(), net, change.edit, generator=fresh))
            after[-1].to(device).to(memory_format=layout)
        self.module.become(after[0])
        self.average.become(after[1])
        self._renew()
        moments = transfer_optimizer(moments, names, net, change.edit, self._names())
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        told = {"event": "edit", "step": self.step, "edit": change.edit.model_dump(mode="json"), **change.why}
        self.journal.append(told)
        return told

    def follow(self, layout: torch.memory_format) -> None:
        """Both networks in this layout; the lists hold the tensors that they then have."""
        self.module.to(memory_format=layout)
        self.average.to(memory_format=layout)
        self.slow, self.fast = floats(self.average), floats(self.module)

    def _renew(self) -> None:
        """The optimiser and the lists of tensors of a network that has changed."""
        self.module.train()
        self.average.eval().requires_grad_(False)
        self.optimizer = make_optimizer(self.module, self.recipe)
        self.slow, self.fast = floats(self.average), floats(self.module)
        self.best, self.best_loss, self.best_epoch = None, math.inf, 0

    def _names(self) -> list[str]:
        """The names of the parameters in the order in which the optimiser holds them."""
        name = {id(parameter): name for name, parameter in self.module.named_parameters()}
        return [name[id(parameter)] for group in self.optimizer.param_groups for parameter in group["params"]]

    def keep_best(self, loss: float, epoch: int) -> None:
        """Keep the average when it is the best on validation so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            self.best = {name: value.clone() for name, value in self.average.state_dict().items()}

    def elapsed(self) -> float:
        """Seconds of this training, those before it was stopped too."""
        return time.monotonic() - self.began

    def write(self, path: Path) -> None:
        """Save everything to one file, whole or not at all."""
        value = {
            "net": self.module.net.to_json(), "journal": json.dumps(self.journal),
            "module": self.module.state_dict(), "average": self.average.state_dict(), "best": self.best,
            "optimizer": self.optimizer.state_dict(), "step": self.step, "loss": self.loss, "counted": self.counted,
            "best_loss": self.best_loss, "best_epoch": self.best_epoch, "seconds": self.elapsed(),
        }  # fmt: skip
        buffer = BytesIO()
        torch.save(value, buffer)
        write_atomic(path, buffer.getvalue())

    def fork(self, path: Path, step: int) -> None:
        """Leave the state in a file for another training that goes on from it, at a later step."""
        kept = self.step, self.loss, self.counted
        self.step, self.loss, self.counted = step, 0.0, 0
        self.write(path)
        self.step, self.loss, self.counted = kept

    def read(self, path: Path) -> bool:
        """Take up a saved state; False when there is none."""
        if not path.exists():
            return False
        try:
            value = torch.load(path, map_location="cpu", weights_only=True)
            if (net := Net.from_json(value["net"])) != self.module.net:
                place = next(self.module.parameters()).device
                self.module.become(build(net).to(place))
                self.average.become(build(net).to(place))
                self._renew()
            self.module.load_state_dict(value["module"])
            self.average.load_state_dict(value["average"])
            self.optimizer.load_state_dict(value["optimizer"])
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
            fault = type(error).__name__
            raise ValueError(
                f"{path} is damaged or belongs to another network ({fault}); delete it to begin anew"
            ) from None
        self.best, self.best_loss, self.best_epoch = value["best"], value["best_loss"], value["best_epoch"]
        self.step, self.began = value["step"], time.monotonic() - value["seconds"]
        self.loss, self.counted = value["loss"], value["counted"]
        self.journal = json.loads(value["journal"])
        return True


Policy = Callable[[State, int], Iterable[Change]]
Penalty = Callable[[Network], Tensor]


def floats(module: nn.Module) -> list[Tensor]:
    """All floating-point tensors of a module's state, the very tensors."""
    return [value for value in module.state_dict().values() if value.is_floating_point()]


class Criterion:
    """Cross entropy with smoothed labels, and a balance between the classes (see Recipe.balance)."""

    def __init__(self, labels: np.ndarray, classes: int, recipe: Recipe, device: torch.device):
        share = (
            torch.from_numpy(np.bincount(labels, minlength=classes) / len(labels)).float().clamp_min(1e-6).to(device)
        )
        self.smoothing = recipe.smoothing
        self.shift = share.log() if recipe.balance == "logit" else torch.zeros_like(share)
        weight = share.rsqrt() / (share * share.rsqrt()).sum()
        self.weight = weight if recipe.balance == "weights" else None

    def share(self, labels: np.ndarray, index: np.ndarray) -> float:
        """How much the images of this process count in the loss of a batch."""
        if self.weight is None:
            return len(several.share(index)) / len(index)
        weight = self.weight.cpu().numpy()[labels[index]]
        return float(several.share(weight).sum() / weight.sum())

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:  # N K, N -> scalar
        return functional.cross_entropy(logits + self.shift, labels, self.weight, label_smoothing=self.smoothing)


def warmup_cosine(progress: float, warmup: float, hold: float = 0.0) -> float:
    """Factor of the rate at progress in [0, 1): linear up to 1 at `warmup`, 1 for a share of `hold`, then half a
    cosine down to 0."""
    if progress < warmup:
        return (progress + 0.01) / (warmup + 0.01)
    falling = max(0.0, progress - warmup - hold) / max(1 - warmup - hold, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * falling))


def make_optimizer(module: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW; no decay on norms, biases and scalars. Each group has the "factor" of its
    parts' rates."""
    held: dict[tuple[float, float], list[nn.Parameter]] = {}
    parts = parts_of(module)
    for k, part in enumerate(parts):
        for parameter in part.parameters():
            decay = recipe.decay if parameter.ndim > 1 else 0.0
            held.setdefault((recipe.tuning.factor ** (len(parts) - 1 - k), decay), []).append(parameter)
    groups = [{"params": params, "weight_decay": decay, "factor": factor} for (factor, decay), params in held.items()]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.rate)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA when there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used ({reason}); allowed: auto, cpu, cuda") from None
    return device


def out_of_patience(state: State, epoch: int, recipe: Recipe) -> bool:
    """Whether validation has not improved for the recipe's share of the training, counted from the end of the hold."""
    since = max(state.best_epoch, (recipe.warmup + recipe.hold) * recipe.epochs if recipe.hold else 0)
    return recipe.patience > 0 and epoch - since > max(1.0, recipe.patience * recipe.epochs)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Compute in this precision; weights and sums stay in float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def validate(module: nn.Module, data: Dataset, index: np.ndarray, recipe: Recipe, layout: torch.memory_format) -> Event:
    """Loss and figures of the validation part, in the precision of the training. Where the training is balanced the
    loss is too: every class weighs the same, so that the best epoch is the best for what was trained."""
    dtype = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
    found, labels = (
        logits(module, data, index, dtype=dtype, layout=layout),
        torch.from_numpy(data.labels[index]),
    )
    right = (found.argmax(1) == labels).double()
    counts = torch.bincount(labels, minlength=len(data.classes))
    recalls = torch.bincount(labels, right, minlength=len(data.classes))[counts > 0] / counts[counts > 0]
    weight = None if recipe.balance == "none" else 1 / counts.clamp_min(1).float()
    return {
        "val_loss": functional.cross_entropy(found, labels, weight).item(),
        "val_accuracy": right.mean().item(),
        "val_balanced_accuracy": recalls.mean().item(),
    }


def choose_speed(module: nn.Module, data: Dataset, parts: Parts, recipe: Recipe, device: torch.device) -> Recipe:
    """The recipe with "auto" replaced by what is fastest here, measured in turns on copies of the network."""
    precisions = ("float32", "bfloat16") if recipe.precision == "auto" else (recipe.precision,)
    layouts = ("channels_first", "channels_last") if recipe.layout == "auto" else (recipe.layout,)
    if len(data.preprocess.size) != 2:
        layouts = ("channels_first",)  # torch knows the other for images alone
    options = [recipe.model_copy(update={"precision": p, "layout": x}) for p in precisions for x in layouts]
    if len(options) == 1:
        return options[0]
    index = parts.train[: recipe.batch]
    steps = [trial_step(copy.deepcopy(module), data, index, option, device) for option in options]
    rounds = [[step() for step in steps] for _ in range(6)][1:]  # the first warms up
    seconds = [min(times) for times in zip(*rounds, strict=True)]
    best = 0
    for k in range(1, len(options)):
        if seconds[k] < 0.95 * seconds[best]:  # a near tie always falls the same way
            best = k
    return options[best]


def trial_step(
    module: nn.Module, data: Dataset, index: np.ndarray, recipe: Recipe, device: torch.device
) -> Callable[[], float]:
    """A training step without an optimiser, which returns the seconds that it took."""
    module.to(memory_format=memory_format(recipe))
    images = to_tensor(data, index, device, memory_format(recipe))

    def step() -> float:
        began = time.perf_counter()
        with autocast(device, recipe.precision):
            total = module(images).float().square().mean()
        total.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    return step


def memory_format(recipe: Recipe) -> torch.memory_format:
    """The recipe's layout as torch calls it."""
    return torch.channels_last if recipe.layout == "channels_last" else torch.contiguous_format
