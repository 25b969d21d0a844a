"""A dot product sums up the products of two arrays along an axis of each."""

import math
from collections.abc import Sequence

import numpy as np

from minicnn import shapes
from minicnn.functional.checks import check_gradient
from minicnn.functional.example_normalization import (
    unit_normalization,
    unit_normalization_backward,
)

Array = np.ndarray
Axes = int | Sequence[int]
_EPSILON = 1e-7  # the least length to divide by, as in Keras


def dot(xs: Sequence[Array], axes: Axes, normalize: bool = False, name: str = "dot") -> Array:
    """y[n, …, ___] = sum over k of x0[n, …, k, …] * x1[n, _, k, _], k along the two axes.

    y has the other axes of x0, then those of x1; (n, 1) if there are none. `axes` is one axis of
    both inputs, or one axis of each, but not the batch axis. With `normalize` the arrays are first
    divided by their lengths along these axes, so that y is a cosine. Raises `ValueError` for shapes
    that do not fit.
    """
    pair, y_shape = _checked(xs, axes, name)
    a, b = (_rows(_scaled(x, axis, normalize), axis) for x, axis in zip(xs, pair, strict=True))
    return np.matmul(a, b.swapaxes(1, 2)).reshape(y_shape)


def dot_backward(
    dy: Array, xs: Sequence[Array], axes: Axes, normalize: bool = False, name: str = "dot"
) -> list[Array]:
    """dx0 = sum of dy * x1, dx1 = sum of dy * x0, over the places that each number counted for."""
    pair, y_shape = _checked(xs, axes, name)
    dy = check_gradient(dy, y_shape, xs[0], name)
    a, b = (_rows(_scaled(x, axis, normalize), axis) for x, axis in zip(xs, pair, strict=True))
    dy = dy.reshape(len(a), a.shape[1], b.shape[1])
    found = []
    rows = (np.matmul(dy, b), np.matmul(dy.swapaxes(1, 2), a))
    for x, axis, part in zip(xs, pair, rows, strict=True):
        others = (*x.shape[:axis], *x.shape[axis + 1 :])
        dx = shapes.contiguous(np.moveaxis(part.reshape(*others, x.shape[axis]), -1, axis))
        if normalize:
            dx = unit_normalization_backward(dx, x, axis, _EPSILON, name)
        found.append(dx)
    return found


def axes_of(
    found: Sequence[Sequence[int | None]], axes: Axes, name: str
) -> tuple[tuple[int, int], tuple[int | None, ...]]:
    """Return the axes, counted from 0, and the shape of the dot product of arrays of two shapes."""
    listed = shapes.axes(axes, name, "axes")
    pair = listed * 2 if len(listed) == 1 else listed
    if len(found) != 2 or len(pair) != 2:
        raise ValueError(
            f"{name} expects two inputs, and axes to be an integer or two. "
            f"Received {len(found)} inputs, axes={axes!r}."
        )
    first, second = (
        axis + len(shape) if axis < 0 else axis for axis, shape in zip(pair, found, strict=True)
    )
    inside = 0 < first < len(found[0]) and 0 < second < len(found[1])
    if (
        not inside
        or _differ(found[0][first], found[1][second])
        or _differ(found[0][0], found[1][0])
    ):
        raise ValueError(
            f"{name} expects inputs of one batch that have the same size along axes={axes!r}, "
            f"which is not the batch. Received {[tuple(shape) for shape in found]}."
        )
    rest = [
        *(size for i, size in enumerate(found[0]) if i not in (0, first)),
        *(size for i, size in enumerate(found[1]) if i not in (0, second)),
    ]
    return (first, second), (found[0][0], *(rest or [1]))


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


def _checked(xs: Sequence[Array], axes: Axes, name: str) -> tuple[tuple[int, int], tuple[int, ...]]:
    for x in xs:
        shapes.check_array(x, None, "each input", name)
    shapes.check_same_dtype({f"x{i}": x for i, x in enumerate(xs)}, name)
    pair, y_shape = axes_of([x.shape for x in xs], axes, name)
    return pair, tuple(size for size in y_shape if size is not None)


def _scaled(x: Array, axis: int, normalize: bool) -> Array:
    return unit_normalization(x, axis, _EPSILON) if normalize else x


def _rows(x: Array, axis: int) -> Array:
    """Return x as rows: (batch, all other places, places along the axis)."""
    moved = np.moveaxis(x, axis, -1)
    return moved.reshape(len(x), math.prod(moved.shape[1:-1]), x.shape[axis])
