"""Several processes at one training, as torchrun starts them: real processes, real kills."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command import STEADY, fill, zansa
from laws import small_net
from safetensors.numpy import load_file
from samples import a_set

from zansa.learn import several
from zansa.learn.data.augment import Augment
from zansa.learn.loss import Criterion
from zansa.learn.recipe import Recipe
from zansa.learn.train import loss_of
from zansa.nets.build import build

SHORT = ["--epochs", "7", "--batch", "16", "--device", "cpu", *STEADY]
PLAIN = """
import sys
import torch
from command import STEADY, fill, zansa
from laws import small_net
from samples import a_set
from zansa.learn import several
from zansa.learn.recipe import Recipe
from zansa.learn.train import helping, training
from zansa.nets.build import build

net = small_net("basic", norm="group")
data, parts = a_set(net, 160)
if several.join("cpu"):
    helping(data, parts)
    raise SystemExit
found = []
for balance in ("logit", "weights"):
    module = build(net, torch.Generator().manual_seed(0))
    recipe = Recipe(epochs=2, batch=15, precision="float32", layout="channels_first", device="cpu", keep="last",
                    balance=balance, repeat=0.9 if balance == "logit" else 0)
    losses = [event["loss"] for event in training(module, data, parts, recipe) if event["event"] == "epoch"]
    found.append([losses, module.state_dict()])
torch.save(found, sys.argv[1])
several.dismiss()
several.join("cpu")  # again
"""


def together(*words, count=2, **more):
    """The command line that starts so many processes, and where it runs."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    paths = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    return [*start, *map(str, words)], {"env": os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}, **more}


def run(*words, **more):
    command, settings = together(*words, **more)
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)


def family(pid):
    """A process and those that it has started, and they."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from family(int(child))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("images") / "parts", count=200)


@pytest.fixture(scope="module")
def grown(images, tmp_path_factory):
    """A growth by two processes."""
    out = tmp_path_factory.mktemp("runs")
    result = run("-m", "zansa", "grow", images, "--budget", "macs=800k,1.6M", "--out", out, "--name", "grown", *SHORT)
    assert result.returncode == 0, result.stderr
    return out


def test_two_processes_learn_what_one_learns(tmp_path, monkeypatch):
    (tmp_path / "plain.py").write_text(PLAIN)
    with monkeypatch.context() as one:
        one.setattr(sys, "argv", ["plain.py", str(tmp_path / "1.pt")])
        one.setenv("TORCHELASTIC_RUN_ID", "here")  # as torchrun starts a single process
        one.setenv("WORLD_SIZE", "1")
        runpy.run_path(str(tmp_path / "plain.py"))
        assert not torch.distributed.is_initialized()
    result = run(tmp_path / "plain.py", tmp_path / "2.pt", count=2)  # which share batches of 15 unevenly
    assert "several processes do one job" in result.stderr  # behind the first
    alone, together = (torch.load(tmp_path / f"{count}.pt", weights_only=True) for count in (1, 2))
    for (losses, state), (told, other) in zip(alone, together, strict=True):
        assert told == pytest.approx(losses, rel=1e-5)
        assert all(torch.allclose(other[name], value, rtol=1e-4, atol=1e-5) for name, value in state.items())


def test_each_process_varies_its_images_in_its_own_way(monkeypatch):
    net = small_net("basic")
    data, parts = a_set(net, 40)
    module, recipe = build(net), Recipe(augment=Augment(shift=0.2))
    criterion, chance = Criterion(data.labels[parts.train], 3, recipe, torch.device("cpu")), torch.Generator()
    losses = []
    for rank in (0, 1, 1):
        monkeypatch.setattr(several, "rank", lambda rank=rank: rank)
        losses.append(loss_of(module.eval(), data, parts.train[:8], 3, recipe, criterion, chance)[0].item())
    assert losses[0] != losses[1] == losses[2]


def test_two_processes_grow_a_whole_run(grown):
    assert sorted(path.name for path in grown.iterdir()) == ["grown", "grown-macs-800k"]
    for name in ("grown", "grown-macs-800k"):
        metrics = json.loads((grown / name / "metrics.json").read_text())
        assert metrics["training"]["processes"] == 2
        assert metrics["test"]["accuracy"]["value"] > 0.5
        assert (grown / name / "edits.jsonl").read_text()


def test_a_kill_of_all_loses_nothing(images, grown, tmp_path):
    command, settings = together(
        "-m", "zansa", "grow", images, "--budget", "macs=800k,1.6M", "--out", tmp_path, "--name", "grown", *SHORT
    )
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **settings)
    while not (tmp_path / "grown-macs-800k" / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    for each in [*family(process.pid)]:
        os.kill(each, signal.SIGKILL)
    process.wait()
    result = run("-m", "zansa", "resume", tmp_path / "grown")
    assert result.returncode == 0, result.stderr
    for name in ("grown", "grown-macs-800k"):
        whole, broken = (load_file(out / name / "model.safetensors") for out in (grown, tmp_path))
        assert whole.keys() == broken.keys()
        assert all(np.array_equal(whole[key], broken[key]) for key in whole)


def test_what_is_refused_is_refused_at_once(images, tmp_path):
    words = ["train", images, "--batch", "2", "--epochs", "1", "--device", "cpu", "--out", tmp_path, *STEADY]
    result = run("-m", "zansa", *words)
    assert result.returncode != 0
    assert "2 processes share batches of 2" in result.stderr
    assert not list(tmp_path.iterdir())
    assert zansa(*words).returncode == 0
