"""The frame of every page: its top, warnings, sections with their headings, and a list of what is left out.

A page is a frame and a dictionary of sections. A section names its heading, the function that makes its content, and
the template that shows the content. Many sections need no template of their own, because `plain` makes what they show.
`run.py` is the page of a run.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..phrases import language, say
from ..words import FINE, FULL, IMAGE, PLAIN, STRONG, Rate, count, number, shown

MARKS = {STRONG: "<strong>", PLAIN: "</strong>", FINE: '<span class="fine">', FULL: "</span>"}
Content = dict[str, Any]


class Section(NamedTuple):
    """A section of a page.

    heading: what stands beside it, in the navigation and in the list of what is left out.
    build: makes the content from the record; raises LookupError with the reason when there is nothing to show.
    template: the file in `sections/` that shows the content.
    """

    heading: str
    build: Callable[[Any], Any]
    template: str = "plain.html"


@dataclass(frozen=True)
class Frame:
    """What stands around the sections of a page.

    name: what the page is about.
    footer: how the page was made and how it is to be read.
    date: the day of its record, or "".
    badge: a word of caution beside the name, or "".
    noun: what a sample is called: "image", "signal" or "sequence".
    """

    name: str
    footer: str
    date: str = ""
    badge: str = ""
    noun: str = "image"


def html(frame: Frame, record: Any, sections: Mapping[str, Section], summary: Any, warnings: Any = ()) -> str:
    """A page as HTML text, one file that needs nothing else.

    `record` is what the sections read; a section is left out, with its reason, where the record lacks what it needs.
    The keys of `sections` are the anchors of the page. `summary` is what `plain_summary.summary` makes, and `warnings`
    what `cautions.warnings` makes; each may be a string that says why there is none.
    """
    contents = {id: built(section.build, record) for id, section in sections.items()}
    text = (
        _environment()
        .get_template("frame.html")
        .render(
            frame=frame,
            image=frame.noun,
            summary=summary,
            warnings=warnings,
            sections={
                id: {"heading": section.heading, "template": f"sections/{section.template}", "content": contents[id]}
                for id, section in sections.items()
                if not isinstance(contents[id], str)
            },
            left_out={say(sections[id].heading): reason for id, reason in contents.items() if isinstance(reason, str)},
        )
    )
    return text.replace(IMAGE, say(frame.noun))


def built(build: Callable[[Any], Any], record: Any) -> Any:
    """What a function makes of a record, or the reason, a string, why it makes nothing.

    Records come from other versions and from people's editors too: one that is broken must not cost the whole page."""
    try:
        return build(record)
    except KeyError as error:
        return say("the record has no {key}", key=error.args[0])
    except (LookupError, ValueError) as error:
        return str(error)
    except (TypeError, AttributeError, ArithmeticError) as error:
        return say("the record is damaged ({error})", error=error)


def plain(
    lead: str = "",
    pairs: Iterable[tuple[str, str]] = (),
    hints: Iterable[str] = (),
    columns: tuple[str, ...] = (),
    rates: Iterable[tuple[str, tuple[Rate | None, ...]]] = (),
    less: Collection[str] = (),
) -> Content:
    """The content of a section that is shown by `sections/plain.html`, in this order, each part where there is one.

    lead: the sentences with which the section begins.
    pairs: terms and their values.
    hints: paragraphs of small print.
    columns: the headings of a table of rates.
    rates: its rows: a name, and a rate for each column.
    less: the names of those rows and columns in which less is better.
    """
    rows = [{"name": name, "cells": _cells(name, row, columns, less)} for name, row in rates]
    return {"lead": lead, "pairs": list(pairs), "hints": list(hints), "columns": columns, "rates": rows}


def _cells(name: str, row: Iterable[Rate | None], columns: tuple[str, ...], less: Collection[str]) -> list[Any]:
    """The cells of a row of rates: (rate, heading of its column, whether less is better)."""
    return [(shown(rate), at, name in less or at in less) for rate, at in zip(row, columns, strict=True)]


def statement(*sentences: str) -> Content:
    """A summary of sentences alone."""
    return {"sentences": sentences, "outlook": [], "panels": [], "bars": False}


@cache
def _environment() -> Environment:
    """The templates of this folder; text is escaped in them, and what is undefined is an error."""
    files = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=files, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"marked": _marked, "grouped": _grouped}
    made.globals |= {"say": say, "language": language}
    return made


def _grouped(value: Any) -> str:
    """A count as words has it; what a broken record holds in its place is shown as it is."""
    return count(value) if isinstance(value, int | float) else number(value)


def _marked(text: str) -> Markup:
    made = str(escape(text))
    for mark, tag in MARKS.items():
        made = made.replace(mark, tag)
    return Markup(made)
