"""The end of a training: line, model file, exported file, figures, examples, report."""

import csv
import io
import json
from typing import Any

import numpy as np
import torch

from ... import report
from ...arch.cost import cost
from ...arch.spec import Net
from ...arch.use import Calibration, OperatingPoint
from ...deploy.bench import latency
from ...deploy.clock.timing import Timer
from ...deploy.export import export
from ...deploy.runtime import Predictor, predictor
from ...events import event
from ...learn.data.dataset import Dataset
from ...learn.data.splits import Parts, folds
from ...learn.data.synthetic import NAMES as BUILTIN
from ...learn.folds import held_out, to_one_line
from ...learn.plain_rules import Choose, Rival, lead, rivals, rivals_by_folds
from ...learn.predict import eager_latency, probabilities
from ...nets.build import Network
from ...nets.files import Model
from ...nets.files import save as save_model
from ...proof.calibration import apply, calibration_error
from ...proof.decide import lines_of, logits_of, named
from ...proof.figures import figures, scores
from ...proof.points import Point
from ...record import Run
from ...report.cautions import still_improving
from ...report.facts import epochs
from ...words import percent, typed
from ..door import PARITY_IMAGES, evenly, originals
from ..request import Pointed, Tell, folds_of
from .examples import examples
from .folder import origin_of
from .job import Job
from .point import (
    Chosen,
    chosen,
    cost_on_test,
    groups_of,
    holds_the_line,
    not_calibrated,
    parts_of,
    point_record,
    rival_point,
)

Answers = tuple[np.ndarray, np.ndarray]  # which samples (n,), and their probabilities (n, K)
IN_TURNS = "ONNX Runtime, in turns with a reference"  # how milliseconds were measured where they are the budget


def conclude(run: Run, job: Job, module: Network, facts: dict[str, Any], tell: Tell) -> None:
    """Write all that follows a training: operating point, model file, exported file, figures, examples, report.

    The operating point comes from validation samples. The test part is read here, once, and only when the training was
    not stopped.
    """
    data, parts, net = job.data, job.parts, module.net
    run.write_json("spec.json", json.loads(net.to_json()))
    raw = probabilities(module, data, parts.val)
    choice, p = chosen(job.request, job.good, data, parts.val, raw, job.recipe.balance, learned(job, module))
    operating, calibration, answers = choice.operating, choice.calibration, {"validation": (parts.val, p)}
    notes = json.dumps({"synthetic": job.request.source in BUILTIN} | origin_of(run.read_json("data.json")))
    model = Model(net, module, data.classes, data.preprocess, operating, notes, calibration)
    save_model(run.path / "model.safetensors", model)
    parity, times = exported(run, job, model, tell)
    count, held = folds_of(job.request), None
    if not facts.get("stopped"):
        held = held_out(run.path / "folds", count) if count else None
        tested = (parts.test, apply(logits_of(probabilities(module, data, parts.test)), calibration))
        answers["test"] = tested if held is None else (held.index, held.probabilities)
    metrics = {name: figures_on(job, choice, *answer) for name, answer in answers.items()}
    compared = answers
    if held is not None and operating is not None:
        moved = to_one_line(held, job.data.classes.index(operating.good), operating.threshold)
        metrics["test"]["inspection"] = figures_on(job, choice, held.index, moved)["inspection"]
        compared = answers | {"test": (held.index, moved)}
    if text := not_calibrated(calibration, data.preprocess.noun):
        tell(event("note", text=text))
    if text := holds_the_line(job.request, choice, data, parts.val, p):
        _warn(run, text, tell)
    run.write_json(
        "metrics.json",
        metrics
        | {
            "cost": costs(net, 1),
            "latency": times,
            "training": facts,
            "export": parity,
            "calibration": calibration.model_dump() | {"raw": raw_calibration(job, raw)},
            "point": choice.told,
            "rivals": compare_with_rules(run, job, compared, choice, tell),
        },
    )
    file = predictor(run.path / "model.onnx") if (run.path / "model.onnx").is_file() else None
    write_results(run, job, answers, choice, file)
    losses = [each["val_loss"] for each in epochs({"events": run.lines("events.jsonl")})]
    if "test" in answers and (text := still_improving(losses)):
        tell(event("note", text=text))
    tell(event("finished", run=str(run.path), metrics=run.read_json("metrics.json")))


def write_results(run: Run, job: Job, answers: dict[str, Answers], choice: Chosen, file: Predictor | None) -> None:
    """Write the examples, the predictions and the page of these answers."""
    index, p = answers.get("test", answers["validation"])
    run.write_json("examples.json", examples(job.data, index, p, choice, file, run.path / "model.safetensors"))
    run.write_bytes("predictions.csv", predictions_csv(job.data, answers, choice))
    report.write(run)


def told_by_file(run: Run, job: Job, file: Predictor, more: dict[str, Any]) -> None:
    """Let the run tell what this exported file answers, where that is not what the network answers: figures, promises,
    rivals, examples, predictions and page; and `more` in its metrics."""
    assert file.calibration is not None, "the exported file of a run is calibrated"
    metrics, parts = run.read_json("metrics.json"), {"validation": job.parts.val, "test": job.parts.test}
    answers = {name: (index, file_answers(file, job.data, index)) for name, index in parts.items() if name in metrics}
    told = pointed(job, file.operating, *answers["validation"], file.calibration.fitted)
    choice = Chosen(file.calibration, file.operating, told)
    metrics |= {name: figures_on(job, choice, *answer) for name, answer in answers.items()}
    metrics |= {"point": choice.told, "rivals": leads(job, answers, choice)} | more
    run.write_json("metrics.json", metrics)
    write_results(run, job, answers, choice, file)


def file_answers(file: Predictor, data: Dataset, index: np.ndarray) -> np.ndarray:
    """What an exported file answers to samples of a data set, (n, K) in the order of the data's classes."""
    order = [file.classes.index(name) for name in data.classes]
    return file.probabilities(originals(data, index))[:, order].astype(np.float64)


def pointed(
    job: Job, operating: OperatingPoint | None, index: np.ndarray, p: np.ndarray, calibrated: bool
) -> dict[str, Any] | None:
    """What metrics.json says of the choice of a point, by these validation answers; None without one."""
    if operating is None:
        return None
    parts = parts_of(p, job.data.labels[index], job.data.classes, operating.good, groups_of(job.data, index))
    ask, reject = lines_of(operating)
    return point_record(parts, Point(reject, ask, operating.basis, operating.rule), job.request, calibrated)


def learned(job: Job, module: Network) -> np.ndarray | None:
    """The softmax answers, (n, K), to the defective training samples; None where the line does not ask for them."""
    if not job.request.below_learned or job.good is None:
        return None
    defective = job.data.labels[job.parts.train] != job.data.classes.index(job.good)
    return probabilities(module, job.data, job.parts.train[defective])


def figures_on(job: Job, choice: Chosen, index: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """The figures of calibrated answers, (n, K), to samples `index`; with their cost where costs were given."""
    data, groups, labels = job.data, groups_of(job.data, index), job.data.labels[index]
    told = figures(p, labels, data.classes, choice.operating, groups=groups, calibration=choice.calibration)
    if choice.operating is not None:
        parts = parts_of(p, labels, data.classes, choice.operating.good, groups)
        told["inspection"]["cost"] = cost_on_test(job.request, choice.operating, parts)
    return told


def raw_calibration(job: Job, raw: np.ndarray) -> dict[str, Any]:
    """How far the network's own certainties, before calibration, were off on validation samples."""
    return calibration_error(raw, job.data.labels[job.parts.val], groups_of(job.data, job.parts.val))


def compare_with_rules(
    run: Run, job: Job, answers: dict[str, Answers], choice: Chosen, tell: Tell
) -> list[dict[str, Any]]:
    """What plain rules reach on the test samples, and how far the network is ahead of each; [] where the training was
    stopped. A rule that the network does not clearly beat is told."""
    rows = leads(job, answers, choice)
    if close := [row for row in rows if not row["clear"]]:
        _warn(run, not_ahead(close, job.data.preprocess.noun), tell)
    return rows


def _warn(run: Run, text: str, tell: Tell) -> None:
    run.append("events.jsonl", event("warning", text=text))
    tell(event("warning", text=text))


def leads(job: Job, answers: dict[str, Answers], choice: Chosen) -> list[dict[str, Any]]:
    """What plain rules reach on the test samples, and how far these answers are ahead of each; [] without such."""
    if "test" not in answers:
        return []
    index, p = answers["test"]
    shown = {part: held for part, (held, _) in answers.items()}

    def choose_on(parts: Parts) -> Choose:
        def choose(p: np.ndarray, labels: np.ndarray) -> OperatingPoint | None:
            if job.good is None:
                return None
            return rival_point(job.request, job.good, job.data.classes, p, labels, groups_of(job.data, parts.val))

        return choose

    count, balanced = folds_of(job.request), job.recipe.balance != "none"
    if count:
        made = folds(job.data, count, job.request.seed, job.request.val)
        plain = rivals_by_folds(job.data, made, choose_on, balanced)
    else:
        plain = rivals(job.data, job.parts.train, shown, choose_on(job.parts), balanced)
    return [
        lead(p, choice.operating, rival, "test", job.data, index, choice.calibration) | rule_row(rival)
        for rival in plain
    ]


def rule_row(rival: Rival) -> dict[str, Any]:
    """What metrics.json says of a rival beside the network's lead."""
    told = rival.figures["test"]
    seen = told["inspection"] or {}
    return {
        "seconds": rival.seconds,
        "accuracy": told["accuracy"],
        "balanced_accuracy": told["balanced_accuracy"],
        "roc_auc": seen.get("roc_auc"),
    }


def not_ahead(rows: list[dict[str, Any]], noun: str) -> str:
    """The sentence on the plain rules that the network does not clearly beat."""
    told = ", ".join(f"{row['rival']} {percent(row['value'])}" for row in rows)
    text = (
        f"the network is not clearly better than plain rules: {percent(rows[0]['network'])} of its decisions on test "
        f"{noun}s are right ({told}), with each side weighing the same"
    )
    if rows[0]["network"] < 1:  # where all are right, nothing helps
        text += f"; more or larger {noun}s (--size), more epochs, or labels looked through again, may help"
    return typed(text)


def exported(run: Run, job: Job, model: Model, tell: Tell) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write and check the exported file; returns what the check says, and how long the file takes.

    A file that is refused costs no figure: the refusal is told, and the times are those of the network in torch.
    """
    path = run.path / "model.onnx"
    tell(event("stage", text="exporting and checking the exported file on validation data"))
    try:
        parity = export(model, path, originals(job.data, evenly(job.parts.val, PARITY_IMAGES)))
    except ValueError as error:
        path.unlink(missing_ok=True)  # one of an interrupted training, whose weights are no longer these
        text = f"there is no exported file: {error}; `zansa export {run.path} IMAGES` tries again"
        run.append("events.jsonl", event("warning", text=text))
        tell(event("warning", text=text))
        return {"refused": str(error)}, [eager_latency(model.module, job.data)]
    return parity, latencies(job, predictor(path))


def latencies(job: Job, file: Predictor) -> list[dict[str, Any]]:
    """How long the exported file takes, on one thread and on all. Where the budget is in milliseconds, the time on one
    thread is taken by the measure of the budget."""
    times = [latency(file, threads=n, batch=1) for n in sorted({1, torch.get_num_threads()})]
    if job.growth is not None and isinstance(job.growth.clock, Timer):
        ms = job.growth.clock.exported(file.file, job.data.preprocess.size)
        times[0] |= {"what": IN_TURNS, "ms": ms, "repeats": None}
    return times


def of_fold(job: Job, raw: np.ndarray, index: np.ndarray) -> tuple[Calibration, OperatingPoint | None]:
    """Calibration and working point of the network of a fold, by its own validation samples; where these are too few
    for what was asked, the usual point."""
    try:
        choice, _ = chosen(job.request, job.good, job.data, index, raw, job.recipe.balance)
    except ValueError:
        choice, _ = chosen(Pointed(), job.good, job.data, index, raw, job.recipe.balance)
    return choice.calibration, choice.operating


def predictions_csv(data: Dataset, answers: dict[str, Answers], choice: Chosen) -> bytes:
    """predictions.csv: every validation and test sample with its probabilities; `score` is 1 - p(good)."""
    text = io.StringIO()
    rows = csv.writer(text)
    named_so = "sample" if data.preprocess.series else "image"
    grouped = ["group"] if data.groups is not None else []
    rows.writerow([named_so, "part", "label", "predicted", "score", *grouped, *data.classes])
    operating = choice.operating
    for part, (index, p) in answers.items():
        score = scores(p, data.classes, operating.good) if operating else p.max(1)
        for i, line, s, k in zip(index, p, score, named(p, choice.calibration), strict=True):
            rows.writerow(
                [
                    data.names[i],
                    part,
                    data.classes[data.labels[i]],
                    data.classes[int(k)],
                    f"{s:.12g}",
                    *([] if data.groups is None else [data.groups[i]]),
                    *(f"{v:.6f}" for v in line),
                ]
            )
    return text.getvalue().encode(errors="surrogateescape")


def costs(net: Net, batch: int) -> dict[str, Any]:
    """The cost of a network as metrics.json has it."""
    c = cost(net, batch)
    return {
        "macs": c.macs,
        "params": c.params,
        "depth": c.depth,
        "batch": batch,
        "activation_bytes": {"train": c.train_bytes, "infer": c.infer_bytes},
    }
