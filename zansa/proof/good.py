"""Which class means "no defect": found by its name, in words of eleven languages.

A name is cut into words, each word is looked up in the tables of `good_words`, and negations turn the word that they
belong to. Exactly one class must mean good; otherwise nobody guesses, and `unknown_good` says what to type.
"""

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Container, Sequence, Set
from functools import cache, lru_cache
from typing import NamedTuple

from .good_words import (
    ABSENT,
    AFTER,
    BAD,
    BAD_ROMANCE,
    BAD_VIETNAMESE,
    FILL,
    GLUED_NOT,
    GOOD,
    GOOD_SIGNS,
    LITTLE,
    MAYBE_BAD,
    MAYBE_GOOD,
    NOT,
    OTHER_SENSE,
    WANTED,
)

PLURALS = (("s", ""), ("es", ""), ("ies", "y"), ("e", ""), ("en", ""), ("n", ""))
_LITTLE = {word: meant for meant, table in LITTLE.items() for word in table.split()}
CLEAR, MAYBE, SIGN = 3, 2, 1  # how much a word says alone
SHOWN = 6  # classes named in a sentence
LATELY = 1 << 14  # words that are remembered

_LATIN = "a-zß-öø-ɏḀ-ỿ"
_CHUNK = re.compile(rf"[\u0e00-\u0e7f]+|[A-Z{_LATIN}À-ÖØ-Þ']+|[0-9]+|[○◯×✕✖✗✘✓✔]|[^\W\d_A-Z{_LATIN}À-ÖØ-Þ]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MARKED = [chr(code) for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))]
_PLAIN = {letter: base for letter in _MARKED if (base := unicodedata.normalize("NFD", letter)[0]).isascii()}
_UNMARKED = str.maketrans(_PLAIN | {"ä": "ae", "ö": "oe", "ü": "ue", "đ": "d", "'": None})


class Item(NamedTuple):
    """A word of a name.

    word: in lower case and without marks.
    denied: what stands before or behind it: "not", "absent" (without, free of), or "" for neither.
    """

    word: str
    denied: str


class Reading(NamedTuple):
    """What a name says of its class.

    sign: 1 good, -1 bad, 0 unknown.
    weight: how sure that is: CLEAR, MAYBE or SIGN; 0 where nothing is known.
    items: its words.
    """

    sign: int
    weight: int
    items: tuple[Item, ...]


def good_class(classes: Sequence[str]) -> str | None:
    """The class whose name says "no defect" in one of the usual words; None when none or several do.

    Case, separators, numbers and the words that all names share do not count: MT_Free beside MT_Crack is "free".
    """
    found = _found(classes)
    return found[0] if len(found) == 1 else None


def speaks_of_inspection(classes: Sequence[str]) -> bool:
    """Whether so many class names say good or bad that these are probably parts that somebody inspects."""
    if good_class(classes) is not None:
        return True
    readings = _readings(classes)
    clear = sum(reading.weight == CLEAR for reading in readings)  # one such word among a thousand names is chance
    several = len({reading.items for reading in readings}) > 1  # n01443537 beside n01629819 is no NG
    return 4 * clear >= len(readings) > 0 or (several and all(reading.sign for reading in readings))


def unknown_good(classes: Sequence[str], noun: str = "image") -> str | None:
    """The one sentence to say where no class is known as the good one, with what to type; None where one is known.

    `noun` is what a sample is called (image, series). A set that does not look like inspection is told more briefly.
    """
    found = _found(classes)
    if len(found) == 1 or len(classes) < 2:
        return None
    if found:
        return (
            f"several class names say good ({_named(found)}), so no line is drawn between good and defect and "
            f"no {noun} is accepted or rejected: name the good class with --good, for example "
            f"--good {shlex.quote(found[0])}"
        )
    if speaks_of_inspection(classes) or len(classes) == 2:
        return (
            f"no class name says which class is the good one ({_named(classes)}), so no line is drawn between good and "
            f"defect and no {noun} is accepted or rejected: name it with --good{_example(classes)}"
        )
    return (
        f"the {len(classes)} classes are told apart as equals, without a line between good and defect: if one of them "
        "means that nothing is wrong, name it with --good NAME"
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _example(classes: Sequence[str]) -> str:
    """What could be typed: a class that is not known as bad, where there is one."""
    sign, name = max(((reading.sign, name) for reading, name in zip(_readings(classes), classes, strict=True)))
    return " NAME, where there is one" if sign < 0 else f", for example --good {shlex.quote(name)}"


# ---- from readings to the good class -----------------------------------------------------------------------


def _found(classes: Sequence[str]) -> list[str]:
    """The classes that mean good; none when the only one is not sure enough beside the others."""
    for shared in (False, True):
        readings = _readings(classes, shared)
        good = [i for i, reading in enumerate(readings) if reading.sign > 0]
        if len(good) > 1 and any(_sure(readings, i) for i in good):
            return [classes[i] for i in good]
        if len(good) == 1 and _sure(readings, good[0]):
            return [classes[good[0]]]
    return []


def _sure(readings: Sequence[Reading], place: int) -> bool:
    """Whether a good reading holds beside the others: a vague word needs bad classes, a quarter or all."""
    others = [reading for i, reading in enumerate(readings) if i != place and reading.sign <= 0]
    weight, words = readings[place].weight, {item.word for reading in others for item in reading.items}
    if any(words & _set(OTHER_SENSE[item.word]) for item in readings[place].items if item.word in OTHER_SENSE):
        return False
    bad = sum(reading.sign < 0 and reading.weight == CLEAR for reading in others)
    if weight == MAYBE and 4 * bad >= len(others) > 0:
        return True
    return weight == CLEAR or (bool(others) and all(reading.sign < 0 for reading in others))


def _readings(classes: Sequence[str], shared: bool = False) -> list[Reading]:
    """What each class name says; `shared`: also a word for a defect that all names begin with is left out."""
    vocabulary = {word for name in classes for word in _plain(name)}
    names = _told_apart([_cut(name, vocabulary) for name in classes], shared)
    items = [_items(words) for words in names]
    held = Counter(word for own in items for word in {item.word for item in own if not item.denied})
    absent = {item.word for own in items for item in own if item.denied == "absent"}
    things = {word for word in absent if held[word] == len(names) - 1}
    return [_read(own, things) for own in items]


def _read(items: tuple[Item, ...], things: Container[str]) -> Reading:
    """What one name says; `things` are absent in one name and named in all others, as X beside no_X."""
    letters = [len(items) > 1 and len(item.word) == 1 and item.word.isascii() for item in items]
    said = [(0, 0) if letter else _said(item, things) for item, letter in zip(items, letters, strict=True)]
    known = [(sign, weight) for sign, weight in said if sign]
    unknown = len(items) - len(known)
    if len({sign for sign, _ in known}) != 1:
        return Reading(0, 0, items)
    sign, weight = known[0][0], min(weight for _, weight in known)
    if unknown and (weight < CLEAR or unknown > 2):
        return Reading(0, 0, items)
    return Reading(sign, MAYBE if unknown and sign > 0 else weight, items)


def _said(item: Item, things: Container[str]) -> tuple[int, int]:
    """(Sign, weight) of one word."""
    word = item.word
    if word in _set(WANTED):
        return (-1, CLEAR) if item.denied else (0, 0)
    sign, weight = _looked_up(word)
    if item.denied and sign:
        return -sign, CLEAR
    if not sign and word in things:
        return (1 if item.denied == "absent" else -1), CLEAR
    return (0, 0) if item.denied else (sign, weight)


@lru_cache(LATELY)
def _looked_up(word: str) -> tuple[int, int]:
    for table, sign, weight in ((GOOD, 1, CLEAR), (MAYBE_GOOD, 1, MAYBE), (GOOD_SIGNS, 1, SIGN), (BAD, -1, CLEAR)):
        if word in _set(table):
            return sign, weight
    return (-1, MAYBE) if word in _set(MAYBE_BAD) else (0, 0)


def _items(words: Sequence[str]) -> tuple[Item, ...]:
    """The words that say something, each with the negation that belongs to it."""
    items: list[Item] = []
    pending = ""
    for place, word in enumerate(words):
        after = word in _set(AFTER)
        if after and items and not items[-1].denied and not pending:
            items[-1] = items[-1]._replace(denied="absent")
        elif after and any(_looked_up(later)[0] < 0 for later in words[place + 1 :]):  # free of defects
            pending = "absent"
        elif word in _set(ABSENT) or (word in _set(NOT) and word not in _set(GOOD_SIGNS)):
            pending = "absent" if word in _set(ABSENT) else "not"
        elif word not in _set(FILL) or (len(words) == 1 and len(word) == 1):
            items.append(Item(word, pending))
            pending = ""
    if pending and items and not items[-1].denied:  # crack_no beside crack_yes
        items[-1] = items[-1]._replace(denied=pending)
    elif pending and not items:
        items.append(Item(words[-1], ""))
    return tuple(items)


# ---- from names to words -----------------------------------------------------------------------------------


def _told_apart(names: Sequence[list[str]], shared: bool) -> list[list[str]]:
    """Names without their numbering and without the words at both ends that all of them share."""
    good = _set(GOOD) | _set(MAYBE_GOOD) | _set(NOT) | _set(ABSENT) | _set(AFTER)
    kept = {word for word in good | _set(BAD) | _set(MAYBE_BAD) if len(word) > 1 or not word.isascii()}
    forward = _without_first(_unnumbered(names), good if shared else kept)
    backward = _without_first([words[::-1] for words in forward], kept)
    return [words[::-1] for words in backward]


def _unnumbered(names: Sequence[list[str]]) -> Sequence[list[str]]:
    """Names without a first letter that only counts them: a_good, b_scratch."""
    heads = {words[0] for words in names if len(words) > 1 and len(words[0]) == 1 and words[0].isascii()}
    return [words[1:] for words in names] if len(heads) == len(names) else names


def _without_first(names: Sequence[list[str]], kept: Container[str]) -> Sequence[list[str]]:
    """Names without the first word that all of them share, unless it is kept or leaves a mere negation."""
    lonely = _set(NOT) | _set(ABSENT) | {"none", "absent", "なし", "無し", "없음"}
    while min(map(len, names), default=0) > 1 and len({words[0] for words in names}) == 1:
        if names[0][0] in kept or any(set(words[1:]) <= lonely for words in names):
            break
        names = [words[1:] for words in names]
    return names


def _plain(name: str) -> list[str]:
    """The words of a name as its separators and capitals show them."""
    parts = [part for chunk in _CHUNK.findall(unicodedata.normalize("NFKC", name)) for part in _camel(chunk)]
    return [_one(_folded(part)) for part in parts if not part.isdigit()]


def _camel(chunk: str) -> list[str]:
    return _CAMEL.findall(chunk) if chunk.isascii() and chunk.isalpha() else [chunk]


def _cut(name: str, vocabulary: Set[str]) -> list[str]:
    """The words of a name in the tables' form: joined words are cut, single letters put together (i. O.)."""
    chunks = [chunk for chunk in _CHUNK.findall(unicodedata.normalize("NFKC", name)) if not chunk.isdigit()]
    whole = _folded("".join(chunks))
    if len(chunks) > 1 and _looked_up(whole)[0] and not any(_looked_up(_folded(chunk))[0] for chunk in chunks):
        return [whole]
    words: list[str] = []
    for chunk in _letters_together(chunks):
        words += _joined(chunk, vocabulary)
    return _of_their_language(words)


def _of_their_language(words: Sequence[str]) -> list[str]:
    """The words, with "no", "with" and "not" for the little words of other languages where one of theirs follows."""
    found: list[str] = []
    for word in reversed(words):
        after = next((later for later in reversed(found) if later != "with"), "")
        meant = _LITTLE.get(word, "")
        if after in _set(BAD_ROMANCE) | _set(BAD_VIETNAMESE) or (meant == "not" and _looked_up(after)[0] > 0):
            word = meant or word
        found.append(word)
    return found[::-1]


def _letters_together(chunks: Sequence[str]) -> list[str]:
    """Runs of single letters become one word where the tables know it: n, i, o is nio."""
    text = "\n".join(chunks)
    return re.sub(
        r"(?m)^[A-Za-z](?:\n[A-Za-z]){1,3}$",
        lambda run: word if _known(_folded(word := run[0].replace("\n", ""))) else run[0],
        text,
    ).split("\n")


def _joined(chunk: str, vocabulary: Set[str]) -> list[str]:
    """A chunk as its known words: notok is not, ok; NoTumour is no, tumour; 外観良品 is 外観, 良品."""
    text = _folded(chunk)
    found = _covered(text, vocabulary)
    if found:
        return found
    parts = _camel(chunk)
    if len(parts) > 1:
        return [word for part in parts for word in _joined(part, vocabulary)]
    least = 6 if text.isascii() else 2  # letters of a word that may end a compound: Schweissfehler
    for start in range(1, len(text) - least + 1):
        found = _covered(text[start:], set())
        if found and (not text.isascii() or (len(found) == 1 and _looked_up(found[0])[0] < 0)):
            return [text[:start], *found]
    return [_one(text)]


def _covered(text: str, nouns: Container[str]) -> list[str] | None:
    """The fewest words of the tables that make up the text; a noun of another name only beside a negation."""
    best: list[list[str] | None] = [[]] + [None] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            before, piece = best[start], text[start:end]
            word = _one(piece)
            noun = 2 < len(piece) < len(text) and word in nouns
            if before is None or not (noun or _fits(piece, whole=piece == text)):
                continue
            if best[end] is None or len(before) + 1 < len(best[end] or []):
                best[end] = [*before, word]
    found = best[-1]
    if found and not all(_known(word) for word in found):
        absent = len(found) == 2 and (found[0] in _set(ABSENT) or found[1] in _set(AFTER))
        return found if absent else None
    return found


def _fits(piece: str, whole: bool) -> bool:
    """Whether a piece is a word of the tables; a part of a longer word must not be a mere letter or syllable of it."""
    if whole:
        return _known(piece) and piece not in _set(GLUED_NOT)
    short = piece.isascii() and len(piece) < 3
    return _known(piece) and (not short or piece in {"ok", "ng", "no", "un"})


@lru_cache(LATELY)
def _one(word: str) -> str:
    """The singular where the tables know it; of an unknown word without its s."""
    if _known(word, plural=False) or not word.isascii() or word == "goods" or word in _LITTLE:
        return word
    forms = [word[: -len(end)] + instead for end, instead in PLURALS if word.endswith(end) and len(word) > 3]
    nouns = _set(BAD) | _set(MAYBE_BAD) | _set(FILL) | _set(WANTED)
    return next((form for form in forms if form in nouns), word.removesuffix("s") if len(word) > 3 else word)


@lru_cache(LATELY)
def _known(word: str, plural: bool = True) -> bool:
    tables = (GOOD, MAYBE_GOOD, GOOD_SIGNS, BAD, MAYBE_BAD, ABSENT, NOT, AFTER, FILL, WANTED)
    return any(word in _set(table) for table in tables) or (plural and _one(word) != word and _known(_one(word), False))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().translate(_UNMARKED)


@cache
def _set(table: str) -> frozenset[str]:
    return frozenset(_folded(word) for word in table.split())
