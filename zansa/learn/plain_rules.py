"""The rivals of every network: what a few seconds of plain rules reach on the same images.

Always the commonest class; the nearest neighbour on thumbnails; logistic regression on two dozen plain statistics
(`proof.traits`). A network that is not clearly better than these has learnt nothing that is worth its price.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ..arch.use import Calibration, OperatingPoint
from ..proof.calibration import apply, fit
from ..proof.decide import decisions, named
from ..proof.figures import figures
from ..proof.pairs import sign_flip
from ..proof.traits import thumbnails, traits
from .data.dataset import Dataset
from .data.splits import Parts
from .folds import HeldOut, to_one_line

LEARNT_FROM = 5_000  # training images at most, evenly spread
VALUES = 2e8  # of training images together, at most
CHANNELS = 8  # a series of up to so many is known by the traits of each
BLOCK = 512  # images compared at a time
OUTLIER = 5.0  # standard deviations beyond which a trait counts as this
LEVEL = 0.05

Choose = Callable[[np.ndarray, np.ndarray], OperatingPoint | None]  # from validation (n, K) and (n,)


@dataclass(frozen=True, eq=False)
class Rival:
    """A plain rule and what it says of the same images as the network.

    name: of the rule.
    probabilities: (n, K) by the name of the index.
    operating: its point, chosen as that of the network, on "validation".
    figures: by the name of the index, in the form of `proof.figures`.
    seconds: what learning and answering took.
    """

    name: str
    probabilities: dict[str, np.ndarray]
    operating: OperatingPoint | None
    figures: dict[str, dict[str, Any]]
    seconds: float


def rivals(
    data: Dataset, train: np.ndarray, judged: Mapping[str, np.ndarray], choose: Choose, balanced: bool = True
) -> list[Rival]:
    """All rivals, taught on the images `train` of a data set and judged on others.

    `judged` holds indices by name, "validation" among them, on which each rival's line is chosen by `choose`. With
    `balanced` rare classes count as much as common ones in the regression, as they do in the training of networks.
    """
    taught = train[np.linspace(0, len(train) - 1, _affordable(data, len(train))).round().astype(int)]
    return [_judge(name, rule, data, taught, judged, choose, balanced) for name, rule in RULES.items()]


def rivals_by_folds(
    data: Dataset, folds: Sequence[Parts], choose: Callable[[Parts], Choose], balanced: bool = True
) -> list[Rival]:
    """All rivals, taught anew for each fold and judged on what it holds out, as "test": every sample once, in the order
    of the data set, by the line that `choose` of the fold's parts has chosen."""
    found = [
        rivals(data, parts.train, {"validation": parts.val, "test": parts.test}, choose(parts), balanced)
        for parts in folds
    ]
    return [_joined(data, folds, each) for each in zip(*found, strict=True)]


def _joined(data: Dataset, folds: Sequence[Parts], several: Sequence[Rival]) -> Rival:
    """One rival of those of all folds; each sample's probabilities are moved to the line of the first fold."""
    index, p = (np.concatenate(each) for each in ([f.test for f in folds], [r.probabilities["test"] for r in several]))
    order, operating = index.argsort(), several[0].operating
    index, p = index[order], p[order]
    if operating is not None:
        lines = [r.operating.threshold for r in several if r.operating is not None]
        line = np.repeat(lines, [len(f.test) for f in folds])[order]
        p = to_one_line(HeldOut(index, p, line), data.classes.index(operating.good), operating.threshold)
    told = {"test": figures(p, data.labels[index], data.classes, operating)}
    return Rival(several[0].name, {"test": p}, operating, told, sum(each.seconds for each in several))


def lead(
    probabilities: np.ndarray,
    operating: OperatingPoint | None,
    rival: Rival,
    part: str,
    data: Dataset,
    index: np.ndarray,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """How far a network is ahead of a rival on images `index` of the data set, called `part`, and whether clearly so.

    Compared are right decisions (accept or reject at each one's line; the class that is named where there is none, by
    the network under its `calibration`), each side or class with equal weight; by flipping the signs of whole groups.
    """
    truth = data.labels[index]
    mine = _right(probabilities, operating, truth, data.classes, calibration)
    theirs = _right(rival.probabilities[part], rival.operating, truth, data.classes)
    side = (truth != data.classes.index(operating.good)).astype(int) if operating else truth
    counts = np.bincount(side)
    weight = len(truth) / ((counts > 0).sum() * counts[side])
    found = sign_flip((mine - theirs) * weight, None if data.groups is None else data.groups[index])
    return {
        "rival": rival.name,
        "network": float((mine * weight).mean()),
        "value": float((theirs * weight).mean()),
        **found,
        "clear": found["p"] <= LEVEL and found["difference"] > 0,
    }


# --- the rules --------------------------------------------------------------------------------------------------------


def _commonest(
    data: Dataset, train: np.ndarray, judged: Mapping[str, np.ndarray], balanced: bool
) -> dict[str, np.ndarray]:
    counts = np.bincount(data.labels[train], minlength=len(data.classes)) + 1
    return {name: np.tile(counts / counts.sum(), (len(index), 1)) for name, index in judged.items()}


def _nearest(
    data: Dataset, train: np.ndarray, judged: Mapping[str, np.ndarray], balanced: bool
) -> dict[str, np.ndarray]:
    """Likeness to the nearest thumbnail of each class, made probabilities by one scale fitted on validation."""
    order = train[np.argsort(data.labels[train], kind="stable")]
    known, labels = _thumbnails(data, order), data.labels[order]
    present, first = np.unique(labels, return_index=True)
    like = {name: np.full((len(index), len(data.classes)), -1.0) for name, index in judged.items()}
    for name, index in judged.items():
        for i in range(0, len(index), BLOCK):
            products = _thumbnails(data, index[i : i + BLOCK]) @ known.T
            like[name][i : i + BLOCK, present] = np.maximum.reduceat(products, first, axis=1)
    scale = fit(like["validation"], data.labels[judged["validation"]], balance="none")
    return {name: apply(values, scale) for name, values in like.items()}


def _regression(
    data: Dataset, train: np.ndarray, judged: Mapping[str, np.ndarray], balanced: bool
) -> dict[str, np.ndarray]:
    known = _traits(data, train)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    spread = np.where(spread > 1e-9 * (1 + abs(mean)), spread, np.inf)  # what never varies tells nothing

    def scaled(values: np.ndarray) -> np.ndarray:
        return np.clip((values - mean) / spread, -OUTLIER, OUTLIER)

    model = LogisticRegression(class_weight="balanced" if balanced else None, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rival need not be polished
        model.fit(scaled(known), data.labels[train])
    found = {name: np.zeros((len(index), len(data.classes))) for name, index in judged.items()}
    for name, index in judged.items():
        found[name][:, model.classes_] = model.predict_proba(scaled(_traits(data, index)))
    return found


RULES = {
    "commonest class": _commonest,
    "nearest thumbnail": _nearest,
    "plain statistics": _regression,
}


# --- parts of the above -----------------------------------------------------------------------------------------------


def _affordable(data: Dataset, count: int) -> int:
    return min(count, LEARNT_FROM, max(200, int(VALUES / np.prod(data.images.shape[1:]))))


def _judge(
    name: str,
    rule: Callable[..., dict[str, np.ndarray]],
    data: Dataset,
    train: np.ndarray,
    judged: Mapping[str, np.ndarray],
    choose: Choose,
    balanced: bool,
) -> Rival:
    begun = perf_counter()
    p = rule(data, train, judged, balanced)
    operating = choose(p["validation"], data.labels[judged["validation"]])
    told = {part: figures(p[part], data.labels[index], data.classes, operating) for part, index in judged.items()}
    return Rival(name, p, operating, told, perf_counter() - begun)


def _right(
    p: np.ndarray,
    operating: OperatingPoint | None,
    truth: np.ndarray,
    classes: tuple[str, ...],
    calibration: Calibration | None = None,
) -> np.ndarray:
    if operating is None:
        return (named(p, calibration) == truth).astype(float)
    rejected = decisions(p[:, classes.index(operating.good)], operating) > 0
    return (rejected == (truth != classes.index(operating.good))).astype(float)


def _thumbnails(data: Dataset, index: np.ndarray) -> np.ndarray:
    return _by_channel(thumbnails, data.images[index]) if data.preprocess.series else thumbnails(data.images[index])


def _traits(data: Dataset, index: np.ndarray) -> np.ndarray:
    if data.preprocess.series and data.images.shape[2] <= CHANNELS:
        return _by_channel(traits, data.images[index])
    return traits(data.images[index])


def _by_channel(of: Callable[[np.ndarray], np.ndarray], series: np.ndarray) -> np.ndarray:
    """Of each channel of series by itself: the channels of a signal are no colours, and letters add up to the same."""
    found = [of(series[:, :, c : c + 1]) for c in range(series.shape[2])]
    return np.concatenate(found, axis=1) / np.sqrt(len(found))
