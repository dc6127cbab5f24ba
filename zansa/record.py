"""A run's folder: all that a run leaves behind, written so that a kill at any moment damages nothing.

A file is replaced whole or not at all. In a file of lines a line counts once its newline is there: readers
pass over a torn end, and the next `append` cuts it off. One process writes a run at a time, any number may
read it.
"""

import errno
import fcntl
import glob
import json
import math
import os
import platform
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from io import FileIO
from pathlib import Path, PurePath
from typing import Any

FREE_BYTES = 64 * 2**20  # a small network, its checkpoint, its ONNX file and a report
MARKS = ("environment.json", "spec.json")  # a folder that holds one of these is a run
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "onnx", "onnxruntime")

FULL = "the disk or its quota is full: free some room, then try again"
CLOSED = "this place is not for writing: choose another one, or change its permissions"
TAKEN = "a file stands where a folder is needed: choose another place"
REMEDIES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EACCES: CLOSED,
    errno.EPERM: CLOSED,
    errno.EROFS: CLOSED,
    errno.ENOTDIR: TAKEN,
    errno.EEXIST: TAKEN,
    errno.ENOENT: "the folder is not there: make it; or was a run moved, deleted or written by another process?",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


@dataclass(frozen=True)
class Run:
    """The folder of one run. Every method raises ValueError, saying what to do, where the system refuses."""

    path: Path

    @classmethod
    def create(cls, root: str | Path, name: str) -> "Run":
        """A new run `root/name` with its environment.json; never over an older one, nor on a full disk."""
        path = Path(root) / _folder_name(name)
        with _explained("create", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_room(path.parent)
            _make_new(path)
        try:
            cls(path).write_json("environment.json", environment())
        except ValueError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """The run in the folder `path`, to read it or to go on with it."""
        folder = Path(path)
        if not folder.is_dir():
            raise ValueError(f"no run {folder}: there is no such folder; {_runs_in(folder.parent)}")
        if not any((folder / mark).is_file() for mark in MARKS):
            raise ValueError(f"{folder} is no run: it has no {' and no '.join(MARKS)}; {_runs_in(folder)}")
        return cls(folder)

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Put the file `name` there whole, in place of an older one; returns its path."""
        return write_atomic(self.path / name, data)

    def write_json(self, name: str, value: Any) -> Path:
        """Put `value` there as JSON. NumPy values and paths are accepted; NaN and infinity become null."""
        return self.write_bytes(name, _encoded(value, indent=1) + b"\n")

    def read_json(self, name: str) -> Any:
        """The value that `write_json` put there; ValueError when the file is missing or damaged."""
        path = self.path / name
        if not path.is_file():
            raise ValueError(f"the run {self.path} has no {name}; it has: {', '.join(self.files()) or 'nothing'}")
        with _explained("read", path):
            return _decoded(path.read_bytes(), str(path))

    def append(self, name: str, value: Any) -> None:
        """Add `value` as a line of JSON: on the disk when this returns, not there at all when this raises."""
        path, line = self.path / name, _encoded(value) + b"\n"
        with _explained("write", path), path.open("ab+", buffering=0) as file:
            end = _end_of_lines(file)
            file.truncate(end)
            try:
                _put(file, line)
            except OSError:
                file.truncate(end)
                raise
            if end == 0:
                _settle(self.path)

    def lines(self, name: str) -> list[Any]:
        """The values that `append` added, oldest first, without a torn last line; [] if there is no file."""
        path = self.path / name
        if not path.exists():
            return []
        with _explained("read", path):
            whole = path.read_bytes().split(b"\n")[:-1]
        return [_decoded(line, f"{path}, line {number},") for number, line in enumerate(whole, 1)]

    def files(self) -> list[str]:
        """The names of the run's files, sorted; what a killed writer left is not among them."""
        return sorted(entry.name for entry in self.path.iterdir() if not entry.name.startswith("."))


def write_atomic(path: Path, data: bytes) -> Path:
    """Put a file there whole, in place of an older one, or not at all; returns its path."""
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    with _explained("write", path):
        try:
            with temporary.open("xb", buffering=0) as file:
                _put(file, data)
            os.replace(temporary, path)
        finally:
            _remove_remnants(path)
        _settle(path.parent)
    return path


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """While it lasts no other process may work on the run; ValueError when one does already."""
    with (run.path / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is working on {run.path}; wait for it, or stop it first") from None
        yield


def refuse_unwritable(root: str | Path) -> None:
    """ValueError when no run could be made in this folder; nothing is left there."""
    folder = Path(root)
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"cannot keep runs in {root}: {folder} is a file, and no folder; choose another --out")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"cannot keep runs in {root}: {folder} is not for writing; choose another --out")
    _check_room(folder)


def new_name(root: str | Path, stem: str) -> str:
    """A name for a new run in `root`: the stem, made fit for a folder, and the next number there."""
    word = re.sub(r"[^\w.-]+", "_", stem).strip("._-")[:60] or "run"
    numbers = [_number(path.name, word) for path in Path(root).glob(f"{glob.escape(word)}-*")]
    return f"{word}-{max(numbers, default=0) + 1}"


def environment() -> dict[str, Any]:
    """Where and with what a run was made: versions, commit (with "-dirty" when changed), machine and date."""
    return {
        "zansa": _version("zansa"),
        "commit": _commit(Path(__file__).resolve().parents[1]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


# ---- files -----------------------------------------------------------------------------------------------


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "look at the disk, or choose another place")
        raise ValueError(f"cannot {verb} {path} ({error.strerror or error}): {remedy}") from error


def _put(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]  # unbuffered, so that nothing is left to be written after a failure
    os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    # The name itself must reach the disk too. Some systems cannot sync a folder: so be it.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove_remnants(path: Path) -> None:
    # Ours after a failure, and those of killed writers: they may be as large as a checkpoint.
    for remnant in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        remnant.unlink(missing_ok=True)


def _end_of_lines(file: FileIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if file.read(1) in (b"", b"\n"):
        return size
    file.seek(0)
    return file.readall().rfind(b"\n") + 1


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise ValueError(
            f"only {free / 2**20:.1f} MiB are free in {folder}, and a run takes about {FREE_BYTES // 2**20}: "
            "free some room, or choose another place"
        )


def _make_new(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        raise ValueError(
            f"a run {path.name!r} exists already in {path.parent}: choose another name, "
            f"for example {new_name(path.parent, re.sub('-[0-9]+$', '', path.name))!r}, or resume {path}"
        ) from None


# ---- names -----------------------------------------------------------------------------------------------


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", name):
        raise ValueError(f"a run cannot be named {name!r}: allowed is the name of a folder, not a path, no dot first")
    return name


def _number(name: str, word: str) -> int:
    digits = name[len(word) + 1 :]
    return int(digits) if re.fullmatch("[0-9]{1,9}", digits) else 0


def _runs_in(folder: Path) -> str:
    names = sorted({path.parent.name for mark in MARKS for path in folder.glob(f"*/{mark}")})
    return f"runs in {folder}: {', '.join(names)}" if names else f"there are no runs in {folder}"


# ---- JSON ------------------------------------------------------------------------------------------------


def _encoded(value: Any, indent: int | None = None) -> bytes:
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    # What is no text, a byte of an odd file name, becomes JSON's own \udc80..\udcff and reads back as it was.
    return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy, whose import would cost the command line a fifth of its start
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    # A loss that has become NaN must not end the run that reports it.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _decoded(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise ValueError(f"{where} is damaged ({error}): put a copy back, or start a new run") from error


# ---- the machine -----------------------------------------------------------------------------------------


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():  # installed; a repository further up is somebody else's
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    # Within a hook git names its repository by variables; they would win over -C.
    free = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(command, env=free, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_model() -> str:
    with suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if match:
            return match[1]
    return platform.processor() or platform.machine()
