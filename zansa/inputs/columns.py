"""Which columns of a table of series hold what: where a row is a sample, and where it is one moment of a series."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .files import EXTENSIONS, printable
from .tables import Table, has_comma, has_unit, is_number, like_number

LABELS = ("label", "class", "target")
LABEL = re.compile(r"(label|class|target|category)(e?s)?([ _.-]?(id|name|no|nr|code))?|ラベル|クラス|判定")
NAMES = ("id", "name", "index", "")  # the last is how pandas writes its index
IDS = (*NAMES, "no", "no.", "nr", "nr.", "#", "uid", "uuid", "serial number", "serial_number", "番号", "連番")
SEQUENCES = ("sequence", "seq")
# what is counted or named in a table, and measures nothing
THINGS = (
    "series",
    "sample",
    "case",
    "record",
    "recording",
    "run",
    "trial",
    "episode",
    "subject",
    "patient",
    "person",
    "fold",
    "user",
    "machine",
    "device",
    "unit",
    "engine",
    "lot",
    "batch",
    "part",
    "row",
    "item",
    "image",
    "serial",
    "experiment",
)
# patient_id, caseno, part number, 製品番号, ロットNo: names of things; a Reynolds number is none
_ID = re.compile(
    rf"(\w{{2,}}[ _.-]|{'|'.join(THINGS)})(id|uid|uuid|no|nr)\.?|({'|'.join(THINGS)})[ _.-]?(number|num)"
    r"|.*[\u3040-\u9fff](番号|id|no\.?)"
)
STAMPS = ("timestamp", "datetime", "date", "日時")
STEPS = (*STAMPS, "step", "timestep", "time", "frame", "tick", "cycle", "moment", "sec", "seconds", "時刻", "時間")
WAY_OUT = {
    "part": "says which part a row is for, and would become an input: call it split, with the words train, val and "
    "test, or remove it",
    "name": "names things, and would become an input: rename it to group where rows of one thing belong together, "
    "to id where each row is another thing, or remove it; call it otherwise if it is a measurement",
    "time": "is a time, and would become an input: remove it, or call it otherwise if it is a measurement",
    "counter": "counts the rows, and would become an input: call it id, or remove it; shuffle the rows if it is a "
    "measurement",
}  # a column that is doubtful as an input
PART = re.compile(r"(is|in|for)?[ _.-]?(train|training|val|valid|validation|test|testing|holdout)([ _.-]?(set|flag))?")
PIXELS = 16  # columns from which on they are an image
_PIXEL = re.compile(r"(pixel|px)[ _-]?\d+|\d+x\d+")
COUNTED = 8  # rows from which on numbers that rise throughout are no measurement


@dataclass(frozen=True)
class Columns:
    """The places of columns in a table's rows; None where there is no such column.

    label, group, split: what is known of the sample.
    name: what it is called; where `step` is given, the series that a row belongs to.
    sequence: its letters; either this or `numbers` is given.
    numbers: its numbers; where `step` is given, those of the channels.
    step: a row is one moment of a series, and this orders them.
    more: columns that the model does not know, and that are passed over.
    note: what is otherwise than in the table that was learned from.
    """

    label: int | None
    group: int | None
    split: int | None
    name: int | None
    sequence: int | None
    numbers: tuple[int, ...] = ()
    step: int | None = None
    more: tuple[int, ...] = ()
    note: str = ""


def holds_series(table: Table) -> bool:
    """Whether a table's rows are samples or moments, and not names of image files: it has a column `sequence`, or no
    header, or no column `path` and at least two of numbers; and no cell of its first row is called like an image."""
    if any(_ending(cell) in EXTENSIONS for cell in table.first):
        return False
    if table.header is None:
        return len(table.first) > 1
    if table.place("path") is not None:
        return False
    if not table.first:
        return True  # and told that it has no rows
    numbers = sum(like_number(table.first[i]) or has_unit(table.first[i]) for i in _unknown(table))
    timed = any(map(is_step, table.header)) and any(map(is_id, table.header))
    return table.place(*SEQUENCES) is not None or numbers > (0 if timed else 1)


def columns(
    table: Table, length: int | None = None, known: Sequence[str] = (), by_moments: bool | None = None
) -> Columns:
    """The columns of a table of series.

    The label is in the column named label, class, target or the like (is_label). Where none is, it is in the first or
    the last column, whichever holds words or whole numbers alone; when both or none do, there is none. `group` and
    `split` are optional, `id`, `name`, `index` or a word with id (`series_id`) names the rows, `sequence` holds letters
    in place of numbers. All other columns are the numbers of one channel, in their order. Where several rows have one
    id and a column `step` (or time, frame ...) tells them apart, each is one moment, and the others are the channels.

    Where the model's `length` is known, columns of numbers alone have no nameless label among them, but for exactly one
    column more than that. Where the model knows its columns by name (`known`, and whether they were those of moments),
    they are found by their names in any order; ValueError when some are missing.
    """
    if not table.first:
        raise ValueError(f"{table.called} has no rows below its header; needed: one row per sample")
    _refuse_names(table)
    named = [i for i, name in enumerate(table.header or ()) if is_label(name)]
    moments = _moments(table) if by_moments is not False else None
    if by_moments and not moments:
        raise ValueError(
            f"{table.called} has no series of moments, and the model has learned from such: needed: a row a moment, "
            "with the series' name in a column series_id, and step"
        )
    sequence = None if moments else table.place(*SEQUENCES)
    rest = [] if sequence is not None else [i for i in _unknown(table) if not moments or i not in moments]
    label = named[0] if named else None
    more: tuple[int, ...] = ()
    if known and table.header:
        numbers, label, more, note = _matched(table, rest, label, known, whole=bool(moments))
    else:
        length = len(known) or length
        numbers_alone = all(like_number(table.first[i]) for i in rest)
        if label is None and sequence is None and (length is None or len(rest) == length + 1 or not numbers_alone):
            label = _label_at_an_end(table, rest)
        numbers = tuple(i for i in rest if i != label)
        note = "the table has no header: its columns are taken in their order" if known else ""
    name, step = moments or (_name(table), None)
    return Columns(label, table.place("group"), table.place("split"), name, sequence, numbers, step, more, note)


def names_of(table: Table, places: Sequence[int]) -> tuple[str, ...]:
    """The names of columns, each once (x, x.1 as pandas has it) and numbers in one spelling; () without a header."""
    if table.header is None:
        return ()
    plain = [repr(float(name)) if is_number(name) else name for name in (table.header[i] for i in places)]
    return tuple(f"{name}.{plain[:i].count(name)}" if name in plain[:i] else name for i, name in enumerate(plain))


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a sentence: all of them, or the first and the last."""
    shown = [printable(name) or "(no name)" for name in names]
    return ", ".join(shown if len(shown) <= most else [*shown[: most - 2], "...", shown[-1]])


# --- names ---------------------------------------------------------------------------------------------------------


def is_id(name: str) -> bool:
    """Whether a column's name says that it holds names of things: series_id, patientid, uuid, no."""
    if is_label(name):
        return False
    return name in IDS or _ID.fullmatch(name) is not None


def is_label(name: str) -> bool:
    """Whether a column's name says that it holds the label: class, labels, category_name, class_id."""
    return LABEL.fullmatch(name) is not None


def is_step(name: str) -> bool:
    """Whether a column's name says that it orders the moments of a series: step, time_s, t, timestamp (UTC)."""
    return name in ("t", "ms") or re.split(r"[ _.(\[-]", name)[0] in STEPS


def _unknown(table: Table) -> list[int]:
    """Columns with no name that says what they hold."""
    known = {"group", "split", *SEQUENCES}
    header = table.header
    named = [bool(header) and (name in known or is_id(name) or is_label(name)) for name in header or table.first]
    return [i for i, known_one in enumerate(named) if not known_one]


def _name(table: Table) -> int | None:
    if (place := table.place(*NAMES)) is not None or table.header is None:
        return place
    return next((i for i, name in enumerate(table.header) if is_id(name)), None)


def _ending(cell: str) -> str:
    return "." + cell.rpartition(".")[2].lower()


def _refuse_names(table: Table) -> None:
    """ValueError where two columns have one meaning, a column of values has no name, or columns are pixels."""
    header = table.header or ()
    pixels = [name for name in header if _PIXEL.fullmatch(name)]
    if len(pixels) >= PIXELS:
        raise ValueError(
            f"{table.called} has {len(pixels)} columns {pixels[0]} to {pixels[-1]}: rows of pixels are images and no "
            "series; save them as such: np.savez('set.npz', images=pixels.reshape(-1, height, width).astype('uint8'), "
            "labels=labels), and name that file"
        )
    for name, count in Counter(header).items():
        if count > 1 and (is_label(name) or name in {"group", "split", *SEQUENCES, *NAMES} - {""}):
            raise ValueError(f"{table.called} has {count} columns {name}; rename or remove all but one")
    labels = [name for name in header if is_label(name)]
    if len(labels) > 1:
        both = printable(" and ".join(labels))
        raise ValueError(
            f"{table.called} has the columns {both}; only one can be the label: rename one, or remove it where both "
            "say the same"
        )
    blank = [i for i, name in enumerate(header) if not name and i and table.first[i]]
    if blank:
        raise ValueError(f"{table.called}: column {blank[0] + 1} has values and no name; name it, or remove it")


# --- one row a moment ----------------------------------------------------------------------------------------------


def _moments(table: Table) -> tuple[int, int] | None:
    """The columns of the series' names and of the steps, where several rows have one name and other steps."""
    header = table.header or ()
    step = next((i for i, name in enumerate(header) if is_step(name)), None)
    things = [i for i, name in enumerate(header) if name and (is_id(name) or name in THINGS or name in SEQUENCES)]
    places = [i for i in things if i != step]
    if step is None or not places:
        return None
    seen = [tuple(cells[i] for i in (*places, step)) for _, cells in table.rows()]
    pairs = {place: len({(row[at], row[-1]) for row in seen}) for at, place in enumerate(places)}
    several = [place for at, place in enumerate(places) if len({row[at] for row in seen}) < len(seen)]
    best = max(several, key=lambda place: pairs[place], default=None)
    return None if best is None or 10 * pairs[best] < 8 * len(seen) else (best, step)


# --- columns that a model knows ------------------------------------------------------------------------------------


def _matched(
    table: Table, rest: list[int], label: int | None, known: Sequence[str], whole: bool
) -> tuple[tuple[int, ...], int | None, tuple[int, ...], str]:
    """The known columns among the rest, the label, the columns passed over, and what is to be said. The first few of
    the known alone are a shorter series, where not the `whole` is needed; ValueError where others are missing."""
    where = dict(zip(names_of(table, rest), rest, strict=True))
    present = [name for name in known if name in where]
    missing = [name for name in known if name not in where]
    more = [place for name, place in where.items() if name not in known and place != label]
    if label is None:
        label = _label_at_an_end(table, rest) if not present else _one_end(table, rest, more)
        more = [place for place in more if place != label]
    if not present and len(more) == len(known):
        return tuple(more), label, (), f"its columns are not called {listed(known)} and are taken in their order"
    if missing and (whole or not present or list(known[: len(present)]) != present):
        has = listed([table.header[i] for i in rest]) if table.header and rest else "none"
        raise ValueError(
            f"{table.called} has no column {listed(missing)} (its columns of numbers: {has}); needed: the columns that "
            f"the model has learned from: {listed(known)}"
        )
    return tuple(where[name] for name in present), label, tuple(more), ""


# --- a label without a name ----------------------------------------------------------------------------------------


def _one_end(table: Table, rest: list[int], more: list[int]) -> int | None:
    ends = [i for i in more if i in (rest[0], rest[-1]) and _may_be_label(table.first[i])]
    return ends[0] if len(ends) == 1 else None


def _label_at_an_end(table: Table, places: list[int]) -> int | None:
    ends = {places[0], places[-1]} if len(places) > 1 else set()
    for _, cells in table.rows():
        ends = {place for place in ends if _may_be_label(cells[place])}
        if not ends:
            break
    if len(ends) == 2:
        ends = {i for i, cells in _values(table, sorted(ends)).items() if not _counts(cells)}
    return ends.pop() if len(ends) == 1 else None


def _may_be_label(cell: str) -> bool:
    return bool(cell) and not has_comma(cell) and (not is_number(cell) or float(cell).is_integer())


# --- doubts --------------------------------------------------------------------------------------------------------


def refuse_doubtful(table: Table, found: Columns) -> None:
    """ValueError where a column that would become an input is rather a name, a counter or a time, or where rows that
    belong to one thing would be taken for samples that know nothing of each other; it says what to do in each case."""
    for doubt in _doubts(table, found):
        raise ValueError(f"{table.called}: {doubt}")


def _doubts(table: Table, found: Columns) -> Iterator[str]:
    header = table.header or ("",) * len(table.first)
    alone = found.step is None
    names = [found.name] if alone and found.name is not None and header[found.name] not in ("", "name", "index") else []
    times = [i for i in found.numbers if alone and is_step(header[i])]
    ends = sorted({*found.numbers[:1], *found.numbers[-1:]}) if alone and found.name is None else []
    values = _values(table, [*names, *times, *ends])
    for i in names if found.group is None else []:
        name, count = Counter(values[i]).most_common(1)[0]
        column, steps = printable(header[i]), [other for other in header if is_step(other)]
        if count > 1 and name and steps:
            yield (
                f"{count} rows have the {column} {printable(name)}, and several of them one {printable(steps[0])}; "
                "needed: one row a moment, with a column for each thing that is measured"
            )
        elif count > 1 and name:
            yield (
                f"{count} rows have the {column} {printable(name)}; if each is a sample, and they come from one thing, "
                "rename the column to group; if each is one moment of a series, name the column of their order step; "
                f"otherwise remove {column}"
            )
    for i in times:
        if len(values[i]) >= COUNTED and _rises_in_runs(values[i]):
            yield (
                f"column {i + 1} ({printable(header[i])}) rises from row to row, like a time; where a row is one "
                "moment of a series, name the column that tells the series apart series_id (add it if there is none); "
                "otherwise remove the time, or give it another name if it is a measurement"
            )
    named = [(i, "name" if header[i] in THINGS else "time") for i in found.numbers if header[i] in (*THINGS, *STAMPS)]
    named += [(i, "part") for i in found.numbers if PART.fullmatch(header[i])]
    counting = [(i, "counter") for i in ends if _counts(values[i])]
    for i, what in (*named, *counting):
        yield f"column {i + 1}{f' ({printable(header[i])})' if header[i] else ''} {WAY_OUT[what]}" + (
            "" if table.header else "; give the table a header to do so"
        )


def _values(table: Table, places: Sequence[int]) -> dict[int, list[str]]:
    """The cells of some columns, by their places."""
    found: dict[int, list[str]] = {i: [] for i in places}
    for _, cells in table.rows() if found else ():
        for i, values in found.items():
            values.append(cells[i])
    return found


def _rises_in_runs(cells: list[str]) -> bool:
    """Whether numbers rise for three rows or more at a time, on average: chance makes it two."""
    numbers = [float(cell) for cell in cells if is_number(cell)]
    falls = sum(later <= earlier for earlier, later in pairwise(numbers))
    return len(numbers) >= 3 * (falls + 1)


def _counts(cells: list[str]) -> bool:
    """Whether numbers rise from row to row throughout, whole ones or, for some rows more, in equal steps."""
    if len(cells) < COUNTED or not all(map(is_number, cells)):
        return False
    numbers = [float(cell) for cell in cells]
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    equal = len(cells) >= COUNTED + 2 and max(steps) - min(steps) < 1e-6 * max(map(abs, steps))
    return min(steps) > 0 and (equal or all(map(float.is_integer, numbers)))
