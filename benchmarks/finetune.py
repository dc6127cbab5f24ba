"""What learned weights are worth with few images: 10, 50 and 500 of a class.

    python benchmarks/finetune.py OUT --data CIFAR10 [--epochs 8] [--seeds 3]

A network learns the first five classes of CIFAR-10 (DATA as for families.py). The other five are then learned from 10,
50 and 500 images of a class: from scratch; with all parts at one rate; with the head alone; and as `default_tuning`
says. Same network, recipe, images and number of steps for all; validation has as many images as there are to learn
from, at most 500; the test part (5,000 images) is read once, at the end. OUT/cells.jsonl gets a line for each training.
"""

import argparse
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from real_images import spread

from zansa.jobs.door import door
from zansa.jobs.request import TrainRequest, silent
from zansa.learn.data.dataset import Dataset, from_arrays
from zansa.learn.data.splits import Parts
from zansa.learn.defaults import default_net
from zansa.learn.predict import probabilities
from zansa.learn.recipe import Augment, Recipe, Tuning
from zansa.learn.train import training
from zansa.learn.tune import default_tuning
from zansa.nets.adopt import adopt
from zansa.nets.build import build
from zansa.proof.figures import figures
from zansa.record import Run, environment

COUNTS = (10, 50, 500)
STEPS = {10: 200, 50: 300, 500: 500}
PARTS = 6  # stem, four stages, head
WAYS: dict[str, Any] = {
    "from scratch": lambda count: None,
    "all parts, one rate": lambda count: Tuning(),
    "the head alone": lambda count: Tuning(frozen=PARTS - 1),
    "last stage and head": lambda count: Tuning(frozen=PARTS - 2, factor=0.3),
    "zansa's default": lambda count: default_tuning(count, PARTS),
}


def recipe(epochs: int, batch: int, seed: int, rate: float, tuning: Tuning | None) -> Recipe:
    crop = Augment(flip_x=True, shift=0.125)
    return Recipe(
        epochs=epochs,
        batch=batch,
        rate=rate,
        balance="none",
        patience=0.0,
        augment=crop,
        seed=seed,
        device="cpu",
        tuning=tuning or Tuning(),
    )


def halves(data: Dataset, parts: Parts) -> tuple[Dataset, Parts, Dataset, Parts]:
    """The first five classes, and the other five, each with its parts."""
    found: list[Any] = []
    for wanted in (data.labels < 5, data.labels >= 5):
        rows = np.flatnonzero(wanted)
        part = np.full(len(data), "", dtype="U5")
        for name in ("train", "val", "test"):
            part[getattr(parts, name)] = name
        half = from_arrays(
            data.images[rows], [data.classes[k] for k in data.labels[rows]], split=part[rows], kind="natural"
        )
        found += [half, Parts(*(np.flatnonzero(part[rows] == name) for name in ("train", "val", "test")))]
    return tuple(found)  # type: ignore[return-value]


def few(data: Dataset, parts: Parts, count: int, seed: int) -> Parts:
    """`count` training images of each class, and as many for validation, at most 100."""
    rng = np.random.default_rng([seed, count])

    def take(index: np.ndarray, number: int) -> np.ndarray:
        each = [rng.permutation(index[data.labels[index] == k])[:number] for k in range(len(data.classes))]
        return np.sort(np.concatenate(each))

    return Parts(take(parts.train, count), take(parts.val, min(count, 100)), parts.test)


def trained(data: Dataset, parts: Parts, how: Recipe, start: dict[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
    net = default_net(data.preprocess.size, 3, len(data.classes), "natural")
    module = build(net, torch.Generator().manual_seed(how.seed)) if start is None else adopt(start, net, head="fresh")
    for _ in training(module, data, parts, how):
        pass
    return module.state_dict()


def accuracy(data: Dataset, parts: Parts, state: dict[str, torch.Tensor]) -> float:
    module = build(default_net(data.preprocess.size, 3, len(data.classes), "natural")).eval()
    module.load_state_dict(state)
    return figures(probabilities(module, data, parts.test), data.labels[parts.test], data.classes)["accuracy"]["value"]


def table(cells: list[dict[str, Any]]) -> str:
    lines = [f"| weights | {' | '.join(f'{count} a class' for count in COUNTS)} |", "|---" * (1 + len(COUNTS)) + "|"]
    for way, group in groupby(sorted(cells, key=lambda c: list(WAYS).index(c["way"])), key=lambda c: c["way"]):
        runs = list(group)
        by_count = [[c["accuracy"] for c in runs if c["count"] == count] for count in COUNTS]
        lines.append(f"| {way} | {' | '.join(spread(values, 100, '.1f') for values in by_count)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=8, help="of the first training")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    record = Run(given.out)
    first, first_parts, other, other_parts = halves(
        *door(TrainRequest(source=given.data, val=0.05, kind="natural"), silent)
    )
    donor = given.out / "donor.pt"
    if not donor.exists():
        first = first.normalised(first_parts.train)
        how = recipe(given.epochs, 128, 0, 0.1, None)
        state = trained(first, first_parts, how, None)
        print(f"first five classes: {accuracy(first, first_parts, state):.3f}", flush=True)
        torch.save(state, donor)
    start = torch.load(donor, weights_only=True)
    done = {(c["way"], c["count"], c["seed"]) for c in record.lines("cells.jsonl")}
    for seed in range(given.seeds):
        for count in COUNTS:
            parts = few(other, other_parts, count, seed)
            data = other.normalised(parts.train)
            batch = min(64, len(parts.train) // 2)
            epochs = max(1, round(STEPS[count] / (len(parts.train) // batch)))
            for way, tuning in WAYS.items():
                if (way, count, seed) in done:
                    continue
                chosen = tuning(count)
                how = recipe(epochs, batch, seed, 0.05 if chosen is None else 0.02, chosen)
                state = trained(data, parts, how, None if chosen is None else start)
                cell = {"way": way, "count": count, "seed": seed, "accuracy": accuracy(data, parts, state)}
                record.append("cells.jsonl", cell | {"environment": environment()})
                print(f"{count} a class, seed {seed}, {way}: {cell['accuracy']:.3f}", flush=True)
    print(table(record.lines("cells.jsonl")))


if __name__ == "__main__":
    main()
