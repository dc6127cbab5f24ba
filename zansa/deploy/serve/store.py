"""The store: every answer as a row of SQLite, written by one thread in groups, every image as a file before its row.

WAL with synchronous FULL: what was answered is on the disk, also after a power cut. The writer never waits for more
rows; it writes all that came while it was writing, so one sync serves many answers under load.
"""

import fcntl
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .admit import Content
from .limits import Refused
from .pictures import Pictures
from .schema import FILE, insert, prepare

GROUP = 256  # rows in one commit, at most
ROOM = 0.95  # of the quota is used after images were removed
UNMARKED = (  # images that nobody has marked as limit samples
    "image NOT IN (SELECT image FROM answers WHERE image IS NOT NULL AND id IN (SELECT answer FROM limit_samples l "
    "WHERE verdict IS NOT NULL AND id = (SELECT max(id) FROM limit_samples WHERE answer = l.answer)))"
)


@dataclass(frozen=True)
class Keeping:
    """Which images are kept.

    quota: bytes of all images together.
    accepted: share of the accepted ones that is kept, chosen by their hash; doubtful and other ones are all kept.
    """

    quota: int = 10 * 10**9
    accepted: float = 1.0


@dataclass
class Statement:
    """A statement that is to be written.

    sql: its text.
    values: of its places.
    done: gets the id of the new row once that is on the disk, or the error.
    """

    sql: str
    values: Sequence[Any]
    done: Future = field(default_factory=Future)


class Store:
    """A store that this process alone writes. ValueError where another one does, or the folder cannot be used."""

    def __init__(self, folder: Path, keeping: Keeping | None = None):
        self.folder, self.keeping = folder, keeping or Keeping()
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = _held(folder)
        self.pictures = Pictures(folder / "images")
        self.statements: queue.SimpleQueue[Statement | None] = queue.SimpleQueue()
        self.local, self.full, self.started = threading.local(), "", time.time()
        self.readers: list[sqlite3.Connection] = []
        self.closing = threading.Event()
        with closing(self._connect()) as connection, connection:
            prepare(connection)
        self.disk = ThreadPoolExecutor(4, "images")  # they mostly wait for the disk, and their syncs join
        self.writer = threading.Thread(target=self._write, daemon=True)
        self.writer.start()
        self.sweeper = threading.Thread(target=self._sweep, daemon=True)
        self.sweeper.start()

    def put(self, row: dict[str, Any], image: Content | None = None) -> Future:
        """Keep an answer; a Future of its id, done once its image and its row are on the disk. It is Refused with 503
        where the disk refuses; then nothing was kept."""
        if image is None:
            return self.write(*insert("answers", row))
        chance = self.keeping.accepted if row["decision"] == "accept" and not row["doubtful"] else 1.0
        kept = int(image.sha[:8], 16) < chance * 2**32
        row = row | {"image": image.sha, "suffix": image.suffix, "bytes": len(image.data)}
        row |= {"kept": int(kept), "chance": chance}
        self.pictures.remember(image)
        if not kept:
            return self.write(*insert("answers", row))
        done: Future = Future()
        self.pictures.pin(image.sha)
        done.add_done_callback(lambda _: self.pictures.unpin(image.sha))
        self.disk.submit(self._put, row, image, done)
        return done

    def write(self, sql: str, values: Sequence[Any]) -> Future:
        """Write a statement; a Future of the new row's id, done once it is on the disk."""
        statement = Statement(sql, values)
        self.statements.put(statement)
        return statement.done

    def keep_doubtful(self, answer: int, reason: str, image: Content) -> None:
        """Mark an answer as doubtful, and keep its image if it was not."""
        self.pictures.pin(image.sha)
        try:
            self.pictures.write(image)
            mark = "UPDATE answers SET doubtful = coalesce(doubtful, ?), kept = 1 WHERE id = ?"
            self.write(mark, (reason, answer)).result()
        except (OSError, Refused):
            pass  # a disk that is full is told where answers are refused
        finally:
            self.pictures.unpin(image.sha)

    def note(self, kind: str, who: str, model: str = "", version: int | None = None, sha: str = "", **detail: Any):
        """Add a line to the log, and wait until it is on the disk."""
        row = {"time": now(), "who": who, "kind": kind, "model": model, "version": version, "sha": sha}
        return self.write(*insert("log", row | {"detail": json.dumps(detail, ensure_ascii=False)})).result()

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows that a SELECT finds."""
        if not hasattr(self.local, "connection"):
            self.local.connection = self._connect()
            self.readers.append(self.local.connection)
        return [dict(row) for row in self.local.connection.execute(statement, values)]

    def close(self) -> None:
        """Write what is waiting, and give the store free."""
        self.disk.shutdown()
        self.statements.put(None)
        self.writer.join()
        self.closing.set()
        self.sweeper.join()
        for reader in self.readers:
            reader.close()
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.lock.close()

    def _put(self, row: dict[str, Any], image: Content, done: Future) -> None:
        try:
            self.pictures.write(image)
        except OSError as error:
            self._refuse([done], error)
            return
        self.statements.put(Statement(*insert("answers", row), done))

    def _write(self) -> None:
        with closing(self._connect()) as connection:
            statement: Statement | None = self.statements.get()
            while statement:
                group = [statement]
                statement = None
                while len(group) < GROUP and not self.statements.empty():
                    if (more := self.statements.get()) is None:
                        self.statements.put(None)
                        break
                    group.append(more)
                self._commit(connection, group)
                if self.pictures.used > self.keeping.quota:
                    with suppress(sqlite3.Error, OSError):  # tried again after the next answer; this thread must go on
                        self._make_room(connection)
                statement = self.statements.get()

    def _commit(self, connection: sqlite3.Connection, group: list[Statement]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            ids = [connection.execute(statement.sql, statement.values).lastrowid for statement in group]
            connection.execute("COMMIT")
        except Exception as error:  # whatever it is, this thread must go on
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if len(group) > 1:  # one row that cannot be written must not cost the others
                for statement in group:
                    self._commit(connection, [statement])
                return
            self._refuse([group[0].done], error)
            return
        self.full = ""
        for statement, id in zip(group, ids, strict=True):
            statement.done.set_result(id)

    def _refuse(self, waiting: list[Future], error: Exception) -> None:
        self.full = f"the answer could not be stored ({getattr(error, 'strerror', None) or error})"
        for done in waiting:
            done.set_exception(Refused(503, self.full, 5))

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Remove the oldest accepted images, then the oldest others, but no marked limit sample; a row gives its image
        up before the file goes."""
        for rule in (f"decision = 'accept' AND doubtful IS NULL AND {UNMARKED}", UNMARKED):
            while self.pictures.used > ROOM * self.keeping.quota:
                found = connection.execute(
                    f"SELECT DISTINCT image, suffix FROM answers WHERE kept = 1 AND {rule} ORDER BY id LIMIT 100"
                ).fetchall()
                with self.pictures.lock:
                    going = [(sha, suffix) for sha, suffix in found if sha not in self.pictures.pinned]
                if not going:
                    break
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    many = [(sha,) for sha, _ in going]
                    connection.executemany("UPDATE answers SET kept = -1 WHERE kept = 1 AND image = ?", many)
                for sha, suffix in going:
                    self.pictures.remove(sha, suffix)

    def _sweep(self) -> None:
        """Count what is on the disk, and remove images that no row names: those of a killed server."""
        with closing(self._connect()) as connection:
            for sha, suffix, found in self.pictures.on_disk():
                if self.closing.is_set():
                    return
                if found.st_mtime >= self.started - 1:
                    continue
                named = connection.execute("SELECT 1 FROM answers WHERE image = ? AND kept = 1 LIMIT 1", (sha,))
                with self.pictures.lock:
                    self.pictures.used += found.st_size
                if not named.fetchone():
                    self.pictures.remove(sha, suffix)

    def _connect(self) -> sqlite3.Connection:
        try:
            # statements outside BEGIN commit themselves
            connection = sqlite3.connect(self.folder / FILE, timeout=10, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise ValueError(f"the store {self.folder} cannot be opened: {error}") from None
        return connection


def now() -> str:
    """This moment in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _held(folder: Path) -> Any:
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ValueError(f"another server is writing the store {folder}; give each server its own --store") from None
    return lock
