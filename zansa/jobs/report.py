"""The verb `report`: a run's page again, or why its network changed at a step."""

from pathlib import Path

from ..record import Run
from ..report import write
from ..report.growth.explain import explain
from ..report.printing import printed, refuse_printing
from ..report.proving import poc


def report(run: str | Path, step: str | None = None, language: str | None = None, pdf: bool = False) -> str:
    """Write report.html and card.md again, or poc.html of a proof of concept, in this language ("en", "ja") from now
    on, and return the page's path, or that of its PDF where one was asked; with a step, return what was decided at it.
    ValueError where a PDF cannot be had."""
    opened = Run.open(run)
    if step is not None:
        return explain(opened, step)
    if pdf:
        refuse_printing(language == "ja")
    page = poc.write(opened, language) if "poc.json" in opened.files() else write(opened, language)
    return str(printed(page) if pdf else page)
