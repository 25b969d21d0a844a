"""A lesson as slides: each holds about one thing, in letters that the last row can read.

a text           as much of it as fits, and no more than one section's
a question       in a bar, above the cell that answers it; a short text before it is in the bar
what a cell did  with the text that follows, if both are short; each figure by itself
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from minicnn.lessons.library import PREDICT, Cell, Script
from minicnn.lessons.teacher.outline import blocks
from minicnn.lessons.teacher.pieces import code, markdown, shown
from minicnn.lessons.teacher.results import Result

LONGEST = 560  # characters of text on a slide
IN_THE_BAR = 380  # characters of a question with the text before it, less …
CODE_LINE = 15  # … for each line of the code below
A_FEW_LINES = 180  # characters that have room beside code or a figure
SHORT = 8  # lines of code, or of a result, that leave room for something else on a slide
MOST_CODE = 18  # lines of code on a slide; a longer cell is split where it has blank lines


class Slide(NamedTuple):
    """A slide: `kind` is a class in `pack.css`; `room` is how many letters of text it has room for.

    `heading` is "" for a slide that begins with something else.
    """

    kind: str
    heading: str
    body: str
    room: int = 0


def slides(script: Script, found: Mapping[int, Result]) -> Iterator[tuple[str, str]]:
    """Each slide of a lesson: its kind and what is on it, as HTML."""
    for slide in _joined(_slides(script, found)):
        heading = markdown(f"## {slide.heading}") if slide.heading else ""
        yield slide.kind, heading + slide.body


def _joined(slides: Iterator[Slide]) -> Iterator[Slide]:
    """Put a text onto the slide of a result before it, or a short one onto the cell's after it.

    They must be of the same section, and have room.
    """
    last: Slide | None = None
    for slide in slides:
        if last and last.heading == slide.heading:
            left = last.room - (LONGEST - slide.room)
            if slide.kind == "text" and last.kind == "result" and left >= 0:
                last = last._replace(body=last.body + slide.body, room=0)
                continue
            if last.kind == "text" and slide.kind != "text" and LONGEST - last.room <= A_FEW_LINES:
                last = slide._replace(body=last.body + slide.body, room=0)
                continue
        if last:
            yield last
        last = slide
    if last:
        yield last


def _slides(script: Script, found: Mapping[int, Result]) -> Iterator[Slide]:
    heading = question = ""
    for place, cell in enumerate(script.cells):
        if cell.kind == "code":
            if "lesson.check(" not in cell.text:  # the slide of an exercise is its text
                yield from _cell(cell, heading, question, found.get(cell.line))
            question = ""
            continue
        waiting: list[str] = []
        opens = False  # whether the text begins a section; otherwise it is about the last result
        for block in blocks(cell.text):
            full = sum(map(len, waiting)) + len(block) > LONGEST
            if block.startswith(PREDICT):
                question = "\n\n".join([*waiting, block])
                below = _split(script.cells[place + 1].text)[-1]
                bar = opens and len(question) <= IN_THE_BAR - CODE_LINE * below.count("\n")
                if bar and not any(map(_is_large, waiting)):
                    waiting = []
                else:
                    question = block
                continue
            if full or block.startswith("#") or re.match(r"\*\*\d\.\*\*", block):
                yield from _text(heading, waiting)
                waiting = []
            if block.startswith("#"):
                heading, opens = block.lstrip("# "), True
                waiting = [block] if block.startswith("# ") else []
            else:
                waiting.append(block)
        yield from _text(heading, waiting)


def _is_large(block: str) -> bool:
    """Whether it is a list, a table, a title or code, for which the bar is no place."""
    return re.match(r"[*-] |\d+\. |\||```|#", block) is not None


def _text(heading: str, parts: list[str]) -> Iterator[Slide]:
    text = "\n\n".join(parts)
    if text.startswith("# "):
        yield Slide("title", "", markdown(text))
    elif text:
        yield Slide("text", heading, markdown(text), LONGEST - _letters(parts))


def _letters(parts: list[str]) -> int:
    """How many letters take as much room: a row of a table or of a list is a line, too."""
    return sum(
        max(len(part), 55 * (part.count("\n") + 1) if _is_large(part) else 0) for part in parts
    )


def _cell(cell: Cell, heading: str, question: str, result: Result | None) -> Iterator[Slide]:
    """The code, below the question if there is one, and then what it shows."""
    pieces = _pieces(result)
    if not question and cell.text.count("\n") < SHORT and len(pieces) == 1:
        yield Slide("result", heading, code(cell.text) + shown(pieces[0]))
        return
    *first, last = _split(cell.text)
    for part in first:
        yield Slide("cell", heading, code(part))
    if question:
        yield Slide("question", "", f"<header>{markdown(question)}</header>{code(last)}")
    else:
        yield Slide("cell", heading, code(last))
    for piece in pieces:
        lines = piece.text.count("\n") + 1
        room = A_FEW_LINES if piece.figures else max(LONGEST - 55 * lines, 0)
        yield Slide("result", heading, shown(piece), room)


def _split(text: str) -> list[str]:
    """The code in parts of at most `MOST_CODE` lines, as far as blank lines allow."""
    parts = [""]
    for block in re.split(r"\n\n+(?=\S)", text):
        joined = f"{parts[-1]}\n\n{block}" if parts[-1] else block
        if joined.count("\n") < MOST_CODE or not parts[-1]:
            parts[-1] = joined
        else:
            parts.append(block)
    return parts


def _pieces(result: Result | None) -> list[Result]:
    """What goes onto one slide each: a short text and a figure; else each figure by itself."""
    if result is None or not (result.text or result.figures):
        return []
    if len(result.figures) <= 1 and result.text.count("\n") < SHORT:
        return [result]
    texts = [result._replace(figures=())] if result.text else []
    return [*texts, *(Result("", (figure,)) for figure in result.figures)]
