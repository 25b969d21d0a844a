"""README's examples run as they stand, and its commands are those of the project."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minicnn
from minicnn import cli, datasets

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_first_screen_has_twelve_lines_of_code():
    """Imports aside: the promise is a CNN built and explained in about twelve lines."""
    lines = [line for line in PYTHON_BLOCKS[0].splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith(("import ", "from "))]
    assert len(code) <= 12
    assert README.index("```python") < 1200  # on the first screen


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: block.split("\n")[0])
def test_example_runs(block, tmp_path):
    if "plots" in block:
        pytest.importorskip("matplotlib")
    if "clothes/train" in block:
        datasets.write_clothing_sample(tmp_path / "clothes", {"train": 3}, size=64, seed=0)
    if "model.keras" in block:
        inputs = minicnn.Input((8, 8, 3))
        x = minicnn.layers.BatchNormalization()(minicnn.layers.Conv2D(2, 3)(inputs))
        minicnn.Model(inputs, x).save(tmp_path / "model.keras")
    found = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert found.returncode == 0, found.stderr


def test_commands_exist():
    """Every `minicnn …` line of README parses."""
    commands = [
        line.split("#")[0].split()[1:]
        for block in SHELL_BLOCKS
        for line in block.splitlines()
        if line.startswith("minicnn ")
    ]
    assert len(commands) >= 4
    for command in commands:
        assert cli._parser().parse_args(command).command == command[0]


def test_commands_of_the_reference_exist():
    """So does every `python -m …` line."""
    pytest.importorskip("keras")
    commands = [
        line.split("#")[0].split()[2:]
        for block in SHELL_BLOCKS
        for line in block.splitlines()
        if line.startswith("python -m ")
    ]
    assert len(commands) >= 4
    for module, *told in commands:
        found = importlib.import_module(module)
        if hasattr(found, "__path__"):  # a package runs its __main__
            found = importlib.import_module(f"{module}.__main__")
        found.parser().parse_args(told)


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in re.findall(r"\[(\w+)\]\"", README):
        assert extra in project["optional-dependencies"]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        # The package may be installed elsewhere than beside its README.
        root = Path(minicnn.__file__).parents[1] if target.startswith("minicnn/") else ROOT
        assert (root / target).exists(), target
