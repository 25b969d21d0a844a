"""Losses as plain loops: one number per example, where all axes but the last are examples."""

import math

import numpy as np

from minicnn.naive.elementwise import sigmoid, softmax

Array = np.ndarray


def categorical_crossentropy(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """loss = - sum over k of t[k] * log p[k], with t smoothed: t (1 - s) + s / classes.

    From logits z:  log p[k] = z[k] - m - log(sum over j of exp(z[j] - m)), m the largest z.
    From probabilities: p is first divided by its sum and kept within [1e-7, 1 - 1e-7] (Keras).
    """
    classes = y_true.shape[-1]
    loss = np.zeros(y_true.shape[:-1], y_pred.dtype)
    for p in np.ndindex(loss.shape):
        if from_logits:
            m = float(max(y_pred[p]))
            log_sum = m + math.log(sum(math.exp(z - m) for z in y_pred[p]))
            logs = [z - log_sum for z in y_pred[p]]
        else:
            total = float(sum(y_pred[p]))
            logs = [math.log(min(max(float(v) / total, 1e-7), 1 - 1e-7)) for v in y_pred[p]]
        for k in range(classes):
            t = y_true[(*p, k)] * (1 - label_smoothing) + label_smoothing / classes
            loss[p] -= t * logs[k]
    return loss


def categorical_crossentropy_backward(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """Return d loss / d y_pred of each example.

    From logits:  softmax(z)[k] * sum(t) - t[k], which is p - t where t sums to 1.
    From probabilities, q = p / sum(p):  dq[k] = -t[k] / q[k] where q was not clipped, else 0;
    dp[k] = (dq[k] - sum over j of dq[j] * q[j]) / sum(p).
    """
    classes = y_true.shape[-1]
    dy = np.zeros_like(y_pred)
    for p in np.ndindex(y_true.shape[:-1]):
        t = y_true[p] * (1 - label_smoothing) + label_smoothing / classes
        if from_logits:
            dy[p] = softmax(y_pred[p][None])[0] * sum(t) - t
        else:
            total = sum(y_pred[p])
            q = y_pred[p] / total
            dq = [-t[k] / q[k] if 1e-7 <= q[k] <= 1 - 1e-7 else 0.0 for k in range(classes)]
            shared = sum(dq[k] * q[k] for k in range(classes))
            for k in range(classes):
                dy[(*p, k)] = (dq[k] - shared) / total
    return dy


def binary_crossentropy(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """loss = mean over the last axis of - t log p - (1 - t) log(1 - p); t = y_true (1 - s) + s/2.

    From logits z:  max(z, 0) - z t + log(1 + exp(-|z|)), which cannot overflow.
    From probabilities: p is first kept within [1e-7, 1 - 1e-7] (Keras).
    """
    loss = np.zeros(y_true.shape[:-1], y_pred.dtype)
    for p in np.ndindex(y_true.shape):
        t = y_true[p] * (1 - label_smoothing) + label_smoothing / 2
        v = float(y_pred[p])
        if from_logits:
            term = max(v, 0) - v * t + math.log1p(math.exp(-abs(v)))
        else:
            v = min(max(v, 1e-7), 1 - 1e-7)
            term = -t * math.log(v) - (1 - t) * math.log(1 - v)
        loss[p[:-1]] += term / y_true.shape[-1]
    return loss


def binary_crossentropy_backward(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """d loss / d y_pred: (sigmoid(z) - t) / n from logits, (p - t) / (p (1 - p)) / n from p."""
    dy = np.zeros_like(y_pred)
    units = y_true.shape[-1]
    for p in np.ndindex(y_true.shape):
        t = y_true[p] * (1 - label_smoothing) + label_smoothing / 2
        v = y_pred[p]
        if from_logits:
            dy[p] = (sigmoid(np.array([v]))[0] - t) / units
        elif 1e-7 <= v <= 1 - 1e-7:
            dy[p] = (v - t) / (v * (1 - v)) / units
    return dy
