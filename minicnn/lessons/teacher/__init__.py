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
from minicnn.lessons.library import Script, holds
from minicnn.lessons.teacher import pages
from minicnn.lessons.teacher.results import Result, results


def write_pack(
    directory: str | os.PathLike[str],
    numbers: Sequence[int] = (),
    overwrite: bool = False,
    data: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
) -> list[Path]:
    """Run the lessons and write the pack into a folder; return the paths, the first page first.

    `numbers` are the lessons to take; by default all of them, and the homework. The index is
    written last: in a folder without it, which an interrupted call has left, the same call goes on
    after the lessons that are there. `data` and `base` as in `write_notebooks`, also for errors.

    Raises `ValueError` for a number without a lesson, `NotADirectoryError` if `directory` is a
    file, and `FileExistsError`, before anything is run, if `overwrite` is not set and a whole pack
    is there already, or a file of other content in place of one of the pack.
    """
    directory = Path(directory)
    scripts = [library.find(n) for n in dict.fromkeys(numbers)] or [
        *library.scripts(),
        library.homework(),
    ]
    scripts = library.where_they_can(scripts, data, base)
    first = directory / "index.html"
    names = [pages.links(script) for script in scripts]
    make_folder(directory)
    done = set() if overwrite else _done(directory, scripts)
    with tempfile.TemporaryDirectory(prefix="minicnn-lessons-") as workplace:
        for number, script in enumerate(scripts, start=1):
            name, place = pages.name_of(script), f"{number} of {len(scripts)}"
            if script in done:
                say(f"There already: {name} ({place})")
                continue
            say(f"Running {name} ({place}; {script.duration})")
            try:
                for page, text in _pages(script, results(script, Path(workplace))).items():
                    _write(directory / page, text)
            except KeyboardInterrupt:
                if not overwrite:
                    say("The same command goes on with this lesson.")
                raise
    _write(first, pages.index(scripts))
    return [first, *(directory / page for links in names for page in links)]


def _pages(script: Script, found: dict[int, Result]) -> dict[str, str]:
    """Return the text of a lesson's files, in the order in which they are written."""
    names = pages.links(script)
    return {
        names.worksheet: pages.worksheet(script),
        names.solutions: pages.solutions(script),
        names.plan: pages.plan(script, found),
        names.slides: pages.slides(script, found),
    }


def _done(directory: Path, scripts: Sequence[Script]) -> set[Script]:
    """Return the lessons whose files an interrupted call has written.

    A worksheet needs no results, so it can be compared: if the one that is there is what would be
    written now, the lesson's other files come from the same cells with the same photos, too.
    Raises `FileExistsError`.
    """
    done = set()
    refused = "is there already: name another folder, or pass --overwrite."
    if (directory / "index.html").exists():
        raise FileExistsError(f"{str(directory / 'index.html')!r} {refused}")
    for script in scripts:
        names = pages.links(script)
        there = [directory / name for name in names if (directory / name).exists()]
        sheet = pages.worksheet(script).encode()
        if there and not holds(directory / names.worksheet, sheet, "worksheet"):
            raise FileExistsError(f"{str(there[0])!r} {refused}")
        if len(there) == len(names):
            done.add(script)
    return done


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())
