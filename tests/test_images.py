"""Decoding and fitting: every mode, depth and orientation, and every kind of broken file."""

import struct
import threading
import warnings
import zlib
from contextlib import suppress
from fractions import Fraction
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zansa.arch.use import Preprocess
from zansa.inputs.images import (
    MAX_PIXELS,
    fit_image,
    image_files,
    image_header,
    inner_size,
    prepare,
    printable,
    read_image,
)

RANDOM = np.random.default_rng(7)
RGB = RANDOM.integers(0, 256, (11, 7, 3), np.uint8)
GRAY = RANDOM.integers(0, 256, (11, 7), np.uint8)
DEEP = RANDOM.integers(0, 65536, (11, 7), np.uint16)
LOSSLESS = {"png": {}, "bmp": {}, "tiff": {}, "webp": {"lossless": True}, "ppm": {}}


def encode(image, kind="png", **options):
    stream = BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(stream, kind, **options)
    return stream.getvalue()


# --- modes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOSSLESS)
def test_colour_comes_back_exactly(kind):
    assert np.array_equal(read_image(encode(RGB, kind, **LOSSLESS[kind])), RGB)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "ppm", "gif"])
def test_gray_stays_one_channel(kind):
    found = read_image(encode(GRAY, kind))
    assert found.shape == (11, 7, 1) or kind == "gif"  # a GIF has palettes only
    assert np.array_equal(found[..., 0], GRAY)


def test_jpeg_is_close():
    smooth = np.add.outer(np.arange(40), 2 * np.arange(50)).astype(np.uint8)
    found = read_image(encode(smooth, "jpeg", quality=95))
    assert found.shape == (40, 50, 1)
    assert np.abs(found[..., 0].astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("data", [encode(DEEP), encode(DEEP, "tiff"), encode(DEEP, "ppm")])
def test_16_bits_stay_16_bits(data):
    found = read_image(data)
    assert found.dtype == np.uint16
    assert np.array_equal(found[..., 0], DEEP)


def test_big_endian_tiff():
    data = encode(Image.frombytes("I;16B", (7, 11), DEEP.astype(">u2").tobytes()), "tiff")
    assert np.array_equal(read_image(data)[..., 0], DEEP)


def test_32_bit_integers_within_16_bits_are_read_others_refused():
    assert np.array_equal(read_image(encode(DEEP.astype(np.int32), "tiff"))[..., 0], DEEP)
    with pytest.raises(ValueError, match="levels reach from 3 to 70000; a 16-bit image holds 0 to 65535"):
        read_image(encode(np.array([[3, 70000]], np.int32), "tiff"))


def test_fractions_are_refused():
    with pytest.raises(ValueError, match=r"fractions .*; save it as 8-bit or 16-bit integers"):
        read_image(encode(GRAY.astype(np.float32), "tiff"))


def test_one_bit():
    found = read_image(encode(Image.fromarray(GRAY > 99)))
    assert np.array_equal(found[..., 0], np.where(GRAY > 99, 255, 0))


def test_palette_becomes_colour():
    palette = Image.fromarray(RGB).quantize(5)
    assert np.array_equal(read_image(encode(palette)), np.asarray(palette.convert("RGB")))


def test_cmyk_becomes_colour():
    image = Image.fromarray(np.full((8, 8, 4), (0, 255, 255, 0), np.uint8), "CMYK")
    assert np.array_equal(read_image(encode(image, "tiff")), np.full((8, 8, 3), (255, 0, 0), np.uint8))


def test_first_frame_of_several():
    frames = [Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (10, 200)]
    data = encode(frames[0], "tiff", save_all=True, append_images=frames[1:])
    assert read_image(data).max() == 10


def test_transparent_pixels_are_gray_and_opaque_ones_untouched():
    alpha = np.zeros((11, 7, 1), np.uint8)
    alpha[0], alpha[1] = 255, 51
    found = read_image(encode(np.concatenate([RGB, alpha], axis=2)))
    assert np.array_equal(found[0], RGB[0])
    assert np.abs(found[1] - (RGB[1] * 0.2 + 128 * 0.8)).max() <= 0.5 + 1e-9
    assert (found[2:] == 128).all()


def test_gray_with_alpha_and_with_a_transparent_level():
    both = np.stack([GRAY, np.where(GRAY > 99, 255, 0).astype(np.uint8)], axis=2)
    expected = np.where(GRAY > 99, GRAY, 128)
    assert np.array_equal(read_image(encode(both))[..., 0], expected)
    marked = np.where(GRAY > 99, GRAY, 17).astype(np.uint8)
    assert np.array_equal(read_image(encode(marked, transparency=17))[..., 0], expected)


def test_palette_with_transparency():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 200, 100, 50])
    found = read_image(encode(palette, transparency=0))
    assert found.tolist() == [[[128, 128, 128], [200, 100, 50]]]


# --- channels and depth --------------------------------------------------------------------------------------------


def test_channels_convert():
    assert np.array_equal(read_image(encode(GRAY), 3), np.repeat(GRAY[..., None], 3, axis=2))
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(encode(RGB), 1)[..., 0] - luma).max() <= 1
    assert read_image(encode(DEEP), 3).shape == (11, 7, 3)


def test_depth_scales_exactly():
    levels = np.arange(256, dtype=np.uint8)[None]
    deep = read_image(encode(levels), depth=16)
    assert deep[0, :, 0].tolist() == [level * 257 for level in range(256)]
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = read_image(encode(every), depth=8).ravel()
    assert found.tolist() == [int(Fraction(level, 257) + Fraction(1, 2)) for level in range(65536)]


@pytest.mark.parametrize(("channels", "depth"), [(2, None), (4, None), (None, 12)])
def test_other_channels_and_depths_are_refused(channels, depth):
    with pytest.raises(ValueError, match=r"w(as|ere) asked; "):
        read_image(encode(RGB), channels, depth)


# --- orientation ---------------------------------------------------------------------------------------------------

UPRIGHT = {  # EXIF 2.3, tag 274: where the 0th row and the 0th column of the stored image belong
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "jpeg"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(kind, orientation, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    image = np.kron(RGB[:3, :2], np.ones((16, 16, 1), np.uint8))
    options = LOSSLESS.get(kind, {"quality": 100, "subsampling": 0})
    path = tmp_path / f"turned.{kind}"
    path.write_bytes(encode(image, kind, exif=exif, **options))
    found = read_image(path)
    expected = UPRIGHT[orientation](image)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (6 if kind == "jpeg" else 0)
    assert image_header(path) == (*found.shape, 8)


def test_16_bit_images_turn_too():
    exif = Image.Exif()
    exif[274] = 6
    assert np.array_equal(read_image(encode(DEEP, exif=exif)), np.rot90(DEEP, -1)[..., None])


def test_broken_exif_is_passed_over_without_a_warning():
    exif = b"Exif\0\0II*\0\x08\0\0\0" + b"\xff\xff" + b"\x12\x01\x03\0\x01"
    assert read_image(encode(GRAY, "jpeg", exif=exif)).shape == (11, 7, 1)


# --- headers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [RGB, GRAY, DEEP, Image.fromarray(RGB).quantize(4), Image.fromarray(GRAY > 9)])
def test_header_tells_what_reading_gives(image, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(image))
    found = read_image(path)
    assert image_header(path) == (*found.shape, found.dtype.itemsize * 8)


# --- broken files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "tiff", "webp"])
def test_truncated_files_are_named(kind, tmp_path):
    noise = RANDOM.integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(noise, kind)
    path = tmp_path / f"half.{kind}"
    for length in (len(data) // 2, 30):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"cannot read .*half\.{kind}: \S"):
            read_image(path)


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "it is empty"), (b"%!PS-Adobe-3.0 EPSF-3.0", "no image of a known format")]
)
def test_empty_and_foreign_files(data, reason, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(ValueError, match=reason):
            read_image(source)
    with pytest.raises(ValueError, match=f"cannot read upload 3: .*{reason}"):
        read_image(data, name="upload 3")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*nothing\.png: No such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="Is a directory"):
        read_image(tmp_path)


def bomb(width, height):
    """A PNG of a few bytes that claims this size."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(9)))]
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("side", [10_001, 60_000])
def test_image_bombs_are_refused_from_the_header(side):
    assert side**2 > MAX_PIXELS
    with pytest.raises(ValueError, match="more than 100 million pixels; cut it"):
        read_image(bomb(side, side))


def test_threads_leave_the_warning_filters_as_they_were():
    before = list(warnings.filters)
    bad, good = bomb(10_001, 10_001), encode(RGB)

    def read(data):
        for _ in range(20):
            with suppress(ValueError):
                read_image(data)

    threads = [threading.Thread(target=read, args=(data,)) for data in (good, bad, good, bad)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


# --- fit -----------------------------------------------------------------------------------------------------------


def test_letterbox_keeps_everything_in_the_middle():
    image = np.full((30, 60, 1), 200, np.uint8)
    found = fit_image(image, (32, 32), "letterbox", (7,))
    assert (found[8:24] == 200).all()
    assert (found[:8] == 7).all()
    assert (found[24:] == 7).all()
    tall = fit_image(image.transpose(1, 0, 2), (32, 33), "letterbox", (7,))
    assert (tall[:, 8:24] == 200).all()  # room 17: 8 to the left, 9 to the right
    assert (tall[:, 24:] == 7).all()
    wide = fit_image(image, (33, 32), "letterbox", (7,))
    assert (wide[8:24] == 200).all()
    assert (wide[24:] == 7).all()


def test_fill_has_one_level_per_channel():
    found = fit_image(np.zeros((10, 40, 3), np.uint8), (20, 20), "letterbox", (1, 2, 3))
    assert found[0, 0].tolist() == [1, 2, 3]


def test_nothing_is_cropped():
    image = np.zeros((97, 203, 1), np.uint8)
    image[:9, :9] = image[-9:, -9:] = image[:9, -9:] = image[-9:, :9] = 255
    for fit in ("letterbox", "stretch"):
        found = fit_image(image, (64, 64), fit)[..., 0]
        rows, columns = np.flatnonzero(found.max(axis=1) > 100), np.flatnonzero(found.max(axis=0) > 100)
        inside = inner_size((97, 203), (64, 64)) if fit == "letterbox" else (64, 64)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == inside


sides = st.integers(1, 3000)


@given(sides, sides, sides, sides)
def test_inner_size_is_exact(height, width, h, w):
    scale = min(Fraction(h, height), Fraction(w, width))
    expected = tuple(max(1, int(side * scale + Fraction(1, 2))) for side in (height, width))
    assert inner_size((height, width), (h, w)) == expected
    assert expected[0] == h or expected[1] == w


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(24, 40), (96, 130)])
def test_resize_agrees_with_an_independent_one(channels, size):
    image = RANDOM.integers(0, 256, (57, 83, channels), np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    other = torch.nn.functional.interpolate(tensor, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    found = fit_image(image, size, "stretch")
    assert found.dtype == np.uint8
    assert np.abs(found - other).max() <= 1


def test_16_bit_resize_is_finer_than_8_bits():
    image = RANDOM.integers(0, 65536, (57, 83, 1), np.uint16)
    tensor = torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)[None]
    other = torch.nn.functional.interpolate(tensor, (24, 40), mode="bilinear", antialias=True)[0, 0].numpy()
    found = fit_image(image, (24, 40), "stretch")
    assert found.dtype == np.uint16
    assert np.abs(found[..., 0] - other).max() <= 0.6
    pillow = Image.fromarray(image[..., 0].astype(np.float32)).resize((40, 24), Image.Resampling.BILINEAR)
    assert np.abs(found[..., 0] - np.asarray(pillow)).max() <= 0.51
    assert (fit_image(np.full((9, 9, 1), 65535, np.uint16), (31, 31), "stretch") == 65535).all()


def test_prepare_follows_preprocess(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(RGB))
    found = prepare(path, Preprocess(channels=1, size=(22, 20), fill=(50,)))
    assert found.shape == (22, 20, 1)
    assert found.dtype == np.uint8
    assert (found[:, :3] == 50).all()


# --- names ---------------------------------------------------------------------------------------------------------


def test_image_files_opens_folders_and_keeps_files(tmp_path):
    for name in ("b/2.PNG", "b/1.jpg", "a.tif", ".hidden.png", "notes.txt", "b/.git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = image_files([tmp_path, tmp_path / "missing.png"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.tif", "b/1.jpg", "b/2.PNG", "missing.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no images in .*empty; looked for \.apng"):
        image_files([tmp_path / "empty"])


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    assert image_files([tmp_path]) == [tmp_path / "a.png"]


def test_printable():
    assert printable(b"caf\xe9.png".decode("utf-8", "surrogateescape")) == "caf\\xe9.png"
