"""The pages of the teacher's pack as HTML, each a single file: plan, slides, worksheet, solutions.

Text is Markdown, as in the lessons' cells. What a lesson prints, and everything that is not ours,
is escaped.
"""

import hashlib
import html
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import NamedTuple

from minicnn.lessons.checking import HOMEWORK
from minicnn.lessons.library import Script
from minicnn.lessons.photos import what_changes
from minicnn.lessons.teacher import deck
from minicnn.lessons.teacher.outline import (
    QUESTION_MINUTES,
    TASK_MINUTES,
    Mistake,
    Question,
    Task,
    class_minutes,
    parts,
    questions,
    tasks,
)
from minicnn.lessons.teacher.pieces import code, markdown, shown
from minicnn.lessons.teacher.results import Result

MOST_LINES = 14  # of a result in the plan


class Links(NamedTuple):
    """The names of a lesson's files in the pack."""

    plan: str
    slides: str
    worksheet: str
    solutions: str


def links(script: Script) -> Links:
    """The names of the files of a lesson, such as `05-plan.html`."""
    start = "homework" if script.number == HOMEWORK else f"{script.number:02d}"
    return Links(*(f"{start}-{name}.html" for name in Links._fields))


# -- a page --------------------------------------------------------------------------------------


def page(title: str, body: str, kind: str, script: str = "") -> str:
    """A whole page with the style of the pack; `kind` is the class of its body."""
    style = _file("pack.css")
    end = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f'<body class="{kind}">\n{body}\n{end}</body>\n</html>\n'
    )


def _file(name: str) -> str:
    return resources.files("minicnn.lessons.teacher").joinpath(name).read_text("utf-8")


def name_of(script: Script) -> str:
    """The title with the number, as in "Lesson 2: Images as arrays"."""
    kind = "Homework" if script.number == HOMEWORK else f"Lesson {script.number}"
    return f"{kind}: {script.title}"


# -- the plan ------------------------------------------------------------------------------------


def plan(script: Script, found: Mapping[int, Result]) -> str:
    """The plan of a lesson: times, what to ask and what the answer is, and the usual mistakes."""
    course = f"Section {script.section} of the course. " if script.section else ""
    others = "".join(
        f' <a href="{name}">{kind}</a>'
        for kind, name in zip(Links._fields[1:], links(script)[1:], strict=True)
    )
    changes = ""
    if script.photos is not None:
        changes = f"<p>{html.escape(what_changes(script.number, *script.photos))}</p>\n"
    rows, asked = "", ""
    for part in parts(script):
        rows += (
            f"<tr><td>{html.escape(part.title)}</td><td>{len(part.questions) or ''}</td>"
            f"<td>{part.minutes} min</td></tr>"
        )
        if part.questions:
            asked += f"<h3>{html.escape(part.title)}</h3>"
            asked += "".join(_asked(question, found) for question in part.questions)
    work = tasks(script)
    rows += f"<tr><td>Exercises</td><td></td><td>{TASK_MINUTES * len(work)} min</td></tr>"
    rows += f'<tr class="sum"><td>In all</td><td></td><td>{class_minutes(script)} min</td></tr>'
    body = (
        f"<h1>{html.escape(name_of(script))}</h1>\n<p>{course}{script.minutes} minutes to read, "
        f"{script.seconds} seconds to compute.{others}</p>\n{changes}"
        "<h2>Time</h2>\n<table><tr><th>part</th><th>questions</th><th>in class</th></tr>"
        f"{rows}</table>\n<p><small>Reading time is shared out by the number of words; a question "
        f"adds {QUESTION_MINUTES} minute, an exercise takes {TASK_MINUTES}.</small></p>\n"
    )
    if asked:
        body += (
            "<h2>What to ask</h2>\n<p>Ask before you run the cell, and let everybody write an "
            f"answer down (the worksheet has the same questions).</p>\n{asked}\n"
        )
    body += "<h2>Exercises</h2>\n" + "".join(_task_plan(task) for task in work)
    return page(name_of(script), body, "plan")


def _asked(question: Question, found: Mapping[int, Result]) -> str:
    result = shown(found.get(question.cell.line), MOST_LINES)
    after = f'<div class="say">{markdown(question.after)}</div>' if question.after else ""
    return (
        f'<article><div class="ask">{markdown(question.text)}</div>'
        f"<details><summary>The cell</summary>{code(question.cell.text)}</details>"
        f"{result}{after}</article>\n"
    )


def _task_plan(task: Task) -> str:
    asked = markdown(f"**{task.number}.** {task.text}")
    return f'<article><div class="ask">{asked}</div>{_known(task.mistakes)}</article>'


def _known(mistakes: Sequence[Mistake]) -> str:
    """The mistakes that a check knows as a table; without the answers if it names none."""
    if not mistakes:
        return ""
    named = any(mistake.answer for mistake in mistakes)
    rows = "<tr>" + ("<th>answer</th>" if named else "") + "<th>what the check says</th></tr>"
    for mistake in mistakes:
        answer = f"<code>{html.escape(mistake.answer)}</code>" if mistake.answer else ""
        first = f"<td>{answer}</td>" if named else ""
        rows += f"<tr>{first}<td>{html.escape(mistake.sentence)}</td></tr>"
    return f"<table>{rows}</table>"


# -- solutions and worksheet ---------------------------------------------------------------------


def solutions(script: Script) -> str:
    """The exercises of a lesson with their solutions."""
    body = f"<h1>{html.escape(name_of(script))}: solutions</h1>\n" + "".join(
        f"<article>{markdown(f'**{task.number}.** {task.text}')}{code(task.solution)}</article>\n"
        for task in tasks(script)
    )
    return page(f"{name_of(script)}: solutions", body, "solutions")


def worksheet(script: Script) -> str:
    """The questions and exercises of a lesson, with room to write, for print.

    A comment holds a digest of all its cells, which name the folder of photos and the base.
    """
    body = (
        f"<h1>{html.escape(name_of(script))}</h1>\n"
        '<p class="who">Name: <span></span> Date: <span></span></p>\n'
    )
    if script.photos is not None:
        body += f"<p><small>With {html.escape(str(script.photos))}.</small></p>\n"
    asked = questions(script)
    if asked:
        body += "<h2>Predict, then run</h2>\n"
    for number, question in enumerate(asked, start=1):
        body += (
            f"<article>{markdown(f'**{number}.** {question.text}')}{code(question.cell.text)}"
            f"{_room(2)}</article>\n"
        )
    body += "<h2>Exercises</h2>\n"
    for task in tasks(script):
        body += f"<article>{markdown(f'**{task.number}.** {task.text}')}{_room(6)}</article>\n"
    cells = "\n".join(cell.text for cell in script.cells)
    body += f"<!-- {hashlib.sha256(cells.encode()).hexdigest()} -->"
    return page(f"{name_of(script)}: worksheet", body, "worksheet")


def _room(lines: int) -> str:
    return '<div class="room">' + "<div></div>" * lines + "</div>"


# -- slides --------------------------------------------------------------------------------------


def slides(script: Script, found: Mapping[int, Result]) -> str:
    """The lesson as slides: a question stands above its cell, and the next slide has the result.

    The arrow keys turn them, and each is a page when printed.
    """
    body = "\n".join(
        f'<section class="{kind}"><div>{inner}</div></section>'
        for kind, inner in deck.slides(script, found)
    )
    body += (
        '\n<nav><button id="back" aria-label="previous slide">‹</button>'
        '<output id="place"></output><button id="on" aria-label="next slide">›</button></nav>'
    )
    return page(name_of(script), body, "slides", _file("slides.js"))


# -- the first page ------------------------------------------------------------------------------


def index(scripts: Sequence[Script]) -> str:
    """The first page of the pack: all lessons with their times, and links to their files."""
    rows = ""
    for script in scripts:
        names = links(script)
        rows += (
            f"<tr><td>{html.escape(name_of(script))}</td><td>{script.section}</td>"
            f"<td>{class_minutes(script)} min</td><td>"
            + " ".join(f'<a href="{name}">{kind}</a>' for kind, name in names._asdict().items())
            + "</td></tr>\n"
        )
    body = (
        "<h1>The teacher's pack</h1>\n"
        "<p>The pages follow from the lessons themselves: questions, cells and their results, "
        "exercises, and what the checks know about wrong answers.</p>\n"
        "<p>The arrow keys turn the slides. Printed, each slide is a page, and a worksheet has "
        "room to write.</p>\n"
        '<table class="all"><tr><th>lesson</th><th>course</th><th>in class</th><th></th></tr>\n'
        f"{rows}</table>"
    )
    return page("The teacher's pack", body, "plan")
