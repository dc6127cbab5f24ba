"""What the last layer reads of known samples, kept beside the model: the next explanation computes only what is new.

A row belongs to one model file and to one sample, by the hashes of both, so that a changed model or sample has no row
here. The file is replaced whole or not at all, and one that cannot be read counts as none.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...inputs.tables import open_npz
from ...record import write_atomic

FORMAT = 1  # of the file and of what it holds: raise it when either changes, and older files count as none


def features_file(model: Path) -> Path:
    """The file in which the features for a model file are kept, beside it."""
    return model.with_name(f"{model.stem}.features.npz")


def read_features(model: Path) -> dict[str, np.ndarray]:
    """Features (D,) of samples by their digests, as this model file reads them; {} where none are kept."""
    try:
        found = open_npz(features_file(model))
        rows = dict(zip(found["digests"].tolist(), found["features"], strict=True))
        whole = found["features"].ndim == 2 and found["features"].dtype == np.float32
        return rows if whole and str(found["key"]) == _key(model) else {}
    except (ValueError, KeyError, TypeError):
        return {}


def write_features(model: Path, digests: Sequence[str], features: np.ndarray) -> None:
    """Keep features (N, D) of samples in place of those that were kept. ValueError where that cannot be written."""
    content = io.BytesIO()
    np.savez(content, key=np.array(_key(model)), digests=np.array(digests), features=features)
    write_atomic(features_file(model), content.getvalue())


def _key(model: Path) -> str:
    return f"{FORMAT} {hashlib.sha256(model.read_bytes()).hexdigest()}"
