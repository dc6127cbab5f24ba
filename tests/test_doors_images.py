"""Images as people really have them: every ambiguity is asked back or told, and what is lost or left out is named."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from base64 import b85decode
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tifffile
import torch
from PIL import Image

from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem
from zansa.arch.use import OperatingPoint, Preprocess
from zansa.deploy import runtime
from zansa.deploy.export import export
from zansa.inputs.decode import CLEAR
from zansa.inputs.files import image_files, survey, survey_all
from zansa.inputs.images import DISTORTED, ENLARGED, digest, image_header, read_image, read_told
from zansa.jobs.door import copied
from zansa.learn.data import cache as caching
from zansa.learn.data import contradictions, from_arrays, leaks, load, split
from zansa.learn.data.folders import list_folder
from zansa.learn.data.foreign import refuse_boxes
from zansa.learn.data.sources import part_of
from zansa.learn.data.spelling import known_as, one_spelling
from zansa.nets.build import build
from zansa.nets.files import Model

RANDOM = np.random.default_rng(5)
RGB16 = RANDOM.integers(0, 65536, (9, 7, 3), np.uint16)


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """A cache of its own for every test."""
    monkeypatch.setenv("ZANSA_CACHE", str(tmp_path_factory.mktemp("cache")))


def noise(path, shape=(12, 10), kind=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, np.iinfo(kind).max, shape, kind)).save(path)
    return path


def mk(root, *classes, count=4):
    """Some noise pictures in each folder."""
    for name in classes:
        for i in range(count):
            noise(root / name / f"{i}.png")
    return root


def mk_masks(root, name, count=4):
    """Masks, black and white, in a folder."""
    (root / name).mkdir(parents=True)
    for i in range(count):
        Image.fromarray(255 * np.eye(12, dtype=np.uint8)).save(root / name / f"{i}.png")


def png16(levels, **chunks):
    """A 16-bit PNG of 1 to 4 channels, each row with another filter; further chunks by their names."""
    height, width, channels = levels.shape
    size = 2 * channels
    rows = levels.astype(">u2").tobytes()
    rows = np.frombuffer(rows, np.uint8).reshape(height, width * size).astype(int)
    packed = b""
    for y, row in enumerate(rows):
        left = np.concatenate([np.zeros(size, int), row[:-size]])
        above = rows[y - 1] if y else np.zeros_like(row)
        filtered = (row, row - left, row - above, row - (left + above) // 2)[y % 4]
        packed += bytes([y % 4]) + (filtered % 256).astype(np.uint8).tobytes()
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    parts += [(name.encode(), data) for name, data in chunks.items()]
    parts += [(b"IDAT", zlib.compress(packed)), (b"IEND", b"")]
    written = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def tiff(levels, **options):
    stream = BytesIO()
    tifffile.imwrite(stream, levels, **options)
    return stream.getvalue()


def check(path, expected, lost=""):
    levels, told = read_told(path)
    assert levels.dtype == expected.dtype
    assert np.array_equal(levels, expected)
    assert told == lost
    assert image_header(path) == (*expected.shape, expected.dtype.itemsize * 8)


# --- 1. structures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"),
        ("training_set", "train"),
        ("train_images", "train"),
        ("Train-Data", "train"),
        ("trainset", "train"),
        ("train2017", "train"),
        ("images_val", "val"),
        ("1_test", "test"),
        ("valid", "val"),
        ("学習用データ", "train"),
        ("テスト", "test"),
        ("train_labels", "train"),
        ("trains", None),
        ("test_piece", None),
        ("training ship", None),
        ("airplane", None),
    ],
)
def test_folders_that_are_called_after_a_part(name, part):
    assert part_of(name) == part


@pytest.mark.parametrize(
    "names",
    [
        ("training_set", "test_set"),
        ("train_images", "test_images"),
        ("学習", "テスト"),
        ("学習用", "評価用"),
        ("Trainingsdaten", "Testdaten"),
        ("训练集", "测试集"),
        ("학습 데이터", "시험 데이터"),
    ],
)
def test_parts_by_the_names_that_people_give_them(tmp_path, names):
    for name in names:
        mk(tmp_path / name, "cats", "dogs")
    data = load(tmp_path)
    assert data.classes == ("cats", "dogs")
    assert sorted(set(data.split)) == ["test", "train"]


@pytest.mark.parametrize("form", ["{}ing_set", "seg_{}", "{}"])
def test_parts_that_repeat_their_name(tmp_path, form):
    test = form.format("test")
    for name in (form.format("train"), test):
        mk(tmp_path / name / name, "cats", "dogs")
    data = load(tmp_path)
    assert data.classes == ("cats", "dogs")
    first = data.names.index(f"{test}/{test}/cats/0.png")
    assert data.split[first] == "test"
    assert sorted(set(data.split)) == ["test", "train"]
    assert data.files[first].exists()


def test_parts_with_a_folder_of_images_between(tmp_path):
    for part in ("train", "test"):
        mk(tmp_path / part / "images", "cats", "dogs")
    assert load(tmp_path).classes == ("cats", "dogs")


@pytest.mark.parametrize("wraps", ["Images", "Final_Training/Images", "signs/signs/data"])
def test_a_folder_that_only_wraps_the_classes_is_opened(tmp_path, wraps):
    data = load(mk(tmp_path / "signs" / wraps, "00000", "00001").parents[0])
    assert data.classes == ("00000", "00001")
    told = f"the classes were looked for in the folder {wraps.split('/')[-1]}, which holds all images"
    assert data.remarks[1] == told
    with pytest.raises(ValueError, match=r"one class only \(scratch\)"):  # a word that may be a class's stays one
        split(load(mk(tmp_path / "other", "scratch/left", "scratch/right")), 0)


def test_a_part_whose_images_are_not_sorted_is_left_out_and_told(tmp_path):
    mk(tmp_path / "Final_Training" / "Images", "a", "b")
    data = load(mk(tmp_path, "Final_Test/Images"))
    assert (data.classes, {*data.split}) == (("a", "b"), {"train"})
    assert data.problems == ("4 images in Final_Test/Images stand in no class folder, left out",)


def test_boxes_beside_images_of_classes_are_told(tmp_path):
    mk(tmp_path, "good", "bad")
    for image in [*tmp_path.rglob("*.png")]:
        image.with_suffix(".txt").write_text("0 0.5 0.5 0.1 0.1\n")
    boxes = "images have a .txt file of their name, as boxes or outlines for detection are kept: these are not read"
    assert boxes in " ".join(load(tmp_path).problems)


def test_images_of_one_folder_whose_names_begin_with_the_class(tmp_path):
    for i in range(3):
        noise(tmp_path / f"rolled-in_scale_{i}.png")
        noise(tmp_path / f"OK-{i:04}.png")
    with pytest.raises(ValueError, match=r"one of 2 words \((OK 3|rolled-in_scale 3), .*: where these are the classes"):
        load(tmp_path)
    noise(tmp_path / "overview.png")
    with pytest.raises(ValueError, match=r"and a column label$"):
        load(tmp_path)


def test_copies_of_folders_are_told(tmp_path):
    data = load(mk(tmp_path, "a", "a (1)", "b", "b - Copy", "c (2)"))
    assert [text[:60] for text in data.problems] == [
        "the folder a (1) was taken for a class of its own, and looks like a copy of a"[:60],
        "the folder b - Copy was taken for a class of its own, and looks like a copy of b"[:60],
    ]


def test_a_class_called_train(tmp_path):
    data = load(mk(tmp_path, "train", "airplane", "ship"))
    assert data.classes == ("airplane", "ship", "train")
    assert data.split is None
    assert data.problems == ("the folder train was taken for a class: it holds images and no folders of classes",)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ["train/a", "train/b", "ship"],
            r"folder 'train' beside ship; allowed: .*If train is a class, give it another",
        ),
        (["train", "test"], "hold no folder per class. Where train and test are classes, give them other names"),
        (["val/a", "val/b", "test/a", "test/b"], "holds test, val and no train folder"),
        (["train_cats", "train_dogs", "test_cats", "test_dogs"], r"name a part and a class each; needed: .*train/cats"),
        (["cam1/ok", "cam1/ng", "cam2/ok", "cam2/ng"], "cam1, cam2 of .* hold the folders ng, ok, so what is a"),
        (
            ["lot1/ok", "lot1/ng", "lot2/ok"],
            "lot1, lot2 of .* hold the folders ng, ok, so what is a",
        ),
        (["05-01/OK", "05-02/NG", "05-03/ok"], "hold the folders NG, ok, so what is a class is not clear"),
        (
            ["cats/train", "cats/test", "dogs/train", "dogs/test"],
            "hold the parts test, train. Name the one that .*; where cats, dogs are the classes, needed: the parts",
        ),
        (["images", "photos"], "images, photos of .* are no classes by their names; needed: one folder per class"),
        (["IMAGES", "Validation_Images"], "IMAGES, Validation_Images of .* are no classes by their names; needed"),
    ],
)
def test_structures_that_can_be_read_in_two_ways_are_asked_back(tmp_path, folders, message):
    with pytest.raises(ValueError, match=message):
        load(mk(tmp_path, *folders))


def test_folders_inside_classes_are_told_where_they_may_be_the_classes(tmp_path):
    data = load(mk(tmp_path, "Jan/cats", "Jan/dogs", "Feb/cats", "Feb/dogs"))
    assert data.classes == ("Feb", "Jan")
    assert data.problems[0].startswith("the classes are Feb, Jan, and they hold the folders cats, dogs: if cats, dogs")
    assert not load(mk(tmp_path / "other", "cats/1", "cats/2", "dogs/2", "dogs/3")).problems
    assert not load(mk(tmp_path / "years", "ok/2023", "ok/2024", "ng/2023", "ng/2024")).problems


def test_folders_that_are_hardly_classes_are_told(tmp_path):
    mk_masks(tmp_path, "masks")
    data = load(mk(tmp_path, "ok", "ng", "unlabeled", "New folder (2)"))
    assert [text.partition(" was taken for a class, and is none by its name")[0] for text in data.problems] == [
        "4 images are masks of others by their names or folders, and were left out (masks/0.png of unlabeled/0.png)",
        "the folder New folder (2)",
        "the folder unlabeled",
    ]
    assert not load(mk(tmp_path / "other", "label_0", "label_1", "mask", "no_mask")).problems


def test_folders_of_the_system_are_no_classes(tmp_path):
    mk(tmp_path, "good", "bad", "#recycle", "good/@eaDir/0.png", "lost+found", "$RECYCLE.BIN/x")
    data = load(tmp_path)
    assert data.classes == ("bad", "good")
    assert len(data) == 8
    assert data.problems == (
        "hidden folders and those of the operating system were passed over: 1 × #recycle, 1 × $RECYCLE.BIN, "
        "1 × lost+found, 1 × @eaDir",
    )


def test_hidden_folders_with_images_are_told(tmp_path):
    mk(tmp_path, "good", "bad", ".worn/new")
    (tmp_path / ".git").mkdir()
    (told,) = load(tmp_path).problems
    assert told == "hidden folders and those of the operating system were passed over: 1 × .worn"


@pytest.mark.parametrize("ending", ["_aug2", "_rot90", "_Flipped"])
def test_images_made_of_others_by_their_names_are_told(tmp_path, ending):
    mk(tmp_path, "good", "bad")
    for i in range(2):
        noise(tmp_path / f"bad/{i}{ending}.bmp")
    noise(tmp_path / f"good/7{ending}.png")  # of no other
    (told,) = load(tmp_path).problems
    assert told.startswith(f"2 images of bad are called like changed copies of others (0{ending}.bmp beside 0.")


def test_spellings_of_one_class(tmp_path):
    data = load(mk(tmp_path, "OK", "ok", "NG", normalize("NFC", "ガラス"), normalize("NFD", "ガラス")))
    assert data.classes == ("NG", "OK", normalize("NFC", "ガラス"))
    assert np.bincount(data.labels).tolist() == [4, 8, 8]
    assert data.remarks[1:] == (
        "OK and ok were taken for one class, OK: only their spelling differs",
        "the class ガラス is written in 2 Unicode forms; they were taken for one class",
    )
    arrays = from_arrays(RANDOM.integers(0, 255, (4, 8, 8), np.uint8), ["ＮＧ", "NG", "ng", "fine"])
    assert arrays.classes == ("fine", "NG")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["ok", "ok\u200b", "ok"], "the class ok is written in 2 Unicode forms"),
        (["OK", "ОК", "OK"], "the class OK is written in 2 Unicode forms"),  # Cyrillic
        (["top_crack", "top crack", "Top-crack", "top crack"], "only their spelling differs"),
        (["Straße", "STRASSE", "Straße"], "only their spelling differs"),
        (["dog", "dog.", "dog"], "only their spelling differs"),
        (["'ok'", "ok", "ok"], "only their spelling differs"),
        (["class 1", "class_1", "class1", "class1"], "only their spelling differs"),
    ],
)
def test_names_that_look_alike_are_one(names, told):
    one, (sentence,) = one_spelling(names)
    assert one == [max(names, key=names.count)] * len(names)
    assert told in sentence


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["scratch", "Scratches"], "the classes scratch and Scratches differ by an ending alone"),
        (["chip", "chips"], "the classes chip and chips differ by an ending alone"),
        (["chip", "dent", "dent; chip"], "the class dent; chip names 2 others at once"),
        (["割れ", "汚れ", "割れ、汚れ"], "the class 割れ、汚れ names 2 others at once"),
        (["chip", "dent;crack"], ""),  # crack is none beside it
        (["1", "1s", "as", "ass"], ""),
    ],
)
def test_classes_that_may_be_one_or_several_are_told(names, told):
    one, sentences = one_spelling(names)
    assert one == names
    assert [sentence[: len(told)] for sentence in sentences] == [told] * bool(told)


def test_amounts_are_told_where_they_become_classes():
    labels, told = one_spelling(["0", "0.3333", "0.0", "1", "1"])
    assert (sorted({*labels}), told[-1][:63]) == (
        ["0", "0.3333", "1"],
        "classes that are no whole numbers (0.3333) stand each by itself",
    )
    assert not one_spelling(["1", "2", "-10"])[1]


def test_numbers_with_a_sign_are_others():
    names = ["at_-10", "at_10", "at-10", "x1 2", "x12", "2024-05"]
    assert one_spelling(names)[0] == names


def test_groups_have_one_spelling_too(tmp_path):
    images = RANDOM.integers(0, 255, (8, 8, 8), np.uint8)
    data = from_arrays(images, list("abababab"), groups=["1", "1.0", "A-2", "a-2", "３", "3", "04", "4"])
    assert data.groups.tolist() == ["1", "1", "A-2", "A-2", "3", "3", "04", "4"]
    assert "names of a group that are numbers have one spelling: 1.0 is group 1, ３ is group 3" in data.remarks
    assert "A-2 and a-2 were taken for one group, A-2: only their spelling differs" in data.remarks
    rows = [f"0.5,{each},{k},{each}" for each in ("1", "1.0", "2", "2.0") for k in "ab"]
    table = load(manifest(tmp_path / "t.csv", "x,y,label,group", rows))
    assert sorted(set(table.groups)) == ["1", "2"]


def test_letters_keep_their_case():
    assert one_spelling(["A", "a", "é", normalize("NFD", "é")])[0] == ["A", "a", "é", "é"]
    assert one_spelling(["ok", "OK", "ok"])[0] == ["ok"] * 3  # the most frequent


def test_a_models_spelling_is_found():
    assert known_as(("ok", "Kratzer", "x", "X"), ("OK", "kratzer", "x")) == ("OK", "kratzer", "x", "X")
    assert known_as((normalize("NFC", "キズガ"),), (normalize("NFD", "キズガ"),)) == (normalize("NFD", "キズガ"),)


# --- 2. manifests and tables ---------------------------------------------------------------------------------------


def manifest(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    "header",
    [
        "filename,class",
        "image,target",
        "id,label",
        "img_path,category",
        "Filename,ClassId",
        "画像,ラベル",
        "File Names,labels",
    ],
)
def test_names_that_people_give_columns(tmp_path, header):
    mk(tmp_path, "p")
    data = load(manifest(tmp_path / "m.csv", header, [f"p/{i}.png,{'ab'[i % 2]}" for i in range(4)]))
    assert data.classes == ("a", "b")
    assert data.names == tuple(f"p/{i}.png" for i in range(4))
    path, label = header.lower().split(",")
    assert data.remarks[1:] == (f"m.csv: images from column {path}, labels from column {label}",)


WIDE = "id,label,width,height"
WIDE_ROWS = [f"{i}.png,{'ab'[i % 2]},4{i},30" for i in range(4)]


def test_cells_that_are_image_names_make_a_manifest(tmp_path):
    mk(tmp_path, "images")
    for file, source in (("train.csv", tmp_path), ("train.csv", tmp_path / "train.csv")):
        data = load(source if source.suffix else manifest(tmp_path / file, WIDE, WIDE_ROWS).parent)
        assert data.images.shape == (4, 12, 10, 1)
        assert data.classes == ("a", "b")
        assert data.remarks[1:] == (
            "train.csv: images from column id, labels from column label; passed over: width, height",
            "the images of train.csv were found in the folder images",
        )


def test_parts_in_a_column_of_another_name(tmp_path):
    mk(tmp_path, "p")
    rows = [f"{i},p/{i}.png,{'ab'[i % 2]},{['train', 'valid'][i // 2]}" for i in range(4)]
    data = load(manifest(tmp_path / "m.csv", "class id,filepaths,labels,data set", rows))
    assert data.classes == ("a", "b")
    assert data.split.tolist() == ["train", "train", "val", "val"]
    rows = [f"p/{i}.png,{'良欠'[i % 2]},{['学習', 'テスト'][i // 2]}" for i in range(4)]
    ours = load(manifest(tmp_path / "j.csv", "ファイル名,判定,区分", rows))
    assert ours.split.tolist() == ["train", "train", "test", "test"]
    other = load(manifest(tmp_path / "n.csv", "filepaths,labels,set", [f"p/{i}.png,{i % 2},A" for i in range(4)]))
    assert other.split is None


def test_names_without_an_ending_are_completed(tmp_path):
    mk(tmp_path, "train")
    data = load(manifest(tmp_path / "labels.csv", "id,breed,w,h", [f"{i},{'ab'[i % 2]},1,2" for i in range(4)]))
    assert data.files[1] == tmp_path / "train/1.png"
    assert data.remarks[-1] == "names of labels.csv without an ending, to which the images' was added: 4"


def test_a_table_is_for_the_folder_of_its_part(tmp_path):
    mk(tmp_path, "train", "test")
    manifest(tmp_path / "train.csv", "id,label", [f"{i}.png,{'ab'[i % 2]}" for i in range(4)])
    assert load(tmp_path).files[0] == tmp_path / "train/0.png"


def test_folders_and_a_table_that_contradict_each_other_are_asked_back(tmp_path):
    mk(tmp_path, "one", "two")
    manifest(tmp_path / "train.csv", WIDE, [f"one/{row}" for row in WIDE_ROWS])
    with pytest.raises(
        ValueError, match=r"images in the folders one, two and a table that says .*, train\.csv: name /"
    ):
        load(tmp_path)
    manifest(tmp_path / "train.csv", "label,x,y,z", ["a,1,2,3", "b,2,3,4"])
    with pytest.raises(
        ValueError, match=r"train\.csv to learn from the table, or move it away to learn from the folder"
    ):
        load(tmp_path)


def test_a_manifest_that_agrees_with_the_folders_is_told(tmp_path):
    mk(tmp_path, "one", "two", count=2)
    manifest(tmp_path / "index.csv", "file,class", [f"{c}/{i}.png,{c}" for c in ("one", "two") for i in range(2)])
    assert "index.csv has the same labels as the folders; to use its groups" in load(tmp_path).remarks[-1]


def test_a_manifest_for_each_part(tmp_path):
    mk(tmp_path, "all", count=6)
    manifest(tmp_path / "train.csv", "image,label", [f"all/{i}.png,{'ab'[i % 2]}" for i in range(4)])
    manifest(tmp_path / "val.csv", "image,label", ["all/4.png,a", "all/5.png,b"])
    manifest(tmp_path / "test.csv", "image", ["all/0.png"])
    data = load(tmp_path)
    assert data.split.tolist() == ["train"] * 4 + ["val"] * 2
    assert data.problems[0].startswith("test.csv was left out: test.csv has no column label")
    manifest(tmp_path / "sample_submission.csv", "image,label", ["all/0.png,a"])
    assert load(tmp_path).problems[0].startswith("sample_submission.csv was left out: its name says that answers")
    (tmp_path / "val.csv").unlink()
    assert load(tmp_path).split is None


def test_rows_that_repeat_and_images_that_no_row_names_are_told(tmp_path):
    mk(tmp_path, "p", count=6)
    rows = [f"p/{i}.png,{'ab'[i % 2]}" for i in range(4)]
    data = load(manifest(tmp_path / "m.csv", "path,label", [*rows, *rows, "p/3.png,a"]))
    assert len(data) == 5
    assert data.problems == (
        "rows of m.csv that repeat another were left out: 4",
        "rows of m.csv that say something else of an image that was named before: 1, and each counts",
        f"images beside those that m.csv names were passed over: 2 ({tmp_path}/p/4.png ...)",
    )
    assert contradictions(data) == [("p/3.png", "p/3.png")]


def test_arrays_that_nobody_reads_are_told(tmp_path):
    arrays = {"labels": list("abab"), "group": list("1122"), "test_images": np.zeros(3)}
    np.savez(tmp_path / "i.npz", images=RANDOM.integers(0, 255, (4, 8, 8), np.uint8), **arrays)
    np.savez(tmp_path / "s.npz", signals=RANDOM.random((4, 8)), **arrays)
    for file in ("i.npz", "s.npz"):
        assert (
            load(tmp_path / file)
            .problems[-1]
            .startswith(f"{file}: arrays that were passed over: group, test_images (known: ")
        )


def test_a_column_that_may_be_the_group_is_told(tmp_path):
    mk(tmp_path, "p", count=6)
    rows = [f"p/{i}.png,{'ab'[i % 2]},{i // 2}" for i in range(6)]
    (told,) = (
        text for text in load(manifest(tmp_path / "m.csv", "path,label,part_id", rows)).remarks if "m.csv" in text
    )
    assert told.endswith("passed over: part_id (call part_id group if rows of one part_id show one part)")


@pytest.mark.parametrize("column", ["is_valid", "is_test", "train", "validation_flag"])
def test_a_column_that_may_be_the_split_is_told(tmp_path, column):
    mk(tmp_path, "p", count=6)
    rows = [f"p/{i}.png,{'ab'[i % 2]},{i > 3}" for i in range(6)]
    told = load(manifest(tmp_path / "m.csv", f"path,label,{column}", rows)).remarks[-1]
    assert told.endswith(f"passed over: {column} (call {column} split, with the words train, val and test, to use it)")


def test_copies_are_counted(tmp_path):
    mk(tmp_path, "a", "b")
    assert copied(load(tmp_path)) == ""
    Image.open(tmp_path / "a/1.png").save(tmp_path / "a/copy.bmp")
    assert copied(load(tmp_path)).startswith(
        "1 of 9 images are copies of others (a/copy.bmp of a/1.png), and each counts"
    )


def test_tables_of_series_stay_series(tmp_path):
    rows = [f"{i},{'ab'[i % 2]},{i}.5,2,3" for i in range(6)]
    assert load(manifest(tmp_path / "t.csv", "id,label,x,y,z", rows)).kind == "signal"
    mk(tmp_path, "plots")
    shutil.move(tmp_path / "t.csv", tmp_path / "train.csv")
    data = load(tmp_path)
    assert data.kind == "signal"
    assert data.problems[-1] == "4 images beside train.csv were passed over: the table was read"


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (
            "image,filename,label",
            "p/0.png,p/1.png,a",
            "several columns of image files: image, filename; call the one that counts",
        ),
        ("image,scab,rust", "p/0.png,2,7", r"no column label \(it has: image, scab, rust\)"),
        ("p/1.png,a", "p/0.png,b", "the first row of m.csv names an image: write the names of the columns above"),
    ],
)
def test_manifests_that_stay_unclear(tmp_path, header, row, message):
    mk(tmp_path, "p")
    with pytest.raises(ValueError, match=message):
        load(manifest(tmp_path / "m.csv", header, [row]))


def test_parquet_columns_by_other_names(tmp_path):
    mk(tmp_path, "p")
    table = pyarrow.table({"file_name": [f"p/{i}.png" for i in range(4)], "category": [1, 2, 1, 2], "blob": [b"x"] * 4})
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    assert load(tmp_path / "m.parquet").classes == ("1", "2")


def test_paths_in_another_unicode_form_are_found(tmp_path):
    mk(tmp_path, normalize("NFC", "が"))
    data = load(
        manifest(tmp_path / "m.csv", "path,label", [normalize("NFD", f"が/{i}.png,{'ab'[i % 2]}") for i in range(4)])
    )
    assert len(data) == 4


# --- 3. two doors --------------------------------------------------------------------------------------------------


def test_a_few_files_of_another_depth_are_left_out_and_many_refused(tmp_path):
    mk(tmp_path, "a", "b", count=10)
    noise(tmp_path / "a/deep.png", kind=np.uint16)
    data = load(tmp_path)
    assert len(data) == 20
    assert data.problems == (
        "cannot read a/deep.png: it has 16 bits, and 8 are needed: take images of one camera setting, or convert",
    )
    for i in range(10):
        noise(tmp_path / f"b/deep{i}.png", kind=np.uint16)
    with pytest.raises(ValueError, match=r"11 of 31 images cannot be read; .*it has 16 bits, and 8 are needed"):
        load(tmp_path)


def test_all_doors_of_a_model_check_the_depth(tmp_path, predictor):
    noise(tmp_path / "a/0.png", kind=np.uint16)
    noise(tmp_path / "b/0.png", kind=np.uint16)
    (row, _) = runtime.predict(predictor, image_files([tmp_path]))
    assert row["class"] is None
    assert row["error"].endswith("it has 16 bits, and 8 are needed: take images of one camera setting, or convert")
    with pytest.raises(ValueError, match=r"none of the 2 images can be read; .*it has 16 bits, and 8 are needed"):
        load(tmp_path, like=predictor.preprocess)
    np.savez(tmp_path / "deep.npz", images=np.zeros((2, 9, 9), np.uint16), labels=["a", "b"])
    with pytest.raises(ValueError, match="it has 16 bits, and 8 are needed"):
        load(tmp_path / "deep.npz", like=predictor.preprocess)
    values, told = runtime.read_all(image_files([tmp_path]), predictor.preprocess)
    assert values == []
    assert told[0].startswith("2 × it has 16 bits, and 8 are needed")


# --- 4. what would be lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_in_tiff(tmp_path, options, order):
    path = tmp_path / "a.tif"
    for apart in (False, True):
        levels, config = (np.moveaxis(RGB16, 2, 0), "separate") if apart else (RGB16, "contig")
        data = tiff(np.ascontiguousarray(levels), photometric="rgb", planarconfig=config, byteorder=order, **options)
        path.write_bytes(data)
        check(path, RGB16)


def test_levels_with_a_sign_and_white_that_is_zero(tmp_path):
    levels = RGB16[..., :1]
    for kind in (levels, (levels >> 8).astype(np.uint8)):
        (tmp_path / "white.tif").write_bytes(tiff(np.iinfo(kind.dtype).max - kind[..., 0], photometric="miniswhite"))
        check(tmp_path / "white.tif", kind)
    (tmp_path / "signed.tif").write_bytes(tiff(np.array([[0, 127]], np.int8)))
    check(tmp_path / "signed.tif", np.array([[[0], [127]]], np.uint16))
    (tmp_path / "signed.tif").write_bytes(tiff(np.array([[-1, 127]], np.int8)))
    with pytest.raises(ValueError, match="its levels reach from -1 to 127; a 16-bit image holds 0 to 65535"):
        read_image(tmp_path / "signed.tif")


def test_16_bit_colour_in_other_formats(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png16(RGB16))
    check(path, RGB16)
    path.write_bytes(b"P6\n7 9\n65535\n" + RGB16.astype(">u2").tobytes())
    check(path, RGB16)
    twelve = RGB16 >> 4
    path.write_bytes(b"P6\n7 9\n4095\n" + twelve.astype(">u2").tobytes())
    check(path, np.round(twelve / 4095 * 65535).astype(np.uint16))
    path.write_bytes(b"P6\n7 9\n65535\n" + RGB16.astype(">u2").tobytes()[:-1])
    with pytest.raises(ValueError, match="it is truncated: 377 of 378 bytes"):
        read_image(path)


def test_16_bit_colour_that_is_transparent(tmp_path):
    alpha = RANDOM.integers(0, 65536, (9, 7, 1), np.uint16)
    alpha[0], alpha[1] = 65535, 0
    path = tmp_path / "a.png"
    for count in (1, 3):
        path.write_bytes(png16(np.concatenate([RGB16[..., :count], alpha], axis=2)))
        shown = RGB16[..., :count] * (alpha / 65535) + 128 * 257 * (1 - alpha / 65535)
        check(path, np.floor(shown + 0.5).astype(np.uint16), CLEAR)
    mark = RGB16[2, 3]
    path.write_bytes(png16(RGB16, tRNS=mark.astype(">u2").tobytes()))
    expected = RGB16.copy()
    expected[2, 3] = 128 * 257
    check(path, expected, CLEAR)


def test_a_faint_scratch_in_16_bit_colour_is_seen(tmp_path):
    faint = np.full((9, 9, 3), 2000, np.uint16)
    faint[4] += 100
    for kind, data in (("png", png16(faint)), ("tif", tiff(faint, photometric="rgb"))):
        (tmp_path / f"a.{kind}").write_bytes(data)
        assert np.ptp(read_image(tmp_path / f"a.{kind}")) == 100
        gray = read_image(tmp_path / f"a.{kind}", channels=1)
        assert np.ptp(gray) == 100


@pytest.mark.parametrize("least", [254, 255])
def test_transparent_pixels_are_told(tmp_path, least):
    both = RANDOM.integers(0, 256, (6, 5, 4)).astype(np.uint8)
    both[..., 3] = 255
    both[0, 0, 3] = least
    for name, levels in (("rgba.png", both), ("la.png", both[..., 2:])):
        Image.fromarray(levels).save(tmp_path / name)
        assert read_told(tmp_path / name)[1] == (CLEAR if least < 255 else "")
    deep = both.astype(np.uint16) * 257
    (tmp_path / "deep.tif").write_bytes(tiff(deep, photometric="rgb", extrasamples=["unassalpha"]))
    (tmp_path / "deep.png").write_bytes(png16(deep))
    for name in ("deep.tif", "deep.png"):
        assert read_told(tmp_path / name)[1] == (CLEAR if least < 255 else "")


def test_16_bit_colour_stands_upright(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(RGB16, photometric="rgb", extratags=[(274, "H", 1, 6, True)]))
    check(path, np.rot90(RGB16, -1))


def test_what_is_read_at_8_bits_is_told(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P3\n1 1\n65535\n1 2 65535\n")
    assert read_told(path)[1] == "its 16-bit levels were read at 8 bits"
    path = tmp_path / "b.tif"
    path.write_bytes(tiff(np.zeros((4, 4, 4), np.uint16), photometric="separated"))
    assert read_told(path)[1] == "its 16-bit levels were read at 8 bits"


def pages(path, count=3, **options):
    frames = [Image.fromarray(RANDOM.integers(0, 255, (12, 10), np.uint8)) for _ in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


@pytest.mark.parametrize("kind", ["tif", "gif", "webp", "png", "mpo"])
def test_pages_behind_the_first_are_told(tmp_path, kind, predictor):
    path = pages(tmp_path / f"a.{kind}")
    assert read_told(path)[1] == "only the first of 3 pages was read"
    (row,) = runtime.predict(predictor, [path])
    assert row["note"].startswith("only the first of 3 pages was read")
    assert row["error"] is None


def test_pages_are_told_in_training(tmp_path):
    mk(tmp_path, "a", "b")
    pages(tmp_path / "b/x.tif")
    pages(tmp_path / "a/y.tif")
    for _ in range(2):  # decoded, then from the cache
        assert load(tmp_path).problems == ("2 of 10 images: only the first of 3 pages was read (a/y.tif, b/x.tif)",)


def test_gray_among_colour_is_told(tmp_path):
    mk(tmp_path, "a", "b")
    noise(tmp_path / "b/x.png", (12, 10, 3))
    data = load(tmp_path)
    assert data.preprocess.channels == 3
    assert data.problems == (
        "8 of 9 images: it is gray, and was read as colour (a/0.png, a/1.png, a/2.png and 5 more)",
    )
    assert not load(mk(tmp_path / "gray", "a", "b"), channels=3).problems


def test_an_image_that_cannot_be_read_does_not_make_a_set_colour(tmp_path):
    mk(tmp_path, "a", "b", count=6)
    (tmp_path / "a/f.tif").write_bytes(tiff(np.ones((12, 10), np.float32)))
    data = load(tmp_path)
    assert data.images.shape == (12, 12, 10, 1)
    assert "its levels are fractions" in data.problems[0]


def test_gray_pictures_saved_in_colour_are_gray(tmp_path, monkeypatch):
    gray = RANDOM.integers(0, 256, (40, 16, 16, 1), np.uint8).repeat(3, axis=3)
    for i, picture in enumerate(gray):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "ab"[i % 2] / f"{i}.jpg")
    data, arrays = load(tmp_path), from_arrays(gray, ["a", "b"] * 20)
    told = "the images have three channels and show gray alone, so one is learned from (--channels 3 keeps three)"
    assert [(found.images.shape, found.kind, found.remarks[-1]) for found in (data, arrays)] == [
        ((40, 16, 16, 1), "symbol", told)
    ] * 2
    assert load(tmp_path, channels=3).images.shape[3] == from_arrays(gray, ["a", "b"] * 20, channels=3).images.shape[3]
    gray[1, 3, 3] = 250, 20, 20  # one that few would look at
    Image.fromarray(gray[1]).save(tmp_path / "b" / "1.png")
    (tmp_path / "b" / "1.jpg").unlink()
    whole = caching.build

    def ended(*given):
        whole(*given)
        raise KeyboardInterrupt  # when it was read as gray, and before it is read again

    monkeypatch.setattr(caching, "build", ended)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, cache=tmp_path / "cache")
    monkeypatch.undo()
    assert load(tmp_path, cache=tmp_path / "cache").images.shape[3] == 3
    assert load(tmp_path).images.shape[3] == from_arrays(gray, ["a", "b"] * 20).images.shape[3] == 3


def test_smaller_copies_of_a_page_are_no_pages(tmp_path):
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.full((32, 32), 9, np.uint8))
        file.write(np.full((16, 16), 9, np.uint8), subfiletype=1)
    assert read_told(path)[1] == ""


def test_colours_that_a_gray_model_cannot_see_are_told(tmp_path, predictor):
    noise(tmp_path / "colour.png", (12, 10, 3))
    Image.fromarray(RANDOM.integers(0, 255, (12, 10), np.uint8)).convert("RGB").save(tmp_path / "gray.png")
    colour, gray = runtime.predict(predictor, [tmp_path / "colour.png", tmp_path / "gray.png"])
    assert (colour["note"], gray["note"]) == ("its colours were turned to gray", None)


@pytest.mark.parametrize(("scale", "told"), [(1, 0), (16, 1)])
def test_images_of_12_and_of_16_bits_are_told(tmp_path, scale, told):
    mk(tmp_path, "a", "b", count=0)
    for i in range(8):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        levels = RANDOM.integers(4000, 4096, (12, 10), np.uint16)
        Image.fromarray(levels * np.uint16(scale if i < 4 else 1)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    problems = load(tmp_path).problems
    assert [text.partition(" of 8 images have no level above 4095")[0] for text in problems] == ["4"] * told


@pytest.mark.parametrize(("level", "far"), [(100, False), (130, False), (250, True), (0, True)])
def test_images_far_from_all_that_were_learned_from_are_told(tmp_path, level, far):
    model = a_model(1)
    model = replace(model, preprocess=model.preprocess.model_copy(update={"mean": (115.0,), "std": (15.0,)}))
    Image.fromarray(np.full((12, 10), level, np.uint8)).save(tmp_path / "x.png")
    (row,) = runtime.predict(exported(model, tmp_path / "m.onnx"), [tmp_path / "x.png"])
    assert row["note"] == (runtime.OUTSIDE if far else None)
    assert row["error"] is None


# --- 5. files that are passed over ---------------------------------------------------------------------------------


def test_files_that_are_passed_over_are_counted(tmp_path):
    mk(tmp_path, "a", "b")
    for name in ("a/x.psd", "a/y.PSD", "b/notes.txt", "b/Thumbs.db", "readme.md", "b/raw"):
        (tmp_path / name).write_text("no image")
    assert load(tmp_path).problems == (
        "5 files are no image by the ending and passed over: 2 × .psd, 1 × .md, 1 × .txt, 1 × no ending",
    )
    assert survey_all([tmp_path]).told() == list(load(tmp_path).problems)
    for ending in "abcdefgh":
        (tmp_path / f"x.{ending}").write_text("")
    assert survey_all([tmp_path]).told()[0].endswith(" and 4 more kinds")


@pytest.mark.parametrize("ending", [".jpe", ".JPE", ".avif", ".jp2", ".apng"])
def test_further_endings_are_read(tmp_path, ending):
    mk(tmp_path, "a", "b")
    image = Image.fromarray(RANDOM.integers(0, 255, (12, 10, 3), np.uint8))
    kind = {".avif": "AVIF", ".jp2": "JPEG2000", ".apng": "PNG"}.get(ending, "JPEG")
    image.save(tmp_path / f"a/x{ending}", kind)
    data = load(tmp_path)
    assert f"a/x{ending}" in data.names
    assert [problem for problem in data.problems if "gray" not in problem] == []  # the others are gray


# 16 x 16 pixels of one colour, (200, 30, 60), as HEIC; deflated, in base 85: what reads such files cannot write them
HEIC = (
    "c-muNV30{GsVvAy%}izhg51nBLl8SRGck>Ufw3kxwIq=N0u(b+a*CjAhJwuG5(YG&l$nzcHpIn&fe{FSfN=qY1_E;+R?f`KO9S&j"
    "qM|@fDif5KQI>27V)7MamgK^f{K+gRDge@VG7FOPfpjTQnKL6ZNN56Bk=zG{KYxGxU|`^9P5|nVaA4$N{Qn=MfElEM8HD6^F*zgx"
    "B{iKG8PQ}GC^WK8d$n%Xvj>U`4m2<@@HBvgTatjP*<2V879Z>c+98~rpHq~VoKpc5<z-+4Dq#@GEG|feddvZeHIj1@K@Jmux*bga"
    "|Ns92kY<9>An}6CicFA3W)2PxASIDmkP8cAV6d?^GBLBZ0NM7rDT$ykHr8NV&t@dnZqljnVgDM_|NrlYe~aJZsBOBb>Y@CC<l|4a"
    "PnbCGOMJCN&{LZdg)ei0cb;tk0N3wmrv"
)


def test_heic_is_read_where_its_decoder_is(tmp_path):
    pytest.importorskip("pi_heif")
    mk(tmp_path, "a", "b")
    (tmp_path / "a/x.heic").write_bytes(zlib.decompress(b85decode(HEIC)))
    assert load(tmp_path).names[4] == "a/x.heic"
    assert np.abs(read_image(tmp_path / "a/x.heic").astype(int) - [200, 30, 60]).max() < 8
    assert image_header(tmp_path / "a/x.heic") == (16, 16, 3, 8)


HEADLESS = """
import sys
sys.modules["pi_heif"] = None  # as where it is not installed
from zansa.inputs.images import read_image
from pathlib import Path
try:
    read_image(Path(sys.argv[1]))
except ValueError as error:
    print(error)
"""


def test_heic_without_its_decoder_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    done = subprocess.run([sys.executable, "-c", HEADLESS, str(tmp_path / "x.heic")], capture_output=True, text=True)
    assert "it is a HEIF image; to read these: pip install 'zansa[heif]'" in done.stdout


def test_files_without_an_ending_are_read_when_they_are_images(tmp_path):
    mk(tmp_path, "a", "b")
    for i, kind in enumerate(["png", "jpeg", "webp", "tiff", "bmp", "gif"]):
        Image.fromarray(RANDOM.integers(0, 255, (12, 10), np.uint8)).save(tmp_path / f"a/{i}_none", kind)
    (tmp_path / "a/Makefile").write_text("all:")
    assert len(image_files([tmp_path])) == 14
    assert len(load(tmp_path)) == 14
    assert survey(tmp_path).told() == ["1 file is no image by the ending and passed over: 1 × no ending"]


@pytest.fixture
def open_place():
    """A folder that other users may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged():
    """Without the rights of root, who may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_folders_that_cannot_be_read_are_told_as_such(open_place, unprivileged):
    before = os.geteuid()
    os.seteuid(os.getuid())
    mk(open_place, "a/inner", "a", "b", "c")
    for name in ("a/inner", "c"):
        (open_place / name).chmod(0)
    os.seteuid(before)
    told = survey(open_place).told()
    assert told == [
        "a folder cannot be read and was left out: a/inner: Permission denied",
        "a folder cannot be read and was left out: c: Permission denied",
    ]
    listing = list_folder(open_place)
    assert set(listing.labels) == {"a", "b"}
    assert list(listing.problems) == told
    with pytest.raises(ValueError, match=r"cannot read the folder .*c: Permission denied"):
        list_folder(open_place / "c")
    with pytest.raises(ValueError, match=r"no images in .*c; a folder cannot be read .*Permission denied"):
        image_files([open_place / "c"])


def test_reading_for_other_verbs_counts_what_it_could_not_read(tmp_path, predictor):
    mk(tmp_path, "a")
    for name in ("x.png", "y.png"):
        (tmp_path / "a" / name).write_bytes(b"")
    pages(tmp_path / "a/z.tif")
    values, told = runtime.read_all(image_files([tmp_path]), predictor.preprocess)
    assert len(values) == 5
    assert told == [
        f"2 × it is empty (the first: {tmp_path}/a/x.png)",
        f"1 × only the first of 3 pages was read (the first: {tmp_path}/a/z.tif)",
    ]


# --- 8. what may enter training may enter use ----------------------------------------------------------------------


def a_model(channels, depth=8):
    net = Net(
        input=Input(channels=channels, size=(12, 10)),
        stem=Stem(width=4),
        stages=(Stage(width=4, stride=1, shortcut="pad", blocks=(Block(kind="basic", hidden=(4,)),)),),
        head=Head(classes=2),
    )
    preprocess = Preprocess(channels=channels, size=(12, 10), fit="stretch", depth=depth, mean=(99.0,), std=(50.0,))
    torch.manual_seed(0)
    return Model(net, build(net).eval(), ("good", "hole"), preprocess, OperatingPoint(good="good", threshold=0.5))


def exported(model, path):
    pre = model.preprocess
    pictures = RANDOM.integers(0, 255, (4, *pre.size, pre.channels)).astype(pre.dtype)
    export(model, path, list(pictures))
    return runtime.predictor(path)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A model of 8-bit gray images."""
    return exported(a_model(1), tmp_path_factory.mktemp("model") / "m.onnx")


@pytest.mark.parametrize(("channels", "depth"), [(2, 8), (4, 8), (5, 16)])
def test_images_of_any_number_of_channels_are_learned_and_predicted(tmp_path, channels, depth):
    model = a_model(channels, depth)
    predictor = exported(model, tmp_path / "m.onnx")
    images = RANDOM.integers(0, 2**depth, (6, 12, 10, channels)).astype(f"uint{depth}")
    np.savez(tmp_path / "set.npz", images=images, labels=["good", "hole"] * 3)
    expected = predictor.probabilities(list(images))

    for like in (None, model.preprocess):
        data = load(tmp_path / "set.npz", like=like)
        assert np.array_equal(data.images, images)
        assert data.preprocess.channels == channels
    rows = list(runtime.predict(predictor, [tmp_path / "set.npz"]))
    assert [row["image"] for row in rows] == [f"{tmp_path}/set.npz row {i}" for i in range(6)]
    assert [row["probability"] for row in rows] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-6)

    for i, image in enumerate(images):  # the same as TIFF files
        path = tmp_path / f"folder/{'good' if i % 2 == 0 else 'hole'}/{i}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiff(image, photometric="minisblack", planarconfig="contig", metadata=None))
    for like in (None, model.preprocess):
        data = load(tmp_path / "folder", like=like)
        assert data.preprocess.channels == channels
        assert data.preprocess.depth == depth
        assert np.array_equal(data.images, images[[0, 2, 4, 1, 3, 5]])
    rows = list(runtime.predict(predictor, [*sorted(data.files, key=lambda file: file.name), tmp_path / "gone.npz"]))
    assert [row["probability"] for row in rows[:6]] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-6)
    assert rows[6]["error"] == f"cannot read {tmp_path}/gone.npz: No such file or directory"


def test_many_channels_in_arrays(tmp_path):
    patches = RANDOM.integers(0, 255, (4, 11, 11, 200), np.uint8)
    data = from_arrays(patches, [0, 1, 0, 1])
    assert data.images.shape == (4, 11, 11, 200)
    assert data.remarks[1:] == ("the images have 200 channels, neither gray nor colour: each is an input",)
    for wrong in (np.moveaxis(patches, 3, 1), np.zeros((4, 3, 32, 40), np.uint8), np.zeros((4, 5, 32, 32), np.uint8)):
        with pytest.raises(ValueError, match=r"move the channels to the end: np\.moveaxis"):
            from_arrays(wrong, [0, 1, 0, 1])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}])
@pytest.mark.parametrize("count", [2, 4, 8, 31])
def test_tiff_of_bands(tmp_path, options, count):
    levels = RANDOM.integers(0, 65536, (9, 7, count), np.uint16)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(levels, photometric="minisblack", planarconfig="contig", metadata=None, **options))
    check(path, levels)
    apart = np.ascontiguousarray(np.moveaxis(levels, 2, 0))
    path.write_bytes(tiff(apart, photometric="minisblack", planarconfig="separate", metadata=None, **options))
    check(path, levels)


def test_a_fourth_band_is_no_alpha_unless_it_says_so(tmp_path):
    levels = RANDOM.integers(0, 256, (9, 7, 4), np.uint8)
    path = tmp_path / "a.tif"
    for samples in (["UNSPECIFIED"], [0]):
        path.write_bytes(tiff(levels, photometric="rgb", extrasamples=samples, metadata=None))
        check(path, levels)
    path.write_bytes(tiff(levels, photometric="rgb", extrasamples=["UNASSALPHA"], metadata=None))
    assert read_image(path).shape == (9, 7, 3)
    deep = np.concatenate([RGB16, np.full((9, 7, 1), 65535, np.uint16)], axis=2)
    for kind in ("ASSOCALPHA", "UNASSALPHA"):
        path.write_bytes(tiff(deep, photometric="rgb", extrasamples=[kind], metadata=None))
        check(path, RGB16)


def test_bands_that_are_fractions_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(np.ones((9, 7, 5), np.float32), photometric="minisblack", planarconfig="contig"))
    with pytest.raises(ValueError, match=r"a\.tif: its levels are float32; save it as 8-bit or 16-bit integers"):
        read_image(path)


def test_bands_of_a_compression_that_is_not_known_name_what_reads_it(tmp_path):
    stream = BytesIO()
    Image.fromarray(RGB16.astype(np.uint8)).save(stream, "tiff", compression="tiff_lzw")
    data = stream.getvalue()
    colour, bands = (struct.pack("<HHIHH", 262, 3, 1, kind, 0) for kind in (2, 1))
    assert colour in data
    (tmp_path / "a.tif").write_bytes(data.replace(colour, bands))
    if find_spec("imagecodecs"):
        assert np.array_equal(read_image(tmp_path / "a.tif"), RGB16.astype(np.uint8))
    else:
        with pytest.raises(ValueError, match="requires the 'imagecodecs' package"):
            read_image(tmp_path / "a.tif")


def test_other_numbers_of_bands_are_told(tmp_path, predictor):
    for i in range(6):
        levels = RANDOM.integers(0, 255, (9, 7, 5 if i else 6), np.uint8)
        path = tmp_path / f"{'ab'[i % 2]}/{i}.tif"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tiff(levels, photometric="minisblack", planarconfig="contig"))
    with pytest.raises(ValueError, match=r"1 of 6 images cannot be read; .*it has 6 channels, and 5 were asked"):
        load(tmp_path)
    (row,) = runtime.predict(predictor, [tmp_path / "a/2.tif"])
    assert "it has 5 channels, and 1 were asked" in row["error"]


def test_images_of_hardly_the_models_size_or_shape_are_told(tmp_path, predictor):
    for name, shape in (("same", (12, 10)), ("tiny", (4, 4)), ("wide", (12, 40))):
        noise(tmp_path / f"{name}.png", shape)
    np.savez(tmp_path / "arrays.npz", images=np.zeros((1, 4, 4), np.uint8))
    rows = runtime.predict(predictor, [*image_files([tmp_path]), tmp_path / "arrays.npz"])
    assert [row["note"] for row in rows] == [None, ENLARGED, DISTORTED, ENLARGED]
    for name in ("a/0", "a/1", "a/2", "a/3", "b/0", "b/1", "b/2", "b/3"):
        noise(tmp_path / f"set/{name}.png", (40, 40))
    noise(tmp_path / "set/a/tiny.png", (4, 4))
    assert load(tmp_path / "set").problems == (f"1 of 9 images: {ENLARGED} (a/tiny.png)",)
    for name in ("a/0", "a/1", "b/0", "b/1"):
        noise(tmp_path / f"long/{name}.png", (4, 300))
    assert load(tmp_path / "long").problems[0].startswith(f"4 of 4 images: {DISTORTED}")


def test_npz_without_images_is_told_at_predict(tmp_path, predictor):
    np.savez(tmp_path / "a.npz", pixels=np.zeros((2, 9, 9), np.uint8))
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 9, 9)))
    rows = list(runtime.predict(predictor, [tmp_path / "a.npz", tmp_path / "b.npz"]))
    assert rows[0]["error"].endswith("a.npz has no array images (it has: pixels)")
    assert rows[1]["error"] == "it is float64 (9, 9, 1); needed: (H, W) or (H, W, C), uint8 or uint16"
    assert len(rows) == 3


# --- 11. copies ----------------------------------------------------------------------------------------------------


def test_the_same_picture_in_other_bytes_is_a_copy(tmp_path):
    mk(tmp_path / "train", "a", "b", count=6)
    mk(tmp_path / "test", "a", "b", count=2)
    image = Image.open(tmp_path / "train/a/0.png")
    image.save(tmp_path / "test/a/again.png", compress_level=0)
    image.save(tmp_path / "test/a/other.bmp")
    image.convert("RGB").save(tmp_path / "test/b/rgb.png")
    image.save(tmp_path / "train/b/label.tif")
    data = load(tmp_path, channels=1)
    parts = split(data, 0)
    assert {name for pair in leaks(data, parts) for name in pair} & {"test/a/again.png", "test/b/rgb.png"}
    first = data.digests[data.names.index("train/a/0.png")]
    assert [name for name, digest in zip(data.names, data.digests, strict=True) if digest == first] == [
        "test/a/again.png",
        "test/a/other.bmp",
        "test/b/rgb.png",
        "train/a/0.png",
        "train/b/label.tif",
    ]
    assert contradictions(data)


def test_copies_in_other_bytes_are_never_drawn_apart(tmp_path):
    mk(tmp_path, "a", "b", count=10)
    for i in range(10):
        Image.open(tmp_path / f"a/{i}.png").save(tmp_path / f"a/copy{i}.bmp")
    data = load(tmp_path)
    for seed in range(3):
        parts = split(data, seed)
        assert not leaks(data, parts)
        for part in (parts.train, parts.val, parts.test):
            names = {Path(data.names[i]).stem.removeprefix("copy") for i in part if data.labels[i] == 0}
            assert len(names) == sum(data.labels[i] == 0 for i in part) / 2


# --- 12. paths -----------------------------------------------------------------------------------------------------


def test_backslashes_are_read_as_slashes_and_told(tmp_path):
    mk(tmp_path, "p/q")
    data = load(manifest(tmp_path / "m.csv", "path,label", [rf"p\q\{i}.png,{'ab'[i % 2]}" for i in range(4)]))
    assert data.files[0] == tmp_path / "p/q/0.png"
    assert data.remarks[-1] == "paths of m.csv with backslashes, read as slashes: 4"
    with pytest.raises(ValueError, match=r"names 1 of 1 files that are not there: p\\gone\.png"):
        load(manifest(tmp_path / "m.csv", "path,label", [r"p\gone.png,a"]))


# --- forms of other programs ---------------------------------------------------------------------------------------


def counts(data):
    """How many samples each part has; {} where none are given."""
    return {} if data.split is None else dict(Counter(data.split.tolist()))


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (["train", "holdout"], {"train": 12, "test": 12}),
        (["train", "eval"], {"train": 12, "test": 12}),
        (["train", "eval", "test"], {"train": 12, "val": 12, "test": 12}),
        (["train", "dev", "evaluation"], {"train": 12, "val": 12, "test": 12}),
    ],
)
def test_other_names_of_parts(tmp_path, folders, parts):
    data = load(mk(tmp_path, *(f"{part}/{name}" for part in folders for name in ("good", "crack")), count=6))
    assert data.classes == ("crack", "good")
    assert counts(data) == parts
    assert any("the folder eval" in text for text in data.remarks) == any("eval" in name for name in folders)


def test_a_set_for_finding_anomalies_is_told_what_to_do(tmp_path):
    """As MVTec AD has them: masks beside the parts, and good parts alone to learn from."""
    mk(tmp_path, "train/good", "test/good", "test/crack", count=6)
    mk_masks(tmp_path, "ground_truth/crack", count=6)
    data = load(tmp_path)
    assert data.classes == ("crack", "good")
    told = "6 images are masks of others by their names or folders, and were left out (ground_truth/crack/0.png of "
    assert [text.partition("test/crack/")[0] for text in data.problems] == [told]
    with pytest.raises(ValueError, match=r"good alone; images of crack are in other parts only.*one folder per class"):
        split(data, seed=0)


def test_marks_of_classes_are_labels(tmp_path):
    mk(tmp_path / "a", "train", "valid", count=6)
    for part in ("train", "valid"):
        rows = "".join(f"{i}.png, {int(i % 2 == 0)}, {int(i % 2)}\n" for i in range(6))
        (tmp_path / "a" / part / "_classes.csv").write_text(f"filename, good, crack\n{rows}")
    data = load(tmp_path / "a")
    assert [data.classes[k] for k in data.labels[:3]] == ["good", "crack", "good"]
    assert counts(data) == {"train": 6, "val": 6}
    assert "_classes.csv: images from column filename, labels from the marks good, crack" in data.remarks
    (tmp_path / "a" / "valid" / "_classes.csv").write_text("filename,label,split\n0.png,good,test\n1.png,crack,val\n")
    data = load(tmp_path / "a")
    assert counts(data) == {"train": 6, "val": 2}
    assert any("_classes.csv is the val part by its name" in text for text in data.problems)
    (tmp_path / "a" / "train" / "_classes.csv").write_text("filename,dent,crack\n0.png,1,1\n1.png,0,1\n")
    with pytest.raises(ValueError, match="dent, crack are marks of classes, and 1 rows have several of them, row 1"):
        load(tmp_path / "a" / "train" / "_classes.csv")
    (tmp_path / "a" / "train" / "_classes.csv").write_text("filename,dent,crack\n0.png,1,\n1.png,0,1\n2.png,True,0\n")
    with pytest.raises(ValueError, match="dent, crack are marks of classes, and crack in row 1 is empty"):
        load(tmp_path / "a" / "train" / "_classes.csv")


def test_arrays_of_parts_are_not_torn(tmp_path):
    pictures, truth = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    parts = {"x_train": pictures[:12], "y_train": truth[:13], "x_test": pictures[12:], "y_test": truth[13:]}
    whole = parts | {"y_train": truth[:12], "y_test": truth[12:]}
    for arrays, told in (
        (parts, "12 in x_train and 13 in y_train; one label for each sample"),  # all others would be one label off
        (whole | {"split": np.repeat("train", 20)}, "tells the parts twice"),
        ({"x": np.uint8(1), "y": truth}, "no array images"),
        ({"images": pictures, "labels": np.int64(1)}, r"labels are int64 of shape \(\)"),
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(ValueError, match=told):
            load(tmp_path / "a.npz")


def test_looking_for_boxes_ends(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.txt").write_text("0 " + "1 " * 30_000 + "x\n")  # nearly a line of YOLO
    os.mkfifo(tmp_path / "a" / "1.txt")  # nobody writes into it
    with pytest.raises(ValueError, match="no class folder with images"):
        load(tmp_path)


def test_arrays_as_other_programs_save_them(tmp_path):
    pictures, truth = np.random.default_rng(0).integers(0, 255, (18, 8, 8, 3), np.uint8), np.arange(18) % 3
    keras = {"x_train": pictures[:12], "y_train": truth[:12, None], "x_test": pictures[12:], "y_test": truth[12:, None]}
    named = {"train_images": pictures[:12], "train_labels": truth[:12]}
    named |= {"val_images": pictures[12:], "val_labels": truth[12:]}
    forms = {
        "keras": (keras, {"train": 12, "test": 6}),
        "medmnist": (named, {"train": 12, "val": 6}),
        "eval": ({name.replace("test", "eval"): array for name, array in keras.items()}, {"train": 12, "test": 6}),
        "x and y": ({"x": pictures, "y": truth}, {}),
        "one-hot": ({"images": pictures, "labels": np.eye(3)[truth]}, {}),
    }
    for name, (arrays, parts) in forms.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        data = load(tmp_path / f"{name}.npz")
        assert data.labels.tolist() == truth.tolist(), name
        assert ("eval.npz: x_eval, y_eval were taken for the test part" in data.remarks) == (name == "eval")
        assert [digest(picture) for picture in pictures] == list(data.digests), name
        assert counts(data) == parts, name
        assert data.remarks[0].startswith(f"{name}.npz: "), name
    np.savez(tmp_path / "several.npz", images=pictures, labels=np.ones((18, 3), int))
    with pytest.raises(ValueError, match="no marks of one class in each row"):
        load(tmp_path / "several.npz")
    np.savez(tmp_path / "floats.npz", x_train=pictures / 255, y_train=truth)
    with pytest.raises(ValueError, match="x_train, y_train could be images or series; rename them: images as uint8"):
        load(tmp_path / "floats.npz")


def yolo(folder):
    mk(folder, "images/train", "images/val")
    return folder / "labels/train/0.txt", "0 0.5 0.5 0.25 0.125\n1 .5 .5 1 1\n"


def coco(folder):
    mk(folder, "train2017", "val2017")
    return folder / "annotations/all.json", '{"images": [], "annotations": [{"bbox": [1, 2, 3, 4]}]}'


def voc(folder):
    mk(folder, "JPEGImages")
    return folder / "Annotations/0.xml", "<annotation><object><name>crack</name></object></annotation>"


def rows_of_boxes(folder):
    mk(folder, "crops")
    return folder / "crops/all.csv", "filename,class,xmin,xmax\n0.png,dent,1,2\n0.png,crack,3,4\n1.png,dent,1,2\n"


def test_outlines_are_told_from_tables_of_numbers(tmp_path):
    """One pattern for a whole file took for ever where many numbers in a row were followed by a word."""
    outlines, table = tmp_path / "outlines.txt", tmp_path / "table.txt"
    row = "3 " + " ".join(f"0.{k * 7919 % 10**6:06}" for k in range(1, 17))
    outlines.write_text(f"{row}\n" * 20)
    table.write_text(f"{row}\n" * 20 + "end of the table\n")
    with pytest.raises(ValueError, match="labels of YOLO"):
        refuse_boxes(outlines)
    refuse_boxes(table)


@pytest.mark.parametrize("form", [yolo, coco, voc, rows_of_boxes])
def test_boxes_are_no_labels(tmp_path, form):
    file, text = form(tmp_path / "set")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    for source in (file,) if file.suffix == ".csv" else (tmp_path / "set", file):
        with pytest.raises(ValueError, match=r"holds boxes or outlines \(.*needed: one folder per class"):
            load(source)


def test_labels_of_yolo_beside_the_images_are_recognised_behind_empty_ones(tmp_path):
    for part in ("train", "val"):
        (tmp_path / "labels" / part).mkdir(parents=True)
        (tmp_path / "images" / part).mkdir(parents=True)
        for i in range(30):
            Image.new("L", (8, 8)).save(tmp_path / "images" / part / f"{i:03}.png")
            (tmp_path / "labels" / part / f"{i:03}.txt").write_text("0 0.5 0.5 0.2 0.2\n" if i > 24 else "")
    with pytest.raises(ValueError, match=r"boxes or outlines \(labels of YOLO\)"):
        load(str(tmp_path))
