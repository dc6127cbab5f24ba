"""Masks beside images: pictures that say where something is, and are themselves no images of a class."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...inputs.files import printable

Pairs = dict[Path, Path]  # of each mask: the image that it belongs to

_NAMED = re.compile(
    r"(.+?)[ _-](masks?|gt|ground[ _-]?truth|segm?|segmentation|labels?|anno|annotated|annotation|overlay)[ _-]?\d*"
)
_DRAWN = ("anno", "annotated", "annotation", "overlay")  # the image itself, with something drawn on it
FOLDER = re.compile(
    r"masks|mask[ _-]?(images?|imgs?|files)|ground[ _-]?truths?|gt|labels?|segmentations?|segmented[ _-]?masks|"
    r"segmentation[ _-]?masks?|semantic[ _-]?(maps|masks)|annotations|trimaps"
)
BESIDE = ". Masks lie beside the images"  # how the way out begins
KEPT = "images are called like masks of others and do not look like such"  # how it is told
_NO_CLASSES = re.compile("no folder per class|no class folder|by a number alone")  # what the refusals say
FEW_LEVELS = 8  # that a mask has at most: black, white, a number for each kind
SOME_LEVELS = 32  # that a mask with many kinds has at most
BLURRED = (3, 12, 0.95)  # levels, how far JPEG or resizing spreads each of them, and the share of pixels near them
LOOKED_AT = 8  # files that tell whether those of a folder are masks


@dataclass(frozen=True)
class Masks:
    """What is called like a mask, each with the image that it belongs to.

    masks: those that look like masks, too, and are left out.
    kept: those that look like photographs, or like their images, and stay images.
    """

    masks: Pairs
    kept: Pairs


def without_masks(root: Path, images: Sequence[Path]) -> tuple[tuple[Path, ...], Masks]:
    """The images that are no masks of others, and the masks. A mask is called after its image (000_mask.png beside
    000.png), lies in a folder of masks and is called like an image outside of it, or has its image's name with another
    ending; and it has fewer levels of gray than its image, for names alone are also those of classes (masks beside
    no_masks) and of products."""
    folders = _by_folder(images)
    named = {folder for folder in folders if any(map(_is_of_masks, folder.relative_to(root).parts))}
    outside = [image for image in images if image.parent not in named]
    by_stem = {image.stem.casefold(): image for image in outside}
    by_class = {(image.parent.name, image.stem.casefold()): image for image in outside}

    def of_folder(mask: Path, stem: str) -> Path | None:
        beside = by_class.get((mask.parent.name, stem))
        return beside or by_stem.get(stem) or by_stem.get(mask.parent.name.casefold())  # MVTec LOCO: 000/000.png

    inside = _judged(_owned([image for image in images if image.parent in named], of_folder))
    rest = [image for image in images if image not in inside.masks]
    by_place = {(image.parent, image.stem.casefold()): image for image in rest}

    def of_name(mask: Path, stem: str) -> Path | None:
        return by_place.get((mask.parent, stem)) if stem != mask.stem.casefold() else None

    beside = _judged(_owned(rest, of_name))
    plain = [image for image in rest if image.parent not in named or image in inside.kept]
    plain = [image for image in plain if image not in beside.masks]
    masks = inside.masks | beside.masks | _twins(plain)
    return tuple(image for image in images if image not in masks), Masks(masks, inside.kept | beside.kept)


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


def told_kept(root: Path, kept: Pairs) -> list[str]:
    """A sentence on images that are called like masks."""
    return [
        f"{len(kept)} {KEPT}, so they were taken for images ({_inside(root, mask)} of {_inside(root, image)})"
        for mask, image in [*kept.items()][:1]
    ]


def _is_of_masks(name: str) -> bool:
    return FOLDER.fullmatch(name.casefold()) is not None


def _by_folder(images: Iterable[Path]) -> dict[Path, list[Path]]:
    folders: dict[Path, list[Path]] = defaultdict(list)
    for image in images:
        folders[image.parent].append(image)
    return folders


def _owned(images: Iterable[Path], find: Callable[[Path, str], Path | None]) -> Pairs:
    """Those that are called after others, with these."""
    owners = ((image, _owner(image, find)) for image in images)
    return {image: owner for image, owner in owners if owner is not None}


def _owner(mask: Path, find: Callable[[Path, str], Path | None]) -> Path | None:
    stem = mask.stem.casefold()
    named = _NAMED.fullmatch(stem)
    return (find(mask, named[1]) if named else None) or find(mask, stem)


def _judged(pairs: Pairs) -> Masks:
    """Pairs by their names, and by what the pictures of each folder and word look like."""
    several: dict[tuple[Path, str], Pairs] = defaultdict(dict)
    for mask, image in pairs.items():
        named = _NAMED.fullmatch(mask.stem.casefold())
        several[mask.parent, named[2] if named else ""][mask] = image
    sure = {mask for (_, word), some in several.items() if word in _DRAWN or _look_like_masks(some) for mask in some}
    return Masks(
        {mask: image for mask, image in pairs.items() if mask in sure},
        {mask: image for mask, image in pairs.items() if mask not in sure},
    )


def _inside(root: Path, path: Path) -> str:
    return printable(path.relative_to(root).as_posix())


# --- an image and its mask under one name --------------------------------------------------------------------------


def _twins(images: Sequence[Path]) -> Pairs:
    """Masks that have their images' names with another ending, where most images of a folder have such a twin."""
    masks: Pairs = {}
    for some in _by_folder(images).values():
        stems: dict[str, dict[str, Path]] = defaultdict(dict)
        for image in some:
            stems[image.stem][image.suffix.lower()] = image
        twins = [pair for pair in stems.values() if len(pair) == 2]
        endings = {tuple(sorted(pair)) for pair in twins}
        if len(endings) != 1 or 2 * len(twins) < len(stems):
            continue
        one, other = endings.pop()
        for ending, of in ((one, other), (other, one)):
            pairs = {pair[ending]: pair[of] for pair in twins}
            masks |= pairs if _look_like_masks(pairs) else {}
    return masks


# --- what pictures look like -----------------------------------------------------------------------------------------


def _look_like_masks(pairs: Pairs) -> bool:
    """Whether none of some masks looks like a photograph, and most have fewer levels than their images: these may be
    drawings, scanned text or X-rays, which have few themselves."""
    masks = [*pairs]
    some = [masks[i * len(masks) // LOOKED_AT] for i in range(LOOKED_AT)] if len(masks) > LOOKED_AT else masks
    looks = [(_many_levels(mask), _many_levels(pairs[mask])) for mask in some]
    known = [(mask, image) for mask, image in looks if mask is not None and image is not None]
    fewer = sum(mask < image for mask, image in known)
    return bool(known) and all(mask < 2 for mask, _ in known) and 2 * fewer > len(known)


def _many_levels(path: Path) -> int | None:
    """0 for a picture of a few levels, 1 for one of some, or of two or three that are blurred, 2 for a photograph; None
    for one that cannot be read, which is told when it is read."""
    try:
        with Image.open(path) as image:
            count = len(image.getcolors(SOME_LEVELS) or ())
            levels = np.array(image.convert("L").histogram())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return int(count > FEW_LEVELS) if count else 1 if _are_blurred(levels) else 2


def _are_blurred(counts: np.ndarray) -> bool:
    """Whether nearly all pixels, counted by their levels (256,), lie near a few levels."""
    several, spread, share = BLURRED
    left = counts.copy()
    for _ in range(several):
        peak = int(left.argmax())
        left[max(0, peak - spread) : peak + spread + 1] = 0
    return bool(left.sum() <= (1 - share) * counts.sum())
