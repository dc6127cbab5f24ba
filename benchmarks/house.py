"""The house, measured: one row on the package (physical lines, functions without docstrings, tests to code).

python benchmarks/house.py
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every def, methods and nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From the def line to its end, without the docstring."""
    docstring = ast.get_docstring(function, clean=False)
    return function.end_lineno - function.lineno + 1 - (len(docstring.splitlines()) if docstring else 0)


def annotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A return annotation, or at least one annotated parameter."""
    given = function.args
    return bool(function.returns or any(a.annotation for a in (*given.args, *given.kwonlyargs, *given.posonlyargs)))


def hidden_imports(tree: ast.AST) -> int:
    """Imports of the package itself inside functions."""
    own = (node for f in functions(tree) for node in ast.walk(f) if isinstance(node, ast.ImportFrom) and node.level)
    return sum(1 for _ in own)


def lines(files: list[Path]) -> list[int]:
    return [len(file.read_text(encoding="utf-8").splitlines()) for file in files]


def main() -> None:
    package = sorted((ROOT / "zansa").rglob("*.py"))
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in package]
    every = [function for tree in trees for function in functions(tree)]
    sizes, lengths = sorted(lines(package)), sorted(map(length, every))
    keywords = sum(function.args.kwarg is not None for function in every)
    tests = sum(lines(sorted((ROOT / "tests").glob("*.py"))))
    heads = "files|lines|file median / max|function median / p90 / max|annotated|`**kwargs`|hidden|tests per line"
    print(f"| {heads.replace('|', ' | ')} |\n{'|---' * 8}|")
    print(
        f"| {len(package)} | {sum(sizes)} | {median(sizes):.0f} / {sizes[-1]} "
        f"| {median(lengths):.0f} / {lengths[int(0.9 * len(lengths))]} / {lengths[-1]} "
        f"| {100 * sum(map(annotated, every)) / len(every):.0f} % | {100 * keywords / len(every):.1f} % "
        f"| {sum(map(hidden_imports, trees))} | {tests / sum(sizes):.1f} |"
    )


if __name__ == "__main__":
    main()
