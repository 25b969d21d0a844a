"""Progress bars work in a notebook without widgets, and show nothing where there is no terminal.

`training/test_progress.py` tests a real terminal.
"""

import re
import sys
import types
import warnings
from typing import Any

import numpy as np
import pytest

from minicnn import Input, Sequential, callbacks, compilation, layers
from minicnn._support import progress
from minicnn.datasets import write_clothing_sample


class Handle:
    """What `IPython.display.display(…, display_id=True)` returns: a handle of one output."""

    def __init__(self, shown: list[dict[str, str]]) -> None:
        self.shown = shown

    def update(self, data: dict[str, str], raw: bool) -> None:
        assert raw
        self.shown.append(data)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, str]]]:
    """Stand in for a notebook without ipywidgets; return all that cells displayed, by output."""
    outputs: list[list[dict[str, str]]] = []

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        outputs.append([data])
        return Handle(outputs[-1])

    ipython = types.ModuleType("IPython")
    shown = types.ModuleType("IPython.display")
    shell = types.SimpleNamespace(kernel=object())
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    shown.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(progress.Bar, "pause", 0)
    return outputs


def test_fit_in_a_notebook_without_widgets(
    notebook: list[list[dict[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """`fit` changes one output, however many epochs it runs, and prints a line for each."""
    model = Sequential([Input((3,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.zeros((8, 3), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # rich would ask for ipywidgets at each redraw
        model.fit(x, np.zeros(8), batch_size=2, epochs=2)
        model.predict(x)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    fitted, predicted = notebook
    texts = [state["text/plain"] for state in fitted]
    assert re.search(r"^Epoch 1/2 .*━.* 3/4 .*loss: 0\.6", texts[3])
    assert "Epoch 2/2" in texts[-2]
    assert "━" in fitted[3]["text/html"]
    assert "Predict" in predicted[0]["text/plain"]
    for states in notebook:  # a bar disappears when it is done
        assert states[-1] == {"text/plain": "", "text/html": ""}


def test_the_bar_shows_compiling(notebook: list[list[dict[str, str]]], monkeypatch) -> None:
    """It does so at once, and leaves compiling out of the time left."""
    monkeypatch.setattr(compilation, "count", 6)
    monkeypatch.setattr(compilation, "seconds", 0.0)
    now = [0.0]
    monkeypatch.setattr(progress.Bar, "clock", lambda _: now[0])
    bar = callbacks.ProgressBar()
    bar.set_params({"steps": 8, "epochs": 1})
    bar.on_epoch_begin(0)
    (task,) = bar._bar._bar.tasks
    compilation.begins("matmul.product")
    assert "machine, once: 7 so far (matmul.product)" in notebook[0][-1]["text/plain"]
    now[0] = 1000.0
    compilation.ends()
    assert "matmul" not in notebook[0][-1]["text/plain"]
    for step in range(3):
        bar.on_train_batch_end(step)
        now[0] += 2
    assert task.elapsed == 6
    assert task.time_remaining == 10
    bar.close()
    compilation.begins("matmul.product")  # the bar no longer hears of it
    compilation.ends()


def test_other_bars_in_a_notebook(notebook: list[list[dict[str, str]]], tmp_path: Any) -> None:
    """A data set's bar stays when it is full."""
    write_clothing_sample(tmp_path / "clothes", {"train": 1}, 16)
    assert "10/10" in notebook[0][-1]["text/plain"]


def test_a_title_is_text(notebook: list[list[dict[str, str]]]) -> None:
    """Rich's and HTML's markup in a title is not interpreted."""
    with progress.Bar().open("[bold]<b>a & b", 2) as bar:
        bar.update(1, "[red]<i>")
    state = notebook[0][1]
    assert "[bold]<b>a & b" in state["text/plain"]
    assert "[red]&lt;i&gt;" in state["text/html"]


@pytest.mark.parametrize("stderr", [False, True])
def test_no_bar_is_drawn_without_a_terminal(
    stderr: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.Bar(stderr=stderr).open("Work", 3) as bar:
        bar.advance()
        bar.update(2, "text")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr" if stderr else "stdout", None)  # pythonw has none
    with progress.Bar(stderr=stderr).open("Work", 3) as bar:
        bar.advance()


def test_a_bar_is_drawn_anywhere_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    bar = progress.Bar(stderr=True, transient=False, show=True).open("Work", 3)
    bar.advance(3)
    bar.close()
    bar.close()
    assert re.search("Work ━+ 3/3", capsys.readouterr().err)


@pytest.mark.parametrize("kernel", [True, False])
def test_the_shell_tells_whether_this_is_a_notebook(
    kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ipython = types.ModuleType("IPython")
    shell = types.SimpleNamespace(**({"kernel": 1} if kernel else {}))
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert progress.in_notebook() == kernel
    ipython.get_ipython = lambda: None  # type: ignore[attr-defined]
    assert not progress.in_notebook()
