"""Every seed of a training, made in one place: a function of the recipe's seed and of where in the training it is.

So nothing random depends on what ran before, and a run that was killed goes on to the same result.
"""

import numpy as np


def of_step(seed: int, step: int, rank: int = 0) -> int:
    """The seed of what happens to the samples of a step, in the process of this rank."""
    return seed * 1_000_003 + step + rank * 2**24


def of_edit(seed: int, step: int, line: int) -> int:
    """The seed of new weights that an edit brings: the edits of one step are told apart by their line in the
    journal."""
    return of_step(seed, step) * 1009 + line


def of_run(seed: int, run: int) -> int:
    """The seed of one training of a search that trains many times."""
    return (seed * 1009 + run) % 2**31


def order(seed: int, epoch: int) -> np.random.Generator:
    """What draws the order of the samples of an epoch."""
    return np.random.default_rng([seed, epoch])


def event(seed: int, k: int) -> np.random.Generator:
    """What draws the training samples by which a growth decides at its event k."""
    return np.random.default_rng([seed, k, 1])


def insertion(seed: int, run: int) -> np.random.Generator:
    """What draws the place of a new block before one training of a search."""
    return np.random.default_rng([seed, run])
