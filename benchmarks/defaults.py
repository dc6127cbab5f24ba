"""What it is worth that the data may speak against a default: `zansa train` with no option against `--race none`.

    python benchmarks/defaults.py OUT [--data synthetic:mirror synthetic:dark ...] [--seeds 0 1 2] [--epochs 5]

Data are the built-in sets, and the packs of real images. Both trainings have the same parts, network size and epochs.
`begin` is none in both, so that only the doubts differ. Where the data speak against nothing, both are the same
training to the last bit, and none is run. OUT/cells.jsonl gets a line for each finished training, and for each pair
that needs none; a rerun goes on from there. OUT/table.md gets the table.
"""

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import packs
from real_images import spread

from zansa.jobs.door import door
from zansa.jobs.making.job import doubted
from zansa.jobs.request import TrainRequest, silent
from zansa.jobs.train import train
from zansa.learn.data.synthetic import NAMES
from zansa.record import Run, environment

Cell = dict[str, Any]


def source(name: str, out: Path) -> str:
    """The source of a built-in set or of a pack."""
    if name in NAMES:
        return name
    folder = out / "data" / name
    ready = folder / "manifest.csv"
    return str(ready if ready.exists() else packs.prepare(name, folder, packs.shared_data()))


def spoken_against(name: str, out: Path, seed: int) -> tuple[list[str], float]:
    """The defaults that the training images speak against, and the seconds that it took to ask them."""
    asked = TrainRequest(source=source(name, out), seed=seed)
    data, parts = door(asked, silent)
    begun = perf_counter()
    return [doubt.default for doubt in doubted(asked, data, parts) if not doubt.stays], perf_counter() - begun


def measured(name: str, out: Path, race: str, seed: int, epochs: int | None) -> Cell:
    """The figures of one training on its test part, ."""
    asked = TrainRequest(
        source=source(name, out), seed=seed, race=race, begin="none", recipe={"epochs": epochs} if epochs else {}
    )
    folder = f"{name.replace(':', '-')}-{race}-{seed}"
    run = train(asked, out / "runs", folder)
    metrics = run.read_json("metrics.json")["test"]
    seen = metrics["inspection"] or {}
    return {
        "balanced": metrics["balanced_accuracy"]["value"],
        "roc_auc": seen.get("roc_auc"),
        "at_5_percent": (seen.get("detection_at") or {}).get("0.05"),
    }


def table(cells: list[Cell]) -> str:
    """Markdown: a row for each data set and way."""
    lines = [
        "| data | epochs | race | runs | balanced accuracy, % | ROC area | found at 5 % false alarms, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in sorted({(cell["data"], str(cell["epochs"]), cell["race"]) for cell in cells}):
        if key[2] == "same":
            continue
        runs = [cell for cell in cells if (cell["data"], str(cell["epochs"]), cell["race"]) == key]
        figures = [
            spread([run[name] for run in runs], *form) if all(run[name] is not None for run in runs) else "–"
            for name, form in (("balanced", (100, ".1f")), ("roc_auc", (1, ".3f")), ("at_5_percent", (100, ".1f")))
        ]
        lines.append(f"| {' | '.join(map(str, [*key, len(runs), *figures]))} |")
    return "\n".join([*lines, "", *_same(cells)])


def _same(cells: list[Cell]) -> list[str]:
    """Markdown: the sets whose images speak against nothing."""
    names = list(dict.fromkeys(cell["data"] for cell in cells if cell["race"] == "same"))
    rows = [(name, [cell for cell in cells if (cell["data"], cell["race"]) == (name, "same")]) for name in names]
    return [
        "| data | seeds | what the data speak against | seconds to ask |",
        "|---|---|---|---|",
        *(
            f"| {name} | {', '.join(str(cell['seed']) for cell in runs)} | nothing: the same training | "
            f"{spread([cell['seconds'] for cell in runs], 1, '.1f')} |"
            for name, runs in rows
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results; a rerun goes on there")
    parser.add_argument("--data", nargs="+", default=[*NAMES, "mnist", "deeppcb", "magnetic_tile", "cifar10"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of every training; zansa's default by default")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    record = Run(given.out)
    done = {(c["data"], c["race"], c["seed"], c["epochs"]) for c in record.lines("cells.jsonl")}
    for seed in given.seeds:
        for name in given.data:
            if (name, "same", seed, None) in done:
                continue
            doubts, seconds = spoken_against(name, given.out, seed)
            for race in ("none", "auto") if doubts else ("same",):
                cell = {"data": name, "race": race, "seed": seed, "epochs": given.epochs if doubts else None}
                if tuple(cell.values()) in done:
                    continue
                cell |= {"doubts": doubts, "seconds": round(seconds, 1)}
                cell |= measured(name, given.out, race, seed, given.epochs) if doubts else {}
                record.append("cells.jsonl", cell | {"environment": environment()})
                record.write_bytes("table.md", (table(record.lines("cells.jsonl")) + "\n").encode())
                print(cell, flush=True)


if __name__ == "__main__":
    main()
