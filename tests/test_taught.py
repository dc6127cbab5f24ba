"""A training that learns from another network's answers, and what is compared before and after it."""

import shutil

import numpy as np
import pytest
import torch
from command import STEADY, refused, zansa
from PIL import Image
from safetensors.torch import load_file

from zansa.jobs.making.beginnings import advised, race_text
from zansa.learn.beginnings import Candidate
from zansa.learn.distil import TRUTH, Batch, Lessons
from zansa.learn.linear import Head, sharpened
from zansa.record import Run

COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}


def noisy(count, side, seed):
    """Images (count, side, side, 3) of each colour in turn, with much noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(COLOURS)
    levels = np.array(list(COLOURS.values()))[labels][:, None, None]
    return np.clip(levels + rng.normal(0, 60, (count, side, side, 3)), 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A folder of 36 labelled pictures, and one with the same and six others without labels."""
    folder = tmp_path_factory.mktemp("taught")
    for i, (image, label) in enumerate(zip(*noisy(36, 24, 0), strict=True)):
        place = folder / "data" / list(COLOURS)[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:02}.png")
    shutil.copytree(folder / "data", folder / "more")
    for i, image in enumerate(noisy(6, 24, 1)[0]):
        Image.fromarray(image).save(folder / "more" / f"new {i}.png")
    (folder / "more" / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def taught(colours):
    """A run that learned from the answers of an installed package."""
    told = zansa("train", colours / "data", "--teacher", "efficientnet_lite0", "--unlabelled", colours / "more",
                 "--epochs", 2, "--out", colours / "runs", "--name", "taught", *STEADY)  # fmt: skip
    assert told.returncode == 0, told.stderr
    return Run.open(colours / "runs" / "taught"), told


def test_a_student_learns_from_a_package_and_from_images_without_labels(taught):
    """The teacher is asked once about each image, and about none that is held out."""
    run, told = taught
    data = run.read_json("data.json")
    held, learned = (sum(len(data["parts"][part]) for part in parts) for parts in (("val", "test"), ("train",)))
    assert f"{held} images without labels were left out: they are validation or test images" in told.stderr
    assert f"has looked at {learned + 6} images without labels" in told.stdout + told.stderr
    assert "1 ×" in told.stderr  # the file that is no picture
    assert "licence Apache-2.0" in data["teacher"]["told"]
    assert not data["teacher"]["seen"]
    assert "learned from the answers of" in (run.path / "report.html").read_text()
    assert not list(run.path.glob("checkpoint*"))


def test_a_run_can_teach_and_is_not_trusted_where_it_knows_the_test_part(colours, taught):
    told = zansa("finetune", colours / "data", "--teacher", taught[0].path, "--size", 32, "--seed", 1, "--epochs", 1,
                 "--out", colours / "runs", "--name", "other", *STEADY)  # fmt: skip
    assert told.returncode == 0, told.stderr
    run = Run.open(colours / "runs" / "other")
    assert run.read_json("data.json")["teacher"]["seen"] > 0  # another seed splits otherwise
    assert "A teacher that knows the answers" in (run.path / "report.html").read_text()


def test_what_cannot_teach_is_refused(colours, taught, tmp_path):
    run, data = taught[0].path, colours / "data"
    shutil.copytree(data / "red", colours / "others" / "red")
    shutil.copytree(data / "blue", colours / "others" / "pink")
    for words, reason in [
        (["train", data, "--unlabelled", colours / "more"], "add --teacher"),
        (["train", data, "--teacher", run, "--folds", 3], "held out"),
        (["finetune", data, "--teacher", run, "--linear"], "no effect"),
        (["train", data, "--teacher", tmp_path / "none"], "to learn from"),
        (["train", colours / "others", "--teacher", run], "knows the classes blue, green, red"),
    ]:
        assert reason in refused(*words, "--out", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_student_that_answers_as_its_teacher_does_has_the_loss_of_the_labels_alone():
    chance = torch.Generator().manual_seed(0)
    samples, weight = (torch.randn(*shape, generator=chance) for shape in ((8, 3, 4, 4), (48, 2)))
    labels, index = torch.arange(8) % 2, np.arange(8)[::-1].copy()

    def student(images):
        return images.flatten(1) @ weight

    said = student(samples).log_softmax(1)
    told = torch.zeros(8, 2)
    told[torch.from_numpy(index)] = said  # by the place in the data set, whatever the order of a batch
    loss = torch.tensor(0.7)
    batch = Batch(samples, student(samples), labels, loss, 0, index)
    same = Lessons(told, samples, said)(student, batch)
    assert same.item() == pytest.approx(TRUTH * 0.7, abs=1e-5)
    other = Lessons(told, samples, said.flip(1))(student, batch)
    assert other > same + 0.1


def test_a_sharpened_head_is_as_sure_as_it_is_right():
    """Answers that are right in three of four cases: the most likely certainty of a rule of two classes is 75 %."""
    seen, truth = np.ones((400, 1)), np.array([0, 0, 0, 1] * 100)
    vague = Head(np.array([[0.01], [-0.01]]), np.zeros(2), 0.0)
    head = sharpened(vague, seen, truth)
    certainty = torch.from_numpy(head.weight[:, 0] + head.bias).softmax(0)[0].item()
    assert certainty == pytest.approx(0.95 * 0.75 + 0.025, abs=0.01)


def test_the_beginnings_are_compared_and_the_head_stays_where_the_training_has_learned_nothing(tmp_path):
    images, labels = noisy(210, 16, 2)
    np.savez(tmp_path / "colours.npz", images=images, labels=np.array(list(COLOURS))[labels])
    told = zansa("train", tmp_path / "colours.npz", "--epochs", 1, "--rate", 1e-9, "--out", tmp_path, "--name", "a",
                 "--begin", "auto", *STEADY)  # fmt: skip
    assert told.returncode == 0, told.stderr
    run = Run.open(tmp_path / "a")
    race = [Candidate(**each) for each in run.read_json("data.json")["race"]]
    assert {each.name for each in race} == {"none", "drawn", "efficientnet_lite0"}
    assert [each.right for each in race] == sorted((each.right for each in race), reverse=True)
    assert {each.name: each.macs for each in race}["drawn"] < {each.name: each.macs for each in race}[
        "efficientnet_lite0"
    ]
    assert race_text(race) in told.stdout + told.stderr
    assert "a linear head on the weights as they began takes the place of the network" in told.stdout + told.stderr
    assert run.read_json("metrics.json")["test"]["accuracy"]["value"] > 0.9
    start, end = (load_file(run.path / f"{name}.safetensors") for name in ("start", "model"))
    assert all(torch.equal(start[name], end[name]) for name in start if "conv" in name)
    assert "frozen, with a linear head: drawn pictures" in (run.path / "report.html").read_text()


def test_advice_is_given_only_where_the_difference_is_clear():
    drawn, ready = (
        Candidate("drawn", 0.4, 0.04, 150, 13e6, 0.5),
        Candidate("efficientnet_lite0", 0.73, 0.036, 150, 2e8, 9),
    )
    assert "`zansa finetune DATA --weights efficientnet_lite0 --linear`" in advised([ready, drawn], 0.43, 50)
    assert advised([ready, drawn], 0.65, 50) == ""  # 8 points of 50 images are noise
    assert advised([drawn], 0.1, 50) == ""
    assert advised([], 0.1, 50) == ""
