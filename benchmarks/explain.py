"""Do the maps of `zansa explain` mark the defect, and does its verdict know when? On the built-in set and on tiles.

    python benchmarks/explain.py OUT [--only builtin tiles] [--seed 0] [--threads 1]

A network is trained with no option for each set (OUT/runs/NAME-SEED; one that is there is taken), and its maps are
compared with the masks of defects on test images, of which it learned nothing: the area under the ROC curve over
pixels, whether the strongest place lies on the defect or a twentieth of the longer side beside it, the share of the
positive part that lies on the defect, the share of images on which the marked region matters more than that region
elsewhere (p <= 0.05), the rank correlation with maps of the same network with shuffled weights, and milliseconds of
the processor an image. Two controls stand beside them: local contrast, which knows no network, and the relevance of a
network with shuffled weights. Then the verdict: its words on validation images and, as they were chosen before, on
test images.

Writes OUT/explain-NAME-SEED.json and OUT/masks/NAME, which `zansa explain RUN IMAGES --masks` takes; prints tables.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import packs
import torch
from PIL import Image
from scipy.stats import rankdata

from zansa.jobs.explain import Bank, run_data, shapes_of, verdicts
from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.learn.data.dataset import Dataset
from zansa.learn.data.synthetic import COUNT, surfaces
from zansa.learn.explain.answers import answers, inside, likeness
from zansa.learn.explain.maps import MAPS, blur, enlarged
from zansa.learn.explain.masks import Masks, masks_of, worth
from zansa.learn.explain.near import known
from zansa.learn.explain.rows import Subject
from zansa.learn.explain.verdict import faithfulness, on_defect, shuffled
from zansa.learn.predict import to_tensor
from zansa.nets.files import Model
from zansa.nets.files import load as load_model
from zansa.words import rate_text, typed

IMAGES = 45  # on which maps are compared, at most
TESTED = 24  # of them, on which the permutation test is made
SLOW = {"occlusion": 12}  # images of a map that takes some 200 passes
CONTRAST, RANDOM = "local contrast, no network", "relevance, shuffled network"
Row = dict[str, Any]


def run_of(name: str, out: Path, seed: int) -> Path:
    """The folder of a trained network."""
    path = out / "runs" / f"{name}-{seed}"
    if not (path / "model.safetensors").exists():
        source = "synthetic" if name == "builtin" else str(out / "data" / "tiles" / "manifest.csv")
        if name == "tiles":
            packs.prepare("magnetic_tile", out / "data" / "tiles", packs.shared_data(), str(seed))
        train(TrainRequest(source=source, seed=seed), out / "runs", path.name)
    return path


def write_masks(name: str, folder: Path, seed: int) -> Path:
    """The masks of a set as images, named like its images."""
    if name == "tiles":
        for file, content in packs._tile_files(packs.shared_data()).items():
            if file.startswith("masks/"):
                place = folder / Path(file).relative_to("masks")
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.open(BytesIO(content)).convert("L").save(place)
        return folder
    made = surfaces(COUNT, seed)
    for i, mask in enumerate(made.masks):
        if mask.any():
            place = folder / made.classes[made.labels[i]] / f"{i:05d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.uint8(255) * mask).save(place)
    return folder


def some(data: Dataset, rows: np.ndarray) -> Dataset:
    """Some of the samples of a data set."""
    names, digests = ([values[k] for k in rows] for values in (data.names, data.digests))
    groups = None if data.groups is None else data.groups[rows]
    return replace(
        data, images=data.images[rows], labels=data.labels[rows], names=tuple(names), digests=tuple(digests),
        groups=groups, split=None, files=(),
    )  # fmt: skip


def contrast(seen: Subject, x: torch.Tensor) -> torch.Tensor:
    """By how much each place differs from its surroundings: it knows no network."""
    return (x - blur(x)).abs().sum(1)


def area(values: np.ndarray, mask: np.ndarray) -> float:
    """The area under the ROC curve over pixels."""
    ranks, count = rankdata(values, axis=None)[mask.flatten()], int(mask.sum())
    return float((ranks.sum() - count * (count + 1) / 2) / (count * (mask.size - count)))


def compared(name: str, make: Callable[..., torch.Tensor], seen: Subject, x: torch.Tensor, marked: Masks,
             places: list[Any]) -> Row:  # fmt: skip
    """The row of one map."""
    x = x[: SLOW.get(name, len(x))]
    seconds, maps = [], []
    for each in x:
        began = time.process_time()
        maps.append(enlarged(make(seen, each[None]), tuple(x.shape[2:]))[0])
        seconds.append(time.process_time() - began)
    inner = [(m[place], mask[place]) for m, mask, place in zip(maps, marked.masks, places, strict=False)]
    p = [faithfulness(seen, x[n], maps[n], places[n], np.random.default_rng(n))[0] for n in range(min(TESTED, len(x)))]
    return {
        "map": name,
        "images": len(x),
        "area": float(np.mean([area(m, mask) for m, mask in inner])),
        "pointing": float(np.mean([on_defect(*each) for each in zip(maps, marked.masks, places, strict=False)])),
        "energy": float(np.mean([m.clip(0)[mask].sum() / max(m.clip(0).sum(), 1e-12) for m, mask in inner])),
        "faithful": float(np.mean([each <= 0.05 for each in p])),
        "ms": 1e3 * median(seconds),
    }


def maps_of(model: Model, data: Dataset, marked: Masks) -> list[Row]:
    """A row for each map and control, on images with masks."""
    x = to_tensor(data, marked.rows, torch.device("cpu"), torch.contiguous_format)
    places = [inside(shape, model.preprocess) for shape in shapes_of(data, marked.rows)]
    found = answers(model, "relevance", x)
    seen = found.subjects[0]
    other = shuffled(seen, x[:16], 0)
    rows = []
    for kind, make in MAPS.items():
        rows.append(compared(kind, make, seen, x, marked, places))
        rows[-1]["alike"] = None if kind in SLOW else likeness(answers(model, kind, x[:16]))
        print(rows[-1], file=sys.stderr, flush=True)
    rows.append(compared(CONTRAST, contrast, seen, x, marked, places) | {"alike": None})
    by_other = partial(lambda _, each: MAPS["relevance"](other, each))
    rows.append(compared(RANDOM, by_other, seen, x, marked, places) | {"alike": None})
    return rows


def worth_on(model: Model, data: Dataset, bank: Bank, marked: Masks) -> Row:
    """The words of the verdict on relevance, and how often the strongest place was the defect."""
    x = to_tensor(data, marked.rows, torch.device("cpu"), torch.contiguous_format)
    places = [inside(shape, model.preprocess) for shape in shapes_of(data, marked.rows)]
    found = answers(model, "relevance", x)
    began = time.process_time()
    alike = likeness(found)
    told = verdicts(model, found, places, [data.digests[k] for k in marked.rows], alike, bank)
    spent = time.process_time() - began
    return worth([each["word"] for each in told], found.maps, marked.masks, places) | {
        "alike": alike, "ms": 1e3 * spent / len(x), "grades": [each["grades"] for each in told],
    }  # fmt: skip


def measure(name: str, out: Path, seed: int) -> Row:
    """All figures of one set."""
    run = run_of(name, out, seed)
    model = load_model(run / "model.safetensors")
    data, parts = run_data(str(run), model)
    folder = write_masks(name, out / "masks" / name, seed)
    train_part = some(data, parts.train)
    bank = Bank(train_part, known(model.module, train_part, train_part.labels))
    test, val = (masks_of(folder, data, part) for part in (parts.test, parts.val))
    few = np.linspace(0, len(test.rows) - 1, min(IMAGES, len(test.rows))).astype(int)
    chosen = np.random.default_rng(0).permutation(few)
    shown = Masks(test.rows[chosen], test.masks[chosen], [])
    return {
        "set": name,
        "seed": seed,
        "verdict": {part: worth_on(model, data, bank, each) for part, each in (("validation", val), ("test", test))},
        "maps": maps_of(model, data, shown),
    }


def table(found: Row) -> str:
    """The tables of one set."""
    lines = [
        "| map | ROC area | on the defect | energy in the mask | p <= 0.05 | like a shuffled network | ms |",
        "|---" * 7 + "|",
    ]
    for row in found["maps"]:
        alike = "–" if row["alike"] is None else f"{row['alike']:.2f}"
        cells = [f"{row[k]:.3f}" for k in ("area", "pointing", "energy", "faithful")]
        lines.append(f"| {row['map']} ({row['images']}) | {' | '.join(cells)} | {alike} | {row['ms']:.1f} |")
    lines += ["", "| verdict on relevance | part | strongest place on the defect | by chance |", "|---" * 4 + "|"]
    for part, each in found["verdict"].items():
        for word, rate in each["words"].items():
            lines.append(f"| {word} | {part} | {typed(rate_text(rate))} | {each['chance']:.3f} |")
        lines.append(f"\nShuffled networks {each['alike']}; {each['ms']:.0f} ms an image.\n")
    return f"{found['set']}, seed {found['seed']}\n\n" + "\n".join(lines)


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", default=["builtin", "tiles"], choices=["builtin", "tiles"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.only:
        found = measure(name, given.out, given.seed)
        (given.out / f"explain-{name}-{given.seed}.json").write_text(json.dumps(found, indent=1))
        print(table(found), flush=True)


if __name__ == "__main__":
    main()
