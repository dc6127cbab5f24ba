"""The verb `predict`: answers of an exported file. It needs no torch."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ..deploy import runtime
from ..inputs.files import printable, survey_all
from ..runs import exported_file
from ..words import counted, typed


def predict(model: str | Path, named: list[Path], as_json: bool, out: TextIO) -> tuple[int, list[str]]:
    """Write the answers for image files and folders, or for tables of series, as CSV or as JSON lines.

    Returns the exit code (0: all was answered, 1: some samples could not be read, 2: a file that was named is not
    there) and sentences on what was not answered. ValueError when nothing could be answered.
    """
    predictor = runtime.predictor(exported_file(model))
    missing = [path for path in named if not path.exists()]
    there = [path for path in named if path.exists()]
    if not there:
        raise ValueError(f"there is no {_shown(missing)}; name files or folders that are there")
    noun, series = predictor.preprocess.noun, predictor.preprocess.series
    told = [] if series else survey_all(there).told()
    errors: list[str] = []
    rows = _watched(runtime.predict(predictor, there if series else survey_all(there).images), errors)
    answered = runtime.write_jsonl(rows, out) if as_json else runtime.write_csv(rows, out)
    if not answered:
        raise ValueError(f"none of the {noun}s could be read; the column error says why")
    if errors:
        of_all = f"{len(errors)} of {counted(answered + len(errors), noun)}"
        told.append(typed(f"{of_all} could not be answered; the column error says why (the first: {errors[0]})"))
    if missing:
        told.append(f"there is no {_shown(missing)}")
    return 2 if missing else 1 if errors else 0, told


def _watched(rows: Iterable[dict[str, Any]], errors: list[str]) -> Iterator[dict[str, Any]]:
    """The rows as they are; the errors among them are kept."""
    for row in rows:
        if row["error"] is not None:
            errors.append(row["error"])
        yield row


def _shown(paths: list[Path]) -> str:
    names = ", ".join(printable(str(path)) for path in paths[:5])
    return names + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
