"""Where the built-in sets speak against a default, and where they do not."""

import numpy as np
import pytest

from zansa.learn.data.dataset import from_arrays
from zansa.learn.data.splits import split
from zansa.learn.data.synthetic import builtin
from zansa.learn.doubts import doubts, level_doubt, mirror_doubt


def parts(name, count=None):
    data = builtin(0, count, name)
    return data, split(data, 0).train


def test_signs_that_point_left_and_right_are_not_mirrored():
    data, train = parts("synthetic:mirror", 800)
    (doubt,) = doubts(data, train, ["flip_x"], contrast=0)
    assert doubt.default == "flip_x"
    assert "look like" in doubt.told
    assert "--race none" in doubt.told


def test_surfaces_give_no_cause_for_doubt():
    data, train = parts("synthetic", 800)
    assert doubts(data, train, ["flip_x", "flip_y"], contrast=0) == []


@pytest.mark.parametrize(("name", "doubted"), [("synthetic:dark", True), ("synthetic:light", False)])
def test_the_level_is_kept_where_it_tells_the_classes(name, doubted):
    data, train = parts(name, 300)
    doubt = level_doubt(data, train, data.preprocess.size[0] // 6)
    assert (doubt is not None) == doubted


def test_noise_gives_no_cause_for_doubt():
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (200, 24, 24, 3)).astype(np.uint8)
    data = from_arrays(images, random.choice(["a1", "b1", "c1"], 200))
    assert mirror_doubt(data, np.arange(200), "flip_x") is None
    assert level_doubt(data, np.arange(200), 4) is None


def test_so_few_images_tell_nothing():
    images = np.random.default_rng(0).integers(0, 255, (12, 24, 24, 1)).astype(np.uint8)
    data = from_arrays(images, ["left", "right"] * 6)
    assert mirror_doubt(data, np.arange(12), "flip_x") is None
