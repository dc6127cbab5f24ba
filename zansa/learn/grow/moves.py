"""From worths to moves: what goes when a network costs too much, and what comes when there is room."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...arch.apply import apply, inexact
from ...arch.axes import group_of, remappable, unit_of
from ...arch.branches import BRANCHES
from ...arch.edits import GATED, AnyEdit, Delete, Insert, Rekind, Remap, Widen
from ...arch.lower import lower
from ...arch.spec import Block, Net
from .promise import Addition, Promise, of_several
from .signals import Gates

Price = Callable[[Net], float]
FEWEST = 4  # channels that an axis keeps
WIDEST = 64  # how many times as wide an axis may become at once
STEP = 1 / 16  # share of its width by which an axis grows where prices are measured, in whole lots
MOST = 8192  # channels that an axis may have there, even if they are free
FREE = 3e-3  # share of the price: what measures less counts as costing so much
ORDER = (Rekind, Widen, Insert)  # gates first, which ask for a block's widths; blocks last, which change names of axes
Place = tuple[int, int]


@dataclass(frozen=True)
class Move:
    """An edit, of the network as it is when the edit's turn comes, with what it is expected to do.

    edit: the change.
    gain: the fall of the loss in nats, negative where the loss rises; None where nothing is promised.
    error: the standard error of the gain; None where nothing is promised.
    spent: the change of the price.
    """

    edit: AnyEdit
    gain: float | None
    error: float | None
    spent: float


# --- lighter ---------------------------------------------------------------------------------------------------------


@dataclass
class Thinning:
    """A network on its way to a lower price. Axes and blocks have the names that they have in the network at the
    beginning.

    net: the network as it is now.
    kept: the channels that each axis still has.
    lost: the sum of the gate derivatives (N,) of all that has gone.
    lost_of: the same for each axis.
    gone: the blocks that have gone.
    lots: the lots of channels that have gone, in the order in which they went.
    """

    net: Net
    kept: dict[str, list[int]]
    lost: Tensor
    lost_of: dict[str, Tensor]
    gone: list[Place] = field(default_factory=list)
    lots: list[tuple[str, list[int]]] = field(default_factory=list)

    def name(self, axis: str) -> str:
        """The name of an axis now that blocks have gone."""
        if ".block" not in axis:
            return axis
        place = block_of(axis)
        return axis.replace(f"block{place[1]}", f"block{self.moved(place)[1]}")

    def moved(self, place: Place) -> Place:
        """Stage and index of a block now that blocks before it have gone."""
        return place[0], place[1] - sum(stage == place[0] and at < place[1] for stage, at in self.gone)


@dataclass(frozen=True)
class Option:
    """Something that could go: a lot of channels of an axis, or a block.

    axis: the axis of the lot; "" for a block.
    lot: the channels of the lot; [] for a block.
    place: stage and index of the block; None for a lot.
    slope: the derivative of each sample's loss by a gate on it (N,).
    share: which share of its axis the lot is worth; 0 for a block.
    net: the network without it.
    saved: how much less that network costs.
    """

    axis: str
    lot: list[int]
    place: Place | None
    slope: Tensor
    share: float
    net: Net
    saved: float


def block_of(axis: str) -> Place:
    """Stage and index of the block whose inner axis this is."""
    stage, block = (int("".join(c for c in part if c.isdigit())) for part in axis.split(".")[:2])
    return stage, block


def lighten(
    net: Net, gates: Gates, price: Price, limit: float, quantum: int = 1, chance: np.random.Generator | None = None
) -> list[Move]:
    """The moves that bring the price down to the limit, chosen greedily.

    The loss rises more when a part of an early layer goes than when one of a late layer goes, but it recovers more too.
    So a lot of channels counts by its share of its axis, per price that it saves (benchmarks/notes/growing.md). A block
    goes where the loss would rise less, per price, than with that lot. Channels go in lots of `quantum`, or in larger
    ones where groups ask for it. With `chance` what goes is drawn instead (a control). Where no network of this shape
    meets the limit, all goes that can.
    """
    table = lower(net)
    kept = {
        axis: list(range(width))
        for axis, width in remappable(net).items()
        if axis in gates.channels and axis == group_of(table, axis)[1][-1]
    }
    nothing = torch.zeros_like(next(iter(gates.blocks.values())))
    thin = Thinning(net, kept, nothing, dict.fromkeys(kept, nothing))
    while (now := price(thin.net)) > limit:
        possible = [option for option in options(thin, gates, price, now, quantum) if option.saved > 0]
        if not possible:
            break  # as thin as it can be
        take(thin, least(possible, thin) if chance is None else possible[chance.integers(len(possible))])
    give_back(thin, price, limit)
    return lightening(net, thin, gates, price)


def least(possible: list[Option], thin: Thinning) -> Option:
    """The lot with the least share of its axis per price; or a block, if the loss rises less per price without it."""
    lots = [option for option in possible if option.place is None]
    density = [rise(option.slope, thin.lost) / option.saved for option in possible]
    if not lots:
        return possible[density.index(min(density))]
    lot = min(lots, key=lambda option: option.share / option.saved)
    blocks = [
        k for k, option in enumerate(possible) if option.place is not None and density[k] < density[possible.index(lot)]
    ]
    return possible[min(blocks, key=lambda k: density[k])] if blocks else lot


def rise(slope: Tensor, lost: Tensor) -> float:
    """How much more the loss rises when this part goes too: E[(lost + slope)^2 - lost^2] / 2."""
    return float((lost * slope + slope.square() / 2).mean())


def options(thin: Thinning, gates: Gates, price: Price, now: float, quantum: int) -> list[Option]:
    """All that could go next."""
    table, possible = lower(thin.net), []
    for axis, left in thin.kept.items():
        if ".block" in axis and block_of(axis) in thin.gone:
            continue
        unit = unit_of(table, thin.name(axis))
        size = lot_of(unit, quantum)
        if len(left) - size >= max(FEWEST, unit):
            slopes = gates.channels[axis]
            lot = lightest(slopes[:, left], thin.lost_of[axis], left, unit, size)
            slope, whole = slopes[:, lot].sum(1), float(slopes.square().mean(0).sum() / 2)
            slim = apply(thin.net, Remap(axis=thin.name(axis), index=tuple(range(len(left) - size))))
            share = rise(slope, thin.lost_of[axis]) / max(whole, 1e-30)
            possible.append(Option(axis, lot, None, slope, share, slim, now - price(slim)))
    for place, slope in gates.blocks.items():
        if place not in thin.gone and deletable(thin.net, thin.moved(place)):
            stage, at = thin.moved(place)
            slim = apply(thin.net, Delete(stage=stage, at=at))
            possible.append(
                Option("", [], place, slope - already_lost(thin, gates, place), 0.0, slim, now - price(slim))
            )
    return possible


def lot_of(unit: int, quantum: int) -> int:
    """How many channels a lot has: whole units, and `quantum` channels at least."""
    return unit * max(1, -(-quantum // unit))


def lightest(slopes: Tensor, lost: Tensor, left: list[int], unit: int, size: int) -> list[int]:
    """The channels, in whole units, without which the loss rises least."""
    each = (lost[:, None] * slopes + slopes.square() / 2).mean(0)
    units = each.reshape(-1, unit).sum(1).argsort()[: size // unit]
    return [left[int(u) * unit + k] for u in sorted(units.tolist()) for k in range(unit)]


def deletable(net: Net, place: Place) -> bool:
    """Whether the grammar lets the block go."""
    stage = net.stages[place[0]]
    return len(stage.blocks) > 1 and (place[1] > 0 or stage.shortcut == "identity")


def already_lost(thin: Thinning, gates: Gates, place: Place) -> Tensor:
    """The part of a block's output that has gone with the channels that its last convolutions read."""
    stage, at = thin.moved(place)
    branch, lost = BRANCHES[thin.net.stages[stage].blocks[at].kind], torch.zeros_like(thin.lost)
    for axis, channels in thin.lots:
        inner = ".block" in axis and block_of(axis) == place
        if inner and int(axis.rpartition("hidden")[2]) % branch.hidden == branch.hidden - 1 - branch.gated:
            lost += gates.channels[axis][:, channels].sum(1)
    return lost


def take(thin: Thinning, option: Option) -> None:
    """Let an option go."""
    thin.net, thin.lost = option.net, thin.lost + option.slope
    if option.place is not None:
        thin.gone.append(option.place)
        return
    thin.kept[option.axis] = [k for k in thin.kept[option.axis] if k not in option.lot]
    thin.lost_of[option.axis] = thin.lost_of[option.axis] + option.slope
    thin.lots.append((option.axis, option.lot))


def give_back(thin: Thinning, price: Price, limit: float) -> None:
    """Let lots come back where there is room, the last to go first: the last lot may have made the network much lighter
    than asked."""
    for axis, lot in reversed(thin.lots):
        if ".block" in axis and block_of(axis) in thin.gone:
            continue
        wider = apply(thin.net, Widen(axis=thin.name(axis), count=len(lot)))
        if price(wider) <= limit:
            thin.net, thin.kept[axis] = wider, sorted([*thin.kept[axis], *lot])


def lightening(net: Net, thin: Thinning, gates: Gates, price: Price) -> list[Move]:
    """The edits as moves: channels first, then blocks from the last to the first."""
    moves: list[tuple[AnyEdit, Tensor]] = []
    lost = torch.zeros_like(thin.lost)
    for axis, left in thin.kept.items():
        width = gates.channels[axis].shape[1]
        if len(left) == width or (".block" in axis and block_of(axis) in thin.gone):
            continue
        away = [k for k in range(width) if k not in left]
        moves.append((Remap(axis=axis, index=tuple(left)), gates.channels[axis][:, away].sum(1)))
    moves += [(Delete(stage=stage, at=at), gates.blocks[stage, at]) for stage, at in sorted(thin.gone, reverse=True)]
    removed = []
    for edit, slope in moves:
        each, lost = lost * slope + slope.square() / 2, lost + slope
        removed.append((edit, -float(each.mean()), float(each.std(correction=0) / len(each) ** 0.5)))
    return priced(net, removed, price)


# --- richer ----------------------------------------------------------------------------------------------------------


def candidates(net: Net, share: float, quantum: int) -> list[Addition]:
    """What could be added: each axis wider by a share; at every index of every stage a block like the one before it;
    and a gate on every block that has none."""
    additions: list[Addition] = list(widenings(net, share, quantum, least=1))
    for i, stage in enumerate(net.stages):
        first = 0 if stage.shortcut == "identity" else 1
        inserts = [
            Insert(stage=i, at=at, block=stage.blocks[max(0, at - 1)]) for at in range(first, len(stage.blocks) + 1)
        ]
        additions += [insert for insert in inserts if not inexact(net, insert)]
        additions += [
            Rekind(stage=i, at=at, block=gated(block, stage.width))
            for at, block in enumerate(stage.blocks)
            if block.kind in GATED and len(block.hidden) == BRANCHES[block.kind].hidden
        ]
    return additions


def gated(block: Block, width: int) -> Block:
    """A block of one branch with a gate at its end, whose hidden axis is an eighth of the stream."""
    return block.but({"kind": GATED[block.kind], "hidden": (*block.hidden, max(FEWEST, width // 8))})


def enrich(
    net: Net, offered: Sequence[tuple[Addition, Promise]], price: Price, limit: float, certain: float = 2.0
) -> list[Move]:
    """The additions that promise most per price, as long as they fit the limit and their promise is no noise. A promise
    must be more than `certain` standard errors, and more than that where there are many to choose from."""
    now, certain = price(net), of_several(certain, len(offered))
    real = [(edit, p, price(apply(net, edit)) - now) for edit, p in offered if p.gain > certain * p.error]
    real.sort(key=lambda entry: -entry[1].gain / max(entry[2], 1e-12))
    chosen: list[tuple[Addition, Promise]] = []
    for edit, promise, _ in real:
        if isinstance(edit, Insert) and any(isinstance(e, Insert) and e.stage == edit.stage for e, _ in chosen):
            continue
        more = sorted([*chosen, (edit, promise)], key=lambda entry: ORDER.index(type(entry[0])))
        if price(applied(net, [e for e, _ in more])) <= limit:
            chosen = more
    return priced(net, [(edit, promise.gain, promise.error) for edit, promise in chosen], price)


def priced(net: Net, edits: Sequence[tuple[AnyEdit, float | None, float | None]], price: Price) -> list[Move]:
    """Edits with their gains and errors as moves. Each is priced in the network that the edits before it have made."""
    moves = []
    for edit, gain, error in edits:
        after = apply(net, edit)
        moves.append(Move(edit, gain, error, price(after) - price(net)))
        net = after
    return moves


def applied(net: Net, edits: Sequence[AnyEdit]) -> Net:
    """The network after all these edits, one after the other."""
    for edit in edits:
        net = apply(net, edit)
    return net


def evenly(net: Net, price: Price, limit: float, quantum: int = 1) -> list[Move]:
    """Moves that widen every axis by the same share, the largest that fits the limit, and by one lot more where that
    still fits. Nothing is promised of them."""
    low, high = 0.0, 1.0
    while high < WIDEST and price(applied(net, widenings(net, high, quantum))) <= limit:
        high *= 2
    for _ in range(12):
        share = (low + high) / 2
        low, high = (share, high) if price(applied(net, widenings(net, share, quantum))) <= limit else (low, share)
    counts = {edit.axis: edit.count for edit in widenings(net, low, quantum)}
    lots = widenings(net, 0.0, quantum, least=1)
    for lot in sorted(lots, key=lambda lot: -price(apply(net, lot))):
        more = counts | {lot.axis: counts.get(lot.axis, 0) + lot.count}
        if price(applied(net, [Widen(axis=axis, count=count) for axis, count in more.items()])) <= limit:
            counts = more
    return priced(net, [(Widen(axis=axis, count=count), None, None) for axis, count in counts.items()], price)


def cheaply(net: Net, price: Price, limit: float, quantum: int = 1) -> list[Move]:
    """Moves that widen axes one after the other (see `cheapest`) while the limit allows it.

    They are for measured prices, where a lot of channels is the double of a thin axis, and a layer may take several
    times as long as another of as many multiply-adds. Nothing is promised of them.
    """
    grown, counts = net, dict[str, int]()
    while more := cheapest(grown, price, limit, quantum):
        grown, counts[more.axis] = apply(grown, more), counts.get(more.axis, 0) + more.count
    return priced(net, [(Widen(axis=axis, count=count), None, None) for axis, count in counts.items()], price)


def cheapest(net: Net, price: Price, limit: float, quantum: int) -> Widen | None:
    """The one axis that is best widened next, by one or two lots (two can cost less than one); None where all cost more
    than the limit.

    It is the axis whose layers, shortcuts apart, have fewest multiply-adds: what counts is the fall of the sum of 1 /
    (width^2 positions) for its price. Gates, which have no positions, stay as they are.
    """
    table, now, gains = lower(net), price(net), dict[Widen, float]()
    for lot in widenings(net, STEP, quantum, least=1):
        width = table.width[lot.axis]
        rows = [row for row in table.rows if row.op == "conv" and row.y == lot.axis and ".shortcut." not in row.path]
        layers = sum(1 / math.prod(row.size) for row in rows)
        for count in (lot.count, 2 * lot.count) if rows else ():
            wider = Widen(axis=lot.axis, count=count)
            if width + count <= MOST and (paid := price(apply(net, wider))) <= limit:
                gain = layers * (width**-2 - (width + count) ** -2)
                gains[wider] = gain / max(paid - now, FREE * now)
    return max(gains, key=gains.__getitem__, default=None)


def widenings(net: Net, share: float, quantum: int, least: int = 0) -> list[Widen]:
    """An edit for each axis that widens it by a share, in whole lots, and by `least` lots at least."""
    table, seen = lower(net), set[str]()
    wider = []
    for axis, width in remappable(net).items():
        if axis in seen:
            continue
        seen.update(group_of(table, axis)[1])
        lot = lot_of(unit_of(table, axis), quantum)
        if count := max(least, round(width * share / lot)):
            wider.append(Widen(axis=axis, count=lot * count))
    return wider
