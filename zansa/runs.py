"""A run as a value: its state, the runs of smaller budgets that belong to it, its model file and what made that."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from .arch.budget import Budget
from .record import Run

KNOWN_BY = 16  # signs of a digest by which a sample is known again
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
    """The names of the runs of a run's smaller budgets: its own name with the budget as it was typed, such as
    NAME-macs-5M."""
    return [f"{name}-{str(budget).replace('=', '-').replace('+', '')}" for budget in budgets]


def branches_of(run: Run) -> list[Run]:
    """The runs of the smaller budgets, which leave the growth of this run on its way, the smallest first."""
    names = run.read_json("branches.json") if "branches.json" in run.files() else []
    return [Run.open(run.path.parent / name) for name in names]


def model_file(model: str | Path) -> Path:
    """The file that was named, or the model of the run that was named; ValueError where the run has none yet."""
    path = Path(model)
    if path.is_dir() and not (path / "model.safetensors").exists():
        Run.open(path)  # a folder that is no run says so
        raise ValueError(f"{path} is not finished; `zansa resume {path}` goes on with it")
    return path / "model.safetensors" if path.is_dir() else path


def int8_file(model: str | Path) -> Path | None:
    """The int8 file of a run that `zansa compress` made and whose gate it passed; None for others."""
    record = Path(model) / "compress.json"
    kept = record.is_file() and json.loads(record.read_bytes())["int8_kept"]
    return Path(model) / "model.onnx" if kept else None


def in_float32(model: str | Path) -> str:
    """What to say where the network of a run is read and the file that it hands over is in int8; "" for others."""
    file = int8_file(model)
    return "" if file is None else f"this is about the network in float32; {file} is in int8, and may answer otherwise"


def exported_file(model: str | Path) -> Path:
    """The exported file that was named, or that of the run that was named; ValueError where there is none."""
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


def data_beside(file: Path, notes: str) -> Mapping[str, Any] | None:
    """The data.json beside a model file, {} where there is none; None where it belongs to another model. `notes` are
    those of the model, which name its data; older files name none, and what stands beside them is believed."""
    path = file.parent / "data.json"
    record = _object(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}
    own = _object(notes).get("data")
    return None if "digest" in record and own not in (None, record["digest"]) else record


def known_samples(record: Mapping[str, Any] | None) -> frozenset[str] | None:
    """The first signs of the digests of all samples that a model has learned from or decided by, out of its data.json
    (see `data_beside`); None where they are not known."""
    return frozenset(record["known"]) if record and "known" in record else None


def _object(text: str) -> Mapping[str, Any]:
    """The JSON object of a text; empty where it holds anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
