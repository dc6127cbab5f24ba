"""The network of Marion et al. 2024 (2309.01213), eq. 2, and its training with a rate that is scaled by depth.

h_0 = x, h_{k+1} = h_k + 1/(L sqrt(m)) V_{k+1} act(W_{k+1} h_k / sqrt(q)) for k = 0..L-1, F(x) = h_L. The outer weights
V begin at zero. The inner weights W are one Gaussian matrix for all layers ("tied"), a smooth function of depth
("smooth"), or drawn for each layer ("independent"). Everything is in float64: small distances are no rounding.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

LENGTH = 0.3  # of the Gaussian process over depth with which smooth weights begin
ACTS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "tanh": torch.tanh,
    "identity": lambda x: x,
}


@dataclass(frozen=True)
class Setting:
    """How a network is made and trained.

    width: q, the width of the stream.
    hidden: m, the inner width of a layer.
    samples: n, how many pairs (x, y) there are, all Gaussian.
    act: a key of ACTS.
    start: "tied", "smooth" or "independent" inner weights.
    rate: the learning rate is so much times L.
    steps: how many steps there are.
    optimizer: "descent" or "adam", whose rate is not scaled by L because its steps have a size of their own.
    batch: samples of a step; 0 stands for all.
    momentum, decay: of gradient descent.
    norm: whether batch norms follow both matrices, as in the convolutional experiment of the paper.
    skip: the chance that a layer is left out of a step (stochastic depth).
    seed: of everything that is random.
    """

    width: int = 16
    hidden: int = 32
    samples: int = 100
    act: str = "gelu"
    start: str = "tied"
    rate: float = 0.01
    steps: int = 500
    optimizer: str = "descent"
    batch: int = 0
    momentum: float = 0.0
    decay: float = 0.0
    norm: bool = False
    skip: float = 0.0
    seed: int = 0

    def but(self, **changes: object) -> "Setting":
        """The same with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass
class Weights:
    """The weights of L layers: outer (L, q, m), inner (L, m, q), and the last norm's gain (L, q) where there is one."""

    outer: Tensor
    inner: Tensor
    gain: Tensor | None = None

    @property
    def learned(self) -> list[Tensor]:
        """All that is learned."""
        return [value for value in (self.outer, self.inner, self.gain) if value is not None]


def data_of(setting: Setting) -> tuple[Tensor, Tensor]:
    """The samples and their targets, (n, q) each; they are the same for every depth."""
    chance = torch.Generator().manual_seed(setting.seed)
    x, y = torch.randn(2, setting.samples, setting.width, generator=chance, dtype=torch.float64)
    return x, y


def begin(setting: Setting, depth: int) -> Weights:
    """Fresh weights."""
    chance = torch.Generator().manual_seed(setting.seed + 1)
    shape = (setting.hidden, setting.width)
    outer = torch.zeros(depth, setting.width, setting.hidden, dtype=torch.float64)
    if setting.norm:  # the gain of the last norm is what is zero
        outer = torch.randn(1, *outer.shape[1:], generator=chance, dtype=torch.float64).repeat(depth, 1, 1)
    if setting.start == "tied":
        inner = torch.randn(1, *shape, generator=chance, dtype=torch.float64).repeat(depth, 1, 1)
    elif setting.start == "independent":
        inner = torch.randn(depth, *shape, generator=chance, dtype=torch.float64)
    else:
        inner = _smooth(depth, shape, chance)
    gain = torch.zeros(depth, setting.width, dtype=torch.float64) if setting.norm else None
    return Weights(*(None if value is None else value.requires_grad_() for value in (outer, inner, gain)))  # type: ignore[arg-type]


def _smooth(depth: int, shape: tuple[int, int], chance: torch.Generator) -> Tensor:
    """Each entry is a Gaussian process over depth s in [0, 1]; its sum of 16 cosines is one function for all L."""
    frequency = torch.randn(16, generator=chance, dtype=torch.float64) / LENGTH
    phase = 2 * math.pi * torch.rand(16, generator=chance, dtype=torch.float64)
    share = torch.randn(16, *shape, generator=chance, dtype=torch.float64)
    s = (torch.arange(depth, dtype=torch.float64) + 0.5) / depth
    return torch.einsum("lf,fmq->lmq", torch.cos(s[:, None] * frequency + phase), share) / math.sqrt(8)


def answers(weights: Weights, x: Tensor, setting: Setting, kept: Tensor | None = None) -> Tensor:
    """F(x), (n, q). `kept` (L,) multiplies what each layer adds."""
    depth, act = len(weights.outer), ACTS[setting.act]
    to_hidden, to_stream = 1 / math.sqrt(setting.width), 1 / (depth * math.sqrt(setting.hidden))
    gains = weights.gain.unbind(0) if weights.gain is not None else [None] * depth
    for k, (outer, inner, gain) in enumerate(zip(weights.outer.unbind(0), weights.inner.unbind(0), gains, strict=True)):
        hidden = x @ inner.T * to_hidden
        if gain is None:
            added = act(hidden) @ outer.T * to_stream
        else:
            added = _normed(act(_normed(hidden)) @ outer.T) * gain / depth
        x = x + (added if kept is None else added * kept[k])
    return x


def _normed(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


def training(setting: Setting, depth: int) -> Iterator[tuple[Weights, float]]:
    """Train a network of this depth, yielding its weights and the loss on all samples before the first step and after
    each; the weights are those that are trained, not copies."""
    x, y = data_of(setting)
    weights = begin(setting, depth)
    rate = setting.rate if setting.optimizer == "adam" else setting.rate * depth
    make = torch.optim.Adam if setting.optimizer == "adam" else torch.optim.SGD
    more = {} if setting.optimizer == "adam" else {"momentum": setting.momentum, "weight_decay": setting.decay / depth}
    optimizer = make(weights.learned, lr=rate, **more)  # type: ignore[arg-type]
    chance = torch.Generator().manual_seed(setting.seed + 2)
    for _ in range(setting.steps):
        index = torch.randperm(len(x), generator=chance)[: setting.batch] if setting.batch else slice(None)
        kept = (torch.rand(depth, generator=chance) >= setting.skip).double() if setting.skip else None
        loss = (answers(weights, x[index], setting, kept) - y[index]).square().sum(1).mean()
        yield weights, float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        yield weights, float((answers(weights, x, setting) - y).square().sum(1).mean())


@torch.no_grad()
def distances(weights: Weights) -> Tensor:
    """How far the weights of each two neighbouring layers are apart, (L - 1,)."""
    flat = torch.cat([value.flatten(1) for value in weights.learned], 1)
    return (flat[1:] - flat[:-1]).norm(dim=1)


@dataclass(frozen=True)
class Smoothness:
    """What a training leaves.

    largest: the largest distance between neighbouring layers, over all layers and steps.
    root_sum: the root of the sum of all squared distances, over layers and steps: what the published figure shows.
    mean: the mean distance at the end, divided by the mean norm of a layer's weights.
    loss: at the end.
    """

    largest: float
    root_sum: float
    mean: float
    loss: float


def smoothness(setting: Setting, depth: int) -> Smoothness:
    """Train a network and tell how smooth its weights were in depth."""
    largest = squares = loss = 0.0
    for weights, loss in training(setting, depth):  # noqa: B007
        apart = distances(weights)
        largest, squares = max(largest, float(apart.max())), squares + float(apart.square().sum())
    size = torch.cat([value.detach().flatten(1) for value in weights.learned], 1).norm(dim=1).mean()
    return Smoothness(largest, squares**0.5, float(apart.mean() / size), loss)


def slope(depths: list[int], values: list[float]) -> float:
    """The slope of log(value) against log(depth), by least squares."""
    x, y = (torch.tensor(each, dtype=torch.float64).log() for each in (depths, values))
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())


def apart_from(reference: list[Tensor], found: list[Tensor]) -> float:
    """The largest distance, over depth s in [0, 1] and all weights, between two sets of weights read as piecewise
    constant functions of depth; the deeper one has a whole multiple of the layers."""
    worst = 0.0
    for deep, shallow in zip(reference, found, strict=True):
        repeated = shallow.repeat_interleave(len(deep) // len(shallow), 0)
        worst = max(worst, float((deep - repeated).flatten(1).norm(dim=1).max()))
    return worst


def convergence(setting: Setting, depths: list[int], reference: int) -> dict[int, tuple[float, float]]:
    """How far networks of these depths are from a deep one: the largest distance of weights and of outputs, over
    layers, samples and ten moments of the training."""
    x, _ = data_of(setting)
    every = max(1, setting.steps // 10)

    def course(depth: int) -> list[tuple[list[Tensor], Tensor]]:
        seen = []
        for k, (weights, _) in enumerate(training(setting, depth)):
            if k % every == 0:
                with torch.no_grad():
                    seen.append(([value.detach().clone() for value in weights.learned], answers(weights, x, setting)))
        return seen

    limit = course(reference)
    found = {}
    for depth in depths:
        pairs = list(zip(limit, course(depth), strict=True))
        weights = max(apart_from(deep[0], shallow[0]) for deep, shallow in pairs)
        outputs = max(float((deep[1] - shallow[1]).norm(dim=1).max()) for deep, shallow in pairs)
        found[depth] = (weights, outputs)
    return found


def counter_example(
    depth: int, act: str, aim: float = 3.0, steps: int = 4000, rate: float = 0.02
) -> tuple[float, float]:
    """The scalar network of the paper's appendix D: h_{k+1} = h_k + act(w_k h_k) / L with w_k = (-1)^k / (2L), x = 1,
    target `aim`. Returns the largest distance of neighbours at the end, and the loss.

    With ReLU the layers that begin below zero have no gradient and stay, and the others end at 2 log(aim) or above, so
    neighbours end apart however deep the network is.
    """
    w = torch.tensor([(-1) ** k / (2 * depth) for k in range(depth)], dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        h = torch.ones((), dtype=torch.float64)
        for each in w.unbind(0):
            h = h + ACTS[act](each * h) / depth
        loss = (h - aim).square()
        (gradient,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            w -= rate * depth * gradient
    return float((w[1:] - w[:-1]).detach().abs().max()), float(loss.detach())
