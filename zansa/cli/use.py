"""Commands that use trained networks: files, answers, servers."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from .. import screen
from ..jobs.request import ServeRequest
from ..options import Json, serving_command
from .app import app


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
    from ..jobs.predict import predict as work

    code, told = work(model, images, as_json, sys.stdout)
    for sentence in told:
        print(f"zansa: {sentence}", file=sys.stderr)
    if code:
        raise typer.Exit(code)


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
    from ..jobs.export import export_model as work

    parity = work(model, images, out)
    for sentence in parity["left_out"]:
        print(f"warning: {sentence}", file=sys.stderr)
    print(json.dumps(parity) if as_json else screen.parity_text(out, parity))


@serving_command(app, ServeRequest)
def serve(request: ServeRequest, new_key: str | None, as_json: bool) -> None:
    """Serve exported models: HTTP, the operators' page, a store of every answer, folders and the line; no torch.

    MODEL is an exported .onnx file or a run's folder, NAME=MODEL gives it a name. The page is at /, images go to
    /predict (curl --data-binary @part.png), programs ask by the Open Inference Protocol v2 at /v2. SIGTERM ends the
    server after every accepted request is answered. `zansa store` reads the store back.
    """
    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client", "multipart") if not find_spec(name)]:
        raise ValueError(f"serving needs more packages ({', '.join(missing)}): pip install 'zansa[serve]'")
    from ..jobs.serve import add_key
    from ..jobs.serve import serve as work

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
        str | None, typer.Option(help="Answers from this moment on, in UTC: 2026-11-27 or 2026-11-27T14:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Answers before this moment, in UTC.")] = None,
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
    from ..jobs import store as work

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
