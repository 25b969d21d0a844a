"""Convolution without a matrix of patches: tiles read the image where it lies (float32).

    y[p, o] = shift[o] + scale[o] * sum over i, k of x[address(p) + i * line + k] * w[i, k, o]

For each output pixel p, the window's row i is one run of kernel columns * channels numbers in
memory, so a 3x3 window is three runs. `microkernel.tile` computes 6 pixels x 16 filters (or 14 x
32) of that at a time, in registers. Nothing is copied nine times, as im2col does; only the zeros
around the image are real, in a copy of the lines at hand that stays in the cache. There a tile of
pixels is multiplied by many filters, whose weights come from the level-2 cache, before the next
tile begins.

The weights' gradient is the same tile with other roles: rows are entries (i, k) of the window,
columns are filters, and the sum runs over all pixels.
"""

from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels.microkernel import tile
from minicnn.kernels.pooling import largest, to_argmax
from minicnn.kernels.simd import COLUMNS, ROWS, copy_vectors
from minicnn.kernels.tasks import share

_WEIGHTS = 2**18  # 1 MB of float32: panels for one tile of pixels, one after the other
_L1_NUMBERS = 6144  # 24 KB of float32: this much stays in a 32 KB level-1 cache beside other data


def padded_filters(filters: int) -> int:
    """Return `filters` rounded up to whole panels."""
    return -(-filters // COLUMNS) * COLUMNS


def pack(matrix: np.ndarray) -> np.ndarray:
    """Return (depth, filters) as panels (filters / COLUMNS, depth, COLUMNS), filled up with 0."""
    depth, filters = matrix.shape
    columns = padded_filters(filters)
    if columns > filters:
        matrix = np.pad(matrix, ((0, 0), (0, columns - filters)))
    panels = matrix.reshape(depth, columns // COLUMNS, COLUMNS)
    return np.ascontiguousarray(panels.swapaxes(0, 1))


@function
def _padded_lines(x, n, first, before, lines):
    """Copy lines of image n, from `first` on, into `lines` (count, padded width, channels).

    `before` counts the zeros above and left of the image; if negative, the pixels that are skipped.
    """
    _, height, width, channels = x.shape
    left, passed = max(before[1], 0), max(-before[1], 0)
    inside = max(0, min(width - passed, lines.shape[1] - left))
    for line in range(lines.shape[0]):
        iy = first + line - before[0]
        target = lines[line].reshape(-1)  # a line's pixels lie side by side
        if iy < 0 or iy >= height:
            target[:] = 0
            continue
        source = x[n, iy].reshape(-1)[passed * channels : (passed + inside) * channels]
        target[: left * channels] = 0
        target[left * channels : (left + inside) * channels] = source
        target[(left + inside) * channels :] = 0


@function
def _forward_band(
    x, n, top, bottom, packed, epilogue, kernel, strides, before, width, first, steps, pool, lines,
    wide, spare, y, argmax, stops,
):  # fmt: skip
    """Compute output lines `top` to `bottom` of image n from `lines` of x and, if need be, `wide`.

    `width` is the output's; its pixel (oy, ox) goes to y's pixel `first` + `steps` * (oy, ox); or,
    with a `pool`, the largest of each block goes to y's pixel (oy, ox) // pool.
    """
    channels, filters = x.shape[3], y.shape[3]
    panels, run = packed.shape[0], kernel[1] * channels
    line_bytes = lines.shape[1] * channels * 4
    _padded_lines(x, n, top * strides[0], before, lines)
    pixels = (bottom - top) * width
    straight = filters == panels * COLUMNS and pool == (1, 1)  # into y, without `wide` in between
    count = -(-pixels // ROWS) * ROWS
    a_rows, c_rows = np.empty(count, np.int64), np.empty(count, np.int64)
    p = 0
    for oy in range(bottom - top):
        line = first[0] + (top + oy) * steps[0]
        source = lines.address + oy * strides[0] * line_bytes
        target = y[n, line, first[1] :].address
        for ox in range(width):
            a_rows[p] = source + ox * strides[1] * channels * 4
            c_rows[p] = target + ox * steps[1] * filters * 4 if straight else wide[p].address
            p += 1
    a_rows[pixels:] = a_rows[pixels - 1]
    c_rows[pixels:] = spare.address
    some = max(1, _WEIGHTS // (kernel[0] * run * COLUMNS))
    for left in range(0, panels, some):
        for p in range(0, count, ROWS):
            a, c = a_rows[p:].address, c_rows[p:].address
            for panel in range(left, min(left + some, panels)):
                tile(
                    y, pixels - p, a, 0, kernel[0], line_bytes, run, 4,
                    packed[panel].address, run * COLUMNS * 4, COLUMNS * 4,
                    0, 0, c, panel * COLUMNS * 4, epilogue[panel].address,
                )  # fmt: skip
    if not straight:
        rows, nobody = np.empty(pool[0] * pool[1], np.int64), np.empty(0, np.uint8)
        for line in range(top // pool[0], bottom // pool[0]):
            for k in range(len(rows)):
                oy, ox = line * pool[0] - top + k // pool[1], k % pool[1]
                rows[k] = wide[oy * width + ox].address
            to = first[0] + line * steps[0], first[1]
            pixel, results = y[n, to[0], to[1]], width // pool[1]
            wide_step, step = pool[1] * wide.shape[1] * 4, steps[1] * filters * 4
            numbers = argmax[n, to[0], to[1]] if len(argmax) > 0 else nobody
            largest(rows, pixel, numbers, stops, results, wide_step, step)


def _bands_of_images(*arguments: Any) -> int:
    x, bands = arguments[0], arguments[6]
    return len(x) * bands


@kernel(tasks=_bands_of_images, writes="y argmax")
def forward(
    task, x, packed, epilogue, kernel, strides, before, bands, out, first, steps, pool, y, argmax,
    stops,
):  # fmt: skip
    """Compute the output (`out` pixels an image) for weights `packed` by `pack`.

    `epilogue` (panels, 4, COLUMNS) has each filter's scale, shift, smallest and largest result.

    Output pixel (oy, ox) is written to y's pixel `first` + `steps` * (oy, ox). With a `pool`, which
    divides `out`, only the largest pixel of each block is written, to (oy, ox) // pool; argmax,
    unless it is empty, says which one (see `channels.find_largest`, also for `stops`). Each task
    computes one of `bands` bands of lines of an image.
    """
    channels, filters = x.shape[3], y.shape[3]
    columns = packed.shape[0] * COLUMNS
    padded_width = (out[1] - 1) * strides[1] + kernel[1]
    lines_of_y = out[0] // pool[0]
    n, band = task // bands, task % bands
    top = lines_of_y * band // bands * pool[0]
    bottom = lines_of_y * (band + 1) // bands * pool[0]
    if bottom > top:
        height = (bottom - top - 1) * strides[0] + kernel[0]
        lines = np.empty((height, padded_width, channels), x.dtype)
        straight = filters == columns and pool == (1, 1)
        wide = np.empty((0 if straight else (bottom - top) * out[1], columns), x.dtype)
        spare = np.empty(columns, x.dtype)
        _forward_band(
            x, n, top, bottom, packed, epilogue, kernel, strides, before, out[1], first,
            steps, pool, lines, wide, spare, y, argmax, stops,
        )  # fmt: skip


@function
def _copy_panel(dy, first, count, received):
    """Copy `count` filters of dy's lines, from the first on, as a whole panel."""
    height, width, filters = dy.shape
    for oy in range(height):
        if count == COLUMNS:
            source, target = dy[oy, 0, first:].address, received[oy].address
            for ox in range(width):
                copy_vectors(source + ox * filters * 4, target + ox * COLUMNS * 4)
            continue
        for ox in range(width):
            received[oy, ox, :count] = dy[oy, ox, first : first + count]
            received[oy, ox, count:] = 0


@function
def _unpool_panel(dy, argmax, n, first, offset, used, pool, received):
    """Copy a panel as `_copy_panel` does, but of the lines whose pooled gradient is dy."""
    rows = np.empty(pool[0] * pool[1], np.int64)
    if used < COLUMNS:
        for line in range(len(received)):
            for ox in range(received.shape[1]):
                received[line, ox, used:] = 0
    for line in range(len(received) // pool[0]):
        for k in range(len(rows)):
            rows[k] = received[line * pool[0] + k // pool[1], k % pool[1]].address
        pixel = dy[n, first + line, 0, offset : offset + used]
        numbers = argmax[n, first + line, 0, offset : offset + used]
        to_argmax(pixel, numbers, rows, dy.shape[2], dy.shape[3] * 4, pool[1] * COLUMNS * 4)


@function
def _add_units(
    dy, argmax, pool, x, begin, end, kernel, strides, before, bands, lines, received, spare, sums
):
    """Add the units' dw to `sums` (window entries, panels * COLUMNS)."""
    channels, filters = x.shape[3], dy.shape[3]
    out_width = dy.shape[2] * pool[1]
    entries, wide = sums.shape
    run = kernel[1] * channels
    line_bytes = lines.shape[1] * channels * 4
    count = -(-entries // ROWS) * ROWS
    block = received.shape[0]
    a_rows, c_rows = np.empty(count, np.int64), np.empty(count, np.int64)
    for entry in range(count):
        i, k = min(entry, entries - 1) // run, min(entry, entries - 1) % run
        a_rows[entry] = lines.address + i * line_bytes + k * 4
        c_rows[entry] = sums.address + entry * wide * 4 if entry < entries else spare.address
    for unit in range(begin, end):
        n, band = unit // bands, unit % bands
        first_line = dy.shape[1] * band // bands * pool[0]
        last = dy.shape[1] * (band + 1) // bands * pool[0]
        _padded_lines(x, n, first_line * strides[0], before, lines)
        for top in range(first_line, last, block):
            height = min(block, last - top)
            for panel in range(wide // COLUMNS):
                offset = panel * COLUMNS
                used = min(COLUMNS, filters - offset)
                if len(argmax) > 0:
                    pooled, place = top // pool[0], received[:height]
                    _unpool_panel(dy, argmax, n, pooled, offset, used, pool, place)
                else:
                    _copy_panel(dy[n, top : top + height], offset, used, received)
                for first in range(0, count, ROWS):
                    c = c_rows[first:].address
                    tile(
                        sums, entries - first, a_rows[first:].address,
                        (top - first_line) * strides[0] * line_bytes,
                        height, strides[0] * line_bytes, out_width, strides[1] * channels * 4,
                        received.address, out_width * COLUMNS * 4, COLUMNS * 4,
                        c, offset * 4, c, offset * 4, 0,
                    )  # fmt: skip


@kernel(tasks=lambda *arguments: len(arguments[-1]), writes="partial")
def backward_weight(group, dy, argmax, pool, x, kernel, strides, before, bands, partial):
    """Add each group's dw to partial[group] (window entries, panels * COLUMNS).

    A group is a share of the units, which are the bands of lines of all images, `bands` to an
    image. If argmax is not empty, dy is the gradient of the pooled output: each of its numbers goes
    to the pixel that argmax names when it is needed, so the whole unpooled dy is never written.
    """
    images, channels = x.shape[0], x.shape[3]
    out_width = dy.shape[2] * pool[1]
    groups, wide = partial.shape[0], partial.shape[2]
    padded_width = (out_width - 1) * strides[1] + kernel[1]
    tallest = -(-dy.shape[1] // bands) * pool[0]
    # The number of lines at a time, so that a panel of their dy fits the level-1 cache.
    block = min(max(1, _L1_NUMBERS // (COLUMNS * out_width * pool[0])) * pool[0], tallest)
    lines = np.empty(((tallest - 1) * strides[0] + kernel[0], padded_width, channels), x.dtype)
    received = np.zeros((block, out_width, COLUMNS), x.dtype)
    spare = np.zeros(wide, x.dtype)
    begin, end = share(images * bands, group, groups)
    _add_units(
        dy, argmax, pool, x, begin, end, kernel, strides, before, bands, lines, received, spare,
        partial[group],
    )  # fmt: skip
