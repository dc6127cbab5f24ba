"""ResNet, DILNet and DMRNet at equal parameters: same images, same recipe, same number of epochs.

    python benchmarks/families.py OUT --data DATA [--halves 12 30] [--epochs 60] [--images 0] [--seeds 3]

DATA is CIFAR-10 as any source that `zansa train` takes: a clone of its images as folders, or the .npz that packs.py
makes of the shared copy (its training part is slightly lossy; say which was used). `--halves` are the L of Zhao et al.
2017 (1611.07718): the number of residual branches; L = 12 is 0.35 M parameters, L = 54 1.7 M. `--images` takes so many
training images (0: all). The recipe is the
same for all; the average of weights that is best on validation images is evaluated, once, on the test part.

OUT/cells.jsonl gets a line for each finished training, and a rerun goes on from there; OUT/table.md the table.
"""

import argparse
import time
from functools import cache
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from real_images import spread

from zansa.arch.cost import cost
from zansa.arch.spec import Net
from zansa.arch.zoo import merge_and_run
from zansa.jobs.door import door
from zansa.jobs.request import TrainRequest, silent
from zansa.learn.data.dataset import Dataset
from zansa.learn.data.splits import Parts
from zansa.learn.predict import probabilities
from zansa.learn.recipe import Augment, Recipe
from zansa.learn.speed import choose_device
from zansa.learn.train import training
from zansa.nets.build import build
from zansa.proof.figures import figures
from zansa.record import Run, environment

FAMILIES = {"ResNet": "plain", "DILNet": "parallel", "DMRNet": "merge_and_run"}
# test errors of Zhao et al. 2017, table 2: mean and deviation over five runs of 400 epochs
PAPER = {
    12: {"ResNet": "6.62 ± 0.24", "DILNet": "6.53 ± 0.12", "DMRNet": "6.48 ± 0.04"},
    18: {"ResNet": "5.93 ± 0.17", "DILNet": "5.83 ± 0.09", "DMRNet": "5.79 ± 0.13"},
    24: {"ResNet": "5.60 ± 0.14", "DILNet": "5.59 ± 0.17", "DMRNet": "5.47 ± 0.14"},
    30: {"ResNet": "5.50 ± 0.09", "DILNet": "5.45 ± 0.09", "DMRNet": "5.10 ± 0.08"},
    36: {"ResNet": "5.35 ± 0.14", "DILNet": "5.26 ± 0.20", "DMRNet": "5.18 ± 0.20"},
    48: {"ResNet": "5.26 ± 0.09", "DILNet": "5.05 ± 0.20", "DMRNet": "4.99 ± 0.13"},
    54: {"ResNet": "5.24 ± 0.23", "DILNet": "5.02 ± 0.17", "DMRNet": "4.96 ± 0.06"},
    96: {"ResNet": "5.47 ± 0.46", "DILNet": "4.97 ± 0.03", "DMRNet": "4.84 ± 0.11"},
}
Cell = dict[str, Any]


def recipe(epochs: int, seed: int, device: str) -> Recipe:
    """One recipe for all: the augmentation and decay of the paper (on weights alone), batches of 128, a cosine."""
    crop = Augment(flip_x=True, shift=0.125)
    return Recipe(
        epochs=epochs,
        batch=128,
        rate=0.1,
        decay=1e-4,
        smoothing=0.0,
        balance="none",
        patience=0.0,
        augment=crop,
        device=device,
        seed=seed,
    )


def cell(family: str, half: int, seed: int, data: Dataset, parts: Parts, epochs: int, device: str) -> Cell:
    """One training, and the test error of what it keeps."""
    net = merge_and_run(half, kind=FAMILIES[family], classes=len(data.classes))
    module, events, began = build(net, torch.Generator().manual_seed(seed)), [], time.perf_counter()
    for event in training(module, data, parts, recipe(epochs, seed, device)):
        if event["event"] == "epoch":
            events.append(event)
            print(
                f"{family} L={half} seed {seed}: epoch {event['epoch']}, loss {event['loss']:.3f}, validation "
                f"{event['val_accuracy']:.3f}",
                flush=True,
            )
    seconds = time.perf_counter() - began
    module.to(choose_device(device))
    metrics = figures(probabilities(module, data, parts.test), data.labels[parts.test], data.classes)
    return {
        "family": family,
        "half": half,
        "seed": seed,
        "error": 1 - metrics["accuracy"]["value"],
        "loss": events[-1]["loss"],
        "seconds": seconds,
        "epochs": epochs,
        "images": len(parts.train),
        "test_images": metrics["count"],
        "device": device,
        "environment": environment(),
    }


@cache
def milliseconds(half: int, device: str, batch: int = 128, repeats: int = 15) -> dict[str, float]:
    """Milliseconds per image of the families in evaluation, in turns: the median of `repeats` after a warm-up."""
    nets, place = networks(half), choose_device(device)
    x = torch.randn(batch, 3, 32, 32, device=place)
    modules = {name: build(net).eval().to(place) for name, net in nets.items()}
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    with torch.inference_mode():
        for _ in range(repeats + 2):
            for name, module in modules.items():
                began = time.perf_counter()
                module(x)
                if place.type == "cuda":
                    torch.cuda.synchronize()
                seconds[name].append(time.perf_counter() - began)
    return {name: 1e3 * median(times[2:]) / batch for name, times in seconds.items()}


def networks(half: int) -> dict[str, Net]:
    """The network of each family at this L."""
    return {name: merge_and_run(half, kind=kind) for name, kind in FAMILIES.items()}


def table(cells: list[Cell], devices: list[str]) -> str:
    """Markdown: one row for each L and family."""
    times = [f"ms per image, {device}" for device in devices]
    heads = ["L", "network", "parameters, M", "depth", "runs", "test error, %", "paper, %", "training loss", *times]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    order = list(FAMILIES)
    place = lambda c: (c["half"], order.index(c["family"]))  # noqa: E731
    for (half, k), group in groupby(sorted(cells, key=place), key=place):
        runs, family = list(group), order[k]
        size = cost(networks(half)[family])
        speed = [f"{milliseconds(half, device)[family]:.3f}" for device in devices]
        error, loss = (
            spread([run[key] for run in runs], *form) for key, form in (("error", (100, ".2f")), ("loss", (1, ".3f")))
        )
        row = [
            half,
            family,
            f"{size.params / 1e6:.2f}",
            size.depth,
            len(runs),
            error,
            PAPER[half][family],
            loss,
            *speed,
        ]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def benchmark(out: Path, data: Dataset, parts: Parts, halves: list[int], seeds: int, epochs: int, device: str) -> None:
    """Every training that is not there yet, seed by seed; the table at the end."""
    record = Run(out)
    done = {(c["family"], c["half"], c["seed"]) for c in record.lines("cells.jsonl")}
    for seed in range(seeds):
        for half in halves:
            for family in FAMILIES:
                if (family, half, seed) not in done:
                    record.append("cells.jsonl", cell(family, half, seed, data, parts, epochs, device))
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    cells = record.lines("cells.jsonl")
    record.write_bytes("table.md", (table(cells, devices) + "\n").encode())
    print((out / "table.md").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results; a rerun goes on there")
    parser.add_argument("--data", required=True, help="CIFAR-10: a folder, or an .npz")
    parser.add_argument("--halves", type=int, nargs="+", choices=PAPER, default=[12])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--images", type=int, default=0, help="take so many training images; 0: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data, parts = door(TrainRequest(source=given.data, val=0.05, kind="natural"), silent)
    if given.images:
        chosen = np.random.default_rng(0).permutation(parts.train)[: given.images]
        decides = np.random.default_rng(1).permutation(parts.val)[: max(500, given.images // 20)]
        parts = Parts(np.sort(chosen), np.sort(decides), parts.test)
    benchmark(given.out, data, parts, given.halves, given.seeds, given.epochs, given.device)


if __name__ == "__main__":
    main()
