"""Losses of numbers measure how far a prediction y is from its target t."""

from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.losses.base import Array, Termwise

EPSILON = functional.EPSILON


class MeanSquaredError(Termwise):
    """The loss is the mean over the last axis of (t - y)**2.

    `y_true` and `y_pred` have one shape, (batch, …, numbers); (batch,) fits one output unit.
    """

    formula, slope = "(t - y)²", "2·(y - t)"

    @classmethod
    def _default_name(cls) -> str:
        return "mean_squared_error"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.square(t - y)

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return (y - t) * y.dtype.type(2)


class MeanAbsoluteError(Termwise):
    """The loss is the mean over the last axis of |t - y|. The gradient is 0 where t = y."""

    formula, slope = "|t - y|", "sign(y - t)"

    @classmethod
    def _default_name(cls) -> str:
        return "mean_absolute_error"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.abs(t - y)

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.sign(y - t)


class MeanAbsolutePercentageError(Termwise):
    """The loss is 100 times the mean over the last axis of |t - y| / max(|t|, 1e-7).

    The surprise: a target of 0 makes the loss huge.
    """

    formula, slope = "100·|t - y| / max(|t|, 1e-7)", "100·sign(y - t) / max(|t|, 1e-7)"

    @classmethod
    def _default_name(cls) -> str:
        return "mean_absolute_percentage_error"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.abs((t - y) / np.maximum(np.abs(t), EPSILON)) * y.dtype.type(100)

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.sign(y - t) / np.maximum(np.abs(t), EPSILON) * y.dtype.type(100)


class MeanSquaredLogarithmicError(Termwise):
    """The loss is the mean over the last axis of (log(1 + t) - log(1 + y))**2.

    t and y are first raised to at least 1e-7; a y below that has gradient 0.
    """

    formula = "(log(1 + t) - log(1 + y))²"
    slope = "2·(log(1 + y) - log(1 + t)) / (1 + y)"

    @classmethod
    def _default_name(cls) -> str:
        return "mean_squared_logarithmic_error"

    @staticmethod
    def _difference(t: Array, y: Array) -> Array:
        one = y.dtype.type(1)
        found: Array = np.log(np.maximum(y, EPSILON) + one) - np.log(np.maximum(t, EPSILON) + one)
        return found

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.square(self._difference(t, y))

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        slopes = 2 * self._difference(t, y) / (np.maximum(y, EPSILON) + 1)
        return np.where(y >= EPSILON, slopes, 0).astype(y.dtype)


class Huber(Termwise):
    """The loss is the mean over the last axis of e**2 / 2 where |e| <= delta, e = y - t.

    Beyond that it is delta * |e| - delta**2 / 2: outliers pull with a constant force.
    """

    formula = "e²/2 where |e| ≤ δ, else δ·|e| - δ²/2,  e = y - t"
    slope = "e kept within [-δ, δ],  e = y - t"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        if not shapes.is_number(delta) or delta < 0:
            raise ValueError(f"Huber expects delta to be a number >= 0. Received {delta!r}.")
        self.delta = float(delta)

    @classmethod
    def _default_name(cls) -> str:
        return "huber_loss"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        number = y.dtype.type
        size, delta, half = np.abs(y - t), number(self.delta), number(0.5)
        return np.where(size <= delta, half * size * size, delta * size - half * delta * delta)

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.clip(y - t, -self.delta, self.delta)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"delta": self.delta}


class LogCosh(Termwise):
    """The loss is the mean over the last axis of log(cosh(y - t)).

    It is (y - t)**2 / 2 for small differences and |y - t| - log 2 for large ones.
    """

    formula, slope = "log cosh(y - t)", "tanh(y - t)"

    @classmethod
    def _default_name(cls) -> str:
        return "log_cosh"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        size = np.abs(y - t)  # cosh is even, and exp(-2 * size) does not overflow
        found: Array = size + np.log1p(np.exp(-2 * size)) - y.dtype.type(np.log(2))
        return found

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.tanh(y - t)


class Poisson(Termwise):
    """The loss is the mean over the last axis of y - t * log(y + 1e-7): counts t, rates y > 0."""

    formula, slope = "y - t·log(y + 1e-7)", "1 - t / (y + 1e-7)"

    @classmethod
    def _default_name(cls) -> str:
        return "poisson"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        with np.errstate(
            invalid="ignore", divide="ignore"
        ):  # a negative rate gives NaN, as in Keras
            return y - t * np.log(y + y.dtype.type(EPSILON))

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - t / (y + y.dtype.type(EPSILON))


class KLDivergence(Termwise):
    """The loss is the sum over the last axis of t * log(t / y), of two distributions t and y.

    Both are first kept within [1e-7, 1]; a y that was cut off has gradient 0.
    """

    formula, slope = "t·log(t / y)", "- t / y"
    averaged = False

    @classmethod
    def _default_name(cls) -> str:
        return "kl_divergence"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        t, y = np.clip(t, EPSILON, 1), np.clip(y, EPSILON, 1)
        return t * np.log(t / y)

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        kept = np.clip(y, EPSILON, 1)
        found: Array = np.where((y >= EPSILON) & (y <= 1), -np.clip(t, EPSILON, 1) / kept, 0)
        return found.astype(y.dtype)


class CosineSimilarity(Termwise):
    """The loss is - sum over the axis of t * y / (|t| |y|): -1 for the same direction.

    As in Keras, the sign is negative: the loss falls when the similarity rises. An example
    whose y is all 0 has gradient 0 (in Keras a huge one).
    """

    formula, slope = "- t/|t| · y/|y|", "Σ over j of - t[j]/|t|·((j = k) - y[j]·y[k]/|y|²) / |y|"
    averaged = False

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"CosineSimilarity expects axis to be an integer. Received {axis!r}.")
        self.axis = axis

    @classmethod
    def _default_name(cls) -> str:
        return "cosine_similarity"

    def _unit(self, x: Array) -> tuple[Array, Array]:
        """Return x divided by its length, and 1 / length (0 for a length of 0)."""
        length = np.sqrt(np.square(x).sum(axis=self.axis, keepdims=True))
        inverse = np.where(length > 0, 1 / np.where(length > 0, length, 1), 0).astype(x.dtype)
        return x * inverse, inverse

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return -self._unit(t)[0] * self._unit(y)[0]

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        (t, _), (y, inverse) = self._unit(t), self._unit(y)
        found: Array = ((t * y).sum(axis=self.axis, keepdims=True) * y - t) * inverse
        return found

    def influence(self, t: Array, y: Array, k: int, from_logits: bool = False) -> Array:
        (t, _), (y, inverse) = self._unit(t), self._unit(y)
        found: Array = -t * ((np.arange(len(y)) == k) - y * y[k]) * inverse
        return found

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        self._check_axis(y_pred)
        loss: Array = self.terms(y_true, y_pred).sum(axis=self.axis)
        return loss

    def _check_axis(self, y_pred: Array) -> None:
        if not -y_pred.ndim <= self.axis < y_pred.ndim:
            raise ValueError(
                f"CosineSimilarity with axis={self.axis} expects predictions with that axis. "
                f"Received y_pred.shape={y_pred.shape}."
            )

    def _check_own_axes(self, losses: Array, y_pred: Array) -> None:
        pass  # the axis may be any

    def _spread(self, factor: Array, y_pred: Array) -> Array:
        return np.expand_dims(factor, self.axis)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}
