"""The verb `plan`: what it takes to show a claim, what more data would bring, and what it costs."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..events import event
from ..learn.data.dataset import Dataset
from ..learn.data.seal import sealed
from ..learn.learning_curve import rarest_parts, small_trainings
from ..phrases import speaking
from ..proof.decide import log_odds
from ..proof.expected import balanced_error, crossed, planned
from ..proof.good import unknown_good
from ..proof.learning_curve import extrapolate, nested, shares
from ..proof.money import table
from ..proof.points import ScoredParts, scored_parts
from ..proof.rates import rate
from ..proof.sizes import Claim, parse_claim
from ..proof.sizes import plan as sizes_of
from ..record import Run, new_name
from ..report.proving.plan import page
from .door import absolute, stem_of
from .making.energy import joules, kwh, power
from .making.job import Job, resolve
from .making.point import groups_of
from .making.predictions import read_predictions
from .making.prices import Sheet, money_of, read_costs
from .making.probe import foretold, probe
from .request import GrowRequest, PlanRequest, Tell, TrainingRequest, TrainRequest, silent

TRAININGS = {"full": (3, 3), "quick": (1, 8)}  # of each share: how many, and by how much shorter than a whole one
TIMES = (2.0, 4.0)  # the data
HALF = 0.5  # the least chance to pass with which one should go on


def plan(request: PlanRequest, out: str | Path = "runs", name: str | None = None, tell: Tell = silent) -> Run:
    """Plan a training and the proof of its result; returns the folder with plan.json and plan.html. ValueError for a
    claim that no number of parts can show, and for data that cannot carry one."""
    claim = parse_claim(request.claim, request.confidence)
    sheet, told = read_costs(request.costs) if request.costs else (None, None)
    if told:
        tell(event("note", text=told))
    request = request.model_copy(update={"source": absolute(request.source)})
    job = resolve(trained(request), tell)
    if job.good is None:
        raise ValueError(f"a claim needs a good class: {unknown_good(job.data.classes, job.data.preprocess.noun)}")
    defective, good = counted_parts(job.data, job.parts.test, job.good)
    if not defective and claim.recall is not None:
        raise ValueError("the test part has no defective part, so no recall can be shown; add some, or give a split")
    resources, running = foreseen(request, tell)
    curve, validation = learned(request, job, tell)
    counts = expected_of(request, validation, claim, defective, good)
    sizes = sizes_of(claim, defective, good, planned(counts) or None, each=request.each)
    record = {
        "source": request.source,
        "good": job.good,
        "unit": job.data.preprocess.noun if groups_of(job.data, job.parts.test) is None else "part",
        "noun": job.data.preprocess.noun,
        "test": {"good": good, "defective": defective},
        "mixed": mixed_parts(job.data, job.parts.test, job.good),
        "train": len(job.parts.train),
        "sizes": sizes,
        "expected": {"counts": counts, "from": expected_from(request, counts)},
        "curve": curve,
        "resources": resources,
        "running": running,
        "money": None if sheet is None else money(sheet, claim, counts),
        "gate": gate(sizes),
    }
    run = Run.create(out, new_name(out, f"{stem_of(request.source)}-plan") if name is None else name)
    run.write_json("request.json", request.model_dump(mode="json"))
    run.write_json("plan.json", record)
    with speaking(request.lang):
        written = page(run.read_json("plan.json"))
    run.write_bytes("plan.html", written.encode("utf-8", "replace"))
    return run


def trained(request: PlanRequest) -> TrainRequest:
    """The training that is planned."""
    return TrainRequest(**{name: getattr(request, name) for name in TrainingRequest.model_fields})


def counted_parts(data: Dataset, index: np.ndarray, good: str) -> tuple[dict[str, int], int]:
    """How many separate parts of each kind of defect are among these samples, and how many good ones. A part with any
    defective sample is defective, of the kind that most of those samples show."""
    groups = groups_of(data, index)
    names = index if groups is None else groups
    shown: dict[Any, Counter[str]] = {}
    for name, label in zip(names.tolist(), data.labels[index], strict=True):
        shown.setdefault(name, Counter())[data.classes[label]] += 1
    kinds = Counter(
        max(defects, key=lambda kind: (defects[kind], kind)) if (defects := _without(seen, good)) else good
        for seen in shown.values()
    )
    return {kind: kinds[kind] for kind in data.classes if kind != good and kinds[kind]}, kinds[good]


def mixed_parts(data: Dataset, index: np.ndarray, good: str) -> int:
    """How many groups have good and defective samples among these."""
    fine = data.labels[index] == data.classes.index(good)
    return scored_parts(np.zeros(len(index)), ~fine, None if data.groups is None else data.groups[index]).mixed


def _without(seen: Mapping[str, int], good: str) -> dict[str, int]:
    return {kind: count for kind, count in seen.items() if kind != good}


# --- what it takes ----------------------------------------------------------------------------------------------


def foreseen(request: PlanRequest, tell: Tell) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Time, memory and energy of the training, and of the growth where a budget was named; and how fast it answers.
    Nothing where no probe was asked for."""
    if request.probe == "none":
        return [], None
    wanted: list[tuple[str, TrainRequest | GrowRequest]] = [("train", trained(request))]
    if request.budget is not None:
        own = {name: getattr(request, name) for name in TrainingRequest.model_fields}
        wanted.append(("grow", GrowRequest(**own, budget=request.budget)))
    rows, running = [], None
    for verb, asked in wanted:
        tell(event("stage", text=f"probing `zansa {verb}` with a few steps, to foretell its time and memory"))
        with joules() as used:
            found = probe(asked)
        told = foretold(found)
        watts = power(request.watts, used, sum(found["start"].values()))
        rows.append(
            {"verb": verb, "macs": found["macs"], **told, "power": watts, "kwh": kwh(watts["watts"], told["seconds"])}
        )
        if found["running"] is not None:
            ms = found["running"]["ms"]
            if found["grown"] is not None:  # the probe's file is that of the first network
                ms *= found["grown"]["macs"] / found["macs"]
            running = {"ms": ms, "verb": verb, "scaled": found["grown"] is not None}
            running["memory"] = found["running"]["memory"]
    return rows, running


def learned(request: PlanRequest, job: Job, tell: Tell) -> tuple[dict[str, Any], list[ScoredParts]]:
    """The learning curve of small trainings, and what those with all samples said of validation parts."""
    data, parts, good = job.data, job.parts, job.good
    assert good is not None
    if request.curve == "none":
        return {"left_out": "it was not asked for (--curve none)"}, []
    times, shorter = TRAININGS[request.curve]
    groups = None if data.groups is None else data.groups[parts.train]
    try:
        sizes = shares(rarest_parts(data, parts.train))
    except ValueError as error:
        return {"left_out": str(error)}, []
    tell(
        event("stage", text=f"{times * len(sizes)} small trainings on {len(sizes)} sizes of data, for a learning curve")
    )
    truth = data.labels[parts.val] != data.classes.index(good)
    among = None if data.groups is None else data.groups[parts.val]
    errors, whole = np.zeros((times, len(sizes))), []
    counts = np.zeros(len(sizes))
    for seed in range(times):
        recipe = job.recipe.model_copy(update={"seed": request.seed + seed})
        chosen = nested(data.labels[parts.train], groups, sizes, request.seed + seed)
        counts += [len(index) / times for index in chosen]
        index = [parts.train[each] for each in chosen]
        for k, p in enumerate(small_trainings(job.net, job.start, *sealed(data, parts), recipe, index, shorter)):
            judged_parts = scored_parts(log_odds(p[:, data.classes.index(good)]), truth, among)
            errors[seed, k] = balanced_error(judged_parts)
            whole += [judged_parts] if k == len(sizes) - 1 else []
    if not np.isfinite(errors).all():
        return {"left_out": "the validation part has no defective or no good part"}, whole
    mean, number = errors.mean(axis=0), len(whole[0].score)
    return {
        "sizes": counts.tolist(),
        "errors": mean.tolist(),
        "each": errors.tolist(),
        "trainings": times,
        "shorter": shorter,
        "ahead": [extrapolate(counts.tolist(), mean.tolist(), each, judged=number) for each in TIMES],
    }, whole


# --- what to expect -----------------------------------------------------------------------------------------------


def expected_of(
    request: PlanRequest, whole: list[ScoredParts], claim: Claim, defective: Mapping[str, int], good: int
) -> dict[str, tuple[int, int]]:
    """(mistakes, parts) on validation of a run on these data, else of the small trainings; {} where there are none."""
    if request.like is not None:
        whole = [read_predictions(Run.open(request.like)).scored_parts]
    every = [crossed(parts, claim, sum(defective.values()), good, seed=k) for k, parts in enumerate(whole)]
    found = [counts for counts in every if counts]
    if not found:
        return {}
    return {
        name: (round(sum(counts[name][0] for counts in found) / len(found)), found[0][name][1])
        for name in claim.mistakes
    }


def expected_from(request: PlanRequest, counts: dict[str, tuple[int, int]]) -> str:
    """Where the expectation comes from: "run", "curve", or "nothing"."""
    return "nothing" if not counts else "run" if request.like is not None else "curve"


def gate(sizes: dict[str, Any]) -> dict[str, Any]:
    """Whether to go on: with an even chance to pass at least, or, where none is known, with enough parts to pass at
    all. `do` has what to do for each number that fails."""
    rows = sizes["rows"]
    short = [row for row in rows if (row["count"] < row["least"] if row["chance"] is None else row["chance"] < HALF)]
    passed = not short and (sizes["chance"] is None or sizes["chance"] >= HALF)
    return {"passed": passed, "do": [row["do"] for row in ([] if passed else short or rows)]}


def money(sheet: Sheet, claim: Claim, counts: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """The manager's table, with the model's rates as they are expected, else as they are claimed."""
    base = {"currency": sheet.currency, "date": sheet.date, "file": str(sheet.file), "missing": list(sheet.missing)}
    if sheet.missing:
        return base | {"left_out": f"{sheet.file} lacks {', '.join(sheet.missing)}"}
    ranges = {}
    for name in ("recall", "false_alarms"):
        if name in counts:
            seen = rate(*counts[name])
            ranges[name] = (seen["low"], seen["value"], seen["high"])
        else:
            most = claim.mistakes.get(name, 0.02)
            ranges[name] = (0.0, most / 2, most)
    made = money_of(sheet, ranges["recall"], ranges["false_alarms"])
    return base | {"rates": json.loads(json.dumps(ranges))} | table(made, sheet.years)
