"""Weights from elsewhere: what learns and what rests; and a trained network under another light."""

import json
import re

import numpy as np
import pytest
import torch
import torchvision
from laws import small_net, trained
from PIL import Image
from samples import NET, RECIPE, ready

from zansa.jobs.adapt import adapt
from zansa.jobs.evaluate import evaluate
from zansa.jobs.making.folder import count_seen, of_another_size, provenance
from zansa.jobs.request import EvaluateRequest, FinetuneRequest, TrainRequest
from zansa.jobs.train import resume, train
from zansa.learn.adapt import align, batches_of, features, renormalise
from zansa.learn.recipe import Tuning
from zansa.learn.train import training
from zansa.learn.tune import default_tuning, first_to_learn, parts_of
from zansa.nets.build import build
from zansa.nets.files import load


def changed_parts(tuning: Tuning) -> list[bool]:
    """Whether each part differs after training: weights and running statistics."""
    data, parts = ready()
    module = build(NET, torch.Generator().manual_seed(3))
    before = [{name: value.clone() for name, value in part.state_dict().items()} for part in parts_of(module)]
    for _ in training(module, data, parts, RECIPE.model_copy(update={"tuning": tuning})):
        pass
    assert all(p.requires_grad for p in module.parameters())
    return [
        any(not torch.equal(value, old[name]) for name, value in part.state_dict().items())
        for part, old in zip(parts_of(module), before, strict=True)
    ]


def test_frozen_parts_keep_weights_and_statistics():
    count = 2 + len(NET.stages)
    assert changed_parts(Tuning()) == [True] * count
    assert changed_parts(Tuning(frozen=2)) == [False] * 2 + [True] * (count - 2)
    assert changed_parts(Tuning(frozen=count - 1)) == [False] * (count - 1) + [True]
    with pytest.raises(ValueError, match=f"frozen={count} was asked, but the network has {count} parts"):
        changed_parts(Tuning(frozen=count))


def test_parts_thaw_from_the_head_down():
    tuning = Tuning(frozen=1, thaw=0.5)
    first = [first_to_learn(tuning, 6, progress / 100) for progress in range(100)]
    assert first == sorted(first, reverse=True)
    assert (first[0], first[49], first[50], first[99]) == (5, 2, 1, 1)
    assert first_to_learn(Tuning(), 6, 0.0) == 0


def test_parts_near_the_input_learn_more_slowly():
    """Distance gone by each part, relative to its size, with and without the factor."""

    def gone(factor: float) -> list[float]:
        data, parts = ready()
        module = build(NET, torch.Generator().manual_seed(3))
        before = [torch.cat([p.detach().flatten() for p in part.parameters()]).clone() for part in parts_of(module)]
        for _ in training(
            module, data, parts, RECIPE.model_copy(update={"tuning": Tuning(factor=factor), "epochs": 1})
        ):
            pass
        after = [torch.cat([p.detach().flatten() for p in part.parameters()]) for part in parts_of(module)]
        return [float((a - b).norm() / b.norm()) for a, b in zip(after, before, strict=True)]

    slow, even = gone(0.1), gone(1.0)
    assert slow[0] < 0.1 * even[0]
    assert slow[-1] > 0.3 * even[-1]


def test_the_default_follows_the_number_of_images():
    few, some, many = (default_tuning(count, 6) for count in (10, 50, 500))
    assert few.frozen > some.frozen > many.frozen == 0
    assert few.factor <= some.factor <= many.factor


# ---- another light ----------------------------------------------------------------------------------------


def images(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 2, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_renormalising_gives_the_statistics_of_the_new_images():
    module, x = trained(build(small_net("basic"))), 3 + 2 * images(96, 0)
    first = module.stem.norm
    assert renormalise(module, [x], prior=0) == 96
    seen = module.stem.conv(x)
    assert torch.allclose(first.running_mean, seen.mean((0, 2, 3)))
    assert torch.allclose(first.running_var, seen.var((0, 2, 3)))
    assert not module.training
    assert not first.training
    assert first.momentum == 0.1


def test_few_images_move_the_statistics_little():
    module = trained(build(small_net("basic")))
    old_mean, old_variance = module.stem.norm.running_mean.clone(), module.stem.norm.running_var.clone()
    x = 3 + 2 * images(4, 0)
    renormalise(module, [x], prior=12)
    seen = module.stem.conv(x)
    mean = 0.75 * old_mean + 0.25 * seen.mean((0, 2, 3))
    assert torch.allclose(module.stem.norm.running_mean, mean)
    variance = 0.75 * old_variance + 0.25 * seen.var((0, 2, 3))
    assert torch.allclose(module.stem.norm.running_var, variance)


def test_a_network_without_batch_norms_says_so():
    with pytest.raises(ValueError, match="the network has norm 'group', and only batch norms keep statistics"):
        renormalise(build(small_net("basic", norm="group")), [images(4, 0).float()])


def test_aligned_features_have_the_old_moments():
    """The answers to new images are those that features of the old mean and covariance would get."""
    module, old, new = trained(build(small_net("basic"))), images(400, 0), 0.5 + 1.7 * images(400, 1)
    weight, bias = module.head.linear.weight.detach().clone(), module.head.linear.bias.detach().clone()
    source = features(module, batches_of(old))
    align(module, batches_of(old), batches_of(new))
    with torch.no_grad():
        answers = torch.cat([module(x) for x in batches_of(new)]).numpy()
        wanted = (torch.from_numpy(source) @ weight.T + bias).numpy()
    assert np.allclose(answers.mean(0), wanted.mean(0), atol=1e-8)
    assert np.allclose(np.cov(answers.T), np.cov(wanted.T), rtol=0.15, atol=0.02)


def test_no_shift_no_change():
    module, x = trained(build(small_net("basic"))), images(400, 0)
    with torch.no_grad():
        before = module(x[:5])
        align(module, batches_of(x), batches_of(x))
        assert torch.allclose(module(x[:5]), before, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="at least two samples are needed on each side"):
        align(module, batches_of(x), [x[:1]])


# ---- the verbs --------------------------------------------------------------------------------------------


def pictures(path, classes, channels: int = 1, count: int = 24, seed: int = 0, light: float = 1.0):
    """An .npz of noisy stripes, whose width tells the class."""
    rng, images, labels = np.random.default_rng(seed), [], []
    for k, name in enumerate(classes):
        stripes = 60 * np.sin(np.arange(16) * (k + 1) * 0.7)[None, :, None]
        noise = rng.normal(128, 20, (count, 16, 16, channels))
        images.append(np.clip(light * (noise + stripes), 0, 255).astype(np.uint8))
        labels += [name] * count
    np.savez(path, images=np.concatenate(images), labels=np.array(labels))
    return path


def tune(source, weights, out, **asked):
    recipe = {"epochs": 2, "layout": "channels_first", "precision": "float32"} | asked.pop("recipe", {})
    return train(FinetuneRequest(source=str(source), weights=str(weights), recipe=recipe, kind="surface", **asked), out)


@pytest.fixture(scope="module")
def donor(tmp_path_factory):
    """A trained run, whose weights others begin with."""
    folder = tmp_path_factory.mktemp("donor")
    asked = TrainRequest(source=str(pictures(folder / "a.npz", "ab")), begin="none", recipe={"epochs": 3})
    return train(asked, folder / "runs", "donor")


def test_finetune_from_a_run_keeps_what_is_frozen(donor, tmp_path):
    run = tune(pictures(tmp_path / "b.npz", "xyz"), donor.path, tmp_path / "runs", recipe={"tuning": {"frozen": 3}})
    ours, theirs = (load(r.path / "model.safetensors") for r in (run, donor))
    assert ours.classes == ("x", "y", "z")
    states = ours.module.state_dict(), theirs.module.state_dict()
    same = {name for name in states[0] if torch.equal(states[0][name], states[1].get(name, torch.empty(0)))}
    resting = {name for name in states[0] if name.startswith(("stem.", "stages.0.", "stages.1."))}
    assert resting <= same
    assert "stages.3.0.branch.conv1.weight" not in same
    assert run.read_json("recipe.json")["rate"] == donor.read_json("recipe.json")["rate"] / 5
    assert len(run.read_json("metrics.json")["test"]["per_class"]) == 3


def test_finetune_from_torchvision_weights_on_grey_images(tmp_path):
    theirs = torchvision.models.resnet18(weights=None, num_classes=5)
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in theirs.state_dict().items()}},
        tmp_path / "resnet18.pth",
    )
    asked = {"epochs": 1, "tuning": {"frozen": 5}}
    run = tune(pictures(tmp_path / "b.npz", "xy"), tmp_path / "resnet18.pth", tmp_path / "runs", recipe=asked)
    module = load(run.path / "model.safetensors").module
    assert torch.allclose(module.stem.conv.weight, theirs.conv1.weight.sum(1, keepdim=True))
    assert torch.equal(module.stages[1][0].branch.conv1.weight, theirs.layer2[0].conv1.weight)


def test_a_stopped_finetuning_goes_on_from_its_own_copy_of_the_weights(tmp_path):
    weights = tmp_path / "resnet18.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), weights)
    source = pictures(tmp_path / "b.npz", "xy")
    whole = tune(source, weights, tmp_path / "whole")

    def stop(event):
        if event["event"] == "step" and event["step"] == 1:
            raise KeyboardInterrupt

    recipe = {"epochs": 2, "layout": "channels_first", "precision": "float32", "checkpoint": 1e6}
    request = FinetuneRequest(source=str(source), weights=str(weights), recipe=recipe, kind="surface")
    broken = train(request, tmp_path / "broken", tell=stop)
    weights.unlink()
    again = resume(broken.path)
    first, second = (load(run.path / "model.safetensors").module.state_dict() for run in (whole, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_that_do_not_fit_are_named_before_anything_is_written(tmp_path):
    source = pictures(tmp_path / "b.npz", "xy")
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: "):
        tune(source, tmp_path / "other.pth", tmp_path / "runs")
    with pytest.raises(ValueError, match=r"none\.pth"):
        tune(source, tmp_path / "none.pth", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_adapt_undoes_another_light(tmp_path):
    """Images at a third of the light, where the model as it was is lost."""
    bright, dark = (pictures(tmp_path / f"{light}.npz", "abc", light=light, count=60) for light in (1.0, 0.35))
    steady = {"epochs": 15, "layout": "channels_first", "precision": "float32"}
    run = train(TrainRequest(source=str(bright), begin="none", recipe=steady), tmp_path / "runs", "a")
    folder = tmp_path / "new"
    folder.mkdir()
    for k, image in enumerate(np.load(dark)["images"]):
        Image.fromarray(image[..., 0]).save(folder / f"{k}.png")
    facts = adapt(run.path, [folder], tmp_path / "adapted.safetensors", source=[folder])
    assert (facts["images"], facts["aligned"]) == (180, True)
    adapt(run.path, [folder], tmp_path / "adapted.safetensors")
    before, after = (
        evaluate(EvaluateRequest(model=str(model), source=str(dark)))["balanced_accuracy"]["value"]
        for model in (run.path, tmp_path / "adapted.safetensors")
    )
    assert before < 0.7 < 0.9 < after
    with pytest.raises(ValueError, match=r"1 image\(s\) could be read; at least 2 are needed"):
        adapt(run.path, [folder / "0.png"], tmp_path / "one.safetensors")
    assert not (tmp_path / "one.safetensors").exists()


def test_weights_that_have_not_seen_the_test_part_are_no_reason_to_doubt(donor, tmp_path):
    source, mine = donor.path.parents[1] / "a.npz", donor.read_json("data.json")["parts"]["test"]
    told = provenance(str(donor.path), str(source), mine)
    assert (told["same_source"], told["seen"]) == (True, 0)
    record = tmp_path / "data.json"
    record.write_text(json.dumps(donor.read_json("data.json") | {"weights": told}))
    assert count_seen(record, set(mine)) == 0
    record.write_text(json.dumps(donor.read_json("data.json") | {"weights": told | {"seen": None}}))
    assert count_seen(record, set(mine)) is None
    assert provenance(str(donor.path), "elsewhere.npz", mine)["seen"] is None


def test_another_size_than_that_of_the_weights_is_told(donor):
    own = load(donor.path / "model.safetensors").preprocess
    assert of_another_size(str(donor.path), own) == of_another_size(None, own) == ""
    told = of_another_size(str(donor.path), own.model_copy(update={"size": (64, 80)}))
    assert told.endswith(f"are used at 64×80; --size {own.size[0]}x{own.size[1]} keeps theirs")


def test_a_finetuned_run_says_where_its_weights_came_from(donor, tmp_path):
    run = tune(donor.path.parents[1] / "a.npz", donor.path, tmp_path / "runs", seed=1, recipe={"epochs": 1})
    weights, mine = (each.read_json("data.json") for each in (run, donor))
    told, tested = weights["weights"], set(weights["parts"]["test"])
    assert told["same_source"]
    assert told["seen"] == len(tested & {*mine["parts"]["train"], *mine["parts"]["val"]}) > 0
    for page in ("report.html", "card.md"):
        text = (run.path / page).read_text()
        assert re.search(f"were learned from {told['seen']}.images of the test part", text)
        assert "donor/model.safetensors" in text


def test_wrong_places_are_named(donor, tmp_path):
    source = pictures(tmp_path / "a.npz", "ab")
    with pytest.raises(ValueError, match=r"is no run: it has no environment\.json"):
        tune(source, tmp_path, tmp_path / "runs")
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere; make it, or choose another file"):
        adapt(tmp_path / "m.safetensors", [tmp_path], tmp_path / "nowhere" / "x.safetensors")
    with pytest.raises(ValueError, match="the file tells what its weights are of; leave the network out"):
        tune(source, donor.path, tmp_path / "runs", net="resnet18")
