"""Delays Ctrl-C until work that must not stop halfway is done.

A half-imported library or a half-compiled kernel stays in the process for good, and every later
call fails on it ("partially initialized module"). A notebook has only the one process.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def waiting() -> Iterator[None]:
    """Hold back an interrupt (SIGINT) that arrives within the block, and raise it at the end.

    Python runs signal handlers only in its main thread, so this does nothing in other threads, nor
    if SIGINT is ignored or its handler is not a Python function.
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
        if signal.getsignal(signal.SIGINT) is keep:  # unless other code has set its own handler
            signal.signal(signal.SIGINT, before)
        if came:
            before(*came[-1])
