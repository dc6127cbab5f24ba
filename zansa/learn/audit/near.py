"""Near copies: candidates by small features, proof by alignment, a line that follows from the set itself.

Perceptual hashes at fixed thresholds accuse inspection images wholesale, since good parts look alike. Here a pair is
accused only where it agrees better than the best wrong pairs of this set do, and copies made for a test tell how many
near copies would be found so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageEnhance
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

from .align import agreement
from .look import SIDE, small
from .neighbours import Kin, along, axes_of, hashes, nearest, thumbs

CANDIDATES = 5  # of each feature and image
PROVED = 60_000  # pairs laid on each other, at most
SAMPLE = 600  # images whose candidates are always proved, to know what wrong pairs reach
FALSE = 0.001  # share of images that a line accuses wrongly, by design
TAILS = (0.3, 0.15), (0.15, 0.05), (0.1, 0.03)  # shares of wrong bests above the two quantiles of an exponential tail
FLOOR, CAP = 0.6, 0.97
ROUNDS = 6  # of finding the lines, each without the pairs that the round before has proven
SURE = 3.0  # times the images above a line that chance puts there: the pairs above it are taken for true ones
PLANTED = 12  # images that are copied for the test, each in as many ways as CHANGES
REACH = 0.5  # of the planted copies, fewer found: too alike to judge
CHANGES = ("saved anew", "lighter", "half size", "cut", "shifted", "turned")


@dataclass(frozen=True, eq=False)
class Near:
    """What laying images on each other has shown.

    pairs: (P, 2) rows of the images that were compared.
    plain, aligned: (P,) their agreement as they are and aligned.
    lines: above which agreement, plain and aligned, a pair is proven.
    wrong: the share of images that these lines are expected to accuse wrongly; above 2 * FALSE where a line is capped.
    found, planted: of the copies made for a test.
    least: how good a candidate the last of these pairs was, -inf where none was left out.
    """

    pairs: np.ndarray
    plain: np.ndarray
    aligned: np.ndarray
    lines: tuple[float, float]
    wrong: float
    found: int
    planted: int
    least: float

    @property
    def proven(self) -> np.ndarray:
        """(P,) bool."""
        return (self.plain > self.lines[0]) | (self.aligned > self.lines[1])

    @property
    def judged(self) -> bool:
        """Whether copies can be told from different images at all."""
        return self.found >= REACH * self.planted


def compare(
    grey: np.ndarray,
    features: tuple[np.ndarray, ...],
    apart: Kin | None,
    siblings: np.ndarray,
    seed: int = 0,
    beside: Kin | None = None,
) -> Near:
    """Candidates of images (N, 64, 64) uint8 with thumbnails and hashes, laid on each other.

    `apart` tells which images show one part: these are no candidates, and say nothing about wrong pairs. `beside` tells
    which others may do so: these are candidates, and say nothing about wrong pairs either. `siblings` (S, 2) are pairs
    to be laid on each other all the same.
    """
    pairs, rank = _candidates(features, apart)
    pairs, least = _limited(pairs, rank, siblings, _sample(len(grey), seed), len(grey))
    known = [each for each in (apart, beside) if each is not None]
    return _judged(grey, features, pairs, agreement(grey, pairs), least, known, seed)


def compare_again(grey: np.ndarray, features: tuple[np.ndarray, ...], near: Near, apart: Kin, seed: int = 0) -> Near:
    """The pairs of a comparison, judged anew now that `apart` tells which images may show one part.

    Candidates that are surely no kin are looked for and laid on each other for a sample of the images alone, since they
    only tell what wrong pairs reach; so very many images need no second search.
    """
    more = _candidates(features, apart, _sample(len(grey), seed))[0]
    more = more[~np.isin(_numbers(more, len(grey)), _numbers(near.pairs, len(grey)))]
    scores = zip((near.plain, near.aligned), agreement(grey, more), strict=True)
    pairs = np.concatenate([near.pairs, more])
    plain, aligned = (np.concatenate(each) for each in scores)
    return _judged(grey, features, pairs, (plain, aligned), near.least, [apart], seed)


def _judged(
    grey: np.ndarray,
    features: tuple[np.ndarray, ...],
    pairs: np.ndarray,
    scores: tuple[np.ndarray, np.ndarray],
    least: float,
    known: Sequence[Kin],
    seed: int,
) -> Near:
    """The lines of these pairs, found again without what is proven until they stay."""
    sample, kin = _sample(len(grey), seed), _kin(known, pairs)
    for _ in range(ROUNDS):
        bests = [_bests(pairs, score, ~kin, sample) for score in scores]
        lines = [_line(best) for best in bests]
        sure = np.zeros(len(pairs), bool)
        for score, best, (line, wrong) in zip(scores, bests, lines, strict=True):
            above = (best > line).mean() if len(best) else 0.0
            sure |= (score > line) & (wrong <= max(FALSE, above / SURE))
        kin |= _linked(pairs, sure, np.maximum(*scores), known)
    (one, wrong), (other, more) = lines
    found = _reach(grey, features, (one, other), least, seed)
    return Near(pairs, *scores, (one, other), min(1.0, wrong + more), *found, least)


def _sample(count: int, seed: int) -> np.ndarray:
    """Rows of the images whose candidates are always laid on each other."""
    return np.random.default_rng(seed).permutation(count)[:SAMPLE]


def _numbers(pairs: np.ndarray, count: int) -> np.ndarray:
    """(P,) a number of its own for each pair, the smaller row first, of `count` images."""
    return pairs.min(axis=1) * count + pairs.max(axis=1)


def _kin(known: Sequence[Kin], pairs: np.ndarray) -> np.ndarray:
    """(P,) bool: whether a pair is kin by any of these, or one image."""
    return np.any([pairs[:, 0] == pairs[:, 1], *(each.are(pairs) for each in known)], axis=0)


def _linked(pairs: np.ndarray, sure: np.ndarray, score: np.ndarray, known: Sequence[Kin]) -> np.ndarray:
    """(P,) bool: pairs that say nothing about wrong ones, since a proven pair makes kin of them: a copy and the
    siblings of what it was copied from agree too."""
    partner = np.arange(pairs.max(initial=0) + 1)
    ordered = np.flatnonzero(sure)[np.argsort(score[sure], kind="stable")]
    partner[pairs[ordered].ravel()] = pairs[ordered][:, ::-1].ravel()  # of several the best
    one, other = pairs.T
    kin = sure.copy()
    for a, b in ((partner[one], other), (one, partner[other]), (partner[one], partner[other])):
        kin |= _kin(known, np.column_stack([a, b]))
    return kin


def _candidates(
    features: tuple[np.ndarray, ...], apart: Kin | None, asked: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) pairs of the images that are asked (all without), the smaller row first, and of each how good a candidate
    it is: how alike all features are, since smooth images have many that one feature alone takes for equal."""
    found = []
    for values in features:
        index, like = nearest(values, CANDIDATES, apart, asked)
        rows = np.repeat(np.arange(len(values)) if asked is None else asked, index.shape[1])
        found.append(np.column_stack([rows, index.ravel()])[np.isfinite(like.ravel())])
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    return pairs, _alike(features, features, pairs)


def _alike(ones: tuple[np.ndarray, ...], others: tuple[np.ndarray, ...], pairs: np.ndarray) -> np.ndarray:
    """(P,) mean similarity of rows of the first features with rows of the second."""
    like = np.zeros(len(pairs))
    for one, other in zip(ones, others, strict=True):
        for i in range(0, len(pairs), 2**16):
            a, b = pairs[i : i + 2**16].T
            like[i : i + 2**16] += np.einsum("pf,pf->p", one[a], other[b]) / len(ones)
    return like


def _limited(
    pairs: np.ndarray, rank: np.ndarray, siblings: np.ndarray, sample: np.ndarray, count: int
) -> tuple[np.ndarray, float]:
    """All candidates of the sample, the siblings, and of the others the best, as many as can be laid on each other; and
    how good the last of these is, -inf where none is left out."""
    order = np.argsort(-rank, kind="stable")
    pairs, rank = pairs[order], rank[order]
    of_sample = np.isin(pairs, sample).any(axis=1)
    wanted = np.concatenate([pairs[of_sample], np.sort(siblings, axis=1), pairs[~of_sample]])
    ranks = np.concatenate([rank[of_sample], np.full(len(siblings), np.inf), rank[~of_sample]])
    first = np.sort(np.unique(_numbers(wanted, count), return_index=True)[1])
    kept = first[:PROVED]
    return wanted[kept], -np.inf if len(first) <= PROVED else float(ranks[kept[-1]])


def _bests(pairs: np.ndarray, score: np.ndarray, unlike: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """The best wrong agreement of each image of the sample."""
    best = np.full(pairs.max(initial=0) + 1, -1.0)
    for side in (0, 1):
        np.maximum.at(best, pairs[unlike, side], score[unlike])
    best = best[sample[sample < len(best)]]
    return best[best > -1]


def _line(bests: np.ndarray) -> tuple[float, float]:
    """Where 0.1 % of wrong bests would lie, at most CAP, and the share of them above it.

    The larger of two laws of Fisher's z tells: a normal one by the median and the 90 % quantile, or the 75 % quantile
    where true copies bend it; and an exponential tail, since regular surfaces have a few pairs that agree far better
    than most: the lowest of those through two quantiles each (TAILS), since copies bend one or the other. Where the
    line is capped the share is larger; the 25 % quantile limits it, which true copies do not bend.
    """
    if len(bests) < 10:
        return CAP, FALSE
    z = np.arctanh(np.clip(bests, -0.99, 0.9999))
    lower, middle, upper, high = np.quantile(z, (0.25, 0.5, 0.75, 0.9))
    quarter = norm.ppf(0.75)
    sd = min((high - middle) / norm.ppf(0.9), 1.3 * (upper - middle) / quarter)
    tail = min(_tail(z, early, late) for early, late in TAILS)
    line = float(np.clip(np.tanh(max(middle + norm.ppf(1 - FALSE) * sd, tail)), FLOOR, CAP))
    if line < CAP:
        return line, FALSE
    narrow = max(1e-6, min(sd, (middle - lower) / quarter))
    return CAP, max(FALSE, float(norm.sf((np.arctanh(line) - middle) / narrow)))


def _tail(z: np.ndarray, early: float, late: float) -> float:
    """Where an exponential law has the share FALSE above it, when `early` and `late` shares lie above two quantiles."""
    first, second = np.quantile(z, (1 - early, 1 - late))
    return float(first + (second - first) * np.log(early / FALSE) / np.log(early / late))


# --- copies made for a test -------------------------------------------------------------------------------------------


def changed(grey: np.ndarray, how: str, away: float = 1.0) -> np.ndarray:
    """A near copy of an image (H, W) uint8; `away` is -1 or 1 for the direction of a shift or turn."""
    image = Image.fromarray(grey)
    width, height = image.size
    if how == "saved anew":
        stored = BytesIO()
        image.save(stored, "JPEG", quality=50)
        return np.asarray(Image.open(stored))
    if how == "lighter":
        return np.asarray(ImageEnhance.Brightness(image).enhance(1.0 + 0.2 * away))
    if how == "half size":
        half = max(1, width // 2), max(1, height // 2)
        return np.asarray(image.resize(half, Image.Resampling.BILINEAR))
    if how == "cut":
        edge = 0.025
        return np.asarray(
            image.crop(
                (round(edge * width), round(edge * height), round(width - edge * width), round(height - edge * height))
            )
        )
    if how == "shifted":
        move = round(0.03 * away * width), round(0.03 * away * height)
        return _edged(image, 0.0, move)
    return _edged(image, 2.0 * away, (0, 0))


def _edged(image: Image.Image, turn: float, move: tuple[int, int]) -> np.ndarray:
    """Turned or moved; what comes in at the edge repeats the edge's mirror image."""
    levels = np.asarray(image)
    edge = [max(2, round(0.08 * side)) for side in levels.shape]
    wide = Image.fromarray(np.pad(levels, [(side, side) for side in edge], mode="symmetric"))
    turned = np.asarray(wide.rotate(turn, Image.Resampling.BILINEAR, translate=move))
    return turned[edge[0] : -edge[0], edge[1] : -edge[1]]


def _reach(
    grey: np.ndarray, features: tuple[np.ndarray, ...], lines: tuple[float, float], least: float, seed: int
) -> tuple[int, int]:
    """Of changed copies of some images, how many would be candidates, at least this good, and be proven; and how many
    there are."""
    rng = np.random.default_rng(seed)
    source = np.repeat(rng.permutation(len(grey))[:PLANTED], len(CHANGES))
    copies = np.stack(
        [
            small(changed(grey[row], CHANGES[k % len(CHANGES)], (-1.0) ** (k // len(CHANGES))))
            for k, row in enumerate(source)
        ]
    )
    rows = np.arange(len(source))
    of_copies = thumbs(copies), hashes(copies)
    candidate = np.zeros(len(source), bool)
    for known, own in zip(features, of_copies, strict=True):
        axes = axes_of(known)
        like = along(own, axes) @ along(known, axes).T
        candidate |= (like > like[rows, source][:, None] + 1e-6).sum(axis=1) < CANDIDATES
    candidate &= _alike(of_copies, features, np.column_stack([rows, source])) >= least
    plain, aligned = agreement(np.concatenate([grey[source], copies]), np.column_stack([rows, rows + len(source)]))
    proven = (plain > lines[0]) | (aligned > lines[1])
    return int((candidate & proven).sum()), len(source)


# --- what pairs make --------------------------------------------------------------------------------------------------


def sets_of(count: int, pairs: np.ndarray) -> list[tuple[int, ...]]:
    """The sets of two rows or more that pairs of N images make when they belong together."""
    if not len(pairs):
        return []
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    of_row = connected_components(links, directed=False)[1]
    rows = np.unique(pairs)
    rows = rows[np.argsort(of_row[rows], kind="stable")]
    return [tuple(some.tolist()) for some in np.split(rows, np.flatnonzero(np.diff(of_row[rows])) + 1)]


assert SIDE == 64  # changes are measured on small images
