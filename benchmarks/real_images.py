"""The benchmark on real images: zansa with no option against what a careful user has without it.

    python benchmarks/real_images.py OUT [--only magnetic_tile mnist ...] [--seeds 3] [--quick]

For each data set and seed, on the same training, validation and test images: `zansa train` with no option;
a ResNet-18 by the framework's tutorial, at zansa's image size and number of epochs; the nearest neighbour;
always the commonest class (see baselines.py). For the magnetic tiles seed i tests on fold i, whole tiles
held out; one more run on a random split shows what a leaking split would have claimed. The test part is
read once, at the end.

OUT/cells.jsonl gets one line for each finished cell, so a rerun goes on where a killed one stopped;
OUT/table.md is written anew after each. Images and runs lie in OUT too. Give the tutorial the --workers and
--threads that train_step.py finds best for it on your machine.
"""

import argparse
import os
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import packs
import torch
from baselines import Answers, commonest_class, nearest_neighbour, resnet18

from zansa.jobs.door import door
from zansa.jobs.making.point import rival_point
from zansa.jobs.request import Pointed, TrainRequest, silent
from zansa.jobs.train import resume, train
from zansa.learn.data.dataset import Dataset
from zansa.learn.data.splits import Parts
from zansa.proof.figures import figures
from zansa.proof.good import good_class
from zansa.record import Run, environment

SPLITS = {"magnetic_tile": "whole tiles held out", "deeppcb": "authors' split", "mnist": "official split"}
LEAKING = "random split, leaking"
METHODS = ("zansa train", "ResNet-18, tutorial", "nearest neighbour", "commonest class")
FALSE_ALARMS = "0.02"
QUICK_EPOCHS, QUICK_EVERY = 2, 4  # of --quick: so many epochs, one image in so many
Figures = dict[str, Any]


@dataclass(frozen=True)
class Tutorial:
    """How the tutorial's loop runs: workers of its loader, torch's threads, and precision."""

    workers: int
    threads: int
    precision: str


@dataclass(frozen=True)
class Job:
    """One data set with its split, and one seed; `recipe` and `every` hold what --quick changes."""

    data: str
    split: str
    seed: int
    recipe: dict[str, int]
    every: int

    @property
    def name(self) -> str:
        return f"{self.data}-{'leaking-' if self.split == LEAKING else ''}{self.seed}"

    def request(self, manifest: Path) -> TrainRequest:
        return TrainRequest(source=str(manifest), seed=self.seed, recipe=self.recipe)


def plan(names: list[str], seeds: int, quick: bool) -> list[Job]:
    """All jobs, one seed of every data set before the next seed."""
    short: tuple[dict[str, int], int] = ({"epochs": QUICK_EPOCHS}, QUICK_EVERY) if quick else ({}, 1)
    jobs = [Job(name, SPLITS[name], seed, *short) for seed in range(seeds) for name in names]
    return jobs + ([Job("magnetic_tile", LEAKING, 0, *short)] if "magnetic_tile" in names else [])


def prepared(job: Job, out: Path, shared: Path) -> Path:
    """The manifest of a job's images, written when it is not there yet."""
    fold = "random" if job.split == LEAKING else str(job.seed)
    folder = out / "data" / (f"magnetic_tile-{fold}" if job.data == "magnetic_tile" else job.data)
    manifest = folder / "manifest.csv"
    return manifest if manifest.exists() else packs.prepare(job.data, folder, shared, fold, job.every)


# ---- one cell --------------------------------------------------------------------------------------------


def ours(job: Job, manifest: Path, out: Path) -> Figures:
    """`zansa train MANIFEST --seed SEED`, or the rest of it where a killed benchmark left a run.

    Seconds are those from the call to the trained network, so they include decoding the images, as the rival
    does in its loop; of a run that was broken off they are those of the training alone.
    """
    path = out / "runs" / job.name
    told: dict[str, float] = {}

    def tell(event: Figures) -> None:
        told.setdefault(event["event"], time.perf_counter())  # when each kind of event was first told

    start = time.perf_counter()
    if (path / "request.json").exists():
        run = Run.open(path) if _has_test(path) else resume(path)
    else:
        shutil.rmtree(path, ignore_errors=True)  # killed before its training began
        shutil.rmtree(out / "cache", ignore_errors=True)
        run = train(job.request(manifest), path.parent, job.name, tell)
    if not _has_test(path):
        raise KeyboardInterrupt  # zansa train takes it as the wish to stop early and returns
    metrics = run.read_json("metrics.json")
    training = metrics["training"]
    seconds = told["stage"] - start if told else training["seconds"]
    return row(metrics["test"]) | {"seconds": seconds, "macs": metrics["cost"]["macs"], "training": training}


def _has_test(path: Path) -> bool:
    return (path / "metrics.json").exists() and "test" in Run(path).read_json("metrics.json")


def rival(answers: Answers, data: Dataset, parts: Parts) -> Figures:
    """The figures of a rival, by the same functions and with the line drawn in the same way."""
    good = good_class(data.classes)
    operating = good and rival_point(Pointed(), good, data.classes, answers.val, data.labels[parts.val], None)
    found = figures(answers.test, data.labels[parts.test], data.classes, operating or None)
    return row(found) | {"seconds": answers.seconds, "macs": answers.macs}


def row(metrics: Figures) -> Figures:
    """What the table shows of the figures of a test part."""
    inspection = metrics["inspection"] or {}
    detection, alarms = inspection.get("detection"), inspection.get("false_alarms")
    return {
        "balanced_accuracy": metrics["balanced_accuracy"]["value"],
        "accuracy": metrics["accuracy"]["value"],
        "roc_auc": inspection["roc_auc"] if inspection else metrics["roc_auc"],
        "detection_at_2": inspection["detection_at"][FALSE_ALARMS] if inspection else None,
        "detection": detection and detection["value"],
        "false_alarms": alarms and alarms["value"],
        "test_images": metrics["count"],
    }


def measure(job: Job, method: str, manifest: Path, out: Path, tutorial: Tutorial) -> Figures:
    """One cell: one method on one data set with one seed."""
    if method == "zansa train":
        return ours(job, manifest, out)
    data, parts = door(job.request(manifest), silent)
    epochs = Run.open(out / "runs" / job.name).read_json("recipe.json")["epochs"]
    answer = {
        "ResNet-18, tutorial": partial(resnet18, data, parts, epochs, job.seed, tutorial.workers, tutorial.precision),
        "nearest neighbour": partial(nearest_neighbour, data, parts),
        "commonest class": partial(commonest_class, data, parts),
    }[method]
    before = torch.get_num_threads()
    torch.set_num_threads(tutorial.threads)
    rated = rival(answer(), data, parts)
    torch.set_num_threads(before)
    return rated


# ---- the table -------------------------------------------------------------------------------------------


COLUMNS = {
    "balanced_accuracy": ("balanced accuracy, %", 100, ".1f"),
    "roc_auc": ("ROC area", 1, ".3f"),
    "detection_at_2": ("defects found at 2 % false alarms, %", 100, ".1f"),
    "detection": ("found at the line, %", 100, ".1f"),
    "false_alarms": ("false alarms there, %", 100, ".1f"),
    "seconds": ("training, s", 1, ".0f"),
    "macs": ("MACs, M", 1e-6, ".2f"),
}


def table(cells: list[Figures]) -> str:
    """Markdown: for each data set, split and method the mean ± standard deviation over the seeds."""
    heads = [head for head, _, _ in COLUMNS.values()]
    lines = [f"| data, split | method | runs | {' | '.join(heads)} |", "|---" * (3 + len(heads)) + "|"]
    ranked = sorted(cells, key=_place)
    for (data, split, _, method), same in groupby(ranked, key=_place):
        runs = list(same)
        values = [spread([run[name] for run in runs], *COLUMNS[name][1:]) for name in COLUMNS]
        lines.append(f"| {data}, {split} | {method} | {len(runs)} | {' | '.join(values)} |")
    return "\n".join(lines)


def _place(cell: Figures) -> tuple[str, str, int, str]:
    return cell["data"], cell["split"], METHODS.index(cell["method"]), cell["method"]


def spread(values: list[float | None], scale: float, digits: str) -> str:
    """ "mean ± deviation" of what is known; the deviation is that of a sample, and needs two values."""
    known = [value * scale for value in values if value is not None]
    if not known:
        return "–"
    return f"{mean(known):{digits}}" + (f" ± {stdev(known):{digits}}" if len(known) > 1 else "")


def notes(cells: list[Figures]) -> str:
    """Under the table: how it was made, and where."""
    made = cells[-1]
    machine = made["environment"]
    commits = ", ".join(sorted({str(cell["environment"]["commit"]) for cell in cells}))
    quick = "QUICK RUN, few images and epochs: its figures say nothing. " if made["quick"] else ""
    return (
        f"{quick}Test images; mean ± standard deviation over runs. The line was drawn on validation images, with "
        f"at most 2 % of the good ones rejected. Training: from image files to a trained network, validation too. "
        f"The tutorial had {made['tutorial']['workers']} workers beside {made['tutorial']['threads']} threads, in "
        f"{made['tutorial']['precision']}.\n\n"
        f"{machine['cpu']}, {machine['cores']} cores; torch {machine['versions'].get('torch')}; commit {commits}."
    )


# ---- the run ---------------------------------------------------------------------------------------------


def benchmark(jobs: list[Job], out: Path, shared: Path, quick: bool, tutorial: Tutorial) -> None:
    """Every cell that is not there yet, in order; each is written down as soon as it is known."""
    out.mkdir(parents=True, exist_ok=True)
    record = Run(out)
    if any(cell["quick"] != quick for cell in record.lines("cells.jsonl")):
        raise ValueError(f"{out} holds results with{'out' if quick else ''} --quick; choose another folder")
    done = {(cell["job"], cell["method"]) for cell in record.lines("cells.jsonl")}
    for job in jobs:
        for method in METHODS:
            if (job.name, method) in done:
                continue
            measured = measure(job, method, prepared(job, out, shared), out, tutorial)
            cell = {"job": job.name, "data": job.data, "split": job.split, "seed": job.seed, "method": method}
            where = {"quick": quick, "tutorial": asdict(tutorial), "environment": environment()}
            record.append("cells.jsonl", cell | measured | where)
            cells = record.lines("cells.jsonl")
            record.write_bytes("table.md", f"{table(cells)}\n\n{notes(cells)}\n".encode())
            print(f"{job.name}, {method}: balanced accuracy {measured['balanced_accuracy']:.3f}", flush=True)
    print((out / "table.md").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for images, runs and results; a rerun goes on there")
    parser.add_argument("--only", nargs="+", choices=SPLITS, default=list(SPLITS), help="these data sets")
    parser.add_argument("--seeds", type=int, choices=range(1, 6), default=3)
    parser.add_argument("--quick", action="store_true", help="few images and epochs, to see that all works")
    parser.add_argument("--shared", type=Path, help="folder of the packs")
    parser.add_argument("--workers", type=int, default=2, help="of the tutorial's loader")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch, for the tutorial")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the tutorial")
    given = parser.parse_args()
    os.environ["ZANSA_CACHE"] = str(given.out / "cache")  # its own, so that nothing is decoded beforehand
    try:
        tutorial = Tutorial(given.workers, given.threads, given.precision)
        jobs = plan(given.only, 1 if given.quick else given.seeds, given.quick)
        benchmark(jobs, given.out, packs.shared_data(given.shared), given.quick, tutorial)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
