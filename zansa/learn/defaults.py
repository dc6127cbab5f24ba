"""What is chosen when nobody chooses: the network and the recipe, from the data alone.

The rules come from validation images of three real sets (docs/decisions/0005); no set has rules of its own.
"""

import math
from collections.abc import Callable
from typing import Any

from ..arch.spec import Block, Head, Input, Net, Stage, Stem
from ..inputs.series import DNA
from .data.augment import defaults as augment_for
from .data.dataset import Dataset
from .data.splits import Parts
from .grow.growth import Growth, annealed, lengthened
from .recipe import Augment, Recipe, Tuning
from .tune import default_tuning

WIDTHS = (16, 32, 64, 128)
MEDIUM, LARGE = 48, 112  # pixels of the shorter side from which the map is halved once more
SERIES_WIDTHS = (32, 64, 128)  # of the stages; all further ones have the last
FEWEST_PLACES = 4
LONG = 256  # numbers or letters: the stem halves longer series
SERIES_BATCHES = ((100, 8), (500, 16), (2000, 32), (8000, 64))  # (training series, batch): so large with fewer series
FEW = 3000  # training images: surfaces with fewer are varied strongly
STEPS_A_CLASS = 64  # of a training on images, at least, up to 60 epochs
STEPS = 800  # of a training on images, at least, however few they are
BATCHES = ((500, 16), (2000, 32), (8000, 64))  # (training images, batch): so large with fewer images
HOLD = 0.7  # share of a training on images at its full rate
STRONG = Augment(
    flip_x=True,
    flip_y=True,
    shift=0.15,
    rotate=15,
    zoom=0.4,
    shear=0.2,
    warped=1,
    contrast=0.4,
    brightness=0.4,
)


def default_net(size: tuple[int, ...], channels: int, classes: int, kind: str) -> Net:
    """The network for data of this kind: series_net for series, image_net otherwise."""
    make = series_net if len(size) == 1 else image_net
    return make(size, channels, classes, kind)


def series_net(size: tuple[int, ...], channels: int, classes: int, kind: str) -> Net:
    """A small residual network over a series, 32 to 128 wide, with as many stages as it takes to halve the series to 4
    positions.

    So each of these positions has seen the whole series, and knows where it stands in it. The stem looks at 7 numbers
    or letters at once, and halves a series longer than LONG once or twice.
    """
    stride = min(4, 2 ** max(0, math.ceil(math.log2(size[0] / LONG))))
    stem, places, width = Stem(width=SERIES_WIDTHS[0], kernel=7, stride=stride), -(-size[0] // stride), SERIES_WIDTHS[0]
    stages: list[Stage] = []
    while not stages or places > FEWEST_PLACES:
        wider, halved = SERIES_WIDTHS[min(len(stages), len(SERIES_WIDTHS) - 1)], 2 if stages else 1
        stages.append(
            Stage(
                width=wider,
                stride=halved,
                shortcut="identity" if (halved, wider) == (1, width) else "project",
                blocks=(Block(kind="basic", hidden=(wider,)),),
            )
        )
        places, width = -(-places // halved), wider
    return Net(input=Input(channels=channels, size=size), stem=stem, stages=tuple(stages), head=Head(classes=classes))


def image_net(size: tuple[int, ...], channels: int, classes: int, kind: str) -> Net:
    """A small residual network of four stages, 16 to 128 wide, whose first stage sees maps of 24 to 56 pixels.

    Small images get one block a stage, others two from the second stage on. In large photographs of surfaces every
    pixel is first compared with its neighbourhood, a sixth of the image wide, because light and shade say more about
    where and when the picture was taken than about the part.
    """
    side = min(size)
    counts = (1, 1, 1, 1) if side < MEDIUM else (1, 2, 2, 2)
    strides = (2 if side >= LARGE else 1, 2, 2, 2)
    stages = tuple(
        Stage(
            width=width,
            stride=stride,
            shortcut="identity" if stride == 1 else "average",
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
    """The recipe for a data set: few samples are shown more often, in smaller batches, and varied more.

    epochs = 1080 / sqrt(training samples), between 10 and 60 for images: 10 for 12 thousand, 38 for 800; as many more
    as it takes to have STEPS_A_CLASS steps for each class: 43 classes take longer than two. What counts is steps, and
    60 images need as many as 6,000: there are STEPS of them at least, whatever that is in epochs. Images learn
    at the full rate for most of the training, which does not end early. Series are cheap, and often very few: they get
    up to 200 epochs, in batches from 8 up.
    """
    count = len(parts.train)
    if data.preprocess.series:
        return Recipe(
            epochs=max(10, min(200, round(1080 / math.sqrt(count)))),
            batch=next((batch for most, batch in SERIES_BATCHES if count < most), 128),
            augment=augment_for(data.kind),
            layout="channels_first",
            seed=seed,
        )
    strong = data.kind == "surface" and count < FEW
    batch = next((batch for most, batch in BATCHES if count < most), 128)
    each = max(1, count // min(batch, count))  # steps of an epoch
    fewest = math.ceil(STEPS_A_CLASS * len(data.classes) / each)
    return Recipe(
        epochs=max(10, math.ceil(STEPS / each), min(60, max(fewest, round(1080 / math.sqrt(count))))),
        batch=batch,
        hold=HOLD,
        patience=0.0,
        augment=STRONG if strong else augment_for(data.kind),
        seed=seed,
    )


def gentler(recipe: Recipe, images_per_class: float, parts: int) -> Recipe:
    """A recipe for weights that were learned elsewhere: a fifth of the rate, which falls from the beginning, and what
    `default_tuning` says about the network's parts (stem, stages, head)."""
    tuning = default_tuning(images_per_class, parts)
    return recipe.model_copy(update={"rate": recipe.rate / 5, "hold": 0.0, "tuning": tuning})


def recipe_of(
    data: Dataset,
    parts: Parts,
    seed: int,
    asked: dict[str, Any],
    *,
    growth: Growth | None = None,
    learned: int = 0,
    fixed: bool = True,
    adjust: Callable[[Recipe], Recipe] | None = None,
) -> Recipe:
    """The default recipe, with the fields that were asked for in place of its own.

    asked: fields of a Recipe by name; of `augment` and `tuning` single switches, or {} for none of them.
    growth: what is decided of a network that grows; None for others.
    learned: of how many parts (stem, stages, head) the network has learned weights, which get a gentler recipe; 0 for
        fresh weights.
    fixed: whether the structure stays as it is; where it changes, all parts learn.
    adjust: changes the default recipe before what was asked takes its place; None changes nothing.

    ValueError for a recipe that cannot be.
    """
    recipe = default_recipe(data, parts, seed)
    if growth is not None and growth.usual is not None:
        recipe = lengthened(recipe)
    if learned:
        recipe = gentler(recipe, len(parts.train) / len(data.classes), learned)
        if not fixed:
            recipe = recipe.model_copy(update={"tuning": Tuning()})
    recipe = recipe if adjust is None else adjust(recipe)
    default, asked = recipe.model_dump(), dict(asked)
    if asked.get("optimizer") == "adamw":
        default["rate"] /= 50  # 0.002 for 0.1: steps of a size of their own
    for name in ("augment", "tuning"):
        if asked.get(name):
            asked[name] = default[name] | asked[name]
    if "warmup" in asked and "hold" not in asked:
        default["hold"] = min(default["hold"], 1 - asked["warmup"])
    recipe = Recipe.model_validate(default | asked)
    if growth is not None and "hold" not in asked:
        recipe = annealed(recipe, growth.schedule)
    if recipe.augment.reverse_complement and data.preprocess.alphabet != DNA:
        raise ValueError(
            f"reverse_complement was asked; allowed: for DNA, and these are {data.preprocess.noun}s of "
            f"{data.preprocess.alphabet or 'numbers'}"
        )
    return recipe
