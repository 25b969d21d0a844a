"""How commands end, what they tell the reader to type, and that names from files stay harmless."""

import errno
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest

import minicnn
import reference
from minicnn import Sequential, callbacks, layers, plots
from minicnn._support import terminal
from minicnn._support.terminal import printable
from minicnn.images import folders

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
posix = pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX, and its signals")


# -- text from files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("T-shirt, größer 靴 👟", "T-shirt, größer 靴 👟"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("\u202etxt.exe\u2066\u200f\u061c", r"\u202etxt.exe\u2066\u200f\u061c"),
        ("\u2028\u2029\udcff", r"\u2028\u2029\udcff"),
        (Path("a\x1bb"), r"a\x1bb"),
    ],
)
def test_control_characters_are_shown_not_obeyed(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def test_our_own_line_breaks_are_kept():
    assert printable("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


EVIL = "a\x1b[2J\u202eb\nc"
SHOWN = printable(EVIL)


@pytest.fixture(scope="module")
def model():
    made = Sequential(
        [
            layers.Input((4, 4, 1), name=f"in{EVIL}"),
            layers.Conv2D(2, 2, name=f"conv{EVIL}"),
            layers.BatchNormalization(name=f"norm{EVIL}"),
            layers.Flatten(),
            layers.Dense(2, "softmax", name=f"dense{EVIL}"),
        ],
        name=f"model{EVIL}",
    )
    made.compile("sgd", "categorical_crossentropy")
    return made


def _trace(model):
    return model.trace(np.ones((1, 4, 4, 1), "float32"), y=np.eye(2, dtype="float32")[:1])


@pytest.mark.parametrize(
    "text",
    [
        lambda model: str(_trace(model)),
        lambda model: str(_trace(model).explain(f"dense{EVIL}", at=1)),
        lambda model: str(_trace(model).explain_gradient(f"dense{EVIL}", "kernel", at=(0, 1))),
        lambda model: str(_trace(model).why(f"dense{EVIL}", at=1)),
        lambda model: str(_trace(model).receptive_field(f"conv{EVIL}", at=(0, 1))),
        lambda model: repr(model.layers),
        lambda model: repr(model.inputs),
        lambda model: repr(model.layers[-1].weights),
        lambda model: model.label + model.layers[0].label,
        lambda model: callbacks.logs_text({EVIL: 1.0}),
    ],
)
def test_names_are_only_names_in_texts(model, text):
    found = text(model)
    assert SHOWN in found
    assert not re.search("[\x1b\u202e]", found)


@pytest.mark.parametrize(
    "told",
    [
        lambda model: model.summary(),
        lambda model: model.print_inference_plan(),
        lambda model: folders.say(f"of {EVIL}"),
        lambda model: terminal.say(EVIL),
        lambda model: callbacks.ModelCheckpoint("x.keras", verbose=1)._say(EVIL),
    ],
)
def test_names_are_only_names_in_what_is_printed(model, told, capsys):
    told(model)
    found = capsys.readouterr().out
    # Columns fold what does not fit.
    assert printable("\x1b[2J\u202e") in re.sub(r"[\s│]", "", found)
    assert not re.search("[\x1b\u202e]", found)


@pytest.mark.slow
def test_names_are_only_names_in_pictures():
    matplotlib = pytest.importorskip("matplotlib")
    history = {EVIL: [1.0, 2.0], f"val_{EVIL}": [1.0, 2.0]}
    figures = [
        plots.curves(history, title=EVIL),
        plots.sweep({EVIL: history}, EVIL, title=EVIL),
        plots.confusion_matrix([0, 1], [0, 1], [EVIL, "b"]),
        plots.predictions(np.ones((1, 4, 4, 3)), [1], np.array([[1.0, 0.0]]), [EVIL, EVIL]),
    ]
    for figure in figures:
        texts = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
        assert any(r"\x1b" in text for text in texts)
        assert not any(re.search("[\x1b\u202e]", text) for text in texts)


def test_names_are_only_names_in_the_reference(capsys):
    from reference import data

    data.say(EVIL)
    found = capsys.readouterr().out
    assert "\x1b" not in found
    assert r"\x1b" in found


# -- commands to type ------------------------------------------------------------------------------


def test_hints_name_what_the_extras_install():
    extras = PROJECT["optional-dependencies"]
    assert {name: list(packages) for name, packages in terminal.EXTRAS.items()} == {
        name: extras[name] for name in terminal.EXTRAS
    }
    needed = set(reference.NEEDED.values())
    own, *others = extras["reference"]
    assert own == f"{PROJECT['name']}[keras,plot]"
    tensorflow, _ = extras["keras"]
    assert needed == {tensorflow, *extras["plot"], *others}


def test_the_name_is_not_that_of_another_package():
    """`pip install minicnn` would install another project's package."""
    assert PROJECT["name"] != "minicnn"
    assert PROJECT["scripts"] == {"minicnn": "minicnn.commands:main"}
    asked = re.compile(r"(?<![\w-])minicnn" + r"\[[a-z]")
    alone = re.compile(r"pip install (-\S+ )*[\"']?" + r"minicnn\b(?!-)")
    for path in _texts():
        text = path.read_text(encoding="utf-8")
        for pattern in (asked, alone):
            assert not pattern.search(text), path


def test_hints_are_made_in_one_place():
    for path in _texts():
        if (
            path.suffix == ".py"
            and path.name != "terminal.py"
            and ROOT / "tests" not in path.parents
        ):
            assert "pip install" not in path.read_text(encoding="utf-8"), path


def _texts():
    """Return the project's own text files, wherever the package is installed."""
    folders = [Path(minicnn.__file__).parent, *(ROOT / n for n in ("reference", "benchmarks"))]
    found = [
        *ROOT.glob("*.md"), ROOT / "pyproject.toml", *(ROOT / "tests").rglob("*.py"),
        *(path for folder in folders for path in folder.rglob("*")),
    ]  # fmt: skip
    kinds = {".py", ".md", ".toml", ".js", ".html", ".css"}
    found = [path for path in found if path.suffix in kinds and path != Path(__file__)]
    assert len(found) > 100
    return found


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Make an environment in a folder with a space in its name; programs print their arguments."""
    script = '#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n'
    programs = tmp_path / "an environment" / "bin"
    programs.mkdir(parents=True)
    for name in ("minicnn", "python"):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setattr(sys, "argv", [str(programs / "minicnn"), "demo"])
    monkeypatch.setenv("PATH", os.environ["PATH"])
    return programs


def typed(command):
    """Return the arguments that the program gets when a shell runs this."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    return re.findall("<(.*)>", done.stdout)


@posix
@pytest.mark.parametrize(
    ("stands_in", "on_path", "this", "python"),
    [
        ("..", False, "'bin/minicnn'", "'bin/python'"),
        ("../..", False, "'an environment/bin/minicnn'", "'an environment/bin/python'"),
        (".", False, "./minicnn", "./python"),
        ("/usr", False, "'{}/minicnn'", "'{}/python'"),
        ("/usr", True, "minicnn", "python"),
        (".", True, "minicnn", "python"),
    ],
)
def test_commands_work_as_printed(stands_in, on_path, this, python, places, monkeypatch):
    monkeypatch.chdir(places / stands_in)
    if on_path:
        monkeypatch.setenv("PATH", f"{places}{os.pathsep}{os.environ['PATH']}")
    assert shlex.split(terminal.this_program()) == shlex.split(this.format(places))
    assert shlex.split(terminal.python()) == shlex.split(python.format(places))
    command = f"{terminal.this_program()} {terminal.quoted('predict', Path('a b/m.keras'), 3)}"
    assert typed(command) == ["predict", "a b/m.keras", "3"]
    assert typed(terminal.install_extra("plot")) == ["-m", "pip", "install", "matplotlib>=3.8"]
    installed = ["-m", "pip", "install", "onnx", "tensorflow[and-cuda]"]
    assert typed(terminal.pip_install("onnx", "tensorflow[and-cuda]")) == installed


@posix
@pytest.mark.parametrize("called", ["minicnn/__main__.py", "-c", "bin/pytest", ""])
def test_without_a_script_the_command_is_python_s(called, places, monkeypatch):
    monkeypatch.chdir(places)
    monkeypatch.setattr(sys, "argv", [called])
    assert terminal.this_program() == "./python -m minicnn"


def test_an_environment_made_by_uv_installs_with_uv(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(terminal.shutil, "which", {"uv": "/usr/bin/uv"}.get)
    assert terminal.pip_install("onnx").startswith("uv pip install --python ")


# -- how a command ends ----------------------------------------------------------------------------


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("No."), "No."),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a b"),
         "There is no file or folder 'a b'."),
        (PermissionError(errno.EACCES, "Permission denied", b"x"),
         "'x' cannot be used: Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (FileNotFoundError("There is no photo 'x'."), "There is no photo 'x'."),
        (MemoryError(), "Out of memory."),
        (ValueError(), "ValueError"),
        (ValueError("bad \x1b[2J"), r"bad \x1b[2J"),
    ],
)  # fmt: skip
def test_an_error_ends_in_one_sentence_and_status_2(error, said, capsys):
    assert terminal.run("program", lambda: _raise(error)) == 2
    assert capsys.readouterr().err == f"program: {said}\n"


def test_other_ways_to_end(capsys):
    assert terminal.run("program", lambda: None) == 0
    assert terminal.run("program", lambda: 1) == 1
    assert terminal.run("program", lambda: _raise(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "program: interrupted.\n"
    with pytest.raises(ZeroDivisionError):  # a defect keeps its traceback
        terminal.run("program", lambda: 1 / 0)
    with pytest.raises(SystemExit):
        terminal.run("program", lambda: _raise(SystemExit(2)))


@pytest.mark.parametrize("category", [UserWarning, RuntimeWarning, FutureWarning])
def test_warnings_of_a_command_are_only_text(category, capsys):
    def warn():
        print(warnings.formatwarning(category(EVIL), category, "file.py", 1, line=""), end="")

    usual = warnings.formatwarning
    assert terminal.run("program", warn) == 0
    assert warnings.formatwarning is usual
    found = capsys.readouterr().out
    assert r"\x1b[2J" in found
    assert "\x1b" not in found
    if category is FutureWarning:  # meant for people who write code
        assert found.startswith("file.py:1: FutureWarning: ")
    else:
        assert found == "program: warning: " + printable(EVIL, lines=True) + "\n"


COMMAND = [sys.executable, "-m", "minicnn"]
SURROUNDINGS = os.environ | {
    "PYTHONPATH": str(ROOT),
    "PYTHONIOENCODING": "utf-8",
    "PYTHONUNBUFFERED": "",
}


@pytest.mark.slow
@posix
@pytest.mark.parametrize("words", [["lessons"], ["train", "--help"]])
def test_a_closed_pipe_ends_a_command_quietly(words):
    """As in `minicnn lessons | head -1`; rich prints the lessons, argparse the help."""
    behind, before = os.pipe()
    os.close(behind)
    done = subprocess.run(
        [*COMMAND, *words], stdout=before, stderr=subprocess.PIPE, text=True, env=SURROUNDINGS
    )
    os.close(before)
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.slow
@posix
def test_output_that_cannot_be_written_ends_in_one_sentence():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "lessons"], stdout=full, stderr=subprocess.PIPE, text=True, env=SURROUNDINGS
        )
    assert done.stderr == "minicnn lessons: No space left on device.\n"
    assert done.returncode == 2


@pytest.mark.slow
@posix
def test_output_may_be_closed_or_without_unicode():
    told = shlex.join([*COMMAND, "lessons"]) + " >&-"
    assert subprocess.run(["sh", "-c", told], env=SURROUNDINGS).returncode == 0
    ascii_only = SURROUNDINGS | {"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    done = subprocess.run([*COMMAND, "predict", "--help"], capture_output=True, env=ascii_only)
    assert done.returncode == 0
    assert rb"NAME,\u2026" in done.stdout


# The source of a library whose import is interrupted, and of one whose import fails.
INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(5)\n"
# Before it fails, it logs as TensorFlow does, and says something else.
MISSING = """import os, sys
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\\n")
os.write(2, b"I0000 00:00:1 cpu_feature_guard.cc:227] This binary is optimized\\n")
os.write(2, b"To enable the following instructions: AVX512F\\n")
print("what it said", file=sys.stderr, flush=True)
raise ModuleNotFoundError("No module named 'keras'", name="keras")
"""


def _run_with(library, code, words, folder):
    (folder / library).mkdir()
    (folder / library / "__init__.py").write_text(code)
    paths = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=folder,
        env=SURROUNDINGS | {"PYTHONPATH": paths},
    )  # fmt: skip


@posix
@pytest.mark.parametrize(
    ("library", "words", "name"),
    [
        ("numpy", ["-m", "minicnn", "lessons"], "minicnn"),
        ("numpy", ["minicnn", "lessons"], "minicnn"),
        ("keras", ["-m", "reference.train", "--data", "x"], "python -m reference.train"),
        ("numpy", ["-m", "benchmarks", "--help"], "python -m benchmarks"),
    ],
)
def test_an_interrupt_while_importing_prints_one_line_and_ends_with_130(
    library, words, name, tmp_path
):
    script = "import sys\nfrom minicnn.commands import main\nsys.exit(main())\n"  # as pip writes it
    (tmp_path / "minicnn").write_text(script)
    done = _run_with(library, INTERRUPTED, words, tmp_path)
    assert done.stderr == f"{name}: interrupted.\n"
    assert done.returncode == 130


@posix
@pytest.mark.parametrize("module", ["minicnn", "reference.data"])
def test_an_interrupt_of_another_program_is_left_to_it(module, tmp_path):
    code = f"try:\n    import {module}\nexcept KeyboardInterrupt:\n    print('mine')"
    done = _run_with("numpy", INTERRUPTED, ["-c", code], tmp_path)
    assert done.stdout == "mine\n"
    assert done.returncode == 0


@pytest.mark.slow
def test_a_missing_library_of_the_reference_ends_in_one_line(tmp_path):
    done = _run_with("keras", MISSING, ["-m", "reference.train", "--data", "x"], tmp_path)
    said, line = done.stderr.splitlines()
    assert said == "what it said", "noise of the import is left out, and all else stays"
    assert line.startswith("python -m reference.train needs keras: ")
    assert "-m pip install" in line or "uv pip install" in line
    assert '"scikit-learn>=1.5"' in line
    assert done.returncode == 2


def test_a_running_command_has_python_s_handler_of_interrupts():
    before = signal.getsignal(signal.SIGINT)

    def early(number, frame):
        raise AssertionError

    early.until_run = True
    try:
        signal.signal(signal.SIGINT, early)
        assert terminal.run("program", lambda: None) == 0
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
