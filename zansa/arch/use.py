"""How a network is fed and how its answer is read: the two small values that travel with every model file."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]


class Preprocess(BaseModel):
    """From an image file to the network's input.

    An image is decoded to `channels` channels of `depth` bits, brought to `size` = (height, width) by `fit`
    (letterbox keeps the proportions and fills the rest with `fill`; stretch does not; neither ever crops), and
    becomes (level - mean) / std, where mean and std are in raw levels (0..255 or 0..65535), one per channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: Positive
    size: tuple[Positive, Positive]
    fit: Literal["letterbox", "stretch"] = "letterbox"
    fill: tuple[int, ...] = (0,)
    depth: Literal[8, 16] = 8
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


class OperatingPoint(BaseModel):
    """Where inspection draws the line: an image is rejected when 1 - p(good) >= threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    good: str
    threshold: Annotated[float, Field(ge=0, le=1)]
    rule: str = ""
