"""Padding puts a border of zeros around each image."""

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.shapes import Pair

Array = np.ndarray


def _check_sides(padding: tuple[Pair, Pair], name: str) -> list[Pair]:
    if not isinstance(padding, (tuple, list)) or len(padding) != 2:
        raise ValueError(
            f"{name} expects padding=((top, bottom), (left, right)). Received {padding!r}."
        )
    return [shapes.pair(side, "padding", name, minimum=0) for side in padding]


def zero_padding2d(
    x: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1)), name: str = "zero_padding2d"
) -> Array:
    """Zeros around each picture: `padding` is `((top, bottom), (left, right))`, in pixels."""
    shapes.check_array(x, 4, "x", name)
    (top, bottom), (left, right) = _check_sides(padding, name)
    batch, height, width, channels = x.shape
    y = buffers.empty((batch, top + height + bottom, left + width + right, channels), x.dtype)
    kernels.copying.zero_padding(shapes.contiguous(x), top, left, y)
    return y


def zero_padding2d_backward(
    dy: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1)), name: str = "zero_padding2d"
) -> Array:
    """dx: dy without its border."""
    shapes.check_array(dy, 4, "dy", name)
    (top, bottom), (left, right) = _check_sides(padding, name)
    if dy.shape[1] < top + bottom or dy.shape[2] < left + right:
        raise ValueError(
            f"{name} expects dy with at least {top + bottom}x{left + right} pixels, its padding. "
            f"Received dy.shape={dy.shape}."
        )
    return dy[:, top : dy.shape[1] - bottom, left : dy.shape[2] - right].copy()
