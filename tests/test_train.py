"""The training loop: its schedules and losses against closed forms, its results against kills."""

import math
import signal
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from command import KILLED
from samples import NET, RECIPE, ready
from torch.nn import functional

from zansa.learn.class_sampling import epoch_order
from zansa.learn.data.dataset import from_arrays
from zansa.learn.loss import Criterion, tempered
from zansa.learn.predict import probabilities, to_tensor
from zansa.learn.recipe import Recipe
from zansa.learn.state import State, make_optimizer
from zansa.learn.train import fit, training, warmup_cosine
from zansa.nets.build import Subsampling, build


def test_the_schedule_rises_to_one_and_falls_to_zero():
    values = [warmup_cosine(k / 1000, 0.1) for k in range(1000)]
    assert values[:101] == sorted(values[:101])
    assert values[100:] == sorted(values[100:], reverse=True)
    assert max(values) == pytest.approx(1)
    assert warmup_cosine(0.55, 0.1) == pytest.approx(0.5)
    assert 0 < values[-1] < 1e-5


def test_fit_learns_what_can_be_learned():
    data, parts = ready()
    model = fit(NET, data, parts, RECIPE.model_copy(update={"epochs": 8}))
    p = probabilities(model.module, data, parts.test)
    assert np.mean(p.argmax(1) == data.labels[parts.test]) > 0.9
    assert not model.module.training


def test_same_seed_same_result_and_another_seed_another():
    data, parts = ready()
    short = RECIPE.model_copy(update={"epochs": 1})
    states = [fit(NET, data, parts, short.model_copy(update={"seed": seed})).module.state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["head.linear.weight"], states[2]["head.linear.weight"])


@pytest.mark.parametrize(("stop", "chance"), [(1, 0.0), (7, 0.0), (10, 0.3), (25, 0.0)])
def test_a_stopped_training_goes_on_to_the_same_result(tmp_path, stop, chance):
    data, parts = ready()
    more = {"dropout": chance, "stochastic_depth": chance, "repeat": 0.9 if chance else 0.0}
    recipe = RECIPE.model_copy(update={"checkpoint": 0.0} | more)

    def run(path, steps=None):
        module = build(NET, torch.Generator().manual_seed(3))
        events = []
        for event in training(module, data, parts, recipe, path):
            events.append(event)
            if event["event"] == "step" and event["step"] == steps:
                break
        return module, events

    unbroken, told = run(None)
    run(tmp_path / "checkpoint.pt", steps=stop)
    resumed, again = run(tmp_path / "checkpoint.pt")
    assert again[0]["event"] == ("resumed" if stop > 1 else "start")
    ours, theirs = unbroken.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    last = [[e for e in events if e["event"] == "epoch"][-1] for events in (told, again)]
    assert last[0].keys() == last[1].keys()
    assert all(last[0][key] == last[1][key] for key in last[0].keys() - {"seconds", "images_per_second"})


def learned(checkpoint, result, told=None):
    """Train, tell of every event, and write the weights."""
    data, parts = ready()
    module = build(NET, torch.Generator().manual_seed(3))
    for event in training(module, data, parts, RECIPE.model_copy(update={"checkpoint": 0.0}), checkpoint):
        if told is not None:
            told.send(event["event"])
    torch.save(module.state_dict(), result)


def test_a_killed_training_goes_on_to_the_same_result(tmp_path):
    """Killed by SIGKILL again and again, at moments that differ, until it is done."""
    whole, broken = tmp_path / "whole.pt", tmp_path / "broken.pt"
    learned(tmp_path / "a", whole)
    ends = []
    for events in (2, 5, 11, 1000):
        heard, told = KILLED.Pipe(duplex=False)
        process = KILLED.Process(target=learned, args=(tmp_path / "b", broken, told))
        process.start()
        told.close()
        with suppress(EOFError):
            for _ in range(events):
                heard.recv()
        if events < 1000:
            time.sleep(0.003 * events)
            process.kill()
        process.join()
        ends.append(process.exitcode)
    assert ends[0] == -signal.SIGKILL
    assert ends[-1] == 0
    first, second = torch.load(whole), torch.load(broken)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_damaged_checkpoint_is_named(tmp_path):
    data, parts = ready()
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"checkpoint.pt is damaged or belongs to another network .*; delete it"):
        next(training(build(NET), data, parts, RECIPE, tmp_path / "checkpoint.pt"))


def test_divergence_is_an_error_that_says_what_to_do():
    data, parts = ready()
    with pytest.raises(ValueError, match=r"training diverged; try a smaller rate \(now 1e\+20\)"):
        fit(NET, data, parts, RECIPE.model_copy(update={"rate": 1e20, "warmup": 0.0}))


def test_stopping_early_when_validation_does_not_improve():
    data, parts = ready()
    data.labels.flags.writeable = True
    data.labels[parts.val] = (data.labels[parts.val] + 1) % 3  # the better the training, the worse the validation
    for hold, least, most in ((0.0, 3, 14), (0.7, 17, 19)):  # while the rate is held it need not improve
        recipe = RECIPE.model_copy(update={"epochs": 20, "patience": 0.1, "hold": hold})
        epochs = [event for event in training(build(NET), data, parts, recipe) if event["event"] == "epoch"]
        assert least <= len(epochs) <= most


def test_logit_balance_is_a_shift_by_the_log_of_the_shares():
    labels = np.array([0] * 90 + [1] * 10)
    criterion = Criterion(labels, 2, Recipe(balance="logit", smoothing=0), torch.device("cpu"))
    logits, target = torch.tensor([[0.3, -0.2], [1.0, 2.0]]), torch.tensor([0, 1])
    expected = functional.cross_entropy(logits + torch.tensor([math.log(0.9), math.log(0.1)]), target)
    assert float(criterion(logits, target)) == pytest.approx(float(expected), rel=1e-6)


def test_rare_classes_are_shown_by_the_square_root_of_their_rarity_and_leave_the_answers_again():
    labels, index = np.array([0] * 84 + [1] * 12 + [2] * 4).repeat(2), np.arange(200)
    recipe, factors = Recipe(repeat=0.16, smoothing=0), np.array([1, math.sqrt(0.16 / 0.12), 2])
    shown = np.array([0.84, 0.12, 0.04]) * factors / (np.array([0.84, 0.12, 0.04]) * factors).sum()
    epochs = [epoch_order(index, labels, 3, recipe, epoch) for epoch in range(200)]
    assert {len(epoch) for epoch in epochs} == {200}
    assert np.bincount(labels[np.concatenate(epochs)]) / 40_000 == pytest.approx(shown, rel=0.03)
    every = np.bincount(np.concatenate(epochs), minlength=200)
    assert every[labels == 2].mean() / every[labels == 0].mean() == pytest.approx(2, rel=0.03)
    assert every[labels == 2].std() < 0.1 * every[labels == 2].mean()  # within a class all as often
    assert np.array_equal(epoch_order(index, labels, 3, recipe, 7), epochs[7])
    criterion = Criterion(labels, 3, recipe, torch.device("cpu"))
    assert criterion.shift.exp().numpy() == pytest.approx(shown, rel=1e-5)  # of what is shown: else it counts twice
    entropy = -float((shown * np.log(shown)).sum())
    assert criterion.chance() == pytest.approx(entropy, rel=1e-5)
    with pytest.raises(ValueError, match="allowed: balance 'logit'"):
        Recipe(repeat=0.1, balance="weights")


def test_weights_balance_by_the_square_root_of_the_shares():
    labels = np.array([0] * 90 + [1] * 10)
    criterion = Criterion(labels, 2, Recipe(balance="weights"), torch.device("cpu"))
    assert float(criterion.weight[1] / criterion.weight[0]) == pytest.approx(3)
    mean = 0.9 * criterion.weight[0] + 0.1 * criterion.weight[1]
    assert float(mean) == pytest.approx(1)


def test_the_average_follows_its_half_life():
    module = build(NET)
    state = State(module, RECIPE)
    name = "head.linear.bias"
    state.step = 100_000  # far from the start
    state.average.state_dict()[name].zero_()
    module.state_dict()[name].fill_(1.0)
    for _ in range(20):
        state.advance(0.0, half_life=20)
    assert torch.allclose(state.average.state_dict()[name], torch.tensor(0.5), atol=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_no_decay_on_norms_and_biases(optimizer):
    module = build(NET)
    made = make_optimizer(module, RECIPE.model_copy(update={"optimizer": optimizer}))
    decayed = {id(p) for group in made.param_groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in module.named_parameters():
        assert (id(parameter) in decayed) == (parameter.ndim > 1), name


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_precision_and_layout_trains(precision, layout):
    data, parts = ready()
    recipe = RECIPE.model_copy(update={"epochs": 6, "precision": precision, "layout": layout})
    model = fit(NET, data, parts, recipe)
    p = probabilities(model.module, data, parts.val)
    assert np.mean(p.argmax(1) == data.labels[parts.val]) > 0.7


def test_the_choice_of_speed_is_told_and_can_be_given():
    data, parts = ready()
    events = training(build(NET), data, parts, RECIPE.model_copy(update={"precision": "auto", "layout": "auto"}))
    start = next(events)
    events.close()
    assert start["precision"] in ("float32", "bfloat16")
    assert start["layout"] in ("channels_first", "channels_last")


def test_sixteen_bit_images_reach_the_network_with_their_levels():
    levels = np.arange(4 * 4, dtype=np.uint16).reshape(1, 4, 4, 1) * 4000
    data = from_arrays(np.concatenate([levels] * 4), np.array(["a", "b", "a", "b"]))
    data = data.normalised(np.arange(4))
    tensor = to_tensor(data, np.array([1]), torch.device("cpu"), torch.contiguous_format)
    back = tensor * data.preprocess.std[0] + data.preprocess.mean[0]
    assert torch.allclose(back.flatten(), torch.from_numpy(levels.astype(np.float32)).flatten(), atol=0.1)


@pytest.mark.parametrize(("field", "value"), [("rate", -1), ("epochs", 0), ("balance", "much"), ("unknown", 1)])
def test_recipes_refuse_what_they_do_not_know(field, value):
    with pytest.raises(ValueError, match=field):
        Recipe.model_validate({field: value})


def test_an_unusable_device_is_named():
    data, parts = ready()
    with pytest.raises(ValueError, match=r"device 'cuda:7' cannot be used .*; allowed: auto, cpu, cuda"):
        fit(NET, data, parts, RECIPE.model_copy(update={"device": "cuda:7"}))


def thin_projections():
    torch.manual_seed(0)
    for width in (8, 11):
        layer = Subsampling(width, width, 1, 2, 0, bias=False).to(memory_format=torch.channels_last)
        for _ in range(5):
            images = torch.randn(32, width, 80, 64).to(memory_format=torch.channels_last).requires_grad_()
            answers = layer(images)
            answers.square().mean().backward()
        with torch.no_grad():
            assert torch.allclose(layer(images), answers, atol=1e-6)


def test_a_thin_projection_learns_in_channels_last():
    """torch 2.15 dies in its own layer; a process of its own shows that."""
    process = KILLED.Process(target=thin_projections)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_the_loss_that_finds_the_best_epoch_is_not_fooled_by_overconfidence():
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(0, 3, 90))
    logits = torch.from_numpy(rng.normal(size=(90, 3)) + 2 * np.eye(3)[labels])
    weight = torch.tensor([1.0, 2.0, 0.5])
    least = min(functional.cross_entropy(a * logits, labels, weight.double()).item() for a in np.geomspace(0.2, 5, 999))
    for sureness in (0.1, 1.0, 20.0):
        assert tempered(sureness * logits, labels, weight)[0] == pytest.approx(least, abs=1e-5)
    assert tempered(torch.zeros(90, 3), labels, None)[0] == pytest.approx(math.log(3))
    assert tempered(-logits, labels, None)[0] == pytest.approx(math.log(3), abs=0.02)


def test_a_training_that_stays_at_chance_begins_again_says_so_and_goes_on_after_a_kill(tmp_path):
    data, parts = ready()
    recipe = RECIPE.model_copy(update={"epochs": 12, "rate": 1e-9, "checkpoint": 0.0, "patience": 0.0})

    def run(path, until=None):
        module, events = build(NET, torch.Generator().manual_seed(3)), []
        torch.nn.init.zeros_(module.head.linear.weight)
        for event in training(module, data, parts, recipe, path):
            events.append(event)
            if until is not None and event["event"] == until:
                break
        return module.state_dict(), [event for event in events if event["event"] not in ("start", "resumed", "step")]

    whole, told = run(None)
    assert [event["event"] for event in told if event["event"] != "epoch"] == ["again", "warning", "done"]
    assert told[-2]["nothing"]
    again = next(k for k, event in enumerate(told) if event["event"] == "again")
    assert [event["epoch"] for event in told[again + 1 : -2]] == list(range(1, 13))
    assert told[again - 1]["rate"] > told[again + 4]["rate"] * 4
    run(tmp_path / "checkpoint.pt", until="again")
    resumed, rest = run(tmp_path / "checkpoint.pt")
    assert rest[-1]["best"] == told[-1]["best"]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_what_a_teacher_adds_to_the_loss_is_no_sign_that_nothing_is_learned():
    data, parts = ready()
    recipe = RECIPE.model_copy(update={"epochs": 12, "patience": 0.0})

    def far_away(student, batch):
        return batch.loss + 10

    events = list(training(build(NET, torch.Generator().manual_seed(3)), data, parts, recipe, teaching=far_away))
    assert not [event for event in events if event["event"] in ("again", "warning")]
    assert events[-2]["loss"] > 10
