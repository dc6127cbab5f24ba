"""Figures against scikit-learn, scipy.stats and closed forms."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from zansa.arch.use import OperatingPoint
from zansa.proof.decide import log_odds
from zansa.proof.figures import doubtful, figures, scores
from zansa.proof.good import good_class
from zansa.proof.points import operating_point, scored_parts, usual
from zansa.proof.rates import rate

CLASSES = ("crack", "good", "hole", "stain")
PAIR = ("defect", "good")


def random_answers(seed, images=400, classes=4, decimals=None):
    """Answers that are right more often than not; few decimals make ties."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, images, p=np.array([1, 6, 2, 1][:classes]) / sum([1, 6, 2, 1][:classes]))
    logits = generator.normal(size=(images, classes)) + 1.5 * np.eye(classes)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if decimals is not None:
        p[:, 1:] = np.floor(p[:, 1:] * 10**decimals) / 10**decimals
        p[:, 0] = 1 - p[:, 1:].sum(axis=1)
    return p, labels


def by_score(good, defect):
    """Probabilities and labels of images of two classes whose 1 - p(good) is given."""
    score = np.concatenate([good, defect]).astype(float)
    return np.column_stack([score, 1 - score]), np.array([1] * len(good) + [0] * len(defect))


def rejected(probabilities, labels, point):
    """How many (good, defect) images are rejected."""
    over = scores(probabilities, PAIR, "good") >= point.threshold
    return int(over[labels == 1].sum()), int(over[labels == 0].sum())


# ---- rates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 40), (38, 40), (40, 40), (3, 7), (4999, 5000)])
def test_a_rate_is_the_exact_interval_of_scipy(hits, count, confidence):
    found = rate(hits, count, confidence)
    oracle = binomtest(hits, count).proportion_ci(confidence, "exact")
    assert (found["value"], found["hits"], found["count"]) == (hits / count, hits, count)
    assert found["low"] == pytest.approx(oracle.low, abs=1e-9)
    assert found["high"] == pytest.approx(oracle.high, abs=1e-9)


def test_no_misses_in_n_images_leave_the_closed_form():
    for count in (1, 10, 59, 1000):
        assert rate(count, count)["low"] == pytest.approx(0.025 ** (1 / count), rel=1e-12)
        assert rate(0, count)["high"] == pytest.approx(1 - 0.025 ** (1 / count), rel=1e-9)


def test_the_exact_interval_covers_at_least_as_often_as_it_says():
    count, hits = 25, np.arange(26)
    intervals = [rate(int(h), count) for h in hits]
    for truth in np.linspace(0.01, 0.99, 99):
        inside = [found["low"] <= truth <= found["high"] for found in intervals]
        assert binom.pmf(hits, count, truth)[inside].sum() >= 0.95


@pytest.mark.parametrize(("hits", "count"), [(0, 0), (-1, 3), (4, 3)])
def test_a_rate_of_nothing_is_refused(hits, count):
    with pytest.raises(ValueError, match=f"rate of {hits}/{count}.*count >= 1"):
        rate(hits, count)


def test_an_odd_confidence_is_refused():
    with pytest.raises(ValueError, match="confidence is 95; allowed: between 0 and 1"):
        rate(3, 4, 95)


# ---- figures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("seed", range(3))
def test_figures_agree_with_scikit_learn(seed, decimals):
    p, labels = random_answers(seed, decimals=decimals)
    found, told = figures(p, labels, CLASSES), p.argmax(axis=1)
    assert found["count"] == 400
    assert found["classes"] == list(CLASSES)
    assert found["inspection"] is None
    assert found["accuracy"]["value"] == metrics.accuracy_score(labels, told)
    assert found["balanced_accuracy"]["value"] == pytest.approx(metrics.balanced_accuracy_score(labels, told))
    assert found["confusion"] == metrics.confusion_matrix(labels, told).tolist()
    assert [row["count"] for row in found["per_class"]] == np.bincount(labels).tolist()
    for name in ("precision", "recall"):
        oracle = getattr(metrics, f"{name}_score")(labels, told, average=None)
        assert [row[name]["value"] for row in found["per_class"]] == pytest.approx(list(oracle))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, p))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, p, multi_class="ovr"))
    assert found["pr_auc"] == pytest.approx(metrics.average_precision_score(np.eye(4)[labels], p))


@pytest.mark.parametrize("decimals", [None, 2])
def test_calibration_error_agrees_with_scikit_learns_curve(decimals):
    p, labels = random_answers(4, images=3000, decimals=decimals)
    sure, right = p.max(axis=1), p.argmax(axis=1) == labels
    share_right, mean_sure = calibration_curve(right, sure, n_bins=15)
    images = np.bincount(np.digitize(sure, np.linspace(0, 1, 16)[1:-1], right=True))
    oracle = (abs(share_right - mean_sure) * images[images > 0]).sum() / len(labels)
    assert figures(p, labels, CLASSES)["calibration_error"] == pytest.approx(oracle)


def test_calibration_error_in_closed_form():
    sure_and_half_right = np.array([[1.0, 0.0]] * 10)
    assert figures(sure_and_half_right, np.arange(10) % 2, PAIR)["calibration_error"] == pytest.approx(0.5)
    assert figures(np.array([[0.3, 0.7]] * 10), [1] * 7 + [0] * 3, PAIR)["calibration_error"] < 1e-12
    edge_belongs_below = figures([[0.6, 0.4], [0.65, 0.35]], [0, 1], PAIR)  # of bins (8/15, 9/15], (9/15, 10/15]
    assert edge_belongs_below["calibration_error"] == pytest.approx((0.4 + 0.65) / 2)


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("seed", range(3))
def test_inspection_agrees_with_scikit_learn(seed, decimals):
    p, labels = random_answers(seed, decimals=decimals)
    point = OperatingPoint(good="good", threshold=0.6, rule="by hand")
    found, defect, score = figures(p, labels, CLASSES, point)["inspection"], labels != 1, 1 - p[:, 1]
    over = score >= 0.6
    assert (found["good"], found["threshold"], found["rule"]) == ("good", 0.6, "by hand")
    assert found["detection"]["value"] == metrics.recall_score(defect, over)
    assert found["detection"]["count"] == defect.sum()
    assert found["false_alarms"]["hits"] == metrics.confusion_matrix(defect, over)[0, 1]
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(defect, score))
    assert found["pr_auc"] == pytest.approx(metrics.average_precision_score(defect, score))
    assert [row["class"] for row in found["per_defect"]] == ["crack", "hole", "stain"]
    for row, label in zip(found["per_defect"], (0, 2, 3), strict=True):
        assert row["detection"]["hits"] == over[labels == label].sum()
        assert row["detection"]["count"] == (labels == label).sum()
    alarms, detection, _ = metrics.roc_curve(defect, score, drop_intermediate=False)
    for share in (0.01, 0.02, 0.05):
        assert found["detection_at"][str(share)] == pytest.approx(detection[alarms <= share].max())


def test_the_roc_has_at_most_200_points_from_corner_to_corner():
    p, labels = random_answers(5, images=20_000)
    roc = np.array(figures(p, labels, CLASSES, OperatingPoint(good="good", threshold=0.5))["inspection"]["roc"])
    assert 100 <= len(roc) <= 200
    assert roc[0].tolist() == [0, 0]
    assert roc[-1].tolist() == [1, 1]
    assert (np.diff(roc, axis=0) >= 0).all()
    area = metrics.auc(*roc.T)
    assert area == pytest.approx(metrics.roc_auc_score(labels != 1, 1 - p[:, 1]), abs=2e-3)


def test_detection_at_a_share_counts_whole_good_images():
    good, defect = np.linspace(0, 0.98, 99), [0.975, 0.99]
    p, labels = by_score(good, defect)
    found = figures(p, labels, PAIR, OperatingPoint(good="good", threshold=0.5))["inspection"]
    assert found["detection_at"] == {"0.01": 0.5, "0.02": 1, "0.05": 1}  # 1 % of 99 images is none of them


def test_an_image_on_the_line_is_rejected():
    p, labels = by_score(good=[0.25], defect=[0.25])
    found = figures(p, labels, PAIR, OperatingPoint(good="good", threshold=0.25))["inspection"]
    assert found["detection"]["hits"] == found["false_alarms"]["hits"] == 1


def test_figures_are_plain_json():
    p, labels = random_answers(6)
    point = OperatingPoint(good="good", threshold=0.6)
    found = figures(p.astype(np.float32), labels.astype(np.uint8), CLASSES, point)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


# ---- the interval of balanced accuracy ---------------------------------------------------------------------


def bootstrap(p, labels, repeats=4000):
    """The plain way: to draw a class's images again, with replacement, is to draw its hits."""
    generator, right = np.random.default_rng(0), p.argmax(axis=1) == labels
    counts = np.bincount(labels)
    shares = np.bincount(labels, weights=right) / counts
    drawn = generator.binomial(counts, shares, (repeats, len(counts))) / counts
    return np.quantile(drawn.mean(axis=1), [0.025, 0.975])


def test_with_many_images_the_interval_is_the_stratified_bootstraps():
    p, labels = random_answers(7, images=8000)
    found = figures(p, labels, CLASSES)["balanced_accuracy"]
    low, high = bootstrap(p, labels)
    assert found["low"] == pytest.approx(low, abs=0.003)
    assert found["high"] == pytest.approx(high, abs=0.003)


def test_of_one_class_it_is_the_exact_interval():
    p, labels = random_answers(8)
    only = labels == 1
    found = figures(p[only], labels[only], CLASSES)
    assert found["balanced_accuracy"] == {
        key: pytest.approx(found["accuracy"][key]) for key in ("value", "low", "high", "confidence")
    }


def test_with_few_images_it_still_covers_where_the_bootstrap_does_not():
    counts, recalls = [60, 3, 5, 8, 12, 4], [0.99, 0.97, 0.98, 0.99, 0.98, 0.95]
    generator, truth, labels = np.random.default_rng(0), np.mean(recalls), np.repeat(np.arange(6), counts)
    ours, plain, trials = 0, 0, 60
    for _ in range(trials):
        right = generator.random(len(labels)) < np.array(recalls)[labels]
        p = np.eye(6)[np.where(right, labels, (labels + 1) % 6)]
        found = figures(p, labels, tuple("abcdef"))["balanced_accuracy"]
        low, high = bootstrap(p, labels, repeats=200)
        ours += found["low"] <= truth <= found["high"]
        plain += low <= truth <= high
    assert ours / trials >= 0.9
    assert plain / trials <= 0.75


def test_all_right_is_no_proof_of_perfection():
    found = figures(np.eye(2)[[0, 0, 0, 1, 1, 1]], [0, 0, 0, 1, 1, 1], PAIR)["balanced_accuracy"]
    assert (found["value"], found["high"]) == (1, 1)
    assert 0.4 < found["low"] < 0.6


# ---- edges -----------------------------------------------------------------------------------------------


def test_a_class_without_images_has_no_recall_and_weighs_nothing():
    p, labels = random_answers(9)
    some = labels != 3
    found = figures(p[some], labels[some], CLASSES, OperatingPoint(good="good", threshold=0.5))
    assert found["per_class"][3]["recall"] is None
    assert found["per_class"][3]["precision"]["value"] == 0
    assert found["inspection"]["per_defect"][2] == {"class": "stain", "detection": None, "asked": None}
    told = p[some].argmax(axis=1)
    oracle = np.mean([(told[labels[some] == c] == c).mean() for c in range(3)])
    assert found["balanced_accuracy"]["value"] == pytest.approx(oracle)
    oracle = np.mean([metrics.roc_auc_score(labels[some] == c, p[some][:, c]) for c in range(3)])
    assert found["roc_auc"] == pytest.approx(oracle)


def test_a_class_that_is_never_told_has_no_precision():
    found = figures([[0.9, 0.1], [0.8, 0.2]], [0, 1], PAIR)
    assert found["per_class"][1]["precision"] is None
    assert found["per_class"][1]["recall"]["value"] == 0


def test_one_image():
    found = figures([[0.2, 0.8]], [1], PAIR, OperatingPoint(good="good", threshold=0.5))
    assert found["accuracy"] == rate(1, 1)
    assert (found["roc_auc"], found["pr_auc"]) == (None, None)
    assert found["log_loss"] == pytest.approx(-math.log(0.8))
    assert found["calibration_error"] == pytest.approx(0.2)
    assert found["inspection"]["detection"] is None
    assert found["inspection"]["false_alarms"] == rate(0, 1)


@pytest.mark.parametrize("label", [0, 1])
def test_images_of_one_class(label):
    p, labels = random_answers(10, classes=2)
    found = figures(p, np.full_like(labels, label), PAIR, OperatingPoint(good="good", threshold=0.5))
    assert (found["roc_auc"], found["pr_auc"]) == (None, None)
    inspection = found["inspection"]
    assert (inspection["roc_auc"], inspection["pr_auc"], inspection["roc"]) == (None, None, [])
    assert inspection["detection_at"] == {"0.01": None, "0.02": None, "0.05": None}
    assert (inspection["detection"] is None) == (label == 1)
    assert (inspection["false_alarms"] is None) == (label == 0)


def test_equal_answers_to_all_images():
    found = figures([[0.5, 0.5]] * 6, [0, 1] * 3, PAIR, OperatingPoint(good="good", threshold=0.5))
    assert found["roc_auc"] == found["pr_auc"] == found["inspection"]["roc_auc"] == 0.5
    assert found["inspection"]["detection_at"]["0.05"] == 0
    assert found["accuracy"]["hits"] == 3


def test_certain_answers_are_finite_even_when_wrong():
    p, labels = np.eye(2)[[0, 0, 1, 1]], np.array([0, 1, 0, 1])
    found = figures(p, labels, PAIR)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, p))
    assert found["calibration_error"] == 0.5
    assert found["roc_auc"] == 0.5


@pytest.mark.parametrize(
    ("p", "labels", "classes", "message"),
    [
        (
            [[0.5, 0.5], [math.nan, 1]],
            [0, 1],
            PAIR,
            "to 1 of 2 samples are NaN or infinite.*sample 1.*learning rate",
        ),
        ([[math.inf, 0]], [0], PAIR, "NaN or infinite"),
        ([[2.5, -1.5]], [0], PAIR, r"sample 0 has probabilities \[ 2.5 -1.5\].*softmax"),
        ([[0.5, 0.5], [0.5, 0.2]], [0, 1], PAIR, "sample 1 has probabilities.*sum 1"),
        ([[0.5, 0.5]], [2], PAIR, r"sample 0 has label 2; allowed: 0..1.*\(defect, good\)"),
        ([[0.5, 0.5]], [-1], PAIR, "sample 0 has label -1"),
        ([[0.5, 0.5]], [0.0], PAIR, "labels are float64.*1 whole numbers"),
        ([[0.5, 0.5]], [0, 1], PAIR, "needed: 1 whole numbers"),
        ([[0.5, 0.5]], [0], CLASSES, r"shape \(1, 2\); needed: \(samples >= 1, 4 classes\)"),
        ([0.5, 0.5], [0], PAIR, r"shape \(2,\)"),
        (np.zeros((0, 2)), [], PAIR, r"shape \(0, 2\); needed: \(samples >= 1"),
        ([[1.0]], [0], ("good",), "at least two"),
    ],
)
def test_what_are_no_probabilities_or_labels_is_refused(p, labels, classes, message):
    point = OperatingPoint(good="good", threshold=0.5)
    for ask in (
        lambda: figures(p, labels, classes),
        lambda: doubtful(p, labels, classes, point, 3),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


def test_an_unknown_good_class_is_answered_with_the_classes():
    point = OperatingPoint(good="ok", threshold=0.5)
    for ask in (
        lambda: figures([[0.5, 0.5]], [0], PAIR, point),
        lambda: doubtful([[0.5, 0.5]], [0], PAIR, point, 3),
        lambda: scores([[0.5, 0.5]], PAIR, "ok"),
    ):
        with pytest.raises(ValueError, match="'ok' is not among the classes: defect, good"):
            ask()


# ---- the good class ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "good"),
    [
        (("crack", "good", "hole"), "good"),
        (("Crack", "OK"), "OK"),
        (("MT_Blowhole", "MT_Crack", "MT_Free"), "MT_Free"),
        (("def_front", "ok_front"), "ok_front"),
        (("scratch", "Defect-free"), "Defect-free"),
        (("No Defect", "dent"), "No Defect"),
        (("none", "open", "short"), "none"),
        (("bad", "not_good"), None),
        (("ng", "nok"), None),
        (("abnormal", "normal"), "normal"),
        (("good", "ok", "bad"), None),
        (("0", "1", "2"), None),
        (("automobile", "cat"), None),
        (("good",), "good"),
        (("", "good"), "good"),
        ((), None),
    ],
)
def test_the_good_class_is_found_by_its_name(classes, good):
    assert good_class(classes) == good


# ---- images to look at -------------------------------------------------------------------------------------

ANSWERS = np.array(
    [
        # crack, good, hole, stain
        [0.10, 0.80, 0.05, 0.05],  # 0 crack: missed
        [0.02, 0.95, 0.02, 0.01],  # 1 hole: missed, surely
        [0.60, 0.10, 0.20, 0.10],  # 2 good: false alarm
        [0.40, 0.40, 0.10, 0.10],  # 3 good: false alarm, less surely
        [0.20, 0.05, 0.70, 0.05],  # 4 crack: told as a hole
        [0.30, 0.05, 0.35, 0.30],  # 5 stain: told as a hole, barely
        [
            0.40,
            0.49,
            0.06,
            0.05,
        ],  # 6 crack: rejected, near the line, though good is more probable than any defect
        [0.01, 0.98, 0.01, 0.00],  # 7 good: clear
        [0.20, 0.60, 0.10, 0.10],  # 8 good: kept, near the line
        [0.97, 0.01, 0.01, 0.01],  # 9 crack: clear
    ]
)
TRUTH = np.array([0, 2, 1, 1, 0, 3, 0, 1, 1, 0])
LINE = OperatingPoint(good="good", threshold=0.5)


def test_all_images_stand_in_their_order():
    found = doubtful(ANSWERS, TRUTH, CLASSES, LINE, 100)
    assert [(row["why"], row["index"]) for row in found] == [
        ("missed", 1),
        ("missed", 0),
        ("false alarm", 2),
        ("false alarm", 3),
        ("confused", 4),
        ("confused", 5),
        ("doubtful", 6),
        ("doubtful", 8),
        ("doubtful", 7),
        ("doubtful", 9),
    ]
    assert json.loads(json.dumps(found)) == found


def test_a_small_number_is_shared_among_the_reasons():
    found = doubtful(ANSWERS, TRUTH, CLASSES, LINE, 5)
    assert [row["index"] for row in found] == [1, 0, 2, 4, 6]
    assert [row["index"] for row in doubtful(ANSWERS, TRUTH, CLASSES, LINE, 1)] == [1]
    assert doubtful(ANSWERS, TRUTH, CLASSES, LINE, 0) == []


def test_without_a_line_confused_and_close_answers_are_shown():
    found = doubtful(ANSWERS, TRUTH, CLASSES, None, 100)
    assert [row["index"] for row in found if row["why"] == "confused"] == [1, 0, 2, 4, 6, 5, 3]
    assert [row["index"] for row in found if row["why"] == "doubtful"] == [8, 9, 7]


def test_reasons_agree_with_the_figures():
    p, labels = random_answers(12)
    good = CLASSES.index("good")
    point = operating_point(usual(scored_parts(log_odds(p[:, good]), labels != good)), "good")
    rows, found = (
        doubtful(p, labels, CLASSES, point, 10_000),
        figures(p, labels, CLASSES, point)["inspection"],
    )
    counts = {why: sum(row["why"] == why for row in rows) for why in ("missed", "false alarm")}
    assert counts["missed"] == found["detection"]["count"] - found["detection"]["hits"]
    assert counts["false alarm"] == found["false_alarms"]["hits"]
    assert sorted(row["index"] for row in rows) == list(range(400))
