"""What an edit makes of a description."""

from .axes import branches_beside, fixed_axes, group_of, groups_of, unit_of
from .branches import BRANCHES
from .edits import GATED, AnyEdit, Delete, Insert, Merge, Mix, Regrid, Rekind, Remap, Split, Tie, Widen
from .lower import Table, joins, lower, stream_axes
from .spec import Block, Net, Stage
from .steps import STEPS


def apply(net: Net, edit: AnyEdit) -> Net:
    """The network after an edit. ValueError, with the reason, when the network cannot carry the edit."""
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
        case Regrid():
            return _regrid(net, edit)
        case Tie():
            return _tie(net, edit)
    return _mix(net, edit)


def inexact(net: Net, edit: AnyEdit) -> str:
    """Why the edit changes the function of the network; "" when weights that are transferred keep the function, to
    rounding. ValueError when the network cannot carry the edit."""
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
        case Regrid():
            return f"{edit.blocks} step(s) are taken where there were {edit.count}" if edit.blocks != edit.count else ""
        case Tie():
            return f"blocks {edit.at} and {edit.at + 1} have the same weights now"
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


def _rectified(net: Net, stage: int, at: int) -> bool:
    """Whether the stream that enters block `at` comes from an activation."""
    if at == 0 and stage == 0:
        return net.stem.act and not net.stem.separable
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
    _refuse_scaling(net, stage, edit, "split")
    return _with_blocks(net, edit, 1, block, block)


def _refuse_scaling(net: Net, stage: Stage, edit: Split | Regrid, verb: str) -> None:
    """ValueError where what the block's branch adds cannot be multiplied by a number."""
    block = stage.blocks[edit.at]
    if not (BRANCHES[block.kind].vanishes or stage.step.scale or net.act == "relu"):
        raise ValueError(
            f"cannot {verb} block {edit.at} of stage {edit.stage}: part of a {block.kind} branch ends in part of a "
            f"{net.act}, which no weights give; give the step a learned scale"
        )


def _regrid(net: Net, edit: Regrid) -> Net:
    stage = _stage(net, edit.stage)
    _refuse_step(stage, edit, "regrid")
    _refuse_place(stage, edit, len(stage.blocks) - edit.count, "regrid from block")
    old = stage.blocks[edit.at : edit.at + edit.count]
    if len(set(old)) > 1:
        raise ValueError(f"cannot regrid {edit.count} blocks from {edit.at} of stage {edit.stage}: they are not alike")
    _refuse_scaling(net, stage, edit, "regrid")
    return _with_blocks(net, edit, edit.count, *old[:1] * edit.blocks)


def _tie(net: Net, edit: Tie) -> Net:
    stage = _stage(net, edit.stage)
    _refuse_step(stage, edit, "tie")
    _refuse_place(stage, edit, len(stage.blocks) - 2, "tie with the next block")
    first, second = stage.blocks[edit.at : edit.at + 2]
    if first.but({"times": 1}) != second.but({"times": 1}):
        raise ValueError(f"cannot tie blocks {edit.at} and {edit.at + 1} of stage {edit.stage}: they are not alike")
    return _with_blocks(net, edit, 2, first.but({"times": first.times + second.times}))


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
    if first.times > 1 or second.times > 1:
        return "one of them is applied several times"
    if branch.starts_with_norm:
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
    branches = branches_beside(net, axis)
    if branches > 1 and old != new:
        raise ValueError(
            f"cannot go from {old} to {new} groups in {axis}: the {branches} branches of "
            f"{axis.split('.')[1].replace('block', 'block ')} share the number"
        )


def _refuse_fixed(axis: str, table: Table, verb: str) -> None:
    fixed = fixed_axes(table)
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


def _refuse_place(stage: Stage, edit: Insert | Delete | Split | Merge | Regrid | Tie, last: int, verb: str) -> None:
    """ValueError where no block can come or go at the edit's index. The first block of a stage that changes the shape
    of its stream sets that shape, so it stays where it is."""
    first = 0 if stage.shortcut == "identity" else 1
    if not first <= edit.at <= last:
        why = "" if edit.at or not first else f": the first block of stage {edit.stage} sets its shape"
        places = f"{first}..{last}" if first <= last else "none"
        raise ValueError(f"cannot {verb} {edit.at}{why}; possible in stage {edit.stage}: {places}")


def _refuse_step(stage: Stage, edit: Split | Merge | Regrid | Tie, verb: str) -> None:
    if stage.step.kind != "plain":
        raise ValueError(
            f"cannot {verb} blocks of stage {edit.stage}: its step is {stage.step.kind}; possible in plain steps"
        )


def _with_blocks(
    net: Net, edit: Insert | Delete | Split | Merge | Rekind | Mix | Regrid | Tie, gone: int, *blocks: Block
) -> Net:
    """The network with `blocks` in place of `gone` blocks of the edit's stage, from the edit's index on."""
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
    head = net.head.but({"width": widths.get("head", net.head.width)})
    return net.but({"stem": stem, "stages": tuple(stages), "head": head})


def _block_with_widths(block: Block, name: str, widths: dict[str, int], groups: int | None) -> Block:
    hidden = tuple(widths.get(f"{name}.hidden{k}", width) for k, width in enumerate(block.hidden))
    kept = block.groups if groups is None or BRANCHES[block.kind].depthwise else groups
    return block if hidden == block.hidden else block.but({"hidden": hidden, "groups": kept})
