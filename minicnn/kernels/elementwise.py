"""Operations on each element of flat arrays; memory decides their speed, so all cores take part."""

import math
from typing import Any

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels.tasks import NUMBERS


def _tasks(first: Any, *_: Any) -> int:
    return -(-first.size // NUMBERS)


@function
def _range(task, x):
    """Return the task's part of a flat array."""
    return task * NUMBERS, min((task + 1) * NUMBERS, x.size)


@kernel(tasks=_tasks, writes="y", vectorize=True)
def add(task, x0, x1, y):
    """y = x0 + x1."""
    begin, end = _range(task, y)
    for i in range(begin, end):
        y[i] = x0[i] + x1[i]


@kernel(tasks=_tasks, writes="y", vectorize=True)
def multiply(task, x0, x1, y):
    """y = x0 * x1."""
    begin, end = _range(task, y)
    for i in range(begin, end):
        y[i] = x0[i] * x1[i]


def _lines(x: Any, *_: Any) -> int:
    return x.shape[0] * -(-x.shape[1] * x.shape[2] // NUMBERS)


@kernel(tasks=_lines, writes="y", vectorize=True)
def multiply_channels(task, x, factors, y):
    """y[n, p, c] = x[n, p, c] * factors[n, c], for each pixel p of each image n."""
    _, pixels, channels = x.shape
    shares = -(-pixels * channels // NUMBERS)
    n, share = task // shares, task % shares
    for p in range(pixels * share // shares, pixels * (share + 1) // shares):
        for c in range(channels):
            y[n, p, c] = x[n, p, c] * factors[n, c]


@kernel(tasks=_tasks, writes="y", vectorize=True)
def rescale(task, x, scale, offset, y):
    """y = x * scale + offset, for two numbers."""
    begin, end = _range(task, y)
    for i in range(begin, end):
        y[i] = x[i] * scale + offset


@kernel(tasks=_tasks, writes="y", vectorize=True)
def rescale_channels(task, x, scale, offset, y):
    """y[p, c] = x[p, c] * scale[c] + offset[c], for each pixel p."""
    pixels, channels = x.shape
    tasks = -(-x.size // NUMBERS)
    for p in range(pixels * task // tasks, pixels * (task + 1) // tasks):
        for c in range(channels):
            y[p, c] = x[p, c] * scale[c] + offset[c]


@function
def _hard_sigmoid(v, zero, six):
    """Return v + 3, kept between 0 and 6, divided by 6; NaN gives NaN."""
    raised = v + 3
    above = zero if raised < zero else raised
    return (six if above > six else above) / six


@kernel(tasks=_tasks, writes="y", vectorize=True)
def hard_sigmoid(task, x, y):
    """y = min(max(x + 3, 0), 6) / 6."""
    begin, end = _range(task, y)
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for i in range(begin, end):
        y[i] = _hard_sigmoid(x[i], zero, six)


@kernel(tasks=_tasks, writes="y", vectorize=True)
def hard_silu(task, x, y):
    """y = x * hard_sigmoid(x)."""
    begin, end = _range(task, y)
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for i in range(begin, end):
        y[i] = _hard_sigmoid(x[i], zero, six) * x[i]


@kernel(tasks=_tasks, writes="dx", vectorize=True)
def hard_silu_backward(task, dy, x, dx):
    """dx = dy * (hard_sigmoid(x) + x / 6 where it lies between -3 and 3); 0 where that is 0."""
    begin, end = _range(task, dx)
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for i in range(begin, end):
        v = x[i]
        inside = v / six if abs(v) < 3 else zero
        slope = _hard_sigmoid(v, zero, six) + inside
        dx[i] = zero if slope == 0 else dy[i] * slope


@kernel(tasks=_tasks, writes="y", vectorize=True)
def relu(task, x, y, cap, slope, threshold):
    """y = min(x, cap) above the threshold, slope * (x - threshold) below; `cap` may be infinite."""
    begin, end = _range(task, y)
    zero = x.dtype.type(0)
    for i in range(begin, end):
        v = x[i]
        below = slope * (v - threshold) if slope != 0 else zero
        y[i] = below if v <= threshold else (cap if v > cap else v)


@kernel(tasks=_tasks, writes="dx", vectorize=True)
def relu_backward(task, dy, x, dx, cap, slope, threshold):
    """dx = dy above the threshold and below the cap, slope * dy at and below the threshold, else 0.

    A NaN in x lets dy through, so that it shows instead of silently stopping the gradient.
    """
    begin, end = _range(task, x)
    zero = x.dtype.type(0)
    for i in range(begin, end):
        v, g = x[i], dy[i]
        below = slope * g if slope != 0 else zero
        dx[i] = below if v <= threshold else (zero if v >= cap else g)


@kernel(tasks=_tasks, writes="w m v", vectorize=True)
def adam(task, w, g, m, v, one_minus_beta_1, one_minus_beta_2, rate, epsilon):
    """Make one step of Adam in place, in one pass; `rate` includes the bias corrections."""
    begin, end = _range(task, w)
    for i in range(begin, end):
        m_new = m[i] + (g[i] - m[i]) * one_minus_beta_1
        v_new = v[i] + (g[i] * g[i] - v[i]) * one_minus_beta_2
        m[i] = m_new
        v[i] = v_new
        w[i] -= m_new * rate / (math.sqrt(v_new) + epsilon)


@kernel(tasks=_tasks, writes="w v", vectorize=True)
def momentum(task, w, g, v, rate, kept):
    """Make one step with momentum, in place: v = kept * v - rate * g, w += v."""
    begin, end = _range(task, w)
    for i in range(begin, end):
        v_new = v[i] * kept - g[i] * rate
        v[i] = v_new
        w[i] += v_new
