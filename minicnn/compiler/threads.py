"""The threads that compute, and how Python hands them work.

They are Python threads that run machine code without the GIL (`minicnn.compiler.schedule`). A
thread that finds no work for a moment goes to sleep, so that it takes no core from other programs;
a caller that has work wakes it.

- Several Python threads may compute at once: the first one gets the team, the others compute alone.
- A forked process has no team; it makes a new one when it first needs it.
- An interrupt (Ctrl-C) comes before or after the machine code, never within: nothing is left half
  done.

No result depends on the number of threads.
"""

import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minicnn._support import interrupts
from minicnn.compiler import loading

SCRATCH = 2**24  # bytes for each thread; the system allocates only the pages that are used
_IDLE = 4000  # rounds, about 0.2 ms, in which a thread looks for work before it sleeps


def cores() -> int:
    """Return how many cores this process may use."""
    wanted = os.environ.get("MINICNN_NUM_THREADS", "")
    if wanted:
        if not wanted.isdigit() or int(wanted) < 1:
            raise ValueError(
                f"MINICNN_NUM_THREADS expects a whole number >= 1. Received {wanted!r}."
            )
        return int(wanted)
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(found or 1, quota(Path("/sys/fs/cgroup")))


def quota(groups: Path) -> int:
    """Return how many cores' time a container may use; very many if it has no limit.

    Threads beyond that would spend it waiting for each other. (Linux's control groups, version 2
    and 1: a time in each period, in microseconds.)
    """
    files = [[groups / "cpu.max"]]
    files.append([groups / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")])
    for paths in files:
        with contextlib.suppress(OSError, ValueError):
            time, period = map(int, " ".join(path.read_text() for path in paths).split())
            if time > 0 and period > 0:
                return max(1, -(-time // period))
    return 2**16


class _Context(threading.local):
    """What machine code needs to know about the calling Python thread; `team` is None at first."""

    team: "_Team | None" = None
    address = 0

    def of(self, team: "_Team") -> int:
        """Return the address of this thread's context."""
        if self.team is not team:
            # For the arrays that kernels make; the system allocates only the pages that are used.
            self.scratch = np.empty(SCRATCH, np.uint8)
            begin = self.scratch.ctypes.data
            numbers = begin + -begin % 64, begin + SCRATCH, team.state.ctypes.data, _give_way()
            self.numbers = np.array(numbers, np.int64)
            self.team, self.address = team, self.numbers.ctypes.data
        return self.address


class _Code:
    """The machine code that hands out work."""

    def __init__(self) -> None:
        from minicnn.compiler import schedule

        number = ctypes.c_int64
        self.run_step = ctypes.CFUNCTYPE(None, ctypes.c_char_p, number, number, number, number)(
            loading.entry(schedule.run_step)
        )
        self.run_table = ctypes.CFUNCTYPE(None, number, number, number, number)(
            loading.entry(schedule.run_table)
        )
        self.serve = ctypes.CFUNCTYPE(None, number, number, number)(loading.entry(schedule.serve))


@functools.cache
def _give_way() -> int:
    """Return the address of the system's function that yields a thread's core."""
    if sys.platform == "win32":
        function = ctypes.windll.kernel32.SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class _Member:
    """A thread of the team; the caller's own thread is not one."""

    def __init__(self, number: int, team: "_Team") -> None:
        self.number, self.team = number, team
        self.asleep, self.bell = False, threading.Lock()
        self.bell.acquire()
        threading.Thread(target=self._work, name=f"minicnn-compute-{number}", daemon=True).start()

    def _work(self) -> None:
        serve, context = _code().serve, _context.of(self.team)
        while True:
            serve(self.number, _IDLE, context)
            self.asleep = True
            # This line needs the GIL, which a caller may just have released to compute: look again.
            if not self.team.is_busy():
                self.bell.acquire()
            self.asleep = False

    def wake(self) -> None:
        """Wake the thread to look for work."""
        self.asleep = False
        with contextlib.suppress(RuntimeError):  # it is awake already
            self.bell.release()


class _Team:
    """All threads that compute together."""

    def __init__(self) -> None:
        from minicnn.compiler import schedule

        self.state, self.open = np.zeros(schedule.STATE, np.int64), schedule.OPEN
        self.members: list[_Member] = []

    def is_busy(self) -> bool:
        """Return whether there is something to compute."""
        return bool(self.state[self.open])

    def wake(self, wanted: int) -> None:
        """Wake the team, so that `wanted` threads work, including the caller's."""
        while len(self.members) < wanted - 1:
            with _starting:
                if len(self.members) < wanted - 1:
                    self.members.append(_Member(len(self.members) + 1, self))
        for member in self.members[: wanted - 1]:
            if member.asleep:
                member.wake()


_context = _Context()
_starting = threading.Lock()
_team: _Team | None = None
_made: _Code | None = None
_count: int | None = None


def _code() -> _Code:
    global _made
    if _made is None:
        with interrupts.waiting(), loading.building:  # imports and compiles
            if _made is None:
                _made = _Code()
    return _made


def count() -> int:
    """Return how many threads compute."""
    global _count
    if _count is None:
        _count = cores()
    return _count


def set_count(threads: int) -> None:
    """Compute with this number of threads from now on."""
    global _count
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ValueError(f"expected a whole number of threads >= 1. Received {threads!r}.")
    _count = int(threads)


def _prepared(tasks: int) -> tuple[_Code, int, int]:
    """Return the code, the number of threads for this many tasks, and this thread's context."""
    global _team
    code, wanted = _made or _code(), min(_count or count(), tasks)
    if _team is None:
        with _starting:
            _team = _team or _Team()
    if wanted > 1:
        _team.wake(wanted)
    return code, wanted, _context.address if _context.team is _team else _context.of(_team)


def run(kernel: int, record: bytes, tasks: int) -> None:
    """Compute the tasks of the kernel at this address."""
    code, *how = _prepared(tasks)
    code.run_step(record, kernel, tasks, *how)


class Table:
    """Kernels in order, each given by its address, its record and its number of tasks.

    The caller must keep the arrays alive that the records name.
    """

    def __init__(self, steps: Sequence[tuple[int, bytes, int]]) -> None:
        from minicnn.compiler import schedule

        self._records = np.frombuffer(b"".join([record for _, record, _ in steps]), np.int64).copy()
        self._rows = np.zeros((len(steps), schedule.COLUMNS), np.int64)
        place = self._records.ctypes.data
        for row, (kernel, record, tasks) in zip(self._rows, steps, strict=True):
            row[schedule.KERNEL], row[schedule.RECORD], row[schedule.TASKS] = kernel, place, tasks
            place += len(record)
        self._most_tasks = max(tasks for _, _, tasks in steps)
        self._place = self._rows.ctypes.data

    def run(self) -> None:
        """Compute all steps."""
        code, *how = _prepared(self._most_tasks)
        code.run_table(self._place, len(self._rows), *how)


def forget_team() -> None:
    """Forget the team, so that the next computation makes one: a forked child has no threads."""
    global _team, _starting
    _team, _starting = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_team)
