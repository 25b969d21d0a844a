"""What a teacher needs to know about a lesson, read from its script and from its checks.

parts       the sections between headings, with the minutes that each takes in class
questions   each "Before you run this", with the cell that answers it and the sentence after it
tasks       the exercises, with their solutions and the wrong answers that their checks know
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from minicnn.lessons.checking import EXERCISES, Check, exercises_of
from minicnn.lessons.library import PREDICT, Cell, Script

QUESTION_MINUTES, TASK_MINUTES = 1, 5  # in class: to write down a prediction, to solve an exercise
_SIGNS = {ast.Lt: "below", ast.LtE: "at most", ast.Gt: "above", ast.GtE: "at least"}


class Question(NamedTuple):
    """What the class predicts; `after` is what the lesson says when the result is there."""

    text: str
    cell: Cell
    after: str


class Mistake(NamedTuple):
    """A wrong answer that a check knows: `answer` in Python, or "", and what the check says."""

    answer: str
    sentence: str


class Task(NamedTuple):
    """An exercise; `start` is its cell's code, with dots."""

    number: int
    text: str
    start: str
    solution: str
    mistakes: tuple[Mistake, ...]


class Part(NamedTuple):
    """A section of a lesson, the minutes that it takes in class, and what to ask in it."""

    title: str
    minutes: int
    questions: tuple[Question, ...]


def blocks(text: str) -> list[str]:
    """Split Markdown into its headings, paragraphs, lists, tables and blocks of code."""
    found: list[str] = []
    fenced = False
    for part in text.split("\n\n"):
        if fenced:
            found[-1] += "\n\n" + part
        else:
            found.append(part)
        fenced ^= part.count("```") % 2 == 1
    return [part.strip("\n") for part in found if part.strip()]


def questions(script: Script) -> list[Question]:
    """The questions of a lesson, in order."""
    found = []
    for place, cell in enumerate(script.cells):
        last = blocks(cell.text)[-1:] if cell.kind == "markdown" else []
        if last and last[0].startswith(PREDICT):
            later = (c.text for c in script.cells[place + 2 :] if c.kind == "markdown")
            following = blocks(next(later, ""))
            after = "\n\n".join(following[: 2 if following[0].endswith(":") else 1])
            after = re.sub(r"(^|\s)[^.!?]+:$", "", after)  # it leads to the next cell
            text = last[0].removeprefix(PREDICT).strip()
            other = after.startswith(("#", PREDICT, "**1.**"))
            text = text[:1].upper() + text[1:]
            found.append(Question(text, script.cells[place + 1], "" if other else after))
    return found


def parts(script: Script) -> list[Part]:
    """The parts of a lesson without its exercises: time is shared out by the number of words."""
    titles, words, asked = ["Introduction"], [0], [list[Question]()]
    waiting = {question.cell.line: question for question in questions(script)}
    for cell in script.cells:
        for block in blocks(cell.text) if cell.kind == "markdown" else []:
            if block.startswith("## Exercises"):
                return _timed(script, titles, words, asked)
            if block.startswith("## "):
                titles.append(block.removeprefix("## ").splitlines()[0])
                words.append(0)
                asked.append([])
            words[-1] += len(block.split())
        if cell.line in waiting:
            asked[-1].append(waiting[cell.line])
    return _timed(script, titles, words, asked)


def _timed(
    script: Script, titles: list[str], words: list[int], asked: list[list[Question]]
) -> list[Part]:
    whole = max(sum(words), 1)
    return [
        Part(
            title,
            max(round(script.minutes * count / whole) + QUESTION_MINUTES * len(ask), 1),
            tuple(ask),
        )
        for title, count, ask in zip(titles, words, asked, strict=True)
    ]


def class_minutes(script: Script) -> int:
    """How long the lesson takes in class: to read, to predict, and to solve the exercises."""
    return sum(part.minutes for part in parts(script)) + TASK_MINUTES * len(tasks(script))


def tasks(script: Script) -> list[Task]:
    """The exercises of a lesson."""
    found = []
    for number in exercises_of(script.number):
        place = next(i for i, c in enumerate(script.cells) if f"lesson.check({number}, " in c.text)
        text = script.cells[place - 1].text
        exercise = EXERCISES[script.number, number]
        found.append(
            Task(
                number,
                text[text.index(f"**{number}.**") :].removeprefix(f"**{number}.**").strip(),
                script.cells[place].text,
                exercise.solution,
                tuple(mistakes(exercise.check)),
            )
        )
    return found


def mistakes(check: Check) -> Iterator[Mistake]:
    """The wrong answers that a check knows, read from its source.

    They are the cases of `first_of`, and each `if …: return "sentence"`.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(check)))
    found: list[tuple[int, ast.expr | None, ast.expr]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "first_of":
            for case in node.args:
                if isinstance(case, ast.Tuple) and len(case.elts) == 2:
                    found.append((case.lineno, case.elts[0], case.elts[1]))
        elif isinstance(node, ast.If) and isinstance(node.body[-1], ast.Return):
            value = node.body[-1].value
            if value is not None:
                found.append((node.lineno, node.test, value))
    for _, condition, said in sorted(found, key=lambda case: case[0]):
        sentence = _sentence(said)
        if sentence:
            yield Mistake(_answer(condition), sentence)


def _sentence(value: ast.expr) -> str:
    """The text of a literal or of an f-string, whose numbers become "…"; "" for anything else."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr):
        texts = [v.value if isinstance(v, ast.Constant) else "…" for v in value.values]
        return re.sub(r"…+(\.$)?", "…", "".join(map(str, texts)))
    return ""


def _answer(condition: ast.expr | None) -> str:
    """The answers that a condition is about, such as `found == 3` or `0.5 < found <= 1`; "" else.

    What an exercise calls by a name of its own keeps it: `same(b, b2)` is the answer "b = b2".
    """
    match condition:
        case ast.BoolOp(values=[first, *_]):
            return _answer(first)
        case ast.Call(func=ast.Name(id="same"), args=[ast.Name(id=name), answer, *_]):
            return ("" if name == "found" else f"{name} = ") + ast.unparse(answer)
        case ast.Compare(left=ast.Name(id="found"), ops=[ast.Eq()], comparators=[answer]):
            return ast.unparse(answer)
        case ast.Compare(left=ast.Name(id="found"), ops=[ast.In()], comparators=[ast.Tuple(elts)]):
            return ", ".join(map(ast.unparse, elts))
        case ast.Compare(
            left=ast.Name(id="found"), ops=[op], comparators=[ast.Constant() as limit]
        ):
            return f"{_SIGNS[type(op)]} {ast.unparse(limit)}" if type(op) in _SIGNS else ""
        case ast.Compare(left=ast.Constant() as low, comparators=[ast.Name(id="found"), high]):
            return f"{ast.unparse(low)} to {ast.unparse(high)}"
        case ast.Compare(
            left=ast.Attribute(ast.Name(id="found"), "shape"), ops=[ast.Eq()], comparators=[shape]
        ):
            return f"shape {ast.unparse(shape)}"
        case ast.Compare(
            left=ast.Call(
                func=ast.Name(id="abs"), args=[ast.BinOp(ast.Name(id="found"), ast.Sub(), x)]
            ),
            ops=[ast.Lt() | ast.LtE()],
        ):
            return ast.unparse(x)
    return ""
