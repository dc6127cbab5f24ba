"""Calibration against known posteriors, chance levels against perfect networks, and the reliability table."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from zansa.proof.calibration import (
    apply,
    binned,
    calibration_error,
    debiased_square,
    fit,
    logits_of,
    reliability,
)
from zansa.proof.figures import figures

DRAWS = 2000
SHARES = np.array([0.71, 0.1, 0.08, 0.06, 0.03, 0.02])


def error(share: float, draws: int = DRAWS) -> float:
    return 2 * (share * (1 - share) / draws) ** 0.5


def answers(count: int, rng: np.random.Generator, sure: float = 1.8, noise: float = 0.0):
    """Log odds at equal shares, the same `sure` times too sure as a network says them, and labels at SHARES."""
    truth = rng.choice(6, count, p=SHARES)
    x = rng.normal(size=(count, 6))
    x[np.arange(count), truth] += 2.2
    exact = 2.2 * x
    return exact, sure * exact + noise * rng.normal(size=x.shape), truth


def loss(p: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(p[np.arange(len(truth)), truth]).mean())


# --- the fit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [100, 200, 500])
def test_the_loss_comes_near_to_that_of_the_truth(count):
    rng = np.random.default_rng(count)
    exact, said, truth = answers(20_000, rng)
    best = loss(softmax(exact + np.log(SHARES), axis=1), truth)
    found, raw = [], []
    for _ in range(30):
        _, f, labels = answers(count, rng)
        found.append(loss(apply(said, fit(f, labels)), truth))
        raw.append(loss(softmax(f, axis=1), labels))
    assert best < np.mean(found) < best + 0.02
    assert np.mean(raw) > best + 0.1


def test_the_scale_and_the_shares_are_found():
    _, f, truth = answers(20_000, np.random.default_rng(1))
    found = fit(f, truth)
    assert found.scale == pytest.approx(1 / 1.8, rel=0.03)
    assert found.prior == pytest.approx((np.bincount(truth) + 1) / 20_006)
    assert found.shift == pytest.approx(np.log(found.prior))
    assert found.before == pytest.approx(loss(softmax(f, axis=1), truth))
    assert found.after == pytest.approx(loss(apply(f, found), truth))
    assert found.after < found.before
    assert (found.count, found.fitted) == (20_000, True)


def test_log_probabilities_are_as_good_as_logits():
    _, f, truth = answers(300, np.random.default_rng(2))
    one, other = fit(f, truth), fit(logits_of(softmax(f, axis=1)), truth)
    assert other.scale == pytest.approx(one.scale, rel=1e-3)
    assert apply(logits_of(softmax(f, axis=1)), one) == pytest.approx(apply(f, one), abs=1e-9)
    assert np.isfinite(logits_of([[0.0, 1.0]])).all()


def test_a_network_trained_without_balance_needs_no_shares():
    exact, _, truth = answers(5000, np.random.default_rng(3))
    f = exact + np.log(SHARES)
    found = fit(f, truth, balance="none")
    assert found.shift == (0,) * 6
    assert found.scale == pytest.approx(1, abs=0.03)
    assert apply(f, found) == pytest.approx(softmax(f, axis=1), abs=0.02)
    half = fit(exact + 0.5 * np.log(SHARES), truth, balance="weights")
    assert half.scale == pytest.approx(1, abs=0.03)
    assert half.after == pytest.approx(found.after, abs=0.005)


def test_few_parts_fit_no_scale():
    _, f, truth = answers(300, np.random.default_rng(4))
    few = fit(f[:49], truth[:49])
    assert (few.scale, few.fitted, few.count) == (1.0, False, 49)
    assert fit(f[:50], truth[:50]).fitted
    joined = fit(f, truth, groups=np.arange(300) // 7)
    assert (joined.scale, joined.fitted, joined.count) == (1.0, False, 43)


@pytest.mark.parametrize(
    ("f", "labels", "balance", "said"),
    [
        ([[1.0, np.nan]], [0], "none", "1 of 1 images have answers that are NaN"),
        ([[1.0, 2.0]], [2], "none", "whole numbers from 0 to 1"),
        ([[1.0, 2.0]], [0.0], "none", "whole numbers"),
        ([[1.0]], [0], "none", r"needed: \(N, classes\)"),
        (np.zeros((0, 2)), [], "none", "N >= 1"),
        ([[1.0, 2.0]], [0], "some", "allowed: logit, weights, none"),
    ],
)
def test_answers_that_are_none(f, labels, balance, said):
    with pytest.raises(ValueError, match=said):
        fit(f, labels, balance=balance)


# --- how far off ------------------------------------------------------------------------------------------------------


def test_the_binned_error_is_that_of_the_figures():
    _, f, truth = answers(400, np.random.default_rng(6))
    p = softmax(f, axis=1)
    found = calibration_error(p, truth)
    told = figures(p, truth, [str(i) for i in range(6)])
    assert found["binned"] == pytest.approx(told["calibration_error"])
    assert found["log_loss"] == pytest.approx(told["log_loss"])
    shares = np.bincount(truth) / 400
    assert found["log_loss_base"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert found["brier_base"] == pytest.approx(1 - (shares**2).sum())
    assert found["brier"] == pytest.approx(np.square(p - np.eye(6)[truth]).sum() / 400)


@pytest.mark.parametrize(("count", "level"), [(100, 0.066), (1000, 0.021)])
def test_a_perfect_network_has_an_error_too(count, level):
    """Levels as in the table; the debiased square is 0 in the mean."""
    rng = np.random.default_rng(count)
    exact, _, _ = answers(count, rng)
    sure = softmax(exact + np.log(SHARES), axis=1).max(axis=1)
    right = rng.random((DRAWS, count)) < sure
    assert binned(sure, right).mean() == pytest.approx(level, rel=0.4)
    square = debiased_square(sure, right)
    assert square.mean() == pytest.approx(0, abs=4 * square.std() / DRAWS**0.5)


@pytest.mark.parametrize("images", [1, 4])
def test_perfect_networks_are_beyond_chance_in_five_percent(images):
    rng = np.random.default_rng(images)
    groups = None if images == 1 else np.arange(240) // images
    beyond = 0
    for i in range(400):
        exact, _, _ = answers(240 // images, rng)
        p = softmax(exact + np.log(SHARES), axis=1)
        truth = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
        # images of one part as alike as can be
        found = calibration_error(p.repeat(images, axis=0), truth.repeat(images), groups, seed=i)
        beyond += found["beyond_chance"]
    assert beyond / 400 <= 0.05 + error(0.05, 400)


def test_a_network_that_is_too_sure_is_beyond_chance():
    _, f, truth = answers(500, np.random.default_rng(7))
    before = calibration_error(softmax(f, axis=1), truth)
    after = calibration_error(apply(f, fit(f, truth)), truth)
    assert before["beyond_chance"]
    assert not after["beyond_chance"]
    assert after["error"] < before["error"]
    assert before["error"] > before["error_chance_95"] > before["error_chance"]
    assert before == calibration_error(softmax(f, axis=1), truth)


# --- the reliability table --------------------------------------------------------------------------------------------


def test_the_table_counts():
    rng = np.random.default_rng(8)
    p = rng.random(803)
    hit = rng.random(803) < p
    rows = reliability(p, hit)
    assert len(rows) == 8
    assert sum(row["count"] for row in rows) == 803
    assert max(row["count"] for row in rows) - min(row["count"] for row in rows) <= 1
    assert all(one["high_p"] < other["low_p"] for one, other in pairwise(rows))
    for row in rows:
        inside = (p >= row["low_p"]) & (p <= row["high_p"])
        assert (row["hits"], row["p"]) == (hit[inside].sum(), pytest.approx(p[inside].mean()))
        assert row["low"] <= row["value"] <= row["high"]
    assert len(reliability(np.full(50, 0.3), hit[:50])) == 1
    assert len(reliability([0.0] * 90 + [1.0] * 10, [False] * 90 + [True] * 10)) == 2
    for bad in ([1.2], [[0.5]], []):
        with pytest.raises(ValueError, match="from 0 to 1"):
            reliability(bad, [True])


@pytest.mark.parametrize("images", [1, 5])
def test_the_limits_of_the_table_cover(images):
    """Equal probabilities within a bin, so that its true share is one number; images of one part are alike."""
    rng, parts = np.random.default_rng(images), 320
    p = np.repeat(np.linspace(0.02, 0.9, 8), parts // 8).repeat(images)
    groups = None if images == 1 else np.arange(parts).repeat(images)
    missed = np.zeros(8)
    for _ in range(DRAWS // 2):
        hit = rng.random(parts).repeat(images) < p
        rows = reliability(p, hit, groups)
        missed += [not row["low"] <= row["p"] <= row["high"] for row in rows]
    assert (missed / (DRAWS // 2) <= 0.05 + error(0.05, DRAWS // 2)).all()
