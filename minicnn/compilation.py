"""Tells the user that kernels are being compiled, which takes seconds, once per machine.

A progress bar that listens shows the message itself. If nothing listens, a line shows it, unless
`show(False)` was called. A `fit` with `verbose=0` listens and shows nothing.
"""

import shutil
import sys
import time
import weakref
from typing import Protocol

from minicnn._support.progress import in_notebook


class Listener(Protocol):
    """An object that can show that kernels are being compiled."""

    def compiling(self, text: str) -> None:
        """Show that kernels are being compiled; an empty text means that one is done."""


count = 0  # kernels compiled in this process
seconds = 0.0  # time spent on compiling them

_listeners: "list[weakref.ref[Listener]]" = []
_depth = 0  # > 1 while the kernels that a kernel calls are compiled
_began = 0.0
_show = True
_line = 0  # length of the text now on stderr


def show(on: bool) -> bool:
    """Choose whether stderr says that kernels are being compiled when no progress bar does.

    Returns the previous choice.
    """
    global _show
    before, _show = _show, bool(on)
    return before


def listen(listener: Listener) -> None:
    """Send messages to `listener` as long as it lives; earlier listeners get none meanwhile."""
    _listeners.append(weakref.ref(listener))


def leave(listener: Listener) -> None:
    """Send no more messages to `listener`."""
    _listeners[:] = [ref for ref in _listeners if ref() not in (None, listener)]


def begins(name: str) -> None:
    """Announce that the kernel of this name is being compiled."""
    global _depth, _began, count
    _depth += 1
    if _depth == 1:
        _began = time.perf_counter()
        count += 1
        _tell(f"compiling kernels for this machine, once: {count} so far ({name})")


def ends() -> None:
    """Announce that the kernel is compiled, or could not be."""
    global _depth, seconds
    _depth -= 1
    if _depth == 0:
        seconds += time.perf_counter() - _began
        _tell("")


def _tell(text: str) -> None:
    listeners = [listener for ref in _listeners if (listener := ref()) is not None]
    if listeners:
        listeners[-1].compiling(text)
    elif _show:
        _say(text)


def _say(text: str) -> None:
    """Write a line that changes on a terminal; elsewhere one line for all.

    A notebook keeps each state of a line that changes, and marks stderr in red, as an error.
    """
    global _line
    notebook = in_notebook()
    if sys.stderr is None:
        return
    if sys.stderr.isatty() and not notebook:
        # A line that wraps would stay: "\r" returns only to the start of its last row.
        text = text[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write(f"\r{' ' * _line}\r{text}")
        sys.stderr.flush()
        _line = len(text)
    elif count == 1 and text:
        stream = sys.stdout if notebook else sys.stderr
        print("minicnn compiles kernels for this machine, once: a few seconds", file=stream)
