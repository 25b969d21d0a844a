"""Counts right and wrong answers to yes-or-no questions, at one or several thresholds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.metrics.accuracies import of_rank
from minicnn.metrics.base import Array, Metric

EPSILON = functional.EPSILON
_LOWEST = -1e10  # Keras's threshold below all predictions


class Counting(Metric):
    """Counts true and false positives and negatives: a prediction above a threshold says yes.

    Each number of a prediction answers its own question; targets mean yes unless they are 0.
    """

    rises: bool | None = True
    thresholds: list[float]
    top_k: int | None = None
    class_id: int | None = None

    def reset_state(self) -> None:
        self.true_positives: Any = 0.0
        self.false_positives: Any = 0.0
        self.true_negatives: Any = 0.0
        self.false_negatives: Any = 0.0

    def _set_thresholds(self, thresholds: Any, default: float) -> None:
        self._given = thresholds
        if thresholds is None:
            self.thresholds = [default]
            return
        found = (
            list(thresholds) if isinstance(thresholds, (list, tuple, np.ndarray)) else [thresholds]
        )
        if not found or not all(shapes.is_number(t) and 0 <= t <= 1 for t in found):
            raise ValueError(
                f"{type(self).__name__} expects thresholds in [0, 1]. Received {thresholds!r}."
            )
        self.thresholds = [float(t) for t in found]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = np.asarray(y_pred)
        y_true = of_rank(np.asarray(y_true), y_pred)
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{type(self).__name__} expects targets of shape {y_pred.shape}. "
                f"Received {y_true.shape}."
            )
        weights = self._weights(sample_weight, y_pred)
        if self.top_k is not None:
            y_pred = _only_largest(y_pred, self.top_k)
        if self.class_id is not None:
            if y_pred.ndim < 2 or not 0 <= self.class_id < y_pred.shape[-1]:
                raise ValueError(
                    f"{type(self).__name__} with class_id={self.class_id} expects predictions of "
                    f"more classes. Received y_pred.shape={y_pred.shape}."
                )
            chosen = slice(self.class_id, self.class_id + 1)
            y_true, y_pred, weights = (a[..., chosen] for a in (y_true, y_pred, weights))
        self._add_counts(y_true != 0, y_pred, weights)

    def _weights(self, sample_weight: Any, y_pred: Array) -> Array:
        if sample_weight is None:
            return np.ones(y_pred.shape, np.float32)
        weights = np.asarray(sample_weight, np.float64)
        if weights.ndim > y_pred.ndim and weights.shape[-1] == 1:
            weights = weights[..., 0]
        try:
            first = weights.reshape(weights.shape + (1,) * (y_pred.ndim - weights.ndim))
            return np.broadcast_to(first, y_pred.shape)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__} expects sample_weight to have the shape of the "
                f"predictions, {y_pred.shape}, or of their first axes. Received {weights.shape}."
            ) from None

    def _add_counts(self, yes: Array, y_pred: Array, weights: Array) -> None:
        above = _thresholds_below(y_pred.ravel(), self.thresholds)
        tp, fp = (
            _counts(above, np.where(which, weights, 0).ravel(), self.thresholds)
            for which in (yes, ~yes)
        )
        self.true_positives = self.true_positives + tp
        self.false_positives = self.false_positives + fp
        self.false_negatives = self.false_negatives + weights[yes].sum(dtype=np.float64) - tp
        self.true_negatives = self.true_negatives + weights[~yes].sum(dtype=np.float64) - fp

    def _one_or_all(self, numbers: Any) -> Any:
        """Return the number for the only threshold, or an array with one for each."""
        found = np.broadcast_to(np.asarray(numbers, np.float64), (len(self.thresholds),))
        return float(found[0]) if len(found) == 1 else np.array(found)


def evenly(thresholds: Sequence[float]) -> bool:
    """Return whether thresholds are spread evenly over [0, 1], which are counted in another way."""
    count = len(thresholds)
    even = np.arange(count, dtype=np.float32) / max(count - 1, 1)
    return count >= 3 and np.allclose(thresholds, even, atol=EPSILON)


def _thresholds_below(y_pred: Array, thresholds: Sequence[float]) -> Array:
    """Return for each prediction how many thresholds, in rising order, lie below it."""
    if not evenly(thresholds):
        order = np.sort(np.asarray(thresholds, np.float32))
        return np.searchsorted(order, y_pred.astype(np.float32), side="left")
    # Keras computes the place among even thresholds in float32; rounding must be the same here.
    kept = np.clip(y_pred.astype(np.float32), 0, 1)
    place = np.ceil(kept * np.float32(len(thresholds) - 1)) - 1
    if thresholds[0] < 0 or thresholds[-1] > 1:
        place = np.maximum(place, 0)
    return place.astype(np.intp) + 1


def _counts(above: Array, weights: Array, thresholds: Sequence[float]) -> Array:
    """Return for each threshold the weight of all predictions above it."""
    each = np.bincount(above, weights, len(thresholds) + 1)
    rising = each[::-1].cumsum()[::-1][1:]
    found = np.empty(len(thresholds))
    found[np.argsort(np.asarray(thresholds, np.float32), kind="stable")] = rising
    return found


def _only_largest(y_pred: Array, k: int) -> Array:
    """Return predictions whose k largest of the last axis stay, the others far below zero."""
    largest = np.argsort(-y_pred, axis=-1, kind="stable")[..., :k]
    found = np.full(y_pred.shape, _LOWEST, y_pred.dtype)
    np.put_along_axis(found, largest, np.take_along_axis(y_pred, largest, axis=-1), axis=-1)
    return found


def ratio(above: Any, below: Any) -> Array:
    """Return above / below, and 0 where below is 0."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    found: Array = np.where(below != 0, above / np.where(below != 0, below, 1), 0)
    return found


class _Count(Counting):
    """How many answers of one kind there were; an array with a number for each threshold."""

    rises = None
    _kind = ""

    def __init__(self, thresholds: Any = None, name: str | None = None) -> None:
        super().__init__(name)
        self._set_thresholds(thresholds, 0.5)

    def result(self) -> Any:
        return self._one_or_all(getattr(self, self._kind))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "thresholds": self._given}


class TruePositives(_Count):
    """How many predictions are above the threshold and right."""

    _kind = "true_positives"


class FalsePositives(_Count):
    """How many predictions are above the threshold and wrong."""

    _kind = "false_positives"


class TrueNegatives(_Count):
    """How many predictions are not above the threshold and right."""

    _kind = "true_negatives"


class FalseNegatives(_Count):
    """How many predictions are not above the threshold and wrong."""

    _kind = "false_negatives"


class _OfPositives(Counting):
    """The arguments of precision and recall."""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        who = type(self).__name__
        self.top_k = None if top_k is None else shapes.positive_int(top_k, "top_k", who)
        if class_id is not None and (not isinstance(class_id, int) or class_id < 0):
            raise ValueError(f"{who} expects class_id to be a class number. Received {class_id!r}.")
        self.class_id = class_id
        self._set_thresholds(thresholds, 0.5 if top_k is None else _LOWEST)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "thresholds": self._given,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


class Precision(_OfPositives):
    """The share of predicted positives that are true: true positives / predicted positives.

    A prediction is positive above `thresholds`, 0.5 by default; with `top_k`, only the k largest
    classes can be. `class_id` looks at one class alone. The result is 0 if nothing was predicted.
    """

    def result(self) -> Any:
        return self._one_or_all(
            ratio(self.true_positives, self.true_positives + self.false_positives)
        )


class Recall(_OfPositives):
    """The share of true labels that were predicted: true positives / all true labels.

    The arguments are those of `Precision`.
    """

    def result(self) -> Any:
        return self._one_or_all(
            ratio(self.true_positives, self.true_positives + self.false_negatives)
        )


class _AtAnother(Counting):
    """The best value of one share, over the thresholds at which another is at least `value`."""

    _argument = ""

    def _set(self, value: float, num_thresholds: int, class_id: int | None) -> None:
        who = type(self).__name__
        if not shapes.is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"{who} expects {self._argument} in [0, 1]. Received {value!r}.")
        self.num_thresholds = shapes.positive_int(num_thresholds, "num_thresholds", who)
        self.value, self.class_id = value, class_id
        count = self.num_thresholds
        self.thresholds = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]

    def _shares(self) -> dict[str, Array]:
        tp, fp = np.asarray(self.true_positives), np.asarray(self.false_positives)
        fn, tn = np.asarray(self.false_negatives), np.asarray(self.true_negatives)
        return {
            "recall": ratio(tp, tp + fn),
            "precision": ratio(tp, tp + fp),
            "sensitivity": ratio(tp, tp + fn),
            "specificity": ratio(tn, tn + fp),
        }

    def _best(self, share: str) -> float:
        shares = self._shares()
        return float(
            np.where(shares[self._argument] >= self.value, shares[share], 0).max(initial=0)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "num_thresholds": self.num_thresholds,
            self._argument: self.value,
            "class_id": self.class_id,
        }


class SensitivityAtSpecificity(_AtAnother):
    """The largest sensitivity (recall) at any threshold whose specificity is at least this one."""

    _argument = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._set(specificity, num_thresholds, class_id)

    def result(self) -> float:
        return self._best("sensitivity")


class SpecificityAtSensitivity(_AtAnother):
    """The largest specificity at any threshold whose sensitivity (recall) is at least this one."""

    _argument = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._set(sensitivity, num_thresholds, class_id)

    def result(self) -> float:
        return self._best("specificity")


class PrecisionAtRecall(_AtAnother):
    """The largest precision at any threshold whose recall is at least this one."""

    _argument = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._set(recall, num_thresholds, class_id)

    def result(self) -> float:
        return self._best("precision")


class RecallAtPrecision(_AtAnother):
    """The largest recall at any threshold whose precision is at least this one."""

    _argument = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._set(precision, num_thresholds, class_id)

    def result(self) -> float:
        return self._best("recall")
