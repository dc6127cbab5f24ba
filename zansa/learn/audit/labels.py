"""Labels that are likely wrong, and whether this set can be checked for them at all.

Where images have siblings, five neighbours of which none agrees tell (precision 0.86 on magnetic tiles, where tools
that need a good model had 0.16). Otherwise the margins of a small network do. Both are tried on labels that were
changed on purpose, and how many of these they find is told beside every suspicion.
"""

import numpy as np

from .findings import Finding, single
from .inventory import Inventory
from .margins import margins
from .neighbours import nearest

NEIGHBOURS = 5
FLIPPED = 0.02  # of the labels are changed on purpose
LEAST = 20  # of them
RECALL, ACCUSED = 0.30, 0.02  # fewer found where so many are accused: this set cannot be checked
MOST = 6000  # images that the network learns
FEWEST = 100


def labels(inventory: Inventory, features: np.ndarray, siblings: bool, seed: int = 0) -> list[Finding]:
    """One finding on the labels of an inventory whose images have these thumbnails (N, 256)."""
    count = len(inventory)
    if count < FEWEST or len(inventory.classes) < 2:
        return []
    if siblings:
        return _by_siblings(inventory, features, seed)
    rows = np.sort(np.random.default_rng(seed).permutation(count)[:MOST])
    few = [Finding("most_only", "note", (), {"what": "labels", "seen": len(rows), "all": count}, 0)] * (
        len(rows) < count
    )
    return [*_by_margins(inventory, rows, seed), *few]


def flipped(given: np.ndarray, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels with some changed to another one that is drawn by the classes' shares, and which rows these are."""
    rng = np.random.default_rng(seed + 1)
    rows = np.sort(rng.permutation(len(given))[: max(LEAST, round(FLIPPED * len(given)))])
    changed = given.copy()
    shares = np.bincount(given, minlength=classes) / len(given)
    for row in rows:
        odds = np.where(np.arange(classes) == given[row], 0, shares + 1e-9)
        changed[row] = rng.choice(classes, p=odds / odds.sum())
    return changed, rows


def _by_siblings(inventory: Inventory, features: np.ndarray, seed: int) -> list[Finding]:
    near, _ = nearest(features, NEIGHBOURS)
    given = inventory.labels
    changed, rows = flipped(given, len(inventory.classes), seed)
    caught = (changed[near] != changed[:, None]).all(axis=1)[rows]
    if caught.mean() < RECALL:
        return [_unchecked(len(rows), int(caught.sum()))]
    suspect = np.flatnonzero((given[near] != given[:, None]).all(axis=1))
    return _told("siblings", suspect, near, len(rows), int(caught.sum()), len(given))


def _by_margins(inventory: Inventory, rows: np.ndarray, seed: int) -> list[Finding]:
    given = inventory.labels[rows]
    present, known = np.unique(given, return_inverse=True)
    if len(present) < 2:
        return []
    changed, planted = flipped(known, len(present), seed)
    margin = margins(inventory.only(rows).column("gray"), changed, seed)
    own = np.ones(len(rows), bool)
    own[planted] = False
    strict = float((margin[planted] < np.quantile(margin[own], ACCUSED)).mean())
    if strict < RECALL:
        return [_unchecked(len(planted), round(strict * len(planted)))]
    line = float(np.median(margin[planted]))
    suspect = np.flatnonzero(own & (margin < line))
    suspect = suspect[np.argsort(margin[suspect], kind="stable")]
    return _told("margins", rows[suspect], None, len(planted), int((margin[planted] < line).sum()), int(own.sum()))


def _unchecked(planted: int, recalled: int) -> Finding:
    return Finding("unchecked", "warning", (), {"flipped": planted, "recalled": recalled}, 0)


def _told(
    how: str, suspect: np.ndarray, near: np.ndarray | None, planted: int, recalled: int, others: int
) -> list[Finding]:
    facts = {"how": how, "flipped": planted, "recalled": recalled, "accused": f"{100 * len(suspect) / others:.1f} %"}
    if not len(suspect):
        return [Finding("labels_fine", "note", (), facts, 0)]
    items = single(suspect) if near is None else tuple((int(i), *map(int, near[i, :2])) for i in suspect)
    return [Finding("suspects", "warning", items, facts, len(suspect))]
