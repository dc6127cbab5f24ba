"""Commands that look at data and at results: audit, plan, comparison, proof, figures, reports."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import screen
from ..jobs.request import CheckRequest, EvaluateRequest, PlanRequest, PocRequest
from ..jobs.trained_request import CompareRequest, ExplainRequest
from ..options import Json, Output, data_command, training_command
from ..phrases import speaking
from .app import app, show_page


@data_command(app, CheckRequest)
def check(request: CheckRequest, as_json: bool) -> None:
    """Look for what is wrong with labelled images, before anything learns from them.

    Found are images that cannot be read or are odd, exact and near copies, groups that leak from training to test,
    uneven and missing classes, likely wrong labels, and shortcuts such as size or border. Nothing of the data is
    changed. The exit code is 0, or with --strict 1 when an error or a warning was found.
    """
    from ..jobs.check import check as work

    with screen.Screen(quiet=as_json) as view:
        found = work(request, view.tell)
    print(json.dumps(found) if as_json else screen.check_text(found))
    if request.strict and any(each["severity"] != "note" for each in found["findings"]):
        raise typer.Exit(1)


@training_command(app, PlanRequest)
def plan(request: PlanRequest, output: Output) -> None:
    """Tell what it takes to show a claim: test parts, time, memory, energy and money; and what more data would bring.

    A claim is such as "recall>=0.99 at false_alarms<=0.02". The folder gets plan.json and plan.html. The exit code is 1
    where a model as good as expected would rather fail than pass.
    """
    from ..jobs.plan import plan as work
    from ..report.proving.plan import lines

    with screen.Screen(quiet=output.as_json) as view:
        run = work(request, output.out, output.name, view.tell)
    record = run.read_json("plan.json")
    show_page(record, lines(record), run.path / "plan.html", output.as_json)
    if not record["gate"]["passed"]:
        raise typer.Exit(1)


@training_command(app, PocRequest)
def poc(request: PocRequest, output: Output) -> None:
    """Prove or refute a claim, from labelled images to a decision, in stages with gates.

    The stages are data, plan, baseline, growth, comparison, working point, exported file and acceptance test. A gate
    that fails stops with what to do next. The same command goes on where it stopped; all answers stand in poc.yaml of
    its folder (`zansa poc DATA --config poc.yaml`). The exit code is 1 unless the claim was shown.
    """
    from ..jobs.poc import answered
    from ..jobs.poc import poc as work
    from ..report.proving.poc import lines

    with screen.Screen(quiet=output.as_json) as view:
        if sys.stdin.isatty():
            request = answered(request, lambda text: typer.prompt(text, default="", show_default=False, err=True))
        record = work(request, output.out, output.name, view.tell)
    show_page(record, lines(record), record.get("pdf", record["page"]), output.as_json)
    if record["decision"] != "pass":
        raise typer.Exit(1)


@data_command(app, CompareRequest)
def compare(request: CompareRequest, as_json: bool) -> None:
    """Put finished runs side by side, tell which differences are real, and recommend one.

    Taken is the fastest of those within one standard error of the lowest cost of mistakes on validation parts.
    """
    from ..jobs.compare import compare as work
    from ..report.proving.compare import lines, write

    record = work(request)
    with speaking(request.lang):
        page = write(record, Path(request.page))
    show_page(record, lines(record), page, as_json)


@data_command(app, EvaluateRequest)
def evaluate(request: EvaluateRequest, as_json: bool) -> None:
    """Tell how good a model is on labelled data: figures with intervals, at its operating point."""
    from ..jobs.evaluate import evaluate as work

    with screen.Screen(quiet=as_json) as view:
        figures = work(request, view.tell)
        if as_json:
            print(json.dumps(figures))
        else:
            view.figures(figures, f"{figures['noun']}s")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    step: Annotated[
        str | None, typer.Option(help="Say why the network changed at this step of its growth; last: at the last one.")
    ] = None,
    lang: Annotated[
        str | None, typer.Option(help="en or ja: the language of the report, from now on; as it was by default.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the page as a PDF too, by Chromium.")] = False,
) -> None:
    """Write a run's report.html and card.md again, or the page of a proof of concept; with --step, explain a change of
    a network that grew.
    """
    from ..jobs.report import report as work

    print(work(run, step, lang, pdf))


@app.command()
def explain(
    model: Annotated[Path, typer.Argument(help="A run's folder or a .safetensors file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them; tables of series.")],
    data: Annotated[
        str | None, typer.Option(help="Labelled data that the model learned from; the nearest of them are shown.")
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(help="Folder of masks of defects, named like the run's images: they calibrate the verdict."),
    ] = None,
    map: Annotated[
        str, typer.Option(help="relevance, stage, class or occlusion: how places are weighed.")
    ] = "relevance",
    most: Annotated[int, typer.Option(help="How many images at most.")] = 24,
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("explain.html"),
    lang: Annotated[str, typer.Option(help="en or ja: the language of the page.")] = "en",
    as_json: Json = False,
) -> None:
    """Show where a network looked, which of its blocks decided, which known images are like the one it judged, and how
    far the map can be relied on.

    A map says what counted for the network, not whether it was right. The page has the images with their maps. Series
    are explained moment by moment.
    """
    from ..jobs.explain import explain as work
    from ..report.explain import sentences, without_pictures
    from ..words import IMAGE, typed

    request = ExplainRequest.model_validate(
        {"model": str(model), "images": tuple(str(each) for each in images), "data": data,
         "masks": masks, "map": map, "most": most, "page": str(page), "lang": lang}
    )  # fmt: skip
    with screen.Screen(quiet=as_json) as view:
        record = work(request, view.tell)
    if as_json:
        print(json.dumps(without_pictures(record) | {"page": str(page)}))
    else:
        told = typed("\n".join(sentences(record))).replace(IMAGE, record["noun"])
        print("\n".join([told, "", *screen.explained(record), "", str(page)]))
