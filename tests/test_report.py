"""The page and the card of real run folders: whole ones, unfinished ones, broken ones, and awkward names."""

import base64
import csv
import html
import io
import json
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from zansa.arch import zoo
from zansa.arch.cost import cost
from zansa.arch.spec import Block, Head, Input, Net, Stage, Stem, Step
from zansa.learn.evaluate import choose_threshold, doubtful, figures, good_class
from zansa.record import Run
from zansa import report
from zansa.report import SECTIONS, write
from zansa.report.facts import epochs, finished, read
from zansa.report.results import png_size
from zansa.report.words import amount, duration, outcome, percent, scaled

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
    run.append("events.jsonl", {"event": "start"})
    for epoch in range(1, count + 1):
        if epoch == resumed_at:
            run.append("events.jsonl", {"event": "resumed", "epoch": epoch})
        left = 1 - epoch / of
        rate = 0.05 * min(1.0, epoch / 3) * (0.5 + 0.5 * np.cos(np.pi * (1 - left)))
        loss = 0.11 + 1.6 * left**2.2 + 0.03 * np.sin(5 * epoch)
        accuracy = 0.965 - 0.45 * left**2.5 + 0.012 * np.sin(3 * epoch)
        run.append("events.jsonl", {
            "event": "epoch", "epoch": epoch, "epochs": of, "progress": epoch / of, "rate": rate, "loss": loss,
            "val_loss": loss * 1.1 + 0.05 + 0.02 * np.cos(2 * epoch), "val_accuracy": accuracy,
            "val_balanced_accuracy": accuracy - 0.06 * (1 + left), "seconds": 12.3 * epoch, "images_per_second": 1104.0,
        })  # fmt: skip
    if done:
        run.append("events.jsonl", {"event": "done"})


def evaluated(classes, seed=0, test=420, validation=410, sharpness=4.0):
    """metrics.json and examples.json of a set of classes."""
    good = good_class(classes)
    labels, p = answers(classes, validation, seed, sharpness, good)
    operating = choose_threshold(p, labels, classes, good) if good else None
    before = figures(p, labels, classes, operating)
    labels, p = answers(classes, test, seed + 1, sharpness, good)
    after = figures(p, labels, classes, operating)
    score = 1 - p[:, classes.index(good)] if good else p.max(axis=1)
    table = [["image", "part", "label", "predicted", "score"]]
    table += [[f"{i}.png", "test", classes[labels[i]], classes[p[i].argmax()], f"{score[i]:.6f}"] for i in range(test)]
    examples = []
    for place, each in enumerate(doubtful(p, labels, classes, operating, 24)):
        row = p[each["index"]]
        examples.append({
            "image": f"parts/{classes[labels[each['index']]]}/{each['index']:05d}.png", "label": classes[labels[each["index"]]],
            "predicted": classes[row.argmax()], "probability": row.max(), "why": each["why"], "png": picture(place),
            "score": 1 - row[classes.index(good)] if good else None,
        })  # fmt: skip
    return {"validation": before, "test": after}, examples, table


def priced(net):
    price = cost(net, batch=64)
    memory = {"train": price.train_bytes, "infer": price.infer_bytes}
    return {"macs": price.macs, "params": price.params, "depth": price.depth, "activation_bytes": memory, "batch": 64}


def described(classes, synthetic=False, **more):
    rng = np.random.default_rng(5)
    counts = {name: int(40 + 400 * rng.random() ** 3) * (5 if name == "good" else 1) for name in classes}
    return {
        "source": "parts/line3", "kind": "surface", "classes": list(classes), "size": [64, 64], "channels": 1,
        "counts": {split: {name: int(n * share) for name, n in counts.items()} for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15))},
        "problems": [], "leaks": [], "groups": 212, "split": "random by group", "synthetic": synthetic, **more,
    }  # fmt: skip


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
            "threads": t,
            "precision": "float32",
            "batch": b,
            "ms": ms,
            "repeats": 50,
        }
        for t, b, ms in ((1, 1, 4.31), (2, 1, 2.61), (2, 32, 71.4))
    ]
    metrics["training"] = {"epochs": 30, "best_epoch": 27, "seconds": 371.5, "precision": "float32", "layout": "channels_last",
                           "device": "cpu", "threads": 2, "images_per_second": 1104.0, "average": "exponential", "notes": []}  # fmt: skip
    metrics["export"] = {
        "file": "model.onnx",
        "bytes": 1_120_334,
        "images": 64,
        "largest_difference": 3.1e-6,
        "same_class": 64,
    }
    run.write_json("metrics.json", metrics)
    run.write_json("examples.json", examples)
    with (run.path / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
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
        Stage(width=96, stride=2, shortcut="pad", blocks=tuple(block(96) for _ in range(18)) + (block(32),)),
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
        assert self.open and self.open[-1] == tag, (tag, self.open[-4:])
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


def test_the_summary_counts_what_the_predictions_say(whole):
    run, page, card = whole
    threshold = run.read_json("metrics.json")["test"]["inspection"]["threshold"]
    rows = [row for row in csv.DictReader((run.path / "predictions.csv").read_text(encoding="utf-8").splitlines()) if row["part"] == "test"]
    good = [float(row["score"]) >= threshold for row in rows if row["label"] == "good"]
    bad = [float(row["score"]) >= threshold for row in rows if row["label"] != "good"]
    assert 0 < sum(good) < len(good)
    said = f"Of {len(good)} good parts, {sum(good)} would be thrown away ({100 * sum(good) / len(good):.1f} %, 95 % CI "
    found = f"All {len(bad)} defects in the held-out test images were found (100 %, 95 % CI "
    assert sum(bad) == len(bad)
    assert said in plain(page.text)
    assert found in plain(page.text)
    assert said.replace("4 would be thrown away", "**4 would be thrown away**") in card
    assert f"{len(bad)} found" in page.text
    assert f"{sum(good)} thrown away" in page.text


def test_every_figure_stands_with_counts_and_interval(whole):
    run, page, card = whole
    test = run.read_json("metrics.json")["test"]
    for rate in (test["accuracy"], *(each["recall"] for each in test["per_class"])):
        interval = f"{percent(rate['low'])[:-2]}–{percent(rate['high'])}"
        assert interval in page.text
        assert f"{rate['hits']}/{rate['count']} = {plain(percent(rate['value']))} (95 % CI {plain(interval)})" in card


def test_pictures_are_drawn_in_the_colours_of_the_page(whole):
    text = (whole[0].path / "report.html").read_text(encoding="utf-8")
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert sum("<text" in drawing for drawing in drawings) >= 6
    assert not [drawing for drawing in drawings if re.search(r"#[0-9a-f]{6}\b|rgb\(", drawing)]
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    for colour in set(re.findall(r"var\((--[\w-]+)\)", text)) - {"--low", "--high", "--value"}:
        assert f"{colour}:" in text, colour


def test_the_same_run_gives_the_same_page(whole):
    run = whole[0]
    before = (run.path / "report.html").read_bytes(), (run.path / "card.md").read_bytes()
    write(run)
    assert before == ((run.path / "report.html").read_bytes(), (run.path / "card.md").read_bytes())


@pytest.mark.parametrize("name", ["spec.json", "recipe.json", "environment.json", "data.json", "metrics.json",
                                  "examples.json", "events.jsonl", "edits.jsonl", "predictions.csv"])  # fmt: skip
@pytest.mark.parametrize("damage", ["gone", "torn", "empty", "another type", "no text"])
def test_any_file_may_be_missing_or_broken(whole, tmp_path, name, damage):
    run = Run(tmp_path / "run")
    shutil.copytree(whole[0].path, run.path)
    path = run.path / name
    content = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    if damage != "gone":
        path.write_bytes({"torn": content[: len(content) // 2], "empty": b"", "another type": b'[3, "x"]\n', "no text": b"\xff\xfe\x00"}[damage])
    shown = headings(read_page(run))
    reads = {"spec.json": {"network"}, "data.json": {"data"}, "examples.json": {"examples"},
             "environment.json": {"environment"}, "events.jsonl": {"training"},
             "metrics.json": {"figures", "operating", "confusion", "classes", "cost", "export", "decided"}}  # fmt: skip
    lost = reads.get(name, set()) if (name, damage) != ("events.jsonl", "torn") else set(SECTIONS) - set(shown)
    if (name, damage) == ("environment.json", "another type"):
        lost = set()
    assert set(SECTIONS) - set(shown) == lost
    assert ("left-out" in shown) == bool(lost)


def test_a_damaged_metrics_file_costs_only_what_is_damaged(whole, tmp_path):
    run = Run(tmp_path / "run")
    shutil.copytree(whole[0].path, run.path)
    whole_metrics = run.read_json("metrics.json")
    for path in places(whole_metrics):
        for other in (None, [], "text", -1):
            metrics = json.loads(json.dumps(whole_metrics))
            replace(metrics, path, other)
            facts = read(run) | {"metrics": metrics}
            Reader(report.page(facts))
            report.card(facts)


def places(value, path=()):
    """The paths of a JSON value that stand for all others: the first two entries of lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, each in entries:
        yield (*path, key)
        if len(path) < 3:
            yield from places(each, (*path, key))


def replace(value, path, other):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = other
