"""Differences between candidates: levels and limits, with parts and without, against other implementations."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, multinomial, permutation_test

from zansa.proof import pairs
from zansa.proof.pairs import against, front, holm, mcnemar, not_worse, one_standard_error, sign_flip

DRAWS = 2000


def error(share: float, draws: int = DRAWS) -> float:
    return 2 * (share * (1 - share) / draws) ** 0.5


# --- sign flips -------------------------------------------------------------------------------------------------------


def test_all_flips_are_those_of_scipy():
    rng = np.random.default_rng(1)
    for count in (3, 8, 12):
        d = rng.normal(size=count) + 0.4
        oracle = permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert sign_flip(d)["p"] == pytest.approx(oracle.pvalue, abs=1e-12)


def test_drawn_flips_come_near_to_all():
    rng = np.random.default_rng(2)
    d = rng.normal(size=12) + 0.5
    drawn = pairs._drawn_flips(d, np.random.default_rng(0))
    assert drawn == pytest.approx(sign_flip(d)["p"], abs=3 * error(0.1, pairs.DRAWS))
    assert drawn >= 1 / 10_001


def test_right_and_wrong_answers_of_single_parts_give_mcnemars_exact_test():
    d = np.array([1.0] * 3 + [-1.0] * 9 + [0.0] * 100)
    assert sign_flip(d)["p"] == pytest.approx(mcnemar(3, 9)["exact"])
    assert sign_flip(d)["differ"] == 12


def alike(parts: int, images: int, icc: float, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Right answers (parts * images,) of a model whose mistakes come part by part (beta-binomial)."""
    a = rate * (1 - icc) / icc
    return rng.random((parts, images)) < rng.beta(a, a * (1 - rate) / rate, (parts, 1))


@pytest.mark.parametrize(("parts", "images"), [(60, 6), (30, 20)])
def test_equal_models_differ_in_no_more_than_the_level(parts, images, monkeypatch):
    monkeypatch.setattr(pairs, "DRAWS", 199)
    rng, groups = np.random.default_rng(parts), np.arange(parts).repeat(images)
    by_part, by_image, covered, judged = 0, 0, 0, 0
    for i in range(DRAWS):
        d = alike(parts, images, 0.5, 0.8, rng).ravel().astype(float) - alike(parts, images, 0.5, 0.8, rng).ravel()
        found = sign_flip(d, groups, seed=i)
        by_part += found["p"] <= 0.05
        by_image += mcnemar(int((d > 0).sum()), int((d < 0).sum()))["mid"] <= 0.05
        judged += found["low"] is not None
        covered += found["low"] is not None and found["low"] <= 0 <= found["high"]
    assert by_part / DRAWS <= 0.05 + error(0.05)
    assert by_image / DRAWS > 0.15  # why parts are the unit
    assert covered / judged >= 0.95 - error(0.95, judged)
    assert judged > DRAWS / 2


@pytest.mark.parametrize(("rate", "gap"), [(0.8, 0.1), (0.9, 0.0)])
def test_the_interval_of_a_difference_covers_it_where_parts_are_single(rate, gap, monkeypatch):
    monkeypatch.setattr(pairs, "DRAWS", 1)
    rng = np.random.default_rng(4)
    covered = judged = 0
    for _ in range(DRAWS):
        found = sign_flip((rng.random(200) < rate).astype(float) - (rng.random(200) < rate - gap))
        if found["low"] is not None:
            judged += 1
            covered += found["low"] <= gap <= found["high"]
    assert covered / judged >= 0.95 - error(0.95, judged)


def test_a_true_difference_is_seen():
    rng = np.random.default_rng(5)
    d = (rng.random(360) < 0.9).astype(float) - (rng.random(360) < 0.7)
    found = sign_flip(d, np.arange(360) // 6)
    assert found["p"] < 0.001
    assert found["low"] > 0
    assert found == sign_flip(d, np.arange(360) // 6)


def test_few_differing_parts_have_no_interval_and_equal_ones_no_difference():
    assert sign_flip([1.0] * 19 + [0.0] * 100)["low"] is None
    found = sign_flip(np.zeros(50))
    assert (found["p"], found["difference"], found["differ"]) == (1.0, 0.0, 0)
    with pytest.raises(ValueError, match="one finite number"):
        sign_flip([np.nan])


# --- McNemar, Holm ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (5, 5), (3, 10), (40, 20), (1, 0)])
def test_mcnemar_is_the_exact_binomial_test(b, c):
    found = mcnemar(b, c)
    oracle = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert found["exact"] == pytest.approx(oracle)
    assert found["mid"] <= found["exact"]


@pytest.mark.parametrize("differing", [10, 25, 60])
def test_mcnemar_keeps_its_level(differing):
    b = np.arange(differing + 1)
    weight = binom.pmf(b, differing, 0.5)
    for kind, most in (("exact", 0.05), ("mid", 0.052)):
        assert weight @ [mcnemar(int(x), differing - int(x))[kind] <= 0.05 for x in b] <= most


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []
    p = np.random.default_rng(6).random(6) ** 3
    sets = [s for size in range(1, 7) for s in combinations(range(6), size)]
    closed = [max(len(s) * p[list(s)].min() for s in sets if i in s) for i in range(6)]  # Marcus, Peritz & Gabriel 1976
    assert holm(p) == pytest.approx(np.minimum(1, closed))


# --- not worse --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "margin"), [(30, 0.1), (60, 0.05)])
def test_not_worse_is_said_falsely_no_more_often_than_promised(count, margin):
    """Exactly, over all outcomes, for models that are worse by just the margin."""
    every = [(worse, better) for worse in range(count + 1) for better in range(count + 1 - worse)]
    likely = [(worse, better) for worse, better in every if worse - better <= margin * count]
    said = np.array([not_worse_p(worse, better, count, margin) <= 0.05 for worse, better in likely])
    cells = np.array([(w, b, count - w - b) for w, b in likely])
    for worse in np.linspace(margin, (1 + margin) / 2, 30):
        shares = [worse, worse - margin, 1 - 2 * worse + margin]
        shares = np.maximum(shares, 0) / np.maximum(shares, 0).sum()
        assert multinomial.pmf(cells, count, shares) @ said <= 0.05 + 1e-9


def not_worse_p(worse: int, better: int, count: int, margin: float) -> float:
    return pairs._tango(worse, better, count, -margin)


@pytest.mark.parametrize(
    ("worse", "better", "count"), [(0, 0, 150), (7, 8, 300), (25, 25, 1000), (10, 2, 400), (3, 9, 90)]
)
def test_the_limit_and_the_test_agree(worse, better, count):
    found = not_worse(worse, better, count, 0.02)
    assert found["not_worse"] == (found["low"] > -0.02) == (found["p"] <= 0.05)
    assert found["low"] < found["difference"] == (better - worse) / count
    assert not_worse(worse, better, count, min(0.9, -found["low"] + 0.001) if found["low"] < 0 else 0.001)["not_worse"]


@pytest.mark.parametrize(("shares", "count"), [((0.05, 0.03), 100), ((0.02, 0.0), 200), ((0.1, 0.1), 60)])
def test_the_limit_covers_the_difference(shares, count):
    rng = np.random.default_rng(count)
    cells = rng.multinomial(count, [*shares, 1 - sum(shares)], DRAWS)[:, :2]
    kinds, times = np.unique(cells, axis=0, return_counts=True)
    truth = shares[1] - shares[0]
    low = [pairs._tango(int(w), int(b), count, truth) > 0.05 for w, b in kinds]  # the truth is not excluded
    assert times @ np.array(low) / DRAWS >= 0.95 - error(0.95)


def test_nothing_differing_shows_little():
    """(1 - margin) ** n is the chance to see nothing where only the reference is right in the margin's share."""
    assert not_worse(0, 0, 148, 0.02)["p"] == pytest.approx(0.98**148 + pairs.NUISANCE, abs=1e-6)
    assert not not_worse(0, 0, 148, 0.02)["not_worse"]
    assert not_worse(0, 0, 160, 0.02)["not_worse"]


def test_the_power_of_not_worse_is_near_that_of_the_normal_test():
    rng = np.random.default_rng(8)
    cells = rng.multinomial(1000, [0.025, 0.025, 0.95], 200)[:, :2]
    said = [not_worse_p(int(w), int(b), 1000, 0.02) <= 0.05 for w, b in cells]
    assert np.mean(said) == pytest.approx(0.88, abs=0.08)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: not_worse(1, 1, 100, 2), r"the margin is 2; allowed: a share.*0\.02 for 2 points"),
        (lambda: not_worse(60, 60, 100, 0.02), r"60 \+ 60 differing parts of 100 cannot be"),
        (lambda: mcnemar(-1, 3), r"0 and above"),
    ],
)
def test_counts_that_are_none(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# --- several candidates -----------------------------------------------------------------------------------------------


def test_all_against_one():
    rng = np.random.default_rng(9)
    right = rng.random((4, 400)) < np.array([0.9, 0.9, 0.7, 0.9])[:, None]
    right[3] = right[0]
    rows = against(right, 0)
    assert rows[0] is None
    assert [row["p_holm"] for row in rows[1:]] == holm([row["p"] for row in rows[1:]])
    assert rows[2]["text"].startswith("the difference is real (p = 0.0")
    assert rows[3]["text"] == "no difference can be seen (only 0 of 400 parts differ, p = 1)"


def test_equal_candidates_are_called_different_in_five_percent_all_together(monkeypatch):
    monkeypatch.setattr(pairs, "DRAWS", 199)
    rng, groups = np.random.default_rng(10), np.arange(40).repeat(4)
    wrong = 0
    for _ in range(500):
        right = np.stack([alike(40, 4, 0.5, 0.8, rng).ravel() for _ in range(4)])
        wrong += any(row["p_holm"] <= 0.05 for row in against(right, 0, groups)[1:])
    assert wrong / 500 <= 0.05 + error(0.05, 500)


def candidates():
    """Mistakes of three networks on 400 parts: b has 3 more than a, c has 60 more."""
    cost = np.zeros((3, 400))
    cost[0, :20], cost[1, 1:24], cost[2, :80] = 1, 1, 1
    return cost


def test_the_fastest_within_one_standard_error_is_taken():
    found = one_standard_error(["a", "b", "c"], candidates(), [3.0, 2.0, 1.0], [3, 2, 1])
    assert found["chosen"] == "a"  # four against one is a lead of more than one standard error
    cost = candidates()
    cost[0, 300:302] = 1  # four against three is not
    found = one_standard_error(["a", "b", "c"], cost, [3.0, 2.0, 1.0], [3, 2, 1])
    assert (found["chosen"], found["runner_up"], found["within"]) == ("b", "a", ["a", "b"])
    assert found["text"].startswith("take b: of 2")


def test_milliseconds_then_multiply_adds_then_cost():
    same = np.zeros((3, 50))
    assert one_standard_error("abc", same, [2, 2, 2], [3, 1, 2])["chosen"] == "b"
    assert one_standard_error("abc", same, [2, 2, None], [3, 3, 1])["chosen"] == "a"
    assert one_standard_error("abc", same, [5, 4, 3], [1, 1, 1], most_ms=4.5)["chosen"] == "c"
    assert one_standard_error("a", same[:1], [2], [1])["runner_up"] is None
    with pytest.raises(ValueError, match=r"no candidate takes at most 1 ms; the fastest takes 2"):
        one_standard_error("ab", same[:2], [2, 3], [1, 1], most_ms=1)


def test_a_faster_candidate_that_costs_more_is_not_taken():
    found = one_standard_error(["big", "small"], candidates()[[0, 2]], [3, 1], [3, 1])
    assert (found["chosen"], found["best"], found["within"]) == ("big", "big", ["big"])
    assert "the runner-up is small; it costs 0.15" in found["text"]


def test_images_of_one_part_count_once():
    rng = np.random.default_rng(11)
    cost = (rng.random((2, 40)) < [[0.1], [0.25]]).astype(float)
    alone = one_standard_error("ab", cost, [2, 1], [1, 1])
    repeated = one_standard_error("ab", cost.repeat(9, axis=1), [2, 1], [1, 1], np.arange(40).repeat(9))
    assert alone == repeated


def test_who_is_beaten_by_nobody():
    assert front([[1, 5], [2, 2], [3, 3], [5, 1], [2, 2]]).tolist() == [True, True, False, True, True]
