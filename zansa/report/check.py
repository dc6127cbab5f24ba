"""The page of `zansa check`: findings with their pictures, the gravest first, and the data in numbers."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ..phrases import phrase, say
from ..words import counted
from . import page
from .page import Content, Frame, Section

SEVERITIES = {
    "error": ("errors", phrase("Mend before training")),
    "warning": ("warnings", phrase("Look at these")),
    "note": ("notes", phrase("Good to know")),
}
SUMMARY = phrase(
    "{images} in {classes} classes were looked at: {errors} things must be mended before training, {warnings} should "
    "be looked at."
)
CLEAN = phrase("{images} in {classes} classes were looked at: nothing must be mended before training.")
Record = Mapping[str, Any]


def html(record: Record) -> str:
    """The page of a result of `jobs.check`, to whose findings `pictures` were added: lists of {png, name, label}."""
    sections = {
        name: Section(heading, partial(_findings, severity), "check.html")
        for severity, (name, heading) in SEVERITIES.items()
    }
    sections["data"] = Section(phrase("The data"), _data, "check_data.html")
    frame = Frame(record["name"], say("Made by zansa check. Nothing of the data was changed."), record["date"])
    return page.html(frame, record, sections, page.statement(summary(record)))


def summary(record: Record) -> str:
    """The result in one sentence."""
    counts = {
        name: sum(each["severity"] == severity for each in record["findings"])
        for severity, (name, _) in SEVERITIES.items()
    }
    form = SUMMARY if counts["errors"] or counts["warnings"] else CLEAN
    return say(form, images=counted(record["images"], "image"), classes=len(record["classes"]), **counts)


def _findings(severity: str, record: Record) -> Content:
    found = [dict(each) for each in record["findings"] if each["severity"] == severity]
    for each in found:
        hidden = len(each["items"]) + each["left_out"] - len(each["pictures"])
        each["more"] = say("and {n} more", n=hidden) if each["pictures"] and hidden > 0 else ""
    return {"findings": found}


def _data(record: Record) -> Content:
    return {"parts": record["parts"], "rows": record["table"]}
