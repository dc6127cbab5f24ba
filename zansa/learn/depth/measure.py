"""The blocks of a trained network, measured as steps of a flow dx/dt = f(x, t), from one batch in evaluation mode.

Of a block that turns x into x', `added` is what its branches add to x, before an activation that may follow. Blocks
that change the shape of the stream are no steps; they are left out of all comparisons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...arch.branches import BRANCHES
from ...arch.spec import Net
from ...arch.spec import Stage as StageSpec
from ...arch.steps import STEPS
from ...nets.build import Block, Network, weighted_sum

Value = float | None


@dataclass(frozen=True)
class BlockMeasures:
    """What one batch tells of a block; None where a measure has no meaning. Norms are over the whole batch.

    at: the index of the block in its stage.
    scalar: the length of its step times its learned scalar, where it has one.
    size: |x' - x| / |x|: what deleting the block changes.
    size_times: the same times the number of blocks, which is constant in depth where blocks are steps of a flow.
    truncation: half of |added(x + added(x)) - added(x)| / |x|, the local error of Euler's step.
    inversion: |x' - added(x') - x| / |x|, the error of a step back.
    apart: |added by the next - added| / |added|, both of the same x: 0 for equal blocks, about 1.4 for unrelated ones.
    commutes: how far this block changes what the next one adds, as a share of that; small where the two can run side
        by side.
    weights: the distance of its weights from the next one's, as a share of their size; 1.4 for independent ones. It
        means something only between blocks of one descent (tied at the start, or copies).
    doubling: |a double step - both steps| / |both steps|, of what this block and the next do together.
    """

    at: int
    scalar: Value
    size: Value
    size_times: Value
    truncation: Value
    inversion: Value
    apart: Value = None
    commutes: Value = None
    weights: Value = None
    doubling: Value = None


@dataclass(frozen=True)
class StageMeasures:
    """What one batch tells of a stage.

    stage: its index.
    blocks: its blocks, but for one that changes the shape.
    doubled: |what the stage does with every second block at double length - what it does| / |what it does|.
    beside: the same where each two neighbours run side by side.
    inversion: the error of the way back through the whole stage, as a share of what went in; None where an activation
        after the sum loses what was below zero.
    """

    stage: int
    blocks: tuple[BlockMeasures, ...]
    doubled: Value
    beside: Value
    inversion: Value

    def mean(self, name: str) -> Value:
        """The mean of a measure over the blocks that have it."""
        values = [value for block in self.blocks if (value := getattr(block, name)) is not None]
        return sum(values) / len(values) if values else None


def first_step(stage: StageSpec) -> int:
    """The index of the first block of a stage that keeps the shape of the stream."""
    return 0 if stage.shortcut == "identity" else 1


def refuse_streams(net: Net) -> None:
    """ValueError for what is no network of single steps."""
    for i, stage in enumerate(net.stages):
        if len(STEPS[stage.step.kind].streams) > 1:
            raise ValueError(
                f"stage {i} has {stage.step.kind} steps, which carry two streams; depth is seen as time in networks of "
                "one stream: plain, parallel and heun steps"
            )


def added(block: Block, x: Tensor) -> Tensor:
    """What the branches of a block add to the stream x, before an activation that may follow; of a block that is
    applied several times, what all its turns add."""
    tensors = dict(zip(block.takes, (x,), strict=True))
    lines = list(block.lines)
    while lines[-1].part:
        lines.pop()
    for out, part, reads, weights in lines:
        terms = [tensors[name] for name in reads]
        tensors[out] = block.get_submodule(part)(terms[0]) if part else weighted_sum(terms, weights)
    return tensors[lines[-1].out] - x


def closing(block: Block) -> Callable[[Tensor], Tensor]:
    """The activation after a block's sum, or nothing."""
    last = block.lines[-1]
    return block.get_submodule(last.part) if last.part else lambda x: x


@torch.inference_mode()
def measure(module: Network, samples: Tensor) -> tuple[StageMeasures, ...]:
    """The measures of every stage on a batch of normalised samples (N, C, *size). ValueError for networks of two
    streams, and where values are no numbers any more."""
    refuse_streams(module.net)
    module.eval()
    x = module.stem(samples)
    _refuse_broken(x, "the stem")
    found = []
    for i, (spec, stage) in enumerate(zip(module.net.stages, module.stages, strict=True)):
        blocks: list[Block] = list(stage)  # type: ignore[call-overload]
        states = [x]
        for j, block in enumerate(blocks):
            (x,) = block(x)
            _refuse_broken(x, f"block {j} of stage {i}")
            states.append(x)
        first = first_step(spec)
        found.append(_stage(i, spec, first, blocks[first:], states[first:]))
    return tuple(found)


def _refuse_broken(x: Tensor, where: str) -> None:
    if not bool(x.isfinite().all()):
        raise ValueError(
            f"the values after {where} are not finite (NaN or infinite): the weights are damaged, or the training had "
            "diverged; nothing can be measured"
        )


def _stage(i: int, spec: StageSpec, first: int, blocks: list[Block], states: list[Tensor]) -> StageMeasures:
    measures = []
    for k, block in enumerate(blocks):
        alone = _alone(first + k, spec, block, states[k], states[k + 1], len(blocks))
        pair = {} if k + 1 == len(blocks) else _pair(block, blocks[k + 1], states[k], states[k + 2])
        measures.append(BlockMeasures(first + k, **alone, **pair))
    if len(blocks) < 2:
        return StageMeasures(i, tuple(measures), None, None, None)
    whole = states[-1] - states[0]
    doubled, beside = (_walked(blocks, states[0], two) for two in (_double, _beside))
    return StageMeasures(
        i,
        tuple(measures),
        _relative(doubled - states[-1], whole),
        _relative(beside - states[-1], whole),
        None if _loses(spec) else _relative(_back(blocks, states[-1]) - states[0], states[0]),
    )


def _alone(at: int, spec: StageSpec, block: Block, x: Tensor, after: Tensor, count: int) -> dict[str, Value]:
    step, size = added(block, x), _relative(after - x, x)
    scales = [value for name, value in block.named_parameters() if name.endswith("scale.weight")]
    return {
        "scalar": spec.step.h * float(scales[0]) if scales else None,
        "size": size,
        "size_times": None if size is None else size * count,
        "truncation": _relative((added(block, x + step) - step) / 2, x),
        "inversion": None if _loses(spec) else _relative(after - added(block, after) - x, x),
    }


def _pair(block: Block, following: Block, x: Tensor, after: Tensor) -> dict[str, Value]:
    here, there = added(block, x), added(following, x)
    moved = added(following, x + here)
    return {
        "apart": _relative(there - here, here),
        "commutes": _relative(moved - there, there),
        "weights": _weights_apart(block, following),
        "doubling": _relative(_double(block, following, x) - after, after - x),
    }


def _double(block: Block, following: Block, x: Tensor) -> Tensor:
    """A double step along one block in place of both."""
    return closing(block)(x + 2 * added(block, x))


def _beside(block: Block, following: Block, x: Tensor) -> Tensor:
    """Both blocks side by side, as one."""
    return closing(block)(x + added(block, x) + added(following, x))


def _walked(blocks: Sequence[Block], x: Tensor, two: Callable[[Block, Block, Tensor], Tensor]) -> Tensor:
    """The end of a stage in which `two` stands for each two blocks; an odd one at the end stays."""
    for k in range(0, len(blocks) - 1, 2):
        x = two(blocks[k], blocks[k + 1], x)
    return blocks[-1](x)[0] if len(blocks) % 2 else x


def _back(blocks: Sequence[Block], x: Tensor) -> Tensor:
    """The way back through a stage by steps backwards, x - added(x)."""
    for block in reversed(blocks):
        x = x - added(block, x)
    return x


def _loses(spec: StageSpec) -> bool:
    """Whether an activation after the sum loses what was below zero."""
    return any(BRANCHES[block.kind].after for block in spec.blocks)


def _relative(difference: Tensor, whole: Tensor) -> Value:
    """The norm of a difference as a share of another; None where there is nothing to share."""
    size = float(whole.double().norm())
    return float(difference.double().norm()) / size if size > 0 else None


def _weights_apart(block: Block, following: Block) -> Value:
    """The distance of two blocks' convolutions and linear layers, as a share of the mean of their sizes."""
    one, other = (dict(each.named_parameters()) for each in (block, following))
    names = [name for name, value in one.items() if value.ndim > 1]
    if one.keys() != other.keys() or any(one[name].shape != other[name].shape for name in names):
        return None
    apart = sum(float((one[name] - other[name]).square().sum()) for name in names)
    sizes = [sum(float(each[name].square().sum()) for name in names) ** 0.5 for each in (one, other)]
    return apart**0.5 / (sum(sizes) / 2) if sum(sizes) else None
