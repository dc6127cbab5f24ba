"""Synthetic surfaces: the same every time, strongly imbalanced, grouped, visible, and no gift to simple methods."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from zansa.learn.data import load, splits
from zansa.learn.data import synthetic as module
from zansa.learn.data.synthetic import CLASSES, DEFECTS, LIGHTS, PICTURES, TEXTURES, builtin, surfaces, write

GOOD = CLASSES.index("good")


@pytest.fixture(scope="module")
def made():
    return surfaces(900, seed=3)


def grouped(values):
    return values[: len(values) // PICTURES * PICTURES].reshape(-1, PICTURES, *values.shape[1:])


def test_shapes_and_types(made):
    assert made.images.shape == (900, 64, 64, 1)
    assert made.images.dtype == np.uint8
    assert made.labels.shape == made.groups.shape == (900,)
    assert made.labels.dtype == np.int64
    assert made.masks.shape == (900, 64, 64)
    assert made.masks.dtype == bool
    assert made.classes == tuple(sorted({"good", *DEFECTS}))


def test_the_seed_gives_the_pictures():
    first, again, other = surfaces(60, seed=1), surfaces(60, seed=1), surfaces(60, seed=2)
    for name in ("images", "labels", "groups", "masks"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.images, other.images)
    assert not np.array_equal(first.labels, other.labels)


def test_classes_are_imbalanced_and_mixed(made):
    shares = np.bincount(made.labels) / 900
    assert shares[GOOD] == pytest.approx(0.7, abs=0.01)
    assert shares[GOOD] > 10 * shares[CLASSES.index("missing")] > 0
    assert np.all(np.bincount(made.labels[:450], minlength=6) > 0)


@pytest.mark.parametrize(("count", "good"), [(54, 0.7), (88, 0.2), (56, 0.5), (300, 0.9)])
def test_counts_are_as_asked(count, good):
    made = surfaces(count, 0, size=16, good=good)
    assert len(made.images) == len(made.labels) == len(made.groups) == len(made.masks) == count
    parts = np.bincount(made.labels[::PICTURES], minlength=len(CLASSES))
    assert parts.min() >= 3


def test_a_group_is_one_part_under_several_lights(made):
    assert len(set(made.groups)) == 300
    labels, masks, images = grouped(made.labels), grouped(made.masks), grouped(made.images)
    assert (labels == labels[:, :1]).all()
    assert (masks == masks[:, :1]).all()
    assert all(len({image.tobytes() for image in group}) == PICTURES for group in images)
    assert (np.ptp(images.mean((2, 3, 4)), axis=1) > 5).mean() > 0.9  # the exposure differs
    assert all("synthetic" in name for name in made.groups)


def test_masks_show_defects_only(made):
    size = made.masks.sum((1, 2))
    assert (size[made.labels == GOOD] == 0).all()
    assert size[made.labels != GOOD].min() >= 12  # the smallest hole has about 2.2 pixels of radius
    assert size.max() < 64 * 64 / 6


def test_holes_are_dark_where_the_mask_is(made):
    for i in np.flatnonzero(made.labels == CLASSES.index("hole")):
        image, mask = made.images[i, :, :, 0], made.masks[i]
        assert image[mask].mean() < image[~mask].mean() - 10


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("name", DEFECTS)
def test_no_light_hides_a_defect(texture, name):
    rng = np.random.default_rng(5)
    part = module._soil(texture(rng, 64), rng, 64)
    spoilt = module._spoil(part, DEFECTS[name](rng, 64))
    for light in LIGHTS:
        clean = module._photograph(np.random.default_rng(9), part, part, light).astype(float)
        picture = module._photograph(np.random.default_rng(9), part, spoilt, light).astype(float)
        # what would be darker than black or brighter than white is lost
        assert np.linalg.norm(picture - clean) > 0.6 * module.VISIBLE * module._deviation(clean)


def test_pictures_are_well_exposed(made):
    means = made.images.mean((1, 2, 3))
    assert 60 < means.min() < 90
    assert 130 < means.max() < 170
    assert (made.images == 255).mean() < 0.005
    assert made.images.std((1, 2, 3)).min() > 3


def test_pixels_alone_do_not_tell(made):
    """Nearest neighbours and a linear model on pixels stay near chance on parts they have not seen."""
    pixels = made.images.reshape(900, -1).astype(np.float64)
    pixels = (pixels - pixels.mean()) / pixels.std()
    bad, learn = made.labels != GOOD, np.arange(900) < 600
    seen, asked = pixels[learn], pixels[~learn]
    distances = (asked**2).sum(1)[:, None] - 2 * asked @ seen.T + (seen**2).sum(1)
    nearest = distances[:, ~bad[learn]].min(1) - distances[:, bad[learn]].min(1)
    weights = np.linalg.solve(seen @ seen.T + 1e3 * np.eye(600), bad[learn] - bad[learn].mean())
    linear = asked @ (seen.T @ weights)
    for score in (nearest, linear):
        assert roc_auc_score(bad[~learn], score) < 0.7


@pytest.mark.parametrize("size", [16, 32, 96])
def test_other_sizes(size):
    made = surfaces(54, 0, size=size)
    assert made.images.shape == (54, size, size, 1)
    assert made.masks[made.labels != GOOD].any((1, 2)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 12}, "54 pictures or more"),
        ({"count": 54, "good": 0.05}, "0.05 of them good"),
        ({"count": 900, "good": 1.0}, "1.0 of them good"),
        ({"count": 900, "size": 8}, "16 or more"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        surfaces(**{"seed": 0, **arguments})


def test_builtin_is_a_data_set():
    dataset = builtin(seed=1, count=300)
    made = surfaces(300, seed=1)
    assert np.array_equal(dataset.images, made.images)
    assert np.array_equal(dataset.labels, made.labels)
    assert dataset.classes == CLASSES
    assert dataset.kind == "surface"
    assert dataset.names[7] == f"synthetic/{CLASSES[made.labels[7]]}/00007.png"
    assert len(set(dataset.digests)) == 300
    parts = splits.split(dataset, seed=0)
    assert not set(dataset.groups[parts.train]) & set(dataset.groups[parts.test])
    assert all(len(set(dataset.labels[part])) == 6 for part in (parts.train, parts.val, parts.test))


def test_files_are_the_same_images(tmp_path):
    manifest = write(tmp_path / "set", seed=1, count=60)
    dataset, expected = load(manifest, cache=tmp_path / "cache"), builtin(seed=1, count=60)
    assert np.array_equal(dataset.images, expected.images)
    assert np.array_equal(dataset.labels, expected.labels)
    assert np.array_equal(dataset.groups, expected.groups)
    assert dataset.classes == expected.classes
    assert all("synthetic" in name for name in dataset.names)
    folders = load(tmp_path / "set", cache=tmp_path / "cache")
    assert np.array_equal(np.bincount(folders.labels), np.bincount(expected.labels))
    with pytest.raises(ValueError, match="not an empty folder"):
        write(tmp_path / "set", count=60)
