"""Numbers and sentences as people read them: rates with counts and interval, amounts with units, plain summaries.

Sentences mark what matters (STRONG ... PLAIN) and what is small print (FINE ... FULL), and where the word for a sample
stands (IMAGE); the page makes tags and words of these.
"""

from collections.abc import Iterable
from math import isfinite
from typing import Any

STRONG, PLAIN, FINE, FULL = "\ue000", "\ue001", "\ue002", "\ue003"
IMAGE = "\ue004"  # what a sample is called: "image", "signal" or "sequence"
SPACE = "\u00a0"  # a number stays with its unit


def strong(text: str) -> str:
    """The text, marked as important."""
    return f"{STRONG}{text}{PLAIN}"


def fine(text: str) -> str:
    """The text, marked as small print."""
    return f"{FINE}{text}{FULL}"


def percent(share: float, digits: int = 1) -> str:
    """0.9583 -> "95.8 %"; takes more digits rather than round to 0 or 100 what is neither."""
    for more in range(digits, 5):
        text = f"{100 * share:.{more}f}"
        if float(text) not in (0.0, 100.0):
            return text + SPACE + "%"
    return f"{100 * share:.0f}{SPACE}%"


def count(number: float) -> str:
    """12345 -> "12 345"."""
    return f"{number:,.0f}".replace(",", "\u202f")


def counted(number: int, noun: str, plural: str = "") -> str:
    """(1, "image") -> "1 image"; (2, "image") -> "2 images"."""
    return f"{count(number)}{SPACE}{noun if number == 1 else plural or noun + 's'}"


def scaled(number: float, units: tuple[str, ...], base: float = 1000.0) -> str:
    """A number with the largest of the units, each `base` times the one before, in three digits."""
    for unit in units[:-1]:
        if abs(number) < 0.9995 * base:
            return f"{_three_digits(number)}{SPACE}{unit}".rstrip()
        number /= base
    return f"{_three_digits(number)}{SPACE}{units[-1]}"


def _three_digits(number: float) -> str:
    if number == int(number) and abs(number) < 1000:
        return str(int(number))
    digits = 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
    return f"{number:.{digits}f}"


def amount(number: float) -> str:
    """20_300_000 -> "20.3 M"."""
    return scaled(number, ("", "k", "M", "G", "T"))


def file_size(size: float) -> str:
    """Bytes -> "1.28 MB"."""
    return scaled(size, ("B", "kB", "MB", "GB", "TB"))


def milliseconds(time: float) -> str:
    """0.4123 -> "0.412 ms"; 2.1 -> "2.10 ms"."""
    return f"{time:.3f}{SPACE}ms" if time < 1 else scaled(time, ("ms", "s"))


def duration(seconds: float) -> str:
    """200 -> "3 min 20 s"."""
    if seconds < 60:
        return f"{seconds:.0f}{SPACE}s" if seconds >= 10 else f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60:02d}{SPACE}min"


def number(value: Any) -> str:
    """Any value of a JSON file in a table: short floats, yes and no, lists with commas."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}" if isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(number(each) for each in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number(each)}" for key, each in value.items()) or "–"
    return str(value)


def shape(sizes: list[int] | tuple[int, ...]) -> str:
    """(64, 48) -> "64×48"."""
    return "×".join(map(str, sizes))


def interval(rate: dict[str, Any]) -> str:
    """The interval of a rate: "90.5–98.6 %"."""
    return f"{percent(rate['low']).removesuffix(SPACE + '%')}–{percent(rate['high'])}"


def sure(rate: dict[str, Any]) -> str:
    """The interval with its confidence: "95 % CI 90.5–98.6 %"."""
    return f"{100 * rate.get('confidence', 0.95):g}{SPACE}%{SPACE}CI {interval(rate)}"


def rate_text(rate: dict[str, Any] | None) -> str:
    """A rate with all it needs: "115/120 = 95.8 % (95 % CI 90.5–98.6 %)"; a mean of rates has no counts."""
    if rate is None:
        return "–"
    counts = f"{count(rate['hits'])}/{count(rate['count'])} = " if "hits" in rate else ""
    return f"{counts}{percent(rate['value'])} ({sure(rate)})"


def shown(rate: dict[str, Any] | None) -> dict[str, Any] | None:
    """A rate for the page: texts, and low, high and value in percent for its bar."""
    if rate is None:
        return None
    counts = f"{count(rate['hits'])}/{count(rate['count'])}" if "hits" in rate else ""
    places = {end: round(100 * rate[end], 2) for end in ("low", "high", "value")}
    return {"text": percent(rate["value"]), "counts": counts, "interval": interval(rate), **places}


def short(name: str) -> str:
    """A name in a sentence: one line, at most 60 characters."""
    line = " ".join(name.split())
    return line if len(line) <= 60 else line[:57] + "…"


def outcome(total: int, noun: str, where: str, hits: int, singular: str, plural: str) -> str:
    """ "Of 120 defects in ..., 115 were found": grammar for none, one, some and all."""
    if total == 1:
        return f"The one {noun}{where} {strong(singular if hits else singular.replace(' ', ' not ', 1))}"
    if hits == total:
        return f"{strong('All ' + counted(total, noun))}{where} {plural}"
    done = f"{count(hits) if hits else 'none'} {singular if hits == 1 else plural}"
    return f"Of {counted(total, noun)}{where}, {strong(done)}"


def per_thousand(low: float, high: float) -> str:
    """ "between 14 and 95 of every 1 000" """
    few, many = round(1000 * low), round(1000 * high)
    thousand = count(1000)
    if few == many:
        return f"about {few} of every {thousand}"
    return f"up to {many} of every {thousand}" if few == 0 else f"between {few} and {many} of every {thousand}"


def flat(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """A nested JSON value as rows: ("augment > noise", "0.02")."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from flat(each, f"{path} › {key}" if path else str(key))
    elif path:
        yield path, number(value)


def latency_terms(row: dict[str, Any]) -> str:
    """What a latency was measured with: "ONNX Runtime on the processor, 2 threads, float32, batch 1"."""
    where = "on the processor" if row.get("device") == "cpu" else f"on {row.get('device')}"
    threads = counted(row.get("threads") or 1, "thread")
    return f"{row.get('what')} {where}, {threads}, {row.get('precision')}, batch {row.get('batch')}"


def quantity(value: float) -> str:
    """12345678 as "12.3 M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}" if value < 99.5 else f"{value:.0f}"
