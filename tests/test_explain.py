"""Maps add up to the decision on every kind of network; gates add up; a planted defect is found."""

import json

import numpy as np
import pytest
import torch
from command import fill, refused, zansa
from laws import images_for, mobile_net, small_net, trained

from zansa.arch.use import OperatingPoint, Preprocess
from zansa.jobs.explain import strongest
from zansa.learn.explain.blocks import gates
from zansa.learn.explain.maps import class_maps, occlusion_map, stage_map
from zansa.learn.explain.relevance import relevance
from zansa.learn.explain.rows import subject, tensors
from zansa.nets.build import build
from zansa.nets.files import Model, save

NETS = {
    "plain": small_net("basic", pool="both"),
    "bottleneck": small_net("bottleneck", shortcut="average"),
    "preactivation": small_net("preact_basic", "reversible", join="concat"),
    "merge and run": small_net("basic", "merge_and_run", pool="both"),
    "squeeze and excitation": small_net("se_basic", norm="group"),
    "series": small_net("basic", dims=1, act="gelu"),
    "mobile": mobile_net(),
}


@pytest.fixture(params=NETS, scope="module")
def seen(request):
    module = trained(build(NETS[request.param]))
    return subject(module, (1, 2)), images_for(module.net)


def test_class_maps_and_relevance_add_up(seen):
    subject, x = seen
    logits = subject.network(x).detach()
    torch.testing.assert_close(tensors(subject.network, x)["head.linear"].detach(), logits)
    torch.testing.assert_close(class_maps(subject, x).flatten(2).sum(2) + subject.bias, logits)
    places, biases, whole = relevance(subject, x)
    torch.testing.assert_close(places.flatten(1).sum(1) + biases, whole)
    assert places.abs().flatten(1).sum(1).max() < 100 * whole.abs().max()
    assert stage_map(subject, x).shape[0] == len(x)


def test_gates_add_up_to_the_log_odds(seen):
    subject, x = seen
    added, missing = gates(subject, x)
    assert added.shape == (len(x), sum(len(stage.blocks) for stage in subject.network.net.stages))
    assert (abs(added).sum(1) > 0).all()
    assert missing.max() <= 0.01


def test_occlusion_asks_the_network_alone():
    module = trained(build(NETS["plain"])).float()
    x = images_for(module.net).float()
    assert occlusion_map(subject(module, (1, 2)), x).shape == (3, 9, 11)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("explained"), 60)


@pytest.fixture(scope="module")
def model(images, tmp_path_factory):
    """A network that has not learned, with the classes of the images: what is explained is whatever it answers."""
    net = small_net("basic")
    classes = tuple(sorted(folder.name for folder in images.iterdir()))
    head = {"classes": len(classes)}
    net = net.but({"input": net.input.but({"channels": 1, "size": (24, 24)}), "head": net.head.but(head)})
    pre = Preprocess(channels=1, size=(24, 24), mean=(120.0,), std=(40.0,))
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    point = OperatingPoint(good="good", threshold=0.5, rule="a line for this test")
    save(path, Model(net, trained(build(net)).float(), classes, pre, point))
    return path


@pytest.mark.parametrize("kind", ["relevance", "stage", "class", "occlusion"])
def test_answers_are_explained_on_a_page(model, images, tmp_path, kind):
    page = tmp_path / "why.html"
    words = ("--data", images, "--lang", "ja") if kind == "relevance" else ()
    result = zansa("explain", model, images / "good", "--map", kind, "--most", 3, "--page", page, "--json", *words)
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert len(record["images"]) == 3
    assert any("were not explained; --most takes more" in text for text in record["left_out"])
    for each in record["images"]:
        whole, places, offsets = each["sums"]
        assert places + offsets == pytest.approx(whole, rel=1e-3, abs=1e-4)
        assert each["missed"] <= 0.01
    text = page.read_text()
    assert text.count("data:image/png") == 2 * 3 + sum(len(each["neighbours"]) for each in record["images"])
    if kind == "relevance":
        assert "の判定根拠" in text
        for each in record["images"]:
            assert len(each["neighbours"]) >= 5
            assert each["name"].split("/")[-1] not in {one["name"].split("/")[-1] for one in each["neighbours"]}


def test_the_strongest_place_is_told_in_pixels_of_the_image():
    values = np.zeros((24, 24))
    values[12, 6] = 1.0  # an image of 96 x 48 lies in the middle half of the columns
    letterbox = Preprocess(channels=1, size=(24, 24), fit="letterbox")
    assert strongest(values, (96, 48), letterbox) == (2, 50)
    assert strongest(values, (96, 48), Preprocess(channels=1, size=(24, 24), fit="stretch")) == (13, 50)
    assert strongest(values / 20, (96, 48), letterbox) is None


def test_what_cannot_be_explained_says_why(model, images, tmp_path):
    (tmp_path / "empty").mkdir()
    page = ("--page", tmp_path / "why.html")
    assert "no images in" in refused("explain", model, tmp_path / "empty", *page)
    assert "relevance" in refused("explain", model, images, "--map", "gradient", *page)
    assert "name the run" in refused("explain", tmp_path / "m.onnx", images, *page)
    assert not (tmp_path / "why.html").exists()
