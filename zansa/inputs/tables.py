"""Tables: rows of cells out of CSV and TSV files and arrays out of .npz files, for training and prediction alike."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from .images import printable

TABLES = (".csv", ".tsv")
HEAD = 1 << 16  # bytes that are looked at to tell a table from another file


@dataclass(frozen=True)
class Table:
    """A file of comma, semicolon or tabulator separated values; its rows are read when they are asked for.

    `header` is in lower case, and None where the first row is one of data; `first` is the first row below it
    ([] in an empty table).
    """

    path: Path
    delimiter: str
    header: tuple[str, ...] | None
    first: list[str]

    @property
    def called(self) -> str:
        """The file's name, for a message."""
        return printable(self.path.name)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row's place in the file, from 1, and its cells; ValueError for a row of another width."""
        width = len(self.header or self.first)
        for number, cells in islice(_rows(self.path, self.delimiter), self.header is not None, None):
            if len(cells) != width:
                wanted = "header" if self.header else "first row"
                raise ValueError(f"{self.called}, row {number}: {len(cells)} cells; the {wanted} has {width}")
            yield number, cells

    def place(self, *names: str) -> int | None:
        """Where the column of the first of these names stands; None when there is none."""
        return next((self.header.index(name) for name in names if name in self.header), None) if self.header else None


def open_table(path: Path) -> Table:
    """The table of a .csv or .tsv file; ValueError when it is no table of text."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(path)
    top = [cells for _, cells in islice(_rows(path, delimiter), 2)]
    header = tuple(cell.lower() for cell in top.pop(0)) if top and _is_header(top[0]) else None
    return Table(path, delimiter, header, top[0] if top else [])


def _is_header(cells: list[str]) -> bool:
    """Whether a first row names the columns: not where all of it are numbers, nor where most are, unless these count
    the columns (0, 1, 2 ... or 1, 2, 3 ...)."""
    numbers = [float(cell) for cell in cells if is_number(cell)]
    if 2 * len(numbers) <= len(cells):
        return True
    return len(numbers) < len(cells) and numbers in ([*range(len(numbers))], [*range(1, len(numbers) + 1)])


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names; ValueError when it is none, or holds Python objects."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zip, header and pickle faults are of many types
        raise ValueError(
            f"cannot read {printable(path.name)}: {error}; needed: an .npz of plain arrays (no Python objects)"
        ) from error


def is_number(cell: str) -> bool:
    """Whether a cell holds a number; NaN counts."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with their places and without the blanks around their cells."""
    # bytes that are no UTF-8 survive: file names are bytes, and may be anything
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        try:
            for number, cells in enumerate(csv.reader(file, delimiter=delimiter, strict=True), 1):
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    yield number, cells
        except csv.Error as error:
            raise ValueError(f"{printable(path.name)} is no table of text: {error}") from error


def _delimiter(path: Path) -> str:
    """Spreadsheets of half the world write semicolons."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if b"\0" in head:
        raise ValueError(f"{printable(path.name)} is no UTF-8 text; save it as 'CSV UTF-8'")
    line = head.split(b"\n", 1)[0].decode("utf-8-sig", "surrogateescape")
    return max(",;\t", key=line.count)
