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


class Widen(Part):
    """`count` fresh channels at the end of an axis: written by fresh weights and read with zeros, so the function is
    preserved (as Net2Net of Chen et al. 2016, 1511.05641, with zeros for copies)."""

    kind: Literal["widen"] = "widen"
    axis: str
    count: Annotated[int, Field(ge=1)]


class Split(Part):
    """Block `at` of a stage of plain steps becomes two equal copies in a row, each of half the step: what the branch
    gives is halved. The function changes by a term of second order in the branch: the step of a flow is refined (Chang
    et al. 2018, 1710.10348)."""

    kind: Literal["split"] = "split"
    stage: Index
    at: Index


class Merge(Part):
    """Blocks `at` and `at` + 1 of a stage of plain steps become one, in which their branches f and g run side by side:
    x + f(x) + g(x), exactly so in evaluation mode, with the inner widths added. For branches that read the stream
    itself and end in a batch norm, or without norms."""

    kind: Literal["merge"] = "merge"
    stage: Index
    at: Index


class Rekind(Part):
    """Block `at` of a stage becomes `block`: the same with a squeeze-and-excitation gate, or without its gate. A gate
    that comes is one half everywhere and the layer before it twice as large, so the function is preserved; a gate that
    goes leaves its value for the mean image."""

    kind: Literal["rekind"] = "rekind"
    stage: Index
    at: Index
    block: Block


GATED = {"basic": "se_basic", "bottleneck": "se_bottleneck"}

AnyEdit = Insert | Delete | Remap | Widen | Split | Merge | Rekind | Mix
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
        case Widen():
            return _widen(net, edit)
        case Split():
            return _split(net, edit)
        case Merge():
            return _merge(net, edit)
        case Rekind():
            return _rekind(net, edit)
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
        case Widen():
            return ""
        case Split():
            return "two half steps differ from a whole one by a term of second order in the branch"
        case Merge():
            return f"block {edit.at + 1} no longer sees what block {edit.at} adds"
        case Rekind():
            return "" if BRANCHES[edit.block.kind].gated else "the gate no longer follows the image"
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
    """The axes that a Remap or a Widen may make wider or thinner, with their widths."""
    table = lower(net)
    grouped = {axis for row in table.rows if row.op == "conv" and row.groups > 1 for axis in (row.x, row.y)}
    fixed = _fixed(table) | {axis for axis in grouped if _branches_beside(net, axis) > 1}  # they share the number
    return {axis: width for axis, width in table.width.items() if axis not in fixed}


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
    _refuse_place(stage, edit, len(stage.blocks), "insert at")
    return _with_blocks(net, edit, 0, edit.block)


def _delete(net: Net, edit: Delete) -> Net:
    stage = _stage(net, edit.stage)
    if len(stage.blocks) == 1:
        raise ValueError(
            f"cannot delete block {edit.at}: it is the only one of stage {edit.stage}; a stage keeps at least one"
        )
    _refuse_place(stage, edit, len(stage.blocks) - 1, "delete block")
    return _with_blocks(net, edit, 1)


def _split(net: Net, edit: Split) -> Net:
    stage = _stage(net, edit.stage)
    _refuse_step(stage, edit, "split")
    _refuse_place(stage, edit, len(stage.blocks) - 1, "split block")
    block = stage.blocks[edit.at]
    if BRANCHES[block.kind].after and not (net.act == "relu" and _rectified(net, edit.stage, edit.at)):
        raise ValueError(
            f"cannot split block {edit.at} of stage {edit.stage}: it ends in an activation, and the stream that enters "
            "it does not come from a ReLU, so that two half steps are no whole one; insert a block instead"
        )
    if not (BRANCHES[block.kind].vanishes or stage.step.scale or net.act == "relu"):
        raise ValueError(
            f"cannot split block {edit.at} of stage {edit.stage}: half a {block.kind} branch ends in half a {net.act}, "
            "which no weights give; give the step a learned scale"
        )
    return _with_blocks(net, edit, 1, block, block)


def _merge(net: Net, edit: Merge) -> Net:
    stage = _stage(net, edit.stage)
    _refuse_step(stage, edit, "merge")
    _refuse_place(stage, edit, len(stage.blocks) - 2, "merge with the next block")
    first, second = stage.blocks[edit.at : edit.at + 2]
    if why := _unmergeable(net, first, second):
        raise ValueError(f"cannot merge blocks {edit.at} and {edit.at + 1} of stage {edit.stage}: {why}")
    hidden = tuple(a + b for a, b in zip(first.hidden, second.hidden, strict=True))
    groups = 1 if first.groups == second.groups == 1 else first.groups + second.groups
    return _with_blocks(net, edit, 2, first.but({"hidden": hidden, "groups": groups}))


def _unmergeable(net: Net, first: Block, second: Block) -> str:
    """Why two blocks cannot become one that computes the sum of their branches; "" when they can."""
    if first.kind != second.kind:
        return f"one is {first.kind}, the other {second.kind}; they must be of one kind"
    branch = BRANCHES[first.kind]
    if not branch.after:
        return f"each {first.kind} branch reads the stream through a norm of its own, and no one norm is both"
    if branch.gated:
        return "each gate follows from its own branch alone"
    if net.norm == "group":
        return "the statistics of their last group norms follow the image, so that no weights replace them"
    sizes = [[width // block.groups for width in block.hidden] for block in (first, second)]
    if first.groups + second.groups > 2 and sizes[0] != sizes[1]:
        return f"their groups have {sizes[0]} and {sizes[1]} channels; they must have equally many"
    return ""


def _rekind(net: Net, edit: Rekind) -> Net:
    stage = _stage(net, edit.stage)
    _refuse_missing(stage, edit)
    old, new = stage.blocks[edit.at], edit.block
    if new.kind != GATED.get(old.kind) and old.kind != GATED.get(new.kind):
        raise ValueError(
            f"cannot turn a {old.kind} block into a {new.kind} block and keep what it computes; possible, in both "
            f"directions: {', '.join(f'{bare} to {gated}' for bare, gated in GATED.items())}"
        )
    if (old.convolved, old.groups, old.mix) != (new.convolved, new.groups, new.mix):
        raise ValueError(
            f"a change of kind keeps the widths {old.convolved}, groups={old.groups} and mix={old.mix}; given: "
            f"{new.convolved}, groups={new.groups} and mix={new.mix}; change one after the other"
        )
    return _with_blocks(net, edit, 1, new)


def _mix(net: Net, edit: Mix) -> Net:
    stage = _stage(net, edit.stage)
    _refuse_missing(stage, edit)
    return _with_blocks(net, edit, 1, stage.blocks[edit.at].but({"mix": edit.mix}))


def _remap(net: Net, edit: Remap) -> Net:
    table = lower(net)
    _refuse_fixed(edit.axis, table, "remap")
    width = table.width[edit.axis]
    if max(edit.index) >= width:
        raise ValueError(f"axis {edit.axis} has channels 0..{width - 1}; the index names {max(edit.index)}")
    groups_of(edit.index, unit_of(table, edit.axis), edit.axis)
    return _resized(net, edit.axis, len(edit.index))


def _widen(net: Net, edit: Widen) -> Net:
    table = lower(net)
    _refuse_fixed(edit.axis, table, "widen")
    unit = unit_of(table, edit.axis)
    if edit.count % unit:
        raise ValueError(
            f"axis {edit.axis} is cut into groups of {unit} channels; it cannot be widened by {edit.count}: "
            f"use a multiple of {unit}"
        )
    return _resized(net, edit.axis, table.width[edit.axis] + edit.count)


def _resized(net: Net, axis: str, width: int) -> Net:
    """The network with another width of an axis; the groups of a grouped convolution keep their sizes."""
    table = lower(net)
    groups, axes = group_of(table, axis)
    if groups == 1:
        return _with_widths(net, {axis: width})
    count = width * groups // table.width[axis]
    _refuse_other_branch(net, axis, groups, count)
    return _with_widths(net, {name: count * table.width[name] // groups for name in axes}, count)


def _refuse_other_branch(net: Net, axis: str, old: int, new: int) -> None:
    branches = _branches_beside(net, axis)
    if branches > 1 and old != new:
        raise ValueError(
            f"cannot go from {old} to {new} groups in {axis}: the {branches} branches of "
            f"{axis.split('.')[1].replace('block', 'block ')} share the number"
        )


def _branches_beside(net: Net, axis: str) -> int:
    """How many branches, side by side, the block has whose inner axis this is."""
    return STEPS[net.stages[int(axis.partition(".")[0].removeprefix("stage"))].step.kind].branches


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
    """Axes that no edit may change: the input, the classes, and streams that a padded shortcut ties together."""
    tied = {axis for row in table.rows if row.op == "pad" for axis in (row.x, row.y)}
    return {"input", "classes"} | tied


def _refuse_fixed(axis: str, table: Table, verb: str) -> None:
    fixed = _fixed(table)
    free = ", ".join(name for name in table.width if name not in fixed)
    if axis in fixed - {"input", "classes"}:
        raise ValueError(
            f"cannot {verb} {axis}: a padded shortcut ties it to a part of another stream; "
            f"use shortcut 'project', or {verb} one of: {free}"
        )
    if axis in fixed or axis not in table.width:
        raise ValueError(f"cannot {verb} {axis!r}; the axes whose channels can change: {free}")


def _stage(net: Net, index: int) -> Stage:
    if index >= len(net.stages):
        raise ValueError(f"there is no stage {index}; the network has stages 0..{len(net.stages) - 1}")
    return net.stages[index]


def _refuse_missing(stage: Stage, edit: Mix | Rekind) -> None:
    if edit.at >= len(stage.blocks):
        raise ValueError(f"there is no block {edit.at}; stage {edit.stage} has blocks 0..{len(stage.blocks) - 1}")


def _refuse_place(stage: Stage, edit: Insert | Delete | Split | Merge, last: int, verb: str) -> None:
    """Blocks of a stage that changes the shape of its stream begin behind the first."""
    first = 0 if stage.shortcut == "identity" else 1
    if not first <= edit.at <= last:
        why = "" if edit.at or not first else f": the first block of stage {edit.stage} sets its shape"
        places = f"{first}..{last}" if first <= last else "none"
        raise ValueError(f"cannot {verb} {edit.at}{why}; possible in stage {edit.stage}: {places}")


def _refuse_step(stage: Stage, edit: Split | Merge, verb: str) -> None:
    if stage.step.kind != "plain":
        raise ValueError(
            f"cannot {verb} blocks of stage {edit.stage}: its step is {stage.step.kind}; possible in plain steps"
        )


def _with_blocks(net: Net, edit: Insert | Delete | Split | Merge | Rekind | Mix, gone: int, *blocks: Block) -> Net:
    """The network with `blocks` in the place of so many blocks of the edit's stage, from the edit's place on."""
    stage = net.stages[edit.stage]
    changed = stage.but({"blocks": (*stage.blocks[: edit.at], *blocks, *stage.blocks[edit.at + gone :])})
    return net.but({"stages": (*net.stages[: edit.stage], changed, *net.stages[edit.stage + 1 :])})


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
