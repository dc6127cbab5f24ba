"""Classes with too few images, uneven ones, those that a part lacks, and groups that stand in two parts."""

import numpy as np

from .findings import Finding, single
from .inventory import Inventory

FEW = 20  # images below which hardly anything can be learnt or proved
UNEVEN = 10.0  # times as many images in the largest class
PARTS = ("train", "val", "test")


def balance(inventory: Inventory) -> list[Finding]:
    """Findings on the numbers of images by class, part and group."""
    seen = inventory.readable
    counts = np.bincount(inventory.labels[seen], minlength=len(inventory.classes))
    names = dict(zip(inventory.classes, counts.tolist(), strict=True))
    return [*_classes(names), *_parts(inventory, seen), *_torn(inventory, seen), *_few_groups(inventory, seen)]


def _classes(names: dict[str, int]) -> list[Finding]:
    found = []
    if len(names) < 2:
        found.append(Finding("one_class", "error", (), {"classes": ", ".join(names)}, count=sum(names.values())))
    few = {name: n for name, n in names.items() if n < FEW}
    if few:
        severity = "error" if min(few.values()) < 2 else "warning"
        found.append(Finding("few", severity, (), {"classes": _told(few), "least": FEW}, count=sum(few.values())))
    most, least = max(names.values(), default=0), min(names.values(), default=0)
    if len(names) > 1 and most > UNEVEN * max(least, 1):
        facts = {
            "classes": _told(dict(sorted(names.items(), key=lambda item: -item[1]))),
            "times": most // max(least, 1),
        }
        found.append(Finding("imbalance", "note", (), facts, count=sum(names.values())))
    return found


def _told(names: dict[str, int]) -> str:
    first = [f"{name} {n}" for name, n in list(names.items())[:8]]
    return ", ".join(first) + (f", … (+{len(names) - 8})" if len(names) > 8 else "")


def _parts(inventory: Inventory, seen: np.ndarray) -> list[Finding]:
    if inventory.split is None:
        return []
    split, labels = inventory.split[seen], inventory.labels[seen]
    found = []
    for part in PARTS:
        there = set(labels[split == part].tolist())
        absent = [name for k, name in enumerate(inventory.classes) if k not in there]
        if absent and (there or part == "train"):
            severity = "error" if part == "train" else "warning"
            found.append(Finding("missing", severity, (), {"part": part, "classes": ", ".join(absent[:8])}, count=0))
    return found


def _torn(inventory: Inventory, seen: np.ndarray) -> list[Finding]:
    if inventory.groups is None or inventory.split is None:
        return []
    groups, split = inventory.groups[seen], inventory.split[seen]
    names, of_group = np.unique(groups, return_inverse=True)
    of_part = np.unique(split, return_inverse=True)[1]
    in_parts = np.bincount(np.unique(np.column_stack([of_group, of_part]), axis=0)[:, 0])
    torn = names[in_parts > 1]
    if not len(torn):
        return []
    rows = seen[in_parts[of_group] > 1]
    facts = {"groups": ", ".join(map(str, torn[:5])), "torn": len(torn)}
    return [Finding("torn", "error", single(rows), facts)]


def _few_groups(inventory: Inventory, seen: np.ndarray) -> list[Finding]:
    """A class from fewer than two groups cannot be learnt from one and tested on another."""
    if inventory.groups is None:
        return []
    groups, labels = inventory.groups[seen], inventory.labels[seen]
    alone = [name for k, name in enumerate(inventory.classes) if len(set(groups[labels == k].tolist())) == 1]
    return [Finding("few_groups", "warning", (), {"classes": ", ".join(alone)}, count=0)] if alone else []
