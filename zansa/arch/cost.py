"""What a network costs, read from its table: no tensors are made. The unit of work is the multiply-add (MAC)."""

from dataclasses import dataclass
from math import prod

from .lower import Row, Table, lower
from .spec import Net


@dataclass(frozen=True)
class Cost:
    """macs: multiply-adds of convolutions and linear layers for one image; params: learned numbers;
    depth: weighted layers on the longest path; activations in bytes for the whole batch: `train_bytes` kept for the
    backward pass, `infer_bytes` alive at once at the worst moment of inference."""

    macs: int
    params: int
    depth: int
    train_bytes: int
    infer_bytes: int
    batch: int


def cost(net: Net, batch: int = 1, bytes_per_value: int = 4) -> Cost:
    """The cost of a network for a batch of images of its input size."""
    table = lower(net)
    each = batch * bytes_per_value
    return Cost(
        macs=sum(row_macs(row, table) for row in table.rows),
        params=sum(row_params(row, table) for row in table.rows),
        depth=_depth(table),
        train_bytes=_kept_values(table) * each + _index_bytes(table) * batch,
        infer_bytes=_alive_values(table) * each,
        batch=batch,
    )


def row_macs(row: Row, table: Table) -> int:
    """Multiply-adds of one layer for one image."""
    x, y = table.width[row.x], table.width[row.y]
    if row.op == "conv":
        return _weights(row, x) * y * prod(row.size)
    return row.copies * x * y if row.op == "linear" else 0


def row_params(row: Row, table: Table) -> int:
    """Learned numbers of one layer; none where its module is another row's."""
    x, y = table.width[row.x], table.width[row.y]
    if row.module:
        return 0
    match row.op:
        case "conv":
            return _weights(row, x) * y
        case "linear":
            return (row.copies * x + 1) * y
        case "norm":
            return 2 * y
        case "bias":
            return y
    return int(row.op == "scale")


def _weights(row: Row, width: int) -> int:
    return prod([row.kernel] * len(row.size)) * (width // row.groups)


def _depth(table: Table) -> int:
    """Weighted layers on the longest path from the input."""
    depth = {"input": 0}
    for row in table.rows:
        depth[row.path] = max(depth[path] for path in row.reads) + (row.op in ("conv", "linear"))
    return max(depth.values())


def _values(table: Table) -> dict[str, int]:
    """How many values each tensor has, by the path of the row that writes it."""
    first = table.rows[0]
    sizes = {row.path: row.copies * table.width[row.y] * prod(row.size) for row in table.rows if row.op != "linear"}
    linear = {row.path: table.width[row.y] for row in table.rows if row.op == "linear"}
    return {"input": table.width[first.x] * prod(first.size_in)} | sizes | linear


def _kept_values(table: Table) -> int:
    """Values that a backward pass needs, each tensor once: what weighted layers, norms, products and max pools read,
    and what activations write (those that are no ReLU or sigmoid: what they read)."""
    kept: set[str] = set()
    for row in table.rows:
        if row.op == "act" and row.kind in ("relu", "sigmoid"):
            kept.add(row.path)
        elif row.op in ("conv", "norm", "linear", "scale", "times", "act", "pool") or (
            row.op == "globalpool" and row.kind != "average"
        ):
            kept.update(row.reads)
    values = _values(table)
    moments = sum(2 * row.groups for row in table.rows if row.kind == "group")  # of every group of every image
    return sum(values[path] for path in kept) + moments


def _index_bytes(table: Table) -> int:
    """A max pool keeps where each maximum stood, in 8 bytes."""
    pools = [row for row in table.rows if row.op == "pool" and row.kind == "max"]
    return sum(8 * table.width[row.y] * prod(row.size) for row in pools)


def _alive_values(table: Table) -> int:
    """The most values alive at once when each tensor is freed behind its last reader."""
    values = _values(table)
    last = {path: k for k, row in enumerate(table.rows) for path in row.reads}
    alive, worst = {"input"}, 0
    for k, row in enumerate(table.rows):
        alive.add(row.path)
        worst = max(worst, sum(values[path] for path in alive))
        alive = {path for path in alive if last.get(path, k + 1) > k}
    return worst
