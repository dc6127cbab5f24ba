"""Drawn pictures: a ground and up to three motifs, each a small program, on as many pictures as are wanted.

A program fixes what makes its kind (shape, number, size, look, place); a picture varies what should not matter (where,
how bright, in which colours, under which light, how sharp). Programs and pictures have numbers. The same seed and
number give the same picture; processors whose arithmetic differs may differ by one gray level.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from . import grounds, looks, motifs
from .grounds import FINER, Field, averaged, canvas, spectrum

GROUND_PROGRAMS, MOTIF_PROGRAMS = 240, 360
COUNTS = (0.1, 0.6, 0.25, 0.05)  # chances of no, one, two and three motifs
CALM = 0.1  # a ground with motifs has from this share of its contrast up, or few motifs could be seen
VISIBLE, LOUDER = 2.5, 5.0  # a change of a picture of 64 x 64 smaller than this (its norm) is made up to so much larger
KEPT_BACK = 2**40  # pictures from this number on are never learned from
GRAY = 0.35  # share of the pictures without colour
PLACES = {"free": 0.72, "row": 0.08, "grid": 0.06, "edge": 0.08, "middle": 0.06}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class GroundProgram:
    """What the pictures of one ground share.

    kind: its name in GROUNDS. contrast: the deviation of its brightness. hue: of its colour in 0 .. 1, or None where
    each picture has another. sharp: how far the field is driven to two shades, 0 for not at all.
    """

    kind: str
    field: grounds.Ground
    contrast: float
    hue: float | None
    sharp: float


@dataclass(frozen=True)
class MotifProgram:
    """What the motifs of one kind share.

    kind: its name in MOTIFS. look: its name in LOOKS. number: about how many lie on a picture. size: the radius as a
    share of the side. ratio: of the axes. angle: in radians, or None where each is turned freely. place: "free", "row",
    "grid", "edge" or "middle". strength: how clearly it shows, 0 .. 1. shade: -1 darker than the ground, 1 brighter, 0
    either. hue: of its ink, or None where it is that of the ground or any.
    """

    kind: str
    marks: motifs.Motif
    look: str
    number: float
    size: float
    ratio: float
    angle: float | None
    place: str
    strength: float
    shade: int
    hue: float | None


class Drawn(NamedTuple):
    """A picture (side, side, 3) in levels, the number of its ground, and those of its motifs."""

    pixels: Pixels
    ground: int
    motifs: tuple[int, ...]


def one_of(r: Generator, shares: dict[str, float]) -> str:
    """A name, by its share."""
    return list(shares)[int(r.choice(len(shares), p=np.array(list(shares.values())) / sum(shares.values())))]


@lru_cache(maxsize=4096)
def ground_program(seed: int, number: int) -> GroundProgram:
    """The program of a ground, by its number."""
    c = np.random.default_rng([seed, 0, number])
    kind = one_of(c, grounds.SHARES)
    return GroundProgram(
        kind=kind,
        field=grounds.GROUNDS[kind](c),
        contrast=float(np.exp(c.uniform(math.log(0.03), math.log(0.3)))),
        hue=float(c.random()) if c.random() < 0.4 else None,
        sharp=float(c.uniform(3, 20)) if c.random() < (0.8 if kind == "traces" else 0.15) else 0.0,
    )


@lru_cache(maxsize=8192)
def motif_program(seed: int, number: int) -> MotifProgram:
    """The program of a motif, by its number."""
    c = np.random.default_rng([seed, 1, number])
    kind = list(motifs.MOTIFS)[int(c.integers(len(motifs.MOTIFS)))]
    many = float(np.exp(c.uniform(0, math.log(14))))
    return MotifProgram(
        kind=kind,
        marks=motifs.MOTIFS[kind](c),
        look=one_of(c, looks.SHARES),
        number=many,
        size=float(np.clip(np.exp(c.uniform(math.log(0.12), math.log(0.5))) / many**0.25, 0.08, 0.5)),
        ratio=float(c.uniform(0.4, 1)) if c.random() < 0.4 else 1.0,
        angle=float(c.uniform(0, 2 * math.pi)) if c.random() < 0.6 else None,
        place=one_of(c, PLACES),
        strength=float(c.uniform(0.35, 1)),
        shade=int(c.choice([-1, 0, 0, 1])),
        hue=float(c.random()) if c.random() < 0.3 else None,
    )


def draw(seed: int, number: int, side: int = 64) -> Drawn:
    """Picture `number`, of side x side pixels."""
    r = np.random.default_rng([seed, 2, number])
    ground = int(r.integers(GROUND_PROGRAMS))
    chosen = tuple(sorted({int(k) for k in r.integers(MOTIF_PROGRAMS, size=r.choice(len(COUNTS), p=COUNTS))}))
    program = ground_program(seed, ground)
    picture, hue = painted(program, r, side, CALM if chosen else 1.0)
    for k in chosen:
        picture = laid(motif_program(seed, k), picture, hue, r)
    return Drawn(photographed(picture, r), ground, chosen)


def colour(r: Generator, hue: float, vivid: float, bright: float) -> Field:
    """A colour (3,) in 0 .. 1 of about this brightness; vivid 0 is gray."""
    turns = 2 * math.pi * (hue + np.arange(3) / 3)
    return np.clip(bright + 0.5 * vivid * np.cos(turns), 0, 1).astype(np.float32)


def painted(program: GroundProgram, r: Generator, side: int, calm: float) -> tuple[looks.Picture, float]:
    """The ground in colours, (side, side, 3), and its hue; `calm`: the least share of its contrast."""
    field = program.field(r, side)
    field = (field - field.mean()) / max(float(field.std()), 0.3)
    if program.sharp:
        field = np.tanh(program.sharp * (field - np.float32(r.uniform(-0.2, 0.2))))
    hue = (r.random() if program.hue is None else program.hue + r.normal(0, 0.03)) % 1
    contrast = r.uniform(0.1, 0.5) if program.sharp else min(0.5, program.contrast * r.uniform(0.7, 1.4))
    contrast *= r.uniform(calm, 1)
    vivid = r.uniform(0, 0.7)
    middle = colour(r, hue, vivid, r.uniform(0.2, 0.8))
    other = colour(r, hue + r.normal(0, 0.15), vivid * r.uniform(0, 1.5), 0.5) - colour(r, hue, vivid, 0.5)
    axis = r.choice([-1, 1]) * (1 + 2 * other)
    return (middle + (contrast * field)[..., None] * axis).astype(np.float32), hue


def laid(program: MotifProgram, picture: looks.Picture, hue: float, r: Generator) -> looks.Picture:
    """The picture with the motifs of one program on it."""
    mask = stencil(program, len(picture), r)
    level = float(picture.mean())
    up = program.shade or (1 if r.random() < 1 - level else -1)
    strength = program.strength * r.uniform(0.7, 1.1)
    bright = np.clip(level + up * strength * 0.7, 0, 1)
    own = r.random() if r.random() < 0.3 else hue
    tint = colour(r, own if program.hue is None else program.hue, r.uniform(0, 0.8), bright)
    changed = looks.LOOKS[program.look](picture, mask, tint, min(1.0, strength), r)
    seen = float(np.linalg.norm((changed - picture).mean(-1))) * 64 / len(picture)
    return changed if seen > VISIBLE else picture + (changed - picture) * min(LOUDER, VISIBLE / max(seen, 1e-6))


def stencil(program: MotifProgram, side: int, r: Generator) -> Field:
    """Where the motifs of one program lie: (side, side) in 0 .. 1."""
    image, pen = canvas(side)
    number = max(1, round(program.number * r.uniform(0.7, 1.3)))
    fine, common = side * FINER, r.uniform(0.75, 1.3)
    for x, y in spots(program, number, r):
        size = program.size * common * r.uniform(0.85, 1.18) * fine
        angle = r.uniform(0, 2 * math.pi) if program.angle is None else program.angle + r.normal(0, 0.06)
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, sin], [-sin * program.ratio, cos * program.ratio]]) * size
        for points, how, width in program.marks(r):
            at = np.rint(points @ turn + [x * fine, y * fine]).astype(int)
            wide = max(1, round(width * size))
            if how == "dots":
                for a, b in at.tolist():
                    pen.rectangle([a - wide // 2, b - wide // 2, a + (wide - 1) // 2, b + (wide - 1) // 2], fill=255)
            elif how == "line":
                pen.line(at.ravel().tolist(), fill=255, width=wide, joint="curve" if wide > 3 else None)
            else:
                pen.polygon(at.ravel().tolist(), fill=255)
    return averaged(image)


def spots(program: MotifProgram, number: int, r: Generator) -> Iterable[tuple[float, float]]:
    """Where the middles of the motifs lie, in shares of the side."""
    match program.place:
        case "middle":
            return r.normal(0.5, 0.06, (number, 2))
        case "edge":
            found = r.random((number, 2))
            found[:, int(r.integers(2))] = r.choice([0.02, 0.98])
            return found
        case "row":
            angle, place = r.uniform(0, math.pi), np.linspace(-0.4, 0.4, number) if number > 1 else np.zeros(1)
            return np.stack([math.cos(angle) * place, math.sin(angle) * place], 1) + r.uniform(0.35, 0.65, 2)
        case "grid":
            rows = math.ceil(math.sqrt(number))
            whole = np.stack(np.meshgrid(range(rows), range(rows)), -1).reshape(-1, 2)[:number]
            return (whole + 0.5 + r.uniform(-0.3, 0.3, 2)) / rows
    return r.uniform(0.08, 0.92, (number, 2))


def photographed(picture: looks.Picture, r: Generator) -> Pixels:
    """The picture under uneven light, as a camera that blurs, adds noise and may see no colours has it."""
    side = len(picture)
    if r.random() < 0.6:
        x, _ = grounds.places(side, r.uniform(0, 2 * math.pi))
        picture = picture * (1 + r.uniform(0, 0.6) * (x - 0.5))[..., None]
    if r.random() < 0.1:
        picture = picture + (r.uniform(0, 0.1) * spectrum(r, side, 2.0))[..., None]
    if r.random() < GRAY:
        picture = (picture @ LUMA)[..., None]
    if r.random() < 0.5:
        sigma = r.uniform(0.3, 1.2) * side / 64
        picture = gaussian_filter1d(gaussian_filter1d(picture, sigma, 0, truncate=2.5), sigma, 1, truncate=2.5)
    if r.random() < 0.6:
        picture = picture + r.uniform(0, 0.06) * r.standard_normal(picture.shape, dtype=np.float32)
    levels = np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels, (side, side, 3)))


def digest(seed: int, count: int = 64, side: int = 64) -> str:
    """SHA-256 of the first pictures of a seed: what the generator does, whatever its text."""
    found = hashlib.sha256()
    for number in range(count):
        found.update(draw(seed, number, side).pixels.tobytes())
    return found.hexdigest()


def sheet(seed: int, rows: int = 16, columns: int = 12, side: int = 64) -> Image.Image:
    """A page of pictures: a row for each of the first motif programs, on grounds as they come."""
    page = Image.new("RGB", (columns * side, rows * side))
    for row in range(rows):
        for column in range(columns):
            r = np.random.default_rng([seed, 3, row, column])
            picture, hue = painted(ground_program(seed, int(r.integers(GROUND_PROGRAMS))), r, side, CALM)
            picture = laid(motif_program(seed, row), picture, hue, r)
            page.paste(Image.fromarray(photographed(picture, r)), (column * side, row * side))
    return page


def ground_sheet(seed: int, rows: int = 16, columns: int = 12, side: int = 64) -> Image.Image:
    """A page of pictures without motifs: a row for each of the first ground programs."""
    page = Image.new("RGB", (columns * side, rows * side))
    for row in range(rows):
        for column in range(columns):
            r = np.random.default_rng([seed, 4, row, column])
            picture, _ = painted(ground_program(seed, row), r, side, 1.0)
            page.paste(Image.fromarray(photographed(picture, r)), (column * side, row * side))
    return page
