"""A run's files as one value, `facts`, and the ways into it: what is absent is said and never guessed."""

import csv
from contextlib import suppress
from typing import Any

from ..phrases import phrase
from ..record import Run

DOCUMENTS = ("spec", "recipe", "environment", "data", "metrics", "examples", "start", "request", "report")
LISTS = ("events", "edits")
TABLES = ("race",)
MANY_CLASSES = 24  # more are shown as a map and in scrolling tables
Facts = dict[str, Any]


def read(run: Run) -> Facts:
    """The contents of every file of a run by the file's stem: None, or [] for files of lines, when it is absent.

    `name` is the run's name, `unreadable` says why a file could not be read, and `scores` holds what predictions.csv
    says: {"test": [(label, score), ...], "validation": ...}."""
    facts: Facts = {"name": run.path.resolve().name, "unreadable": {}}
    for stem in DOCUMENTS:
        facts[stem] = _read(run, f"{stem}.json", facts["unreadable"])
    for stem in TABLES:
        facts[stem] = _read(run, f"{stem}.json", facts["unreadable"]) or []
    facts["scores"] = _scores(run)
    for stem in LISTS:
        facts[stem] = [line for line in _lines(run, f"{stem}.jsonl", facts["unreadable"]) if isinstance(line, dict)]
    return facts


def _read(run: Run, name: str, unreadable: dict[str, str]) -> Any:
    if not (run.path / name).exists():
        return None
    try:
        return run.read_json(name)
    except (ValueError, OSError) as error:
        unreadable[name] = str(error)
        return None


def _lines(run: Run, name: str, unreadable: dict[str, str]) -> list[Any]:
    if not (run.path / name).exists():
        return []
    try:
        return list(run.lines(name))
    except (ValueError, OSError) as error:
        unreadable[name] = str(error)
        return []


def _scores(run: Run) -> dict[str, list[tuple[str, float]]]:
    """(label, score) of every image in predictions.csv, by its part; {} when the file is absent or not of that form."""
    path, scores = run.path / "predictions.csv", dict[str, list[tuple[str, float]]]()
    if path.is_file():
        with (
            suppress(KeyError, ValueError, OSError, csv.Error),
            path.open(encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            for row in csv.DictReader(file):
                scores.setdefault(row["part"], []).append((row["label"], float(row["score"])))
    return scores


def need(facts: Facts, *path: str) -> Any:
    """The value at a path, facts["metrics"]["test"][...]; LookupError, which says what the record lacks."""
    value: Any = facts
    for step, key in enumerate(path):
        value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            lack = f"has no {' > '.join(path[1 : step + 1])}" if step else "is not there or cannot be read"
            raise LookupError(f"{path[0]}.json {lack}")
    return value


def have(facts: Facts, *path: str) -> Any:
    """The value at a path, as `need` gives it, or None where the record lacks it."""
    try:
        return need(facts, *path)
    except LookupError:
        return None


def noun(facts: Facts) -> str:
    """What a sample is called: "image", "signal" or "sequence"."""
    return str(have(facts, "data", "noun") or "image")


def epochs(facts: Facts) -> list[dict[str, Any]]:
    """The epoch events in order; an epoch that was trained again after a resumption stands once, by its later line, and
    those of a training that began again are left out."""
    last: dict[Any, dict[str, Any]] = {}
    for event in facts["events"]:
        if event.get("event") == "again":
            last.clear()
        elif event.get("event") == "epoch" and "epoch" in event:
            last[event["epoch"]] = event
    return [last[epoch] for epoch in sorted(last)]


def trained(facts: Facts) -> bool:
    """Whether the last word of the training is "done", or nothing had to be trained and the figures are there."""
    words = [word for event in facts["events"] if (word := event.get("event")) in ("start", "resumed", "done")]
    return words[-1:] == ["done"] if words else have(facts, "metrics", "validation") is not None


def judged(facts: Facts) -> tuple[str, dict[str, Any]]:
    """The figures that speak for the run: ("test", ...), or ("validation", ...) while there are no others."""
    split = "test" if have(facts, "metrics", "test") else "validation"
    return split, need(facts, "metrics", split)


def time_for_one(facts: Facts) -> dict[str, Any] | None:
    """The latency that stands for a network wherever one is told: one image at a time on the processor, on the fewest
    threads, if it was measured."""
    rows = have(facts, "metrics", "latency") or []

    def usual(row: dict[str, Any]) -> tuple[bool, bool, int, float]:
        return row.get("batch", 1) != 1, row.get("device") != "cpu", row.get("threads") or 1, row["ms"]

    return min(rows, key=usual, default=None)


def both(facts: Facts) -> list[tuple[str, dict[str, Any] | None, dict[str, Any] | None, int]]:
    """The figures of both splits: (name, validation rate, test rate, +1 where more is better and -1 where less is)."""
    names = (
        (phrase("defects found"), ("inspection", "detection"), 1),
        (phrase("good parts thrown away"), ("inspection", "false_alarms"), -1),
        (phrase("named correctly"), ("accuracy",), 1),
        (phrase("balanced accuracy"), ("balanced_accuracy",), 1),
    )
    return [
        (name, have(facts, "metrics", "validation", *path), have(facts, "metrics", "test", *path), sign)
        for name, path, sign in names
    ]


def samples_of_parts(facts: Facts) -> tuple[int, int] | None:
    """How many samples were judged, and of how many parts, where several samples are one part; None elsewhere."""
    split = "test" if have(facts, "metrics", "test") else "validation"
    samples = have(facts, "metrics", split, "accuracy", "count")
    counts = [have(facts, "metrics", split, "inspection", rate, "count") for rate in ("detection", "false_alarms")]
    if not all(isinstance(each, int) for each in (samples, *counts)) or sum(counts) >= samples:
        return None
    return samples, sum(counts)


def confused_pairs(all_figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The confusions, the most frequent first: {"true", "told", "count", "of" (samples of the true class)}."""
    classes, matrix = all_figures["classes"], all_figures["confusion"]
    totals = [sum(row) for row in matrix]
    pairs = [
        {"true": classes[i], "told": classes[j], "count": each, "of": totals[i]}
        for i, row in enumerate(matrix)
        for j, each in enumerate(row)
        if each and i != j
    ]
    return sorted(pairs, key=lambda pair: -pair["count"])
