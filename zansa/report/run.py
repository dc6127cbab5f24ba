"""A run's page and model card: the sections of report.html, and the files that hold them."""

from pathlib import Path

from ..record import Run
from ..words import IMAGE
from . import cautions, results, setting
from .facts import Facts, have, noun, read
from .gist import summary
from .growth.pictures import section
from .model_card import card
from .page import Section, built, template

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
    run.write_bytes("report.html", html(facts).encode("utf-8", "replace"))
    return run.path / "report.html"


def html(facts: Facts) -> str:
    """The page as HTML text."""
    shown = _sections(facts)
    ready = {key: built(section, facts) for key, (_, section) in shown.items()}
    text = template().render(
        name=facts["name"],
        image=noun(facts),
        date=str(have(facts, "environment", "date") or "")[:10],
        version=have(facts, "environment", "zansa") or "",
        synthetic=bool(have(facts, "data", "synthetic")),
        summary=built(summary, facts),
        warnings=built(cautions.warnings, facts),
        sections={key: value for key, value in ready.items() if not isinstance(value, str)},
        headings={key: heading for key, (heading, _) in shown.items()},
        left_out={shown[key][0]: value for key, value in ready.items() if isinstance(value, str)},
    )
    return text.replace(IMAGE, noun(facts))


def _sections(facts: Facts) -> dict[str, tuple[str, Section]]:
    """The sections that can be of this run: only one that grew tells how, before what it became."""
    if have(facts, "start") is None:
        return SECTIONS
    entries = list(SECTIONS.items())
    place = list(SECTIONS).index("network")
    return dict([*entries[:place], ("growth", ("How it grew", section)), *entries[place:]])
