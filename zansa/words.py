"""How numbers are worded, once for the screen, the page and the card: rates, amounts, sizes, times, prices.

A sentence may hold marks: STRONG ... PLAIN surround what matters, FINE ... FULL surround small print, and IMAGE stands
for the name of a sample. The page turns the marks into tags and words (`report/page.py`); the card and the screen turn
them into text (`report/model_card.py`, and `typed` here).

Numbers are worded in the language that is spoken (`phrases`): this file holds every word that stands beside a number.
"""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

from .phrases import IMAGE as IMAGE  # what a sample is called: "image", "signal" or "sequence"
from .phrases import language, phrase, say

STRONG, PLAIN, FINE, FULL = "\ue000", "\ue001", "\ue002", "\ue003"
SPACE = "\u00a0"  # a number stays with its unit
THOUSANDS = "\u202f"  # a narrow space between groups of three digits
Rate = dict[str, Any]  # what `proof.rates` makes: value, low, high, confidence, and hits and count if it was counted


# --- marks -----------------------------------------------------------------------------------------------------------


def strong(text: str) -> str:
    """The text, marked as important."""
    return f"{STRONG}{text}{PLAIN}"


def fine(text: str) -> str:
    """The text, marked as small print."""
    return f"{FINE}{text}{FULL}"


def typed(text: str) -> str:
    """The text with ordinary spaces, as terminals and Markdown take it."""
    return text.replace(SPACE, " ").replace(THOUSANDS, " ")


# --- numbers ---------------------------------------------------------------------------------------------------------


def count(number: float) -> str:
    """A whole number: 12345 is "12 345"."""
    text = f"{number:,.0f}"
    return text if language() == "ja" else text.replace(",", THOUSANDS)


COUNTERS = {  # Japanese counts things of each kind with a word of its own
    IMAGE: "枚",
    "image": "枚",
    "epoch": "エポック",
    "class": "クラス",
    "thread": "スレッド",
    "block": "ブロック",
    "channel": "チャネル",
    "pair": "組",
    "part": "個",
    "defect": "個",
    "moment": "回",
}


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things: (1, "image") is "1 image", and (2, "image") is "2 images"."""
    if language() == "ja":
        return f"{count(number)}{SPACE}{COUNTERS.get(noun.split()[-1], '件')}"
    return f"{count(number)}{SPACE}{noun if number == 1 else plural or noun + 's'}"


def scaled(number: float, units: tuple[str, ...], base: float = 1000.0) -> str:
    """A number in three digits with the largest unit that suits; each unit is `base` times the one before."""
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
    """A quantity without a unit of its own: 20_300_000 is "20.3 M"."""
    return scaled(number, ("", "k", "M", "G", "T"))


def file_size(size: float) -> str:
    """A number of bytes: 1_280_000 is "1.28 MB"."""
    return scaled(size, ("B", "kB", "MB", "GB", "TB"))


def shape(sizes: list[int] | tuple[int, ...]) -> str:
    """The sides of an image: (64, 48) is "64×48"."""
    return "×".join(map(str, sizes))


def number(value: Any) -> str:
    """Any value of a JSON file in a table: floats are short, booleans are yes or no, lists have commas."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, float):
        return f"{value:.5g}" if isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(number(each) for each in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number(each)}" for key, each in value.items()) or "–"
    return str(value)


def flat(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """The rows of a nested JSON value, for example ("augment › noise", "0.02")."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from flat(each, f"{path} › {key}" if path else str(key))
    elif path:
        yield path, number(value)


def short(name: str) -> str:
    """A name in a sentence: it takes one line and at most 60 characters."""
    line = " ".join(name.split())
    return line if len(line) <= 60 else line[:57] + "…"


# --- shares and rates ------------------------------------------------------------------------------------------------


def percent(share: float, digits: int = 1) -> str:
    """A measured share: 0.9583 is "95.8 %". It takes more digits rather than round to 0 or 100 what is neither."""
    for more in range(digits, max(5, digits + 3)):
        text = f"{100 * share:.{more}f}"
        if float(text) not in (0.0, 100.0):
            return text + SPACE + "%"
    return f"{100 * share:.0f}{SPACE}%"


def plain_percent(share: float, digits: int = 3) -> str:
    """A share that was chosen or planned, without zeros at its end: 0.08 is "8 %", and 0.975 is "97.5 %"."""
    return f"{100 * share:.{digits}g}{SPACE}%"


def share_of(rate: Rate) -> str:
    """A rate as a share, in as many digits as its count needs: one more hit always shows (9998/10000 is not 100 %)."""
    return percent(rate["value"], _digits(rate))


def counts_of(rate: Rate) -> str:
    """The counts of a rate, "115/120"; "" for a mean of rates, which has none."""
    return f"{count(rate['hits'])}/{count(rate['count'])}" if "hits" in rate else ""


def interval(rate: Rate) -> str:
    """The interval of a rate: "90.5–98.6 %"."""
    low, high = (percent(rate[end], _digits(rate)) for end in ("low", "high"))
    return f"{low.removesuffix(SPACE + '%')}–{high}"


def sure(rate: Rate) -> str:
    """The interval of a rate with its confidence: "95 % CI 90.5–98.6 %"."""
    return say("{sure}\u00a0CI {range}", sure=plain_percent(rate.get("confidence", 0.95), 6), range=interval(rate))


def rate_text(rate: Rate | None) -> str:
    """A rate with its counts and interval: "115/120 = 95.8 % (95 % CI 90.5–98.6 %)"; "–" if there is none."""
    if rate is None:
        return "–"
    return f"{counts_of(rate)} = ".removeprefix(" = ") + f"{share_of(rate)} ({sure(rate)})"


def shown(rate: Rate | None) -> dict[str, Any] | None:
    """A rate for a cell of the page: its texts, and low, high and value in percent for its bar."""
    if rate is None:
        return None
    places = {end: round(100 * rate[end], 2) for end in ("low", "high", "value")}
    return {"text": share_of(rate), "counts": counts_of(rate), "interval": interval(rate), **places}


def _digits(rate: Rate) -> int:
    return max(1, len(str(rate.get("count", ""))) - 2)  # one of 10 to 999 is at least 0.1 %


# --- times, prices and thresholds ------------------------------------------------------------------------------------


def milliseconds(time: float) -> str:
    """A short time: 0.4123 is "0.412 ms", and 2.1 is "2.10 ms"."""
    return f"{time:.3f}{SPACE}ms" if time < 1 else scaled(time, ("ms", "s"))


def duration(seconds: float) -> str:
    """A long time: 200 is "3 min 20 s"."""
    if seconds < 60:
        return f"{seconds:.0f}{SPACE}s" if seconds >= 10 else f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if language() == "ja":
        return (
            f"{minutes}{SPACE}分 {rest}{SPACE}秒"
            if minutes < 60
            else f"{minutes // 60}{SPACE}時間 {minutes % 60}{SPACE}分"
        )
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60:02d}{SPACE}min"


BUSY = 1.5  # milliseconds that pass for each one of work, from which others are using the processor


def latency_terms(row: dict[str, Any]) -> str:
    """What a latency was measured with: "ONNX Runtime on the processor, 2 threads, float32, batch 1"; and how much
    of it was work, where one thread had to wait for others."""
    where = say("on the processor") if row.get("device") == "cpu" else say("on {device}", device=row.get("device"))
    terms = say(
        "{what} {where}, {threads}, {precision}, batch {batch}",
        where=where,
        threads=counted(row.get("threads") or 1, "thread"),
        **{key: row.get(key) for key in ("what", "precision", "batch")},
    )
    work = row.get("work_ms")
    if not work or row.get("threads") != 1 or row["ms"] < BUSY * work:
        return terms
    return terms + say("; the machine was busy: {work} of it are work", work=milliseconds(work))


def time_text(row: dict[str, Any]) -> str:
    """A latency with its terms: "2.61 ms (ONNX Runtime on the processor, 2 threads, float32, batch 1)"."""
    return f"{milliseconds(row['ms'])} ({latency_terms(row)})"


PRICES: dict[str, tuple[Callable[[float], str], str]] = {  # by the unit of a budget: how it is written, and of what
    "macs": (amount, phrase("multiply-adds")),
    "params": (amount, phrase("parameters")),
    "bytes": (file_size, ""),
    "ms": (milliseconds, ""),
}


def price_text(value: float, unit: str, named: bool = True) -> str:
    """A price in the unit of a budget: "4.10 M multiply-adds", or "4.10 M" if it is not `named`."""
    write, what = PRICES.get(unit, (number, unit))
    return f"{write(value)}{SPACE}{say(what)}" if named and what else write(value)


def rule_text(inspection: dict[str, Any]) -> str:
    """When a part is rejected: "1 − p(good) ≥ 0.1234"; and when a person is asked, where there is a line for that."""
    text = f"1 − p({inspection['good']}) ≥ {threshold_text(inspection)}"
    ask = inspection.get("ask")
    return text if ask is None else say("{line}; from {ask} on a person is asked", line=text, ask=f"{ask:.4g}")


def threshold_text(inspection: dict[str, Any]) -> str:
    """The threshold of the score in four digits: "0.1234"."""
    return f"{inspection['threshold']:.4g}"


def area_text(value: float) -> str:
    """An area under a curve: "0.9876"."""
    return f"{value:.4f}"


# --- sentences -------------------------------------------------------------------------------------------------------


def outcome(total: int, noun: str, where: str, hits: int, singular: str, plural: str) -> str:
    """The beginning of a sentence, "Of 120 defects in ..., 115 were found", for none, one, some or all."""
    if language() == "ja":
        return say(
            "Of {total} {noun}{where}, {done} {did}",
            total=count(total),
            noun=say(noun),
            where=where,
            done=strong(count(hits)),
            did=say(plural),
        )
    if total == 1:
        return f"The one {noun}{where} {strong(singular if hits else singular.replace(' ', ' not ', 1))}"
    if hits == total:
        return f"{strong('All ' + counted(total, noun))}{where} {plural}"
    done = f"{count(hits) if hits else 'none'} {singular if hits == 1 else plural}"
    return f"Of {counted(total, noun)}{where}, {strong(done)}"


def per_thousand(low: float, high: float) -> str:
    """An interval of a share in words: "between 14 and 95 of every 1 000"."""
    few, many = round(1000 * low), round(1000 * high)
    thousand = count(1000)
    if few == many:
        return say("about {few} of every {thousand}", few=few, thousand=thousand)
    text = "up to {many} of every {thousand}" if few == 0 else "between {few} and {many} of every {thousand}"
    return say(text, few=few, many=many, thousand=thousand)
