"""Maps add up to the decision on every kind of network; gates add up; a planted defect is found."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command import fill, refused, zansa
from laws import images_for, mobile_net, small_net, trained
from PIL import Image

from zansa.arch.use import OperatingPoint, Preprocess
from zansa.jobs.explain import bank_of, strongest
from zansa.jobs.making.known_features import features_file, read_features, write_features
from zansa.jobs.request import TrainRequest, silent
from zansa.learn.explain.answers import answers, judged, likeness
from zansa.learn.explain.blocks import gates
from zansa.learn.explain.maps import MAPS, class_maps, occlusion_map, stage_map
from zansa.learn.explain.near import Known, neighbours
from zansa.learn.explain.relevance import relevance
from zansa.learn.explain.rows import subject, tensors
from zansa.learn.explain.verdict import _elsewhere, _moved, faithfulness, graded, on_defect, word
from zansa.learn.predict import normalised
from zansa.nets.build import build
from zansa.nets.files import Model, load, save
from zansa.record import Run

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
    assert any(text.endswith("images; --most takes more") for text in record["left_out"])
    for each in record["images"]:
        assert (each["sums"] is not None) == (kind in ("relevance", "class"))
        if each["sums"] is not None:
            whole, places, offsets = each["sums"]
            assert places + offsets == pytest.approx(whole, rel=1e-3, abs=1e-4)
        assert each["missed"] <= 0.01
    refused = sum(each["verdict"]["word"] == "refused" for each in record["images"])
    text = page.read_text()
    assert text.count("data:image/png") == 2 * 3 - refused + sum(len(each["neighbours"]) for each in record["images"])
    if kind == "relevance":
        assert "の判定根拠" in text
        assert text.count("最も似ている既知の") == 3
        for each in record["images"]:
            assert len(each["neighbours"]) >= 5
            assert each["name"].split("/")[-1] not in {one["name"].split("/")[-1] for one in each["neighbours"]}


def test_what_the_network_reads_of_known_samples_is_kept_and_belongs_to_model_and_sample(model, images, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(model.read_bytes())
    bank = bank_of(str(images), load(path), path, silent).known
    assert read_features(path).keys() == set(bank.digests)
    write_features(path, bank.digests[1:], np.full_like(bank.features[1:], 7))  # these are taken as they are
    again = bank_of(str(images), load(path), path, silent).known
    assert (again.features[1:] == 7).all()
    np.testing.assert_allclose(again.features[0], bank.features[0], atol=1e-5)  # and this one is new
    assert read_features(path).keys() == set(bank.digests)
    whole = features_file(path).read_bytes()
    packed, head = io.BytesIO(), io.BytesIO()
    np.savez_compressed(packed, features=bank.features)
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)})
    torn = packed.getvalue()[:300] + b"xxxx" + packed.getvalue()[304:]  # what is packed cannot be unpacked
    huge = whole.replace(whole[whole.index(b"\x93NUMPY") :][: len(head.getvalue())], head.getvalue(), 1)
    for broken in (whole[:-40], whole[:200] + b"x" + whole[201:], b"", torn, huge, head.getvalue()):
        features_file(path).write_bytes(broken)
        assert read_features(path) == {}
    features_file(path).write_bytes(whole)
    changed = load(path)
    save(path, replace(changed, operating=None))
    assert read_features(path) == {}
    fresh = bank_of(str(images), load(path), path, silent).known
    np.testing.assert_allclose(fresh.features, bank.features, atol=1e-5)


def test_neighbours_are_of_other_parts_and_show_each_class_that_is_asked_for():
    angles = np.linspace(0, 1.4, 8)
    groups = np.array(list("aabbcdef"))
    bank = Known(
        np.stack([np.cos(angles), np.sin(angles)], 1), np.array([0, 0, 0, 0, 0, 0, 1, 2]), (), groups, tuple("01234567")
    )
    own = bank.features[0]
    assert neighbours(bank, own, "0", ()) == [2, 4, 5, 6, 7]  # none of part a, one of each other
    few = Known(bank.features, np.array([0] * 6 + [0, 2]), (), np.array(list("0123456x")), bank.digests)
    assert neighbours(few, own, "0", (2, 0, 3)) == [1, 2, 3, 4, 5, 7]


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


# --- the verdict -----------------------------------------------------------------------------------------------------

WHOLE = (slice(0, 24), slice(0, 24))


@dataclass(frozen=True)
class Planted:
    """A run whose network has learned to find a bright square, and its images (N, 24, 24, 1) with their masks."""

    run: Path
    model: Model
    images: np.ndarray
    masks: np.ndarray

    @property
    def defects(self) -> np.ndarray:
        return np.flatnonzero(self.masks.any((1, 2)))

    def tensors(self, rows):
        return normalised(self.images[rows], self.model.preprocess, torch.device("cpu"), torch.contiguous_format)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    random = np.random.default_rng(0)
    images, masks = 100 + 15 * random.standard_normal((120, 24, 24)), np.zeros((120, 24, 24), bool)
    for n in range(60):
        y, x = random.integers(2, 17, 2)
        masks[n, y : y + 5, x : x + 5] = True
    images = (images + 60 * masks).clip(0, 255).astype(np.uint8)[..., None]
    net = small_net("basic")
    net = net.but({"input": net.input.but({"channels": 1, "size": (24, 24)}), "head": net.head.but({"classes": 2})})
    pre = Preprocess(channels=1, size=(24, 24), mean=(100.0,), std=(20.0,))
    torch.manual_seed(0)
    module = build(net)
    x = normalised(images, pre, torch.device("cpu"), torch.contiguous_format)
    steps = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(60):
        steps.zero_grad()
        torch.nn.functional.cross_entropy(module(x), torch.arange(120) // 60).backward()
        steps.step()
    point = OperatingPoint(good="good", threshold=0.5, rule="a line for this test")
    model = Model(net, module.eval(), ("bad", "good"), pre, point)
    folder = tmp_path_factory.mktemp("planted")
    for n, (image, mask) in enumerate(zip(images, masks, strict=True)):
        name = "bad" if mask.any() else "good"
        for place, levels in (("images", image[..., 0]), ("masks", np.uint8(255) * mask)):
            (folder / place / name).mkdir(parents=True, exist_ok=True)
            if mask.any() or place == "images":
                Image.fromarray(levels).save(folder / place / name / f"{n}.png")
    run = Run.create(folder, "run")
    run.write_json("request.json", TrainRequest(source=str(folder / "images"), size=(24, 24)).model_dump(mode="json"))
    save(run.path / "model.safetensors", model)
    return Planted(run.path, model, images, masks)


def test_a_region_that_counts_is_told_from_the_same_region_elsewhere(planted):
    rows = planted.defects[:12]
    found = answers(planted.model, "relevance", planted.tensors(rows))
    assert all(on_defect(m, mask, WHOLE) for m, mask in zip(found.maps, planted.masks[rows], strict=True))
    right, wrong = (
        [
            faithfulness(found.subjects[0], x, m, WHOLE, np.random.default_rng(0))[0]
            for x, m in zip(found.x, maps, strict=True)
        ]
        for maps in (found.maps, np.roll(found.maps, 12, axis=(1, 2)))
    )
    assert np.median(right) < 0.2 < np.median(wrong)
    told = judged(planted.model, found, 0, WHOLE, None, np.array([1, 1, 1, 0, 0]))
    assert (told["grades"]["complete"], told["grades"]["specific"], told["grades"]["neighbours"]) == (2, 1, 0)
    assert told["word"] == "do not rely"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "rely"),
        ({"neighbours": (None,)}, "rely"),
        ({"faithful": (0.02, 0.3)}, "with care"),
        ({"faithful": (0.06, 0.9)}, "do not rely"),
        ({"stable": (0.4,)}, "with care"),
        ({"stable": (0.6,)}, "do not rely"),
        ({"neighbours": (3,)}, "with care"),
        ({"specific": (None,)}, "with care"),
        ({"specific": (0.21,)}, "refused"),
        ({"complete": (0.02,)}, "refused"),
        ({"complete": (None,)}, "with care"),
    ],
)
def test_the_weakest_check_decides(changed, expected):
    good = {"complete": (0.0,), "specific": (0.1,), "faithful": (0.01, 0.9), "stable": (0.1,), "neighbours": (5,)}
    assert word(graded(good | changed)) == expected


def test_a_map_that_knows_no_network_is_refused(planted, monkeypatch):
    monkeypatch.setitem(MAPS, "bright", lambda seen, x: x.sum(1))
    found = answers(planted.model, "bright", planted.tensors(planted.defects[:8]))
    assert on_defect(found.maps[0], planted.masks[planted.defects[0]], WHOLE)
    assert judged(planted.model, found, 0, WHOLE, likeness(found), None)["word"] == "refused"


def test_a_random_region_is_faithful_as_often_as_chance_has_it(planted):
    x = planted.tensors(planted.defects)
    found, random = answers(planted.model, "class", x), np.random.default_rng(0)
    p = [faithfulness(found.subjects[0], x[n % 60], random.random((24, 24)), WHOLE, random)[0] for n in range(80)]
    assert 0 < np.mean(np.array(p) <= 0.05) <= 0.12
    assert 0.4 < np.mean(p) < 0.6


def test_words_are_calibrated_on_validation_images_with_masks(planted, tmp_path):
    images, masks = (planted.run.parent / name for name in ("images", "masks"))
    files = [file for name in ("bad", "good") for file in sorted((images / name).iterdir())[:3]]
    words = ("--data", images, "--masks", masks, "--page", tmp_path / "why.html", "--json")
    result = zansa("explain", planted.run, *files, *words)
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    known = record["calibration"]
    assert known["count"] == sum(rate["count"] for rate in known["words"].values()) == 9
    assert sum(rate["hits"] for rate in known["words"].values()) >= 8
    assert known["chance"] < 0.3
    assert [each["rejected"] for each in record["images"]] == [True] * 3 + [False] * 3
    words = [each["verdict"]["word"] for each in record["images"]]
    assert words[3:] == ["nothing to mark"] * 3
    assert "nothing to mark" not in words[:3]
    assert "the strongest place was the defect" in (tmp_path / "why.html").read_text()
    (tmp_path / "none").mkdir()
    Image.new("L", (24, 24)).save(tmp_path / "none" / "other.png")
    assert "no mask of a validation image" in refused("explain", planted.run, images, "--masks", tmp_path / "none")
    file = planted.run / "model.safetensors"
    assert "is no run" in refused("explain", file, images, "--masks", masks)


def test_a_region_of_a_series_is_compared_with_what_is_elsewhere():
    """On one axis a tenth of all moves would leave most of the region where it is; such a control shows nothing."""
    region, place, random = np.arange(128) // 13 == 4, (slice(0, 128),), np.random.default_rng(0)
    moved = [_moved(region, place, random) for _ in range(300)]
    controls = [_elsewhere(region, place, random) for _ in range(300)]
    assert np.mean([(each & region).sum() > 6 for each in moved]) > 0.05
    assert all(each.sum() == 13 and (each & region).sum() <= 6 for each in controls)
    whole = np.ones(128, bool)  # is nowhere else
    assert _elsewhere(whole, place, random).all()


def test_series_are_explained_place_by_place(tmp_path):
    net = small_net("basic", dims=1)
    net = net.but({"input": net.input.but({"channels": 1}), "head": net.head.but({"classes": 2})})
    pre = Preprocess(channels=1, size=(19,), depth=32)
    point = OperatingPoint(good="good", threshold=0.0, rule="a line for this test")
    save(tmp_path / "m.safetensors", Model(net, trained(build(net)).float(), ("bad", "good"), pre, point))
    rows = np.random.default_rng(0).standard_normal((10, 19)).round(3)
    lines = ["label," + ",".join(f"t{k}" for k in range(19))]
    lines += [f"{('bad', 'good')[n % 2]}," + ",".join(map(str, row)) for n, row in enumerate(rows)]
    (tmp_path / "series.csv").write_text("\n".join(lines))
    page = tmp_path / "why.html"
    table = tmp_path / "series.csv"
    result = zansa("explain", tmp_path / "m.safetensors", table, "--data", table, "--most", 3, "--page", page, "--json")
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert len(record["images"]) == 3
    for each in record["images"]:
        assert each["strongest"] is None or 1 <= each["strongest"][0] <= 19
        assert each["name"] not in {one["name"] for one in each["neighbours"]}
        assert set(each["verdict"]["checks"]) == {"complete", "specific", "faithful", "stable", "neighbours"}
    shown = sum(2 - (each["verdict"]["word"] == "refused") + len(each["neighbours"]) for each in record["images"])
    text = page.read_text()
    assert text.count('aria-label="map of a series"') == shown
    assert "data:image/png" not in text
