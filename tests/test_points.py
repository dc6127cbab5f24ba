"""Working points keep what they promise: simulated over 2,000 choices of the line, with groups and without."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import betabinom, binom, binomtest, norm
from sklearn.linear_model import LogisticRegression

from zansa.proof import exact
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
from zansa.proof.points import (
    Point,
    as_probability,
    by_both,
    by_claim,
    by_false_alarms,
    by_recall,
    held,
    least_parts,
    log_odds,
    look,
    promised_now,
    usual,
)
from zansa.proof.sizes import Claim

DRAWS = 2000


def error(share: float, draws: int = DRAWS) -> float:
    """Two Monte-Carlo standard errors of a share."""
    return 2 * (share * (1 - share) / draws) ** 0.5


# --- exact limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 20, 100, 299, 1000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_limits_are_those_of_clopper_and_pearson(count, confidence):
    hits = np.unique([0, 1, count // 2, count - 1, count])
    low, high = exact.lower_limit(hits, count, confidence), exact.upper_limit(hits, count, confidence)
    for h, below, above in zip(hits, low, high, strict=True):
        one = binomtest(h, count, alternative="greater").proportion_ci(confidence, "exact").low
        other = binomtest(h, count, alternative="less").proportion_ci(confidence, "exact").high
        assert below == pytest.approx(one, abs=1e-9)
        assert above == pytest.approx(other, abs=1e-9)


def test_numbers_of_parts_are_those_of_the_tables():
    assert exact.needed(0.01, 0.95, [0, 1, 2, 3, 5, 10]).tolist() == [299, 473, 628, 773, 1049, 1693]
    assert exact.needed(0.001, 0.95, [0, 10]).tolist() == [2995, 16959]
    assert [int(exact.needed(x, 0.99)) for x in (0.1, 0.05, 0.02, 0.01, 0.005, 0.001)] == [44, 90, 228, 459, 919, 4603]
    assert exact.allowed([100, 200, 300, 500, 1000, 5000], 0.01).tolist() == [-1, -1, 0, 1, 4, 38]
    assert exact.allowed([148, 149, 200, 300, 500, 1000, 5000], 0.02).tolist() == [-1, 0, 0, 1, 4, 12, 83]
    assert [least_parts(x, 0.95) for x in (0.01, 0.02, 0.05)] == [299, 149, 59]
    assert [least_parts(x) for x in (0.01, 0.02, 0.05, 0.29)] == [99, 49, 19, 3]


@pytest.mark.parametrize("share", [0.003, 0.02, 0.3])
def test_needed_and_allowed_are_each_others_inverse(share):
    for misses in (0, 1, 7):
        n = int(exact.needed(share, 0.95, misses))
        assert binom.cdf(misses, n, share) <= 0.05 < binom.cdf(misses, n - 1, share)
        assert exact.allowed(n, share) == misses
        assert exact.allowed(n - 1, share) == misses - 1


@pytest.mark.parametrize(("confidence", "said"), [(95, "did you mean 0.95"), (0.2, "from 0.5"), (1.0, "below 1")])
def test_a_confidence_is_a_share(confidence, said):
    with pytest.raises(ValueError, match=said):
        by_false_alarms(held([0.0] * 500, [False] * 500), 0.02, confidence)


# --- promises ---------------------------------------------------------------------------------------------------------


def draws_of(count: int, images: int, icc: float, rng: np.random.Generator) -> np.ndarray:
    """Scores (count, images) of which those of one part are alike."""
    return icc**0.5 * rng.normal(size=(count, 1)) + (1 - icc) ** 0.5 * rng.normal(size=(count, images))


def true_shares(rule, count: int, images: int, icc: float, share: float, side: int, draws: int = DRAWS):
    """The true share of parts on the wrong side of each of so many chosen lines."""
    rng = np.random.default_rng([count, images, side + 1])
    worst = np.sort(draws_of(200_000, images, icc, rng).max(axis=1))
    groups = np.arange(2 * count).repeat(images) if images > 1 else None
    found = np.empty(draws)
    for i in range(draws):
        mine, others = draws_of(count, images, icc, rng), draws_of(count, images, icc, rng) + 2 * side
        score = np.concatenate([mine.ravel(), others.ravel()])
        defect = np.arange(len(score)) >= mine.size if side > 0 else np.arange(len(score)) < mine.size
        line = rule(held(score, defect, groups)).reject
        below = np.searchsorted(worst, line) / len(worst)
        found[i] = 1 - below if side > 0 else below
    return found


@pytest.mark.parametrize(("count", "images", "icc"), [(149, 1, 0), (300, 1, 0), (160, 6, 0.9), (160, 6, 0.0)])
def test_false_alarms_stay_below_the_share_with_confidence(count, images, icc):
    found = true_shares(lambda parts: by_false_alarms(parts, 0.02, 0.95), count, images, icc, 0.02, 1)
    broken = (found > 0.02).mean()
    exactly = binom.cdf(exact.allowed(count, 0.02), count, 0.02)
    assert broken <= 0.05 + error(0.05)
    assert broken == pytest.approx(exactly, abs=1.5 * error(exactly) + 0.01)  # and no more is given away than must be


@pytest.mark.parametrize(("count", "images", "icc"), [(59, 1, 0), (200, 1, 0), (80, 6, 0.5)])
def test_recall_stays_above_the_share_with_confidence(count, images, icc):
    found = true_shares(lambda parts: by_recall(parts, 0.95, 0.95), count, images, icc, 0.05, -1)
    broken = (found > 0.05).mean()
    exactly = binom.cdf(exact.allowed(count, 0.05), count, 0.05)
    assert broken <= 0.05 + error(0.05)
    assert broken == pytest.approx(exactly, abs=1.5 * error(exactly) + 0.01)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("count", "images"), [(49, 1), (200, 1), (60, 6)])
def test_on_average_the_share_holds_and_often_not_for_one_line(count, images, side):
    rule = (lambda parts: by_false_alarms(parts, 0.02)) if side > 0 else (lambda parts: by_recall(parts, 0.98))
    found = true_shares(rule, count, images, 0.5, 0.02, side)
    assert found.mean() <= 0.02 + 2 * found.std() / DRAWS**0.5
    assert (found > 0.02).mean() > 0.2  # which is why both words are offered


def test_images_of_one_part_taken_for_parts_break_the_promise():
    rng = np.random.default_rng(1)
    worst = np.sort(draws_of(200_000, 6, 0.9, rng).ravel())
    broken = 0
    for _ in range(500):
        mine = draws_of(100, 6, 0.9, rng).ravel()
        line = by_false_alarms(held(mine, np.zeros(600, bool)), 0.05, 0.95).reject
        broken += 1 - np.searchsorted(worst, line) / len(worst) > 0.05
    assert broken / 500 > 0.15


def test_ties_break_no_promise():
    rng = np.random.default_rng(2)
    broken = 0
    for _ in range(DRAWS):
        score = rng.normal(size=300).round(1)
        line = by_false_alarms(held(np.append(score, 3.0), np.arange(301) == 300), 0.02, 0.95).reject
        broken += norm.sf(np.ceil(line * 10 - 1e-9) / 10 - 0.05) > 0.02  # rounded scores from the line on
    assert broken / DRAWS <= 0.05 + error(0.05)


def test_a_line_that_scores_reach_rejects_and_all_equal_scores_reject_none_or_all():
    same = held(np.zeros(400), np.arange(400) < 100)
    assert look(same, by_false_alarms(same, 0.02).reject)["false_alarms"]["hits"] == 0
    assert look(same, by_recall(same, 0.95).reject)["missed"]["hits"] == 0
    assert look(same, 0.0)["false_alarms"]["hits"] == 300


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda p: by_recall(p, 0.99, 0.95), r"50.defective.*with 95.% confidence: 299 are.*--recall-at-least 0.94"),
        (lambda p: by_false_alarms(p, 0.02, 0.95), r"100.good.*149 are needed.*at-most 0.0296\), or for.*on average"),
        (lambda p: by_false_alarms(p, 0.001), r"on average: 999 are needed.*at-most 0.00991\)$"),
        (lambda p: by_false_alarms(p, 2), r"a share of 2 .* \(0.02, not 2\)"),
        (lambda p: by_recall(p, 1.0), r"no number of parts promises none at all"),
        (lambda p: by_recall(held([1.0], [False]), 0.9), "9 are needed; add defective parts$"),
    ],
)  # fmt: skip
def test_what_cannot_be_promised_is_said(rule, said):
    parts = held(np.arange(150.0), np.arange(150) >= 100)
    with pytest.raises(ValueError, match=said):
        rule(parts)


def test_what_can_be_promised_instead_is_promised():
    parts = held(np.arange(150.0), np.arange(150) >= 100)
    for confidence in (None, 0.95):
        assert exact.allowed(100, promised_now(100, 0.95) + 1e-9) == 0
        now = promised_now(100, confidence) + 1e-6
        assert by_false_alarms(parts, now, confidence).reject > 99
    assert promised_now(0) == promised_now(0, 0.95) == 1


def test_the_usual_line_says_what_it_promises():
    rng = np.random.default_rng(3)

    def chosen(count: int) -> Point:
        return usual(held(rng.normal(size=count + 50) + 3 * (np.arange(count + 50) < 50), np.arange(count + 50) < 50))

    assert "95" in chosen(149).basis
    assert chosen(148).basis == "on average"
    assert "149 good parts are needed to promise this with 95" in chosen(148).rule
    assert chosen(48).basis == "on average"
    assert "expect up to 2 % of new ones" in chosen(48).rule
    with pytest.raises(ValueError, match="none of the validation parts is good"):
        chosen(0)


def test_parts_are_as_bad_as_their_worst_image():
    found = held([1, 5, 2, 3, 4.0], [False, False, True, False, False], ["a", "a", "b", "b", "c"])
    assert found.score.tolist() == [5, 3, 4]
    assert found.defect.tolist() == [False, True, False]
    assert (found.joined, found.mixed) == (True, 1)
    assert "1 part with good and defective images count" in by_false_alarms(found, 0.5).rule.replace("\u00a0", " ")
    for bad in ([np.nan, 1.0], [np.inf, 1.0], [1.0]):
        with pytest.raises(ValueError, match=r"finite|one number"):
            held(bad, [True, False])


def test_log_odds_and_thresholds_are_the_same_line():
    p = np.array([0.0, 1e-30, 0.2, 0.5, 1 - 1e-9, 1.0])
    assert np.isfinite(log_odds(p)).all()
    assert log_odds(p)[2:4] == pytest.approx(logit(1 - p[2:4]))
    assert as_probability(float(log_odds(0.2))) == pytest.approx(0.8)
    assert as_probability(-1000.0) == 0


# --- a person is asked ------------------------------------------------------------------------------------------------


def test_two_lines_keep_two_promises():
    rng = np.random.default_rng(4)
    missed, alarms, asked = np.empty((3, DRAWS))
    for i in range(DRAWS):
        defect = np.arange(500) < 200
        point = by_both(held(rng.normal(size=500) + 2 * defect, defect), 0.95, 0.02, 0.95)
        missed[i], alarms[i] = norm.cdf(point.ask - 2), norm.sf(point.reject)
        asked[i] = point.asks
    assert asked.all()
    assert (missed > 0.05).mean() <= 0.05 + error(0.05)
    assert (alarms > 0.02).mean() <= 0.05 + error(0.05)


def test_nobody_is_asked_where_one_line_keeps_both():
    defect = np.arange(500) < 200
    parts = held(np.random.default_rng(5).normal(size=500) + 9 * defect, defect)
    point = by_both(parts, 0.95, 0.02, 0.95)
    found = look(parts, point.reject, point.ask)
    assert not point.asks
    assert found["asked"]["hits"] == found["missed"]["hits"] == found["false_alarms"]["hits"] == 0


def test_a_point_is_looked_at_by_counts():
    rng = np.random.default_rng(6)
    score, defect = rng.normal(size=300), rng.random(300) < 0.3
    found = look(held(score, defect), 0.5, -0.5)
    assert found["detection"]["hits"] == sum(s >= -0.5 for s in score[defect])
    assert found["missed"]["hits"] == sum(s < -0.5 for s in score[defect])
    assert found["false_alarms"]["hits"] == sum(s >= 0.5 for s in score[~defect])
    assert found["asked"]["hits"] == sum(-0.5 <= s < 0.5 for s in score)
    assert found["asked_good"]["hits"] + found["asked_defective"]["hits"] == found["asked"]["hits"]
    assert look(held([1.0], [True]), 0)["false_alarms"] is None


# --- by chance to pass ------------------------------------------------------------------------------------------------


def test_the_line_by_chance_passes_more_often_than_a_line_at_the_limit():
    rng, claim = np.random.default_rng(7), Claim(0.95, 0.02)
    defect = np.arange(1500) < 500
    passed = {"chance": 0.0, "limit": 0.0, "said": 0.0}
    for _ in range(60):
        parts = held(rng.normal(size=1500) + 4.5 * defect, defect)
        point, chance = by_claim(parts, claim, 300, 1000)
        for name, line in (("chance", point.reject), ("limit", by_false_alarms(parts, 0.02, 0.95).reject)):
            missed = binom.cdf(exact.allowed(300, 0.05), 300, norm.cdf(line - 4.5))
            passed[name] += missed * binom.cdf(exact.allowed(1000, 0.02), 1000, norm.sf(line)) / 60
        passed["said"] += chance / 60
    assert passed["said"] == pytest.approx(passed["chance"], abs=0.1)
    assert passed["chance"] > passed["limit"] + 0.1


def test_the_chance_to_pass_is_that_of_new_counts():
    parts = held([0.0] * 90 + [2.0] * 10 + [1.0] * 50, [False] * 100 + [True] * 50)
    point, chance = by_claim(parts, Claim(0.9, None), 100, 0)
    assert point.reject <= 1
    k = int(exact.allowed(100, 0.1))
    assert chance == pytest.approx(betabinom.cdf(k, 100, 0.5, 50.5))


# --- by cost ----------------------------------------------------------------------------------------------------------

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
    assert by_cost(held(shown, defect), COSTS, 0.005, calibrated=True).reject - logit(301 / 1002) == pytest.approx(best)
    every = np.linspace(-8, 12, 2001)
    assert every[true_cost(every, 0.005).argmin()] == pytest.approx(best, abs=0.02)


def test_a_fitted_line_costs_less_than_the_line_of_least_cost_on_the_parts():
    rng, rate = np.random.default_rng(9), 0.005
    best = true_cost(logit(8 / 508) - logit(rate), rate)
    fitted, searched = [], []
    for _ in range(100):
        parts = held(*gaussian(50, 500, rng))
        scaled = held(0.3 * parts.score + 1, parts.defect)  # no probability at all
        fitted.append(true_cost((by_cost(scaled, COSTS, rate).reject - 1) / 0.3, rate))
        curve = cost_curve(parts, COSTS, rate, most=10_000)
        searched.append(true_cost(min(curve, key=lambda row: row["cost"])["line"], rate))
    assert best <= np.mean(fitted) <= 1.03 * best
    assert np.mean(searched) > np.mean(fitted)


def test_the_production_rate_counts_and_not_that_of_the_folder():
    rng = np.random.default_rng(10)
    parts = held(*gaussian(300, 700, rng))
    line = by_cost(parts, COSTS, 0.005).reject
    assert true_cost(by_cost(parts, COSTS, 0.3).reject, 0.005) > 3 * true_cost(line, 0.005)
    few = np.append(np.flatnonzero(parts.defect)[:70], np.flatnonzero(~parts.defect))  # the shares do not move the line
    thinned = held(parts.score[few], parts.defect[few])
    assert by_cost(thinned, COSTS, 0.005).reject == pytest.approx(line, abs=0.7)


def test_each_decision_is_the_cheapest_one():
    costs = parse_costs("miss=500,false_alarm=8,ask=2")
    parts = held(*gaussian(500, 500, np.random.default_rng(11)))
    point = by_cost(parts, costs, 0.5, calibrated=True)
    p = np.linspace(0.0005, 0.9995, 5000)
    prices = np.stack([p * costs.miss, np.full_like(p, costs.ask), (1 - p) * costs.false_alarm])
    taken = np.where(logit(p) >= point.reject, 2, np.where(logit(p) >= point.ask, 1, 0))
    assert (prices[taken, np.arange(5000)] <= prices.min(axis=0) + 0.3).all()
    assert set(taken) == {0, 1, 2}


def test_asking_pays_below_a_price():
    assert Costs(500, 8).dearest_ask == pytest.approx(7.874, abs=0.001)
    parts = held(*gaussian(500, 500, np.random.default_rng(12)))
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
            held(rng.normal(size=len(defect)) + np.where(defect, 1.5, -1), defect), point, costs, rate
        )
        covered += found["low"] <= truth <= found["high"]
        values.append(found["cost"])
    assert covered / DRAWS >= 0.95 - error(0.95)
    assert np.mean(values) == pytest.approx(truth, rel=0.05)


def test_what_doing_without_a_model_costs_is_said():
    parts = held(*gaussian(50, 500, np.random.default_rng(14)))
    costs = Costs(500, 8, 2)
    found = expected_cost(parts, by_cost(parts, costs, 0.005), costs, 0.005)
    assert found["blind"] == {"accept every part": 2500, "reject every part": 7960, "ask about every part": 2000}
    assert found["cost"] < 2000
    assert cheapest_blind(COSTS, 0.005) == ("accept every part", 2500)
    rows = cost_by_rate(parts, by_cost(parts, costs, 0.005), costs, 0.005)
    assert [row["defect_rate"] for row in rows] == pytest.approx(0.005 * np.geomspace(0.1, 10, 21))
    assert rows[10]["cost"] == rows[10]["best"] == found["cost"]


def test_the_curve_goes_from_all_rejected_to_none():
    parts = held(*gaussian(50, 500, np.random.default_rng(15)))
    rows = cost_curve(parts, COSTS, 0.005)
    assert len(rows) == 200
    assert (rows[0]["cost"], rows[-1]["cost"]) == pytest.approx((7960, 2500))
    for row in rows[::37]:
        same = Point(row["line"], row["line"], "", "")
        assert row["cost"] == pytest.approx(expected_cost(parts, same, COSTS, 0.005)["cost"])


def test_few_parts_and_joined_parts_are_no_calibrated_probabilities():
    rng = np.random.default_rng(16)
    score, defect = gaussian(10, 30, rng)
    assert "not calibrated" in by_cost(held(score, defect), COSTS, 0.01).rule
    score, defect = gaussian(200, 400, rng)
    joined = held(score, defect, np.arange(600) // 2)
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
        (lambda p: by_cost(held([1.0], [True]), COSTS, 0.1), r"none of the 1 parts is good; add good parts"),
        (lambda p: by_cost(held([1.0], [False]), COSTS, 0.1), "none of the 1 parts is defective"),
        (lambda p: by_cost(held(-p.score, p.defect), COSTS, 0.001), r"not mean more.*is to accept every part"),
        (lambda p: expected_cost(p, Point(1, 0, "", ""), COSTS, 0.1), "no price of it"),
    ],
)
def test_costs_without_an_answer(call, said):
    parts = held(*gaussian(50, 500, np.random.default_rng(17)))
    with pytest.raises(ValueError, match=said):
        call(parts)


# --- another implementation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "least"), [(120, 0.95), (299, 0.99), (628, 0.99)])
def test_mapie_finds_the_same_line(count, least):
    # MAPIE 1.6.0 rounds misses up: ceil(473 * (1 - 472 / 473)) is 2, so it needs more than 473 parts for one miss.
    control = pytest.importorskip("mapie.risk_control")
    rng = np.random.default_rng(count)
    p = np.concatenate([rng.beta(5, 2, count), rng.beta(2, 5, 200)])
    defect = np.arange(len(p)) < count
    mine = by_recall(held(logit(p), defect), least, 0.95).reject
    grid = np.sort(np.append(np.linspace(0.001, 0.999, 100), expit([mine - 1e-6, mine])))
    found = control.BinaryClassificationController(
        lambda x: np.stack([1 - x, x], axis=-1).reshape(-1, 2), "recall", least, 0.95, list_predict_params=grid,
        fwer_method="fixed_sequence",
    )  # fmt: skip
    found.calibrate(p, defect.astype(int))
    lowest = np.sort(p[defect])[exact.allowed(count, 1 - least)]
    assert expit(mine) <= lowest
    assert max(found.valid_predict_params) == max(grid[grid <= lowest])
