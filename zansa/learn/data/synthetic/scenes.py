"""Synthetic sets that each break a rule of thumb of training, so that tests and benchmarks see both sides of it.

mirror    coloured signs whose classes are each other's mirror image: a picture that is flipped gets a wrong label
dark      cells under a steady light, of which bad ones are darker as a whole or over broad areas: the level of light
          is the signal, and what takes out the local mean hides it
light     the same cells under a light that is never the same, with small marks: the level of light says nothing
hairline  cells of 256 x 256 pixels with cracks one or two pixels wide: smaller images lose them

Lengths are in 64ths of the image's side where nothing else is said, levels of light are of 255.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from .parts import LEAST, READ_NOISE, SHOT_NOISE, Field, Surfaces, _blob, _grain, _line, _plane, _turned, _walk

Colour = tuple[int, int, int]
FINE = 4  # signs are drawn so many times larger, and made small by averaging

# The drawing of one part: (pictures, size, size, channels) in levels, and the mask (size, size) of its defect.
Drawing = Callable[[Generator, str, int, int], tuple[NDArray[np.uint8], NDArray[np.bool_]]]


class Scene(NamedTuple):
    classes: tuple[str, ...]
    shares: tuple[float, ...]  # of the parts, one for each class
    draw: Drawing
    pictures: int  # of one part
    size: int  # pixels of a side
    total: int  # pictures, where nobody asks for another number
    kind: str


def scene(name: str, seed: int, count: int | None = None) -> Surfaces:
    """The pictures of a scene, in groups of one part each; the same arguments give the same pictures.

    ValueError when the count is too small for three parts of each class.
    """
    found = SCENES[name]
    count = found.total if count is None else count
    parts = -(-count // found.pictures)
    order = np.random.default_rng([seed, 0]).permutation(
        np.repeat(np.arange(len(found.classes)), _quotas(found, parts))
    )
    made = [
        found.draw(np.random.default_rng([seed, 1 + part]), found.classes[order[part]], found.size, found.pictures)
        for part in range(parts)
    ]
    return Surfaces(
        images=np.concatenate([images for images, _ in made])[:count],
        labels=np.repeat(order, found.pictures)[:count],
        classes=found.classes,
        groups=np.repeat([f"synthetic-{name}-{part:05d}" for part in range(parts)], found.pictures)[:count],
        masks=np.repeat([mask for _, mask in made], found.pictures, axis=0)[:count],
    )


def _quotas(found: Scene, parts: int) -> list[int]:
    """How many parts of each class; what rounding leaves over goes to the last."""
    quotas = [max(LEAST, round(parts * share)) for share in found.shares[:-1]]
    quotas.append(parts - sum(quotas))
    if quotas[-1] < LEAST:
        least = LEAST * len(found.classes) * found.pictures
        raise ValueError(
            f"{parts} parts ({found.pictures} pictures each) were asked; every class needs {LEAST} parts: ask for "
            f"{2 * least} pictures or more"
        )
    return quotas


# Signs


class Sign(NamedTuple):
    board: str  # disc or triangle
    strokes: tuple[tuple[tuple[float, float], ...], ...]  # points in -1 .. 1, x to the right and y down
    arrow: bool  # the first stroke ends in a head


SIGNS = {
    "bend": Sign("disc", (((0.35, 0.6), (0.35, -0.1), (-0.3, -0.1)),), True),
    "keep": Sign("disc", (((0.45, -0.45), (-0.25, 0.25)),), True),
    "curve": Sign("triangle", (((0.2, 0.6), (0.2, 0.25), (-0.15, 0.0), (-0.15, -0.25)),), False),
    "merge": Sign("triangle", (((0.1, 0.6), (0.1, -0.35)), ((-0.35, 0.6), (-0.35, 0.3), (0.1, 0.05))), False),
    "straight": Sign("disc", (((0.0, 0.65), (0.0, -0.3)),), True),
    "crossing": Sign("triangle", (((0.0, 0.6), (0.0, -0.35)), ((-0.4, 0.2), (0.4, 0.2))), False),
}
SIGN_CLASSES = (
    "bend_left",
    "bend_right",
    "crossing",
    "curve_left",
    "curve_right",
    "keep_left",
    "keep_right",
    "merge_left",
    "merge_right",
    "straight",
)
BLUE, RED, WHITE, BLACK = (30, 70, 160), (190, 30, 40), (235, 235, 230), (25, 25, 30)


def _signs(rng: Generator, name: str, size: int, pictures: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One sign as somebody drives up to it. A right sign is drawn as a left one and mirrored with everything around it,
    so that the two classes are mirror images of each other and differ in nothing else."""
    word = name.removesuffix("_left").removesuffix("_right")
    scales = np.sort(rng.uniform(0.55, 0.95, pictures))
    exposure, tint = np.exp(rng.uniform(-0.7, 0.25)), rng.normal(1, 0.05, 3)
    shots = [_sign_shot(rng, SIGNS[word], size, scale, exposure * tint) for scale in scales]
    images = np.stack(shots)
    mask = np.zeros((size, size), np.bool_)
    return (images[:, :, ::-1].copy() if name.endswith("_right") else images), mask


def _sign_shot(rng: Generator, sign: Sign, size: int, scale: float, light: Field) -> NDArray[np.uint8]:
    """One picture (size, size, 3): a background out of focus, the sign in front of it, light, lens and noise."""
    ground = rng.uniform(40, 190, 3) + 25 * np.stack([_grain(rng, size, 8)] * 3, -1)
    ground = ground + 12 * np.stack([_grain(rng, size, 5) for _ in range(3)], -1)
    paint, cover = _board(sign, size, scale, rng.uniform(-0.15, 0.15), rng.uniform(-0.08, 0.08, 2))
    picture = (ground * (1 - cover) + paint * cover) * light
    soft = rng.uniform(0.3, 1.0) * size / 48
    picture = gaussian_filter(picture, (soft, soft, 0))
    return _recorded(rng, picture)


def _board(sign: Sign, size: int, scale: float, turn: float, shift: Field) -> tuple[Field, Field]:
    """The sign's colours (size, size, 3), and where it is (size, size, 1) from 0 to 1."""
    large = size * FINE
    turning = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def place(points: Sequence[tuple[float, float]] | Field) -> list[tuple[float, float]]:
        placed = ((np.asarray(points) @ turning) * scale + shift + 1) * large / 2
        return [(float(x), float(y)) for x, y in placed]

    picture, cover = Image.new("RGB", (large, large)), Image.new("L", (large, large))
    disc = sign.board == "disc"
    outline = _circle() if disc else np.array([(0, -0.95), (0.95, 0.8), (-0.95, 0.8)])
    pen = ImageDraw.Draw(picture)
    pen.polygon(place(outline), fill=WHITE if disc else RED)
    pen.polygon(place(outline * 0.92 if disc else outline * 0.7 + (0, 0.09)), fill=BLUE if disc else WHITE)
    ImageDraw.Draw(cover).polygon(place(outline), fill=255)
    ink, width = (WHITE if disc else BLACK), round((0.2 if disc else 0.13) * scale * large / 2)
    for stroke in sign.strokes:
        pen.line(place(stroke), fill=ink, width=width, joint="curve")
    if sign.arrow:
        pen.polygon(place(_head(*np.array(sign.strokes[0][-2:]))), fill=ink)
    return _averaged(picture, size), _averaged(cover, size)[..., None] / 255


def _circle() -> Field:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], 1) * 0.95


def _head(start: Field, end: Field) -> Field:
    """The triangle (3, 2) that makes an arrow of a stroke."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    return np.stack([end + 0.32 * along, end + 0.3 * across, end - 0.3 * across])


def _averaged(picture: Image.Image, size: int) -> Field:
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX), np.float64)


# Cells


def _cell(rng: Generator, size: int) -> Field:
    """The reflectance (size, size) of a flat cell about 1: crystals, two bars, dust; its grain is strong or weak."""
    strength = np.exp(rng.uniform(-0.6, 0.6))
    x, _ = _plane(size)
    bars = sum(np.exp(-(((x - place - rng.normal(0, 0.3)) / 1.1) ** 4)) for place in (18, 46))
    crystals = np.tanh(2 * _grain(rng, size, 5)) * 0.04 + 0.03 * _grain(rng, size, 0.7)
    field = 1 + strength * crystals - 0.3 * bars
    specks = rng.poisson(4)
    field[tuple(rng.integers(size, size=(2, specks)))] -= rng.uniform(0.15, 0.4, specks)
    return field


def _dark(rng: Generator, name: str, size: int, pictures: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A cell under a light that is steady to one in a hundred; a bad one is darker: whole, on one side, or in a band.
    What borders a dark area is wide, so that there is no edge to see."""
    cell, cover = _cell(rng, size) * rng.normal(1, 0.015), np.zeros((size, size))
    if name == "dark":
        u = _turned(size, rng.uniform(0, 2 * np.pi), tuple(rng.uniform(22, 42, 2)))[0]
        shapes = (np.ones((size, size)), expit(u / 5), expit((18 - np.abs(u)) / 5))
        cover = shapes[rng.choice(3, p=(0.5, 0.25, 0.25))]
    picture = 125 * cell * (1 - rng.uniform(0.05, 0.14) * cover)
    return _shots(rng, [picture * rng.normal(1, 0.01) for _ in range(pictures)]), cover > 0.5


def _light(rng: Generator, name: str, size: int, pictures: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A cell under lights that differ by a factor of four, fall off to one side and are shaded; a bad one has a small
    mark, which is as much darker than its surroundings in any light."""
    cell, cover = _cell(rng, size), np.zeros((size, size))
    if name == "mark":
        cover = _mark(rng, size)
    marked = cell * (1 - rng.uniform(0.25, 0.45) * cover)
    return _shots(rng, [marked * _lamp(rng, size) for _ in range(pictures)]), cover > 0.5


def _lamp(rng: Generator, size: int) -> Field:
    """Levels (size, size) of a lamp somewhere, with the shadow of something in front of it."""
    fall = _turned(size, rng.uniform(0, 2 * np.pi))[0] * rng.uniform(0, 0.012)
    edge = _turned(size, rng.uniform(0, 2 * np.pi), tuple(rng.uniform(0, 64, 2)))[0]
    return np.exp(rng.uniform(np.log(50), np.log(190))) * (1 + fall) * (1 - rng.uniform(0, 0.5) * expit(edge / 1.5))


def _mark(rng: Generator, size: int) -> Field:
    """A spot or a short scratch: where it is, 0 to 1."""
    centre = rng.uniform(10, 54, 2)
    if rng.random() < 0.5:
        return _blob(rng, size, tuple(centre), rng.uniform(1.8, 3.0), 0.1, 0.3)
    points = _walk(np.zeros(2), rng.uniform(0, 2 * np.pi) + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, 40), 0.35)
    return _line(size, points + centre - points.mean(0), np.ones(40), rng.uniform(0.6, 0.9))


def _hairline(rng: Generator, name: str, size: int, pictures: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A cell, good or with a jagged crack one or two pixels wide; every cell has soft and wide lines, too."""
    cell, cover = _cell(rng, size), np.zeros((size, size))
    for _ in range(rng.integers(1, 4)):
        cell = cell - rng.uniform(0.05, 0.15) * gaussian_filter(_stroke(rng, size, 5, 0.02), 0.012 * size)
    if name == "crack":
        cover = _stroke(rng, size, rng.uniform(1.0, 2.0), 0.25)
    cracked = cell * (1 - rng.uniform(0.2, 0.4) * cover)
    return _shots(rng, [cracked * rng.uniform(100, 150) for _ in range(pictures)]), cover > 0.5


def _stroke(rng: Generator, size: int, width: float, jag: float) -> Field:
    """A line so many pixels wide across part of the picture, straight or jagged: where it is, 0 to 1."""
    steps = int(rng.integers(25, 60))
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.05, steps)) + rng.normal(0, 3 * jag, steps)
    points = _walk(np.zeros(2), headings, 0.9)
    points = (points - points.mean(0) + rng.uniform(14, 50, 2)) * size * FINE / 64
    picture = Image.new("L", (size * FINE, size * FINE))
    ImageDraw.Draw(picture).line([(float(x), float(y)) for x, y in points], fill=255, width=round(width * FINE))
    return _averaged(picture, size) / 255


# Camera


def _shots(rng: Generator, pictures: Sequence[Field]) -> NDArray[np.uint8]:
    return np.stack([_recorded(rng, gaussian_filter(picture, 0.4)) for picture in pictures])[..., None]


def _recorded(rng: Generator, picture: Field) -> NDArray[np.uint8]:
    """What the camera makes of levels: clipped, with noise, in whole numbers."""
    picture = np.clip(picture, 0, 255)
    noise = rng.standard_normal(picture.shape) * np.hypot(READ_NOISE, SHOT_NOISE * np.sqrt(picture))
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


SCENES = {
    "mirror": Scene(SIGN_CLASSES, (0.1,) * 10, _signs, pictures=3, size=48, total=2400, kind="natural"),
    "dark": Scene(("dark", "good"), (0.35, 0.65), _dark, pictures=2, size=128, total=900, kind="surface"),
    "light": Scene(("good", "mark"), (0.65, 0.35), _light, pictures=2, size=128, total=900, kind="surface"),
    "hairline": Scene(("crack", "good"), (0.4, 0.6), _hairline, pictures=1, size=256, total=500, kind="surface"),
}
