"""The channel axes of a network: which of them may change, in which lots, and together with which others."""

from math import lcm

from .lower import Table, lower
from .spec import Net
from .steps import STEPS


def remappable(net: Net) -> dict[str, int]:
    """The axes that a Remap or a Widen may make wider or thinner, with their widths."""
    table = lower(net)
    grouped = {axis for row in table.rows if row.op == "conv" and row.groups > 1 for axis in (row.x, row.y)}
    fixed = fixed_axes(table) | {axis for axis in grouped if branches_beside(net, axis) > 1}  # they share the number
    return {axis: width for axis, width in table.width.items() if axis not in fixed}


def unit_of(table: Table, axis: str) -> int:
    """How many channels of an axis can only be moved together: those of a group of a convolution or of a norm."""
    groups, axes = group_of(table, axis)
    norms = {row.y: table.width[row.y] // row.groups for row in table.rows if row.kind == "group"}
    sizes = {name: table.width[name] // groups if groups > 1 else 1 for name in axes}
    whole = lcm(*(lcm(size, norms.get(name, 1)) // size for name, size in sizes.items()))
    return whole * sizes[axis]


def group_of(table: Table, axis: str) -> tuple[int, tuple[str, ...]]:
    """How many groups a grouped convolution cuts this axis into, and the axes that follow a remapping of it: (1,
    (axis,)) for most."""
    for row in table.rows:
        if row.op == "conv" and row.groups > 1 and axis in (row.x, row.y):
            return row.groups, (row.x, row.y)
    return 1, (axis,)


def branches_beside(net: Net, axis: str) -> int:
    """How many branches run side by side in the block that has this inner axis; 1 for an axis of the stem."""
    if axis.startswith("stem"):
        return 1
    return STEPS[net.stages[int(axis.partition(".")[0].removeprefix("stage"))].step.kind].branches


def groups_of(index: tuple[int, ...], size: int, axis: str) -> tuple[int, ...]:
    """The groups of `size` channels that an index is made of; ValueError when the index cuts a group."""
    if size == 1:
        return index
    kept = index[::size]
    whole = tuple(size * (first // size) + k for first in kept for k in range(size))
    if whole != index:
        raise ValueError(f"axis {axis} is cut into groups of {size} channels; name whole groups in their order")
    return tuple(first // size for first in kept)


def fixed_axes(table: Table) -> set[str]:
    """Axes that no edit may change: the input, the classes, and streams that a padded shortcut ties together."""
    tied = {axis for row in table.rows if row.op == "pad" for axis in (row.x, row.y)}
    return {"input", "classes"} | tied
