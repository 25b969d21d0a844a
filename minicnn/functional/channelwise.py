"""Filters each channel by itself: for depthwise convolutions, and with a group for each channel.

The arguments have been checked; `w` is (rows, columns, channels, multiplier).
"""

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.epilogue import UNBOUNDED, Limits, clamp_of
from minicnn.functional.sums import PARTS, sum_positions

Array = np.ndarray


def _flat_filters(w: Array) -> Array:
    """Reshape (rows, columns, channels, multiplier) to (rows, columns, channels * multiplier)."""
    return shapes.contiguous(w).reshape(*w.shape[:2], -1)


def _repeat_channels(x: Array, multiplier: int) -> Array:
    """Repeat each channel `multiplier` times, so that each has one filter."""
    x = shapes.contiguous(x)
    if multiplier == 1:
        return x
    y = buffers.empty((*x.shape[:3], x.shape[3] * multiplier), x.dtype)
    kernels.depthwise.repeat(x.reshape(-1), multiplier, y.reshape(-1))
    return y


def _sum_channels(dy: Array, multiplier: int) -> Array:
    """Return the sum over each channel's copies: the backward pass of `_repeat_channels`."""
    if multiplier == 1:
        return dy
    dx = buffers.empty((*dy.shape[:3], dy.shape[3] // multiplier), dy.dtype)
    kernels.depthwise.sum_runs(dy.reshape(-1), multiplier, dx.reshape(-1))
    return dx


def forward(x: Array, w: Array, b: Array | None, limits: Limits, window: shapes.Window) -> Array:
    """Return y, kept within an activation's limits."""
    x, filters = _repeat_channels(x, w.shape[3]), _flat_filters(w)
    bias = np.zeros(filters.shape[2], x.dtype) if b is None else shapes.contiguous(b)
    y = buffers.empty((x.shape[0], *window.out, filters.shape[2]), x.dtype)
    geometry = window.strides, window.dilation, window.before
    kernels.depthwise.forward(x, filters, bias, clamp_of(limits, x.dtype), *geometry, y)
    return y


def input_gradient(dy: Array, x_shape: tuple[int, ...], w: Array, window: shapes.Window) -> Array:
    """Return dx of `forward`."""
    filters = _flat_filters(w)
    each = buffers.empty((*x_shape[:3], filters.shape[2]), dy.dtype)
    if window.strides == (1, 1):  # a depthwise convolution, too: of dy with the flipped kernel
        flipped = shapes.contiguous(filters[::-1, ::-1])
        sides = zip(window.kernel, window.dilation, window.before, strict=True)
        before = tuple((size - 1) * step - pad for size, step, pad in sides)
        nothing = np.zeros(filters.shape[2], dy.dtype), clamp_of(UNBOUNDED, dy.dtype)
        kernels.depthwise.forward(dy, flipped, *nothing, (1, 1), window.dilation, before, each)
    else:
        geometry = window.strides, window.dilation, window.before
        kernels.depthwise.backward_input(dy, filters, *geometry, each)
    return _sum_channels(each, w.shape[3])


def weight_gradient(
    dy: Array, x: Array, w_shape: tuple[int, ...], window: shapes.Window, need_db: bool = True
) -> tuple[Array, Array | None]:
    """Return dw and db; None for db if it is not needed."""
    parts = max(1, min(PARTS, len(dy) * window.out[0]))
    partial = np.empty((parts, *window.kernel, dy.shape[3]), x.dtype)
    geometry = window.strides, window.dilation, window.before
    kernels.depthwise.backward_weight(dy, _repeat_channels(x, w_shape[3]), *geometry, partial)
    return partial.sum(axis=0).reshape(w_shape), sum_positions(dy) if need_db else None
