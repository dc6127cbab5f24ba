"""One-dimensional data from the table to the exported file: signals and sequences of letters."""

import base64
import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zansa.arch.lower import lower
from zansa.arch.use import Preprocess
from zansa.deploy import runtime
from zansa.inputs.columns import columns
from zansa.inputs.pictures import picture
from zansa.inputs.series import encode, fit_signal, prepare_series
from zansa.inputs.tables import open_table
from zansa.jobs.evaluate import evaluate
from zansa.jobs.export import export_model
from zansa.jobs.making.examples import mapped, relevance
from zansa.jobs.request import EvaluateRequest, TrainRequest
from zansa.jobs.train import resume, train
from zansa.learn.data import contradictions, from_series, leaks, load, split
from zansa.learn.data.augment import augment, defaults
from zansa.learn.data.series import default_alphabet
from zansa.learn.data.splits import Parts
from zansa.learn.defaults import default_net
from zansa.learn.predict import to_tensor
from zansa.learn.recipe import Augment
from zansa.nets.build import build
from zansa.record import Run
from zansa.report import write as write_report

LENGTH = 24


def write(path: Path, rows, delimiter=",") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def waves(count: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Slow and fast waves of random phase, with a little noise."""
    rng = np.random.default_rng(seed)
    labels = ["slow", "fast"] * (count // 2)
    speed = np.array([2.0 if label == "slow" else 5.0 for label in labels])
    time = np.linspace(0, 2 * np.pi, LENGTH)
    x = np.sin(speed[:, None] * time + rng.uniform(0, 6, (count, 1))) + 0.1 * rng.standard_normal((count, LENGTH))
    return x.astype(np.float32), labels


def wave_rows(count: int, seed: int = 0):
    x, labels = waves(count, seed)
    header = ["label", *(f"t{i}" for i in range(LENGTH))]
    return [header, *([label, *values] for label, values in zip(labels, x.tolist(), strict=True))]


def strands(count: int, seed: int = 0):
    """DNA with TATA in the middle, or without."""
    rng = np.random.default_rng(seed)
    rows = [["sequence", "label"]]
    for i in range(count):
        letters = "".join(rng.choice(list("ACGT"), 20))
        rows.append([letters[:8] + "TATAAT" + letters[14:] if i % 2 else letters, "box" if i % 2 else "none"])
    return rows


# --- which column is what ------------------------------------------------------------------------------------------

NUMBERS = ["0.5", "1", "2.5", "1.5"]


@pytest.mark.parametrize(
    ("rows", "label", "numbers"),
    [
        ([["a", "b", "class"], ["1.5", "2", "x"]], 2, (0, 1)),
        ([["a", "label", "b"], ["1.5", "2", "3"]], 1, (0, 2)),
        ([["outcome", "b", "c"], ["ill", "2.5", "3.5"]], 0, (1, 2)),
        ([["a", "b", "outcome"], ["0.5", "2.5", "3"], ["1.5", "2.5", "1"]], 2, (0, 1)),
        ([["1", "0.5", "2.5"], ["2", "0.5", "2.5"]], 0, (1, 2)),  # UCR: no header
        ([["1.0", "0.5", "0.0e0"], ["0.5", "0.5", "1.0e0"]], 2, (0, 1)),
        ([["id", "group", "split", "a", "b", "target"], ["7", "p", "train", "1.5", "2", "0"]], 5, (3, 4)),
        ([["a", "b"], ["1", "2"]], None, (0, 1)),  # both could be it
        ([["a", "b"], ["1.5", "2.5"]], None, (0, 1)),  # neither can
    ],
)
def test_the_label_is_named_or_the_one_end_that_can_be_it(tmp_path, rows, label, numbers):
    found = columns(open_table(write(tmp_path / "t.csv", rows)))
    assert (found.label, found.numbers) == (label, numbers)


def test_a_table_of_just_the_models_length_has_no_label_at_its_end(tmp_path):
    table = open_table(write(tmp_path / "t.csv", [["1", "0.5", "2.5"]]))
    assert columns(table, length=3).numbers == (0, 1, 2)
    assert columns(table, length=2).numbers == (1, 2)


def test_a_table_gives_samples_parts_groups_and_names(tmp_path):
    rows = [["id", "t0", "t1", "t2", "label", "split", "group"]]
    rows += [[f"s{i}", i, 0.5, -i, "ab"[i % 2], ["train", "valid", "test"][i // 4], f"p{i // 2}"] for i in range(12)]
    data = load(write(tmp_path / "t.csv", rows))
    assert (data.images.shape, data.images.dtype, data.kind) == ((12, 3, 1), np.float32, "signal")
    assert data.images[3, :, 0].tolist() == [3, 0.5, -3]
    assert (data.classes, data.names[3], data.groups[3]) == (("a", "b"), "s3", "p1")
    parts = split(data, 0)
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [4, 4, 4]
    mean = data.normalised(parts.train).preprocess.mean[0]
    assert mean == pytest.approx(data.images[:4].mean())


def test_files_of_the_ucr_archive(tmp_path):
    for part, count in (("TRAIN", 8), ("TEST", 6)):
        write(tmp_path / f"Wave_{part}.tsv", [[i % 2 + 1, i + 0.5, 1.5, 2.5] for i in range(count)], "\t")
    data = load(tmp_path)
    assert (data.images.shape, data.classes) == ((14, 3, 1), ("1", "2"))
    assert sorted(data.split.tolist()) == ["test"] * 6 + ["train"] * 8
    assert data.names[0] == "Wave_TEST.tsv row 1"


def test_whole_numbers_are_classes_however_they_are_written(tmp_path):
    rows = [["0.5", "1.5", f"{i % 3:.3e}"] for i in range(9)]
    assert load(write(tmp_path / "t.csv", rows)).classes == ("0", "1", "2")


def test_copies_are_found_and_kept_together(tmp_path):
    rows = wave_rows(20)
    rows += [rows[1], ["fast", *rows[1][1:]]]  # a copy, and one with another label
    data = load(write(tmp_path / "t.csv", rows))
    assert data.digests[0] == data.digests[20] == data.digests[21]
    assert contradictions(data) == [("row 2", "row 23")]
    parts = split(data, 0)
    assert leaks(data, parts) == []
    assert sum({0, 20, 21} <= set(part.tolist()) for part in (parts.train, parts.val, parts.test)) == 1
    torn = Parts(np.arange(10), np.arange(10, 20), np.array([20]))
    assert leaks(data, torn) == [("row 2", "row 22")]


# --- letters -------------------------------------------------------------------------------------------------------


def test_letters_become_twelfths():
    assert encode("ACGTU", 5, "ACGT").tolist() == [
        [12, 0, 0, 0],
        [0, 12, 0, 0],
        [0, 0, 12, 0],
        [0, 0, 0, 12],
        [0, 0, 0, 12],
    ]
    assert encode("NRB-é", 6, "ACGT").tolist() == [[3, 3, 3, 3], [6, 0, 6, 0], [0, 4, 4, 4], *[[0] * 4] * 3]
    assert encode("BA", 2, "AB").tolist() == [[0, 12], [12, 0]]  # another alphabet: B is itself
    assert (encode("BZX", 3, "ACDEFGHIKLMNPQRSTVWY").sum(axis=1) == [12, 12, 0]).all()


@pytest.mark.parametrize(
    ("sequences", "alphabet"),
    [
        (["ACGT", "GGNA" * 3], "ACGT"),
        (["acgu".upper()], "ACGT"),
        (["MKVLAAGRSTPQNDEFHIWYC", "MKXB" + "ACDEFGHIKLMNPQRSTVWY" * 2], "ACDEFGHIKLMNPQRSTVWY"),
        (["ABAB", "BBA"], "AB"),  # though A and B are codes of nucleotides
        (["UDLR", "UUDD"], "DLRU"),
    ],
)
def test_the_alphabet_is_that_of_the_letters(sequences, alphabet):
    assert default_alphabet(sequences) == alphabet


def test_sequences_of_several_lengths_are_filled_up_and_it_is_told(tmp_path):
    rows = [["Sequence", "label"], *([["acg", "x"], ["ACGTA", "y"]] * 4)]
    data = load(write(tmp_path / "t.csv", rows))
    assert (data.images.shape, data.images.dtype, data.kind) == ((8, 5, 4), np.uint8, "sequence")
    assert not data.images[0, 3:].any()
    assert any("lengths from 3 to 5: all were filled up" in remark for remark in data.remarks)
    shares = to_tensor(data.normalised(np.arange(4)), np.arange(2), torch.device("cpu"), torch.channels_last)
    assert shares.shape == (2, 4, 5)
    assert shares.sum(1).tolist() == [[1, 1, 1, 0, 0], [1] * 5]


def test_letters_of_the_test_part_do_not_enter_the_alphabet():
    sequences, labels = ["ABAB", "BBAA"] * 3 + ["ABQ"], ["x", "y"] * 3 + ["x"]
    data = from_series(sequences, labels, split=["train"] * 4 + ["val"] * 2 + ["test"])
    assert data.preprocess.alphabet == "AB"
    assert data.problems == ("row 6: unknown, read as nothing: Q",)


# --- numbers -------------------------------------------------------------------------------------------------------


def test_signals_are_interpolated_or_filled_up_to_one_length():
    ramp = np.arange(10, dtype=np.float32)[:, None] * [1, -1]
    shorter = fit_signal(ramp.astype(np.float32), 5, "stretch")
    assert np.allclose(shorter[1:-1, 0], [2.5, 4.5, 6.5])
    assert np.allclose(shorter[:, 1], -shorter[:, 0])
    longer = fit_signal(ramp.astype(np.float32), 20, "stretch")
    assert np.allclose(np.diff(longer[1:-1, 0]), 0.5)
    assert fit_signal(np.float32([[1], [2]]), 4, "letterbox").tolist() == [[1], [2], [2], [2]]
    assert fit_signal(np.float32([[1], [2], [3]]), 2, "letterbox").tolist() == [[1], [2]]


def test_empty_cells_at_the_end_say_that_a_series_is_shorter(tmp_path):
    rows = [
        ["label", *"abcdef"],
        *([["x", 1, 2, 3, 4, "", "NaN"], ["y", 1, 2, 3, 4, 5, 6]] * 3),
        ["y", 1, 2, 3, 4, 5, 7],
    ]
    data = load(write(tmp_path / "t.csv", rows))
    assert data.images.shape == (7, 6, 1)  # the median
    assert data.images[0, -1] == 4
    assert load(tmp_path / "t.csv", fit="letterbox").images[0, :, 0].tolist() == [1, 2, 3, 4, 4, 4]
    assert load(tmp_path / "t.csv", size=3).images.shape == (7, 3, 1)


def test_arrays_are_read_as_channels_and_length(tmp_path):
    signals = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    np.savez(tmp_path / "a.npz", signals=np.repeat(signals, 2, 0), labels=["x", "y"] * 2, groups=[1, 1, 2, 2])
    data = load(tmp_path / "a.npz")
    assert (data.images.shape, data.preprocess.channels) == ((4, 8, 3), 3)
    assert data.images[2, :, 1].tolist() == signals[1, 1].tolist()
    assert data.groups.tolist() == ["1", "1", "2", "2"]
    np.savez(tmp_path / "b.npz", signals=np.moveaxis(signals, 1, 2), labels=["x", "y"])
    with pytest.raises(ValueError, match=r"\(2, 8, 3\), read as \(N, channels, length\).*np.moveaxis\(signals, 2, 1\)"):
        load(tmp_path / "b.npz")


# --- bad input -----------------------------------------------------------------------------------------------------

GOOD_ROWS = [["label", "a", "b", "c"], *([["x", 1, 2, 3], ["y", 3, 2, 1.5]] * 4)]


def with_cell(value, row=2, column=2):
    rows = [list(row) for row in GOOD_ROWS]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (with_cell(""), "t.csv, row 3: number 2 is empty; needed: a number in every column of numbers"),
        (with_cell("nan"), "t.csv, row 3: number 2 is nan; needed: finite numbers, fill gaps first"),
        (with_cell("inf"), "row 3: number 2 is inf"),
        (with_cell("1,5"), "row 3: number 2 is '1,5'; .*write decimals with a point"),
        (with_cell("", column=0), "row 3: the label is empty"),
        ([*GOOD_ROWS, ["x", 1, 2]], "row 10: 3 cells; the header has 4"),
        ([*GOOD_ROWS, ["x", "", "", ""]], "row 10: there are no numbers"),
        ([GOOD_ROWS[0], ["x", "word", 2, 3]], "'a' is no column of numbers .*rename it to id"),
        (
            [["a", "b", "c"], [1, 2, 3], [2, 3, 4]],
            "not clear which column is the label; name it label, class or target",
        ),
        ([["label", "class", "a", "b"], ["x", "y", 1, 2]], "the columns label and class; only one can be the label"),
        ([["label", "sequence"]], "t.csv has no rows below its header"),
        ([["label", "sequence"], ["x", "ACGT"], ["y", " "]], "row 3: the sequence is empty"),
        ([["label", "sequence", "split"], ["x", "ACGT", "tset"]], "row 2: the split is 'tset'; allowed: train"),
        ([["label", "remark"], ["x", "good"]], "has no column path .*or columns of numbers in place of path"),
    ],
)
def test_bad_tables(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path / "t.csv", rows))


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["x"] * 4, "there is one class only"), (["x", "y", "y", "y"], "class x has one signal; at least two are needed")],
)
def test_classes_that_cannot_be_learnt(labels, message):
    with pytest.raises(ValueError, match=message):
        split(from_series(np.eye(4, 6), labels), 0)


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        ([], {}, "no series were given"),
        (["ACGT", "ACGA"], {"labels": ["x"]}, "2 series, but 1 labels"),
        (["ACGT", np.zeros(4)], {}, "row 1 is empty, or of another kind than row 0"),
        ([np.zeros((2, 2, 2))] * 2, {}, "row 0: it is float64"),
        ([np.zeros((4, 1)), np.zeros((4, 2))], {}, "row 1: it has 2 channels; this model takes 1"),
        (np.eye(2, 5), {"channels": 3}, "channels=3 was asked, and these signals have 1"),
        (np.eye(2, 5), {"kind": "surface"}, "kind='surface' was asked, and these are signals"),
        (np.eye(2, 5), {"size": (4, 8)}, "a series has one length"),
        (np.eye(2, 5), {"fit": "crop"}, "fit='crop' was asked; allowed: letterbox"),
        (["".join(map(chr, range(33, 127)))] * 2, {}, "different symbols .*allowed: at most 64"),
    ],
)
def test_bad_series(values, settings, message):
    with pytest.raises(ValueError, match=message):
        from_series(values, **({"labels": ["x", "y"][: len(values)]} | settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"size": (8,), "depth": 8},
        {"size": (8, 8), "depth": 32},
        {"size": (8, 8), "alphabet": "A"},
        {"size": (8,), "alphabet": "AC"},
        {"size": (8,), "alphabet": "A", "fit": "stretch"},
    ],
)
def test_a_preprocessing_is_one_of_images_signals_or_letters(settings):
    with pytest.raises(ValueError, match="alphabet"):
        Preprocess(channels=1, **settings)


# --- augmentation and network --------------------------------------------------------------------------------------


def test_signals_change_a_little_and_the_same_generator_gives_the_same():
    x = torch.from_numpy(waves(16)[0])[:, None]
    one, two = (augment(x, defaults("signal"), torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.shape == x.shape
    assert torch.equal(one, two)
    assert 0.01 < (one - x).abs().mean() < 0.6


def test_a_shift_in_time_invents_no_numbers():
    x = torch.arange(40.0).reshape(2, 1, 20)
    out = augment(x, Augment(shift=0.2), torch.Generator().manual_seed(0))
    assert not torch.equal(out, x)
    assert set(out[0].flatten().tolist()) <= set(x[0].flatten().tolist())


def test_letters_stay_by_default_and_those_that_are_blanked_are_nothing():
    x = torch.eye(4)[torch.randint(4, (8, 30), generator=torch.Generator().manual_seed(1))].transpose(1, 2)
    assert torch.equal(augment(x, defaults("sequence"), torch.Generator().manual_seed(0)), x)
    out = augment(x, Augment(erase=0.3), torch.Generator().manual_seed(0))
    kept = out.sum(1) > 0
    assert 0.7 < kept.float().mean() < 0.95
    assert torch.equal(out, x * kept[:, None])


def test_the_other_strand_is_read_backwards_with_its_partners():
    forward, backward = (torch.from_numpy(encode(text, 6, "ACGT") / 12).T[None] for text in ("AACGTC", "GACGTT"))
    out = augment(forward.repeat(32, 1, 1), Augment(reverse_complement=True), torch.Generator().manual_seed(0))
    turned = (out == backward).all(dim=(1, 2))
    assert 4 < turned.sum() < 28
    assert (turned | (out == forward).all(dim=(1, 2))).all()


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        (Augment(rotate=5, flip_y=True), (2, 1, 8), "flip_y, rotate is not for series"),
        (Augment(reverse_complement=True), (2, 5, 8), "needs the letters A, C, G and T; these series have 5"),
        (Augment(reverse_complement=True), (2, 4, 8, 8), "reverse_complement is not for images"),
    ],
)
def test_switches_without_a_meaning_are_refused(settings, shape, message):
    with pytest.raises(ValueError, match=message):
        augment(torch.zeros(shape), settings, torch.Generator())


@pytest.mark.parametrize("length", [2, 8, 24, 60, 150, 3600])
def test_the_default_network_suits_every_length(length):
    net = default_net((length,), 2, 3, "signal")
    assert lower(net).rows[-2].size_in[0] <= 4  # what the pooling sees
    assert build(net).eval()(torch.zeros(2, 2, length)).shape == (2, 3)


# --- the whole job -------------------------------------------------------------------------------------------------

RECIPE = {"epochs": 8, "batch": 8, "precision": "float32"}


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    table = write(folder / "waves.csv", wave_rows(60))
    return table, train(TrainRequest(source=str(table), recipe=RECIPE), folder / "runs", "run")


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("letters")
    table = write(folder / "strands.csv", strands(60))
    recipe = RECIPE | {"epochs": 2, "augment": {"reverse_complement": True}}
    return table, train(TrainRequest(source=str(table), net="cifar_resnet8", recipe=recipe), folder / "runs", "run")


def test_waves_are_learnt_and_the_exported_file_agrees(signals):
    metrics = signals[1].read_json("metrics.json")
    assert metrics["test"]["accuracy"]["value"] > 0.85
    assert metrics["export"]["largest_difference"] < 1e-4
    assert metrics["export"]["noun"] == "signal"
    assert metrics["latency"][0]["size"] == [LENGTH]


def test_predict_answers_every_row_without_torch_and_without_labels(signals, tmp_path):
    table, run = signals
    rows = wave_rows(60)
    bare = write(tmp_path / "new.csv", [row[1:] for row in rows])
    code = "import sys; from zansa.cli import app\ntry: app(['predict', *sys.argv[1:]])\nexcept SystemExit: pass\n"
    code += "sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, str(run.path / "model.onnx"), str(bare)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = list(csv.DictReader(io.StringIO(told)))
    before = {row["sample"]: row for row in csv.DictReader((run.path / "predictions.csv").read_text().splitlines())}
    assert len(found) == 60
    assert all(row["class"] == before[row["sample"]]["predicted"] for row in found if row["sample"] in before)
    predictor = runtime.predictor(run.path / "model.onnx")
    labelled = list(runtime.predict(predictor, [table]))
    assert [row["class"] for row in labelled] == [row["class"] for row in found]


def test_predict_tells_what_it_could_not_read(letters, signals, tmp_path):
    predictor = runtime.predictor(letters[1].path / "model.onnx")
    rows = [["id", "sequence"], ["a", "acgtacgtacgtacgtacgtAAA"], ["b", "ACQ?"], ["c", "???"], ["d", ""]]
    found = list(runtime.predict(predictor, [write(tmp_path / "new.csv", rows)]))
    assert [row["sample"] for row in found] == list("abcd")
    assert [row["note"] for row in found] == ["cut to the first 20 of 23", "unknown, read as nothing: ? Q", None, None]
    assert [row["error"] for row in found[:2]] == [None, None]
    assert "none of its letters is known" in found[2]["error"]
    assert "the sequence is empty" in found[3]["error"]
    with pytest.raises(ValueError, match="has no column sequence; this model takes sequences"):
        list(runtime.predict(predictor, [signals[0]]))
    with pytest.raises(
        ValueError, match=r"new.parquet is not there; a model of sequences takes \.csv, \.tsv, \.ts, \.arff and \.npz"
    ):
        list(runtime.predict(predictor, [tmp_path / "new.parquet"]))


def test_the_models_own_alphabet_and_length_hold_for_other_data(letters, tmp_path):
    _, run = letters
    rows = [["sequence", "label"], *([["ACGTNNNACG", "box"], ["TTTT", "none"]] * 2)]
    table = write(tmp_path / "few.csv", rows)
    by_torch, by_file = (
        evaluate(EvaluateRequest(model=str(path), source=str(table))) for path in (run.path, run.path / "model.onnx")
    )
    assert by_torch["confusion"] == by_file["confusion"]
    assert by_torch["count"] == 4
    with pytest.raises(ValueError, match="the model takes letters, and these are signals"):
        evaluate(EvaluateRequest(model=str(run.path), source=str(write(tmp_path / "n.csv", wave_rows(4)))))
    parity = export_model(run.path, [table], tmp_path / "again.onnx")
    assert parity["images"] == 4
    assert (tmp_path / "again.onnx").read_bytes()[:10]


def test_an_interrupted_run_goes_on_to_the_same_result(signals, tmp_path):
    table, whole = signals

    class Killed(BaseException):
        pass

    def stop(event):
        if event["event"] == "epoch" and event["epoch"] == 5:
            raise Killed

    with pytest.raises(Killed):
        train(TrainRequest(source=str(table), recipe=RECIPE), tmp_path, "broken", stop)
    run = resume(tmp_path / "broken")
    assert run.read_json("metrics.json")["test"] == whole.read_json("metrics.json")["test"]


@pytest.mark.parametrize(("made", "noun"), [("signals", "signal"), ("letters", "sequence")])
def test_the_report_speaks_of_what_it_shows(made, noun, request):
    _, run = request.getfixturevalue(made)
    page, card = ((run.path / name).read_text() for name in ("report.html", "card.md"))
    for text in (page, card):
        assert f"test {noun}s" in text
        assert not any("\ue000" <= sign <= "\uf8ff" for sign in text)
        assert "test images" not in text
    assert "data:image/png;base64," in page
    shown = run.read_json("examples.json")
    assert shown
    assert run.read_json("data.json")["noun"] == noun


def test_the_report_shows_what_counted_for_wrong_series(letters, tmp_path):
    """Every row as if it were wrong: the pictures are those of the exported file's map and of the relevance."""
    table, run = letters
    data = load(str(table))
    rows = np.arange(3)
    file = runtime.predictor(run.path / "model.onnx")
    told = mapped(data, rows, file, run.path / "model.safetensors")
    fine = relevance(data, rows, run.path / "model.safetensors")
    for i, shares in zip(rows, fine, strict=True):
        assert told[i]["cells"] == list(file.cells)
        assert told[i]["map"] != told[i]["places"]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(told[i]["places"]))).convert("RGB"), int)
        wide = pixels.shape[1] // 24
        at = int(abs(shares).argmax())
        red, _, blue = pixels[24 * (at // wide) + 2, 24 * (at % wide) + 2]
        assert np.sign(red - blue) == np.sign(shares[at])  # red speaks for, blue against
    shown = Run(shutil.copytree(run.path, tmp_path / "run"))
    example = shown.read_json("examples.json")[0] | told[0] | {"why": "confused"}
    shown.write_json("examples.json", [example])
    for language, text in (("en", f"what each of {file.cells[0]} stretches of a sequence"), ("ja", "層別の寄与")):
        page = write_report(shown, language).read_text()
        assert told[0]["map"] in page
        assert told[0]["places"] in page
        assert text in page


def test_colours_stand_behind_the_places_of_a_signal():
    pre = Preprocess(channels=1, size=(40,), depth=32)
    level, values = np.zeros((40, 1), np.float32), np.array([0.0, 1.0, -1.0, 0.0])
    pixels = np.asarray(Image.open(io.BytesIO(picture(level, pre, values))).convert("RGB"), int)[10]
    tint = pixels[:, 0] - pixels[:, 2]
    assert abs(int(tint.argmax()) / len(tint) - 0.375) < 0.03
    assert abs(int(tint.argmin()) / len(tint) - 0.625) < 0.03
    assert (pixels[:12] == 255).all()  # the margin


def test_pictures_differ_with_what_they_show():
    signal = Preprocess(channels=2, size=(50,), depth=32, fit="stretch")
    calm, wave = np.zeros((50, 2), np.float32), np.sin(np.arange(100, dtype=np.float32)).reshape(50, 2)
    assert picture(calm, signal) != picture(wave, signal)
    dna = Preprocess(channels=4, size=(300,), alphabet="ACGT")
    pixels = Image.open(io.BytesIO(picture(encode("A" * 280 + "N" * 10, 300, "ACGT"), dna)))
    assert len(pixels.getcolors(10_000)) > 3
    assert pixels.width * pixels.height < 400_000


def test_reverse_complement_is_for_dna(signals, tmp_path):
    asked = TrainRequest(source=str(signals[0]), recipe={"augment": {"reverse_complement": True}})
    with pytest.raises(ValueError, match="allowed: for DNA, and these are signals of numbers"):
        train(asked, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_image_model_takes_no_series_and_the_other_way_round(signals, tmp_path):
    rows = [["path", "label"], *([["a.png", "x"], ["b.png", "y"]] * 2)]
    for name in "ab":
        Image.new("L", (8, 8)).save(tmp_path / f"{name}.png")
    manifest = write(tmp_path / "m.csv", rows)
    assert load(manifest).kind != "signal"  # the columns decide
    with pytest.raises(ValueError, match=r"the model takes images, and .* holds series"):
        load(signals[0], like=Preprocess(channels=1, size=(8, 8)))
    with pytest.raises(ValueError, match="the model takes signals, and these data are images"):
        load(manifest, like=Preprocess(channels=1, size=(8,), depth=32))


def test_the_preprocessing_stands_in_both_files(letters):
    _, run = letters
    told = json.loads(json.dumps(run.read_json("data.json")["preprocess"]))
    assert runtime.predictor(run.path / "model.onnx").preprocess == Preprocess.model_validate(told)
    assert (told["alphabet"], told["size"], told["std"]) == ("ACGT", [20], [12.0])
    levels, note = prepare_series("acgt".upper(), Preprocess.model_validate(told))
    assert (levels.shape, note) == ((20, 4), "")


def test_a_first_row_with_a_word_as_its_label_is_data(tmp_path):
    (tmp_path / "a.csv").write_text("good,0.1,0.2,0.3\nbad,0.4,0.5,0.6\n")
    assert [cells[0] for _, cells in open_table(tmp_path / "a.csv").rows()] == ["good", "bad"]
    (tmp_path / "b.csv").write_text("label,0,1,2\nbad,0.4,0.5,0.6\n")  # as pandas writes it
    assert [cells[0] for _, cells in open_table(tmp_path / "b.csv").rows()] == ["bad"]
