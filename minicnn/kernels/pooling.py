"""Pooling: this file finds the pixels under each window; `channels` finds the largest of them.

`max_forward` remembers nothing: `max_backward` finds the argmax in x again. A convolution that
pools its own results saves itself this x: it keeps each block's argmax, one byte (`max_of_blocks`
does so for any x), and `unpool` goes back.

Neighbours along a line that lie inside it go to `channels` together: their windows have the same
pixels, moved on.
"""

from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels import NOBODY
from minicnn.kernels.channels import (
    add_products,
    find_largest,
    give_to_argmax,
    give_to_largest,
)
from minicnn.kernels.tasks import share, shares


def _lines_of(y: Any, window: Any) -> int:
    """Return the number of tasks for the lines of an output in which each number takes a window."""
    return shares(len(y) * y.shape[1], y.shape[2] * y.shape[3] * window[0] * window[1])


@function
def largest(x_rows, y, argmax, stops, results, x_step, y_step):
    """y[c] = the largest of x[t][c], whose addresses are in `x_rows`.

    And argmax[c] = the t of the first one, if argmax is not empty; see `channels.find_largest`,
    also for `stops`. This is done for `results` results: from one to the next all x[t] move by
    `x_step` bytes, and y by `y_step`.
    """
    numbers = argmax.address if argmax.size > 0 else 0
    find_largest(
        y, x_rows.address, len(x_rows), y.address, numbers, stops.address, y.size, results,
        x_step, y_step, y_step // y.itemsize,
    )  # fmt: skip


@function
def to_argmax(dy, argmax, dx_rows, results, dy_step, dx_step):
    """dx[t][c] = dy[c] where t = argmax[c], else 0, for `results` results as in `largest`."""
    give_to_argmax(
        dy, dy.address, argmax.address, dx_rows.address, len(dx_rows), dy.size, results,
        dy_step, dy_step // dy.itemsize, dx_step,
    )  # fmt: skip


@function
def _pixels_under(x, n, top, left, kernel, rows):
    """Write the addresses of the real pixels under a window to `rows`; return their number."""
    _, height, width, _channels = x.shape
    count = 0
    for iy in range(max(top, 0), min(top + kernel[0], height)):
        for ix in range(max(left, 0), min(left + kernel[1], width)):
            rows[count] = x[n, iy, ix].address
            count += 1
    return count


@function
def _alike(ox, width, kernel, strides, before, out_width):
    """Return how many windows of a line, from ox on, have the same pixels under them, moved on."""
    first = -(-before[1] // strides[1])  # from here to `last` they lie inside the line
    last = min((width - kernel[1] + before[1]) // strides[1], out_width - 1)
    return last - ox + 1 if first <= ox <= last else 1


@function
def _max_line(x, n, oy, kernel, strides, before, rows, y):
    nobody, nowhere = np.empty(0, np.uint8), np.empty(2, x.dtype)
    pixel = x.shape[3] * x.itemsize
    ox = 0
    while ox < y.shape[2]:
        top, left = oy * strides[0] - before[0], ox * strides[1] - before[1]
        count = _pixels_under(x, n, top, left, kernel, rows)
        results = _alike(ox, x.shape[2], kernel, strides, before, y.shape[2])
        step = strides[1] * pixel
        largest(rows[:count], y[n, oy, ox], nobody, nowhere, results, step, pixel)
        ox += results


@kernel(tasks=lambda x, kernel, strides, before, y: _lines_of(y, kernel), writes="y")
def max_forward(task, tasks, x, kernel, strides, before, y):
    """y = the largest real pixel under each window; NaN wins over everything."""
    rows = np.empty(kernel[0] * kernel[1], np.int64)
    for line in range(*share(len(x) * y.shape[1], task, tasks)):
        n, oy = line // y.shape[1], line % y.shape[1]
        _max_line(x, n, oy, kernel, strides, before, rows, y)


@function
def _max_line_backward(dy, x, n, oy, kernel, strides, before, add, x_rows, dx_rows, dx):
    pixel = x.shape[3] * x.itemsize
    ox = 0
    while ox < dy.shape[2]:
        top, left = oy * strides[0] - before[0], ox * strides[1] - before[1]
        count = _pixels_under(x, n, top, left, kernel, x_rows)
        _pixels_under(dx, n, top, left, kernel, dx_rows)
        results = _alike(ox, x.shape[2], kernel, strides, before, dy.shape[2])
        received = dy[n, oy, ox]
        give_to_largest(
            x, x_rows.address, dx_rows.address, count, received.address, received.size, add,
            results, strides[1] * pixel, pixel,
        )  # fmt: skip
        ox += results


def _apart(kernel: Any, strides: Any) -> bool:
    """Return whether windows don't overlap."""
    return bool(strides[0] >= kernel[0] and strides[1] >= kernel[1])


def _max_backward_tasks(
    dy: Any, x: Any, kernel: Any, strides: Any, before: Any, apart: bool, dx: Any
) -> int:
    bands = dy.shape[1] if apart else 1
    return len(x) * bands


@kernel(tasks=_max_backward_tasks, writes="dx")
def max_backward(task, dy, x, kernel, strides, before, apart, dx):
    """dx: dy goes to the first of the largest pixels; where windows overlap, it adds up.

    `apart`: no two windows overlap.
    """
    _images, height, width, _ = x.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    # Windows that don't overlap need not add; if no pixel is left between them, nor begin with 0.
    everywhere = (
        strides == kernel
        and out_height * strides[0] - before[0] >= height
        and out_width * strides[1] - before[1] >= width
    )
    bands = out_height if apart else 1  # parts of an image that have no line of dx in common
    x_rows = np.empty(kernel[0] * kernel[1], np.int64)
    dx_rows = np.empty(kernel[0] * kernel[1], np.int64)
    n, band = task // bands, task % bands
    first, end = out_height * band // bands, out_height * (band + 1) // bands
    if not everywhere:
        begin_line = 0 if band == 0 else first * strides[0] - before[0]
        end_line = height if band == bands - 1 else end * strides[0] - before[0]
        dx[n, begin_line:end_line] = 0
    for oy in range(first, end):
        add = 0 if apart else 1
        _max_line_backward(dy, x, n, oy, kernel, strides, before, add, x_rows, dx_rows, dx)


@kernel(tasks=lambda x, pool, stops, y, argmax: _lines_of(y, pool), writes="y argmax")
def max_of_blocks(task, tasks, x, pool, stops, y, argmax):
    """y = the largest of each `pool` pixels side by side, and its argmax."""
    images, height, width, channels = y.shape
    pixel = channels * x.itemsize
    rows = np.empty(pool[0] * pool[1], np.int64)
    for line in range(*share(images * height, task, tasks)):
        n, oy = line // height, line % height
        _pixels_under(x, n, oy * pool[0], 0, pool, rows)
        largest(rows, y[n, oy, 0], argmax[n, oy, 0], stops, width, pool[1] * pixel, pixel)


@kernel(tasks=lambda dy, argmax, pool, dx: len(dx) * (dy.shape[1] + 1), writes="dx")
def unpool(line, dy, argmax, pool, dx):
    """dx = dy at each block's largest, 0 elsewhere and outside the blocks."""
    pixel = dx.shape[3] * dx.itemsize
    down, across = dy.shape[1], dy.shape[2]
    n, oy = line // (down + 1), line % (down + 1)
    if oy < down:
        rows = np.empty(pool[0] * pool[1], np.int64)
        _pixels_under(dx, n, oy * pool[0], 0, pool, rows)
        to_argmax(dy[n, oy, 0], argmax[n, oy, 0], rows, across, pixel, pool[1] * pixel)
        for iy in range(oy * pool[0], (oy + 1) * pool[0]):
            dx[n, iy, across * pool[1] :] = 0
    else:
        dx[n, down * pool[0] :] = 0


@kernel(tasks=lambda dy, argmax, sums: len(sums), writes="sums", vectorize=True)
def sums_at_argmax(part, dy, argmax, sums):
    """sums[part, c] = the sum over a part of dy's rows, without those that no pixel gets."""
    total = sums[part]
    total[:] = 0
    for r in range(*share(len(dy), part, len(sums))):
        received, numbers = dy[r], argmax[r]
        for c in range(len(received)):
            total[c] += received[c] if numbers[c] != NOBODY else 0


@function
def _average_line(x, n, oy, kernel, strides, before, x_rows, w_rows, shares, zeros, unbounded, y):
    """Sum products with equal shares, whose addresses are in `w_rows`: a mean."""
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
        add_products(
            y, x_rows.address, w_rows.address, count, zeros.address, to.address,
            to.size, unbounded.address, results, step * pixel, pixel,
        )  # fmt: skip
        ox += results


@kernel(tasks=lambda x, kernel, strides, before, y: _lines_of(y, kernel), writes="y")
def average_forward(task, tasks, x, kernel, strides, before, y):
    """y = the mean of the real pixels under each window."""
    channels = x.shape[3]
    zeros, unbounded = np.zeros(channels, x.dtype), np.empty(2, x.dtype)
    unbounded[0], unbounded[1] = -np.inf, np.inf
    shares = np.empty(channels, x.dtype)
    x_rows = np.empty(kernel[0] * kernel[1], np.int64)
    w_rows = np.empty(kernel[0] * kernel[1], np.int64)
    w_rows[:] = shares.address
    for line in range(*share(len(x) * y.shape[1], task, tasks)):
        n, oy = line // y.shape[1], line % y.shape[1]
        _average_line(
            x, n, oy, kernel, strides, before, x_rows, w_rows, shares, zeros, unbounded, y
        )


@kernel(tasks=lambda dy, kernel, strides, before, dx: len(dx), writes="dx", vectorize=True)
def average_backward(n, dy, kernel, strides, before, dx):
    """dx: each real pixel under a window gets an equal share of its dy."""
    _, height, width, channels = dx.shape
    dx[n] = 0
    for oy in range(dy.shape[1]):
        top = oy * strides[0] - before[0]
        rows = min(top + kernel[0], height) - max(top, 0)
        for ox in range(dy.shape[2]):
            left = ox * strides[1] - before[1]
            columns = min(left + kernel[1], width) - max(left, 0)
            received = dy[n, oy, ox]
            for iy in range(max(top, 0), min(top + kernel[0], height)):
                for ix in range(max(left, 0), min(left + kernel[1], width)):
                    pixel = dx[n, iy, ix]
                    for c in range(channels):
                        pixel[c] += received[c] / (rows * columns)


@kernel(tasks=lambda y, x: shares(x.shape[0] * x.shape[1], x.shape[2] * x.shape[3]), writes="x")
def spread(task, tasks, y, x):
    """x[n, i, j] = y[n]."""
    images, height, width, _channels = x.shape
    for line in range(*share(images * height, task, tasks)):
        for j in range(width):
            x[line // height, line % height, j] = y[line // height]
