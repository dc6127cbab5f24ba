"""How a network grew: its history read from the journal, told, drawn and explained.

Only a run with a start.json, the network that it began with, has grown.
"""

from .explain import explain
from .history import replayed

__all__ = ["explain", "replayed"]
