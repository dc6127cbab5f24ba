"""A cleaned manifest: each row that stays, and the reason in each that differs from what was given."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .run import Audit

COLUMNS = ("path", "label", "group", "split", "suspect", "changed")
BEST_PARTS = ("test", "val", "train", "")  # of exact copies the one in the first of these stays
Row = dict[str, str]


def cleaned(found: Audit, folder: Path) -> tuple[list[Row], list[Row]]:
    """Rows of a manifest that stands in `folder`, and those that are left out of it.

    Left out are images that cannot be read and exact copies. Groups are joined by proven near copies, each group gets
    one part, and a suspect label is marked in `suspect` and never changed.
    """
    inventory = found.inventory
    rows = [
        {
            "path": os.path.relpath(inventory.files[i], folder.absolute()),
            "label": inventory.classes[inventory.labels[i]],
            "group": "" if inventory.groups is None else str(inventory.groups[i]),
            "split": "" if inventory.split is None else str(inventory.split[i]),
            "suspect": "",
            "changed": "",
        }
        for i in range(len(inventory))
    ]
    gone = {i: look.problem for i, look in enumerate(inventory.looks) if look.problem}
    gone |= _copies(found)
    for i, reason in gone.items():
        rows[i]["changed"] = f"left out: {reason}"
    kept = [i for i in range(len(rows)) if i not in gone]
    _regroup(found, rows, kept)
    _one_part(rows, kept)
    _mark(found, rows)
    return [rows[i] for i in kept], [rows[i] for i in sorted(gone)]


def write(rows: Sequence[Row], path: Path) -> None:
    """A table of these rows, whole or not at all; columns that are empty throughout are left out but `changed`."""
    columns = [name for name in COLUMNS if name == "changed" or any(row[name] for row in rows)]
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def _copies(found: Audit) -> dict[int, str]:
    """Exact copies with one label that are to go, each with the one that stays."""
    inventory = found.inventory
    gone: dict[int, str] = {}
    for finding in found.findings:
        if finding.kind in ("copies_same", "copies_parts"):
            for item in finding.items:
                parts = ["" if inventory.split is None else str(inventory.split[i]) for i in item]
                stays = min(zip(item, parts, strict=True), key=lambda each: BEST_PARTS.index(each[1]))[0]
                gone |= {i: f"the same picture as {inventory.names[stays]}" for i in item if i != stays}
    return gone


def _regroup(found: Audit, rows: list[Row], kept: list[int]) -> None:
    if found.groups is None:
        return
    counts = Counter(found.groups[kept].tolist())
    for i in kept:
        name = str(found.groups[i])
        if rows[i]["group"] != name:
            if counts[name] > 1:
                _note(rows[i], f"group was {rows[i]['group'] or 'not given'}")
            rows[i]["group"] = name


def _one_part(rows: list[Row], kept: list[int]) -> None:
    """Each group stands in the part that holds most of it, of equal ones in the test part."""
    of_group: dict[str, list[int]] = {}
    for i in kept:
        if rows[i]["group"] and rows[i]["split"]:
            of_group.setdefault(rows[i]["group"], []).append(i)
    for members in of_group.values():
        counts = Counter(rows[i]["split"] for i in members)
        part = max(counts, key=lambda name: (counts[name], -BEST_PARTS.index(name)))
        for i in members:
            if rows[i]["split"] != part:
                _note(rows[i], f"split was {rows[i]['split']}: its group stands in {part}")
                rows[i]["split"] = part


def _mark(found: Audit, rows: list[Row]) -> None:
    """Suspect labels: of those by neighbours the first row of each item, of copies with two labels all."""
    for finding in found.findings:
        for item in finding.items:
            if finding.kind == "suspects":
                rows[item[0]]["suspect"] = "label"
                _note(rows[item[0]], "the label may be wrong")
            if finding.kind == "copies_labels":
                for i in item:
                    rows[i]["suspect"] = "label"
                    others = ", ".join(found.inventory.names[k] for k in item if k != i)
                    _note(rows[i], f"the same picture has another label: {others}")


def _note(row: Row, reason: str) -> None:
    row["changed"] = f"{row['changed']}; {reason}" if row["changed"] else reason
