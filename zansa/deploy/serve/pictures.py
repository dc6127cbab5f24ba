"""Images on the disk by their hash, under a quota, each whole before any row names it.

`images/ab/abcdef....png`. A file is written beside, forced to the disk and renamed, so that a kill leaves it whole or
not at all; what a killed writer left in `images/.new` goes at the next start.
"""

import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .admit import Content

REMEMBERED = 64 * 2**20  # bytes of the last images that are shown from the memory, kept on the disk or not


class Pictures:
    """The image files of a store. Threads may use it at once."""

    def __init__(self, folder: Path):
        self.folder, self.new = folder, folder / ".new"
        self.new.mkdir(parents=True, exist_ok=True)
        for remnant in self.new.iterdir():
            remnant.unlink()
        self.lock = threading.Lock()
        self.pinned: dict[str, int] = defaultdict(int)  # hashes that a row is about to name
        self.recent: OrderedDict[str, Content] = OrderedDict()
        self.used = self.remembered = 0

    def place(self, sha: str, suffix: str) -> Path:
        """Where the image of this hash is."""
        return place(self.folder, sha, suffix)

    def pin(self, sha: str) -> None:
        """From now on the image is not removed; `unpin` ends it."""
        with self.lock:
            self.pinned[sha] += 1

    def unpin(self, sha: str) -> None:
        """The image may be removed again."""
        with self.lock:
            self.pinned[sha] -= 1
            if not self.pinned[sha]:
                del self.pinned[sha]

    def write(self, image: Content) -> None:
        """Put an image that is pinned on the disk, whole, its name too; OSError where the disk refuses."""
        path = self.place(image.sha, image.suffix)
        if path.exists():
            return
        temporary = self.new / f"{image.sha}.{threading.get_ident()}"
        try:
            with temporary.open("wb", buffering=0) as file:
                file.write(image.data)
                os.fsync(file.fileno())
            made = not path.parent.exists()
            path.parent.mkdir(exist_ok=True)
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _settle(path.parent)
        if made:
            _settle(self.folder)
        with self.lock:
            self.used += len(image.data)

    def remove(self, sha: str, suffix: str) -> None:
        """Delete an image that no row names any more; one that a row is about to name stays."""
        path = self.place(sha, suffix)
        with self.lock, suppress(FileNotFoundError):
            if sha not in self.pinned:
                size = path.stat().st_size
                path.unlink()
                self.used -= size

    def remember(self, image: Content) -> None:
        """Keep an image in the memory for a while, to show it."""
        with self.lock:
            if image.sha in self.recent:
                self.recent.move_to_end(image.sha)
                return
            self.recent[image.sha] = image
            self.remembered += len(image.data)
            while self.remembered > REMEMBERED and len(self.recent) > 1:
                self.remembered -= len(self.recent.popitem(last=False)[1].data)

    def find(self, sha: str, suffix: str) -> bytes | None:
        """The bytes of an image, from the memory or the disk; None where it is no more."""
        with self.lock:
            if sha in self.recent:
                return self.recent[sha].data
        path = self.place(sha, suffix)
        return path.read_bytes() if path.is_file() else None

    def on_disk(self) -> Iterator[tuple[str, str, os.stat_result]]:
        """Hash, suffix and state of every image file."""
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            for entry in os.scandir(folder):
                stem, dot, suffix = entry.name.partition(".")
                with suppress(FileNotFoundError):
                    yield folder.name + stem, dot + suffix, entry.stat()


def place(folder: Path, sha: str, suffix: str) -> Path:
    """Where the image of this hash is in a folder of images."""
    return folder / sha[:2] / f"{sha[2:]}{suffix}"


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some systems cannot force a folder to the disk
            os.fsync(handle)
    finally:
        os.close(handle)
