"""Names of classes: what differs in case, in Unicode's form or in how a number is written alone is one class."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from unicodedata import normalize

from ...inputs.tables import number_spelling


def one_spelling(names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The names with one spelling for each class, the most frequent, in Unicode's composed form (NFC); and a sentence
    on each class that was spelled in several ways. Names of one letter keep their case: A and a are two letters.
    Numbers have their shortest spelling: 1.0 is 1."""
    names, numbers = number_spelling(names)
    written = Counter(names)
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in sorted(written):
        by_key[_key(name)].append(name)
    chosen: dict[str, str] = {}
    told = [numbers] if numbers else []
    for several in by_key.values():
        best = normalize("NFC", max(several, key=written.__getitem__))
        chosen.update(dict.fromkeys(several, best))
        if len(several) > 1:
            told.append(_told(several, best))
    return [chosen[name] for name in names], tuple(told)


def known_as(classes: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Each class by the name that a model knows it by, where this differs in case or Unicode form alone; others stay
    as they are."""
    by_key = {_key(name): name for name in known}
    return tuple(name if name in known else by_key.get(_key(name), name) for name in classes)


def _key(name: str) -> str:
    """Equal for spellings of one name: composed or not, wide letters or not, capitals or not, spaces around it."""
    narrow = "".join(normalize("NFKC", letter) if "\uff00" <= letter <= "\uffef" else letter for letter in name)
    plain = normalize("NFC", narrow).strip()
    return plain.lower() if len(plain) > 1 else plain


def _told(several: Sequence[str], best: str) -> str:
    visible = sorted({normalize("NFC", name) for name in several})
    if len(visible) == 1:
        return f"the class {best} is written in {len(several)} Unicode forms; they were taken for one class"
    return f"{' and '.join(visible)} were taken for one class, {best}: only their spelling differs"
