"""What was asked of networks that are trained: to compare, change, explain and serve them. One frozen value a verb.

The fields' descriptions are the help of the command line's options (see zansa.options). What trainings are asked for is
in request.py.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from .request import Budgets


class CompareRequest(BaseModel):
    """Finished runs that are to be compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: Annotated[tuple[str, ...], Field(description="Folders of finished runs; smaller budgets belong to theirs.")]
    margin: Annotated[float, Field(gt=0, lt=1, description="Not worse: at most this share of parts fewer.")] = 0.02
    confidence: Annotated[float, Field(ge=0.5, lt=1, description="Confidence of intervals and tests.")] = 0.95
    cost: Annotated[
        str | None,
        Field(description='Costs of mistakes, such as "miss=500,false_alarm=8"; by default both weigh alike.'),
    ] = None
    defect_rate: Annotated[
        float | None, Field(gt=0, lt=1, description="Share of defective parts in production, for --cost.")
    ] = None
    page: Annotated[str, Field(description="The page to write.")] = "compare.html"
    lang: Annotated[Literal["en", "ja"], Field(description="Language of the page: en or ja.")] = "en"
    most_ms: Annotated[float | None, Field(gt=0, description="Milliseconds an image that the device can afford.")] = (
        None
    )


class OfTrained(BaseModel):
    """A trained network and its data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(description="A run's folder, a .safetensors file, or foreign weights with --net.")]
    source: Annotated[
        str | None, Field(description="Labelled data, as for train; a run knows its own and needs none.")
    ] = None
    root: Annotated[str | None, Field(description="Folder of the public data sets.")] = None
    download: Annotated[bool, Field(description="Fetch a public data set that is not there yet.")] = False
    seed: Annotated[int, Field(ge=0, lt=2**31, description="The seed of the split; a run keeps its own.")] = 0


class DepthRequest(OfTrained):
    """A trained network whose depth is to be seen as time, and perhaps changed."""

    net: Annotated[str | None, Field(description="The network that foreign weights are of.")] = None
    halve: Annotated[bool, Field(description="Make a run with half the blocks.")] = False
    to: Annotated[int | None, Field(ge=1, description="Make a run with so many blocks.")] = None
    loss: Annotated[
        float | None,
        Field(ge=0, le=100, description="Make a run with as few blocks as cost at most so many points of accuracy."),
    ] = None
    by: Annotated[
        str,
        Field(description="Ways to have fewer blocks, with commas: delete, average, tie, project, parallel."),
    ] = "delete,average,project,parallel"
    refine: Annotated[
        Literal["euler", "midpoint"] | None,
        Field(description="Make a run with every step split into two: copies (euler), or weights between (midpoint)."),
    ] = None
    heal: Annotated[int, Field(ge=0, description="Train what was made for so many epochs.")] = 0
    lang: Annotated[
        Literal["en", "ja"] | None, Field(description="Language of the pages: en or ja; a run's own by default.")
    ] = None
    out: Annotated[str, Field(description="Where runs are kept.")] = "runs"
    name: Annotated[str | None, Field(description="The name of the run that is made.")] = None

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to have fewer blocks."""
        return tuple(self.by.split(","))

    @property
    def changes(self) -> bool:
        """Whether a network is to be made."""
        return self.aims or self.loss is not None or self.refine is not None

    @property
    def aims(self) -> bool:
        """Whether a number of blocks is asked for."""
        return self.halve or self.to is not None

    @model_validator(mode="after")
    def _agrees(self) -> "DepthRequest":
        known = ("delete", "average", "tie", "project", "parallel")
        if unknown := [way for way in self.ways if way not in known]:
            raise ValueError(f"--by {', '.join(unknown)} was asked; allowed: {', '.join(known)}, with commas between")
        if self.refine is not None and (self.halve or self.to is not None or self.loss is not None):
            raise ValueError("--refine makes more blocks, and --halve, --to and --loss make fewer; leave one out")
        if self.halve and self.to is not None:
            raise ValueError("--halve and --to both say how many blocks shall remain; leave one out")
        if self.heal and not self.changes:
            raise ValueError("--heal trains what was made; say what: --halve, --to, --loss or --refine")
        return self


class CompressRequest(OfTrained):
    """A trained network that is to become smaller."""

    model: Annotated[str, Field(description="A run's folder or a .safetensors file.")]
    budget: Annotated[
        Budgets | None, Field(description="Prune to a limit: macs=20M, params=300k, bytes=1.2M or ms=2.5.")
    ] = None
    int8: Annotated[bool, Field(description="Quantise the exported file to 8-bit integers.")] = False
    teacher: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value or ()),
        Field(description="Runs to learn from, with commas between; the unpruned network by default."),
    ] = ()
    unlabelled: Annotated[
        str | None, Field(description="Folder of images without labels, on which the teachers are imitated too.")
    ] = None
    distil: Annotated[bool, Field(description="Learn from the teachers again, also where nothing is pruned.")] = False
    epochs: Annotated[int | None, Field(ge=1, description="Epochs of this training; as usual by default.")] = None
    margin: Annotated[float, Field(gt=0, lt=1, description="Not worse: at most this share of parts fewer.")] = 0.02
    lang: Annotated[
        Literal["en", "ja"] | None, Field(description="Language of the pages: en or ja; a run's own by default.")
    ] = None
    out: Annotated[str, Field(description="Where runs are kept.")] = "runs"
    name: Annotated[str | None, Field(description="The name of the run that is made.")] = None

    @model_validator(mode="after")
    def _asks(self) -> "CompressRequest":
        if self.budget is None and not self.int8 and not (self.distil or self.teacher or self.unlabelled):
            raise ValueError("nothing was asked; allowed: --budget, --int8, --distil, --teacher, or several of them")
        if self.budget is not None and len(self.budget) > 1:
            raise ValueError("several budgets were asked; allowed: one, and another command for another")
        return self


class ServeRequest(BaseModel):
    """Models that are to be served, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Annotated[
        tuple[str, ...],
        Field(description="Exported .onnx files or runs, as MODEL or NAME=MODEL; or what the store has."),
    ] = ()
    host: Annotated[str, Field(description="Where to listen; 0.0.0.0 lets other machines ask.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="The port; 0 takes a free one.")] = 8000
    store: Annotated[str, Field(description="Folder of the store: answers, images and versions of models.")] = "store"
    key_file: Annotated[str | None, Field(description="File of hashed keys; without it anyone may ask.")] = None
    shadow: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value or ()),
        Field(description="A model that answers beside and never acts: MODEL, or NAME=MODEL with commas between."),
    ] = ()
    golden: Annotated[
        str | None, Field(description="Folder of golden images, a folder a class; new versions must answer them.")
    ] = None
    watch: Annotated[str | None, Field(description="Folder whose new images are judged.")] = None
    done: Annotated[str | None, Field(description="Folder for images that were judged.")] = None
    mqtt: Annotated[str | None, Field(description="Broker of the line: mqtt://HOST:1883/TOPIC.")] = None
    modbus: Annotated[str | None, Field(description="Where the line's PLC finds Modbus TCP: HOST:PORT.")] = None
    line_deadline: Annotated[
        float, Field(gt=0, le=60, description="Seconds after which an announced part is rejected.")
    ] = 1.0
    deadline: Annotated[float, Field(gt=0, le=60, description="Seconds within which a request is answered.")] = 2.0
    queue: Annotated[int, Field(ge=1, le=10_000, description="Images that wait at once, at most.")] = 64
    max_megabytes: Annotated[float, Field(gt=0, le=1000, description="Largest body of a request, MB.")] = 20
    max_megapixels: Annotated[float, Field(gt=0, le=100, description="Largest image, million pixels.")] = 50
    quota: Annotated[float, Field(gt=0, description="GB of images on the disk; the oldest accepted ones go first.")] = (
        10
    )
    keep_accepted: Annotated[
        float, Field(ge=0, le=1, description="Share of accepted images that is kept; all others are kept.")
    ] = 1
    shifts: Annotated[str, Field(description="When shifts begin.")] = "06:00,14:00,22:00"


class ExplainRequest(BaseModel):
    """Images or series whose answers are to be explained.

    model: a run's folder or a .safetensors file.
    images: files and folders, or tables of series.
    data: labelled data that the model learned from; the nearest of them are shown. None: without.
    masks: a folder of masks of defects, named like the run's images, which calibrate the verdict. None: without.
    map: which kind of map is drawn.
    most: how many samples are explained.
    page: the page to write.
    lang: its language.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    images: tuple[str, ...]
    data: str | None = None
    masks: str | None = None
    map: Literal["relevance", "stage", "class", "occlusion"] = "relevance"
    most: Annotated[int, Field(ge=1, le=500)] = 24
    page: str = "explain.html"
    lang: Literal["en", "ja"] = "en"
