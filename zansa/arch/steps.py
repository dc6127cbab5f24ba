"""How a block's output joins the stream: each kind is a small table of weights.

A row says what a stream becomes: weights of the old streams | weights of the branch outputs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepKind:
    """`skip[i][j]`: weight of old stream j in new stream i; `branch[i][k]`: weight of branch output k in it."""

    skip: tuple[tuple[float, ...], ...]
    branch: tuple[tuple[float, ...], ...]


STEPS = {
    # He et al. 2015 (1512.03385), eq. 1: x' = [1 | 1]; with a learned scalar s per block x' = [1 | s]
    "plain": StepKind(skip=((1.0,),), branch=((1.0,),)),
}
