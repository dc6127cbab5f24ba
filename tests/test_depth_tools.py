"""Stochastic depth, dropout, the way back through reversible blocks, and flows."""

import pytest
import torch
from continuous import continuous
from laws import images_for, one_stage, small_net, trained

from zansa.arch.spec import Step
from zansa.nets.build import build
from zansa.nets.noise import add_noise
from zansa.nets.reverse import invert

# ---- noise ------------------------------------------------------------------------------------------------


def draws(module, x, **chances):
    generator = torch.Generator().manual_seed(0)
    handles = add_noise(module, generator=generator, **{"dropout": 0.0, "stochastic_depth": 0.0} | chances)
    found = torch.stack([module(x) for _ in range(400)])
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("step", ["plain", "merge_and_run", "reversible"])
def test_stochastic_depth_drops_whole_branches_of_an_image(step):
    net = one_stage(step, Step(kind=step), 1)
    module = trained(build(net)).train()
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.eval()  # so that one image does not see the others
    x = images_for(net, count=1)
    with torch.no_grad():
        whole, found = module(x), draws(module, x, stochastic_depth=0.5)
    branches = 1 if step == "plain" else 2
    kinds = torch.unique(found.round(decimals=9), dim=0)
    assert len(kinds) == 2**branches  # the branch is there at twice its size, or not at all
    assert not any(torch.allclose(kind, whole) for kind in kinds)


def test_noise_keeps_the_mean_and_goes_away():
    net = one_stage("plain", Step(), 2)
    module, x = trained(build(net)), images_for(net)
    with torch.no_grad():
        quiet = module(x)
        assert torch.equal(draws(module, x, dropout=0.5, stochastic_depth=0.5)[0], quiet)  # not in evaluation
        inner = module.stages[0][0].branch
        inner.train().norm1.eval(), inner.norm2.eval()
        y = module.stem(x)
        clean, generator = inner(y), torch.Generator().manual_seed(0)
        handles = add_noise(module, 0.5, 0.0, generator)
        noisy = torch.stack([inner(y) for _ in range(4000)])
        for handle in handles:
            handle.remove()
        assert float((noisy[0] - clean).norm() / clean.norm()) > 0.1
        assert float((noisy.mean(0) - clean).norm() / clean.norm()) < 0.1
        assert torch.equal(inner(y), clean)


# ---- back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reversible", "momentum"])
def test_blocks_give_their_inputs_back(kind):
    net = one_stage(kind, Step(kind=kind), 12)
    module = trained(build(net))
    step, specs, blocks = net.stages[0].step, net.stages[0].blocks, module.stages[0]
    with torch.no_grad():
        inputs = outputs = blocks[0](*[torch.randn(2, 4, 8, 8, dtype=torch.float64)])
        for block in blocks[1:-1]:
            outputs = block(*outputs)
        for block, spec in reversed(list(zip(blocks, specs, strict=True))[1:-1]):
            outputs = invert(block, step, spec, *outputs)
    for found, expected in zip(outputs, inputs, strict=True):
        assert float((found - expected).norm() / expected.norm()) < 1e-11
    with pytest.raises(ValueError, match="streams begin or join in this block"):
        invert(blocks[0], step, specs[0], *inputs)


def test_a_step_without_an_inverse_says_so():
    net = small_net("basic")
    with pytest.raises(ValueError, match="a plain step cannot be inverted; steps that can: momentum, reversible"):
        invert(build(net).stages[0][0], net.stages[0].step, net.stages[0].blocks[0], images_for(net))


# ---- flows ------------------------------------------------------------------------------------------------


def test_steps_come_near_the_flow_along_one_branch():
    """Euler's error at L steps of one branch falls as 1/L, Heun's as 1/L^2; the flow is torchdiffeq's."""
    errors = {}
    for kind in ("plain", "heun"):
        for steps in (16, 32):
            module = trained(build(one_stage(kind, Step(kind=kind, h=1 / steps), steps, norm="group")))
            for block in module.stages[0]:
                block.load_state_dict(module.stages[0][0].state_dict())
            x = images_for(module.net, count=2)
            with torch.no_grad():
                expected = continuous(module, 0, tolerance=1e-9).features(x)[-1]
                errors[kind, steps] = float((module.features(x)[-1] - expected).norm() / expected.norm())
    assert errors["plain", 16] / errors["plain", 32] == pytest.approx(2, rel=0.15)
    assert errors["heun", 32] < 0.1 * errors["plain", 32]


def test_stochastic_depth_leaves_blocks_alone_that_nothing_leads_around():
    net = small_net("basic", shortcut="none")
    module = trained(build(net)).train()
    handles = add_noise(module, 0.0, 0.9, torch.Generator())
    hooked = [bool(block.branch._forward_hooks) for stage in module.stages for block in stage]
    assert hooked == [True, True, False]
    assert len(handles) == 2


def test_a_block_that_nothing_leads_around_does_not_start_at_zero():
    module = build(small_net("basic", shortcut="none", start="zero"))
    assert not module.stages[0][0].branch.norm2.weight.any()
    assert module.stages[1][0].branch.norm2.weight.all()
