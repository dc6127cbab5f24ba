"""What makes a trained network smaller, and what that costs: zansa compress beside Torch-Pruning, from the same base.

    python benchmarks/compress.py OUT [--sets demo boards cifar10 tiles] [--epochs 8] [--tune 3] [--share 0.5]
        [--seed 0] [--alone | --calibrations]

For each set a base is trained; then, all from that base and for equal epochs: pruned by zansa, the same with the base
as teacher (what `zansa compress --budget` does), Torch-Pruning (group norm, MIT) fine-tuned by the same recipe, the
same with sparse learning in the first half of the epochs, the pruned shape from scratch; the base in int8 (`zansa
compress --int8`), and the distilled network in int8. --alone leaves out the rivals. Lines are drawn on validation data,
figures are of the test part. Writes OUT/compress.json and prints a table.

--calibrations compares instead the ways to find the ranges of int8 of the base, each with the line as it was: decisions
turned on validation images and on images of the training split that no network has learned from. Writes
OUT/calibrations.json.
"""

import argparse
import copy
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_pruning
from onnxruntime.quantization import CalibrationMethod

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import packs

from zansa.arch.cost import cost
from zansa.deploy.export import to_onnx
from zansa.deploy.quantise import Quantised, quantised
from zansa.deploy.runtime import predictor
from zansa.jobs.compress import Base, asked_of, compress, go_on, learning, opened, planned, rounding
from zansa.jobs.door import evenly, originals
from zansa.jobs.making.integers import (
    CALIBRATED,
    GATED,
    LEFT_OUT,
    PROBED,
    Reference,
    Tried,
    calibrating,
    in_turns,
    reference,
    sensitive,
)
from zansa.jobs.making.point import chosen
from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.jobs.trained_request import CompressRequest
from zansa.learn.data import load as read
from zansa.learn.data.dataset import Dataset
from zansa.learn.data.synthetic import builtin
from zansa.learn.loss import Criterion
from zansa.learn.predict import probabilities
from zansa.learn.train import loss_of, steps_per_epoch, training, warmup_cosine
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
UNSEEN = 1500  # images that no network has learned from
Row = dict[str, Any]
# Torch-Pruning's sparse learning by strength: the first is its authors' for CIFAR-10, whose training is 100 epochs long
SPARSE = {f"Torch-Pruning, sparse learning {strength:g}": strength for strength in (5e-4, 5e-3)}
WAYS = ("float", "pruned and distilled", "pruned", "Torch-Pruning", "the shape from scratch", *SPARSE)
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
    held, tested = (
        apply(logits_of(probabilities(module, base.data, index)), choice.calibration)
        for index in (base.parts.val, base.parts.test)
    )
    on_val = figures(held, base.data.labels[base.parts.val], base.data.classes, choice.operating)
    row = {"way": name, "seconds": seconds, "val_balanced": on_val["balanced_accuracy"]["value"]}
    return row | told(base, tested, choice.operating)


def told(base: Base, p: np.ndarray, point: Any) -> Row:
    """What the table shows of answers to test samples."""
    made = figures(p, base.data.labels[base.parts.test], base.data.classes, point)
    seen = made["inspection"] or {}  # photographs have no good class
    shares = {"found": seen.get("detection"), "false_alarms": seen.get("false_alarms")}
    balanced = {"balanced": made["balanced_accuracy"]["value"]}
    return balanced | {name: each and each["value"] for name, each in shares.items()}


def torch_pruner(base: Base, module: torch.nn.Module, ratio: float = 0.5, sparse: float = 0.0) -> Any:
    """Torch-Pruning's pruner by group norm, of a module that is like the base's. What is learned sparsely is compared
    in shares of a group's largest norm, as its authors do."""
    return torch_pruning.pruner.GroupNormPruner(
        module,
        torch.zeros((1, base.data.preprocess.channels, *base.data.preprocess.size)),
        torch_pruning.importance.GroupMagnitudeImportance(p=2, normalizer="max" if sparse else "mean"),
        reg=sparse,
        global_pruning=True,
        pruning_ratio=ratio,
        ignored_layers=[module.get_submodule("head.linear")],
    )


def by_torch_pruning(base: Base, begun: torch.nn.Module, macs: float, sparse: float = 0.0) -> torch.nn.Module:
    """A network, with the channels gone that Torch-Pruning finds least, down to so many multiply-adds."""
    sample, low, high, best = torch.zeros(1, base.data.preprocess.channels, *base.data.preprocess.size), 0.0, 0.9, None
    for _ in range(7):
        ratio, module = (low + high) / 2, copy.deepcopy(begun)
        torch_pruner(base, module, ratio, sparse).step()
        now = torch_pruning.utils.count_ops_and_params(module, sample)[0]
        low, high, best = (low, ratio, module) if now <= macs else (ratio, high, best)
    assert best is not None
    return best


def sparsely(base: Base, recipe: Any, macs: float, strength: float) -> torch.nn.Module:
    """Torch-Pruning with sparse learning: half of the epochs push whole groups of weights to nothing, in place of the
    usual decay; then these are pruned, and the other half is for what remains."""
    before = recipe.epochs // 2
    module = copy.deepcopy(base.model.module)
    first = recipe.model_copy(update={"epochs": before, "decay": 0.0})
    module = tuned(module, base, first, torch_pruner(base, module, sparse=strength))
    module = by_torch_pruning(base, module, macs, strength)
    return tuned(module, base, recipe.model_copy(update={"epochs": recipe.epochs - before}))


def tuned(module: torch.nn.Module, base: Base, recipe: Any, pruner: Any = None) -> torch.nn.Module:
    """The module, trained as zansa trains: the same steps, rates, augmentation and loss; with what a pruner adds to
    the gradients, if one is given."""
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
        loss_of(module, base.data, index, step, recipe, loss, chance)[0].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
        if pruner is not None:
            pruner.regularize(module)
        best.step()
    return module.eval()


def based(name: str, given: argparse.Namespace) -> Path:
    """The run of the base, which is trained where it is not there yet."""
    runs = given.out / f"{name}-{given.seed}"
    if not (runs / "base" / "metrics.json").exists():
        request = TrainRequest(
            source=source(name, given.out), seed=given.seed, recipe={"epochs": given.epochs, **STEADY}
        )
        train(request, runs, "base")
    return runs / "base"


def measure(name: str, given: argparse.Namespace) -> list[Row]:
    """All rows of a set; those that were measured before are read."""
    runs = based(name, given).parent
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


def calibrations(name: str, given: argparse.Namespace) -> list[Row]:
    """int8 of the base by every way to find its ranges: what the gate says with the line as it was, and with a line of
    its own, on validation images and on images that no network has learned from."""
    base = opened(CompressRequest(model=str(based(name, given)), int8=True), lambda event: None)
    file, more = to_onnx(base.model), unseen(name, base, given.out)
    val = reference(file, base.data, evenly(base.parts.val, GATED), given.margin)
    new = reference(file, more, np.flatnonzero(more.split == "train")[:UNSEEN], given.margin)
    rows, files = [], {"float32": file}
    for way, made in ways_to_int8(base, file, val):
        plain, own = val.judged(made), val.judge(made)
        files[way] = made.file
        rows.append(
            {"set": name, "seed": given.seed, "way": way, "bytes": len(made.file) / len(file)}
            | {"val": short(plain), "unseen": short(new.judged(made))}
            | {"val_own_line": short(own), "unseen_own_line": short(new.judged(own.made))}
        )
    times = in_turns(files)
    for row in rows:
        row |= {"ms": times[row["way"]][0]["ms"], "float_ms": times["float32"][0]["ms"]}
    return rows


def ways_to_int8(base: Base, file: bytes, asked: Reference) -> Iterator[tuple[str, Quantised]]:
    """The ways to find the ranges, and what came of them."""
    data, train = base.data, base.parts.train
    drawn = np.random.default_rng(0).permutation(train)[:CALIBRATED]
    yield "min-max, images as they come", quantised(file, originals(data, np.sort(drawn)))
    if base.good is not None:
        good = evenly(train[data.labels[train] == data.classes.index(base.good)], CALIBRATED)
        yield "min-max, good ones alone", quantised(file, originals(data, good))
    ranges = originals(data, calibrating(data, base.parts, base.good))
    yield "min-max, by kind (zansa)", quantised(file, ranges)
    # entropy as onnxruntime has it, 128 bins for 128 levels, is min-max to the byte
    for method in (CalibrationMethod.Entropy, CalibrationMethod.Percentile):
        yield f"{method.name.lower()}, by kind", quantised(file, ranges, method=method)
    with many_bins():
        yield "entropy of 2,048 bins, by kind", quantised(file, ranges, method=CalibrationMethod.Entropy)
    worst = sensitive(file, ranges[:: max(1, len(ranges) // PROBED)], asked.answers, asked.samples)
    for count in LEFT_OUT:
        left = tuple(worst[:count])
        yield f"min-max, by kind, {count} most sensitive in float32", quantised(file, ranges, left)
    learned, _ = rounding(None, base, base.model, lambda event: None)
    yield "a short training that rounds, min-max, by kind", quantised(to_onnx(learned), ranges)


@contextmanager
def many_bins() -> Iterator[None]:
    """Let onnxruntime count values in 2,048 bins, of which its quantiser offers no choice: the 128 that it takes for
    128 levels leave nothing to choose."""
    module = sys.modules["onnxruntime.quantization.quantize"]
    usual = module.create_calibrator
    module.create_calibrator = lambda *given, extra_options, **more: usual(  # type: ignore[attr-defined]
        *given, extra_options={**extra_options, "num_bins": 2048}, **more
    )
    try:
        yield
    finally:
        module.create_calibrator = usual  # type: ignore[attr-defined]


def unseen(name: str, base: Base, out: Path) -> Dataset:
    """Images that no network has learned from: of a pack those between the ones that were taken, of the built-in set
    those of another seed."""
    if name == "demo":
        more = builtin(977, UNSEEN)
        return replace(more, preprocess=base.data.preprocess, split=np.full(len(more), "train"))
    pack, every, made = SETS[name]
    if every == 1:
        raise ValueError(f"all images of {name} are taken, so none is unseen; allowed: demo, boards, cifar10")
    folder, like = out / "data" / f"{name}-unseen", base.data.preprocess
    if not (folder / made).exists():
        packs.prepare(pack, folder, packs.shared_data(), every=every, first=every // 2)
    more = read(folder / made, like=like)
    assert more.classes == base.data.classes, (more.classes, base.data.classes)
    return replace(more, preprocess=like)


def short(tried: Tried) -> Row:
    """What the table shows of a gate."""
    told = tried.gate
    return {key: told[key] for key in ("samples", "turned", "same_class", "largest_change", "passed")}


def calibration_table(rows: list[Row]) -> str:
    """The rows of `calibrations` as Markdown."""
    lines = [
        "| set | seed | ranges | turned, validation | unseen | classes kept, validation | unseen | bytes | ms |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        turned, kept = (
            [f"{row[part][key]} of {row[part]['samples']}" for part in ("val", "unseen")]
            for key in ("turned", "same_class")
        )
        cells = [*turned, *kept, f"{100 * row['bytes']:.1f} %", f"x{row['ms'] / row['float_ms']:.2f}"]
        lines.append(f"| {row['set']} | {row['seed']} | {row['way']} | {' | '.join(cells)} |")
    return "\n".join(lines)


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
    macs = job.growth.limit if job.growth else 0
    if way in SPARSE:
        return sparsely(base, job.recipe, macs, SPARSE[way])
    if way == "Torch-Pruning":
        return tuned(by_torch_pruning(base, base.model.module, macs), base, job.recipe)
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
    parser.add_argument("--calibrations", action="store_true", help="the ways to find the ranges of int8")
    parser.add_argument("--margin", type=float, default=0.02, help="of the gate")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    if given.calibrations:
        rows = [row for name in given.sets for row in calibrations(name, given)]
        (given.out / "calibrations.json").write_text(json.dumps(rows, indent=1))
        print(calibration_table(rows))
        return
    rows = [row for name in given.sets for row in measure(name, given)]
    (given.out / "compress.json").write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
