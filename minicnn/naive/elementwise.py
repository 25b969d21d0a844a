"""Activations and dropout as plain loops."""

import math

import numpy as np

Array = np.ndarray


def rescaling(x: Array, scale: float | Array, offset: float | Array = 0.0) -> Array:
    """y = x * scale + offset, each a number, or one for each channel."""
    scales, offsets = (np.broadcast_to(v, x.shape) for v in (scale, offset))
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = x[p] * scales[p] + offsets[p]
    return y


def rescaling_backward(dy: Array, scale: float | Array) -> Array:
    """dx = dy * scale."""
    return rescaling(dy, scale, 0.0)


def relu(
    x: Array, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
) -> Array:
    """y = x above the threshold, `negative_slope * (x - threshold)` below, at most `max_value`."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        if x[p] <= threshold:
            y[p] = negative_slope * (x[p] - threshold) if negative_slope else 0.0
        else:  # also NaN, which is neither above nor below
            y[p] = max_value if max_value is not None and x[p] > max_value else x[p]
    return y


def relu_backward(
    dy: Array,
    x: Array,
    max_value: float | None = None,
    negative_slope: float = 0.0,
    threshold: float = 0.0,
) -> Array:
    """dx = dy where y follows x, `negative_slope * dy` below, 0 where y is capped.

    At the threshold itself the slope below it applies, so relu's gradient at 0 is 0.
    """
    dx = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        if x[p] <= threshold:
            dx[p] = negative_slope * dy[p] if negative_slope else 0.0
        else:
            dx[p] = 0.0 if max_value is not None and x[p] >= max_value else dy[p]
    return dx


def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + exp(-x)); for negative x as exp(x) / (1 + exp(x)), so that nothing overflows."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        e = math.exp(-abs(x[p]))
        y[p] = 1 / (1 + e) if x[p] >= 0 else e / (1 + e)
    return y


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dx = dy * y * (1 - y), from the output y."""
    dx = np.zeros_like(y)
    for p in np.ndindex(y.shape):
        dx[p] = dy[p] * y[p] * (1 - y[p])
    return dx


def tanh(x: Array) -> Array:
    """y = tanh(x)."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = math.tanh(x[p])
    return y


def tanh_backward(dy: Array, y: Array) -> Array:
    """dx = dy * (1 - y**2), from the output y."""
    dx = np.zeros_like(y)
    for p in np.ndindex(y.shape):
        dx[p] = dy[p] * (1 - y[p] ** 2)
    return dx


def softmax(x: Array) -> Array:
    """y[..., k] = exp(x[..., k] - m) / sum over j of exp(x[..., j] - m), m the largest x.

    Subtracting m changes nothing (it cancels) and keeps exp from overflowing.
    """
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape[:-1]):
        m = max(x[p])
        total = sum(math.exp(v - m) for v in x[p])
        for k in range(x.shape[-1]):
            y[(*p, k)] = math.exp(x[(*p, k)] - m) / total
    return y


def softmax_backward(dy: Array, y: Array) -> Array:
    """dx[k] = y[k] * (dy[k] - sum over j of dy[j] * y[j]), from the output y."""
    dx = np.zeros_like(y)
    for p in np.ndindex(y.shape[:-1]):
        mean = sum(dy[p] * y[p])
        for k in range(y.shape[-1]):
            dx[(*p, k)] = y[(*p, k)] * (dy[(*p, k)] - mean)
    return dx


def dropout(x: Array, mask: Array, rate: float) -> Array:
    """y = x / (1 - rate) where the mask is True, else 0: the expected value stays x."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = x[p] / (1 - rate) if mask[p] else 0.0
    return y


def dropout_backward(dy: Array, mask: Array, rate: float) -> Array:
    """dx = dy / (1 - rate) where the mask is True, else 0."""
    return dropout(dy, mask, rate)


_SATURATED = -1.7580993408473766  # SELU's value far below 0: -alpha * scale


def alpha_dropout(x: Array, mask: Array, rate: float) -> Array:
    """y = a * (x if kept else s) + b: numbers with the mean 0 and the variance 1 keep both."""
    s = _SATURATED
    a = 1 / math.sqrt((1 - rate) * (1 + rate * s * s))
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = a * (x[p] if mask[p] else s) - a * s * rate
    return y


def alpha_dropout_backward(dy: Array, mask: Array, rate: float) -> Array:
    """dx = a * dy where the mask is True, else 0."""
    a = 1 / math.sqrt((1 - rate) * (1 + rate * _SATURATED * _SATURATED))
    dx = np.zeros_like(dy)
    for p in np.ndindex(dy.shape):
        dx[p] = a * dy[p] if mask[p] else 0.0
    return dx
