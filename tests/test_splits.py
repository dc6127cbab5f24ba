"""Splits: nothing in two parts, groups and copies whole, classes everywhere, and clear refusals."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zansa.learn.data import Parts, contradictions, from_arrays, leaks, split

PARTS = ("train", "val", "test")


def dataset(labels, groups=None, given=None, copies=None):
    """One pixel per image; `copies` says which images are equal."""
    levels = np.arange(len(labels)) if copies is None else np.asarray(copies)
    images = np.stack([levels // 256, levels % 256], axis=1).astype(np.uint8)[:, None, :, None]
    return from_arrays(images, list(labels), groups=groups, split=given)


def counts(data, parts):
    """(parts, classes)"""
    return np.array([np.bincount(data.labels[getattr(parts, p)], minlength=len(data.classes)) for p in PARTS])


def where(data, parts):
    """The part of each image."""
    found = np.full(len(data), "none", dtype="U5")
    for name in PARTS:
        index = getattr(parts, name)
        assert (found[index] == "none").all()  # in one part only
        assert index.dtype == np.int64
        assert (np.diff(index) > 0).all()
        found[index] = name
    assert "none" not in found
    return found


def test_every_class_is_shared_out_alike():
    data = dataset(["a"] * 200 + ["b"] * 60 + ["c"] * 20)
    for seed in range(5):
        parts = split(data, seed)
        where(data, parts)
        assert counts(data, parts).tolist() == [[140, 42, 14], [30, 9, 3], [30, 9, 3]]


def test_shares_are_as_asked():
    data = dataset(["a", "b"] * 100)
    assert counts(data, split(data, 0, val=0.1, test=0.3)).tolist() == [[60, 60], [10, 10], [30, 30]]


def test_the_seed_decides():
    data = dataset(["a", "b", "c"] * 40, groups=np.arange(120) // 4)
    first, same, other = (where(data, split(data, seed)) for seed in (3, 3, 4))
    assert (first == same).all()
    assert (first != other).any()


@pytest.mark.parametrize(("count", "expected"), [(2, [1, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1])])
def test_rare_classes_reach_test_then_val(count, expected):
    data = dataset(["common"] * 50 + ["rare"] * count)
    for seed in range(5):
        assert counts(data, split(data, seed))[:, 1].tolist() == expected


def test_groups_stay_whole_and_classes_are_still_shared():
    random = np.random.default_rng(0)
    sizes = random.integers(1, 9, 150)
    groups = np.repeat(np.arange(150), sizes)
    labels = np.repeat(random.choice(["a", "b", "c"], 150, p=[0.75, 0.2, 0.05]), sizes)
    data = dataset(labels, groups)
    for seed in range(5):
        parts = split(data, seed)
        found = where(data, parts)
        assert all(len(set(found[groups == g])) == 1 for g in range(150))
        share = counts(data, parts) / counts(data, parts).sum(axis=0)
        assert np.abs(share[:, 0] - [0.7, 0.15, 0.15]).max() < 0.02
        assert np.abs(share[:, 1] - [0.7, 0.15, 0.15]).max() < 0.06
        assert (share > 0.04).all()


def test_every_image_may_stand_anywhere():
    data = dataset(["a", "b"] * 20, groups=np.arange(40) // 2)
    found = np.stack([where(data, split(data, seed)) for seed in range(40)])
    for part in PARTS:
        assert (found == part).any(axis=0).all()


def test_groups_of_several_classes_are_shared_out_rarest_class_first():
    random = np.random.default_rng(0)
    labels = np.where(random.random(960) < 0.04, "rare", np.where(random.random(960) < 0.3, "mid", "common"))
    data = dataset(labels, groups=np.repeat(np.arange(120), 8))
    found = np.stack([counts(data, split(data, seed)) for seed in range(30)])
    share = found / found.sum(axis=1, keepdims=True)
    assert np.abs(share - np.array([[0.7], [0.15], [0.15]])).max() < 0.057  # 0.062 with the largest group first


def test_groups_of_several_classes_leave_every_class_in_train():
    table = [[0, 1, 0, 1], [0, 3, 2, 0], [0, 2, 0, 2], [1, 0, 1, 0], [3, 0, 2, 2], [0, 1, 0, 3], [2, 0, 2, 0]]
    rows = [(f"c{c}", g) for g, row in enumerate(table) for c, count in enumerate(row) for _ in range(count)]
    data = dataset([label for label, _ in rows], groups=[group for _, group in rows])
    for seed in range(60):
        assert (counts(data, split(data, seed))[0] > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 9))
def test_laws(draws, seed):
    count = draws.draw(st.integers(12, 60))
    number = st.integers(0, 2**16)
    labels = [f"c{draws.draw(number) % 3}" for _ in range(count)]
    groups = [draws.draw(number) % 12 for _ in range(count)] if draws.draw(st.booleans()) else None
    copies = [draws.draw(number) % 40 for _ in range(count)]
    data = dataset(labels, groups, copies=copies)
    try:
        parts = split(data, seed)
    except ValueError as error:
        assume("one image" not in str(error) and "one group" not in str(error))
        assume("part is empty" not in str(error) and "one class" not in str(error))
        raise
    found = where(data, parts)
    for column in (groups, copies):
        for value in set(column or ()):
            assert len(set(found[np.equal(column, value)])) == 1
    assert (counts(data, parts)[0] > 0).all()
    assert not leaks(data, parts)


def test_copies_with_other_groups_stay_together():
    copies = list(range(40))
    copies[39] = 0  # the last image of the last group is the first of the first group
    data = dataset(["a", "b"] * 20, groups=np.arange(40) // 4, copies=copies)
    for seed in range(10):
        assert len(set(where(data, split(data, seed))[[0, 1, 2, 3, 36, 37, 38, 39]])) == 1


# --- given splits --------------------------------------------------------------------------------------------------

LABELS = ["a", "b"] * 50


def words(**shares):
    return [word for word, count in shares.items() for _ in range(count)]


def test_a_whole_given_split_is_taken():
    column = words(test=10, train=70, val=20)
    data = dataset(LABELS, given=column)
    for seed in (0, 1):
        assert where(data, split(data, seed)).tolist() == column


@pytest.mark.parametrize(("part", "drawn"), [("test", "val"), ("val", "test")])
def test_the_missing_part_is_drawn_from_train(part, drawn):
    column = np.array(words(**{part: 20, "train": 80}))
    data = dataset(LABELS, given=column)
    found = where(data, split(data, 0, val=0.25, test=0.25))
    assert ((found == part) == (column == part)).all()
    assert (found[column == "train"] == drawn).sum() == 20
    assert (found != where(data, split(data, 1, val=0.25, test=0.25))).any()


def test_only_train_is_as_if_nothing_were_given():
    data, plain = dataset(LABELS, given=["train"] * 100), dataset(LABELS)
    assert (where(data, split(data, 5)) == where(plain, split(plain, 5))).all()


def test_groups_stay_whole_when_val_is_drawn():
    groups = np.arange(100) // 5
    data = dataset(LABELS, groups, given=words(train=80, test=20))
    found = where(data, split(data, 0))
    assert all(len(set(found[groups == g])) == 1 for g in range(20))


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dataset(["a"] * 9), r"one class only \(a\); at least two"),
        (dataset(["a"] * 9 + ["b"]), "class b has one image; at least two are needed"),
        (dataset(["a", "b"] * 9, groups=[0, 1] * 9), "all images of class a, b are one group"),
        (dataset(["a"] * 9 + ["b"] * 3, copies=[*range(9), 9, 9, 9]), "class b are one group, or copies of one image"),
        (dataset(["a", "b"] * 2), "the val part is empty: 4 images"),
        (dataset(LABELS, given=words(test=50, val=50)), "the source gives only val, test images; needed: train"),
        (
            dataset(["a"] * 5 + ["b"] * 4 + ["c"] * 9, given=words(train=9, val=4, test=5)),
            "class c has no image in the train part",
        ),
        (dataset(["a"] * 9 + ["b"] * 9, given=words(train=9, val=4, test=5)), "the train part holds a alone; images"),
    ],
)
def test_refusals(data, message):
    with pytest.raises(ValueError, match=message):
        split(data, 0)


@pytest.mark.parametrize(("val", "test"), [(0, 0.1), (0.1, 0), (0.5, 0.5), (-1, 0.1), (0.1, float("nan"))])
def test_shares_that_cannot_be(val, test):
    with pytest.raises(ValueError, match=r"val=.* were asked; allowed: shares above 0"):
        split(dataset(LABELS), 0, val, test)


# --- audits --------------------------------------------------------------------------------------------------------


def test_leaks_are_found_across_parts_only():
    data = dataset(["a", "b", "a", "b", "a", "b"], copies=[0, 1, 0, 0, 2, 2])
    parts = Parts(np.array([0, 2]), np.array([1, 3]), np.array([4, 5]))
    assert leaks(data, parts) == [("row 0", "row 3")]
    assert leaks(data, Parts(np.array([0, 2, 3]), np.array([1]), np.array([4, 5]))) == []
    three = dataset(["a"] * 4, copies=[7, 7, 7, 7])
    assert leaks(three, Parts(np.array([1, 2]), np.array([0]), np.array([3]))) == [
        ("row 1", "row 0"),
        ("row 1", "row 3"),
    ]


def test_leaks_of_a_given_split():
    copies = list(range(100))
    copies[95] = 3
    data = dataset(LABELS, given=words(train=60, val=20, test=20), copies=copies)
    assert leaks(data, split(data, 0)) == [("row 3", "row 95")]


def test_contradictions():
    data = dataset(["a", "b", "a", "c", "b"], copies=[0, 0, 0, 0, 1])
    assert contradictions(data) == [("row 0", "row 1"), ("row 0", "row 3")]
    assert contradictions(dataset(["a", "b"])) == []


def test_large_sets_split_quickly():
    random = np.random.default_rng(0)
    data = dataset(random.choice(["a", "b"], 40_000), groups=random.integers(0, 9000, 40_000))
    assert len(split(data, 0).train) == pytest.approx(28_000, rel=0.01)


# --- real images ---------------------------------------------------------------------------------------------------

TILES = Path(__file__).parents[2] / "shared/data/magnetic_tile/magnetic_tile.tar.xz"


@pytest.mark.real
@pytest.mark.skipif(not TILES.exists(), reason="the real images are not here")
def test_magnetic_tiles_keep_their_tiles_whole():
    with tarfile.open(TILES) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.extractfile("index.csv"))))
    data = dataset([row["class"] for row in rows], groups=[row["group"] for row in rows])
    for seed in range(3):
        parts = split(data, seed)
        found = where(data, parts)
        assert all(len(set(found[data.groups == g])) == 1 for g in set(data.groups))
        share = counts(data, parts) / counts(data, parts).sum(axis=0)
        assert np.abs(share - np.array([[0.7], [0.15], [0.15]])).max() < 0.12


def test_a_group_in_two_given_parts_is_refused():
    images = np.arange(12, dtype=np.uint8).reshape(12, 1, 1)
    data = from_arrays(
        images, ["a", "b"] * 6, groups=[f"part {i // 2}" for i in range(12)], split=["train"] * 9 + ["test"] * 3
    )
    with pytest.raises(ValueError, match=r"images of group part 4 stand in train and in test.*remove the split column"):
        split(data, seed=0)
