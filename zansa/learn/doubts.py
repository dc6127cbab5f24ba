"""Where a data set speaks against a default: in seconds, by plain rules on training samples, before any training.

Two defaults cost most where they are wrong. Mirroring in training makes classes alike that are each other's mirror
image (signs that point left and right). A stem that compares with the neighbourhood takes away the level, which can be
what tells the classes. A default is changed only where the evidence is clear; otherwise it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold

from ..proof.exact import lower_limit, upper_limit
from ..proof.traits import thumbnails, traits
from .data.dataset import Dataset

LOOKED_AT = 2000  # training images that tell of mirror images, at most
MEASURED = 600  # training images that tell of the level, at most
FOLDS = 3
LEAST = 5  # images of a class, below which it tells nothing
HALF = 0.5  # of the mirrored images of both classes must look like the other one
CLEAR = 3.0  # standard errors by which one kind of statistics must be better than the other
BETTER = 0.8  # and its loss at most this share of the other's
MIRRORS = {"flip_x": (2, "left and right"), "flip_y": (1, "top and bottom")}
Folds = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Doubt:
    """A default that the data speak against.

    default: the switch of the augmentation ("flip_x", "flip_y"), or "contrast" for the stem.
    told: one sentence for people: what is changed, why, and how to change it back.
    """

    default: str
    told: str


def doubts(data: Dataset, train: np.ndarray, switched_on: Sequence[str], contrast: int) -> list[Doubt]:
    """The defaults that the training images speak against; [] for series.

    data: the data set. train: indices of its training part. switched_on: the mirrorings that training would do, of
    MIRRORS. contrast: the window of the contrast stem in pixels that the network would have, 0 for none.
    """
    if data.preprocess.series:
        return []
    mirrored = [doubt for name in switched_on if name in MIRRORS and (doubt := mirror_doubt(data, train, name))]
    level = level_doubt(data, train, contrast) if contrast else None
    return mirrored + ([level] if level else [])


def mirror_doubt(data: Dataset, train: np.ndarray, name: str) -> Doubt | None:
    """Two classes of which at least half of the mirrored images of each look like the other one to a linear rule that
    tells the images themselves apart; None where there are none."""
    axis, words = MIRRORS[name]
    index = _some(train, LOOKED_AT)
    images, labels = data.images[index], data.labels[index]
    plain, turned = thumbnails(images), thumbnails(np.flip(images, axis))
    count = len(data.classes)
    seen = np.zeros((2, count, count), np.int64)  # of the images and of the mirrored ones: class, answer
    for learn, judge in _folds(data, index):
        rule = LogisticRegression(C=100, max_iter=200).fit(plain[learn], labels[learn])
        for k, values in enumerate((plain, turned)):
            np.add.at(seen[k], (labels[judge], rule.predict(values[judge])), 1)
    pair = _mirror_images(*seen)
    if pair is None:
        return None
    one, other = (data.classes[k] for k in pair)
    hits = int(seen[1][pair])
    return Doubt(
        name,
        f"training does not mirror {words}, because {hits} of {seen[1][pair[0]].sum()} mirrored images of {one!r} look "
        f"like {other!r} to a plain rule, and the reverse (--race none mirrors them all the same)",
    )


def _mirror_images(plain: np.ndarray, turned: np.ndarray) -> tuple[int, int] | None:
    """The pair of classes that look most like each other's mirror image, where that is clear."""
    total = plain.sum(1)
    told = np.flatnonzero((total >= LEAST) & (np.diag(plain) >= HALF * total))
    best, found = 0.0, None
    for i, a in enumerate(told):
        for b in told[i + 1 :]:
            like = min(turned[a, b] / total[a], turned[b, a] / total[b])
            sure = all(
                lower_limit(turned[x, y], total[x], 0.975) > upper_limit(plain[x, y], total[x], 0.975)
                for x, y in ((a, b), (b, a))
            )
            if like >= HALF and sure and like > best:
                best, found = like, (int(a), int(b))
    return found


def level_doubt(data: Dataset, train: np.ndarray, window: int) -> Doubt | None:
    """Whether plain statistics of the images as they are tell the classes clearly better than those of images that were
    compared with their neighbourhood, as the contrast stem does it."""
    index = _some(train, MEASURED)
    images, labels = data.images[index].astype(np.float32), data.labels[index]
    raw = _losses(traits(images), labels, _folds(data, index))
    compared = _losses(traits(_compared(images, window)), labels, _folds(data, index))
    gain = compared - raw
    error = gain.std() / len(gain) ** 0.5
    if not (gain.mean() > CLEAR * error and raw.mean() < BETTER * compared.mean()):
        return None
    return Doubt(
        "contrast",
        "the network sees levels as they are, because plain statistics tell the classes better by them than after a "
        f"comparison with the neighbourhood (held-out loss {raw.mean():.2f} against {compared.mean():.2f} ± "
        f"{error:.2f}; --race none compares all the same)",
    )


def _losses(values: np.ndarray, labels: np.ndarray, folds: Folds) -> np.ndarray:
    """Every sample's loss (N,) in nats by a linear rule that was taught on other folds."""
    found = np.zeros(len(labels))
    for learn, judge in folds:
        mean, spread = values[learn].mean(0), values[learn].std(0) + 1e-9
        scaled = np.clip((values - mean) / spread, -5, 5)
        rule = LogisticRegression(max_iter=300).fit(scaled[learn], labels[learn])
        p = np.full((len(judge), labels.max() + 1), 1e-3)
        p[:, rule.classes_] = rule.predict_proba(scaled[judge])
        found[judge] = -np.log(np.maximum(p[np.arange(len(judge)), labels[judge]], 1e-3))
    return found


def _compared(images: np.ndarray, window: int) -> np.ndarray:
    """Images (N, H, W, C) less their neighbourhood's mean, over its deviation (see nets.build.Contrast)."""
    grey = images.mean(axis=3)
    centred = grey - uniform_filter(grey, (0, window, window))
    variance = uniform_filter(centred**2, (0, 2 * window, 2 * window))
    return (centred / np.sqrt(variance + (0.05 * grey.std()) ** 2))[..., None]


def _folds(data: Dataset, index: np.ndarray) -> Folds:
    """Which of these samples teach and which judge, three times; groups stay whole."""
    labels = data.labels[index]
    if data.groups is not None and len(set(data.groups[index])) >= FOLDS:
        return list(GroupKFold(FOLDS).split(labels, labels, data.groups[index]))
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels))


def _some(index: np.ndarray, most: int) -> np.ndarray:
    return index[np.linspace(0, len(index) - 1, min(most, len(index))).astype(int)]
