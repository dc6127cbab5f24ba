"""The doors of the command line: streams that are closed, files that are not there, settings as people write them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from command import process, refused, zansa
from PIL import Image

from zansa.inputs.files import at_home
from zansa.jobs.evaluate import evaluate
from zansa.jobs.request import EvaluateRequest, TrainRequest
from zansa.jobs.train import train
from zansa.options import as_typed, read_config

STEADY = {"epochs": 1, "precision": "float32", "layout": "channels_first"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    random = np.random.default_rng(0)
    for name in ("OK", "NG"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(random.integers(0, 255, (24, 24)).astype(np.uint8)).save(
                folder / "images" / name / f"{i}.png"
            )
    asked = TrainRequest(source=str(folder / "images"), begin="none", recipe=STEADY)
    return train(asked, folder / "runs", "run")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_in_no_traceback(closed, tmp_path):
    script = f'"{sys.executable}" -m zansa cost resnet18 {closed}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    wrong = subprocess.run(["bash", "-c", script.replace("resnet18", "nothing")], capture_output=True, cwd=tmp_path)
    assert wrong.returncode == 2


def test_predict_says_by_its_exit_code_what_was_not_answered(run, tmp_path):
    good = next((run.path.parent.parent / "images" / "OK").iterdir())
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    assert zansa("predict", run.path, good).returncode == 0
    some = zansa("predict", run.path, good, broken)
    assert some.returncode == 1
    assert "1 of 2 images could not be answered" in some.stderr
    mistyped = zansa("predict", run.path, good, tmp_path / "nothing.png")
    assert mistyped.returncode == 2
    assert f"there is no {tmp_path / 'nothing.png'}" in mistyped.stderr
    assert good.name in mistyped.stdout


def test_names_that_a_terminal_cannot_write_stay_readable(run, tmp_path, monkeypatch):
    good = next((run.path.parent.parent / "images" / "OK").iterdir())
    (tmp_path / "傷.png").write_bytes(good.read_bytes())
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = process("predict", run.path, tmp_path)
    assert (done.returncode, f"{tmp_path}/\\u50b7.png,") == (0, done.stdout.splitlines()[1][: len(str(tmp_path)) + 12])


@pytest.mark.parametrize("verb", [["explain"], ["adapt", "--out", "new.safetensors"]])
def test_a_named_file_that_is_not_there_is_told(run, tmp_path, verb, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = next((run.path.parent.parent / "images" / "OK").iterdir())
    assert "there is no nothing.png; name" in refused(verb[0], run.path, good, "nothing.png", *verb[1:])
    assert list(tmp_path.iterdir()) == []


def test_evaluate_knows_a_class_in_another_spelling(run, tmp_path):
    folder = run.path.parent.parent / "images"
    for name in ("OK", "NG"):
        (tmp_path / name.lower()).symlink_to(folder / name)
    found = evaluate(EvaluateRequest(model=str(run.path), source=str(tmp_path)))
    assert found["count"] == 40


def test_evaluate_tells_what_the_model_has_learned_from(run, tmp_path):
    folder = run.path.parent.parent / "images"
    for i in range(10):
        for name in ("OK", "NG"):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.open(folder / name / f"{i}.png").save(tmp_path / name / f"other{i}.bmp")
    parts = run.read_json("data.json")["parts"]
    learned = {*parts["train"], *parts["val"]} & {f"{name}/{i}.png" for name in ("OK", "NG") for i in range(10)}
    told = []
    evaluate(EvaluateRequest(model=str(run.path), source=str(tmp_path)), told.append)
    (warned,) = (each["text"] for each in told if each["event"] == "warning")
    assert warned.startswith(f"the model was made with {len(learned)} of 20 images (to learn or to decide), so the")


def test_evaluate_leaves_a_data_json_that_belongs_to_another_model(run, tmp_path):
    """The file says by a hash which data it was made with; what lies beside it may be anything."""
    images = run.path.parent.parent / "images"

    def told(file):
        found = []
        evaluate(EvaluateRequest(model=str(file), source=str(images)), found.append)
        return [each["text"] for each in found if each["event"] in ("warning", "note")]

    for name in ("model.safetensors", "model.onnx", "data.json"):
        shutil.copy(run.path / name, tmp_path)
        assert name == "data.json" or not any("made with" in text for text in told(tmp_path / name))
    for name in ("model.safetensors", "model.onnx"):
        assert any("the model was made with" in text for text in told(tmp_path / name))
    (tmp_path / "data.json").write_text(json.dumps(run.read_json("data.json") | {"digest": "of others"}))
    for name in ("model.safetensors", "model.onnx"):
        (text,) = (text for text in told(tmp_path / name) if "made with" in text)
        assert text.startswith(f"the data.json beside {name} belongs to another model, so nobody knows")
    (tmp_path / "data.json").write_text("[1, 2")
    assert not any("made with" in text for text in told(tmp_path / "model.onnx"))


def test_an_unknown_good_class_is_told_once_with_what_to_type(tmp_path):
    random, told = np.random.default_rng(0), []
    np.savez(tmp_path / "set.npz", images=random.integers(0, 255, (40, 24, 24), np.uint8), labels=["ab", "cd"] * 20)
    train(
        TrainRequest(source=str(tmp_path / "set.npz"), begin="none", recipe=STEADY),
        tmp_path / "runs",
        "run",
        told.append,
    )
    assert sum("--good" in event.get("text", "") for event in told) == 1


def test_settings_as_people_write_them(tmp_path):
    file = tmp_path / "zansa.yaml"
    file.write_bytes("﻿size: [64, 96]\naugment: {flip_x: false, rotate: 5}\nmend: [all]\n".encode())
    typed = {name: as_typed(value) for name, value in read_config(file).items()}
    assert typed == {"size": "64x96", "augment": "flip_x=false,rotate=5", "mend": "all"}
    file.write_text("good: NO\nname: 007\nseed:\nkind: ~\n")
    assert read_config(file) == {"good": "NO", "name": "007", "seed": None, "kind": None}
    file.write_text("epochs: 1\nepochs: 2\n")
    assert "sets epochs twice; keep one" in refused("train", tmp_path, "--config", file)


def test_a_home_in_quotes_is_found(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(run.path.parent))
    (tmp_path / "zansa.yaml").write_text("out: ~/elsewhere")
    assert as_typed(read_config(tmp_path / "zansa.yaml")["out"]) == f"{run.path.parent}/elsewhere"
    assert at_home("--out=~/elsewhere") == f"--out={run.path.parent}/elsewhere"
    assert at_home("--cost=~") == "--cost=~"
    good = next((run.path.parent.parent / "images" / "OK").iterdir())
    assert zansa("predict", "~/run", good).returncode == 0


def test_a_folder_that_cannot_hold_runs_is_told_before_anything_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    refused = zansa("train", tmp_path / "no-such-data", "--out", tmp_path / "file" / "runs")
    assert refused.returncode == 2
    assert "is a file, and no folder; choose another --out" in refused.stderr
