"""Training prints bars, and says when it compiles."""

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from training_data import X, Y, model

from minicnn import Input, Model, compilation, layers, optimizers
from minicnn._support import progress
from minicnn.callbacks import bars


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(X, Y, epochs=2, verbose=0)
    model().evaluate(X, Y, verbose=0)
    model().predict(X, verbose=0)
    assert capsys.readouterr().out == ""
    for told in ("auto", 1, 2):  # tests do not write to a terminal
        model().fit(X, Y, epochs=2, validation_data=(X, Y), verbose=told)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        assert lines[1].startswith("Epoch 2/2 - ")
        for key in ("ms/step", "accuracy: ", "loss: ", "val_accuracy: ", "val_loss: "):
            assert key in lines[1]
        model().evaluate(X, Y, verbose=told)
        (line,) = capsys.readouterr().out.splitlines()
        assert "loss: " in line


@pytest.fixture
def slow_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile a kernel in the first training step, for 1000 s on every clock."""
    now = [0.0]
    monkeypatch.setattr(compilation, "seconds", 0.0)
    monkeypatch.setattr(compilation, "count", 6)
    clock = SimpleNamespace(perf_counter=lambda: now[0])
    for module in (compilation, bars):
        monkeypatch.setattr(module, "time", clock)
    step, compiled = optimizers.Optimizer.apply, []

    def apply(self: optimizers.Optimizer, *args: Any) -> Any:
        now[0] += 2
        if not compiled:
            compiled.append(True)
            compilation.begins("matmul.product")
            compilation.begins("matmul.pack")  # begins inside the other
            now[0] += 1000
            compilation.ends()
            compilation.ends()
        return step(self, *args)

    monkeypatch.setattr(optimizers.Optimizer, "apply", apply)


@pytest.mark.usefixtures("slow_compilation")
def test_compiling_is_shown_and_is_not_a_step_s_time(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(X, Y, epochs=1, batch_size=6)
    first, epoch = capsys.readouterr().out.splitlines()
    assert first == "Compiling kernels for this machine, once: a few seconds."
    assert "1008.0s, 1000.0s of it compiling - 2000ms/step" in epoch


@pytest.fixture
def show_compilation() -> Iterator[None]:
    before = compilation.show(True)
    yield
    compilation.show(before)


@pytest.mark.usefixtures("slow_compilation", "show_compilation")
def test_verbose_0_says_nothing_of_compiling(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(X, Y, epochs=1, verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("show_compilation")
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("place", ["terminal", "notebook", "file"])
def test_compiling_is_shown_where_there_is_no_bar(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    told: bool,
    place: str,
) -> None:
    monkeypatch.setattr(compilation, "count", 0)
    compilation.show(told)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: place == "terminal")
    monkeypatch.setattr(compilation, "in_notebook", lambda: place == "notebook")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("pooling.spread", "direct.forward"):
        compilation.begins(name)
        compilation.ends()
    out, err = capsys.readouterr()
    if not told:
        assert err + out == ""
    elif place == "terminal":
        assert "compiling kernels for this machine, once: 2 so far (direct.forward)" in err
        assert err.endswith("\r")  # so that the next output overwrites it
    else:
        line = "minicnn compiles kernels for this machine, once: a few seconds\n"
        assert (out, err) == ((line, "") if place == "notebook" else ("", line))


@pytest.mark.usefixtures("show_compilation")
def test_the_message_about_compiling_fits_on_one_line_of_any_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the line wrapped, its first part would stay, once for each kernel."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    for name in ("pooling.spread", "direct.forward"):
        compilation.begins(name)
        compilation.ends()
    lines = capsys.readouterr().err.split("\r")
    assert max(len(line) for line in lines) == 39


def test_the_bar_of_predict_shows_no_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str | None] = []
    monkeypatch.setattr(progress, "can_draw", lambda stderr=False: True)
    monkeypatch.setattr(progress.Bar, "update", lambda self, at, text: texts.append(text))
    x = Input((4,))
    Model(x, [layers.Dense(1)(x), layers.Dense(3)(x)]).predict(X)
    assert texts == [""]


@pytest.mark.slow
def test_a_real_notebook() -> None:
    """The notebook runs in its own kernel, in an environment without ipywidgets."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    pytest.importorskip("ipykernel")
    code = (
        "import sys\n"
        "sys.modules['ipywidgets'] = None\n"  # whether or not it is installed here
        "import numpy as np, minicnn\n"
        "from minicnn import layers\n"
        "m = minicnn.Sequential([minicnn.Input((4,)), layers.Dense(2, 'softmax')])\n"
        "m.compile('sgd', 'sparse_categorical_crossentropy')\n"
        "h = m.fit(np.ones((64, 4), 'float32'), np.zeros(64), batch_size=8, epochs=2)\n"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client(book, timeout=600, kernel_name="python3").execute()
    first, *printed = book.cells[0].outputs
    assert first["output_type"] == "display_data"
    lines = "".join(output["text"] for output in printed).splitlines()
    assert [line[:11] for line in lines] == ["Epoch 1/2 -", "Epoch 2/2 -"]


@pytest.mark.slow
def test_a_bar_on_a_terminal() -> None:
    """On a real terminal, `fit` draws a bar while the epoch runs, and one line when it is done."""
    pty = pytest.importorskip("pty")
    import os

    code = (
        "import numpy as np, minicnn\n"
        "from minicnn import layers\n"
        "m = minicnn.Sequential([minicnn.Input((4,)), layers.Dense(2, 'softmax')])\n"
        "m.compile('sgd', 'sparse_categorical_crossentropy')\n"
        "m.fit(np.ones((64, 4), 'float32'), np.zeros(64), batch_size=1, epochs=2)\n"
        "m.predict(np.ones((64, 4), 'float32'))\n"
    )
    main, side = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=side, stderr=side, env=env)
    os.close(side)
    found = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:
            break
        if not part:
            break
        found += part
    os.close(main)
    assert process.wait() == 0, found.decode()
    text = found.decode()
    assert "━" in text
    assert "Epoch 2/2 - " in text
    assert "Predict" in text
    assert "Traceback" not in text
