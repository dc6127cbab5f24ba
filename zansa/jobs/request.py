"""What was asked for: one frozen value a verb, with just the fields that the verb uses.

The fields' descriptions are the help of the command line's options (see zansa.options). A request stays in the run's
folder as request.json, so that `resume` can go on.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter, model_validator

from ..arch.budget import Budget, parse, written

Tell = Callable[[dict[str, Any]], None]


def silent(event: dict[str, Any]) -> None:
    """Tell nobody."""


OLD_SHARE = 0.02  # of false alarms, which older versions wrote where nothing was asked
BEGINNINGS = ("auto", "drawn", "none")  # any other is a run or a file
Side = Annotated[int, Field(ge=8, le=2048)]
Budgets = Annotated[
    tuple[Budget, ...],
    BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value),
    PlainSerializer(written, when_used="json"),
]


class DataRequest(BaseModel):
    """Labelled data to be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[
        str,
        Field(description="A folder, a manifest, list or table (.csv, .parquet, .json, .ts), an .npz, a public set."),
    ]
    root: Annotated[str | None, Field(description="Folder of the public data sets.")] = None
    download: Annotated[bool, Field(description="Fetch a public data set that is not there yet.")] = False


class Pointed(BaseModel):
    """Where inspection is to draw its line; nothing asked: at most 2 % false alarms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost: Annotated[
        str | None,
        Field(description="Draw the line by the costs of one part: miss=500,false_alarm=8 (and ask=2, for a person)."),
    ] = None
    defect_rate: Annotated[float | None, Field(description="Share of defective parts in production, with --cost.")] = (
        None
    )
    recall_at_least: Annotated[float | None, Field(description="Share of defective parts to be found, as 0.99.")] = None
    false_alarms_at_most: Annotated[
        float | None, Field(description="Share of good parts that may be rejected; 0.02 where nothing is asked.")
    ] = None
    on_average: Annotated[
        bool, Field(description="Promise these shares on average alone, not with 95 % confidence.")
    ] = False


class EvaluateRequest(DataRequest, Pointed):
    """A model and labelled data on which its figures are wanted, at its working point or at another one."""

    point: Annotated[
        str | None,
        Field(description="Look at another line: reject=0.3 of 1 - p(good), or reject=0.3,ask=0.1 with a person."),
    ] = None
    model: Annotated[str, Field(description="A run's folder, a .safetensors or an .onnx file.")]


class CheckRequest(DataRequest):
    """Labelled images that are to be looked at before anything learns from them."""

    group: Annotated[
        str | None, Field(description="A rule that groups images of one part by their names, as check offers it.")
    ] = None
    fix: Annotated[str | None, Field(description="Write a cleaned manifest (.csv), with a reason in changed rows.")] = (
        None
    )
    page: Annotated[str | None, Field(description="The page to write; by default runs/DATA-check.html.")] = None
    skip_labels: Annotated[bool, Field(description="Do not look for wrong labels, which takes the longest.")] = False
    strict: Annotated[bool, Field(description="End with exit code 1 when an error or a warning was found.")] = False
    lang: Annotated[Literal["en", "ja"], Field(description="The language of text and page: en or ja.")] = "en"
    seed: Annotated[int, Field(ge=0, lt=2**31, description="The seed of the tests that draw lots.")] = 0


class TrainingRequest(DataRequest, Pointed):
    """What all trainings are asked; None leaves a choice to zansa."""

    net: Annotated[str | None, Field(description="A network of the zoo or a spec.json; by default one that suits.")] = (
        None
    )
    good: Annotated[str | None, Field(description="The class without a defect; found by its name by default.")] = None
    size: Annotated[
        tuple[Side, Side] | None,
        Field(description="Size of the network's images: 64 or 64x96 (height x width); length of its series."),
    ] = None
    fit: Annotated[
        Literal["letterbox", "stretch"],
        Field(description="letterbox keeps proportions, stretch does not; images are never cropped."),
    ] = "stretch"
    channels: Annotated[Literal[1, 3] | None, Field(description="1 or 3; as the images are by default.")] = None
    kind: Annotated[
        Literal["surface", "symbol", "natural", "signal", "sequence"] | None,
        Field(description="surface, symbol or natural: which augmentation of images is safe."),
    ] = None
    val: Annotated[float, Field(gt=0, lt=1, description="Share of the data for validation, when none is given.")] = 0.15
    test: Annotated[float, Field(gt=0, lt=1, description="Share of the data for the test, when none is given.")] = 0.15
    seed: Annotated[int, Field(ge=0, lt=2**31, description="The seed of the split and of the training.")] = 0
    below_learned: Annotated[
        bool,
        Field(
            description="Draw the line below the defects that were learned from too, as far as the share of false "
            "alarms allows; not with a line by costs or by recall alone."
        ),
    ] = False
    language: Annotated[Literal["en", "ja"], Field(description="Language of report and card: en or ja.")] = "en"
    begin: Annotated[
        str,
        Field(
            description="What the network begins with: drawn (weights learned from drawn pictures), none, a run or a "
            "file of weights, or auto (what was measured to be best)."
        ),
    ] = "auto"
    race: Annotated[
        Literal["auto", "none"],
        Field(description="auto lets the data speak against a default (mirroring, the contrast stem); none does not."),
    ] = "auto"
    recipe: Annotated[
        dict[str, Any], Field(description="Fields of the recipe that were asked for; zansa chooses the others.")
    ] = {}

    @model_validator(mode="after")
    def _line_can_go_down(self) -> "TrainingRequest":
        by_recall = self.recall_at_least is not None and self.false_alarms_at_most is None
        if self.below_learned and (self.cost is not None or by_recall):
            option = "--cost" if self.cost is not None else "--recall-at-least"
            raise ValueError(
                f"--below-learned goes as far as the share of false alarms allows, and {option} alone gives none: "
                "leave one out, or type --false-alarms-at-most 0.02"
            )
        return self


class Taught(TrainingRequest):
    """A network of fixed structure, which may learn from another one."""

    teacher: Annotated[
        str | None,
        Field(
            description="Learn from this network's answers too: a run on the same classes, or efficientnet_lite0 of "
            "zansa[imagenet]."
        ),
    ] = None
    unlabelled: Annotated[
        str | None, Field(description="Folder of images without labels, of which the teacher is asked too.")
    ] = None

    @model_validator(mode="after")
    def _has_teacher(self) -> "Taught":
        if self.unlabelled is not None and self.teacher is None:
            raise ValueError("images without labels were named, and nobody to say what they are; add --teacher")
        if self.teacher is not None and self.recipe.get("levels", 1) > 1:
            raise ValueError("--teacher and --levels were asked; leave one out")
        return self


class TrainRequest(Taught):
    """A network of fixed structure that is to be trained."""

    verb: Literal["train"] = "train"
    folds: Annotated[
        int | None,
        Field(
            ge=2,
            le=20,
            description="Hold every sample out once, in so many parts, and prove the job by all of them; then one "
            "network learns from all. For few samples; takes as much longer.",
        ),
    ] = None

    @model_validator(mode="after")
    def _folds_fit(self) -> "TrainRequest":
        if self.folds is not None and self.teacher is not None:
            raise ValueError(
                "--folds and --teacher were asked; leave one out: a teacher that has learned from all images would "
                "tell each fold about those held out"
            )
        return self


class FinetuneRequest(Taught):
    """A network with learned weights that is to be trained further, for other images and classes."""

    verb: Literal["finetune"] = "finetune"
    weights: Annotated[
        str | None,
        Field(
            description="A run, a zansa model, weights of torchvision, timm or others (.pth, .safetensors ...), or "
            "efficientnet_lite0 of zansa[imagenet]; those from drawn pictures by default."
        ),
    ] = None
    linear: Annotated[
        bool,
        Field(description="Fit the classifier alone, by logistic regression on what the weights see: in seconds."),
    ] = False

    @model_validator(mode="after")
    def _linear_fits(self) -> "FinetuneRequest":
        if self.linear and (
            named := sorted(self.recipe.keys() & {"epochs", "rate", "batch", "repeat", "tuning", "momentum"})
        ):
            raise ValueError(
                f"--linear fits the classifier alone: {', '.join(named)} would have no effect; leave it out"
            )
        if self.linear and self.teacher is not None:
            raise ValueError("--linear fits the classifier to the labels alone, so --teacher would have no effect")
        return self


class GrowRequest(TrainingRequest):
    """A network whose structure is to be found in its training, under a budget."""

    verb: Literal["grow"] = "grow"
    budget: Annotated[
        Budgets,
        Field(description="The limit: macs=20M, params=300k, bytes=1.2M or ms=2.5; several: macs=5M,10M."),
    ]
    weights: Annotated[
        str | None,
        Field(description="Begin with a trained network: a run, a model, foreign weights, or efficientnet_lite0."),
    ] = None
    method: Annotated[Literal["zansa", "resbuilder"], Field(description="zansa, or resbuilder as published.")] = "zansa"
    mend: Annotated[
        tuple[str, ...],
        Field(description="Faults of resbuilder that are mended: all, or names with commas between them."),
    ] = ()

    @model_validator(mode="after")
    def _can_grow(self) -> "GrowRequest":
        if self.mend and self.method != "resbuilder":
            raise ValueError("faults to mend were named; they are those of --method resbuilder")
        if self.recipe.get("compile"):
            raise ValueError("a network that grows cannot be compiled: leave --compile out")
        return self


Curve = Annotated[
    Literal["full", "quick", "none"],
    Field(
        description="Small trainings that tell what more data would bring: full (three of each size), quick, or none."
    ),
]


class ProofRequest(TrainingRequest):
    """What planning and proving a claim have in common."""

    confidence: Annotated[float, Field(description="Confidence with which it is to be shown, one-sided.")] = 0.95
    curve: Curve = "full"
    probe: Annotated[
        Literal["auto", "none"],
        Field(description="auto foretells time and memory from a few steps of training, none does not."),
    ] = "auto"
    costs: Annotated[
        str | None,
        Field(description="Prices for the manager's table (.yaml); written with defaults where it is not there yet."),
    ] = None
    lang: Annotated[Literal["en", "ja"], Field(description="Language of the pages: en or ja.")] = "en"


class PlanRequest(ProofRequest):
    """A training that is to be planned, and what is to be shown of its result."""

    claim: Annotated[str, Field(description='What is to be shown, such as "recall>=0.99 at false_alarms<=0.02".')]
    each: Annotated[bool, Field(description="Claim the recall for every kind of defect by itself.")] = False
    budget: Annotated[Budgets | None, Field(description="Also plan a growth to this limit, such as macs=20M.")] = None
    like: Annotated[
        str | None,
        Field(description="A trained run on these data: expect a model as good as it was on validation."),
    ] = None
    watts: Annotated[float | None, Field(gt=0, description="Power of this machine; measured where it can be.")] = None


class PocRequest(ProofRequest):
    """A proof of concept, from the data to the decision."""

    claim: Annotated[
        str | None, Field(description='What is to be shown, such as "recall>=0.99 at false_alarms<=0.02".')
    ] = None
    budget: Annotated[Budgets | None, Field(description="What the network may cost, such as macs=20M or ms=2.5.")] = (
        None
    )
    curve: Curve = "quick"
    go_on: Annotated[bool, Field(description="Go on where a gate fails; the report says so.")] = False
    pdf: Annotated[bool, Field(description="Print the page as a PDF too, by Chromium; it needs a Japanese font.")] = (
        False
    )

    @model_validator(mode="after")
    def _line_is_by_the_claim(self) -> "PocRequest":
        lines = ("recall_at_least", "false_alarms_at_most", "on_average", "below_learned")
        if named := [f"--{name.replace('_', '-')}" for name in lines if getattr(self, name) not in (None, False)]:
            raise ValueError(
                f"{', '.join(named)} would have no effect: the line of a proof is drawn where --claim has the best "
                "chance to be shown; leave it out"
            )
        return self


Request = TrainRequest | FinetuneRequest | GrowRequest  # of the verbs that train
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])


def read_request(value: dict[str, Any]) -> Request:
    """The request of a request.json. Older files have no verb and name the fields of all verbs; those that were left to
    zansa are left out."""
    value = dict(value)
    if "verb" not in value:
        verb = "grow" if value.get("budget") else "finetune" if value.get("weights") else "train"
        kinds: dict[str, type[BaseModel]] = {"train": TrainRequest, "finetune": FinetuneRequest, "grow": GrowRequest}
        known = kinds[verb].model_fields
        value = {key: item for key, item in value.items() if key in known} | {"verb": verb}
    share = value.pop("max_false_alarms", None)  # of older versions: on average, and their default is today's
    if share and share != OLD_SHARE:
        value = value | {"false_alarms_at_most": share, "on_average": True}
    return _REQUEST.validate_python(value)


def learned_weights(request: Request) -> str | None:
    """The file or run whose weights the training begins with; None where it begins from nothing or from drawn pictures.
    ValueError where two were named."""
    named = None if request.begin in BEGINNINGS else request.begin
    given = None if isinstance(request, TrainRequest) else request.weights
    if given is not None and request.begin != "auto":
        raise ValueError(f"weights of {given} and --begin {request.begin} were asked; allowed: one of them")
    return given or named


def teacher_named(request: Request) -> str | None:
    """The network whose answers a training learns from; None where it learns from labels alone."""
    return request.teacher if isinstance(request, Taught) else None


def folds_of(request: Request) -> int | None:
    """In how many folds every sample is held out once; None where a test part is."""
    return request.folds if isinstance(request, TrainRequest) else None
