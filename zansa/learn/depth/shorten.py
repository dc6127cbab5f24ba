"""A trained network with fewer blocks, without training: the cheapest edits one by one, each checked on held-out
samples."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...arch.apply import apply
from ...arch.cost import cost
from ...arch.edits import AnyEdit, Delete, Merge, Regrid, Tie
from ...arch.spec import Net
from ...arch.steps import STEPS
from ...nets.build import Block, Network
from ...nets.transfer import edited
from ..adapt import batches_of, renormalise
from .measure import added, closing, first_step

CHECKS = 3  # edits of each round that are checked on held-out samples: those that change the stream least
Ways = tuple[str, ...]
WAYS: dict[str, Callable[[Net, int, int], AnyEdit]] = {
    "delete": lambda net, i, at: Delete(stage=i, at=at),
    "average": lambda net, i, at: Regrid(stage=i, at=at, count=2, blocks=1),
    "tie": lambda net, i, at: Tie(stage=i, at=at, keep="mean"),
    "project": lambda net, i, at: Regrid(
        stage=i, at=at, count=len(net.stages[i].blocks) - at, blocks=max(1, (len(net.stages[i].blocks) - at) // 2)
    ),
    "parallel": lambda net, i, at: Merge(stage=i, at=at),
}
USUAL: Ways = ("delete", "average", "project", "parallel")  # tie keeps the multiply-adds, so it must be asked for


@dataclass(frozen=True)
class Judge:
    """What tells whether an edit is worth it.

    train: samples with which the statistics of norms are taken anew, (N, C, *size).
    val: held-out samples.
    labels: their labels.
    """

    train: Tensor
    val: Tensor
    labels: Tensor

    def mended(self, module: Network) -> Network:
        """The network with the statistics of the training samples in its batch norms."""
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules()):
            renormalise(module, batches_of(self.train, 128), prior=0)
        return module

    @torch.inference_mode()
    def __call__(self, module: Network) -> tuple[float, float]:
        """Loss and accuracy on the held-out samples."""
        answers = torch.cat([module(x).float() for x in batches_of(self.val, 128)])
        right = (answers.argmax(1) == self.labels).double().mean()
        return float(nn.functional.cross_entropy(answers, self.labels)), float(right)


@dataclass(frozen=True)
class Taken:
    """An edit that was made.

    way: a key of WAYS.
    edit: the edit.
    changed: by how much it changes the stream behind it, as it was predicted from one batch.
    loss, accuracy: on the held-out samples, after it.
    blocks: of the network after it.
    macs, params, depth: what the network costs after it, and its layers one after the other.
    """

    way: str
    edit: AnyEdit
    changed: float
    loss: float
    accuracy: float
    blocks: int
    macs: int
    params: int
    depth: int


def blocks_of(net: Net) -> int:
    """How many blocks a network has; one that is applied several times counts once."""
    return sum(len(stage.blocks) for stage in net.stages)


def fewest(net: Net) -> int:
    """How many blocks remain where all have gone that can go."""
    return len(net.stages)


@dataclass(frozen=True)
class Option:
    """An edit that could be made.

    way: what it does: its kind in words.
    edit: the edit.
    changed: by how much it changes the stream behind it.
    """

    way: str
    edit: AnyEdit
    changed: float


@torch.inference_mode()
def options(module: Network, samples: Tensor, ways: Sequence[str]) -> list[Option]:
    """Every edit of these ways that the network can carry, the one that changes the stream least first.

    The change is the relative one of what leaves the blocks in question; of "average" and "tie" it is foretold by a
    step of the first block, twice as long or twice, because that needs no new network.
    """
    found: list[Option] = []
    x = module.stem(samples)
    for i, (spec, stage) in enumerate(zip(module.net.stages, module.stages, strict=True)):
        blocks: list[Block] = list(stage)  # type: ignore[call-overload]
        first, states = first_step(spec), [x]
        for block in blocks:
            states.append(block(*(states[-1],))[0])
        x = states[-1]
        if len(STEPS[spec.step.kind].streams) > 1:
            continue
        for at in range(first, len(blocks)):
            for way in ways:
                edit = WAYS[way](module.net, i, at)
                if _carried(module.net, edit) and not (way == "project" and at != first):
                    found.append(Option(way, edit, _change(way, blocks[at:], states[at:])))
    return sorted(found, key=lambda option: option.changed)


def _carried(net: Net, edit: AnyEdit) -> bool:
    try:
        return blocks_of(apply(net, edit)) < blocks_of(net)
    except ValueError:
        return False


def _change(way: str, blocks: list[Block], states: list[Tensor]) -> float:
    """By how much the stream behind some blocks changes; `states` are what enters them, and what leaves the last."""
    x, one = states[0], blocks[0]
    if way == "delete":
        return _share(x, states[1])
    if way == "project":
        new = x
        for k in range(0, len(blocks) - 1, 2):
            new = closing(blocks[k])(new + 2 * added(blocks[k], new))
        return _share(new, states[len(blocks) // 2 * 2])
    if way == "parallel":
        return _share(closing(one)(x + added(one, x) + added(blocks[1], x)), states[2])
    if way == "average":
        return _share(closing(one)(x + 2 * added(one, x)), states[2])
    return _share(one(one(x)[0])[0], states[2])


def _share(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


def shortening(
    module: Network,
    judge: Judge,
    ways: Sequence[str] = USUAL,
    to: int = 1,
    loss: float | None = None,
    checks: int = CHECKS,
    chance: np.random.Generator | None = None,
) -> Iterator[tuple[Network, Taken]]:
    """Make edits one by one until `to` blocks remain, yielding the network after each and what was done.

    loss: the accuracy on held-out samples may fall by this share, 0.005 for half a point; None: by any.
    checks: so many edits of each round, those that change the stream least, are made and judged; the one with the
        lowest loss stays.
    chance: draws the edits instead (a control).

    The iterator ends early where no edit is possible, or none keeps within the loss.
    """
    module = copy.deepcopy(module).eval()
    _, before = judge(module)
    samples = judge.train[:64]
    while blocks_of(module.net) > to:
        possible = [o for o in options(module, samples, ways) if blocks_of(apply(module.net, o.edit)) >= to]
        if not possible:
            return
        tried = possible[:checks] if chance is None else [possible[chance.integers(len(possible))]]
        judged = []
        for option in tried:
            changed = judge.mended(edited(module, [option.edit]))
            judged.append((*judge(changed), option, changed))
        value, accuracy, option, changed = min(judged, key=lambda entry: entry[0])
        if loss is not None and before - accuracy > loss + 1e-9:
            kept = [entry for entry in judged if before - entry[1] <= loss + 1e-9]
            if not kept:
                return
            value, accuracy, option, changed = min(kept, key=lambda entry: entry[0])
        module = changed
        costs = cost(module.net)
        yield (
            module,
            Taken(
                option.way,
                option.edit,
                option.changed,
                value,
                accuracy,
                blocks_of(module.net),
                costs.macs,
                costs.params,
                costs.depth,
            ),
        )


def refined(net: Net, basis: str = "constant") -> list[AnyEdit]:
    """The edits that split every step of a network into two of half the length: copies of it ("constant": Euler), or
    weights between those of its neighbours ("linear": midpoint). ValueError where no stage can be refined."""
    edits: list[AnyEdit] = []
    reasons = []
    for i, stage in enumerate(net.stages):
        first = first_step(stage)
        count = len(stage.blocks) - first
        edit = Regrid(stage=i, at=first, count=max(1, count), blocks=2 * max(1, count), basis=basis)  # type: ignore[arg-type]
        try:
            net = apply(net, edit)
            edits.append(edit)
        except ValueError as error:
            reasons.append(str(error))
    if not edits:
        raise ValueError(f"no stage can be refined: {'; '.join(dict.fromkeys(reasons))}")
    return edits
