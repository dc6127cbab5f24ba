"""The dictionary of two languages: every sentence that is said has its Japanese, with the same places."""

import ast
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zansa
from zansa.arch.use import Calibration
from zansa.beginnings.weights import load as load_drawn
from zansa.jobs.door import NO_GROUPS, few_to_decide, few_units
from zansa.jobs.making.beginnings import told_of
from zansa.jobs.making.conclude import not_ahead
from zansa.jobs.making.point import not_calibrated
from zansa.learn.beginnings import Candidate
from zansa.learn.data.dataset import GRAY_ALONE, from_arrays
from zansa.learn.data.kinds import likely_kind
from zansa.learn.data.manifests import Columns, _told
from zansa.learn.data.spelling import one_spelling
from zansa.learn.data.splits import Parts
from zansa.learn.defaults import default_net
from zansa.learn.rivals import RULES
from zansa.learn.train import NOTHING
from zansa.phrases import JAPANESE, language, retold, say, speaking
from zansa.phrases.japanese import TABLES, records
from zansa.proof.good import unknown_good
from zansa.record import Run
from zansa.report import write

ROOT = Path(zansa.__file__).parent
IN_TEMPLATE = re.compile(r"""say\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")


def said() -> dict[str, str]:
    """Every sentence that code and templates say, and a file that says it."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        if not any(isinstance(node, ast.ImportFrom) and node.module == "phrases" for node in tree.body):
            continue
        for where in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))):
            for each in _said_in(where):
                found[each] = str(path.relative_to(ROOT))
    for path in sorted(ROOT.rglob("*.html")):
        found |= {ast.literal_eval(text): str(path.relative_to(ROOT)) for text in IN_TEMPLATE.findall(path.read_text())}
    return found


def _said_in(where: ast.AST) -> list[str]:
    """The sentences that are said here, as they are or by the name of a variable of this function."""
    calls = [
        node.args[0]
        for node in ast.walk(where)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("say", "phrase")
    ]
    names = {node.id for node in calls if isinstance(node, ast.Name)}
    given = [
        node.value
        for node in ast.walk(where)
        if isinstance(where, ast.FunctionDef)
        and isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") in names
    ]
    tables = [
        each
        for node in ast.walk(where)
        if isinstance(node, ast.Call) and [getattr(each, "id", "") for each in node.args[:1]] in (["say"], ["phrase"])
        for each in getattr(node.args[1], "elts", [])
    ]
    return [text for node in (*calls, *given, *tables) for text in _texts(node)]


def _texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and node.value else []


def places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text)) - {"image"}


def test_every_sentence_has_its_japanese_and_every_entry_is_said():
    sentences = said()
    assert not {text: file for text, file in sentences.items() if text not in JAPANESE}, "add them to phrases/japanese/"
    written = {
        node.value
        for path in ROOT.rglob("*.py")
        if "japanese" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert not JAPANESE.keys() - sentences.keys() - written - records.TABLE.keys(), "nobody says these any more"


def test_the_japanese_is_japanese_has_the_same_places_and_stands_once():
    for english, japanese in JAPANESE.items():
        assert places(english) == places(japanese), english
        assert re.search(r"[ぁ-んァ-ヶ一-龯]", japanese) or not re.search("[a-z]{3}", re.sub(r"\{\w+\}", "", japanese))
        assert not re.search(r"[.,;:?] *$", japanese), f"{japanese}: Japanese ends with 。 or with nothing"
    counts = Counter(english for table in TABLES for english in table)
    assert not [english for english, count in counts.items() if count > 1], "these stand in two tables"


def test_a_sentence_is_said_in_the_language_that_is_spoken():
    assert say("Left out") == "Left out"
    with speaking("ja"):
        assert say("Left out") == "省略した項目"
        assert say("{count} entries", count=3) == "3 件"
        assert say("nobody has said this") == "nobody has said this"
        rule = (
            "at most 2 % of good parts are rejected, with 95 % confidence; on validation 0 of 70 good parts and 27 of "
        )
        rule += "30 defective ones are rejected, and a person is asked about 4 of 100"
        assert not re.search("[a-z]{3}", retold(rule))
        assert retold("3 entries; nobody has said this") == "3 件; nobody has said this"
    assert language() == "en"
    assert retold("3 entries") == "3 entries"
    with pytest.raises(ValueError, match="language 'fr' was asked; allowed: en, ja"), speaking("fr"):
        pass


def test_a_report_keeps_its_language(tmp_path):
    run = Run.create(tmp_path, "line3")
    run.write_json("request.json", {"language": "en"})
    page = {each: write(run, each).read_text() for each in (None, "ja")}
    assert '<html lang="en">' in page[None]
    assert '<html lang="ja">' in page["ja"]
    assert write(run).read_text() == page["ja"]
    with pytest.raises(ValueError, match="language 'de' was asked; allowed: en, ja"):
        write(run, "de")
    assert write(run).read_text() == page["ja"]
    assert write(run, "en").read_text() == page[None]


def recorded():
    """Sentences as runs record them, from the functions that make them."""
    images, labels = np.zeros((30, 8, 8), np.uint8), ["OK"] * 15 + ["scratch"] * 15
    data = from_arrays(images, labels, groups=labels)
    parts = Parts(np.arange(5, 30), np.arange(5), np.arange(0))
    some = Parts(np.arange(20), np.arange(12, 18), np.arange(18, 30))
    yield from (few_to_decide(data, parts), few_to_decide(data, some), few_units(data), NOTHING, *NO_GROUPS.values())
    for classes, channels in ((("a", "b"), 1), (("OK", "scratch"), 1), (("oil", "gap"), 1), (("cat", "dog"), 3)):
        yield likely_kind(classes, channels).reason
    for classes in (("OK", "good", "dent"), ("dent", "scratch"), ("cat", "dog", "bird"), ("A", "B")):
        yield unknown_good(classes) or ""
    loss = {"before": 1.0, "after": 1.0}
    yield not_calibrated(
        Calibration(scale=1.0, shift=(0.0, 0.0), prior=(0.5, 0.5), count=27, fitted=False, **loss), "image"
    )
    yield not_ahead([{"rival": name, "value": 0.5, "network": 0.52} for name in RULES], "image")
    yield from one_spelling(["dent", "dents", "scratch", "dent;scratch", "0.3333"])[1]
    yield GRAY_ALONE
    drawn = {"drawn": (0.98, 16.9e6), "none": (0.9, 16.9e6), "efficientnet_lite0": (1.0, 3.77e8)}
    yield told_of([Candidate(name, right, 0.01, 51, int(macs), 8.03) for name, (right, macs) in drawn.items()])
    yield load_drawn(default_net((64, 64), 1, 2, "surface")).told
    cells = {"file": [], "kind": [], "note": []}
    yield _told("parts.csv", cells, Columns(path="file", label="kind", group=None, split=None))


GIVEN = re.compile(
    r"--\w+|`[^`]*`|parts\.csv|OK|good|scratch|dent|cat|dog|bird|file|kind|note|NAME|group|label|surface|natural|symbol|train|efficientnet_lite0|ImageNet"
)


def test_what_a_run_records_is_retold_in_japanese():
    texts = [text for text in recorded() if text]
    assert len(texts) > 14
    with speaking("ja"):
        for text in texts:
            assert not re.search(r"[A-Za-z]{4}", GIVEN.sub("", retold(text))), f"{text}: {retold(text)}"


def test_by_folds_nobody_is_told_to_use_folds():
    data = from_arrays(np.zeros((80, 8, 8, 1), np.uint8), ["good"] * 60 + ["dent"] * 20)
    parts = Parts(np.arange(0, 80, 2), np.arange(1, 80, 4), np.arange(3, 80, 4))
    assert "--folds" in few_to_decide(data, parts)
    told = few_to_decide(data, replace(parts, test=parts.test[:0]))
    assert "--folds" not in told
    with speaking("ja"):
        assert not re.search(r"[A-Za-z]{4}", GIVEN.sub("", retold(told)))
