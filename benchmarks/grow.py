"""The benchmark of growing: networks of equal price, found in five ways, on the same data with the same recipe.

    python benchmarks/grow.py OUT --data cifar10=FILE.npz --budget macs=10M [--seeds 0 1 2] [--epochs 10] [--images N]
    python benchmarks/grow.py OUT --data mnist --data deeppcb --data magnetic_tile --data synthetic
    python benchmarks/grow.py OUT --data cifar10 --data boards --data builtin --a-class 50 --methods zansa drawn

uniform:    ResNet-20, all widths scaled alike to the budget, for as many epochs as the compute of `zansa` pays
shape:      zansa's own default network scaled alike, in the same way: what the start gives without any search
chance:     zansa's growth with what it begins with and what comes drawn by lot, for as much longer as `zansa` decided
resbuilder: Burghoff et al. 2023 as published, and `mended` with all its faults mended (--cycles, --inserts,
            --run-epochs, --final-epochs; each length is a row of its own)
zansa:      `zansa grow --begin none`
drawn:      `zansa grow --begin drawn`
alike:      fresh weights with drawn's recipe (half the rate): what the recipe does alone
retrained:  the network that zansa found, trained from scratch for the same number of epochs
anew:       the same network, from scratch for as many epochs as the compute of `zansa` pays
plain:      the same network, from scratch for as many epochs as `zansa train` takes

Compute is counted in multiply-adds: three forward passes for each image and step, and the passes of decisions.
Nothing but the last line of a cell reads a test image (learn.data.seal). "held" is the balanced accuracy on images of
the training split from which nothing was learned or decided, at most 150 a class; on validation where there are none.
With --a-class the parts are those of few_images.py, and so are the names of the data.
OUT/cells.jsonl gets a line for each finished cell, and a rerun goes on from there; OUT/table.md the table.
"""

import argparse
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import packs
import torch
from few_images import SETS, TESTED, few_and_held, whole
from real_images import spread
from torch.utils.flop_counter import FlopCounterMode

from zansa.arch.apply import apply
from zansa.arch.budget import Budget, parse, price
from zansa.arch.cost import cost
from zansa.arch.spec import Net
from zansa.arch.zoo import cifar_resnet, suited
from zansa.beginnings.weights import begun, with_drawn
from zansa.events import Event
from zansa.jobs.door import door, good_of
from zansa.jobs.making.point import rival_point
from zansa.jobs.request import TrainRequest, silent
from zansa.learn.data.dataset import Dataset
from zansa.learn.data.seal import sealed
from zansa.learn.data.splits import Parts
from zansa.learn.data.synthetic import NAMES as BUILTIN
from zansa.learn.defaults import default_net, default_recipe
from zansa.learn.grow.growth import Schedule, annealed, lengthened
from zansa.learn.grow.moves import Move, lighten
from zansa.learn.grow.policy import Addition, Policy
from zansa.learn.grow.promise import Promise
from zansa.learn.grow.race import JUDGED, Rival
from zansa.learn.grow.resbuilder.search import empty_net, resbuilder
from zansa.learn.grow.resbuilder.values import MENDED, PUBLISHED, Length, Switches
from zansa.learn.grow.run import growing, growth_of
from zansa.learn.grow.signals import Gates, WeightedSamples
from zansa.learn.grow.start import seed_net
from zansa.learn.predict import probabilities
from zansa.learn.recipe import Recipe
from zansa.learn.speed import choose_device, choose_speed
from zansa.learn.state import Change, State
from zansa.learn.train import training
from zansa.nets.build import Network, build
from zansa.proof.figures import figures
from zansa.record import Run, environment

METHODS = (
    "zansa",
    "drawn",
    "alike",
    "retrained",
    "anew",
    "plain",
    "uniform",
    "shape",
    "chance",
    "resbuilder",
    "mended",
)
SHOWN = ("data", "method", "seed", "macs", "held", "balanced", "compute", "seconds")  # of a finished cell
Cell = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """Data without their test part, a recipe, a limit in multiply-adds, how many epochs `zansa train` takes, how long
    ResBuilder may search, and how many epochs its last training has when it is mended."""

    data: Dataset
    parts: Parts
    recipe: Recipe
    limit: float
    plain: int
    runs: Length
    final: int

    def search(self, method: str) -> list[int]:
        """What tells one length of ResBuilder from another: cycles, trainings of each, their epochs, the last one's;
        nothing for other methods."""
        lengths = [self.runs.cycles, 1 + self.runs.inserts, self.runs.epochs, self.final]
        return {"resbuilder": lengths[:3], "mended": lengths}.get(method, [])


@dataclass
class Ledger:
    """What has been spent, in multiply-adds; and which part of it on decisions, the race included."""

    spent: float = 0.0
    decided: float = 0.0


def macs(net: Net) -> float:
    """The price of all networks here."""
    return price(net, "macs")


class ByLot(Policy):
    """The control: what goes and what comes is drawn by lot, evenly over what it costs."""

    def removals(self, module: Network, slopes: Gates, held: WeightedSamples, allowed: float, k: int) -> list[Move]:
        random = np.random.default_rng([self.recipe.seed, k])
        return lighten(module.net, slopes, self.price, allowed, self.growth.quantum, random)

    def promised(self, module: Network, offered: Sequence[Addition], k: int) -> tuple[list[Promise], Promise]:
        net, random = module.net, np.random.default_rng([self.recipe.seed, k, 1])
        drawn = [Promise((self.price(apply(net, e)) - self.price(net)) * random.random(), 0.0) for e in offered]
        return drawn, Promise(1.0, 0.0)


def counted(events: Generator[Event], module: Network, task: Task, recipe: Recipe, ledger: Ledger) -> Network:
    """A training, and its price in the ledger: three forward passes for each image and step, and for the race the
    passes that judge it too, one forward pass for each held-out sample."""
    batch = min(recipe.batch, len(task.parts.train))
    for event in events:
        if event["event"] == "step":
            ledger.spent += 3 * batch * cost(module.net).macs
        if event["event"] == "trial":
            price = event["macs"] * (3 * batch if event["step"] else min(JUDGED, len(task.parts.val)))
            ledger.spent += price
            ledger.decided += price
    return module


def fixed(net: Net, task: Task, recipe: Recipe, ledger: Ledger) -> Network:
    """A network that stays as it is, trained, and its price."""
    module = fresh(net, recipe)
    return counted(training(module, task.data, task.parts, recipe), module, task, recipe, ledger)


def fresh(net: Net, recipe: Recipe) -> Network:
    """A network of this description with the recipe's seed."""
    return build(net, torch.Generator().manual_seed(recipe.seed))


def usual(data: Dataset) -> Net:
    """zansa's default network."""
    pre = data.preprocess
    return default_net(pre.size, pre.channels, len(data.classes), data.kind)


def hand_designed(data: Dataset) -> Net:
    """ResNet-20 with projections, whose widths can be scaled, and a stem that suits the images."""
    pre = data.preprocess
    net = cifar_resnet(20, len(data.classes), pre.channels, pre.size)
    stages = tuple(stage.but({"shortcut": "project" if stage.stride > 1 else stage.shortcut}) for stage in net.stages)
    return net.but({"stages": stages, "stem": suited(net.stem, pre.size)})


def grown(task: Task, ledger: Ledger, by_lot: bool = False, learned: bool = False) -> Network:
    """zansa's growth, and its price: what its decisions cost is what torch counts in their passes. `by_lot`: the
    control, in which the first network is drawn too. `learned`: it begins with weights from drawn pictures."""
    first, growth = growth_of((Budget("macs", task.limit),), task.data)
    growth = replace(growth, build=with_drawn) if learned else growth
    module = fresh(first, task.recipe)

    def around(policy: Policy) -> Callable[[State, int], list[Change]]:
        decide = ByLot(**{field.name: getattr(policy, field.name) for field in fields(policy)}) if by_lot else policy

        def deciding(state: State, steps: int) -> list[Change]:
            with FlopCounterMode(display=False) as counter:
                changes = decide(state, steps)
            ledger.spent += counter.get_total_flops() / 2
            ledger.decided += counter.get_total_flops() / 2
            return changes

        return deciding

    def drawn(field: list[Rival]) -> list[Rival]:
        return [field[int(np.random.default_rng([task.recipe.seed, 0]).integers(len(field)))]]

    with TemporaryDirectory() as folder:
        events = growing(
            module,
            task.data,
            task.parts,
            task.recipe,
            growth,
            Path(folder),
            pick=drawn if by_lot else list,
            around=around,
        )
        return counted(events, module, task, task.recipe, ledger)


def paid(task: Task, ledger: Ledger, net: Net, compute: float) -> Network:
    """A fixed network, trained for so much compute."""
    batch = min(task.recipe.batch, len(task.parts.train))
    epoch = 3 * macs(net) * (len(task.parts.train) // batch * batch)
    longer = task.recipe.model_copy(update={"epochs": max(1, round(compute / epoch))})
    return fixed(net, task, longer, ledger)


def published(task: Task, ledger: Ledger, switches: Switches) -> Network:
    """ResBuilder's search; what it ends with may cost more than the limit."""
    pre = task.data.preprocess
    module = fresh(empty_net(pre.size, pre.channels, len(task.data.classes), switches), task.recipe)
    recipe = task.recipe.model_copy(update={"epochs": task.final})
    for event in resbuilder(module, task.data, task.parts, recipe, int(task.limit), switches, task.runs):
        if event["event"] in ("trained", "done"):
            ledger.spent = float(event["work"])
    return module


def cells(
    task: Task,
    full: tuple[Dataset, Parts],
    held: np.ndarray,
    request: TrainRequest,
    methods: list[str],
    told: Cell,
    done: dict[str, Cell],
    found: Net | None,
) -> Any:
    """Every method that is not done yet, each with its test figures."""
    compute, decided = (done["zansa"][key] if "zansa" in done else 0.0 for key in ("compute", "decided"))
    for method in METHODS:
        if method in done or method not in methods:
            continue
        if found is None and method not in ("zansa", "drawn", "alike") and not task.search(method):
            raise SystemExit(f"{method} is measured against zansa: name it among the --methods too")
        ledger, began, worked = Ledger(), time.perf_counter(), time.process_time()
        match method:
            case "zansa":
                module = grown(task, ledger)
                found, compute, decided = module.net, ledger.spent, ledger.decided
            case "drawn":
                module = grown(replace(task, recipe=annealed(begun(task.recipe), Schedule())), ledger, learned=True)
            case "alike":
                module = grown(replace(task, recipe=annealed(begun(task.recipe), Schedule())), ledger)
            case "chance":
                epochs = round(task.recipe.epochs * compute / (compute - decided))
                recipe = task.recipe.model_copy(update={"epochs": epochs})
                module = grown(replace(task, recipe=recipe), ledger, by_lot=True)
            case "retrained":
                module = fixed(found, task, task.recipe, ledger)
            case "anew":
                module = paid(task, ledger, found, compute)
            case "plain":
                recipe = task.recipe.model_copy(update={"epochs": task.plain})
                module = fixed(found, task, recipe, ledger)
            case "uniform":
                module = paid(task, ledger, seed_net(hand_designed(task.data), macs, task.limit), compute)
            case "shape":
                module = paid(task, ledger, seed_net(usual(task.data), macs, task.limit), compute)
            case _:
                module = published(task, ledger, MENDED if method == "mended" else PUBLISHED)
        yield told | {
            "method": method,
            "search": task.search(method),
            "net": module.net.to_json(None),
            "macs": cost(module.net).macs,
            "params": cost(module.net).params,
            "compute": ledger.spent,
            "decided": ledger.decided,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": round(time.process_time() - worked, 1),
            "precision": task.recipe.precision,
            "layout": task.recipe.layout,
            "held": balanced(module, task.data, held),
            "val": balanced(module, task.data, task.parts.val),
            **answers(module, *full, request),
        }


def balanced(module: Network, data: Dataset, index: np.ndarray) -> float:
    """The balanced accuracy on these samples."""
    found = figures(probabilities(module, data, index), data.labels[index], data.classes)
    return float(found["balanced_accuracy"]["value"])


def answers(module: Network, data: Dataset, parts: Parts, request: TrainRequest) -> Cell:
    """Figures on the test part, read here once for each cell."""
    good, point = good_of(request.good, data), None
    if good is not None:
        p = probabilities(module, data, parts.val)
        point = rival_point(request, good, data.classes, p, data.labels[parts.val], None)
    metrics = figures(probabilities(module, data, parts.test), data.labels[parts.test], data.classes, point)
    seen = metrics["inspection"]
    return {
        "accuracy": metrics["accuracy"]["value"],
        "balanced": metrics["balanced_accuracy"]["value"],
        "roc_auc": seen["roc_auc"] if seen else None,
        "detection": seen["detection"]["value"] if seen else None,
        "false_alarms": seen["false_alarms"]["value"] if seen else None,
        "test_images": metrics["count"],
    }


def table(measured: list[Cell]) -> str:
    """Markdown: one row for each data set, budget and method, and for each length of a method; ResBuilder's length is
    in its name."""
    heads = [
        "data",
        "training images",
        "budget",
        "method",
        "epochs of zansa",
        "runs",
        "multiply-adds, M",
        "parameters, k",
        "balanced accuracy, %",
        "the same on held-out images, %",
        "accuracy, %",
        "ROC area",
        "compute to zansa's",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    form = {
        "macs": (1e-6, ".2f"),
        "params": (1e-3, ".0f"),
        "balanced": (100, ".2f"),
        "held": (100, ".2f"),
        "accuracy": (100, ".2f"),
        "roc_auc": (1, ".4f"),
    }
    task = lambda c: (c["data"], c["limit"])  # noqa: E731
    epochs_of = lambda c: "–" if c["search"] else str(c["epochs"])  # noqa: E731
    place = lambda c: (*task(c), METHODS.index(c["method"]), c["search"], epochs_of(c))  # noqa: E731
    compute = {(*task(c), c["seed"]): c["compute"] for c in measured if c["method"] == "zansa"}
    for (data, limit, k, search, epochs), group in groupby(sorted(measured, key=place), key=place):
        runs = list(group)
        shares = [
            run["compute"] / compute[*task(run), run["seed"]] for run in runs if (*task(run), run["seed"]) in compute
        ]
        images = spread([run["images"] for run in runs], 1, ".0f")
        row = [
            data,
            images,
            f"{limit / 1e6:g}M",
            named(METHODS[k], search),
            epochs,
            len(runs),
            *(spread([run.get(key) for run in runs], *f) for key, f in form.items()),
        ]
        lines.append(f"| {' | '.join(map(str, [*row, spread(shares, 1, '.2f')]))} |")
    return "\n".join(lines)


def named(method: str, search: list[int]) -> str:
    """A method, and how long it searched: cycles x trainings x epochs, and the last training's epochs."""
    trainings, last = " × ".join(map(str, search[:3])), "".join(f" + {epochs}" for epochs in search[3:])
    return f"{method}, {trainings}{last}" if search else method


def chosen(
    name: str, out: Path, images: int, a_class: int, seed: int
) -> tuple[TrainRequest, Dataset, Parts, np.ndarray]:
    """The data of a name (a pack's, a built-in set's, or NAME=FILE; with `a_class` one of few_images.py), at most so
    many training images, and which further images are held out."""
    if a_class:
        return TrainRequest(source=name, seed=seed), *few_and_held(whole(name, seed, out), a_class, seed)
    label, _, file = name.partition("=")
    if label in BUILTIN:
        request = TrainRequest(source=label, seed=seed)
    elif file:
        request = TrainRequest(source=file, seed=seed, val=0.05, kind="natural")
    else:
        folder = out / "data" / label
        ready = folder / "manifest.csv"
        request = TrainRequest(
            source=str(ready if ready.exists() else packs.prepare(label, folder, packs.shared_data())), seed=seed
        )
    data, parts = door(request, silent)
    held = parts.val
    if images and len(parts.train) > images:
        mixed = np.random.default_rng(0).permutation(parts.train)
        held = mixed[images : images + TESTED * len(data.classes)] if data.groups is None else held
        parts = Parts(np.sort(mixed[:images]), parts.val, parts.test)
    return request, data, parts, held


def asked() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results; a rerun goes on there")
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        help=f"mnist, deeppcb, magnetic_tile, synthetic, or NAME=FILE; with --a-class {', '.join(SETS)}",
    )
    parser.add_argument("--budget", default="macs=10M", help="in multiply-adds, one or several")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of every training but ResBuilder's; zansa's default by default")
    parser.add_argument("--images", type=int, default=0, help="take so many training images; 0: all")
    parser.add_argument("--a-class", type=int, default=0, help="take so many training images of each class")
    parser.add_argument("--cycles", type=int, default=7)
    parser.add_argument("--inserts", type=int, default=3)
    parser.add_argument("--run-epochs", type=int, default=20, help="of each of ResBuilder's trainings")
    parser.add_argument("--final-epochs", type=int, help="of the mended one's last training; zansa's by default")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def main() -> None:
    given = asked()
    given.out.mkdir(parents=True, exist_ok=True)
    record, runs = Run(given.out), Length(cycles=given.cycles, inserts=given.inserts, epochs=given.run_epochs)
    for seed in given.seeds:
        for name in given.data:
            request, data, parts, held = chosen(name, given.out, given.images, given.a_class, seed)
            recipe = default_recipe(data, parts, seed).model_copy(update={"device": given.device})
            plain = recipe.model_copy(update={"epochs": given.epochs} if given.epochs else {})
            recipe = lengthened(plain)
            device = choose_device(given.device)
            for budget in parse(given.budget):
                told = {
                    "data": name.partition("=")[0] + (f", {given.a_class} a class" if given.a_class else ""),
                    "limit": budget.limit,
                    "seed": seed,
                    "epochs": recipe.epochs,
                    "images": len(parts.train),
                    "environment": environment(),
                }
                same = ("data", "limit", "seed", "epochs", "images")
                final = given.final_epochs or recipe.epochs
                task = Task(*sealed(data, parts), recipe, budget.limit, plain.epochs, runs, final)
                done = {
                    c["method"]: c
                    for c in record.lines("cells.jsonl")
                    if all(c[k] == told[k] for k in same) and c["search"] == task.search(c["method"])
                }
                speed = next((c for c in done.values() if "precision" in c), None)
                fast = recipe.model_copy(update={k: speed[k] for k in ("precision", "layout")} if speed else {})
                fast = choose_speed(fresh(usual(data), fast).to(device), data, parts, fast, device)
                task = replace(task, recipe=fast)
                net = Net.from_json(done["zansa"]["net"]) if "zansa" in done else None
                for cell in cells(task, (data, parts), held, request, given.methods, told, done, net):
                    record.append("cells.jsonl", cell)
                    print({key: cell[key] for key in SHOWN}, flush=True)
    record.write_bytes("table.md", (table(record.lines("cells.jsonl")) + "\n").encode())
    print((given.out / "table.md").read_text())


if __name__ == "__main__":
    main()
