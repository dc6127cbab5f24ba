"""What stands beside a trained network in its run: what it began with, and the plain rules that it must beat."""

import hashlib
import json
import os
import pwd

import numpy as np
import onnxruntime as ort
import pytest

from zansa.beginnings.making import HEADER
from zansa.beginnings.weights import DRAWN
from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.learn.data.cache import default_folder
from zansa.learn.plain_rules import RULES
from zansa.nets.files import read
from zansa.report import write
from zansa.report.cautions import still_improving

STEADY = {"epochs": 8, "precision": "float32", "layout": "channels_first"}


def a_set(path, learnable):
    """Bright and dark noise, as labels say or by lot."""
    random = np.random.default_rng(0)
    labels = np.repeat(["dark", "bright"], 40)
    levels = np.where(labels == "bright", 170, 80) if learnable else np.full(80, 120)
    images = np.clip(random.normal(levels[:, None, None], 12, (80, 24, 24)), 0, 255).astype(np.uint8)
    np.savez(path, images=images, labels=labels)
    return str(path)


def trained(tmp_path, learnable, **asked):
    told = []
    source = a_set(tmp_path / "set.npz", learnable)
    run = train(TrainRequest(source=source, recipe=STEADY, **asked), tmp_path / "runs", "run", told.append)
    return run, [event["text"] for event in told if event["event"] == "warning"]


def test_a_network_that_learned_nothing_is_told_beside_plain_rules(tmp_path):
    run, warnings = trained(tmp_path, learnable=False)
    rivals = run.read_json("metrics.json")["rivals"]
    assert [row["rival"] for row in rivals] == list(RULES)
    assert not any(row["clear"] for row in rivals)
    assert sum("not clearly better than plain rules" in text for text in warnings) == 1
    assert "not clearly better than plain rules" in (run.path / "report.html").read_text()


def test_a_few_images_begin_with_drawn_pictures_and_it_is_written_down(tmp_path):
    run, _ = trained(tmp_path, learnable=True)
    begin = run.read_json("data.json")["begin"]
    assert begin["from"] == "drawn pictures"
    assert begin["told"] in [line.get("text") for line in run.lines("events.jsonl")]
    assert (run.path / "start.safetensors").exists()
    assert "drawn pictures" in (run.path / "report.html").read_text()
    commonest = run.read_json("metrics.json")["rivals"][0]
    assert commonest["network"] > commonest["value"]
    # buyers ask where weights come from: the card, both files, and what begins with them in its turn say it
    made = json.loads(read(DRAWN)[0][HEADER])
    assert (begin["pictures"], begin["seed"]) == (made["pictures"], made["course"]["seed"])
    source, first = str(tmp_path / "set.npz"), run.path / "model.safetensors"
    later = train(TrainRequest(source=source, begin=str(run.path), recipe=STEADY), tmp_path / "runs", "later")
    for each in (run, later):
        card = (each.path / "card.md").read_text()
        told = card[card.index("## Where the weights come from") : card.index("## Data")]
        assert begin["pictures"][:12] in told
        assert begin["sha256"][:12] in told
    assert f"SHA-256 {hashlib.sha256(first.read_bytes()).hexdigest()[:12]}" in told
    assert "these began as | learned from drawn pictures" in told
    header = ort.InferenceSession(later.path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(header["notes"])["weights"]["began"]["begin"] == begin
    assert str(tmp_path) not in header["notes"]


def test_what_begins_can_be_named(tmp_path):
    run, _ = trained(tmp_path, learnable=True, begin="none")
    assert run.read_json("data.json")["begin"] is None
    assert "fresh weights, drawn by seed 0" in (run.path / "card.md").read_text()
    write(run, "ja")
    assert "| 初期の重み | 未学習の重み（シード 0 の乱数） |" in (run.path / "card.md").read_text()
    table = tmp_path / "waves.csv"
    rows = [f"{i % 2},{','.join(str((i * k) % 7) for k in range(1, 13))}" for i in range(40)]
    table.write_text("\n".join(["label," + ",".join(f"v{k}" for k in range(12)), *rows]))
    with pytest.raises(ValueError, match="--begin drawn was asked: no weights from drawn pictures fit"):
        train(TrainRequest(source=str(table), begin="drawn", recipe=STEADY), tmp_path / "runs", "waves")


def test_a_user_without_a_home_has_a_cache(monkeypatch):
    """As in a container whose user has a number and no entry."""
    for name in ("HOME", "ZANSA_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def unknown(number):
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert default_folder().name == f"zansa-{os.getuid()}"


def test_a_training_that_still_improved_is_told():
    falling = list(2.0 * 0.9 ** np.arange(20))
    assert "over the last 4 epochs" in still_improving(falling)
    flat = [*falling, *(falling[-1] + 0.02 * np.random.default_rng(0).standard_normal(40))]
    assert still_improving(flat) == ""
    assert still_improving([*falling, 3.0]) == ""
    assert still_improving([1.0, 0.5]) == ""
