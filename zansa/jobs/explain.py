"""The verb `explain`: where a network looked, which block decided, which known samples are like it, and how far a map
of it can be relied on."""

import base64
import json
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
from ..inputs import heat
from ..inputs.files import refuse_missing, survey_all
from ..inputs.heat import full_colour
from ..inputs.images import digest, fit_image, image_header
from ..learn.data import load
from ..learn.data.dataset import Dataset
from ..learn.data.spelling import known_as
from ..learn.data.splits import Parts, all_but_validation
from ..learn.explain import verdict
from ..learn.explain.answers import Answers, answers, gated, inside, judged, likeness, rejected
from ..learn.explain.blocks import MISSED, blocks
from ..learn.explain.maps import sums
from ..learn.explain.masks import masks_of, worth
from ..learn.explain.near import Known, features, known, neighbours
from ..learn.explain.verdict import Place
from ..learn.predict import normalised, to_tensor
from ..nets.files import Model
from ..nets.files import load as load_model
from ..record import write_atomic
from ..report.explain import html
from ..report.explain_pictures import SIDE, curve, letters_of
from ..runs import in_float32, model_file
from ..words import counted, typed
from .depth import learned_from_all, own_request
from .door import door, evenly
from .making.known_features import read_features, write_features
from .request import Tell, silent
from .trained_request import DepthRequest, ExplainRequest

CLEAR = 0.1  # of the full colour: weaker places are not named
NEXT = 2  # classes beside the named one, of which the nearest known sample is shown too
AROUND = 3  # letters on either side of the strongest one
JUDGED = 200  # images with masks, at most: each takes a third of a second


@dataclass(frozen=True, eq=False)
class Sample:
    """What is explained.

    name: of its file, or its row.
    levels: (H, W, C) as decoded, or (L, C) as prepared.
    note: what was lost of it or changed in reading; "": nothing.
    """

    name: str
    levels: np.ndarray
    note: str


@dataclass(frozen=True, eq=False)
class Bank:
    """Labelled samples that the network knows, and what its last layer reads of them."""

    data: Dataset
    known: Known


def explain(request: ExplainRequest, tell: Tell = silent) -> dict[str, Any]:
    """Explain the answers of a model to images or series, and write the page.

    Returns the record that the page shows. ValueError for files that cannot be read, and for data and masks that do not
    fit the model.
    """
    path = model_file(request.model)
    if path.suffix == ".onnx":
        raise ValueError(
            f"{path} is an exported file, and explaining needs the network: name the run or the .safetensors"
        )
    model = load_model(path)
    pre = model.preprocess
    chosen, left_out = read(request, pre)
    bank = None if request.data is None else bank_of(request.data, model, path, tell)
    if text := in_float32(request.model):
        tell(event("note", text=text))
    tell(event("stage", text=f"explaining {typed(counted(len(chosen), pre.noun))} by the map of {request.map}"))
    found = answers(model, request.map, tensors_of([each.levels for each in chosen], pre))
    alike = likeness(_enough(model, found, bank))
    record = told(model, chosen, found, alike, bank)
    calibration = None if request.masks is None else calibrated(request, model, alike, bank, tell)
    record |= {
        "name": Path(request.model).name,
        "date": str(date.today()),
        "left_out": [*left_out, *(calibration["left_out"] if calibration else [])],
        "good": model.operating.good if model.operating else None,
        "noun": pre.noun,
        "spec": json.loads(model.net.to_json()),
        "calibration": calibration,
    }
    write_atomic(Path(request.page), html(record, request.lang).encode("utf-8", "replace"))
    return record


def read(request: ExplainRequest, pre: Preprocess) -> tuple[list[Sample], list[str]]:
    """The first samples of the files and folders, and sentences on what was left out."""
    paths = [Path(each) for each in request.images]
    refuse_missing(paths)
    surveyed = None if pre.series else survey_all(paths)
    found: list[Sample] = []
    left_out, more = ([] if surveyed is None else surveyed.told()), 0
    for name, levels, note, error in samples(paths if surveyed is None else surveyed.images, pre):
        if levels is None:
            left_out.append(error or f"{name} cannot be read")
        elif len(found) < request.most:
            found.append(Sample(str(name), levels, note))
        else:
            more += 1
    if not found:
        raise ValueError(f"no {pre.noun} could be read{''.join(f'; {each}' for each in left_out)}")
    told = f"{more} of {len(found) + more} {pre.noun}s; --most takes more"
    return found, [*left_out, *([told] if more else [])]


def bank_of(source: str, model: Model, path: Path, tell: Tell) -> Bank:
    """The labelled data, prepared as the model's, with their labels in the model's order. What the model in the file
    `path` reads of them is kept beside it."""
    pre = model.preprocess
    data = load(source, like=pre, kind=None if pre.series else "natural")
    data = replace(data, classes=known_as(data.classes, model.classes), preprocess=pre)
    if unknown := [name for name in data.classes if name not in model.classes]:
        raise ValueError(f"the data have classes that the model does not know: {', '.join(unknown)}")
    for text in data.problems:
        tell(event("warning", text=text))
    labels = np.array([model.classes.index(data.classes[k]) for k in data.labels])
    before = read_features(path)
    made = known(model.module, data, labels, before)
    if before.keys() != {*made.digests}:
        try:
            write_features(path, made.digests, made.features)
        except ValueError as error:
            tell(event("note", text=f"what the network reads of known samples is not kept for the next time: {error}"))
    return Bank(data, made)


def tensors_of(levels: list[np.ndarray], pre: Preprocess) -> Tensor:
    """Images of any size, or series, as the network takes them, (N, C, *size)."""
    fitted = levels if pre.series else [fit_image(each, pre.size, pre.fit, pre.fill) for each in levels]
    return normalised(np.stack(fitted), pre, torch.device("cpu"), torch.contiguous_format)


def _enough(model: Model, found: Answers, bank: Bank | None) -> Answers:
    """The samples on which the network is compared with shuffled ones: where few are explained, known ones too."""
    lacking = verdict.MOST - len(found.x)
    if lacking <= 0 or bank is None:
        return found
    rows = evenly(np.arange(len(bank.data)), lacking)
    more = to_tensor(bank.data, rows, torch.device("cpu"), torch.contiguous_format)
    return answers(model, found.kind, torch.cat([found.x, more]))


def told(model: Model, chosen: list[Sample], found: Answers, alike: float | None, bank: Bank | None) -> dict[str, Any]:
    """What is told of each sample, with its pictures."""
    pre = model.preprocess
    added, missed = gated(found)
    scale = full_colour(found.maps)
    read_of = features(model.module, found.x)
    at_work, digests = rejected(model, found), [digest(each.levels) for each in chosen]
    places = [inside(each.levels.shape, pre) for each in chosen]
    said = verdicts(model, found, places, digests, alike, bank)
    images = []
    for n, each in enumerate(chosen):
        like = [] if bank is None else neighbours(bank.known, read_of[n], digests[n], _shown(model, found, n))
        shown = said[n]["word"] != verdict.REFUSED
        images.append(
            {
                "name": each.name,
                "note": each.note,
                "class": model.classes[found.named[n]],
                "log_odds": float(found.odds[n]),
                "rejected": bool(at_work[n]),
                "blocks": dict(zip(blocks(model.module), map(float, added[n]), strict=True)),
                "missed": float(missed[n]),
                "verdict": said[n],
                "pictures": [drawn(each.levels, pre)],
                "neighbours": [] if bank is None else [_neighbour(model, bank, k, read_of[n]) for k in like],
            }
            | (_mapped(found, n, each, found.maps[n] / scale, pre) if shown else {"strongest": None, "sums": None})
        )
        if shown:
            images[-1]["pictures"].append(drawn(each.levels, pre, found.maps[n] / scale))
    return {
        "map": found.kind,
        "images": images,
        "blocks": dict(zip(blocks(model.module), map(float, np.abs(added).mean(axis=0)), strict=True)),
        "complete": bool((missed <= MISSED).all()),
        "likeness": alike,
    }


def _mapped(found: Answers, n: int, sample: Sample, values: np.ndarray, pre: Preprocess) -> dict[str, Any]:
    """What is told of a map that is shown: its strongest place, and what its places add up to."""
    explained = sums(found.subjects[n], found.kind, found.x[n : n + 1])
    at = strongest(values, sample.levels.shape[:2], pre)
    around = ""
    if at is not None and pre.alphabet:
        around = letters_of(sample.levels[max(0, at[0] - 1 - AROUND) : at[0] + AROUND], pre.alphabet)
    return {"strongest": at, "around": around, "sums": None if explained is None else explained[0].tolist()}


def _shown(model: Model, found: Answers, n: int) -> list[int]:
    """The classes of which a known sample is shown beside a sample in any case: its next two classes and the good
    one."""
    good = [model.classes.index(model.operating.good)] if model.operating else []
    return [*found.ranked[n, 1 : 1 + NEXT].tolist(), *good]


def _neighbour(model: Model, bank: Bank, k: int, feature: np.ndarray) -> dict[str, Any]:
    """A known sample, with its picture."""
    return {
        "name": bank.known.names[k],
        "class": model.classes[bank.known.labels[k]],
        "likeness": float(bank.known.features[k] @ feature),
        "picture": drawn(bank.data.images[k], model.preprocess),
    }


def drawn(levels: np.ndarray, pre: Preprocess, values: np.ndarray | None = None) -> str:
    """A sample as a PNG in base64, or a series as SVG; with a map over it, which covers the network's input."""
    if pre.series:
        return curve(levels, pre.alphabet, values)
    return base64.b64encode(heat.drawn(levels, SIDE, values, pre)).decode()


def strongest(values: np.ndarray, shape: tuple[int, ...], pre: Preprocess) -> tuple[int, ...] | None:
    """The place that speaks most for what is explained: (x, y) in pixels of an image of this height and width, or
    (place,) in a series, counted from 1; None where no place speaks for it by a tenth of the full colour."""
    values = values[inside(shape, pre)]
    if values.max() < CLEAR:
        return None
    at = np.unravel_index(int(values.argmax()), values.shape)
    if pre.series:
        return (int(at[0]) + 1,)
    y, x = (int((k + 0.5) * whole / part) for k, whole, part in zip(at, shape[:2], values.shape, strict=True))
    return x, y


def calibrated(
    request: ExplainRequest, model: Model, alike: float | None, bank: Bank | None, tell: Tell
) -> dict[str, Any]:
    """How often the strongest place was the defect by the verdict on the map, on the run's validation images that are
    rejected and have a mask. ValueError where the model is no run, takes series, or no mask is found."""
    assert request.masks is not None
    data, parts = run_data(request.model, model)
    marked = masks_of(Path(request.masks), data, parts.val)
    some = evenly(np.arange(len(marked.rows)), JUDGED)
    rows, masks = marked.rows[some], marked.masks[some]
    tell(event("stage", text=f"judging maps of {typed(counted(len(rows), 'validation image'))} with masks"))
    found = answers(model, request.map, to_tensor(data, rows, torch.device("cpu"), torch.contiguous_format))
    places = [inside(shape, model.preprocess) for shape in shapes_of(data, rows)]
    words = [each["word"] for each in verdicts(model, found, places, [data.digests[k] for k in rows], alike, bank)]
    told = worth(words, found.maps, masks, places)
    return told | {"left_out": marked.left_out, "neighbours": bank is not None}


def run_data(name: str, model: Model) -> tuple[Dataset, Parts]:
    """The data that a run learned from, prepared as its model takes them, and their parts. ValueError for what is no
    run of images."""
    path, pre = Path(name).expanduser(), model.preprocess
    if not path.is_dir() or pre.series:
        why = "images, not of series" if pre.series else f"validation images, and {path} is no run, which knows them"
        raise ValueError(f"masks are of {why}; leave --masks out, or name a run of images")
    given = own_request(DepthRequest(model=name), path, model_file(path), pre, proves=False)
    data, parts = door(given, silent)
    if learned_from_all(path):
        parts = all_but_validation(data, given.seed, given.val)
    return replace(data, preprocess=pre), parts


def shapes_of(data: Dataset, rows: np.ndarray) -> list[tuple[int, int]]:
    """The heights and widths of images as they came."""
    if data.files:
        return [image_header(data.files[k])[:2] for k in rows]
    return [(data.images.shape[1], data.images.shape[2])] * len(rows)


def verdicts(
    model: Model, found: Answers, places: list[Place], digests: list[str], alike: float | None, bank: Bank | None
) -> list[dict[str, Any]]:
    """The verdict on each map: see `judged`."""
    told = []
    for n, each in enumerate(features(model.module, found.x)):
        labels = None
        if bank is not None:
            labels = bank.known.labels[neighbours(bank.known, each, digests[n], ())]
        told.append(judged(model, found, n, places[n], alike, labels))
    return told
