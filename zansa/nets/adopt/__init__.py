"""Weights from elsewhere for a network of ours: torchvision's, timm's, and those of any author whose residual network
has the same layers."""

from typing import Literal

import torch
from torch import Tensor

from ...arch.lower import lower
from ...arch.spec import Net
from ..build import Network, build
from .infer import net_from
from .layers import Layer, fits, layers_of
from .names import by_name, pooled_shortcuts, unfit
from .order import Reading, ambiguity, by_order
from .pads import recentred, widening
from .read import read_checkpoint

__all__ = ["adopt", "match", "net_from", "read_checkpoint"]

Head = Literal["strict", "fresh"]
CLOSE = 1e-4
TOLD_APART = 0.1  # of two readings, the right one knows the labels of at least so many more of the samples
_SORTED = (
    "its names are of no known author and in alphabetical order, as safetensors keeps them, so the order of the layers "
    "is lost; give the author's torch checkpoint"
)
_PADDED = (
    "the network has padded shortcuts, and authors put the zero channels after the others or on both sides, which the "
    "weights do not tell; give samples and the author's logits on them, or labels that they know, and they decide"
)


def adopt(
    state: dict[str, Tensor], net: Net, head: Head = "strict", given: tuple[Tensor, Tensor] | None = None
) -> Network:
    """build(net) with another author's weights, in evaluation mode.

    Layers are told by their names (ours, torchvision's, timm's), or else by order and shape. Weights for colour serve
    images of one channel, and the reverse, so that a gray image gives the same answers as its three copies. A
    convolution's bias goes into the norm after it.

    state: the author's tensors by their names.
    net: the network that they are the weights of.
    head: "strict" reads the classifier too; "fresh" initialises a new one and leaves theirs, if any, out.
    given: samples (N, channels, *size) and the author's logits (N, classes) on them. They decide between readings, and
        the result must reproduce them to 1e-4 of the largest. Or samples and their labels (N,), integers: of several
        readings they decide for the one that knows them best.

    ValueError, naming what does not fit, when the networks differ, and when the layers can be read in several ways.
    What shapes do not tell (strides, activations, pooling, what a shortcut reads, a norm's epsilon) only `given` can
    check.
    """
    if head == "fresh" and given is not None:
        raise ValueError("logits were given and head='fresh' asked: a new classifier cannot give them; leave one out")
    module = build(net)
    readings = _readings(state, module, head)
    if given is None:
        _only(readings)
    candidates = [_tensors(state, reading, module) for reading in readings]
    if widening(net) and not state.keys() <= module.state_dict().keys():
        if given is None:
            raise ValueError(_PADDED)
        candidates += [recentred(tensors, net) for tensors in candidates]
    if given is not None:
        decided = _knowing if given[1].ndim == 1 else _reproducing
        return decided(given, candidates, module.eval())
    module.load_state_dict(candidates[0])
    return module.eval()


def match(state: dict[str, Tensor], net: Net, head: Head = "strict") -> list[tuple[str, str]]:
    """Which of their tensors `adopt` reads as which of ours: pairs of names, in their order. ValueError as there."""
    pairs = _only(_readings(state, build(net), head))
    return [
        (name, ours.names[role]) for theirs, ours in pairs for role, name in theirs.names.items() if role in ours.names
    ]


def _readings(state: dict[str, Tensor], module: Network, head: Head) -> list[Reading]:
    """Every way of reading their layers as ours, at least one."""
    if head not in ("strict", "fresh"):
        raise ValueError(f"head {head!r} was asked; allowed: 'strict', 'fresh'")
    theirs, ours = layers_of(state), layers_of(module.state_dict())
    _check(state, theirs, module.net)
    named = by_name(theirs, ours)
    if head == "fresh":
        ours = [layer for layer in ours if layer.path != "head.linear"]
        theirs = _headless(theirs, len(ours)) if named is None else theirs
        named = named and {path: layer for path, layer in named.items() if path != "head.linear"}
    wrong = [o for o in ours if named and o.path in named and not fits(named[o.path], o, o.path == ours[0].path)]
    if named and not wrong and named.keys() == {layer.path for layer in ours}:
        return [[(named[layer.path], layer) for layer in ours]]
    try:
        if list(state) == sorted(state):
            raise ValueError(_SORTED)
        return by_order(theirs, ours)
    except ValueError as error:
        reason = unfit(named, ours, wrong) if named else str(error)
    if head == "strict" and (named is None or "head.linear" in reason):
        reason += "; for another classifier, or none, ask for head='fresh'"
    raise ValueError(f"the state dict does not fit its network: {reason}")


def _check(state: dict[str, Tensor], theirs: list[Layer], net: Net) -> None:
    """Refuse what would be read without a fault and compute something else."""
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ValueError(f"the state dict is damaged: {broken[0]} has values that are no numbers")
    if net.norm != "none" and not any(layer.is_norm for layer in theirs):
        raise ValueError(
            "the state dict has no norms: an exporter has folded them into the convolutions, or the network never had "
            "any; give the checkpoint from before the export, or take a network with norm='none'"
        )
    for i, pooled in pooled_shortcuts(theirs).items():
        if i < len(net.stages) and pooled != (net.stages[i].shortcut == "average"):
            raise ValueError(
                f"by its names, the state dict's shortcut in stage {i} {'averages' if pooled else 'does not average'} "
                f"before it convolves; the network has {net.stages[i].shortcut!r} there; net_from(state, size) tells"
            )


def _headless(theirs: list[Layer], count: int) -> list[Layer]:
    """Their first `count` layers, where only linear layers follow them; all layers otherwise."""
    return theirs[:count] if all(layer.is_linear for layer in theirs[count:]) else theirs


def _only(readings: list[Reading]) -> Reading:
    if len(readings) > 1:
        raise ValueError(
            f"the layers of the state dict can be read in {len(readings)} ways, which compute different things: "
            f"{ambiguity(readings)}; give samples and the author's logits on them, and they decide"
        )
    return readings[0]


@torch.inference_mode()
def _reproducing(given: tuple[Tensor, Tensor], candidates: list[dict[str, Tensor]], module: Network) -> Network:
    """The module with the one candidate's tensors that give the logits; ValueError where none does, or several do."""
    samples, logits = given
    errors = []
    for tensors in candidates:
        module.load_state_dict(tensors)
        answers = module(samples)
        if answers.shape != logits.shape:
            raise ValueError(
                f"logits of shape {tuple(logits.shape)} were given; the network has {tuple(answers.shape)}"
            )
        errors.append(float((answers - logits).abs().max() / logits.abs().max().clamp(min=1e-30)))
    close = [k for k, error in enumerate(errors) if error <= CLOSE]
    if not close:
        raise ValueError(
            f"the weights fit, but the logits on the given samples differ by {min(errors):.2g} of the largest; at most "
            f"{CLOSE:g} is allowed: strides, activations, pooling, a norm's epsilon or the samples are others"
        )
    if len(close) > 1:
        raise ValueError(f"{len(close)} readings of the layers give these logits: give more samples")
    module.load_state_dict(candidates[close[0]])
    return module


@torch.inference_mode()
def _knowing(given: tuple[Tensor, Tensor], candidates: list[dict[str, Tensor]], module: Network) -> Network:
    """The module with the one candidate's tensors that know the labels; ValueError where none stands out."""
    samples, labels = given
    right = []
    for tensors in candidates[: len(candidates) if len(candidates) > 1 else 0]:
        module.load_state_dict(tensors)
        right.append(float((module(samples).argmax(1) == labels).double().mean()))
    order = sorted(range(len(right)), key=lambda k: -right[k])
    if order and right[order[0]] - right[order[1]] < TOLD_APART:
        raise ValueError(
            f"the weights can be read in {len(order)} ways, and the labels of {len(labels)} samples do not decide: "
            f"{' and '.join(f'{100 * right[k]:.1f} %' for k in order)} of the answers are right; give samples of the "
            "classes that the weights know, in their order, or the author's logits"
        )
    module.load_state_dict(candidates[order[0] if order else 0])
    return module


@torch.no_grad()
def _tensors(state: dict[str, Tensor], reading: Reading, module: Network) -> dict[str, Tensor]:
    """A state dict of ours: their tensors, and the module's own where nothing is read."""
    tensors = dict(module.state_dict())
    for theirs, ours in reading:
        for role, name in ours.names.items():
            if role in theirs.names:
                tensors[name] = _shaped(state[theirs.names[role]], tensors[name])
            elif role == "bias":  # authors of gates leave it out
                tensors[name] = torch.zeros_like(tensors[name])
    norms = {row.reads[0]: row.path for row in lower(module.net).rows if row.op == "norm" and row.kind == "batch"}
    for theirs, ours in reading:
        if "bias" in theirs.names and "bias" not in ours.names:
            _absorb(state[theirs.names["bias"]], theirs, f"{norms.get(ours.path)}.running_mean", tensors)
    return tensors


def _absorb(bias: Tensor, layer: Layer, mean: str, tensors: dict[str, Tensor]) -> None:
    """Let a convolution's bias move the mean of the norm after it."""
    if mean in tensors:
        tensors[mean] = tensors[mean] - bias.to(tensors[mean])
    elif bias.any():
        raise ValueError(f"{layer} has a bias and no norm after it: the network cannot hold it")


def _shaped(value: Tensor, like: Tensor) -> Tensor:
    """Their value in our shape: a 1-wide convolution as a matrix, colour as gray and the reverse."""
    value = value.to(like.dtype)
    if value.ndim > 2 and value.ndim == like.ndim and value.shape[1] != like.shape[1]:
        channels = like.shape[1]
        return value.sum(1, keepdim=True) if channels == 1 else value.expand_as(like) / channels
    return value.reshape(like.shape)
