"""The pictures of a growth, and its section of the page."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ...arch.spec import Block, Net, Stage
from ...phrases import phrase, say
from ...words import price_text
from .. import plots
from ..facts import Facts
from ..page import Content
from ..plots import COLOURS
from .history import Event, History, Line, history_of, limit_of
from .sentences import change, told

WIDE, NARROW = 10.4, 4.9  # inches of the pictures: one for screens, one for telephones
LEFT, RIGHT = 0.85, 0.2  # inches beside them, so that a moment stands at the same place in all
COST = (
    ("line", "--right", phrase("what the network costs")),
    ("line", "--muted", phrase("what it may cost by then")),
)
SHAPE = (
    ("square", "--right", phrase("height: channels of the stream")),
    ("square", "--right", phrase("shade and number: blocks")),
    ("line", "--ink", phrase("mean inner width")),
)
MEASURED = (
    ("line", "--right", phrase("after each epoch")),
    ("dot", "--wrong", phrase("before each change, on what it was decided by")),
)
FIGURES = (
    (phrase("Validation accuracy"), "val_accuracy", True),
    (phrase("Balanced accuracy"), "val_balanced_accuracy", True),
    (phrase("Validation loss"), "val_loss", False),
)
Draw = Callable[[Axes, bool], None]


def section(facts: Facts) -> Content:
    """What the page shows of a growth: its words, and its pictures over the training."""
    return told(facts) | {"pictures": _pictures(facts, history_of(facts))}


def _pictures(facts: Facts, history: History) -> list[Content]:
    """The pictures, each with its title, its legend, and a drawing for wide and one for narrow screens."""
    events = history.events
    if not events:
        return []
    run = _measured(facts)
    end = max(line["progress"] for line in (*run, events[-1].last))
    limit, unit = limit_of(facts, history), events[-1].last.get("unit", "")
    legend = (
        COST
        if limit is None
        else (*COST, ("line", "--wrong", say("the limit, {price}", price=price_text(limit, unit))))
    )
    draw_cost = partial(_draw_cost, events, limit, end)
    draw_stages = partial(_draw_stages, history.nets, [0.0, *(event.first["progress"] for event in events), end])
    pictures = [
        (phrase("Cost"), legend, 2.3, draw_cost),
        (phrase("Depth and width"), SHAPE, 0.5 + 0.62 * len(history.start.stages), draw_stages),
        *(
            (title, MEASURED, 1.9, partial(_draw_measured, events, run, key, share))
            for title, key, share in FIGURES
            if any(event.first.get(key) is not None for event in events)
        ),
    ]
    return [_picture(*each, [event.first["progress"] for event in events]) for each in pictures]


def _measured(facts: Facts) -> list[Line]:
    """The epochs in the order of their progress, since a method of several trainings counts its epochs anew.

    Where two have the same progress the later line counts."""
    lines = (event for event in facts["events"] if event.get("event") == "epoch")
    epochs = {event["progress"]: event for event in lines if event.get("progress") is not None}
    return [epochs[progress] for progress in sorted(epochs)]


def _picture(title: str, legend: Any, height: float, draw: Draw, marks: list[float]) -> Content:
    drawings = {}
    for size, width in (("wide", WIDE), ("narrow", NARROW)):
        with matplotlib.rc_context(plots.STYLE):
            figure, axes = plots.canvas(width, height)
            figure.subplots_adjust(left=LEFT / width, right=1 - RIGHT / width)
            for mark in marks:
                axes.axvline(mark, color=COLOURS["--line"], linewidth=0.8, zorder=0)
            draw(axes, size == "wide")
            axes.set_xlim(0, 1)
            axes.xaxis.set_major_locator(MaxNLocator(10 if size == "wide" else 5))
            axes.xaxis.set_major_formatter(FuncFormatter(plots.as_percent))
            drawings[size] = plots.svg(figure, f"{title} {size}", phrase("share of the training"))
    legend = [(kind, colour, say(word)) for kind, colour, word in legend]
    return {"title": say(title), "legend": legend, **drawings}


def _draw_cost(events: list[Event], limit: float | None, end: float, axes: Axes, wide: bool) -> None:
    lasts = [event.last for event in events]
    prices = [(0.0, events[0].first["price_before"]), *((line["progress"], line["price_after"]) for line in lasts)]
    allowed = [(line["progress"], line["allowance"]) for line in lasts if line.get("allowance") is not None]
    if limit is not None:
        axes.axhline(limit, color=COLOURS["--wrong"], linewidth=1.3, linestyle=(0, (5, 3)))
    _steps(axes, allowed, end, "--muted", 1.2)
    _steps(axes, prices, end, "--right", 2.2)
    axes.set_ylim(0, 1.08 * max([y for _, y in (*prices, *allowed)] + [limit or 0.0]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    unit = lasts[-1].get("unit", "")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: price_text(value, unit, named=False)))


def _steps(axes: Axes, points: plots.Points, end: float, colour: str, line: float) -> None:
    if points:
        x, y = zip(*points, (end, points[-1][1]), strict=True)
        axes.plot(x, y, color=COLOURS[colour], linewidth=line, drawstyle="steps-post")


def _draw_stages(nets: list[Net], at: list[float], axes: Axes, wide: bool) -> None:
    """Draw a band for each stage, the first one on top; nets[k] is there from at[k] to at[k + 1]."""
    most = max(len(stage.blocks) for net in nets for stage in net.stages)
    count = len(nets[0].stages)
    names = []
    for i, stages in enumerate(zip(*(net.stages for net in nets), strict=True)):
        _draw_stage(axes, count - 1 - i, stages, at, most, 0.025 if wide else 0.055)
        names.append(f"stage {i}\n{change(stages[0].width, stages[-1].width)}")
    axes.set_yticks([count - 1 - i + 0.41 for i in range(count)], names)
    axes.set_ylim(-0.06, count)
    axes.grid(False)


def _draw_stage(axes: Axes, base: int, stages: tuple[Stage, ...], at: list[float], most: int, room: float) -> None:
    """Draw a stage: the heights of band and line are parts of their largest in this stage, and a number of blocks
    stands where there is room for it."""
    inner = [_inner(stage.blocks) for stage in stages]
    unit, line = 0.82 / max(stage.width for stage in stages), 0.82 / max(inner)
    for (width, depth), k, following in _runs([(stage.width, len(stage.blocks)) for stage in stages]):
        band = {"color": COLOURS["--right"], "alpha": 0.1 + 0.5 * depth / most, "linewidth": 0}
        axes.fill_between([at[k], at[following]], base, base + unit * width, **band)
    _steps(axes, [(x, base + line * width) for x, width in zip(at, inner, strict=False)], at[-1], "--ink", 1.1)
    for depth, k, following in _runs([len(stage.blocks) for stage in stages]):
        if at[following] - at[k] > room:
            axes.text(at[k] + 0.2 * room, base + 0.05, str(depth))


def _runs(values: list[Any]) -> Iterable[tuple[Any, int, int]]:
    """Each run of equal values: the value, its first place, and the first place after it."""
    for value, group in groupby(range(len(values)), key=values.__getitem__):
        places = list(group)
        yield value, places[0], places[-1] + 1


def _inner(blocks: tuple[Block, ...]) -> float:
    widths = [width for block in blocks for width in block.convolved]
    return sum(widths) / len(widths)


def _draw_measured(events: list[Event], run: list[Line], key: str, share: bool, axes: Axes, wide: bool) -> None:
    line = plots.gaps([(event["progress"], event.get(key)) for event in run])
    firsts = [event.first for event in events]
    dots = [(first["progress"], first[key]) for first in firsts if first.get(key) is not None]
    if line:
        plots.draw_line(axes, line, "--right")
    x, y = [x for x, _ in dots], [y for _, y in dots]
    axes.plot(x, y, "o", color=COLOURS["--wrong"], markersize=6, clip_on=False, markeredgecolor=COLOURS["--paper"])
    plots.value_axis(axes, [value for _, value in (*line, *dots) if value == value], share)
