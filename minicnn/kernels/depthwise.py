"""Depthwise convolution: each channel with its own small filter, so there is no matrix product.

Channels lie next to each other in memory (NHWC), and nothing is summed over them: the innermost
loop runs over channels and becomes vector instructions. Little arithmetic per byte: memory decides
the speed. Where a channel has several filters, the caller repeats it first (`repeat`): as many
channels as filters, and one simple loop.
"""

import numpy as np
from numba import prange

from minicnn.kernels.compile import parallel_jit


@parallel_jit
def forward(x, w, b, strides, dilation, before, y):  # type: ignore[no-untyped-def]
    """y[n, oy, ox, c] from x[n, iy, ix, c] and w[i, j, c]."""
    images, height, width, channels = x.shape
    rows, columns = w.shape[0], w.shape[1]
    out_height, out_width = y.shape[1], y.shape[2]
    for line in prange(images * out_height):
        n, oy = line // out_height, line % out_height
        for ox in range(out_width):
            pixel = y[n, oy, ox]
            for c in range(channels):
                pixel[c] = b[c]
            for i in range(rows):
                iy = oy * strides[0] + i * dilation[0] - before[0]
                if iy < 0 or iy >= height:
                    continue
                for j in range(columns):
                    ix = ox * strides[1] + j * dilation[1] - before[1]
                    if ix < 0 or ix >= width:
                        continue
                    source, weight = x[n, iy, ix], w[i, j]
                    for c in range(channels):
                        pixel[c] += source[c] * weight[c]


@parallel_jit
def backward_input(dy, w, strides, dilation, before, dx):  # type: ignore[no-untyped-def]
    """dx, gathered line by line: each thread owns the lines it writes."""
    images, height, width, channels = dx.shape
    rows, columns = w.shape[0], w.shape[1]
    out_height, out_width = dy.shape[1], dy.shape[2]
    for line in prange(images * height):
        n, iy = line // height, line % height
        for ix in range(width):
            pixel = dx[n, iy, ix]
            for c in range(channels):
                pixel[c] = 0
            for i in range(rows):
                oy = iy + before[0] - i * dilation[0]
                if oy < 0 or oy % strides[0] != 0 or oy // strides[0] >= out_height:
                    continue
                for j in range(columns):
                    ox = ix + before[1] - j * dilation[1]
                    if ox < 0 or ox % strides[1] != 0 or ox // strides[1] >= out_width:
                        continue
                    received, weight = dy[n, oy // strides[0], ox // strides[1]], w[i, j]
                    for c in range(channels):
                        pixel[c] += received[c] * weight[c]


@parallel_jit
def backward_weight(dy, x, strides, dilation, before, dw):  # type: ignore[no-untyped-def]
    """dw[n, i, j, c]: one partial sum for each image, added up by the caller."""
    images, height, width, channels = x.shape
    rows, columns = dw.shape[1], dw.shape[2]
    out_height, out_width = dy.shape[1], dy.shape[2]
    for n in prange(images):
        total = np.zeros((rows, columns, channels), dw.dtype)
        for oy in range(out_height):
            for i in range(rows):
                iy = oy * strides[0] + i * dilation[0] - before[0]
                if iy < 0 or iy >= height:
                    continue
                for ox in range(out_width):
                    received = dy[n, oy, ox]
                    for j in range(columns):
                        ix = ox * strides[1] + j * dilation[1] - before[1]
                        if ix < 0 or ix >= width:
                            continue
                        source, sums = x[n, iy, ix], total[i, j]
                        for c in range(channels):
                            sums[c] += received[c] * source[c]
        dw[n] = total


@parallel_jit
def repeat(x, times, y):  # type: ignore[no-untyped-def]
    """y = x[0] `times` times, then x[1] `times` times, …"""
    for k in prange(x.size):
        for m in range(times):
            y[k * times + m] = x[k]


@parallel_jit
def sum_runs(x, length, y):  # type: ignore[no-untyped-def]
    """y[k] = the sum of the k-th run of `length` numbers."""
    for k in prange(y.size):
        total = x[k * length]
        for m in range(1, length):
            total += x[k * length + m]
        y[k] = total
