"""The manager's table against a spreadsheet's figures, its ranges against all corners, and costs.yaml."""

from dataclasses import fields, replace
from itertools import product

import pytest

from zansa.jobs.making.prices import money_of, read_costs
from zansa.phrases import speaking
from zansa.proof.money import Money, table
from zansa.report.proving.plan import pays


def one(value: float):
    return (value, value, value)


# the spreadsheet: one number each
SHEET = Money(
    parts=one(1_000_000),
    defect_rate=one(0.01),
    miss=one(500),
    false_alarm=one(8),
    missed=one(0.01),
    false_alarms=one(0.02),
    missed_today=one(0.15),
    false_alarms_today=one(0.03),
    ask=one(10),
    asked=one(0.05),
    operators_today=one(2),
    operators=one(0.5),
    hours=one(2000),
    wage=one(1500),
    watts=one(15),
    hours_on=one(8760),
    kwh=one(31),
    maintenance=one(100_000),
    retraining=one(50_000),
    investment=one(3_000_000),
)


def test_the_table_has_the_figures_of_a_spreadsheet():
    told = table(SHEET)
    cells = {row["row"]: (row["today"][1], row["proposed"][1], row["difference"][1]) for row in told["rows"]}
    assert cells == {
        "misses": pytest.approx((750_000, 50_000, 700_000)),
        "false_alarms": pytest.approx((237_600, 158_400, 79_200)),
        "asked": pytest.approx((0, 500_000, -500_000)),
        "labour": pytest.approx((6_000_000, 1_500_000, 4_500_000)),
        "energy": pytest.approx((0, 4_073.4, -4_073.4)),
        "maintenance": pytest.approx((0, 100_000, -100_000)),
        "retraining": pytest.approx((0, 50_000, -50_000)),
    }
    assert told["total"]["today"][1] == pytest.approx(6_987_600)
    assert told["saving"] == pytest.approx(one(4_625_126.6))
    assert told["payback"] == pytest.approx(one(0.64863), rel=1e-4)
    assert told["roi"] == pytest.approx(one(6.708544), rel=1e-5)
    assert told["pays"]
    assert "It pays" in pays(told)
    alone = table(replace(SHEET, operators_today=one(0), operators=one(0)))
    assert alone["break_even"]["miss"] == pytest.approx(839.1953, rel=1e-5)


def test_does_not_pay_is_an_answer():
    told = table(replace(SHEET, operators=one(4)))
    assert told["saving"][1] < 0
    assert told["payback"] == (None, None, None)
    assert not told["pays"]
    assert "never comes back" in pays(told)
    with speaking("ja"):
        assert "回収できません" in pays(told)
    late = table(replace(SHEET, investment=one(40_000_000)))
    assert not late["pays"]
    assert late["payback"][1] > 5
    assert "within 5 years" in pays(late)


def test_the_range_of_the_saving_is_that_of_all_corners():
    ranged = replace(
        SHEET,
        parts=(5e5, 1e6, 2e6),
        defect_rate=(0.002, 0.01, 0.05),
        missed=(0.0, 0.01, 0.2),
        asked=(0.0, 0.05, 0.1),
        wage=(1121, 1500, 2200),
        operators=(0.2, 0.5, 3),
        kwh=(25, 31, 40),
    )
    open_ = [field.name for field in fields(ranged) if getattr(ranged, field.name)[0] < getattr(ranged, field.name)[2]]
    corners = product(*(getattr(ranged, name)[::2] for name in open_))
    savings = [
        table(replace(ranged, **{k: one(v) for k, v in zip(open_, corner, strict=True)}))["saving"][1]
        for corner in corners
    ]
    assert table(ranged)["saving"] == pytest.approx((min(savings), 4_625_126.6, max(savings)))
    assert table(ranged)["payback"][2] is None  # at worst it never pays
    moved = {}
    for name in open_:
        low, high = (table(replace(ranged, **{name: one(end)}))["saving"][1] for end in getattr(ranged, name)[::2])
        moved[name] = abs(high - low)
    assert table(ranged)["decides"][0]["price"] == max(moved, key=moved.get)


def test_costs_yaml_is_written_read_and_refused(tmp_path):
    file = tmp_path / "costs.yaml"
    sheet, told = read_costs(file)
    assert "replace each ~" in told
    assert sheet.missing == ("parts", "defect_rate", "miss", "false_alarm")
    text = file.read_text()
    for name, value in (
        ("parts", "1,000,000"),
        ("defect_rate", "0.01"),
        ("miss", "[100, 500, 900]"),
        ("false_alarm", "8"),
    ):
        text = text.replace(f"\n{name}: ~", f"\n{name}: {value}")
    file.write_text(text)
    sheet, told = read_costs(file)
    assert told is None
    assert not sheet.missing
    assert sheet.prices["miss"] == (100, 500, 900)
    assert money_of(sheet, one(0.01), one(0.02)).missed == one(0.01)
    for wrong, said in (
        ("defect_rate: 2", "type 0.02"),
        ("wage: [3, 2, 1]", "rising"),
        ("colour: 3", "it knows: ask"),
        ("miss: many", "allowed: a number"),
    ):
        file.write_text(wrong)
        with pytest.raises(ValueError, match=said):
            read_costs(file)
