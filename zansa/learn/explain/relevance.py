"""Layer-wise relevance (Bach et al. 2015; generalised gamma rule: Montavon et al. 2019, section 10.2; the split at a
sum by absolute size: Otsuki et al. 2024, 2407.09115), for every network that a table of rows describes.

Each row is computed so that the gradient of the decision, times a tensor, is that tensor's relevance. Batch norms are
folded into the convolution before them. What the biases take is counted, so that the sum can be checked.
"""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...arch.lower import Row, lower
from ...nets.build import Network
from .rows import Subject, coefficients, plain, tensors

GAMMA = 0.25
TINY = 1e-12


class Relevant:
    """The rule of relevance for the rows of one network, on one batch. `biases` are those that it has met."""

    def __init__(self, network: Network):
        rows = lower(network.net).rows
        read = Counter(path for row in rows for path in row.reads)
        self.before = {row.path: row for row in rows}
        self.folded = {
            row.reads[0]: row
            for row in rows
            if (row.op == "bias" or row.kind == "batch")
            and (before := self.before.get(row.reads[0])) is not None
            and (before.op, read[before.path]) == ("conv", 1)
        }
        self.gates = tuple(row.path + "." for row in rows if row.op == "times")
        self.biases: list[Tensor] = []

    def __call__(self, network: Network, row: Row, reads: list[Tensor]) -> Tensor:
        if row.path.startswith(self.gates or ("\0",)):
            return plain(network, row, reads)
        match row.op:
            case "conv":
                norm = self.folded.get(row.path)
                scale, shift = (None, None) if norm is None else affine(network, norm, reads[0])
                return self.convolved(network, row, reads[0], scale, shift)
            case "norm" | "bias":
                if row.reads[0] in self.folded:
                    return reads[0]
                scale, shift = affine(network, row, reads[0])
                part = reads[0] * scale
                return gamma(part + self.met(shift, part), part.clamp(min=0), part.clamp(max=0), self.biases[-1])
            case "add":
                return shared(reads, row.weights)
            case "times":
                return plain(network, row, [reads[0], reads[1].detach()])
            case "act":
                y = plain(network, row, reads)
                return reads[0] * torch.where(reads[0].abs() > TINY, y / reads[0], 0).detach()
        return plain(network, row, reads)

    def met(self, shift: Tensor, like: Tensor) -> Tensor:
        """The bias, once for each sample, as a leaf whose relevance can be asked."""
        self.biases.append(shift.detach().expand(len(like), *shift.shape[1:]).clone().requires_grad_())
        return self.biases[-1]

    def convolved(self, network: Network, row: Row, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        module: nn.Module = network.get_submodule(row.module or row.path)
        weight: Tensor = module.weight.detach()  # type: ignore[operator]
        weight = weight if scale is None else weight * scale.reshape(-1, *[1] * (weight.ndim - 1))

        def conv(each: Tensor, w: Tensor) -> Tensor:
            return functional_call(module, {"weight": w}, (each,))

        up, down, high = weight.clamp(min=0), weight.clamp(max=0), x.clamp(min=0)
        positive, negative = conv(high, up), conv(high, down)
        if (x.detach() < 0).any():
            low = x.clamp(max=0)
            positive, negative = positive + conv(low, down), negative + conv(low, up)
        z = positive + negative
        if shift is None:
            return gamma(z, positive, negative, None)
        return gamma(z + self.met(shift, z), positive, negative, self.biases[-1])


def gamma(z: Tensor, positive: Tensor, negative: Tensor, bias: Tensor | None) -> Tensor:
    """z, computed so that its relevance goes to what it is the sum of, and by GAMMA more to what has its sign."""
    if bias is not None:
        positive, negative = positive + bias.clamp(min=0), negative + bias.clamp(max=0)
    stressed = z + GAMMA * torch.where(z >= 0, positive, negative)
    return stressed * torch.where(stressed.abs() > TINY, z / stressed, 0).detach()


def shared(terms: list[Tensor], weights: tuple[float, ...]) -> Tensor:
    """The weighted sum y, computed so that its relevance is split by absolute size."""
    sizes = [abs(weight) * term.detach().abs() for term, weight in zip(terms, weights, strict=True)]
    total = sum(sizes[1:], sizes[0]).clamp(min=TINY)
    y = sum(weight * term.detach() for term, weight in zip(terms, weights, strict=True))
    rate = y / total
    return sum(
        (
            term * (abs(weight) * term.detach().sign() * rate)
            for term, weight in zip(terms[1:], weights[1:], strict=True)
        ),
        terms[0] * (abs(weights[0]) * terms[0].detach().sign() * rate),
    )


def affine(network: Network, row: Row, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift (1 or N, C, 1...) of a norm or a bias, with the statistics as they are for x."""
    module = network.get_submodule(row.module or row.path)
    ones = [1] * (x.ndim - 2)
    if row.op == "bias":
        shift = module.bias.detach().reshape(1, -1, *ones)  # type: ignore[operator]
        return torch.ones_like(shift), shift
    weight, bias = (getattr(module, name).detach() for name in ("weight", "bias"))
    if row.kind == "batch":
        mean, variance = module.running_mean[None], module.running_var[None]  # type: ignore[index]
    else:
        groups = x.detach().reshape(len(x), row.groups, -1)
        each = x.shape[1] // row.groups
        mean, variance = groups.mean(2), groups.var(2, unbiased=False)
        mean, variance = (value.repeat_interleave(each, 1) for value in (mean, variance))
    scale = weight * (variance + module.eps).rsqrt()  # type: ignore[operator]
    shift = bias - mean * scale
    return scale.reshape(*scale.shape, *ones), shift.reshape(*shift.shape, *ones)


def relevance(seen: Subject, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C, *size) samples -> the relevance of every place after the stem's first layers (N, *cells); what the biases
    took (N,); and what is explained (N,): the decision's log-odds with the shares of the classes held fixed."""
    at = entrance(seen.network)
    rule = Relevant(seen.network)
    found = tensors(seen.network, x, rule, {at})
    pooled = found["head.pool"]
    share = coefficients(seen, pooled @ seen.weight.T + seen.bias)
    parts = pooled * (share @ seen.weight)
    bias = rule.met((share @ seen.bias)[:, None], parts)
    positive, negative = parts.clamp(min=0).sum(1, keepdim=True), parts.clamp(max=0).sum(1, keepdim=True)
    value = gamma(parts.sum(1, keepdim=True) + bias, positive, negative, bias)[:, 0]
    kept = [found[at], *(each for each in rule.biases if each.requires_grad)]
    gradients = torch.autograd.grad(value.sum(), kept, allow_unused=True)
    taken = [(each * g).flatten(1).sum(1) for each, g in zip(kept, gradients, strict=True) if g is not None]
    assert gradients[0] is not None
    return (found[at] * gradients[0]).sum(1).detach(), sum(taken[1:], torch.zeros_like(value)).detach(), value.detach()


def entrance(network: Network) -> str:
    """The path of the row after the stem's first layers, before its pool."""
    return [row.path for row in lower(network.net).rows if row.path.startswith("stem.") and row.op != "pool"][-1]
