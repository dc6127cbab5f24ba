"""Where growth begins: what tells the price of a network, and a network of the usual shape that is thin enough to leave
room."""

from functools import partial

from ...arch import budget
from ...arch.apply import apply
from ...arch.axes import group_of, remappable, unit_of
from ...arch.edits import Delete, Remap, Widen
from ...arch.lower import lower
from ...arch.spec import Net
from .moves import FEWEST, Price, deletable, lot_of

WIDEST = 2.0  # times the usual widths; a richer network gets twice the blocks first


def pricing(unit: str, net: Net, clock: budget.Clock | None = None) -> tuple[Price, int]:
    """A function that tells the price of networks like this one in a unit, and the lots in which channels are worth
    having.

    In milliseconds the price is right for the thinnest network, with which growth begins and below which it cannot go.
    ValueError for milliseconds without a clock.
    """
    if unit != "ms":
        return partial(budget.price, unit=unit), 1
    if clock is None:
        raise ValueError("a budget in ms needs a clock, for example zansa.timer(folder, data.preprocess)")
    lot = clock.lot()
    return clock.right_for(scaled(net, 0.0, lot)).ms, lot


def seed_net(net: Net, price: Price, limit: float, share: float = 1.0, quantum: int = 1) -> Net:
    """The network with all its widths scaled alike, so that it costs nearly this share of the limit and no more.

    No axis becomes thinner than FEWEST. Where the proportions would be lost for that, the network costs as much as it
    takes to keep them, within the limit. Where it would become more than WIDEST times as wide, it becomes deeper first.
    ValueError when the thinnest network costs more than the limit.
    """
    thinnest = price(scaled(net, 0.0, quantum))
    if thinnest > limit:
        raise ValueError(
            f"the thinnest network of this shape costs {budget.figure(thinnest)}, and {budget.figure(limit)} are "
            "allowed; allow more, or name a smaller --net"
        )
    in_proportion = price(scaled(net, FEWEST / min(remappable(net).values()), quantum))
    aim = max(share * limit, thinnest, min(in_proportion, limit))
    while price(scaled(net, WIDEST, quantum)) < aim and price(deeper(net)) <= price(scaled(net, WIDEST, quantum)):
        net = deeper(net)
    low, high = 0.0, 2 * WIDEST
    for _ in range(16):
        factor = (low + high) / 2
        low, high = (factor, high) if price(scaled(net, factor, quantum)) <= aim else (low, factor)
    return scaled(net, low, quantum)


def refuse_too_dear(net: Net, price: Price, limit: float, quantum: int = 1) -> None:
    """ValueError when the network costs more than the limit even when everything has gone that can go."""
    bare = net
    for i, stage in enumerate(net.stages):
        for at in reversed(range(len(stage.blocks))):
            if deletable(bare, (i, at)):
                bare = apply(bare, Delete(stage=i, at=at))
    least = min(price(net), price(thinned(bare, quantum)))
    if least > limit:
        raise ValueError(
            f"this network costs {budget.figure(least)} when it is as thin as it can be, and {budget.figure(limit)} "
            "are allowed; allow more"
        )


def deeper(net: Net) -> Net:
    """The network with twice as many blocks in every stage: its last block is repeated."""
    stages = tuple(
        stage.but({"blocks": (*stage.blocks, *[stage.blocks[-1]] * len(stage.blocks))}) for stage in net.stages
    )
    return net.but({"stages": stages})


def thinned(net: Net, quantum: int = 1) -> Net:
    """The network without all the lots of channels that can go (see moves.lighten)."""
    for axis, width in remappable(net).items():
        table = lower(net)
        unit, now = unit_of(table, axis), table.width[axis]
        lot = lot_of(unit, quantum)
        spare = (now - max(FEWEST, unit)) // lot * lot
        if now == width and spare > 0:  # it has not followed another
            net = apply(net, Remap(axis=axis, index=tuple(range(now - spare))))
    return net


def scaled(net: Net, factor: float, quantum: int = 1) -> Net:
    """The network with all widths times a factor, in whole units and lots of `quantum`, and no axis thinner than
    FEWEST."""
    for axis, width in remappable(net).items():
        table = lower(net)
        unit, now = unit_of(table, axis), table.width[axis]
        if now != width or axis != group_of(table, axis)[1][0]:
            continue  # it has followed another
        lot = lot_of(unit, quantum)
        wanted = max(-(-FEWEST // lot), round(width * factor / lot)) * lot
        if wanted > now:
            net = apply(net, Widen(axis=axis, count=wanted - now))
        elif wanted < now:
            net = apply(net, Remap(axis=axis, index=tuple(range(wanted))))
    return net
