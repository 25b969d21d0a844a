"""All lessons in one sitting, each exercise solved: what a teacher runs before the course."""

import contextlib
import io
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicnn._support.atomic import make_folder
from minicnn._support.terminal import printable, say
from minicnn.lessons import library
from minicnn.lessons.checking import EXERCISES, exercises_of
from minicnn.lessons.library import Script
from minicnn.lessons.teacher.pages import name_of


def solved(script: Script) -> Script:
    """The lesson with a solution in place of the dots of each exercise."""

    def solve(text: str) -> str:
        found = re.search(r"lesson\.check\((\d+), ", text)
        if found is None:
            return text
        solution = EXERCISES[script.number, int(found[1])].solution
        return f"{solution}\n{text.splitlines()[-1]}"

    cells = [c._replace(text=solve(c.text)) if c.kind == "code" else c for c in script.cells]
    return script._replace(cells=tuple(cells))


def check(
    directory: str | os.PathLike[str],
    numbers: Sequence[int] = (),
    data: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
) -> bool:
    """Run the lessons one after the other in a folder, and say of each whether all is well.

    Each runs with the solutions of its exercises; what it prints is not shown. `numbers` are the
    lessons to run, by default all and the homework; `data` and `base` as in `write_notebooks`.
    Returns whether every cell ran and every solution was accepted.
    """
    scripts = [library.find(n) for n in dict.fromkeys(numbers)] or [
        *library.scripts(),
        library.homework(),
    ]
    scripts = library.where_they_can(scripts, data, base)
    directory = Path(directory)
    make_folder(directory / "figures")
    width = max(len(name_of(script)) for script in scripts)
    failed, begin = 0, time.perf_counter()
    for script in scripts:
        start = time.perf_counter()
        with contextlib.chdir(directory):
            fault = _fault(solved(script))
        failed += bool(fault)
        count = len(exercises_of(script.number))
        said = fault or f"{count} of {count} exercises solved"
        say(f"{name_of(script):{width}}  {time.perf_counter() - start:6.1f} s  {said}")
    count = len(scripts)
    seconds = time.perf_counter() - begin
    say(f"{count - failed} of {count} ran as they should, in {seconds:.0f} seconds.")
    return not failed


def _fault(script: Script) -> str:
    """Run a solved lesson; return what went wrong, or ""."""
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(script.path)}
    for cell in script.cells:
        if cell.kind != "code":
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                library.execute(script, cell, names)
        except Exception as error:
            what = printable(" ".join(str(error).split()))
            return f"the cell at line {cell.line} ended in {type(error).__name__}: {what}"
    wrong = [str(number) for number, right in names["lesson"].solved.items() if not right]
    return f"rejected the solution of exercise {', '.join(wrong)}" if wrong else ""
