"""Convolution without a matrix of patches.

Tiles of the result are summed up in the processor's registers, straight from the image. It serves
float32 without dilation.
"""

import math

import numpy as np

from minicnn import kernels, shapes
from minicnn.compiler import recording
from minicnn.functional import buffers
from minicnn.functional.epilogue import (
    NO_POOLING,
    PLAIN,
    Epilogue,
    Pooling,
    argmax_for,
    pooled,
    stops_of,
)
from minicnn.functional.sums import PARTS, sum_positions
from minicnn.shapes import Pair

Array = np.ndarray

# "direct" pools its results in portions of this size, which are still in the level-2 cache.
_POOLED_BYTES = 2**18

_NO_ARGMAX, _NO_STOPS = np.empty((0, 0, 0, 0), np.uint8), np.full(2, np.nan, np.float32)


def _bands(images: int, out_height: int) -> int:
    """Return the number of bands of lines in an image: a small batch must occupy all cores."""
    return max(1, min(PARTS // max(images, 1), out_height))


def forward(
    x: Array, w: Array, window: shapes.Window, epilogue: Epilogue
) -> tuple[Array, Array | None]:
    """Sum up tiles of y in registers, and pool them there or in the cache."""
    pooling, limits = epilogue.pooling, epilogue.limits
    if pooling == Pooling((1, 1), remember=True):  # there is nothing to pool
        y, _ = forward(x, w, window, epilogue._replace(pooling=NO_POOLING))
        return pooled(y, pooling, limits)
    pool = pooling.size
    height, width = window.out[0] // pool[0], window.out[1] // pool[1]
    y = buffers.empty((x.shape[0], height, width, w.shape[3]), x.dtype)
    wanted = window._replace(out=(height * pool[0], width * pool[1]))
    argmax = argmax_for(y, pooling)
    end, stops = epilogue.packed(w.shape[3], x.dtype), stops_of(limits, x.dtype)
    _forward_into(y, x, w, end, wanted, pool=pool, argmax=argmax, stops=stops)
    return y, argmax if pooling.remember else None


def _forward_into(
    y: Array,
    x: Array,
    w: Array,
    epilogue: Array,
    window: shapes.Window,
    first: Pair = (0, 0),
    steps: Pair = (1, 1),
    pool: Pair = (1, 1),
    argmax: Array = _NO_ARGMAX,
    stops: Array = _NO_STOPS,
) -> None:
    """Write results (the largest of each `pool`) to y's pixels `first`, `first + steps`, …."""
    packed = kernels.direct.pack(w.reshape(-1, w.shape[3]))
    lines = window.out[0] // pool[0]
    bands = _bands(len(x), lines)
    if pool != (1, 1):  # pooling reads results while they are still in a cache
        band_bytes = window.out[0] * window.out[1] * w.shape[3] * 4
        bands = max(bands, min(lines, -(-band_bytes // _POOLED_BYTES)))
    kernels.direct.forward(
        x, packed, epilogue, window.kernel, window.strides, window.before, bands, window.out, first,
        steps, pool, y, argmax, stops,
    )  # fmt: skip


def flipped(w: Array, columns: int | None = None) -> Array:
    """Return the kernel for dy: flipped along rows and columns, with its filters as channels.

    Its last axis has `columns` places, by default one for each channel; any more are 0.
    """
    rows, width, channels, filters = w.shape
    empty = np.empty if recording.once(w) else buffers.empty  # a program's weights, or memory
    found = empty((rows, width, filters, columns or channels), w.dtype)
    kernels.convolution.flip(shapes.contiguous(w), found)
    return found


def input_gradient(
    dy: Array, w: Array, window: shapes.Window, size: Pair, epilogue: Epilogue = PLAIN
) -> Array:
    """Return dx, which is a convolution, too: of dy with the flipped kernel.

    Along one axis, pixel s * q + p of x (s is the stride) was seen by the taps r, r + s, r + 2 * s,
    … with r = (p + before) % s. So the pixels with the same p are an image of their own: a
    convolution of dy with these taps and a stride of 1. s * s such images make dx.
    """
    dx = buffers.empty((dy.shape[0], *size, w.shape[2]), dy.dtype)
    end = epilogue.packed(w.shape[2], dy.dtype)
    rows, columns = (_phases(window, size, axis) for axis in (0, 1))
    if len(rows) < window.strides[0] or len(columns) < window.strides[1]:
        bias = 0 if epilogue.bias is None else epilogue.bias
        dx[...] = np.clip(bias, *epilogue.limits)  # strides that pass over pixels
    for p_row, r_row, before_row, out_row in rows:
        for p_column, r_column, before_column, out_column in columns:
            taps = flipped(w[r_row :: window.strides[0], r_column :: window.strides[1]])
            phase = shapes.Window(
                (taps.shape[0], taps.shape[1]),
                (1, 1),
                (1, 1),
                (before_row, before_column),
                (out_row, out_column),
            )
            first = p_row, p_column
            _forward_into(dx, dy, taps, end, phase, first=first, steps=window.strides)
    return dx


def _phases(window: shapes.Window, size: Pair, axis: int) -> list[tuple[int, int, int, int]]:
    """Return (p, first tap r, padding before dy, pixels) of each p along an axis that any tap sees.

    The padding is negative where the first window lies wholly before the pixels of this p.
    """
    stride, before, kernel = window.strides[axis], window.before[axis], window.kernel[axis]
    found = []
    for p in range(min(stride, size[axis])):
        r = (p + before) % stride
        if r < kernel:
            last = (kernel - 1 - r) // stride
            found.append((p, r, last - (p + before - r) // stride, -(-(size[axis] - p) // stride)))
    return found


def weight_gradient(
    dy: Array, x: Array, window: shapes.Window, need_db: bool = True
) -> tuple[Array, Array | None]:
    """Return dw, summed up in registers for groups of bands of lines, and db."""
    dw = _weight_sums(dy, _NO_ARGMAX, (1, 1), x, window)
    return dw, sum_positions(dy) if need_db else None


def pooled_weight_gradient(
    dy: Array, argmax: Array, pool: Pair, x: Array, window: shapes.Window
) -> tuple[Array, Array]:
    """Return dw and db; only the largest number of each block has a gradient."""
    dw = _weight_sums(dy, argmax, pool, x, window)
    rows = dy.reshape(-1, dy.shape[3])
    sums = np.empty((PARTS, rows.shape[1]))
    kernels.pooling.sums_at_argmax(rows, argmax.reshape(rows.shape), sums)
    return dw, sums.sum(axis=0).astype(dy.dtype)


def _weight_sums(dy: Array, argmax: Array, pool: Pair, x: Array, window: shapes.Window) -> Array:
    channels, filters = x.shape[3], dy.shape[3]
    bands = _bands(len(x), dy.shape[1])
    groups = max(1, min(PARTS // 2, len(x) * bands))
    entries = math.prod(window.kernel) * channels
    partial = np.zeros((groups, entries, kernels.direct.padded_filters(filters)), x.dtype)
    kernels.direct.backward_weight(
        dy, argmax, pool, x, window.kernel, window.strides, window.before, bands,
        partial,
    )  # fmt: skip
    dw = shapes.contiguous(partial.sum(axis=0)[:, :filters])
    return dw.reshape(*window.kernel, channels, filters)


def can(window: shapes.Window, dtype: np.dtype) -> bool:
    """Return whether it can: in float32, without dilation."""
    return dtype == np.float32 and window.dilation == (1, 1)
