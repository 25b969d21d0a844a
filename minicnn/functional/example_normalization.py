"""Normalizes each example by itself, in training and in prediction: layer, group and unit."""

import math
from collections.abc import Sequence

import numpy as np

from minicnn import shapes
from minicnn.functional.checks import check_gradient

Array = np.ndarray
Axes = tuple[int, ...]


def layer_normalization(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-3,
    rms_scaling: bool = False,
    name: str = "layer_normalization",
) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, each along `axis` of each example.

    `gamma` and `beta`, each optional, have the sizes of x along `axis`. With `rms_scaling` the mean
    is not subtracted, but the variance is still that around the mean, as in Keras.
    """
    axes = _axes_of(x, axis, name)
    _check_parameters(x, axes, {"gamma": gamma, "beta": beta}, name)
    return _normalized(x, _fit(gamma, x, axes), _fit(beta, x, axes), axes, epsilon, rms_scaling)


def layer_normalization_backward(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-3,
    rms_scaling: bool = False,
    need_dx: bool = True,
    name: str = "layer_normalization",
) -> tuple[Array | None, Array, Array]:
    """`(dx, dgamma, dbeta)` of `layer_normalization`; z = (x - mean) / sqrt(variance + epsilon).

        dbeta = sum of dy,   dgamma = sum of dy * z     over all examples and all other axes
        dx = (g - mean(g) - z * mean(g * z)) / sqrt(variance + epsilon),   g = gamma * dy

    The means are along `axis`: every x there changed the mean and the variance.
    """
    axes = _axes_of(x, axis, name)
    _check_parameters(x, axes, {"gamma": gamma}, name)
    dy = check_gradient(dy, x.shape, x, name)
    dx, slope = _backward(dy, x, _fit(gamma, x, axes), axes, epsilon, rms_scaling, need_dx)
    others = tuple(i for i in range(x.ndim) if i not in axes)
    return dx, slope.sum(axis=others), dy.sum(axis=others)


def group_normalization(
    x: Array,
    groups: int,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-3,
    name: str = "group_normalization",
) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, each over a group of channels.

    A group is `channels / groups` channels of one example, at all of its places. `gamma` and
    `beta`, each optional, have one number for each channel.
    """
    grouped = _grouped(x, groups, {"gamma": gamma, "beta": beta}, name)
    scale, shift = (None if p is None else p.reshape(groups, -1) for p in (gamma, beta))
    return _normalized(grouped, scale, shift, (1, 3), epsilon, False).reshape(x.shape)


def group_normalization_backward(
    dy: Array,
    x: Array,
    groups: int,
    gamma: Array | None = None,
    epsilon: float = 1e-3,
    need_dx: bool = True,
    name: str = "group_normalization",
) -> tuple[Array | None, Array, Array]:
    """`(dx, dgamma, dbeta)` of `group_normalization`: those of `layer_normalization` in a group."""
    grouped = _grouped(x, groups, {"gamma": gamma}, name)
    dy = check_gradient(dy, x.shape, x, name).reshape(grouped.shape)
    scale = None if gamma is None else gamma.reshape(groups, -1)
    dx, slope = _backward(dy, grouped, scale, (1, 3), epsilon, False, need_dx)
    channels = x.shape[-1:]
    dgamma, dbeta = (part.sum(axis=(0, 1)).reshape(channels) for part in (slope, dy))
    return None if dx is None else dx.reshape(x.shape), dgamma, dbeta


def unit_normalization(
    x: Array,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-12,
    name: str = "unit_normalization",
) -> Array:
    """y = x / sqrt(sum of x**2), the sum along `axis`: vectors of length 1.

    A vector shorter than `epsilon` is divided by `epsilon` instead, so that 0 stays 0.
    """
    return x * _inverse_norm(x, _axes_of(x, axis, name), epsilon)


def unit_normalization_backward(
    dy: Array,
    x: Array,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-12,
    name: str = "unit_normalization",
) -> Array:
    """dx = (dy - y * sum of dy * y) / sqrt(sum of x**2): only the part that turns the vector."""
    axes = _axes_of(x, axis, name)
    dy, inverse = check_gradient(dy, x.shape, x, name), _inverse_norm(x, axes, epsilon)
    y = x * inverse
    along = np.where(inverse < x.dtype.type(1 / epsilon), (dy * y).sum(axis=axes, keepdims=True), 0)
    return ((dy - y * along.astype(x.dtype)) * inverse).astype(x.dtype, copy=False)


def _inverse_norm(x: Array, axes: Axes, epsilon: float) -> Array:
    with np.errstate(divide="ignore", over="ignore"):
        inverse = 1 / np.sqrt(np.square(x).sum(axis=axes, keepdims=True))
    return np.minimum(inverse, x.dtype.type(1 / epsilon))


def _axes_of(x: Array, axis: int | Sequence[int], name: str) -> Axes:
    shapes.check_array(x, None, "x", name)
    axes = shapes.axes_of_examples(shapes.axes(axis, name), x.shape, name)
    if not axes or not all(x.shape[i] for i in axes):
        raise ValueError(
            f"{name} expects at least one number along axis={axis}. Received x.shape={x.shape}."
        )
    return axes


def _check_parameters(x: Array, axes: Axes, found: dict[str, Array | None], name: str) -> None:
    for argument, value in found.items():
        if value is not None:
            shapes.check_array(value, None, argument, name)
            shapes.check_shape(value, [x.shape[i] for i in axes], argument, name)
    shapes.check_same_dtype({"x": x, **found}, name)


def _fit(parameter: Array | None, x: Array, axes: Axes) -> Array | None:
    """Return a parameter in a shape that broadcasts with x."""
    if parameter is None:
        return None
    return parameter.reshape([x.shape[i] if i in axes else 1 for i in range(x.ndim)])


def _grouped(x: Array, groups: int, found: dict[str, Array | None], name: str) -> Array:
    """Return x as (batch, places, groups, channels of each)."""
    groups = shapes.positive_int(groups, "groups", name)
    axes = _axes_of(x, -1, name)
    if not all(x.shape[1:]):
        raise ValueError(f"{name} expects examples that are not empty. Received x.shape={x.shape}.")
    if x.shape[-1] % groups:
        raise ValueError(
            f"{name} expects channels divisible by {groups} groups. Received x.shape={x.shape}."
        )
    _check_parameters(x, axes, found, name)
    places = math.prod(x.shape[1:-1])
    return shapes.contiguous(x).reshape(x.shape[0], places, groups, x.shape[-1] // groups)


def _moments(x: Array, axes: Axes, epsilon: float) -> tuple[Array, Array]:
    """Return x - mean, and 1 / sqrt(variance + epsilon)."""
    centered = x - x.mean(axis=axes, keepdims=True)
    variance = np.square(centered).mean(axis=axes, keepdims=True)
    return centered, 1 / np.sqrt(variance + x.dtype.type(epsilon))


def _normalized(
    x: Array, gamma: Array | None, beta: Array | None, axes: Axes, epsilon: float, rms: bool
) -> Array:
    centered, inverse = _moments(x, axes, epsilon)
    y = np.multiply(x if rms else centered, inverse, out=centered)
    if gamma is not None:
        y *= gamma
    if beta is not None:
        y += beta
    return y


def _backward(
    dy: Array,
    x: Array,
    gamma: Array | None,
    axes: Axes,
    epsilon: float,
    rms: bool,
    need_dx: bool,
) -> tuple[Array | None, Array]:
    """Return dx, and dy * z, whose sums are dgamma."""
    centered, inverse = _moments(x, axes, epsilon)
    slope = dy * (x if rms else centered) * inverse
    if not need_dx:
        return None, slope
    g, gz = (dy, slope) if gamma is None else (dy * gamma, slope * gamma)
    centered *= inverse * gz.mean(axis=axes, keepdims=True)
    dx = g - centered
    if not rms:
        dx -= g.mean(axis=axes, keepdims=True)
    dx *= inverse
    return dx, slope
