"""Masks beside images: pictures that say where something is, and are themselves no images of a class."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from ...inputs.files import printable

Pairs = dict[Path, Path]  # of each mask: the image that it belongs to

_NAMED = re.compile(
    r"(.+?)[ _-](masks?|gt|ground[ _-]?truth|segm?|segmentation|labels?|anno|annotated|annotation|overlay)[ _-]?\d*"
)
FOLDER = re.compile(
    r"masks|mask[ _-]?(images?|imgs?|files)|ground[ _-]?truths?|gt|labels?|segmentations?|segmented[ _-]?masks|"
    r"segmentation[ _-]?masks?|semantic[ _-]?(maps|masks)|annotations|trimaps"
)
_DOUBTFUL = re.compile(r"labels?|gt|annotations")
BESIDE = ". Masks lie beside the images"  # how the way out begins
_NO_CLASSES = re.compile("no folder per class|no class folder|by a number alone")  # what the refusals say
FEW_LEVELS = 8  # that a mask has at most: black, white, a number for each kind
LOOKED_AT = 8  # files that tell whether an ending is that of masks


def without_masks(root: Path, images: Sequence[Path]) -> tuple[tuple[Path, ...], Pairs]:
    """The images that are no masks of others, and the masks. A mask is called after its image (000_mask.png beside
    000.png), lies in a folder of masks and is called like an image outside of it, or has its image's name with another
    ending and a few levels of gray alone (exp1.png beside exp1.jpg)."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for image in images:
        folders[image.parent].append(image)
    inside = {folder: _is_of_masks(folder.relative_to(root), some) for folder, some in folders.items()}
    plain = [image for image in images if not inside[image.parent]]
    by_place = {(image.parent, image.stem.casefold()): image for image in plain}
    by_stem = {image.stem.casefold(): image for image in plain}
    by_class = {(image.parent.name, image.stem.casefold()): image for image in plain}

    def of_folder(mask: Path, stem: str) -> Path | None:
        beside = by_class.get((mask.parent.name, stem))
        return beside or by_stem.get(stem) or by_stem.get(mask.parent.name.casefold())  # MVTec LOCO: 000/000.png

    def of_name(mask: Path, stem: str) -> Path | None:
        return by_place.get((mask.parent, stem)) if stem != mask.stem.casefold() else None

    owners = ((image, _owner(image, of_folder if inside[image.parent] else of_name)) for image in images)
    masks = {image: owner for image, owner in owners if owner is not None} | _twins(plain)
    return tuple(image for image in images if image not in masks), masks


def told_masks(root: Path, masks: Pairs) -> list[str]:
    """A sentence on the masks that were left out."""
    if not masks:
        return []
    mask, image = next(iter(masks.items()))
    return [
        f"{len(masks)} images are masks of others by their names or folders, and were left out "
        f"({_inside(root, mask)} of {_inside(root, image)})"
    ]


def way_by_masks(root: Path, masks: Pairs, error: str) -> str:
    """How to go on where masks alone say what is wrong; "" where there are none, or where `error` says another way."""
    if not masks or BESIDE in error or not _NO_CLASSES.search(error) or "begin with one of" in error:
        return ""
    return (
        f"{BESIDE} ({_inside(root, next(iter(masks)))}): where they say which images "
        "have a defect, write that into a manifest, a .csv with the columns path and label (defect where the mask is "
        "not black all over, else good), and group where several images show one part"
    )


def _is_of_masks(folder: Path, images: Sequence[Path]) -> bool:
    named = [name.casefold() for name in folder.parts if FOLDER.fullmatch(name.casefold())]
    doubtful = all(map(_DOUBTFUL.fullmatch, named))  # label is a class where bottles are looked at
    return bool(named) and (not doubtful or all(map(_is_flat, images[:LOOKED_AT])))


def _owner(mask: Path, find: Callable[[Path, str], Path | None]) -> Path | None:
    stem = mask.stem.casefold()
    named = _NAMED.fullmatch(stem)
    return (find(mask, named[1]) if named else None) or find(mask, stem)


def _inside(root: Path, path: Path) -> str:
    return printable(path.relative_to(root).as_posix())


# --- an image and its mask under one name --------------------------------------------------------------------------


def _twins(images: Sequence[Path]) -> Pairs:
    """Masks that have their images' names with another ending, where most images of a folder have such a twin."""
    folders: dict[Path, dict[str, dict[str, Path]]] = defaultdict(lambda: defaultdict(dict))
    for image in images:
        folders[image.parent][image.stem][image.suffix.lower()] = image
    masks: Pairs = {}
    for stems in folders.values():
        twins = [pair for pair in stems.values() if len(pair) == 2]
        endings = {tuple(sorted(pair)) for pair in twins}
        if len(endings) != 1 or 2 * len(twins) < len(stems):
            continue
        few = [ending for ending in endings.pop() if all(_is_flat(pair[ending]) for pair in twins[:LOOKED_AT])]
        if len(few) == 1:
            masks |= {pair.pop(few[0]): next(iter(pair.values())) for pair in twins}
    return masks


def _is_flat(path: Path) -> bool:
    """Whether a picture has a few levels alone; False for one that cannot be read, which is told when it is read."""
    try:
        with Image.open(path) as image:
            return image.getcolors(FEW_LEVELS) is not None
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
