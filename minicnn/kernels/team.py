"""Who runs a parallel kernel: numba's threads, one caller at a time, or one thread alone.

Numba's threads do not survive a fork, and of its three ways to have threads ("layers")
`workqueue` ends the process when two Python threads use it at once. So:

- With `workqueue` one caller waits for the other.
- In a child that was forked when the threads were there already, every kernel runs as its twin that
  was compiled for one thread: the same numbers, for no result depends on the number of threads.
- A fork waits until nobody compiles or starts threads (`minicnn.forks`).

(A child that is spawned, or comes from a fork server, starts afresh and has all threads.)
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numba
from numba.core.compiler_lock import global_compiler_lock

from minicnn import forks

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


# A thread may compile for long.
forks.wait_for(sys.modules[__name__], "_lock", seconds=120)
forks.wait_for(global_compiler_lock, "_lock", seconds=120)


def _in_child() -> None:
    global _alone, ready
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
    os.register_at_fork(after_in_child=_in_child)
