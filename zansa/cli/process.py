"""How a process of the command line begins and ends."""

import atexit
import os
import signal
import sqlite3
import sys
import threading
from typing import Any, NoReturn

from .. import screen
from ..inputs.files import at_home
from .app import app


def main() -> NoReturn:
    """Run the command line as a process of its own, and end the process as soon as its work is done."""
    code: Any = 0
    try:
        run_command()
    except SystemExit as end:
        code = end.code
    leave(0 if code is None else code)


def leave(code: Any) -> NoReturn:
    """End the process with this exit code at once.

    Streams are flushed and exit handlers run, but Python does not take apart every object of torch and the other
    libraries, which would take it seconds. It does where it has more to do: wait for a thread, or tell that a stream
    cannot be written.
    """
    waiting = any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        waiting = True
    if waiting or not isinstance(code, int):
        sys.exit(code)
    atexit._run_exitfuncs()
    sys.stdout.flush()  # what the handlers printed
    sys.stderr.flush()
    os._exit(code)


def open_closed_streams() -> None:
    """Let what is written to a stream that the caller has closed (`>&-`) vanish. Otherwise Python has no such stream,
    and the next file to be opened would get its number and all that libraries print."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def run_command() -> None:
    """Run the command line. Exit codes: 0 done, 2 wrong input, 130 interrupted. Messages go to standard error."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.argv[1:] = map(at_home, sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is done so far stays usable
    try:
        app()
    except KeyboardInterrupt:
        print("zansa: interrupted; `zansa resume RUN` goes on with a run that had begun", file=sys.stderr)
        sys.exit(130)
    except MemoryError:
        print("zansa: the memory is not enough; try a smaller --size or --batch, or fewer images", file=sys.stderr)
        sys.exit(2)
    except (ValueError, OSError, sqlite3.Error) as error:
        print(f"zansa: {screen.error_text(error)}", file=sys.stderr)
        sys.exit(2)
