"""The page and the text of a proof of concept."""

from typing import Any

from ...words import counts_of, duration, plain_percent, share_of, sure
from . import Shown, Table, html, say, text
from .plan import fine, kind, step

Record = dict[str, Any]
FIGURES = ("detection", "false_alarms")


def page(record: Record, lang: str = "en") -> str:
    """poc.html as text, from poc.json."""
    sentences, sections = content(record, lang)
    day = record["claim"]["time"][:10]
    return html(say(lang, "poc.title"), lang, sentences, sections, say(lang, "poc.footer"), day)


def lines(record: Record, lang: str = "en") -> str:
    """The proof for a terminal."""
    return text(*content(record, lang))


def content(record: Record, lang: str) -> tuple[list[str], dict[str, Shown]]:
    """The decision on top, and the sections."""
    stages = {each["stage"]: each for each in record["stages"]}
    sentences = [say(lang, f"poc.{record['decision']}", record["claim"]["claim"])]
    last = record["stages"][-1]
    if record["decision"] != "pass" and not last["gate"]["passed"]:
        sentences += [say(lang, "poc.gate", stage(last["stage"], lang), why(last, lang))]
        sentences += [say(lang, "plan.next", each) for each in next_steps(last, stages, lang)]
    sections = {"claim": claimed(record, lang)}
    if (accepted := stages.get("accept")) is not None and accepted["verdict"] is not None:
        sections = {"figures": figures(accepted, stages, lang), **sections}
    sections["stages"] = staged(record, lang)
    sections["signed"] = signed(lang)
    return sentences, sections


def why(each: Record, lang: str) -> str:
    """What a stage found."""
    key, *values = each["gate"]["said"]["why"]
    return say(lang, key, *values)


def next_steps(each: Record, stages: dict[str, Record], lang: str) -> list[str]:
    """What to do after a gate that failed."""
    if each["stage"] in ("plan", "point"):
        rows = stages["plan"]["sizes"]["rows"]
        return [f"{kind(row, lang)}: {step(row, lang)}" for row in rows if not fine(row)]
    return [say(lang, key, *values) for key, *values in each["gate"]["said"]["do"]]


def stage(name: str, lang: str) -> str:
    """The name of a stage."""
    return say(lang, f"poc.stage.{name}")


def figures(accepted: Record, stages: dict[str, Record], lang: str) -> Shown:
    """The three figures, and what was claimed and shown."""
    rows = []
    for name in FIGURES:
        rate = accepted["figures"][name]
        told = "–" if rate is None else f"{share_of(rate)}  {counts_of(rate)}  ({sure(rate)})"
        rows.append([say(lang, f"poc.{name}"), told])
    ms = next(
        r["ms"] for r in stages["compare"]["comparison"]["rows"] if r["run"].endswith(stages["compare"]["chosen"])
    )
    rows.append([say(lang, "compare.ms"), f"{ms:.3g} ms"])
    columns = [say(lang, "poc.figure"), say(lang, "poc.measured")]
    numbers = [
        [
            say(lang, f"poc.number.{row['number']}"),
            "–" if row["mistakes"] is None else f"{row['mistakes']} / {row['count']}",
            "–" if row["limit"] is None else plain_percent(row["limit"], 4),
            say(lang, "poc.shown" if row["shown"] else "poc.not_shown"),
        ]
        for row in accepted["verdict"]["numbers"]
    ]
    heads = [say(lang, f"poc.{key}") for key in ("number", "mistakes", "limit", "verdict")]
    return Shown(say(lang, "poc.figures"), tables=[Table(columns, rows), Table(heads, numbers)])


def claimed(record: Record, lang: str) -> Shown:
    """The claim, with its hash and the time."""
    told = record["claim"]
    lead = say(lang, "poc.claim.lead", told["claim"], plain_percent(told["confidence"], 4), told["time"])
    hints = [f"SHA-256 {told['sha256']}", say(lang, "poc.claim.data", told["data"]), say(lang, "poc.closed")]
    return Shown(say(lang, "poc.claim"), [lead], hints=hints)


def staged(record: Record, lang: str) -> Shown:
    """Every stage with its gate."""
    done = {each["stage"]: each for each in record["stages"]}
    rows = []
    for name in record["all"]:
        each = done.get(name)
        if each is None:
            rows.append([stage(name, lang), "–", say(lang, "poc.not_done"), ""])
            continue
        gate = "poc.gate.passed" if each["gate"]["passed"] else "poc.gate.failed"
        gate = "poc.gate.overridden" if each["overridden"] else gate
        rows.append([stage(name, lang), duration(each["seconds"]), say(lang, gate), why(each, lang)])
    columns = [say(lang, f"poc.{key}") for key in ("stage", "took", "gate.head", "found")]
    return Shown(say(lang, "poc.stages"), tables=[Table(columns, rows)])


def signed(lang: str) -> Shown:
    """Lines to sign on."""
    names = [say(lang, f"poc.{key}") for key in ("approved", "reviewed", "prepared")]
    return Shown(say(lang, "poc.signed"), tables=[Table(["", *names], [[say(lang, "poc.date"), "", "", ""]])])
