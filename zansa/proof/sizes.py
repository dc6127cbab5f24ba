"""Claims, and how many parts it takes to show one.

A claim is shown when the exact one-sided test of each of its numbers is passed; both at 95 % need no correction, since
acceptance asks for both (intersection-union test; Berger 1982). Counts are of parts: where a part has several images it
is found when one of them is rejected, and gives one false alarm when one of them is.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, betaincinv, betaln
from scipy.stats import beta, binom

from ..words import count as told
from ..words import counted, plain_percent
from .exact import MOST, allowed, checked_confidence, lower_limit, needed, tail, upper_limit

EXAMPLE = "recall>=0.99 at false_alarms<=0.02"
TERM = re.compile(r"\s*([^\W\d][\w -]*?)\s*(>=|≥|≧|=>|<=|≤|≦|=<|==|=|>|<)\s*(\S+(?:\s*%)?)\s*")
SIDES = {"recall": ">=", "false_alarms": "<="}
SIGNS = {"≥": ">=", "≧": ">=", "=>": ">=", ">": ">=", "≤": "<=", "≦": "<=", "=<": "<=", "<": "<="}
OTHER_NAMES = {
    "recall": "detection detection_rate detected found sensitivity tpr 検出率 再現率",
    "false_alarms": "false_alarm false_alarm_rate fpr false_positives overkill 過検出率 過検出",
}
FINEST = 1e-5  # a share that takes 299,572 parts without a mistake is as far as claims go
POWER = 0.8
ALL_MISSES = 256  # numbers of misses that are tried one by one
MOST_MISSES = 2**24  # a plan with more of them is none


@dataclass(frozen=True)
class Claim:
    """What is to be shown, as shares of parts; at least one of the two numbers is there."""

    recall: float | None  # of defective parts, at least this share is found
    false_alarms: float | None  # of good parts, at most this share is rejected
    confidence: float = 0.95  # one-sided

    @property
    def text(self) -> str:
        """The claim as it is typed."""
        terms = [f"{name}{sign}{value:g}" for name, sign in SIDES.items() if (value := getattr(self, name)) is not None]
        return " at ".join(terms)

    @property
    def mistakes(self) -> dict[str, float]:
        """The share of mistakes that each number allows, by its name."""
        shares = {
            "recall": None if self.recall is None else round(1 - self.recall, 12),
            "false_alarms": self.false_alarms,
        }
        return {name: share for name, share in shares.items() if share is not None}


@dataclass(frozen=True)
class Need:
    """What a test takes.

    parts: so many are tested.
    misses: so many of them may be mistaken.
    chance: how likely a model passes.
    """

    parts: int
    misses: int
    chance: float


# --- the claim ------------------------------------------------------------------------------------------------------


def parse_claim(text: str, confidence: float = 0.95) -> Claim:
    """A claim from words such as "recall>=0.99 at false_alarms<=0.02"; one of the two terms may be missing.

    ValueError, saying what to type, for other words, wrong directions, percentages without a sign, what no number of
    parts can show (recall of 1), what says nothing, and what contradicts itself.
    """
    checked_confidence(confidence)
    found: dict[str, float] = {}
    for term in re.split(r"\s*,(?!\d)\s*|\s+(?:at|and|with)\s+", text.strip(), flags=re.IGNORECASE):
        name, value = _term(term)
        if name in found:
            raise ValueError(f"the claim {text!r} says {name} twice; once is allowed, for example {EXAMPLE!r}")
        found[name] = value
    claim = Claim(found.get("recall"), found.get("false_alarms"), confidence)
    if claim.recall is not None and claim.false_alarms is not None and claim.recall <= claim.false_alarms:
        raise ValueError(
            f"the claim {claim.text!r} is met by chance: blindly rejecting {plain_percent(claim.recall)} of all parts "
            f"finds as many defects; claim a recall above the false alarms, for example {EXAMPLE!r}"
        )
    return claim


def _term(term: str) -> tuple[str, float]:
    match = TERM.fullmatch(term)
    if not match:
        raise ValueError(f"{term!r} is no claim; type a name, a sign and a share, for example {EXAMPLE!r}")
    name, sign = _name(match[1]), SIGNS.get(match[2], match[2])
    if sign != SIDES[name]:
        way = "at least" if name == "recall" else "at most"
        raise ValueError(f"{term!r} was claimed; {name} is claimed to be {way} a share: {name}{SIDES[name]}{match[3]}")
    value = _share(name, match[3])
    _refuse_ends(name, value)
    return name, value


def _name(word: str) -> str:
    plain = re.sub(r"[\s-]+", "_", word.strip().lower())
    if plain in SIDES:
        return plain
    meant = [name for name, others in OTHER_NAMES.items() if plain in others.split()]
    hint = (
        f"{meant[0]} is its name here"
        if meant
        else "allowed: recall (of defective parts) and false_alarms (of good ones)"
    )
    more = "; a miss rate of 0.01 is recall>=0.99" if plain.startswith(("miss", "見逃し")) else ""
    raise ValueError(f"a claim on {word.strip()!r} was made; {hint}{more}, for example {EXAMPLE!r}")


def _share(name: str, word: str) -> float:
    percent = word.endswith("%")
    try:
        value = float(word.rstrip("% "))
    except ValueError:
        raise ValueError(
            f"{name}{SIDES[name]}{word} was claimed; {word!r} is no number: type a share such as 0.99, with a point"
        ) from None
    if percent:
        value /= 100
    if 0 <= value <= 1:
        return value
    hint = f"; for {value:g} % type {name}{SIDES[name]}{value / 100:g}" if 1 < value <= 100 and not percent else ""
    raise ValueError(f"{name}{SIDES[name]}{word} was claimed; a share from 0 to 1 is meant{hint}")


def _refuse_ends(name: str, value: float) -> None:
    share = 1 - value if name == "recall" else value
    if share < FINEST * (1 - 1e-6):
        nearest = "0.999" if name == "recall" else "0.001"
        raise ValueError(
            f"{name}{SIDES[name]}{value:.12g} cannot be shown: "
            f"{'no number of parts proves that there is never a mistake' if share <= 0 else _takes(share)}; "
            f"{name}{SIDES[name]}{nearest} takes {told(int(needed(0.001)))} parts without a mistake, at 95 % confidence"
        )
    if share >= 1:
        raise ValueError(f"{name}{SIDES[name]}{value:g} says nothing: it is always true; type for example {EXAMPLE!r}")


def _takes(share: float) -> str:
    return f"it takes {told(int(needed(share)))} parts without a mistake"


# --- how many parts -------------------------------------------------------------------------------------------------


def need(share: float, truth: float, confidence: float = 0.95, power: float = POWER) -> Need | None:
    """The fewest parts with which a model whose true share of mistakes is `truth` shows less than `share`, with the
    chance `power`; None when `truth` is so near to `share` that a plan would allow millions of misses, or above it.

    Each number k of misses has its own least number of parts n, and there the chance is highest; the first k whose
    chance suffices is the answer. Exact. "299 without a miss" shows recall >= 0.99, but a true 0.997 passes that in
    41 % of cases; 913 with up to 4 misses pass in 80 %.
    """
    if truth >= share:
        return None

    def chances(k: np.ndarray) -> np.ndarray:
        n = needed(share, confidence, k)
        return np.where(n < MOST, bdtr(k, n, truth), 0.0)

    low, high = 0, ALL_MISSES
    while chances(np.array([high]))[0] < power:
        low, high = high, 4 * high
        if high > MOST_MISSES:
            return None
    while high - low > ALL_MISSES:  # the chance rises with k but for ripples of rounding
        middle = (low + high) // 2
        low, high = (low, middle) if chances(np.array([middle]))[0] >= power else (middle, high)
    k = np.arange(max(0, low - ALL_MISSES // 2), high + 1)
    found = int(k[chances(k) >= power][0])
    parts = int(needed(share, confidence, found))
    return Need(parts, found, float(bdtr(found, parts, truth)))


def expected_mistakes(mistakes: int, count: int) -> float:
    """The share of mistakes to plan with: one standard error above what was seen, which is the 84 % quantile under
    Jeffreys' prior (so that no mistake at all is not taken for perfection)."""
    return float(betaincinv(mistakes + 0.5, count - mistakes + 0.5, 0.8413))


def chance_to_pass(share: float, truth: float, count: int, confidence: float = 0.95) -> float:
    """How likely `count` parts show less than `share` mistakes, when `truth` is the true share."""
    return float(tail(int(allowed(count, share, confidence)), count, truth))


def claimable(count: int, truth: float | None = None, confidence: float = 0.95, power: float = POWER) -> float:
    """The smallest share of mistakes that `count` parts can show: with the chance `power` when the true share is
    `truth`, or, where nothing is known, if no mistake happens at all; 1 without parts."""
    if not count:
        return 1.0
    misses = 0 if truth is None else int(binom.ppf(power, count, truth))
    return float(upper_limit(misses, count, confidence))


def plan(
    claim: Claim,
    defective: Mapping[str, int],
    good: int,
    expected: Mapping[str, float] | None = None,
    *,
    each: bool = False,
    power: float = POWER,
) -> dict[str, Any]:
    """How many test parts the claim needs, how many there are, and what can be claimed today.

    `defective` has the number of test parts of each kind of defect, `good` that of good ones; `expected` has the share
    of mistakes to plan with (see `expected_mistakes`) by "recall" and "false_alarms". What is not known yet is planned
    at a half, a third and a tenth of what the claim allows. With `each` recall is claimed for every kind by itself.
    """
    counts = {"good": good} if claim.false_alarms is not None else {}
    if claim.recall is not None:
        counts = (dict(defective) if each else {"defective": sum(defective.values())}) | counts
    rows = []
    for kind, count in counts.items():
        number = "false_alarms" if kind == "good" and claim.false_alarms is not None else "recall"
        rows.append(_row(kind, number, count, claim, (expected or {}).get(number), power))
    chances = [row["chance"] for row in rows]
    return {
        "claim": claim.text,
        "confidence": claim.confidence,
        "power": power,
        "rows": rows,
        # Kinds of parts are different parts: their counts are independent for a given model.
        "chance": None if None in chances else math.prod(chances),
    }


def _row(kind: str, number: str, count: int, claim: Claim, truth: float | None, power: float) -> dict[str, Any]:
    share = claim.mistakes[number]
    planned = (
        {truth: need(share, truth, claim.confidence, power)}
        if truth is not None
        else {round(share / part, 12): need(share, share / part, claim.confidence, power) for part in (2, 3, 10)}
    )
    now = claimable(count, truth, claim.confidence, power)
    return {
        "kind": kind,
        "number": number,
        "allowed": share,
        "count": count,
        "least": int(needed(share, claim.confidence)),
        "needs": [
            {"truth": t, **(vars(found) if found else dict.fromkeys(("parts", "misses", "chance")))}
            for t, found in planned.items()
        ],
        "chance": None if truth is None else chance_to_pass(share, truth, count, claim.confidence),
        "claimable": 1 - now if number == "recall" else now,
        "do": _advice(kind, number, count, share, truth, planned, now),
    }


def _advice(
    kind: str,
    number: str,
    count: int,
    share: float,
    truth: float | None,
    planned: Mapping[float, Need | None],
    now: float,
) -> str:
    if truth is not None and truth >= share:
        return (
            f"no number of {kind} parts shows this: {plain_percent(truth)} mistakes are expected and "
            f"{plain_percent(share)} are claimed; loosen the claim, or make the model better"
        )
    first = next(iter(planned.values()))
    if first is None:
        return f"the model is too near to the claim for any number of {kind} parts; loosen the claim"
    if count >= first.parts:
        return f"{counted(count, f'{kind} part')} are enough"
    known = "" if truth is not None else ", if the model makes half the mistakes that are claimed"
    most = f"{told(first.parts)} with up to {first.misses} mistakes"
    more = f"collect {told(first.parts - count)} more {kind} parts ({most}{known})"
    if not count or now >= 1 or now < share:
        return more
    return f"{more}, or claim {number}{SIDES[number]}{rounded_off(number, now)}{'' if known == '' else ' at best'}"


def rounded_off(number: str, share: float) -> str:
    """The share of mistakes as the claim's number, to the safe side."""
    digits = max(2, 1 - math.floor(math.log10(share)))
    safe = math.ceil(share * 10**digits - 1e-9) / 10**digits
    return f"{1 - safe if number == 'recall' else safe:.{digits}f}".rstrip("0")


# --- what was shown -------------------------------------------------------------------------------------------------


def verdict(claim: Claim, found: tuple[int, int] | None, false_alarms: tuple[int, int] | None) -> dict[str, Any]:
    """Whether test parts show the claim: `found` is (defective parts found, of so many), `false_alarms` is (good parts
    rejected, of so many). The claim is shown when each of its numbers is, at the same confidence."""
    seen = {"recall": found, "false_alarms": false_alarms}
    rows = [_shown(name, share, seen[name], claim.confidence) for name, share in claim.mistakes.items()]
    return {
        "claim": claim.text,
        "confidence": claim.confidence,
        "numbers": rows,
        "shown": all(row["shown"] for row in rows),
    }


def _shown(name: str, share: float, seen: tuple[int, int] | None, confidence: float) -> dict[str, Any]:
    hits, count = seen or (0, 0)
    mistakes = count - hits if name == "recall" else hits
    if not count:
        return {"number": name, "mistakes": None, "count": 0, "p_value": 1.0, "limit": None, "shown": False}
    p = float(tail(mistakes, count, share))
    limit = lower_limit(hits, count, confidence) if name == "recall" else upper_limit(hits, count, confidence)
    return {
        "number": name,
        "mistakes": int(mistakes),
        "count": int(count),
        "p_value": p,
        "limit": float(limit),
        "shown": mistakes <= int(allowed(count, share, confidence)),
    }


def evidence(found: ArrayLike, missed: ArrayLike, least: float) -> np.ndarray:
    """The e-value against "recall is at most `least`": the claim holds once it is >= 1 / (1 - confidence), and one may
    look after every part.

    A mixture over the recalls above `least` (Robbins 1970; Howard et al. 2021, 1810.08240). Fixed plans may not be
    looked at early: with 95 % the exact limit, looked at after every part, claims falsely in 22 % of cases.
    """
    hits, misses = np.asarray(found, dtype=float), np.asarray(missed, dtype=float)
    a, b = hits + 1, misses + 1
    mixture = betaln(a, b) + beta.logsf(least, a, b) - math.log1p(-least)
    return np.asarray(np.exp(mixture - hits * math.log(least) - misses * math.log1p(-least)))
