"""What a network begins with can be named for every verb that trains, and it is told what it got."""

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import NET, RECIPE, ready

from zansa.arch.edits import Insert, Rekind, Widen
from zansa.arch.use import Preprocess
from zansa.beginnings.weights import load, suited
from zansa.jobs.making.folder import begin, note
from zansa.jobs.making.job import check, resolve
from zansa.jobs.request import FinetuneRequest, GrowRequest, TrainRequest, learned_weights
from zansa.learn.data.seal import sealed
from zansa.learn.data.splits import Parts
from zansa.learn.defaults import default_net
from zansa.learn.grow.moves import candidates
from zansa.learn.grow.race import silu
from zansa.learn.grow.run import growing
from zansa.learn.linear import probe
from zansa.learn.predict import probabilities, to_tensor
from zansa.nets.build import build
from zansa.nets.files import Model, save
from zansa.nets.transfer import edited
from zansa.options import request_values
from zansa.proof.figures import figures

SHORT = {"epochs": 6, "batch": 16, "precision": "float32", "layout": "channels_first", "checkpoint": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set of three classes, and a model that has seen nothing."""
    folder = tmp_path_factory.mktemp("begin")
    random = np.random.default_rng(0)
    levels = np.repeat([80, 170, 120], 30)
    images = np.clip(random.normal(levels[:, None, None], 12, (90, 24, 24)), 0, 255).astype(np.uint8)
    np.savez(folder / "set.npz", images=images, labels=np.repeat(["dark", "bright", "mottled"], 30))
    net = default_net((24, 24), 1, 3, "surface")
    prepared = Preprocess(channels=1, size=(24, 24), mean=(100.0,), std=(50.0,))
    save(folder / "model.safetensors", Model(net, build(net).eval(), ("a", "b", "c"), prepared))
    return folder


def resolved(request, folder, **asked):
    asked = {"recipe": SHORT, "kind": "surface"} | asked
    return resolve(request(source=str(folder / "set.npz"), **asked), lambda event: None)


def test_training_begins_with_another_model_and_all_parts_learn(folder):
    job = resolved(TrainRequest, folder, begin=str(folder / "model.safetensors"))
    usual = resolved(TrainRequest, folder, begin="none")
    theirs, ours = build(job.net).state_dict(), job.start.state_dict()
    assert not all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert (job.recipe.hold, job.recipe.keep, job.recipe.rate) == (0, "best", usual.recipe.rate / 2)
    assert job.recipe.tuning.frozen == 0
    assert usual.start is None
    assert usual.beginning is None


def test_where_all_old_classes_are_asked_for_their_rows_stay(folder):
    net = default_net((24, 24), 1, 2, "surface")
    old = build(net).eval()
    prepared = Preprocess(channels=1, size=(24, 24), mean=(100.0,), std=(50.0,))
    save(folder / "old.safetensors", Model(net, old, ("dark", "bright"), prepared))
    job = resolved(FinetuneRequest, folder, weights=str(folder / "old.safetensors"))
    for name in ("weight", "bias"):
        theirs, ours = (each.get_submodule("head.linear").state_dict()[name] for each in (old, job.start))
        rows = [job.data.classes.index(known) for known in ("dark", "bright")]
        assert torch.equal(theirs, ours[rows])
    others = resolved(FinetuneRequest, folder, weights=str(folder / "model.safetensors"))
    drawn = others.start.get_submodule("head.linear").weight
    assert not torch.equal(drawn[rows], old.get_submodule("head.linear").weight)


def test_what_is_not_there_is_refused_and_a_name_is_looked_for_among_the_runs(folder):
    source = str(folder / "set.npz")
    with pytest.raises(ValueError, match=r"no run or file nowhere to begin with; allowed too: auto, drawn, none"):
        check(TrainRequest(source=source, begin="nowhere"), folder, "x")
    with pytest.raises(ValueError, match="allowed: one of them"):
        learned_weights(FinetuneRequest(source=source, weights="a.pth", begin="drawn"))
    given = dict.fromkeys([*TrainRequest.model_fields, "epochs"]) | {"source": source, "out": folder}
    found = request_values(TrainRequest, given | {"begin": "model.safetensors"})["begin"]
    assert found == str(folder / "model.safetensors")
    assert request_values(TrainRequest, given | {"begin": "none"})["begin"] == "none"


def test_finetuning_without_weights_begins_with_drawn_pictures(folder):
    job = resolved(FinetuneRequest, folder)
    assert (
        job.beginning.told == "The network begins with weights that were learned from drawn pictures: all parts but "
        "the classifier (the colours of its first filters summed for gray images)."
    )
    assert job.start is not None
    assert job.recipe.tuning.frozen == 0


def test_another_network_is_told_what_it_got(folder):
    partly = resolved(TrainRequest, folder, net="cifar_resnet8")
    assert "the stem and stage 0, 7 % of its numbers; what follows is new" in partly.beginning.told
    nothing = resolved(TrainRequest, folder, net="cifar_preact_resnet20")
    assert nothing.beginning.told.endswith("it begins from nothing.")
    assert nothing.start is None
    assert nothing.recipe.rate == 2 * partly.recipe.rate


def test_a_growth_begins_with_drawn_pictures_and_goes_on_after_a_kill(folder, tmp_path):
    job = resolved(GrowRequest, folder, budget="macs=400k")
    data, parts = sealed(job.data, job.parts)

    def grown(place, stop=None):
        place.mkdir(exist_ok=True)
        module, seen = build(job.net), []
        with closing(growing(module, data, parts, job.recipe, job.growth, place)) as events:
            for each in events:
                seen.append(each["event"])
                if each["event"] == "step" and each["step"] == stop:
                    break
        return module.state_dict(), seen

    whole, seen = grown(tmp_path / "whole")
    grown(tmp_path / "broken", stop=13)
    broken, _ = grown(tmp_path / "broken")
    assert "edit" in seen
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    first = job.growth.build(job.growth.usual, torch.Generator().manual_seed(0)).state_dict()
    learned = load(job.growth.usual, torch.Generator().manual_seed(0)).state
    assert all(torch.equal(first[name], learned[name]) for name in learned)
    assert resolved(GrowRequest, folder, budget="macs=400k", begin="none").growth.build is build


def test_what_a_growth_adds_keeps_what_it_began_with(folder):
    job = resolved(GrowRequest, folder, budget="macs=400k")
    began = job.growth.build(job.net, torch.Generator().manual_seed(0)).eval()
    added = candidates(job.net, 0.25, 1)
    assert {type(edit) for edit in added} == {Widen, Insert, Rekind}
    x = to_tensor(job.data, job.parts.val, torch.device("cpu"), torch.contiguous_format)
    for edit in added:
        grown = edited(began, [edit])
        assert grown.net != began.net
        torch.testing.assert_close(grown.eval()(x), began(x), atol=1e-4, rtol=1e-4)


def test_letters_and_many_images_begin_with_nothing(folder):
    letters = resolved(GrowRequest, folder, budget="macs=400k", kind="symbol")
    assert letters.growth.build is build
    assert letters.beginning is None
    data, many = letters.data, replace(letters.parts, train=np.zeros(601, int))
    assert not suited(replace(data, kind="surface"), many)
    assert suited(replace(data, kind="surface"), replace(many, train=many.train[1:]))


def test_a_winner_that_got_nothing_is_written_down_as_that(folder, tmp_path):
    job = resolved(GrowRequest, folder, budget="macs=400k")
    for k, winner in enumerate((job.net, silu(job.net))):
        run = begin(job, tmp_path, str(k))
        assert run.read_json("data.json")["begin"]["from"] == "drawn pictures"
        note(run, {"event": "raced", "net": json.loads(winner.to_json()), "table": []}, {})
        assert (run.read_json("data.json")["begin"] is None) == (winner.act == "silu")


@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_head_on_fixed_features_tells_the_classes_apart(classes):
    data, parts = ready()
    if classes == 2:
        kept = {name: part[data.labels[part] < 2] for name, part in vars(parts).items()}
        data, parts = replace(data, classes=data.classes[:2]), Parts(**kept)
    net = NET.but({"head": NET.head.but({"classes": classes})})
    module = build(net, torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    head, loss = probe(module, data, parts, RECIPE)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert torch.equal(head.state_dict()["stem.conv.weight"], before["stem.conv.weight"])
    found = figures(probabilities(head, data, parts.test), data.labels[parts.test], data.classes)
    assert found["balanced_accuracy"]["value"] > 1.5 / classes
    assert loss < 0.8 * np.log(classes)
