"""Golden images: parts whose answer is known, pushed through the live model to prove that it still works."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...inputs.files import EXTENSIONS
from ...inputs.images import read_like
from ..runtime import Predictor, judged

MOST = 200  # golden images; more would hold up a start


@dataclass(frozen=True)
class Golden:
    """An image with its class, known to be right.

    name: class and file.
    label: the class.
    data: the file's bytes.
    """

    name: str
    label: str
    data: bytes


def golden(folder: str | Path | None) -> tuple[Golden, ...]:
    """The golden images of a folder that has a folder for each class. ValueError where there are none."""
    if folder is None:
        return ()
    files = sorted(path for path in Path(folder).glob("*/*") if path.suffix.lower() in EXTENSIONS)
    if not 0 < len(files) <= MOST:
        raise ValueError(f"{folder} has {len(files)} images in folders of classes; needed are 1 to {MOST}: good/a.png")
    return tuple(Golden(f"{path.parent.name}/{path.name}", path.parent.name, path.read_bytes()) for path in files)


def run(images: tuple[Golden, ...], model: Predictor) -> dict[str, Any]:
    """What a model answers to the golden images of its classes: good ones must be accepted and all others not; where
    the model draws no line, the class must be right."""
    began = time.perf_counter()
    answers = [_answer(image, model) for image in images if image.label in model.classes]
    passed = sum(answer["passed"] for answer in answers)
    seconds = time.perf_counter() - began
    return {"count": len(answers), "passed": passed, "seconds": round(seconds, 3), "images": answers}


def _answer(image: Golden, model: Predictor) -> dict[str, Any]:
    told: dict[str, Any] = {"name": image.name, "label": image.label, "passed": False}
    try:
        levels, _ = read_like(image.data, model.preprocess, image.name)
    except ValueError as error:
        return told | {"error": str(error)}
    told |= judged(model.probabilities([levels])[0], model)
    if model.operating:
        told["passed"] = (told["decision"] == "accept") == (image.label == model.operating.good)
    else:
        told["passed"] = told["class"] == image.label
    return told
