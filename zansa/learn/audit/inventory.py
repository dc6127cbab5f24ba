"""All images of a set with what is known of each: the one reading that every check works on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..data.cache import cores
from ..data.dataset import Dataset, number, one_group
from ..data.sources import Listing
from ..data.spelling import one_spelling
from .look import Look, look_at_array, look_at_file

BATCH = 512  # images in flight
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Inventory:
    """Images in the order in which their source lists them; all columns have one length N.

    names: of the images.
    labels: (N,) int64 into classes.
    classes: their names.
    looks: of all rows, also of those that cannot be read; `readable` are the rows that can.
    groups: (N,) str, as they are given; None without.
    split: (N,) str, the part of each image as it is given, "" for none; None without.
    files: their paths; () where images have no files of their own.
    told: sentences of the reader on what it passed over.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    looks: tuple[Look, ...]
    groups: np.ndarray | None = None
    split: np.ndarray | None = None
    files: tuple[Path, ...] = ()
    told: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def readable(self) -> np.ndarray:
        """Rows of the images that can be read."""
        return np.array([i for i, look in enumerate(self.looks) if not look.problem], np.int64)

    def column(self, name: str) -> np.ndarray:
        """One field of all looks."""
        return np.array([getattr(look, name) for look in self.looks])

    def only(self, rows: np.ndarray) -> "Inventory":
        """These rows alone; their numbers change."""
        return replace(
            self,
            names=tuple(self.names[i] for i in rows),
            labels=self.labels[rows],
            looks=tuple(self.looks[i] for i in rows),
            groups=None if self.groups is None else self.groups[rows],
            split=None if self.split is None else self.split[rows],
            files=tuple(self.files[i] for i in rows) if self.files else (),
        )


def from_listing(listing: Listing, progress: Progress | None = None) -> Inventory:
    """The inventory of image files, each read once, on all cores."""
    words, respelled = one_spelling(list(listing.labels))
    labels, classes = number(words)
    groups, regrouped = one_group(listing.groups)
    looks = _each(lambda k: look_at_file(listing.files[k], listing.names[k]), len(listing.files), progress)
    return Inventory(
        names=listing.names,
        labels=labels,
        classes=classes,
        looks=tuple(looks),
        groups=groups,
        split=None if listing.split is None else np.array(listing.split),
        files=listing.files,
        told=(*listing.problems, *respelled, *regrouped),
    )


def from_dataset(data: Dataset, progress: Progress | None = None) -> Inventory:
    """The inventory of images that are in memory."""
    looks = _each(lambda k: look_at_array(data.images[k], data.digests[k]), len(data), progress)
    return Inventory(
        data.names, data.labels, data.classes, tuple(looks), data.groups, data.split, data.files, data.problems
    )


def _each(look: Callable[[int], Look], count: int, progress: Progress | None) -> Iterator[Look]:
    """Pillow and hashlib decode and hash outside the interpreter's lock, so threads help."""
    rows, done = iter(range(count)), 0
    with ThreadPoolExecutor(cores()) as pool:
        while batch := list(islice(rows, BATCH)):
            yield from pool.map(look, batch)
            done += len(batch)
            if progress is not None:
                progress(done, count)


def rows_by(values: Sequence[Any]) -> dict[Any, list[int]]:
    """The rows that have each value, in the order of their first appearance."""
    found: dict[Any, list[int]] = {}
    for row, value in enumerate(values):
        found.setdefault(value, []).append(row)
    return found
