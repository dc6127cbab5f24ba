"""The end of a training: line, model file, exported file, figures, examples, report."""

import base64
import csv
import io
import json
from typing import Any

import numpy as np
import torch

from ... import report
from ...arch.cost import cost
from ...arch.spec import Net
from ...arch.use import OperatingPoint
from ...deploy.bench import latency
from ...deploy.clock.timing import Timer
from ...deploy.export import export
from ...deploy.runtime import Predictor, predictor
from ...events import event
from ...inputs.pictures import picture
from ...learn.data.dataset import Dataset
from ...learn.data.synthetic import NAMES as BUILTIN
from ...learn.folds import HeldOut, held_out, to_one_line
from ...learn.predict import eager_latency, probabilities
from ...learn.rivals import Rival, lead, rivals
from ...nets.build import Network
from ...nets.files import Model
from ...nets.files import save as save_model
from ...proof.figures import choose_threshold, doubtful, figures, scores
from ...record import Run
from ...report.cautions import still_improving
from ...report.facts import epochs
from ...words import percent, typed
from ..door import PARITY_IMAGES, evenly, originals
from ..request import Tell, folds_of
from .job import Job

EXAMPLES = 24  # pictures in the report
IN_TURNS = "ONNX Runtime, in turns with a reference"  # how milliseconds were measured where they are the budget


def conclude(run: Run, job: Job, module: Network, facts: dict[str, Any], tell: Tell) -> None:
    """Write all that follows a training: operating point, model file, exported file, figures, examples, report.

    The operating point comes from validation samples. The test part is read here, once, and only when the training was
    not stopped.
    """
    data, parts, net = job.data, job.parts, module.net
    run.write_json("spec.json", json.loads(net.to_json()))
    answers = {"validation": (parts.val, probabilities(module, data, parts.val))}
    operating = operating_point(job, *answers["validation"])
    notes = json.dumps({"synthetic": job.request.source in BUILTIN, "begin": run.read_json("data.json").get("begin")})
    model = Model(net, module, data.classes, data.preprocess, operating, notes)
    save_model(run.path / "model.safetensors", model)
    parity, times = exported(run, job, model, tell)
    count, held = folds_of(job.request), None
    if not facts.get("stopped"):
        held = held_out(run.path / "folds", count) if count else None
        tested = (parts.test, probabilities(module, data, parts.test))
        answers["test"] = tested if held is None else (held.index, held.probabilities)
    metrics = {name: figures(p, data.labels[index], data.classes, operating) for name, (index, p) in answers.items()}
    if held is not None and operating is not None:
        metrics["test"]["inspection"] = of_all_folds(job, held, operating)
    run.write_json(
        "metrics.json",
        metrics
        | {
            "cost": costs(net, 1),
            "latency": times,
            "training": facts,
            "export": parity,
            "rivals": beside(run, job, answers, operating, tell),
        },
    )
    index, p = answers.get("test", answers["validation"])
    run.write_json("examples.json", examples(data, index, p, operating))
    run.write_bytes("predictions.csv", predictions_csv(data, answers, operating))
    report.write(run)
    losses = [each["val_loss"] for each in epochs({"events": run.lines("events.jsonl")})]
    if "test" in answers and (text := still_improving(losses)):
        tell(event("note", text=text))
    tell(event("finished", run=str(run.path), metrics=run.read_json("metrics.json")))


def beside(
    run: Run, job: Job, answers: dict[str, tuple[np.ndarray, np.ndarray]], operating: OperatingPoint | None, tell: Tell
) -> list[dict[str, Any]]:
    """What plain rules reach on the test samples, and how far the network is ahead of each; [] where the training was
    stopped. A rule that the network does not clearly beat is told."""
    if "test" not in answers or folds_of(job.request):  # by folds, rules would have to be learned in each
        return []
    index, p = answers["test"]
    judged = {part: held for part, (held, _) in answers.items()}

    def choose(p: np.ndarray, labels: np.ndarray) -> OperatingPoint | None:
        if job.good is None:
            return None
        return choose_threshold(p, labels, job.data.classes, job.good, job.request.max_false_alarms)

    plain = rivals(job.data, job.parts.train, judged, choose, job.recipe.balance != "none")
    rows = [lead(p, operating, rival, "test", job.data, index) | kept(rival) for rival in plain]
    if close := [row for row in rows if not row["clear"]]:
        text = not_ahead(close, job.data.preprocess.noun)
        run.append("events.jsonl", event("warning", text=text))
        tell(event("warning", text=text))
    return rows


def kept(rival: Rival) -> dict[str, Any]:
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
    return typed(
        f"the network is not clearly better than plain rules: {percent(rows[0]['network'])} of its decisions on test "
        f"{noun}s are right ({told}), with each side weighing the same; more or larger {noun}s (--size), more epochs, "
        "or labels looked through again, may help"
    )


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


def operating_point(job: Job, index: np.ndarray, p: np.ndarray) -> OperatingPoint | None:
    """Where the line between good and defect stands, by validation samples; None when no class is the good one."""
    return line_of(job, p, job.data.labels[index])


def line_of(job: Job, p: np.ndarray, labels: np.ndarray) -> OperatingPoint | None:
    """The same for probabilities and labels."""
    if job.good is None:
        return None
    return choose_threshold(p, labels, job.data.classes, job.good, job.request.max_false_alarms)


def of_all_folds(job: Job, held: HeldOut, operating: OperatingPoint) -> dict[str, Any]:
    """The figures of inspection over all folds, each sample by the line of the network that had not seen it."""
    moved = to_one_line(held, job.data.classes.index(operating.good), operating.threshold)
    found: dict[str, Any] = figures(moved, job.data.labels[held.index], job.data.classes, operating)["inspection"]
    return found


def examples(data: Dataset, index: np.ndarray, p: np.ndarray, operating: OperatingPoint | None) -> list[dict[str, Any]]:
    """examples.json: the worst and the doubtful samples, with their pictures."""
    chosen = []
    for entry in doubtful(p, data.labels[index], data.classes, operating, EXAMPLES):
        i, k = index[entry["index"]], int(p[entry["index"]].argmax())
        chosen.append(
            {
                "image": data.names[i],
                "label": data.classes[data.labels[i]],
                "predicted": data.classes[k],
                "probability": float(p[entry["index"], k]),
                "why": entry["why"],
                "score": float(scores(p[[entry["index"]]], data.classes, operating.good)[0]) if operating else None,
                "png": base64.b64encode(picture(data.images[i], data.preprocess)).decode(),
            }
        )
    return chosen


def predictions_csv(
    data: Dataset, answers: dict[str, tuple[np.ndarray, np.ndarray]], operating: OperatingPoint | None
) -> bytes:
    """predictions.csv: every validation and test sample with its probabilities."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(
        ["sample" if data.preprocess.series else "image", "part", "label", "predicted", "score", *data.classes]
    )
    for part, (index, p) in answers.items():
        score = scores(p, data.classes, operating.good) if operating else p.max(1)
        for i, line, s in zip(index, p, score, strict=True):
            told = data.classes[int(line.argmax())]
            rows.writerow(
                [
                    data.names[i],
                    part,
                    data.classes[data.labels[i]],
                    told,
                    f"{s:.6f}",
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
