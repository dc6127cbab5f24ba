"""The verb `export`: one ONNX file, proven on real data."""

from pathlib import Path
from typing import Any

import numpy as np

from ..deploy.export import export
from ..deploy.runtime import read_all
from ..inputs.files import survey_all
from ..nets.files import load as load_model
from ..runs import model_file
from .door import PARITY_IMAGES, evenly


def export_model(model: str | Path, named: list[Path], out: str | Path) -> dict[str, Any]:
    """Export a model file (.safetensors or a run's folder) to ONNX, proven on these image files or tables of series.

    Returns what the check found; `left_out` are sentences on samples that could not be read.
    """
    loaded = load_model(model_file(model))
    files, told = named, list[str]()
    if not loaded.preprocess.series:
        surveyed = survey_all(named)
        told = surveyed.told()
        files = [surveyed.images[i] for i in evenly(np.arange(len(surveyed.images)), PARITY_IMAGES)]
    values, more = read_all(files, loaded.preprocess)
    told += more
    if not values:
        why = "".join(f"; {sentence}" for sentence in told)
        raise ValueError(f"none of the {loaded.preprocess.noun}s could be read to check the exported file by{why}")
    chosen = [values[i] for i in evenly(np.arange(len(values)), PARITY_IMAGES)]
    return export(loaded, out, chosen) | {"left_out": told}
