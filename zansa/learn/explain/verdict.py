"""How far a map can be relied on: five checks of it, of which the weakest decides.

A map that marks the defect need not say why the network rejects: a filter that knows no network marks it as well. So a
map is asked whether it adds up to the decision (complete); whether a network of the same kind with shuffled weights
draws another one (specific: Adebayo et al. 2018, 1810.03292, by signed maps); whether the marked region matters more
than the same region elsewhere (faithful: a permutation test); whether it stays where the sample is changed by what
nobody sees (stable: Yeh et al. 2019, 1901.09392, section 3); and, where known samples are at hand, whether those like
it are of the classes that are explained.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, shift
from scipy.stats import rankdata
from torch import Tensor

from .maps import MAPS, blur, enlarged, sums
from .rows import Subject, score

Place = tuple[slice, ...]  # where a sample lies in the network's input, without the bars beside it
Check = tuple[float | None, ...]  # what was measured; None where it could not be

FAILED, WEAK, PASSED = 0, 1, 2  # grades of a check
WORDS = ("do not rely", "with care", "rely")
REFUSED, NOTHING = "refused", "nothing to mark"
REFUSING = ("complete", "specific")  # without these a map is not shown

MISSED = 0.01  # of the log-odds
FLOOR = 0.1  # log-odds below which one hundredth is smaller than what is told of them
ALIKE, SHUFFLES = 0.2, 7
ENOUGH, MOST = 8, 16  # samples on which a network is compared with shuffled ones, at least and at most
SHARE = {1: 0.1, 2: 0.03, 3: 0.03}  # of the places, those that a map marks most, by the number of axes
CONTROLS, CHANCE, RESTORED = 99, 0.05, 0.5
TRIES = 20  # moves of a region, until one leads elsewhere
DRAWS, TURNED = 10, (0.3, 0.5)  # one minus the rank correlation: passed up to the first, weak up to the second
AGREEING = (4, 3)  # of five neighbours: passed from the first on, weak from the second on


def graded(checks: dict[str, Check]) -> dict[str, int]:
    """The grade of each check. What could not be measured is weak; neighbours that were not asked for do not count."""
    return {
        name: _grade(name, values) for name, values in checks.items() if name != "neighbours" or values[0] is not None
    }


def _grade(name: str, values: Check) -> int:
    first = values[0]
    if first is None:
        return WEAK
    if name == "complete":
        return PASSED if first <= MISSED else FAILED
    if name == "specific":
        return PASSED if first <= ALIKE else FAILED
    if name == "stable":
        return FAILED + sum(first <= bound for bound in TURNED)
    if name == "neighbours":
        return FAILED + sum(first >= bound for bound in AGREEING)
    return FAILED if first > CHANCE else PASSED if (values[1] or 0.0) >= RESTORED else WEAK


def word(grades: dict[str, int]) -> str:
    """The verdict of these grades: the weakest."""
    if any(grades[name] == FAILED for name in REFUSING):
        return REFUSED
    return WORDS[min(grades.values())]


def missed(seen: Subject, kind: str, x: Tensor) -> list[float | None]:
    """By what share of the log-odds the sum of each map of samples (N, C, *size), and what every sample is given, miss
    them; None of maps that do not add up to anything."""
    found = sums(seen, kind, x)
    if found is None:
        return [None] * len(x)
    whole, places, offsets = found.T
    return ((places + offsets - whole).abs() / whole.abs().clamp(min=FLOOR)).tolist()


def likeness(groups: Sequence[tuple[Subject, Tensor]], kind: str) -> float | None:
    """How much maps are like those of the same network with shuffled weights: the rank correlation's median over the
    samples, without its sign, of which the median over SHUFFLES networks. None where there are fewer samples than
    ENOUGH.

    groups: what is explained of samples (N, C, *size), and these.
    """
    together = torch.cat([x for _, x in groups])
    if len(together) < ENOUGH:
        return None
    ours = [_each_map(seen, kind, x) for seen, x in groups]
    found = []
    for seed in range(SHUFFLES):
        theirs = [_each_map(shuffled(seen, together, seed), kind, x) for seen, x in groups]
        alike = map(ranked_alike, np.concatenate(ours), np.concatenate(theirs))
        found.append(abs(float(np.median(list(alike)))))
    return float(np.median(found))


def _each_map(seen: Subject, kind: str, x: Tensor) -> np.ndarray:
    return enlarged(MAPS[kind](seen, x), tuple(x.shape[2:]))


def shuffled(seen: Subject, x: Tensor, seed: int) -> Subject:
    """The network with the numbers of each of its weights in random order, and with its norms' statistics taken anew
    from x."""
    generator = torch.Generator().manual_seed(seed)
    network = copy.deepcopy(seen.network)
    with torch.no_grad():
        for value in network.parameters():
            order = torch.randperm(value.numel(), generator=generator)
            value.copy_(value.flatten()[order].reshape(value.shape))
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.reset_running_stats()
                module.momentum = None  # the mean of what is seen
        network.train()(x)
    last: torch.nn.Linear = network.head.get_submodule("linear")  # type: ignore[assignment]
    return replace(seen, network=network.eval(), weight=last.weight.detach(), bias=last.bias.detach())


def ranked_alike(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two maps; 0 where one of them is flat."""
    a, b = (rankdata(each, axis=None) - (each.size + 1) / 2 for each in (one, other))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def faithfulness(seen: Subject, x: Tensor, values: np.ndarray, place: Place, random: np.random.Generator) -> Check:
    """Of a sample (C, *size) and its map (*size): the chance p that the region that is marked most matters no more than
    itself, moved and mirrored at random; and which share of the log-odds the region alone brings back.

    What is taken away is blurred, and what it costs is the fall of the log-odds.
    """
    region = marked(values, place)
    regions = [region, *(_elsewhere(region, place, random) for _ in range(CONTROLS))]
    blurred = blur(x[None])[0]
    masks = torch.from_numpy(np.stack([*regions, ~region, np.ones_like(region)]))[:, None]
    odds = score(seen, torch.where(masks, blurred, x)).tolist()
    without, controls, alone, nothing = odds[0], odds[1:-2], odds[-2], odds[-1]
    whole = float(score(seen, x[None]))
    p = (1 + sum(control <= without for control in controls)) / (1 + CONTROLS)
    return p, (alone - nothing) / (whole - nothing) if whole > nothing else 0.0


def marked(values: np.ndarray, place: Place) -> np.ndarray:
    """The places (*size) that a map marks most, as many as SHARE says."""
    inner = values[place]
    count = max(1, round(SHARE[values.ndim] * inner.size))
    highest = np.zeros(inner.size, bool)
    highest[np.argsort(inner, axis=None, kind="stable")[-count:]] = True
    region = np.zeros(values.shape, bool)
    region[place] = highest.reshape(inner.shape)
    return region


def _elsewhere(region: np.ndarray, place: Place, random: np.random.Generator) -> np.ndarray:
    """The region moved to where at most half of it was, if some of the TRIES places is such a one. On one axis one move
    in ten leaves most of a short region where it was, and nothing could be told from that."""
    found = _moved(region, place, random)
    for _ in range(TRIES):
        if 2 * np.count_nonzero(found & region) <= np.count_nonzero(region):
            break
        found = _moved(region, place, random)
    return found


def _moved(region: np.ndarray, place: Place, random: np.random.Generator) -> np.ndarray:
    """The region at a random place, around the borders, and mirrored or not along each axis."""
    inner = region[place]
    axes = tuple(range(inner.ndim))
    flipped = np.flip(inner, tuple(axis for axis in axes if random.random() < 0.5))
    found = np.zeros_like(region)
    found[place] = np.roll(flipped, [int(random.integers(n)) for n in inner.shape], axes)
    return found


def unsteadiness(
    seen: Subject, kind: str, x: Tensor, values: np.ndarray, place: Place, noise: float, random: np.random.Generator
) -> float:
    """One minus the rank correlation of a map (*size) and that of its sample (C, *size) changed a little: the largest
    of DRAWS, in turns noise of this deviation, and a move by one place in each direction."""
    changed, moves = [], []
    for draw in range(DRAWS):
        move = [int(random.integers(-1, 2)) if draw % 2 else 0 for _ in values.shape]
        drawn = np.asarray(random.standard_normal(x.shape) * noise, np.float32) if not draw % 2 else 0
        changed.append(shift(x.numpy(), [0, *move], order=0, mode="nearest") + drawn)
        moves.append(move)
    maps = _each_map(seen, kind, torch.from_numpy(np.stack(changed)).to(x.dtype))
    back = [shift(each, [-m for m in move], order=0, mode="nearest") for each, move in zip(maps, moves, strict=True)]
    return max(1 - ranked_alike(values[place], each[place]) for each in back)


def on_defect(values: np.ndarray, mask: np.ndarray, place: Place) -> bool:
    """Whether the strongest place of a map lies on the defect, or beside it by a twentieth of the longer side."""
    return bool(widened(mask)[place].flat[int(values[place].argmax())])


def widened(mask: np.ndarray) -> np.ndarray:
    """A mask and what is nearer to it than a twentieth of its longer side."""
    return np.asarray(distance_transform_edt(~mask) <= max(mask.shape) / 20)


def agreeing(labels: np.ndarray, ours: tuple[int, ...]) -> int:
    """How many of the five nearest known samples are of the classes that are explained."""
    return int(np.isin(labels[:5], ours).sum())
