"""Activations whose gradient needs their input x: `backward(dy, x)`; see `minicnn.naive`."""

import math
from typing import Any

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.checks import check_classes, check_gradient
from minicnn.functional.elementwise import relu, relu_backward, sigmoid

Array = np.ndarray

# Klambauer et al. 2017: with them, layers keep mean 0 and variance 1.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _checked(x: Any, name: str) -> Array:
    found: Array = shapes.check_array(x, None, "x", name)
    return found


def _both(dy: Any, x: Any, name: str) -> tuple[Array, Array]:
    x = shapes.check_array(x, None, "x", name)
    return check_gradient(dy, x.shape, x, name), x


def elu(x: Array, alpha: float = 1.0, name: str = "elu") -> Array:
    """y = x above 0, alpha * (exp(x) - 1) elsewhere."""
    x = _checked(x, name)
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def elu_backward(dy: Array, x: Array, alpha: float = 1.0, name: str = "elu") -> Array:
    """dx = dy above 0, dy * alpha * exp(x) elsewhere."""
    dy, x = _both(dy, x, name)
    return np.where(x > 0, dy, dy * x.dtype.type(alpha) * np.exp(np.minimum(x, 0)))


def selu(x: Array, name: str = "selu") -> Array:
    """y = scale * elu(x, alpha), with scale = 1.0507… and alpha = 1.6732."""
    return elu(x, SELU_ALPHA, name) * x.dtype.type(SELU_SCALE)


def selu_backward(dy: Array, x: Array, name: str = "selu") -> Array:
    """dx = dy * scale from 0 on, dy * scale * alpha * exp(x) below."""
    dy, x = _both(dy, x, name)
    below = x.dtype.type(SELU_ALPHA) * np.exp(np.minimum(x, 0))
    return dy * x.dtype.type(SELU_SCALE) * np.where(x >= 0, x.dtype.type(1), below)


def celu(x: Array, alpha: float = 1.0, name: str = "celu") -> Array:
    """y = x above 0, alpha * (exp(x / alpha) - 1) elsewhere."""
    x = _checked(x, name)
    a = x.dtype.type(alpha)
    return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0) / a))


def celu_backward(dy: Array, x: Array, alpha: float = 1.0, name: str = "celu") -> Array:
    """dx = dy above 0, dy * exp(x / alpha) elsewhere."""
    dy, x = _both(dy, x, name)
    return np.where(x > 0, dy, dy * np.exp(np.minimum(x, 0) / x.dtype.type(alpha)))


def leaky_relu(x: Array, negative_slope: float = 0.2, name: str = "leaky_relu") -> Array:
    """y = x above 0, negative_slope * x elsewhere."""
    return relu(x, negative_slope=negative_slope, name=name)


def leaky_relu_backward(
    dy: Array, x: Array, negative_slope: float = 0.2, name: str = "leaky_relu"
) -> Array:
    """dx = dy above 0, dy * negative_slope elsewhere."""
    return relu_backward(dy, x, negative_slope=negative_slope, name=name)


def silu(x: Array, name: str = "silu") -> Array:
    """y = x * sigmoid(x); also called swish."""
    x = _checked(x, name)
    y = buffers.empty(x.shape, x.dtype)
    kernels.exponential.silu(shapes.contiguous(x).reshape(-1), y.reshape(-1))
    return y


def silu_backward(dy: Array, x: Array, name: str = "silu") -> Array:
    """dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x)."""
    dy, x = _both(dy, x, name)
    dx = buffers.empty(x.shape, x.dtype)
    flat = (shapes.contiguous(array).reshape(-1) for array in (dy, x))
    kernels.exponential.silu_backward(*flat, dx.reshape(-1))
    return dx


def gelu(x: Array, approximate: bool = False, name: str = "gelu") -> Array:
    """y = x * P(x), P the share of a normal distribution that lies below x.

    P(x) = (1 + erf(x / sqrt 2)) / 2, approximately (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2.
    """
    x = _checked(x, name)
    return x * _below(x, approximate)


def gelu_backward(dy: Array, x: Array, approximate: bool = False, name: str = "gelu") -> Array:
    """dx = dy * (P(x) + x * P'(x))."""
    dy, x = _both(dy, x, name)
    below, one = _below(x, approximate), x.dtype.type
    if approximate:
        inner = one(math.sqrt(2 / math.pi)) * (1 + one(3 * 0.044715) * x * x)
        density = 2 * below * (1 - below) * inner
    else:
        density = np.exp(x * x * one(-0.5)) * one(1 / math.sqrt(2 * math.pi))
    found: Array = dy * (below + x * density)
    return found


def _below(x: Array, approximate: bool) -> Array:
    """Return the share of a normal distribution that lies below x."""
    one = x.dtype.type
    if approximate:
        inside = one(math.sqrt(2 / math.pi)) * (x + one(0.044715) * x * x * x)
        return (1 + np.tanh(inside)) * one(0.5)
    return (1 + _erf(x * one(math.sqrt(0.5)))) * one(0.5)


# Eigen's quotient of polynomials in x^2, by which TensorFlow computes erf in float32.
_ERF_TOP = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
    -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
_ERF_BOTTOM = (
    -1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
    -1.42647390514189e-02,
)  # fmt: skip


def _erf(x: Array) -> Array:
    """Return erf(x) = 2/sqrt(pi) * the integral of exp(-t^2) from 0 to x, almost exact.

    NumPy has no erf, so float64 goes through Python, number by number.
    """
    if x.dtype == np.float64:
        flat = [math.erf(v) for v in x.ravel().tolist()]
        return np.array(flat, np.float64).reshape(x.shape)
    one = x.dtype.type
    x = np.clip(x, -4, 4)
    square = x * x
    top, bottom = np.full_like(x, _ERF_TOP[0]), np.full_like(x, _ERF_BOTTOM[0])
    for sums, factors in ((top, _ERF_TOP), (bottom, _ERF_BOTTOM)):
        for factor in factors[1:]:
            sums *= square
            sums += one(factor)
    top *= x
    top /= bottom
    return top


def softplus(x: Array, name: str = "softplus") -> Array:
    """y = log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|)) so that nothing overflows."""
    x = _checked(x, name)
    found: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return found


def softplus_backward(dy: Array, x: Array, name: str = "softplus") -> Array:
    """dx = dy * sigmoid(x)."""
    dy, x = _both(dy, x, name)
    return dy * sigmoid(x, name)


def log_sigmoid(x: Array, name: str = "log_sigmoid") -> Array:
    """y = log(sigmoid(x)) = -softplus(-x)."""
    return -softplus(-_checked(x, name), name)


def log_sigmoid_backward(dy: Array, x: Array, name: str = "log_sigmoid") -> Array:
    """dx = dy * sigmoid(-x)."""
    dy, x = _both(dy, x, name)
    return dy * sigmoid(-x, name)


def softsign(x: Array, name: str = "softsign") -> Array:
    """y = x / (1 + |x|)."""
    x = _checked(x, name)
    found: Array = x / (1 + np.abs(x))
    return found


def softsign_backward(dy: Array, x: Array, name: str = "softsign") -> Array:
    """dx = dy / (1 + |x|)^2."""
    dy, x = _both(dy, x, name)
    found: Array = dy / np.square(1 + np.abs(x))
    return found


def mish(x: Array, name: str = "mish") -> Array:
    """y = x * tanh(softplus(x))."""
    found: Array = x * np.tanh(softplus(x, name))
    return found


def mish_backward(dy: Array, x: Array, name: str = "mish") -> Array:
    """dx = dy * (t + x * (1 - t^2) * sigmoid(x)), t = tanh(softplus(x))."""
    dy, x = _both(dy, x, name)
    t = np.tanh(softplus(x, name))
    found: Array = dy * (t + x * (1 - t * t) * sigmoid(x, name))
    return found


def squareplus(x: Array, b: float = 4.0, name: str = "squareplus") -> Array:
    """y = (x + sqrt(x^2 + b)) / 2."""
    x = _checked(x, name)
    half = x.dtype.type(0.5)
    found: Array = (x + np.sqrt(x * x + x.dtype.type(b))) * half
    return found


def squareplus_backward(dy: Array, x: Array, b: float = 4.0, name: str = "squareplus") -> Array:
    """dx = dy * (1 + x / sqrt(x^2 + b)) / 2."""
    dy, x = _both(dy, x, name)
    found: Array = dy * (1 + x / np.sqrt(x * x + x.dtype.type(b))) * x.dtype.type(0.5)
    return found


def hard_sigmoid(x: Array, name: str = "hard_sigmoid", slope: float = 1 / 6) -> Array:
    """y = min(max(slope * x + 1/2, 0), 1); 1/6 is Keras 3's slope, 0.2 was that of Keras 1 and 2.

    Models in files of Keras 1 and 2 keep theirs.
    """
    x = _checked(x, name)
    if slope != 1 / 6:
        y: Array = (x * x.dtype.type(slope) + x.dtype.type(0.5)).clip(0, 1)
        return y
    y = buffers.empty(x.shape, x.dtype)
    kernels.elementwise.hard_sigmoid(shapes.contiguous(x).reshape(-1), y.reshape(-1))
    return y


def hard_sigmoid_backward(
    dy: Array, x: Array, name: str = "hard_sigmoid", slope: float = 1 / 6
) -> Array:
    """dx = dy * slope where y lies between 0 and 1, else 0."""
    dy, x = _both(dy, x, name)
    if slope == 1 / 6:
        return np.where(np.abs(x) < 3, dy / x.dtype.type(6), x.dtype.type(0))
    inside = np.abs(x * x.dtype.type(slope)) < x.dtype.type(0.5)
    return np.where(inside, dy * x.dtype.type(slope), x.dtype.type(0))


def hard_silu(x: Array, name: str = "hard_silu") -> Array:
    """y = x * hard_sigmoid(x); also called hard_swish."""
    x = _checked(x, name)
    y = buffers.empty(x.shape, x.dtype)
    kernels.elementwise.hard_silu(shapes.contiguous(x).reshape(-1), y.reshape(-1))
    return y


def hard_silu_backward(dy: Array, x: Array, name: str = "hard_silu") -> Array:
    """dx = dy * (2x + 3) / 6 between -3 and 3, 0 below, dy above."""
    dy, x = _both(dy, x, name)
    dx = buffers.empty(x.shape, x.dtype)
    flat = (shapes.contiguous(array).reshape(-1) for array in (dy, x))
    kernels.elementwise.hard_silu_backward(*flat, dx.reshape(-1))
    return dx


def hard_tanh(x: Array, name: str = "hard_tanh") -> Array:
    """y = min(max(x, -1), 1)."""
    return np.clip(_checked(x, name), -1, 1)


def hard_tanh_backward(dy: Array, x: Array, name: str = "hard_tanh") -> Array:
    """dx = dy from -1 to 1, both included, else 0."""
    dy, x = _both(dy, x, name)
    return np.where(np.abs(x) <= 1, dy, x.dtype.type(0))


def hard_shrink(x: Array, threshold: float = 0.5, name: str = "hard_shrink") -> Array:
    """y = x where |x| > threshold, else 0."""
    x = _checked(x, name)
    return np.where(np.abs(x) > threshold, x, x.dtype.type(0))


def hard_shrink_backward(
    dy: Array, x: Array, threshold: float = 0.5, name: str = "hard_shrink"
) -> Array:
    """dx = dy where |x| > threshold, else 0."""
    dy, x = _both(dy, x, name)
    return np.where(np.abs(x) > threshold, dy, x.dtype.type(0))


def soft_shrink(x: Array, threshold: float = 0.5, name: str = "soft_shrink") -> Array:
    """y = x moved towards 0 by the threshold, but not beyond 0."""
    x = _checked(x, name)
    found: Array = np.copysign(np.maximum(np.abs(x) - x.dtype.type(threshold), 0), x)
    return found


def soft_shrink_backward(
    dy: Array, x: Array, threshold: float = 0.5, name: str = "soft_shrink"
) -> Array:
    """dx = dy where |x| > threshold, else 0."""
    return hard_shrink_backward(dy, x, threshold, name)


def tanh_shrink(x: Array, name: str = "tanh_shrink") -> Array:
    """y = x - tanh(x)."""
    x = _checked(x, name)
    found: Array = x - np.tanh(x)
    return found


def tanh_shrink_backward(dy: Array, x: Array, name: str = "tanh_shrink") -> Array:
    """dx = dy * tanh(x)^2."""
    dy, x = _both(dy, x, name)
    found: Array = dy * np.square(np.tanh(x))
    return found


def sparse_plus(x: Array, name: str = "sparse_plus") -> Array:
    """y = 0 up to -1, (x + 1)^2 / 4 between -1 and 1, x from 1 on."""
    x = _checked(x, name)
    middle = np.square(np.clip(x, -1, 1) + 1) * x.dtype.type(0.25)
    return np.where(x < 1, middle, x)


def sparse_plus_backward(dy: Array, x: Array, name: str = "sparse_plus") -> Array:
    """dx = dy times 0 up to -1, (x + 1) / 2 between -1 and 1, 1 from 1 on."""
    dy, x = _both(dy, x, name)
    slope = sparse_sigmoid(x, name)
    return np.where(slope != 0, dy * slope, x.dtype.type(0))


def sparse_sigmoid(x: Array, name: str = "sparse_sigmoid") -> Array:
    """y = 0 up to -1, (x + 1) / 2 between -1 and 1, 1 from 1 on."""
    x = _checked(x, name)
    found: Array = (np.clip(x, -1, 1) + 1) * x.dtype.type(0.5)
    return found


def sparse_sigmoid_backward(dy: Array, x: Array, name: str = "sparse_sigmoid") -> Array:
    """dx = dy / 2 between -1 and 1, else 0."""
    dy, x = _both(dy, x, name)
    return np.where(np.abs(x) < 1, dy * x.dtype.type(0.5), x.dtype.type(0))


def exponential(x: Array, name: str = "exponential") -> Array:
    """y = exp(x)."""
    found: Array = np.exp(_checked(x, name))
    return found


def exponential_backward(dy: Array, x: Array, name: str = "exponential") -> Array:
    """dx = dy * exp(x)."""
    dy, x = _both(dy, x, name)
    found: Array = dy * np.exp(x)
    return found


def log_softmax(x: Array, name: str = "log_softmax") -> Array:
    """y[..., k] = x[..., k] - m - log(sum over j of exp(x[..., j] - m)), m the largest x."""
    check_classes(x, "x", name)
    moved = x - x.max(axis=-1, keepdims=True)
    y: Array = moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))
    return y


def log_softmax_backward(dy: Array, x: Array, name: str = "log_softmax") -> Array:
    """dx[k] = dy[k] - softmax(x)[k] * sum over j of dy[j]."""
    y = log_softmax(x, name)
    dy = check_gradient(dy, x.shape, x, name)
    dx: Array = dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)
    return dx


def prelu(x: Array, alpha: Array, name: str = "prelu") -> Array:
    """y = x above 0, alpha * x elsewhere; alpha has the shape of one example, or 1 in an axis."""
    _check_alpha(x, alpha, name)
    return np.where(x > 0, x, alpha * x)


def prelu_backward(dy: Array, x: Array, alpha: Array, name: str = "prelu") -> tuple[Array, Array]:
    """dx = dy above 0, dy * alpha below, 0 at 0; dalpha sums dy * x where x is below 0.

    Keras computes it with `relu(x)` and `relu(-x)`, neither of which has a gradient at 0.
    """
    _check_alpha(x, alpha, name)
    dy = check_gradient(dy, x.shape, x, name)
    dx = np.where(x > 0, dy, np.where(x < 0, dy * alpha, x.dtype.type(0)))
    shared = tuple(axis + 1 for axis, size in enumerate(alpha.shape) if size == 1)
    below = np.where(x < 0, dy * x, x.dtype.type(0)).sum(axis=(0, *shared), keepdims=True)
    return dx, below.reshape(alpha.shape)


def _check_alpha(x: Array, alpha: Array, name: str) -> None:
    shapes.check_array(x, None, "x", name)
    shapes.check_array(alpha, None, "alpha", name)
    shapes.check_same_dtype({"x": x, "alpha": alpha}, name)
    fits = alpha.ndim == x.ndim - 1 and all(
        size in (1, own) for size, own in zip(alpha.shape, x.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} expects alpha to have the shape of one example, or 1 in an axis. "
            f"Received alpha.shape={alpha.shape}, x.shape={x.shape}."
        )
