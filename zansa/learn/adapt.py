"""A trained network under another camera or another light, from unlabelled samples of the new place alone."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..nets.build import Network

PRIOR = 16  # samples that the old statistics count for


@torch.no_grad()
def renormalise(network: Network, batches: Iterable[Tensor], prior: float = PRIOR) -> int:
    """Give batch norms the statistics of new samples, in place; returns how many samples there were.

    The old statistics count like `prior` samples, the new ones like those that were seen (Schneider et al. 2020,
    2006.16971, section 3). ValueError for a network without batch norms.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        raise ValueError(f"the network has norm {network.net.norm!r}, and only batch norms keep statistics of samples")
    network.eval()
    old = [(norm.running_mean.clone(), norm.running_var.clone(), norm.momentum) for norm in norms]  # type: ignore[union-attr]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    seen = 0
    for samples in batches:
        network(samples)
        seen += len(samples)
    share = seen / (seen + prior)
    for norm, (mean, variance, momentum) in zip(norms, old, strict=True):
        norm.running_var.copy_((1 - share) * variance + share * norm.running_var)  # type: ignore[union-attr, operator]
        norm.running_mean.copy_((1 - share) * mean + share * norm.running_mean)  # type: ignore[union-attr, operator]
        norm.momentum = momentum
        norm.eval()
    return seen


@torch.no_grad()
def align(network: Network, source: Iterable[Tensor], target: Iterable[Tensor], old: Network | None = None) -> None:
    """Give the features of new samples the mean and covariance of the old ones (CORAL, Sun et al. 2016, 1511.05547), in
    place. The linear map is folded into the classifier, so the network keeps its shape and speed.

    `old` is the network that saw `source` (by default the same one). Covariances are shrunk (Ledoit and Wolf 2004), so
    that few samples do little harm. ValueError when there are fewer than two samples on a side.
    """
    mean_s, cov_s = _moments(features(old or network, source))
    mean_t, cov_t = _moments(features(network, target))
    change = _root(cov_s, 0.5) @ _root(cov_t, -0.5)  # of a target feature, from the left
    linear: nn.Linear = network.head.get_submodule("linear")  # type: ignore[assignment]
    weight, bias = linear.weight.double(), linear.bias.double()
    moved = weight @ torch.from_numpy(change).to(weight.device)
    linear.bias.copy_(
        bias + weight @ torch.from_numpy(mean_s).to(bias.device) - moved @ torch.from_numpy(mean_t).to(bias.device)
    )
    linear.weight.copy_(moved)


@torch.no_grad()
def features(network: Network, batches: Iterable[Tensor]) -> np.ndarray:
    """What the classifier of a network reads, (N, features) in float64, in evaluation mode."""
    seen: list[Tensor] = []
    linear = network.head.get_submodule("linear")
    handle = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double().cpu()))
    network.eval()
    try:
        for samples in batches:
            network(samples)
    finally:
        handle.remove()
    if sum(map(len, seen)) < 2:
        raise ValueError("at least two samples are needed on each side to compare features")
    return torch.cat(seen).numpy()


def batches_of(samples: Tensor, size: int = 64) -> Iterator[Tensor]:
    """Batches of about `size` samples, none of a single sample."""
    yield from samples.tensor_split(max(1, round(len(samples) / size)))


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.covariance import LedoitWolf  # a second, for one verb

    return x.mean(axis=0), LedoitWolf().fit(x).covariance_


def _root(covariance: np.ndarray, power: float) -> np.ndarray:
    """A power of a covariance. Directions without any spread count as having a little, so that negative powers stay
    finite."""
    values, vectors = np.linalg.eigh(covariance)
    floor = 1e-6 * max(float(values.max()), 1e-30)
    return (vectors * np.maximum(values, floor) ** power) @ vectors.T
