"""The page of `zansa check`: findings with their pictures, the gravest first, and the data in numbers."""

from collections.abc import Mapping
from typing import Any

from ..phrases import speaking
from . import page
from .check_words import PAGE, images_text
from .page import Frame, Section

SEVERITIES = {"error": "errors", "warning": "warnings", "note": "notes"}
Record = Mapping[str, Any]


def html(record: Record, lang: str) -> str:
    """The page of a result of `jobs.check`, to whose findings `pictures` were added: lists of {png, name, label}."""
    sections = {
        name: Section(PAGE[name][lang], _findings(severity, lang), "check.html")
        for severity, name in SEVERITIES.items()
    }
    sections["data"] = Section(PAGE["data"][lang], _data(lang), "check_data.html")
    frame = Frame(record["name"], PAGE["footer"][lang], record["date"])
    with speaking(lang):
        return page.html(frame, record, sections, page.statement(summary(record, lang)))


def summary(record: Record, lang: str) -> str:
    """The result in one sentence."""
    counts = {
        name: sum(each["severity"] == severity for each in record["findings"]) for severity, name in SEVERITIES.items()
    }
    form = PAGE["summary" if counts["errors"] or counts["warnings"] else "clean"][lang]
    return form.format(images=images_text(record["images"], lang), classes=len(record["classes"]), **counts)


def _findings(severity: str, lang: str) -> Any:
    def build(record: Record) -> dict[str, Any]:
        found = [dict(each) for each in record["findings"] if each["severity"] == severity]
        for each in found:
            hidden = len(each["items"]) + each["left_out"] - len(each["pictures"])
            each["more"] = PAGE["more"][lang].format(n=hidden) if each["pictures"] and hidden > 0 else ""
        return {"findings": found, "none": PAGE["none"][lang], "what": PAGE["what"][lang]}

    return build


def _data(lang: str) -> Any:
    def build(record: Record) -> dict[str, Any]:
        return {
            "class": PAGE["class"][lang],
            "all": PAGE["all"][lang],
            "parts": record["parts"],
            "rows": record["table"],
        }

    return build
