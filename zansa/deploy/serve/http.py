"""Questions by HTTP: the Open Inference Protocol v2 and simple uploads."""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from . import protocol
from .app import ERRORS, Office
from .bodies import checked, upload
from .desk import Query
from .limits import MEGABYTE, Refused
from .models import Served

LONG = 65_536  # bytes of JSON that are read beside the loop that serves all clients
MODEL_BYTES = 512 * MEGABYTE
FORMS = {
    "parameters": [{"name": "map", "in": "query", "required": False, "schema": {"type": "string", "enum": ["0", "1"]}}],
    "requestBody": {
        "required": True,
        "content": {
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}, "part": {"type": "string"}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": {"type": "string", "format": "byte"}, "part": {"type": "string"}},
                }
            },
        },
    },
}
TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string", "enum": [*protocol.TYPES, "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "parameters": {"type": "object"},
        "data": {"type": "array", "items": {}},
    },
}
INFER = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "parameters": {"type": "object"},
                        "inputs": {"type": "array", "minItems": 1, "items": TENSOR},
                        "outputs": {"type": "array", "items": {"type": "object"}},
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
FILE = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def predicting(office: Office) -> APIRouter:
    """Simple uploads."""
    router, desk = APIRouter(tags=["predict"], responses=ERRORS), office.desk

    @router.post("/predict", openapi_extra=FORMS)
    async def predict(request: Request) -> Response:
        """The answer to an image: its bytes as they are, a form with `file`, or JSON with `image` in base64. Fields
        beside it (part, lot, camera, counter and others) are kept with the answer; beside bytes they stand in the
        address. With several images the answers are a list. `map=1` asks for the map of the decision beside it: a small
        grid of what each cell of the picture adds to the log odds of a defect, or where the model draws no line, of the
        class that is named."""
        return await answered(request, None)

    @router.post("/predict/{model}", openapi_extra=FORMS)
    async def predict_by(request: Request, model: str) -> Response:
        """The same, of the model of this name."""
        return await answered(request, model)

    async def answered(request: Request, model: str | None) -> Response:
        office.allowed(request, "infer")
        served = desk.models.get(model)
        with office.bodies.hold(_declared(request, desk.limits.bytes)):
            body = await office.bodies.read(request)
            images, fields = await upload(body, request.headers)
            fields = checked(dict(request.query_params)) | fields
            source = "page" if fields.pop("from", "") == "page" else "http"
            maps = _maps(fields.pop("map", None), served)
            asked = Query(source, str(fields.pop("request", "")), fields, maps)
            answers = await result(desk.ask(served, images, asked), desk.engine.lag.add)
        told = [each | _grid(each, served) for each in answers]
        return JSONResponse(told[0] if len(told) == 1 else {"answers": told})

    return router


def inferring(office: Office) -> APIRouter:
    """The Open Inference Protocol v2: health is in `app`, models change in `changing`."""
    router, desk = APIRouter(prefix="/v2", tags=["v2"], responses=ERRORS), office.desk

    @router.get("")
    async def server() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return {"name": "zansa", "version": version("zansa"), "extensions": ["binary_tensor_data", "model_repository"]}

    @router.get("/models/{model}")
    @router.get("/models/{model}/versions/{version}")
    async def metadata(request: Request, model: str, version: str | None = None) -> dict[str, Any]:
        """Inputs and outputs of a model; -1 stands for any size. An image may also come encoded, as BYTES."""
        office.allowed(request, "read")
        return described(desk.models.get(model, version))

    @router.get("/models/{model}/ready")
    @router.get("/models/{model}/versions/{version}/ready")
    async def ready(model: str, version: str | None = None) -> dict[str, Any]:
        """The model answers."""
        return {"name": desk.models.get(model, version).name, "ready": True}

    @router.get("/models/{model}/config")
    @router.get("/models/{model}/versions/{version}/config")
    async def config(request: Request, model: str, version: str | None = None) -> dict[str, Any]:
        """What Triton's clients want to know of a model."""
        office.allowed(request, "read")
        told = described(desk.models.get(model, version))
        puts = {
            way[:-1]: [
                {"name": each["name"], "data_type": f"TYPE_{each['datatype']}", "dims": each["shape"]}
                for each in told[way]
            ]
            for way in ("inputs", "outputs")
        }
        return {"name": told["name"], "platform": told["platform"], "max_batch_size": 0, **puts}

    @router.post("/models/{model}/infer", openapi_extra=INFER)
    @router.post("/models/{model}/versions/{version}/infer", openapi_extra=INFER)
    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        """The answers to a batch: levels (UINT8 or UINT16, N × height × width × channels), encoded images (BYTES, N),
        or series. Fields of the parts (part, lot, camera, counter, ...) stand in `parameters`. The output `map`, what
        each place adds to each class's calibrated logit, comes only where it is asked for by its name."""
        office.allowed(request, "infer")
        served = desk.models.get(model, version)
        with office.bodies.hold(_declared(request, desk.limits.bytes)):
            body, header = await office.bodies.read(request), request.headers.get(protocol.HEADER)
            long = len(body) > LONG and header is None
            wanted = await asyncio.to_thread(protocol.read, body, header) if long else protocol.read(body, header)
            own = {name: value for name, value in wanted.parameters.items() if name != "binary_data_output"}
            maps = "classes" if "map" in (wanted.outputs or ()) and served.predictor.cells is not None else ""
            asked = Query("v2", wanted.id[:1000], checked(own), maps)
            given = samples(wanted, served, desk.limits.pixels)
            answers = await result(desk.ask(served, given, asked), desk.engine.lag.add)
        told = {"sha": served.sha[:8], "line": served.line} if served.line is not None else {"sha": served.sha[:8]}
        content, headers = protocol.write(wanted, served.name, served.version, tensors(answers, served), told)
        return Response(content, headers=headers)

    return router


def changing(office: Office) -> APIRouter:
    """Models come, change and go back: for keys that may admin."""
    router, desk = APIRouter(prefix="/v2/repository", tags=["models"], responses=ERRORS), office.desk

    @router.post("/index")
    async def index(request: Request) -> list[dict[str, Any]]:
        """All versions of all models, and which of them answer."""
        office.allowed(request, "read")
        return [
            {"name": name, "version": str(version), **_state(desk.models.active.get(name), version)}
            for name in desk.models.names()
            for version in desk.models.versions(name)
        ]

    @router.post("/models/{model}/load", openapi_extra=FILE)
    async def load(request: Request, model: str) -> dict[str, Any]:
        """Serve a new version: the exported file as the body, or as Triton's parameter `file:...` in base64. It is
        loaded and gated beside the old one, and no request is lost."""
        caller = office.allowed(request, "admin")
        body = await office.bodies.read(request, MODEL_BYTES)
        file = _loaded(body) if body[:1] == b"{" else body
        return shown(await asyncio.to_thread(desk.models.activate, model, file, caller.name))

    @router.post("/models/{model}/rollback")
    async def rollback(request: Request, model: str) -> dict[str, Any]:
        """Serve the version before this one again."""
        caller = office.allowed(request, "admin")
        return shown(await asyncio.to_thread(desk.models.rollback, model, caller.name))

    @router.post("/models/{model}/unload")
    async def unload(request: Request, model: str) -> JSONResponse:
        """Models cannot be unloaded; 501."""
        office.allowed(request, "admin")
        raise Refused(501, "models are not unloaded while the server runs; start it without them")

    return router


async def result(future: Future, lag: Callable[[float], None]) -> Any:
    """What a Future of another thread brings; a client that goes away does not cancel it. `lag` gets the seconds that
    the loop took to come back to it."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    ended: list[float] = []

    def tell(_: Future) -> None:
        ended.append(time.monotonic())
        with suppress(RuntimeError):  # a loop that has ended
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()
    lag(time.monotonic() - ended[0])
    return future.result()


def _maps(wanted: Any, served: Served) -> str:
    """Whether a simple upload wants the map of its decision. Refused with 400 for another word, and where there is
    none."""
    if wanted is not None and str(wanted).lower() not in ("0", "1", "false", "true"):
        raise Refused(400, f"map is {wanted!r}; allowed are 1, for the map of the decision, and 0")
    if str(wanted).lower() not in ("1", "true"):
        return ""
    if served.predictor.cells is None:
        raise Refused(
            400, f"the file of model {served.name} has no class maps, as older ones have none; export it again"
        )
    return "decision"


def _grid(answer: dict[str, Any], served: Served) -> dict[str, Any]:
    """The map of an answer as JSON, where it has one: its size, what its numbers speak for, the number that has the
    full colour, and the numbers row by row; they cover the network's input, a letterbox's border too."""
    if "map" not in answer:
        return {}
    point, values = served.predictor.operating, answer["map"]
    speaks = f"not {point.good}" if point else answer["class"]
    rows = [[round(float(each), 4) for each in row] for row in values]
    told = {"size": list(values.shape), "for": speaks, "full": round(served.predictor.strongest, 4), "values": rows}
    return {"map": told}


def described(served: Served) -> dict[str, Any]:
    """A model's metadata."""
    preprocess, classes = served.predictor.preprocess, len(served.classes)
    free = [*preprocess.size, preprocess.channels] if preprocess.series else [-1, -1, preprocess.channels]
    kind = protocol.NAMES[np.dtype(preprocess.dtype)]
    outputs = [("probability", "FP32", [-1, classes]), ("class", "BYTES", [-1]), ("answer", "INT64", [-1])]
    if served.line is not None:
        outputs += [("score", "FP32", [-1]), ("decision", "BYTES", [-1])]
    if served.predictor.cells is not None:
        outputs += [("map", "FP32", [-1, classes, *served.predictor.cells])]
    return {
        "name": served.name,
        "versions": [str(served.version)],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "series" if preprocess.series else "image", "datatype": kind, "shape": [-1, *free]}],
        "outputs": [{"name": name, "datatype": kind, "shape": shape} for name, kind, shape in outputs],
        "parameters": {"sha": served.sha, "classes": ",".join(served.classes)},
    }


def samples(wanted: protocol.Wanted, served: Served, pixels: int) -> list[bytes] | list[np.ndarray]:
    """The samples of a request, as `Desk.ask` takes them. Refused with 400 where they are not what the model takes."""
    preprocess = served.predictor.preprocess
    name = "series" if preprocess.series else "image"
    if wanted.inputs.keys() != {name}:
        raise Refused(400, f"inputs are {', '.join(wanted.inputs)}; needed is one, called {name}")
    values = wanted.inputs[name]
    if isinstance(values, list):
        return values
    needed = [*preprocess.size, preprocess.channels] if preprocess.series else [-1, -1, preprocess.channels]
    fits = values.ndim == len(needed) + 1 and all(
        want in (-1, has) for want, has in zip(needed, values.shape[1:], strict=True)
    )
    if not fits or values.dtype != np.dtype(preprocess.dtype) or not values.size:
        kind = protocol.NAMES[np.dtype(preprocess.dtype)]
        got = f"{protocol.datatype(values)} {list(values.shape)}"
        raise Refused(400, f"{name} is {got}; needed is {kind} {[-1, *needed]}, or encoded images as BYTES [-1]")
    if not preprocess.series and values.shape[1] * values.shape[2] > pixels:
        raise Refused(413, f"an image has {values.shape[1]} × {values.shape[2]} pixels; at most {pixels} are allowed")
    return list(values)


def tensors(answers: list[dict[str, Any]], served: Served) -> Mapping[str, protocol.Values]:
    """Answers as outputs of the protocol."""
    classes = served.classes
    made: dict[str, protocol.Values] = {
        "probability": np.array([[each["probabilities"][name] for name in classes] for each in answers], np.float32),
        "class": [each["class"].encode() for each in answers],
        "answer": np.array([each["id"] for each in answers], np.int64),
    }
    if served.line is not None:
        made["score"] = np.array([each["score"] for each in answers], np.float32)
        made["decision"] = [each["decision"].encode() for each in answers]
    if "map" in answers[0]:
        places = [served.predictor.classes.index(name) for name in classes]
        made["map"] = np.array([each["map"][places] for each in answers], np.float32)
    return made


def shown(served: Served) -> dict[str, Any]:
    """A model that answers from now on."""
    return {"name": served.name, "version": served.version, "sha": served.sha, "line": served.line}


def _state(active: Served | None, version: int) -> dict[str, str]:
    ready = active is not None and active.version == version
    return {"state": "READY" if ready else "UNAVAILABLE", "reason": "" if ready else "another version answers"}


def _loaded(body: bytes) -> bytes:
    try:
        parameters = json.loads(body)["parameters"]
        files = [value for name, value in parameters.items() if name.startswith("file:")]
        return base64.b64decode(files[0], validate=True)
    except (binascii.Error, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise Refused(400, 'send the exported file, or {"parameters": {"file:1/model.onnx": "base64"}}') from None


def _declared(request: Request, most: int) -> int:
    """Bytes of the memory that a body may take."""
    length = request.headers.get("content-length", "")
    return min(int(length), most) if length.isdigit() and "content-encoding" not in request.headers else most
