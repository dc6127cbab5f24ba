"""How a network is fed and how its answer is read: the two small values that travel with every model file."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]


class Preprocess(BaseModel):
    """From an image file, or a row of a table, to the network's input.

    An image (`size` is (height, width)) is decoded to `channels` channels of `depth` bits, brought to `size` by `fit`
    (letterbox keeps the proportions and fills the rest with `fill`; stretch does not; neither ever crops), and
    becomes (level - mean) / std, where mean and std are in raw levels (0..255 or 0..65535), one per channel.

    A series (`size` is (length,)) is a signal of `channels` numbers at a time, in float32 (`depth` 32), or a sequence
    of letters. stretch brings it to the length by linear interpolation; letterbox keeps its pace, repeats the last
    numbers up to the length, and cuts off what is too long. `alphabet` has the letter of each channel; levels are
    then twelfths: 12 where that letter stands, 6 and 6 where it may be one of two, 0 where there is none. `columns` are
    the names of the columns that a signal was read from, where a table had such: one for each number of a row, or,
    where each row was one moment, one for each channel.
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


class OperatingPoint(BaseModel):
    """Where inspection draws the line: an image is rejected when 1 - p(good) >= threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    good: str
    threshold: Annotated[float, Field(ge=0, le=1)]
    rule: str = ""
