"""Which encoding a text file is in: UTF-8, UTF-16, or one of the two that spreadsheets still write."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from .images import printable

BLOCK = 1 << 20  # bytes
MOST_LINES = 10_000  # lines with other signs than ASCII that are weighed
UNKNOWN = ""
WIDE = ("utf-16", "utf-32", "iso2022")  # several bytes a sign, so that commas and ends of lines are no bytes
CALLED = {
    "iso2022_jp_2": "ISO-2022-JP (JIS)",
    "cp932": "Shift-JIS (cp932, Japanese)",
    "cp1252": "Windows Western European (cp1252)",
    "utf-16-le": "UTF-16, little-endian, without a byte order mark",
    "utf-16-be": "UTF-16, big-endian, without a byte order mark",
}  # what is no certainty, and therefore told
# kana, full-width signs and the common kanji (JIS level 1) begin with the bytes of `usual`, other kanji with those of
# `rare`; `half` are half-width kana
_JAPANESE = re.compile(
    rb"(?P<usual>[\x81-\x98][\x40-\x7e\x80-\xfc])|(?P<half>[\xa1-\xdf]{2,})|(?P<rare>[\x99-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc])"
)
# an accented letter beside a plain one, or a sign (degrees, micro, euro) that stands alone
_WESTERN = re.compile(
    rb"(?<=[A-Za-z])[\xc0-\xff]|[\xc0-\xff](?=[A-Za-z])|(?<![\x80-\xff])[\x80\xa0-\xff](?![\x80-\xff])"
)


def encoding_of(path: Path) -> str:
    """The encoding of a file, by the name that Python has for it. UNKNOWN where it is not UTF-8 as a whole, and neither
    Shift-JIS nor Western European for sure; ValueError where the file is no text at all."""
    with path.open("rb") as file:
        head = file.read(BLOCK)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\x1b$" in head or b"\x1b(J" in head:
        return "iso2022_jp_2"
    if b"\0" in head:
        return _without_mark(head, path)
    return "utf-8" if _is_utf8(path) else _plausible(list(_odd_lines(path)))


def _without_mark(head: bytes, path: Path) -> str:
    """UTF-16 by where its zeros stand: every sign of ASCII has one, always on the same side."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if min(even, odd) > 0.1 * max(even, odd) or 20 * max(even, odd) < len(head) / 2:
        raise ValueError(f"{printable(path.name)} is no text: it has bytes of zero; save it as 'CSV UTF-8'")
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _odd_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if not line.isascii():
                yield line


def _plausible(lines: list[bytes]) -> str:
    """Shift-JIS or Western European, whichever has more signs that are usual there, where all can be read in it."""
    text = b"".join(lines[:MOST_LINES])
    if 2 * sum(_reads(line, "utf-8") for line in lines) > len(lines):
        return UNKNOWN  # UTF-8 with strange bytes here and there, as in names of files
    japanese, western = _japanese(text), len(_WESTERN.findall(text))
    if japanese == western:
        return UNKNOWN
    likely = "cp932" if japanese > western else "cp1252"
    return likely if all(_reads(line, likely) for line in lines) else UNKNOWN


def _japanese(text: bytes) -> int:
    """How many signs are usual in Japanese. Half-width kana alone count when their number is odd somewhere: in the
    codes of China, Korea and Unix such bytes come in twos."""
    found = [(match.lastgroup, len(match[0])) for match in _JAPANESE.finditer(text)]
    kinds = {kind for kind, _ in found}
    odd = any(length % 2 for kind, length in found if kind == "half")
    half = "usual" in kinds or (odd and "rare" not in kinds)
    return sum(1 if kind == "usual" else length * half for kind, length in found if kind != "rare")


def _reads(text: bytes, encoding: str) -> bool:
    try:
        text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
