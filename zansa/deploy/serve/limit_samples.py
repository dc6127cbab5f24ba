"""Limit samples: pictures that people agree are just acceptable and just a defect, one of each for every kind of
defect. Doubtful parts are judged beside them.

They are the judged parts nearest to the line, or those that a person has marked. Two people must agree on the others,
and their words count from the next plan on, so that all who judge one plan see the same samples. What waits to be read
again is never among them: the label would tell what the first reader said.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from math import inf, log
from typing import Any

Row = dict[str, Any]
Read = Callable[[str, Sequence[Any]], list[Row]]  # a SELECT and its values -> the rows that it finds
UNDECIDED = ("cannot tell", "unusable")  # verdicts that are no class
MARKED_BY = (  # whether the last mark of an answer, where it stands, is of a person
    "SELECT 1 FROM (SELECT who, verdict FROM limit_samples WHERE answer = ? ORDER BY id DESC LIMIT 1) "
    "WHERE who = ? AND verdict IS NOT NULL"
)


def limit_samples(read: Read, model: str, good: str) -> list[Row]:
    """The limit samples of a model's parts: `kind` (the class of the defect, or for an acceptable part the defect that
    the network thought most likely), `side` ("acceptable" or "defect"), `marked` (by a person), and of the answer `id`,
    `part`, `image` and `suffix`."""
    votes, queued = standing(_all(read, "verdicts")), _all(read, "queue")
    last = {row["answer"]: row["verdict"] for row in votes}
    words = {row["answer"]: row for row in _all(read, "limit_samples")}
    marked = {answer: row["id"] for answer, row in words.items() if row["verdict"] == last.get(answer, "")}
    hidden = _answers(read, model, read_again(queued, votes))
    blind = {row["image"] for row in hidden} | {row["part"] for row in hidden if row["part"]}
    chosen: dict[tuple[str, str], Row] = {}
    found = _answers(read, model, marked.keys() | agreed(votes, _until(queued)))
    for row in sorted(found, key=lambda row: (-marked.get(row["id"], 0), _from_line(row), row["id"])):
        if not blind & {row["image"], row["part"]}:
            fine = last[row["id"]] == good
            place = (_likely(row, good) if fine else last[row["id"]], "acceptable" if fine else "defect")
            chosen.setdefault(place, row | {"marked": row["id"] in marked})
    names = ("id", "part", "image", "suffix", "marked")
    return [
        {"kind": kind, "side": side, **{name: row[name] for name in names}}
        for (kind, side), row in sorted(chosen.items())
    ]


def standing(rows: Sequence[Row]) -> list[Row]:
    """The verdicts, in their order, that were not taken back: a word that is None takes back the last one on its
    answer."""
    stack: list[Row] = []
    for row in rows:
        if row["verdict"] is None:
            place = next((k for k in range(len(stack) - 1, -1, -1) if stack[k]["answer"] == row["answer"]), None)
            if place is not None:
                stack.pop(place)
        else:
            stack.append(row)
    return stack


def agreed(votes: Sequence[Row], until: str) -> set[int]:
    """The answers on which two people or more had said one class by a moment, and nobody has said another since."""
    said: dict[int, set[str]] = defaultdict(set)
    people: dict[int, set[str]] = defaultdict(set)
    for row in votes:
        said[row["answer"]].add(row["verdict"])
        if row["time"] <= until:
            people[row["answer"]].add(row["who"])
    one = {answer for answer, words in said.items() if len(words) == 1 and not words & {*UNDECIDED}}
    return {answer for answer in one if len(people[answer]) > 1}


def read_again(queued: Sequence[Row], votes: Sequence[Row]) -> set[int]:
    """The answers that were judged, and wait in the queue to be judged once more."""
    newest: dict[int, str] = {row["answer"]: row["time"] for row in votes}
    return {row["answer"] for row in queued if row["truth"] is not None and newest.get(row["answer"], "") < row["time"]}


def _until(queued: Sequence[Row]) -> str:
    """The moment of the last plan; where nothing was planned, the beginning of this day."""
    planned = max((row["time"] for row in queued if row["batch"] > 0), default=None)
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return planned or today.astimezone(UTC).isoformat(timespec="milliseconds")


def _answers(read: Read, model: str, which: Collection[int]) -> list[Row]:
    """Answers of a model whose pictures are kept."""
    statement = "SELECT * FROM answers WHERE kept = 1 AND model = ? AND id IN (SELECT value FROM json_each(?))"
    return read(statement, (model, json.dumps(sorted(which))))


def _all(read: Read, table: str) -> list[Row]:
    """Every row of a table; [] where an older store lacks it."""
    there = read("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return read(f"SELECT * FROM {table} ORDER BY id", ()) if there else []


def _from_line(row: Row) -> float:
    """How far a score is from the line of its time, in log odds."""
    if row["score"] is None or row["line"] is None:
        return inf
    odds = [log(max(1e-9, share) / max(1e-9, 1 - share)) for share in (row["score"], row["line"])]
    return abs(odds[0] - odds[1])


def _likely(row: Row, good: str) -> str:
    """The defect that the network thought most likely."""
    shares: dict[str, float] = json.loads(row["probabilities"])
    return max((name for name in shares if name != good), key=lambda name: shares[name])
