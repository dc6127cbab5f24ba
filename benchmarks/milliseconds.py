"""Whether a budget in milliseconds is met: the exported files of runs, timed in turns with a reference network.

    zansa grow synthetic --budget ms=0.40 --name ms
    zansa grow synthetic --budget macs=15.2M --name macs
    python benchmarks/milliseconds.py runs/ms runs/macs

All files are timed in one process of their own, one after the other, seven rounds (see zansa.deploy.clock.stopwatch).
"""

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

from zansa.deploy.clock.timing import timer
from zansa.learn.data.cache import default_folder

ROUNDS = 7


def timed(runs: list[Path]) -> list[list[float]]:
    """Milliseconds of the runs' files, one thread, one image, round after round; for each run its rounds."""
    clock = timer(default_folder())
    files = [(run / "model.onnx").read_bytes() for run in runs]
    sizes = [json.loads((run / "spec.json").read_text())["input"]["size"] for run in runs]
    rounds = [[clock.exported(*each) for each in zip(files, sizes, strict=True)] for _ in range(ROUNDS)]
    return [list(each) for each in zip(*rounds, strict=True)]


def row(run: Path, times: list[float]) -> str:
    """One line of the table."""
    facts: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    moves = [json.loads(line) for line in (run / "edits.jsonl").read_text().splitlines()]
    now, told, miss = median(times), "–", "–"
    if moves and moves[-1]["unit"] == "ms":
        told = f"{moves[-1]['price_after']:.3f} of {moves[-1]['limit']:g}"
        miss = f"{100 * (now / moves[-1]['limit'] - 1):+.1f} %"
    right = [100 * facts["test"][name]["value"] for name in ("balanced_accuracy", "accuracy")]
    return (
        f"| {run.name} | {told} | {now:.3f} ({min(times):.3f}–{max(times):.3f}) | {miss} "
        f"| {facts['cost']['macs'] / 1e6:.2f} | {right[0]:.1f} | {right[1]:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    runs = parser.parse_args().runs
    print(
        "| run | ms when grown | ms now, median (min–max) | off the budget | multiply-adds, M "
        "| balanced accuracy, % | accuracy, % |\n|---|---|---|---|---|---|---|"
    )
    for run, times in zip(runs, timed(runs), strict=True):
        print(row(run, times))


if __name__ == "__main__":
    main()
