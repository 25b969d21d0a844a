"""Convolution and max pooling in one operation, as plain loops."""

import numpy as np

from minicnn import shapes
from minicnn.naive.convolution import conv2d, conv2d_backward
from minicnn.naive.pooling import max_pool2d
from minicnn.shapes import Pair

Array = np.ndarray


def conv2d_max_pool2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    pool_size: Pair = (2, 2),
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array]:
    """Return `(y, argmax)`: the largest of each block of `conv2d`, and its place there."""
    z = conv2d(x, w, b, strides, padding, dilation_rate, groups)
    return largest_of_blocks(z, pool_size)


def conv2d_max_pool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    pool_size: Pair = (2, 2),
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)`: in each block only the largest result receives dy."""
    kernel = w.shape[0], w.shape[1]
    size = x.shape[1], x.shape[2]
    window = shapes.window(size, kernel, strides, padding, dilation_rate, "conv2d_max_pool2d")
    dz = unpool(dy, argmax, pool_size, window.out)
    return conv2d_backward(dz, x, w, strides, padding, dilation_rate, groups)


def largest_of_blocks(
    x: Array, pool_size: Pair, limits: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[Array, Array]:
    """Return `(y, argmax)`: `max_pool2d` of blocks side by side, and each one's argmax.

    The argmax is 255 where y is at a finite limit: there an activation lets no gradient through.
    """
    rows, columns = pool_size
    y = max_pool2d(x, pool_size, pool_size)
    argmax = np.full(y.shape, 255, np.uint8)
    for n, oy, ox, c in np.ndindex(y.shape):
        most = y[n, oy, ox, c]
        low, high = (limit if np.isfinite(limit) else np.nan for limit in limits)
        if most <= low or most >= high:
            continue
        for number in reversed(range(rows * columns)):  # so that the first of equals stays
            v = x[n, oy * rows + number // columns, ox * columns + number % columns, c]
            if v == most or (np.isnan(v) and np.isnan(most)):
                argmax[n, oy, ox, c] = number
    return y, argmax


def unpool(dy: Array, argmax: Array, pool_size: Pair, size: Pair) -> Array:
    """Return dx of `largest_of_blocks`: dy goes to the largest of each block."""
    rows, columns = pool_size
    dx = np.zeros((len(dy), *size, dy.shape[3]), dy.dtype)
    for n, oy, ox, c in np.ndindex(dy.shape):
        number = int(argmax[n, oy, ox, c])
        if number < rows * columns:
            dx[n, oy * rows + number // columns, ox * columns + number % columns, c] = dy[
                n, oy, ox, c
            ]
    return dx
