"""Convolution with a quarter of the multiplications, for 3x3 windows that move by one pixel.

It rounds ten times as much as the other algorithms; `minicnn.kernels.winograd` explains the
transforms. It serves float32 without dilation.
"""

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.algorithms.direct import flipped
from minicnn.functional.epilogue import (
    NO_POOLING,
    PLAIN,
    Epilogue,
    clamp_of,
    pooled,
    stops_of,
    winners_for,
)
from minicnn.shapes import Pair

Array = np.ndarray


def _whole_bias(b: Array | None, columns: int) -> Array:
    """The bias for whole panels of filters; 0 where there is none."""
    bias = np.zeros(columns, np.float32)
    if b is not None:
        bias[: len(b)] = b
    return bias


def can(window: shapes.Window, dtype: np.dtype) -> bool:
    """It computes in float32, with a 3x3 kernel that moves by one pixel."""
    ones = window.strides == (1, 1) and window.dilation == (1, 1)
    return dtype == np.float32 and window.kernel == (3, 3) and ones


def _forward_of(
    x: Array, w: Array, window: shapes.Window, filters: int, epilogue: Epilogue = PLAIN
) -> tuple[Array, Array | None]:
    """y of the first `filters` of w, which has whole panels of them; pools by 2x2 or not."""
    fast, pooling, limits = kernels.winograd, epilogue.pooling, epilogue.limits
    pool = pooling.size[0]
    channels, columns = w.shape[2:]
    height, width = window.out[0] // pool, window.out[1] // pool
    y = buffers.empty((x.shape[0], height, width, filters), x.dtype)
    winners = winners_for(y, pooling)
    bias = _whole_bias(epilogue.bias, columns)
    threads, tiles, depth = (
        kernels.tasks.threads(),
        fast.tiles_of((len(x), height * pool, width * pool)),
        fast.padded(channels, fast.LANES),
    )
    few = fast.are_few(tiles, channels, columns, threads)
    block = tiles if few else fast.block_size(tiles, channels, threads)
    rows = fast.padded(block, fast.ROWS)
    scratch = [
        np.zeros((threads, 6, 6, depth), x.dtype),
        buffers.empty((threads, fast.scratch_size(block, depth)), x.dtype),
        buffers.empty((threads, fast.scratch_size(rows, fast.COLUMNS)), x.dtype),
    ]
    kept = (threads, fast.CHANNELS) if few else (columns // fast.COLUMNS, channels)
    packed = buffers.empty((kept[0], fast.scratch_size(kept[1], fast.COLUMNS)), x.dtype)
    clamp, stops = clamp_of(limits, x.dtype), stops_of(limits, x.dtype)
    wanted = bias, clamp, window.before, block, *scratch, pool, y, winners, stops
    if few:
        fast.forward_of_few(x, w, packed, *wanted)
    else:
        fast.transform_weights(w, packed)
        fast.forward(x, packed, *wanted)
    return y, winners if pooling.remember else None


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


def input_gradient(dy: Array, w: Array, window: shapes.Window, size: Pair) -> Array:
    """Compute dx, which is a convolution too: of dy with the kernel flipped."""
    channels = w.shape[2]
    columns = kernels.winograd.padded(channels, kernels.winograd.COLUMNS)
    before = 2 - window.before[0], 2 - window.before[1]
    back = window._replace(before=before, out=size)
    return _forward_of(dy, flipped(w, columns), back, channels)[0]


def weight_gradient(dy: Array, x: Array, window: shapes.Window) -> tuple[Array, Array]:
    """Sum up products of transformed tiles of x and dy, and transform the sum to dw; and db."""
    channels, filters = x.shape[3], dy.shape[3]
    fast = kernels.winograd
    threads, depth = kernels.tasks.threads(), fast.padded(channels, fast.LANES)
    columns = fast.padded(filters, fast.COLUMNS)
    groups = fast.groups_of(dy.shape, channels)
    held = fast.HELD if groups == 1 else fast.HELD_EACH
    x_points, dy_points = fast.points_shapes(dy.shape, channels, held)
    each = () if groups == 1 else (threads,)
    sums = buffers.empty((groups, fast.POINTS, channels, columns), x.dtype)
    if len(x) == 0:
        sums[...] = 0  # no tile begins the sum
    db = np.zeros((groups, columns))
    kernel = fast.backward_weight if groups == 1 else fast.backward_weight_in_groups
    kernel(
        dy,
        x,
        window.before,
        np.zeros((threads, 6, 6, depth), x.dtype),
        np.zeros((threads, 4, 4, columns), x.dtype),
        buffers.empty((*each, *x_points), x.dtype),
        buffers.empty((*each, *dy_points), x.dtype),
        sums[0] if groups == 1 else sums,
        db[0] if groups == 1 else db,
    )
    dw = np.empty((3, 3, channels, columns), x.dtype)
    fast.transform_sums(sums, dw)
    return shapes.contiguous(dw[..., :filters]), db.sum(axis=0)[:filters].astype(x.dtype)
