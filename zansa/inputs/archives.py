"""The text formats of the archives of series, UCR and UEA, as rows of cells: .ts (aeon, sktime) and .arff (Weka)."""

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path

from .images import printable

_ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+(.*)", re.IGNORECASE)
_DOUBLE_QUOTED = re.compile(r'(^|,)\s*"')


def is_archived(path: Path) -> bool:
    """Whether a file begins as such a format does; .ts is an ending of videos and of programs too."""
    with path.open("rb") as file:
        lines = (line.strip() for line in file.read(1 << 16).removeprefix(BOM_UTF8).splitlines())
        return next((line for line in lines if line and line[:1] not in b"#%"), b"")[:1] == b"@"


def archived_rows(path: Path) -> Iterator[list[str]]:
    """The names of the columns, then the cells of each row. A row is a series, its label first in .ts; of a .ts with
    several dimensions it is one moment of a series. ValueError for what is no such text, series with their own time
    stamps, and an .arff of several dimensions."""
    if not is_archived(path):
        raise ValueError(f"{printable(path.name)} is no text of series: its first line begins with no @")
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    lines = [line.strip() for line in text if line.strip() and line.strip()[0] not in "#%"]
    begin = next((i for i, line in enumerate(lines) if line.lower() == "@data"), len(lines))
    read = _arff if path.suffix.lower() == ".arff" else _ts
    return read(printable(path.name), lines[:begin], lines[begin + 1 :])


def _ts(called: str, head: Sequence[str], lines: Sequence[str]) -> Iterator[list[str]]:
    said = {name: "".join(rest) for name, *rest in (line.lower().split(None, 1) for line in head)}
    if said.get("@timestamps", "false") != "false":
        raise ValueError(f"{called} has a time stamp at each number; needed: @timeStamps false, at even steps")
    labelled = (said.get("@classlabel") or said.get("@targetlabel") or "").startswith("true")
    rows = [line.split(":") for line in lines]
    bare = next((i for i, row in enumerate(rows) if labelled and len(row) == 1), None)
    if bare is not None:
        raise ValueError(f"{called}, series {bare + 1} has no label behind its numbers; needed: 1.2,0.7,1.1:label")
    cells = [[dimension.split(",") for dimension in (row[:-1] if labelled else row)] for row in rows]
    labels = [row[-1].strip() for row in rows] if labelled else []
    count = max(map(len, cells), default=0)
    longest = max((len(numbers) for row in cells for numbers in row), default=0)
    uneven = next((i for i, row in enumerate(cells) if len(row) != count), None)
    if rows and not count:
        raise ValueError(
            f"{called}, series 1 has no numbers; needed: numbers with commas between, and : before a label"
        )
    if uneven is not None:
        raise ValueError(f"{called}, series {uneven + 1}: {len(cells[uneven])} dimensions; the others have {count}")
    if count < 2:
        yield ["label"] * labelled + [f"t{i}" for i in range(longest)]
        for i, (numbers,) in enumerate(cells):
            yield labels[i : i + 1] + numbers + [""] * (longest - len(numbers))
        return
    yield ["series_id", "step", *(f"dimension{d}" for d in range(count)), *["label"] * labelled]
    for i, dimensions in enumerate(cells):
        for step in range(max(map(len, dimensions))):
            moment = [numbers[step] if step < len(numbers) else "" for numbers in dimensions]
            yield [str(i), str(step), *moment, *labels[i : i + 1]]


def _arff(called: str, head: Sequence[str], lines: Sequence[str]) -> Iterator[list[str]]:
    found = [one for line in head if (one := _ATTRIBUTE.match(line))]
    if any(one[2].lower().startswith("relational") for one in found):
        raise ValueError(f"{called} holds series of several dimensions; name the .ts file of the same set instead")
    words = [i for i, one in enumerate(found) if one[2].startswith("{")]
    names = [one[1].strip("'\"") for one in found]
    yield [("label" if words == [i] else name) for i, name in enumerate(names)]
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            raise ValueError(
                f"{called}, row {number} is sparse ({{place value, ...}}); needed: the value of every column"
            )
        quote = '"' if _DOUBLE_QUOTED.search(line) else "'"
        try:
            yield from csv.reader([line], quotechar=quote, escapechar="\\", skipinitialspace=True, strict=True)
        except csv.Error as error:
            raise ValueError(
                f"{called}, row {number}: {error}; needed: a quote at both ends of a cell, or none"
            ) from None
