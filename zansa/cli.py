"""The command line: one subcommand a verb. Each parses, calls one function of jobs/, and prints.

Heavy imports stand in the commands, so that `zansa --help` answers at once.
"""

import atexit
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from . import screen
from .jobs.request import (
    CheckRequest,
    CompareRequest,
    DepthRequest,
    EvaluateRequest,
    FinetuneRequest,
    GrowRequest,
    PlanRequest,
    PocRequest,
    Request,
    ServeRequest,
    TrainRequest,
)
from .options import Config, Grouped, Json, Name, Out, Output, Seed, data_command, serving_command, training_command
from .record import Run, new_name
from .runs import branches_of, finished, state

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Grow residual networks to fit: labelled images or series in, one proven file that runs anywhere out.",
)


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


@app.command(cls=Grouped)
def demo(
    out: Out = Path("runs"), name: Name = None, seed: Seed = 0, as_json: Json = False, config: Config = None
) -> None:
    """Do the whole job on a small built-in set of synthetic surfaces, on a CPU, in about two minutes."""
    note = "Synthetic surfaces, drawn by zansa itself: this shows the job, not what to expect of your images."
    output = Output(out, name or new_name(out, "demo"), as_json)
    run_training(TrainRequest(source="synthetic", seed=seed), output, note)


@data_command(app, CheckRequest)
def check(request: CheckRequest, as_json: bool) -> None:
    """Look for what is wrong with labelled images, before anything learns from them.

    Found are images that cannot be read or are odd, exact and near copies, groups that leak from training to test,
    uneven and missing classes, likely wrong labels, and shortcuts such as size or border. Nothing of the data is
    changed. The exit code is 0, or with --strict 1 when an error or a warning was found.
    """
    from .jobs.check import check as work

    with screen.Screen(quiet=as_json) as view:
        found = work(request, view.tell)
        if as_json:
            print(json.dumps(found))
        else:
            view.say(screen.check_text(found))
    if request.strict and any(each["severity"] != "note" for each in found["findings"]):
        raise typer.Exit(1)


@training_command(app, TrainRequest)
def train(request: TrainRequest, output: Output) -> None:
    """Train a network on labelled images, or on rows of a table; measure, export and report it.

    A table of series has a column `sequence` of letters, or columns of numbers, and a column `label`; optionally group,
    split and id. An .npz of series has signals (N, length) or (N, channels, length) and labels.
    """
    run_training(request, output)


@training_command(app, FinetuneRequest)
def finetune(request: FinetuneRequest, output: Output) -> None:
    """Train from existing weights, with a new head: for few images, or to begin where others ended.

    The parts of a network are its stem, its stages and its head. By default, with up to 20 images a class only the
    last stage and the head learn, with up to 200 the stem and the first stage rest, with more all learn.
    """
    run_training(request, output)


@training_command(app, GrowRequest)
def grow(request: GrowRequest, output: Output) -> None:
    """Train a network whose depth, widths and kinds of blocks are found in the same training, under a budget.

    The first network costs a quarter of the smallest budget; it is the best of several small ones that learn for a
    short while. At a few moments the network grows where validation images promise most, and evenly otherwise (under
    a budget in milliseconds where multiply-adds are cheap on this machine), as long as they promise anything. A network
    that costs more than the budget thins out where that costs the least. The learning rate is held until the last
    change, and falls to zero in the last sixth of the training. `zansa report RUN --step STEP` explains a change.
    """
    run_training(request, output)


def run_training(request: Request, output: Output, note: str = "") -> None:
    """Train as requested, and show the end."""
    from .jobs.train import train as work

    with screen.Screen(quiet=output.as_json) as view:
        if note:
            view.say(note)
        run = work(request, output.out, output.name, view.tell)
        show(run, view, output.as_json)
    end(run)


@training_command(app, PlanRequest)
def plan(request: PlanRequest, output: Output) -> None:
    """Tell what it takes to show a claim: test parts, time, memory, energy and money; and what more data would bring.

    A claim is such as "recall>=0.99 at false_alarms<=0.02". The folder gets plan.json and plan.html. The exit code is 1
    where a model as good as expected would rather fail than pass.
    """
    from .jobs.plan import plan as work
    from .report.proving.plan import lines

    with screen.Screen(quiet=output.as_json) as view:
        run = work(request, output.out, output.name, view.tell)
    record = run.read_json("plan.json")
    page = run.path / "plan.html"
    print(json.dumps(record | {"page": str(page)}) if output.as_json else f"{lines(record)}\n\n{page}")
    if not record["gate"]["passed"]:
        raise typer.Exit(1)


@training_command(app, PocRequest)
def poc(request: PocRequest, output: Output) -> None:
    """Prove or refute a claim, from labelled images to a decision, in stages with gates.

    The stages are data, plan, baseline, growth, comparison, working point, exported file and acceptance test. A gate
    that fails stops with what to do next. The same command goes on where it stopped; all answers stand in poc.yaml of
    its folder (`zansa poc DATA --config poc.yaml`). The exit code is 1 unless the claim was shown.
    """
    from .jobs.poc import QUESTIONS
    from .jobs.poc import poc as work
    from .report.proving.poc import lines

    with screen.Screen(quiet=output.as_json) as view:
        asked = {key: text for key, text in QUESTIONS.items() if getattr(request, key) is None}
        if sys.stdin.isatty() and request.claim is None:
            given = {key: typer.prompt(text, default="", show_default=False, err=True) for key, text in asked.items()}
            known = {field: getattr(request, field) for field in PocRequest.model_fields}
            known |= {key: value for key, value in given.items() if value}
            request = PocRequest.model_validate(known)
        record = work(request, output.out, output.name, view.tell)
    print(json.dumps(record) if output.as_json else f"{lines(record)}\n\n{record['page']}")
    if record["decision"] != "pass":
        raise typer.Exit(1)


def described(name: str) -> Any:
    """The option of a field of a comparison."""
    return typer.Option(help=CompareRequest.model_fields[name].description)


@app.command(cls=Grouped)
def compare(
    runs: Annotated[list[str], typer.Argument(help=CompareRequest.model_fields["runs"].description)],
    margin: Annotated[float, described("margin")] = 0.02,
    confidence: Annotated[float, described("confidence")] = 0.95,
    cost: Annotated[str | None, described("cost")] = None,
    defect_rate: Annotated[float | None, described("defect_rate")] = None,
    most_ms: Annotated[float | None, described("most_ms")] = None,
    page: Annotated[Path, typer.Option(help="The page to write.", rich_help_panel="Output")] = Path("compare.html"),
    lang: Annotated[str, typer.Option(help="Language of the page: en or ja.", rich_help_panel="Output")] = "en",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Put finished runs side by side, tell which differences are real, and recommend one.

    Taken is the fastest of those within one standard error of the lowest cost of mistakes on validation parts.
    """
    from .jobs.compare import compare as work
    from .report.proving.compare import lines, write

    asked = {"margin": margin, "confidence": confidence, "cost": cost, "defect_rate": defect_rate, "most_ms": most_ms}
    record = work(CompareRequest.model_validate({"runs": runs, **asked}))
    written = write(record, page, lang)
    print(json.dumps(record | {"page": str(written)}) if as_json else f"{lines(record)}\n\n{written}")


@app.command()
def resume(run: Annotated[Path, typer.Argument(help="The run's folder.")], as_json: Json = False) -> None:
    """Go on where a run stopped or was killed, to the same result."""
    from .jobs.train import resume as work

    with screen.Screen(quiet=as_json) as view:
        resumed = work(run, view.tell)
        show(resumed, view, as_json)
    end(resumed)


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
    from .jobs.adapt import adapt as work

    facts = work(model, images, out, source)
    for sentence in facts["left_out"]:
        print(f"warning: {sentence}", file=sys.stderr)
    print(json.dumps(facts) if as_json else screen.adapted_text(out, facts))


@data_command(app, EvaluateRequest)
def evaluate(request: EvaluateRequest, as_json: bool) -> None:
    """Tell how good a model is on labelled data: figures with intervals, at its operating point."""
    from .jobs.evaluate import evaluate as work

    with screen.Screen(quiet=as_json) as view:
        figures = work(request, view.tell)
        if as_json:
            print(json.dumps(figures))
        else:
            view.figures(figures, f"{figures['noun']}s")


@data_command(app, DepthRequest)
def depth(request: DepthRequest, as_json: bool) -> None:
    """See the blocks of a trained network as steps of a flow: which can be averaged, run side by side, or left alone.

    Writes depth.json and depth.html beside the model. With --halve, --to, --loss or --refine it makes a run of the
    network with fewer or more blocks, each edit checked on validation data. The exit code is 1 where fewer blocks were
    asked for than could go.
    """
    from .jobs.depth import depth as work

    with screen.Screen(quiet=as_json) as view:
        record = work(request, view.tell)
        print(json.dumps(record) if as_json else screen.depth_text(record))
    if not record["complete"]:
        raise typer.Exit(1)


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
    can differ from what the class alone would say. The exit code is 0 when all was answered, 1 when some of it could
    not be read, and 2 when a file that was named is not there; standard error says which.
    """
    from .jobs.predict import predict as work

    code, told = work(model, images, as_json, sys.stdout)
    for sentence in told:
        print(f"zansa: {sentence}", file=sys.stderr)
    if code:
        raise typer.Exit(code)


@serving_command(app, ServeRequest)
def serve(request: ServeRequest, new_key: str | None, as_json: bool) -> None:
    """Serve exported models: HTTP, the operators' page, a store of every answer, folders and the line; no torch.

    MODEL is an exported .onnx file or a run's folder, NAME=MODEL gives it a name. The page is at /, images go to
    /predict (curl --data-binary @part.png), programs ask by the Open Inference Protocol v2 at /v2. SIGTERM ends the
    server after every accepted request is answered. `zansa store` reads the store back.
    """
    from .jobs.serve import add_key
    from .jobs.serve import serve as work

    if new_key:
        print(add_key(request, new_key))
    elif not work(request, lambda text: print(f"zansa: {text}", file=sys.stderr, flush=True), as_json):
        raise typer.Exit(1)


@app.command()
def store(
    store: Annotated[Path, typer.Argument(help="The folder of the store.")],
    out: Annotated[
        Path | None, typer.Option(help="A .csv or .parquet file; CSV on standard output by default.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Answers from this moment on, 2026-11-27 or 2026-11-27T14:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Answers before this moment.")] = None,
    model: Annotated[str | None, typer.Option(help="Answers of the model of this name.")] = None,
    decision: Annotated[str | None, typer.Option(help="Answers with this decision.")] = None,
    part: Annotated[str | None, typer.Option(help="Answers to this part.")] = None,
    lot: Annotated[str | None, typer.Option(help="Answers to this lot.")] = None,
    log: Annotated[bool, typer.Option("--log", help="Tell what happened to the models instead.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Tell whether every row and image is whole instead.")] = False,
    activate: Annotated[
        str | None, typer.Option(help="NAME=MODEL: serve this as the newest version from now on.")
    ] = None,
    rollback: Annotated[str | None, typer.Option(help="NAME: serve the version before this one again.")] = None,
    as_json: Json = False,
) -> None:
    """Read back what a server has answered, as CSV, Parquet or with --json as JSON lines; or change its models.

    The store can be read while a server writes it. --activate and --rollback work on a server that runs, which gates
    and warms the model beside the old one and loses no request, and on a store whose server is not running.
    """
    from .jobs import store as work

    if activate or rollback:
        print(work.change(store, activate, rollback))
    elif check:
        told = work.check(store)
        print(json.dumps(told) if as_json else screen.checked_text(store, told))
        if not work.whole(told):
            raise typer.Exit(1)
    else:
        wanted = {"since": since, "until": until, "model": model, "decision": decision, "part": part, "lot": lot}
        work.read(store, wanted, out, log, as_json, sys.stdout)


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
    from .jobs.export import export_model as work

    parity = work(model, images, out)
    for sentence in parity["left_out"]:
        print(f"warning: {sentence}", file=sys.stderr)
    print(json.dumps(parity) if as_json else screen.parity_text(out, parity))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    step: Annotated[
        str | None, typer.Option(help="Say why the network changed at this step of its growth; last: at the last one.")
    ] = None,
) -> None:
    """Write a run's report.html and card.md again; with --step, explain a change of a network that grew."""
    from .jobs.report import report as work

    print(work(run, step))


@app.command()
def zoo(
    name: Annotated[str | None, typer.Argument(help="A network; all of them by default.")] = None,
    as_json: Json = False,
) -> None:
    """List the published networks, or show one of them."""
    from .jobs.zoo import entry, rows

    if name:
        net, row = entry(name)
        print(net.to_json() if as_json else f"{net}\n{screen.entry_text(row)}")
    else:
        print(json.dumps(rows()) if as_json else screen.zoo_text(rows()))


@app.command()
def cost(
    spec: Annotated[str, typer.Argument(help="A network of the zoo, a spec.json, or a run's folder.")],
    batch: Annotated[int, typer.Option(min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Tell multiply-adds, parameters, depth and activation memory of a network, without building it."""
    from .jobs.cost import cost as work

    costs = work(spec, batch)
    print(json.dumps(asdict(costs)) if as_json else screen.cost_text(costs))


def show(run: Run, view: screen.Screen, as_json: bool) -> None:
    """Show the end of a training: its figures; where it had several budgets, a table of them."""
    from .jobs.compare import frontier

    if branches_of(run) and finished(run):
        view.frontier(frontier(run), as_json)
    else:
        view.result(run, as_json)


def end(run: Run) -> None:
    """Exit with code 130 after a training that was interrupted."""
    if any(state(each) == "stopped" for each in (run, *branches_of(run))):
        raise typer.Exit(130)


def main() -> NoReturn:
    """Run the command line as a process of its own, and end the process as soon as its work is done."""
    code: Any = 0
    try:
        run_command()
    except SystemExit as end:
        code = end.code
    leave(0 if code is None else code)


def leave(code: Any) -> NoReturn:
    """End the process with this exit code at once.

    Streams are flushed and exit handlers run, but Python does not take apart every object of torch and the other
    libraries, which would take it seconds. It does where it has more to do: wait for a thread, or tell that a stream
    cannot be written.
    """
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


def open_closed_streams() -> None:
    """Let what is written to a stream that the caller has closed (`>&-`) vanish. Otherwise Python has no such stream,
    and the next file to be opened would get its number and all that libraries print."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def run_command() -> None:
    """Run the command line. Exit codes: 0 done, 2 wrong input, 130 interrupted. Messages go to standard error."""
    open_closed_streams()
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
