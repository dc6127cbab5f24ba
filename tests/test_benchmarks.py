"""The benchmarks read the packs of public data as their READMEs say, and the rivals are real rivals."""

import csv
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from torchvision import models

from zansa.arch.use import OperatingPoint
from zansa.learn.data import load
from zansa.learn.data.dataset import from_arrays
from zansa.learn.data.splits import Parts
from zansa.proof.figures import figures
from zansa.record import Run

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import baselines
import families
import finetune
import gpu
import packs
import real_images
import start
import train_step


@pytest.fixture(scope="module")
def shared():
    try:
        return packs.shared_data()
    except ValueError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def boards(shared):
    return packs.deeppcb(shared)


def counts(pictures):
    return Counter((picture.split, picture.label) for picture in pictures)


def groups_in_two_splits(pictures):
    train, test = ({p.group for p in pictures if p.split == split} for split in ("train", "test"))
    return train & test


# ---- the packs: expected numbers are those of the packs' READMEs -----------------------------------------


@pytest.mark.real
def test_magnetic_tiles_have_the_counts_of_their_readme_and_every_fold_keeps_tiles_whole(shared):
    classes = {"Free": 952, "Blowhole": 115, "Uneven": 103, "Break": 85, "Crack": 57, "Fray": 32}
    tested = Counter()
    for fold in "01234":
        pictures = packs.magnetic_tile(shared, fold)
        assert Counter(picture.label for picture in pictures) == classes
        assert len({picture.group for picture in pictures}) == 201
        assert not groups_in_two_splits(pictures)
        tested.update(picture.path for picture in pictures if picture.split == "test")
    assert len(tested) == 1344  # each image is tested in one fold
    assert set(tested.values()) == {1}


@pytest.mark.real
def test_the_random_split_of_the_magnetic_tiles_is_even_and_does_part_tiles(shared):
    whole, parted = packs.magnetic_tile(shared, "0"), packs.magnetic_tile(shared, "random")
    tile = {picture.path: picture.group for picture in whole}
    train, test = ({tile[p.path] for p in parted if p.split == split} for split in ("train", "test"))
    assert len(train & test) > 100
    assert not any(picture.group for picture in parted)
    assert counts(parted)["test", "Free"] == 191  # a fifth of 952, rounded up
    assert counts(parted)["test", "Fray"] == 7


@pytest.mark.real
def test_deeppcb_has_the_counts_of_its_readme_and_the_split_of_its_authors(boards):
    classes = {"open": 1942, "short": 1506, "mousebite": 1965, "spur": 1625, "copper": 1474, "pin-hole": 1501}
    assert Counter(picture.label for picture in boards) == {**classes, "ok": 10013}
    assert Counter(picture.split for picture in boards) == {"train": 2 * 6873, "test": 2 * 3140}
    assert len({picture.group for picture in boards if picture.split == "train"}) == 1000
    assert len({picture.group for picture in boards if picture.split == "test"}) == 500
    assert not groups_in_two_splits(boards)
    assert len({picture.path for picture in boards}) == len(boards)


@pytest.mark.real
def test_a_deeppcb_crop_differs_from_its_template_only_near_the_defect(boards, tmp_path):
    crop, template = boards[0], boards[10013]
    assert crop.group == template.group
    packs.write(tmp_path, [crop, template])
    defect, ok = (np.asarray(Image.open(tmp_path / picture.path)) for picture in (crop, template))
    assert set(np.unique(defect)) <= {0, 255}
    rows, columns = np.nonzero(defect != ok)
    assert len(rows) > 20  # README of the pack: the box of this defect is x 19..45, y 18..46
    assert np.median(rows) == pytest.approx(32, abs=8)
    assert np.median(columns) == pytest.approx(32, abs=8)


@pytest.mark.real
def test_mnist_has_600_and_300_images_of_each_digit(shared):
    found = counts(packs.mnist(shared))
    assert found == {(s, str(d)): n for s, n in (("train", 600), ("test", 300)) for d in range(10)}


@pytest.mark.real
def test_cifar10_has_its_classes_in_order_and_the_published_levels(shared):
    images, labels, split = packs.cifar10(shared)
    assert images.shape == (60000, 32, 32, 3)
    assert Counter(zip(split.tolist(), labels.tolist(), strict=True)) == {
        (s, k): n for s, n in (("train", 5000), ("test", 1000)) for k in range(10)
    }
    # The published mean and deviation of the train part: of its lossy copy, and here of each tenth image.
    levels = images[split == "train"][::10] / 255
    assert levels.mean((0, 1, 2)) == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)
    assert levels.std((0, 1, 2)) == pytest.approx([0.2470, 0.2435, 0.2616], abs=0.01)


def test_a_written_pack_is_a_data_set(tmp_path):
    pictures = [
        packs.Picture(f"{label}/{i}.png", packs._png(np.full((24, 24), 9 * i + k, np.uint8)), label, f"part {i}", split)
        for k, label in enumerate(("crack", "ok"))
        for i, split in enumerate(["train"] * 8 + ["test"] * 2)
    ]
    manifest = packs.write(tmp_path, pictures)
    with manifest.open(newline="") as file:
        assert next(csv.reader(file)) == ["path", "label", "group", "split"]
    data = load(manifest)
    assert data.classes == ("crack", "ok")
    assert Counter(data.split.tolist()) == {"train": 16, "test": 4}
    assert len(set(data.groups.tolist())) == 10


def test_missing_packs_are_named(tmp_path):
    with pytest.raises(ValueError, match="--shared"):
        packs.shared_data(tmp_path)


# ---- the rivals ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Three easy classes of 32x32 images, the last one twice as common: 60 to train on, 20 for val, 20 for test."""
    folder, rng = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)
    wave = 90 * np.sign(np.sin(np.arange(32)))
    patterns = {"across": wave[:, None], "down": wave[None, :], "plain": np.zeros((1, 1))}
    pictures = []
    for number in range(100):
        label = ("across", "down", "plain", "plain")[number % 4]
        image = np.clip(128 + patterns[label] + rng.normal(0, 20, (32, 32)), 0, 255).astype(np.uint8)
        pictures.append(packs.Picture(f"{label}/{number}.png", packs._png(image), label, "", "train"))
    data = load(packs.write(folder, pictures), cache=folder / "cache")
    order = np.argsort([int(Path(name).stem) for name in data.names])
    return data, Parts(train=order[:60], val=order[60:80], test=order[80:])


def right(probabilities, data, part):
    assert probabilities.shape == (len(part), len(data.classes))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(part)))
    return float((probabilities.argmax(axis=1) == data.labels[part]).mean())


def test_resnet18_of_the_tutorial_begins_to_learn(stripes):
    data, parts = stripes
    answers = baselines.resnet18(data, parts, epochs=4, seed=0, workers=0)
    assert right(answers.test, data, parts.test) > 0.6  # always the commonest: 0.5; one step in each epoch
    assert right(answers.val, data, parts.val) > 0.6
    assert answers.seconds > 0


def test_macs_of_resnet18_are_the_published_ones():
    assert baselines.macs(models.resnet18(), (224, 224), torch.device("cpu")) == pytest.approx(1.814e9, rel=1e-3)


def test_nearest_neighbour_is_that_of_scikit_learn(stripes):
    data, parts = stripes
    x = baselines._standardised(data.images, high_pass=False)
    oracle = KNeighborsClassifier(1).fit(x[parts.train], data.labels[parts.train])
    found = baselines._nearest(x[parts.train], data.labels[parts.train], x[parts.test], len(data.classes))
    assert found.argmax(axis=1).tolist() == oracle.predict(x[parts.test]).tolist()
    answers = baselines.nearest_neighbour(data, parts)
    assert right(answers.val, data, parts.val) > 0.8
    assert right(answers.test, data, parts.test) > 0.8


def test_nearest_neighbour_knows_the_images_it_has_seen(stripes):
    data, parts = stripes
    answers = baselines.nearest_neighbour(data, Parts(parts.train, parts.val, parts.train))
    assert right(answers.test, data, parts.train) == 1


def test_the_commonest_class_is_always_answered(stripes):
    data, parts = stripes
    answers = baselines.commonest_class(data, parts)
    assert right(answers.test, data, parts.test) == 0.5
    assert answers.val[0].tolist() == pytest.approx([0.25, 0.25, 0.5])


# ---- the table of real images ----------------------------------------------------------------------------


def cell(method, seed, value, **more):
    return {
        "job": f"mnist-{seed}",
        "data": "mnist",
        "split": "official split",
        "seed": seed,
        "method": method,
        "balanced_accuracy": value,
        "roc_auc": 0.9,
        "detection_at_2": None,
        "detection": None,
        "false_alarms": None,
        "seconds": 10.0,
        "macs": 5e6,
        "quick": False,
        "tutorial": {"workers": 2, "threads": 2, "precision": "float32"},
        "environment": {"cpu": "a CPU", "cores": 2, "versions": {}, "commit": "abc"},
    } | more


def test_the_table_shows_mean_and_deviation_and_ours_first():
    lines = real_images.table(
        [cell("commonest class", 0, 0.1), *(cell("zansa train", i, v) for i, v in enumerate((0.9, 0.8)))]
    )
    ours, commonest = lines.splitlines()[2:]
    assert "zansa train | 2 | 85.0 ± 7.1 | 0.900 ± 0.000 | – | – | – | 10 ± 0 | 5.00 ± 0.00 |" in ours
    assert "commonest class | 1 | 10.0 | 0.900 |" in commonest


def test_every_job_is_planned_once_and_each_seed_of_the_tiles_has_its_own_fold(tmp_path):
    jobs = real_images.plan(list(real_images.SPLITS), 3, quick=False)
    assert len({job.name for job in jobs}) == len(jobs) == 3 * 3 + 1
    for fold in ("0", "1", "2", "random"):
        manifest = tmp_path / "data" / f"magnetic_tile-{fold}" / "manifest.csv"
        manifest.parent.mkdir(parents=True)
        manifest.touch()
    tiles = [real_images.prepared(job, tmp_path, tmp_path) for job in jobs if job.data == "magnetic_tile"]
    assert sorted(path.parent.name[-1] for path in tiles) == ["0", "1", "2", "m"]


def test_finished_cells_are_not_measured_again(tmp_path, capsys):
    jobs = real_images.plan(["mnist"], 1, quick=False)
    cells = [cell(method, 0, 0.5, job=jobs[0].name) for method in real_images.METHODS]
    (tmp_path / "cells.jsonl").write_text("".join(json.dumps(c) + "\n" for c in cells) + '{"torn')
    (tmp_path / "table.md").write_text("the table")
    real_images.benchmark(
        jobs, tmp_path, tmp_path / "no packs", quick=False, tutorial=real_images.Tutorial(0, 1, "float32")
    )
    assert capsys.readouterr().out == "the table\n"
    with pytest.raises(ValueError, match="another folder"):
        real_images.benchmark(jobs, tmp_path, tmp_path, quick=True, tutorial=real_images.Tutorial(0, 1, "float32"))


def test_a_row_takes_the_figures_of_inspection_where_there_is_a_good_class():
    p, labels = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]), np.array([0, 0, 1, 1])
    line = OperatingPoint(good="ok", threshold=0.5)
    row = real_images.row(figures(p, labels, ("ok", "crack"), line))
    assert row["roc_auc"] == 0.75
    assert row["detection_at_2"] == 0.5  # over the higher of two good images
    assert row["balanced_accuracy"] == 0.5
    assert real_images.row(figures(p, labels, ("a", "b")))["detection_at_2"] is None


# ---- speed -----------------------------------------------------------------------------------------------


def test_the_clock_runs_over_the_measured_steps_alone():
    def steps():
        for number in range(100):
            time.sleep(0.2 if number < 1 else 0.02)
            yield number

    assert train_step.speed(steps, torch.get_num_threads(), steps=5) == pytest.approx(train_step.BATCH / 0.02, rel=0.5)


def test_the_best_setting_of_the_tutorial_is_the_rival():
    rates = {
        "tutorial, 2 workers, 2 threads": [50.0, 70.0, 60.0],
        "tutorial, 0 workers, 2 threads": [100.0, 110.0, 90.0],
    }
    text = train_step.table({**rates, "zansa.learn.train": [200.0, 330.0, 90.0]})
    assert "0 workers, 2 threads **(the rival)** | 100 (90–110) | 1.00 (1.00–1.00) |" in text
    assert "| zansa.learn.train | 200 (90–330) | 2.00 (1.00–3.00) |" in text


def test_help_does_not_import_torch():
    imported = start.imports(("--help",))
    assert "zansa.cli" in imported
    assert "torch" not in imported
    assert "ms" in start.slowest(imported)


def test_families_are_trained_alike_and_the_table_has_a_row_for_each(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = rng.integers(0, 100, (60, 32, 32, 3)) + 80 * labels[:, None, None, None]
    split = np.array(["train"] * 40 + ["val"] * 10 + ["test"] * 10)
    np.savez(tmp_path / "images.npz", images=images.astype(np.uint8), labels=labels, split=split)
    words = ["families", str(tmp_path / "out"), "--data", str(tmp_path / "images.npz"), "--epochs", "1", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", words)
    families.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| 12")]
    assert [row[1] for row in rows] == ["ResNet", "DILNet", "DMRNet"]
    assert [row[2:4] for row in rows] == [["0.37", "26"], ["0.35", "14"], ["0.35", "14"]]
    families.main()  # finished trainings are not repeated
    assert "epoch" not in capsys.readouterr().out


def test_a_finetuning_set_has_as_many_images_of_each_class_as_asked():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 30)
    data = from_arrays(rng.integers(0, 256, (300, 8, 8, 1), dtype=np.uint8), labels, kind="natural")
    order = rng.permutation(300)
    parts = Parts(np.sort(order[:200]), np.sort(order[200:250]), np.sort(order[250:]))
    first, _, other, other_parts = finetune.halves(data, parts)
    assert (first.classes, other.classes) == (tuple("01234"), tuple("56789"))
    chosen = finetune.few(other, other_parts, 10, seed=0)
    assert Counter(other.labels[chosen.train].tolist()) == dict.fromkeys(range(5), 10)
    assert not set(chosen.train) & set(chosen.val)
    assert len(chosen.test) == (data.labels[parts.test] >= 5).sum()


# ---- what waits for a GPU ---------------------------------------------------------------------------------


def test_the_parts_that_wait_for_a_gpu_fit_into_nine_minutes():
    assert list(gpu.PARTS)[:2] == ["tests", "training"]  # the most telling first
    assert sum(part.seconds for part in gpu.PARTS.values()) <= gpu.LIMIT <= 540
    assert all(part.seconds > 0 and part.what and part.run.__doc__ for part in gpu.PARTS.values())


def test_a_part_runs_and_one_that_fails_or_takes_too_long_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = gpu.Settings(device="cpu", short=True, shared=str(tmp_path / "nothing"))
    lines = gpu.benchmark(tmp_path, settings, ["training", "frontier"], limit=20 * gpu.LIMIT)
    assert [line["state"] for line in lines] == ["done", "failed"]
    assert "| whole and resumed | True | True |" in (tmp_path / "table.md").read_text()
    assert "No such file" in lines[1]["said"][0]

    late = gpu.watched("tests", tmp_path, settings, seconds=0.01)
    assert (late["state"], late["rows"]) == ("over time", [])
    gpu.benchmark(tmp_path, settings, ["training", "speed"], limit=1)
    recorded = [(line["part"], line["state"]) for line in Run(tmp_path).lines("parts.jsonl")]
    assert recorded == [("training", "done"), ("frontier", "failed"), ("speed", "no time left")]  # what is done stays
    for part, state in recorded:
        assert f"## {part}: {gpu.PARTS[part].what}\n\n{state}" in (tmp_path / "table.md").read_text()
