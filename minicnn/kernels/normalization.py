"""Batch normalization over rows (position) and columns (channel) of a matrix.

Sums run over fixed blocks of rows, each by one task in float64, and the caller adds the blocks in
order.
"""

from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels.tasks import share, shares


@kernel(tasks=lambda rows, shift, sums: len(sums), writes="sums", vectorize=True)
def shifted_sums(block, rows, shift, sums):
    """sums[block, 0, c] = sum of x, sums[block, 1, c] = sum of (x - shift[c])**2, in float64.

    One pass over x gives mean and variance; a `shift` near the mean keeps the variance exact.
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
def forward(task, tasks, x, mean, scale, beta, low, high, y):
    """y[r, c] = (x[r, c] - mean[c]) * scale[c] + beta[c], kept between low and high."""
    for r in range(*share(len(x), task, tasks)):
        row, result = x[r], y[r]
        for c in range(len(row)):
            v = (row[c] - mean[c]) * scale[c] + beta[c]
            result[c] = low if v < low else (high if v > high else v)


@kernel(tasks=lambda *given: len(given[-1]), writes="sums", vectorize=True)
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


# The same, followed by an activation that keeps z = (x - mean) * scale + beta between low and high:
# dz is dy where the activation leaves z unchanged, else 0. Memory decides the speed here, so
# computing z once more takes less time than writing dz and reading it.


@function
def _passed(dy, z, low, high, zero):
    """Return dy where the limits leave z unchanged, else 0; a limit of NaN means none."""
    return zero if z <= low or z >= high else dy


@kernel(tasks=lambda *given: len(given[-1]), writes="sums", vectorize=True)
def limited_sums(block, dy, rows, mean, scale, beta, low, high, sums):
    """sums[block, 0, c] = sum of dz, sums[block, 1, c] = sum of dz * (x - mean), in float64."""
    total, products = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    zero = rows.dtype.type(0)
    for r in range(*share(len(rows), block, len(sums))):
        row, received = rows[r], dy[r]
        for c in range(len(row)):
            centered = row[c] - mean[c]
            dz = _passed(received[c], centered * scale[c] + beta[c], low, high, zero)
            total[c] += dz
            products[c] += dz * centered
    sums[block, 0] = total
    sums[block, 1] = products


@kernel(tasks=_rows, writes="dx", vectorize=True)
def limited_input(task, tasks, dy, x, mean, scale, beta, low, high, share_of_mean, slope, dx):
    """dx[r, c] = scale[c] * (dz[r, c] - share[c] - slope[c] * (x[r, c] - mean[c]))."""
    zero = x.dtype.type(0)
    for r in range(*share(len(x), task, tasks)):
        row, received, result = x[r], dy[r], dx[r]
        for c in range(len(row)):
            centered = row[c] - mean[c]
            dz = _passed(received[c], centered * scale[c] + beta[c], low, high, zero)
            result[c] = scale[c] * (dz - share_of_mean[c] - slope[c] * centered)


@kernel(tasks=_rows, writes="dx", vectorize=True)
def limited_fixed(task, tasks, dy, x, mean, scale, beta, low, high, dx):
    """dx[r, c] = scale[c] * dz[r, c]: mean and variance are fixed, whatever x is."""
    zero = x.dtype.type(0)
    for r in range(*share(len(x), task, tasks)):
        row, received, result = x[r], dy[r], dx[r]
        for c in range(len(row)):
            z = (row[c] - mean[c]) * scale[c] + beta[c]
            result[c] = scale[c] * _passed(received[c], z, low, high, zero)
