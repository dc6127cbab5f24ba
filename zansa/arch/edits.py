"""Changes of structure are values with two readers: `apply` here changes the description, `nets.transfer` the weights.

A run's history is its first network and a list of edits; replaying the list gives the last network.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from .spec import Block, Part

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
