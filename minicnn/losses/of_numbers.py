"""Losses whose targets are class numbers: distances of examples, and labels that may be wrong."""

from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.losses.base import Array, Loss


class OfNumbers(Loss):
    """A loss whose targets are class numbers, one for each example."""

    def _check(self, y_true: Array, y_pred: Array) -> Array:
        who = type(self).__name__
        shapes.check_numbers(y_true, "targets", who)
        if y_true.ndim == y_pred.ndim and y_true.shape[-1:] == (1,):
            y_true = y_true[..., 0]
        if y_true.shape != y_pred.shape[:-1]:
            raise ValueError(
                f"{who} expects y_true.shape={y_pred.shape[:-1]}, a class for each example. "
                f"Received y_true.shape={y_true.shape}."
            )
        self._check_range(y_true)
        numbers = y_true.astype(np.int64)
        if (numbers != y_true).any():
            raise ValueError(f"{who} expects targets that are whole numbers.")
        return numbers


class CategoricalGeneralizedCrossEntropy(OfNumbers):
    """The loss is (1 - p**q) / q, p the probability of the true class (Zhang and Sabuncu 2018).

    A wrong label does less harm than in cross-entropy, which this loss approaches for small q; q is
    in (0, 1). Targets are class numbers, in spite of the name.
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        if not shapes.is_number(q) or not 0 < q < 1:
            raise ValueError(f"{type(self).__name__} expects q in (0, 1). Received {q!r}.")
        self.q = float(q)

    def _check(self, y_true: Array, y_pred: Array) -> Array:
        numbers = super()._check(y_true, y_pred)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < y_pred.shape[-1]:
            raise ValueError(
                f"{type(self).__name__} expects classes from 0 to {y_pred.shape[-1] - 1}. "
                f"Received {numbers.min()} to {numbers.max()}."
            )
        return numbers

    def call(self, y_true: Array, y_pred: Array) -> Array:
        p = np.take_along_axis(y_pred, y_true[..., None], -1)[..., 0]
        q = y_pred.dtype.type(self.q)
        found: Array = (1 - np.maximum(p, 0) ** q) / q
        return found

    def gradient(self, y_true: Array, y_pred: Array) -> Array:
        chosen = np.arange(y_pred.shape[-1]) == y_true[..., None]
        # At 0 it has no limit; a finite slope leads away from there, too.
        p = np.maximum(y_pred, y_pred.dtype.type(functional.EPSILON))
        return np.where(chosen, -(p ** y_pred.dtype.type(self.q - 1)), y_pred.dtype.type(0))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction, "q": self.q}


class Circle(OfNumbers):
    """Pulls examples of one class together, and others apart (Sun et al. 2020).

        d = max(1 - y y^T, 0)                                distances between examples of the batch
        a = gamma * (d + margin) * (d - margin)              of pairs of one class
        b = gamma * max(1 + margin - d, 0) * (1 - margin - d)         of pairs of two classes
        loss = softplus(log Σ exp a + log Σ exp b)           each sum over an example's pairs

    Predictions are vectors of length 1 (`UnitNormalization`), targets are class numbers.
    `remove_diagonal` leaves out the pair of an example with itself. The surprise: the only example
    of its class has the loss 0, and as in Keras the mean is over the losses above 0.
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.gamma = float(shapes.number(gamma, "gamma", "Circle"))
        self.margin = float(shapes.number(margin, "margin", "Circle"))
        self.remove_diagonal = bool(remove_diagonal)

    def _check(self, y_true: Array, y_pred: Array) -> Array:
        if y_pred.ndim != 2:
            raise ValueError(
                "Circle expects y_pred.shape=(batch, numbers), a vector for each example. "
                f"Received y_pred.shape={y_pred.shape}."
            )
        return super()._check(y_true, y_pred)

    def _pairs(self, t: Array, y: Array) -> tuple[Array, Array, Array]:
        """Return the distances, and which pairs are of one class, and which of two."""
        alike = t[:, None] == t[None, :]
        d = np.maximum(1 - functional.dense(y, np.ascontiguousarray(y.T), name="Circle"), 0)
        same = alike & ~np.eye(len(t), dtype=bool) if self.remove_diagonal else alike
        return d, same, ~alike

    def _sums(self, t: Array, y: Array) -> tuple[Array, Array, Array, Array]:
        """Return log Σ exp a and log Σ exp b of each example, and the shares of the pairs."""
        d, same, other = self._pairs(t, y)
        real = y.dtype.type
        gamma, margin = real(self.gamma), real(self.margin)
        a = gamma * np.maximum(d + margin, 0) * (d - margin)
        b = gamma * np.maximum(1 + margin - d, 0) * (1 - margin - d)
        (total_a, share_a), (total_b, share_b) = _log_sum(a, same), _log_sum(b, other)
        return total_a, total_b, share_a, share_b

    def call(self, y_true: Array, y_pred: Array) -> Array:
        if not len(y_pred):
            return np.zeros(0, y_pred.dtype)
        total_a, total_b, _, _ = self._sums(y_true, y_pred)
        return functional.softplus(total_a + total_b, "Circle")

    def _scale(self, weights: Array | None, losses: Array) -> float:
        if self.reduction in ("sum", "none"):
            return 1.0
        counted = losses > 0
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            total = float(weights[counted].sum(dtype=np.float64))
        else:
            total = float(counted.sum())
        return 1.0 / total if total else 0.0

    def backward(self, cache: dict[str, Any]) -> Array:
        """Return d value / d y_pred; each example's loss depends on all predictions."""
        t, y, factor = cache["y_true"], cache["y_pred"], cache["factor"]
        if not len(y):
            return np.zeros_like(y)
        total_a, total_b, share_a, share_b = self._sums(t, y)
        d, _, _ = self._pairs(t, y)
        real = y.dtype.type
        margin = real(self.margin)
        # d loss / d (log Σ exp a + log Σ exp b), then by the chain rule to d, to y y^T, to y.
        outer = functional.sigmoid(total_a + total_b, "Circle") * factor
        slope_a = np.where(d + margin > 0, 2 * d, 0)
        slope_b = np.where(1 + margin - d > 0, 2 * (d - 1), 0)
        dd = outer[:, None] * real(self.gamma) * (share_a * slope_a + share_b * slope_b)
        ds = np.where(functional.dense(y, np.ascontiguousarray(y.T), name="Circle") <= 1, -dd, 0)
        return functional.dense(np.ascontiguousarray(ds + ds.T, y.dtype), y, name="Circle")

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "reduction": self.reduction,
            "gamma": self.gamma,
            "margin": self.margin,
            "remove_diagonal": self.remove_diagonal,
        }


def _log_sum(x: Array, counted: Array) -> tuple[Array, Array]:
    """Return log Σ exp x of each row's counted numbers, -inf for none, and each number's share."""
    kept = np.where(counted, x, -np.inf)
    largest = kept.max(axis=1, keepdims=True, initial=-np.inf)
    powers = np.exp(kept - np.where(np.isfinite(largest), largest, 0))
    total = powers.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        logs: Array = (np.log(total) + np.where(np.isfinite(largest), largest, 0))[:, 0]
    return logs, powers / np.maximum(total, np.finfo(x.dtype).tiny)
