"""What file names tell: the numbers in them, the orders they give, and the rules by which they may name one part."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

import numpy as np

from .inventory import Inventory

FIELDS = 4  # numbers of a name that are looked at
RULE = re.compile(
    r"folder|before last number|alike|time gap (?P<seconds>\d+)|number (?P<k>[1-4])( gap (?P<gap>\d+))?( in folder)?"
    r"|number (?P<rise>[1-4]) rises by (?P<by>[1-4])( in folder)?"
)
ALLOWED = (
    'folder, before last number, number 1, number 1 gap 60, number 1 rises by 2 (each also "... in folder"), '
    "time gap 30, alike"
)
QUANTILES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)  # of gaps, of which some may part one thing from the next


@lru_cache(maxsize=1)  # of one set many rules are tried
def numbers(names: tuple[str, ...]) -> np.ndarray:
    """(N, 4) int64: the numbers in each file's name, from the left; -1 where there is none."""
    table = np.full((len(names), FIELDS), -1, np.int64)
    for row, name in enumerate(names):
        found = re.findall(r"\d+", PurePosixPath(name).stem)[:FIELDS]
        table[row, : len(found)] = [int(number[-18:]) for number in found]
    return table


@lru_cache(maxsize=1)
def folders(names: tuple[str, ...]) -> np.ndarray:
    """(N,) the number of each file's folder."""
    return np.unique([str(PurePosixPath(name).parent) for name in names], return_inverse=True)[1]


def orders(inventory: Inventory) -> Iterator[tuple[int, np.ndarray]]:
    """Orders of images within their folders: 0, that of whole names; k, that of the k-th number. (N,) places; places of
    different folders lie far apart."""
    table, folder = numbers(inventory.names), folders(inventory.names)
    far = 1000 * folder
    names = np.array([re.sub(r"\d+", lambda found: found[0].zfill(18), name) for name in inventory.names])
    yield 0, far * len(names) + _rank(names, folder)
    for k in range(FIELDS):
        if len(np.unique(table[:, k])) > 2:
            yield k + 1, far * len(names) + _rank(table[:, k], folder)


def _rank(values: np.ndarray, folder: np.ndarray) -> np.ndarray:
    places = np.empty(len(values), np.int64)
    places[np.lexsort((values, folder))] = np.arange(len(values))
    return places


def rules(inventory: Inventory) -> Iterator[str]:
    """Rules that may group the images, as `groups_by` takes them."""
    table, folder = numbers(inventory.names), folders(inventory.names)
    if len(np.unique(folder)) > len(inventory.classes) * 3:
        yield "folder"
    yield "before last number"
    ends = ("", " in folder") if len(np.unique(folder)) > 1 else ("",)
    for k in range(FIELDS):
        values = np.unique(table[:, k])
        if len(values) < 3:
            continue
        for end in ends:
            yield f"number {k + 1}{end}"
            for gap in _gaps(values):
                yield f"number {k + 1} gap {gap}{end}"
            for by in range(FIELDS):
                if by != k and len(np.unique(table[:, by])) > 2:
                    yield f"number {k + 1} rises by {by + 1}{end}"
    times = np.unique(inventory.column("taken"))
    for gap in _gaps(times[np.isfinite(times)].astype(np.int64)):
        yield f"time gap {gap}"


def _gaps(values: np.ndarray) -> list[int]:
    steps = np.diff(values)
    if len(steps) < 10:
        return []
    return sorted({int(gap) for gap in np.quantile(steps, QUANTILES)} - {0})


def groups_by(rule: str, inventory: Inventory) -> np.ndarray:
    """(N,) int64 groups of images by a rule; ValueError for a rule that is none, or makes no groups here."""
    found = RULE.fullmatch(rule.strip())
    if found is None or rule == "alike":
        raise ValueError(f"--group {rule!r} is not understood; allowed: {ALLOWED}")
    table, folder = numbers(inventory.names), folders(inventory.names)
    within = folder if rule.endswith("in folder") else np.zeros_like(folder)
    if rule == "folder":
        return folder
    if rule == "before last number":
        heads = [re.sub(r"\d+(?!.*\d).*", "", name) for name in inventory.names]
        return np.unique(heads, return_inverse=True)[1]
    if found["seconds"]:
        return _runs(inventory.column("taken"), within, int(found["seconds"]))
    if found["rise"]:
        return _rising(table[:, int(found["rise"]) - 1], table[:, int(found["by"]) - 1], within)
    values = table[:, int(found["k"]) - 1]
    if found["gap"]:
        return _runs(values, within, int(found["gap"]))
    return np.unique(np.column_stack([within, values]), axis=0, return_inverse=True)[1].ravel()


def _runs(values: np.ndarray, within: np.ndarray, gap: float) -> np.ndarray:
    """A new group where the next value is more than `gap` away."""
    order = np.lexsort((values, within))
    new = (np.diff(values[order]) > gap) | (np.diff(within[order]) != 0) | np.isnan(values[order][1:].astype(float))
    return _numbered(order, new)


def _rising(values: np.ndarray, by: np.ndarray, within: np.ndarray) -> np.ndarray:
    """In the order of `by`, a new group where `values` does not rise."""
    order = np.lexsort((by, within))
    return _numbered(order, (np.diff(values[order]) <= 0) | (np.diff(within[order]) != 0))


def _numbered(order: np.ndarray, new: np.ndarray) -> np.ndarray:
    groups = np.empty(len(order), np.int64)
    groups[order] = np.concatenate([[0], np.cumsum(new)])
    return groups
