"""What was asked for, as one value."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..learn.data.public import SETS as PUBLIC_SETS

Tell = Callable[[dict[str, Any]], None]


def silent(event: dict[str, Any]) -> None:
    """Tell nobody."""


Side = Annotated[int, Field(ge=8, le=2048)]


class Request(BaseModel):
    """What was asked for; None leaves the choice to zansa. It stays in the run's folder, so that `resume` can go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    net: str | None = None
    good: str | None = None
    max_false_alarms: Annotated[float, Field(ge=0, lt=1)] = 0.02
    size: tuple[Side, Side] | None = None
    fit: Literal["letterbox", "stretch"] = "stretch"
    channels: Literal[1, 3] | None = None
    kind: Literal["surface", "symbol", "natural", "signal", "sequence"] | None = None
    root: str | None = None
    download: bool = False
    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    recipe: dict[str, Any] = {}
    weights: str | None = None
    budget: str | None = None
    method: Literal["zansa", "resbuilder"] = "zansa"
    mend: tuple[str, ...] = ()


def written(budget: str | None) -> str:
    """A budget as a part of a folder's name."""
    return str(budget).replace("=", "-").replace("+", "")


def absolute(source: str) -> str:
    """A path that stays true from any folder; names of built-in and public sets as they are."""
    if not source.strip():
        raise ValueError("no data was named; name a folder, a table, an .npz or a public set ('.' is this folder)")
    if source == "synthetic" and Path(source).exists():
        raise ValueError("'synthetic' means the built-in set, and a folder of that name is here too: write ./synthetic")
    return source if source in {"synthetic", *PUBLIC_SETS} else str(Path(source).absolute())


def free(request: Request) -> bool:
    """Whether zansa is to find all of the network."""
    return (request.method, request.net, request.weights) == ("zansa", None, None) and request.budget is not None


def _stem(source: str) -> str:
    """A run's name from its data."""
    path = Path(source)
    return path.stem if path.suffix else path.resolve().name
