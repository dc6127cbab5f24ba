"""Changes of structure are values with two readers: `arch.apply` changes the description, `nets.transfer` the weights.

A run's history is its first network and a list of edits; replaying the list gives the last network.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from .spec import Block, Value

Index = Annotated[int, Field(ge=0)]


class Insert(Value):
    """A new block comes before block `at` of a stage, with branches that start at zero. The function is preserved where
    the step, the branch and the stream let such a block be the identity; `inexact` says where they do not, and why."""

    kind: Literal["insert"] = "insert"
    stage: Index
    at: Index
    block: Block


class Delete(Value):
    """Block `at` of a stage goes. The function changes, unless the block's branch is zero."""

    kind: Literal["delete"] = "delete"
    stage: Index
    at: Index


class Remap(Value):
    """New channel k of an axis is a copy of old channel index[k]. So an axis is narrowed, widened or permuted.

    Layers that read the axis divide each old channel's weight among its copies: equally, or by `shares`. There is one
    share for each new channel; those of one old channel sum to 1, and unequal shares let the copies part in training.
    The function is preserved when every old channel is there at least once.
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


class Mix(Value):
    """Block `at` of a stage gets another mix: how much merge-and-run averages, or how much momentum keeps. A small
    change of the mix changes the function a little, so a block that was inserted at 0 can be led to 1."""

    kind: Literal["mix"] = "mix"
    stage: Index
    at: Index
    mix: Annotated[float, Field(ge=0, le=1)]


class Widen(Value):
    """`count` fresh channels come at the end of an axis. They are written by fresh weights and read with zeros, so the
    function is preserved (as in Net2Net of Chen et al. 2016, 1511.05641, with zeros in place of copies)."""

    kind: Literal["widen"] = "widen"
    axis: str
    count: Annotated[int, Field(ge=1)]


class Split(Value):
    """Block `at` of a stage of plain steps becomes two equal copies in a row, each of half the step: the output of its
    branch is halved. The function changes by a term of second order in the branch, because the step of a flow is
    refined (Chang et al. 2018, 1710.10348)."""

    kind: Literal["split"] = "split"
    stage: Index
    at: Index


class Merge(Value):
    """Blocks `at` and `at` + 1 of a stage of plain steps become one, in which their branches f and g run side by side:
    x + f(x) + g(x), with the inner widths added. In evaluation mode the new block computes exactly that. It is possible
    for branches that read the stream itself and end in a batch norm, or have no norms."""

    kind: Literal["merge"] = "merge"
    stage: Index
    at: Index


class Regrid(Value):
    """Blocks `at` to `at` + `count` - 1 of a stage of plain steps, which are alike, become `blocks` others. Their
    weights are read as functions of depth and taken anew, and every step is count / blocks times as long, so that all
    steps together are as long as before. The function changes, and little where the weights are smooth in depth.

    basis: "constant" takes the mean over each new step, which is the L2 projection where steps become fewer (as in
        Stateful ODE-Nets of Queiruga et al. 2021, 2106.10820) and copies where they become more; "linear" takes values
        between the middles of the old steps.
    """

    kind: Literal["regrid"] = "regrid"
    stage: Index
    at: Index
    count: Annotated[int, Field(ge=1)]
    blocks: Annotated[int, Field(ge=1)]
    basis: Literal["constant", "linear"] = "constant"


class Tie(Value):
    """Blocks `at` and `at` + 1 of a stage of plain steps, which are alike, become one that is applied as often as both
    were: fewer parameters, the same multiply-adds.

    keep: whose weights it has: the mean of both, or those of the first or the second.
    """

    kind: Literal["tie"] = "tie"
    stage: Index
    at: Index
    keep: Literal["mean", "first", "second"] = "mean"


class Rekind(Value):
    """Block `at` of a stage becomes `block`: the same block with a squeeze-and-excitation gate, or without its gate. A
    new gate is one half everywhere and the layer before it becomes twice as large, so the function is preserved. A gate
    that goes leaves the value that it has for the mean sample."""

    kind: Literal["rekind"] = "rekind"
    stage: Index
    at: Index
    block: Block


GATED = {"basic": "se_basic", "bottleneck": "se_bottleneck"}
AnyEdit = Insert | Delete | Remap | Widen | Split | Merge | Rekind | Mix | Regrid | Tie
Edit = Annotated[AnyEdit, Field(discriminator="kind")]
_EDIT: TypeAdapter[AnyEdit] = TypeAdapter(Edit)


def edit_from_dict(value: object) -> AnyEdit:
    """The edit of a parsed JSON line of a journal; ValueError when the line holds no edit."""
    return _EDIT.validate_python(value)
