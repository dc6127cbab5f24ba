"""Few images: what each beginning is worth with 10 or 50 training images of a class.

    python benchmarks/few_images.py OUT [--sets tiles boards ...] [--columns none drawn ...] [--counts 10 50]
    python benchmarks/few_images.py OUT --sets tiles boards ... --price        (multiply-adds and milliseconds an image)

Sets: magnetic tiles (seed k tests on fold k, whole tiles held out), circuit boards, CIFAR-10, the built-in surfaces and
digits; 64 x 64, CIFAR-10 and digits as they are. Validation has a quarter as many images as training, at least 5 a
class; the test part at most 150 a class; groups are kept whole, and classes with too few images for a count are left
out. A count of 0 means the whole set, at most 600 images a class, in the parts that `zansa train` makes.

Columns: "none" has fresh weights and the default recipe; "drawn" has weights learned from drawn pictures and their
recipe; "none, drawn's recipe" tells what the recipe does alone; "drawn, linear head" fits the classifier alone, by
logistic regression. "ready-made" begins with EfficientNet-Lite0 of ImageNet (zansa[imagenet]) and drawn's recipe;
"ready-made, linear head" fits the classifier alone on its features of the same images, enlarged to 224 x 224 (407 M
multiply-adds). "taught" begins as "drawn" and learns from the answers of EfficientNet-Lite0 with such a head (160 x 160
for CIFAR-10), "taught, unlabelled" also from those on 2,000 further training images without their labels. "plain
statistics" is logistic regression on 25 traits of an image (zansa.proof.traits), without a network. "none, before" and
"drawn, before" have the recipes as they were until 26 November 2026: batches of 32 or more, and no more than 60 epochs,
which are 60 to 200 steps with 10 images a class. Images and network are the same. Test images are looked at once, at
the end of each training; with --validation they stay untouched, and the figures are those of the validation part, for
decisions.

OUT/cells.jsonl gets a line for each training, so a rerun goes on where a killed one stopped; the table is printed.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import packs
import torch
from PIL import Image
from real_images import spread
from scipy.special import softmax

from zansa.arch.cost import cost
from zansa.arch.spec import Net
from zansa.arch.zoo import READY
from zansa.beginnings.weights import DRAWN, begun, load
from zansa.deploy.clock.timing import timer
from zansa.jobs.making.teachers import answers, ready_teacher
from zansa.learn.adapt import batches_of, features
from zansa.learn.data import load as load_data
from zansa.learn.data.dataset import Dataset, from_arrays, normalised_for
from zansa.learn.data.splits import PARTS, Parts, split
from zansa.learn.data.synthetic import surfaces
from zansa.learn.defaults import default_net, default_recipe
from zansa.learn.distil import Lessons
from zansa.learn.linear import probe
from zansa.learn.plain_rules import RULES
from zansa.learn.predict import normalised, probabilities, to_tensor
from zansa.learn.pretrained import images_for
from zansa.learn.recipe import Recipe
from zansa.learn.train import training
from zansa.nets.build import Network, build
from zansa.nets.donor import read_donor
from zansa.proof.figures import figures
from zansa.record import Run, environment

TESTED = 150  # images of a class
MANY = 600  # images of a class to learn from and to decide by, where the count is 0
SIZE = 64
READY_SIZE = 224
UNLABELLED = 2000  # images that a teacher looks at
BUILTIN = 3000  # pictures of the built-in set
NAMES = {"tiles": "magnetic_tile", "boards": "deeppcb", "cifar10": "cifar10", "digits": "mnist"}
PLAIN = "plain statistics"
SETS = ("tiles", "boards", "cifar10", "builtin", "digits")


def from_nothing(net: Net, recipe: Recipe, weights: Path) -> tuple[Network, Recipe]:
    return build(net, torch.Generator().manual_seed(recipe.seed)), recipe


def alike(net: Net, recipe: Recipe, weights: Path) -> tuple[Network, Recipe]:
    return build(net, torch.Generator().manual_seed(recipe.seed)), begun(recipe)


def from_drawn(net: Net, recipe: Recipe, weights: Path) -> tuple[Network, Recipe]:
    beginning = load(net, torch.Generator().manual_seed(recipe.seed), weights)
    assert beginning.state is not None, beginning.told
    module = build(net)
    module.load_state_dict(beginning.state)
    return module, begun(recipe)


def before(recipe: Recipe) -> Recipe:
    """The default recipe as it was: as few steps as 60 epochs in batches of 32 are. Only the weights that are kept
    follow today's rule."""
    return recipe.model_copy(update={"batch": max(32, recipe.batch), "epochs": min(60, recipe.epochs)})


def from_nothing_before(net: Net, recipe: Recipe, weights: Path) -> tuple[Network, Recipe]:
    return from_nothing(net, before(recipe), weights)


def from_drawn_before(net: Net, recipe: Recipe, weights: Path) -> tuple[Network, Recipe]:
    return from_drawn(net, before(recipe), weights)


def ready_made(net: Net, recipe: Recipe, weights: Path) -> tuple[Network, Recipe]:
    network = read_donor("efficientnet_lite0").network(net.input.size, net.input.channels, net.head.classes)
    return network.train(), begun(recipe)


COLUMNS: dict[str, Callable[[Net, Recipe, Path], tuple[Network, Recipe]]] = {
    "none": from_nothing,
    "none, drawn's recipe": alike,
    "drawn": from_drawn,
    "drawn, linear head": from_drawn,
    "ready-made": ready_made,
    "ready-made, linear head": ready_made,
    "taught": from_drawn,
    "taught, unlabelled": from_drawn,
    PLAIN: from_nothing,
    "none, before": from_nothing_before,
    "drawn, before": from_drawn_before,
}
USUAL = ["none", "drawn", "drawn, linear head"]


@cache
def whole(name: str, seed: int, folder: Path) -> Dataset:
    """All images of a set, those to be tested on marked in its split where the set says which."""
    if name == "builtin":
        made = surfaces(BUILTIN, 0, SIZE)
        return from_arrays(made.images, made.labels, classes=made.classes, groups=made.groups)
    fold = str(seed % 5) if name == "tiles" else "0"
    at = folder / f"{name}{fold}"
    source = at / ("cifar10.npz" if name == "cifar10" else "manifest.csv")
    if not source.exists():
        packs.prepare(NAMES[name], at, packs.shared_data(), fold)
    return load_data(source, size=None if name in ("cifar10", "digits") else SIZE, cache=folder / "cache")


def few(data: Dataset, count: int, seed: int) -> tuple[Dataset, Parts]:
    """The classes that have enough images, and parts of `count` training images a class, groups whole."""
    rng = np.random.default_rng([seed, count])
    groups = np.arange(len(data)).astype(str) if data.groups is None else data.groups
    given = data.split if data.split is not None else np.full(len(data), "train")
    wanted = {"train": count, "val": max(5, count // 4), "test": TESTED}
    had: dict[tuple[str, int], int] = defaultdict(int)
    part_of: dict[str, str] = dict.fromkeys(np.unique(groups[given == "test"]), "test")
    found: dict[str, list[int]] = defaultdict(list)
    free = ["train", "val"] if data.split is not None else ["train", "val", "test"]
    for label in np.argsort(np.bincount(data.labels)):  # the rarest class first
        mine = np.flatnonzero(data.labels == label)
        for group in rng.permutation(np.unique(groups[mine])):
            lacking = {part: 1 - had[part, label] / wanted[part] for part in free if had[part, label] < wanted[part]}
            neediest = max(lacking, key=lambda part: (part != "test", lacking[part]), default="spare")
            part = part_of.setdefault(group, neediest)
            for row in rng.permutation(mine[groups[mine] == group]):
                if part != "spare" and had[part, label] < wanted[part]:
                    had[part, label] += 1
                    found[part].append(int(row))
    enough = {k for k in range(len(data.classes)) if had["test", k] and all(had[p, k] == wanted[p] for p in PARTS[:2])}
    chosen = [(row, part) for part in PARTS for row in found[part] if data.labels[row] in enough]
    if not chosen:
        raise ValueError(
            f"no class has {count} training images and {wanted['val']} for validation in groups of their own"
        )
    rows, split = np.array([row for row, _ in chosen]), np.array([part for _, part in chosen])
    names = [data.classes[k] for k in data.labels[rows]]
    fewer = from_arrays(data.images[rows], names, split=split, groups=groups[rows], kind=data.kind)
    return fewer, Parts(*(np.flatnonzero(split == part) for part in PARTS))


def whole_set(data: Dataset, seed: int) -> tuple[Dataset, Parts]:
    """The parts of `zansa train`: at most MANY images a class to learn from and to decide by, and TESTED to test."""
    chance = np.random.default_rng(seed).permutation(len(data))
    tested = np.zeros(len(data), bool) if data.split is None else data.split == "test"
    chosen = []
    for label in range(len(data.classes)):
        mine = chance[data.labels[chance] == label]
        chosen += [mine[~tested[mine]][:MANY], mine[tested[mine]][:TESTED]]
    rows = np.sort(np.concatenate(chosen))
    names = [data.classes[k] for k in data.labels[rows]]
    given, groups = (None if values is None else values[rows] for values in (data.split, data.groups))
    found = from_arrays(data.images[rows], names, split=given, groups=groups, kind=data.kind)
    return found, split(found, seed)


def few_and_held(full: Dataset, count: int, seed: int) -> tuple[Dataset, Parts, np.ndarray]:
    """The same, normalised, and at most TESTED further images a class: not of the test part where the set says which,
    and of no group that is in a part."""
    data, parts = few(full, count, seed)
    groups = np.arange(len(full)).astype(str) if full.groups is None else full.groups
    free = ~np.isin(groups, data.groups) & np.isin(np.array(full.classes)[full.labels], data.classes)
    free &= full.split != "test" if full.split is not None else True
    rows = np.random.default_rng([seed, count]).permutation(np.flatnonzero(free))
    rows = np.concatenate([rows[full.labels[rows] == k][:TESTED] for k in range(len(full.classes))])
    names = [*np.array(data.classes)[data.labels], *np.array(full.classes)[full.labels[rows]]]
    both = from_arrays(np.concatenate([data.images, full.images[rows]]), names, kind=data.kind)
    return both.normalised(parts.train), parts, len(data) + np.arange(len(rows))


def lessons(full: Dataset, data: Dataset, parts: Parts, recipe: Recipe, unlabelled: int) -> Lessons:
    """What the ready-made network says of the training images, and of so many further ones without their labels."""
    model, said = ready_teacher("efficientnet_lite0", data, parts, recipe.balance != "none")
    told = torch.zeros(len(data), len(data.classes))
    told[parts.train] = torch.from_numpy(said)
    if not unlabelled:
        return Lessons(told)
    known, free = set(data.digests), np.random.default_rng(recipe.seed).permutation(len(full))
    rows = [i for i in free if full.digests[i] not in known and (full.split is None or full.split[i] != "test")]
    rows = rows[:unlabelled]
    seen = [answers(model, images_for(model, full, part)) for part in np.array_split(rows, max(1, len(rows) // 64))]
    samples = normalised(full.images[rows], data.preprocess, torch.device("cpu"), torch.contiguous_format)
    return Lessons(told, samples, torch.from_numpy(np.concatenate(seen)), recipe.augment)


def enlarged(data: Dataset) -> Dataset:
    """The same images at 224 x 224."""
    images = np.stack([_enlarged(image) for image in data.images])
    names = [data.classes[k] for k in data.labels]
    return from_arrays(images, names, split=data.split, groups=data.groups, kind=data.kind)


def _enlarged(image: np.ndarray) -> np.ndarray:
    shown = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return np.asarray(shown.resize((READY_SIZE, READY_SIZE), Image.Resampling.BICUBIC)).reshape(*[READY_SIZE] * 2, -1)


def half_precision(wanted: bool) -> torch.autocast:
    """bfloat16 where wanted: less than half the time for the features of large images."""
    return torch.autocast("cpu", torch.bfloat16, enabled=wanted)


def told_by_head(module: Network, data: Dataset, index: np.ndarray) -> np.ndarray:
    """Class probabilities (N, K) by a linear head on features in bfloat16; the head itself computes in float64."""
    with torch.inference_mode(), half_precision(True):
        seen = features(module, batches_of(to_tensor(data, index, torch.device("cpu"), torch.channels_last)))
    linear = module.head.get_submodule("linear")
    weight, bias = (getattr(linear, name).detach().double().numpy() for name in ("weight", "bias"))
    return softmax(seen @ weight.T + bias, axis=1)


def price(name: str, folder: Path) -> str:
    """Multiply-adds and milliseconds an image of a set's networks, exported: one row of a table."""
    data, _ = few(whole(name, 0, folder), 10, 0)
    size, channels, classes = data.preprocess.size, data.preprocess.channels, len(data.classes)
    donor, large = read_donor("efficientnet_lite0"), (READY_SIZE, READY_SIZE)
    nets = [default_net(size, channels, classes, data.kind)]
    nets += [donor.network(side, channels, classes).net for side in (size, large)]
    clock = timer(folder / "clock")
    priced = [f"{cost(net).macs / 1e6:.1f} M | {clock.whole(net):.2f} ms" for net in nets]
    return f"| {name} | {' | '.join(priced)} |"


def cell(name: str, count: int, seed: int, column: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train once and measure."""
    full = whole(name, seed, given.out)
    data, parts = few(full, count, seed) if count else whole_set(full, seed)
    data = enlarged(data) if column == "ready-made, linear head" else data
    ready = READY["efficientnet_lite0"] if column.startswith("ready-made") else None
    data = normalised_for(data, ready.mean, ready.std) if ready else data.normalised(parts.train)
    recipe = default_recipe(data, parts, seed)
    net = default_net(data.preprocess.size, data.preprocess.channels, len(data.classes), data.kind)
    module, recipe = COLUMNS[column](net, recipe, given.weights)
    module = module.to(memory_format=torch.channels_last) if ready else module
    began, epochs, best, again = time.process_time(), [], 0, 0
    if column.endswith("linear head"):
        with half_precision(ready is not None):
            module, _ = probe(module, data, parts, recipe, statistics=ready is None)
    elif column != PLAIN:
        more = UNLABELLED if column == "taught, unlabelled" else 0
        teaching = lessons(full, data, parts, recipe, more) if column.startswith("taught") else None
        for event in training(module, data, parts, recipe, teaching=teaching):
            again += event["event"] == "again"
            if event["event"] == "epoch":
                epochs.append(event)
            elif event["event"] == "done":
                best = event["best"]
    judged = {"asked": parts.val if given.validation else parts.test, "val": parts.val}
    if column == PLAIN:
        said = RULES[PLAIN](data, parts.train, judged, recipe.balance != "none")
    elif column == "ready-made, linear head":
        said = {part: told_by_head(module, data, index) for part, index in judged.items()}
    else:
        said = {part: probabilities(module, data, index) for part, index in judged.items()}
    found, decided = (figures(said[part], data.labels[index], data.classes) for part, index in judged.items())
    return {
        "set": name,
        "count": count,
        "seed": seed,
        "column": column,
        "classes": len(data.classes),
        "part": "val" if given.validation else "test",
        "images": len(judged["asked"]),
        "balanced_accuracy": found["balanced_accuracy"]["value"],
        "accuracy": found["accuracy"]["value"],
        "val_balanced_accuracy": decided["balanced_accuracy"]["value"],
        "epoch": best,
        "epochs": len(epochs),
        "learned_from": len(parts.train),
        "curve": [round(event["val_tempered"], 4) for event in epochs],
        "batch": recipe.batch,
        "began_again": again,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def table(cells: list[dict[str, Any]], columns: list[str], value: str, scale: float, digits: str) -> str:
    """Mean and deviation over the seeds of one value of the cells: a row for each set and count."""
    by_row: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for c in cells:
        by_row[c["set"], c["count"]][c["column"]].append(c[value])
    lines = [f"| set | a class | {' | '.join(columns)} |", "|---|---" + "|---" * len(columns) + "|"]
    for (name, count), found in sorted(by_row.items()):
        shown = [spread(found[column], scale, digits) if found[column] else "" for column in columns]
        lines.append(f"| {name} | {count or 'all'} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=USUAL)
    parser.add_argument("--counts", nargs="+", type=int, default=[10, 50])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--weights", type=Path, default=DRAWN, help="a file made by python -m zansa.beginnings")
    parser.add_argument("--validation", action="store_true", help="leave the test parts untouched")
    parser.add_argument("--price", action="store_true", help="what the networks cost; nothing is trained")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.price:
        print("| set | default network | | EfficientNet-Lite0 at that size | | at 224 x 224 | |\n" + "|---" * 7 + "|")
        print("\n".join(price(name, given.out) for name in given.sets))
        return
    record = Run(given.out)
    part = "val" if given.validation else "test"
    keys = ("set", "count", "seed", "column", "part")
    done = {tuple(c[key] for key in keys) for c in record.lines("cells.jsonl")}
    for seed in given.seeds:
        for name in given.sets:
            for count in given.counts:
                for column in given.columns:
                    if (name, count, seed, column, part) in done:
                        continue
                    found = cell(name, count, seed, column, given)
                    record.append("cells.jsonl", found | {"weights": given.weights.name, "environment": environment()})
                    print({k: v for k, v in found.items() if k != "curve"}, flush=True)
    cells = [c for c in record.lines("cells.jsonl") if c["part"] == part]
    print("Balanced accuracy in %\n\n" + table(cells, given.columns, "balanced_accuracy", 100, ".1f"))
    print("\nCPU seconds of a training\n\n" + table(cells, given.columns, "cpu_seconds", 1, ".0f"))


if __name__ == "__main__":
    main()
