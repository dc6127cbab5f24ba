"""Curves as SVG in the page's own colours.

Matplotlib draws them in stand-in colours, which become CSS variables, so that one drawing serves light, dark and print.
Only fixed words are drawn; names of classes stay in HTML.
"""

import re
from io import StringIO
from math import nan
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from ..phrases import retold, say
from ..words import amount, plain_percent

COLOURS = {
    "--ink": "#000001",
    "--muted": "#000002",
    "--line": "#000003",
    "--right": "#000004",
    "--wrong": "#000005",
    "--paper": "#000006",
    "--soft": "#000007",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "zansa",
    "font.size": 10.5,
    "axes.edgecolor": COLOURS["--line"],
    "axes.labelcolor": COLOURS["--muted"],
    "xtick.color": COLOURS["--line"],
    "ytick.color": COLOURS["--line"],
    "xtick.labelcolor": COLOURS["--muted"],
    "ytick.labelcolor": COLOURS["--muted"],
    "text.color": COLOURS["--ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": COLOURS["--line"],
    "grid.linewidth": 0.8,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}
FLAT, TALL = (4.1, 2.7), (4.1, 3.4)  # sizes in inches of 72 pixels: small, because three stand side by side
ENDS = 0.0005  # scores nearer to 0 and 1 than this are drawn there
Points = list[tuple[float, float]]


def curve(lines: list[tuple[str, Points]], name: str, percent: bool = False, kept: float | None = None) -> str:
    """An SVG of lines over epochs, each (CSS colour, points); `kept` marks the epoch whose weights were kept."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(*FLAT)
        for colour, points in lines:
            draw_line(axes, points, colour)
        values = [y for _, points in lines for _, y in points if y == y]
        _epoch_axis(axes, [x for _, points in lines for x, _ in points])
        value_axis(axes, values, percent)
        if kept is not None:
            axes.axvline(kept, color=COLOURS["--muted"], linewidth=1.2, linestyle=(0, (1, 2.5)), zorder=1)
        return svg(figure, name, "epoch")


def roc(points: Points, at: dict[str, Any], name: str, reach: float = 1.0) -> str:
    """An SVG of detection over false alarms up to `reach`; `at`, the figures of inspection, marks the operating point
    with its intervals."""
    with matplotlib.rc_context(STYLE | {"axes.grid.axis": "both"}):
        figure, axes = canvas(*TALL)
        axes.plot([0, 1], [0, 1], color=COLOURS["--muted"], linewidth=1, linestyle=(0, (1, 3)))
        axes.plot(*zip(*points, strict=True), color=COLOURS["--right"], drawstyle="steps-post")
        _operating(axes, at["false_alarms"], at["detection"])
        axes.set_xlim(-0.01 * reach, reach * 1.01)
        low = 0.0 if reach == 1 else _floor(points, at, reach)
        axes.set_ylim(low - 0.02 * (1 - low), 1 + 0.03 * (1 - low))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(FuncFormatter(as_percent))
        return svg(figure, name, "false alarms: good parts thrown away", "detection: defects found")


def scores(good: list[float], defects: list[float], threshold: float, name: str) -> str:
    """An SVG of how many scores of good parts (bars upwards) and of defects (downwards) lie where about the threshold.

    Bars on the wrong side of the threshold have the colour of mistakes."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(*TALL)
        line = float(_logit(np.array(threshold)))
        _bars(axes, np.array(good), 1, line)
        _bars(axes, np.array(defects), -1, line)
        axes.axvline(line, color=COLOURS["--ink"], linewidth=1.3)
        axes.axhline(0, color=COLOURS["--line"], linewidth=1)
        ticks = np.array([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
        axes.set_xticks(_logit(ticks), [f"{tick:g}" for tick in ticks])
        _root_axis(axes)
        for place, edge, text in ((0.99, "top", "good parts"), (0.01, "bottom", "defects")):
            axes.text(0.01, place, text, transform=axes.transAxes, verticalalignment=edge)
        return svg(figure, name, "score: 1 − p(good)", "how many")


def _bars(axes: Axes, values: NDArray[Any], up: int, line: float) -> None:
    """Draw counts in bins that are equally wide in the logit and start at the line. Heights are square roots, so that
    one image still shows beside hundreds."""
    last = float(_logit(np.array(1.0)))
    width = 2 * last / 44
    edges = line + width * np.arange(-np.ceil((last + line) / width) - 1, np.ceil((last - line) / width) + 2)
    counts, _ = np.histogram(_logit(values), edges)
    wrong = (edges[:-1] >= line - width / 2) == (up > 0)
    for side, colour in ((~wrong & (counts > 0), COLOURS["--right"]), (wrong & (counts > 0), COLOURS["--wrong"])):
        axes.bar(edges[:-1][side], up * np.sqrt(counts[side]), 0.86 * width, align="edge", color=colour)


def _root_axis(axes: Axes) -> None:
    low, high = axes.get_ylim()
    numbers = [number for number in (1, 10, 100, 1000, 10_000, 100_000) if number <= max(high, -low) ** 2]
    places = [sign * number**0.5 for sign in (1, -1) for number in numbers if low <= sign * number**0.5 <= high]
    axes.set_yticks(places, [f"{place**2:.0f}" for place in places])
    axes.set_ylim(low * 1.12, high * 1.12)


def _logit(score: NDArray[Any]) -> NDArray[Any]:
    inside = np.clip(score, ENDS, 1 - ENDS)
    return np.log(inside / (1 - inside))


def reliability(bins: list[dict[str, Any]], name: str) -> str:
    """An SVG of how often parts were defective over how probable that was said to be, with exact intervals; both axes
    are in log odds, marked in percent. Perfect probabilities lie on the diagonal."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(*TALL)
        ends = (float(_logit(np.array(0.0))), float(_logit(np.array(1.0))))
        axes.plot(ends, ends, color=COLOURS["--muted"], linewidth=1.2, linestyle=(0, (1, 2.5)))
        for row in bins:
            x, y, low, high = (float(_logit(np.array(row[key]))) for key in ("p", "value", "low", "high"))
            axes.plot([x, x], [low, high], color=COLOURS["--right"], linewidth=1.4)
            axes.plot([x], [y], "o", color=COLOURS["--right"], markersize=6, markeredgecolor=COLOURS["--paper"])
        shares = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]
        marks = [float(_logit(np.array(share))) for share in shares]
        beside = (0.01, 0.99)  # their marks have no room for words between those of their neighbours
        axes.set_xticks(marks, ["" if share in beside else plain_percent(share) for share in shares])
        axes.set_yticks(marks, [plain_percent(share) for share in shares])
        return svg(figure, name, "stated probability of a defect", "share of defects")


def cost_of_lines(points: Points, at: tuple[float, float] | None, name: str) -> str:
    """An SVG of the expected cost of 1,000 parts over the share of good parts rejected, for every line; `at` marks the
    point that was chosen."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(*TALL)
        draw_line(axes, sorted(points), "--right")
        if at is not None:
            axes.plot(*([each] for each in at), "o", color=COLOURS["--wrong"], markersize=8)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(as_percent))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
        return svg(figure, name, "good parts thrown away", "cost per 1,000 parts")


def _operating(axes: Axes, across: dict[str, Any], up: dict[str, Any]) -> None:
    x, y, colour = across["value"], up["value"], COLOURS["--wrong"]
    axes.plot([across["low"], across["high"]], [y, y], color=colour, linewidth=1.4)
    axes.plot([x, x], [up["low"], up["high"]], color=colour, linewidth=1.4)
    axes.plot([x], [y], "o", color=colour, markersize=8, markeredgecolor=COLOURS["--paper"], markeredgewidth=1.6)


def _floor(points: Points, at: dict[str, Any], reach: float) -> float:
    """The lower end of a close-up, which shows the operating point and the curve about it."""
    seen = [y for x, y in points if 0.15 * reach <= x <= reach]
    return max(0.0, min([at["detection"]["low"], *seen]) - 0.03)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, and its axes."""
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left=0.17, right=0.955, top=0.98, bottom=0.4 / height)
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    return figure, axes


def draw_line(axes: Axes, points: Points, colour: str) -> None:
    """Draw a line in a CSS colour; a single point becomes a dot."""
    alone = "o" if sum(y == y for _, y in points) == 1 else ""
    x, y = zip(*points, strict=True)
    axes.plot(x, y, color=COLOURS[colour], marker=alone, markersize=5)


def _epoch_axis(axes: Axes, seen: list[float]) -> None:
    first, last = min(seen), max(seen)
    room = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - room, last + room)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def value_axis(axes: Axes, values: list[float], percent: bool) -> None:
    """Scale and label the vertical axis for these values: shares in percent, wide ranges in a logarithmic scale."""
    if values and not percent and min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        return
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if percent:
        axes.set_ylim(top=1.0 + 0.02 * (1 - min(values, default=0.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(as_percent))
    elif values and min(values) >= 0:
        axes.set_ylim(bottom=0)


def as_percent(value: float, _: int) -> str:
    """A share beside a mark of an axis."""
    return plain_percent(value, 4)


def gaps(points: list[tuple[float, float | None]]) -> Points:
    """The points with NaN, which is a gap in the line, where a value is missing."""
    return [(x, nan if y is None else y) for x, y in points]


def svg(figure: Figure, name: str, below: str, beside: str = "") -> str:
    """The figure as inline SVG: it has no fixed size, no URLs, and no ids that another drawing could have."""
    axes = figure.axes[0]
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    file = StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    width, height = (72 * side for side in figure.get_size_inches())
    text = re.sub(
        r"<svg[^>]*>",
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{say(name)}">',
        text,
        count=1,
    )
    text = re.sub(r"<style.*?</style>|<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family:[^;\"]*;?", "", text)
    used = set(re.findall(r"#([mph][0-9a-f]{10})", text))
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{_slug(name)}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r"#([mph][0-9a-f]{10})", rf"#{_slug(name)}-\1", text).replace("xlink:href", "href")
    # words are drawn in English, as the drawing's own font may lack Japanese, and then said
    text = re.sub(r">([^<>]*[a-z]{3}[^<>]*)</text>", lambda m: f">{say(retold(m[1]))}</text>", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var({variable})")
    return re.sub(r"\s*\n\s*", " ", text)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.lower())
