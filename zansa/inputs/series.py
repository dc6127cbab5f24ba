"""Rows of numbers and of letters to arrays: which columns hold the samples, and the fit to a network's input.

What comes out is always (length, channels): float32 numbers, or uint8 twelfths of letters (see Preprocess). Training
and prediction both follow the arithmetic of this file.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..arch.use import Preprocess
from .images import printable
from .tables import Table, is_number

LABELS = ("label", "class", "target")
NAMES = ("id", "name", "index", "")  # the last is how pandas writes its index
SEQUENCES = ("sequence", "seq")
DNA = "ACGT"
PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
WHOLE = 12  # of a letter: divides into two, three and four
NOTHING = "-."  # gaps
# letters for one of several, in equal shares: IUPAC-IUB nomenclature 1984 (nucleotides) and 1983 (amino acids)
AMBIGUOUS = {
    DNA: {"U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC", "B": "CGT", "D": "AGT",
          "H": "ACT", "V": "ACG", "N": "ACGT"},
    PROTEIN: {"B": "DN", "J": "IL", "Z": "EQ", "X": "", "U": "", "O": "", "*": ""},
}  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """Where in a table's rows the sample and what is known of it stand; either `sequence` or `numbers` is given."""

    label: int | None
    group: int | None
    split: int | None
    name: int | None
    sequence: int | None
    numbers: tuple[int, ...] = ()


# --- columns -------------------------------------------------------------------------------------------------------


def holds_series(table: Table) -> bool:
    """Whether a table's rows are samples, and not names of image files: it has a column `sequence`, or no header, or
    no column `path` and at least two of numbers."""
    if table.header is None:
        return len(table.first) > 1
    if table.place("path") is not None:
        return False
    return table.place(*SEQUENCES) is not None or sum(is_number(table.first[i]) for i in _unknown(table)) > 1


def columns(table: Table, length: int | None = None) -> Columns:
    """The columns of a table of series.

    The label is in the column named label, class or target. Where none is, it is in the first or the last column,
    whichever holds words or whole numbers alone; when both or none do, there is none. `group` and `split` are optional,
    `id`, `name` or `index` names the rows, `sequence` holds letters; without it all other columns are the numbers of
    one channel, in their order. Where the model's `length` is known, columns of numbers alone have no nameless label
    among them, but for exactly one column more than that.
    """
    named = [name for name in LABELS if table.place(name) is not None]
    if len(named) > 1:
        raise ValueError(f"{table.called} has the columns {' and '.join(named)}; only one can be the label: rename one")
    sequence = table.place(*SEQUENCES)
    label = table.place(*named) if named else None
    rest = [] if sequence is not None else _unknown(table)
    numbers_alone = all(is_number(table.first[i]) for i in rest)
    if label is None and sequence is None and (length is None or len(rest) == length + 1 or not numbers_alone):
        label = _label_at_an_end(table, rest)
    return Columns(
        label, table.place("group"), table.place("split"), table.place(*NAMES), sequence,
        tuple(i for i in rest if i != label),
    )  # fmt: skip


def _unknown(table: Table) -> list[int]:
    """Columns with no name that says what they hold."""
    known = {*LABELS, "group", "split", *NAMES, *SEQUENCES}
    return [i for i in range(len(table.first)) if not table.header or table.header[i] not in known]


def _label_at_an_end(table: Table, places: list[int]) -> int | None:
    ends = {places[0], places[-1]} if len(places) > 1 else set()
    for _, cells in table.rows():
        ends = {place for place in ends if _may_be_label(cells[place])}
        if not ends:
            break
    return ends.pop() if len(ends) == 1 else None


def _may_be_label(cell: str) -> bool:
    return bool(cell) and (not is_number(cell) or float(cell).is_integer())


# --- values --------------------------------------------------------------------------------------------------------


def name_of(number: int, cells: list[str], found: Columns) -> str:
    """What a row is called: its name, or its place in the file."""
    return printable(cells[found.name]) if found.name is not None and cells[found.name] else f"row {number}"


def value_of(cells: list[str], found: Columns) -> np.ndarray | str:
    """The sample of a row: letters in upper case, or numbers (L, 1) float32. Empty cells and NaN behind the last
    number only say that the series is shorter; ValueError when they stand before it, or when there is nothing."""
    if found.sequence is not None:
        letters = "".join(cells[found.sequence].split()).upper()
        if not letters:
            raise ValueError("the sequence is empty")
        return letters
    numbers = [cells[i] for i in found.numbers]
    while numbers and numbers[-1].lower() in ("", "nan"):
        numbers.pop()
    return as_signal(_parsed(numbers)[:, None])


def _parsed(cells: list[str]) -> np.ndarray:
    try:
        return np.array(cells, np.float64)
    except ValueError:
        at = next(i for i, cell in enumerate(cells) if not is_number(cell))
        hint = "; write decimals with a point" if re.fullmatch(r"[-+]?\d+,\d+", cells[at]) else ""
        what = repr(cells[at]) if cells[at] else "empty"
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
