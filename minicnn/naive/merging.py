"""Sums, products and other merges of several arrays as plain loops."""

import math
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray


def add(xs: Sequence[Array]) -> Array:
    """y = x0 + x1 + …, element by element; an axis of size 1 counts for all places along it."""
    return _merged(xs, sum)


def concatenate(xs: Sequence[Array]) -> Array:
    """Join the channels of x0, then those of x1, and so on."""
    y = np.zeros((*xs[0].shape[:-1], sum(x.shape[-1] for x in xs)), xs[0].dtype)
    first = 0
    for x in xs:
        for p in np.ndindex(x.shape):
            y[(*p[:-1], first + p[-1])] = x[p]
        first += x.shape[-1]
    return y


def concatenate_backward(dy: Array, channels: Sequence[int]) -> list[Array]:
    """Return each input's own slice of dy."""
    parts, first = [], 0
    for count in channels:
        part = np.zeros((*dy.shape[:-1], count), dy.dtype)
        for p in np.ndindex(part.shape):
            part[p] = dy[(*p[:-1], first + p[-1])]
        parts.append(part)
        first += count
    return parts


def multiply(xs: Sequence[Array]) -> Array:
    """y = x0 * x1 * …; an axis of size 1 counts for all places along it."""
    return _merged(xs, math.prod)


def multiply_backward(dy: Array, xs: Sequence[Array]) -> list[Array]:
    """dx of each = dy * the product of all others, summed over the places it counted for."""
    return _each_slope(dy, xs, lambda v, n: math.prod(v[:n] + v[n + 1 :]))


def subtract(xs: Sequence[Array]) -> Array:
    """y = x0 - x1."""
    return _merged(xs, lambda v: v[0] - v[1])


def subtract_backward(dy: Array, xs: Sequence[Array]) -> list[Array]:
    """dx0 = dy, dx1 = -dy."""
    return _each_slope(dy, xs, lambda v, n: (1, -1)[n])


def divide(xs: Sequence[Array]) -> Array:
    """y = x0 / x1."""
    return _merged(xs, lambda v: v[0] / v[1])


def divide_backward(dy: Array, xs: Sequence[Array]) -> list[Array]:
    """dx0 = dy / x1, dx1 = -dy * x0 / x1**2."""
    return _each_slope(dy, xs, lambda v, n: (1 / v[1], -v[0] / v[1] ** 2)[n])


def average(xs: Sequence[Array]) -> Array:
    """y = (x0 + x1 + …) / n."""
    return _merged(xs, lambda v: sum(v) / len(v))


def average_backward(dy: Array, xs: Sequence[Array]) -> list[Array]:
    """dx of each = dy / n."""
    return _each_slope(dy, xs, lambda v, n: 1 / len(v))


def maximum(xs: Sequence[Array]) -> Array:
    """y = the largest of x0, x1, …."""
    return _merged(xs, lambda v: v[_first(v, 1)])


def maximum_backward(dy: Array, xs: Sequence[Array]) -> list[Array]:
    """dy goes to the largest; of equal ones to the first."""
    return _each_slope(dy, xs, lambda v, n: float(n == _first(v, 1)))


def minimum(xs: Sequence[Array]) -> Array:
    """y = the smallest of x0, x1, …."""
    return _merged(xs, lambda v: v[_first(v, -1)])


def minimum_backward(dy: Array, xs: Sequence[Array]) -> list[Array]:
    """dy goes to the smallest; of equal ones to the first."""
    return _each_slope(dy, xs, lambda v, n: float(n == _first(v, -1)))


def add_backward(dy: Array, xs: Sequence[Array]) -> list[Array]:
    """dx of each = dy, summed over the places it counted for."""
    return _each_slope(dy, xs, lambda v, n: 1.0)


def _first(values: list[float], sign: int) -> int:
    """The number of the first of the largest, or with -1 of the smallest; NaN counts as both."""
    best = 0
    for n, v in enumerate(values):
        if not sign * values[best] >= sign * v and not math.isnan(values[best]):
            best = n
    return best


def _at(x: Array, place: tuple[int, ...]) -> tuple[int, ...]:
    """The place in x that counts for a place in y."""
    return tuple(0 if size == 1 else i for i, size in zip(place, x.shape, strict=True))


def _merged(xs: Sequence[Array], f: Callable[[list[float]], float]) -> Array:
    y = np.zeros(np.broadcast_shapes(*(x.shape for x in xs)), xs[0].dtype)
    for p in np.ndindex(y.shape):
        y[p] = f([x[_at(x, p)] for x in xs])
    return y


def _each_slope(
    dy: Array, xs: Sequence[Array], slope: Callable[[list[float], int], float]
) -> list[Array]:
    dxs = [np.zeros_like(x) for x in xs]
    for p in np.ndindex(dy.shape):
        values = [x[_at(x, p)] for x in xs]
        for n, dx in enumerate(dxs):
            steep = slope(values, n)
            dx[_at(dx, p)] += dy[p] * steep if steep else 0.0
    return dxs
