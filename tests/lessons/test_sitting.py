"""`lessons --check` runs lessons with their solutions and says what went wrong."""

import re

import pytest
from lesson_cells import ALL

from minicnn import commands, lessons
from minicnn.lessons import checking, library


def test_a_solved_lesson_has_a_solution_in_place_of_all_dots():
    for script in ALL:
        solved = lessons.solved(script)
        assert [cell.kind for cell in solved.cells] == [cell.kind for cell in script.cells]
        for number in checking.exercises_of(script.number):
            (cell,) = [c.text for c in solved.cells if f"lesson.check({number}, " in c.text]
            assert cell.startswith(checking.EXERCISES[script.number, number].solution)
            assert cell.splitlines()[-1].startswith(f"lesson.check({number}, ")


LESSON = """# %% [markdown]
# # Lesson 2: Cats
#
# *1 minutes to read, 1 seconds to compute*

# %%
from minicnn.lessons import Lesson

lesson = Lesson(2)
{}

# %%
shape = ...
lesson.check(1, shape)
"""


@pytest.fixture
def script(tmp_path):
    def write(code=""):
        path = tmp_path / "lesson_02_cats.py"
        path.write_text(LESSON.format(code), "utf-8")
        return library.read(path)

    return write


@pytest.mark.parametrize(
    ("code", "solution", "said"),
    [
        ("print('not shown')", "shape = (32, 200, 300, 3)", "3 of 3 exercises solved"),
        ("", "shape = 32", "rejected the solution of exercise 1"),
        ("[][1]", "shape = 32", r"the cell at line 6 ended in IndexError: list index out of range"),
    ],
)
def test_it_says_what_went_wrong(code, solution, said, script, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    made = script(code)
    known = checking.EXERCISES[2, 1]
    monkeypatch.setitem(checking.EXERCISES, (2, 1), known._replace(solution=solution))
    monkeypatch.setattr(library, "find", lambda number: made)
    well = said.startswith("3 of 3")
    monkeypatch.chdir(tmp_path)
    assert commands.main(["lessons", "--check", "--only", "2,2"]) == (0 if well else 1)
    first, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"Lesson 2: Cats +\d+\.\d s  {said}", first)
    assert re.fullmatch(rf"{well:d} of 1 ran as they should, in \d+ seconds\.", last)
    assert (tmp_path / "runs" / "lessons" / "figures").is_dir()
