"""Threads that work on accepted requests, behind a queue that is bounded by what can be answered in time.

One thread a core, each with a network of one thread: on a CPU, waiting for a larger batch costs more time than it
saves.
"""

import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .limits import Limits, Refused


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Pace:
    """How long something takes that is measured again and again: a running mean, and how far from it the times are, as
    TCP keeps them of its round trips (RFC 6298, section 2).

    mean: seconds, 0 before the first measurement.
    stray: mean distance from it, in seconds.
    """

    mean: float = 0.0
    stray: float = 0.0

    def add(self, took: float) -> None:
        """Take in a measurement."""
        self.stray = self.stray + (abs(took - self.mean) - self.stray) / 4 if self.mean else took / 2
        self.mean = self.mean + (took - self.mean) / 8 if self.mean else took

    @property
    def most(self) -> float:
        """What it hardly ever takes longer than, in seconds."""
        return self.mean + 4 * self.stray


@dataclass
class Task:
    """A piece of work that was accepted.

    work: makes the answer; it may return a Future of it, so that its thread need not wait for the disk.
    images: how many images it has.
    ahead: how many images were waiting when it came, its own included.
    came: when it came, on the monotonic clock.
    done: gets the answer, or the error.
    """

    work: Callable[[], Any]
    images: int
    ahead: int
    came: float = field(default_factory=time.monotonic)
    done: Future = field(default_factory=Future)


class Engine:
    """Accepts work while it can be answered before its deadline, and does it in threads.

    Three times are measured: `image`, from the acceptance of a task to its row on the disk, by images that were ahead;
    `rest`, from the beginning of the work to the row, by its own images; `lag`, from the row until the loop that serves
    the clients takes the answer. A request waits for the loop on its way in as it does on its way out, so its deadline
    has begun a `lag` before it is seen.
    """

    def __init__(self, limits: Limits, workers: int = 0, waited: Callable[[float], None] = lambda seconds: None):
        self.limits, self.waited = limits, waited
        self.tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.lock, self.empty = threading.Lock(), threading.Condition()
        self.pending, self.closed = 0, False
        self.image, self.rest, self.lag = Pace(), Pace(), Pace()
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers or cores())]
        for thread in self.threads:
            thread.start()

    def submit(self, work: Callable[[], Any], images: int = 1) -> Future:
        """A Future of what `work` makes. Refused with 429 when it would be answered too late, 503 when the server ends;
        the Future fails with 503 where it has waited so long that it would be answered too late."""
        with self.lock:
            if refused := self.refused(images):
                raise refused
            self.pending += images
            task = Task(work, images, self.pending)
        task.done.add_done_callback(lambda done: self._ended(task))
        self.tasks.put(task)
        return task.done

    def refused(self, images: int = 1) -> Refused | None:
        """Why a request that came now would not be accepted, or None. One that waits for nobody always is."""
        if self.closed:
            return Refused(503, "the server is ending and takes no new requests", 5)
        ahead = self.pending + images
        late = max(self.image.most * ahead, self.rest.most * images) > self._left()
        if self.pending and (late or ahead > self.limits.queue):
            return Refused(429, f"{self.pending} images are waiting; more could not be answered in time", 1)
        return None

    def _left(self) -> float:
        """Seconds of the deadline that are left between a request that is seen and its row."""
        return self.limits.deadline - self.lag.mean - self.lag.most

    def drain(self, seconds: float = 20.0) -> bool:
        """Take nothing new, and wait until everything that was accepted is answered; whether it was in time."""
        self.closed = True
        with self.empty:
            answered = self.empty.wait_for(lambda: self.pending == 0, seconds)
        for _ in self.threads:
            self.tasks.put(None)
        return answered

    def _work(self) -> None:
        while task := self.tasks.get():
            began = time.monotonic()
            self.waited(began - task.came)
            if task.ahead > task.images and began - task.came + self.rest.most * task.images > self._left():
                task.done.set_exception(Refused(503, f"no answer within {self.limits.deadline:g} s", 1))
                continue
            task.done.add_done_callback(partial(self._worked, began, task.images))
            try:
                made = task.work()
            except BaseException as error:
                task.done.set_exception(error)
                continue
            if isinstance(made, Future):
                made.add_done_callback(partial(_pass_on, task.done))
            else:
                task.done.set_result(made)

    def _worked(self, began: float, images: int, _: Future) -> None:
        self.rest.add((time.monotonic() - began) / images)

    def _ended(self, task: Task) -> None:
        took = (time.monotonic() - task.came) / task.ahead
        with self.lock, self.empty:
            self.pending -= task.images
            self.image.add(took)
            if not self.pending:
                self.empty.notify_all()


def _pass_on(done: Future, made: Future) -> None:
    if error := made.exception():
        done.set_exception(error)
    else:
        done.set_result(made.result())
