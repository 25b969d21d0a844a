"""Batch normalization over rows (position) and columns (channel) of a matrix.

Sums run over fixed blocks of rows, each by one thread in float64, and the caller adds the blocks in
order: the result never depends on the number of threads.
"""

import numpy as np
from numba import prange

from minicnn.kernels.compile import parallel_jit


@parallel_jit
def shifted_sums(rows, shift, blocks, sums):  # type: ignore[no-untyped-def]
    """sums[block, 0, c] = sum of x, sums[block, 1, c] = sum of (x - shift[c])**2, in float64.

    One reading of x gives mean and variance; a `shift` near the mean keeps the latter exact.
    """
    count, channels = rows.shape
    for block in prange(blocks):
        total, squares = np.zeros(channels), np.zeros(channels)
        for r in range(count * block // blocks, count * (block + 1) // blocks):
            for c in range(channels):
                d = np.float64(rows[r, c]) - shift[c]
                total[c] += rows[r, c]
                squares[c] += d * d
        sums[block, 0] = total
        sums[block, 1] = squares


@parallel_jit
def forward(rows, mean, scale, beta, y):  # type: ignore[no-untyped-def]
    """y[r, c] = (x[r, c] - mean[c]) * scale[c] + beta[c]."""
    count, channels = rows.shape
    for r in prange(count):
        for c in range(channels):
            y[r, c] = (rows[r, c] - mean[c]) * scale[c] + beta[c]


@parallel_jit
def backward_sums(dy, rows, mean, blocks, sums):  # type: ignore[no-untyped-def]
    """sums[block, 0, c] = sum of dy, sums[block, 1, c] = sum of dy * (x - mean), in float64."""
    count, channels = rows.shape
    for block in prange(blocks):
        total, centered = np.zeros(channels), np.zeros(channels)
        for r in range(count * block // blocks, count * (block + 1) // blocks):
            for c in range(channels):
                total[c] += dy[r, c]
                centered[c] += dy[r, c] * (rows[r, c] - mean[c])
        sums[block, 0] = total
        sums[block, 1] = centered


@parallel_jit
def backward_input(dy, rows, mean, scale, share, slope, dx):  # type: ignore[no-untyped-def]
    """dx[r, c] = scale[c] * (dy[r, c] - share[c] - slope[c] * (x[r, c] - mean[c]))."""
    count, channels = rows.shape
    for r in prange(count):
        for c in range(channels):
            dx[r, c] = scale[c] * (dy[r, c] - share[c] - slope[c] * (rows[r, c] - mean[c]))
