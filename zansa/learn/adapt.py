"""A trained network under another camera or another light, from unlabelled images of the new place alone."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..nets.build import Network

PRIOR = 16  # images that the old statistics count for


@torch.no_grad()
def renormalise(network: Network, batches: Iterable[Tensor], prior: float = PRIOR) -> int:
    """Give batch norms the statistics of new images, in place; returns how many images there were.

    The old statistics count like `prior` images, the new ones like those that were seen (Schneider et al. 2020,
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
    for images in batches:
        network(images)
        seen += len(images)
    share = seen / (seen + prior)
    for norm, (mean, variance, momentum) in zip(norms, old, strict=True):
        norm.running_var.copy_((1 - share) * variance + share * norm.running_var)  # type: ignore[union-attr, operator]
        norm.running_mean.copy_((1 - share) * mean + share * norm.running_mean)  # type: ignore[union-attr, operator]
        norm.momentum = momentum
        norm.eval()
    return seen


@torch.no_grad()
def align(network: Network, source: Iterable[Tensor], target: Iterable[Tensor], old: Network | None = None) -> None:
    """Let the features of new images have the mean and covariance of the old ones (CORAL, Sun et al. 2016, 1511.05547),
    in place: the linear map is folded into the classifier, so the network stays as it is in shape and speed.

    `old`: the network that saw `source` (the same by default). Covariances are shrunk (Ledoit and Wolf 2004), so that
    few images do little harm. ValueError when there are fewer than two images on a side.
    """
    mean_s, cov_s = _moments(features(old or network, source))
    mean_t, cov_t = _moments(features(network, target))
    change = _root(cov_s, 0.5) @ _root(cov_t, -0.5)  # of a target feature, from the left
    linear: nn.Linear = network.head.get_submodule("linear")  # type: ignore[assignment]
    weight, bias = linear.weight.double(), linear.bias.double()
    moved = weight @ torch.from_numpy(change).to(weight.device)
    linear.bias.copy_(bias + weight @ torch.from_numpy(mean_s).to(bias.device)
                      - moved @ torch.from_numpy(mean_t).to(bias.device))  # fmt: skip
    linear.weight.copy_(moved)


@torch.no_grad()
def features(network: Network, batches: Iterable[Tensor]) -> np.ndarray:
    """What the classifier reads, (N, features) in float64, of a network in evaluation mode."""
    seen: list[Tensor] = []
    linear = network.head.get_submodule("linear")
    handle = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double().cpu()))
    network.eval()
    try:
        for images in batches:
            network(images)
    finally:
        handle.remove()
    if sum(map(len, seen)) < 2:
        raise ValueError("at least two images are needed on each side to compare features")
    return torch.cat(seen).numpy()


def batches_of(images: Tensor, size: int = 64) -> Iterator[Tensor]:
    """Batches of about one size, none of a single image."""
    yield from images.tensor_split(max(1, round(len(images) / size)))


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.covariance import LedoitWolf  # a second, for one verb

    return x.mean(axis=0), LedoitWolf().fit(x).covariance_


def _root(covariance: np.ndarray, power: float) -> np.ndarray:
    """A power of a covariance; directions without any spread stay out of the negative ones."""
    values, vectors = np.linalg.eigh(covariance)
    floor = 1e-6 * max(float(values.max()), 1e-30)
    return (vectors * np.maximum(values, floor) ** power) @ vectors.T
