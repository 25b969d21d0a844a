"""Upsampling turns each pixel into a block of equal pixels."""

import numpy as np

from minicnn import shapes
from minicnn.functional import buffers
from minicnn.functional.resizing import resize, resize_backward
from minicnn.shapes import Pair

Array = np.ndarray


def up_sampling2d(
    x: Array,
    size: int | Pair = (2, 2),
    name: str = "up_sampling2d",
    interpolation: str = "nearest",
) -> Array:
    """y[n, i, j, c] = x[n, i // rows, j // columns, c], with `size` = (rows, columns).

    `x` (batch, height, width, channels) to y (batch, height * rows, width * columns, channels).
    Any other `interpolation` is that of `resize`.

    Raises `TypeError` or `ValueError` for an `x` that is not such an array, or sizes below 1.
    """
    shapes.check_array(x, 4, "x", name)
    rows, columns = shapes.pair(size, "size", name)
    batch, height, width, channels = x.shape
    if interpolation != "nearest":
        return resize(x, (height * rows, width * columns), interpolation, name=name)
    y = buffers.empty((batch, height * rows, width * columns, channels), x.dtype)
    blocks = y.reshape(batch, height, rows, width, columns, channels)
    blocks[...] = x[:, :, None, :, None, :]
    return y


def up_sampling2d_backward(
    dy: Array,
    size: int | Pair = (2, 2),
    name: str = "up_sampling2d",
    interpolation: str = "nearest",
) -> Array:
    """dx of `up_sampling2d`: each pixel gets the sum of dy over its block, or what it counts in."""
    shapes.check_array(dy, 4, "dy", name)
    rows, columns = shapes.pair(size, "size", name)
    batch, height, width, channels = dy.shape
    if height % rows or width % columns:
        raise ValueError(
            f"{name} expects dy with whole blocks of {rows}x{columns} pixels, its size. "
            f"Received dy.shape={dy.shape}."
        )
    if interpolation != "nearest":
        x_shape = batch, height // rows, width // columns, channels
        return resize_backward(dy, x_shape, interpolation, name=name)
    blocks = dy.reshape(batch, height // rows, rows, width // columns, columns, channels)
    dx: Array = blocks.sum(axis=(2, 4))
    return dx
