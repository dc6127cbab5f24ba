"""Layers of an author whose names say nothing: told by their order and their shapes."""

from itertools import groupby

from .layers import Layer, fits

Reading = list[tuple[Layer, Layer]]  # theirs, ours


def by_order(theirs: list[Layer], ours: list[Layer]) -> list[Reading]:
    """Every way of reading their layers as ours in which all shapes fit.

    A state dict lists layers as the author's code makes them: in the order of computation, but for shortcuts, which
    have the same index in every block. ValueError when there is no such way, naming the first layer that does not fit.
    """
    readings = [list(zip(theirs, order, strict=False)) for order in _orders(ours)]
    entry = ours[0].path
    right = [_right(reading, entry) for reading in readings]
    fitting = [reading for reading, count in zip(readings, right, strict=True) if count == len(theirs) == len(ours)]
    if not fitting:
        best = max(right)
        raise ValueError(_misfit(readings[right.index(best)][best:], len(theirs), len(ours)))
    return fitting


def _orders(ours: list[Layer]) -> list[list[Layer]]:
    """Our layers with the shortcut of every block at index 0, 1, 2, ... among its layers."""
    blocks = [list(group) for _, group in groupby(ours, key=lambda layer: layer.path.split(".")[:3])]
    orders: list[list[Layer]] = []
    for index in range(max(map(len, blocks)), -1, -1):
        order = [layer for block in blocks for layer in _shortcut_at(index, block)]
        if order not in orders:
            orders.append(order)
    return orders


def _shortcut_at(index: int, block: list[Layer]) -> list[Layer]:
    shortcut = [layer for layer in block if ".shortcut" in layer.path]
    rest = [layer for layer in block if ".shortcut" not in layer.path]
    return rest[:index] + shortcut + rest[index:]


def _right(reading: Reading, entry: str) -> int:
    """How many layers fit before the first that does not."""
    for count, (theirs, ours) in enumerate(reading):
        if not fits(theirs, ours, ours.path == entry):
            return count
    return len(reading)


def _misfit(rest: Reading, theirs: int, ours: int) -> str:
    counts = "" if theirs == ours else f"it has {theirs} layers, the network {ours}; "
    if not rest:
        return counts + "all that both have fit"
    return f"{counts}the first that does not fit, in order: {rest[0][0]} for {rest[0][1]}"


def ambiguity(readings: list[Reading]) -> str:
    """The first of their layers that two readings take for different ones of ours."""
    for pairs in zip(*readings, strict=True):
        ours = list(dict.fromkeys(layer.path for _, layer in pairs))
        if len(ours) > 1:
            return f"{pairs[0][0].path} can be {' or '.join(ours)}"
    raise AssertionError("readings differ")
