"""How good a network is: counts first, then figures with intervals; and where inspection draws its line.

Pure functions of class probabilities (N, K), true labels (N,) and class names (K). What comes back are plain
Python values, ready for JSON. A figure that the images cannot answer (recall of a class without an image, ROC
of images that are all good) is None, never a guess.
"""

import math
from collections.abc import Sequence
from itertools import islice, zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arch.use import OperatingPoint
from .good import good_class as good_class  # figures speak of the good class, and readers look for it here
from .rates import _mean_or_none, _mean_rate, _rate_or_none, rate

SUM_TOLERANCE = 0.01  # half precision adds up to 1 only so well
CALIBRATION_BINS = 15
ROC_POINTS = 200
FALSE_ALARM_SHARES = (0.01, 0.02, 0.05)


def figures(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    operating: OperatingPoint | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """All figures of N images from their (N, K) probabilities and (N,) labels.

    An image counts as its most probable class; inspection rejects it where 1 - p(good) >= threshold. AUCs are
    means over the classes that have images on both sides; the log loss takes no p below 2.2e-16. Raises
    ValueError for what are no probabilities, for labels outside the classes, and for an unknown good class.
    """
    p, truth = _checked(probabilities, labels, classes)
    confusion = _confusion(p, truth)
    right, counts, told = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    present = counts > 0
    two_sided = np.flatnonzero(present & (counts < len(truth)))
    areas = [_areas(truth == i, p[:, i]) for i in two_sided]
    return {
        "count": len(truth),
        "classes": list(classes),
        "accuracy": rate(right.sum(), len(truth), confidence),
        "balanced_accuracy": _mean_rate(right[present], counts[present], confidence),
        "per_class": [
            {
                "class": name,
                "count": int(counts[i]),
                "precision": _rate_or_none(right[i], told[i], confidence),
                "recall": _rate_or_none(right[i], counts[i], confidence),
            }
            for i, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "roc_auc": _mean_or_none([area["roc_auc"] for area in areas]),
        "pr_auc": _mean_or_none([area["pr_auc"] for area in areas]),
        "log_loss": _log_loss(p, truth),
        "calibration_error": _calibration_error(p, truth),
        "inspection": operating and _inspection(p, truth, classes, operating, confidence),
    }


def scores(probabilities: ArrayLike, classes: Sequence[str], good: str) -> np.ndarray:
    """1 - p(good) of (N, K) probabilities: (N,) float64, what inspection compares with its threshold."""
    return 1 - np.asarray(probabilities, dtype=np.float64)[:, _place(classes, good)]


def choose_threshold(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    good: str,
    max_false_alarms: float = 0.02,
) -> OperatingPoint:
    """The threshold of highest detection that rejects at most the share `max_false_alarms` of good images.

    For validation images only. Of n good images k = max(0, floor(share (n + 1)) - 1) may be rejected. So the
    share holds on these images and, on average, on new ones: (k + 1) / (n + 1) of these lie over the k + 1st
    highest score (split conformal prediction; Vovk, Gammerman & Shafer 2005). Where many thresholds detect
    the same, the line is in the middle between the lowest score that it detects and the next good one below.
    Raises ValueError without good images, and for a share outside 0 <= share < 1.
    """
    p, truth = _checked(probabilities, labels, classes)
    if not 0 <= max_false_alarms < 1:
        raise ValueError(f"max_false_alarms is {max_false_alarms}; allowed: a share, 0 <= share < 1")
    score, defect = scores(p, classes, good), truth != _place(classes, good)
    if defect.all():
        raise ValueError(f"no threshold: none of the {len(truth)} images is {good!r}; add good images")
    calm, faulty = np.sort(score[~defect]), score[defect]
    highest = float(calm[-1 - _allowed(len(calm), max_false_alarms)])
    threshold = 1.0 if highest == 1 else _middle(calm, faulty, highest)
    rule = _rule(calm, faulty, threshold, max_false_alarms)
    return OperatingPoint(good=good, threshold=threshold, rule=rule)


def doubtful(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    operating: OperatingPoint | None,
    count: int,
) -> list[dict[str, Any]]:
    """At most `count` images that a person should see, [{"index", "why"}], the worst first within a reason.

    With an operating point, in this order: "missed" (a defect let through, surest first), "false alarm" (a
    good image rejected, surest first), "confused" (rejected, but as another defect) and "doubtful" (right,
    nearest to the line). Without one: "confused" and "doubtful" (least ahead of the next class). The reasons
    share `count` in turn.
    """
    p, truth = _checked(probabilities, labels, classes)
    ranked = _by_line(p, truth, classes, operating) if operating else _by_class(p, truth)
    rounds = (zip(ranked, turn, strict=True) for turn in zip_longest(*ranked.values()))
    taken = list(islice(((why, i) for turn in rounds for why, i in turn if i is not None), count))
    return [{"index": i, "why": why} for reason in ranked for why, i in taken if why == reason]


# ---- checks ----------------------------------------------------------------------------------------------


def _checked(probabilities: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    p, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if len(classes) < 2:
        raise ValueError(f"{len(classes)} classes ({', '.join(classes)}); needed: at least two")
    if p.ndim != 2 or p.shape[1] != len(classes) or len(p) == 0:
        raise ValueError(f"probabilities have shape {p.shape}; needed: (images >= 1, {len(classes)} classes)")
    if truth.shape != (len(p),) or not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(f"labels are {truth.dtype} of shape {truth.shape}; needed: {len(p)} whole numbers")
    _check_values(p)
    _check_labels(truth, classes)
    return p, truth.astype(np.int64)


def _check_values(p: np.ndarray) -> None:
    broken = np.flatnonzero(~np.isfinite(p).all(axis=1))
    if len(broken):
        raise ValueError(
            f"the network's answers to {len(broken)} of {len(p)} images are NaN or infinite (first: image "
            f"{broken[0]}): it or its input is damaged; look at that image, or train at a lower learning rate"
        )
    odd = np.flatnonzero((p < 0).any(axis=1) | (p > 1).any(axis=1) | (abs(p.sum(axis=1) - 1) > SUM_TOLERANCE))
    if len(odd):
        values = np.array2string(p[odd[0]], precision=4, threshold=8)
        raise ValueError(
            f"image {odd[0]} has probabilities {values}; needed: from 0 to 1, with the sum 1; "
            "logits go through softmax first"
        )


def _check_labels(truth: np.ndarray, classes: Sequence[str]) -> None:
    outside = np.flatnonzero((truth < 0) | (truth >= len(classes)))
    if len(outside):
        raise ValueError(
            f"image {outside[0]} has label {truth[outside[0]]}; allowed: 0..{len(classes) - 1}, "
            f"places in the list of classes ({', '.join(classes)})"
        )


def _place(classes: Sequence[str], good: str) -> int:
    if good not in classes:
        raise ValueError(f"the good class {good!r} is not among the classes: {', '.join(classes)}; name one")
    return list(classes).index(good)


# ---- counts and intervals ----------------------------------------------------------------------------------


def _confusion(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    size = p.shape[1]
    return np.bincount(truth * size + p.argmax(axis=1), minlength=size * size).reshape(size, size)


def _log_loss(p: np.ndarray, truth: np.ndarray) -> float:
    true = p[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).eps)).mean())


def _calibration_error(p: np.ndarray, truth: np.ndarray) -> float:
    # Guo et al. 2017, "On calibration of modern neural networks", eq. 3.
    sure, right = p.max(axis=1), p.argmax(axis=1) == truth
    bins = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], sure)
    return float(abs(np.bincount(bins, weights=right - sure)).sum() / len(truth))


# ---- inspection --------------------------------------------------------------------------------------------


def _inspection(
    p: np.ndarray, truth: np.ndarray, classes: Sequence[str], operating: OperatingPoint, confidence: float
) -> dict[str, Any]:
    score, defect = scores(p, classes, operating.good), truth != _place(classes, operating.good)
    rejected = score >= operating.threshold
    return {
        "good": operating.good,
        "threshold": operating.threshold,
        "rule": operating.rule,
        "detection": _share(rejected, defect, confidence),
        "false_alarms": _share(rejected, ~defect, confidence),
        **_free_of_threshold(score, defect),
        "per_defect": [
            {"class": name, "detection": _share(rejected, truth == i, confidence)}
            for i, name in enumerate(classes)
            if name != operating.good
        ],
    }


def _share(rejected: np.ndarray, among: np.ndarray, confidence: float) -> dict[str, Any] | None:
    return _rate_or_none((rejected & among).sum(), among.sum(), confidence)


def _free_of_threshold(score: np.ndarray, defect: np.ndarray) -> dict[str, Any]:
    shares = {str(share): share for share in FALSE_ALARM_SHARES}
    if defect.all() or not defect.any():
        return {"roc_auc": None, "pr_auc": None, "detection_at": dict.fromkeys(shares), "roc": []}
    return {
        **_areas(defect, score),
        "detection_at": {text: _detection_at(score, defect, share) for text, share in shares.items()},
        "roc": _roc(score, defect),
    }


def _areas(positive: np.ndarray, score: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score  # a second, which only the end of a run needs

    return {"roc_auc": float(roc_auc_score(positive, score)), "pr_auc": float(average_precision_score(positive, score))}


def _detection_at(score: np.ndarray, defect: np.ndarray, share: float) -> float:
    calm = np.sort(score[~defect])
    highest = calm[-1 - _whole(share * len(calm))]
    return float((score[defect] > highest).mean())


def _roc(score: np.ndarray, defect: np.ndarray) -> list[list[float]]:
    from sklearn.metrics import roc_curve

    points = np.column_stack(roc_curve(defect, score)[:2])  # false alarms, detection
    if len(points) > ROC_POINTS:
        points = points[np.linspace(0, len(points) - 1, ROC_POINTS).round().astype(int)]
    return [[float(x), float(y)] for x, y in points]


# ---- the line ----------------------------------------------------------------------------------------------


def _whole(value: float) -> int:
    return math.floor(value + 1e-9)  # 0.29 * 100 is 28.999999999999996


def _allowed(good_images: int, share: float) -> int:
    return max(0, _whole(share * (good_images + 1)) - 1)


def _middle(calm: np.ndarray, faulty: np.ndarray, highest: float) -> float:
    above = float(faulty[faulty > highest].min(initial=1.0))
    below = float(calm[calm < above].max())
    middle = (below + above) / 2
    return middle if middle > below else above  # neighbours in float64 have no middle


def _rule(calm: np.ndarray, faulty: np.ndarray, threshold: float, share: float) -> str:
    rejected, found = int((calm >= threshold).sum()), int((faulty >= threshold).sum())
    said = (
        f"highest detection with at most {100 * share:g} % of good ones rejected; chosen on validation "
        f"data, where {rejected} of {len(calm)} good ones and {found} of {len(faulty)} defects are rejected"
    )
    if rejected > share * len(calm) + 1e-9:
        return f"{said}; the share cannot be kept, because p(good) is 0 for {rejected} good ones"
    return said if _whole(share * (len(calm) + 1)) else f"{said}; {_too_few(len(calm), share)}"


def _too_few(good_images: int, share: float) -> str:
    needed = f"{math.ceil(1 / share - 1e-9) - 1} are needed" if share else "no number is enough"
    return (
        f"{good_images} good ones cannot promise this for new ones ({needed}): "
        f"expect up to {100 / (good_images + 1):.2g} % of new good ones rejected on average"
    )


# ---- images to look at -------------------------------------------------------------------------------------


def _by_line(
    p: np.ndarray, truth: np.ndarray, classes: Sequence[str], operating: OperatingPoint
) -> dict[str, list[int]]:
    good = _place(classes, operating.good)
    score, defect = scores(p, classes, operating.good), truth != good
    rejected = score >= operating.threshold
    defects = np.where(np.arange(len(classes)) == good, -1.0, p)  # which defect, if it is one
    confused = defect & rejected & (defects.argmax(axis=1) != truth)
    return {
        "missed": _ranked(defect & ~rejected, score),
        "false alarm": _ranked(~defect & rejected, -score),
        "confused": _ranked(confused, -_lead(defects, truth)),
        "doubtful": _ranked((defect == rejected) & ~confused, abs(score - operating.threshold)),
    }


def _by_class(p: np.ndarray, truth: np.ndarray) -> dict[str, list[int]]:
    right, ordered = p.argmax(axis=1) == truth, np.sort(p, axis=1)
    return {
        "confused": _ranked(~right, -_lead(p, truth)),
        "doubtful": _ranked(right, ordered[:, -1] - ordered[:, -2]),
    }


def _lead(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    true = p[np.arange(len(truth)), truth]
    lead: np.ndarray = p.max(axis=1) - true  # of the class that is told over the true one
    return lead


def _ranked(among: np.ndarray, key: np.ndarray) -> list[int]:
    places = np.flatnonzero(among)
    return [int(i) for i in places[np.argsort(key[places], kind="stable")]]
