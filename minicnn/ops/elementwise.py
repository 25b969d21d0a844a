"""Operations on each number by itself: each formula with its derivative beside it.

If two arrays differ in shape, an axis of size 1, or a missing axis, is broadcast.
"""

from typing import Any

import numpy as np

from minicnn.ops.constants import constant
from minicnn.ops.operation import operation

Array = np.ndarray

# -- two arrays ------------------------------------------------------------------------------------


@operation
def add(x1: Array, x2: Array) -> Any:
    """Return x1 + x2."""
    return x1 + x2, lambda dy: dy, lambda dy: dy


@operation
def subtract(x1: Array, x2: Array) -> Any:
    """Return x1 - x2."""
    return x1 - x2, lambda dy: dy, lambda dy: -dy


@operation
def multiply(x1: Array, x2: Array) -> Any:
    """Return x1 * x2; each one's gradient is dy times the other."""
    return x1 * x2, lambda dy: dy * x2, lambda dy: dy * x1


@operation
def divide(x1: Array, x2: Array) -> Any:
    """Return x1 / x2."""
    y = np.true_divide(x1, x2)
    return y, lambda dy: dy / x2, lambda dy: -dy * y / x2


@operation
def power(x1: Array, x2: Array) -> Any:
    """Return x1 ** x2; NaN where x1 is below 0 and x2 is not a whole number."""
    y = np.power(x1, x2)

    def dx1(dy: Array) -> Array:
        return np.where(np.equal(x2, 0), 0, dy * x2 * np.power(x1, np.subtract(x2, 1)))

    def dx2(dy: Array) -> Array:
        return np.where(np.greater(x1, 0), dy * y * np.log(x1), 0)

    return y, dx1, dx2


@operation
def maximum(x1: Array, x2: Array) -> Any:
    """Return the larger of x1 and x2, which gets dy; if they are equal, x1."""
    first = np.greater_equal(x1, x2)
    return np.maximum(x1, x2), lambda dy: dy * first, lambda dy: dy * ~first


@operation
def minimum(x1: Array, x2: Array) -> Any:
    """Return the smaller of x1 and x2, which gets dy; if they are equal, x1."""
    first = np.less_equal(x1, x2)
    return np.minimum(x1, x2), lambda dy: dy * first, lambda dy: dy * ~first


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """Return x1 where the condition holds, x2 elsewhere; the one that was taken gets dy.

    Without x1 and x2, the places where the condition holds: a list of arrays, one for each axis.
    Raises `ValueError` if only one of the two is given.
    """
    if x1 is None and x2 is None:
        found = np.nonzero(np.atleast_1d(constant(condition)))
        return [places.astype(np.int32) for places in found]
    if x1 is None or x2 is None:
        missing = "x1" if x1 is None else "x2"
        raise ValueError(f"where expects both x1 and x2, or neither. Received {missing}=None.")
    return _where(condition, x1, x2)


@operation
def _where(condition: Array, x1: Array, x2: Array) -> Any:
    taken = np.asarray(condition, bool)
    nothing = None  # no gradient leads to a condition
    return np.where(taken, x1, x2), nothing, lambda dy: dy * taken, lambda dy: dy * ~taken


# -- one array -------------------------------------------------------------------------------------


@operation
def negative(x: Array) -> Any:
    """Return -x."""
    return np.negative(x), lambda dy: -dy


@operation
def abs(x: Array) -> Any:
    """Return x without its sign; at 0 the gradient is 0."""
    return np.abs(x), lambda dy: dy * np.sign(x)


@operation
def square(x: Array) -> Any:
    """Return x ** 2."""
    return np.square(x), lambda dy: dy * 2 * x


@operation
def sqrt(x: Array) -> Any:
    """Return the root of x; NaN below 0."""
    y = np.sqrt(x)
    return y, lambda dy: dy / (2 * y)


@operation
def rsqrt(x: Array) -> Any:
    """Return 1 / sqrt(x)."""
    y = 1 / np.sqrt(x)
    return y, lambda dy: dy * y**3 * -0.5


@operation
def reciprocal(x: Array) -> Any:
    """Return 1 / x."""
    y = np.true_divide(1, x)
    return y, lambda dy: -dy * y * y


@operation
def exp(x: Array) -> Any:
    """Return e ** x, which is its own derivative."""
    y = np.exp(x)
    return y, lambda dy: dy * y


@operation
def expm1(x: Array) -> Any:
    """Return e ** x - 1, which is also exact for small x."""
    y = np.expm1(x)
    return y, lambda dy: dy * (y + 1)


@operation
def log(x: Array) -> Any:
    """Return the natural logarithm of x."""
    return np.log(x), lambda dy: dy / x


@operation
def log1p(x: Array) -> Any:
    """Return log(1 + x), which is also exact for small x."""
    return np.log1p(x), lambda dy: dy / (1 + x)


@operation
def log2(x: Array) -> Any:
    """Return the logarithm of x to the base 2."""
    return np.log2(x), lambda dy: dy / (x * float(np.log(2)))


@operation
def log10(x: Array) -> Any:
    """Return the logarithm of x to the base 10."""
    return np.log10(x), lambda dy: dy / (x * float(np.log(10)))


@operation
def sin(x: Array) -> Any:
    """Return sin(x)."""
    return np.sin(x), lambda dy: dy * np.cos(x)


@operation
def cos(x: Array) -> Any:
    """Return cos(x)."""
    return np.cos(x), lambda dy: -dy * np.sin(x)


@operation
def tan(x: Array) -> Any:
    """Return tan(x)."""
    y = np.tan(x)
    return y, lambda dy: dy * (1 + y * y)


@operation
def arctan(x: Array) -> Any:
    """Return the angle whose tangent is x."""
    return np.arctan(x), lambda dy: dy / (1 + np.square(x))


@operation
def clip(x: Array, x_min: float, x_max: float) -> Any:
    """Return x kept between these limits; beyond them the gradient is 0."""
    inside = np.greater_equal(x, x_min) & np.less_equal(x, x_max)
    return np.clip(x, x_min, x_max), lambda dy: dy * inside


@operation
def nan_to_num(x: Array, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Return x with numbers in place of NaN and infinity, where the gradient is 0."""
    return np.nan_to_num(x, True, nan, posinf, neginf), lambda dy: dy * np.isfinite(x)


true_divide, absolute = divide, abs
