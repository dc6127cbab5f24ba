"""Motifs: what lies on the ground of a drawn picture. One function a kind, so a new one is ten lines and its name in
MOTIFS.

A kind is a function of the random numbers of a program. It fixes what all motifs of the program share, and returns a
function of the random numbers of one motif, which gives its marks. Points lie in a circle of radius 1 about 0.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (N, 2)


class Mark(NamedTuple):
    """One stroke of a pen: an area with these corners, a line through the points, or a dot on each. `width` of the
    line or the dots is a share of the motif's radius."""

    points: Points
    how: Literal["fill", "line", "dots"] = "fill"
    width: float = 0.0


Motif = Callable[[Generator], list[Mark]]


def around(count: int, radius: Points | float = 1.0, start: float = 0.0, sweep: float = 2 * math.pi) -> Points:
    """So many points at even angles."""
    angles = start + sweep * np.arange(count) / count
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1)


def walk(r: Generator, steps: int, rough: float) -> Points:
    """A path from left to right whose direction changes at random."""
    turns = np.cumsum(r.normal(0, rough, steps))
    path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1), 0)
    path -= path.mean(0)
    return path / max(np.abs(path).max(), 1e-9)


def mostly_filled(c: Generator, points: Points) -> list[Mark]:
    """A closed shape, filled or its outline."""
    if c.random() < 0.6:
        return [Mark(points)]
    return [Mark(np.concatenate([points, points[:2]]), "line", c.uniform(0.06, 0.3))]


def always(marks: list[Mark]) -> Motif:
    return lambda r: marks


def line(c: Generator) -> Motif:
    return always([Mark(np.array([[-1.0, 0], [1, 0]]), "line", c.uniform(0.02, 0.25))])


def hairline(c: Generator) -> Motif:
    """A crack: a path that is new each time, thin, with forks."""
    steps, rough, forks, width = (
        int(c.integers(5, 20)),
        c.uniform(0.1, 0.7),
        int(c.integers(0, 4)),
        c.uniform(0.01, 0.08),
    )

    def marks(r: Generator) -> list[Mark]:
        path = walk(r, steps, rough)
        found = [Mark(path, "line", width)]
        for at in r.integers(1, steps, forks):
            branch = walk(r, max(3, steps // 2), rough) * 0.4
            angle = r.choice([-1, 1]) * r.uniform(0.5, 1.2)
            turned = (branch - branch[0]) @ np.array(
                [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
            )
            found.append(Mark(path[at] + turned, "line", width * 0.7))
        return found

    return marks


def scratches(c: Generator) -> Motif:
    """A bundle of thin, nearly parallel lines."""
    count, spread, width = int(c.integers(2, 8)), c.uniform(0.05, 0.5), c.uniform(0.01, 0.05)

    def marks(r: Generator) -> list[Mark]:
        ends = r.uniform(0.3, 1, (count, 2)) * [-1, 1]
        heights = r.normal(0, spread, (count, 2)) * [1, 0.3] @ np.array([[1, 1], [1, -1]]) / 2
        return [Mark(np.stack([x, np.clip(y, -1, 1)], 1), "line", width) for x, y in zip(ends, heights, strict=True)]

    return marks


def cross(c: Generator) -> Motif:
    arms, start, width = int(c.integers(3, 7)), c.uniform(0, math.pi), c.uniform(0.05, 0.3)
    lengths = np.where(c.random(arms) < 0.3, c.uniform(0.4, 1, arms), 1.0)
    return always([Mark(np.stack([np.zeros(2), tip]), "line", width) for tip in around(arms, lengths, start)])


def blob(c: Generator) -> Motif:
    waves, depth, wild = int(c.integers(2, 6)), c.uniform(0, 0.35), c.uniform(0, 0.15)

    def marks(r: Generator) -> list[Mark]:
        angles = np.arange(20) * (2 * math.pi / 20)
        radius = (
            0.8
            + depth * np.cos(waves * angles + r.uniform(0, 7))
            + r.normal(0, wild) * np.cos(angles + r.uniform(0, 7))
        )
        return [Mark(around(20, radius))]

    return marks


def polygon(c: Generator) -> Motif:
    return always(mostly_filled(c, around(int(c.integers(3, 8)))))


def box(c: Generator) -> Motif:
    ratio = c.uniform(0.1, 0.9)
    return always(mostly_filled(c, np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [0.9, 0.9 * ratio]))


def star(c: Generator) -> Motif:
    tips, inner = int(c.integers(3, 10)), c.uniform(0.25, 0.75)
    return always(mostly_filled(c, around(2 * tips, np.tile([1.0, inner], tips))))


def shard(c: Generator) -> Motif:
    """A piece with sharp corners that is new each time: chips and fragments."""
    corners, rough = int(c.integers(4, 14)), c.uniform(0.1, 0.6)
    return lambda r: [Mark(around(corners, 1 - rough * r.random(corners)))]


def ring(c: Generator) -> Motif:
    radii, width = c.uniform(0.2, 1, int(c.integers(1, 4))), c.uniform(0.05, 0.3)
    return always([Mark(around(25, radius, sweep=2 * math.pi * 25 / 24), "line", width) for radius in radii])


def arc(c: Generator) -> Motif:
    sweep, width, bow = c.uniform(1, 5), c.uniform(0.04, 0.3), c.uniform(0.5, 1)
    return always([Mark(around(20, 1.0, 0, sweep) * [1, bow], "line", width)])


def sector(c: Generator) -> Motif:
    sweep = c.uniform(0.6, 5)
    return always(mostly_filled(c, np.concatenate([np.zeros((1, 2)), around(20, 1.0, 0, sweep)])))


def wave(c: Generator) -> Motif:
    count, height, width, sharp = c.uniform(0.7, 4), c.uniform(0.1, 0.6), c.uniform(0.03, 0.2), c.random() < 0.3
    x = np.linspace(-1, 1, 40)
    y = np.sin(math.pi * count * x)
    return always([Mark(np.stack([x, height * (np.arcsin(y) if sharp else y)], 1), "line", width)])


def glyph(c: Generator) -> Motif:
    """A sign of a few straight and bent strokes between places of a grid, like a letter."""
    width, marks = c.uniform(0.1, 0.35), []
    for _ in range(int(c.integers(2, 5))):
        start, middle, end = c.integers(-1, 2, (3, 2)) * 0.8
        t = np.linspace(0, 1, 9)[:, None] if c.random() < 0.5 else np.linspace(0, 1, 3)[:, None]
        marks.append(Mark((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end, "line", width))
    return always(marks)


def scribble(c: Generator) -> Motif:
    """A fixed bent path."""
    corners = c.uniform(-1, 1, (int(c.integers(3, 8)), 2))
    t = np.linspace(0, len(corners) - 1, 40)
    smooth = np.stack([np.interp(t, range(len(corners)), corners[:, k]) for k in (0, 1)], 1)
    if c.random() < 0.6:
        smooth = np.stack([np.convolve(np.pad(smooth[:, k], 4, "edge"), np.ones(9) / 9, "valid") for k in (0, 1)], 1)
    return always([Mark(smooth, "line", c.uniform(0.05, 0.25))])


def grid(c: Generator) -> Motif:
    rows, columns, width = *c.integers(2, 6, 2), c.uniform(0.03, 0.15)
    ends = [[[-1, y], [1, y]] for y in np.linspace(-1, 1, rows)] + [
        [[x, -1], [x, 1]] for x in np.linspace(-1, 1, columns)
    ]
    return always([Mark(np.array(pair) * 0.8, "line", width) for pair in ends])


def comb(c: Generator) -> Motif:
    """Parallel bars, some of them missing."""
    count, width, gap = int(c.integers(3, 9)), c.uniform(0.05, 0.2), c.uniform(0, 0.4)
    heights = np.where(c.random(count) < gap, 0, c.uniform(0.5, 0.9, count))
    return always(
        [
            Mark(np.array([[x, -h], [x, h]]), "line", width)
            for x, h in zip(np.linspace(-1, 1, count), heights, strict=True)
            if h
        ]
    )


def dust(c: Generator) -> Motif:
    """A cloud of dots that is new each time: pores, splashes, rust."""
    count, width, thin = int(c.integers(4, 40)), c.uniform(0.04, 0.25), c.uniform(0.2, 1)
    return lambda r: [Mark(np.clip(r.normal(0, 0.5, (count, 2)) * [1, thin], -1, 1), "dots", width)]


def fern(c: Generator) -> Motif:
    """The points of an iterated function system whose maps all contract (Anderson and Farrell 2022, 2110.03091)."""
    maps, points = [], np.zeros((300, 2))
    for _ in range(int(c.integers(2, 5))):
        turns = [np.linalg.qr(c.normal(size=(2, 2)))[0] for _ in range(2)]
        maps.append((turns[0] @ np.diag(c.uniform(0.2, 0.8, 2)) @ turns[1], c.uniform(-1, 1, 2)))
    choice = c.integers(len(maps), size=(25, 300))
    for picked in choice:
        moved = np.stack([points @ a.T + b for a, b in maps])
        points = moved[picked, np.arange(300)]
    points = points - points.mean(0)
    return always([Mark(points / max(np.abs(points).max(), 1e-9), "dots", c.uniform(0.03, 0.08))])


def pair(c: Generator) -> Motif:
    """Two other motifs, side by side or one in the other."""
    first, second = (SINGLE[int(c.integers(len(SINGLE)))](c) for _ in range(2))
    inside, scale = c.random() < 0.4, c.uniform(0.3, 0.6)
    near, far = (0.0, 0.0) if inside else (-0.5, 0.5)
    sizes = (1.0, scale) if inside else (0.5, 0.5)

    def marks(r: Generator) -> list[Mark]:
        sides = ((first, near, sizes[0]), (second, far, sizes[1]))
        return [
            m._replace(points=m.points * size + [x, 0], width=m.width * size) for one, x, size in sides for m in one(r)
        ]

    return marks


SINGLE = (line, cross, polygon, box, star, ring, arc, sector, wave, glyph, blob, comb)
MOTIFS = {
    "line": line,
    "hairline": hairline,
    "scratches": scratches,
    "cross": cross,
    "blob": blob,
    "polygon": polygon,
    "box": box,
    "star": star,
    "shard": shard,
    "ring": ring,
    "arc": arc,
    "sector": sector,
    "wave": wave,
    "glyph": glyph,
    "scribble": scribble,
    "grid": grid,
    "comb": comb,
    "dust": dust,
    "fern": fern,
    "pair": pair,
}
