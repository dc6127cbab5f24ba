"""A linear head on what a network already sees: seconds instead of minutes, where images are few.

The classifier alone is fitted, by logistic regression on the features of the training samples; everything before it
stays as it was learned elsewhere, but for the statistics of its norms, which are those of these samples.
"""

import copy
import time
from collections.abc import Generator

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from ..events import Event, event
from ..nets.build import Network
from . import seeds
from .adapt import batches_of, features, renormalise
from .data.augment import augment
from .data.dataset import Dataset
from .data.splits import Parts
from .loss import tempered, validate
from .predict import to_tensor
from .recipe import Recipe

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # inverse strengths of the penalty
COPIES = 4  # varied copies of each training sample, beside itself


def probe(
    module: Network, data: Dataset, parts: Parts, recipe: Recipe, statistics: bool = True
) -> tuple[Network, float]:
    """A copy of a network with the best linear head on its features, and the tempered validation loss of it (see
    `loss.tempered`). The strength of the penalty is chosen by that loss. `statistics`: whether norms take those of the
    training samples in place of those that they have learned."""
    network = copy.deepcopy(module).cpu().eval()
    cpu, layout = torch.device("cpu"), torch.contiguous_format
    given = to_tensor(data, parts.train, cpu, layout)
    if statistics:
        renormalise(network, batches_of(given), prior=0)
    varied = [augment(given, recipe.augment, _chance(recipe.seed, k)) for k in range(COPIES)]
    seen = features(network, (batch for samples in (given, *varied) for batch in batches_of(samples)))
    held = features(network, batches_of(to_tensor(data, parts.val, cpu, layout)))
    middle, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    labels = np.tile(data.labels[parts.train], COPIES + 1)
    truth = torch.from_numpy(data.labels[parts.val])
    even = recipe.balance != "none"
    counts = torch.bincount(truth, minlength=len(data.classes)).clamp_min(1)
    best = np.inf, np.zeros(0), np.zeros(0)
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, class_weight="balanced" if even else None, max_iter=300)
        fitted.fit((seen - middle) / spread, labels)
        weight, bias = _rows(fitted, len(data.classes))
        weight = weight / spread
        bias = bias - weight @ middle
        loss = tempered(torch.from_numpy(held @ weight.T + bias), truth, 1 / counts if even else None)[0]
        best = min(best, (loss, weight, bias), key=lambda each: each[0])
    linear = network.head.get_submodule("linear")
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(best[1]))  # type: ignore[operator]
        linear.bias.copy_(torch.from_numpy(best[2]))  # type: ignore[operator]
    return network, float(best[0])


def fitting(module: Network, data: Dataset, parts: Parts, recipe: Recipe, statistics: bool) -> Generator[Event]:
    """Give a network the best linear head in place, with the events of a training of one epoch."""
    began, cpu = time.monotonic(), torch.device("cpu")
    how = {"precision": "float32", "layout": "channels_first", "device": "cpu", "threads": torch.get_num_threads()}
    yield event("start", how, step=0, steps=1, per_epoch=1)
    fitted, _ = probe(module, data, parts, recipe, statistics)
    module.to(cpu).load_state_dict(fitted.state_dict())
    module.eval()
    seen, held = (validate(module, data, part, recipe, torch.contiguous_format) for part in (parts.train, parts.val))
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
