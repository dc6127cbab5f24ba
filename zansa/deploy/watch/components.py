"""What the network's last layer reads, as twelve statistics of a part: ten components, what they leave over, and how
far away the nearest parts of the calm time are.

They are made from the calm time itself, because the features of training samples are those of a network that knows
them. A part of the calm time is judged by the other lots of it, so that it looks no nearer than a new part would.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..serve import stored
from ..serve.features import unpacked
from .units import Answers

COUNT = 10
NEAREST = 5  # parts whose mean distance counts
BANK = 2000  # parts of the calm time that distances are measured to
LEAST = 50  # parts of a calm time; fewer have no components
CHUNK = 4096  # parts that are compared at once
NAMES = (*(f"feature{k}" for k in range(1, COUNT + 1)), "residual", "neighbour")


def featured(store: Path, seen: Answers, calm: Sequence[np.ndarray]) -> Answers:
    """The answers with the statistics NAMES beside the others, where the server kept what the last layer read. `calm`:
    the rows of each lot of the calm time."""
    kept = stored.reads(store, seen.sha)
    size = max(map(len, kept.values()), default=0)
    there = np.array([len(kept.get(row["id"], b"")) == size > 0 for row in seen.rows], bool)
    lots = [rows[there[rows]] for rows in calm]
    if sum(map(len, lots)) < LEAST:
        return seen
    features = np.stack([unpacked(kept[row["id"]]) for row, has in zip(seen.rows, there, strict=True) if has])
    place = np.cumsum(there) - 1
    values = np.full((len(there), len(NAMES)), np.nan)
    values[there] = components(features, [place[rows] for rows in lots if len(rows)])
    moving = [k for k in range(len(NAMES)) if np.nanmin(values[:, k]) < np.nanmax(values[:, k])]
    names = (*seen.names, *(NAMES[k] for k in moving))
    return replace(seen, names=names, values=np.column_stack([seen.values, values[:, moving]]))


def components(features: np.ndarray, calm: Sequence[np.ndarray]) -> np.ndarray:
    """(N, D) features and the rows of each lot of the calm time -> (N, COUNT + 2) values. With few features the last
    components are 0."""
    known = np.concatenate(calm)
    spread = features[known].std(0)
    scaled = (features - features[known].mean(0)) / np.where(spread > 1e-6, spread, np.inf)
    own = scaled[known].T @ scaled[known]
    axes = _axes(own)
    found = np.zeros((len(features), COUNT + 2))
    found[:, : axes.shape[1]] = scaled @ axes
    found[:, COUNT] = _left(scaled, axes)
    found[:, COUNT + 1] = distances(features, features[known])
    for rows in calm:
        others = np.setdiff1d(known, rows)
        found[rows, COUNT] = _left(scaled[rows], _axes(own - scaled[rows].T @ scaled[rows]))
        found[rows, COUNT + 1] = distances(features[rows], features[others])
    return found


def distances(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The mean distance, 1 - cosine, of each of (N, D) to the NEAREST of (M, D); 0 where nothing is known."""
    bank = _unit(known[np.linspace(0, len(known) - 1, min(BANK, len(known))).astype(int)])
    count, found = min(NEAREST, len(bank)), np.zeros(len(features))
    for start in range(0, len(features) if count else 0, CHUNK):
        alike = _unit(features[start : start + CHUNK]) @ bank.T
        found[start : start + CHUNK] = 1 - np.partition(alike, -count, axis=1)[:, -count:].mean(1)
    return found


def _axes(scatter: np.ndarray) -> np.ndarray:
    """The directions in which (D, D) spreads most, (D, COUNT or D); the sign is that of the largest entry."""
    axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :COUNT]
    return axes * np.sign(axes[abs(axes).argmax(0), np.arange(axes.shape[1])])


def _left(scaled: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.linalg.norm(scaled - scaled @ axes @ axes.T, axis=1)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
