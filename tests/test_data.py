"""The door for data: folders, manifests, arrays and public sets, the cache, and every bad input."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import pickle
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import scipy.io
from PIL import Image

from zansa.inputs.images import digest as pixel_digest
from zansa.inputs.images import prepare, read_image
from zansa.learn.data import cache as caching
from zansa.learn.data import from_arrays, load
from zansa.learn.data.dataset import default_size
from zansa.learn.data.kinds import likely_kind
from zansa.learn.data.public import SETS, read_public

RANDOM = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """A cache of its own for every test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ZANSA_CACHE", str(folder))
    return folder


def picture(path, shape=(12, 10), depth=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, np.iinfo(depth).max, shape, depth)).save(path)
    return path


def folder_of(root, **counts):
    """A folder per class with so many gray pictures."""
    for name, count in counts.items():
        for i in range(count):
            picture(root / name / f"{i}.png")
    return root


# --- folders -------------------------------------------------------------------------------------------------------


def test_folder_per_class(tmp_path):
    folder_of(tmp_path, good=3, scratch=2)
    picture(tmp_path / "scratch/deep/er.png")
    data = load(tmp_path)
    assert data.images.shape == (6, 12, 10, 1)
    assert data.images.dtype == np.uint8
    assert data.classes == ("good", "scratch")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.labels.dtype == np.int64
    assert data.names[-1] == "scratch/deep/er.png"
    assert data.files[0] == tmp_path / "good/0.png"
    assert data.kind == "surface"
    assert data.split is None
    assert data.groups is None
    for i, path in enumerate(data.files):
        assert np.array_equal(data.images[i], np.asarray(Image.open(path))[..., None])
        assert data.digests[i] == pixel_digest(read_image(path))


def test_classes_sort_as_people_count(tmp_path):
    data = load(folder_of(tmp_path, type10=1, type9=1, Type1=1))
    assert data.classes == ("Type1", "type9", "type10")


@pytest.mark.parametrize("word", ["val", "valid", "Validation"])
def test_train_val_test_folders(tmp_path, word):
    for part in ("train", word, "test"):
        folder_of(tmp_path / part, a=1, b=2)
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert dict(zip(data.names, data.split.tolist(), strict=True))[f"{word}/b/1.png"] == "val"
    assert sorted(data.split) == ["test"] * 3 + ["train"] * 3 + ["val"] * 3


def test_a_class_may_be_called_test(tmp_path):
    assert load(folder_of(tmp_path, test=2, other=2)).classes == ("other", "test")


def test_what_is_passed_over(tmp_path):
    folder_of(tmp_path, a=2, b=2, empty=0)
    for name in ("a/.hidden.png", "a/notes.txt", "__MACOSX/a/._0.png", ".git/x.png", "a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("no image")
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "loose.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    data = load(tmp_path)
    assert len(data) == 4
    assert data.problems == (
        "1 images in the folder itself stand in no class folder, left out",
        "2 files are no image by the ending and passed over: 1 × .txt, 1 × a pipe or a device",
        "empty: no image in this folder, left out",
    )


def test_file_names_that_are_no_utf8(tmp_path):
    folder_of(tmp_path, a=2, b=2)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/a/caf\xe9.png")
    Path(odd).write_bytes((tmp_path / "a/0.png").read_bytes())
    for _ in range(2):  # decoded, then from the cache
        data = load(tmp_path)
        assert data.names[2] == "a/caf\\xe9.png"
        assert data.files[2].read_bytes() == (tmp_path / "a/0.png").read_bytes()


def test_mixed_sizes_colours_and_depths(tmp_path):
    picture(tmp_path / "a/gray.png", (200, 300), np.uint16)
    picture(tmp_path / "a/deep.png", (210, 290), np.uint16)
    (tmp_path / "b").mkdir()
    levels = RANDOM.integers(0, 65536, (190, 310, 3), np.uint16)
    (tmp_path / "b/colour.ppm").write_bytes(b"P6 310 190 65535\n" + levels.astype(">u2").tobytes())
    data = load(tmp_path)
    assert data.images.shape == (3, 112, 160, 3)
    assert data.preprocess.depth == 16
    for image, path in zip(data.images, data.files, strict=True):
        assert np.array_equal(image, prepare(path, data.preprocess))
    gray = load(tmp_path, size=(30, 40), channels=1, fit="letterbox", kind="symbol")
    assert gray.images.shape == (3, 30, 40, 1)
    assert gray.preprocess.fit == "letterbox"
    assert gray.kind == "symbol"
    assert load(tmp_path, size=20).preprocess.size == (20, 20)


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(64, 48)] * 3, (64, 48)),
        ([(65, 65)], (64, 64)),
        ([(480, 640)], (128, 160)),
        ([(1000, 10)], (160, 16)),
        ([(20, 20), (22, 21)], (32, 32)),
        ([(99, 300), (100, 298), (4000, 4000)], (48, 160)),
        ([(90, 100)], (80, 96)),
    ],
)
def test_default_size(shapes, size):
    assert default_size(shapes) == size


@pytest.mark.parametrize(
    ("classes", "channels", "kind"),
    [
        (("0", "1"), 3, "symbol"),
        (("good", "x"), 3, "surface"),
        (("Type_Scratch", "y2"), 3, "surface"),
        (("cat", "dog"), 1, "surface"),
        (("cat", "goodness"), 3, "natural"),
        (("P", "F"), 1, "surface"),
        (("良", "否"), 1, "surface"),
        (("A", "B"), 1, "symbol"),
        (("良", "山", "川"), 1, "symbol"),
        (("キズ", "打痕"), 3, "surface"),
        (("open", "closed"), 3, "natural"),
    ],
)
def test_the_kind_is_guessed_and_told_with_its_reason(classes, channels, kind):
    found = likely_kind(classes, channels)
    assert found.name == kind
    assert "--kind " in found.reason
    images = np.zeros((4, 8, 8, channels), np.uint8)
    images[..., 0] = 200  # three equal channels are gray
    guessed = from_arrays(images, [0, 0, 1, 1], classes=classes[:2])
    assert guessed.remarks == (likely_kind(guessed.classes, channels).reason,)
    assert from_arrays(images, [0, 0, 1, 1], classes=classes[:2], kind="natural").remarks == ()


# --- manifests -----------------------------------------------------------------------------------------------------

HEADERS = {".csv": ",", ".tsv": "\t"}


@pytest.fixture
def pictures(tmp_path):
    return [picture(tmp_path / f"images/{i}.png") for i in range(4)]


ROWS = [
    ("images/0.png", "ok", "p1", "train"),
    ("images/1.png", "ok", "p1", "train"),
    ("images/2.png", "bad, very", "p2", "valid"),
    ("images/3.png", "bad, very", "p3", "TEST"),
]


def write_manifest(path, rows=ROWS, columns=("path", "label", "group", "split"), delimiter=",", encoding="utf-8"):
    quoted = [delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in [columns, *rows]]
    path.write_bytes("\r\n".join(quoted).encode(encoding))
    return path


def check_manifest(data):
    assert data.classes == ("bad, very", "ok")
    assert data.labels.tolist() == [1, 1, 0, 0]
    assert data.groups.tolist() == ["p1", "p1", "p2", "p3"]
    assert data.split.tolist() == ["train", "train", "val", "test"]
    assert data.names[3] == "images/3.png"


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding"),
    [
        ("m.csv", ",", "utf-8"),
        ("m.CSV", ";", "utf-8-sig"),
        ("m.tsv", "\t", "utf-8-sig"),
        ("m.csv", "\t", "utf-8"),
        ("m.csv", ",", "utf-16"),
        ("m.csv", "\t", "utf-16-le"),
        ("m.tsv", "\t", "utf-16-be"),
    ],
)
def test_text_manifests(tmp_path, pictures, name, delimiter, encoding):
    check_manifest(load(write_manifest(tmp_path / name, delimiter=delimiter, encoding=encoding)))


def test_parquet_manifest(tmp_path, pictures):
    columns = dict(zip(("path", "label", "group", "split"), zip(*ROWS, strict=True), strict=True))
    table = pyarrow.table(columns | {"more": [1, 2, None, 4]})
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    check_manifest(load(tmp_path / "m.parquet"))


def test_parquet_with_numbers_as_labels(tmp_path, pictures):
    table = pyarrow.table({"path": [str(path) for path in pictures], "label": [2, 2, 10, 10]})
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    data = load(tmp_path / "m.parquet")
    assert data.classes == ("2", "10")
    assert data.files[0] == pictures[0]


def test_manifest_with_odd_bytes_other_columns_and_empty_lines(tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    picture(tmp_path / "a.png").rename(odd)
    picture(tmp_path / "b.png")
    (tmp_path / "m.csv").write_bytes(b"note,Label,path\nx,good,caf\xe9.png\n\n,bad,b.png\n")
    data = load(tmp_path / "m.csv")
    assert data.names == ("caf\\xe9.png", "b.png")
    assert data.classes == ("bad", "good")


def rows_with(row, column, value):
    rows = [list(cells) for cells in ROWS]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (ROWS, ("where", "what", "group", "note"), r"no column label \(it has: where, what, group, note\); needed"),
        (
            ROWS,
            ("file", "image", "class", "target"),
            "m.csv has several columns of labels: class, target; call the one",
        ),
        (rows_with(1, 1, " "), None, "m.csv, image 2: the label is empty"),
        (rows_with(2, 2, ""), None, "m.csv, image 3: the group is empty"),
        (rows_with(2, 3, "tset"), None, "image 3: the split is 'tset'; allowed: train, val"),
        (rows_with(0, 0, "images/9.png"), None, r"names 1 of 4 files that are not there: images/9\.png; relative"),
        (rows_with(0, 0, "images"), None, r"names 1 of 4 files that are not there"),
        ([*ROWS, ("a", "b")], None, "row 6: 2 cells; the header has 4"),
        ([], None, "m.csv has no rows"),
    ],
)
def test_bad_manifests(tmp_path, pictures, rows, columns, message):
    path = write_manifest(tmp_path / "m.csv", rows, columns or ("path", "label", "group", "split"))
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", bytes(range(64)), "is no text: it has bytes of zero; save it as 'CSV UTF-8'"),
        ("m.csv", b"", "has no column path"),
        ("m.csv", b'path,label\n"a,b', "is no table of text"),
        ("m.parquet", b"path,label\na,b", "cannot read m.parquet as a Parquet table"),
    ],
)
def test_manifests_that_are_none(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / name)


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", r"nowhere is not there; allowed: a folder with a folder per class, a \.csv"),
        (lambda root: picture(root / "a.png"), "a.png is a file of another kind; allowed"),
        (lambda root: root, "no class folder with images .*no files at all.*needed: one folder per class"),
        (lambda root: picture(root / "a.png").parent, "found: 1 images in no folder"),
        (
            lambda root: folder_of(root / "train", a=0) and picture(root / "train/x.png").parents[1],
            "no folder per class",
        ),
        (
            lambda root: folder_of(folder_of(root, other=1) / "train", a=1).parent,
            "'train' beside other; allowed: either",
        ),
    ],
)
def test_bad_sources(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        load(make(tmp_path))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"size": 0}, "size=0 was asked; allowed"),
        ({"size": (3, 4, 5)}, r"size=\(3, 4, 5\) was asked"),
        ({"fit": "crop"}, "fit='crop' was asked; allowed: letterbox"),
        ({"channels": 4}, "channels=4 was asked; allowed: 1"),
        ({"kind": "odd"}, "kind='odd' was asked; allowed: surface, symbol, natural"),
        ({"root": Path()}, "root and download are for public sets"),
        ({"download": True}, "root and download are for public sets"),
    ],
)
def test_bad_settings(tmp_path, setting, message):
    with pytest.raises(ValueError, match=message):
        load(folder_of(tmp_path, a=2, b=2), **setting)


def cut(path):
    path.write_bytes(path.read_bytes()[:60])


def test_a_few_unreadable_files_are_left_out_and_told(tmp_path):
    folder_of(tmp_path, a=12, b=12)
    cut(tmp_path / "a/3.png")
    (tmp_path / "b/5.png").write_text("<html>not found</html>")
    for _ in range(2):  # decoded, then from the cache
        data = load(tmp_path)
        assert len(data) == len(data.files) == len(data.digests) == 22
        assert len(data.problems) == 2
        assert data.problems[0].startswith("cannot read a/3.png: ")
        assert data.problems[1].startswith("cannot read b/5.png: it is no image")
        assert "a/3.png" not in data.names
        for image, path in zip(data.images, data.files, strict=True):
            assert np.array_equal(image, prepare(path, data.preprocess))


def test_what_is_known_of_the_others_stays_with_them(tmp_path):
    rows = [(f"{i}.png", "ab"[i % 2], f"g{i}", "val" if i == 11 else "train") for i in range(12)]
    for name, *_ in rows:
        picture(tmp_path / name)
    cut(tmp_path / "3.png")
    data = load(write_manifest(tmp_path / "m.csv", rows))
    assert data.groups.tolist() == [row[2] for i, row in enumerate(rows) if i != 3]
    assert [data.classes[label] for label in data.labels] == [row[1] for i, row in enumerate(rows) if i != 3]
    assert data.split.tolist() == ["train"] * 10 + ["val"]
    assert data.files[3] == tmp_path / "4.png"


def test_a_broken_link_is_unreadable(tmp_path):
    folder_of(tmp_path, a=12, b=2)
    (tmp_path / "a/x.png").symlink_to(tmp_path / "gone.png")
    assert load(tmp_path).problems == ("cannot read a/x.png: No such file or directory",)


def test_too_many_unreadable_files_are_refused(tmp_path):
    folder_of(tmp_path, a=9, b=2)
    cut(tmp_path / "a/3.png")
    cut(tmp_path / "a/4.png")
    with pytest.raises(ValueError, match=r"2 of 11 images cannot be read; .* Mend or remove: cannot read a/3\.png"):
        load(tmp_path)


def test_an_unreadable_class_is_refused(tmp_path):
    folder_of(tmp_path, a=30, b=1)
    cut(tmp_path / "b/0.png")
    with pytest.raises(ValueError, match="every image of class b cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("harm", [cut, lambda path: path.write_text("")])
def test_nothing_readable(tmp_path, harm):
    for path in folder_of(tmp_path, a=2, b=2).rglob("*.png"):
        harm(path)
    with pytest.raises(ValueError, match=r"none of the 4 images can be read; the first: cannot read a/0\.png"):
        load(tmp_path)


# --- arrays --------------------------------------------------------------------------------------------------------

LEVELS = RANDOM.integers(0, 256, (6, 8, 9), np.uint8)


def test_arrays():
    data = from_arrays(LEVELS, [1, 1, 0, 0, 10, 10], groups=[5, 5, 6, 6, 7, 7], split=["train"] * 5 + ["valid"])
    assert data.images.base is LEVELS or data.images is LEVELS  # not copied
    assert data.images.shape == (6, 8, 9, 1)
    assert data.classes == ("0", "1", "10")
    assert data.labels.tolist() == [1, 1, 0, 0, 2, 2]
    assert data.names[4] == "row 4"
    assert data.groups.tolist() == ["5", "5", "6", "6", "7", "7"]
    assert data.split.tolist()[-1] == "val"
    assert data.kind == "surface"
    assert len(set(data.digests)) == 6


def test_arrays_with_names_of_classes():
    data = from_arrays(LEVELS[:4], [0, 2, 2, 0], classes=["zebra", "none", "ant"])
    assert data.classes == ("ant", "zebra")
    assert data.labels.tolist() == [1, 0, 0, 1]
    named = from_arrays(LEVELS[:4], np.array(["zebra", "ant", "ant", "zebra"]))
    assert named.classes == data.classes
    assert named.labels.tolist() == data.labels.tolist()


def test_arrays_are_fitted_and_converted():
    data = from_arrays(LEVELS, [0, 1] * 3, size=(16, 18), channels=3)
    assert data.images.shape == (6, 16, 18, 3)
    several = from_arrays([LEVELS[0], LEVELS[1, :5]], [0, 1], size=8)
    assert several.images.shape == (2, 8, 8, 1)
    assert from_arrays(LEVELS.astype(np.uint16), [0, 1] * 3).preprocess.depth == 16


@pytest.mark.parametrize(
    ("images", "labels", "more", "message"),
    [
        (LEVELS / 255, [0] * 6, {}, r"images are float64; allowed: uint8 \(0 to 255\)"),
        (np.zeros((4, 3, 32, 32), np.uint8), [0] * 4, {}, "shape .3, 32, 32.; allowed: .*np.moveaxis"),
        (np.zeros((4, 9), np.uint8), [0] * 4, {}, r"shape \(9,\); allowed"),
        (LEVELS[:0], [], {}, "no images were given"),
        ([LEVELS[0], RANDOM.integers(0, 9, (8, 9, 3), np.uint8)], [0, 1], {}, "are mixed"),
        (LEVELS, [0] * 5, {}, "6 images, but 5 labels"),
        (LEVELS, [0] * 6, {"groups": [1]}, "6 images, but 1 groups"),
        (LEVELS, [0.5] * 6, {}, "labels are float64"),
        (LEVELS, [0, 1, 2] * 2, {"classes": ["a", "b"]}, "labels reach from 0 to 2; 2 classes are named"),
        (LEVELS, ["a", "c"] * 3, {"classes": ["a", "b"]}, "labels hold 'c'; each must name a class"),
        (LEVELS, ["a", " "] * 3, {}, "labels hold ''"),
        (LEVELS, [0, 1] * 3, {"split": ["train"] * 5 + ["later"]}, "row 5: the split is 'later'"),
    ],
)
def test_bad_arrays(images, labels, more, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(images, labels, **more)


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=LEVELS, labels=[0, 1] * 3, classes=["x", "y"], groups=np.arange(6), other=[1])
    data = load(path, size=(8, 9))
    assert data.classes == ("x", "y")
    assert np.array_equal(data.images[..., 0], LEVELS)
    np.savez(path, images=LEVELS)
    with pytest.raises(ValueError, match=r"a.npz has no array labels \(it has: images\); needed"):
        load(path)


def test_npz_with_pickles_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    np.savez(tmp_path / "a.npz", images=LEVELS, labels=np.array([Trap()] * 6, object))
    with pytest.raises(ValueError, match=r"cannot read a\.npz: .*no Python objects"):
        load(tmp_path / "a.npz")
    assert not (tmp_path / "sprung").exists()


def test_normalised_takes_the_levels_of_these_images_only():
    images = RANDOM.integers(0, 256, (300, 8, 9, 3), np.uint8)
    images[..., 2] = 7
    data = from_arrays(images, [0, 1] * 150)
    index = np.arange(5, 250, 2)
    found = data.normalised(index).preprocess
    assert np.allclose(found.mean, images[index].mean(axis=(0, 1, 2)), rtol=1e-12)
    assert np.allclose(found.std[:2], images[index].std(axis=(0, 1, 2))[:2], rtol=1e-12)
    assert found.std[2] == 1  # a constant channel
    assert data.normalised(index[::-1]).preprocess == found
    deep = from_arrays(images.astype(np.uint16) * 257, [0, 1] * 150).normalised(index).preprocess
    assert np.allclose(deep.mean, np.array(found.mean) * 257, rtol=1e-12)


# --- public sets ---------------------------------------------------------------------------------------------------


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, stems, images, labels, compress):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in zip(stems, (images, labels), strict=True):
        data = gzip.compress(idx(array)) if compress else idx(array)
        (folder / f"{stem}{'.gz' * compress}").write_bytes(data)


TEN = np.arange(10, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST/raw"), ("fashion_mnist", "FashionMNIST"), ("mnist", ".")]
)
def test_mnist_and_fashion_mnist(tmp_path, name, folder):
    images = RANDOM.integers(0, 256, (20, 28, 28), np.uint8)
    for part, compress, offset in (("train", True, 0), ("t10k", False, 10)):
        stems = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        write_idx(tmp_path / folder, stems, images[offset : offset + 10], TEN, compress)
    data = load(name, root=tmp_path)
    assert np.array_equal(data.images[..., 0], images)
    assert [data.classes[label] for label in data.labels] == list(SETS[name].classes) * 2
    assert data.split.tolist() == ["train"] * 10 + ["test"] * 10
    assert data.names[10] == "test/0"
    assert data.kind == SETS[name].kind
    assert load(name, root=tmp_path, size=32, kind="surface").kind == "surface"


def test_emnist_stands_upright(tmp_path):
    images = RANDOM.integers(0, 256, (4, 28, 28), np.uint8)
    for part in ("train", "test"):
        stems = [f"emnist-balanced-{part}-{what}-ubyte" for what in ("images-idx3", "labels-idx1")]
        write_idx(tmp_path / "EMNIST/raw", stems, images, np.array([0, 10, 36, 46], np.uint8), True)
    data = load("emnist", root=tmp_path)
    assert [data.classes[label] for label in data.labels[:4]] == ["0", "A", "a", "t"]
    assert np.array_equal(data.images[1, :, :, 0], images[1].T)
    assert len(SETS["emnist"].classes) == 47


def cifar_bytes(images, *labels):
    records = [np.stack(labels, axis=1).astype(np.uint8), images.transpose(0, 3, 1, 2).reshape(len(images), -1)]
    return np.concatenate(records, axis=1).tobytes()


def test_cifar10(tmp_path):
    images = RANDOM.integers(0, 256, (60, 32, 32, 3), np.uint8)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    for i, file in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        data = cifar_bytes(images[10 * i : 10 * i + 10], TEN)
        (tmp_path / f"cifar-10-batches-bin/{file}.bin").write_bytes(data)
    data = load("cifar10", root=tmp_path)
    assert np.array_equal(data.images, images)
    assert [data.classes[label] for label in data.labels[:10]] == list(SETS["cifar10"].classes)
    assert (data.split == "test").sum() == 10
    assert data.kind == "natural"


def test_cifar100_has_fine_labels(tmp_path):
    images = RANDOM.integers(0, 256, (2, 32, 32, 3), np.uint8)
    for file in ("train", "test"):
        (tmp_path / f"{file}.bin").write_bytes(cifar_bytes(images, [4, 1], [0, 99]))
    data = load("cifar100", root=tmp_path)
    assert np.array_equal(data.images[2:], images)
    assert [data.classes[label] for label in data.labels] == ["apple", "worm"] * 2
    assert len(set(SETS["cifar100"].classes)) == 100
    assert list(SETS["cifar100"].classes) == sorted(SETS["cifar100"].classes)


def test_svhn(tmp_path):
    images = RANDOM.integers(0, 256, (10, 32, 32, 3), np.uint8)
    for part in ("train", "test"):
        content = {"X": images.transpose(1, 2, 3, 0), "y": np.arange(1, 11, dtype=np.uint8)[:, None]}
        scipy.io.savemat(tmp_path / f"{part}_32x32.mat", content)
    data = load("svhn", root=tmp_path)
    assert np.array_equal(data.images[:10], images)
    assert [data.classes[label] for label in data.labels[:10]] == list("1234567890")


@pytest.mark.parametrize("source", ["./mnist", Path("mnist")])
def test_a_folder_may_have_the_name_of_a_public_set(tmp_path, monkeypatch, source):
    folder_of(tmp_path / "mnist", a=2, b=2)
    monkeypatch.chdir(tmp_path)
    assert len(load(source)) == 4


def test_public_sets_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="mnist is a public set: say in which folder"):
        load("mnist")
    with pytest.raises(ValueError, match=r"no file train-images-idx3-ubyte in .*or ask for download=True"):
        load("mnist", root=tmp_path)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match="the Python version holds pickles, which are never loaded"):
        load("cifar10", root=tmp_path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (b"\0\0\x08\x03", b""),
        (idx(LEVELS)[:-1], idx(TEN[:6])),
        (idx(LEVELS), idx(TEN)),
        (b"<html>", b"<html>"),
        (idx(LEVELS), idx(TEN[4:])),
    ],
)
def test_damaged_public_files(tmp_path, images, labels):
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(images)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    if labels == idx(TEN[4:]):
        assert len(load("mnist", root=tmp_path)) == 12
    else:
        with pytest.raises(
            ValueError, match="train-images-idx3-ubyte and train-labels-idx1-ubyte is no whole file of mnist"
        ):
            load("mnist", root=tmp_path)


def test_labels_beyond_the_classes(tmp_path):
    for file in ("train", "test"):
        (tmp_path / f"{file}.bin").write_bytes(cifar_bytes(np.zeros((1, 32, 32, 3), np.uint8), [0], [100]))
    with pytest.raises(ValueError, match="files of cifar100 hold the label 100"):
        load("cifar100", root=tmp_path)


@pytest.fixture
def served(tmp_path):
    """A folder, and its address on a server that counts requests."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_download_only_when_asked_and_only_what_is_published(tmp_path, served, capfd):
    folder, address, asked = served
    images = RANDOM.integers(0, 256, (2, 32, 32, 3), np.uint8)
    with tarfile.open(folder / "cifar-100-binary.tar.gz", "w:gz") as archive:
        for name in ("cifar-100-binary/train.bin", "../../cifar-100-binary/test.bin"):
            content = cifar_bytes(images, [0, 0], [3, 5])
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    md5 = hashlib.md5((folder / "cifar-100-binary.tar.gz").read_bytes()).hexdigest()
    url = f"{address}/cifar-100-binary.tar.gz"
    sets = {"cifar100": replace(SETS["cifar100"], addresses=((url, md5),))}
    root = tmp_path / "root"
    with pytest.raises(ValueError, match="ask for download=True"):
        read_public("cifar100", root, sets=sets)
    assert not asked
    content = read_public("cifar100", root, download=True, sets=sets)
    assert np.array_equal(content["images"][:2], images)
    count = len(asked)
    assert count
    (root / "cifar-100-binary/cifar-100-binary.tar.gz").unlink()
    read_public("cifar100", root, download=True, sets=sets)
    assert len(asked) == count  # nothing is fetched twice
    changed = {"cifar100": replace(SETS["cifar100"], addresses=((url, "0" * 32),))}
    with pytest.raises(ValueError, match=f"fetching {url} failed .*; fetch it by hand into"):
        read_public("cifar100", tmp_path / "other", download=True, sets=changed)


# --- cache ---------------------------------------------------------------------------------------------------------


def decoded(source, **settings):
    """How many files `load` decodes, and the data set."""
    seen = []
    data = load(source, progress=lambda done, total: seen.append((done, total)), **settings)
    assert seen == [(i + 1, len(seen)) for i in range(len(seen))]
    return len(seen), data


def test_second_start_maps_what_the_first_decoded(tmp_path, place):
    folder_of(tmp_path, a=3, b=3)
    first, data = decoded(tmp_path)
    second, again = decoded(tmp_path)
    assert (first, second) == (6, 0)
    assert isinstance(again.images, np.memmap)
    assert not again.images.flags.writeable
    assert np.array_equal(again.images, data.images)
    assert (again.names, again.digests, again.preprocess) == (data.names, data.digests, data.preprocess)
    assert len(list(place.iterdir())) == 2


def test_each_request_has_its_own_entry(tmp_path):
    folder_of(tmp_path, a=2, b=2)
    for settings in ({}, {"fit": "letterbox"}, {"size": 16}, {"size": 16, "fit": "letterbox"}, {"channels": 3}):
        assert decoded(tmp_path, **settings)[0] == 4
    assert decoded(tmp_path, size=(16, 16))[0] == 0  # the same size, said in full


def overwrite(root):
    """Other pixels, and the old size and time."""
    path = root / "a/0.bmp"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "changed": lambda root: picture(root / "a/0.bmp"),
    "changed, times set back": overwrite,
    "added": lambda root: picture(root / "b/9.png"),
    "removed": lambda root: (root / "a/1.png").unlink(),
    "renamed": lambda root: (root / "a/1.png").rename(root / "b/7.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_files_are_noticed_and_the_old_entry_goes(tmp_path, place, change):
    folder_of(tmp_path, a=3, b=3)
    picture(tmp_path / "a/0.bmp")
    load(tmp_path)
    CHANGES[change](tmp_path)
    count, data = decoded(tmp_path)
    assert count == len(data)
    for image, path, digest in zip(data.images, data.files, data.digests, strict=True):
        assert np.array_equal(image, prepare(path, data.preprocess))
        assert digest == pixel_digest(read_image(path))
    assert len(list(place.iterdir())) == 2


def test_new_labels_need_no_decoding(tmp_path, pictures):
    path = write_manifest(tmp_path / "m.csv")
    load(path)
    write_manifest(path, rows_with(0, 1, "other"))
    count, data = decoded(path)
    assert count == 0
    assert data.classes == ("bad, very", "ok", "other")


def test_two_folders_of_equal_files_are_not_mixed_up(tmp_path):
    for name in ("one", "two"):
        for path in ("a/0.bmp", "b/0.bmp"):
            os.utime(picture(tmp_path / name / path), ns=(0, 0))
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert not np.array_equal(one.images, two.images)
    assert decoded(tmp_path / "one")[0] == 0  # nor does one take the other's place


DAMAGE = {
    "images cut": lambda npy, record: os.truncate(npy, 200),
    "images gone": lambda npy, record: npy.unlink(),
    "no images": lambda npy, record: npy.write_text("nonsense"),
    "record cut": lambda npy, record: os.truncate(record, 30),
    "record empty": lambda npy, record: record.write_text("{}"),
    "killed before the record": lambda npy, record: record.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entries_are_built_anew(tmp_path, place, damage):
    folder_of(tmp_path, a=2, b=2)
    images = np.array(load(tmp_path).images)
    DAMAGE[damage](*sorted(place.iterdir(), reverse=True))
    count, data = decoded(tmp_path)
    assert count == 4
    assert np.array_equal(data.images, images)
    assert decoded(tmp_path)[0] == 0


CHILD = """
import sys, time
from zansa.learn.data import load

def progress(done, total):
    print(done, flush=True)
    if done == int(sys.argv[2]):
        time.sleep(60)

load(sys.argv[1], progress=progress)
"""


def start_child(source, pause_at):
    command = [sys.executable, "-c", CHILD, str(source), str(pause_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_kill_in_the_middle_leaves_no_entry_and_the_next_start_is_right(tmp_path, place):
    folder_of(tmp_path, a=10, b=10)
    with start_child(tmp_path, 12) as child:
        while child.stdout.readline().strip() != "12":
            assert child.poll() is None
        assert [path.suffix for path in place.iterdir()] == [".partial"]
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    (partial,) = place.iterdir()
    count, data = decoded(tmp_path)
    assert count == 20
    for image, path in zip(data.images, data.files, strict=True):
        assert np.array_equal(image, prepare(path, data.preprocess))
    assert partial.exists()  # perhaps another builder's: it had a sign of life a moment ago
    os.utime(partial, (time.time() - 120,) * 2)
    load(tmp_path, size=8)
    assert not partial.exists()
    assert decoded(tmp_path)[0] == 0


def test_two_builders_at_once(tmp_path, place):
    folder_of(tmp_path, a=10, b=10)
    with start_child(tmp_path, 5) as child:
        while child.stdout.readline().strip() != "5":
            assert child.poll() is None
        count, data = decoded(tmp_path)  # in the middle of the other's work
        assert count == 20
        child.kill()
    assert np.array_equal(data.images[3], prepare(data.files[3], data.preprocess))


def test_an_unusable_place_is_told_and_memory_taken(tmp_path, capsys):
    folder_of(tmp_path / "data", a=2, b=2)
    (tmp_path / "file").touch()
    data = load(tmp_path / "data", cache=tmp_path / "file/inside")
    assert "note: no image cache in" in capsys.readouterr().err
    assert not isinstance(data.images, np.memmap)
    assert np.array_equal(data.images[3], prepare(data.files[3], data.preprocess))


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from zansa.learn.data import load
data = load(sys.argv[1], size=64)
print(data.images.shape, int(data.images.astype(int).sum()))
"""


def test_a_full_disk_is_told_and_memory_taken(tmp_path, place):
    folder_of(tmp_path, a=5, b=5)
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "note: no image cache in" in done.stderr
    assert done.stdout.split() == ["(10,", "64,", "64,", "1)", str(load(tmp_path, size=64).images.astype(int).sum())]
    assert not list(place.glob("*.partial"))


def test_an_interrupt_leaves_nothing(tmp_path, place):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(folder_of(tmp_path, a=2, b=2), progress=stop)
    assert not list(place.iterdir())


def test_default_place(monkeypatch, place):
    assert caching.default_folder() == place
    monkeypatch.delenv("ZANSA_CACHE")
    monkeypatch.setenv("HOME", "/somewhere")
    assert caching.default_folder() == Path("/somewhere/.cache/zansa")


# --- real images ---------------------------------------------------------------------------------------------------

TILES = Path(__file__).parents[2] / "shared/data/magnetic_tile/magnetic_tile.tar.xz"


@pytest.mark.real
@pytest.mark.skipif(not TILES.exists(), reason="the real images are not here")
def test_magnetic_tiles(tmp_path):
    with tarfile.open(TILES) as archive:
        archive.extractall(tmp_path, filter="data")
    index = (tmp_path / "index.csv").read_text().replace("file,class,", "path,label,", 1)
    (tmp_path / "index.csv").write_text(index)
    data = load(tmp_path / "index.csv", channels=1)
    assert data.images.shape == (1344, 160, 128, 1)
    assert dict(zip(data.classes, np.bincount(data.labels).tolist(), strict=True)) == {
        "Blowhole": 115,
        "Break": 85,
        "Crack": 57,
        "Fray": 32,
        "Free": 952,
        "Uneven": 103,
    }
    assert len(set(data.groups)) == 201
    assert [problem.partition(" (")[0] for problem in data.problems] == [
        "196 of 1344 images: its proportions were changed more than twofold"
    ]
    assert data.kind == "surface"
    start = time.perf_counter()
    again = load(tmp_path / "index.csv", channels=1)
    assert time.perf_counter() - start < 5
    assert again.digests == data.digests
    for i in range(0, 1344, 50):
        assert np.array_equal(data.images[i], prepare(data.files[i], data.preprocess))
        assert data.digests[i] == pixel_digest(read_image(data.files[i], channels=1))
