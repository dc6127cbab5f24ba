"""Synthetic surfaces with defects: made up by this module, for demonstrations and tests; no real part was photographed.

A synthetic part is a relief and a reflectance: a texture, what every part may carry (dust, uneven tint), and perhaps
one defect. It is rendered under several lights and recorded by a camera that blurs and adds noise. All pictures of one
part are one group. Lengths are in 64ths of the image's side, angles in radians, light between 0 (black) and 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import expit

Field = NDArray[np.float64]  # (size, size), or the x and y of points

CLASSES = ("crack", "good", "hole", "missing", "scratch", "stain")
# of the parts with a defect
SHARES = {"scratch": 0.40, "stain": 0.26, "hole": 0.17, "crack": 0.11, "missing": 0.06}
PICTURES = 3  # of one part, each under another light
LEAST = 3  # parts of a class, one each for training, validation and test

BLUR = 0.55  # of the camera, standard deviation in pixels
READ_NOISE, SHOT_NOISE = 2.0, 0.2  # in levels of 255, and in levels per square root of a level

# The least visible defect: the length of its difference image, over the deviation of noise and texture in one pixel.
# Where the light all but hides a defect the difference is amplified to this, because nobody could have labelled it.
VISIBLE = 45.0


@dataclass(frozen=True)
class Surfaces:
    """Synthetic pictures: images (N, H, W, 1) uint8, labels (N,) int64 into classes, groups (N,) str, one per part,
    masks (N, H, W) bool, true where the defect is."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray
    masks: np.ndarray


class Part(NamedTuple):
    height: Field
    albedo: Field  # share of the light that is scattered back
    gloss: Field | float  # share that is mirrored


class Defect(NamedTuple):
    cover: Field  # 0 .. 1
    depth: float
    tint: float  # its albedo
    opacity: float  # how far the tint replaces the albedo
    flat: float  # how far the relief of the texture is lost


class Light(NamedTuple):
    elevation: float  # above the surface
    ambient: float  # share of the light that comes from everywhere


LIGHTS = (Light(1.2, 0.8), Light(1.2, 0.4), Light(0.8, 0.4), Light(0.5, 0.3))  # dome, overhead, side, raking


def surfaces(count: int, seed: int, size: int = 64, good: float = 0.7) -> Surfaces:
    """Synthetic pictures of size x size pixels, in groups of three of one part; about a share `good` has no defect.

    The same arguments give the same pictures. ValueError when the count is too small for three parts of each class.
    """
    if size < 16:
        raise ValueError(
            f"pictures of {size} x {size} pixels were asked; allowed: 16 or more, or no defect could be seen"
        )
    parts = -(-count // PICTURES)
    order = np.random.default_rng([seed, 0]).permutation(np.repeat(np.arange(len(CLASSES)), _quotas(parts, good)))
    made = [_photographs(np.random.default_rng([seed, 1 + part]), CLASSES[order[part]], size) for part in range(parts)]
    return Surfaces(
        images=np.concatenate([images for images, _ in made])[:count, ..., None],
        labels=np.repeat(order, PICTURES)[:count],
        classes=CLASSES,
        groups=np.repeat([f"synthetic-part-{part:05d}" for part in range(parts)], PICTURES)[:count],
        masks=np.repeat([mask for _, mask in made], PICTURES, axis=0)[:count],
    )


def _quotas(parts: int, good: float) -> list[int]:
    """How many parts of each class: the shares as near as whole numbers and the least allow."""
    quotas = {name: max(LEAST, round(parts * (1 - good) * share)) for name, share in SHARES.items()}
    quotas["good"] = parts - sum(quotas.values())
    if not 0 < good < 1 or quotas["good"] < LEAST:
        raise ValueError(
            f"{parts} parts ({PICTURES} pictures each), a share {good} of them good, were asked; every class needs "
            f"{LEAST} parts: ask for {LEAST * len(CLASSES) * PICTURES} pictures or more, and a share such as 0.7"
        )
    return [quotas[name] for name in CLASSES]


def _photographs(rng: Generator, name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One part under its lights: (PICTURES, size, size) uint8, and where its defect is: (size, size) bool."""
    texture = TEXTURES[rng.integers(len(TEXTURES))]
    part = _soil(texture(rng, size), rng, size)
    defect = DEFECTS[name](rng, size) if name in DEFECTS else None
    spoilt = part if defect is None else _spoil(part, defect)
    lights = [LIGHTS[i] for i in rng.permutation(len(LIGHTS))[:PICTURES]]
    mask = np.zeros((size, size), bool) if defect is None else defect.cover > 0.5
    return np.stack([_photograph(rng, part, spoilt, light) for light in lights]), mask


# Shapes


def _plane(size: int) -> tuple[Field, Field]:
    """x (1, size) and y (size, 1) of the pixels' centres."""
    places = (np.arange(size) + 0.5) * 64 / size
    return places[None, :], places[:, None]


def _turned(size: int, angle: float, centre: Field | tuple[float, float] = (32, 32)) -> tuple[Field, Field]:
    """The same axes turned about a centre, which is their origin."""
    x, y = _plane(size)
    x, y = x - centre[0], y - centre[1]
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _grain(rng: Generator, size: int, along: float, across: float | None = None, angle: float = 0.0) -> Field:
    """Noise of mean 0 and deviation 1, smoothed over `along` in the direction of the angle and over `across`."""
    fx, fy = np.fft.rfftfreq(size)[None, :], np.fft.fftfreq(size)[:, None]
    u, v = np.cos(angle) * fx + np.sin(angle) * fy, np.cos(angle) * fy - np.sin(angle) * fx
    spread = (along * u) ** 2 + ((along if across is None else across) * v) ** 2
    kept = np.exp(-2 * (np.pi * size / 64) ** 2 * spread)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * kept, s=(size, size))
    return (field - field.mean()) / field.std()


def _blob(
    rng: Generator, size: int, centre: Field | tuple[float, float], radius: float, ragged: float, soft: float
) -> Field:
    """A round patch about a centre: 1 inside, 0 outside, its outline ragged by that share of the radius."""
    stretch, (u, v) = rng.uniform(0.8, 1.25), _turned(size, rng.uniform(0, np.pi), centre)
    outline = radius * (1 + ragged * _grain(rng, size, 0.4 * radius))
    return expit((outline - np.hypot(u * stretch, v / stretch)) / soft)


def _walk(start: Field, headings: Field, step: float) -> Field:
    """Points (P, 2) from a start, one step in each of the headings."""
    return start + step * np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), axis=0)


def _line(size: int, points: Field, strength: Field, width: float) -> Field:
    """A line through close points (P, 2), of a strength (P,) at each; a Gaussian across."""
    x, y = _plane(size)
    squared = (x[..., None] - points[:, 0]) ** 2 + (y[..., None] - points[:, 1]) ** 2
    return (strength * np.exp(-squared / width**2)).max(-1)


# Textures


def _brushed(rng: Generator, size: int) -> Part:
    angle = rng.uniform(0, np.pi)
    height = 0.16 * _grain(rng, size, 24, 0.8, angle)
    return Part(height, 0.5 + 0.04 * _grain(rng, size, 30, 1.0, angle), 0.4)


def _lathed(rng: Generator, size: int) -> Part:
    (x, y), away, angle = _plane(size), rng.uniform(40, 110), rng.uniform(0, 2 * np.pi)
    radius = np.hypot(x - 32 - away * np.cos(angle), y - 32 - away * np.sin(angle))
    groove = gaussian_filter1d(rng.standard_normal(640), 2.0)
    feed = 0.15 * np.sin(2 * np.pi * radius / rng.uniform(2.5, 4))
    height = feed + np.interp(radius, np.arange(640) / 4, 0.45 * groove)
    return Part(height, np.full((size, size), 0.5), 0.4)


def _cast(rng: Generator, size: int) -> Part:
    height = 0.25 * _grain(rng, size, 1.2) + 0.4 * _grain(rng, size, 3.5)
    return Part(height, 0.4 + 0.03 * _grain(rng, size, 1.0), 0.1)


def _woven(rng: Generator, size: int) -> Part:
    u, v = (axis / rng.uniform(5, 8) for axis in _turned(size, rng.uniform(0, np.pi)))
    over = (np.floor(u) + np.floor(v)) % 2 == 0  # this thread lies above the other
    across, along = np.where(over, u, v) % 1 - 0.5, np.where(over, v, u) % 1 - 0.5
    height = 2.0 * np.sqrt(1 - (1.9 * across) ** 2) * np.cos(2 * along)
    return Part(height, 0.45 + 0.05 * over + 0.03 * _grain(rng, size, 0.8), 0.05)


def _tiled(rng: Generator, size: int) -> Part:
    u, v = (axis / rng.uniform(13, 22) + rng.uniform() for axis in _turned(size, rng.uniform(0, np.pi)))
    u = u + rng.choice([0.0, 0.5]) * (np.floor(v) % 2)  # a plain grid, or a bond
    joint = np.maximum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)) > 0.46
    shade = rng.normal(0, 0.025, (16, 16))[np.floor(u).astype(int) % 16, np.floor(v).astype(int) % 16]
    height = gaussian_filter(-1.2 * joint, 0.6 * size / 64) + 0.1 * _grain(rng, size, 1.0)
    return Part(height, np.where(joint, 0.35, 0.5 + shade), 0.2)


def _leather(rng: Generator, size: int) -> Part:
    height = -0.8 * np.exp(-((_grain(rng, size, 2.2) / 0.3) ** 2)) + 0.1 * _grain(rng, size, 0.8)
    return Part(height, 0.4 + 0.03 * _grain(rng, size, 2.0), 0.1)


TEXTURES: tuple[Callable[[Generator, int], Part], ...] = (_brushed, _lathed, _cast, _woven, _tiled, _leather)


def _soil(part: Part, rng: Generator, size: int) -> Part:
    """What is tolerated on any part: an uneven tint, and specks of dust of one pixel."""
    albedo = part.albedo * (1 + 0.04 * _grain(rng, size, 14))
    specks = rng.poisson(1.5)
    albedo[tuple(rng.integers(size, size=(2, specks)))] += rng.uniform(-0.2, 0.2, specks)
    return part._replace(height=part.height * rng.uniform(0.7, 1.2), albedo=albedo)


# Defects


def _scratch(rng: Generator, size: int) -> Defect:
    """A smooth, slightly bent groove; bare and bright, or dirty and dark."""
    length, angle = rng.uniform(20, 45), rng.uniform(0, 2 * np.pi)
    bend = rng.uniform(-0.5, 0.5) * np.linspace(-1, 1, 80)
    points = _walk(np.zeros(2), angle + bend, length / 80)
    points += rng.uniform(14, 50, 2) - points.mean(0)
    cover = _line(size, points, np.sin(np.linspace(0.4, np.pi - 0.4, 80)) ** 0.3, rng.uniform(0.8, 1.2))
    return Defect(cover, rng.uniform(1.0, 2.0), rng.choice([0.1, 0.9]), 0.7, 0.9)


def _crack(rng: Generator, size: int) -> Defect:
    """A dark, jagged line that thins out, with a branch."""
    steps = int(rng.integers(40, 70))
    jag = np.repeat(rng.normal(0, 0.7, 35), 2)[:steps] + np.cumsum(rng.normal(0, 0.06, steps))
    headings = rng.uniform(0, 2 * np.pi) + jag
    trunk = _walk(np.zeros(2), headings, 0.7)
    fork = int(rng.integers(steps // 4, steps // 2))
    branch = _walk(trunk[fork], headings[: steps // 3] + rng.choice([-1, 1]) * rng.uniform(0.5, 1.0), 0.7)
    points = np.concatenate([trunk, branch])
    points += rng.uniform(16, 48, 2) - points.mean(0)
    strength = np.concatenate([np.linspace(1, 0.6, steps), np.linspace(0.8, 0.55, len(branch))])
    return Defect(_line(size, points, strength, rng.uniform(0.8, 1.1)), 1.5, 0.05, 0.9, 0.7)


def _hole(rng: Generator, size: int) -> Defect:
    cover = _blob(rng, size, rng.uniform(6, 58, 2), rng.uniform(2.2, 4.5), 0.06, 0.35)
    return Defect(cover, 2.5, 0.08, 0.85, 1.0)


def _stain(rng: Generator, size: int) -> Defect:
    """A discoloured patch with no relief of its own."""
    cover = _blob(rng, size, rng.uniform(10, 54, 2), rng.uniform(6, 11), 0.25, 0.8)
    return Defect(cover, 0.0, rng.choice([0.1, 0.1, 0.9]), rng.uniform(0.4, 0.6), 0.0)


def _missing(rng: Generator, size: int) -> Defect:
    """A piece broken away at the edge of the picture; what lies behind shows, plain and out of reach of the texture."""
    along, side = rng.uniform(6, 58), rng.integers(4)
    centre = [(along, 0), (along, 64), (0, along), (64, along)][side]
    angles = 2 * np.pi * (np.arange(5) + rng.uniform(-0.3, 0.3, 5)) / 5
    sides = [rng.uniform(7, 12) - _turned(size, angle, centre)[0] for angle in angles]
    inside = np.min(sides, axis=0) + 0.5 * _grain(rng, size, 1.5)
    return Defect(expit(inside / 0.25), 3.0, rng.choice([0.05, 0.15, 1.0]), 1.0, 1.0)


DEFECTS: dict[str, Callable[[Generator, int], Defect]] = {
    "crack": _crack,
    "hole": _hole,
    "missing": _missing,
    "scratch": _scratch,
    "stain": _stain,
}


def _spoil(part: Part, defect: Defect) -> Part:
    paint = defect.opacity * defect.cover
    return Part(
        height=part.height * (1 - defect.flat * defect.cover) - defect.depth * defect.cover,
        albedo=part.albedo * (1 - paint) + defect.tint * paint,
        gloss=part.gloss * (1 - paint),
    )


# Light and camera


def _photograph(rng: Generator, part: Part, spoilt: Part, light: Light) -> np.ndarray:
    """One picture (size, size) uint8 of the spoilt part; the part without its defect sets exposure and visibility."""
    azimuth = rng.uniform(0, 2 * np.pi)
    clean = _shade(part, light, azimuth)
    lamp = 1 + rng.uniform(0, 0.006) * _turned(len(clean), azimuth)[0]  # it is brighter on the side of the lamp
    lamp = lamp * rng.uniform(70, 150) / clean.mean()
    picture = gaussian_filter(clean * lamp, BLUR)
    if spoilt is not part:
        difference = gaussian_filter(_shade(spoilt, light, azimuth) * lamp, BLUR) - picture
        picture = picture + difference * max(1.0, VISIBLE * _deviation(picture) / np.linalg.norm(difference))
    picture = np.clip(picture, 0, 255)
    noise = rng.standard_normal(picture.shape) * np.hypot(READ_NOISE, SHOT_NOISE * np.sqrt(picture))
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _shade(part: Part, light: Light, azimuth: float) -> Field:
    """Light from one side and from everywhere on the relief: scattered (Lambert) and mirrored (Blinn)."""
    slope_y, slope_x = np.gradient(part.height, 64 / len(part.height))
    slope = np.cos(azimuth) * slope_x + np.sin(azimuth) * slope_y
    steep = np.sqrt(1 + slope_x**2 + slope_y**2)
    up, out = np.sin(light.elevation), np.cos(light.elevation)
    facing = np.maximum(up - out * slope, 0) / steep
    mirrored = np.maximum(1 + up - out * slope, 0) / (steep * np.hypot(1 + up, out))
    direct = 1 - light.ambient
    return part.albedo * (light.ambient + direct * facing / up) + part.gloss * direct * mirrored**24


def _deviation(picture: Field) -> float:
    """Of noise and of the picture's own texture in one pixel, in levels."""
    noise = np.hypot(READ_NOISE, SHOT_NOISE * np.sqrt(picture.mean()))
    return float(np.hypot(noise, (picture - gaussian_filter(picture, 3.0)).std()))
