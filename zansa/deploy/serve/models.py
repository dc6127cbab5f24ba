"""The models that are served: several names, each with numbered versions that stay in the store.

A new version is written beside the old one, loaded, gated and warmed before one reference is swapped; requests that
began with the old one end with it. `models/NAME/V/model.onnx`, and `models/NAME/active.json` says which one answers.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...record import write_atomic
from ..runtime import Predictor, predictor
from .golden import Golden, run
from .limits import Refused
from .store import Store

NAME = re.compile(r"\w[\w.-]{0,59}")


@dataclass(frozen=True)
class Served:
    """A version of a model, ready to answer.

    name: under which it is asked for.
    version: counted from 1.
    sha: SHA-256 of its file.
    predictor: the network.
    classes: in the order in which clients know them: those of earlier versions first, whatever the file's order is.
    """

    name: str
    version: int
    sha: str
    predictor: Predictor
    classes: tuple[str, ...]

    @property
    def line(self) -> float | None:
        """The threshold from which a part is rejected."""
        return self.predictor.operating.threshold if self.predictor.operating else None


class Models:
    """The served models of a store. `golden` are the images that a new version has to answer as expected."""

    def __init__(self, store: Store, golden: tuple[Golden, ...] = ()):
        self.store, self.golden, self.lock = store, golden, threading.RLock()
        self.active: dict[str, Served] = {}
        self.shadows: dict[str, Served] = {}

    def get(self, name: str | None = None, version: str | None = None) -> Served:
        """The model of this name, or the only one; Refused with 404 where there is none, or not this version."""
        if name is None and len(self.active) != 1:
            raise Refused(400 if self.active else 503, f"name a model; served are: {', '.join(self.active) or 'none'}")
        served = self.active.get(name or next(iter(self.active)))
        if served is None:
            raise Refused(404, f"there is no model {name!r}; served are: {', '.join(self.active)}")
        if version is not None and version != str(served.version):
            raise Refused(404, f"model {served.name} serves version {served.version}, and not {version}")
        return served

    def start(self, name: str, file: bytes | None) -> str:
        """Serve what the command named: a file that is new to the store becomes its newest version, and of a known one
        the store's active version goes on. Returns a sentence on it; ValueError where the gate refuses it."""
        versions = self.versions(name)
        known = {self._sha(name, version): version for version in versions}
        sha = hashlib.sha256(file).hexdigest() if file is not None else None
        state = self._state(name)
        there = bool(state) and state["active"] in versions
        if state and not there and sha in (None, state["sha"]):
            return self._restored(name, state, file)
        if there and (sha is None or sha in known):
            served = self.resume(name)
            self.store.note("start", "command", name, served.version, served.sha)
            named = "" if sha is None or sha == served.sha else f"; the named file is its version {known[sha]}"
            return f"{name} goes on with version {served.version}{named}"
        if file is None:
            raise ValueError(f"the store has no model {name}")
        if there:
            self.resume(name)
        try:
            served = self.activate(name, file, "command")
        except Refused as refusal:
            raise ValueError(refusal.reason) from None
        return f"{name} serves version {served.version}"

    def _restored(self, name: str, state: dict[str, Any], file: bytes | None) -> str:
        """Serve the active version, whose file is gone from the store, from the same file where it was named."""
        if file is None:
            raise ValueError(
                f"version {state['active']} of {name} is gone from the store; name its file: zansa serve {name}=MODEL"
            )
        folder = self._folder(name, state["active"])
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "model.onnx", file)
        served = self.resume(name)
        self.store.note("start", "command", name, served.version, served.sha)
        return f"{name} goes on with version {served.version}, whose file was gone from the store and is there again"

    def resume(self, name: str) -> Served:
        """Serve the active version of a model that the store has."""
        served = self.active[name] = self._load(name, self._state(name)["active"])
        _warm(served.predictor)
        return served

    def activate(self, name: str, file: bytes, who: str) -> Served:
        """Serve this file from now on as the newest version. Refused with 400 where it is no model, and with 409 where
        the gate says no; then the old one goes on, and the log says why."""
        self._check(name)
        with self.lock:
            state = self._state(name)
            used = [state["active"], *state["before"]] if state else []  # their numbers stand in rows
            version = max([*self.versions(name), *used], default=0) + 1
            made = _ready(file)
            served = Served(name, version, hashlib.sha256(file).hexdigest(), made, self._order(name, made))
            if reason := self._gate(served):
                self.store.note("refuse", who, name, version, served.sha, reason=reason)
                raise Refused(409, f"{name} stays as it is: {reason}")
            folder = self._folder(name, version)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / "model.onnx", file)
            self._swap(served, who, "activate")
            return served

    def rollback(self, name: str, who: str) -> Served:
        """Serve the version before this one again; Refused with 409 where there is none."""
        with self.lock:
            self.get(name)
            before = self._state(name)["before"]
            if not before:
                raise Refused(409, f"model {name} has no earlier version")
            served = self._load(name, before[-1])
            _warm(served.predictor)
            self._swap(served, who, "rollback", before[:-1])
            return served

    def shadow(self, name: str, file: bytes) -> None:
        """Let this file answer beside the model of that name; its answers are kept and never acted on."""
        made = _ready(file)
        served = Served(name, 0, hashlib.sha256(file).hexdigest(), made, made.classes)
        if reason := _differs(self.get(name).predictor, served.predictor):
            raise ValueError(f"the shadow cannot answer beside {name}: {reason}")
        self.shadows[name] = served
        self.store.note("shadow", "command", name, None, served.sha)

    def versions(self, name: str) -> list[int]:
        """The versions of a model that the store has."""
        folders = (self.store.folder / "models" / name).glob("[1-9]*/model.onnx")
        return sorted(int(path.parent.name) for path in folders if path.parent.name.isdigit())

    def names(self) -> list[str]:
        """The models that the store has."""
        return names_in(self.store.folder)

    def challenge(self, served: Served, who: str) -> dict[str, Any]:
        """Push the golden images through a model, and log what came out."""
        result = run(self.golden, served.predictor)
        self.store.note("golden", who, served.name, served.version, served.sha, **result)
        return result

    def _gate(self, new: Served) -> str:
        """Why a new version must not answer, or ""."""
        old = self.active.get(new.name)
        if old and (reason := _differs(old.predictor, new.predictor)):
            return reason
        if not self.golden:
            return ""
        result = run(self.golden, new.predictor)
        self.store.note("golden", "gate", new.name, new.version, new.sha, **result)
        wrong = [each["name"] for each in result["images"] if not each["passed"]]
        return (
            f"{len(wrong)} of {result['count']} golden images are not answered as expected: {wrong[0]}" if wrong else ""
        )

    def _swap(self, served: Served, who: str, kind: str, before: list[int] | None = None) -> None:
        state = self._state(served.name)
        if before is None:
            before = [*state["before"], state["active"]] if state else []
        told = {"active": served.version, "before": before, "sha": served.sha, "classes": served.classes}
        write_atomic(self._folder(served.name) / "active.json", json.dumps(told).encode())
        self.active[served.name] = served
        self.store.note(kind, who, served.name, served.version, served.sha, line=served.line, golden=len(self.golden))

    def _state(self, name: str) -> dict[str, Any]:
        path = self._folder(name) / "active.json"
        return json.loads(path.read_bytes()) if path.is_file() else {}

    def _load(self, name: str, version: int) -> Served:
        try:
            file = (self._folder(name, version) / "model.onnx").read_bytes()
        except FileNotFoundError:
            raise Refused(409, f"version {version} of {name} is gone from the store") from None
        made = predictor(file, threads=1, reads=True)
        return Served(name, version, hashlib.sha256(file).hexdigest(), made, self._order(name, made))

    def _order(self, name: str, made: Predictor) -> tuple[str, ...]:
        """The classes of a network in the order that clients of this name know, new ones last."""
        now = self.active[name].classes if name in self.active else self._state(name).get("classes", ())
        known = [each for each in now if each in made.classes]
        return (*known, *(each for each in made.classes if each not in known))

    def _sha(self, name: str, version: int) -> str:
        return hashlib.sha256((self._folder(name, version) / "model.onnx").read_bytes()).hexdigest()

    def _folder(self, name: str, version: int | None = None) -> Path:
        folder = self.store.folder / "models" / name
        return folder if version is None else folder / str(version)

    def _check(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise Refused(
                400, f"a model cannot be called {name!r}; allowed are letters, digits, dot, dash and underscore"
            )


def names_in(store: Path) -> list[str]:
    """The models of a store that need not exist."""
    return sorted(path.parent.name for path in (store / "models").glob("*/active.json"))


def _ready(file: bytes) -> Predictor:
    """The network of a file, loaded and warm. Refused with 400 where it is none."""
    try:
        made = predictor(file, threads=1, reads=True)
        _warm(made)
    except ValueError as error:
        raise Refused(400, str(error)) from None
    return made


def _warm(made: Predictor) -> None:
    """Let the network answer twice, so that its first real answer is as fast as the others."""
    preprocess = made.preprocess
    blank = np.zeros((*preprocess.size, preprocess.channels), preprocess.dtype)
    for _ in range(2):
        made.answers([blank])


def _differs(old: Predictor, new: Predictor) -> str:
    """What a new version would change for those who ask, or ""."""
    if not set(old.classes) <= set(new.classes):
        return f"its classes are {', '.join(new.classes)}, and until now they were {', '.join(old.classes)}"
    if old.operating and new.operating and old.operating.good != new.operating.good:
        return f"its good class is {new.operating.good}, and until now it was {old.operating.good}"
    for name in ("channels", "depth", "noun"):
        was, is_now = getattr(old.preprocess, name), getattr(new.preprocess, name)
        if was != is_now:
            return f"its {name} is {is_now}, and until now it was {was}"
    if bool(old.operating) != bool(new.operating):
        return "it has a line and the old one has none" if new.operating else "it has no line, and the old one has"
    return ""
