"""Tables as people have them: each is read right, or read and told, or refused with what to do."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zansa.arch.use import Preprocess
from zansa.deploy import runtime
from zansa.inputs.columns import holds_series
from zansa.inputs.encodings import encoding_of
from zansa.inputs.tables import number_spelling, open_table
from zansa.jobs.request import TrainRequest
from zansa.jobs.train import train
from zansa.learn.data import load

LENGTH = 6
NAMES = [f"t{i}" for i in range(LENGTH)]


def numbers(count: int, length: int = LENGTH) -> list[list[str]]:
    return [[f"{value:.3f}" for value in row] for row in np.random.default_rng(count).normal(size=(count, length))]


def rows(count: int = 12, classes: str = "ab") -> list[list[str]]:
    """Six numbers and a label."""
    return [[*row, classes[i % len(classes)]] for i, row in enumerate(numbers(count))]


def text(table, delimiter=",") -> str:
    return "".join(delimiter.join(map(str, row)) + "\n" for row in table)


def saved(path: Path, table, delimiter=",", encoding="utf-8") -> Path:
    path.write_bytes((table if isinstance(table, str) else text(table, delimiter)).encode(encoding))
    return path


HEADER = [*NAMES, "label"]
VALUES = np.array([row[:LENGTH] for row in rows()], np.float32)[..., None]


def is_plain(data) -> bool:
    """Whether the data are those of rows(), whatever the table looked like."""
    return np.array_equal(data.images, VALUES) and data.classes == ("a", "b") and data.labels.tolist() == [0, 1] * 6


# --- 2: what a table is --------------------------------------------------------------------------------------------


def moments(head, row, series=6, length=5):
    return [head, *(row(s, t) for s in range(series) for t in range(length))]


def x(s, t):
    return round(np.sin(s + t), 3)


LONG = {
    "ids": moments(["series_id", "step", "x", "y", "label"], lambda s, t: [s, t, x(s, t), t - s, "ab"[s % 2]]),
    "words": moments(["series", "time", "x", "y", "label"], lambda s, t: [f"s{s}", t / 4, x(s, t), t - s, "ab"[s % 2]]),
    "times": moments(
        ["id", "timestamp", "x", "y", "class"], lambda s, t: [s, f"2024-05-31 12:0{t}", x(s, t), t - s, "ab"[s % 2]]
    ),
    "other names": moments(["engine", "cycle", "x", "y", "fault"], lambda s, t: [s, t, x(s, t), t - s, "ab"[s % 2]]),
    "units": moments(["part_no", "time (s)", "x", "y", "label"], lambda s, t: [s, t / 25, x(s, t), t - s, "ab"[s % 2]]),
    "frames": moments(["clip_id", "frame_no", "x", "y", "label"], lambda s, t: [s, t, x(s, t), t - s, "ab"[s % 2]]),
    "numbered": moments(["Part Number", "t", "x", "y", "label"], lambda s, t: [s, t, x(s, t), t - s, "ab"[s % 2]]),
    "Japanese": moments(["製品番号", "時刻", "x", "y", "ラベル"], lambda s, t: [s, t, x(s, t), t - s, "ab"[s % 2]]),
    "two spellings": moments(
        ["series_id", "step", "x", "y", "label"],
        lambda s, t: [f"{s}{'.0' * (t % 2)}", t, x(s, t), t - s, "ab"[s % 2]],
    ),
    "backwards": [
        ["label", "y", "x", "step", "series_id"],
        *(["ab"[s % 2], t - s, x(s, t), t, s] for t in reversed(range(5)) for s in range(6)),
    ],
}


@pytest.mark.parametrize("kind", LONG)
def test_a_row_a_moment_is_understood(tmp_path, kind):
    data = load(saved(tmp_path / "t.csv", LONG[kind]))
    channels = [data.preprocess.columns.index(name) for name in "xy"]
    found = data.images[..., channels]
    wanted = np.array([[[x(s, t), t - s] for t in range(5)] for s in range(6)], np.float32)
    assert np.array_equal(found, wanted)
    assert [data.classes[label] for label in data.labels] == list("ababab")
    assert data.names[1] in ("1", "s1")
    assert "a row is one moment of the series named in column" in data.remarks[0]


def test_series_of_several_lengths_and_uneven_steps_are_told(tmp_path):
    table = [row for row in LONG["ids"] if row[:2] not in ([0, 4], [1, 2])]
    data = load(saved(tmp_path / "t.csv", table))
    assert data.images.shape == (6, 5, 2)
    assert "its steps are uneven, and were taken as if they were even (in 1 series)" in data.remarks
    assert "lengths from 4 to 5: all were interpolated to 5" in data.remarks


def but(table, row, column, value):
    table = [list(cells) for cells in table]
    table[row][column] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (but(LONG["ids"], 2, 4, "b"), "series 0: the label is a and b; needed: one label for all its rows"),
        (but(LONG["ids"], 2, 1, "0"), "series 0: the step 0 stands twice; needed: one row a moment"),
        (but(LONG["ids"], 2, 2, ""), "series 0: step 1: number 1 is empty; .*fill gaps first"),
        ([row[:1] + row[2:] for row in LONG["ids"]], "5 rows have the series_id 0; .*name the column of their order"),
        (
            [LONG["ids"][0], *(row for row in LONG["ids"][1:] for _ in range(2))],
            "10 rows have the series_id 0, and several of them one step; needed: one row a moment",
        ),
        ([row[1:] for row in LONG["ids"]], r"column 1 \(step\) rises from row to row, like a time; .*series_id"),
        ([["sort", *row[1:]] if row[0] == "series_id" else row for row in LONG["ids"]], "tells the series apart"),
        (
            moments(["sequence", "subject", "step", "x", "label"], lambda s, t: [s, s // 2, t, x(s, t), s % 2]),
            r"column 2 \(subject\) names things, .*rename it to group",
        ),
    ],
)
def test_a_row_a_moment_that_is_unclear_is_asked_back(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        load(saved(tmp_path / "t.csv", table))


@pytest.mark.parametrize(
    ("head", "cell", "message"),
    [
        ("patient_id", lambda i: i // 3, "3 rows have the patient_id 0; .*rename the column to group"),
        ("machine", lambda i: i // 3, r"column 1 \(machine\) names things"),
        ("timestamp", lambda i: (i * 7919) % 12 + 1.7e9, r"column 1 \(timestamp\) is a time"),
        ("time", lambda i: i / 10, r"column 1 \(time\) rises from row to row, like a time"),
        ("time_s", lambda i: i / 10, r"column 1 \(time_s\) rises from row to row, like a time"),
        ("elapsed", lambda i: round(i * 0.04, 2), r"column 1 \(elapsed\) counts the rows"),
        ("nn", lambda i: i + 1, r"column 1 \(nn\) counts the rows, .*call it id, or remove it"),
        ("lotno", lambda i: f"L{i // 3}", "3 rows have the lotno L0"),
        ("made", lambda i: f"2024-05-{i + 1:02}", "'made' is no column of numbers .*rename it to id, group"),
        ("is_test", lambda i: i % 3 // 2, r"column 1 \(is_test\) says which part a row is for, .*call it split"),
        ("train", lambda i: i % 2, r"column 1 \(train\) says which part a row is for"),
        ("", lambda i: i, None),  # pandas' index
        ("Unnamed: 0", lambda i: i, None),  # and what becomes of it
        ("sample_id", lambda i: (i * 7919) % 1000, None),
        ("No.", lambda i: i + 1, None),
        ("UUID", lambda i: f"{i:08x}", None),
    ],
)
def test_names_counters_and_times_never_become_inputs(tmp_path, head, cell, message):
    path = saved(tmp_path / "t.csv", [[head, *HEADER], *([cell(i), *row] for i, row in enumerate(rows()))])
    if message:
        with pytest.raises(ValueError, match=message):
            load(path)
        return
    data = load(path)
    assert is_plain(data)
    assert data.names[1] == str(cell(1))
    assert "names the rows" in data.remarks[0]


def test_a_row_of_units_is_named(tmp_path):
    path = saved(tmp_path / "t.csv", [HEADER, ["mm/s"] * LENGTH + [""], *rows()])
    with pytest.raises(ValueError, match=r"Column t0 holds numbers but for 'mm/s' in its first row: remove that row"):
        load(path)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (-9999, "the number -9999 stands 2 times, far from all others"),
        (99999, "the number 99999 stands 2 times, far from all others"),
        (9998, ""),
        (9, ""),
    ],
)
def test_marks_of_missing_values_are_told(tmp_path, mark, told):
    table = rows()
    table[2][1] = table[7][3] = mark
    problems = load(saved(tmp_path / "t.csv", [HEADER, *table])).problems
    assert [text[: len(told)] for text in problems] == [told] * bool(told)


def test_a_counter_without_a_header_is_asked_back(tmp_path):
    with pytest.raises(ValueError, match=r"column 1 counts the rows, .*give the table a header"):
        load(saved(tmp_path / "t.csv", [[i + 1, *row] for i, row in enumerate(rows())]))


@pytest.mark.parametrize("head", ["Class", "labels", "category", "class_name", "Target ID", "ラベル", "判定"])
def test_the_label_goes_by_several_names(tmp_path, head):
    data = load(saved(tmp_path / "t.csv", [[head, *NAMES], *([row[-1], *row[:-1]] for row in rows())]))
    assert is_plain(data)


@pytest.mark.parametrize(
    "head",
    [
        [*range(400, 460, 10), "label"],
        [*(400.5 + 10.25 * i for i in range(LENGTH)), "material"],
        [*range(4000, 3940, -10), ""],
    ],
)
def test_wavelengths_are_a_header(tmp_path, head):
    data = load(saved(tmp_path / "t.csv", [[*head[:LENGTH], "label" if not head[-1] else head[-1]], *rows()]))
    assert is_plain(data)
    assert data.preprocess.columns == tuple(str(float(name)) for name in head[:LENGTH])
    assert f"columns 1 to 6 ({head[0]}, {head[1]}, {head[2]}, ..., {head[5]})" in data.remarks[0]


def test_wavelengths_in_uneven_steps_before_words(tmp_path):
    head = ["wood", 400, 403.1, 407.7, 410, 450.2, 451, 460, 461, 470]
    table = [["ab"[i % 2], *row] for i, row in enumerate(numbers(8, 9))]
    assert len(load(saved(tmp_path / "t.csv", [head, *table]))) == 8


def test_rows_that_rise_are_no_header(tmp_path):
    table = [[i % 4 + 0.5 + k * (1 + i % 2) for k in range(LENGTH)] + ["ab"[i % 2]] for i in range(10)]
    data = load(saved(tmp_path / "t.csv", table))
    assert (len(data), data.preprocess.columns) == (10, ())
    assert (
        len(
            load(
                saved(
                    tmp_path / "t.csv",
                    [["target", *row[:LENGTH]] for row in table[:3]]
                    + [["clutter", *row[:LENGTH]] for row in table[3:]],
                )
            )
        )
        == 10
    )


def test_a_first_row_that_counts_is_one_of_data_where_its_word_is_a_label(tmp_path):
    table = [[*range(LENGTH), "a"], *([*(2 * k + i for k in range(LENGTH)), "ba"[i % 2]] for i in (1, 5, 3))]
    assert open_table(saved(tmp_path / "t.csv", table)).header is None
    assert open_table(saved(tmp_path / "t.csv", [[*range(LENGTH), "kind"], *table])).header is not None


def test_what_became_of_every_column_is_told(tmp_path):
    table = [
        ["nr", "Label", "B", "A", "other_id", "group"],
        *([i, "xy"[i % 2], i % 5, i % 3, -i, i // 2] for i in range(9)),
    ]
    assert load(saved(tmp_path / "t.csv", table)).remarks == (
        "t.csv: the label is in column 2 (label); a row is a signal of 2 numbers, in columns 3 to 4 (b, a); "
        "column 1 (nr) names the rows; passed over: column 5 (other_id)",
    )


def test_names_of_images_are_no_series(tmp_path):
    for name in ("cats/1.png", "dogs/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name)
    table = [[f"{name}/1.png", name, 8, 8] for name in ("cats", "dogs")]
    path = saved(tmp_path / "train.csv", [["id", "label", "w", "h"], *table])
    assert not holds_series(open_table(path))
    assert not holds_series(open_table(saved(path, table)))  # without a header


# --- 6: letters ----------------------------------------------------------------------------------------------------

WRITTEN = {
    "cp932": ["キズ", "良,否", "合格/不合格", "OK品,NG品", "割れ", "打痕", "ｷｽﾞ,ﾖｺﾞﾚ", "錆", "へこみ", "画像①,傷"],
    "cp1252": ["défaut,bon", "Löcher", "20 °C", "5 µm", "l’été", "señal", "größe,ß", "Æble,ø"],
    "utf-8": ["キズ", "défaut", "裂纹", "불량"],
    "": ["裂纹,划痕", "合格"],  # in GBK
}


@pytest.mark.parametrize(("encoding", "words"), [(e, w) for e, several in WRITTEN.items() for w in several])
def test_encodings_are_told_apart(tmp_path, encoding, words):
    table = [["path", "label"], *([f"{i}.png", word] for i, word in enumerate(words.split(",")))]
    assert encoding_of(saved(tmp_path / "t.csv", table, encoding=encoding or "gbk")) == encoding


@pytest.mark.parametrize(
    ("encoding", "classes", "told"),
    [
        ("cp932", ("キズ", "良品"), "Shift-JIS"),
        ("cp1252", ("défaut", "passé"), "Western European"),
        ("utf-8-sig", ("キズ", "良品"), ""),
        ("utf-16", ("キズ", "良品"), ""),
        ("utf-32", ("キズ", "良品"), ""),
        ("utf-16-le", ("キズ", "良品"), "UTF-16, little-endian, without"),
        ("utf-16-be", ("a", "b"), "UTF-16, big-endian, without"),
        ("iso2022_jp", ("キズ", "良品"), "ISO-2022-JP"),
    ],
)
def test_labels_have_the_encoding_of_their_table(tmp_path, encoding, classes, told):
    table = [[*row[:-1], classes["ab".index(row[-1])]] for row in rows()]
    data = load(saved(tmp_path / "t.csv", [HEADER, *table], encoding=encoding))
    assert data.classes == classes
    assert np.array_equal(data.images, VALUES)
    assert told in data.remarks[0] if told else "read as" not in data.remarks[0]


def test_other_encodings_are_refused(tmp_path):
    table = [[*row[:-1], "裂纹" if row[-1] == "a" else "合格"] for row in rows()]
    with pytest.raises(ValueError, match=r"row 2: .* is written neither in UTF-8 .*save the table as 'CSV UTF-8'"):
        load(saved(tmp_path / "t.csv", [HEADER, *table], encoding="gbk"))


def test_a_manifest_in_shift_jis_finds_files_of_both_spellings(tmp_path):
    raw = "傷1.png".encode("cp932").decode("utf-8", "surrogateescape")  # as an old archive unpacks it
    for name in (raw, "良2.png"):
        Image.new("L", (8, 8)).save(tmp_path / "p.png")
        (tmp_path / "p.png").rename(tmp_path / name)
    table = [["path", "label"], ["傷1.png", "キズ"], ["良2.png", "良品"]]
    data = load(saved(tmp_path / "m.csv", table, encoding="cp932"))
    assert data.classes == ("キズ", "良品")
    assert data.files == (tmp_path / raw, tmp_path / "良2.png")


@pytest.mark.parametrize("mark", ["NaN", "nan", "NA", "N/A", "null", "?", "<NA>", "#N/A"])
def test_a_missing_label_is_no_class(tmp_path, mark):
    with pytest.raises(ValueError, match=r"row 14: the label is .*, which says that it is missing"):
        load(saved(tmp_path / "t.csv", [HEADER, *rows(), [*numbers(1)[0], mark]]))


@pytest.mark.parametrize("source", ["t.csv", "m.csv"])
def test_a_dash_for_a_label_is_asked_back(tmp_path, source):
    Image.new("L", (8, 8)).save(tmp_path / "p.png")

    def table(*words):
        if source == "m.csv":
            return [["path", "label"], *(["p.png", word] for word in words)]
        return [HEADER, *([*row[:-1], word] for row, word in zip(rows(len(words)), words, strict=True))]

    with pytest.raises(ValueError, match=f"{source}: 2 labels are '-', which may say that they are missing"):
        load(saved(tmp_path / source, table("a", "b", "-", "-")))
    assert load(saved(tmp_path / source, table("+", "-", "+", "-"))).classes == ("+", "-")


def test_none_is_a_word(tmp_path):
    assert load(saved(tmp_path / "t.csv", [HEADER, *rows(), [*numbers(1)[0], "none"]])).classes == ("a", "b", "none")


@pytest.mark.parametrize(
    ("labels", "again"),
    [
        (["1", "1.0", "2", "1.000e+00"], ["1", "1", "2", "1"]),
        (["1", "1.0", "crack"], ["1", "1", "crack"]),
        (["0.5", "0.50"], ["0.5", "0.5"]),
        (["1,5", "1.5", "2,5"], ["1.5", "1.5", "2,5"]),
        (["0,500", "0.5"], ["0.5", "0.5"]),  # no thousand begins with 0
        (["1,000", "2,000", "1.5"], ["1,000", "2,000", "1.5"]),
        (["1.000", "1000.000"], ["1", "1000"]),
        (["1,0", "1", "0"], ["1,0", "1", "0"]),  # perhaps two classes at once
        (["007", "7", "2E1", "20"], ["007", "7", "2E1", "20"]),  # codes
        (["１", "1"], ["1", "1"]),
        (["a", "inf", "nan"], ["a", "inf", "nan"]),
    ],
)
def test_a_number_is_one_class(labels, again):
    found, told = number_spelling(labels)
    assert found == again
    assert bool(told) == (labels != again)


@pytest.mark.parametrize("labels", [["1,000", "1.000"], ["1,000", "1"], ["1,000", "1000"], ["1.000", "1000"]])
def test_a_number_of_two_readings_is_asked_back(labels):
    with pytest.raises(ValueError, match=f"{labels[0]} and {labels[1]} may be one class or two.* in one way"):
        number_spelling(labels)


def test_numbers_that_become_one_class_are_told(tmp_path):
    table = [[*row[:-1], ["1", "1.0", "2"][i % 3]] for i, row in enumerate(rows())]
    data = load(saved(tmp_path / "t.csv", [HEADER, *table]))
    assert data.classes == ("1", "2")
    assert "labels that are numbers have one spelling: 1.0 is class 1" in data.remarks


# --- 7 and 12: the form of the table -------------------------------------------------------------------------------

TABLE = text([HEADER, *rows()])
FORMS = {
    "tabs in .csv": TABLE.replace(",", "\t"),
    "semicolons": TABLE.replace(",", ";"),
    "bars": TABLE.replace(",", "|"),
    "carriage returns": TABLE.replace("\n", "\r"),
    "empty lines": TABLE.replace("\n", "\n\n"),
    "blanks": TABLE.replace(",", " , "),
    "quotes": '"' + TABLE.replace(",", '","').replace("\n", '"\n"').removesuffix('"'),
    "capitals": TABLE.replace("label", "LABEL").replace("t", "T"),
    "trailing delimiters in the rows": TABLE.replace("\n", ",\n").replace("label,", "label"),
    "trailing delimiters": TABLE.replace("\n", ",\n"),
    "label first": text([[row[-1], *row[:-1]] for row in [HEADER, *rows()]]),
    "label within": text([[*row[:2], row[-1], *row[2:-1]] for row in [HEADER, *rows()]]),
    "names over two lines": text([["id", *HEADER], *([f'"{i}\nof 12"', *row] for i, row in enumerate(rows()))]),
    "minus signs": TABLE.replace("-", "\u2212"),
    "wide minus signs": TABLE.replace("-", "\uff0d"),
    "one name for all": text([["x"] * LENGTH + ["label"], *rows()]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_table(tmp_path, form):
    assert is_plain(load(saved(tmp_path / "t.csv", FORMS[form])))


def test_commas_in_a_tsv(tmp_path):
    assert is_plain(load(saved(tmp_path / "t.tsv", TABLE)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (text([HEADER, *([*row, 5] for row in rows())]), "t.csv, row 2: 8 cells; the header has 7"),
        (text([HEADER, *rows(), [*numbers(1)[0], "a", "7"]]), "t.csv, row 14: 8 cells; the header has 7"),
        (text([HEADER, *rows(), ["1", "a"]]), "t.csv, row 14: 2 cells; the header has 7"),
        (text([[*HEADER[:3], "", *HEADER[4:]], *rows()]), "column 4 has values and no name; name it, or remove it"),
        (text([[*HEADER, "Label"], *([*row, "q"] for row in rows())]), "t.csv has 2 columns label; rename or remove"),
        ("Measured in May\n" + TABLE, "row 2: 7 cells; the header has 1; remove what stands above the header"),
        ("sep=;\n" + TABLE.replace(",", ";"), "remove what stands above the header"),
        (text([HEADER]), "t.csv has no rows below its header"),
        (TABLE.replace(",", " "), "has one column only; needed: commas, semicolons or tabulators"),
        (TABLE.replace(",", ";").replace(".", ","), "row 2: number 1 is '.*,.*'; .*write decimals with a point"),
        (text(rows(), ";").replace(".", ","), "row 1: number 1 is '.*,.*'; .*write decimals with a point"),
        (text([HEADER, *(['"1,234"', *row[1:]] for row in rows())]), "'1,234'; .*thousands without a comma"),
        (text([HEADER, *(["?", *row[1:]] for row in rows())]), r"row 2: number 1 is '\?'; .*fill gaps first"),
        (text([HEADER, *rows(), ["NA", *rows()[0][1:]]]), "row 14: number 1 is 'NA'; .*fill gaps first"),
        (text([["sequence", "label"], ["0.1 0.2", "a"], ["0.3 0.4", "b"]]), "holds numbers; needed: letters, or a"),
        (text([HEADER, *([*(f"{x}mV" for x in row[:-1]), row[-1]] for row in rows())]), "without units"),
        (text([HEADER, *([*(f"{x}%" for x in row[:-1]), row[-1]] for row in rows())]), "without units"),
        (text([["class_id", *NAMES, "class"], *([0, *row] for row in rows())]), "class_id and class; only one can"),
        (text([["fold", *HEADER], *([i % 5, *row] for i, row in enumerate(rows()))]), r"\(fold\) names things"),
        (text([["sequence", "label"], ["ACGT", "a"], ["NA", "b"]]), "row 3: the sequence is 'NA'"),
    ],
)
def test_forms_that_are_refused_say_what_to_do(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        load(saved(tmp_path / "t.csv", table))


def test_a_genome_is_a_cell(tmp_path):
    table = [
        ["sequence", "label"],
        *([letters * 50_000, label] for letters, label in (("ACGT", "x"), ("GGCT", "y")) * 2),
    ]
    assert load(saved(tmp_path / "t.csv", table)).images.shape == (4, 200_000, 4)


def test_numbers_that_floats_round_are_told(tmp_path):
    table = [[float(row[0]) + 1e7, *row[1:]] for row in rows()]
    (told,) = load(saved(tmp_path / "t.csv", [HEADER, *table])).problems
    assert told.startswith(f"{HEADER[0]} is so large beside its differences that 32-bit floats round them")


def test_gaps_behind_the_last_number_are_a_shorter_series(tmp_path):
    table = [["label", *NAMES], *([row[-1], *row[:-1]] for row in rows()), ["a", 1, 2, 3, 4, "NA", "null"]]
    data = load(saved(tmp_path / "t.csv", table), fit="letterbox")
    assert data.images[-1, :, 0].tolist() == [1, 2, 3, 4, 4, 4]


def test_a_huge_table_is_no_reason_to_choose_another_delimiter(tmp_path):
    path = saved(tmp_path / "t.csv", [[f"t{i}" for i in range(20_000)], [0.5] * 20_000])
    assert len(open_table(path).first) == 20_000


# --- 3: both doors -------------------------------------------------------------------------------------------------

RECIPE = {"epochs": 1, "batch": 8, "precision": "float32"}


def trained(folder: Path, table):
    request = TrainRequest(source=str(saved(folder / "t.csv", table)), net="cifar_resnet8", recipe=RECIPE)
    return runtime.predictor(train(request, folder / "runs", "run").path / "model.onnx")


@pytest.fixture(scope="module")
def by_name(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("wide"), [HEADER, *rows(40)])


@pytest.fixture(scope="module")
def by_moments(tmp_path_factory):
    table = moments(["series_id", "step", "x", "y", "label"], lambda s, t: [s, t, x(s, t), t - s % 3, "ab"[s % 2]], 20)
    return trained(tmp_path_factory.mktemp("long"), table)


def answers(model, path):
    found = list(runtime.predict(model, [path]))
    assert [row["error"] for row in found] == [None] * len(found)
    return [row["probability"] for row in found], {row["note"] for row in found}


def columns_of(*order):
    return [[row[i] for i in order] for row in [HEADER, *rows()]]


BARE = [row[:LENGTH] for row in [HEADER, *rows()]]


@pytest.mark.parametrize(
    ("table", "note"),
    [
        (columns_of(*range(7)), None),
        (columns_of(5, 6, 3, 1, 0, 2, 4), None),
        (columns_of(5, 3, 1, 0, 2, 4), None),
        ([["id", "temp", *row] if row is BARE[0] else ["a", 9, *row] for row in BARE], "passed over: temp"),
        ([[*row, "outcome" if row is BARE[0] else "good"] for row in BARE], "passed over: outcome"),
        (BARE[1:], "the table has no header: its columns are taken in their order"),
        (
            [["a", "b", "c", "d", "e", "f"], *BARE[1:]],
            "its columns are not called t0, t1, t2, ..., t5 and are taken",
        ),
    ],
)
def test_predict_finds_columns_by_name_or_tells(by_name, tmp_path, table, note):
    wanted, _ = answers(by_name, saved(tmp_path / "plain.csv", BARE))
    found, notes = answers(by_name, saved(tmp_path / "t.csv", table))
    assert found == pytest.approx(wanted)
    assert len(notes) == 1
    assert (note in notes.pop()) if note else notes == {None}


def test_predict_tells_an_empty_table(by_name, tmp_path):
    with pytest.raises(ValueError, match=r"t.csv has no rows below its header"):
        list(runtime.predict(by_name, [saved(tmp_path / "t.csv", [NAMES])]))


def test_names_of_columns_are_found_in_any_encoding(tmp_path):
    head = ["電圧", "電流", "振動", "温度", "圧力", "音", "label"]
    first = load(saved(tmp_path / "a.csv", [head, *rows()], encoding="cp932"))
    table = [row[::-1] for row in [head, *rows()]]
    assert is_plain(load(saved(tmp_path / "b.csv", table, encoding="utf-16"), like=first.preprocess))


def test_fewer_numbers_are_told(by_name, tmp_path):
    _, notes = answers(by_name, saved(tmp_path / "t.csv", [row[:3] for row in BARE]))
    assert notes == {"interpolated from 3 to 6 numbers"}
    _, notes = answers(by_name, saved(tmp_path / "t.csv", [row[:3] for row in BARE[1:]]))
    assert notes == {"the table has no header: its columns are taken in their order; interpolated from 3 to 6 numbers"}
    np.savez(tmp_path / "t.npz", signals=np.ones((2, 3)))
    assert answers(by_name, tmp_path / "t.npz")[1] == {"interpolated from 3 to 6 numbers"}


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((0, 1, 3, 4, 5), r"has no column t2 \(its columns of numbers: t0, t1, t3, t4, t5\); needed: the columns that"),
        ((3, 4, 5), "has no column t0, t1, t2"),
    ],
)
def test_missing_columns_are_refused(by_name, tmp_path, order, message):
    path = saved(tmp_path / "t.csv", [[row[i] for i in order] for row in BARE])
    with pytest.raises(ValueError, match=message):
        list(runtime.predict(by_name, [path]))
    other = saved(tmp_path / "o.csv", [[f"c{i}" for i in range(9)], *numbers(3, 9)])
    with pytest.raises(ValueError, match=r"has no column t0, t1, t2, \.\.\., t5"):
        list(runtime.predict(by_name, [other]))


def test_evaluate_finds_columns_by_name_too(by_name, tmp_path):
    plain, mixed = (
        load(saved(tmp_path / "t.csv", columns_of(*order)), like=by_name.preprocess)
        for order in (range(7), (5, 6, 3, 1, 0, 2, 4))
    )
    assert np.array_equal(plain.images, mixed.images)
    with pytest.raises(ValueError, match="has no column t2"):
        load(saved(tmp_path / "t.csv", columns_of(0, 1, 3, 4, 5, 6)), like=by_name.preprocess)


def test_two_tables_of_a_folder_may_have_other_orders(tmp_path):
    saved(tmp_path / "train.csv", columns_of(*range(7)))
    saved(tmp_path / "test.csv", columns_of(6, 5, 4, 3, 2, 1, 0))
    data = load(tmp_path)
    test = data.split == "test"
    assert np.array_equal(data.images[test], data.images[~test])


def test_predict_understands_moments_as_training_did(by_moments, tmp_path):
    assert by_moments.preprocess.columns == ("x", "y")
    wanted, notes = answers(by_moments, saved(tmp_path / "t.csv", LONG["ids"]))
    assert (len(wanted), notes) == (6, {None})
    assert answers(by_moments, saved(tmp_path / "t.csv", LONG["backwards"]))[0] == pytest.approx(wanted)
    one = [row for row in LONG["ids"] if row[0] in ("series_id", 3)]
    assert answers(by_moments, saved(tmp_path / "t.csv", one))[0] == pytest.approx(wanted[3:4])
    with pytest.raises(ValueError, match=r"has no series of moments, .*a column series_id, and step"):
        answers(by_moments, saved(tmp_path / "t.csv", BARE))
    with pytest.raises(ValueError, match="has no column y"):
        answers(by_moments, saved(tmp_path / "t.csv", [row[:3] + row[4:] for row in LONG["ids"]]))


def test_a_model_that_knows_no_names_is_still_read():
    old = Preprocess.model_validate(json.loads('{"channels": 1, "size": [24], "depth": 32, "fit": "stretch"}'))
    assert (old.columns, old.by_moments) == ((), None)
    with pytest.raises(ValueError, match="names of columns were given for images; allowed: for signals"):
        Preprocess(channels=1, size=(8, 8), columns=("a",))


def test_the_notes_stand_in_the_answer_of_the_command(by_name, tmp_path):
    (tmp_path / "model.onnx").write_bytes(by_name.file)
    path = saved(tmp_path / "t.csv", [row[:3] for row in BARE])
    command = [sys.executable, "-m", "zansa", "predict", str(tmp_path / "model.onnx"), str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {row["note"] for row in csv.DictReader(io.StringIO(told))} == {"interpolated from 3 to 6 numbers"}
