"""Answers for the line: each part has its own number, and a part without an answer in time is rejected.

The contract: a part is announced by its number (trigger). From then on the line is busy and its result is not valid.
The result carries the number back. When no answer comes within the deadline, or it fails, the result is reject; an
answer that comes later is dropped and never given to the next part. A line that announces nothing gets numbers counted
from 1.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from .desk import Desk
from .modbus import Modbus
from .mqtt import Mqtt
from .periodic import Repeated
from .result import Result

TICK = 0.01  # seconds between two looks at the clock
BEAT = 0.5  # seconds between two heartbeats


class Output(Protocol):
    """A way to the line."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def show(self, result: Result) -> None:
        """Tell the line this state, from now on."""

    def beat(self, number: int) -> None:
        """Tell the line that the server lives."""


@dataclass(frozen=True)
class Part:
    """A part that was announced.

    number: its own.
    until: when it is rejected for want of an answer, in seconds of the monotonic clock.
    """

    number: int
    until: float


class Parts:
    """Which part is waiting, and which result belongs to it. It has no clock and no thread of its own."""

    def __init__(self, deadline: float):
        self.deadline = deadline
        self.waiting: Part | None = None
        self.counted = self.late = 0
        self.announced = False  # whether this line announces its parts

    def announce(self, number: int, now: float) -> Result:
        """A part comes; one that was still waiting is given up."""
        self.announced, self.waiting = True, Part(number, now + self.deadline)
        return Result(number, busy=True)

    def number(self) -> int | None:
        """The number of a request that gives none: of the part that waits, or where nothing is announced the next
        one."""
        if self.announced:
            return self.waiting.number if self.waiting else None
        self.counted += 1
        return self.counted

    def answered(self, number: int | None, result: Result, now: float) -> Result | None:
        """The result to show; None for one that comes late or belongs to no part."""
        if not self.announced:
            return result
        if self.waiting is None or number != self.waiting.number or now >= self.waiting.until:
            self.late += 1
            return None
        self.waiting = None
        return result

    def expired(self, now: float) -> Result | None:
        """The rejection of a part whose answer did not come in time."""
        if self.waiting is None or now < self.waiting.until:
            return None
        number, self.waiting = self.waiting.number, None
        return Result(number, valid=True, decision="reject", reason="no answer in time")


class Line:
    """Takes every answer of a desk to the line's outputs."""

    def __init__(self, desk: Desk, outputs: Sequence[Output], deadline: float):
        self.parts, self.outputs, self.lock = Parts(deadline), outputs, threading.Lock()
        self.beats, self.next_beat = 0, 0.0
        self.ticking = Repeated(TICK, self._tick)
        desk.numbering, desk.line = self.number, self.answered

    def start(self) -> None:
        """Begin to tell the line."""
        for output in self.outputs:
            output.start()
        self._show(Result(0))
        self.ticking.start()

    def stop(self) -> None:
        """Tell the line that nothing more comes."""
        self.ticking.stop()
        with self.lock:
            self._show(Result(0, ready=False))
        for output in self.outputs:
            output.stop()

    def announce(self, number: int) -> None:
        """A part comes."""
        with self.lock:
            self._show(self.parts.announce(number, time.monotonic()))

    def number(self) -> int | None:
        """The number of a request that gives none."""
        with self.lock:
            return self.parts.number()

    def answered(self, number: int | None, done: Future) -> None:
        """A request has ended, well or not."""
        error = done.exception()
        result = failed(number, str(error)) if error else judged(number, done.result())
        with self.lock:
            if shown := self.parts.answered(number, result, time.monotonic()):
                self._show(shown)

    def _show(self, result: Result) -> None:
        for output in self.outputs:
            output.show(result)

    def _tick(self) -> None:
        now = time.monotonic()
        with self.lock:
            if shown := self.parts.expired(now):
                self._show(shown)
        if now >= self.next_beat:
            self.beats, self.next_beat = self.beats + 1, now + BEAT
            for output in self.outputs:
                output.beat(self.beats)


def judged(number: int | None, answers: Sequence[Mapping[str, Any]]) -> Result:
    """The result of a part from the answers to all its images: the worst one counts."""
    worst = max(answers, key=lambda answer: ORDER.get(answer["decision"], 1))
    decision = worst["decision"] or "reject"
    told = {name: worst[name] for name in ("class", "score", "model", "version", "sha", "time", "id", "request")}
    reason = "" if worst["decision"] else "the model draws no line"
    return Result(number or 0, valid=True, decision=decision, reason=reason, told=told)


def failed(number: int | None, reason: str) -> Result:
    """The result of a part whose request failed."""
    return Result(number or 0, valid=True, decision="reject", reason=reason)


ORDER = {"accept": 0, "reject": 2}  # any other decision lies between


def lines(mqtt: str | None, modbus: str | None, desk: Desk, deadline: float) -> list[Line]:
    """The line with the outputs that were asked for; [] where there are none."""
    if not mqtt and not modbus:
        return []
    without = [served.name for served in desk.models.active.values() if served.line is None]
    if without:
        raise ValueError(f"the line needs accept or reject, and {', '.join(without)} draws no line between them")
    outputs: list[Mqtt | Modbus] = []
    line = Line(desk, outputs, deadline)
    if mqtt:
        outputs.append(Mqtt(mqtt, line.announce))
    if modbus:
        outputs.append(Modbus(modbus, line.announce))
    return [line]
