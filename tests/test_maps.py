"""Class maps in exported files: those of the network, for every way to pool; drawn on images, shown by the server."""

import base64
import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from command import refused, zansa
from laws import small_net
from onnx import numpy_helper
from PIL import Image
from test_budget import without_maps
from test_deploy import altered, images
from test_serve import ask as http
from test_serve import serving, told

from zansa.arch.use import Calibration, OperatingPoint, Preprocess
from zansa.deploy import runtime
from zansa.deploy.export import compare, export, to_onnx
from zansa.inputs.heat import FINE, drawn, drawn_series, layer
from zansa.inputs.images import fitted
from zansa.learn.explain.maps import class_map
from zansa.learn.explain.rows import subject
from zansa.nets.build import build
from zansa.nets.files import Model

CLASSES = ("good", "hole", "scratch")
POINT = OperatingPoint(good="good", threshold=0.6, rule="chosen for this test")
SIZES = [(12, 16), (40, 31), (7, 90), (90, 7), (1, 1), (40, 31)]
CASES = {
    "average, letterbox, gray": ({"pool": "average"}, Preprocess(channels=1, size=(24, 32), mean=(99.0,), std=(50.0,))),
    "both, stretch, colour": (
        {"pool": "both"},
        Preprocess(channels=3, size=(24, 24), fit="stretch", mean=(120.0, 99.0, 80.0), std=(60.0, 55.0, 70.0)),
    ),
    "maximum of two streams": ({"pool": "max", "join": "concat"}, Preprocess(channels=1, size=(20, 20), std=(60.0,))),
    "series": ({"pool": "both", "dims": 1}, Preprocess(channels=2, size=(50,), depth=32)),
}


def a_model(case: str, calibrated: bool = True, point: OperatingPoint | None = POINT) -> Model:
    head, pre = CASES[case]
    step, kind = ("reversible", "preact_basic") if "join" in head else ("plain", "basic")
    net = small_net(kind, step, **head)
    net = net.but({"input": net.input.but({"channels": pre.channels, "size": pre.size})})
    module = build(net).eval()
    with torch.no_grad():
        module.head.get_submodule("linear").weight.mul_(8)
    shift = Calibration(
        scale=0.7, shift=(0.1, -0.2, 0.3), prior=(0.4, 0.3, 0.3), count=90, before=1, after=0.9, fitted=True
    )
    return Model(net, module, CLASSES, pre, point, calibration=shift if calibrated else None)


def samples(model: Model) -> list[np.ndarray]:
    if not model.preprocess.series:
        return images(model.preprocess, *SIZES)
    rng = np.random.default_rng(0)
    return list(rng.normal(size=(6, *model.preprocess.size, 2)).astype(np.float32))


def prepared(model: Model, values: list[np.ndarray]) -> torch.Tensor:
    pre = model.preprocess
    levels = values if pre.series else [fitted(each, pre) for each in values]
    pixels = (np.stack(levels).astype(np.float32) - np.float32(pre.mean)) / np.float32(pre.std)
    return torch.from_numpy(np.moveaxis(pixels, -1, 1).copy())


@pytest.mark.parametrize("case", CASES)
def test_the_map_of_the_file_is_that_of_the_network(case, tmp_path):
    model = a_model(case)
    values = samples(model)
    told = export(model, tmp_path / "m.onnx", values)
    assert told["map_difference"] < 1e-5
    file = runtime.predictor(tmp_path / "m.onnx")
    p, maps = file.with_maps(values)
    expected = class_map(subject(model.module, (1, 2), model.calibration), prepared(model, values)).numpy()
    assert maps.shape == expected.shape == (len(values), *file.cells)
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert maps.std() > 0.01  # the comparison means something
    assert file.strongest == pytest.approx(np.quantile(np.abs(expected), 0.995), rel=1e-4)
    np.testing.assert_array_equal(p, file.probabilities(values))
    # of every class the sum over the places, the bias and the shift are the logit: log p but for one number a sample
    _, whole = file.outputs(values, ["probability", "map"])
    bias = model.module.head.get_submodule("linear").bias.detach().numpy() * model.calibration.scale
    logits = whole.reshape(*whole.shape[:2], -1).sum(2) + bias + np.float32(model.calibration.shift)
    assert np.ptp(logits - np.log(p), axis=1).max() < 1e-4


def test_without_a_good_class_the_map_is_of_the_class_that_is_named():
    model = a_model("both, stretch, colour", calibrated=False, point=None)
    values = samples(model)
    x = prepared(model, values)
    with torch.no_grad():
        model.module.head.get_submodule("linear").bias.sub_(model.module(x).mean(0))  # several classes are named
    file = runtime.predictor(to_onnx(model))
    named = model.module(x).argmax(1).tolist()
    assert len(set(named)) > 1
    expected = [class_map(subject(model.module, (k,)), x[n : n + 1])[0].numpy() for n, k in enumerate(named)]
    np.testing.assert_allclose(file.with_maps(values)[1], expected, rtol=1e-5, atol=1e-5)


def test_the_gate_closes_on_other_maps():
    """A file whose probabilities are right and whose map forgets how many places there are."""
    model = a_model("average, letterbox, gray")
    file = onnx.load_from_string(to_onnx(model))
    share = next(node for node in file.graph.node if node.name.startswith("network/map/") and node.op_type == "Mul")
    number = next(each for each in file.graph.initializer if each.name == share.input[1])
    number.CopyFrom(numpy_helper.from_array(np.float32(0.5), number.name))
    with pytest.raises(ValueError, match="class maps of the exported network differ on 6 of 6 images"):
        compare(file.SerializeToString(), model, samples(model))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file that has maps, and gray images of several proportions, two of one name."""
    folder = tmp_path_factory.mktemp("maps")
    model = a_model("average, letterbox, gray")
    values = samples(model)
    export(model, folder / "m.onnx", values)
    for place, levels in zip(("a.png", "b/a.png", "b/a.bmp"), (values[1], values[2], values[3]), strict=True):
        (folder / "parts" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels[..., 0]).save(folder / "parts" / place)
    return folder


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)), int)


def test_a_hot_cell_is_red_where_it_lies_in_the_image():
    """In a letterbox of 8 x 8 cells an image of 200 x 100 has the middle four columns; its border's cells are cut."""
    values = np.zeros((8, 8), np.float32)
    values[1, 3], values[6, 4], values[4, 0] = 1, -1, 1
    pre = Preprocess(channels=1, size=(64, 64))
    image = opened(drawn(np.full((200, 100, 1), 128, np.uint8), 200, values, pre))
    assert image.shape == (200, 100, 3)
    red = image[..., 0] - image[..., 2]
    assert np.unravel_index(red.argmax(), red.shape) == (pytest.approx(37, abs=2), pytest.approx(37, abs=2))
    assert np.unravel_index(red.argmin(), red.shape) == (pytest.approx(162, abs=2), pytest.approx(62, abs=2))
    assert (red[80:120] == 0).all()
    stretched = opened(
        drawn(np.full((200, 100, 1), 128, np.uint8), 200, values, pre.model_copy(update={"fit": "stretch"}))
    )
    assert stretched[112, 6, 0] - stretched[112, 6, 2] > 100


def test_a_layer_over_a_picture_is_the_heat_map_over_it():
    """The report lays the colours over the picture; it shows what `drawn` draws on the image itself."""
    levels = np.random.default_rng(0).integers(0, 255, (32, 32, 1), np.uint8)
    values = np.random.default_rng(1).uniform(-0.9, 0.9, (4, 4)).astype(np.float32)
    colours, over = opened(drawn(levels, 32)), Image.open(io.BytesIO(layer(values)))
    assert over.size == (4 * FINE, 4 * FINE)
    both = Image.alpha_composite(Image.fromarray(colours.astype(np.uint8)).convert("RGBA"), over).convert("RGB")
    whole = opened(drawn(levels, 32, values, Preprocess(channels=1, size=(32, 32))))
    assert abs(np.asarray(both, int) - whole.astype(int)).max() <= 2


def test_predict_writes_images_with_their_heat_maps(folder, tmp_path):
    told = zansa("predict", folder / "m.onnx", folder / "parts", "--maps", tmp_path / "maps")
    assert told.returncode == 0, told.stderr
    assert "red speaks for a defect, blue against it" in told.stderr
    rows = {row["image"]: row["map"] for row in csv.DictReader(told.stdout.splitlines())}
    assert {str(Path(each).relative_to(tmp_path / "maps")) for each in rows.values()} == {
        "a.png",
        "b/a.png",
        "b/a.bmp.png",
    }
    file = runtime.predictor(folder / "m.onnx")
    for name, made in rows.items():
        levels = np.asarray(Image.open(name))[..., None]
        _, (values,) = file.with_maps([levels])
        whole = opened(Path(made).read_bytes())
        image, heat = (opened(drawn(levels, 256, *over)) for over in ((), (values / file.strongest, file.preprocess)))
        np.testing.assert_array_equal(whole[: len(image), : image.shape[1]], image)
        np.testing.assert_array_equal(whole[: len(heat), -heat.shape[1] :], heat)
        assert (image != heat).any()


def older(file: bytes) -> bytes:
    """The file as it was before there were maps."""
    return altered(without_maps(file), zansa="1", strongest=None)


def test_older_files_go_on_without_maps(folder, tmp_path):
    (tmp_path / "old.onnx").write_bytes(older((folder / "m.onnx").read_bytes()))
    words = ("predict", tmp_path / "old.onnx", folder / "parts")
    assert zansa(*words).returncode == 0
    values = samples(a_model("average, letterbox, gray"))
    old, new = (runtime.predictor(each).probabilities(values) for each in (tmp_path / "old.onnx", folder / "m.onnx"))
    np.testing.assert_allclose(old, new, atol=1e-6)
    assert "no class maps" in refused(*words, "--maps", tmp_path / "maps")
    assert not (tmp_path / "maps").exists()
    inside = ("--maps", folder / "parts" / "maps")
    assert "name another folder" in refused("predict", folder / "m.onnx", folder / "parts", *inside)


@pytest.fixture(scope="module")
def signals(folder):
    """Three signals, and a file of a network of signals."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (3, 50, 2)).astype(np.float32).cumsum(1)
    np.savez(folder / "signals.npz", signals=values.transpose(0, 2, 1))  # (N, channels, length)
    (folder / "s.onnx").write_bytes(to_onnx(a_model("series")))
    return values


def test_a_series_is_drawn_over_the_strip_of_its_map(folder, signals, tmp_path):
    done = zansa("predict", folder / "s.onnx", folder / "signals.npz", "--maps", tmp_path / "maps")
    assert re.search(r"3\sheat maps in", done.stderr), done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert sorted(Path(row["map"]).name for row in rows) == ["row_0.png", "row_1.png", "row_2.png"]
    file = runtime.predictor(folder / "s.onnx")
    maps = file.with_maps(signals)[1] / file.strongest
    for row, signal, values in zip(rows, signals, maps, strict=True):
        whole, bare = opened(Path(row["map"]).read_bytes()), opened(drawn_series(signal))
        np.testing.assert_array_equal(whole[: len(bare)], bare)
        strip = whole[-1, [int((k + 0.5) / len(values) * whole.shape[1]) for k in range(len(values))]].astype(int)
        redder = strip[:, 0] - strip[:, 2]  # red speaks for, blue against
        strong = abs(values) > abs(values).max() / 4  # between cells colours run into each other
        assert strong.any()
        assert (np.sign(redder[strong]) == np.sign(values[strong])).all()
        assert (whole[: len(bare)] < 128).any(), "the curve is there"
    letters = drawn_series(np.eye(4, dtype=np.uint8)[[0, 1, 2, 3]] * 12)
    assert (opened(letters)[[20, 65, 110, 155], [80, 240, 400, 560]] == 0).all(), "each letter stands in its row"


@pytest.fixture(scope="module")
def server(folder, signals):
    """A server of the file, of the same file as it was before there were maps, and of a network of signals."""
    (folder / "old.onnx").write_bytes(older((folder / "m.onnx").read_bytes()))
    models = f"m={folder / 'm.onnx'}", f"old={folder / 'old.onnx'}", f"s={folder / 's.onnx'}"
    with serving(*models, "--store", folder / "store") as started:
        yield started[1]


def test_the_protocol_gives_maps_where_they_are_asked_for_by_name(folder, server):
    data = (folder / "parts" / "a.png").read_bytes()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(data).decode()]}
    file = runtime.predictor(folder / "m.onnx")
    p, maps = file.with_class_maps([np.asarray(Image.open(folder / "parts" / "a.png"))[..., None]])
    described = {each["name"]: each["shape"] for each in ask(server, "/v2/models/m")["outputs"]}
    assert described["map"] == [-1, *maps.shape[1:]]
    named = [{"name": "map"}, {"name": "probability"}]
    answer = ask(server, "/v2/models/m/infer", json.dumps({"inputs": [tensor], "outputs": named}).encode())
    found, probability = answer["outputs"]
    assert found["shape"] == list(maps.shape)
    np.testing.assert_allclose(found["data"], maps.ravel(), atol=1e-5)
    np.testing.assert_allclose(probability["data"], p.ravel(), atol=1e-6)
    unnamed = ask(server, "/v2/models/m/infer", json.dumps({"inputs": [tensor]}).encode())
    assert "map" not in [each["name"] for each in unnamed["outputs"]]
    assert "map" not in ask(server, "/predict/m?map=0", data)
    grid = ask(server, "/predict/m?map=1", data)["map"]
    (decision,) = file.with_maps([np.asarray(Image.open(folder / "parts" / "a.png"))[..., None]])[1]
    assert (grid["size"], grid["for"]) == (list(decision.shape), "not good")
    assert grid["full"] == pytest.approx(file.strongest, abs=1e-4)
    np.testing.assert_allclose(grid["values"], decision, atol=1e-4)
    assert "allowed are 1" in told(server, "/predict/m?map=all", data)[1]["error"]
    status, answer = told(server, "/predict/old?map=1", data)
    assert (status, "has no class maps" in answer["error"]) == (400, True)
    asked = json.dumps({"inputs": [tensor], "outputs": named}).encode()
    assert http(server, "POST", "/v2/models/old/infer", asked)[0] == 400


def ask(port: int, path: str, body: bytes | None = None) -> dict:
    status, answer = told(port, path, body)
    assert status == 200, answer
    return answer


def test_the_operators_page_shows_the_heat_map(folder, server, signals, tmp_path):
    path = folder / "parts" / "b" / "a.png"
    old = ask(server, "/predict/old", path.read_bytes())
    new = ask(server, "/predict/m", path.read_bytes())
    assert {each["name"]: each["maps"] for each in ask(server, "/page/state")["models"]} == {
        "m": True,
        "old": False,
        "s": True,
    }
    status, headers, made = http(server, "GET", f"/page/map/{new['sha']}/{new['image']}")
    assert (status, headers["content-type"]) == (200, "image/png")
    file, levels = runtime.predictor(folder / "m.onnx"), np.asarray(Image.open(path))[..., None]
    assert made == drawn(levels, 1024, file.with_maps([levels])[1][0] / file.strongest, file.preprocess)
    assert http(server, "GET", f"/page/map/{old['sha']}/{old['image']}")[0] == 404
    assert http(server, "GET", f"/page/map/{new['sha']}/{'0' * 64}")[0] == 404
    tensor = {"name": "series", "datatype": "FP32", "shape": [1, 50, 2], "data": signals[0].ravel().tolist()}
    ask(server, "/v2/models/s/infer", json.dumps({"inputs": [tensor]}).encode())
    last = ask(server, "/page/state")["strip"][-1]
    series = runtime.predictor(folder / "s.onnx")
    strip = drawn_series(signals[0], series.with_maps(signals[:1])[1][0] / series.strongest)
    assert http(server, "GET", f"/page/map/{last['sha']}/{last['image']}")[2] == strip
    assert http(server, "GET", f"/page/image/{last['image']}")[2] == drawn_series(signals[0])
    ask(server, "/predict/m", path.read_bytes())
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("the rest needs chromium")
    seen = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    address = f"http://127.0.0.1:{server}/?lang=ja"
    page = subprocess.run(
        [*seen, "--virtual-time-budget=4000", address], capture_output=True, text=True, check=True
    ).stdout
    assert f'src="/page/map/{new["sha"]}/{new["image"]}"' in page
    assert 'aria-pressed="true"' in page
    assert "不合格側" in page
