"""How far probabilities are off, before and after calibration, beside what chance alone would show.

    python benchmarks/calibration.py RUN [RUN ...]

Every RUN is a folder of `zansa train`. The error is the debiased one (Kumar, Liang and Ma 2019, 1909.10155, section 5),
in percentage points, 0 at best; "chance" is the 95 % quantile of a network whose probabilities are right. Before
calibration the validation part tells, on which the calibration was fitted, afterwards that and the test part.
"""

import argparse
import json
from pathlib import Path


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f}"


def row(run: Path) -> str:
    """A line of the table."""
    metrics = json.loads((run / "metrics.json").read_text())
    raw, val, test = metrics["calibration"]["raw"], *(metrics[part]["calibration"] for part in ("validation", "test"))
    errors = (percent(each[key]) for each in (raw, val, test) for key in ("error", "error_chance_95"))
    losses = (f"{each['log_loss']:.3f}" for each in (raw, val, test))
    same = metrics["export"]["largest_difference"]
    return " | ".join(["", run.name, str(test["count"]), *errors, *losses, f"{same:.1e}", ""]).strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    given = parser.parse_args()
    print(
        "| run | test images | before, % | chance, % | after, validation, % | chance, % | after, test, % | chance, % "
        "| log loss before | after, validation | after, test | exported file, largest difference |\n"
        + "|---" * 12
        + "|"
    )
    for run in given.runs:
        print(row(run))


if __name__ == "__main__":
    main()
