"""Stages with gates: each leaves its record in a folder, so that what was done is not done again, and what was decided
against a gate is written down."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from ...events import event
from ...record import Run
from ...report.proving import word
from ...words import typed
from ..request import Tell

Record = dict[str, Any]
Said = tuple[object, ...]  # a key of the dictionary, and the values in its places
ANSWERS = "poc.yaml"
MAY_CHANGE = {"go_on", "lang", "pdf", "precision", "layout"}  # between one call and the next


@dataclass(frozen=True)
class Gate:
    """Whether to go on.

    passed: whether the stage's result allows it.
    why: what was found.
    do: what to do next where it does not.
    """

    passed: bool
    why: Said
    do: tuple[Said, ...] = ()

    @property
    def record(self) -> Record:
        """The gate in English, and as the dictionary has it."""
        said = {"why": list(self.why), "do": [list(each) for each in self.do]}
        return {"passed": self.passed, "why": worded(self.why), "do": list(map(worded, self.do)), "said": said}


@dataclass(frozen=True)
class Stage:
    """A stage: its name, and the work, which gives facts and a gate from the records of the stages before."""

    name: str
    work: Callable[[dict[str, Record]], tuple[Record, Gate]]


def run_stages(folder: Run, stages: Sequence[Stage], go_on: bool, tell: Tell) -> dict[str, Record]:
    """Do what is not done yet, in order; stop at a gate that fails, unless it is overridden. Returns all records."""
    records: dict[str, Record] = {}
    for number, stage in enumerate(stages, 1):
        file = f"{number}-{stage.name}.json"
        if file in folder.files():
            record = folder.read_json(file)
        else:
            tell(event("stage", text=f"[{number}/{len(stages)}] {stage.name}"))
            began, clock = now(), time.perf_counter()
            facts, gate = stage.work(records)
            record = {"stage": stage.name, "began": began, "seconds": round(time.perf_counter() - clock, 1)}
            record |= {"gate": gate.record, "overridden": None, **facts}
            folder.write_json(file, record)
        if not record["gate"]["passed"] and record["overridden"] is None and go_on and stage is not stages[-1]:
            record["overridden"] = now()
            folder.write_json(file, record)
            tell(event("warning", text=f"{stage.name}: {record['gate']['why']}; went on all the same (--go-on)"))
        records[stage.name] = record
        if not record["gate"]["passed"] and record["overridden"] is None:
            break
    return records


def worded(said: Said) -> str:
    """A sentence in English."""
    key, *values = said
    return typed(str(values[0]) if key == "poc.raw" else word(str(key), *values))


def opened(out: Path, name: str, answers: Record) -> Run:
    """The folder of a proof of concept: a new one, or the one that was begun with the same answers. ValueError where it
    was begun with others."""
    path = out / name
    if not path.exists():
        run = Run.create(out, name)
        run.write_bytes(ANSWERS, yaml.safe_dump(answers, allow_unicode=True, sort_keys=False).encode())
        return run
    run = Run.open(path)
    if ANSWERS not in run.files():
        raise ValueError(f"{path} is no proof of concept: it has no {ANSWERS}; choose another --name")
    before = yaml.safe_load((path / ANSWERS).read_text(encoding="utf-8"))
    keys = {key for key in before.keys() | answers.keys() if before.get(key) != answers.get(key)} - MAY_CHANGE
    if keys:
        told = ", ".join(f"{key} was {before.get(key)!r}" for key in sorted(keys))
        raise ValueError(f"{path} was begun with other answers ({told}); give the same, or choose another --name")
    return run


def noted(folder: Run, chosen: Record) -> None:
    """Add to the answers what was chosen by timing, so that they repeat the same proof."""
    before = yaml.safe_load((folder.path / ANSWERS).read_text(encoding="utf-8"))
    folder.write_bytes(ANSWERS, yaml.safe_dump(before | chosen, allow_unicode=True, sort_keys=False).encode())


def hashed(claim: str, confidence: float, digest: str) -> Record:
    """What is claimed of which data, with the hash of both and the time."""
    value = {"claim": claim, "confidence": confidence, "data": digest}
    return value | {"sha256": hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest(), "time": now()}


def now() -> str:
    """The time, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
