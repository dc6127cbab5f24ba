"""The command line: one subcommand per verb; parse, call one function, print.

Heavy imports stand in the commands, so that `zansa --help` answers at once.
"""

import json
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from . import screen
from .options import (
    Balance,
    Batch,
    Channels,
    Compile,
    Config,
    Data,
    Depth,
    Device,
    Download,
    Dropout,
    Epochs,
    FalseAlarms,
    Fit,
    Good,
    Json,
    Kind,
    Layout,
    Name,
    Optimizer,
    Out,
    Precision,
    Rate,
    Root,
    Seed,
    Size,
    Switches,
    Test,
    Val,
    asked_for,
)
from .record import Run, new_name
from .runs import branches_of, finished

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


@app.command()
def demo(
    out: Out = Path("runs"), name: Name = None, seed: Seed = 0, as_json: Json = False, config: Config = None
) -> None:
    """The whole job on a small built-in set of synthetic surfaces, on a CPU, in about two minutes."""
    from .jobs.request import Request
    from .jobs.train import train as run_training

    with screen.Screen(quiet=as_json) as view:
        view.say("Synthetic surfaces, drawn by zansa itself: this shows the job, not what to expect of your images.")
        run = run_training(Request(source="synthetic", seed=seed), out, name or new_name(out, "demo"), view.tell)
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
    from .jobs.request import Request
    from .jobs.train import train as run_training

    request = Request.model_validate(asked_for(locals()))
    with screen.Screen(quiet=as_json) as view:
        run = run_training(request, out, name, view.tell)
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
    from .jobs.request import Request
    from .jobs.train import train as run_training

    tuning = {"frozen": frozen, "factor": factor, "thaw": thaw}
    request = Request.model_validate(asked_for(locals(), tuning) | {"weights": str(weights.absolute())})
    with screen.Screen(quiet=as_json) as view:
        run = run_training(request, out, name, view.tell)
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
        from .report.growth.explain import explain as explained

        print(explained(Run.open(explain[0]), explain[1]))
        return
    if data is None or budget is None:
        raise ValueError("name the data and a --budget: macs=20M, params=300k, bytes=1.2M or ms=2.5")
    from .jobs.request import Request
    from .jobs.train import train as run_training

    request = Request.model_validate(asked_for(locals()) | {
        "weights": None if start is None else str(start.absolute()), "budget": budget, "method": method,
        "mend": tuple(mend.split(",")) if mend else (),
    })  # fmt: skip
    with screen.Screen(quiet=as_json) as view:
        run = run_training(request, out, name, view.tell)
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
    from .jobs.adapt import adapt as run_adapt

    facts = run_adapt(model, images, out, source)
    print(json.dumps(facts) if as_json else screen.adapted_text(out, facts))


@app.command()
def resume(run: Annotated[Path, typer.Argument(help="The run's folder.")], as_json: Json = False) -> None:
    """Go on where a run stopped or was killed, to the same result."""
    from .jobs.train import resume as run_resume

    with screen.Screen(quiet=as_json) as view:
        resumed = run_resume(run, view.tell)
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
    from .jobs.evaluate import evaluate as run_evaluate
    from .jobs.request import Request

    with screen.Screen(quiet=as_json) as view:
        found = run_evaluate(model, Request(source=data, root=root, download=download), view.tell)
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
    from .jobs.export import export_model

    parity = export_model(model, images, out)
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


def show(run: Run, view: screen.Screen, as_json: bool) -> None:
    """The end of a training: its figures; where it had several budgets, a table of them."""
    from .jobs.compare import frontier

    if branches_of(run) and finished(run):
        view.frontier(frontier(run), as_json)
    else:
        view.result(run, as_json)


def end(run: Run) -> None:
    """Exit code 130 for a training that was interrupted."""
    for each in (run, *branches_of(run)):
        if "metrics.json" in each.files() and each.read_json("metrics.json")["training"].get("stopped"):
            raise typer.Exit(130)


def main() -> None:
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
