"""Working points: where inspection draws its lines, chosen on validation parts, and what each line promises.

A score is the log odds of a defect, the higher the worse. A part is rejected when its score >= `reject`; a person is
asked when it is below that and >= `ask`; else the part is accepted. Where a part has several images it counts once,
with its worst image: that is what the line does, and promises over images are false where images of a part are alike.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import betabinom

from ..arch.use import OperatingPoint
from ..words import counted, plain_percent, typed
from .decide import as_probability
from .exact import allowed, checked_confidence, needed
from .rates import rate
from .sizes import Claim

EDGE = 1e-9  # 0.29 * 100 is 28.999999999999996
MOST_LINES = 4000  # of those that are tried for the best chance


@dataclass(frozen=True, eq=False)
class ScoredParts:
    """What lines are chosen on: validation parts, each with one score."""

    score: np.ndarray  # (N,) float64, log odds of a defect
    defect: np.ndarray  # (N,) bool
    joined: bool = False  # whether a part may have several images
    mixed: int = 0  # parts with good and defective images, which count as defective
    # scores of defects that were learned from: a line goes below them where its promise allows, and promises nothing
    # of them
    learned: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def good(self) -> np.ndarray:
        """The scores of good parts, rising."""
        return np.sort(self.score[~self.defect])

    @property
    def faulty(self) -> np.ndarray:
        """The scores of defective parts, rising."""
        return np.sort(self.score[self.defect])


@dataclass(frozen=True)
class Point:
    """A working point. Lines are finite; `ask` == `reject` where nobody is asked."""

    reject: float  # a part is rejected from this log odds on
    ask: float  # a person is asked from this log odds on, up to `reject`
    basis: str  # what the promise is: "on average", "with 95 % confidence", "by cost", "by chance to pass"
    rule: str  # the whole rule in words

    @property
    def asks(self) -> bool:
        """Whether there is a third decision."""
        return self.ask < self.reject


def operating_point(point: Point, good: str) -> OperatingPoint:
    """The point as model files hold it."""
    ask, reject = as_probability(point.ask), as_probability(point.reject)
    return OperatingPoint(
        good=good,
        threshold=reject,
        rule=typed(point.rule),
        ask=ask if point.asks else None,
        basis=typed(point.basis),
        odds=(float(point.ask), float(point.reject)),
    )


def scored_parts(score: ArrayLike, defect: ArrayLike, groups: ArrayLike | None = None) -> ScoredParts:
    """Parts from images: (N,) scores, (N,) whether defective and, where parts have several images, (N,) part names.

    A part is as bad as its worst image. ValueError for scores that are no numbers, and for columns of unequal length.
    """
    s, d = np.asarray(score, dtype=np.float64), np.asarray(defect, dtype=bool)
    names = None if groups is None else np.asarray(groups)
    if s.ndim != 1 or s.shape != d.shape or (names is not None and names.shape != s.shape):
        shapes = ", ".join(str(column.shape) for column in (s, d, names) if column is not None)
        raise ValueError(f"scores, labels and groups have the shapes {shapes}; one number for each image is needed")
    if not np.isfinite(s).all():
        raise ValueError(f"{(~np.isfinite(s)).sum()} of {len(s)} scores are NaN or infinite; log odds must be finite")
    if names is None:
        return ScoredParts(s, d)
    _, part = np.unique(names, return_inverse=True)
    worst, images, bad = np.full(part.max(initial=-1) + 1, -np.inf), np.bincount(part), np.bincount(part, d)
    np.maximum.at(worst, part, s)
    return ScoredParts(worst, bad > 0, joined=True, mixed=int(((bad > 0) & (bad < images)).sum()))


# --- rules ----------------------------------------------------------------------------------------------------------


def by_false_alarms(parts: ScoredParts, most: float, confidence: float | None = None) -> Point:
    """The line of highest detection that rejects at most the share `most` of good parts.

    Without `confidence` the share holds on average over new parts and choices of validation parts: (k + 1) / (n + 1)
    of new scores lie above the k + 1st highest (split conformal prediction, Vovk, Gammerman & Shafer 2005). With it,
    the share of the chosen line itself is below `most` in that share of all choices, by the order statistic of Tong,
    Feng & Li 2018 (1608.03109, proposition 1). ValueError where so few good parts cannot promise it.
    """
    good = parts.good
    r = spare(len(good), most, confidence, "good")
    line = _above(good, np.concatenate([parts.faulty, parts.learned]), good[-1 - r])
    return _point(parts, line, line, confidence, f"at most {plain_percent(most)} of good parts are rejected")


def by_recall(parts: ScoredParts, least: float, confidence: float | None = None) -> Point:
    """The line of fewest false alarms that lets at most the share 1 - `least` of defective parts through.

    On average, or with `confidence`, as in `by_false_alarms`. On average it is conformal risk control (Angelopoulos
    et al. 2022, 2208.02814). ValueError where so few defective parts cannot promise it.
    """
    faulty = parts.faulty
    r = spare(len(faulty), round(1 - least, 12), confidence, "defective")
    line = _below(parts.score, faulty[r])
    return _point(parts, line, line, confidence, f"at least {plain_percent(least, 4)} of defective parts are found")


def by_both(parts: ScoredParts, least: float, most: float, confidence: float | None = None) -> Point:
    """Two lines: misses are promised at the lower one and false alarms at the upper one; a person sees what is between.

    Each promise holds by itself. Where one line can keep both, it stands in the middle and nobody is asked.
    """
    upper, lower = by_false_alarms(parts, most, confidence).reject, by_recall(parts, least, confidence).ask
    reject, ask = (upper, lower) if lower < upper else ((lower + upper) / 2,) * 2
    said = f"at least {plain_percent(least, 4)} of defective parts are found or shown to a person, and "
    return _point(parts, reject, ask, confidence, f"{said}at most {plain_percent(most)} of good parts are rejected")


def by_claim(parts: ScoredParts, claim: Claim, defects: int, good: int) -> tuple[Point, float]:
    """The line with the best chance to pass an acceptance test on so many defective and good parts, and that chance.

    A line that just keeps a share fails the test of that share about half of the time. The chance is that of new
    counts given those on validation (beta-binomial, prior of Jeffreys); both claims must be shown. Few validation parts
    leave much open, which lowers the chance.
    """
    lines = _lines(parts)
    missed = np.searchsorted(parts.faulty, lines)
    rejected = len(parts.good) - np.searchsorted(parts.good, lines)
    chance = np.ones(len(lines))
    if claim.recall is not None:
        k = int(allowed(defects, 1 - claim.recall, claim.confidence))
        chance *= _predicted(k, defects, missed, len(parts.faulty))
    if claim.false_alarms is not None:
        k = int(allowed(good, claim.false_alarms, claim.confidence))
        chance *= _predicted(k, good, rejected, len(parts.good))
    ties = np.flatnonzero(chance >= chance.max() - EDGE)
    best = ties[len(ties) // 2]
    said = (
        f"the best chance to show {claim.text} on {defects} defective and {good} good parts, about {chance[best]:.0%}"
    )
    line = float(lines[best])
    return Point(line, line, "by chance to pass", f"{said}; {counts_text(parts, line, line)}"), float(chance[best])


def usual(parts: ScoredParts, most: float = 0.02, confidence: float = 0.95) -> Point:
    """The rule where nothing was asked: at most `most` false alarms, with confidence where there are parts enough for
    that, else on average; the rule says which, and what would be needed."""
    count, least = len(parts.good), int(needed(most, confidence))
    if count >= least:
        return by_false_alarms(parts, most, confidence)
    want = f"{least} good parts are needed to promise this {_basis(confidence)}, and there are {count}"
    if _on_average(count, most) >= 0:
        found = by_false_alarms(parts, most)
    elif count:
        line = _above(parts.good, np.concatenate([parts.faulty, parts.learned]), parts.good[-1])
        said = f"no good validation part is rejected: expect up to {100 / (count + 1):.2g} % of new ones, on average"
        found = Point(line, line, _basis(None), f"{said}; {counts_text(parts, line, line)}")
    else:
        raise ValueError("no line: none of the validation parts is good; add good parts, or choose a line by recall")
    return Point(found.reject, found.ask, found.basis, f"{found.rule}; {want}")


def least_parts(share: float, confidence: float | None = None) -> int:
    """The smallest number of parts with which a share of mistakes can be promised at all."""
    return math.ceil(1 / share - EDGE) - 1 if confidence is None else int(needed(share, confidence))


def promised_now(count: int, confidence: float | None = None) -> float:
    """The smallest share of mistakes that `count` parts can promise; 1 where there is none."""
    if not count:
        return 1.0
    return 1 / (count + 1) if confidence is None else float(1 - (1 - confidence) ** (1 / count))


# --- what a point does ----------------------------------------------------------------------------------------------


def look(parts: ScoredParts, reject: float, ask: float | None = None, confidence: float = 0.95) -> dict[str, Any]:
    """What lines do to parts, as rates with exact intervals (None where there are no such parts).

    `detection` counts defective parts that are rejected or shown to a person, `missed` those let through,
    `false_alarms` good parts that are rejected; `asked` is of all, `asked_defective` and `asked_good` of each.
    """
    low = reject if ask is None else ask
    shown, rejected = (parts.score >= low), (parts.score >= reject)
    every, asked = np.ones_like(parts.defect), shown & ~rejected
    rows = {
        "detection": (shown, parts.defect),
        "missed": (~shown, parts.defect),
        "false_alarms": (rejected, ~parts.defect),
        "asked": (asked, every),
        "asked_defective": (asked, parts.defect),
        "asked_good": (asked, ~parts.defect),
    }
    return {name: _rate(hit & among, among, confidence) for name, (hit, among) in rows.items()}


def _rate(hits: np.ndarray, among: np.ndarray, confidence: float) -> dict[str, Any] | None:
    return rate(int(hits.sum()), int(among.sum()), confidence) if among.any() else None


# --- order statistics -----------------------------------------------------------------------------------------------


def spare(count: int, share: float, confidence: float | None, kind: str) -> int:
    """How many of `count` parts may lie on the wrong side of the line."""
    if not 0 < share < 1:
        raise ValueError(
            f"a share of {share:g} mistakes among {kind} parts was asked; allowed: above 0 and below 1, as a share "
            "(0.02, not 2); no number of parts promises none at all"
        )
    if confidence is not None:
        checked_confidence(confidence)
    found = _on_average(count, share) if confidence is None else int(allowed(count, share, confidence))
    if found >= 0:
        return found
    instead = f", or ask for what they can promise ({_less_strict(count, confidence, kind)})" if count else ""
    if confidence is not None and _on_average(count, share) >= 0:
        instead += ", or for the promise on average (--on-average)"
    raise ValueError(
        f"{counted(count, f'{kind} validation part')} cannot promise at most {plain_percent(share, 4)} of mistakes "
        f"{_basis(confidence)}: {least_parts(share, confidence)} are needed; add {kind} parts{instead}"
    )


def _on_average(count: int, share: float) -> int:
    return math.floor(share * (count + 1) + EDGE) - 1


def _less_strict(count: int, confidence: float | None, kind: str) -> str:
    """The option that asks for what can be promised, to the safe side."""
    now = promised_now(count, confidence)
    digits = 2 - math.floor(math.log10(now))
    safe = math.ceil(now * 10**digits - EDGE) / 10**digits
    return f"--false-alarms-at-most {safe:g}" if kind == "good" else f"--recall-at-least {1 - safe:g}"


def _above(good: np.ndarray, faulty: np.ndarray, highest: float) -> float:
    """A line above the good score `highest`, midway to the next defective one: rejected is what is strictly above, so
    that ties break no promise. Without defective parts it is as low as may be."""
    faulty = faulty if len(faulty) else good
    above = float(faulty[faulty > highest].min(initial=math.inf))
    below = float(good[good < above].max())
    return _middle(below, above if math.isfinite(above) else below + 1)


def _below(scores: np.ndarray, lowest: float) -> float:
    """A line at most as high as the defective score `lowest`, midway to the next score below."""
    under = scores[scores < lowest]
    return _middle(float(under.max()), float(lowest)) if len(under) else float(lowest)


def _middle(below: float, above: float) -> float:
    middle = (below + above) / 2
    return middle if middle > below else above  # neighbours in float64 have no middle


def _lines(parts: ScoredParts) -> np.ndarray:
    """Lines that tell the parts in other ways, from one that rejects all to one that rejects none."""
    score = np.unique(parts.score)
    lines = np.concatenate([score[:1], (score[1:] + score[:-1]) / 2, score[-1:] + 1])
    return lines[np.unique(np.linspace(0, len(lines) - 1, MOST_LINES).round().astype(int))]


def _predicted(most: int, count: int, hits: np.ndarray, seen: int) -> np.ndarray:
    """The chance of at most `most` among `count` new parts, after `hits` of `seen`."""
    if most < 0:
        return np.zeros(len(hits))
    k = np.arange(most + 1)[:, None]
    return np.asarray(betabinom.pmf(k, count, hits + 0.5, seen - hits + 0.5).sum(axis=0))


# --- words ----------------------------------------------------------------------------------------------------------


def _basis(confidence: float | None) -> str:
    return "on average" if confidence is None else f"with {plain_percent(confidence, 4)} confidence"


def _point(parts: ScoredParts, reject: float, ask: float, confidence: float | None, promise: str) -> Point:
    return Point(reject, ask, _basis(confidence), f"{promise}, {_basis(confidence)}; {counts_text(parts, reject, ask)}")


def counted_anew(rule: str, parts: ScoredParts, reject: float, ask: float) -> str:
    """A rule in words, with what its lines do to these validation parts in place of the counts that it tells."""
    told = typed(counts_text(parts, reject, ask)).split("; ")[0]
    return "; ".join(told if each.startswith("on validation ") else each for each in rule.split("; "))


def counts_text(parts: ScoredParts, reject: float, ask: float) -> str:
    """What lines, as log odds, do to validation parts, in words: counts of good and defective parts that are rejected
    and of those that a person is asked about."""
    good, faulty = parts.good, parts.faulty
    false_alarms, found = int((good >= reject).sum()), int((faulty >= reject).sum())
    asked = int(((parts.score >= ask) & (parts.score < reject)).sum())
    said = f"on validation {false_alarms} of {len(good)} good parts and {found} of {len(faulty)} defective ones are "
    said += "rejected"
    said += f", and a person is asked about {asked} of {len(parts.score)}" if ask < reject else ""
    if len(parts.learned):
        said += f"; of {len(parts.learned)} defects that were learned from, {int((parts.learned >= reject).sum())} are"
    mixed = f"; {counted(parts.mixed, 'part')} with good and defective images count as defective" if parts.mixed else ""
    return said + mixed
