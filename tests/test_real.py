"""The main job on real images, in a short version: `zansa train` with no option but fewer images and epochs."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import packs  # noqa: E402

from zansa.jobs.request import TrainRequest  # noqa: E402
from zansa.jobs.train import train  # noqa: E402
from zansa.record import Run  # noqa: E402

SHARED = Path(os.environ.get("ZANSA_SHARED_DATA", ROOT.parent / "shared" / "data"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real images are not here: no folder {SHARED}"),
]


def trained(name: str, place: Path, every: int, epochs: int) -> tuple[Run, dict]:
    manifest = packs.prepare(name, place / "images", SHARED, "0", every)
    run = train(TrainRequest(source=str(manifest), recipe={"epochs": epochs}), place, "run")
    return run, run.read_json("metrics.json")["test"]


def test_digits(tmp_path):
    """A third of the pack's training images, six epochs."""
    _, found = trained("mnist", tmp_path, 3, 6)
    assert found["balanced_accuracy"]["value"] > 0.9
    assert found["inspection"] is None


def test_circuit_boards(tmp_path):
    """A ninth of the crops, six epochs: far better than chance, and the good class is found by its name."""
    run, found = trained("deeppcb", tmp_path, 9, 6)
    assert found["inspection"]["good"] == "ok"
    assert found["inspection"]["roc_auc"] > 0.75
    assert run.read_json("data.json")["split"] == "given"


def test_magnetic_tiles_are_split_by_whole_tiles(tmp_path):
    run, found = trained("magnetic_tile", tmp_path, 4, 1)
    assert found["inspection"]["good"].lower() == "free"
    rows = [line.split(",") for line in (tmp_path / "images" / "manifest.csv").read_text().splitlines()]
    group = {row[rows[0].index("path")]: row[rows[0].index("group")] for row in rows[1:]}
    parts = {part: {group[name] for name in names} for part, names in run.read_json("data.json")["parts"].items()}
    assert not parts["train"] & parts["val"]
    assert not parts["test"] & (parts["train"] | parts["val"])
