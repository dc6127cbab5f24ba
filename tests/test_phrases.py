"""The dictionary of two languages: every sentence that is said has its Japanese, with the same places."""

import ast
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zansa
from zansa.beginnings.weights import load
from zansa.jobs.door import few_to_decide, remarks
from zansa.jobs.making.job import usual_net
from zansa.learn.data.dataset import from_arrays
from zansa.learn.data.kinds import likely_kind
from zansa.learn.data.splits import Parts
from zansa.learn.recipe import Recipe
from zansa.phrases import JAPANESE, language, retold, say, speaking
from zansa.phrases.japanese import TABLES, records, told
from zansa.proof.points import held, usual
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
    recorded = records.TABLE.keys() | told.TABLE.keys()
    assert not JAPANESE.keys() - sentences.keys() - written - recorded, "nobody says these any more"


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


def test_what_reading_and_beginning_tell_is_known_in_japanese():
    data = from_arrays(np.zeros((80, 8, 8, 1), np.uint8), ["good"] * 60 + ["dent"] * 20)
    parts = Parts(np.arange(0, 80, 2), np.arange(1, 80, 4), np.arange(3, 80, 4))
    texts = [*remarks(data, parts, Recipe(balance="logit")), few_to_decide(data, parts), load(usual_net(data)).told]
    texts += [likely_kind(classes, 3).reason for classes in ("ab", ("cat", "dog"), ("cat", "dent"))]
    texts += [usual(held(np.linspace(0, 1, 20), np.arange(20) > 10)).rule]
    assert len(texts) > 8
    with speaking("ja"):
        for text in texts:
            shown = re.sub(r"--\w+( \w+( (or|\d) \w*)?)?|`[^`]+`", "", retold(text))
            assert not re.search("[a-z]{3,} [a-z]{2,} [a-z]", shown), text


def test_by_folds_nobody_is_told_to_use_folds():
    data = from_arrays(np.zeros((80, 8, 8, 1), np.uint8), ["good"] * 60 + ["dent"] * 20)
    parts = Parts(np.arange(0, 80, 2), np.arange(1, 80, 4), np.arange(3, 80, 4))
    assert "--folds" in few_to_decide(data, parts)
    assert "--folds" not in few_to_decide(data, replace(parts, test=parts.test[:0]))


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
