"""A lesson runs in real Jupyter, and what it shows fits into a cell."""

import json
from pathlib import Path

import pytest
from pages import NAMES, plain

import minicnn
from minicnn import lessons
from minicnn.explain import page
from minicnn.explain.page import shown

WIDTH = 640  # of a cell, in pixels: half a small screen


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Return lesson 4's notebook as a kernel of its own ran it, without ipywidgets."""
    pytest.importorskip("matplotlib")
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    pytest.importorskip("ipykernel")
    folder = tmp_path_factory.mktemp("notebook")
    made = json.dumps(lessons.notebook(lessons.find(4)))
    book = nbformat.reads(made, as_version=4)
    without = "import sys; sys.modules['ipywidgets'] = None"
    where = f"; sys.path.insert(0, {str(Path(minicnn.__path__[0]).parent)!r})"
    book.cells.insert(0, nbformat.v4.new_code_cell(without + where))
    resources = {"metadata": {"path": str(folder)}}
    client(book, timeout=300, kernel_name="python3", resources=resources).execute()
    return book


def outputs(book):
    return [output for cell in book.cells for output in cell.get("outputs", [])]


@pytest.mark.slow
def test_a_lesson_runs_in_jupyter(executed):
    shown = [output["data"] for output in outputs(executed) if "data" in output]
    assert {name for data in shown for name in data} <= {"text/plain", "text/html", "image/png"}
    asked = [c.source.count("lesson.show(") for c in executed.cells if c.cell_type == "code"]
    assert len(shown) == sum(asked) + 1  # and the bar while the clothes are drawn
    assert sum("image/png" in data for data in shown) == 6
    assert sum("text/html" in data for data in shown) == len(shown) - 6
    printed = "".join(o["text"] for o in outputs(executed) if o["output_type"] == "stream")
    assert "(1, 62, 62, 16)" in printed
    assert "Exercise 1: not answered yet." in printed
    assert "Figure:" not in printed  # figures are shown, not written
    assert [o for o in outputs(executed) if o.get("name") == "stderr"] == []


@pytest.mark.slow
def test_what_a_lesson_shows_is_no_wider_than_a_cell(executed, browser):
    tables = [o["data"]["text/html"] for o in outputs(executed) if "text/html" in o.get("data", {})]
    model, x = plain()
    trace = model.trace(x)
    tables += [trace._repr_html_(), model.layers[0]._repr_html_(), model._repr_html_()]
    tab = browser.new_page(viewport={"width": WIDTH, "height": 800})
    cells = "".join(f'<div style="overflow:visible">{table}</div>' for table in tables)
    tab.set_content(f'<body style="margin:0;font:13px sans-serif">{cells}</body>')
    assert tab.evaluate("document.documentElement.scrollWidth") == WIDTH
    wide = tab.evaluate(
        "[...document.querySelectorAll('table')].filter(t => t.offsetWidth > innerWidth).length"
    )
    assert wide > 0  # there was something to keep inside
    tab.close()


@pytest.mark.slow
def test_the_page_shows_itself_in_a_cell(browser, monkeypatch):
    model, x = plain()
    made = model.trace(x).to_html(class_names=NAMES[:2])
    assert isinstance(made, page.Page)
    assert made == page.build(model, x, class_names=NAMES[:2])
    assert len(repr(made)) < 80
    complaints = []
    for longest, attribute in ((2**21, ' src="data:'), (1000, ' srcdoc="')):
        monkeypatch.setattr(shown, "LONGEST_ADDRESS", longest)
        cell = made._repr_html_()
        assert attribute in cell
        assert cell.endswith(">Run the cell to see the page of the model.</iframe>")
        tab = browser.new_page(viewport={"width": 1000, "height": 800})
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.set_content(cell)
        frame = tab.frame_locator("iframe")
        frame.locator("#app[data-ready=true]").wait_for()
        frame.locator("button").first.focus()
        tab.keyboard.press("Tab")
        tab.close()
    assert complaints == []
