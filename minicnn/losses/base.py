"""The base class of losses checks targets, weights examples and reduces their losses."""

import re
import warnings
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.settings import Configurable, is_ours, parameters_of
from minicnn._support.values import protected
from minicnn._support.variable import recorder
from minicnn.losses import taped
from minicnn.ops.tape import Tensor

Array = np.ndarray

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")


class Loss(Configurable):
    """Base class that checks targets, weights examples and reduces their losses.

    Your own loss is a function of (y_true, y_pred), or a class with `call`. It takes all examples
    at once and computes, with `minicnn.ops`, one number for each:

        class Squared(Loss):
            def call(self, y_true, y_pred):                        # in one shape
                return ops.mean(ops.square(y_pred - y_true), axis=-1)

        model.compile("adam", Squared())

    It may define its gradient; then `call` may also compute with NumPy:

            def gradient(self, y_true, y_pred):
                return 2 * (y_pred - y_true) / y_pred.shape[-1]    # d call / d y_pred

    `minicnn.explain.gradcheck(model, x, y=y)` says whether the two agree.
    """

    _ignored_keys = ("dtype",)
    activation = ""  # the loss prefers this activation's input (the logits) to its output
    meant_for = ""  # the activation whose output the loss treats as probabilities

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
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of predictions `y_pred` for targets `y_true`; see the module."""
        if isinstance(y_pred, Tensor):  # in the call of a user's layer
            return self._recorded(y_true, y_pred, sample_weight)
        y_pred = np.asarray(y_pred)
        value = self.forward(y_true, y_pred, sample_weight)[0]
        doubts = [self.misfit(None, y_pred), *self.doubts(y_true, y_pred, sample_weight).values()]
        for doubt in filter(None, doubts):
            warnings.warn(f"{type(self).__name__}: {doubt}", stacklevel=2)
        return value

    def _recorded(self, y_true: Any, y_pred: Tensor, sample_weight: Any = None) -> Any:
        """Return the value as a tensor of the tape that records."""
        given = y_true.value if isinstance(y_true, Tensor) else y_true
        value, cache = self.forward(given, y_pred.value, sample_weight)
        factor = cache["factor"]

        def gradients(dys: Any, *_: Any) -> list[Any]:
            dy = np.asarray(dys[0], factor.dtype)
            return [self.backward({**cache, "factor": factor * dy})]

        results = recorder().record(self.name, [np.asarray(value)], [y_pred], gradients)
        return results[0]

    def misfit(self, last: str | None, y_pred: Array) -> str:
        """Return a sentence on why a model's outputs do not suit this loss; "" if they may.

        `last` is the activation that produced them, if it is known.
        """
        meant_for = self.activation or self.meant_for
        if not meant_for or self.from_logits or last in ("softmax", "sigmoid"):
            return ""
        low, high = (y_pred.min(), y_pred.max()) if y_pred.size else (0, 1)
        if not (low < 0 or high > 1 + 1e-6):  # False for NaN, which is another problem
            return ""
        return (
            f"predictions from {low:.3g} to {high:.3g} are treated as probabilities: pass "
            f'from_logits=True to the loss, or end the model in "{meant_for}".'
        )

    def doubts(self, y_true: Any, y_pred: Array, sample_weight: Any = None) -> dict[str, str]:
        """Return probable mistakes in the data, as {short name: sentence}."""
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
        final softmax or sigmoid, as Keras does, because the loss is more exact then.

        Raises `ValueError` for targets that have another shape, contain NaN or are out of range.
        """
        logits = self.from_logits if from_logits is None else from_logits
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float32)
        y_true = self._check(np.asarray(y_true), y_pred)
        losses = np.asarray(self.each_loss(y_true, y_pred, logits))
        if losses.shape != y_pred.shape[: losses.ndim]:
            self._check_own_axes(losses, y_pred)
        weights = self._weights(sample_weight, losses)
        if weights is not None and not losses.ndim:  # one loss for all examples, as Keras's Dice
            losses = np.broadcast_to(losses, weights.shape)
        scale = self._scale(weights, losses)
        weighted = losses if weights is None else losses * weights
        if self.reduction != "none":
            weighted = losses.dtype.type(weighted.sum(dtype=np.float64) * scale)
        cache = {"y_true": y_true, "y_pred": y_pred, "from_logits": logits}
        # The reduction multiplies each example's own gradient by this.
        factor = np.full(losses.shape, scale, losses.dtype)
        cache["factor"] = factor if weights is None else factor * weights
        return weighted, cache

    def backward(self, cache: dict[str, Any]) -> Array:
        """Return d value / d y_pred (with reduction "none", the gradient of the sum)."""
        y_pred = cache["y_pred"]
        if type(self).gradient is Loss.gradient and type(self)._gradient is Loss._gradient:
            return taped.slopes(self, cache["y_true"], y_pred, cache["factor"])
        dy = np.asarray(self._gradient(cache["y_true"], y_pred, cache["from_logits"]))
        shapes.check_shape(dy, y_pred.shape, "the gradient", type(self).__name__)
        result: Array = dy * self._spread(cache["factor"], y_pred)
        return result.astype(y_pred.dtype, copy=False)

    def _spread(self, factor: Array, y_pred: Array) -> Array:
        """Return each example's factor in a shape that broadcasts to the predictions."""
        return factor.reshape(factor.shape + (1,) * (y_pred.ndim - factor.ndim))

    def _check_own_axes(self, losses: Array, y_pred: Array) -> None:
        raise ValueError(
            f"{type(self).__name__} expects call to return one number for each example, "
            f"shape {y_pred.shape[:1]} or more axes of {y_pred.shape}. Received {losses.shape}."
        )

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
        if not losses.ndim and weights.ndim == 1:
            return weights
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
        """Return the targets in the predictions' shape and dtype."""
        who = type(self).__name__
        shapes.check_numbers(y_true, "targets", who)
        if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., None]
        elif y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{who} expects y_true.shape={y_pred.shape}, the shape of the predictions. "
                f"Received y_true.shape={y_true.shape}.{self._shape_hint(y_true, y_pred)}"
            )
        self._check_range(y_true)
        return y_true.astype(y_pred.dtype)

    def _check_range(self, y_true: Array) -> None:
        if y_true.dtype.kind == "f" and not np.isfinite(y_true).all():
            raise ValueError(
                f"{type(self).__name__} expects finite targets. Received NaN or infinity."
            )

    def _shape_hint(self, y_true: Array, y_pred: Array) -> str:
        return ""

    def call(self, y_true: Array, y_pred: Array) -> Array:
        """Return one number for each example; a loss of your own defines this."""
        raise NotImplementedError(f"{type(self).__name__} has no call(self, y_true, y_pred).")

    def gradient(self, y_true: Array, y_pred: Array) -> Array:
        """Return d call / d y_pred, in the predictions' shape; without it, a tape finds it."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient(self, y_true, y_pred).")

    def _without_gradient(self) -> str:
        return f"{type(self).__name__} has no gradient, and"

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        """Return the loss of each example, before weights and reduction."""
        return self.call(protected(y_true), protected(y_pred))

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        return self.gradient(protected(y_true), protected(y_pred))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this loss, as Keras writes them."""
        config: dict[str, Any] = {
            "name": self.name,
            "reduction": self.reduction,
            "from_logits": self.from_logits,
        }
        config |= {"label_smoothing": self.label_smoothing, "axis": -1}
        if is_ours(type(self)):
            return config
        names = parameters_of(type(self).__init__)
        own = {name: vars(self)[name] for name in names if name in vars(self)}
        takes_all = any(p.kind is p.VAR_KEYWORD for p in names.values())
        shared = {"name": self.name, "reduction": self.reduction}
        return {key: value for key, value in shared.items() if takes_all or key in names} | own


def range_of(values: Array) -> str:
    """Return a text about these numbers for an error message."""
    return "NaN" if np.isnan(values).any() else f"values from {values.min()} to {values.max()}"


class Probabilities(Loss):
    """A loss of probabilities: its targets are between 0 and 1."""

    def _check_range(self, y_true: Array) -> None:
        if y_true.size and not (y_true.min() >= 0 and y_true.max() <= 1):
            raise ValueError(
                f"{type(self).__name__} expects targets between 0 and 1. "
                f"Received {range_of(y_true)} among them."
            )


class Termwise(Loss):
    """A loss that is the mean or the sum of terms, one for each number of the last axis.

    Subclasses define `terms` and `slopes`; `minicnn.explain` shows both, with the formulas.
    """

    formula = ""  # of a term, for t and y
    slope = ""  # of d loss / d y of one number, before the mean
    averaged = True

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction=reduction, name=name)

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        """Return the terms for targets t and predictions y, in their shape."""
        raise NotImplementedError

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        """Return d (sum of the terms over the last axis) / d y."""
        raise NotImplementedError

    def influence(self, t: Array, y: Array, k: int, from_logits: bool = False) -> Array:
        """Return d terms[j] / d y[k] for each j of one example; here only j = k is not 0."""
        found = np.zeros_like(y)
        found[k] = self.slopes(t, y, from_logits)[k]
        return found

    def _without_gradient(self) -> str:
        return f"{type(self).__name__} has no gradient, and"

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        terms = self.terms(y_true, y_pred, from_logits)
        loss: Array = (terms.mean if self.averaged else terms.sum)(axis=-1, dtype=y_pred.dtype)
        return loss

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        slopes = self.slopes(y_true, y_pred, from_logits)
        return slopes / y_pred.dtype.type(y_pred.shape[-1]) if self.averaged else slopes

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}
