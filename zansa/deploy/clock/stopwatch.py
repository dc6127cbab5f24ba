"""How long models take in onnxruntime, one sample at a time on one thread, as multiples of a reference network.

A processor's clock is not steady: from one second to the next the same network takes a tenth longer or less, and twice
as long while a neighbour shares the core. So whatever is measured is measured in turns with a reference network.

Everything is measured in a process of its own, as exported files run. Beside a training, in whose process memory is
large and scattered, small networks take up to a quarter longer and the reference does not.
"""

import atexit
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime

from ...arch.spec import Block, Head, Input, Net, Stage, Stem
from ...arch.zoo import cifar_net
from .twin import NUMBERS, twin

PROFILED = 20  # runs of a network for its parts
TURN, TURNS, SECONDS = 10, 9, 2.0  # runs in a turn; how many turns at least, and for how long
GLANCES, GLANCE, PAUSE = 8, 0.25, 0.5  # how often the reference is watched for its usual time; seconds of each, between
WATCH = "ZANSA_WATCH"  # the environment variable for `watch`
EVENT = "_kernel_time"  # the end of a node's name in onnxruntime's profile


def multiple(model: bytes, size: Sequence[int] = ()) -> float:
    """How many times as long as the reference a run of a model takes. `size` is that of the sample, for models that
    take any."""
    times: float = _asked("multiple", model, size)
    return times


def nodes(model: bytes) -> dict[str, float]:
    """How long each node of a model takes under onnxruntime's profiler, in the order of computation, as a multiple of
    the reference."""
    multiples: dict[str, float] = _asked("nodes", model)
    return multiples


def pace() -> float:
    """Microseconds that the reference takes here when nothing disturbs it for a quarter of a second."""
    microseconds: float = _asked("pace")
    return microseconds


def watch() -> float:
    """How long is measured, as a share of the usual seconds: what ZANSA_WATCH says, else 1. Less is sooner known and
    less exact."""
    text = os.environ.get(WATCH) or "1"
    with suppress(ValueError):
        if 0 < (share := float(text)) < math.inf:
            return share
    raise ValueError(f"{WATCH}={text!r} is no share of the usual measuring time; give a number above 0, such as 0.1")


def reference() -> Net:
    """The reference network, of the shape that grown networks have: thin layers on large maps, wide ones on small.
    Other work on the machine slows such networks alike; blocks of one width it slows by up to a sixth more."""
    return cifar_net(Block(kind="basic", hidden=(16,)), (1,) * 5, (16, 32, 48, 80, 112), shortcut="average", classes=2)


def uniform(width: int, blocks: int, channels: int = 3, size: tuple[int, ...] = (16, 16)) -> Net:
    """A network of blocks of one width, on maps of at most 16 positions a side."""
    stage = Stage(width=width, blocks=(Block(kind="basic", hidden=(width,)),) * blocks)
    stem = Stem(width=width, stride=-(-max(size) // 16))
    return Net(input=Input(channels=channels, size=size), stem=stem, stages=(stage,), head=Head(classes=2))


# --- the process that asks -------------------------------------------------------------------------------------------


def _asked(task: str, model: bytes = b"", size: Sequence[int] = ()) -> Any:
    """The answer of the measuring process. An interruption ends that process, lest an answer be taken for another's."""
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    order, answer = {"task": task, "bytes": len(model), "size": list(size), "watch": watch()}, b""
    try:
        with suppress(OSError):
            process.stdin.write(json.dumps(order).encode() + b"\n" + model)
            process.stdin.flush()
        answer = process.stdout.readline()
    finally:
        if not answer:
            _process.cache_clear()
            process.kill()
            process.communicate()
    if not answer:
        raise OSError(f"the process that times networks was ended (exit code {process.returncode})")
    reply = json.loads(answer)
    if "fault" in reply:
        raise OSError(f"timing networks does not work here: {reply['fault']}")
    return reply["answer"]


@cache
def _process() -> subprocess.Popen[bytes]:
    """The measuring process, which ends when its input does. Ctrl-C reaches only the process that asks."""
    paths = [os.path.abspath(path) for path in sys.path if isinstance(path, str)]
    code = f"import sys; sys.path[:] = {paths!r}; from {__name__} import serve; serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait()
    process.stdout.close()


# --- the process that measures ---------------------------------------------------------------------------------------


def serve() -> None:
    """Answer one order after the other: a line of JSON, then the model; answers are lines of JSON."""
    tasks: dict[str, Callable[[bytes, dict[str, Any]], Any]] = {
        "multiple": lambda model, order: _multiple(model, order["size"], order["watch"]),
        "nodes": lambda model, _: _nodes(model),
        "pace": lambda _, order: _pace(order["watch"]),
    }
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        model = sys.stdin.buffer.read(order["bytes"])
        try:
            found = {"answer": tasks[order["task"]](model, order)}
        except Exception as error:
            found = {"fault": str(error)}
        print(json.dumps(found), flush=True)


def _multiple(model: bytes, size: Sequence[int], share: float) -> float:
    session, multiples, end = _session(model), list[float](), time.perf_counter() + share * SECONDS
    while len(multiples) < TURNS or time.perf_counter() < end:
        multiples.append(_low(_seconds(session, size, TURN)) / _reference())
    return median(multiples)


def _nodes(model: bytes) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        session = _session(model, Path(folder) / "profile")
        before = _reference()
        _seconds(session, (), PROFILED)
        now = 1e6 * fmean((before, _reference()))
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = {}
    for event in events:
        if event["name"].endswith(EVENT):
            times.setdefault(event["name"], []).append(event["dur"])
    return {name: _low(durations) / now for name, durations in times.items()}


def _pace(share: float) -> float:
    glances = list[float]()
    for _ in range(GLANCES):
        seconds, end = list[float](), time.perf_counter() + share * GLANCE
        while time.perf_counter() < end:
            seconds.append(_reference())
        glances.append(median(seconds))
        time.sleep(share * PAUSE)
    return 1e6 * _low(glances)


def _reference() -> float:
    """Seconds of the reference network now."""
    return _low(_seconds(_referee(), (), TURN))


@cache
def _referee() -> onnxruntime.InferenceSession:
    """The reference network."""
    return _session(twin(reference()).SerializeToString())


def _session(model: bytes, profile: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _seconds(session: onnxruntime.InferenceSession, size: Sequence[int], runs: int) -> list[float]:
    """Seconds of each run of a session, one sample at a time."""
    feed, times = _feed(session, size), list[float]()
    for _ in range(runs):
        begun = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - begun)
    return times


def _feed(session: onnxruntime.InferenceSession, size: Sequence[int]) -> dict[str, np.ndarray]:
    """One sample for each input of a session. `size` is that of the sample, for inputs that take any."""
    symbols, types = dict(zip("NHW", (1, *size), strict=False)), {"tensor(float)": "float32"}
    feed = {}
    for value in session.get_inputs():
        shape = [symbols.get(n, n) for n in value.shape]
        feed[value.name] = np.resize(50 * abs(NUMBERS), shape).astype(types.get(value.type, value.type[7:-1]))
    return feed


def _low(times: Sequence[float]) -> float:
    """The mean of the fastest quarter. The machine also does other things, and none of them makes it faster."""
    return fmean(sorted(times)[: -(-len(times) // 4)])
