"""What the papers say of their networks, measured on ours."""

import math
from itertools import pairwise

import pytest
import torch
from laws import a_block, images_for, one_stage, small_net, trained
from torch import nn

from zansa.arch import zoo
from zansa.arch.apply import apply, inexact
from zansa.arch.edits import Insert, Mix
from zansa.arch.lower import lower
from zansa.arch.spec import Block, Head, Net, Stage, Step
from zansa.nets.build import build
from zansa.nets.initial_weights import initialise
from zansa.nets.transfer import transfer

# ---- merge-and-run (Zhao et al. 2017) --------------------------------------------------------------------


def zero_branches(module: nn.Module) -> None:
    with torch.no_grad():
        for name, value in module.named_parameters():
            if ".branch" in name:
                value.zero_()


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_the_skip_of_merge_and_run_is_the_papers_matrix(mix):
    """(1-a) I + a M has eigenvalue 1 on the mean of the streams and 1-a on their difference; M is idempotent."""
    net = one_stage("merge_and_run", Step(kind="merge_and_run"), 3)
    net = apply(net, Mix(stage=0, at=1, mix=mix))
    module = build(net).double().eval()
    zero_branches(module)
    x, y = torch.randn(2, 2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    block = module.stages[0][1]
    new_x, new_y = block(x, y)
    assert torch.allclose(new_x + new_y, x + y, rtol=1e-12)
    assert torch.allclose(new_x - new_y, (1 - mix) * (x - y), rtol=1e-12, atol=1e-14)
    again = block(new_x, new_y)
    assert (torch.allclose(again[0], new_x, atol=1e-14)) == (mix in (0.0, 1.0))


def path_lengths(net: Net) -> dict[int, int]:
    """How many paths of how many weighted layers lead from the input to the answer: counted along the rows, where a
    path goes through one of the tensors that a sum adds up."""
    paths: dict[str, dict[int, int]] = {"input": {0: 1}}
    for row in lower(net).rows:
        here: dict[int, int] = {}
        for source in row.reads:
            for length, count in paths[source].items():
                length += row.op in ("conv", "linear") and ".shortcut" not in row.path
                here[length] = here.get(length, 0) + count
        paths[row.path] = here
    return paths["head.linear"]


# mean, deviation and longest of fig. 3, for blocks of B = 2 convolutions
FIGURE_3 = {
    (9, "plain"): (20.0, 4.24, 38),
    (9, "parallel"): (14.0, 2.83, 20),
    (9, "merge_and_run"): (8.0, 2.83, 20),
    (24, "plain"): (50.0, 6.93, 98),
    (24, "parallel"): (34.0, 4.62, 50),
    (24, "merge_and_run"): (18.0, 4.62, 50),
}


@pytest.mark.parametrize(("half", "kind"), FIGURE_3)
def test_path_lengths_are_those_of_figure_3(half, kind):
    """L blocks of two branches against 2 L of one; the analysis leaves both streams as they are at the end."""
    blocks = 2 * half if kind == "plain" else half
    net = one_stage(kind, Step(kind=kind), blocks, branch="basic")
    if kind == "merge_and_run":
        net = net.model_copy(update={"head": Head(classes=3, join="concat")})
    found = path_lengths(net)
    count = sum(found.values())
    mean = sum(length * n for length, n in found.items()) / count
    deviation = math.sqrt(sum((length - mean) ** 2 * n for length, n in found.items()) / count)
    assert (round(mean, 1), round(deviation, 2), max(found)) == FIGURE_3[half, kind]


def test_a_zero_merge_and_run_block_is_no_identity_but_where_its_mix_is_zero():
    net = one_stage("merge_and_run", Step(kind="merge_and_run"), 3)
    module, x = trained(build(net)), images_for(net)
    with torch.no_grad():
        before = module(x)

    def after(at: int, mix: float | None) -> tuple[Insert, float]:
        edit = Insert(stage=0, at=at, block=a_block("preact_basic", "merge_and_run", mix=mix))
        edited = build(apply(net, edit)).double().eval()
        edited.load_state_dict(transfer(module.state_dict(), net, edit))
        with torch.no_grad():
            return edit, float((edited(x) - before).abs().max() / before.abs().max())

    edit, change = after(1, None)
    assert change > 1e-3
    assert inexact(net, edit) == (
        "a merge_and_run block with a zero branch is not the identity: its skip averages the two streams; "
        "a mix of 0 is exact"
    )
    for at, mix in ((1, 0.0), (2, 0.0), (0, None), (0, 0.5)):  # at the start both streams are the same
        edit, change = after(at, mix)
        assert not inexact(net, edit)
        assert change < 1e-12
    edit, change = after(3, 0.0)
    assert change > 1e-3
    assert "would no longer be the last" in inexact(net, edit)


# ---- steps as methods for an ordinary differential equation ----------------------------------------------


def smooth_field(block: nn.Module) -> None:
    """Make a branch smooth: a convolution of the hyperbolic tangent, twice; no norms, which see the whole batch."""
    block.branch.norm1, block.branch.norm2 = nn.Identity(), nn.Identity()
    block.branch.act1, block.branch.act2 = nn.Tanh(), nn.Tanh()


@pytest.mark.parametrize(("kind", "slope"), [("plain", 1), ("heun", 2)])
def test_the_error_falls_with_the_order_of_the_method(kind, slope):
    """One field f for all steps of length 1/L; the reference is SciPy's solution of dx/dt = f(x) at t = 1."""
    from scipy.integrate import solve_ivp

    torch.manual_seed(0)
    errors, start, end = [], torch.randn(1, 4, 8, 8, dtype=torch.float64), None
    for steps in (8, 16, 32, 64):
        module = build(one_stage(kind, Step(kind=kind, h=1 / steps), steps, norm="group")).double()
        for block in module.stages[0]:
            smooth_field(block)
            block.load_state_dict(module.stages[0][0].state_dict())
        field = module.stages[0][0].branch
        with torch.no_grad():
            if end is None:
                shape = start.shape
                slope_of = lambda t, x, f=field: f(torch.from_numpy(x).reshape(shape)).flatten().numpy()  # noqa: B023, E731
                end = torch.from_numpy(solve_ivp(slope_of, (0, 1), start.flatten().numpy(), rtol=1e-10).y[:, -1])
            x = start
            for block in module.stages[0]:
                (x,) = block(x)
        errors.append(float((x.flatten() - end).norm() / end.norm()))
    slopes = [math.log2(one / other) for one, other in pairwise(errors)]
    assert slopes[-1] == pytest.approx(slope, abs=0.1)


def test_momentum_is_the_papers_recursion():
    net = one_stage("momentum", Step(kind="momentum"), 3)
    module = trained(build(net))
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    expected, velocity, streams = x, torch.zeros_like(x), (x,)
    for block in module.stages[0]:
        velocity = 0.9 * velocity + (1 - 0.9) * block.branch(expected)
        expected = expected + velocity
        streams = block(*streams)
    assert len(streams) == 1
    assert torch.allclose(streams[0], expected, rtol=1e-12)


# ---- starts -----------------------------------------------------------------------------------------------


def shares(net: Net) -> list[float]:
    """How much each block changes its stream, relative to it, right after building."""
    module, found = build(net).double().train(), []
    x = module.stem(images_for(net))
    for block in module.stages[0]:
        (y,) = block(x)
        found.append(((y - x).norm() / x.norm()).item())
        x = y
    return found


@pytest.mark.parametrize(
    ("branch", "norm", "scale"),
    [
        ("basic", "batch", False),
        ("preact_basic", "batch", False),
        ("bottleneck", "batch", True),
        ("preact_bottleneck", "none", True),
        ("basic", "none", False),
        ("se_basic", "group", False),
        ("resbuilder", "batch", True),
    ],
)
def test_a_zero_start_is_the_identity_and_learns(branch, norm, scale):
    net = small_net(branch, norm=norm, scale=scale, start="zero")
    assert shares(net)[0] == 0
    module = build(net).double().train()
    module(images_for(net)).square().sum().backward()
    zeros = [p for name, p in module.stages[0].named_parameters() if p.ndim == 0 or not p.any()]
    assert any(p.grad is not None and p.grad.any() for p in zeros)


def test_a_random_start_is_no_identity():
    assert min(shares(small_net("preact_basic"))) > 0.05


def test_fixup_is_what_the_paper_says():
    """The last convolution of each branch and the classifier are zero; the first are scaled by L^(-1/2) for m = 2."""
    plain = zoo.cifar_net(
        Block(kind="preact_basic", hidden=(16,)), (3, 3, 3), (16, 32, 64), shortcut="conv", step=Step(scale=True)
    )

    def with_start(start: str) -> Net:
        values = plain.model_dump() | {"norm": "none"}
        values["stages"] = [stage | {"step": {"scale": True, "start": start}} for stage in values["stages"]]
        return Net.model_validate(values)

    ours, theirs = build(with_start("fixup")), build(plain)
    for stage, other in zip(ours.stages, theirs.stages, strict=True):
        for block, normed in zip(stage, other, strict=True):
            assert not block.branch.conv2.weight.any()
            assert torch.allclose(block.branch.conv1.weight, normed.branch.conv1.weight * 9**-0.5)
            assert float(block.branch.scale.weight.detach()) == 1
    assert not ours.head.linear.weight.any()
    # without norms a deep network keeps its scale, where a random start blows up
    x = torch.randn(8, 3, 32, 32)
    random = build(with_start("fixup"))
    initialise(random, torch.Generator().manual_seed(0))

    def growth(module):
        first, *_, last = module.features(x)
        return (last.std() / first.std()).item()

    assert growth(ours) < 2 < 4 < growth(random)


def neighbours(net: Net) -> float:
    """The mean distance of the first convolutions of neighbouring blocks, relative to their size."""
    weights = [block.branch.conv1.weight.detach() for block in build(net).stages[0]]
    return sum(float((a - b).norm() / a.norm()) for a, b in pairwise(weights)) / (len(weights) - 1)


def test_tied_and_smooth_starts():
    tied, smooth, random = (one_stage("plain", Step(h=1 / 64, start=how), 64) for how in ("tied", "smooth", "random"))
    assert neighbours(tied) == 0
    assert neighbours(smooth) < 0.25
    assert neighbours(random) == pytest.approx(math.sqrt(2), rel=0.1)  # independent Gaussians
    assert not any(block.branch.conv2.weight.any() for block in build(tied).stages[0])
    sizes = torch.stack([block.branch.conv1.weight.detach() for block in build(smooth).stages[0]])
    assert float(sizes.std()) == pytest.approx(math.sqrt(2 / 36), rel=0.2)  # the process has the variance of the rest


def test_settings_without_effect_or_sense_are_refused():
    with pytest.raises(ValueError, match="start 'fixup' is for networks without norms"):
        small_net("basic", start="fixup")
    with pytest.raises(ValueError, match="norm 'none' needs a start of 'zero', 'tied' or 'fixup'"):
        Net.model_validate(small_net("basic").model_dump() | {"norm": "none"})
    with pytest.raises(ValueError, match="widths 6 do not divide into norm groups of 4"):
        Net.model_validate(small_net("basic").model_dump() | {"norm": "group", "group": 4})
    with pytest.raises(ValueError, match="group=4 has no effect with norm 'batch'"):
        Net.model_validate(small_net("basic").model_dump() | {"group": 4})
    with pytest.raises(ValueError, match="a resbuilder branch cannot start at zero and learn"):
        Stage(width=6, blocks=(a_block("resbuilder"),), step=Step(start="zero"))
    with pytest.raises(ValueError, match="a momentum step of mix 1 never hears its branch"):
        Stage(width=6, blocks=(a_block("preact_basic", mix=1),), step=Step(kind="momentum"))
    with pytest.raises(ValueError, match="a plain step has no mix"):
        Stage(width=6, blocks=(a_block("basic", mix=0.5),))
    with pytest.raises(ValueError, match="head\\.join 'concat' needs a last stage of two streams"):
        small_net("basic", join="concat")
    with pytest.raises(ValueError, match=r"2 basic branch\(es\) of a parallel step have 2 hidden width"):
        Stage(width=6, blocks=(a_block("basic"),), step=Step(kind="parallel"))
