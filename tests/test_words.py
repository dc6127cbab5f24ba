"""Numbers in words: the same on the screen, on the page and in the card."""

import numpy as np
import pytest

from zansa.proof.rates import mean_rate, rate
from zansa.report.model_card import plain as escaped
from zansa.report.page import plain as content
from zansa.screen import Screen, epoch_text, figure_rows, growth_text, inspection_rows, run_text, start_text
from zansa.words import plain_percent, price_text, rate_text, rule_text, share_of, time_text, typed


@pytest.mark.parametrize(
    ("hits", "count", "confidence", "text"),
    [
        (38, 40, 0.95, "38/40 = 95.0 % (95 % CI 83.1–99.4 %)"),
        (40, 40, 0.95, "40/40 = 100 % (95 % CI 91.2–100 %)"),
        (0, 3, 0.95, "0/3 = 0 % (95 % CI 0–70.8 %)"),
        (950, 1000, 0.95, "950/1 000 = 95.00 % (95 % CI 93.46–96.27 %)"),
        (999, 999, 0.95, "999/999 = 100 % (95 % CI 99.6–100 %)"),
        (1999, 2000, 0.99, "1 999/2 000 = 99.95 % (99 % CI 99.63–99.9997 %)"),
        (9998, 10_000, 0.95, "9 998/10 000 = 99.980 % (95 % CI 99.928–99.998 %)"),
        (99_998, 99_999, 0.975, "99 998/99 999 = 99.999 % (97.5 % CI 99.994–99.99999 %)"),
    ],
)
def test_a_rate_reads_well_and_never_rounds_to_perfection(hits, count, confidence, text):
    assert typed(rate_text(rate(hits, count, confidence))) == text


@pytest.mark.parametrize("count", [1, 9, 10, 99, 100, 999, 1000, 4321, 9999, 10_000, 123_456, 1_000_000])
def test_one_sample_more_or_less_shows(count):
    some = sorted({0, 1, count // 3, count // 2, count - 1, count})
    texts = [share_of(rate(hits, count)) for hits in some]
    assert len(set(texts)) == len(some)
    for hits in some[:-1]:
        assert share_of(rate(hits, count)) != share_of(rate(hits + 1, count))


def test_a_rate_reads_the_same_on_screen_page_and_card():
    measured, threshold = rate(950, 1000), 0.25
    told = {"good": "fine", "threshold": threshold, "detection": measured, "false_alarms": None, "roc_auc": 0.98765}
    rows = dict(inspection_rows(told))
    assert rows["defects found"] == rate_text(measured)
    assert rows["threshold"] == "a part is rejected when 1 − p(fine) ≥ 0.25"
    assert rows["ROC area"] == "0.9877 (defects against fine)"
    cell = content(columns=("test",), rates=[("defects found", (measured,))])["rates"][0]["cells"][0][0]
    assert f"{cell['counts']} = {cell['text']} (95\u00a0%\u00a0CI {cell['interval']})" == rate_text(measured)
    assert escaped(rate_text(measured)) == typed(rate_text(measured))


def test_figures_on_the_screen():
    time = {"ms": 0.4123, "what": "ONNX Runtime", "device": "cpu", "threads": 2, "precision": "float32", "batch": 1}
    each = [{"class": "good", "recall": rate(3, 4)}, {"class": "never", "recall": None}]
    balanced = mean_rate(*map(np.array, ([3, 1], [4, 2])), 0.95)
    told = {
        "accuracy": rate(3, 4),
        "balanced_accuracy": balanced,
        "per_class": each,
        "inspection": None,
        "latency": [time],
        "noun": "signal",
    }
    rows = dict(figure_rows(told))
    assert list(rows) == ["per signal", "accuracy", "balanced", "  good"]  # the time leads, as one of three figures
    assert typed(rows["balanced"]).startswith("62.5 % (95 % CI ")  # a mean of rates has no counts
    assert rows["per signal"] == time_text(time)
    assert typed(time_text(time)) == "0.412 ms (ONNX Runtime on the processor, 2 threads, float32, batch 1)"
    waited = typed(time_text(time | {"threads": 1, "ms": 31.3, "work_ms": 1.73}))
    assert waited.endswith("1 thread, float32, batch 1; the machine was busy: 1.73 ms of it are work)")
    assert "busy" not in time_text(time | {"work_ms": 0.1}) + time_text(time | {"threads": 1, "work_ms": 0.4})


def move(kind, spent=1e4, **more):
    return {
        "event": "edit",
        "move": kind,
        "spent": spent,
        "progress": 0.123,
        "price_after": 15e6,
        "limit": 20e6,
        "unit": "macs",
        "structure": "5(7, 7) | 10(12-9, 11)",
        **more,
    }


def test_a_moment_of_a_growth_says_what_came_and_went():
    edits = [move("insert"), move("widen"), move("widen"), move("remap", -3e4), move("remap"), move("delete", -1e4)]
    text = growth_text([*edits, move("fuse")])
    assert text == (
        "12.3 %  1 block came, 3 widths grew, 1 width shrank, 1 block went, 1 fuse edit: "
        "5(7, 7) | 10(12-9, 11); 15 M of 20 M multiply-adds"
    )
    assert growth_text([move("split", progress=0.04, unit="ms", price_after=0.25, limit=2.5)]) == (
        "   4 %  1 block came: 5(7, 7) | 10(12-9, 11); 0.250 ms of 2.50 ms"
    )


def test_the_first_change_of_a_growth_comes_with_its_legend(capsys):
    with Screen() as view:
        for event in (move("insert"), move("widen", last=True), move("delete", -1e4, last=True)):
            view.tell(event)
    legend, *lines = capsys.readouterr().err.splitlines()
    assert legend.startswith("The network changes while it learns. Each such line says how far the training is")
    assert [line.split("  ")[-1].split(":")[0] for line in lines if line] == [
        "1 block came, 1 width grew",
        "1 block went",
    ]


def test_the_start_of_a_run_on_the_screen():
    run = {"path": "runs/a", "epochs": 30, "cost": {"macs": 4.1e6, "params": 45e3}, "net": "stem"}
    assert (
        run_text(run) == "runs/a trains for 30 epochs of a network with 4.10 M multiply-adds and 45 k parameters:\nstem"
    )
    machine = {"device": "cpu", "threads": 1, "precision": "float32", "layout": "channels_last"}
    told = {"event": "start", "step": 0, "steps": 1200}
    assert start_text(told) == "training started at step 0 of 1 200"
    assert start_text(told | {"event": "resumed", "step": 7} | machine) == (
        "training resumed at step 7 of 1 200, on cpu with 1 thread, float32 and channels_last"
    )


def test_an_epoch_on_the_screen():
    event = {
        "epoch": 3,
        "epochs": 29,
        "best": 3,
        "loss": 0.5,
        "val_loss": 0.25,
        "val_balanced_accuracy": 0.9583,
        "seconds": 200.0,
    }
    assert epoch_text(event) == (
        "epoch   3/29  loss 0.500  validation loss 0.250, balanced accuracy 95.8 %  3 min 20 s  kept"
    )


def test_prices_shares_and_rules():
    told = [
        ("macs", 4.1e6, "4.10 M multiply-adds"),
        ("params", 300e3, "300 k parameters"),
        ("bytes", 1.2e6, "1.20 MB"),
        ("ms", 2.5, "2.50 ms"),
        ("joules", 3.5, "3.5 joules"),
    ]
    for unit, value, text in told:
        assert typed(price_text(value, unit)) == text
    assert typed(price_text(4.1e6, "macs", named=False)) == "4.10 M"
    assert [typed(plain_percent(share)) for share in (0.08, 0.975, 1)] == ["8 %", "97.5 %", "100 %"]
    assert rule_text({"good": "good", "threshold": 0.94054}) == "1 − p(good) ≥ 0.9405"
