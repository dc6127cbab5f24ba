"""The command line as people use it: real files, real kills, and a real start of every verb."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import SHORT, STEADY, fill, forked, killed, process, refused, wait_for, zansa
from PIL import Image
from safetensors.numpy import load_file

from zansa.learn.data.synthetic import surfaces


def test_a_refusal_of_a_real_process():
    result = process("train", "", "--rate", "-1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == refused("train", "", "--rate", "-1")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("images") / "parts")


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    result = zansa("train", images, "--out", out, "--name", "first", *SHORT)
    assert result.returncode == 0, result.stderr
    return out / "first", result


def test_train_leaves_a_whole_run(run):
    path, result = run
    expected = """spec.json recipe.json edits.jsonl events.jsonl environment.json metrics.json data.json card.md
                  model.safetensors model.onnx report.html predictions.csv examples.json"""
    assert set(expected.split()) <= {file.name for file in path.iterdir()}
    assert not (path / "checkpoint.pt").exists()
    for word in ("defects found", "false alarms", "balanced", "report", "exported", str(path / "model.onnx")):
        assert word in result.stdout
    metrics = json.loads((path / "metrics.json").read_text())
    data = json.loads((path / "data.json").read_text())
    assert metrics["test"]["count"] == sum(data["counts"]["test"].values()) == len(data["parts"]["test"])
    assert not set(data["parts"]["test"]) & (set(data["parts"]["train"]) | set(data["parts"]["val"]))
    assert metrics["export"]["largest_difference"] < 1e-3
    assert metrics["latency"][0]["threads"] == 1


WATCHED = """
import atexit, sys, threading
from zansa.cli import main

class Kept:
    def __del__(self):
        print("taken apart")

def handler():
    print("threads", [thread.name for thread in threading.enumerate() if not thread.daemon])

kept = Kept()
atexit.register(handler)
main()
"""


def watched(*words, before="", stdout=subprocess.PIPE, **settings):
    """The command line in a process that tells how it ends; `before` is run first."""
    command = [sys.executable, "-c", before + WATCHED, *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | settings
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def twin(images, tmp_path_factory):
    """The training of `run` once more: a real start, under another name, elsewhere, and with another order of Python's
    sets."""
    out = tmp_path_factory.mktemp("elsewhere")
    result = watched("train", images, "--out", out, "--name", "other", *SHORT, PYTHONHASHSEED="7")
    assert result.returncode == 0, result.stderr
    return out / "other", result


def test_equal_trainings_give_equal_files(run, twin):
    for file in ("model.safetensors", "model.onnx", "predictions.csv"):
        assert (run[0] / file).read_bytes() == (twin[0] / file).read_bytes(), file


def test_a_process_ends_as_soon_as_its_work_is_done(twin):
    """Exit handlers run, no thread is left to wait for, and nothing is taken apart, which takes seconds."""
    assert twin[1].stdout.endswith("threads ['MainThread']\n")
    assert "taken apart" not in twin[1].stdout


def test_a_process_waits_for_what_it_must():
    """For a thread that still works, and for Python's own word of a stream that cannot be written."""
    working = "import threading, time; threading.Thread(target=lambda: [time.sleep(0.5), print('worked')]).start()\n"
    assert "worked\n" in watched("zoo", before=working).stdout
    with open("/dev/full", "w") as full:
        assert watched("zoo", stdout=full).returncode != 0
    result = watched("zoo", "nothing")
    assert result.returncode == 2
    assert result.stdout == "threads ['MainThread']\n"


def test_predictions_of_the_exported_file_are_those_of_the_run(run, images):
    path, _ = run
    told = {row["image"]: row for row in csv.DictReader((path / "predictions.csv").read_text().splitlines())}
    result = process("predict", path / "model.onnx", images)
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == sum(len(list(folder.iterdir())) for folder in images.iterdir())
    compared = 0
    for row in rows:
        before = told.get(str(Path(row["image"]).relative_to(images)))
        if before:
            assert row["class"] == before["predicted"]
            assert float(row["score"]) == pytest.approx(float(before["score"]), abs=1e-3)
            compared += 1
    assert compared == len(told)


def test_predict_as_json_lines_and_with_a_broken_image(run, images, tmp_path):
    path, _ = run
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    good = next((images / "good").iterdir())
    result = zansa("predict", path / "model.onnx", good, tmp_path / "broken.png", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["decision"] in ("accept", "reject")
    assert second["class"] is None
    assert "broken.png" in second["error"]


def test_evaluate_gives_the_same_figures_from_both_files(run, images):
    path, _ = run
    found = [json.loads(zansa("evaluate", model, images, "--json").stdout) for model in (path, path / "model.onnx")]
    assert found[0]["confusion"] == found[1]["confusion"]
    assert found[0]["inspection"]["detection"] == found[1]["inspection"]["detection"]
    shown = process("evaluate", path, images).stdout
    assert "defects found" in shown
    assert "CI" in shown


def test_export_again_and_report_again(run, images, tmp_path):
    path, _ = run
    result = process("export", path, images, "--out", tmp_path / "again.onnx")
    assert result.returncode == 0, result.stderr
    assert "largest difference" in result.stdout
    assert (tmp_path / "again.onnx").read_bytes()[:100]
    result = process("report", path)
    assert result.stdout.strip() == str(path / "report.html")


def test_results_as_json(images, tmp_path):
    result = zansa("train", images, "--out", tmp_path, "--json", *SHORT)
    found = json.loads(result.stdout)
    assert found["metrics"]["test"]["count"] > 0
    assert not found["stopped"]
    told = {text.split(":")[0] for text in found["warnings"]}
    assert "the network is not clearly better than plain rules" in told  # what else is told after two epochs may vary
    assert result.stderr == "".join(f"warning: {text}\n" for text in found["warnings"])  # and nothing else is said


def test_options_from_a_file(images, tmp_path):
    settings = {"epochs": 1, "batch": 16, "precision": "float32", "name": "named", "net": "cifar_resnet8"}
    (tmp_path / "options.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    result = zansa("train", images, "--out", tmp_path, "--config", tmp_path / "options.toml")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "named" / "recipe.json").read_text())["epochs"] == 1
    assert len(json.loads((tmp_path / "named" / "spec.json").read_text())["stages"]) == 3
    (tmp_path / "wrong.yaml").write_text("epoch: 1\n")
    assert "sets epoch; train knows: " in refused("train", images, "--config", tmp_path / "wrong.yaml")


def test_a_killed_run_goes_on_to_the_same_result(images, tmp_path):
    words = ["train", str(images), "--out", str(tmp_path), "--epochs", "6", "--batch", "16", *STEADY]
    assert zansa(*words, "--name", "whole").returncode == 0
    killed(tmp_path / "broken" / "checkpoint.pt", *words, "--name", "broken")
    assert not (tmp_path / "broken" / "metrics.json").exists()
    assert "broken" in zansa("report", tmp_path / "broken").stdout  # the report of an unfinished run
    result = process("resume", tmp_path / "broken")
    assert result.returncode == 0, result.stderr
    assert "resumed at step" in result.stderr
    whole, broken = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert all(np.array_equal(whole[key], broken[key]) for key in whole)
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text())["test"] for name in ("whole", "broken"))
    assert one == two
    assert "is finished" in refused("resume", tmp_path / "broken")


def test_a_failed_resume_keeps_everything(images, tmp_path):
    words = ["train", str(images), "--out", str(tmp_path), "--epochs", "5000", *SHORT[2:], "--name", "run"]
    training = forked(*words)
    wait_for(tmp_path / "run" / "checkpoint.pt", training)
    assert "another process is working on" in refused("resume", tmp_path / "run")
    training.kill()
    training.join()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"damaged")
    (tmp_path / "run" / "events.jsonl").write_text("")
    assert "delete it to begin anew" in refused("resume", tmp_path / "run")
    assert (tmp_path / "run" / "spec.json").exists()
    assert "is not finished" in refused("evaluate", tmp_path / "run", images)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_a_usable_run(images, tmp_path, how):
    words = ["train", images, "--out", tmp_path, "--name", "stopped", "--epochs", "500", "--batch", "16", *STEADY]
    training = forked(*words, told=tmp_path / "told")
    wait_for(tmp_path / "stopped" / "checkpoint.pt", training)
    os.kill(training.pid, how)
    training.join()
    assert training.exitcode == 130, (tmp_path / "told").read_text()
    assert "zansa resume" in (tmp_path / "told").read_text()
    metrics = json.loads((tmp_path / "stopped" / "metrics.json").read_text())
    assert "test" not in metrics  # the test part is read once, at the end of the whole training
    assert zansa("predict", tmp_path / "stopped" / "model.onnx", images / "good").returncode == 0
    assert (tmp_path / "stopped" / "checkpoint.pt").exists()


def test_classes_may_have_any_name(tmp_path):
    made = surfaces(60, seed=1, size=24, good=0.5)
    lines = ["path,label"]
    for i, (image, label) in enumerate(zip(made.images, made.labels, strict=True)):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'[/x]' if made.classes[label] == 'good' else '<b>[red]'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    result = zansa("train", tmp_path / "list.csv", "--out", tmp_path, "--name", "run", *SHORT)
    assert result.returncode == 0, result.stderr
    assert "[/x]" in result.stdout
    assert "<b>[red]" not in (tmp_path / "run" / "report.html").read_text()


def test_bad_folders(tmp_path, images):
    (tmp_path / "empty").mkdir()
    assert "no class folder with images" in refused("train", tmp_path / "empty", "--out", tmp_path / "runs")
    assert "missing is not there; allowed:" in refused("train", tmp_path / "missing", "--out", tmp_path / "runs")
    one = tmp_path / "one" / "good"
    shutil.copytree(images / "good", one)
    assert "one class only" in refused("train", one.parent, "--out", tmp_path / "runs")
    (tmp_path / "one" / "bad").mkdir()
    shutil.copy(next((images / "bad").iterdir()), tmp_path / "one" / "bad")
    assert "class bad has one image" in refused("train", one.parent, "--out", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_broken_images_are_left_out_and_told(images, tmp_path):
    folder = tmp_path / "parts"
    shutil.copytree(images, folder)
    (folder / "good" / "text.png").write_text("no image")
    whole = next((images / "bad").iterdir()).read_bytes()
    (folder / "bad" / "half.png").write_bytes(whole[: len(whole) // 2])
    header = Image.new("L", (1, 1))
    header.save(tmp_path / "bomb.png")
    bomb = bytearray((tmp_path / "bomb.png").read_bytes())
    bomb[16:24] = (60000).to_bytes(4, "big") * 2  # the header claims 3.6 billion pixels
    (folder / "bad" / "bomb.png").write_bytes(bomb)
    Path(os.fsdecode(os.fsencode(folder / "good") + b"/na\xefve.png")).write_bytes(whole)  # Latin-1, not UTF-8
    result = zansa("train", folder, "--out", tmp_path, "--name", "run", *SHORT)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    problems = " ".join(json.loads((tmp_path / "run" / "data.json").read_text())["problems"])
    for name in ("text.png", "half.png", "bomb.png"):
        assert name in problems
        assert name in result.stderr


def test_bad_manifests(images, tmp_path):
    manifest = tmp_path / "list.csv"
    manifest.write_text("file,label\na.png,good\n")
    assert "path" in refused("train", manifest)
    manifest.write_text("path,label\nmissing.png,good\ngone.png,bad\n")
    assert "missing.png" in refused("train", manifest)


def test_bad_options(images, tmp_path):
    assert "no network and no file is called 'resnet19'" in refused("train", images, "--net", "resnet19")
    message = refused("train", images, "--good", "fine", "--out", tmp_path)
    assert "no class is called 'fine'; the classes: bad, good" in message
    assert "no data was named" in refused("train", "")
    assert "device" in refused("train", images, "--device", "meta")
    assert "size 'big' is not understood" in refused("train", images, "--size", "big")
    assert "rate" in refused("train", images, "--rate", "-1")
    assert "flip_z" in refused("train", images, "--augment", "flip_z=true")
    assert not list(tmp_path.iterdir())


def test_bad_places(images, run, tmp_path):
    path, _ = run
    assert "first" in refused("train", images, "--out", path.parent, "--name", "first", *SHORT)
    (tmp_path / "file").write_text("")
    assert "choose another" in refused("train", images, "--out", tmp_path / "file" / "runs", *SHORT)
    assert "no run" in refused("resume", tmp_path)
    assert "no run" in refused("report", tmp_path / "nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk(images, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this place does not allow mounting")
    try:
        assert "free some room" in refused("train", images, "--out", disk, *SHORT)
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


def test_bad_models(images, run, tmp_path):
    path, _ = run
    whole = (path / "model.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "is no model file, or is damaged" in refused("evaluate", tmp_path / "half.safetensors", images)
    from safetensors.numpy import save

    (tmp_path / "foreign.safetensors").write_bytes(save({"x": np.zeros(3)}))
    assert "is no zansa model" in refused("evaluate", tmp_path / "foreign.safetensors", images)
    (tmp_path / "text.onnx").write_text("hello")
    assert "is no ONNX file" in refused("predict", tmp_path / "text.onnx", images)
    assert "there is no file" in refused("predict", tmp_path / "missing.onnx", images)
    (tmp_path / "newer.json").write_text(json.dumps({"format": 99}))
    newer = "has format 99; this version of zansa reads format 1: update zansa"
    assert newer in refused("cost", tmp_path / "newer.json")
    (tmp_path / "text.json").write_text("hello")
    assert "not JSON" in refused("cost", tmp_path / "text.json")


def test_divergence(images, tmp_path):
    message = refused("train", images, "--out", tmp_path, "--rate", "1e30", *SHORT)
    assert "training diverged; try a smaller rate" in message
    assert not list(tmp_path.iterdir())


def test_the_catalogue():
    listed = process("zoo")
    assert "cifar_resnet110" in listed.stdout
    assert len(json.loads(zansa("zoo", "--json").stdout)) >= 15
    assert "stage 3 width 2048" in zansa("zoo", "resnet50").stdout
    found = json.loads(zansa("cost", "resnet50", "--batch", "8", "--json").stdout)
    assert (found["params"], found["batch"]) == (25_557_032, 8)
    assert "multiply-adds" in process("cost", "cifar_resnet20").stdout
    assert "known networks: resnet18" in refused("zoo", "vgg")


def test_help_names_every_verb():
    result = process("--help")
    for verb in ("demo", "train", "resume", "evaluate", "predict", "export", "report", "zoo", "cost"):
        assert verb in result.stdout
    assert zansa().returncode == 2
