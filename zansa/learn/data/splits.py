"""Which images train, which decide, which prove: stratified by class, whole groups kept together."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .dataset import Dataset
from .sources import shortened

PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Parts:
    """Indices into a data set, int64, rising; no image stands in two of them."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split(dataset: Dataset, seed: int, val: float = 0.15, test: float = 0.15) -> Parts:
    """The parts the source gives; what it does not give is drawn from its training part, seeded.

    Drawn parts have about the same share of every class (`val` and `test` are shares of what is drawn from), every
    class in train, and never a part of a group, nor copies of one image, on two sides. ValueError when a class has
    too few images (or groups) to be learnt and tested, or a part would be empty.
    """
    _refuse_shares(val, test)
    _refuse_classes(dataset)
    parts = (
        {"train": np.arange(len(dataset))} if dataset.split is None else _given(dataset.split, dataset.preprocess.noun)
    )
    _refuse_torn_groups(dataset, parts)
    shares = {name: share for name, share in (("val", val), ("test", test)) if name not in parts}
    if shares:
        parts |= _drawn(dataset, parts["train"], shares, np.random.default_rng(seed))
    _refuse_parts(dataset, parts)
    return Parts(*(np.sort(parts[name]).astype(np.int64) for name in PARTS))


def folds(dataset: Dataset, count: int, seed: int, val: float = 0.15) -> list[Parts]:
    """Parts for each of `count` trainings: every image is in one test part, and whole groups stay together. What is not
    tested is for training, but for the share `val`. ValueError when the source gives a split, or where a class has too
    few images or groups to be held out."""
    noun = dataset.preprocess.noun
    if dataset.split is not None:
        raise ValueError(
            f"the {noun}s have a split, and folds hold out every {noun} once; leave the split out, or --folds"
        )
    _refuse_classes(dataset)
    everything, random = np.arange(len(dataset)), np.random.default_rng([seed, count])
    counts, _ = _units(dataset, everything)
    _refuse_units(dataset, counts)
    if len(counts) < count:
        raise ValueError(f"{count} folds were asked; allowed: up to {len(counts)}, as many as there are groups")
    held = _drawn(dataset, everything, {f"fold {k}": 1 / count for k in range(1, count)}, random)
    made = []
    for test in held.values():
        rest = _drawn(dataset, np.setdiff1d(everything, test), {"val": val}, random)
        parts = {"train": rest["train"], "val": rest["val"], "test": test}
        _refuse_parts(dataset, parts)
        made.append(Parts(*(np.sort(parts[name]).astype(np.int64) for name in PARTS)))
    return made


def all_but_validation(dataset: Dataset, seed: int, val: float = 0.15) -> Parts:
    """Parts for a network that learns from all images but the share `val`; there is no test part."""
    parts = _drawn(dataset, np.arange(len(dataset)), {"val": val}, np.random.default_rng(seed))
    _refuse_parts(dataset, parts | {"test": parts["val"]})
    return Parts(np.sort(parts["train"]), np.sort(parts["val"]), np.arange(0))


# --- refusals ------------------------------------------------------------------------------------------------------


def _refuse_shares(val: float, test: float) -> None:
    if not (0 < val < 1 and 0 < test < 1 and val + test < 1):
        raise ValueError(f"val={val} and test={test} were asked; allowed: shares above 0 that leave some to train on")


def _refuse_classes(dataset: Dataset) -> None:
    if len(dataset.classes) < 2:
        raise ValueError(
            f"there is one class only ({', '.join(dataset.classes)}); at least two are needed to tell them apart. When "
            "each folder was meant as a class, name the folder above or below"
        )
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    single = [name for name, count in zip(dataset.classes, counts, strict=True) if count == 1]
    if single:
        raise ValueError(
            f"class {shortened(single)} has one {dataset.preprocess.noun}; at least two are needed, one to learn from "
            f"and one to test. Add {dataset.preprocess.noun}s, or leave the class out"
        )


def _refuse_torn_groups(dataset: Dataset, parts: dict[str, np.ndarray]) -> None:
    if dataset.groups is None:
        return
    groups = {name: set(dataset.groups[index].tolist()) for name, index in parts.items()}
    for one, other in combinations(groups, 2):
        torn = sorted(groups[one] & groups[other])
        if torn:
            raise ValueError(
                f"{dataset.preprocess.noun}s of group {shortened(torn)} stand in {one} and in {other}: what was learnt "
                "of a part would be tested on the same part. Give each group one split, or remove the split column"
            )


def _refuse_parts(dataset: Dataset, parts: dict[str, np.ndarray]) -> None:
    for name in PARTS:
        if not len(parts[name]):
            noun = dataset.preprocess.noun
            raise ValueError(f"the {name} part is empty: {len(dataset)} {noun}s or their groups are too few; add some")
    absent = np.setdiff1d(np.arange(len(dataset.classes)), dataset.labels[parts["train"]])
    if len(absent):
        names = shortened([dataset.classes[i] for i in absent])
        if len(dataset.classes) - len(absent) == 1:
            alone = next(name for i, name in enumerate(dataset.classes) if i not in absent)
            raise ValueError(
                f"the train part holds {alone} alone; images of {names} are in other parts only, as in sets for "
                "finding anomalies (MVTec AD); zansa learns from images of every class: put all images into one "
                f"folder per class ({alone}, {names}) without parts, or list them in a manifest, and it splits "
                "them"
            )
        raise ValueError(
            f"class {names} has no {dataset.preprocess.noun} in the train part; a class must be there to be learnt"
        )


# --- given and drawn -----------------------------------------------------------------------------------------------


def _given(column: np.ndarray, noun: str) -> dict[str, np.ndarray]:
    parts = {name: np.flatnonzero(column == name) for name in PARTS if name in column}
    if "train" not in parts:
        raise ValueError(f"the source gives only {', '.join(parts)} {noun}s; needed: train {noun}s too")
    return parts


def _drawn(
    dataset: Dataset, pool: np.ndarray, shares: dict[str, float], random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Iterative stratification (Sechidis et al. 2011) of units: the rarest class first, each unit to the part that
    still lacks most of this class."""
    counts, unit_of = _units(dataset, pool)
    if "test" in shares:  # otherwise the class is tested on the images the source gives
        _refuse_units(dataset, counts)
    names = ["train", *shares]
    lacking = _targets(counts, shares)
    part_of = np.full(len(counts), -1)
    for unit, label in _order(counts, random):
        part = _neediest(lacking, label, random)
        part_of[unit] = part
        lacking[part] -= counts[unit]
    _into_train(counts, part_of)
    return {name: pool[part_of[unit_of] == number] for number, name in enumerate(names)}


def _units(dataset: Dataset, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(units, classes) images of each class in each unit, and the unit of each image of the pool.

    A unit is what must stay together: a group, and all copies of one image; where these overlap, all of them.
    """
    digests = np.unique(np.array(dataset.digests)[pool], return_inverse=True)[1]
    groups = np.arange(len(pool)) if dataset.groups is None else np.unique(dataset.groups[pool], return_inverse=True)[1]
    nodes, bonds = groups.max() + 1, (groups, groups.max() + 1 + digests)
    size = nodes + digests.max() + 1
    graph = coo_array((np.ones(len(pool)), bonds), shape=(size, size))
    unit_of = np.unique(connected_components(graph, directed=False)[1][groups], return_inverse=True)[1]
    counts = np.zeros((unit_of.max() + 1, len(dataset.classes)), np.int64)
    np.add.at(counts, (unit_of, dataset.labels[pool]), 1)
    return counts, unit_of


def _refuse_units(dataset: Dataset, counts: np.ndarray) -> None:
    single, noun = [dataset.classes[i] for i in np.flatnonzero((counts > 0).sum(axis=0) == 1)], dataset.preprocess.noun
    if single:
        raise ValueError(
            f"all {noun}s of class {shortened(single)} are one group, or copies of one {noun}; they cannot be learnt "
            "and tested on different ones. Add others, leave the class out, or give the split yourself"
        )


def _targets(counts: np.ndarray, shares: dict[str, float]) -> np.ndarray:
    """(1 + parts, classes) images wanted: train's first, then the shares; at least one unit of a
    class goes to test when it has two, and one to val when it has three."""
    total, units = counts.sum(axis=0), (counts > 0).sum(axis=0)
    one = total / np.maximum(units, 1)
    wanted = [
        np.where(units >= enough, np.maximum(shares[name] * total, one), 0)
        for enough, name in enumerate(sorted(shares), start=2)  # test before val
    ]
    by_name = dict(zip(sorted(shares), wanted, strict=True))
    return np.stack([total - sum(wanted), *(by_name[name] for name in shares)])


def _order(counts: np.ndarray, random: np.random.Generator) -> Iterable[tuple[int, int]]:
    """(unit, its rarest class): rarest class first, within it the largest unit first, ties at random."""
    rarity = np.argsort(np.argsort((counts > 0).sum(axis=0), kind="stable"))
    rarest = np.where(counts > 0, rarity, len(rarity)).argmin(axis=1)
    order = np.lexsort((random.permutation(len(counts)), -counts.sum(axis=1), rarity[rarest]))
    return zip(order.tolist(), rarest[order].tolist(), strict=True)


def _neediest(lacking: np.ndarray, label: int, random: np.random.Generator) -> int:
    need = lacking[:, label]
    most = np.flatnonzero(need >= need.max() - 1e-9)
    return int(random.choice(most))


def _into_train(counts: np.ndarray, part_of: np.ndarray) -> None:
    """Groups of several classes can leave train without one: its smallest unit moves there."""
    for label in range(counts.shape[1]):
        holders = np.flatnonzero(counts[:, label])
        if len(holders) and not (part_of[holders] == 0).any():
            part_of[holders[counts[holders].sum(axis=1).argmin()]] = 0
