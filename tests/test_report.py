"""The page and the card of real run folders: whole ones, unfinished ones, broken ones, and awkward names."""

import base64
import csv
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from zansa.arch import zoo
from zansa.arch.cost import cost
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.jobs.making.point import rival_point
from zansa.jobs.request import Pointed
from zansa.proof.figures import doubtful, figures
from zansa.proof.good import good_class
from zansa.proof.rates import rate
from zansa.record import Run
from zansa.report import cautions, model_card, plots, results, write
from zansa.report import run as report
from zansa.report.drawing import network
from zansa.report.facts import epochs, need, read, trained
from zansa.report.page import Frame, Section, statement
from zansa.report.page import html as page_of
from zansa.report.page import plain as plain_section
from zansa.report.results import png_size
from zansa.report.run import SECTIONS
from zansa.words import IMAGE, amount, duration, outcome, percent, strong

DEFECTS = ("crack", "good", "hole", "missing", "scratch", "stain")
EVIL = "<script>alert(1)</script> & \"quotes\" 'x' | *a* [b](c) `d` \\"


def answers(classes, count, seed, sharpness=4.0, good=None):
    """Labels and probabilities as a network of some skill would give them: (N,) and (N, K)."""
    rng = np.random.default_rng(seed)
    share = np.ones(len(classes))
    if good is not None:
        share[classes.index(good)] = 2.5 * len(classes)
    labels = np.concatenate(
        [np.arange(len(classes)), rng.choice(len(classes), count - len(classes), p=share / share.sum())]
    )
    logits = rng.normal(0, 1.2, (count, len(classes)))
    logits[np.arange(count), labels] += sharpness
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)


def picture(seed, size=64):
    """A base64 PNG of a gray, brushed surface with a dark spot."""
    rng = np.random.default_rng(seed)
    surface = 150 + 25 * rng.normal(size=(size, 1)) + 9 * rng.normal(size=(size, size))
    y, x = np.mgrid[:size, :size] - rng.integers(10, size - 10, (2, 1, 1))
    surface[x**2 / 3 + y**2 < rng.integers(8, 60)] -= 70
    file = io.BytesIO()
    Image.fromarray(surface.clip(0, 255).astype(np.uint8)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def train(run, count, of=30, resumed_at=None, done=True):
    run.append("events.jsonl", {"event": "note", "text": "rare classes are made to count"})
    run.append("events.jsonl", {"event": "start"})
    for epoch in range(1, count + 1):
        if epoch == resumed_at:
            run.append("events.jsonl", {"event": "resumed", "epoch": epoch})
        left = 1 - epoch / of
        rate = 0.05 * min(1.0, epoch / 3) * (0.5 + 0.5 * np.cos(np.pi * (1 - left)))
        loss = 0.11 + 1.6 * left**2.2 + 0.03 * np.sin(5 * epoch)
        accuracy = 0.965 - 0.45 * left**2.5 + 0.012 * np.sin(3 * epoch)
        run.append(
            "events.jsonl",
            {
                "event": "epoch",
                "epoch": epoch,
                "epochs": of,
                "progress": epoch / of,
                "rate": rate,
                "loss": loss,
                "val_loss": loss * 1.1 + 0.05 + 0.02 * np.cos(2 * epoch),
                "val_accuracy": accuracy,
                "val_balanced_accuracy": accuracy - 0.06 * (1 + left),
                "seconds": 12.3 * epoch,
                "images_per_second": 1104.0,
            },
        )
    if done:
        run.append("events.jsonl", {"event": "done"})


def evaluated(classes, seed=0, test=420, validation=410, sharpness=4.0):
    """metrics.json and examples.json of a set of classes."""
    good = good_class(classes)
    labels, p = answers(classes, validation, seed, sharpness, good)
    operating = rival_point(Pointed(), good, classes, p, labels, None) if good else None
    before = figures(p, labels, classes, operating)
    labels, p = answers(classes, test, seed + 1, sharpness, good)
    after = figures(p, labels, classes, operating)
    score = 1 - p[:, classes.index(good)] if good else p.max(axis=1)
    table = [["image", "part", "label", "predicted", "score"]]
    table += [[f"{i}.png", "test", classes[labels[i]], classes[p[i].argmax()], f"{score[i]:.6f}"] for i in range(test)]
    examples = []
    for place, each in enumerate(doubtful(p, labels, classes, operating, 24)):
        row = p[each["index"]]
        label = classes[labels[each["index"]]]
        examples.append(
            {
                "image": f"parts/{label}/{each['index']:05d}.png",
                "label": label,
                "predicted": classes[row.argmax()],
                "probability": row.max(),
                "why": each["why"],
                "png": picture(place),
                "score": 1 - row[classes.index(good)] if good else None,
            }
        )
    return {"validation": before, "test": after}, examples, table


def priced(net):
    price = cost(net, batch=64)
    memory = {"train": price.train_bytes, "infer": price.infer_bytes}
    return {"macs": price.macs, "params": price.params, "depth": price.depth, "activation_bytes": memory, "batch": 64}


def described(classes, synthetic=False, **more):
    rng = np.random.default_rng(5)
    counts = {name: int(40 + 400 * rng.random() ** 3) * (5 if name == "good" else 1) for name in classes}
    return {
        "source": "parts/line3",
        "kind": "surface",
        "classes": list(classes),
        "size": [64, 64],
        "channels": 1,
        "counts": {
            part: {name: int(number * share) for name, number in counts.items()}
            for part, share in (("train", 0.7), ("val", 0.15), ("test", 0.15))
        },
        "problems": [],
        "leaks": [],
        "groups": 212,
        "split": "random by group",
        "synthetic": synthetic,
        **more,
    }


def whole_run(root, classes=DEFECTS, name="parts-1", net=None, data=None, **options):
    """A finished run with every file that a report reads."""
    net = net or zoo.cifar_resnet(20, classes=len(classes), channels=1, size=(64, 64))
    run = Run.create(root, name)
    run.write_bytes("spec.json", net.to_json().encode())
    run.write_json("recipe.json", {"epochs": 30, "batch": 64, "rate": 0.05, "augment": {"flip_x": True, "noise": 0.02}})
    run.write_json("data.json", data or described(classes))
    train(run, 30, resumed_at=12)
    metrics, examples, table = evaluated(classes, **options)
    metrics["cost"] = priced(net)
    metrics["latency"] = [
        {
            "what": "ONNX Runtime",
            "device": "cpu",
            "size": [64, 64],
            "threads": t,
            "precision": "float32",
            "batch": b,
            "ms": ms,
            "repeats": 50,
        }
        for t, b, ms in ((1, 1, 4.31), (2, 1, 2.61), (2, 32, 71.4))
    ]
    metrics["training"] = {
        "epochs": 30,
        "best_epoch": 27,
        "seconds": 371.5,
        "precision": "float32",
        "layout": "channels_last",
        "device": "cpu",
        "threads": 2,
        "images_per_second": 1104.0,
        "average": "exponential",
        "notes": [],
    }
    metrics["export"] = {
        "file": "model.onnx",
        "bytes": 1_120_334,
        "images": 64,
        "largest_difference": 3.1e-6,
        "same_class": 64,
    }
    run.write_json("metrics.json", metrics)
    run.write_json("examples.json", examples)
    with (run.path / "predictions.csv").open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows(table)
    return run


def grown_net(classes=6):
    block = lambda *hidden, kind="basic", groups=1: Block(kind=kind, hidden=hidden, groups=groups)  # noqa: E731
    stages = (
        Stage(width=16, blocks=(block(24), block(8), block(12))),
        Stage(
            width=48,
            stride=2,
            shortcut="project",
            step=Step(scale=True),
            blocks=(block(24), block(48, 32, kind="bottleneck", groups=8), block(64)),
        ),
        Stage(width=96, stride=2, shortcut="pad", blocks=(*(block(96),) * 18, block(32))),
    )
    return Net(
        input=Input(channels=1, size=(64, 64)),
        stem=Stem(width=16),
        stages=stages,
        head=Head(classes=classes, pool="both"),
    )


VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """Refuses HTML whose elements do not nest; keeps ids, references, visible text and the names of elements."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.words, self.tags, self.styles = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                self.links.append(value)
            elif name == "style":
                self.styles.append(value)
            assert not name.startswith("on"), (tag, name)

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], self.open[-4:]
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)
        else:
            self.styles.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))


def read_page(run):
    """The parsed page of a run, after the checks that hold for every page."""
    path = write(run)
    assert path == run.path / "report.html"
    assert path.stat().st_size < 3_000_000
    page = Reader(path.read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:")) for link in page.links), page.links
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    styles = "".join(page.styles)
    assert not re.search(r"@import|url\((?!#)", styles)
    assert set(re.findall(r"url\(#([^)]+)\)", styles)) <= set(page.ids)
    assert "script" not in page.tags
    card = (run.path / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# ")
    assert "<" not in card
    return page


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, its page and its card."""
    run = whole_run(tmp_path_factory.mktemp("whole"))
    return run, read_page(run), (run.path / "card.md").read_text(encoding="utf-8")


def headings(page):
    return [name for name in page.ids if name in SECTIONS or name == "left-out"]


def plain(text):
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_a_whole_run_has_every_section_in_order(whole):
    assert headings(whole[1]) == list(SECTIONS)
    assert "rare classes are made to count" in whole[1].text


def test_the_summary_counts_what_the_predictions_say(whole):
    run, page, card = whole
    threshold = run.read_json("metrics.json")["test"]["inspection"]["threshold"]
    rows = [
        row
        for row in csv.DictReader((run.path / "predictions.csv").read_text(encoding="utf-8").splitlines())
        if row["part"] == "test"
    ]
    good = [float(row["score"]) >= threshold for row in rows if row["label"] == "good"]
    bad = [float(row["score"]) >= threshold for row in rows if row["label"] != "good"]
    assert 0 < sum(good) < len(good)
    said = f"Of {len(good)} good parts, {sum(good)} would be thrown away ({100 * sum(good) / len(good):.1f} %, 95 % CI "
    found = (
        f"Of {len(bad)} defects in the held-out test images, {sum(bad)} were found ({100 * sum(bad) / len(bad):.1f} %, "
    )
    assert 0 < sum(bad) < len(bad)
    assert said in plain(page.text)
    assert found in plain(page.text)
    verdict = f"{sum(good)} would be thrown away"
    assert said.replace(verdict, f"**{verdict}**") in card
    assert f"{sum(bad)} found" in page.text
    assert f"{len(bad) - sum(bad)} missed" in page.text
    assert f"{sum(good)} thrown away" in page.text


def test_every_figure_stands_with_counts_and_interval(whole):
    run, page, card = whole
    test = run.read_json("metrics.json")["test"]
    for it in (test["accuracy"], *(each["recall"] for each in test["per_class"])):
        interval = plain(f"{percent(it['low'])[:-2]}–{percent(it['high'])}")
        assert interval in plain(page.text)
        assert f"{it['hits']}" in page.text
    for it in (each["recall"] for each in test["per_class"]):
        interval = plain(f"{percent(it['low'])[:-2]}–{percent(it['high'])}")
        assert f"{it['hits']}/{it['count']} = {plain(percent(it['value']))} (95 % CI {interval})" in card


def test_pictures_are_drawn_in_the_colours_of_the_page(whole):
    text = (whole[0].path / "report.html").read_text(encoding="utf-8")
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert sum("<text" in drawing for drawing in drawings) >= 6
    assert not [drawing for drawing in drawings if re.search(r"#[0-9a-f]{6}\b|rgb\(", drawing)]
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    for colour in set(re.findall(r"var\((--[\w-]+)\)", "".join(drawings))):
        assert f"{colour}:" in light
        assert f"{colour}:" in dark


def test_the_same_run_gives_the_same_page(whole):
    run = whole[0]
    before = (run.path / "report.html").read_bytes(), (run.path / "card.md").read_bytes()
    write(run)
    assert before == ((run.path / "report.html").read_bytes(), (run.path / "card.md").read_bytes())


READERS = {
    "spec.json": {"network"},
    "data.json": {"data"},
    "examples.json": {"examples"},
    "environment.json": {"environment"},
    "events.jsonl": {"training"},
    "recipe.json": set(),
    "edits.jsonl": set(),
    "predictions.csv": set(),
    "metrics.json": {"figures", "operating", "confusion", "classes", "cost", "export", "decided"},
}


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_costs_its_sections_only(whole, tmp_path, name):
    run = Run(shutil.copytree(whole[0].path, tmp_path / "run"))
    (run.path / name).unlink(missing_ok=True)
    page = read_page(run)
    assert set(SECTIONS) - set(headings(page)) == READERS[name]
    assert ("left-out" in headings(page)) == bool(READERS[name])
    assert all(SECTIONS[section][0] in page.text for section in READERS[name])


@pytest.mark.parametrize("content", [b"", b'[3, "x"]\n', b"{}\n", b"null\n", b"\xff\xfe\x00\n", b'{"torn": [1, 2'])
def test_broken_files_never_cost_the_page(whole, tmp_path, content):
    run = Run(shutil.copytree(whole[0].path, tmp_path / "run"))
    for name in READERS:
        (run.path / name).write_bytes(content)
    page = read_page(run)
    assert set(headings(page)) <= {"left-out", "environment"}
    assert "not been trained or evaluated" in page.text


def test_broken_figures_never_cost_the_page(whole):
    facts = read(whole[0]) | {"events": [], "scores": {}}  # nothing is drawn: quick
    facts["metrics"]["test"]["inspection"]["roc"] = []
    others = itertools.cycle((None, [], "text", -1, {}))
    for path in list(places(facts["metrics"])):
        broken = json.loads(json.dumps(facts["metrics"]))
        put(broken, path, next(others))
        Reader(report.html(facts | {"metrics": broken}))
        report.card(facts | {"metrics": broken})


def places(value, path=()):
    """Paths into a JSON value, three deep; the first two entries stand for a list."""
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, each in entries:
        if key != "validation":  # as test
            yield (*path, key)
            yield from places(each, (*path, key)) if len(path) < 3 else ()


def put(value, path, other):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = other


def test_an_empty_run_has_a_page(tmp_path):
    run = Run.create(tmp_path, "empty")
    page = read_page(run)
    assert headings(page) == ["environment", "left-out"]
    assert "This run has not been trained or evaluated yet." in page.text
    assert "This run is not finished" in page.text


def test_an_unfinished_run_says_how_far_it_is(tmp_path):
    run = Run.create(tmp_path, "young")
    run.write_bytes("spec.json", grown_net().to_json().encode())
    train(run, 7, done=False)
    page = read_page(run)
    assert headings(page) == ["training", "network", "environment", "left-out"]
    assert "It has trained 7 of 30 epochs." in page.text
    best = max(event["val_accuracy"] for event in run.lines("events.jsonl") if event["event"] == "epoch")
    assert f"best validation accuracy so far is {percent(best)}" in "".join(page.words)


def test_validation_figures_do_not_pass_for_test_figures(whole, tmp_path):
    run = Run(shutil.copytree(whole[0].path, tmp_path / "run"))
    metrics = run.read_json("metrics.json")
    del metrics["test"]
    run.write_json("metrics.json", metrics)
    page = read_page(run)
    assert "held-out test" not in page.text
    assert "in the validation images" in page.text
    assert "No test figures" in page.text
    assert "In the long run" not in page.text


def test_names_are_shown_as_they_are_and_do_nothing(tmp_path):
    names = (EVIL, "good", "line\nbreak", "裂纹 \ue000", "x" * 300, "ragged \udcff")
    data = described(names, problems=[EVIL], leaks=[[EVIL, "<b>"]])
    run = whole_run(tmp_path, names, name="a <b> & c", data=data, sharpness=2.5)
    page = read_page(run)
    assert headings(page) == list(SECTIONS)
    assert EVIL in page.text
    assert "裂纹" in page.text
    assert "x" * 300 in page.text
    assert "a <b> & c" in page.text
    card = (run.path / "card.md").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; \"quotes\" 'x' \\| \\*a\\* \\[b\\](c) \\`d\\` \\\\" in card
    for lines in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}) == 1, lines


def test_synthetic_images_leaks_and_problems_are_said_on_page_and_card(tmp_path):
    leaks = [[f"a/{i}.png", f"b/{i}.png"] for i in range(30)]
    data = described(
        DEFECTS, synthetic=True, leaks=leaks, problems=["torn.png: truncated"], split="random", groups=None
    )
    run = whole_run(tmp_path, data=data, sharpness=1.0, test=60)
    page, card = read_page(run), (run.path / "card.md").read_text(encoding="utf-8")
    for said in (
        "Synthetic images",
        "Identical images in two parts of the data",
        "torn.png: truncated",
        "Wide intervals",
        "Split image by image",
        "Not clearly better than guessing",
        "a/0.png = b/0.png",
    ):
        assert said in page.text, said
        assert said in card.replace("\\", ""), said
    assert "30 pairs of identical images" in plain(page.text)
    assert "… and 10 more" in page.text
    assert "held-out synthetic test images" in page.text
    assert "In the long run" not in page.text


def test_a_clean_run_of_many_images_has_no_warnings(tmp_path):
    data = described(DEFECTS)
    data["counts"] = {part: dict.fromkeys(DEFECTS, 200) for part in ("train", "val", "test")}
    run = whole_run(tmp_path, data=data, test=1500, validation=1500, sharpness=9.0)
    assert cautions.warnings(read(run)) == []
    assert 'class="split"' in write(run).read_text(encoding="utf-8")  # more images than dots


def test_worse_on_test_is_told_from_chance(whole, tmp_path):
    facts = read(whole[0])
    title = "Worse on test than on validation"
    assert title not in {warning["title"] for warning in cautions.warnings(facts)}
    facts["metrics"]["test"]["accuracy"] = rate(300, 420)
    assert title in {warning["title"] for warning in cautions.warnings(facts)}


def test_guessing_is_told_from_knowing(whole):
    figures = read(whole[0])["metrics"]["test"]
    assert cautions._guess(figures) == ""
    figures["inspection"]["detection"] = rate(3, 100)
    assert "are not clearly rejected more often than good parts" in cautions._guess(figures)
    figures["inspection"] = None
    assert cautions._guess(figures) == ""
    figures["accuracy"] = rate(300, 420)
    assert "would be right for 75.2" in cautions._guess(figures)


def test_two_classes_without_a_good_one(tmp_path):
    run = whole_run(tmp_path, ("cat", "dog"), test=60, sharpness=1.5)
    page = read_page(run)
    assert set(SECTIONS) - set(headings(page)) == {"operating"}
    right = run.read_json("metrics.json")["test"]["accuracy"]["hits"]
    assert f"Of 60 held-out test images, {right} were named correctly" in plain(page.text)
    assert "thrown away" not in page.text


def test_a_hundred_classes_become_a_map_with_the_worst_first(tmp_path):
    names = tuple(f"class {i:03d}" for i in range(100))
    run = whole_run(tmp_path, names, test=3000, validation=500, data=described(names))
    text = write(run).read_text(encoding="utf-8")
    page = read_page(run)
    assert all(name in page.text for name in names)
    drawing = re.search(r'<svg class="map".*?</svg>', text, re.DOTALL)[0]
    matrix = np.array(run.read_json("metrics.json")["test"]["confusion"])
    cells = {(int(y), int(x)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawing)}
    assert cells == set(zip(*map(list, matrix.nonzero()), strict=True))
    section = re.search(r'<section id="classes">.*?</section>', text, re.DOTALL)[0]
    recalls = matrix.diagonal() / matrix.sum(axis=1)
    assert re.findall(r'title="(class \d+)"', section)[0] in {
        names[i] for i in np.flatnonzero(recalls == recalls.min())
    }


def test_a_thousand_classes_stay_below_three_megabytes(whole, tmp_path):
    names = [f"a rather long name of a class, number {i:04d}" for i in range(1000)]
    matrix = np.random.default_rng(0).poisson(0.1, (1000, 1000)) + 40 * np.eye(1000, dtype=int)
    run = Run(shutil.copytree(whole[0].path, tmp_path / "run"))
    metrics = run.read_json("metrics.json")
    right, total = int(matrix.trace()), int(matrix.sum())
    metrics["test"] |= {
        "count": total,
        "classes": names,
        "confusion": matrix,
        "accuracy": rate(right, total),
        "inspection": None,
    }
    metrics["test"]["per_class"] = [
        {"class": name, "count": row.sum(), "recall": rate(row[i], row.sum()), "precision": None}
        for i, (name, row) in enumerate(zip(names, matrix, strict=True))
    ]
    run.write_json("metrics.json", metrics)
    run.write_json("data.json", described(names))
    picture_run = run.read_json("examples.json")[0] | {"png": picture(1, size=400)}
    run.write_json("examples.json", [picture_run] * 40)
    assert "800 classes more" in plain(read_page(run).text)


def test_many_large_pictures_are_left_out_and_counted(whole, tmp_path):
    run = Run(shutil.copytree(whole[0].path, tmp_path / "run"))
    example = run.read_json("examples.json")[0] | {"png": picture(1, size=400)}
    run.write_json("examples.json", [example] * 40)
    page = read_page(run)
    shown = page.tags.count("img")
    assert 2 <= shown < 40
    assert f"{40 - shown} images more in examples.json" in plain(page.text)


def test_class_maps_lie_over_wrong_pictures_with_one_legend(whole, tmp_path):
    run = Run(shutil.copytree(whole[0].path, tmp_path / "run"))
    shown = run.read_json("examples.json")
    mapped = {"map": picture(3, size=32), "cells": [4, 4], "full": 4.8}
    wrong = [shown[k] | mapped | {"why": why} for k, why in enumerate(("missed", "false alarm"))]
    run.write_json("examples.json", [*wrong, *shown[2:]])
    page = read_page(run)
    html = (run.path / "report.html").read_text(encoding="utf-8")
    assert html.count('<div class="pair">') == html.count('<image class="map"') == 2
    assert page.tags.count("img") == len(shown) - 2
    told = plain(page.text)
    assert told.count("what each of 4 × 4 cells added") == 1
    assert "not whether it was right" in told
    assert told.count("for a defect: +4.8 or more") == 2


def test_a_picture_that_is_none_is_not_shown(whole, tmp_path):
    run = Run(shutil.copytree(whole[0].path, tmp_path / "run"))
    example = run.read_json("examples.json")[0]
    bad = ('"><script>alert(1)</script>', "", None, base64.b64encode(b"GIF89a" * 9).decode(), "ä")
    run.write_json("examples.json", [example | {"png": png} for png in bad])
    page = read_page(run)
    assert "img" not in page.tags
    assert page.text.count("no picture") == len(bad)
    assert png_size(picture(1, size=40)) == (40, 40)


@pytest.mark.parametrize(
    "net", [zoo.resnet(50), zoo.cifar_bottleneck(1001), zoo.cifar_resnet(20, preact=True), grown_net()]
)
def test_the_drawn_network_adds_up_to_its_cost(net):
    drawn, price = network(json.loads(net.to_json())), cost(net)
    assert drawn["depth"] == price.depth
    assert sum(part["share"] for part in drawn["parts"]) == pytest.approx(1)
    boxes = [(part, box) for part in drawn["parts"] for box in part["boxes"]]
    assert sum(box["count"] for _, box in boxes) == sum(len(stage.blocks) for stage in net.stages)
    assert all(0 <= box["shade"] <= 1 for _, box in boxes)
    assert len(boxes) <= 60
    assert [part["width"] for part in drawn["parts"]] == [
        net.stem.width,
        *(s.width for s in net.stages),
        net.head.classes,
    ]


def test_local_contrast_is_told():
    net = grown_net()
    net = net.model_copy(update={"stem": net.stem.model_copy(update={"contrast": 9})})
    assert network(json.loads(net.to_json()))["parts"][0]["layers"].startswith("local contrast over 9 pixels, 3×3 conv")


def test_the_grown_network_is_told_block_by_block():
    drawn = network(json.loads(grown_net().to_json()))
    stem, first, second, third, head = drawn["parts"]
    assert first["layers"] == "1 × basic (24) + 1 × basic (8) + 1 × basic (12)"
    assert "bottleneck (48·32, 8 groups)" in second["layers"]
    assert (first["size"], second["size"], third["size"], second["stride"]) == ("64×64", "32×32", "16×16", 2)
    assert second["joins"] == "projected shortcut, plain step with a learned scale"
    assert [box["count"] for box in third["boxes"]] == [18, 1]
    tall, low, middle = (box["height"] for box in first["boxes"])
    assert low < middle < tall
    assert stem["input"] == "1 × 64×64"
    assert head["layers"] == "global average and max pooling, linear layer"


def test_a_resumed_run_counts_every_epoch_once(tmp_path):
    run = Run.create(tmp_path, "resumed")
    train(run, 5, done=False)
    run.append("events.jsonl", {"event": "resumed"})
    run.append("events.jsonl", {"event": "epoch", "epoch": 5, "epochs": 30, "loss": None, "val_loss": 9.0})
    facts = read(run)
    assert [event["epoch"] for event in epochs(facts)] == [1, 2, 3, 4, 5]
    assert epochs(facts)[-1]["val_loss"] == 9.0
    assert not trained(facts)
    run.append("events.jsonl", {"event": "done"})
    assert trained(read(run))
    run.append("events.jsonl", {"event": "resumed"})
    assert not trained(read(run))
    read_page(run)


def test_scores_on_the_wrong_side_have_the_colour_of_mistakes():
    calm, sure = [0.01] * 50 + [0.3] * 3, [0.97] * 20
    perfect = plots.scores(calm, sure, 0.6, "Scores")
    assert "--wrong" not in perfect
    assert "--wrong" in plots.scores([*calm, 0.61], sure, 0.6, "Scores")
    assert "--wrong" in plots.scores(calm, [*sure, 0.59], 0.6, "Scores")
    for threshold in (0.0, 1.0, 1e-9, 0.5):
        assert plots.scores([0.0, 1.0, threshold], [0.0, 1.0, threshold], threshold, "Scores").startswith("<svg")
    assert plots.scores([], [0.5], 0.5, "Scores").startswith("<svg")


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.9583, "95.8 %"), (2999 / 3000, "99.97 %"), (0.00004, "0.004 %"), (0.5, "50.0 %")],
)
def test_percent_never_rounds_to_all_or_none(share, text):
    assert plain(percent(share)) == text


@pytest.mark.parametrize(
    ("total", "hits", "text"),
    [
        (120, 115, "Of 120 defects here, **115 were found**"),
        (120, 1, "Of 120 defects here, **1 was found**"),
        (120, 0, "Of 120 defects here, **none were found**"),
        (120, 120, "**All 120 defects** here were found"),
        (1, 1, "The one defect here **was found**"),
        (1, 0, "The one defect here **was not found**"),
    ],
)
def test_outcomes_are_told_in_english(total, hits, text):
    assert (
        model_card.plain(outcome(total, "defect", " here", hits, "was found", "were found")).replace("\u00a0", " ")
        == text
    )


def test_amounts_and_times_are_short():
    assert [plain(amount(n)) for n in (0, 950, 12_345, 999_600, 20_300_000, 1.814e9)] == [
        "0",
        "950",
        "12.3 k",
        "1.00 M",
        "20.3 M",
        "1.81 G",
    ]
    assert [plain(duration(s)) for s in (2.34, 59, 200, 7500)] == ["2.3 s", "59 s", "3 min 20 s", "2 h 05 min"]


def test_reports_are_written_without_torch(whole):
    code = (
        "import sys; from zansa.record import Run; from zansa.report import write; "
        "write(Run.open(sys.argv[1])); print({'torch', 'sklearn', 'scipy', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(whole[0].path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert done.stderr == ""


# --- another page through the frame ----------------------------------------------------------------------------------


def second_page(runs):
    """A page that compares runs: its three sections cost a line each."""
    totals = [(run.path.name, run.read_json("metrics.json")["test"]["accuracy"]) for run in runs]
    sections = {
        "rates": Section("Side by side", lambda rows: plain_section(strong("Rates"), rates=rows, columns=AT, less=AT)),
        "figures": Section("Key figures", lambda _: results.figures(read(runs[0])), "figures.html"),
        "missing": Section("Not there", lambda _: need({"metrics": {}}, "metrics", "test")),
    }
    frame = Frame(name=EVIL, footer=f"Made from {len(runs)} runs of {IMAGE}s.", noun="signal")
    rows = [(name, (rate,)) for name, rate in totals]
    return page_of(frame, rows, sections, statement(f"The best run is {strong(EVIL)}."))


AT = ("named correctly",)


def test_a_second_kind_of_page_costs_a_section(whole):
    text = second_page([whole[0], whole[0]])
    page = Reader(text)
    assert page.ids == ["rates", "figures", "left-out"]
    assert text.startswith("<!doctype html>")
    assert f"The best run is {EVIL}." in page.text
    assert page.text.count("Side by side") == page.text.count("Key figures") == 2  # in the navigation, and as headings
    assert "metrics.json has no test" in page.text
    assert "Made from 2 runs of signals." in page.text
    assert "On 420 signals: held-out test signals" in plain(page.text)
    right = whole[0].read_json("metrics.json")["test"]["accuracy"]
    assert text.count('<span class="band wrong"') == 3  # less is better in that column, and in a tile
    assert page.text.count(f"{right['hits']}/{right['count']}") == 3  # a row for each run, and a tile
    assert not re.search("[\ue000-\ue004]", text)
    assert "The result cannot be told" not in page.text


def test_each_thing_told_while_it_learned_is_a_warning_of_its_own(tmp_path):
    run = Run.create(tmp_path, "told")
    for text in ("the first", "the second", "the first"):
        run.append("events.jsonl", {"event": "warning", "text": text})
    told = [each["text"] for each in cautions.warnings(read(run)) if each["title"] == "Told while it learned"]
    assert told == ["the first", "the second"]


def test_a_page_says_why_it_has_no_summary_and_no_warnings():
    page = Reader(page_of(Frame(name="empty", footer="Nothing."), {}, {}, "no figures", "the record is damaged"))
    assert "The result cannot be told: no figures." in page.text
    assert "The warnings could not be worked out" in page.text
    assert page.ids == []
