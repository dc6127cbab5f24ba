"""Growing: worth and promise against what really happens, moves, the exact budget, the journal, kill and resume."""

import dataclasses
import json
import math
import sys
import zlib
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from laws import small_net, trained
from samples import a_set
from sklearn.linear_model import LinearRegression
from torch.nn import functional

import zansa
import zansa.learn.grow.race as race_module
from zansa.arch.apply import apply
from zansa.arch.axes import remappable, unit_of
from zansa.arch.budget import Budget
from zansa.arch.cost import cost
from zansa.arch.edits import Delete, Insert, Merge, Rekind, Remap, Widen, edit_from_dict
from zansa.arch.lower import lower
from zansa.arch.spec import Net
from zansa.learn.data.seal import sealed
from zansa.learn.defaults import default_net
from zansa.learn.grow.growth import Growth, Schedule
from zansa.learn.grow.moves import applied, candidates, cheapest, cheaply, enrich, evenly, lighten, rise
from zansa.learn.grow.policy import Policy
from zansa.learn.grow.promise import Promise, deepened, passes, promise, promises, weight_slope, widened
from zansa.learn.grow.race import USUAL, beginning, rival, rivals
from zansa.learn.grow.signals import WeightedSamples, branches, gates, held_out, writers
from zansa.learn.grow.signals import losses as losses_of
from zansa.learn.grow.simplify import simplest, simplifications
from zansa.learn.grow.start import refuse_too_dear, scaled, seed_net, thinned
from zansa.learn.predict import to_tensor
from zansa.learn.recipe import Recipe
from zansa.learn.train import training
from zansa.nets.build import build
from zansa.nets.transfer import edited

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from grow import ByLot

KINDS = {
    "basic": small_net("basic"),
    "preact": small_net("preact_basic"),
    "bottleneck-grouped": small_net("bottleneck", groups=2),
    "se": small_net("se_basic"),
    "merge-and-run": small_net("bottleneck", "merge_and_run"),
    "group-norm": small_net("basic", norm="group"),
    "scaled": small_net("resbuilder", scale=True),
    "1d": small_net("basic", dims=1),
    "no-norm": small_net("basic", norm="none", start="fixup"),
}
every_kind = pytest.mark.parametrize("net", KINDS.values(), ids=KINDS.keys())
EXTENSIONS = {Widen: widened, Insert | Rekind: deepened}
EXTENDED = {
    f"{name}-{extend.__name__}": (net, kind)
    for name, net in KINDS.items()
    for kind, extend in EXTENSIONS.items()
    if any(isinstance(edit, kind) for edit in candidates(net, 0.5, 1))
}


def macs(net: Net) -> float:
    return float(cost(net).macs)


def losses(module, data, index):
    """The loss of every sample (N,), in float64."""
    x = to_tensor(data, index, torch.device("cpu"), torch.contiguous_format).double()
    return functional.cross_entropy(module(x), torch.from_numpy(data.labels[index]), reduction="none")


# --- worth -----------------------------------------------------------------------------------------------------------


@every_kind
def test_gate_derivatives_are_what_a_small_gate_does(net):
    """Against differences: a channel, or a block, times 1 - e."""
    data, parts = a_set(net)
    module = trained(build(net)).float()
    found = gates(module, held_out(data, parts.val, False))
    precise, table, step = module.double(), lower(net), 1e-5
    paths = {
        axis: (where, found.channels[axis][:, 0], 0) for axis, where in writers(table).items() if axis in found.channels
    }
    paths |= {place: (where, found.blocks[place], None) for place, where in branches(table).items()}
    for name, (where, expected, channel) in paths.items():
        changed = []
        for gate in (1 + step, 1 - step):
            handles = [precise.get_submodule(path).register_forward_hook(_gated(gate, channel)) for path in where]
            changed.append(losses(precise, data, parts.val))
            for handle in handles:
                handle.remove()
        slope = ((changed[0] - changed[1]) / (2 * step)).detach()
        close = torch.isclose(slope.float(), expected, atol=2e-3 * float(slope.abs().max()) + 1e-5)
        assert close.float().mean() >= 0.8, name  # a ReLU may stand just at its kink


def _gated(gate, channel):
    def hook(layer, given, out):
        if channel is None:
            return out * gate
        scale = torch.ones(out.shape[1], dtype=out.dtype)
        scale[channel] = gate
        return out * scale.reshape(1, -1, *[1] * (out.ndim - 2))

    return hook


def test_the_module_is_left_as_it_was():
    net = KINDS["basic"]
    data, parts = a_set(net)
    module = trained(build(net)).float().train()
    module.stem.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    held = held_out(data, parts.val, True)
    gates(module, held)
    promises(
        module, [Widen(axis="stem", count=2), Insert(stage=0, at=1, block=net.stages[0].blocks[0])], held, held, held, 0
    )
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.training
    assert not any(p.requires_grad for p in module.stem.parameters())
    assert all(p.grad is None for p in module.parameters())


def test_rare_classes_weigh_as_much_as_common_ones():
    net = KINDS["basic"]
    data, parts = a_set(net)
    index = parts.val[np.argsort(data.labels[parts.val])][:12]
    held = held_out(data, index, True)
    weights = [held.weight[data.labels[held.index] == k].sum() for k in np.unique(data.labels[index])]
    assert np.allclose(weights, weights[0])
    assert held.weight.mean() == pytest.approx(1)


def test_a_weight_of_two_counts_as_two_samples():
    net = KINDS["basic"]
    data, parts = a_set(net)
    module, index = trained(build(net)).float(), parts.val
    twice = dataclasses.replace(
        held_out(data, np.concatenate([index, index[:5]]), False), index=np.concatenate([index, index[:5]])
    )
    weights = np.where(np.arange(len(index)) < 5, 2.0, 1.0)
    weighted = WeightedSamples(data, index, weights)
    one, two = gates(module, weighted), gates(module, twice)
    for axis in one.channels:
        assert torch.allclose(one.channels[axis].square().sum(0), two.channels[axis].square().sum(0), rtol=1e-4)
    offered = [Widen(axis="stem", count=2)]
    train = held_out(data, parts.train, False)
    (a, _), (b, _) = (
        promises(module, offered, train, weighted, weighted, 0),
        promises(module, offered, train, twice, twice, 0),
    )
    assert a[0].gain * len(index) == pytest.approx(b[0].gain * (len(index) + 5), rel=1e-3)


def test_the_rise_of_a_set_is_that_of_the_set():
    slopes = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    lost = torch.zeros(50)
    total = 0.0
    for k in range(3):
        total += rise(slopes[:, k], lost)
        lost = lost + slopes[:, k]
    assert total == pytest.approx(float(slopes.sum(1).square().mean() / 2), rel=1e-5)


# --- promise ---------------------------------------------------------------------------------------------------------


def test_a_promise_is_half_the_rise_of_r_squared():
    """Against scikit-learn's regression, without intercept as in the formula."""
    rng = np.random.default_rng(0)
    known, fall = rng.normal(0.3, 1, (200, 4)), rng.normal(0.2, 1, 200)
    ones = np.ones(200)

    def r2(x):
        fitted = LinearRegression(fit_intercept=False).fit(x, ones)
        return 1 - ((ones - fitted.predict(x)) ** 2).sum() / 200

    expected = (r2(np.column_stack([known, fall])) - r2(known)) / 2
    root = torch.ones(200, dtype=torch.float64)
    found = promise(torch.from_numpy(fall), torch.from_numpy(known), root)
    assert found.gain == pytest.approx(expected if found.gain else 0, rel=1e-9)
    assert found.gain > 0
    assert promise(torch.from_numpy(-fall), torch.from_numpy(known), root).gain == 0
    assert promise(torch.from_numpy(known[:, 0]), torch.from_numpy(known), root).gain < 1e-12  # nothing new


def _tensor(rng, mean, size):
    return torch.from_numpy(rng.normal(mean, 1, size))


@pytest.mark.parametrize(("samples", "layers"), [(100, 5), (40, 30)])
def test_a_promise_of_noise_is_within_its_error(samples, layers):
    rng, root = np.random.default_rng(1), torch.ones(samples, dtype=torch.float64)
    certain = [
        found.gain > 2 * found.error
        for _ in range(300)
        for found in [promise(_tensor(rng, 0, samples), _tensor(rng, 0.5, (samples, layers)), root)]
    ]
    assert np.mean(certain) < 0.06


def test_what_can_be_added_to_which_kinds():
    assert len(EXTENDED) == 18
    assert {kind for _, kind in EXTENDED.values()} == set(EXTENSIONS)


@pytest.mark.parametrize(("net", "kind"), EXTENDED.values(), ids=EXTENDED.keys())
def test_what_a_network_lacks_is_promised_most(net, kind):
    """An extended network is the same function, and slopes along a candidate's direction are those of its loss."""
    data, parts = a_set(net)
    module = trained(build(net)).float()
    offered = [edit for edit in candidates(net, 0.5, 1) if isinstance(edit, kind)]
    train, held = held_out(data, parts.train, False), held_out(data, parts.val, False)
    extended, readers = EXTENSIONS[kind](module, offered, 3)
    assert torch.allclose(module(_x(data, parts)), extended.eval()(_x(data, parts)), atol=1e-5)
    extended.requires_grad_(True)
    answers = extended(_x(data, parts, "train"))
    functional.cross_entropy(answers, torch.from_numpy(data.labels[parts.train]), reduction="sum").backward()
    true = {name: parameter.grad for name, parameter in extended.named_parameters()}
    (pairs,) = passes(extended, readers[: len(offered)], train, power=1.0)
    for (k, j), calls in pairs.items():
        reader = readers[k][j]
        if reader.end != reader.row.path:
            continue  # a new block of which the last norm is zero: its slope is taken behind that
        slope = sum(weight_slope(reader.row, x, s) for x, s in calls)
        weight = true[f"{reader.row.path}.weight"][:, list(reader.channels)]
        assert torch.allclose(weight, slope, atol=1e-3 * float(slope.abs().max()) + 1e-4)
    found, together = promises(module, offered, train, held, held, 3)
    assert len(found) == len(offered)
    assert (together.gain > 0) <= (kind is Widen)


@every_kind
def test_no_new_block_and_no_gate_knows_of_another(net):
    data, parts = a_set(net, 300)
    module = trained(build(net)).float()
    offered = [edit for edit in candidates(net, 0.5, 1) if not isinstance(edit, Widen)]
    samples = held_out(data, parts.train, False)
    found, _ = promises(module, offered, samples, samples, samples, 1)
    assert offered
    for edit, beside in zip(offered, found, strict=True):
        (alone,), _ = promises(module, [edit], samples, samples, samples, 1)
        assert alone.error > 0
        assert (beside.gain, beside.error) == pytest.approx((alone.gain, alone.error), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(("learnable", "most"), [(True, 8), (False, 2)])
def test_growth_stops_where_the_gain_is_noise(learnable, most):
    """The same images with labels that follow from them, and with labels drawn by lot, after some training."""
    net, grown = small_net("basic"), 0
    for k in range(8):
        data, parts = a_set(net, 400)
        if not learnable:
            data = dataclasses.replace(data, labels=np.random.default_rng(k).integers(0, 3, len(data)))
        module = build(net, torch.Generator().manual_seed(k))
        for _ in training(module, data, parts, RECIPE.model_copy(update={"epochs": 3, "seed": k})):
            pass
        policy = Policy(limited(3 * macs(net)), macs, macs(net), data, parts, RECIPE)
        grown += bool(policy.additions(module, 3 * macs(net), k))
    assert most - 2 <= grown <= most


def _x(data, parts, part="val"):
    return to_tensor(data, getattr(parts, part), torch.device("cpu"), torch.contiguous_format)


# --- moves -----------------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("share", [0.9, 0.6])
def test_a_lighter_network_keeps_to_its_limit_and_uses_it(net, share):
    data, parts = a_set(net)
    module = trained(build(net)).float()
    wide = edited(module, [Widen(axis=a, count=2 * unit_of(lower(net), a)) for a in ("stem", "stage1")])
    found = gates(wide, held_out(data, parts.val, False))
    limit, wide_axes = share * macs(wide.net), remappable(wide.net)
    moves = lighten(wide.net, found, macs, limit)
    after = wide.net
    for move in moves:
        before, after = after, apply(after, move.edit)
        assert move.spent == macs(after) - macs(before)
    assert macs(after) <= limit
    for axis, width in remappable(after).items():  # nothing that went would find room
        if axis in wide_axes and width < wide_axes[axis]:
            assert macs(apply(after, Widen(axis=axis, count=unit_of(lower(after), axis)))) > limit
    thinner = edited(wide, [move.edit for move in moves])
    assert thinner.net == after
    assert torch.isfinite(thinner(_x(data, parts))).all()


def test_what_does_nothing_goes_first():
    """Channels whose weights are zero, and a block that adds nothing, cost no loss: they go, and nothing changes."""
    net = small_net("basic")
    data, parts = a_set(net)
    module = trained(build(net)).float()
    with torch.no_grad():
        module.stages[1][0].branch.conv2.weight[:, 1:3] = 0  # nobody reads inner channels 1 and 2
    found = gates(module, held_out(data, parts.val, False))
    saved = macs(net) - macs(apply(net, Remap(axis="stage1.block0.hidden0", index=(0, 3))))
    import zansa.learn.grow.moves as moves_module

    moves_module.FEWEST, kept = 1, moves_module.FEWEST
    try:
        moves = lighten(net, found, macs, macs(net) - saved)
    finally:
        moves_module.FEWEST = kept
    assert [move.edit for move in moves] == [Remap(axis="stage1.block0.hidden0", index=(0, 3))]
    assert torch.allclose(
        module(_x(data, parts)), edited(module, [move.edit for move in moves])(_x(data, parts)), atol=1e-5
    )


def test_for_an_impossible_limit_all_goes_that_can():
    net = small_net("basic")
    data, parts = a_set(net)
    found = gates(trained(build(net)).float(), held_out(data, parts.val, False))
    after = applied(net, [move.edit for move in lighten(net, found, macs, 10.0)])
    assert set(remappable(after).values()) == {4}
    assert [len(stage.blocks) for stage in after.stages] == [1] * len(net.stages)


def test_the_best_promise_per_price_comes_first_and_noise_never():
    net = small_net("basic")
    wide, dear, noise = (
        Widen(axis="stage1", count=1),
        Insert(stage=0, at=1, block=net.stages[0].blocks[0]),
        Widen(axis="stem", count=1),
    )
    offered = [(dear, Promise(0.02, 0.001)), (noise, Promise(0.5, 0.6)), (wide, Promise(0.02, 0.001))]
    only_one = macs(apply(net, wide))
    assert [move.edit for move in enrich(net, offered, macs, only_one)] == [wide]
    assert {move.edit for move in enrich(net, offered, macs, 1e9)} == {wide, dear}


def test_a_seed_costs_nearly_what_it_may():
    net = builtin_net()
    for limit in (1e6, 5e6, 40e6, 300e6):
        assert 0.8 * limit <= macs(seed_net(net, macs, limit)) <= limit
    assert len(seed_net(net, macs, 300e6).stages[1].blocks) > len(net.stages[1].blocks)
    with pytest.raises(ValueError, match="the thinnest network"):
        seed_net(net, macs, 1e4)


def test_what_saves_time_alone_is_measured():
    """Priced by layers, as time is: two blocks side by side are what saves, and their harm is the measured one."""
    net = small_net("basic").but(
        {"stages": tuple(stage.but({"blocks": stage.blocks * 2}) for stage in small_net("basic").stages)}
    )
    data, parts = a_set(net)
    module, held = trained(build(net)).float().eval(), held_out(data, parts.val, False)
    layers = lambda net: float(sum(row.op == "conv" for row in lower(net).rows))  # noqa: E731
    assert simplest(module, held, macs, 1e9) is None
    move = simplest(module, held, layers, 1e9)
    assert isinstance(move.edit, Merge)
    before = losses_of(module, held)
    rise = losses_of(edited(module, [move.edit]), held) - before
    assert move.gain == pytest.approx(-float(rise.mean()), abs=1e-7)
    every = simplifications(net)
    assert float(rise.mean()) == pytest.approx(
        min(float((losses_of(edited(module, [each]), held) - before).mean()) for each in every), abs=1e-7
    )
    assert simplest(module, held, layers, -1e9) is None


# --- the race --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [default_net((64, 64), 1, 6, "surface"), default_net((96,), 2, 3, "signal")])
def test_rivals_cost_the_same_and_differ(net):
    limit = 0.3 * macs(net)
    found = rivals(net, lambda varied: seed_net(varied, macs, limit))
    assert len({each.net for each in found}) == len(found) >= 4
    for each in found:
        assert 0.8 * limit <= macs(each.net) <= limit
        build(each.net)
    assert rival(net, lambda varied: seed_net(varied, macs, 10.0), "SiLU") is None
    assert found[0].name == USUAL


def test_a_race_goes_on_to_the_same_winner(tmp_path):
    growth = limited(300_000.0, usual=default_net((16, 16), 2, 3, "natural"))
    data, parts = a_set(small_net("basic"), 160)
    recipe = RECIPE.model_copy(update={"epochs": 14})
    folders = [tmp_path / name for name in ("whole", "broken")]
    runs = []
    for folder in folders:
        folder.mkdir()
        runs.append(lambda folder=folder: beginning(growth, data, parts, recipe, folder))
    whole, broken = last(runs[0]()), runs[1]()
    while (event := next(broken))["done"] < 2 or event["step"] < 3:
        pass
    broken.close()
    again = last(runs[1]())
    assert (again.name, again.net, again.table) == (whole.name, whole.net, whole.table)
    one, other = whole.state, again.state
    assert all(torch.equal(value, other["average"][name]) for name, value in one["average"].items())
    assert one["step"] == Schedule().step(1, 14 * 5)
    won = [line for line in whole.table if line["won"]]
    assert [line["name"] for line in won] == [whole.name]
    assert won[0]["gain"] >= 0


@pytest.mark.parametrize(("epochs", "count"), [(3, 160), (14, 60)])
def test_where_a_race_would_cost_too_much_or_tell_nothing_there_is_none(tmp_path, epochs, count):
    net = default_net((16, 16), 2, 3, "natural")
    data, parts = a_set(small_net("basic"), count)
    recipe = RECIPE.model_copy(update={"epochs": epochs})
    winner = last(beginning(limited(300_000.0, usual=net), data, parts, recipe, tmp_path))
    assert (winner.state, winner.table) == (None, [])
    assert winner.net == seed_net(net, macs, 300_000.0, Schedule().first)


@pytest.mark.parametrize("quantum", [1, 16])
def test_every_axis_is_offered_in_its_lots(quantum):
    net = seed_net(default_net((32, 32), 3, 10, "natural"), macs, 20e6, 1.0, quantum)
    offered = [edit for edit in candidates(net, 0.25, quantum) if isinstance(edit, Widen)]
    assert {edit.axis for edit in offered} == set(remappable(net))
    assert all(edit.count % quantum == 0 for edit in offered)


def builtin_net():
    return default_net((64, 64), 1, 6, "surface")


# --- the loop --------------------------------------------------------------------------------------------------------

RECIPE = Recipe(epochs=6, batch=16, precision="float32", layout="channels_first", patience=0.0, checkpoint=0.0)
SCHEDULE = Schedule(first=1.4, events=3, samples=256)


def limited(limit, schedule=Schedule(), clock=None, usual=None):  # noqa: B008
    """A growth to a limit in multiply-adds; with a clock in milliseconds, which cost what `macs` says."""
    return Growth((Budget("macs" if clock is None else "ms", limit),), schedule, macs, 1, clock, usual)


def last(events):
    """The winner of a race that nobody watches."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


class RightClock:
    """A clock that is right for a network by a function of it."""

    def __init__(self, price_for):
        self.price_for = price_for

    def right_for(self, net):
        return SimpleNamespace(ms=self.price_for(net))


def a_run(
    tmp_path=None,
    stop_after=None,
    policy_type=Policy,
    limit=200_000.0,
    layout="channels_first",
    clock=None,
    share=SCHEDULE.first,
):
    """A short growth, from `share` of the limit; the module, its journal, the first network."""
    recipe = RECIPE.model_copy(update={"layout": layout})
    net = small_net("basic")
    data, parts = a_set(net, 160)
    data, parts = sealed(data, parts)
    first = seed_net(net, macs, share * limit)
    policy = policy_type(limited(limit, SCHEDULE, clock), macs, macs(first), data, parts, recipe)
    module = build(first, torch.Generator().manual_seed(0))
    journal = []
    for event in training(module, data, parts, recipe, tmp_path and tmp_path / "checkpoint.pt", policy):
        if "journal" in event:
            journal = list(event["journal"])
        if event["event"] == "edit":
            journal.append(event)
        if stop_after is not None and event["event"] == "step" and event["step"] == stop_after:
            break
    return module, journal, first


@pytest.mark.parametrize("policy_type", [Policy, ByLot])
def test_the_budget_is_met_and_the_journal_replays(policy_type):
    module, journal, net = a_run(policy_type=policy_type)
    assert len(journal) >= 3
    for line in journal:
        line = json.loads(json.dumps(line))
        assert line["price_before"] == macs(net)
        net = apply(net, edit_from_dict(line["edit"]))
        assert line["price_after"] == macs(net) == line["macs"]
    assert net == module.net
    assert 0.6 * 200_000 <= macs(module.net) <= 200_000


def dearer_when_light(net):
    """As for milliseconds: every network costs more than its parts, the lighter the more."""
    return macs(net) + 40_000 + 0.1 * macs(net)


def dearer_by_turns(net):
    """As for milliseconds: one channel more can cost much, or save."""
    return macs(net) * (1.12 if cost(net).params // 2 % 2 else 1.0)


@pytest.mark.parametrize("share", [0.4, 1.4])
def test_a_network_that_is_always_dearer_than_predicted_ends_within_the_limit(share):
    def check(net):
        return lambda other: macs(other) * (1.0 if other == net else 0.92)

    module, journal, _ = a_run(clock=RightClock(check), share=share)
    assert 0.97 * 200_000 <= macs(module.net) <= 200_000
    assert journal[-1]["price_after"] == macs(module.net)


@pytest.mark.parametrize("room", [1.0, 1.05])
@pytest.mark.parametrize("share", [1.7, 2.0])
def test_the_thinnest_network_is_found_where_it_alone_fits(room, share):
    """It costs less than all others let one expect, which is little enough."""
    thinnest = scaled(apply(small_net("basic"), Delete(stage=0, at=1)), 0.0)

    def check(net):
        return lambda other: macs(other) * (1.0 if net == thinnest else 1.1)

    module, journal, _ = a_run(clock=RightClock(check), limit=room * macs(thinnest), share=share)
    assert module.net == thinnest
    assert journal[-1]["price_after"] == macs(thinnest)


@pytest.mark.parametrize("true", [dearer_when_light, dearer_by_turns])
@pytest.mark.parametrize("share", [0.4, 1.4])
def test_a_price_that_was_predicted_wrongly_is_set_right(true, share):
    def check(net):
        factor = true(net) / macs(net)
        return lambda other: factor * macs(other)

    module, journal, _ = a_run(clock=RightClock(check), share=share)
    assert 0.97 * 200_000 <= true(module.net) <= 200_000
    assert journal[-1]["price_after"] == pytest.approx(true(module.net))


def test_the_last_lots_fill_the_limit():
    net = seed_net(builtin_net(), macs, 5e6)
    for limit in (6e6, 7.3e6, 9.1e6, 40e6):
        grown = applied(net, [move.edit for move in evenly(net, macs, limit)])
        assert 0.99 * limit <= macs(grown) <= limit


def by_sixteens(net):
    """As for milliseconds: layers are computed sixteen channels at once, and the first is ten times as dear."""
    table = lower(net)
    steps = {axis: -(-width // 16) for axis, width in table.width.items()}
    return sum(
        (10.0 if row.path.startswith("stem") else 1.0) * steps[row.x] * steps[row.y] * math.prod(row.size)
        for row in table.rows
        if row.op == "conv"
    )


def test_lots_come_where_multiply_adds_are_cheap_and_no_axis_stays_behind():
    net = scaled(default_net((32, 32), 3, 10, "natural"), 0.25, 8)
    limit = 10 * by_sixteens(net)
    found, alike = (
        applied(net, [move.edit for move in grow(net, by_sixteens, limit, 8)]) for grow in (cheaply, evenly)
    )
    assert 0.9 * limit <= by_sixteens(found) <= limit
    assert macs(found) > macs(alike)
    table = lower(found)
    layers = {row.y: table.width[row.y] ** 2 * math.prod(row.size) for row in table.rows if row.op == "conv"}
    least, *others = sorted(layers.values())
    assert layers["stem"] == least, "the dearest"
    assert others[-1] <= 6 * others[0], "and the others have nearly as many multiply-adds as one another"


def test_two_lots_come_where_one_is_dearer():
    net = scaled(default_net((32, 32), 3, 10, "natural"), 1.0, 16)

    def dearer_between(other):
        return by_sixteens(other) + 1e9 * any(width % 16 for width in lower(other).width.values() if width > 10)

    more = cheapest(net, dearer_between, 2 * by_sixteens(net), 8)
    assert more is not None
    assert more.count == 16


def test_as_many_streams_as_inner_channels_come_in_deep_stages():
    net = scaled(default_net((64, 64), 1, 6, "surface"), 0.5, 8)
    net = net.but({"stages": tuple(stage.but({"blocks": stage.blocks[-1:] * 3}) for stage in net.stages)})
    for stage in applied(net, [move.edit for move in cheaply(net, macs, 4 * macs(net), 8)]).stages:
        assert all(0.5 * stage.width <= block.hidden[0] <= 2 * stage.width for block in stage.blocks)


@pytest.mark.parametrize("salt", range(4))
def test_what_fills_the_limit_is_measured_and_little_is_run(salt):
    """Every network takes up to a tenth longer than its parts, none as long as the others."""
    runs = []

    def check(net):
        runs.append(net)
        factor = 1 + zlib.crc32(f"{salt} {macs(net)}".encode()) / 10 / 2**32
        return lambda other: factor * macs(other)

    net = seed_net(builtin_net(), macs, 5e6)
    data, parts = a_set(small_net("basic"))
    policy = Policy(limited(6e6, clock=RightClock(cache(check))), macs, macs(net), data, parts, RECIPE)
    moves = policy.filling(net, 6e6)
    full = applied(net, [move.edit for move in moves])
    assert moves
    assert check(full)(full) <= 6e6
    above = len(set(runs)) - len(moves) - 1  # networks; each has lowered by one per cent what is asked
    assert above <= math.log(6e6 / macs(net)) / -math.log(0.99)
    assert all(move.gain is None for move in moves)


def test_nothing_fills_the_limit_where_growth_has_stopped():
    """Labels drawn by lot, of which wider axes promise nothing."""
    net = small_net("basic")
    data, parts = a_set(net, 400)
    data = dataclasses.replace(data, labels=np.random.default_rng(1).integers(0, 3, len(data)))
    module = build(net, torch.Generator().manual_seed(1))
    for _ in training(module, data, parts, RECIPE.model_copy(update={"epochs": 3, "seed": 1})):
        pass
    growth = limited(3 * macs(net), clock=RightClock(lambda net: macs))
    policy = Policy(growth, macs, macs(net), data, parts, RECIPE)
    held = held_out(data, parts.val, False, 500)
    moves, _ = policy.settled([], module, gates(module, held), held, 3 * macs(net), 6)
    assert moves == []


def test_gates_stay_and_lots_are_whole():
    net = scaled(small_net("se_basic"), 1.0, 8)
    edits = [move.edit for move in cheaply(net, macs, 3 * macs(net), 8)]
    assert edits
    assert all(edit.count % 8 == 0 for edit in edits)
    assert not any(edit.axis.endswith("hidden1") for edit in edits)
    assert macs(applied(net, edits)) <= 3 * macs(net)


def test_a_branch_that_computes_twice_grows_and_thins():
    """Heun's step calls one module twice."""
    net = small_net("preact_basic", "heun", norm="group")
    data, parts = a_set(net)
    module = build(net, torch.Generator().manual_seed(1))
    found = gates(module, held_out(data, parts.val, False, 50))
    assert macs(applied(net, [move.edit for move in lighten(net, found, macs, 0.7 * macs(net))])) <= 0.7 * macs(net)
    grown = zansa.grow(data, parts, f"macs={2 * macs(net)}", RECIPE, net).net
    assert macs(net) < macs(grown) <= 2 * macs(net)


def test_a_network_without_a_free_axis_can_lose_blocks_alone():
    """Padded shortcuts tie the streams together, branches side by side their groups."""
    net = small_net("bottleneck", "parallel", groups=2, shortcut="pad")
    data, parts = a_set(net)
    found = gates(build(net, torch.Generator().manual_seed(1)), held_out(data, parts.val, False, 50))
    assert found.channels == {} == remappable(net)
    (move,) = lighten(net, found, macs, 0.8 * macs(net))
    assert isinstance(move.edit, Delete)


def test_networks_thinner_than_a_lot_are_as_thin_as_they_are():
    net = scaled(small_net("basic"), 0.0, 1)
    assert thinned(net, 16) == net
    refuse_too_dear(net, macs, macs(net), 16)
    wide = scaled(small_net("basic"), 8.0, 1)
    least = macs(thinned(apply(wide, Delete(stage=0, at=1)), 8))
    refuse_too_dear(wide, macs, least, 8)
    with pytest.raises(ValueError, match=f"costs {least:.0f} .* and {least - 1:.0f} are allowed"):
        refuse_too_dear(wide, macs, least - 1, 8)
    data, parts = a_set(wide)
    found = gates(build(wide, torch.Generator().manual_seed(1)), held_out(data, parts.val, False, 50))
    assert macs(applied(wide, [move.edit for move in lighten(wide, found, macs, 0.0, 8)])) == least


@pytest.mark.parametrize(
    ("kind", "step"),
    [("bottleneck", "merge_and_run"), ("se_bottleneck", "parallel"), ("preact_bottleneck", "reversible")],
)
def test_branches_that_share_their_groups_keep_them(kind, step):
    """Side by side they have one number of groups, which cannot change in one of them alone."""
    net = small_net(kind, step, groups=2)
    data, parts = a_set(net)
    for grow in (evenly, cheaply):
        wider = applied(net, [move.edit for move in grow(net, macs, 3 * macs(net), 2)])
        assert macs(net) < macs(wider) <= 3 * macs(net)
    assert all(macs(apply(net, edit)) > macs(net) for edit in candidates(net, 0.25, 2))
    found = gates(build(net, torch.Generator().manual_seed(1)), held_out(data, parts.val, False, 50))
    assert macs(applied(net, [move.edit for move in lighten(net, found, macs, 0.8 * macs(net))])) <= 0.8 * macs(net)


@pytest.mark.parametrize(
    ("step", "layout", "share"),
    [
        (1, "channels_first", 1.4),
        (13, "channels_last", 1.4),
        (20, "channels_first", 1.4),
        (26, "channels_last", 1.4),
        (13, "channels_first", 0.4),
        (26, "channels_last", 0.4),
    ],
)
def test_a_stopped_growth_goes_on_to_the_same_network(tmp_path, step, layout, share):
    whole, journal, _ = a_run(layout=layout, share=share)
    a_run(tmp_path, stop_after=step, layout=layout, share=share)
    again, told, _ = a_run(tmp_path, layout=layout, share=share)
    assert again.net == whole.net
    assert told == journal
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_no_test_image_can_be_read_in_a_search():
    data, parts = a_set(small_net("basic"))
    closed, open_parts = sealed(data, parts)
    assert len(open_parts.test) == 0
    assert np.array_equal(closed.images[parts.train], data.images[parts.train])
    for index in (parts.test, int(parts.test[0]), slice(None), np.arange(len(data))):
        with pytest.raises(AssertionError, match="test image"):
            closed.images[index]
    assert set(closed.labels[parts.test]) == {-1}


def test_wider_axes_and_new_blocks_are_judged_by_samples_of_their_own():
    net = small_net("basic")
    data, parts = a_set(net, 160)
    module = trained(build(net)).float()
    offered = [Widen(axis="stem", count=2), Insert(stage=0, at=1, block=net.stages[0].blocks[0])]
    train, held, few = held_out(data, parts.train, False), *(held_out(data, parts.val, False, n) for n in (40, 20))
    found, together = promises(module, offered, train, held, few, 0)
    (wider, _), alike = promises(module, offered, train, held, held, 0)
    (_, deeper), _ = promises(module, offered, train, few, few, 0)
    assert (found, together) == ([wider, deeper], alike)
    assert promises(module, offered, train, few, held, 0)[0] != found


def test_growing_from_python():
    data, parts = a_set(small_net("basic"), 160)
    model = zansa.grow(data, parts, "params=12k", RECIPE.model_copy(update={"epochs": 14}))  # with a race
    assert 8_000 <= cost(model.net).params <= 12_000
    assert model.module(_x(data, parts)).shape == (len(parts.val), 3)
    with pytest.raises(ValueError, match="several limits"):
        zansa.grow(data, parts, "params=12k,20k", RECIPE)
    with pytest.raises(ValueError, match="clock"):
        zansa.grow(data, parts, "ms=1", RECIPE)
    with pytest.raises(ValueError, match="as thin as it can be"):
        zansa.grow(data, parts, "params=100", RECIPE, small_net("basic"))


class Heard:
    """A clock, and what it said of every network that it was set right for: of all behind the first `dearer` times what
    it has measured."""

    def __init__(self, clock, dearer=1.0):
        self.clock, self.dearer, self.said = clock, dearer, {}
        self.ms, self.lot = clock.ms, clock.lot

    def right_for(self, net):
        right = self.clock.right_for(net)
        right = dataclasses.replace(right, unit=(self.dearer if self.said else 1.0) * right.unit)
        self.said[net] = right.ms(net)
        return right


def test_growing_from_python_to_milliseconds(tmp_path):
    net = small_net("basic")
    data, parts = a_set(net, 160)
    clock = Heard(zansa.timer(tmp_path, data.preprocess))
    limit = clock.clock.whole(scaled(net, 8.0, clock.lot()))
    model = zansa.grow(data, parts, f"ms={limit}", RECIPE, net, clock)
    assert model.net != net
    assert 0.7 * limit <= clock.said[model.net] <= limit
    with pytest.warns(UserWarning, match="as thin as it can be"):
        zansa.grow(data, parts, f"ms={limit}", RECIPE, net, Heard(clock.clock, 100.0))


def test_a_rival_that_diverges_is_out_of_the_race(tmp_path, monkeypatch):
    net = default_net((16, 16), 2, 3, "natural")
    data, parts = a_set(small_net("basic"), 160)
    real = race_module.training

    def training(module, *rest):
        if module.net.act == "silu":
            torch.nn.init.constant_(module.head.linear.weight, math.nan)
        return real(module, *rest)

    monkeypatch.setattr(race_module, "training", training)
    growth = limited(300_000.0, usual=net)
    events = beginning(growth, data, parts, RECIPE.model_copy(update={"epochs": 14}), tmp_path)
    told = []
    while True:
        try:
            told.append(next(events))
        except StopIteration as end:
            winner = end.value
            break
    assert ["SiLU" in event["text"] for event in told if event["event"] == "warning"] == [True]
    names = [line["name"] for line in winner.table]
    assert USUAL in names
    assert not any("SiLU" in name for name in names)
