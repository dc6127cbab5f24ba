"""Looks: how a motif shows on a picture. One function a look, so a new one is five lines and its name in LOOKS.

A look takes the picture (side, side, 3) in 0 .. 1, the motif's mask (side, side) in 0 .. 1, an ink (3,), a strength in
0 .. 1 and random numbers, and returns the changed picture.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, uniform_filter

from .grounds import Field, spectrum

Picture = Field  # (side, side, 3)
Look = Callable[[Picture, Field, Picture, float, Generator], Picture]


def mixed(picture: Picture, other: Picture, share: Field) -> Picture:
    return picture + share[..., None] * (other - picture)


def ink(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    return mixed(picture, colour, mask * strength)


def stain(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    """Soft at its edge and uneven inside."""
    soft = gaussian_filter(mask, len(mask) * r.uniform(0.01, 0.04))
    return mixed(picture, colour, soft * np.clip(strength + 0.15 * spectrum(r, len(mask), 1.5), 0, 1))


def shade(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    """Darker or brighter, with the ground still to be seen."""
    factor = 1 + strength * (1 if colour.mean() > picture.mean() else -1)
    return mixed(picture, picture * factor, mask)


def dent(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    """Bright on the side to the light and dark on the other."""
    down, across = np.gradient(gaussian_filter(mask, len(mask) * r.uniform(0.008, 0.03)))
    angle = r.uniform(0, 2 * math.pi)
    slope = math.cos(angle) * across + math.sin(angle) * down
    return picture + (strength * slope / max(float(np.abs(slope).max()), 1e-6))[..., None]


def rim(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    """An ink with an edge of the opposite shade."""
    wide = np.clip(2 * uniform_filter(mask, max(3, len(mask) // 16)), 0, 1)
    around = mixed(picture, 1 - colour, np.clip(wide - mask, 0, 1) * strength)
    return mixed(around, colour, mask * strength)


def negative(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    return mixed(picture, 1 - picture, mask)


def moved(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    """What lies elsewhere in the picture: wrong places of a pattern."""
    by = r.integers(len(mask) // 16, len(mask) // 3, 2)
    return mixed(picture, np.roll(picture, tuple(by), (0, 1)), mask)


def rubbed(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    """The ground without its grain, a little tinted."""
    smooth = uniform_filter(picture, (len(mask) // 6, len(mask) // 6, 0))
    return mixed(picture, smooth + 0.3 * strength * (colour - smooth), mask)


def rough(picture: Picture, mask: Field, colour: Picture, strength: float, r: Generator) -> Picture:
    """Another grain."""
    grain = spectrum(r, len(mask), 0.7)[..., None] * np.float32(0.25 * strength)
    return mixed(picture, 0.5 * (picture + colour) + grain, mask)


LOOKS: dict[str, Look] = {
    "ink": ink,
    "stain": stain,
    "shade": shade,
    "dent": dent,
    "rim": rim,
    "negative": negative,
    "moved": moved,
    "rubbed": rubbed,
    "rough": rough,
}
SHARES = {
    "ink": 0.46,
    "stain": 0.08,
    "shade": 0.1,
    "dent": 0.1,
    "rim": 0.06,
    "negative": 0.06,
    "moved": 0.05,
    "rubbed": 0.03,
    "rough": 0.06,
}
