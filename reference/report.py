"""Writes reports that can be mailed: text, tables and figures in one HTML file."""

import base64
import html
import io
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicnn._support.atomic import replacing
from minicnn._support.terminal import printable

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.best td { font-weight: 600; }
figure { margin: 1rem 0; } img { max-width: 100%; background: white; border-radius: 4px; }
pre { overflow-x: auto; } .machine { opacity: .75; }
@media (max-width: 40rem) { .wide { overflow-x: auto; } }
"""


def in_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text, a line for each row, whatever characters its names have."""
    head, *rows = ([printable(cell) for cell in line] for line in [head, *rows])
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in [head, *rows]
    )  # fmt: skip


class Page:
    """A page of parts in order; `write` writes the file completely or not at all."""

    def __init__(self, title: str, first_line: str) -> None:
        self.title = title
        self._parts = [
            f"<h1>{html.escape(title)}</h1>",
            f'<p class="machine">{html.escape(first_line)}</p>',
        ]

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def code(self, text: str) -> None:
        self._parts.append(f"<pre>{html.escape(text)}</pre>")

    def link(self, text: str, target: str) -> None:
        """Add a link to a file beside the page."""
        address = html.escape(urllib.parse.quote(target), quote=True)
        self._parts.append(f'<p><a href="{address}">{html.escape(text)}</a></p>')

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], best: int | None = None
    ) -> None:
        """Add a table; `best` is the index of the row to highlight."""

        def line(cells: Sequence[str], tag: str, mark: str = "") -> str:
            inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr{mark}>{inside}</tr>"

        body = "\n".join(
            line(row, "td", ' class="best"' if number == best else "")
            for number, row in enumerate(rows)
        )
        self._parts.append(
            f'<div class="wide"><table><thead>{line(head, "th")}</thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def photos(self, images: Sequence[Any], caption: str) -> None:
        """Add Pillow images side by side, and a caption below them."""
        parts = []
        for image in images:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=80)
            data = base64.b64encode(buffer.getvalue()).decode()
            parts.append(f'<img alt="" src="data:image/jpeg;base64,{data}"> ')
        text = html.escape(printable(caption))
        self._parts.append(f"<figure>{''.join(parts)}<figcaption>{text}</figcaption></figure>")

    def picture(self, figure: Any, description: str) -> None:
        """Add a matplotlib figure; `description` is for readers who cannot see it."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        data = base64.b64encode(buffer.getvalue()).decode()
        alt = html.escape(description, quote=True)
        self._parts.append(f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"></figure>')

    def write(self, path: Path) -> None:
        body = "\n".join(self._parts)
        page = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head>\n"
            f"<body>\n{body}\n</body></html>\n"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            # A byte of a file's name that is not text appears as in Python, "\\udce9".
            temporary.write_text(page, "utf-8", "backslashreplace")
