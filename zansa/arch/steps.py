"""How a block's output joins the stream: each kind is a short program over named tensors, its paper in the line above.

Small letters are the streams that come in, capitals the same streams going out; `h` is the length of the step,
`a` the block's mix. A program calls the block's branches and takes weighted sums. To add a kind: one entry in STEPS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple


class Call(NamedTuple):
    """`out` is what branch number `branch` makes of tensor `reads`."""

    out: str
    branch: int
    reads: str


class Sum(NamedTuple):
    """`out` is a sum of tensors, each times its weight."""

    out: str
    terms: dict[str, float]


Program = tuple[Call | Sum, ...]


@dataclass(frozen=True)
class StepKind:
    """A kind of step.

    program: gives the program for a length h and a mix a.
    streams: the names of its streams, one letter each.
    fills: where a second stream comes from when one stream enters: a copy of the first, or zero.
    last: gives the program of the last block before the streams become one; None: the first stream of `program` is
        taken.
    enter: gives the program of a block that changes the shape; None: `program`.
    mix: the default of a block's mix; None when the kind has no mix.
    after: whether branches with an activation after the sum are allowed.
    inverse: gives the program back from the new streams to the old ones, where there is one.
    moves: why a block with a zero branch is not the identity; "" when it is.
    """

    program: Callable[[float, float], Program]
    streams: str = "x"
    fills: Literal["copy", "zero"] = "copy"
    last: Callable[[float, float], Program] | None = None
    enter: Callable[[float, float], Program] | None = None
    mix: float | None = None
    after: bool = True
    inverse: Callable[[float, float], Program] | None = None
    moves: str = ""

    @property
    def branches(self) -> int:
        """How many branches a block has."""
        return 1 + max(self._called)

    @property
    def repeats(self) -> bool:
        """Whether a branch is called twice, so that its norms see two different batches."""
        return len(self._called) > len(set(self._called))

    @property
    def _called(self) -> list[int]:
        return [line.branch for line in self.program(1.0, 0.5) if isinstance(line, Call)]


# He et al. 2015 (1512.03385), eq. 1; with h = 1/L Euler's step of dx/dt = f(x): Marion et al. 2024 (2309.01213), eq. 2
def plain(h: float, a: float) -> Program:
    return Call("f", 0, "x"), Sum("X", {"x": 1, "f": h})


# Zhao et al. 2017 (1611.07718), fig. 1 b: two branches side by side, their plain sum
def parallel(h: float, a: float) -> Program:
    return Call("f", 0, "x"), Call("g", 1, "x"), Sum("X", {"x": 1, "f": h, "g": h})


# Zhao et al. 2017, eqs. 5 and 6, with the general skip (1-a) I + a M; M averages the streams
def merge_and_run(h: float, a: float) -> Program:
    return (
        Call("f", 0, "x"), Call("g", 1, "y"),
        Sum("X", {"x": 1 - a / 2, "y": a / 2, "f": h}), Sum("Y", {"x": a / 2, "y": 1 - a / 2, "g": h}),
    )  # fmt: skip


# Zhao et al. 2017, the authors' CIFAR code: the last block emits the mean and both branches
def merge_and_end(h: float, a: float) -> Program:
    return Call("f", 0, "x"), Call("g", 1, "y"), Sum("X", {"x": 0.5, "y": 0.5, "f": h, "g": h})


# Heun's method for dx/dt = f(x): the mean of the slopes at both ends of an Euler step
def heun(h: float, a: float) -> Program:
    return (
        Call("f", 0, "x"), Sum("euler", {"x": 1, "f": h}),
        Call("g", 0, "euler"), Sum("X", {"x": 1, "f": h / 2, "g": h / 2}),
    )  # fmt: skip


# Sander et al. 2021 (2102.07870), eq. 4: v' = a v + (1-a) f(x), x' = x + v'
def momentum(h: float, a: float) -> Program:
    return Call("f", 0, "x"), Sum("V", {"v": a, "f": (1 - a) * h}), Sum("X", {"x": 1, "V": 1})


# Gomez et al. 2017 (1707.04585), eq. 6
def reversible(h: float, a: float) -> Program:
    return Call("f", 0, "y"), Sum("X", {"x": 1, "f": h}), Call("g", 1, "X"), Sum("Y", {"y": 1, "g": h})


def reversible_end(h: float, a: float) -> Program:
    return (
        Call("f", 0, "y"),
        Sum("left", {"x": 1, "f": h}),
        Call("g", 1, "left"),
        Sum("X", {"left": 0.5, "y": 0.5, "g": h / 2}),
    )


def reversed_momentum(h: float, a: float) -> Program:
    return Sum("x", {"X": 1, "V": -1}), Call("f", 0, "x"), Sum("v", {"V": 1 / a, "f": -(1 - a) * h / a})


def reversed_reversible(h: float, a: float) -> Program:
    return Call("g", 1, "X"), Sum("y", {"Y": 1, "g": -h}), Call("f", 0, "y"), Sum("x", {"X": 1, "f": -h})


STEPS = {
    "plain": StepKind(plain),
    "parallel": StepKind(parallel),
    "merge_and_run": StepKind(
        merge_and_run, "xy", last=merge_and_end, mix=1.0, moves="its skip averages the two streams"
    ),
    "heun": StepKind(heun, enter=plain, after=False),
    "momentum": StepKind(
        momentum,
        "xv",
        fills="zero",
        mix=0.9,
        after=False,
        inverse=reversed_momentum,
        moves="the stream moves on by itself",
    ),
    "reversible": StepKind(reversible, "xy", last=reversible_end, after=False, inverse=reversed_reversible),
}
