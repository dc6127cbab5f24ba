"""What a network is: frozen values that are valid when they are made, and JSON both ways. A Net has Stages, a Stage has
Blocks. There are no tensors here, and no torch."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .branches import BRANCHES
from .steps import STEPS

FORMAT = 1
Positive = Annotated[int, Field(ge=1)]
Shortcut = Literal["identity", "pad", "project", "conv", "average", "none"]


class Value(BaseModel):
    """A frozen, hashable value: a part of a network, or an edit; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def but(self, changes: dict[str, Any]) -> Self:
        """The same with some fields changed, validated."""
        return type(self)(**(dict(self) | changes))


class Input(Value):
    """What comes in: `channels` planes of `size` (length,) or (height, width) or (depth, height, width)."""

    channels: Positive
    size: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=3)]


class Stem(Value):
    """The first convolution of a network.

    width: channels that it writes.
    kernel: how wide it is in every direction.
    stride: its stride.
    pool: whether a 3-wide max pool of stride 2 follows.
    act: whether a norm and an activation follow it, before the pool.
    contrast: 0, or pixels: before the stem, every pixel is compared with its neighbourhood of about this width (local
        contrast normalisation, Jarrett et al. 2009), so that light and shade do not matter.
    deep: widths of convolutions of the same kernel before it, of which the first takes the stride (ResNet-D, He et al.
        2018).
    separable: whether the last convolution of `deep` filters every channel by itself, the one after it is 1-wide, and
        no activation follows (Sandler et al. 2018, 1801.04381, table 2, the first two rows).
    """

    width: Positive
    kernel: Literal[1, 3, 5, 7] = 3
    stride: Positive = 1
    pool: bool = False
    act: bool = True
    contrast: Annotated[int, Field(ge=0)] = 0
    deep: tuple[Positive, ...] = ()
    separable: bool = False

    @model_validator(mode="after")
    def _separable_fits(self) -> Self:
        if self.separable and not (len(self.deep) > 1 and self.deep[-1] == self.deep[-2] and self.act):
            raise ValueError(
                f"a separable stem has two or more deep widths, of which the last two are equal, and act=True; given: "
                f"deep={self.deep}, act={self.act}"
            )
        return self


class Step(Value):
    """How a block's output joins the stream.

    kind: a key of steps.STEPS.
    scale: whether every branch is multiplied by a learned scalar.
    h: the length of the step: every branch is multiplied by it.
    start: how fresh blocks begin. "random": each layer by itself. "zero": as the identity, by the learned scalar where
        there is one (SkipInit, De and Smith 2020, 2002.10444; ReZero), otherwise by the branch's last scale (Goyal et
        al. 2017) or convolution. "fixup" (Zhang et al. 2019, 1901.09321), for networks without norms: the branch's last
        convolution and the classifier are zero, and the others are scaled down with depth. "tied" (Marion et al. 2024,
        2309.01213): as "zero", and all blocks of a stage are alike. "smooth" (the same paper): each weight is a
        Gaussian process over the blocks of a stage.
    """

    kind: str = "plain"
    scale: bool = False
    h: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    start: Literal["random", "zero", "fixup", "tied", "smooth"] = "random"

    @property
    def scalar_vanishes(self) -> bool:
        """Whether it is the learned scalar that is zero where a block starts as the identity."""
        return self.scale and self.start != "fixup"

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind not in STEPS:
            raise ValueError(f"no step is called {self.kind!r}; known: {', '.join(sorted(STEPS))}")
        return self


class Block(Value):
    """One residual block.

    kind: the kind of its branches, a key of branches.BRANCHES.
    hidden: the widths of the branches' inner axes, those of the second branch after those of the first.
    groups: groups of the wide convolution; 1 for kinds that filter every channel by itself (inverted).
    mix: for steps that have one: in merge_and_run the share a of the averaging in the skip (1-a) I + a M; in momentum
        the share that is kept. None is the step's default.
    times: how often the block is applied, one time after the other, with the same weights.
    """

    kind: str
    hidden: tuple[Positive, ...]
    groups: Positive = 1
    mix: Annotated[float, Field(ge=0, le=1)] | None = None
    times: Positive = 1

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind not in BRANCHES:
            raise ValueError(f"no branch is called {self.kind!r}; known: {', '.join(sorted(BRANCHES))}")
        branch = BRANCHES[self.kind]
        if not self.hidden or len(self.hidden) % branch.hidden:
            raise ValueError(f"a {self.kind} branch has {branch.hidden} hidden width(s); given: {self.hidden}")
        if self.groups > 1 and not branch.grouped:
            raise ValueError(f"a {self.kind} block has no groups; given: groups={self.groups}; allowed: 1")
        if branch.depthwise and self.hidden[::2] != self.hidden[1::2]:
            raise ValueError(
                f"a {self.kind} block filters every channel by itself, so both widths of a branch are equal; given: "
                f"{self.hidden}"
            )
        if any(width % self.groups for width in self.convolved):
            raise ValueError(
                f"hidden {self.hidden} does not divide into groups={self.groups}; use multiples of {self.groups}"
            )
        return self

    @property
    def convolved(self) -> tuple[int, ...]:
        """The hidden widths without those of gates."""
        return tuple(width for k, width in enumerate(self.hidden) if not self.of_gate(k))

    def groups_of(self, branch: int) -> int:
        """How many groups the wide convolution of one of its branches has."""
        kind = BRANCHES[self.kind]
        return self.hidden[branch * kind.hidden] if kind.depthwise else self.groups

    def of_gate(self, k: int) -> bool:
        """Whether hidden width k is that of a gate, which is the last of its branch."""
        branch = BRANCHES[self.kind]
        return branch.gated and k % branch.hidden == branch.hidden - 1


class Stage(Value):
    """Blocks of one stream width.

    width: channels of the stream.
    blocks: at least one; the first takes the stride.
    stride: how much smaller the map becomes.
    shortcut: how the stream gets into the stage: "identity" (same width, stride 1), "pad" (subsampled, with zeros for
        new channels: option A of He et al. 2015), "project" (1x1 convolution and norm: option B), "conv" (1x1
        convolution alone: He et al. 2016), "average" (mean pool, 1x1 convolution and norm: ResNet-D of He et al. 2018,
        1812.01187) or "none" (by the branches alone).
    step: how the blocks' outputs join the stream.
    """

    width: Positive
    blocks: Annotated[tuple[Block, ...], Field(min_length=1)]
    stride: Positive = 1
    shortcut: Shortcut = "identity"
    step: Step = Step()

    @model_validator(mode="after")
    def _identity_keeps_the_shape(self) -> Self:
        if self.shortcut == "identity" and self.stride != 1:
            raise ValueError(
                f"shortcut 'identity' needs stride 1; given: stride={self.stride}; allowed: 'pad', 'project', 'conv', "
                "'average' or 'none'"
            )
        return self

    @model_validator(mode="after")
    def _blocks_fit_the_step(self) -> Self:
        kind, name = STEPS[self.step.kind], self.step.kind
        for j, block in enumerate(self.blocks):
            branch = BRANCHES[block.kind]
            if len(block.hidden) != branch.hidden * kind.branches:
                raise ValueError(
                    f"blocks.{j}: {kind.branches} {block.kind} branch(es) of a {name} step have "
                    f"{branch.hidden * kind.branches} hidden width(s); given: {block.hidden}"
                )
            if branch.after and not kind.after:
                raise ValueError(
                    f"blocks.{j}: a {block.kind} block has an activation after the sum, which a {name} step cannot "
                    f"carry; allowed: {', '.join(name for name, b in BRANCHES.items() if not b.after)}"
                )
            if block.mix is not None and kind.mix is None:
                raise ValueError(f"blocks.{j}: a {name} step has no mix; given: mix={block.mix}; leave it out")
            if block.times > 1 and (name != "plain" or (j == 0 and self.shortcut != "identity")):
                raise ValueError(
                    f"blocks.{j}: times={block.times} was given; allowed: in plain steps, and not in the first block "
                    "of a stage that changes the shape"
                )
            if block.mix == 1 and kind.fills == "zero":
                raise ValueError(f"blocks.{j}: a {name} step of mix 1 never hears its branch; allowed: below 1")
            if self.step.start in ("zero", "tied") and not (branch.vanishes or self.step.scale):
                raise ValueError(
                    f"blocks.{j}: a {block.kind} branch cannot start at zero and learn; use scale=True, or start random"
                )
        return self


class Head(Value):
    """Global pooling and a linear layer.

    classes: outputs of the linear layer.
    pool: how all positions become one value a channel.
    act: whether a norm and an activation stand before the pooling (the end of pre-activation networks).
    width: channels of a 1-wide convolution with norm and activation before the pooling (Sandler et al. 2018,
        1801.04381, table 2); 0 for none.
    join: how the streams of a two-stream network end: as their sum, or side by side ("concat", the authors' ImageNet
        form of merge-and-run).
    """

    classes: Positive
    pool: Literal["average", "max", "both"] = "average"
    act: bool = False
    width: Annotated[int, Field(ge=0)] = 0
    join: Literal["sum", "concat"] = "sum"


class Net(Value):
    """A whole network. Equal values are equal networks; `str(net)` shows it stage by stage.

    input: what comes in.
    stem: the first convolution.
    stages: at least one.
    head: pooling and classifier.
    norm: "batch", "group" (Wu and He 2018, 1803.08494) or "none" (a bias in its place), which needs a start that tames
        the branches: "zero", "tied" or "fixup".
    group: channels of a group of a group norm.
    act: the activation.
    padding: of convolutions with a stride: "even", by half a kernel on both sides, or "same", by what is missing and
        an odd pixel more at the end, as TensorFlow does it; for images.
    """

    input: Input
    stem: Stem
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    head: Head
    norm: Literal["batch", "group", "none"] = "batch"
    group: Positive = 8
    act: Literal["relu", "relu6", "gelu", "silu"] = "relu"
    padding: Literal["even", "same"] = "even"

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

    @model_validator(mode="after")
    def _norms_fit(self) -> Self:
        for i, stage in enumerate(self.stages):
            if self.norm == "none" and stage.step.start not in ("zero", "tied", "fixup"):
                raise ValueError(f"stages.{i}: norm 'none' needs a start of 'zero', 'tied' or 'fixup': others blow up")
            if self.norm == "batch" and STEPS[stage.step.kind].repeats:
                raise ValueError(
                    f"stages.{i}: a {stage.step.kind} step calls its branch twice, and a batch norm cannot keep the "
                    "statistics of both; use norm 'group' or 'none'"
                )
            if self.norm != "none" and stage.step.start == "fixup":
                raise ValueError(f"stages.{i}: start 'fixup' is for networks without norms; use norm='none' or 'zero'")
        if self.norm == "group":
            widths = {self.stem.width, *self.stem.deep, self.head.width} | {stage.width for stage in self.stages}
            widths |= {w for s in self.stages for b in s.blocks for w in b.convolved}
            uneven = sorted(width for width in widths if width % self.group)
            if uneven:
                raise ValueError(
                    f"widths {', '.join(map(str, uneven))} do not divide into norm groups of {self.group} channels; "
                    "use multiples, or a smaller group"
                )
        elif self.group != type(self).model_fields["group"].default:
            raise ValueError(f"group={self.group} has no effect with norm {self.norm!r}; leave it out")
        return self

    @model_validator(mode="after")
    def _streams_join(self) -> Self:
        ends = self.head.act or self.head.width
        if self.head.join == "concat" and (len(STEPS[self.stages[-1].step.kind].streams) < 2 or ends):
            raise ValueError(
                "head.join 'concat' needs a last stage of two streams and a head without act and width; use 'sum'"
            )
        if self.head.act and self.head.width:
            raise ValueError("a head has either act, a norm alone, or width, a convolution and its norm; leave one out")
        if self.padding == "same" and len(self.input.size) != 2:
            raise ValueError("padding 'same' is for images; use 'even'")
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
        """The network of a parsed JSON value; ValueError where that is none (see `from_json`)."""
        if not isinstance(value, dict) or "format" not in value:
            raise ValueError("this is no network description: a JSON object with a 'format' is expected")
        if value["format"] != FORMAT:
            raise ValueError(
                f"the network description has format {value['format']!r}; this version of zansa reads format "
                f"{FORMAT}: update zansa, or write the description with this version"
            )
        try:
            return cls.model_validate({key: part for key, part in value.items() if key != "format"})
        except ValidationError as error:
            raise ValueError(_faults(error)) from None

    def __str__(self) -> str:
        size = "x".join(map(str, self.input.size))
        widths = " - ".join(map(str, (*self.stem.deep, self.stem.width)))
        stem = f"{self.stem.kernel}-wide convolution to {widths}, stride {self.stem.stride}"
        if self.stem.separable:
            stem += ", the last two depthwise and 1-wide"
        if self.stem.contrast:
            stem = f"local contrast over {self.stem.contrast} pixels, {stem}"
        lines = [
            f"input   {self.input.channels} x {size}",
            f"stem    {stem}{', max pool' if self.stem.pool else ''}",
        ]
        lines += [f"stage {i} {_stage_text(stage)}" for i, stage in enumerate(self.stages)]
        wide = f"1-wide convolution to {self.head.width}, " if self.head.width else ""
        lines.append(f"head    {wide}{self.head.pool} pool, {self.head.classes} classes")
        if self.padding != "even":
            lines.append(f"padding {self.padding}")
        if (self.norm, self.act) != ("batch", "relu"):
            lines.append(f"norm    {self.norm}{f' of {self.group}' if self.norm == 'group' else ''}, {self.act}")
        return "\n".join(lines)


def _faults(error: ValidationError) -> str:
    """What is wrong with a description, one sentence for each fault; a fault that only follows from another is left
    out."""
    faults = [fault for fault in error.errors() if fault["type"] != "too_short"] or error.errors()
    told = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}" for fault in faults]
    return "; ".join(dict.fromkeys(text.removeprefix(": ") for text in told))


def _stage_text(stage: Stage) -> str:
    runs: list[tuple[Block, int]] = []
    for block in stage.blocks:
        if runs and runs[-1][0] == block:
            runs[-1] = (block, runs[-1][1] + 1)
        else:
            runs.append((block, 1))
    blocks = " + ".join(f"{count} x {_block_text(block)}" for block, count in runs)
    return f"width {stage.width}, stride {stage.stride}, {stage.shortcut} shortcut{_step_text(stage.step)}: {blocks}"


def _block_text(block: Block) -> str:
    groups = f", groups {block.groups}" if block.groups > 1 else ""
    mix = "" if block.mix is None else f", mix {block.mix:g}"
    times = f", {block.times} times" if block.times > 1 else ""
    return f"{block.kind}({', '.join(map(str, block.hidden))}{groups}{mix}{times})"


def _step_text(step: Step) -> str:
    parts = ["" if step.kind == "plain" else f"{step.kind} step", "" if step.h == 1 else f"step length {step.h:g}"]
    parts += ["learned scale" if step.scale else "", "" if step.start == "random" else f"{step.start} start"]
    return "".join(f", {part}" for part in parts if part)


def in_short(net: Net) -> str:
    """A network in one line: the stream's width of each stage, and its blocks' inner widths."""
    return " | ".join(
        f"{stage.width}({', '.join('-'.join(map(str, block.hidden)) for block in stage.blocks)})"
        for stage in net.stages
    )
