"""Activations whose gradients need the input x, each element by itself, as plain loops."""

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _each(f: Callable[[float], float], x: Array) -> Array:
    """Return f of each number."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = f(float(x[p]))
    return y


def _times(dy: Array, slope: Callable[[float], float], x: Array) -> Array:
    """Return dx = dy * slope(x), and 0 where the slope is 0, even if dy is infinite."""
    dx = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        steep = slope(float(x[p]))
        dx[p] = dy[p] * steep if steep else 0.0
    return dx


def _sigmoid(v: float) -> float:
    e = math.exp(-abs(v))
    return 1 / (1 + e) if v >= 0 else e / (1 + e)


def _softplus(v: float) -> float:
    return max(v, 0.0) + math.log1p(math.exp(-abs(v)))


def elu(x: Array, alpha: float = 1.0) -> Array:
    """y = x above 0, alpha * (exp(x) - 1) elsewhere."""
    return _each(lambda v: v if v > 0 else alpha * math.expm1(v), x)


def elu_backward(dy: Array, x: Array, alpha: float = 1.0) -> Array:
    """dx = dy above 0, dy * alpha * exp(x) elsewhere."""
    return _times(dy, lambda v: 1.0 if v > 0 else alpha * math.exp(v), x)


def selu(x: Array) -> Array:
    """y = scale * elu(x, alpha), with scale = 1.0507… and alpha = 1.6732."""
    return _each(lambda v: SELU_SCALE * (v if v > 0 else SELU_ALPHA * math.expm1(v)), x)


def selu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * scale from 0 on, dy * scale * alpha * exp(x) below."""
    return _times(dy, lambda v: SELU_SCALE * (1.0 if v >= 0 else SELU_ALPHA * math.exp(v)), x)


def celu(x: Array, alpha: float = 1.0) -> Array:
    """y = x above 0, alpha * (exp(x / alpha) - 1) elsewhere."""
    return _each(lambda v: v if v > 0 else alpha * math.expm1(v / alpha), x)


def celu_backward(dy: Array, x: Array, alpha: float = 1.0) -> Array:
    """dx = dy above 0, dy * exp(x / alpha) elsewhere."""
    return _times(dy, lambda v: 1.0 if v > 0 else math.exp(v / alpha), x)


def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """y = x above 0, negative_slope * x elsewhere."""
    return _each(lambda v: v if v > 0 else negative_slope * v, x)


def leaky_relu_backward(dy: Array, x: Array, negative_slope: float = 0.2) -> Array:
    """dx = dy above 0, dy * negative_slope elsewhere."""
    return _times(dy, lambda v: negative_slope if v <= 0 else 1.0, x)


def silu(x: Array) -> Array:
    """y = x * sigmoid(x)."""
    return _each(lambda v: v * _sigmoid(v), x)


def silu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x)."""
    return _times(dy, lambda v: _sigmoid(v) * (1 + v * (1 - _sigmoid(v))), x)


def gelu(x: Array, approximate: bool = False) -> Array:
    """y = x * P(x), P the share of a normal distribution that lies below x.

    P(x) = (1 + erf(x / sqrt 2)) / 2, approximately (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2.
    """
    if approximate:
        return _each(lambda v: v * (1 + math.tanh(_gelu_inside(v))) / 2, x)
    return _each(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2, x)


def gelu_backward(dy: Array, x: Array, approximate: bool = False) -> Array:
    """dx = dy * (P(x) + x * P'(x))."""

    def approximated(v: float) -> float:
        t = math.tanh(_gelu_inside(v))
        inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * v * v)
        return (1 + t) / 2 + v * (1 - t * t) * inner / 2

    def exact(v: float) -> float:
        density = math.exp(-v * v / 2) / math.sqrt(2 * math.pi)
        return (1 + math.erf(v / math.sqrt(2))) / 2 + v * density

    return _times(dy, approximated if approximate else exact, x)


def _gelu_inside(v: float) -> float:
    return math.sqrt(2 / math.pi) * (v + 0.044715 * v * v * v)


def softplus(x: Array) -> Array:
    """y = log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|)) so that nothing overflows."""
    return _each(_softplus, x)


def softplus_backward(dy: Array, x: Array) -> Array:
    """dx = dy * sigmoid(x)."""
    return _times(dy, _sigmoid, x)


def log_sigmoid(x: Array) -> Array:
    """y = log(sigmoid(x)) = -softplus(-x)."""
    return _each(lambda v: -_softplus(-v), x)


def log_sigmoid_backward(dy: Array, x: Array) -> Array:
    """dx = dy * sigmoid(-x)."""
    return _times(dy, lambda v: _sigmoid(-v), x)


def softsign(x: Array) -> Array:
    """y = x / (1 + |x|)."""
    return _each(lambda v: v / (1 + abs(v)), x)


def softsign_backward(dy: Array, x: Array) -> Array:
    """dx = dy / (1 + |x|)^2."""
    return _times(dy, lambda v: 1 / (1 + abs(v)) ** 2, x)


def mish(x: Array) -> Array:
    """y = x * tanh(softplus(x))."""
    return _each(lambda v: v * math.tanh(_softplus(v)), x)


def mish_backward(dy: Array, x: Array) -> Array:
    """dx = dy * (t + x * (1 - t^2) * sigmoid(x)), t = tanh(softplus(x))."""

    def slope(v: float) -> float:
        t = math.tanh(_softplus(v))
        return t + v * (1 - t * t) * _sigmoid(v)

    return _times(dy, slope, x)


def squareplus(x: Array, b: float = 4.0) -> Array:
    """y = (x + sqrt(x^2 + b)) / 2."""
    return _each(lambda v: (v + math.sqrt(v * v + b)) / 2, x)


def squareplus_backward(dy: Array, x: Array, b: float = 4.0) -> Array:
    """dx = dy * (1 + x / sqrt(x^2 + b)) / 2."""
    return _times(dy, lambda v: (1 + v / math.sqrt(v * v + b)) / 2, x)


def hard_sigmoid(x: Array, slope: float = 1 / 6) -> Array:
    """y = min(max(slope * x + 1/2, 0), 1): a sigmoid of straight lines."""
    return _each(lambda v: min(max(slope * v + 0.5, 0.0), 1.0), x)


def hard_sigmoid_backward(dy: Array, x: Array, slope: float = 1 / 6) -> Array:
    """dx = dy * slope where y lies between 0 and 1, else 0."""
    return _times(dy, lambda v: slope if abs(v) < 0.5 / slope else 0.0, x)


def hard_silu(x: Array) -> Array:
    """y = x * hard_sigmoid(x)."""
    return _each(lambda v: v * (min(max(v + 3, 0.0), 6.0) / 6), x)


def hard_silu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * (2x + 3) / 6 between -3 and 3, 0 below, dy above."""
    return _times(dy, lambda v: min(max(v + 3, 0.0), 6.0) / 6 + (v / 6 if -3 < v < 3 else 0.0), x)


def hard_tanh(x: Array) -> Array:
    """y = min(max(x, -1), 1)."""
    return _each(lambda v: min(max(v, -1.0), 1.0), x)


def hard_tanh_backward(dy: Array, x: Array) -> Array:
    """dx = dy from -1 to 1, both included, else 0."""
    return _times(dy, lambda v: 1.0 if -1 <= v <= 1 else 0.0, x)


def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """y = x where |x| > threshold, else 0."""
    return _each(lambda v: v if abs(v) > threshold else 0.0, x)


def hard_shrink_backward(dy: Array, x: Array, threshold: float = 0.5) -> Array:
    """dx = dy where |x| > threshold, else 0."""
    return _times(dy, lambda v: 1.0 if abs(v) > threshold else 0.0, x)


def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """y = x moved towards 0 by the threshold, but not beyond 0."""
    return _each(lambda v: math.copysign(max(abs(v) - threshold, 0.0), v), x)


def soft_shrink_backward(dy: Array, x: Array, threshold: float = 0.5) -> Array:
    """dx = dy where |x| > threshold, else 0."""
    return _times(dy, lambda v: 1.0 if abs(v) > threshold else 0.0, x)


def tanh_shrink(x: Array) -> Array:
    """y = x - tanh(x)."""
    return _each(lambda v: v - math.tanh(v), x)


def tanh_shrink_backward(dy: Array, x: Array) -> Array:
    """dx = dy * tanh(x)^2."""
    return _times(dy, lambda v: math.tanh(v) ** 2, x)


def sparse_plus(x: Array) -> Array:
    """y = 0 up to -1, (x + 1)^2 / 4 between -1 and 1, x from 1 on."""
    return _each(lambda v: 0.0 if v <= -1 else (v + 1) ** 2 / 4 if v < 1 else v, x)


def sparse_plus_backward(dy: Array, x: Array) -> Array:
    """dx = dy times 0 up to -1, (x + 1) / 2 between -1 and 1, 1 from 1 on."""
    return _times(dy, lambda v: (min(max(v, -1.0), 1.0) + 1) / 2, x)


def sparse_sigmoid(x: Array) -> Array:
    """y = 0 up to -1, (x + 1) / 2 between -1 and 1, 1 from 1 on."""
    return _each(lambda v: (min(max(v, -1.0), 1.0) + 1) / 2, x)


def sparse_sigmoid_backward(dy: Array, x: Array) -> Array:
    """dx = dy / 2 between -1 and 1, else 0."""
    return _times(dy, lambda v: 0.5 if -1 < v < 1 else 0.0, x)


def exponential(x: Array) -> Array:
    """y = exp(x)."""
    return _each(math.exp, x)


def exponential_backward(dy: Array, x: Array) -> Array:
    """dx = dy * exp(x)."""
    return _times(dy, math.exp, x)


def log_softmax(x: Array) -> Array:
    """y[..., k] = x[..., k] - m - log(sum over j of exp(x[..., j] - m)), m the largest x."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape[:-1]):
        m = max(x[p])
        total = sum(math.exp(v - m) for v in x[p])
        for k in range(x.shape[-1]):
            y[(*p, k)] = x[(*p, k)] - m - math.log(total)
    return y


def log_softmax_backward(dy: Array, x: Array) -> Array:
    """dx[k] = dy[k] - softmax(x)[k] * sum over j of dy[j]."""
    y, dx = log_softmax(x), np.zeros_like(x)
    for p in np.ndindex(x.shape[:-1]):
        total = sum(dy[p])
        for k in range(x.shape[-1]):
            dx[(*p, k)] = dy[(*p, k)] - math.exp(y[(*p, k)]) * total
    return dx


def prelu(x: Array, alpha: Array) -> Array:
    """y = x above 0, alpha * x elsewhere; alpha has the shape of one example, or 1 in an axis."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = x[p] if x[p] > 0 else alpha[_shared(p, alpha)] * x[p]
    return y


def prelu_backward(dy: Array, x: Array, alpha: Array) -> tuple[Array, Array]:
    """dx = dy above 0, dy * alpha below, 0 at 0; dalpha sums dy * x where x is below 0."""
    dx, dalpha = np.zeros_like(x), np.zeros_like(alpha)
    for p in np.ndindex(x.shape):
        if x[p] > 0:
            dx[p] = dy[p]
        elif x[p] < 0:
            dx[p] = dy[p] * alpha[_shared(p, alpha)]
            dalpha[_shared(p, alpha)] += dy[p] * x[p]
    return dx, dalpha


def _shared(place: tuple[int, ...], alpha: Array) -> tuple[int, ...]:
    """Return the place in alpha that applies to a place in x."""
    return tuple(0 if size == 1 else i for i, size in zip(place[1:], alpha.shape, strict=True))
