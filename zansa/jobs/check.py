"""The verb `check`: what is wrong with labelled images, before anything learns from them."""

import base64
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..events import event
from ..inputs.images import read_image, to_depth
from ..learn.audit import Audit, Finding, Inventory, audit
from ..learn.audit.balance import PARTS
from ..learn.audit.fix import cleaned, write
from ..learn.audit.inventory import from_dataset, from_listing
from ..learn.data import load
from ..learn.data.door import listed
from ..learn.data.hub import picture_tables
from ..learn.data.public import SETS as PUBLIC_SETS
from ..learn.data.synthetic import NAMES as BUILTIN
from ..learn.data.synthetic import builtin
from ..phrases import speaking
from ..report.check import html
from ..report.check_words import worded
from .door import absolute, stem_of
from .request import CheckRequest, Tell, silent

SHOWN = 200  # items of a finding in the result; `left_out` counts the others
PICTURED, WIDE, EDGE = 8, 4, 128  # sets of pictures of a finding, pictures of a set, and their longer side in pixels


def check(request: CheckRequest, tell: Tell = silent) -> dict[str, Any]:
    """Everything that was found, as plain JSON values; writes the page, and with `fix` the cleaned manifest.

    ValueError for data that cannot be listed at all, and for series.
    """
    fix, page = _places(request)
    inventory = read(request, tell)

    def say(stage: str) -> None:
        tell(event("stage", text=stage))

    found = audit(inventory, request.group, request.seed, say, not request.skip_labels)
    with speaking(request.lang):
        result = told(found)
    if fix is not None:
        _write_fix(found, fix)
        result["fixed"] = str(fix)
    page.parent.mkdir(parents=True, exist_ok=True)
    with speaking(request.lang):
        page.write_text(html(_record(request, found, result)), encoding="utf-8", errors="replace")
    return {**result, "page": str(page)}


def _places(request: CheckRequest) -> tuple[Path | None, Path]:
    """Where the manifest and the page go; ValueError, before any work, where they cannot."""
    source = Path(request.source)
    page = Path(request.page) if request.page else Path("runs") / f"{stem_of(request.source)}-check.html"
    fix = Path(request.fix) if request.fix else None
    if page.suffix != ".html":
        raise ValueError(f"--page {page} was asked; allowed: a name that ends in .html")
    if fix is not None:
        if fix.suffix != ".csv" or not fix.parent.is_dir():
            raise ValueError(f"--fix {fix} was asked; allowed: a name that ends in .csv, in a folder that is there")
        if fix.resolve() == source.resolve() or (
            source.is_dir() and fix.parent.resolve().is_relative_to(source.resolve())
        ):
            raise ValueError(f"--fix {fix} would change the data: write the cleaned manifest to another folder")
        if not source.exists() or source.suffix.lower() == ".npz" or picture_tables(source):
            raise ValueError(f"--fix writes a manifest of image files, and {request.source} holds none")
    return fix, page


def _write_fix(found: Audit, fix: Path) -> None:
    kept, gone = cleaned(found, fix.parent)
    write(kept, fix)
    left_out = fix.with_name(f"{fix.stem}.left_out.csv")
    if gone:
        write(gone, left_out)
    else:
        left_out.unlink(missing_ok=True)


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


def told(found: Audit) -> dict[str, Any]:
    """The result as JSON values, in the language that is spoken."""
    findings = [as_json(each, found.inventory) for each in found.findings]
    return {
        "images": len(found.inventory),
        "classes": list(found.inventory.classes),
        "left_out": list(found.inventory.told),
        "findings": findings,
    }


def as_json(finding: Finding, inventory: Inventory) -> dict[str, Any]:
    """A finding in words, its items by the names of their images."""
    words = worded(finding.kind, finding.count, finding.facts)
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


# --- the page ---------------------------------------------------------------------------------------------------------


def _record(request: CheckRequest, found: Audit, result: dict[str, Any]) -> dict[str, Any]:
    """The result with what the page shows besides: pictures, and images by class and part."""
    inventory = found.inventory
    findings = [
        {**told, "pictures": [[_shown(inventory, row) for row in item[:WIDE]] for item in _first(finding, inventory)]}
        for told, finding in zip(result["findings"], found.findings, strict=True)
    ]
    split = inventory.split
    parts = [part for part in PARTS if split is not None and part in split]
    table = []
    for k, name in enumerate(inventory.classes):
        own = inventory.labels == k
        counts = [int((own & (split == part)).sum()) for part in parts]
        table.append({"name": name, "counts": counts, "all": int(own.sum())})
    name, day = stem_of(request.source), date.today().isoformat()
    return {**result, "findings": findings, "parts": parts, "table": table, "name": name, "date": day}


def _first(finding: Finding, inventory: Inventory) -> list[tuple[int, ...]]:
    """The sets that are shown as pictures: those that can be read."""
    items = finding.items if finding.kind not in ("odd_size", "lost") else ()
    readable = (tuple(i for i in item if not inventory.looks[i].problem) for item in items[: 4 * PICTURED])
    return [item for item in readable if item][:PICTURED]


def _shown(inventory: Inventory, row: int) -> dict[str, str]:
    look = inventory.looks[row]
    levels = look.gray[..., None] if not inventory.files else to_depth(read_image(inventory.files[row]), 8)
    shown = Image.fromarray(np.ascontiguousarray(levels[..., 0] if levels.shape[2] not in (3, 4) else levels[..., :3]))
    shown.thumbnail((EDGE, EDGE))
    stored = BytesIO()
    shown.save(stored, "PNG")
    png = base64.b64encode(stored.getvalue()).decode()
    return {"png": png, "name": inventory.names[row], "label": inventory.classes[inventory.labels[row]]}
