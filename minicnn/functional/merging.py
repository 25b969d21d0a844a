"""Merging makes one array of several: their sum, or their channels side by side."""

import math
from collections.abc import Sequence

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers

Array = np.ndarray


def _check_several(xs: Sequence[Array], name: str) -> None:
    if len(xs) < 1:
        raise ValueError(f"{name} expects at least one array. Received none.")
    for x in xs:
        shapes.check_array(x, None, "each input", name)
    shapes.check_same_dtype({f"x{i}": x for i, x in enumerate(xs)}, name)


def add(xs: Sequence[Array], name: str = "add") -> Array:
    """y = x0 + x1 + …; all of one shape. Each x receives dy unchanged."""
    _check_several(xs, name)
    for x in xs[1:]:
        if x.shape != xs[0].shape:
            raise ValueError(
                f"{name} expects inputs of one shape. Received {[x.shape for x in xs]}."
            )
    y = buffers.empty(xs[0].shape, xs[0].dtype)
    first, *more = (shapes.contiguous(x).reshape(-1) for x in xs)
    if not more:
        y[...] = xs[0]
    for x in more:
        kernels.elementwise.add(first, x, y.reshape(-1))
        first = y.reshape(-1)
    return y


def concatenate(xs: Sequence[Array], name: str = "concatenate") -> Array:
    """The channels (last axis) of x0, then those of x1, …; all other axes must agree."""
    _check_several(xs, name)
    if len({x.shape[:-1] for x in xs}) > 1:
        raise ValueError(
            f"{name} expects inputs that differ in the last axis only. "
            f"Received {[x.shape for x in xs]}."
        )
    channels = [x.shape[-1] for x in xs]
    y = buffers.empty((*xs[0].shape[:-1], sum(channels)), xs[0].dtype)
    positions, first = math.prod(y.shape[:-1]), 0
    rows = y.reshape(positions, y.shape[-1])
    for x, count in zip(xs, channels, strict=True):
        kernels.copying.put_channels(shapes.contiguous(x).reshape(positions, count), first, rows)
        first += count
    return y


def concatenate_backward(
    dy: Array, channels: Sequence[int], name: str = "concatenate"
) -> list[Array]:
    """Each input's own slice of dy; `channels` counts those of each input."""
    shapes.check_array(dy, None, "dy", name)
    if sum(channels) != dy.shape[-1]:
        raise ValueError(
            f"{name} expects dy with {sum(channels)} channels. Received dy.shape={dy.shape}."
        )
    return [part.copy() for part in np.split(dy, np.cumsum(channels)[:-1], axis=-1)]
