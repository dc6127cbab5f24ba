"""The page of a compression: before and after, what the gates found, and the parts whose decisions were turned."""

from collections.abc import Iterator
from typing import Any

from ..phrases import language, phrase, say, speaking
from ..words import amount, file_size, percent, rate_text
from . import page
from .page import Content, Frame, Section

Record = dict[str, Any]
STAGES = {"before": phrase("before"), "small": phrase("after training"), "int8": phrase("int8 file")}
GATES = {"network": phrase("the smaller network"), "int8": phrase("the file in int8")}
CHECKS = {
    "detection": phrase("detection is within the interval of the larger one"),
    "not_worse": phrase("not more parts are judged wrongly than the margin allows"),
    "agreement": phrase("at least 99 % of the classes stay"),
    "clear": phrase("no decision is turned far from the line"),
    "saturation": phrase("int8 answers as its own simulation does"),
}
WAYS = {
    "min-max": phrase("least and largest values"),
    "entropy": phrase("entropy"),
    "trained for int8": phrase("trained for int8"),
    "line drawn anew": phrase("line drawn anew"),
}
GATE = {True: phrase("passed"), False: phrase("failed")}
FASTER = 0.95  # of the time before; above that nothing was gained


def html(record: Record, lang: str) -> str:
    """The page of a record of `jobs.compress`."""
    sections = {
        "before-after": Section(phrase("Before and after"), _table, "compress.html"),
        "gates": Section(phrase("What the gates found"), _gates, "compress_gates.html"),
        "test": Section(phrase("Test data, read once"), _test, "compress.html"),
        "turned": Section(phrase("Turned decisions"), _turned, "compress_turned.html"),
    }
    with speaking(lang):
        footer = say("Decisions were made on validation data. Times were taken on this machine, in turns.")
        frame = Frame(record["name"], footer, noun=record["noun"])
        return page.html(frame, record, sections, page.statement(*_said(record)))


def sentences(record: Record, lang: str) -> Iterator[str]:
    """The result in sentences."""
    with speaking(lang):
        yield from list(_said(record))


def _said(record: Record) -> Iterator[str]:
    for name, told in record["gates"].items():
        values = {"what": say(GATES[name]), "turned": told["turned"], "all": told["samples"]}
        if told["passed"]:
            yield _begun(say("{what} passed its gate: {turned} of {all} decisions turned.", **values))
        else:
            lost = ", ".join(say(CHECKS[check]) for check, held in told["checks"].items() if not held)
            failed = phrase("{what} failed its gate: {turned} of {all} decisions turned; not so: {lost}.")
            yield _begun(say(failed, **values, lost=lost))
    if record["int8_kept"] and (line := record["gates"]["int8"].get("line")):
        told = phrase(
            "The file in int8 has a line of its own ({after} in place of {before}), drawn on validation data so that "
            "it decides as the file in float32; with the old line {turned} decisions were turned."
        )
        yield say(told, turned=line["turned"], **{name: f"{line[name]:.4f}" for name in ("before", "after")})
    if record["asked"]["int8"] and not record["int8_kept"]:
        yield say("The exported file stays in float32.")
    handed = [each for each in record["stages"] if each["stage"] != "int8" or record["int8_kept"]]
    if len(handed) > 1:
        yield _speed(handed)


def _begun(sentence: str) -> str:
    return sentence if language() == "ja" else sentence[:1].upper() + sentence[1:]


def _speed(stages: list[dict[str, Any]]) -> str:
    first, last = stages[0], stages[-1]
    times = [each["times"][0]["ms"] for each in (first, last)]
    values = {
        "size": percent(last["bytes"] / first["bytes"]),
        "before": f"{times[0]:.2f}",
        "after": f"{times[1]:.2f}",
    }
    slow = phrase("It is not faster on this machine ({before} and {after} ms); its size is {size} of what it was.")
    fast = phrase("It takes {after} ms in place of {before} on this machine; its size is {size} of what it was.")
    return say(slow if times[1] > FASTER * times[0] else fast, **values)


def _table(record: Record) -> Content:
    stages = record["stages"]
    rows = [
        (say("accuracy"), [rate_text(each["accuracy"]) for each in stages]),
        (say("defects found"), [rate_text(each["found"]) for each in stages]),
        (say("false alarms"), [rate_text(each["false_alarms"]) for each in stages]),
        (say("multiply-adds"), [amount(each["macs"]) for each in stages]),
        (say("parameters"), [amount(each["params"]) for each in stages]),
        (say("size of the file"), [file_size(each["bytes"]) for each in stages]),
    ]
    for k, row in enumerate(stages[0]["times"]):
        name = say("milliseconds, threads: {threads}", threads=row["threads"])
        rows.append((name, [f"{each['times'][k]['ms']:.2f}" for each in stages]))
    return {"columns": [say(STAGES[each["stage"]]) for each in stages], "rows": rows}


def _gates(record: Record) -> Content:
    if not record["gates"]:
        raise LookupError(say("nothing was changed"))
    groups = []
    for name, told in record["gates"].items():
        rows = [(say(CHECKS[check]), say("yes") if held else say("no")) for check, held in told["checks"].items()]
        rows.append((say("largest change of a probability"), f"{told['largest_change']:.3g}"))
        rows.append((say("classes that stay"), f"{told['same_class']} / {told['samples']}"))
        groups.append({"title": say(GATES[name]), "rows": rows})
    tried = [
        (_way(each["way"]), say(GATE[each["passed"]]), each["turned"], f"{each['largest_change']:.3g}")
        for each in record.get("tries", [])
    ]
    return {"groups": groups, "tries": tried}


def _way(way: str) -> str:
    """How a file was quantised, in the page's language."""
    words = []
    for word in way.split(", "):
        count = word.partition(" ")[0]
        left = phrase("nodes in float32: {count}")
        words.append(say(left, count=count) if count.isdecimal() else say(WAYS.get(word, word)))
    return ", ".join(words)


def _test(record: Record) -> Content:
    """Before, and after each step whose file was kept."""
    made = [(name, record.get(key)) for name, key in (("small", "test"), ("int8", "test_int8"))]
    steps = [(name, told) for name, told in made if told]
    if not steps:
        raise LookupError(say("no test data, or no file that was kept"))
    shown = [steps[0][1]["before"], *(told["after"] for _, told in steps)]
    rows = [
        (say("accuracy"), [rate_text(each["accuracy"]) for each in shown]),
        (say("defects found"), [rate_text(each["found"]) for each in shown]),
        (say("false alarms"), [rate_text(each["false_alarms"]) for each in shown]),
        (say("decisions turned by the step"), ["", *(str(told["turned"]) for _, told in steps)]),
    ]
    return {"columns": [say(STAGES[name]) for name in ("before", *(name for name, _ in steps))], "rows": rows}


def _turned(record: Record) -> Content:
    if not record["pictures"]:
        raise LookupError(say("no validation decision was turned"))
    return {"images": [each | {"gate": say(GATES[each["gate"]])} for each in record["pictures"]]}
