"""The verb `evaluate`: figures of a model on labelled data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..deploy.bench import latency
from ..deploy.runtime import predictor
from ..events import event
from ..learn.data import load
from ..learn.data.spelling import known_as
from ..learn.predict import eager_latency, probabilities
from ..nets.files import Model
from ..nets.files import load as load_model
from ..proof.figures import figures
from ..runs import model_file
from .door import originals
from .request import EvaluateRequest, Tell, silent


def evaluate(request: EvaluateRequest, tell: Tell = silent) -> dict[str, Any]:
    """Figures of a model file (.safetensors, .onnx or a run's folder) on labelled data; all samples are used.
    ValueError for data that the model cannot answer to: unknown classes, another depth."""
    path = model_file(request.model)
    answer = predictor(path) if path.suffix == ".onnx" else load_model(path)
    data = load(
        request.source,
        like=answer.preprocess,
        kind=None if answer.preprocess.series else "natural",  # what is safe in training does not matter here
        root=Path(request.root) if request.root else None,
        download=request.download,
        progress=lambda done, total: tell(event("read", done=done, total=total)),
    )
    data = replace(data, classes=known_as(data.classes, answer.classes), preprocess=answer.preprocess)
    unknown = [name for name in data.classes if name not in answer.classes]
    if unknown:
        raise ValueError(
            f"the data have classes that the model does not know: {', '.join(unknown)}; "
            f"it knows {', '.join(answer.classes)}"
        )
    for kind, texts in (("warning", data.problems), ("note", data.remarks)):
        for text in texts:
            tell(event(kind, text=text))
    everything = np.arange(len(data.labels))
    if isinstance(answer, Model):
        p = probabilities(answer.module, data, everything)
        time = eager_latency(answer.module, data)
    else:
        chunks = np.array_split(everything, max(1, len(everything) // 64))
        p = np.concatenate([answer.probabilities(originals(data, chunk)) for chunk in chunks])
        time = latency(answer, threads=1, batch=1)
    labels = np.array([answer.classes.index(data.classes[k]) for k in data.labels])
    return figures(p, labels, answer.classes, answer.operating) | {"latency": [time], "noun": data.preprocess.noun}
