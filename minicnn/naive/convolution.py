"""Convolution, as plain loops."""

import numpy as np

from minicnn import shapes
from minicnn.naive.windows import taps
from minicnn.shapes import Pair

Array = np.ndarray


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """y[n, oy, ox, o] = b[o] + sum over i, j, c of x[n, iy, ix, c] * w[i, j, c, o].

    Here iy = oy * stride + i * dilation - padding, and ix likewise; pixels outside count as zero.
    With `groups`, filter o sees only the input channels of its own group.
    """
    batch, height, width, _ = x.shape
    rows, columns, channels, filters = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "conv2d"
    )
    y = np.zeros((batch, *window.out, filters), x.dtype)
    for oy, ox, i, j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for o in range(filters):
                first = o // (filters // groups) * channels
                for c in range(channels):
                    y[n, oy, ox, o] += x[n, iy, ix, first + c] * w[i, j, c, o]
    return y if b is None else y + b


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)`: each product x * w of the forward pass sends dy to both factors."""
    batch, height, width, _ = x.shape
    rows, columns, channels, filters = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "conv2d"
    )
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(filters, w.dtype)
    for oy, ox, i, j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for o in range(filters):
                first = o // (filters // groups) * channels
                for c in range(channels):
                    dx[n, iy, ix, first + c] += dy[n, oy, ox, o] * w[i, j, c, o]
                    dw[i, j, c, o] += dy[n, oy, ox, o] * x[n, iy, ix, first + c]
    for n in range(batch):
        for oy in range(window.out[0]):
            for ox in range(window.out[1]):
                db += dy[n, oy, ox]
    return dx, dw, db
