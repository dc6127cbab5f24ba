"""A run as a value: its state, the runs of smaller budgets that belong to it, and its model file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .arch.budget import Budget
from .record import Run

State = Literal["begun", "stopped", "finished"]


def state(run: Run) -> State:
    """How far a run has come.

    "finished": its figures on test samples are there, and nothing is left to do. "stopped": it was interrupted, and has
    figures of what it had learned by then. "begun": it is at work, or was killed. `resume` goes on with the last two.
    """
    files = run.files()
    metrics = run.read_json("metrics.json") if "metrics.json" in files else {}
    if "test" in metrics and "checkpoint.pt" not in files:
        return "finished"
    return "stopped" if metrics.get("training", {}).get("stopped") else "begun"


def finished(run: Run) -> bool:
    """Whether nothing is left to do for a run."""
    return state(run) == "finished"


def all_finished(run: Run) -> bool:
    """Whether nothing is left to do for a run and for those of its smaller budgets."""
    return all(map(finished, [run, *branches_of(run)]))


def branch_names(name: str, budgets: Sequence[Budget]) -> list[str]:
    """The names of the runs of smaller budgets of a run: its own with the budget as it was typed."""
    return [f"{name}-{str(budget).replace('=', '-').replace('+', '')}" for budget in budgets]


def branches_of(run: Run) -> list[Run]:
    """The runs of smaller budgets that leave the growth of this one, the smallest first."""
    names = run.read_json("branches.json") if "branches.json" in run.files() else []
    return [Run.open(run.path.parent / name) for name in names]


def model_file(model: str | Path) -> Path:
    """The file that was named, or the model of the run that was."""
    path = Path(model)
    if path.is_dir() and not (path / "model.safetensors").exists():
        Run.open(path)  # a folder that is no run says so
        raise ValueError(f"{path} is not finished; `zansa resume {path}` goes on with it")
    return path / "model.safetensors" if path.is_dir() else path


def exported_file(model: str | Path) -> Path:
    """The exported file that was named, or that of the run that was; ValueError where there is none."""
    path = Path(model)
    if path.suffix == ".safetensors":
        raise ValueError(f"{path} is a network and no exported file; `zansa export {path} IMAGES` writes one")
    if not path.is_dir():
        return path
    if (path / "model.onnx").exists():
        return path / "model.onnx"
    if (path / "metrics.json").exists():
        raise ValueError(f"{path} has no model.onnx: it was refused; `zansa export {path} IMAGES` tries again")
    raise ValueError(f"{path} has no model.onnx; where it is a run, `zansa resume {path}` goes on with it")
