"""Arrays for kernels, and a way to run a kernel both in Python and as machine code."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.compiler.kernel import Kernel

COUNTS = (1, 2, 7, 16)


def run_both(python: Callable[..., None], arguments: tuple[Any, ...], tasks: int = 1) -> list[Any]:
    """Return the arrays among the arguments, as Python leaves them and as the kernel does.

    Assert, too, that a kernel does the same compiled with few passes and with all of them.
    """
    by_python, by_kernel, vectorized = (
        [a.copy() if isinstance(a, np.ndarray) else a for a in arguments] for _ in range(3)
    )
    for task in range(tasks):
        python(task, *by_python)
    Kernel(python, lambda *_: tasks)(*by_kernel)
    Kernel(python, lambda *_: tasks, vectorize=True)(*vectorized)
    for few, all_passes in zip(by_kernel, vectorized, strict=True):
        np.testing.assert_array_equal(few, all_passes)
    return [
        [a for a in arguments if isinstance(a, np.ndarray)] for arguments in (by_python, by_kernel)
    ]


def ints(*shape: int) -> np.ndarray:
    """Return whole numbers around 0."""
    return np.arange(math.prod(shape)).reshape(shape) * 7 % 11 - 4


def floats(*shape: int, dtype: str = "float64") -> np.ndarray:
    """Return multiples of 1/4 around 0: sums and products of a few are exact."""
    return ints(*shape).astype(dtype) / 4


def zeros(*shape: int, dtype: str = "float64") -> np.ndarray:
    return np.zeros(shape, dtype)
