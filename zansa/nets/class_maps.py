"""Class maps: what each place of the last map adds to each class's logit, exactly (Zhou et al. 2016, 1512.04150, for
average pooling; here for pooling by the maximum too)."""

from math import prod

import torch
from torch import Tensor

from .build import Network

POOLS = {"average": ("mean",), "max": ("max",), "both": ("mean", "max")}


def with_class_maps(network: Network, x: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(N, C, *size) -> logits (N, K), and class maps (N, K, *cells) by the last layer's weights, or by others (K, D).

    The sum of a map over its places, and the last layer's bias, are the logit. What a maximum gives is shared by the
    places that have it.
    """
    streams: list[Tensor] = []
    hook = network.head.get_submodule("pool").register_forward_pre_hook(lambda _, given: streams.append(given[0]))
    try:
        logits = network(x)
    finally:
        hook.remove()
    if weight is None:
        weight = network.head.get_submodule("linear").weight.detach()  # type: ignore[operator]
    parts = torch.cat([_placed(each, kind) for each in streams for kind in POOLS[network.net.head.pool]], 1)
    return logits, torch.einsum("kc,nc...->nk...", weight, parts)


def _placed(stream: Tensor, kind: str) -> Tensor:
    """A stream (N, C, *cells) so that its sum over places is its mean or its maximum."""
    if kind == "mean":
        return stream / prod(stream.shape[2:])
    places = tuple(range(2, stream.ndim))
    highest = stream == stream.amax(places, keepdim=True)
    return stream * highest / highest.sum(places, keepdim=True)
