"""Work that is done again and again in a thread of its own, whatever goes wrong once."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("zansa.serve")


class Repeated:
    """Calls `work` every so many seconds until it is stopped; an error is logged, and the next call comes anyway."""

    def __init__(self, seconds: float, work: Callable[[], None]):
        self.seconds, self.work = seconds, work
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._repeat, daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def stop(self) -> None:
        """End after the call that is being made."""
        self.ending.set()
        self.thread.join()

    def _repeat(self) -> None:
        while not self.ending.wait(self.seconds):
            try:
                self.work()
            except Exception as error:
                log.error("%s", error, exc_info=error)
                self.ending.wait(1)
