"""What a run's folder holds before and during its training."""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save as to_bytes

from ...arch.spec import Net
from ...arch.use import Preprocess
from ...beginnings.making import HEADER
from ...beginnings.weights import DRAWN, Beginning, load
from ...learn.data.audit import leaks
from ...learn.data.dataset import Dataset
from ...learn.data.synthetic import NAMES as BUILTIN
from ...learn.depth.levels import coarse
from ...nets.donor import weights_file
from ...nets.files import read
from ...nets.installed_weights import origin
from ...record import Run
from ...runs import KNOWN_BY, branches_of, known_samples
from ...words import shape
from ..door import DIGEST_OF, data_digest, units
from ..request import folds_of, learned_weights, teacher_named
from .job import Job

TAUGHT = "The network learns from the answers of"
MACHINE = ("precision", "layout", "device", "threads", "processes")  # what the metrics say of a training's start


def begin(
    job: Job,
    out: str | Path,
    name: str,
    branches: Sequence[str] = (),
    main: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Run:
    """Make the run's folder with all that `resume` needs. request.json is written last: where it is, the folder is
    whole.

    branches: the names of the runs of smaller budgets, which are there already.
    main: the name of the run whose smaller budget this run is; None where it is no such run.
    more: other values that `resume` needs, by the names of their files.
    """
    first = coarse(job.net, job.recipe.levels) if job.recipe.levels > 1 else None  # refused before there is a folder
    run = Run.create(out, name)
    weights = None
    if job.start is not None:
        run.write_bytes("start.safetensors", to_bytes(job.start.state_dict()))
        given = learned_weights(job.request)
        tested = [job.data.names[i] for i in job.parts.test]
        weights = None if given is None else provenance(given, job.request.source, tested)
    told = {"weights": weights, "begin": beginning_of(job.beginning), "teacher": teacher_of(job), "branch_of": main}
    race = [asdict(each) for each in job.race]
    run.write_json("data.json", describe(job) | told | {"race": race})
    for file in ("spec.json", *(["start.json"] if job.growth or job.search else [])):
        run.write_json(file, json.loads(job.net.to_json()))
    if first is not None:
        run.write_json("fine.json", json.loads(job.net.to_json()))
        run.write_json("start.json", json.loads(first.to_json()))
    run.write_json("recipe.json", job.recipe.model_dump(mode="json"))
    run.write_bytes("edits.jsonl", b"")
    if branches:
        run.write_json("branches.json", list(branches))
    for file, value in (more or {}).items():
        run.write_json(file, value)
    run.write_json("request.json", job.request.model_dump(mode="json"))
    return run


def beginning_of(beginning: Beginning | None) -> dict[str, Any] | None:
    """What the network begins with where that was learned from drawn pictures: in words, the SHA-256 of the file, and
    the recipe that makes it again."""
    if beginning is None or beginning.state is None:
        return None
    made = json.loads(read(DRAWN)[0][HEADER])
    return {
        "from": "drawn pictures",
        "told": beginning.told,
        "sha256": hashlib.sha256(DRAWN.read_bytes()).hexdigest(),
        "seed": made["course"]["seed"],
        "steps": sum(lesson["steps"] for lesson in made["course"]["lessons"]),
        "pictures": made["pictures"],
    }


def origin_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a model file says of its beginning, because buyers ask, and the digest by which the data.json of its run is
    known as its own: what that has, without the folders of this machine."""
    weights = told.get("weights")
    if weights is not None:
        weights = {key: weights.get(key) for key in ("sha256", "told", "began")} | {"file": Path(weights["file"]).name}
    return {"begin": told.get("begin"), "weights": weights, "data": told["digest"]}


def began_as(file: Path) -> dict[str, Any] | None:
    """What a model file says of its own beginning; None for files of others, and for older ones."""
    header = read(file)[0] if file.suffix == ".safetensors" else {}
    notes = json.loads(header.get("notes") or "{}") if "zansa" in header else {}
    return {key: notes[key] for key in ("begin", "weights") if notes.get(key)} or None


def provenance(weights: str, source: str, tested: Sequence[str], *use: str) -> dict[str, Any]:
    """Where the weights came from: the file, its SHA-256, whether a run on the same source made them, and how many of
    the samples that are called `tested` they had `seen` then; None where that is not known. `began` is how they began
    themselves. `use` begins the sentence on weights of a package."""
    file = weights_file(weights)
    made = file.parent / "request.json"
    before = json.loads(made.read_bytes()).get("source") if made.exists() else None
    same = before == source
    return {
        "file": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "same_source": same,
        "seen": count_seen(file.parent / "data.json", set(tested)) if same else None,
        "told": origin(weights, *use),
        "began": began_as(file),
    }


def of_another_size(weights: str | None, pre: Preprocess) -> str:
    """What to tell where a run learned its weights on samples of another size; "" for all others."""
    record = Path() if weights is None else weights_file(weights).parent / "data.json"
    theirs = tuple(json.loads(record.read_bytes()).get("size", pre.size)) if record.is_file() else pre.size
    if theirs == pre.size or len(theirs) != len(pre.size):
        return ""
    kept = "x".join(map(str, theirs))
    return f"the weights were learned at {shape(theirs)} and are used at {shape(pre.size)}; --size {kept} keeps theirs"


def count_seen(record: Path, tested: Set[str]) -> int | None:
    """How many of these samples the run of this data.json had learned from or chosen by; None where that is not known,
    because the run is old, or because its own weights came from a run on the same source that was split otherwise."""
    told = json.loads(record.read_bytes()) if record.exists() else {}
    parts, weights = told.get("parts"), told.get("weights")
    if parts is None:
        return None
    if weights and weights["same_source"] and not (weights.get("seen") == 0 and tested <= set(parts["test"])):
        return None
    return len(tested & {*parts["train"], *parts["val"]})


def teacher_of(job: Job) -> dict[str, Any] | None:
    """Where the teacher came from, and how many test samples it has `seen`; None without one."""
    name = teacher_named(job.request)
    if name is None:
        return None
    return provenance(name, job.request.source, [job.data.names[i] for i in job.parts.test], TAUGHT)


def describe(job: Job) -> dict[str, Any]:
    """data.json: what the samples are, and which of them stand in which part."""
    request, data, parts = job.request, job.data, job.parts
    proven = parts.test if folds_of(request) is None else np.arange(len(data))  # held out once each
    named = {"train": parts.train, "val": parts.val, "test": proven}
    counts = {part: np.bincount(data.labels[index], minlength=len(data.classes)) for part, index in named.items()}
    by_group = "random by group" if data.groups is not None else "random"
    return {
        "source": request.source,
        "synthetic": request.source in BUILTIN,
        "kind": data.kind,
        "noun": data.preprocess.noun,
        "classes": data.classes,
        "counts": {part: dict(zip(data.classes, map(int, n), strict=True)) for part, n in counts.items()},
        "size": data.preprocess.size,
        "channels": data.preprocess.channels,
        "preprocess": data.preprocess.model_dump(mode="json"),
        "problems": data.problems,
        "leaks": leaks(data, parts),
        "groups": None if data.groups is None else len(set(data.groups)),
        "units": units(data),
        "folds": folds_of(request),
        "split": by_group if data.split is None else "given",
        "digest": data_digest(data, parts),
        "digest_of": DIGEST_OF,
        "known": sorted(data.digests[i][:KNOWN_BY] for part in (parts.train, parts.val) for i in part),
        "parts": {part: [data.names[i] for i in index] for part, index in named.items()},
    }


def count_known(record: Mapping[str, Any] | None, data: Dataset) -> int:
    """How many of these samples the model of a data.json (see `data_beside`) had learned from or decided by, by their
    pixels or values, whatever they are called now; 0 where that is not known."""
    known = known_samples(record) or ()
    return sum(digest[:KNOWN_BY] in known for digest in data.digests)


def facts_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What the metrics say of the training, gathered from the events so far."""
    facts: dict[str, Any] = {}
    for event in events:
        _gather(event, facts)
    return facts


def note(run: Run, event: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write an event of the training to the run, and gather what the metrics need."""
    match event["event"]:
        case "step" | "trial":
            return
        case "edit":
            run.append("edits.jsonl", event)
            return
        case "raced":
            _note_race(run, event)
        case "start" | "resumed":
            if "starts" not in facts:
                event["event"] = "start"  # what it goes on from is no training that was stopped
            lines = event.pop("journal", None)
            if lines is not None:  # edits after the saved state will come again
                run.write_bytes("edits.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    _gather(event, facts)
    run.append("events.jsonl", event)


def _note_race(run: Run, event: dict[str, Any]) -> None:
    """Keep the winner of a race, also for the smaller budgets: one of them may go on before this run has ended. A
    variant may have begun with less of what was learned from drawn pictures than the usual network, or with nothing."""
    table, net = event.pop("table"), event.pop("net")
    for each in (*branches_of(run), run):
        each.write_json("race.json", table)
        each.write_json("start.json", net)
        data = each.read_json("data.json")
        if data.get("begin"):
            each.write_json("data.json", data | {"begin": beginning_of(load(Net.from_dict(net)))})


def _gather(event: dict[str, Any], facts: dict[str, Any]) -> None:
    match event["event"]:
        case "start" | "resumed":
            facts.update({key: event[key] for key in MACHINE if key in event})
            facts["starts"] = facts.get("starts", 0) + 1
        case "raced" | "stage" if "race_seconds" in event:
            facts.setdefault("race_seconds", event["race_seconds"])
        case "epoch":
            facts.update(epochs=event["epoch"], seconds=event["seconds"], best_epoch=event["best"])
            facts["images_per_second"] = event["images_per_second"]
