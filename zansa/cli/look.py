"""Commands that show the catalogue, and what a network costs."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from .. import screen
from ..options import Json
from .app import app


@app.command()
def zoo(
    name: Annotated[str | None, typer.Argument(help="A network; all of them by default.")] = None,
    as_json: Json = False,
) -> None:
    """List the published networks, or show one of them."""
    from ..jobs.zoo import entry, rows

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
    from ..jobs.cost import cost as work

    costs = work(spec, batch)
    print(json.dumps(asdict(costs)) if as_json else screen.cost_text(costs))
