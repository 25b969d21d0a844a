"""Sums over all positions are the same on any number of threads."""

import numpy as np

from minicnn import kernels, shapes

Array = np.ndarray

# Long sums, and the work of small batches, are cut into this many parts, whatever the number of
# threads, so that the rounding, and so the result, is the same on one core and on many.
PARTS = 16


def sum_positions(dy: Array) -> Array:
    """Return the sum over all axes but the last: a bias's gradient."""
    rows = shapes.contiguous(dy).reshape(-1, dy.shape[-1])
    sums = np.empty((PARTS, rows.shape[1]))
    kernels.convolution.column_sums(rows, sums)
    return sums.sum(axis=0).astype(dy.dtype)
