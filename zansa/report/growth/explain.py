"""Why a part of the network came or went."""

import math
from collections.abc import Iterable

from ...record import Run
from ...words import number, plain_percent, price_text, typed
from ..facts import Facts
from .history import WENT, Event, History, Line, Move, grown, history_of, limit_of
from .sentences import NOUNS, known, nats

WORTH = {  # by the unit of a budget: what gains are divided by, and how many units that is
    "macs": ("million multiply-adds", 1e6),
    "params": ("thousand parameters", 1e3),
    "bytes": ("kB", 1e3),
    "ms": ("ms", 1.0),
}


def explain(run: Run, step: int | str) -> str:
    """Why each edit at a step of a growth was made, as lines of text; the step "last" is that of the last change.

    Raises ValueError when the run did not grow, when nothing was changed at that step (it names the steps at which
    something was), and when the lines of the journal are damaged."""
    facts = grown(run)
    history = history_of(facts)
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
    return typed("\n".join(lines))


def _heading(facts: Facts, history: History, k: int) -> Iterable[str]:
    event, limit = history.events[k], limit_of(facts, history)
    unit, before, after = event.last.get("unit", ""), event.first["price_before"], event.last["price_after"]
    when = f"step {event.first['step']}, {plain_percent(event.first['progress'])} of the training"
    yield f"{facts['name']}, {when}: event {k + 1} of {len(history.events)}"
    yield f"before   {', '.join([price_text(before, unit), *known(event.first)])}"
    if (allowed := event.last.get("allowance")) is not None:
        of = f" of a limit of {price_text(limit, unit, named=False)}" if limit else ""
        yield f"allowed  {price_text(allowed, unit)}{of}: {_room(before, allowed, unit)}"
    yield f"after    {price_text(after, unit)}"


def _room(price: float, allowed: float, unit: str) -> str:
    if price > allowed:
        return f"the network cost {price_text(price - allowed, unit, named=False)} too much"
    return f"{price_text(allowed - price, unit, named=False)} free"


def _reasons(event: Event) -> Iterable[str]:
    for place, move in enumerate(event.moves, 1):
        yield f"\n{place}. {move.verdict}: {move.where}, {move.what}"
        yield from (f"   {sentence}" for sentence in _why(move, _rank(move, event)))


def _why(move: Move, rank: str) -> Iterable[str]:
    line = move.line
    gain, error, spent = line.get("gain"), line.get("error"), line.get("spent") or 0.0
    price = f"{'costs' if spent >= 0 else 'saves'} {price_text(abs(spent), line.get('unit', ''))}"
    if gain is None:
        yield f"It {price}."
    else:
        change = f"{'lower' if gain >= 0 else 'raise'} the validation loss by {nats(gain, error)}"
        yield f"It {price} and was expected to {change}{_rate(line)}{rank}."
    if gain and error:
        yield _certainty(abs(gain) / error)
    if line.get("reason"):
        yield f"The journal's own reason: {number(line['reason'])}"


def _rate(line: Line) -> str:
    """Gain or damage per price: ": 0.012 nats per million multiply-adds"; "" for what gains and saves as well."""
    per, scale = WORTH.get(line.get("unit", ""), (f"{line.get('unit')}", 1.0))
    if not line.get("gain") or not line.get("spent") or line["gain"] > 0 > line["spent"]:
        return ""
    return f": {scale * abs(line['gain'] / line['spent']):.2g} nats per {per}"


def _certainty(errors: float) -> str:
    told = f"That is {errors:.1f} standard errors from nothing"
    return f"{told}: more than chance explains." if errors >= 2 else f"{told}: chance alone could look so."


def _per_price(move: Move) -> float | None:
    """The gain per price of a move, infinite where what comes saves as well; of a removal, its damage per saving."""
    gain, spent = move.line.get("gain"), move.line.get("spent")
    if gain is None or not spent:
        return None
    return math.inf if move.verdict != WENT and gain > 0 > spent else float(gain / spent)


def _rank(move: Move, event: Event) -> str:
    """The place of a move, by its gain per price, among those moves of its event that have the same verdict."""
    noun, best = NOUNS[move.verdict]
    rivals = [
        each for other in event.moves if other.verdict == move.verdict and (each := _per_price(other)) is not None
    ]
    mine = _per_price(move)
    if mine is None or not rivals:
        return ""
    if len(rivals) == 1:
        return f", the only {noun} of this event"
    ahead = sum(each < mine if move.verdict == WENT else each > mine for each in rivals)
    place, order = (f"number {ahead + 1}", f", {best} first") if ahead else (f"the {best}", "")
    return f", {place} of the {len(rivals)} {noun}s of this event{order}"
