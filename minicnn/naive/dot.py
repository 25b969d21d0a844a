"""Dot products along an axis of each array, as plain loops."""

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
_EPSILON = 1e-7


def dot(xs: Sequence[Array], axes: int | Sequence[int], normalize: bool = False) -> Array:
    """y = sum of x0 * x1 along an axis of each, for each example and all other places of both."""
    (a, b), scales = _rows(xs, axes, normalize)
    y = np.zeros((len(a), a.shape[1], b.shape[1]), a.dtype)
    for n, i, j in np.ndindex(y.shape):
        y[n, i, j] = sum(
            a[n, i, k] * scales[0][n, i] * b[n, j, k] * scales[1][n, j] for k in range(a.shape[2])
        )
    others = [
        size
        for x, axis in zip(xs, _pair(xs, axes), strict=True)
        for i, size in enumerate(x.shape)
        if i not in (0, axis)
    ]
    return y.reshape(len(a), *(others or [1]))


def dot_backward(
    dy: Array, xs: Sequence[Array], axes: int | Sequence[int], normalize: bool = False
) -> list[Array]:
    """dx0 = sum of dy * x1, dx1 = sum of dy * x0; if normalized, without the part along x."""
    (a, b), scales = _rows(xs, axes, normalize)
    dy = dy.reshape(len(a), a.shape[1], b.shape[1])
    found = []
    for x, axis, own, other, source in zip(
        xs, _pair(xs, axes), (a, b), (b, a), (0, 1), strict=True
    ):
        d = np.zeros_like(own)
        for n, i, k in np.ndindex(own.shape):
            for j in range(other.shape[1]):
                received = dy[n, i, j] if source == 0 else dy[n, j, i]
                d[n, i, k] += received * other[n, j, k] * scales[1 - source][n, j]
        for n, i in np.ndindex(own.shape[:2]) if normalize else ():
            scale = scales[source][n, i]
            unit = own[n, i] * scale
            d[n, i] = (d[n, i] - unit * sum(d[n, i] * unit)) * scale
        others = [size for at, size in enumerate(x.shape) if at != axis]
        found.append(np.moveaxis(d.reshape(*others, x.shape[axis]), -1, axis))
    return found


def _pair(xs: Sequence[Array], axes: int | Sequence[int]) -> list[int]:
    listed = [axes, axes] if isinstance(axes, int) else list(axes)
    return [axis % x.ndim for axis, x in zip(listed, xs, strict=True)]


def _rows(
    xs: Sequence[Array], axes: int | Sequence[int], normalize: bool
) -> tuple[list[Array], list[Array]]:
    """Return both arrays as (batch, places, k), and the factor of each of their vectors."""
    rows, scales = [], []
    for x, axis in zip(xs, _pair(xs, axes), strict=True):
        moved = np.moveaxis(x, axis, -1)
        row = moved.reshape(len(x), math.prod(moved.shape[1:-1]), x.shape[axis])
        scale = np.ones(row.shape[:2], x.dtype)
        for p in np.ndindex(scale.shape) if normalize else ():
            scale[p] = 1 / max(math.sqrt(sum(float(v) ** 2 for v in row[p])), _EPSILON)
        rows.append(row)
        scales.append(scale)
    return rows, scales
