"""The teacher's pack: for each lesson a plan, slides, a worksheet and the solutions, as HTML.

Everything in it is read from the lessons and from the checks of their exercises; the results on
the slides come from running the lessons. Each file stands alone and needs no internet connection.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from minicnn._support.atomic import make_folder, replacing
from minicnn._support.terminal import say
from minicnn.lessons import library
from minicnn.lessons.teacher import pages
from minicnn.lessons.teacher.results import results


def write_pack(
    directory: str | os.PathLike[str],
    numbers: Sequence[int] = (),
    overwrite: bool = False,
) -> list[Path]:
    """Run the lessons and write the pack into a folder; return the paths, the first page first.

    `numbers` are the lessons to take; by default all of them, and the homework. Raises `ValueError`
    for a number without a lesson, `NotADirectoryError` if `directory` is a file, and
    `FileExistsError`, before anything is run, if a file of the pack is there already and
    `overwrite` is not set.
    """
    directory = Path(directory)
    scripts = [library.find(n) for n in numbers] or [*library.scripts(), library.homework()]
    first = directory / "index.html"
    paths = [first, *(directory / name for script in scripts for name in pages.links(script))]
    make_folder(directory)
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{str(there[0])!r} is there already: name another folder, or pass --overwrite."
        )
    with tempfile.TemporaryDirectory(prefix="minicnn-lessons-") as workplace:
        for script in scripts:
            say(f"Running {pages.name_of(script)}")
            found = results(script, Path(workplace))
            names = pages.links(script)
            _write(directory / names.plan, pages.plan(script, found))
            _write(directory / names.slides, pages.slides(script, found))
            _write(directory / names.worksheet, pages.worksheet(script))
            _write(directory / names.solutions, pages.solutions(script))
    _write(first, pages.index(scripts))
    return paths


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())
