"""Metrics of numbers: the share of the targets' variance that a model explains, and correlation."""

import warnings
from typing import Any

import numpy as np

from minicnn import functional
from minicnn.metrics.base import Array, Metric

_AVERAGES = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """R² = 1 - Σ (t - y)² / Σ (t - mean of t)² of each column: 1 if exact, 0 for the mean.

    `y_true` and `y_pred` are (batch, columns). `class_aggregation` makes one number: the mean, or
    the mean weighted by each column's variance; None returns an array. With `num_regressors` = p it
    is the adjusted R², 1 - (1 - R²) * (n - 1) / (n - p - 1).
    """

    rises = True

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if class_aggregation not in _AVERAGES:
            raise ValueError(
                'R2Score expects class_aggregation to be "uniform_average", '
                f'"variance_weighted_average" or None. Received {class_aggregation!r}.'
            )
        if not isinstance(num_regressors, int) or num_regressors < 0:
            raise ValueError(
                "R2Score expects num_regressors to be an integer >= 0. "
                f"Received {num_regressors!r}."
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    @classmethod
    def _default_name(cls) -> str:
        return "r2_score"

    def reset_state(self) -> None:
        self._sums: Any = 0.0  # of weights, of t, of t², of (t - y)², each for every column
        self._numbers = 0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, y = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
        if t.ndim == 1 and y.ndim == 2 and y.shape[-1] == 1:
            t = t[:, None]
        if y.ndim != 2 or t.shape != y.shape:
            raise ValueError(
                "R2Score expects targets and predictions of one shape (batch, columns). "
                f"Received {t.shape} and {y.shape}."
            )
        weights = np.asarray(1.0 if sample_weight is None else sample_weight, np.float64)
        weights = weights[:, None] if weights.ndim == 1 else weights
        if weights.ndim and weights.shape not in (y.shape, (len(y), 1)):
            raise ValueError(
                f"R2Score expects one sample weight per example, {len(y)}. "
                f"Received {np.shape(sample_weight)}."
            )
        parts = (np.ones_like(t), t, t * t, (t - y) ** 2)
        self._sums = self._sums + np.stack([(part * weights).sum(axis=0) for part in parts])
        self._numbers += y.size

    def result(self) -> Any:
        if not self._numbers:
            return 0.0
        count, total, squares, missed = self._sums
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = squares - total * total / count
            scores = np.where(spread > 0, 1 - missed / spread, 0.0)
            if self.class_aggregation == "uniform_average":
                found: Any = float(scores.mean())
            elif self.class_aggregation == "variance_weighted_average":
                found = float((spread * scores).sum() / spread.sum()) if spread.sum() > 0 else 0.0
            else:
                found = scores
        left = self._numbers - self.num_regressors - 1
        if self.num_regressors and left <= 0:
            warnings.warn(
                f"R2Score with num_regressors={self.num_regressors} needs more than "
                f"{self.num_regressors + 1} numbers to adjust: this is the plain score.",
                stacklevel=2,
            )
        elif self.num_regressors:
            found = 1 - (1 - found) * (self._numbers - 1) / left
        return found

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Return the correlation along an axis: 1 if one rises in proportion to the other."""
    t, y = _one_shape(y_true, y_pred, "pearson_correlation")
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [(a - a.mean(axis, keepdims=True)) / a.std(axis, keepdims=True) for a in (t, y)]
    found: Array = (parts[0] * parts[1]).mean(axis)
    return found


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Return the agreement along an axis: the correlation, less if mean or spread differ.

    2 * cov(t, y) / (var t + var y + (mean t - mean y)² + 1e-7)
    """
    t, y = _one_shape(y_true, y_pred, "concordance_correlation")
    means = [a.mean(axis, keepdims=True) for a in (t, y)]
    product = ((t - means[0]) * (y - means[1])).mean(axis)
    apart = np.square(means[0] - means[1]).mean(axis)
    found: Array = 2 * product / (t.var(axis) + y.var(axis) + apart + functional.EPSILON)
    return found


def _one_shape(y_true: Any, y_pred: Any, who: str) -> tuple[Array, Array]:
    y = np.asarray(y_pred)
    y = y if y.dtype.kind == "f" else y.astype(np.float32)
    t = np.asarray(y_true, y.dtype)
    t = t[..., None] if t.ndim == y.ndim - 1 and y.shape[-1:] == (1,) else t
    if t.shape != y.shape or not y.ndim:
        raise ValueError(
            f"{who} expects targets and predictions of one shape. Received {t.shape} and {y.shape}."
        )
    return t, y


class PearsonCorrelation(Metric):
    """The mean of each example's `pearson_correlation` along `axis`; NaN where one is constant."""

    rises = True

    def __init__(self, name: str | None = None, axis: int = -1) -> None:
        super().__init__(name)
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(
                f"{type(self).__name__} expects axis to be an integer. Received {axis!r}."
            )
        self.axis = axis

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return pearson_correlation(y_true, y_pred, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "axis": self.axis}


class ConcordanceCorrelation(PearsonCorrelation):
    """The mean of each example's `concordance_correlation` along `axis`."""

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return concordance_correlation(y_true, y_pred, self.axis)
