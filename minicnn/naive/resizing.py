"""Resizing an image as plain loops: every new pixel is a weighted sum of old ones near its place.

The middle of new pixel i, i + 1/2, lies at (i + 1/2) * old size / new size of the old image, whose
pixel j has its middle at j + 1/2. The interpolation says which old pixels count there, and how
much. Rows and columns are independent: a pixel's weight is its row's times its column's.
"""

import math
from collections.abc import Callable

import numpy as np

from minicnn.shapes import Pair

Array = np.ndarray
single = np.float32  # positions are rounded to float32, as TensorFlow does, wherever that decides


def resize(
    x: Array,
    size: Pair,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_value: float = 0.0,
) -> Array:
    """y[i, j] = sum over r, c of row weight(i, r) * column weight(j, c) * x[r, c]."""
    (top, left), (height, width), border = _frame(
        (x.shape[1], x.shape[2]), size, crop_to_aspect_ratio, pad_to_aspect_ratio
    )
    framed = np.full((len(x), height, width, x.shape[3]), fill_value, x.dtype)
    for n, i, j, c in np.ndindex(*framed.shape):
        row, column = i + top - border[0], j + left - border[1]
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            framed[n, i, j, c] = x[n, row, column, c]
    rows = [weights(i, height, size[0], interpolation, antialias) for i in range(size[0])]
    columns = [weights(j, width, size[1], interpolation, antialias) for j in range(size[1])]
    y = np.zeros((len(x), *size, x.shape[3]), x.dtype)
    for n, i, j, c in np.ndindex(*y.shape):
        for row, row_weight in rows[i].items():
            for column, column_weight in columns[j].items():
                y[n, i, j, c] += row_weight * column_weight * framed[n, row, column, c]
    return y


def resize_backward(
    dy: Array,
    x_shape: tuple[int, ...],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
) -> Array:
    """Return dx: each old pixel gets dy of the new ones, times its weights in them."""
    size = dy.shape[1], dy.shape[2]
    (top, left), (height, width), border = _frame(
        (x_shape[1], x_shape[2]), size, crop_to_aspect_ratio, pad_to_aspect_ratio
    )
    rows = [weights(i, height, size[0], interpolation, antialias) for i in range(size[0])]
    columns = [weights(j, width, size[1], interpolation, antialias) for j in range(size[1])]
    dx = np.zeros(x_shape, dy.dtype)
    for n, i, j, c in np.ndindex(*dy.shape):
        for r, row_weight in rows[i].items():
            for s, column_weight in columns[j].items():
                row, column = r + top - border[0], s + left - border[1]
                if 0 <= row < x_shape[1] and 0 <= column < x_shape[2]:
                    dx[n, row, column, c] += row_weight * column_weight * dy[n, i, j, c]
    return dx


def _frame(old: Pair, new: Pair, crop: bool, pad: bool) -> tuple[Pair, Pair, Pair]:
    """Where the image that is resized starts, its size, and the border that `pad` adds."""
    other = int(old[1] * new[0] / new[1]), int(old[0] * new[1] / new[0])
    if crop:  # the largest middle part with the aspect ratio of `new`
        height, width = max(min(old[0], other[0]), 1), max(min(old[1], other[1]), 1)
        return ((old[0] - height) // 2, (old[1] - width) // 2), (height, width), (0, 0)
    if pad:  # the same border on both sides
        above, left = max(other[0] - old[0], 0) // 2, max(other[1] - old[1], 0) // 2
        return (0, 0), (old[0] + 2 * above, old[1] + 2 * left), (above, left)
    return (0, 0), (old[0], old[1]), (0, 0)


def weights(i: int, old: int, new: int, interpolation: str, antialias: bool) -> dict[int, float]:
    """Return the old pixels that count in new pixel i along one axis, and their weights."""
    scale = single(old) / single(new)
    if interpolation == "nearest":
        return {min(math.floor(single(i + 0.5) * scale), old - 1): 1.0}
    if interpolation == "bilinear" and not antialias:
        place = single(i + 0.5) * scale - single(0.5)
        share = float(place - single(math.floor(place)))
        lower, upper = max(math.floor(place), 0), min(math.ceil(place), old - 1)
        if lower == upper:
            return {lower: 1.0}
        return {lower: 1 - share, upper: share}
    if interpolation == "bicubic" and not antialias:
        place = single(i + 0.5) * scale - single(0.5)
        first = math.floor(place)
        # TensorFlow looks the four weights up in a table of 1024 places between two pixels.
        share = float(np.rint((place - single(first)) * single(1024))) / 1024
        taps = {first + k: _cubic(abs(share - k)) for k in (-1, 0, 1, 2)}
        return _normalized({j: w for j, w in taps.items() if 0 <= j < old})
    kernel, radius = _KERNELS[interpolation]
    inverse = single(1) / (single(new) / single(old))
    stretch = max(inverse, single(1)) if antialias else single(1)
    middle = single(i + 0.5) * inverse
    start = math.ceil(middle - single(radius) * stretch - single(0.5))
    end = math.floor(middle + single(radius) * stretch - single(0.5))
    span = range(min(max(start, 0), old - 1), min(max(end, 0), old - 1) + 1)
    return _normalized({j: kernel(abs(j + 0.5 - float(middle)) / float(stretch)) for j in span})


def _normalized(taps: dict[int, float]) -> dict[int, float]:
    total = sum(taps.values())
    return {j: w / total for j, w in taps.items() if w}  # 0 * NaN would be NaN


def _triangle(distance: float) -> float:
    return max(1 - distance, 0.0)


def _cubic(distance: float) -> float:
    """Keys's cubic with a = -1/2."""
    if distance >= 2:
        return 0.0
    if distance >= 1:
        return ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return (1.5 * distance - 2.5) * distance * distance + 1


def _lanczos(radius: int) -> Callable[[float], float]:
    def kernel(distance: float) -> float:
        if distance > radius:
            return 0.0
        if distance <= 1e-3:
            return 1.0
        angle = math.pi * distance
        return radius * math.sin(angle) * math.sin(angle / radius) / angle**2

    return kernel


_KERNELS: dict[str, tuple[Callable[[float], float], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos3": (_lanczos(3), 3),
    "lanczos5": (_lanczos(5), 5),
}
