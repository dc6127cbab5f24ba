"""Which parts people look at again, and what they said. Every choice keeps the chance with which it was made."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...proof.audit import chances, drawn, kappa, reviewed, total
from ..serve.limit_samples import MARKED_BY, UNDECIDED, limit_samples, standing
from ..serve.schema import FILE, insert, prepare
from ..serve.store import now
from ..serve.stored import opened
from .components import featured
from .units import CALM, Answers

SHARES = {"audit": 0.5, "rejected": 0.15, "disagrees": 0.1, "new": 0.1, "seeded": 0.05, "second": 0.1}
TOGETHER = 3  # new-looking parts of one lot and class
Row = dict[str, Any]


@contextmanager
def writing(store: Path) -> Iterator[sqlite3.Connection]:
    """A connection that adds to a store, also beside its server. ValueError where there is no store."""
    opened(store).close()
    with closing(sqlite3.connect(store / FILE, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        prepare(connection)
        with connection:
            yield connection


def plan(store: Path, seen: Answers, good: str, looks: int, seed: int) -> dict[str, int]:
    """Choose about so many parts among those that came since the last plan, and put them into the queue, which the
    operators' page shows too. Returns how many were chosen for each reason."""
    seen = featured(store, seen, [unit.rows for unit in seen.units[:CALM]])
    before = [row for row in items(store) if row["batch"] > 0]
    after = max((row["until"] for row in before), default=0)
    fresh = np.array([i for i, row in enumerate(seen.rows) if row["id"] > after and row["kept"] == 1], int)
    batch = 1 + max((row["batch"] for row in before), default=0)
    chosen = list(_audit(seen, fresh, looks, seed + batch)) + list(_chosen(store, seen, fresh, good, looks, seed))
    with writing(store) as connection:
        for row in chosen:
            connection.execute(*insert("queue", row | {"time": now(), "batch": batch}))
            mark = "UPDATE answers SET doubtful = coalesce(doubtful, ?) WHERE id = ?"
            if row["why"] not in ("seeded", "second"):
                connection.execute(mark, ("chosen to be looked at", row["answer"]))
    return dict(Counter(row["why"] for row in chosen))


def again(store: Path, answers: Sequence[int]) -> int:
    """Put judged parts into the queue once more, for another person, beside any plan; how many were not waiting
    already."""
    waiting = {row["answer"] for row in items(store) if row["truth"] is not None and row["verdict"] is None}
    last = {row["answer"]: row["verdict"] for row in verdicts(store)}
    fresh = [answer for answer in answers if answer not in waiting]
    with writing(store) as connection:
        for answer in fresh:
            row = {"time": now(), "batch": 0, "answer": answer, "why": "second", "chance": 1.0}
            connection.execute(*insert("queue", row | {"truth": last[answer], "pool": len(answers)}))
    return len(fresh)


def alone(store: Path) -> set[int]:
    """Answers that one person alone has judged."""
    people: dict[int, set[str]] = defaultdict(set)
    for row in verdicts(store):
        people[row["answer"]].add(row["who"])
    return {answer for answer, who in people.items() if len(who) == 1}


def _audit(seen: Answers, fresh: np.ndarray, looks: int, seed: int) -> Iterator[Row]:
    """Accepted parts by suspicion beside a uniform share, and rejected ones uniformly: from these all is estimated."""
    for why, decision in (("audit", "accept"), ("rejected", "reject")):
        pool = np.array([i for i in fresh if seen.rows[i]["decision"] == decision], int)
        if not len(pool):
            continue
        score = np.array([seen.rows[i]["score"] for i in pool]) if why == "audit" else np.ones(len(pool))
        kept = np.array([seen.rows[i]["chance"] or 1.0 for i in pool])
        share = chances(score, SHARES[why] * looks)
        for k in drawn(share, seed):
            told = {"answer": seen.rows[pool[k]]["id"], "why": why, "chance": float(share[k] * kept[k])}
            yield told | {"least": float((share * kept).min()), "pool": len(pool)}


def _chosen(store: Path, seen: Answers, fresh: np.ndarray, good: str, looks: int, seed: int) -> Iterator[Row]:
    """Parts that teach most, and those that show how well people judge: nothing is estimated from the first."""
    rng = np.random.default_rng(seed)
    shown = {row["id"] for row in limits(store, seen.model, good)}  # people know these pictures
    known = [row for row in _known(store, seen) if row["answer"] not in shown]
    others = [i for i in fresh if _disagrees(seen.rows[i])]
    several = [row for row in known if row["verdict"] not in (*UNDECIDED, good) and row["sure"]]
    for why, found in (("disagrees", others), ("new", list(_new(seen, fresh, round(SHARES["new"] * looks))))):
        for i in found[: round(SHARES[why] * looks)]:
            yield {"answer": seen.rows[i]["id"], "why": why, "chance": 1.0, "least": None, "pool": len(fresh)}
    for why, rows in (("seeded", several), ("second", [row for row in known if not row["sure"]])):
        count = min(len(rows), max(1, round(SHARES[why] * looks)))
        for k in rng.permutation(len(rows))[:count]:
            told = {"answer": rows[k]["answer"], "why": why, "truth": rows[k]["verdict"]}
            yield told | {"chance": count / len(rows), "least": count / len(rows), "pool": len(rows)}


def _disagrees(row: Row) -> bool:
    return row["shadow_decision"] is not None and row["shadow_decision"] != row["decision"]


def _new(seen: Answers, fresh: np.ndarray, count: int) -> Iterator[int]:
    """The parts that look least like those of the calm time, or where no features are kept like all others; at most
    TOGETHER of a lot and class."""
    values = seen.values
    spread = np.nanstd(values, axis=0) + 1e-9
    far = np.nansum(np.square((values[fresh] - np.nanmedian(values, axis=0)) / spread), axis=1)
    if "neighbour" in seen.names:
        far = np.nan_to_num(values[fresh, seen.names.index("neighbour")], nan=-1.0)
    taken = Counter[tuple[Any, Any]]()
    for i in fresh[np.argsort(-far, kind="stable")][: 50 * max(1, count)]:
        cluster = (seen.rows[i]["lot"], seen.rows[i]["class"])
        taken[cluster] += 1
        if taken[cluster] <= TOGETHER:
            yield int(i)


def _known(store: Path, seen: Answers) -> list[Row]:
    """Judged parts with their last verdict, and whether two people agree on it."""
    kept = {row["id"] for row in seen.rows if row["kept"] == 1}
    votes: dict[int, list[Row]] = defaultdict(list)
    for row in verdicts(store):
        if row["answer"] in kept:
            votes[row["answer"]].append(row)
    found = []
    for answer, said in votes.items():
        same = {row["who"] for row in said if row["verdict"] == said[-1]["verdict"]}
        if said[-1]["verdict"] not in UNDECIDED:
            found.append({"answer": answer, "verdict": said[-1]["verdict"], "sure": len(same) > 1})
    return found


def items(store: Path) -> list[Row]:
    """Every chosen part, with the answer and the last verdict on it (since it was chosen, where something was known of
    it); [] where nothing was planned. `until` is the newest answer at the time of its plan."""
    with closing(opened(store)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "queue" not in tables:
            return []
        rows = connection.execute(
            "SELECT q.*, a.part, a.lot, a.model, a.decision, a.class, a.score, a.image, a.suffix, a.local, a.sha, "
            "(SELECT max(id) FROM answers b WHERE b.time <= q.time) AS until "
            "FROM queue q JOIN answers a ON a.id = q.answer ORDER BY q.id"
        ).fetchall()
    said: dict[int, list[Row]] = defaultdict(list)
    for row in verdicts(store):
        said[row["answer"]].append(row)
    return [_with_verdict(dict(row), said[row["answer"]]) for row in rows]


def _with_verdict(row: Row, said: Sequence[Row]) -> Row:
    """A chosen part with its last verdict; where something was known of it, with the last one since it was chosen."""
    own = [each for each in said if row["truth"] is None or each["time"] >= row["time"]]
    return row | {name: own[-1][name] if own else None for name in ("verdict", "who")}


def verdicts(store: Path) -> list[Row]:
    """Every verdict that was not taken back, the oldest first."""
    with closing(opened(store)) as connection:
        rows = [dict(row) for row in connection.execute("SELECT * FROM verdicts ORDER BY id")]
    return standing(rows)


def judge(store: Path, said: Sequence[tuple[int, str | None, str, float | None]]) -> int:
    """Keep verdicts (answer, verdict, who, seconds); who takes a verdict back takes back an own mark as a limit sample
    too. ValueError for an answer that is not there; then none is kept."""
    with writing(store) as connection:
        for answer, verdict, who, seconds in said:
            if not connection.execute("SELECT 1 FROM answers WHERE id = ?", (answer,)).fetchone():
                raise ValueError(f"there is no answer {answer} in {store}; none of the verdicts was kept")
            row = {"answer": answer, "time": now(), "who": who, "verdict": verdict, "seconds": seconds}
            connection.execute(*insert("verdicts", row))
            if verdict is None and connection.execute(MARKED_BY, (answer, who)).fetchone():
                connection.execute(*insert("limit_samples", {name: row[name] for name in ("answer", "time", "who")}))
    return len(said)


def limits(store: Path, model: str, good: str) -> list[Row]:
    """The limit samples: see `limit_samples`."""
    with closing(opened(store)) as connection:
        return limit_samples(lambda text, values: [dict(row) for row in connection.execute(text, values)], model, good)


def mark(store: Path, answer: int, who: str, on: bool = True) -> str:
    """Make a judged part a limit sample of its last verdict, or take that back; the verdict. ValueError where nobody
    has said a class."""
    verdict = {row["answer"]: row["verdict"] for row in verdicts(store)}.get(answer)
    if verdict in (None, *UNDECIDED):
        raise ValueError(f"nobody has said of answer {answer} in {store} what it is; a limit sample needs a verdict")
    with writing(store) as connection:
        row = {"answer": answer, "time": now(), "who": who, "verdict": verdict if on else None}
        connection.execute(*insert("limit_samples", row))
    return verdict


def estimates(store: Path, good: str, sha: str | None = None) -> dict[str, Any]:
    """What was found of all parts that were planned: `misses` among accepted ones and `false_alarms` among rejected
    ones, with intervals, corrected for what people miss; None where nobody has looked. `sha`: of one file's answers."""
    rows = [row for row in items(store) if sha is None or row["sha"] == sha]
    seeded = [row for row in rows if row["why"] == "seeded" and row["verdict"] not in (None, *UNDECIDED)]
    recognised = sum(row["verdict"] != good for row in seeded)
    told: dict[str, Any] = {"seeded": {"shown": len(seeded), "recognised": recognised}}
    for name, why, wrong in (("misses", "audit", False), ("false_alarms", "rejected", True)):
        looked = [row for row in rows if row["why"] == why and row["verdict"] is not None]
        sure = [row for row in looked if row["verdict"] not in UNDECIDED]
        if not sure:
            told[name] = None
            continue
        found = [(row["verdict"] == good) == wrong for row in sure]
        estimate = total(found, [row["chance"] for row in sure], min(row["least"] for row in sure))
        if name == "misses":
            estimate = reviewed(estimate, recognised, len(seeded))
        pool = sum({row["batch"]: row["pool"] for row in rows if row["why"] == why}.values())
        estimate |= {key: min(estimate[key], pool) for key in ("value", "low", "high")}  # no more than there are
        waiting = sum(row["why"] == why and row["verdict"] is None for row in rows)
        told[name] = estimate | {"of": pool, "undecided": len(looked) - len(sure), "waiting": waiting}
    return told


def reviewers(store: Path, good: str) -> list[dict[str, Any]]:
    """Each person: how many verdicts, kappa and agreement with the others on the same parts, how many "cannot tell"
    and, of the known defects shown, how many were recognised."""
    said: dict[str, dict[int, str]] = defaultdict(dict)
    for row in verdicts(store):
        said[row["who"] or "?"][row["answer"]] = row["verdict"]
    seeded = [row for row in items(store) if row["why"] == "seeded" and row["verdict"] not in (None, *UNDECIDED)]
    found = []
    for who, own in sorted(said.items()):
        pairs = [
            (verdict, others[answer])
            for other, others in said.items()
            if other != who
            for answer, verdict in own.items()
            if answer in others and not {verdict, others[answer]} & set(UNDECIDED)
        ]
        shown = [row["verdict"] != good for row in seeded if (row["who"] or "?") == who]
        found.append(
            {
                "who": who,
                "verdicts": len(own),
                "undecided": sum(verdict in UNDECIDED for verdict in own.values()),
                "shared": len(pairs),
                "agree": sum(a == b for a, b in pairs),
                "kappa": kappa([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None,
                "shown": len(shown),
                "recognised": sum(shown),
            }
        )
    return found


def judged(store: Path) -> list[Row]:
    """Every answer with its last verdict, but for undecided ones."""
    last = {row["answer"]: row for row in verdicts(store)}
    with closing(opened(store)) as connection:
        rows = [dict(row) for row in connection.execute("SELECT * FROM answers ORDER BY id") if row["id"] in last]
    found = [row | {name: last[row["id"]][name] for name in ("verdict", "who")} for row in rows]
    return [row for row in found if row["verdict"] not in UNDECIDED]


def escapes(store: Path, good: str) -> list[Row]:
    """Accepted parts whose last verdict is a defect: the confirmed escapes, with their images."""
    return [row for row in judged(store) if row["decision"] == "accept" and row["verdict"] != good]
