"""The verb `export`: one ONNX file, proven on real data."""

from pathlib import Path
from typing import Any

import numpy as np

from ..deploy.export import export
from ..deploy.runtime import samples
from ..inputs.images import image_files, read_image
from ..nets.files import load as load_model
from ..runs import model_file
from .door import PARITY_IMAGES, evenly


def export_model(model: str | Path, images: list[Path], out: str | Path) -> dict[str, Any]:
    """Export a model file (.safetensors or a run's folder) to ONNX. The proof uses these image files or tables of
    series."""
    loaded = load_model(model_file(model))
    pre = loaded.preprocess
    if pre.series:
        series = [values for _, values, _, _ in samples(images, pre) if values is not None]
        return export(loaded, out, [series[i] for i in evenly(np.arange(len(series)), PARITY_IMAGES)])
    files = image_files(images)
    chosen = [files[i] for i in evenly(np.arange(len(files)), PARITY_IMAGES)]
    return export(loaded, out, [read_image(file, pre.channels, pre.depth) for file in chosen])
