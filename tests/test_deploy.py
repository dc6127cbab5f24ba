"""The exported file: it prepares images as training does, answers as the network does, and runs without torch."""

import copy
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem
from zansa.arch.use import OperatingPoint, Preprocess
from zansa.deploy import runtime
from zansa.deploy.bench import latency
from zansa.deploy.export import compare, export, to_onnx
from zansa.deploy.last_features import last_reads
from zansa.deploy.prepare import preparation
from zansa.inputs.images import fit_image
from zansa.nets.build import build
from zansa.nets.files import Model

CLASSES = ("good", "hole", "scratch")
LETTERBOX = Preprocess(channels=1, size=(12, 16), fill=(90,), mean=(120.5,), std=(61.25,))
STRETCH_RGB = Preprocess(channels=3, size=(15, 10), fit="stretch", mean=(120.0, 110.0, 1e-5), std=(60.0, 55.0, 70.0))
DEEP = Preprocess(channels=1, size=(9, 9), depth=16, fill=(20000,), mean=(30000.0,), std=(15000.0,))


TOLERANCE = 1e-4


def a_model(preprocess: Preprocess, operating: OperatingPoint | None = None) -> Model:
    """A small network whose answers differ clearly from image to image."""
    block = Block(kind="basic", hidden=(4,))
    net = Net(
        input=Input(channels=preprocess.channels, size=preprocess.size),
        stem=Stem(width=4),
        stages=(Stage(width=6, stride=2, shortcut="pad", blocks=(block,)),),
        head=Head(classes=len(CLASSES)),
    )
    module = build(net).eval()
    with torch.no_grad():
        module.head[-1].weight.mul_(8)
    return Model(net, module, CLASSES, preprocess, operating)


def images(preprocess: Preprocess, *sizes: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [patches(rng, size, preprocess) for size in sizes]


def patches(rng: np.random.Generator, size: tuple[int, int], preprocess: Preprocess) -> np.ndarray:
    """Noise of its own brightness and contrast, and a block of full range: edges everywhere."""
    top = 2**preprocess.depth - 1
    image = rng.uniform(*np.sort(rng.uniform(0, top, 2)), (*size, preprocess.channels))
    image[: size[0] // 2, : size[1] // 2] = rng.integers(0, 2, image[: size[0] // 2, : size[1] // 2].shape) * top
    return image.astype(f"uint{preprocess.depth}")


SIZES = [(12, 16), (40, 31), (40, 31), (7, 90), (200, 3), (1, 1), (40, 31), (5, 5)]


@pytest.fixture(scope="module")
def model() -> Model:
    return a_model(LETTERBOX, OperatingPoint(good="good", threshold=0.6, rule="chosen for this test"))


@pytest.fixture(scope="module")
def file(model: Model) -> bytes:
    return to_onnx(model)


def eager(model: Model, pictures: list[np.ndarray]) -> np.ndarray:
    """Probabilities written out once more, apart from the code under test."""
    answers = []
    for picture in pictures:
        fitted = fit_image(picture, model.preprocess.size, model.preprocess.fit, model.preprocess.fill)
        pixels = (fitted.astype(np.float32) - np.float32(model.preprocess.mean)) / np.float32(model.preprocess.std)
        with torch.no_grad():
            answers.append(model.module(torch.from_numpy(pixels.transpose(2, 0, 1)[None])).softmax(1)[0].numpy())
    return np.stack(answers)


def test_what_the_last_layer_reads_is_one_more_output(model, file):
    pictures, last = images(LETTERBOX, *SIZES), model.module.head[-1]
    read = []
    handle = last.register_forward_hook(lambda layer, given, answer: read.append(given[0][0].numpy()))
    expected = eager(model, pictures)
    handle.remove()
    p, reads = runtime.predictor(file, threads=1, reads=True).answers(pictures)
    np.testing.assert_allclose(p, expected, atol=TOLERANCE)
    np.testing.assert_allclose(reads, read, rtol=1e-3, atol=1e-4)
    plain = runtime.predictor(file, threads=1)
    assert plain.answers(pictures)[1] is None
    assert plain.file == file
    with pytest.raises(ValueError, match="the message ends within a number"):
        last_reads(b"\x3a")


def altered(file: bytes, **header: str | None) -> bytes:
    """The file with other metadata; None takes an entry out."""
    proto = onnx.load_from_string(file)
    entries = {entry.key: entry.value for entry in proto.metadata_props} | header
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {key: value for key, value in entries.items() if value is not None})
    return proto.SerializeToString()


# --- preparation -------------------------------------------------------------------------------------------------


def levels_of(preprocess: Preprocess) -> onnxruntime.InferenceSession:
    """The preprocessing alone; without mean and std it gives levels."""
    return onnxruntime.InferenceSession(preparation(preprocess).SerializeToString())


def some_sizes(rng: np.random.Generator) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(image, target): equal, doubled, halved, one pixel more, degenerate, and any."""
    h, w = 33, 47
    known = [
        (h, w),
        (2 * h, 2 * w),
        (h // 2, w // 2),
        (h + 1, w - 1),
        (1, 1),
        (1, 120),
        (120, 1),
        (h, 90),
        (700, 500),
    ]
    anything = rng.integers(1, 150, (12, 4)).tolist()
    return [(size, (h, w)) for size in known] + [((a, b), (c, d)) for a, b, c, d in anything]


@pytest.mark.parametrize(("fit", "channels", "depth"), [*product(["letterbox", "stretch"], [1, 3], [8, 16])])
def test_images_are_prepared_in_the_file_as_in_training(fit: str, channels: int, depth: int) -> None:
    rng = np.random.default_rng([channels, depth])
    for size, target in some_sizes(rng):
        fill = tuple(rng.integers(0, 2**depth, channels).tolist())
        preprocess = Preprocess(channels=channels, size=target, fit=fit, fill=fill, depth=depth)
        image = patches(rng, size, preprocess)
        found = levels_of(preprocess).run(None, {"image": image[None]})[0][0].transpose(1, 2, 0)
        expected = fit_image(image, target, fit, fill)
        np.testing.assert_array_equal(found, expected, f"{size} {target}")


def test_a_letterbox_has_the_same_border_for_every_size() -> None:
    for target in product(range(1, 6), repeat=2):
        session = levels_of(Preprocess(channels=1, size=target, fill=(7,)))
        for size in product(range(1, 10), repeat=2):
            image = np.full((*size, 1), 200, np.uint8)
            found = session.run(None, {"image": image[None]})[0][0, 0]
            np.testing.assert_array_equal(
                found, fit_image(image, target, "letterbox", (7,))[..., 0], f"{size} {target}"
            )


# --- export and its gate -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preprocess", "tolerance"), [(STRETCH_RGB, TOLERANCE), (DEEP, 1e-3)], ids=["stretch-rgb", "16-bit"]
)
def test_exported_file_answers_as_the_network(preprocess: Preprocess, tolerance: float, tmp_path: Path) -> None:
    model, pictures = a_model(preprocess), images(preprocess, *SIZES)
    told = export(model, tmp_path / "model.onnx", pictures, tolerance)
    assert told["file"] == "model.onnx"
    assert told["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert told["images"] == told["same_class"] == len(pictures)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    found, expected = (
        runtime.predictor(tmp_path / "model.onnx").outputs(pictures, ["probability"])[0],
        eager(model, pictures),
    )
    assert np.abs(found - expected).max() == pytest.approx(told["largest_difference"], abs=1e-6)
    assert np.abs(found - expected).max() < tolerance
    assert expected.max(axis=1).std() > 0.05  # the comparison means something


def test_any_number_of_images_of_any_size_gives_the_same_answers(model: Model, file: bytes) -> None:
    predictor = runtime.predictor(file)
    pictures = images(LETTERBOX, *SIZES * 9, seed=3)
    together = predictor.outputs(pictures, ["probability"])[0]
    one_by_one = np.concatenate([predictor.outputs([picture], ["probability"])[0] for picture in pictures])
    np.testing.assert_allclose(together, one_by_one, atol=1e-6)
    np.testing.assert_allclose(together, predictor.probabilities(pictures), atol=1e-6)  # fitted before, and together
    larger = [np.repeat(np.repeat(picture, 9, axis=0), 7, axis=1) for picture in pictures[:4]]
    for picture in larger:
        in_graph, before = predictor.outputs([picture], ["probability"])[0], predictor.probabilities([picture])
        assert (in_graph == before).all()  # the very same levels
    np.testing.assert_allclose(together, eager(model, pictures), atol=TOLERANCE)
    assert predictor.probabilities([]).shape == (0, 3)


def test_exported_file_is_one_self_contained_clean_file(model: Model, file: bytes) -> None:
    proto = onnx.load_from_string(file)
    onnx.checker.check_model(proto, full_check=True)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 18)]
    assert not [tensor.name for tensor in proto.graph.initializer if tensor.external_data]
    header = {entry.key: entry.value for entry in proto.metadata_props}
    assert Net.from_json(header["net"]) == model.net
    here = [
        tempfile.gettempdir(),
        str(Path.home()),
        str(Path.cwd()),
        sys.prefix,
        "site-packages",
        ".py",
        "stack_trace",
    ]
    assert not [text for text in here if text.encode() in file]


def tampered_weight(proto: onnx.ModelProto) -> None:
    tensor = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.5), tensor.name))


def other_mean(proto: onnx.ModelProto) -> None:
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == "mean")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(20), tensor.name))


def other_place(proto: onnx.ModelProto) -> None:
    """The letterbox at the upper left instead of the middle."""
    next(node for node in proto.graph.node if node.output[0] == "before").op_type = "Mod"


@pytest.mark.parametrize("tamper", [tampered_weight, other_mean, other_place])
def test_the_gate_closes_on_a_tampered_file(model: Model, file: bytes, tamper) -> None:
    pictures = images(LETTERBOX, *SIZES)
    compare(file, model, pictures, TOLERANCE)
    proto = onnx.load_from_string(file)
    tamper(proto)
    with pytest.raises(ValueError, match="answers differently on"):
        compare(proto.SerializeToString(), model, pictures, TOLERANCE)


def test_the_gate_closes_on_answers_that_are_no_numbers(model: Model, file: bytes) -> None:
    proto = onnx.load_from_string(file)
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == "mean")
    tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), np.nan), tensor.name))
    # of class 0, which is also the argmax of three times not-a-number
    pictures = [picture for picture in images(LETTERBOX, *SIZES) if eager(model, [picture])[0].argmax() == 0]
    with pytest.raises(ValueError, match="up to nan"):
        compare(proto.SerializeToString(), model, pictures, TOLERANCE)


def test_the_gate_closes_on_another_class_within_the_tolerance(model: Model, file: bytes) -> None:
    (picture,) = images(LETTERBOX, (40, 31))
    first, second = np.argsort(eager(model, [picture])[0])[[-1, -2]]
    margin = eager(model, [picture])[0, first] - eager(model, [picture])[0, second]
    mixed = np.eye(3, dtype=np.float32)  # the two come nearly together, the second a little ahead
    mixed[np.ix_([first, second], [first, second])] = [[0.45, 0.55], [0.55, 0.45]]
    proto = onnx.load_from_string(file)
    final = proto.graph.node[-1]
    proto.graph.node.append(onnx.helper.make_node("MatMul", ["unmixed", "mixed"], list(final.output)))
    final.output[0] = "unmixed"
    proto.graph.initializer.append(numpy_helper.from_array(mixed, "mixed"))
    assert runtime.predictor(proto.SerializeToString()).probabilities([picture])[0].argmax() == second
    with pytest.raises(ValueError, match=r"1 classes and 0 decisions differ"):
        compare(proto.SerializeToString(), model, [picture], tolerance=0.75 * margin)


def test_a_refused_export_leaves_no_file_and_keeps_an_older_one(model: Model, tmp_path: Path) -> None:
    """A module that computes otherwise than its description says, as where one of them is faulty."""
    faulty = replace(model, module=copy.deepcopy(model.module))
    faulty.module.register_forward_hook(lambda module, given, logits: logits + torch.tensor([0.0, 0.5, 0.0]))
    with pytest.raises(ValueError, match=r"up to 0\.1.* \(allowed: 0\.0001\).*nothing was written"):
        export(faulty, tmp_path / "model.onnx", images(LETTERBOX, *SIZES), TOLERANCE)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "model.onnx").write_bytes(b"older")
    with pytest.raises(ValueError, match="none were given"):
        export(model, tmp_path / "model.onnx", [])
    assert (tmp_path / "model.onnx").read_bytes() == b"older"


# --- what is refused at the door ---------------------------------------------------------------------------------


def foreign() -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "foreign", [value], [other])
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


REFUSED = {
    "empty": (lambda file: b"", "no ONNX file, is damaged"),
    "text": (lambda file: b"<html>not found</html>", "no ONNX file, is damaged"),
    "truncated": (lambda file: file[: len(file) // 2], "no ONNX file, is damaged"),
    "foreign": (lambda file: foreign(), "not one of zansa"),
    "newer": (
        lambda file: altered(file, zansa="3"),
        "has format 3; this version of zansa reads formats 1 and 2: update",
    ),
    "no-classes": (lambda file: altered(file, classes=None), "is damaged.*classes"),
    "other-classes": (lambda file: altered(file, classes='["good", "hole"]'), "names 2 classes"),
    "no-json": (lambda file: altered(file, classes="good"), "is damaged"),
    "odd-preprocess": (lambda file: altered(file, preprocess='{"channels": 0}'), "is damaged"),
    "odd-good": (
        lambda file: altered(file, operating='{"good": "fine", "threshold": 0.5}'),
        "good class 'fine'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_refused(case: str, file: bytes, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    path = tmp_path / "model.onnx"
    path.write_bytes(make(file))
    with pytest.raises(ValueError, match=rf"(?s)model\.onnx.*{message}"):
        runtime.predictor(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ValueError, match="there is no file"):
            runtime.predictor(path)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(shape, dtype)
        for shape, dtype in (((5, 5), "u1"), ((5, 5, 3), "u1"), ((5, 5, 1), "u2"), ((0, 5, 1), "u1"))
    ],
    ids=["no-channels", "colour", "16-bit", "empty"],
)
def test_other_images_are_refused(image: np.ndarray, file: bytes) -> None:
    with pytest.raises(ValueError, match=r"this model takes uint8 \(height, width, 1\)"):
        runtime.predictor(file).probabilities([image])


def test_networks_of_other_dimensions_are_refused(model: Model) -> None:
    box = Net.model_validate(model.net.model_dump() | {"input": {"channels": 1, "size": (8, 8, 8)}})
    with pytest.raises(ValueError, match=r"networks of images and series are exported; .* \(8, 8, 8\)"):
        to_onnx(replace(model, net=box))


def test_numbers_arrive_exactly() -> None:
    preprocess = Preprocess(channels=3, size=(4, 4), mean=(77.5584371363863, -1e-7, 1e30), std=(28.573656, 1e-9, 3.0))
    proto = preparation(preprocess)
    found = {tensor.name: numpy_helper.to_array(tensor).ravel() for tensor in proto.graph.initializer}
    np.testing.assert_array_equal(found["mean"], np.float32(preprocess.mean))
    np.testing.assert_array_equal(found["std"], np.float32(preprocess.std))


# --- prediction --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    """Image files of several sizes, with one that is broken and one whose name is no UTF-8."""
    names = [*(f"{i}.png" for i in range(5)), "broken.png", "a,b\udcff.png"]
    files = [tmp_path / name for name in names]
    pictures = images(LETTERBOX, (40, 31), (12, 16), (40, 31), (7, 90), (40, 31), (1, 1), (40, 31), seed=1)
    for path, picture in zip(files, pictures, strict=True):
        Image.fromarray(picture[..., 0]).save(path)
    files[5].write_bytes(files[0].read_bytes()[:60])
    return [*files, tmp_path / "missing.png"]


def test_rows_come_in_order_with_decisions(model: Model, file: bytes, folder: list[Path]) -> None:
    rows = list(runtime.predict(runtime.predictor(file), folder))
    assert [tuple(row) for row in rows] == [runtime.COLUMNS] * len(folder)
    assert [row["image"] for row in rows[:6]] == [str(path) for path in folder[:6]]
    assert rows[6]["image"].endswith("a,b\\xff.png")
    for broken in (rows[5], rows[7]):
        assert "cannot read" in broken.pop("error")
        assert set(broken.values()) == {broken["image"], None}
    read = [row for row in rows if "error" in row]
    pictures = images(LETTERBOX, (40, 31), (12, 16), (40, 31), (7, 90), (40, 31), (1, 1), (40, 31), seed=1)
    expected = eager(model, [*pictures[:5], pictures[6]])
    assert [row["class"] for row in read] == [CLASSES[best] for best in expected.argmax(axis=1)]
    np.testing.assert_allclose([row["probability"] for row in read], expected.max(axis=1), atol=TOLERANCE)
    np.testing.assert_allclose([row["score"] for row in read], 1 - expected[:, 0], atol=TOLERANCE)
    assert {row["decision"] for row in read} == {"accept", "reject"}
    assert [row["decision"] == "reject" for row in read] == [row["score"] >= 0.6 for row in read]


def test_reaching_the_threshold_rejects(file: bytes, folder: list[Path]) -> None:
    score = next(runtime.predict(runtime.predictor(file), folder))["score"]
    for threshold, decision in ((score, "reject"), (np.nextafter(score, 1), "accept")):
        point = OperatingPoint(good="good", threshold=threshold).model_dump_json()
        row = next(runtime.predict(runtime.predictor(altered(file, operating=point)), folder))
        assert row["decision"] == decision


def test_without_operating_point_there_is_no_decision(file: bytes, folder: list[Path]) -> None:
    row = next(runtime.predict(runtime.predictor(altered(file, operating="")), folder))
    assert row["class"] in CLASSES
    assert row["score"] is row["decision"] is row["error"] is None


def test_more_images_than_fit_into_memory_at_once_are_read_as_needed(file: bytes, folder: list[Path]) -> None:
    asked: list[int] = []
    files = (asked.append(i) or folder[i % 5] for i in range(10 * runtime.BATCH))
    rows = runtime.predict(runtime.predictor(file), files)
    first = next(rows)
    assert len(asked) == runtime.BATCH
    rest = list(rows)
    assert len(rest) == 10 * runtime.BATCH - 1
    assert rest[4]["probability"] == pytest.approx(first["probability"], abs=1e-6)


def test_rows_as_csv_and_json_lines(file: bytes, folder: list[Path]) -> None:
    rows = list(runtime.predict(runtime.predictor(file), folder))
    table, lines = io.StringIO(), io.StringIO()
    runtime.write_csv(rows, table)
    runtime.write_jsonl(rows, lines)
    assert [json.loads(line) for line in lines.getvalue().splitlines()] == rows
    read = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert read == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    assert (table.getvalue() + lines.getvalue()).encode()


def test_latency_says_what_was_measured(file: bytes) -> None:
    predictor = runtime.predictor(file)
    told = latency(predictor, threads=1, batch=4, repeats=9, size=(30, 40))
    assert told.pop("work_ms") > 0
    assert 0 < told.pop("ms") < 1000
    assert told == {
        "what": "ONNX Runtime",
        "device": "cpu",
        "threads": 1,
        "precision": "float32",
        "batch": 4,
        "size": [30, 40],
        "repeats": 9,
    }
    assert latency(predictor, repeats=1)["size"] == [12, 16]
    small, large = (latency(predictor, repeats=5, size=size)["ms"] for size in ((12, 16), (900, 900)))
    assert large > 2 * small
    with pytest.raises(ValueError, match="batch is 0; allowed: 1 or more"):
        latency(predictor, batch=0)


def test_latency_is_per_image(file: bytes) -> None:
    start = time.perf_counter()
    ms = latency(runtime.predictor(file), batch=32, repeats=21, size=(200, 200))["ms"]
    # half of the runs took at least the median; were it per run of 32 images, this would be 32 times too much
    assert 32 * 11 * ms < 1e3 * (time.perf_counter() - start)


def test_prediction_needs_no_torch(file: bytes, folder: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(file)
    program = """
import sys
from zansa.deploy import runtime
rows = list(runtime.predict(runtime.predictor(sys.argv[1]), sys.argv[2:]))
print(len([row for row in rows if row["class"]]), sorted({"torch", "onnx", "onnxscript"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), *map(str, folder[:6])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "5 []\n"
    assert done.stderr == ""
