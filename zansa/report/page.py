"""The frame of every page: template, marks and sections."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ..words import FINE, FULL, PLAIN, STRONG
from .facts import Facts

Section = Callable[[Facts], Any]
MARKS = {STRONG: "<strong>", PLAIN: "</strong>", FINE: '<span class="fine">', FULL: "</span>"}


def built(section: Section, facts: Facts) -> Any:
    """What a section has to show, or the reason, a str, why it has nothing. Records come from other versions and
    from people's editors too: one that is broken must not cost the whole page."""
    try:
        return section(facts)
    except KeyError as error:
        return f"the record has no {error.args[0]}"
    except (LookupError, ValueError) as error:
        return str(error)
    except (TypeError, AttributeError, ArithmeticError) as error:
        return f"the record is damaged ({error})"


@cache
def template() -> Template:
    """The template of a page; text is escaped in it."""
    files = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=files, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["marked"] = _marked
    return made.get_template("page.html")


def _marked(text: str) -> Markup:
    made = str(escape(text))
    for mark, tag in MARKS.items():
        made = made.replace(mark, tag)
    return Markup(made)
