"""Functions through which no gradient flows: their results are plain arrays, constants for a tape.

A result that jumps, such as that of `floor` or `x > 0`, has the derivative 0 between its jumps.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import config
from minicnn._support.operators import operations
from minicnn._support.values import within_call
from minicnn.ops.operation import of_symbols, operation, value_of
from minicnn.ops.tape import Symbolic, Tensor

Array = np.ndarray


def _result(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function return what `call` computes with, when it runs within one."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return within_call(function(*args, **kwargs))

    return call


def _named(call: Callable[..., Any], name: str, says: str) -> Callable[..., Any]:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = says
    operations[name] = call
    return call


def _of_two(function: Callable[..., Any], name: str, says: str) -> Callable[..., Any]:
    """Return an operation of two arrays, tensors or weights that is a function of NumPy."""

    def call(x1: Any, x2: Any) -> Any:
        if isinstance(x1, Symbolic) or isinstance(x2, Symbolic):
            return of_symbols(name, {"x1": x1, "x2": x2})
        return within_call(np.asarray(function(constant(x1), constant(x2))))

    return _named(call, name, says)


def _of_one(function: Callable[..., Any], name: str, says: str) -> Callable[..., Any]:
    """Return an operation of one array, tensor or weight that is a function of NumPy."""

    def call(x: Any) -> Any:
        if isinstance(x, Symbolic):
            return of_symbols(name, {"x": x})
        return within_call(np.asarray(function(constant(x))))

    return _named(call, name, says)


def constant(value: Any) -> Any:
    """Return a tensor, a weight or a list as an array, and a number as it is.

    Raises `TypeError` for a symbol, which has no values.
    """
    if isinstance(value, Symbolic):
        raise TypeError(
            f"{value!r} is a symbol without values, and this operation makes no layer: use it in "
            "the call of a layer of your own."
        )
    return value_of(value)


equal = _of_two(np.equal, "equal", "Return where x1 equals x2.")
not_equal = _of_two(np.not_equal, "not_equal", "Return where x1 differs from x2.")
greater = _of_two(np.greater, "greater", "Return where x1 is larger than x2.")
greater_equal = _of_two(np.greater_equal, "greater_equal", "Return where x1 is at least x2.")
less = _of_two(np.less, "less", "Return where x1 is smaller than x2.")
less_equal = _of_two(np.less_equal, "less_equal", "Return where x1 is at most x2.")
logical_and = _of_two(np.logical_and, "logical_and", "Return where both x1 and x2 are true.")
logical_or = _of_two(np.logical_or, "logical_or", "Return where at least one of x1 and x2 is true.")
logical_not = _of_one(np.logical_not, "logical_not", "Return where x is false.")
isnan = _of_one(np.isnan, "isnan", "Return where x is NaN.")
isinf = _of_one(np.isinf, "isinf", "Return where x is infinite.")
isfinite = _of_one(np.isfinite, "isfinite", "Return where x is a number, and finite.")
floor = _of_one(np.floor, "floor", "Return the largest whole number that is at most x.")
ceil = _of_one(np.ceil, "ceil", "Return the smallest whole number that is at least x.")
sign = _of_one(np.sign, "sign", "Return -1, 0 or 1.")


@_result
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Return whether any number along these axes is not 0."""
    return np.asarray(np.any(constant(x), axis, keepdims=keepdims))


@_result
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """Return whether no number along these axes is 0."""
    return np.asarray(np.all(constant(x), axis, keepdims=keepdims))


@_result
def round(x: Any, decimals: int = 0) -> Array:
    """Return x rounded to this many decimals."""
    return np.asarray(np.round(constant(x), decimals))


@_result
def argsort(x: Any, axis: int = -1) -> Array:
    """Return the order that sorts x along an axis."""
    return np.asarray(np.argsort(constant(x), axis, kind="stable"), np.int32)


def check_not_empty(name: str, x: Any, axis: Any) -> None:
    """Raise a `ValueError` if there are no numbers along these axes: none of them is largest."""
    sizes = np.shape(x)
    axes = range(len(sizes)) if axis is None else np.atleast_1d(axis)
    if 0 in [sizes[a] for a in axes if -len(sizes) <= a < len(sizes)]:
        along = "" if axis is None else f" along axis={axis}"
        raise ValueError(f"{name} expects at least one number{along}. Received x.shape={sizes}.")


@_result
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the place of the largest number along an axis, or among all numbers."""
    check_not_empty("argmax", constant(x), axis)
    return np.asarray(np.argmax(constant(x), axis, keepdims=keepdims), np.int32)


@_result
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the place of the smallest number along an axis, or among all numbers."""
    check_not_empty("argmin", constant(x), axis)
    return np.asarray(np.argmin(constant(x), axis, keepdims=keepdims), np.int32)


@_result
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Array:
    """Return rows of zeros with a 1 at the place x; all zeros for a number that is not a class.

    The decimals of a real number are cut off.
    """
    given = np.asarray(constant(x))
    whole = np.trunc(given) if given.dtype.kind == "f" else given
    places = whole[..., None] == np.arange(num_classes)
    return np.moveaxis(places.astype(dtype or config.floatx()), -1, axis)


# -- new arrays ------------------------------------------------------------------------------------


@_result
def zeros(shape: Any, dtype: Any = None) -> Array:
    """Return zeros of this shape."""
    return np.zeros(shape, dtype or config.floatx())


@_result
def ones(shape: Any, dtype: Any = None) -> Array:
    """Return ones of this shape."""
    return np.ones(shape, dtype or config.floatx())


@_result
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Array:
    """Return an array of this shape with one value in it."""
    return np.full(shape, constant(fill_value), dtype or config.floatx())


@_result
def zeros_like(x: Any, dtype: Any = None) -> Array:
    """Return zeros in the shape of x."""
    return np.zeros_like(constant(x), dtype)


@_result
def ones_like(x: Any, dtype: Any = None) -> Array:
    """Return ones in the shape of x."""
    return np.ones_like(constant(x), dtype)


@_result
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Array:
    """Return an array in the shape of x with one value in it."""
    return np.full_like(constant(x), constant(fill_value), dtype)


@_result
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Array:
    """Return the numbers from `start` to before `stop`; with one argument, from 0 to before it."""
    first: Any = 0 if stop is None else start
    found: Array = np.arange(first, start if stop is None else stop, step or 1, dtype)  # type: ignore[call-overload]
    usual = {"i": "int32", "f": config.floatx()}[found.dtype.kind] if dtype is None else dtype
    return found.astype(usual)


@_result
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None) -> Any:
    """Return `num` numbers at equal distances."""
    return np.linspace(start, stop, num, endpoint, dtype=dtype or config.floatx())


@_result
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:  # noqa: N803
    """Return a matrix of zeros with ones on its diagonal."""
    return np.eye(N, M, k, dtype or config.floatx())


identity = eye


# -- what an array is ------------------------------------------------------------------------------


def shape(x: Any) -> tuple[int, ...]:
    """Return the shape."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return len(shape(x))


def size(x: Any) -> int:
    """Return how many numbers x has."""
    return int(np.prod(shape(x)))


def dtype(x: Any) -> str:
    """Return the name of the dtype, such as "float32"."""
    return np.dtype(getattr(x, "dtype", None) or np.asarray(constant(x)).dtype).name


def is_tensor(x: Any) -> bool:
    """Return whether x is an array, a tensor of a tape, or a symbol."""
    return isinstance(x, (np.ndarray, Tensor, Symbolic))


@_result
def stop_gradient(variable: Any) -> Array:
    """Return the array, as a constant: no gradient flows through it."""
    return np.array(constant(variable))


def convert_to_numpy(x: Any) -> Array:
    """Return the array, through which no gradient flows."""
    return np.array(constant(x))


# -- the same numbers ------------------------------------------------------------------------------


def cast(x: Any, dtype: Any) -> Any:
    """Return x in this dtype; the gradient passes between dtypes of real numbers."""
    kind = np.dtype(config.floatx() if dtype is float else dtype)
    return _cast(x, kind.name) if kind.kind == "f" else np.asarray(constant(x)).astype(kind)


@operation
def _cast(x: Array, dtype: Any) -> Any:
    return np.asarray(x).astype(dtype), lambda dy: dy


def convert_to_tensor(x: Any, dtype: Any = None) -> Any:
    """Return x as an array, or a tensor as it is; in this dtype, if one is given."""
    if dtype is not None:
        return cast(x, dtype)
    return x if isinstance(x, (Tensor, Symbolic)) else np.asarray(constant(x))


@operation
def copy(x: Array) -> Any:
    """Return the same numbers in a new array."""
    return np.array(x), lambda dy: dy
