"""Every file, class and function is short enough to read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE, LONGEST_CLASS, LONGEST_FUNCTION = 700, 400, 80

# What may be longer, and the reason.
LONGER = {
    "tests/helpers/course.py: course": "the program of a course, which its readers run as one",
}


class Length(NamedTuple):
    """The lines of a file, or of a class or function in it."""

    name: str
    lines: int
    limit: int


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    """Count the lines of a function's body, without its docstring, comments and blank lines.

    Long lists of parameters, and their descriptions, are the price of having Keras's arguments.
    """
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    lines = source[body[0].lineno - 1 : function.end_lineno]
    return sum(line.strip() != "" and not line.lstrip().startswith("#") for line in lines)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Go through what can define something: no expression does, and most of a tree is those."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            yield from statements(child)


def lengths(path: str, text: str) -> list[Length]:
    """Measure a file, and all classes and functions in it, nested ones included."""
    source = text.splitlines()
    found = [] if path.startswith("tests/") else [Length(path, len(source), LONGEST_FILE)]
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(Length(f"{path}: {node.name}", code_lines(node, source), LONGEST_FUNCTION))
        elif isinstance(node, ast.ClassDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            found.append(Length(f"{path}: {node.name}", lines, LONGEST_CLASS))
    return found


def too_long(path: str, text: str) -> list[str]:
    """Name what is longer than its limit."""
    return [
        f"{name} has {lines} lines; the limit is {limit}"
        for name, lines, limit in lengths(path, text)
        if lines > limit
    ]


@pytest.mark.parametrize("folder", ["minicnn", "reference", "benchmarks", "tests"])
def test_what_is_long_has_a_reason(folder: str) -> None:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        found += too_long(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    expected = {name for name in LONGER if name.startswith(f"{folder}/")}
    assert {line.split(" has ")[0] for line in found} == expected, "\n".join(found)


def test_what_is_too_long_is_noticed() -> None:
    lines = "    x = 1\n"
    function = f'def f(\n    a,\n):\n    """Say.\n\n{lines * 90}    """\n    # why\n\n'
    assert too_long("a.py", function + lines * 80) == []
    assert too_long("a.py", function + lines * 81) == ["a.py: f has 81 lines; the limit is 80"]
    assert too_long("a.py", f"class A:\n{lines * 399}") == []
    assert too_long("a.py", f"class A:\n{lines * 400}") == [
        "a.py: A has 401 lines; the limit is 400"
    ]
    assert too_long("a.py", "x = 1\n" * 701) == ["a.py has 701 lines; the limit is 700"]
    assert too_long("tests/a.py", "x = 1\n" * 701) == []  # files of tests are searched, not read
