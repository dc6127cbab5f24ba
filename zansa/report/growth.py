"""How a network grew: the journal of its edits as pictures and as text, explained edit by edit, and replayed.

Only a run with a start.json, the network that it began with, has grown.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..arch.budget import parse
from ..arch.cost import cost
from ..arch.edits import AnyEdit, Delete, Insert, Merge, Mix, Rekind, Remap, Split, Widen, apply, edit_from_dict
from ..arch.lower import lower
from ..arch.spec import Block, Net, Stage
from ..record import Run
from . import facts as records
from . import plots
from .facts import Facts, finished, have
from .plots import COLOURS
from .words import SPACE, amount, counted, file_size, milliseconds, number, percent

Section = dict[str, Any]
Line = dict[str, Any]
CAME, WENT, CHANGED = "came", "went", "changed"
NOUNS = {CAME: ("addition", "best"), WENT: ("removal", "cheapest"), CHANGED: ("change", "best")}
UNITS: dict[str, tuple[Callable[[float], str], str, str, float]] = {  # how, what, and per how much things are worth
    "macs": (amount, "multiply-adds", "million multiply-adds", 1e6),
    "params": (amount, "parameters", "thousand parameters", 1e3),
    "bytes": (file_size, "", "kB", 1e3),
    "ms": (milliseconds, "", "ms", 1.0),
}
EVENTS, LONG = 100, 12  # events that the page lists; edits of a journal that it shows unasked


# --- the record ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Move:
    """An edit: its line of the journal, whether something CAME, WENT or CHANGED, where, and what."""

    line: Line
    verdict: str
    where: str
    what: str


@dataclass(frozen=True)
class Event:
    """The edits of one step, and the network behind them, as far as it is known."""

    moves: list[Move]
    net: Net

    @property
    def first(self) -> Line:
        return self.moves[0].line

    @property
    def last(self) -> Line:
        return self.moves[-1].line


@dataclass(frozen=True)
class History:
    """The first network and what became of it. Where an edit cannot be applied the networks stay as they are, and
    `broken` says why."""

    start: Net
    events: list[Event]
    broken: str

    @property
    def moves(self) -> list[Move]:
        return [move for event in self.events for move in event.moves]

    @property
    def nets(self) -> list[Net]:
        return [self.start, *(event.net for event in self.events)]


def replayed(run: Run) -> Net:
    """The first network of a grown run behind all edits of its journal, which is its last one; ValueError when the run
    did not grow, or when an edit cannot be applied."""
    history = _history(_grown(run))
    if history.broken:
        raise ValueError(history.broken)
    return history.nets[-1]


def _grown(run: Run) -> Facts:
    facts = records.read(run)
    for name in ("start.json", "edits.jsonl"):
        if reason := facts["unreadable"].get(name):
            raise ValueError(reason)
    if facts["start"] is None:
        raise ValueError(f"{run.path} did not grow: it has no start.json; runs of `zansa grow` have one")
    return facts


def _history(facts: Facts) -> History:
    net, broken = Net.from_dict(facts["start"]), ""
    start, events = net, []
    lines = enumerate(facts["edits"], 1)
    for _, group in groupby(lines, key=lambda numbered: numbered[1].get("step")):
        moves = []
        for place, line in group:
            move, net, broken = _next(net, line, place, broken)
            moves.append(move)
        events.append(Event(moves, net))
    return History(start, events, broken)


def _next(net: Net, line: Line, place: int, broken: str) -> tuple[Move, Net, str]:
    """A line of the journal, the network behind it, and why it cannot be known."""
    if not broken:
        try:
            edit, after = _applied(net, line, place)
            return Move(line, *_what(edit, net, after)), after, ""
        except ValueError as error:
            broken = str(error)
    return Move(line, *_as_it_is(line.get("edit"))), net, broken


def _applied(net: Net, line: Line, place: int) -> tuple[AnyEdit, Net]:
    try:
        edit = edit_from_dict(line.get("edit"))
    except ValueError:
        raise ValueError(f"line {place} of edits.jsonl holds no edit that this version of zansa knows") from None
    try:
        return edit, apply(net, edit)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"line {place} of edits.jsonl does not fit the network: {reason}") from None


def _limit(facts: Facts, history: History) -> float | None:
    """The limit in the unit of the budget, the largest of several; None if none is known."""
    try:
        return parse(str(have(facts, "request", "budget") or ""))[-1].limit
    except ValueError:
        return next((float(move.line["limit"]) for move in reversed(history.moves) if move.line.get("limit")), None)


# --- words -----------------------------------------------------------------------------------------------------------


def _what(edit: AnyEdit, net: Net, after: Net) -> tuple[str, str, str]:
    """Verdict, where, and what an edit from one network to another does."""
    if isinstance(edit, Widen | Remap):
        return _resized(edit.axis, net, after)
    where, at = f"stage {edit.stage}", edit.at
    match edit:
        case Insert():
            return CAME, where, f"block {at} ({_inside(edit.block)})"
        case Delete():
            return WENT, where, f"block {at} ({_inside(net.stages[edit.stage].blocks[at])})"
        case Split():
            return CAME, where, f"block {at} became two of half the step"
        case Merge():
            return WENT, where, f"blocks {at} and {at + 1} became one, in which they run side by side"
        case Rekind():
            return CHANGED, where, f"block {at} is now {_inside(edit.block)}"
        case Mix():
            return CHANGED, where, f"block {at} mixes by {number(edit.mix)}"


def _resized(axis: str, net: Net, after: Net) -> tuple[str, str, str]:
    old, new = lower(net).width[axis], lower(after).width[axis]
    where, _, inside = axis.replace("stage", "stage ").partition(".")
    what = _axis(inside, net.stages[int(where.split()[1])] if where != "stem" else None)
    if old == new:
        return CHANGED, where, f"{what} {old}, channels in another order"
    return CAME if new > old else WENT, where, f"{what} {old} → {new}"


def _axis(inside: str, stage: Stage | None) -> str:
    """What an axis is in a stage or in the stem: "block1.hidden0" is "block 1: inner width"."""
    if not inside:
        return "stream width"
    if stage is None:
        return f"width of convolution {inside.removeprefix('deep')}"
    block, _, hidden = inside.partition(".")
    place = int(block.removeprefix("block"))
    k, widths = int(hidden.removeprefix("hidden")), stage.blocks[place]
    of = "gate" if widths.of_gate(k) else "inner"
    return f"block {place}: {of} width{f' {k + 1}:' if len(widths.convolved) > 1 else ''}"


def _inside(block: Block) -> str:
    groups = f", {block.groups} groups" if block.groups > 1 else ""
    gates = [width for k, width in enumerate(block.hidden) if block.of_gate(k)]
    gate = f", gate {_widths(gates)}" if gates else ""
    return f"{block.kind.replace('_', ' ')}, inner width {_widths(block.convolved)}{gate}{groups}"


def _widths(widths: Iterable[int]) -> str:
    return "·".join(map(str, widths))


def _as_it_is(edit: Any) -> tuple[str, str, str]:
    """An edit that is not understood."""
    if not isinstance(edit, dict):
        return CHANGED, "network", number(edit)
    values = {key: f"of {len(value)} values" if isinstance(value, list) and len(value) > 8 else value
              for key, value in edit.items() if key not in ("kind", "stage")}  # fmt: skip
    where = f"stage {edit['stage']}" if "stage" in edit else "network"
    return CHANGED, where, f"{number(edit.get('kind'))} {number(values) if values else ''}".rstrip()


def _price(value: float, unit: str, name: bool = True) -> str:
    """ "4.10 M multiply-adds"; without its name "4.10 M"."""
    write, what, _, _ = UNITS.get(unit, (number, unit, "", 1.0))
    return f"{write(value)}{SPACE}{what}" if name and what else write(value)


def _share(progress: float) -> str:
    return f"{100 * progress:.3g}{SPACE}%"


def _nats(gain: float, error: float | None) -> str:
    """A change of the loss without its sign, its error in two digits: "0.0123 ± 0.0010 nats"."""
    if not error:
        return f"{abs(gain):.3g}{SPACE}nats"
    digits = 1 - math.floor(math.log10(error))
    form = f".{digits}f" if 0 <= digits <= 6 else ".2g"
    return f"{abs(gain):{form}} ± {error:{form}}{SPACE}nats"


def _worth(line: Line) -> str:
    """What was expected of an edit: "predicted gain 0.0123 ± 0.0010 nats for 0.24 M multiply-adds"."""
    gain, spent = line.get("gain"), line.get("spent") or 0.0
    told = f"predicted {'gain' if gain >= 0 else 'damage'} {_nats(gain, line.get('error'))}" if gain is not None else ""
    price = _price(abs(spent), line.get("unit", ""))
    return f"{told} for {price}".strip() if spent >= 0 else f"{told}, saves {price}".removeprefix(", ")


def _known(line: Line) -> list[str]:
    """What was measured before an event: ["validation loss 0.812", "accuracy 71.2 %"]."""
    loss = [f"validation loss {line['val_loss']:.4g}"] if line.get("val_loss") is not None else []
    rates = (("accuracy", "val_accuracy"), ("balanced accuracy", "val_balanced_accuracy"))
    return loss + [f"{name} {percent(line[key])}" for name, key in rates if line.get(key) is not None]


# --- the section -----------------------------------------------------------------------------------------------------


def section(facts: Facts) -> Section:
    """What the page shows: words, and pictures over the training."""
    return told(facts) | {"pictures": _pictures(facts, _history(facts))}


def told(facts: Facts) -> Section:
    """How the network grew, in words: sentences, facts, each stage before and after, and an entry for each event."""
    history = _history(facts)
    events, moves = history.events, history.moves
    return {
        "lead": " ".join(_lead(facts, history)),
        "facts": list(_facts(facts, history)),
        "race": [_rival(line) for line in facts["race"]],
        "stages": [_stage_row(i, history) for i in range(len(history.start.stages))],
        "events": [_event(event) for event in events[:EVENTS]],
        "more": counted(len(events) - EVENTS, "event") if len(events) > EVENTS else "",
        "long": len(moves) > LONG,
        "edits": counted(len(moves), "edit"),
    }


def _lead(facts: Facts, history: History) -> Iterable[str]:
    began = f"The network began with {_blocks(history.start)}"
    if not history.events:
        yield f"{began} and {_price(cost(history.start).macs, 'macs')}; its structure has not been changed."
        return
    first, last, limit = history.events[0].first, history.events[-1].last, _limit(facts, history)
    unit, edits = last.get("unit", ""), counted(len(history.moves), "edit")
    yield f"{began} and {_price(first['price_before'], unit)}."
    yield from _moments(facts, history, edits, limit)
    of = f", {percent(last['price_after'] / limit)} of the limit of {_price(limit, unit, name=False)}" if limit else ""
    blocks = "" if history.broken else f"{_blocks(history.nets[-1])} and "
    yield f"It {'ended with' if finished(facts) else 'now has'} {blocks}{_price(last['price_after'], unit)}{of}."
    if unit == "ms":
        yield "The whole network was timed anew at each moment; what single edits cost is foretold from its parts."


def _moments(facts: Facts, history: History, edits: str, limit: float | None) -> Iterable[str]:
    """At how many moments of its training a network changed, and why it did not at the others. A smaller budget, which
    leaves another growth on its way, has not had all of them."""
    last, changed = history.events[-1].last, len(history.events)
    planned = 0 if have(facts, "data", "branch_of") else last.get("moments", 0)
    moments = f"{changed} of the {planned} moments" if changed < planned else counted(changed, "moment")
    yield f"{edits} at {moments} of its training changed it."
    if changed < planned and finished(facts) and not (limit and last["price_after"] > limit):
        yield "At the others nothing that would fit promised more than chance explains."


def _rival(line: Line) -> Section:
    """How one beginning did in the race: what it was, how much lower its loss was than that of the usual one."""
    gain = line["gain"]
    than = f"{'lower' if gain >= 0 else 'higher'} by {_nats(gain, line['error'])}" if line["error"] else SPACE
    return {"name": line["name"], "loss": than, "macs": _price(line["macs"], "macs", name=False),
            "params": amount(line["params"]), "won": line["won"]}  # fmt: skip


def _blocks(net: Net) -> str:
    return counted(sum(len(stage.blocks) for stage in net.stages), "block")


def _facts(facts: Facts, history: History) -> Iterable[tuple[str, str]]:
    for key in ("budget", "method"):
        if asked := have(facts, "request", key):
            yield key, number(asked)
    if main := have(facts, "data", "branch_of"):
        own = sum(move.line.get("limit") == _limit(facts, history) for move in history.moves)
        yield "a smaller budget of", f"{main}, whose first {counted(len(history.moves) - own, 'edit')} it shares"
    verdicts = Counter(move.verdict for move in history.moves)
    if verdicts:
        yield "edits", ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in NOUNS if verdicts[verdict])
    yield f"replaying the {counted(len(history.moves), 'edit')} gives the network", _replays(facts, history)


def _replays(facts: Facts, history: History) -> str:
    if history.broken:
        return f"no: {history.broken}"
    if have(facts, "spec") is None:
        return "cannot be told: spec.json is not there or cannot be read"
    if Net.from_dict(facts["spec"]) == history.nets[-1]:
        return "yes"
    return "no: spec.json holds another one" if finished(facts) else "not known before the training has ended"


def _stage_row(i: int, history: History) -> Section:
    first, last = history.start.stages[i], history.nets[-1].stages[i]
    told = [
        (len(stage.blocks), stage.width, _span([width for block in stage.blocks for width in block.convolved]))
        for stage in (first, last)
    ]
    blocks, width, inner = (_change(*pair) for pair in zip(*told, strict=True))
    return {"name": f"stage {i}", "blocks": blocks, "width": width, "inner": inner}


def _change(old: Any, new: Any) -> str:
    return str(new) if old == new else f"{old} → {new}"


def _span(widths: list[int]) -> str:
    low, high = min(widths), max(widths)
    return str(low) if low == high else f"{low}–{high}"


def _event(event: Event) -> Section:
    return {
        "when": f"{_share(event.first['progress'])}, step {event.first['step']}",
        "price": _spending(event),
        "known": ", ".join(_known(event.first)),
        "moves": [(verdict, *entry) for verdict in (WENT, CHANGED, CAME) for entry in _grouped(event, verdict)],
        "counts": Counter(move.verdict for move in event.moves),
    }


def _spending(event: Event) -> str:
    """ "4.10 M → 6.02 M of 6.10 M multiply-adds allowed"."""
    unit, allowed = event.last.get("unit", ""), event.last.get("allowance")
    before, after = event.first["price_before"], event.last["price_after"]
    end = _price(after, unit, name=allowed is None)
    return f"{_price(before, unit, name=False)} → {end}" + (f" of {_price(allowed, unit)} allowed" if allowed else "")


def _grouped(event: Event, verdict: str) -> Iterable[tuple[str, str]]:
    """(where, what) of the moves of one verdict, stage by stage."""
    found: dict[str, list[str]] = {}
    for move in event.moves:
        if move.verdict == verdict:
            found.setdefault(move.where, []).append(f"{move.what} ({_worth(move.line)})")
    return (
        (where, "; ".join(texts)) for where, texts in sorted(found.items(), key=lambda each: (each[0] != "stem", each))
    )


# --- pictures --------------------------------------------------------------------------------------------------------

WIDE, NARROW = 10.4, 4.9  # inches of the pictures: one for screens, one for telephones
LEFT, RIGHT = 0.85, 0.2  # inches beside them, so that a moment stands at the same place in all
COST = (("line", "--right", "what the network costs"), ("line", "--muted", "what it may cost by then"))
SHAPE = (
    ("square", "--right", "height: channels of the stream"),
    ("square", "--right", "shade and number: blocks"),
    ("line", "--ink", "mean inner width"),
)
MEASURED = (
    ("line", "--right", "after each epoch"),
    ("dot", "--wrong", "before each change, on what it was decided by"),
)
FIGURES = (
    ("Validation accuracy", "val_accuracy", True),
    ("Balanced accuracy", "val_balanced_accuracy", True),
    ("Validation loss", "val_loss", False),
)
Draw = Callable[[Axes, bool], None]


def _pictures(facts: Facts, history: History) -> list[Section]:
    """What each picture is called, its legend, and its drawings for wide and for narrow screens."""
    events = history.events
    if not events:
        return []
    run = _measured(facts)
    end = max(line["progress"] for line in (*run, events[-1].last))
    limit, unit = _limit(facts, history), events[-1].last.get("unit", "")
    legend = COST if limit is None else (*COST, ("line", "--wrong", f"the limit, {_price(limit, unit)}"))
    draw_cost = partial(_draw_cost, events, limit, end)
    draw_stages = partial(_draw_stages, history.nets, [0.0, *(event.first["progress"] for event in events), end])
    found = [
        ("Cost", legend, 2.3, draw_cost),
        ("Depth and width", SHAPE, 0.5 + 0.62 * len(history.start.stages), draw_stages),
        *(
            (title, MEASURED, 1.9, partial(_draw_measured, events, run, key, share))
            for title, key, share in FIGURES
            if any(event.first.get(key) is not None for event in events)
        ),
    ]
    return [_picture(*each, [event.first["progress"] for event in events]) for each in found]


def _measured(facts: Facts) -> list[Line]:
    """The epochs by their progress, since a method of several trainings counts epochs anew; the later line counts."""
    told = (event for event in facts["events"] if event.get("event") == "epoch")
    found = {event["progress"]: event for event in told if event.get("progress") is not None}
    return [found[progress] for progress in sorted(found)]


def _picture(title: str, legend: Any, height: float, draw: Draw, marks: list[float]) -> Section:
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
            drawings[size] = plots.svg(figure, f"{title} {size}", "share of the training")
    return {"title": title, "legend": legend, **drawings}


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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _price(value, unit, name=False)))


def _steps(axes: Axes, points: plots.Points, end: float, colour: str, line: float) -> None:
    if points:
        x, y = zip(*points, (end, points[-1][1]), strict=True)
        axes.plot(x, y, color=COLOURS[colour], linewidth=line, drawstyle="steps-post")


def _draw_stages(nets: list[Net], at: list[float], axes: Axes, wide: bool) -> None:
    """A band for each stage, the first above; nets[k] is there from at[k] to at[k + 1]."""
    most = max(len(stage.blocks) for net in nets for stage in net.stages)
    count = len(nets[0].stages)
    names = []
    for i, stages in enumerate(zip(*(net.stages for net in nets), strict=True)):
        _draw_stage(axes, count - 1 - i, stages, at, most, 0.025 if wide else 0.055)
        names.append(f"stage {i}\n{_change(stages[0].width, stages[-1].width)}")
    axes.set_yticks([count - 1 - i + 0.41 for i in range(count)], names)
    axes.set_ylim(-0.06, count)
    axes.grid(False)


def _draw_stage(axes: Axes, base: int, stages: tuple[Stage, ...], at: list[float], most: int, room: float) -> None:
    """Heights of band and line are parts of their largest in this stage; numbers stand where there is room for them."""
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
    """Each run of equal values: the value, its first place, and the first place behind it."""
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


# --- explained -------------------------------------------------------------------------------------------------------


def explain(run: Run, step: int | str) -> str:
    """Why each edit of the event at this step (or at the "last" one) came or went, as lines of text.

    ValueError when the run did not grow, or when nothing was changed at that step."""
    facts = _grown(run)
    history = _history(facts)
    steps = [str(event.first.get("step")) for event in history.events]
    if not steps:
        raise ValueError(f"{run.path} has no edits yet: its structure is as it began")
    asked = steps[-1] if step == "last" else str(step)
    if asked not in steps:
        raise ValueError(
            f"nothing was changed at step {step} of {run.path}; changes came at the steps {', '.join(steps)}: "
            "name one of them, or 'last'"
        )
    k = steps.index(asked)
    try:
        lines = [*_heading(facts, history, k), *_reasons(history.events[k])]
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"the lines of step {asked} in {run.path / 'edits.jsonl'} are damaged ({error!r})") from None
    return "\n".join(lines).replace(SPACE, " ").replace("\u202f", " ")


def _heading(facts: Facts, history: History, k: int) -> Iterable[str]:
    event, limit = history.events[k], _limit(facts, history)
    unit, before, after = event.last.get("unit", ""), event.first["price_before"], event.last["price_after"]
    when = f"step {event.first['step']}, {_share(event.first['progress'])} of the training"
    yield f"{facts['name']}, {when}: event {k + 1} of {len(history.events)}"
    yield f"before   {', '.join([_price(before, unit), *_known(event.first)])}"
    if (allowed := event.last.get("allowance")) is not None:
        of = f" of a limit of {_price(limit, unit, name=False)}" if limit else ""
        yield f"allowed  {_price(allowed, unit)}{of}: {_room(before, allowed, unit)}"
    yield f"after    {_price(after, unit)}"


def _room(price: float, allowed: float, unit: str) -> str:
    if price > allowed:
        return f"the network cost {_price(price - allowed, unit, name=False)} too much"
    return f"{_price(allowed - price, unit, name=False)} free"


def _reasons(event: Event) -> Iterable[str]:
    for place, move in enumerate(event.moves, 1):
        yield f"\n{place}. {move.verdict}: {move.where}, {move.what}"
        yield from (f"   {sentence}" for sentence in _why(move, _rank(move, event)))


def _why(move: Move, rank: str) -> Iterable[str]:
    line = move.line
    gain, error, spent = line.get("gain"), line.get("error"), line.get("spent") or 0.0
    price = f"{'costs' if spent >= 0 else 'saves'} {_price(abs(spent), line.get('unit', ''))}"
    if gain is None:
        yield f"It {price}."
    else:
        change = f"{'lower' if gain >= 0 else 'raise'} the validation loss by {_nats(gain, error)}"
        yield f"It {price} and was expected to {change}{_rate(line)}{rank}."
    if gain and error:
        yield _certainty(abs(gain) / error)
    if line.get("reason"):
        yield f"The journal's own reason: {number(line['reason'])}"


def _rate(line: Line) -> str:
    _, _, per, scale = UNITS.get(line.get("unit", ""), (number, "", f"{line.get('unit')}", 1.0))
    if not line.get("gain") or not line.get("spent") or line["gain"] > 0 > line["spent"]:
        return ""  # or it gains and saves as well
    return f": {scale * abs(line['gain'] / line['spent']):.2g} nats per {per}"


def _certainty(errors: float) -> str:
    told = f"That is {errors:.1f} standard errors from nothing"
    return f"{told}: more than chance explains." if errors >= 2 else f"{told}: chance alone could look so."


def _per_price(move: Move) -> float | None:
    """Gain per price, infinite where what comes saves as well; of a removal the damage for what it saves."""
    gain, spent = move.line.get("gain"), move.line.get("spent")
    if gain is None or not spent:
        return None
    return math.inf if move.verdict != WENT and gain > 0 > spent else float(gain / spent)


def _rank(move: Move, event: Event) -> str:
    """How a move stands, by its gain per price, among those of its event that came too, or went too."""
    noun, best = NOUNS[move.verdict]
    rivals = [each for other in event.moves if other.verdict == move.verdict
              and (each := _per_price(other)) is not None]  # fmt: skip
    mine = _per_price(move)
    if mine is None or not rivals:
        return ""
    if len(rivals) == 1:
        return f", the only {noun} of this event"
    ahead = sum(each < mine if move.verdict == WENT else each > mine for each in rivals)
    place, order = (f"number {ahead + 1}", f", {best} first") if ahead else (f"the {best}", "")
    return f", {place} of the {len(rivals)} {noun}s of this event{order}"
