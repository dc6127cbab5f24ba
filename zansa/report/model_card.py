"""The model card in plain Markdown: what the model is, what it was made from, how good it is, and its limits."""

from collections.abc import Iterable
from typing import Any

from ..words import FINE, FULL, IMAGE, PLAIN, STRONG, number, rate_text, rule_text, typed
from . import cautions, results, setting
from .facts import Facts, have, judged, noun
from .gist import summary
from .growth import told as growth

READ = {
    "test": f"held-out test {IMAGE}s, read once at the end",
    "validation": f"validation {IMAGE}s, on which choices were made",
}
WORDS = {  # of images, and of series
    True: {
        "files": "IMAGES",
        "sample": "part.png",
        "source": "parts, cameras and light",
        "change": "product, camera or light",
    },
    False: {
        "files": "TABLES",
        "sample": "new.csv",
        "source": "sources and instruments",
        "change": "source or instrument",
    },
}
LOOP = 'for row in predict(predictor("{file}"), ["{sample}"]):\n    print(row)'


def card(facts: Facts) -> str:
    """The card as Markdown text; a part whose files are absent says so."""
    grown = [("How it grew", _growth)] if have(facts, "start") is not None else []
    parts = (
        ("What it is", _what),
        *grown,
        ("Data", _data),
        ("Figures", _figures),
        ("Limits", _limits),
        ("How to use", _use),
        ("Cost", _cost),
        ("Environment", _environment),
    )
    texts = [f"# {plain(facts['name'])}", *_lines(_summary, facts)]
    for title, part in parts:
        texts += [f"## {title}", *_lines(part, facts)]
    return typed("\n\n".join(texts).replace(IMAGE, noun(facts))) + "\n"


def _lines(part: Any, facts: Facts) -> list[str]:
    try:
        return list(part(facts))
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        return [f"Not recorded: {plain(str(error))}."]


def plain(text: str) -> str:
    """A text as one line of Markdown, in which every sign stands for itself; STRONG marks become **."""
    line = " ".join(str(text).split())
    for sign in "\\`*_[]#|~":
        line = line.replace(sign, "\\" + sign)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in (STRONG, PLAIN):
        line = line.replace(mark, "**")
    return line.replace(FINE, "").replace(FULL, "")


def table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    """A Markdown table with this head and these rows."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(plain(cell) if line is not lines[1] else cell for cell in line) + " |" for line in lines
    )


def _summary(facts: Facts) -> Iterable[str]:
    told = summary(facts)
    yield " ".join(plain(sentence) for sentence in told["sentences"])
    if told["outlook"]:
        yield " ".join(plain(sentence) for sentence in told["outlook"])


def _what(facts: Facts) -> Iterable[str]:
    net = setting.network(facts)
    size = f"{net['params']} parameters, {net['macs']} multiply-adds per {IMAGE}"
    yield f"A classifier of {IMAGE}s: a residual network of {plain(net['blocks'])}, {net['depth']} layers deep, {size}."
    yield f"It gives each {IMAGE} one class, and is meant for {IMAGE}s taken as those described under Data."
    head = ("part", "channels", "size", "layers", "multiply-adds", "parameters")
    columns = ("name", "width", "size", "layers", "macs", "params")
    yield table(head, (tuple(part[column] or "–" for column in columns) for part in net["parts"]))


def _growth(facts: Facts) -> Iterable[str]:
    told = growth.told(facts)
    yield plain(told["lead"])
    yield table(("", ""), told["facts"])
    columns = ("name", "blocks", "width", "inner")
    yield table(
        ("", "blocks", "channels", "inner widths"), (tuple(row[key] for key in columns) for row in told["stages"])
    )
    if told["events"]:
        names = ("when", *growth.NOUNS, "cost", "before it")
        yield table(names, (_growth_row(event) for event in told["events"]))
        yield "What came, went and changed each time, and why: report.html, and `zansa report RUN --step STEP`."


def _growth_row(event: dict[str, Any]) -> tuple[Any, ...]:
    counts = (event["counts"][verdict] for verdict in growth.NOUNS)
    return event["when"], *counts, event["price"], event["known"] or "–"


def _data(facts: Facts) -> Iterable[str]:
    told = setting.data(facts)
    if told["synthetic"]:
        yield "**Synthetic images: drawn by a program, not taken by a camera.**"
    yield table(("", ""), told["facts"])
    total = told["totals"]
    rows = [(row["name"], row["train"], row["val"], row["test"]) for row in told["rows"]]
    yield table(
        ("class", "training", "validation", "test"),
        [*rows, ("all", total["train"], total["val"], total["test"])],
    )


def _figures(facts: Facts) -> Iterable[str]:
    split, figures = judged(facts)
    yield f"On {figures['count']} {READ[split]}. Intervals of rates are exact (Clopper–Pearson)."
    tiles = results.figures(facts)["tiles"]
    yield table(
        ("figure", "value", "counts and interval"), ((it["name"], it["value"], it["sure"] or "–") for it in tiles)
    )
    told = figures["per_class"][: results.MANY_ROWS]
    rows = ((it["class"], it["count"], rate_text(it["recall"]), rate_text(it["precision"])) for it in told)
    yield table(("class", f"{IMAGE}s", "named correctly", "right when named"), rows)


def _limits(facts: Facts) -> Iterable[str]:
    warnings, words = cautions.warnings(facts), WORDS[noun(facts) == "image"]
    yield "\n".join(
        [
            *(f"- **{plain(each['title'])}.** {plain(each['text'])}{_more(each)}" for each in warnings),
            f"- The figures hold for {words['source']} like those of the test {IMAGE}s, and for nothing else.",
            "- What is none of the known classes is still given one of them.",
            f"- A person should look at a sample of what passes, and at every change of {words['change']}.",
        ]
    )


def _more(warning: dict[str, Any]) -> str:
    more = "; …" if len(warning["more"]) > 5 else ""
    return f" ({plain('; '.join(warning['more'][:5]))}{more})" if warning["more"] else ""


def _use(facts: Facts) -> Iterable[str]:
    file, told = have(facts, "metrics", "export", "file"), WORDS[noun(facts) == "image"]
    if not file:
        yield "There is no exported file yet."
        return
    yield f"```sh\nzansa predict {file} {told['files']}\n```"
    loop = LOOP.format(file=file, sample=told["sample"])
    yield f"```python\nfrom zansa.deploy.runtime import predict, predictor\n\n{loop}\n```"
    inspection = have(facts, "metrics", "validation", "inspection")
    if inspection:
        chosen = plain(inspection.get("rule") or "not recorded")
        yield f"A part is rejected when {plain(rule_text(inspection))}. How this was chosen: {chosen}."


def _cost(facts: Facts) -> Iterable[str]:
    told = setting.cost(facts)
    yield table(("", ""), told["rows"])
    if told["latency"]:
        names = ("what", "device", "size", "threads", "precision", "batch", "ms")
        yield table(names, (tuple(row[name] for name in names) for row in told["latency"]))


def _environment(facts: Facts) -> Iterable[str]:
    yield table(("", ""), ((name, number(value)) for name, value in setting.environment(facts)["pairs"]))
