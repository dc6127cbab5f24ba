"""The order of imports, the public surface, and what may be imported without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zansa
from zansa.arch import branches, steps

ROOT = Path(zansa.__file__).parent
GROUND = {"record", "arch", "words", "events", "phrases"}
FIRST = GROUND | {"proof", "runs"}
SECOND = FIRST | {"nets", "report", "inputs", "screen"}
# what each part of the package may import of the package
ALLOWED = {
    "arch": set(),
    "record": set(),
    "phrases": set(),
    "words": {"phrases"},
    "events": set(),
    "proof": GROUND,
    "runs": GROUND,
    "inputs": FIRST,
    "nets": FIRST,
    "report": FIRST,
    "screen": FIRST,
    "learn": FIRST | {"inputs", "nets"},
    "deploy": FIRST | {"inputs", "nets"},
    "beginnings": FIRST | {"inputs", "nets", "learn"},  # beside jobs: learned weights, and how they are made
    "jobs": SECOND | {"learn", "deploy", "beginnings"},
    "options": SECOND | {"learn", "deploy", "jobs"},
    "cli": SECOND | {"learn", "deploy", "jobs", "options"},
    "__main__": {"cli"},
    "__init__": {"arch", "nets", "learn", "deploy", "proof", "beginnings"},
}
FILES = sorted(ROOT.rglob("*.py"))


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """Parts of the package that a file imports, and whether inside a function."""
    tree = ast.parse(path.read_text())
    hidden = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    package = list(path.relative_to(ROOT).parts[:-1])
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            for alias in node.names:
                target = [*base, *(node.module.split(".") if node.module else [alias.name])]
                found.append((target[0], id(node) in hidden))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not any(name.split(".")[0] == "zansa" for name in names), f"{path}: import our own by relative names"
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_order_of_the_folders(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert part in ALLOWED, f"{part} is new: say in ALLOWED what it may import"
    for imported, hidden in imports_of(path):
        assert imported == part or imported in ALLOWED[part], f"{part} must not import {imported}"
        assert not hidden or part == "cli", f"{path}: an import of our own inside a function"


def test_public_surface():
    assert zansa.__all__ == sorted(zansa.__all__)
    for name in zansa.__all__:
        assert getattr(zansa, name).__doc__ or name == "zoo", name
    with pytest.raises(AttributeError, match="zansa has no 'nothing'; it has: Backbone"):
        zansa.nothing  # noqa: B018


WITHOUT_TORCH = {
    "import zansa; zansa.cost(zansa.zoo.resnet(50))",
    "import zansa.cli",
    "import zansa.inputs.images, zansa.record, zansa.report, zansa.deploy.runtime, zansa.proof.figures",
    "import zansa.learn.recipe, zansa.runs",
    "import zansa.beginnings.draw",
    "import zansa.jobs.serve, zansa.jobs.store, zansa.jobs.watch, zansa.jobs.review",
    "import zansa.jobs.check",
    "import zansa.learn.data.sources, zansa.learn.data.cache, zansa.learn.data.splits, zansa.learn.data.synthetic",
}


@pytest.mark.parametrize("code", sorted(WITHOUT_TORCH))
def test_starts_without_torch(code):
    check = f"import sys; {code}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.parametrize("words", [["--help"], ["zoo"], ["zoo", "resnet50"], ["cost", "cifar_resnet56"]])
def test_light_commands_do_not_import_torch(words):
    check = (
        "import sys\nfrom zansa.cli import app\n"
        "try: app(sys.argv[1:])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check, *words], check=True, stdout=subprocess.DEVNULL)


def test_the_examples_of_contributing_are_what_the_code_has():
    """The two examples run as they stand there, and give the tables of the kinds that they show."""
    blocks = (ROOT.parent / "CONTRIBUTING.md").read_text().split("```python\n")[1:]
    shown: dict = {}
    for block in blocks:
        exec(block.split("```")[0], vars(branches) | vars(steps), shown)
    assert shown["basic"]("x", "y", ("h",), 2, 1) == branches.basic("x", "y", ("h",), 2, 1)
    assert shown["parallel"](0.5, 1.0) == steps.parallel(0.5, 1.0)


def test_files_and_functions_are_short():
    for path in FILES:
        lines = path.read_text().splitlines()
        assert len(lines) <= 450, f"{path} has {len(lines)} lines"
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                length = node.end_lineno - node.lineno + 1 - len(text.splitlines())
                assert length <= 60, f"{path}: {node.name} has {length} lines"


def test_a_verb_imports_no_other_verb():
    """Its request, the door, what all trainings share, and its mathematics; a few verbs call others."""
    verbs = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__", "request", "trained_request", "door"}
    callers = {"poc", "retrain", "relearn", "compress", "explain"}
    for path in (ROOT / "jobs").glob("*.py"):
        near = {
            (node.module or "").split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.level == 1
        }
        assert path.stem in callers or not near & (verbs - {path.stem}), path
