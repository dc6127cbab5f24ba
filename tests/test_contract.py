"""Every kind × every law: a new kind is tested by being in the dict."""

import copy
import json
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
import torch
from laws import ALL, KINDS, REFUSED, a_block, another_block, images_for, mobile_net, small_net, trained
from torch.utils.flop_counter import FlopCounterMode

from zansa.arch.apply import apply, inexact
from zansa.arch.axes import remappable, unit_of
from zansa.arch.branches import BRANCHES
from zansa.arch.cost import cost
from zansa.arch.edits import GATED, Delete, Insert, Merge, Mix, Rekind, Remap, Split, Widen, edit_from_dict
from zansa.arch.lower import lower
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.arch.steps import STEPS
from zansa.arch.use import Preprocess
from zansa.deploy.export import export
from zansa.nets.build import build
from zansa.nets.files import Model, load, save
from zansa.nets.transfer import transfer, transfer_optimizer

ROWS = [(*row, dims) for row in KINDS for dims in (2, 1)]
PLAIN = {"-".join(map(str, row)) + "d": small_net(*row) for row in ROWS}
PLAIN |= {f"{kind}-3d": small_net(kind, dims=3) for kind in BRANCHES}
PLAIN |= {f"{kind}-scaled-2d": small_net(kind, scale=True) for kind in BRANCHES}
SPECIAL = {
    "basic-pad": small_net("basic", shortcut="pad"),
    "preact_basic-conv": small_net("preact_basic", shortcut="conv"),
    "basic-average": small_net("basic", shortcut="average", deep=(4, 2)),
    "basic-none": small_net("basic", "merge_and_run", shortcut="none", join="concat"),
    "basic-both-concat": small_net("basic", "merge_and_run", pool="both", join="concat"),
    "bottleneck-grouped": small_net("bottleneck", groups=2),
    "bottleneck-grouped-twice": small_net("bottleneck", "parallel", groups=2),
    "bottleneck-grouped-group": small_net("bottleneck", norm="group", groups=4),
    "preact_bottleneck-grouped-scaled": small_net("preact_bottleneck", scale=True, groups=2),
    "preact_basic-fixup": small_net("preact_basic", norm="none", start="fixup"),
    "basic-gelu": small_net("basic", act="gelu"),
    "inverted5-mobile": mobile_net(),
    "preact_basic-silu": small_net("preact_basic", act="silu"),
    "basic-both-pools": small_net("basic", pool="both"),
    "basic-contrast-1d": small_net("basic", dims=1, contrast=9),
    "basic-contrast-2d": small_net("basic", contrast=9),
    "basic-contrast-3d": small_net("basic", dims=3, contrast=9),
}
NETS = PLAIN | SPECIAL


def pairs_of(row: tuple) -> set:
    return set(combinations(enumerate(row), 2))


def all_pairs(rows: list[tuple]) -> list[tuple]:
    """So few of the rows that whatever two values stand together in one of them stand together in one of these."""
    left, kept = set().union(*map(pairs_of, rows)), []
    while left:
        kept.append(max(rows, key=lambda row: len(left & pairs_of(row))))
        left -= pairs_of(kept[-1])
    return kept


# Every law is kept to every two of branch, step, norm and dimensions together, and to all that is special. Whether the
# threes and fours fit together at all is asked of every network by the laws of cost and of JSON.
SOME = {name: net for row, (name, net) in zip(ROWS, PLAIN.items(), strict=False) if row in all_pairs(ROWS)}
SOME |= {name: net for name, net in PLAIN.items() if name.endswith(("-3d", "-scaled-2d"))} | SPECIAL
some_nets = pytest.mark.parametrize("net", SOME.values(), ids=SOME.keys())
every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


def edits_of(net: Net) -> list:
    edits = [
        Insert(stage=0, at=1, block=another_block(net, 0)),
        Insert(stage=1, at=1, block=another_block(net, 1)),
        Delete(stage=0, at=1),
    ]
    mixes = STEPS[net.stages[0].step.kind].mix is not None
    if mixes:
        edits += [Insert(stage=0, at=1, block=another_block(net, 0, mix=0)), Mix(stage=0, at=1, mix=0.25)]
    edits += _edits_of_blocks(net)
    for axis, width in remappable(net).items():
        size = unit_of(lower(net), axis)
        count = width // size
        backwards = tuple(reversed(range(count)))
        widths_stay = _groups_are_shared(net, axis)
        # permute and widen: three copies of one, one of the others; narrow
        for order in (backwards,) if widths_stay else ((*backwards, 0, 0), tuple(range(count - 1))):
            if not order:
                continue
            edits.append(Remap(axis=axis, index=tuple(size * g + k for g in order for k in range(size))))
        if not widths_stay and "block1" not in axis:  # whose axes are as those of block 0
            edits.append(Widen(axis=axis, count=2 * size))
    return edits


def _edits_of_blocks(net: Net) -> list:
    """Splits, merges and changes of kind, where the network can carry them."""
    stage = net.stages[0]
    block = stage.blocks[1]
    branch, plain = BRANCHES[block.kind], stage.step.kind == "plain"
    edits = [Rekind(stage=k, at=0, block=other) for k in (0, 1) if (other := _gated(net, k))]
    if plain and (net.act == "relu" or not branch.after):
        edits.append(Split(stage=0, at=1))
    if plain and not (branch.starts_with_norm or branch.gated or net.norm == "group"):
        edits.append(Merge(stage=0, at=0))
    return edits


def _gated(net: Net, stage: int) -> Block | None:
    """The first block of a stage with its gates, or without."""
    block = net.stages[stage].blocks[0]
    if block.kind in GATED:
        count = BRANCHES[block.kind].hidden
        hidden = [(*block.hidden[k : k + count], 3) for k in range(0, len(block.hidden), count)]
        return block.but({"kind": GATED[block.kind], "hidden": tuple(w for widths in hidden for w in widths)})
    bare = {gated: kind for kind, gated in GATED.items()}.get(block.kind)
    return block.but({"kind": bare, "hidden": block.convolved}) if bare else None


def _groups_are_shared(net: Net, axis: str) -> bool:
    return net.stages[0].blocks[0].groups > 1 and STEPS[net.stages[0].step.kind].branches > 1 and "hidden" in axis


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).abs().max() / a.abs().max()).item()


def test_all_pairs_are_kept():
    kept = all_pairs(ROWS)
    assert set().union(*map(pairs_of, kept)) == set().union(*map(pairs_of, ROWS))
    assert len(kept) < len(ROWS) / 4
    assert {f"{'-'.join(map(str, row))}d" for row in kept} <= SOME.keys() <= NETS.keys()


def test_json_round_trip():
    for name, net in NETS.items():
        again = Net.from_json(net.to_json())
        assert again == net, name
        assert hash(again) == hash(net), name


@every_net
def test_cost_and_rows_are_those_of_the_modules(net):
    module = build(net).eval()
    assert cost(net).params == sum(p.numel() for p in module.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images_for(net, count=1).float())
    assert 2 * cost(net).macs == counter.get_total_flops()
    for row in lower(net).rows:
        if row.op != "add":
            module.get_submodule(row.module or row.path)


@some_nets
def test_training_bytes_are_what_autograd_keeps(net):
    module, batch = build(net).train(), 5
    weights = {p.untyped_storage().data_ptr() for p in (*module.parameters(), *module.buffers())}
    kept = {}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in weights and tensor.ndim > 1 and len(tensor) == batch:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module(images_for(net, count=batch).float())
    assert result.requires_grad
    assert cost(net, batch).train_bytes == pytest.approx(sum(kept.values()), rel=0.03)


@some_nets
def test_save_is_load(net, tmp_path):
    module = trained(build(net)).float()
    classes = ("a", "b", "c")
    model = Model(net, module, classes, Preprocess(channels=2, size=(9, 11)))
    save(tmp_path / "m.safetensors", model)
    save(tmp_path / "again.safetensors", model)
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    again = load(tmp_path / "m.safetensors")
    assert (again.net, again.classes) == (net, classes)
    x = images_for(net).float()
    assert torch.equal(again.module(x), module(x))


@some_nets
def test_transfer_fits_strictly_edits_do_as_declared_and_moments_follow(net):
    module, x, target = trained(build(net)), images_for(net), torch.tensor([0, 1, 2])
    before, first = answers_and_gradients(module, x, target)
    changes = []
    for edit in edits_of(net):
        edited = build(apply(net, edit)).double().eval()
        edited.load_state_dict(transfer(module.state_dict(), net, edit), strict=True)
        exact = not inexact(net, edit)
        if exact and isinstance(edit, Remap | Widen):
            after, second = answers_and_gradients(edited, x, target)
            moments_follow(net, edit, first, second)
        else:
            with torch.no_grad():
                after = edited(x)
        if exact:
            assert difference(before, after) <= 1e-12, edit
        else:  # a channel or a gate may be dead, but not every channel
            changes.append((difference(before, after), edit))
    assert all(change > 1e-6 for change, edit in changes if not isinstance(edit, Remap | Rekind)), changes
    assert any(change > 1e-6 for change, edit in changes if isinstance(edit, Remap))


def answers_and_gradients(module, x, target):
    answers = module(x)
    torch.nn.functional.cross_entropy(answers, target).backward()
    return answers.detach(), {name: p.grad for name, p in module.named_parameters()}


def moments_follow(net, edit, first, second):
    """The oracle of the transfer of moments: the gradient behind an exact edit of channels is the edited gradient.
    Behind a Widen only of the entries that were there: layers that read new channels with zeros begin to learn."""
    moved = transfer(first, net, edit, "first moment")
    scale = max(float(value.abs().max()) for value in second.values())
    if isinstance(edit, Widen):
        old = transfer({name: torch.ones_like(value) for name, value in first.items()}, net, edit, "first moment")
        assert {float(value) for mask in old.values() for value in mask.unique()} == {0, 1}
        second = {name: old[name] * value for name, value in second.items()}
    for name in second:
        assert float((moved[name] - second[name]).abs().max()) <= 1e-11 * scale, (edit, name)
    squared = transfer({n: g**2 for n, g in first.items()}, net, edit, "second moment")
    assert all(torch.allclose(squared[name], second[name] ** 2, atol=1e-18) for name in second)


@pytest.mark.parametrize("make", [torch.optim.AdamW, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True)])
@pytest.mark.parametrize(
    "name", ["basic-plain-batch-2d", "preact_bottleneck-scaled-2d", "se_basic-merge_and_run-batch-2d"]
)
def test_an_optimiser_goes_on_behind_a_permutation_as_if_nothing_had_been(name, make):
    """Two steps, a permutation of every axis, two steps; against four steps and then the permutation."""
    net = NETS[name]
    x, target = images_for(net), torch.tensor([0, 1, 2])
    edits = [Remap(axis=axis, index=tuple(reversed(range(width)))) for axis, width in remappable(net).items()]

    def steps(module, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x), target).backward()
            optimizer.step()

    module = trained(build(net))
    optimizer = make(module.parameters(), lr=0.01)
    steps(module, optimizer, 2)
    state, held = copy.deepcopy((module.state_dict(), optimizer.state_dict()["state"]))
    names = [key for key, _ in module.named_parameters()]
    for edit in edits:
        held = transfer_optimizer(held, names, net, edit, names)
        state = transfer(state, net, edit)
    edited = build(net).double().eval()
    edited.load_state_dict(state)
    other = make(edited.parameters(), lr=0.01)
    other.load_state_dict({**other.state_dict(), "state": held})
    steps(edited, other, 2)
    steps(module, optimizer, 2)
    expected = module.state_dict()
    for edit in edits:
        expected = transfer(expected, net, edit)
    assert all(torch.allclose(value, expected[key], rtol=1e-10) for key, value in edited.state_dict().items())


def test_parameters_that_have_not_learned_have_no_state_behind_an_edit():
    net = NETS["basic-plain-batch-2d"]
    module = build(net)
    module.stem.requires_grad_(False)
    optimizer = torch.optim.AdamW(module.parameters())
    module(images_for(net).float()).sum().backward()
    optimizer.step()
    names = [key for key, _ in module.named_parameters()]
    edit = Delete(stage=0, at=1)
    edited = build(apply(net, edit))
    new_names = [key for key, _ in edited.named_parameters()]
    held = transfer_optimizer(optimizer.state_dict()["state"], names, net, edit, new_names)
    assert {new_names[k] for k in range(len(new_names))} - {new_names[k] for k in held} == {
        name for name in new_names if name.startswith("stem.")
    }
    other = torch.optim.AdamW(edited.parameters())
    other.load_state_dict({**other.state_dict(), "state": held})
    edited(images_for(net).float()).sum().backward()
    other.step()


def test_an_inserted_block_has_an_optimiser_state_of_zeros():
    net = NETS["basic-plain-batch-2d"]
    module = build(net)
    optimizer = torch.optim.AdamW(module.parameters())
    module(images_for(net).float()).sum().backward()
    optimizer.step()
    edit = Insert(stage=0, at=1, block=a_block("basic"))
    names = [key for key, _ in module.named_parameters()]
    new_names = [key for key, _ in build(apply(net, edit)).named_parameters()]
    held = transfer_optimizer(optimizer.state_dict()["state"], names, net, edit, new_names)
    fresh = new_names.index("stages.0.1.branch.conv1.weight")
    moved = held[new_names.index("stages.0.2.branch.conv1.weight")]
    assert not held[fresh]["exp_avg"].any()
    before = optimizer.state_dict()["state"][names.index("stages.0.1.branch.conv1.weight")]
    assert torch.equal(moved["exp_avg_sq"], before["exp_avg_sq"])
    assert held.keys() == set(range(len(new_names)))


def composite(*stages: Stage, **more) -> Net:
    parts = {"stem": Stem(width=6), "head": Head(classes=3), **more}
    return Net(input=Input(channels=1, size=(9, 11)), stages=stages, **parts)


def every_branch(how: Step, **more) -> Net:
    """All kinds of branches in one stage, and behind a projection those that take groups, wider."""
    wide = [a_block(kind, groups=2) for kind, branch in BRANCHES.items() if branch.grouped]
    stages = (
        Stage(width=6, blocks=tuple(map(a_block, BRANCHES)), step=how),
        Stage(width=8, stride=2, shortcut="project", blocks=tuple(wide), step=how),
    )
    return composite(*stages, head=Head(classes=3, act=True), **more)


def every_step(kind: str, repeats: bool = False, **more) -> Net:
    """A stage of two blocks of every step that this branch can take."""
    after = BRANCHES[kind].after
    steps = [name for name, step in STEPS.items() if step.repeats == repeats and (step.after or not after)]
    stages = [Stage(width=6, blocks=(a_block(kind, step),) * 2, step=Step(kind=step)) for step in steps]
    return composite(*stages, head=Head(classes=3, act=not after), **more)


def every_shortcut(*kinds: str) -> Net:
    """A wider stage behind each of these shortcuts."""
    block = a_block("basic")
    stages = [Stage(width=6 + 2 * k, stride=1 + k % 2, shortcut=kind, blocks=(block,)) for k, kind in enumerate(kinds)]
    return composite(*stages, stem=Stem(width=6, deep=(4, 2), contrast=9), head=Head(classes=3, pool="both"))


# what a file must be able to say, in few files, since an export takes seconds: every branch with every norm and
# activation, every step, every shortcut, stem and head. Dimensions: test_series.py exports signals and sequences
EXPORTED = {
    "branches-batch-relu": every_branch(Step()),
    "branches-group-gelu": every_branch(Step(h=0.5), norm="group", group=2, act="gelu"),
    "branches-none-silu": every_branch(Step(scale=True, start="fixup"), norm="none", act="silu"),
    "steps-basic": every_step("basic"),
    "steps-preact": every_step("preact_basic"),
    "steps-repeated": every_step("preact_basic", repeats=True, norm="group", group=2),
    "shortcuts": every_shortcut("pad", "conv", "average", "project", "none"),
    "mobile": mobile_net(channels=1),
    "two-streams-concat": small_net("basic", "merge_and_run", shortcut="none", pool="both", join="concat"),
}


def telling(module: torch.nn.Module, x: torch.Tensor) -> torch.nn.Module:
    """The module with a last layer whose answers differ from image to image, so that a comparison means something."""
    last = module.head.linear
    with torch.no_grad():
        last.bias.zero_()
        last.weight.div_(module(x).std(0).mean())
        last.bias.sub_(module(x).mean(0))
        assert float(module(x).softmax(1).std(0).mean()) > 0.05
    return module


@pytest.mark.parametrize("net", EXPORTED.values(), ids=EXPORTED.keys())
def test_export_is_eager(net, tmp_path):
    """The exported file answers as the module does; the gate inside compares them on these images."""
    preprocess = Preprocess(channels=1, size=net.input.size, mean=(120.0,), std=(60.0,))
    net = net.model_copy(update={"input": net.input.model_copy(update={"channels": 1})})
    images = [np.random.default_rng(seed).integers(0, 256, (13, 17, 1), dtype=np.uint8) for seed in range(5)]
    module = telling(trained(build(net)).float(), images_for(net, count=16).float())
    model = Model(net, module, ("a", "b", "c"), preprocess)
    assert export(model, tmp_path / "m.onnx", images, 1e-5)["same_class"] == 5


def test_what_can_be_exported_is_exported():
    """A new branch, step, norm, activation, shortcut, pool or join is exported above."""
    nets = EXPORTED.values()
    stages = [stage for net in nets for stage in net.stages]
    assert {block.kind for stage in stages for block in stage.blocks} == set(BRANCHES)
    assert {stage.step.kind for stage in stages} == set(STEPS)
    assert {stage.shortcut for stage in stages} == set(get_args(Stage.model_fields["shortcut"].annotation))
    for field in ("norm", "act"):
        assert {getattr(net, field) for net in nets} == set(get_args(Net.model_fields[field].annotation))
    assert {net.padding for net in nets} == set(get_args(Net.model_fields["padding"].annotation))
    assert {net.head.join for net in nets} == set(get_args(Head.model_fields["join"].annotation))


@some_nets
def test_delete_undoes_insert(net):
    module = trained(build(net))
    insert = Insert(stage=0, at=1, block=another_block(net, 0))
    delete = Delete(stage=0, at=1)
    wide = transfer(module.state_dict(), net, insert)
    assert apply(apply(net, insert), delete) == net
    back = transfer(wide, apply(net, insert), delete)
    assert back.keys() == module.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in module.state_dict().items())


@some_nets
def test_replay_gives_the_final_net(net):
    journal, final = [], net
    for edit in edits_of(net):
        try:
            final = apply(final, edit)
        except ValueError:
            continue  # an earlier edit took the channels that this one names
        journal.append(json.dumps(edit.model_dump(mode="json")))
    replayed = net
    for line in journal:
        replayed = apply(replayed, edit_from_dict(json.loads(line)))
    assert replayed == final
    assert len(journal) >= 4


@some_nets
def test_identity_start_really_trains(net):
    """A block inserted as the identity gets a gradient, so it can leave the identity."""
    module, x = trained(build(net)), images_for(net)
    edit = Insert(stage=0, at=1, block=another_block(net, 0))
    edited = build(apply(net, edit)).double()
    edited.load_state_dict(transfer(module.state_dict(), net, edit))
    edited(x).square().sum().backward()
    assert max(float(p.grad.abs().max()) for p in edited.stages[0][1].parameters()) > 1e-6


@pytest.mark.parametrize(("kind", "step", "norm"), REFUSED)
def test_what_the_grammar_cannot_carry_is_refused(kind, step, norm):
    reason = rf"a {kind} block has an activation .* which a {step} step cannot carry|calls its branch twice"
    with pytest.raises(ValueError, match=reason):
        small_net(kind, step, norm)
    assert len(KINDS) + len(REFUSED) == len(ALL)
