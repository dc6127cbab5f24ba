"""Edits that widen, split, merge and change kinds, against closed forms and references of their own."""

import math
from itertools import pairwise

import pytest
import torch
from laws import a_block, images_for, small_net, trained
from torch import nn

from zansa.arch.apply import apply, inexact
from zansa.arch.edits import Delete, Insert, Merge, Rekind, Split, Widen, edit_from_dict
from zansa.arch.spec import Block, Net
from zansa.nets.build import build
from zansa.nets.transfer import transfer, transfer_optimizer

SCALES = (1 / 16, 1 / 32, 1 / 64)


def edited(module: nn.Module, edit) -> nn.Module:
    """The module behind an edit, in the mode and the precision of the one before it."""
    other = build(apply(module.net, edit)).double().train(module.training)
    other.load_state_dict(transfer(module.state_dict(), module.net, edit))
    return other


def change(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).detach().abs().max() / a.detach().abs().max())


def gradients(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad()
    nn.functional.cross_entropy(module(x), torch.tensor([0, 1, 2])).backward()
    return {name: p.grad.clone() for name, p in module.named_parameters()}


def test_widen_draws_as_build_does_and_reads_with_zeros():
    net = small_net("basic")
    module = trained(build(net))
    wide = transfer(module.state_dict(), net, Widen(axis="stem", count=200))
    conv = wide["stages.0.0.branch.conv2.weight"]
    assert float(conv[6:].std()) == pytest.approx(math.sqrt(2 / (9 * 206)), rel=0.03)
    assert not wide["stages.0.1.branch.conv1.weight"][:, 6:].any()
    norm = {name: wide[f"stages.0.0.branch.norm2.{name}"][6:] for name in ("weight", "bias", "running_mean")}
    assert {name: float(value.unique()) for name, value in norm.items()} == {
        "weight": 1,
        "bias": 0,
        "running_mean": 0,
    }
    assert float(wide["stages.0.0.branch.norm2.running_var"][6:].unique()) == 1
    again = transfer(module.state_dict(), net, Widen(axis="stem", count=200))
    assert all(torch.equal(value, again[name]) for name, value in wide.items())
    other = transfer(
        module.state_dict(), net, Widen(axis="stem", count=200), generator=torch.Generator().manual_seed(5)
    )
    assert not torch.equal(other["stem.conv.weight"], wide["stem.conv.weight"])
    assert torch.equal(other["stem.conv.weight"][:6], module.state_dict()["stem.conv.weight"])


def test_widen_of_a_gates_axis_draws_its_linear_layer():
    net = small_net("se_basic")
    wide = transfer(build(net).state_dict(), net, Widen(axis="stage0.block0.hidden1", count=300))
    down, up = (wide[f"stages.0.0.branch.se.{name}.weight"] for name in ("down", "up"))
    assert 0.9 / math.sqrt(6) < float(down[4:].abs().max()) <= 1 / math.sqrt(6)
    assert not up[:, 4:].any()


@pytest.mark.parametrize(
    ("net", "axis", "count"),
    [
        (small_net("basic"), "stem", 3),
        (small_net("preact_bottleneck", "momentum"), "stage1", 2),
        (small_net("bottleneck", groups=2), "stage0.block1.hidden0", 4),
        (small_net("se_basic", "merge_and_run", pool="both", join="concat"), "stage1", 5),
    ],
)
def test_widen_keeps_the_function_in_training_mode_too_and_new_channels_learn(net, axis, count):
    module, x = trained(build(net)).train(), images_for(net)
    wide = edited(module, Widen(axis=axis, count=count))
    before = module(x)
    assert change(before, wide(x)) <= 1e-12
    rates = torch.optim.SGD(wide.parameters(), 0.01)
    gradients(wide, x)
    rates.step()  # what reads the new channels is zero no more, so that what writes them gets a gradient
    fresh = transfer(
        {name: torch.ones_like(p) for name, p in module.named_parameters()},
        net,
        Widen(axis=axis, count=count),
        "first moment",
    )
    learns = [
        float(g[fresh[name] == 0].abs().max()) > 0 for name, g in gradients(wide, x).items() if not fresh[name].all()
    ]
    assert sum(learns) > 0.8 * len(learns)


def test_widen_adds_whole_groups():
    net = apply(small_net("bottleneck", groups=2), Widen(axis="stage0.block0.hidden0", count=4))
    block = net.stages[0].blocks[0]
    assert (block.hidden, block.groups) == ((8, 8), 4)
    assert net.stages[0].blocks[1].groups == 2


SPLITS = [
    ("preact_basic", {}),
    ("preact_bottleneck", {"norm": "none"}),
    ("preact_basic", {"scale": True}),
    ("basic", {}),
    ("basic", {"norm": "none"}),
    ("bottleneck", {"norm": "group", "groups": 2}),
    ("se_basic", {}),
    ("se_basic", {"scale": True}),
    ("se_bottleneck", {"norm": "none"}),
    ("resbuilder", {}),
    ("preact_basic", {"act": "silu"}),
    ("resbuilder", {"act": "gelu", "scale": True}),
]


@pytest.mark.parametrize(("kind", "more"), SPLITS)
def test_a_split_is_exact_to_second_order(kind, more):
    """The change of the function is as the square of the branch; the gradients become those of the moments' law."""
    net, edit = small_net(kind, **more), Split(stage=0, at=1)
    x, changes = images_for(net), []
    for scale in SCALES:
        module = trained(build(net))
        multiply_branch(module.stages[0][1], scale)
        halves = edited(module, edit)
        changes.append(float((module(x) - halves(x)).detach().norm()))
    slopes = [math.log2(larger / smaller) for larger, smaller in pairwise(changes)]
    assert all(1.8 < slope < 2.2 for slope in slopes), slopes
    before, found = gradients(module, x), gradients(halves, x)
    moved = transfer(before, net, edit, "first moment")
    for name in (name for name in moved if name.startswith(("stages.0.1.", "stages.0.2.")) and moved[name].any()):
        assert change(moved[name], found[name]) < 0.3, name
    squares = transfer({name: g**2 for name, g in before.items()}, net, edit, "second moment")
    assert all(torch.allclose(squares[name], moved[name] ** 2, rtol=1e-12) for name in moved)


def multiply_branch(block: nn.Module, factor: float) -> None:
    """What the branch gives times a factor."""
    layers = [layer for layer in block.branch if list(layer.parameters()) and "Gate" not in type(layer).__name__]
    gates = [layer for layer in block.branch if "Gate" in type(layer).__name__]
    scaled = hasattr(block.branch, "scale")
    last = layers[-2:] if type(layers[-1]).__name__ == "Bias" else layers[-1:]
    with torch.no_grad():
        for layer in last:
            for parameter in layer.parameters():
                parameter.mul_(factor)
        for gate in () if scaled else gates:
            gate.down.weight.div_(factor)


@pytest.mark.parametrize(
    ("net", "stage", "why"),
    [
        (small_net("basic", "parallel"), 0, "cannot split blocks of stage 0: its step is parallel"),
        (small_net("basic"), 1, "cannot split block 0: the first block of stage 1 sets its shape"),
        (small_net("basic", act="gelu"), 0, "it ends in an activation, and the stream that enters it"),
        (small_net("resbuilder", act="silu"), 0, "part of a resbuilder branch ends in part of a silu"),
    ],
)
def test_splits_that_would_be_no_half_steps_are_refused(net, stage, why):
    with pytest.raises(ValueError, match=why):
        apply(net, Split(stage=stage, at=0))


def test_a_branch_with_a_scalar_splits_behind_any_activation():
    net = small_net("resbuilder", act="silu", scale=True)
    scalar = transfer(build(net).state_dict(), net, Split(stage=0, at=0))["stages.0.1.branch.scale.weight"]
    assert float(scalar) == 0.5


class SideBySide(nn.Module):
    """x + f(x) + g(x), then the activation: the reference of a merge."""

    def __init__(self, first: nn.Module, second: nn.Module, h: float):
        super().__init__()
        self.first, self.second, self.h = first, second, h

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.first.after(x + self.h * self.first.branch(x) + self.h * self.second.branch(x)),)


def uneven(net: Net, block: Block, h: float = 1.0) -> Net:
    """The network with another second block in its first stage."""
    stage = net.stages[0]
    stage = stage.but({"blocks": (stage.blocks[0], block), "step": stage.step.but({"h": h})})
    return net.but({"stages": (stage, *net.stages[1:])})


MERGES = {
    "basic": uneven(small_net("basic"), a_block("basic", width=3), h=0.5),
    "basic, scaled": small_net("basic", scale=True),
    "basic, no norm": uneven(small_net("basic", norm="none"), a_block("basic", width=7)),
    "basic, no norm, scaled": small_net("basic", norm="none", scale=True),
    "basic, gelu, 1-D": small_net("basic", act="gelu", dims=1),
    "bottleneck": uneven(small_net("bottleneck"), Block(kind="bottleneck", hidden=(3, 5))),
    "grouped": uneven(small_net("bottleneck", groups=2), Block(kind="bottleneck", hidden=(6, 6), groups=3)),
    "bottleneck, no norm, 3-D": small_net("bottleneck", norm="none", dims=3),
}


@pytest.mark.parametrize("net", MERGES.values(), ids=MERGES.keys())
def test_merged_blocks_run_side_by_side(net):
    module, x = trained(build(net)), images_for(net)
    with torch.no_grad():
        if net.norm == "batch":  # in these channels one branch, or both, are silent
            module.stages[0][0].branch.get_submodule("norm3" if "neck" in str(net) else "norm2").weight[:2] = 0
            module.stages[0][1].branch.get_submodule("norm3" if "neck" in str(net) else "norm2").weight[1:3] = 0
    one = edited(module, Merge(stage=0, at=0))
    first, second = module.stages[0]
    h = net.stages[0].step.h
    module.stages[0] = nn.ModuleList([SideBySide(first, second, h)])
    assert change(module(x), one(x)) <= 1e-12
    assert inexact(net, Merge(stage=0, at=0)) == "block 1 no longer sees what block 0 adds"
    learn = gradients(one, x)
    last = [name for name in learn if name.startswith("stages.0.0.branch.") and ("norm" in name or "conv" in name)]
    assert all(float(learn[name].abs().max()) > 0 for name in last)


def test_a_merged_norm_has_the_statistics_of_the_sum():
    """Independent branches: in training mode too the merged network is nearly x + f(x) + g(x)."""
    net = uneven(small_net("basic"), a_block("basic", width=40))
    module, x = trained(build(net)), images_for(net, count=64)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean
    module.train()(x)
    module.eval()
    one = edited(module, Merge(stage=0, at=0))
    merged = one.stages[0][0].branch.norm2
    expected = merged.running_var.clone()
    merged.momentum = 1.0
    one.train()(x)
    assert float((expected / merged.running_var).log().abs().mean()) < 0.3


def test_merging_two_silent_branches_leaves_one_that_can_learn():
    net = small_net("basic", start="zero")
    module, x = build(net).double().train(), images_for(net)
    one = edited(module, Merge(stage=0, at=0))
    assert torch.equal(one.stages[0][0].branch.conv2.weight[:, :4], module.stages[0][0].branch.conv2.weight)
    assert not one.stages[0][0].branch.norm2.weight.any()
    assert float(gradients(one, x)["stages.0.0.branch.norm2.weight"].abs().max()) > 0


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (small_net("preact_basic"), "each preact_basic branch reads the stream through a norm of its own"),
        (small_net("preact_bottleneck", norm="none"), "reads the stream through a norm of its own"),
        (small_net("resbuilder"), "reads the stream through a norm of its own"),
        (small_net("se_basic"), "each gate follows from its own branch alone"),
        (small_net("basic", norm="group"), "last group norms follow the image"),
        (small_net("basic", "parallel"), "its step is parallel"),
        (uneven(small_net("basic"), a_block("bottleneck")), "one is basic, the other bottleneck"),
        (
            uneven(small_net("bottleneck", groups=2), a_block("bottleneck")),
            r"groups have \[2, 2\] and \[4, 4\] channels",
        ),
    ],
)
def test_merges_that_cannot_be_exact_are_refused(net, why):
    with pytest.raises(ValueError, match=why):
        apply(net, Merge(stage=0, at=0))


def test_merge_needs_a_block_behind_and_the_same_shape():
    net = apply(small_net("basic"), Insert(stage=1, at=1, block=a_block("basic")))
    with pytest.raises(
        ValueError, match="cannot merge with the next block 0: the first block of stage 1 sets its shape"
    ):
        apply(net, Merge(stage=1, at=0))
    with pytest.raises(ValueError, match=r"possible in stage 0: 0\.\.0"):
        apply(net, Merge(stage=0, at=1))


GATES = [
    ("basic", "plain", {}),
    ("basic", "parallel", {"norm": "none"}),
    ("basic", "merge_and_run", {"norm": "group"}),
    ("bottleneck", "plain", {"groups": 2, "scale": True}),
]


@pytest.mark.parametrize(("kind", "step", "more"), GATES)
def test_a_gate_comes_as_one_half_and_can_go_again(kind, step, more):
    net = small_net(kind, step, **more)
    module, x = trained(build(net)), images_for(net)
    old = net.stages[0].blocks[1]
    size = len(old.hidden) // (2 if step != "plain" else 1)
    hidden = tuple(w for k in range(0, len(old.hidden), size) for w in (*old.hidden[k : k + size], 5))
    come = Rekind(stage=0, at=1, block=old.but({"kind": f"se_{kind}", "hidden": hidden}))
    gated = edited(module, come)
    assert change(module(x), gated(x)) <= 1e-13
    first, second = gradients(module, x), gradients(gated, x)
    moved = transfer(first, net, come, "first moment")
    assert all(torch.allclose(moved[name], second[name], rtol=1e-9, atol=1e-12) for name in moved if ".se." not in name)
    assert float(second["stages.0.1.branch.se.up.weight"].abs().max()) > 0
    assert not any(value.any() for name, value in moved.items() if ".se." in name)
    go = Rekind(stage=0, at=1, block=old)
    assert apply(gated.net, go) == net
    assert "no longer follows" in inexact(gated.net, go)
    back = transfer(gated.state_dict(), gated.net, go)
    assert back.keys() == module.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in module.state_dict().items())
    returned = transfer(transfer(first, net, come, "second moment"), gated.net, go, "second moment")
    assert all(torch.equal(returned[name], value) for name, value in first.items())


def test_a_gate_that_goes_leaves_its_value_for_the_mean():
    """Exactly, where the gate does not depend on the image; nearly, where it does a little."""
    net = small_net("se_bottleneck")
    go = Rekind(stage=0, at=1, block=a_block("bottleneck"))
    changes = []
    for size in (0.0, 0.01, 0.02):
        module, x = trained(build(net)), images_for(net)
        with torch.no_grad():
            for branch in (module.stages[0][1].branch,):
                branch.se.down.weight.mul_(size)
                branch.se.down.bias.fill_(0.1)  # so that the hidden layer lives
        changes.append(change(module(x), edited(module, go)(x)))
    assert changes[0] <= 1e-12 < 1e-7 < changes[1] < changes[2] < 1e-2


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (a_block("preact_basic"), "cannot turn a basic block into a preact_basic block"),
        (a_block("basic"), "cannot turn a basic block into a basic block"),
        (Block(kind="se_basic", hidden=(5, 2)), r"keeps the widths \(4,\), groups=1 and mix=None; given: \(5,\)"),
    ],
)
def test_changes_of_kind_that_cannot_be_exact_are_refused(block, why):
    with pytest.raises(ValueError, match=why):
        apply(small_net("basic"), Rekind(stage=0, at=0, block=block))


@pytest.mark.parametrize(
    ("net", "axis", "count", "why"),
    [
        (small_net("basic"), "input", 1, "cannot widen 'input'; the axes whose channels can change: stem, "),
        (small_net("basic"), "nothing", 1, "cannot widen 'nothing'"),
        (small_net("basic", shortcut="pad"), "stage1", 1, "cannot widen stage1: a padded shortcut ties it"),
        (small_net("bottleneck", groups=2), "stage0.block0.hidden1", 3, "groups of 2 channels; .* use a multiple of 2"),
        (small_net("basic", norm="group"), "stem", 3, "groups of 2 channels; .* use a multiple of 2"),
        (small_net("bottleneck", "parallel", groups=2), "stage0.block0.hidden0", 2, "the 2 branches of block 0 share"),
    ],
)
def test_axes_that_cannot_be_widened_are_refused(net, axis, count, why):
    with pytest.raises(ValueError, match=why):
        apply(net, Widen(axis=axis, count=count))


def test_an_optimiser_goes_on_behind_every_edit():
    """A journal of all of them; each is read back from JSON, and a step is taken behind each."""
    net, module = small_net("basic"), build(small_net("basic"))
    x, target = images_for(net).float(), torch.tensor([0, 1, 2])
    optimizer = torch.optim.AdamW(module.parameters())
    gated = Block(kind="se_basic", hidden=(8, 2))
    journal = [
        Split(stage=0, at=0),
        Merge(stage=0, at=1),
        Rekind(stage=0, at=1, block=gated),
        Widen(axis="stem", count=2),
        Split(stage=0, at=1),
        Delete(stage=0, at=0),
        Rekind(stage=0, at=1, block=a_block("basic", width=8)),
    ]
    for edit in journal:
        nn.functional.cross_entropy(module(x), target).backward()
        optimizer.step()
        net, names = module.net, [name for name, _ in module.named_parameters()]
        edit = edit_from_dict(edit.model_dump(mode="json"))
        module = build(apply(net, edit))
        new_names = [name for name, _ in module.named_parameters()]
        held = transfer_optimizer(optimizer.state_dict()["state"], names, net, edit, new_names)
        assert held.keys() == set(range(len(new_names)))
        optimizer = torch.optim.AdamW(module.parameters())
        optimizer.load_state_dict(optimizer.state_dict() | {"state": held})
        shapes = [p.shape for p in module.parameters()]
        assert [held[k]["exp_avg"].shape for k in range(len(shapes))] == shapes, edit
    assert [block.kind for block in module.net.stages[0].blocks] == ["se_basic", "basic"]
