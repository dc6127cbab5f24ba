"""The verb `compress`: a trained network becomes smaller. It is pruned to a budget, learns from what it was, and its
exported file is quantised to int8: what was asked and no more, each step judged by a gate on decisions."""

import base64
import copy
import json
import shutil
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..arch.cost import cost
from ..arch.spec import Net
from ..deploy.bench import latency
from ..deploy.clock.timing import timer
from ..deploy.export import own_answers, to_onnx
from ..deploy.handover import write_hash
from ..deploy.quantise import with_point
from ..deploy.runtime import predictor
from ..events import event
from ..inputs.pictures import picture
from ..learn.data.cache import default_folder
from ..learn.data.dataset import Dataset
from ..learn.data.seal import sealed
from ..learn.data.splits import Parts
from ..learn.defaults import recipe_of
from ..learn.distil import Teaching, teaching
from ..learn.grow.growth import Growth
from ..learn.grow.run import growing, growth_of
from ..learn.grow.start import refuse_too_dear
from ..learn.predict import probabilities
from ..learn.quantisation_aware import SHARE, add_integers
from ..learn.recipe import Recipe
from ..learn.train import training
from ..nets.build import Network
from ..nets.files import Model
from ..nets.files import load as load_model
from ..proof.calibration import apply
from ..proof.decide import lines_of, logits_of
from ..proof.gate import Answered, gate
from ..proof.points import counted_anew
from ..record import Run, locked, new_name, write_atomic
from ..report.compress import html, sentences
from ..runs import model_file
from .adapt import unlabelled
from .depth import own_request
from .door import PARITY_IMAGES, door, evenly, good_of, originals
from .making.conclude import conclude, file_answers, told_by_file
from .making.folder import begin, facts_of, note
from .making.integers import GATED, Tried, in_turns, reference, to_int8
from .making.job import Job, with_speed
from .making.point import chosen, groups_of, parts_of
from .request import FinetuneRequest, Tell, silent
from .trained_request import CompressRequest, DepthRequest

ASKED = "asked.json"  # what `compress` was asked, for `resume`
LOTS = (16, 8, 4)  # channels that processors compute at once, the largest first
FLOAT = "model-float.onnx"  # the file in float32 beside one in int8
PICTURES = 12  # of turned samples on the page


@dataclass(frozen=True)
class Base:
    """The network that is to become smaller, with its data.

    name: what it is called.
    model: the network.
    data, parts: the data, normalised as the network takes them, and their parts.
    request: how a run on these data is asked for.
    good: the class without a defect, or None.
    """

    name: str
    model: Model
    data: Dataset
    parts: Parts
    request: FinetuneRequest
    good: str | None


def compress(request: CompressRequest, tell: Tell = silent) -> dict[str, Any]:
    """Make a run of the smaller network. Returns its record; "passed" tells whether every gate was passed. ValueError
    for what cannot be made."""
    base = opened(request, tell)
    job, teachers = planned(request, base, tell)
    out = Path(request.out)
    name = request.name or new_name(out, f"{base.name}-small")
    asked = request.model_copy(update={"model": str(Path(request.model).expanduser().absolute())})
    run = begin(job, out, name, more={ASKED: asked.model_dump(mode="json")})
    try:
        return carried_out(request, base, job, teachers, run, tell)
    except ValueError:
        shutil.rmtree(run.path)
        raise


def asked_of(path: str | Path) -> CompressRequest | None:
    """What a run was asked that `compress` began and has not finished; None for any other run."""
    file = Path(path) / ASKED
    if not file.exists() or (Path(path) / "compress.json").exists():
        return None
    return CompressRequest.model_validate_json(file.read_bytes())


def go_on(path: str | Path, request: CompressRequest, tell: Tell = silent) -> dict[str, Any]:
    """Go on with a run that `compress` began, to the same result."""
    run = Run.open(path)
    base = opened(request, tell)
    job, teachers = planned(request, base, tell)
    job = replace(job, recipe=Recipe.model_validate(run.read_json("recipe.json")))
    return carried_out(request, base, job, teachers, run, tell)


def carried_out(
    request: CompressRequest, base: Base, job: Job, teachers: Teaching | None, run: Run, tell: Tell
) -> dict[str, Any]:
    """Make what was planned, and judge it."""
    with locked(run):
        made(base, job, teachers, run, tell)
        return finished(request, base, run, tell)


def opened(request: CompressRequest, tell: Tell) -> Base:
    """Open the network and its data. ValueError where they do not fit."""
    path = Path(request.model).expanduser()
    file = model_file(path)
    model = load_model(file)
    asked = {name: getattr(request, name) for name in ("model", "source", "root", "download", "seed", "lang")}
    given = own_request(DepthRequest(**asked), path, file, model.preprocess, proves=True)
    data, parts = door(given, tell)
    if data.classes != model.classes:
        raise ValueError(
            f"{file} knows the classes {', '.join(model.classes)}; the data have {', '.join(data.classes)}; allowed: "
            "the same"
        )
    mine, theirs = model.preprocess, data.preprocess
    if (mine.size, mine.channels, mine.depth) != (theirs.size, theirs.channels, theirs.depth):
        raise ValueError(f"{file} takes {mine.size} with {mine.channels} channels; the data are {theirs.size} with "
                         f"{theirs.channels}")  # fmt: skip
    data = replace(data, preprocess=theirs.model_copy(update={"mean": mine.mean, "std": mine.std, "fill": mine.fill}))
    good = model.operating.good if model.operating else good_of(given.good, data)
    return Base(path.resolve().stem, model, data, parts, given, good)


def planned(request: CompressRequest, base: Base, tell: Tell) -> tuple[Job, Teaching | None]:
    """What is to be trained, and by which teachers; without teachers nothing is trained."""
    net, growth = base.model.net, None
    if request.budget is not None:
        clock = timer(default_folder(), base.data.preprocess) if request.budget[0].unit == "ms" else None
        _, growth = growth_of(request.budget, base.data, net, clock)
        growth = in_lots(growth, net)
        now = growth.right_price(net)(net)
        if now <= growth.limit:
            tell(event("note", text=f"the network costs {now:.4g} {growth.unit} already: nothing is pruned"))
            growth = None
    trains = growth is not None or learns(request)
    asked: dict[str, Any] = {"epochs": request.epochs} if request.epochs else {}
    asked |= {} if trains else {"epochs": 1}
    learned = len(net.stages) + 2
    recipe = recipe_of(
        base.data, base.parts, base.request.seed, asked | {"tuning": {}}, growth=growth, learned=learned, fixed=False
    )
    job = Job(base.request, base.data, base.parts, base.good, net, recipe, growth, start=base.model.module)
    if not trains:
        return job, None
    return with_speed(job), teaching(teachers_of(request, base), more_samples(request, base, tell))


def in_lots(growth: Growth, net: Net) -> Growth:
    """The growth with channels that go in as large a lot of LOTS as the budget allows: a layer of 13 channels takes
    longer than one of 16, however few multiply-adds it has. Where milliseconds are the budget, lots are measured."""
    if growth.unit == "ms":
        return growth
    for lot in LOTS:
        with suppress(ValueError):
            refuse_too_dear(net, growth.price, growth.limit, lot)
            return replace(growth, quantum=lot)
    return growth


def learns(request: CompressRequest) -> bool:
    """Whether something is to be learned, beside what pruning needs."""
    return bool(request.distil or request.teacher or request.unlabelled)


def teachers_of(request: CompressRequest, base: Base) -> list[Network]:
    """The networks to learn from: those that were named, or the unpruned network. ValueError for one of other
    classes."""
    models = [load_model(model_file(Path(each).expanduser())) for each in request.teacher] or [base.model]
    for model, name in zip(models, request.teacher or (request.model,), strict=True):
        mine, theirs = base.model.preprocess, model.preprocess
        if model.classes != base.model.classes or (mine.size, mine.channels) != (theirs.size, theirs.channels):
            raise ValueError(f"the teacher {name} has other classes, or takes {theirs.noun}s of another size")
        if not np.allclose(mine.mean + mine.std, theirs.mean + theirs.std, rtol=0.05):
            raise ValueError(f"the teacher {name} normalises {theirs.noun}s otherwise; train it on the same data")
    return [model.module for model in models]


def more_samples(request: CompressRequest, base: Base, tell: Tell) -> torch.Tensor | None:
    """The unlabelled samples, normalised; None without a folder."""
    if request.unlabelled is None:
        return None
    samples, told = unlabelled([Path(request.unlabelled).expanduser()], base.model.preprocess)
    for text in told:
        tell(event("warning", text=text))
    return samples


def made(base: Base, job: Job, teachers: Teaching | None, run: Run, tell: Tell) -> None:
    """Prune and distil where that is asked; then measure, export and report as every run."""
    module = build_like(base.model)
    facts = facts_of(run.lines("events.jsonl"))
    if teachers is not None:
        with closing(learning(module, job, run, teachers)) as events:
            for each in events:
                note(run, each, facts)
                tell(each)
    conclude(run, job, module.eval(), facts, tell)
    for saved in run.path.glob("checkpoint*"):
        saved.unlink()


def build_like(model: Model) -> Network:
    """A copy of the network, which may change."""
    return copy.deepcopy(model.module)


def learning(module: Network, job: Job, run: Run, teachers: Teaching | None) -> Generator[dict[str, Any]]:
    """The training: with the moves that prune, or of the network as it is."""
    data, parts = sealed(job.data, job.parts)
    if job.growth is not None:
        return growing(module, data, parts, job.recipe, job.growth, run.path, teaching=teachers)
    return training(module, data, parts, job.recipe, run.path / "checkpoint.pt", teaching=teachers)


def finished(request: CompressRequest, base: Base, run: Run, tell: Tell) -> dict[str, Any]:
    """Judge what was made, quantise it where that is asked, and write record and page."""
    small = load_model(run.path / "model.safetensors")
    changed = bool(run.lines("edits.jsonl")) or learns(request) or small.net != base.model.net
    record: dict[str, Any] = {
        "name": run.path.name,
        "of": base.name,
        "noun": base.data.preprocess.noun,
        "asked": {"budget": str(request.budget[0]) if request.budget else None, "int8": request.int8,
                  "teachers": list(request.teacher), "unlabelled": request.unlabelled},
        "trained": changed,
        "gates": {},
    }  # fmt: skip
    files = {"before": to_onnx(base.model)}
    tries = integers(request, base, run, tell) if request.int8 else []
    if tries and not tries[-1].gate["passed"]:
        more = trained_for_int8(request, base, small, run, tell)
        tries += more
        if more[-1].gate["passed"]:
            small, changed = load_model(run.path / "model.safetensors"), True
    if changed:
        record["gates"]["network"] = gate_between(base, small, base.parts.val, request.margin)
        files["small"] = to_onnx(small)
    passed = tries and tries[-1].gate["passed"]
    if passed:
        tries[-1] = with_counted_rule(base, tries[-1])
    if tries:
        record["gates"]["int8"] = tries[-1].gate
        record["tries"] = [{"way": each.made.way, "passed": each.gate["passed"], "turned": each.gate["turned"],
                            "largest_change": each.gate["largest_change"]} for each in tries]  # fmt: skip
        files["int8"] = tries[-1].made.file
    if passed:
        keep_int8(run, base, small.net, tries[-1])
    record["stages"] = stage_rows(files, base, small, in_turns(files), tries)
    record["int8_kept"] = bool(passed)
    tested = len(base.parts.test) > 0
    record["test"] = gate_between(base, small, base.parts.test, request.margin) if changed and tested else None
    record["test_int8"] = int8_on_test(base, run, tries[-1], request.margin) if passed and tested else None
    record["passed"] = all(each["passed"] for each in record["gates"].values())
    record["pictures"] = pictures(base, record)
    write_hash(run.path / "model.onnx")
    write_atomic(run.path / "compress.json", json.dumps(record, indent=1).encode())
    page = write_atomic(run.path / "compress.html", html(record, base.request.language).encode("utf-8", "replace"))
    shown = {key: value for key, value in record.items() if key != "pictures"}
    return shown | {"run": str(run.path), "page": str(page), "told": list(sentences(record, "en"))}


def int8_on_test(base: Base, run: Run, tried: Tried, margin: float) -> dict[str, Any]:
    """The kept file in int8 beside its file in float32, on test samples."""
    held = evenly(base.parts.test, GATED)
    return reference((run.path / FLOAT).read_bytes(), base.data, held, margin).judged(tried.made).gate


def gate_between(base: Base, small: Model, index: np.ndarray, margin: float) -> dict[str, Any]:
    """The gate between the network as it was and as it is, on these samples."""
    before, after = (answered(each, base.data, index) for each in (base.model, small))
    labels, groups = base.data.labels[index], groups_of(base.data, index)
    told = gate(before, after, labels, base.data.classes, groups, margin)
    return told | {"turned_index": [int(index[i]) for i in told["turned_at"]]}


def answered(model: Model, data: Dataset, index: np.ndarray) -> Answered:
    """What a network answers to samples, calibrated, with its line."""
    p = probabilities(model.module, data, index)
    return Answered(
        p if model.calibration is None else apply(logits_of(p), model.calibration), model.operating, model.calibration
    )


def integers(request: CompressRequest, base: Base, run: Run, tell: Tell) -> list[Tried]:
    """The tries at int8 of the run's exported file. ValueError where there is none."""
    if not (run.path / "model.onnx").exists():
        raise ValueError("the exported file was refused, so there is nothing to quantise; `zansa export` tells why")
    tell(event("stage", text="quantising the exported file, and judging it on validation data"))
    file = (run.path / "model.onnx").read_bytes()
    return to_int8(file, base.data, base.parts, base.good, request.margin, tell)


def trained_for_int8(request: CompressRequest, base: Base, small: Model, run: Run, tell: Tell) -> list[Tried]:
    """Train the network shortly with the rounding of int8, and try again. Where that passes the gate it becomes the
    run's network; else the run stays as it is."""
    tell(event("stage", text="training shortly with the rounding of int8, because the gate failed"))
    data, parts = base.data, base.parts
    model, recipe = rounding(request.epochs, base, small, tell)
    own = own_answers(model, originals(data, evenly(parts.val, PARITY_IMAGES)))
    tries = to_int8(to_onnx(model, own), data, parts, base.good, request.margin, tell)
    tries = [replace(each, made=replace(each.made, way=f"trained for int8, {each.made.way}")) for each in tries]
    if tries[-1].gate["passed"]:
        job = Job(base.request, data, parts, base.good, small.net, recipe)
        conclude(run, job, model.module, facts_of(run.lines("events.jsonl")), tell)
    return tries


def rounding(epochs: int | None, base: Base, small: Model, tell: Tell) -> tuple[Model, Recipe]:
    """The network after a short training with the rounding of int8, its own answers as teacher; and the recipe of that
    training. None epochs: as many as are usual for it."""
    module, data, parts = build_like(small), base.data, base.parts
    usual = recipe_of(data, parts, base.request.seed, {}, learned=len(small.net.stages) + 2, fixed=False)
    short = {
        "epochs": max(1, round(SHARE * (epochs or usual.epochs))),
        "rate": SHARE * usual.rate,
        "keep": "last",
        "precision": "float32",
    }
    recipe = usual.model_copy(update=short)
    handles = add_integers(module)
    with closing(training(module, *sealed(data, parts), recipe, teaching=teaching([small.module]))) as events:
        for each in events:
            tell(each)
    for handle in handles:
        handle.remove()
    raw = probabilities(module, data, parts.val)
    choice, _ = chosen(base.request, base.good, data, parts.val, raw, recipe.balance)
    return replace(small, module=module, operating=choice.operating, calibration=choice.calibration), recipe


def with_counted_rule(base: Base, tried: Tried) -> Tried:
    """The try with a file whose rule counts what that file itself does to the validation parts."""
    file = predictor(tried.made.file)
    if (point := file.operating) is None:
        return tried
    data, index = base.data, base.parts.val
    p = file_answers(file, data, index)
    parts = parts_of(p, data.labels[index], data.classes, point.good, groups_of(data, index))
    ask, reject = lines_of(point)
    point = point.model_copy(update={"rule": counted_anew(point.rule, parts, reject, ask)})
    return replace(tried, made=replace(tried.made, file=with_point(tried.made.file, point)))


def keep_int8(run: Run, base: Base, net: Net, tried: Tried) -> None:
    """The int8 file becomes the run's exported file, and all figures, lines and pictures of the run are of this file;
    the file in float32 stays beside it."""
    write_atomic(run.path / FLOAT, (run.path / "model.onnx").read_bytes())  # at no moment is there no exported file
    file = write_atomic(run.path / "model.onnx", tried.made.file)
    metrics = run.read_json("metrics.json")
    export = metrics["export"] | {
        "bytes": len(tried.made.file),
        "int8": tried.made.way,
        "images": tried.gate["samples"],
        "largest_difference": tried.gate["largest_change"],
        "same_class": tried.gate["same_class"],
        "line": tried.gate.get("line"),
        "figures_of": "int8",
    }
    times = [latency(predictor(file), each["threads"], each["batch"]) for each in metrics["latency"]]
    recipe = Recipe.model_validate(run.read_json("recipe.json"))
    job = Job(base.request, base.data, base.parts, base.good, net, recipe)
    told_by_file(run, job, predictor(file), {"export": export, "latency": times})


def stage_rows(
    files: dict[str, bytes], base: Base, small: Model, times: dict[str, list[dict[str, Any]]], tries: list[Tried]
) -> list[dict[str, Any]]:
    """What each file costs and what it answers on validation samples: before, after, int8."""
    rows = []
    for name, file in files.items():
        net = base.model.net if name == "before" else small.net
        model = base.model if name == "before" else small
        costs = cost(net)
        if name == "int8":
            told = tries[-1].gate["after"]
        else:
            same = answered(model, base.data, base.parts.val)
            labels, groups = base.data.labels[base.parts.val], groups_of(base.data, base.parts.val)
            told = gate(same, same, labels, base.data.classes, groups)["after"]
        row = {"stage": name, "bytes": len(file), "macs": costs.macs, "params": costs.params}
        rows.append(row | told | {"times": times[name]})
    return rows


def pictures(base: Base, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The samples whose decisions were turned on the way, with their pictures."""
    shown = []
    for step, told in record["gates"].items():
        for i in told["turned_index"][:PICTURES]:
            png = base64.b64encode(picture(base.data.images[i], base.data.preprocess)).decode()
            label = base.data.classes[base.data.labels[i]]
            shown.append({"gate": step, "image": base.data.names[i], "label": label, "png": png})
    return shown
