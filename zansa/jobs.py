"""The work of each verb: one function a verb, used by the command line and from Python alike.

`tell` gets what happens, as dictionaries with an "event"; the command line shows them, a program may ignore them.
"""

import base64
import copy
import csv
import hashlib
import io
import json
import shutil
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, Literal, NoReturn

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from . import report
from .arch import zoo
from .arch.budget import Budget, parse
from .arch.cost import cost
from .arch.spec import Input, Net
from .arch.use import OperatingPoint, Preprocess
from .deploy.export import export
from .deploy.runtime import Predictor, latency, predictor, samples
from .deploy.timing import Timer, timer
from .inputs.images import fit_image, image_files, read_image
from .inputs.pictures import picture
from .inputs.series import DNA
from .learn import several
from .learn.adapt import align, batches_of, renormalise
from .learn.data import load
from .learn.data.cache import default_folder
from .learn.data.dataset import Dataset
from .learn.data.public import SETS as PUBLIC_SETS
from .learn.data.seal import sealed
from .learn.data.splits import Parts, contradictions, leaks, split
from .learn.data.synthetic import builtin
from .learn.defaults import default_net, default_recipe, gentler
from .learn.evaluate import choose_threshold, doubtful, figures, good_class, scores
from .learn.grow.moves import Price
from .learn.grow.policy import HEALING, Fork, Plan, Policy, annealed, lengthened
from .learn.grow.race import beginning
from .learn.grow.resbuilder import Plan as Runs
from .learn.grow.resbuilder import Switches, empty_net, resbuilder
from .learn.grow.start import pricing, refuse_too_dear, seed_net
from .learn.predict import normalised, probabilities, to_tensor
from .learn.train import Recipe, choose_device, choose_speed, helping, training
from .learn.tune import Tuning
from .nets.build import Network, build
from .nets.donor import Donor, read_donor
from .nets.files import Model, read
from .nets.files import load as load_model
from .nets.files import save as save_model
from .nets.start import initialise
from .record import Run, held, new_name, write_atomic

Tell = Callable[[dict[str, Any]], None]
MACHINE = ("precision", "layout", "device", "threads", "processes")  # what the metrics say of a training's start
EXAMPLES = 24  # pictures in the report
IN_TURNS = "ONNX Runtime, in turns with a reference"  # how milliseconds were measured where they are the budget
PARITY_IMAGES = 64  # validation images that the exported file must answer as the network does
NO_GROUPS = {
    False: "no groups are given: when several pictures show one part, name it in a manifest's group column",
    True: "no groups are given: when several rows come from one person or machine, name it in a column group",
}


def silent(event: dict[str, Any]) -> None:
    """Tell nobody."""


Side = Annotated[int, Field(ge=8, le=2048)]


class Request(BaseModel):
    """What was asked for; None leaves the choice to zansa. It stays in the run's folder, so that `resume` can go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    net: str | None = None
    good: str | None = None
    max_false_alarms: Annotated[float, Field(ge=0, lt=1)] = 0.02
    size: tuple[Side, Side] | None = None
    fit: Literal["letterbox", "stretch"] = "stretch"
    channels: Literal[1, 3] | None = None
    kind: Literal["surface", "symbol", "natural", "signal", "sequence"] | None = None
    root: str | None = None
    download: bool = False
    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    recipe: dict[str, Any] = {}
    weights: str | None = None
    budget: str | None = None
    method: Literal["zansa", "resbuilder"] = "zansa"
    mend: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A request with all that follows from it: the data and their parts, the first network and, where its weights were
    learned elsewhere, the network itself, and the recipe."""

    request: Request
    data: Dataset
    parts: Parts
    net: Net
    recipe: Recipe
    start: Network | None = None


def train(request: Request, out: str | Path = "runs", name: str | None = None, tell: Tell = silent) -> Run:
    """The main job: read, split, train, measure, export, report; with a budget the network grows to it. Returns the
    run; ValueError for bad input."""
    request = request.model_copy(update={"source": absolute(request.source)})
    if several.join(request.recipe.get("device", "auto")):
        help_with(request)
    check(request, Path(out), name)
    job = prepare(request, tell)
    several.broadcast_order("the data are there")
    name = new_name(out, _stem(request.source)) if name is None else name
    names = {f"{name}-{written(branch.request.budget)}": branch for branch in smaller(job)}
    for taken in (Path(out) / other for other in names if (Path(out) / other).exists()):
        raise ValueError(f"a run {taken} exists; choose another --name")
    branches = [begin(branch, out, other, main=name) for other, branch in names.items()]
    run = begin(job, out, name, list(names))
    for text in remarks(job.data, job.parts, job.recipe):
        tell({"event": "note", "text": text})
        for each in (run, *branches):
            each.append("events.jsonl", {"event": "note", "text": text})
    tell({"event": "run", "path": str(run.path), "net": str(job.net), "cost": costs(job.net, 1),
          "epochs": job.recipe.epochs})  # fmt: skip
    try:
        finish(run, job, tell)
    except ValueError:
        if not any(event["event"] == "epoch" for event in run.lines("events.jsonl")):
            for made in (run, *branches):  # by this call, and nothing in it is worth keeping
                shutil.rmtree(made.path)
        raise
    finish_branches(run, job, tell)
    return dismissed(run)


def help_with(request: Request) -> NoReturn:
    """What a process does that does not lead: its share of every step, until the leader is done or has gone."""
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)  # the leader sees to it
    if several.receive_order():
        helping(*sealed(*door(request.model_copy(update={"download": False}), silent)))
    raise SystemExit(0)


def dismissed(run: Run) -> Run:
    """The run, when it has ended; the other processes may go, unless it was stopped in the middle of a step."""
    if all(map(finished, [run, *branches_of(run)])):
        several.dismiss()
    return run


def smaller(job: Job) -> list[Job]:
    """The same job for each budget but the largest."""
    budgets = parse(job.request.budget)[:-1] if job.request.budget else ()
    requests = (job.request.model_copy(update={"budget": str(b)}) for b in budgets)
    return [replace(job, request=request) for request in requests]


def written(budget: str | None) -> str:
    """A budget as a part of a folder's name."""
    return str(budget).replace("=", "-").replace("+", "")


def finish_branches(run: Run, job: Job, tell: Tell) -> None:
    """The runs of the smaller budgets, which have left the growth of this one on its way, one after the other."""
    if not finished(run):
        return
    for other, branch in zip(branches_of(run), smaller(job), strict=True):
        if not finished(other):
            tell({"event": "stage", "text": f"{other.path}: the same growth, to {branch.request.budget}"})
            recipe, net = run.read_json("recipe.json"), Net.from_dict(run.read_json("start.json"))
            finish(other, replace(branch, net=net, recipe=Recipe.model_validate(recipe)), tell)
            if not finished(other):
                return  # it was stopped


def frontier(run: Run) -> list[dict[str, Any]]:
    """A row for each budget of a growth, the smallest first: what its network costs, and its figures."""
    rows = []
    for each in filter(finished, [*branches_of(run), run]):
        metrics = each.read_json("metrics.json")
        budget = parse(each.read_json("request.json")["budget"])[-1]
        rows.append({
            "budget": str(budget), "run": str(each.path), "macs": metrics["cost"]["macs"],
            "params": metrics["cost"]["params"], "ms": metrics["latency"][0]["ms"], "test": metrics["test"],
            "noun": each.read_json("data.json")["noun"],
        })  # fmt: skip
    return rows


def branches_of(run: Run) -> list[Run]:
    """The runs of smaller budgets that leave the growth of this one."""
    names = run.read_json("branches.json") if "branches.json" in run.files() else []
    return [Run.open(run.path.parent / name) for name in names]


def finished(run: Run) -> bool:
    """Whether a run has come to its end."""
    return (
        "checkpoint.pt" not in run.files() and "metrics.json" in run.files() and "test" in run.read_json("metrics.json")
    )


def prepare(request: Request, tell: Tell) -> Job:
    """All that can be known before anything is written."""
    donor = None if request.weights is None else read_donor(request.weights)
    data, parts = door(request, tell)
    refuse_blind_line(good_of(request, data), data, parts)
    start = None if donor is None else adopted(donor, request, data)
    net = chosen_net(request, data) if start is None else start.net
    if request.budget is not None and request.method == "zansa":
        budget = parse(request.budget)[0]
        price, quantum = price_of(budget, data, net)
        refuse_too_dear(net, price, budget.limit, quantum)
    return Job(request, data, parts, net, chosen_recipe(request, data, parts, len(net.stages) + 2), start)


def check(request: Request, out: Path, name: str | None) -> None:
    """Refuse what can be refused before any data are read."""
    recipe = Recipe.model_validate(request.recipe)
    if request.budget is not None:
        parse(request.budget)
        if request.method == "resbuilder":
            published(request)
        elif request.mend:
            raise ValueError("faults to mend were named; they are those of --method resbuilder")
        if recipe.compile:
            raise ValueError("a network that grows cannot be compiled: leave --compile out")
    choose_device(recipe.device)
    if request.net is not None:
        zoo.read(request.net)
    if name is not None and (out / name).exists():
        raise ValueError(f"a run {out / name} exists; choose another --name, or leave it out for the next free one")


def absolute(source: str) -> str:
    """A path that stays true from any folder; names of built-in and public sets as they are."""
    if not source.strip():
        raise ValueError("no data was named; name a folder, a table, an .npz or a public set ('.' is this folder)")
    if source == "synthetic" and Path(source).exists():
        raise ValueError("'synthetic' means the built-in set, and a folder of that name is here too: write ./synthetic")
    return source if source in {"synthetic", *PUBLIC_SETS} else str(Path(source).absolute())


def resume(path: str | Path, tell: Tell = silent) -> Run:
    """Go on with a run that was stopped or killed, to the same result as an unbroken one."""
    run = Run.open(path)
    files = run.files()
    if all(map(finished, [run, *branches_of(run)])):
        raise ValueError(f"{run.path} is finished; there is nothing to resume")
    if "request.json" not in files:
        raise ValueError(f"{run.path} was killed before its training began; delete it and train again")
    main = run.read_json("data.json").get("branch_of")
    if main is not None:
        raise ValueError(f"{run.path} is a smaller budget of another growth: resume {run.path.parent / main}")
    request = Request.model_validate(run.read_json("request.json"))
    if several.join(request.recipe.get("device", "auto")):
        help_with(request)
    data, parts = door(request, tell)
    several.broadcast_order("the data are there")
    if data_digest(data, parts) != run.read_json("data.json")["digest"]:
        raise ValueError(
            f"the {data.preprocess.noun}s of {request.source} have changed since {run.path} began; train anew"
        )
    net = Net.from_dict(run.read_json("start.json" if "start.json" in files else "spec.json"))
    job = Job(request, data, parts, net, Recipe.model_validate(run.read_json("recipe.json")))
    if not finished(run):
        finish(run, job, tell)
    finish_branches(run, job, tell)
    return dismissed(run)


def door(request: Request, tell: Tell) -> tuple[Dataset, Parts]:
    """The data set, normalised on its training part, and its parts; tells what is wrong with it."""
    if request.source == "synthetic":
        data = builtin(request.seed)
    else:
        data = load(
            request.source, size=request.size, fit=request.fit, channels=request.channels, kind=request.kind,
            root=Path(request.root) if request.root else None, download=request.download,
            progress=lambda done, total: tell({"event": "read", "done": done, "total": total}),
        )  # fmt: skip
    parts = split(data, request.seed, request.val, request.test)
    for problem in data.problems:
        tell({"event": "warning", "text": problem})
    for fault, pairs in (("stands in two parts", leaks(data, parts)), ("has two labels", contradictions(data))):
        if pairs:
            shown = "; ".join(f"{one} and {other}" for one, other in pairs[:3])
            more = f"; and {len(pairs) - 3} more pairs" if len(pairs) > 3 else ""
            tell({"event": "warning", "text": f"the same {data.preprocess.noun} {fault}: {shown}{more}"})
    return data.normalised(parts.train), parts


def chosen_recipe(request: Request, data: Dataset, parts: Parts, count: int = 6) -> Recipe:
    """The default recipe with what was asked for in its place; switches of the augmentation one by one, {} for none.
    Learned weights get a gentler one, for a network of so many parts (stem, stages, head)."""
    recipe = default_recipe(data, parts, request.seed)
    if free(request):
        recipe = lengthened(recipe)
    if request.weights is not None:
        recipe = gentler(recipe, len(parts.train) / len(data.classes), count)
        if request.budget is not None:
            recipe = recipe.model_copy(update={"tuning": Tuning()})  # all that may change must learn
    default, asked = recipe.model_dump(), dict(request.recipe)
    if asked.get("optimizer") == "adamw":
        default["rate"] /= 50  # 0.002 for 0.1: steps of a size of their own
    for name in ("augment", "tuning"):
        if asked.get(name):
            asked[name] = default[name] | asked[name]
    if "warmup" in asked and "hold" not in asked:
        default["hold"] = min(default["hold"], 1 - asked["warmup"])
    recipe = Recipe.model_validate(default | asked)
    if request.budget is not None and request.method == "zansa" and "hold" not in asked:
        recipe = annealed(recipe, plan_of(request))
    if recipe.augment.reverse_complement and data.preprocess.alphabet != DNA:
        raise ValueError(f"reverse_complement was asked; allowed: for DNA, and these are {data.preprocess.noun}s of "
                         f"{data.preprocess.alphabet or 'numbers'}")  # fmt: skip
    return recipe


def remarks(data: Dataset, parts: Parts, recipe: Recipe) -> list[str]:
    """What was decided from the data alone, with its reason."""
    counts = np.bincount(data.labels[parts.train], minlength=len(data.classes))
    few, many, noun = int(counts.argmin()), int(counts.argmax()), data.preprocess.noun
    sizes = f"{len(parts.train)} {noun}s to learn from, {len(parts.val)} to decide by, {len(parts.test)} to prove it"
    texts = [*data.remarks, sizes]
    if recipe.balance != "none" and counts[many] > 2 * counts[few]:
        texts.append(
            f"the classes are uneven ({data.classes[few]} {counts[few]}, {data.classes[many]} {counts[many]} {noun}s): "
            f"rare ones are made to count in training (balance {recipe.balance}; --balance none switches it off)"
        )
    if data.groups is None and data.split is None:
        texts.append(NO_GROUPS[data.preprocess.series])
    return texts


def chosen_net(request: Request, data: Dataset) -> Net:
    """The network that was named (a zoo entry, a JSON file), fitted to the data, or the default one."""
    channels, size = data.preprocess.channels, data.preprocess.size
    if request.net is None:
        net = default_net(size, channels, len(data.classes), data.kind)
        if request.budget is None:
            return net
        if request.method == "resbuilder":
            return empty_net(size, channels, len(data.classes), published(request)[1])
        budget = parse(request.budget)[0]
        price, quantum = price_of(budget, data, net)
        return seed_net(net, price, budget.limit, plan_of(request).first, quantum)
    net = zoo.read(request.net)
    stem = zoo.suited(net.stem, size) if request.net in zoo.ZOO else net.stem
    head = net.head.but({"classes": len(data.classes)})
    return net.but({"input": Input(channels=channels, size=size), "stem": stem, "head": head})


def adopted(donor: Donor, request: Request, data: Dataset) -> Network:
    """The donor's network for these data, with a fresh classifier drawn by the request's seed; whole where it is to be
    brought to a budget and knows these very classes."""
    given = Input(channels=data.preprocess.channels, size=data.preprocess.size)
    if (
        request.budget
        and request.net is None
        and donor.net is not None
        and (donor.classes, donor.net.input) == (data.classes, given)
    ):
        module = build(donor.net)
        module.load_state_dict(donor.state)
        return module
    named = None if request.net is None else zoo.read(request.net)
    module = donor.network(data.preprocess.size, data.preprocess.channels, len(data.classes), named)
    initialise(module.head, torch.Generator().manual_seed(request.seed))
    return module


def begin(job: Job, out: str | Path, name: str, branches: Sequence[str] = (), main: str | None = None) -> Run:
    """The run's folder with all that `resume` needs; request.json is written last and says that it is whole.
    `branches`: the runs of smaller budgets, which are there already; `main`: of which run this is such a one."""
    run = Run.create(out, name)
    weights = None
    if job.start is not None:
        run.write_bytes("start.safetensors", to_bytes(job.start.state_dict()))
        weights = provenance(job.request)
    run.write_json("data.json", describe(job) | {"weights": weights, "branch_of": main})
    for file in ("spec.json", *(["start.json"] if job.request.budget else [])):
        run.write_json(file, json.loads(job.net.to_json()))
    run.write_json("recipe.json", job.recipe.model_dump(mode="json"))
    run.write_bytes("edits.jsonl", b"")
    if branches:
        run.write_json("branches.json", list(branches))
    run.write_json("request.json", job.request.model_dump(mode="json"))
    return run


def provenance(request: Request) -> dict[str, Any]:
    """Where the weights came from: file, SHA-256, and whether a run of the same source made them."""
    assert request.weights is not None
    file = model_file(request.weights)
    made = file.parent / "request.json"
    source = json.loads(made.read_bytes()).get("source") if made.exists() else None
    return {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "same_source": source == request.source}  # fmt: skip


def describe(job: Job) -> dict[str, Any]:
    """data.json: what the images are and which stand in which part."""
    request, data, parts = job.request, job.data, job.parts
    named = {"train": parts.train, "val": parts.val, "test": parts.test}
    counts = {part: np.bincount(data.labels[index], minlength=len(data.classes)) for part, index in named.items()}
    by_group = "random by group" if data.groups is not None else "random"
    return {
        "source": request.source,
        "synthetic": request.source == "synthetic",
        "kind": data.kind,
        "noun": data.preprocess.noun,
        "classes": data.classes,
        "counts": {part: dict(zip(data.classes, map(int, n), strict=True)) for part, n in counts.items()},
        "size": data.preprocess.size,
        "channels": data.preprocess.channels,
        "preprocess": data.preprocess.model_dump(mode="json"),
        "problems": data.problems,
        "leaks": leaks(data, parts),
        "groups": None if data.groups is None else len(set(data.groups)),
        "split": by_group if data.split is None else "given",
        "digest": data_digest(data, parts),
        "parts": {part: [data.names[i] for i in index] for part, index in named.items()},
    }


def data_digest(data: Dataset, parts: Parts) -> str:
    """One SHA-256 over images, labels and parts."""
    digest = hashlib.sha256("".join(data.digests).encode())
    for values in (data.labels, parts.train, parts.val, parts.test):
        digest.update(values.tobytes())
    return digest.hexdigest()


def finish(run: Run, job: Job, tell: Tell) -> Run:
    """Train (or go on), then measure, export and report. Ctrl-C leaves a usable run without test figures."""
    module = build(job.net, torch.Generator().manual_seed(job.recipe.seed))
    if (run.path / "start.safetensors").exists():
        module.load_state_dict(read(run.path / "start.safetensors")[1])
    facts = facts_of(run.lines("events.jsonl"))
    with held(run), closing(learning(module, job, run)) as events:
        try:
            for event in events:
                _note(run, job.recipe, event, facts)
                tell(event)
        except ValueError as error:
            run.append("events.jsonl", {"event": "failed", "text": str(error)})
            raise
        except KeyboardInterrupt:
            facts["stopped"] = True
            run.append("events.jsonl", {"event": "stopped"})
            racing = (run.path / "race").exists()
            so_far = " before the first network was chosen: model.onnx has learned nothing" if racing else ""
            tell({"event": "warning", "text": f"stopped{so_far}; `zansa resume {run.path}` goes on with the training"})
        conclude(run, job, module, facts, tell)
        if "stopped" not in facts:
            for saved in run.path.glob("checkpoint*"):
                saved.unlink()
    return run


def learning(module: Network, job: Job, run: Run) -> Generator[dict[str, Any]]:
    """The training, with what changes the network on its way to a budget. No test image has a part in it."""
    data, parts = sealed(job.data, job.parts)
    checkpoint = run.path / "checkpoint.pt"
    if job.request.method == "resbuilder":
        return resbuilder(module, data, parts, job.recipe, *published(job.request), checkpoint)
    if not job.request.budget:
        return training(module, data, parts, job.recipe, checkpoint)
    return growing(module, replace(job, data=data, parts=parts), run)


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


def free(request: Request) -> bool:
    """Whether zansa is to find all of the network."""
    return (request.method, request.net, request.weights) == ("zansa", None, None) and request.budget is not None


def plan_of(request: Request, quantum: int = 1) -> Plan:
    """When the network of a request changes."""
    return Plan(quantum=quantum) if free(request) else Plan(quantum=quantum, end=HEALING)


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


def published(request: Request) -> tuple[int, Switches, Runs]:
    """Multiply-adds, mended faults and length of a search by ResBuilder."""
    budget, *others = parse(request.budget or "")
    if others:
        raise ValueError(f"resbuilder was asked for {request.budget}; allowed: one budget, it begins anew for another")
    if budget.unit != "macs":
        raise ValueError(f"resbuilder was asked for {budget}; allowed: macs, the only price that it knows")
    if request.weights is not None and not {"all", "kept_weights"} & set(request.mend):
        raise ValueError(
            "resbuilder as published begins every cycle with fresh weights, so those of --from would be lost; name the "
            "shape with --net, or mend the fault kept_weights"
        )
    mended = Switches.model_fields if request.mend == ("all",) else request.mend
    unknown = sorted(set(mended) - Switches.model_fields.keys())
    if unknown:
        known = ", ".join(Switches.model_fields)
        raise ValueError(f"resbuilder has no fault {', '.join(unknown)} to mend; allowed: all, or some of {known}")
    runs = Runs(epochs=request.recipe["epochs"]) if "epochs" in request.recipe else Runs()
    return int(budget.limit), Switches(**dict.fromkeys(mended, True)), runs


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


def price_of(budget: Budget, data: Dataset, net: Net) -> tuple[Price, int]:
    """What tells the price of networks like this one in the unit of a budget, and in which lots channels are worth
    having: for milliseconds, both as this machine has been measured."""
    return pricing(budget.unit, net, clock_of(data) if budget.unit == "ms" else None)


def clock_of(data: Dataset) -> Timer:
    """What tells milliseconds of networks for these data, from their parts."""
    return timer(default_folder(), data.preprocess)


def facts_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What the metrics say of the training, from the events so far."""
    facts: dict[str, Any] = {}
    for event in events:
        _gather(event, facts)
    return facts


def _note(run: Run, recipe: Recipe, event: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write an event to the run, and keep what the metrics need."""
    _gather(event, facts)
    if event["event"] in ("start", "resumed"):
        chosen = {key: event[key] for key in ("precision", "layout") if key in event}
        run.write_json("recipe.json", recipe.model_dump(mode="json") | chosen)
    if "journal" in event:  # what came behind the saved state will come again
        lines = event.pop("journal")
        run.write_bytes("edits.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    if event["event"] == "edit":
        run.append("edits.jsonl", event)
    elif event["event"] not in ("step", "trial"):
        run.append("events.jsonl", event)


def _gather(event: dict[str, Any], facts: dict[str, Any]) -> None:
    if event["event"] in ("start", "resumed"):
        facts.update({key: event[key] for key in MACHINE if key in event})
    if "race_seconds" in event:
        facts["race_seconds"] = event["race_seconds"]
    if event["event"] == "epoch":
        facts.update(epochs=event["epoch"], seconds=event["seconds"], best_epoch=event["best"])
        facts["images_per_second"] = event["images_per_second"]


def conclude(run: Run, job: Job, module: Network, facts: dict[str, Any], tell: Tell) -> None:
    """Operating point from validation, model file, exported file, figures, examples, report. The test part is read
    here, once, and only when the training was not stopped."""
    request, data, parts, net = job.request, job.data, job.parts, module.net
    run.write_json("spec.json", json.loads(net.to_json()))
    found = {"validation": (parts.val, probabilities(module, data, parts.val))}
    operating = operating_point(request, data, *found["validation"])
    notes = json.dumps({"synthetic": request.source == "synthetic"})
    model = Model(net, module, data.classes, data.preprocess, operating, notes)
    save_model(run.path / "model.safetensors", model)
    tell({"event": "stage", "text": "exporting and checking the exported file on validation data"})
    parity = export(model, run.path / "model.onnx", originals(data, evenly(parts.val, PARITY_IMAGES)))
    if not facts.get("stopped"):
        found["test"] = (parts.test, probabilities(module, data, parts.test))
    metrics = {name: figures(p, data.labels[index], data.classes, operating) for name, (index, p) in found.items()}
    exported = predictor(run.path / "model.onnx")
    times = latencies(job, exported)
    run.write_json("metrics.json", metrics | {
        "cost": costs(net, 1), "latency": times, "training": facts, "export": parity,
    })  # fmt: skip
    index, p = found.get("test", found["validation"])
    run.write_json("examples.json", examples(data, index, p, operating))
    run.write_bytes("predictions.csv", predictions_csv(data, found, operating))
    report.write(run)
    tell({"event": "finished", "run": str(run.path), "metrics": run.read_json("metrics.json")})


def latencies(job: Job, exported: Predictor) -> list[dict[str, Any]]:
    """How long the exported file takes, on one thread and on all; on one by the measure of the budget, where that is
    milliseconds."""
    times = [latency(exported, threads=n, batch=1) for n in sorted({1, torch.get_num_threads()})]
    if job.request.budget is not None and parse(job.request.budget)[0].unit == "ms":
        ms = clock_of(job.data).exported(exported.file, job.data.preprocess.size)
        times[0] |= {"what": IN_TURNS, "ms": ms, "repeats": None}
    return times


def operating_point(request: Request, data: Dataset, index: np.ndarray, p: np.ndarray) -> OperatingPoint | None:
    """Where the line between good and defect stands, by validation images; None when no class is the good one."""
    good = good_of(request, data)
    if good is None:
        return None
    return choose_threshold(p, data.labels[index], data.classes, good, request.max_false_alarms)


def refuse_blind_line(good: str | None, data: Dataset, parts: Parts) -> None:
    """ValueError when the line between good and defect could not be drawn after the training."""
    if good is not None and not (data.labels[parts.val] == data.classes.index(good)).any():
        raise ValueError(
            f"the validation part has no {data.preprocess.noun} of {good!r} to draw the line by; add some, or give a "
            "split"
        )


def good_of(request: Request, data: Dataset) -> str | None:
    """The class without a defect: as asked, or by its name."""
    if request.good is not None and request.good not in data.classes:
        raise ValueError(f"no class is called {request.good!r}; the classes: {', '.join(data.classes)}")
    return request.good or good_class(data.classes)


def evenly(index: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of an index, spread over the whole of it: images are in the order of their classes."""
    return index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)]


def originals(data: Dataset, index: np.ndarray) -> list[np.ndarray]:
    """Images as they came, before they were brought to the network's size; series at the network's length."""
    pre = data.preprocess
    if not data.files:
        return list(data.images[index])
    return [read_image(data.files[i], pre.channels, pre.depth) for i in index]


def examples(data: Dataset, index: np.ndarray, p: np.ndarray, operating: OperatingPoint | None) -> list[dict[str, Any]]:
    """examples.json: the worst and the doubtful images, with their pictures."""
    chosen = []
    for entry in doubtful(p, data.labels[index], data.classes, operating, EXAMPLES):
        i, k = index[entry["index"]], int(p[entry["index"]].argmax())
        chosen.append({
            "image": data.names[i], "label": data.classes[data.labels[i]], "predicted": data.classes[k],
            "probability": float(p[entry["index"], k]), "why": entry["why"],
            "score": float(scores(p[[entry["index"]]], data.classes, operating.good)[0]) if operating else None,
            "png": base64.b64encode(picture(data.images[i], data.preprocess)).decode(),
        })  # fmt: skip
    return chosen


def predictions_csv(data: Dataset, found: dict[str, tuple[np.ndarray, np.ndarray]],
                    operating: OperatingPoint | None) -> bytes:  # fmt: skip
    """predictions.csv: every validation and test image with its probabilities."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(
        ["sample" if data.preprocess.series else "image", "part", "label", "predicted", "score", *data.classes]
    )
    for part, (index, p) in found.items():
        score = scores(p, data.classes, operating.good) if operating else p.max(1)
        for i, line, s in zip(index, p, score, strict=True):
            told = data.classes[int(line.argmax())]
            rows.writerow(
                [
                    data.names[i],
                    part,
                    data.classes[data.labels[i]],
                    told,
                    f"{s:.6f}",
                    *(f"{v:.6f}" for v in line),
                ]
            )
    return text.getvalue().encode(errors="surrogateescape")


def costs(net: Net, batch: int) -> dict[str, Any]:
    """The cost of a network as metrics.json has it."""
    c = cost(net, batch)
    return {"macs": c.macs, "params": c.params, "depth": c.depth, "batch": batch,
            "activation_bytes": {"train": c.train_bytes, "infer": c.infer_bytes}}  # fmt: skip


def evaluate(model: str | Path, request: Request, tell: Tell = silent) -> dict[str, Any]:
    """Figures of a model file (.safetensors, .onnx or a run's folder) on labelled images; all of them are used."""
    path = model_file(model)
    answer = predictor(path) if path.suffix == ".onnx" else load_model(path)
    data = load(
        request.source, like=answer.preprocess,
        root=Path(request.root) if request.root else None, download=request.download,
        progress=lambda done, total: tell({"event": "read", "done": done, "total": total}),
    )  # fmt: skip
    unknown = [name for name in data.classes if name not in answer.classes]
    if unknown:
        raise ValueError(
            f"the data have classes that the model does not know: {', '.join(unknown)}; "
            f"it knows {', '.join(answer.classes)}"
        )
    for problem in data.problems:
        tell({"event": "warning", "text": problem})
    if data.preprocess.depth != answer.preprocess.depth:
        raise ValueError(
            f"the images have {data.preprocess.depth} bits, the model was trained on {answer.preprocess.depth}: "
            "give it images of the same camera settings"
        )
    data = replace(data, preprocess=answer.preprocess)
    everything = np.arange(len(data.labels))
    if isinstance(answer, Model):
        p = probabilities(answer.module, data, everything)
        time = eager_latency(answer.module, data)
    else:
        chunks = np.array_split(everything, max(1, len(everything) // 64))
        p = np.concatenate([answer.probabilities(originals(data, chunk)) for chunk in chunks])
        time = latency(answer, threads=1, batch=1)
    labels = np.array([answer.classes.index(data.classes[k]) for k in data.labels])
    return figures(p, labels, answer.classes, answer.operating) | {"latency": [time], "noun": data.preprocess.noun}


def eager_latency(module: nn.Module, data: Dataset, repeats: int = 30) -> dict[str, Any]:
    """Milliseconds per image of the network in torch, prepared image to logits: the median behind a warm-up."""
    images = to_tensor(data, np.array([0]), torch.device("cpu"), torch.contiguous_format)
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats + 5):
            began = perf_counter()
            module(images)
            seconds.append(perf_counter() - began)
    return {"what": "torch", "device": "cpu", "threads": torch.get_num_threads(), "precision": "float32", "batch": 1,
            "ms": 1e3 * median(seconds[5:]), "repeats": repeats}  # fmt: skip


def model_file(model: str | Path) -> Path:
    """The file that was named, or the model of the run that was."""
    path = Path(model)
    if path.is_dir() and not (path / "model.safetensors").exists():
        Run.open(path)  # a folder that is no run says so
        raise ValueError(f"{path} is not finished; `zansa resume {path}` goes on with it")
    return path / "model.safetensors" if path.is_dir() else path


def export_model(model: str | Path, images: list[Path], out: str | Path) -> dict[str, Any]:
    """Export a model file (.safetensors or a run's folder) to ONNX, proven on these image files or tables of series."""
    loaded = load_model(model_file(model))
    pre = loaded.preprocess
    if pre.series:
        series = [values for _, values, _, _ in samples(images, pre) if values is not None]
        return export(loaded, out, [series[i] for i in evenly(np.arange(len(series)), PARITY_IMAGES)])
    files = image_files(images)
    chosen = [files[i] for i in evenly(np.arange(len(files)), PARITY_IMAGES)]
    return export(loaded, out, [read_image(file, pre.channels, pre.depth) for file in chosen])


def adapt(model: str | Path, images: list[Path], out: str | Path, source: list[Path] | None = None) -> dict[str, Any]:
    """Write the model as it should be under another camera or light, from unlabelled images of there (or tables of
    series): its norms get their statistics, and with `source`, images of the old place, its features their moments."""
    if not Path(out).parent.is_dir():
        raise ValueError(f"there is no folder {Path(out).parent}; make it, or choose another file to write")
    loaded = load_model(model_file(model))
    new, network = unlabelled(images, loaded.preprocess), copy.deepcopy(loaded.module)
    if loaded.net.norm == "batch" or not source:
        renormalise(network, batches_of(new))
    if source:
        align(network, batches_of(unlabelled(source, loaded.preprocess)), batches_of(new), loaded.module)
    with torch.inference_mode():
        before, after = (torch.cat([m(x).argmax(1) for x in batches_of(new)]) for m in (loaded.module, network))
    facts = {"images": len(new), "aligned": bool(source), "same_answer": int((before == after).sum())}
    notes = json.dumps((json.loads(loaded.notes) if loaded.notes else {}) | {"adapted": facts})
    save_model(out, replace(loaded, module=network, notes=notes))
    return facts | {"noun": loaded.preprocess.noun}


def unlabelled(files: list[Path], pre: Preprocess) -> Tensor:
    """The samples of image files, folders or tables, as a network takes them: (N, C, *size), at least two."""
    named = files if pre.series else image_files(files)
    values = [value for _, value, _, _ in samples(named, pre) if value is not None]
    if len(values) < 2:
        raise ValueError(f"{len(values)} {pre.noun}(s) could be read; at least 2 are needed, better 50 or more")
    if not pre.series:
        height, width = pre.size
        values = [fit_image(value, (height, width), pre.fit, pre.fill) for value in values]
    return normalised(np.stack(values), pre, torch.device("cpu"), torch.contiguous_format)


def _stem(source: str) -> str:
    """A run's name from its data."""
    path = Path(source)
    return path.stem if path.suffix else path.resolve().name
