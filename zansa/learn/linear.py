"""A linear head on what a network already sees: seconds instead of minutes, where images are few.

The classifier alone is fitted, by logistic regression on the features of the training samples; everything before it
stays as it was learned elsewhere, but for the statistics of its norms, which are those of these samples.
"""

import copy
import math
import time
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from ..events import Event, event
from ..nets.build import Network
from . import seeds
from .adapt import batches_of, features, renormalise
from .data.augment import augment
from .data.dataset import Dataset
from .data.splits import Parts
from .doubts import fitted_rule
from .loss import STEEPEST, tempered, validate
from .predict import to_tensor
from .recipe import Recipe

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # inverse strengths of the penalty
SMOOTHING = 0.05  # of labels, where the certainty of a head is fitted
COPIES = 4  # varied copies of each training sample, beside itself


class Head(NamedTuple):
    """A linear classifier on features.

    weight: (K, F).
    bias: (K,).
    loss: the tempered loss of the samples by which it was chosen (see `loss.tempered`).
    """

    weight: np.ndarray
    bias: np.ndarray
    loss: float


def probe(
    module: Network, data: Dataset, parts: Parts, recipe: Recipe, statistics: bool = True
) -> tuple[Network, float]:
    """A copy of a network with the best linear head on its features, and the tempered validation loss of it (see
    `loss.tempered`). The strength of the penalty is chosen by that loss. `statistics`: whether norms take those of the
    training samples in place of those that they have learned."""
    network = copy.deepcopy(module).cpu().eval()
    cpu, layout = torch.device("cpu"), torch.channels_last
    given = to_tensor(data, parts.train, cpu, layout)
    if statistics:
        renormalise(network, batches_of(given), prior=0)
    varied = [augment(given, recipe.augment, _chance(recipe.seed, k)) for k in range(COPIES)]
    seen = features(network, (batch for samples in (given, *varied) for batch in batches_of(samples)))
    held = features(network, batches_of(to_tensor(data, parts.val, cpu, layout)))
    labels = np.tile(data.labels[parts.train], COPIES + 1)
    best = best_head(seen, labels, held, data.labels[parts.val], len(data.classes), recipe.balance != "none")
    set_head(network, best.weight, best.bias)
    return network, best.loss


def set_head(network: Network, weight: np.ndarray, bias: np.ndarray) -> None:
    """Give a network another classifier in place: weight (K, F) and bias (K,)."""
    linear = network.head.get_submodule("linear")
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight))  # type: ignore[operator]
        linear.bias.copy_(torch.from_numpy(bias))  # type: ignore[operator]


def best_head(
    seen: np.ndarray, labels: np.ndarray, held: np.ndarray, truth: np.ndarray, classes: int, even: bool
) -> Head:
    """The linear head that tells held-out samples best, of those with every strength of the penalty.

    seen, labels: features (N, F) of samples and their classes, to learn from.
    held, truth: those to choose by.
    even: whether every class counts the same, however many samples it has.
    """
    middle, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    right = torch.from_numpy(truth)
    counts = torch.bincount(right, minlength=classes).clamp_min(1)
    found = []
    for strength in STRENGTHS:
        rule = LogisticRegression(C=strength, class_weight="balanced" if even else None, max_iter=300)
        fitted = fitted_rule(rule, (seen - middle) / spread, labels)
        weight, bias = _rows(fitted, classes)
        weight = weight / spread
        bias = bias - weight @ middle
        loss = tempered(torch.from_numpy(held @ weight.T + bias), right, 1 / counts if even else None)[0]
        found.append(Head(weight, bias, float(loss)))
    return min(found, key=lambda head: head.loss)


def sharpened(head: Head, held: np.ndarray, truth: np.ndarray) -> Head:
    """The head with the certainty that fits samples (N, F) which it has not learned from. A teacher must be as sure as
    it is right; labels are smoothed, so that a head that is right everywhere is not taken to be certain."""
    logits, right = torch.from_numpy(held @ head.weight.T + head.bias), torch.from_numpy(truth)

    def loss(log_factor: float) -> float:
        return functional.cross_entropy(logits * math.exp(log_factor), right, label_smoothing=SMOOTHING).item()

    factor = math.exp(minimize_scalar(loss, bounds=(-STEEPEST, STEEPEST), method="bounded").x)
    return head._replace(weight=head.weight * factor, bias=head.bias * factor)


def fitting(module: Network, data: Dataset, parts: Parts, recipe: Recipe, statistics: bool) -> Generator[Event]:
    """Give a network the best linear head in place, with the events of a training of one epoch."""
    began, cpu = time.monotonic(), torch.device("cpu")
    how = {"precision": "float32", "layout": "channels_last", "device": "cpu", "threads": torch.get_num_threads()}
    yield event("start", how, step=0, steps=1, per_epoch=1)
    fitted, _ = probe(module, data, parts, recipe, statistics)
    module.to(cpu).load_state_dict(fitted.state_dict())
    module.eval()
    seen, held = (validate(module, data, part, recipe, torch.channels_last) for part in (parts.train, parts.val))
    seconds = time.monotonic() - began
    yield event(
        "epoch",
        held,
        epoch=1,
        epochs=1,
        progress=1.0,
        rate=0.0,
        loss=seen["val_loss"],
        best=1,
        last=False,
        seconds=round(seconds, 3),
        images_per_second=round(len(parts.train) * (COPIES + 1) / seconds, 1),
    )
    yield event("done", step=1, steps=1, best=1)


def _rows(fitted: LogisticRegression, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, features) and biases (K,) for all classes; two classes are fitted by one row."""
    weight, bias = fitted.coef_, fitted.intercept_
    if classes == 2:
        return np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    return weight, bias


def _chance(seed: int, copy: int) -> torch.Generator:
    return torch.Generator().manual_seed(seeds.of_step(seed, 2**23 + copy))
