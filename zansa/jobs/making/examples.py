"""The worst and the doubtful samples of a report, with their pictures, and what counted for wrong decisions."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...deploy.runtime import Predictor
from ...inputs.heat import full_colour, layer
from ...inputs.pictures import picture
from ...learn.data.dataset import Dataset
from ...learn.explain.answers import answers
from ...learn.predict import to_tensor
from ...nets.files import load
from ...proof.decide import named
from ...proof.figures import doubtful, scores
from ..door import originals
from .point import Chosen

EXAMPLES = 24  # pictures in the report
Entry = dict[str, Any]


def examples(
    data: Dataset, index: np.ndarray, p: np.ndarray, choice: Chosen, file: Predictor | None, network: Path
) -> list[Entry]:
    """examples.json: the worst and the doubtful samples, with their pictures. Those of wrong decisions have the class
    map of the exported file too, where there is one, and series the relevance of each place, by the model file
    `network`."""
    shown, operating, told = [], choice.operating, named(p, choice.calibration)
    wrong = ("missed", "false alarm") if operating else ("confused",)
    chosen = list(doubtful(p, data.labels[index], data.classes, operating, EXAMPLES))
    maps = mapped(data, index[[each["index"] for each in chosen if each["why"] in wrong]], file, network)
    for entry in chosen:
        i, k = index[entry["index"]], int(told[entry["index"]])
        shown.append(
            {
                "image": data.names[i],
                "label": data.classes[data.labels[i]],
                "predicted": data.classes[k],
                "probability": float(p[entry["index"], k]),
                "why": entry["why"],
                "score": float(scores(p[[entry["index"]]], data.classes, operating.good)[0]) if operating else None,
                "png": _png(picture(data.images[i], data.preprocess)),
            }
            | (maps.get(int(i), {}) if entry["why"] in wrong else {})
        )
    return shown


def mapped(data: Dataset, rows: np.ndarray, file: Predictor | None, network: Path) -> dict[int, Entry]:
    """The maps of some samples by their rows. `map` is the class map, of an image as a layer over its picture, of a
    series as a picture of its own; `cells` is its number of cells, and `full` the log-odds that have the full colour.
    `places` is a picture of a series with the relevance of each place: its class map has few cells."""
    if file is None or file.cells is None or not len(rows):
        return {}
    maps = file.with_maps(originals(data, rows))[1] / file.strongest
    told = {"cells": list(file.cells), "full": file.strongest}
    if not data.preprocess.series:
        return {int(i): {"map": _png(layer(each))} | told for i, each in zip(rows, maps, strict=True)}
    fine = relevance(data, rows, network)
    return {
        int(i): {"map": _over(data, i, coarse), "places": _over(data, i, each)} | told
        for i, coarse, each in zip(rows, maps, fine, strict=True)
    }


def relevance(data: Dataset, rows: np.ndarray, network: Path) -> np.ndarray:
    """(N, length): what each place of a series adds to the decision, in shares of the full colour of all of them."""
    x = to_tensor(data, rows, torch.device("cpu"), torch.contiguous_format)
    maps = answers(load(network), "relevance", x).maps
    return maps / full_colour(maps)


def _over(data: Dataset, i: int, values: np.ndarray) -> str:
    return _png(picture(data.images[i], data.preprocess, values))


def _png(data: bytes) -> str:
    return base64.b64encode(data).decode()
