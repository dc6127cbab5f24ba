"""A probe: a training of a few steps in a process of its own, from which the time and memory of a whole one follow.

The process does all that a training does, from reading the data to the report, in a folder that is deleted. Only the
steps are few. Its test part is a copy of validation samples, so that no test sample is read. `python -m
zansa.jobs.making.probe` reads a request from standard input and prints what it measured.
"""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ...arch.cost import cost
from ...arch.spec import Net
from ...deploy.bench import latency
from ...deploy.runtime import predictor
from ...learn.grow.policy import Policy
from ...learn.grow.race import VARIANTS
from ...learn.grow.start import seed_net
from ...learn.speed import choose_device, memory_format
from ...learn.state import State
from ...learn.train import FEW, steps_per_epoch, training
from ...nets.build import build
from ..request import Request, read_request, silent
from .conclude import conclude
from .folder import begin
from .job import Job, resolve

EPOCHS, STEPS = 3, 6  # of the probe
ANSWERING = """
import sys
from zansa.deploy.bench import latency, memory
from zansa.deploy.runtime import predictor
latency(predictor(sys.argv[1]), repeats=5)
print(memory())
"""
FIRST = 2  # steps that warm up
RIVALS = 1 + len(VARIANTS)  # of the race with which a growth begins
BUSY = 1.3  # seconds that pass for each second of work from which a machine counts as busy


def probe(request: Request) -> dict[str, Any]:
    """What a short training with this request took, in a child process. ValueError with its message where it failed."""
    began = time.time()
    asked = json.dumps({"request": request.model_dump(mode="json"), "began": began})
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"the probe failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def foretold(found: dict[str, Any]) -> dict[str, Any]:
    """From a probe to the whole training: seconds of work and of waiting, and bytes.

    cpu: seconds of work of all threads. seconds: as the machine is now. quiet: on a quiet machine, at least. memory:
    bytes at the peak. busy: whether others use the machine.
    """
    parts = {}
    for clock in ("cpu", "wall"):
        step = found["step"][clock]
        each = found["per_epoch"] * step + found["epoch"][clock]
        parts[clock] = {"start": found["start"][clock], "training": found["epochs"] * each, "end": found["end"][clock]}
        if (grown := found["grown"]) is not None:
            steps = found["epochs"] * found["per_epoch"] * _steps_in_growth(grown, step, grown[clock])
            parts[clock]["training"] = steps + found["epochs"] * found["epoch"][clock]
            parts[clock]["race"] = grown["race_epochs"] * each
            parts[clock]["decisions"] = _decisions_of_growth(grown, clock)
    work, wall = (sum(part.values()) for part in parts.values())
    quiet = work / found["threads"] if found["device"] == "cpu" else wall
    return {
        "cpu": work,
        "seconds": wall,
        "quiet": min(quiet, wall),
        "busy": found["device"] == "cpu" and wall > BUSY * quiet,
        "memory": found["memory"],
        "parts": parts,
    }


def _steps_in_growth(grown: dict[str, Any], first: float, full: float) -> float:
    """Seconds of a step, on average over a growth: they rise with the price, whose course the schedule sets. The steps
    that the race has done are left out."""
    prices, total, held = _prices(grown["first"], grown["events"]), 0.0, grown["raced_until"]
    moments = (*np.linspace(grown["begin"], grown["end"], grown["events"]), 1.0)
    for moment, price in zip(moments, prices, strict=True):
        total += max(0.0, moment - held) * _between(prices[0], first, 1.0, full, price)
        held = max(held, moment)
    return float(total)


def _decisions_of_growth(grown: dict[str, Any], clock: str) -> float:
    """Seconds of all decisions: they rise with the price that the network has before them."""
    prices, (first, last) = _prices(grown["first"], grown["events"])[:-1], (each[clock] for each in grown["decided"])
    return sum(_between(prices[0], first, prices[-1], last, price) for price in prices)


def _prices(first: float, events: int) -> list[float]:
    """What the network costs before each event of a growth and after the last, as shares of the budget."""
    return [first ** (1 - k / events) for k in range(events + 1)]


def _between(x0: float, y0: float, x1: float, y1: float, x: float) -> float:
    """The value at x of the line through two points; y0 where they are one."""
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0) if x1 != x0 else y0


# --- in the child -------------------------------------------------------------------------------------------------


def measured(request: Request, began: float) -> dict[str, Any]:
    """Everything that a training does, with few steps, and what each part of it took."""
    job = resolve(request, silent)
    per_epoch, epochs = steps_per_epoch(job.recipe, job.parts), job.recipe.epochs
    start = {"cpu": time.process_time(), "wall": time.time() - began}
    with tempfile.TemporaryDirectory() as folder:
        short = few_steps(job)
        module = build(job.net, torch.Generator().manual_seed(job.recipe.seed))
        if job.start is not None:
            module.load_state_dict(job.start.state_dict())
        run = begin(replace(job, growth=None), folder, "probe")
        step, epoch, facts = timed(module, short, run.path / "checkpoint.pt")
        grown = None if job.growth is None else grown_step(job)
        ends = clocks()
        conclude(run, replace(short, parts=replace(job.parts, test=short.parts.test)), module, facts, silent)
        end = since(ends)
        file = run.path / "model.onnx"
        running = latency(predictor(file)) | {"memory": answering_bytes(file)} if file.exists() else None
    return {
        "start": start,
        "step": step,
        "epoch": epoch,
        "end": end,
        "grown": grown,
        "per_epoch": per_epoch,
        "epochs": epochs,
        "memory": peak_bytes(),
        "threads": torch.get_num_threads(),
        "device": facts["device"],
        "running": running,
        "macs": cost(job.net, 1).macs,
        "params": cost(job.net, 1).params,
        "batch": job.recipe.batch,
        "precision": facts["precision"],
    }


def few_steps(job: Job) -> Job:
    """A job cut down to a few steps of whole batches; its test part is a copy of validation samples."""
    batch = min(job.recipe.batch, len(job.parts.train))
    steps = min(STEPS, len(job.parts.train) // batch)
    chosen = np.linspace(0, len(job.parts.train) - 1, steps * batch).round().astype(int)
    parts = replace(job.parts, train=job.parts.train[chosen], test=np.resize(job.parts.val, len(job.parts.test)))
    recipe = job.recipe.model_copy(update={"epochs": max(EPOCHS, math.ceil(STEPS * EPOCHS / steps)), "patience": 0.0})
    return replace(job, parts=parts, recipe=recipe, growth=None, search=None)


def timed(module: Any, job: Job, checkpoint: Path) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
    """Seconds of a step, and of what comes at the end of an epoch, and what the training said of the machine."""
    steps: list[dict[str, float]] = []
    ends: list[dict[str, float]] = []
    facts: dict[str, Any] = {}
    last, after_epoch = clocks(), False
    for event in training(module, job.data, job.parts, job.recipe, checkpoint):
        if event["event"] == "start":
            facts |= {name: event[name] for name in ("device", "precision", "layout", "threads")}
            last = clocks()
        elif event["event"] == "step":
            (ends if after_epoch else steps).append(since(last))
            last, after_epoch = clocks(), False
        elif event["event"] == "epoch":
            after_epoch = True
    step = {clock: median(each[clock] for each in steps[FIRST:] or steps) for clock in ("cpu", "wall")}
    epoch = {clock: max(0.0, median(each[clock] for each in ends) - step[clock]) for clock in step}
    checkpoint.unlink(missing_ok=True)
    return step, epoch, facts


def grown_step(job: Job) -> dict[str, Any]:
    """Seconds of a step of a network that costs as much as the budget allows, and the course of prices up to there."""
    growth = job.growth
    assert growth is not None
    full = seed_net(growth.usual or job.net, growth.price, growth.limit, 1.0, growth.quantum)
    with tempfile.TemporaryDirectory() as folder:
        module = build(full, torch.Generator().manual_seed(0))
        step, _, _ = timed(module, replace(few_steps(job), net=full), Path(folder) / "checkpoint.pt")
    schedule, epochs, share = growth.schedule, job.recipe.epochs, growth.price(job.net) / growth.limit
    before = share ** (1 / schedule.events)  # what the network costs before the last event
    nearly = seed_net(growth.usual or job.net, growth.price, growth.limit, before, growth.quantum)
    raced = growth.usual is not None and round(schedule.begin * epochs) >= 1 and len(job.parts.val) >= FEW
    return step | {
        "first": share,
        "decided": [decision(job, net, k) for net, k in ((job.net, 1), (nearly, schedule.events))],
        "begin": schedule.begin,
        "end": schedule.end,
        "events": schedule.events,
        "macs": cost(full, 1).macs,
        "raced_until": schedule.begin if raced else 0.0,
        "race_epochs": RIVALS * max(1, round(schedule.begin * epochs / 2)) if raced else 0,
    }


def decision(job: Job, net: Net, k: int) -> dict[str, float]:
    """Seconds of what happens to this network at event k of a growth: what may go and come is judged, and the network
    is changed. Fresh weights may promise nothing that is certain; all axes become wider here all the same."""
    growth, began = job.growth, clocks()
    assert growth is not None
    device, layout = choose_device(job.recipe.device), memory_format(job.recipe)
    module = build(net, torch.Generator().manual_seed(0)).to(device).to(memory_format=layout)
    open_handed = replace(growth, schedule=replace(growth.schedule, likely=-1.0))
    price = growth.right_price(job.net)
    policy = Policy(open_handed, price, price(job.net), job.data, job.parts, job.recipe)
    state, steps = State(module, job.recipe), job.recipe.epochs * steps_per_epoch(job.recipe, job.parts)
    for change in policy.changes(state, steps, k):
        state.edit(change, device, layout)
    return since(began)


def clocks() -> dict[str, float]:
    """Seconds of work of this process so far, and of the clock on the wall."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return {"cpu": time.process_time(), "wall": time.perf_counter()}


def since(before: dict[str, float]) -> dict[str, float]:
    """Seconds since then on both clocks."""
    return {clock: value - before[clock] for clock, value in clocks().items()}


def answering_bytes(file: Path) -> int:
    """The memory of a process of its own, without torch, that answers with an exported file."""
    asked = [sys.executable, "-c", ANSWERING, str(file)]
    return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


def peak_bytes() -> int:
    """The most memory that this process has held.

    Linux tells it of this program alone; `getrusage` there also counts what stood in memory before the program began.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    except (OSError, StopIteration):
        scale = 1 if sys.platform == "darwin" else 1024
        return scale * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Measure the request that standard input holds."""
    asked = json.loads(sys.stdin.read())
    with open(os.dup(1), "w") as out:
        os.dup2(2, 1)  # what libraries print must not stand in the answer
        found = measured(read_request(asked["request"]), asked["began"])
        print(json.dumps(found), file=out)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(str(error).replace("\n", " "))
