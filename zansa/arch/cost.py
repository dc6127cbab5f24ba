"""What a network costs, read from its table: no tensors are made. The unit of work is the multiply-add (MAC)."""

from dataclasses import dataclass
from math import prod

from .lower import Row, Table, lower
from .spec import Net


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    macs: multiply-adds of convolutions and linear layers for one sample.
    params: learned numbers.
    depth: layers with weights on the longest path.
    train_bytes: bytes of activations that are kept for the backward pass, for the whole batch.
    infer_bytes: bytes of activations that are alive at once at the worst moment of inference, for the whole batch.
    batch: samples of the batch.
    """

    macs: int
    params: int
    depth: int
    train_bytes: int
    infer_bytes: int
    batch: int


def cost(net: Net, batch: int = 1, bytes_per_value: int = 4) -> Cost:
    """The cost of a network for a batch of samples of its input size."""
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
    """Multiply-adds of one layer for one sample."""
    x, y = table.width[row.x], table.width[row.y]
    if row.op == "conv":
        return _weights(row, x) * y * prod(row.size)
    return row.copies * x * y if row.op == "linear" else 0


def row_params(row: Row, table: Table) -> int:
    """How many numbers one layer learns: none where its module is another row's, which computes twice."""
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
    """How many values a backward pass needs; each tensor counts once. Layers with weights, norms, products and max
    pools need what they read. ReLU and sigmoid need what they write, and other activations what they read. A
    convolution that pads unevenly needs its padded copy."""
    kept: set[str] = set()
    copies = 0
    for row in table.rows:
        if row.kind == "same":
            sides = [max(n, (m - 1) * row.stride + row.kernel) for n, m in zip(row.size_in, row.size, strict=True)]
            copies += table.width[row.x] * prod(sides)
        elif row.op == "act" and row.kind in ("relu", "sigmoid"):
            kept.add(row.path)
        elif row.op in ("conv", "norm", "linear", "scale", "times", "act", "pool") or (
            row.op == "globalpool" and row.kind != "average"
        ):
            kept.update(row.reads)
    values = _values(table)
    moments = sum(2 * row.groups for row in table.rows if row.kind == "group")  # of every group of every image
    return sum(values[path] for path in kept) + moments + copies


def _index_bytes(table: Table) -> int:
    """Bytes in which max pools keep where each maximum stood: 8 for each."""
    pools = [row for row in table.rows if row.op == "pool" and row.kind == "max"]
    return sum(8 * table.width[row.y] * prod(row.size) for row in pools)


def _alive_values(table: Table) -> int:
    """The most values that are alive at once, when each tensor is freed after its last reader."""
    values = _values(table)
    last = {path: k for k, row in enumerate(table.rows) for path in row.reads}
    alive, worst = {"input"}, 0
    for k, row in enumerate(table.rows):
        alive.add(row.path)
        worst = max(worst, sum(values[path] for path in alive))
        alive = {path for path in alive if last.get(path, k + 1) > k}
    return worst
