"""What makes a trained network smaller, and what that costs: zansa compress beside Torch-Pruning, from the same base.

    python benchmarks/compress.py OUT [--sets demo boards cifar10 tiles] [--epochs 8] [--tune 3] [--share 0.5]
        [--seed 0] [--alone]

For each set a base is trained; then, all from that base and for equal epochs: pruned by zansa, the same with the base
as teacher (what `zansa compress --budget` does), Torch-Pruning (group norm, MIT) fine-tuned by the same recipe, the
pruned shape from scratch; the base in int8 (`zansa compress --int8`), and the distilled network in int8. --alone leaves
out the rivals. Lines are drawn on validation data, figures are of the test part. Writes OUT/compress.json and prints a
table.
"""

import argparse
import copy
import json
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_pruning

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import packs

from zansa.arch.cost import cost
from zansa.deploy.export import to_onnx
from zansa.deploy.runtime import predictor
from zansa.jobs.compress import Base, asked_of, compress, go_on, learning, opened, planned
from zansa.jobs.door import originals
from zansa.jobs.making.integers import in_turns
from zansa.jobs.making.point import chosen
from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.jobs.trained_request import CompressRequest
from zansa.learn.loss import Criterion
from zansa.learn.predict import probabilities
from zansa.learn.train import passed, steps_per_epoch, training, warmup_cosine
from zansa.nets.build import build
from zansa.nets.files import Model, load
from zansa.proof.calibration import apply
from zansa.proof.decide import logits_of
from zansa.proof.figures import figures
from zansa.record import Run

STEADY = {"precision": "float32", "layout": "channels_first"}
# of each set: its pack, one image in how many is taken, and the file that is read
SETS = {
    "boards": ("deeppcb", 8, "manifest.csv"),
    "cifar10": ("cifar10", 10, "cifar10.npz"),
    "tiles": ("magnetic_tile", 1, "manifest.csv"),
}
Row = dict[str, Any]
WAYS = ("float", "pruned and distilled", "pruned", "Torch-Pruning", "the shape from scratch")
BASE8, INT8 = "int8 of the base", "int8 of the distilled"


def source(name: str, out: Path) -> str:
    """What `zansa train` reads of a set."""
    if name == "demo":
        return "synthetic"
    pack, every, made = SETS[name]
    folder = out / "data" / name
    if not (folder / made).exists():
        packs.prepare(pack, folder, packs.shared_data(), every=every)
    return str(folder / made)


def scored(name: str, base: Base, module: torch.nn.Module, seconds: float) -> Row:
    """Figures of a network on test samples, at its own line from validation samples."""
    raw = probabilities(module, base.data, base.parts.val)
    choice, _ = chosen(base.request, base.good, base.data, base.parts.val, raw, "logit")
    p = apply(logits_of(probabilities(module, base.data, base.parts.test)), choice.calibration)
    return {"way": name, "seconds": seconds} | told(base, p, choice.operating)


def told(base: Base, p: np.ndarray, point: Any) -> Row:
    """What the table shows of answers to test samples."""
    made = figures(p, base.data.labels[base.parts.test], base.data.classes, point)
    seen = made["inspection"] or {}  # photographs have no good class
    shares = {"found": seen.get("detection"), "false_alarms": seen.get("false_alarms")}
    balanced = {"balanced": made["balanced_accuracy"]["value"]}
    return balanced | {name: each and each["value"] for name, each in shares.items()}


def by_torch_pruning(base: Base, macs: float) -> torch.nn.Module:
    """The base, with the channels gone that Torch-Pruning's group norm finds least, down to so many multiply-adds."""
    size = (1, base.data.preprocess.channels, *base.data.preprocess.size)
    sample, low, high, best = torch.zeros(size), 0.0, 0.9, None
    for _ in range(7):
        ratio, module = (low + high) / 2, copy.deepcopy(base.model.module)
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        pruner = torch_pruning.pruner.MetaPruner(
            module,
            sample,
            importance,
            global_pruning=True,
            pruning_ratio=ratio,
            ignored_layers=[module.get_submodule("head.linear")],
        )
        pruner.step()
        now = torch_pruning.utils.count_ops_and_params(module, sample)[0]
        low, high, best = (low, ratio, module) if now <= macs else (ratio, high, best)
    assert best is not None
    return best


def tuned(module: torch.nn.Module, base: Base, recipe: Any) -> torch.nn.Module:
    """The module, trained as zansa trains: the same steps, rates, augmentation and loss."""
    parts, per_epoch = base.parts, steps_per_epoch(recipe, base.parts)
    best = torch.optim.SGD(module.parameters(), recipe.rate, recipe.momentum, nesterov=True, weight_decay=recipe.decay)
    loss = Criterion(base.data.labels[parts.train], len(base.data.classes), recipe, torch.device("cpu"))
    chance = torch.Generator()
    module.train()
    for step in range(recipe.epochs * per_epoch):
        epoch, at = divmod(step, per_epoch)
        order = np.random.default_rng([recipe.seed, epoch]).permutation(parts.train)
        index = np.sort(order[at * recipe.batch : (at + 1) * recipe.batch])
        for group in best.param_groups:
            group["lr"] = recipe.rate * warmup_cosine(step / (recipe.epochs * per_epoch), recipe.warmup, recipe.hold)
        best.zero_grad()
        passed(module, base.data, index, step, recipe, loss, chance)[0].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
        best.step()
    return module.eval()


def measure(name: str, given: argparse.Namespace) -> list[Row]:
    """All rows of a set; those that were measured before are read."""
    runs = given.out / f"{name}-{given.seed}"
    if not (runs / "base" / "metrics.json").exists():
        request = TrainRequest(
            source=source(name, given.out), seed=given.seed, recipe={"epochs": given.epochs, **STEADY}
        )
        train(request, runs, "base")
    limit = given.share * cost(load(runs / "base" / "model.safetensors").net).macs
    asked = CompressRequest(model=str(runs / "base"), budget=f"macs={limit:.0f}", int8=True, epochs=given.tune,
                            out=str(runs), name="small")  # fmt: skip
    smaller(asked, runs / "small")
    smaller(CompressRequest(model=str(runs / "base"), int8=True, out=str(runs), name="int8"), runs / "int8")
    base, small = opened(asked, lambda event: None), load(runs / "small" / "model.safetensors")
    kept = runs / "rows.json"
    rows = {row["way"]: row for row in json.loads(kept.read_text())} if kept.exists() else {}
    for way in WAYS[:2] if given.alone else WAYS:
        if way not in rows:
            began = time.process_time()
            module = trained(way, base, small, asked, runs / f"way-{WAYS.index(way)}")
            rows[way] = scored(way, base, module, time.process_time() - began)
            kept.write_text(json.dumps(list(rows.values())))
    files, gates = {WAYS[0]: to_onnx(base.model), WAYS[1]: to_onnx(small)}, {WAYS[1]: ("small", "network")}
    for way, folder in ((BASE8, "int8"), (INT8, "small")):
        files[way], gates[way] = (runs / folder / "model.onnx").read_bytes(), (folder, "int8")
        int8 = predictor(files[way])
        p = int8.probabilities(originals(base.data, base.parts.test)).astype(np.float64)
        rows[way] = {"way": way, "seconds": 0.0} | told(base, p, int8.operating)
    times = in_turns(files)
    for way, row in rows.items():
        row |= {"set": name, "seed": given.seed, "bytes": None, "ms": None}
        row |= {"bytes": len(files[way]), "ms": times[way][0]["ms"]} if way in files else {}
        row |= judged(runs, *gates[way]) if way in gates else {"turned": None, "turned_test": None, "passed": None}
    return list(rows.values())


def judged(runs: Path, folder: str, gate: str) -> Row:
    """What the gate of a step said: decisions turned on validation and on test samples, and whether it passed."""
    record = Run.open(runs / folder).read_json("compress.json")
    of, test = record["gates"][gate], record["test" if gate == "network" else "test_int8"] or {}
    return {"turned": of["turned"], "turned_test": test.get("turned"), "passed": of["passed"]}


def smaller(asked: CompressRequest, run: Path) -> None:
    """Compress, or go on with it where it was stopped."""
    if (going := asked_of(run)) is not None:
        go_on(run, going)
    elif not run.exists():
        compress(asked)


def trained(way: str, base: Base, small: Model, asked: CompressRequest, folder: Path) -> torch.nn.Module:
    """The network of a way; a training that was stopped goes on."""
    if way in WAYS[:2]:
        return base.model.module if way == WAYS[0] else small.module
    job, _ = planned(asked.model_copy(update={"int8": False}), base, lambda event: None)
    job = replace(job, recipe=job.recipe.model_copy(update=STEADY))
    if way == "Torch-Pruning":
        return tuned(by_torch_pruning(base, job.growth.limit if job.growth else 0), base, job.recipe)
    run = Run.open(folder) if folder.exists() else Run.create(folder.parent, folder.name)
    module = copy.deepcopy(base.model.module) if way == "pruned" else build(small.net)
    steps = (
        learning(module, job, run, None)
        if way == "pruned"
        else training(module, base.data, base.parts, job.recipe, run.path / "checkpoint.pt")
    )
    for _ in steps:
        pass
    return module


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| set | way | balanced | found | false alarms | turned (val, test) | gate | kB | ms | CPU s |",
        "|---|---|--:|--:|--:|--:|---|--:|--:|--:|",
    ]
    for row in rows:
        shares = " | ".join(
            "–" if row[k] is None else f"{100 * row[k]:.1f}" for k in ("balanced", "found", "false_alarms")
        )
        size = "–" if row["bytes"] is None else f"{row['bytes'] / 1000:.0f}"
        ms = "–" if row["ms"] is None else f"{row['ms']:.2f}"
        gate = {None: "–", True: "passed", False: "failed"}[row["passed"]]
        turned = ", ".join("–" if row[k] is None else str(row[k]) for k in ("turned", "turned_test"))
        lines.append(
            f"| {row['set']} | {row['way']} | {shares} | {turned} | {gate} | {size} | {ms} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", default=["demo", "boards"], choices=["demo", *SETS])
    parser.add_argument("--epochs", type=int, default=8, help="of the base")
    parser.add_argument("--tune", type=int, default=3, help="epochs of everything that is made of it")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alone", action="store_true", help="without the rivals")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    rows = [row for name in given.sets for row in measure(name, given)]
    (given.out / "compress.json").write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
