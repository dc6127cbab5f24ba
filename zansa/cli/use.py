"""Commands that use trained networks: files, answers, servers."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from .. import screen
from ..jobs.trained_request import ServeRequest
from ..options import Json, pair, serving_command
from .app import app


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="An exported .onnx file, or a run's folder.")],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or folders of them; tables (.csv, .tsv, .npz) of series.")
    ],
    maps: Annotated[
        Path | None, typer.Option(help="Write each image, or series, with its heat map into this folder, as PNG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer from an exported file, as CSV or with --json as JSON lines; torch is not needed.

    class is the most probable class were all as common as in training, where rare ones are made to count; probability
    is that of this class with the shares of the data. decision is "reject" where score = 1 - p(good) reaches the
    model's line, which can differ from what the class alone would say. --maps writes each image beside a copy with its
    class map, and each series above its map, a strip of colours. The colours mean the same in all pictures of a model:
    what speaks for a defect is red, what speaks against it is blue. The exit code is 0 when all was answered, 1 when
    some of it could not be read, and 2 when a file that was named is not there; standard error says which.
    """
    from ..jobs.predict import predict as work

    code, told = work(model, images, as_json, sys.stdout, maps)
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
    target: Annotated[
        str | None,
        typer.Option(help="Also for another engine: opencv, openvino, tensorrt, npu or onnx (float, channels first)."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Samples that the target's file takes at once.")] = 1,
    page: Annotated[
        Path | None, typer.Option(help="Also one .html file that classifies images offline, opened from the disk.")
    ] = None,
    runtime: Annotated[
        Path | None, typer.Option(help="onnxruntime-web for --page: its .tgz or folder (npm pack onnxruntime-web).")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Put all files, manifest, report and card into this folder or .zip.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one ONNX file, preprocessing inside, and prove on real data that it answers as the network does.

    Its SHA-256 stands beside it. --target writes the network alone into a folder of that name, with preprocess.json and
    readers in Python and C++, and runs it in its engine where that is installed, else in ONNX Runtime.
    """
    from ..jobs.export import export_model as work

    parity = work(model, images, out, target, batch, page, bundle, runtime)
    for sentence in parity["left_out"]:
        print(f"warning: {sentence}", file=sys.stderr)
    print(json.dumps(parity) if as_json else screen.parity_text(out, parity))


@app.command()
def bench(
    model: Annotated[Path, typer.Argument(help="An exported .onnx file, or a run's folder.")],
    threads: Annotated[str, typer.Option(help="Threads, with commas: 1,2.")] = "1",
    batch: Annotated[str, typer.Option(help="Samples at once, with commas: 1,8.")] = "1",
    size: Annotated[
        str | None, typer.Option(help="Size of the images before they are fitted, 480x640; by default the network's.")
    ] = None,
    engine: Annotated[str, typer.Option(help="ort (ONNX Runtime) or openvino.")] = "ort",
    repeats: Annotated[int, typer.Option(help="Runs of each, after a warm-up.")] = 100,
    budget: Annotated[str | None, typer.Option(help="ms=2.5: tell whether the median keeps to it.")] = None,
    as_json: Json = False,
) -> None:
    """Measure an exported file on this machine: latency, throughput, memory.

    A time is from decoded levels to probabilities, for one sample. The exit code is 1 where a budget is not kept.
    """
    from ..jobs.bench import bench as work

    told = work(model, threads, batch, pair(size), engine, repeats, budget)
    print(json.dumps(told) if as_json else screen.bench_text(told))
    if told["within"] is False:
        raise typer.Exit(1)


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
