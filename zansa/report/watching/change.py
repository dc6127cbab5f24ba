"""The report of a change (4M変更): the decision, champion against challenger, and the records."""

from collections.abc import Mapping
from typing import Any

from ...phrases import phrase, retold, say, speaking
from ...words import plain_percent
from .. import page
from ..page import Frame, Section
from . import words

Record = Mapping[str, Any]
SHOWN = 40  # records and flips
NAMED = 3  # escapes
WHO = {
    "old": phrase("before, at its line"),
    "new": phrase("after, at its own line"),
    "same_line": phrase("after, at the line of before"),
}
KINDS = {
    "acknowledge": phrase("warning acknowledged"),
    "decided": phrase("decided"),
    "compared": phrase("compared"),
    "waived": phrase("escapes waived"),
    "promoting": phrase("promotion begun"),
    "promoted": phrase("promoted"),
    "rolling back": phrase("rollback begun"),
    "rolled back": phrase("rolled back"),
    "refused": phrase("refused"),
}


def html(record: Record, language: str) -> str:
    """The page, in "en" or "ja"."""
    sections = {
        "decision": Section("Decision", _decision),
        "comparison": Section("The network before and after", _comparison, "change_flips.html"),
        "records": Section("Records", _records),
    }
    with speaking(language):
        frame = Frame(say("Change of an inspection (4M change: method)"), say("Made by zansa retrain."))
        return page.html(frame, record, sections, page.statement(*_summary(record)))


def lines(record: Record) -> str:
    """Decision and comparison as text."""
    decision, comparison = record["decision"], record["comparison"]
    told = [] if decision is None else [decision_text(decision), *_measured(decision)]
    return "\n".join(told if comparison is None else [*told, comparison_text(comparison), *_counts(comparison)])


def decision_text(decision: Record) -> str:
    """What to do, and why."""
    why = [words.reason(each) for each in decision["why"]] or [say("nothing that was measured asks for it")]
    return say("Decision: {do} – {why}.", do=say(words.DO[decision["do"]]), why="; ".join(why))


def comparison_text(comparison: Record) -> str:
    """Whether the challenger may act, and what speaks against it."""
    if comparison["passed"]:
        return say(
            "The new network may act: on {parts} parts it is not worse by more than {margin}, and it finds {found} of "
            "{escapes} confirmed escapes.",
            parts=comparison["parts"],
            margin=plain_percent(comparison["margin"]),
            escapes=comparison["escapes"],
            found=comparison["escapes"] - len(comparison["escapes_waived"]),
        )
    why = "; ".join(_against(comparison, each) for each in comparison["reasons"])
    missed = ", ".join(comparison["escapes_missed"][:NAMED])
    missed += ", …" if len(comparison["escapes_missed"]) > NAMED else ""
    return say("The new network may not act: {why}.", why=f"{why} ({missed})" if missed else why)


def _against(comparison: Record, reason: str) -> str:
    """A reason against the new network; where too few parts were compared to show anything, how many it takes."""
    text, row = say(words.AGAINST[reason]), comparison.get(reason)
    if not isinstance(row, Mapping) or row["parts"] >= row["needed"]:
        return text
    return text + say(" ({parts} such parts were compared; it takes {needed} or more)", **row)


def _summary(record: Record) -> list[str]:
    decision, comparison = record["decision"], record["comparison"]
    told = [] if decision is None else [decision_text(decision)]
    told += [] if comparison is None else [comparison_text(comparison)]
    return told or [say("Records of changes: {count}", count=len(record["chain"]["records"]))]


def _measured(decision: Record) -> list[str]:
    """The rates with their intervals beside what is accepted, and the expected gain."""
    told = []
    for name, term in (("misses", say("missed defects")), ("false_alarms", say("rejected good parts"))):
        rate, most = decision["rates"][name], decision["accepted"][name]
        text = say("not measured")
        if rate is not None:
            text = say("{value} ({low} to {high})", **{k: plain_percent(rate[k]) for k in ("value", "low", "high")})
        limit = say("; accepted: {most}", most=plain_percent(most)) if most is not None else ""
        told.append(f"{term}: {text}{limit}")
    if gain := decision["gain"]:
        told.append(
            say(
                "expected gain until the next look: {gain}, with a chance of {chance} to be above 0 (assumed: a "
                "training mends 20 to 80 % of what is wrong)",
                gain=f"{gain['expected']:.0f}",
                chance=plain_percent(gain["chance"]),
            )
        )
    return told


def _counts(comparison: Record) -> list[str]:
    told = [
        say(
            "{who}: {missed} of {defects} defects missed, {false_alarms} of {good} good parts rejected",
            who=say(WHO[name]),
            **row,
        )
        for name, row in comparison["counts"].items()
    ]
    told += [*_taught(comparison), *_line(comparison), *_escapes(comparison)]
    p = comparison["mcnemar"]["exact"]
    told.append(say("McNemar's exact test of equal rates, over parts: p = {p}", p=f"{p:.2g}"))
    if comparison["again"]:
        told.append(
            say("judged parts that the new network contradicts, to be read again by others: {again}", **comparison)
        )
    return told


def _taught(comparison: Record) -> list[str]:
    """What was done in the training about kinds of defects of which there are few pictures."""
    told = []
    if shown := comparison["shown"]:
        rare = ", ".join(f"{name} × {times:.2g}" for name, times in shown.items())
        told.append(say("rare classes were shown more often in training: {rare}", rare=rare))
    if comparison["longer"] > 1:
        told.append(say("it learned for {longer} times as many epochs as the run, because of them", **comparison))
    if few := comparison["last"]:
        told.append(say("its last weights were kept: too few validation parts of {few} to find the best", few=few))
    return told


def _line(comparison: Record) -> list[str]:
    """The line of the new network, and where more false alarms than before are within what is accepted."""
    by = f" – {say(words.LINE_BY[comparison['line_by']])}" if comparison["line_by"] else ""
    told = [say("its line: {rule}", rule=retold(comparison["rule"])) + by]
    row = comparison["false_alarms"]
    if row and row.get("within") and row["low"] <= -comparison["margin"]:
        shares = {name: plain_percent(row[name]) for name in ("rate", "high", "accepted")}
        told.append(
            say(
                "it rejects more good parts than before, {rate} (at most {high}), and that is not above the accepted "
                "{accepted} by more than {margin}",
                **shares,
                margin=plain_percent(comparison["margin"]),
            )
        )
    return told


def _escapes(comparison: Record) -> list[str]:
    """What finding the confirmed escapes is worth, and which of them people let it miss."""
    told, learned = [], comparison["escapes_learned"]
    if learned is not None:
        text = say(
            "confirmed escapes: {escapes}; it was made with {learned} of them, so that finding these tells nothing of "
            "others",
            escapes=comparison["escapes"],
            learned=learned,
        )
        told.append(text)
    if waived := comparison["escapes_waived"]:
        told.append(say("people let it miss: {waived}; the reasons stand in the records", waived=", ".join(waived)))
    return told


def _decision(record: Record) -> dict[str, Any]:
    if record["decision"] is None:
        raise LookupError(say("nothing was decided this time"))
    return page.plain(lead=decision_text(record["decision"]), hints=_measured(record["decision"]))


def _comparison(record: Record) -> dict[str, Any]:
    told = record["comparison"]
    if told is None:
        raise LookupError(say("nothing was compared"))
    flips = [row | {"name": row["lot"].removeprefix("old ")} for row in told["negative_flips"][:SHOWN]]
    more = say("parts that were right before and are wrong now: {count}", count=len(told["negative_flips"]))
    return page.plain(lead=comparison_text(told), hints=[*_counts(told), more]) | {"flips": flips}


def _why(row: Record) -> str:
    """Why a record was made, in the reader's language where zansa has said it."""
    known = {"decided": words.WHY, "compared": words.AGAINST}.get(row["kind"], {})
    said = [say(known[each]) if each in known else each for each in row["why"].split(", ")]
    return "; ".join(words.reason(each) if each.startswith("new class ") else each for each in said)


def _records(record: Record) -> dict[str, Any]:
    chain = record["chain"]
    rows = [
        (
            f"{row['number']} · {row['time'][:16].replace('T', ' ')}",
            f"{say(KINDS[row['kind']])} · {row['who']} · {_why(row)}",
        )
        for row in chain["records"][-SHOWN:]
    ]
    lead = say("Every record holds the hash of the one before; the last is {hash}.", hash=chain["head"][:32])
    return page.plain(lead=chain["broken"] or lead, pairs=rows)
