"""Which epoch to keep: each training is made once, and every rule is judged on images that decided nothing.

    python benchmarks/kept.py OUT [--sets tiles boards ...] [--counts 10 50] [--seeds 2] [--epochs N] [--weights FILE]

Images are those of the training splits alone (the built-in set is another drawing of it): the network learns from one
part, the rules choose by the validation part, and a third part of other groups tells what they chose. A count of 0
means all tiles: seed k holds out fold k + 1, and `zansa train`'s split does the rest. Trainings begin with drawn
pictures, as the default does.

Rules: the last epoch; the least validation loss; the least after the best temperature ("tempered"); zansa's rule, which
keeps the later weights where they are within a standard error of that; the same with the standard error of the
difference ("paired"); the least of a mean over a tenth of the epochs; the best balanced accuracy; and the mean of the
weights of the last 70 % of the epochs.

OUT/kept.jsonl gets a line for each training: for each rule its epoch, and balanced accuracy and tempered loss on the
third part. A rerun goes on; the table is printed.
"""

import argparse
import csv
import io
from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import few_images
import numpy as np
import packs
import torch
from torch import Tensor, nn

from zansa.beginnings.weights import DRAWN
from zansa.learn import train
from zansa.learn.data.dataset import Dataset, from_arrays
from zansa.learn.data.splits import Parts, split
from zansa.learn.data.synthetic import surfaces
from zansa.learn.defaults import default_net, default_recipe
from zansa.learn.loss import tempered
from zansa.learn.predict import logits
from zansa.nets.build import Network
from zansa.record import Run

JUDGED = 60  # images of a class in the third part
STORED = 60  # epochs whose weights are stored, evenly; a rule takes the nearest
FEW = train.FEW
State = dict[str, Tensor]


def developed(name: str, count: int, seed: int, folder: Path) -> tuple[Dataset, Parts]:
    """Images of the training split, in parts that learn, decide and judge."""
    if name == "builtin":
        made = surfaces(few_images.BUILTIN, 1, few_images.SIZE)
        data = from_arrays(made.images, made.labels, classes=made.classes, groups=made.groups)
        return few_images.few(data, count, seed + 50)
    data = few_images.whole(name, 0, folder)
    rows = np.flatnonzero(data.split == "train")
    groups = None if data.groups is None else data.groups[rows]
    held = None if count else tile_folds(groups, str(seed + 1))
    names = [data.classes[k] for k in data.labels[rows]]
    data = from_arrays(data.images[rows], names, groups=groups, split=held, kind=data.kind)
    return few_images.few(data, count, seed + 50) if count else (data, split(data, seed))


def tile_folds(groups: np.ndarray, held: str) -> np.ndarray:
    """ "test" for the tiles of this fold, "train" for all others."""
    index = csv.DictReader(io.StringIO(packs._tile_files(packs.shared_data())["index.csv"].decode()))
    fold = {row["group"]: row["fold"] for row in index}
    return np.array(["test" if fold[group] == held else "train" for group in groups])


def observed(
    module: Network, data: Dataset, parts: Parts, recipe: train.Recipe
) -> tuple[list[Tensor], dict[int, State]]:
    """The validation logits of every epoch of a training, and the weights of some, counted from 1."""
    answers: list[Tensor] = []
    states: dict[int, State] = {}
    every = -(-recipe.epochs // STORED)
    usual = train.validate

    def validate(average: nn.Module, *rest: Any) -> Any:
        answers.append(logits(average, data, parts.val))
        if len(answers) % every == 0 or len(answers) == recipe.epochs:
            states[len(answers)] = {key: value.clone() for key, value in average.state_dict().items()}
        return usual(average, *rest)

    with patch.object(train, "validate", validate):
        for event in train.training(module, data, parts, recipe):
            if event["event"] == "again":
                answers.clear()
                states.clear()
    return answers, states


def chosen(answers: list[Tensor], labels: np.ndarray, classes: int) -> dict[str, int]:
    """The epoch, from 1, that each rule keeps. Every class counts the same."""
    truth = torch.from_numpy(labels)
    weight = 1 / torch.bincount(truth, minlength=classes).clamp_min(1)
    share = (weight[truth] / weight[truth].sum()).double()
    raw = [(share * nn.functional.cross_entropy(a.double(), truth, reduction="none")).sum().item() for a in answers]
    found = [tempered(a, truth, weight) for a in answers]
    loss, error = (np.array(each) for each in zip(*found, strict=True))
    right = np.array([(share * (a.argmax(1) == truth)).sum().item() for a in answers])
    last, best, least = len(answers) - 1, 0, loss[0]
    for epoch in range(len(answers)):  # as State.keep_best does it
        if loss[epoch] < least + error[epoch]:
            best, least = epoch, min(least, loss[epoch])
    rules = {
        "last": last,
        "least loss": int(np.argmin(raw)),
        "tempered": int(loss.argmin()),
        "zansa's": best if len(labels) >= FEW else last,
        "paired": paired(answers, truth, share, loss),
        "mean of a tenth": int(smooth(loss, len(answers) // 10).argmin()),
        "best balanced": int((right - 1e-3 * loss).argmax()),
    }
    return {rule: epoch + 1 for rule, epoch in rules.items()}


def paired(answers: list[Tensor], truth: Tensor, share: Tensor, loss: np.ndarray) -> int:
    """The last epoch whose loss is within a standard error, that of the difference, of the least."""
    best = int(loss.argmin())
    each = [sharpest(a, truth, share) for a in answers]
    kept = best
    for epoch in range(best, len(answers)):
        apart = each[epoch] - each[best]
        mean = (share * apart).sum()
        if mean <= (share * (apart - mean)).square().sum().sqrt():
            kept = epoch
    return kept


def sharpest(answers: Tensor, truth: Tensor, share: Tensor) -> Tensor:
    """The loss of each sample after the best of 200 temperatures."""
    factors = torch.logspace(-2, 2, 200, dtype=torch.float64)
    each = torch.stack([nn.functional.cross_entropy(answers.double() * f, truth, reduction="none") for f in factors])
    return each[(each * share).sum(1).argmin()]


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of the values around each, as many as there are."""
    half = max(1, width // 2)
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def judged(module: Network, state: State, data: Dataset, index: np.ndarray) -> tuple[float, float]:
    """Balanced accuracy and tempered loss of these weights on these samples."""
    module.load_state_dict(state)
    truth = torch.from_numpy(data.labels[index])
    answers, counts = logits(module, data, index), torch.bincount(truth, minlength=len(data.classes))
    recalls = [(answers.argmax(1) == truth)[truth == k].double().mean().item() for k in counts.nonzero()[:, 0]]
    return float(np.mean(recalls)), tempered(answers, truth, 1 / counts.clamp_min(1))[0]


def course(name: str, count: int, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One training, and what each rule makes of it."""
    data, parts = developed(name, count, seed, given.out)
    data = data.normalised(parts.train)
    net = default_net(data.preprocess.size, data.preprocess.channels, len(data.classes), data.kind)
    module, recipe = few_images.from_drawn(net, default_recipe(data, parts, seed), given.weights)
    recipe = recipe.model_copy(update={"epochs": given.epochs or recipe.epochs})
    answers, states = observed(module, data, parts, recipe)
    picked = chosen(answers, data.labels[parts.val], len(data.classes))
    told = {}
    for rule, epoch in picked.items():
        nearest = min(states, key=lambda stored: abs(stored - epoch))
        told[rule] = [epoch, *judged(module, states[nearest], data, parts.test)]
    late = [state for epoch, state in states.items() if epoch > 0.3 * len(answers)]
    mean = {key: torch.stack([s[key].float() for s in late]).mean(0).to(value.dtype) for key, value in late[0].items()}
    told["mean of 70 %"] = [len(answers), *judged(module, mean, data, parts.test)]
    sizes = {"epochs": len(answers), "validation": len(parts.val), "third": len(parts.test)}
    return {"set": name, "count": count, "seed": seed, **sizes, "rules": told}


def table(lines: list[dict[str, Any]]) -> str:
    """Balanced accuracy on the third part in percent: the mean over the seeds of each cell, and the mean of the cells
    with its difference from the last epoch."""
    cells = defaultdict(list)
    for line in lines:
        cells[line["set"], line["count"]].append(line["rules"])
    names = [f"{name} {count or 'all'}" for name, count in sorted(cells)]
    rows = [f"| rule | {' | '.join(names)} | mean | against the last |", "|---" * (len(names) + 3) + "|"]
    for rule in lines[0]["rules"]:
        found = np.array([np.mean([100 * r[rule][1] for r in rules]) for _, rules in sorted(cells.items())])
        last = np.array([np.mean([100 * r["last"][1] for r in rules]) for _, rules in sorted(cells.items())])
        error = np.std(found - last, ddof=1) / len(found) ** 0.5 if len(found) > 1 else 0.0
        shown = " | ".join(f"{value:.1f}" for value in (*found, found.mean()))
        rows.append(f"| {rule} | {shown} | {(found - last).mean():+.1f} ± {error:.1f} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=few_images.SETS, default=["tiles", "boards", "builtin", "cifar10"])
    parser.add_argument("--counts", nargs="+", type=int, default=[10, 50])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="in place of the default's, for a short look")
    parser.add_argument("--weights", type=Path, default=DRAWN, help="a file made by python -m zansa.beginnings")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    few_images.TESTED = JUDGED
    record = Run(given.out)
    done = {(line["set"], line["count"], line["seed"]) for line in record.lines("kept.jsonl")}
    for seed in range(given.seeds):
        for name in given.sets:
            for count in given.counts:
                if (name, count, seed) not in done and (count or name == "tiles"):
                    record.append("kept.jsonl", course(name, count, seed, given))
    print(table(list(record.lines("kept.jsonl"))))


if __name__ == "__main__":
    main()
