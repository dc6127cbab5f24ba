"""How good `zansa train` is on series without any option, beside the nearest neighbour and the commonest class.

    python benchmarks/series.py OUT [--sets gunpoint,italy] [--seeds 0,1,2]

Every set of benchmarks/packs.py is trained as the command line would, with the given split (else a random one by the
seed), and the others see the same training part (its validation part too, as they choose nothing by it) and the same
test part. Prints a Markdown table; each run stays in OUT, and a rerun reads those that are whole.
"""

import argparse
import csv
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import packs
from sklearn.neighbors import KNeighborsClassifier

from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.learn.data import load, split
from zansa.record import Run


def trained(table: Path, out: Path, seed: int) -> dict[str, Any]:
    """metrics.json of a run; trained unless it is there."""
    name = f"{table.stem}-seed{seed}"
    whole = (out / name / "metrics.json").exists()
    run = Run.open(out / name) if whole else train(TrainRequest(source=str(table), seed=seed), out, name)
    return run.read_json("metrics.json")


def rivals(table: Path, seed: int) -> dict[str, tuple[float, float]]:
    """(accuracy, balanced accuracy) of the nearest neighbour and the commonest class. Of letters the nearest is the one
    with fewest different ones: by Euclid a sequence of many N is near to all."""
    data = load(table)
    parts = split(data, seed)
    letters = bool(data.preprocess.alphabet)
    flat = (data.images @ 13.0 ** np.arange(data.images.shape[2])) if letters else data.images.reshape(len(data), -1)
    # shuffled, because letters are often equally near, and the first one counts: tables are sorted by class
    known = np.random.default_rng(seed).permutation(np.concatenate([parts.train, parts.val]))
    near = (
        KNeighborsClassifier(1, metric="hamming" if letters else "euclidean")
        .fit(flat[known], data.labels[known])
        .predict(flat[parts.test])
    )
    common = np.full(len(parts.test), np.bincount(data.labels[known]).argmax())
    truth = data.labels[parts.test]
    return {"nearest neighbour": _rates(near, truth), "commonest class": _rates(common, truth)}


def _rates(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    right = found == truth
    return float(right.mean()), mean(float(right[truth == k].mean()) for k in np.unique(truth))


def row(name: str, method: str, cells: list[tuple[float, float]], seconds: list[float]) -> str:
    """A line of the table: means, and standard deviations of the sample where there are several runs."""
    shown = [
        f"{100 * mean(v):.1f}" + (f" ± {100 * stdev(v):.1f}" if len(v) > 1 else "") for v in zip(*cells, strict=True)
    ]
    return f"| {name} | {method} | {len(cells)} | {' | '.join(shown)} | {f'{mean(seconds):.0f}' if seconds else '–'} |"


def lines(name: str, table: Path, out: Path, seeds: list[int]) -> list[str]:
    """The table's lines for one set."""
    metrics = [trained(table, out, seed) for seed in seeds]
    ours = [(m["test"]["accuracy"]["value"], m["test"]["balanced_accuracy"]["value"]) for m in metrics]
    found = [row(name, "zansa train", ours, [m["training"]["seconds"] for m in metrics])]
    given = "split" in next(csv.reader(table.open(newline="")))
    others = [rivals(table, seed) for seed in (seeds[:1] if given else seeds)]  # a given split leaves nothing to chance
    return found + [row(name, method, [each[method] for each in others], []) for method in others[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for tables and runs; made when missing")
    parser.add_argument("--sets", default=",".join(packs.SERIES), help="some of the sets, with commas")
    parser.add_argument("--seeds", default="0,1,2", help="seeds, with commas")
    parser.add_argument("--shared", type=Path, help="folder of the packs")
    given = parser.parse_args()
    print("| data | method | runs | accuracy, % | balanced accuracy, % | training, s |\n|---|---|---|---|---|---|")
    for name in given.sets.split(","):
        table = given.out / f"{name}.csv"
        if not table.exists():
            packs.prepare(name, given.out, packs.shared_data(given.shared))
        print("\n".join(lines(name, table, given.out, json.loads(f"[{given.seeds}]"))), flush=True)


if __name__ == "__main__":
    main()
