"""The verb `depth`: a trained network's blocks seen as steps of a flow, and networks of fewer or more blocks made of
it."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..arch import zoo
from ..arch.cost import cost
from ..arch.use import Preprocess
from ..events import event
from ..learn.data.dataset import Dataset, normalised_for
from ..learn.data.seal import sealed
from ..learn.data.splits import Parts, all_but_validation
from ..learn.defaults import recipe_of
from ..learn.depth.measure import measure, refuse_streams
from ..learn.depth.shorten import Judge, Taken, blocks_of, fewest, refined, shortening
from ..learn.depth.verdict import invertible, verdict
from ..learn.predict import eager_latency, to_tensor
from ..learn.train import training
from ..nets.adopt import adopt
from ..nets.build import Network
from ..nets.donor import Donor, read_donor
from ..nets.files import load as load_model
from ..nets.transfer import edited
from ..record import Run, locked, new_name, write_atomic
from ..report.depth import html, sentences
from ..runs import in_float32, model_file
from .door import absolute, door, evenly, good_of
from .making.conclude import conclude
from .making.folder import begin, note
from .making.job import Job, with_speed
from .request import FinetuneRequest, Pointed, Tell, read_request, silent
from .trained_request import DepthRequest

BATCH = 64  # samples on which blocks are measured
JUDGED = 500  # validation samples that judge an edit
SEEN = 128  # validation samples that tell how foreign weights want their images
IMAGENET = ([255 * v for v in (0.485, 0.456, 0.406)], [255 * v for v in (0.229, 0.224, 0.225)])
MENDED = 256  # training samples from which the statistics of norms are taken anew
KEPT = ("source", "root", "good", *Pointed.model_fields, "below_learned", "size", "fit", "channels", "kind", "val",
        "test", "seed", "language")  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A trained network with the data that it is measured on.

    name: what it is called.
    folder: where its page goes.
    stem: what the names of its page and record begin with.
    module: the network, in evaluation mode.
    data, parts: the data, normalised as the network takes them, and their parts.
    request: how a run on these data is asked for.
    """

    name: str
    folder: Path
    stem: str
    module: Network
    data: Dataset
    parts: Parts
    request: FinetuneRequest


def depth(request: DepthRequest, tell: Tell = silent) -> dict[str, Any]:
    """Measure a trained network block by block, and write depth.json and depth.html beside it; where fewer or more
    blocks are asked for, make a run of the network that has them. Returns the record of the last network; its "page" is
    where its page stands, its "run" the run that was made or None. ValueError for what cannot be measured or made."""
    opened = read(request, tell)
    record = recorded(opened, opened.module) | {"run": None}
    page = written(opened.folder, opened.stem, record, opened.request.language)
    if not request.changes:
        return record | {"page": str(page), "complete": True, "told": list(sentences(record))}
    run, made = remade(request, opened, tell)
    wanted = target(request, blocks_of(opened.module.net), fewest(opened.module.net)) if request.aims else None
    return made | {
        "page": str(run.path / "depth.html"),
        "run": str(run.path),
        "complete": wanted is None or made["made"]["after"]["blocks"] <= wanted,
        "told": [*sentences(made, made=True), *sentences(made)],
    }


def read(request: DepthRequest, tell: Tell) -> Opened:
    """Open the network and the data: of a run, of a model file, or of foreign weights with --net."""
    path = Path(request.model).expanduser()
    file = model_file(path)
    donor = read_donor(file)
    if donor.net is None:
        return foreign(request, donor, tell)
    if request.net is not None:
        raise ValueError(f"{file} tells what its weights are of; leave --net out")
    refuse_streams(donor.net)  # before any data are read
    if text := in_float32(path):
        tell(event("note", text=text))
    model = load_model(file)
    given = own_request(request, path, file, model.preprocess, proves=request.changes)
    data, parts = door(given, tell)
    if request.source is None and learned_from_all(path):
        parts = all_but_validation(data, given.seed, given.val)
    if request.source is not None:
        told = f"the {data.preprocess.noun}s are brought to {'x'.join(map(str, data.preprocess.size))} for the model"
        tell(event("note", text=told))
    data = _as_the_model_takes(data, model, file)
    own = path.is_dir()
    folder, stem = (path, "") if own else (file.parent, f"{file.stem}-")
    return Opened(path.resolve().stem, folder, stem, model.module, data, parts, given)


def learned_from_all(path: Path) -> bool:
    """Whether this is a run that was proven by folds: its network has learned from all but the validation samples."""
    return path.is_dir() and bool(Run.open(path).read_json("request.json").get("folds"))


def own_request(request: DepthRequest, path: Path, file: Path, pre: Preprocess, proves: bool) -> FinetuneRequest:
    """The request that reads the data for a model of zansa: as its run did, or as it takes them. ValueError where it
    `proves` something on a test part and the run was proven by folds, because its network has learned from all."""
    values: dict[str, Any] = {"seed": request.seed, "channels": pre.channels, "fit": pre.fit}
    if path.is_dir():
        before = read_request(Run.open(path).read_json("request.json")).model_dump()
        values = {key: before[key] for key in KEPT}
        if proves and request.source is None and before.get("folds"):
            raise ValueError(
                f"{path} was proven by folds: its network has learned from all {pre.noun}s but those it was chosen by, "
                f"and none is left to prove another network on; name other labelled {pre.noun}s after it, or train "
                "without --folds"
            )
    elif request.source is None:
        raise ValueError(f"{path} is no run, which would know its data: name labelled data after the model")
    if request.source is not None:
        values |= {"source": absolute(request.source)} | ({} if pre.series else {"size": pre.size})
    values |= {"root": request.root} if request.root else {}
    values |= {"language": request.lang} if request.lang else {}
    weights = str(file.absolute())
    return FinetuneRequest(**values, download=request.download, weights=weights, race="none")


def foreign(request: DepthRequest, donor: Donor, tell: Tell) -> Opened:
    """Weights of another author, with the network that --net names."""
    file = donor.path
    if request.net is None:
        raise ValueError(f"{file} does not tell what network its weights are of; name it with --net, such as resnet50")
    if request.source is None:
        raise ValueError(f"{file} is no run, which would know its data: name labelled data after the model")
    net = zoo.read(request.net)
    refuse_streams(net)
    given = FinetuneRequest(
        source=absolute(request.source),
        root=request.root,
        download=request.download,
        size=(net.input.size[0], net.input.size[-1]),
        channels=1 if net.input.channels == 1 else 3,
        seed=request.seed,
        language=request.lang or "en",
        weights=str(file.absolute()),
        race="none",
    )
    data, parts = door(given, tell)
    asked = net.but({"head": net.head.but({"classes": len(data.classes)})})
    try:
        module = adopt(donor.state, asked, given=samples_of(data, parts.val, BATCH))
    except ValueError as error:
        raise ValueError(f"{file} with --net {request.net}: {error}") from None
    data = _as_the_weights_know(module, data, parts, tell)
    return Opened(file.stem, file.parent, f"{file.stem}-", module, data, parts, given)


def _as_the_weights_know(module: Network, data: Dataset, parts: Parts, tell: Tell) -> Dataset:
    """The data with the normalisation under which foreign weights lose less on validation samples: that of the data
    themselves or, of colour images, that of ImageNet, which most authors take."""
    choices = {"these data": data}
    if data.preprocess.channels == 3 and not data.preprocess.series:
        choices["ImageNet"] = normalised_for(data, *IMAGENET)
    found = {}
    for name, choice in choices.items():
        samples, labels = samples_of(choice, parts.val, SEEN)
        found[name] = Judge(samples, samples, labels)(module)
    best, *others = sorted(found, key=lambda name: found[name][0])
    shares = {name: f"{100 * right:.1f} %" for name, (_, right) in found.items()}
    text = f"{min(SEEN, len(parts.val))} validation samples: the weights are right on {shares[best]}"
    for other in others:
        text += f" with the mean and deviation of {best}, which are taken, and on {shares[other]} with those of {other}"
    tell(event("note", text=text))
    return choices[best]


def _as_the_model_takes(data: Dataset, model: Any, file: Path) -> Dataset:
    """The data with the model's own normalisation. ValueError where they are not what the model was trained for."""
    if data.classes != model.classes:
        raise ValueError(
            f"{file} knows the classes {', '.join(model.classes)}; the data have {', '.join(data.classes)}; allowed: "
            "the same"
        )
    mine, given = model.preprocess, data.preprocess
    if (mine.size, mine.channels) != (given.size, given.channels):
        raise ValueError(
            f"{file} takes {mine.noun}s of {'x'.join(map(str, mine.size))} with {mine.channels} channel(s); the data "
            f"are {given.noun}s of {'x'.join(map(str, given.size))} with {given.channels}"
        )
    return replace(data, preprocess=given.model_copy(update={"mean": mine.mean, "std": mine.std}))


def samples_of(data: Dataset, index: np.ndarray, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """At most `count` samples of an index, spread over it, and their labels."""
    chosen = evenly(index, count)
    samples = to_tensor(data, chosen, torch.device("cpu"), torch.contiguous_format)
    return samples, torch.from_numpy(data.labels[chosen])


def recorded(opened: Opened, module: Network) -> dict[str, Any]:
    """depth.json: the measures of a network and the verdicts on its stages. Validation samples are measured."""
    samples, _ = samples_of(opened.data, opened.parts.val, BATCH)
    stages = [
        asdict(stage) | {"verdict": verdict(stage), "invertible": invertible(stage)}
        for stage in measure(module, samples)
    ]
    return {
        "name": opened.name,
        "model": opened.request.weights,
        "source": opened.request.source,
        "zansa": version("zansa"),
        "samples": len(samples),
        "net": json.loads(module.net.to_json()),
        "stages": stages,
        "made": None,
    }


def written(folder: Path, stem: str, record: dict[str, Any], language: str) -> Path:
    """Write the record and its page; returns the page's path."""
    write_atomic(folder / f"{stem}depth.json", json.dumps(record, indent=1).encode())
    path = folder / f"{stem}depth.html"
    write_atomic(path, html(record, language).encode("utf-8", "replace"))
    return path


# --- another depth ---------------------------------------------------------------------------------------------------


def remade(request: DepthRequest, opened: Opened, tell: Tell) -> tuple[Run, dict[str, Any]]:
    """Make a run of the network with fewer or more blocks; returns it with its record."""
    data, parts = opened.data, opened.parts
    train, _ = samples_of(data, parts.train, MENDED)
    judge = Judge(train, *samples_of(data, parts.val, JUDGED))
    before = point(opened.module, judge, data)
    module, curves = opened.module, {}
    steps: list[Any] = []
    if request.refine is not None:
        edits = refined(module.net, "constant" if request.refine == "euler" else "linear")
        module = judge.mended(edited(module, edits))
        lines = [
            event("shorten", way="refine", edit=edit.model_dump(mode="json"), **_after(module, judge)) for edit in edits
        ]
    else:
        to = target(request, blocks_of(module.net), fewest(module.net))
        module, steps = shorter(module, judge, request, to, tell)
        curves = {way: curve(opened.module, judge, way, blocks_of(module.net), data) for way in request.ways}
        lines = [_line(step) for step in steps]
    run = made_run(request, opened, module, tell)
    for line in lines:
        run.append("edits.jsonl", line)
    record = recorded(opened, module) | {
        "made": {
            "of": opened.request.weights,
            "before": before,
            "after": point(module, judge, data),
            "steps": [_line(step) for step in steps],
            "curves": {way: points for way, points in curves.items() if points},
            "refined": request.refine,
            "heal": request.heal,
        }
    }
    record["name"] = run.path.name
    written(run.path, "", record, opened.request.language)
    return run, record


def target(request: DepthRequest, now: int, least: int) -> int:
    """How many blocks shall remain; ValueError where so many cannot."""
    to = (now + 1) // 2 if request.halve else request.to
    if to is None:
        return least
    if now == least:
        raise ValueError(f"the network has {now} blocks, one a stage, and none of them can go")
    if not least <= to < now:
        raise ValueError(f"{to} blocks were asked for; the network has {now}, and can keep {least} to {now - 1}")
    return to


def shorter(module: Network, judge: Judge, request: DepthRequest, to: int, tell: Tell) -> tuple[Network, list[Taken]]:
    """The network with fewer blocks, and the edits that led there. ValueError where no edit is possible."""
    allowed = None if request.loss is None else request.loss / 100
    steps: list[Taken] = []
    for made, taken in shortening(module, judge, request.ways, to, allowed):
        module = made
        steps.append(taken)
        tell(event("note", text=told(taken)))
    if not steps:
        why = "none of them keeps within the loss that is allowed" if request.loss is not None else "none is possible"
        raise ValueError(f"no edit was made of {', '.join(request.ways)}: {why}; allow a larger --loss, or other --by")
    if steps[-1].blocks > to and request.aims:
        tell(event("warning", text=f"{steps[-1].blocks} blocks remain and not {to}: nothing more could be changed"))
    return module, steps


def told(taken: Taken) -> str:
    """An edit in one line."""
    place = f"stage {taken.edit.stage}, block {taken.edit.at}"  # type: ignore[union-attr]
    return f"{taken.way}: {place}; {taken.blocks} blocks, validation accuracy {100 * taken.accuracy:.1f} %"


def curve(module: Network, judge: Judge, way: str, to: int, data: Dataset) -> list[dict[str, Any]]:
    """Accuracy and milliseconds against blocks where this way alone is gone, the least change first."""
    return [
        point(shortened, judge, data)
        for shortened, _ in shortening(module, judge, (way,), to, checks=1)
    ]  # fmt: skip


def point(module: Network, judge: Judge, data: Dataset) -> dict[str, Any]:
    """Blocks, figures on validation samples, and milliseconds of a network."""
    return {"blocks": blocks_of(module.net), "ms": eager_latency(module, data, 15)["ms"]} | _figures(module, judge)


def _figures(module: Network, judge: Judge) -> dict[str, Any]:
    loss, accuracy = judge(module)
    costs = cost(module.net)
    return {"loss": loss, "accuracy": accuracy, "macs": costs.macs, "params": costs.params, "depth": costs.depth}


def _after(module: Network, judge: Judge) -> dict[str, Any]:
    return {"changed": None, "blocks": blocks_of(module.net)} | _figures(module, judge)


def _line(step: Taken) -> dict[str, Any]:
    return event("shorten", asdict(step) | {"edit": step.edit.model_dump(mode="json")})


def made_run(request: DepthRequest, opened: Opened, module: Network, tell: Tell) -> Run:
    """A run like any other of a network that was made: healed where that was asked, measured, exported, reported."""
    data, parts = opened.data, opened.parts
    asked = {"epochs": max(1, request.heal), "tuning": {}}
    wanted = opened.request.model_copy(update={"recipe": asked})
    recipe = recipe_of(data, parts, wanted.seed, asked, learned=len(module.net.stages) + 2)
    job = Job(wanted, data, parts, good_of(wanted.good, data), module.net, recipe, start=module)
    job = with_speed(job) if request.heal else job
    out = Path(request.out)
    run = begin(job, out, request.name or new_name(out, f"{opened.name}-depth"))
    facts: dict[str, Any] = {}
    with locked(run):
        for each in healing(job, module, run) if request.heal else ():
            note(run, each, facts)
            tell(each)
        conclude(run, job, module.eval(), facts, tell)
        (run.path / "checkpoint.pt").unlink(missing_ok=True)
    return run


def healing(job: Job, module: Network, run: Run) -> Iterator[dict[str, Any]]:
    """A short training of the network."""
    data, parts = sealed(job.data, job.parts)
    with closing(training(module, data, parts, job.recipe, run.path / "checkpoint.pt")) as events:
        yield from events
