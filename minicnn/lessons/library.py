"""The lessons as files: list them, run them in the terminal, write them as notebooks.

A lesson is a Python script in percent format: a line `# %%` begins a cell of code, a line
`# %% [markdown]` a cell of text, whose lines are comments. Editors (VS Code, PyCharm, Spyder) run
such a script cell by cell; Python runs it as it stands.
"""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minicnn._support import terminal
from minicnn._support.atomic import make_folder, replacing
from minicnn._support.reading import TooLargeError, read_regular
from minicnn.applications import transfer
from minicnn.lessons.bases import PHOTO_SIZE
from minicnn.lessons.checking import HOMEWORK
from minicnn.lessons.photos import COMPUTED, WITH_BASE, Photos, check_photos

FOLDER = Path(__file__).parent
PREDICT = "**Before you run this:**"  # a lesson asks for a prediction with these words


class Cell(NamedTuple):
    """A piece of a lesson: `kind` is "markdown" or "code", `line` the line where it begins."""

    kind: str
    text: str
    line: int


class Script(NamedTuple):
    """A lesson's file, and what its first lines say about it."""

    number: int
    path: Path
    title: str
    section: str  # of the course; empty if the course has no such section
    minutes: int  # to read
    seconds: int  # to compute
    cells: tuple[Cell, ...]
    photos: Photos | None = None  # those that it uses in place of the drawn clothes

    @property
    def duration(self) -> str:
        """How long it computes, in words."""
        slow = self.photos is not None and self.photos.base and self.number in COMPUTED
        return "several minutes" if slow else f"some {self.seconds} seconds"

    @property
    def takes_photos(self) -> bool:
        """Whether it gets its images from `Lesson`, which can take photos instead.

        The homework cannot: its checks know the answers for the drawn clothes.
        """
        return self.number != HOMEWORK and any(
            re.search(r"\blesson\.(clothes|photos)\(", cell.text) for cell in self.cells
        )

    @property
    def takes_base(self) -> bool:
        """Whether it gets its network from `Lesson`, which can take another base."""
        return any("lesson.network()" in cell.text for cell in self.cells)


def cells(source: str) -> tuple[Cell, ...]:
    """The cells of a script in percent format."""
    found: list[tuple[str, int, list[str]]] = []
    for number, line in enumerate(source.splitlines(), start=1):
        if line.startswith("# %%"):
            kind = "markdown" if line.endswith("[markdown]") else "code"
            found.append((kind, number, []))
        elif found:
            found[-1][2].append(line)
        elif line.strip():
            raise ValueError(f'A script in percent format begins with "# %%", not with {line!r}.')
    return tuple(
        Cell(kind, (_uncommented(lines) if kind == "markdown" else "\n".join(lines)).strip(), at)
        for kind, at, lines in found
    )


def _uncommented(lines: Sequence[str]) -> str:
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)


def read(path: Path) -> Script:
    """Read a lesson's file and split it into cells."""
    parts = cells(path.read_text("utf-8"))
    title = re.match(r"# (?:Lesson (\d+)|Homework): (.+)\n\n\*(.+)\*", parts[0].text)
    times = title and re.search(
        r"(?:Section ([\d.]+).* )?(\d+) minutes to read, (\d+) seconds? to", title[3]
    )
    if not title or not times:
        raise ValueError(f"{path.name} does not begin with a title and the times that it takes.")
    return Script(
        int(title[1] or HOMEWORK),
        path,
        title[2],
        times[1] or "",
        int(times[2]),
        int(times[3]),
        parts,
    )


def scripts() -> list[Script]:
    """All lessons, in order."""
    return [read(path) for path in sorted(FOLDER.glob("lesson_*.py"))]


def homework() -> Script:
    """The homework, which is a script as the lessons are; its number is `HOMEWORK`."""
    return read(FOLDER / "homework_clothes.py")


def find(number: int) -> Script:
    """The lesson with this number. Raises `ValueError` if there is no such lesson."""
    if number == HOMEWORK:
        return homework()
    found = scripts()
    for script in found:
        if script.number == number:
            return script
    raise ValueError(f"There are lessons 1 to {found[-1].number}. Received {number}.")


def with_photos(
    script: Script,
    data: str | os.PathLike[str],
    base: str | os.PathLike[str] | None = None,
) -> Script:
    """The lesson with the photos of this folder in place of the drawn clothes.

    `base` is a network that has seen photos (see `Lesson`), for a lesson that takes one. Raises
    `FileNotFoundError` if the folder does not have the ten kinds, or if there is no such base, and
    `ValueError` for a lesson that does not get its images, or its network, from `Lesson`.
    """
    photos = Photos(check_photos(data), None if base is None else transfer.check_base(base))
    if not script.takes_photos:
        if script.number == HOMEWORK:
            raise ValueError("The homework takes no photos: its checks know the drawn clothes.")
        raise ValueError(
            f"Lesson {script.number} does not use the images of clothes, so it cannot take photos."
        )
    if base is not None and not script.takes_base:
        raise ValueError(
            f"Lessons {', '.join(map(str, WITH_BASE))} can take a base that has seen photos. "
            f"Received lesson {script.number}."
        )
    words = f"data={str(photos.folder)!r}" + (f", base={photos.base!r}" if photos.base else "")
    changed = [
        re.sub(r"\bLesson\((\w+)\)", lambda found: f"Lesson({found[1]}, {words})", c.text)
        for c in script.cells
    ]
    return script._replace(
        cells=tuple(cell._replace(text=text) for cell, text in zip(script.cells, changed)),
        photos=photos,
    )


def where_they_can(
    given: Sequence[Script],
    data: str | os.PathLike[str] | None,
    base: str | os.PathLike[str] | None = None,
) -> list[Script]:
    """The lessons, those that take photos and a base with them, the others as they are.

    Without `data` all stay as they are. Raises, besides the errors of `with_photos`, `ValueError`
    if none of them takes what is given, or for a base without photos, and the errors of
    `transfer.load_base` for a file that is no base.
    """
    if data is None:
        _try_base(data, base)
        return list(given)
    if not any(script.takes_photos for script in given):
        raise ValueError("None of these lessons uses the images of clothes, or can take photos.")
    if base is not None:
        if not any(script.takes_base for script in given):
            raise ValueError("None of these lessons reuses a network's base, or can take one.")
        _try_base(data, base)
    return [
        with_photos(script, data, base if script.takes_base else None)
        if script.takes_photos
        else script
        for script in given
    ]


def _try_base(data: str | os.PathLike[str] | None, base: str | os.PathLike[str] | None) -> None:
    """Raise now, not in a lesson's cell, for a base without photos, or a file that is no base."""
    if base is None:
        return
    if data is None:
        raise ValueError(f"A base goes with photos: pass data, too. Received base={base!r}.")
    if transfer.check_base(base) not in transfer.NETWORKS:
        transfer.load_base(base, PHOTO_SIZE)


def print_list() -> None:
    """Print what each lesson is about and how long it takes, then how to run them."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading, justify in (("", "right"), ("lesson", "left"), ("course", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("to read", justify="right")
    table.add_column("to compute", justify="right")
    for script in scripts():
        times = f"{script.minutes} min", f"{script.seconds} s"
        table.add_row(str(script.number), script.title, script.section, *times)
    console = Console()
    console.print(table)
    this = terminal.this_program()
    console.print(
        f"\nHomework:          {this} lessons --run homework"
        f"\nIn the terminal:   {this} lessons --run 1"
        f"\nAs notebooks:      {this} lessons --notebooks lessons"
        f"\nFor a class:       {this} lessons --teacher runs/teacher"
        f"\nDo they run here?  {this} lessons --check"
        f"\nCell by cell:      open the scripts in an editor: {FOLDER}"
        "\n\nThe first runs take some seconds more: minicnn compiles what it needs, once.",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


# -- notebooks -----------------------------------------------------------------------------------


# The second cell of a notebook, in plain Python, so that every editor and service runs it.
INSTALL = """\
# In Colab, or wherever minicnn is missing, this installs it: from a wheel that you have put beside
# the notebook, otherwise from the package index. Elsewhere it does nothing.
import importlib.util
import subprocess
import sys
from pathlib import Path

found = importlib.util.find_spec("minicnn")
if found is None or found.origin is None:  # None: a folder that uninstalling has left
    wheels = sorted(map(str, Path().glob("minicnn_engine-*.whl"))) or ["minicnn-engine"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, f"{wheels[-1]}[plot]"], check=True)
    importlib.invalidate_caches()"""


def notebook(script: Script) -> dict[str, Any]:
    """The lesson as a Jupyter notebook (nbformat 4.5): the same cells, without output.

    After the first one there is a cell that installs minicnn where it is missing.
    """
    first, *others = script.cells
    cells = [first, Cell("code", INSTALL, first.line), *others]
    return {
        "cells": [
            {
                "cell_type": cell.kind,
                "id": f"lesson-{script.number:02d}-cell-{place:02d}",
                "metadata": {},
                "source": cell.text.splitlines(keepends=True),
            }
            | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {})
            for place, cell in enumerate(cells, start=1)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_notebooks(
    directory: str | os.PathLike[str],
    overwrite: bool = False,
    data: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
) -> list[Path]:
    """Write the lessons and the homework as `.ipynb` files into a folder; make it if need be.

    With `data`, a folder of photos, the lessons that can take photos use them, and with `base`
    those that can take a base use it (see `where_they_can`, also for errors). Raises
    `NotADirectoryError` if `directory` is a file, and `FileExistsError`, before anything is
    written, if a notebook there has other content (a learner's work) and `overwrite` is not set.
    """
    directory = Path(directory)
    written = where_they_can([*scripts(), homework()], data, base)
    texts = {
        directory / script.path.with_suffix(".ipynb").name: json.dumps(
            notebook(script), ensure_ascii=False, indent=1
        )
        + "\n"
        for script in written
    }
    make_folder(directory)
    if not overwrite:
        for path, text in texts.items():
            if path.exists() and not holds(path, text.encode(), "notebook"):
                raise FileExistsError(
                    f"{str(path)!r} has been changed: name another folder, or pass --overwrite."
                )
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_bytes(text.encode())
    return list(texts)


def holds(path: Path, content: bytes, what: str) -> bool:
    """Whether the file has exactly this content; a longer file is not read."""
    try:
        return read_regular(path, what, len(content)) == content
    except (OSError, TooLargeError):
        return False


# -- in the terminal -----------------------------------------------------------------------------


def run(
    number: int,
    directory: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
) -> float:
    """Show a lesson in the terminal, cell by cell, and run it; returns the seconds it computed.

    The lesson writes its images and figures into `directory`; `data` is a folder of photos to use
    in place of the drawn clothes, `base` a network that has seen photos (see `with_photos`, also
    for errors). In an interactive terminal a cell whose result the reader should predict waits for
    the Enter key.
    """
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.syntax import Syntax

    script = find(number) if data is None else with_photos(find(number), data, base)
    _try_base(data, base)
    directory = Path(directory)
    make_folder(directory / "figures")
    console = Console()
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(script.path)}
    spent, wait = 0.0, False
    with contextlib.chdir(directory):
        for cell in script.cells:
            if cell.kind == "markdown":
                console.print(Markdown(cell.text), "")
                asked = sys.stdin is not None and sys.stdin.isatty()  # None: the shell closed it
                wait = PREDICT in cell.text and asked and console.is_terminal
                continue
            console.print(Syntax(cell.text, "python", theme="ansi_dark", word_wrap=True), "")
            if wait:
                with contextlib.suppress(EOFError):
                    console.input("[dim]Your prediction? Enter runs the cell. [/dim]")
                wait = False
            start = time.perf_counter()
            execute(script, cell, names)
            spent += time.perf_counter() - start
            console.print()
    return spent


def execute(script: Script, cell: Cell, names: dict[str, Any]) -> None:
    """Run a cell of code; `names` are the variables that the cells share."""
    # Blank lines before the code make an error name the line of the file.
    exec(compile("\n" * cell.line + cell.text, str(script.path), "exec"), names)
