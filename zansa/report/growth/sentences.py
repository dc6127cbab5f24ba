"""How a network grew, in words: sentences, facts, its stages before and after, and an entry for each event."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ...arch.cost import cost
from ...arch.spec import Net
from ...phrases import language, phrase, retold, say
from ...words import SPACE, amount, counted, number, percent, plain_percent, price_text
from ..facts import Facts, have, trained
from ..page import Content
from .history import CAME, CHANGED, WENT, Event, History, Line, history_of, limit_of

NOUNS = {CAME: ("addition", "best"), WENT: ("removal", "cheapest"), CHANGED: ("change", "best")}
EVENTS, LONG = 100, 12  # events that the page lists; edits of a journal that it shows unasked


def nats(gain: float, error: float | None) -> str:
    """A change of the loss, without its sign and with two digits of its standard error: "0.0123 ± 0.0010 nats"."""
    if not error:
        return f"{abs(gain):.3g}{SPACE}nats"
    digits = 1 - math.floor(math.log10(error))
    form = f".{digits}f" if 0 <= digits <= 6 else ".2g"
    return f"{abs(gain):{form}} ± {error:{form}}{SPACE}nats"


def _worth(line: Line) -> str:
    """What was expected of an edit: "predicted gain 0.0123 ± 0.0010 nats for 0.24 M multiply-adds"."""
    gain, spent = line.get("gain"), line.get("spent") or 0.0
    price = price_text(abs(spent), line.get("unit", ""))
    cost = say("for {price}" if spent >= 0 else "saves {price}", price=price)
    if gain is None:
        return cost
    told = say("predicted gain {nats}" if gain >= 0 else "predicted damage {nats}", nats=nats(gain, line.get("error")))
    return f"{told} {cost}" if spent >= 0 else f"{told}{say(', ')}{cost}"


def known(line: Line) -> list[str]:
    """What had been measured before an event: ["validation loss 0.812", "accuracy 71.2 %"]."""
    loss = [f"{say('validation loss')} {line['val_loss']:.4g}"] if line.get("val_loss") is not None else []
    rates = ((phrase("accuracy"), "val_accuracy"), (phrase("balanced accuracy"), "val_balanced_accuracy"))
    return loss + [f"{say(name)} {percent(line[key])}" for name, key in rates if line.get(key) is not None]


def told(facts: Facts) -> Content:
    """What the page and the card say of a growth; ValueError when its first network cannot be read."""
    history = history_of(facts)
    events, moves = history.events, history.moves
    return {
        "lead": ("" if language() == "ja" else " ").join(_lead(facts, history)),
        "facts": list(_facts(facts, history)),
        "race": [_rival(line) for line in facts["race"]],
        "stages": [_stage_row(i, history) for i in range(len(history.start.stages))],
        "events": [_event(event) for event in events[:EVENTS]],
        "more": counted(len(events) - EVENTS, "event") if len(events) > EVENTS else "",
        "long": len(moves) > LONG,
        "edits": counted(len(moves), "edit"),
    }


def _lead(facts: Facts, history: History) -> Iterable[str]:
    blocks = _blocks(history.start)
    if not history.events:
        text = "The network began with {blocks} and {price}; its structure has not been changed."
        yield say(text, blocks=blocks, price=price_text(cost(history.start).macs, "macs"))
        return
    first, last, limit = history.events[0].first, history.events[-1].last, limit_of(facts, history)
    unit, edits = last.get("unit", ""), counted(len(history.moves), "edit")
    yield say(
        "The network began with {blocks} and {price}.", blocks=blocks, price=price_text(first["price_before"], unit)
    )
    yield from _moments(facts, history, edits, limit)
    of = ""
    if limit:
        share, whole = percent(last["price_after"] / limit), price_text(limit, unit, named=False)
        of = say(", {share} of the limit of {whole}", share=share, whole=whole)
    blocks = "" if history.broken else say("{blocks} and ", blocks=_blocks(history.nets[-1]))
    text = "It ended with {blocks}{price}{of}." if trained(facts) else "It now has {blocks}{price}{of}."
    yield say(text, blocks=blocks, price=price_text(last["price_after"], unit), of=of)
    if unit == "ms":
        yield say(
            "The whole network was timed anew at each moment; what a single edit costs is foretold from its parts."
        )


def _moments(facts: Facts, history: History, edits: str, limit: float | None) -> Iterable[str]:
    """At how many moments of its training a network changed, and why it did not change at the others.

    The run of a smaller budget leaves another growth on its way, and so has not had all of its moments."""
    last, changed = history.events[-1].last, len(history.events)
    planned = 0 if have(facts, "data", "branch_of") else last.get("moments", 0)
    some = say("{changed} of the {planned} moments", changed=changed, planned=planned)
    moments = some if changed < planned else counted(changed, "moment")
    yield say("{edits} at {moments} of its training changed it.", edits=edits, moments=moments)
    if changed < planned and trained(facts) and not (limit and last["price_after"] > limit):
        yield say("At the others nothing that would fit promised more than chance explains.")


def _rival(line: Line) -> Content:
    """How one first network did in the race: what it is, and how much lower its loss was than the usual one's."""
    gain = line["gain"]
    text = "lower by {nats}" if gain >= 0 else "higher by {nats}"
    than = say(text, nats=nats(gain, line["error"])) if line["error"] else SPACE
    return {
        "name": retold(line["name"]),
        "loss": than,
        "macs": price_text(line["macs"], "macs", named=False),
        "params": amount(line["params"]),
        "won": line["won"],
    }


def _blocks(net: Net) -> str:
    return counted(sum(len(stage.blocks) for stage in net.stages), "block")


def _facts(facts: Facts, history: History) -> Iterable[tuple[str, str]]:
    for key in (phrase("budget"), phrase("method")):
        if asked := have(facts, "request", key):
            yield say(key), number(asked)
    if main := have(facts, "data", "branch_of"):
        own = sum(move.line.get("limit") == limit_of(facts, history) for move in history.moves)
        shared = counted(len(history.moves) - own, "edit")
        yield say("a smaller budget of"), say("{main}, whose first {edits} it shares", main=main, edits=shared)
    verdicts = Counter(move.verdict for move in history.moves)
    if verdicts:
        numbers = (f"{verdicts[verdict]} {say(verdict)}" for verdict in NOUNS if verdicts[verdict])
        yield say("edits"), ", ".join(numbers)
    edits = counted(len(history.moves), "edit")
    yield say("replaying the {edits} gives the network", edits=edits), _replays(facts, history)


def _replays(facts: Facts, history: History) -> str:
    if history.broken:
        return say("no: {reason}", reason=history.broken)
    if have(facts, "spec") is None:
        return say("cannot be told: spec.json is not there or cannot be read")
    if Net.from_dict(facts["spec"]) == history.nets[-1]:
        return say("yes")
    return say("no: spec.json holds another one" if trained(facts) else "not known before the training has ended")


def _stage_row(i: int, history: History) -> Content:
    first, last = history.start.stages[i], history.nets[-1].stages[i]
    told = [
        (len(stage.blocks), stage.width, _span([width for block in stage.blocks for width in block.convolved]))
        for stage in (first, last)
    ]
    blocks, width, inner = (change(*pair) for pair in zip(*told, strict=True))
    return {"name": say("stage {k}", k=i), "blocks": blocks, "width": width, "inner": inner}


def change(old: Any, new: Any) -> str:
    """A value before and after: "8 → 12", or "8" if it stayed."""
    return str(new) if old == new else f"{old} → {new}"


def _span(widths: list[int]) -> str:
    low, high = min(widths), max(widths)
    return str(low) if low == high else f"{low}–{high}"


def _event(event: Event) -> Content:
    return {
        "when": say("{share}, step {step}", share=plain_percent(event.first["progress"]), step=event.first["step"]),
        "price": _spending(event),
        "known": ", ".join(known(event.first)),
        "moves": [(say(verdict), *entry) for verdict in (WENT, CHANGED, CAME) for entry in _grouped(event, verdict)],
        "counts": Counter(move.verdict for move in event.moves),
    }


def _spending(event: Event) -> str:
    """ "4.10 M → 6.02 M of 6.10 M multiply-adds allowed"."""
    unit, allowed = event.last.get("unit", ""), event.last.get("allowance")
    before, after = event.first["price_before"], event.last["price_after"]
    end = price_text(after, unit, named=allowed is None)
    of = say(" of {price} allowed", price=price_text(allowed, unit)) if allowed else ""
    return f"{price_text(before, unit, named=False)} → {end}{of}"


def _grouped(event: Event, verdict: str) -> Iterable[tuple[str, str]]:
    """(where, what) of the moves of one verdict, stage by stage; the stem comes first."""
    texts: dict[str, list[str]] = {}
    for move in event.moves:
        if move.verdict == verdict:
            texts.setdefault(move.where, []).append(f"{move.what} ({_worth(move.line)})")
    places = sorted(texts, key=lambda where: (where != say("stem"), where))
    return ((where, "; ".join(texts[where])) for where in places)
