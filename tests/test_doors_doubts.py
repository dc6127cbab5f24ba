"""What looks like something else and is none: photographs with the names of masks, links, torn lists and tables."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from zansa.learn.data import load

RANDOM = np.random.default_rng(8)


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """A cache of its own for every test."""
    monkeypatch.setenv("ZANSA_CACHE", str(tmp_path_factory.mktemp("cache")))


def photograph(colours: int = 0) -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 255, (16, 16, 3)[: 2 + bool(colours)], np.uint8))


def scanned() -> Image.Image:
    return Image.fromarray(np.uint8(255) * RANDOM.integers(0, 2, (16, 16), np.uint8))


def mask() -> Image.Image:
    levels = np.zeros((64, 64), np.uint8)
    levels[8:40, 16:48] = 255
    return Image.fromarray(levels)


def laid_out(root: Path, **made) -> Path:
    """Pictures, four of each, by patterns with * for their numbers."""
    for make, patterns in made.items():
        for pattern in patterns.split():
            for i in range(4):
                path = root / pattern.replace("*", f"{i}")
                path.parent.mkdir(parents=True, exist_ok=True)
                globals()[make]().save(path)
    return root


KEPT = {  # what lies in the folder, and the images of each class
    "face masks": ({"photograph": "masks/*.png no_masks/*.png badly/*.png"}, {"masks": 4, "no_masks": 4, "badly": 4}),
    "labels of bottles": ({"photograph": "ok/*.png ok/*_label.png ng/*.png"}, {"ok": 8, "ng": 4}),
    "scanned text": ({"scanned": "label/*.png letter/*.png"}, {"label": 4, "letter": 4}),
    "scanned signs": ({"scanned": "ok/*.png ok/*_gt.png ng/*.png"}, {"ok": 8, "ng": 4}),
    "two photographs of one name": ({"photograph": "ok/*.jpg ok/*.png ng/*.png"}, {"ok": 8, "ng": 4}),
    "blurred masks": ({"photograph": "ok/*.png ng/*.png", "mask": "ng/*_mask.jpg masks/*.jpg"}, {"ok": 4, "ng": 4}),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_name_alone_makes_no_mask(tmp_path, name):
    made, classes = KEPT[name]
    data = load(laid_out(tmp_path, **made))
    assert dict(zip(data.classes, np.bincount(data.labels).tolist(), strict=True)) == classes
    alike = any("are called like masks of others and do not look like such" in text for text in data.problems)
    assert alike == (name not in ("blurred masks", "two photographs of one name"))


def test_a_link_gives_no_folder_another_class(tmp_path):
    laid_out(tmp_path / "set", photograph="a/*.png b/*.png")
    laid_out(tmp_path, photograph="outside/*.png")
    for name, target in (("b", "set/b"), ("loop", "set"), ("c", "outside")):
        (tmp_path / "set/a" / name).symlink_to(tmp_path / target)
    data = load(tmp_path / "set")
    assert sorted(data.names) == [f"{place}/{i}.png" for place in ("a", "a/c", "b") for i in range(4)]


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("a.json", '{"0.png": "x", "1.png": "y", "0.png": "y"}', "the key 0.png is there twice"),
        (
            "a.json",
            json.dumps([{"file": f"{i}.png", "label": ["x"], "camera": "xy"[i % 2]} for i in range(4)]),
            "lists",
        ),
        ("a.csv", "path,Label,label\n0.png,x,u\n1.png,y,u\n", "two columns called label that differ"),
        ("a.txt", "0.png very good\n", "a.txt is no list of images; needed: a line an image"),
    ],
)
def test_lists_that_would_lose_or_swap_labels_are_refused(tmp_path, name, text, wrong):
    laid_out(tmp_path, photograph="*.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=wrong):
        load(tmp_path / name)


def pictures(path: Path, features=None, colours: int = 0, **columns) -> Path:
    cells = []
    for _ in columns["label"]:
        photograph(colours).save(stream := BytesIO(), "PNG")
        cells.append({"bytes": stream.getvalue(), "path": None})
    table = pyarrow.table({"depth": cells, "image": cells} | columns)
    said = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    path.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(table.replace_schema_metadata(said), path)
    return path


def test_parts_and_groups_of_pictures_in_tables(tmp_path):
    named = {"label": {"names": ["ok", "ng"]}}
    for colours, part in enumerate(("train", "test", "extra")):  # as SVHN has them
        pictures(tmp_path / f"set/{part}-0.parquet", named, colours % 2, label=[0, 1, 0, 1])
    data = load(tmp_path / "set")
    assert sorted(zip(data.names, data.split.tolist(), strict=True))[::4] == [
        ("test-0 row 1", "test"),
        ("train-0 row 1", "train"),
    ]
    assert data.problems == (
        "extra-0.parquet was left out: its name says no part",
        "4 of 8 images: it is gray, and was read as colour",
    )
    parts, groups = ["train", "train", "test", "test"], ["p1", "p1", "p2", "p3"]
    data = load(pictures(tmp_path / "own.parquet", label=["a", "b", "a", "b"], split=parts, group=groups))
    assert (data.split.tolist(), data.groups.tolist()) == (parts, groups)
    assert data.remarks[0].endswith("groups from column group, parts from column split; passed over: depth")
    for labels, wrong in (([0, 1, 2, 0], "row 3: the label is 2; allowed: .* 0 to 1"), ([[0]] * 4, "no column of lab")):
        with pytest.raises(ValueError, match=wrong):
            load(pictures(tmp_path / "wrong.parquet", named, label=labels))


def test_torn_texts_of_the_archives(tmp_path):
    head = "@relation X\n@attribute a numeric\n@attribute b numeric\n@attribute c {'it\\'s',\"x,y\"}\n@data\n"
    (tmp_path / "a.arff").write_text("\ufeff" + head + "1,2,'it\\'s'\n3,4.5,\"x,y\"\n" * 3)
    data = load(tmp_path / "a.arff")
    assert (data.classes, len(data)) == (("it's", "x,y"), 6)
    for row, wrong in (("1,2,'x\n3,4,z\n", "row 1: unexpected end"), ("{0 1, 2 z}\n", "row 1 is sparse")):
        (tmp_path / "a.arff").write_text(head + row)
        with pytest.raises(ValueError, match=wrong):
            load(tmp_path / "a.arff")
