"""The verb `predict`: answers of an exported file. It needs no torch."""

import os
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..deploy import runtime
from ..inputs.files import printable, survey_all
from ..inputs.heat import drawn_beside, drawn_series
from ..record import write_atomic
from ..runs import exported_file
from ..words import counted, typed

SIDE = (256, 2048)  # pixels of the longer side of a picture with its map: those of the image, within these


def predict(
    model: str | Path, named: list[Path], as_json: bool, out: TextIO, maps: Path | None = None
) -> tuple[int, list[str]]:
    """Write the answers for image files and folders, or for tables of series, as CSV or as JSON lines; and into the
    folder `maps` each image beside the same with its heat map, or each series over the strip of its map, as PNG.

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
    draw = None if maps is None else _drawing(maps, there, predictor)
    rows = _watched(runtime.predict(predictor, there if series else survey_all(there).images, draw), errors)
    answered = runtime.write_jsonl(rows, out) if as_json else runtime.write_csv(rows, out)
    if not answered:
        raise ValueError(f"none of the {noun}s could be read; the column error says why")
    if errors:
        of_all = f"{len(errors)} of {counted(answered + len(errors), noun)}"
        told.append(typed(f"{of_all} could not be answered; the column error says why (the first: {errors[0]})"))
    if maps is not None:
        what = "a defect" if predictor.operating else "the class that is named"
        told.append(f"{counted(answered, 'heat map')} in {maps}: red speaks for {what}, blue against it")
    if missing:
        told.append(f"there is no {_shown(missing)}")
    return 2 if missing else 1 if errors else 0, told


def _drawing(folder: Path, named: list[Path], predictor: runtime.Predictor) -> runtime.Draw:
    """What writes the picture of an image into a folder, under the place that the image has in what was named. The full
    colour stands for one value in all images of a model. ValueError where that cannot be."""
    pre = predictor.preprocess
    if predictor.cells is None:
        raise ValueError("this exported file has no class maps, as older ones have none; export its model again")
    around = [path for path in named if path.is_dir() and folder.resolve().is_relative_to(path.resolve())]
    if around or (folder.exists() and not folder.is_dir()):
        why = f"is in {around[0]}, and would be read as images the next time" if around else "is a file"
        raise ValueError(f"heat maps cannot go to {folder}: it {why}; name another folder")
    if pre.series:
        return _drawing_series(folder, predictor.strongest)
    root = os.path.commonpath([os.path.abspath(path if path.is_dir() else path.parent) for path in named])
    taken = set[Path]()

    def draw(name: str, levels: np.ndarray, values: np.ndarray) -> str:
        place = folder / os.path.relpath(os.path.abspath(name), root)
        longer = place.with_name(f"{place.name}.png")  # a.bmp.png, which no a.png is in the way of
        file = longer if place.suffix.lower() != ".png" or place in taken else place
        taken.add(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        side = min(max(*levels.shape[:2], SIDE[0]), SIDE[1])
        write_atomic(file, drawn_beside(levels, side, values / predictor.strongest, pre))
        return str(file)

    return draw


def _drawing_series(folder: Path, strongest: float) -> runtime.Draw:
    """The same for series, whose names are no files: letters that file names have everywhere, and a number behind a
    name that comes again."""
    taken = set[str]()

    def draw(name: str, levels: np.ndarray, values: np.ndarray) -> str:
        plain = re.sub(r"[^\w.-]+", "_", name).lstrip(".")[:100] or "series"
        names = (plain if k == 1 else f"{plain}-{k}" for k in count(1))
        own = next(each for each in names if each.lower() not in taken)
        taken.add(own.lower())
        file = folder / f"{own}.png"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(file, drawn_series(levels, values / strongest))
        return str(file)

    return draw


def _watched(rows: Iterable[dict[str, Any]], errors: list[str]) -> Iterator[dict[str, Any]]:
    """The rows as they are; the errors among them are kept."""
    for row in rows:
        if row["error"] is not None:
            errors.append(row["error"])
        yield row


def _shown(paths: list[Path]) -> str:
    names = ", ".join(printable(str(path)) for path in paths[:5])
    return names + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
