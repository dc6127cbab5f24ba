"""Which parts of a network learn, and how fast: for weights that were learned elsewhere."""

from torch import nn

from ..nets.build import Network
from .recipe import Tuning


def parts_of(network: Network) -> list[nn.Module]:
    """Stem, stages and head."""
    return [network.stem, *network.stages, network.head]


def first_to_learn(tuning: Tuning, parts: int, progress: float) -> int:
    """The index of the part nearest to the input that learns at this progress in [0, 1); those after it learn too.

    ValueError when no part but the head could ever learn and even that is frozen.
    """
    if tuning.frozen >= parts:
        raise ValueError(
            f"frozen={tuning.frozen} was asked, but the network has {parts} parts; leave at least the head"
        )
    thawing = parts - tuning.frozen  # parts that will learn
    thawed = thawing if progress >= tuning.thaw else 1 + int(progress / tuning.thaw * (thawing - 1))
    return parts - thawed


def let_learn(network: Network, first: int) -> None:
    """Let the parts from `first` on learn. Those before it rest, and so do their norms."""
    for k, part in enumerate(parts_of(network)):
        part.requires_grad_(k >= first).train(k >= first)


def default_tuning(images_per_class: float, parts: int) -> Tuning:
    """What learns with few or many samples of a class (docs/decisions/0009). Up to 20, only the last stage and the head
    learn; up to 200, the stem and the first stage rest; with more, all parts learn. Parts nearer to the input always
    learn more slowly."""
    if images_per_class <= 20:
        return Tuning(frozen=max(0, parts - 2), factor=0.3)
    if images_per_class <= 200:
        return Tuning(frozen=min(2, parts - 1), factor=0.5)
    return Tuning(factor=0.7)
