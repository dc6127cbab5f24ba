"""The page of a run, report.html, and its model card, card.md."""

from pathlib import Path

from ..phrases import LANGUAGES, phrase, say, speaking
from ..record import Run
from . import cautions, page, results, setting
from .facts import Facts, have, noun, read
from .growth.pictures import section
from .model_card import card
from .page import Frame, Section, built
from .plain_summary import summary

GROWTH = Section(phrase("How it grew"), section, "growth.html")
SECTIONS: dict[str, Section] = {
    "figures": Section(phrase("Key figures"), results.figures, "figures.html"),
    "training": Section(phrase("Training"), results.training, "training.html"),
    "operating": Section(phrase("Where the line is drawn"), results.operating, "operating.html"),
    "confusion": Section(phrase("Confusions"), results.confusion, "confusion.html"),
    "classes": Section(phrase("Class by class"), results.classes, "classes.html"),
    "examples": Section(phrase("Worth a look"), results.examples, "examples.html"),
    "network": Section(phrase("The network"), setting.network, "network.html"),
    "cost": Section(phrase("Cost"), setting.cost, "cost.html"),
    "data": Section(phrase("Data"), setting.data, "data.html"),
    "export": Section(phrase("Exported file"), setting.export),
    "environment": Section(phrase("Environment"), setting.environment),
    "decided": Section(phrase("How it was decided"), setting.decided),
}
EXACT = phrase(
    "Intervals of rates are exact (Clopper–Pearson) and take the {image}s, or parts where groups were given, as "
    "independent of one another. A multiply-add is one multiplication with its addition."
)


def write(run: Run, language: str | None = None) -> Path:
    """Write report.html (one file that needs nothing else) and card.md into the run's folder; returns the page's path.

    A file that is absent or broken costs the sections that read it, and the page says which and why. The language is
    "en" or "ja"; one that is named is kept in report.json, for reports to come. None: the one that was kept, or else
    the one that the training was asked for. ValueError for others.
    """
    if language is not None:
        with speaking(language):
            run.write_json("report.json", {"language": language})
    facts = read(run)
    with speaking(spoken(facts)):
        run.write_bytes("card.md", card(facts).encode("utf-8", "replace"))
        run.write_bytes("report.html", html(facts).encode("utf-8", "replace"))
    return run.path / "report.html"


def spoken(facts: Facts) -> str:
    """The language of a run's page and card: the one that was kept, or else the one that was asked for."""
    asked = (have(facts, "report", "language"), have(facts, "request", "language"))
    return next((each for each in asked if each in LANGUAGES), "en")


def html(facts: Facts) -> str:
    """The page of a run as HTML text."""
    return page.html(_frame(facts), facts, _sections(facts), built(summary, facts), built(cautions.warnings, facts))


def _frame(facts: Facts) -> Frame:
    version = have(facts, "environment", "zansa")
    return Frame(
        name=facts["name"],
        date=str(have(facts, "environment", "date") or "")[:10],
        badge=say("synthetic {image}s") if have(facts, "data", "synthetic") else "",
        noun=noun(facts),
        footer=say(
            "Made by zansa {version} from the files of the run “{name}”.", version=version or "", name=facts["name"]
        )
        + f" {say(EXACT)}",
    )


def _sections(facts: Facts) -> dict[str, Section]:
    """The sections that a run can have: only one that grew tells how, before it tells what it became."""
    if have(facts, "start") is None:
        return SECTIONS
    entries = list(SECTIONS.items())
    place = list(SECTIONS).index("network")
    return dict([*entries[:place], ("growth", GROWTH), *entries[place:]])
