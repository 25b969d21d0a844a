"""Transposed convolution as plain loops."""

import numpy as np

from minicnn import shapes
from minicnn.naive.windows import taps
from minicnn.shapes import Pair

Array = np.ndarray


def conv2d_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: Pair = (1, 1),
    padding: str = "valid",
    output_padding: Pair | None = None,
    dilation_rate: Pair = (1, 1),
) -> Array:
    """Each pixel of x stamps its window on y: y[n, oy, ox, o] += x[n, iy, ix, c] * w[i, j, o, c].

    Here oy = iy * stride + i * dilation - what is cut off above, and ox likewise; what lies outside
    of y is lost. Where windows overlap, the stamps add up.
    """
    batch, height, width, channels = x.shape
    rows, columns, filters, _ = w.shape
    window, size = shapes.transposed_window(
        (height, width), (rows, columns), strides, padding, dilation_rate, output_padding,
        "conv2d_transpose",
    )  # fmt: skip
    y = np.zeros((batch, *size, filters), x.dtype)
    for iy, ix, i, j, oy, ox in taps(window, size):
        for n in range(batch):
            for o in range(filters):
                for c in range(channels):
                    y[n, oy, ox, o] += x[n, iy, ix, c] * w[i, j, o, c]
    return y if b is None else y + b


def conv2d_transpose_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: Pair = (1, 1),
    padding: str = "valid",
    output_padding: Pair | None = None,
    dilation_rate: Pair = (1, 1),
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)`: each product x * w of the forward pass sends dy to both factors."""
    batch, height, width, channels = x.shape
    rows, columns, filters, _ = w.shape
    window, size = shapes.transposed_window(
        (height, width), (rows, columns), strides, padding, dilation_rate, output_padding,
        "conv2d_transpose",
    )  # fmt: skip
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(filters, w.dtype)
    for iy, ix, i, j, oy, ox in taps(window, size):
        for n in range(batch):
            for o in range(filters):
                for c in range(channels):
                    dx[n, iy, ix, c] += dy[n, oy, ox, o] * w[i, j, o, c]
                    dw[i, j, o, c] += dy[n, oy, ox, o] * x[n, iy, ix, c]
    for position in np.ndindex(dy.shape[:3]):
        db += dy[position]
    return dx, dw, db
