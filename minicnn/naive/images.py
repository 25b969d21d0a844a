"""Affine transforms of images as plain loops."""

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
    around the position by closeness (bilinear). `mode` says what is outside the image.
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
        elif mode == "wrap":  # a b c d | b c d: first and last pixel coincide, as in scipy
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


# -- a batch, each image in its own way ----------------------------------------------------------


def warp(
    x: Array,
    transforms: Array,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
) -> Array:
    """y[n, i, j] = x[n] at row b0 * j + b1 * i + b2 and column a0 * j + a1 * i + a2."""
    y = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*x.shape):
        for row, column, weight in _taps(x.shape, transforms[n], i, j, interpolation, fill_mode):
            inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
            y[n, i, j, c] += weight * (x[n, row, column, c] if inside else fill_value)
    return y


def warp_backward(
    dy: Array, transforms: Array, interpolation: str = "bilinear", fill_mode: str = "reflect"
) -> Array:
    """Return dx: each pixel gets dy of the places that read it, times its weight there."""
    dx = np.zeros_like(dy)
    for n, i, j, c in np.ndindex(*dy.shape):
        for row, column, weight in _taps(dy.shape, transforms[n], i, j, interpolation, fill_mode):
            if 0 <= row < dy.shape[1] and 0 <= column < dy.shape[2]:
                dx[n, row, column, c] += weight * dy[n, i, j, c]
    return dx


def _taps(
    shape: tuple[int, ...], transform: Array, i: int, j: int, interpolation: str, fill_mode: str
) -> list[tuple[int, int, float]]:
    """Return the pixels (row, column) that make y[n, i, j], and their weights."""
    a0, a1, a2, b0, b1, b2 = transform.astype(np.float32)  # TensorFlow's places are float32
    row = float(_beyond(b0 * np.float32(j) + b1 * np.float32(i) + b2, shape[1], fill_mode))
    column = float(_beyond(a0 * np.float32(j) + a1 * np.float32(i) + a2, shape[2], fill_mode))
    if interpolation == "nearest":
        return [(_nearest(row), _nearest(column), 1.0)]
    top, left = math.floor(row), math.floor(column)
    return [
        (r, s, (1 - abs(row - r)) * (1 - abs(column - s)))
        for r in (top, top + 1)
        for s in (left, left + 1)
        if r - row < 1 and s - column < 1
    ]


def _nearest(place: float) -> int:
    """Round to the nearest whole number, halves away from 0."""
    return math.floor(place + 0.5) if place >= 0 else math.ceil(place - 0.5)


def _beyond(place: np.float32, size: int, fill_mode: str) -> np.float32:
    """Return where a place on an axis of `size` pixels is read."""
    last = size - 1
    if fill_mode == "constant" or 0 <= place <= last:
        return place
    if fill_mode == "reflect" and last > 0:  # d c b a | a b c d | d c b a
        place = np.fmod(place, np.float32(2 * size))
        if place < 0:
            place = place + 2 * size if place < -size else -place - 1
        elif place >= size:
            place = 2 * size - place - 1
    elif fill_mode == "wrap" and last > 0:  # a b c d | a b c d | a b c d
        if place < 0:
            place += size * (int(-place / last) + 1)
        else:
            place -= size * int(place / last)
    return min(max(place, np.float32(0)), np.float32(last))
