"""Series: signals and sequences of letters, out of tables and arrays, to the one form of a data set."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from ...arch.use import Preprocess
from ...inputs.columns import LABELS, Columns, columns, holds_series, listed, names_of, refuse_doubtful
from ...inputs.images import printable
from ...inputs.series import (
    AMBIGUOUS,
    DNA,
    NOTHING,
    PROTEIN,
    Row,
    as_signal,
    prepare_series,
    samples_of,
    signals_of,
)
from ...inputs.tables import (
    ARCHIVED,
    TABLES,
    Table,
    has_unit,
    is_missing,
    is_text_table,
    like_number,
    open_table,
    refuse_dashes,
)
from .dataset import Dataset, label_names, number, one_group
from .sources import BESIDE, SPLIT_WORDS, shortened, split_word
from .spelling import one_spelling

ROUNDED = 0.05  # of a number's deviation
MISSING = {*(float("9" * count) for count in range(3, 10)), 32768.0}  # as -999, without the sign
MOST_LETTERS = 64  # more different symbols are no alphabet
Values = Sequence[str] | Sequence[np.ndarray] | np.ndarray


# --- reading -------------------------------------------------------------------------------------------------------


def series_tables(path: Path) -> list[tuple[Path, str | None]]:
    """The tables of series that a source is: itself, or a folder's tables with the parts their names say; [] when it
    is a source of images."""
    if path.is_file() and path.suffix.lower() in (*TABLES, *ARCHIVED):
        return [(path, None)] if holds_series(open_table(path)) else []
    files = (
        sorted(file for file in path.iterdir() if file.suffix.lower() in (*TABLES, *ARCHIVED)) if path.is_dir() else []
    )
    for kinds in (TABLES, *((kind,) for kind in ARCHIVED)):  # an archive has the same series in several forms
        if found := _of_parts(path, [file for file in files if file.suffix.lower() in kinds]):
            return found
    return []


def _of_parts(path: Path, files: Sequence[Path]) -> list[tuple[Path, str | None]]:
    parts = [(file, _part(file)) for file in files]
    found: list[tuple[Path, str | None]] = [
        (file, part) for file, part in parts if part and is_text_table(file) and holds_series(open_table(file))
    ]
    if files and files[0].suffix.lower() in ARCHIVED:  # of several lengths: the longest names the columns
        found.sort(key=lambda each: -len(open_table(each[0]).first))
    if len(found) > len({part for _, part in found}):
        names = shortened([printable(file.name) for file, _ in found])
        raise ValueError(f"{printable(str(path))} holds several tables for one part: {names}; keep one for each part")
    return found if "train" in {part for _, part in found} else []


def _part(file: Path) -> str | None:
    """The part a table is for, by the last word of its name: GunPoint_TRAIN.tsv, test.csv."""
    return SPLIT_WORDS.get(file.stem.lower().replace("-", "_").split("_")[-1])


def list_tables(tables: Sequence[tuple[Path, str | None]], like: Preprocess | None = None) -> dict[str, Any]:
    """What from_series takes, out of the tables of series_tables; ValueError names the row and what is wrong. Columns
    are found by the names that the model `like`, or the first table, has them under."""
    rows: dict[str, list[Any]] = {name: [] for name in ("values", "labels", "names", "groups", "split")}
    remarks, notes = [], Counter[str]()
    known, by_moments = (like.columns, like.by_moments) if like else ((), None)
    for path, part in tables:
        table = open_table(path)
        found = columns(table, known=known, by_moments=by_moments)
        _refuse_columns(table, found)
        if not known:
            refuse_doubtful(table, found)
            known, by_moments = names_of(table, found.numbers), found.step is not None
        remarks += [sentence for sentence in (table.remark, _told(table, found), found.note) if sentence]
        before = f"{table.called} " if len(tables) > 1 else ""
        for row in samples_of(table, found):
            _add(rows, row, found, part)
            rows["names"].append(before + row.name)
            notes[row.note] += bool(row.note)
    if not rows["values"]:
        raise ValueError(f"{printable(tables[0][0].name)} has no rows below its header; needed: one row per sample")
    for name in ("groups", "split"):
        if 0 < len(rows[name]) < len(rows["values"]):
            raise ValueError(
                f"only some of the tables have a column {name.removesuffix('s')}; give it in all or in none"
            )
    refuse_dashes(rows["labels"], printable(tables[0][0].name))
    labels, changed = one_spelling(rows["labels"])
    remarks += [f"{note} (in {count} series)" for note, count in notes.items() if note]
    remarks += changed
    filled = {name: values or None for name, values in rows.items()}
    return filled | {"labels": labels, "remarks": tuple(remarks), "columns": tuple(known)}


def _add(rows: dict[str, list[Any]], row: Row, found: Columns, part: str | None) -> None:
    if row.error:
        raise ValueError(f"{row.where}: {row.error}")
    rows["values"].append(row.value)
    for name, place in (("label", found.label), ("group", found.group), ("split", found.split)):
        cell = "" if place is None else row.cells[place]
        if place is not None and is_missing(cell):
            said = f"{cell}, which says that it is missing" if cell else "empty"
            raise ValueError(f"{row.where}: the {name} is {said}; every row needs one")
    assert found.label is not None
    rows["labels"].append(printable(row.cells[found.label]))
    if found.group is not None:
        rows["groups"].append(printable(row.cells[found.group]))
    if part or found.split is not None:
        rows["split"].append(part or split_word(row.cells[cast(int, found.split)], row.where))


def _refuse_columns(table: Table, found: Columns) -> None:
    if found.label is None:
        raise ValueError(
            f"{table.called}: it is not clear which column is the label; name it {', '.join(LABELS[:-1])} or "
            f"{LABELS[-1]} in a header. Without that it is the first or the last column, when one of them, and not "
            "the other, holds words or whole numbers alone"
        )
    text = [
        i for i in found.numbers if table.first[i] and not (like_number(table.first[i]) or has_unit(table.first[i]))
    ]
    if text:
        names = shortened([repr(printable(table.header[i] if table.header else f"column {i + 1}")) for i in text])
        raise ValueError(
            f"{table.called}: {names} is no column of numbers (row 1 below the header has "
            f"{table.first[text[0]]!r}); remove it, or rename it to id, group, split or label if it is that"
        )
    if found.sequence is None and not found.numbers:
        raise ValueError(f"{table.called} has no column of numbers beside its label; needed: at least one")


def _told(table: Table, found: Columns) -> str:
    """What the columns were taken for, in a sentence."""
    used = [i for i in (found.label, found.group, found.split, found.name, found.sequence, found.step) if i is not None]
    inputs, count = _called(table, found.numbers), len(found.numbers)
    if found.sequence is not None:
        what = f"a row is a sequence of letters, in {_called(table, [found.sequence])}"
    elif found.step is not None:
        series, step = _called(table, [cast(int, found.name)]), _called(table, [found.step])
        what = f"a row is one moment of the series named in {series}, ordered by {step}; channels are {inputs}"
    else:
        what = f"a row is a signal of {count} numbers, in {inputs}"
    named = f"; {_called(table, [found.name])} names the rows" if found.name is not None and found.step is None else ""
    left = [i for i in range(len(table.first)) if i not in {*used, *found.numbers}]
    other = f"; passed over: {_called(table, left)}" if left else ""
    return f"{table.called}: the label is in {_called(table, [cast(int, found.label)])}; {what}{named}{other}"


def _called(table: Table, places: Sequence[int]) -> str:
    """Columns by their places, and their names where they have some."""
    shown = f"column {places[0] + 1}" if len(places) == 1 else f"columns {listed([str(i + 1) for i in places])}"
    if len(places) > 1 and list(places) == list(range(places[0], places[-1] + 1)):
        shown = f"columns {places[0] + 1} to {places[-1] + 1}"
    names = listed([table.header[i] for i in places]) if table.header else ""
    return f"{shown} ({names})" if names else shown


def list_arrays(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What from_series takes, out of an .npz with signals, labels and, optionally, classes, groups, split, names."""
    if "labels" not in arrays:
        raise ValueError(f"{printable(path.name)} has signals and no array labels (it has: {', '.join(arrays)})")
    return {"values": signals_of(path, arrays)} | {name: arrays[name] for name in BESIDE if name in arrays}


# --- the data set --------------------------------------------------------------------------------------------------


def from_series(
    values: Values,
    labels: Sequence | np.ndarray,
    *,
    classes: Sequence[str] | None = None,
    groups: Sequence | np.ndarray | None = None,
    split: Sequence[str] | np.ndarray | None = None,
    names: Sequence[str] | None = None,
    size: int | tuple[int, ...] | None = None,
    fit: str = "stretch",
    channels: int | None = None,
    kind: str | None = None,
    alphabet: str | None = None,
    remarks: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
) -> Dataset:
    """A data set from signals, (L, C) numbers each, or from sequences of letters.

    Signals of several lengths are brought to one by `fit` (see Preprocess); sequences are filled up at their end.
    `size` is that length (default: default_length). `alphabet` None is DNA, protein, or the letters found outside the
    test part. `columns` are the names that the numbers of a signal, or its channels, have in tables. Otherwise as
    from_arrays. ValueError for bad input.
    """
    if not len(values):
        raise ValueError("no series were given; at least two classes of two are needed")
    words = label_names(labels, classes)
    for what, column in (("labels", words), ("groups", groups), ("split", split), ("names", names)):
        if column is not None and len(column) != len(values):
            raise ValueError(f"{len(values)} series, but {len(column)} {what}; one for each is needed")
    shown = tuple(map(str, names)) if names is not None else tuple(f"row {i}" for i in range(len(values)))
    parts = None if split is None else np.array([split_word(str(w), n) for w, n in zip(split, shown, strict=True)])
    samples = _samples(values, shown)
    seen = [value for i, value in enumerate(samples) if parts is None or parts[i] != "test"] or samples
    preprocess = _preprocess(seen, size, fit, channels, kind, alphabet)
    if not preprocess.alphabet:
        preprocess = preprocess.model_copy(update={"columns": columns})
    prepared, problems = _prepared(samples, shown, preprocess)
    problems = (*problems, *_rounded(prepared, columns), *_marked(samples))
    labels, found = number(words)
    grouped, regrouped = one_group(groups)
    return Dataset(
        images=prepared,
        labels=labels,
        classes=found,
        names=shown,
        digests=tuple(_digest(value) for value in samples),
        preprocess=preprocess,
        kind=preprocess.noun,
        groups=grouped,
        split=parts,
        problems=problems,
        remarks=(*remarks, *regrouped, *_lengths(samples, preprocess), *_letters(preprocess)),
    )


def default_length(samples: Sequence[np.ndarray] | Sequence[str], fit: str) -> int:
    """One length stays; of several the median for "stretch", the longest for "letterbox" and for letters."""
    lengths = [len(sample) for sample in samples]
    stretched = fit == "stretch" and not isinstance(samples[0], str)
    return round(float(np.median(lengths))) if stretched else max(lengths)


def default_alphabet(sequences: Sequence[str]) -> str:
    """ACGT when all symbols are nucleotide codes, and nine in ten of those that are not N are A, C, G, T or U; the
    twenty amino acids when all are amino acid codes, nine in ten of those that are not X are of the twenty, and fifteen
    of these are found; otherwise the symbols found, sorted."""
    counts = Counter[str]()
    for sequence in sequences:
        counts.update(sequence)
    for alphabet, plain, any_of_them, different in ((DNA, DNA + "U", "N", 1), (PROTEIN, PROTEIN, "X", 15)):
        codes = {*alphabet, *AMBIGUOUS[alphabet], *NOTHING}
        sure = sum(counts[letter] for letter in plain)
        enough = sure >= 0.9 * (counts.total() - counts[any_of_them])
        if counts.keys() <= codes and enough and sum(counts[x] > 0 for x in plain) >= different:
            return alphabet
    letters = "".join(sorted(counts))
    if len(letters) > MOST_LETTERS or letters[-1] > "\xff":
        raise ValueError(
            f"the sequences have {len(letters)} different symbols ({shortened(list(letters))}); allowed: at most "
            f"{MOST_LETTERS}, of Latin-1"
        )
    return letters


def _samples(values: Values, names: Sequence[str]) -> list[Any]:
    """Upper-case letters, or (L, C) float32; ValueError names the sample."""
    samples: list[Any] = []
    for value, name in zip(values, names, strict=True):
        try:
            samples.append(value.strip().upper() if isinstance(value, str) else as_signal(_two_axes(value)))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if isinstance(samples[-1], str) != isinstance(samples[0], str) or not len(samples[-1]):
            raise ValueError(f"{name} is empty, or of another kind than {names[0]}; needed: letters, or numbers")
    return samples


def _two_axes(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise ValueError(f"it is {array.dtype} {array.shape}; needed: numbers (length,) or (length, channels)")
    return array[:, None] if array.ndim == 1 else array


def _preprocess(
    samples: list[Any],
    size: int | tuple[int, ...] | None,
    fit: str,
    channels: int | None,
    kind: str | None,
    alphabet: str | None,
) -> Preprocess:
    letters = isinstance(samples[0], str)
    noun = "sequence" if letters else "signal"
    if alphabet is not None and bool(alphabet) != letters:
        raise ValueError(f"the model takes {'letters' if alphabet else 'numbers'}, and these are {noun}s")
    if kind not in (None, noun):
        raise ValueError(f"kind={kind!r} was asked, and these are {noun}s; leave it out")
    if isinstance(size, tuple) and len(set(size)) != 1:
        raise ValueError(f"size={size} was asked; a series has one length")
    if fit not in ("letterbox", "stretch"):
        raise ValueError(f"fit={fit!r} was asked; allowed: letterbox (keeps the pace) or stretch")
    length = (size[0] if isinstance(size, tuple) else size) or default_length(samples, fit)
    if letters and not alphabet:
        alphabet = default_alphabet(samples)
    found = len(alphabet or "") if letters else samples[0].shape[1]
    if channels not in (None, found):
        raise ValueError(f"channels={channels} was asked, and these {noun}s have {found}")
    return Preprocess(
        channels=found,
        size=(length,),
        fit="letterbox" if letters else cast(Literal["letterbox", "stretch"], fit),
        depth=8 if letters else 32,
        alphabet=(alphabet or "") if letters else "",
    )


def _prepared(samples: list[Any], names: Sequence[str], preprocess: Preprocess) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, length, channels), and a sentence for each sample that lost something."""
    prepared = np.empty((len(samples), *preprocess.size, preprocess.channels), preprocess.dtype)
    problems = []
    for i, sample in enumerate(samples):
        try:
            prepared[i], lost = prepare_series(sample, preprocess)
        except ValueError as error:
            raise ValueError(f"{names[i]}: {error}") from None
        problems += [f"{names[i]}: {lost}"] if lost else []
    return prepared, tuple(problems)


def _rounded(prepared: np.ndarray, columns: Sequence[str]) -> list[str]:
    """What to say of numbers (N, L, C) that 32-bit floats round by more than a twentieth of their deviation."""
    if prepared.dtype != np.float32:
        return []
    steps, spread = np.spacing(np.abs(prepared).max(axis=0)), prepared.std(axis=0, dtype=np.float64)
    coarse = np.argwhere((steps > ROUNDED * spread) & (spread > 0))
    if not len(coarse):
        return []
    place, channel = coarse[0]
    what, at = ("channel", channel) if prepared.shape[2] > 1 else ("number", place)
    called = printable(columns[at]) if at < len(columns) else f"{what} {at + 1}"
    return [f"{called} is so large beside its differences that 32-bit floats round them: subtract its usual value"]


def _marked(samples: list[Any]) -> list[str]:
    """What to say of a number that may stand for a missing value: the lowest or the highest, usual as such a mark, and
    ten times as large as all others."""
    if isinstance(samples[0], str):
        return []
    values = np.abs(np.concatenate([sample.ravel() for sample in samples]))
    largest = float(values.max())
    most = float(values.max(where=values < largest, initial=0))
    if largest not in MISSING or 10 * most > largest:
        return []
    number = min(float(sample.min()) for sample in samples)
    shown, count = f"{number if -number == largest else largest:.0f}", int((values == largest).sum())
    return [
        f"the number {shown} stands {count} times, far from all others, as a mark of missing values does: empty its "
        "cells or remove its rows if it is one"
    ]


def _lengths(samples: list[Any], preprocess: Preprocess) -> list[str]:
    lengths = [len(sample) for sample in samples]
    if min(lengths) == max(lengths) == preprocess.size[0]:
        return []
    how = "interpolated" if preprocess.fit == "stretch" else "filled up at the end, or cut,"
    return [f"lengths from {min(lengths)} to {max(lengths)}: all were {how} to {preprocess.size[0]}"]


def _letters(preprocess: Preprocess) -> list[str]:
    if not preprocess.alphabet:
        return []
    several = " and ambiguity codes as equal shares of their letters" if preprocess.alphabet in AMBIGUOUS else ""
    return [f"letters are read as {' '.join(preprocess.alphabet)}{several}; gaps and what is behind the end as nothing"]


def _digest(value: np.ndarray | str) -> str:
    form = "letters" if isinstance(value, str) else f"{value.shape} {value.dtype}"
    return hashlib.sha256(form.encode() + (value.encode() if isinstance(value, str) else value.tobytes())).hexdigest()
