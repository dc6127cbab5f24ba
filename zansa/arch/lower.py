"""lower(net) is the flat table of layers that cost, build, transfer and the drawings read. One row is one layer.

Channel axes have names: "input", "stem", "stage1", "stage0.block2.hidden0", "classes". An identity shortcut makes the
streams of two stages one axis, which then has the name of the first. The streams of one stage share an axis.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from .branches import BRANCHES, Act, Conv, Gate, Layers, Norm
from .spec import Block, Net, Stage
from .steps import STEPS, Call, Program, StepKind, Sum


@dataclass(frozen=True)
class Row:
    """A layer.

    path: where its module stands.
    op: what it does: contrast (local contrast normalisation), conv, norm, bias, act, scale (a learned scalar), pool,
        pad (subsampling and zero channels), add (a sum of `reads` times `weights`), globalpool, linear, or times (every
        channel of the first tensor by the second).
    reads: the paths of the rows that it reads.
    x: the axis that it reads.
    y: the axis that it writes.
    size_in: positions before it, one number for each direction.
    size: positions after it.
    kernel, stride: of a convolution or a pool.
    groups: of a grouped convolution or a group norm.
    zero: whether it is zero where its block must start as the identity.
    kind: batch or group of a norm; relu, relu6, gelu, silu or sigmoid of an activation; max, average or both of a pool;
        same of a convolution that pads unevenly (Net.padding).
    copies: how often the channels of x stand side by side where positions are pooled.
    weights: the numbers of a sum.
    module: the path of the module when it is another row's, which computes twice; "" otherwise.
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
    kind: str = ""
    copies: int = 1
    weights: tuple[float, ...] = ()
    module: str = ""


@dataclass(frozen=True)
class Table:
    """A lowered network.

    rows: its layers in the order of computation.
    width: the number of channels of every axis, by its name.
    """

    rows: tuple[Row, ...]
    width: dict[str, int]


Streams = dict[str, Row]  # a stream's letter -> the row that wrote it last


def shrink(size: tuple[int, ...], stride: int) -> tuple[int, ...]:
    """The size after a layer of this stride that has an odd kernel and is padded by half of it."""
    return tuple((n - 1) // stride + 1 for n in size)


def stream_axes(net: Net) -> tuple[str, ...]:
    """The names of the stream's axis after the stem and after every stage."""
    names = ["stem"]
    for i, stage in enumerate(net.stages):
        names.append(names[-1] if stage.shortcut == "identity" else f"stage{i}")
    return tuple(names)


def joins(net: Net, i: int) -> bool:
    """Whether the streams become one in the last block of stage i."""
    kind, following = net.stages[i].step.kind, net.stages[i + 1 : i + 2]
    if not following:
        return net.head.join == "sum"
    restarts = STEPS[kind].fills == "zero" and following[0].shortcut != "identity"
    return following[0].step.kind != kind or restarts


@lru_cache(maxsize=256)
def lower(net: Net) -> Table:
    """The table of a network."""
    axes = stream_axes(net)
    width = {"input": net.input.channels, "stem": net.stem.width, "classes": net.head.classes}
    width |= {f"stem.deep{k}": w for k, w in enumerate(net.stem.deep)}
    width |= {"head": net.head.width} if net.head.width else {}
    rows = _stem(net)
    streams = {"x": rows[-1]}
    for i, stage in enumerate(net.stages):
        width[axes[i + 1]] = stage.width
        for j, block in enumerate(stage.blocks):
            width |= {f"stage{i}.block{j}.hidden{k}": w for k, w in enumerate(block.hidden)}
            block_rows, streams = _block(_Place(net, i, j, axes[i + 1]), streams)
            rows += block_rows
    rows += _head(net, streams)
    return Table(tuple(_normed(row, net, width) for row in rows), width)


def _normed(row: Row, net: Net, width: dict[str, int]) -> Row:
    """A norm or an activation of the kind that the network has; other rows as they are."""
    if row.op == "act" and not row.kind:
        return replace(row, kind=net.act)
    if row.op == "conv" and row.stride > 1 and net.padding == "same":
        return replace(row, kind="same")
    if row.op != "norm":
        return row
    if net.norm == "none":
        return replace(row, op="bias", zero=False)
    return replace(row, kind=net.norm, groups=width[row.y] // net.group if net.norm == "group" else 1)


def _stem(net: Net) -> list[Row]:
    stem = net.stem
    layers: list[Conv | Norm | Act | Gate] = []
    source, stride = "input", stem.stride
    for k in range(len(stem.deep)):
        axis = f"stem.deep{k}"
        alone = stem.separable and k == len(stem.deep) - 1
        groups = stem.deep[k] if alone else 1
        layers += [Conv(f"conv{k}", source, axis, stem.kernel, stride, groups), Norm(f"norm{k}", axis), Act(f"act{k}")]
        source, stride = axis, 1
    layers += [Conv("conv", source, "stem", 1 if stem.separable else stem.kernel, stride)]
    if stem.act:
        layers += [Norm("norm", "stem"), *(() if stem.separable else (Act("act"),))]
    before = Row("input", "input", (), "input", "input", net.input.size, net.input.size)
    rows = []
    if stem.contrast:
        before = _after(before, "stem.contrast", "contrast", kernel=stem.contrast)
        rows.append(before)
    rows += _chain("stem", tuple(layers), before)
    if stem.pool:
        pool = _after(rows[-1], "stem.pool", "pool", kernel=3, stride=2, kind="max")
        rows.append(replace(pool, size=shrink(pool.size_in, 2)))
    return rows


def _head(net: Net, streams: Streams) -> list[Row]:
    source = streams["x"]
    axis = "head" if net.head.width else source.y
    layers: Layers = (Conv("conv", source.y, axis, 1),) if net.head.width else ()
    rows = _chain("head", (*layers, Norm("norm", axis), Act("act")), source) if layers or net.head.act else []
    reads = (rows[-1].path,) if rows else tuple(row.path for row in streams.values())
    copies = len(reads) * (2 if net.head.pool == "both" else 1)
    pool = _after((rows or [source])[-1], "head.pool", "globalpool", kind=net.head.pool, copies=copies)
    pool = replace(pool, reads=reads, size=())
    return [*rows, pool, Row("head.linear", "linear", (pool.path,), pool.y, "classes", (), (), copies=copies)]


@dataclass(frozen=True)
class _Place:
    """A block, with what its rows need to know of the network around it.

    net: the whole network.
    i, j: it is block j of stage i.
    axis: of the streams after it.
    """

    net: Net
    i: int
    j: int
    axis: str

    @property
    def stage(self) -> Stage:
        """Its stage."""
        return self.net.stages[self.i]

    @property
    def block(self) -> Block:
        """The block."""
        return self.stage.blocks[self.j]

    @property
    def path(self) -> str:
        """What the names of its modules begin with."""
        return f"stages.{self.i}.{self.j}"

    @property
    def enters(self) -> bool:
        """Whether it is the block that changes the shape of the stream."""
        return self.j == 0 and self.stage.shortcut != "identity"

    @property
    def bare(self) -> bool:
        """Whether nothing but the branches leads through the block; were they zero, it would be dead."""
        return self.enters and self.stage.shortcut == "none"

    @property
    def leaves(self) -> bool:
        """Whether several streams become one after it."""
        return self.j == len(self.stage.blocks) - 1 and joins(self.net, self.i)

    def layers(self, branch: int, x: str, stride: int) -> Layers:
        """The table of one of the block's branches, with what makes it vanish marked as zero."""
        kind, step = BRANCHES[self.block.kind], self.stage.step
        names = [f"stage{self.i}.block{self.j}.hidden{k}" for k in range(len(self.block.hidden))]
        hidden = tuple(names[branch * kind.hidden : (branch + 1) * kind.hidden])
        layers = kind.layers(x, self.axis, hidden, stride, self.block.groups_of(branch))
        if step.scalar_vanishes or self.bare:
            return tuple(layer._replace(zero=False) if isinstance(layer, Conv | Norm) else layer for layer in layers)
        return _last_conv_zero(layers) if self.net.norm == "none" and kind.vanishes else layers

    def program(self) -> Program:
        """What the step does here: in a block that enters a stage, in the last before the streams join, in others."""
        kind, mix = STEPS[self.stage.step.kind], self.block.mix
        special = kind.enter if self.enters and kind.enter else kind.last if self.leaves else None
        return (special or kind.program)(self.stage.step.h, kind.mix or 0.0 if mix is None else mix)


def _last_conv_zero(layers: Layers) -> Layers:
    """The layers with the last convolution as what is zero at the start: without norms it makes a branch vanish."""
    last = max(k for k, layer in enumerate(layers) if isinstance(layer, Conv))
    return tuple(layer._replace(zero=k == last) if isinstance(layer, Conv) else layer for k, layer in enumerate(layers))


def _block(place: _Place, streams: Streams) -> tuple[list[Row], Streams]:
    """The rows of a block, and the streams after it."""
    kind, program = STEPS[place.stage.step.kind], place.program()
    streams = _begun(streams, kind, place.enters)
    rows, skips, shared = _entrance(place, streams, program) if place.enters else ([], streams, {})
    made: Streams = {}  # by the lines so far
    called: dict[int, str] = {}  # the path of every branch that has been called
    for turn in range(place.block.times):
        if turn:
            streams = skips = {name: made[name.upper()] for name in kind.streams}
            made = {}
        for line in program:
            if isinstance(line, Call):
                source = streams[line.reads] if line.reads in streams else made[line.reads]
                new = _call(place, line, source, shared.get(line), line.reads in streams, called, turn)
            else:
                new = _sum(place, line, skips | made, kind.streams, turn)
            rows += new
            made[line.out] = new[-1]
    return rows, {name: made[name.upper()] for name in ("x" if place.leaves else kind.streams)}


def _begun(streams: Streams, kind: StepKind, enters: bool) -> Streams:
    """The streams that a kind of step works on, made of those that come in, which may be others or fewer. A stream that
    starts at zero is left out."""
    if kind.fills == "copy":
        return {name: streams.get(name, streams["x"]) for name in kind.streams}
    return {"x": streams["x"]} if enters else {name: streams[name] for name in kind.streams if name in streams}


def _entrance(place: _Place, streams: Streams, program: Program) -> tuple[list[Row], Streams, dict[Call, Row]]:
    """The rows that bring the streams into a stage: layers that branch and shortcut share, and the shortcuts. Returns
    with them the streams after the shortcuts, and for each call that shares layers the row after which it goes on."""
    rows, skips, shared = [], {}, {}
    cut, stride = BRANCHES[place.block.kind].shared, place.stage.stride
    for k, (name, source) in enumerate(streams.items()):
        call = next((line for line in program if isinstance(line, Call) and line.reads == name), None)
        if call is not None and cut:
            layers = place.layers(call.branch, source.y, stride)[:cut]
            rows += _chain(f"{place.path}.shared{k or ''}", layers, source)
            shared[call] = source = rows[-1]
        if place.stage.shortcut != "none":
            rows += _shortcut(f"{place.path}.shortcut{k or ''}", place, source)
            skips[name] = rows[-1]
    return rows, skips, shared


def _shortcut(path: str, place: _Place, source: Row) -> list[Row]:
    kind, stride, axis = place.stage.shortcut, place.stage.stride, place.axis
    size = shrink(source.size, stride)
    if kind == "pad":
        return [Row(f"{path}.pad", "pad", (source.path,), source.y, axis, source.size, size, stride=stride)]
    rows: list[Row] = []
    if kind == "average" and stride > 1:
        pool = _after(source, f"{path}.pool", "pool", kernel=stride, stride=stride, kind="average")
        rows, source, stride = [replace(pool, size=size)], replace(pool, size=size), 1
    conv = Conv("conv", source.y, axis, 1, stride)
    return rows + _chain(path, (conv,) if kind == "conv" else (conv, Norm("norm", axis)), source)


def _call(
    place: _Place, line: Call, source: Row, shared: Row | None, raw: bool, called: dict[int, str], turn: int
) -> list[Row]:
    """The rows of a branch that is called: from the stage's entrance or from within the stage, for the first time or
    again."""
    stride = place.stage.stride if raw and place.enters else 1
    layers = place.layers(line.branch, source.y, stride)
    if shared is not None:
        layers, source = layers[BRANCHES[place.block.kind].shared :], shared
    first = called.get(line.branch)
    path = f"{place.path}.branch{line.branch or ''}" if first is None else f"{place.path}.{line.out}{turn or ''}"
    called.setdefault(line.branch, path)
    rows = _chain(path, layers, source)
    if place.stage.step.scale:
        rows.append(
            _after(rows[-1], f"{path}.scale", "scale", zero=place.stage.step.scalar_vanishes and not place.bare)
        )
    return rows if first is None else [replace(row, module=first + row.path.removeprefix(path)) for row in rows]


def _sum(place: _Place, line: Sum, tensors: Streams, streams: str, turn: int) -> list[Row]:
    """The row of a sum, in this turn of a block that is applied several times. Where the sum is a new stream and the
    branch asks for it, an activation follows."""
    terms = [(tensors[name], weight) for name, weight in line.terms.items() if weight and name in tensors]
    ends = line.out.lower() in streams and line.out.isupper()
    mark = f"{(streams.index(line.out.lower()) or '') if ends else ''}{f'_{turn}' if turn else ''}"
    path, size = f"{place.path}.add{mark}" if ends else f"{place.path}.{line.out}{mark}", terms[-1][0].size
    row = Row(
        path,
        "add",
        tuple(term.path for term, _ in terms),
        place.axis,
        place.axis,
        size,
        size,
        weights=tuple(weight for _, weight in terms),
    )
    if not (ends and BRANCHES[place.block.kind].after):
        return [row]
    return [row, _after(row, f"{place.path}.after{mark}", "act")]


def _chain(path: str, layers: Layers, source: Row) -> list[Row]:
    rows: list[Row] = []
    for layer in layers:
        rows += _layer_rows(f"{path}.{layer.name}", layer, source)
        source = rows[-1]
    return rows


def _layer_rows(path: str, layer: Conv | Norm | Act | Gate, source: Row) -> list[Row]:
    if isinstance(layer, Act):
        return [_after(source, path, "act")]
    if isinstance(layer, Norm):
        return [_after(source, path, "norm", zero=layer.zero)]
    if isinstance(layer, Gate):
        return _gate(path, layer, source)
    size = shrink(source.size, layer.stride)
    return [
        Row(
            path,
            "conv",
            (source.path,),
            layer.x,
            layer.y,
            source.size,
            size,
            layer.kernel,
            layer.stride,
            layer.groups,
            layer.zero,
        )
    ]


def _gate(path: str, layer: Gate, source: Row) -> list[Row]:
    x, h = layer.axis, layer.hidden
    mean = Row(f"{path}.pool", "globalpool", (source.path,), x, x, source.size, (), kind="average")
    down = Row(f"{path}.down", "linear", (mean.path,), x, h, (), ())
    act = _after(down, f"{path}.act", "act")
    up = Row(f"{path}.up", "linear", (act.path,), h, x, (), ())
    gate = _after(up, f"{path}.gate", "act", kind="sigmoid")
    return [mean, down, act, up, gate, Row(path, "times", (source.path, gate.path), x, x, source.size, source.size)]


def _after(
    source: Row,
    path: str,
    op: str,
    kernel: int = 1,
    stride: int = 1,
    zero: bool = False,
    kind: str = "",
    copies: int = 1,
) -> Row:
    """A row after `source`, on the same channel axis and of the same size."""
    return Row(
        path,
        op,
        (source.path,),
        source.y,
        source.y,
        source.size,
        source.size,
        kernel,
        stride,
        zero=zero,
        kind=kind,
        copies=copies,
    )
