"""`Values`: the arrays that `call` computes with, on which `x += 1` makes a new array.

On a tensor of a tape, `x += 1` means `x = x + 1`. It must mean the same on arrays; otherwise a
layer would give different numbers without a tape, and write into the arrays that it was given.

Outside of a `call`, models, layers, operations and data sets return a `Result`.
"""

import operator
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn._support.within import Within

Array = np.ndarray


class _Here(threading.local):
    """Whether this Python thread runs a `call`, and whether it is training; None outside of one."""

    training: bool | None = None


_here = _Here()


def calling(training: bool | None) -> Within:
    """Note that a `call` runs in this block, with or without training; None: that none does."""
    return Within(_here, "training", training)


def is_training() -> bool | None:
    """Return whether the `call` that runs in this thread is training; None outside of one."""
    return _here.training


class Values(Array):
    """An array on which `x += 1` makes a new one, as it does on a tensor."""


def _anew(name: str) -> Callable[[Array, Any], Any]:
    function: Callable[[Any, Any], Any] = getattr(operator, f"__{name}__")
    return lambda x, other: function(x, other)


for _name in (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
):
    setattr(Values, f"__i{_name}__", _anew(_name))


class Result(Array):
    """An array whose `numpy()` returns it as it is, which programs call that know TensorFlow's.

    Its parts are results, too; what NumPy computes from it is a plain array, or a plain number.
    """

    __array_priority__ = -1.0  # below that of `Values`: within a `call`, a result is a constant

    def numpy(self) -> Array:
        """Return the same numbers as a plain array, not copied."""
        return self.view(Array)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: Any = None) -> Any:
        plain = np.asarray(array)
        single = plain.ndim == 0 if return_scalar is None else return_scalar  # None: NumPy 1
        return plain[()] if single else plain

    def __repr__(self) -> str:
        return repr(self.numpy())


def result(y: Any) -> Any:
    """Return a plain array as a `Result`; anything else as it is."""
    return y.view(Result) if type(y) is Array else y


def within_call(y: Any) -> Any:
    """Return an array as `Values` if a `call` runs in this thread, or else as a `Result`."""
    if _here.training is None:
        return result(y)
    return y.view(Values) if type(y) is Array else y


def protected(x: Any) -> Any:
    """Return an array as `call` receives it, read-only; anything else as it is."""
    if not isinstance(x, Array):
        return x
    found = x.view(Values)
    found.flags.writeable = False
    return found


def plain(y: Any) -> Any:
    """Return an array of `call` as a plain, writable array; anything else as it is."""
    if not isinstance(y, Values):
        return y
    found = y.view(Array)
    return found if found.flags.writeable else found.copy()
