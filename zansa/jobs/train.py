"""The verbs that train: `train`, `finetune`, `grow` and `demo` call `train`; `resume` goes on with a run."""

import copy
import shutil
import signal
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch

from ..arch.spec import Net
from ..arch.zoo import READY
from ..events import event
from ..learn import several
from ..learn.data.seal import sealed
from ..learn.data.splits import folds
from ..learn.depth.levels import coarse, refining
from ..learn.folds import holding_out
from ..learn.grow.resbuilder.search import resbuilder
from ..learn.grow.run import growing
from ..learn.linear import fitting
from ..learn.recipe import Recipe
from ..learn.train import helping, training
from ..nets.build import Network, build
from ..nets.files import read
from ..nets.installed_weights import origin
from ..record import Run, locked, new_name
from ..runs import all_finished, branch_names, branches_of, finished
from .door import absolute, data_digest, door, good_of, no_line, remarks, stem_of
from .making.beginnings import compare_beginnings, keep_better, race_text, with_heads
from .making.conclude import conclude, costs, of_fold
from .making.folder import TAUGHT, begin, facts_of, note, of_another_size
from .making.job import Job, check, resolve, smaller, structure, usual_net
from .making.teachers import lessons_for
from .request import FinetuneRequest, Request, Tell, folds_of, learned_weights, read_request, silent, teacher_named


def train(request: Request, out: str | Path = "runs", name: str | None = None, tell: Tell = silent) -> Run:
    """Do the main job: read, split, train (or grow), measure, export, report. Returns the run; ValueError for bad
    input."""
    request = request.model_copy(update={"source": absolute(request.source)})
    if several.join(request.recipe.get("device", "auto")):
        help_with(request)
    check(request, Path(out), name)
    job = resolve(request, tell)
    job = with_heads(replace(job, race=compare_beginnings(job)))
    several.broadcast_order("the data are there")
    run = begun(job, Path(out), new_name(out, stem_of(request.source)) if name is None else name, tell)
    try:
        finish(run, job, tell)
    except ValueError:
        if not any(each["event"] == "epoch" for each in run.lines("events.jsonl")):
            for made in (*branches_of(run), run):  # by this call, and nothing in it is worth keeping
                shutil.rmtree(made.path)
        raise
    finish_branches(run, job, tell)
    return dismissed(run)


def begun(job: Job, out: Path, name: str, tell: Tell) -> Run:
    """The run's folder and those of its smaller budgets, with all that is known before the training."""
    others = smaller(job)
    names = branch_names(name, [budget for each in others if each.growth for budget in each.growth.budgets])
    for taken in (out / other for other in names if (out / other).exists()):
        raise ValueError(f"a run {taken} exists; choose another --name")
    branches = [begin(branch, out, other, main=name) for other, branch in zip(names, others, strict=True)]
    run = begin(job, out, name, names)
    told = [event("note", text=text) for text in remarks(job.data, job.parts, job.recipe)]
    told += [event("warning" if doubt.stays else "note", text=doubt.told) for doubt in job.doubts]
    origins = origin(learned_weights(job.request) or ""), origin(teacher_named(job.request) or "", TAUGHT)
    told += [event("note", text=text) for text in origins if text]
    if job.beginning is not None:
        told.append(event("note", text=job.beginning.told))
    if job.race:
        told.append(event("note", text=race_text(job.race)))
    if job.good is None and (unknown := no_line(job.data)):
        told.append(unknown)
    if text := of_another_size(learned_weights(job.request), job.data.preprocess):
        told.append(event("note", text=text))
    for line in told:
        tell(line)
        for each in (run, *branches):
            each.append("events.jsonl", line)
    tell(event("run", path=str(run.path), net=str(job.net), cost=costs(job.net, 1), epochs=job.recipe.epochs))
    return run


def resume(path: str | Path, tell: Tell = silent) -> Run:
    """Go on with a run that was stopped or killed, to the same result as an unbroken one."""
    run = Run.open(path)
    files = run.files()
    if all_finished(run):
        raise ValueError(f"{run.path} is finished; there is nothing to resume")
    if "request.json" not in files:
        raise ValueError(f"{run.path} was killed before its training began; delete it and train again")
    main = run.read_json("data.json").get("branch_of")
    if main is not None:
        raise ValueError(f"{run.path} is a smaller budget of another growth: resume {run.path.parent / main}")
    request = read_request(run.read_json("request.json"))
    if several.join(request.recipe.get("device", "auto")):
        help_with(request)
    job = taken_up(run, request, tell)
    if not finished(run):
        finish(run, job, tell)
    finish_branches(run, job, tell)
    return dismissed(run)


def taken_up(run: Run, request: Request, tell: Tell) -> Job:
    """The job of a run that has begun; network and recipe are those of its folder. ValueError where the data have
    changed since."""
    data, parts = door(request, tell)
    several.broadcast_order("the data are there")
    begun_with = run.read_json("data.json")
    if data_digest(data, parts, begun_with.get("digest_of", "files")) != begun_with["digest"]:
        raise ValueError(
            f"the {data.preprocess.noun}s of {request.source} have changed since {run.path} began; train anew"
        )
    net = Net.from_dict(run.read_json("start.json" if "start.json" in run.files() else "spec.json"))
    given = net if (run.path / "start.safetensors").exists() else None
    usual = usual_net(data)
    usual = usual.but({"stem": usual.stem.but({"contrast": net.stem.contrast})})  # its level may have been doubted
    _, growth, search = structure(request, data, parts, given, usual)
    recipe = Recipe.model_validate(run.read_json("recipe.json"))
    return Job(request, data, parts, good_of(request.good, data), net, recipe, growth, search)


def finish_branches(run: Run, job: Job, tell: Tell) -> None:
    """Finish the runs of the smaller budgets, which have left this run's growth on its way, one after the other."""
    if not finished(run):
        return
    for other, branch in zip(branches_of(run), smaller(job), strict=True):
        if not finished(other):
            assert branch.growth is not None
            tell(event("stage", text=f"{other.path}: the same growth, to {branch.growth.budgets[0]}"))
            finish(other, replace(branch, net=Net.from_dict(run.read_json("start.json"))), tell)
            if not finished(other):
                return  # it was stopped


def finish(run: Run, job: Job, tell: Tell) -> Run:
    """Train (or go on), then measure, export and report. Ctrl-C leaves a usable run without test figures."""
    module = build(job.net, torch.Generator().manual_seed(job.recipe.seed))
    if (run.path / "start.safetensors").exists():
        module.load_state_dict(read(run.path / "start.safetensors")[1])
    facts = facts_of(run.lines("events.jsonl"))
    with locked(run), closing(learning(module, job, run, tell)) as events:
        try:
            for each in events:
                note(run, each, facts)
                tell(each)
        except ValueError as error:
            run.append("events.jsonl", event("failed", text=str(error)))
            raise
        except KeyboardInterrupt:
            facts["stopped"] = True
            run.append("events.jsonl", event("stopped"))
            racing = job.growth is not None and "starts" not in facts
            so_far = " before the first network was chosen: model.onnx has learned nothing" if racing else ""
            tell(event("warning", text=f"stopped{so_far}; `zansa resume {run.path}` goes on with the training"))
        conclude(run, job, module, facts, tell)
        if "stopped" not in facts:
            for folder in ("race", "folds"):
                shutil.rmtree(run.path / folder, ignore_errors=True)
            for saved in run.path.glob("checkpoint*"):
                saved.unlink()
    return run


def learning(module: Network, job: Job, run: Run, tell: Tell) -> Generator[dict[str, Any]]:
    """The training, with what changes the network on its way to a budget. Test samples have no part in it."""
    data, parts = sealed(job.data, job.parts)
    checkpoint = run.path / "checkpoint.pt"
    if job.search is not None:
        return resbuilder(module, data, parts, job.recipe, *job.search, checkpoint)
    if job.recipe.levels > 1:
        fine = Net.from_dict(run.read_json("fine.json"))
        module.become(build(coarse(fine, job.recipe.levels), torch.Generator().manual_seed(job.recipe.seed)))
        return training(module, data, parts, job.recipe, checkpoint, refining(fine, job.recipe.levels))
    if isinstance(job.request, FinetuneRequest) and job.request.linear:
        return fitting(module, data, parts, job.recipe, learned_weights(job.request) not in READY)
    if job.growth is None:
        last = training(module, data, parts, job.recipe, checkpoint, teaching=lessons_for(job, run, tell))
        return keep_better(by_folds(module, job, run, last), module, job, run, data, parts)
    forks = [branch.path / "checkpoint.pt" for branch in branches_of(run)]
    return growing(module, data, parts, job.recipe, job.growth, run.path, forks)


def by_folds(module: Network, job: Job, run: Run, last: Generator[dict[str, Any]]) -> Generator[dict[str, Any]]:
    """The trainings by which every sample is held out once, where folds were asked for; then that of the network."""
    if count := folds_of(job.request):
        first = copy.deepcopy(module)
        parts = folds(job.data, count, job.request.seed, job.request.val)
        choose = partial(of_fold, job)
        with closing(
            holding_out(lambda: copy.deepcopy(first), job.data, parts, job.recipe, choose, run.path / "folds")
        ) as told:
            yield from told
        yield event("stage", text=f"one network from all {len(job.data)}")
    with closing(last) as events:
        yield from events


def help_with(request: Request) -> NoReturn:
    """Do what a process does that does not lead: its share of every step, until the leader is done or has gone."""
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)  # the leader sees to it
    if several.receive_order():
        helping(*sealed(*door(request.model_copy(update={"download": False}), silent)))
    raise SystemExit(0)


def dismissed(run: Run) -> Run:
    """The run, when it has ended. The other processes may go, unless the run was stopped in the middle of a step."""
    if all_finished(run):
        several.dismiss()
    return run
