"""A server from its start to its end: what it is told, the order in which its parts begin, and how it ends.

On SIGTERM readiness turns 503 first, nothing new is accepted, what was accepted is answered and stored, and the process
ends with code 0.
"""

import json
import logging
import re
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from ...runs import exported_file
from ..runtime import predictor
from .app import LOCAL, Office, application
from .desk import Desk
from .folder import Watching
from .golden import golden
from .http import changing, inferring, predicting
from .keys import Keys
from .limits import Limits, Refused
from .line import Line, lines
from .model_changes import Wishes
from .models import NAME, Models, names_in
from .page import Page, judging, seeing
from .store import Keeping, Store
from .uvicorn_http import Wire

GRACE = 20  # seconds for requests that were accepted, at the end
RESERVE = 200  # files beside those of the connections, of the store and its readers


@dataclass(frozen=True)
class Plan:
    """What a server was told.

    models: name and exported file or run of each model.
    host, port: where it listens; port 0 takes a free one.
    store: its folder.
    shadow: models that answer beside, by the name of the model they watch.
    limits: how much it takes at once.
    keeping: how long the store keeps answers and images.
    key_file: keys of those who may ask; None: anyone.
    golden: folder of golden images.
    shifts: when shifts begin.
    watch, done: a folder whose images are judged, and where they go then.
    mqtt, modbus: where answers go to the line.
    line_deadline: seconds after which a part that was announced is rejected for want of an answer.
    """

    models: dict[str, Path]
    host: str
    port: int
    store: Path
    limits: Limits = field(default_factory=Limits)
    keeping: Keeping = field(default_factory=Keeping)
    shadow: dict[str, Path] = field(default_factory=dict)
    key_file: Path | None = None
    golden: Path | None = None
    shifts: str = "06:00,14:00,22:00"
    watch: Path | None = None
    done: Path | None = None
    mqtt: str | None = None
    modbus: str | None = None
    line_deadline: float = 1.0


def serve(plan: Plan, tell: Callable[[str], None], as_json: bool = False) -> bool:
    """Serve until a signal; whether everything that was accepted was answered. ValueError for what cannot be served."""
    keys, images, files = Keys(plan.key_file), golden(plan.golden), _files(plan, tell)
    with _listen(plan.host, plan.port) as listening:
        store = Store(plan.store, plan.keeping)
        try:
            models = _models(plan, files, Models(store, images), tell)
            desk = Desk(store, models, plan.limits)
            beside = _beside(plan, desk)
        except BaseException:
            store.close()
            raise
        app = _application(plan, desk, keys)
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
        for each in beside:
            each.start()
        _tell_place(plan, listening, desk, keys, tell, as_json)
        Server(app, desk).run(sockets=[listening])
        for each in beside:
            each.stop()
        answered = desk.end()
    some = "every accepted request was" if answered else "some accepted requests were not"
    tell(f"ended; {some} answered")
    return answered


def _beside(plan: Plan, desk: Desk) -> list[Watching | Line | Wishes]:
    """What works beside the HTTP server."""
    found: list[Watching | Line | Wishes] = [Wishes(desk.models)]
    found += lines(plan.mqtt, plan.modbus, desk, plan.line_deadline)
    if plan.watch and plan.done:
        found.append(Watching(desk, plan.watch, plan.done))
    return found


def _application(plan: Plan, desk: Desk, keys: Keys) -> FastAPI:
    office, page = Office(desk, keys, plan.host in LOCAL), Page(desk, plan.shifts)
    routers = [predicting(office), inferring(office), changing(office), judging(office, page), seeing(office, page)]
    return application(office, routers)


def _tell_place(
    plan: Plan, listening: socket.socket, desk: Desk, keys: Keys, tell: Callable[[str], None], as_json: bool
) -> None:
    """Say where the server is, and who may ask it."""
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    tell(f"serving at {address} (page), {address}predict, {address}v2, {address}metrics; the store is {plan.store}")
    if plan.host not in LOCAL and keys.open:
        tell(f"warning: anyone who reaches {plan.host} may ask and change models; give a --key-file")
    if as_json:
        served = {name: each.version for name, each in desk.models.active.items()}
        print(json.dumps({"address": address, "models": served}), flush=True)


class Server(uvicorn.Server):
    """uvicorn, which tells the desk before it stops to listen, and leaves the end to us."""

    def __init__(self, app: Any, desk: Desk):
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",  # Wire joins writes, which transports of uvloop do not let it
                http=type("Wire", (Wire,), {"most": _connections()}),
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=10,
                timeout_graceful_shutdown=GRACE,
                lifespan="off",
                ws="none",
                backlog=512,
            )
        )
        self.desk = desk

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends the server in order, a second one at once."""
        self.force_exit = self.should_exit
        self.desk.draining = self.should_exit = True


def _connections() -> int:
    """How many connections may be open at once: so many that files for the store are left, of which a process may have
    1,024 at first and often many more where it asks."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = Wire.most + RESERVE if most == resource.RLIM_INFINITY else min(most, Wire.most + RESERVE)
    if now != resource.RLIM_INFINITY and now < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return max(files - RESERVE, 1)


def _files(plan: Plan, tell: Callable[[str], None]) -> dict[str, bytes | None]:
    """The content of every exported file that was named, and None for the models that the store alone has. It is read
    before a store is made, so that a wrong name leaves nothing behind."""
    kept = names_in(plan.store)
    files = {name: _file(place, name in kept, tell) for name, place in plan.models.items()}
    if not files and not kept:
        raise ValueError(f"name a model: the store {plan.store} has none yet")
    return dict.fromkeys(kept) | files


def _models(plan: Plan, files: dict[str, bytes | None], models: Models, tell: Callable[[str], None]) -> Models:
    for name, file in files.items():
        tell(models.start(name, file))
    for name, place in plan.shadow.items():
        try:
            models.shadow(name, exported_file(place).read_bytes())
        except Refused as refusal:
            raise ValueError(refusal.reason) from None
        tell(f"{place} answers beside {name}, and never acts")
    return models


def _file(place: Path, kept: bool, tell: Callable[[str], None]) -> bytes | None:
    """The content of an exported file; None where it is gone, and the store still has it."""
    try:
        file = exported_file(place)
        if not file.is_file():
            raise ValueError(f"there is no file {file}")
        predictor(file, threads=1)
        return file.read_bytes()
    except ValueError as error:
        if not kept:
            raise
        tell(f"warning: {error}; the store's own copy answers")
        return None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
        # accepted sockets inherit it; asyncio sets it for sockets of its own making alone, and answers waited 40 ms
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise ValueError(f"cannot listen at {host}, port {port}: {error.strerror}; choose another --port") from None


def named(models: Sequence[str]) -> dict[str, Path]:
    """Names and places of models that were given as NAME=PLACE or PLACE, whose name is then that of the run or file."""
    found: dict[str, Path] = {}
    for text in models:
        name, equals, place = text.partition("=")
        path = Path(place if equals else text)
        name = name if equals else _run_name(path)
        if not NAME.fullmatch(name):
            raise ValueError(
                f"a model cannot be called {name!r}; allowed are letters, digits, dot, dash and underscore"
            )
        if name in found:
            raise ValueError(f"two models are called {name}; name them: {name}-2={path}")
        found[name] = path
    return found


def _run_name(path: Path) -> str:
    """A name of a run or of its model.onnx, or of a file that is called otherwise."""
    if path.suffix == ".onnx" and path.stem != "model":
        folder = path.with_suffix("")
    else:
        folder = path.absolute().parent if path.suffix == ".onnx" else path
    return re.sub(r"[^\w.-]+", "_", folder.absolute().name).lstrip(".-")[:60] or "model"
