"""Names of classes and groups: what differs in case, separators, Unicode's form or in how a number is written alone is
one name."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from unicodedata import normalize

from ...inputs.tables import is_number, number_spelling
from .sources import shortened

SHOWN = 4  # names that are told
# Cyrillic and Greek letters of which the capital or the small one looks like a Latin one
_LOOKS = "авекмнорстхуіјѕαβεζηικμνορτυχ", "abekmhopctxyijsabezhikmnoptyx"
_ALIKE = str.maketrans(*(letters + letters.upper() for letters in _LOOKS))
_BETWEEN = re.compile(r"(?<=[^\W_])(?:[\s_]|-(?!\d))+(?=[^\W_])")  # -10 is no 10
_JOINED = re.compile(r"[;,|+&/、・]")
_NUMBERED = re.compile(r"(?<=[^\W\d_]) (?=\d)")  # class 1 is class1


def one_spelling(names: Sequence[str], what: str = "class") -> tuple[list[str], tuple[str, ...]]:
    """The names with one spelling for each `what` (a class or a group), the most frequent, in Unicode's composed form
    (NFC); and sentences on those that were spelled in several ways. Names of one letter keep their case: A and a are
    two letters. Numbers have their shortest spelling: 1.0 is 1."""
    names, numbers = number_spelling(names, what)
    written = Counter(names)
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in sorted(written):
        by_key[key(name)].append(name)
    chosen: dict[str, str] = {}
    several = [forms for forms in by_key.values() if len(forms) > 1]
    for forms in by_key.values():
        chosen.update(dict.fromkeys(forms, normalize("NFC", max(forms, key=written.__getitem__))))
    told = [numbers] * bool(numbers) + [_told(forms, chosen[forms[0]], what) for forms in several[:SHOWN]]
    if len(several) > SHOWN:
        told.append(f"and so were the spellings of {len(several) - SHOWN} more")
    told += _doubtful(sorted({chosen[name] for name in names})) if what == "class" else []
    return [chosen[name] for name in names], tuple(told)


def known_as(classes: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Each class by the name that a model knows it by, where this differs in its spelling alone; others stay as they
    are."""
    by_key = {key(name): name for name in known}
    return tuple(name if name in known else by_key.get(key(name), name) for name in classes)


def key(name: str) -> str:
    """Equal for spellings of one name: composed or not, wide letters or not, capitals or not, with spaces, hyphens or
    underscores between its words, spaces or quotes around it, a dot behind it, signs that nobody sees, letters that
    look like Latin ones."""
    narrow = "".join(normalize("NFKC", letter) if "\uff00" <= letter <= "\uffef" else letter for letter in name)
    plain = normalize("NFC", _visible(narrow)).strip().strip("'\"").rstrip(".")
    return _NUMBERED.sub("", _BETWEEN.sub(" ", plain.casefold().translate(_ALIKE))) if len(plain) > 1 else plain


def _visible(name: str) -> str:
    return "".join(letter for letter in name if unicodedata.category(letter) != "Cf")


def _doubtful(classes: Sequence[str]) -> list[str]:
    """What to say of classes that are perhaps one, or several: scratch and scratches; scratch;dent beside scratch."""
    by_key = {key(name): name for name in classes}
    plurals = [
        f"the classes {by_key[form]} and {by_key[form + end]} differ by an ending alone, and were taken for two: give "
        "both one name if they are one"
        for form in by_key
        for end in ("s", "es")
        if form + end in by_key and len(form) > 2 and form[-1].isalpha()
    ]
    pieces = {name: {key(piece) for piece in _JOINED.split(name)} for name in classes}
    joined = [
        f"the class {name} names {len(found)} others at once and was taken for a class of its own: an image has one "
        "class"
        for name, found in pieces.items()
        if len(found) > 1 and found <= by_key.keys()
    ]
    amounts = sorted((name for name in classes if is_number(name) and not float(name).is_integer()), key=float)
    fractions = [
        f"classes that are no whole numbers ({shortened(amounts, SHOWN)}) stand each by itself, without an order: "
        "where they are measurements or probabilities, give a word to each range that is to be told apart"
    ]
    return [*plurals[:SHOWN], *joined[:SHOWN], *fractions * bool(amounts)]


def _told(several: Sequence[str], best: str, what: str) -> str:
    looks = sorted({normalize("NFC", _visible(name)).translate(_ALIKE) for name in several})
    if len(looks) == 1:
        return f"the {what} {best} is written in {len(several)} Unicode forms; they were taken for one {what}"
    visible = sorted({normalize("NFC", name) for name in several})
    return f"{' and '.join(visible)} were taken for one {what}, {best}: only their spelling differs"
