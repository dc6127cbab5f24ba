"""The state of a training: all that a training which was killed needs to go on."""

import copy
import json
import math
import pickle
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..arch.apply import apply
from ..arch.edits import AnyEdit
from ..arch.spec import Net
from ..events import Event, event
from ..nets.build import Network, build
from ..nets.transfer import transfer, transfer_optimizer
from ..record import write_atomic
from . import seeds, several
from .depth.fuse import fusing
from .recipe import Recipe
from .tune import parts_of

Saved = dict[str, Any]  # what State.value gives
SLOWER = 5  # times the half-life of the weights' average: the half-life of the running mean of the loss


class Change(NamedTuple):
    """A change of the network in the middle of its training.

    edit: the change.
    why: what the journal says of it.
    """

    edit: AnyEdit
    why: Event


class State:
    """All that a training which was killed needs to go on: weights, their average and the best average, the optimiser,
    counters, and the journal of changes."""

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
        self.level, self.attempt = 0.0, 0  # a running mean of the labels' loss; how often the training began again

    def descend(self, loss: Tensor, rate: float, share: float, penalty: "Penalty | None") -> float:
        """Make one step of the optimiser down the loss and the penalty; returns the loss of the whole batch without the
        penalty.

        `loss` is that of this process's samples, which count for a `share` of the batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad()
        (loss if penalty is None else loss + penalty(self.module) / share).backward()
        whole = several.reduce(self.module, loss, share)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip)
        self.optimizer.step()
        return whole.item()

    @torch.no_grad()
    def advance(self, loss: float, half_life: float, by_labels: float | None = None) -> None:
        """Count a step and move the averages of the weights and of the loss by the labels (default: the loss); early
        steps move them faster, to forget the start."""
        moved = max(1 / (self.step + 1), 1 - 0.5 ** (1 / max(SLOWER * half_life, SLOWER)))
        self.level += moved * ((loss if by_labels is None else by_labels) - self.level)
        self.step += 1
        self.loss += loss
        self.counted += 1
        decay = min(0.5 ** (1 / max(half_life, 1e-9)), (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.slow, self.fast, 1 - decay)

    def edit(self, change: Change, device: torch.device, layout: torch.memory_format) -> Event:
        """Change the network, and let what was learned follow; returns the journal's line. New weights are drawn by the
        seed, the step and the line, so that a training that goes on draws the same."""
        net, names = self.module.net, self._names()
        seed = seeds.of_edit(self.recipe.seed, self.step, len(self.journal))
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
        told = event("edit", change.why, step=self.step, edit=change.edit.model_dump(mode="json"))
        self.journal.append(told)
        return told

    def again(self, weights: dict[str, Tensor]) -> None:
        """Begin again from these weights; only the number of the attempt and the time that has passed stay."""
        self.module.load_state_dict(weights)
        self.average.load_state_dict(weights)
        self._renew()
        self.step, self.loss, self.counted, self.level = 0, 0.0, 0, 0.0
        self.attempt += 1

    def follow(self, layout: torch.memory_format) -> None:
        """Bring both networks into this layout, and let the lists hold the tensors that they then have."""
        self.module.to(memory_format=layout)
        self.average.to(memory_format=layout)
        self.slow, self.fast = floats(self.average), floats(self.module)

    def _renew(self) -> None:
        """Renew the optimiser and the lists of tensors after the network has changed."""
        self.module.train()
        self.average.eval().requires_grad_(False)
        self.optimizer = make_optimizer(self.module, self.recipe)
        self.slow, self.fast = floats(self.average), floats(self.module)
        self.best, self.best_loss, self.best_epoch = None, math.inf, 0

    def _names(self) -> list[str]:
        """The names of the parameters in the order in which the optimiser holds them."""
        name = {id(parameter): name for name, parameter in self.module.named_parameters()}
        return [name[id(parameter)] for group in self.optimizer.param_groups for parameter in group["params"]]

    def keep_best(self, loss: float, epoch: int, error: float = 0.0) -> None:
        """Keep the average of the weights when its validation loss is the lowest so far, or not clearly higher: within
        its standard error the later weights are the safer choice (Breiman et al. 1984, section 3.4.3)."""
        if loss < self.best_loss + error or self.best is None:
            self.best_loss, self.best_epoch = min(loss, self.best_loss), epoch
            self.best = {name: value.clone() for name, value in self.average.state_dict().items()}

    def elapsed(self) -> float:
        """Seconds of this training, including those before it was stopped."""
        return time.monotonic() - self.began

    def value(self) -> Saved:
        """All of the state as plain values and tensors; the tensors are no copies."""
        return {
            "net": self.module.net.to_json(),
            "journal": json.dumps(self.journal),
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "loss": self.loss,
            "counted": self.counted,
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "level": self.level,
            "attempt": self.attempt,
            "seconds": self.elapsed(),
        }

    def take(self, saved: Saved) -> None:
        """Go on from a saved state. KeyError, RuntimeError or ValueError where the state is that of another network."""
        if (net := Net.from_json(saved["net"])) != self.module.net:
            device = next(self.module.parameters()).device
            self.module.become(build(net).to(device))
            self.average.become(build(net).to(device))
            self._renew()
        self.module.load_state_dict(saved["module"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.best, self.best_loss, self.best_epoch = saved["best"], saved["best_loss"], saved["best_epoch"]
        self.step, self.began = saved["step"], time.monotonic() - saved["seconds"]
        self.loss, self.counted = saved["loss"], saved["counted"]
        self.level, self.attempt = saved.get("level", 0.0), saved.get("attempt", 0)  # not in states of older versions
        self.journal = json.loads(saved["journal"])

    def write(self, path: Path) -> None:
        """Save everything to one file, whole or not at all."""
        buffer = BytesIO()
        torch.save(self.value(), buffer)
        write_atomic(path, buffer.getvalue())

    def fork(self, path: Path, step: int) -> None:
        """Leave the state in a file for another training that goes on from it, at a later step."""
        kept = self.step, self.loss, self.counted
        self.step, self.loss, self.counted = step, 0.0, 0
        self.write(path)
        self.step, self.loss, self.counted = kept

    def read(self, path: Path) -> bool:
        """Go on from the state in a file; False when there is none."""
        if not path.exists():
            return False
        try:
            self.take(load_state(path))
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
            fault = type(error).__name__
            raise ValueError(
                f"{path} is damaged or belongs to another network ({fault}); delete it to begin anew"
            ) from None
        return True


def load_state(path: Path) -> Saved:
    """The state that `State.write` left in a file; nothing in the file is executed."""
    return torch.load(path, map_location="cpu", weights_only=True)


Policy = Callable[[State, int], Iterable[Change]]
Penalty = Callable[[Network], Tensor]


def floats(module: nn.Module) -> list[Tensor]:
    """All floating-point tensors of a module's state; they are no copies."""
    return [value for value in module.state_dict().values() if value.is_floating_point()]


def make_optimizer(module: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, without decay on norms, biases and scalars. The "factor" of each group
    multiplies the rate of its parts."""
    held: dict[tuple[float, float], list[nn.Parameter]] = {}
    parts = parts_of(module)
    for k, part in enumerate(parts):
        for parameter in part.parameters():
            decay = recipe.decay if parameter.ndim > 1 else 0.0
            held.setdefault((recipe.tuning.factor ** (len(parts) - 1 - k), decay), []).append(parameter)
    groups = [{"params": params, "weight_decay": decay, "factor": factor} for (factor, decay), params in held.items()]
    made: torch.optim.Optimizer
    if recipe.optimizer == "adamw":
        made = torch.optim.AdamW(groups, lr=recipe.rate)
    else:
        made = torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    if recipe.fuse:
        made.register_step_post_hook(fusing(module, recipe.fuse))
    return made
