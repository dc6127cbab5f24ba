"""What it is worth that the data may speak against a default: `zansa train` with no option against `--race none`.

    python benchmarks/defaults.py OUT [--data synthetic:mirror synthetic:dark ...] [--seeds 0 1 2] [--epochs 5]

Data are the built-in sets, and the packs of real images (mnist, deeppcb, magnetic_tile). Both trainings have the same
parts, network size and epochs. `begin` is none in both, so that only the doubts differ. OUT/cells.jsonl gets a line
for each finished training, and a rerun goes on from there; OUT/table.md the table.
"""

import argparse
from pathlib import Path
from typing import Any

import packs
from real_images import spread

from zansa.jobs.request import TrainRequest
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


def measured(name: str, out: Path, race: str, seed: int, epochs: int | None) -> Cell:
    """The figures of one training on its test part, and what the data spoke against."""
    asked = TrainRequest(
        source=source(name, out), seed=seed, race=race, begin="none", recipe={"epochs": epochs} if epochs else {}
    )
    told: list[str] = []
    folder = f"{name.replace(':', '-')}-{race}-{seed}"
    run = train(asked, out / "runs", folder, lambda event: told.append(str(event.get("text", ""))))
    metrics = run.read_json("metrics.json")["test"]
    seen = metrics["inspection"] or {}
    return {
        "balanced": metrics["balanced_accuracy"]["value"],
        "roc_auc": seen.get("roc_auc"),
        "at_5_percent": (seen.get("detection_at") or {}).get("0.05"),
        "doubts": [text for text in told if "--race none" in text],
    }


def table(cells: list[Cell]) -> str:
    """Markdown: a row for each data set and way."""
    lines = [
        "| data | epochs | race | runs | balanced accuracy, % | ROC area | found at 5 % false alarms, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in sorted({(cell["data"], str(cell["epochs"]), cell["race"]) for cell in cells}):
        runs = [cell for cell in cells if (cell["data"], str(cell["epochs"]), cell["race"]) == key]
        figures = [
            spread([run[name] for run in runs], *form) if all(run[name] is not None for run in runs) else "–"
            for name, form in (("balanced", (100, ".1f")), ("roc_auc", (1, ".3f")), ("at_5_percent", (100, ".1f")))
        ]
        lines.append(f"| {' | '.join(map(str, [*key, len(runs), *figures]))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results; a rerun goes on there")
    parser.add_argument("--data", nargs="+", default=[*NAMES, "mnist", "deeppcb", "magnetic_tile"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of every training; zansa's default by default")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    record = Run(given.out)
    done = {(c["data"], c["race"], c["seed"], c["epochs"]) for c in record.lines("cells.jsonl")}
    for seed in given.seeds:
        for name in given.data:
            for race in ("none", "auto"):
                cell = {"data": name, "race": race, "seed": seed, "epochs": given.epochs}
                if tuple(cell.values()) in done:
                    continue
                cell |= measured(name, given.out, race, seed, given.epochs) | {"environment": environment()}
                record.append("cells.jsonl", cell)
                record.write_bytes("table.md", (table(record.lines("cells.jsonl")) + "\n").encode())
                print({key: cell[key] for key in ("data", "race", "seed", "balanced", "roc_auc", "doubts")}, flush=True)


if __name__ == "__main__":
    main()
