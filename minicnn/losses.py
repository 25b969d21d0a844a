"""Losses, under Keras's names: one number that says how wrong the predictions are.

    value, cache = loss.forward(y_true, y_pred, sample_weight=None)
    dy_pred = loss.backward(cache)

`loss(y_true, y_pred, sample_weight=None)` returns the value alone. Each example has its own loss
(`minicnn.functional` and `minicnn.naive` have the formulas); `reduction` makes one number of them:

    "sum_over_batch_size"      sum(weight * loss) / number of examples        (Keras's default)
    "mean"                     the same
    "mean_with_sample_weight"  sum(weight * loss) / sum(weight)
    "sum"                      sum(weight * loss)
    None or "none"             weight * loss, an array

The axes of the weights align with the first axes of the losses: weights (batch,) apply to examples
even where each pixel has its own loss. (Keras's losses, unlike its metrics, would align them with
the last axis.)
"""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import functional, shapes
from minicnn.compat import hints
from minicnn.settings import Configurable, serialized

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


Array = np.ndarray

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")


class Loss(Configurable):
    """Base class: checks targets, weights examples, reduces.

    Subclasses define `_losses` and `_gradient`.
    """

    _ignored_keys = ("dtype",)
    activation = ""  # the loss prefers this activation's input (the logits) to its output

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        who = type(self).__name__
        if not shapes.is_number(label_smoothing) or not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"{who} expects label_smoothing in [0, 1]. Received {label_smoothing!r}."
            )
        if not shapes.is_number(axis) or axis != -1:
            raise ValueError(f"{who} expects axis=-1, the only one supported. Received {axis!r}.")
        self.from_logits = bool(from_logits)
        self.label_smoothing = float(label_smoothing)
        self.reduction = shapes.choice(reduction or "none", _REDUCTIONS, "reduction", who)
        self.name = self._default_name() if name is None else name
        shapes.check_name(self.name, who)

    @classmethod
    def _default_name(cls) -> str:
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of predictions `y_pred` for targets `y_true`; see the module."""
        y_pred = np.asarray(y_pred)
        value = self.forward(y_true, y_pred, sample_weight)[0]
        doubts = [self.misfit(None, y_pred), *self.doubts(y_true, y_pred, sample_weight).values()]
        for doubt in filter(None, doubts):
            warnings.warn(f"{type(self).__name__}: {doubt}", stacklevel=2)
        return value

    def misfit(self, last: str | None, y_pred: Array) -> str:
        """Return a sentence on why a model's outputs do not suit this loss; "" if they may.

        `last` is the activation that produced them, if it is known.
        """
        if not self.activation or self.from_logits or last in ("softmax", "sigmoid"):
            return ""
        low, high = (y_pred.min(), y_pred.max()) if y_pred.size else (0, 1)
        if not (low < 0 or high > 1 + 1e-6):  # False for NaN, which is another problem
            return ""
        return (
            f"predictions from {low:.3g} to {high:.3g} are treated as probabilities: pass "
            f'from_logits=True to the loss, or end the model in "{self.activation}".'
        )

    def doubts(self, y_true: Any, y_pred: Array, sample_weight: Any = None) -> dict[str, str]:
        """Return what is probably a mistake in the data, as {short name: sentence}."""
        if sample_weight is None or not np.size(sample_weight) or np.min(sample_weight) >= 0:
            return {}
        return {
            "weights": f"sample weights go down to {np.min(sample_weight):.3g}: an example with a "
            "negative weight teaches the opposite of its target."
        }

    def forward(
        self,
        y_true: Any,
        y_pred: Array,
        sample_weight: Any = None,
        from_logits: bool | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Return `(value, cache)`.

        `from_logits` overrides the loss's own setting for one call: `fit` passes the input of a
        final softmax or sigmoid, as Keras does, because the loss is exact there.

        Raises `ValueError` for targets that have another shape, contain NaN or are out of range.
        """
        logits = self.from_logits if from_logits is None else from_logits
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float32)
        y_true = self._check(np.asarray(y_true), y_pred)
        losses = self._losses(y_true, y_pred, logits)
        weights = self._weights(sample_weight, losses)
        scale = self._scale(weights, losses)
        weighted = losses if weights is None else losses * weights
        if self.reduction != "none":
            weighted = losses.dtype.type(weighted.sum(dtype=np.float64) * scale)
        cache = {"y_true": y_true, "y_pred": y_pred, "from_logits": logits}
        # Each example's own gradient is multiplied by this, given the reduction.
        factor = np.full(losses.shape, scale, losses.dtype)
        cache["factor"] = factor if weights is None else factor * weights
        return weighted, cache

    def backward(self, cache: dict[str, Any]) -> Array:
        """Return d value / d y_pred (with reduction "none", the gradient of the sum)."""
        dy = self._gradient(cache["y_true"], cache["y_pred"], cache["from_logits"])
        result: Array = dy * cache["factor"][..., None]
        return result

    def _weights(self, sample_weight: Any, losses: Array) -> Array | None:
        if sample_weight is None:
            return None
        weights = np.asarray(sample_weight, losses.dtype)
        if not np.isfinite(weights).all():
            raise ValueError(
                f"{type(self).__name__} expects finite sample weights. Received NaN or infinity."
            )
        if weights.ndim == losses.ndim + 1 and weights.shape[-1] == 1:
            weights = weights[..., 0]
        fits = (own in (1, size) for own, size in zip(weights.shape, losses.shape))
        if weights.ndim > losses.ndim or not all(fits):
            raise ValueError(
                f"{type(self).__name__} expects one sample weight per example, "
                f"shape {losses.shape}. Received {weights.shape}."
            )
        return np.broadcast_to(
            weights.reshape(weights.shape + (1,) * (losses.ndim - weights.ndim)), losses.shape
        )

    def _scale(self, weights: Array | None, losses: Array) -> float:
        if self.reduction in ("sum", "none"):
            return 1.0
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            total = float(weights.sum(dtype=np.float64))
            return 1.0 / total if total else 0.0
        return 1.0 / losses.size if losses.size else 0.0

    def _check(self, y_true: Array, y_pred: Array) -> Array:
        """Return the targets, all between 0 and 1, in the predictions' shape and dtype."""
        who = type(self).__name__
        shapes.check_numbers(y_true, "targets", who)
        if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., None]
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{who} expects y_true.shape={y_pred.shape}, the shape of the predictions. "
                f"Received y_true.shape={y_true.shape}.{self._shape_hint(y_true, y_pred)}"
            )
        if y_true.size and not (y_true.min() >= 0 and y_true.max() <= 1):
            raise ValueError(
                f"{who} expects targets between 0 and 1. Received {_range(y_true)} among them."
            )
        return y_true.astype(y_pred.dtype)

    def _shape_hint(self, y_true: Array, y_pred: Array) -> str:
        return ""

    def _losses(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        raise NotImplementedError

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this loss, as Keras writes them."""
        config: dict[str, Any] = {
            "name": self.name,
            "reduction": self.reduction,
            "from_logits": self.from_logits,
        }
        return config | {"label_smoothing": self.label_smoothing, "axis": -1}


def _range(values: Array) -> str:
    return "NaN" if np.isnan(values).any() else f"values from {values.min()} to {values.max()}"


_ELSEWHERE = (
    "(The loss is computed from the {0}'s outputs, as Keras does on JAX and torch; on TensorFlow "
    "Keras uses the {0}'s inputs and gets another number.)"
)


class _OfClasses(Loss):
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

    Use it with "softmax" in the last layer. After a sigmoid it is computed from the sigmoid's
    outputs, as Keras does on JAX and torch, with a warning; on TensorFlow Keras uses the sigmoid's
    inputs as scores.
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

    def _losses(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
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
    here either.
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
                f"{who} expects class numbers from 0 to {classes - 1}. Received {_range(y_true)}."
                + (' One unit goes with "sigmoid" and BinaryCrossentropy.' if classes == 1 else "")
            )
        numbers = y_true.astype(np.intp)
        if (numbers != y_true).any():
            raise ValueError(f"{who} expects whole class numbers. Received {_range(y_true)}.")
        one_hot: Array = np.eye(classes, dtype=y_pred.dtype)[numbers]
        return one_hot

    def _losses(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
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


class BinaryCrossentropy(Loss):
    """The loss is - t log p - (1 - t) log(1 - p), averaged over the last axis; t is 0 or 1.

    `y_true` is (batch,) or has `y_pred`'s shape (batch, units). With `from_logits=True`
    p = sigmoid(y_pred).

    Use it with "sigmoid" in the last layer. After a softmax it is computed from the softmax's
    outputs, as Keras does on JAX and torch, with a warning; on TensorFlow Keras uses the softmax's
    inputs as scores.
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
        return ""

    @classmethod
    def _default_name(cls) -> str:
        return "binary_crossentropy"

    def _losses(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        return functional.binary_crossentropy(y_true, y_pred, from_logits, self.label_smoothing)

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        return functional.binary_crossentropy_backward(
            y_true, y_pred, from_logits, self.label_smoothing
        )


LOSSES: dict[str, type[Loss]] = {
    cls._default_name(): cls
    for cls in (CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy)
}


def get(identifier: Any) -> Loss:
    """Return a loss from an object, a name ("categorical_crossentropy") or a saved config."""
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, dict) and identifier.get("class_name") == "function":
        identifier = identifier.get("config")  # how Keras writes its function `keras.losses.…`
    classes = {cls.__name__: cls for cls in LOSSES.values()}
    if isinstance(identifier, dict) and identifier.get("class_name") in classes:
        cls = classes[identifier["class_name"]]
        config = dict(identifier.get("config", {}))
        if config.get("reduction") == "auto":  # Keras 2's name for the default
            del config["reduction"]
        return cls.from_config(config)
    if isinstance(identifier, str):
        cls_found = LOSSES.get(identifier) or classes.get(identifier)
        if cls_found is not None:
            return cls_found()
    raise ValueError(
        f"A loss is an object of minicnn.losses or one of {', '.join(LOSSES)}. "
        f"Received {identifier!r}."
    )


def serialize(loss: Loss) -> dict[str, Any]:
    """Return the loss as Keras writes it into a model's config."""
    return serialized(loss, "keras.losses")


def deserialize(config: Any) -> Loss:
    """Return a loss from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
