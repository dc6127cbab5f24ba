"""What images probably show, from the names of their classes: it says which changes are safe in training."""

from collections.abc import Sequence
from typing import NamedTuple

from ...proof.good import good_class, speaks_of_inspection

MIRRORED_SURFACES = "and mirrored both ways in training (--kind symbol does not mirror them)"


class Kind(NamedTuple):
    name: str  # surface, symbol or natural
    reason: str  # one sentence for people, with what follows from it and how to change it


def likely_kind(classes: Sequence[str], channels: int) -> Kind:
    """ "symbol" when every class name is one character that says neither good nor bad; "surface" when a class name
    speaks of inspection (good, scratch, ...) or the images are gray; otherwise "natural".
    """
    lone = all(len(name) == 1 for name in classes)
    good = good_class(classes)
    if lone and good is None:
        return Kind(
            "symbol",
            "every class name is one character, so the images are taken for letters or digits and are not mirrored in "
            "training (--kind surface or natural mirrors them)",
        )
    if good is not None or speaks_of_inspection(classes):
        told = f"the class {good!r} names a good part" if good else "a class name says that something is wrong"
        return Kind("surface", f"{told}, so the images are taken for surfaces {MIRRORED_SURFACES}")
    if channels == 1:
        return Kind("surface", f"the images are gray, so they are taken for surfaces {MIRRORED_SURFACES}")
    return Kind(
        "natural",
        "no class name speaks of inspection and the images are in colour, so they are taken for photographs and "
        "mirrored left and right in training (--kind symbol does not mirror them)",
    )
