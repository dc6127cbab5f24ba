"""One dictionary of two languages for report, card and page.

An English sentence is its own key: `say("{found} of {all} were found", found=3, all=4)` gives it in the language that
is spoken, English unless `speaking("ja")` surrounds it. The Japanese beside each English sentence stands in
`japanese/`, one table a subject. A sentence that is not there yet stays English; `tests/test_phrases.py` finds it. What
a record holds as an English sentence, such as a rule or a warning, is `retold` by the pattern of the sentence that made
it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal

from .japanese import JAPANESE
from .singular import singular as singular

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")
_SPOKEN: ContextVar[Language] = ContextVar("language", default="en")
IMAGE = "\ue004"  # stands for what a sample is called: {image} in a sentence
# places of sentences where names of users stand: of classes, files, columns
GIVEN = {"name", "names", "one", "other", "file", "files", "path", "label", "group", "split", "kinds", "where"}
_PLACE = re.compile(r"\{(\w+)\}")


def language() -> Language:
    """The language that is spoken: "en" or "ja"."""
    return _SPOKEN.get()


@contextmanager
def speaking(chosen: str) -> Iterator[Language]:
    """Speak this language inside, and give it; ValueError for one that is not spoken."""
    known = next((each for each in LANGUAGES if each == chosen), None)
    if known is None:
        raise ValueError(f"the language {chosen!r} was asked; allowed: {', '.join(LANGUAGES)}")
    token = _SPOKEN.set(known)
    try:
        yield known
    finally:
        _SPOKEN.reset(token)


def say(english: str, **values: Any) -> str:
    """A sentence in the language that is spoken, with the values in its {places}; "" stays "". A count of one has its
    singular."""
    japanese = language() == "ja"
    text = JAPANESE.get(english, english) if japanese else english
    told = _PLACE.sub(lambda place: str(values.get(place[1], place[0])), text.replace("{image}", IMAGE))
    return told if japanese else singular(told)


def phrase(english: str) -> str:
    """The sentence itself: it stands in a table and is said later. The test of the dictionary finds it by this name."""
    return english


def retold(text: str) -> str:
    """A text that a record holds in English, in the language that is spoken: clause by clause, as `say` would have said
    it; clauses that nobody knows stay as they are."""
    if language() == "en" or not text:
        return singular(text)
    whole = _known(text)
    return whole if whole is not None else "; ".join(_known(clause) or clause for clause in text.split("; "))


def _known(text: str) -> str | None:
    if text in JAPANESE:
        return JAPANESE[text]
    for english, pattern in _patterns():
        if found := pattern.fullmatch(text):
            return say(english, **{name[1:]: _part(name[1:], value) for name, value in found.groupdict().items()})
    return None


def _part(name: str, value: str) -> str:
    """What stands at a place of a sentence: what users named stays; the rest is known one by one between its commas, or
    as a whole."""
    if name in GIVEN:
        return value
    each = [_known(part) for part in value.split(", ")]
    return "、".join(part for part in each if part) if all(each) else _known(value) or value


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The sentences with places, as patterns; those with the most words of their own come first."""
    open_ones = [english for english in JAPANESE if _PLACE.search(english) and len(_own(english)) > 5]
    return [(english, _pattern(english)) for english in sorted(open_ones, key=lambda each: -len(_own(each)))]


def _own(english: str) -> str:
    return _PLACE.sub("", english)


def _pattern(english: str) -> re.Pattern[str]:
    """The pattern of a sentence. Each place ends where the words behind it first stand, and is never tried again but
    for the last one: so the time that a text takes grows with its length alone, whatever people write into it."""
    first, *rest = _PLACE.split(english)
    named, text, last = set[str](), re.escape(first), len(rest) - 2
    for k in range(0, len(rest), 2):
        place, words = rest[k], re.escape(rest[k + 1])
        found = f"(?P=_{place})" if place in named else f"(?P<_{place}>(?:(?!; ).)+?)"  # within a clause
        named.add(place)
        text += f"(?>{found}{words})" if words and k < last else found + words
    return re.compile(text, re.DOTALL)
