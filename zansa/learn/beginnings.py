"""What beginnings are worth as they stand: a linear head on their frozen features, judged by images held out from it.

That costs seconds. It tells which features know more of these images, and not how a network will do after all its parts
have learned: fresh weights lose here also where they learn best (docs/decisions/0023).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from ..arch.cost import cost
from ..nets.build import Network
from ..nets.files import Model
from .adapt import batches_of, features, renormalise
from .data.dataset import Dataset
from .doubts import FOLDS, fitted_rule, held_out_folds, some_of
from .predict import latency, to_tensor
from .pretrained import as_taken, features_for, images_for

LOOKED_AT = 200  # images at most
STRENGTH = 0.03  # inverse strength of the penalty: near the best for 128 and for 1,280 features of 100 images
CLEAR = 2.0  # standard errors


@dataclass(frozen=True)
class Candidate:
    """A beginning and what it is worth as it stands.

    name: "none", "drawn", or a network of an installed package.
    right: share of held-out images that a linear head names, all classes counting the same.
    error: its standard error.
    count: how many images were held out, each once.
    macs: multiply-adds of an image.
    ms: milliseconds of an image on the CPU, in torch.
    """

    name: str
    right: float
    error: float
    count: int
    macs: int
    ms: float


@dataclass(frozen=True)
class Field:
    """The images that judge all candidates alike.

    data: the data set.
    index: its images that are looked at, none of the test part.
    folds: which of them teach and which judge.
    """

    data: Dataset
    index: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]


def field(data: Dataset, index: np.ndarray) -> Field | None:
    """The images for a race, of those of an index; None where a class has too few to be held out."""
    looked_at = some_of(index, LOOKED_AT)
    if np.bincount(data.labels[looked_at], minlength=len(data.classes)).min() < FOLDS:
        return None
    return Field(data, looked_at, held_out_folds(data, looked_at))


def own(name: str, network: Network, of: Field) -> Candidate:
    """What weights for a network of the data set's own size are worth; the statistics of its norms are these
    images'."""
    given = to_tensor(of.data, of.index, torch.device("cpu"), torch.channels_last)
    renormalise(network, batches_of(given), prior=0)
    return _judged(name, network, features(network, batches_of(given)), given[:1], of)


def looking(name: str, model: Model, of: Field) -> Candidate:
    """What a network is worth that looks at the images at another size."""
    sample = as_taken(model, images_for(model, of.data, of.index[:1]))
    return _judged(name, model.module, features_for(model, of.data, of.index), sample, of)


def clearly_better(candidate: Candidate, right: float, count: int) -> bool:
    """Whether a candidate as it stands names clearly more held-out images than a network does of so many others."""
    error = np.hypot(candidate.error, _error(right, count))
    return bool(candidate.right - right > CLEAR * error)


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The winner first."""
    return sorted(candidates, key=lambda each: -each.right)


def _judged(name: str, network: Network, seen: np.ndarray, sample: torch.Tensor, of: Field) -> Candidate:
    labels = of.data.labels[of.index]
    right = np.zeros(len(labels))
    for learn, judge in of.folds:
        mean, spread = seen[learn].mean(0), seen[learn].std(0) + 1e-9
        scaled = np.clip((seen - mean) / spread, -5, 5)
        rule = fitted_rule(LogisticRegression(C=STRENGTH, max_iter=300), scaled[learn], labels[learn])
        right[judge] = rule.predict(scaled[judge]) == labels[judge]
    share = float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))
    macs, ms = cost(network.net).macs, latency(network, sample, 10)
    return Candidate(name, share, _error(share, len(labels)), len(labels), macs, ms)


def _error(share: float, count: int) -> float:
    """The standard error of a share of so many images, which is never taken to be exactly 0 or 1."""
    kept = (share * count + 1) / (count + 2)
    return float((kept * (1 - kept) / count) ** 0.5)
