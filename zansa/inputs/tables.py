"""Tables: rows of cells out of CSV and TSV files and arrays out of .npz files, for training and prediction alike."""

import csv
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np

from .archives import archived_rows, is_archived
from .encodings import CALLED, UNKNOWN, WIDE, encoding_of
from .images import printable

TABLES = (".csv", ".tsv")
ARCHIVED = (".ts", ".arff")  # tables of series in the archives UCR and UEA
DELIMITERS = ",;\t|"  # spreadsheets of half the world write semicolons
TOP = 1 << 16  # signs by which the delimiter is chosen
SEVERAL = 20  # rows by which delimiter and header are told
MINUSES = ("\u2212", "\uff0d")
DASHES = {"-", "--", "–", "—", "―", "ー"}
MARKS = ("nan", "na", "n/a", "#n/a", "#na", "<na>", "null", "?")  # of a missing value; "none" and "-" are words too
SPECIAL = ("path", "label", "class", "target", "group", "split", "sequence", "seq", "id", "name", "index")
DECIMAL_COMMA = re.compile(r"[-+]?\d+(?:[ '\u00a0\u2019\u202f.]\d{3})*,\d+(?:[eE][-+]?\d+)?")
NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]\d+)?")  # and no code: 007, 2E1
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}([.,]\d{3})+")  # as it may be read: 1,000 and 1.000
csv.field_size_limit(2**31 - 1)  # Python's own limit of 131,072 signs a cell is less than a genome


@dataclass(frozen=True)
class Table:
    """A file of comma, semicolon or tabulator separated values; its rows are read when they are asked for.

    delimiter: what stands between the values of a row.
    header: the names of the columns in lower case, None where the first row is one of data; a column that pandas or R
        left without a name is called "".
    first: the first row below the header; [] in an empty table.
    encoding: of its text, as Python calls it.
    """

    path: Path
    delimiter: str
    header: tuple[str, ...] | None
    first: list[str]
    encoding: str = "utf-8"

    @property
    def called(self) -> str:
        """The file's name, for a message."""
        return printable(self.path.name)

    @property
    def remark(self) -> str:
        """What was guessed to read the file, in a sentence; "" where nothing was."""
        if self.encoding not in CALLED:
            return ""
        return f"{self.called} is read as {CALLED[self.encoding]}; if names look wrong, save it as 'CSV UTF-8'"

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row's place in the file, from 1, and its cells; ValueError for a row of another width, but for empty
        cells behind the last column."""
        width = len(self.header or self.first)
        for number, cells in islice(_rows(self.path, self.delimiter, self.encoding), self.header is not None, None):
            while len(cells) > width and not cells[-1]:
                cells.pop()
            if len(cells) != width:
                wanted, top = ("header", self.header) if self.header else ("first row", self.first)
                above = "; remove what stands above the header" if width == 1 or top[0] == "sep=" else ""
                raise ValueError(f"{self.called}, row {number}: {len(cells)} cells; the {wanted} has {width}{above}")
            yield number, cells

    def place(self, *names: str) -> int | None:
        """Where the column of the first of these names stands; None when there is none."""
        return next((self.header.index(name) for name in names if name in self.header), None) if self.header else None


def open_table(path: Path) -> Table:
    """The table of a .csv, .tsv, .ts or .arff file; ValueError when it is no table of text, or its first row is of
    another width than its header."""
    if path.suffix.lower() in ARCHIVED:
        names = tuple(cell.lower() for cell in next(archived_rows(path)))
        return replace(table := Table(path, ",", names, []), first=next(table.rows(), (0, []))[1])
    encoding = encoding_of(path)
    delimiter = _delimiter(path, encoding)
    top = [cells for _, cells in islice(_rows(path, delimiter, encoding), 1 + SEVERAL)]
    if top and all(len(cells) == 1 and len(cells[0].split()) > 2 for cells in top):
        raise ValueError(
            f"{printable(path.name)} has one column only; needed: commas, semicolons or tabulators between the "
            "cells, and names above them. Where blanks stand between: (echo path,label,more; sed -E 's/ +/,/g' "
            f"{printable(path.name)}) > table.csv, with the names of its columns"
        )
    header = tuple(map(_name, top[0])) if top and _is_header(top[0], top[1:]) else None
    table = Table(path, delimiter, header, [], encoding)
    first = next(table.rows(), (0, []))[1] if header else top[0] if top else []
    return Table(path, delimiter, header, first, encoding)


def is_text_table(path: Path) -> bool:
    """Whether a file of a table's ending is one: .ts is an ending of videos and of programs too."""
    return path.suffix.lower() not in ARCHIVED or is_archived(path)


def _name(cell: str) -> str:
    """A column's name. pandas reads back its own index, which has none, as Unnamed: 0."""
    return "" if re.fullmatch(r"unnamed: [\d.]+(_level_\d+)?", cell.lower()) else cell.lower()


def _is_header(cells: list[str], below: list[list[str]]) -> bool:
    """Whether a first row names the columns: where it has a name that zansa knows, or where at most half of its cells
    are numbers. Numbers may still be names: where they count the columns (0, 1, 2 ... or 1, 2, 3 ...) beside a word of
    its own, and where they rise or fall like wavelengths and no row below does."""
    numbers = [float(cell) for cell in cells if is_number(cell)]
    words = {cell for cell in cells if cell and not is_number(cell)}
    special = {cell for cell in words if cell.lower() in SPECIAL}
    if (special and special.isdisjoint(chain(*below))) or 2 * sum(map(like_number, cells)) <= len(cells):
        return True
    like_rows = any(map(_is_scale, below))
    if 0 < len(numbers) < len(cells) and numbers in ([*range(len(numbers))], [*range(1, len(numbers) + 1)]):
        return not like_rows or words.isdisjoint(chain(*below))
    return bool(below) and _is_scale(cells) and not like_rows


def _is_scale(cells: list[str]) -> bool:
    """Whether the numbers of a row could be marks of a scale: at least four in equal steps, or eight that rise or fall
    throughout. A label that is a number may stand before or behind them."""
    numbers = [float(cell) for cell in cells if is_number(cell)]
    return any(_is_monotone(part) for part in (numbers, numbers[1:], numbers[:-1]))


def _is_monotone(numbers: Sequence[float]) -> bool:
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    if len(steps) < 3 or not (min(steps) > 0 or max(steps) < 0):
        return False
    return len(steps) >= 7 or bool(np.allclose(steps, steps[0], rtol=1e-6))


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names; ValueError when it is none, or holds Python objects."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zip, header and pickle faults are of many types
        raise ValueError(
            f"cannot read {printable(path.name)}: {error}; needed: an .npz of plain arrays (no Python objects)"
        ) from error


# --- cells ---------------------------------------------------------------------------------------------------------


def is_number(cell: str) -> bool:
    """Whether a cell holds a number; NaN counts."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000


def has_comma(cell: str) -> bool:
    """Whether a cell holds a number as it is written with a comma: 1,5 or 1.234,5, or 1,234 for a thousand."""
    return DECIMAL_COMMA.fullmatch(cell) is not None or re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", cell) is not None


def has_unit(cell: str) -> bool:
    """Whether a cell holds a number with its unit: 5 mV, 12%."""
    return re.fullmatch(r"[-+]?\d+([.,]\d+)? ?(%|[a-zA-Zµ°Ω]{1,3})", cell) is not None


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or says that its value is missing: NaN, NA, null, ? and the like."""
    return not cell or cell.lower() in MARKS


def refuse_dashes(labels: Sequence[str], called: str) -> None:
    """ValueError for labels that are a dash: it stands where nothing is known, but beside a plus."""
    dashes = sorted(DASHES & set(labels))
    if dashes and "+" not in labels:
        raise ValueError(
            f"{called}: {sum(label in dashes for label in labels)} labels are {dashes[0]!r}, which may say that they "
            "are missing: fill them in or remove the rows; where this is a class, write a word for it"
        )


def like_number(cell: str) -> bool:
    """Whether a cell stands where numbers do, though it may be none: 1.5, 1,5, NA."""
    return is_number(cell) or has_comma(cell) or cell.lower() in MARKS


def number_spelling(labels: Sequence[str], what: str = "class") -> tuple[list[str], str]:
    """The labels, or the names of another `what`, with one spelling for each number, and what was done, in a sentence
    ("": nothing): 1, 1.0 and 1.000e+00 are class 1, and so is a full-width １. Codes stay as they are: 007, 2E1.
    ValueError where a number has two readings: 1,000 beside 1 or 1000."""
    forms = _pointed({each: unicodedata.normalize("NFKC", each) for each in {*labels}}, what)
    numbers = {each: float(form) for each, form in forms.items() if NUMBER.fullmatch(form)}
    plain = {label: _short(n) for label, n in numbers.items()}
    changed = [f"{label} is {what} {name}" for label, name in sorted(plain.items()) if label != name]
    shown = ", ".join(changed[:4]) + (" ..." if len(changed) > 4 else "")
    called = "labels" if what == "class" else f"names of a {what}"
    told = f"{called} that are numbers have one spelling: {shown}" if changed else ""
    return [plain.get(label, label) for label in labels], told


def _pointed(forms: dict[str, str], what: str) -> dict[str, str]:
    """Names with a decimal comma as numbers with a point, where the same number is written so too: 1,5 beside 1.5.
    Alone 1,5 may be two things."""
    numbers = {float(form): each for each, form in forms.items() if NUMBER.fullmatch(form)}
    plain = {value: each for value, each in numbers.items() if forms[each].lstrip("+-").isdecimal()}
    with_point = {value for value, each in numbers.items() if "." in forms[each]}
    found = dict(forms)
    for each, form in forms.items():
        pointed = form.replace(",", ".")
        decimal = float(pointed) if pointed != form and NUMBER.fullmatch(pointed) else math.nan
        thousands = float(re.sub("[.,]", "", form)) if THOUSANDS.fullmatch(form) else math.nan
        other = (numbers if "," in form else plain).get(thousands) or numbers.get(decimal)
        if other is not None and not math.isnan(thousands):
            raise ValueError(
                f"{each} and {other} may be one {what} or two: {each} may be {_short(thousands)} or a number with "
                "decimals; write all of them in one way"
            )
        if decimal in with_point:
            found[each] = pointed
    return found


def _short(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


# --- text ----------------------------------------------------------------------------------------------------------


def _rows(path: Path, delimiter: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with their places and without the blanks around their cells."""
    if path.suffix.lower() in ARCHIVED:
        yield from enumerate([cell.strip() for cell in cells] for cells in archived_rows(path))
        return
    wide = encoding.startswith(WIDE)
    # bytes that are no UTF-8 survive: file names are bytes, and may be anything
    known = wide or encoding == "utf-8"
    form, odd = (encoding, "strict") if wide else ("utf-8-sig", "surrogateescape")
    with path.open(encoding=form, errors=odd, newline="") as file:
        try:
            for number, cells in enumerate(csv.reader(file, delimiter=delimiter, strict=True), 1):
                cells = [_with_plain_minus(cell.strip()) for cell in cells]
                if any(cells):
                    yield number, cells if known else [_decoded(cell, encoding, path, number) for cell in cells]
        except (csv.Error, UnicodeError) as error:
            raise ValueError(f"{printable(path.name)} is no table of text: {error}") from error


def _with_plain_minus(cell: str) -> str:
    """A number with the minus that every program reads: word processors write the sign U+2212, Japanese a wide one."""
    return f"-{cell[1:]}" if cell[:1] in MINUSES and is_number(cell[1:]) else cell


def _decoded(cell: str, encoding: str, table: Path, number: int) -> str:
    """A cell in the table's encoding; one that is the name of a file beside the table by its bytes keeps these."""
    if cell.isascii() or _is_file(table.parent / cell):
        return cell
    raw = cell.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8" if encoding == UNKNOWN else encoding)
    except UnicodeDecodeError:
        raise ValueError(
            f"{printable(table.name)}, row {number}: {printable(cell)!r} is written neither in UTF-8 or UTF-16, nor "
            "for sure in Shift-JIS (cp932) or Western European (cp1252); save the table as 'CSV UTF-8'"
        ) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or a zero in it
        return False


def _delimiter(path: Path, encoding: str) -> str:
    """The sign that cuts the first rows into equally many cells, of which most are numbers."""
    form = encoding if encoding.startswith(WIDE) else "utf-8-sig"
    with path.open(encoding=form, errors="replace", newline="") as file:
        lines = file.read(TOP).splitlines(keepends=True)
    if path.suffix.lower() == ".tsv" and lines and "\t" in lines[0]:
        return "\t"
    return max(DELIMITERS, key=lambda sign: _fitness(lines, sign))


def _fitness(lines: list[str], delimiter: str) -> tuple[bool, float, int]:
    """How well a delimiter goes with the first lines: whether all rows have equally many cells, at least two; the share
    of numbers among the cells; the cells of the first row."""
    rows: list[list[str]] = []
    with suppress(csv.Error):  # another delimiter, or the end of what was read
        rows.extend(islice(csv.reader(lines, delimiter=delimiter, strict=True), SEVERAL))
    rows = [[cell.strip() for cell in row] for row in rows if any(map(str.strip, row))]
    if not rows:
        return False, 0.0, 0
    cells = [cell for row in rows for cell in row]
    even = len(rows[0]) > 1 and len({len(row) for row in (rows[:-1] if len(rows) > 2 else rows)}) == 1
    return even, sum(map(like_number, cells)) / len(cells), len(rows[0])
