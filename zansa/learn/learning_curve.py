"""Small trainings on nested shares of the training samples: the points of a learning curve."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..arch.spec import Net
from ..nets.build import Network, build
from .data.dataset import Dataset
from .data.splits import Parts
from .predict import probabilities
from .recipe import Recipe
from .train import training

SHORTER = 3  # a small training has a third of the steps of a whole one


def rarest_parts(data: Dataset, index: np.ndarray) -> int:
    """How many separate parts (groups, or samples where there are none) of the rarest class are among these samples."""
    names = np.arange(len(data)) if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    return min(len(set(names[index[data.labels[index] == k]].tolist())) for k in range(len(data.classes)))


def small_trainings(
    net: Net,
    start: Network | None,
    data: Dataset,
    parts: Parts,
    recipe: Recipe,
    chosen: Sequence[np.ndarray],
    shorter: int = SHORTER,
) -> Iterator[np.ndarray]:
    """Probabilities (N, K) of the validation samples after a training on each of these sets of training samples.

    Each training has the same steps: of fewer samples each is shown more often, else small shares would look worse than
    they are. `start` is the network with learned weights to begin with; None begins with fresh ones.
    """
    short = recipe.model_copy(update={"epochs": max(1, round(recipe.epochs / shorter)), "patience": 0.0})
    for index in chosen:
        module = build(net, torch.Generator().manual_seed(recipe.seed))
        if start is not None:
            module.load_state_dict(start.state_dict())
        few = replace(parts, train=np.resize(index, len(parts.train)))
        for _ in training(module, data, few, short):
            pass
        yield probabilities(module, data, parts.val)
