"""Exact copies, of files and of pixels: within a class, across parts, and with two labels."""

from collections.abc import Sequence

import numpy as np

from .findings import Finding
from .inventory import Inventory, rows_by


def copies(inventory: Inventory) -> list[Finding]:
    """Findings on sets of rows whose decoded pixels are equal; how many of them are equal files is among the facts."""
    rows = inventory.readable
    of_pixels = rows_by([inventory.looks[i].of_pixels for i in rows])
    sets = [tuple(int(rows[k]) for k in same) for same in of_pixels.values() if len(same) > 1]
    files = inventory.column("of_file")
    equal = sum(len(item) - len({files[i] for i in item}) for item in sets)
    found = sorted_out("copies", sets, inventory)
    return [Finding(each.kind, each.severity, each.items, {**each.facts, "equal_files": int(equal)}) for each in found]


def sorted_out(kind: str, sets: Sequence[tuple[int, ...]], inventory: Inventory) -> list[Finding]:
    """Findings on sets of rows that show the same: with two labels, in two parts, or neither."""
    sorts: dict[str, list[tuple[int, ...]]] = {"labels": [], "parts": [], "same": []}
    for item in sets:
        sorts[_sort(item, inventory.labels, inventory.split)].append(item)
    severity = {"labels": "error", "parts": "error", "same": "warning"}
    return [
        Finding(f"{kind}_{sort}", severity[sort], tuple(items), {"sets": len(items)})
        for sort, items in sorts.items()
        if items
    ]


def _sort(item: tuple[int, ...], labels: np.ndarray, split: np.ndarray | None) -> str:
    if len({int(labels[i]) for i in item}) > 1:
        return "labels"
    return "parts" if split is not None and len({str(split[i]) for i in item}) > 1 else "same"


def one_of_each(inventory: Inventory) -> np.ndarray:
    """Readable rows, of exact copies only the first: what all further checks look at."""
    first: dict[str, int] = {}
    for i in inventory.readable.tolist():
        first.setdefault(inventory.looks[i].of_pixels, i)
    return np.array(sorted(first.values()), np.int64)
