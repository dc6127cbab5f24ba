"""Probabilities that mean what they say: softmax(a f + log prior), and how far they are off.

Networks trained with balanced classes answer for equal shares of the classes. One number `a`, fitted on validation
images, and the log of the true shares mend that; more numbers overfit a few hundred images (at 100 images log loss .330
so, .716 with a scale for each class, .897 with isotonic curves, .317 at best).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import rankdata

from ..arch.use import Calibration
from .decide import logits_of
from .exact import lower_limit, upper_limit

FEWEST = 50  # validation parts for a fit
WIDEST = 100.0  # a is from 1 / WIDEST to WIDEST
# How much of the classes' shares the training took out of the answers, by Recipe.balance: all of it, half of it (each
# loss is divided by the root of its share), nothing.
BALANCES = {"logit": 1.0, "weights": 0.5, "none": 0.0}
BINS = 15
RELIABILITY_BINS = 8
SIMULATIONS = 200


def fit(logits: ArrayLike, labels: ArrayLike, groups: ArrayLike | None = None, balance: str = "logit") -> Calibration:
    """The calibration of (N, K) logits of validation images by their (N,) labels.

    `balance` is how the network was trained (Recipe.balance). Shares of the classes are those of the labels, (count +
    1) / (N + K). `a` has the least log loss; with fewer than 50 parts (images where `groups` is None) it stays 1.
    ValueError for logits that are no numbers, for labels outside the classes, and for an unknown balance.
    """
    f, truth = _checked(logits, labels)
    if balance not in BALANCES:
        raise ValueError(f"balance is {balance!r}; allowed: {', '.join(BALANCES)}")
    size = f.shape[1]
    prior = (np.bincount(truth, minlength=size) + 1) / (len(truth) + size)
    shift = BALANCES[balance] * np.log(prior)
    count = len(truth) if groups is None else len(np.unique(np.asarray(groups)))

    def loss(log_scale: float) -> float:
        return _log_loss(np.exp(log_scale) * f + shift, truth)

    fitted = count >= FEWEST
    reach = np.log(WIDEST)
    scale = float(np.exp(minimize_scalar(loss, bounds=(-reach, reach), method="bounded").x)) if fitted else 1.0
    return Calibration(
        scale=scale,
        shift=tuple(map(float, shift)),
        prior=tuple(map(float, prior)),
        count=count,
        before=_log_loss(f, truth),
        after=loss(np.log(scale)),
        fitted=fitted,
    )


def apply(logits: ArrayLike, calibration: Calibration) -> np.ndarray:
    """Calibrated probabilities of (N, K) logits."""
    f = calibration.scale * np.asarray(logits, dtype=np.float64) + np.asarray(calibration.shift)
    return np.asarray(softmax(f, axis=1))


# --- how far off ----------------------------------------------------------------------------------------------------


def calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike | None = None, seed: int = 0
) -> dict[str, Any]:
    """How far the sureness of the most probable class is from how often it is right, on (N, K) and (N,).

    `error` is the debiased l2 error (Kumar, Liang & Ma 2019, 1909.10155, section 5) over 15 bins of equal count, 0 when
    the raw value is negative; `binned` the usual one over 15 even bins (Guo et al. 2017, equation 3), which is never 0.
    Beside each is its chance level: what a perfect network would reach on so many images, mean and 95 % quantile of 200
    simulations; images of one part are simulated as right together. `beyond_chance`: `error` is above the quantile.
    Log loss and Brier score stand beside those of the plain shares of the classes.
    """
    p, truth = _checked(probabilities, labels)
    sure, right = p.max(axis=1), p.argmax(axis=1) == truth
    simulated = _perfect(sure, groups, np.random.default_rng(seed))
    found = {"error": debiased(sure, right[None])[0], "binned": binned(sure, right[None])[0]}
    chance = {"error": debiased(sure, simulated), "binned": binned(sure, simulated)}
    levels = {f"{name}_chance": float(values.mean()) for name, values in chance.items()}
    tops = {f"{name}_chance_95": float(np.quantile(values, 0.95)) for name, values in chance.items()}
    base = np.broadcast_to(np.bincount(truth, minlength=p.shape[1]) / len(truth), p.shape)
    return {
        **{name: float(value) for name, value in found.items()},
        **levels,
        **tops,
        "beyond_chance": bool(found["error"] > tops["error_chance_95"]),
        "log_loss": _log_loss(logits_of(p), truth),
        "log_loss_base": _log_loss(logits_of(base), truth),
        "brier": _brier(p, truth),
        "brier_base": _brier(base, truth),
        "count": len(truth),
    }


def binned(sure: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The binned calibration error of (N,) probabilities for each row of (R, N) outcomes: (R,)."""
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], sure)
    return np.asarray(abs((right - sure) @ np.eye(BINS)[bins]).sum(axis=1) / len(sure))


def debiased(sure: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The debiased l2 calibration error of (N,) probabilities for each row of (R, N) outcomes: (R,)."""
    return np.sqrt(np.maximum(0.0, debiased_square(sure, right)))


def debiased_square(sure: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The square of the debiased l2 error before it is cut at 0, (R,): its mean is 0 for perfect probabilities."""
    count = len(sure)
    bins = max(1, min(BINS, count // 2))
    member = np.eye(bins)[(np.argsort(np.argsort(sure, kind="stable"), kind="stable") * bins) // count]
    size = member.sum(axis=0)
    mean, share = (sure @ member) / size, (right.astype(float) @ member) / size
    noise = share * (1 - share) / np.maximum(1, size - 1)
    return np.asarray(((mean - share) ** 2 - noise) @ size / count)


def reliability(
    p_defect: ArrayLike, defect: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """The reliability table of (N,) probabilities of a defect: 8 bins of equal count, by rising probability.

    Each row has `low_p`, `p` (mean) and `high_p` of its images, `count`, `parts`, `hits`, `value` = hits / count, and
    the exact limits `low` and `high`; where parts have several images these count the parts, which is safe. Equal
    probabilities stay in one bin, so there may be fewer bins.
    """
    p, hit = np.asarray(p_defect, dtype=float), np.asarray(defect, dtype=bool)
    if p.ndim != 1 or p.shape != hit.shape or len(p) == 0 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"probabilities of shape {p.shape} and {hit.shape} outcomes; needed: the same, from 0 to 1")
    names = np.arange(len(p)) if groups is None else np.asarray(groups)
    bins = np.floor((rankdata(p) - 0.5) * RELIABILITY_BINS / len(p))
    return [_row(p[bins == b], hit[bins == b], len(np.unique(names[bins == b])), confidence) for b in np.unique(bins)]


def _row(p: np.ndarray, hit: np.ndarray, parts: int, confidence: float) -> dict[str, Any]:
    share, side = float(hit.mean()), (1 + confidence) / 2
    return {
        "low_p": float(p.min()),
        "p": float(p.mean()),
        "high_p": float(p.max()),
        "count": len(p),
        "parts": parts,
        "hits": int(hit.sum()),
        "value": share,
        "low": float(lower_limit(share * parts, parts, side)),
        "high": float(upper_limit(share * parts, parts, side)),
        "confidence": confidence,
    }


def _perfect(sure: np.ndarray, groups: ArrayLike | None, rng: np.random.Generator) -> np.ndarray:
    """Outcomes of perfect probabilities, (SIMULATIONS, N); the images of one part draw one number together."""
    part = np.arange(len(sure)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    return np.asarray(rng.random((SIMULATIONS, part.max() + 1))[:, part] < sure)


def _log_loss(f: np.ndarray, truth: np.ndarray) -> float:
    return float(-log_softmax(f, axis=1)[np.arange(len(truth)), truth].mean())


def _brier(p: np.ndarray, truth: np.ndarray) -> float:
    return float(np.square(p - np.eye(p.shape[1])[truth]).sum(axis=1).mean())


def _checked(values: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    f, truth = np.asarray(values, dtype=np.float64), np.asarray(labels)
    if f.ndim != 2 or len(f) == 0 or f.shape[1] < 2 or truth.shape != (len(f),):
        raise ValueError(
            f"answers of shape {f.shape} and labels of {truth.shape}; needed: (N, classes) and (N,), N >= 1"
        )
    if not np.isfinite(f).all():
        raise ValueError(
            f"{(~np.isfinite(f).all(axis=1)).sum()} of {len(f)} images have answers that are NaN or infinite"
        )
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= f.shape[1]:
        raise ValueError(f"labels must be whole numbers from 0 to {f.shape[1] - 1}")
    return f, truth
