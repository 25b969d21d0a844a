"""Padding puts a border of zeros around each image."""

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.shapes import Pair

Array = np.ndarray


def check_sides(sides: tuple[Pair, Pair], name: str, argument: str = "padding") -> list[Pair]:
    """Return `((top, bottom), (left, right))` as whole numbers >= 0, or raise a `ValueError`."""
    if not isinstance(sides, (tuple, list)) or len(sides) != 2:
        raise ValueError(
            f"{name} expects {argument}=((top, bottom), (left, right)). Received {sides!r}."
        )
    return [shapes.pair(side, argument, name, minimum=0) for side in sides]


def zero_padding2d(
    x: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1)), name: str = "zero_padding2d"
) -> Array:
    """y = x with zeros around it: `padding` is `((top, bottom), (left, right))`, in pixels."""
    shapes.check_array(x, 4, "x", name)
    (top, bottom), (left, right) = check_sides(padding, name)
    batch, height, width, channels = x.shape
    y = buffers.empty((batch, top + height + bottom, left + width + right, channels), x.dtype)
    kernels.copying.zero_padding(shapes.contiguous(x), top, left, y)
    return y


def zero_padding2d_backward(
    dy: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1)), name: str = "zero_padding2d"
) -> Array:
    """dx = dy without its border."""
    shapes.check_array(dy, 4, "dy", name)
    (top, bottom), (left, right) = check_sides(padding, name)
    if dy.shape[1] < top + bottom or dy.shape[2] < left + right:
        raise ValueError(
            f"{name} expects dy with at least {top + bottom}x{left + right} pixels, its padding. "
            f"Received dy.shape={dy.shape}."
        )
    return dy[:, top : dy.shape[1] - bottom, left : dy.shape[2] - right].copy()
