"""The desk: one way from a sample to a kept answer, for everything that asks (HTTP, the page, folders)."""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import log
from typing import Any

import numpy as np

from ..runtime import judged
from .admit import Content, admit, decoded, encoded
from .engine import Engine
from .features import answer_features, image_features, packed
from .limits import Limits, Refused
from .metrics import Metrics
from .models import Models, Served
from .schema import insert
from .store import Store, now

NEAR = 0.5  # a score this near to the line, in log odds, is doubtful
CLOSE = 0.2  # and where there is no line, two probabilities this near to each other
BEHIND = 32  # samples that wait for a shadow, at most; older ones are dropped
LINE = ("http", "v2", "folder")  # sources whose answers go to the line
journal = logging.getLogger("zansa.serve")
FIELDS = ("part", "lot", "camera")
Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Query:
    """Who asks, and what is known of the part.

    source: http, v2, page, folder or golden.
    request: the asker's own name for it, or the file's.
    fields: what the asker says of the part; part, lot, camera and counter have columns of their own.
    maps: the answer is to have a map too, as `map`: "classes", (classes, *cells) what each place adds to each class's
        calibrated logit; "decision", (*cells) what it adds to the log odds of a defect, or of the class that is named.
    """

    source: str
    request: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    maps: str = ""

    def row(self) -> dict[str, Any]:
        """The columns of the store."""
        rest = {name: value for name, value in self.fields.items() if name not in (*FIELDS, "counter")}
        known = {name: str(self.fields[name]) if name in self.fields else None for name in FIELDS}
        counter = _number(self.fields.get("counter"))
        _moment(self.fields.get("taken"))
        more = {"counter": counter, "fields": json.dumps(rest, ensure_ascii=False) if rest else None}
        return {"source": self.source, "request": self.request or None, **known, **more}


class Desk:
    """Everything that a server shares: models, engine, store, metrics, and who listens to answers."""

    def __init__(self, store: Store, models: Models, limits: Limits):
        self.store, self.models, self.limits = store, models, limits
        self.metrics = Metrics(
            {
                "zansa_pending_images": ("Images that wait for an answer.", lambda: self.engine.pending),
                "zansa_image_bytes": ("Bytes of the images on the disk.", lambda: store.pictures.used),
                "zansa_ready": ("1 where requests are welcome.", lambda: float(not self.ready())),
            }
        )
        self.engine = Engine(limits, waited=self.metrics.queue.observe)
        self.listeners: list[Listener] = []
        self.numbering: Callable[[], int | None] = lambda: None  # the line's number of a part that has none
        self.line: Callable[[int | None, Future], None] = lambda number, done: None
        self.draining = False
        self.last = time.monotonic()
        self.behind: deque[tuple[Any, ...]] = deque(maxlen=BEHIND)
        self.shadowing = threading.Event()
        threading.Thread(target=self._shadow, daemon=True).start()

    def ready(self) -> str:
        """Why no request should be sent here, or ""."""
        if self.draining:
            return "the server is ending"
        return self.store.full or ("" if self.models.active else "no model is loaded")

    def quiet(self) -> float:
        """Seconds since the last part."""
        return time.monotonic() - self.last

    def ask(self, served: Served, samples: Sequence[bytes | np.ndarray], asked: Query) -> Future:
        """A Future of the answers to encoded images, levels or series, as dictionaries, once all are in the store.

        It fails as Refused when the server is too busy, or where the samples cannot be read.
        """
        if not 0 < len(samples) <= self.limits.images:
            raise Refused(400, f"a request has {len(samples)} images; allowed are 1 to {self.limits.images}")
        began = time.monotonic()
        if asked.source in LINE and "counter" not in asked.fields and (number := self.numbering()) is not None:
            asked = replace(asked, fields={**asked.fields, "counter": number})
        number = asked.row()["counter"]
        try:
            done = self.engine.submit(lambda: self.answer(served, samples, asked, began), len(samples))
        except Refused as refusal:
            done = Future()
            done.set_exception(refusal)
        if asked.source in LINE:
            done.add_done_callback(lambda done: self.line(number, done))
        return done

    def answer(self, served: Served, samples: Sequence[bytes | np.ndarray], asked: Query, began: float) -> Future:
        """Answer as `ask` does, in this thread and now: a Future that is done once all answers are in the store."""
        read = [self._read(sample, served, asked) for sample in samples]
        worked = time.monotonic()
        of_all = [levels for _, levels, _ in read]
        probabilities, reads = served.predictor.answers(of_all)
        drawing = {"classes": served.predictor.with_class_maps, "decision": served.predictor.with_maps}
        maps = drawing[asked.maps](of_all)[1] if asked.maps else None
        self.metrics.compute.observe(time.monotonic() - worked)
        if not np.isfinite(probabilities).all():
            raise Refused(500, "the network's answer is no number; the part is not judged")
        rows = [None] * len(read) if reads is None else list(reads)
        more: list[dict[str, Any]] = [{} for _ in read] if maps is None else [{"map": each} for each in maps]
        several = zip(read, probabilities, rows, more, strict=True)
        return gathered([self._keep(served, asked, *each, p, row, began, beside) for each, p, row, beside in several])

    def _read(self, sample: bytes | np.ndarray, served: Served, asked: Query) -> tuple[Content, np.ndarray, str]:
        """A sample's bytes, its levels, and a note on what was lost. One that cannot be decoded is kept as an error."""
        if not isinstance(sample, bytes):
            return encoded(sample), sample, ""
        image = admit(sample, self.limits)
        try:
            return image, *decoded(image, served.predictor.preprocess)
        except Refused as refusal:
            row = self._row(served, asked) | {"image": image.sha, "kept": 0, "error": refusal.reason}
            self.store.put(row)
            raise

    def _row(self, served: Served, asked: Query) -> dict[str, Any]:
        moment = datetime.now().astimezone().isoformat(timespec="milliseconds")
        model = {"model": served.name, "version": served.version, "sha": served.sha, "line": served.line}
        return {"time": now(), "local": moment} | asked.row() | model

    def _keep(
        self,
        served: Served,
        asked: Query,
        image: Content,
        levels: np.ndarray,
        note: str,
        probabilities: np.ndarray,
        reads: np.ndarray | None,
        began: float,
        beside: dict[str, Any],
    ) -> Future:
        """Put one answer into the store; a Future of it with its id, told to all listeners; it has `beside`, which is
        not kept, too."""
        told = {"decision": None, "score": None} | judged(probabilities, served.predictor)
        features = answer_features(probabilities) | {"since": round(time.monotonic() - self.last, 3)}
        if levels.ndim == 3:
            features |= image_features(levels)
        self.last = time.monotonic()
        each = dict(zip(served.predictor.classes, map(float, probabilities), strict=True))
        row = self._row(served, asked) | told
        row |= {"probabilities": json.dumps(each, ensure_ascii=False), "features": json.dumps(features)}
        row["reads"] = None if reads is None else packed(reads)
        row |= {"doubtful": doubt(told, served.line, features["margin"]), "note": note or None}
        row |= {"ms": round(1000 * (self.last - began), 2)} | _sizes(levels)
        done: Future = Future()
        kept = self.store.put(row, image)
        kept.add_done_callback(lambda kept: self._kept(kept, done, row, each, image, levels, beside))
        return done

    def _kept(
        self,
        kept: Future,
        done: Future,
        row: dict,
        each: dict,
        image: Content,
        levels: np.ndarray,
        beside: dict[str, Any],
    ) -> None:
        if error := kept.exception():
            done.set_exception(error)
            return
        answer = {"id": kept.result(), "time": row["time"], "class": row["class"], "probability": row["probability"]}
        answer |= {name: row[name] for name in ("decision", "score", "line", "doubtful", "note", "counter")}
        answer |= {"probabilities": each, "model": row["model"], "version": row["version"], "sha": row["sha"]}
        answer |= {"image": image.sha} | {name: row[name] for name in ("request", "part", "lot")}
        self.metrics.answered(row)
        for listener in self.listeners:
            listener(answer | {"local": row["local"], "source": row["source"]})
        if row["model"] in self.models.shadows:
            self.behind.append((answer, image, levels))
            self.shadowing.set()
        done.set_result(answer | beside)

    def _shadow(self) -> None:
        """Let shadows answer after the models that act, and keep what they say."""
        while self.shadowing.wait():
            self.shadowing.clear()
            while self.behind:
                answer, image, levels = self.behind.popleft()
                try:
                    if shadow := self.models.shadows.get(answer["model"]):
                        self._compare(shadow, answer, image, levels)
                except Exception as error:  # a shadow must never end what it watches, nor itself
                    journal.error("the shadow of %s: %s", answer["model"], error)

    def _compare(self, shadow: Served, answer: dict[str, Any], image: Content, levels: np.ndarray) -> None:
        probabilities = shadow.predictor.probabilities([levels])[0]
        told = {"decision": None, "score": None} | judged(probabilities, shadow.predictor)
        key = "decision" if answer["decision"] is not None else "class"
        row = {name: told[name] for name in ("decision", "class", "score")} | {
            "answer": answer["id"],
            "sha": shadow.sha,
        }
        each = dict(zip(shadow.predictor.classes, map(float, probabilities), strict=True))
        row |= {"probabilities": json.dumps(each, ensure_ascii=False), "disagrees": int(told[key] != answer[key])}
        self.store.write(*insert("shadows", row))
        self.metrics.shadow.labels(answer["model"], str(bool(row["disagrees"])).lower()).inc()
        if row["disagrees"]:
            self.store.keep_doubtful(answer["id"], "the shadow disagrees", image)

    def end(self) -> bool:
        """Answer what was accepted, then close the store; whether everything was answered."""
        self.draining = True
        answered = self.engine.drain()
        self.store.note("stop", "signal", answered=answered)
        self.store.close()
        return answered


def doubt(told: Mapping[str, Any], line: float | None, margin: float) -> str | None:
    """Why a person should look at a part, or None."""
    if told["decision"] not in ("accept", "reject", None):
        return f"the decision is {told['decision']}"
    if line is None:
        return "two classes are nearly as probable" if margin < CLOSE else None
    odds = [log(max(1e-9, share) / max(1e-9, 1 - share)) for share in (told["score"], line)]
    return "the score is near the line" if abs(odds[0] - odds[1]) < NEAR else None


def gathered(futures: Sequence[Future]) -> Future:
    """A Future of the results of all, or of the first error."""
    done: Future = Future()
    lock, left = threading.Lock(), [len(futures)]

    def one_more(_: Future) -> None:
        with lock:
            left[0] -= 1
            if left[0]:
                return
        errors = [error for each in futures if (error := each.exception())]
        done.set_exception(errors[0]) if errors else done.set_result([each.result() for each in futures])

    for each in futures:
        each.add_done_callback(one_more)
    return done


def _sizes(levels: np.ndarray) -> dict[str, int]:
    return {"height": levels.shape[0], "width": levels.shape[1], "bits": levels.dtype.itemsize * 8}


def _moment(value: Any) -> None:
    """Refuse a moment that a client gave and that is none."""
    if value is not None:
        try:
            known = datetime.fromisoformat(str(value)).tzinfo is not None
        except ValueError:
            known = False
        if not known:
            raise Refused(400, f"taken is {value!r}; needed is a moment with its offset: 2026-11-27T14:20:00+09:00")


def _number(value: Any) -> int | None:
    """A counter that a client gave, where it is one."""
    try:
        number = int(str(value)) if value is not None else None
    except ValueError:
        raise Refused(400, f"counter is {value!r}; needed is a whole number") from None
    if number is not None and not 0 <= number < 2**32:
        raise Refused(400, f"counter is {number}; allowed is 0 to {2**32 - 1}")
    return number
