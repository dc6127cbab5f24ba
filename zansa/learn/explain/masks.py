"""What the words of a verdict were worth: how often the strongest place was the defect, where masks show the defect."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...arch.use import Preprocess
from ...inputs.files import survey
from ...inputs.images import fit_image, image_header, read_image
from ...proof.rates import rate
from ..data.dataset import Dataset
from .verdict import NOTHING, Place, on_defect, widened


@dataclass(frozen=True, eq=False)
class Masks:
    """Where the defects of samples are.

    rows: the samples, of a data set.
    masks: (N, *size), true where the defect is, at the size of the network's input.
    left_out: sentences on masks that were not used.
    """

    rows: np.ndarray
    masks: np.ndarray
    left_out: list[str]


def masks_of(folder: Path, data: Dataset, rows: np.ndarray) -> Masks:
    """The masks of some samples of a data set, by the names of their files: the same path below `folder`, or the same
    name, with "_mask" behind it or not; the ending may be another. What is not black is the defect. ValueError where
    none is found."""
    files = _by_name(folder)
    found: dict[int, np.ndarray] = {}
    problems = []
    for row in rows.tolist():
        file = _of(data.names[row], files)
        if file is None:
            continue
        mask = read_image(file, 1, 8)
        shape = image_header(data.files[row])[:2] if data.files else data.images[row].shape[:2]
        if mask.shape[:2] != tuple(shape):
            problems.append(f"the mask {file.name} is {_sides(mask.shape)}, and its image {_sides(shape)}")
        elif mask.any():
            found[row] = _fitted(mask, data.preprocess)
    if not found:
        told = "; ".join([f"{len(rows)} were looked for", *problems[:3]])
        raise ValueError(
            f"{folder} has no mask of a validation image ({told}); a mask has the name of its image, and is not black "
            "where the defect is"
        )
    return Masks(np.array(list(found)), np.stack(list(found.values())), problems)


def _sides(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """The image files below a folder, by their paths and by their names, without endings and "_mask"."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in survey(folder).images:
        inside = _plain(file.relative_to(folder))
        for name in {inside, inside.rpartition("/")[2]}:
            found[name].append(file)
    return found


def _plain(path: Path) -> str:
    return path.with_suffix("").as_posix().removesuffix("_mask")


def _of(name: str, files: dict[str, list[Path]]) -> Path | None:
    """The mask of an image: by its path, the last two parts of it, or its name; None where none or several have it."""
    parts = _plain(Path(name)).split("/")
    for key in ("/".join(parts), "/".join(parts[-2:]), parts[-1]):
        if len(files.get(key, [])) == 1:
            return files[key][0]
    return None


def _fitted(mask: np.ndarray, pre: Preprocess) -> np.ndarray:
    """A mask (H, W, 1) at the network's size; a place that holds any of the defect is the defect."""
    return fit_image(np.where(mask > 0, np.uint8(255), np.uint8(0)), pre.size, pre.fit)[..., 0] > 0


def worth(words: list[str], maps: np.ndarray, masks: np.ndarray, places: list[Place]) -> dict[str, Any]:
    """How often the strongest place of a map lay on the defect, by the verdict on the map, and how often a place
    that is drawn by lot would have; counted are maps that have something to mark."""
    rows = [n for n, word in enumerate(words) if word != NOTHING]
    hits = {n: on_defect(maps[n], masks[n], places[n]) for n in rows}
    return {
        "words": {
            word: rate(sum(hits[n] for n in rows if words[n] == word), words.count(word))
            for word in dict.fromkeys(words[n] for n in rows)
        },
        "chance": float(np.mean([widened(masks[n])[places[n]].mean() for n in rows])) if rows else 0.0,
        "count": len(rows),
    }
