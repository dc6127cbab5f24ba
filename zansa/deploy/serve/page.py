"""The operators' page: what stands on it, and what people do on it. It is made on the server, with one small script."""

import asyncio
import json
import re
import secrets
import threading
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from ...inputs.heat import drawn, drawn_series
from ...phrases import retold, speaking
from .admit import Content, decoded
from .app import ERRORS, SESSION, Office, language_of
from .desk import Desk
from .limit_samples import MARKED_BY, UNDECIDED, limit_samples
from .limits import MEGABYTE, Refused
from .schema import VERDICTS, insert
from .serve_words import LANGUAGES, words
from .store import now

SIDE = 1024  # pixels of the longer side of a picture with its heat map
STRIP = 24  # parts in the strip of the last ones
QUEUE = 50  # doubtful parts that the page gets at once
MOST_SESSIONS = 1000  # people who are logged in at once; the oldest go first
FILES = Path(__file__).parent / "pages"
SHOWN = {".png": "image/png", ".jpg": "image/jpeg", ".bmp": "image/bmp"}  # what browsers show as it is
KINDS = {".css": "text/css", ".js": "text/javascript"}
KIND = re.compile(r"\w[\w .-]{0,59}")  # the name of a new kind
# known defects and second readings that wait; a second reading is for another person
AGAIN = (
    "SELECT q.answer FROM queue q WHERE q.truth IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.answer = q.answer AND v.time >= q.time) "
    "AND (q.why <> 'second' OR ? <> '' AND NOT EXISTS "
    "(SELECT 1 FROM verdicts v WHERE v.answer = q.answer AND v.who = ?))"
)


class Page:
    """What the page shows now. It listens to the desk, so that showing it asks little of the store."""

    def __init__(self, desk: Desk, shifts: str):
        self.desk, self.shifts = desk, _times(shifts)
        self.lock = threading.Lock()
        self.strip: deque[dict[str, Any]] = deque(maxlen=STRIP)
        self.counts: Counter[str] = Counter()
        self.since = self.shift(datetime.now().astimezone())
        kept = desk.store.read(f"SELECT {SEEN} FROM answers WHERE error IS NULL ORDER BY id DESC LIMIT ?", (STRIP,))
        self.strip.extend(reversed(kept))
        self._count()
        desk.listeners.append(self.answered)

    def shift(self, moment: datetime) -> datetime:
        """When the shift began in which this moment lies."""
        days = (moment - timedelta(days=1), moment)
        starts = [day.replace(hour=h, minute=m, second=0, microsecond=0) for day in days for h, m in self.shifts]
        return max(start for start in starts if start <= moment)

    def answered(self, answer: Mapping[str, Any]) -> None:
        """An answer was kept."""
        with self.lock:
            self._turn()
            self.counts[_kind(answer["decision"])] += 1
            self.strip.append({name: answer.get(name) for name in SEEN_NAMES})

    def state(self) -> dict[str, Any]:
        """Everything that changes on the page, with its sentences in the language that is spoken."""
        with self.lock:
            self._turn()
            strip, counts = list(self.strip), dict(self.counts)
        return {
            "ready": retold(self.desk.ready()),
            "models": [_model(served) for served in list(self.desk.models.active.values())],
            "strip": [row | {"note": retold(row["note"] or "")} for row in strip],
            "counts": counts,
            "since": self.since.strftime("%H:%M"),
            "quiet": round(self.desk.quiet()),
            "golden": len(self.desk.models.golden),
            **self._judged(),
        }

    def queue(self, who: str = "") -> list[dict[str, Any]]:
        """Doubtful parts that nobody has judged yet and those that are to be read again, the newest first. Where a name
        is given, second readings too of what others have read first."""
        return self.desk.store.read(
            f"SELECT {SEEN}, doubtful FROM answers WHERE kept = 1 AND (id IN ({AGAIN}) "
            f"OR doubtful IS NOT NULL AND id NOT IN (SELECT answer FROM ({VERDICTS}))) ORDER BY id DESC LIMIT ?",
            (who, who, QUEUE),
        )

    def limits(self) -> dict[str, list[dict[str, Any]]]:
        """The limit samples of each model that draws a line."""
        read = self.desk.store.read
        return {each.name: limit_samples(read, each.name, each.predictor.operating.good) for each in self._with_line()}

    def judge(
        self,
        answer: int,
        verdict: str | None,
        who: str,
        seconds: float | None,
        new: bool = False,
        limit: bool = False,
    ) -> dict[str, Any]:
        """Keep what a person says of a part; None takes back what was said last, and an own mark as a
        limit sample. With `new` the verdict may name a kind
        that the network does not know; with `limit` the part becomes a limit sample of it. Refused with 404 or 400."""
        found = self.desk.store.read(f"SELECT {SEEN} FROM answers WHERE id = ?", (answer,))
        if not found:
            raise Refused(404, f"there is no answer {answer}")
        served = self.desk.models.active.get(found[0]["model"])
        known = (*(served.classes if served else ()), *UNDECIDED)
        if verdict is not None and verdict not in known and not (new and KIND.fullmatch(verdict)):
            raise Refused(400, f"{verdict!r} is no verdict; allowed: {', '.join(known)}")
        row = {"answer": answer, "time": now(), "who": who, "verdict": verdict}
        self.desk.store.write(*insert("verdicts", row | {"seconds": seconds})).result()
        back = verdict is None and self.desk.store.read(MARKED_BY, (answer, who))
        if back or (limit and verdict not in (None, *UNDECIDED)):
            self.desk.store.write(*insert("limit_samples", row)).result()
        return found[0]

    def _judged(self) -> dict[str, Any]:
        """What people found in this shift, how much waits for them, and the last golden runs."""
        store = self.desk.store
        goods = {served.name: served.predictor.operating.good for served in self._with_line()}
        since = self.since.astimezone().isoformat(timespec="milliseconds")
        judged = store.read(
            f"SELECT a.model, a.decision, v.verdict FROM ({VERDICTS}) v JOIN answers a ON a.id = v.answer "
            "WHERE a.id IN (SELECT id FROM answers WHERE time >= ?)",
            (self._utc(),),
        )
        sure = [row for row in judged if row["verdict"] not in UNDECIDED and row["model"] in goods]
        good = [row["verdict"] == goods[row["model"]] for row in sure]
        pairs = list(zip(sure, good, strict=True))
        golden = store.read(
            "SELECT time, who, model, version, sha, detail FROM log WHERE kind = 'golden' ORDER BY id DESC LIMIT 2"
        )
        return {
            "false_alarms": sum(row["decision"] == "reject" and fine for row, fine in pairs),
            "misses": sum(row["decision"] == "accept" and not fine for row, fine in pairs),
            "waiting": len(self.queue()),
            "runs": [_run(row, since) for row in golden],
        }

    def _with_line(self) -> list[Any]:
        return [served for served in list(self.desk.models.active.values()) if served.predictor.operating]

    def _utc(self) -> str:
        return (self.since - self.since.utcoffset()).strftime("%Y-%m-%dT%H:%M:%S")  # type: ignore[operator]

    def _turn(self) -> None:
        """Begin to count anew where a shift has begun."""
        since = self.shift(datetime.now().astimezone())
        if since != self.since:
            self.since = since
            self.counts.clear()

    def _count(self) -> None:
        rows = self.desk.store.read(
            "SELECT decision, count(*) AS number FROM answers WHERE time >= ? AND error IS NULL GROUP BY decision",
            (self._utc(),),
        )
        for row in rows:
            self.counts[_kind(row["decision"])] += row["number"]


SEEN = 'id, local, part, decision, "class", score, line, model, version, sha, image, suffix, note'
SEEN_NAMES = SEEN.replace('"', "").split(", ")


def seeing(office: Office, page: Page) -> APIRouter:
    """The page, and what it shows."""
    router, desk = APIRouter(tags=["page"], responses=ERRORS), office.desk

    @router.get("/", include_in_schema=False)
    async def operators(request: Request, lang: str | None = None) -> Response:
        language = _language(request, lang)
        try:
            office.allowed(request, "read")
        except Refused:
            return HTMLResponse(_page("login.html", language, wrong=False), 401)
        said = json.dumps(words(language), ensure_ascii=False)
        return HTMLResponse(_page("operators.html", language, said=said, models=[*desk.models.active.values()]))

    @router.post("/page/login", include_in_schema=False)
    async def login(request: Request, key: str = Form(""), lang: str | None = None) -> Response:
        language = _language(request, lang)
        try:
            caller = office.keys.caller(key)
        except Refused:
            return HTMLResponse(_page("login.html", language, wrong=True), 401)
        session = secrets.token_urlsafe(32)
        office.sessions[session] = caller
        while len(office.sessions) > MOST_SESSIONS:
            del office.sessions[next(iter(office.sessions))]
        answer = RedirectResponse(f"/?lang={language}", 303)
        answer.set_cookie(SESSION, session, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer

    @router.get("/page/state")
    async def state(request: Request) -> dict[str, Any]:
        """Everything that changes on the page."""
        office.allowed(request, "read")
        with speaking(language_of(request.headers)):
            return await asyncio.to_thread(page.state)

    @router.get("/page/image/{sha}", response_class=Response)
    async def image(request: Request, sha: str) -> Response:
        """The picture of this hash, as browsers show it."""
        office.allowed(request, "read")
        data, kind = await asyncio.to_thread(_picture, desk, sha)
        return Response(data, media_type=kind, headers={"cache-control": "private, max-age=86400"})

    @router.get("/page/map/{model}/{sha}", response_class=Response)
    async def heat(request: Request, model: str, sha: str) -> Response:
        """The picture of this hash with the heat map of the model of that hash, as PNG."""
        office.allowed(request, "read")
        data = await asyncio.to_thread(_heat, desk, model, sha)
        return Response(data, media_type="image/png", headers={"cache-control": "private, max-age=86400"})

    @router.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in ("operators.css", "operators.js", "plain.css"):
            raise Refused(404, f"there is no /page/{name[:80]}")
        return Response(_file(name), media_type=KINDS[Path(name).suffix])

    return router


def judging(office: Office, page: Page) -> APIRouter:
    """What people do on the page: judge doubtful parts, and run golden images."""
    router, desk = APIRouter(tags=["page"], responses=ERRORS), office.desk

    @router.get("/page/queue")
    async def queue(request: Request, who: str = "") -> list[dict[str, Any]]:
        """Doubtful parts that nobody has judged yet, and those that this person is to read again."""
        caller = office.allowed(request, "infer")
        return await asyncio.to_thread(page.queue, who[:80] if office.keys.open else caller.name)

    @router.get("/page/limits")
    async def limits(request: Request) -> dict[str, list[dict[str, Any]]]:
        """The limit samples of each model: what people agree is just acceptable, and just a defect."""
        office.allowed(request, "infer")
        return await asyncio.to_thread(page.limits)

    @router.post("/page/verdict")
    async def verdict(request: Request) -> dict[str, Any]:
        """Keep what a person says of a part: {"answer": 7, "verdict": "scratch"}; null takes the last word back, with
        "new": true a kind is named that the network does not know, with "limit": true the part is a limit sample."""
        caller = office.allowed(request, "infer")
        asked = await _small_json(office, request)
        who = str(asked.get("who") or "")[:80]
        name = caller.name if not office.keys.open else who or caller.name
        answer, said, seconds = asked.get("answer"), asked.get("verdict"), asked.get("seconds")
        if type(answer) is not int or not -(2**62) < answer < 2**62 or not isinstance(said, str | None):
            raise Refused(400, 'needed is {"answer": a number, "verdict": a class or null}')
        took = float(seconds) if isinstance(seconds, int | float) and abs(seconds) < 1e9 else None
        more = asked.get("new") is True, asked.get("limit") is True
        return await asyncio.to_thread(page.judge, answer, said, name, took, *more)

    @router.post("/page/golden")
    async def challenge(request: Request) -> list[dict[str, Any]]:
        """Push the golden images through every model that answers, and log what comes out."""
        caller = office.allowed(request, "infer")
        if not desk.models.golden:
            raise Refused(409, "there are no golden images; start with --golden FOLDER")
        served = list(desk.models.active.values())
        runs = [await asyncio.to_thread(desk.models.challenge, each, caller.name) for each in served]
        return [run | _model(each) for run, each in zip(runs, served, strict=True)]

    return router


def _times(text: str) -> list[tuple[int, int]]:
    try:
        moments = [datetime.strptime(part.strip(), "%H:%M") for part in text.split(",")]
    except ValueError:
        raise ValueError(f"shifts {text!r} are not understood; needed is 06:00,14:00,22:00") from None
    return [(moment.hour, moment.minute) for moment in moments]


def _kind(decision: str | None) -> str:
    """Under which word a decision is counted; a model that draws no line only classifies."""
    return {"accept": "accept", "reject": "reject", None: "class"}.get(decision, "ask")


def _model(served: Any) -> dict[str, Any]:
    point = served.predictor.operating
    told = {"name": served.name, "version": served.version, "sha": served.sha, "line": served.line}
    maps = served.predictor.cells is not None
    return told | {"classes": list(served.classes), "good": point.good if point else None, "maps": maps}


def _run(row: dict[str, Any], since: str) -> dict[str, Any]:
    detail = json.loads(row.pop("detail"))
    moment = datetime.fromisoformat(row["time"]).astimezone()
    wrong = [each["name"] for each in detail["images"] if not each["passed"]]
    shown = {"time": moment.strftime("%H:%M"), "count": detail["count"], "passed": detail["passed"], "wrong": wrong[:5]}
    return row | shown | {"current": moment >= datetime.fromisoformat(since)}


def _picture(desk: Desk, sha: str) -> tuple[bytes, str]:
    """An image as browsers show it: as it is, or as a PNG of 8 bits; a series as its curve."""
    image = _kept(desk, sha)
    known = SHOWN.get(image.suffix)
    if image.suffix == ".npy":
        return _plain(np.load(BytesIO(image.data), allow_pickle=False)), "image/png"
    return (image.data, known) if known else (_as_png(image.data), "image/png")


def _plain(levels: np.ndarray) -> bytes:
    return drawn(levels, SIDE) if levels.ndim == 3 else drawn_series(levels)


def _heat(desk: Desk, model: str, sha: str) -> bytes:
    """An image, or a series, with the heat map of the model of this hash, as PNG. It is made when it is asked for.
    Refused with 404 where that model does not answer any more: another one's map would explain another answer."""
    served = next((each for each in list(desk.models.active.values()) if each.sha == model), None)
    if served is None or not _model(served)["maps"]:
        raise Refused(404, "the model of this hash does not answer now, or has no class maps")
    image, predictor = _kept(desk, sha), served.predictor
    if image.suffix == ".npy":
        levels = np.load(BytesIO(image.data), allow_pickle=False)
    else:
        levels, _ = decoded(image, predictor.preprocess)
    _, (values,) = predictor.with_maps([levels])
    values = values / predictor.strongest
    if predictor.preprocess.series:
        return drawn_series(levels, values)
    return drawn(levels, SIDE, values, predictor.preprocess)


def _kept(desk: Desk, sha: str) -> Content:
    """The image of this hash; Refused with 404 where it is not there."""
    if len(sha) != 64 or not set(sha) <= set("0123456789abcdef"):
        raise Refused(404, "an image is asked for by the 64 hexadecimal digits of its SHA-256")
    found = desk.store.read("SELECT suffix FROM answers WHERE image = ? AND suffix IS NOT NULL LIMIT 1", (sha,))
    data = desk.store.pictures.find(sha, found[0]["suffix"]) if found else None
    if data is None:
        raise Refused(404, "this image is not kept")
    return Content(data, found[0]["suffix"], sha)


def _as_png(data: bytes) -> bytes:
    with Image.open(BytesIO(data)) as image:
        shown: Image.Image = image
        if image.mode.startswith(("I", "F")):
            shown = image.point(lambda level: level / 256).convert("L")
        stream = BytesIO()
        shown.convert("RGB" if shown.mode not in ("L", "RGB") else shown.mode).save(stream, "PNG")
    return stream.getvalue()


def _language(request: Request, asked: str | None) -> str:
    return asked if asked in LANGUAGES else language_of(request.headers)


async def _small_json(office: Office, request: Request) -> dict[str, Any]:
    body = await office.bodies.read(request, MEGABYTE)
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused(400, "the body is no JSON object")
    return asked


@cache
def _file(name: str) -> bytes:
    return (FILES / name).read_bytes()


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _page(name: str, language: str, **more: Any) -> str:
    said = words(language)
    return _templates().get_template(name).render(w=said, language=language, languages=LANGUAGES, **more)
