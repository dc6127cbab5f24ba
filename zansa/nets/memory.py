"""Passes that keep less for the way back, so that the memory of a training does not grow with depth.

"store" keeps every activation. "checkpoint" keeps the stream between groups of blocks and computes the rest again,
which is exact (Chen et al. 2016, 1604.06174). "reversible" keeps the end of a stage of reversible or momentum steps and
inverts its blocks, which is exact to rounding (Gomez et al. 2017, 1707.04585; Sander et al. 2021, 2102.07870).
"adjoint" keeps the end of a stage of plain or Heun steps and goes back by steps backwards, so its gradients have an
error that falls with the length of a step (Sander et al. 2022, 2205.14612).

What is computed again leaves the statistics of norms alone and has the random masks of the first time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..arch.branches import BRANCHES
from ..arch.spec import Block as BlockSpec
from ..arch.spec import Net, Step
from ..arch.steps import STEPS, Call
from .build import Block, Network, weighted_sum
from .reverse import invert, invertible

Memory = Literal["store", "checkpoint", "reversible", "adjoint"]
INSIDE = 6  # activations that one block keeps: groups are as long as makes groups and their insides together smallest
EXACT = 0.05  # relative error of a gradient up to which a way back counts as right
Streams = tuple[Tensor, ...]


@dataclass(frozen=True)
class Run:
    """Blocks of one stage, one after the other, that are passed in one way.

    blocks: their modules.
    specs: their descriptions.
    step: the step of their stage.
    backward: whether the way back needs nothing from inside.
    """

    blocks: tuple[Block, ...]
    specs: tuple[BlockSpec, ...]
    step: Step
    backward: bool

    def __call__(self, *streams: Tensor) -> Streams:
        for block in self.blocks:
            streams = block(*streams)
        return streams


def refuse_memory(net: Net, memory: Memory) -> None:
    """ValueError where a network has no stage that could be passed in this way."""
    steps = sorted({stage.step.kind for stage in net.stages})
    if memory == "reversible" and not any(STEPS[kind].inverse for kind in steps):
        able = " or ".join(name for name, kind in STEPS.items() if kind.inverse)
        raise ValueError(
            f"memory 'reversible' was asked, and the network has {', '.join(steps)} steps; allowed: networks of {able} "
            "steps, or memory 'checkpoint'"
        )
    if memory == "adjoint" and not any(
        _steps_back(stage.step, block) for stage in net.stages for block in stage.blocks
    ):
        raise ValueError(
            f"memory 'adjoint' was asked, and the network has {', '.join(steps)} steps of "
            f"{', '.join(sorted({b.kind for s in net.stages for b in s.blocks}))} blocks; allowed: plain or heun steps "
            "of blocks without an activation after the sum, such as preact_basic, or memory 'checkpoint'"
        )


def _steps_back(step: Step, block: BlockSpec) -> bool:
    return step.kind in ("plain", "heun") and not BRANCHES[block.kind].after and block.times == 1


def runs(module: Network, memory: Memory) -> Iterator[Run]:
    """The blocks of a network in the order of computation, in runs that are passed alike."""

    def back(block: Block, spec: BlockSpec, step: Step) -> bool:
        if memory == "reversible":
            return invertible(block, step)
        shaped = any(name.startswith("shortcut") for name, _ in block.named_children())
        return memory == "adjoint" and _steps_back(step, spec) and not shaped

    for stage, layers in zip(module.net.stages, module.stages, strict=True):
        pairs = list(zip(layers, stage.blocks, strict=True))  # type: ignore[call-overload]
        for able, group in groupby(pairs, key=lambda pair: back(pair[0], pair[1], stage.step)):
            blocks, specs = zip(*group, strict=True)
            size = max(1, round((len(blocks) / INSIDE) ** 0.5)) if memory == "checkpoint" else len(blocks)
            for k in range(0, len(blocks), size):
                yield Run(blocks[k : k + size], specs[k : k + size], stage.step, able)


def passing(module: Network, memory: Memory, chance: torch.Generator | None = None) -> Callable[[Tensor], Tensor]:
    """The network as a function of samples (N, C, *size) that keeps what `memory` says. `chance` is the generator of
    random masks (see noise). The function follows the module when that changes."""
    if memory == "store":
        return module

    def answer(x: Tensor) -> Tensor:
        streams: Streams = (module.stem(x),)
        for run in runs(module, memory):
            if not torch.is_grad_enabled():
                streams = run(*streams)
            elif memory == "checkpoint":
                streams = checkpoint(
                    run, *streams, use_reentrant=False, preserve_rng_state=False, context_fn=_twice(run, chance)
                )
            elif run.backward:
                trail: list[Tensor] = []
                for k, block in enumerate(run.blocks):
                    streams = _Back.apply(run, k, trail, chance, len(streams), *streams, *block.parameters())
            else:
                streams = run(*streams)
        return module.concluded(streams)

    return answer


def _twice(
    run: Run, chance: torch.Generator | None
) -> Callable[[], tuple[AbstractContextManager, AbstractContextManager]]:
    """Contexts of the first pass through a run, and of the second, which is as the first was."""

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        begun: list[Tensor] = []

        @contextmanager
        def first() -> Iterator[None]:
            begun[:] = [] if chance is None else [chance.get_state()]
            yield

        @contextmanager
        def second() -> Iterator[None]:
            with again(run.blocks, chance):
                _rewind(chance, begun)
                yield

        return first(), second()

    return contexts


@contextmanager
def again(blocks: Sequence[nn.Module], chance: torch.Generator | None) -> Iterator[None]:
    """What is computed here leaves the statistics of norms and the generator as they are."""
    norms = [
        m for block in blocks for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training
    ]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, seen in kept:  # momentum 0 leaves the running statistics as they are
        norm.momentum, norm.num_batches_tracked = 0.0, None if seen is None else seen.clone()
    now = None if chance is None else chance.get_state()
    try:
        yield
    finally:
        for norm, momentum, seen in kept:
            norm.momentum, norm.num_batches_tracked = momentum, seen
        if chance is not None and now is not None:
            chance.set_state(now)


def _rewind(chance: torch.Generator | None, states: list[Tensor]) -> None:
    if chance is not None and states:
        chance.set_state(states[0])


class _Back(torch.autograd.Function):
    """A block of a run of which only the end is kept. On the way back a block leaves the streams before it in `trail`,
    where the block before it finds them. Every block is a step of its own, so that its weights have their gradients
    before those of the next one are made."""

    @staticmethod
    def forward(
        ctx: Any, run: Run, k: int, trail: list[Tensor], chance: torch.Generator | None, count: int, *tensors: Tensor
    ) -> Streams:
        ctx.run, ctx.k, ctx.trail, ctx.chance, ctx.states = run, k, trail, chance, {}
        streams = _forward(run.blocks[k], run.specs[k], run.step, tensors[:count], chance, ctx.states)
        ctx.save_for_backward(*(streams if k + 1 == len(run.blocks) else ()))
        return streams

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        run, k = ctx.run, ctx.k
        back = _inverted if STEPS[run.step.kind].inverse else _stepped_back
        streams = ctx.saved_tensors or tuple(ctx.trail)
        with again([run.blocks[k]], ctx.chance):
            streams, slopes, learned = back(
                run.blocks[k], run.specs[k], run.step, streams, slopes, ctx.chance, ctx.states
            )
        ctx.trail[:] = streams if k else ()
        return (None, None, None, None, None, *slopes, *learned)


States = dict[
    tuple[int, str], list[Tensor]
]  # of the generator before each call of a branch, by branch and what it reads


def _program(spec: BlockSpec, step: Step, inverse: bool = False) -> Any:
    kind = STEPS[step.kind]
    make = kind.inverse if inverse else kind.program
    assert make is not None
    return make(step.h, kind.mix or 0.0 if spec.mix is None else spec.mix)


def _branch(block: Block, line: Call) -> nn.Module:
    return block.get_submodule(f"branch{line.branch or ''}")


def _forward(
    block: Block, spec: BlockSpec, step: Step, streams: Streams, chance: torch.Generator | None, states: States
) -> Streams:
    """A block's streams, with the states of the generator before each branch."""
    kind = STEPS[step.kind]
    tensors = dict(zip(kind.streams, streams, strict=True))
    for line in _program(spec, step):
        if isinstance(line, Call):
            states[line.branch, line.reads] = [] if chance is None else [chance.get_state()]
            tensors[line.out] = _branch(block, line)(tensors[line.reads])
        else:
            tensors[line.out] = weighted_sum([tensors[name] for name in line.terms], list(line.terms.values()))
    return tuple(tensors[name.upper()] for name in kind.streams)


def _inverted(
    block: Block,
    spec: BlockSpec,
    step: Step,
    streams: Streams,
    slopes: Streams,
    chance: torch.Generator | None,
    states: States,
) -> tuple[Streams, Streams, list[Tensor | None]]:
    """The streams before a block and the gradients by them and by its weights, from those after it. Each branch is
    computed once: for the inverse and for its gradient."""
    kind = STEPS[step.kind]
    tensors = dict(zip(kind.streams.upper(), streams, strict=True))
    called: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}
    for line in _program(spec, step, inverse=True):
        if isinstance(line, Call):
            _rewind(chance, states[line.branch, line.reads])
            with torch.enable_grad():
                given = tensors[line.reads].detach().requires_grad_()
                made = _branch(block, line)(given)
            called[line.branch, line.reads] = given, made
            tensors[line.out] = made.detach()
        else:
            tensors[line.out] = weighted_sum([tensors[name] for name in line.terms], list(line.terms.values()))
    by: dict[str, Tensor] = dict(zip(kind.streams.upper(), slopes, strict=True))
    learned: dict[int, Tensor] = {}
    for line in reversed(_program(spec, step)):
        slope = by.get(line.out)
        if slope is None:
            continue
        if isinstance(line, Call):
            given, made = called[line.branch, line.reads]
            own = [p for p in _branch(block, line).parameters() if p.requires_grad]
            first, *rest = torch.autograd.grad(made, [given, *own], slope)
            _add(by, line.reads, first)
            learned.update({id(p): value for p, value in zip(own, rest, strict=True)})
        else:
            for name, weight in line.terms.items():
                _add(by, name, slope * weight if weight != 1 else slope)
    before = tuple(tensors[name] for name in kind.streams)
    return before, tuple(by[name] for name in kind.streams), [learned.get(id(p)) for p in block.parameters()]


def _add(slopes: dict[str, Tensor], name: str, slope: Tensor) -> None:
    slopes[name] = slopes[name] + slope if name in slopes else slope


def _stepped_back(
    block: Block,
    spec: BlockSpec,
    step: Step,
    streams: Streams,
    slopes: Streams,
    chance: torch.Generator | None,
    states: States,
) -> tuple[Streams, Streams, list[Tensor | None]]:
    """As `_inverted`, by a step backwards (Euler's or Heun's): the stream before the block is not exact."""
    with torch.no_grad():
        before = stepped_back(block, step, streams[0], lambda: _rewind(chance, next(iter(states.values()))))
    with torch.enable_grad():
        given = before.detach().requires_grad_()
        (made,) = _forward_again(block, spec, step, given, chance, states)
    own = [p for p in block.parameters() if p.requires_grad]
    first, *rest = torch.autograd.grad(made, [given, *own], slopes[0])
    learned = {id(p): value for p, value in zip(own, rest, strict=True)}
    return (before,), (first,), [learned.get(id(p)) for p in block.parameters()]


def _forward_again(
    block: Block, spec: BlockSpec, step: Step, x: Tensor, chance: torch.Generator | None, states: States
) -> Streams:
    _rewind(chance, next(iter(states.values())))
    return _forward(block, spec, step, (x,), chance, {})


def stepped_back(block: Block, step: Step, x: Tensor, rewind: Callable[[], None] = lambda: None) -> Tensor:
    """What came into a block of a plain or Heun step, by a step backwards from what left it; an approximation."""
    branch, h = block.get_submodule("branch"), step.h
    rewind()
    slope = branch(x)
    if step.kind == "plain":
        return x - h * slope
    return x - h / 2 * (slope + branch(x - h * slope))


def gradient_error(module: Network, samples: Tensor, memory: Memory, chance: torch.Generator | None = None) -> float:
    """How wrong a way back is on a batch: the relative error of the gradient of the mean square of the logits. The
    network is left as it was."""
    learned = [p for p in module.parameters() if p.requires_grad]
    found = []
    for mode in ("checkpoint", memory):
        with again([module], chance):  # both have the same masks
            value = passing(module, mode, chance)(samples).square().mean()
            found.append(torch.autograd.grad(value, learned, allow_unused=True))
    pairs = [(one, other) for one, other in zip(*found, strict=True) if one is not None and other is not None]
    size = sum(float(one.double().square().sum()) for one, _ in pairs) ** 0.5
    apart = sum(float((one - other).double().square().sum()) for one, other in pairs) ** 0.5
    return apart / size if size else 0.0


@torch.no_grad()
def inversion_error(module: Network, samples: Tensor, memory: Memory) -> float:
    """The largest relative error of a stream that a way back finds at the beginning of its blocks, without noise."""
    worst = 0.0
    streams: tuple[Tensor, ...] = (module.stem(samples),)
    with again([module], None):
        for run in runs(module, memory):
            begun, streams = streams, run(*streams)
            if not run.backward:
                continue
            back = streams
            for block, spec in zip(reversed(run.blocks), reversed(run.specs), strict=True):
                exact = STEPS[run.step.kind].inverse is not None
                back = invert(block, run.step, spec, *back) if exact else (stepped_back(block, run.step, back[0]),)
            for found, expected in zip(back, begun, strict=True):
                worst = max(worst, float((found - expected).norm() / expected.norm().clamp_min(1e-30)))
    return worst


def refuse_wrong(module: Network, samples: Tensor, memory: Memory, chance: torch.Generator | None = None) -> None:
    """ValueError where the gradients of a way back would be wrong; it is measured on these samples first."""
    if memory not in ("reversible", "adjoint"):
        return
    wrong = gradient_error(module, samples, memory, chance)
    if not wrong <= EXACT:
        streams = inversion_error(module, samples, memory)
        raise ValueError(
            f"memory {memory!r} would learn from wrong gradients: the way back is wrong by {100 * streams:.2g} % of "
            f"the stream and the gradient by {100 * wrong:.2g} %; allowed: {100 * EXACT:g} %. Take memory "
            "'checkpoint', or more and shorter steps"
        )
