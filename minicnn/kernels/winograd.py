"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3), in float32.

Take a line of 6 pixels d and 3 weights w. The 4 sums of the window over them cost 12
multiplications. 6 are enough:

    y = AT [(G w) * (BT d)]         * element by element

because a product of two polynomials is fixed by its values at a few points: G and BT find the
values of both at 0, 1, -1, 2, -2 and infinity, and AT goes back from the products. The functions
below are BT (`input_points`), G (`weight_points`) and AT (`output_pixels`), written as sums. Along
both axes this makes 4x4 pixels of a 6x6 patch with 36 multiplications instead of 144 (Lavin and
Gray 2016, section 4.3).

With channels, each of the 36 products becomes a sum over them, that is, for each point a matrix
product (tiles, channels) by (channels, filters), which `microkernel.tile` computes. The transforms
cost little beside it, once there are 32 channels or more.

The gradient of the weights runs the same way backwards. y is linear in G w, so

    dw = GT [(A dy) * (BT d)],      A and GT the matrices above, transposed

summed over all tiles: for each point a matrix product (channels, tiles) by (tiles, filters). If
these sums are small, tiles are cut into groups with their own sums: one thread transforms and
multiplies all of a group's tiles.

The price is precision. The values at 2 and -2 are up to ten times as large as the pixels and cancel
later, so rounding errors are about ten times those of "direct" (4e-5 against 4e-6 where y has unit
variance). And a NaN or an infinity makes the whole 4x4 tile NaN, not only the pixels whose window
sees it.

The numbers: on 2 cores with AVX-512 and a peak of 313 GFLOP/s, 64 to 256 channels and a batch of 32
take as long as the plain sum would at 340 to 720 GFLOP/s (`python -m benchmarks layers`).

How it stays fast: tiles are processed in blocks whose transforms stay in the level-2 cache. A patch
is read where it lies; only at the edge of the image, or where channels don't fill a vector, is it
copied first, with its zeros. So nothing outside an array is ever read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels.grids import clamped_grid_transform, grid_transform, pooled_grid_transform
from minicnn.kernels.microkernel import tile
from minicnn.kernels.simd import COLUMNS, LANES, ROWS, add_line
from minicnn.kernels.tasks import share, shares

POINTS = 36
ONES = 7  # the point (1, 1): a number added there is added to each of the 16 pixels, and back
CHANNELS = 64  # whose weights `multiply_few` transforms at a time
HELD = 2**23  # bytes of points that all threads work on at a time, for the weights' gradient
HELD_EACH = 2**20  # bytes of points that each thread works on: they stay in its level-2 cache
_GROUPS = 8  # groups of tiles that have sums of their own
_SUMS = 5 * 2**19  # bytes of a group's sums, at most: about a level-2 cache
_TASKS = 8  # at least this many should have work
_LINE = 16  # float32 in a cache line
_L2_NUMBERS = 2**18  # 1 MB of float32


def input_points(d: Sequence[Any]) -> Sequence[Any]:
    """Return BT d: the values of 6 pixels' polynomial at the points."""
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
    """Return G w: the values of 3 weights' polynomial at the points."""
    even, odd = (w[0] + w[2]) * (-1 / 6), w[1] * (-1 / 6)
    even2, odd2 = w[0] * (1 / 24) + w[2] * (1 / 6), w[1] * (1 / 12)
    return w[0] * (1 / 4), even + odd, even - odd, even2 + odd2, even2 - odd2, w[2]


def output_pixels(m: Sequence[Any]) -> Sequence[Any]:
    """Return AT m: 4 pixels from the 6 products."""
    even, odd, even2, odd2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return m[0] + even + even2, odd + odd2 * 2, even + even2 * 4, odd + odd2 * 8 + m[5]


def output_points(dy: Sequence[Any]) -> Sequence[Any]:
    """Return A dy: `output_pixels` transposed."""
    even, odd = dy[0] + dy[2], dy[1] + dy[3]
    even2, odd2 = dy[0] + dy[2] * 4, dy[1] * 2 + dy[3] * 8
    return dy[0], even + odd, even - odd, even2 + odd2, even2 - odd2, dy[3]


def weight_gradient(du: Sequence[Any]) -> Sequence[Any]:
    """Return GT du: `weight_points` transposed."""
    even, odd, even2, odd2 = du[1] + du[2], du[1] - du[2], du[3] + du[4], du[3] - du[4]
    return (
        du[0] * (1 / 4) - even * (1 / 6) + even2 * (1 / 24),
        odd2 * (1 / 12) - odd * (1 / 6),
        even2 * (1 / 6) - even * (1 / 6) + du[5],
    )


_input_points = grid_transform(input_points, 6, "_input_points")
_weight_points = grid_transform(weight_points, 3, "_weight_points")
_output_pixels = clamped_grid_transform(output_pixels, 6, "_output_pixels")
_largest_pixels = pooled_grid_transform(output_pixels, 6, 2, "_largest_pixels")
_output_points = grid_transform(output_points, 4, "_output_points")
_weight_gradient = grid_transform(weight_gradient, 6, "_weight_gradient")


@function
def padded(count: int, whole: int) -> int:
    """Return `count` rounded up to whole vectors or panels."""
    return -(-count // whole) * whole


def tiles_of(y_shape: Sequence[int]) -> int:
    """Return the number of 4x4 tiles of an output (batch, height, width, …)."""
    return y_shape[0] * -(-y_shape[1] // 4) * -(-y_shape[2] // 4)


def block_size(tiles: int, channels: int) -> int:
    """Return how many tiles have their points in the level-2 cache, if there are enough.

    Few tiles are cut into blocks for `_TASKS` threads, but no block has fewer tiles than a
    microkernel has rows.
    """
    fits = _L2_NUMBERS // (POINTS * padded(channels, LANES) * ROWS)
    most = ROWS * max(1, min(4, fits))
    return max(min(ROWS, tiles), min(most, -(-tiles // _TASKS)), 1)


def are_few(tiles: int, channels: int, columns: int) -> bool:
    """Return whether `multiply_few` pays: more weights than points, which fit a level-2 cache."""
    fits = POINTS * tiles * padded(channels, LANES) <= _L2_NUMBERS
    return fits and 0 < tiles <= columns and columns >= 2 * COLUMNS


@function
def scratch_size(tiles: int, depth: int) -> int:
    """Return the numbers in all points of the tiles, plus a cache line against collisions."""
    return POINTS * (tiles * depth + _LINE)


def groups_of(dy_shape: Sequence[int], channels: int) -> int:
    """Return into how many groups, each with sums of its own, the tiles of dw are cut.

    It is 1 (all threads add to the same sums) if sums are too large for a level-2 cache, or if
    adding up the groups' sums would cost more than fetching other cores' points: when all groups'
    sums have more than one and a half times as many numbers as the points.
    """
    columns, tiles = padded(dy_shape[3], COLUMNS), tiles_of(dy_shape)
    sums, points = channels * columns, tiles * (channels + columns)
    pays = POINTS * sums * 4 <= _SUMS and 2 * _GROUPS * sums <= 3 * points
    return min(_GROUPS, tiles) if pays else 1


def points_shapes(
    dy_shape: Sequence[int], channels: int, held: int
) -> tuple[tuple[int, int, int], ...]:
    """Return the shapes of x's and dy's points: as many tiles at a time as `held` bytes hold.

    Rows have an odd number of cache lines, so that the tiles of a channel don't collide in the
    cache.
    """
    depths = padded(channels, LANES), padded(dy_shape[3], COLUMNS)
    lines = [depth // _LINE + 1 | 1 for depth in depths]
    at_once = min(tiles_of(dy_shape), held // (POINTS * sum(lines) * _LINE * 4))
    return tuple((POINTS, max(1, at_once), count * _LINE) for count in lines)


@function
def _transform_filters(w, c, panel, place, point_bytes):
    """Compute the points of channel c's weights, of one panel of filters, a row for each."""
    channels, wide = w.shape[2:]
    source = w[0, 0, c].address + panel * COLUMNS * 4
    for v in range(0, COLUMNS * 4, LANES * 4):
        _weight_points(
            source + v, 3 * channels * wide * 4, channels * wide * 4,
            place + v, 6 * point_bytes, point_bytes,
        )  # fmt: skip


@kernel(tasks=lambda w, packed: len(packed) * -(-w.shape[2] // CHANNELS), writes="packed")
def transform_weights(task, w, packed):
    """packed[panel] (`scratch_size` of channels rows of COLUMNS) of w (3, 3, channels, panels)."""
    channels, point_bytes = w.shape[2], packed.shape[1] // POINTS * 4
    runs = -(-channels // CHANNELS)
    panel, first = task // runs, task % runs * CHANNELS
    for c in range(first, min(first + CHANNELS, channels)):
        place = packed[panel, c * COLUMNS :].address
        _transform_filters(w, c, panel, place, point_bytes)


@function
def _transform_tile(x, number, before, grid, patch, target, point_bytes):
    """Compute the points of tile `number` of x: of its 6x6 patch, or of dy's 4x4 `patch`."""
    _, height, width, channels = x.shape
    size, depth = patch.shape[0], patch.shape[2]
    down, across = grid
    n, place = number // (down * across), number % (down * across)
    top, left = place // across * 4 - before[0], place % across * 4 - before[1]
    inside = top >= 0 and left >= 0 and top + size <= height and left + size <= width
    if inside and channels == depth:
        source = x.address + ((n * height + top) * width + left) * channels * 4
        column_bytes, row_bytes = channels * 4, width * channels * 4
    else:
        for i in range(size):
            for j in range(size):
                iy, ix = top + i, left + j
                if 0 <= iy < height and 0 <= ix < width:
                    patch[i, j, :channels] = x[n, iy, ix]
                else:
                    patch[i, j] = 0
        source, column_bytes, row_bytes = patch.address, depth * 4, size * depth * 4
    for c in range(0, depth * 4, LANES * 4):
        if size == 6:
            _input_points(
                source + c, row_bytes, column_bytes, target + c, 6 * point_bytes, point_bytes
            )
        else:
            _output_points(
                source + c, row_bytes, column_bytes, target + c, 6 * point_bytes, point_bytes
            )


@function
def _multiply_panel(points, depth, count, packed, left, channels, bias, panel, products):
    """products (+)= the points of `count` tiles by one panel's weights, for `channels` channels.

    It takes the tiles' channels from `left` on. The sum starts with the bias, or, if `left` is not
    0, with the products.
    """
    point_bytes, product_bytes = points.size // POINTS * 4, products.size // POINTS * 4
    rows = -(-count // ROWS) * ROWS
    a_rows, c_rows = np.empty(rows, np.int64), np.empty(rows, np.int64)
    bias_rows = np.empty(ROWS, np.int64)
    bias_rows[:] = bias.address + panel * COLUMNS * 4
    for t in range(rows):
        a_rows[t] = points.address + (min(t, count - 1) * depth + left) * 4
        c_rows[t] = products.address + t * COLUMNS * 4
    for point in range(POINTS):
        first_rows = bias_rows.address if point == ONES else 0
        for t in range(0, rows, ROWS):
            into, offset = c_rows[t:].address, point * product_bytes
            start, start_offset = (into, offset) if left else (first_rows, 0)
            tile(
                products, count - t, a_rows[t:].address, point * point_bytes,
                1, 0, channels, 4,
                packed.address + point * (packed.size // POINTS * 4), 0, COLUMNS * 4,
                start, start_offset, into, offset, 0,
            )  # fmt: skip


@function
def _write_panel(products, first, count, clamp, panel, grid, pool, y, argmax, stops):
    """Write one panel of filters of tiles `first` to `first + count` of y, from their products."""
    _, out_height, out_width, filters = y.shape
    down, across = grid
    side, product_bytes = 4 // pool, products.size // POINTS * 4
    used = min(COLUMNS, filters - panel * COLUMNS)
    corner = np.empty((4, 4, COLUMNS), np.float32)  # for tiles that are only partly needed
    argmax_corner = np.empty((2, 2, COLUMNS), np.uint8)
    for t in range(count):
        n, place = (first + t) // (down * across), (first + t) % (down * across)
        top, left = place // across * side, place % across * side
        high, wide = min(side, out_height - top), min(side, out_width - left)
        whole = high == side and wide == side and used == COLUMNS
        if whole:
            place = ((n * out_height + top) * out_width + left) * filters + panel * COLUMNS
            target, column, row = y.address + place * 4, filters * 4, out_width * filters * 4
            number, next_number, line = argmax.address + place, filters, out_width * filters
        else:
            target, column, row = corner.address, COLUMNS * 4, 4 * COLUMNS * 4
            number, next_number, line = argmax_corner.address, COLUMNS, 2 * COLUMNS
        for v in range(0, COLUMNS * 4, LANES * 4):
            made = products.address + t * COLUMNS * 4 + v
            if pool == 1:
                _output_pixels(
                    made, 6 * product_bytes, product_bytes, target + v, row, column,
                    clamp.address,
                )  # fmt: skip
            else:
                _largest_pixels(
                    made, 6 * product_bytes, product_bytes, target + v, row, column,
                    clamp.address, number + v // 4 if len(argmax) > 0 else 0, line,
                    next_number, stops.address,
                )  # fmt: skip
        if not whole:
            for i in range(high):
                for j in range(wide):
                    begin, end = panel * COLUMNS, panel * COLUMNS + used
                    y[n, top + i, left + j, begin:end] = corner[i, j, :used]
                    if len(argmax) > 0:
                        numbers = argmax_corner[i, j, :used]
                        argmax[n, top + i, left + j, begin:end] = numbers


@function
def _grid(y, pool):
    """Return the rows and columns of tiles in the output that is pooled to y."""
    return -(-y.shape[1] * pool // 4), -(-y.shape[2] * pool // 4)


def _blocks(*arguments: Any) -> int:
    block, pool, y = arguments[5:8]
    return -(-tiles_of((len(y), y.shape[1] * pool, y.shape[2] * pool)) // block)


@kernel(tasks=_blocks, writes="y argmax")
def forward(task, x, packed, bias, clamp, before, block, pool, y, argmax, stops):
    """y of x for the weights `packed` by `transform_weights`, `block` tiles at a time.

    `bias` has whole panels; `clamp` has the smallest and the largest allowed number of y. With a
    `pool` of 2 instead of 1, y has only the largest of each 2x2 pixels, and argmax, unless it is
    empty, says which (see `channels.find_largest`, also for `stops`).
    """
    grid, depth = _grid(y, pool), padded(x.shape[3], LANES)
    first = task * block
    count = min(block, len(y) * grid[0] * grid[1] - first)
    patch = np.zeros((6, 6, depth), np.float32)
    points = np.empty(scratch_size(block, depth), np.float32)
    products = np.empty(scratch_size(padded(block, ROWS), COLUMNS), np.float32)
    for t in range(count):
        place = points.address + t * depth * 4
        _transform_tile(x, first + t, before, grid, patch, place, points.size // POINTS * 4)
    for panel in range(packed.shape[0]):
        _multiply_panel(points, depth, count, packed[panel], 0, x.shape[3], bias, panel, products)
        _write_panel(products, first, count, clamp, panel, grid, pool, y, argmax, stops)


@kernel(tasks=lambda x, before, tiles, pool, y, points: tiles, writes="points")
def transform_few(tile_number, x, before, tiles, pool, y, points):
    """Compute the points (`scratch_size` of all tiles) of x for `multiply_few`."""
    depth = padded(x.shape[3], LANES)
    patch = np.zeros((6, 6, depth), np.float32)
    place = points.address + tile_number * depth * 4
    _transform_tile(x, tile_number, before, _grid(y, pool), patch, place, points.size // POINTS * 4)


@kernel(tasks=lambda points, tiles, w, *_: w.shape[3] // COLUMNS, writes="y argmax")
def multiply_few(panel, points, tiles, w, bias, clamp, pool, y, argmax, stops):
    """Compute `forward` for w (3, 3, channels, whole panels), given all points, if they `are_few`.

    Then the weights are most of the work: they become four times as many numbers. So a task
    transforms `CHANNELS` of a panel and multiplies with them at once, while they are in its level-2
    cache. (1.2 to 2.5 times as fast, for 14x14x256 to 7x7x512.)
    """
    channels = w.shape[2]
    depth = padded(channels, LANES)
    packed = np.empty(scratch_size(CHANNELS, COLUMNS), np.float32)
    products = np.empty(scratch_size(padded(tiles, ROWS), COLUMNS), np.float32)
    for left in range(0, channels, CHANNELS):
        some = min(CHANNELS, channels - left)
        for c in range(some):
            place = packed[c * COLUMNS :].address
            _transform_filters(w, left + c, panel, place, packed.size // POINTS * 4)
        _multiply_panel(points, depth, tiles, packed, left, some, bias, panel, products)
    _write_panel(products, 0, tiles, clamp, panel, _grid(y, pool), pool, y, argmax, stops)


@function
def _add_products(x_points, dy_points, point, panel, count, start, sums):
    """sums[point, :, panel] (+)= the point's (channels, tiles) by (tiles, filters)."""
    channels = sums.shape[1]
    rows = -(-channels // ROWS) * ROWS
    a_rows, c_rows = np.empty(rows, np.int64), np.empty(rows, np.int64)
    spare = np.zeros(COLUMNS, np.float32)
    c_rows[:] = spare.address
    offset = panel * COLUMNS * 4
    for c in range(rows):
        a_rows[c] = x_points[point].address + min(c, channels - 1) * 4
        if c < channels:
            c_rows[c] = sums[point, c].address + offset
    for c in range(0, rows, ROWS):
        place = c_rows[c:].address
        tile(
            sums, channels - c, a_rows[c:].address, 0, 1, 0, count, x_points.shape[2] * 4,
            dy_points[point].address + offset, 0, dy_points.shape[2] * 4,
            0 if start else place, 0, place, 0, 0,
        )  # fmt: skip


@function
def _add_lines(lines, first, total):
    """Add all lines to total, in the `COLUMNS` columns from the first on."""
    for t in range(len(lines)):
        add_line(total[first:].address, lines[t, first:].address)


@function
def _patches(x, dy):
    """Return copies of a tile of x and of dy, where they are needed."""
    x_depth, dy_depth = padded(x.shape[3], LANES), padded(dy.shape[3], COLUMNS)
    return (6, 6, x_depth), (4, 4, dy_depth)


def _tiles_at_once(dy: Any, x: Any, before: Any, first: int, count: int, *_: Any) -> int:
    return shares(count, POINTS * (x.shape[3] + dy.shape[3]))


@kernel(tasks=_tiles_at_once, writes="x_points dy_points")
def transform_both(task, tasks, dy, x, before, first, count, x_points, dy_points):
    """Compute the points (POINTS, tiles, whole vectors) of tiles of x and dy from the first on."""
    grid = _grid(dy, 1)
    x_shape, dy_shape = _patches(x, dy)
    x_patch, dy_patch = np.zeros(x_shape, np.float32), np.zeros(dy_shape, np.float32)
    for t in range(*share(count, task, tasks)):
        _transform_tile(
            x, first + t, before, grid, x_patch, x_points[0, t].address, x_points[0].size * 4
        )
        _transform_tile(
            dy, first + t, (0, 0), grid, dy_patch, dy_points[0, t].address, dy_points[0].size * 4
        )


def _points_and_panels(*arguments: Any) -> int:
    sums = arguments[-2]
    return POINTS * sums.shape[2] // COLUMNS


@kernel(tasks=_points_and_panels, writes="sums db")
def add_products_of_points(task, count, start, x_points, dy_points, sums, db):
    """Add the share of `count` tiles to sums and db; with `start`, set them instead."""
    panels = sums.shape[2] // COLUMNS
    point, panel = task // panels, task % panels
    _add_products(x_points, dy_points, point, panel, count, start, sums)
    if point == ONES:
        _add_lines(dy_points[ONES, :count], panel * COLUMNS, db)


def backward_weight(
    dy: np.ndarray, x: np.ndarray, before: Any, x_points: np.ndarray, dy_points: np.ndarray,
    sums: np.ndarray, db: np.ndarray,
) -> None:  # fmt: skip
    """sums[point, c, o] = the weights' gradient at the points, before `weight_gradient`.

    And db[o] += the sum of dy: at one point, the value of dy's tile is the sum of its pixels.
    x_points and dy_points (POINTS, tiles at a time, whole vectors) are scratch.
    """
    tiles, at_once = tiles_of(dy.shape), x_points.shape[1]
    for first in range(0, tiles, at_once):
        count = min(at_once, tiles - first)
        transform_both(dy, x, before, first, count, x_points, dy_points)
        add_products_of_points(count, first == 0, x_points, dy_points, sums, db)


@kernel(tasks=lambda *arguments: len(arguments[-1]), writes="sums db")
def backward_weight_in_groups(group, dy, x, before, x_points, dy_points, sums, db):
    """Compute `backward_weight` for each group of tiles in one task: sums[group] and db[group].

    The thread that transforms tiles also multiplies them, so no core asks another for data.
    x_points and dy_points are the shapes of scratch (POINTS, tiles at a time, whole vectors).
    """
    grid = _grid(dy, 1)
    groups, at_once, panels = len(sums), x_points[1], sums.shape[3] // COLUMNS
    x_shape, dy_shape = _patches(x, dy)
    x_patch, dy_patch = np.zeros(x_shape, np.float32), np.zeros(dy_shape, np.float32)
    xs, dys = np.empty(x_points, np.float32), np.empty(dy_points, np.float32)
    begin, end = share(dy.shape[0] * grid[0] * grid[1], group, groups)
    for first in range(begin, end, at_once):
        count = min(at_once, end - first)
        for t in range(count):
            _transform_tile(x, first + t, before, grid, x_patch, xs[0, t].address, xs[0].size * 4)
            _transform_tile(
                dy, first + t, (0, 0), grid, dy_patch, dys[0, t].address, dys[0].size * 4
            )
        for point in range(POINTS):
            for panel in range(panels):
                _add_products(xs, dys, point, panel, count, first == begin, sums[group])
        for panel in range(panels):
            _add_lines(dys[ONES, :count], panel * COLUMNS, db[group])


@kernel(tasks=lambda groups, dw: groups.shape[2], writes="groups dw", vectorize=True)
def transform_sums(c, groups, dw):
    """dw (3, 3, channels, whole panels) of all sums (groups, POINTS, channels, whole panels).

    The groups' sums are added up into groups[0], which changes.
    """
    sums = groups[0]
    wide = sums.shape[2]
    for group in range(1, len(groups)):
        for point in range(POINTS):
            total, more = sums[point, c], groups[group, point, c]
            for o in range(wide):
                total[o] += more[o]
    for o in range(0, wide, LANES):
        _weight_gradient(
            sums[0, c].address + o * 4, 6 * sums[0].size * 4, sums[0].size * 4,
            dw[0, 0, c].address + o * 4, 3 * dw[0, 0].size * 4, dw[0, 0].size * 4,
        )  # fmt: skip
