"""Activations and dropout change each element by itself; softmax, each vector of classes.

The gradients here take the output; `activations` has those whose gradients take the input.
"""

from typing import Any

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.checks import check_classes, check_gradient
from minicnn.functional.epilogue import UNBOUNDED, Limits

Array = np.ndarray


def rescaling(
    x: Array, scale: float | Array, offset: float | Array = 0.0, name: str = "rescaling"
) -> Array:
    """y = x * scale + offset; both are numbers, or arrays with a number for each channel."""
    shapes.check_array(x, None, "x", name)
    values = [_of_channels(v, x, what, name) for v, what in ((scale, "scale"), (offset, "offset"))]
    size = max(value.size for value in values)
    y = buffers.empty(x.shape, x.dtype)
    if size == 1:
        numbers = (value[0] for value in values)
        kernels.elementwise.rescale(shapes.contiguous(x).reshape(-1), *numbers, y.reshape(-1))
    else:
        lines = [shapes.contiguous(np.broadcast_to(value, (size,))) for value in values]
        pixels, into = (a.reshape(-1, size) for a in (shapes.contiguous(x), y))
        kernels.elementwise.rescale_channels(pixels, *lines, into)
    return y


def rescaling_backward(dy: Array, scale: float | Array, name: str = "rescaling") -> Array:
    """dx = dy * scale."""
    return rescaling(dy, scale, 0.0, name)


def _of_channels(value: float | Array, x: Array, what: str, name: str) -> Array:
    found = np.asarray(value, x.dtype).reshape(-1)
    if np.ndim(value) > 1 or (found.size != 1 and x.shape[-1:] != found.shape):
        channels = f" or one for each of {x.shape[-1]} channels" if x.ndim else ""
        raise ValueError(
            f"{name} expects {what} to be a number{channels}. "
            f"Received {what}.shape={np.shape(value)}."
        )
    return found


def relu(
    x: Array,
    max_value: float | None = None,
    negative_slope: float = 0.0,
    threshold: float = 0.0,
    name: str = "relu",
) -> Array:
    """y = x above `threshold`, `negative_slope * (x - threshold)` below, at most `max_value`.

    The defaults give max(x, 0); `max_value=6` is ReLU6. NaN stays NaN.
    """
    shapes.check_array(x, None, "x", name)
    y = buffers.empty(x.shape, x.dtype)
    cap = np.inf if max_value is None else max_value
    kernels.elementwise.relu(
        shapes.contiguous(x).reshape(-1),
        y.reshape(-1),
        *(x.dtype.type(v) for v in (cap, negative_slope, threshold)),
    )
    return y


def relu_backward(
    dy: Array,
    x: Array,
    max_value: float | None = None,
    negative_slope: float = 0.0,
    threshold: float = 0.0,
    name: str = "relu",
) -> Array:
    """dx = dy above `threshold`, `negative_slope * dy` at and below it, 0 at and above `max_value`.

    For plain ReLU the output y serves as well as the input x: both are above 0 at the same places.
    """
    shapes.check_array(x, None, "x", name)
    dy = check_gradient(dy, x.shape, x, name)
    dx = buffers.empty(x.shape, x.dtype)
    cap = np.nan if max_value is None else max_value  # not even infinity is at or above NaN
    kernels.elementwise.relu_backward(
        dy.reshape(-1),
        shapes.contiguous(x).reshape(-1),
        dx.reshape(-1),
        *(x.dtype.type(v) for v in (cap, negative_slope, threshold)),
    )
    return dx


def sigmoid(x: Array, name: str = "sigmoid") -> Array:
    """y = 1 / (1 + exp(-x)), as exp(min(x, 0)) / (1 + exp(-|x|)) so that nothing overflows."""
    shapes.check_array(x, None, "x", name)
    y = buffers.empty(x.shape, x.dtype)
    kernels.exponential.sigmoid(shapes.contiguous(x).reshape(-1), y.reshape(-1))
    return y


def sigmoid_backward(dy: Array, y: Array, name: str = "sigmoid") -> Array:
    """dx = dy * y * (1 - y), from the output y."""
    shapes.check_array(y, None, "y", name)
    dy = check_gradient(dy, y.shape, y, name)
    return dy * y * (1 - y)


def tanh(x: Array, name: str = "tanh") -> Array:
    """y = tanh(x)."""
    shapes.check_array(x, None, "x", name)
    y: Array = np.tanh(x)
    return y


def tanh_backward(dy: Array, y: Array, name: str = "tanh") -> Array:
    """dx = dy * (1 - y**2), from the output y."""
    shapes.check_array(y, None, "y", name)
    dy = check_gradient(dy, y.shape, y, name)
    return dy * (1 - y * y)


def softmax(x: Array, name: str = "softmax") -> Array:
    """y[..., k] = exp(x[..., k] - m) / sum over j of exp(x[..., j] - m), m the largest of x[...].

    The sum is over the last axis. Subtracting m cancels in the ratio and keeps exp from
    overflowing.
    """
    check_classes(x, "x", name)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def softmax_backward(dy: Array, y: Array, name: str = "softmax") -> Array:
    """dx[..., k] = y[..., k] * (dy[..., k] - sum over j of dy[..., j] * y[..., j])."""
    check_classes(y, "y", name)
    dy = check_gradient(dy, y.shape, y, name)
    dx: Array = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    return dx


def dropout(x: Array, mask: Array, rate: float, name: str = "dropout") -> Array:
    """y = x / (1 - rate) where the boolean `mask` is True, else 0, so that y's mean stays x's.

    `rate` in [0, 1) is the share that is dropped (Srivastava et al. 2014, scaled while training).
    """
    _check_mask(x, mask, rate, "x", name)
    return np.where(mask, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))


def _check_mask(x: Array, mask: Array, rate: float, argument: str, name: str) -> None:
    shapes.check_array(x, None, argument, name)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        received = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"{name} expects mask to be an array of booleans. Received {received}.")
    shapes.check_shape(mask, x.shape, "mask", name)
    if not 0 <= rate < 1:
        raise ValueError(f"{name} expects rate to be at least 0 and below 1. Received {rate!r}.")


def dropout_backward(dy: Array, mask: Array, rate: float, name: str = "dropout") -> Array:
    """dx = dy / (1 - rate) where the mask is True, else 0."""
    return dropout(dy, mask, rate, name)


SATURATED = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946
"""The value of SELU far below 0: minus its alpha times its scale."""


def alpha_factors(rate: float) -> tuple[float, float]:
    """Return `(a, b)` such that a * x + b has mean 0 and variance 1 again."""
    a = ((1 - rate) * (1 + rate * SATURATED**2)) ** -0.5
    return a, -a * SATURATED * rate


def alpha_dropout(x: Array, mask: Array, rate: float, name: str = "alpha_dropout") -> Array:
    """y = a * (x where the boolean `mask` is True, else s) + b, s being SELU's value far below 0.

    a = ((1 - rate) * (1 + rate * s²))^(-1/2) and b = -a * s * rate let numbers with the mean 0 and
    the variance 1 keep both; `rate` in [0, 1) is the share that is dropped (Klambauer et al. 2017).
    """
    _check_mask(x, mask, rate, "x", name)
    a, b = alpha_factors(rate)
    real = x.dtype.type
    return np.where(mask, x * real(a) + real(b), real(a * SATURATED + b))


def alpha_dropout_backward(
    dy: Array, mask: Array, rate: float, name: str = "alpha_dropout"
) -> Array:
    """dx = a * dy where the mask is True, else 0."""
    _check_mask(dy, mask, rate, "dy", name)
    return np.where(mask, dy * dy.dtype.type(alpha_factors(rate)[0]), dy.dtype.type(0))


def relu6(x: Array) -> Array:
    """y = min(max(x, 0), 6)."""
    return relu(x, max_value=6.0)


def linear(x: Array) -> Array:
    """y = x."""
    return x


# The activations that only keep z between two limits: they can be a convolution's epilogue.
LIMITS: dict[str, Limits] = {"linear": UNBOUNDED, "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}


def limits_of(activation: Any, name: str) -> Limits:
    """Return the limits of an activation that has only limits; others raise a `ValueError`."""
    return LIMITS[shapes.choice(activation, LIMITS, "activation", name)]
