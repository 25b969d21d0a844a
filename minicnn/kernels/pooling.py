"""Pooling windows: a walk over each window with channels innermost, which become vectors.

Nothing is remembered between forward and backward: finding the winner again from x is cheaper than
writing and reading an array of winners.
"""

import numpy as np
from numba import prange

from minicnn.kernels.compile import parallel_jit


@parallel_jit
def max_forward(x, kernel, strides, before, y):  # type: ignore[no-untyped-def]
    """y = the largest real pixel under each window; NaN wins over everything."""
    images, height, width, channels = x.shape
    out_height, out_width = y.shape[1], y.shape[2]
    for line in prange(images * out_height):
        n, oy = line // out_height, line % out_height
        top = oy * strides[0] - before[0]
        for ox in range(out_width):
            left = ox * strides[1] - before[1]
            best = y[n, oy, ox]
            for c in range(channels):
                best[c] = -np.inf
            for iy in range(max(top, 0), min(top + kernel[0], height)):
                for ix in range(max(left, 0), min(left + kernel[1], width)):
                    pixel = x[n, iy, ix]
                    for c in range(channels):
                        v, m = pixel[c], best[c]
                        best[c] = m if v <= m or m != m else v


@parallel_jit
def max_backward(dy, x, kernel, strides, before, dx):  # type: ignore[no-untyped-def]
    """dx: dy goes to the first of the largest pixels. One thread owns an image's dx.

    Each window is walked twice: to number each channel's winner, and to add its dy there and 0
    elsewhere. Both walks are vector instructions; to jump to each winner's place is not.
    """
    images, height, width, channels = x.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    zero = x.dtype.type(0)
    # Windows that don't overlap need not add; if no pixel is left between them, nor begin with 0.
    apart = strides[0] >= kernel[0] and strides[1] >= kernel[1]
    everywhere = (
        strides == kernel
        and out_height * strides[0] - before[0] >= height
        and out_width * strides[1] - before[1] >= width
    )
    for n in prange(images):
        if not everywhere:
            dx[n] = 0
        best, winner = np.empty(channels, x.dtype), np.empty(channels, np.int32)
        for oy in range(out_height):
            top = oy * strides[0] - before[0]
            for ox in range(out_width):
                left = ox * strides[1] - before[1]
                number = np.int32(0)
                for iy in range(max(top, 0), min(top + kernel[0], height)):
                    for ix in range(max(left, 0), min(left + kernel[1], width)):
                        pixel = x[n, iy, ix]
                        for c in range(channels):
                            v, m = pixel[c], best[c]
                            keep = number > 0 and (v <= m or m != m)
                            best[c] = m if keep else v
                            winner[c] = winner[c] if keep else number
                        number += np.int32(1)
                received = dy[n, oy, ox]
                number = np.int32(0)
                for iy in range(max(top, 0), min(top + kernel[0], height)):
                    for ix in range(max(left, 0), min(left + kernel[1], width)):
                        place = dx[n, iy, ix]
                        if apart:
                            for c in range(channels):
                                place[c] = received[c] if winner[c] == number else zero
                        else:
                            for c in range(channels):
                                place[c] += received[c] if winner[c] == number else zero
                        number += np.int32(1)


@parallel_jit
def average_forward(x, kernel, strides, before, y):  # type: ignore[no-untyped-def]
    """y = the mean of the real pixels under each window."""
    images, height, width, channels = x.shape
    out_height, out_width = y.shape[1], y.shape[2]
    for line in prange(images * out_height):
        n, oy = line // out_height, line % out_height
        top = oy * strides[0] - before[0]
        for ox in range(out_width):
            left = ox * strides[1] - before[1]
            total = y[n, oy, ox]
            for c in range(channels):
                total[c] = 0
            count = 0
            for iy in range(max(top, 0), min(top + kernel[0], height)):
                for ix in range(max(left, 0), min(left + kernel[1], width)):
                    pixel = x[n, iy, ix]
                    count += 1
                    for c in range(channels):
                        total[c] += pixel[c]
            for c in range(channels):
                total[c] /= count


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
