"""How to train, as a frozen value. It needs no torch."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Tuning(BaseModel):
    """How the parts of a network learn: stem, stages and head, counted from the input.

    frozen: so many parts from the input never learn. factor: each part nearer to the input learns at this multiple of
    the rate of the next (discriminative rates, Howard and Ruder 2018, 1801.06146, section 3.2). thaw: over this share
    of the training the parts begin to learn one after the other, from the head down (there, section 3.3). Norms of
    parts that do not learn keep their statistics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frozen: Annotated[int, Field(ge=0)] = 0
    factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    thaw: Annotated[float, Field(ge=0, le=1)] = 0.0


class Augment(BaseModel):
    """What may happen to an image in training; zero or False = off. Images are in normalised units (mean 0, std 1).

    A series is an image of one row: shift moves and zoom stretches it in time, flip_x reverses time, contrast scales
    its amplitude, brightness its level, erase blanks a stretch of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip_x: bool = False  # left and right, half of the images
    flip_y: bool = False  # top and bottom, half of the images
    quarter_turns: bool = False  # 0, 90, 180 or 270 degrees, equally often; square images only
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # up to this fraction of each side, in whole pixels
    rotate: Annotated[float, Field(ge=0, le=45)] = 0.0  # up to so many degrees either way
    zoom: Annotated[float, Field(ge=0, le=1)] = 0.0  # up to 1 + zoom times larger or smaller
    shear: Annotated[float, Field(ge=0, le=1)] = 0.0  # sideways by up to this share of the height
    # Interpolation softens. Only this share of the images is turned, zoomed and sheared, so that the network also
    # learns from pictures as sharp and as grainy as those it will meet in use.
    warped: Annotated[float, Field(ge=0, le=1)] = 0.5
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0  # differences from the image's mean times 1 - c .. 1 + c
    brightness: Annotated[float, Field(ge=0)] = 0.0  # up to so much added or taken away
    noise: Annotated[float, Field(ge=0)] = 0.0  # Gaussian, of a standard deviation up to this
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0  # a box set to 0, each side up to this fraction of the image's
    reverse_complement: bool = False  # half of the DNA sequences are read from the other strand


Share = Annotated[float, Field(ge=0, le=1)]


class Recipe(BaseModel):
    """How to train. Rates are functions of progress in [0, 1); every share is of the whole training.

    rate: the peak, for a batch of `batch`; warmup: share of the steps on the way up to it, hold: share in which it
    stays there, then a cosine to zero. keep: the weights of the epoch that was best on validation, or of the last.
    decay: weight decay, on weights of convolutions and linear layers only. smoothing: of the labels.
    average: half-life of the running average of weights that is evaluated and kept, as a share of the training.
    balance: "none"; "logit" adds the log of each class's share to the logits in training (Menon et al. 2020,
    2007.07314), so that rare classes count as much as common ones; "weights" divides each class's loss by the square
    root of its share. clip: largest norm of the gradient. patience: stop when validation has not improved for this
    share of the training, behind the hold (0: never). dropout, stochastic_depth: chances (see nets.noise). tuning:
    which parts learn, and how fast. compile: let torch write code for this network (torch.compile; needs a C++
    compiler, and a minute or two before the first step; two runs may differ in the last bits). checkpoint: seconds
    between two saved states.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=2)] = 64
    optimizer: Literal["sgd", "adamw"] = "sgd"
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    momentum: Share = 0.9
    decay: Annotated[float, Field(ge=0)] = 5e-4
    warmup: Share = 0.05
    hold: Share = 0.0
    keep: Literal["best", "last"] = "best"
    smoothing: Share = 0.05
    average: Share = 0.01
    balance: Literal["none", "logit", "weights"] = "logit"
    clip: Annotated[float, Field(gt=0)] = 5.0
    patience: Share = 0.5
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    stochastic_depth: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tuning: Tuning = Tuning()
    augment: Augment = Augment()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    layout: Literal["auto", "channels_first", "channels_last"] = "auto"
    compile: bool = False
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    checkpoint: Annotated[float, Field(ge=0)] = 30.0

    @model_validator(mode="after")
    def _falls(self) -> "Recipe":
        if self.warmup + self.hold > 1 + 1e-9:
            raise ValueError(f"warmup={self.warmup:g} and hold={self.hold:g} were given; allowed: at most 1 together")
        return self
