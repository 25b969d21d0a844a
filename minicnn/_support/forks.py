"""Locks that are taken before a fork, so that the child process finds them free.

A forked process has one thread: the one that forked. A lock that another thread held at that moment
would stay locked in the child for good, and the work that it guards might be half done. So the
forking thread takes the locks itself before the fork, and both processes release them afterwards.
"""

import os
import threading
from typing import Any

_guarded: list[tuple[Any, str, float]] = []
_held: list[Any] = []


def wait_for(owner: Any, name: str, seconds: float) -> None:
    """Make each fork wait for the lock `owner.name`, which is a `threading.RLock`.

    If another thread holds it for more than `seconds`, the process forks all the same, and the
    child gets a new lock: the other thread may be waiting for something that the forking one holds.
    """
    _guarded.append((owner, name, seconds))


def _before() -> None:
    for owner, name, seconds in _guarded:
        lock = getattr(owner, name)
        if lock.acquire(timeout=seconds):
            _held.append(lock)


def _after() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    _after()
    for owner, name, _ in _guarded:
        lock = getattr(owner, name)
        if lock.acquire(blocking=False):
            lock.release()
        else:
            setattr(owner, name, threading.RLock())


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
