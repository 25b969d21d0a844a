"""These operations only move numbers."""

from collections.abc import Sequence

import numpy as np

from minicnn import shapes
from minicnn.functional.padding import check_sides, zero_padding2d
from minicnn.shapes import Pair

Array = np.ndarray


def check_dims(dims: Sequence[int], name: str) -> tuple[int, ...]:
    """Return `dims` as a tuple if it names each axis after the batch once, counted from 1."""
    several = isinstance(dims, (tuple, list, np.ndarray))
    found = tuple(shapes.positive_int(d, "each of dims", name) for d in dims) if several else ()
    if not found or sorted(found) != list(range(1, len(found) + 1)):
        raise ValueError(
            f"{name} expects dims to name each axis after the batch once, from 1: (2, 1) swaps "
            f"two. Received {dims!r}."
        )
    return found


def permute(x: Array, dims: Sequence[int], name: str = "permute") -> Array:
    """y[n, i1, i2, …] = x[n, …], where axis k of y is axis `dims[k - 1]` of x.

    The axes count from 1; the batch, axis 0, stays.
    """
    axes = (0, *check_dims(dims, name))
    shapes.check_array(x, len(axes), "x", name)
    return x.transpose(axes).copy()


def permute_backward(dy: Array, dims: Sequence[int], name: str = "permute") -> Array:
    """dx of `permute`: dy with its axes put back."""
    back = np.argsort(check_dims(dims, name)) + 1
    shapes.check_array(dy, len(back) + 1, "dy", name)
    return dy.transpose(0, *back).copy()


def repeat_vector(x: Array, n: int, name: str = "repeat_vector") -> Array:
    """y[b, i, k] = x[b, k] for i = 0 … n - 1: (batch, features) to (batch, n, features)."""
    shapes.check_array(x, 2, "x", name)
    count = shapes.positive_int(n, "n", name)
    return np.repeat(x[:, None], count, axis=1)


def repeat_vector_backward(dy: Array, name: str = "repeat_vector") -> Array:
    """dx of `repeat_vector`: the sum of dy over the copies."""
    shapes.check_array(dy, 3, "dy", name)
    dx: Array = dy.sum(axis=1)
    return dx


def cropping2d(
    x: Array, cropping: tuple[Pair, Pair] = ((0, 0), (0, 0)), name: str = "cropping2d"
) -> Array:
    """y = x without rows and columns at its sides: `cropping` is `((top, bottom), (left, right))`.

    Raises `ValueError` if no pixel is left.
    """
    shapes.check_array(x, 4, "x", name)
    (top, bottom), (left, right) = check_sides(cropping, name, "cropping")
    if x.shape[1] <= top + bottom or x.shape[2] <= left + right:
        raise ValueError(
            f"{name} expects images with more than {top + bottom} rows and {left + right} "
            f"columns, which it cuts off. Received x.shape={x.shape}."
        )
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right].copy()


def cropping2d_backward(
    dy: Array, cropping: tuple[Pair, Pair] = ((0, 0), (0, 0)), name: str = "cropping2d"
) -> Array:
    """dx of `cropping2d`: dy with zeros where pixels were cut off."""
    shapes.check_array(dy, 4, "dy", name)
    (top, bottom), (left, right) = check_sides(cropping, name, "cropping")
    return zero_padding2d(dy, ((top, bottom), (left, right)), name)
