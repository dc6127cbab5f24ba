"""The door for data: behind it there is one form of data set."""

from .dataset import Dataset, from_arrays, load
from .splits import Parts, contradictions, leaks, split

__all__ = ["Dataset", "Parts", "contradictions", "from_arrays", "leaks", "load", "split"]
