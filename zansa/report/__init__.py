"""A run's page and model card, written from the files in its folder alone: no model is opened, nothing is fetched."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ..record import Run
from . import cautions, growth, results, setting
from .facts import Facts, have, noun, read
from .gist import summary
from .model_card import card
from .words import FINE, FULL, IMAGE, PLAIN, STRONG

Section = Callable[[Facts], Any]
MARKS = {STRONG: "<strong>", PLAIN: "</strong>", FINE: '<span class="fine">', FULL: "</span>"}
SECTIONS: dict[str, tuple[str, Section]] = {
    "figures": ("Key figures", results.figures),
    "training": ("Training", results.training),
    "operating": ("Where the line is drawn", results.operating),
    "confusion": ("Confusions", results.confusion),
    "classes": ("Class by class", results.classes),
    "examples": ("Worth a look", results.examples),
    "network": ("The network", setting.network),
    "cost": ("Cost", setting.cost),
    "data": ("Data", setting.data),
    "export": ("Exported file", setting.export),
    "environment": ("Environment", setting.environment),
    "decided": ("How it was decided", setting.decided),
}


def write(run: Run) -> Path:
    """Writes report.html (one file that needs nothing else) and card.md into the run's folder; returns the page's path.

    A file that is absent or broken costs the sections that read it, and the page says which and why.
    """
    facts = read(run)
    run.write_bytes("card.md", card(facts).encode("utf-8", "replace"))
    run.write_bytes("report.html", page(facts).encode("utf-8", "replace"))
    return run.path / "report.html"


def page(facts: Facts) -> str:
    """The page as HTML text."""
    shown = _sections(facts)
    built = {key: _built(section, facts) for key, (_, section) in shown.items()}
    text = _template().render(
        name=facts["name"],
        image=noun(facts),
        date=str(have(facts, "environment", "date") or "")[:10],
        version=have(facts, "environment", "zansa") or "",
        synthetic=bool(have(facts, "data", "synthetic")),
        summary=_built(summary, facts),
        warnings=_built(cautions.warnings, facts),
        sections={key: value for key, value in built.items() if not isinstance(value, str)},
        headings={key: heading for key, (heading, _) in shown.items()},
        left_out={shown[key][0]: value for key, value in built.items() if isinstance(value, str)},
    )
    return text.replace(IMAGE, noun(facts))


def _sections(facts: Facts) -> dict[str, tuple[str, Section]]:
    """The sections that can be of this run: only one that grew tells how, before what it became."""
    if have(facts, "start") is None:
        return SECTIONS
    entries = list(SECTIONS.items())
    place = list(SECTIONS).index("network")
    return dict([*entries[:place], ("growth", ("How it grew", growth.section)), *entries[place:]])


def _built(section: Section, facts: Facts) -> Any:
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
def _template() -> Template:
    files = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=files, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["marked"] = _marked
    return made.get_template("page.html")


def _marked(text: str) -> Markup:
    made = str(escape(text))
    for mark, tag in MARKS.items():
        made = made.replace(mark, tag)
    return Markup(made)
