"""Padding as plain loops."""

import numpy as np

from minicnn.shapes import Pair

Array = np.ndarray


def zero_padding2d(x: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1))) -> Array:
    """Put zeros around the image: `((top, bottom), (left, right))`."""
    (top, bottom), (left, right) = padding
    batch, height, width, channels = x.shape
    y = np.zeros((batch, top + height + bottom, left + width + right, channels), x.dtype)
    for n, i, j, c in np.ndindex(*x.shape):
        y[n, top + i, left + j, c] = x[n, i, j, c]
    return y


def zero_padding2d_backward(dy: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1))) -> Array:
    """Return dx, the gradient of the real pixels; that of the padding is dropped."""
    (top, bottom), (left, right) = padding
    batch, height, width, channels = dy.shape
    dx = np.zeros((batch, height - top - bottom, width - left - right, channels), dy.dtype)
    for n, i, j, c in np.ndindex(*dx.shape):
        dx[n, i, j, c] = dy[n, top + i, left + j, c]
    return dx
