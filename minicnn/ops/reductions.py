"""Operations that turn many numbers into one, along some axes or all of them."""

from typing import Any

import numpy as np

from minicnn._support.operators import operations
from minicnn.ops.constants import check_not_empty, ndim, shape
from minicnn.ops.elementwise import divide, maximum, multiply, rsqrt, sqrt, square, subtract
from minicnn.ops.operation import operation
from minicnn.ops.shaping import reshape

Array = np.ndarray
Axis = int | tuple[int, ...] | list[int] | None


def _axes(axis: Axis) -> int | tuple[int, ...] | None:
    return tuple(axis) if isinstance(axis, list) else axis


def _kept(dy: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """Return dy with the axes of x, in which reduced axes have size 1."""
    if keepdims or axis is None:
        return np.reshape(dy, dy.shape if keepdims else (1,) * np.ndim(x))
    return np.expand_dims(dy, _axes(axis))  # type: ignore[arg-type]


# The dtypes of sums, as in Keras; other arrays keep theirs.
_SUMS = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}


@operation
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the sum along these axes; each number gets dy. Small integers add up in 32 bits."""
    dtype = np.asarray(x).dtype.name
    y = np.sum(x, _axes(axis), _SUMS.get(dtype, dtype), keepdims=keepdims)
    return y, lambda dy: _kept(dy, x, axis, keepdims)


@operation
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the mean along these axes; each number gets its share of dy."""
    if np.size(x):
        y = np.mean(x, _axes(axis), keepdims=keepdims)
    else:  # NaN, without NumPy's warning
        y = np.sum(x, _axes(axis), keepdims=keepdims) / np.zeros(())
    share = y.size / np.size(x) if np.size(x) else 0.0
    return y, lambda dy: _kept(dy, x, axis, keepdims) * share


@operation
def max(x: Array, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Any:
    """Return the largest number along these axes; each of k equal ones gets dy / k."""
    more = {} if initial is None else {"initial": initial}
    if initial is None:
        check_not_empty("max", x, axis)
    y = np.max(x, _axes(axis), keepdims=keepdims, **more)
    return y, lambda dy: _to_equal(dy, x, y, axis, keepdims)


@operation
def min(x: Array, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Any:
    """Return the smallest number along these axes; each of k equal ones gets dy / k."""
    more = {} if initial is None else {"initial": initial}
    if initial is None:
        check_not_empty("min", x, axis)
    y = np.min(x, _axes(axis), keepdims=keepdims, **more)
    return y, lambda dy: _to_equal(dy, x, y, axis, keepdims)


def _to_equal(dy: Array, x: Array, y: Array, axis: Axis, keepdims: bool) -> Array:
    equal = x == _kept(y, x, axis, keepdims)
    count = np.maximum(equal.sum(_axes(axis), keepdims=True), 1)
    found: Array = equal * (_kept(dy, x, axis, keepdims) / count.astype(dy.dtype))
    return found


@operation
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return log(sum of exp(x)) without overflow; the gradient is dy * softmax(x)."""
    check_not_empty("logsumexp", x, axis)
    largest = np.max(x, _axes(axis), keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    whole = np.log(np.sum(np.exp(x - largest), _axes(axis), keepdims=True)) + largest
    y = whole if keepdims else np.squeeze(whole, _axes(axis))
    return y, lambda dy: _kept(dy, x, axis, keepdims) * np.exp(x - whole)


@operation
def cumsum(x: Array, axis: int | None = None) -> Any:
    """Return the sum of all numbers up to each one, which gets dy of its own and all later sums."""
    dtype = np.asarray(x).dtype.name
    y = np.cumsum(x, axis, "int32" if dtype == "bool" else dtype)

    def dx(dy: Array) -> Array:
        return np.flip(np.cumsum(np.flip(dy, axis), axis), axis).reshape(x.shape)

    return y, dx


# -- made of the others, and so are their gradients ------------------------------------------------


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the mean of the squared distances from the mean."""
    return mean(square(subtract(x, mean(x, axis, True))), axis, keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the root of the variance."""
    return sqrt(var(x, axis, keepdims))


def moments(x: Any, axes: Axis, keepdims: bool = False) -> Any:
    """Return mean and variance along these axes."""
    return mean(x, axes, keepdims), var(x, axes, keepdims)


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the length of x, or of its vectors: the root of the sum of the squares.

    Raises `ValueError` for any other norm, such as that of a matrix with `ord=2`, which is its
    largest singular value.
    """
    if ord not in (None, 2, "euclidean", "fro"):
        raise ValueError(f"norm expects ord=2, the length of vectors. Received ord={ord!r}.")
    count = ndim(x) if axis is None else np.size(axis)
    if ord == 2 and count > 1:
        raise ValueError(
            f"norm expects one axis with ord=2, and ord=None for the root of the sum of all "
            f"squares along {count} axes. Received axis={axis!r}."
        )
    return sqrt(sum(square(x), axis, keepdims))


def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float = 1e-7) -> Any:
    """Return x with each vector divided by its length. Raises `ValueError` if order is not 2."""
    if order != 2:
        raise ValueError(f"normalize expects order=2, the length. Received order={order!r}.")
    squares = maximum(sum(square(x), axis, True), epsilon**2)  # where it is, rsqrt has a slope
    return multiply(x, rsqrt(squares))


def average(x: Any, axis: Axis = None, weights: Any = None) -> Any:
    """Return the mean along these axes, each number counted by its weight.

    Weights may also be a line: one for each place along the axis. Raises `ValueError` for weights
    of any other shape than that of x.
    """
    if weights is None:
        return mean(x, axis)
    sizes, given = shape(x), shape(weights)
    if len(given) != len(sizes):
        if not isinstance(axis, (int, np.integer)) or given != sizes[axis : axis + 1 or None]:
            raise ValueError(
                f"average expects weights in the shape of x, {sizes}, or one for each place along "
                f"axis={axis}. Received weights.shape={given}."
            )
        along = [1] * len(sizes)
        along[axis] = -1
        weights = reshape(weights, along)
    return divide(sum(multiply(x, weights), axis), sum(weights, axis))


# Files name these; on a symbol, each makes the layers of which it consists.
operations.update(norm=norm, normalize=normalize, std=std, var=var)
