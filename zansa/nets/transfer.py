"""transfer(state, net, edit) -> state: what apply(net, edit) does to the description, done to tensors by name.

Weights, weight averages and optimiser moments follow an edit differently: when a channel is copied with share a,
layers that write the channel keep their weights, and their gradients are multiplied by a; layers that read it
multiply their weights by a, and their gradients are copied. A norm on the channel counts as a writer.
"""

from typing import Literal

import torch
from torch import Tensor

from ..arch.edits import AnyEdit, Delete, Insert, Remap, apply, group_of, groups_of
from ..arch.lower import Row, Table, lower
from ..arch.spec import Net
from .build import build_block
from .start import initialise, start_as_identity

State = dict[str, Tensor]
Role = Literal["weights", "first moment", "second moment"]
POWER = {"weights": 0, "first moment": 1, "second moment": 2}
MOMENTS: dict[str, Role] = {
    "momentum_buffer": "first moment",
    "exp_avg": "first moment",
    "exp_avg_sq": "second moment",
}


def transfer(state: State, net: Net, edit: AnyEdit, role: Role = "weights",
             generator: torch.Generator | None = None) -> State:  # fmt: skip
    """The tensors of `net` (the state dict of build(net), or part of it) for apply(net, edit).

    role: "weights" for weights and their averages; "first moment" or "second moment" for an optimiser's running mean
    of gradients or of their squares (a buffer into which weight decay was mixed follows as a gradient does: close,
    not exact). A new block's weights come from `generator` (default: a new one of seed 0); its moments are zero.
    """
    after = apply(net, edit)
    if isinstance(edit, Remap):
        return _remapped(state, net, edit, role)
    if isinstance(edit, Delete):
        return _shifted(state, edit.stage, edit.at, -1)
    if isinstance(edit, Insert):
        return _shifted(state, edit.stage, edit.at, 1) | _fresh(state, after, edit, role, generator)
    return dict(state)


def transfer_optimizer(old: dict[int, dict[str, Tensor]], names: list[str], net: Net, edit: AnyEdit,
                       new_names: list[str]) -> dict[int, dict[str, Tensor]]:  # fmt: skip
    """The "state" of an optimiser's state dict behind an edit; `names` and `new_names` are the parameters' names in
    the order in which the optimisers hold them. What is no moment (a step count) is copied."""
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
    """Blocks behind `at` of a stage move one place on (step 1) or back (step -1, block `at` is lost)."""
    moved = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[:2] == ["stages", str(stage)] and int(parts[2]) >= at:
            if step < 0 and int(parts[2]) == at:
                continue
            parts[2] = str(int(parts[2]) + step)
        moved[".".join(parts)] = value
    return moved


def _fresh(state: State, after: Net, edit: Insert, role: Role, generator: torch.Generator | None) -> State:
    """The tensors of an inserted block that starts as the identity."""
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
    return {name: _gathered(value, name, rows.get(name.rpartition(".")[0]), plan, table, role)
            for name, value in state.items()}  # fmt: skip


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
