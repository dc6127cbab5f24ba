"""A folder whose new images are judged and moved away: by looking again and again, which works on network shares too.

A file is taken when its size and time have not changed between two looks and it has no name of a file that is still
being written. Nothing is deleted. A server that was killed between an answer and its move finds the answer in the
store, and does not judge the file again.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from ...inputs.files import EXTENSIONS
from .desk import Desk, Query
from .limits import Refused
from .periodic import Repeated

LOOK = 0.25  # seconds between two looks
UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")
TRIES = 20  # looks at a file that cannot be decoded, before it counts as broken: it may still be written


class Watching:
    """Judges the images of `source`, moves them to `done/`, or to `done/failed/` where they cannot be read, and writes
    the answer beside each as JSON."""

    def __init__(self, desk: Desk, source: Path, done: Path):
        self.desk, self.source, self.done, self.failed = desk, source, done, done / "failed"
        self.seen: dict[str, tuple[int, int]] = {}
        self.broken: dict[str, int] = {}
        self.looking = Repeated(LOOK, self._look)
        if len(desk.models.active) != 1:
            raise ValueError(f"a watched folder is for one model, and {len(desk.models.active)} are served")
        if not source.is_dir():
            raise ValueError(f"there is no folder {source} to watch")
        if done.absolute() == source.absolute():
            raise ValueError("--done is the folder that is watched; name another one")
        self.failed.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Begin to look."""
        self.looking.start()

    def stop(self) -> None:
        """End after the image that is being judged."""
        self.looking.stop()

    def _look(self) -> None:
        with suppress(OSError):  # a share that is away for a while comes back
            for path in self._settled():
                if self.looking.ending.is_set():
                    return
                self._judge(path)

    def _settled(self) -> list[Path]:
        """Image files that have not changed since the last look, in the order of their names."""
        now = {}
        with os.scandir(self.source) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name.lower().endswith(UNFINISHED) or not entry.is_file():
                    continue
                if Path(name).suffix.lower() in EXTENSIONS:
                    state = entry.stat()
                    now[name] = (state.st_size, state.st_mtime_ns)
        settled = [name for name, state in now.items() if self.seen.get(name) == state]
        self.seen = now
        return [self.source / name for name in sorted(settled)]

    def _judge(self, path: Path) -> None:
        data = path.read_bytes()
        try:
            answer = self._known(path, data) or self._asked(path, data)
        except Refused as refusal:
            if refusal.retry is None and refusal.status < 500:
                self._give_up(path, refusal.reason)
            else:
                time.sleep(refusal.retry or 1)
            return
        self.broken.pop(path.name, None)
        self._move(path, self.done, answer)

    def _asked(self, path: Path, data: bytes) -> dict:
        asked = Query("folder", path.name, {"part": path.stem})
        return self.desk.ask(self.desk.models.get(), [data], asked).result()[0]

    def _known(self, path: Path, data: bytes) -> dict | None:
        """The answer to this very file that a killed server gave, and did not live to move it away."""
        found = self.desk.store.read(
            "SELECT id, time, class, probability, score, decision, line, model, version, sha, image FROM answers "
            "WHERE image = ? AND source = 'folder' AND request = ? AND error IS NULL AND model = ? "
            "AND id > (SELECT coalesce(max(id), 0) - 200 FROM answers) ORDER BY id DESC LIMIT 1",
            (hashlib.sha256(data).hexdigest(), path.name, self.desk.models.get().name),
        )
        moved = (self.done / path.name).exists()
        return found[0] if found and not moved else None

    def _give_up(self, path: Path, reason: str) -> None:
        """Move a broken file away, once it has had the time to become whole."""
        self.broken[path.name] = self.broken.get(path.name, 0) + 1
        if self.broken[path.name] >= TRIES:
            del self.broken[path.name]
            self._move(path, self.failed, {"error": reason})

    def _move(self, path: Path, folder: Path, answer: dict) -> None:
        place = folder / path.name
        number = 1
        while place.exists():
            place = folder / f"{path.stem}-{number}{path.suffix}"
            number += 1
        place.with_name(place.name + ".json").write_text(
            json.dumps(answer, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        os.replace(path, place) if _same_disk(path, folder) else _across(path, place)


def _same_disk(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev


def _across(path: Path, place: Path) -> None:
    """Move a file to another disk: a copy that is whole before the original goes."""
    temporary = place.with_name(f".{place.name}.tmp")
    temporary.write_bytes(path.read_bytes())
    os.replace(temporary, place)
    path.unlink()
