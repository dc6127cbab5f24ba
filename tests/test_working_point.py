"""From a training to decisions: calibration and working point are chosen on validation, kept in the files, obeyed."""

import csv
import html
import json
import re

import numpy as np
import pytest

from zansa.arch.use import Calibration, OperatingPoint
from zansa.deploy.runtime import predictor
from zansa.jobs.evaluate import evaluate, lines
from zansa.jobs.making.point import chosen, holds_the_line, requirement
from zansa.jobs.request import EvaluateRequest, TrainRequest, read_request
from zansa.jobs.train import train
from zansa.learn.data.dataset import from_arrays
from zansa.nets.files import load
from zansa.phrases import retold, speaking
from zansa.proof.decide import DECISIONS, decisions, log_odds, logits_of, named
from zansa.proof.figures import f1, figures
from zansa.record import Run
from zansa.report import write

COSTS = {"cost": "miss=500,false_alarm=8,ask=2", "defect_rate": 0.02}


def spots(folder, count=420, seed=0):
    """An .npz of 12 x 12 images of parts, two images each: a defect is a brighter spot, hard to see."""
    rng = np.random.default_rng(seed)
    part = np.repeat(np.arange(count // 2), 2)
    kind = rng.choice(3, count // 2, p=(0.6, 0.25, 0.15))[part]
    images = rng.normal(100, 12, (count, 12, 12, 1))
    images[kind == 1, 3:7, 3:7] += 22
    images[kind == 2, 8:11, 1:11] += 26
    path = folder / "spots.npz"
    names = np.array(["good", "dent", "scratch"])
    np.savez(path, images=images.clip(0, 255).astype(np.uint8), labels=names[kind], groups=part.astype(str))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("point")
    recipe = {"epochs": 6, "device": "cpu", "precision": "float32", "batch": 64}
    request = TrainRequest(source=str(spots(folder)), recipe=recipe, begin="none", val=0.3, test=0.2, **COSTS)
    told = []
    return train(request, folder, "spots", told.append), told


def test_calibration_and_point_are_in_both_files_and_both_answer_alike(trained):
    run, _ = trained
    model, file = load(run.path / "model.safetensors"), predictor(run.path / "model.onnx")
    assert model.calibration == file.calibration
    assert model.operating == file.operating
    assert model.calibration.fitted
    assert model.calibration.after < model.calibration.before
    metrics = run.read_json("metrics.json")
    assert metrics["export"]["largest_difference"] < 1e-5
    rows = {row["image"]: row for row in csv.DictReader((run.path / "predictions.csv").read_text().splitlines())}
    with np.load(run.read_json("data.json")["source"]) as arrays:
        p = file.probabilities(list(arrays["images"][:40]))
    for i, answer in enumerate(p):
        if row := rows.get(f"row {i}"):
            assert answer == pytest.approx([float(row[name]) for name in model.classes], abs=2e-6)
            assert row["predicted"] == model.classes[named(answer[None], model.calibration)[0]]


def test_what_was_asked_is_said_with_its_price(trained):
    run, _ = trained
    point = run.read_json("metrics.json")["point"]
    told = run.read_json("metrics.json")["test"]["inspection"]
    assert told["basis"] == "by cost"
    assert told["rule"].startswith("least expected cost for miss=500, false_alarm=8, ask=2 when 2 % of parts are")
    assert told["ask"] < told["threshold"]
    assert told["unit"] == "part"
    assert told["detection"]["count"] + told["false_alarms"]["count"] == 42  # 84 test images of two a part
    assert told["cost"]["cost"] <= 1000 * 2  # a person for every part
    assert told["cost"]["low"] <= told["cost"]["cost"] <= told["cost"]["high"]
    assert [row["confidence"] for row in point["promises"]] == [None, 0.95]
    assert [row["needed"] for row in point["promises"]] == [49, 149]


def test_evaluate_obeys_the_point_and_looks_at_others(trained):
    run, _ = trained
    ask = {"model": str(run.path), "source": run.read_json("data.json")["source"]}
    own = evaluate(EvaluateRequest(**ask))
    exported = evaluate(EvaluateRequest(**ask | {"model": str(run.path / "model.onnx")}))
    for key in ("accuracy", "inspection"):
        first, second = own[key], exported[key]
        assert (first if key == "accuracy" else first["detection"]) == (
            second if key == "accuracy" else second["detection"]
        )
    strict = evaluate(EvaluateRequest(**ask, point="reject=0.01"))["inspection"]
    assert strict["detection"]["value"] >= own["inspection"]["detection"]["value"]
    assert strict["asked"]["hits"] == 0
    assert strict["rule"] == "given by hand, promises nothing"
    promised = evaluate(EvaluateRequest(**ask, false_alarms_at_most=0.05, on_average=True))["inspection"]
    assert promised["basis"] == "on average"
    again = evaluate(EvaluateRequest(**ask, **COSTS))["inspection"]
    assert again["cost"]["cost"] == pytest.approx(1000 * 0, abs=2000)
    assert decisions([0.5], load(run.path / "model.safetensors").operating) in (0, 1, 2)


def test_an_older_file_has_one_line_and_keeps_its_decisions():
    old = OperatingPoint.model_validate_json('{"good": "good", "threshold": 0.3, "rule": "old"}')
    p = np.linspace(0, 1, 1001)
    away = np.abs(1 - p - 0.3) > 1e-12
    assert (decisions(p, old) == 2 * (1 - p >= 0.3))[away].all()
    for line, least in ((0.0, 2), (1.0, 0)):
        assert decisions([0.5], old.model_copy(update={"threshold": line}))[0] == least
    assert decisions([0.0], old.model_copy(update={"threshold": 1.0}))[0] == 2
    band = old.model_copy(update={"ask": 0.1})
    assert [DECISIONS[k] for k in decisions([0.95, 0.85, 0.5], band)] == ["accept", "ask", "reject"]


def test_the_network_names_what_it_would_without_the_shares():
    f = np.random.default_rng(0).normal(size=(200, 3))
    calibration = Calibration(
        scale=0.7, shift=(0.0, -2.0, -3.0), prior=(0.8, 0.15, 0.05), count=90, before=1.0, after=0.5, fitted=True
    )
    p = np.exp(0.7 * f + calibration.shift)
    p /= p.sum(axis=1, keepdims=True)
    assert (named(p, calibration) == f.argmax(axis=1)).all()
    assert (named(p, None) == p.argmax(axis=1)).all()
    assert np.allclose(log_odds(p[:, 0]), -(logits_of(p)[:, 0] - np.log(1 - p[:, 0])))


def test_f1_and_its_interval():
    told = f1(8, 10, 12)
    assert told["value"] == pytest.approx(2 * 8 / 22)
    assert told["low"] < told["value"] < told["high"]
    assert f1(0, 0, 0) is None
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert figures(p, [0, 1, 1], ["good", "bad"])["per_class"][1]["f1"]["value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recall_at_least": 99}, "for 99 % type --recall-at-least 0.99"),
        ({"recall_at_least": 1.0}, "no number of parts can promise that; type for example --recall-at-least 0.99"),
        (
            {"false_alarms_at_most": 0},
            "no number of parts can promise that; type for example --false",
        ),
        ({"false_alarms_at_most": 2}, "for 2 % type --false-alarms-at-most 0.02"),
        ({"cost": "miss=500,false_alarm=8"}, "type for example --defect-rate 0.02"),
        ({"cost": "miss=500"}, "have no false_alarm; type for example miss=500,false_alarm=8,ask=2"),
        ({"defect_rate": 0.02}, "type for example --cost miss=500,false_alarm=8,ask=2"),
        ({**COSTS, "recall_at_least": 0.9}, "a line by cost and a line by a promise were asked"),
        ({**COSTS, "on_average": True}, "--on-average has no effect on a line by cost"),
        ({**COSTS, "below_learned": True}, "as the share of false alarms allows, and --cost alone gives none: leave"),
        ({"recall_at_least": 0.9, "below_learned": True}, "and --recall-at-least alone gives none"),
        ({**COSTS, "defect_rate": 2}, "for 2 % type --defect-rate 0.02"),
    ],
)
def test_what_cannot_be_asked_is_told_with_what_to_type(given, message):
    with pytest.raises(ValueError, match=message):
        requirement(TrainRequest(source="parts", **given))


def test_what_the_data_cannot_promise_is_told_before_the_training(tmp_path):
    source = str(spots(tmp_path, 240))
    for given, message in (
        ({"recall_at_least": 0.99}, r"cannot promise at most 1 % of mistakes with 95 % confidence: 299 are needed"),
        (
            {"recall_at_least": 0.99, "on_average": True},
            r"99 are needed; add defective parts, or .*--recall-at-l",
        ),
    ):
        with pytest.raises(ValueError, match=message.replace(" %", "\\s%")):
            train(TrainRequest(source=source, **given), tmp_path, "run")
    with np.load(source) as arrays:
        np.savez(
            tmp_path / "kinds.npz",
            images=arrays["images"],
            labels=np.char.add("k", np.char.replace(arrays["labels"], "good", "x")),
        )
    for given in ({"recall_at_least": 0.9}, {"below_learned": True}):
        option = "--" + next(iter(given)).replace("_", "-")
        with pytest.raises(ValueError, match=f"name it with --good, one of: kdent.* leave out {option}"):
            train(TrainRequest(source=str(tmp_path / "kinds.npz"), **given), tmp_path, "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["0.3", "reject=2", "ask=0.1", "reject=0.3,ask=0.5", "reject=1,reject=1", "reject=a"])
def test_a_line_by_hand_is_checked(text):
    assert lines("reject=0.3,ask=0.1") == (0.1, 0.3)
    with pytest.raises(ValueError, match=r"type (for example )?reject=0.3,? ?"):
        lines(text)


def test_an_older_request_keeps_its_share():
    old = read_request({"source": "parts", "max_false_alarms": 0.05, "verb": "train"})
    assert (old.false_alarms_at_most, old.on_average) == (0.05, True)
    usual = read_request({"source": "parts", "max_false_alarms": 0.02, "verb": "train"})
    assert (usual.false_alarms_at_most, usual.on_average) == (None, False)  # nothing was asked, and nothing is refused


def test_the_japanese_page_and_card_are_japanese(trained):
    run, _ = trained
    page = write(run, "ja").read_text()
    for piece in ("style", "details", "dd"):  # files, commands and the network's layers keep their names
        page = re.sub(rf"<{piece}\b.*?</{piece}>", "", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", "\n", page))
    assert not re.findall(r"[A-Za-z][a-z]+,?(?: [a-z]+,?){3,}", text)
    for term in (
        "検出率",
        "過検出率",
        "1枚当たり処理時間",
        "信頼区間",
        "信頼度曲線",
        "千個当たり期待費用",
        "動作点",
        "保留率",
    ):
        assert term in text
    assert "適用範囲と制限" in (run.path / "card.md").read_text()
    assert "Detection" not in text
    write(run, "en")


def test_the_record_says_it(trained):
    run, told = trained
    assert isinstance(run, Run)
    assert json.loads((run.path / "request.json").read_text())["cost"] == COSTS["cost"]
    assert not [event for event in told if event["event"] == "note" and "not calibrated" in event.get("text", "")]


def test_one_good_sample_that_holds_the_line_alone_is_named():
    names = [f"{i}.png" for i in range(40)]
    data = from_arrays(np.zeros((40, 8, 8), np.uint8), ["good"] * 30 + ["dent"] * 10, names=names)
    place = data.classes.index("good")
    wrong = np.linspace(0.02, 0.2, 40)
    wrong[30:] = np.linspace(0.7, 0.9, 10)
    for score, told in ((0.2, ""), (0.95, "7.png")):
        wrong[7] = score
        p = np.empty((40, 2))
        p[:, place], p[:, 1 - place] = 1 - wrong, wrong
        choice, p = chosen(TrainRequest(source="x"), "good", data, np.arange(40), p, "none")
        text = holds_the_line(TrainRequest(source="x"), choice, data, np.arange(40), p)
        assert bool(text) == bool(told)
    assert "holds the line: 7.png, which the network takes for dent; without it 10 of 10 defective" in text
    with speaking("ja"):
        assert "不良品 10 個中 10 個" in retold(text)
