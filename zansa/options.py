"""The options of the command line, made from the descriptions of the requests' and the recipe's fields.

A field is described once, where it stands. Here it becomes an option, and what was typed becomes a request.
"""

import inspect
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from .arch.zoo import READY
from .inputs.files import at_home
from .jobs.request import (
    BEGINNINGS,
    DataRequest,
    TrainingRequest,
)
from .jobs.trained_request import CompareRequest, CompressRequest, DepthRequest, ServeRequest
from .learn.recipe import Recipe, Tuning

NETWORK = (
    "net",
    "begin",
    "race",
    "weights",
    "budget",
    "method",
    "mend",
)
POINT = (
    "cost",
    "defect_rate",
    "recall_at_least",
    "false_alarms_at_most",
    "on_average",
    "below_learned",
    "point",
)
PANELS = {  # the other fields of a request are of the data
    **dict.fromkeys(NETWORK, "Network"),
    **dict.fromkeys(POINT, "Working point"),
    **dict.fromkeys(("halve", "to", "loss", "by", "refine", "heal"), "Another depth"),
    **dict.fromkeys(("int8", "distil", "epochs", "margin"), "Smaller"),
    **dict.fromkeys(("teacher", "unlabelled"), "Teachers"),
    **dict.fromkeys(("language", "out", "name"), "Output"),
}
RECIPE = (
    "epochs",
    "batch",
    "rate",
    "optimizer",
    "balance",
    "repeat",
    "augment",
    "dropout",
    "stochastic_depth",
    "memory",
    "levels",
    "fuse",
    "compile",
    "device",
    "precision",
    "layout",
)
RENAMED = {"weights": {"grow": "--from"}, "language": dict.fromkeys(("train", "finetune", "grow"), "--lang")}


class Output(NamedTuple):
    """Where a run goes, and how its result is printed.

    out: the folder of runs.
    name: the run's name; None: the data's name and a number.
    as_json: whether the result is printed as JSON, and nothing else.
    """

    out: Path
    name: str | None
    as_json: bool


class Grouped(TyperCommand):
    """A command whose help shows its options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for the arguments and one for each group of options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


def training_command(app: typer.Typer, request: type[TrainingRequest]) -> Callable[[Callable[..., None]], None]:
    """Make a function `work(request, output)` the command of its name, with all options of such a request."""

    def decorate(work: Callable[..., None]) -> None:
        verb = work.__name__
        hidden = "tuning" if verb != "finetune" else ""
        parameters = [*_fields(request, verb), *_recipe(hidden, verb == "grow"), *_output()]

        def command(**given: Any) -> None:
            output = Output(given["out"], given.pop("name"), given.pop("as_json"))
            del given["config"]
            work(request.model_validate(request_values(request, given)), output)

        _sign(command, work, parameters)
        app.command(cls=Grouped)(command)

    return decorate


def data_command(
    app: typer.Typer, request: type[DataRequest | DepthRequest | CompareRequest | CompressRequest]
) -> Callable[[Callable[..., None]], None]:
    """Make a function `work(request, as_json)` the command of its name, with all options of such a request."""

    def decorate(work: Callable[..., None]) -> None:
        def command(**given: Any) -> None:
            as_json = given.pop("as_json")
            del given["config"]
            work(request.model_validate(given), as_json)

        _sign(command, work, [*_fields(request, work.__name__), *_output()[2:]])
        app.command(cls=Grouped)(command)

    return decorate


def serving_command(app: typer.Typer, request: type[ServeRequest]) -> Callable[[Callable[..., None]], None]:
    """Make a function `work(request, new_key, as_json)` the command of its name, with all options of such a request."""

    def decorate(work: Callable[..., None]) -> None:
        def command(**given: Any) -> None:
            new_key, as_json = given.pop("new_key"), given.pop("as_json")
            del given["config"]
            asked = {name: value for name, value in given.items() if value is not None}
            work(request.model_validate(asked), new_key, as_json)

        models: Any = Annotated[list[str] | None, typer.Argument(help=request.model_fields["models"].description)]
        new_key: Any = Annotated[
            str | None,
            typer.Option(help="Add a key ROLE:NAME to the key file (read, infer or admin), print it and end."),
        ]
        parameters = [
            inspect.Parameter("models", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=models),
            *(
                _option(name, field, "Serving", field.default)
                for name, field in request.model_fields.items()
                if name != "models"
            ),
            inspect.Parameter("new_key", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=new_key),
        ]
        _sign(command, work, [*parameters, *_output()[2:]])
        app.command(cls=Grouped)(command)

    return decorate


def _sign(command: Callable[..., None], work: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """Give the command the name, the help and the parameters that typer reads."""
    command.__name__, command.__doc__ = work.__name__, work.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}


def _fields(
    request: type[DataRequest | DepthRequest | CompareRequest | CompressRequest], verb: str
) -> Iterator[inspect.Parameter]:
    order = ("model", "source", "runs")  # arguments, in this order; the rest are options
    for name in order:
        if name in request.model_fields:
            shown = "data" if name == "source" else name
            field = request.model_fields[name]
            required = field.is_required()
            metavar = shown.upper() if required else f"[{shown.upper()}]"
            text: Any = list[str] if name == "runs" else str
            kind: Any = Annotated[
                text if required else text | None, typer.Argument(help=field.description, metavar=metavar)
            ]
            default = inspect.Parameter.empty if required else None
            yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
    for name, field in request.model_fields.items():
        if name not in (*order, "verb", "recipe"):
            panel = PANELS.get(name, "Data")
            flag = RENAMED.get(name, {}).get(verb)
            yield _option(name, field, panel, None if field.is_required() else field.default, flag)


def _recipe(hidden: str, grows: bool) -> Iterator[inspect.Parameter]:
    for name in RECIPE:
        if not (grows and name in ("compile", "levels")):
            yield _option(name, Recipe.model_fields[name], "Training", None)
    if hidden != "tuning":
        for name, field in Tuning.model_fields.items():
            yield _option(name, field, "Training", None)


def _output() -> list[inspect.Parameter]:
    kinds = {"out": (Out, Path("runs")), "name": (Name, None), "as_json": (Json, False), "config": (Config, None)}
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in kinds.items()
    ]


def _option(name: str, field: FieldInfo, panel: str, default: Any, flag: str | None = None) -> inspect.Parameter:
    kind = _kind(field.annotation)
    optional: Any = kind if kind is bool else kind | None
    flag = flag or "--" + name.replace("_", "-")
    annotation: Any = Annotated[optional, typer.Option(flag, help=field.description, rich_help_panel=panel)]
    value = default if kind in (int, float, str) and isinstance(default, int | float | str) else None
    value = bool(default) if kind is bool else value
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation)


def _kind(annotation: Any) -> Any:
    """The type that typer reads for a value: whole numbers, other numbers and switches as they are, everything else as
    text."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [each for each in get_args(annotation) if each is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else str
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0])
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    return annotation if annotation in (bool, int, float) else str


def request_values(request: type[TrainingRequest], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, as a request has it. Options that were left out are left to zansa; ValueError where one is
    missing."""
    missing = [name for name, field in request.model_fields.items() if field.is_required() and given[name] is None]
    if missing:
        named = "; ".join(f"--{name.replace('_', '-')}: {request.model_fields[name].description}" for name in missing)
        raise ValueError(f"an option is missing: {named}")
    own = {name: given[name] for name in request.model_fields if name in given}
    tuning = {name: given[name] for name in Tuning.model_fields if given.get(name) is not None}
    recipe = {name: given[name] for name in RECIPE if given.get(name) not in (None, False)}
    if "augment" in recipe:
        recipe["augment"] = switches(recipe["augment"])
    if tuning:
        recipe["tuning"] = tuning
    for name in ("weights", "begin", "teacher"):
        if own.get(name) and own[name] not in (*BEGINNINGS, *READY):
            own[name] = _weights_at(own[name], given["out"])
    if "mend" in own:
        own["mend"] = tuple(own["mend"].split(",")) if own["mend"] else ()
    return own | {"size": pair(given["size"]), "recipe": recipe}


def _weights_at(text: str, out: Path) -> str:
    """The path of a file or run that was named; a run of the folder of runs needs its name alone."""
    path = Path(text).expanduser()
    return str((out / text if not path.exists() and (out / text).exists() else path).absolute())


def pair(text: str | None) -> tuple[int, int] | None:
    """(height, width) of "64" or "64x96"; ValueError for other text."""
    if text is None:
        return None
    parts = str(text).lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"size {text!r} is not understood; allowed: 64, or 64x96 (height x width)")
    return int(parts[0]), int(parts[-1])


def switches(text: str) -> dict[str, Any]:
    """A dictionary of "flip_x=true,rotate=0", an empty one of "none"; ValueError for other text."""
    if text == "none":
        return {}
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(f'augment {text!r} is not understood; write "flip_x=true,rotate=0" or "none"')
    return {key.strip(): value.strip() for key, _, value in pairs}


def from_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take defaults of a command's options from a YAML or TOML file; an unknown name is an error."""
    if path is None:
        return None
    values = read_config(path)
    names = {option.lstrip("-").replace("-", "_"): p.name for p in context.command.params for option in p.opts}
    known = names.keys() - {"config"}
    values = {str(name).replace("-", "_"): value for name, value in values.items()}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise typer.BadParameter(
            f"{path} sets {', '.join(unknown)}; {context.info_name} knows: {', '.join(sorted(known))}"
        )
    given = {names[name]: as_typed(value) for name, value in values.items() if names[name]}
    context.default_map = {**(context.default_map or {}), **given}
    return path


def as_typed(value: Any) -> Any:
    """A value of a file as it would be typed: [64, 96] is "64x96", ["a", "b"] is "a,b", {flip_x: true} is
    "flip_x=true"."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={each}" for key, each in value.items()) or "none"
    if isinstance(value, list):
        return ("x" if all(str(each).isdecimal() for each in value) else ",").join(map(str, value))
    return at_home(value) if isinstance(value, str) else value


def unset(values: Any) -> Any:
    """The settings, with None for those that are left open: empty, ~ or null."""
    if not isinstance(values, dict):
        return values
    return {name: None if value in ("", "~", "null") else value for name, value in values.items()}


def _refuse_twice(path: Path, tree: Any) -> None:
    """BadParameter for a setting that a YAML file names twice: only people know which one counts."""
    names = [key.value.replace("-", "_") for key, _ in tree.value] if tree is not None and tree.id == "mapping" else []
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise typer.BadParameter(f"{path} sets {', '.join(twice)} twice; keep one")


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a .toml, .yaml or .yml file in UTF-8, with or without a byte order mark."""
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
        if path.suffix == ".toml":
            values = tomllib.loads(text)
        else:
            import yaml

            tree = yaml.compose(text, Loader=yaml.BaseLoader)
            _refuse_twice(path, tree)
            # every value as it is written: NO and 007 may be names of classes
            values = unset(yaml.load(text, Loader=yaml.BaseLoader)) or {}
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None
    except typer.BadParameter:
        raise
    except Exception as error:
        raise typer.BadParameter(f"{path} is no TOML or YAML: {error}") from None
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{path} must hold names and values")
    return values


Out = Annotated[Path, typer.Option(help="Where runs are kept.", rich_help_panel="Output")]
Name = Annotated[
    str | None,
    typer.Option(help="The run's name; by default the data's name and a number.", rich_help_panel="Output"),
]
Seed = Annotated[int, typer.Option(min=0, help=TrainingRequest.model_fields["seed"].description)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.", rich_help_panel="Output")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Read options from a YAML or TOML file.",
        is_eager=True,
        callback=from_config,
        rich_help_panel="Output",
    ),
]
