"""Batch normalization over rows (position) and columns (channel) of a matrix.

Sums run over fixed blocks of rows, each by one task in float64, and the caller adds the blocks in
order.
"""

from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.kernels.tasks import share, shares


@kernel(tasks=lambda rows, shift, sums: len(sums), writes="sums", vectorize=True)
def shifted_sums(block, rows, shift, sums):
    """sums[block, 0, c] = sum of x, sums[block, 1, c] = sum of (x - shift[c])**2, in float64.

    One reading of x gives mean and variance; a `shift` near the mean keeps the latter exact.
    """
    total, squares = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for r in range(*share(len(rows), block, len(sums))):
        row = rows[r]
        for c in range(len(row)):
            d = np.float64(row[c]) - shift[c]
            total[c] += row[c]
            squares[c] += d * d
    sums[block, 0] = total
    sums[block, 1] = squares


def _rows(x: Any, *_: Any) -> int:
    return shares(*x.shape)


@kernel(tasks=_rows, writes="y", vectorize=True)
def forward(task, tasks, x, mean, scale, beta, y):
    """y[r, c] = (x[r, c] - mean[c]) * scale[c] + beta[c]."""
    for r in range(*share(len(x), task, tasks)):
        row, result = x[r], y[r]
        for c in range(len(row)):
            result[c] = (row[c] - mean[c]) * scale[c] + beta[c]


@kernel(tasks=lambda dy, rows, mean, sums: len(sums), writes="sums", vectorize=True)
def backward_sums(block, dy, rows, mean, sums):
    """sums[block, 0, c] = sum of dy, sums[block, 1, c] = sum of dy * (x - mean), in float64."""
    total, centered = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for r in range(*share(len(rows), block, len(sums))):
        row, received = rows[r], dy[r]
        for c in range(len(row)):
            total[c] += received[c]
            centered[c] += received[c] * (row[c] - mean[c])
    sums[block, 0] = total
    sums[block, 1] = centered


@kernel(tasks=_rows, writes="dx", vectorize=True)
def backward_input(task, tasks, dy, x, mean, scale, share_of_mean, slope, dx):
    """dx[r, c] = scale[c] * (dy[r, c] - share[c] - slope[c] * (x[r, c] - mean[c]))."""
    for r in range(*share(len(x), task, tasks)):
        row, received, result = x[r], dy[r], dx[r]
        for c in range(len(row)):
            centered = row[c] - mean[c]
            result[c] = scale[c] * (received[c] - share_of_mean[c] - slope[c] * centered)
