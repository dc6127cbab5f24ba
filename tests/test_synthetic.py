"""Synthetic surfaces: the same every time, strongly imbalanced, grouped, visible, and no gift to simple methods."""

import hashlib

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, gaussian_filter
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score

from zansa.inputs.images import fit_image
from zansa.learn.data import load, splits
from zansa.learn.data.synthetic import NAMES, builtin, scenes, surfaces, write
from zansa.learn.data.synthetic import parts as module
from zansa.learn.data.synthetic.parts import CLASSES, DEFECTS, LIGHTS, PICTURES, TEXTURES
from zansa.learn.data.synthetic.scenes import SCENES, scene
from zansa.nets.build import Contrast

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


# ---- sets that break a rule of thumb -----------------------------------------------------------------------

SHORT = {"mirror": 360, "dark": 240, "light": 240, "hairline": 90}


@pytest.fixture(scope="module")
def drawn():
    return {name: scene(name, 1, count) for name, count in SHORT.items()}


def digest(made):
    content = [made.images.tobytes(), made.labels.tobytes(), made.masks.tobytes(), "|".join(made.groups).encode()]
    return hashlib.sha256(b"".join(content)).hexdigest()


def separation(made, bad, score):
    """The ROC area of a score for the pictures of a class."""
    return roc_auc_score(made.labels == made.classes.index(bad), score)


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [
        ("mirror", 48, 3),
        ("dark", 128, 1),
        ("light", 128, 1),
        ("hairline", 256, 1),
    ],
)
def test_scenes_have_their_size_and_are_grouped(drawn, name, size, channels):
    made, count = drawn[name], SHORT[name]
    assert made.images.shape == (count, size, size, channels)
    assert made.images.dtype == np.uint8
    assert made.masks.shape == (count, size, size)
    assert len(set(made.groups)) == count // SCENES[name].pictures
    labels = {group: set(made.labels[made.groups == group]) for group in set(made.groups)}
    assert all(len(found) == 1 for found in labels.values())
    shares = np.bincount(made.labels, minlength=len(made.classes)) / count
    assert shares == pytest.approx(np.array(SCENES[name].shares), abs=0.02)


@pytest.mark.parametrize("name", SCENES)
def test_the_seed_gives_the_scene(name):
    count = 180 if name == "mirror" else 24
    assert digest(scene(name, 4, count)) == digest(scene(name, 4, count)) != digest(scene(name, 5, count))


@pytest.mark.parametrize("word", sorted({name[:-5] for name in SCENES["mirror"].classes if name.endswith("_left")}))
def test_a_left_sign_mirrored_is_the_right_sign(word):
    left, right = (scenes._signs(np.random.default_rng(7), f"{word}_{side}", 48, 3)[0] for side in ("left", "right"))
    assert np.array_equal(left[:, :, ::-1], right)
    assert not np.array_equal(left, right)


def test_a_mirrored_picture_looks_like_the_other_class(drawn):
    """A linear model that tells left from right tells a mirrored left as a right, as often as it tells a right."""
    made = drawn["mirror"]
    sides = np.array([name.rpartition("_")[2] for name in made.classes])[made.labels]
    kept = np.isin(made.classes, ["bend_left", "bend_right"])[made.labels]
    images, right = made.images[kept].mean(-1), sides[kept] == "right"
    images = images - gaussian_filter(images, (0, 4, 4))
    learn = np.arange(len(images)) < len(images) * 2 // 3
    model = RidgeClassifier(alpha=1e4).fit(images[learn].reshape(learn.sum(), -1), right[learn])
    score = model.decision_function(images[~learn].reshape((~learn).sum(), -1))
    mirrored = model.decision_function(images[~learn][:, :, ::-1].reshape((~learn).sum(), -1))
    assert roc_auc_score(right[~learn], score) > 0.85
    assert roc_auc_score(right[~learn], mirrored) < 0.15


def test_the_level_of_light_tells_dark_cells_only(drawn):
    level = {name: -drawn[name].images.mean((1, 2, 3)) for name in ("dark", "light")}
    assert separation(drawn["dark"], "dark", level["dark"]) > 0.9
    assert 0.35 < separation(drawn["light"], "mark", level["light"]) < 0.65


def normalised(made):
    """What a stem with local contrast normalisation, of the default window, lets through."""
    pixels = torch.from_numpy(made.images).permute(0, 3, 1, 2).float()
    size = pixels.shape[-1]
    return Contrast(size // 6)((pixels - pixels.mean()) / pixels.std())[:, 0].numpy()[:, 4 : size - 4, 4 : size - 4]


def test_local_contrast_hides_dark_cells_and_shows_marks(drawn):
    dark, light = normalised(drawn["dark"]), normalised(drawn["light"])
    for statistic in (-dark.mean((1, 2)), dark.std((1, 2)), -np.quantile(dark, 0.01, axis=(1, 2))):
        assert 0.25 < separation(drawn["dark"], "dark", statistic) < 0.75
    off_bars = gaussian_filter(light, (0, 0.8, 0.8)) - np.median(light, axis=1, keepdims=True)
    lowest = -np.quantile(off_bars, 0.001, axis=(1, 2))
    plain = drawn["light"].images[..., 0].astype(float)
    raw = -np.quantile(gaussian_filter(plain, (0, 0.8, 0.8)) - np.median(plain, 1, keepdims=True), 0.001, axis=(1, 2))
    assert separation(drawn["light"], "mark", lowest) > max(0.7, separation(drawn["light"], "mark", raw) + 0.1)


def test_masks_of_scenes_show_what_is_wrong(drawn):
    for name, bad in (("dark", "dark"), ("light", "mark"), ("hairline", "crack")):
        made = drawn[name]
        covered = made.masks.any((1, 2))
        assert np.array_equal(covered, made.labels == made.classes.index(bad)), name
        partly = np.flatnonzero(covered & ~made.masks.all((1, 2)))
        gaps = [made.images[i][~made.masks[i]].mean() - made.images[i][made.masks[i]].mean() for i in partly]
        assert np.mean(gaps) > 4, name


def test_hairlines_are_thin_and_lost_in_small_images(drawn):
    made = drawn["hairline"]
    cracks = made.masks[made.masks.any((1, 2))]
    thick = np.array([binary_erosion(mask, np.ones((3, 3))).sum() / mask.sum() for mask in cracks])
    assert thick.max() < 0.15  # only where a crack bends is it three pixels wide
    areas = {size: separation(made, "crack", [dark_pixels(image, size) for image in made.images]) for size in (256, 96)}
    assert areas[256] > 0.95
    assert areas[96] < areas[256] - 0.1


def dark_pixels(image, size):
    """How many pixels are far darker than what is around them, off the bars, in the image at this size."""
    small = fit_image(image, (size, size), "stretch")[..., 0].astype(float)
    lines = gaussian_filter(small, 0.8) - gaussian_filter(small, 3)
    lines = lines - np.median(lines, 0)
    return (lines < -6 * np.median(abs(lines))).sum()


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_a_data_set_and_files(tmp_path, name):
    count = 180 if name == "mirror" else 24
    dataset = builtin(2, count, f"synthetic:{name}", size=SCENES[name].size)
    made = scene(name, 2, count)
    assert np.array_equal(dataset.images, made.images)
    assert dataset.classes == made.classes
    assert dataset.names[5] == f"synthetic-{name}/{made.classes[made.labels[5]]}/00005.png"
    parts = splits.split(dataset, seed=0)
    assert not set(dataset.groups[parts.train]) & set(dataset.groups[parts.test])
    manifest = write(tmp_path / "set", seed=2, count=count, name=f"synthetic:{name}")
    read = load(manifest, size=SCENES[name].size, cache=tmp_path / "cache")
    assert np.array_equal(read.images, made.images)
    assert read.kind == dataset.kind  # the guess is what the set is


def test_large_pictures_come_at_the_default_size():
    assert builtin(0, 24, "synthetic:hairline").preprocess.size == (160, 160)


def test_an_unknown_scene_is_refused_with_the_names(tmp_path):
    for ask in (lambda: builtin(name="synthetic:night"), lambda: write(tmp_path / "new", name="synthetic:night")):
        with pytest.raises(ValueError, match="synthetic:mirror, synthetic:dark, synthetic:light, synthetic:hairline"):
            ask()
    assert not (tmp_path / "new").exists()
    assert NAMES[0] == "synthetic"


@pytest.mark.parametrize("name", SCENES)
def test_the_count_that_is_told_is_enough(name):
    with pytest.raises(ValueError, match="pictures or more") as refusal:
        scene(name, 0, 5)
    enough = int(str(refusal.value).split("ask for ")[1].split()[0])
    assert np.bincount(scene(name, 0, enough).labels[:: SCENES[name].pictures]).min() >= 3
