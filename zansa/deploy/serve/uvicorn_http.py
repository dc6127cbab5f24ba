"""HTTP as uvicorn reads it, and what it leaves open: requests that never end, errors that are no JSON, and answers in
pieces."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from .limits import Limits


class Wire(H11Protocol):
    """A connection. One on which no request begins within `reading` seconds, or whose refused body goes on for longer,
    is cut off; uvicorn waits for ever once a byte has come, and a few thousand slow clients would shut out all others.
    One too many is told so and closed, so that those that are open go on.

    reading: seconds. most: connections that are open at once.
    """

    reading, most = Limits().reading, 2000
    patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        transport.write = joined(transport.write)
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self.most:
            self._refuse(503, f"{self.most} connections are open, and more are not served", retry=5)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self.timeout_keep_alive_task is None:  # the bytes began a request, and have not ended its head
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP. A frequent reason is an address with letters that it cannot have, as curl sends it."""
        hint = "in an address, spaces and letters beyond ASCII are written in percent: --data-urlencode of curl does it"
        self._refuse(400, f"{msg} ({hint})")

    def _refuse(self, status: int, reason: str, retry: int | None = None) -> None:
        body, again = json.dumps({"error": reason}), f"retry-after: {retry}\r\n" if retry else ""
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        )
        self.transport.write(f"{head}{again}content-length: {len(body)}\r\n\r\n{body}".encode())
        self.transport.close()

    def _wait(self) -> None:
        if self.patience is None:
            self.patience = self.loop.call_later(self.reading, self.transport.abort)

    def _stop(self) -> None:
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None


def joined(write: Any) -> Any:
    """`write` of a transport, which keeps the head of an answer until its body comes: one call and one packet in place
    of two. Every other piece goes at once."""
    held: list[bytes] = []

    def later(data: bytes) -> None:
        head = data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n") and not data.startswith(b"HTTP/1.1 1")
        if head and not held:
            held.append(data)
            return
        write(b"".join([*held, data]))
        held.clear()

    return later
