"""Published sets as they lie there when they are unpacked, in small: what becomes of each is known."""

import json
import re
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from zansa.deploy import runtime
from zansa.learn.data import load
from zansa.phrases import retold, speaking

RANDOM = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """A cache of its own for every test."""
    monkeypatch.setenv("ZANSA_CACHE", str(tmp_path_factory.mktemp("cache")))


def picture(path: Path, mask: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.zeros((12, 12), np.uint8)
    levels[2:5, 3:9] = 255
    Image.fromarray(levels if mask else RANDOM.integers(0, 255, (12, 12), np.uint8)).save(path)


def laid_out(root: Path, files: str, count: int = 4) -> Path:
    """Pictures by patterns with * for their numbers; a pattern with + in front is one of masks."""
    for pattern in files.split():
        for i in range(count):
            picture(root / pattern.lstrip("+").replace("*", f"{i:03}"), pattern.startswith("+"))
    return root


def problems_of(data) -> tuple[str, ...]:
    """What is told of a set, each sentence of which has its Japanese."""
    with speaking("ja"):
        english = [text for text in (*data.problems, *data.remarks) if not re.search("[ぁ-ん]", retold(text))]
    assert not english
    return data.problems


# what lies in the folder, the classes that are found, and how many images are left
UNDERSTOOD = {
    "magnetic tiles": ("MT_Free/Imgs/e*.jpg +MT_Free/Imgs/e*.png MT_Break/Imgs/e*.jpg +MT_Break/Imgs/e*.png", 2, 8),
    "AITEX": ("Defect_images/*_0.png +Mask_images/*_0_mask.png NODefect_images/2306/*_1.png", 2, 8),
    "masks within a class": ("good/rgb/*.png scratch/rgb/*.png +scratch/gt/*.png", 2, 8),
    "masks beside": ("images/good/*.png images/cut/*.png +masks/cut/*_mask.png", 2, 8),
    "MVTec LOCO": ("train/good/*.png test/good/*.png test/cut/*.png +ground_truth/cut/*/000.png", 2, 12),
    "no masks": ("mask/*.png no_mask/*.jpg cap/*.png label/*.png", 4, 16),
    "Intel": ("seg_train/seg_train/sea/*.jpg seg_train/seg_train/ice/*.jpg seg_test/seg_test/sea/*.jpg", 2, 12),
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_masks_are_never_images_of_a_class(tmp_path, name):
    files, classes, count = UNDERSTOOD[name]
    data = load(laid_out(tmp_path, files))
    assert (len(data.classes), len(data)) == (classes, count)
    assert any("are masks of others" in text for text in problems_of(data)) == ("+" in files)
    assert not any(np.isin(image, (0, 255)).all() for image in data.images)


REFUSED = {
    "MVTec AD": (
        "nut/train/good/*.png nut/test/good/*.png nut/test/cut/*.png +nut/ground_truth/cut/*_mask.png "
        "wood/train/good/*.png wood/test/good/*.png",
        "nut, wood hold the parts test, train. Name the one that is a set of its own, for example .*/nut;",
    ),
    "castings in two forms": (
        "sq/sq/def_front/*.jpg sq/sq/ok_front/*.jpg data/data/train/def_front/*.jpg data/data/train/ok_front/*.jpg",
        "the folders data, sq of .* are hardly classes: .* Name the one that is a set of its own",
    ),
    "VisA": (
        "candle/Data/Images/Normal/*.jpg candle/Data/Images/Anomaly/*.jpg +candle/Data/Masks/Anomaly/*.png "
        "pcb1/Data/Images/Normal/*.jpg pcb1/Data/Images/Anomaly/*.jpg",
        "candle, pcb1 of .* hold the folders Anomaly, Normal, so what is a class is not clear",
    ),
    "malaria": (
        "Sick/*.png Well/*.png cells/Sick/*.png cells/Well/*.png",
        "cells hold the folders Sick, Well. Name the one that is a set of its own",
    ),
    "circuit boards": (
        "images/Open_circuit/*.jpg images/Short/*.jpg rotation/Short_rotation/*.jpg PCB_USED/*.jpg",
        "hold the folders Open_circuit, Short. Name the one that is a set of its own, for example .*/images",
    ),
    "KolektorSDD": (
        "kos01/Part*.jpg +kos01/Part*_label.bmp kos02/Part*.jpg +kos02/Part*_label.bmp",
        r"differ by a number alone, .*Masks lie beside the images \(kos01/Part000_label.bmp\): .* write that into a",
    ),
    "KolektorSDD2": ("train/1*.png +train/1*_GT.png test/2*.png +test/2*_GT.png", "no folder per class.* Masks lie"),
    "DAGM": ("Train/*.PNG +Train/Label/*_label.PNG Test/*.PNG", "no folder per class.* Masks lie beside the images"),
    "folds": (
        "fold1/cats/*.jpg fold1/dogs/*.jpg fold2/cats/*.jpg fold2/dogs/*.jpg",
        "are folds by their names, .*folds 2",
    ),
    "dogs against cats": ("train/cat.*.jpg train/dog.*.jpg test1/*.jpg", r"begin with one of 2 words \(cat 4, dog 4\)"),
    "castings in one folder": ("cast_def_0_*.jpeg cast_ok_0_*.jpeg", r"2 words \(cast_def 4, cast_ok 4\)"),
    "pets": (
        "images/pug_*.jpg images/Bengal_*.jpg +annotations/trimaps/pug_*.png",
        r"words \(Bengal 4, pug 4\).*names$",
    ),
    "Intel": (
        "seg_train/sea/*.jpg seg_train/ice/*.jpg seg_test/sea/*.jpg seg_pred/*.jpg",
        "beside seg_pred.* move seg_pred",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_sets_of_which_the_classes_are_not_clear_say_what_to_do(tmp_path, name):
    files, told = REFUSED[name]
    with pytest.raises(ValueError, match=told):
        load(laid_out(tmp_path, files))


def test_what_may_be_pieces_or_published_parts_is_told(tmp_path):
    laid_out(tmp_path / "deck", "D/CD/*.jpg D/UD/*.jpg W/CW/*.jpg W/UW/*.jpg")
    deck = load(tmp_path / "deck").problems[0]
    assert deck.startswith("the classes are D, W, and they hold the folders CD, CW, UD, UW:")
    laid_out(tmp_path / "boards", "group00041/*.jpg group12000/*.jpg")
    assert "differ by a number alone, as parts, lots or recordings do" in problems_of(load(tmp_path / "boards"))[0]
    laid_out(tmp_path / "food", "images/ramen/*.jpg images/sushi/*.jpg")
    for name in ("test.txt", "train.zip"):
        (tmp_path / "food" / name).write_text("ramen/000\n")
    assert [text[:50] for text in problems_of(load(tmp_path / "food"))] == [
        "2 files are no image by the ending and passed over"[:50],
        "test.txt may say which images are for training and which for test"[:50],
    ]


# --- lists and tables of images ------------------------------------------------------------------------------------


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def records(names):
    return "".join(json.dumps({"file_name": name, "label": "ab"[i % 2], "objects": {}}) + "\n" for i, name in names)


def test_lists_of_images(tmp_path):
    laid_out(tmp_path, "lines/images/*.jpg records/train/*.jpg records/test/*.jpg solar/images/*.jpg")
    cells = {str(i): {"image_filepath": f"images/{i:03}.jpg", "anomaly_class": "xy"[i % 2]} for i in range(4)}
    pairs = {f"images/{i:03}.jpg": "xy"[i % 2] for i in range(4)}
    keyed = {name: {"label": label} for name, label in pairs.items()}
    for name, content in (("meta", cells), ("pairs", pairs), ("keyed", keyed)):
        written(tmp_path / f"solar/{name}.json", json.dumps(content))
        assert load(tmp_path / "solar").classes == load(tmp_path / f"solar/{name}.json").classes == ("x", "y")
        (tmp_path / f"solar/{name}.json").unlink()
    for part, rows in (("train", (0, 1, 2)), ("test", (3,))):
        written(tmp_path / f"lines/{part}.txt", "".join(f"images/{i:03}.jpg {i % 2}\n" for i in rows))
        written(
            tmp_path / f"records/{part}/metadata.{'JSONL' if part == 'test' else 'jsonl'}",
            records([(i, f"{i:03}.jpg") for i in range(4)]),
        )
    lines, listed = load(tmp_path / "lines"), load(tmp_path / "records")
    assert (lines.classes, Counter(lines.split.tolist())) == (("0", "1"), {"train": 3, "test": 1})
    assert (listed.classes, Counter(listed.split.tolist())) == (("a", "b"), {"train": 4, "test": 4})
    laid_out(tmp_path / "both", "cats/*.jpg dogs/*.jpg")
    written(tmp_path / "both/train.txt", "cats/000.jpg 0\ndogs/000.jpg 1\n")
    data = load(tmp_path / "both")
    assert data.classes == ("cats", "dogs")
    passed = "train.txt name images and labels too, and were passed over: the folders say the classes"
    assert problems_of(data)[-1] == passed


def test_tables_beside_their_images(tmp_path):
    laid_out(tmp_path / "visa", "candle/Data/Images/Normal/*.JPG candle/Data/Images/Anomaly/*.JPG")
    names = [f"candle/Data/Images/{name}/{i:03}.JPG,{name}" for name in ("Normal", "Anomaly") for i in range(4)]
    visa = written(tmp_path / "visa/split_csv/1cls.csv", "image,label\n" + "\n".join(names))
    assert load(visa).classes == ("Anomaly", "Normal")
    laid_out(tmp_path / "skin", "images_part_1/A*.jpg images_part_2/B*.jpg")
    rows = [f"{part}{i:03},{'xy'[i % 2]}" for part in "AB" for i in range(4)]
    skin = load(written(tmp_path / "skin/meta.csv", "image_id,label\n" + "\n".join(rows)))
    assert (skin.classes, len(skin)) == (("x", "y"), 8)
    assert not problems_of(skin)
    assert "were found in the folders images_part_1, images_part_2" in " ".join(skin.remarks)
    leaves = laid_out(tmp_path / "leaves", "images/apple/*.jpg images/corn/*.jpg")
    for part, numbers in (("train", range(3)), ("test", range(3, 4))):
        rows = [f"images/{name}/{i:03}.jpg,{name}" for name in ("apple", "corn") for i in numbers]
        written(leaves / f"{part}.csv", "image,label\n" + "\n".join(rows))
    assert Counter(load(leaves).split.tolist()) == {"train": 6, "test": 2}
    laid_out(tmp_path / "eyes", "train_images/a*.png test_images/b*.png")
    written(tmp_path / "eyes/train.csv", "id_code,diagnosis\n" + "".join(f"a{i:03},{i % 2}\n" for i in range(4)))
    written(tmp_path / "eyes/sample_submission.csv", "id_code,diagnosis\nb000,0\n")
    eyes = load(tmp_path / "eyes")
    assert (eyes.classes, len(eyes)) == (("0", "1"), 4)
    assert "sample_submission.csv was left out: its name says that answers" in problems_of(eyes)[0]
    (tmp_path / "eyes/train.csv").unlink()  # and alone it is no table of labels
    with pytest.raises(
        ValueError, match=r"no folder per class.*Where sample_submission\.csv say what .* write a \.csv"
    ):
        load(tmp_path / "eyes")
    steel = "ImageId,ClassId,EncodedPixels\n000.jpg,1,1 2\n000.jpg,3,5 2\n001.jpg,3,1 9\n"
    laid_out(tmp_path / "steel", "train_images/*.jpg")
    with pytest.raises(ValueError, match=r"boxes or outlines \(column encodedpixels\)"):
        load(written(tmp_path / "steel/train.csv", steel))


def test_pictures_inside_of_parquet(tmp_path):
    features = {"label": {"_type": "ClassLabel", "names": ["rust", "healthy"]}}
    schema = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    (tmp_path / "data").mkdir()
    shown = RANDOM.integers(0, 255, (8, 12, 12), np.uint8)
    for part, rows in (("train", range(6)), ("test", range(6, 8))):
        cells = []
        for i in rows:
            Image.fromarray(shown[i]).save(stream := BytesIO(), "PNG")
            cells.append({"bytes": stream.getvalue(), "path": f"{i}.png"})
        cells += cells[:1] if part == "test" else []
        labels = [i % 2 for i in rows] + [-1] * (part == "test")  # one is kept secret
        table = pyarrow.table({"image": cells, "label": labels}).replace_schema_metadata(schema)
        pyarrow.parquet.write_table(table, tmp_path / f"data/{part}-00000-of-00001.parquet")
    data = load(tmp_path)
    assert np.array_equal(data.images[..., 0], shown[[6, 7, 0, 1, 2, 3, 4, 5]])
    assert [data.classes[k] for k in data.labels[:2]] == ["rust", "healthy"]
    assert Counter(data.split.tolist()) == {"train": 6, "test": 2}
    assert problems_of(data) == ("rows without a label were left out: 1",)
    secret = table.set_column(1, "label", [[-1] * len(table)])
    pyarrow.parquet.write_table(secret, tmp_path / "data/unlabeled-00000-of-00001.parquet")
    assert Counter(load(tmp_path).split.tolist()) == {"train": 6, "test": 2}  # a table without labels is no part
    pyarrow.parquet.write_table(table, tmp_path / "data/extra-00000-of-00001.parquet")
    data = load(tmp_path)
    assert Counter(data.split.tolist()) == {"train": 6, "test": 2}
    assert "extra-00000-of-00001.parquet was left out: its name says no part" in problems_of(data)
    wrong = table.set_column(1, "label", [[2] * len(table)])
    pyarrow.parquet.write_table(wrong, tmp_path / "wrong.parquet")
    with pytest.raises(ValueError, match=r"wrong.parquet, row 1: the label is 2; allowed: whole numbers from 0 to 1"):
        load(tmp_path / "wrong.parquet")


BOXES = {
    "COCO": {"info": {}, "images": [{"id": i, "file_name": f"{i:03}.jpg"} for i in range(3000)], "annotations": []},
    "VIA": {
        f"{i:03}.jpg9": {"filename": f"{i:03}.jpg", "size": 9, "regions": [{"shape_attributes": {}}]} for i in (0, 1)
    },
}


@pytest.mark.parametrize("name", BOXES)
def test_boxes_are_no_lists_of_labels(tmp_path, name):
    laid_out(tmp_path, "train/*.jpg test/*.jpg")
    for part in ("train", "test"):
        file = written(tmp_path / f"{part}/boxes.json", json.dumps(BOXES[name]))
    for source in (tmp_path, file):
        with pytest.raises(ValueError, match=rf"holds boxes or outlines \(\w+ (as|of) {name}"):
            load(source)


# --- archives of series --------------------------------------------------------------------------------------------

SERIES = RANDOM.normal(size=(6, 2, 5)).round(3)  # six series, two dimensions, five moments


def dimension(i: int, d: int, length: int = 5) -> str:
    return ",".join(map(str, SERIES[i, d, :length]))


def ts(head: str, rows) -> str:
    return f"# UEA\n@problemName X\n@timeStamps false\n@classLabel true a b\n{head}@data\n" + "\n".join(rows) + "\n"


def test_series_of_the_archives(tmp_path):
    plain = ts("", [f"{dimension(i, 0)}:{'ab'[i % 2]}" for i in range(6)])
    names = "".join(f"@attribute t{i} numeric\n" for i in range(5))
    arff = f"% UCR\n@relation X\n{names}@attribute activity {{a,b}}\n@data\n"
    arff += "\n".join(f"{dimension(i, 0)},{'ab'[i % 2]}" for i in range(6))
    for part in ("TRAIN", "TEST"):
        written(tmp_path / f"zip/X_{part}.ts", plain)
        written(tmp_path / f"zip/X_{part}.arff", arff)
    whole = load(tmp_path / "zip")
    assert Counter(whole.split.tolist()) == {"train": 6, "test": 6}
    for kind in ("ts", "arff"):
        data = load(tmp_path / f"zip/X_TRAIN.{kind}")
        assert np.array_equal(data.images[..., 0], SERIES[:, 0].astype(np.float32))
        assert [data.classes[k] for k in data.labels] == list("ababab")
    several = ts("", [f"{dimension(i, 0)}:{dimension(i, 1)}:{'ab'[i % 2]}" for i in range(6)])
    deep = load(written(tmp_path / "deep_TRAIN.ts", several))
    assert np.array_equal(deep.images, np.moveaxis(SERIES, 1, 2).astype(np.float32))
    assert deep.classes == ("a", "b")
    short = ts("", [f"{dimension(i, 0, 3 + i % 3)}:{'ab'[i % 2]}" for i in range(6)])
    assert "lengths from 3 to 5" in load(written(tmp_path / "short.ts", short)).remarks[-1]
    like = load(tmp_path / "zip/X_TRAIN.ts").preprocess
    values, told = runtime.read_all([tmp_path / "zip/X_TEST.ts"], like)  # what may be learned from may be asked about
    assert (len(values), told) == (6, [])
    spaced = plain.replace("@timeStamps false", "@timeStamps  false").replace("@classLabel ", "@classLabel\t")
    assert load(written(tmp_path / "spaced.ts", spaced)).classes == ("a", "b")
    for name, text, wrong in (
        ("video.ts", "\x47\x40", "no text of series: its first line begins with no @"),
        ("stamps.ts", plain.replace("false", "true"), "a time stamp at each number"),
        ("bare.ts", ts("", ["1,2:a", "1,2"]), "series 2 has no label behind its numbers"),
        ("torn.ts", ts("", ["1,2:3,4:a", "1,2:b"]), "series 2: 1 dimensions; the others have 2"),
        ("deep.arff", "@relation X\n@attribute r relational\n@data\n", "several dimensions; name the .ts file"),
        (
            "pixels.csv",
            ",".join(["label", *(f"pixel{i}" for i in range(64))]) + "\n" + "0," * 64 + "1\n",
            "no series; save",
        ),
    ):
        with pytest.raises(ValueError, match=wrong):
            load(written(tmp_path / name, text))
