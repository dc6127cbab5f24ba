"""Where the built-in sets speak against a default, and where they do not."""

import re

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from zansa.jobs.making.beginnings import with_heads
from zansa.jobs.making.job import Job, doubted, structure, usual_net
from zansa.jobs.request import read_request
from zansa.learn.data import load
from zansa.learn.data.dataset import from_arrays
from zansa.learn.data.splits import split
from zansa.learn.data.synthetic import builtin
from zansa.learn.doubts import detail_doubt, doubts, level_doubt, levelled, turn_doubts, undoubted
from zansa.learn.recipe import Augment, Recipe


def parts(name, count=None):
    data = builtin(0, count, name)
    return data, split(data, 0).train


@pytest.fixture(scope="module")
def signs():
    return parts("synthetic:mirror", 600)


def test_signs_that_point_left_and_right_are_not_mirrored(signs):
    data, train = signs
    (doubt,) = doubts(data, train, Augment(flip_x=True), contrast=0)
    assert (doubt.default, doubt.stays) == ("flip_x", False)
    assert "look like" in doubt.told
    assert "--race none" in doubt.told
    recipe = Recipe(augment=Augment(flip_x=True, flip_y=True, shift=0.1))
    assert undoubted(recipe, [doubt]).augment == Augment(flip_y=True, shift=0.1)


def test_what_was_asked_for_is_told_and_stays(signs):
    data, train = signs
    (doubt,) = doubts(data, train, Augment(flip_x=True), 0, {"flip_x": True})
    assert doubt.stays
    assert doubt.told.startswith("flip_x was asked, although ")
    recipe = Recipe(augment=Augment(flip_x=True))
    assert undoubted(recipe, [doubt]) == recipe


def arrows(*ways, count=60):
    """Blurred arrows on noise; ways in quarter turns to the left."""
    random = np.random.default_rng(0)
    base = np.zeros((24, 24))
    base[11:13, 4:20] = 1
    for i in range(5):
        base[11 - i, 19 - i] = base[12 + i, 19 - i] = 1
    images, labels = [], []
    for way in ways:
        for _ in range(count):
            shown = np.roll(np.rot90(gaussian_filter(base, 0.8), way), random.integers(-2, 3, 2), (0, 1))
            images.append(90 + 100 * shown + random.normal(0, 12, shown.shape))
            labels.append(f"way {way}")
    data = from_arrays(np.clip(images, 0, 255).astype(np.uint8)[..., None], labels)
    return data, np.arange(len(data))


@pytest.mark.parametrize(
    ("ways", "switches", "off"),
    [
        ((0, 1), ["quarter_turns"], ["quarter_turns"]),
        ((0, 2), ["quarter_turns"], ["quarter_turns"]),
        ((0, 1), ["flip_x", "flip_y"], []),  # neither mirrors one way into the other
        ((0, 2), ["flip_x", "flip_y"], ["flip_x"]),
        ((0, 1, 2, 3), ["flip_x", "flip_y", "quarter_turns"], ["flip_x", "flip_y", "quarter_turns"]),
    ],
)
def test_arrows_are_not_turned_into_each_other(ways, switches, off):
    found = turn_doubts(*arrows(*ways), Augment(**dict.fromkeys(switches, True)))
    assert [doubt.default for doubt in found] == off


def test_letters_that_are_each_other_upside_down_are_not_mirrored_both_ways():
    """p mirrored is q and b; only both mirrorings together make d of it."""
    random = np.random.default_rng(0)
    p = np.zeros((24, 24))
    p[6:20, 7:9] = p[6:8, 8:15] = p[12:14, 8:15] = p[7:13, 14:16] = 1
    kinds = {"pp": [p], "dd": [p[::-1, ::-1]], "rest": [p[::-1], p[:, ::-1], 0 * p, 0 * p]}
    shown, labels = [], []
    for label, letters in kinds.items():
        shown += [np.roll(letters[i % len(letters)], random.integers(-2, 3, 2), (0, 1)) for i in range(60)]
        labels += [label] * 60
    images = np.clip(60 + 120 * np.array(shown) + random.normal(0, 12, (180, 24, 24)), 0, 255).astype(np.uint8)
    (doubt,) = turn_doubts(from_arrays(images, labels), np.arange(180), Augment(flip_x=True, flip_y=True))
    assert doubt.default == "flip_y"
    assert "upside-down images" in doubt.told


def test_surfaces_give_no_cause_for_doubt():
    data, train = parts("synthetic", 500)
    assert doubts(data, train, Augment(flip_x=True, flip_y=True, quarter_turns=True), contrast=0) == []


@pytest.mark.parametrize(("name", "doubted"), [("synthetic:dark", True), ("synthetic:light", False)])
def test_the_level_is_kept_where_it_tells_the_classes(name, doubted):
    data, train = parts(name, 300)
    doubt = level_doubt(data, train, data.preprocess.size[0] // 6)
    assert (doubt is not None) == doubted


@pytest.mark.parametrize("verb", [{"verb": "train"}, {"verb": "grow", "budget": "macs=3M"}])
def test_training_and_growth_hear_the_same_doubts(verb):
    data = builtin(0, 300, "synthetic:dark")
    parted = split(data, 0)
    request = read_request({"source": "synthetic:dark", **verb})
    (doubt,) = doubted(request, data, parted)
    assert doubt.default == "contrast"
    assert doubted(request.model_copy(update={"race": "none"}), data, parted) == []
    usual = levelled(usual_net(data), [doubt])
    net, growth, _ = structure(request, data, parted, None, usual)
    assert usual_net(data).stem.contrast > 0
    assert net.stem.contrast == 0
    if growth:
        assert growth.usual == usual


@pytest.mark.parametrize(("seen", "side"), [("fine", 480), ("coarse", 480), ("fine", 160)])
def test_detail_that_is_lost_with_the_size_is_told(tmp_path, monkeypatch, seen, side):
    monkeypatch.setenv("ZANSA_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for i in range(40):
        image = 120 + 260 * gaussian_filter(random.normal(size=(side, side)), 2.5, mode="wrap")  # 30 levels of texture
        if i % 2 and seen == "fine":
            image[random.integers(side), side // 4 : side // 2] -= 45
        image += 30 * (i % 2) * (seen == "coarse")
        (tmp_path / f"set/{'ab'[i % 2]}b").mkdir(parents=True, exist_ok=True)
        shown = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
        shown.save(tmp_path / f"set/{'ab'[i % 2]}b/{i}.png", compress_level=0)
    data = load(tmp_path / "set")
    assert data.images.shape == (40, 160, 160, 1)
    doubt = detail_doubt(data, np.arange(40))
    assert (doubt is not None) == (seen == "fine" and side == 480)
    if doubt:
        assert doubt.stays
        assert doubt.told.endswith("try --size 480x480, which costs about 9 times as much")
        request = read_request({"verb": "train", "source": str(tmp_path / "set")})
        job = Job(request, data, split(data, 0), None, usual_net(data), Recipe(), doubts=(doubt,))
        (advice,) = with_heads(job).doubts
        assert re.search(
            r"names ([\d.]+)\s% of 28 held-out images at that size and ([\d.]+)\s% at this one", advice.told
        )


def test_noise_gives_no_cause_for_doubt():
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (200, 24, 24, 3)).astype(np.uint8)
    data = from_arrays(images, random.choice(["a1", "b1", "c1"], 200))
    turns = Augment(flip_x=True, flip_y=True, quarter_turns=True)
    assert doubts(data, np.arange(200), turns, 4) == []


def test_so_few_images_tell_nothing():
    images = np.random.default_rng(0).integers(0, 255, (12, 24, 24, 1)).astype(np.uint8)
    data = from_arrays(images, ["left", "right"] * 6)
    assert turn_doubts(data, np.arange(12), Augment(flip_x=True)) == []
