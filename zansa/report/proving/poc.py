"""The page and the text of a proof of concept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...phrases import phrase, retold, say, speaking
from ...proof.sizes import parse_claim
from ...record import Run, write_atomic
from ...words import counts_of, duration, plain_percent, share_of, strong, sure
from .. import results, setting
from ..cautions import warnings
from ..check_words import worded
from ..facts import Facts, have, noun, read
from ..growth.pictures import section as growth
from ..page import Content, Frame, Section, built
from . import Shown, Table, html, text, word
from . import compare as comparing
from . import plan as planning
from .annex import faults, limits, terms, versions
from .plan import fine, kind, step

Record = dict[str, Any]
FIGURES = ("detection", "false_alarms")
TILES = 3  # figures that lead


def write(folder: Run, language: str | None = None) -> Path:
    """Write poc.html into the folder of a proof; returns its path. A language that is named is kept in poc.json, for
    pages to come. ValueError for others than "en" and "ja"."""
    record = folder.read_json("poc.json")
    with speaking(language or record.get("lang", "en")) as chosen:
        if chosen != record.get("lang"):
            folder.write_json("poc.json", record | {"lang": chosen})
        return write_atomic(folder.path / "poc.html", page(folder).encode("utf-8", "replace"))


def page(folder: Run) -> str:
    """poc.html as text, from the records of a proof and of its runs."""
    record = folder.read_json("poc.json")
    stages = {each["stage"]: each for each in record["stages"]}
    sentences, told = content(record)
    facts, plan = proven(folder, stages), read_plan(folder, stages)
    network = {} if facts is None or "accept" not in stages else of_network(facts)
    sections: dict[str, Shown | Section] = {}
    if network:
        sections["figures"] = network.pop("figures")
    sections |= {"signed": Section(word("poc.signed"), signed, "signed.html"), "claim": told["claim"]}
    if facts is not None:
        sections["cautions"] = Section(phrase("Please note"), lambda _: noted(facts), "notes.html")
    if plan is not None:
        sections |= {} if record["decision"] == "pass" else {"needs": planning.needs(plan)}
        sections["money"] = money(stages, plan)
    sections |= network | of_data(folder, stages)
    if "compare" in stages:
        sections["compare"] = compared(stages["compare"]["comparison"])
    if grown := run_of(folder, stages.get("grow")):
        sections["growth"] = Section(phrase("How it grew"), lambda _: growth(grown), "growth.html")
    sections |= {"stages": told["stages"], "versions": versions(record, stages), "terms": terms()}
    frame = Frame(
        name=word("poc.title.of", str(record["source"]).rstrip("/").rsplit("/", 1)[-1]),
        footer=word("poc.footer"),
        date=record["claim"]["time"][:10],
        badge=word("poc.synthetic") if facts and have(facts, "data", "synthetic") else "",
        noun=noun(facts) if facts else "image",
    )
    return html(frame, [strong(sentences[0]), sentences[1]], sections, sentences[2:])


def of_network(facts: Facts) -> dict[str, Shown | Section]:
    """What the acceptance test said of the network: figures, working point, limits of use, mistakes."""
    return {
        "figures": Section(word("poc.three"), lambda _: three(facts), "figures.html"),
        "operating": Section(phrase("Where the line is drawn"), lambda _: results.operating(facts), "operating.html"),
        "limits": limits(facts),
        "examples": Section(phrase("Worth a look"), lambda _: results.examples(facts), "examples.html"),
    }


def lines(record: Record) -> str:
    """The proof for a terminal."""
    return text(*content(record))


def content(record: Record) -> tuple[list[str], dict[str, Shown | Section]]:
    """The decision on top, and the sections that need no other record."""
    stages = {each["stage"]: each for each in record["stages"]}
    decision = record["decision"]
    sentences = [word(f"poc.decision.{decision}"), word(f"poc.{decision}", in_words(record["claim"]))]
    last = record["stages"][-1]
    if decision != "pass" and not last["gate"]["passed"]:
        sentences += [word("poc.gate", stage(last["stage"]), why(last))]
        sentences += [word("plan.next", each) for each in next_steps(last, stages)]
    sections: dict[str, Shown | Section] = {}
    if (accepted := stages.get("accept")) is not None and accepted["verdict"] is not None:
        sections["figures"] = figures(accepted, stages)
    return sentences, sections | {"claim": claimed(record, stages), "stages": staged(record)}


# --- the records -------------------------------------------------------------------------------------------------


def proven(folder: Run, stages: dict[str, Record]) -> Facts | None:
    """The facts of the network that is handed over: those of its run, with the figures of the acceptance test in place
    of the run's own. None before one was chosen."""
    if "compare" not in stages:
        return None
    facts, own = read(Run.open(folder.path / stages["compare"]["chosen"])), read(folder)
    metrics = dict(facts["metrics"] or {})
    metrics.pop("test", None)
    if own["metrics"] is not None:
        metrics |= own["metrics"]
        metrics["point"] = (metrics.get("point") or {}) | {"by_rate": []}  # of the run's own line
    if "point" in stages and (seen := (metrics.get("validation") or {}).get("inspection")):
        metrics["validation"] = metrics["validation"] | {"inspection": seen | stages["point"]["validation"]}
    if parity := stages.get("export", {}).get("parity"):
        metrics["export"] = parity
    return facts | {"metrics": metrics, "examples": own["examples"], "scores": own["scores"]}


def run_of(folder: Run, done: Record | None) -> Facts | None:
    """The facts of the run of a stage."""
    return None if done is None else read(Run.open(folder.path / done["run"]))


def read_plan(folder: Run, stages: dict[str, Record]) -> Record | None:
    """plan.json, once the stage is done."""
    return None if "plan" not in stages else Run.open(folder.path / "plan").read_json("plan.json")


# --- words of the stages -------------------------------------------------------------------------------------------


def why(each: Record) -> str:
    """What a stage found."""
    return said(each["gate"]["said"]["why"])


def said(sentence: Sequence[Any]) -> str:
    """A sentence of a record: its key, and the values in its places."""
    key, *values = sentence
    return retold(values[0]) if key == "poc.raw" else word(key, *values)


def next_steps(each: Record, stages: dict[str, Record]) -> list[str]:
    """What to do after a gate that failed."""
    if each["stage"] in ("plan", "point"):
        rows = stages["plan"]["sizes"]["rows"]
        return [f"{kind(row)}: {step(row)}" for row in rows if not fine(row)]
    if each["stage"] == "check" and each.get("findings"):
        errors = [found for found in each["findings"] if found["severity"] == "error"]
        told = [worded(found["kind"], found["count"], found["facts"]) for found in errors]
        return [f"{words['title']}: {words['do']}" for words in told]
    return [said(sentence) for sentence in each["gate"]["said"]["do"]]


def stage(name: str) -> str:
    """The name of a stage."""
    return word(f"poc.stage.{name}")


# --- sections ----------------------------------------------------------------------------------------------------


def three(facts: Facts) -> Content:
    """Detection rate, false-alarm rate and milliseconds, as large figures."""
    told = results.figures(facts)
    return told | {"tiles": told["tiles"][:TILES]}


def figures(accepted: Record, stages: dict[str, Record]) -> Shown:
    """The three figures as text."""
    rows = []
    for name in FIGURES:
        rate = accepted["figures"][name]
        told = "–" if rate is None else f"{share_of(rate)}  {counts_of(rate)}  ({sure(rate)})"
        rows.append([word(f"poc.{name}"), told])
    chosen = stages["compare"]["chosen"]
    taken = next(row for row in stages["compare"]["comparison"]["rows"] if row["run"].endswith(chosen))
    rows.append([word("compare.ms"), comparing.timed(taken)])
    return Shown(word("poc.figures"), tables=[Table([word("poc.figure"), word("poc.measured")], rows)])


def claimed(record: Record, stages: dict[str, Record]) -> Shown:
    """What was claimed, with its hash and the time, and what was shown of it."""
    told = record["claim"]
    when = told["time"].replace("T", " ")
    lead = [word("poc.claim.lead", in_words(told), plain_percent(told["confidence"], 4), when, told["claim"])]
    hints = [f"SHA-256 {told['sha256']}", word("poc.claim.data", told["data"]), word("poc.closed")]
    accepted = stages.get("accept")
    if accepted is None or accepted["verdict"] is None:
        return Shown(word("poc.claim"), lead, hints=hints)
    rows = [
        [
            word(f"poc.number.{row['number']}"),
            "–" if row["mistakes"] is None else f"{row['mistakes']} / {row['count']}",
            "–" if row["limit"] is None else plain_percent(row["limit"], 4),
            word("poc.shown" if row["shown"] else "poc.not_shown"),
        ]
        for row in accepted["verdict"]["numbers"]
    ]
    heads = [word(f"poc.{key}") for key in ("number", "mistakes", "limit", "verdict")]
    return Shown(word("poc.claim"), lead, [Table(heads, rows)], hints=hints)


def in_words(claim: Record) -> str:
    """A claim as people say it: "detection ≥ 99 %, false alarms ≤ 2 %"."""
    asked = parse_claim(claim["claim"], claim["confidence"]).mistakes
    shares = {name: 1 - share if name == "recall" else share for name, share in asked.items()}
    return say(", ").join(word(f"plan.{name}", plain_percent(share, 4)) for name, share in shares.items())


def signed(_: object) -> Content:
    """Boxes to sign in."""
    return {"names": [word(f"poc.{key}") for key in ("approved", "reviewed", "prepared")], "date": word("poc.date")}


def noted(facts: Facts) -> Content:
    """What a reader must know before trusting a figure."""
    return {"warnings": built(warnings, facts)}


def money(stages: dict[str, Record], plan: Record) -> Shown:
    """The manager's table: with what the acceptance test measured, and before it as planned."""
    told = stages.get("accept", {}).get("money") or plan["money"]
    if told is None:
        return Shown(word("plan.money"), [word("poc.no_prices")])
    shown = planning.money(told)
    basis = word("poc.money.measured" if stages.get("accept", {}).get("money") else "poc.money.planned")
    return shown._replace(hints=[basis, *shown.hints])


def of_data(folder: Run, stages: dict[str, Record]) -> dict[str, Shown | Section]:
    """The data in numbers, and what is wrong with them."""
    made: dict[str, Shown | Section] = {}
    if facts := run_of(folder, stages.get("baseline")):
        made["data"] = Section(phrase("Data"), lambda _: setting.data(facts), "data.html")
    if "check" in stages:
        made["faults"] = faults(stages["check"])
    return made


def compared(record: Record) -> Shown:
    """The candidates side by side, as one section."""
    lead, sections = comparing.content(record)
    shown = [each for each in sections.values() if isinstance(each, Shown)]
    return Shown(
        word("compare.title"),
        [*lead, *(line for each in shown for line in each.lines)],
        [table for each in shown for table in each.tables],
        [figure for each in shown for figure in each.figures],
        [hint for each in shown for hint in each.hints],
    )


def staged(record: Record) -> Shown:
    """Every stage with its gate."""
    done = {each["stage"]: each for each in record["stages"]}
    rows = []
    for name in record["all"]:
        each = done.get(name)
        if each is None:
            rows.append([stage(name), "–", word("poc.not_done"), ""])
            continue
        gate = "poc.gate.passed" if each["gate"]["passed"] else "poc.gate.failed"
        gate = "poc.gate.overridden" if each["overridden"] else gate
        rows.append([stage(name), duration(each["seconds"]), word(gate), why(each)])
    columns = [word(f"poc.{key}") for key in ("stage", "took", "gate.head", "found")]
    return Shown(word("poc.stages"), tables=[Table(columns, rows, prose=True)])
