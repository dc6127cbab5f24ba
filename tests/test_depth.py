"""The ODE view of trained networks: edits of depth, measures, verdicts, shortening, memory."""

import sys
from pathlib import Path

import pytest
import torch
from laws import a_block, images_for, one_stage, small_net, trained

from zansa.arch.apply import apply, inexact
from zansa.arch.cost import cost
from zansa.arch.edits import Delete, Insert, Merge, Regrid, Split, Tie
from zansa.arch.spec import Net, Stage, Step
from zansa.learn.depth.fuse import pulled, refuse_alone
from zansa.learn.depth.measure import measure
from zansa.learn.depth.shorten import Judge, blocks_of, refined, shortening
from zansa.learn.depth.verdict import invertible as invertible_stage
from zansa.learn.depth.verdict import verdict
from zansa.learn.recipe import Recipe
from zansa.learn.state import make_optimizer
from zansa.nets.build import build
from zansa.nets.memory import gradient_error, inversion_error, passing, refuse_memory, refuse_wrong
from zansa.nets.noise import add_noise
from zansa.nets.transfer import edited, resampling, transfer

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from depth import deep_net, measured

# ---- edits ------------------------------------------------------------------------------------------------


def apart(one, other, x):
    with torch.no_grad():
        return float((one(x) - other(x)).norm() / one(x).norm())


@pytest.mark.parametrize("kind", ["basic", "preact_basic", "se_basic"])
def test_more_steps_of_the_same_weights_are_splits(kind):
    net = one_stage("plain", Step(), 3, branch=kind)
    net = net.but({"stem": net.stem.but({"act": True})})
    module, x = trained(build(net)), images_for(net)
    finer = edited(module, [Regrid(stage=0, at=1, count=1, blocks=2)])
    split = edited(module, [Split(stage=0, at=1)])
    assert finer.net == split.net
    assert apart(split, finer, x) < 1e-12
    assert apart(finer, edited(finer, [Regrid(stage=0, at=1, count=2, blocks=1)]), x) > 0
    back = edited(finer, [Regrid(stage=0, at=1, count=2, blocks=1)])
    assert apart(module, back, x) < 1e-12


def test_a_block_twice_is_the_block_and_its_copy():
    """A tied pair answers as two blocks of these weights, has the parameters of one and the work of two."""
    net = one_stage("plain", Step(scale=True), 3, branch="basic")
    module, x = trained(build(net)), images_for(net)
    module.stages[0][1].load_state_dict(module.stages[0][2].state_dict())
    tied = edited(module, [Tie(stage=0, at=1)])
    assert apart(module, tied, x) < 1e-12
    assert tied.net.stages[0].blocks[1].times == 2
    before, after = cost(net), cost(tied.net)
    assert (after.macs, after.depth) == (before.macs, before.depth)
    assert after.params == sum(p.numel() for p in tied.parameters()) < before.params
    assert Net.from_json(tied.net.to_json()) == tied.net
    thrice = edited(tied, [Tie(stage=0, at=0, keep="second")])
    assert thrice.net.stages[0].blocks[0].times == 3
    assert apart(module, thrice, x) > 1e-3
    tied.train()
    tied(x.double()).square().mean().backward()
    assert all(p.grad is not None for p in tied.parameters())


def test_depth_is_resampled_by_parts_that_sum_to_one():
    assert resampling(4, 2, "constant").tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert resampling(2, 3, "constant")[1].tolist() == pytest.approx([0.5, 0.5])
    assert resampling(2, 4, "linear").tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    for count, blocks in ((5, 3), (3, 7)):
        for basis in ("constant", "linear"):
            assert torch.allclose(resampling(count, blocks, basis).sum(1), torch.ones(1).double())


def test_moments_follow_edits_of_depth():
    net = one_stage("plain", Step(), 4)
    moments = {name: torch.ones_like(p) for name, p in build(net).named_parameters()}
    inner, last = "stages.0.1.branch.conv1.weight", "stages.0.1.branch.conv2.weight"
    fewer = transfer(moments, net, Regrid(stage=0, at=1, count=2, blocks=1), "first moment")
    assert (float(fewer[inner].mean()), float(fewer[last].mean())) == (2.0, 1.0)
    tied = transfer(moments, net, Tie(stage=0, at=1), "second moment")
    assert float(tied[inner].mean()) == 2.0
    assert tied.keys() == dict(build(apply(net, Tie(stage=0, at=1))).named_parameters()).keys()


def test_edits_of_depth_say_what_they_cannot_do():
    net = small_net("basic")
    with pytest.raises(ValueError, match="tie with the next block 0: the first block of stage 1 sets its shape"):
        apply(net, Tie(stage=1, at=0))
    uneven = apply(net, Insert(stage=0, at=1, block=a_block("basic", width=3)))
    with pytest.raises(ValueError, match="cannot regrid 2 blocks from 0 of stage 0: they are not alike"):
        apply(uneven, Regrid(stage=0, at=0, count=2, blocks=1))
    with pytest.raises(ValueError, match="cannot tie blocks 0 and 1 of stage 0: they are not alike"):
        apply(uneven, Tie(stage=0, at=0))
    with pytest.raises(ValueError, match="its step is momentum; possible in plain steps"):
        apply(one_stage("momentum", Step(kind="momentum"), 3), Tie(stage=0, at=1))
    twice = a_block("basic").but({"times": 2})
    with pytest.raises(ValueError, match="allowed: in plain steps, and not in the first block of a stage"):
        Stage(width=4, stride=2, shortcut="project", blocks=(twice,))
    assert inexact(net, Tie(stage=0, at=0)) == "blocks 0 and 1 have the same weights now"
    assert inexact(net, Delete(stage=0, at=0)) == "what the block adds is lost"


# ---- measures ---------------------------------------------------------------------------------------------


def flow_net(blocks, alike, kind="preact_basic", h=0.1):
    """A network of one stage in evaluation mode whose blocks are alike, or independent."""
    net = one_stage("plain", Step(h=h), blocks, branch=kind, width=8)
    module = trained(build(net))
    for block in module.stages[0][1:] if alike else ():
        block.load_state_dict(module.stages[0][0].state_dict())
    return module


def test_equal_blocks_of_small_steps_are_smooth_and_independent_ones_are_rough():
    x = images_for(flow_net(2, True).net, count=16)
    (alike,), (rough,) = measure(flow_net(8, True), x), measure(flow_net(8, False), x)
    assert verdict(alike) == "smooth"
    assert [block.apart for block in alike.blocks[:-1]] == pytest.approx([0] * 7)
    assert [block.weights for block in alike.blocks[:-1]] == pytest.approx([0] * 7)
    assert alike.blocks[-1].apart is None
    assert verdict(rough) == "commuting"
    assert rough.mean("apart") > 1 > 5 * rough.beside
    assert rough.doubled > 0.5
    assert invertible_stage(measure(flow_net(8, True, h=0.05), x)[0])
    assert verdict(measure(flow_net(8, False, h=3.0), x)[0]) == "neither"


def test_measures_are_what_edits_do():
    """Deleting a block changes what leaves it by its size; running two side by side is what Merge makes."""
    module = flow_net(4, False, "basic")
    x = images_for(module.net, count=16)
    (stage,) = measure(module, x)
    with torch.no_grad():
        before, after = (through(module, x, k) for k in (1, 2))
        assert stage.blocks[1].size == pytest.approx(float((after - before).norm() / before.norm()))
        merged = edited(edited(module, [Merge(stage=0, at=2)]), [Merge(stage=0, at=0)])
        whole = through(module, x, 4) - module.stem(x)
        assert stage.beside == pytest.approx(
            float((through(merged, x, 2) - through(module, x, 4)).norm() / whole.norm())
        )
    assert stage.inversion is None


def through(module, x, count):
    x = module.stem(x)
    for block in module.stages[0][:count]:
        (x,) = block(x)
    return x


def test_the_local_error_falls_with_the_square_of_the_step():
    x = images_for(flow_net(2, True).net, count=8)
    coarse, fine = (measure(flow_net(2, True, h=h), x)[0].blocks[0].truncation for h in (0.02, 0.01))
    assert coarse / fine == pytest.approx(4, rel=0.1)


def test_what_cannot_be_measured_says_why():
    with pytest.raises(ValueError, match="stage 0 has merge_and_run steps, which carry two streams"):
        measure(build(small_net("basic", "merge_and_run")), images_for(small_net("basic")))
    one_each = small_net("basic").but({"stages": (small_net("basic").stages[1],)})
    assert [verdict(stage) for stage in measure(build(one_each).double(), images_for(one_each))] == ["short"]
    broken = flow_net(2, False)
    broken.stages[0][1].branch.conv1.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="the values after block 1 of stage 0 are not finite"):
        measure(broken, images_for(broken.net))


# ---- fewer and more blocks --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge():
    generator = torch.Generator().manual_seed(0)
    draw = lambda n: torch.randn(n, 2, 8, 8, generator=generator, dtype=torch.float64)  # noqa: E731
    val = draw(32)
    return Judge(draw(32), val, flow_net(6, False, "basic")(val).argmax(1))


def test_blocks_go_where_it_costs_least(judge):
    """The network's own answers are the labels, so every edit costs accuracy; side by side costs less than deletion."""
    module = flow_net(6, False, "basic")
    ends = {}
    for way in ("delete", "parallel", "average"):
        made = list(shortening(module, judge, (way,), to=3, checks=1))
        assert [taken.blocks for _, taken in made] == [5, 4, 3]
        assert blocks_of(made[-1][0].net) == 3
        assert blocks_of(module.net) == 6
        ends[way] = made[-1][1].loss
    assert ends["parallel"] < ends["delete"]
    tied = list(shortening(module, judge, ("tie",), to=4, checks=1))[-1][1]
    assert (tied.blocks, tied.macs) == (4, cost(module.net).macs)
    projected = list(shortening(module, judge, ("project",), to=3, checks=1))
    assert [taken.blocks for _, taken in projected] == [3]


def test_shortening_stops_at_the_loss_that_is_allowed(judge):
    module = flow_net(6, False, "basic")
    _, before = judge(module)
    made = [taken for _, taken in shortening(module, judge, to=1, loss=0.1, checks=2)]
    assert made
    assert all(before - taken.accuracy <= 0.1 + 1e-9 for taken in made)
    assert list(shortening(module, judge, ("delete",), to=1, loss=0.0)) == []


def test_finer_steps_come_nearer_to_the_flow():
    module = flow_net(4, True)
    x = images_for(module.net, count=8)
    finer = edited(module, refined(module.net))
    assert blocks_of(finer.net) == 8
    finest = edited(finer, refined(finer.net))
    assert 1.7 < apart(module, finer, x) / apart(finer, finest, x) < 2.4
    assert blocks_of(edited(module, refined(module.net, "linear")).net) == 8
    rough = flow_net(4, False, h=0.2)
    for each, told in ((rough, "commuting"), (edited(rough, refined(rough.net)), "paired")):
        assert verdict(measure(each, x)[0]) == told
    with pytest.raises(ValueError, match="no stage can be refined: cannot regrid blocks of stage 0: its step is mom"):
        refined(one_stage("momentum", Step(kind="momentum"), 3))


def test_neighbours_fuse_to_exactly_equal_weights():
    vectors = torch.tensor([[0.0], [0.1], [5.0]])
    assert pulled(vectors, 0.1).flatten().tolist() == pytest.approx([0.1, 0.1, 4.9])  # 0.05 and 0.05, then on
    assert pulled(vectors, 10.0).flatten().tolist() == pytest.approx([1.7] * 3)
    module = flow_net(4, False).float().train().to(memory_format=torch.channels_last)  # the usual layout of a training
    optimizer = make_optimizer(module, Recipe(fuse=100.0, rate=0.01))
    x, y = images_for(module.net).float(), torch.tensor([0, 1, 2])
    for _ in range(12):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    one, other = module.stages[0][0].branch.conv1.weight, module.stages[0][1].branch.conv1.weight
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="no stage has two neighbouring blocks of one shape"):
        refuse_alone(build(small_net("basic").but({"stages": (small_net("basic").stages[1],)})))


# ---- memory -----------------------------------------------------------------------------------------------


def gradients(module, memory, x, noise=0.0):
    chance = torch.Generator()
    handles = add_noise(module, noise, noise, chance)
    chance.manual_seed(7)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    passing(module, memory, chance)(x).square().mean().backward()
    after = {name: value.clone() for name, value in module.state_dict().items()}
    found = torch.cat([p.grad.flatten() for p in module.parameters()])
    module.zero_grad()
    module.load_state_dict(before)
    for handle in handles:
        handle.remove()
    return found, after, chance.get_state()


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(("kind", "memory"), [("plain", "checkpoint"), ("reversible", "checkpoint"),
                                              ("reversible", "reversible"), ("momentum", "reversible")])  # fmt: skip
def test_gradients_are_those_of_the_plain_pass(kind, memory, noise):
    """Also the statistics of norms, which count every batch once, and the random masks."""
    module = trained(build(one_stage(kind, Step(kind=kind), 7))).train()
    x = images_for(module.net, count=5)
    plain, found = gradients(module, "store", x, noise), gradients(module, memory, x, noise)
    assert float((plain[0] - found[0]).norm() / plain[0].norm()) < (1e-12 if memory == "checkpoint" else 1e-9)
    assert all(torch.allclose(plain[1][name], found[1][name]) for name in plain[1])
    assert torch.equal(plain[2], found[2])


@pytest.mark.parametrize(("kind", "memory"), [("reversible", "reversible"), ("plain", "adjoint")])
def test_what_a_way_back_keeps_does_not_grow_with_depth(kind, memory):
    few, many = (measured(deep_net(kind, blocks), memory)["peak"] for blocks in (4, 12))
    assert many == few
    assert measured(deep_net(kind, 12), "store")["peak"] > 3 * many


@pytest.mark.parametrize("kind", ["plain", "heun"])
def test_the_adjoint_is_as_right_as_its_steps_are_short(kind):
    norm = "group" if kind == "heun" else "batch"
    errors, head = [], None
    for count in (8, 16):
        module = trained(build(one_stage(kind, Step(kind=kind, h=1 / count), count, norm=norm))).train()
        for block in module.stages[0]:
            block.load_state_dict(module.stages[0][0].state_dict())
        head = head or module.head.state_dict()
        module.head.load_state_dict(head)
        x = images_for(module.net, count=5)
        refuse_wrong(module, x, "adjoint")
        plain, found = gradients(module, "store", x)[0], gradients(module, "adjoint", x)[0]
        error = float((plain - found).norm() / plain.norm())
        assert error == pytest.approx(gradient_error(module, x, "adjoint"), rel=1e-6)
        errors.append((inversion_error(module, x, "adjoint"), error))
    for coarse, fine in zip(*errors, strict=True):
        assert coarse / fine > (1.6 if kind == "plain" else 3.0)


def test_wrong_ways_back_are_refused():
    rough = trained(build(one_stage("plain", Step(h=3.0), 6))).train()
    with pytest.raises(ValueError, match="memory 'adjoint' would learn from wrong gradients"):
        refuse_wrong(rough, images_for(rough.net, count=8), "adjoint")
    with pytest.raises(ValueError, match="memory 'reversible' was asked, and the network has plain steps"):
        refuse_memory(rough.net, "reversible")
    with pytest.raises(ValueError, match="plain steps of basic blocks; allowed: plain or heun steps of blocks without"):
        refuse_memory(small_net("basic"), "adjoint")
    with pytest.raises(ValueError, match="what is computed backwards must be exact"):
        Recipe(memory="reversible", precision="bfloat16")
