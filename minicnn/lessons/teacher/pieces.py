"""Pieces of the pack's pages as HTML: text, code, and what a cell shows."""

import html
import textwrap

from minicnn.lessons.teacher.results import Result

LONGEST_LINE = 110  # letters that a cell prints in a line; longer ones are wrapped
SHORT_LINE, FEW_LINES = 64, 8  # text that fits into this stands in large letters on a slide
WIDE_LINE = 90  # letters that a line of paper holds; longer ones are printed in small letters


def markdown(text: str) -> str:
    """Markdown as HTML; HTML in it is escaped, so that it shows as written."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def code(text: str) -> str:
    """Python in colours."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    formatter = HtmlFormatter(noclasses=True, style="default", cssstyles="background:none")
    colours = highlight(text, PythonLexer(), formatter)
    return f'<div class="code{_size(text.splitlines())}">{colours}</div>'


def shown(result: Result | None, lines: int | None = None) -> str:
    """What a cell printed, at most so many lines of it, and its figures."""
    if result is None:
        return ""
    text = [part for line in result.text.splitlines() for part in _wrapped(line)]
    if lines is not None and len(text) > lines:
        text = [*text[:lines], "…"]
    printed = f'<pre class="{_size(text)}">{html.escape(chr(10).join(text))}</pre>' if text else ""
    return printed + "".join(
        f'<img alt="{html.escape(figure.title)}" src="{figure.address}">'
        for figure in result.figures
    )


def _size(lines: list[str]) -> str:
    """The class of the text: " short" and " wide" have letters of another size."""
    longest = max(map(len, lines))
    if longest <= SHORT_LINE and len(lines) <= FEW_LINES:
        return " short"
    return " wide" if longest > WIDE_LINE else ""


def _wrapped(line: str) -> list[str]:
    """The line in parts of at most `LONGEST_LINE` letters; a row of a table stays whole."""
    if len(line) <= LONGEST_LINE or "\u2500" <= line.lstrip()[:1] <= "\u257f":  # ─ to ╿
        return [line]
    start = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line, LONGEST_LINE, subsequent_indent=start, drop_whitespace=True)
