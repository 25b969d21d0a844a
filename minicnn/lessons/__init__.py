"""The lessons: the course's subjects, and what the engine and the processor do.

Each is a script of cells that runs from top to bottom and needs no internet connection.
`minicnn lessons` lists them, runs them, or writes them as notebooks or for a teacher.
A lesson begins with

    from minicnn.lessons import Lesson
    lesson = Lesson(4)

and uses `lesson` to get its images, to show figures, to check exercises and to print solutions.
"""

from minicnn.lessons.checking import HOMEWORK
from minicnn.lessons.lesson import Lesson
from minicnn.lessons.library import (
    Cell,
    Script,
    find,
    homework,
    notebook,
    print_list,
    run,
    scripts,
    with_photos,
    write_notebooks,
)
from minicnn.lessons.pretrain import KNOWN, PRETRAINED
from minicnn.lessons.sitting import check, solved
from minicnn.lessons.teacher import write_pack

__all__ = [
    "HOMEWORK",
    "KNOWN",
    "PRETRAINED",
    "Cell",
    "Lesson",
    "Script",
    "check",
    "find",
    "homework",
    "notebook",
    "print_list",
    "run",
    "scripts",
    "solved",
    "with_photos",
    "write_notebooks",
    "write_pack",
]
