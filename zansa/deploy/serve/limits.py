"""What one request may ask of the server, and how a request is refused."""

from dataclasses import dataclass

MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """What one request may ask of the server.

    bytes: the largest body, after decompression.
    pixels: the largest image, height times width.
    images: the most images in one request.
    queue: the most images that wait for an answer at once.
    deadline: seconds within which an accepted request is answered.
    reading: seconds within which a body must have come in.
    held: bytes of all bodies that are in the memory at once.
    """

    bytes: int = 20 * MEGABYTE
    pixels: int = 50_000_000
    images: int = 64
    queue: int = 64
    deadline: float = 2.0
    reading: float = 10.0
    held: int = 256 * MEGABYTE


class Refused(Exception):
    """A request that is not answered: an HTTP status, the reason in a sentence, and seconds after which to try again
    (None: trying again does not help)."""

    def __init__(self, status: int, reason: str, retry: int | None = None):
        super().__init__(reason)
        self.status, self.reason, self.retry = status, reason, retry
