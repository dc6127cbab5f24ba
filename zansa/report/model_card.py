"""The model card in plain Markdown: what the model is, what it was made from, how good it is, and its limits."""

from collections.abc import Iterable
from typing import Any

from ..phrases import phrase, retold, say
from ..words import FINE, FULL, IMAGE, PLAIN, STRONG, number, rate_text, rule_text, typed
from . import cautions, results, setting
from .facts import Facts, have, judged, noun
from .growth import sentences as growth
from .plain_summary import summary

READ = {
    "test": phrase("held-out test {image}s, read once at the end"),
    "validation": phrase("validation {image}s, on which choices were made"),
}
WORDS = {  # of images, and of series
    True: {
        "files": "IMAGES",
        "sample": "part.png",
        "source": phrase("parts, cameras and light"),
        "change": phrase("product, camera or light"),
    },
    False: {
        "files": "TABLES",
        "sample": "new.csv",
        "source": phrase("sources and instruments"),
        "change": phrase("source or instrument"),
    },
}
WHAT_HEAD = tuple(map(phrase, ("part", "channels", "size", "layers", "multiply-adds", "parameters")))
LOOP = 'for row in predict(predictor("{file}"), ["{sample}"]):\n    print(row)'


def card(facts: Facts) -> str:
    """The card as Markdown text; a part whose files are absent says so."""
    grown = [(phrase("How it grew"), _growth)] if have(facts, "start") is not None else []
    parts = (
        (phrase("What it is"), _what),
        *grown,
        (phrase("Where the weights come from"), _origin),
        (phrase("Data"), _data),
        (phrase("Figures"), _figures),
        (phrase("Limits"), _limits),
        (phrase("How to use"), _use),
        (phrase("Cost"), _cost),
        (phrase("Environment"), _environment),
    )
    texts = [f"# {plain(facts['name'])}", *_lines(_summary, facts)]
    for title, part in parts:
        texts += [f"## {say(title)}", *_lines(part, facts)]
    return typed("\n\n".join(texts).replace(IMAGE, say(noun(facts)))) + "\n"


def _lines(part: Any, facts: Facts) -> list[str]:
    try:
        return list(part(facts))
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        return [say("Not recorded: {reason}.", reason=plain(str(error)))]


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
    text = (
        "A classifier of {image}s: a residual network of {blocks}, {depth} layers deep, {params} parameters, {macs} "
        "multiply-adds per {image}."
    )
    yield say(text, blocks=plain(net["blocks"]), **{key: net[key] for key in ("depth", "params", "macs")})
    yield say("It gives each {image} one class, and is meant for {image}s taken as those described under Data.")
    head = tuple(map(say, WHAT_HEAD))
    columns = ("name", "width", "size", "layers", "macs", "params")
    yield table(head, (tuple(part[column] or "–" for column in columns) for part in net["parts"]))


def _growth(facts: Facts) -> Iterable[str]:
    told = growth.told(facts)
    yield plain(told["lead"])
    yield table(("", ""), told["facts"])
    columns = ("name", "blocks", "width", "inner")
    yield table(
        ("", say("blocks"), say("channels"), say("inner widths")),
        (tuple(row[key] for key in columns) for row in told["stages"]),
    )
    if told["events"]:
        names = (say("when"), *map(say, growth.NOUNS), say("what the network costs"), say("before it"))
        yield table(names, (_growth_row(event) for event in told["events"]))
        yield say("What came, went and changed each time, and why: report.html, and `zansa report RUN --step STEP`.")


def _growth_row(event: dict[str, Any]) -> tuple[Any, ...]:
    counts = (event["counts"][verdict] for verdict in growth.NOUNS)
    return event["when"], *counts, event["price"], event["known"] or "–"


def _origin(facts: Facts) -> Iterable[str]:
    rows = setting.origin(facts)
    yield table(("", ""), rows) if rows else say("Not recorded.")


def _data(facts: Facts) -> Iterable[str]:
    told = setting.data(facts)
    if told["synthetic"]:
        yield f"**{say('Synthetic {image}s: drawn by a program, not taken by a camera.')}**"
    yield table(("", ""), told["facts"])
    total = told["totals"]
    rows = [(row["name"], row["train"], row["val"], row["test"]) for row in told["rows"]]
    yield table(
        tuple(map(say, ("class", "training", "validation", "test"))),
        [*rows, (say("all"), total["train"], total["val"], total["test"])],
    )


def _figures(facts: Facts) -> Iterable[str]:
    split, figures = judged(facts)
    text = "On {count} {what}. Intervals of rates are exact (Clopper–Pearson)."
    yield say(text, count=figures["count"], what=say(READ[split]))
    tiles = results.figures(facts)["tiles"]
    yield table(
        (say("figure"), say("value"), say("counts and interval")),
        ((it["name"], it["value"], it["sure"] or "–") for it in tiles),
    )
    told = figures["per_class"][: results.MANY_ROWS]
    rows = ((it["class"], it["count"], rate_text(it["recall"]), rate_text(it["precision"])) for it in told)
    yield table((say("class"), say("{image}s"), say("named correctly"), say("right when named")), rows)


def _limits(facts: Facts) -> Iterable[str]:
    warnings, words = cautions.warnings(facts), WORDS[noun(facts) == "image"]
    yield "\n".join(
        [
            *(f"- **{plain(each['title'])}.** {plain(each['text'])}{_more(each)}" for each in warnings),
            "- "
            + say(
                "The figures hold for {source} like those of the test {image}s, and for nothing else.",
                source=say(words["source"]),
            ),
            "- " + say("What is none of the known classes is still given one of them."),
            "- "
            + say(
                "A person should look at a sample of what passes, and at every change of {change}.",
                change=say(words["change"]),
            ),
        ]
    )


def _more(warning: dict[str, Any]) -> str:
    more = "; …" if len(warning["more"]) > 5 else ""
    return f" ({plain('; '.join(warning['more'][:5]))}{more})" if warning["more"] else ""


def _use(facts: Facts) -> Iterable[str]:
    file, told = have(facts, "metrics", "export", "file"), WORDS[noun(facts) == "image"]
    if not file:
        yield say("There is no exported file yet.")
        return
    yield f"```sh\nzansa predict {file} {told['files']}\n```"
    loop = LOOP.format(file=file, sample=told["sample"])
    yield f"```python\nfrom zansa.deploy.runtime import predict, predictor\n\n{loop}\n```"
    inspection = have(facts, "metrics", "validation", "inspection")
    if inspection:
        chosen = plain(retold(inspection.get("rule") or "") or say("not recorded"))
        text = "A part is rejected when {rule}. How this was chosen: {chosen}."
        yield say(text, rule=plain(rule_text(inspection)), chosen=chosen)


def _cost(facts: Facts) -> Iterable[str]:
    told = setting.cost(facts)
    yield table(("", ""), told["rows"])
    if told["latency"]:
        names = ("what", "device", "size", "threads", "precision", "batch", "ms")
        yield table(tuple(map(say, names)), (tuple(row[name] for name in names) for row in told["latency"]))


def _environment(facts: Facts) -> Iterable[str]:
    yield table(("", ""), ((name, number(value)) for name, value in setting.environment(facts)["pairs"]))
