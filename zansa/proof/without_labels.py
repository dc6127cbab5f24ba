"""Figures without labels. Each assumes something that it cannot check, and says so: none of them can see a new kind of
defect (Garg et al. 2022 prove that no such figure can in general)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..phrases import phrase

ASSUMES = {
    "accuracy": phrase("assumes that nothing new appears: the same kinds of parts as at the acceptance"),
    "share": phrase("assumes that only the share of defects moves, and that parts and pictures look as before"),
}


def accuracy(sure: ArrayLike, right: ArrayLike, now: ArrayLike) -> dict[str, Any]:
    """The accuracy now, by average thresholded confidence (Garg et al. 2022): of validation samples the probability of
    the named class `sure` and whether it was `right`, and of parts `now` that probability."""
    confident, good = np.sort(np.asarray(sure, float)), float(np.asarray(right, float).mean())
    line = np.quantile(confident, 1 - good)
    return {"value": float((np.asarray(now) >= line).mean()), "then": good, "assumes": ASSUMES["accuracy"]}


def defect_share(
    validation: ArrayLike, defect: ArrayLike, now: ArrayLike, line: float, calm: bool, rounds: int = 100
) -> dict[str, Any] | None:
    """The share of defects now, from scores 1 - p(good): by the confusion matrix (`matrix`, Lipton et al. 2018) and by
    expectation maximisation (`likelihood`, Saerens et al. 2002). None unless the features are calm: otherwise both read
    dirt as defects. ValueError where validation has one kind alone.
    """
    old, is_defect, new = np.asarray(validation, float), np.asarray(defect, bool), np.asarray(now, float)
    if is_defect.all() or not is_defect.any():
        raise ValueError("the validation samples are all good or all defective; needed: both kinds")
    if not calm:
        return None
    found, false = (old[is_defect] >= line).mean(), (old[~is_defect] >= line).mean()
    matrix = float(np.clip(((new >= line).mean() - false) / (found - false), 0, 1)) if found > false else None
    prior = float(is_defect.mean())
    share = prior
    for _ in range(rounds):
        odds = new * share / prior
        share = float((odds / (odds + (1 - new) * (1 - share) / (1 - prior))).mean())
    return {"matrix": matrix, "likelihood": share, "then": prior, "assumes": ASSUMES["share"]}
