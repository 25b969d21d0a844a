"""Depthwise convolution: each channel with its own small filter, so there is no matrix product.

Channels lie next to each other in memory (NHWC), and nothing is summed over them: an output pixel
is a sum of some rows of channels, each times a row of weights. `channels.add_products` does that
with the sum in registers; this file finds the rows. There is little arithmetic per byte, so memory
decides the speed. If a channel has several filters, the caller repeats it first (`repeat`), so that
there are as many channels as filters, and one simple loop.

Neighbours along a line that lie inside it read the same taps, moved on by a pixel. They go to
`add_products` together, which takes a few channels of all of them at a time: each number comes from
beyond the level-1 cache once per line, not once per tap. (This makes the forward pass, and dx at
stride 1, 1.1 to 1.3 times as fast; dx at other strides, whose tables of addresses are made less
often, 1.5 times.)

The numbers: on a batch of 32 with 128 channels it reads and writes near the speed at which the
machine copies; a loop that keeps its sums in memory took two to four times as long.
"""

from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels.channels import add_products
from minicnn.kernels.tasks import share, shares

_MOST_TASKS = 64  # of neighbouring lines: they share lines of x
_TOGETHER = 32  # pixels side by side; more gain nothing


@function
def _add(x_rows, w_rows, count, start, clamp, y, results, x_step, y_step):
    """y[c] = start[c] + sum over t < count of x[t][c] * w[t][c], clamped, for `results` results.

    From one result to the next all x[t] move by `x_step` bytes, and y by `y_step`.
    """
    add_products(
        y, x_rows.address, w_rows.address, count, start.address, y.address, y.size, clamp.address,
        results, x_step, y_step,
    )  # fmt: skip


@function
def _unbounded(like):
    """Return a clamp that changes nothing."""
    like[0], like[1] = -np.inf, np.inf


@function
def add_pixels(x, w, b, clamp, n, oy, ox, end, strides, dilation, before, x_rows, w_rows, to, step):
    """Write pixels `ox` to `end` of line oy of image n to the address `to`, `step` bytes apart."""
    _, height, width, channels = x.shape
    rows, columns, pixel = w.shape[0], w.shape[1], channels * x.itemsize
    reach = (columns - 1) * dilation[1]
    first = -(-before[1] // strides[1])  # the windows from here to `last` lie inside the line
    last = min((width - 1 - reach + before[1]) // strides[1], end - 1)
    while ox < end:
        left = ox * strides[1] - before[1]
        count = 0
        for i in range(rows):
            iy = oy * strides[0] + i * dilation[0] - before[0]
            if iy < 0 or iy >= height:
                continue
            for j in range(columns):
                ix = left + j * dilation[1]
                if 0 <= ix < width:
                    x_rows[count], w_rows[count] = x[n, iy, ix].address, w[i, j].address
                    count += 1
        # Inside, the same taps serve the next windows, too: all addresses move on equally.
        pixels = min(last - ox + 1, _TOGETHER) if first <= ox <= last else 1
        add_products(
            x, x_rows.address, w_rows.address, count, b.address, to, channels, clamp.address,
            pixels, strides[1] * pixel, step,
        )  # fmt: skip
        ox += pixels
        to += pixels * step


def _lines_of(y: Any, w: Any) -> int:
    """Return the number of tasks for lines in which each number is a sum over the filter."""
    lines, numbers = len(y) * y.shape[1], y.shape[2] * y.shape[3] * w.shape[0] * w.shape[1]
    return min(_MOST_TASKS, shares(lines, numbers))


@kernel(tasks=lambda *arguments: _lines_of(arguments[-1], arguments[1]), writes="y")
def forward(task, tasks, x, w, b, clamp, strides, dilation, before, y):
    """y[n, oy, ox, c] from x[n, iy, ix, c] and w[i, j, c], at least clamp[0], at most clamp[1]."""
    out_height, taps = y.shape[1], w.shape[0] * w.shape[1]
    x_rows, w_rows = np.empty(taps, np.int64), np.empty(taps, np.int64)
    for line in range(*share(len(x) * out_height, task, tasks)):
        n, oy = line // out_height, line % out_height
        add_pixels(
            x, w, b, clamp, n, oy, 0, y.shape[2], strides, dilation, before, x_rows, w_rows,
            y[n, oy].address, y.shape[3] * y.itemsize,
        )  # fmt: skip


@function
def _backward_line(dy, w, zeros, clamp, n, iy, strides, dilation, before, dy_rows, w_rows, dx):
    _, out_height, out_width, channels = dy.shape
    width, stride, pixel = dx.shape[2], strides[1], channels * dy.itemsize
    reach = (w.shape[1] - 1) * dilation[1]
    last = stride * out_width - 1 - before[1]  # behind it a window would lie beyond dy
    for phase in range(stride):  # pixels this far apart are seen through the same taps
        ix = phase
        while ix < width:
            count = 0
            for i in range(w.shape[0]):
                oy = iy + before[0] - i * dilation[0]
                if oy < 0 or oy % strides[0] != 0 or oy // strides[0] >= out_height:
                    continue
                for j in range(w.shape[1]):
                    ox = ix + before[1] - j * dilation[1]
                    if ox >= 0 and ox % stride == 0 and ox // stride < out_width:
                        received = dy[n, oy // strides[0], ox // stride]
                        dy_rows[count], w_rows[count] = received.address, w[i, j].address
                        count += 1
            pixels = 1
            if ix + before[1] - reach >= 0 and ix <= last:
                pixels = min((min(last, width - 1) - ix) // stride + 1, _TOGETHER)
            to = dx[n, iy, ix]
            _add(dy_rows, w_rows, count, zeros, clamp, to, pixels, pixel, stride * pixel)
            ix += pixels * stride


@kernel(tasks=lambda *arguments: _lines_of(arguments[-1], arguments[1]), writes="dx")
def backward_input(task, tasks, dy, w, strides, dilation, before, dx):
    """dx, gathered line by line: each task owns the lines that it writes."""
    height, taps = dx.shape[1], w.shape[0] * w.shape[1]
    zeros, clamp = np.zeros(dx.shape[3], dx.dtype), np.empty(2, dx.dtype)
    _unbounded(clamp)
    dy_rows, w_rows = np.empty(taps, np.int64), np.empty(taps, np.int64)
    for line in range(*share(len(dx) * height, task, tasks)):
        n, iy = line // height, line % height
        _backward_line(dy, w, zeros, clamp, n, iy, strides, dilation, before, dy_rows, w_rows, dx)


@function
def _add_line(dy, x, clamp, n, oy, strides, dilation, before, dy_rows, x_rows, sums):
    """Add line oy's share to sums[i, j, c]: for each tap the products of all its pixels."""
    _, height, width, _ = x.shape
    for i in range(sums.shape[0]):
        iy = oy * strides[0] + i * dilation[0] - before[0]
        if iy < 0 or iy >= height:
            continue
        for j in range(sums.shape[1]):
            count = 0
            for ox in range(dy.shape[2]):
                ix = ox * strides[1] + j * dilation[1] - before[1]
                if 0 <= ix < width:
                    dy_rows[count], x_rows[count] = dy[n, oy, ox].address, x[n, iy, ix].address
                    count += 1
            _add(dy_rows, x_rows, count, sums[i, j], clamp, sums[i, j], 1, 0, 0)


@kernel(tasks=lambda *arguments: len(arguments[-1]), writes="dw")
def backward_weight(part, dy, x, strides, dilation, before, dw):
    """dw[part, i, j, c]: a sum for each part of all images' lines; the caller adds them up."""
    parts, out_height = len(dw), dy.shape[1]
    clamp = np.empty(2, dw.dtype)
    _unbounded(clamp)
    dy_rows, x_rows = np.empty(dy.shape[2], np.int64), np.empty(dy.shape[2], np.int64)
    sums = dw[part]
    sums[:] = 0
    for line in range(*share(len(dy) * out_height, part, parts)):
        n, oy = line // out_height, line % out_height
        _add_line(dy, x, clamp, n, oy, strides, dilation, before, dy_rows, x_rows, sums)


@kernel(tasks=lambda x, times, y: shares(x.size, times), writes="y", vectorize=True)
def repeat(task, tasks, x, times, y):
    """y is x[0] `times` times, then x[1] `times` times, and so on."""
    for k in range(*share(x.size, task, tasks)):
        for m in range(times):
            y[k * times + m] = x[k]


@kernel(tasks=lambda x, length, y: shares(y.size, length), writes="y", vectorize=True)
def sum_runs(task, tasks, x, length, y):
    """y[k] = the sum of the k-th run of `length` numbers."""
    for k in range(*share(y.size, task, tasks)):
        total = x[k * length]
        for m in range(1, length):
            total += x[k * length + m]
        y[k] = total
