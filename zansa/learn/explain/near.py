"""The nearest known samples, by the cosine of what the last layer reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...inputs.images import digest
from ...nets.build import Network
from ..data.dataset import Dataset
from ..predict import to_tensor
from .rows import pooled

NEAREST = 5


@dataclass(frozen=True, eq=False)
class Known:
    """Samples that the model knows.

    features: (N, D) what the last layer reads of them, of length 1.
    labels: (N,) in the order of the model's classes.
    names: of their files.
    groups: which of them show one part; each sample is its own part where no groups are given.
    digests: SHA-256 of their values, of images as decoded, of series as prepared.
    """

    features: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray
    digests: tuple[str, ...]


def features(network: Network, x: Tensor) -> np.ndarray:
    """(N, C, *size) -> (N, D) of length 1."""
    with torch.inference_mode():
        values = torch.cat([pooled(network, part) for part in x.split(64)]).numpy()
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12), np.float32)


def known(network: Network, data: Dataset, labels: np.ndarray, kept: Mapping[str, np.ndarray]) -> Known:
    """All samples of a data set that is prepared as the model's, with their labels in the model's order.

    kept: features (D,) that are known already, by digests; all others are computed.
    """
    digests = tuple(map(digest, data.images)) if data.preprocess.series else data.digests
    new = np.array([k for k, each in enumerate(digests) if each not in kept], int)
    made: dict[int, np.ndarray] = {}
    for part in np.array_split(new, -(-len(new) // 256)) if len(new) else ():
        x = to_tensor(data, part, torch.device("cpu"), torch.contiguous_format)
        made |= dict(zip(part.tolist(), features(network, x), strict=True))
    rows = [made[k] if k in made else kept[each] for k, each in enumerate(digests)]
    groups = np.array(digests) if data.groups is None else data.groups
    return Known(np.stack(rows), labels, data.names, groups, digests)


def neighbours(known: Known, feature: np.ndarray, digest: str, classes: Sequence[int]) -> list[int]:
    """Rows of `known`: the nearest samples of other parts, one a part, and the nearest one of each of these classes
    that none of them has."""
    own = set(known.groups[[each == digest for each in known.digests]])
    ranked = [int(k) for k in np.argsort(-(known.features @ feature)) if known.groups[k] not in own]
    nearest: dict[str, int] = {}
    for k in ranked:
        nearest.setdefault(str(known.groups[k]), k)
        if len(nearest) == NEAREST:
            break
    found = list(nearest.values())
    for each in classes:
        if each not in known.labels[found]:
            found += [k for k in ranked if known.labels[k] == each][:1]
    return found
