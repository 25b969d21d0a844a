"""Element by element over a flat array. Memory decides the speed: both cores read and write."""

import math

from numba import prange

from minicnn.kernels.compile import parallel_jit


@parallel_jit
def add(x0, x1, y):  # type: ignore[no-untyped-def]
    """y = x0 + x1."""
    for i in prange(y.size):
        y[i] = x0[i] + x1[i]


@parallel_jit
def relu(x, y, cap, slope, threshold):  # type: ignore[no-untyped-def]
    """y = min(x, cap) above the threshold, slope * (x - threshold) below; `cap` may be infinite."""
    zero = x.dtype.type(0)
    for i in prange(x.size):
        v = x[i]
        below = slope * (v - threshold) if slope != 0 else zero
        y[i] = below if v <= threshold else (cap if v > cap else v)


@parallel_jit
def relu_backward(dy, x, dx, cap, slope, threshold):  # type: ignore[no-untyped-def]
    """dx = dy above the threshold and below the cap, slope * dy at and below the threshold, else 0.

    A NaN in x lets dy through, so that it shows instead of silently stopping the gradient.
    """
    zero = x.dtype.type(0)
    for i in prange(x.size):
        v, g = x[i], dy[i]
        below = slope * g if slope != 0 else zero
        dx[i] = below if v <= threshold else (zero if v >= cap else g)


@parallel_jit
def adam(w, g, m, v, one_minus_beta_1, one_minus_beta_2, rate, epsilon):  # type: ignore[no-untyped-def]
    """One step of Adam in place, in one pass over memory; `rate` includes the bias corrections."""
    for i in prange(w.size):
        m_new = m[i] + (g[i] - m[i]) * one_minus_beta_1
        v_new = v[i] + (g[i] * g[i] - v[i]) * one_minus_beta_2
        m[i], v[i] = m_new, v_new
        w[i] -= m_new * rate / (math.sqrt(v_new) + epsilon)


@parallel_jit
def momentum(w, g, v, rate, kept):  # type: ignore[no-untyped-def]
    """One step of gradient descent with momentum in place: v = kept * v - rate * g, w += v."""
    for i in prange(w.size):
        v_new = v[i] * kept - g[i] * rate
        v[i] = v_new
        w[i] += v_new
