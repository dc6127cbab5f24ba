"""The application, and what its commands share."""

import json
from importlib.metadata import version
from typing import Annotated, Any

import typer

from .. import screen
from ..jobs.request import Request
from ..options import Output
from ..record import Run
from ..runs import branches_of, finished, state

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


def run_training(request: Request, output: Output, note: str = "") -> None:
    """Train as requested, and show the end."""
    from ..jobs.train import train as work

    with screen.Screen(quiet=output.as_json) as view:
        if note:
            view.say(note)
        run = work(request, output.out, output.name, view.tell)
        show(run, view, output.as_json)
    end(run)


def show(run: Run, view: screen.Screen, as_json: bool) -> None:
    """Show the end of a training: its figures; where it had several budgets, a table of them."""
    from ..jobs.compare import frontier

    if branches_of(run) and finished(run):
        view.frontier(frontier(run), as_json)
    else:
        view.result(run, as_json)


def end(run: Run) -> None:
    """Exit with code 130 after a training that was interrupted."""
    if any(state(each) == "stopped" for each in (run, *branches_of(run))):
        raise typer.Exit(130)


def show_page(record: dict[str, Any], text: str, page: object, as_json: bool) -> None:
    """Print a record as text, and where its page is; or as JSON."""
    print(json.dumps(record | {"page": str(page)}) if as_json else f"{text}\n\n{page}")
