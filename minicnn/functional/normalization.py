"""Batch normalization shifts and scales each channel to a learned mean and variance."""

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.checks import check_gradient
from minicnn.functional.elementwise import limits_of
from minicnn.functional.epilogue import UNBOUNDED, clamp_of, stops_of
from minicnn.functional.sums import PARTS

Array = np.ndarray


def _rows(x: Array, name: str) -> Array:
    shapes.check_array(x, None, "x", name)
    if x.ndim < 2:
        raise ValueError(f"{name} expects x with at least 2 dimensions. Received {x.shape}.")
    return shapes.contiguous(x).reshape(-1, x.shape[-1])


def _check_per_channel(x: Array, parameters: dict[str, Array], name: str) -> None:
    for argument, value in parameters.items():
        shapes.check_array(value, 1, argument, name)
        shapes.check_shape(value, (x.shape[-1],), argument, name)
    shapes.check_same_dtype({"x": x, **parameters}, name)


def batch_moments(x: Array, name: str = "batch_moments") -> tuple[Array, Array]:
    """Return mean, and variance = mean of (x - mean)**2, per channel (last axis) over the batch.

    The variance is the biased one (divided by the count); Keras uses the same for the moving
    variance. Sums run in float64. Raises `ValueError` for an empty batch.
    """
    rows = _rows(x, name)
    if len(rows) == 0:
        raise ValueError(f"{name} expects at least one example. Received x.shape={x.shape}.")
    shift = np.where(np.isfinite(rows[0]), rows[0], 0).astype(np.float64)
    sums = np.empty((PARTS, 2, rows.shape[1]))
    kernels.normalization.shifted_sums(rows, shift, sums)
    with np.errstate(invalid="ignore", over="ignore"):  # the result shows what is not finite
        mean, square = sums.sum(axis=0) / len(rows)
        variance = np.maximum(square - (mean - shift) ** 2, 0)
    return mean.astype(x.dtype), variance.astype(x.dtype)


def batch_normalization(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    beta: Array,
    epsilon: float = 1e-3,
    name: str = "batch_normalization",
    activation: str = "linear",
) -> Array:
    """y = activation(gamma * (x - mean) / sqrt(variance + epsilon) + beta).

    Per channel (last axis): `mean`, `variance`, `gamma` and `beta` have the shape (channels,). An
    activation that only has limits ("relu", "relu6") costs no time here; others are refused with a
    `ValueError`.
    """
    rows = _rows(x, name)
    _check_per_channel(x, {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}, name)
    limits = clamp_of(limits_of(activation, name), x.dtype)
    scale = (gamma / np.sqrt(variance + x.dtype.type(epsilon))).astype(x.dtype)
    y = buffers.empty(x.shape, x.dtype)
    mean, beta = shapes.contiguous(mean), shapes.contiguous(beta)
    kernels.normalization.forward(rows, mean, scale, beta, *limits, y.reshape(rows.shape))
    return y


def batch_normalization_backward(
    dy: Array,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    epsilon: float = 1e-3,
    training: bool = False,
    need_dx: bool = True,
    name: str = "batch_normalization",
    beta: Array | None = None,
    activation: str = "linear",
) -> tuple[Array | None, Array, Array]:
    """`(dx, dgamma, dbeta)` of `batch_normalization`; z = (x - mean) / sqrt(variance + epsilon).

        dbeta = sum of dy,   dgamma = sum of dy * z
        inference:  dx = gamma / sqrt(variance + epsilon) * dy
        training:   dx = gamma / sqrt(variance + epsilon) * (dy - mean(dy) - z * mean(dy * z))

    In training `mean` and `variance` must be the batch's own (`batch_moments(x)`): each x changed
    them, hence the two extra terms (Ioffe and Szegedy 2015, section 3).

    With an `activation`, dy is the gradient behind it, and counts as 0 where a limit stops it. To
    see where, the function computes gamma * z + beta once more, and so needs `beta`.
    """
    rows = _rows(x, name)
    beta = np.zeros_like(gamma) if beta is None else beta
    _check_per_channel(x, {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}, name)
    dy = check_gradient(dy, x.shape, x, name).reshape(rows.shape)
    limits, mean = limits_of(activation, name), shapes.contiguous(mean)
    scale = (gamma / np.sqrt(variance + x.dtype.type(epsilon))).astype(x.dtype)  # as in forward
    limited = scale, shapes.contiguous(beta), *stops_of(limits, x.dtype)
    free, kernel = limits == UNBOUNDED, kernels.normalization
    sums = np.empty((PARTS, 2, rows.shape[1]))
    if free:
        kernel.backward_sums(dy, rows, mean, sums)
    else:
        kernel.limited_sums(dy, rows, mean, *limited, sums)
    total, centered = sums.sum(axis=0)
    inverse = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    dgamma, dbeta = (centered * inverse).astype(x.dtype), total.astype(x.dtype)
    if not need_dx:
        return None, dgamma, dbeta
    dx = buffers.empty(x.shape, x.dtype)
    result = dx.reshape(rows.shape)
    if training:
        share_of_mean = (total / len(rows)).astype(x.dtype)
        slope = (centered * inverse**2 / len(rows)).astype(x.dtype)
        if free:
            kernel.backward_input(dy, rows, mean, scale, share_of_mean, slope, result)
        else:
            kernel.limited_input(dy, rows, mean, *limited, share_of_mean, slope, result)
    elif free:  # dx = (dy - 0) * scale + 0, whatever x is
        zero = np.zeros_like(scale)
        kernel.forward(dy, zero, scale, zero, *clamp_of(limits, x.dtype), result)
    else:
        kernel.limited_fixed(dy, rows, mean, *limited, result)
    return dx, dgamma, dbeta
