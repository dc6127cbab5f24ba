"""Decoded images kept in a memory-mapped file, so that the second start takes seconds.

An entry is two files, NAME.npy (the images) and NAME.json (what was decoded, with digests). NAME holds the source, the
request, and path, size and times of every file: a changed, added or removed file leads to another name. The .json is
renamed into place last and makes the entry valid, so a kill at any moment leaves either a whole entry or none.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TypeVar

import numpy as np
import PIL

from ...arch.use import Preprocess
from ...inputs.decode import Header
from ...inputs.images import digest, fitted, image_header, printable, read_like

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]

_FORMAT = 5  # of an entry and of the arithmetic in images.py: raise it when either changes, and old entries go
_BATCH = 512  # images in flight: bounds memory, and how long an interrupt waits
_ABANDONED = 60.0  # seconds without a sign of life; a builder gives one at least every few images


@dataclass(frozen=True)
class Decoded:
    """The images that could be read (N, H, W, C), which of the files they are, the digests of their decoded pixels, a
    sentence for each file that could not be read, and what was lost of those that could ("": nothing)."""

    images: np.ndarray
    kept: np.ndarray  # (N,) int64 into the files
    digests: tuple[str, ...]
    problems: tuple[str, ...]
    lost: tuple[str, ...]  # (N,)
    preprocess: Preprocess


@dataclass(frozen=True)
class Answer:
    """What became of one file: its image with the digest of its pixels and what was lost of it, or the problem."""

    digest: str = ""
    lost: str = ""
    problem: str = ""


def default_folder() -> Path:
    """$ZANSA_CACHE, or ~/.cache/zansa; a folder for temporary files where the user has no home, as in containers."""
    if named := os.environ.get("ZANSA_CACHE"):
        return Path(named)
    try:
        return Path.home() / ".cache" / "zansa"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"zansa-{os.getuid()}"


def entry_name(source: Path, files: Sequence[Path], request: object) -> str:
    """Two digests: what was asked of which source, and the state of its files on disk (content is not read)."""
    asked = f"{_FORMAT} {PIL.__version__} {request!r}".encode() + os.fsencode(source.absolute())
    return f"{_short(asked)}-{_short(b'|'.join(_state(file) for file in files))}"


def find(folder: Path, name: str) -> Decoded | None:
    """The entry of this name, its images mapped read-only; None when there is none, or a damaged one."""
    try:
        record = json.loads((folder / f"{name}.json").read_text())
        images = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        preprocess = Preprocess.model_validate(record["preprocess"])
        if len(images) != len(record["kept"]) or images.shape[1:] != (*preprocess.size, preprocess.channels):
            return None
        kept = np.array(record["kept"], np.int64)
        problems, lost = tuple(record["problems"]), tuple(record["lost"])
        return Decoded(images, kept, tuple(record["digests"]), problems, lost, preprocess)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build(
    folder: Path,
    name: str,
    files: Sequence[Path],
    names: Sequence[str],
    preprocess: Preprocess,
    progress: Progress | None = None,
) -> Decoded:
    """Decodes all files into a new entry, or, with a note, into memory when the place cannot take it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _write_entry(folder, name, files, names, preprocess, progress)
        found = find(folder, name)
        assert found is not None, "a fresh entry is whole"
        _forget_older(folder, name)
        return found
    except OSError as error:
        print(
            f"note: no image cache in {printable(str(folder))} ({error}); decoding into memory",
            file=sys.stderr,
        )
        return _in_memory(files, names, preprocess, progress)


def headers(files: Sequence[Path]) -> list[Header]:
    """(height, width, channels, depth) of every file whose header can be read."""
    return [header for header in _each(_header, files) if header is not None]


# --- decoding ------------------------------------------------------------------------------------------------------


def decode(
    files: Sequence[Path], names: Sequence[str], preprocess: Preprocess, progress: Progress | None = None
) -> Iterator[tuple[np.ndarray | None, Answer]]:
    """The image or None, and what became of it, of each file in order."""
    work = [(file, name, preprocess) for file, name in zip(files, names, strict=True)]
    for done, result in enumerate(_each(_decode_one, work), start=1):
        yield result
        if progress is not None:
            progress(done, len(work))


def _decode_one(work: tuple[Path, str, Preprocess]) -> tuple[np.ndarray | None, Answer]:
    file, name, preprocess = work
    try:
        levels, lost = read_like(file, preprocess, name)
    except ValueError as error:
        return None, Answer(problem=str(error))
    return fitted(levels, preprocess), Answer(digest(levels), lost)


def _header(file: Path) -> Header | None:
    try:
        return image_header(file)
    except ValueError:  # told when it is decoded
        return None


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """`function` of every item, in order, on all cores.

    Threads: Pillow and hashlib decode, resize and hash outside the interpreter's lock. The first load of the 1,344
    magnetic tiles (WebP, 108,000 pixels each) on two cores of a shared Xeon took 3.6 to 3.9 s with threads and 5.7 to
    6.9 s with processes, four runs each: processes decode faster once they run (646 against 487 images/s, one thread
    407), but take seconds to start, and after a kill they outlive their parent.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(_cores()) as pool:
        while batch := list(islice(waiting, _BATCH)):
            yield from pool.map(function, batch)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_memory(
    files: Sequence[Path], names: Sequence[str], preprocess: Preprocess, progress: Progress | None
) -> Decoded:
    results = list(decode(files, names, preprocess, progress))
    kept, told = _account([answer for _, answer in results])
    return Decoded(np.stack([image for image, _ in results if image is not None]), kept, preprocess=preprocess, **told)


def _account(answers: Sequence[Answer]) -> tuple[np.ndarray, dict[str, tuple[str, ...]]]:
    """Which files could be read; digests, lost and problems."""
    kept = np.array([i for i, answer in enumerate(answers) if not answer.problem], np.int64)
    problems = tuple(answer.problem for answer in answers if answer.problem)
    if not len(kept):
        raise ValueError(f"none of the {len(answers)} images can be read; the first: {problems[0]}")
    read = [answers[i] for i in kept]
    return kept, {
        "digests": tuple(answer.digest for answer in read),
        "lost": tuple(answer.lost for answer in read),
        "problems": problems,
    }


# --- entries -------------------------------------------------------------------------------------------------------


def _write_entry(
    folder: Path,
    name: str,
    files: Sequence[Path],
    names: Sequence[str],
    preprocess: Preprocess,
    progress: Progress | None,
) -> None:
    answers: list[Answer] = []
    with _replacing(folder / f"{name}.npy") as partial:
        _write_header(partial, len(files), preprocess)
        for image, answer in decode(files, names, preprocess, progress):
            # written, not stored through a map: a full disk is then an error and not a dead process
            partial.write(b"" if image is None else image.tobytes())
            answers.append(answer)
            os.utime(partial.name)
        kept, told = _account(answers)
        partial.seek(0)
        _write_header(partial, len(kept), preprocess)
    record = {"preprocess": preprocess.model_dump(), "kept": kept.tolist(), **told}
    with _replacing(folder / f"{name}.json") as partial:
        partial.write(json.dumps(record).encode())


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when all went well, and vanishes when not."""
    with NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", suffix=".partial", delete=False) as partial:
        try:
            yield partial
            partial.flush()
            os.fsync(partial.fileno())
            os.replace(partial.name, path)
        finally:
            Path(partial.name).unlink(missing_ok=True)


def _write_header(file: IO[bytes], count: int, preprocess: Preprocess) -> None:
    """NumPy pads the header so that another count takes the same room."""
    shape = (count, *preprocess.size, preprocess.channels)
    descr = np.lib.format.dtype_to_descr(_dtype(preprocess))
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


def _dtype(preprocess: Preprocess) -> np.dtype:
    return np.dtype(np.uint8 if preprocess.depth == 8 else np.uint16)


def _sweep(folder: Path) -> None:
    """Removes what killed builders left. Nobody writes an entry for a minute without touching it."""
    for path in folder.glob("*.partial"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def _forget_older(folder: Path, name: str) -> None:
    """Entries of the same source and request in an earlier state. Whoever has one mapped keeps it."""
    for path in folder.glob(f"{name.split('-')[0]}-*.[jn]*"):
        if path.stem != name and path.suffix != ".partial":
            with suppress(OSError):
                path.unlink()


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _state(file: Path) -> bytes:
    try:
        now = file.stat()
    except OSError:
        return os.fsencode(file)
    # the third time changes even when a tool sets the second one back
    return os.fsencode(file) + f"\0{now.st_size}\0{now.st_mtime_ns}\0{now.st_ctime_ns}".encode()
