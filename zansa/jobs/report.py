"""The verb `report`: a run's page again, or why its network changed at a step."""

from pathlib import Path

from ..record import Run
from ..report import write
from ..report.growth.explain import explain


def report(run: str | Path, step: str | None = None, language: str | None = None) -> str:
    """Write report.html and card.md again, in this language ("en", "ja") from now on, and return the page's path; with
    a step, return what was decided at it."""
    opened = Run.open(run)
    return str(write(opened, language)) if step is None else explain(opened, step)
