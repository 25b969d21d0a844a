"""Merging turns several arrays into one: their sum, product, …, or their channels side by side.

Except for `concatenate`, shapes must be equal, or 1 in an axis, along which the array is then
broadcast, as in a squeeze-and-excite block: (n, h, w, c) * (n, 1, 1, c).
"""

import contextlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.checks import check_gradient

Array = np.ndarray


def _check_several(xs: Sequence[Array], name: str) -> None:
    if len(xs) < 1:
        raise ValueError(f"{name} expects at least one array. Received none.")
    for x in xs:
        shapes.check_array(x, None, "each input", name)
    shapes.check_same_dtype({f"x{i}": x for i, x in enumerate(xs)}, name)


def _shape_of(xs: Sequence[Array], name: str) -> tuple[int, ...]:
    """Return the shape of the result."""
    found = [x.shape for x in xs]
    if len({len(shape) for shape in found}) == 1:
        with contextlib.suppress(ValueError):
            return np.broadcast_shapes(*found)
    raise ValueError(f"{name} expects inputs of one shape, or 1 in an axis. Received {found}.")


def _folded(f: Callable[..., Array], xs: Sequence[Array]) -> Array:
    y = xs[0].copy()
    for x in xs[1:]:
        y = f(y, x)
    return y


def _down(dx: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an input of this shape was broadcast."""
    axes = tuple(i for i, (a, b) in enumerate(zip(dx.shape, shape, strict=True)) if a != b)
    return dx.sum(axis=axes, keepdims=True) if axes else dx


def _checked(dy: Array, xs: Sequence[Array], name: str) -> Array:
    _check_several(xs, name)
    return check_gradient(dy, _shape_of(xs, name), xs[0], name)


def add_backward(dy: Array, xs: Sequence[Array], name: str = "add") -> list[Array]:
    """dx of each = dy, summed along the axes in which it has size 1."""
    dy = _checked(dy, xs, name)
    return [dy.copy() if x.shape == dy.shape else _down(dy, x.shape) for x in xs]


def multiply(xs: Sequence[Array], name: str = "multiply") -> Array:
    """y = x0 * x1 * …."""
    _check_several(xs, name)
    shape = _shape_of(xs, name)
    if len(xs) == 2 and all(x.shape == shape or _for_channels(x, shape) for x in xs):
        return _product(xs[0], xs[1], shape)
    return _folded(np.multiply, xs)


def _for_channels(x: Array, shape: tuple[int, ...]) -> bool:
    """Return whether x has a factor for each channel of each image: (n, 1, 1, c)."""
    return len(shape) > 2 and x.shape == (shape[0], *(1 for _ in shape[1:-1]), shape[-1])


def _product(x0: Array, x1: Array, shape: tuple[int, ...]) -> Array:
    """Return x0 * x1; one of them may have a factor for each channel."""
    y = buffers.empty(shape, x0.dtype)
    full, other = (x0, x1) if x0.shape == shape else (x1, x0)
    full, other = shapes.contiguous(full), shapes.contiguous(other)
    if other.shape == shape:
        kernels.elementwise.multiply(full.reshape(-1), other.reshape(-1), y.reshape(-1))
    else:
        size = shape[0], math.prod(shape[1:-1]), shape[-1]
        factors = other.reshape(size[0], size[2])
        kernels.elementwise.multiply_channels(full.reshape(size), factors, y.reshape(size))
    return y


def multiply_backward(dy: Array, xs: Sequence[Array], name: str = "multiply") -> list[Array]:
    """dx of each = dy * the product of all others, summed along the axes of size 1."""
    dy = _checked(dy, xs, name)
    found = []
    for n, x in enumerate(xs):
        others = [*xs[:n], *xs[n + 1 :]]
        slope = np.broadcast_to(_folded(np.multiply, others), dy.shape) if others else 1
        dx = np.where(slope != 0, dy * slope, dy.dtype.type(0))
        found.append(_down(dx, x.shape))
    return found


def subtract(xs: Sequence[Array], name: str = "subtract") -> Array:
    """y = x0 - x1, of two arrays."""
    _check_several(xs, name)
    _check_two(xs, name)
    _shape_of(xs, name)
    return _folded(np.subtract, xs)


def subtract_backward(dy: Array, xs: Sequence[Array], name: str = "subtract") -> list[Array]:
    """dx0 = dy, dx1 = -dy, summed along the axes of size 1."""
    dy = _checked(dy, xs, name)
    _check_two(xs, name)
    first, second = xs
    return [_down(dy.copy(), first.shape), _down(-dy, second.shape)]


def divide(xs: Sequence[Array], name: str = "divide") -> Array:
    """y = x0 / x1, of two arrays; infinite or NaN where x1 is 0."""
    _check_several(xs, name)
    _check_two(xs, name)
    _shape_of(xs, name)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(*xs)


def divide_backward(dy: Array, xs: Sequence[Array], name: str = "divide") -> list[Array]:
    """dx0 = dy / x1, dx1 = -dy * x0 / x1**2, summed along the axes of size 1."""
    dy = _checked(dy, xs, name)
    _check_two(xs, name)
    first, second = xs
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = dy / second
        return [_down(slope, first.shape), _down(-slope * (first / second), second.shape)]


def _check_two(xs: Sequence[Array], name: str) -> None:
    if len(xs) != 2:
        raise ValueError(f"{name} expects two arrays. Received {len(xs)}.")


def average(xs: Sequence[Array], name: str = "average") -> Array:
    """y = (x0 + x1 + …) / n."""
    y = add(xs, name)
    y /= y.dtype.type(len(xs))
    return y


def average_backward(dy: Array, xs: Sequence[Array], name: str = "average") -> list[Array]:
    """dx of each = dy / n, summed along the axes of size 1."""
    dy = _checked(dy, xs, name) / dy.dtype.type(len(xs))
    return [_down(dy.copy(), x.shape) for x in xs]


def maximum(xs: Sequence[Array], name: str = "maximum") -> Array:
    """y = the largest of x0, x1, …."""
    _check_several(xs, name)
    _shape_of(xs, name)
    return _folded(np.maximum, xs)


def maximum_backward(dy: Array, xs: Sequence[Array], name: str = "maximum") -> list[Array]:
    """dy goes to the largest; of equal ones to the first."""
    return _to_the_first(_checked(dy, xs, name), xs, maximum(xs, name))


def minimum(xs: Sequence[Array], name: str = "minimum") -> Array:
    """y = the smallest of x0, x1, …."""
    _check_several(xs, name)
    _shape_of(xs, name)
    return _folded(np.minimum, xs)


def minimum_backward(dy: Array, xs: Sequence[Array], name: str = "minimum") -> list[Array]:
    """dy goes to the smallest; of equal ones to the first."""
    return _to_the_first(_checked(dy, xs, name), xs, minimum(xs, name))


def _to_the_first(dy: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    free, found = np.ones(dy.shape, bool), []
    for x in xs:
        chosen = free & ((x == y) | (np.isnan(x) & np.isnan(y)))
        free &= ~chosen
        found.append(_down(np.where(chosen, dy, dy.dtype.type(0)), x.shape))
    return found


def add(xs: Sequence[Array], name: str = "add") -> Array:
    """y = x0 + x1 + …."""
    _check_several(xs, name)
    shape = _shape_of(xs, name)
    if any(x.shape != shape for x in xs):
        return _folded(np.add, xs)
    y = buffers.empty(shape, xs[0].dtype)
    first, *more = (shapes.contiguous(x).reshape(-1) for x in xs)
    if not more:
        y[...] = xs[0]
    for x in more:
        kernels.elementwise.add(first, x, y.reshape(-1))
        first = y.reshape(-1)
    return y


def concatenate(xs: Sequence[Array], name: str = "concatenate") -> Array:
    """y = the channels (last axis) of x0, then those of x1, …; all other axes must agree."""
    _check_several(xs, name)
    if len({x.shape[:-1] for x in xs}) > 1:
        raise ValueError(
            f"{name} expects inputs that differ in the last axis only. "
            f"Received {[x.shape for x in xs]}."
        )
    channels = [x.shape[-1] for x in xs]
    y = buffers.empty((*xs[0].shape[:-1], sum(channels)), xs[0].dtype)
    positions, first = math.prod(y.shape[:-1]), 0
    rows = y.reshape(positions, y.shape[-1])
    for x, count in zip(xs, channels, strict=True):
        kernels.copying.put_channels(shapes.contiguous(x).reshape(positions, count), first, rows)
        first += count
    return y


def concatenate_backward(
    dy: Array, channels: Sequence[int], name: str = "concatenate"
) -> list[Array]:
    """dx of each = its own slice of dy; `channels` counts those of each input."""
    shapes.check_array(dy, None, "dy", name)
    if sum(channels) != dy.shape[-1]:
        raise ValueError(
            f"{name} expects dy with {sum(channels)} channels. Received dy.shape={dy.shape}."
        )
    return [part.copy() for part in np.split(dy, np.cumsum(channels)[:-1], axis=-1)]
