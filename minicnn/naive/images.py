"""The affine transform of one image as plain loops."""

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def affine_transform(
    x: Array,
    matrix: Array,
    offset: Sequence[float],
    order: int = 1,
    mode: str = "nearest",
    cval: float = 0.0,
) -> Array:
    """y[i, j] = x at the position matrix · (i, j) + offset: one image rotated, shifted, zoomed.

    `x` is (height, width, channels). Order 0 takes the nearest pixel; order 1 weights the four
    around the position by how near they are (bilinear). `mode` says what is outside the image.
    """
    height, width, channels = x.shape
    y = np.zeros_like(x)
    for i in range(height):
        for j in range(width):
            row = _fold(matrix[0][0] * i + matrix[0][1] * j + offset[0], height, mode)
            column = _fold(matrix[1][0] * i + matrix[1][1] * j + offset[1], width, mode)
            for c in range(channels):
                if math.isnan(row) or math.isnan(column):
                    y[i, j, c] = cval
                elif order == 0:
                    y[i, j, c] = _pixel(x, math.floor(row + 0.5), math.floor(column + 0.5), c)
                else:
                    top, left = math.floor(row), math.floor(column)
                    total = 0.0
                    for r in (top, top + 1):
                        for s in (left, left + 1):
                            weight = (1 - abs(row - r)) * (1 - abs(column - s))
                            total += weight * _pixel(x, r, s, c)
                    y[i, j, c] = total
    return y


def _fold(position: float, size: int, mode: str) -> float:
    """Return the position to read on an axis of `size` pixels; NaN stands for the constant."""
    last = size - 1
    while not 0 <= position <= last:
        if mode == "constant":
            return math.nan
        if mode == "nearest":
            position = min(max(position, 0), last)
        elif mode == "wrap":  # a b c d | b c d: the first pixel lies on the last, as in scipy
            if last == 0:
                return 0
            return last - -position % last if position < 0 else position % last
        elif -0.5 <= position <= size - 0.5:  # "reflect", between an edge and its mirror image
            return position
        else:  # "reflect", d c b a | a b c d | d c b a
            position = -1 - position if position < 0 else 2 * size - 1 - position
    return position


def _pixel(x: Array, row: int, column: int, channel: int) -> float:
    """Return one value; a neighbour just outside the image counts as the pixel on its edge."""
    row, column = min(max(row, 0), x.shape[0] - 1), min(max(column, 0), x.shape[1] - 1)
    return float(x[row, column, channel])
