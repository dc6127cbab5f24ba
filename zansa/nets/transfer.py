"""transfer(state, net, edit) does to tensors, by their names, what apply(net, edit) does to the description.

Weights, weight averages and optimiser moments follow an edit differently. When a channel is copied with share a, layers
that write the channel keep their weights, and their gradients are multiplied by a; layers that read it multiply their
weights by a, and their gradients are copied. A norm on the channel counts as a writer. When weights are multiplied by c
and what their branch adds by q, their gradients are multiplied by q / c.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..arch.apply import apply
from ..arch.axes import group_of, groups_of
from ..arch.branches import BRANCHES
from ..arch.edits import AnyEdit, Delete, Insert, Merge, Regrid, Rekind, Remap, Split, Tie, Widen
from ..arch.lower import Row, Table, lower
from ..arch.spec import Net
from .build import CONV, Network, build, build_block
from .initial_weights import initialise, start_as_identity

State = dict[str, Tensor]
EPS = nn.BatchNorm2d(1).eps  # of every batch norm that is built
Role = Literal["weights", "first moment", "second moment"]
POWER = {"weights": 0, "first moment": 1, "second moment": 2}
MOMENTS: dict[str, Role] = {
    "momentum_buffer": "first moment",
    "exp_avg": "first moment",
    "exp_avg_sq": "second moment",
}


def edited(module: Network, edits: Sequence[AnyEdit], seed: int = 0) -> Network:
    """A copy of a network after these edits, one after the other, in evaluation mode, on its device and of its dtype.
    New weights of each edit are drawn by the seed."""
    net, state = module.net, module.state_dict()
    for edit in edits:
        generator = torch.Generator().manual_seed(seed)
        net, state = apply(net, edit), transfer(state, net, edit, generator=generator)
    changed = build(net).to(next(module.parameters()))
    changed.load_state_dict(state)
    return changed.eval()


def transfer(
    state: State, net: Net, edit: AnyEdit, role: Role = "weights", generator: torch.Generator | None = None
) -> State:
    """The tensors of `net` (the state dict of build(net), or part of it) for apply(net, edit).

    role: "weights" for weights and their averages; "first moment" or "second moment" for an optimiser's running mean
    of gradients or of their squares (a buffer into which weight decay was mixed follows as a gradient does: close,
    not exact). Weights of new blocks and channels come from `generator` (default: a new one of seed 0); their moments
    are zero.
    """
    after = apply(net, edit)
    match edit:
        case Remap():
            return _remapped(state, net, edit, role)
        case Widen():
            return _widened(state, lower(net), lower(after), role, generator)
        case Delete():
            return _shifted(state, edit.stage, edit.at, -1)
        case Insert():
            return _shifted(state, edit.stage, edit.at, 1) | _fresh(state, after, edit, role, generator)
        case Split():
            return _split(state, net, edit, role)
        case Merge():
            return _merged(state, net, after, edit, role)
        case Rekind():
            return _rekinded(state, net, after, edit, role, generator)
        case Regrid():
            return _regridded(state, net, edit, role)
        case Tie():
            return _tied(state, edit, role)
    return dict(state)


def transfer_optimizer(
    old: dict[int, dict[str, Tensor]], names: list[str], net: Net, edit: AnyEdit, new_names: list[str]
) -> dict[int, dict[str, Tensor]]:
    """The "state" of an optimiser's state dict after an edit. `names` and `new_names` are the parameters' names in the
    order in which the optimisers hold them. What is no moment (a step count) is copied."""
    moved: dict[int, dict[str, Tensor]] = {}
    counts: dict[str, Tensor] = {}
    for slot in sorted({slot for entry in old.values() for slot in entry}):
        values = {names[k]: entry[slot] for k, entry in old.items() if slot in entry}
        if slot not in MOMENTS:
            counts[slot] = next(iter(values.values()))
            continue
        values = transfer(values, net, edit, MOMENTS[slot])
        for k, name in enumerate(new_names):
            if name in values:
                moved.setdefault(k, {})[slot] = values[name]
    for entry in moved.values():  # parameters that have not been learned yet have none
        entry.update({slot: count.clone() for slot, count in counts.items()})
    return moved


def _shifted(state: State, stage: int, at: int, step: int) -> State:
    """The state with the blocks from index `at` of a stage on one index later (step 1) or earlier (step -1, block `at`
    is lost)."""
    moved = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[:2] == ["stages", str(stage)] and int(parts[2]) >= at:
            if step < 0 and int(parts[2]) == at:
                continue
            parts[2] = str(int(parts[2]) + step)
        moved[".".join(parts)] = value
    return moved


def _fresh(state: State, after: Net, edit: Insert | Rekind, role: Role, generator: torch.Generator | None) -> State:
    """The tensors of a fresh block that starts as the identity."""
    block = build_block(after, edit.stage, edit.at)
    initialise(block, generator or torch.Generator().manual_seed(0))
    start_as_identity(after, edit.stage, edit.at, block)
    tensors = block.state_dict() if role == "weights" else dict(block.named_parameters())
    like = next(value for value in state.values() if value.is_floating_point())
    fresh = {}
    for name, value in tensors.items():
        value = value.detach().to(like.device, like.dtype if value.is_floating_point() else value.dtype)
        fresh[f"stages.{edit.stage}.{edit.at}.{name}"] = value if role == "weights" else torch.zeros_like(value)
    return fresh


Plan = dict[str, tuple[Tensor, Tensor]]  # axis -> old channel of each new one, share of each new one


def _remapped(state: State, net: Net, edit: Remap, role: Role) -> State:
    table = lower(net)
    plan = _plan(table, edit)
    rows = {row.path: row for row in table.rows}
    return {
        name: _gathered(value, name, rows.get(name.rpartition(".")[0]), plan, table, role)
        for name, value in state.items()
    }


def _plan(table: Table, edit: Remap) -> Plan:
    groups, axes = group_of(table, edit.axis)
    size = table.width[edit.axis] // groups
    kept = edit.index if groups == 1 else groups_of(edit.index, size, edit.axis)
    given = edit.shares if groups == 1 or edit.shares is None else edit.shares[::size]
    shares = torch.tensor(given or [1 / kept.count(old) for old in kept], dtype=torch.float64)
    plan = {}
    for axis in axes:
        each = 1 if groups == 1 else table.width[axis] // groups
        index = (torch.tensor(kept)[:, None] * each + torch.arange(each)).flatten()
        plan[axis] = (index, shares.repeat_interleave(each))
    return plan


def _gathered(value: Tensor, name: str, row: Row | None, plan: Plan, table: Table, role: Role) -> Tensor:
    if row is None or value.ndim == 0:
        return value
    if row.op in ("conv", "norm", "bias", "linear") and row.y in plan:
        index, shares = plan[row.y]
        value = _along(value, 0, index, shares ** POWER[role])
    if row.op == "linear" and row.x in plan and name.endswith("weight"):
        index, shares = plan[row.x]
        index = torch.cat([index + k * table.width[row.x] for k in range(row.copies)])
        shares = shares.repeat(row.copies)
        return _along(value, 1, index, shares if role == "weights" else torch.ones_like(shares))
    if row.op == "conv" and row.x in plan and row.groups == 1:
        index, shares = plan[row.x]
        value = _along(value, 1, index, shares if role == "weights" else torch.ones_like(shares))
    return value


def _along(value: Tensor, dim: int, index: Tensor, factor: Tensor) -> Tensor:
    shape = [-1 if d == dim else 1 for d in range(value.ndim)]
    taken = value.index_select(dim, index.to(value.device))
    if bool((factor == 1).all()):
        return taken
    return taken * factor.to(value.device, value.dtype).reshape(shape)


def _widened(state: State, old: Table, new: Table, role: Role, generator: torch.Generator | None) -> State:
    """The tensors of layers that write or read a wider axis, with fresh entries that write and zeros that read."""
    generator = generator or torch.Generator().manual_seed(0)
    wide = dict(state)
    for row in new.rows:
        if row.module or (old.width[row.x], old.width[row.y]) == (new.width[row.x], new.width[row.y]):
            continue
        for name, fresh in _fresh_layer(row, new, generator).items():
            if (key := f"{row.path}.{name}") in state:
                value = state[key]
                fresh = fresh.to(value.device, value.dtype) * (role == "weights")
                wide[key] = _grown(value, fresh, row, old.width[row.x], new.width[row.x])
    return wide


def _fresh_layer(row: Row, table: Table, generator: torch.Generator) -> State:
    """The tensors of a layer as they are built; none where the row has no entry for every channel."""
    x, y = table.width[row.x], table.width[row.y]
    if row.op in ("norm", "bias"):
        one, zero = torch.ones(y), torch.zeros(y)
        return {"weight": one, "bias": zero, "running_mean": zero, "running_var": one}
    if row.op not in ("conv", "linear"):
        return {}
    layer = (
        nn.Linear(row.copies * x, y)
        if row.op == "linear"
        else CONV[len(row.size)](x, y, row.kernel, groups=row.groups, bias=False)
    )
    initialise(layer, generator)
    return {name: value.detach() for name, value in layer.named_parameters()}


def _grown(value: Tensor, fresh: Tensor, row: Row, old: int, new: int) -> Tensor:
    """`fresh` with the old entries in their places; zeros where it reads what is new of the axis x, old -> new."""
    if value.ndim > 1 and row.groups == 1 and new > old:
        columns = torch.cat([torch.arange(old) + k * new for k in range(row.copies)]).to(value.device)
        return torch.zeros_like(fresh).index_copy_(1, columns, value)
    return torch.cat([value, fresh[len(value) :]])


def _rows(net: Net, edit: Split | Merge | Rekind | Regrid) -> list[Row]:
    """The layers of the branches of the edit's block."""
    path = f"stages.{edit.stage}.{edit.at}.branch"
    return [row for row in lower(net).rows if row.path.startswith(path)]


def _last(rows: list[Row]) -> list[Row]:
    """The layers that a branch's values are in proportion to: its last norm, or its last convolution with the bias
    after it. A ReLU or a gate that follows them keeps the proportion."""
    layers = [row for row in rows if row.op in ("conv", "norm", "bias")]
    return layers[-2:] if layers[-1].op == "bias" else layers[-1:]


Factors = dict[str, Tensor | float]


def _scaled(state: State, factors: Factors, share: float, role: Role) -> State:
    """Weights times their factors (one number, or one for each channel), where what their branch adds becomes `share`
    of what it was; moments are scaled as their gradients."""
    scaled = {}
    for name, value in state.items():
        factor = torch.as_tensor(factors.get(name, 1.0), dtype=torch.float64, device=value.device)
        factor = factor if role == "weights" else (share / factor) ** POWER[role]
        scaled[name] = value if bool((factor == 1).all()) else value * _of_channels(factor, value)
    return scaled


def _of_channels(factor: Tensor, value: Tensor) -> Tensor:
    """A factor, or one for each output channel, in the shape that multiplies `value`."""
    return factor.to(value.dtype).reshape(-1, *[1] * (value.ndim - 1)) if factor.ndim else factor.to(value.dtype)


def _lengthened(net: Net, edit: Split | Regrid, factor: float) -> Factors:
    """Factors of the weights of the edit's block with which its branch gives so many times as much. A gate, which reads
    what is multiplied, reads it as before."""
    rows = _rows(net, edit)
    scalars = [row for row in rows if row.op == "scale"]
    factors = _named(scalars or _last(rows), factor)
    if not scalars:
        factors |= {f"{row.path}.weight": 1 / factor for row in rows if row.op == "linear" and row.x == rows[-1].y}
    return factors


def _split(state: State, net: Net, edit: Split, role: Role) -> State:
    """Two copies of a block whose branch gives half."""
    factors = _lengthened(net, edit, 0.5)
    path, next_path = (f"stages.{edit.stage}.{edit.at + k}." for k in (0, 1))
    half = _scaled({name: value for name, value in state.items() if name.startswith(path)}, factors, 0.5, role)
    copy = {next_path + name.removeprefix(path): value.clone() for name, value in half.items()}
    return _shifted(state, edit.stage, edit.at + 1, 1) | half | copy


def _regridded(state: State, net: Net, edit: Regrid, role: Role) -> State:
    """Weights as functions of depth, taken anew; statistics of norms likewise."""
    share = edit.count / edit.blocks
    factors = _lengthened(net, edit, share)
    paths = [f"stages.{edit.stage}.{edit.at + k}." for k in range(max(edit.count, edit.blocks))]
    old = [{n.removeprefix(path): v for n, v in state.items() if n.startswith(path)} for path in paths[: edit.count]]
    rest = state
    for _ in range(edit.count):
        rest = _shifted(rest, edit.stage, edit.at, -1)
    for _ in range(edit.blocks):
        rest = _shifted(rest, edit.stage, edit.at, 1)
    new: State = {}
    for path, parts in zip(paths, resampling(edit.count, edit.blocks, edit.basis).tolist(), strict=False):
        nearest = old[parts.index(max(parts))]
        block = {
            paths[0] + name: sum((part * each[name] for part, each in zip(parts, old, strict=True) if part), 0 * value)
            if value.is_floating_point()
            else value.clone()
            for name, value in nearest.items()
            if all(name in each for each in old)  # moments of blocks that have not learned yet are not there
        }
        new |= {path + n.removeprefix(paths[0]): v for n, v in _scaled(block, factors, share, role).items()}
    return dict(rest) | new


def resampling(count: int, blocks: int, basis: str) -> Tensor:  # -> blocks count
    """How much each old step has a part in each new one; the parts of a new step sum to 1 (see edits.Regrid)."""
    old, new = torch.arange(count, dtype=torch.float64), torch.arange(blocks, dtype=torch.float64)[:, None]
    if basis == "linear":
        middle = ((new + 0.5) * count / blocks - 0.5).clamp(0, count - 1)  # of the new steps, in old steps
        return (1 - (middle - old).abs()).clamp_min(0)
    begin, end = new * count / blocks, (new + 1) * count / blocks
    overlap = (torch.minimum(end, old + 1) - torch.maximum(begin, old)).clamp_min(0)
    return overlap / overlap.sum(1, keepdim=True)


def _tied(state: State, edit: Tie, role: Role) -> State:
    """Two blocks as one with the weights of one or the mean of both; its gradients are the sums of theirs."""
    path, next_path = (f"stages.{edit.stage}.{edit.at + k}." for k in (0, 1))
    keep = edit.keep if role == "weights" else "sum"
    tied = {}
    for name, first in state.items():
        second = state.get(next_path + name.removeprefix(path)) if name.startswith(path) else None
        if second is not None:
            both = {"first": first, "second": second, "sum": first + second}
            tied[name] = both.get(keep, first if not first.is_floating_point() else (first + second) / 2)
    return _shifted(state, edit.stage, edit.at + 1, -1) | tied


def _rekinded(state: State, net: Net, after: Net, edit: Rekind, role: Role, generator: torch.Generator | None) -> State:
    """A gate comes or goes. A gate that comes is one half everywhere, after a layer that gives twice as much; its last
    weights are zero and the others fresh. When a gate goes, the layer before it is multiplied by what the gate makes of
    that layer's shift, which is the mean after a batch norm. Moments follow as if every gate were one half."""
    comes = BRANCHES[edit.block.kind].gated
    factors: Factors = {}
    for rows in _branches(_rows(net, edit)):
        factor = 2.0 if comes else _gate(state, rows, net.act) if role == "weights" else 0.5
        factors |= _named(_last(rows), factor)
    gone = _named([row for row in _rows(net, edit) if row.op == "linear"])
    kept = _scaled({name: value for name, value in state.items() if name not in gone}, factors, 1.0, role)
    if not comes:
        return kept
    fresh = _fresh(state, after, edit, role, generator)
    for rows in _branches(_rows(after, edit)):
        layers = [row for row in rows if row.op == "linear"]
        kept |= {name: fresh[name] for name in _named(layers)}
        kept |= {name: torch.zeros_like(fresh[name]) for name in _named(layers[-1:])}
    return kept


def _gate(state: State, rows: list[Row], act: str) -> Tensor:
    """The value of a branch's gate where the means that it reads are the shift of the layer before it."""
    value = state[f"{_last(rows)[-1].path}.bias"]
    down, up = (row.path for row in rows if row.op == "linear")
    value = getattr(functional, act)(functional.linear(value, state[f"{down}.weight"], state[f"{down}.bias"]))
    return torch.sigmoid(functional.linear(value, state[f"{up}.weight"], state[f"{up}.bias"]))


def _merged(state: State, net: Net, after: Net, edit: Merge, role: Role) -> State:
    """Two blocks as one whose branch is the sum of theirs, exactly so in evaluation mode. Moments of inner layers are
    copied. Those of the last norm and scalar are averaged, as gradients would be if the last layers were not folded."""
    paths = [f"stages.{edit.stage}.{edit.at + k}." for k in (0, 1)]
    first, second = (
        {name.removeprefix(path): value for name, value in state.items() if name.startswith(path)} for path in paths
    )
    rows = {row.path.removeprefix(paths[0]): row for row in _rows(net, edit)}
    groups = after.stages[edit.stage].blocks[edit.at].groups_of(0)
    joined = {
        name: _joined(value, second[name], rows[name.rpartition(".")[0]], groups)
        for name, value in first.items()
        if name in second
    }
    if role == "weights" and joined:
        joined |= _folded((first, second), list(rows.values()), paths[0])
    rest = {
        name: value
        for name, value in _shifted(state, edit.stage, edit.at + 1, -1).items()
        if not name.startswith(paths[0])
    }
    return rest | {paths[0] + name: value for name, value in joined.items()}


def _joined(first: Tensor, second: Tensor, row: Row, groups: int) -> Tensor:
    """A layer of two branches side by side. Outputs follow one another where they are hidden, and so do inputs. Where
    each branch has a value for the stream, it is their mean."""
    reads, writes = ("hidden" in axis for axis in (row.x, row.y))
    if not first.is_floating_point():
        return first  # a count
    if not writes:
        return torch.cat([first, second], 1) if row.op == "conv" else (first + second) / 2
    if not (row.op == "conv" and reads and groups == 1):
        return torch.cat([first, second])
    (n, m), (k, p) = first.shape[:2], second.shape[:2]
    wide = first.new_zeros(n + k, m + p, *first.shape[2:])
    wide[:n, :m], wide[n:, m:] = first, second
    return wide


def _folded(blocks: tuple[State, State], rows: list[Row], prefix: str) -> State:
    """The last layers of merged branches. Norms are folded into the last convolutions as they are in evaluation mode,
    in each channel in proportion to the larger one, so that one of the two keeps the size of its weights. The new norm
    has the statistics of the sum of two independent branches. Scalars are folded likewise."""
    conv, last = (
        [row for row in rows if row.op in ops][-1].path.removeprefix(prefix) for ops in (("conv",), ("norm", "bias"))
    )

    def both(name: str) -> Tensor:
        return torch.stack([block[name].double() for block in blocks])

    scalars = both("branch.scale.weight") if rows[-1].op == "scale" else both(f"{last}.bias").new_ones(2)
    shares, scalar = _in_proportion(scalars)
    ratios = shares[:, None].expand_as(both(f"{last}.bias"))
    folded = {"branch.scale.weight": scalar, f"{last}.bias": (ratios * both(f"{last}.bias")).sum(0)}
    if f"{last}.running_var" in blocks[0]:
        ratios, gain = _in_proportion(ratios * both(f"{last}.weight") / (both(f"{last}.running_var") + EPS).sqrt())
        variance = (ratios**2 * both(f"{last}.running_var")).sum(0)
        folded |= {
            f"{last}.running_mean": (ratios * both(f"{last}.running_mean")).sum(0),
            f"{last}.running_var": variance,
            f"{last}.weight": gain * (variance + EPS).sqrt(),
        }
    weights = [block[f"{conv}.weight"] for block in blocks]
    folded[f"{conv}.weight"] = torch.cat([w * _of_channels(r, w) for w, r in zip(weights, ratios, strict=True)], 1)
    return {name: value.to(blocks[0][name].dtype) for name, value in folded.items() if name in blocks[0]}


def _in_proportion(values: Tensor) -> tuple[Tensor, Tensor]:  # 2 ... -> 2 ..., ...
    """Two values as shares of the larger size, and that size; both shares are one where both values are zero."""
    largest = values.abs().amax(0)
    return torch.where(largest > 0, values / largest, 1.0), largest


def _branches(rows: list[Row]) -> list[list[Row]]:
    """Rows by the branch that they belong to."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row.path.split(".")[3])]


def _named(rows: list[Row], factor: Tensor | float = 1.0) -> Factors:
    """The factor by the names of the weights and shifts of these layers."""
    return {f"{row.path}.{name}": factor for row in rows for name in ("weight", "bias")}
