"""Affine transforms rotate, shift, shear or zoom an image, or each of a batch in its own way."""

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
    """Rotate, shift, shear or zoom one image (height, width, channels).

        y[i, j] = x at the position matrix · (i, j) + offset

    read from the nearest pixel (`order=0`) or bilinearly between four (`order=1`). Outside the
    image lies `cval` ("constant"), the edge ("nearest"), the mirror image ("reflect") or the image
    again ("wrap"): the modes and numbers of `scipy.ndimage.affine_transform`.
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
    if farthest.max() > 2**31:  # beyond that, the kernel's arithmetic would miss the image
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


# -- a batch, each image in its own way ----------------------------------------------------------


def warp(
    x: Array,
    transforms: Array,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    name: str = "warp",
) -> Array:
    """Rotate, shift, shear or zoom each image of a batch in its own way.

        y[n, i, j] = x[n] at row b0 * j + b1 * i + b2, column a0 * j + a1 * i + a2

    `x` is (batch, height, width, channels) and `transforms` (batch, 6): a0, a1, a2, b0, b1, b2 of
    each image. x is read from the nearest pixel ("nearest") or between four ("bilinear"). Outside
    the image lies `fill_value` ("constant"), the edge ("nearest"), the mirror image ("reflect") or
    the image again ("wrap"). The numbers are those of `keras.ops.image.affine_transform` on
    TensorFlow, whose positions are float32; those of `affine_transform` are SciPy's, which differ
    at the edges.

    Raises `TypeError` or `ValueError` for arrays of other shapes and kinds, and for other options.
    """
    shapes.check_array(x, 4, "x", name)
    shapes.number(fill_value, "fill_value", name)
    rows, columns = places(transforms, x.shape, interpolation, fill_mode, name)
    y = buffers.empty(x.shape, x.dtype)
    if y.size:
        kernels.warp.sample(shapes.contiguous(x), rows, columns, float(fill_value), y)
    return y


def warp_backward(
    dy: Array,
    transforms: Array,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    name: str = "warp",
) -> Array:
    """dx of `warp`: each pixel gets dy of the places that read it, times its weight there.

    This is the exact gradient. TensorFlow returns an approximation: dy, warped back.
    """
    shapes.check_array(dy, 4, "dy", name)
    rows, columns = places(transforms, dy.shape, interpolation, fill_mode, name)
    dx = buffers.empty(dy.shape, dy.dtype)
    if dx.size:
        kernels.warp.sample_backward(shapes.contiguous(dy), rows, columns, dx)
    return dx


def places(
    transforms: Array, shape: tuple[int, ...], interpolation: str, fill_mode: str, name: str
) -> tuple[Array, Array]:
    """Return where in x each pixel of y is read: rows and columns, (batch, height, width) each."""
    interpolation = shapes.choice(interpolation, ("nearest", "bilinear"), "interpolation", name)
    fill_mode = shapes.choice(fill_mode, FILL_MODES, "fill_mode", name)
    shapes.check_array(transforms, 2, "transforms", name)
    shapes.check_shape(transforms, (shape[0], 6), "transforms", name)
    if not np.isfinite(transforms).all():
        raise ValueError(f"{name} expects finite numbers. Received {transforms.tolist()}.")
    single = np.float32
    i, j = np.arange(shape[1], dtype=single)[:, None], np.arange(shape[2], dtype=single)
    factors = transforms.astype(single).reshape(-1, 6, 1, 1).transpose(1, 0, 2, 3)
    found = []
    with np.errstate(over="ignore", invalid="ignore"):
        for (by_j, by_i, start), size in zip((factors[3:], factors[:3]), shape[1:3], strict=True):
            place = _inside(by_j * j + by_i * i + start, size, fill_mode)
            if interpolation == "nearest":
                place = np.trunc(place + np.copysign(single(0.5), place))
            found.append(shapes.contiguous(place))
    return found[0], found[1]


def _inside(place: Array, size: int, fill_mode: str) -> Array:
    """Return where a place beyond the `size` pixels of an axis is read, as TensorFlow does.

    `place` is changed.
    """
    if fill_mode == "constant":  # two pixels away there is nothing but the constant
        return _between(place, -2, size + 1)
    last = size - 1
    outside = (place < 0) | (place > last)
    if fill_mode != "nearest" and last > 0 and outside.any():
        far = place[outside]
        if fill_mode == "reflect":  # d c b a | a b c d | d c b a
            period = 2 * size
            left = right = np.fmod(far, period)
            left = np.where(left < -size, left + period, -left - 1)
            right = np.where(right >= size, period - right - 1, right)
        else:  # a b c d | a b c d | a b c d, as long as a place is not much farther away
            left = far + size * (np.trunc(-far / last) + 1)
            right = far - size * np.trunc(far / last)
        place[outside] = np.where(far < 0, left, right)
    return _between(place, 0, last)


def _between(place: Array, low: int, high: int) -> Array:
    """Return the places, at least `low` and at most `high`; NaN becomes `low`."""
    inside: Array = np.fmin(np.fmax(place, low), high)
    return inside
