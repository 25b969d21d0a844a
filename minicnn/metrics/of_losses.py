"""Losses as metrics: the mean of the examples' losses, whatever loss the model learns from."""

from typing import Any

import numpy as np

from minicnn import losses
from minicnn.metrics.accuracies import of_rank
from minicnn.metrics.base import Array, Metric


class _OfLoss(Metric):
    """The mean over examples of a loss."""

    rises = False

    def _loss(self) -> losses.Loss:
        found: losses.Loss = getattr(losses, type(self).__name__)(reduction="none")
        return found

    def values(self, y_true: Array, y_pred: Array) -> Array:
        each: Array = np.asarray(self._loss().forward(y_true, y_pred)[0])
        return each


class MeanSquaredError(_OfLoss):
    """The mean of (t - y)**2."""


class MeanAbsoluteError(_OfLoss):
    """The mean of |t - y|."""


class MeanAbsolutePercentageError(_OfLoss):
    """100 times the mean of |t - y| / max(|t|, 1e-7)."""


class MeanSquaredLogarithmicError(_OfLoss):
    """The mean of (log(1 + t) - log(1 + y))**2."""


class RootMeanSquaredError(Metric):
    """The square root of the mean of (t - y)**2: the error in the targets' own unit."""

    rises = False

    @classmethod
    def _default_name(cls) -> str:
        return "root_mean_squared_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        losses.MeanSquaredError().forward(y_true, y_pred)  # checks the shapes
        each: Array = np.square(y_pred - of_rank(y_true, y_pred).astype(y_pred.dtype))
        return each

    def result(self) -> float:
        return float(np.sqrt(super().result()))


class LogCoshError(_OfLoss):
    """The mean of log(cosh(y - t))."""

    @classmethod
    def _default_name(cls) -> str:
        return "logcosh"

    def _loss(self) -> losses.Loss:
        return losses.LogCosh(reduction="none")


class CosineSimilarity(_OfLoss):
    """The mean of sum of t * y / (|t| |y|): 1 for the same direction, where the loss is -1."""

    rises = True

    def __init__(self, name: str | None = None, axis: int = -1) -> None:
        super().__init__(name)
        self.axis = axis
        self._loss()

    def _loss(self) -> losses.Loss:
        return losses.CosineSimilarity(self.axis, "none")

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return -super().values(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "axis": self.axis}


class KLDivergence(_OfLoss):
    """The mean of sum of t * log(t / y)."""

    @classmethod
    def _default_name(cls) -> str:
        return "kl_divergence"


class Poisson(_OfLoss):
    """The mean of y - t * log(y + 1e-7)."""


class Hinge(_OfLoss):
    """The mean of max(1 - t * y, 0)."""


class SquaredHinge(_OfLoss):
    """The mean of max(1 - t * y, 0)**2."""


class CategoricalHinge(_OfLoss):
    """The mean of max(neg - pos + 1, 0); see the loss of this name."""


class _CrossEntropy(_OfLoss):
    """A cross-entropy, with the loss's settings."""

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(name)
        self.from_logits, self.label_smoothing = bool(from_logits), label_smoothing
        self.axis = axis
        self._loss()  # checks them

    def _loss(self) -> losses.Loss:
        options = (self.from_logits, self.label_smoothing, self.axis, "none")
        found: losses.Loss = getattr(losses, type(self).__name__)(*options)
        return found

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


class BinaryCrossentropy(_CrossEntropy):
    """The mean of - t log p - (1 - t) log(1 - p)."""

    def get_config(self) -> dict[str, Any]:  # Keras's has no axis
        return {key: value for key, value in super().get_config().items() if key != "axis"}


class CategoricalCrossentropy(_CrossEntropy):
    """The mean of - sum of t * log p, for one-hot targets."""


class SparseCategoricalCrossentropy(_OfLoss):
    """The mean of - log p[t], for class numbers t."""

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name)
        self.from_logits, self.ignore_class = bool(from_logits), ignore_class
        self.axis = axis
        self._loss()

    def _loss(self) -> losses.Loss:
        return losses.SparseCategoricalCrossentropy(
            self.from_logits, self.ignore_class, "none", self.axis
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "axis": self.axis,
        }
