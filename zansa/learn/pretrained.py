"""Trained networks that look at the samples of a data set in their own way: at another size, with other constants."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..arch.zoo import READY
from ..inputs.images import fit_image, fitted, read_like
from ..nets.donor import read_donor
from ..nets.files import Model
from .adapt import features
from .data.dataset import Dataset, normalised_for
from .doubts import file_side
from .predict import normalised

ENLARGED = 5  # times; 32 pixels shown as 160 tell as much as 224 do (docs/decisions/0023), for half the time
BATCH = 32  # samples that are looked at together


def pretrained_model(name: str, data: Dataset) -> Model:
    """The network of an installed package, which looks at the images at the size that it learned at, or at ENLARGED
    times theirs; its classifier is fresh. ValueError where it is not installed, or cannot take images of these
    channels."""
    ready, pre = READY[name], normalised_for(data, READY[name].mean, READY[name].std).preprocess
    seen = file_side(data, np.arange(len(data))) if data.files else max(pre.size)
    side = int(min(ready.size, ENLARGED * seen))
    size = (side, side)
    module = read_donor(name).network(size, pre.channels, len(data.classes)).eval()
    return Model(module.net, module, data.classes, pre.model_copy(update={"size": size}))


def images_for(model: Model, data: Dataset, index: np.ndarray) -> np.ndarray:
    """These images of a data set as a network takes them before normalisation, (n, *size, C): from their files where
    there are files, since the data set's own may be smaller."""
    pre = model.preprocess
    if data.files:
        return np.stack([fitted(read_like(data.files[i], pre)[0], pre) for i in index])
    return np.stack([fit_image(data.images[i], pre.size, "stretch") for i in index])


def batches_for(model: Model, data: Dataset, index: np.ndarray) -> Iterator[Tensor]:
    """These images as a network takes them, normalised, in batches of which none has a single sample."""
    for part in np.array_split(index, max(1, len(index) // BATCH)):
        yield as_taken(model, images_for(model, data, part))


def as_taken(model: Model, images: np.ndarray) -> Tensor:
    """Images (n, *size, C) in raw levels as a network takes them: normalised (n, C, *size)."""
    return normalised(images, model.preprocess, torch.device("cpu"), torch.channels_last)


def features_for(model: Model, data: Dataset, index: np.ndarray) -> np.ndarray:
    """What the classifier of a network reads of these images, (n, F)."""
    return features(model.module, batches_for(model, data, index))
