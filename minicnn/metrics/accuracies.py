"""Accuracies count how often the largest prediction, or each one, is right."""

from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.metrics.base import Array, Metric


class CategoricalAccuracy(Metric):
    """How often the largest prediction is where the target is 1; both are (batch, classes).

    Class numbers raise a `ValueError`: Keras would use their argmax over the batch as the target.
    """

    rises = True

    @classmethod
    def _default_name(cls) -> str:
        return "categorical_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        _check_same_shape(y_true, y_pred, type(self).__name__)
        return (y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)).astype(np.float32)


class SparseCategoricalAccuracy(Metric):
    """How often the largest prediction is at the target's class number; targets are (batch,).

    Targets of another shape are broadcast to the predictions by NumPy's rules, as in Keras.
    """

    rises = True

    @classmethod
    def _default_name(cls) -> str:
        return "sparse_categorical_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        _check_broadcast(y_true, y_pred[..., 0], type(self).__name__)
        return (y_true == y_pred.argmax(axis=-1)).astype(np.float32)


class BinaryAccuracy(Metric):
    """How often `y_pred > threshold` agrees with the target; each unit counts.

    The surprise, as in Keras: the threshold is 0.5 even if the predictions are logits.
    """

    rises = True

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        if not shapes.is_number(threshold) or not 0 < threshold < 1:
            raise ValueError(
                f"BinaryAccuracy expects threshold to be above 0 and below 1. "
                f"Received {threshold!r}."
            )
        self.threshold = threshold

    @classmethod
    def _default_name(cls) -> str:
        return "binary_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., None]
        elif y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        _check_broadcast(y_true, y_pred, type(self).__name__)
        return (y_true == (y_pred > self.threshold)).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "threshold": self.threshold}


class Accuracy(Metric):
    """How often `y_pred` equals `y_true`; in `compile`, the name "accuracy" means other metrics."""

    rises = True

    @classmethod
    def _default_name(cls) -> str:
        return "accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true = of_rank(y_true, y_pred)
        _check_broadcast(y_true, y_pred, type(self).__name__)
        return (y_true == y_pred).astype(np.float32)


class TopKCategoricalAccuracy(Metric):
    """How often the true class is among the k largest predictions; targets are one-hot.

    A prediction that is as large as the k-th counts, too, as in Keras.
    """

    rises = True

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = shapes.positive_int(k, "k", type(self).__name__)

    @classmethod
    def _default_name(cls) -> str:
        return "top_k_categorical_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        _check_same_shape(y_true, y_pred, type(self).__name__)
        return self._among_largest(y_true.argmax(axis=-1), y_pred)

    def _among_largest(self, classes: Array, y_pred: Array) -> Array:
        inside = (classes >= 0) & (classes < y_pred.shape[-1])
        own = np.take_along_axis(y_pred, np.where(inside, classes, 0)[..., None], axis=-1)
        larger = (y_pred > own).sum(axis=-1)
        fine = np.isfinite(own[..., 0]) & inside
        return (fine & (larger < self.k)).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "k": self.k}


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """How often the true class is among the k largest predictions; targets are class numbers."""

    @classmethod
    def _default_name(cls) -> str:
        return "sparse_top_k_categorical_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        _check_same_shape(y_true, y_pred[..., 0], type(self).__name__)
        return self._among_largest(y_true.astype(np.intp), y_pred)


def of_rank(y_true: Array, y_pred: Array) -> Array:
    """Return the targets with an axis of 1 at the end added or removed, to match y_pred."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        return y_true[..., None]
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0]
    return y_true


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Array:
    """Return for each prediction 1 if `BinaryAccuracy` counts it as right, else 0."""
    return BinaryAccuracy(threshold=threshold).values(np.asarray(y_true), np.asarray(y_pred))


def categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return for each example 1 if `CategoricalAccuracy` counts it as right, else 0."""
    return CategoricalAccuracy().values(np.asarray(y_true), np.asarray(y_pred))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return for each example 1 if `SparseCategoricalAccuracy` counts it as right, else 0."""
    return SparseCategoricalAccuracy().values(np.asarray(y_true), np.asarray(y_pred))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Array:
    """Return for each example 1 if `TopKCategoricalAccuracy` counts it as right, else 0."""
    return TopKCategoricalAccuracy(k).values(np.asarray(y_true), np.asarray(y_pred))


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Array:
    """Return for each example 1 if `SparseTopKCategoricalAccuracy` counts it as right, else 0."""
    return SparseTopKCategoricalAccuracy(k).values(np.asarray(y_true), np.asarray(y_pred))


def _check_same_shape(y_true: Array, y_pred: Array, who: str) -> None:
    if y_true.shape != y_pred.shape:
        raise ValueError(f"{who} expects targets of shape {y_pred.shape}. Received {y_true.shape}.")


def _check_broadcast(y_true: Array, y_pred: Array, who: str) -> None:
    try:
        np.broadcast_shapes(y_true.shape, y_pred.shape)
    except ValueError:
        _check_same_shape(y_true, y_pred, who)
