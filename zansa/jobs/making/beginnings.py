"""The race of beginnings: what is told of the candidates, and what is kept of the whole training and of a linear head
alone."""

import copy
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...arch.zoo import READY
from ...beginnings.weights import FEW_A_CLASS, with_drawn
from ...events import event
from ...learn import several
from ...learn.adapt import renormalise
from ...learn.beginnings import Candidate, clearly_better, field, in_order, looking, own
from ...learn.data.dataset import Dataset
from ...learn.data.splits import Parts
from ...learn.defaults import default_net
from ...learn.linear import probe
from ...learn.loss import validate
from ...learn.pretrained import batches_for, pretrained_model
from ...learn.train import FEW
from ...nets.build import Network, build
from ...nets.files import Model
from ...phrases import phrase
from ...record import Run
from ...words import amount, milliseconds, percent
from ..request import FinetuneRequest, learned_weights
from .job import Job

ADVICE = phrase(
    "{name} with a linear head would be better: it names {best} of {many} held-out images, this network {right} of "
    "{few} validation images. It costs {price} an image in place of {ours}: `zansa finetune DATA --weights {name} "
    "--linear`. `--teacher {name} --unlabelled FOLDER` gives this network a part of that"
)
HEADS = phrase(
    "a linear head on frozen weights from drawn pictures names {there} of {many} held-out images at that size and "
    "{here} at this one"
)
RACE = (
    "before the training, as a hint that decides nothing, a linear head on frozen weights names this share of {count} "
    "images rightly, each held out once and all classes counting the same"
)
HERE = {"none": "fresh weights", "drawn": "weights from drawn pictures"}


def compare_beginnings(job: Job) -> tuple[Candidate, ...]:
    """What the beginnings that a training could have are worth as they stand, the best first; () where the beginning
    was named, or is not learned from drawn pictures: there are enough images then."""
    request = job.request
    usual = request.begin == "auto" and request.race == "auto" and request.verb == "train" and request.teacher is None
    if not usual or job.beginning is None or job.start is None or several.world_size() > 1:
        return ()
    found = field(job.data, np.concatenate([job.parts.train, job.parts.val]))
    if found is None:
        return ()
    fresh = build(job.net, torch.Generator().manual_seed(job.recipe.seed))
    drawn = own("drawn", copy.deepcopy(job.start), found)
    candidates = [replace(own("none", fresh, found), ms=drawn.ms), drawn]  # one network, so one price
    for name in READY:
        try:
            model = pretrained_model(name, job.data)
        except ValueError:  # not installed, or for images of other channels
            continue
        candidates.append(looking(name, model, found))
    return tuple(in_order(candidates))


def with_heads(job: Job) -> Job:
    """The job, its advice of a larger size with what weights from drawn pictures make of the images as they stand, at
    both sizes: that is advice too, and no race (docs/decisions/0015)."""
    doubt = next((each for each in job.doubts if each.larger), None)
    found = field(job.data, job.parts.train) if doubt else None
    if doubt is None or doubt.larger is None or found is None:
        return job
    named = []
    for size in (doubt.larger, job.data.preprocess.size):
        pre = job.data.preprocess.model_copy(update={"size": size})
        net = default_net(size, pre.channels, len(job.data.classes), job.data.kind)
        model = Model(net, with_drawn(net).eval(), job.data.classes, pre)
        renormalise(model.module, batches_for(model, job.data, found.index), prior=0)
        named.append(looking("drawn", model, found))
    there, here = named
    text = HEADS.format(there=percent(there.right), many=there.count, here=percent(here.right))
    told = tuple(replace(each, told=f"{each.told}; {text}") if each is doubt else each for each in job.doubts)
    return replace(job, doubts=told)


def race_text(race: Sequence[Candidate]) -> str:
    """The race in one sentence, the winner first."""
    shown = "; ".join(f"{_called(each.name)} {percent(each.right)} ({_price(each)})" for each in race)
    told = RACE.format(count=race[0].count)
    return f"{told}: {shown}"


def advised(race: Sequence[Candidate], right: float, count: int) -> str:
    """What to try where a candidate as it stands is clearly better than the trained network, which names this share of
    so many validation images; "" where none is. Its price is for people to decide."""
    ours = next((each for each in race if each.name == "drawn"), None)
    best = next((each for each in in_order(race) if each.name in READY), None)
    if ours is None or best is None or not clearly_better(best, right, count):
        return ""
    values = {"name": best.name, "best": percent(best.right), "many": best.count, "right": percent(right)}
    return ADVICE.format(**values, few=count, price=_price(best), ours=_price(ours))


def keep_better(
    events: Generator[dict[str, Any]], module: Network, job: Job, run: Run, data: Dataset, parts: Parts
) -> Generator[dict[str, Any]]:
    """A training; after it a linear head alone takes the place of the network where validation speaks clearly for that,
    and the race gives its advice."""
    start = copy.deepcopy(module) if has_rival(job) else None
    with closing(events) as all_events:
        yield from all_events
    if start is not None:
        head, loss = probe(start, data, parts, job.recipe, learned_weights(job.request) not in READY)
        found = validate(module, data, parts.val, job.recipe, torch.contiguous_format)
        stays = loss < found["val_tempered"] - found["val_error"]
        if stays:
            module.load_state_dict(head.state_dict())
        yield event("note", text=_kept(stays, found["val_tempered"], loss))
    race = [Candidate(**each) for each in run.read_json("data.json").get("race") or ()]
    if race:
        found = validate(module, data, parts.val, job.recipe, torch.contiguous_format)
        if text := advised(race, found["val_balanced_accuracy"], len(parts.val)):
            yield event("warning", text=text)


def has_rival(job: Job) -> bool:
    """Whether a linear head on the weights that were learned elsewhere is judged beside the training: where images to
    learn from are few, and those to decide by are not too few."""
    few = len(job.parts.train) <= FEW_A_CLASS * len(job.data.classes) and len(job.parts.val) >= FEW
    linear = isinstance(job.request, FinetuneRequest) and job.request.linear
    asked = job.request.race == "auto" and not job.data.preprocess.series and several.world_size() == 1
    return job.start is not None and few and asked and not linear and job.net.norm == "batch"


def _kept(stays: bool, whole: float, head: float) -> str:
    """Which of the two is kept, in one sentence."""
    seen = f"loss on validation images {whole:.3f} with all parts, {head:.3f} with the head alone"
    if stays:
        return f"a linear head on the weights as they began takes the place of the network: {seen}"
    return f"the network of which all parts learned stays, since a linear head alone is not clearly better: {seen}"


def _called(name: str) -> str:
    return HERE.get(name) or f"{name} ({READY[name].learned})"


def _price(each: Candidate) -> str:
    return f"{amount(each.macs)} multiply-adds, {milliseconds(each.ms)}"
