"""The door for data: behind it there is one form of data set."""

from .audit import contradictions, leaks
from .dataset import Dataset, from_arrays
from .door import load
from .series import from_series
from .splits import Parts, split

__all__ = ["Dataset", "Parts", "contradictions", "from_arrays", "from_series", "leaks", "load", "split"]
