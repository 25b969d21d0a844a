"""Run a lesson and keep what each cell shows: its text and its figures."""

import base64
import contextlib
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

from minicnn.lessons.library import Script, execute

_FIGURE = re.compile(r"^Figure: (.+) \((figures/\S+\.png)\)\n?", re.MULTILINE)


class Figure(NamedTuple):
    """A figure as a `data:` address, with its title."""

    title: str
    address: str


class Result(NamedTuple):
    """What a cell prints and draws."""

    text: str
    figures: tuple[Figure, ...]


def results(script: Script, directory: Path) -> dict[int, Result]:
    """Run a lesson in a folder; return each cell's result by the line where the cell begins."""
    found = {}
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(script.path)}
    with contextlib.chdir(directory):
        for cell in script.cells:
            if cell.kind == "code":
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    execute(script, cell, names)
                found[cell.line] = _result(printed.getvalue(), directory)
    return found


def _result(printed: str, directory: Path) -> Result:
    figures = [
        Figure(title, "data:image/png;base64," + _base64(directory / name))
        for title, name in _FIGURE.findall(printed)
    ]
    return Result(_FIGURE.sub("", printed).strip("\n"), tuple(figures))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
