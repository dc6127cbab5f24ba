"""The options of the command line, and how they become a request."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer


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
    given = {names[name]: value for name, value in values.items() if names[name]}
    context.default_map = {**(context.default_map or {}), **given}
    return path


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a .toml, .yaml or .yml file."""
    try:
        if path.suffix == ".toml":
            values = tomllib.loads(path.read_text())
        else:
            import yaml

            values = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:
        raise typer.BadParameter(f"{path} is no TOML or YAML: {error}") from None
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{path} must hold names and values")
    return values


Config = Annotated[
    Path | None,
    typer.Option("--config", help="Read options from a YAML or TOML file.", is_eager=True, callback=from_config),
]


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]


Out = Annotated[Path, typer.Option(help="Where runs are kept.")]


Name = Annotated[str | None, typer.Option(help="The run's name; by default the data's name and a number.")]


Seed = Annotated[int, typer.Option(min=0, help="The seed of the split and of the training.")]


Data = Annotated[
    str, typer.Argument(help="A folder, a manifest or table (.csv, .tsv, .parquet), an .npz, or a public set's name.")
]


Good = Annotated[str | None, typer.Option(help="The class without a defect; found by its name by default.")]


FalseAlarms = Annotated[float, typer.Option(help="Share of good parts that may be rejected.")]


Size = Annotated[
    str | None, typer.Option(help="Size of the network's images: 64 or 64x96 (height x width); length of its series.")
]


Fit = Annotated[str, typer.Option(help="letterbox keeps proportions, stretch does not; images are never cropped.")]


Channels = Annotated[int | None, typer.Option(help="1 or 3; as the images are by default.")]


Kind = Annotated[str | None, typer.Option(help="surface, symbol or natural: which augmentation of images is safe.")]


Epochs = Annotated[int | None, typer.Option(min=1)]


Batch = Annotated[int | None, typer.Option(min=2)]


Rate = Annotated[float | None, typer.Option(help="Peak learning rate.")]


Optimizer = Annotated[str | None, typer.Option(help="sgd or adamw.")]


Balance = Annotated[str | None, typer.Option(help="none, logit or weights: what is done about rare classes.")]


Switches = Annotated[str | None, typer.Option(help='Switches as "flip_x=true,rotate=0", or "none".')]


Dropout = Annotated[float | None, typer.Option(help="Chance of a value inside a block to be left out.")]


Depth = Annotated[float | None, typer.Option(help="Chance of the last block's branches to be left out.")]


Compile = Annotated[
    bool, typer.Option("--compile", help="Let torch write code for the network: slow to begin, then faster.")
]


Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]


Precision = Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.")]


Layout = Annotated[str | None, typer.Option(help="auto, channels_first or channels_last.")]


Val = Annotated[float, typer.Option(help="Share of the data for validation, when none is given.")]


Test = Annotated[float, typer.Option(help="Share of the data for the test, when none is given.")]


Root = Annotated[str | None, typer.Option(help="Folder of the public data sets.")]


Download = Annotated[bool, typer.Option("--download", help="Fetch a public data set that is not there yet.")]


RECIPE = ("epochs", "batch", "rate", "optimizer", "balance", "dropout", "stochastic_depth", "device", "precision",
          "layout")  # fmt: skip


REQUEST = ("net", "good", "max_false_alarms", "fit", "channels", "kind", "val", "test", "seed", "root", "download")


def asked_for(given: dict[str, Any], tuning: dict[str, Any] | None = None) -> dict[str, Any]:
    """The options of a command that trains, by their names, as a Request has them."""
    recipe = {name: given[name] for name in RECIPE} | {
        "augment": switches(given["augment"]), "compile": given.get("compiled") or None,
        "tuning": {key: value for key, value in (tuning or {}).items() if value is not None} or None,
    }  # fmt: skip
    recipe = {key: value for key, value in recipe.items() if value is not None}
    return {name: given[name] for name in REQUEST} | {
        "source": given["data"], "size": pair(given["size"]), "recipe": recipe,
    }  # fmt: skip


def pair(text: str | None) -> tuple[int, int] | None:
    """ "64" or "64x96" as (height, width)."""
    if text is None:
        return None
    parts = str(text).lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"size {text!r} is not understood; allowed: 64, or 64x96 (height x width)")
    return int(parts[0]), int(parts[-1])


def switches(text: str | None) -> dict[str, Any] | None:
    """ "flip_x=true,rotate=0" as a dictionary; "none" as nothing switched on."""
    if text is None:
        return None
    if text == "none":
        return {}
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(f'augment {text!r} is not understood; write "flip_x=true,rotate=0" or "none"')
    return {key.strip(): value.strip() for key, _, value in pairs}
