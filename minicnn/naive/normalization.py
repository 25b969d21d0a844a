"""Batch normalization as plain loops."""

import math

import numpy as np

Array = np.ndarray


def batch_moments(x: Array) -> tuple[Array, Array]:
    """Return per channel the mean, and variance = mean of (x - mean)**2, over the whole batch."""
    rows = x.reshape(-1, x.shape[-1])
    mean, variance = np.zeros(x.shape[-1], x.dtype), np.zeros(x.shape[-1], x.dtype)
    for c in range(x.shape[-1]):
        mean[c] = sum(float(v) for v in rows[:, c]) / len(rows)
        variance[c] = sum((float(v) - float(mean[c])) ** 2 for v in rows[:, c]) / len(rows)
    return mean, variance


def batch_normalization(
    x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float = 1e-3
) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        c = p[-1]
        normalized = (x[p] - mean[c]) / math.sqrt(variance[c] + epsilon)
        y[p] = gamma[c] * normalized + beta[c]
    return y


def batch_normalization_backward(
    dy: Array,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    epsilon: float = 1e-3,
    training: bool = False,
) -> tuple[Array, Array, Array]:
    """Return `(dx, dgamma, dbeta)`, where z = (x - mean) / sqrt(variance + epsilon).

    dbeta = sum of dy,   dgamma = sum of dy * z
    inference:  dx = gamma / sqrt(variance + epsilon) * dy
    training:   dx = gamma / sqrt(variance + epsilon) * (dy - mean(dy) - z * mean(dy * z)),
    because there each x also moved the mean and the variance (Ioffe and Szegedy 2015, section 3).
    """
    count = x.size // x.shape[-1]
    dx, dgamma, dbeta = np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(gamma)
    z = batch_normalization(x, mean, variance, np.ones_like(gamma), np.zeros_like(gamma), epsilon)
    for p in np.ndindex(x.shape):
        dgamma[p[-1]] += dy[p] * z[p]
        dbeta[p[-1]] += dy[p]
    for p in np.ndindex(x.shape):
        c = p[-1]
        received = dy[p]
        if training:
            received = received - dbeta[c] / count - z[p] * dgamma[c] / count
        dx[p] = gamma[c] / math.sqrt(variance[c] + epsilon) * received
    return dx, dgamma, dbeta
