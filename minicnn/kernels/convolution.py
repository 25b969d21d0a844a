"""Convolution as a matrix product: im2col and its reverse.

    cols[(n, oy, ox), (i, j, c)] = x[n, oy * stride + i * dilation - before, ..., c]    (0 outside)
    y = cols @ w.reshape(i * j * c, filters)

Each row of `cols` is the patch under one window, so one big matrix product does all windows at
once (`kernels.matmul`), near the speed of the machine. The price is memory: a 3x3 window copies
each pixel nine times. `functional` therefore works through the batch in blocks that fit the cache.
"""

from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.kernels.simd import LANES, transpose_square
from minicnn.kernels.tasks import share, shares


def _lines_of_patches(x: Any, *rest: Any) -> int:
    *_, out, cols = rest
    return shares(len(x) * out[0], out[1] * cols.shape[1])


@kernel(tasks=_lines_of_patches, writes="cols")
def im2col(task, tasks, x, kernel, strides, dilation, before, out, cols):
    """Fill `cols` (images * out rows * out columns, kernel rows * kernel columns * channels)."""
    images, height, width, channels = x.shape
    rows, columns = kernel
    lines = x.reshape(images * height, width * channels)
    for line in range(*share(images * out[0], task, tasks)):
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
                    patch[:] = source[left * channels : (left + columns) * channels]
                    continue
                for j in range(columns):
                    place = patch[j * channels : (j + 1) * channels]
                    ix = left + j * dilation[1]
                    if not inside or ix < 0 or ix >= width:
                        place[:] = 0
                    else:
                        place[:] = source[ix * channels : (ix + 1) * channels]


def _lines_of_images(*arguments: Any) -> int:
    dx, columns = arguments[-1], arguments[0].shape[1]
    return shares(len(dx) * dx.shape[1], dx.shape[2] * columns)


@kernel(tasks=_lines_of_images, writes="dx", vectorize=True)
def col2im(task, tasks, cols, kernel, strides, dilation, before, out, bias, clamp, dx):
    """Set dx[n, iy, ix, c] to bias[c] + the sum of all places of `cols` that im2col copied it to.

    An empty `bias` is 0; `clamp` has the smallest and the largest allowed result, or is empty. Each
    task owns whole lines of dx and adds up their terms in a fixed order.
    """
    images, height, width, channels = dx.shape
    rows, columns = kernel
    for line in range(*share(images * height, task, tasks)):
        n, iy = line // height, line % height
        if len(bias) == 0:
            dx[n, iy] = 0
        else:
            for ix in range(width):
                dx[n, iy, ix] = bias
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
                    received = cols[patches + ox, first : first + channels]
                    for c in range(channels):
                        pixel[c] += received[c]
        if len(clamp) != 0:
            for ix in range(width):
                pixel = dx[n, iy, ix]
                for c in range(channels):
                    v = pixel[c]
                    pixel[c] = clamp[0] if v < clamp[0] else (clamp[1] if v > clamp[1] else v)


@kernel(tasks=lambda rows, sums: len(sums), writes="sums", vectorize=True)
def column_sums(block, rows, sums):
    """sums[block, c] = sum of rows[r, c] over the block's share of rows, in float64.

    The caller chooses the number of blocks, whatever the number of threads.
    """
    total = np.zeros(rows.shape[1])
    for r in range(*share(len(rows), block, len(sums))):
        row = rows[r]
        for c in range(len(row)):
            total[c] += row[c]
    sums[block] = total


@kernel(
    tasks=lambda w, flipped: w.shape[0] * w.shape[1] * -(-w.shape[3] // LANES),
    writes="flipped",
    vectorize=True,
)
def flip(task, w, flipped):
    """flipped[i, j, o, c] = w[-1 - i, -1 - j, c, o]; 0 beyond the channels."""
    rows, columns, channels, filters = w.shape
    strips = -(-filters // LANES)
    tap, first = task // strips, task % strips * LANES
    i, j = tap // columns, tap % columns
    source, target = w[rows - 1 - i, columns - 1 - j], flipped[i, j]
    last = min(first + LANES, filters)
    squares = channels // LANES * LANES if last - first == LANES and w.itemsize == 4 else 0
    for c in range(0, squares, LANES):
        transpose_square(
            source[c, first:].address, filters * 4,
            target[first, c:].address, flipped.shape[3] * 4,
        )  # fmt: skip
    for o in range(first, last):
        for c in range(squares, channels):
            target[o, c] = source[c, o]
        target[o, channels:] = 0
