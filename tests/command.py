"""The command line in tests: in this process, since a start takes seconds, or as a process of its own."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from PIL import Image

from zansa.cli import run_command
from zansa.learn.data.synthetic import surfaces

STEADY = ["--precision", "float32", "--layout", "channels_first"]  # nothing is left to the stopwatch
SHORT = ["--epochs", "2", "--batch", "16", *STEADY]


def zansa(*words: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """What a command answers in this process; `settings`: environment variables."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = signal.getsignal(signal.SIGTERM)
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")  # as in a process of its own, where they are printed
        patch.setattr(sys, "argv", ["zansa", *map(str, words)])
        for name, value in settings.items():
            patch.setenv(name, value)
        try:
            run_command()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    signal.signal(signal.SIGTERM, before)
    told, message = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(words, code, told, message)


def refused(*words: object, **settings: str) -> str:
    """The message of a refused command: exit code 2, no traceback, nothing on standard output."""
    result = zansa(*words, **settings)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result.stderr


def process(*words: object) -> subprocess.CompletedProcess[str]:
    """What a command answers in a process of its own: for one start of every verb, and for what a start is about."""
    command = [sys.executable, "-m", "zansa", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


KILLED = multiprocessing.get_context("forkserver")  # processes that have imported torch before they begin
KILLED.set_forkserver_preload(["zansa.jobs.train", "torch._dynamo"])


def forked(*words: object, told: Path = Path(os.devnull)) -> multiprocessing.Process:
    """A command that runs in a process of its own, which begins at once; it writes to the file `told`."""
    working = KILLED.Process(target=told_to, args=(list(map(str, words)), told))
    working.start()
    return working


def wait_for(place: Path, working: multiprocessing.Process) -> None:
    """Wait until the process has written this file."""
    while not place.exists():
        assert working.is_alive()
        time.sleep(0.01)


def killed(place: Path, *words: object) -> None:
    """Run a command in a process of its own, and kill it as soon as it has written this file."""
    working = forked(*words)
    wait_for(place, working)
    working.kill()
    working.join()


def told_to(words: list[str], told: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
    sys.argv, sys.stdout = ["zansa", *words], open(told, "w")  # noqa: SIM115
    sys.stderr = sys.stdout
    run_command()


def fill(folder: Path, count: int = 90, size: int = 24) -> Path:
    """A folder per class of small synthetic surfaces."""
    made = surfaces(count, seed=1, size=size, good=0.5)
    for i, (image, label) in enumerate(zip(made.images, made.labels, strict=True)):
        place = folder / ("good" if made.classes[label] == "good" else "bad")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{i:04}.png")
    return folder
