"""How good a network is: counts first, then figures with intervals.

These are pure functions of class probabilities (N, K), true labels (N,) and class names (K). They return plain Python
values, ready for JSON. A figure that the samples cannot answer (recall of a class without a sample, ROC of samples that
are all good) is None, never a guess.
"""

import math
from collections.abc import Sequence
from itertools import islice, zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arch.use import Calibration, OperatingPoint
from .calibration import calibration_error, reliability
from .decide import decisions, lines_of, log_odds, named
from .points import look, scored_parts
from .rates import mean_or_none, mean_rate, rate, rate_or_none

SUM_TOLERANCE = 0.01  # half precision adds up to 1 only so well
ROC_POINTS = 200
FALSE_ALARM_SHARES = (0.01, 0.02, 0.05)


def figures(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    operating: OperatingPoint | None = None,
    confidence: float = 0.95,
    groups: ArrayLike | None = None,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """All figures of N samples from their (N, K) probabilities and (N,) labels.

    A sample counts as the class that the network names (`decide.named`: the most probable one, where no `calibration`
    is given). Inspection decides by `operating`; where `groups`, (N,), name the parts that samples are of, it counts
    parts, each with its worst sample. AUCs are means over the classes that have samples on both sides; the log loss
    takes no p below 2.2e-16. ValueError for what are no probabilities, for labels outside the classes, and for an
    unknown good class.
    """
    p, truth = _checked(probabilities, labels, classes)
    confusion = _confusion(named(p, calibration), truth, p.shape[1])
    right, counts, told = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    present = counts > 0
    two_sided = np.flatnonzero(present & (counts < len(truth)))
    areas = [_areas(truth == i, p[:, i]) for i in two_sided]
    calibrated = calibration_error(p, truth, groups)
    return {
        "count": len(truth),
        "classes": list(classes),
        "accuracy": rate(right.sum(), len(truth), confidence),
        "balanced_accuracy": mean_rate(right[present], counts[present], confidence),
        "per_class": [
            {
                "class": name,
                "count": int(counts[i]),
                "precision": rate_or_none(right[i], told[i], confidence),
                "recall": rate_or_none(right[i], counts[i], confidence),
                "f1": f1(int(right[i]), int(told[i]), int(counts[i]), confidence),
            }
            for i, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "roc_auc": mean_or_none([area["roc_auc"] for area in areas]),
        "pr_auc": mean_or_none([area["pr_auc"] for area in areas]),
        "log_loss": _log_loss(p, truth),
        "calibration_error": calibrated["binned"],
        "calibration": calibrated,
        "inspection": operating and _inspection(p, truth, classes, operating, confidence, groups),
    }


def scores(probabilities: ArrayLike, classes: Sequence[str], good: str) -> np.ndarray:
    """1 - p(good) of (N, K) probabilities: (N,) float64, what inspection compares with its threshold."""
    return 1 - np.asarray(probabilities, dtype=np.float64)[:, _index(classes, good)]


def doubtful(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    operating: OperatingPoint | None,
    count: int,
) -> list[dict[str, Any]]:
    """At most `count` samples that a person should see, [{"index", "why"}], the worst first within a reason.

    With an operating point, the reasons are, in this order: "missed" (a defect let through, surest first), "false
    alarm" (a good sample rejected, surest first), "confused" (rejected, but as another defect) and "doubtful" (right,
    nearest to the line). Without one they are "confused" and "doubtful" (least ahead of the next class). The reasons
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
        raise ValueError(f"probabilities have shape {p.shape}; needed: (samples >= 1, {len(classes)} classes)")
    if truth.shape != (len(p),) or not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(f"labels are {truth.dtype} of shape {truth.shape}; needed: {len(p)} whole numbers")
    _check_values(p)
    _check_labels(truth, classes)
    return p, truth.astype(np.int64)


def _check_values(p: np.ndarray) -> None:
    broken = np.flatnonzero(~np.isfinite(p).all(axis=1))
    if len(broken):
        raise ValueError(
            f"the network's answers to {len(broken)} of {len(p)} samples are NaN or infinite (first: sample "
            f"{broken[0]}): it or its input is damaged; look at that sample, or train at a lower learning rate"
        )
    odd = np.flatnonzero((p < 0).any(axis=1) | (p > 1).any(axis=1) | (abs(p.sum(axis=1) - 1) > SUM_TOLERANCE))
    if len(odd):
        values = np.array2string(p[odd[0]], precision=4, threshold=8)
        raise ValueError(
            f"sample {odd[0]} has probabilities {values}; needed: from 0 to 1, with the sum 1; "
            "logits go through softmax first"
        )


def _check_labels(truth: np.ndarray, classes: Sequence[str]) -> None:
    outside = np.flatnonzero((truth < 0) | (truth >= len(classes)))
    if len(outside):
        raise ValueError(
            f"sample {outside[0]} has label {truth[outside[0]]}; allowed: 0..{len(classes) - 1}, "
            f"indices into the list of classes ({', '.join(classes)})"
        )


def _index(classes: Sequence[str], good: str) -> int:
    if good not in classes:
        raise ValueError(f"the good class {good!r} is not among the classes: {', '.join(classes)}; name one")
    return list(classes).index(good)


# ---- counts and intervals ----------------------------------------------------------------------------------


def _confusion(told: np.ndarray, truth: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(truth * size + told, minlength=size * size).reshape(size, size)


def f1(right: int, told: int, count: int, confidence: float = 0.95) -> dict[str, Any] | None:
    """F1, the harmonic mean of precision and recall, of `right` of `told` and of `count`; None where both are 0.

    Its interval is exact given how many samples are told or are of the class: F1 = 2 J / (1 + J) rises with the share J
    of them that are both.
    """
    if told + count == right:
        return None
    shared = rate(right, told + count - right, confidence)
    return {end: 2 * shared[end] / (1 + shared[end]) for end in ("value", "low", "high")} | {"confidence": confidence}


def _log_loss(p: np.ndarray, truth: np.ndarray) -> float:
    true = p[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).eps)).mean())


# ---- inspection --------------------------------------------------------------------------------------------


def _inspection(
    p: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    operating: OperatingPoint,
    confidence: float,
    groups: ArrayLike | None,
) -> dict[str, Any]:
    good = _index(classes, operating.good)
    odds, (ask, reject) = log_odds(p[:, good]), lines_of(operating)
    parts = scored_parts(odds, truth != good, groups)
    seen = look(parts, reject, ask, confidence)
    rejected = parts.score >= reject
    hits, told, count = (int(each.sum()) for each in (rejected & parts.defect, rejected, parts.defect))
    return {
        "good": operating.good,
        "threshold": operating.threshold,
        "ask": operating.ask,
        "basis": operating.basis,
        "rule": operating.rule,
        "unit": "part" if parts.joined else "sample",
        **seen,
        "precision": rate_or_none(hits, told, confidence),
        "f1": f1(hits, told, count, confidence),
        **_free_of_threshold(parts.score, parts.defect),
        "per_defect": [
            {"class": name, **_kind(odds, truth == i, groups, ask, reject, confidence)}
            for i, name in enumerate(classes)
            if name != operating.good
        ],
        "reliability": reliability(1 - p[:, good], truth != good, groups, confidence),
    }


def _kind(
    odds: np.ndarray, among: np.ndarray, groups: ArrayLike | None, ask: float, reject: float, confidence: float
) -> dict[str, Any]:
    """How many parts of one kind of defect are found, and how many of them a person is asked about."""
    own = None if groups is None else np.asarray(groups)[among]
    seen = look(scored_parts(odds[among], among[among], own), reject, ask, confidence)
    return {"detection": seen["detection"], "asked": seen["asked"]}


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
    highest = calm[-1 - math.floor(share * len(calm) + 1e-9)]  # 0.29 * 100 is 28.999999999999996
    return float((score[defect] > highest).mean())


def _roc(score: np.ndarray, defect: np.ndarray) -> list[list[float]]:
    from sklearn.metrics import roc_curve

    points = np.column_stack(roc_curve(defect, score)[:2])  # false alarms, detection
    if len(points) > ROC_POINTS:
        points = points[np.linspace(0, len(points) - 1, ROC_POINTS).round().astype(int)]
    return [[float(x), float(y)] for x, y in points]


# ---- samples to look at ------------------------------------------------------------------------------------


def _by_line(
    p: np.ndarray, truth: np.ndarray, classes: Sequence[str], operating: OperatingPoint
) -> dict[str, list[int]]:
    good = _index(classes, operating.good)
    score, defect = scores(p, classes, operating.good), truth != good
    done = decisions(p[:, good], operating)
    shown = done > 0  # rejected, or shown to a person
    defects = np.where(np.arange(len(classes)) == good, -1.0, p)  # which defect, if it is one
    confused = defect & shown & (defects.argmax(axis=1) != truth)
    right = np.where(defect, shown, done < 2)
    return {
        "missed": _ranked(defect & ~shown, score),
        "false alarm": _ranked(~defect & ~right, -score),
        "confused": _ranked(confused, -_lead(defects, truth)),
        "doubtful": _ranked(right & ~confused, abs(score - operating.threshold)),
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
    indices = np.flatnonzero(among)
    return [int(i) for i in indices[np.argsort(key[indices], kind="stable")]]
