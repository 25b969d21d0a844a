"""An epilogue is what happens to a sum between its computation and its storage.

A convolution or matrix product sums up in the processor's registers. There it also multiplies by a
scale, adds a bias, keeps the result within an activation's limits, and pools: another pass over a
large result would cost as much time as a small convolution.
"""

from typing import NamedTuple

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.shapes import Pair

Array = np.ndarray

# The smallest and the largest result that an activation allows.
Limits = tuple[float, float]

UNBOUNDED: Limits = (-np.inf, np.inf)


class Pooling(NamedTuple):
    """Max pooling keeps only the largest result of each block of `size`, side by side.

    With `remember` it also keeps which one that is, in uint8, counted in reading order, or
    `kernels.NOBODY` where an activation lets no gradient through.
    """

    size: Pair = (1, 1)
    remember: bool = False


NO_POOLING = Pooling()


class Epilogue(NamedTuple):
    """An epilogue turns each sum into the number that is stored.

        y = the largest of each block of:  sum * scale + bias, kept within the limits

    `scale` and `bias` have a number for each column (filter, unit) of the result; None is 1, or 0.
    """

    scale: Array | None = None
    bias: Array | None = None
    limits: Limits = UNBOUNDED
    pooling: Pooling = NO_POOLING

    @property
    def is_plain(self) -> bool:
        """Return whether the sums are stored as they are."""
        return self.scale is None and self.bias is None and self.limits == UNBOUNDED

    def of_groups(self, groups: int) -> list["Epilogue"]:
        """Split the numbers of the columns into those of each group."""
        if groups == 1:
            return [self]
        parts = (
            [None] * groups if values is None else np.split(values, groups)
            for values in (self.scale, self.bias)
        )
        return [self._replace(scale=scale, bias=bias) for scale, bias in zip(*parts, strict=True)]

    def packed(self, columns: int, dtype: np.dtype) -> Array:
        """Pack it as the microkernel takes it: (panels, 4, columns of a panel).

        The four are scale, bias, least and most. All panels are whole, so there are also numbers
        beyond the last column.
        """
        wide = kernels.simd.COLUMNS * 4 // dtype.itemsize
        panels = -(-columns // wide)
        lines = np.empty((4, panels * wide), dtype)
        lines[:] = np.array([1, 0, *self.limits], dtype)[:, None]
        for line, values in zip(lines, (self.scale, self.bias), strict=False):
            if values is not None:
                line[:columns] = values
        return shapes.contiguous(lines.reshape(4, panels, wide).swapaxes(0, 1))


PLAIN = Epilogue()


def clamp_of(limits: Limits, dtype: np.dtype) -> Array:
    """Return the limits as kernels take them."""
    return np.array(limits, dtype)


def argmax_for(y: Array, pooling: Pooling) -> Array:
    """Return memory for the argmax of each block; it is empty if no argmax is needed."""
    return buffers.empty(y.shape if pooling.remember else (0, 0, 0, 0), np.uint8)


def stops_of(limits: Limits, dtype: np.dtype) -> Array:
    """Return the values at which no gradient passes: an activation's limits, or NaN for none."""
    low, high = (limit if np.isfinite(limit) else np.nan for limit in limits)
    return clamp_of((low, high), dtype)


def pooled(y: Array, pooling: Pooling, limits: Limits) -> tuple[Array, Array | None]:
    """Pool results that already lie within the limits."""
    if pooling == NO_POOLING:
        return y, None
    pool = pooling.size
    size = y.shape[1] // pool[0], y.shape[2] // pool[1]
    found = buffers.empty((len(y), *size, y.shape[3]), y.dtype)
    if not pooling.remember:
        kernels.pooling.max_forward(y, pool, pool, (0, 0), found)
        return found, None
    argmax = argmax_for(found, pooling)
    kernels.pooling.max_of_blocks(y, pool, stops_of(limits, y.dtype), found, argmax)
    return found, argmax


def unpool(dy: Array, argmax: Array, pool: Pair, size: Pair) -> Array:
    """Return the gradient of what was pooled, of `size`: the largest of each block gets its dy."""
    dx = buffers.empty((len(dy), *size, dy.shape[3]), dy.dtype)
    kernels.pooling.unpool(dy, argmax, pool, dx)
    return dx
