"""How a network is fed and how its answer is read: the small values that travel with every model file."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]


class Preprocess(BaseModel):
    """From an image file, or a row of a table, to the network's input.

    An image is decoded to `channels` channels, brought to `size` by `fit`, and becomes (level - mean) / std. A series
    is a signal of numbers or a sequence of letters; it is brought to its length in the same way.

    channels: channels of an image; numbers of a signal at a time; letters of the alphabet.
    size: (height, width) of an image, (length,) of a series.
    fit: "letterbox" keeps an image's proportions and fills the rest with `fill`, and "stretch" does not keep them;
        neither crops. Of a series, "stretch" interpolates linearly to the length, and "letterbox" keeps the pace,
        repeats the last numbers up to the length, and cuts off what is too long.
    fill: the level of the rest, one a channel or one for all.
    depth: bits of a level: 8 or 16 of an image, 32 (float32) of a signal, 8 of a sequence.
    alphabet: the letter of each channel of a sequence. Levels are then twelfths: 12 where that letter stands, 6 and 6
        where it may be one of two, 0 where there is none.
    mean, std: in raw levels (0..255 or 0..65535), one a channel or one for all.
    columns: the names of the columns that a signal was read from, where a table had such: one for each number of a
        row or, where each row was one moment, one for each channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: Positive
    size: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=2)]
    fit: Literal["letterbox", "stretch"] = "letterbox"
    fill: tuple[int, ...] = (0,)
    depth: Literal[8, 16, 32] = 8
    alphabet: str = ""
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> "Preprocess":
        for name in ("fill", "mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} values; allowed: 1 or {self.channels} (one per channel)"
                )
        return self

    @model_validator(mode="after")
    def _image_or_series(self) -> "Preprocess":
        depths = ((8,) if self.alphabet else (32,)) if self.series else (8, 16)
        if self.depth not in depths or (self.alphabet and not self.series):
            raise ValueError(
                f"depth {self.depth} and alphabet {self.alphabet!r} do not go with size {self.size}; allowed: 8 or 16 "
                "bits for images, 32 for signals, 8 and an alphabet for sequences of letters"
            )
        if self.alphabet and (len(self.alphabet) != self.channels or self.fit != "letterbox"):
            raise ValueError(f"an alphabet of {len(self.alphabet)} letters needs as many channels, and fit 'letterbox'")
        if self.columns and (not self.series or self.alphabet):
            raise ValueError(f"names of columns were given for {self.noun}s; allowed: for signals")
        return self

    @property
    def series(self) -> bool:
        """Whether a sample has one axis, and not an image's two."""
        return len(self.size) == 1

    @property
    def by_moments(self) -> bool | None:
        """Whether a row of the table that was learned from was one moment of a series, and not a sample; None where it
        is not known."""
        return len(self.columns) == self.channels if self.columns else None

    @property
    def noun(self) -> str:
        """What a sample is called: "image", "signal" or "sequence"."""
        return "image" if not self.series else "sequence" if self.alphabet else "signal"

    @property
    def dtype(self) -> str:
        """NumPy's name of the type of raw levels."""
        return {8: "uint8", 16: "uint16", 32: "float32"}[self.depth]


class Calibration(BaseModel):
    """From logits f to probabilities that mean what they say: softmax(scale f + shift).

    scale: one number for all classes, above 0.
    shift: one number a class: the log of its share, as far as the training took that out of the answers.
    prior: the shares of the classes for which the probabilities are true.
    count: the validation parts that it was fitted on.
    before, after: log loss on them of softmax(f), and with this calibration.
    fitted: False where the parts were too few: the scale is 1 then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: Annotated[float, Field(gt=0)]
    shift: tuple[float, ...]
    prior: tuple[float, ...]
    count: int
    before: float
    after: float
    fitted: bool


class OperatingPoint(BaseModel):
    """Where inspection draws its lines. A sample is rejected when 1 - p(good) >= threshold; a person is asked when it
    is below that and >= `ask`; else it is accepted.

    good: the class without a defect.
    threshold: from 0 to 1.
    rule: how the lines were chosen, in words.
    ask: from 0 to the threshold; None where nobody is asked.
    basis: what the rule promises: "on average", "with 95 % confidence", "by cost", or "" in older files.
    odds: `ask` and `threshold` as log odds of a defect, log((1 - p(good)) / p(good)), which decide: near a probability
        of 1 only they keep a line strictly above the scores. None in older files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    good: str
    threshold: Annotated[float, Field(ge=0, le=1)]
    rule: str = ""
    ask: Annotated[float, Field(ge=0, le=1)] | None = None
    basis: str = ""
    odds: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "OperatingPoint":
        if self.ask is not None and self.ask > self.threshold:
            raise ValueError(f"a person is asked from {self.ask} on, and parts are rejected from {self.threshold} on")
        if self.odds is not None and self.odds[0] > self.odds[1]:
            raise ValueError(f"the lines {self.odds} are not in rising order")
        return self
