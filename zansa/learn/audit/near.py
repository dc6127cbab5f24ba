"""Near copies: candidates by small features, proof by alignment, a line that follows from the set itself.

Perceptual hashes at fixed thresholds accuse inspection images wholesale, since good parts look alike. Here a pair is
accused only where it agrees better than the best wrong pairs of this set do, and copies made for a test tell how many
near copies would be found so.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageEnhance
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

from .align import agreement
from .look import SIDE, small
from .neighbours import Apart, hashes, nearest, thumbs

CANDIDATES = 5  # of each feature and image
PROVED = 20_000  # pairs laid on each other, at most
SAMPLE = 600  # images whose candidates are always proved, to know what wrong pairs reach
FALSE = 0.001  # share of images that a line accuses wrongly, by design
FLOOR, CAP = 0.6, 0.97
PLANTED = 12  # images that are copied for the test, each in as many ways as CHANGES
REACH = 0.5  # of the planted copies, fewer found: too alike to judge
CHANGES = ("saved anew", "lighter", "half size", "cut", "shifted", "turned")


@dataclass(frozen=True, eq=False)
class Near:
    """What laying images on each other has shown.

    pairs: (P, 2) rows of the images that were compared; plain, aligned: (P,) their agreement as they are and aligned.
    lines: above which agreement, plain and aligned, a pair is proven.
    wrong: the share of images that these lines are expected to accuse wrongly; above 2 * FALSE where a line is capped.
    found, planted: of the copies made for a test.
    """

    pairs: np.ndarray
    plain: np.ndarray
    aligned: np.ndarray
    lines: tuple[float, float]
    wrong: float
    found: int
    planted: int

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
    apart: Apart | None,
    siblings: np.ndarray,
    seed: int = 0,
    beside: Apart | None = None,
) -> Near:
    """Candidates of images (N, 64, 64) uint8 with thumbnails and hashes, laid on each other.

    `apart` tells which images show one part: these are no candidates, and say nothing about wrong pairs. `beside` tells
    which others may do so: these are candidates, and say nothing about wrong pairs either. `siblings` (S, 2) are pairs
    to be laid on each other all the same.
    """
    pairs, rank = _candidates(features, apart)
    sample = np.random.default_rng(seed).permutation(len(grey))[:SAMPLE]
    pairs = _limited(pairs, rank, siblings, sample)
    plain, aligned = agreement(grey, pairs)
    unlike = ~(_pairwise(apart, pairs) | _pairwise(beside, pairs))
    (one, wrong), (other, more) = (_line(_bests(pairs, score, unlike, sample)) for score in (plain, aligned))
    return Near(pairs, plain, aligned, (one, other), wrong + more, *_reach(grey, features, (one, other), seed))


def _candidates(features: tuple[np.ndarray, ...], apart: Apart | None) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) pairs, the smaller row first, and of each how good a candidate it is."""
    found = []
    for values in features:
        index, like = nearest(values, CANDIDATES, apart)
        rows = np.repeat(np.arange(len(index)), index.shape[1])
        found.append(np.column_stack([rows, index.ravel(), like.ravel()])[np.isfinite(like.ravel())])
    both = np.concatenate(found)
    pairs = np.sort(both[:, :2].astype(np.int64), axis=1)
    order = np.lexsort((-both[:, 2], pairs[:, 1], pairs[:, 0]))
    pairs, like = pairs[order], both[order, 2]
    first = np.ones(len(pairs), bool)
    first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[first], like[first]


def _limited(pairs: np.ndarray, rank: np.ndarray, siblings: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """All candidates of the sample, the siblings, and of the others the best, as many as can be laid on each other."""
    pairs = pairs[np.argsort(-rank, kind="stable")]
    of_sample = np.isin(pairs, sample).any(axis=1)
    wanted = np.concatenate([pairs[of_sample], np.sort(siblings, axis=1), pairs[~of_sample]])
    keys = np.unique(wanted, axis=0, return_index=True)[1]
    return wanted[np.sort(keys)[:PROVED]]


def _pairwise(apart: Apart | None, pairs: np.ndarray) -> np.ndarray:
    """(P,) bool: whether a pair is one of those."""
    if apart is None or not len(pairs):
        return np.zeros(len(pairs), bool)
    told = [
        apart(pairs[i : i + 256, 0])[np.arange(len(pairs[i : i + 256])), pairs[i : i + 256, 1]]
        for i in range(0, len(pairs), 256)
    ]
    return np.concatenate(told)


def _bests(pairs: np.ndarray, score: np.ndarray, unlike: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """The best wrong agreement of each image of the sample."""
    best = np.full(pairs.max(initial=0) + 1, -1.0)
    for side in (0, 1):
        np.maximum.at(best, pairs[unlike, side], score[unlike])
    best = best[sample[sample < len(best)]]
    return best[best > -1]


def _line(bests: np.ndarray) -> tuple[float, float]:
    """Where 0.1 % of wrong bests would lie, at most CAP, and the share of them above it.

    A normal law of Fisher's z tells: by the median and the 90 % quantile, or the 75 % quantile where true copies bend
    it. Where the line is capped the share is larger; the 25 % quantile limits it, which true copies do not bend.
    """
    if len(bests) < 10:
        return CAP, FALSE
    z = np.arctanh(np.clip(bests, -0.99, 0.9999))
    lower, middle, upper, high = np.quantile(z, (0.25, 0.5, 0.75, 0.9))
    quarter = norm.ppf(0.75)
    sd = min((high - middle) / norm.ppf(0.9), 1.3 * (upper - middle) / quarter)
    line = float(np.clip(np.tanh(middle + norm.ppf(1 - FALSE) * sd), FLOOR, CAP))
    narrow = max(1e-6, min(sd, (middle - lower) / quarter))
    return line, max(FALSE, float(norm.sf((np.arctanh(line) - middle) / narrow)))


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
    grey: np.ndarray, features: tuple[np.ndarray, ...], lines: tuple[float, float], seed: int
) -> tuple[int, int]:
    """Of changed copies of some images, how many would be candidates and be proven; and how many there are."""
    rng = np.random.default_rng(seed)
    source = np.repeat(rng.permutation(len(grey))[:PLANTED], len(CHANGES))
    copies = np.stack(
        [
            small(changed(grey[row], CHANGES[k % len(CHANGES)], (-1.0) ** (k // len(CHANGES))))
            for k, row in enumerate(source)
        ]
    )
    candidate = np.zeros(len(source), bool)
    for known, of_copies in zip(features, (thumbs(copies), hashes(copies)), strict=True):
        like = of_copies @ known.T
        candidate |= (like > like[np.arange(len(source)), source][:, None] + 1e-6).sum(axis=1) < CANDIDATES
    rows = np.arange(len(source))
    plain, aligned = agreement(np.concatenate([grey[source], copies]), np.column_stack([rows, rows + len(source)]))
    proven = (plain > lines[0]) | (aligned > lines[1])
    return int((candidate & proven).sum()), len(source)


# --- what pairs make --------------------------------------------------------------------------------------------------


def joined(count: int, pairs: np.ndarray) -> np.ndarray:
    """(N,) the number of the set that each image belongs to, when pairs belong together."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1])


assert SIDE == 64  # changes are measured on small images
