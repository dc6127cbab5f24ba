"""The ODE view of trained networks: edits of depth, measures, verdicts, shortening, memory."""

import pytest
import torch
from laws import a_block, images_for, one_stage, small_net, trained

from zansa.arch.apply import apply, inexact
from zansa.arch.cost import cost
from zansa.arch.edits import Delete, Insert, Regrid, Split, Tie
from zansa.arch.spec import Net, Stage, Step
from zansa.nets.build import build
from zansa.nets.transfer import resampling, transfer

# ---- edits ------------------------------------------------------------------------------------------------


def edited(module, edits):
    """The network after some edits, in float64."""
    net, state = module.net, module.state_dict()
    for edit in edits:
        net, state = apply(net, edit), transfer(state, net, edit)
    changed = build(net).double().eval()
    changed.load_state_dict(state)
    return changed


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
