"""Shortcuts: properties of an image that have nothing to do with what it shows, and tell its class all the same.

Of each property the lowest and the highest images are counted by class; the statistic is that of Berk & Jones (1979).
The null keeps groups whole: blocks of labels change places. Shuffling single images finds shortcuts in clean data.
"""

from dataclasses import dataclass

import numpy as np

from .findings import Finding, single
from .inventory import Inventory

DRAWS = 500
ALARM = 0.01  # p-value, over all properties, classes and tails
LEAST = 10  # images at a tail
STEPS = 14  # sizes of a tail
GROUPS = 20  # fewer allow no test
LIFT = 1.5  # times the usual odds of the class; less is no use to a network
MOST = 4000  # images
EDGE = 2  # pixels of the small image that are its border
MOST_TOLD = 5
CONTENT = ("mean", "spread", "low", "high", "grain", "step", "border_spread")  # may as well be what is inspected


@dataclass(frozen=True, eq=False)
class Tails:
    """Both ends of each property, each cut at several places; T ends, at most C cuts.

    names: the property and "low" or "high".
    bins: (T, N) which cut is the first to hold an image; C where none does.
    sizes: (T, C) images that each cut holds; infinite where an end has fewer cuts.
    """

    names: list[tuple[str, str]]
    bins: np.ndarray
    sizes: np.ndarray


def shortcuts(inventory: Inventory, groups: np.ndarray, seed: int = 0) -> list[Finding]:
    """The properties that tell a class, strongest first, each property once; groups are (N,) int64."""
    rng = np.random.default_rng(seed)
    seen = np.sort(rng.permutation(len(inventory))[:MOST])
    few = inventory.only(seen)
    tails = _tails(properties(few), len(few))
    count = len(np.unique(groups[seen]))
    if not tails.names or len(inventory.classes) < 2:
        return []
    null = _null(tails, few.labels, groups[seen], len(inventory.classes), rng) if count >= GROUPS else None
    return _told(tails, null, few.labels, inventory, seen, count)


def properties(inventory: Inventory) -> dict[str, np.ndarray]:
    """(N,) of each property that is known of all images."""
    height, width = inventory.column("size").astype(float).T
    taken = inventory.column("taken")
    known = {
        "width": width,
        "height": height,
        "aspect": width / height,
        "area": width * height,
        "weight": inventory.column("weight"),
        "format": np.unique(inventory.column("format"), return_inverse=True)[1].astype(float),
        "channels": inventory.column("channels").astype(float),
        "depth": inventory.column("depth").astype(float),
        "quality": inventory.column("quality").astype(float),
        "taken": taken,
        "hour": np.floor(taken / 3600) % 24,
        "changed": np.floor(inventory.column("changed") / 60),
        **{name: inventory.column(name) for name in ("low", "high", "spread", "grain")},
        **_of_pixels(inventory.column("grey").astype(np.float32)),
    }
    return {name: values for name, values in known.items() if np.isfinite(values).all()}


def _of_pixels(grey: np.ndarray) -> dict[str, np.ndarray]:
    border = np.ones(grey.shape[1:], bool)
    border[EDGE:-EDGE, EDGE:-EDGE] = False
    side = grey.shape[1] // 8
    corners = grey[:, :side, :side], grey[:, :side, -side:], grey[:, -side:, :side], grey[:, -side:, -side:]
    mean, edge = grey.mean(axis=(1, 2)), grey[:, border]
    return {
        "mean": mean,
        "step": abs(np.diff(grey, axis=1)).mean(axis=(1, 2)) + abs(np.diff(grey, axis=2)).mean(axis=(1, 2)),
        "border": edge.mean(axis=1),
        "border_spread": edge.std(axis=1),
        "border_step": edge.mean(axis=1) - grey[:, ~border].mean(axis=1),
        **{f"corner_{k}": corner.mean(axis=(1, 2)) - mean for k, corner in enumerate(corners)},
    }


def _tails(known: dict[str, np.ndarray], count: int) -> Tails:
    names: list[tuple[str, str]] = []
    bins: list[np.ndarray] = []
    sizes = np.full((2 * len(known), STEPS), np.inf)
    wanted = np.geomspace(LEAST, max(LEAST, count / 2), STEPS).round().astype(int)
    for name, values in known.items():
        for tail, sign in (("low", 1), ("high", -1)):
            ordered = np.sort(sign * values)
            cuts = np.unique(np.searchsorted(ordered, ordered[np.minimum(wanted, count) - 1], side="right"))
            cuts = cuts[(cuts >= LEAST) & (cuts <= count - LEAST)]  # equal values stay together
            if len(cuts):
                sizes[len(names), : len(cuts)] = cuts
                place = np.searchsorted(ordered[cuts - 1], sign * values, side="left")
                bins.append(np.where(place == len(cuts), STEPS, place))
                names.append((name, tail))
    return Tails(names, np.array(bins, np.int64).reshape(len(names), count), sizes[: len(names)])


def _strengths(tails: Tails, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(T, C, classes) the statistic of each end, cut and class, and the counts that it is made of."""
    share = np.bincount(labels, minlength=classes) / len(labels)
    shape = len(tails.names), STEPS + 1, classes
    place = (np.arange(shape[0])[:, None] * shape[1] + tails.bins) * classes + labels
    inside = np.bincount(place.ravel(), minlength=int(np.prod(shape))).reshape(shape)[:, :-1].cumsum(axis=1)
    return _berk_jones(inside, tails.sizes[:, :, None], share), inside


def _berk_jones(hits: np.ndarray, count: np.ndarray, share: np.ndarray) -> np.ndarray:
    """count x KL(hits / count, share) where there are more than usual, else 0."""
    q, p = hits / count, np.clip(share, 1e-9, 1 - 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        own, rest = np.where(q > 0, q * np.log(q / p), 0), np.where(q < 1, (1 - q) * np.log((1 - q) / (1 - p)), 0)
        return np.where(q > p, count * (own + rest), 0)


def _null(tails: Tails, labels: np.ndarray, groups: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """(draws,) the largest statistic when groups change places: blocks of labels in random order, rolled, laid on the
    images in the order of their groups."""
    order = np.argsort(groups, kind="stable")
    blocks = np.split(labels[order], np.flatnonzero(np.diff(groups[order])) + 1)
    largest = np.zeros(DRAWS)
    for draw in range(DRAWS):
        mixed = np.empty_like(labels)
        laid = np.concatenate([blocks[k] for k in rng.permutation(len(blocks))])
        mixed[order] = np.roll(laid, int(rng.integers(len(laid))))
        largest[draw] = _strengths(tails, mixed, classes)[0].max()
    return largest


def _told(
    tails: Tails,
    null: np.ndarray | None,
    labels: np.ndarray,
    inventory: Inventory,
    seen: np.ndarray,
    groups: int,
) -> list[Finding]:
    values, counts = _strengths(tails, labels, len(inventory.classes))
    best = values.max(axis=1)
    share = np.bincount(labels, minlength=best.shape[1]) / len(labels)
    found: dict[str, Finding] = {}
    for place in np.argsort(-best, axis=None, kind="stable"):
        k, label = divmod(int(place), best.shape[1])
        name, tail = tails.names[k]
        value, cut = best[k, label], int(values[k, :, label].argmax())
        p = 1.0 if null is None else float((1 + (null >= value).sum()) / (1 + len(null)))
        if value <= 0 or (null is not None and p > ALARM) or len(found) == (MOST_TOLD if null is not None else 1):
            break
        m, hits = int(tails.sizes[k, cut]), int(counts[k, cut, label])
        weak = hits * (1 - share[label]) < LIFT * share[label] * (m - hits) or hits < LEAST / 2
        if name in found or weak:
            continue
        rows = seen[np.flatnonzero((tails.bins[k] <= cut) & (labels == label))]
        facts = {"property": name, "tail": tail, "m": m, "n": hits, "label": inventory.classes[label]}
        facts |= {"chance": round(float(share[label] * m)), "p": round(p, 3), "groups": groups, "least": GROUPS}
        severity = "note" if null is None or name in CONTENT else "warning"
        kind = "shortcut" if null is not None else "shortcut_effect"
        found[name] = Finding(kind, severity, single(rows), facts)
    return list(found.values())
