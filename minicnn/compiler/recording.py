"""Records the kernels that a computation calls, to repeat them without Python.

While a `Recorder` listens, the functions of `minicnn.functional` are called as usual, but on a
`Live` array, whose numbers will be known only when the program runs. A kernel that reads a live
array is recorded instead of computed, and the arrays that it writes become live, too. A kernel that
reads no live array, such as one that packs weights, is computed at once, and only once.

NumPy cannot compute with unknown numbers: then `NotKernelsError` is raised, and Python has to
compute that part in each run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class _Here(threading.local):
    """The recorder that listens to this Python thread."""

    recorder: Recorder | None = None


here = _Here()


class NotKernelsError(Exception):
    """A computation does not consist of kernels alone."""


def once(array: Array) -> bool:
    """Return whether a recorder listens and computes results of this array once and for all."""
    return here.recorder is not None and not here.recorder.is_live(array)


class Live(np.ndarray):
    """An array whose numbers are not known while a recorder listens; NumPy may only reshape it."""

    def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
        raise NotKernelsError

    def __array_function__(self, *_: Any, **__: Any) -> Any:
        raise NotKernelsError

    def __setitem__(self, *_: Any) -> Any:
        raise NotKernelsError

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if not isinstance(found, Live):  # a single number, which is unknown
            raise NotKernelsError
        return found

    def item(self, *_: Any) -> Any:
        """Raise: no number is known yet."""
        raise NotKernelsError

    def tolist(self) -> Any:
        """Raise: no number is known yet."""
        raise NotKernelsError

    def copy(self, *_: Any, **__: Any) -> Any:
        """Raise: there is nothing to copy yet."""
        raise NotKernelsError

    def astype(self, *_: Any, **__: Any) -> Any:
        """Raise: there is nothing to convert yet."""
        raise NotKernelsError


def live(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return a new live array. Its memory is never touched, so the system never gives it any."""
    return np.empty(shape, dtype).view(Live)


def activated(function: Callable[[Array], Array], z: Array) -> Array:
    """Return function(z), of z's shape and dtype; a program calls it if it cannot be recorded."""
    recorder = here.recorder
    if recorder is None:
        return function(z)
    known = len(recorder.steps)
    try:
        return function(z)
    except NotKernelsError:
        del recorder.steps[known:]
        y = live(z.shape, z.dtype)
        recorder.call(function, z, (y,))
        return y


class Step(NamedTuple):
    """A kernel, its arguments, and the number of its tasks."""

    kernel: Any  # a `kernel.Kernel`
    arguments: tuple[Any, ...]
    tasks: int


def root_of(array: Array) -> Array:
    """Return the array that owns the memory of this one."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Call(NamedTuple):
    """A Python function of an array, or of a list of them, and the arrays that its results fill."""

    function: Callable[[Any], Any]
    given: Any
    outputs: tuple[Array, ...]


class Recorder:
    """Writes down the kernels that compute with live arrays, and the calls between them."""

    def __init__(self) -> None:
        self.steps: list[Step | Call] = []
        self._live: dict[int, Array] = {}

    def expect(self, array: Array) -> None:
        """Mark the array as live: its numbers are unknown from now on."""
        root = root_of(array)
        self._live[id(root)] = root

    def is_live(self, array: Any) -> bool:
        """Return whether the numbers of this array are unknown."""
        return isinstance(array, np.ndarray) and id(root_of(array)) in self._live

    def takes(self, kernel: Any, arguments: tuple[Any, ...]) -> bool:
        """Record the kernel and return True if it reads live arrays; else the caller runs it."""
        if not any(self.is_live(argument) for argument in arguments):
            return False
        self.write_down(kernel, arguments)
        return True

    def write_down(self, kernel: Any, arguments: tuple[Any, ...]) -> None:
        """Record the kernel, whatever it reads."""
        tasks = kernel.tasks(*arguments)
        if tasks > 0:
            self.steps.append(Step(kernel, arguments, tasks))
        for number in kernel.written:
            self.expect(arguments[number])

    def call(self, function: Callable[[Any], Any], given: Any, outputs: tuple[Array, ...]) -> None:
        """Record a call of a Python function."""
        self.steps.append(Call(function, given, outputs))
        for output in outputs:
            self.expect(output)
