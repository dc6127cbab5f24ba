"""The verb `review`: which parts people look at again, what they say, and what follows from it. It needs no torch."""

import csv
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from ..deploy.serve.pictures import place
from ..deploy.watch import queue
from ..deploy.watch.look import good_of
from ..deploy.watch.queue import SHARES
from ..deploy.watch.units import Answers, answers
from ..inputs.tables import is_number
from ..phrases import singular

COLUMNS = ("answer", "part", "lot", "time", "image", "verdict", "who", "seconds")
KINDS = {  # of parts, by the reason for which they are chosen
    "audit": "accepted",
    "rejected": "rejected",
    "disagrees": "judged otherwise by a shadow",
    "new": "new-looking",
    "seeded": "known defects",
    "second": "second readings",
}
KEYS = {"c": "cannot tell", "u": "unusable"}
Ask = Callable[[str], str]


def plan(store: Path, model: str | None, looks: int, seed: int = 0) -> dict[str, Any]:
    """Choose about so many parts to look at among those that came since the last plan. ValueError where no line is
    drawn: then nothing is accepted and nothing can be missed."""
    seen, good = _seen(store, model)
    if looks < 1:
        raise ValueError(f"--plan is {looks} parts; allowed: 1 or more, for example 50")
    chosen = queue.plan(store, seen, good, looks, seed)
    return {"chosen": chosen, **fewer(chosen, looks), "waiting": len(waiting(store))}


def fewer(chosen: Mapping[str, int], looks: int) -> dict[str, str]:
    """Why fewer parts were chosen than asked for, as a sentence; {} where they were not."""
    if sum(chosen.values()) >= looks:
        return {}
    kinds = ", ".join(f"{KINDS[why]} {chosen.get(why, 0)} of {share * looks:.0f}" for why, share in SHARES.items())
    told = f"{sum(chosen.values())} of {looks} parts, since each kind has its share, is drawn by lot, and may be rare"
    return {"fewer": f"{told}: {kinds}"}


def waiting(store: Path, who: str = "") -> list[dict[str, Any]]:
    """Chosen parts that wait for a verdict, in an order that tells nothing; a second reading is not shown to the person
    who read the part first."""
    rows = [row for row in queue.items(store) if row["verdict"] is None and row["image"]]
    own = {row["answer"] for row in queue.verdicts(store) if row["who"] == who}
    return sorted(
        (row for row in rows if not (row["why"] == "second" and row["answer"] in own)), key=lambda row: row["image"]
    )


def write_csv(store: Path, out: TextIO, who: str = "") -> int:
    """The waiting parts as CSV, without the network's answer and without the reason; how many they are."""
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    rows = waiting(store, who)
    for row in rows:
        image = place(store / "images", row["image"], row["suffix"])
        told = {"answer": row["answer"], "part": row["part"], "lot": row["lot"], "time": row["local"]}
        writer.writerow(told | {"image": image, "who": who, "verdict": "", "seconds": ""})
    return len(rows)


def read_csv(store: Path, source: TextIO, who: str = "") -> int:
    """Keep the verdicts of a CSV with the columns answer and verdict, and where there are any who and seconds; rows
    without a verdict are left. ValueError for a row that cannot be; then none is kept."""
    reader = csv.DictReader(source)
    if not {"answer", "verdict"} <= set(reader.fieldnames or ()):
        raise ValueError(
            f"the table has the columns {', '.join(reader.fieldnames or ['none'])}; needed: answer, verdict"
        )
    said = []
    for number, row in enumerate(reader, 2):
        verdict, judge = (row["verdict"] or "").strip(), (row.get("who") or who).strip()
        if not verdict:
            continue
        if not re.fullmatch("[0-9]{1,18}", (row["answer"] or "").strip()) or not judge:
            raise ValueError(f"line {number}: needed are the number of an answer and who judged (column who, or --who)")
        took = row.get("seconds") or None
        if took and not is_number(took):
            raise ValueError(f"line {number}: the seconds are {took!r}; needed is a number, or nothing")
        said.append((int(row["answer"]), verdict, judge, None if took is None else float(took)))
    return queue.judge(store, said)


def ask(store: Path, model: str | None, who: str, answer: Ask, say: Callable[[str], None]) -> int:
    """Show one part after the other, each after the limit samples, and keep what is typed; how many verdicts were kept.
    The network's answer is told after the verdict, and never for parts that are read again."""
    seen, good = _seen(store, model)
    samples = queue.limits(store, seen.model, good)
    classes = sorted(
        (name[2:] for name in seen.rows[-1] if name.startswith("p_")), key=lambda name: (name != good, name)
    )
    keys = {str(k): name for k, name in enumerate(classes, 1)} | KEYS
    menu = "  ".join(f"[{key}] {name}" for key, name in keys.items())
    kept, last = 0, None
    for row in waiting(store, who):
        for each in beside(samples, row):
            say(f"  {_limit(store, each)}")
        say(str(place(store / "images", row["image"], row["suffix"])))
        began = time.monotonic()
        typed, limit = _typed(
            keys, f"{menu}  [m] limit sample  [z] undo  [q] end > ", answer, partial(_undo, store, last, who)
        )
        if typed is None:
            break
        queue.judge(store, [(row["answer"], typed, who, round(time.monotonic() - began, 2))])
        if limit and typed not in queue.UNDECIDED:
            queue.mark(store, row["answer"], who)
        kept, last = kept + 1, row["answer"]
        say(f"you: {typed}" + ("" if row["truth"] is not None else f"; the network: {row['class']}, {row['decision']}"))
    return kept


def beside(samples: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """The limit samples that are shown beside a part: none of its own pictures, whose label would tell the answer."""
    return [
        each for each in samples if each["image"] != row["image"] and (not each["part"] or each["part"] != row["part"])
    ]


def _limit(store: Path, row: dict[str, Any]) -> str:
    side = "just acceptable" if row["side"] == "acceptable" else "just a defect"
    named = f", part {row['part']}" if row["part"] else ""
    by = ", marked" if row["marked"] else ""
    image = place(store / "images", row["image"], row["suffix"])
    return f"limit sample, {row['kind']}, {side}: {image} (answer {row['id']}{named}{by})"


def mark(store: Path, chosen: Sequence[int], taken_back: Sequence[int], who: str) -> list[str]:
    """Make judged parts limit samples by the numbers of their answers, or take that back; a sentence on each.
    ValueError without a name, and for a part that nobody has judged."""
    if not who:
        raise ValueError("a limit sample needs --who: it is kept with the name of who chose it")
    told = [f"answer {each} is a limit sample of {queue.mark(store, each, who)}" for each in chosen]
    return told + [
        f"answer {each} is no marked limit sample of {queue.mark(store, each, who, on=False)} any more"
        for each in taken_back
    ]


def _typed(keys: dict[str, str], menu: str, answer: Ask, undo: Callable[[], None]) -> tuple[str | None, bool]:
    """The verdict that was typed (None: the end), and whether the part is to be a limit sample of it."""
    limit = False
    while True:
        key = answer(menu).strip()
        if key in keys:
            return keys[key], limit
        if key.startswith("new:") and key[4:].strip():
            return key[4:].strip(), limit
        if key in ("q", ""):
            return None, False
        if key == "z":
            undo()
        if key == "m":
            limit = not limit


def _undo(store: Path, last: int | None, who: str) -> None:
    if last is not None:
        queue.judge(store, [(last, None, who, None)])


def result(store: Path, model: str | None) -> dict[str, Any]:
    """What the reviews say: estimates with intervals, people, and how many parts wait."""
    seen, good = _seen(store, model)
    samples = queue.limits(store, seen.model, good)
    return {
        "estimates": queue.estimates(store, good, seen.sha),
        "people": queue.reviewers(store, good),
        "waiting": len(waiting(store)),
        "limits": [each | {"told": _limit(store, each)} for each in samples],
    }


def lines(told: dict[str, Any]) -> Sequence[str]:
    """A result as text."""
    found = [f"{told['waiting']} chosen parts wait for a verdict"]
    for name, row in told["estimates"].items():
        if name != "seeded" and row is not None:
            span = f"about {row['value']:.1f} ({row['low']:.1f} to {row['high']:.1f}) of {row['of']}"
            found.append(f"{name.replace('_', ' ')}: {span}, from {row['looked']} verdicts, {row['found']} found")
    for person in told["people"]:
        agreed = "" if person["kappa"] is None else f", kappa {person['kappa']:.2f} on {person['shared']} shared parts"
        seeds = f", recognised {person['recognised']} of {person['shown']} known defects" if person["shown"] else ""
        found.append(f"{person['who']}: {person['verdicts']} verdicts, {person['undecided']} undecided{agreed}{seeds}")
    return [singular(text) for text in found] + [each["told"] for each in told["limits"]]


def _seen(store: Path, model: str | None) -> tuple[Answers, str]:
    seen = answers(store, model)
    good = good_of(seen)
    if good is None:
        raise ValueError(f"the model {seen.model} draws no line between good and defect, so there is nothing to audit")
    return seen, good
