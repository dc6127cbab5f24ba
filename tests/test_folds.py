"""Every sample is held out once by networks that have not seen its group, and one line decides as theirs did."""

import numpy as np
import pytest
import torch
from samples import NET, bars

from zansa.arch.use import OperatingPoint
from zansa.jobs.compress import compress
from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.jobs.trained_request import CompressRequest
from zansa.learn.data.dataset import from_arrays
from zansa.learn.data.splits import folds
from zansa.learn.folds import HeldOut, held_out, holding_out, to_one_line
from zansa.learn.plain_rules import RULES
from zansa.learn.recipe import Recipe
from zansa.nets.build import build
from zansa.proof.calibration import fit
from zansa.proof.decide import logits_of


def grouped(count=60, each=3):
    data = bars(count)
    groups = [f"{name}/{k // each}" for k, name in enumerate(np.array(data.classes)[data.labels])]
    return from_arrays(data.images, np.array(data.classes)[data.labels], groups=groups)


@pytest.mark.parametrize("seed", range(3))
def test_every_image_is_tested_once_and_no_group_is_torn(seed):
    data = grouped()
    made = folds(data, 5, seed)
    assert sorted(np.concatenate([parts.test for parts in made])) == list(range(len(data)))
    for parts in made:
        used = [set(data.groups[part].tolist()) for part in (parts.train, parts.val, parts.test)]
        assert not used[0] & used[1]
        assert not used[2] & (used[0] | used[1])
        assert len(parts.train) + len(parts.val) + len(parts.test) == len(data)
        assert len(parts.val)
        assert set(data.labels[parts.train]) == {0, 1, 2}
    sizes = [len(parts.test) for parts in made]
    assert max(sizes) <= 2 * min(sizes)


def test_folds_that_cannot_be_are_refused():
    data = grouped(30, 10)
    with pytest.raises(ValueError, match="allowed: up to"):
        folds(data, 20, 0)
    given = from_arrays(data.images, data.labels.astype(str), split=["train"] * 20 + ["test"] * 10)
    with pytest.raises(ValueError, match="have a split, and folds hold out every image once"):
        folds(given, 5, 0)


def test_one_line_decides_as_the_line_of_each_fold():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.3, 0.3, 0.3], 500)
    p[:3] = [[0, 1, 0], [1, 0, 0], [0.25, 0.5, 0.25]]
    lines = rng.choice([0.0, 1e-6, 0.5, 0.75, 1.0], 500)
    lines[:3] = 1.0, 0.0, 0.75
    for line in (0.02, 0.9):
        moved = to_one_line(HeldOut(np.arange(500), p, lines), 0, line)
        assert ((1 - moved[:, 0] >= line) == (1 - p[:, 0] >= lines)).all()
        np.testing.assert_allclose(moved.sum(1), 1, atol=1e-6)
    same = to_one_line(HeldOut(np.arange(500), p, np.full(500, 0.3)), 0, 0.3)
    np.testing.assert_allclose(same, p, atol=1e-9)


def test_folds_go_on_after_a_kill_to_the_same_answers(tmp_path):
    data = grouped()
    made = folds(data, 3, 0)
    recipe = Recipe(epochs=2, batch=8, precision="float32", layout="channels_first", checkpoint=0.0)

    def begin():
        return build(NET, torch.Generator().manual_seed(0))

    def choose(raw, index):
        return fit(logits_of(raw), data.labels[index]), OperatingPoint(good="none", threshold=raw[0, 0])

    def hold(folder, stop=None):
        for each in holding_out(begin, data, made, recipe, choose, folder):
            if (each.get("done"), each.get("step")) == stop:
                return None
        return held_out(folder, 3)

    hold(tmp_path / "broken", stop=(1, 3))
    whole, broken = hold(tmp_path / "whole"), hold(tmp_path / "broken")
    assert whole.index.tolist() == list(range(60))
    for name in ("index", "probabilities", "line"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(broken, name))
    assert len(set(whole.line)) == 3


def test_a_run_by_folds_judges_every_image(tmp_path):
    data = grouped()
    names = np.array(["good", "lying", "standing"])[data.labels]
    np.savez(tmp_path / "set.npz", images=data.images, labels=names)
    recipe = {"epochs": 1, "batch": 8, "precision": "float32", "layout": "channels_first"}
    asked = TrainRequest(source=str(tmp_path / "set.npz"), folds=3, begin="none", recipe=recipe, net="cifar_resnet8")
    run = train(asked, tmp_path, "run")
    metrics, parts = run.read_json("metrics.json"), run.read_json("data.json")["parts"]
    figures = metrics["test"]
    assert [each["rival"] for each in metrics["rivals"]] == list(RULES)
    assert figures["count"] == 60
    assert figures["inspection"]["detection"]["count"] == (names != "good").sum()
    assert sum(",test," in row for row in (run.path / "predictions.csv").read_text().splitlines()) == 60
    assert len(parts["train"]) + len(parts["val"]) == 60
    assert not (run.path / "folds").exists()
    assert "image was judged by one of 3 networks" in (run.path / "report.html").read_text()
    with pytest.raises(ValueError, match="was proven by folds: its network has learned from all"):
        compress(CompressRequest(model=str(run.path), int8=True, out=str(tmp_path)))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run", "set.npz"]
