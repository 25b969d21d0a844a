"""Tests that need Keras are marked."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def asks_for_keras(node: ast.AST) -> bool:
    """Return whether it calls `pytest.importorskip` for Keras or one of its packages."""
    return any(
        isinstance(call, ast.Call)
        and ast.unparse(call.func) == "pytest.importorskip"
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value in ("keras", "tf_keras", "tensorflow")
        for call in ast.walk(node)
    )


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("test_*.py")), ids=lambda p: str(p.relative_to(TESTS))
)
def test_a_test_that_asks_for_keras_is_marked(path: Path) -> None:
    """With the mark, `-m "not keras"` skips it. conftest.py marks the tests of `reference/`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marked = any(
        isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "pytestmark"
        and "pytest.mark.keras" in ast.unparse(node.value)
        for node in tree.body
    )
    if path.parent.name == "reference" or marked:
        return
    for node in filter(asks_for_keras, tree.body):
        assert isinstance(node, ast.FunctionDef), f"line {node.lineno} of a module without the mark"
        decorators = list(map(ast.unparse, node.decorator_list))
        if node.name.startswith("test_"):
            assert "pytest.mark.keras" in decorators, node.name
