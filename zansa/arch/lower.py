"""lower(net) -> the flat table of layers that cost, build, transfer and the drawings read. One row, one layer.

Channel axes have names: "input", "stem", "stage1", "stage0.block2.hidden0", "classes". An identity shortcut makes
the streams of two stages one axis, which then has the name of the first.
"""

from dataclasses import dataclass
from functools import lru_cache

from .branches import BRANCHES, Act, Conv, Layers, Norm
from .spec import Block, Net, Stage


@dataclass(frozen=True)
class Row:
    """A layer: where its module stands (`path`), what it does (`op`), the paths of the rows that it reads, from
    axis x to axis y, and its sizes before and after.

    op: contrast (local contrast normalisation), conv, norm, act, pool (max pool), pad (subsampling and zero channels),
    add (the sum of a step; its learned scalar when `scale`), globalpool, linear.
    """

    path: str
    op: str
    reads: tuple[str, ...]
    x: str
    y: str
    size_in: tuple[int, ...]
    size: tuple[int, ...]
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    zero: bool = False
    scale: bool = False
    pool: str = ""


@dataclass(frozen=True)
class Table:
    """The rows in the order of computation, and the width of every axis by its name."""

    rows: tuple[Row, ...]
    width: dict[str, int]


def shrink(size: tuple[int, ...], stride: int) -> tuple[int, ...]:
    """The size behind an odd-kernel, half-padded layer of this stride."""
    return tuple((n - 1) // stride + 1 for n in size)


def stream_axes(net: Net) -> tuple[str, ...]:
    """The name of the stream's axis behind the stem and behind every stage."""
    names = ["stem"]
    for i, stage in enumerate(net.stages):
        names.append(names[-1] if stage.shortcut == "identity" else f"stage{i}")
    return tuple(names)


@lru_cache(maxsize=256)
def lower(net: Net) -> Table:
    """The table of a network."""
    streams = stream_axes(net)
    width = {"input": net.input.channels, "stem": net.stem.width, "classes": net.head.classes}
    rows = _stem(net)
    for i, stage in enumerate(net.stages):
        width[streams[i + 1]] = stage.width
        for j, block in enumerate(stage.blocks):
            width |= {f"stage{i}.block{j}.hidden{k}": w for k, w in enumerate(block.hidden)}
            rows += _block(i, j, stage, block, streams[i if j == 0 else i + 1], streams[i + 1], rows[-1])
    return Table(tuple(rows + _head(net, rows[-1])), width)


def _stem(net: Net) -> list[Row]:
    stem = net.stem
    layers: Layers = (Conv("conv", "input", "stem", stem.kernel, stem.stride),)
    if stem.act:
        layers += (Norm("norm", "stem"), Act("act"))
    source = Row("input", "input", (), "input", "input", net.input.size, net.input.size)
    rows = []
    if stem.contrast:
        source = _after(source, "stem.contrast", "contrast", net.input.size, kernel=stem.contrast)
        rows.append(source)
    rows += _chain("stem", layers, source)
    if stem.pool:
        rows.append(_after(rows[-1], "stem.pool", "pool", shrink(rows[-1].size, 2), kernel=3, stride=2))
    return rows


def _head(net: Net, source: Row) -> list[Row]:
    rows = _chain("head", (Norm("norm", source.y), Act("act")), source) if net.head.act else []
    pool = _after((rows or [source])[-1], "head.pool", "globalpool", (), pool=net.head.pool)
    linear = Row("head.linear", "linear", (pool.path,), pool.y, "classes", (), (), pool=net.head.pool)
    return [*rows, pool, linear]


def _block(i: int, j: int, stage: Stage, block: Block, x: str, y: str, source: Row) -> list[Row]:
    kind, path = BRANCHES[block.kind], f"stages.{i}.{j}"
    hidden = tuple(f"stage{i}.block{j}.hidden{k}" for k in range(len(block.hidden)))
    enters = j == 0 and stage.shortcut != "identity"
    layers = kind.layers(x, y, hidden, stage.stride if j == 0 else 1, block.groups)
    cut = kind.shared if enters else 0
    shared = _chain(f"{path}.shared", layers[:cut], source)
    entry = shared[-1] if shared else source
    branch = _chain(f"{path}.branch", layers[cut:], entry)
    shortcut = _shortcut(f"{path}.shortcut", stage, y, entry) if enters else []
    skip, out = (shortcut or [source])[-1], branch[-1]
    add = Row(f"{path}.add", "add", (skip.path, out.path), y, y, out.size, out.size, scale=stage.step.scale)
    after = [_after(add, f"{path}.after", "act", add.size)] if kind.after else []
    return [*shared, *branch, *shortcut, add, *after]


def _shortcut(path: str, stage: Stage, y: str, source: Row) -> list[Row]:
    if stage.shortcut == "project":
        return _chain(path, (Conv("conv", source.y, y, 1, stage.stride), Norm("norm", y)), source)
    size = shrink(source.size, stage.stride)
    return [Row(f"{path}.pad", "pad", (source.path,), source.y, y, source.size, size, stride=stage.stride)]


def _chain(path: str, layers: Layers, source: Row) -> list[Row]:
    rows: list[Row] = []
    for layer in layers:
        source = _layer_row(f"{path}.{layer.name}", layer, source)
        rows.append(source)
    return rows


def _layer_row(path: str, layer: Conv | Norm | Act, source: Row) -> Row:
    if isinstance(layer, Act):
        return _after(source, path, "act", source.size)
    if isinstance(layer, Norm):
        return _after(source, path, "norm", source.size, zero=layer.zero)
    size = shrink(source.size, layer.stride)
    return Row(path, "conv", (source.path,), layer.x, layer.y, source.size, size, layer.kernel, layer.stride,
               layer.groups, layer.zero)  # fmt: skip


def _after(source: Row, path: str, op: str, size: tuple[int, ...], kernel: int = 1, stride: int = 1,
           zero: bool = False, pool: str = "") -> Row:  # fmt: skip
    """A row behind `source` on the same channel axis."""
    return Row(path, op, (source.path,), source.y, source.y, source.size, size, kernel, stride, zero=zero, pool=pool)
