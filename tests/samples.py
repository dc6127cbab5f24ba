"""Little sets of samples, and a network and a recipe that learn one of them in a second."""

import numpy as np

from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem
from zansa.arch.use import Preprocess
from zansa.learn.data.dataset import Dataset, from_arrays
from zansa.learn.data.splits import Parts, split
from zansa.learn.recipe import Augment, Recipe

NET = Net(
    input=Input(channels=1, size=(12, 12)),
    stem=Stem(width=8),
    stages=(
        Stage(width=8, blocks=(Block(kind="basic", hidden=(8,)),)),
        Stage(width=16, stride=2, shortcut="project", blocks=(Block(kind="basic", hidden=(16,)),)),
    ),
    head=Head(classes=3),
)
RECIPE = Recipe(epochs=4, batch=16, rate=0.1, augment=Augment(shift=0.1), precision="float32", layout="channels_first")


def bars(count: int = 240, seed: int = 0):
    """Noise with a bar: lying, standing or none, unequally often."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=[0.2, 0.3, 0.5])
    images = rng.normal(100, 15, (count, 12, 12, 1))
    for image, label in zip(images, labels, strict=True):
        at = rng.integers(3, 9)
        if label == 0:
            image[at] += 60
        elif label == 1:
            image[:, at] += 60
    names = np.array(["lying", "standing", "none"])
    return from_arrays(np.clip(images, 0, 255).astype(np.uint8), names[labels])


def ready(seed: int = 0):
    data = bars(seed=seed)
    parts = split(data, seed=0)
    return data.normalised(parts.train), parts


def a_set(net: Net, count: int = 60):
    """Samples of three classes that differ in brightness, normalised, and their parts."""
    rng = np.random.default_rng(0)
    labels, size, names = np.arange(count) % 3, net.input.size, tuple(map(str, range(count)))
    images = rng.integers(0, 120, (count, *size, 2)) + 60 * labels.reshape(-1, *[1] * (len(size) + 1))
    series = len(size) == 1
    data = Dataset(
        images.astype(np.float32 if series else np.uint8),
        labels,
        ("a", "b", "c"),
        names,
        names,
        Preprocess(channels=2, size=size, depth=32 if series else 8),
        "signal" if series else "surface",
    )
    parts = Parts(*(np.sort(part) for part in np.split(rng.permutation(count), [count // 2, 3 * count // 4])))
    return data.normalised(parts.train), parts
