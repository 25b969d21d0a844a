"""Pooling turns the pixels under each window, or all pixels, into one number per channel."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.checks import check_gradient, window_of
from minicnn.functional.resizing import Sampling, Taps, sample, sample_backward
from minicnn.shapes import Pair

Array = np.ndarray


def _pool_window(
    size: Sequence[int], pool_size: Any, strides: Any, padding: Any, name: str
) -> shapes.Window:
    kernel = shapes.pair(pool_size, "pool_size", name)
    steps = kernel if strides is None else shapes.pair(strides, "strides", name)
    padding = shapes.choice(padding, ("valid", "same"), "padding", name)
    return window_of((size[0], size[1]), kernel, steps, padding, (1, 1), name)


def _check_x_shape(x_shape: Sequence[int], name: str) -> Sequence[int]:
    if len(x_shape) != 4 or min(x_shape[1:3]) < 1:
        raise ValueError(
            f"{name} expects x_shape=(batch, height, width, channels). Received {x_shape}."
        )
    return x_shape


def max_pool2d(
    x: Array,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "max_pool2d",
) -> Array:
    """Max pooling: the largest pixel under each window, per channel.

    `x` (batch, height, width, channels) to y (batch, out_height, out_width, channels). `strides`
    defaults to `pool_size`. With "same", the padding counts as minus infinity and never wins. NaN
    under a window makes its output NaN.

    Raises `TypeError` or `ValueError` for an `x` that is not such an array, a window larger than
    the input, or an unknown option.
    """
    shapes.check_array(x, 4, "x", name)
    window = _pool_window(x.shape[1:3], pool_size, strides, padding, name)
    y = buffers.empty((x.shape[0], *window.out, x.shape[3]), x.dtype)
    kernels.pooling.max_forward(
        shapes.contiguous(x),
        window.kernel,
        window.strides,
        window.before,
        y,
    )
    return y


def max_pool2d_backward(
    dy: Array,
    x: Array,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "max_pool2d",
) -> Array:
    """dx of `max_pool2d`: the largest of each window gets its dy.

    Among equal pixels the first in reading order wins, as in TensorFlow. Where windows overlap,
    their gradients add up.
    """
    shapes.check_array(x, 4, "x", name)
    window = _pool_window(x.shape[1:3], pool_size, strides, padding, name)
    dy = check_gradient(dy, (x.shape[0], *window.out, x.shape[3]), x, name)
    dx = buffers.empty(x.shape, x.dtype)
    # Where no two windows overlap.
    apart = window.strides[0] >= window.kernel[0] and window.strides[1] >= window.kernel[1]
    kernels.pooling.max_backward(
        dy,
        shapes.contiguous(x),
        window.kernel,
        window.strides,
        window.before,
        apart,
        dx,
    )
    return dx


def average_pool2d(
    x: Array,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "average_pool2d",
) -> Array:
    """Average pooling: the mean of the real pixels under each window (padding is not counted).

    Shapes, defaults and errors as `max_pool2d`.
    """
    shapes.check_array(x, 4, "x", name)
    window = _pool_window(x.shape[1:3], pool_size, strides, padding, name)
    y = buffers.empty((x.shape[0], *window.out, x.shape[3]), x.dtype)
    kernels.pooling.average_forward(
        shapes.contiguous(x),
        window.kernel,
        window.strides,
        window.before,
        y,
    )
    return y


def average_pool2d_backward(
    dy: Array,
    x_shape: Sequence[int],
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "average_pool2d",
) -> Array:
    """dx of `average_pool2d`: each of the k real pixels under a window gets dy / k."""
    batch, height, width, channels = _check_x_shape(x_shape, name)
    window = _pool_window((height, width), pool_size, strides, padding, name)
    dy = check_gradient(dy, (batch, *window.out, channels), dy, name)
    dx = buffers.empty(tuple(x_shape), dy.dtype)
    kernels.pooling.average_backward(dy, window.kernel, window.strides, window.before, dx)
    return dx


def adaptive_windows(old: Pair, new: Pair) -> Sampling:
    """Return which rows and columns of an image of size `old` each of `new` windows averages."""
    return Sampling(*(_windows_along(n, m) for n, m in zip(old, new, strict=True)))


def adaptive_max_pool2d(
    x: Array, output_size: int | Pair, name: str = "adaptive_max_pool2d"
) -> Array:
    """y[n, i, j, c] = the largest x[n, r, s, c] in the rows r of window i, the columns s of j.

    Windows, shapes and errors as `adaptive_average_pool2d`. NaN under a window makes its output
    NaN.
    """
    new = shapes.pair(output_size, "output_size", name)
    _check_pixels(x, name)
    rows, columns = adaptive_windows(x.shape[1:3], new)
    return _largest_along(_largest_along(x, rows, 1), columns, 2)


def adaptive_max_pool2d_backward(dy: Array, x: Array, name: str = "adaptive_max_pool2d") -> Array:
    """dx of `adaptive_max_pool2d`: the largest pixel of each window gets its dy.

    Among equal pixels it is the first in the first column that has one, as in Keras on TensorFlow,
    which pools rows and then columns. Where windows overlap, their gradients add up.
    """
    _check_pixels(x, name)
    shapes.check_array(dy, 4, "dy", name)
    dy = check_gradient(dy, (len(x), *dy.shape[1:3], x.shape[3]), x, name)
    dx = np.zeros_like(x)
    if dy.size:
        rows, columns = adaptive_windows(x.shape[1:3], dy.shape[1:3])
        n, i, j, c = np.ogrid[tuple(map(slice, dy.shape))]
        n_, i_, c_ = n[..., None], i[..., None], c[..., None]  # beside the places in a window
        under_row, under_column = _inside(rows), _inside(columns)
        across = _largest_along(x, rows, 1)[n_, i_, under_column[j], c_]
        column = under_column[j, across.argmax(axis=-1)]
        row = under_row[i, x[n_, under_row[i], column[..., None], c_].argmax(axis=-1)]
        np.add.at(dx, (n, row, column, c), dy)
    return dx


def _inside(windows: Taps) -> Array:
    """Return the places under each window; a small window has its first one several times."""
    return np.where(windows.weight == 0, windows.source[:, :1], windows.source)


def _largest_along(x: Array, windows: Taps, axis: int) -> Array:
    """Return the largest numbers under windows along an axis."""
    first, *others = _inside(windows).T
    y: Array = x.take(first, axis)
    for places in others:
        np.maximum(y, x.take(places, axis), out=y)
    return y


def _windows_along(old: int, new: int) -> Taps:
    window = np.arange(new, dtype=np.int64)
    start, end = window * old // new, -((window + 1) * -old // new)  # floor, ceil
    size = (end - start)[:, None]
    tap = np.arange(size.max())
    source = np.minimum(start[:, None] + tap, old - 1)
    return Taps(source, np.where(tap < size, 1 / size, 0.0))


def adaptive_average_pool2d(
    x: Array, output_size: int | Pair, name: str = "adaptive_average_pool2d"
) -> Array:
    """y[n, i, j, c] = the mean of x[n, r, s, c] over the rows r of window i, columns s of window j.

    Row r is in window i if floor(i * height / rows) <= r < ceil((i + 1) * height / rows), where
    `output_size` = (rows, columns); columns likewise. `x` (batch, height, width, channels) to y
    (batch, rows, columns, channels), for any height and width.

    Raises `TypeError` or `ValueError` for an `x` that is not such an array or has no pixels, or
    for sizes below 1.
    """
    new = shapes.pair(output_size, "output_size", name)
    _check_pixels(x, name)
    if 0 in x.shape:
        return buffers.empty((len(x), *new, x.shape[3]), x.dtype)
    return sample(x, adaptive_windows(x.shape[1:3], new))


def adaptive_average_pool2d_backward(
    dy: Array, x_shape: Sequence[int], name: str = "adaptive_average_pool2d"
) -> Array:
    """dx of `adaptive_average_pool2d`: each of the k pixels under a window gets its dy / k."""
    batch, height, width, channels = _check_x_shape(x_shape, name)
    shapes.check_array(dy, 4, "dy", name)
    dy = check_gradient(dy, (batch, *dy.shape[1:3], channels), dy, name)
    if 0 in dy.shape:
        return np.zeros(tuple(x_shape), dy.dtype)
    return sample_backward(dy, adaptive_windows((height, width), dy.shape[1:3]), (height, width))


def _check_pixels(x: Array, name: str) -> None:
    shapes.check_array(x, 4, "x", name)
    if 0 in x.shape[1:3]:
        raise ValueError(f"{name} expects at least one pixel. Received x.shape={x.shape}.")


def global_average_pool2d(x: Array, name: str = "global_average_pool2d") -> Array:
    """y[n, c] = mean of x[n, :, :, c]: (batch, height, width, channels) to (batch, channels)."""
    _check_pixels(x, name)
    batch, height, width, channels = x.shape
    # The mean of the lines' means: every thread gets lines, and short sums round less.
    lines = average_pool2d(x, (1, width), name=name)
    return average_pool2d(lines, (height, 1), name=name).reshape(batch, channels)


def global_average_pool2d_backward(
    dy: Array, x_shape: Sequence[int], name: str = "global_average_pool2d"
) -> Array:
    """dx[n, i, j, c] = dy[n, c] / (height * width)."""
    batch, height, width, channels = _check_x_shape(x_shape, name)
    dy = check_gradient(dy, (batch, channels), dy, name)
    share = dy / dy.dtype.type(height * width)
    dx = buffers.empty(tuple(x_shape), dy.dtype)
    kernels.pooling.spread(share, dx)
    return dx


def global_max_pool2d(x: Array, name: str = "global_max_pool2d") -> Array:
    """y[n, c] = largest of x[n, :, :, c]: (batch, height, width, channels) to (batch, channels)."""
    _check_pixels(x, name)
    y: Array = x.max(axis=(1, 2))
    return y


def global_max_pool2d_backward(dy: Array, x: Array, name: str = "global_max_pool2d") -> Array:
    """dx: the k pixels equal to the maximum get dy / k each.

    They share it evenly, where a pooling window would choose the first: Keras computes this layer
    as a reduction, and that is the reduction's gradient.
    """
    _check_pixels(x, name)
    dy = check_gradient(dy, (x.shape[0], x.shape[3]), x, name)
    largest = x == x.max(axis=(1, 2), keepdims=True)
    # A NaN equals nothing, not even itself: where no pixel is the largest, none gets a share.
    share = dy / np.maximum(largest.sum(axis=(1, 2)), 1).astype(dy.dtype)
    return np.where(largest, share[:, None, None, :], dy.dtype.type(0))
