"""ResBuilder and MorphNet: terms and arithmetic against numbers worked out by hand, the search against kills."""

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from samples import RECIPE, bars

from zansa.arch.apply import apply
from zansa.arch.cost import cost
from zansa.arch.edits import edit_from_dict
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.arch.zoo import cifar_net, cifar_resnet, resnet
from zansa.events import KINDS
from zansa.learn.data.splits import Parts, split
from zansa.learn.grow.resbuilder.changes import (
    block_size,
    draw_insertion,
    glorot,
    insert,
    judge,
    may_delete,
    measure,
    morph,
    signature,
)
from zansa.learn.grow.resbuilder.morphnet import alive, exact_widths, flops, limit, published_widths, term, worths
from zansa.learn.grow.resbuilder.search import empty_net, halves, layer_lasso, resbuilder, run_recipe, task_of
from zansa.learn.grow.resbuilder.values import MENDED, PUBLISHED, Length, Mark, Rank, Search, Switches
from zansa.nets.build import build

SMALL = Length(cycles=2, inserts=1, epochs=1)
BUDGET = 400_000


def ready(switches=PUBLISHED, net=None, length=SMALL, macs=BUDGET, checkpoint=None):
    """The arguments of a search on little pictures, whose test part it does not get."""
    data = bars()
    parts = split(data, seed=0)
    net = net or empty_net((12, 12), 1, 3, switches)
    recipe = RECIPE.model_copy(update={"epochs": 2, "checkpoint": 0.0})
    module = build(net, torch.Generator().manual_seed(3))
    hidden = Parts(parts.train, parts.val, parts.test[:0])
    return module, data.normalised(parts.train), hidden, recipe, macs, switches, length, checkpoint


def begun(switches=PUBLISHED, net=None, **changes):
    """A search between two runs."""
    task = task_of(*ready(switches, net, **changes))
    marks = [[Mark() for _ in stage.blocks] for stage in task.module.net.stages]
    return task, Search(key="", marks=marks, figures={"val_loss": 1.0, "val_accuracy": 0.5, "decided_by": 0.5})


def tiny(shortcut="identity", width=3):
    """A 1x1 stem from 2 channels to 3 and one block of one inner channel, on 2x2 pixels."""
    stride = 1 if shortcut == "identity" else 2
    stage = Stage(width=width, stride=stride, shortcut=shortcut, blocks=(Block(kind="resbuilder", hidden=(1,)),))
    return Net(
        input=Input(channels=2, size=(2, 2)), stem=Stem(width=3, kernel=1), stages=(stage,), head=Head(classes=2)
    )


@torch.no_grad()
def set_weights(module, values):
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.zero_()
    for path, value in values.items():
        weight = module.get_parameter(f"{path}.weight")
        weight.copy_(torch.tensor(value).reshape(len(value), -1, *[1] * (weight.ndim - 2)).expand_as(weight))


STEM, LINEAR = [[3.0, 4.0], [1.0, 1.0], [0.001, 0.001]], [[1.0, 1.0, 1.0], [2.0, 0.0, 0.0]]


# --- MorphNet's term -------------------------------------------------------------------------------------------------


def test_the_term_of_two_layers_worked_out_by_hand():
    module = build(tiny())
    set_weights(module, {"stem.conv": STEM, "head.linear": LINEAR})  # the block is zero, so dead
    # stem: r = sqrt(25/2) = 3.535534, 1, 0.001, two alive; C = 2 * 4 places; the image has A = 2, r = 0
    # linear: r = 1, sqrt(4/3) = 1.154701, both alive; C = 2
    stem = 8 * (2 * (3.535534 + 1 + 0.001) + 2 * 0)
    linear = 2 * (2 * (1 + 1.154701) + 2 * (3.535534 + 1 + 0.001))
    assert term(module).item() == pytest.approx(stem + linear, abs=1e-3)
    assert stem + linear == pytest.approx(99.349484, abs=1e-4)


def residual_group():
    module = build(tiny())
    block = {"stages.0.0.branch.conv1": [[0.25]], "stages.0.0.branch.conv2": [[1.0], [2.0], [0.5]]}
    set_weights(module, {"stem.conv": STEM, "head.linear": LINEAR} | block)
    return module


def test_the_term_of_a_residual_group_takes_the_largest_member():
    module = residual_group()
    # of the stem (3.535534, 1, 0.001) and the block (1, 2, 0.5): 3.535534, 2, 0.5, and all three alive
    total = 3.535534 + 2 + 0.5
    stem, linear = 8 * (2 * total), 2 * (3 * (1 + 1.154701) + 2 * total)
    inner = 72 * (3 * 0.25 + 1 * total)  # C = 2 * 4 places * 9; both convolutions of the block have it
    assert term(module).item() == pytest.approx(stem + 2 * inner + linear, rel=1e-6)
    assert stem + 2 * inner + linear == pytest.approx(1110.755782, abs=1e-3)


def test_the_gradient_reaches_only_the_largest_member():
    module = residual_group()
    term(module).backward()
    stem = module.get_parameter("stem.conv.weight").grad.flatten(1).abs().sum(1)
    block = module.get_parameter("stages.0.0.branch.conv2.weight").grad.flatten(1).abs().sum(1)
    assert (stem > 0).tolist() == [True, False, False]
    assert (block > 0).tolist() == [False, True, True]
    # d/dw of r = w / (n r) with n = 2 weights, times what r is multiplied by: 8 * 2 + 2 * 72 + 2 * 2
    slope = (8 * 2 + 2 * 72 * 1 + 2 * 2) * torch.tensor([3.0, 4.0]) / (2 * 3.535534)
    assert module.get_parameter("stem.conv.weight").grad[0].flatten().tolist() == pytest.approx(
        slope.tolist(), rel=1e-5
    )


def test_the_gradient_of_a_zero_filter_is_a_number():
    module = build(tiny())
    set_weights(module, {})
    term(module).backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in module.parameters())


def test_a_channel_is_alive_where_any_member_is():
    module = residual_group()
    found = alive(module)
    assert {axis: mask.tolist() for axis, mask in found.items()} == {
        "input": [True] * 2,
        "stem": [True] * 3,
        "stage0.block0.hidden0": [True],
        "classes": [True] * 2,
    }
    set_weights(module, {"stem.conv": STEM, "stages.0.0.branch.conv2": [[0.0], [0.0], [0.011]]})
    assert alive(module)["stem"].tolist() == [True, True, True]
    set_weights(module, {"stem.conv": STEM, "stages.0.0.branch.conv2": [[0.0], [0.0], [0.009]]})
    assert alive(module)["stem"].tolist() == [True, True, False]
    assert alive(module)["stage0.block0.hidden0"].tolist() == [False]


def test_a_padded_shortcut_ties_the_first_channels():
    module = build(tiny(shortcut="pad", width=5))
    set_weights(module, {"stages.0.0.branch.conv2": [[0.0], [1.0], [0.0], [1.0], [0.0]], "stem.conv": STEM})
    found = alive(module)
    assert found["stem"].tolist() == [True, True, False]
    assert found["stage0"].tolist() == [True, True, False, True, False]
    assert worths(module)["stem"].tolist() == pytest.approx([353.5534, 100, 0.1], rel=1e-4)


@pytest.mark.parametrize("relative", [False, True])
def test_relative_limits_are_those_of_64_channels_and_follow_fresh_weights(relative):
    sizes = {}
    for channels in (16, 64, 1024):
        weight = torch.empty(channels, channels, 3, 3)
        torch.nn.init.xavier_uniform_(weight, generator=torch.Generator().manual_seed(0))
        sizes[channels] = weight.abs().mean().item() / limit(1e-3, weight, relative)
    assert sizes[64] == pytest.approx(36.1, rel=0.01)  # fact sheet: 0.0361
    assert sizes[16] == pytest.approx(36.1 if relative else 72.2, rel=0.02)
    assert sizes[1024] == pytest.approx(36.1 if relative else 9.0, rel=0.01)


@pytest.mark.parametrize(
    ("net", "macs", "digits"),
    [
        (cifar_resnet(20), 40.55e6, 1e4),
        (cifar_resnet(32), 68.86e6, 1e4),
        (cifar_resnet(44), 97.17e6, 1e4),
        (cifar_resnet(56), 125.5e6, 1e5),
        (cifar_resnet(110), 252.89e6, 1e4),
        (resnet(18, classes=10, size=(32, 32)), 555.4e6, 1e5),
        (resnet(18), 1.81e9, 1e7),
    ],
)
def test_flops_are_those_of_the_fact_sheet_and_twice_our_cost(net, macs, digits):
    assert abs(flops(net) / 2 - macs) <= digits / 2
    assert flops(net) == 2 * cost(net).macs


def test_flops_of_living_channels():
    net = tiny()
    living = {"stem": 2, "stage0.block0.hidden0": 0}
    assert flops(net) == 8 * 2 * 3 + 72 * 3 + 72 * 3 + 2 * 3 * 2
    assert flops(net, living) == 8 * 2 * 2 + 0 + 0 + 2 * 2 * 2


def test_morphnet_refuses_steps_that_it_does_not_know():
    stage = Stage(width=8, step=Step(kind="momentum"), blocks=(Block(kind="preact_basic", hidden=(8,)),))
    net = Net(input=Input(channels=1, size=(8, 8)), stem=Stem(width=8), stages=(stage,), head=Head(classes=2))
    with pytest.raises(ValueError, match=r"stages\.0 has a momentum step"):
        term(build(net))


# --- shrink and expand -----------------------------------------------------------------------------------------------


def test_the_expansion_of_the_fact_sheet():
    assert published_widths({"a": 12}, 10**7, 10**9) == {"a": 66}  # floor(0.5 * 120 + 0.5 * 12)
    assert published_widths({"a": 12, "b": 7}, 4 * 10**9, 10**9) == {"a": 9, "b": 5}  # w = 0.5
    assert published_widths({"a": 1}, 10**10, 10**7) == {"a": 1}


@pytest.mark.parametrize("seed", range(6))
def test_the_exact_solution_is_the_largest_within_the_budget(seed):
    rng = np.random.default_rng(seed)
    net = empty_net((32, 32), 3, 10)
    for _ in range(4):
        net = apply(net, draw_insertion(net, PUBLISHED, rng))
    axes = [axis for axis in worths(build(net)) if axis not in ("input", "classes")]
    count = {axis: int(rng.integers(1, 40)) for axis in axes}
    target = int(rng.integers(2, 400)) * 10**6
    widths = exact_widths(net, count, target)
    assert flops(net, widths) <= target
    # the next larger factor at which any width changes
    factor = min((widths[axis] + 1) / count[axis] for axis in axes)
    wider = {axis: max(1, math.floor(factor * c + 1e-9)) for axis, c in count.items()}
    assert wider != widths
    assert flops(net, wider) > target


def test_a_budget_below_one_channel_everywhere_is_refused():
    with pytest.raises(ValueError, match="a budget of 50 multiply-adds was asked; with one channel on every axis"):
        exact_widths(empty_net((32, 32), 3, 10), {"stem": 4}, 100)


# --- moves -----------------------------------------------------------------------------------------------------------


def staged(*counts, switches=PUBLISHED, width=8):
    """Stages of so many blocks on 12x12 pixels."""
    net = empty_net((12, 12), 1, 3, switches)
    block = Block(kind="preact_basic" if switches.preactivation else "resbuilder", hidden=(width,))
    stages = [
        Stage(
            width=width,
            blocks=(block,) * count,
            stride=1 if i == 0 else 2,
            step=net.stages[0].step,
            shortcut="identity" if i == 0 else "average",
        )
        for i, count in enumerate(counts)
    ]
    return net.but({"stem": net.stem.but({"width": width}), "stages": tuple(stages)})


def test_the_empty_network_has_a_single_inner_channel_a_stage():
    net = empty_net((32, 32), 3, 10)
    assert [stage.stride for stage in net.stages] == [1, 2, 2]
    assert {block.hidden for stage in net.stages for block in stage.blocks} == {(1,)}
    assert {block.kind for stage in empty_net((32, 32), 3, 10, MENDED).stages for block in stage.blocks} == {
        "preact_basic"
    }
    assert len(empty_net((64, 64), 3, 10).stages) == 4
    assert len(empty_net((224, 224), 3, 10).stages) == 4  # behind the large stem
    build(empty_net((140,), 1, 2))(torch.zeros(2, 1, 140))


def test_stages_and_places_in_them_are_drawn_evenly():
    net, rng, draws = staged(1, 5, 2), np.random.default_rng(0), 6000
    found = [draw_insertion(net, PUBLISHED, rng) for _ in range(draws)]
    stages = Counter(edit.stage for edit in found)
    assert set(stages) == {0, 1, 2}
    assert all(abs(count - draws / 3) < 4 * math.sqrt(draws * 2 / 9) for count in stages.values())
    places = Counter(edit.at for edit in found if edit.stage == 1)
    assert set(places) == {1, 2, 3, 4, 5}  # the first block sets the shape
    assert all(abs(count - draws / 15) < 4 * math.sqrt(draws / 15) for count in places.values())
    assert {edit.at for edit in found if edit.stage == 0} == {0, 1}
    assert all(edit.block == Block(kind="resbuilder", hidden=(8,)) for edit in found)


@pytest.mark.parametrize("preserving", [False, True])
def test_an_inserted_block_begins_as_published_or_as_the_identity(preserving):
    switches = Switches(preserving_insertion=preserving)
    task, search = begun(switches, staged(1, 1, switches=switches, width=32))
    search.run = 1
    images = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    before = task.module.eval()(images)
    line = insert(task, search)
    block = task.module.stages[line["edit"]["stage"]][line["edit"]["at"]]
    weight = block.get_parameter("branch.conv2.weight")
    assert block.get_parameter("branch.norm2.weight").eq(1).all()
    assert search.marks[line["edit"]["stage"]][line["edit"]["at"]].inserted
    difference = (task.module.eval()(images) - before).abs().max().item()
    if preserving:
        assert difference < 1e-6
    else:
        bound = math.sqrt(6 / (2 * 9 * 32))
        assert bound * 0.99 < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert difference > 1e-3


def test_fresh_weights_are_glorots():
    module = build(staged(1, 1, width=64))
    glorot(module, torch.Generator().manual_seed(0))
    weight = module.get_parameter("stages.0.0.branch.conv1.weight")
    assert weight.abs().mean().item() == pytest.approx(0.0361, rel=0.01)  # fact sheet
    assert module.get_parameter("head.linear.bias").eq(0).all()


def test_the_guard_stops_the_published_search_and_not_the_mended_one():
    for switches in (PUBLISHED, Switches(duplicates_allowed=True)):
        task, search = begun(switches, staged(2, 2))
        search.run = 1
        grown = staged(3, 2), staged(2, 3)
        search.used = [signature(net) for net in grown]
        if switches.duplicates_allowed:
            assert insert(task, search)["move"] == "insert"
        else:
            with pytest.raises(ValueError, match=r"9 places were drawn .* switch duplicates_allowed on"):
                insert(task, search)
            assert task.module.net == staged(2, 2)


def dying(switches, net=None, inserted=((1, 1),), macs=BUDGET):
    """A search behind a run, in which some blocks were inserted before and have healthy kernels."""
    task, search = begun(
        switches, net or staged(2, 3, switches=switches), length=Length(cycles=2, inserts=2, epochs=1), macs=macs
    )
    for i, j in inserted:
        search.marks[i][j].inserted = True
    glorot(task.module, torch.Generator().manual_seed(0))
    measure(task, search)
    search.run, search.accuracy = 1, 0.5
    return task, search


@torch.no_grad()
def wither(task, place, size=0.0005, conv="conv2"):
    weight = task.module.get_parameter(f"stages.{place[0]}.{place[1]}.branch.{conv}.weight")
    weight.mul_(size / weight.abs().mean())


def test_a_block_is_as_strong_as_its_weakest_kernel():
    task, _ = dying(PUBLISHED)
    wither(task, (1, 1), 0.0005, "conv2")
    wither(task, (1, 2), 0.002, "conv1")
    assert block_size(task.module, (1, 1)) == pytest.approx(0.5, rel=1e-4)
    assert block_size(task.module, (1, 2)) == pytest.approx(2, rel=1e-4)


def test_the_published_deletion_is_one_run_late():
    task, search = dying(PUBLISHED)
    wither(task, (1, 1))
    assert not list(judge(task, search))  # by the weights of the run before, which were healthy
    search.run += 1
    (line,) = judge(task, search)
    assert line["edit"] == {"kind": "delete", "stage": 1, "at": 1}
    assert line["move"] == "delete"
    assert line["spent"] == line["price_after"] - line["price_before"] < 0
    assert [len(stage) for stage in search.marks] == [2, 2]


def test_the_mended_deletion_is_prompt():
    task, search = dying(Switches(prompt_deletion=True))
    wither(task, (1, 1))
    (line,) = judge(task, search)
    assert line["edit"]["at"] == 1
    assert len(task.module.net.stages[1].blocks) == 2


def test_a_new_block_is_not_judged_by_a_run_that_it_was_not_in():
    task, search = dying(PUBLISHED)
    search.run = 2
    edit = insert(task, search)["edit"]
    wither(task, (edit["stage"], edit["at"]))
    assert not list(judge(task, search))
    search.run = 3
    assert [line["edit"]["at"] for line in judge(task, search)] == [edit["at"]]


def test_only_inserted_blocks_go_unless_all_may():
    for switches, gone in ((PUBLISHED, [(1, 2)]), (Switches(any_block_deletable=True), [(0, 1), (1, 2)])):
        task, search = dying(switches, inserted=((1, 2),))
        for place in ((0, 1), (1, 0), (1, 2)):  # the first of stage 1 sets its shape
            wither(task, place)
        measure(task, search)
        assert [(line["edit"]["stage"], line["edit"]["at"]) for line in judge(task, search)] == gone


def test_a_stage_keeps_its_last_block():
    task, search = dying(Switches(any_block_deletable=True, prompt_deletion=True))
    for place in ((0, 0), (0, 1), (1, 1), (1, 2)):
        wither(task, place)
    assert len(list(judge(task, search))) == 3
    assert [len(stage.blocks) for stage in task.module.net.stages] == [1, 1]


def test_no_block_goes_while_the_accuracy_rises_fast():
    length = Length(cycles=2, inserts=3)
    assert not may_delete(0, length, 0.0)  # the first run of all
    assert may_delete(1, length, 0.015)
    assert not may_delete(1, length, 0.0151)
    assert may_delete(4, length, 0.5)  # the first run of a cycle
    task, search = dying(PUBLISHED)
    wither(task, (1, 1))
    measure(task, search)
    search.figures["decided_by"] = search.accuracy + 0.016
    assert not list(judge(task, search))
    assert len(list(judge(task, search))) == 1  # the accuracy has stopped rising


def test_between_cycles_the_dead_go_and_the_rest_is_stretched():
    task, search = dying(PUBLISHED, staged(2, 2), inserted=(), macs=4_000_000)
    with torch.no_grad():
        task.module.get_parameter("stages.0.1.branch.conv1.weight").zero_()  # no inner channel is alive
        task.module.get_parameter("stages.1.0.branch.conv1.weight").zero_()  # but this block sets the shape
        task.module.get_parameter("stages.1.1.branch.conv1.weight")[:2] = 0
    measure(task, search)
    assert search.marks[1][1].ranks[0].alive == 6
    assert sorted(search.marks[1][1].ranks[0].order[6:]) == [0, 1]
    assert search.unshrunk == cost(staged(2, 2)).macs
    factor = math.sqrt(4_000_000 / search.unshrunk)
    lines = list(morph(task, search, exact=False))
    assert [line["move"] for line in lines] == ["delete", *["narrow"] * 2, *["widen"] * 5]
    widths = {"one": math.floor(0.5 * math.floor(factor) + 0.5), "six": math.floor(0.5 * math.floor(6 * factor) + 3)}
    assert [block.hidden[0] for block in task.module.net.stages[1].blocks] == list(widths.values())
    assert len(task.module.net.stages[0].blocks) == 1
    task.module(torch.zeros(2, 1, 12, 12))


def test_the_mended_stretch_meets_the_budget():
    task, search = dying(Switches(exact_budget=True), staged(2, 2), inserted=())
    assert list(morph(task, search, exact=True))
    assert 0.8 * BUDGET < cost(task.module.net).macs <= BUDGET


def test_kept_weights_keep_the_function_of_what_is_alive():
    task, search = dying(MENDED, staged(1, 2, switches=MENDED), inserted=())
    images = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    before = task.module.eval()(images)
    assert {line["move"] for line in morph(task, search, exact=True)} == {"widen"}
    assert (task.module.eval()(images) - before).abs().max() < 1e-5


def test_the_lasso_on_layers_leaves_shortcuts_and_the_classifier_out():
    module = build(tiny(shortcut="conv", width=4))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(-2.0)
    count = 2 * 3 + 9 * 3 * 1 + 9 * 1 * 4  # stem, first and second convolution of the block
    assert layer_lasso(module).item() == pytest.approx(count * (2e-8 + 4e-5), rel=1e-5)


def test_runs_are_trained_as_published_or_by_the_recipe():
    length = Length(epochs=7)
    ours = run_recipe(RECIPE, length, PUBLISHED, 3)
    assert (ours.optimizer, ours.rate, ours.decay, ours.warmup, ours.hold, ours.average) == ("adamw", 1e-3, 0, 0, 1, 0)
    assert (ours.epochs, ours.keep, ours.patience, ours.augment.flip_x) == (7, "last", 0, True)
    mended = run_recipe(RECIPE, length, MENDED, 3)
    assert (mended.optimizer, mended.rate, mended.hold, mended.epochs) == ("sgd", 0.1, 0.95, 7)
    assert run_recipe(RECIPE, length, MENDED, 3, final=True) == RECIPE.model_copy(update={"seed": 3})
    assert run_recipe(RECIPE, length, PUBLISHED, 4).seed != ours.seed


# --- the search ------------------------------------------------------------------------------------------------------


def replayed(net, journal):
    for line in journal:
        net = apply(net, edit_from_dict(line["edit"]))
    return net


FIELDS = {"event", "val_accuracy", *KINDS["edit"][0].split()}  # the same keys as the lines of our own growth


def given():
    """A residual network as people have one."""
    block = Block(kind="basic", hidden=(8,))
    return cifar_net(block, (1, 1, 1), (8, 16, 32), stem=8, classes=3, channels=1, size=(12, 12))


@pytest.mark.parametrize("net", [None, given()], ids=["empty", "given"])
def test_the_published_search(net):
    arguments = ready(PUBLISHED, net)
    module, start = arguments[0], arguments[0].net
    events = list(resbuilder(*arguments))
    kinds = [event["event"] for event in events if event["event"] != "step"]
    assert kinds[0] == "start"
    assert kinds.count("trained") == 4
    assert kinds[-1] == "done"
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps == list(range(1, events[0]["steps"] + 1))
    done = events[-1]
    assert [line["move"] for line in done["journal"]].count("insert") == 2
    assert done["journal"] == [event for event in events if event["event"] == "edit"]
    assert all(set(line) == FIELDS for line in done["journal"])
    assert replayed(start, done["journal"]) == module.net
    assert done["macs"] == cost(module.net).macs
    assert not module.training
    runs = [event for event in events if event["event"] == "trained"]
    assert runs[0]["work"] == 3 * cost(start).macs * 10 * 16  # ten batches of 16
    assert all(event["decided_by"] == event["claimed"] for event in runs)
    json.dumps(events)


def test_the_mended_search_ends_within_the_budget():
    arguments = ready(MENDED, macs=200_000)
    module, start = arguments[0], arguments[0].net
    events = list(resbuilder(*arguments))
    done = events[-1]
    assert done["macs"] == cost(module.net).macs <= 200_000
    assert replayed(start, done["journal"]) == module.net
    assert [event["final"] for event in events if event["event"] == "trained"] == [False] * 4 + [True]
    assert done["claimed"] > 0.6


def test_a_search_that_never_met_the_budget_is_made_to_fit():
    arguments = ready(
        Switches(best_selected=True), staged(1, 1, width=24), Length(cycles=1, inserts=0, epochs=1), 50_000
    )
    assert cost(arguments[0].net).macs > 50_000
    events = list(resbuilder(*arguments))
    assert 25_000 < events[-1]["macs"] <= 50_000  # all widths are equal, so all move at once
    assert {event["move"] for event in events if event["event"] == "edit"} == {"narrow"}


@pytest.mark.parametrize("switches", [PUBLISHED, MENDED], ids=["published", "mended"])
def test_a_killed_search_goes_on_to_the_same_result(tmp_path, switches):
    arguments = ready(switches)
    whole = list(resbuilder(*arguments))
    for stop in (13, 20, 27, 45, None):  # in the midst of a run, at its last step, in the final training
        again = ready(switches, checkpoint=tmp_path / "search.pt")
        for event in resbuilder(*again):
            if event["event"] == "step" and event["step"] == stop:
                break
    assert event | {"journal": None} == whole[-1] | {"journal": None}
    assert event["journal"] == whole[-1]["journal"]
    first, second = arguments[0].state_dict(), again[0].state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [path.name for path in tmp_path.iterdir()] == ["search.pt"]
    finished = list(resbuilder(*ready(switches, checkpoint=tmp_path / "search.pt")))
    assert [event["event"] for event in finished] == ["resumed", "done"]
    assert finished[-1] == event


def test_deciding_apart_changes_no_training():
    one, other = (
        next(event for event in resbuilder(*ready(switches)) if event["event"] == "trained")
        for switches in (PUBLISHED, Switches(decisions_apart=True))
    )
    assert {key for key in one if one[key] != other[key]} <= {"decided_by"}
    assert one["val_accuracy"] == pytest.approx((other["decided_by"] * 17 + other["claimed"] * 18) / 35)


def test_the_validation_part_is_cut_in_two_like_halves():
    data = bars()
    parts = split(data, seed=0)
    decide, claim = halves(data, parts.val, 0)
    assert sorted([*decide, *claim]) == parts.val.tolist()
    assert abs(len(decide) - len(claim)) <= 1
    counts = [np.bincount(data.labels[index], minlength=3) for index in (decide, claim)]
    assert np.abs(counts[0] - counts[1]).max() <= 1


def test_groups_stay_in_one_half():
    data = bars()
    object.__setattr__(data, "groups", np.array([f"part {i // 3}" for i in range(len(data))]))
    decide, claim = halves(data, np.arange(90), 0)
    assert not set(data.groups[decide]) & set(data.groups[claim])
    assert (len(decide), len(claim)) == (45, 45)
    with pytest.raises(ValueError, match="has 1 sample"):
        halves(data, np.arange(3), 0)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_test_images_are_refused():
    module, data, parts, *rest = ready()
    with pytest.raises(ValueError, match="was given 5 test samples; it must not see them"):
        next(resbuilder(module, data, Parts(parts.train, parts.val, parts.train[:5]), *rest))


@pytest.mark.parametrize(
    ("net", "switches", "words"),
    [
        (cifar_resnet(8, classes=3, channels=1), PUBLISHED, "use 'conv', 'project' or 'average' in place of 'pad'"),
        (staged(1, 1).but({"norm": "group"}), PUBLISHED, "known of batch norms"),
        (staged(1, 1), Switches(preserving_insertion=True), "cannot start at zero and learn; give the step a learned"),
    ],
)
def test_networks_that_cannot_be_searched_are_refused(net, switches, words):
    with pytest.raises(ValueError, match=words):
        next(resbuilder(*ready(switches, net)))


def test_a_budget_that_cannot_be_met_is_refused_at_once():
    with pytest.raises(ValueError, match="a budget of 10 multiply-adds was asked"):
        next(resbuilder(*ready(macs=10)))


def test_checkpoints_of_others_and_damaged_ones_are_named(tmp_path):
    file = tmp_path / "search.pt"
    for event in resbuilder(*ready(checkpoint=file)):
        if event["event"] == "trained" and event["run"] == 1:
            break
    with pytest.raises(ValueError, match="belongs to a search with other settings; delete it"):
        next(resbuilder(*ready(macs=BUDGET + 1, checkpoint=file)))
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"search.pt is damaged \(.*\); delete it"):
        next(resbuilder(*ready(checkpoint=file)))


def test_ranks_and_marks_survive_the_file():
    search = Search(key="k", marks=[[Mark(inserted=True, size=0.1, ranks=[Rank(order=[1, 0], alive=1)])]])
    assert Search.model_validate_json(search.model_dump_json()) == search
