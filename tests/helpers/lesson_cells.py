"""The cells of the lessons' exercises, unsolved and solved."""

from pathlib import Path

import minicnn
from minicnn import lessons
from minicnn.lessons import checking

ROOT = Path(minicnn.__file__).parents[1]


SCRIPTS = lessons.scripts()
ALL = [*SCRIPTS, lessons.homework()]


EXERCISES = list(checking.EXERCISES)


def exercise_cell(lesson: int, number: int) -> str:
    """Return the code cell that ends with this exercise's check."""
    found = [c for c in lessons.find(lesson).cells if f"lesson.check({number}, " in c.text]
    assert [cell.kind for cell in found] == ["code"]
    return found[0].text


def solved_cell(lesson: int, number: int) -> str:
    """Return the same cell with the solution in place of the dots."""
    found = [c for c in lessons.solved(lessons.find(lesson)).cells if f"check({number}, " in c.text]
    return found[0].text
