"""Groups that leak: several images of one part, found from the order of names, rules of names, and likeness.

The evidence is what a look-up table would gain: the label of the most similar image is right much more often when
images of the same part may be looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .inventory import Inventory
from .names import groups_by, orders, rules
from .neighbours import Kin, nearest

WINDOW = 6  # places in the order of names
ALARM, TIMES = 0.10, 5.0  # the share of images with a neighbour there, and times that by chance
APART = 2 * WINDOW  # places within which images may be siblings, where the alarm rings
FALL = 0.05  # of accuracy, fewer is no leak
SIBLINGS = 0.20  # of accuracy, more means that images have siblings
INSIDE = 0.90  # of proven pairs that lie beside each other, for a rule to be accepted
SLACK = 0.05  # of all proven pairs, fewer than the rule has that holds most of them
LARGEST = 0.05  # the share of the data that joined groups may be
FEWEST = 10  # groups, and proven pairs, for a rule
ASKED = 3000  # images whose neighbours are looked for
TRIED = 4  # rules of which the look-up is measured


@dataclass(frozen=True)
class Order:
    """How much the order of names says of likeness.

    field: 0 for whole names, k for the k-th number in them.
    share: of images whose nearest neighbour lies within six places.
    shuffled: the same when places are drawn anew within each folder and class.
    """

    field: int
    share: float
    shuffled: float

    @property
    def alarm(self) -> bool:
        """Whether siblings lie beside each other."""
        return self.share > ALARM and self.share > TIMES * self.shuffled


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups and what they are worth as evidence.

    rule: the rule of names that makes them.
    groups: (N,) int64.
    random, held_out: balanced accuracy of the nearest neighbour among all others, and among those of other groups.
    inside: share of proven pairs that lie inside groups.
    """

    rule: str
    groups: np.ndarray
    random: float
    held_out: float
    inside: float

    @property
    def fall(self) -> float:
        """How much of the look-up's accuracy comes from siblings."""
        return self.random - self.held_out


def order_of(inventory: Inventory, rows: np.ndarray, neighbours: np.ndarray, seed: int) -> tuple[Order, np.ndarray]:
    """The order of names that says most of likeness, and its places (N,). `neighbours` (n,) are nearest to `rows`."""
    rng = np.random.default_rng(seed)
    best: tuple[Order, np.ndarray] | None = None
    for number, places in orders(inventory):
        share = _near(places, rows, neighbours)
        shuffled = np.mean([_near(_shuffled(places, inventory.labels, rng), rows, neighbours) for _ in range(5)])
        if best is None or share > best[0].share:
            best = Order(number, share, float(shuffled)), places
    assert best is not None
    return best


def _near(places: np.ndarray, rows: np.ndarray, neighbours: np.ndarray) -> float:
    return float((abs(places[rows] - places[neighbours]) <= WINDOW).mean())


def _shuffled(places: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places drawn anew within each folder and class; folders lie more than the number of images apart."""
    folder = places // (1000 * len(places))
    block = labels * (folder.max(initial=0) + 1) + folder
    order, drawn = np.lexsort((places, block)), np.lexsort((rng.random(len(places)), block))
    mixed = np.empty_like(places)
    mixed[drawn] = places[order]
    return mixed


def queried(count: int, seed: int) -> np.ndarray:
    """The rows whose neighbours are looked for: all, or some of very many."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:ASKED])


def lookup(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Balanced accuracy of the nearest neighbour's label, among all others and among those of other groups."""
    near, _ = nearest(features, 1, None, rows)
    far, like = nearest(features, 1, Kin(groups), rows)
    there = np.isfinite(like[:, 0])
    right = [labels[near[:, 0]] == labels[rows], (labels[far[:, 0]] == labels[rows]) & there]
    random, held_out = (_balanced(each, labels[rows]) for each in right)
    return random, held_out


def _balanced(right: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))


def grouped(
    rule: str, groups: np.ndarray, features: np.ndarray, labels: np.ndarray, rows: np.ndarray, pairs: np.ndarray
) -> Grouping:
    """Groups with their evidence."""
    inside = float((groups[pairs[:, 0]] == groups[pairs[:, 1]]).mean()) if len(pairs) else 0.0
    return Grouping(rule, groups, *lookup(features, labels, groups, rows), inside)


def best_rule(
    inventory: Inventory,
    features: np.ndarray,
    rows: np.ndarray,
    pairs: np.ndarray,
    beside: np.ndarray,
    chance: float = 0.0,
) -> Grouping | None:
    """The finest rule of names that holds nearly all proven pairs inside its groups, far more than by chance, and whose
    groups make the look-up worse; None where no rule does. It is offered, never used unasked.

    `beside` (P,) tells which pairs lie beside each other in the order of names: what was photographed again later lies
    elsewhere, and no rule of names can hold that. `chance` is the share of these pairs that lie there by chance.
    """
    if beside.sum() < FEWEST:
        return None
    fitting = []
    for rule in rules(inventory):
        groups = groups_by(rule, inventory)
        sizes = np.unique(groups, return_counts=True)[1] / len(groups)
        held = groups[pairs[:, 0]] == groups[pairs[:, 1]]
        enough = held[beside].mean() >= INSIDE * (1 - chance) and held.mean() > TIMES * (sizes**2).sum()
        if FEWEST <= len(sizes) < 0.9 * len(groups) and enough and not of_classes(groups, inventory.labels):
            fitting.append((len(sizes), rule, groups, held.mean()))
    most = max((held for *_, held in fitting), default=0.0)
    near = [each for each in fitting if each[3] >= most - SLACK]
    for _, rule, groups, _ in sorted(near, key=lambda each: -each[0])[:TRIED]:
        found = grouped(rule, groups, features, inventory.labels, rows, pairs)
        if found.fall >= FALL:
            return found
    return None


def of_classes(groups: np.ndarray, labels: np.ndarray) -> bool:
    """Whether every class lies in one group, as where the rule is the class's folder: to hold a group out would then
    take away its whole class."""
    return len(np.unique(np.column_stack([groups, labels]), axis=0)) == len(np.unique(labels))


def joined_by(groups: np.ndarray, pairs: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """(N,) groups of which two become one where a proven pair holds them together, unless that makes one larger than
    5 % of the data (chains of likeness would swallow all)."""
    names, root, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    parent, size, most = list(range(len(names))), sizes.tolist(), max(LARGEST * len(groups), 12)

    def top(k: int) -> int:
        while parent[k] != k:
            parent[k] = k = parent[parent[k]]
        return k

    for one, other in pairs:
        a, b = top(int(root[one])), top(int(root[other]))
        if a != b and size[a] + size[b] <= most:
            parent[b] = a
            size[a] += size[b]
    return np.asarray(names[[top(k) for k in range(len(names))]][root])
