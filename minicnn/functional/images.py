"""An affine transform rotates, shifts, shears or zooms one image."""

from typing import Any

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers

Array = np.ndarray

FILL_MODES = ("constant", "nearest", "reflect", "wrap")  # in the order of kernels.warp's numbers


def affine_transform(
    x: Array,
    matrix: Any,
    offset: Any,
    order: int = 1,
    mode: str = "nearest",
    cval: float = 0.0,
    name: str = "affine_transform",
) -> Array:
    """One picture (height, width, channels) is rotated, shifted, sheared or zoomed.

        y[i, j] = x at the position matrix · (i, j) + offset

    read from the nearest pixel (`order=0`) or bilinearly between four (`order=1`). Outside the
    picture lies `cval` ("constant"), the edge ("nearest"), the mirror image ("reflect") or the
    picture again ("wrap"): the modes and numbers of `scipy.ndimage.affine_transform`.
    """
    shapes.check_array(x, 3, "x", name)
    mode = shapes.choice(mode, FILL_MODES, "mode", name)
    if order not in (0, 1):
        raise ValueError(f"{name} expects order to be 0 or 1. Received {order!r}.")
    matrix, offset = np.asarray(matrix, np.float64), np.asarray(offset, np.float64)
    if matrix.shape != (2, 2) or offset.shape != (2,):
        raise ValueError(
            f"{name} expects a matrix of shape (2, 2) and an offset of shape (2,). "
            f"Received {matrix.shape} and {offset.shape}."
        )
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise ValueError(
            f"{name} expects finite numbers. Received {matrix.tolist()}, {offset.tolist()}."
        )
    with np.errstate(over="ignore"):
        farthest = np.abs(matrix) @ x.shape[:2] + np.abs(offset)
    if farthest.max() > 2**31:  # beyond, the kernel's arithmetic would lose the picture
        raise ValueError(
            f"{name} expects positions within 2**31 pixels. "
            f"Received {matrix.tolist()}, {offset.tolist()}."
        )
    matrix, offset = shapes.contiguous(matrix), shapes.contiguous(offset)
    y = buffers.empty(x.shape, x.dtype)
    if y.size:
        kernels.warp.affine_transform(
            shapes.contiguous(x), matrix, offset, order, FILL_MODES.index(mode), float(cval), y
        )
    return y
