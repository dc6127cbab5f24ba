"""What quality assurance asks beside the figures of a proof: limits of use, faults of the data, versions, terms."""

from typing import Any

from ...phrases import LANGUAGES, language, phrase, say, speaking
from ...words import counted, flat, rate_text, shape
from ..check_words import worded
from ..facts import Facts, have
from . import Shown, Table, word

Record = dict[str, Any]
CHANGES = ("man", "machine", "material", "method")
SEVERITIES = ("error", "warning", "note")
TERMS = (  # the word and its meaning
    (phrase("detection rate"), phrase("Of all defective parts, the share that is rejected or shown to a person.")),
    (phrase("miss rate"), phrase("Of all defective parts, the share that is let through: 100 % less detection.")),
    (phrase("false-alarm rate"), phrase("Of all good parts, the share that is rejected.")),
    (
        phrase("claim"),
        phrase("What is to be shown, written down with its hash before anything learns."),
    ),
    (
        phrase("confidence limit"),
        phrase("The worst rate that the test parts do not rule out, by the exact one-sided test."),
    ),
    (
        phrase("confidence interval"),
        phrase("Where the true rate lies, in all but 5 % of such tests; exact, with two sides."),
    ),
    (
        phrase("working point"),
        phrase("The score from which a part is rejected; chosen on validation parts and stored in the file."),
    ),
    (phrase("test part"), phrase("Parts that were kept aside and judged once, after everything was decided.")),
    (phrase("validation part"), phrase("Parts on which network and working point were chosen.")),
    (
        phrase("gate of the stage"),
        phrase("What must hold before the next stage begins; overriding one is written down."),
    ),
    (phrase("4M change"), phrase("A change of man, machine, material or method, after which figures no longer hold.")),
)


def limits(facts: Facts) -> Shown:
    """For what the figures hold, what was seen of each kind of defect, and after which change they hold no longer."""
    size, channels = have(facts, "data", "size"), have(facts, "data", "channels")
    seen = f"{shape(size)}, {counted(channels or 1, 'channel')}" if size else "–"
    lead = [word("poc.limits.lead", seen), word("poc.limits.kinds")]
    inspection = have(facts, "metrics", "test", "inspection") or {}
    kinds = [
        [each["class"], "–" if each["detection"] is None else rate_text(each["detection"])]
        for each in inspection.get("per_defect") or []
    ]
    changes = [
        [word(f"poc.change.{name}"), word(f"poc.change.{name}.what"), word(f"poc.change.{name}.do")] for name in CHANGES
    ]
    tables = [
        Table([word("poc.kind"), word("poc.detection")], kinds, word("poc.limits.each")),
        Table(
            [word("poc.change"), word("poc.change.what"), word("poc.change.do")], changes, word("poc.change.all"), True
        ),
    ]
    return Shown(word("poc.limits"), lead, tables if kinds else tables[1:], hints=[word("poc.limits.watch")])


def faults(checked: Record) -> Shown:
    """What the audit of the data found, the gravest first; pictures stand on its own page."""
    found = checked.get("findings")
    if found is None:  # series, which are looked at for copies and double labels alone
        return Shown(word("poc.faults"), [word("poc.faults.series")])
    rows = []
    for severity in SEVERITIES:
        for each in found:
            if each["severity"] == severity:
                words = worded(each["kind"], each["count"], each["facts"])
                rows.append([words["title"], word(f"poc.severity.{severity}"), words["do"]])
    if not rows:
        return Shown(word("poc.faults"), [word("poc.faults.none")])
    columns = [word(f"poc.faults.{key}") for key in ("what", "weight", "do")]
    return Shown(
        word("poc.faults"), tables=[Table(columns, rows, prose=True)], hints=[word("poc.faults.page", checked["page"])]
    )


def versions(record: Record, stages: dict[str, Record]) -> Shown:
    """What was used and made, by version and hash; what it takes to do the same again."""
    rows = [
        [word("poc.hash.claim"), record["claim"]["sha256"]],
        [word("poc.hash.data"), record["claim"]["data"]],
    ]
    rows += [[name, sha] for name, sha in (stages.get("export", {}).get("sha256") or {}).items()]
    machine = [list(each) for each in flat(record["environment"])]
    columns = [word("poc.hash.what"), word("poc.hash.value")]
    tables = [
        Table(columns, rows, "SHA-256", True),
        Table(columns, machine, say("Environment"), True),
    ]
    return Shown(word("poc.versions"), [word("poc.versions.again")], tables)


def terms() -> Shown:
    """The words of this page, in both languages."""
    other = next(each for each in LANGUAGES if each != language())
    rows = []
    for name, meaning in TERMS:
        with speaking(other):
            translated = say(name)
        rows.append([say(name), translated, say(meaning)])
    columns = [word("poc.terms.word"), word(f"poc.terms.{other}"), word("poc.terms.meaning")]
    return Shown(word("poc.terms"), tables=[Table(columns, rows, prose=True)])
