"""The command line: one command a verb. Each parses, calls one function of jobs/, and prints.

Heavy imports stand in the commands, so that `zansa --help` answers at once.
"""

from . import learn, look, prove, use, watch
from .app import app
from .process import main, run_command

__all__ = ["app", "learn", "look", "main", "prove", "run_command", "use", "watch"]
