"""Cross-entropies measure how improbable the model found the truth."""

from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.losses.base import Array, Probabilities, range_of

_ELSEWHERE = (
    "(The loss is computed from the {0}'s outputs, as Keras does on JAX and torch; on TensorFlow "
    "Keras uses the {0}'s inputs and gets another number.)"
)


class _OfClasses(Probabilities):
    """A loss for one choice among classes, whose probabilities sum to 1."""

    activation = "softmax"

    def misfit(self, last: str | None, y_pred: Array) -> str:
        if y_pred.shape[-1] == 1:
            return (
                "the model has one unit, and one class has probability 1 whatever the weights: "
                'nothing is learned. Use one unit for each class, or activation="sigmoid" with '
                '"binary_crossentropy".'
            )
        if last == "sigmoid":
            return (
                "the model ends in sigmoid, whose units are independent, but the loss expects one "
                'choice among them. Use activation="softmax", or "binary_crossentropy" if '
                f"several labels may be true. {_ELSEWHERE.format(last)}"
            )
        return super().misfit(last, y_pred)


class CategoricalCrossentropy(_OfClasses):
    """The loss is - sum over k of t[k] * log p[k], for one-hot targets t (or a distribution).

    `y_true` and `y_pred` are (batch, classes). With `from_logits=True` `y_pred` holds scores, and
    p = softmax(y_pred). Otherwise p = y_pred divided by its sum. `label_smoothing=s` replaces t by
    t * (1 - s) + s / classes.

    Use it with "softmax" in the last layer. After a sigmoid, the loss is computed from the
    sigmoid's outputs, as in Keras on JAX and torch, with a warning; on TensorFlow, Keras uses the
    sigmoid's inputs as scores.
    """

    @classmethod
    def _default_name(cls) -> str:
        return "categorical_crossentropy"

    def doubts(self, y_true: Any, y_pred: Array, sample_weight: Any = None) -> dict[str, str]:
        found = super().doubts(y_true, y_pred, sample_weight)
        if y_pred.shape[-1] > 1:
            sums = np.asarray(y_true).sum(axis=-1)
            odd = np.abs(sums - 1) > 1e-3
            if odd.any():
                found["targets"] = (
                    f"targets of {np.count_nonzero(odd)} of {odd.size} examples do not sum to 1, "
                    f"but to {sums[odd].flat[0]:.3g}, for example. The loss expects one choice "
                    'among classes; if several labels may be true, use activation="sigmoid" and '
                    '"binary_crossentropy".'
                )
        return found

    def _shape_hint(self, y_true: Array, y_pred: Array) -> str:
        if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
            return " Class numbers as targets go with SparseCategoricalCrossentropy."
        return ""

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        return functional.categorical_crossentropy(
            y_true, y_pred, from_logits, self.label_smoothing
        )

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        return functional.categorical_crossentropy_backward(
            y_true, y_pred, from_logits, self.label_smoothing
        )


class SparseCategoricalCrossentropy(_OfClasses):
    """The loss is - log p[k]: `CategoricalCrossentropy` for targets that are class numbers k.

    `y_true` is (batch,) or (batch, 1), `y_pred` is (batch, classes). Keras has no label smoothing
    here, either.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, 0.0, axis, reduction, name)
        if ignore_class is not None:
            raise ValueError(
                f"{type(self).__name__} does not support ignore_class. Received {ignore_class!r}; "
                "a sample_weight of 0 leaves an example out."
            )

    @classmethod
    def _default_name(cls) -> str:
        return "sparse_categorical_crossentropy"

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        kept = {key: config[key] for key in ("name", "reduction", "from_logits")}
        return kept | {"ignore_class": None}

    def _check(self, y_true: Array, y_pred: Array) -> Array:
        classes = y_pred.shape[-1]
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        who = type(self).__name__
        shapes.check_numbers(y_true, "targets", who)
        if y_true.shape != y_pred.shape[:-1]:
            hint = " One-hot targets go with CategoricalCrossentropy."
            raise ValueError(
                f"{who} expects y_true.shape={y_pred.shape[:-1]}, one class number per example. "
                f"Received y_true.shape={y_true.shape}."
                f"{hint if y_true.shape == y_pred.shape else ''}"
            )
        if y_true.size and not (y_true.min() >= 0 and y_true.max() <= classes - 1):
            raise ValueError(
                f"{who} expects class numbers from 0 to {classes - 1}. Received {range_of(y_true)}."
                + (' One unit goes with "sigmoid" and BinaryCrossentropy.' if classes == 1 else "")
            )
        numbers = y_true.astype(np.intp)
        if (numbers != y_true).any():
            raise ValueError(f"{who} expects whole class numbers. Received {range_of(y_true)}.")
        one_hot: Array = np.eye(classes, dtype=y_pred.dtype)[numbers]
        return one_hot

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        logits = y_pred if from_logits else self._as_logits(y_pred)
        return functional.categorical_crossentropy(y_true, logits, from_logits=True)

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        if from_logits:
            return functional.categorical_crossentropy_backward(y_true, y_pred, from_logits=True)
        logits = self._as_logits(y_pred)
        dz = functional.categorical_crossentropy_backward(y_true, logits, from_logits=True)
        inside = (y_pred >= functional.EPSILON) & (y_pred <= 1 - functional.EPSILON)
        dy: Array = np.where(inside, dz / np.where(inside, y_pred, 1), 0).astype(y_pred.dtype)
        return dy

    @staticmethod
    def _as_logits(p: Array) -> Array:
        """Return log p for p clipped to [1e-7, 1 - 1e-7]; its softmax is p divided by its sum."""
        logits: Array = np.log(np.clip(p, functional.EPSILON, 1 - functional.EPSILON))
        return logits


class BinaryCrossentropy(Probabilities):
    """The loss is - t log p - (1 - t) log(1 - p), averaged over the last axis; t is 0 or 1.

    `y_true` is (batch,) or has `y_pred`'s shape (batch, units). With `from_logits=True`
    p = sigmoid(y_pred).

    Use it with "sigmoid" in the last layer. After a softmax, the loss is computed from the
    softmax's outputs, as in Keras on JAX and torch, with a warning; on TensorFlow, Keras uses the
    softmax's inputs as scores.
    """

    activation = "sigmoid"

    def misfit(self, last: str | None, y_pred: Array) -> str:
        if last != "softmax":
            return super().misfit(last, y_pred)
        if y_pred.shape[-1] == 1:
            return (
                "softmax of one unit is 1 whatever the weights: nothing is learned. Use "
                'activation="sigmoid".'
            )
        return (
            "the model ends in softmax, which makes the units one choice, but the loss judges each "
            'unit by itself. Use "categorical_crossentropy" ("sparse_categorical_crossentropy" for '
            'class numbers), or activation="sigmoid" if several labels may be true. '
            f"{_ELSEWHERE.format(last)}"
        )

    def _shape_hint(self, y_true: Array, y_pred: Array) -> str:
        if y_true.ndim < y_pred.ndim:
            return " Class numbers as targets go with SparseCategoricalCrossentropy."
        if y_true.shape[-1] > y_pred.shape[-1] == 1:
            return (
                " One-hot rows as targets go with CategoricalCrossentropy and a unit for each "
                'class; for one unit read the images with class_mode="binary".'
            )
        return ""

    @classmethod
    def _default_name(cls) -> str:
        return "binary_crossentropy"

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        return functional.binary_crossentropy(y_true, y_pred, from_logits, self.label_smoothing)

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        return functional.binary_crossentropy_backward(
            y_true, y_pred, from_logits, self.label_smoothing
        )
