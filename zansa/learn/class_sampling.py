"""Which samples an epoch shows: rare classes more often where Recipe.repeat says so (repeat factor sampling, Gupta,
Dollar and Girshick 2019, 1908.03195, section 4).

An epoch has as many steps as without it: what rare classes are shown more, the others are shown less.
"""

from collections.abc import Sequence

import numpy as np

from . import seeds
from .recipe import Recipe


def factors(labels: np.ndarray, classes: int, repeat: float) -> np.ndarray:
    """How many times as often each class is shown before the epoch is cut to its length: (K,), max(1, sqrt(t / f)) for
    a class with a share f of the labels (N,); 1 for a class that they do not have."""
    share = np.bincount(labels, minlength=classes) / len(labels)
    return np.sqrt(np.maximum(1.0, np.divide(repeat, share, out=np.ones(classes), where=share > 0)))


def more_often(labels: np.ndarray, names: Sequence[str], repeat: float) -> dict[str, float]:
    """The classes that are shown at least a twentieth more often than the one that is shown least, and how many times
    as often: of labels (N,), places in `names`."""
    times = factors(labels, len(names), repeat)
    least = times[np.unique(labels)].min()
    found = {name: round(float(each / least), 2) for name, each in zip(names, times, strict=True)}
    return {name: each for name, each in found.items() if each >= 1.05}


def shares_shown(labels: np.ndarray, classes: int, recipe: Recipe) -> np.ndarray:
    """The share of each class among the samples that are shown: (K,)."""
    shown = np.bincount(labels, minlength=classes) * factors(labels, classes, recipe.repeat)
    return shown / shown.sum()


def epoch_order(index: np.ndarray, labels: np.ndarray, classes: int, recipe: Recipe, epoch: int) -> np.ndarray:
    """The samples of an epoch in the order in which they are shown, as many as `index` has. A factor of 2.3 shows a
    sample twice and, by chance, a third time; all depends on the seed and the epoch alone."""
    random = seeds.order(recipe.seed, epoch)
    if not recipe.repeat:
        return random.permutation(index)
    times = factors(labels[index], classes, recipe.repeat)[labels[index]]
    return random.permutation(np.repeat(index, np.floor(times + random.random(len(index))).astype(int)))[: len(index)]
