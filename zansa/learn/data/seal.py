"""The test part under seal: whoever decides gets the data with it, and reading a test image is an error."""

from dataclasses import replace
from typing import Any, cast

import numpy as np

from .dataset import Dataset
from .splits import Parts


class Sealed:
    """Images of which some may not be read. Indexing by position gives the others, as the array itself does."""

    def __init__(self, images: np.ndarray, closed: np.ndarray):
        self.images, self.closed = images, closed
        self.shape, self.dtype = images.shape, images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> np.ndarray:
        if self.closed[index].any():
            raise AssertionError("a decision asked for a test image; the test part is read once, at the end")
        return self.images[index]


def sealed(data: Dataset, parts: Parts) -> tuple[Dataset, Parts]:
    """The data and parts for a search or a training: no test part, its images closed, its labels gone."""
    closed = np.zeros(len(data), bool)
    closed[parts.test] = True
    labels = np.where(closed, -1, data.labels)
    images = cast(np.ndarray, Sealed(data.images, closed))
    return replace(data, images=images, labels=labels), replace(parts, test=parts.test[:0])
