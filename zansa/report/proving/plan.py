"""The page and the text of a plan."""

from datetime import date
from typing import Any

import matplotlib

from ...phrases import retold
from ...proof.sizes import rounded_off
from ...words import count, duration, file_size, milliseconds, percent, plain_percent
from ..page import Frame, Section
from ..plots import FLAT, STYLE, canvas, draw_line, svg, value_axis
from . import Shown, Table, html, text, word
from .words import SAID

Record = dict[str, Any]
SIGNS = {"recall": ">=", "false_alarms": "<="}


def page(record: Record) -> str:
    """plan.html as text, from plan.json."""
    return html(Frame(word("plan.title"), word("plan.footer"), date.today().isoformat()), *content(record))


def lines(record: Record) -> str:
    """The plan for a terminal."""
    return text(*content(record))


def content(record: Record) -> tuple[list[str], dict[str, Shown | Section]]:
    """The sentences on top, and the sections."""
    sizes, gate = record["sizes"], record["gate"]
    chance = "" if sizes["chance"] is None else word("plan.chance", percent(sizes["chance"], 0))
    passed = ("plan.could" if sizes["chance"] is None else "plan.passed") if gate["passed"] else "plan.failed"
    sentences = [word(passed, sizes["claim"], unit(record), chance)]
    if not gate["passed"]:
        todo = "; ".join(f"{kind(row)}: {step(row)}" for row in sizes["rows"] if not fine(row))
        sentences.append(word("plan.next", todo))
    sections: dict[str, Shown | Section] = {"needs": needs(record), "curve": curve(record)}
    if record["resources"]:
        sections["time"] = time(record)
    if record["money"] is not None:
        sections["money"] = money(record["money"])
    return sentences, sections


def noun(record: Record) -> str:
    """What the samples are called, many of them."""
    return word(f"unit.{record.get('noun', 'image')}")


def unit(record: Record) -> str:
    """What is counted."""
    return word(f"unit.{record['unit']}")


def kind(row: Record) -> str:
    """The name of a kind of parts."""
    return word(f"plan.{row['kind']}") if f"plan.{row['kind']}" in SAID else row["kind"]


def fine(row: Record) -> bool:
    """Whether there are parts enough."""
    first = row["needs"][0]
    return first["parts"] is not None and row["count"] >= first["parts"]


def needs(record: Record) -> Shown:
    """How many parts the claim takes."""
    sizes = record["sizes"]
    rows = [[word("plan.there"), *(count(row["count"]) for row in sizes["rows"])]]
    rows.append([word("plan.least"), *(count(row["least"]) for row in sizes["rows"])])
    known = sizes["rows"][0]["chance"] is not None
    for k, part in enumerate(("",) if known else ("1/2", "1/3", "1/10")):
        heading = word("plan.power", percent(sizes["power"], 0))
        heading += word("plan.if", part) if part else ""
        rows.append([heading, *(needed(row["needs"][k]) for row in sizes["rows"])])
    if known:
        rows.append([word("plan.chance.now"), *(percent(row["chance"], 0) for row in sizes["rows"])])
    rows.append([word("plan.now"), *map(today, sizes["rows"])])
    heads = [f"{kind(row)}: {word('plan.' + row['number'], claimed(row))}" for row in sizes["rows"]]
    columns = [word("plan.kind"), *heads]
    told = record["expected"]
    seen = [
        word("plan.seen", mistakes, number, word("plan.good" if name == "false_alarms" else "plan.defective"))
        for name, (mistakes, number) in told["counts"].items()
    ]
    lead = [word("plan.needs.lead", plain_percent(sizes["confidence"], 4), unit(record))]
    if mixed := record.get("mixed"):
        lead.append(word("plan.needs.mixed", mixed) if record["unit"] == "part" else word("plan.needs.single"))
    if record["gate"]["passed"]:  # else it stands on top
        lead += [word("plan.next", f"{kind(row)}: {step(row)}") for row in sizes["rows"]]
    return Shown(
        word("plan.needs"),
        lead,
        [Table(columns, rows)],
        hints=[word(f"plan.expected.{told['from']}", ", ".join(seen))],
    )


def claimed(row: Record) -> str:
    """The claimed share."""
    return plain_percent(1 - row["allowed"] if row["number"] == "recall" else row["allowed"], 4)


def today(row: Record) -> str:
    """What can be claimed today, to the safe side; a dash where that is nothing."""
    share = 1 - row["claimable"] if row["number"] == "recall" else row["claimable"]
    if share >= 1:
        return "–"
    return f"{row['number']}{SIGNS[row['number']]}{rounded_off(row['number'], share)}"


def needed(each: Record) -> str:
    """How many parts, and how many of them may be mistaken."""
    if each["parts"] is None:
        return word("plan.none")
    return word("plan.up_to", count(each["parts"]), each["misses"])


def step(row: Record) -> str:
    """What to do for one kind of parts."""
    first, known = row["needs"][0], row["chance"] is not None
    if known and first["truth"] >= row["allowed"]:
        return word("plan.loosen", plain_percent(first["truth"]), plain_percent(row["allowed"]))
    if first["parts"] is None:
        return word("plan.near")
    if fine(row):
        return word("plan.enough", count(row["count"]))
    told = word("plan.collect", count(first["parts"] - row["count"]))
    worse = (1 - row["claimable"] if row["number"] == "recall" else row["claimable"]) >= row["allowed"]
    return told + (word("plan.or_claim", today(row)) if today(row) != "–" and worse else "")


def curve(record: Record) -> Shown:
    """What more data would bring."""
    told, heading = record["curve"], word("plan.curve")
    if "left_out" in told:
        return Shown(heading, [word("plan.left_out", retold(told["left_out"]))])
    times = word("plan.curve.trainings", told["trainings"])
    lead = [word("plan.curve.lead", times, f"1/{told['shorter']}")]
    ahead = [each for each in told["ahead"] if each["error"] is not None]
    lead += [
        word(
            "plan.curve.ahead",
            f"{each['times']:g}",
            *(percent(each[end]) for end in ("error", "low", "high")),
            percent(told["errors"][-1]),
        )
        for each in ahead
    ]
    lead += [] if ahead else [word("plan.curve.flat")]
    columns = [word("plan.curve.size", noun(record)), word("plan.curve.error")]
    rows = [[count(n), percent(e)] for n, e in zip(told["sizes"], told["errors"], strict=True)]
    return Shown(
        heading, lead, [Table(columns, rows)], [(columns[1], picture(told, *columns))], [word("plan.curve.hint")]
    )


def picture(told: Record, below: str, beside: str) -> str:
    """An SVG of the errors over the number of samples, and of what is to be expected with more."""
    sizes, last = told["sizes"], told["sizes"][-1]
    ahead = [(last * each["times"], each) for each in told["ahead"] if each["error"] is not None]
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(*FLAT)
        draw_line(axes, list(zip(sizes, told["errors"], strict=True)), "--right")
        for x, each in ahead:
            axes.plot([x, x], [each["low"], each["high"]], color="#000002", linewidth=5, alpha=0.5)
            axes.plot([x], [each["error"]], "o", color="#000005", markersize=6)
        highest = max([*told["errors"], *(each["high"] for _, each in ahead)])
        value_axis(axes, told["errors"], True)
        axes.set_ylim(0, 1.1 * highest)
        axes.set_xscale("log")
        axes.minorticks_off()
        at = [*sizes, *(x for x, _ in ahead)]
        axes.set_xticks(at, [f"{x:.0f}" for x in at])
        made = svg(figure, "curve", "BELOW")
    return made.replace("BELOW", below).replace('aria-label="curve"', f'aria-label="{beside}"')


def time(record: Record) -> Shown:
    """Time, memory and energy."""
    columns = [word(f"plan.time.{key}") for key in ("work", "now", "cpu", "memory", "kwh")]
    rows = [
        [
            word(f"plan.time.{row['verb']}"),
            duration(row["seconds"]),
            duration(row["cpu"]),
            file_size(row["memory"]),
            energy(row["kwh"]),
        ]
        for row in record["resources"]
    ]
    lead = [word("plan.time.lead")]
    if (running := record["running"]) is not None:
        lead.append(word("plan.time.running", milliseconds(running["ms"]), count(1000 / running["ms"]), noun(record)))
        hours = running["ms"] * 1000 / 3600  # of a million
        watts = record["resources"][0]["power"]["watts"]
        lead.append(word("plan.time.million", energy([watt * hours / 1000 for watt in watts])))
        if running.get("memory"):
            lead.append(word("plan.time.held", file_size(running["memory"])))
    quiet = ", ".join(duration(row["quiet"]) for row in record["resources"] if row["busy"])
    hints = [word("plan.time.busy", quiet)] if quiet else []
    used = record["resources"][0]["power"]
    hints.append(word(f"plan.power.{used['from']}", f"{used['watts'][1]:.3g}"))
    return Shown(word("plan.time"), lead, [Table(columns, rows)], hints=hints)


def energy(kwh: list[float]) -> str:
    """Kilowatt-hours, with their range where they have one."""
    low, likely, high = (f"{float(f'{1000 * value:.2g}'):g}" for value in kwh)
    return f"{likely} Wh" if low == high else f"{likely} Wh ({low}–{high})"


def money(told: Record) -> Shown:
    """The manager's table."""
    heading = word("plan.money")
    if "left_out" in told:
        return Shown(heading, [word("plan.left_out", retold(told["left_out"]))])
    columns = [word(f"plan.money.{key}") for key in ("row", "today", "proposed", "difference")]
    rows = [
        [word(f"plan.money.{row['row']}"), *(ranged(row[side]) for side in ("today", "proposed", "difference"))]
        for row in told["rows"]
    ]
    total = [ranged(told["total"][side]) for side in ("today", "proposed")]
    rows.append([word("plan.money.total"), *total, ranged(told["saving"])])
    missed, rejected = (told["rates"][name] for name in ("recall", "false_alarms"))
    hints = [
        word("plan.money.rates", shares(missed), shares(rejected)),
        word("plan.money.ranges", told["currency"], told["date"]),
    ]
    for name, value in told["break_even"].items():
        if value:
            hints.append(word(f"plan.money.even.{name}", f"{told['years']:g}", amount(value)))
    moved = ", ".join(
        f"{each['price']} ({word('range', amount(each['low']), amount(each['high']))})" for each in told["decides"]
    )
    hints.append(word("plan.money.decides", moved))
    return Shown(heading, [pays(told)], [Table(columns, rows)], hints=hints)


def pays(told: Record) -> str:
    """Whether it pays, in a sentence."""
    low, likely, high = told["saving"]
    invested = amount(told["investment"][1])
    if likely <= 0:
        return word("plan.money.never", amount(-likely), amount(-high), amount(-low), invested)
    years = ["–" if years is None else f"{years:.1f}" for years in told["payback"]]
    best, usual, worst = years[0], years[1], word("never") if told["payback"][2] is None else years[2]
    key = "plan.money.pays" if told["pays"] else "plan.money.late"
    return word(key, amount(likely), amount(low), amount(high), invested, usual, best, worst, f"{told['years']:g}")


def amount(value: float) -> str:
    """An amount of money or a number of parts, in three or more digits, with commas as accounts have them."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def ranged(value: list[float]) -> str:
    """A range of amounts."""
    low, likely, high = map(amount, value)
    return likely if low == high else f"{likely} ({word('range', low, high)})"


def shares(value: list[float]) -> str:
    """A range of shares."""
    low, likely, high = (plain_percent(each) for each in value)
    return likely if low == high else f"{likely} ({low}–{high})"
