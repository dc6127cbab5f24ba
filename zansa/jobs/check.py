"""The verb `check`: what is wrong with labelled images, before anything learns from them."""

from pathlib import Path
from typing import Any

from ..events import event
from ..learn.audit import Audit, Finding, Inventory, audit
from ..learn.audit.inventory import from_dataset, from_listing
from ..learn.data import load
from ..learn.data.door import listed
from ..learn.data.public import SETS as PUBLIC_SETS
from ..learn.data.synthetic import NAMES as BUILTIN
from ..learn.data.synthetic import builtin
from ..report.check_words import worded
from .door import absolute
from .request import CheckRequest, Tell, silent

SHOWN = 200  # items of a finding in the result; `left_out` counts the others


def check(request: CheckRequest, tell: Tell = silent) -> dict[str, Any]:
    """Everything that was found, as plain JSON values; writes the page, and with `fix` the cleaned manifest.

    ValueError for data that cannot be listed at all, and for series.
    """
    inventory = read(request, tell)
    found = audit(inventory, request.group, request.seed, lambda stage: tell(event("stage", text=stage)))
    return told(found, request.lang)


def read(request: CheckRequest, tell: Tell) -> Inventory:
    """The images of the source, each looked at once."""

    def progress(done: int, total: int) -> None:
        tell(event("read", done=done, total=total))

    if request.source in BUILTIN:
        return from_dataset(builtin(request.seed, name=request.source), progress)
    files = None if request.source in PUBLIC_SETS else listed(Path(absolute(request.source)))
    if files is not None:
        return from_listing(files, progress)
    root = Path(request.root) if request.root else None
    data = load(request.source, root=root, download=request.download)
    if data.preprocess.series:
        raise ValueError(f"check looks at images, and {request.source} holds {data.preprocess.noun}s")
    return from_dataset(data, progress)


def told(found: Audit, lang: str) -> dict[str, Any]:
    """The result as JSON values."""
    findings = [as_json(each, found.inventory, lang) for each in found.findings]
    return {
        "images": len(found.inventory),
        "classes": list(found.inventory.classes),
        "left_out": list(found.inventory.told),
        "findings": findings,
    }


def as_json(finding: Finding, inventory: Inventory, lang: str) -> dict[str, Any]:
    """A finding in words, its items by the names of their images."""
    words = worded(finding.kind, finding.count, finding.facts, lang)
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "count": finding.count,
        "title": words["title"],
        "why": words["why"],
        "do": words["do"],
        "items": [[inventory.names[row] for row in item] for item in finding.items[:SHOWN]],
        "left_out": max(0, len(finding.items) - SHOWN),
        "facts": finding.facts,
    }
