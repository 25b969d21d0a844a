"""Recording what a computation asks of kernels, to do the same again without Python.

While a `Recorder` listens, the functions of `minicnn.functional` are called as always, but on a
`Live` array: one whose numbers will be known only when the program runs. A kernel that reads it is
written down instead of computed, and what it writes is live as well. A kernel that reads none, one
that packs weights, say, is computed at once, and for good.

NumPy cannot compute with what is not known yet: then `NotKernelsError` is raised, and that part has
to be done in Python each time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class _Here(threading.local):
    """Who listens to this Python thread."""

    recorder: Recorder | None = None


here = _Here()


class NotKernelsError(Exception):
    """A computation is not made of kernels alone."""


def once(array: Array) -> bool:
    """Return whether a recorder listens, and what is made of this array alone is made for good."""
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
        if not isinstance(found, Live):  # one number, which is not known
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
    """function(z), of z's shape and dtype; a program that it cannot be recorded for calls it."""
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
        """Mark the array: from now on its numbers are not known."""
        root = root_of(array)
        self._live[id(root)] = root

    def is_live(self, array: Any) -> bool:
        """Return whether the numbers of this array are not known."""
        return isinstance(array, np.ndarray) and id(root_of(array)) in self._live

    def takes(self, kernel: Any, arguments: tuple[Any, ...]) -> bool:
        """Write the kernel down, if it is to be; else the caller computes it."""
        if not any(self.is_live(argument) for argument in arguments):
            return False
        self.write_down(kernel, arguments)
        return True

    def write_down(self, kernel: Any, arguments: tuple[Any, ...]) -> None:
        """Have the program compute this, whatever it reads."""
        tasks = kernel.tasks(*arguments)
        if tasks > 0:
            self.steps.append(Step(kernel, arguments, tasks))
        for number in kernel.written:
            self.expect(arguments[number])

    def call(self, function: Callable[[Any], Any], given: Any, outputs: tuple[Array, ...]) -> None:
        """Have the program call a Python function each time."""
        self.steps.append(Call(function, given, outputs))
        for output in outputs:
            self.expect(output)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Have kernels come to this recorder."""
        before, here.recorder = here.recorder, self
        try:
            yield
        finally:
            here.recorder = before
