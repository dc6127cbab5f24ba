"""Changes of models that the command line asks of a server that runs: through files of the store, so that who may write
the store may change its models, and nobody else needs a key.

`models/.wish.json` says what is wanted, `models/.told.json` what became of it. Where no server runs, the change is
made at once.
"""

import json
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...record import write_atomic
from .limits import Refused
from .models import Models, Served
from .periodic import Repeated
from .store import Store

LOOK = 0.2  # seconds between two looks
PATIENCE = 120.0  # seconds that the command line waits for a running server


class Wishes:
    """Looks for wishes while the server runs."""

    def __init__(self, models: Models):
        self.models, self.folder = models, models.store.folder / "models"
        self.looking = Repeated(LOOK, self._look)

    def start(self) -> None:
        """Begin to look."""
        self.looking.start()

    def stop(self) -> None:
        """End after the wish that is being fulfilled."""
        self.looking.stop()

    def _look(self) -> None:
        wish = self.folder / ".wish.json"
        if not wish.exists():
            return
        try:
            told = fulfilled(self.models, json.loads(wish.read_bytes()), self.folder)
            write_atomic(self.folder / ".told.json", json.dumps(told).encode())
        finally:
            wish.unlink(missing_ok=True)


def fulfilled(models: Models, wanted: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What became of a wish: a sentence, and whether it is a refusal."""
    try:
        if wanted["do"] == "rollback":
            served: Served = models.rollback(wanted["name"], "command")
        else:
            served = models.activate(wanted["name"], (folder / ".offered.onnx").read_bytes(), "command")
        text, refused = f"{served.name} serves version {served.version} ({served.sha[:8]}) now", False
    except (Refused, ValueError, OSError) as error:
        text, refused = str(error), True
    (folder / ".offered.onnx").unlink(missing_ok=True)
    return {"key": wanted["key"], "text": text, "refused": refused}


def wish(store: Path, wanted: dict[str, Any]) -> str:
    """Ask for a change of models, and wait for what becomes of it. ValueError where it is refused."""
    folder = store / "models"
    wanted = wanted | {"key": secrets.token_hex(8)}
    told = _alone(store, wanted)
    if told is None:
        write_atomic(folder / ".wish.json", json.dumps(wanted).encode())
        told = _wait(folder, wanted["key"])
    if told["refused"]:
        raise ValueError(told["text"])
    return told["text"]


def _alone(store: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The change, made at once where no server is running; None where one is."""
    try:
        alone = Store(store)
    except ValueError:
        return None
    try:
        models = Models(alone)
        for name in models.names():
            with suppress(Refused):  # its file is gone from the store; another one may take its place
                models.resume(name)
        return fulfilled(models, wanted, store / "models")
    finally:
        alone.close()


def _wait(folder: Path, key: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(FileNotFoundError, ValueError):
            told = json.loads((folder / ".told.json").read_bytes())
            if told["key"] == key:
                return told
        time.sleep(0.1)
    (folder / ".wish.json").unlink(missing_ok=True)  # what is told as failed must not be done later
    raise ValueError(f"the server that runs on {folder.parent} has not answered within {PATIENCE:g} s")
