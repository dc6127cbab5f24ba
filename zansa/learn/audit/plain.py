"""Images known by a few plain statistics that follow the order of names: what finds siblings on smooth surfaces.

A thumbnail of a smooth surface shows noise once its mean and contrast are taken away. What siblings share there is how
bright one side is against the other, how wide the levels spread, and the like.
"""

import numpy as np

from ...proof.traits import TRAITS, traits
from .inventory import Inventory
from .names import folders, orders

FOLLOWS = 0.5  # rank correlation of one image's statistic with the next one's
ALIKE = 0.95  # rank correlation of two statistics that tell the same
MOST = 4  # statistics
FLAT = 0.25  # how much of the sphere the statistics span: little, so that angles are as distances


def plain(inventory: Inventory, gray: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Features (N, at most 5) float32 of length 1 of images (N, 64, 64), and the statistics that they are made of;
    None where no statistic follows the order of names within folders and classes."""
    names, values = _statistics(gray)
    folder = folders(inventory.names)
    block = np.unique(inventory.labels * (folder.max(initial=0) + 1) + folder, return_inverse=True)[1]
    ranks = np.column_stack([_ranks(column, block) for column in values.T])
    every = [_follows(ranks, places) for _, places in orders(inventory)]
    follow, order = np.max(every, axis=0), int(np.argmax(np.max(every, axis=1)))
    chosen: list[int] = []
    for k in np.argsort(-follow, kind="stable")[: 4 * MOST].tolist():
        new = all(abs(np.mean(ranks[:, k] * ranks[:, other])) * 3 < ALIKE for other in chosen)
        if follow[k] >= FOLLOWS and new and len(chosen) < MOST:
            chosen.append(k)
    if not chosen:
        return None
    places = [places for _, places in orders(inventory)][order]
    spread = _weighed(ranks[:, chosen], places)
    spread *= FLAT / np.linalg.norm(spread, axis=1).max()
    rest = np.sqrt(1 - (spread**2).sum(axis=1, keepdims=True))
    return np.hstack([spread, rest]).astype(np.float32), tuple(names[k] for k in chosen)


def _statistics(gray: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Their names and values (N, S): each trait, and each as a share of the mean, which the light's strength does not
    change; those that vary."""
    known = traits(gray[..., None])
    shares = known[:, 1:] / np.maximum(known[:, :1], 1.0)
    values = np.hstack([known, shares])
    vary = np.ptp(values, axis=0) > 1e-6
    names = [*TRAITS, *(f"{name} / mean" for name in TRAITS[1:])]
    return [name for name, varies in zip(names, vary, strict=True) if varies], values[:, vary]


def _ranks(values: np.ndarray, block: np.ndarray) -> np.ndarray:
    """(N,) ranks from -1 to 1 within each folder and class, whose own levels say nothing of siblings; equal values have
    one rank, or the order of rows would show in it."""
    order = np.lexsort((values, block))
    new = np.ones(len(values), bool)
    new[1:] = (np.diff(values[order]) != 0) | (np.diff(block[order]) != 0)
    tie = np.cumsum(new) - 1
    middle = np.bincount(tie, np.arange(len(values))) / np.bincount(tie)
    sizes = np.bincount(block)
    first = np.cumsum(sizes) - sizes
    rank = np.empty(len(values))
    rank[order] = middle[tie]
    return np.asarray((2 * (rank - first[block]) + 1) / sizes[block] - 1)


def _follows(ranks: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(S,) the rank correlation of each statistic with itself one place further, within folders."""
    one, other = _beside(places)
    return np.asarray((ranks[one] * ranks[other]).mean(axis=0) * 3) if len(one) > 1 else np.zeros(ranks.shape[1])


def _beside(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and those one place further; places of different folders lie farther apart than there are images."""
    order = np.argsort(places, kind="stable")
    beside = np.diff(places[order]) < len(places)
    return order[:-1][beside], order[1:][beside]


def _weighed(ranks: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The statistics turned and scaled so that the differences of siblings are alike in all directions: the smaller
    half of the differences of one place stands for them."""
    one, other = _beside(places)
    steps = ranks[one] - ranks[other]
    size = abs(steps).sum(axis=1)
    steps = steps[size <= np.median(size)]
    variance, axes = np.linalg.eigh(steps.T @ steps / len(steps) + 1e-6 * np.eye(ranks.shape[1]))
    return np.asarray(ranks @ (axes / np.sqrt(variance)))
