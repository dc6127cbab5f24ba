"""How a grown run is shown and explained: folders made by really applying edits, read by page, card and people."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from test_report import headings, plain, read_page, train, whole_run

from zansa.arch.apply import apply
from zansa.arch.axes import remappable
from zansa.arch.cost import cost
from zansa.arch.edits import Delete, Insert, Merge, Mix, Rekind, Remap, Split, Widen
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.record import Run
from zansa.report import run as report
from zansa.report import write
from zansa.report.facts import read
from zansa.report.growth.explain import explain
from zansa.report.growth.history import replayed
from zansa.report.growth.sentences import told
from zansa.report.run import SECTIONS

STEPS, LIMIT = 3000, 10e6


def new_run(root, name):
    (root / name).mkdir()
    return Run(root / name)


def basic(*hidden, kind="basic", groups=1):
    return Block(kind=kind, hidden=hidden, groups=groups)


def first_net():
    """Four stages, small, as a growth begins."""
    stages = [Stage(width=8, blocks=(basic(6),))]
    stages += [Stage(width=w, stride=2, shortcut="project", blocks=(basic(w),)) for w in (12, 16, 24)]
    head = Head(classes=6)
    return Net(input=Input(channels=1, size=(32, 32)), stem=Stem(width=8), stages=tuple(stages), head=head)


def removal(net, draw):
    """Something that goes: every third a block, else a quarter of the channels of an axis."""
    stages = [i for i, stage in enumerate(net.stages) if len(stage.blocks) > 1]
    if stages and draw.random() < 0.3:
        stage = int(draw.choice(stages))
        return Delete(stage=stage, at=len(net.stages[stage].blocks) - 1)
    axis, width = draw.choice([*remappable(net).items()])
    return Remap(axis=axis, index=tuple(range(max(4, int(width) * 3 // 4))))


def addition(net, draw):
    """Something that comes: every fifth a block, else a third more channels of an axis."""
    if draw.random() < 0.2:
        stage = int(draw.integers(len(net.stages)))
        blocks = net.stages[stage].blocks
        return Insert(stage=stage, at=len(blocks), block=blocks[-1])
    axis, width = draw.choice([*remappable(net).items()])
    return Widen(axis=axis, count=max(2, int(width) // 3))


def line(net, edit, step, draw, **more):
    """A line of the journal as a policy writes it, and the network behind it."""
    after = apply(net, edit)
    before, now = cost(net), cost(after)
    spent = now.macs - before.macs
    gain = 2e-8 * spent * draw.lognormal(0, 0.8)
    told = {
        "event": "edit",
        "step": step,
        "edit": edit.model_dump(mode="json"),
        "progress": step / STEPS,
        "move": edit.kind,
        "gain": gain,
        "error": abs(gain) * draw.uniform(0.1, 0.9),
        "spent": spent,
        "price_before": before.macs,
        "price_after": now.macs,
        "allowance": LIMIT,
        "limit": LIMIT,
        "unit": "macs",
        "macs": now.macs,
        "params": now.params,
        "val_loss": 1.7 - 1.3 * (step / STEPS) ** 0.5,
        "val_accuracy": 0.4 + 0.5 * step / STEPS,
        "seed": 0,
    }
    return told | more, after


def write_lines(run, lines):
    run.write_bytes("edits.jsonl", b"".join(json.dumps(each).encode() + b"\n" for each in lines))


def grow(run, count=8, each=(2, 8), seed=0):
    """Grows a run's network at so many events, toward the limit, and writes what such a run leaves behind."""
    draw, net, lines = np.random.default_rng(seed), first_net(), []
    run.write_bytes("start.json", net.to_json().encode())
    for k in range(count):
        step, allowance = int(STEPS * (0.08 + 0.5 * k / count)), LIMIT * 0.4 ** (1 - (k + 1) / count)
        for place in range(draw.integers(*each)):
            with suppress(ValueError):
                edit = (removal if place < 2 and k else addition)(net, draw)
                if cost(apply(net, edit)).macs <= allowance:
                    told, net = line(net, edit, step, draw, allowance=allowance)
                    lines.append(told)
    write_lines(run, lines)
    run.write_bytes("spec.json", net.to_json().encode())
    run.write_json("request.json", {"source": "parts/line3", "budget": "macs=10M", "method": "zansa", "seed": seed})
    return lines


def journal(run, edits, **more):
    """A run whose network was changed by these edits, all at step 100; returns the networks."""
    draw, nets = np.random.default_rng(1), [first_net()]
    run.write_bytes("start.json", nets[0].to_json().encode())
    for edit in edits:
        told, net = line(nets[-1], edit, 100, draw, **more)
        run.append("edits.jsonl", told)
        nets.append(net)
    run.write_bytes("spec.json", nets[-1].to_json().encode())
    return nets


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A finished grown run, its lines and its page."""
    run = whole_run(tmp_path_factory.mktemp("grown"), net=first_net(), name="grown-1")
    lines = grow(run)
    return run, lines, read_page(run)


def section_of(run):
    text = (run.path / "report.html").read_text(encoding="utf-8")
    return re.search(r'<section id="growth">.*?</section>', text, re.DOTALL)[0]


def test_a_grown_run_tells_how_it_grew(grown):
    _, lines, page = grown
    assert headings(page) == list(SECTIONS)
    shown = [name for name in page.ids if name in (*SECTIONS, "growth")]
    assert shown[shown.index("growth") + 1] == "network"
    text, first, last = plain(page.text), cost(first_net()), lines[-1]
    steps = sorted({each["step"] for each in lines})
    assert len(steps) >= 6
    assert len(lines) >= 20
    assert f"The network began with 4 blocks and {first.macs / 1e6:.2f} M multiply-adds." in text
    assert f"{len(lines)} edits at {len(steps)} moments of its training changed it." in text
    share = 100 * last["price_after"] / LIMIT
    assert f"{last['price_after'] / 1e6:.2f} M multiply-adds, {share:.1f} % of the limit of 10 M" in text
    assert f"replaying the {len(lines)} edits gives the networkyes" in text
    assert all(f"step {step}: " in text for step in steps)
    assert "How the structure was changed" not in text  # told once


def test_every_edit_stands_in_the_log_with_its_gain_error_and_price(grown):
    run, lines, _ = grown
    text = plain(re.sub(r"<[^>]*>", "", section_of(run)))
    for each in lines:
        digits = 1 - int(np.floor(np.log10(each["error"])))
        assert f"{abs(each['gain']):.{digits}f} ± {each['error']:.{digits}f} nats" in text
    assert text.count("nats") == len(lines)
    assert len(re.findall(r"\(predicted damage [^)]* nats, saves ", text)) == sum(each["gain"] < 0 for each in lines)
    assert len(re.findall(r"\(predicted gain [^)]* nats for ", text)) == sum(each["gain"] >= 0 for each in lines)


def test_the_pictures_are_drawn_for_wide_and_narrow_screens_in_the_page_s_colours(grown):
    drawings = re.findall(r"<svg.*?</svg>", section_of(grown[0]), re.DOTALL)
    names = ("Cost", "Depth and width", "Validation accuracy", "Validation loss")
    labels = re.findall(r'aria-label="([^"]*)"', "".join(drawings))
    assert labels == [f"{name} {size}" for name in names for size in ("wide", "narrow")]
    assert not [drawing for drawing in drawings if re.search(r"#[0-9a-f]{6}\b|rgb\(", drawing)]
    text = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", drawings[2]))
    net = replayed(grown[0])
    assert all(
        f"{a.width} → {b.width}" in text
        for a, b in zip(first_net().stages, net.stages, strict=True)
        if a.width != b.width
    )


def test_bands_are_as_high_as_the_stream_is_wide(tmp_path):
    run = new_run(tmp_path, "band")
    journal(run, [Widen(axis="stage3", count=24)])
    write(run)
    drawing = re.search(r'<svg[^>]*aria-label="Depth and width wide".*?</svg>', section_of(run), re.DOTALL)[0]
    bands = [
        re.search(f'id="{name}" d="([^"]*)"', drawing)[1]
        for name in re.findall(r'href="#([^"]*)"[^>]*fill-opacity', drawing)
    ]
    heights = [np.ptp([float(y) for y in re.findall(r"[ML] \S+ (\S+)", band)]) for band in bands]
    assert len(bands) == 5  # only the last stage has two widths
    before, after = heights[-2:]
    assert after == pytest.approx(2 * before, rel=1e-4)


def test_a_short_log_is_open_and_a_long_one_is_folded(grown, tmp_path):
    assert "<details><summary>Every change" in section_of(grown[0])
    run = new_run(tmp_path, "short")
    journal(run, [Widen(axis="stage2.block0.hidden0", count=8), Insert(stage=0, at=1, block=basic(6))])
    read_page(run)
    assert "<details>" not in section_of(run)
    assert "<b>came</b> stage 2: block 0: inner width 16 → 24 (predicted gain " in section_of(run)


def test_what_happens_to_one_stage_stands_in_one_line(tmp_path):
    run = new_run(tmp_path, "grouped")
    journal(
        run,
        [Widen(axis="stage1", count=4), Widen(axis="stage2", count=4), Widen(axis="stage1.block0.hidden0", count=2)],
    )
    write(run)
    lines = re.findall(r"<p><b>came</b> (.*?)</p>", section_of(run))
    assert len(lines) == 2
    assert re.fullmatch(r"stage 1: stream width 12 → 16 \(.*\); block 0: inner width 12 → 14 \(.*\)", lines[0])


def test_a_run_that_did_not_grow_has_no_such_section(tmp_path):
    run = whole_run(tmp_path)
    run.write_json("request.json", {"source": "parts", "budget": None, "method": "zansa"})
    page = read_page(run)
    assert headings(page) == list(SECTIONS)
    assert "How it grew" not in page.text
    assert "How it grew" not in (run.path / "card.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"did not grow: it has no start\.json"):
        explain(run, "last")
    with pytest.raises(ValueError, match="did not grow"):
        replayed(run)


def test_the_card_tells_how_it_grew(grown):
    run, lines, _ = grown
    card = (run.path / "card.md").read_text(encoding="utf-8")
    assert card.index("## What it is") < card.index("## How it grew") < card.index("## Data")
    assert f"| replaying the {len(lines)} edits gives the network | yes |" in card
    step = lines[0]["step"]
    came = sum(each["step"] == step for each in lines)
    assert re.search(rf"^\| [\d.]+ %, step {step} \| {came} \| 0 \| ", card, re.MULTILINE)


# --- replayed --------------------------------------------------------------------------------------------------------


def test_replaying_gives_the_network(grown):
    run = grown[0]
    assert replayed(run) == Net.from_dict(run.read_json("spec.json"))
    assert replayed(run) != first_net()


def test_every_kind_of_edit_is_replayed_and_told(tmp_path):
    run, gated = new_run(tmp_path, "kinds"), basic(24, 4, kind="se_basic")
    edits = {
        Insert(stage=1, at=1, block=basic(5)): "came: stage 1, block 1 (basic, inner width 5)",
        Split(stage=1, at=1): "came: stage 1, block 1 became two of half the step",
        Merge(stage=1, at=1): "went: stage 1, blocks 1 and 2 became one, in which they run side by side",
        Delete(stage=1, at=1): "went: stage 1, block 1 (basic, inner width 10)",
        Widen(axis="stem", count=2): "came: stem, stream width 8 → 10",
        Remap(axis="stage2", index=(0, 2, 3, 5)): "went: stage 2, stream width 16 → 4",
        Remap(axis="stage2", index=(3, 2, 1, 0)): "changed: stage 2, stream width 4, channels in another order",
        Remap(axis="stage2", index=(0, 1, 2, 3, 3)): "came: stage 2, stream width 4 → 5",
        Rekind(stage=3, at=0, block=gated): "changed: stage 3, block 0 is now se basic, inner width 24, gate 4",
        Widen(axis="stage3.block0.hidden1", count=4): "came: stage 3, block 0: gate width 4 → 8",
    }
    nets = journal(run, edits)
    assert replayed(run) == nets[-1]
    text = explain(run, 100)
    for place, said in enumerate(edits.values(), 1):
        assert f"\n{place}. {said}\n" in text


def test_a_mix_is_told(tmp_path):
    run = new_run(tmp_path, "mixed")
    step, block = Step(kind="merge_and_run"), basic(8, 8)
    stage = Stage(width=8, blocks=(block, block), step=step)
    net = Net(input=Input(channels=1, size=(8, 8)), stem=Stem(width=8), stages=(stage,), head=Head(classes=2))
    run.write_bytes("start.json", net.to_json().encode())
    told, after = line(net, Mix(stage=0, at=1, mix=0.25), 5, np.random.default_rng(0))
    run.append("edits.jsonl", told)
    assert replayed(run) == after
    assert "1. changed: stage 0, block 1 mixes by 0.25" in explain(run, 5)


def test_another_network_is_told(grown, tmp_path):
    run = Run(shutil.copytree(grown[0].path, tmp_path / "run"))
    run.write_bytes("spec.json", first_net().to_json().encode())
    assert "gives the networkno: spec.json holds another one" in plain(read_page(run).text)
    run.append("events.jsonl", {"event": "resumed"})
    assert told(read(run))["facts"][-1][1] == "not known before the training has ended"
    (run.path / "spec.json").unlink()
    assert told(read(run))["facts"][-1][1].startswith("cannot be told: spec.json is not there")


UNKNOWN = {"kind": "fuse", "stage": 2, "at": 3, "weights": list(range(30))}


def test_an_unknown_kind_of_edit_is_told_as_it_is_and_ends_the_replay(grown, tmp_path):
    run = Run(shutil.copytree(grown[0].path, tmp_path / "run"))
    lines = run.lines("edits.jsonl")
    lines[4]["edit"] = UNKNOWN
    write_lines(run, lines)
    text = plain(read_page(run).text)
    assert "gives the networkno: line 5 of edits.jsonl holds no edit that this version of zansa knows" in text
    assert "changed stage 2: fuse at 3, weights of 30 values (predicted" in text
    assert text.count("nats") == len(lines)
    with pytest.raises(ValueError, match=r"line 5 of edits\.jsonl holds no edit"):
        replayed(run)
    assert "changed: stage 2, fuse at 3" in explain(run, lines[4]["step"])


def test_an_edit_that_does_not_fit_is_named(tmp_path):
    run = new_run(tmp_path, "misfit")
    journal(run, [Widen(axis="stage1", count=4)])
    misfit = run.lines("edits.jsonl")[0] | {"edit": Delete(stage=0, at=0).model_dump()}
    run.append("edits.jsonl", misfit)
    with pytest.raises(ValueError, match=r"line 2 of edits\.jsonl does not fit the network: cannot delete block 0"):
        replayed(run)
    assert "changed: stage 0, delete at 0" in explain(run, "last")


# --- explain ---------------------------------------------------------------------------------------------------------


def test_explain_gives_reason_rank_uncertainty_allowance_and_what_was_known(tmp_path):
    run, draw, net = new_run(tmp_path, "told"), np.random.default_rng(0), first_net()
    run.write_bytes("start.json", net.to_json().encode())
    figures = (
        (Remap(axis="stage3", index=tuple(range(20))), -0.0004, 0.0003, ""),
        (Widen(axis="stage1.block0.hidden0", count=4), 0.0123, 0.00098, ""),
        (Widen(axis="stage2.block0.hidden0", count=4), 0.0301, 0.0011, "the stream is too thin"),
    )
    spent = []
    for edit, gain, error, reason in figures:
        told, net = line(net, edit, 240, draw, allowance=6e6, gain=gain, error=error, reason=reason)
        run.append("edits.jsonl", told)
        spent.append(told["spent"])
    text = explain(run, 240)
    head, removed, first, second = text.split("\n\n")
    before = cost(first_net()).macs
    assert head.splitlines()[0] == "told, step 240, 8 % of the training: event 1 of 1"
    assert f"before   {before / 1e6:.2f} M multiply-adds, validation loss 1.332, accuracy 44.0 %" in head
    assert f"allowed  6 M multiply-adds of a limit of 10 M: {(6e6 - before) / 1e6:.2f} M free" in head
    assert f"after    {cost(net).macs / 1e6:.2f} M multiply-adds" in head
    assert f"It saves {-spent[0] / 1e3:.1f} k multiply-adds and was expected to raise the validation loss by" in removed
    assert (
        f"0.00040 ± 0.00030 nats: {0.0004e6 / -spent[0]:.2g} nats per million multiply-adds, the only removal"
        in removed
    )
    assert "That is 1.3 standard errors from nothing: chance alone could look so." in removed
    assert "lower the validation loss by 0.01230 ± 0.00098 nats" in first
    assert "12.6 standard errors from nothing: more than chance explains." in first
    better = 0.0301 / spent[2] > 0.0123 / spent[1]
    assert f"{'number 2' if better else 'the best'} of the 2 additions of this event" in first
    assert f"{'the best' if better else 'number 2'} of the 2 additions of this event" in second
    assert "The journal's own reason: the stream is too thin" in second


def test_explain_last_is_the_last_step(grown):
    run, lines, _ = grown
    assert explain(run, "last") == explain(run, lines[-1]["step"]) == explain(run, str(lines[-1]["step"]))
    assert explain(run, "last") != explain(run, lines[0]["step"])


@pytest.mark.parametrize("step", [1, "0241", "first", -3, ""])
def test_a_step_at_which_nothing_was_changed_is_refused_with_those_there_are(grown, step):
    run, lines, _ = grown
    steps = ", ".join(str(each) for each in sorted({each["step"] for each in lines}))
    with pytest.raises(ValueError, match=rf"nothing was changed at step .*; changes came at the steps {steps}: name"):
        explain(run, step)


def test_explain_of_a_run_without_edits(tmp_path):
    run = new_run(tmp_path, "young")
    run.write_bytes("start.json", first_net().to_json().encode())
    with pytest.raises(ValueError, match="has no edits yet"):
        explain(run, "last")
    run.write_bytes("spec.json", first_net().to_json().encode())
    assert "its structure has not been changed" in read_page(run).text
    assert replayed(run) == first_net()


def test_a_journal_without_predictions_is_told(tmp_path):
    """The published method predicts nothing, but gives reasons."""
    run = new_run(tmp_path, "published")
    unknown = dict.fromkeys(("gain", "error", "val_loss", "val_accuracy", "allowance", "limit"))
    journal(run, [Insert(stage=0, at=1, block=basic(6))], **unknown, reason="a block came at random")
    page, text = read_page(run), explain(run, "last")
    assert "came stage 0: block 1 (basic, inner width 6) (for " in plain(page.text)
    assert "It costs " in text
    assert "expected" not in text
    assert "The journal's own reason: a block came at random" in text
    assert "allowed" not in text


@pytest.mark.parametrize(
    ("unit", "spent", "said"),
    [
        ("params", 1234, "for 1.23 k parameters"),
        ("bytes", 2_500_000, "for 2.50 MB"),
        ("ms", 0.25, "for 0.250 ms"),
        ("joules", 3.5, "for 3.5 joules"),
    ],
)
def test_prices_stand_in_the_unit_of_the_budget(tmp_path, unit, spent, said):
    run = new_run(tmp_path, "unit")
    prices = {"unit": unit, "spent": spent, "price_before": 10 * spent, "price_after": 11 * spent, "limit": 20 * spent}
    journal(run, [Widen(axis="stage1", count=4)], **prices)
    page = plain(read_page(run).text)
    assert said in page
    assert ("timed anew" in page) == (unit == "ms")
    assert "55.0 % of the limit" in page


def test_what_gains_and_saves_is_the_best(tmp_path):
    """In milliseconds: a part that comes may make a network faster."""
    run = new_run(tmp_path, "saves")
    journal(run, [Widen(axis="stage1", count=4)], gain=0.5, spent=0.01, unit="ms")
    draw, net = np.random.default_rng(1), apply(first_net(), Widen(axis="stage1", count=4))
    run.append("edits.jsonl", line(net, Widen(axis="stage2", count=4), 100, draw, gain=0.1, spent=-0.003, unit="ms")[0])
    first, second = explain(run, 100).split("\n2. ")
    assert "50 nats per ms, number 2 of the 2 additions of this event, best first" in first
    assert "saves 0.003 ms and was expected to lower the validation loss" in second
    assert "nats per" not in second
    assert "the best of the 2 additions" in second


def test_moments_without_a_change_are_counted(tmp_path):
    run = new_run(tmp_path, "moments")
    journal(run, [Widen(axis="stage1", count=4)], moments=6)
    lead = plain(told(read(run))["lead"])
    assert "1 edit at 1 of the 6 moments of its training changed it." in lead
    assert "promised" not in lead  # others may come
    run.append("events.jsonl", {"event": "start"})
    run.append("events.jsonl", {"event": "done"})
    assert "At the others nothing that would fit promised more than chance explains." in plain(told(read(run))["lead"])


def test_a_smaller_budget_tells_of_the_growth_that_it_left(tmp_path):
    """Its first edits have the limit of that growth, and it has not had all of its moments."""
    run = new_run(tmp_path, "branch")
    journal(run, [Widen(axis="stage1", count=4), Widen(axis="stage2", count=4)], moments=6, limit=9e6)
    run.write_json("request.json", {"budget": "macs=4.13M"})
    run.write_json("data.json", {"branch_of": "whole"})
    for event in ("start", "done"):
        run.append("events.jsonl", {"event": event})
    section = told(read(run))
    assert "of the limit of 4.13 M" in plain(section["lead"])
    assert "at 1 moment of its training" in plain(section["lead"])
    assert "promised" not in section["lead"]
    assert plain(dict(section["facts"])["a smaller budget of"]) == "whole, whose first 2 edits it shares"


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        ("macs=20M", "20 M"),
        ("params=300k", "300 k"),
        ("macs=1.5G", "1.50 G"),
        ("macs=5M,10M", "10 M"),
        ("much", None),
        (None, None),
    ],
)
def test_the_limit_is_what_was_asked_where_the_journal_does_not_say(tmp_path, asked, limit):
    run = new_run(tmp_path, "asked")
    journal(run, [Widen(axis="stage1", count=4)], limit=None)
    run.write_json("request.json", {"budget": asked})
    lead = plain(told(read(run))["lead"])
    assert (f"of the limit of {limit}." in lead) if limit else ("limit" not in lead)


# --- broken records --------------------------------------------------------------------------------------------------


def small_run(root):
    run = new_run(root, "small")
    journal(run, [Widen(axis="stage1", count=4), Insert(stage=0, at=1, block=basic(6))])
    run.write_json("request.json", {"budget": "macs=10M"})
    return run


@pytest.mark.parametrize("content", [b"", b'[3, "x"]\n', b"{}\n", b"null\n", b"\xff\xfe\x00\n", b'{"torn": [1, 2'])
def test_broken_files_never_cost_the_page(tmp_path, content):
    run = small_run(tmp_path)
    for name in ("request.json", "edits.jsonl", "start.json"):
        (run.path / name).write_bytes(content)
        page = read_page(run)
        assert "network" in headings(page)
        with suppress(ValueError):
            explain(run, "last")


@pytest.mark.parametrize("value", [None, "text", -1, [], {}])
def test_broken_lines_never_cost_the_page(tmp_path, value):
    """Each entry of a line in turn: words at once, and the whole page for some."""
    run = small_run(tmp_path)
    first, second = run.lines("edits.jsonl")
    for key in second:
        facts = read(run) | {"edits": [first, second | {key: value}]}
        assert "## How it grew" in report.card(facts)
        if key in ("progress", "price_after", "edit"):
            assert "The network" in report.html(facts)


def test_an_unfinished_run_tells_how_far_it_is(tmp_path):
    run = new_run(tmp_path, "half")
    lines = grow(run, count=3)
    train(run, 9, done=False)
    page = plain(read_page(run).text)
    assert "It now is with" not in page
    assert f"{lines[-1]['price_after'] / 1e6:.2f} M multiply-adds" in page


def test_very_many_edits_stay_readable(tmp_path):
    run = new_run(tmp_path, "many")
    draw, net = np.random.default_rng(0), first_net()
    run.write_bytes("start.json", net.to_json().encode())
    lines = []
    for k in range(130):
        edit = Widen(axis="stage1", count=2) if k % 2 == 0 else Remap(axis="stage1", index=tuple(range(12)))
        told, net = line(net, edit, 10 + 20 * k, draw)
        lines.append(told)
    write_lines(run, lines)
    run.write_bytes("spec.json", net.to_json().encode())
    page = plain(read_page(run).text)
    assert "… and 30 events more in edits.jsonl." in page
    assert "replaying the 130 edits gives the networkyes" in page


def test_growth_is_told_without_torch(grown):
    code = (
        "import sys; from zansa.record import Run; from zansa.report import write; "
        "from zansa.report.growth.explain import explain; from zansa.report.growth.history import replayed; "
        "run = Run.open(sys.argv[1]); write(run); explain(run, 'last'); replayed(run); "
        "print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(grown[0].path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert done.stderr == ""


def test_epochs_that_are_counted_anew_are_all_drawn(tmp_path):
    """The published method trains several times."""
    run = new_run(tmp_path, "cycles")
    journal(run, [Widen(axis="stage1", count=4)])
    for k in range(6):
        run.append(
            "events.jsonl", {"event": "epoch", "epoch": 1 + k % 3, "progress": (k + 1) / 6, "val_loss": 1 / (k + 1)}
        )
    write(run)
    drawing = re.search(r'<svg[^>]*aria-label="Validation loss wide".*?</svg>', section_of(run), re.DOTALL)[0]
    (line,) = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--right\)', drawing)
    assert len(re.findall("[ML]", line)) == 6
