"""Who runs a parallel kernel: numba's threads, one caller at a time, or one thread alone.

Numba's threads do not survive a fork, and of its three ways to have threads ("layers")
`workqueue` ends the process when two Python threads use it at once. So:

- With `workqueue` one caller waits for the other.
- In a child that was forked when the threads were there already, every kernel runs as its twin that
  was compiled for one thread: the same numbers, for no result depends on the number of threads.
- A fork waits until nobody imports or compiles: locks that a thread held which the child does not
  have would never be released there.

(A child that is spawned, or comes from a fork server, starts afresh and has all threads.)
"""

import os
import threading
from collections.abc import Callable
from typing import Any

import numba
from numba.core.compiler_lock import global_compiler_lock

# Threads are there and any number of callers may use them: what a kernel asks at each call.
ready = False

_alone = False  # forked from a process that had threads
_started = False
_lock = threading.RLock()  # held to start the threads, and by each caller of `workqueue`


def threads() -> int:
    """How many threads a kernel shall run on."""
    if _alone:
        return 1
    _start()
    return int(numba.get_num_threads())


def call(kernel: Callable[..., Any], twin: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call the kernel, or its twin for one thread."""
    if _alone:
        return twin(*arguments)
    _start()
    if ready:
        return kernel(*arguments)
    with _lock:
        return kernel(*arguments)


def _start() -> None:
    """Have numba start its threads, if it has not yet; then it is known what they can do."""
    global ready, _started
    if _started:
        return
    with _lock:
        numba.get_num_threads()
        ready = numba.threading_layer() != "workqueue"
        _started = True


# A thread that compiles for longer than this is not waited for; the child then has a lock of its
# own, and most likely nothing half-made behind it.
_PATIENCE = 120.0  # seconds
_held: list[Any] = []


def _before_fork() -> None:
    for lock in (_lock, global_compiler_lock._lock):
        if lock.acquire(timeout=_PATIENCE):
            _held.append(lock)


def _release() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    global _alone, _lock, ready
    _release()
    if not _lock.acquire(blocking=False):
        _lock = threading.RLock()
    else:
        _lock.release()
    if not global_compiler_lock._lock.acquire(blocking=False):
        global_compiler_lock._lock = threading.RLock()
    else:
        global_compiler_lock._lock.release()
    _alone = _alone or _threads_exist()
    ready = ready and not _alone


def _threads_exist() -> bool:
    """Whether numba has started its threads, for a kernel or for a user's own function."""
    try:
        numba.threading_layer()
    except ValueError:
        return False
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_release, after_in_child=_in_child)
