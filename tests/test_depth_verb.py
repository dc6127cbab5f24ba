"""`zansa depth` as a user has it: a run is measured, its blocks become fewer or more, and what cannot be is said."""

import json

import numpy as np
import pytest
import torch
from laws import a_block

from zansa.arch.spec import Head, Input, Net, Stage, Stem, Step
from zansa.cli import app
from zansa.jobs.depth import depth
from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.jobs.trained_request import DepthRequest
from zansa.learn.data.dataset import from_arrays
from zansa.learn.data.splits import split
from zansa.learn.recipe import Recipe
from zansa.learn.train import training
from zansa.nets.build import build
from zansa.nets.files import load
from zansa.record import Run

STEADY = {"precision": "float32", "layout": "channels_first"}


def deep(kind="basic", step="plain", blocks=5):
    stage = Stage(width=8, step=Step(kind=step), blocks=(a_block(kind, step, 8),) * blocks)
    preact = kind != "basic"  # of two streams, which end in a sum
    return Net(
        input=Input(channels=1, size=(12, 12)),
        stem=Stem(width=8, stride=2, act=not preact),
        stages=(stage,),
        head=Head(classes=2, act=preact),
    )


def drawn(count=80):
    """Images of two classes: a bright spot at the left or at the right."""
    chance = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = chance.integers(0, 120, (count, 12, 12, 1), dtype=np.uint8)
    images[labels == 1, 3:9, :5] += 100
    images[labels == 0, 3:9, 7:] += 100
    return images, labels


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was trained in two levels."""
    folder = tmp_path_factory.mktemp("depth")
    images, labels = drawn()
    np.savez(folder / "spots.npz", images=images, labels=labels)
    (folder / "net.json").write_text(deep(blocks=6).to_json())
    asked = {"epochs": 3, "levels": 2, **STEADY}
    request = TrainRequest(
        source=str(folder / "spots.npz"), net=str(folder / "net.json"), race="none", kind="natural", recipe=asked
    )
    return train(request, folder / "runs", "spots")


def test_a_training_in_levels_ends_with_the_whole_network(run):
    assert Net.from_dict(run.read_json("spec.json")) == Net.from_dict(run.read_json("fine.json"))
    start = Net.from_dict(run.read_json("start.json"))
    assert (len(start.stages[0].blocks), len(deep(blocks=6).stages[0].blocks)) == (3, 6)
    (edit,) = run.lines("edits.jsonl")
    assert edit["edit"] == {"kind": "regrid", "stage": 0, "at": 0, "count": 3, "blocks": 6, "basis": "constant"}
    assert "3 step(s) from block 0 on became 6" in (run.path / "report.html").read_text()


def test_levels_that_cannot_be_leave_no_folder_behind(run):
    source, asked = run.read_json("request.json")["source"], {"epochs": 1, "levels": 2}
    request = TrainRequest(source=source, net="cifar_resnet8", race="none", kind="natural", recipe=asked)
    with pytest.raises(ValueError, match="levels were asked, and no stage has two plain steps"):
        train(request, run.path.parent, "none")
    assert not (run.path.parent / "none").exists()


def test_a_run_is_measured_and_its_page_tells(run):
    told = []
    record = depth(DepthRequest(model=str(run.path)), told.append)
    page = (run.path / "depth.html").read_text()
    assert json.loads((run.path / "depth.json").read_bytes())["stages"] == json.loads(json.dumps(record["stages"]))
    (stage,) = record["stages"]
    assert stage["verdict"] in ("smooth", "commuting", "neither")
    assert len(stage["blocks"]) == 6
    assert record["told"][0] in page.replace("&#39;", "'")
    assert "<svg" in page
    assert "Left out" not in page


def test_a_shorter_network_is_a_run_like_any_other(run, capsys):
    out = run.path.parent
    with pytest.raises(SystemExit) as end:
        app(["depth", str(run.path), "--halve", "--heal", "1", "--out", str(out), "--name", "half", "--json"])
    assert end.value.code == 0
    record = json.loads(capsys.readouterr().out)
    half = Run.open(record["run"])
    made = load(half.path / "model.safetensors")
    assert len(made.net.stages[0].blocks) == record["made"]["after"]["blocks"] == 3
    lines = half.lines("edits.jsonl")
    assert [line["blocks"] for line in lines][-1] == 3
    assert all({"way", "edit", "changed", "loss", "accuracy"} <= line.keys() for line in lines)
    assert set(record["made"]["curves"]) <= {"delete", "average", "project", "parallel"}
    assert {"test", "validation"} <= half.read_json("metrics.json").keys()
    assert half.read_json("data.json")["parts"] == run.read_json("data.json")["parts"]
    for name in ("model.onnx", "report.html", "card.md", "depth.html"):
        assert (half.path / name).exists()
    assert not (half.path / "checkpoint.pt").exists()


def test_the_last_block_of_a_stage_is_enough_to_be_told(run):
    request = DepthRequest(model=str(run.path), to=1, by="delete", out=str(run.path.parent), name="one")
    record = depth(request)
    assert [stage["verdict"] for stage in record["stages"]] == ["short"]
    assert record["made"]["after"]["blocks"] == 1
    assert "has no two blocks that could be compared" in (run.path.parent / "one" / "depth.html").read_text()
    with pytest.raises(ValueError, match="the network has 1 blocks, one a stage, and none of them can go"):
        depth(request.model_copy(update={"model": record["run"], "name": "none"}))


def test_weights_of_another_author_are_measured_on_labelled_data(run, tmp_path):
    """Colour images: of the data's own normalisation and that of ImageNet the one that loses less is taken."""
    images, labels = drawn()
    np.savez(tmp_path / "spots.npz", images=images.repeat(3, axis=3), labels=labels)
    net = load(run.path / "model.safetensors").net.but({"input": Input(channels=3, size=(12, 12))})
    (tmp_path / "net.json").write_text(net.to_json())
    torch.save(build(net).state_dict(), tmp_path / "foreign.pth")
    asked = {"model": tmp_path / "foreign.pth", "source": tmp_path / "spots.npz", "net": tmp_path / "net.json"}
    told = []
    record = depth(DepthRequest(**{key: str(value) for key, value in asked.items()}, lang="ja"), told.append)
    (note,) = [each["text"] for each in told if "which are taken" in each.get("text", "")]
    assert "the weights are right on" in note
    assert "ImageNet" in note
    page = (tmp_path / "foreign-depth.html").read_text()
    assert record["page"] == str(tmp_path / "foreign-depth.html")
    assert "深さを時間として見る" in page


def test_what_cannot_be_measured_or_made_says_why(run, tmp_path):
    file = run.path / "model.safetensors"
    many = [
        ({"model": str(file)}, "is no run, which would know its data: name labelled data after the model"),
        ({"model": str(run.path), "to": 99}, "99 blocks were asked for; the network has 6, and can keep 1 to 5"),
        ({"model": str(run.path), "net": "resnet18"}, "tells what its weights are of; leave --net out"),
    ]
    torch.save({"conv.weight": torch.zeros(3, 3)}, tmp_path / "foreign.pth")
    many += [({"model": str(tmp_path / "foreign.pth")}, "does not tell what network its weights are of; name it with")]
    for asked, text in many:
        with pytest.raises(ValueError, match=text):
            depth(DepthRequest(**asked))
    for asked, text in (
        ({"by": "cut"}, "--by cut was asked; allowed: delete, average, tie, project, parallel"),
        ({"heal": 2}, "--heal trains what was made; say what"),
        ({"halve": True, "refine": "euler"}, "--refine makes more blocks"),
    ):
        with pytest.raises(ValueError, match=text):
            DepthRequest(model="m", **asked)
    images, _ = drawn(20)
    np.savez(tmp_path / "three.npz", images=images, labels=np.arange(20) % 3)
    with pytest.raises(ValueError, match="knows the classes 0, 1; the data have 0, 1, 2; allowed: the same"):
        depth(DepthRequest(model=str(file), source=str(tmp_path / "three.npz")))


@pytest.mark.parametrize(("step", "memory"), [("plain", "checkpoint"), ("reversible", "reversible")])
def test_a_training_that_keeps_less_goes_on_to_the_same_result(step, memory, tmp_path):
    images, labels = drawn()
    data = from_arrays(images, labels, kind="natural")
    parts = split(data, 0)
    data = data.normalised(parts.train)
    net = deep("preact_basic", step, 4)
    recipe = Recipe(epochs=2, batch=16, dropout=0.1, stochastic_depth=0.2, memory=memory, checkpoint=0.0, **STEADY)

    def finished(module, file, stop=None):
        for event in training(module, data, parts, recipe, file):
            if event["event"] == "step" and event["step"] == stop:
                return None
        return module.state_dict()

    whole = finished(build(net), None)
    finished(build(net), tmp_path / "state.pt", stop=5)
    resumed = finished(build(net), tmp_path / "state.pt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    plain = build(net)
    for _ in training(plain, data, parts, recipe.model_copy(update={"memory": "store"})):
        pass
    assert all(torch.allclose(whole[name], value, rtol=1e-2, atol=1e-3) for name, value in plain.state_dict().items())
