"""Convolution as a matrix product: im2col and its reverse.

    cols[(n, oy, ox), (i, j, c)] = x[n, oy * stride + i * dilation - before, ..., c]    (0 outside)
    y = cols @ w.reshape(i * j * c, filters)

Each row of `cols` is the patch under one window, so one big matrix product does all windows at
once, and BLAS does that near the speed of the machine. The price is memory: a 3x3 window copies
each pixel nine times. `functional` therefore works through the batch in blocks that fit the cache.
"""

import numpy as np
from numba import prange

from minicnn.kernels.compile import parallel_jit


@parallel_jit
def im2col(x, kernel, strides, dilation, before, out, cols):  # type: ignore[no-untyped-def]
    """Fill `cols` (images * out rows * out columns, kernel rows * kernel columns * channels)."""
    images, height, width, channels = x.shape
    for line in prange(images * out[0]):
        n, oy = line // out[0], line % out[0]
        for ox in range(out[1]):
            row = cols[line * out[1] + ox]
            k = 0
            for i in range(kernel[0]):
                iy = oy * strides[0] + i * dilation[0] - before[0]
                if iy < 0 or iy >= height:
                    row[k : k + kernel[1] * channels] = 0
                    k += kernel[1] * channels
                    continue
                for j in range(kernel[1]):
                    ix = ox * strides[1] + j * dilation[1] - before[1]
                    if ix < 0 or ix >= width:
                        for c in range(channels):
                            row[k + c] = 0
                    else:
                        pixel = x[n, iy, ix]
                        for c in range(channels):
                            row[k + c] = pixel[c]
                    k += channels


@parallel_jit
def col2im(cols, kernel, strides, dilation, before, out, dx):  # type: ignore[no-untyped-def]
    """Set dx[n, iy, ix, c] to the sum of all places of `cols` that im2col copied it to.

    Each thread owns whole lines of dx and collects what belongs there in a fixed order, so the
    result does not depend on the number of threads.
    """
    images, height, width, channels = dx.shape
    for line in prange(images * height):
        n, iy = line // height, line % height
        for ix in range(width):
            pixel = dx[n, iy, ix]
            for c in range(channels):
                pixel[c] = 0
        for i in range(kernel[0]):
            oy = iy + before[0] - i * dilation[0]
            if oy < 0 or oy % strides[0] != 0 or oy // strides[0] >= out[0]:
                continue
            oy //= strides[0]
            for ix in range(width):
                pixel = dx[n, iy, ix]
                for j in range(kernel[1]):
                    ox = ix + before[1] - j * dilation[1]
                    if ox < 0 or ox % strides[1] != 0 or ox // strides[1] >= out[1]:
                        continue
                    row = cols[(n * out[0] + oy) * out[1] + ox // strides[1]]
                    k = (i * kernel[1] + j) * channels
                    for c in range(channels):
                        pixel[c] += row[k + c]


@parallel_jit
def column_sums(rows, blocks, sums):  # type: ignore[no-untyped-def]
    """sums[block, c] = sum of rows[r, c] over the block's share of rows, in float64.

    The split into blocks is the caller's and fixed, so that the total never depends on threads.
    """
    count, channels = rows.shape
    for block in prange(blocks):
        total = np.zeros(channels)
        for r in range(count * block // blocks, count * (block + 1) // blocks):
            for c in range(channels):
                total[c] += rows[r, c]
        sums[block] = total
