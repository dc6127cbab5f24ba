"""Costs of working points: the cheapest line, what it costs with its interval, and what doing without costs."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from zansa.proof.costs import (
    Costs,
    by_cost,
    cheapest_blind,
    cost_by_rate,
    cost_curve,
    expected_cost,
    parse_costs,
    platt,
)
from zansa.proof.points import Point, scored_parts

DRAWS = 2000

COSTS = Costs(miss=500, false_alarm=8)


def gaussian(defects: int, good: int, rng: np.random.Generator, apart: float = 2.5):
    """Scores that are log odds at equal shares, and labels."""
    defect = np.arange(defects + good) < defects
    return apart * (rng.normal(size=len(defect)) + apart * (defect - 0.5)), defect


def true_cost(line: float, rate: float, apart: float = 2.5, costs: Costs = COSTS) -> float:
    missed, alarms = norm.cdf(line / apart - apart / 2), norm.sf(line / apart + apart / 2)
    return 1000 * (rate * missed * costs.miss + (1 - rate) * alarms * costs.false_alarm)


def test_a_calibrated_line_is_elkans_in_production():
    score, defect = gaussian(300, 700, np.random.default_rng(8))
    shown = score + logit(301 / 1002)  # at the shares of the data
    best = logit(8 / 508) - logit(0.005)
    assert by_cost(scored_parts(shown, defect), COSTS, 0.005, calibrated=True).reject - logit(
        301 / 1002
    ) == pytest.approx(best)
    every = np.linspace(-8, 12, 2001)
    assert every[true_cost(every, 0.005).argmin()] == pytest.approx(best, abs=0.02)


def test_a_fitted_line_costs_less_than_the_line_of_least_cost_on_the_parts():
    rng, rate = np.random.default_rng(9), 0.005
    best = true_cost(logit(8 / 508) - logit(rate), rate)
    fitted, searched = [], []
    for _ in range(100):
        parts = scored_parts(*gaussian(50, 500, rng))
        scaled = scored_parts(0.3 * parts.score + 1, parts.defect)  # no probability at all
        fitted.append(true_cost((by_cost(scaled, COSTS, rate).reject - 1) / 0.3, rate))
        curve = cost_curve(parts, COSTS, rate, most=10_000)
        searched.append(true_cost(min(curve, key=lambda row: row["cost"])["line"], rate))
    assert best <= np.mean(fitted) <= 1.03 * best
    assert np.mean(searched) > np.mean(fitted)


def test_the_production_rate_counts_and_not_that_of_the_folder():
    rng = np.random.default_rng(10)
    parts = scored_parts(*gaussian(300, 700, rng))
    line = by_cost(parts, COSTS, 0.005).reject
    assert true_cost(by_cost(parts, COSTS, 0.3).reject, 0.005) > 3 * true_cost(line, 0.005)
    few = np.append(np.flatnonzero(parts.defect)[:70], np.flatnonzero(~parts.defect))  # the shares do not move the line
    thinned = scored_parts(parts.score[few], parts.defect[few])
    assert by_cost(thinned, COSTS, 0.005).reject == pytest.approx(line, abs=0.7)


def test_each_decision_is_the_cheapest_one():
    costs = parse_costs("miss=500,false_alarm=8,ask=2")
    parts = scored_parts(*gaussian(500, 500, np.random.default_rng(11)))
    point = by_cost(parts, costs, 0.5, calibrated=True)
    p = np.linspace(0.0005, 0.9995, 5000)
    prices = np.stack([p * costs.miss, np.full_like(p, costs.ask), (1 - p) * costs.false_alarm])
    taken = np.where(logit(p) >= point.reject, 2, np.where(logit(p) >= point.ask, 1, 0))
    assert (prices[taken, np.arange(5000)] <= prices.min(axis=0) + 0.3).all()
    assert set(taken) == {0, 1, 2}


def test_asking_pays_below_a_price():
    assert Costs(500, 8).dearest_ask == pytest.approx(7.874, abs=0.001)
    parts = scored_parts(*gaussian(500, 500, np.random.default_rng(12)))
    dear = by_cost(parts, Costs(500, 8, 7.9), 0.01)
    assert not dear.asks
    assert "pays below a price of 7.87 only" in dear.rule
    assert dear.reject == by_cost(parts, COSTS, 0.01).reject
    assert by_cost(parts, Costs(500, 8, 7.8), 0.01).asks


def test_the_fit_is_that_of_logistic_regression():
    score, defect = gaussian(60, 300, np.random.default_rng(13))
    a, b = platt(score, defect)
    t = np.where(defect, 61 / 62, 1 / 302)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.tile(score, 2)[:, None], np.repeat([1, 0], len(t)), sample_weight=np.concatenate([t, 1 - t])
    )
    assert (a, b) == pytest.approx((oracle.coef_[0, 0], oracle.intercept_[0]), abs=1e-3)


@pytest.mark.parametrize("point", [Point(1.0, 1.0, "", ""), Point(2.0, -1.0, "", ""), Point(99.0, 5.0, "", "")])
@pytest.mark.parametrize(("defects", "good"), [(30, 300), (200, 200)])
def test_the_interval_of_a_cost_covers_it(point, defects, good):
    rng, costs, rate = np.random.default_rng([defects, good]), Costs(500, 8, 2), 0.02
    side = np.array([norm.cdf([point.ask, point.reject], 1.5), norm.cdf([point.ask, point.reject], -1.0)])
    truth = 1000 * (
        rate * (side[0, 0] * costs.miss + (side[0, 1] - side[0, 0]) * costs.ask)
        + (1 - rate) * ((1 - side[1, 1]) * costs.false_alarm + (side[1, 1] - side[1, 0]) * costs.ask)
    )
    covered, values = 0, []
    for _ in range(DRAWS):
        defect = np.arange(defects + good) < defects
        found = expected_cost(
            scored_parts(rng.normal(size=len(defect)) + np.where(defect, 1.5, -1), defect), point, costs, rate
        )
        covered += found["low"] <= truth <= found["high"]
        values.append(found["cost"])
    assert covered / DRAWS >= 0.95 - 2 * (0.95 * 0.05 / DRAWS) ** 0.5
    assert np.mean(values) == pytest.approx(truth, rel=0.05)


def test_what_doing_without_a_model_costs_is_said():
    parts = scored_parts(*gaussian(50, 500, np.random.default_rng(14)))
    costs = Costs(500, 8, 2)
    found = expected_cost(parts, by_cost(parts, costs, 0.005), costs, 0.005)
    assert found["blind"] == {"accept every part": 2500, "reject every part": 7960, "ask about every part": 2000}
    assert found["cost"] < 2000
    assert cheapest_blind(COSTS, 0.005) == ("accept every part", 2500)
    rows = cost_by_rate(parts, by_cost(parts, costs, 0.005), costs, 0.005)
    assert [row["defect_rate"] for row in rows] == pytest.approx(0.005 * np.geomspace(0.1, 10, 21))
    assert rows[10]["cost"] == rows[10]["best"] == found["cost"]


def test_the_curve_goes_from_all_rejected_to_none():
    parts = scored_parts(*gaussian(50, 500, np.random.default_rng(15)))
    rows = cost_curve(parts, COSTS, 0.005)
    assert len(rows) == 200
    assert (rows[0]["cost"], rows[-1]["cost"]) == pytest.approx((7960, 2500))
    for row in rows[::37]:
        same = Point(row["line"], row["line"], "", "")
        assert row["cost"] == pytest.approx(expected_cost(parts, same, COSTS, 0.005)["cost"])


def test_few_parts_and_joined_parts_are_no_calibrated_probabilities():
    rng = np.random.default_rng(16)
    score, defect = gaussian(10, 30, rng)
    assert "not calibrated" in by_cost(scored_parts(score, defect), COSTS, 0.01).rule
    score, defect = gaussian(200, 400, rng)
    joined = scored_parts(score, defect, np.arange(600) // 2)
    assert by_cost(joined, COSTS, 0.01, calibrated=True) == by_cost(joined, COSTS, 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("miss=500", "no false_alarm; type for example miss=500,false_alarm=8"),
        ("miss=500,false_alarm=8,coffee=1", "'coffee=1' is no cost; allowed: miss, false_alarm, ask"),
        ("miss=500,false_alarm=-8", "false_alarm=-8 was given; allowed: a number above 0"),
        ("miss=500,miss=600,false_alarm=8", "each once"),
        ("miss=¥500,false_alarm=8", "without unit"),
        ("", "is no cost"),
    ],
)
def test_costs_that_are_none(text, said):
    with pytest.raises(ValueError, match=said):
        parse_costs(text)


def test_costs_are_read():
    assert parse_costs("miss=500, false_alarm=8,ask=2.5") == Costs(500, 8, 2.5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: by_cost(p, COSTS, 2), r"defect rate is 2;.*\(for 2 % type 0.02\)"),
        (lambda p: by_cost(p, COSTS, 0), "defect rate is 0"),
        (lambda p: by_cost(scored_parts([1.0], [True]), COSTS, 0.1), r"none of the 1 parts is good; add good parts"),
        (lambda p: by_cost(scored_parts([1.0], [False]), COSTS, 0.1), "none of the 1 parts is defective"),
        (lambda p: by_cost(scored_parts(-p.score, p.defect), COSTS, 0.001), r"not mean more.*is to accept every part"),
        (lambda p: expected_cost(p, Point(1, 0, "", ""), COSTS, 0.1), "no price of it"),
    ],
)
def test_costs_without_an_answer(call, said):
    parts = scored_parts(*gaussian(50, 500, np.random.default_rng(17)))
    with pytest.raises(ValueError, match=said):
        call(parts)
