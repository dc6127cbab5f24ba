"""The verb `serve`: answers of exported files by HTTP, with a store, a page, folders and the line. It needs no
torch."""

from collections.abc import Callable
from pathlib import Path

from ..deploy.serve.keys import new_key
from ..deploy.serve.limits import MEGABYTE, Limits
from ..deploy.serve.run import Plan, named
from ..deploy.serve.run import serve as work
from ..deploy.serve.store import Keeping
from .trained_request import ServeRequest


def serve(request: ServeRequest, tell: Callable[[str], None], as_json: bool = False) -> bool:
    """Serve until a signal; whether every accepted request was answered. ValueError for what cannot be served."""
    models = named(request.models)
    shadow = named(request.shadow)
    if len(models) == 1 and len(shadow) == 1 and shadow.keys() != models.keys():
        shadow = dict(zip(models, shadow.values(), strict=True))  # the only model is meant
    if unknown := shadow.keys() - models.keys():
        raise ValueError(f"--shadow names {', '.join(unknown)}; write NAME=MODEL with a name of: {', '.join(models)}")
    if (request.watch is None) != (request.done is None):
        raise ValueError("--watch and --done go together: a folder to look at, and one for the images that are judged")
    plan = Plan(
        models=models,
        host=request.host,
        port=request.port,
        store=Path(request.store),
        limits=_limits(request),
        keeping=Keeping(int(request.quota * 10**9), request.keep_accepted),
        shadow=shadow,
        key_file=_path(request.key_file),
        golden=_path(request.golden),
        shifts=request.shifts,
        watch=_path(request.watch),
        done=_path(request.done),
        mqtt=request.mqtt,
        modbus=request.modbus,
        line_deadline=request.line_deadline,
    )
    return work(plan, tell, as_json)


def add_key(request: ServeRequest, text: str) -> str:
    """A new key, ROLE:NAME, in the key file; it is told once."""
    if request.key_file is None:
        raise ValueError("--new-key needs the --key-file that it is added to")
    role, _, name = text.partition(":")
    return new_key(Path(request.key_file), role, name)


def _limits(request: ServeRequest) -> Limits:
    return Limits(
        bytes=int(request.max_megabytes * MEGABYTE),
        pixels=int(request.max_megapixels * 10**6),
        queue=request.queue,
        deadline=request.deadline,
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
