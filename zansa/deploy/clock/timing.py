"""Milliseconds of a description on this machine, from a table of measured parts (stem, blocks, head) and networks.

What is timed is the twin of a network's export, in onnxruntime, on one thread, one sample at a time. A part that is not
in the table yet is measured in the first network that has it, between its neighbours, and so it is fused with them and
laid out in memory as they are. The table holds how many times as long as a reference network a part takes (see
`stopwatch`), and what the reference usually took when the table was begun.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import onnx.parser
import onnxruntime

from ...arch.lower import Row, Table, lower
from ...arch.spec import Net
from ...arch.use import Preprocess
from ...record import environment, write_atomic
from ..prepare import preparation
from . import stopwatch
from .stopwatch import uniform
from .twin import twin

FORMAT = 4  # of the file, and of how parts are measured and named: when either changes, all is measured anew
RUN, WATCHED = "run", "watched"  # in the table besides parts: a run of nothing, and see _watched
REFERENCE = "reference"  # and the usual time of the reference network, in microseconds
NOTHING = '<ir_version: 8, opset_import: ["": 18]> nothing (float[1] x) => (float[1] y) { y = Relu (x) }'
MULTIPLES = (32, 16, 8, 4, 2)
FREE = 1.1  # more channels are free where they take at most so many times as long


@dataclass(frozen=True)
class Timer:
    """Tells the milliseconds of networks by their parts.

    file: where the table is kept.
    parts: the parts measured so far, each as a multiple of the reference.
    before: the names of the parts that come before every network, the preparation among them.
    preparation: what an exported file does before its network.
    unit: milliseconds that count for the reference (see `right_for`); None: its usual ones, which the table has in
        microseconds.
    """

    file: Path
    parts: dict[str, float]
    before: tuple[str, ...]
    preparation: onnx.ModelProto | None = field(default=None, repr=False)
    unit: float | None = None

    def ms(self, net: Net) -> float:
        """Milliseconds of one sample through the exported network. If any part is new, the network is run for about a
        tenth of a second."""
        keys = _keys(net)
        new = set(keys.values()) - set(self.parts)
        if new:
            measured = _measured(net, self.parts[WATCHED])
            for key in new:  # blocks that are alike count as one
                self.parts[key] = fmean(measured[part] for part in keys if keys[part] == key)
            _keep(self.file, self.parts)
        return self._unit() * self._multiple(net)

    def whole(self, net: Net) -> float:
        """Milliseconds of one sample through the twin of a network's exported file, run as a whole. The time stays in
        the table, so that a growth that was killed, or is begun again, decides alike."""
        name = f"whole {_digest(' '.join((*self.before, net.to_json())).encode())}"
        if name not in self.parts:
            self.parts[name] = _whole(_model(net, self.preparation), net.input.size)
            _keep(self.file, self.parts)
        return self._unit() * self.parts[name]

    def exported(self, model: bytes, size: Sequence[int]) -> float:
        """Milliseconds of one sample of this size through an exported file, run now."""
        return self._unit() * stopwatch.multiple(model, size)

    def right_for(self, net: Net) -> "Timer":
        """The timer that gives for this network what it takes as a whole, and changes the times of others in
        proportion."""
        usual = replace(self, unit=None)
        return replace(self, unit=usual._unit() * usual.whole(net) / usual.ms(net))

    def lot(self) -> int:
        """How many channels this machine computes at once: the largest of 32, 16, 8, 4 and 2 for which half a multiple
        takes as long as the next whole one, or 1. A layer whose width is no multiple takes as long as one of the next
        multiple."""
        bare = replace(self, before=(RUN,), preparation=None)
        for multiple in MULTIPLES:
            halves = [width for width in range(multiple // 2, 128, multiple) if width > 16][:3]
            more = [bare.whole(uniform(width + multiple // 2, 3)) / bare.whole(uniform(width, 3)) for width in halves]
            if fmean(more) <= FREE:
                return multiple
        return 1

    def _unit(self) -> float:
        return self.parts[REFERENCE] / 1e3 if self.unit is None else self.unit

    def _multiple(self, net: Net) -> float:
        return sum(self.parts[key] for key in (*self.before, *_keys(net).values()))


def timer(folder: str | Path, preprocess: Preprocess | None = None) -> Timer:
    """This machine's timer, with what an earlier one has kept in the folder. `preprocess`: what an exported file does
    before its network, which takes its time too."""
    file = _file(Path(folder))
    parts = _kept(file)
    if not {RUN, WATCHED, REFERENCE} <= parts.keys():
        parts[RUN], parts[REFERENCE] = _whole(onnx.parser.parse_model(NOTHING)), stopwatch.pace()
        parts[WATCHED] = _watched(parts[RUN])
        _keep(file, parts)
    if preprocess is None:
        return Timer(file, parts, (RUN,))
    before = preparation(preprocess)
    name = f"preparation {_digest(before.SerializeToString())}"
    if name not in parts:
        parts[name] = _of_preparation(before)
        _keep(file, parts)
    return Timer(file, parts, (RUN, name), before)


# --- parts -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _keys(net: Net) -> dict[str, str]:
    """What the parts of a network compute, by their names: "stem", "stages.0.0", ..., "head"."""
    layers = lower(net)
    parts = groupby(layers.rows, key=lambda row: _part_of(row.path))
    return {part: _key(tuple(rows), layers) for part, rows in parts if part}


def _part_of(name: str) -> str | None:
    """The name of the part that a row, or a node of the twin, belongs to by its own name; None where it tells none."""
    match = re.search(r"(stem|stages\.\d+\.\d+|head)[./]", name)
    return match[1] if match else None


def _key(rows: Sequence[Row], layers: Table) -> str:
    """What a part computes, in words that two parts share only if they compute the same."""
    names: dict[str, str] = {}
    texts = []
    for k, row in enumerate(rows):
        reads = ",".join(names.setdefault(path, f"in{len(names)}") for path in row.reads)
        names[row.path] = str(k)
        texts.append(
            f"{row.op}{row.kind} {row.kernel}/{row.stride}/{row.groups} {row.copies}x{layers.width[row.x]}"
            f">{layers.width[row.y]} {row.size_in} {row.weights} of {reads}"
        )
    return "; ".join(texts)


def _measured(net: Net, watched: float) -> dict[str, float]:
    """How long each part of a network takes, by their names."""
    times, part = dict.fromkeys(_keys(net), 0.0), "stem"
    for name, spent in stopwatch.nodes(twin(net).SerializeToString()).items():
        part = _part_of(name) or part  # onnxruntime's own nodes rearrange what the node before them wrote
        times[part] += spent - watched
    return {part: max(0.0, spent) for part, spent in times.items()}


def _watched(run: float) -> float:
    """How much longer a node takes because the profiler watches it, less what passes from one node to the next."""
    model = twin(uniform(16, 9))
    nodes = stopwatch.nodes(model.SerializeToString())
    return max(0.0, sum(nodes.values()) + run - _whole(model)) / len(nodes)


def _of_preparation(prepare: onnx.ModelProto) -> float:
    """How long the preparation takes before a network: what both take together, less the network alone."""
    _, channels, *size = (dim.dim_value for dim in prepare.graph.output[0].type.tensor_type.shape.dim)
    net = uniform(32, 3, channels, tuple(size))
    both, alone = (_whole(_model(net, before), size) for before in (prepare, None))
    return max(0.0, both - alone)


def _model(net: Net, prepare: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """The twin of a network's exported file."""
    model = twin(net)
    if prepare is None:
        return model
    graph = onnx.compose.merge_graphs(prepare.graph, model.graph, [("pixels", "pixels")])
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _whole(model: onnx.ModelProto, size: Sequence[int] = ()) -> float:
    """How many times as long as the reference a model takes."""
    return stopwatch.multiple(model.SerializeToString(), size)


# --- the table's file ------------------------------------------------------------------------------------------------


def _file(folder: Path) -> Path:
    return folder / f"latency-{_digest(json.dumps(_machine()).encode())}.json"


def _machine() -> dict[str, Any]:
    """What times depend on. A table that was measured for another time than usual has a file of its own."""
    share = stopwatch.watch()
    return _device() | ({} if share == 1 else {"watch": share})


@cache
def _device() -> dict[str, Any]:
    return {"format": FORMAT, "cpu": environment()["cpu"], "onnxruntime": onnxruntime.__version__, "threads": 1}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _kept(file: Path) -> dict[str, float]:
    """The parts in a table's file; none where it is missing or damaged."""
    try:
        parts = {str(key): float(spent) for key, spent in json.loads(file.read_bytes())["parts"].items()}
        whole = all(math.isfinite(spent) and spent >= 0 for spent in parts.values()) and parts.get(REFERENCE) != 0
        return parts if whole else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _keep(file: Path, parts: dict[str, float]) -> None:
    """Write the table. What others have measured meanwhile stays, so that all agree. Where nothing can be written, the
    next timer measures again."""
    parts.update(_kept(file))
    content = json.dumps({"machine": _machine(), "parts": parts}, indent=1)
    with suppress(OSError, ValueError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, content.encode())
