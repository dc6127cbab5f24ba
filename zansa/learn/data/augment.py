"""Augmentation: one pure function on a whole batch, every random number from the generator it is given.

Two kinds of movement. Flips, quarter turns and shifts are by whole pixels: an index along the rows and one along the
columns, so every value survives as it was. Turning, zooming and shearing by small amounts must interpolate. Both
reflect the image at its border, edge pixel included, because stretched border pixels look like scratches.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ..recipe import Augment

DEFAULTS = {
    # A surface has no top, but it may have a grain and a light from one side: no quarter turns. A defect can be
    # small: nothing is erased and little is moved out of the picture.
    "surface": Augment(
        flip_x=True, flip_y=True, shift=0.06, rotate=6, zoom=0.06, contrast=0.15, brightness=0.15, warped=0.25
    ),
    # Digits and letters change their meaning when flipped or turned far.
    "symbol": Augment(shift=0.1, rotate=15, zoom=0.15, shear=0.2, warped=1),
    # He et al. 2015, section 4.2: a random crop of the image padded by 4 of 32 pixels, and its mirror image.
    "natural": Augment(flip_x=True, shift=0.125),
    # Signals of one class differ in strength, in pace and in where they begin; time does not run backwards.
    "signal": Augment(shift=0.05, zoom=0.1, contrast=0.1, noise=0.05),
    # Another letter can be another meaning, and so can another place.
    "sequence": Augment(),
}


IMAGES_ONLY = ("flip_y", "quarter_turns", "rotate", "shear")


def defaults(kind: str) -> Augment:
    """What is safe for a kind of data: surface, symbol, natural, signal or sequence; ValueError for another."""
    if kind not in DEFAULTS:
        raise ValueError(f"no kind of data {kind!r}; known: {', '.join(DEFAULTS)}")
    return DEFAULTS[kind]


def augment(images: Tensor, settings: Augment, generator: Generator) -> Tensor:
    """A changed copy of normalised images (N, C, H, W) or series (N, C, L), of their dtype, device and memory layout.

    The generator lives on the CPU wherever the images are, and the layout does not matter: the same state gives the
    same result. ValueError for quarter turns of images that are not square, and for what series or images cannot do.
    """
    _refuse_switches(images, settings)
    if images.ndim == 3:
        rows = augment(images[:, :, None], settings.model_copy(update={"reverse_complement": False}), generator)
        series = rows[:, :, 0]
        return _other_strand(series, generator) if settings.reverse_complement else series
    assert images.ndim == 4
    assert images.is_floating_point()
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    out = _move(images, settings, generator)
    if settings.rotate or settings.zoom or settings.shear:
        out = _warp(out, settings, generator)
    out = _tone(out, settings, generator)
    if settings.erase:
        out = _erase(out, settings.erase, generator)
    return out.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _refuse_switches(images: Tensor, settings: Augment) -> None:
    switches = IMAGES_ONLY if images.ndim == 3 else ("reverse_complement",)
    meant = [name for name in switches if getattr(settings, name)]
    if meant:
        raise ValueError(f"augmentation {', '.join(meant)} is not for {'series' if images.ndim == 3 else 'images'}")
    if settings.reverse_complement and images.shape[1] != 4:
        raise ValueError(f"reverse_complement needs the letters A, C, G and T; these series have {images.shape[1]}")


def _other_strand(series: Tensor, generator: Generator) -> Tensor:
    """Half of the series backwards, A and T, C and G exchanged: both axes of (N, ACGT, L) mirrored."""
    chosen = _coin(len(series), generator).to(series.device)
    return torch.where(chosen[:, None, None], series.flip(1, 2), series)


def _move(images: Tensor, settings: Augment, generator: Generator) -> Tensor:
    """Flips, quarter turns and shifts: each image is read at its own rows and columns; nothing is interpolated."""
    count, _, height, width = images.shape
    rows = _places(count, height, settings.shift, generator)  # N H
    columns = _places(count, width, settings.shift, generator)  # N W
    if settings.flip_x:
        columns = _mirror(columns, width, _coin(count, generator))
    if settings.flip_y:
        rows = _mirror(rows, height, _coin(count, generator))
    if settings.quarter_turns:
        if height != width:
            raise ValueError(f"quarter_turns needs square images; these are {height} x {width}: set it to false")
        turns = torch.randint(4, (count,), generator=generator)  # a turn by 90 degrees is a transpose and a mirror
        rows = _mirror(rows, height, (turns == 1) | (turns == 2))
        columns = _mirror(columns, width, (turns == 2) | (turns == 3))
        odd = (turns % 2 == 1).to(images.device).reshape(-1, 1, 1, 1)
        images = torch.where(odd, images.transpose(2, 3), images)
    if settings.shift or settings.flip_y or settings.quarter_turns:
        images = images.gather(2, rows.to(images.device)[:, None, :, None].expand(images.shape))
    if settings.shift or settings.flip_x or settings.quarter_turns:
        images = images.gather(3, columns.to(images.device)[:, None, None, :].expand(images.shape))
    return images


def _places(count: int, size: int, shift: float, generator: Generator) -> Tensor:
    """Where each image's rows (or columns) are read when it is shifted: (N, size), reflected at the border."""
    furthest = max(1, round(shift * size)) if shift else 0
    moves = torch.randint(-furthest, furthest + 1, (count, 1), generator=generator)
    places = torch.arange(size) + moves
    return torch.minimum(places.abs() - (places < 0).long(), 2 * size - 1 - places)


def _mirror(places: Tensor, size: int, which: Tensor) -> Tensor:
    return torch.where(which[:, None], size - 1 - places, places)


def _coin(count: int, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) < 0.5


def _warp(images: Tensor, settings: Augment, generator: Generator) -> Tensor:
    """A share of the images turned, zoomed and sheared about their centres, by one bilinear sampling."""
    count, _, height, width = images.shape
    chosen = torch.nonzero(torch.rand(count, generator=generator) < settings.warped)[:, 0]
    if not len(chosen):
        return images
    angle = math.radians(settings.rotate) * _even(count, generator)[chosen]
    scale = torch.exp(-math.log1p(settings.zoom) * _even(count, generator)[chosen])
    slant = settings.shear * _even(count, generator)[chosen]
    cosine, sine, zero = angle.cos() * scale, angle.sin() * scale, torch.zeros_like(angle)
    across, down = cosine * slant - sine, sine * slant + cosine  # the turn behind the shear
    rows = (cosine, across * height / width, zero, sine * width / height, down, zero)  # x and y run from -1 to 1
    real = torch.promote_types(images.dtype, torch.float32)  # half precision is too coarse for places
    matrix = torch.stack(rows, 1).reshape(-1, 2, 3).to(images.device, real)
    chosen = chosen.to(images.device)
    picked = images[chosen].to(real)
    grid = functional.affine_grid(matrix, list(picked.shape), align_corners=False)
    warped = functional.grid_sample(picked, grid, padding_mode="reflection", align_corners=False)
    return images.index_copy(0, chosen, warped.to(images.dtype))


def _even(count: int, generator: Generator) -> Tensor:
    return 2 * torch.rand(count, generator=generator) - 1


def _tone(images: Tensor, settings: Augment, generator: Generator) -> Tensor:
    """Contrast about each image's own mean, brightness, and noise; all channels of an image alike but for the noise."""
    if settings.contrast:
        factor = 1 + settings.contrast * _per_image(_even(len(images), generator), images)
        mean = images.mean((1, 2, 3), keepdim=True)
        images = images * factor + mean * (1 - factor)
    if settings.brightness:
        images = images + settings.brightness * _per_image(_even(len(images), generator), images)
    if settings.noise:
        strength = settings.noise * torch.rand(len(images), 1, 1, 1, generator=generator)
        images = images + (strength * torch.randn(images.shape, generator=generator)).to(images)
    return images


def _per_image(values: Tensor, images: Tensor) -> Tensor:  # N -> N 1 1 1
    return values.to(images).reshape(-1, 1, 1, 1)


def _erase(images: Tensor, largest: float, generator: Generator) -> Tensor:
    """A box in each image set to 0, the mean of the training images. Its centre is anywhere, so it may be cut off."""
    count, _, height, width = images.shape
    rows = _band(count, height, largest, generator) if height > 1 else torch.ones(count, 1, dtype=torch.bool)
    inside = rows[:, :, None] & _band(count, width, largest, generator)[:, None, :]
    return images.masked_fill(inside[:, None].to(images.device), 0.0)


def _band(count: int, size: int, largest: float, generator: Generator) -> Tensor:
    """The rows (or columns) of each image's box: (N, size)."""
    centre = size * torch.rand(count, 1, generator=generator)
    half = 0.5 * largest * size * torch.rand(count, 1, generator=generator)
    return (torch.arange(size) + 0.5 - centre).abs() <= half
