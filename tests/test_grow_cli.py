"""`zansa grow` as people use it: real files, real kills, and a real start."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command import STEADY, fill, killed, process, refused, zansa
from safetensors.numpy import load_file

from zansa.arch.apply import apply
from zansa.arch.axes import remappable
from zansa.arch.cost import cost
from zansa.arch.edits import Widen, edit_from_dict
from zansa.arch.spec import Net
from zansa.arch.use import Preprocess
from zansa.deploy.clock.timing import REFERENCE, timer
from zansa.learn.grow.start import scaled, thinned

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import milliseconds

SHORT = ["--epochs", "7", "--batch", "16", *STEADY]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("images") / "parts", count=300)


@pytest.fixture(scope="module")
def frontier(images, tmp_path_factory):
    """A growth to two budgets."""
    out = tmp_path_factory.mktemp("runs")
    result = process("grow", images, "--budget", "macs=800k,1.6M", "--out", out, "--name", "grown", *SHORT)
    assert result.returncode == 0, result.stderr
    return out, result


def nets(run):
    """The first network, the last, and the last by the journal."""
    first, last = (Net.from_dict(json.loads((run / f"{name}.json").read_text())) for name in ("start", "spec"))
    replayed = first
    for line in (run / "edits.jsonl").read_text().splitlines():
        replayed = apply(replayed, edit_from_dict(json.loads(line)["edit"]))
    return first, last, replayed


def test_every_budget_has_a_whole_run_within_it(frontier):
    out, result = frontier
    for name, limit in (("grown", 1_600_000), ("grown-macs-800k", 800_000)):
        first, last, replayed = nets(out / name)
        assert replayed == last != first
        assert cost(first).macs < cost(last).macs <= limit
        metrics = json.loads((out / name / "metrics.json").read_text())
        assert metrics["cost"]["macs"] == cost(last).macs
        assert metrics["test"]["count"]
        assert (metrics["training"].get("race_seconds", 0) > 0) == (name == "grown")
        page = (out / name / "report.html").read_text()
        assert "How it grew" in page
        race = json.loads((out / name / "race.json").read_text())
        assert [line["net"] for line in race if line["won"]] == [first.to_json(None)]
        assert all(line["name"] in page for line in race)
        assert "interrupted" not in page
        assert "images to learn from" in page
        assert ("a smaller budget of" in page) == (name != "grown")
        assert not any((out / name / gone).exists() for gone in ("checkpoint.pt", "race"))
        assert name in result.stdout
    assert "balanced" in result.stdout
    assert " of 1.60 M multiply-adds" in result.stderr  # the live line of what has changed
    assert result.stderr.count("Each such line says how far the training is") == 1  # its legend
    assert "is finished" in refused("resume", out / "grown")


def test_the_journal_is_explained(frontier):
    out, _ = frontier
    told = zansa("report", out / "grown", "--step", "last")
    assert told.returncode == 0
    assert "came" in told.stdout
    assert "multiply-adds" in told.stdout
    assert "step" in refused("report", out / "grown", "--step", "1")


def test_a_growth_killed_three_times_goes_on_to_the_same_networks(images, frontier, tmp_path):
    """In the race, behind a fork, and in the branch."""
    command = ["grow", str(images), "--budget", "macs=800k,1.6M", "--out", str(tmp_path), "--name", "grown", *SHORT]
    for place in ("grown/race", "grown-macs-800k/checkpoint.pt", "grown/report.html"):
        killed(tmp_path / place, *command)
        command = ["resume", str(tmp_path / "grown")]
    result = process(*command)
    assert result.returncode == 0, result.stderr
    for name in ("grown", "grown-macs-800k"):
        whole, broken = (load_file(out / name / "model.safetensors") for out in (frontier[0], tmp_path))
        assert whole.keys() == broken.keys()
        assert all(np.array_equal(whole[key], broken[key]) for key in whole)
        assert (frontier[0] / name / "edits.jsonl").read_text() == (tmp_path / name / "edits.jsonl").read_text()


def test_a_trained_network_is_brought_to_a_budget(images, frontier, tmp_path):
    """A grown one, and a larger one of somebody else's making."""
    large = frontier[0] / "grown"
    result = zansa(
        "grow", images, "--budget", "params=5k", "--from", large, "--out", tmp_path, "--name", "less", *SHORT
    )
    assert result.returncode == 0, result.stderr
    first, last, replayed = nets(tmp_path / "less")
    assert replayed == last
    assert first.stages == nets(large)[1].stages
    assert cost(last).params <= 5_000 < cost(first).params


def test_resbuilder_from_the_command_line(tmp_path):
    images = fill(tmp_path / "parts", count=120)
    words = ["--method", "resbuilder", "--budget", "macs=1M", "--epochs", "1", "--batch", "16", *STEADY]
    result = zansa("grow", images, *words, "--mend", "duplicates_allowed", "--out", tmp_path, "--name", "rb")
    assert result.returncode == 0, result.stderr
    first, last, replayed = nets(tmp_path / "rb")
    assert replayed == last != first
    assert "fault" in refused("grow", images, *words, "--mend", "all,nonsense", "--out", tmp_path)


def test_published_resbuilder_keeps_no_weights(images, frontier, tmp_path):
    told = refused(
        "grow",
        images,
        "--method",
        "resbuilder",
        "--budget",
        "macs=1M",
        "--from",
        frontier[0] / "grown",
        "--out",
        tmp_path,
    )
    assert "kept_weights" in told
    assert list(tmp_path.iterdir()) == []


def test_bad_budgets(images, tmp_path):
    assert "smiles=3" in refused("grow", images, "--budget", "smiles=3", "--out", tmp_path)  # others in test_budget.py
    assert "--budget" in refused("grow", images, "--out", tmp_path)
    assert "thinnest" in refused("grow", images, "--budget", "macs=1k", "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- milliseconds ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_time(images, tmp_path_factory):
    """A growth to half as much again as the thinnest network takes; the folder of runs, that of the table, and the
    time of the thinnest."""
    out, table = tmp_path_factory.mktemp("timed"), tmp_path_factory.mktemp("table")
    grow = ["grow", images, "--out", out, "--epochs", "3", "--batch", "16", *STEADY]
    least = float(zansa(*grow, "--budget", "ms=0.0001", ZANSA_CACHE=str(table)).stderr.split("costs ")[1].split(",")[0])
    result = zansa(*grow, "--budget", f"ms={1.5 * least:.4f}", "--name", "within", ZANSA_CACHE=str(table))
    assert result.returncode == 0, result.stderr
    return out, table, least, grow


def test_a_growth_to_milliseconds_keeps_to_them(in_time, monkeypatch):
    out, table, least, _ = in_time
    _, last, replayed = nets(out / "within")
    assert last == replayed
    final = json.loads((out / "within" / "edits.jsonl").read_text().splitlines()[-1])
    assert final["unit"] == "ms"
    assert final["price_after"] <= final["limit"] == pytest.approx(1.5 * least, rel=0.01)
    told = json.loads((out / "within" / "metrics.json").read_text())["latency"][0]
    assert "in turns" in told["what"], "by the measure of the budget, one thread"
    assert told["threads"] == 1
    assert told["ms"] == pytest.approx(final["price_after"], rel=0.5)
    monkeypatch.setenv("ZANSA_CACHE", str(table))
    times = milliseconds.timed([out / "within"])
    assert [len(rounds) for rounds in times] == [milliseconds.ROUNDS]
    line = milliseconds.row(out / "within", times[0])
    assert f"{final['price_after']:.3f} of {final['limit']:g}" in line


def test_milliseconds_that_no_network_can_keep_to_are_refused(in_time, tmp_path):
    """Also where the table promises a tenth of what everything takes."""
    out, table, least, grow = in_time
    (file,) = table.glob("latency-*.json")
    content = json.loads(file.read_text())
    parts = {name: spent for name, spent in content["parts"].items() if not name.startswith("whole")}
    content["parts"] = {name: spent if name == REFERENCE else spent / 10 for name, spent in parts.items()}
    (tmp_path / file.name).write_text(json.dumps(content))
    before = set(out.iterdir())
    result = zansa(*grow, "--budget", f"ms={0.4 * least:.4f}", "--name", "above", ZANSA_CACHE=str(tmp_path))
    assert result.returncode == 2, result.stderr
    assert "the thinnest network of this shape costs" in result.stderr
    assert set(out.iterdir()) == before


def test_a_growth_that_ends_above_its_milliseconds_says_so(in_time, tmp_path):
    """The table promises a tenth of what everything takes, and holds a tenth for the network of whole lots of channels
    that is run beforehand; the given one, of halves of lots, never becomes it."""
    out, table, least, grow = in_time
    (file,) = table.glob("latency-*.json")
    (tmp_path / file.name).write_text(file.read_text())
    preprocess = json.loads((out / "within" / "data.json").read_text())["preprocess"]
    clock = timer(tmp_path, Preprocess.model_validate(preprocess))
    net = nets(out / "within")[0]
    for axis in remappable(net):
        net = apply(net, Widen(axis=axis, count=max(1, clock.lot() // 2)))
    clock.whole(scaled(net, 0.0, clock.lot()))
    clock.ms(thinned(net, clock.lot()))
    content = json.loads((tmp_path / file.name).read_text())
    content["parts"] = {name: spent if name == REFERENCE else spent / 10 for name, spent in content["parts"].items()}
    (tmp_path / file.name).write_text(json.dumps(content))
    (tmp_path / "net.json").write_text(net.to_json())
    asked = ["--net", tmp_path / "net.json", "--budget", f"ms={0.3 * least:.4f}", "--name", "above"]
    result = zansa(*grow, *asked, ZANSA_CACHE=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "as thin as it can be" in result.stderr
    events = [json.loads(line) for line in (out / "above" / "events.jsonl").read_text().splitlines()]
    assert any("as thin as it can be" in event.get("text", "") for event in events)
    page = (out / "above" / "report.html").read_text()
    assert "Told while it learned" in page
    assert "as thin as it can be" in page
    last = json.loads((out / "above" / "edits.jsonl").read_text().splitlines()[-1])
    # it is timed anew at its last change, and may be within the limit by that after all
    assert "promised more than chance" not in page or last["price_after"] <= last["limit"]
