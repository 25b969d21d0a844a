"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3), in float32.

Take a line of 6 pixels d and 3 weights w. The 4 sums that the window makes of them cost 12
multiplications. They can be had with 6:

    y = AT [(G w) * (BT d)]         * element by element

because a product of two polynomials is fixed by its values at a few points: G and BT find the
values of both at 0, 1, -1, 2, -2 and infinity, and AT goes back from the products. The functions
below are BT (`input_points`), G (`weight_points`) and AT (`output_pixels`), written as sums. Along
both axes this makes 4x4 pixels of a 6x6 patch with 36 multiplications instead of 144 (Lavin and
Gray 2016, section 4.3).

With channels, each of the 36 products becomes a sum over them, that is, for each point a matrix
product (tiles, channels) by (channels, filters), which `simd.tile` computes. The transforms cost
little beside it, once there are 32 channels or more.

The gradient of the weights runs the same way backwards. y is linear in G w, so

    dw = GT [(A dy) * (BT d)],      A and GT the matrices above, transposed

summed over all tiles: for each point a matrix product (channels, tiles) by (tiles, filters). Where
these sums are small, tiles are cut into groups that have sums of their own: one thread transforms
and multiplies all of a group's tiles.

The price is precision. The values at 2 and -2 are up to ten times as large as the pixels and cancel
later, so that rounding is about ten times that of "direct" (4e-5 against 4e-6 where y has unit
variance). And a NaN or an infinity makes the whole 4x4 tile NaN, not only the pixels whose window
sees it.

The numbers: on 2 cores with AVX-512, whose multipliers end at 313 GFLOP/s, 64 to 256 channels and
a batch of 32 take as long as the plain sum would at 340 to 720 GFLOP/s (`python -m benchmarks
layers`).

How it stays fast: tiles go through in blocks whose transform stays in the level-2 cache. A patch is
read where it lies; only at the edge of the picture, or where channels don't fill a vector, it is
copied, with its zeros, first. So nothing outside an array is ever read. Each number is summed by
one thread in one order: results do not depend on the number of threads.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import prange

from minicnn.kernels.compile import jit, parallel_jit
from minicnn.kernels.simd import (
    COLUMNS,
    LANES,
    ROWS,
    clamped_grid_transform,
    grid_transform,
    pooled_grid_transform,
    tile,
)
from minicnn.kernels.tables import spare_rows, zero_rows
from minicnn.kernels.tasks import new_counter, take

POINTS = 36
ONES = 7  # the point (1, 1): what is added there comes out at each of the 16 pixels, and back
CHANNELS = 64  # whose weights `forward_of_few` transforms at a time
HELD = 2**23  # bytes of points that all threads work on at a time, for the weights' gradient
HELD_EACH = 2**20  # bytes of points that each thread works on: they stay in its level-2 cache
_GROUPS = 8  # groups of tiles that have sums of their own
_SUMS = 5 * 2**19  # bytes of a group's sums, at most: about a level-2 cache
_LINE = 16  # float32 in a cache line
_L2_NUMBERS = 2**18  # 1 MB of float32


def input_points(d: Sequence[Any]) -> Sequence[Any]:
    """BT d: the values of 6 pixels' polynomial at the points."""
    even, odd = d[4] - d[2] * 4, d[3] - d[1] * 4
    even2, odd2 = d[4] - d[2], (d[3] - d[1]) * 2
    return (
        d[0] * 4 - d[2] * 5 + d[4],
        even + odd,
        even - odd,
        even2 + odd2,
        even2 - odd2,
        d[1] * 4 - d[3] * 5 + d[5],
    )


def weight_points(w: Sequence[Any]) -> Sequence[Any]:
    """G w: the values of 3 weights' polynomial at the points."""
    even, odd = (w[0] + w[2]) * (-1 / 6), w[1] * (-1 / 6)
    even2, odd2 = w[0] * (1 / 24) + w[2] * (1 / 6), w[1] * (1 / 12)
    return w[0] * (1 / 4), even + odd, even - odd, even2 + odd2, even2 - odd2, w[2]


def output_pixels(m: Sequence[Any]) -> Sequence[Any]:
    """AT m: 4 pixels of the 6 products."""
    even, odd, even2, odd2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return m[0] + even + even2, odd + odd2 * 2, even + even2 * 4, odd + odd2 * 8 + m[5]


def output_points(dy: Sequence[Any]) -> Sequence[Any]:
    """A dy: `output_pixels` transposed."""
    even, odd = dy[0] + dy[2], dy[1] + dy[3]
    even2, odd2 = dy[0] + dy[2] * 4, dy[1] * 2 + dy[3] * 8
    return dy[0], even + odd, even - odd, even2 + odd2, even2 - odd2, dy[3]


def weight_gradient(du: Sequence[Any]) -> Sequence[Any]:
    """GT du: `weight_points` transposed."""
    even, odd, even2, odd2 = du[1] + du[2], du[1] - du[2], du[3] + du[4], du[3] - du[4]
    return (
        du[0] * (1 / 4) - even * (1 / 6) + even2 * (1 / 24),
        odd2 * (1 / 12) - odd * (1 / 6),
        even2 * (1 / 6) - even * (1 / 6) + du[5],
    )


_input_points = grid_transform(input_points, 6)
_weight_points = grid_transform(weight_points, 3)
_output_pixels = clamped_grid_transform(output_pixels, 6)
_largest_pixels = pooled_grid_transform(output_pixels, 6, pool=2)
_output_points = grid_transform(output_points, 4)
_weight_gradient = grid_transform(weight_gradient, 6)


def padded(count: int, whole: int) -> int:
    """`count` rounded up to whole vectors or panels."""
    return -(-count // whole) * whole


def tiles_of(y_shape: Sequence[int]) -> int:
    """4x4 tiles of an output (batch, height, width, …)."""
    return y_shape[0] * -(-y_shape[1] // 4) * -(-y_shape[2] // 4)


def block_size(tiles: int, channels: int, threads: int) -> int:
    """Tiles in a block: as many as have their points in the level-2 cache, if all threads get some.

    No result depends on it: a tile's numbers are its own.
    """
    fits = _L2_NUMBERS // (POINTS * padded(channels, LANES) * ROWS)
    most = ROWS * max(1, min(4, fits))
    if tiles >= 4 * threads * most:
        return most
    blocks = padded(max(1, -(-tiles // most)), threads)
    return max(1, -(-tiles // blocks))


def are_few(tiles: int, channels: int, columns: int, threads: int) -> bool:
    """Whether `forward_of_few` pays: tiles whose points fit into a level-2 cache, and more weights.

    No result depends on it.
    """
    fits = POINTS * tiles * padded(channels, LANES) <= _L2_NUMBERS
    return fits and 0 < tiles <= columns and columns >= threads * COLUMNS


def scratch_size(tiles: int, depth: int) -> int:
    """float32 for all points of the tiles; a cache line more, so that points don't collide."""
    return POINTS * (tiles * depth + _LINE)


def groups_of(dy_shape: Sequence[int], channels: int) -> int:
    """Into how many groups the tiles are cut for the weights' gradient, each with sums of its own.

    1, that is, all threads at the same sums, where sums are too large for a level-2 cache, or where
    to add up those of the groups would cost more than to fetch the other cores' points: where all
    groups' sums are more than one and a half times as many numbers as the points.
    """
    columns, tiles = padded(dy_shape[3], COLUMNS), tiles_of(dy_shape)
    sums, points = channels * columns, tiles * (channels + columns)
    pays = POINTS * sums * 4 <= _SUMS and 2 * _GROUPS * sums <= 3 * points
    return min(_GROUPS, tiles) if pays else 1


def points_shapes(
    dy_shape: Sequence[int], channels: int, held: int
) -> tuple[tuple[int, int, int], ...]:
    """The weights' gradient's scratch for x and dy: as many tiles at a time as `held` bytes hold.

    Rows of an odd number of cache lines, so that the tiles of a channel don't collide in the cache.
    """
    depths = padded(channels, LANES), padded(dy_shape[3], COLUMNS)
    lines = [depth // _LINE + 1 | 1 for depth in depths]
    at_once = min(tiles_of(dy_shape), held // (POINTS * sum(lines) * _LINE * 4))
    return tuple((POINTS, max(1, at_once), count * _LINE) for count in lines)


@jit
def _transform_filters(w, c, panel, place, point_bytes):  # type: ignore[no-untyped-def]
    """The points of channel c's weights, of one panel of filters: a row at `place` for each."""
    channels, wide = w.shape[2:]
    source = w[0, 0, c].ctypes.data + panel * COLUMNS * 4
    for v in range(0, COLUMNS * 4, LANES * 4):
        _weight_points(
            source + v, 3 * channels * wide * 4, channels * wide * 4,
            place + v, 6 * point_bytes, point_bytes,
        )  # fmt: skip


@parallel_jit
def transform_weights(w, packed):  # type: ignore[no-untyped-def]
    """packed[panel] (`scratch_size` of channels rows of COLUMNS) of w (3, 3, channels, panels)."""
    channels, point_bytes = w.shape[2], packed.shape[1] // POINTS * 4
    for task in prange(packed.shape[0] * channels):
        panel, c = task // channels, task % channels
        place = packed[panel, c * COLUMNS :].ctypes.data
        _transform_filters(w, c, panel, place, point_bytes)


@jit
def _transform_tile(x, number, before, grid, patch, target, point_bytes):  # type: ignore[no-untyped-def]
    """The points of tile `number` of x: of its 6x6 patch, or of dy's 4x4 if `patch` is as small."""
    _, height, width, channels = x.shape
    size, depth = patch.shape[0], patch.shape[2]
    down, across = grid
    n, place = number // (down * across), number % (down * across)
    top, left = place // across * 4 - before[0], place % across * 4 - before[1]
    inside = top >= 0 and left >= 0 and top + size <= height and left + size <= width
    if inside and channels == depth:
        source = x.ctypes.data + ((n * height + top) * width + left) * channels * 4
        column_bytes, row_bytes = channels * 4, width * channels * 4
    else:
        for i in range(size):
            for j in range(size):
                iy, ix, copied = top + i, left + j, patch[i, j]
                if 0 <= iy < height and 0 <= ix < width:
                    pixel = x[n, iy, ix]
                    for c in range(channels):
                        copied[c] = pixel[c]
                else:
                    copied[:] = 0
        source, column_bytes, row_bytes = np.int64(patch.ctypes.data), depth * 4, size * depth * 4
    for c in range(0, depth * 4, LANES * 4):
        if size == 6:
            _input_points(
                source + c, row_bytes, column_bytes, target + c, 6 * point_bytes, point_bytes
            )
        else:
            _output_points(
                source + c, row_bytes, column_bytes, target + c, 6 * point_bytes, point_bytes
            )


@jit
def _multiply_panel(  # type: ignore[no-untyped-def]
    points, depth, count, packed, left, channels, bias, panel, products
):
    """products (+)= the points of `count` tiles by one panel's weights, for so many channels.

    Of the tiles' channels those from `left` on. The sum starts with the bias, or, where `left` is
    not 0, with the products.
    """
    point_bytes, product_bytes = points.size // POINTS * 4, products.size // POINTS * 4
    rows = -(-count // ROWS) * ROWS
    a_rows, c_rows = np.empty(rows, np.int64), np.empty(rows, np.int64)
    start_rows, zeros = np.empty(ROWS, np.int64), zero_rows()
    for t in range(rows):
        a_rows[t] = points.ctypes.data + (min(t, count - 1) * depth + left) * 4
        c_rows[t] = products.ctypes.data + t * COLUMNS * 4
    for point in range(POINTS):
        start_rows[:] = bias.ctypes.data + panel * COLUMNS * 4 if point == ONES else zeros[0]
        for t in range(0, rows, ROWS):
            into, offset = c_rows[t:].ctypes.data, point * product_bytes
            start, start_offset = (into, offset) if left else (start_rows.ctypes.data, 0)
            tile(
                products, count - t, a_rows[t:].ctypes.data, point * point_bytes,
                1, 0, channels, 4,
                packed.ctypes.data + point * (packed.size // POINTS * 4), 0, COLUMNS * 4,
                start, start_offset, into, offset, 0,
            )  # fmt: skip


@jit
def _write_panel(  # type: ignore[no-untyped-def]
    products, first, count, clamp, panel, grid, pool, y, winners, stops
):
    """One panel of filters of the tiles `first` to `first + count` of y, from their products."""
    _, out_height, out_width, filters = y.shape
    down, across = grid
    side, product_bytes = 4 // pool, products.size // POINTS * 4
    used = min(COLUMNS, filters - panel * COLUMNS)
    corner = np.empty((4, 4, COLUMNS), np.float32)  # for tiles of which not all is wanted
    winners_corner = np.empty((2, 2, COLUMNS), np.uint8)
    for t in range(count):
        n, place = (first + t) // (down * across), (first + t) % (down * across)
        top, left = place // across * side, place % across * side
        high, wide = min(side, out_height - top), min(side, out_width - left)
        whole = high == side and wide == side and used == COLUMNS
        if whole:
            place = ((n * out_height + top) * out_width + left) * filters + panel * COLUMNS
            target, column, row = y.ctypes.data + place * 4, filters * 4, out_width * filters * 4
            number, next_number, line = winners.ctypes.data + place, filters, out_width * filters
        else:
            target, column, row = np.int64(corner.ctypes.data), COLUMNS * 4, 4 * COLUMNS * 4
            number, next_number, line = np.int64(winners_corner.ctypes.data), COLUMNS, 2 * COLUMNS
        for v in range(0, COLUMNS * 4, LANES * 4):
            made = products.ctypes.data + t * COLUMNS * 4 + v
            if pool == 1:
                _output_pixels(
                    made, 6 * product_bytes, product_bytes, target + v, row, column,
                    clamp.ctypes.data,
                )  # fmt: skip
            else:
                _largest_pixels(
                    made, 6 * product_bytes, product_bytes, target + v, row, column,
                    clamp.ctypes.data, number + v // 4 if len(winners) > 0 else 0, line,
                    next_number, stops.ctypes.data,
                )  # fmt: skip
        if not whole:
            for i in range(high):
                for j in range(wide):
                    pixel = y[n, top + i, left + j, panel * COLUMNS : panel * COLUMNS + used]
                    found = corner[i, j]
                    for o in range(used):
                        pixel[o] = found[o]
                    if len(winners) > 0:
                        numbers = winners[n, top + i, left + j, panel * COLUMNS :]
                        for o in range(used):
                            numbers[o] = winners_corner[i, j, o]


@parallel_jit
def forward(  # type: ignore[no-untyped-def]
    x, packed, bias, clamp, before, block, patches, points, products, pool, y, winners, stops
):
    """y of x for the weights `packed` by `transform_weights`, `block` tiles at a time.

    `bias` has whole panels; `clamp` is the least and the most that a number of y may be. With a
    `pool` of 2 instead of 1, y has only the largest of each 2x2 pixels (`tiles_of` those), and
    winners, unless it is empty, says which (`simd.find_largest`, also for `stops`). Scratch
    for each thread: patches (threads, 6, 6, depth) filled with 0, points (threads, `scratch_size`
    of a block) and products (the same of whole `ROWS`).
    """
    grid = -(-y.shape[1] * pool // 4), -(-y.shape[2] * pool // 4)
    tiles, depth = y.shape[0] * grid[0] * grid[1], patches.shape[3]
    counter = new_counter()
    for me in prange(len(patches)):
        point_bytes = points[me].size // POINTS * 4
        task = take(counter)
        while task < -(-tiles // block):
            first = task * block
            count = min(block, tiles - first)
            for t in range(count):
                place = points[me].ctypes.data + t * depth * 4
                _transform_tile(x, first + t, before, grid, patches[me], place, point_bytes)
            for panel in range(packed.shape[0]):
                _multiply_panel(
                    points[me], depth, count, packed[panel], 0, x.shape[3], bias, panel,
                    products[me],
                )  # fmt: skip
                _write_panel(
                    products[me], first, count, clamp, panel, grid, pool, y, winners, stops
                )
            task = take(counter)


@parallel_jit
def forward_of_few(  # type: ignore[no-untyped-def]
    x, w, packed, bias, clamp, before, tiles, patches, points, products, pool, y, winners, stops
):
    """`forward` of w (3, 3, channels, whole panels), all `tiles` at a time, where they `are_few`.

    There the weights are most of the work: they become four times as many numbers. So a thread
    transforms `CHANNELS` of a panel and multiplies with them at once, while they are in its level-2
    cache. The tiles each thread transforms all by itself: that takes less time than to fetch them
    from another core. (1.2 to 2.5 times as fast, for 14x14x256 to 7x7x512.) packed (threads,
    `scratch_size` of `CHANNELS` rows of COLUMNS) is scratch, too.
    """
    grid = -(-y.shape[1] * pool // 4), -(-y.shape[2] * pool // 4)
    depth, channels = patches.shape[3], w.shape[2]
    counter = new_counter()
    for me in prange(len(patches)):
        for t in range(tiles):
            place = points[me].ctypes.data + t * depth * 4
            _transform_tile(x, t, before, grid, patches[me], place, points.shape[1] // POINTS * 4)
        panel = take(counter)
        while panel < w.shape[3] // COLUMNS:
            for left in range(0, channels, CHANNELS):
                some = min(CHANNELS, channels - left)
                for c in range(some):
                    place = packed[me, c * COLUMNS :].ctypes.data
                    _transform_filters(w, left + c, panel, place, packed.shape[1] // POINTS * 4)
                _multiply_panel(
                    points[me], depth, tiles, packed[me], left, some, bias, panel, products[me]
                )
            _write_panel(products[me], 0, tiles, clamp, panel, grid, pool, y, winners, stops)
            panel = take(counter)


@jit
def _add_products(x_points, dy_points, point, panel, count, start, sums):  # type: ignore[no-untyped-def]
    """sums[point, :, panel] (+)= the point's (channels, tiles) by (tiles, filters)."""
    channels = sums.shape[1]
    rows = -(-channels // ROWS) * ROWS
    a_rows, c_rows, zeros = np.empty(rows, np.int64), spare_rows(rows), zero_rows()
    offset = panel * COLUMNS * 4
    for c in range(rows):
        a_rows[c] = x_points[point].ctypes.data + min(c, channels - 1) * 4
        if c < channels:
            c_rows[c] = sums[point, c].ctypes.data + offset
    for c in range(0, rows, ROWS):
        place = c_rows[c:].ctypes.data
        tile(
            sums, channels - c, a_rows[c:].ctypes.data, 0, 1, 0, count, x_points.shape[2] * 4,
            dy_points[point].ctypes.data + offset, 0, dy_points.shape[2] * 4,
            zeros.ctypes.data if start else place, 0, place, 0, 0,
        )  # fmt: skip


@jit
def _add_lines(lines, first, total):  # type: ignore[no-untyped-def]
    """Add all lines to total, in the `COLUMNS` columns from the first on."""
    into = total[first : first + COLUMNS]
    for t in range(len(lines)):
        line = lines[t, first : first + COLUMNS]
        for o in range(COLUMNS):
            into[o] += line[o]


@parallel_jit
def backward_weight(  # type: ignore[no-untyped-def]
    dy, x, before, x_patches, dy_patches, x_points, dy_points, sums, db
):
    """sums[point, c, o] = the weights' gradient at the points, before `weight_gradient`.

    And db[o] += the sum of dy, for at one point the value of dy's tile is the sum of its pixels.
    x_points and dy_points (POINTS, tiles at a time, whole vectors) are scratch.
    """
    grid = -(-dy.shape[1] // 4), -(-dy.shape[2] // 4)
    tiles = dy.shape[0] * grid[0] * grid[1]
    at_once, panels = x_points.shape[1], sums.shape[2] // COLUMNS
    for first in range(0, tiles, at_once):
        count = min(at_once, tiles - first)
        counter = new_counter()
        for me in prange(len(x_patches)):
            t = take(counter)
            while t < count:
                _transform_tile(
                    x, first + t, before, grid, x_patches[me],
                    x_points[0, t].ctypes.data, x_points[0].size * 4,
                )  # fmt: skip
                _transform_tile(
                    dy, first + t, (0, 0), grid, dy_patches[me],
                    dy_points[0, t].ctypes.data, dy_points[0].size * 4,
                )  # fmt: skip
                t = take(counter)
        counter = new_counter()
        for _ in prange(len(x_patches)):
            task = take(counter)
            while task < POINTS * panels:
                point, panel = task // panels, task % panels
                _add_products(x_points, dy_points, point, panel, count, first == 0, sums)
                if point == ONES:
                    _add_lines(dy_points[ONES, :count], panel * COLUMNS, db)
                task = take(counter)


@parallel_jit
def backward_weight_in_groups(  # type: ignore[no-untyped-def]
    dy, x, before, x_patches, dy_patches, x_points, dy_points, sums, db
):
    """`backward_weight` for each group of tiles by one thread: sums[group] and db[group].

    What a thread transforms it multiplies, so that no core asks another one for it. x_points and
    dy_points (threads, POINTS, tiles at a time, whole vectors) are scratch.
    """
    grid = -(-dy.shape[1] // 4), -(-dy.shape[2] // 4)
    tiles, groups = dy.shape[0] * grid[0] * grid[1], len(sums)
    at_once, panels = x_points.shape[2], sums.shape[3] // COLUMNS
    counter = new_counter()
    for me in prange(len(x_patches)):
        group = take(counter)
        while group < groups:
            begin, end = tiles * group // groups, tiles * (group + 1) // groups
            for first in range(begin, end, at_once):
                count = min(at_once, end - first)
                for t in range(count):
                    _transform_tile(
                        x, first + t, before, grid, x_patches[me],
                        x_points[me, 0, t].ctypes.data, x_points[me, 0].size * 4,
                    )  # fmt: skip
                    _transform_tile(
                        dy, first + t, (0, 0), grid, dy_patches[me],
                        dy_points[me, 0, t].ctypes.data, dy_points[me, 0].size * 4,
                    )  # fmt: skip
                for point in range(POINTS):
                    for panel in range(panels):
                        _add_products(
                            x_points[me], dy_points[me], point, panel, count, first == begin,
                            sums[group],
                        )  # fmt: skip
                for panel in range(panels):
                    _add_lines(dy_points[me, ONES, :count], panel * COLUMNS, db[group])
            group = take(counter)


@parallel_jit
def transform_sums(groups, dw):  # type: ignore[no-untyped-def]
    """dw (3, 3, channels, whole panels) of all sums (groups, POINTS, channels, whole panels).

    The groups' sums are added up into groups[0], which changes.
    """
    sums = groups[0]
    channels, wide = sums.shape[1:]
    for c in prange(channels):
        for group in range(1, len(groups)):
            for point in range(POINTS):
                total, more = sums[point, c], groups[group, point, c]
                for o in range(wide):
                    total[o] += more[o]
        for o in range(0, wide, LANES):
            _weight_gradient(
                sums[0, c].ctypes.data + o * 4, 6 * sums[0].size * 4, sums[0].size * 4,
                dw[0, 0, c].ctypes.data + o * 4, 3 * dw[0, 0].size * 4, dw[0, 0].size * 4,
            )  # fmt: skip
