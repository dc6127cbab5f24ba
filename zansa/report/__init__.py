"""What people read, written from the files of a run alone: no model is opened, nothing is fetched."""

from .run import write

__all__ = ["write"]
