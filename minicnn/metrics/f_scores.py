"""F-scores combine precision and recall in one number for each class."""

from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.metrics.base import Array, Metric
from minicnn.metrics.confusion import EPSILON

_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """F = (1 + beta**2) * precision * recall / (beta**2 * precision + recall) of each class.

    `y_true` and `y_pred` are (batch, classes). Without `threshold`, only the largest prediction is
    positive. `average` makes one number: "micro" counts all classes together, "macro" is the mean,
    "weighted" the mean weighted by how often each class is true; None returns an array.
    """

    rises = True

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        who = type(self).__name__
        if average not in _AVERAGES:
            raise ValueError(
                f'{who} expects average to be "micro", "macro", "weighted" or None. '
                f"Received {average!r}."
            )
        if not shapes.is_number(beta) or beta <= 0:
            raise ValueError(f"{who} expects beta to be a number > 0. Received {beta!r}.")
        if threshold is not None and (not shapes.is_number(threshold) or not 0 < threshold <= 1):
            raise ValueError(f"{who} expects threshold in (0, 1]. Received {threshold!r}.")
        self.average, self.beta, self.threshold = average, float(beta), threshold

    @classmethod
    def _default_name(cls) -> str:
        return "fbeta_score"

    def reset_state(self) -> None:
        self._counts: Any = 0.0  # true positives, false positives, false negatives, true labels

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, y = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float32)
        if y.ndim != 2 or t.shape != y.shape:
            raise ValueError(
                f"{type(self).__name__} expects targets and predictions of one shape (batch, "
                f"classes). Received {t.shape} and {y.shape}."
            )
        if self.threshold is None:
            said = (y >= y.max(axis=-1, keepdims=True)) & (np.abs(y) > 1e-9)
        else:
            said = y > self.threshold
        axis = None if self.average == "micro" else 0
        weights = np.ones((len(y), 1))
        if sample_weight is not None:
            weights = np.asarray(sample_weight, np.float64).reshape(-1, 1)
            if len(weights) != len(y):
                raise ValueError(
                    f"{type(self).__name__} expects one sample weight per example, {len(y)}. "
                    f"Received {len(weights)}."
                )
        parts = (said * t, said * (1 - t), ~said * t, t)
        self._counts = self._counts + np.stack([(p * weights).sum(axis=axis) for p in parts])

    def result(self) -> Any:
        if not np.ndim(self._counts):
            return 0.0
        tp, fp, fn, true = self._counts
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        square = self.beta**2
        score: Array = precision * recall / (square * precision + recall + EPSILON) * (1 + square)
        if self.average is None:
            return score
        if self.average == "weighted":
            return float((score * true / (true.sum() + functional.EPSILON)).sum())
        return float(np.mean(score))

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


class F1Score(FBetaScore):
    """F = 2 * precision * recall / (precision + recall) of each class; see `FBetaScore`."""

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(average, 1.0, threshold, name)

    @classmethod
    def _default_name(cls) -> str:
        return "f1_score"

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "beta"}
