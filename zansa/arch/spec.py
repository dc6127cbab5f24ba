"""What a network is: frozen values, valid when made, JSON both ways. Net > Stage > Block; no tensors, no torch."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .branches import BRANCHES
from .steps import STEPS

FORMAT = 1
Positive = Annotated[int, Field(ge=1)]


Shortcut = Literal["identity", "pad", "project"]


class Part(BaseModel):
    """A frozen, hashable part of a network; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(Part):
    """What comes in: `channels` planes of `size` (length,) or (height, width) or (depth, height, width)."""

    channels: Positive
    size: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=3)]


class Stem(Part):
    """The first convolution; `act`: norm and activation follow it; `pool`: then a 3-wide max pool of stride 2.
    `contrast`: before it, every pixel is compared with its neighbourhood of about this width (local contrast
    normalisation, Jarrett et al. 2009), so that light and shade do not matter; 0: not."""

    width: Positive
    kernel: Literal[1, 3, 5, 7] = 3
    stride: Positive = 1
    pool: bool = False
    act: bool = True
    contrast: Annotated[int, Field(ge=0)] = 0


class Step(Part):
    """How a block's output joins the stream; `scale`: times a learned scalar per block."""

    kind: str = "plain"
    scale: bool = False

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind not in STEPS:
            raise ValueError(f"no step is called {self.kind!r}; known: {', '.join(sorted(STEPS))}")
        return self


class Block(Part):
    """One residual block: the kind of its branch, the widths of its inner axes, groups of its wide convolution."""

    kind: str
    hidden: tuple[Positive, ...]
    groups: Positive = 1

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind not in BRANCHES:
            raise ValueError(f"no branch is called {self.kind!r}; known: {', '.join(sorted(BRANCHES))}")
        branch = BRANCHES[self.kind]
        if len(self.hidden) != branch.hidden:
            raise ValueError(f"a {self.kind} block has {branch.hidden} hidden width(s); given: {self.hidden}")
        if self.groups > 1 and not branch.grouped:
            raise ValueError(f"a {self.kind} block has no groups; given: groups={self.groups}; allowed: 1")
        uneven = [width for width in self.hidden if width % self.groups]
        if uneven:
            raise ValueError(
                f"hidden {self.hidden} does not divide into groups={self.groups}; use multiples of {self.groups}"
            )
        return self


class Stage(Part):
    """Blocks of one stream width. The first takes the stride; `shortcut` says how the stream gets into the stage:
    "identity" (same width, stride 1), "pad" (subsampled, zeros for new channels: option A of He et al. 2015) or
    "project" (1x1 convolution and norm: option B)."""

    width: Positive
    blocks: Annotated[tuple[Block, ...], Field(min_length=1)]
    stride: Positive = 1
    shortcut: Shortcut = "identity"
    step: Step = Step()

    @model_validator(mode="after")
    def _identity_keeps_the_shape(self) -> Self:
        if self.shortcut == "identity" and self.stride != 1:
            raise ValueError(
                f"shortcut 'identity' needs stride 1; given: stride={self.stride}; allowed: 'pad' or 'project'"
            )
        return self


class Head(Part):
    """Global pooling and a linear layer to `classes`; `act`: a norm and an activation stand before the pooling
    (the end of pre-activation networks)."""

    classes: Positive
    pool: Literal["average", "max", "both"] = "average"
    act: bool = False


class Net(Part):
    """A whole network. Equal values are equal networks; `str(net)` shows it stage by stage."""

    input: Input
    stem: Stem
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    head: Head

    @model_validator(mode="after")
    def _streams_fit(self) -> Self:
        width = self.stem.width
        for i, stage in enumerate(self.stages):
            if stage.shortcut == "identity" and stage.width != width:
                raise ValueError(
                    f"stages.{i}: shortcut 'identity' takes a stream of width {width}, but the stage has width "
                    f"{stage.width}; use shortcut 'pad' or 'project', or width={width}"
                )
            if stage.shortcut == "pad" and stage.width < width:
                raise ValueError(
                    f"stages.{i}: shortcut 'pad' can only add channels: {width} -> {stage.width}; use 'project'"
                )
            width = stage.width
        return self

    def to_json(self, indent: int | None = 1) -> str:
        """The network as JSON text, with the format's version."""
        return json.dumps({"format": FORMAT, **self.model_dump(mode="json")}, indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Net":
        """The network of a JSON text; ValueError when it is no network of a format that this version reads."""
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"this is no network description: not JSON ({error})") from None
        return cls.from_dict(value)

    @classmethod
    def from_dict(cls, value: Any) -> "Net":
        """As `from_json`, from the parsed value."""
        if not isinstance(value, dict) or "format" not in value:
            raise ValueError("this is no network description: a JSON object with a 'format' is expected")
        if value["format"] != FORMAT:
            raise ValueError(
                f"the network description has format {value['format']!r}; this version of zansa reads format "
                f"{FORMAT}: update zansa, or write the description with this version"
            )
        return cls.model_validate({key: part for key, part in value.items() if key != "format"})

    def __str__(self) -> str:
        size = "x".join(map(str, self.input.size))
        stem = f"{self.stem.kernel}-wide convolution to {self.stem.width}, stride {self.stem.stride}"
        if self.stem.contrast:
            stem = f"local contrast over {self.stem.contrast} pixels, {stem}"
        lines = [
            f"input   {self.input.channels} x {size}",
            f"stem    {stem}{', max pool' if self.stem.pool else ''}",
        ]
        lines += [f"stage {i} {_stage_text(stage)}" for i, stage in enumerate(self.stages)]
        return "\n".join([*lines, f"head    {self.head.pool} pool, {self.head.classes} classes"])


def _stage_text(stage: Stage) -> str:
    runs: list[tuple[Block, int]] = []
    for block in stage.blocks:
        if runs and runs[-1][0] == block:
            runs[-1] = (block, runs[-1][1] + 1)
        else:
            runs.append((block, 1))
    blocks = " + ".join(
        f"{count} x {b.kind}({', '.join(map(str, b.hidden))}{f', groups {b.groups}' if b.groups > 1 else ''})"
        for b, count in runs
    )
    scale = ", learned scale" if stage.step.scale else ""
    step = "" if stage.step.kind == "plain" else f", {stage.step.kind} step"
    return f"width {stage.width}, stride {stage.stride}, {stage.shortcut} shortcut{step}{scale}: {blocks}"
