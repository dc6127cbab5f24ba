"""What a growth may cost and when it changes the network: decided once, before the training begins."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator

from ...arch.budget import Budget, Clock
from ...arch.spec import Net
from ...nets.build import Network, build
from ..recipe import Recipe
from .moves import Price

LONGER = 2.2  # times the epochs: small networks are cheap, and more epochs are bought for what they save
HEALING = 0.6  # progress at which a network that was given changes for the last time: it must heal after what is taken


@dataclass(frozen=True)
class Schedule:
    """When the network changes, and by how much. Progress is a share of the training in [0, 1).

    The network may change at `events` moments. What it may cost by then rises by equal factors, from its first price
    to the largest budget, which the last event meets. Where it costs more, it thins out. Where it costs less, what
    promises enough comes, and then all axes become wider with what is left.

    first: what the first network costs, as a share of the smallest budget, where zansa chooses that network.
    begin: progress at the first event.
    end: progress at the last event.
    events: how many moments there are.
    share: a new lot of channels is at least this share of an axis.
    samples: so many validation samples at most judge what may go; wider axes are judged by twice as many, new blocks
        and gates by half as many, and a quarter as many training samples tell in which direction new weights point.
    certain: a single addition must promise more than so many of its standard errors.
    likely: wider axes together must promise more than so many of their standard errors.
    """

    first: float = 0.25
    begin: float = 0.08
    end: float = 0.85
    events: int = 6
    share: float = 0.25
    samples: int = 500
    certain: float = 2.0
    likely: float = 1.0

    def step(self, k: int, steps: int) -> int:
        """The step before which event k is due, k from 1 on."""
        progress = self.begin + (self.end - self.begin) * (k - 1) / max(1, self.events - 1)
        return min(steps - 1, round(steps * progress))


@dataclass(frozen=True)
class Growth:
    """All that is decided of a growth before it begins.

    budgets: the limits, all in one unit, the smallest first. The network grows to the largest; the others leave the
        growth on its way.
    schedule: when the network changes.
    price: tells what a network costs in the unit of the budgets.
    quantum: channels come and go in lots of so many.
    clock: for budgets in milliseconds, which are only predicted: it tells the price that is right for a network.
    usual: the network whose variants race to be the first one; None where the first network was given.
    build: makes a network of a description, with the weights with which it begins: fresh ones, or learned ones.
    """

    budgets: tuple[Budget, ...]
    schedule: Schedule
    price: Price
    quantum: int = 1
    clock: Clock | None = None
    usual: Net | None = None
    build: Callable[[Net, Generator | None], Network] = build

    @property
    def limit(self) -> float:
        """The largest budget."""
        return self.budgets[-1].limit

    @property
    def unit(self) -> str:
        """The unit of all budgets."""
        return self.budgets[0].unit

    def right_price(self, net: Net) -> Price:
        """The price as it is right for networks like this one."""
        return self.price if self.clock is None else self.clock.right_for(net).ms


def lengthened(recipe: Recipe) -> Recipe:
    """The recipe for a network that begins small: with more epochs, and without an early end."""
    return annealed(recipe.model_copy(update={"epochs": round(LONGER * recipe.epochs), "patience": 0.0}), Schedule())


def annealed(recipe: Recipe, schedule: Schedule) -> Recipe:
    """The recipe at its full rate until the last event of the schedule; then the rate falls to zero."""
    return recipe.model_copy(update={"hold": max(0.0, schedule.end - recipe.warmup)})
