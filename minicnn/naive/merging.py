"""Sum and concatenation of several arrays as plain loops."""

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def add(xs: Sequence[Array]) -> Array:
    """y = x0 + x1 + …, element by element; every x receives dy unchanged."""
    y = np.zeros_like(xs[0])
    for x in xs:
        for p in np.ndindex(y.shape):
            y[p] += x[p]
    return y


def concatenate(xs: Sequence[Array]) -> Array:
    """Join the channels of x0, then those of x1, and so on."""
    y = np.zeros((*xs[0].shape[:-1], sum(x.shape[-1] for x in xs)), xs[0].dtype)
    first = 0
    for x in xs:
        for p in np.ndindex(x.shape):
            y[(*p[:-1], first + p[-1])] = x[p]
        first += x.shape[-1]
    return y


def concatenate_backward(dy: Array, channels: Sequence[int]) -> list[Array]:
    """Return each input's own slice of dy."""
    parts, first = [], 0
    for count in channels:
        part = np.zeros((*dy.shape[:-1], count), dy.dtype)
        for p in np.ndindex(part.shape):
            part[p] = dy[(*p[:-1], first + p[-1])]
        parts.append(part)
        first += count
    return parts
