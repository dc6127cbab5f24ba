"""The HTTP server's application: who may ask, how errors look, health, metrics and the page of its interface.

Every error is {"error": "a sentence"}, as the Open Inference Protocol wants it, those of the framework too.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...phrases import LANGUAGES, retold, speaking
from .bodies import Bodies
from .desk import Desk
from .keys import Caller, Keys, may
from .limits import Refused
from .metrics import Metrics

SESSION = "zansa_session"
LOCAL = {"127.0.0.1", "localhost", "::1"}
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a browser calls the page itself "null" when it logs in
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:"),
)
log = logging.getLogger("zansa.serve")


class Office:
    """What the routes share: the desk, the bodies in the memory, the keys, and who is logged in on the page."""

    def __init__(self, desk: Desk, keys: Keys, local: bool):
        self.desk, self.keys, self.local = desk, keys, local
        self.bodies = Bodies(desk.limits)
        self.sessions: dict[str, Caller] = {}

    def allowed(self, request: Request, role: str) -> Caller:
        """Who asks; Refused with 401 or 403 where they may not."""
        session = self.sessions.get(request.cookies.get(SESSION, ""))
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        caller = session or self.keys.caller(request.headers.get("x-api-key") or bearer)
        may(caller, role)
        return caller


class Frame:
    """What is done for every request: foreign pages are refused, and what could not be answered in time, before any
    work was spent on it; answers get their headers, and all is counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics, local: bool, busy: Callable[[], Refused | None]):
        self.app, self.metrics, self.local, self.busy = app, metrics, local, busy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), [500]

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                message["headers"] = [*message["headers"], *SECURITY]
            await send(message)

        asks = _asks(scope)
        refused = self._foreign(scope) or (asks and self.busy()) or None
        try:
            if refused:
                await refusal(refused, language_of(Headers(scope=scope)))(scope, receive, framed)
            else:
                await self.app(scope, receive, framed)
        finally:
            path = getattr(scope.get("route"), "path", asks or "other")
            self.metrics.requests.labels(path, str(status[0])).inc()
            self.metrics.seconds.labels(path).observe(time.monotonic() - began)

    def _foreign(self, scope: Scope) -> Refused | None:
        """Why a browser's request comes from a page that is not this server's, or None."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if self.local and urlsplit(f"//{host}").hostname not in LOCAL:
            return Refused(403, "this server answers on this machine alone; start it with --host to let others ask")
        if origin is not None and urlsplit(origin).netloc != host:
            return Refused(403, f"a page of {origin[:80]} may not ask this server")
        return None


def _asks(scope: Scope) -> str:
    """Under which path a request counts that asks for answers to images, or ""."""
    if scope["method"] != "POST":
        return ""
    if scope["path"].endswith("/infer"):
        return "/v2/models/{model}/infer"
    return "/predict" if scope["path"].startswith("/predict") else ""


def application(office: Office, routers: list[Any]) -> FastAPI:
    """The application with all its routes."""
    app = FastAPI(
        title="zansa serve",
        version=version("zansa"),
        description="Answers of exported networks: Open Inference Protocol v2, simple uploads, health and metrics.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Frame, metrics=office.desk.metrics, local=office.local, busy=office.desk.engine.refused)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    _health(app, office)
    for router in routers:
        app.include_router(router)
    return app


def language_of(headers: Mapping[str, str]) -> str:
    """The language that a client asks for first, where it is spoken here; English for all others, so for programs."""
    first = re.split("[-_;,]", headers.get("accept-language", "")[:80].strip())[0].strip().lower()  # jav is not ja
    return first if first in LANGUAGES else "en"


def refusal(refused: Refused, language: str = "en") -> JSONResponse:
    """The answer to a request that is not answered, in this language where its reason is known in it."""
    headers = {"retry-after": str(refused.retry)} if refused.retry else {}
    if refused.status == 401:
        headers["www-authenticate"] = "Bearer"
    with speaking(language):
        reason = retold(refused.reason).encode("utf-8", "replace").decode()
    return JSONResponse({"error": reason}, refused.status, headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal(error, language_of(request.headers))


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = {404: f"there is no {request.url.path}", 405: f"{request.method} is not for {request.url.path}"}
    refused = Refused(error.status_code, sentence.get(error.status_code, str(error.detail)))
    answer = refusal(refused, language_of(request.headers))
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
    return refusal(Refused(400, f"the request is not understood: {places}"), language_of(request.headers))


async def _fault(request: Request, error: Exception) -> Response:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return refusal(Refused(500, "the server has a fault; its log says more"), language_of(request.headers))


HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    Refused: _refused,
    HTTPException: _framework,
    RequestValidationError: _invalid,
    Exception: _fault,
}


def _health(app: FastAPI, office: Office) -> None:
    desk = office.desk

    @app.get("/v2/health/live", tags=["health"])
    @app.get("/health", tags=["health"])
    async def live() -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=["health"], responses=ERRORS)
    @app.get("/ready", tags=["health"], responses=ERRORS)
    async def ready() -> dict[str, bool]:
        """Requests are welcome; 503 while the server ends, and where the disk refuses answers."""
        if reason := desk.ready():
            raise Refused(503, reason, 5)
        return {"ready": True}

    @app.get("/metrics", tags=["health"], response_class=Response, responses=ERRORS)
    async def metrics(request: Request) -> Response:
        """All figures in Prometheus' text format."""
        office.allowed(request, "read")
        models = [(served.name, served.version, served.sha) for served in list(desk.models.active.values())]
        return Response(desk.metrics.text(models), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        office.allowed(request, "read")
        return HTMLResponse(interface_page(app.openapi()))


ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"description": meaning, "content": {"application/json": {"schema": ERROR}}}
    for code, meaning in {
        400: "The request cannot be understood.",
        401: "A key is needed.",
        403: "The key may not do this, or a foreign page asks.",
        404: "There is no such model, version or answer.",
        405: "The path takes another method.",
        408: "The body did not come in in time.",
        409: "The models stay as they are.",
        413: "The body or the image is too large.",
        415: "The format is not read.",
        429: "Too many requests wait; try again after Retry-After seconds.",
        501: "This part of the protocol is not served.",
        503: "The server is ending, or its disk is full; try again after Retry-After seconds.",
    }.items()
}


def interface_page(schema: dict[str, Any]) -> str:
    """The OpenAPI document as one page of plain HTML, without a script."""
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{path}</code></td><td>{told.get('description', '')}</td></tr>"
        for path, methods in schema["paths"].items()
        for method, told in methods.items()
    ]
    title = f"{schema['info']['title']} {schema['info']['version']}"
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><link rel='icon' href='data:,'><title>{title}</title>"
        f"<link rel='stylesheet' href='/page/plain.css'><h1>{title}</h1><p>{schema['info']['description']} "
        "The whole description is at <a href='/openapi.json'>/openapi.json</a>.</p>"
        f"<table>{''.join(rows)}</table></html>"
    )
