"""Convolution as a matrix product: im2col and its reverse.

    cols[(n, oy, ox), (i, j, c)] = x[n, oy * stride + i * dilation - before, ..., c]    (0 outside)
    y = cols @ w.reshape(i * j * c, filters)

Each row of `cols` is the patch under one window, so one big matrix product does all windows at
once (`kernels.matmul`), near the speed of the machine. The price is memory: a 3x3 window copies
each pixel nine times. `functional` therefore works through the batch in blocks that fit the cache.

The inner loops run over slices and start at 0. That is what makes them vector instructions: an
index such as `first + c` might be negative for all the compiler knows, and then it would have to
count from the end, as Python does.
"""

import numpy as np
from numba import prange

from minicnn.kernels.compile import parallel_jit
from minicnn.kernels.simd import LANES, transpose_square


@parallel_jit
def im2col(x, kernel, strides, dilation, before, out, cols):  # type: ignore[no-untyped-def]
    """Fill `cols` (images * out rows * out columns, kernel rows * kernel columns * channels)."""
    images, height, width, channels = x.shape
    rows, columns = kernel
    lines = x.reshape(images * height, width * channels)
    for line in prange(images * out[0]):
        n, oy = line // out[0], line % out[0]
        for i in range(rows):
            iy = oy * strides[0] + i * dilation[0] - before[0]
            inside = 0 <= iy < height
            source = lines[n * height + iy if inside else 0]
            first = i * columns * channels
            for ox in range(out[1]):
                patch = cols[line * out[1] + ox, first : first + columns * channels]
                left = ox * strides[1] - before[1]
                if inside and dilation[1] == 1 and 0 <= left <= width - columns:
                    # The pixels of one kernel row lie side by side: one run.
                    seen = source[left * channels : (left + columns) * channels]
                    for k in range(len(patch)):
                        patch[k] = seen[k]
                    continue
                for j in range(columns):
                    place = patch[j * channels : (j + 1) * channels]
                    ix = left + j * dilation[1]
                    if not inside or ix < 0 or ix >= width:
                        for c in range(channels):
                            place[c] = 0
                    else:
                        pixel = source[ix * channels : (ix + 1) * channels]
                        for c in range(channels):
                            place[c] = pixel[c]


@parallel_jit
def col2im(cols, kernel, strides, dilation, before, out, dx):  # type: ignore[no-untyped-def]
    """Set dx[n, iy, ix, c] to the sum of all places of `cols` that im2col copied it to.

    Each thread owns whole lines of dx and collects what belongs there in a fixed order, so the
    result does not depend on the number of threads.
    """
    images, height, width, channels = dx.shape
    rows, columns = kernel
    for line in prange(images * height):
        n, iy = line // height, line % height
        dx[n, iy] = 0
        for i in range(rows):
            oy = iy + before[0] - i * dilation[0]
            if oy < 0 or oy % strides[0] != 0 or oy // strides[0] >= out[0]:
                continue
            patches = (n * out[0] + oy // strides[0]) * out[1]
            for ox in range(out[1]):
                for j in range(columns):
                    ix = ox * strides[1] + j * dilation[1] - before[1]
                    if ix < 0 or ix >= width:
                        continue
                    pixel = dx[n, iy, ix]
                    first = (i * columns + j) * channels
                    share = cols[patches + ox, first : first + channels]
                    for c in range(channels):
                        pixel[c] += share[c]


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
        for c in range(channels):  # `sums[block] = total` would take seconds to compile
            sums[block, c] = total[c]


@parallel_jit
def turn(w, turned):  # type: ignore[no-untyped-def]
    """turned[i, j, o, c] = w[-1 - i, -1 - j, c, o]; 0 beyond the channels."""
    rows, columns, channels, filters = w.shape
    strips = -(-filters // LANES)
    for task in prange(rows * columns * strips):
        tap, first = task // strips, task % strips * LANES
        i, j = tap // columns, tap % columns
        source, target = w[rows - 1 - i, columns - 1 - j], turned[i, j]
        last = min(first + LANES, filters)
        squares = channels // LANES * LANES if last - first == LANES and w.itemsize == 4 else 0
        for c in range(0, squares, LANES):
            transpose_square(
                source[c, first:].ctypes.data, filters * 4,
                target[first, c:].ctypes.data, turned.shape[3] * 4,
            )  # fmt: skip
        for o in range(first, last):
            for c in range(squares, channels):
                target[o, c] = source[c, o]
            target[o, channels:] = 0
