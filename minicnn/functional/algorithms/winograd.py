"""Convolves with a quarter of the multiplications, for 3x3 windows that move by one pixel.

Its rounding errors are about ten times those of the other algorithms; `minicnn.kernels.winograd`
explains the transforms. It works for float32 without dilation.
"""

import math

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.algorithms.direct import flipped
from minicnn.functional.epilogue import (
    NO_POOLING,
    PLAIN,
    Epilogue,
    argmax_for,
    clamp_of,
    pooled,
    stops_of,
)
from minicnn.shapes import Pair

Array = np.ndarray

_KEPT_BYTES = 2**21


def _whole_bias(b: Array | None, columns: int) -> Array:
    """Return the bias for whole panels of filters; 0 where there is none."""
    bias = np.zeros(columns, np.float32)
    if b is not None:
        bias[: len(b)] = b
    return bias


def can(window: shapes.Window, dtype: np.dtype) -> bool:
    """Return whether it can: in float32, with a 3x3 kernel that moves by one pixel."""
    ones = window.strides == (1, 1) and window.dilation == (1, 1)
    return dtype == np.float32 and window.kernel == (3, 3) and ones


def pays(window: shapes.Window, images: int) -> bool:
    """Return whether Winograd takes less time than 9 multiplications for each pixel and weight.

    Measured, for each weight: a tile of 4x4 pixels takes as long as 4 or 5 pixels of a matrix
    product, and the transform of the weight as long as 40.
    """
    tiles = kernels.winograd.tiles_of((images, *window.out))
    return 40 + 5 * tiles < images * math.prod(window.out)


def _forward_of(
    x: Array, w: Array, window: shapes.Window, filters: int, epilogue: Epilogue = PLAIN
) -> tuple[Array, Array | None]:
    """Return y of the first `filters` of w, which has whole panels of them; pool by 2x2 or not."""
    fast, pooling, limits = kernels.winograd, epilogue.pooling, epilogue.limits
    pool = pooling.size[0]
    channels, columns = w.shape[2:]
    height, width = window.out[0] // pool, window.out[1] // pool
    y = buffers.empty((x.shape[0], height, width, filters), x.dtype)
    argmax = argmax_for(y, pooling)
    bias = _whole_bias(epilogue.bias, columns)
    tiles = fast.tiles_of((len(x), height * pool, width * pool))
    clamp, stops = clamp_of(limits, x.dtype), stops_of(limits, x.dtype)
    result = pool, y, argmax, stops
    if fast.are_few(tiles, channels, columns):
        depth = fast.padded(channels, fast.LANES)
        points = np.empty(fast.scratch_size(tiles, depth), x.dtype)
        fast.transform_few(x, window.before, tiles, pool, y, points)
        fast.multiply_few(points, tiles, w, bias, clamp, *result)
    else:
        shape = columns // fast.COLUMNS, fast.scratch_size(channels, fast.COLUMNS)
        packed = buffers.empty(shape, x.dtype)
        # Transformed weights are four times as large as they were; to keep them pays while they
        # are few.
        kept = packed.nbytes <= _KEPT_BYTES
        (fast.transform_weights if kept else fast.transform_weights.in_each_run)(w, packed)
        block = fast.block_size(tiles, channels)
        fast.forward(x, packed, bias, clamp, window.before, block, *result)
    return y, argmax if pooling.remember else None


def forward(
    x: Array, w: Array, window: shapes.Window, epilogue: Epilogue
) -> tuple[Array, Array | None]:
    """Transform, multiply and transform back; pool 2x2 blocks while they are in registers."""
    filters = w.shape[3]
    w = w if epilogue.scale is None else w * epilogue.scale
    missing = -filters % kernels.winograd.COLUMNS
    if missing:
        w = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, missing)))
    if epilogue.pooling.size == (2, 2):
        return _forward_of(x, w, window, filters, epilogue)
    y, _ = _forward_of(x, w, window, filters, epilogue._replace(pooling=NO_POOLING))
    return pooled(y, epilogue.pooling, epilogue.limits)


def input_gradient(
    dy: Array, w: Array, window: shapes.Window, size: Pair, epilogue: Epilogue = PLAIN
) -> Array:
    """Return dx, which is a convolution, too: of dy with the flipped kernel."""
    channels = w.shape[2]
    columns = kernels.winograd.padded(channels, kernels.winograd.COLUMNS)
    before = 2 - window.before[0], 2 - window.before[1]
    back = window._replace(before=before, out=size)
    return _forward_of(dy, flipped(w, columns), back, channels, epilogue)[0]


def weight_gradient(
    dy: Array, x: Array, window: shapes.Window, need_db: bool = True
) -> tuple[Array, Array | None]:
    """Sum up products of transformed tiles of x and dy, and transform the sum to dw; and db."""
    channels, filters = x.shape[3], dy.shape[3]
    fast = kernels.winograd
    columns = fast.padded(filters, fast.COLUMNS)
    groups = fast.groups_of(dy.shape, channels)
    x_points, dy_points = fast.points_shapes(
        dy.shape, channels, fast.HELD if groups == 1 else fast.HELD_EACH
    )
    sums = buffers.empty((groups, fast.POINTS, channels, columns), x.dtype)
    if len(x) == 0:
        sums[...] = 0  # without tiles, the sum would not be initialized
    db = np.zeros((groups, columns))
    if groups == 1:
        scratch = (buffers.empty(shape, x.dtype) for shape in (x_points, dy_points))
        fast.backward_weight(dy, x, window.before, *scratch, sums[0], db[0])
    else:
        fast.backward_weight_in_groups(dy, x, window.before, x_points, dy_points, sums, db)
    dw = np.empty((3, 3, channels, columns), x.dtype)
    fast.transform_sums(sums, dw)
    found = db.sum(axis=0)[:filters].astype(x.dtype) if need_db else None
    return shapes.contiguous(dw[..., :filters]), found
