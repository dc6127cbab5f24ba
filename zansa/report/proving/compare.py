"""The page and the text of a comparison of runs."""

from datetime import date
from pathlib import Path
from typing import Any

import matplotlib

from ...record import write_atomic
from ...words import (
    amount,
    counted,
    duration,
    file_size,
    interval,
    milliseconds,
    percent,
    plain_percent,
    price_text,
    share_of,
)
from ..page import Frame, Section
from ..plots import COLOURS, STYLE, TALL, canvas, svg, value_axis
from . import Shown, Table, html, text, word

Record = dict[str, Any]


def write(record: Record, path: Path) -> Path:
    """Write the page; returns its path."""
    frame = Frame(word("compare.title"), word("compare.footer"), date.today().isoformat())
    return write_atomic(path, html(frame, *content(record)).encode("utf-8", "replace"))


def lines(record: Record) -> str:
    """The comparison for a terminal."""
    return text(*content(record))


def content(record: Record) -> tuple[list[str], dict[str, Shown | Section]]:
    """The recommendation, and the sections."""
    sections: dict[str, Shown | Section] = {
        "figures": figures(record),
        "differences": differences(record),
        "picture": drawn(record),
    }
    return recommendation(record), sections


def recommendation(record: Record) -> list[str]:
    """Which to take, and why."""
    taken = record["recommendation"]
    within = word("compare.candidates", len(taken["within"]))
    told = [
        word("compare.take", taken["chosen"], within)
        if len(taken["within"]) > 1
        else word("compare.only", taken["chosen"])
    ]
    told += [word("compare.second", taken["runner_up"])] if taken["runner_up"] else []
    told += [word("compare.best", taken["best"])] if taken["best"] != taken["chosen"] else []
    for name, offer in record["offers"].items():
        price, whole = (price_text(offer[key], offer["unit"]) for key in ("price", "of"))
        told.append(word("compare.offer", name, price, percent(offer["accuracy"]), whole))
    return told


def figures(record: Record) -> Shown:
    """The table of all candidates."""
    rates = ("detection", "false_alarms") if record["inspected"] else ("accuracy",)
    parts = tuple(record["rows"][0]["figures"])  # those of the test part are left out where it must stay closed
    tests = ("detection.test", "false_alarms.test") if record["inspected"] and "test" in parts else ()
    keys = ("name", "cost", *rates, *tests, "ms", "macs", "params", "bytes", "seconds", "front")
    lead = word(
        "compare.lead",
        record["parts"],
        word(f"unit.{record['unit']}"),
        word("compare.cost.priced" if record["priced"] else "compare.cost.balanced"),
    )
    lead += word("compare.lead.test", word(f"unit.{record['unit']}")) if tests else ""
    made = [figure_row(k, row, record) for k, row in enumerate(record["rows"], 1)]
    columns, *rows = [
        [word(f"compare.{key}"), *cells] for key, cells in zip(keys, zip(*made, strict=True), strict=True)
    ]
    hint = word("compare.intervals", plain_percent(record["confidence"], 4))
    return Shown(word("compare.figures"), [lead], [Table(columns, rows)], hints=[hint])


def figure_row(k: int, row: Record, record: Record) -> list[str]:
    """The figures of one candidate as text."""
    if record["inspected"]:
        rates = [rates[name] for rates in row["figures"].values() for name in ("detection", "false_alarms")]
    else:
        rates = [row["accuracy"]["validation"]]
    return [
        f"{k} {row['name']}",
        f"{row['cost']:.3g}" if record["priced"] else percent(row["cost"]),
        *map(rated, rates),
        timed(row),
        amount(row["macs"]),
        amount(row["params"]),
        "–" if row["bytes"] is None else file_size(row["bytes"]),
        "–" if row["seconds"] is None else duration(row["seconds"]),
        word("compare.yes" if row["front"] else "compare.no"),
    ]


def timed(row: Record) -> str:
    """The time for one of a candidate, with its threads."""
    return f"{milliseconds(row['ms'])} ({counted(row.get('threads', 1), 'thread')})"


def rated(rate: Record | None) -> str:
    """A rate with its interval."""
    return "–" if rate is None else f"{share_of(rate)} ({interval(rate)})"


def differences(record: Record) -> Shown:
    """Whether each candidate differs from the best."""
    keys = ("name", "difference", "p", "real", "differ")
    columns = [word(f"compare.{key}") for key in keys]
    columns.append(word("compare.not_worse", plain_percent(record["margin"])))
    level, rows = 1 - record["confidence"], []
    for k, row in enumerate(record["rows"], 1):
        if (test := row["difference"]) is not None:
            reach = "" if test["low"] is None else f" ({test['low']:.3g}–{test['high']:.3g})"
            rows.append(
                [
                    f"{k} {row['name']}",
                    f"{test['difference']:.3g}{reach}",
                    f"{test['p_holm']:.2g}",
                    word("compare.yes" if test["p_holm"] <= level else "compare.no"),
                    f"{test['differ']}/{test['parts']}",
                    word("compare.yes" if row["not_worse"]["not_worse"] else "compare.no"),
                ]
            )
    lead = word("compare.against", record["recommendation"]["best"])
    return Shown(word("compare.differences"), [lead], [Table(columns, rows)], hints=[word("compare.few")])


def drawn(record: Record) -> Shown:
    """The Pareto picture."""
    title = word("compare.picture")
    axes = word("compare.ms"), word("compare.cost")
    return Shown(title, figures=[(title, picture(record, *axes))], hints=[word("compare.picture.hint")])


def picture(record: Record, below: str, beside: str) -> str:
    """An SVG of cost over milliseconds, a numbered point for each candidate."""
    chosen = record["recommendation"]["chosen"]
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(*TALL)
        for k, row in enumerate(record["rows"], 1):
            at, colour = (row["ms"], row["cost"]), COLOURS["--right"]
            face = colour if row["front"] else COLOURS["--paper"]
            axes.plot(*at, "o", markersize=8, markerfacecolor=face, markeredgecolor=colour, markeredgewidth=1.6)
            if row["name"] == chosen:
                axes.plot(*at, "o", markersize=16, fillstyle="none", markeredgecolor=COLOURS["--wrong"])
            axes.annotate(str(k), at, (11, 5), textcoords="offset points")
        value_axis(axes, [row["cost"] for row in record["rows"]], not record["priced"])
        axes.set_xlim(0, 1.15 * max(row["ms"] for row in record["rows"]))
        made = svg(figure, "pareto", "BELOW", "BESIDE")
    return made.replace("BELOW", f"{below}, ms").replace("BESIDE", beside)
