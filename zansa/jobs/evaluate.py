"""The verb `evaluate`: figures of a model on labelled data, at its own working point or at another one."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arch.use import OperatingPoint
from ..deploy.bench import latency
from ..deploy.runtime import Predictor, predictor
from ..events import event
from ..learn.data import load
from ..learn.data.dataset import Dataset
from ..learn.data.spelling import known_as
from ..learn.predict import eager_latency, probabilities
from ..nets.files import Model
from ..nets.files import load as load_model
from ..proof.calibration import apply
from ..proof.decide import log_odds, logits_of
from ..proof.figures import figures
from ..proof.points import operating_point, scored_parts
from ..proof.requirement import Requirement, choose
from ..runs import data_beside, int8_file, model_file
from ..words import counted, typed
from .door import apart, originals
from .making.folder import count_known
from .making.point import cost_on_test, groups_of, parts_of, requirement
from .request import EvaluateRequest, Tell, silent


def evaluate(request: EvaluateRequest, tell: Tell = silent) -> dict[str, Any]:
    """Figures of a model file (.safetensors, .onnx or a run's folder) on labelled data; all samples are used.

    Of a run that hands over a file in int8, the figures are of that file. ValueError for data that the model cannot
    answer to: unknown classes, another depth; and for a working point that cannot be had.

    A line by a promise or by costs is chosen on the validation samples of the run, never on these data.
    """
    path = int8_file(request.model) or model_file(request.model)
    wanted, given = requirement(request), None if request.point is None else lines(request.point)
    answer = predictor(path) if path.suffix == ".onnx" else load_model(path)
    data = data_for(answer, request, tell)
    tell_what_is_known(path, answer, data, tell)
    p, time = answers_to(data, answer)
    labels = np.array([answer.classes.index(data.classes[k]) for k in data.labels])
    operating = answer.operating
    if operating is None and (given or wanted.anything):
        raise ValueError(f"{path} knows no good class, so there is no line to look at; train again with --good")
    if operating is not None and given is not None:
        operating = by_hand(operating.good, *given)
    elif operating is not None and (wanted.recall or wanted.false_alarms or wanted.costs):
        operating = another(path.parent, operating.good, wanted)
    groups = groups_of(data, np.arange(len(data)))
    told = figures(p, labels, answer.classes, operating, groups=groups, calibration=answer.calibration)
    if operating is not None:
        parts = parts_of(p, labels, answer.classes, operating.good, groups)
        told["inspection"]["cost"] = cost_on_test(request, operating, parts)
    calibrated = answer.calibration is not None and answer.calibration.fitted
    return told | {"latency": [time], "noun": data.preprocess.noun, "calibrated": calibrated}


def data_for(answer: Model | Predictor, request: EvaluateRequest, tell: Tell) -> Dataset:
    """The labelled data, as the model takes them; ValueError for classes that it does not know."""
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
    return data


def tell_what_is_known(path: Path, answer: Model | Predictor, data: Dataset, tell: Tell) -> None:
    """Tell what was found in the data, and how many of them the model was made with."""
    for kind, texts in (("warning", data.problems), ("note", [*data.remarks, *filter(None, [apart(data)])])):
        for text in texts:
            tell(event(kind, text=text))
    record = data_beside(path, answer.notes)
    if record is None:
        text = f"the data.json beside {path.name} belongs to another model, so nobody knows what this one was made with"
        tell(event("note", text=text))
    if count := count_known(record, data):
        of_all = f"{count} of {counted(len(data), data.preprocess.noun)}"
        text = f"the model was made with {of_all} (to learn or to decide), so the figures on them prove nothing"
        tell(event("warning", text=typed(text)))


def answers_to(data: Dataset, answer: Model | Predictor) -> tuple[np.ndarray, dict[str, Any]]:
    """The calibrated answers to all samples, (N, K) in the order of the model's classes, and how long one takes."""
    everything = np.arange(len(data))
    if isinstance(answer, Model):
        p = probabilities(answer.module, data, everything)
        time = eager_latency(answer.module, data)
        return p if answer.calibration is None else apply(logits_of(p), answer.calibration), time
    chunks = np.array_split(everything, max(1, len(everything) // 64))
    p = np.concatenate([answer.probabilities(originals(data, chunk)) for chunk in chunks])
    return p, latency(answer, threads=1, batch=1)


def lines(text: str) -> tuple[float, float]:
    """(ask, reject) as thresholds of 1 - p(good), from "reject=0.3" or "reject=0.3,ask=0.1"; equal where nobody is
    asked. ValueError, saying what to type, for others."""
    found: dict[str, float] = {}
    for term in text.split(","):
        name, _, word = (piece.strip() for piece in term.partition("="))
        value = float(word) if re.fullmatch(r"\d*\.?\d+(e-?\d+)?", word) else -1.0
        if name not in ("reject", "ask") or name in found or not 0 <= value <= 1:
            raise ValueError(f"--point {text!r} is not understood; type reject=0.3, or reject=0.3,ask=0.1: from 0 to 1")
        found[name] = value
    if "reject" not in found or found.get("ask", 0.0) > found["reject"]:
        raise ValueError(f"--point {text!r} rejects nowhere, or asks from above that; type reject=0.3,ask=0.1")
    return found.get("ask", found["reject"]), found["reject"]


def by_hand(good: str, ask: float, reject: float) -> OperatingPoint:
    """A point at given thresholds."""
    band = ask if ask < reject else None
    return OperatingPoint(good=good, threshold=reject, ask=band, rule="given by hand, promises nothing")


def another(run: Path, good: str, wanted: Requirement) -> OperatingPoint:
    """A point chosen anew on the validation samples of a run, which its predictions.csv holds; ValueError where that is
    not there."""
    try:
        with (run / "predictions.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["part"] == "validation"]
        odds = log_odds(1 - np.array([float(row["score"]) for row in rows]))
        defect = np.array([row["label"] != good for row in rows])
        groups = [row["group"] for row in rows] if rows and "group" in rows[0] else None
    except (OSError, KeyError, ValueError):
        rows = []
    if not rows:
        raise ValueError(
            f"another line is chosen on validation samples, and {run} has no predictions.csv that holds them; name the "
            "run's folder, or give the line by hand: --point reject=0.3"
        )
    metrics = run / "metrics.json"
    fitted = metrics.exists() and bool((json.loads(metrics.read_bytes()).get("calibration") or {}).get("fitted"))
    return operating_point(choose(scored_parts(odds, defect, groups), wanted, fitted), good)
