"""Claims: how they are read, how many parts they take, what was shown; learning curves and their range."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom, norm

from zansa.proof import exact
from zansa.proof.learning_curve import band, extrapolate, nested, shares
from zansa.proof.sizes import (
    Claim,
    Need,
    chance_to_pass,
    claimable,
    evidence,
    expected_mistakes,
    need,
    parse_claim,
    plan,
    verdict,
)

DRAWS = 2000
WORDS = "recall>=0.99 at false_alarms<=0.02"


# --- the claim ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        (WORDS, Claim(0.99, 0.02)),
        ("recall>=99% and false-alarms <= 2 %", Claim(0.99, 0.02)),
        ("false alarms≤0.02, Recall ≥ 0.99", Claim(0.99, 0.02)),
        ("recall > .9", Claim(0.9, None)),
        ("false_alarms<=1e-3", Claim(None, 0.001)),
    ],
)
def test_claims_are_read(text, claim):
    assert parse_claim(text) == claim
    assert parse_claim(claim.text) == claim


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recall>=99", r"a share from 0 to 1 is meant; for 99 % type recall>=0\.99$"),
        ("recall>=0.99 at false_alarms<=2", r"for 2 % type false_alarms<=0\.02$"),
        ("false_alarms<=120%", r"a share from 0 to 1 is meant$"),
        ("recall>=1.0", r"no number of parts proves that there is never a mistake; recall>=0\.999 takes 2.995 parts"),
        ("recall>=100%", r"no number of parts proves"),
        ("false_alarms<=0", r"no number of parts proves.*false_alarms<=0\.001 takes 2.995 parts"),
        ("recall>=0.999999", r"it takes 2.995.731 parts without a mistake"),
        ("recall>=0", r"says nothing: it is always true"),
        ("false_alarms<=1", r"says nothing"),
        ("recall<=0.9", r"recall is claimed to be at least a share: recall>=0\.9$"),
        ("false_alarms>=0.02", r"at most a share: false_alarms<=0\.02$"),
        ("recall=0.9", r"at least a share: recall>=0\.9$"),
        ("recall>=0.9 at recall>=0.95", r"says recall twice; once is allowed"),
        ("recall>=0.3 at false_alarms<=0.5", r"is met by chance: blindly rejecting 30.% of all parts finds as many"),
        ("detection rate>=0.9", r"'detection rate' was made; recall is its name here"),
        ("misses<=0.01", r"a miss rate of 0.01 is recall>=0\.99"),
        ("accuracy>=0.9", r"allowed: recall \(of defective parts\) and false_alarms \(of good ones\)"),
        ("recall>=much", r"'much' is no number"),
        ("recall>=0,99 at false_alarms<=0.02", r"'0,99' is no number: type a share such as 0\.99, with a point"),
        ("検出率>=0.99", r"'検出率' was made; recall is its name here"),
        ("recall>=0.99999999", r"^recall>=0\.99999999 cannot be shown"),
        ("recall>=nan", r"a share from 0 to 1 is meant"),
        ("recall>=-1", r"a share from 0 to 1 is meant"),
        ("recall 0.99", r"is no claim; type a name, a sign and a share, for example 'recall>=0\.99 at"),
        ("", r"'' is no claim"),
        ("recall>=0.99 at", r"is no claim"),
    ],
)
def test_claims_that_are_none_say_what_to_type(text, said):
    with pytest.raises(ValueError, match=said):
        parse_claim(text)


def test_a_confidence_in_percent_is_refused():
    with pytest.raises(ValueError, match=r"confidence is 95;.*did you mean 0\.95"):
        parse_claim(WORDS, 95)


# --- how many parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "truth", "parts", "misses"),
    [
        (0.05, 0.03, 601, 21),
        (0.05, 0.02, 234, 6),
        (0.05, 0.01, 124, 2),
        (0.02, 0.01, 969, 12),
        (0.02, 0.005, 386, 3),
        (0.01, 0.005, 1941, 12),
        (0.01, 0.003, 913, 4),
        (0.01, 0.001, 473, 1),
        (0.001, 0.0005, 19439, 12),
        (0.001, 0.0001, 4742, 1),
    ],
)
def test_parts_for_a_chance_of_80_percent_are_those_of_the_table(share, truth, parts, misses):
    found = need(share, truth)
    assert (found.parts, found.misses) == (parts, misses)
    assert found.chance == pytest.approx(binom.cdf(misses, parts, truth))
    assert found.chance >= 0.8
    assert binom.cdf(misses, parts, share) <= 0.05


def test_no_smaller_number_of_parts_suffices():
    every = np.arange(1, 1000)
    chance = binom.cdf(exact.allowed(every, 0.05), every, 0.02)
    assert need(0.05, 0.02).parts == every[chance >= 0.8][0]
    assert chance_to_pass(0.05, 0.02, 234) == pytest.approx(chance[233])


def test_a_plan_for_no_miss_is_one_that_good_models_fail():
    assert chance_to_pass(0.01, 0.003, 299) == pytest.approx(0.41, abs=0.005)
    assert chance_to_pass(0.01, 0.001, 299) == pytest.approx(0.74, abs=0.005)


def test_a_truth_at_the_claim_needs_endless_parts():
    assert need(0.01, 0.01) is None
    assert need(0.01, 0.02) is None
    assert need(0.01, 0.00999).parts > 1_000_000
    assert need(0.05, 0.04, 0.99, 0.95).misses > 100


@pytest.mark.parametrize("mistakes", [0, 1, 10])
def test_one_standard_error_is_added(mistakes):
    found, p = expected_mistakes(mistakes, 500), mistakes / 500
    assert p < found < p + 2.1 / 500 + 1.3 * (p * (1 - p) / 500) ** 0.5


def test_what_can_be_claimed_now():
    assert claimable(299) == pytest.approx(0.00997, abs=1e-5)
    assert claimable(0) == 1
    for count, truth in ((200, 0.01), (1000, 0.003), (50, 0.1)):
        now = claimable(count, truth)
        assert chance_to_pass(now + 1e-9, truth, count) >= 0.8
        assert chance_to_pass(now * 0.999, truth, count) < 0.8


def test_a_plan_says_what_is_needed_there_and_claimable():
    claim = parse_claim(WORDS)
    found = plan(claim, {"crack": 40, "hole": 60}, 1000, {"recall": 0.003, "false_alarms": 0.008})
    defective, good = found["rows"]
    assert [row["kind"] for row in found["rows"]] == ["defective", "good"]
    assert (defective["count"], defective["least"], defective["needs"][0]["parts"]) == (100, 299, 913)
    assert "collect 813 more defective parts (913 with up to 4 mistakes), or claim recall>=0.95" in defective["do"]
    assert defective["claimable"] == pytest.approx(1 - exact.upper_limit(1, 100))
    assert defective["chance"] == 0
    assert good["do"].replace("\u00a0", " ").replace("\u202f", "") == "1000 good parts are enough"
    assert good["chance"] == pytest.approx(binom.cdf(12, 1000, 0.008))
    assert found["chance"] == 0


def test_a_plan_without_a_model_gives_three_cases():
    found = plan(parse_claim("recall>=0.99"), {"crack": 400}, 0)
    (row,) = found["rows"]
    assert [case["truth"] for case in row["needs"]] == pytest.approx([0.005, 0.01 / 3, 0.001])
    assert [case["parts"] for case in row["needs"]] == [1941, need(0.01, 0.01 / 3).parts, 473]
    assert found["chance"] is row["chance"] is None
    assert "if the model makes half the mistakes" in row["do"]
    assert "or claim" not in row["do"]  # 400 without a mistake show more than is claimed
    assert "or claim recall>=0.97 at best" in plan(parse_claim("recall>=0.99"), {"crack": 100}, 0)["rows"][0]["do"]


def test_each_kind_may_be_claimed_by_itself():
    found = plan(parse_claim("recall>=0.9"), {"crack": 40, "hole": 600}, 9, {"recall": 0.02}, each=True)
    assert [row["kind"] for row in found["rows"]] == ["crack", "hole"]
    assert found["chance"] == pytest.approx(np.prod([row["chance"] for row in found["rows"]]))
    assert [row["count"] for row in found["rows"]] == [40, 600]


def test_a_model_below_the_claim_is_told_so():
    found = plan(parse_claim("recall>=0.99"), {"crack": 5000}, 0, {"recall": 0.02})
    assert found["rows"][0]["do"].startswith("no number of defective parts shows this: 2")


def test_no_parts_at_all():
    found = plan(parse_claim(WORDS), {}, 0)
    assert [row["claimable"] for row in found["rows"]] == [0, 1]
    assert all("collect" in row["do"] and "or claim" not in row["do"] for row in found["rows"])


# --- what was shown -------------------------------------------------------------------------------------------------


def test_a_verdict_needs_both_numbers():
    claim = parse_claim(WORDS)
    assert verdict(claim, (299, 299), (0, 149))["shown"]
    assert not verdict(claim, (298, 298), (0, 149))["shown"]
    assert not verdict(claim, (299, 299), (0, 148))["shown"]
    assert not verdict(claim, (472, 473), None)["shown"]
    found = verdict(claim, (472, 473), (13, 1000))["numbers"]
    assert [row["shown"] for row in found] == [True, False]
    assert found[0]["p_value"] == pytest.approx(binom.cdf(1, 473, 0.01))
    assert found[0]["limit"] >= 0.99
    assert found[1]["limit"] > 0.02


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("count", [20, 100, 299, 1000])
def test_what_is_shown_agrees_with_the_limit(count, confidence):
    for misses in range(0, count, max(1, count // 40)):
        for least in (0.8, 0.9, 0.99):
            (row,) = verdict(Claim(least, None, confidence), (count - misses, count), None)["numbers"]
            assert row["shown"] == (row["limit"] >= least) == (row["p_value"] <= 1 - confidence)


@pytest.mark.parametrize(("images", "icc"), [(1, 0.0), (6, 0.5), (6, 0.9)])
@pytest.mark.parametrize("count", [20, 100, 299, 1000])
def test_false_claims_are_rare(count, images, icc):
    """The true recall is the one that is claimed; a part is found when one of its images is rejected."""
    rng, least = np.random.default_rng([count, images]), 0.9 if count < 299 else 0.99
    u, e = rng.normal(size=(200_000, 1)), rng.normal(size=(200_000, images))
    line = np.quantile((icc**0.5 * u + (1 - icc) ** 0.5 * e).max(axis=1), 1 - least)  # just so many parts are found
    found = np.empty(DRAWS, int)
    for i in range(0, DRAWS, 100):
        u, e = rng.normal(size=(100, count, 1)), rng.normal(size=(100, count, images))
        found[i : i + 100] = ((icc**0.5 * u + (1 - icc) ** 0.5 * e).max(axis=2) >= line).sum(axis=1)
    claim = Claim(least, None)
    told = {n: verdict(claim, (n, count), None)["numbers"][0] for n in np.unique(found)}
    false = np.mean([told[n]["shown"] for n in found])
    covered = np.mean([told[n]["limit"] <= least + 1e-9 for n in found])
    error = 2 * (0.05 * 0.95 / DRAWS) ** 0.5
    assert false <= 0.05 + error
    assert covered >= 0.95 - error


def test_two_numbers_at_95_percent_are_shown_falsely_no_more_often():
    rng, claim = np.random.default_rng(3), Claim(0.95, 0.05)
    for recall, alarms in ((0.95, 0.0), (1.0, 0.05), (0.95, 0.05)):
        found, wrong = rng.binomial(300, recall, DRAWS), rng.binomial(300, alarms, DRAWS)
        shown = [verdict(claim, (a, 300), (b, 300))["shown"] for a, b in zip(found, wrong, strict=True)]
        assert np.mean(shown) <= 0.05 + 2 * (0.05 * 0.95 / DRAWS) ** 0.5


@pytest.mark.parametrize(("least", "first"), [(0.9, 43), (0.95, 88), (0.98, 224), (0.99, 449)])
def test_one_may_look_after_every_part(least, first):
    assert evidence(first, 0, least) >= 20 > evidence(first - 1, 0, least)
    rng = np.random.default_rng(4)
    found = (rng.random((DRAWS, 1000)) < least).cumsum(axis=1)
    n = np.arange(1, 1001)
    code, place = np.unique(found * 10_000 + n, return_inverse=True)
    false = (
        (evidence(code // 10_000, code % 10_000 - code // 10_000, least) >= 20)[place]
        .reshape(found.shape)
        .any(axis=1)
        .mean()
    )
    peeked = ((n - found) <= exact.allowed(n, 1 - least)).any(axis=1).mean()
    assert false <= 0.05 + 2 * (0.05 * 0.95 / DRAWS) ** 0.5
    assert peeked > (0.1 if least < 0.99 else 0.05)  # what the fixed plan would do


# --- the learning curve -----------------------------------------------------------------------------------------------

SIZES = np.array([100, 200, 400, 800])


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 2.0, 0.5), (0.0, 0.6, 0.2), (0.05, 1.0, 0.4), (0.1, 3.0, 0.8)])
@pytest.mark.parametrize("times", [1, 2, 4])
def test_known_laws_are_extended(a, b, c, times):
    found = extrapolate(SIZES, a + b * SIZES**-c, times)
    truth = a + b * (800.0 * times) ** -c
    assert found["error"] == pytest.approx(truth, rel=0.02 if a == 0 or times == 1 else 0.25)
    assert times == 1 or found["low"] <= truth <= found["high"]


def test_the_range_covers_what_comes():
    """Laws and errors of held-out parts drawn at random; nominal is 90 %, and the range is that of real sets."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(150):
        a, c = rng.uniform(0, 0.05), rng.uniform(0.15, 0.7)
        law = a + rng.uniform(0.2, 0.5) * (np.append(SIZES, 3200) / 100.0) ** -c
        seen = rng.binomial(600, law[:4]) / 600
        found = extrapolate(SIZES, seen, 4, judged=600)
        covered.append(found["error"] is not None and found["low"] <= law[4] <= found["high"])
    assert np.mean(covered) >= 0.85


def test_more_of_the_same_does_not_help():
    found = extrapolate(SIZES, [0.10, 0.10, 0.11, 0.12])
    assert found["error"] is found["low"] is None
    assert "does not help" in found["text"]
    assert 0 < extrapolate(SIZES, [0.1, 0.01, 0.0, 0.0], judged=200)["error"] < 0.01


def test_the_range_widens():
    assert (band(1), band(2), band(4)) == ((1, 1), (0.8, 1.5), (0.75, 1.8))
    assert 1 < band(1.4)[1] < 1.5 < band(3)[1] < 1.8


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: extrapolate(SIZES, [0.4, 0.3, 0.2, 0.1], 8), r"at 8 times the data was asked; allowed: 1 to 4"),
        (lambda: extrapolate(SIZES[:2], [0.4, 0.3]), r"of 2 sizes was given; needed: three or more"),
        (lambda: extrapolate(SIZES[::-1], [0.4, 0.3, 0.2, 0.1]), r"rising"),
        (lambda: extrapolate(SIZES, [40, 30, 20, 10]), r"shares from 0 to 1"),
        (lambda: shares(19), r"has 19 separate parts, and 20 are needed"),
    ],
)
def test_curves_that_are_none(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_shares_are_nested_whole_and_of_every_class():
    assert shares(40) == (1 / 8, 1 / 4, 1 / 2, 1.0)
    assert shares(39) == (1 / 4, 1 / 2, 1.0)
    rng = np.random.default_rng(6)
    groups = rng.integers(0, 200, 1000)
    labels = (groups % 10 == 0).astype(int) * 2  # 20 groups of class 2, none of class 1
    found = nested(labels, groups, shares(20), seed=1)
    for smaller, larger in pairwise(found):
        assert set(smaller) < set(larger)
    assert len(found[-1]) == 1000
    for share, index in zip(shares(20), found, strict=True):
        assert len(np.unique(groups[index][labels[index] == 2])) == 20 * share
        assert not set(groups[index]) & set(groups[np.setdiff1d(np.arange(1000), index)])
    assert [len(index) for index in nested(labels, None, (0.25, 1.0), 1)] == pytest.approx([250, 1000], abs=1)


def test_need_is_a_plain_value():
    assert need(0.05, 0.01) == Need(124, 2, pytest.approx(float(binom.cdf(2, 124, 0.01))))
    assert norm.cdf(1) == pytest.approx(0.8413, abs=1e-4)  # one standard error
