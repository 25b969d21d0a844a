"""Formats explanations: rounded numbers, tables as text, coloured grids as HTML.

Colours: blue is below zero, orange above it, white zero. The text colour is set, too, so that grids
are legible on a light and on a dark page and for colour-blind readers. Names may come from files,
so every text goes through `escape` (HTML) or `joined` (text).
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minicnn._support.terminal import printable

Array = np.ndarray

_BELOW, _ABOVE = (0, 90, 160), (213, 110, 0)
_CELL = "padding:2px 6px;text-align:right;font-variant-numeric:tabular-nums;"
_PLAIN = _CELL + "border:1px solid rgba(128,128,128,.35);"
_MOST_CELLS = 400  # of one grid: a whole feature map in numbers would flood a notebook


def number(value: Any, exact: bool = False) -> str:
    """Return a number with four digits, or, if `exact`, with all digits of a float64."""
    value = float(value)
    if exact:
        return repr(value)
    return "0" if value == 0 else f"{value:.4g}"


def place(at: Iterable[Any]) -> str:
    """Return a place as text: `[2, 3, 5]`."""
    return f"[{', '.join(str(int(i)) for i in at)}]"


def span(numbers: Sequence[int]) -> str:
    """Return numbers as text: `1…3`; `1, 3, 5` if there are gaps; `4` for a single one."""
    if len(numbers) == 1:
        return str(numbers[0])
    if list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}…{numbers[-1]}"
    return ", ".join(str(n) for n in numbers)


def count(n: int, noun: str) -> str:
    """Return a number of things as text: `1 term`, `27 terms`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def verdict(difference: float, tolerance: float, exact: bool, otherwise: str) -> str:
    """Return a difference in words: none, rounding, or `otherwise` if it is above the tolerance."""
    if math.isnan(difference):
        return "The difference is unknown: there is NaN among these numbers."
    text = f"difference {number(difference, exact)}"
    if abs(difference) > tolerance:
        return f"{text}: {otherwise}"
    return f"{text}: {'none at all' if difference == 0 else 'rounding'}"


def joined(lines: Iterable[str]) -> str:
    """Join lines into one text that is safe to print in a terminal."""
    return "\n".join(map(printable, lines))


def columns(rows: Sequence[Sequence[str]], left: int = 1, indent: str = "    ") -> list[str]:
    """Return the lines of a table: the first `left` columns flush left, the others right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        indent
        + "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def side_by_side(grids: Sequence[tuple[str, list[list[str]]]], indent: str = "    ") -> list[str]:
    """Set titled grids of texts side by side."""
    blocks = []
    for title, cells in grids:
        lines = [title, *columns(cells, left=0, indent="")]
        width = max(len(line) for line in lines)
        blocks.append([line.ljust(width) for line in lines])
    return [(indent + "     ".join(parts)).rstrip() for parts in zip(*blocks, strict=True)]


# -- HTML ------------------------------------------------------------------------------------------


def escape(text: Any) -> str:
    """Escape a text, whatever is in it, so that HTML shows it literally."""
    return html.escape(printable(text, lines=True), quote=True)


def scale_of(*arrays: Array) -> float:
    """Return the largest absolute finite number, which gets the full colour."""
    sizes = [float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in map(np.asarray, arrays)]
    return max(sizes, default=0.0) or 1.0


def colour(value: float, scale: float) -> str:
    """Return the style of a cell: blue below zero, orange above, and black or white text on it."""
    if not math.isfinite(value):
        return "background:rgb(190,0,0);color:#fff;"
    strength = min(abs(value) / scale, 1.0)
    full = _BELOW if value < 0 else _ABOVE
    red, green, blue = (round(255 + (c - 255) * strength) for c in full)
    # Luminance as WCAG 2 defines it; above 0.18 black has more contrast than white.
    light = 0.2126 * _linear(red) + 0.7152 * _linear(green) + 0.0722 * _linear(blue)
    text = "#000" if light > 0.18 else "#fff"
    return f"background:rgb({red},{green},{blue});color:{text};"


def _linear(part: int) -> float:
    share = part / 255
    return share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4


def html_grid(title: str, values: Array, scale: float, faint: Array | None = None) -> str:
    """Return a matrix as a coloured table; `faint` marks cells that lie in the padding."""
    values = np.asarray(values)
    if values.size and not values.any():
        title += " (all 0)"
    if values.size > _MOST_CELLS:
        rows, columns_ = (min(n, 20) for n in values.shape)
        title += f" (the first {rows}×{columns_} of {values.shape[0]}×{values.shape[1]})"
        values = values[:rows, :columns_]
    body = ""
    for i, row in enumerate(values):
        cells = ""
        for j, value in enumerate(row):
            padded = faint is not None and bool(faint[i, j])
            border = "border:1px dashed #888;" if padded else "border:1px solid transparent;"
            hint = ' title="padding"' if padded else f' title="{float(value)!r}"'
            cells += f'<td style="{_CELL}{border}{colour(float(value), scale)}"{hint}>'
            cells += f"{number(value)}</td>"
        body += f"<tr>{cells}</tr>"
    return (
        '<table style="display:inline-table;margin:4px 16px 4px 0;border-collapse:collapse">'
        f'<caption style="text-align:left;white-space:nowrap">{escape(title)}</caption>'
        f"<tbody>{body}</tbody></table>"
    )


def legend(scales: Mapping[str, float], padding: bool = False) -> str:
    """Return a legend: what the colours mean, and for which numbers they are full."""
    samples = "".join(
        f'<span style="padding:1px 8px;{colour(value, 1.0)}">{text}</span>'
        for value, text in ((-1.0, "below 0"), (-0.5, "&nbsp;"), (0.0, "0"), (0.5, "&nbsp;"),
                            (1.0, "above 0"))
    )  # fmt: skip
    full = ", ".join(f"{name} ±{number(scale)}" for name, scale in scales.items())
    more = "; dashed: padding" if padding else ""
    return f'<p style="margin:4px 0">{samples} full at {escape(full)}{more}</p>'


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Return a plain table; every cell is escaped."""

    def cell(tag: str, index: int, text: str) -> str:
        side = "text-align:left;" if index < left else ""
        return f'<{tag} style="{_PLAIN}{side}">{escape(text)}</{tag}>'

    def row(tag: str, cells: Sequence[str]) -> str:
        return f"<tr>{''.join(cell(tag, i, text) for i, text in enumerate(cells))}</tr>"

    head = f"<thead>{row('th', header)}</thead>" if header else ""
    body = "".join(row("td", cells) for cells in rows)
    return (
        f'<table style="border-collapse:collapse;margin:4px 0">{head}<tbody>{body}</tbody></table>'
    )


def html_text(text: str, style: str = "margin:4px 0") -> str:
    """Return a paragraph."""
    return f'<p style="{style}">{escape(text)}</p>'


def html_formula(text: str) -> str:
    """Return a line of code."""
    style = "margin:4px 0;background:none;color:inherit;white-space:pre-wrap"
    return f'<pre style="{style}">{escape(text)}</pre>'


def html_block(title: str, parts: Iterable[str]) -> str:
    """Return a titled block of the parts that the functions above return."""
    return (
        '<div style="color:inherit;font-size:13px;overflow-x:auto">'
        f'<p style="margin:4px 0"><strong>{escape(title)}</strong></p>{"".join(parts)}</div>'
    )
