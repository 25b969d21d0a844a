"""Normalization of each example by itself, as plain loops."""

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Place = tuple[int, ...]


def layer_normalization(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-3,
    rms_scaling: bool = False,
) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, each along `axis`.

    With `rms_scaling` the mean is not subtracted, but the variance is still around the mean.
    """
    axes = _axes(x, axis)
    y = np.zeros_like(x)
    for places in _together(x, axes):
        mean, inverse = _moments(x, places, epsilon)
        for p in places:
            own = tuple(p[i] for i in axes)
            z = (x[p] - (0.0 if rms_scaling else mean)) * inverse
            y[p] = z * _at(gamma, own, 1.0) + _at(beta, own, 0.0)
    return y


def layer_normalization_backward(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-3,
    rms_scaling: bool = False,
) -> tuple[Array, Array, Array]:
    """Return `(dx, dgamma, dbeta)`, where z = (x - mean) / sqrt(variance + epsilon).

    dbeta = sum of dy,   dgamma = sum of dy * z
    dx = (g - mean(g) - z * mean(g * z)) / sqrt(variance + epsilon),   g = gamma * dy
    """
    axes = _axes(x, axis)
    dx = np.zeros_like(x)
    dgamma, dbeta = (np.zeros([x.shape[i] for i in axes], x.dtype) for _ in range(2))
    for places in _together(x, axes):
        mean, inverse = _moments(x, places, epsilon)
        g, z = {}, {}
        for p in places:
            own = tuple(p[i] for i in axes)
            z[p] = (x[p] - (0.0 if rms_scaling else mean)) * inverse
            g[p] = dy[p] * _at(gamma, own, 1.0)
            dgamma[own] += dy[p] * z[p]
            dbeta[own] += dy[p]
        mean_g = 0.0 if rms_scaling else sum(g.values()) / len(places)
        mean_gz = sum(g[p] * z[p] for p in places) / len(places)
        for p in places:
            dx[p] = (g[p] - mean_g - (x[p] - mean) * inverse * mean_gz) * inverse
    return dx, dgamma, dbeta


def group_normalization(
    x: Array,
    groups: int,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-3,
) -> Array:
    """Normalize each group of channels of each example, over all of its places."""
    y = np.zeros_like(x)
    for places in _in_groups(x, groups):
        mean, inverse = _moments(x, places, epsilon)
        for p in places:
            y[p] = (x[p] - mean) * inverse * _at(gamma, p[-1:], 1.0) + _at(beta, p[-1:], 0.0)
    return y


def group_normalization_backward(
    dy: Array, x: Array, groups: int, gamma: Array | None = None, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    """Return `(dx, dgamma, dbeta)`: as in layer normalization, with the means over a group."""
    dx = np.zeros_like(x)
    dgamma, dbeta = np.zeros(x.shape[-1:], x.dtype), np.zeros(x.shape[-1:], x.dtype)
    for places in _in_groups(x, groups):
        mean, inverse = _moments(x, places, epsilon)
        z = {p: (x[p] - mean) * inverse for p in places}
        g = {p: dy[p] * _at(gamma, p[-1:], 1.0) for p in places}
        for p in places:
            dgamma[p[-1]] += dy[p] * z[p]
            dbeta[p[-1]] += dy[p]
        mean_g = sum(g.values()) / len(places)
        mean_gz = sum(g[p] * z[p] for p in places) / len(places)
        for p in places:
            dx[p] = (g[p] - mean_g - z[p] * mean_gz) * inverse
    return dx, dgamma, dbeta


def unit_normalization(x: Array, axis: int | Sequence[int] = -1, epsilon: float = 1e-12) -> Array:
    """y = x / sqrt(sum of x**2), the sum along `axis`, but at most x / epsilon."""
    y = np.zeros_like(x)
    for places in _together(x, _axes(x, axis)):
        for p in places:
            y[p] = x[p] * _inverse_norm(x, places, epsilon)
    return y


def unit_normalization_backward(
    dy: Array, x: Array, axis: int | Sequence[int] = -1, epsilon: float = 1e-12
) -> Array:
    """dx = (dy - y * sum of dy * y) / sqrt(sum of x**2)."""
    dx = np.zeros_like(x)
    for places in _together(x, _axes(x, axis)):
        inverse = _inverse_norm(x, places, epsilon)
        along = sum(dy[p] * x[p] * inverse for p in places) if inverse < 1 / epsilon else 0.0
        for p in places:
            dx[p] = (dy[p] - x[p] * inverse * along) * inverse
    return dx


def _inverse_norm(x: Array, places: list[Place], epsilon: float) -> float:
    return 1 / max(math.sqrt(sum(float(x[p]) ** 2 for p in places)), epsilon)


def _moments(x: Array, places: list[Place], epsilon: float) -> tuple[float, float]:
    """Return the mean, and 1 / sqrt(variance + epsilon)."""
    mean = sum(float(x[p]) for p in places) / len(places)
    variance = sum((float(x[p]) - mean) ** 2 for p in places) / len(places)
    return mean, 1 / math.sqrt(variance + epsilon)


def _at(parameter: Array | None, place: Place, otherwise: float) -> float:
    return otherwise if parameter is None else float(parameter[place])


def _axes(x: Array, axis: int | Sequence[int]) -> tuple[int, ...]:
    listed = [axis] if isinstance(axis, int) else axis
    return tuple(sorted(i % x.ndim for i in listed))


def _together(x: Array, axes: Sequence[int]) -> list[list[Place]]:
    """Return the places that share a mean: those that differ only in these axes."""
    found: dict[Place, list[Place]] = {}
    for p in np.ndindex(x.shape):
        key = tuple(i for axis, i in enumerate(p) if axis not in axes)
        found.setdefault(key, []).append(p)
    return list(found.values())


def _in_groups(x: Array, groups: int) -> list[list[Place]]:
    found: dict[Place, list[Place]] = {}
    for p in np.ndindex(x.shape):
        found.setdefault((p[0], p[-1] // (x.shape[-1] // groups)), []).append(p)
    return list(found.values())
