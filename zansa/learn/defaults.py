"""What is chosen when nobody chooses: the network and the recipe, from the data alone."""

import numpy as np

from ..arch.spec import Block, Head, Input, Net, Stage, Stem
from .data.augment import defaults as augment_for
from .data.dataset import Dataset
from .data.splits import Parts
from .train import Recipe

PRESENTATIONS = 180_000  # images shown in a training, when the set is neither very large nor very small
FEWEST_EPOCHS, MOST_EPOCHS = 15, 60


def default_net(size: tuple[int, int], channels: int, classes: int) -> Net:
    """A small residual network whose cost hardly depends on the image size: stages halve the map from about 32 to
    about 4 pixels."""
    stride = 1 if min(size) < 48 else 2
    widths = (16, 32, 64, 128) if min(size) >= 48 else (16, 32, 64)
    stages = tuple(
        Stage(
            width=width,
            stride=1 if i == 0 else 2,
            shortcut="identity" if i == 0 else "project",
            blocks=(Block(kind="basic", hidden=(width,)),) * (1 if i == 0 else 2),
        )
        for i, width in enumerate(widths)
    )
    return Net(
        input=Input(channels=channels, size=size),
        stem=Stem(width=16, kernel=3, stride=stride),
        stages=stages,
        head=Head(classes=classes),
    )


def default_recipe(data: Dataset, parts: Parts, seed: int = 0) -> Recipe:
    """The recipe for a set: few images are shown more often."""
    count = len(parts.train)
    epochs = int(np.clip(PRESENTATIONS / count, FEWEST_EPOCHS, MOST_EPOCHS))
    return Recipe(epochs=epochs, augment=augment_for(data.kind), seed=seed)
