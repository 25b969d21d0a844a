"""A loss gives one number per example: how far a prediction is from the target."""

import numpy as np

from minicnn import shapes
from minicnn.functional.checks import check_classes
from minicnn.functional.elementwise import sigmoid, softmax

Array = np.ndarray

EPSILON = 1e-7  # Keras's `epsilon()`: how far probabilities stay from 0 and 1 before a logarithm


def _check_targets(y_true: Array, y_pred: Array, name: str) -> None:
    shapes.check_array(y_true, None, "y_true", name)
    check_classes(y_pred, "y_pred", name)
    shapes.check_shape(y_true, y_pred.shape, "y_true", name)
    shapes.check_same_dtype({"y_true": y_true, "y_pred": y_pred}, name)


def categorical_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "categorical_crossentropy",
) -> Array:
    """loss = - sum over k of t[k] * log p[k], with t = y_true * (1 - s) + s / classes.

    `y_true` and `y_pred` (…, classes); the result has one number per example, shape (…,).
    From logits z, log p[k] = z[k] - m - log(sum over j of exp(z[j] - m)) with m the largest z: no
    overflow and no log(0). Probabilities are first divided by their sum and kept within
    [1e-7, 1 - 1e-7], as Keras does.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, y_true.shape[-1])
    loss: Array = -(t * _log_probabilities(y_pred, from_logits)).sum(axis=-1)
    return loss


def _smooth(y_true: Array, label_smoothing: float, classes: int) -> Array:
    return y_true * y_true.dtype.type(1 - label_smoothing) + y_true.dtype.type(
        label_smoothing / classes
    )


def _log_probabilities(y_pred: Array, from_logits: bool) -> Array:
    if from_logits:
        shifted = y_pred - y_pred.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    q = y_pred / y_pred.sum(axis=-1, keepdims=True)
    return np.log(np.clip(q, EPSILON, 1 - EPSILON))


def categorical_crossentropy_backward(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "categorical_crossentropy",
) -> Array:
    """d loss / d y_pred of each example; from logits it is softmax(z) * sum(t) - t.

    From probabilities p with sum s and q = p / s:  dq = -t / q where q was not cut off, else 0, and
    dp[k] = (dq[k] - sum over j of dq[j] * q[j]) / s.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, y_true.shape[-1])
    if from_logits:
        return softmax(y_pred) * t.sum(axis=-1, keepdims=True) - t
    total = y_pred.sum(axis=-1, keepdims=True)
    q = y_pred / total
    inside = (q >= EPSILON) & (q <= 1 - EPSILON)
    dq = np.where(inside, -t / np.where(inside, q, 1), 0).astype(y_pred.dtype)
    dp: Array = (dq - (dq * q).sum(axis=-1, keepdims=True)) / total
    return dp


def binary_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "binary_crossentropy",
) -> Array:
    """loss = mean over the last axis of - t log p - (1 - t) log(1 - p), t = y_true (1 - s) + s / 2.

    From logits z each term is max(z, 0) - z t + log(1 + exp(-|z|)), which cannot overflow.
    Probabilities are first kept within [1e-7, 1 - 1e-7], as Keras does.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, 2)
    if from_logits:
        terms = np.maximum(y_pred, 0) - y_pred * t + np.log1p(np.exp(-np.abs(y_pred)))
    else:
        p = np.clip(y_pred, EPSILON, 1 - EPSILON)
        terms = -t * np.log(p) - (1 - t) * np.log(1 - p)
    loss: Array = terms.mean(axis=-1, dtype=y_pred.dtype)
    return loss


def binary_crossentropy_backward(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "binary_crossentropy",
) -> Array:
    """d loss / d y_pred: (sigmoid(z) - t) / n from logits, (p - t) / (p (1 - p)) / n from p.

    Here n is the length of the last axis. A probability that was cut off has gradient 0.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, 2)
    units = y_pred.dtype.type(y_pred.shape[-1])
    if from_logits:
        return (sigmoid(y_pred) - t) / units
    inside = (y_pred >= EPSILON) & (y_pred <= 1 - EPSILON)
    p = np.where(inside, y_pred, y_pred.dtype.type(0.5))
    return np.where(inside, (p - t) / (p * (1 - p)) / units, 0).astype(y_pred.dtype)
