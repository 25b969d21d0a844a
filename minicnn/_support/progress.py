"""A progress bar, which is drawn on a terminal and in a notebook, and nowhere else.

rich draws it. On a terminal it moves a cursor; a notebook has none, so there each new state
replaces the last one as the display of a cell, which needs no widgets.
"""

import io
import sys
import time
from collections.abc import Sequence
from typing import Any


def in_notebook() -> bool:
    """Return whether output is displayed in a notebook: IPython runs as its kernel."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython  # type: ignore[attr-defined]

    return getattr(get_ipython(), "kernel", None) is not None


def can_draw(stderr: bool = False) -> bool:
    """Return whether a bar on stdout (or on stderr) would be seen to move."""
    stream = sys.stderr if stderr else sys.stdout
    if in_notebook():
        return True
    if stream is None or not stream.isatty():
        return False
    from rich.console import Console

    return Console(stderr=stderr).is_terminal


class Bar:
    """A bar that `open` draws, as often as it is called; where none can be drawn, it is silent.

    Args:
        columns: rich's columns after the title and the bar; by default the count and the total, the
            time so far and the time left.
        stderr: on a terminal, draw on stderr.
        transient: a closed bar disappears.
        show: None draws where the bar would be seen to move, False nowhere, True everywhere.
    """

    pause = 0.1  # seconds between two states in a notebook: each is a message to the browser
    clock = staticmethod(time.monotonic)

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        stderr: bool = False,
        transient: bool = True,
        show: bool | None = None,
    ) -> None:
        self._columns, self._stderr, self._transient = columns, stderr, transient
        self._draws = can_draw(stderr) if show is None else show
        self._bar: Any = None  # rich's, while one is open
        self._handle: Any = None  # of the cell's display, in a notebook
        self._drawn = 0.0

    def open(self, title: str, total: float | None = None) -> "Bar":
        """Draw a new bar, of unknown length if `total` is None; as a context it closes itself."""
        self.close()
        if not self._draws:
            return self
        from rich import progress
        from rich.console import Console

        notebook = in_notebook()
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=24),
            *(self._columns or _count_and_time()),
            progress.TextColumn("{task.fields[text]}", markup=False),
            console=_page() if notebook else Console(stderr=self._stderr),
            refresh_per_second=8,
            get_time=self.clock,
            transient=self._transient,
        )
        self._task = self._bar.add_task(title, total=total, text="")
        if notebook:
            self._display(at_once=True)
        else:
            self._bar.start()
        return self

    def update(self, completed: float | None = None, text: str | None = None) -> None:
        """Show how far the work is, and the text after the bar."""
        if self._bar is not None:
            fields = {} if text is None else {"text": text}
            self._bar.update(self._task, completed=completed, **fields)
            self._display()

    @property
    def is_open(self) -> bool:
        """Whether the bar is drawn now."""
        return self._bar is not None

    def say(self, text: str) -> None:
        """Show this text after the bar at once, before something that takes a long time."""
        if self._bar is not None:
            self._bar.update(self._task, text=text, refresh=self._handle is None)
            self._display(at_once=True)

    def restart(self) -> None:
        """Count time from now on: the time before says nothing about the time left."""
        if self._bar is not None:
            task = self._bar.tasks[0]
            self._bar.reset(self._task, total=task.total, completed=int(task.completed))

    def advance(self, amount: float = 1) -> None:
        """Count this much more as done."""
        if self._bar is not None:
            self._bar.advance(self._task, amount)
            self._display()

    def close(self) -> None:
        """Stop drawing; a closed bar may be opened again."""
        if self._bar is None:
            return
        if self._handle is None:
            self._bar.stop()
        else:
            self._display(at_once=True, empty=self._transient)
        self._bar = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _display(self, at_once: bool = False, empty: bool = False) -> None:
        """Show the present state in a notebook, unless the last one appeared just now."""
        console, now = self._bar.console, self.clock()
        if not isinstance(console.file, io.StringIO):
            return  # rich's own thread draws
        if not at_once and now - self._drawn < self.pause:
            return
        self._drawn = now
        from IPython.display import display

        console.print(self._bar.get_renderable())
        html = console.export_html(inline_styles=True, code_format="<pre>{code}</pre>", clear=False)
        text = console.export_text()
        shown = {"text/plain": "", "text/html": ""} if empty else _both(text, html)
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown, raw=True)


def _both(text: str, html: str) -> dict[str, str]:
    return {"text/plain": text.rstrip(), "text/html": html}


def _page() -> Any:
    """Return a console that records what is written to it."""
    from rich.console import Console

    return Console(file=io.StringIO(), record=True, width=120, force_jupyter=False)


def _count_and_time() -> tuple[Any, ...]:
    from rich import progress

    return (
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("<"),
        progress.TimeRemainingColumn(),
    )
