"""Maps of a decision: what each place of a sample adds to its log-odds, signed. Sizes are in the cells of the map."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from ...arch.lower import Row, lower
from ...nets.build import LINEAR, Network
from ...nets.class_maps import with_class_maps
from .relevance import relevance
from .rows import Subject, coefficients, pooled, score, tensors

CELLS = 16  # a side, of the map that is read between the stages


def class_maps(seen: Subject, x: Tensor) -> Tensor:
    """(N, C, *size) -> (N, K, *cells): what each place of the last map adds to each calibrated logit."""
    with torch.inference_mode():
        return with_class_maps(seen.network, x, seen.weight)[1]


def class_map(seen: Subject, x: Tensor) -> Tensor:
    """(N, C, *size) -> (N, *cells): the class maps, as the decision weighs them."""
    maps = class_maps(seen, x)
    logits = maps.flatten(2).sum(2) + seen.bias
    return torch.einsum("nk,nk...->n...", coefficients(seen, logits), maps)


def sums(seen: Subject, kind: str, x: Tensor) -> Tensor | None:
    """(N, C, *size) -> (N, 3): what a map of this kind explains, with the shares of the classes held fixed; what its
    places add up to; and what the network adds to every sample. None of maps that do not add up to anything."""
    if kind == "relevance":
        places, offsets, whole = relevance(seen, x)
        return torch.stack([whole, places.flatten(1).sum(1), offsets], 1)
    if kind == "class":
        maps = class_maps(seen, x)
        share = coefficients(seen, maps.flatten(2).sum(2) + seen.bias)
        with torch.inference_mode():
            whole = (share * (pooled(seen.network, x) @ seen.weight.T + seen.bias)).sum(1)
        return torch.stack([whole, (share * maps.flatten(2).sum(2)).sum(1), share @ seen.bias], 1)
    return None


def stage_map(seen: Subject, x: Tensor) -> Tensor:
    """(N, C, *size) -> (N, *cells): HiResCAM (Draelos and Carin 2021, 2011.08891), the gradient times the stream after
    the last stage that has CELLS cells a side, or after the first."""
    at = _streams(seen.network)
    found = tensors(seen.network, x, leaves=at)
    pooled = found["head.pool"]
    logits = pooled @ seen.weight.T + seen.bias
    value = (coefficients(seen, logits) * logits).sum()
    gradients = torch.autograd.grad(value, [found[path] for path in at], allow_unused=True)
    both = [(found[path] * g).sum(1).detach() for path, g in zip(at, gradients, strict=True) if g is not None]
    return sum(both[1:], both[0])


def _streams(network: Network) -> tuple[str, ...]:
    """The paths of the streams that leave the last stage that is fine enough."""
    rows = lower(network.net).rows
    ends = [_leaving(rows, stage) for stage in range(len(network.net.stages))]
    fine = [paths for paths, size in ends if min(size) >= CELLS]
    return (fine or [ends[0][0]])[-1]


def _leaving(rows: tuple[Row, ...], stage: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    inside = [row for row in rows if row.path.startswith(f"stages.{stage}.")]
    known, last = {row.path for row in inside}, inside[-1].path
    later = rows[rows.index(inside[-1]) + 1 :]
    taken = {path for row in later for path in row.reads} & known
    return tuple(row.path for row in inside if row.path in taken or row.path == last), inside[-1].size


def lrp_map(seen: Subject, x: Tensor) -> Tensor:
    """(N, C, *size) -> (N, *cells): layer-wise relevance after the stem's first layers."""
    return relevance(seen, x)[0]


def occlusion_map(seen: Subject, x: Tensor) -> Tensor:
    """(N, C, *size) -> (N, *cells): by how much the log-odds fall, on average, where a patch of 3/16 of a side is
    blurred, at steps of 1/16. It asks the network alone, and so is the referee of the others; it takes some 200
    passes."""
    blurred, size = blur(x), x.shape[2:]
    steps = [max(1, n // 16) for n in size]
    windows = _windows(size, steps)
    before = score(seen, x)
    drop, count = torch.zeros(len(x), *size), torch.zeros(size)
    for window in windows:
        count[window] += 1
    for n in range(len(x)):
        covered = x[n].repeat(len(windows), *[1] * (x.ndim - 1))
        for k, window in enumerate(windows):
            covered[k][(slice(None), *window)] = blurred[n][(slice(None), *window)]
        for window, after in zip(windows, score(seen, covered), strict=True):
            drop[n][window] += before[n] - after
    return drop / count


def _windows(size: torch.Size, steps: list[int]) -> list[tuple[slice, ...]]:
    places = [range(0, max(1, n - 2 * step), step) for n, step in zip(size, steps, strict=True)]
    corners = torch.cartesian_prod(*(torch.tensor(list(each)) for each in places)).reshape(-1, len(size))
    return [
        tuple(slice(at, at + 3 * step) for at, step in zip(corner, steps, strict=True)) for corner in corners.tolist()
    ]


def blur(x: Tensor) -> Tensor:
    """Samples without their detail: a Gaussian of a tenth of each side, which stands for what is taken away."""
    sigma = (0, 0, *(n / 10 for n in x.shape[2:]))
    return torch.from_numpy(gaussian_filter(x.numpy(), sigma, mode="nearest", truncate=3))


def enlarged(values: Tensor, size: tuple[int, ...]) -> np.ndarray:
    """Maps (N, *cells) at the size of the samples (N, *size), linear between the cells."""
    if values.shape[1:] == torch.Size(size):
        return values.numpy()
    return functional.interpolate(values[:, None], size, mode=LINEAR[len(size)], align_corners=False)[:, 0].numpy()


MAPS: dict[str, Callable[[Subject, Tensor], Tensor]] = {
    "relevance": lrp_map,
    "stage": stage_map,
    "class": class_map,
    "occlusion": occlusion_map,
}
