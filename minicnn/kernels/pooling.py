"""Pooling windows: which pixels are under each; `simd` finds the largest, channels side by side.

`max_forward` remembers nothing: `max_backward` finds the winners in x again. A convolution that is
pooled on the way has no such x, which is what it saves: it keeps each winner's number in its block,
one byte (`max_of_blocks` does so for any x), and `unpool` goes back.

Neighbours along a line that lie inside it go to `simd` together: their windows have the same
pixels, moved on. (A loop of numba's over a pixel's channels makes vector instructions of
64 channels or more, and took twice as long for 32.)
"""

import numpy as np
from numba import prange

from minicnn.kernels import NOBODY
from minicnn.kernels.compile import jit, parallel_jit
from minicnn.kernels.simd import (
    add_products,
    find_largest,
    give_to_largest,
    give_to_winners,
)
from minicnn.kernels.tasks import new_counter, take


@jit
def largest(x_rows, count, y, winners, stops, results, x_step, y_step):  # type: ignore[no-untyped-def]
    """y[c] = the largest of x[t][c], t < count, whose addresses are in `x_rows`.

    And winners[c] = the t of the first one, if winners is not empty; see `simd.find_largest`, also
    for `stops`. The same for so many `results`: from one to the next all x[t] move by `x_step`
    bytes, and y by `y_step`.
    """
    numbers = np.int64(winners.ctypes.data) if winners.size > 0 else np.int64(0)
    find_largest(
        y, x_rows.ctypes.data, count, y.ctypes.data, numbers, stops.ctypes.data, y.size, results,
        x_step, y_step, y_step // y.itemsize,
    )  # fmt: skip


@jit
def to_winners(dy, winners, dx_rows, count, results, dy_step, dx_step):  # type: ignore[no-untyped-def]
    """dx[t][c] = dy[c] where t = winners[c], else 0, for so many `results` as in `largest`."""
    give_to_winners(
        dy, dy.ctypes.data, winners.ctypes.data, dx_rows.ctypes.data, count, dy.size, results,
        dy_step, dy_step // dy.itemsize, dx_step,
    )  # fmt: skip


@jit
def _pixels_under(x, n, top, left, kernel, rows):  # type: ignore[no-untyped-def]
    """Write the addresses of the real pixels under a window to `rows`; how many they are."""
    _, height, width, channels = x.shape
    count = 0
    for iy in range(max(top, 0), min(top + kernel[0], height)):
        for ix in range(max(left, 0), min(left + kernel[1], width)):
            place = (n * height + iy) * width + ix
            rows[count] = x.ctypes.data + place * channels * x.itemsize
            count += 1
    return count


@jit
def _alike(ox, width, kernel, strides, before, out_width):  # type: ignore[no-untyped-def]
    """How many windows of a line, from ox on, have the same pixels under them, moved on."""
    first = -(-before[1] // strides[1])  # from here to `last` they lie inside the line
    last = min((width - kernel[1] + before[1]) // strides[1], out_width - 1)
    return last - ox + 1 if first <= ox <= last else 1


@jit
def _max_line(x, n, oy, kernel, strides, before, rows, y):  # type: ignore[no-untyped-def]
    nobody, nowhere = np.empty(0, np.uint8), np.empty(2, x.dtype)
    pixel = x.shape[3] * x.itemsize
    ox = 0
    while ox < y.shape[2]:
        top, left = oy * strides[0] - before[0], ox * strides[1] - before[1]
        count = _pixels_under(x, n, top, left, kernel, rows)
        results = _alike(ox, x.shape[2], kernel, strides, before, y.shape[2])
        largest(rows, count, y[n, oy, ox], nobody, nowhere, results, strides[1] * pixel, pixel)
        ox += results


@parallel_jit
def max_forward(x, kernel, strides, before, threads, y):  # type: ignore[no-untyped-def]
    """y = the largest real pixel under each window; NaN wins over everything."""
    lines = len(x) * y.shape[1]
    counter = new_counter()
    for _ in prange(threads):
        rows = np.empty(kernel[0] * kernel[1], np.int64)
        line = take(counter)
        while line < lines:
            n, oy = line // y.shape[1], line % y.shape[1]
            _max_line(x, n, oy, kernel, strides, before, rows, y)
            line = take(counter)


@jit
def _give(x, received, x_rows, dx_rows, count, add, results, x_step, dy_step):  # type: ignore[no-untyped-def]
    give_to_largest(
        x, x_rows.ctypes.data, dx_rows.ctypes.data, count, received.ctypes.data, received.size, add,
        results, x_step, dy_step,
    )  # fmt: skip


@jit
def _max_line_backward(dy, x, n, oy, kernel, strides, before, add, x_rows, dx_rows, dx):  # type: ignore[no-untyped-def]
    pixel = x.shape[3] * x.itemsize
    ox = 0
    while ox < dy.shape[2]:
        top, left = oy * strides[0] - before[0], ox * strides[1] - before[1]
        count = _pixels_under(x, n, top, left, kernel, x_rows)
        _pixels_under(dx, n, top, left, kernel, dx_rows)
        results = _alike(ox, x.shape[2], kernel, strides, before, dy.shape[2])
        received, step = dy[n, oy, ox], strides[1] * pixel
        _give(x, received, x_rows, dx_rows, count, add, results, step, pixel)
        ox += results


@parallel_jit
def max_backward(dy, x, kernel, strides, before, threads, dx):  # type: ignore[no-untyped-def]
    """dx: dy goes to the first of the largest pixels; where windows overlap, it adds up."""
    images, height, width, _ = x.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    # Windows that don't overlap need not add; if no pixel is left between them, nor begin with 0.
    apart = strides[0] >= kernel[0] and strides[1] >= kernel[1]
    everywhere = (
        strides == kernel
        and out_height * strides[0] - before[0] >= height
        and out_width * strides[1] - before[1] >= width
    )
    bands = out_height if apart else 1  # parts of an image that have no line of dx in common
    counter = new_counter()
    for _ in prange(threads):
        x_rows = np.empty(kernel[0] * kernel[1], np.int64)
        dx_rows = np.empty(kernel[0] * kernel[1], np.int64)
        task = take(counter)
        while task < images * bands:
            n, band = task // bands, task % bands
            first, end = out_height * band // bands, out_height * (band + 1) // bands
            if not everywhere:
                begin_line = 0 if band == 0 else first * strides[0] - before[0]
                end_line = height if band == bands - 1 else end * strides[0] - before[0]
                dx[n, begin_line:end_line] = 0
            for oy in range(first, end):
                add = 0 if apart else 1
                _max_line_backward(dy, x, n, oy, kernel, strides, before, add, x_rows, dx_rows, dx)
            task = take(counter)


@parallel_jit
def max_of_blocks(x, pool, stops, y, winners):  # type: ignore[no-untyped-def]
    """y = the largest of each `pool` pixels side by side, and the winners' numbers."""
    images, height, width, channels = y.shape
    pixel = channels * x.itemsize
    for line in prange(images * height):
        n, oy = line // height, line % height
        rows = np.empty(pool[0] * pool[1], np.int64)
        count = _pixels_under(x, n, oy * pool[0], 0, pool, rows)
        largest(rows, count, y[n, oy, 0], winners[n, oy, 0], stops, width, pool[1] * pixel, pixel)


@parallel_jit
def unpool(dy, winners, pool, dx):  # type: ignore[no-untyped-def]
    """dx = dy at each block's winner, 0 elsewhere and in what no block has."""
    images, pixel = len(dx), dx.shape[3] * dx.itemsize
    down, across = dy.shape[1:3]
    for line in prange(images * (down + 1)):
        n, oy = line // (down + 1), line % (down + 1)
        if oy < down:
            rows = np.empty(pool[0] * pool[1], np.int64)
            count = _pixels_under(dx, n, oy * pool[0], 0, pool, rows)
            to_winners(dy[n, oy, 0], winners[n, oy, 0], rows, count, across, pixel, pool[1] * pixel)
            for iy in range(oy * pool[0], (oy + 1) * pool[0]):
                dx[n, iy, across * pool[1] :] = 0
        else:
            dx[n, down * pool[0] :] = 0


@parallel_jit
def sums_of_winners(dy, winners, sums):  # type: ignore[no-untyped-def]
    """sums[part, c] = the sum of part of dy's (rows, channels), but for those that nobody gets."""
    rows, parts, channels = len(dy), len(sums), dy.shape[1]
    for part in prange(parts):
        total = np.zeros(channels)
        for r in range(rows * part // parts, rows * (part + 1) // parts):
            for c in range(channels):
                total[c] += dy[r, c] if winners[r, c] != NOBODY else 0
        for c in range(channels):
            sums[part, c] = total[c]


@jit
def _average(x_rows, w_rows, count, nothing, unbounded, y, results, x_step, y_step):  # type: ignore[no-untyped-def]
    add_products(
        y, x_rows.ctypes.data, w_rows.ctypes.data, count, nothing.ctypes.data, y.ctypes.data,
        y.size, unbounded.ctypes.data, results, x_step, y_step,
    )  # fmt: skip


@jit
def _average_line(  # type: ignore[no-untyped-def]
    x, n, oy, kernel, strides, before, x_rows, w_rows, shares, nothing, unbounded, y
):
    """A mean is a sum of products with equal shares, whose addresses are in `w_rows`."""
    pixel = x.shape[3] * x.itemsize
    ox, shared = 0, 0
    while ox < y.shape[2]:
        top, left = oy * strides[0] - before[0], ox * strides[1] - before[1]
        count = _pixels_under(x, n, top, left, kernel, x_rows)
        if count != shared:
            shares[:] = 1 / count
            shared = count
        results, step = _alike(ox, x.shape[2], kernel, strides, before, y.shape[2]), strides[1]
        to = y[n, oy, ox]
        _average(x_rows, w_rows, count, nothing, unbounded, to, results, step * pixel, pixel)
        ox += results


@parallel_jit
def average_forward(x, kernel, strides, before, threads, y):  # type: ignore[no-untyped-def]
    """y = the mean of the real pixels under each window."""
    lines, channels = len(x) * y.shape[1], x.shape[3]
    nothing = np.zeros(channels, x.dtype)
    unbounded = np.array([-np.inf, np.inf]).astype(x.dtype)
    counter = new_counter()
    for _ in prange(threads):
        shares = np.empty(channels, x.dtype)
        x_rows = np.empty(kernel[0] * kernel[1], np.int64)
        w_rows = np.full(kernel[0] * kernel[1], shares.ctypes.data)
        line = take(counter)
        while line < lines:
            n, oy = line // y.shape[1], line % y.shape[1]
            _average_line(
                x, n, oy, kernel, strides, before, x_rows, w_rows, shares, nothing, unbounded, y
            )
            line = take(counter)


@parallel_jit
def average_backward(dy, kernel, strides, before, dx):  # type: ignore[no-untyped-def]
    """dx: each real pixel under a window gets an equal share of its dy."""
    images, height, width, channels = dx.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    for n in prange(images):
        dx[n] = 0
        for oy in range(out_height):
            top = oy * strides[0] - before[0]
            rows = min(top + kernel[0], height) - max(top, 0)
            for ox in range(out_width):
                left = ox * strides[1] - before[1]
                columns = min(left + kernel[1], width) - max(left, 0)
                received = dy[n, oy, ox]
                for iy in range(max(top, 0), min(top + kernel[0], height)):
                    for ix in range(max(left, 0), min(left + kernel[1], width)):
                        pixel = dx[n, iy, ix]
                        for c in range(channels):
                            pixel[c] += received[c] / (rows * columns)


@parallel_jit
def spread(y, x):  # type: ignore[no-untyped-def]
    """x[n, i, j] = y[n]."""
    images, height, width, channels = x.shape
    for line in prange(images * height):
        n, i = line // height, line % height
        for j in range(width):
            pixel, mean = x[n, i, j], y[n]
            for c in range(channels):
                pixel[c] = mean[c]
