"""The rivals: what plain rules reach, in the form of all figures; and the traits they know images by."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from zansa.arch.use import Calibration
from zansa.jobs.making.point import rival_point
from zansa.jobs.request import Pointed
from zansa.learn.data.dataset import from_arrays
from zansa.learn.data.series import from_series
from zansa.learn.data.splits import Parts, folds, split
from zansa.learn.data.synthetic import builtin
from zansa.learn.plain_rules import lead, rivals, rivals_by_folds
from zansa.proof.decide import logits_of
from zansa.proof.figures import figures
from zansa.proof.traits import TRAITS, thumbnails, traits

# --- traits -----------------------------------------------------------------------------------------------------------


def trait(name: str, image: np.ndarray) -> float:
    return float(traits(image[None])[0, TRAITS.index(name)])


def test_levels_are_those_of_numpy():
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 1), dtype=np.uint8)
    assert trait("mean", image) == pytest.approx(image.mean(), rel=1e-5)
    assert trait("sd", image) == pytest.approx(image.std(), rel=1e-5)
    assert trait("darkest", image) == image.min()
    for name, q in (("1 %", 1), ("25 %", 25), ("median", 50), ("75 %", 75), ("99 %", 99)):
        assert trait(name, image) == pytest.approx(np.percentile(image, q, method="nearest"))
    assert trait("step across", image) == pytest.approx(abs(np.diff(image.astype(float), axis=1)).mean(), rel=1e-5)
    assert trait("step down", image) == pytest.approx(abs(np.diff(image.astype(float), axis=0)).mean(), rel=1e-5)


def test_an_even_image_has_a_mean_alone():
    found = traits(np.full((1, 16, 16, 3), 90, np.uint8))[0]
    level = ("mean", "darkest", "1 %", "25 %", "median", "75 %", "99 %", "brightest")
    assert [TRAITS[i] for i in np.flatnonzero(found)] == list(level)
    assert set(found[np.flatnonzero(found)]) == {90}
    assert not thumbnails(np.full((1, 16, 16, 3), 90, np.uint8)).any()


def test_coarse_traits_see_where_it_is_dark():
    image = np.full((32, 32, 1), 100, np.uint8)
    image[:, :16] = 60
    assert (trait("left - right", image), trait("top - bottom", image)) == (-40, 0)
    assert (trait("block range", image), trait("block step across", image), trait("block step down", image)) == (
        40,
        40,
        0,
    )
    ring = np.full((32, 32, 1), 100, np.uint8)
    ring[8:24, 8:24] = 50
    assert trait("middle - border", ring) == -50
    red = np.zeros((8, 8, 3), np.uint8)
    red[0, 0] = (200, 0, 50)
    assert (trait("most colour", red), trait("colour", red)) == (200, 200 / 64)


@pytest.mark.parametrize(
    "shape", [(3, 1, 1, 1), (3, 2, 1, 3), (3, 1, 9, 1), (3, 5, 4, 2), (3, 17, 31, 3), (3, 100, 2), (3, 1, 4)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_shape_has_all_traits(shape, dtype):
    images = (200 * np.random.default_rng(2).random(shape)).astype(dtype)
    found = traits(images)
    assert found.shape == (3, len(TRAITS))
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(traits(images[1:2])[0])
    small = thumbnails(images)
    assert np.linalg.norm(small, axis=1) == pytest.approx(1, abs=1e-4) or small.shape[1] == 1
    with pytest.raises(ValueError, match="none of it 0"):
        traits(np.zeros((3, 0, 4, 1), dtype))


def test_thumbnails_are_block_means():
    image = np.random.default_rng(3).integers(0, 256, (32, 64, 1), dtype=np.uint8)
    small = image[..., 0].reshape(16, 2, 16, 4).mean(axis=(1, 3))
    small = (small - small.mean()).ravel()
    assert thumbnails(image[None])[0] == pytest.approx(small / np.linalg.norm(small), abs=1e-5)
    brighter = (image // 2 + 30).astype(np.uint8)
    assert thumbnails(image[None])[0] @ thumbnails(brighter[None])[0] > 0.999


# --- rivals -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built():
    data = builtin(0, 900)
    parts = split(data, 0)

    def choose(p, labels):
        return rival_point(Pointed(), "good", data.classes, p, labels, None)

    judged = {"validation": parts.val, "test": parts.test}
    return data, parts, {rival.name: rival for rival in rivals(data, parts.train, judged, choose)}


def test_figures_have_the_form_of_all_figures(built):
    data, parts, found = built
    assert list(found) == ["commonest class", "nearest thumbnail", "plain statistics"]
    for rival in found.values():
        for name, index in (("validation", parts.val), ("test", parts.test)):
            told = figures(rival.probabilities[name], data.labels[index], data.classes, rival.operating)
            assert rival.figures[name] == told
        assert rival.figures["validation"]["inspection"]["false_alarms"]["value"] <= 0.02
        assert 0 < rival.seconds < 60


def test_the_commonest_class_is_always_said(built):
    data, parts, found = built
    told = found["commonest class"].figures["test"]
    common = np.bincount(data.labels[parts.train]).argmax()
    assert told["accuracy"]["value"] == (data.labels[parts.test] == common).mean()
    assert told["inspection"]["roc_auc"] == 0.5
    assert told["balanced_accuracy"]["value"] == pytest.approx(1 / len(data.classes))


def test_the_nearest_thumbnail_is_that_of_scikit_learn(built):
    data, parts, found = built
    oracle = KNeighborsClassifier(1).fit(thumbnails(data.images[parts.train]), data.labels[parts.train])
    told = oracle.predict(thumbnails(data.images[parts.test]))
    assert (found["nearest thumbnail"].probabilities["test"].argmax(axis=1) == told).mean() > 0.99


def test_plain_statistics_tell_the_built_in_defects(built):
    """Measured: ROC area 0.96 on the whole built-in set."""
    assert built[2]["plain statistics"].figures["test"]["inspection"]["roc_auc"] > 0.85


def test_a_copy_of_a_rival_is_not_ahead_and_the_truth_is(built):
    data, parts, found = built
    rival = found["plain statistics"]
    same = lead(rival.probabilities["test"], rival.operating, rival, "test", data, parts.test)
    assert (same["difference"], same["p"], same["clear"]) == (0, 1, False)
    perfect = np.eye(len(data.classes))[data.labels[parts.test]]
    other = lead(perfect, rival.operating, found["nearest thumbnail"], "test", data, parts.test)
    assert other["network"] == 1
    assert other["clear"]
    inspection = found["nearest thumbnail"].figures["test"]["inspection"]
    balanced = (inspection["detection"]["value"] + 1 - inspection["false_alarms"]["value"]) / 2
    assert other["value"] == pytest.approx(balanced)
    assert other["difference"] == pytest.approx(1 - balanced)
    behind = lead(
        found["commonest class"].probabilities["test"],
        found["commonest class"].operating,
        rival,
        "test",
        data,
        parts.test,
    )
    assert not behind["clear"]


def test_without_a_good_class_classes_are_compared():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 300)
    images = (rng.integers(0, 60, (300, 12, 12)) + 60 * labels[:, None, None]).astype(np.uint8)
    data = from_arrays(images, [f"c{i}" for i in labels])
    parts = split(data, 0)
    found = rivals(data, parts.train, {"validation": parts.val}, lambda p, y: None, balanced=False)
    assert found[2].figures["validation"]["accuracy"]["value"] == 1
    assert found[2].figures["validation"]["inspection"] is None
    told = lead(found[2].probabilities["validation"], None, found[0], "validation", data, parts.val)
    assert (told["network"], told["value"]) == pytest.approx((1, 1 / 3))
    assert told["clear"]
    # the network is judged by the class that it names, which its shares of the classes do not move
    shift = (0.0, 5.0, 0.0)
    p = np.exp(logits_of(0.9 * np.eye(3)[data.labels[parts.val]] + 1 / 30) + shift)
    p /= p.sum(axis=1, keepdims=True)
    scale = Calibration(scale=1, shift=shift, prior=(0.1, 0.8, 0.1), count=9, fitted=False, before=1, after=1)
    assert lead(p, None, found[0], "validation", data, parts.val)["network"] < 0.5
    assert lead(p, None, found[0], "validation", data, parts.val, scale)["network"] > 0.99


def judged(data):
    index = np.arange(len(data))
    found = rivals(data, index[::2], {"validation": index[1::2]}, lambda p, y: None)
    return [rival.figures["validation"]["accuracy"]["value"] for rival in found]


@pytest.mark.parametrize("channels", [1, 3])
def test_signals_are_known_by_each_channel(channels):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 200)
    signals = rng.normal(size=(200, 40, channels)).astype(np.float32)
    signals[..., 0] += np.where(labels[:, None], 1, -1) * np.linspace(-2, 2, 40)  # falls or rises
    common, *others = judged(from_series(list(signals), [f"c{i}" for i in labels]))
    assert common < 0.7
    assert min(others) > 0.9


def test_sequences_are_known_by_each_letter():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 2, 200)
    words = [
        "".join(rng.choice(list("ACGT"), 60, p=[0.4, 0.1, 0.1, 0.4] if y else [0.1, 0.4, 0.4, 0.1])) for y in labels
    ]
    common, _, statistics = judged(from_series(words, [f"c{i}" for i in labels]))
    assert common < 0.7
    assert statistics > 0.9


def test_by_folds_every_sample_is_judged_by_rules_that_have_not_seen_it():
    data = builtin(0, 300)
    good, made = data.classes.index("good"), folds(data, 3, 0)

    def choose_on(parts: Parts):
        def choose(p, labels):
            return rival_point(Pointed(), "good", data.classes, p, labels, None)

        return choose

    for whole in rivals_by_folds(data, made, choose_on):
        for parts in made:
            shown = {"validation": parts.val, "test": parts.test}
            own = next(each for each in rivals(data, parts.train, shown, choose_on(parts)) if each.name == whole.name)
            mine, theirs = (
                1 - each[:, good] for each in (whole.probabilities["test"][parts.test], own.probabilities["test"])
            )
            np.testing.assert_array_equal(mine >= whole.operating.threshold, theirs >= own.operating.threshold)
        assert whole.figures["test"]["count"] == len(data)
