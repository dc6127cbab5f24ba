"""What is chosen when nobody chooses: the network and the recipe, from the data alone.

The rules were found on validation images of three real sets (docs/decisions/0005); no set has one of its own.
"""

import math

from ..arch.spec import Block, Head, Input, Net, Stage, Stem
from .data.augment import Augment
from .data.augment import defaults as augment_for
from .data.dataset import Dataset
from .data.splits import Parts
from .train import Recipe

WIDTHS = (16, 32, 64, 128)
MEDIUM, LARGE = 48, 112  # pixels of the shorter side from which the map is halved once more
FEW = 3000  # training images below which a surface is varied strongly
STRONG = Augment(
    flip_x=True, flip_y=True, shift=0.15, rotate=15, zoom=0.4, shear=0.2, warped=1, contrast=0.4, brightness=0.4,
)  # fmt: skip


def default_net(size: tuple[int, int], channels: int, classes: int, kind: str) -> Net:
    """A small residual network of four stages, 16 to 128 wide, whose first stage sees maps of 24 to 56 pixels.

    Small images get one block a stage, others two from the second stage on. Large photographs of surfaces are first
    compared with their neighbourhood, a sixth of the image wide: light and shade say more of the place and the hour
    than of the part.
    """
    side = min(size)
    counts = (1, 1, 1, 1) if side < MEDIUM else (1, 2, 2, 2)
    strides = (2 if side >= LARGE else 1, 2, 2, 2)
    stages = tuple(
        Stage(
            width=width,
            stride=stride,
            shortcut="identity" if stride == 1 else "project",
            blocks=(Block(kind="basic", hidden=(width,)),) * count,
        )
        for width, stride, count in zip(WIDTHS, strides, counts, strict=True)
    )
    stem = Stem(
        width=WIDTHS[0],
        stride=1 if side < MEDIUM else 2,
        contrast=side // 6 if kind == "surface" and side >= LARGE else 0,
    )
    return Net(input=Input(channels=channels, size=size), stem=stem, stages=stages, head=Head(classes=classes))


def default_recipe(data: Dataset, parts: Parts, seed: int = 0) -> Recipe:
    """The recipe for a set: few images are shown more often, in smaller batches, and varied more.

    epochs = 1080 / sqrt(training images), between 10 and 60: 10 for 12 thousand images, 38 for 800.
    """
    count = len(parts.train)
    strong = data.kind == "surface" and count < FEW
    return Recipe(
        epochs=max(10, min(60, round(1080 / math.sqrt(count)))),
        batch=32 if count < 2000 else 64 if count < 8000 else 128,
        augment=STRONG if strong else augment_for(data.kind),
        seed=seed,
    )
