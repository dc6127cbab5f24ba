"""The verb `check`: planted faults are found and named, clean images are left alone, and no data are changed."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import refused, zansa
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from zansa.inputs.images import digest
from zansa.learn.audit import Inventory, audit
from zansa.learn.audit import shortcuts as cutting
from zansa.learn.audit.align import agreement
from zansa.learn.audit.balance import balance
from zansa.learn.audit.copies import copies
from zansa.learn.audit.groups import Order, joined_by, of_classes
from zansa.learn.audit.look import look_at_array, small
from zansa.learn.audit.names import groups_by
from zansa.learn.audit.near import CAP, CHANGES, Near, _line, changed, compare, sets_of
from zansa.learn.audit.neighbours import Kin, hashes, nearest, thumbs
from zansa.learn.audit.plain import plain
from zansa.learn.audit.run import Related, _leaks, by_chance, relate
from zansa.learn.data.door import listed
from zansa.learn.data.synthetic import surfaces
from zansa.phrases import speaking
from zansa.proof.traits import TRAITS
from zansa.report.check_words import FINDINGS, STATISTICS, worded


def drawn(count, seed=0, side=64):
    """Structured surfaces, all different: smooth noise of three scales."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(count, side, side)), (0, s, s)) * s for s in (1.2, 3, 8)]
    return np.clip(128 + 45 * sum(layers), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The result of one check of 120 images with planted faults, their names, and where manifest and page are."""
    folder, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    images = drawn(120)
    rng = np.random.default_rng(1)
    for i, image in enumerate(images):
        label = "good" if i % 2 else "scratch"
        if label == "scratch" and i % 4 == 0:  # a bright border on half of the class
            image[:2], image[-2:], image[:, :2], image[:, -2:] = 250, 250, 250, 250
        place = folder / label
        place.mkdir(exist_ok=True)
        Image.fromarray(image).save(place / f"{rng.integers(10**6):06}_{i}.png")
    names = {int(path.stem.split("_")[1]): path for path in folder.rglob("*.png")}
    good = folder / "good"
    (good / "cut.png").write_bytes(names[1].read_bytes()[:2000])
    (good / "text.png").write_text("no image")
    (good / "twin.png").write_bytes(names[3].read_bytes())
    Image.open(names[5]).save(good / "other_format.bmp")
    (folder / "scratch" / "two_labels.png").write_bytes(names[7].read_bytes())
    Image.open(names[9]).save(good / "near.jpg", quality=50)
    Image.fromarray(drawn(1, 5)[0] // 9).save(good / "dark.png")
    Image.fromarray(gaussian_filter(drawn(1, 6)[0], 4)).save(good / "blurred.png")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    words = [folder, "--strict", "--fix", out / "clean.csv", "--page", out / "page.html"]
    result = zansa("check", *words, "--json")
    assert before == {path: path.read_bytes() for path in folder.rglob("*.*")}
    findings = json.loads(result.stdout)["findings"]
    kinds = {each["kind"]: each for each in reversed(findings)}  # of several of one kind the first
    kinds["shortcuts"] = [each["facts"] for each in findings if each["kind"] == "shortcut"]
    return result, kinds, names, out


def files(finding):
    return [{Path(name).name for name in item} for item in finding["items"]]


def test_planted_faults_are_found_by_name(found):
    result, kinds, names, _ = found
    assert result.returncode == 1, result.stderr
    assert files(kinds["truncated"]) == [{"cut.png"}]
    assert files(kinds["unreadable"]) == [{"text.png"}]
    same = {frozenset(item) for item in files(kinds["copies_same"])}
    assert same == {frozenset({names[3].name, "twin.png"}), frozenset({names[5].name, "other_format.bmp"})}
    assert kinds["copies_same"]["facts"]["equal_files"] == 2  # twin and two_labels; the other format is equal in pixels
    assert files(kinds["copies_labels"]) == [{names[7].name, "two_labels.png"}]
    assert files(kinds["near_same"]) == [{names[9].name, "near.jpg"}]
    assert files(kinds["dark"]) == [{"dark.png"}]
    assert files(kinds["blurred"]) == [{"blurred.png"}]
    assert any(facts["property"].startswith("border") for facts in kinds["shortcuts"])
    assert {facts["label"] for facts in kinds["shortcuts"]} == {"scratch"}
    assert kinds["unchecked"]["severity"] == "warning"  # labels of noise teach nothing
    assert not {"leak", "leak_unnamed", "suspects", "odd_size", "tiny", "blank"} & kinds.keys()
    assert kinds["near_reach"]["facts"]["found"] >= 0.9 * kinds["near_reach"]["facts"]["planted"]


def test_the_cleaned_manifest_can_be_read_and_says_why(found):
    _, _, names, out = found
    listing = listed(out / "clean.csv")
    kept = {file.name for file in listing.files}
    assert not {"cut.png", "text.png"} & kept
    assert len({"twin.png", names[3].name} & kept) == 1
    groups = dict(zip((file.name for file in listing.files), listing.groups, strict=True))
    assert groups["near.jpg"] == groups[names[9].name]
    assert groups[names[11].name] != groups[names[13].name]
    rows = {Path(row["path"]).name: row for row in csv.DictReader((out / "clean.csv").read_text().splitlines())}
    assert rows["two_labels.png"]["suspect"] == "label"
    assert names[7].name in rows["two_labels.png"]["changed"]
    assert rows[names[11].name]["changed"] == ""
    gone = {
        Path(row["path"]).name: row["changed"]
        for row in csv.DictReader((out / "clean.left_out.csv").read_text().splitlines())
    }
    assert set(gone) >= {"cut.png", "text.png"}
    assert all(gone.values())


def test_the_page_needs_nothing_else(found):
    page = (found[3] / "page.html").read_text()
    assert "data:image/png;base64," in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "near.jpg" in page


def test_bad_questions_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(drawn(1)[0]).save(tmp_path / "a" / "1.png")
    assert "would change the data" in refused("check", tmp_path, "--fix", tmp_path / "new.csv")
    assert "ends in .csv" in refused("check", tmp_path, "--fix", "new.txt")
    assert "allowed: folder, before last number" in refused("check", tmp_path, "--group", "by magic")
    assert "not there" in refused("check", tmp_path / "none")
    done = zansa("check", tmp_path, "--lang", "ja", "--page", tmp_path / "p.html")
    assert done.returncode == 0  # without --strict
    assert "クラスが1つしかありません" in done.stdout
    assert '<html lang="ja">' in (tmp_path / "p.html").read_text()


def test_every_finding_has_its_sentences_in_both_languages():
    emitted = set()
    for path in Path(cutting.__file__).parent.glob("*.py"):
        emitted |= set(re.findall(r'Finding\(\s*"(\w+)"', path.read_text()))
    assert emitted <= FINDINGS.keys()
    with speaking("ja"):
        assert "全画素" in worded("copies_same", 2, {"sets": 1, "equal_files": 0})["why"]


def test_aligned_images_agree_and_others_do_not():
    images = drawn(12, seed=3)
    copies = np.stack([np.asarray(Image.fromarray(changed(images[0], how)).resize((64, 64))) for how in CHANGES])
    every = np.concatenate([images, copies])
    pairs = np.array([[0, 12 + k] for k in range(len(CHANGES))] + [[0, k] for k in range(1, 12)])
    plain, aligned = agreement(every, pairs)
    assert (aligned[: len(CHANGES)] > 0.8).all()
    assert (aligned[len(CHANGES) :] < 0.6).all()
    assert plain[CHANGES.index("shifted")] < 0.8  # what alignment is for


def test_blocks_of_neighbours_find_the_best(monkeypatch):
    features = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    exact, like = nearest(features, 3)
    truth = features @ features.T
    np.fill_diagonal(truth, -np.inf)
    assert (exact == np.argsort(-truth, axis=1)[:, :3]).all()
    assert (np.diff(like) <= 0).all()
    monkeypatch.setattr("zansa.learn.audit.neighbours.WHOLE", 40)
    assert (nearest(features, 3)[0][:, 0] == exact[:, 0]).all()


def bare(names, labels=None):
    looks = tuple(look_at_array(image[..., None], str(i)) for i, image in enumerate(drawn(len(names), side=16)))
    return Inventory(tuple(names), np.zeros(len(names), int) if labels is None else labels, ("a", "b"), looks)


def test_rules_of_names_group_images():
    known = bare([f"c/exp{light}_num_{1000 * part + 3 * light}.png" for part in range(4) for light in (1, 2, 3)])
    truth = np.repeat(np.arange(4), 3)
    for rule in ("number 2 gap 60", "number 1 rises by 2", "number 2 gap 60 in folder"):
        assert (groups_by(rule, known) == truth).all(), rule
    assert len(set(groups_by("number 1", known))) == 3
    assert len(set(groups_by("before last number", known))) == 3
    with pytest.raises(ValueError, match="allowed"):
        groups_by("number 9", known)
    chain = joined_by(np.arange(40), [(i, i + 1) for i in range(39)])
    assert np.bincount(chain).max() <= 12  # chains do not swallow all


def test_whole_groups_are_permuted(monkeypatch):
    """Labels that only follow groups are no shortcut, though brightness follows groups too; shuffling single images
    would find one nearly always."""
    monkeypatch.setattr(cutting, "DRAWS", 100)
    rng, alarms, naive = np.random.default_rng(0), 0, 0
    groups = np.repeat(np.arange(30), 6)
    for draw in range(4):
        labels = rng.integers(0, 2, 30)[groups]
        images = drawn(30, draw, 16)[groups] // 2 + rng.integers(0, 100, 30)[groups][:, None, None].astype(np.uint8)
        looks = tuple(look_at_array(image[..., None], str(i)) for i, image in enumerate(images))
        known = Inventory(tuple(map(str, range(180))), labels, ("a", "b"), looks)
        alarms += bool(cutting.shortcuts(known, groups, draw))
        naive += bool(cutting.shortcuts(known, np.arange(180), draw))
    assert alarms <= 1
    assert naive >= 3


def test_copies_and_groups_across_parts_are_torn():
    known = bare([f"{i}.png" for i in range(6)], np.array([0, 0, 0, 1, 1, 1]))
    looks = (*known.looks[:5], known.looks[0])  # the last image of class b is the first of class a
    twice = replace(known, looks=(*looks[:1], looks[0], *looks[2:]), split=np.array(["train", "test", *["train"] * 4]))
    found = {each.kind: each for each in copies(twice)}
    assert found["copies_labels"].items == ((0, 1, 5),)
    assert found["copies_labels"].severity == "error"
    parts = {each.kind: each for each in copies(replace(twice, labels=np.zeros(6, int)))}
    assert parts["copies_parts"].items == ((0, 1, 5),)
    grouped = replace(twice, groups=np.array(["p", "p", "q", "r", "s", "t"]))
    told = {each.kind: each for each in balance(grouped)}
    assert told["torn"].items == ((0,), (1,))
    assert told["missing"].facts == {"part": "test", "classes": "b"}


def test_where_wrong_pairs_agree_the_expected_accusations_are_told_and_nobody_is_accused():
    """Pieces of a regular weave agree by chance; true copies in other sets do not make that excuse."""
    rng = np.random.default_rng(0)
    regular = np.tanh(rng.normal(1.17, 0.5, 600))  # Fisher's z of the best wrong pairs, as drawn weaves have it
    line, wrong = _line(regular)
    assert line == CAP
    assert wrong == pytest.approx(norm.sf((np.arctanh(CAP) - 1.17) / 0.5), rel=0.3)
    boards = np.tanh(np.concatenate([rng.normal(0.88, 0.37, 530), rng.normal(3.0, 0.5, 70)]))
    assert _line(boards)[1] < 0.005

    weaves = surfaces(400, seed=0)
    looks = tuple(look_at_array(each, digest(each)) for each in weaves.images)
    names = tuple(f"{i}.png" for i in range(len(looks)))
    found = audit(Inventory(names, weaves.labels, weaves.classes, looks, np.array(names)), check_labels=False)
    assert not [each for each in found.findings if each.kind.startswith("near_") and each.severity != "note"]


def shots_of(parts, shots, seed, smooth):
    """(parts * shots, 64, 64) levels: of each part some shots under another light, moved a little, with noise."""
    rng = np.random.default_rng(seed)
    if smooth:
        slope = np.linspace(-20, 20, 64) * rng.normal(1, 0.1, parts)[:, None]
        each = 120 + rng.normal(0, 4, parts)[:, None, None] + np.repeat(slope[:, None], 64, axis=1)
    else:
        each = drawn(parts, seed).astype(float)
    lit = np.repeat(each, shots, axis=0) * rng.uniform(0.85, 1.15, parts * shots)[:, None, None]
    noisy = np.clip(lit + rng.normal(0, 3, lit.shape), 0, 255).astype(np.uint8)
    return np.stack([np.roll(image, rng.integers(-1, 2, 2), (0, 1)) for image in noisy])


def test_siblings_of_what_was_copied_do_not_raise_the_line():
    """A quarter of the images have a sibling that stands in a copy's group: they are no wrong pairs."""
    images, parts = shots_of(40, 4, 0, smooth=False), np.repeat(np.arange(40), 4)
    copies = np.stack([small(changed(image, CHANGES[k % 6])) for k, image in enumerate(images[:80:4])])
    grey, groups = np.concatenate([images, copies]), np.concatenate([parts, 100 + np.arange(len(copies))])

    def compared(some, of):
        return compare(some, (thumbs(some), hashes(some)), Kin(of), np.zeros((0, 2), int))

    before, after = compared(images, parts), compared(grey, groups)
    assert after.lines[1] < before.lines[1] + 0.05
    sets = [set(each) for each in sets_of(len(grey), after.pairs[after.proven])]
    assert all(any({4 * k, 160 + k} <= each for each in sets) for k in range(len(copies)))
    assert not before.proven.any()


def test_siblings_on_a_smooth_surface_show_in_plain_statistics():
    """Thumbnails of smooth surfaces show noise; how steep the light falls off is what shots of a part share."""
    rng = np.random.default_rng(0)
    images, lots = shots_of(60, 6, 1, smooth=True), np.repeat(rng.integers(0, 2, 60), 6)
    looks = tuple(look_at_array(image[..., None], str(i)) for i, image in enumerate(images))
    names = tuple(f"{10 * part + shot:05d}.png" for part in range(60) for shot in range(6))
    known = Inventory(names, lots, ("a", "b"), looks)
    leak = next(each for each in audit(known, check_labels=False).findings if each.kind.startswith("leak"))
    assert leak.facts["rule"] == "number 1 gap 1"
    assert leak.facts["groups"] == 60
    assert set(STATISTICS) == set(TRAITS)
    assert "plain statistics" in worded(leak.kind, leak.count, leak.facts)["why"]
    mixed = replace(known, names=tuple(names[i] for i in rng.permutation(360)))
    assert "no_leak" in [each.kind for each in audit(mixed, check_labels=False).findings]
    two = np.where(drawn(120, 7) > 128, 255, 0).astype(np.uint8)  # equal quantiles throughout: no order shows in them
    assert plain(bare([f"{i}.png" for i in range(120)]), two) is None


def test_copies_within_a_class_are_found_where_not_all_neighbours_are_asked(monkeypatch):
    """Where most images have a twin, other classes tell what wrong pairs reach; twins are judged all the same."""
    monkeypatch.setattr("zansa.learn.audit.groups.ASKED", 12)
    rng = np.random.default_rng(3)
    images = drawn(120, 11)
    grey = np.concatenate([images, [small(changed(image, "lighter")) for image in images[:90]]])
    labels = np.concatenate([np.arange(120), np.arange(90)]) % 2
    looks = tuple(look_at_array(image[..., None], str(i)) for i, image in enumerate(grey))
    names = tuple(f"{number:06d}.png" for number in rng.permutation(10**6)[: len(grey)])
    related = relate(Inventory(names, labels, ("a", "b"), looks), grey, thumbs(grey), None, 0)
    proven = {tuple(pair) for pair in related.proven.tolist()}
    assert related.near.lines[1] < CAP
    assert len(proven & {(k, 120 + k) for k in range(90)}) >= 85


def test_chance_takes_no_more_images_than_there_are():
    """Classes that are copies of each other: what is surely wrong there is right."""
    images = drawn(60, 12)
    grey = np.concatenate([images, [small(changed(image, "lighter")) for image in images]])
    near = compare(grey, (thumbs(grey), hashes(grey)), Kin(np.arange(120) // 60), np.zeros((0, 2), int))
    assert near.wrong <= 1


def test_a_rule_that_repeats_the_classes_is_none():
    classes = np.repeat(np.arange(12), 5)
    assert of_classes(7 * classes, classes)
    assert of_classes(classes // 2, classes)
    assert not of_classes(np.arange(60) // 2, classes)


def test_nobody_is_accused_where_chance_alone_gives_as_many_near_copies():
    seen = Inventory(tuple(f"{i}.png" for i in range(40)), np.arange(40) % 2, ("a", "b"), ())
    pairs = np.array([[0, 1], [2, 4], [6, 8]])
    agreement = np.array([0.99, 0.98, 0.5])
    near = Near(pairs, agreement, agreement, (0.97, 0.97), wrong=0.2, found=12, planted=12, least=-np.inf)
    related = Related(40, near, Order(0, 0.1, 0.1), None, None, pairs[:2], 0.0)
    assert by_chance(related, seen)  # 8 images are expected, 4 were found
    assert not by_chance(replace(related, near=replace(near, wrong=0.02)), seen)


def test_where_pictures_cannot_tell_siblings_apart_their_order_is_told_and_no_pair_is_accused():
    seen = bare([f"{i}.png" for i in range(40)])
    none = np.zeros((0, 2), int)
    near = Near(none, np.zeros(0), np.zeros(0), (0.97, 0.97), wrong=0.2, found=12, planted=12, least=-np.inf)
    related = Related(40, near, Order(0, 0.5, 0.05), None, None, none, 0.0, chance=True)
    (leak,) = _leaks(related, seen, None)
    assert (leak.kind, leak.severity, leak.items, leak.count) == ("leak_order", "warning", (), 0)
    told = worded(leak.kind, leak.count, leak.facts)
    assert "50.0 %" in told["why"]
    assert "pictures cannot tell" in told["do"]
    calm = replace(related, order=Order(0, 0.05, 0.05))  # siblings do not lie beside each other: nothing is told
    assert [each.kind for each in _leaks(calm, seen, None)] == ["no_leak"]
    assert _leaks(replace(related, known=np.arange(40)), seen, None) == []  # groups are given
