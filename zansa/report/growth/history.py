"""The history of a growth, replayed from its journal."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ...arch.apply import apply
from ...arch.budget import parse
from ...arch.edits import (
    AnyEdit,
    Delete,
    Insert,
    Merge,
    Mix,
    Regrid,
    Rekind,
    Remap,
    Split,
    Tie,
    Widen,
    edit_from_dict,
)
from ...arch.lower import lower
from ...arch.spec import Block, Net, Stage
from ...phrases import phrase, say
from ...record import Run
from ...words import number
from .. import facts as records
from ..facts import Facts, have

Line = dict[str, Any]
CAME, WENT, CHANGED = phrase("came"), phrase("went"), phrase("changed")  # said where they are shown


# --- the record ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Move:
    """An edit, and what it did.

    line: the edit's line of the journal.
    verdict: CAME, WENT or CHANGED.
    where: the place in the network, for example "stage 1".
    what: the thing that came, went or changed, for example "block 0: inner width 16 → 24".
    """

    line: Line
    verdict: str
    where: str
    what: str


@dataclass(frozen=True)
class Event:
    """The edits of one step.

    moves: the edits in their order, at least one.
    net: the network after them, or the last one that is known.
    """

    moves: list[Move]
    net: Net

    @property
    def first(self) -> Line:
        """The journal's line of the first of its moves."""
        return self.moves[0].line

    @property
    def last(self) -> Line:
        """The journal's line of the last of its moves."""
        return self.moves[-1].line


@dataclass(frozen=True)
class History:
    """The first network and what became of it.

    start: the network that the growth began with.
    events: the steps at which it changed.
    broken: why an edit cannot be applied, or "". From that edit on the networks stay as they are.
    """

    start: Net
    events: list[Event]
    broken: str

    @property
    def moves(self) -> list[Move]:
        """The moves of all events, in their order."""
        return [move for event in self.events for move in event.moves]

    @property
    def nets(self) -> list[Net]:
        """The first network and the one after each event."""
        return [self.start, *(event.net for event in self.events)]


def replayed(run: Run) -> Net:
    """The last network of a grown run, made by applying all edits of its journal to the first one.

    Raises ValueError when the run did not grow, and when an edit cannot be applied."""
    history = history_of(grown(run))
    if history.broken:
        raise ValueError(history.broken)
    return history.nets[-1]


def grown(run: Run) -> Facts:
    """The files of a run that grew; ValueError when it did not grow, and when its journal cannot be read."""
    facts = records.read(run)
    for name in ("start.json", "edits.jsonl"):
        if reason := facts["unreadable"].get(name):
            raise ValueError(reason)
    if facts["start"] is None:
        raise ValueError(f"{run.path} did not grow: it has no start.json; runs of `zansa grow` have one")
    return facts


def history_of(facts: Facts) -> History:
    """The history in the files of a run; ValueError when the first network cannot be read."""
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
    """The move of a line of the journal, the network after it, and why that cannot be known, or ""."""
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


def limit_of(facts: Facts, history: History) -> float | None:
    """The limit in the unit of the budget, which is the largest of several budgets; None if none is known."""
    try:
        return parse(str(have(facts, "request", "budget") or ""))[-1].limit
    except ValueError:
        return next((float(move.line["limit"]) for move in reversed(history.moves) if move.line.get("limit")), None)


# --- words -----------------------------------------------------------------------------------------------------------


def _what(edit: AnyEdit, net: Net, after: Net) -> tuple[str, str, str]:
    """The verdict, the place and the thing of an edit that makes one network into another."""
    if isinstance(edit, Widen | Remap):
        return _resized(edit.axis, net, after)
    where, at = say("stage {k}", k=edit.stage), edit.at
    match edit:
        case Insert():
            return CAME, where, say("block {k} ({inside})", k=at, inside=_inside(edit.block))
        case Delete():
            gone = _inside(net.stages[edit.stage].blocks[at])
            return WENT, where, say("block {k} ({inside})", k=at, inside=gone)
        case Split():
            return CAME, where, say("block {k} became two of half the step", k=at)
        case Merge():
            return (
                WENT,
                where,
                say("blocks {k} and {next} became one, in which they run side by side", k=at, next=at + 1),
            )
        case Regrid():
            verdict = CAME if edit.blocks > edit.count else WENT if edit.blocks < edit.count else CHANGED
            text = "{count} step(s) from block {k} on became {blocks}"
            return verdict, where, say(text, count=edit.count, k=at, blocks=edit.blocks)
        case Tie():
            text = "blocks {k} and {next} became one that is applied as often as both"
            return WENT, where, say(text, k=at, next=at + 1)
        case Rekind():
            return CHANGED, where, say("block {k} is now {inside}", k=at, inside=_inside(edit.block))
        case Mix():
            return CHANGED, where, say("block {k} mixes by {mix}", k=at, mix=number(edit.mix))


def _resized(axis: str, net: Net, after: Net) -> tuple[str, str, str]:
    old, new = lower(net).width[axis], lower(after).width[axis]
    part, _, inside = axis.partition(".")
    place = None if part == "stem" else int(part.removeprefix("stage"))
    where = say("stem") if place is None else say("stage {k}", k=place)
    what = _axis(inside, None if place is None else net.stages[place])
    if old == new:
        return CHANGED, where, say("{what} {width}, channels in another order", what=what, width=old)
    return CAME if new > old else WENT, where, f"{what} {old} → {new}"


def _axis(inside: str, stage: Stage | None) -> str:
    """The name of an axis in a stage or in the stem: "block1.hidden0" is "block 1: inner width"."""
    if not inside:
        return say("stream width")
    if stage is None:
        return say("width of convolution {k}", k=inside.removeprefix("deep"))
    block, _, hidden = inside.partition(".")
    place = int(block.removeprefix("block"))
    k, widths = int(hidden.removeprefix("hidden")), stage.blocks[place]
    of = say("gate width" if widths.of_gate(k) else "inner width")
    named = f"{of} {k + 1}:" if len(widths.convolved) > 1 else of
    return say("block {k}: {width}", k=place, width=named)


def _inside(block: Block) -> str:
    groups = say(", {count} groups", count=block.groups) if block.groups > 1 else ""
    gates = [width for k, width in enumerate(block.hidden) if block.of_gate(k)]
    gate = say(", gate {widths}", widths=_widths(gates)) if gates else ""
    kind = block.kind.replace("_", " ")
    return say("{kind}, inner width {widths}", kind=kind, widths=_widths(block.convolved)) + gate + groups


def _widths(widths: Iterable[int]) -> str:
    return "·".join(map(str, widths))


def _as_it_is(edit: Any) -> tuple[str, str, str]:
    """The verdict, the place and the values of an edit that is not understood."""
    if not isinstance(edit, dict):
        return CHANGED, say("network"), number(edit)
    values = {
        key: f"of {len(value)} values" if isinstance(value, list) and len(value) > 8 else value
        for key, value in edit.items()
        if key not in ("kind", "stage")
    }
    where = say("stage {k}", k=edit["stage"]) if "stage" in edit else say("network")
    return CHANGED, where, f"{number(edit.get('kind'))} {number(values) if values else ''}".rstrip()
