"""zansa's policy: when the structure of a network in training changes, and by which moves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from ...arch.apply import apply
from ...arch.budget import figure
from ...arch.cost import cost
from ...arch.edits import Insert, Rekind, Widen
from ...arch.spec import Net, in_short
from ...nets.build import Network
from ...nets.transfer import edited
from .. import seeds
from ..data.dataset import Dataset
from ..data.splits import Parts
from ..recipe import Recipe
from ..state import Change, State
from .growth import Growth
from .moves import Move, Price, applied, candidates, cheapest, cheaply, enrich, evenly, lighten, priced
from .promise import Promise, promises
from .signals import Gates, WeightedSamples, gates, held_out
from .simplify import simplest

NEAR, AIM, TRIES = 0.97, 0.99, 5  # where prices are measured: what of the limit is enough, and asked; how often
Addition = Widen | Insert | Rekind


@dataclass(frozen=True)
class Fork:
    """A smaller budget on the way to the largest.

    limit: the budget.
    path: where the state is left from which its own training goes on.
    """

    limit: float
    path: Path


@dataclass(frozen=True)
class Policy:
    """Decides before every step which changes of the network are due (see train.training).

    growth: the limits and the schedule.
    price: tells what a network costs; at first it is right for the first network.
    start: what the first network costs, in the unit of the budgets.
    data, parts: the samples that decide; none of them is a test sample.
    recipe: how the network is trained.
    forks: the smaller budgets of the same growth.
    """

    growth: Growth
    price: Price
    start: float
    data: Dataset
    parts: Parts
    recipe: Recipe
    forks: tuple[Fork, ...] = ()

    def __call__(self, state: State, steps: int) -> list[Change]:
        schedule = self.growth.schedule
        due = [k for k in range(1, schedule.events + 1) if schedule.step(k, steps) == state.step]
        if not due:
            return []
        k = due[-1]
        for fork in self.forks:
            if self.leaves(fork, due[0] - 1, k):
                state.fork(fork.path, schedule.step(schedule.events, steps))
        return self.changes(state, steps, k)

    def leaves(self, fork: Fork, before: int, k: int) -> bool:
        """Whether a smaller budget leaves between these events: where the allowance passes it, or where the network is
        nearest to it."""
        if self.start > self.growth.limit:
            return k == self.growth.schedule.events
        return self.allowance(before) < fork.limit <= self.allowance(k) or (before == 0 and fork.limit <= self.start)

    def allowance(self, k: int) -> float:
        """What the network may cost after event k, or, for k = 0, before the first."""
        return self.start * (self.growth.limit / self.start) ** (k / self.growth.schedule.events)

    def changes(self, state: State, steps: int, k: int) -> list[Change]:
        """The changes of event k."""
        net, average, allowed = state.module.net, state.average, self.allowance(k)
        held = held_out(self.data, self.parts.val, self.recipe.balance != "none", self.growth.schedule.samples)
        slopes, policy = gates(average, held), self.checked(net)
        moves = policy.moves(average, slopes, held, allowed, k)
        if self.growth.clock is not None and k == self.growth.schedule.events:
            moves, policy = self.settled(moves, average, slopes, held, allowed, k)
        return policy.told(moves, net, state, steps, k, slopes)

    def settled(
        self, moves: list[Move], average: Network, slopes: Gates, held: WeightedSamples, allowed: float, k: int
    ) -> tuple[list[Move], "Policy"]:
        """The moves with which the network keeps to the limit and nearly reaches it, and the policy with the price that
        is right for it.

        Moves are chosen anew, by the price of the network that the last ones would make, until that network fits; after
        one that costs too much, for a little less. Then lots of channels fill what is left, and the network is measured
        each time. Where none fits, it is the lightest that was tried.
        """
        tried: dict[Net, tuple[float, list[Move], Policy]] = {}
        asked, before = AIM * allowed, None
        while (after := applied(average.net, [move.edit for move in moves])) != before:
            again, before, policy = after in tried, after, self.checked(after)
            tried[after] = policy.price(after), moves, policy
            fits = [one for one in tried.values() if one[0] <= allowed]
            if fits and (again or len(tried) >= TRIES or max(fits, key=itemgetter(0))[0] >= NEAR * allowed):
                break
            asked *= AIM if policy.price(after) > allowed else 1.0
            moves = policy.moves(average, slopes, held, asked, k)
        paid, moves, policy = max(fits, key=itemgetter(0)) if fits else min(tried.values(), key=itemgetter(0))
        if paid < NEAR * allowed and any(move.gain is None for move in moves):  # axes were worth being wider
            moves = moves + self.filling(applied(average.net, [move.edit for move in moves]), AIM * allowed)
            policy = self.checked(applied(average.net, [move.edit for move in moves]))
        return moves, policy

    def filling(self, net: Net, limit: float) -> list[Move]:
        """Moves that widen axes, one after the other, as long as the network keeps to the limit when it is run. After
        one that does not, lots that cost less are tried."""
        moves, asked = list[Move](), limit
        while more := cheapest(net, self.checked(net).price, asked, self.growth.quantum):
            wider = apply(net, more)
            if self.checked(wider).price(wider) > limit:
                asked *= AIM
            else:
                moves, net = [*moves, *priced(net, [(more, None, None)], self.price)], wider
        return moves

    def checked(self, net: Net) -> "Policy":
        """The policy with the price that is right for this network."""
        return self if self.growth.clock is None else replace(self, price=self.growth.right_price(net))

    def excess(self, net: Net) -> str | None:
        """The warning for a network that has ended above its limit, which happens with measured prices alone; None
        otherwise."""
        now, asked = self.checked(net).price(net), self.growth.budgets[-1]
        if now <= asked.limit:
            return None
        text = f"the network takes {figure(now)} {asked.unit} as thin as it can be, and {asked.limit:.12g} were asked"
        return f"{text}; allow more, or name a smaller --net"

    def moves(self, average: Network, slopes: Gates, held: WeightedSamples, allowed: float, k: int) -> list[Move]:
        """The moves of event k: first what goes, then what comes."""
        moves = self.removals(average, slopes, held, allowed, k) if self.price(average.net) > allowed else []
        average = edited(average, [move.edit for move in moves])
        return moves + (self.additions(average, allowed, k) if self.price(average.net) < allowed else [])

    def removals(self, module: Network, slopes: Gates, held: WeightedSamples, allowed: float, k: int) -> list[Move]:
        """What goes: channels and blocks. Before them comes what makes the network simpler, where that does less harm
        for what it saves, or where they alone are not enough."""
        quantum = self.growth.quantum
        moves = lighten(module.net, slopes, self.price, allowed, quantum)
        harm = -sum(move.gain or 0.0 for move in moves) / max(1e-30, -sum(move.spent for move in moves))
        if self.price(applied(module.net, [move.edit for move in moves])) > allowed:
            harm = math.inf
        first = simplest(module, held, self.price, harm)
        if first is None:
            return moves
        module = edited(module, [first.edit])
        if self.price(module.net) <= allowed:
            return [first]
        return [first, *self.removals(module, gates(module, held), held, allowed, k)]

    def additions(self, module: Network, allowed: float, k: int) -> list[Move]:
        """What comes when all that should go has gone: the additions that promise most, and then wider axes for what is
        left.

        All axes become evenly wider, or, by measured prices, those where that is cheap. Axes stay as they are where the
        gain on held-out samples cannot be told from nothing: wider ones would only fit the noise of the training
        samples.
        """
        net, schedule = module.net, self.growth.schedule
        offered = candidates(net, schedule.share, self.growth.quantum)
        alone, together = self.promised(module, offered, k)
        moves = enrich(net, list(zip(offered, alone, strict=True)), self.price, allowed, schedule.certain)
        if together.gain > schedule.likely * together.error:
            wider = evenly if self.growth.clock is None else cheaply
            moves += wider(applied(net, [move.edit for move in moves]), self.price, allowed, self.growth.quantum)
        return moves

    def promised(self, module: Network, offered: Sequence[Addition], k: int) -> tuple[list[Promise], Promise]:
        """What each addition promises at event k, and what all axes promise together when they become wider."""
        schedule, balanced = self.growth.schedule, self.recipe.balance != "none"
        random = seeds.event(self.recipe.seed, k)
        index = np.sort(random.permutation(self.parts.train)[: schedule.samples // 4])
        train = held_out(self.data, index, balanced)
        held = held_out(self.data, self.parts.val, balanced, 2 * schedule.samples)
        few = held_out(self.data, self.parts.val, balanced, schedule.samples // 2)
        return promises(module, offered, train, held, few, self.recipe.seed + k)

    def told(self, moves: list[Move], net: Net, state: State, steps: int, k: int, slopes: Gates) -> list[Change]:
        """The moves as changes, each with what the journal says of it."""
        changes, balanced = [], self.recipe.balance != "none"
        for number, move in enumerate(moves, 1):
            after = apply(net, move.edit)
            size = cost(after)
            why: dict[str, Any] = {
                "progress": state.step / steps,
                "move": move.edit.kind,
                "gain": move.gain,
                "error": move.error,
                "spent": self.price(after) - self.price(net),
                "price_before": self.price(net),
                "price_after": self.price(after),
                "moments": self.growth.schedule.events,
                "allowance": self.allowance(k),
                "limit": self.growth.limit,
                "unit": self.growth.unit,
                "macs": size.macs,
                "params": size.params,
                "val_loss": slopes.loss,
                f"val_{'balanced_' * balanced}accuracy": slopes.accuracy,
                "seed": self.recipe.seed,
                "structure": in_short(after),
                "last": number == len(moves),
                "reason": None,
            }
            changes.append(Change(move.edit, why))
            net = after
        return changes
