"""Arrays that do not fit into a thread's own memory are allocated and freed."""

import ctypes
from collections.abc import Iterator

import numpy as np
import pytest

from minicnn.compiler import threads
from minicnn.compiler.kernel import Kernel
from minicnn.compiler.language import function

LARGE = 2**14 - 100  # as many numbers nearly fill a thread's memory


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each thread 128 KiB."""
    monkeypatch.setattr(threads, "SCRATCH", 2**17)
    threads.forget_team()
    threads.set_count(2)
    yield
    threads.forget_team()


def large(task, y, size):
    """Each round has three arrays that do not all fit, a function that needs one more, a return."""
    for i in range(7):
        a, b = np.zeros(size), np.zeros((2, size))
        c = np.empty(3)
        a[size - 1], b[1, size - 1], c[2] = i, i + 1, i + 2
        a[0], b[0, 0], c[0] = 0.25, 0.5, 0.125
        y[task, i] = a[size - 1] * 100 + b[1, size - 1] * 10 + c[2] + a[0] + b[0, 0] + c[0]
        y[task, i] += fills_much(size, i)
        if task % 2 == 1 and i == 5:
            return
    d = np.zeros(size)
    y[task, 7] = d[size // 2]


@function
def fills_much(size, value):
    if value < 0:
        return 0.0
    some = np.empty(size)
    some[:] = value
    if value % 2 == 1:
        return some[size - 1]
    return some[0] + 1000


def in_use() -> int:
    """Return how many bytes glibc has allocated and not yet freed."""
    names = [
        "arena",
        "few",
        "small",
        "pieces",
        "mapped",
        "most",
        "free_small",
        "used",
        "free",
        "top",
    ]

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in names]

    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        pytest.skip("not glibc")
    ask.restype = Info
    found = ask()
    return found.mapped + found.used


@pytest.mark.parametrize("size", [5, LARGE, 2**14 + 1])
@pytest.mark.usefixtures("small_memory")
def test_what_does_not_fit_into_a_thread_s_memory_is_allocated_and_freed(size: int) -> None:
    y = np.zeros((4, 8))
    expected = y.copy()
    for task in range(4):
        large(task, expected, size)
    launch = Kernel(large, lambda y, size: len(y))
    launch(y, size)
    np.testing.assert_array_equal(y, expected)
    before = in_use()
    for _ in range(100):
        launch(y, size)
    # If each round lost one array, that would be a hundred.
    assert in_use() - before < max(8 * size, 2**17) * 10
