"""`Values`: the arrays that `call` computes with, on which `x += 1` makes a new array.

On a tensor of a tape, `x += 1` means `x = x + 1`. It must mean the same on arrays; otherwise a
layer would give different numbers without a tape, and write into the arrays that it was given.
"""

import contextlib
import operator
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray


class _Here(threading.local):
    """Whether this Python thread runs a `call`, and whether it is training; None outside of one."""

    training: bool | None = None


_here = _Here()


@contextlib.contextmanager
def calling(training: bool | None) -> Iterator[None]:
    """Note that a `call` runs in this block, with or without training; None: that none does."""
    before, _here.training = _here.training, training
    try:
        yield
    finally:
        _here.training = before


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


def within_call(y: Any) -> Any:
    """Return an array as `Values` if a `call` runs in this thread; anything else as it is."""
    if _here.training is None or type(y) is not Array:
        return y
    return y.view(Values)


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
