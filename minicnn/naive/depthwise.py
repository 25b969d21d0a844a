"""Depthwise convolution as plain loops."""

import numpy as np

from minicnn import shapes
from minicnn.naive.windows import taps
from minicnn.shapes import Pair

Array = np.ndarray


def depthwise_conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
) -> Array:
    """Filter each channel by itself, with its own `depth_multiplier` filters m.

    y[n, oy, ox, c * multiplier + m] = b[...] + sum over i, j of x[n, iy, ix, c] * w[i, j, c, m].
    """
    batch, height, width, channels = x.shape
    rows, columns, _, multiplier = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "depthwise_conv2d"
    )
    y = np.zeros((batch, *window.out, channels * multiplier), x.dtype)
    for oy, ox, i, j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                for m in range(multiplier):
                    y[n, oy, ox, c * multiplier + m] += x[n, iy, ix, c] * w[i, j, c, m]
    return y if b is None else y + b


def depthwise_conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)`, by the same rule as `conv2d_backward`."""
    batch, height, width, channels = x.shape
    rows, columns, _, multiplier = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "depthwise_conv2d"
    )
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for oy, ox, i, j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                for m in range(multiplier):
                    received = dy[n, oy, ox, c * multiplier + m]
                    dx[n, iy, ix, c] += received * w[i, j, c, m]
                    dw[i, j, c, m] += received * x[n, iy, ix, c]
    db = np.zeros(channels * multiplier, w.dtype)
    for position in np.ndindex(dy.shape[:3]):
        db += dy[position]
    return dx, dw, db
