"""The way back through a network: invertible blocks give their inputs from their outputs."""

from torch import Tensor

from ..arch.spec import Block as BlockSpec
from ..arch.spec import Step
from ..arch.steps import STEPS, Call
from .build import Block, weighted_sum


def invert(block: Block, step: Step, spec: BlockSpec, *outputs: Tensor) -> tuple[Tensor, ...]:
    """The streams that came into a block, from those that left it, to rounding.

    The inverse of momentum divides by its mix, so rounding errors grow by that factor from block to block; those of the
    reversible step do not grow. ValueError for a step without an inverse, and for a block where streams begin or join.
    """
    kind = STEPS[step.kind]
    if kind.inverse is None:
        able = ", ".join(name for name, other in STEPS.items() if other.inverse)
        raise ValueError(f"a {step.kind} step cannot be inverted; steps that can: {able}")
    if not invertible(block, step):
        raise ValueError("streams begin or join in this block, so its inputs do not follow from its outputs")
    tensors = dict(zip(kind.streams.upper(), outputs, strict=True))
    for line in kind.inverse(step.h, kind.mix or 0.0 if spec.mix is None else spec.mix):
        if isinstance(line, Call):
            tensors[line.out] = block.get_submodule(f"branch{line.branch or ''}")(tensors[line.reads])
        else:
            names, weights = zip(*line.terms.items(), strict=True)
            tensors[line.out] = weighted_sum([tensors[name] for name in names], weights)
    return tuple(tensors[name] for name in kind.streams)


def invertible(block: Block, step: Step) -> bool:
    """Whether a block's inputs follow from its outputs: all streams come in and all go out."""
    kind = STEPS[step.kind]
    entered = any(name.startswith("shortcut") for name, _ in block.named_children())
    return kind.inverse is not None and len(block.takes) == len(block.gives) == len(kind.streams) and not entered
