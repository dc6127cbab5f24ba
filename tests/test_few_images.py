"""The benchmark of few images takes the images that it says, and every column is trained."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import few_images

from zansa.learn.data.dataset import from_arrays


def parts_in_groups(classes, groups, each, split=None):
    """`groups` groups of `each` images for each class, one of them with a second class too."""
    labels = np.repeat(np.arange(classes), groups * each)
    names = np.array([f"{label}/{k // each % groups}" for k, label in enumerate(labels)])
    names[labels == 1] = np.char.replace(names[labels == 1], "1/0", "0/0")
    images = np.random.default_rng(0).integers(0, 255, (len(labels), 16, 16), np.uint8)
    return from_arrays(images, labels.astype(str), groups=names, split=split)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_class_gets_as_many_images_as_asked_and_no_group_stands_in_two_parts(seed):
    data, parts = few_images.few(parts_in_groups(3, 12, 4), 10, seed)
    assert np.bincount(data.labels[parts.train]).tolist() == [10, 10, 10]
    assert np.bincount(data.labels[parts.val]).tolist() == [5, 5, 5]
    assert len(parts.test)
    groups = [set(data.groups[part].tolist()) for part in (parts.train, parts.val, parts.test)]
    assert not groups[0] & groups[1]
    assert not groups[2] & (groups[0] | groups[1])


def test_the_given_test_part_stays_one_and_classes_with_too_few_images_are_left_out():
    full = parts_in_groups(3, 12, 4)
    split = ["test" if group.endswith("/9") else "train" for group in full.groups]
    kept = np.flatnonzero((full.labels < 2) | (np.arange(len(full)) % 4 == 0))
    data = from_arrays(
        full.images[kept], full.labels[kept].astype(str), groups=full.groups[kept], split=[split[k] for k in kept]
    )
    chosen, parts = few_images.few(data, 10, 0)
    assert chosen.classes == ("0", "1")
    assert all(group.endswith("/9") for group in chosen.groups[parts.test])
    assert len(parts.test) == 8


def test_all_columns_are_trained_and_finished_cells_are_not_measured_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(few_images, "BUILTIN", 300)
    monkeypatch.setattr(few_images, "default_recipe", lambda *_: few_images.Recipe(epochs=1, batch=8))
    monkeypatch.setattr(
        sys,
        "argv",
        ["few_images.py", str(tmp_path), "--sets", "builtin", "--counts", "4", "--seeds", "1", "--validation"],
    )
    few_images.main()
    lines = (tmp_path / "cells.jsonl").read_text().splitlines()
    assert len(lines) == len(few_images.USUAL)
    few_images.main()
    assert (tmp_path / "cells.jsonl").read_text().splitlines() == lines
    assert "| builtin | 4 |" in capsys.readouterr().out
