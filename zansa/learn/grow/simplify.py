"""Moves that make a network lighter, and whose harm derivatives cannot tell: it is measured on held-out samples.

Two neighbouring blocks that run side by side as one save time and depth, but no multiply-adds. A gate that goes saves
little but time.
"""

from ...arch.apply import apply
from ...arch.edits import GATED, Merge, Rekind
from ...arch.spec import Net
from ...nets.build import Network
from ...nets.transfer import edited
from .moves import Move, Price
from .signals import WeightedSamples, losses

BARE = {gated: bare for bare, gated in GATED.items()}


def simplifications(net: Net) -> list[Merge | Rekind]:
    """Every pair of neighbouring blocks that can run side by side as one, and every gate that can go."""
    edits: list[Merge | Rekind] = []
    for i, stage in enumerate(net.stages):
        edits += [Merge(stage=i, at=at) for at in range(len(stage.blocks) - 1)]
        edits += [
            Rekind(stage=i, at=at, block=block.but({"kind": BARE[block.kind], "hidden": block.convolved}))
            for at, block in enumerate(stage.blocks)
            if block.kind in BARE
        ]
    return [edit for edit in edits if _possible(net, edit)]


def _possible(net: Net, edit: Merge | Rekind) -> bool:
    try:
        apply(net, edit)
    except ValueError:
        return False
    return True


def simplest(module: Network, held: WeightedSamples, price: Price, against: float) -> Move | None:
    """The simplification with which the loss rises least per price that it saves; None where the loss would not rise by
    less than `against`, in nats per price."""
    net, before = module.net, None
    choices: list[tuple[float, Move]] = []
    for edit in simplifications(net):
        saved = price(net) - price(apply(net, edit))
        if saved <= 0:
            continue
        before = losses(module, held) if before is None else before
        rise = losses(edited(module, [edit]), held) - before
        error = float(rise.std(correction=0) / len(rise) ** 0.5)
        choices.append((float(rise.mean()) / saved, Move(edit, -float(rise.mean()), error, -saved)))
    density, best = min(choices, key=lambda entry: entry[0], default=(against, None))
    return best if density < against else None
