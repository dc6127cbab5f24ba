"""Serving: the protocol's laws, a real server process under load and kills, the store, models, folders and the line."""

import base64
import gzip
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import paho.mqtt.client as mqtt
import pytest
import uvicorn
from command import refused, zansa
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from PIL import Image
from pymodbus.client import ModbusTcpClient

import zansa as package
from zansa.arch.use import OperatingPoint, Preprocess
from zansa.deploy import runtime
from zansa.deploy.serve import protocol, stored
from zansa.deploy.serve.desk import Desk, Query
from zansa.deploy.serve.engine import Engine
from zansa.deploy.serve.folder import Watching
from zansa.deploy.serve.keys import Keys, may, new_key
from zansa.deploy.serve.limits import Limits, Refused
from zansa.deploy.serve.line import Line, Parts, judged
from zansa.deploy.serve.modbus import Modbus
from zansa.deploy.serve.models import Models
from zansa.deploy.serve.mqtt import Mqtt
from zansa.deploy.serve.page import Page
from zansa.deploy.serve.result import Result
from zansa.deploy.serve.schema import insert
from zansa.deploy.serve.serve_words import LANGUAGES, words
from zansa.deploy.serve.store import Keeping, Store, now
from zansa.deploy.serve.uvicorn_http import Wire

CLASSES = ("good", "hole", "scratch")


def png(levels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "PNG")
    return stream.getvalue()


def exported(threshold: float, slope: float, ask: float | None = None, classes: tuple[str, ...] = CLASSES) -> bytes:
    """A file as an export has it, of a network of three weights that sees brightness: dark parts are good, bright ones
    have a hole, and those between a scratch; other classes are never named. It takes no torch to make, and no time to
    run."""
    known = {"good": (-slope, slope * 0.35), "hole": (slope, -slope * 0.35), "scratch": (0.0, 0.0)}
    weight, bias = zip(*(known.get(name, (0.0, -20.0)) for name in classes), strict=True)
    weights = {"w": [weight], "b": bias, "full": [255.0]}
    constants = [helper.make_tensor(k, onnx.TensorProto.FLOAT, np.shape(v), np.ravel(v)) for k, v in weights.items()]
    axes = helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [1, 2])
    nodes = [
        helper.make_node("Cast", ["image"], ["levels"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "full"], ["share"]),
        helper.make_node("Gemm", ["share", "w", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probability"]),
    ]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", "H", "W", 1])
    answer = helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, ["N", len(classes)])
    graph = helper.make_graph(nodes, "brightness", [image], [answer], [*constants, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    operating = OperatingPoint(good="good", threshold=threshold, ask=ask).model_dump_json()
    preprocess = Preprocess(channels=1, size=(12, 12)).model_dump_json()
    helper.set_model_props(
        model,
        {"zansa": runtime.FORMAT, "classes": json.dumps(classes), "preprocess": preprocess, "operating": operating},
    )
    return model.SerializeToString()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two exported files that answer differently, and twelve pictures from dark to bright."""
    folder = tmp_path_factory.mktemp("serve")
    rng = np.random.default_rng(0)
    for i in range(12):
        picture = rng.integers(0, 20 * (i + 1), (16, 20), dtype=np.uint8)
        (folder / f"{i:02}.png").write_bytes(png(picture))
    (folder / "m1.onnx").write_bytes(exported(threshold=0.6, slope=12))
    (folder / "m2.onnx").write_bytes(exported(threshold=0.4, slope=6))
    return folder


def test_onnxruntime_tells_nobody(files, tmp_path):
    """Its wheels keep a device's name and events in the user's folder, and send them; not where zansa uses it."""
    code = "import sys; from zansa.deploy.runtime import predictor; predictor(sys.argv[1])"
    bare = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": os.path.dirname(os.path.dirname(package.__file__)),
    }
    subprocess.run([sys.executable, "-c", code, files / "m1.onnx"], env=bare, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@contextmanager
def serving(*words: object):
    """A server process, and the port where it listens."""
    command = [sys.executable, "-m", "zansa", "serve", "--json", "--port", "0", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, int(json.loads(line)["address"].rsplit(":", 1)[1].strip("/"))
        finally:
            process.kill()


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def told(port: int, path: str, body: bytes | None = None, **headers: str):
    status, _, text = ask(port, "POST" if body is not None else "GET", path, body, **headers)
    return status, json.loads(text)


@pytest.fixture(scope="module")
def server(files):
    """A server that serves the first network, with the second as its shadow and golden images that it passes."""
    answers = {
        row["image"]: row for row in runtime.predict(runtime.predictor(files / "m1.onnx"), sorted(files.glob("*.png")))
    }
    for name, row in answers.items():
        place = files / "golden" / ("good" if row["decision"] == "accept" else "hole")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, place)
    more = ["--golden", files / "golden", "--shadow", files / "m2.onnx", "--max-megabytes", "0.1"]
    with serving(f"m={files / 'm1.onnx'}", "--store", files / "store", *more) as (process, port):
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "every accepted request was answered" in process.stderr.read()


def test_all_ways_to_ask_give_the_answer_of_predict(server, files):
    place = files / "03.png"
    (row,) = runtime.predict(runtime.predictor(files / "m1.onnx"), [place])
    data, levels = place.read_bytes(), np.array(Image.open(place))[None, ..., None]
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + data
    form += b'\r\n--x\r\nContent-Disposition: form-data; name="lot"\r\n\r\nL7\r\n--x--\r\n'
    ways = {
        "raw": told(server, "/predict?part=A1", data, content_type="image/png"),
        "form": told(server, "/predict/m", form, content_type="multipart/form-data; boundary=x"),
        "base64": told(
            server,
            "/predict",
            json.dumps({"image": base64.b64encode(data).decode()}).encode(),
            content_type="application/json",
        ),
        "packed": told(server, "/predict", gzip.compress(data), content_encoding="gzip"),
    }
    for way, (status, answer) in ways.items():
        assert status == 200, (way, answer)
        assert (answer["class"], answer["decision"]) == (row["class"], row["decision"]), way
        assert answer["score"] == pytest.approx(row["score"], abs=1e-6)
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(levels.shape)}
    as_json = {"id": "7", "inputs": [tensor | {"data": levels.ravel().tolist()}]}
    as_bytes = {
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(data).decode()]}]
    }
    for asked in (as_json, as_bytes):
        status, answer = told(server, "/v2/models/m/infer", json.dumps(asked).encode())
        assert status == 200, answer
        out = {each["name"]: each["data"] for each in answer["outputs"]}
        assert out["probability"][CLASSES.index(row["class"])] == pytest.approx(row["probability"], abs=1e-6)
        assert out["decision"] == [row["decision"]]
        assert answer.get("id", "") == asked.get("id", "")
    asked = {
        "inputs": [tensor | {"parameters": {"binary_data_size": levels.size}}],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(asked).encode()
    length = {"Inference_Header_Content_Length": str(len(head))}
    status, headers, body = ask(server, "POST", "/v2/models/m/versions/1/infer", head + levels.tobytes(), **length)
    assert status == 200, body
    size = int(headers["inference-header-content-length"])
    first = json.loads(body[:size])["outputs"][0]
    values = np.frombuffer(body[size : size + first["parameters"]["binary_data_size"]], "<f4")
    assert first["shape"] == [1, 3]
    assert values[CLASSES.index(row["class"])] == pytest.approx(row["probability"], abs=1e-6)
    rows = list(stored.rows(files / "store", {"lot": "L7"}))
    assert [(each["lot"], each["decision"], each["source"]) for each in rows] == [("L7", row["decision"], "http")]
    assert rows[0]["p_good"] == pytest.approx(1 - row["score"], abs=1e-6)
    assert rows[0]["f_mean"] == pytest.approx(levels.mean() / 255, abs=1e-6)


def test_bad_requests_get_a_sentence_and_a_status(server, files):
    data = (files / "00.png").read_bytes()
    huge = png(np.zeros((8000, 8000), np.uint8))
    cases = {
        404: [("GET", "/nothing", None), ("POST", "/v2/models/x/infer", b"{}"), ("POST", "/predict/x", data)],
        405: [("DELETE", "/predict", None), ("GET", "/v2/models/m/infer", None)],
        413: [("POST", "/predict", bytes(200_000)), ("POST", "/predict", huge)],
        400: [
            ("POST", "/v2/models/m/infer", b"{}"),
            ("POST", "/v2/models/m/infer", b"\xff"),
            ("POST", "/v2/models/m/infer", b'{"id": "\\ud800", "inputs": [{}]}'),
            ("POST", "/predict", data[:60]),
            ("POST", "/predict?counter=x", data),
            ("POST", "/page/verdict", b'{"answer": 1, "verdict": "\\ud800"}'),
        ],
        415: [("POST", "/predict", b"GIF89a" + bytes(40)), ("POST", "/predict", b"")],
        501: [("POST", "/v2/repository/models/m/unload", b"")],
    }
    for wanted, requests in cases.items():
        for method, path, body in requests:
            status, headers, text = ask(server, method, path, body)
            assert status == wanted, (path, text)
            assert list(json.loads(text)) == ["error"]
            assert headers["content-type"] == "application/json"
    status, _, text = ask(server, "POST", "/predict", data, origin="http://evil.example")
    assert status == 403, text
    status, _, text = ask(server, "GET", "/ready", host="evil.example")
    assert status == 403, text
    assert told(server, "/v2/health/ready") == (200, {"ready": True})
    assert b'zansa_requests_total{code="413",path="/predict"} 2.0' in ask(server, "GET", "/metrics")[2]
    described = told(server, "/v2/models/m")[1]
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 1]}]
    assert "/v2/models/{model}/infer" in told(server, "/openapi.json")[1]["paths"]
    assert b"https://" not in ask(server, "GET", "/docs")[2], "nothing is loaded from elsewhere"


def test_models_change_under_load_and_no_request_is_lost(server, files):
    data, answers, ending = (files / "01.png").read_bytes(), [], threading.Event()

    def load():
        while not ending.is_set():
            answers.append(told(server, "/predict", data))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    message = refused("store", files / "store", "--activate", f"m={files / 'm2.onnx'}")
    assert "golden images are not answered as expected" in message
    status, changed = told(server, "/v2/repository/models/other/load", (files / "m2.onnx").read_bytes()[:-50])
    assert (status, "damaged" in changed["error"]) == (400, True)
    status, changed = told(server, "/v2/repository/models/m/load", (files / "m1.onnx").read_bytes())
    assert (status, changed["version"]) == (200, 2)
    done = zansa("store", files / "store", "--rollback", "m")
    assert "m serves version 1" in done.stdout, done.stderr
    ending.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert {answer["version"] for _, answer in answers} <= {1, 2}
    kinds = [row["kind"] for row in stored.log(files / "store") if row["kind"] != "golden"]
    assert kinds == ["activate", "shadow", "refuse", "activate", "rollback"]


def test_the_page_judges_doubtful_parts_and_takes_it_back(server, files):
    for i in range(12):
        assert told(server, "/predict", (files / f"{i:02}.png").read_bytes())[0] == 200
    for language in LANGUAGES:
        page = ask(server, "GET", f"/?lang={language}")[2].decode()
        assert f'lang="{language}"' in page
        assert words(language)["reject"] in page
    state = told(server, "/page/state")[1]
    last = state["strip"][-1]
    assert state["models"][0]["sha"] == last["sha"]
    assert ask(server, "GET", f"/page/image/{last['image']}")[2] == (files / "11.png").read_bytes()
    end = time.monotonic() + 10
    while not (queue := told(server, "/page/queue")[1]) and time.monotonic() < end:
        time.sleep(0.05)  # the shadow answers after the answer
    assert queue, "the shadow disagrees, or a score is near the line"
    part = queue[0]["id"]
    said = json.dumps({"answer": part, "verdict": "hole", "who": "inspector"}).encode()
    assert told(server, "/page/verdict", said)[0] == 200
    assert part not in [each["id"] for each in told(server, "/page/queue")[1]]
    assert told(server, "/page/verdict", json.dumps({"answer": part, "verdict": None}).encode())[0] == 200
    assert part in [each["id"] for each in told(server, "/page/queue")[1]]
    assert told(server, "/page/verdict", b'{"answer": 1, "verdict": "nonsense"}')[0] == 400
    assert told(server, "/page/verdict", b'{"answer": 1, "verdict": "<b>", "new": true}')[0] == 400
    named = json.dumps({"answer": part, "verdict": "burr", "who": "kato", "new": True}).encode()
    assert told(server, "/page/verdict", named)[0] == 200
    assert told(server, "/page/limits")[1] == {"m": []}
    chosen = json.dumps({"answer": part, "verdict": "hole", "who": "kato", "limit": True}).encode()
    assert told(server, "/page/verdict", chosen)[0] == 200
    assert [(each["kind"], each["side"], each["id"]) for each in told(server, "/page/limits")[1]["m"]] == [
        ("hole", "defect", part)
    ]
    assert told(server, "/page/verdict", json.dumps({"answer": part, "verdict": None}).encode())[0] == 200
    assert told(server, "/page/limits")[1] == {"m": []}  # the mark fell with the verdict
    broken, japanese = (files / "11.png").read_bytes()[:60], {"accept-language": "ja"}
    status, _, body = ask(server, "POST", "/predict", broken, **japanese)
    assert (status, "画像を読み込めません" in body.decode()) == (400, True)
    for other in ({}, {"accept-language": "jav, ja"}, {"accept-language": ";,-*" * 99}):
        assert "cannot read the image" in ask(server, "POST", "/predict", broken, **other)[2].decode()
    (run,) = told(server, "/page/golden", b"")[1]
    assert run["passed"] == run["count"] == 12


def test_the_store_is_read_back_and_checked(server, files, tmp_path):
    assert told(server, "/predict", (files / "11.png").read_bytes())[1]["decision"] == "reject"
    done = zansa("store", files / "store", "--check")
    assert (done.returncode, "all is whole" in done.stdout) == (0, True)
    lines = zansa("store", files / "store", "--decision", "reject").stdout.splitlines()
    assert zansa("store", files / "store", "--decision", "reject", "--out", tmp_path / "a.parquet").returncode == 0
    from pyarrow import parquet

    assert parquet.read_table(tmp_path / "a.parquet").num_rows == len(lines) - 1 > 0
    assert "is no store" in refused("store", tmp_path)
    assert "another server is writing" in refused("serve", files / "m1.onnx", "--store", files / "store", "--port", "0")


def test_a_killed_server_loses_no_answer_and_keeps_no_row_without_its_image(files, tmp_path):
    data = [path.read_bytes() for path in sorted(files.glob("*.png"))]
    answers: dict[int, str] = {}
    for number in range(3):
        with serving(f"m={files / 'm1.onnx'}", "--store", tmp_path / "s") as (process, port):

            def load(start: int, port: int = port) -> None:
                rng = np.random.default_rng(start)
                with suppress(OSError, http.client.HTTPException):
                    while True:
                        fresh = png(rng.integers(0, 256, (16, 20), dtype=np.uint8))
                        status, answer = told(port, "/predict", fresh)
                        if status == 200:
                            answers[answer["id"]] = answer["image"]

            threads = [threading.Thread(target=load, args=(10 * number + i,)) for i in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.2 + 0.1 * number)
            process.kill()
            for thread in threads:
                thread.join()
        rows = {row["id"]: row["image"] for row in stored.rows(tmp_path / "s", {})}
        assert answers.items() <= rows.items()
        checked = stored.check(tmp_path / "s")
        assert checked["sound"], checked
        assert not checked["missing"], checked
        assert not checked["damaged"], checked
    assert answers
    time.sleep(1.1)  # an image of the last second before a start may be of that start
    with serving(f"m={files / 'm1.onnx'}", "--store", tmp_path / "s") as (process, port):
        until(lambda: stored.check(tmp_path / "s")["unnamed"] == 0)  # what a kill has left goes at the next start
        burst: list[int] = []

        def once() -> None:
            with suppress(ConnectionError):  # a connection that the ending server had not accepted yet
                status, answer = told(port, "/predict", data[0])
                burst.append(answer["id"] if status == 200 else 0)

        threads = [threading.Thread(target=once) for _ in range(12)]
        for thread in threads:
            thread.start()
        until(lambda: burst)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(20) == 0
    assert set(filter(None, burst)) <= {row["id"] for row in stored.rows(tmp_path / "s", {})}
    assert stored.check(tmp_path / "s")["unnamed"] == 0


@pytest.fixture
def desk(files, tmp_path):
    store = Store(tmp_path / "store")
    models = Models(store)
    models.start("m", (files / "m1.onnx").read_bytes())
    made = Desk(store, models, Limits(deadline=5))
    yield made
    made.end()


def test_a_model_that_was_deleted_from_the_store_is_told_and_comes_back(files, tmp_path):
    first, second = ((files / name).read_bytes() for name in ("m1.onnx", "m2.onnx"))
    store = Store(tmp_path / "s")
    assert "version 1" in Models(store).start("m", first)
    shutil.rmtree(tmp_path / "s" / "models" / "m" / "1")
    with pytest.raises(ValueError, match="version 1 of m is gone from the store; name its file"):
        Models(store).start("m", None)
    assert "is there again" in Models(store).start("m", first)
    models = Models(store)
    assert "goes on with version 1" in models.start("m", None)
    shutil.rmtree(tmp_path / "s" / "models" / "m" / "1")
    assert models.activate("m", second, "test").version == 2, "a number stands for one file for ever"
    with pytest.raises(Refused, match="version 1 of m is gone from the store"):
        models.rollback("m", "test")
    shutil.rmtree(tmp_path / "s" / "models" / "m" / "2")
    assert "version 3" in Models(store).start("m", first)
    assert Models(store).start("m", second) == "m serves version 4"
    shutil.rmtree(tmp_path / "s" / "models" / "m" / "4")
    assert Models(store).start("m", first) == "m serves version 5", "of a known file too"
    store.close()


def test_a_file_that_came_back_as_a_newer_version_is_two_versions(files, tmp_path):
    store = Store(tmp_path / "s")
    models = Models(store)
    for name in ("m1.onnx", "m2.onnx", "m1.onnx"):
        models.activate("m", (files / name).read_bytes(), "test")
    assert [models.rollback("m", "test").version for _ in range(2)] == [2, 1]
    assert "goes on with version 1" in Models(store).start("m", None)
    store.close()


def test_a_decision_to_ask_is_a_decision_of_its_own(desk, files):
    """It is kept as it is, waits for a person, and is no acceptance for the line."""
    served = desk.models.activate("m", exported(threshold=0.99, slope=12, ask=0.01), "test")
    page = Page(desk, "06:00")
    answers = [desk.ask(served, [(files / f"{i:02}.png").read_bytes()], Query("http")).result(5)[0] for i in range(12)]
    asked = [answer for answer in answers if answer["decision"] == "ask"]
    assert asked
    assert {answer["doubtful"] for answer in asked} == {"the decision is ask"}
    assert page.state()["counts"]["ask"] == len(asked)
    assert {answer["id"] for answer in asked} <= {row["id"] for row in page.queue()}
    assert judged(7, asked).bits == [True, False, True, False, False, True]


def test_where_the_disk_refuses_nothing_is_answered_and_then_all_goes_on(desk, files):
    served, data = desk.models.get(), [(files / "00.png").read_bytes()]
    new = desk.store.pictures.new
    new.rmdir()
    new.write_bytes(b"")  # a file where the folder was
    with pytest.raises(Refused, match="could not be stored"):
        desk.ask(served, data, Query("http")).result(5)
    assert "could not be stored" in desk.ready()
    assert list(stored.rows(desk.store.folder, {})) == []
    new.unlink()
    new.mkdir()
    assert desk.ask(served, data, Query("http")).result(5)[0]["id"] == 1
    assert desk.ready() == ""


def test_what_cannot_be_answered_in_time_is_refused_at_once(files, tmp_path):
    store = Store(tmp_path / "store")
    models = Models(store)
    models.start("m", (files / "m1.onnx").read_bytes())
    desk = Desk(store, models, Limits(deadline=0.05, queue=8))
    data = [(files / "00.png").read_bytes()]
    waiting = [desk.ask(models.get(), data, Query("http")) for _ in range(200)]
    refusals = [done.exception(5) for done in waiting]
    statuses = {error.status for error in refusals if error}
    assert 429 in statuses <= {429, 503}
    assert all(error.retry for error in refusals if error)
    answered = sum(error is None for error in refusals)
    assert desk.end()
    assert answered == len(list(stored.rows(tmp_path / "store", {}))) > 0


def test_accepted_is_what_the_measured_times_let_be_answered_in_time():
    """60 images of 9.9 ms fit into a second of which the loop takes 0.2 on the way in and 0.2 on the way out. When the
    loop becomes slower than the deadline, what still waits is refused and not answered late; a single request is always
    taken, so that better times are seen."""
    engine, going = Engine(Limits(deadline=1.0, queue=1000), workers=1), threading.Event()
    for _ in range(100):
        engine.lag.add(0.2)
        engine.image.add(0.0099)
    accepted, refusals = [], set()
    for _ in range(400):
        try:
            accepted.append(engine.submit(going.wait))
        except Refused as refusal:
            refusals.add((refusal.status, refusal.retry))
    assert len(accepted) == 60
    assert refusals == {(429, 1)} == {(engine.refused().status, 1)}
    for _ in range(100):
        engine.lag.add(2.0)
    going.set()
    errors = [done.exception(20) for done in accepted]
    assert errors[0] is None
    assert {error.status for error in errors[1:]} == {503}
    until(lambda: engine.pending == 0)
    assert engine.refused() is None
    assert engine.submit(going.wait).result(20) is True
    assert engine.drain()
    assert engine.refused().status == 503


def test_a_client_that_never_ends_its_request_is_cut_off(files, tmp_path):
    class Quick(Wire):
        reading, most = 0.3, 4

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    port = free_port()
    running = uvicorn.Server(uvicorn.Config(application, port=port, http=Quick, lifespan="off", log_config=None))
    thread = threading.Thread(target=running.run, daemon=True)  # a failure must not keep the tests from ending
    thread.start()
    until(lambda: running.started)  # a connection that only looks would be one of the four
    begun = [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1",
    ]
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in begun]
    for each, start in zip(slow, begun, strict=True):
        each.sendall(start)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as fifth, fifth.makefile("rb") as read:
        head, _, body = read.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5" in head
        assert "4 connections are open" in json.loads(body)["error"]
    answers = []
    for each in slow:
        said = b""
        with suppress(ConnectionError):
            while part := each.recv(4096):
                said += part
                with suppress(OSError):
                    each.sendall(b"1" if each is slow[-1] else b"")
        answers.append(said[:12])
        each.close()
    assert answers == [b"", b"", b"", b"HTTP/1.1 204"], "all are cut off, the last one after its answer"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as odd:
        odd.sendall(b"no HTTP\r\n\r\n")
        with odd.makefile("rb") as read:
            head, _, body = read.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert "written in percent" in json.loads(body)["error"]
    running.should_exit = True
    thread.join()


HIDING = """
import re, sys
from importlib import metadata
from zansa.cli import main
plain = lambda name: re.sub('[-_.]+', '-', name).lower()
hidden = {top for top, of in metadata.packages_distributions().items() if not {plain(each) for each in of} & ALLOWED}
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in hidden:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Hidden())
sys.argv[0] = 'zansa'
main()
"""


def test_the_containers_packages_are_enough_without_a_home_and_with_no_folder_to_write_in(files, tmp_path):
    """A server that sees only the packages that the Containerfile names, and what these need: no torch. It has no home
    and, where that can be tried, is an ordinary user who may write the store alone."""
    root = Path(package.__file__).parents[1]
    named = re.search(r"constraints.txt \\\n((?:.*\\\n)*.*)\n", (root / "Containerfile").read_text()).group(1)
    allowed, left = {"zansa"}, named.replace("\\", " ").split()
    while left:
        if (name := re.sub("[-_.]+", "-", re.match(r"[\w.-]+", left.pop()).group()).lower()) not in allowed:
            allowed.add(name)
            with suppress(metadata.PackageNotFoundError):
                left += [need for need in metadata.requires(name) or [] if "extra ==" not in need]
    assert "torch" not in allowed
    bare = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
    store, words = tmp_path / "store", {"env": bare, "cwd": "/", "text": True, "stderr": subprocess.PIPE}
    store.mkdir()
    shutil.copy(files / "m1.onnx", store / "m.onnx")
    if os.getuid() == 0:
        with suppress(OSError):  # the interpreter and the test's folders may lie where only root may look
            subprocess.run([sys.executable, "-c", f"open({str(store / 'm.onnx')!r})"], **words, user=10001, check=True)
            os.chown(store, 10001, 10001)
            words["user"] = 10001
    command = [sys.executable, "-c", f"ALLOWED = {sorted(allowed)!r}".replace("[", "{").replace("]", "}") + HIDING]
    command += ["serve", f"m={store / 'm.onnx'}", "--host", "0.0.0.0", "--store", str(store), "--port", "0", "--json"]
    key = new_key(store / "keys", "infer", "line1")
    (store / "keys").chmod(0o644)
    line = ["--modbus", f"127.0.0.1:{free_port()}", "--mqtt", "mqtt://127.0.0.1:9/none", "--key-file", store / "keys"]
    with subprocess.Popen([*command, *line], stdout=subprocess.PIPE, **words) as process:
        told_place = process.stdout.readline()
        assert told_place, process.stderr.read()
        port = int(json.loads(told_place)["address"].rsplit(":", 1)[1].strip("/"))
        check = re.search(r'HEALTHCHECK CMD \["python", "-c", "(.*)"\]', (root / "Containerfile").read_text()).group(1)
        assert subprocess.run([sys.executable, "-c", check.replace("8000", str(port))]).returncode == 0
        data = (files / "01.png").read_bytes()
        assert told(port, "/predict", data)[0] == 401
        assert told(port, "/predict", data, x_api_key=key)[0] == 200
        assert told(port, "/v2/repository/models/m/load", b"", authorization=f"Bearer {key}")[0] == 403
        own = {"origin": f"http://127.0.0.1:{port}", "content_type": "application/x-www-form-urlencoded"}
        status, headers, _ = ask(port, "POST", "/page/login?lang=ja", f"key={key}".encode(), **own)
        assert (status, headers["location"]) == (303, "/?lang=ja")
        cookie = headers["set-cookie"].partition(";")[0]
        assert ask(port, "GET", "/?lang=ja", cookie=cookie)[0] == 200
        login = ask(port, "GET", "/")
        assert login[0] == 401
        assert login[1]["referrer-policy"] == "same-origin", "else a browser logs in as a page of null, and is refused"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, process.stderr.read()
        process.stderr.read()
    assert stored.check(store)["answers"] == 1


def test_room_is_made_of_the_oldest_accepted_images(files, tmp_path):
    store = Store(tmp_path / "store", Keeping(quota=2_500))
    models = Models(store)
    models.start("m", (files / "m1.onnx").read_bytes())
    desk = Desk(store, models, Limits(deadline=20))
    series = store.put({"time": now(), "decision": "accept"}).result(10)  # an answer without a picture
    first = None
    for path in sorted(files.glob("*.png")):
        (answer,) = desk.ask(models.get(), [path.read_bytes()], Query("http")).result(10)
        for each in (series, answer["id"]) if first is None else ():
            marked = {"answer": each, "time": now(), "who": "kato", "verdict": "good"}
            store.write(*insert("limit_samples", marked)).result(10)
        first = first or answer["id"]
    desk.end()
    rows = list(stored.rows(tmp_path / "store", {}))
    kept = {row["id"] for row in rows if row["kept"] == 1}
    assert first in kept
    gone = [row for row in rows if row["kept"] == -1]
    assert gone
    assert {row["decision"] for row in gone} == {"accept"} or all(
        row["decision"] != "accept" for row in rows if row["id"] in kept - {first}
    )
    assert max(row["id"] for row in gone if row["decision"] == "accept") < 13
    told = stored.check(tmp_path / "store")
    assert not told["missing"], told
    assert told["unnamed"] == 0
    assert sum(path.stat().st_size for path in (tmp_path / "store" / "images").rglob("*.png")) <= 2_500


def test_a_store_that_cannot_make_room_goes_on_answering(files, tmp_path):
    store = Store(tmp_path / "store", Keeping(quota=100))
    models = Models(store)
    models.start("m", (files / "m1.onnx").read_bytes())
    with closing(sqlite3.connect(tmp_path / "store" / "answers.sqlite")) as other:
        other.execute("CREATE TRIGGER stop BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'no'); END")
    desk = Desk(store, models, Limits(deadline=20))
    for path in sorted(files.glob("*.png"))[:3]:
        desk.ask(models.get(), [path.read_bytes()], Query("http")).result(10)
    desk.end()
    assert [row["kept"] for row in stored.rows(tmp_path / "store", {})] == [1, 1, 1]


def test_a_folder_is_judged_once_and_broken_files_go_aside(desk, files, tmp_path):
    source, done = tmp_path / "in", tmp_path / "done"
    source.mkdir()
    for i in range(4):
        shutil.copy(files / f"{i:02}.png", source)
    (source / "broken.png").write_bytes((files / "00.png").read_bytes()[:80])
    (source / "half.png.part").write_bytes(b"")
    # a server that was killed after its answer and before the move
    desk.ask(desk.models.get(), [(files / "02.png").read_bytes()], Query("folder", "02.png")).result(5)
    watching = Watching(desk, source, done)
    watching.start()
    end = time.monotonic() + 20
    while len(list(done.rglob("*.json"))) < 5 and time.monotonic() < end:
        time.sleep(0.05)
    watching.stop()
    assert sorted(path.name for path in done.glob("*.png")) == ["00.png", "01.png", "02.png", "03.png"]
    assert "truncated" in json.loads((done / "failed" / "broken.png.json").read_text())["error"]
    assert [path.name for path in source.iterdir()] == ["half.png.part"]
    rows = [row for row in stored.rows(desk.store.folder, {}) if not row["error"]]
    assert sorted(row["request"] for row in rows) == ["00.png", "01.png", "02.png", "03.png"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["announce", "answer", "late", "wait"]), st.integers(1, 5)), max_size=30))
def test_a_part_without_an_answer_is_rejected_and_never_gets_another_ones(steps):
    parts, now, shown = Parts(deadline=1.0), 0.0, Result(0)
    parts.announced = True
    for step, number in steps:
        now += 0.3
        if step == "announce":
            shown = parts.announce(number, now)
        elif step == "wait":
            now += 1.0
        else:
            decision = Result(number, valid=True, decision="accept")
            shown = parts.answered(number, decision, now) or shown
        shown = parts.expired(now) or shown
        if shown.valid and shown.decision == "accept":
            assert parts.waiting is None
        if parts.waiting:
            assert not shown.valid
            assert shown.number == parts.waiting.number


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return not asking.connect_ex(("127.0.0.1", port))


def until(condition, seconds: float = 10):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    assert found
    return found


def test_a_plc_gets_each_part_its_own_result_by_modbus(desk, files):
    outputs: list = []
    line, port = Line(desk, outputs, deadline=0.4), free_port()
    outputs.append(Modbus(f"127.0.0.1:{port}", line.announce))
    line.start()
    plc = ModbusTcpClient("127.0.0.1", port=port)
    assert plc.connect()

    def state() -> tuple[int, list[bool]]:
        registers = plc.read_holding_registers(0, count=6, device_id=1).registers
        return registers[1], [bool(registers[2] >> place & 1) for place in range(6)]

    plc.write_register(0, 41, device_id=1)
    assert until(lambda: state() == (41, [True, True, False, False, False, False]))
    answer = desk.ask(desk.models.get(), [(files / "00.png").read_bytes()], Query("http")).result(5)[0]
    accept = answer["decision"] == "accept"
    assert answer["counter"] == 41
    assert until(lambda: state() == (41, [True, False, True, accept, not accept, False]))
    assert plc.read_coils(0, count=6, device_id=1).bits[:6] == state()[1]
    plc.write_register(0, 42, device_id=1)  # nobody asks for this part
    assert until(lambda: state() == (42, [True, False, True, False, True, False]))
    late = desk.ask(desk.models.get(), [(files / "00.png").read_bytes()], Query("http", fields={"counter": 42}))
    assert late.result(5)
    assert state() == (42, [True, False, True, False, True, False])
    assert line.parts.late == 1
    beat = plc.read_holding_registers(3, count=1, device_id=1).registers
    assert until(lambda: plc.read_holding_registers(3, count=1, device_id=1).registers != beat)
    plc.close()
    line.stop()


@pytest.mark.skipif(not shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"), reason="needs mosquitto")
def test_a_line_is_told_by_mqtt(desk, files):
    broker, port = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"), free_port()
    came: dict[str, list[str]] = {}
    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    listener.on_message = lambda client, data, message: came.setdefault(message.topic, []).append(
        message.payload.decode()
    )
    with subprocess.Popen([broker, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: listens(port))
        listener.connect("127.0.0.1", port)
        listener.subscribe("plant/cell/#", 1)
        listener.loop_start()
        outputs: list = []
        line = Line(desk, outputs, deadline=0.4)
        outputs.append(Mqtt(f"mqtt://127.0.0.1:{port}/plant/cell", line.announce))
        line.start()
        until(lambda: came.get("plant/cell/state") == ["online"])
        listener.publish("plant/cell/trigger", "7", 1)
        until(lambda: line.parts.waiting)
        answer = desk.ask(desk.models.get(), [(files / "00.png").read_bytes()], Query("http")).result(5)[0]
        told = json.loads(until(lambda: came.get("plant/cell/result"))[0])
        assert (told["part"], told["decision"], told["sha"]) == (7, answer["decision"], answer["sha"])
        listener.publish("plant/cell/trigger", "8", 1)
        until(lambda: len(came["plant/cell/result"]) == 2)
        told = json.loads(came["plant/cell/result"][1])
        assert (told["part"], told["decision"], told["reason"]) == (8, "reject", "no answer in time")
        until(lambda: came.get("plant/cell/heartbeat"))
        line.stop()
        until(lambda: came["plant/cell/state"][-1] == "offline")
        listener.loop_stop()
        process.terminate()


def test_keys_have_roles_and_only_hashes_are_kept(tmp_path):
    place = tmp_path / "keys"
    key = new_key(place, "infer", "line1")
    new_key(place, "admin", "me")
    assert key not in place.read_text()
    keys = Keys(place)
    caller = keys.caller(key)
    assert (caller.role, caller.name) == ("infer", "line1")
    may(caller, "read")
    with pytest.raises(Refused, match="may infer; this needs a key that may admin"):
        may(caller, "admin")
    with pytest.raises(Refused, match="a key is needed"):
        keys.caller("guess")
    with pytest.raises(ValueError, match="called line1 already"):
        new_key(place, "read", "line1")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=4), st.integers(0, 300).map(str)))
def test_any_body_is_read_or_refused(body, header):
    with suppress(Refused):
        protocol.read(body, header)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
ODD = st.fixed_dictionaries(
    {
        "name": st.just("image") | JSONS,
        "datatype": st.sampled_from(["UINT8", "FP16", "BYTES", "BOOL", "INT64"]) | JSONS,
        "shape": st.lists(st.integers(0, 3), max_size=4) | JSONS,
        "data": st.lists(st.integers(-1, 256), max_size=9) | JSONS,
    },
    optional={"parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | JSONS}) | JSONS},
)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({"inputs": st.lists(ODD, max_size=3) | JSONS}), st.binary(max_size=20))
def test_any_request_of_nearly_the_right_form_is_read_or_refused(asked, rest):
    head = json.dumps(asked).encode()
    with suppress(Refused):
        protocol.read(head + rest, str(len(head)))


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
    st.sampled_from(sorted(protocol.TYPES)),
    st.booleans(),
)
def test_tensors_survive_the_protocol(seed, shape, kind, binary):
    """What `write` says of an output, `read` understands as an input."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2, shape).astype(protocol.TYPES[kind])
    wanted = protocol.Wanted("a", {}, {}, None, binary)
    body, headers = protocol.write(wanted, "m", 1, {"x": values}, {})
    size = int(headers.get(protocol.HEADER, len(body)))
    asked = json.loads(body[:size])
    again = json.dumps({"inputs": asked["outputs"]}).encode()
    found = protocol.read(again + body[size:], str(len(again)) if binary else None).inputs["x"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
