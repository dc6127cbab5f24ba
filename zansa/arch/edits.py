"""Changes of structure are values with two readers: `apply` here changes the description, `nets.transfer` the weights.

A run's history is its first network and a list of edits; replaying the list gives the last network.
"""

from math import lcm
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from .branches import BRANCHES
from .lower import Table, joins, lower, stream_axes
from .spec import Block, Net, Part, Stage
from .steps import STEPS

Index = Annotated[int, Field(ge=0)]


class Insert(Part):
    """A new block before position `at` of a stage, with branches that start at zero. Where the step, the branch and the
    stream let such a block be the identity, the function is preserved; `inexact` says where not, and why."""

    kind: Literal["insert"] = "insert"
    stage: Index
    at: Index
    block: Block


class Delete(Part):
    """Block `at` of a stage goes. The function changes, unless the block's branch is zero."""

    kind: Literal["delete"] = "delete"
    stage: Index
    at: Index


class Remap(Part):
    """New channel k of an axis is a copy of old channel index[k]: narrow, widen, permute.

    Layers that read the axis share each old channel's weight among its copies: equally, or by `shares` (one for each
    new channel; those of one old channel sum to 1; unequal shares let the copies part in training). The function is
    preserved when every old channel is there at least once.
    """

    kind: Literal["remap"] = "remap"
    axis: str
    index: Annotated[tuple[Index, ...], Field(min_length=1)]
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = None

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        if self.shares is None:
            return self
        if len(self.shares) != len(self.index):
            raise ValueError(f"shares has {len(self.shares)} values for {len(self.index)} channels; give one for each")
        total: dict[int, float] = {}
        for old, share in zip(self.index, self.shares, strict=True):
            total[old] = total.get(old, 0.0) + share
        wrong = {old: value for old, value in total.items() if abs(value - 1) > 1e-9}
        if wrong:
            raise ValueError(f"the shares of one old channel must sum to 1; these do not: {wrong}")
        return self


class Mix(Part):
    """Block `at` of a stage gets another mix: how much merge-and-run averages, how much momentum keeps. The function
    changes a little for a little change, so that a block inserted at 0 can be led to 1."""

    kind: Literal["mix"] = "mix"
    stage: Index
    at: Index
    mix: Annotated[float, Field(ge=0, le=1)]


AnyEdit = Insert | Delete | Remap | Mix
Edit = Annotated[AnyEdit, Field(discriminator="kind")]
_EDIT: TypeAdapter[AnyEdit] = TypeAdapter(Edit)


def edit_from_dict(value: object) -> AnyEdit:
    """The edit of a parsed JSON line of a journal; ValueError when it is none."""
    return _EDIT.validate_python(value)


def apply(net: Net, edit: AnyEdit) -> Net:
    """The network behind an edit; ValueError with the reason when the network cannot carry it."""
    match edit:
        case Insert():
            return _insert(net, edit)
        case Delete():
            return _delete(net, edit)
        case Remap():
            return _remap(net, edit)
    return _mix(net, edit)


def inexact(net: Net, edit: AnyEdit) -> str:
    """Why the edit changes the function of the network; "" when it keeps it, to rounding, with transferred weights.
    ValueError when the network cannot carry it."""
    after = apply(net, edit)
    match edit:
        case Remap():
            lost = set(range(lower(net).width[edit.axis])) - set(edit.index)
            return f"{len(lost)} channel(s) of {edit.axis} are lost" if lost else ""
        case Delete():
            return "what the block adds is lost"
        case Insert():
            return _inexact_insert(net, edit, after)
    return "" if lower(net) == lower(after) else "the streams are mixed in another way"


def _inexact_insert(net: Net, edit: Insert, after: Net) -> str:
    stage, branch = _stage(net, edit.stage), BRANCHES[edit.block.kind]
    step = STEPS[stage.step.kind]
    path = f"stages.{edit.stage}.{edit.at}."
    if not any(row.zero for row in lower(after).rows if row.path.startswith(path)):
        return f"a {edit.block.kind} branch cannot start at zero and learn; give the step a learned scale"
    if branch.after and not (net.act == "relu" and _rectified(net, edit.stage, edit.at)):
        # relu(x + 0) is x only where x is already rectified
        return "the block ends in an activation, and the stream that enters it does not come from a ReLU"
    if not step.moves:
        return ""
    mix = step.mix if edit.block.mix is None else edit.block.mix
    if stage.step.kind == "merge_and_run" and (mix == 0 or _streams_equal(net, edit)):
        ends = edit.at == len(stage.blocks) and joins(net, edit.stage)
        return "the last block, which sums the streams, would no longer be the last" if ends else ""
    hint = "; a mix of 0 is exact" if stage.step.kind == "merge_and_run" else ""
    return f"a {stage.step.kind} block with a zero branch is not the identity: {step.moves}{hint}"


def _streams_equal(net: Net, edit: Insert) -> bool:
    """Whether both streams are the same where the block enters: at the beginning of their stage."""
    before = net.stages[edit.stage - 1].step.kind if edit.stage else None
    return edit.at == 0 and before != net.stages[edit.stage].step.kind


def remappable(net: Net) -> dict[str, int]:
    """The axes that a Remap may name, with their widths."""
    table = lower(net)
    return {axis: width for axis, width in table.width.items() if axis not in _fixed(table)}


def unit_of(table: Table, axis: str) -> int:
    """How many channels of an axis can only be moved together: those of a group of a convolution or of a norm."""
    groups, axes = group_of(table, axis)
    norms = {row.y: table.width[row.y] // row.groups for row in table.rows if row.kind == "group"}
    sizes = {name: table.width[name] // groups if groups > 1 else 1 for name in axes}
    whole = lcm(*(lcm(size, norms.get(name, 1)) // size for name, size in sizes.items()))
    return whole * sizes[axis]


def group_of(table: Table, axis: str) -> tuple[int, tuple[str, ...]]:
    """Groups that a grouped convolution cuts this axis into, and the axes that follow a remapping of it:
    (1, (axis,)) for most."""
    for row in table.rows:
        if row.op == "conv" and row.groups > 1 and axis in (row.x, row.y):
            return row.groups, (row.x, row.y)
    return 1, (axis,)


def _rectified(net: Net, stage: int, at: int) -> bool:
    """Whether the stream that enters block `at` comes from an activation."""
    if at == 0 and stage == 0:
        return net.stem.act
    blocks = net.stages[stage].blocks[:at] or net.stages[stage - 1].blocks
    return BRANCHES[blocks[-1].kind].after


def _insert(net: Net, edit: Insert) -> Net:
    stage = _stage(net, edit.stage)
    first = 0 if stage.shortcut == "identity" else 1
    if not first <= edit.at <= len(stage.blocks):
        why = "" if edit.at or not first else f": the first block of stage {edit.stage} sets its shape"
        raise ValueError(
            f"cannot insert at {edit.at}{why}; stage {edit.stage} takes insertions at {first}..{len(stage.blocks)}"
        )
    blocks = (*stage.blocks[: edit.at], edit.block, *stage.blocks[edit.at :])
    return _with_stage(net, edit.stage, stage, blocks)


def _delete(net: Net, edit: Delete) -> Net:
    stage = _stage(net, edit.stage)
    first = 0 if stage.shortcut == "identity" else 1
    last = len(stage.blocks) - 1
    if len(stage.blocks) == 1:
        raise ValueError(
            f"cannot delete block {edit.at}: it is the only one of stage {edit.stage}; a stage keeps at least one"
        )
    if not first <= edit.at <= last:
        why = "" if edit.at or not first else f": the first block of stage {edit.stage} sets its shape"
        raise ValueError(f"cannot delete block {edit.at}{why}; stage {edit.stage} can lose blocks {first}..{last}")
    return _with_stage(net, edit.stage, stage, stage.blocks[: edit.at] + stage.blocks[edit.at + 1 :])


def _mix(net: Net, edit: Mix) -> Net:
    stage = _stage(net, edit.stage)
    if edit.at >= len(stage.blocks):
        raise ValueError(f"there is no block {edit.at}; stage {edit.stage} has blocks 0..{len(stage.blocks) - 1}")
    block = stage.blocks[edit.at].but({"mix": edit.mix})
    return _with_stage(net, edit.stage, stage, (*stage.blocks[: edit.at], block, *stage.blocks[edit.at + 1 :]))


def _remap(net: Net, edit: Remap) -> Net:
    table = lower(net)
    if edit.axis not in table.width or edit.axis in _fixed(table):
        raise ValueError(_refusal(edit.axis, table))
    width = table.width[edit.axis]
    if max(edit.index) >= width:
        raise ValueError(f"axis {edit.axis} has channels 0..{width - 1}; the index names {max(edit.index)}")
    groups_of(edit.index, unit_of(table, edit.axis), edit.axis)
    groups, axes = group_of(table, edit.axis)
    if groups == 1:
        return _with_widths(net, {edit.axis: len(edit.index)})
    kept = groups_of(edit.index, width // groups, edit.axis)
    _refuse_other_branch(net, edit.axis, groups, len(kept))
    return _with_widths(net, {axis: len(kept) * table.width[axis] // groups for axis in axes}, len(kept))


def _refuse_other_branch(net: Net, axis: str, old: int, new: int) -> None:
    stage, block = (int("".join(c for c in part if c.isdigit())) for part in axis.split(".")[:2])
    branches = STEPS[net.stages[stage].step.kind].branches
    if branches > 1 and old != new:
        raise ValueError(
            f"cannot go from {old} to {new} groups in {axis}: the {branches} branches of block {block} share the number"
        )


def groups_of(index: tuple[int, ...], size: int, axis: str) -> tuple[int, ...]:
    """The groups of `size` channels that an index is made of; ValueError when it cuts one."""
    if size == 1:
        return index
    kept = index[::size]
    whole = tuple(size * (first // size) + k for first in kept for k in range(size))
    if whole != index:
        raise ValueError(f"axis {axis} is cut into groups of {size} channels; name whole groups in their order")
    return tuple(first // size for first in kept)


def _fixed(table: Table) -> set[str]:
    """Axes that no Remap may change: the input, the classes, and streams that a padded shortcut ties together."""
    tied = {axis for row in table.rows if row.op == "pad" for axis in (row.x, row.y)}
    return {"input", "classes"} | tied


def _refusal(axis: str, table: Table) -> str:
    free = [name for name in table.width if name not in _fixed(table)]
    if axis in table.width and axis not in ("input", "classes"):
        return (
            f"cannot remap {axis}: a padded shortcut ties it to a part of another stream; "
            f"use shortcut 'project', or remap one of: {', '.join(free)}"
        )
    return f"cannot remap {axis!r}; the axes that can be remapped: {', '.join(free)}"


def _stage(net: Net, index: int) -> Stage:
    if index >= len(net.stages):
        raise ValueError(f"there is no stage {index}; the network has stages 0..{len(net.stages) - 1}")
    return net.stages[index]


def _with_stage(net: Net, index: int, stage: Stage, blocks: tuple[Block, ...]) -> Net:
    return net.but({"stages": (*net.stages[:index], stage.but({"blocks": blocks}), *net.stages[index + 1 :])})


def _with_widths(net: Net, widths: dict[str, int], groups: int | None = None) -> Net:
    streams = stream_axes(net)
    stages = []
    for i, stage in enumerate(net.stages):
        blocks = tuple(
            _block_with_widths(block, f"stage{i}.block{j}", widths, groups) for j, block in enumerate(stage.blocks)
        )
        stages.append(stage.but({"width": widths.get(streams[i + 1], stage.width), "blocks": blocks}))
    deep = tuple(widths.get(f"stem.deep{k}", width) for k, width in enumerate(net.stem.deep))
    stem = net.stem.but({"width": widths.get("stem", net.stem.width), "deep": deep})
    return net.but({"stem": stem, "stages": tuple(stages)})


def _block_with_widths(block: Block, name: str, widths: dict[str, int], groups: int | None) -> Block:
    hidden = tuple(widths.get(f"{name}.hidden{k}", width) for k, width in enumerate(block.hidden))
    return block if hidden == block.hidden else block.but({"hidden": hidden, "groups": groups or block.groups})
