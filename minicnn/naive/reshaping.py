"""Layers that only move numbers, as plain loops."""

import numpy as np

from minicnn.shapes import Pair

Array = np.ndarray


def permute(x: Array, dims: tuple[int, ...]) -> Array:
    """Axis k of y is axis `dims[k - 1]` of x; the axes count from 1, behind the batch."""
    y = np.zeros((len(x), *(x.shape[d] for d in dims)), x.dtype)
    for n, *at in np.ndindex(*y.shape):
        place = [0] * len(dims)
        for i, d in zip(at, dims, strict=True):
            place[d - 1] = i
        y[(n, *at)] = x[(n, *place)]
    return y


def permute_backward(dy: Array, dims: tuple[int, ...]) -> Array:
    """Return dx: each number's gradient goes back to the place it came from."""
    dx = np.zeros((len(dy), *(dy.shape[dims.index(d) + 1] for d in sorted(dims))), dy.dtype)
    for n, *at in np.ndindex(*dy.shape):
        place = [0] * len(dims)
        for i, d in zip(at, dims, strict=True):
            place[d - 1] = i
        dx[(n, *place)] = dy[(n, *at)]
    return dx


def repeat_vector(x: Array, n: int) -> Array:
    """y[b, i] = x[b], for i from 0 to n - 1."""
    y = np.zeros((len(x), n, x.shape[1]), x.dtype)
    for b, i, k in np.ndindex(*y.shape):
        y[b, i, k] = x[b, k]
    return y


def repeat_vector_backward(dy: Array) -> Array:
    """Return dx: the sum over the copies."""
    dx = np.zeros((dy.shape[0], dy.shape[2]), dy.dtype)
    for b, i, k in np.ndindex(*dy.shape):
        dx[b, k] += dy[b, i, k]
    return dx


def cropping2d(x: Array, cropping: tuple[Pair, Pair] = ((0, 0), (0, 0))) -> Array:
    """Leave out rows and columns at the sides: `((top, bottom), (left, right))`."""
    (top, bottom), (left, right) = cropping
    batch, height, width, channels = x.shape
    y = np.zeros((batch, height - top - bottom, width - left - right, channels), x.dtype)
    for n, i, j, c in np.ndindex(*y.shape):
        y[n, i, j, c] = x[n, top + i, left + j, c]
    return y


def cropping2d_backward(dy: Array, cropping: tuple[Pair, Pair] = ((0, 0), (0, 0))) -> Array:
    """Return dx: nothing depends on the pixels that are left out."""
    (top, bottom), (left, right) = cropping
    batch, height, width, channels = dy.shape
    dx = np.zeros((batch, height + top + bottom, width + left + right, channels), dy.dtype)
    for n, i, j, c in np.ndindex(*dy.shape):
        dx[n, top + i, left + j, c] = dy[n, i, j, c]
    return dx
