"""README's examples run as written, and its commands exist."""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minicnn
from minicnn import commands, datasets, lessons
from minicnn.commands import listing
from minicnn.lessons import library

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_first_screen_has_twelve_lines_of_code():
    """Imports do not count: README promises a CNN built and explained in about twelve lines."""
    lines = [line for line in PYTHON_BLOCKS[0].splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith(("import ", "from "))]
    assert len(code) <= 12
    assert README.index("```python") < 1200  # on the first screen


def test_each_lesson_has_a_row():
    rows = [" ".join(line.split()) for line in README.splitlines()]
    for script in library.scripts():
        link = f"[{script.number}. {script.title}](minicnn/lessons/{script.path.name})"
        start = " ".join(f"| {link} | {script.section} |".split())
        assert any(row.startswith(start) for row in rows), f"README's table lacks {start}"


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: block.split("\n")[0])
def test_example_runs(block, tmp_path):
    if "plots" in block:
        pytest.importorskip("matplotlib")
    if "clothes/train" in block:
        draw_few(tmp_path / "minicnn-demo" / "clothes")
    if "demo/model.keras" in block:
        (tmp_path / "minicnn-demo").mkdir()
        inputs = minicnn.Input((8, 8, 3))
        x = minicnn.layers.BatchNormalization()(minicnn.layers.Conv2D(2, 3)(inputs))
        minicnn.Model(inputs, x).save(tmp_path / "minicnn-demo" / "model.keras")
    found = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert found.returncode == 0, found.stderr
    assert_git_ignores(tmp_path)
    if ".fit(" in block:  # it learns visibly: guessing among ten is right for 1 in 10
        accuracies = ast.literal_eval(found.stdout.splitlines()[-1])
        assert accuracies[-1] > max(0.25, 2 * accuracies[0])


def draw_few(folder, *args, **options):
    return write_clothing_sample(folder, {"train": 12, "validation": 2, "test": 2}, size=64)


write_clothing_sample = datasets.write_clothing_sample


def assert_git_ignores(folder):
    """Assert that `git status` would not show what is in this folder, if it were the checkout."""
    if (ROOT / ".git").exists():  # an installed package has no repository
        names = [f"{path.name}/x" if path.is_dir() else path.name for path in folder.iterdir()]
        command = ["git", "check-ignore", "--no-index", *names]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert sorted(done.stdout.split()) == sorted(names)


LINES = [shlex.split(line, comments=True) for text in SHELL_BLOCKS for line in text.splitlines()]
ACTIVATION = [".", ".venv/bin/activate"]
# Options that make commands short, without internet or Keras: the last value of an option counts.
SHORT = {
    "demo": ["--epochs", "1"],
    "train": ["--epochs", "1", "--filters", "4", "--image-size", "16"],
}
PARSED_ONLY = {"transfer", "check"}


@pytest.mark.slow
def test_commands_work_as_printed_one_after_the_other(tmp_path, monkeypatch, capsys):
    """Each `minicnn …` line finds earlier lines' files; each program is in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "write_clothing_sample", draw_few)
    monkeypatch.setattr(lessons, "run", lambda number, *options: 0.0)
    monkeypatch.setattr(lessons, "check", lambda folder, *options: True)
    monkeypatch.setattr(lessons, "write_pack", lambda folder, *options: [folder])
    assert LINES.count(ACTIVATION) == 1
    active = False
    ran = []
    for program, *words in LINES:
        if [program, *words] == ACTIVATION:
            active = True
        elif not active:
            assert program == "python3"
            others = [word for word in words if "/" in word]
            assert all(word.startswith(".venv/bin/") for word in others)
            words = words[words.index(".venv/bin/minicnn") + 1 :] if "demo" in words else []
            program = "minicnn"
        elif program == "git":
            Path(words[-1].rpartition("/")[2]).mkdir()
        else:
            assert program in ("minicnn", "python", "pip")
        if program == "minicnn" and words:
            ran.append(words[0])
            options = commands.make_parser().parse_args(words)
            assert options.command == words[0]
            assert (getattr(options, "data", None) or tmp_path).is_dir()
            if words[0] not in PARSED_ONLY:
                assert commands.main([*words, *SHORT.get(words[0], [])]) == 0, (
                    capsys.readouterr().err
                )
        if program == "python":
            missing = [word for word in _files(words) if not Path(word).exists()]
            assert not missing
            if "reference.train" in words:  # makes what the next command reads
                Path("runs/reference").mkdir(parents=True, exist_ok=True)
                Path("runs/reference/model.keras").touch()
            if "--serve" in words:
                Path("served").mkdir()
                Path("served/app.py").touch()
    assert {"demo", "lessons", "train", "predict", "explain", "transfer", "check"} == set(ran)
    assert_git_ignores(tmp_path)


def _files(words):
    return [word for word in words if "/" in word and not word.startswith("http")]


@pytest.mark.keras
def test_commands_of_the_reference_exist():
    """Every `python -m …` line works."""
    pytest.importorskip("keras")
    commands = [line[2:] for line in LINES if line[:2] == ["python", "-m"]]
    assert len(commands) >= 4
    for module, *told in commands:
        found = importlib.import_module(module)
        if hasattr(found, "__path__"):  # of a package, __main__ runs
            found = importlib.import_module(f"{module}.__main__")
        found.parser().parse_args(told)


def test_counts_of_names_are_those_of_the_list():
    told = listing.summary(list(listing.entries()))
    assert told in " ".join(README.split()), f"README should say: {told}"


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in re.findall(r"\[(\w+)\]\"", README):
        assert extra in project["optional-dependencies"]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        if target.startswith(".github/") and not (ROOT / ".github").exists():
            continue  # tests without their repository
        # The package may not be installed beside its README.
        root = Path(minicnn.__file__).parents[1] if target.startswith("minicnn/") else ROOT
        assert (root / target).exists(), target


def test_what_the_contributing_guide_names_exists():
    """Only a checkout has the paths, tests and files that the guide sends contributors to."""
    guide = ROOT / ".github" / "CONTRIBUTING.md"
    if not guide.exists():
        pytest.skip("installed without its repository")
    paths = re.findall(
        r"`((?:minicnn|tests|benchmarks|\.ci|\.github)/[\w/.]*)`", guide.read_text("utf-8")
    )
    assert len(paths) > 20
    kept = [path for path in paths if not path.endswith("__pycache__")]  # Python makes these
    assert [path for path in kept if not (ROOT / path).exists()] == []
