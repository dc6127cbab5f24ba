"""The verb `predict`: answers of an exported file. It needs no torch."""

from pathlib import Path
from typing import TextIO

from ..deploy import runtime
from ..inputs.images import image_files
from ..runs import exported_file


def predict(model: str | Path, samples: list[Path], as_json: bool, out: TextIO) -> None:
    """Write the answers for image files and folders, or for tables of series, as CSV or as JSON lines; ValueError
    when none of them could be read."""
    predictor = runtime.predictor(exported_file(model))
    rows = runtime.predict(predictor, samples if predictor.preprocess.series else image_files(samples))
    answered = runtime.write_jsonl(rows, out) if as_json else runtime.write_csv(rows, out)
    if not answered:
        raise ValueError(f"none of the {predictor.preprocess.noun}s could be read; the column error says why")
