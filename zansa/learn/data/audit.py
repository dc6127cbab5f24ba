"""What is wrong with a data set: samples that stand in two parts or have two labels."""

from collections import defaultdict

from .dataset import Dataset
from .splits import PARTS, Parts


def leaks(dataset: Dataset, parts: Parts) -> list[tuple[str, str]]:
    """Names of identical images (by digest) that stand in two parts: for each part after the first, one pair."""
    first: dict[str, dict[str, int]] = defaultdict(dict)
    for part in PARTS:
        for i in getattr(parts, part).tolist():
            first[dataset.digests[i]].setdefault(part, i)
    copies = [list(found.values()) for found in first.values() if len(found) > 1]
    return [(dataset.names[found[0]], dataset.names[other]) for found in copies for other in found[1:]]


def contradictions(dataset: Dataset) -> list[tuple[str, str]]:
    """Names of identical images with different labels: the first of each label, paired with the first of all."""
    first: dict[str, dict[int, int]] = defaultdict(dict)
    for i, (digest, label) in enumerate(zip(dataset.digests, dataset.labels.tolist(), strict=True)):
        first[digest].setdefault(label, i)
    copies = [list(found.values()) for found in first.values() if len(found) > 1]
    return [(dataset.names[found[0]], dataset.names[other]) for found in copies for other in found[1:]]
