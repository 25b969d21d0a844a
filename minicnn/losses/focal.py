"""Focal cross-entropies (Lin et al. 2018), in which easy examples count less."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.losses.base import Array, Probabilities, Termwise

EPSILON = functional.EPSILON


class _Focal(Probabilities, Termwise):
    """The arguments of both focal losses."""

    classes: int | None = None  # the classes that label smoothing spreads over; None: the last axis

    def _set(
        self, alpha: Any, gamma: float, from_logits: bool, label_smoothing: float, axis: int
    ) -> None:
        who = type(self).__name__
        for argument, value in (("gamma", gamma), ("label_smoothing", label_smoothing)):
            if not shapes.is_number(value) or value < 0:
                raise ValueError(
                    f"{who} expects {argument} to be a number >= 0. Received {value!r}."
                )
        if label_smoothing > 1:
            raise ValueError(
                f"{who} expects label_smoothing in [0, 1]. Received {label_smoothing!r}."
            )
        if isinstance(axis, bool) or axis != -1:
            raise ValueError(f"{who} expects axis=-1, the only one supported. Received {axis!r}.")
        self.alpha, self.gamma = alpha, float(gamma)
        self.from_logits, self.label_smoothing = bool(from_logits), float(label_smoothing)

    def smoothed(self, t: Array) -> Array:
        """Return the targets with label smoothing."""
        classes = self.classes or t.shape[-1]
        return t * t.dtype.type(1 - self.label_smoothing) + t.dtype.type(
            self.label_smoothing / classes
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": -1,
            "alpha": self.alpha,
            "gamma": self.gamma,
        }


def _power(base: Array, exponent: float) -> Array:
    """Return base**exponent, 1 for an exponent of 0; rounding may have made the base negative."""
    found: Array = np.power(np.maximum(base, 0), base.dtype.type(exponent))
    return found


class BinaryFocalCrossentropy(_Focal):
    """The loss is the mean over the last axis of (1 - q)**gamma * - log q.

    q is the probability of the true label: p where t is 1, 1 - p where t is 0. `y_true` and
    `y_pred` are as for `BinaryCrossentropy`. With `apply_class_balancing`, the terms of t = 1 are
    multiplied by `alpha`, the others by 1 - alpha.
    """

    meant_for = "sigmoid"
    classes = 2
    formula = "(1 - q)^γ·(- t·log p - (1 - t)·log(1 - p)),  q = t·p + (1 - t)·(1 - p)"
    slope = "the derivative of that product"

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self._set(alpha, gamma, from_logits, label_smoothing, axis)
        shapes.number(alpha, "alpha", type(self).__name__)
        self.apply_class_balancing = bool(apply_class_balancing)

    @classmethod
    def _default_name(cls) -> str:
        return "binary_focal_crossentropy"

    def _parts(self, t: Array, y: Array, from_logits: bool) -> tuple[Array, ...]:
        t = self.smoothed(t)
        p = functional.sigmoid(y) if from_logits else y
        kept = np.clip(p, EPSILON, 1 - EPSILON)
        entropy = -t * np.log(kept) - (1 - t) * np.log(1 - kept)
        missing = 1 - (t * p + (1 - t) * (1 - p))
        weight = t * self.alpha + (1 - t) * (1 - self.alpha) if self.apply_class_balancing else 1
        return t, p, kept, entropy, missing, np.asarray(weight, y.dtype)

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        _, _, _, entropy, missing, weight = self._parts(t, y, from_logits)
        return weight * _power(missing, self.gamma) * entropy

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        t, p, kept, entropy, missing, weight = self._parts(t, y, from_logits)
        inside = (p >= EPSILON) & (p <= 1 - EPSILON)
        dp = np.where(inside, (kept - t) / (kept * (1 - kept)), 0) * _power(missing, self.gamma)
        if self.gamma:
            dp = dp - self.gamma * _power(missing, self.gamma - 1) * (2 * t - 1) * entropy
        found: Array = dp * weight * (p * (1 - p) if from_logits else 1)
        return found.astype(y.dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"apply_class_balancing": self.apply_class_balancing}


class CategoricalFocalCrossentropy(_Focal):
    """The loss is sum over k of alpha * (1 - q[k])**gamma * - t[k] * log q[k].

    t is one-hot; q = p divided by its sum, p = softmax(y_pred) with `from_logits`. `alpha` is a
    number, or has one for each class.
    """

    meant_for = "softmax"
    averaged = False
    formula = "α·(1 - q)^γ·(- t·log q),  q = p / Σ p"
    slope = "Σ over j of the derivative of term j for q[j], times dq[j]"

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self._set(alpha, gamma, from_logits, label_smoothing, axis)
        numbers = np.asarray(alpha)
        if numbers.dtype.kind not in "fiu" or numbers.ndim > 1:
            raise ValueError(
                f"{type(self).__name__} expects alpha to be a number, or one for each class. "
                f"Received {alpha!r}."
            )

    @classmethod
    def _default_name(cls) -> str:
        return "categorical_focal_crossentropy"

    def _parts(self, t: Array, y: Array, from_logits: bool) -> tuple[Array, ...]:
        """Return t smoothed, q before it was clipped, q, alpha, and 1 / Σ p."""
        p = functional.softmax(y) if from_logits else y
        inverse = 1 / p.sum(axis=-1, keepdims=True)
        alpha = np.asarray(self.alpha, y.dtype)
        if alpha.ndim and alpha.shape != y.shape[-1:]:
            raise ValueError(
                f"{type(self).__name__} expects alpha for {y.shape[-1]} classes. "
                f"Received {len(alpha)}."
            )
        return (
            self.smoothed(t),
            p * inverse,
            np.clip(p * inverse, EPSILON, 1 - EPSILON),
            alpha,
            inverse,
        )

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        t, _, q, alpha, _ = self._parts(t, y, from_logits)
        found: Array = alpha * _power(1 - q, self.gamma) * -t * np.log(q)
        return found

    def _dq(self, t: Array, raw: Array, q: Array, alpha: Array) -> Array:
        dq = -_power(1 - q, self.gamma) * t / q
        if self.gamma:
            dq = dq + self.gamma * _power(1 - q, self.gamma - 1) * t * np.log(q)
        return np.where((raw >= EPSILON) & (raw <= 1 - EPSILON), alpha * dq, 0)

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        t, raw, q, alpha, inverse = self._parts(t, y, from_logits)
        dq = self._dq(t, raw, q, alpha)
        scale = raw if from_logits else inverse
        found: Array = (dq - (dq * raw).sum(axis=-1, keepdims=True)) * scale
        return found.astype(y.dtype)

    def influence(self, t: Array, y: Array, k: int, from_logits: bool = False) -> Array:
        t, raw, q, alpha, inverse = self._parts(t, y, from_logits)
        dq = self._dq(t, raw, q, alpha)
        scale = raw[k] if from_logits else inverse[0]
        found: Array = dq * ((np.arange(len(y)) == k) - raw) * scale
        return found
