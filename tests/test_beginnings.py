"""Drawn pictures are the same for the same seed, and what was learned from them gets into networks of every form."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zansa.arch.spec import Stem
from zansa.arch.zoo import cifar_resnet, resnet
from zansa.beginnings import draw, grounds, looks, making, motifs, weights
from zansa.learn.defaults import default_net, image_net
from zansa.learn.recipe import Recipe
from zansa.nets.build import build
from zansa.nets.files import read

PAGE = Path(__file__).with_name("drawn.png")  # the first 24 pictures of seed 0, 32 x 32, in a row


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Weights of the whole recipe, with three steps a lesson."""
    folder = tmp_path_factory.mktemp("made")
    course = making.Course(shelf=32, batch=8, fresh=4, examined=4, precision="float32")
    lines = list(making.make(folder, making.shortened(course, 3)))
    return folder / "drawn.safetensors", lines, course


# ---- the pictures ------------------------------------------------------------------------------------------


def test_the_first_pictures_are_those_that_were_kept_to_one_gray_level():
    with Image.open(PAGE) as page:
        kept = np.asarray(page).reshape(32, 24, 32, 3).swapaxes(0, 1).astype(int)
    now = np.stack([draw.draw(0, number, 32).pixels for number in range(24)]).astype(int)
    assert np.abs(kept - now).max() <= 1


def test_the_same_seed_gives_the_same_pictures_in_another_process_and_another_seed_others():
    code = "from zansa.beginnings.draw import digest; print(digest(0, 8))"
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert other == draw.digest(0, 8)
    assert draw.digest(1, 8) != draw.digest(0, 8)


@pytest.mark.parametrize("side", [32, 47, 128])
def test_pictures_of_every_side(side):
    drawn = draw.draw(3, 5, side)
    assert drawn.pixels.shape == (side, side, 3)
    assert drawn.pixels.dtype == np.uint8
    assert drawn.pixels.std() > 1


@pytest.mark.parametrize("kind", grounds.GROUNDS)
def test_every_ground_is_finite_and_varies_from_picture_to_picture(kind):
    field = grounds.GROUNDS[kind](np.random.default_rng(0))
    first, second = (field(np.random.default_rng(k), 40) for k in (1, 2))
    assert first.shape == (40, 40)
    assert np.isfinite(first).all()
    assert not np.array_equal(first, second)
    assert np.array_equal(first, field(np.random.default_rng(1), 40))


@pytest.mark.parametrize("kind", motifs.MOTIFS)
def test_every_motif_lies_about_its_middle(kind):
    for seed in range(20):
        marks = motifs.MOTIFS[kind](np.random.default_rng(seed))(np.random.default_rng(0))
        assert marks
        points = np.concatenate([mark.points for mark in marks])
        assert np.isfinite(points).all()
        assert np.abs(points).max() < 2.2


@pytest.mark.parametrize("look", looks.LOOKS)
def test_every_look_changes_the_motif_and_little_else(look):
    r = np.random.default_rng(0)
    picture = r.random((64, 64, 3)).astype(np.float32)
    mask = np.zeros((64, 64), np.float32)
    mask[24:40, 24:40] = 1
    changed = looks.LOOKS[look](picture, mask, np.full(3, 0.9, np.float32), 0.8, r)
    assert changed.shape == picture.shape
    assert np.abs(changed - picture)[24:40, 24:40].mean() > 0.01
    assert np.abs(changed - picture)[:8].max() < 0.01


def test_shares_name_what_there_is():
    assert set(grounds.SHARES) == set(grounds.GROUNDS)
    assert set(looks.SHARES) == set(looks.LOOKS)


def test_almost_every_motif_can_be_seen():
    unseen = 0
    for number in range(60):
        r = np.random.default_rng([7, number])
        picture, hue = draw.painted(draw.ground_program(0, number), r, 64, draw.CALM)
        changed = draw.laid(draw.motif_program(0, number), picture, hue, r)
        unseen += np.linalg.norm((changed - picture).mean(-1)) < 0.5
    assert unseen <= 3


# ---- the making --------------------------------------------------------------------------------------------


def test_labels_name_the_ground_and_all_motifs_with_their_kinds_and_looks():
    found = making.target(draw.Drawn(np.zeros((2, 2, 3), np.uint8), 3, (0, 5)), 0)
    start = draw.GROUND_PROGRAMS
    assert np.flatnonzero(found)[:3].tolist() == [3, start, start + 5]
    assert found[start] == 0.5
    programs = [draw.motif_program(0, k) for k in (0, 5)]
    kinds, shown = (found[question] for question in making.QUESTIONS[2:])
    assert {making.KINDS[k] for k in np.flatnonzero(kinds)} == {p.kind for p in programs}
    assert {making.LOOKS[k] for k in np.flatnonzero(shown)} == {p.look for p in programs}
    empty = making.target(draw.Drawn(np.zeros((2, 2, 3), np.uint8), 3, ()), 0)
    assert np.flatnonzero(empty).tolist() == [3, *(question.stop - 1 for question in making.QUESTIONS[1:])]
    assert [found[question].sum() for question in making.QUESTIONS] == [1, 1, 1, 1]


def test_a_shorter_lesson_is_the_same_until_its_rate_falls():
    long, short = making.Lesson("a", 64, 3000, 0.1), making.Lesson("a", 64, 1000, 0.1)
    assert [making.rate_at(s, long) for s in range(640)] == [making.rate_at(s, short) for s in range(640)]
    assert making.rate_at(999, short) < 0.001
    assert making.rate_at(999, long) == 0.1


def test_the_weights_made_twice_are_the_same_to_the_last_bit_whoever_draws(tiny, tmp_path):
    path, _, course = tiny
    list(making.make(tmp_path, making.shortened(course, 3), workers=1))
    assert (tmp_path / "drawn.safetensors").read_bytes() == path.read_bytes()


def test_an_interrupted_making_goes_on_to_the_same_weights(tiny, tmp_path, monkeypatch):
    path, _, course = tiny
    whole = making.shortened(course, 3)
    monkeypatch.setattr(making, "EVERY", 1)
    interrupted = making.make(tmp_path, whole)
    assert [next(interrupted)["step"] for _ in range(5)] == [1, 2, 3, 1, 2]
    interrupted.close()
    again = making.make(tmp_path, whole)
    assert next(again)["step"] == 3
    list(again)
    assert (tmp_path / "drawn.safetensors").read_bytes() == path.read_bytes()


# ---- the weights -------------------------------------------------------------------------------------------


def test_the_packaged_weights_are_small_and_tell_how_they_were_made():
    header, tensors = read(weights.DRAWN)
    assert weights.DRAWN.stat().st_size < 3_000_000
    assert all(value.dtype == torch.float16 for value in tensors.values())
    assert all(value.isfinite().all() for value in tensors.values())
    made = json.loads(header[making.HEADER])
    assert {lesson["name"] for lesson in made["course"]["lessons"]} == {"usual", "small"}
    assert made["pictures"] in weights.DRAWN.with_name("card.md").read_text()


SHAPES = [
    ((32, 32), "natural"),
    ((28, 28), "symbol"),
    ((64, 64), "surface"),
    ((48, 96), "symbol"),
    ((128, 128), "symbol"),
    ((160, 112), "surface"),
]


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
@pytest.mark.parametrize(("size", "kind"), SHAPES)
def test_every_default_network_gets_all_but_its_classifier(size, kind, channels):
    net = default_net(size, channels, 5, kind)
    beginning = weights.load(net)
    assert beginning.share == pytest.approx(1, abs=0.002)
    assert "all parts but the classifier" in beginning.told
    module = build(net)
    module.load_state_dict(beginning.state)
    fresh = build(net).state_dict()
    assert torch.equal(beginning.state["head.linear.weight"], fresh["head.linear.weight"])
    assert module.eval()(torch.randn(2, channels, *size)).isfinite().all()


def features(net, state, pictures):
    module = build(net)
    module.load_state_dict(state)
    return module.eval().features(pictures)[-1]


@pytest.mark.parametrize(("channels", "copies"), [(1, 3), (6, 3)])
def test_gray_pictures_look_to_the_network_as_their_colour_copies_do(channels, copies):
    gray = torch.randn(2, 1, 64, 64)
    nets = [image_net((64, 64), k, 5, "symbol") for k in (channels, copies)]
    found = [features(net, weights.load(net).state, gray.expand(-1, net.input.channels, -1, -1)) for net in nets]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_large_pictures_keep_the_stream_of_the_stem_through_the_new_projection():
    small, large = image_net((64, 64), 3, 5, "symbol"), image_net((128, 128), 3, 5, "symbol")
    pictures = torch.from_numpy(np.stack([draw.draw(0, k, 64).pixels for k in range(8)])).movedim(-1, 1).float()
    pictures = (pictures - making.MEAN) / making.DEVIATION
    module = build(large)
    module.load_state_dict(weights.load(large).state)
    stem = module.eval().stem(pictures)
    kept = module.stages[0][0].shortcut(stem)
    torch.testing.assert_close(kept, torch.nn.functional.avg_pool2d(stem, 2), rtol=1e-2, atol=1e-2)
    assert weights.load(small).state["stem.conv.weight"].equal(weights.load(large).state["stem.conv.weight"])


def deeper(net, stage, count):
    stages = list(net.stages)
    stages[stage] = stages[stage].but({"blocks": stages[stage].blocks[:1] * count})
    return net.but({"stages": tuple(stages)})


def test_new_blocks_change_nothing_and_missing_blocks_are_left_out():
    net = image_net((64, 64), 3, 5, "symbol")
    pictures = torch.randn(2, 3, 64, 64)
    more = weights.load(deeper(net, 0, 3))
    assert "the others are new" in more.told
    expected = features(net, weights.load(net).state, pictures)
    torch.testing.assert_close(features(deeper(net, 0, 3), more.state, pictures), expected, rtol=1e-4, atol=1e-4)
    assert weights.load(deeper(net, 2, 1)).share == pytest.approx(1, abs=0.002)


def widths(net, factor):
    wide = lambda n: round(n * factor)  # noqa: E731
    stages = [
        stage.but(
            {
                "width": wide(stage.width),
                "blocks": tuple(block.but({"hidden": tuple(map(wide, block.hidden))}) for block in stage.blocks),
            }
        )
        for stage in net.stages
    ]
    return net.but({"stem": net.stem.but({"width": wide(net.stem.width)}), "stages": tuple(stages)})


def test_new_channels_change_nothing():
    net = image_net((64, 64), 3, 5, "symbol")
    wide = widths(net, 1.5)
    beginning = weights.load(wide)
    pictures = torch.randn(2, 3, 64, 64)
    expected = features(net, weights.load(net).state, pictures)
    torch.testing.assert_close(features(wide, beginning.state, pictures)[:, :128], expected, rtol=1e-3, atol=1e-3)
    assert 0.3 < beginning.share < 0.6


def test_a_narrower_network_gets_the_channels_that_are_read_most():
    beginning = weights.load(widths(image_net((64, 64), 1, 5, "symbol"), 0.5))
    assert beginning.share == pytest.approx(1, abs=0.002)
    module = build(widths(image_net((64, 64), 1, 5, "symbol"), 0.5))
    module.load_state_dict(beginning.state)
    assert module.eval()(torch.randn(2, 1, 64, 64)).isfinite().all()


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (resnet(18), "its stem is no 3-wide convolution"),
        (default_net((128,), 1, 4, "signal"), "it takes series"),
        (image_net((64, 64), 3, 5, "symbol").but({"norm": "group"}), "norm 'group'"),
        (image_net((64, 64), 3, 5, "symbol").but({"stem": Stem(width=16, kernel=5)}), "no 3-wide convolution"),
    ],
    ids=["kernel", "series", "norm", "stem"],
)
def test_what_fits_nowhere_is_told_and_begins_from_nothing(net, words):
    beginning = weights.load(net)
    assert beginning.state is None
    assert beginning.share == 0
    assert words in beginning.told
    assert beginning.told.endswith("it begins from nothing.")


def test_what_fits_in_part_is_told():
    beginning = weights.load(cifar_resnet(8))
    assert 0.05 < beginning.share < 0.1
    assert "the stem and stage 0, 7 % of its numbers" in beginning.told
    assert "stage 1 begins with shortcut 'pad'" in beginning.told
    module = build(cifar_resnet(8))
    module.load_state_dict(beginning.state)


def test_so_little_that_it_would_not_help_is_nothing():
    beginning = weights.load(cifar_resnet(56))
    assert beginning.state is None
    assert "but the stem and stage 0, less than 5 % of it" in beginning.told


def test_a_file_without_weights_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="has no weights learned from drawn pictures"):
        weights.load(image_net((64, 64), 3, 5, "symbol"), path=tmp_path / "a.safetensors")


def test_the_recipe_for_drawn_weights_lets_all_parts_learn_alike():
    recipe = weights.begun(Recipe(rate=0.1, hold=0.7))
    assert (recipe.rate, recipe.hold, recipe.keep) == (0.05, 0, "best")
    assert (recipe.tuning.frozen, recipe.tuning.factor) == (0, 1)


def test_a_page_of_pictures_from_the_command_line(tmp_path):
    run = [sys.executable, "-m", "zansa.beginnings", "sheet"]
    subprocess.run([*run, str(tmp_path / "page.png")], check=True)
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == (12 * 64, 16 * 64)
    refused = subprocess.run(run, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "say where" in refused.stderr
