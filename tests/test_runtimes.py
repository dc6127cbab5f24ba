"""The exported file in the onnxruntime of today and in an old one: it loads without a word and gives the same answers.

The old onnxruntime and its NumPy are installed once into a folder of the environment that runs the tests (outside the
clone where the environment is, as in CI). They never mix with what the other tests import.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
import torch

from zansa.arch.use import Preprocess
from zansa.deploy.export import to_onnx
from zansa.learn.defaults import default_net
from zansa.nets.build import build
from zansa.nets.files import Model

# the oldest onnxruntime that has a wheel for each Python, and a NumPy that goes with it
OLD = {
    (3, 11): ("onnxruntime==1.16.3", "numpy==1.26.4"),  # reads files up to IR 9
    (3, 12): ("onnxruntime==1.17.3", "numpy==1.26.4"),  # the same
    (3, 13): ("onnxruntime==1.20.1", "numpy==2.2.6"),  # refuses what it makes of nodes without names
}
KINDS = {
    "natural": Preprocess(channels=3, size=(32, 32), mean=(120.0,), std=(60.0,)),
    "surface": Preprocess(channels=1, size=(40, 48), fit="stretch", depth=16, mean=(30000.0,), std=(15000.0,)),
    "signal": Preprocess(channels=2, size=(100,), depth=32, mean=(5.0,), std=(3.0,)),
    "sequence": Preprocess(channels=4, size=(60,), alphabet="ACGT", mean=(3.0,), std=(5.0,)),
}
LOAD = """
import json, sys
import onnxruntime
import numpy as np
answers = {}
for path in sys.argv[1:]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = session.run(None, dict(np.load(path + ".npz")))
    answers[path] = np.concatenate([each.reshape(len(each), -1) for each in given], 1).tolist()  # the class maps too
print(json.dumps([onnxruntime.__version__, answers]))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The default network of every kind of data, exported, each beside samples to try it on."""
    paths = []
    for kind, pre in KINDS.items():
        net = default_net(pre.size, pre.channels, 3, kind)
        model = Model(net, build(net, torch.Generator().manual_seed(0)).eval(), ("a", "b", "c"), pre)
        paths.append(tmp_path_factory.mktemp("files") / f"{kind}.onnx")
        paths[-1].write_bytes(to_onnx(model))
        np.savez(f"{paths[-1]}.npz", **samples(pre))
    return paths


def samples(pre):
    """Three random samples as the file of this preprocessing takes them, under the name of its input."""
    rng, shape = np.random.default_rng(0), (3, *(pre.size if pre.series else (37, 51)), pre.channels)
    if pre.depth == 32:
        return {"series": rng.normal(5, 3, shape).astype(np.float32)}
    top = 13 if pre.series else 2**pre.depth
    return {"series" if pre.series else "image": rng.integers(0, top, shape).astype(f"uint{pre.depth}")}


@pytest.fixture(scope="module")
def old():
    """The folder of the old packages; skips where they cannot be had."""
    wanted, reason = (
        OLD[sys.version_info[:2]],
        f"no old onnxruntime for Python {sys.version_info[0]}.{sys.version_info[1]}",
    )
    folder = Path(sys.prefix) / wanted[0].replace("==", "-")
    if sys.prefix == sys.base_prefix:
        pytest.skip(f"{reason}: it is kept in a virtual environment, and this is none")
    if not folder.exists():
        with TemporaryDirectory(dir=sys.prefix) as place:
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--target",
                f"{place}/packages",
                *wanted,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{reason}: pip could not install it ({done.stderr.strip().splitlines()[-1]})")
            os.replace(f"{place}/packages", folder)
    return folder


def loaded(files, *flags, **settings):
    """What a fresh process prints that loads these files as onnxruntime's own page shows it."""
    command = [sys.executable, *flags, "-c", LOAD, *map(str, files)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    words = [line for line in done.stderr.splitlines() if "device_discovery" not in line]  # it looks for a GPU
    assert (done.returncode, words) == (0, []), done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def today(files):
    """What the installed onnxruntime answers, which prints nothing else."""
    return loaded(files)[1]


def test_the_installed_onnxruntime_loads_the_files_without_a_word(files, today):
    for path in files:
        assert np.ptp(today[str(path)], axis=0).max() > 1e-3  # the samples are told apart


def test_an_old_onnxruntime_gives_the_same_answers(files, today, old):
    version, before = loaded(files, "-S", PYTHONPATH=str(old))  # -S: only the old packages, none of the environment's
    assert version == old.name.partition("-")[2]
    for path, answers in today.items():
        assert np.abs(np.subtract(answers, before[path])).max() < 1e-5


def test_files_ask_for_no_more_than_they_need(files):
    """IR 8 and opset 18 for onnxruntime from 1.16 on, and a name for every node for 1.18 to 1.20."""
    for path in files:
        model = onnx.load(path)
        assert model.ir_version == 8
        assert [(used.domain, used.version) for used in model.opset_import] == [("", 18)]
        names = [node.name for node in model.graph.node]
        assert all(names)
        assert len(set(names)) == len(names)
