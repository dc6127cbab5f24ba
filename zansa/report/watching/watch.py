"""The watch on a served network: in sentences for the screen, and as a page."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...phrases import retold, say, speaking
from ...words import plain_percent
from .. import page
from ..page import Frame, Section
from . import words

Record = Mapping[str, Any]
CALM = 4  # calm charts that the page shows below those with a warning
WINDOWS = 12  # statistics of the last lots


def html(record: Record, language: str) -> str:
    """The page of what `deploy.watch.look` found, in "en" or "ja"."""
    sections = {
        "charts": Section("Time line", _charts, "watch.html"),
        "pictures": Section("Pictures", _pictures, "watch_pictures.html"),
        "windows": Section("The last lots against the calm time", _windows),
        "labels": Section("What people found", _labels),
        "gauges": Section("Without labels", _gauges),
        "promise": Section("What is promised", _promise),
    }
    with speaking(language):
        frame = Frame(f"{record['model']} · {record['store']}", say("Made by zansa watch."), _date(record))
        return page.html(frame, record, sections, page.statement(*_state(record)[:4], *_another(record)))


def lines(record: Record) -> str:
    """The same as text: the state, each alarm, and what people found."""
    return "\n".join([*sentences(record), *(f"{term}: {text}" for term, text in _found(record)), *_gauge_lines(record)])


def sentences(record: Record) -> list[str]:
    """The state, a sentence for each alarm, and whether another version acts by now."""
    return [*_state(record), *_another(record)]


def _another(record: Record) -> list[str]:
    if record["acting"] == record["version"]:
        return []
    if record["acting"] is None:
        return [say("The store has no file of the model that acts, so it is not known which version acts by now.")]
    text = say(
        "Version {acting} acts by now and has judged no part yet; all of this is of version {version}.",
        acting=record["acting"],
        version=record["version"],
    )
    return [text]


def _state(record: Record) -> list[str]:
    if record["dead"]:
        return [say("Stop: the camera seems dead ({why}).", why=say(words.DEAD[record["dead"]]))]
    if record["state"] == "learning":
        text = say(
            "The calm time is being learned: {units} of {calm} lots are there, and nothing is watched yet.",
            **_n(record),
        )
        return [text]
    alarms = [row for row in record["charts"] if row["alarm"]]
    if not alarms:
        watched = record["units"] - record["calm"]
        return [say("Calm: {watched} lots after the calm time, no open warning.", watched=watched), *_hint(record)]
    return [say("Warnings: {count}", count=len(alarms)), *map(alarm_text, alarms)]


def _hint(record: Record) -> list[str]:
    """What is no warning yet, and yet a reason to look."""
    moved = [words.statistic(row["name"]) for row in record["windows"] if row["alarm"]]
    if not moved:
        return []
    return [say("No warning, but a reason to look: the last lots differ in {statistics}.", statistics=", ".join(moved))]


def alarm_text(row: Record) -> str:
    """An alarm: what changed, how, since when."""
    return say(
        "{statistic}: {way}, since {time}, lot {lot}; told at {told}, lot {told_lot}.",
        statistic=words.statistic(row["name"]),
        way=say(words.WAYS[row["way"]]),
        time=_time(row["since"]["local"]),
        lot=row["since"]["name"],
        told=_time(row["at"]["local"]),
        told_lot=row["at"]["name"],
    )


def _n(record: Record) -> dict[str, Any]:
    return {"units": record["units"], "calm": record["calm"]}


def _calm(record: Record) -> str:
    """How many lots of the calm time there are."""
    here, whole = min(record["units"], record["calm"]), record["calm"]
    return str(whole) if here == whole else say("{count} of {all}", count=here, all=whole)


def _time(local: str) -> str:
    return local[:16].replace("T", " ")


def _date(record: Record) -> str:
    return _time(record["last"]["local"]) if record["last"] else ""


def _charts(record: Record) -> dict[str, Any]:
    if not record["charts"]:
        raise LookupError(sentences(record)[0])
    rows = [
        {
            "name": words.statistic(row["name"]),
            "alarm": row["alarm"],
            "text": alarm_text(row) if row["alarm"] else "",
            "line": _polyline(row["path"], record["threshold"]),
        }
        for row in record["charts"][: CALM + sum(row["alarm"] for row in record["charts"])]
    ]
    return {"rows": rows, "units": record["units"] - record["calm"]}


def _polyline(path: list[float], threshold: float) -> str:
    """The points of a time line in a box of 300 x 40, whose top is one and a half times the threshold."""
    step = 300 / max(1, len(path) - 1)
    height = [40 - 40 * min(max(value, 0.0) / (1.5 * threshold), 1.0) for value in path]
    return " ".join(f"{k * step:.1f},{y:.1f}" for k, y in enumerate(height))


def _windows(record: Record) -> dict[str, Any]:
    if not record["windows"]:
        raise LookupError(sentences(record)[0])
    told = partial(say, "moved by {shift} of the ranks; p = {p}{alarm}")
    pairs = [
        (words.statistic(row["name"]), told(shift=f"{row['shift']:+.2f}", p=f"{row['p']:.2g}", alarm=_mark(row)))
        for row in record["windows"][:WINDOWS]
    ]
    hint = say(
        "A change is large from about 0.2 on: then 7 of 10 parts lie beyond the old middle. The largest is first."
    )
    return page.plain(pairs=pairs, hints=[hint])


def _mark(row: Record) -> str:
    return say(" – changed") if row["alarm"] else ""


def _pictures(record: Record) -> dict[str, Any]:
    found = record["pictures"]
    if not found:
        raise LookupError(say("no images are kept") if record["charts"] else sentences(record)[0])
    culprit = words.statistic(found["culprit"]) if "culprit" in found else ""
    return {"median": found.get("median", []), "typical": found.get("typical", []), "culprit": culprit}


def _found(record: Record) -> list[tuple[str, str]]:
    """What people found, as (term, sentence)."""
    told, audit = [], record["audit"] or {}
    for name, term in (
        ("misses", say("defects among accepted parts")),
        ("false_alarms", say("good among rejected parts")),
    ):
        if row := audit.get(name):
            told.append((term, estimate_text(row)))
    if record["known"]:
        rate = record["known"]
        told.append((say("known defects sent through"), say("{hits} of {count} were rejected", **rate)))
    return told


def estimate_text(row: Record) -> str:
    """An estimate with its interval."""
    text = say(
        "about {value} ({low} to {high}) of {of}, from {looked} that people looked at",
        **{name: f"{row[name]:.0f}" for name in ("value", "low", "high")},
        of=row["of"],
        looked=row["looked"],
    )
    if reviewer := row.get("reviewer"):
        text += say("; corrected, since people recognised {recognised} of {shown} known defects", **reviewer)
    return text


def _labels(record: Record) -> dict[str, Any]:
    found = [f"{term}: {text}" for term, text in _found(record)]
    hints = [
        say(
            "{looks} accepted parts without a find show less than {share} defects among them: {days} days at 50 a day",
            looks=row["looks"],
            share=plain_percent(row["share"]),
            days=f"{row['days']:.1f}",
        )
        for row in record["plan"] or []
    ]
    lead = "" if found else say("Nobody has looked yet; `zansa review STORE --plan 50` chooses what to look at.")
    return page.plain(lead=lead, hints=[*found, *hints])


def _gauge_lines(record: Record) -> list[str]:
    gauges = record["gauges"]
    if not gauges:
        return []
    rate = gauges["accuracy"]
    told = [
        say(
            "accuracy, estimated: {now} (then {then})",
            now=plain_percent(rate["value"]),
            then=plain_percent(rate["then"]),
        )
    ]
    told[0] += f" – {retold(rate['assumes'])}"
    if share := gauges.get("share"):
        text = say("share of defects, estimated: {now}", now=plain_percent(share["likelihood"]))
        told.append(f"{text} – {retold(share['assumes'])}")
    elif "share" in gauges:
        told.append(say("the share of defects is not estimated while a warning is open"))
    return told


def _gauges(record: Record) -> dict[str, Any]:
    told = _gauge_lines(record)
    if not told:
        raise LookupError(say("no run was named; --reference RUN brings its validation samples"))
    return page.plain(hints=told)


def _promise(record: Record) -> dict[str, Any]:
    lead = say(
        "While nothing changes, all charts together give at most {alarms} false warnings a year on average, with lots "
        "as the unit. Changes within the margin of a calm time of {calm} lots are tolerated.",
        alarms=f"{record['alarms_a_year']:g}",
        calm=record["calm"],
    )
    pairs = [
        (say("parts"), str(record["parts"])),
        (say("lots in the calm time, parts in them"), f"{_calm(record)}, {record['calm_parts']}"),
        (say("lots a year at this pace"), f"{record['units_a_year']:.0f}"),
        (say("parts in lots too small to count"), str(record["left_out"])),
        (say("version and file"), f"{record['version']}, {record['sha'][:12]}"),
        (say("last record of the chain"), record["head"][:16]),
    ]
    return page.plain(lead=lead, pairs=pairs)
