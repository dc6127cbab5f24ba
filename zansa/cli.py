"""The command line: one subcommand per verb; parse, call one function, print.

Heavy imports stand in the commands, so that `zansa --help` answers at once.
"""

import atexit
import json
import os
import signal
import sys
import threading
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from . import screen
from .record import Run

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Grow residual networks to fit: labelled images or series in, one proven file that runs anywhere out.",
)  # fmt: skip


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"zansa {version('zansa')}")
        raise typer.Exit


@app.callback()
def common(
    ask: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Grow residual networks to fit: labelled images or series in, one proven file that runs anywhere out."""


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


@app.command()
def demo(
    out: Out = Path("runs"), name: Name = None, seed: Seed = 0, as_json: Json = False, config: Config = None
) -> None:
    """The whole job on a small built-in set of synthetic surfaces, on a CPU, in about two minutes."""
    from . import jobs

    with screen.Screen(quiet=as_json) as view:
        view.say("Synthetic surfaces, drawn by zansa itself: this shows the job, not what to expect of your images.")
        run = jobs.train(
            jobs.Request(source="synthetic", seed=seed), out, name or jobs.new_name(out, "demo"), view.tell
        )
        view.result(run, as_json)
    end(run)


@app.command()
def train(
    data: Data,
    out: Out = Path("runs"),
    name: Name = None,
    net: Annotated[
        str | None, typer.Option(help="A network of the zoo or a spec.json; by default one that suits.")
    ] = None,
    good: Good = None,
    max_false_alarms: FalseAlarms = 0.02,
    size: Size = None,
    fit: Fit = "stretch",
    channels: Channels = None,
    kind: Kind = None,
    epochs: Epochs = None,
    batch: Batch = None,
    rate: Rate = None,
    optimizer: Optimizer = None,
    balance: Balance = None,
    augment: Switches = None,
    dropout: Dropout = None,
    stochastic_depth: Depth = None,
    compiled: Compile = False,
    device: Device = None,
    precision: Precision = None,
    layout: Layout = None,
    val: Val = 0.15,
    test: Test = 0.15,
    seed: Seed = 0,
    root: Root = None,
    download: Download = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Train a network on labelled images, or on rows of a table; measure, export and report it.

    A table of series has a column `sequence` of letters, or columns of numbers, and a column `label`; optionally group,
    split and id. An .npz of series has signals (N, length) or (N, channels, length) and labels.
    """
    from . import jobs

    request = jobs.Request.model_validate(asked_for(locals()))
    with screen.Screen(quiet=as_json) as view:
        run = jobs.train(request, out, name, view.tell)
        view.result(run, as_json)
    end(run)


@app.command()
def finetune(
    data: Data,
    weights: Annotated[
        Path,
        typer.Option(help="A run, a zansa model, or weights of torchvision, timm or others (.pth, .safetensors ...)."),
    ],
    out: Out = Path("runs"),
    name: Name = None,
    net: Annotated[
        str | None, typer.Option(help="What the weights are of, where the file does not tell: zoo name or spec.json.")
    ] = None,
    frozen: Annotated[int | None, typer.Option(min=0, help="So many parts from the input keep their weights.")] = None,
    factor: Annotated[float | None, typer.Option(help="Each part nearer to the input learns so much slower.")] = None,
    thaw: Annotated[float | None, typer.Option(help="Share of the training in which parts begin to learn.")] = None,
    good: Good = None,
    max_false_alarms: FalseAlarms = 0.02,
    size: Size = None,
    fit: Fit = "stretch",
    channels: Channels = None,
    kind: Kind = None,
    epochs: Epochs = None,
    batch: Batch = None,
    rate: Rate = None,
    optimizer: Optimizer = None,
    balance: Balance = None,
    augment: Switches = None,
    dropout: Dropout = None,
    stochastic_depth: Depth = None,
    compiled: Compile = False,
    device: Device = None,
    precision: Precision = None,
    layout: Layout = None,
    val: Val = 0.15,
    test: Test = 0.15,
    seed: Seed = 0,
    root: Root = None,
    download: Download = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Train from existing weights, with a new head: for few images, or to begin where others ended.

    The parts of a network are its stem, its stages and its head. By default, with up to 20 images a class only the
    last stage and the head learn, with up to 200 the stem and the first stage rest, with more all learn.
    """
    from . import jobs

    tuning = {"frozen": frozen, "factor": factor, "thaw": thaw}
    request = jobs.Request.model_validate(asked_for(locals(), tuning) | {"weights": str(weights.absolute())})
    with screen.Screen(quiet=as_json) as view:
        run = jobs.train(request, out, name, view.tell)
        view.result(run, as_json)
    end(run)


@app.command()
def grow(
    data: Annotated[str | None, typer.Argument(help="Labelled data, as for train.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="The limit: macs=20M, params=300k, bytes=1.2M or ms=2.5; several: macs=5M,10M.")
    ] = None,
    method: Annotated[str, typer.Option(help="zansa, or resbuilder as published.")] = "zansa",
    mend: Annotated[
        str | None, typer.Option(help="Faults of resbuilder that are mended: all, or names with commas between them.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Begin with a trained network: a run, a model, or foreign weights.")
    ] = None,
    explain: Annotated[
        tuple[Path, str] | None, typer.Option(help="Say why parts came and went: RUN STEP, or RUN last.")
    ] = None,
    out: Out = Path("runs"),
    name: Name = None,
    net: Annotated[str | None, typer.Option(help="Begin with a network of the zoo or a spec.json.")] = None,
    good: Good = None,
    max_false_alarms: FalseAlarms = 0.02,
    size: Size = None,
    fit: Fit = "stretch",
    channels: Channels = None,
    kind: Kind = None,
    epochs: Epochs = None,
    batch: Batch = None,
    rate: Rate = None,
    optimizer: Optimizer = None,
    balance: Balance = None,
    augment: Switches = None,
    dropout: Dropout = None,
    stochastic_depth: Depth = None,
    device: Device = None,
    precision: Precision = None,
    layout: Layout = None,
    val: Val = 0.15,
    test: Test = 0.15,
    seed: Seed = 0,
    root: Root = None,
    download: Download = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Train a network whose depth, widths and kinds of blocks are found in the same training, under a budget.

    It begins with a quarter of the smallest budget, with the best of several small networks that learn for a short
    while, and grows at a few moments, first where validation images promise most, and evenly otherwise (to milliseconds
    where multiply-adds are cheap here), as long as they promise anything; a network that costs more than the budget
    thins out where that costs the least.
    The rate of learning is held till the last change, and falls to zero in the last sixth of the training.
    """
    if explain is not None:
        from .report.growth import explain as explained

        print(explained(Run.open(explain[0]), explain[1]))
        return
    if data is None or budget is None:
        raise ValueError("name the data and a --budget: macs=20M, params=300k, bytes=1.2M or ms=2.5")
    from . import jobs

    request = jobs.Request.model_validate(asked_for(locals()) | {
        "weights": None if start is None else str(start.absolute()), "budget": budget, "method": method,
        "mend": tuple(mend.split(",")) if mend else (),
    })  # fmt: skip
    with screen.Screen(quiet=as_json) as view:
        run = jobs.train(request, out, name, view.tell)
        show(run, view, as_json)
    end(run)


@app.command()
def adapt(
    model: Annotated[Path, typer.Argument(help="A run's folder or a .safetensors file.")],
    images: Annotated[list[Path], typer.Argument(help="Unlabelled images of the new place: files or folders.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("adapted.safetensors"),
    source: Annotated[
        list[Path] | None, typer.Option(help="Images of the old place, to align features with; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a model ready for another camera or light, from unlabelled images alone.

    Its norms get the statistics of the new images; with --source, its features are led back to where they were
    (CORAL). What it is worth there only labelled images can tell: `zansa evaluate`.
    """
    from . import jobs

    facts = jobs.adapt(model, images, out, source)
    print(json.dumps(facts) if as_json else screen.adapted_text(out, facts))


@app.command()
def resume(run: Annotated[Path, typer.Argument(help="The run's folder.")], as_json: Json = False) -> None:
    """Go on where a run stopped or was killed, to the same result."""
    from . import jobs

    with screen.Screen(quiet=as_json) as view:
        resumed = jobs.resume(run, view.tell)
        show(resumed, view, as_json)
    end(resumed)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A run's folder, a .safetensors or an .onnx file.")],
    data: Annotated[str, typer.Argument(help="Labelled data, as for train; all of it is used.")],
    root: Root = None,
    download: Download = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Figures with intervals of a model on labelled data, at its operating point."""
    from . import jobs

    with screen.Screen(quiet=as_json) as view:
        found = jobs.evaluate(model, jobs.Request(source=data, root=root, download=download), view.tell)
        if as_json:
            print(json.dumps(found))
        else:
            view.figures(found, f"{found['noun']}s")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="An exported .onnx file, or a run's folder.")],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or folders of them; tables (.csv, .tsv, .npz) of series.")
    ],
    as_json: Json = False,
) -> None:
    """Answer from an exported file, as CSV or with --json as JSON lines; torch is not needed.

    class is the most probable class; decision is "reject" where score = 1 - p(good) reaches the model's line, which
    can differ from what the class alone would say.
    """
    from .deploy import runtime
    from .inputs.images import image_files

    file = model / "model.onnx" if model.is_dir() else model
    if file.suffix == ".safetensors":
        raise ValueError(f"{file} is a network and no exported file; `zansa export {file} IMAGES` writes one")
    if model.is_dir() and not file.exists():
        raise ValueError(f"{model} has no model.onnx; where it is a run, `zansa resume {model}` goes on with it")
    predictor = runtime.predictor(file)
    rows = runtime.predict(predictor, images if predictor.preprocess.series else image_files(images))
    answered = runtime.write_jsonl(rows, sys.stdout) if as_json else runtime.write_csv(rows, sys.stdout)
    if not answered:
        raise ValueError(f"none of the {predictor.preprocess.noun}s could be read; the column error says why")


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A run's folder or a .safetensors file.")],
    images: Annotated[
        list[Path], typer.Argument(help="Real images, or tables of series, for the check that both answer alike.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("model.onnx"),
    as_json: Json = False,
) -> None:
    """Write one ONNX file, preprocessing inside, and prove on real data that it answers as the network does."""
    from . import jobs

    parity = jobs.export_model(model, images, out)
    print(json.dumps(parity) if as_json else screen.parity_text(out, parity))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="The run's folder.")]) -> None:
    """Write a run's report.html and card.md again."""
    from . import record
    from . import report as pages

    print(pages.write(record.Run.open(run)))


@app.command()
def zoo(
    name: Annotated[str | None, typer.Argument(help="A network; all of them by default.")] = None,
    as_json: Json = False,
) -> None:
    """The catalogue of published networks, or one of them."""
    from .arch import zoo as catalogue

    if name:
        net = catalogue.make(name)
        print(net.to_json() if as_json else f"{net}\n{screen.entry_text(name)}")
    else:
        print(json.dumps(screen.zoo_rows()) if as_json else screen.zoo_text())


@app.command()
def cost(
    spec: Annotated[str, typer.Argument(help="A network of the zoo, a spec.json, or a run's folder.")],
    batch: Annotated[int, typer.Option(min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Multiply-adds, parameters, depth and activation memory of a network, without building it."""
    from dataclasses import asdict

    from .arch.cost import cost as of
    from .arch.zoo import read

    found = of(read(spec), batch)
    print(json.dumps(asdict(found)) if as_json else screen.cost_text(found))


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


def show(run: Run, view: screen.Screen, as_json: bool) -> None:
    """The end of a training: its figures; where it had several budgets, a table of them."""
    from . import jobs

    if jobs.branches_of(run) and jobs.finished(run):
        view.frontier(jobs.frontier(run), as_json)
    else:
        view.result(run, as_json)


def end(run: Run) -> None:
    """Exit code 130 for a training that was interrupted."""
    from . import jobs

    for each in (run, *jobs.branches_of(run)):
        if "metrics.json" in each.files() and each.read_json("metrics.json")["training"].get("stopped"):
            raise typer.Exit(130)


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


def main() -> NoReturn:
    """Run the command line as a process of its own, and end the process as soon as its work is done."""
    code: Any = 0
    try:
        run_command()
    except SystemExit as end:
        code = end.code
    leave(0 if code is None else code)


def leave(code: Any) -> NoReturn:
    """End the process with this exit code at once: streams are flushed and exit handlers run, but Python does not take
    apart every object of torch and the other libraries, which would take it seconds. It does where it has more to do:
    to wait for a thread, or to tell that a stream cannot be written."""
    waiting = any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        waiting = True
    if waiting or not isinstance(code, int):
        sys.exit(code)
    atexit._run_exitfuncs()
    sys.stdout.flush()  # what the handlers printed
    sys.stderr.flush()
    os._exit(code)


def run_command() -> None:
    """Run the command line: 0 done, 2 wrong input, 130 interrupted; messages go to standard error."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is done so far stays usable
    try:
        app()
    except KeyboardInterrupt:
        print("zansa: interrupted; `zansa resume RUN` goes on with a run that had begun", file=sys.stderr)
        sys.exit(130)
    except MemoryError:
        print("zansa: the memory is not enough; try a smaller --size or --batch, or fewer images", file=sys.stderr)
        sys.exit(2)
    except (ValueError, OSError) as error:
        print(f"zansa: {screen.error_text(error)}", file=sys.stderr)
        sys.exit(2)
