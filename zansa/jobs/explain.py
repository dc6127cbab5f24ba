"""The verb `explain`: where a network looked, which block decided, and which known samples are like it."""

import base64
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arch.use import Preprocess
from ..deploy.runtime import samples
from ..events import event
from ..inputs.files import survey_all
from ..inputs.heat import drawn, full_colour, inside
from ..inputs.images import digest, fit_image
from ..learn.data import load
from ..learn.data.dataset import Dataset
from ..learn.data.spelling import known_as
from ..learn.explain.blocks import MISSED, blocks, gates
from ..learn.explain.maps import MAPS, enlarged
from ..learn.explain.near import Known, features, known, neighbours
from ..learn.explain.relevance import relevance
from ..learn.explain.rows import Subject, score, subject
from ..learn.predict import normalised
from ..nets.files import Model
from ..nets.files import load as load_model
from ..record import write_atomic
from ..report.explain import html
from ..runs import model_file
from .request import Tell, silent
from .trained_request import ExplainRequest

SIDE = 224  # pixels of the longer side of a picture on the page
CLEAR = 0.1  # of the full colour: weaker places are not named
BATCH = 16


@dataclass(frozen=True, eq=False)
class Sample:
    """An image that is explained: its file's name, and its levels (H, W, C) as decoded."""

    name: str
    levels: np.ndarray


def explain(request: ExplainRequest, tell: Tell = silent) -> dict[str, Any]:
    """Explain the answers of a model to images, and write the page.

    Returns the record that the page shows. ValueError for series, for files that cannot be read, and for data that the
    model does not know.
    """
    path = model_file(request.model)
    if path.suffix == ".onnx":
        raise ValueError(
            f"{path} is an exported file, and explaining needs the network: name the run or the .safetensors"
        )
    model = load_model(path)
    if model.preprocess.series:
        raise ValueError("explanations are drawn on images; this model takes series")
    good = model.operating.good if model.operating else None
    seen = subject(model.module.eval(), model.calibration, None if good is None else model.classes.index(good))
    chosen, left_out = read(request, model.preprocess)
    like = None if request.data is None else data_like(request, model, tell)
    x = tensors_of([each.levels for each in chosen], model.preprocess)
    tell(event("stage", text=f"explaining {len(chosen)} image(s) by the map of {request.map}"))
    record = told(request, model, seen, chosen, x, like)
    record |= {"name": Path(request.model).name, "date": str(date.today()), "left_out": left_out, "good": good}
    write_atomic(Path(request.page), html(record, request.lang).encode("utf-8", "replace"))
    return record


def read(request: ExplainRequest, pre: Preprocess) -> tuple[list[Sample], list[str]]:
    """The first images of the files and folders, and sentences on what was left out."""
    surveyed = survey_all([Path(each) for each in request.images])
    found: list[Sample] = []
    told = surveyed.told()
    for name, levels, _, error in samples(surveyed.images, pre):
        if levels is None:
            told.append(error or f"{name} cannot be read")
        elif len(found) < request.most:
            found.append(Sample(str(name), levels))
    if not found:
        raise ValueError(f"no image could be read{''.join(f'; {each}' for each in told)}")
    more = len(surveyed.images) - len(found)
    return found, [*told, *([f"{more} more image(s) were not explained; --most takes more"] if more > 0 else [])]


def data_like(request: ExplainRequest, model: Model, tell: Tell) -> tuple[Dataset, np.ndarray]:
    """The labelled data, prepared as the model's, and their labels in the model's order."""
    assert request.data is not None
    data = load(request.data, like=model.preprocess, kind="natural")
    data = replace(data, classes=known_as(data.classes, model.classes), preprocess=model.preprocess)
    if unknown := [name for name in data.classes if name not in model.classes]:
        raise ValueError(f"the data have classes that the model does not know: {', '.join(unknown)}")
    for text in data.problems:
        tell(event("warning", text=text))
    return data, np.array([model.classes.index(data.classes[k]) for k in data.labels])


def tensors_of(levels: list[np.ndarray], pre: Preprocess) -> Tensor:
    """Images of any size as the network takes them, (N, C, H, W)."""
    size = (pre.size[0], pre.size[1])
    fitted = np.stack([fit_image(each, size, pre.fit, pre.fill) for each in levels])
    return normalised(fitted, pre, torch.device("cpu"), torch.contiguous_format)


def told(
    request: ExplainRequest,
    model: Model,
    seen: Subject,
    chosen: list[Sample],
    x: Tensor,
    like: tuple[Dataset, np.ndarray] | None,
) -> dict[str, Any]:
    """What is told of each image, with its pictures."""
    maps = np.concatenate([enlarged(MAPS[request.map](seen, part), model.preprocess.size) for part in x.split(BATCH)])
    added, missed = (np.concatenate(each) for each in zip(*(gates(seen, part) for part in x.split(BATCH)), strict=True))
    found = [torch.cat(each) for each in zip(*(relevance(seen, part) for part in x.split(BATCH)), strict=True)]
    sums = torch.stack([found[2], found[0].flatten(1).sum(1), found[1]], 1).tolist()
    odds, logits = score(seen, x), logits_of(model, x)
    scale = full_colour(maps)
    bank = None if like is None else known(seen, *like)
    of_query = features(seen, x)
    images = []
    for n, each in enumerate(chosen):
        images.append(
            {
                "name": each.name,
                "class": model.classes[int(logits[n].argmax())],
                "log_odds": float(odds[n]),
                "strongest": strongest(maps[n] / scale, each.levels.shape[:2], model.preprocess),
                "sums": sums[n],
                "blocks": {name: float(value) for name, value in zip(blocks(model.module), added[n], strict=True)},
                "missed": float(missed[n]),
                "pictures": [picture(each.levels), picture(each.levels, maps[n] / scale, model.preprocess)],
                "neighbours": []
                if bank is None or like is None
                else near(bank, of_query[n], each, seen, like[0], model),
            }
        )
    average = np.abs(added).mean(axis=0)
    return {
        "map": request.map,
        "images": images,
        "blocks": {name: float(value) for name, value in zip(blocks(model.module), average, strict=True)},
        "complete": bool((missed <= MISSED).all()),
    }


def logits_of(model: Model, x: Tensor) -> Tensor:
    """(N, K), without gradients."""
    with torch.inference_mode():
        return torch.cat([model.module(part) for part in x.split(64)])


def near(
    bank: Known, feature: np.ndarray, sample: Sample, seen: Subject, data: Dataset, model: Model
) -> list[dict[str, Any]]:
    """The nearest known images, with their pictures."""
    good = model.classes.index(model.operating.good) if model.operating else None
    return [
        {
            "name": bank.names[k],
            "class": model.classes[bank.labels[k]],
            "likeness": float(bank.features[k] @ feature),
            "png": picture(data.images[k]),
        }
        for k in neighbours(bank, feature, digest(sample.levels), good)
    ]


def strongest(values: np.ndarray, shape: tuple[int, ...], pre: Preprocess) -> tuple[int, int] | None:
    """The place (x, y), in pixels of the image, that speaks most for what is explained; None where no place speaks for
    it by a tenth of the full colour."""
    values = values[inside(shape, pre)]
    if values.max() < CLEAR:
        return None
    y, x = np.unravel_index(int(values.argmax()), values.shape)
    return int((x + 0.5) * shape[1] / values.shape[1]), int((y + 0.5) * shape[0] / values.shape[0])


def picture(levels: np.ndarray, values: np.ndarray | None = None, pre: Preprocess | None = None) -> str:
    """A PNG in base64 of an image (H, W, C), SIDE pixels at its longer side; with `values` over it, in -1 to 1, that
    cover the network's input."""
    return base64.b64encode(drawn(levels, SIDE, values, pre)).decode()
