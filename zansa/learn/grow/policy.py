"""zansa's policy: when the structure of a network in training changes, and by which moves."""

import math
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...arch.apply import apply
from ...arch.budget import Clock, figure
from ...arch.cost import cost
from ...arch.spec import Net
from ...nets.build import Network
from ...nets.transfer import edited
from ..data.dataset import Dataset
from ..data.splits import Parts
from ..recipe import Recipe
from ..state import Change, State
from .moves import Move, Price, behind, candidates, cheapest, cheaply, enrich, evenly, lighten, priced
from .promise import Promise, promises
from .signals import Gates, Held, gates, held_out
from .simplify import simplest

LONGER = 2.2  # times the epochs: what small networks save is spent on them
NEAR, AIM, TRIES = 0.97, 0.99, 5  # where prices are measured: what of the limit is enough, and asked; how often
HEALING = 0.6  # progress at which a network that was given changes for the last time: what goes leaves wounds


@dataclass(frozen=True)
class Plan:
    """When and how much: `events` times between progress `begin` and `end` the network may change. The allowance goes
    evenly, by factors, from what the network costs at first (`first` times the smallest budget, where it is ours) to
    the largest budget, which the last event meets. Where the network costs more than that, it thins out. Where it
    costs less, what promises more than `certain` standard errors comes, in lots of `share` of a width, and what is left
    of the allowance makes all axes wider, if that promises more than `likely` standard errors. Channels come and go in
    lots of `quantum`. At most `samples` held-out ones tell of worth, twice as many of what wider axes promise, and half
    as many of what new blocks and gates do; a quarter as many training ones tell in which direction. `guide`: by what
    moves are chosen, "worth", or "chance" as a control."""

    first: float = 0.25
    begin: float = 0.08
    end: float = 0.85
    events: int = 6
    share: float = 0.25
    quantum: int = 1
    samples: int = 500
    certain: float = 2.0
    likely: float = 1.0
    guide: Literal["worth", "chance"] = "worth"

    def step(self, k: int, steps: int) -> int:
        """The step before which event k is due, k from 1 on."""
        progress = self.begin + (self.end - self.begin) * (k - 1) / max(1, self.events - 1)
        return min(steps - 1, round(steps * progress))


@dataclass(frozen=True)
class Fork:
    """A smaller budget on the way to the largest: where the state is left from which its own training goes on."""

    limit: float
    path: Path


@dataclass(frozen=True)
class Policy:
    """Asked before every step (see train.training). `price` is in the unit of the `limit`, and `start` what the first
    network costs; `forks` are the smaller budgets of the same growth; `clock`, for milliseconds, which are only
    foretold, tells the price that is right for a network."""

    price: Price
    start: float
    limit: float
    unit: str
    plan: Plan
    data: Dataset
    parts: Parts
    recipe: Recipe
    forks: tuple[Fork, ...] = ()
    clock: Clock | None = None

    def __call__(self, state: State, steps: int) -> list[Change]:
        due = [k for k in range(1, self.plan.events + 1) if self.plan.step(k, steps) == state.step]
        if not due:
            return []
        k = due[-1]
        for fork in self.forks:
            if self.leaves(fork, due[0] - 1, k):
                state.fork(fork.path, self.plan.step(self.plan.events, steps))
        return self.changes(state, steps, k)

    def leaves(self, fork: Fork, before: int, k: int) -> bool:
        """Whether a smaller budget leaves between these events: where the allowance passes it, or where the network
        is nearest to it."""
        if self.start > self.limit:
            return k == self.plan.events
        return self.allowance(before) < fork.limit <= self.allowance(k) or (before == 0 and fork.limit <= self.start)

    def allowance(self, k: int) -> float:
        """What the network may cost behind event k; before the first for k = 0."""
        return self.start * (self.limit / self.start) ** (k / self.plan.events)

    def changes(self, state: State, steps: int, k: int) -> list[Change]:
        """What the event does."""
        net, average, allowed = state.module.net, state.average, self.allowance(k)
        held = held_out(self.data, self.parts.val, self.recipe.balance != "none", self.plan.samples)
        found, policy = gates(average, held), self.checked(net)
        moves = policy.moves(average, found, held, allowed, k)
        if self.clock is not None and k == self.plan.events:
            moves, policy = self.settled(moves, average, found, held, allowed, k)
        return policy.told(moves, net, state, steps, k, found)

    def settled(self, moves: list[Move], average: Network, found: Gates, held: Held, allowed: float,
                k: int) -> tuple[list[Move], "Policy"]:  # fmt: skip
        """The moves with which the network keeps to the limit and nearly reaches it, and the price that is right for
        it: moves are chosen by the price of what the last ones would make, after what costs too much for a little less,
        until they fit; then lots of channels fill what is left, each time measured. The lightest that was tried where
        none fits."""
        tried: dict[Net, tuple[float, list[Move], Policy]] = {}
        asked, before = AIM * allowed, None
        while (after := behind(average.net, [move.edit for move in moves])) != before:
            again, before, policy = after in tried, after, self.checked(after)
            tried[after] = policy.price(after), moves, policy
            fits = [one for one in tried.values() if one[0] <= allowed]
            if fits and (again or len(tried) >= TRIES or max(fits, key=itemgetter(0))[0] >= NEAR * allowed):
                break
            asked *= AIM if policy.price(after) > allowed else 1.0
            moves = policy.moves(average, found, held, asked, k)
        paid, moves, policy = max(fits, key=itemgetter(0)) if fits else min(tried.values(), key=itemgetter(0))
        if paid < NEAR * allowed and any(move.gain is None for move in moves):  # axes were worth being wider
            moves = moves + self.filling(behind(average.net, [move.edit for move in moves]), AIM * allowed)
            policy = self.checked(behind(average.net, [move.edit for move in moves]))
        return moves, policy

    def filling(self, net: Net, limit: float) -> list[Move]:
        """Axes wider, one after the other, as long as the network that this makes, when it is run, keeps to the limit;
        after one that does not, by lots that cost less."""
        moves, asked = list[Move](), limit
        while more := cheapest(net, self.checked(net).price, asked, self.plan.quantum):
            wider = apply(net, more)
            if self.checked(wider).price(wider) > limit:
                asked *= AIM
            else:
                moves, net = [*moves, *priced(net, [(more, None, None)], self.price)], wider
        return moves

    def checked(self, net: Net) -> "Policy":
        """The policy with the price as it has been found for this network."""
        return self if self.clock is None else replace(self, price=self.clock.right_for(net).ms)

    def excess(self, net: Net) -> str | None:
        """What to say of a network that has ended above its limit, as measured prices alone can be; None otherwise."""
        now = self.checked(net).price(net)
        if now <= self.limit:
            return None
        text = f"the network takes {figure(now)} {self.unit} as thin as it can be, and {self.limit:.12g} were asked"
        return f"{text}; allow more, or name a smaller --net"

    def moves(self, average: Network, found: Gates, held: Held, allowed: float, k: int) -> list[Move]:
        """First what goes, then what comes."""
        moves = self.removals(average, found, held, allowed, k) if self.price(average.net) > allowed else []
        average = edited(average, [move.edit for move in moves])
        return moves + (self.additions(average, allowed, k) if self.price(average.net) < allowed else [])

    def removals(self, module: Network, found: Gates, held: Held, allowed: float, k: int) -> list[Move]:
        """What goes: channels and blocks; and before them what makes the network simpler, where that does less harm for
        what it saves, or where they alone are not enough."""
        quantum = self.plan.quantum
        if self.plan.guide == "chance":
            random = np.random.default_rng([self.recipe.seed, k])
            return lighten(module.net, found, self.price, allowed, quantum, random)
        moves = lighten(module.net, found, self.price, allowed, quantum)
        harm = -sum(move.gain or 0.0 for move in moves) / max(1e-30, -sum(move.spent for move in moves))
        if self.price(behind(module.net, [move.edit for move in moves])) > allowed:
            harm = math.inf
        first = simplest(module, held, self.price, harm)
        if first is None:
            return moves
        module = edited(module, [first.edit])
        if self.price(module.net) <= allowed:
            return [first]
        return [first, *self.removals(module, gates(module, held), held, allowed, k)]

    def additions(self, module: Network, allowed: float, k: int) -> list[Move]:
        """What comes when all that goes has gone: what promises most, and with what is left all axes evenly wider; by
        measured prices those where that is cheap. They stay as they are where wider axes would only fit the noise of
        the training samples, so that what held-out ones gain cannot be told from nothing."""
        net, plan = module.net, self.plan
        offered = candidates(net, plan.share, plan.quantum)
        random = np.random.default_rng([self.recipe.seed, k, 1])
        if plan.guide == "chance":
            found = [Promise((self.price(apply(net, e)) - self.price(net)) * random.random(), 0.0) for e in offered]
            together = Promise(1.0, 0.0)
        else:
            balanced = self.recipe.balance != "none"
            index = np.sort(random.permutation(self.parts.train)[: plan.samples // 4])
            train = held_out(self.data, index, balanced)
            held = held_out(self.data, self.parts.val, balanced, 2 * plan.samples)
            few = held_out(self.data, self.parts.val, balanced, plan.samples // 2)
            found, together = promises(module, offered, train, held, few, self.recipe.seed + k)
        moves = enrich(net, list(zip(offered, found, strict=True)), self.price, allowed, plan.certain)
        if together.gain > plan.likely * together.error:
            wider = evenly if self.clock is None else cheaply
            moves += wider(behind(net, [move.edit for move in moves]), self.price, allowed, plan.quantum)
        return moves

    def told(self, moves: list[Move], net: Net, state: State, steps: int, k: int, found: Gates) -> list[Change]:
        """The moves as changes, each with what the journal says of it."""
        changes, balanced = [], self.recipe.balance != "none"
        for number, move in enumerate(moves, 1):
            after = apply(net, move.edit)
            size = cost(after)
            why: dict[str, Any] = {
                "progress": state.step / steps, "move": move.edit.kind, "gain": move.gain, "error": move.error,
                "spent": self.price(after) - self.price(net), "price_before": self.price(net),
                "price_after": self.price(after),
                "moments": self.plan.events, "allowance": self.allowance(k), "limit": self.limit, "unit": self.unit,
                "macs": size.macs, "params": size.params,
                "val_loss": found.loss, f"val_{'balanced_' * balanced}accuracy": found.accuracy,
                "seed": self.recipe.seed, "structure": in_short(after), "last": number == len(moves),
            }  # fmt: skip
            changes.append(Change(move.edit, why))
            net = after
        return changes


def lengthened(recipe: Recipe) -> Recipe:
    """The recipe for a network that begins small: longer, and without an early end."""
    return annealed(recipe.model_copy(update={"epochs": round(LONGER * recipe.epochs), "patience": 0.0}), Plan())


def annealed(recipe: Recipe, plan: Plan) -> Recipe:
    """The recipe at its full rate until the network is what it will be; one anneal ends it."""
    return recipe.model_copy(update={"hold": max(0.0, plan.end - recipe.warmup)})


def in_short(net: Net) -> str:
    """A network in one line: the stream's width of each stage, and its blocks' inner widths."""
    return " | ".join(
        f"{stage.width}({', '.join('-'.join(map(str, block.hidden)) for block in stage.blocks)})"
        for stage in net.stages
    )
