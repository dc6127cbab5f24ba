"""Very many images for `zansa check`: a folder of them, and the time that a check of it takes.

    python benchmarks/many.py FOLDER [--images 100000] [--kept]

Draws distinct images of 64 to 224 pixels from the packs (60 % CIFAR-10 enlarged, 20 % crops of magnetic tiles, 10 %
circuit boards) and the generator (10 %), with 60 exact and 60 near copies among them, runs `zansa check` on them as a
user does, and prints one JSON object: wall and processor seconds, the highest memory, and how many copies were found.
100,000 images take 1 GB of disk and some minutes to draw; the folder goes away at the end unless --kept.
"""

import argparse
import csv
import io
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from check import EACH, _changed, _gray
from packs import CIFAR, PCB, _arrays, _tile_files, _unpacked, cifar10, shared_data
from PIL import Image

from zansa.learn.audit.near import CHANGES
from zansa.learn.data.synthetic import surfaces

SMALL, LARGE = 64, 224  # pixels
COPIES = 60  # exact ones
ENDS = "", ".left_out"  # of the cleaned manifest and of what it leaves out
Picture = tuple[str, str, np.ndarray]  # class, ending, levels (H, W, C)


def photographs(shared: Path, count: int, rng: np.random.Generator) -> Iterator[Picture]:
    images, labels, _ = cifar10(shared)
    for i in rng.permutation(len(images))[:count].tolist():
        side = int(rng.integers(SMALL, LARGE + 1))
        yield (
            CIFAR[labels[i]],
            "jpg",
            np.asarray(Image.fromarray(images[i]).resize((side, side), Image.Resampling.BICUBIC)),
        )


def crops(shared: Path, count: int, rng: np.random.Generator) -> Iterator[Picture]:
    files = _tile_files(shared)
    rows = list(csv.DictReader(io.StringIO(files["index.csv"].decode())))
    each = -(-count // len(rows))
    for k in range(count):
        row = rows[k // each]
        if k % each == 0:
            levels = _gray(files[row["file"]])
        side = int(rng.integers(SMALL, min(LARGE, *levels.shape[:2]) + 1))
        top, left = (int(rng.integers(0, room - side + 1)) for room in levels.shape[:2])
        yield f"tile {row['class']}", "jpg", levels[top : top + side, left : left + side]


def boards(shared: Path, count: int, rng: np.random.Generator) -> Iterator[Picture]:
    pack = _arrays(shared / "deeppcb" / "deeppcb_patches.tar.xz")
    rows = np.sort(rng.permutation(len(pack["cls"]))[:count])
    for label, image in zip(pack["cls"][rows].tolist(), _unpacked(pack["test_bits"][rows]), strict=True):
        yield f"board {PCB[label]}", "png", image[..., None]


def drawn(shared: Path, count: int, rng: np.random.Generator) -> Iterator[Picture]:
    made = surfaces(count, seed=1)
    for image, label in zip(made.images, made.labels, strict=True):
        yield f"surface {made.classes[label]}", "png", image


SOURCES: dict[Callable[[Path, int, np.random.Generator], Iterator[Picture]], float] = {
    photographs: 0.6,
    crops: 0.2,
    boards: 0.1,
    drawn: 0.1,
}


def write(folder: Path, shared: Path, count: int) -> list[tuple[str, Path, Path]]:
    """The images, and of each planted copy its kind, its source and itself."""
    rng, files = np.random.default_rng(0), []
    for source, share in SOURCES.items():
        for label, ending, levels in source(shared, round(share * count), rng):
            path = folder / label / f"{len(files):06d}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels).save(path, quality=88)
            files.append(path)
    chosen = [files[i] for i in rng.permutation(len(files))[: COPIES + EACH * len(CHANGES)].tolist()]
    return [_planted(path, k, len(files) + k) for k, path in enumerate(chosen)]


def _planted(path: Path, k: int, number: int) -> tuple[str, Path, Path]:
    copy = path.with_name(f"{number:06d}{path.suffix}")
    if k < COPIES:
        shutil.copy(path, copy)
        return "equal", path, copy
    kind, copy = CHANGES[(k - COPIES) // EACH], copy.with_suffix(".png")
    levels = np.asarray(Image.open(path))
    changed = _changed(levels if levels.ndim == 3 else levels[..., None], kind, (-1.0) ** k)
    Image.fromarray(changed[..., 0] if changed.shape[2] == 1 else changed).save(copy)
    return kind, path, copy


def checked(folder: Path, out: Path) -> tuple[dict, dict]:
    """The result of `zansa check`, and what it took."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = ["--page", str(out / "check.html"), "--fix", str(out / "clean.csv"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "zansa", "check", str(folder), *words], stdout=subprocess.PIPE, check=True
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), {"wall_s": round(wall), "cpu_s": round(cpu), "memory_MB": after.ru_maxrss // 1024}


def found(out: Path, planted: list[tuple[str, Path, Path]]) -> dict[str, int]:
    """How many exact copies the cleaned manifest leaves out, and how many near copies it puts in one group."""
    kept, gone = ({Path(row["path"]).stem: row.get("group") for row in _rows(out / f"clean{end}.csv")} for end in ENDS)
    hit = dict.fromkeys(("equal", *CHANGES), 0)
    for kind, path, copy in planted:
        one, other = path.stem, copy.stem
        alike = one in kept and other in kept and bool(kept[one]) and kept[one] == kept[other]
        hit[kind] += {one, other} & gone.keys() != set() if kind == "equal" else alike
    return hit


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--kept", action="store_true", help="leave the images there")
    parser.add_argument("--shared", type=Path)
    given = parser.parse_args()
    folder = given.folder / "images"
    if folder.exists():
        parser.error(f"{folder} is there: name a folder without images")
    planted = write(folder, shared_data(given.shared), given.images)
    size = sum(path.stat().st_size for path in folder.rglob("*.*")) >> 20
    result, took = checked(folder, given.folder)
    told = {each["kind"]: each["count"] for each in result["findings"]}
    reach = next((each["facts"] for each in result["findings"] if each["kind"] == "near_reach"), {})
    record = {"images": result["images"], "MB": size, **took, "found": found(given.folder, planted), "kinds": told}
    print(json.dumps({**record, "reach": reach}, ensure_ascii=False), flush=True)
    if not given.kept:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
