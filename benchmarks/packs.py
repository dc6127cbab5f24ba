"""Turn the packs of public data into what `zansa train` reads: image files with a manifest.csv, one .npz, or a table.

    python benchmarks/packs.py magnetic_tile OUT [--test-fold 0|1|2|3|4|random]
    python benchmarks/packs.py deeppcb OUT
    python benchmarks/packs.py mnist OUT
    python benchmarks/packs.py cifar10 OUT
    python benchmarks/packs.py cifar10_test OUT
    python benchmarks/packs.py heartbeats|splice|promoters|gunpoint|italy OUT

The packs are looked for in --shared, else in $ZANSA_SHARED_DATA, else in ../shared/data of the repository.
A manifest has the columns path,label[,group],split and is written last: where it stands, the folder is
whole. Lossless sources become PNG; the lossy WebP files of the magnetic tiles are copied byte for byte.
"""

import argparse
import csv
import io
import os
import tarfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

PCB = {1: "open", 2: "short", 3: "mousebite", 4: "spur", 5: "copper", 6: "pin-hole"}
BEATS = ("N", "S", "V", "F")  # normal, supraventricular, ventricular, fusion: the classes of the AAMI
UCR = {"gunpoint": "GunPoint", "italy": "ItalyPowerDemand"}
SERIES = ("heartbeats", "splice", "promoters", *UCR)
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Picture(NamedTuple):
    """One image file to be: `path` inside the folder, its bytes, and its row of the manifest."""

    path: str
    content: bytes
    label: str
    group: str
    split: str


def shared_data(given: str | Path | None = None) -> Path:
    """The folder of the packs; ValueError when it is not there."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(given or os.environ.get("ZANSA_SHARED_DATA") or beside)
    if not (folder / "magnetic_tile").is_dir():
        raise ValueError(f"no data packs in {folder}; name their folder by --shared or $ZANSA_SHARED_DATA")
    return folder


@cache
def _gray_png(webp: bytes) -> bytes:
    """The pack's gray images as PNG: WebP has no gray, and would make them colour."""
    out = io.BytesIO()
    Image.open(io.BytesIO(webp)).convert("L").save(out, "PNG", compress_level=1)
    return out.getvalue()


def magnetic_tile(shared: Path, test_fold: str = "0") -> list[Picture]:
    """1,344 images, 6 classes. The test part is one fold of whole tiles, "0".."4"; or, to show what a leaking
    split claims, "random": a random fifth of each class, with no groups given.
    """
    files = _tile_files(shared)
    rows = list(csv.DictReader(io.StringIO(files["index.csv"].decode())))
    leaking = test_fold == "random"
    folds = random_folds([row["class"] for row in rows]) if leaking else [row["fold"] for row in rows]
    held_out = "0" if leaking else test_fold
    return [
        Picture(
            path=str(Path(row["file"]).with_suffix(".png")),
            content=_gray_png(files[row["file"]]),
            label=row["class"],
            group="" if leaking else row["group"],
            split="test" if fold == held_out else "train",
        )
        for row, fold in zip(rows, folds, strict=True)
    ]


@cache
def _tile_files(shared: Path) -> dict[str, bytes]:
    with tarfile.open(shared / "magnetic_tile" / "magnetic_tile.tar.xz") as archive:
        return {member.name: _content(archive, member) for member in archive if member.isfile()}


def random_folds(labels: Sequence[str], seed: int = 0) -> list[str]:
    """Folds "0".."4", at random, each class spread evenly: the split of one who knows no groups."""
    folds, seen = [""] * len(labels), Counter[str]()
    for i in np.random.default_rng(seed).permutation(len(labels)):
        folds[i] = str(seen[labels[i]] % 5)
        seen[labels[i]] += 1
    return folds


def deeppcb(shared: Path) -> list[Picture]:
    """10,013 crops with a defect, 6 classes, and as many "ok" ones: the same places of the flawless boards.

    Split of the authors, group = source image. One template crop in six is blank (all copper or none), so
    equal "ok" images stand in both parts; they are kept, as blank board is what an inspection sees too.
    """
    pack = _arrays(shared / "deeppcb" / "deeppcb_patches.tar.xz")
    labels = [PCB[number] for number in pack["cls"].tolist()]
    sides = [(pack["test_bits"], labels), (pack["template_bits"], ["ok"] * len(labels))]
    return [
        Picture(f"{label}/{source}_{i:05d}.png", _png(image), label, source, "test" if is_test else "train")
        for bits, names in sides
        for i, (image, label, source, is_test) in enumerate(
            zip(_unpacked(bits), names, pack["image"].tolist(), pack["split"].tolist(), strict=True)
        )
    ]


def mnist(shared: Path) -> list[Picture]:
    """6,000 + 3,000 digits of 28x28; the numbers in the file names are positions in the official split."""
    pack = _arrays(shared / "mnist" / "mnist_subset.tar.xz")
    return [
        Picture(f"{digit}/{split}_{number:05d}.png", _png(image), str(digit), "", split)
        for split in ("train", "test")
        for image, digit, number in zip(*(pack[f"{split}_{part}"] for part in ("x", "y", "index")), strict=True)
    ]


def cifar10(shared: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """images (60000, 32, 32, 3) uint8, labels and split, each (60000,); the train part is a lossy copy."""
    with tarfile.open(shared / "cifar10" / "cifar10.tar") as archive:
        sheets = {member.name: _content(archive, member) for member in archive if member.isfile()}
    train = _cut(sheets, "train", 50, rows=25, columns=40)
    test = _cut(sheets, "test", 40, rows=10, columns=25)
    images = np.concatenate([train, test])
    labels = np.concatenate([np.arange(len(train)) // 5000, np.arange(len(test)) // 1000])
    return images, labels, np.array(["train"] * len(train) + ["test"] * len(test))


def cifar10_test(shared: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lossless part of `cifar10` alone, split anew: 1,000 + 1,000 to decide with and 8,000 to tell; for weights of
    other authors, which have seen all of the train part."""
    images, labels, split = cifar10(shared)
    images, labels = images[split == "test"], labels[split == "test"]
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], labels[order], np.array(["train"] * 1000 + ["val"] * 1000 + ["test"] * 8000)


def series(shared: Path, name: str) -> list[list[object]]:
    """The header and the rows of a table of series: splice junctions and promoters as they are, without a split; of the
    UCR sets and the heartbeats the given split, of the heartbeats the patient as group.

    Heartbeats: 6,358 + 7,225 of 128 numbers; splice: 3,190 of 60 letters; promoters: 106 of 57; GunPoint: 50 + 150
    of 150 numbers; ItalyPowerDemand: 67 + 1,029 of 24.
    """
    with tarfile.open(shared / "series" / "series.tar.xz") as archive:
        files = {Path(member.name).name: _content(archive, member) for member in archive if member.isfile()}
    if name in ("splice", "promoters"):
        lines = list(csv.DictReader(io.StringIO(files[f"{name}.csv"].decode())))
        return [["id", "label", "sequence"], *([line["name"], line["class"], line["sequence"]] for line in lines)]
    rows: list[list[object]] = []
    for split, part in (("train", "ds1"), ("test", "ds2")):
        stem = f"mitbih_{part}" if name == "heartbeats" else f"{UCR[name]}_{split}"
        x, y = (np.load(io.BytesIO(files[f"{stem}_{what}.npy"])) for what in "xy")
        labels = [BEATS[k] for k in y] if name == "heartbeats" else y.tolist()
        groups = np.load(io.BytesIO(files[f"{stem}_record.npy"])).tolist() if name == "heartbeats" else None
        for i, (numbers, label) in enumerate(zip(x.tolist(), labels, strict=True)):
            rows.append([label, split, *([groups[i]] if groups else []), *numbers])
    known = ["label", "split", *(["group"] if name == "heartbeats" else [])]
    return [[*known, *(f"t{i}" for i in range(len(rows[0]) - len(known)))], *rows]


def write_table(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """A CSV file, whole or not at all; returns its path."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return unfinished.replace(path)


def write(out: Path, pictures: list[Picture]) -> Path:
    """Write the image files and, last, the manifest; returns the manifest's path."""
    for folder in {(out / picture.path).parent for picture in pictures}:
        folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        (out / picture.path).write_bytes(picture.content)
    grouped = any(picture.group for picture in pictures)
    columns = ["path", "label", *(["group"] if grouped else []), "split"]
    unfinished = out / "manifest.csv.part"
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(picture, column) for column in columns] for picture in pictures)
    return unfinished.replace(out / "manifest.csv")


def prepare(name: str, out: Path, shared: Path, test_fold: str = "0", every: int = 1, first: int = 0) -> Path:
    """Write the pack `name`, or only one image in `every` from the `first` on, into the folder `out`; returns its
    manifest or .npz."""
    out.mkdir(parents=True, exist_ok=True)
    if name in ("cifar10", "cifar10_test"):
        read = cifar10 if name == "cifar10" else cifar10_test
        images, labels, split = (values[first::every] for values in read(shared))
        np.savez(out / "part.npz", images=images, labels=labels, split=split, classes=np.array(CIFAR))
        return (out / "part.npz").replace(out / f"{name}.npz")
    if name in SERIES:
        header, *rows = series(shared, name)
        return write_table(out / f"{name}.csv", [header, *rows[first::every]])
    if name == "magnetic_tile":
        return write(out, magnetic_tile(shared, test_fold)[first::every])
    return write(out, {"deeppcb": deeppcb, "mnist": mnist}[name](shared)[first::every])


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, f"{member.name} is no plain file"
    return file.read()


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with tarfile.open(path) as archive:
        return {Path(member.name).stem: np.load(io.BytesIO(_content(archive, member))) for member in archive}


def _unpacked(bits: np.ndarray) -> np.ndarray:  # (N, 512) of 8 bits each -> (N, 64, 64) of 0 and 255
    return np.unpackbits(bits, axis=1).reshape(-1, 64, 64) * np.uint8(255)


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _cut(sheets: dict[str, bytes], part: str, count: int, rows: int, columns: int) -> np.ndarray:
    images = []
    for number in range(count):
        sheet = Image.open(io.BytesIO(sheets[f"{part}/sheet_{number:02d}.webp"])).convert("RGB")
        tiles = np.asarray(sheet).reshape(rows, 32, columns, 32, 3).transpose(0, 2, 1, 3, 4)
        images.append(tiles.reshape(-1, 32, 32, 3))
    return np.concatenate(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("magnetic_tile", "deeppcb", "mnist", "cifar10", "cifar10_test", *SERIES))
    parser.add_argument("out", type=Path, help="folder to write to; made when missing")
    parser.add_argument("--shared", type=Path, help="folder of the packs")
    parser.add_argument("--test-fold", choices=(*"01234", "random"), default="0", help="magnetic_tile only")
    given = parser.parse_args()
    try:
        print(prepare(given.name, given.out, shared_data(given.shared), given.test_fold))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
