"""The page of depth, depth.html: the verdict on every stage, the measures of every block, and what was made of them."""

from collections.abc import Iterable, Iterator
from typing import Any

import matplotlib
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..phrases import say, speaking
from ..words import amount, plain_percent
from . import page, plots
from .depth_words import COLUMNS, WAYS, told
from .page import Content, Frame, Section

CURVES = (
    ("size", "--right"),
    ("apart", "--wrong"),
    ("commutes", "--ink"),
)
MEASURED = (
    "at",
    "scalar",
    "size",
    "size_times",
    "apart",
    "commutes",
    "weights",
    "truncation",
    "doubling",
    "inversion",
)
COLOURS = {"delete": "--wrong", "parallel": "--right", "average": "--ink", "project": "--muted", "tie": "--muted"}


def html(record: dict[str, Any], language: str = "en") -> str:
    """The page of a record (depth.json) as HTML text."""
    with speaking(language):
        frame = Frame(
            name=f"{record['name']}: {told('title')}",
            footer=f"zansa {record.get('zansa', '')}: {record['model']}",
            date=record.get("date", ""),
        )
        sections = {
            "stages": Section(told("stages"), lambda r: {"lead": told("what", count=r["samples"]),
                              "pairs": [], "hints": list(sentences(r)), "columns": (), "rates": []}),
            "blocks": Section(told("blocks"), _blocks, "depth.html"),
        }  # fmt: skip
        if record.get("made"):
            sections["made"] = Section(told("made"), _made, "depth.html")
        return page.html(frame, record, sections, page.statement(*_gist(record)))


def sentences(record: dict[str, Any], made: bool = False) -> Iterator[str]:
    """The verdicts in words, a sentence or two for each stage; with `made` before them what was made of the network."""
    if made:
        yield from _made_sentences(record["made"])
        return
    for stage in record["stages"]:
        figures = {key: share(stage[key]) for key in ("doubled", "beside", "inversion")}
        text = told(stage["verdict"], stage=stage["stage"], blocks=len(stage["blocks"]), **figures)
        if stage["verdict"] != "short":
            back = (
                "no_way_back"
                if stage["inversion"] is None
                else "invertible"
                if stage["invertible"]
                else "not_invertible"
            )
            text += " " + told(back, **figures)
        yield text


def _gist(record: dict[str, Any]) -> Iterator[str]:
    """The page's statement: what was made of the network or, where nothing was, which stages have which verdict."""
    if record.get("made"):
        yield from _made_sentences(record["made"])
        return
    for verdict in ("smooth", "paired", "commuting", "neither", "short"):
        if stages := [str(stage["stage"]) for stage in record["stages"] if stage["verdict"] == verdict]:
            yield told(f"is_{verdict}", stages=", ".join(stages))


def _made_sentences(made: dict[str, Any]) -> Iterator[str]:
    before, steps = made["before"], made["steps"]
    after = made["after"]
    values = {"before": before["blocks"], "after": after["blocks"]}
    if made["refined"]:
        yield told("refined", **values)
    elif steps:
        yield told("shortened", **values, first=plain_percent(before["accuracy"]),
                  last=plain_percent(steps[-1]["accuracy"]))  # fmt: skip
    if made["heal"]:
        yield told("healed", epochs=made["heal"])


def share(value: float | None) -> str:
    """A relative error: "3.1 %", "0.002 %", or a dash."""
    if value is None:
        return "–"
    return f"{100 * value:.3g} %" if value < 10 else f"{value:.3g} ×"


def _blocks(record: dict[str, Any]) -> Content:
    """A picture and a table for each stage."""
    keys = [key for key in MEASURED if any(b[key] is not None for s in record["stages"] for b in s["blocks"])]
    stages = [
        {
            "name": f"{say(COLUMNS['stage'])} {stage['stage']}",
            "picture": _picture(stage) if len(stage["blocks"]) > 1 else "",
            "legend": [(colour, say(COLUMNS[key])) for key, colour in CURVES],
            "rows": [[_cell(block[key]) for key in keys] for block in stage["blocks"]],
        }
        for stage in record["stages"]
        if stage["blocks"]
    ]
    return {"lead": told("legend"), "columns": _heads(keys), "tables": stages}


def _cell(value: float | int | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.3g}"


def _picture(stage: dict[str, Any]) -> str:
    lines = [
        (colour, [(float(block["at"]), block[key]) for block in stage["blocks"] if block[key] is not None])
        for key, colour in CURVES
    ]
    return _lines(f"stage {stage['stage']}", [line for line in lines if line[1]])


def _lines(name: str, lines: Iterable[tuple[str, plots.Points]], percent: bool = False) -> str:
    """A picture of lines over blocks; words stand in the page, because the fonts of pictures have few letters."""
    with matplotlib.rc_context(plots.STYLE):
        figure, axes = plots.canvas(6.4, 2.6)
        for colour, points in lines:
            axes.plot(*zip(*points, strict=True), color=plots.COLOURS[colour], marker="o", markersize=4)
        if percent:
            axes.yaxis.set_major_formatter(FuncFormatter(plots.as_percent))
        else:
            plots.value_axis(axes, [y for _, points in lines for _, y in points], percent=False)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        return plots.svg(figure, name, "")


def _made(record: dict[str, Any]) -> Content:
    """The edits with their reasons, and the curves of each way alone."""
    made = record["made"]
    tables = []
    if made["steps"]:
        rows = [_edit(step) for step in made["steps"]]
        tables.append({"name": "", "picture": "", "legend": [], "rows": rows})
    content: dict[str, Any] = {
        "lead": " ".join(_made_sentences(made)),
        "columns": _heads(("way", "stage", "changed", "loss", "accuracy", "blocks", "depth", "macs")),
        "tables": tables,
    }
    if made["curves"]:
        content["curves"] = _curves(made)
    return content


def _heads(keys: Iterable[str]) -> list[str]:
    return [say(COLUMNS[key]) for key in keys]


def _edit(step: dict[str, Any]) -> list[str]:
    """The row of an edit."""
    at = f"{step['edit']['stage']}, {say(COLUMNS['at'])} {step['edit']['at']}"
    loss, right = f"{step['loss']:.4f}", plain_percent(step["accuracy"])
    size = [str(step["blocks"]), str(step["depth"]), amount(step["macs"])]
    return [say(WAYS[step["way"]]), at, share(step["changed"]), loss, right, *size]


def _curves(made: dict[str, Any]) -> Content:
    start = made["before"]
    lines = [
        (COLOURS[way], [(float(p["blocks"]), p["accuracy"]) for p in (start, *points)])
        for way, points in made["curves"].items()
    ]
    rows = [
        [say(WAYS[way]), str(p["blocks"]), plain_percent(p["accuracy"]), f"{p['ms']:.2f}"]
        for way, points in made["curves"].items()
        for p in points
    ]
    return {
        "title": told("curves"),
        "note": told("curve_note"),
        "picture": _lines("curves", lines, percent=True),
        "legend": [(COLOURS[way], say(WAYS[way])) for way in made["curves"]],
        "columns": _heads(("way", "blocks", "accuracy", "ms")),
        "rows": [["", str(start["blocks"]), plain_percent(start["accuracy"]), f"{start['ms']:.2f}"], *rows],
    }
