"""The verb `watch`: has something changed since a calm time? It needs no torch."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from ..deploy.runtime import predictor
from ..deploy.serve.models import names_in
from ..deploy.watch import look as looking
from ..deploy.watch.contest import acting, sha_of
from ..deploy.watch.units import Answers, answers
from ..proof.drift import LEAST
from ..record import Run, write_atomic
from ..report.watching import watch as page
from ..runs import exported_file


def watch(
    store: Path,
    reference: Path | None = None,
    model: str | None = None,
    calm: int = looking.CALM,
    alarms_a_year: float = 1.0,
    language: str = "en",
) -> dict[str, Any]:
    """Look at a store, and write STORE/watch.html. Returns what was found, with the page's path. ValueError where the
    store has no answers, or the run no predictions."""
    if calm < LEAST:
        raise ValueError(f"--calm is {calm} lots; allowed: {LEAST} or more, since fewer tell nothing of rare values")
    if not alarms_a_year > 0:
        raise ValueError(f"--alarms-a-year is {alarms_a_year:g}; allowed: above 0, for example 1")
    seen = answers(store, model)
    validation = None if reference is None else validated(reference)
    if reference is not None and sha_of(exported_file(reference)) != seen.sha:
        raise ValueError(
            f"{reference} is not the run of the model that gave the last answers ({seen.model}, version "
            f"{seen.version}, file {seen.sha[:12]}); name its run, or leave --reference out"
        )
    record = looking.look(store, seen, validation, calm, alarms_a_year) | {"acting": _acting(store, seen)}
    written = write_atomic(store / "watch.html", page.html(record, language).encode())
    return record | {"page": str(written)}


def _acting(store: Path, seen: Answers) -> int | None:
    """The version that acts, which may have judged no part yet; None where the store was copied without its models."""
    if seen.model not in names_in(store):
        return None
    file = acting(store, seen.model)[1]
    return seen.version if sha_of(file) == seen.sha else int(file.parent.name)


def acknowledge(
    store: Path,
    model: str | None,
    what: str,
    who: str,
    why: str,
    calm_again: bool,
    calm: int = looking.CALM,
    alarms_a_year: float = 1.0,
) -> str:
    """Record that a warning was looked into, and a sentence on it. ValueError where no such warning is open, and no new
    calm time is asked for."""
    seen = answers(store, model)
    looking.refuse_unknown(seen, what)
    if not calm_again:
        charts = looking.look(store, seen, None, calm, alarms_a_year)["charts"]
        warnings = [row["name"] for row in charts if row["alarm"]]
        if not warnings or what not in ("all", *warnings):
            raise ValueError(
                f"no warning{'' if what == 'all' else f' of {what}'} is open, so there is nothing to acknowledge "
                f"(open with a calm time of {calm} lots: {', '.join(warnings) or 'none'}; --calm is that of the "
                "watch); --calm-again begins a new calm time without one"
            )
    record = looking.acknowledge(store, seen, what, who, why, calm_again)
    after = "a new calm time begins with the next lot" if calm_again else "the charts begin anew with the next lot"
    return f"record {record['number']}: {what} acknowledged by {who} ({why}); {after}"


def validated(reference: Path) -> dict[str, Any]:
    """What the validation samples of a run say: `sure` (probability of the named class), `right`, and where it draws a
    line `score` and `defect`."""
    run = Run.open(reference)
    path = run.path / "predictions.csv"
    if not path.is_file():
        raise ValueError(f"{run.path} has no predictions.csv; `zansa resume {run.path}` goes on with it")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "validation"]
    classes = list(rows[0])[list(rows[0]).index("group" if "group" in rows[0] else "score") + 1 :] if rows else []
    if not rows:
        raise ValueError(f"{path} has no validation samples")
    operating = predictor(exported_file(run.path), threads=1).operating
    good = None if operating is None else operating.good
    return {
        "sure": np.array([max(float(row[name]) for name in classes) for row in rows]),
        "right": np.array([row["predicted"] == row["label"] for row in rows]),
        "score": np.array([float(row["score"]) for row in rows]),
        "defect": None if good is None else np.array([row["label"] != good for row in rows]),
    }
