"""Pages and texts of planning, comparing and proving: one content, shown as a page in two languages or as text."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from unicodedata import east_asian_width

from ... import phrases
from ...words import typed
from .. import page
from ..page import Frame, Section
from .words import SAID

Content = dict[str, Any]


class Table(NamedTuple):
    """A table; the first cell of a row is its heading.

    columns, rows: its cells.
    caption: what stands above it.
    prose: whether its cells hold sentences rather than figures.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    prose: bool = False


class Shown(NamedTuple):
    """A section: its heading, sentences, pictures (title, SVG), tables and small print."""

    heading: str
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[tuple[str, str]] = ()
    hints: Sequence[str] = ()


def word(key: str, *values: object) -> str:
    """A sentence of these pages in the language that is spoken, with values in its places."""
    return phrases.say(SAID[key], **{str(k): value for k, value in enumerate(values)})


def html(
    frame: Frame, sentences: Sequence[str], sections: Mapping[str, Shown | Section], small: Sequence[str] = ()
) -> str:
    """The page as HTML text; `small` are sentences below those on top, in smaller letters."""
    made = {
        id: each if isinstance(each, Section) else Section(each.heading, partial(_content, each), "sheet.html")
        for id, each in sections.items()
    }
    return page.html(frame, None, made, page.statement(*sentences) | {"outlook": small})


def text(sentences: Sequence[str], sections: Mapping[str, Shown | Section]) -> str:
    """The same content for a terminal; pictures are left out."""
    lines = list(sentences)
    for shown in sections.values():
        if isinstance(shown, Section):
            continue
        lines += ["", shown.heading.upper(), *shown.lines]
        for table in shown.tables:
            lines += [*_columns(table), *([f"({table.caption})"] if table.caption else [])]
        lines += shown.hints
    return typed("\n".join(lines))


def _content(shown: Shown, record: None) -> Content:
    return shown._asdict() | {"tables": [table._asdict() for table in shown.tables]}


def _columns(table: Table) -> list[str]:
    rows = [table.columns, *table.rows]
    if any(len(row[-1]) > 60 for row in table.rows):  # a long last cell gets a line of its own
        last, rows = [row[-1] for row in table.rows], [row[:-1] for row in rows]
    else:
        last = []
    widths = [max(_wide(row[k]) for row in rows) for k in range(len(rows[0]))]
    made = [
        "  ".join(cell + " " * (w - _wide(cell)) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return (
        made
        if not last
        else [made[0], *(line for pair in zip(made[1:], (f"    {x}" for x in last), strict=True) for line in pair)]
    )


def _wide(cell: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in cell)
