"""Milliseconds of a description on this machine, from a table of measured parts: stem, blocks, head.

What is timed is the twin of a network's export, in onnxruntime, on one thread, one image at a time. A part that is not
in the table yet is measured in the first network that has it, between its neighbours, and so it is fused with them and
laid out in memory as they are.

A processor's clock is not steady: from one second to the next the same network takes a tenth longer or less, and twice
as long while a neighbour shares the core. So the table holds how many times as long as a reference network a part
takes, each measured beside it, and milliseconds are told for the shortest time that the reference was ever seen to take
here.
"""

import hashlib
import json
import math
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.parser
import onnxruntime

from ..arch.lower import Row, Table, lower
from ..arch.spec import Block, Head, Input, Net, Stage, Stem
from ..record import environment, write_atomic
from .twin import NUMBERS, twin

FORMAT = 2  # of the file, and of how parts are measured and named: when either changes, all is measured anew
PROFILED = 20  # runs of a network for its parts
TURN, TURNS, SECONDS = 10, 9, 0.5  # runs in a turn; how many turns at least, and for how long
RUN, WATCHED = "run", "watched"  # in the table besides parts: a run of nothing, and see _watched
REFERENCE = "reference"  # and the shortest time of the reference network, in microseconds
NOTHING = '<ir_version: 10, opset_import: ["": 18]> nothing (float[1] x) => (float[1] y) { y = Relu (x) }'
EVENT = "_kernel_time"  # the end of a node's name in onnxruntime's profile
MULTIPLES = (32, 16, 8, 4, 2)
FREE = 1.1  # more channels are free where they take at most so many times as long


@dataclass(frozen=True)
class Timer:
    """What the time of a network is made of: the `parts` measured so far, each as a multiple of the reference, which
    `file` keeps, and the names of those `before` every network. `unit`: milliseconds that count for the reference
    (see `calibrated`); by default the fewest seen, which the table has in microseconds."""

    file: Path
    parts: dict[str, float]
    before: tuple[str, ...]
    unit: float | None = None

    def ms(self, net: Net) -> float:
        """Milliseconds of one image through the exported network. If any part is new the network is run for about a
        tenth of a second."""
        keys = _keys(net)
        new = set(keys.values()) - set(self.parts)
        if new:
            found = _measured(net, self.parts[WATCHED])
            for key in new:  # blocks that are alike count as one
                self.parts[key] = fmean(found[place] for place in keys if keys[place] == key)
            _keep(self.file, self.parts)
        return self._unit() * self._multiple(net)

    def whole(self, net: Net, preparation: onnx.ModelProto | None = None) -> float:
        """Milliseconds of one image through the twin of a network's exported file, run as a whole."""
        multiple, fastest = _in_turns(_session(_model(net, preparation)), net.input.size)
        if fastest < self.parts[REFERENCE]:
            self.parts[REFERENCE] = fastest
            _keep(self.file, self.parts)
        return self._unit() * multiple

    def _unit(self) -> float:
        return self.parts[REFERENCE] / 1e3 if self.unit is None else self.unit

    def _multiple(self, net: Net) -> float:
        return sum(self.parts[key] for key in (*self.before, *_keys(net).values()))


def timer(folder: Path, preparation: onnx.ModelProto | None = None) -> Timer:
    """This machine's timer, with what an earlier one has kept in the folder. `preparation`: what comes before the
    network in its exported file (deploy.export.preparation)."""
    file = folder / f"latency-{_digest(json.dumps(_machine()).encode())}.json"
    parts = _kept(file)
    if not {RUN, WATCHED, REFERENCE} <= parts.keys():
        parts[RUN], parts[REFERENCE] = _in_turns(_session(onnx.parser.parse_model(NOTHING)))
        parts[WATCHED] = _watched(parts[RUN])
        _keep(file, parts)
    if preparation is None:
        return Timer(file, parts, (RUN,))
    name = f"preparation {_digest(preparation.SerializeToString())}"
    if name not in parts:
        parts[name] = _of_preparation(preparation)
        _keep(file, parts)
    return Timer(file, parts, (RUN, name))


def calibrated(timer: Timer, net: Net, ms: float) -> Timer:
    """The timer that gives `ms` for this network: what its exported file has been found to take."""
    return replace(timer, unit=timer._unit() * ms / timer.ms(net))


def multiples(timer: Timer) -> int:
    """How many channels this machine computes at once: the largest of 32, 16, 8, 4 and 2 of which half a multiple takes
    as long as the next whole one, or 1. Widths that are no multiples pay for channels that they do not have."""
    for multiple in MULTIPLES:
        halves = [width for width in range(multiple // 2, 128, multiple) if width > 16][:3]
        if fmean(_of_block(timer, width + multiple // 2) / _of_block(timer, width) for width in halves) <= FREE:
            return multiple
    return 1


def _of_block(timer: Timer, width: int) -> float:
    """How long a block of this width takes between others like it, as a multiple of the reference."""
    net = _uniform(width, 3)
    timer.ms(net)
    return timer.parts[_keys(net)["stages.0.1"]]


def _uniform(width: int, blocks: int, channels: int = 3, size: tuple[int, ...] = (16, 16)) -> Net:
    """A network of blocks of one width, on no more than 16 places a side."""
    stage = Stage(width=width, blocks=(Block(kind="basic", hidden=(width,)),) * blocks)
    stem = Stem(width=width, stride=-(-max(size) // 16))
    return Net(input=Input(channels=channels, size=size), stem=stem, stages=(stage,), head=Head(classes=2))


# --- parts -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _keys(net: Net) -> dict[str, str]:
    """What the parts of a network compute, by their places: "stem", "stages.0.0", ..., "head"."""
    layers = lower(net)
    parts = groupby(layers.rows, key=lambda row: _place(row.path))
    return {place: _key(tuple(rows), layers) for place, rows in parts if place}


def _place(name: str) -> str | None:
    """The part in whose name a row, or a node of the twin, has its own."""
    found = re.search(r"(stem|stages\.\d+\.\d+|head)[./]", name)
    return found[1] if found else None


def _key(rows: Sequence[Row], layers: Table) -> str:
    """What a part computes, in words that only parts share that compute the same."""
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
    """How long each part of a network takes, by their places."""
    found, place = dict.fromkeys(_keys(net), 0.0), "stem"
    for name, spent in _nodes(twin(net)).items():
        place = _place(name) or place  # onnxruntime's own nodes rearrange what the node before them wrote
        found[place] += spent - watched
    return {place: max(0.0, spent) for place, spent in found.items()}


def _watched(run: float) -> float:
    """How much longer a node takes under the profiler's eyes, less what passes from one node to the next."""
    model = twin(_uniform(16, 9))
    nodes = _nodes(model)
    return max(0.0, sum(nodes.values()) + run - _in_turns(_session(model))[0]) / len(nodes)


def _of_preparation(preparation: onnx.ModelProto) -> float:
    """How long it takes before a network: about a third more than alone, for each drives the other from the processor's
    cache."""
    _, channels, *size = (dim.dim_value for dim in preparation.graph.output[0].type.tensor_type.shape.dim)
    net = _uniform(64, 3, channels, tuple(size))
    both, alone = (_in_turns(_session(_model(net, before)), size)[0] for before in (preparation, None))
    return max(0.0, both - alone)


def _nodes(model: onnx.ModelProto) -> dict[str, float]:
    """How long each node of a model takes under onnxruntime's profiler, in the order of computation, as a multiple of
    the reference right before and after."""
    with TemporaryDirectory() as folder:
        session = _session(model, Path(folder) / "profile")
        before = _reference()
        _seconds(session, (), PROFILED)
        now = fmean((before, _reference()))
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = {}
    for event in events:
        if event["name"].endswith(EVENT):
            times.setdefault(event["name"], []).append(event["dur"])
    return {name: _low(durations) / now for name, durations in times.items()}


def _model(net: Net, preparation: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """The twin of a network's exported file."""
    model = twin(net)
    if preparation is None:
        return model
    graph = onnx.compose.merge_graphs(preparation.graph, model.graph, [("pixels", "pixels")])
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


# --- seconds ---------------------------------------------------------------------------------------------------------


@cache
def _referee() -> onnxruntime.InferenceSession:
    """The reference network."""
    return _session(twin(_uniform(64, 3)))


def _reference() -> float:
    """Microseconds of the reference network now."""
    return _low(_seconds(_referee(), (), TURN)) * 1e6


def _in_turns(session: onnxruntime.InferenceSession, size: Sequence[int] = ()) -> tuple[float, float]:
    """How many times as long as the reference a session's run takes, the median of many turns; and the shortest time
    that the reference took, in microseconds."""
    end, multiples, fastest = time.perf_counter() + SECONDS, list[float](), math.inf
    while len(multiples) < TURNS or time.perf_counter() < end:
        one, other = _low(_seconds(session, size, TURN)) * 1e6, _reference()
        multiples.append(one / other)
        fastest = min(fastest, other)
    return median(multiples), fastest


def _session(model: onnx.ModelProto, profile: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _seconds(session: onnxruntime.InferenceSession, size: Sequence[int], runs: int) -> list[float]:
    """Seconds of each run of a session, one image at a time."""
    feed, times = _feed(session, size), list[float]()
    for _ in range(runs):
        begun = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - begun)
    return times


def _feed(session: onnxruntime.InferenceSession, size: Sequence[int]) -> dict[str, np.ndarray]:
    """One image for each input of a session; `size` where an image may have any."""
    symbols, types = dict(zip("NHW", (1, *size), strict=False)), {"tensor(float)": "float32"}
    feed = {}
    for value in session.get_inputs():
        shape = [symbols.get(n, n) for n in value.shape]
        feed[value.name] = np.resize(50 * abs(NUMBERS), shape).astype(types.get(value.type, value.type[7:-1]))
    return feed


def _low(times: Sequence[float]) -> float:
    """The mean of the fastest quarter: the machine also does other things, and none of them makes it faster."""
    return fmean(sorted(times)[: -(-len(times) // 4)])


# --- the table's file ------------------------------------------------------------------------------------------------


@cache
def _machine() -> dict[str, Any]:
    """What times depend on."""
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
    """Write the table. What others have measured meanwhile stands, so that all agree; where nothing can be written the
    next one measures again."""
    kept = _kept(file)
    fastest = min(parts[REFERENCE], kept.get(REFERENCE, math.inf))
    parts.update(kept | {REFERENCE: fastest})
    content = json.dumps({"machine": _machine(), "parts": parts}, indent=1)
    with suppress(OSError, ValueError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, content.encode())
