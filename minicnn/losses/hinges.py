"""Hinge losses, in which a prediction on the right side of 0 by at least 1 costs nothing."""

import numpy as np

from minicnn.losses.base import Array, Termwise


class Hinge(Termwise):
    """The loss is the mean over the last axis of max(1 - t * y, 0), for targets t of -1 and 1.

    Targets that are all 0 or 1 become -1 and 1, as in Keras.
    """

    formula, slope = "max(1 - t·y, 0)", "- t where t·y < 1, else 0"

    @classmethod
    def _default_name(cls) -> str:
        return "hinge"

    def _check(self, y_true: Array, y_pred: Array) -> Array:
        t = super()._check(y_true, y_pred)
        return t * 2 - 1 if ((t == 0) | (t == 1)).all() else t

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.maximum(1 - t * y, 0)

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        # Where both sides of a maximum are equal, TensorFlow gives the gradient to the first.
        return np.where(1 - t * y >= 0, -t, 0).astype(y.dtype)


class SquaredHinge(Hinge):
    """The loss is the mean over the last axis of max(1 - t * y, 0)**2; targets as for `Hinge`."""

    formula, slope = "max(1 - t·y, 0)²", "- 2·t·max(1 - t·y, 0)"

    @classmethod
    def _default_name(cls) -> str:
        return "squared_hinge"

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return np.square(super().terms(t, y))

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        return -2 * t * np.maximum(1 - t * y, 0)


class CategoricalHinge(Termwise):
    """The loss is max(neg - pos + 1, 0), for one-hot targets t and scores y of classes.

    pos = sum over k of t[k] * y[k] is the true class's score, neg = max over k of (1 - t[k]) * y[k]
    is the best of the others (at least 0, because the true class contributes a 0).
    """

    formula = "max(neg - pos + 1, 0),  pos = Σ t·y,  neg = max of (1 - t)·y"
    slope = "- t, and + (1 - t) for the class of neg; 0 where the loss is 0"
    averaged = False

    @classmethod
    def _default_name(cls) -> str:
        return "categorical_hinge"

    def slopes(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        others = (1 - t) * y
        best = others == others.max(axis=-1, keepdims=True)
        share = best / best.sum(axis=-1, keepdims=True)  # equal scores share the gradient
        active = (others.max(axis=-1) - (t * y).sum(axis=-1) + 1 >= 0)[..., None]
        return np.where(active, share * (1 - t) - t, 0).astype(y.dtype)

    def terms(self, t: Array, y: Array, from_logits: bool = False) -> Array:
        """Return each score times its slope; each term has an equal share of the 1."""
        slopes = self.slopes(t, y)
        others = (1 - t) * y
        active = (others.max(axis=-1) - (t * y).sum(axis=-1) + 1 >= 0)[..., None]
        found: Array = slopes * y + active / y.shape[-1]
        return found

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        pos = (y_true * y_pred).sum(axis=-1)
        neg = ((1 - y_true) * y_pred).max(axis=-1)
        loss: Array = np.maximum(neg - pos + 1, 0)
        return loss
