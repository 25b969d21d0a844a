"""Pooling as plain loops."""

import math
from collections.abc import Sequence

import numpy as np

from minicnn import shapes
from minicnn.naive.windows import taps
from minicnn.shapes import Pair

Array = np.ndarray


def max_pool2d(
    x: Array, pool_size: Pair = (2, 2), strides: Pair | None = None, padding: str = "valid"
) -> Array:
    """y = the largest pixel under the window; padding counts as minus infinity and never wins."""
    batch, height, width, channels = x.shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "max_pool2d"
    )
    y = np.full((batch, *window.out, channels), -np.inf, x.dtype)
    for oy, ox, _i, _j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                pixel = x[n, iy, ix, c]
                if pixel > y[n, oy, ox, c] or np.isnan(pixel):
                    y[n, oy, ox, c] = pixel
    return y


def max_pool2d_backward(
    dy: Array,
    x: Array,
    pool_size: Pair = (2, 2),
    strides: Pair | None = None,
    padding: str = "valid",
) -> Array:
    """Return dx: the largest pixel of a window gets all of its dy; among equals, the first does.

    NaN counts as larger than every number, and the first NaN as larger than later ones.
    """
    batch, height, width, channels = x.shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "max_pool2d"
    )
    best: dict[tuple[int, ...], tuple[float, int, int]] = {}
    for oy, ox, _i, _j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                key, pixel = (n, oy, ox, c), x[n, iy, ix, c]
                if key not in best or not (pixel <= best[key][0] or np.isnan(best[key][0])):
                    best[key] = (pixel, iy, ix)
    dx = np.zeros_like(x)
    for (n, oy, ox, c), (_, iy, ix) in best.items():
        dx[n, iy, ix, c] += dy[n, oy, ox, c]
    return dx


def _pixels_in_window(window: shapes.Window, size: Pair) -> Array:
    """Return how many real pixels, not padding, each window covers: (out_height, out_width)."""
    count = np.zeros(window.out, int)
    for oy, ox, _i, _j, _iy, _ix in taps(window, size):
        count[oy, ox] += 1
    return count


def average_pool2d(
    x: Array, pool_size: Pair = (2, 2), strides: Pair | None = None, padding: str = "valid"
) -> Array:
    """y = the mean of the real pixels under the window: padding is neither added nor counted."""
    batch, height, width, channels = x.shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "average_pool2d"
    )
    y = np.zeros((batch, *window.out, channels), x.dtype)
    for oy, ox, _i, _j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                y[n, oy, ox, c] += x[n, iy, ix, c]
    return y / _pixels_in_window(window, (height, width))[None, :, :, None].astype(x.dtype)


def average_pool2d_backward(
    dy: Array,
    x_shape: Sequence[int],
    pool_size: Pair = (2, 2),
    strides: Pair | None = None,
    padding: str = "valid",
) -> Array:
    """Return dx: each pixel under a window of k real pixels gets dy / k."""
    batch, height, width, channels = x_shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "average_pool2d"
    )
    count = _pixels_in_window(window, (height, width))
    dx = np.zeros(tuple(x_shape), dy.dtype)
    for oy, ox, _i, _j, iy, ix in taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                dx[n, iy, ix, c] += dy[n, oy, ox, c] / count[oy, ox]
    return dx


def adaptive_average_pool2d(x: Array, output_size: Pair) -> Array:
    """y[i, j] = the mean of x over the rows of window i and the columns of window j."""
    (batch, height, width, channels), (rows, columns) = x.shape, output_size
    y = np.zeros((batch, rows, columns, channels), x.dtype)
    for n, i, j, c in np.ndindex(*y.shape):
        across, along = _adaptive_window(i, height, rows), _adaptive_window(j, width, columns)
        for r in across:
            for s in along:
                y[n, i, j, c] += x[n, r, s, c]
        y[n, i, j, c] /= len(across) * len(along)
    return y


def adaptive_average_pool2d_backward(dy: Array, x_shape: Sequence[int]) -> Array:
    """Return dx: each of the k pixels under a window gets dy / k; windows may overlap."""
    _, height, width, _ = x_shape
    _, rows, columns, _ = dy.shape
    dx = np.zeros(tuple(x_shape), dy.dtype)
    for n, i, j, c in np.ndindex(*dy.shape):
        across, along = _adaptive_window(i, height, rows), _adaptive_window(j, width, columns)
        for r in across:
            for s in along:
                dx[n, r, s, c] += dy[n, i, j, c] / (len(across) * len(along))
    return dx


def adaptive_max_pool2d(x: Array, output_size: Pair) -> Array:
    """y[i, j] = the largest pixel of x in the rows of window i and the columns of window j."""
    y = np.zeros((len(x), *output_size, x.shape[3]), x.dtype)
    for n, i, j, c in np.ndindex(*y.shape):
        y[n, i, j, c] = x[n, *_adaptive_maximum(x[n, :, :, c], (i, j), output_size), c]
    return y


def adaptive_max_pool2d_backward(dy: Array, x: Array) -> Array:
    """Return dx: the largest pixel of a window gets all of its dy.

    Among equal pixels it is the first in the first column that has one.
    """
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*dy.shape):
        dx[n, *_adaptive_maximum(x[n, :, :, c], (i, j), dy.shape[1:3]), c] += dy[n, i, j, c]
    return dx


def _adaptive_maximum(image: Array, window: Pair, output_size: Pair) -> Pair:
    """Return the row and column of the largest pixel under a window; NaN counts as the largest."""
    (i, j), (height, width), (rows, columns) = window, image.shape, output_size
    found = None
    for s in _adaptive_window(j, width, columns):
        for r in _adaptive_window(i, height, rows):
            if found is None or not (image[r, s] <= image[found] or np.isnan(image[found])):
                found = r, s
    assert found is not None
    return found


def _adaptive_window(i: int, old: int, new: int) -> range:
    """Return the pixels under window i of `new` windows, which divide a line of `old` pixels."""
    return range(math.floor(i * old / new), math.ceil((i + 1) * old / new))


def global_average_pool2d(x: Array) -> Array:
    """y[n, c] = mean of x[n, :, :, c]."""
    batch, height, width, channels = x.shape
    y = np.zeros((batch, channels), x.dtype)
    for n, i, j in np.ndindex(batch, height, width):
        y[n] += x[n, i, j]
    return y / np.asarray(height * width, x.dtype)


def global_average_pool2d_backward(dy: Array, x_shape: Sequence[int]) -> Array:
    """dx[n, i, j, c] = dy[n, c] / (height * width)."""
    dx = np.zeros(tuple(x_shape), dy.dtype)
    for n, i, j in np.ndindex(*x_shape[:3]):
        dx[n, i, j] = dy[n] / (x_shape[1] * x_shape[2])
    return dx


def global_max_pool2d(x: Array) -> Array:
    """y[n, c] = the largest pixel of x[n, :, :, c]."""
    return max_pool2d(x, (x.shape[1], x.shape[2]))[:, 0, 0, :]


def global_max_pool2d_backward(dy: Array, x: Array) -> Array:
    """Return dx: equal maxima share dy evenly, as in Keras, where this is a reduction."""
    dx = np.zeros_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[3]):
            largest = x[n, :, :, c].max()
            maxima = [p for p in np.ndindex(x.shape[1:3]) if x[n, p[0], p[1], c] == largest]
            for i, j in maxima:
                dx[n, i, j, c] = dy[n, c] / len(maxima)
    return dx
