"""The built-in synthetic sets, as a Dataset or as files: made up by this package, no real part was photographed."""

from pathlib import Path

from PIL import Image

from ..dataset import Dataset, from_arrays
from .parts import Surfaces, surfaces
from .scenes import SCENES, scene

__all__ = ["NAMES", "Surfaces", "builtin", "surfaces", "write"]

FIRST = "synthetic"  # surfaces with five kinds of defects, under several lights
COUNT = 2000  # of its pictures
NAMES = (FIRST, *(f"{FIRST}:{name}" for name in SCENES))


def builtin(
    seed: int = 0,
    count: int | None = None,
    name: str = FIRST,
    *,
    size: int | tuple[int, int] | None = None,
    fit: str = "stretch",
    channels: int | None = None,
    kind: str | None = None,
    depth: int | None = None,
) -> Dataset:
    """A built-in synthetic set by its name, groups included: one of NAMES; ValueError for another.

    "synthetic" is the inspection set of 64 x 64 pixels; the others are sets that break a rule of thumb each
    (scenes.SCENES). `count` and `kind` None take the set's own; the rest is as `from_arrays` takes it.
    """
    made = _made(name, seed, count)
    folder = name.replace(":", "-")
    names = [f"{folder}/{made.classes[label]}/{i:05d}.png" for i, label in enumerate(made.labels)]
    own = "surface" if name == FIRST else SCENES[name.removeprefix(f"{FIRST}:")].kind
    return from_arrays(
        made.images,
        made.labels,
        classes=made.classes,
        groups=made.groups,
        names=names,
        size=size,
        fit=fit,
        channels=channels,
        kind=kind or own,
        depth=depth,
    )


def write(folder: str | Path, seed: int = 0, count: int | None = None, name: str = FIRST) -> Path:
    """A built-in synthetic set as files: a folder per class, and the manifest.csv (path, label, group) it returns.

    ValueError when the folder is there and not empty, and for a name that is not one of NAMES.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there and not an empty folder; name a new one for the synthetic images")
    made = _made(name, seed, count)
    rows = [("path", "label", "group")]
    for word in made.classes:
        (folder / word).mkdir(parents=True)
    for i, (image, label, group) in enumerate(zip(made.images, made.labels, made.groups, strict=True)):
        rows.append((f"{made.classes[label]}/synthetic-{i:05d}.png", made.classes[label], str(group)))
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(folder / rows[-1][0])
    manifest = folder / "manifest.csv"
    manifest.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    return manifest


def _made(name: str, seed: int, count: int | None) -> Surfaces:
    if name not in NAMES:
        raise ValueError(f"no built-in set is called {name!r}; allowed: {', '.join(NAMES)}")
    if name == FIRST:
        return surfaces(COUNT if count is None else count, seed)
    return scene(name.removeprefix(f"{FIRST}:"), seed, count)
