"""Tells the user that kernels are being compiled, which takes seconds, once per machine.

A progress bar that listens shows the news itself. Where none listens, a line on stderr tells it,
unless `show(False)` was called. A `fit` with `verbose=0` listens and shows nothing.
"""

import shutil
import sys
import time
import weakref
from typing import Protocol

from minicnn._support.progress import in_notebook


class Listener(Protocol):
    """Something that shows progress."""

    def compiling(self, text: str) -> None:
        """Say that kernels are compiled; an empty text says that one is done."""


count = 0  # kernels compiled in this process
seconds = 0.0  # that they took

_listeners: "list[weakref.ref[Listener]]" = []
_depth = 0  # a kernel's own kernels are compiled within it
_began = 0.0
_show = True
_line = 0  # length of what stands on stderr


def show(on: bool) -> None:
    """Whether compiling is told on stderr where no progress bar tells it."""
    global _show
    _show = bool(on)


def listen(listener: Listener) -> None:
    """From now on this one is told, as long as it lives; one that came before is told no more."""
    _listeners.append(weakref.ref(listener))


def leave(listener: Listener) -> None:
    """`listener` is told no more."""
    _listeners[:] = [ref for ref in _listeners if ref() not in (None, listener)]


def begins(name: str) -> None:
    """A kernel of this name is compiled."""
    global _depth, _began, count
    _depth += 1
    if _depth == 1:
        _began = time.perf_counter()
        count += 1
        _tell(f"compiling kernels for this machine, once: {count} so far ({name})")


def ends() -> None:
    """The kernel is compiled, or could not be."""
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
    """A line that changes on a terminal or in a notebook; elsewhere one line for all kernels."""
    global _line
    if sys.stderr is None:
        return
    if sys.stderr.isatty() or in_notebook():
        # A line that wraps would stay: nothing returns to where it began.
        text = text[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write(f"\r{' ' * _line}\r{text}")
        sys.stderr.flush()
        _line = len(text)
    elif count == 1 and text:
        print("minicnn compiles kernels for this machine, once: some seconds", file=sys.stderr)
