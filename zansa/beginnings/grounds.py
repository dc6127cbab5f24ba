"""Grounds: what a drawn picture shows where no motif lies. One function a kind.

A kind is a function of the random numbers of a program. It fixes what all pictures of the program share, and returns
a function (random numbers of one picture, side in pixels) -> field: (side, side), of any mean and scale.
Lengths are shares of the side, angles are in radians.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.floating[Any]]
Ground = Callable[[Generator, int], Field]
FINER = 2  # shapes are drawn so many times finer, and averaged


def places(side: int, angle: float = 0.0) -> tuple[Field, Field]:
    """Where the pixels lie, along an angle and across it, in 0 .. 1 for angle 0: (side, side) each."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * line[None, :] + sin * line[:, None] + 0.5, cos * line[:, None] - sin * line[None, :] + 0.5


def spectrum(r: Generator, side: int, power: float, angle: float = 0.0, stretch: float = 1.0) -> Field:
    """Noise whose amplitude falls like 1 / frequency^power, stretched along an angle, with deviation 1."""
    fx, fy = np.fft.rfftfreq(side)[None, :], np.fft.fftfreq(side)[:, None]
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = (cos * fx + sin * fy) * stretch, cos * fy - sin * fx
    size = np.hypot(np.hypot(along, across), 0.5 / side).astype(np.float32)
    white = np.fft.rfft2(r.standard_normal((side, side), dtype=np.float32))
    white[0, 0] = 0
    field = np.fft.irfft2(white * size**-power, s=(side, side)).astype(np.float32)
    return field / max(float(field.std()), 1e-6)


def canvas(side: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty gray picture of so many pixels, FINER times finer, to draw on."""
    image = Image.new("L", (side * FINER, side * FINER))
    return image, ImageDraw.Draw(image)


def averaged(image: Image.Image) -> Field:
    """What was drawn on a canvas, in 0 .. 1."""
    return np.asarray(image.reduce(FINER), np.float32) / 255


def noise(c: Generator) -> Ground:
    power, angle = c.uniform(0.3, 2.6), c.uniform(0, math.pi)
    stretch = c.uniform(1, 6) if c.random() < 0.5 else 1.0
    return lambda r, side: spectrum(r, side, power, angle + r.uniform(-0.1, 0.1), stretch)


def flat(c: Generator) -> Ground:
    grain = c.uniform(0, 0.3)
    return lambda r, side: grain * spectrum(r, side, 1.0)


def stripes(c: Generator) -> Ground:
    count, angle, bend, sharp = c.uniform(3, 22), c.uniform(0, math.pi), c.uniform(0, 1.2), c.uniform(0.5, 6)

    def field(r: Generator, side: int) -> Field:
        x, _ = places(side, angle + r.uniform(-0.1, 0.1))
        phase = 2 * math.pi * (count * r.uniform(0.9, 1.1) * x + r.random()) + bend * spectrum(r, side, 2.0)
        return np.tanh(sharp * np.sin(phase))

    return field


def rings(c: Generator) -> Ground:
    count, bend, ratio, sharp = c.uniform(3, 16), c.uniform(0, 1.5), c.uniform(0.3, 1), c.uniform(0.5, 4)

    def field(r: Generator, side: int) -> Field:
        x, y = places(side, r.uniform(0, math.pi))
        middle = r.uniform(-0.3, 1.3, 2)
        far = np.hypot(x - middle[0], (y - middle[1]) * ratio).astype(np.float32)
        return np.tanh(sharp * np.sin(2 * math.pi * count * far + bend * spectrum(r, side, 2.0)))

    return field


def cells(c: Generator) -> Ground:
    """What lies between points: distances to the nearest two, the seams between cells, or cells of several shades."""
    count, kind = int(c.integers(5, 50)), int(c.integers(4))
    even = c.random() < 0.4  # cells of one size, as in a mosaic

    def field(r: Generator, side: int) -> Field:
        points = mosaic(r, round(math.sqrt(count))) if even else r.uniform(-0.1, 1.1, (count, 2))
        far = distances(points, side)
        near = np.sqrt(np.partition(far, 1, axis=-1)[..., :2])
        if kind == 3:
            return r.uniform(-1, 1, len(points)).astype(np.float32)[far.argmin(-1)]
        wide = math.sqrt(len(points))
        return (near[..., 0] * wide, np.tanh(4 * wide * (near[..., 1] - near[..., 0])), near.sum(-1) * wide)[kind]

    return field


def mosaic(r: Generator, rows: int) -> NDArray[np.float64]:
    """Points in rows, each a little beside its place: (N, 2)."""
    places = np.stack(np.meshgrid(range(rows + 1), range(rows + 1)), -1).reshape(-1, 2)
    places = (places + r.uniform(0, 0.7, 2)) / rows
    return places + r.normal(0, 0.12 / rows, places.shape)


def distances(points: NDArray[np.float64], side: int) -> Field:
    """Squares of the distances from each pixel to each point: (side, side, N)."""
    x, y = places(side)
    across, down = points.T.astype(np.float32, order="C")
    return (x[..., None] - across) ** 2 + (y[..., None] - down) ** 2


def leaves(c: Generator) -> Ground:
    """Shapes that lie upon one another, of sizes as in photographs (dead leaves: Lee et al. 2001, IJCV 41)."""
    corners, least, ratio = int(c.integers(3, 9)), c.uniform(0.02, 0.12), c.uniform(0.3, 1)
    count, grain = int(c.integers(30, 90)), c.uniform(0, 0.3)

    def field(r: Generator, side: int) -> Field:
        image, pen = canvas(side)
        radii = least / np.sqrt(1 - r.random(count) * (1 - (least / 0.5) ** 2))  # density 1 / r^3
        turns = np.arange(corners) * (2 * math.pi / corners)
        for radius, x, y, angle, shade in zip(radii, *r.random((4, count)), strict=True):
            dx, dy = radius * np.cos(turns), radius * ratio * np.sin(turns)
            cos, sin = math.cos(7 * angle), math.sin(7 * angle)
            at = np.stack([x * 1.2 - 0.1 + cos * dx - sin * dy, y * 1.2 - 0.1 + sin * dx + cos * dy], 1) * side * FINER
            pen.polygon(at.round().astype(int).ravel().tolist(), fill=int(shade * 255))
        return averaged(image) * 4 + grain * spectrum(r, side, 1.0)

    return field


def lattice(c: Generator) -> Ground:
    """Equal spots in rows: perforated sheet, pins, weave, print."""
    pitch, angle, radius = c.uniform(0.08, 0.35), c.uniform(0, math.pi / 2), c.uniform(0.15, 0.48)
    ratio, shifted, square = c.uniform(0.6, 1.6), c.random() < 0.4, c.random() < 0.4

    def field(r: Generator, side: int) -> Field:
        x, y = places(side, angle + r.uniform(-0.1, 0.1))
        v = y / pitch / ratio + r.random()
        u = x / pitch + r.random() + (0.5 * (np.floor(v) % 2) if shifted else 0)
        du, dv = np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)
        far = np.maximum(du, dv) if square else np.hypot(du, dv)
        return np.tanh((radius - far) * 30 * pitch).astype(np.float32)

    return field


def weave(c: Generator) -> Ground:
    pitch, angle, twill = c.uniform(0.06, 0.3), c.uniform(0, math.pi / 2), int(c.integers(1, 4))

    def field(r: Generator, side: int) -> Field:
        x, y = places(side, angle + r.uniform(-0.1, 0.1))
        u, v = x / pitch + r.random(), y / pitch + r.random()
        over = (np.floor(u) + twill * np.floor(v)) % (twill + 1) < 1
        return np.where(over, np.sin(math.pi * (u % 1)), 0.6 * np.sin(math.pi * (v % 1))).astype(np.float32)

    return field


def traces(c: Generator) -> Ground:
    """Wires on a pitch that run straight and turn by 45 or 90 degrees, with round ends: circuit boards, gratings."""
    pitch, width = c.uniform(0.09, 0.3), c.uniform(0.3, 0.7)
    turn, pads, upright = c.uniform(0, 0.6), c.uniform(0, 0.5), c.random() < 0.5

    def field(r: Generator, side: int) -> Field:
        image, pen = canvas(side)
        unit, wide = pitch * side * FINER, max(2, round(width * pitch * side * FINER))
        offset = r.uniform(-1, 0) * unit
        for k in range(math.ceil(1 / pitch) + 3):
            at, level = [], 0.0
            for step in range(-1, 5):
                level += r.choice([-1, 1]) if r.random() < turn else 0
                at.append((step * side * FINER / 3, offset + (k - 1 + level) * unit))
                if r.random() < pads:
                    at.append((at[-1][0] + unit, at[-1][1]))
            ends = at if r.random() < 0.7 else at[: int(r.integers(2, len(at)))]
            pen.line([(round(x), round(y)) for x, y in ends], fill=255, width=wide, joint="curve")
            if r.random() < pads:
                (x, y), radius = ends[int(r.integers(len(ends)))], wide * 0.9
                pen.ellipse([round(x - radius), round(y - radius), round(x + radius), round(y + radius)], fill=255)
        found = averaged(image)
        return np.ascontiguousarray(found.T) if upright else found

    return field


def parts(c: Generator) -> Ground:
    """Two grounds on both sides of an edge: where a part ends, or two are joined."""
    first, second = (SIMPLE[int(c.integers(len(SIMPLE)))](c) for _ in range(2))
    angle, bend, step = c.uniform(0, 2 * math.pi), c.uniform(0, 0.15), c.uniform(0, 2)

    def field(r: Generator, side: int) -> Field:
        x, _ = places(side, angle + r.uniform(-0.15, 0.15))
        edge = x + bend * spectrum(r, side, 2.0) - r.uniform(0.25, 0.75)
        share = 1 / (1 + np.exp(np.clip(-edge * side, -30, 30)))
        return (1 - share) * first(r, side) + share * (second(r, side) + step)

    return field


SIMPLE = (noise, flat, stripes, cells, lattice)
GROUNDS = {
    "noise": noise,
    "flat": flat,
    "stripes": stripes,
    "rings": rings,
    "cells": cells,
    "leaves": leaves,
    "lattice": lattice,
    "weave": weave,
    "traces": traces,
    "parts": parts,
}
SHARES = {
    "noise": 0.24,
    "flat": 0.16,
    "stripes": 0.1,
    "rings": 0.05,
    "cells": 0.12,
    "leaves": 0.08,
    "lattice": 0.07,
    "weave": 0.03,
    "traces": 0.08,
    "parts": 0.07,
}
