"""Cuts the work of a kernel into tasks by the shapes alone, whatever the number of threads.

A task should take ten microseconds or more, far longer than handing it out; and there should be
several for each thread, so that the others do not wait for the slowest. One is always slower,
because its core also runs another program, or is one of the processor's small cores.
"""

from minicnn.compiler.language import function

NUMBERS = 2**15  # read and written in about ten microseconds


def shares(count: int, size: int = 1) -> int:
    """Return into how many tasks to cut `count` things of `size` numbers each."""
    return max(1, min(count, count * size // NUMBERS)) if count > 0 else 0


@function
def share(count, task, tasks):
    """Return the first of the task's things, and the one after its last."""
    return count * task // tasks, count * (task + 1) // tasks
