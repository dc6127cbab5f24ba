"""Augmentation: what moves, how often, how far, and that nothing else does."""

import math

import numpy as np
import pytest
import torch

from zansa.learn.data.augment import DEFAULTS, augment, defaults
from zansa.learn.recipe import Augment

OPTIONS = {
    "flip_x": True,
    "flip_y": True,
    "quarter_turns": True,
    "shift": 0.2,
    "rotate": 20.0,
    "zoom": 0.3,
    "shear": 0.3,
    "contrast": 0.3,
    "brightness": 0.5,
    "noise": 0.2,
    "erase": 0.5,
}
ALL = Augment(**OPTIONS)
OBLONG = ALL.model_copy(update={"quarter_turns": False})


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=16, channels=1, height=12, width=12, seed=0):
    return torch.randn(count, channels, height, width, generator=seeded(seed))


def changed(before, after):
    """Which images of the batch are not what they were."""
    return (before != after).flatten(1).any(1)


def near(hits, count, share):
    """Whether a count of hits is within five standard deviations of a share."""
    return abs(hits - share * count) <= 5 * math.sqrt(count * share * (1 - share))


def centroids(images):
    """Centre of mass (N, 2) as x and y from the middle of the image, in pixels."""
    mass = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    x = torch.arange(images.shape[3]) - (images.shape[3] - 1) / 2
    y = torch.arange(images.shape[2]) - (images.shape[2] - 1) / 2
    return torch.stack([(mass * x).sum((1, 2)), (mass * y[:, None]).sum((1, 2))], 1)


def spots(count, x, y, height=48, width=48):
    """Images (N, 1, H, W) of one Gaussian spot at x and y from the middle."""
    across = torch.arange(width) - (width - 1) / 2 - x
    down = torch.arange(height) - (height - 1) / 2 - y
    return torch.exp(-(down[:, None] ** 2 + across**2) / 3).expand(count, 1, height, width)


# Laws


@pytest.mark.parametrize("settings", [ALL, *(chosen for chosen in DEFAULTS.values() if chosen != Augment())])
def test_generator_state_gives_the_result(settings):
    images = pictures()
    generator = seeded(7)
    first, second = augment(images, settings, generator), augment(images, settings, generator)
    torch.testing.assert_close(first, augment(images, settings, seeded(7)), rtol=0, atol=0)
    assert not torch.equal(first, second)
    assert not torch.equal(first, augment(images, settings, seeded(8)))


def test_global_randomness_is_neither_used_nor_moved():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = augment(pictures(), ALL, seeded())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(augment(pictures(), ALL, seeded()), first)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_acts_and_leaves_its_input_alone(name):
    images = pictures()
    kept = images.clone()
    assert changed(images, augment(images, Augment(**{name: OPTIONS[name]}), seeded())).any()
    assert torch.equal(images, kept)


def test_all_off_is_untouched():
    images = pictures(channels=3)
    assert torch.equal(augment(images, Augment(), seeded()), images)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 3, 8, 8), (2, 5, 1, 1), (16, 1, 64, 64)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_shape_and_dtype_stay(shape, dtype):
    out = augment(torch.randn(shape, generator=seeded()).to(dtype), ALL, seeded())
    assert out.shape == shape
    assert out.dtype == dtype


def test_oblong_images_and_empty_batches():
    for shape in ((5, 2, 9, 14), (0, 1, 8, 8)):
        assert augment(torch.randn(shape), OBLONG, seeded()).shape == shape


@pytest.mark.parametrize("settings", [Augment(), ALL, *DEFAULTS.values()])
def test_layout_stays_and_does_not_matter(settings):
    images = pictures(channels=3)
    last = images.contiguous(memory_format=torch.channels_last)
    plain, out = augment(images, settings, seeded()), augment(last, settings, seeded())
    assert plain.is_contiguous()
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, plain, rtol=1e-6, atol=1e-6)


def test_half_precision_places_are_exact():
    images = spots(64, 15, 0, 64, 64)
    settings = Augment(rotate=20, warped=1)
    exact, half = augment(images, settings, seeded()), augment(images.bfloat16(), settings, seeded())
    assert (half.float() - exact).abs().max() < 0.01


def test_extremes_stay_finite_and_in_range():
    images = torch.rand(64, 1, 20, 20, generator=seeded())
    extreme = Augment(flip_x=True, flip_y=True, quarter_turns=True, shift=0.5, rotate=45, zoom=1.0)
    out = augment(images, extreme, seeded())
    assert images.min() - 1e-6 <= out.min()  # nothing is filled in: every border is a reflection
    assert out.max() <= images.max() + 1e-6
    assert torch.isfinite(augment(images, ALL, seeded())).all()


# Movements by whole pixels


@pytest.mark.parametrize(("name", "axis"), [("flip_x", 3), ("flip_y", 2)])
def test_flips_come_half_of_the_time(name, axis):
    images = pictures(2000, height=3, width=5)
    out = augment(images, Augment(**{name: True}), seeded())
    flipped = changed(images, out)
    assert near(int(flipped.sum()), 2000, 0.5)
    assert torch.equal(out[flipped], images[flipped].flip(axis))


def test_flips_are_independent():
    images = pictures(2000, height=4, width=4)
    out = augment(images, Augment(flip_x=True, flip_y=True), seeded())
    both = ~changed(images.flip(2, 3), out)
    assert near(int(both.sum()), 2000, 0.25)


@pytest.mark.parametrize("flips", [False, True])
def test_quarter_turns_come_equally_often(flips):
    images = pictures(4000, height=3, width=3)
    out = augment(images, Augment(quarter_turns=True, flip_x=flips), seeded())
    forms = [images.rot90(k, (2, 3)) for k in range(4)]
    forms += [form.flip(3) for form in forms] if flips else []
    counts = [int((~changed(form, out)).sum()) for form in forms]
    assert sum(counts) == 4000
    assert all(near(count, 4000, 1 / len(forms)) for count in counts)


def test_quarter_turns_refuse_oblong_images():
    with pytest.raises(ValueError, match=r"square.*9 x 14"):
        augment(pictures(height=9, width=14), Augment(quarter_turns=True), seeded())


def test_shift_is_a_lossless_crop_of_the_reflected_image():
    images = pictures(600, channels=2, height=10, width=20)
    out = augment(images, Augment(shift=0.1), seeded())
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (2, 2)), mode="symmetric")
    crops = [torch.from_numpy(padded[:, :, y : y + 10, x : x + 20]) for y in range(3) for x in range(5)]
    counts = [int((~changed(crop, out)).sum()) for crop in crops]
    assert sum(counts) == 600
    assert all(near(count, 600, 1 / 15) for count in counts)


def test_shift_of_small_images_is_a_pixel_at_least():
    images = pictures(50, height=4, width=4)
    assert changed(images, augment(images, Augment(shift=0.06), seeded())).any()


def test_whole_pixel_movements_keep_every_value():
    images = torch.arange(8 * 3 * 6 * 6.0).reshape(8, 3, 6, 6)
    out = augment(images, Augment(flip_x=True, flip_y=True, quarter_turns=True), seeded())
    assert torch.equal(out.flatten(2).sort().values, images.flatten(2))
    assert torch.equal(out[:, 1] - out[:, 0], torch.full((8, 6, 6), 36.0))  # channels move together


# Turning, zooming and shearing


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_share_that_is_not_warped_stays_sharp(share):
    images = pictures(1000)
    out = augment(images, Augment(rotate=10, zoom=0.1, shear=0.1, warped=share), seeded())
    assert near(int(changed(images, out).sum()), 1000, share)


@pytest.mark.parametrize("size", [(48, 48), (40, 64), (64, 40)])
def test_a_marker_turns_about_the_centre(size):
    x, y = centroids(augment(spots(400, 12, 0, *size), Augment(rotate=30, warped=1), seeded())).T
    assert torch.allclose(torch.hypot(x, y), torch.tensor(12.0), atol=0.05)
    angles = torch.rad2deg(torch.atan2(y, x))
    assert angles.abs().max() <= 30.1
    assert angles.min() < -25
    assert angles.max() > 25


@pytest.mark.parametrize("size", [(48, 48), (40, 64)])
def test_a_marker_zooms_from_the_centre(size):
    x, y = centroids(augment(spots(400, 6, 6, *size), Augment(zoom=0.5, warped=1), seeded())).T
    assert torch.allclose(x, y, atol=0.05)
    assert 3.9 < x.min() < 4.3
    assert 8.5 < x.max() < 9.1


def test_angles_and_proportions_stay():
    settings, size = Augment(rotate=20, zoom=0.2, warped=1), (52, 72)  # so large that no reflection comes into sight
    right = centroids(augment(spots(200, 5, 0, *size), settings, seeded()))
    below = centroids(augment(spots(200, 0, 5, *size), settings, seeded()))
    assert torch.allclose(torch.stack([-right[:, 1], right[:, 0]], 1), below, atol=0.05)


@pytest.mark.parametrize("size", [(48, 48), (40, 64), (64, 40)])
def test_shear_moves_sideways_in_proportion_to_the_height(size):
    settings = Augment(shear=0.4, warped=1)
    x, y = centroids(augment(spots(400, 0, 10, *size), settings, seeded())).T
    assert torch.allclose(y, torch.tensor(10.0), atol=0.05)
    assert -4.05 < x.min() < -3.9
    assert 3.9 < x.max() < 4.05
    beside = centroids(augment(spots(400, 10, 0, *size), settings, seeded()))
    assert torch.allclose(beside, torch.tensor([10.0, 0.0]), atol=0.05)


# Tone


def test_brightness_adds_one_value_to_an_image():
    images = pictures(200, channels=3)
    added = augment(images, Augment(brightness=0.5), seeded()) - images
    assert added.flatten(1).std(1).max() < 1e-6
    assert -0.5 <= added.min() < -0.45
    assert 0.45 < added.max() <= 0.5


def test_contrast_keeps_the_mean():
    images = pictures(200, channels=3) + 2
    out = augment(images, Augment(contrast=0.3), seeded())
    torch.testing.assert_close(out.mean((1, 2, 3)), images.mean((1, 2, 3)))
    factor = out.flatten(1).std(1) / images.flatten(1).std(1)
    assert 0.7 <= factor.min() < 0.73
    assert 1.27 < factor.max() <= 1.3


def test_noise_has_its_strength():
    images = torch.zeros(200, 1, 32, 32)
    strength = augment(images, Augment(noise=0.2), seeded()).flatten(1).std(1)
    assert strength.min() < 0.01
    assert 0.19 < strength.max() < 0.22
    assert strength.mean().item() == pytest.approx(0.1, abs=0.02)


def test_erase_empties_one_box():
    images = torch.ones(200, 2, 20, 20)
    gone = augment(images, Augment(erase=0.5), seeded()) == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    rows, columns = gone[:, 0].any(2), gone[:, 0].any(1)
    assert torch.equal(gone[:, 0], rows[:, :, None] & columns[:, None, :])
    assert rows.sum(1).max() in (10, 11)
    assert 0.02 < gone.float().mean() < 0.25


# Settings


def test_defaults_are_safe():
    symbol, surface, natural = defaults("symbol"), defaults("surface"), defaults("natural")
    assert (symbol.flip_x, symbol.flip_y, symbol.quarter_turns) == (False, False, False)
    assert (surface.flip_x, surface.flip_y) == (True, True)
    assert surface.rotate <= 10
    assert symbol.rotate <= 15  # a 6 is no 9, a 1 no 7
    assert not surface.erase
    assert natural == Augment(flip_x=True, shift=4 / 32)
    with pytest.raises(ValueError, match=r"'X-ray'.*surface, symbol, natural"):
        defaults("X-ray")


@pytest.mark.parametrize(
    "wrong",
    [{"rotate": -1}, {"rotate": 90}, {"shift": 0.6}, {"contrast": 1}, {"erase": 2}, {"warped": 2}, {"flip": True}],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augment(**wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_images():
    images = pictures(64, channels=3)
    out = augment(images.cuda(), ALL, seeded())
    assert out.is_cuda
    torch.testing.assert_close(out.cpu(), augment(images, ALL, seeded()), rtol=1e-4, atol=1e-4)
