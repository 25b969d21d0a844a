"""Ctrl-C that waits until what must be done whole is done.

A half-imported library or a half-compiled kernel stays in the process for good: each later call
meets it ("partially initialized module"). A notebook has only the one process.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def waiting() -> Iterator[None]:
    """An interrupt (SIGINT) that comes within is kept, and comes at the end.

    Python runs signal handlers in its main thread alone: elsewhere there is nothing to do. Nor is
    there where a handler is no Python function, or the signal is ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def keep(number: int, frame: FrameType | None) -> Any:
        came.append((number, frame))

    signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is keep:  # unless somebody has set another one
            signal.signal(signal.SIGINT, before)
        if came:
            before(*came[-1])
