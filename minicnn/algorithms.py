"""Ways to compute one convolution: each allocates, calls its kernels, and returns a new array.

All of them take what `minicnn.functional` has checked: contiguous arrays of one dtype, one group,
and the window's geometry.

    forward(x, w, b, scale, window, limits, pooling)  y, of the kernel w * scale, and the winners
                                             of a pooling that remembers them, else None
    input_gradient(dy, w, window, size)      dx, for x of `size` (height, width)
    weight_gradient(dy, x, window)           dw and db
    pooled_weight_gradient(dy, winners, pool, x, window)  the same, given what the pooling received

- `"im2col"` copies the patch under each window into a row of a matrix; one matrix product does the
  rest. Any window, any dtype; the matrix costs memory and time.
- `"direct"` makes no matrix: tiles of the result are summed up in registers, straight from the
  picture. float32, no dilation.
- `"winograd"` multiplies a quarter as often, for 3x3 windows that move by one pixel, and rounds ten
  times as much (`kernels.winograd`). float32.
"""

import math
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minicnn import buffers, kernels, shapes
from minicnn.shapes import Pair

Array = np.ndarray
Limits = tuple[float, float]  # the least and the most that a result may be: an activation's

UNBOUNDED: Limits = (-np.inf, np.inf)

# Patches of a block of images are gathered and multiplied before the next block is touched: a
# block this large still lies in the cache when it is multiplied.
_BLOCK_BYTES = 4 * 2**20

# Work that a small batch has too little of is cut into this many parts, whatever the number of
# threads, so that the rounding, and so the result, is the same on one core and on many.
_PARTS = 16

# What "direct" makes is pooled as soon as there is so much of it: it is in a level-2 cache still.
_POOLED_BYTES = 2**18

# With fewer channels or filters than this, Winograd's transforms cost more than they save.
_WINOGRAD_CHANNELS = 8


class Pooling(NamedTuple):
    """Max pooling on the way: of each `size` results, side by side, only the largest.

    With `remember` also which one that is, in uint8, counted in reading order, `kernels.NOBODY`
    where an activation lets no gradient through.
    """

    size: Pair = (1, 1)
    remember: bool = False


NO_POOLING = Pooling()


class Algorithm(NamedTuple):
    """One way to compute a convolution and its gradients; `needs` says what it can be used for."""

    forward: Callable[
        [Array, Array, Array | None, Array | None, shapes.Window, Limits, Pooling],
        tuple[Array, Array | None],
    ]
    input_gradient: Callable[[Array, Array, shapes.Window, Pair], Array]
    weight_gradient: Callable[[Array, Array, shapes.Window], tuple[Array, Array]]  # dw, db
    can: Callable[[shapes.Window, np.dtype], bool]
    needs: str
    # Where it is None, `unpool` makes the dy that `weight_gradient` takes.
    pooled_weight_gradient: (
        Callable[[Array, Array, Pair, Array, shapes.Window], tuple[Array, Array]] | None
    ) = None


def choose(window: shapes.Window, dtype: np.dtype, channels: int, filters: int) -> str:
    """What `"auto"` means: the fewest multiplications where they pay, and few copies."""
    if _is_matrix_product(window):
        return "im2col"  # whose matrix is x itself
    if min(channels, filters) >= _WINOGRAD_CHANNELS and ALGORITHMS["winograd"].can(window, dtype):
        return "winograd"
    return "direct" if ALGORITHMS["direct"].can(window, dtype) else "im2col"


def clamp_of(limits: Limits, dtype: np.dtype) -> Array:
    """The limits as kernels take them."""
    return np.array(limits, dtype)


def _finish(
    columns: int, scale: Array | None, shift: Array | None, limits: Limits, dtype: np.dtype
) -> Array:
    """What `simd.tile` does with sums: (panels, 4, columns of a panel), 1, 0 and no limits if none.

    The panels are whole: there are numbers beyond the last column, too.
    """
    wide = kernels.simd.COLUMNS * 4 // dtype.itemsize
    panels = -(-columns // wide)
    lines = np.empty((4, panels * wide), dtype)
    lines[:] = np.array([1, 0, *limits], dtype)[:, None]
    for line, values in zip(lines, (scale, shift), strict=False):
        if values is not None:
            line[:columns] = values
    return shapes.contiguous(lines.reshape(4, panels, wide).swapaxes(0, 1))


def _winners_for(y: Array, pooling: Pooling) -> Array:
    """Room for the winners' numbers, empty if they are not wanted."""
    return buffers.empty(y.shape if pooling.remember else (0, 0, 0, 0), np.uint8)


def _stops(limits: Limits, dtype: np.dtype) -> Array:
    """Where no gradient passes: at an activation's limits. NaN, which is nowhere, for infinity."""
    low, high = (limit if np.isfinite(limit) else np.nan for limit in limits)
    return clamp_of((low, high), dtype)


def pooled(y: Array, pooling: Pooling, limits: Limits) -> tuple[Array, Array | None]:
    """The pooling of what lies within the limits already."""
    if pooling == NO_POOLING:
        return y, None
    pool = pooling.size
    size = y.shape[1] // pool[0], y.shape[2] // pool[1]
    found = buffers.empty((len(y), *size, y.shape[3]), y.dtype)
    if not pooling.remember:
        kernels.pooling.max_forward(y, pool, pool, (0, 0), kernels.tasks.threads(), found)
        return found, None
    winners = _winners_for(found, pooling)
    kernels.pooling.max_of_blocks(y, pool, _stops(limits, y.dtype), found, winners)
    return found, winners


def unpool(dy: Array, winners: Array, pool: Pair, size: Pair) -> Array:
    """The gradient of what was pooled, of `size` (height, width)."""
    dx = buffers.empty((len(dy), *size, dy.shape[3]), dy.dtype)
    kernels.pooling.unpool(dy, winners, pool, dx)
    return dx


def sum_positions(dy: Array) -> Array:
    """The sum over all axes but the last: a bias's gradient."""
    rows = shapes.contiguous(dy).reshape(-1, dy.shape[-1])
    sums = np.empty((_PARTS, rows.shape[1]))
    kernels.convolution.column_sums(rows, _PARTS, sums)
    return sums.sum(axis=0).astype(dy.dtype)


# ---------------------------------------------------------------------------------------------
# The matrix product
# ---------------------------------------------------------------------------------------------


def matmul(
    a: Array,
    b: Array,
    bias: Array | None = None,
    a_turned: bool = False,
    b_turned: bool = False,
    out: Array | None = None,
    limits: Limits = UNBOUNDED,
    scale: Array | None = None,
) -> Array:
    """(a @ b) * scale + bias within the limits; a `turned` matrix is given transposed.

    The same on any number of threads.
    """
    a, b = shapes.contiguous(a), shapes.contiguous(b)
    rows, depth = a.shape[::-1] if a_turned else a.shape
    columns = b.shape[0] if b_turned else b.shape[1]
    parts, panels = kernels.matmul.plan(rows, depth, columns, a.itemsize)
    threads = kernels.tasks.threads()
    if out is None:
        out = buffers.empty((rows, columns), a.dtype)
    ready = buffers.empty(kernels.matmul.packed_shape(rows, depth, columns, a.itemsize), a.dtype)
    if len(ready):
        kernels.matmul.pack(b, b_turned, threads, ready)
    nothing = np.empty((0, 4, kernels.simd.COLUMNS), a.dtype)
    if parts == 1:
        plain = scale is None and bias is None and limits == UNBOUNDED
        finish = nothing if plain else _finish(columns, scale, bias, limits, a.dtype)
        kernels.matmul.product(a, a_turned, b, b_turned, ready, finish, panels, threads, out[None])
        return out
    sums = buffers.empty((parts, rows, columns), a.dtype)
    kernels.matmul.product(a, a_turned, b, b_turned, ready, nothing, panels, threads, sums)
    np.sum(sums, axis=0, out=out)
    if scale is not None:
        out *= scale
    if bias is not None:
        out += bias
    if limits != UNBOUNDED:
        np.clip(out, *limits, out=out)
    return out


# ---------------------------------------------------------------------------------------------
# im2col
# ---------------------------------------------------------------------------------------------


def _is_matrix_product(window: shapes.Window) -> bool:
    """A 1x1 window that visits every pixel: x itself is the matrix of patches."""
    return window.kernel == (1, 1) and window.strides == (1, 1)


_scratch = threading.local()


def _scratch_matrix(rows: int, columns: int, dtype: np.dtype) -> Array:
    """A matrix to work in, the same memory each time: fresh memory costs more than filling it."""
    held: dict[np.dtype, Array] = _scratch.__dict__.setdefault("buffers", {})
    if dtype not in held or held[dtype].size < rows * columns:
        held[dtype] = np.empty(rows * columns, dtype)
    return held[dtype][: rows * columns].reshape(rows, columns)


def _image_blocks(
    images: int, channels: int, window: shapes.Window, dtype: np.dtype
) -> list[slice]:
    """Slices of the batch whose patches take about `_BLOCK_BYTES` each, at least one image."""
    image_bytes = math.prod(window.out) * math.prod(window.kernel) * channels * dtype.itemsize
    step = images if _is_matrix_product(window) else max(1, _BLOCK_BYTES // max(image_bytes, 1))
    return [slice(first, min(first + step, images)) for first in range(0, images, max(step, 1))]


def _patches(x: Array, window: shapes.Window) -> Array:
    """The patches under the windows as rows of a matrix: (positions, kernel area * channels)."""
    rows = x.shape[0] * math.prod(window.out)
    if _is_matrix_product(window):
        return x.reshape(rows, x.shape[3])
    cols = _scratch_matrix(rows, math.prod(window.kernel) * x.shape[3], x.dtype)
    kernels.convolution.im2col(
        x, window.kernel, window.strides, window.dilation, window.before, window.out, cols
    )
    return cols


def _im2col(
    x: Array,
    w: Array,
    b: Array | None,
    scale: Array | None,
    window: shapes.Window,
    limits: Limits,
    pooling: Pooling,
) -> tuple[Array, Array | None]:
    filters = w.shape[3]
    matrix = w.reshape(-1, filters)
    y = buffers.empty((x.shape[0], *window.out, filters), x.dtype)
    for block in _image_blocks(len(x), x.shape[3], window, x.dtype):
        rows = y[block].reshape(-1, filters)
        matmul(_patches(x[block], window), matrix, b, out=rows, limits=limits, scale=scale)
    return pooled(y, pooling, limits)


def _im2col_input_gradient(dy: Array, w: Array, window: shapes.Window, size: Pair) -> Array:
    """dcols = dy @ w^T, and each patch pixel adds to its x."""
    channels, filters = w.shape[2:]
    matrix = w.reshape(-1, filters)
    dx = buffers.empty((dy.shape[0], *size, channels), dy.dtype)
    for block in _image_blocks(len(dy), channels, window, dy.dtype):
        received = dy[block].reshape(-1, filters)
        if _is_matrix_product(window):
            matmul(received, matrix, b_turned=True, out=dx[block].reshape(-1, channels))
            continue
        cols = _scratch_matrix(len(received), len(matrix), dy.dtype)
        matmul(received, matrix, b_turned=True, out=cols)
        kernels.convolution.col2im(
            cols, window.kernel, window.strides, window.dilation, window.before, window.out,
            dx[block],
        )  # fmt: skip
    return dx


def _im2col_weight_gradient(dy: Array, x: Array, window: shapes.Window) -> tuple[Array, Array]:
    """dw = cols^T @ dy."""
    channels, filters = x.shape[3], dy.shape[3]
    dw = np.zeros((*window.kernel, channels, filters), x.dtype)
    for block in _image_blocks(len(x), channels, window, x.dtype):
        received = dy[block].reshape(-1, filters)
        product = matmul(_patches(x[block], window), received, a_turned=True)
        dw += product.reshape(dw.shape)
    return dw, sum_positions(dy)


# ---------------------------------------------------------------------------------------------
# direct
# ---------------------------------------------------------------------------------------------

_NO_WINNERS, _NO_STOPS = np.empty((0, 0, 0, 0), np.uint8), np.full(2, np.nan, np.float32)


def _bands(images: int, out_height: int) -> int:
    """Into how many bands of lines an image is cut: a small batch must have work for all cores."""
    return max(1, min(_PARTS // max(images, 1), out_height))


def _whole_bias(b: Array | None, columns: int) -> Array:
    """The bias for whole panels of filters; 0 where there is none."""
    bias = np.zeros(columns, np.float32)
    if b is not None:
        bias[: len(b)] = b
    return bias


def _direct(
    x: Array,
    w: Array,
    b: Array | None,
    scale: Array | None,
    window: shapes.Window,
    limits: Limits,
    pooling: Pooling,
) -> tuple[Array, Array | None]:
    if pooling == Pooling((1, 1), remember=True):  # there is nothing to pool on the way
        y, _ = _direct(x, w, b, scale, window, limits, NO_POOLING)
        return pooled(y, pooling, limits)
    pool = pooling.size
    height, width = window.out[0] // pool[0], window.out[1] // pool[1]
    y = buffers.empty((x.shape[0], height, width, w.shape[3]), x.dtype)
    finish = _finish(w.shape[3], scale, b, limits, x.dtype)
    wanted = window._replace(out=(height * pool[0], width * pool[1]))
    winners = _winners_for(y, pooling)
    stops = _stops(limits, x.dtype)
    _direct_into(y, x, w, finish, wanted, pool=pool, winners=winners, stops=stops)
    return y, winners if pooling.remember else None


def _direct_into(
    y: Array,
    x: Array,
    w: Array,
    finish: Array,
    window: shapes.Window,
    first: Pair = (0, 0),
    steps: Pair = (1, 1),
    pool: Pair = (1, 1),
    winners: Array = _NO_WINNERS,
    stops: Array = _NO_STOPS,
) -> None:
    """Write the result to y's pixels `first`, `first + steps`, …; of each `pool` the largest."""
    packed = kernels.direct.pack(w.reshape(-1, w.shape[3]))
    lines = window.out[0] // pool[0]
    bands = _bands(len(x), lines)
    if pool != (1, 1):  # what is pooled shall be in a cache still
        band_bytes = window.out[0] * window.out[1] * w.shape[3] * 4
        bands = max(bands, min(lines, -(-band_bytes // _POOLED_BYTES)))
    kernels.direct.forward(
        x, packed, finish, window.kernel, window.strides, window.before, bands, window.out, first,
        steps, pool, kernels.tasks.threads(), y, winners, stops,
    )  # fmt: skip


def _turned(w: Array, columns: int | None = None) -> Array:
    """The kernel turned by half a circle, filters to channels: what dy is convolved with.

    With as many `columns` as the last axis shall have, 0 beyond the channels.
    """
    rows, width, channels, filters = w.shape
    turned = buffers.empty((rows, width, filters, columns or channels), w.dtype)
    kernels.convolution.turn(shapes.contiguous(w), turned)
    return turned


def _direct_input_gradient(dy: Array, w: Array, window: shapes.Window, size: Pair) -> Array:
    """dx is a convolution too: of dy with the kernel turned by half a circle.

    Along one axis, pixel s * q + p of x (s the stride) was seen by the taps r, r + s, r + 2 * s, …
    with r = (p + before) % s. So the pixels with the same p make a picture of their own, which is
    a convolution of dy with these taps, moving by one pixel: s * s of them make dx.
    """
    dx = buffers.empty((dy.shape[0], *size, w.shape[2]), dy.dtype)
    plain = _finish(w.shape[2], None, None, UNBOUNDED, dy.dtype)
    rows, columns = (_phases(window, size, axis) for axis in (0, 1))
    if len(rows) < window.strides[0] or len(columns) < window.strides[1]:
        dx[...] = 0  # strides that pass over pixels
    for p_row, r_row, before_row, out_row in rows:
        for p_column, r_column, before_column, out_column in columns:
            taps = _turned(w[r_row :: window.strides[0], r_column :: window.strides[1]])
            phase = shapes.Window(
                (taps.shape[0], taps.shape[1]),
                (1, 1),
                (1, 1),
                (before_row, before_column),
                (out_row, out_column),
            )
            first = p_row, p_column
            _direct_into(dx, dy, taps, plain, phase, first=first, steps=window.strides)
    return dx


def _phases(window: shapes.Window, size: Pair, axis: int) -> list[tuple[int, int, int, int]]:
    """(p, first tap r, padding before dy, pixels) of each p along an axis that any tap sees.

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


def _direct_weight_gradient(dy: Array, x: Array, window: shapes.Window) -> tuple[Array, Array]:
    return _direct_weight_sums(dy, _NO_WINNERS, (1, 1), x, window), sum_positions(dy)


def _direct_pooled_weight_gradient(
    dy: Array, winners: Array, pool: Pair, x: Array, window: shapes.Window
) -> tuple[Array, Array]:
    dw = _direct_weight_sums(dy, winners, pool, x, window)
    rows = dy.reshape(-1, dy.shape[3])
    sums = np.empty((_PARTS, rows.shape[1]))
    kernels.pooling.sums_of_winners(rows, winners.reshape(rows.shape), sums)
    return dw, sums.sum(axis=0).astype(dy.dtype)


def _direct_weight_sums(
    dy: Array, winners: Array, pool: Pair, x: Array, window: shapes.Window
) -> Array:
    channels, filters = x.shape[3], dy.shape[3]
    bands = _bands(len(x), dy.shape[1])
    groups = max(1, min(_PARTS // 2, len(x) * bands))
    entries = math.prod(window.kernel) * channels
    partial = np.zeros((groups, entries, kernels.direct.padded_filters(filters)), x.dtype)
    kernels.direct.backward_weight(
        dy, winners, pool, x, window.kernel, window.strides, window.before, bands,
        kernels.tasks.threads(), partial,
    )  # fmt: skip
    dw = shapes.contiguous(partial.sum(axis=0)[:, :filters])
    return dw.reshape(*window.kernel, channels, filters)


def _can_be_direct(window: shapes.Window, dtype: np.dtype) -> bool:
    return dtype == np.float32 and window.dilation == (1, 1)


# ---------------------------------------------------------------------------------------------
# Winograd
# ---------------------------------------------------------------------------------------------


def _can_be_winograd(window: shapes.Window, dtype: np.dtype) -> bool:
    ones = window.strides == (1, 1) and window.dilation == (1, 1)
    return dtype == np.float32 and window.kernel == (3, 3) and ones


def _winograd_of(
    x: Array,
    w: Array,
    b: Array | None,
    window: shapes.Window,
    limits: Limits,
    filters: int,
    pooling: Pooling = NO_POOLING,
) -> tuple[Array, Array | None]:
    """y of the first `filters` of w, which has whole panels of them; pools by 2x2 or not."""
    fast, pool = kernels.winograd, pooling.size[0]
    channels, columns = w.shape[2:]
    height, width = window.out[0] // pool, window.out[1] // pool
    y = buffers.empty((x.shape[0], height, width, filters), x.dtype)
    winners = _winners_for(y, pooling)
    bias = _whole_bias(b, columns)
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
    clamp, stops = clamp_of(limits, x.dtype), _stops(limits, x.dtype)
    wanted = bias, clamp, window.before, block, *scratch, pool, y, winners, stops
    if few:
        fast.forward_of_few(x, w, packed, *wanted)
    else:
        fast.transform_weights(w, packed)
        fast.forward(x, packed, *wanted)
    return y, winners if pooling.remember else None


def _winograd(
    x: Array,
    w: Array,
    b: Array | None,
    scale: Array | None,
    window: shapes.Window,
    limits: Limits,
    pooling: Pooling,
) -> tuple[Array, Array | None]:
    filters = w.shape[3]
    w = w if scale is None else w * scale
    missing = -filters % kernels.winograd.COLUMNS
    if missing:
        w = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, missing)))
    if pooling.size == (2, 2):
        return _winograd_of(x, w, b, window, limits, filters, pooling)
    return pooled(_winograd_of(x, w, b, window, limits, filters)[0], pooling, limits)


def _winograd_input_gradient(dy: Array, w: Array, window: shapes.Window, size: Pair) -> Array:
    channels = w.shape[2]
    columns = kernels.winograd.padded(channels, kernels.winograd.COLUMNS)
    before = 2 - window.before[0], 2 - window.before[1]
    back = window._replace(before=before, out=size)
    return _winograd_of(dy, _turned(w, columns), None, back, UNBOUNDED, channels)[0]


def _winograd_weight_gradient(dy: Array, x: Array, window: shapes.Window) -> tuple[Array, Array]:
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


ALGORITHMS = {
    "winograd": Algorithm(
        _winograd,
        _winograd_input_gradient,
        _winograd_weight_gradient,
        _can_be_winograd,
        "float32, a 3x3 kernel, strides=1 and dilation_rate=1",
    ),
    "direct": Algorithm(
        _direct,
        _direct_input_gradient,
        _direct_weight_gradient,
        _can_be_direct,
        "float32 and dilation_rate=1",
        _direct_pooled_weight_gradient,
    ),
    "im2col": Algorithm(
        _im2col,
        _im2col_input_gradient,
        _im2col_weight_gradient,
        lambda window, dtype: True,
        "float32 or float64",
    ),
}
