"""Seconds of one training epoch, side by side on a quiet machine: `zansa train` and ResNet-18 by the tutorial.

    python benchmarks/epoch_seconds.py OUT [--only deeppcb ...] [--repeats 2]

Same images, sizes and threads as real_images.py, whose prepared images in OUT are used again; the two take turns.
Validation is left out on both sides, and so is the first epoch of each, which warms up. The tutorial has 2 workers
beside all threads, or no workers, whichever was faster in its warm-up.
"""

import argparse
import os
import time
from itertools import islice
from pathlib import Path
from statistics import median

import packs
import torch
from baselines import BATCH, tutorial_loaders
from real_images import SPLITS, plan, prepared
from torch import nn
from torch.optim import SGD
from torchvision import models

from zansa.jobs.making.job import resolve
from zansa.jobs.request import silent
from zansa.learn.data.dataset import Dataset
from zansa.learn.data.splits import Parts
from zansa.learn.recipe import Recipe
from zansa.learn.train import training
from zansa.nets.build import build

MOST_BATCHES = 60  # of the tutorial; an epoch's time is scaled from them


def ours(module: nn.Module, data: Dataset, parts: Parts, recipe: Recipe, repeats: int) -> list[float]:
    """Seconds of an epoch's steps, of `repeats` epochs after a first one."""
    seconds, steps, began = [], 0, 0.0
    for event in training(module, data, parts, recipe):
        if event["event"] == "start":
            steps = event["per_epoch"]
        if event["event"] == "step" and event["step"] % steps == 0:
            seconds.append(time.perf_counter() - began)
        if event["event"] in ("start", "epoch"):
            began = time.perf_counter()
        if event["event"] == "epoch" and event["epoch"] == 1 + repeats:
            break
    return seconds[1:]


def rival(data: Dataset, parts: Parts, workers: int) -> float:
    """Seconds of an epoch of the tutorial's ResNet-18, scaled from at most MOST_BATCHES batches after the first."""
    model = models.resnet18(weights=None, num_classes=len(data.classes)).train()
    optimizer, criterion = SGD(model.parameters(), lr=0.025, momentum=0.9, weight_decay=1e-4), nn.CrossEntropyLoss()
    loader, began, done = tutorial_loaders(data, parts, workers)["train"], 0.0, 0
    for k, (inputs, labels) in enumerate(islice(loader, 1 + MOST_BATCHES)):
        if k == 1:
            began = time.perf_counter()
        optimizer.zero_grad()
        criterion(model(inputs), labels).backward()
        optimizer.step()
        done = k
    return (time.perf_counter() - began) / done * (len(parts.train) / BATCH)


def measure(name: str, out: Path, shared: Path, repeats: int) -> str:
    """One row of the table."""
    cell = plan([name], 1, False)[0]
    job = resolve(cell.request(prepared(cell, out, shared)), silent)
    data, parts, recipe = job.data, job.parts, job.recipe
    workers = min((0, 2), key=lambda count: rival(data, parts, count))
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(repeats):
        theirs.append(rival(data, parts, workers))
        mine += ours(build(job.net), data, parts, recipe, 1)
    a, b = median(mine), median(theirs)
    spread = f"{min(mine):.1f}–{max(mine):.1f} | {min(theirs):.1f}–{max(theirs):.1f}"
    totals = f"{a * recipe.epochs:.0f} | {b * recipe.epochs:.0f}"
    return f"| {name} | {len(parts.train)} | {recipe.epochs} | {spread} | {totals} | {b / a:.1f} | {workers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--shared", type=Path)
    given = parser.parse_args()
    os.environ["ZANSA_CACHE"] = str(given.out / "cache")
    heads = (
        "data|training images|epochs|zansa, s per epoch|ResNet-18, s per epoch|zansa, all epochs"
        "|ResNet-18, all epochs|ratio|tutorial's workers"
    )
    print(f"| {heads.replace('|', ' | ')} |\n{'|---' * 9}|", flush=True)
    for name in given.only:
        print(measure(name, given.out, packs.shared_data(given.shared), given.repeats), flush=True)
    print(f"\n{torch.get_num_threads()} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
