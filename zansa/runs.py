"""A run as a value: its names, its state, the runs of smaller budgets that belong to it, and its model file."""

from pathlib import Path

from .record import Run


def branches_of(run: Run) -> list[Run]:
    """The runs of smaller budgets that leave the growth of this one."""
    names = run.read_json("branches.json") if "branches.json" in run.files() else []
    return [Run.open(run.path.parent / name) for name in names]


def finished(run: Run) -> bool:
    """Whether a run has come to its end."""
    return (
        "checkpoint.pt" not in run.files() and "metrics.json" in run.files() and "test" in run.read_json("metrics.json")
    )


def model_file(model: str | Path) -> Path:
    """The file that was named, or the model of the run that was."""
    path = Path(model)
    if path.is_dir() and not (path / "model.safetensors").exists():
        Run.open(path)  # a folder that is no run says so
        raise ValueError(f"{path} is not finished; `zansa resume {path}` goes on with it")
    return path / "model.safetensors" if path.is_dir() else path
