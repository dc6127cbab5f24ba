"""Where labelled images come from: the plain value that folders and manifests are read into, and array files."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...inputs.files import printable

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trainings": "train",  # Trainingsdaten
    "訓練": "train",
    "学習": "train",
    "训练": "train",
    "학습": "train",
    "훈련": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "validierung": "val",
    "validierungs": "val",
    "検証": "val",
    "验证": "val",
    "검증": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
    "hold-out": "test",
    "hold_out": "test",
    "heldout": "test",
    "eval": "test",
    "evaluation": "test",
    "テスト": "test",
    "評価": "test",
    "测试": "test",
    "테스트": "test",
    "시험": "test",
}
DOUBTFUL = {"eval", "evaluation"}  # the test part, or where there is one the part for validation
_FILLING = (
    "set|images?|imgs?|data|pictures|photos|split|part|samples|patches|crops|tiles|labels?|annotations?|"
    "daten|datensatz|bilder|"
    r"用|データ|セット|画像|写真|集|数据|图像|图片|데이터|세트|이미지|\d"
)
_FILLED = re.compile(rf"(?:(?:{_FILLING})[\W_]*)+")
# folders that stand beside those of classes, and are none by their names
_BESIDE = re.compile(
    r"masks|ground[ _-]?truth|gt|thumbnails|thumbs|previews|un-?label?led|unsorted|unclassified|augmented|backup|"
    r"(new folder|untitled folder|neuer ordner|新しいフォルダー?|新建文件夹|새 폴더)( \(?\d+\)?)?|"
    r"未分類|未ラベル|ラベルなし|未标注|미분류"
)
# how to go on with files that are read otherwise, or that people have to turn into others
_ARCHIVE = ". Archives are not looked into: unpack them first"
_WAYS = {
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"), _ARCHIVE),
    ".npz": ". An .npz is not looked for in a folder: name the file itself",
    ".npy": ". Save arrays as one .npz: np.savez('set.npz', images=..., labels=...), and name that file",
    ".mat": ". MATLAB files are not read: np.savez('set.npz', signals=..., labels=...), or images=, and name that file",
    ".wav": ". Sound is learned as signals: np.savez('set.npz', signals=..., labels=...), and name that file",
    ".tfrecord": ". TFRecords are not read: save their pictures as files, in one folder per class",
}
_PART = re.compile(rf"(?:(?:{_FILLING})[\W_]*)*({'|'.join(SPLIT_WORDS)})(?:[\W_]*(?:{_FILLING}))*")
MANIFESTS = (".csv", ".tsv", ".parquet")
NEEDED = (
    "needed: one row per image with the columns path, label and, when known, group and split; or, for series, a column "
    "sequence or columns of numbers in place of path"
)
BESIDE = ("labels", "classes", "groups", "split", "names")  # what stands beside the samples in an .npz


@dataclass(frozen=True)
class Listing:
    """Files with what is known of each; all tuples are of one length. `problems` are sentences on what was left out,
    `remarks` on what was decided."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    split: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def split_word(word: str, where: str) -> str:
    """ "train", "val" or "test" for the words people use; ValueError names `where` for any other."""
    known = SPLIT_WORDS.get(word.strip().lower())
    if known is None or word.strip().lower() in DOUBTFUL:
        raise ValueError(f"{where}: the split is {word!r}; allowed: train, val (valid, validation), test")
    return known


def part_of(name: str) -> str | None:
    """The part that a folder or a table is called after: train, test_set, Validation Images, train2017; None for any
    other name."""
    found = _PART.fullmatch(name.casefold())
    return SPLIT_WORDS[found[1]] if found else None


def says_nothing(name: str) -> bool:
    """Whether a folder's name is no class's: images, data, photos."""
    return _FILLED.fullmatch(name.casefold()) is not None and not name.isdecimal()


def is_no_class(name: str) -> bool:
    """Whether a folder's name is hardly a class's: images, masks, unlabelled, New folder."""
    counted = any(map(str.isdigit, name))  # label_1 beside label_2 may be classes
    return (says_nothing(name) and not counted) or _BESIDE.fullmatch(name.strip().casefold()) is not None


def stands_beside(name: str) -> bool:
    """Whether a folder's name says that it stands beside those of classes or parts: masks, ground_truth, unlabelled."""
    return _BESIDE.fullmatch(name.strip().casefold()) is not None


def shortened(items: Sequence[str], most: int = 5) -> str:
    """The first few of a list, for a message."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def way_out(endings: Iterable[str]) -> str:
    """How to go on with files of these endings; "" where nothing is known."""
    kinds = (ending.partition("-")[0] for ending in endings)  # .tfrecord-00000-of-00002
    return "".join({_WAYS[kind]: "" for kind in kinds if kind in _WAYS})


# --- array files ---------------------------------------------------------------------------------------------------


def image_arrays(path: Path, found: dict[str, np.ndarray]) -> dict[str, Any]:
    """What from_arrays takes, out of an .npz with images, labels and, optionally, classes, groups, split, names."""
    missing = [name for name in ("images", "labels") if name not in found]
    if missing:
        raise ValueError(
            f"{printable(path.name)} has no array {' and no array '.join(missing)} (it has: {', '.join(found)}); "
            "needed: images (N, H, W[, C]), or signals (N, length) or (N, channels, length), and labels (N,), "
            "optional: classes, groups, split, names"
        )
    return {name: found[name] for name in ("images", *BESIDE) if name in found}


def unused_arrays(path: Path, found: dict[str, np.ndarray], samples: str) -> tuple[str, ...]:
    """A sentence on the arrays of an .npz that were not read; () where there are none. `samples`: images or signals."""
    unused = [name for name in found if name not in (samples, *BESIDE)]
    if not unused:
        return ()
    known = ", ".join((samples, *BESIDE))
    return (f"{printable(path.name)}: arrays that were passed over: {shortened(unused)} (known: {known})",)
