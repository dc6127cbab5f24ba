"""What a run said of its validation and test samples, read again from its folder."""

import csv
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...proof.decide import log_odds
from ...proof.points import ScoredParts, scored_parts
from ...record import Run


@dataclass(frozen=True, eq=False)
class Predictions:
    """The samples of one part of a run; all columns have one length N.

    names, labels: as in the data.
    groups: which part each sample shows; None where no groups are known.
    right: whether the decision is right: accept or reject at the run's line; the class where there is none.
    side: which side a sample is on: 0 for good, 1 for a defect; the number of its class where there is no good one.
    score: log odds of a defect; None where no class is the good one.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    groups: np.ndarray | None
    right: np.ndarray
    side: np.ndarray
    score: np.ndarray | None

    @property
    def scored_parts(self) -> ScoredParts:
        """The parts, each with its worst sample; ValueError where no class is the good one."""
        if self.score is None:
            raise ValueError("no class is known as the good one; name it with --good and train again")
        return scored_parts(self.score, self.side == 1, self.groups)


def read_predictions(run: Run, part: str = "validation") -> Predictions:
    """What predictions.csv of a run says of a part. ValueError where the run has no such figures yet."""
    path, metrics = run.path / "predictions.csv", run.read_json("metrics.json")
    if not path.is_file():
        raise ValueError(f"{run.path} has no predictions.csv; `zansa resume {run.path}` goes on with it")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == part]
    if not rows:
        raise ValueError(f"{run.path} has no figures of {part} samples; `zansa resume {run.path}` goes on with it")
    grouped = run.read_json("data.json").get("groups") is not None and "group" in rows[0]  # else it is a class
    labels = tuple(row["label"] for row in rows)
    groups = [row["group"] for row in rows] if grouped else None
    point: dict[str, Any] | None = (metrics.get(part) or {}).get("inspection")
    name = "image" if "image" in rows[0] else "sample"
    names = tuple(row[name] for row in rows)
    columns = (names, labels, None if groups is None else np.array(groups))
    if point is None:
        right = np.array([row["label"] == row["predicted"] for row in rows])
        return Predictions(*columns, right, np.unique(labels, return_inverse=True)[1], None)
    score = log_odds([1 - float(row["score"]) for row in rows])
    ask = point["threshold"] if point.get("ask") is None else point["ask"]
    shown, rejected = (np.array([float(row["score"]) >= line for row in rows]) for line in (ask, point["threshold"]))
    side = np.array([label != point["good"] for label in labels]).astype(int)
    return Predictions(*columns, np.where(side == 1, shown, ~rejected), side, score)
