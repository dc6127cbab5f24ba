"""Every command that a message, a page or a document tells people to type has options that exist."""

import ast
import re
from pathlib import Path

import typer

import zansa
from zansa.cli import app

ROOT = Path(zansa.__file__).parent
COMMAND = re.compile(r'(?<![\w/.])zansa ([a-z]+)((?: (?:"[^"\n]*"|[^\s`;|#]+))*)')


def sentences():
    """Each text that people can read, with its file: strings of the code, templates, documents."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield path, "".join(str(each.value) if isinstance(each, ast.Constant) else "X" for each in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value
    for path in (*ROOT.rglob("*.html"), ROOT.parent / "README.md", *(ROOT.parent / "docs").glob("*.md")):
        yield path, path.read_text()


def test_what_people_are_told_to_type_is_understood():
    verbs = typer.main.get_command(app).commands
    known = {name: {option for each in verb.params for option in each.opts} for name, verb in verbs.items()}
    told = [(path, *found.groups()) for path, text in sentences() for found in COMMAND.finditer(text)]
    assert len(told) > 50
    for path, verb, rest in told:
        options = set(re.findall(r"--[a-z][a-z0-9-]*", rest))
        assert not options - known.get(verb, set()) - {"--help"}, f"{path}: zansa {verb}{rest}"
