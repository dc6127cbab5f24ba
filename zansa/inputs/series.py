"""Rows of numbers and of letters to arrays, and the fit to a network's input.

What comes out is always (length, channels): float32 numbers, or uint8 twelfths of letters (see Preprocess). Training
and prediction both follow the arithmetic of this file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..arch.use import Preprocess
from .columns import Columns
from .images import printable
from .tables import Table, has_comma, has_unit, is_missing, is_number, number_spelling

DNA = "ACGT"
PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
WHOLE = 12  # of a letter: divides into two, three and four
NOTHING = "-."  # gaps
# letters for one of several, in equal shares: IUPAC-IUB nomenclature 1984 (nucleotides) and 1983 (amino acids)
AMBIGUOUS = {
    DNA: {
        "U": "T",
        "R": "AG",
        "Y": "CT",
        "S": "CG",
        "W": "AT",
        "K": "GT",
        "M": "AC",
        "B": "CGT",
        "D": "AGT",
        "H": "ACT",
        "V": "ACG",
        "N": "ACGT",
    },
    PROTEIN: {"B": "DN", "J": "IL", "Z": "EQ", "X": "", "U": "", "O": "", "*": ""},
}


# --- values --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One sample of a table.

    where: the table and the row, or the series, for a message.
    name: what it is called.
    cells: of its first row.
    value: numbers (L, C), or letters; None where it cannot be read.
    note: what was changed in reading; "": nothing.
    error: why it cannot be read; "" where it can.
    """

    where: str
    name: str
    cells: list[str]
    value: np.ndarray | str | None
    note: str = ""
    error: str = ""


def samples_of(table: Table, found: Columns) -> Iterator[Row]:
    """The samples of a table: a row each, or the series whose moments are its rows, in the order of their first row."""
    if found.step is not None:
        yield from _series_of(table, found)
        return
    for number, cells in table.rows():
        where, name = f"{table.called}, row {number}", name_of(number, cells, found)
        try:
            yield Row(where, name, cells, value_of(cells, found))
        except ValueError as error:
            yield Row(where, name, cells, None, error=str(error))


def _series_of(table: Table, found: Columns) -> Iterator[Row]:
    assert found.name is not None
    series: dict[str, list[list[str]]] = {}
    rows = [cells for _, cells in table.rows()]
    names, _ = number_spelling([cells[found.name] for cells in rows], "series")  # 1 and 1.0 are one series
    for name, cells in zip(names, rows, strict=True):
        series.setdefault(name, []).append(cells)
    for name, moments in series.items():
        where = f"{table.called}, series {printable(name) or 'without a name'}"
        try:
            value, note = _one_series(moments, found)
            yield Row(where, printable(name), moments[0], value, note)
        except ValueError as error:
            yield Row(where, printable(name), moments[0], None, error=str(error))


def _one_series(moments: list[list[str]], found: Columns) -> tuple[np.ndarray, str]:
    """(L, C) float32 out of the rows of one series, in the order of their steps, and what is to be said of these."""
    assert found.step is not None
    for what, place in (("label", found.label), ("group", found.group), ("split", found.split)):
        said = sorted({cells[place] for cells in moments}) if place is not None else []
        if len(said) > 1:
            raise ValueError(f"the {what} is {printable(' and '.join(said[:2]))}; needed: one {what} for all its rows")
    moments, note = _in_order(moments, found.step)
    rows = []
    for cells in moments:
        try:
            rows.append(_parsed([cells[i] for i in found.numbers]))
        except ValueError as error:
            raise ValueError(f"step {cells[found.step]}: {error}") from None
    return as_signal(np.stack(rows)), note


def _in_order(moments: list[list[str]], step: int) -> tuple[list[list[str]], str]:
    """The rows of one series in the order of their steps, numbers or times (ISO 8601), and what is to be said."""
    try:
        at = np.array([_moment(cells[step]) for cells in moments])
    except ValueError:
        return moments, "its steps are neither numbers nor times as 2024-05-31 12:00, and were taken as they stand"
    order = np.argsort(at, kind="stable")
    apart = np.diff(at[order])
    if not (apart > 0).all():
        twice = moments[order[int(np.argmin(apart > 0))]][step]
        raise ValueError(f"the step {printable(twice)} stands twice; needed: one row a moment")
    even = len(apart) < 2 or np.allclose(apart, apart[0], rtol=1e-3)
    return [moments[i] for i in order], "" if even else "its steps are uneven, and were taken as if they were even"


def _moment(cell: str) -> float:
    if is_number(cell):
        return float(cell)
    return (
        datetime.fromisoformat(cell.replace("/", "-")).replace(tzinfo=UTC).timestamp()
    )  # only their order and distance count


def name_of(number: int, cells: list[str], found: Columns) -> str:
    """What a row is called: its name, or its place in the file."""
    return printable(cells[found.name]) if found.name is not None and cells[found.name] else f"row {number}"


def value_of(cells: list[str], found: Columns) -> np.ndarray | str:
    """The sample of a row: letters in upper case, or numbers (L, 1) float32. Empty cells and NaN, NA, ? behind the last
    number only say that the series is shorter; ValueError when they stand before it, or when there is nothing."""
    if found.sequence is not None:
        return _letters(cells[found.sequence])
    numbers = [cells[i] for i in found.numbers]
    while numbers and is_missing(numbers[-1]):
        numbers.pop()
    return as_signal(_parsed(numbers)[:, None])


def _letters(cell: str) -> str:
    parts = re.split(r"[\s,;|]+", cell)
    if all(map(is_number, parts)) and (len(parts) > 1 or not cell.isdigit()):
        raise ValueError(
            f"the sequence {printable(cell[:20])!r} holds numbers; needed: letters, or a column for each number"
        )
    if is_missing(cell):
        raise ValueError(f"the sequence is {repr(cell) if cell else 'empty'}; needed: letters in every row")
    return "".join(cell.split()).upper()


def _parsed(cells: list[str]) -> np.ndarray:
    try:
        return np.array(cells, np.float64)
    except ValueError:
        at = next(i for i, cell in enumerate(cells) if not is_number(cell))
        hint = "; write decimals with a point, and thousands without a comma" if has_comma(cells[at]) else ""
        hint = "; fill gaps first" if is_missing(cells[at]) else hint
        hint = "; write numbers without units" if has_unit(cells[at]) else hint
        what = repr(printable(cells[at])) if cells[at] else "empty"
        raise ValueError(f"number {at + 1} is {what}; needed: a number in every column of numbers{hint}") from None


def as_signal(values: np.ndarray) -> np.ndarray:
    """(L, C) numbers of any type as float32; ValueError when one is not finite, or when there are none."""
    if not values.size:
        raise ValueError("there are no numbers")
    with np.errstate(over="ignore"):
        signal = np.ascontiguousarray(values, np.float32)
    broken = np.argwhere(~np.isfinite(signal))
    if len(broken):
        place, channel = broken[0]
        raise ValueError(f"number {place + 1} is {values[place, channel]}; needed: finite numbers, fill gaps first")
    return signal


def signals_of(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(N, L, C) numbers from the array `signals` of an .npz file, (N, L) or (N, C, L); ValueError for another shape,
    and for more channels than numbers in each, which are axes in another order."""
    called, signals = printable(path.name), arrays["signals"]
    if signals.dtype.kind not in "fiu" or signals.ndim not in (2, 3) or 0 in signals.shape:
        raise ValueError(
            f"the signals of {called} are {signals.dtype} {signals.shape}; needed: numbers (N, length) or "
            "(N, channels, length)"
        )
    signals = signals[:, None] if signals.ndim == 2 else signals
    if signals.shape[1] >= signals.shape[2]:
        raise ValueError(
            f"the signals of {called} are {signals.shape}, read as (N, channels, length): as many channels as numbers "
            "in each, or more; if they are (N, length, channels), use np.moveaxis(signals, 2, 1)"
        )
    return np.moveaxis(signals, 1, 2)


# --- the fit -------------------------------------------------------------------------------------------------------


def prepare_series(value: np.ndarray | str, preprocess: Preprocess) -> tuple[np.ndarray, str]:
    """A sample as the network's input before normalisation, (length, channels), and what was lost of it ("": nothing).
    ValueError when it is no sample for this network."""
    length = preprocess.size[0]
    if isinstance(value, str) != bool(preprocess.alphabet):
        wanted = "sequences of letters" if preprocess.alphabet else "numbers"
        raise ValueError(f"this model takes {wanted}, not {'letters' if isinstance(value, str) else 'numbers'}")
    cut = len(value) > length and preprocess.fit == "letterbox"
    notes = [f"cut to the first {length} of {len(value)}"] if cut else []
    if isinstance(value, str):
        strange = unknown_letters(value[:length], preprocess.alphabet)
        notes += [f"unknown, read as nothing: {' '.join(strange)}"] if strange else []
        levels = encode(value, length, preprocess.alphabet)
        if not levels.any():
            raise ValueError(f"none of its letters is known; the model knows {preprocess.alphabet}")
        return levels, "; ".join(notes)
    if value.shape[1] != preprocess.channels:
        raise ValueError(f"it has {value.shape[1]} channels; this model takes {preprocess.channels}")
    return fit_signal(value, length, preprocess.fit), "; ".join(notes)


def fit_note(value: np.ndarray | str, preprocess: Preprocess) -> str:
    """What prepare_series does to a signal that is shorter or longer than the network's input, but for what it cuts."""
    length = preprocess.size[0]
    if isinstance(value, str) or len(value) == length:
        return ""
    if preprocess.fit == "stretch":
        return f"interpolated from {len(value)} to {length} numbers"
    return f"filled up from {len(value)} to {length} numbers" if len(value) < length else ""


def fit_signal(signal: np.ndarray, length: int, fit: str) -> np.ndarray:
    """(L, C) float32 to (length, C): "stretch" interpolates linearly, and averages where it shortens; "letterbox"
    repeats the last numbers, or cuts."""
    if len(signal) == length:
        return signal
    if fit == "letterbox":
        return signal[np.minimum(np.arange(length), len(signal) - 1)]
    lines = Image.fromarray(np.ascontiguousarray(signal.T))  # a row of pixels for each channel
    stretched = lines.resize((length, signal.shape[1]), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(stretched).T)


def encode(letters: str, length: int, alphabet: str) -> np.ndarray:
    """Upper-case letters as (length, len(alphabet)) uint8 twelfths; what is behind the end, unknown or a gap is 0."""
    levels = np.zeros((length, len(alphabet)), np.uint8)
    codes = np.frombuffer(re.sub("[^\x01-\xff]", "\0", letters[:length]).encode("latin-1"), np.uint8)
    levels[: len(codes)] = _twelfths(alphabet)[codes]
    return levels


def unknown_letters(letters: str, alphabet: str) -> list[str]:
    """The symbols that mean nothing in this alphabet, each once; gaps are not counted."""
    known = {*alphabet, *AMBIGUOUS.get(alphabet, {}), *NOTHING}
    return sorted(set(letters) - known)


@lru_cache(maxsize=8)
def _twelfths(alphabet: str) -> np.ndarray:
    """(256, len(alphabet)): the levels of every Latin-1 character."""
    table = np.zeros((256, len(alphabet)), np.uint8)
    for letter, several in {**{letter: letter for letter in alphabet}, **AMBIGUOUS.get(alphabet, {})}.items():
        for one in several:
            table[ord(letter), alphabet.index(one)] = WHOLE // len(several)
    return table
