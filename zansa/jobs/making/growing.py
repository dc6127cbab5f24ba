"""The training of a network that grows to a budget."""

import json
import shutil
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import Any

from ...arch.budget import parse
from ...learn.defaults import default_net
from ...learn.grow.policy import Fork, Policy
from ...learn.grow.race import beginning
from ...learn.speed import choose_device, choose_speed
from ...learn.train import training
from ...nets.build import Network
from ...record import Run, write_atomic
from ...runs import branches_of
from ..request import free
from .budget import clock_of, plan_of, price_of
from .job import Job


def growing(module: Network, job: Job, run: Run) -> Generator[dict[str, Any]]:
    """The training of a network that grows; where nothing was said of how it begins, behind a race."""
    checkpoint = run.path / "checkpoint.pt"
    if free(job.request) and not checkpoint.exists():
        job = yield from raced(module, job, run)
    shutil.rmtree(run.path / "race", ignore_errors=True)
    policy = growth(job, run)
    with closing(training(module, job.data, job.parts, job.recipe, checkpoint, policy)) as events:
        begun = any(event["event"] in ("start", "resumed") for event in run.lines("events.jsonl"))
        first = next(events)
        yield first if begun else first | {"event": "start"}  # what it goes on from is no training that was stopped
        yield from events
    if text := policy.excess(module.net):
        yield {"event": "warning", "text": text}


def raced(module: Network, job: Job, run: Run) -> Generator[dict[str, Any], None, Job]:
    """The job with the network that won the race, whose state is then the run's checkpoint."""
    budget, pre, folder = parse(job.request.budget or "")[0], job.data.preprocess, run.path / "race"
    folder.mkdir(exist_ok=True)
    began, device = perf_counter(), choose_device(job.recipe.device)
    recipe = choose_speed(module.to(device), job.data, job.parts, job.recipe, device)
    run.write_json("recipe.json", recipe.model_dump(mode="json"))  # all of them, and what goes on, are fast alike
    usual = default_net(pre.size, pre.channels, len(job.data.classes), job.data.kind)
    price, quantum = price_of(budget, job.data, usual)
    winner = yield from beginning(
        usual, price, budget.limit, plan_of(job.request, quantum), job.data, job.parts, recipe, folder
    )
    for each in (*branches_of(run), run):  # a branch may go on before this run has ended
        each.write_json("recipe.json", recipe.model_dump(mode="json"))
        each.write_json("race.json", winner.table)
        each.write_json("start.json", json.loads(winner.net.to_json()))
    if winner.state is not None:
        seconds = round(perf_counter() - began, 3)
        yield {"event": "stage", "text": f"{winner.name} learned best; it goes on", "race_seconds": seconds}
        write_atomic(run.path / "checkpoint.pt", winner.state.read_bytes())
    return replace(job, net=winner.net, recipe=recipe)


def growth(job: Job, run: Run) -> Policy:
    """What changes the network of a run on its way to the budget, and where the smaller budgets leave it."""
    *others, budget = parse(job.request.budget or "")
    forks = [Fork(other.limit, run.path.parent / name / "checkpoint.pt")
             for other, name in zip(others, run.read_json("branches.json"), strict=True)] if others else []  # fmt: skip
    price, quantum = price_of(budget, job.data, job.net)
    clock = clock_of(job.data) if budget.unit == "ms" else None
    price = price if clock is None else clock.right_for(job.net).ms
    plan = plan_of(job.request, quantum)
    return Policy(price, price(job.net), budget.limit, budget.unit, plan, job.data, job.parts, job.recipe,
                  tuple(forks), clock)  # fmt: skip
