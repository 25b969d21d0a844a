"""Upsampling as plain loops."""

import numpy as np

from minicnn.naive.resizing import resize, resize_backward
from minicnn.shapes import Pair

Array = np.ndarray


def up_sampling2d(x: Array, size: Pair = (2, 2), interpolation: str = "nearest") -> Array:
    """y[i, j] = x[i // rows, j // columns]: each pixel becomes a block of `size` equal ones.

    Other interpolations resize the image.
    """
    batch, height, width, channels = x.shape
    if interpolation != "nearest":
        return resize(x, (height * size[0], width * size[1]), interpolation)
    y = np.zeros((batch, height * size[0], width * size[1], channels), x.dtype)
    for n, i, j, c in np.ndindex(*y.shape):
        y[n, i, j, c] = x[n, i // size[0], j // size[1], c]
    return y


def up_sampling2d_backward(dy: Array, size: Pair = (2, 2), interpolation: str = "nearest") -> Array:
    """Return dx: each pixel gets the sum of dy over its block."""
    batch, height, width, channels = dy.shape
    if interpolation != "nearest":
        x_shape = batch, height // size[0], width // size[1], channels
        return resize_backward(dy, x_shape, interpolation)
    dx = np.zeros((batch, height // size[0], width // size[1], channels), dy.dtype)
    for n, i, j, c in np.ndindex(*dy.shape):
        dx[n, i // size[0], j // size[1], c] += dy[n, i, j, c]
    return dx
