"""Commands that train networks, and that change trained ones."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import screen
from ..jobs.request import FinetuneRequest, GrowRequest, TrainRequest
from ..jobs.trained_request import CompressRequest, DepthRequest
from ..options import Config, Grouped, Json, Name, Out, Output, Seed, data_command, training_command
from ..record import new_name
from .app import app, end, run_training, show


@app.command(cls=Grouped)
def demo(
    out: Out = Path("runs"),
    name: Name = None,
    seed: Seed = 0,
    lang: Annotated[str, typer.Option(help="en or ja: the language of report and card.")] = "en",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Do the whole job on a small built-in set of synthetic surfaces, on a CPU, in about two minutes."""
    note = "Synthetic surfaces, drawn by zansa itself: this shows the job, not what to expect of your images."
    output = Output(out, name or new_name(out, "demo"), as_json)
    run_training(TrainRequest.model_validate({"source": "synthetic", "seed": seed, "language": lang}), output, note)


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
    change, and falls to zero in the last sixth of the training. Where training images are few,
    the first network begins with weights learned from drawn pictures (--begin). `zansa report RUN --step STEP` explains
    a change.
    """
    run_training(request, output)


@app.command()
def resume(run: Annotated[Path, typer.Argument(help="The run's folder.")], as_json: Json = False) -> None:
    """Go on where a run stopped or was killed, to the same result."""
    from ..jobs.compress import asked_of, go_on
    from ..jobs.train import resume as work

    asked = asked_of(run)
    if asked is not None:
        with screen.Screen(quiet=as_json) as view:
            show_smaller(go_on(run, asked, view.tell), as_json)
        return
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
    from ..jobs.adapt import adapt as work

    facts = work(model, images, out, source)
    for sentence in facts["left_out"]:
        print(f"warning: {sentence}", file=sys.stderr)
    print(json.dumps(facts) if as_json else screen.adapted_text(out, facts))


@data_command(app, DepthRequest)
def depth(request: DepthRequest, as_json: bool) -> None:
    """See the blocks of a trained network as steps of a flow: which can be averaged, run side by side, or left alone.

    Writes depth.json and depth.html beside the model. With --halve, --to, --loss or --refine it makes a run of the
    network with fewer or more blocks, each edit checked on validation data. The exit code is 1 where fewer blocks were
    asked for than could go.
    """
    from ..jobs.depth import depth as work

    with screen.Screen(quiet=as_json) as view:
        record = work(request, view.tell)
        print(json.dumps(record) if as_json else screen.depth_text(record))
    if not record["complete"]:
        raise typer.Exit(1)


@data_command(app, CompressRequest)
def compress(request: CompressRequest, as_json: bool) -> None:
    """Make a trained network smaller: prune it to a budget, let it learn from what it was, quantise its file to int8.

    Makes a run with a page of before and after. A gate looks at decisions on validation data, part by part; int8 that
    fails it is tried otherwise (other ranges, sensitive nodes in float32), and where nothing passes the float file
    stays. The exit code is 1 where a gate failed.
    """
    from ..jobs.compress import compress as work

    with screen.Screen(quiet=as_json) as view:
        show_smaller(work(request, view.tell), as_json)


def show_smaller(record: dict[str, Any], as_json: bool) -> None:
    """Show what a compression has made; exit code 1 where a gate failed."""
    print(json.dumps(record) if as_json else screen.compressed_text(record))
    if not record["passed"]:
        raise typer.Exit(1)
