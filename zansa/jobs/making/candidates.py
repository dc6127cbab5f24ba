"""Finished runs as candidates: read from their folders, refused where they cannot be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...proof.expected import expected_mistakes
from ...record import Run
from ...runs import branches_of, finished
from .predictions import Predictions, read_predictions


@dataclass(frozen=True, eq=False)
class Candidate:
    """A finished run beside others.

    name: its folder's name, or the whole path where two have the same.
    run: its folder.
    metrics: its metrics.json.
    seen: what it said of its validation samples.
    seconds: how long it trained.
    size: bytes of the exported file; None where there is none.
    budget: its limit, as typed; None where it did not grow.
    """

    name: str
    run: Run
    metrics: dict[str, Any]
    seen: Predictions
    seconds: float | None
    size: int | None
    budget: str | None

    @property
    def ms(self) -> float:
        """Milliseconds a sample, one at a time, on `threads`."""
        return float(self.metrics["latency"][0]["ms"])

    @property
    def threads(self) -> int:
        """Those that `ms` was measured on: one, or where there is no exported file those of torch."""
        return int(self.metrics["latency"][0].get("threads") or 1)


def candidates(paths: Sequence[str | Path]) -> list[Candidate]:
    """The runs, and those of the smaller budgets of each. ValueError where one is not finished, where there are fewer
    than two, and where they have learned from other data or other parts."""
    runs = list({each.path.resolve(): each for path in paths for each in _family(Run.open(path))}.values())
    for run in runs:
        if not finished(run):
            raise ValueError(f"{run.path} is not finished; `zansa resume {run.path}` goes on with it")
    if len(runs) < 2:
        raise ValueError(f"{runs[0].path} is one run alone; name two or more to compare")
    names = [run.path.resolve().name for run in runs]
    made = [
        candidate(run, name if names.count(name) == 1 else str(run.path)) for run, name in zip(runs, names, strict=True)
    ]
    _refuse_others(made)
    return made


def candidate(run: Run, name: str) -> Candidate:
    """One finished run."""
    epochs = [each for each in run.lines("events.jsonl") if each["event"] == "epoch"]
    budget = run.read_json("request.json").get("budget")
    exported = run.path / "model.onnx"
    return Candidate(
        name,
        run,
        run.read_json("metrics.json"),
        read_predictions(run),
        epochs[-1]["seconds"] if epochs else None,
        exported.stat().st_size if exported.exists() else None,
        None if not budget else str(budget).split(",")[-1],
    )


def _family(run: Run) -> list[Run]:
    return [*branches_of(run), run]


def _refuse_others(made: Sequence[Candidate]) -> None:
    first = made[0]
    for other in made[1:]:
        if (other.seen.names, other.seen.labels) != (first.seen.names, first.seen.labels):
            by_folds = any(each.run.read_json("data.json").get("folds") for each in (first, other))
            raise ValueError(
                f"{first.run.path} and {other.run.path} were not judged on the same validation samples; train both on "
                f"the same data, with the same --seed, --val and --test{', and both or none with --folds' * by_folds}"
            )
        if (other.seen.score is None) != (first.seen.score is None):
            raise ValueError(
                f"{first.run.path} and {other.run.path} do not agree whether a class is the good one; name it with "
                "--good for both"
            )


# --- what would have been enough ------------------------------------------------------------------------------------


def smaller_would_do(run: Run, parts: int) -> dict[str, Any] | None:
    """The least price from which on a growth was as good on validation as at its end, within one standard error of so
    many parts; None where it did not grow, and where only the last price was as good.

    At the full learning rate validation is worse than at the end: what was as good then would be so after a training
    of its own.
    """
    edits = run.lines("edits.jsonl") if "edits.jsonl" in run.files() else []
    epochs = [each for each in run.lines("events.jsonl") if each["event"] == "epoch"]
    if not edits or not epochs or "price_after" not in edits[0]:
        return None
    best = max(each["val_balanced_accuracy"] for each in epochs)
    enough = 1 - expected_mistakes(round((1 - best) * parts), parts)
    good = [each["val_balanced_accuracy"] >= enough - 1e-9 for each in epochs]
    bad = [k for k, fine in enumerate(good) if not fine]
    first = epochs[bad[-1] + 1 if bad else 0] if not bad or bad[-1] + 1 < len(epochs) else None
    if first is None:
        return None
    price = _price_at(edits, first["progress"])
    last = edits[-1]["price_after"]
    if price > 0.9 * last:
        return None
    return {"price": price, "unit": edits[-1]["unit"], "of": last, "accuracy": best, "from_epoch": first["epoch"]}


def _price_at(edits: Sequence[dict[str, Any]], progress: float) -> float:
    """What the network cost in an epoch that ended at this progress: whatever came in the midst of it counts."""
    before = [each["price_after"] for each in edits if each["progress"] < progress]
    return float(before[-1] if before else edits[0]["price_before"])


def weights(seen: Predictions, costs: tuple[float, float] | None, defect_rate: float | None) -> np.ndarray:
    """What a mistake on each sample costs, (N,), so that the mean over samples is the expected cost of one part.

    Without costs each side (good and defective, or each class) weighs the same, and the mean is the balanced error.
    `costs` are those of a miss and of a false alarm.
    """
    counts = np.bincount(seen.side)
    share = len(seen.side) / counts[seen.side]
    if costs is None or defect_rate is None:
        return np.asarray(share / (counts > 0).sum())
    rate = np.where(seen.side == 1, defect_rate * costs[0], (1 - defect_rate) * costs[1])
    return np.asarray(share * rate)
