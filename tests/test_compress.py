"""Smaller networks and what is handed over: decisions are gated, files answer alike in every engine, a page carries
everything."""

import csv
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from command import STEADY, fill, refused, zansa
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod
from PIL import Image
from samples import NET, ready

from zansa.arch.use import OperatingPoint, Preprocess
from zansa.deploy.export import answers_of, to_onnx
from zansa.deploy.handover import normalised
from zansa.deploy.portable import folded
from zansa.deploy.quantise import prepared, quantised, with_point
from zansa.deploy.runtime import predictor
from zansa.inputs.images import fitted
from zansa.jobs.compress import asked_of
from zansa.jobs.making.integers import calibrating
from zansa.jobs.trained_request import CompressRequest
from zansa.learn.defaults import default_net
from zansa.learn.distil import decoupled, distance, student_loss
from zansa.learn.quantisation_aware import add_integers
from zansa.nets.build import build
from zansa.nets.files import Model, load
from zansa.proof.calibration import apply
from zansa.proof.decide import decisions, lines_of, logits_of
from zansa.proof.gate import Answered, gate
from zansa.proof.redraw import redrawn
from zansa.record import Run
from zansa.report.facts import trained

POINT = OperatingPoint(good="good", threshold=0.5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on small surfaces."""
    folder = tmp_path_factory.mktemp("compress")
    fill(folder / "data", 120)
    (folder / "net.json").write_text(NET.but({"input": NET.input.but({"size": (24, 24)})}).to_json())
    made = zansa("train", folder / "data", "--net", folder / "net.json", "--epochs", 3, "--out", folder / "runs",
                 "--name", "base", "--race", "none", *STEADY)  # fmt: skip
    assert made.returncode == 0, made.stderr
    return Run.open(folder / "runs" / "base")


@pytest.fixture(scope="module")
def small(run):
    """That run, pruned to half, distilled and quantised."""
    told = zansa("compress", run.path, "--budget", "macs=600k", "--int8", "--epochs", 2, "--out", run.path.parent,
                 "--name", "small", "--margin", "0.5", "--json")  # fmt: skip
    assert told.returncode in (0, 1), told.stderr
    return json.loads(told.stdout)


def test_compress_makes_a_run_with_a_page_of_before_and_after(run, small):
    made = Run.open(small["run"])
    before, after, integers = small["stages"]
    assert after["macs"] <= 600_000 < before["macs"]
    assert after["bytes"] < before["bytes"]
    assert integers["macs"] == after["macs"]
    assert made.lines("edits.jsonl")
    assert small["int8_kept"] == small["gates"]["int8"]["passed"]
    assert small["passed"] == all(each["passed"] for each in small["gates"].values())
    assert ((made.path / "model-float.onnx").exists()) == small["int8_kept"]
    exported = (made.path / "model.onnx").read_bytes()
    assert (b"DequantizeLinear" in exported) == small["int8_kept"]
    header = predictor(exported)
    assert header.classes == load(made.path / "model.safetensors").classes
    page = (made.path / "compress.html").read_text()
    assert "Before and after" in page
    assert "Left out" not in page or "no decision was turned" in page
    answers = zansa("predict", made.path, run.path.parents[1] / "data" / "good")
    assert answers.returncode == 0, answers.stderr
    assert "figures prove nothing" not in (made.path / "report.html").read_text()  # the parts are those of the run


def test_what_an_int8_run_tells_and_hands_over_is_its_int8_file(run, small, tmp_path):
    assert small["int8_kept"]
    made, gate = Run.open(small["run"]), small["gates"]["int8"]
    metrics = made.read_json("metrics.json")
    assert [each["precision"] for each in metrics["latency"]] == ["int8"] * len(metrics["latency"])
    told = metrics["export"]
    assert (told["bytes"], told["largest_difference"]) == (small["stages"][-1]["bytes"], gate["largest_change"])
    handed = predictor(made.path / "model.onnx")
    rows = list(csv.DictReader((made.path / "predictions.csv").read_text().splitlines()))
    images = [np.asarray(Image.open(run.path.parents[1] / "data" / row["image"]))[..., None] for row in rows]
    own, scores = handed.probabilities(images), [float(row["score"]) for row in rows]
    np.testing.assert_allclose(scores, 1 - own[:, handed.classes.index("good")].astype(float), atol=1e-6)
    assert metrics["validation"]["inspection"]["threshold"] == handed.operating.threshold
    seen = metrics["validation"]["inspection"]["false_alarms"]
    assert f"on validation {seen['hits']} of {seen['count']} good parts" in handed.operating.rule
    assert "lines and pictures of this page are of this file" in (made.path / "report.html").read_text()
    data = run.path.parents[1] / "data" / "good"
    answer = zansa("export", made.path, data, "--out", tmp_path / "m.onnx", "--bundle", tmp_path / "b")
    assert "in the bundle as int8.onnx" in answer.stdout
    assert (tmp_path / "b" / "int8.onnx").read_bytes() == (made.path / "model.onnx").read_bytes()
    figures = json.loads(zansa("evaluate", made.path, data.parent, "--json").stdout)
    assert figures["latency"][0]["precision"] == "int8"
    assert figures["inspection"]["threshold"] == handed.operating.threshold
    lost = zansa("export", made.path, data, "--out", made.path / "model.onnx")
    assert (lost.returncode, "the run's file in int8" in lost.stderr) == (2, True)
    assert f"{made.path / 'model.onnx'} is in int8" in zansa("depth", made.path).stderr


def test_a_run_of_which_nothing_had_to_be_trained_is_finished():
    facts = {"name": "int8", "events": [], "metrics": {"validation": {"count": 9}}}
    assert trained(facts)
    assert not trained(facts | {"metrics": None})
    assert not trained(facts | {"events": [{"event": "start"}]})


def test_what_cannot_be_compressed_is_said(run, tmp_path):
    assert "nothing was asked" in refused("compress", run.path)
    assert "several budgets" in refused("compress", run.path, "--budget", "macs=1M,2M")
    assert "none" in refused("compress", tmp_path / "none", "--int8")
    assert "there is no folder" in refused("export", run.path, tmp_path, "--out", tmp_path / "none" / "m.onnx")


def test_int8_keeps_stem_and_header_and_is_the_same_twice(run, capfd):
    file = to_onnx(load(run.path / "model.safetensors"))
    images = [np.asarray(Image.open(path))[..., None] for path in sorted((run.path.parents[1] / "data").rglob("*.png"))]
    made, again = (quantised(file, images[:40]) for _ in range(2))
    quantised(file, images[:8], method=CalibrationMethod.Entropy)
    assert capfd.readouterr() == ("", "")
    assert made.file == again.file
    after = onnx.load_from_string(made.file)
    kept = {each.key: each.value for each in after.metadata_props}
    assert {"zansa", "classes", "preprocess", "operating", "calibration"} <= kept.keys()
    assert after.ir_version == 8
    assert all(node.name for node in after.graph.node)
    integers = {name for node in after.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    convs = [node for node in after.graph.node if node.op_type == "Conv"]
    assert [bool(integers & set(node.input)) for node in convs] == [False] + [True] * (len(convs) - 1)
    assert not any(node.op_type in ("Mul", "Add") and integers & set(node.input) for node in after.graph.node
                   if node.name.startswith("network/calibration"))  # fmt: skip
    point = POINT.model_copy(update={"threshold": 0.25})
    assert predictor(with_point(made.file, point)).operating == point
    opened = predictor(made.file)
    eight, ones = opened.probabilities(images[:8]), np.concatenate([opened.probabilities([i]) for i in images[:8]])
    np.testing.assert_allclose(eight, ones, atol=1e-6)
    maps, exact = (predictor(f).with_maps(images[:40])[1] for f in (made.file, file))
    assert np.corrcoef(maps.ravel(), exact.ravel())[0, 1] > 0.9


def test_calibration_images_are_chosen_by_kind_of_defect():
    data, parts = ready()
    chosen = calibrating(data, parts, "none", 40)
    counts = np.bincount(data.labels[chosen], minlength=3)
    assert counts[data.classes.index("none")] == 20
    assert set(chosen) <= set(parts.train)
    assert min(counts) >= 10


def test_the_gate_sees_a_detection_that_vanishes_behind_accuracy():
    """10 of 200 are defects; all are lost, which accuracy hardly shows."""
    labels = np.repeat([0, 1], [190, 10])
    before = np.where(labels[:, None] == 0, [[0.9, 0.1]], [[0.2, 0.8]])
    after = np.where(labels[:, None] == 0, [[0.9, 0.1]], [[0.6, 0.4]])
    told = gate(Answered(before, POINT), Answered(after, POINT), labels, ("good", "bad"))
    assert not told["passed"]
    assert not told["checks"]["detection"]
    assert told["after"]["accuracy"]["value"] == 0.95
    assert gate(Answered(before, POINT), Answered(before, POINT), labels, ("good", "bad"), same_network=True)["passed"]
    whole = gate(Answered(before, POINT), Answered(after, POINT), labels, ("good", "bad"), np.arange(200) // 2)
    assert (whole["parts"], whole["turned"]) == (100, 10)


def test_a_line_drawn_anew_decides_as_before_and_moves_no_further_than_it_must():
    rng = np.random.default_rng(0)
    before = np.sort(rng.normal(0, 3, 200))
    asking = OperatingPoint(good="good", threshold=0.6, ask=0.3, odds=(-0.85, 0.41))
    for point in (POINT, asking):
        same = redrawn(point, before, before)
        assert lines_of(same) == lines_of(point)
        moved = redrawn(point, before, before + 0.5)  # every score is higher, and no order has changed
        ours, theirs = (decisions(1 / (1 + np.exp(s)), p) for s, p in ((before, point), (before + 0.5, moved)))
        np.testing.assert_array_equal(ours, theirs)
        assert (decisions(1 / (1 + np.exp(before + 0.5)), point) != ours).any()
        assert (moved.ask is None) == (point.ask is None)
        assert abs(moved.threshold - 1 / (1 + np.exp(-lines_of(moved)[1]))) < 1e-12
    noisy = before + rng.normal(0, 0.3, 200)
    turned = [((noisy >= line) != (before >= 0)).sum() for line in (0.0, lines_of(redrawn(POINT, before, noisy))[1])]
    assert turned[1] <= turned[0]
    outside = redrawn(POINT, np.array([-2.0, -1.0]), np.array([-2.0, 0.5]))  # what was accepted stays so
    assert 0.5 < lines_of(outside)[1] < 0.52


@pytest.mark.parametrize(("size", "left"), [(32, 0), (18, 2)])
def test_shortcuts_that_average_become_one_convolution_where_maps_are_even(size, left):
    net = default_net((size, size), 1, 3, "surface")
    model = Model(net, build(net, torch.Generator().manual_seed(0)).eval(), ("a", "b", "c"),
                  Preprocess(channels=1, size=(size, size), mean=(100.0,), std=(50.0,)))  # fmt: skip
    file = to_onnx(model)
    one = prepared(file)
    assert sum(node.op_type == "AveragePool" for node in one.graph.node) == left  # maps of 18, 9, 5
    images = [np.random.default_rng(i).integers(0, 256, (size, size, 1)).astype(np.uint8) for i in range(4)]
    ours, theirs = (predictor(f).probabilities(images) for f in (file, one.SerializeToString()))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_an_int8_file_is_slim_and_answers_as_the_quantiser_wrote_it(monkeypatch):
    net = default_net((32, 32), 1, 3, "surface")
    model = Model(net, build(net, torch.Generator().manual_seed(0)).eval(), ("a", "b", "c"),
                  Preprocess(channels=1, size=(32, 32), mean=(100.0,), std=(50.0,)))  # fmt: skip
    images = [np.random.default_rng(i).integers(0, 256, (32, 32, 1)).astype(np.uint8) for i in range(4)]
    made = quantised(to_onnx(model), images).file
    monkeypatch.setattr("zansa.deploy.quantise.slim", lambda model: model)
    plain = quantised(to_onnx(model), images).file
    for ours, theirs in zip(*(predictor(file).with_class_maps(images) for file in (made, plain)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    graphs = [onnx.load_from_string(file).graph for file in (made, plain)]
    stored, before = (sum(numpy_helper.to_array(each).nbytes for each in graph.initializer) for graph in graphs)
    wide = [each.dims for each in graphs[0].initializer if each.name.endswith("/shape")]
    assert len(wide) == sum(node.op_type == "Expand" for node in graphs[0].node) == 3  # shortcuts that average
    assert stored < before - 3 * 16 * 32  # three of four places of the smallest shortcut
    assert len(made) < len(plain) - 20_000


def test_training_that_knows_of_integers_computes_as_the_int8_file(run):
    """The network with rounding answers as the int8 file, which rounds by the same images, and learns; then it is as it
    was."""
    model = load(run.path / "model.safetensors")
    paths = sorted((run.path.parents[1] / "data").rglob("*.png"))[::2]
    images = [fitted(np.asarray(Image.open(path))[..., None], model.preprocess) for path in paths]
    pixels = torch.from_numpy(normalised(model, images))
    before = model.module(pixels).detach()
    handles = add_integers(model.module)
    model.module(pixels)  # sees the ranges
    rounded = model.module(pixels)
    rounded.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.module.parameters())
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(model.module(pixels).detach(), before, rtol=0, atol=0)
    exact = answers_of(model, images)
    calibrated = apply(logits_of(rounded.detach().double().softmax(1).numpy()), model.calibration)
    file = predictor(quantised(to_onnx(model), images).file).probabilities(images)
    assert 0 < np.abs(calibrated - exact).max() < 0.2
    assert np.abs(file - calibrated).mean() < 0.5 * np.abs(file - exact).mean() + 0.002


def test_a_compression_that_was_killed_goes_on(run, small):
    """What it was asked stands in its folder, and `resume` reads it."""
    asked = Run.open(small["run"]).read_json("asked.json")
    assert CompressRequest.model_validate(asked).budget[0].unit == "macs"
    assert asked_of(small["run"]) is None  # it is finished


def test_laws_of_distillation():
    torch.manual_seed(0)
    teacher, labels = torch.randn(32, 4), torch.randint(4, (32,))
    student = teacher.clone().requires_grad_()
    for loss in (distance(student, teacher), decoupled(student, teacher, labels)):
        (grad,) = torch.autograd.grad(loss, student)
        assert abs(loss.item()) < 1e-5
        assert grad.abs().max() < 1e-6
    other = torch.randn(32, 4, requires_grad=True)
    sizes = [torch.autograd.grad(distance(other, teacher, t), other)[0].norm().item() for t in (1.0, 4.0, 8.0)]
    assert max(sizes) < 3 * min(sizes)
    # DKD with both weights as KD weighs them is KD: TCKD + (1 - p_target) NCKD (Zhao et al. 2022, eq. 7)
    two, truth = torch.randn(8, 2), torch.zeros(8, dtype=torch.long)
    plain = student_loss(two, teacher[:8, :2], truth, torch.tensor(0.5))
    torch.testing.assert_close(plain, 0.05 + 0.9 * distance(two, teacher[:8, :2]))


def test_folded_norms_change_nothing(run):
    file = to_onnx(load(run.path / "model.safetensors"))
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 1)).astype(np.uint8)
    small = folded(onnx.load_from_string(file))
    assert not any(node.op_type == "BatchNormalization" for node in small.graph.node)
    ours, theirs = (predictor(f).probabilities([image]) for f in (file, small.SerializeToString()))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("target", "opset"), [("opencv", 17), ("openvino", 17), ("npu", 13)])
def test_targets_answer_as_the_network(run, tmp_path, target, opset):
    data = run.path.parents[1] / "data"
    told = zansa("export", run.path, data, "--out", tmp_path / "m.onnx", "--target", target, "--bundle",
                 tmp_path / "b.zip", "--json")  # fmt: skip
    assert told.returncode == 0, told.stderr
    proof = json.loads(told.stdout)["target"]
    assert proof["largest_difference"] < 1e-4
    network = onnx.load(tmp_path / target / "network.onnx")
    assert network.opset_import[0].version == opset
    assert (tmp_path / "m.onnx.sha256").read_text().endswith("  m.onnx\n")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        manifest = json.loads(archive.read("handover.json"))
        assert {each["name"] for each in manifest["files"]} >= {"m.onnx", f"{target}/network.onnx", "report.html"}
    one = sorted(data.rglob("*.png"))[0]
    read = subprocess.run(
        [sys.executable, "reader.py", str(one)], cwd=tmp_path / target, capture_output=True, text=True, check=True
    )
    p = [float(value) for value in read.stdout.split()[2:]]
    exact = predictor(tmp_path / "m.onnx").probabilities([np.asarray(Image.open(one))[..., None]])[0]
    np.testing.assert_allclose(p, exact, atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_reader_in_cpp_gives_the_very_pixels(run, tmp_path):
    pre = load(run.path / "model.safetensors").preprocess.model_copy(update={"fit": "letterbox", "fill": (7,)})
    image = np.random.default_rng(1).integers(0, 256, (37, 53, 1)).astype(np.uint8)
    (tmp_path / "image.raw").write_bytes(image.tobytes())
    reader = Path(__file__).parents[1] / "zansa" / "deploy" / "readers" / "reader.hpp"
    (tmp_path / "main.cpp").write_text(
        f'#include "{reader}"\n#include <cstdio>\n'
        'int main() { std::vector<unsigned char> a(37 * 53); FILE* f = fopen("image.raw", "rb"); '
        "if (fread(a.data(), 1, a.size(), f) != a.size()) return 1; fclose(f);"
        f"Use use{{24, 24, 1, true, {{7}}, {{{pre.mean[0]}f}}, {{{pre.std[0]}f}}}};"
        'for (float v : pixels(a.data(), 37, 53, use)) std::printf("%.9g\\n", v); }'
    )
    subprocess.run(["g++", "-std=c++17", "-o", "main", "main.cpp"], cwd=tmp_path, check=True)
    told = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = (fitted(image, pre).astype(np.float32) - np.float32(pre.mean[0])) / np.float32(pre.std[0])
    np.testing.assert_allclose(np.array(told.stdout.split(), float), expected.ravel(), atol=1e-5)


def test_a_page_carries_everything(run, tmp_path):
    with tarfile.open(tmp_path / "web.tgz", "w:gz") as archive:
        (tmp_path / "package" / "dist").mkdir(parents=True)
        (tmp_path / "package" / "package.json").write_text('{"version": "1.30.0"}')
        for name in ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
            (tmp_path / "package" / "dist" / name).write_text(f"/* {name} */")
        archive.add(tmp_path / "package", "package")
    data = run.path.parents[1] / "data"
    page = tmp_path / "demo.html"
    told = zansa("export", run.path, data, "--out", tmp_path / "m.onnx", "--page", page, "--runtime",
                 tmp_path / "web.tgz")  # fmt: skip
    assert told.returncode == 0, told.stderr
    text = page.read_text()
    assert "@@" not in text
    assert "自己診断に合格" in text
    facts = json.loads(text.split('id="facts">')[1].split("</script>")[0])
    assert len(facts["golden"]) == 8
    assert "npm pack" in refused("export", run.path, data, "--out", tmp_path / "n.onnx", "--page", page)
    assert "allowed: onnx, opencv" in refused("export", run.path, data, "--out", tmp_path / "n.onnx", "--target", "x")
    assert not (tmp_path / "n.onnx").exists()


def test_bench_tells_latency_and_whether_a_budget_is_kept(run):
    told = zansa(
        "bench", run.path, "--threads", "1,2", "--batch", "1,4", "--repeats", 5, "--budget", "ms=1000", "--json"
    )
    assert told.returncode == 0, told.stderr
    rows = json.loads(told.stdout)["rows"]
    assert [(row["threads"], row["batch"]) for row in rows] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    assert all(row["ms"] <= row["p95"] <= row["p99"] for row in rows)
    assert zansa("bench", run.path, "--repeats", 5, "--budget", "ms=0.0001").returncode == 1
    assert "--threads" in refused("bench", run.path, "--threads", "many")
