"""How to train, as a frozen value. It needs no torch.

Every field carries its description; the descriptions of fields that are options of the command line are their help (see
zansa.options).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Chance = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=0)]


class Tuning(BaseModel):
    """How the parts of a network learn. The parts are the stem, the stages and the head, counted from the input.

    Norms of parts that do not learn keep their statistics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frozen: Annotated[int, Field(ge=0, description="So many parts from the input keep their weights.")] = 0
    # discriminative rates: Howard and Ruder 2018, 1801.06146, section 3.2
    factor: Annotated[
        float, Field(gt=0, le=1, description="Each part nearer to the input learns at this multiple of the next rate.")
    ] = 1.0
    # gradual unfreezing: the same paper, section 3.3
    thaw: Annotated[
        Share, Field(description="Share of the training in which the parts begin to learn, from the head down.")
    ] = 0.0


class Augment(BaseModel):
    """What may happen to a sample in training; zero or False switches a change off. Samples are in normalised units
    (mean 0, standard deviation 1).

    A series counts as an image of one row: shift moves it and zoom stretches it in time, flip_x reverses time, contrast
    scales its amplitude, brightness moves its level, erase blanks a stretch of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip_x: Annotated[bool, Field(description="Half of the images are mirrored, left and right.")] = False
    flip_y: Annotated[bool, Field(description="Half of the images are mirrored, top and bottom.")] = False
    quarter_turns: Annotated[
        bool, Field(description="Images are turned by 0, 90, 180 or 270 degrees, equally often; square images only.")
    ] = False
    shift: Annotated[
        float, Field(ge=0, le=0.5, description="Images move by up to this fraction of each side, in whole pixels.")
    ] = 0.0
    rotate: Annotated[float, Field(ge=0, le=45, description="Images turn by up to so many degrees either way.")] = 0.0
    zoom: Annotated[Share, Field(description="Images become up to 1 + zoom times larger or smaller.")] = 0.0
    shear: Annotated[Share, Field(description="Images lean sideways by up to this share of the height.")] = 0.0
    # Interpolation softens: so the network also learns from pictures as sharp and as grainy as those it meets in use.
    warped: Annotated[Share, Field(description="Only this share of the images is turned, zoomed and sheared.")] = 0.5
    contrast: Annotated[
        Chance, Field(description="Differences from the image's mean are multiplied by 1 - contrast to 1 + contrast.")
    ] = 0.0
    brightness: Annotated[Amount, Field(description="Up to so much is added or taken away.")] = 0.0
    noise: Annotated[Amount, Field(description="Gaussian noise has a standard deviation of up to this.")] = 0.0
    erase: Annotated[Share, Field(description="A box is set to 0, each side up to this fraction of the image's.")] = 0.0
    reverse_complement: Annotated[
        bool, Field(description="Half of the DNA sequences are read from the other strand.")
    ] = False


class Recipe(BaseModel):
    """How to train. Rates are functions of progress in [0, 1); every share is a share of the whole training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, Field(ge=1, description="How often every training sample is shown.")] = 30
    batch: Annotated[int, Field(ge=2, description="Samples of one step.")] = 64
    optimizer: Annotated[Literal["sgd", "adamw"], Field(description="sgd or adamw.")] = "sgd"
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False, description="Peak learning rate, for a whole batch.")] = 0.1
    momentum: Annotated[Share, Field(description="Momentum of SGD (Nesterov).")] = 0.9
    decay: Annotated[Amount, Field(description="Weight decay, on weights of convolutions and linear layers only.")] = (
        5e-4
    )
    warmup: Annotated[Share, Field(description="Share in which the rate rises to its peak.")] = 0.05
    hold: Annotated[Share, Field(description="Share in which it stays there; then it falls as a cosine to zero.")] = 0.0
    keep: Annotated[
        Literal["best", "last"],
        Field(description="The last weights that are as good on validation as the best, or the last of all."),
    ] = "best"
    smoothing: Annotated[Share, Field(description="Smoothing of the labels.")] = 0.05
    average: Annotated[
        Share, Field(description="Half-life of the running average of weights that is evaluated and kept.")
    ] = 0.01
    # logit adjustment: Menon et al. 2020, 2007.07314
    balance: Annotated[
        Literal["none", "logit", "weights"],
        Field(
            description="What is done about rare classes: none; logit adds the log of each class's share to the logits "
            "in training; weights divides each class's loss by the square root of its share."
        ),
    ] = "logit"
    # repeat factor sampling: Gupta, Dollar and Girshick 2019, 1908.03195, section 4
    repeat: Annotated[
        Share,
        Field(
            description="A class with a share f of the training samples below this is shown sqrt(repeat / f) times as "
            "often, the others that much more seldom; 0: every sample as often."
        ),
    ] = 0.0
    clip: Annotated[float, Field(gt=0, description="Largest norm of the gradient.")] = 5.0
    patience: Annotated[
        Share,
        Field(description="Training stops when validation has not improved for this share after the hold; 0: never."),
    ] = 0.5
    dropout: Annotated[Chance, Field(description="Chance of a value inside a block to be left out.")] = 0.0
    stochastic_depth: Annotated[Chance, Field(description="Chance of the last block's branches to be left out.")] = 0.0
    tuning: Annotated[Tuning, Field(description="Which parts learn, and how fast.")] = Tuning()
    augment: Annotated[Augment, Field(description='Changes of the images as "flip_x=true,rotate=0", or "none".')] = (
        Augment()
    )
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], Field(description="auto (timed at the start), float32 or bfloat16.")
    ] = "auto"
    layout: Annotated[
        Literal["auto", "channels_first", "channels_last"],
        Field(description="Order of the values in memory: auto (timed at the start), channels_first or channels_last."),
    ] = "auto"
    # torch.compile needs a C++ compiler and a minute or two before the first step; two runs may differ in the last bits
    compile: Annotated[bool, Field(description="Let torch write code for the network: slow to begin, then faster.")] = (
        False
    )
    memory: Annotated[
        Literal["store", "checkpoint", "reversible", "adjoint"],
        Field(
            description="What is kept for the backward pass: store (everything), checkpoint (the stream now and then), "
            "reversible or adjoint (the end of a stage; for networks of such steps)."
        ),
    ] = "store"
    levels: Annotated[
        int,
        Field(ge=1, le=6, description="Train a network with fewer, longer steps first, doubled at so many levels."),
    ] = 1
    fuse: Annotated[
        Amount, Field(description="Strength of the fused Layer-LASSO, which makes neighbouring blocks equal; 0: none.")
    ] = 0.0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu or cuda.")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31, description="The seed of everything that is random.")] = 0
    checkpoint: Annotated[Amount, Field(description="Seconds between two saved states.")] = 30.0

    @model_validator(mode="after")
    def _falls(self) -> "Recipe":
        if self.warmup + self.hold > 1 + 1e-9:
            raise ValueError(f"warmup={self.warmup:g} and hold={self.hold:g} were given; allowed: at most 1 together")
        if self.compile and (self.memory != "store" or self.levels > 1):
            raise ValueError(
                "compile was asked with memory or levels; leave one out: a compiled network stays as it is"
            )
        if self.repeat and self.balance != "logit":
            raise ValueError(
                f"repeat {self.repeat:g} and balance {self.balance!r} were asked; allowed: balance 'logit', because it "
                "alone takes the shares that were shown out of the answers again"
            )
        if self.memory in ("reversible", "adjoint") and self.precision == "bfloat16":
            raise ValueError(
                f"memory {self.memory!r} and precision 'bfloat16' were asked; allowed: float32, because what is "
                "computed backwards must be exact"
            )
        return self
