"""Ten lessons: from the task and the data to how a fast convolution works.

Each is a script of cells that runs top to bottom without a network; `minicnn lessons` lists them,
runs them, or writes them as notebooks. A lesson begins with

    from minicnn.lessons import Lesson
    lesson = Lesson(4)

and asks `lesson` for its pictures, to show a figure, to check an exercise or to tell its solution.
"""

from minicnn.lessons.lesson import Lesson
from minicnn.lessons.library import (
    Cell,
    Script,
    find,
    notebook,
    print_list,
    run,
    scripts,
    write_notebooks,
)
from minicnn.lessons.pretrain import KNOWN, PRETRAINED

__all__ = [
    "KNOWN",
    "PRETRAINED",
    "Cell",
    "Lesson",
    "Script",
    "find",
    "notebook",
    "print_list",
    "run",
    "scripts",
    "write_notebooks",
]
