"""Back through a network: invertible blocks give their inputs from their outputs, so training need not keep them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..arch.spec import Block as BlockSpec
from ..arch.spec import Step
from ..arch.steps import STEPS, Call
from .build import Block, Network, weighted_sum


def invert(block: Block, step: Step, spec: BlockSpec, *outputs: Tensor) -> tuple[Tensor, ...]:
    """The streams that came into a block, from those that left it, to rounding.

    ValueError for a step without an inverse, and for a block where streams begin or join.
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
            names, weights = zip(*line.terms, strict=True)
            tensors[line.out] = weighted_sum([tensors[name] for name in names], weights)
    return tuple(tensors[name] for name in kind.streams)


def invertible(block: Block, step: Step) -> bool:
    """Whether a block's inputs follow from its outputs: all streams come in and all go out."""
    kind = STEPS[step.kind]
    entered = any(name.startswith("shortcut") for name, _ in block.named_children())
    return kind.inverse is not None and len(block.takes) == len(block.gives) == len(kind.streams) and not entered


def forward(network: Network, x: Tensor) -> Tensor:
    """network(x), but in training runs of invertible blocks keep no activations: the backward pass computes them again
    from the outputs (Gomez et al. 2017, 1707.04585, section 3.2). Memory does not grow with the depth of a run, for
    about twice the work of a forward pass more. The gradients are those of network(x) to rounding."""
    streams: tuple[Tensor, ...] = (network.stem(x),)
    for stage, blocks in zip(network.net.stages, network.stages, strict=True):
        for run in _runs(list(zip(blocks, stage.blocks, strict=True)), stage.step):  # type: ignore[call-overload]
            if invertible(run[0][0], stage.step):
                parameters = [p for block, _ in run for p in block.parameters()]
                streams = _Run.apply(run, stage.step, len(streams), *streams, *parameters)
            else:
                streams = run[0][0](*streams)
    return network.head(streams[0])


Blocks = Sequence[tuple[Block, BlockSpec]]


def _runs(blocks: Blocks, step: Step) -> Iterator[Blocks]:
    """Blocks that can be inverted one after the other, together; the others each alone."""
    run: list[tuple[Block, BlockSpec]] = []
    for pair in blocks:
        if invertible(pair[0], step):
            run.append(pair)
            continue
        if run:
            yield run
        yield [pair]
        run = []
    if run:
        yield run


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Blocks, step: Step, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.run, ctx.step, streams = run, step, tensors[:count]
        for block, _ in run:
            streams = block(*streams)
        ctx.save_for_backward(*streams)
        return tuple(streams)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        streams = ctx.saved_tensors
        found: list[Tensor] = []
        for block, spec in reversed(ctx.run):
            with _norms_at_rest(block):
                with torch.no_grad():
                    streams = invert(block, ctx.step, spec, *streams)
                with torch.enable_grad():
                    inputs = [stream.detach().requires_grad_() for stream in streams]
                    outputs, parameters = block(*inputs), list(block.parameters())
                    given = torch.autograd.grad(outputs, [*inputs, *parameters], grads)
            grads, found = given[: len(inputs)], [*given[len(inputs) :], *found]
        return None, None, None, *grads, *found


@contextmanager
def _norms_at_rest(block: nn.Module) -> Iterator[None]:
    """Batch norms as they are in training, but without another update of their running statistics."""
    norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
